//! A host for tests: it answers calls as it was told to, and remembers them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::host::{Command, Host, HttpError, Job, Ran, Reached, Request, Response};
use crate::quota::instant::Instant;

/// What is answered, and what was asked.
#[derive(Default)]
pub struct Wire {
    answers: Mutex<VecDeque<Result<Response, HttpError>>>,
    requests: Mutex<Vec<Request>>,
    /// By path.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Wire {
    /// With one more answer.
    pub fn says(self, status: u16, body: &str) -> Self {
        self.says_bytes(status, body.as_bytes().to_vec())
    }

    /// With one more answer, which need not be text.
    pub fn says_bytes(self, status: u16, body: Vec<u8>) -> Self {
        self.then(Ok(Response { status, headers: Vec::new(), body }))
    }

    /// With one more call that has no answer.
    pub fn fails(self, text: &str, reached: Reached) -> Self {
        self.then(Err(HttpError { text: text.into(), reached }))
    }

    fn then(self, answer: Result<Response, HttpError>) -> Self {
        self.answers.lock().unwrap().push_back(answer);
        self
    }

    /// What was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Host for Wire {
    fn now(&self) -> Instant {
        Instant::default()
    }

    /// A second for each request.
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.requests.lock().unwrap().len() as u64)
    }

    fn http(&self, request: &Request) -> Result<Response, HttpError> {
        self.requests.lock().unwrap().push(request.clone());
        self.answers.lock().unwrap().pop_front().expect("no more requests than answers")
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file", path.display()));
        self.files.get(path.to_str().unwrap()).cloned().ok_or_else(missing)
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn sleep(&self, _: Duration) {
        unreachable!()
    }

    fn others_can_read(&self, _: &Path) -> bool {
        unreachable!()
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        unreachable!()
    }

    fn link(&self, _: &Path) -> io::Result<String> {
        unreachable!()
    }

    fn run(&self, _: &Command) -> Ran {
        unreachable!()
    }

    fn print(&self, _: &str) -> io::Result<()> {
        unreachable!()
    }

    fn side_by_side(&self, _: Vec<Job>, _: Duration) {
        unreachable!()
    }

    fn clock_agrees(&self) -> Option<bool> {
        unreachable!()
    }
}

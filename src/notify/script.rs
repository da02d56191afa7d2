//! A host for tests of channels: answers requests from a list and notes what was asked of it.
//!
//! Its clock moves by a second a request and by what is slept; what no channel uses is not there.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use crate::host::{Command, Host, HttpError, Job, Ran, Reached, Request, Response};
use crate::quota::instant::Instant;

/// Answers in turn, each after a second; notes what it was asked.
pub struct Script {
    answers: Mutex<VecDeque<Result<Response, HttpError>>>,
    /// All so far.
    pub requests: Mutex<Vec<Request>>,
    /// Each sleep.
    pub slept: Mutex<Vec<Duration>>,
    /// What was printed; none: standard output is closed.
    pub printed: Mutex<Option<String>>,
    elapsed: Mutex<Duration>,
}

/// The value behind a mutex that no panic has poisoned.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test thread panicked")
}

impl Script {
    /// A server's answers, status and body.
    pub fn new<'a>(answers: impl IntoIterator<Item = (u16, &'a str)>) -> Self {
        let answer = |(status, body): (u16, &str)| Ok(Response { status, headers: Vec::new(), body: body.into() });
        Self::of(answers.into_iter().map(answer).collect())
    }

    /// No answer.
    pub fn failing(error: &str) -> Self {
        Self::of(VecDeque::from([Err(HttpError { text: error.into(), reached: Reached::Perhaps })]))
    }

    fn of(answers: VecDeque<Result<Response, HttpError>>) -> Self {
        let (requests, slept, elapsed) = Default::default();
        Self { answers: Mutex::new(answers), requests, slept, printed: Mutex::new(Some(String::new())), elapsed }
    }

    /// The bodies of all requests so far.
    pub fn bodies(&self) -> Vec<Value> {
        let parse = |request: &Request| serde_json::from_slice(&request.body).expect("a JSON body");
        locked(&self.requests).iter().map(parse).collect()
    }

    /// One field of each body.
    pub fn sent(&self, field: &str) -> Vec<Value> {
        self.bodies().iter().map(|body| body[field].clone()).collect()
    }

    fn pass(&self, time: Duration) {
        *locked(&self.elapsed) += time;
    }
}

impl Host for Script {
    fn now(&self) -> Instant {
        Instant::default()
    }

    fn elapsed(&self) -> Duration {
        *locked(&self.elapsed)
    }

    fn sleep(&self, time: Duration) {
        locked(&self.slept).push(time);
        self.pass(time);
    }

    fn http(&self, request: &Request) -> Result<Response, HttpError> {
        self.pass(Duration::from_secs(1));
        locked(&self.requests).push(request.clone());
        locked(&self.answers).pop_front().expect("no more requests than answers")
    }

    fn bytes(&self, _: &Path) -> io::Result<Vec<u8>> {
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

    fn env(&self, _: &str) -> Option<String> {
        unreachable!()
    }

    fn run(&self, _: &Command) -> Ran {
        unreachable!()
    }

    fn print(&self, text: &str) -> io::Result<()> {
        match &mut *locked(&self.printed) {
            Some(printed) => printed.push_str(text),
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        Ok(())
    }

    fn side_by_side(&self, _: Vec<Job>, _: Duration) {
        unreachable!()
    }

    fn clock_agrees(&self) -> Option<bool> {
        unreachable!()
    }
}

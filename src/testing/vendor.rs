//! A machine that has an environment and one configuration file, and asks a vendor whose answers are written down.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::host::{Command, Host, HttpError, Job, Ran, Reached, Request, Response};
use crate::quota::instant::Instant;

/// The machine and the vendor.
#[derive(Default)]
pub struct Vendor {
    env: BTreeMap<&'static str, String>,
    file: Option<String>,
    answers: Vec<(&'static str, u16, String)>,
    asked: Mutex<Vec<String>>,
    printed: Mutex<String>,
    slept: Mutex<Duration>,
}

/// An access key that was never issued.
pub const AK: &str = "NQNEVERISSUEDTESTAK0";

impl Vendor {
    /// Keys in the environment; the vendor answers nothing.
    pub fn new() -> Self {
        Self::default().env("HUAWEICLOUD_SDK_AK", AK).env("HUAWEICLOUD_SDK_SK", "NeverIssuedOnlyForTests")
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.insert(name, value.into());
        self
    }

    /// The configuration file.
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.into());
        self
    }

    /// What a request gets whose address and body, joined by a blank, hold `part`; the first such answer counts.
    pub fn says(mut self, part: &'static str, status: u16, body: impl Into<String>) -> Self {
        self.answers.push((part, status, body.into()));
        self
    }

    /// Addresses and bodies, joined by a blank, in the order they came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// What went to standard output.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }
}

impl Host for Vendor {
    fn now(&self) -> Instant {
        Instant::parse("2026-03-01T00:00:00Z").unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.slept.lock().unwrap()
    }

    fn sleep(&self, time: Duration) {
        *self.slept.lock().unwrap() += time;
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.file.as_ref().filter(|_| path == Path::new("/etc/netquota/config.toml"));
        file.map(|text| text.clone().into()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn others_can_read(&self, _: &Path) -> bool {
        false
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn link(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn http(&self, request: &Request) -> Result<Response, HttpError> {
        let asked = format!("{} {}", request.url, String::from_utf8_lossy(&request.body));
        self.asked.lock().unwrap().push(asked.trim_end().to_owned());
        let found = self.answers.iter().find(|(part, ..)| asked.contains(part));
        let (_, status, body) =
            found.ok_or_else(|| HttpError { text: "connection refused".into(), reached: Reached::No })?;
        Ok(Response { status: *status, headers: Vec::new(), body: body.clone().into() })
    }

    fn run(&self, command: &Command) -> Ran {
        panic!("{command:?} was run")
    }

    fn print(&self, text: &str) -> io::Result<()> {
        self.printed.lock().unwrap().push_str(text);
        Ok(())
    }

    fn side_by_side(&self, jobs: Vec<Job>, _: Duration) {
        jobs.into_iter().for_each(|job| job());
    }

    fn clock_agrees(&self) -> Option<bool> {
        None
    }
}

//! The one door to the outside: clock, files of the system, HTTP, commands.
//!
//! Everything the program learns or does beyond its own state goes through [`Host`], so that a simulated
//! world can stand in for the machine. [`os::OsHost`] is the real one.

pub mod os;
mod tls;

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::error::at;
use crate::quota::instant::Instant;

pub use tls::{Roots, Tls};

/// The machine, or a simulated one.
pub trait Host: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Instant;
    /// Time since the program started, by a clock that never jumps.
    fn elapsed(&self) -> Duration;
    /// Lets time pass.
    fn sleep(&self, time: Duration);
    /// A file's content. `/proc`, `/sys` and `/etc` are those below the root folder in use. At most 1 MiB is read.
    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// A file's text, as [`Host::bytes`].
    fn read(&self, path: &Path) -> io::Result<String> {
        let not_text = || io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text");
        String::from_utf8(self.bytes(path)?).map_err(|_| at(path, &not_text()))
    }
    /// Whether users other than the owner and group can read a file.
    fn others_can_read(&self, path: &Path) -> bool;
    /// The sorted names in a folder, the root folder applied as in [`Host::read`].
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Where a symbolic link points, as written, the root folder applied as in [`Host::read`].
    fn link(&self, path: &Path) -> io::Result<String>;
    /// A variable of the environment; none when unset, empty or not UTF-8.
    fn env(&self, name: &str) -> Option<String>;
    /// One HTTP exchange. Any status is an answer, not an error.
    fn http(&self, request: &Request) -> Result<Response, HttpError>;
    /// Runs a command without a shell, in a process group of its own.
    fn run(&self, command: &Command) -> Ran;
    /// Text for standard output, flushed.
    fn print(&self, text: &str) -> io::Result<()>;
    /// Runs the jobs at the same time and returns when all have ended or `limit` is over; what hangs is left behind.
    fn side_by_side(&self, jobs: Vec<Job>, limit: Duration);
    /// Whether the latest server's `Date` header of this run agreed with this machine's clock (within five
    /// minutes); none before any was seen.
    fn clock_agrees(&self) -> Option<bool>;
}

/// A piece of work for [`Host::side_by_side`].
pub type Job = Box<dyn FnOnce() + Send>;

/// An HTTP request. Redirects are not followed.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// May hold a secret: never printed.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// Sent as it is.
    pub body: Vec<u8>,
    /// For the whole exchange.
    pub timeout: Duration,
    /// `http://…`, `https://…`, `socks5://…` or `socks5h://…`; none: a direct connection, whatever the environment says.
    pub proxy: Option<String>,
    /// Whom an `https` connection trusts.
    pub tls: Tls,
    /// Bytes of the answer's body read at the most; a longer one is an error.
    pub body_limit: u64,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case and values, those that are not plain ASCII text left out, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in whatever case the name is asked for.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Why there was no answer.
#[derive(Debug, Clone)]
pub struct HttpError {
    /// In words; never holds the URL.
    pub text: String,
    /// Whether the server may be doing what it was asked to nevertheless.
    pub reached: Reached,
}

/// Whether a request without an answer got to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Certainly not: nothing was sent.
    No,
    /// It is not known.
    Perhaps,
}

/// A command to run.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables added to the environment.
    pub env: Vec<(String, String)>,
    /// Variables withheld from it: those that hold secrets.
    pub withheld: Vec<String>,
    /// When it is over, the process group is ended.
    pub timeout: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// It could not be started: no such program, not allowed.
    NotStarted(String),
    /// It ended by itself.
    Exited {
        /// The exit code; none when a signal ended it.
        code: Option<i32>,
        /// Standard output and error together, the last part of them.
        output: String,
    },
    /// It was ended at its time limit.
    TimedOut {
        /// As above.
        output: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_by_name() {
        let headers = [("date", "now"), ("x-request-id", "1"), ("x-request-id", "2")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let response = Response { status: 200, headers, body: Vec::new() };
        assert_eq!(response.header("X-Request-Id"), Some("1"));
        assert_eq!((response.header("date"), response.header("dat")), (Some("now"), None));
    }
}

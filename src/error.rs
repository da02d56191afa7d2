//! Errors that end a command, and the exit codes.

use std::fmt;

/// The exit codes, as scripts and monitoring rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, whatever the usage is.
    Done = 0,
    /// Could not do it.
    Failed = 1,
    /// Usage or configuration error; nothing was read, sent or written.
    Usage = 2,
    /// Done, with problems.
    Problems = 3,
    /// Another run holds the lock; nothing was done.
    Locked = 75,
}

/// Why a command ended early. The text reads outermost first, lower case, naming the thing and the value.
#[derive(Debug)]
pub struct Error {
    /// The code to exit with.
    pub exit: Exit,
    /// What is said on standard error; empty for a held lock, which is no news.
    pub text: String,
}

/// A result whose error ends the command.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Could not do it: exit 1.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, text: text.into() }
    }

    /// The command line or the configuration is wrong: exit 2.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

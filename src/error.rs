//! Errors that end a command, and the exit codes.

use std::fmt;
use std::io;
use std::path::Path;

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

/// An I/O error that names its file: `/var/lib/netquota/state.json: permission denied`. The kind is kept.
pub fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {}", path.display(), in_words(error)))
}

/// An I/O error's text as part of a sentence: lower case, without the number of the operating system.
pub fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_read_as_part_of_a_sentence() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(in_words(&missing), "no such file or directory");
        assert_eq!(at(Path::new("/a/b"), &missing).to_string(), "/a/b: no such file or directory");
        assert_eq!(at(Path::new("/a/b"), &missing).kind(), io::ErrorKind::NotFound);
        assert_eq!(in_words(&io::Error::other("TLS is off")), "TLS is off");
    }
}

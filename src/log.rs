//! Lines for people: to standard error, and to `log_file` for those without a journal.
//!
//! What is logged is redacted where it arises: nothing here knows a secret.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Where lines go.
pub struct Log {
    file: Option<File>,
}

impl Log {
    /// To standard error.
    pub fn new() -> Self {
        Self { file: None }
    }

    /// To a file as well, each line with its time. The error says why it cannot be.
    pub fn also_to(&mut self, path: Option<&Path>) -> Result<(), String> {
        let Some(path) = path else { return Ok(()) };
        let opened = OpenOptions::new().create(true).append(true).open(path);
        self.file = Some(opened.map_err(|error| crate::error::at(path, &error).to_string())?);
        Ok(())
    }

    /// What went wrong, each line marked with the program's name.
    pub fn error(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("netquota: {line}"));
        }
    }

    /// What was decided, for those who asked.
    pub fn detail(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    #[allow(clippy::disallowed_methods, reason = "a line of a log is of the moment it is written")]
    fn line(&mut self, line: &str) {
        // A closed standard error or a full disk must not end a run that still has to act.
        writeln!(std::io::stderr(), "{line}").ok();
        if let Some(file) = &mut self.file {
            let now = time::OffsetDateTime::now_utc();
            let time = now.replace_nanosecond(0).unwrap_or(now).format(&time::format_description::well_known::Rfc3339);
            writeln!(file, "{} {line}", time.unwrap_or_default()).ok();
        }
    }
}

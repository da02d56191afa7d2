//! Whether the program's file was replaced since it was started, as an upgrade does: then the new one is to answer.

#![allow(
    clippy::disallowed_methods,
    reason = "the file is that of the process itself, not one of the host that is looked at"
)]

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// It is looked at no more often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The file that this process was started from, wherever it is now.
const OWN: &str = "/proc/self/exe";

/// The program's file, as it was at the start.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    file: (u64, u64),
    looked: Cell<Duration>,
}

impl Program {
    /// That of this process; none when it is not where it was started from, so that nothing can be told.
    pub fn own(now: Duration) -> Option<Self> {
        Self::at(fs::read_link(OWN).ok()?, now).filter(|program| file(Path::new(OWN)) == Some(program.file))
    }

    fn at(path: PathBuf, now: Duration) -> Option<Self> {
        Some(Self { file: file(&path)?, path, looked: Cell::new(now) })
    }

    /// Whether another file is in its place. One that is only gone is no reason: there is nothing to start then.
    pub fn is_replaced(&self, now: Duration) -> bool {
        if now.saturating_sub(self.looked.get()) < LOOK_EVERY {
            return false;
        }
        self.looked.set(now);
        file(&self.path).is_some_and(|file| file != self.file)
    }
}

fn file(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_in_its_place_is_seen_and_one_that_is_gone_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("program"), dir.path().join("new"));
        fs::write(&path, "old").unwrap();
        let seconds = Duration::from_secs;
        let program = Program::at(path.clone(), seconds(5)).unwrap();
        assert!(!program.is_replaced(seconds(6)));
        fs::write(&new, "new").unwrap();
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        assert!(!program.is_replaced(seconds(7)), "it is gone");
        fs::rename(&new, &path).unwrap();
        assert!(!program.is_replaced(seconds(7)), "it was looked at just now");
        assert!(program.is_replaced(seconds(8)));
        fs::rename(&aside, &path).unwrap();
        assert!(!program.is_replaced(seconds(9)));
    }

    #[test]
    fn the_program_of_this_process_is_the_one_it_was() {
        let program = Program::own(Duration::ZERO).unwrap();
        assert!(!program.is_replaced(Duration::from_secs(1)));
    }
}

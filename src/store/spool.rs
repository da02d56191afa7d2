//! The records of nodes as files in a folder, one for each node: the last thing it said.
//!
//! ```text
//! NODE.json        a record, replaced by rename
//! .NODE.json.tmp   being written; a left-over is removed when the folder is opened
//! .lock            held by the one process that writes
//! ```
//!
//! Invariant: a record is at any instant the old one or the new one, for whoever reads beside; and once
//! [`Spool::write`] has returned, no end of the process takes it back.
//!
//! Why nothing is flushed to the disk: a node reports again within a minute, and its counters are cumulative, so a power
//! cut loses nothing that counts. What it tears is refused by whoever reads it, and replaced by the next report. Two
//! flushes for each of thousands of reports a second would make them wait for the disk.
//!
//! Why no link is followed: root may write here, in a folder of another user, who could put one in place of whatever is
//! opened, so that root writes, or gives away, a file that is not his.

#![allow(clippy::disallowed_methods, reason = "this is where reports are kept")]

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::file::{DIRECTORY_MODE, create_new, own_as_directory, replace_new};
use crate::error::at;
use crate::fleet::record::{self, Record};

/// What keeps a second process from writing.
const LOCK: &str = ".lock";
/// What the names of files that are being written end with.
const TEMPORARY: &str = ".tmp";
/// Bytes of a record read at the most.
const READ_LIMIT: u64 = 64 * 1024;

/// The only writer of a folder, with all that is in it.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    records: BTreeMap<String, Arc<Record>>,
    _lock: File,
}

impl Spool {
    /// Makes the folder when it is not there, and reads what is in it. What is no record is left alone.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let lock = lock(folder)?;
        for name in names(folder)?.iter().filter(|name| name.starts_with('.') && name.ends_with(TEMPORARY)) {
            // What cannot be removed is overwritten or in nobody's way.
            fs::remove_file(folder.join(name)).ok();
        }
        Ok(Self { folder: folder.to_owned(), records: records(folder)?, _lock: lock })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The records, by node.
    pub fn records(&self) -> &BTreeMap<String, Arc<Record>> {
        &self.records
    }

    /// Keeps a record in place of the node's last one. After an error the last one is still what there is.
    pub fn write(&mut self, record: Record) -> io::Result<()> {
        let name = record::file_name(&record.hostname);
        let temporary = self.folder.join(format!(".{name}{TEMPORARY}"));
        refuse_foreign(&self.folder)?;
        let written = self.write_to(&temporary, &record).map_err(|error| at(&temporary, &error)).and_then(|()| {
            let path = self.folder.join(&name);
            fs::rename(&temporary, &path).map_err(|error| at(&path, &error))
        });
        if written.is_err() {
            fs::remove_file(&temporary).ok();
            return written;
        }
        self.records.insert(record.hostname.clone(), Arc::new(record));
        Ok(())
    }

    fn write_to(&self, path: &Path, record: &Record) -> io::Result<()> {
        let document = serde_json::to_vec(record)?;
        let mut file = replace_new(path)?;
        own_as_directory(&file, &self.folder);
        file.write_all(&document)
    }

    /// Forgets the nodes whose files somebody has removed.
    pub fn forget_removed(&mut self) {
        let folder = &self.folder;
        let is_gone = |path: &Path| fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        self.records.retain(|hostname, _| !is_gone(&folder.join(record::file_name(hostname))));
    }
}

/// The records in a folder, by node, whoever writes them. What is no record is left alone.
pub fn records(folder: &Path) -> io::Result<BTreeMap<String, Arc<Record>>> {
    let records = names(folder)?.into_iter().filter_map(|name| read(folder, &name));
    Ok(records.map(|record| (record.hostname.clone(), Arc::new(record))).collect())
}

/// The lock of a folder, which is made when it is not there. That another process has it is an error of the kind
/// [`ErrorKind::WouldBlock`].
fn lock(folder: &Path) -> io::Result<File> {
    if !folder.is_dir() {
        make(folder)?;
    }
    refuse_foreign(folder)?;
    let path = folder.join(LOCK);
    let lock = match create_new(&path) {
        Ok(made) => {
            own_as_directory(&made, folder);
            Ok(made)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => open(OpenOptions::new().write(true), &path),
        Err(error) => Err(error),
    };
    let lock = lock.map_err(|error| at(&path, &error))?;
    match fs2::FileExt::try_lock_exclusive(&lock) {
        Ok(()) => Ok(lock),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(io::Error::new(error.kind(), format!("{}: another netquota serve writes here", folder.display())))
        }
        Err(error) => Err(at(&path, &error)),
    }
}

/// Makes the folder. Only one that was made here and now is given to the owner of what it lies in.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(DIRECTORY_MODE);
    let parent = folder.parent().unwrap_or(folder);
    builder.recursive(true).create(parent).map_err(|error| at(parent, &error))?;
    builder.recursive(false).create(folder).map_err(|error| at(folder, &error))?;
    let only_a_folder = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed();
    if let Ok(made) = OpenOptions::new().read(true).custom_flags(only_a_folder).open(folder) {
        own_as_directory(&made, parent);
    }
    Ok(())
}

/// A link in the place of the folder is followed only to one of the same owner.
fn refuse_foreign(folder: &Path) -> io::Result<()> {
    let owner = |found: io::Result<fs::Metadata>| found.map(|found| found.uid()).map_err(|error| at(folder, &error));
    if owner(fs::symlink_metadata(folder))? == owner(fs::metadata(folder))? {
        return Ok(());
    }
    let text = format!("{}: it is a link to a folder of another owner", folder.display());
    Err(io::Error::new(ErrorKind::PermissionDenied, text))
}

/// An ordinary file that is there. Of a named pipe, the other end is not waited for.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// What is not UTF-8 is no name of ours.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = || {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    };
    names().map_err(|error| at(folder, &error))
}

/// The record in a file, when it is one, and in the place of its node.
fn read(folder: &Path, name: &str) -> Option<Record> {
    let file = Some(folder.join(name)).filter(|_| record::is_record(name));
    let file = open(OpenOptions::new().read(true), &file?).ok()?;
    let mut document = Vec::new();
    file.take(READ_LIMIT).read_to_end(&mut document).ok()?;
    record::read(&document).ok().filter(|record| record::file_name(&record.hostname) == name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::fleet::record::News;
    use crate::fleet::report::Report;
    use crate::quota::instant::Instant;

    fn record(hostname: &str, timestamp: i64) -> Record {
        let report = serde_json::json!({"password": "p", "hostname": hostname, "timestamp": timestamp, "metrics": {
            "cpu_percent": 1.5, "memory_used": 1, "memory_total": 2, "network_in_bps": 3, "network_out_bps": 4,
            "uptime_seconds": 5}});
        let report: Report = serde_json::from_value(report).unwrap();
        match Record::follow(None, report, Instant::from_millis(1000)) {
            News::Newer(record) => record,
            other => panic!("{other:?}"),
        }
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut files = names(folder).unwrap();
        files.sort();
        files
    }

    #[test]
    fn what_is_written_is_there_when_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/spool");
        let mut spool = Spool::open(&folder).unwrap();
        for (hostname, timestamp) in [("hk-1", 1), ("../../x", 2), ("hk-1", 3)] {
            spool.write(record(hostname, timestamp)).unwrap();
        }
        assert_eq!(files(&folder), ["%2E.%2F..%2Fx.json", ".lock", "hk-1.json"]);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(fs::metadata(folder.join("hk-1.json")).unwrap().permissions().mode() & 0o777, 0o640);
        let before = spool.records().clone();
        drop(spool);
        let again = Spool::open(&folder).unwrap();
        assert_eq!(*again.records(), before);
        assert_eq!(again.records()["hk-1"].timestamp, 3);
    }

    #[test]
    fn what_is_no_record_of_its_node_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let good = serde_json::to_vec(&record("good", 1)).unwrap();
        for (name, bytes) in [
            ("good.json", &good[..]),
            ("torn.json", &good[..good.len() / 2]),
            ("another.json", &good[..]),
            ("notes.txt", b"mine"),
            (".torn.json.tmp", b"{"),
        ] {
            fs::write(folder.join(name), bytes).unwrap();
        }
        symlink(folder.join("good.json"), folder.join("link.json")).unwrap();
        fs::create_dir(folder.join("folder.json")).unwrap();
        let spool = Spool::open(folder).unwrap();
        assert_eq!(spool.records().keys().collect::<Vec<_>>(), ["good"]);
        let left = [".lock", "another.json", "folder.json", "good.json", "link.json", "notes.txt", "torn.json"];
        assert_eq!(files(folder), left, "only what was being written is removed");
    }

    #[test]
    fn a_second_writer_is_refused_while_there_is_a_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = Spool::open(dir.path()).unwrap();
        let refused = Spool::open(dir.path()).unwrap_err();
        assert!(refused.to_string().contains("another netquota serve"), "{refused}");
        drop(first);
        Spool::open(dir.path()).unwrap();
    }

    #[test]
    fn a_write_that_fails_leaves_the_record_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path()).unwrap();
        spool.write(record("n", 1)).unwrap();
        fs::remove_file(dir.path().join("n.json")).unwrap();
        fs::create_dir(dir.path().join("n.json")).unwrap();
        let error = spool.write(record("n", 2)).unwrap_err();
        assert!(error.to_string().contains("n.json: is a directory"), "{error}");
        assert_eq!(spool.records()["n"].timestamp, 1);
        assert_eq!(files(dir.path()), [".lock", "n.json"], "nothing is left of it");
    }

    #[test]
    fn a_link_in_the_place_of_a_temporary_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "mine").unwrap();
        let mut spool = Spool::open(&dir.path().join("spool")).unwrap();
        symlink(&target, spool.folder().join(".n.json.tmp")).unwrap();
        spool.write(record("n", 1)).unwrap();
        assert_eq!(fs::read_to_string(target).unwrap(), "mine");
    }

    /// Gives a link, or what it leads to, to somebody else, where the tests may do so.
    fn give_away(path: &Path) {
        let _ = std::os::unix::fs::lchown(path, Some(65_534), Some(65_534));
    }

    #[test]
    fn a_link_in_the_place_of_the_lock_is_neither_followed_nor_given_away() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, target) = (dir.path().join("spool"), dir.path().join("target"));
        fs::write(&target, "mine").unwrap();
        fs::create_dir(&folder).unwrap();
        give_away(&folder);
        let owner = || fs::metadata(&target).map(|found| (found.uid(), found.gid())).unwrap();
        let before = owner();
        symlink(&target, folder.join(LOCK)).unwrap();
        let error = Spool::open(&folder).unwrap_err();
        assert!(error.to_string().contains(".lock: too many levels of symbolic links"), "{error}");
        fs::remove_file(folder.join(LOCK)).unwrap();
        fs::hard_link(&target, folder.join(LOCK)).unwrap();
        Spool::open(&folder).unwrap();
        assert_eq!(owner(), before, "only what was made is given away");
        fs::remove_file(folder.join(LOCK)).unwrap();
        fs::create_dir(folder.join(LOCK)).unwrap();
        assert!(Spool::open(&folder).unwrap_err().to_string().contains(".lock: is a directory"));
        fs::remove_dir(folder.join(LOCK)).unwrap();
        Spool::open(&folder).unwrap();
        let made = fs::metadata(folder.join(LOCK)).unwrap();
        assert_eq!(made.uid(), fs::metadata(&folder).unwrap().uid());
    }

    #[test]
    fn a_link_to_a_folder_of_another_owner_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, ours) = (dir.path().join("spool"), dir.path().join("ours"));
        fs::create_dir(&ours).unwrap();
        symlink(&ours, &folder).unwrap();
        let mut spool = Spool::open(&folder).unwrap();
        spool.write(record("n", 1)).unwrap();
        assert!(ours.join("n.json").exists(), "one of the same owner is followed");
        // Who runs the tests is root, and gives the link away, or is not, and has a link to a folder of root.
        let foreign = if rustix::process::geteuid().is_root() { ours.clone() } else { PathBuf::from("/") };
        fs::remove_file(&folder).unwrap();
        symlink(&foreign, &folder).unwrap();
        give_away(&folder);
        fs::write(ours.join(".left.json.tmp"), "somebody's").unwrap();
        for refused in [spool.write(record("n", 2)).unwrap_err(), Spool::open(&folder).unwrap_err()] {
            assert!(refused.to_string().ends_with("spool: it is a link to a folder of another owner"), "{refused}");
        }
        assert!(ours.join(".left.json.tmp").exists(), "nothing is removed there");
    }

    #[test]
    fn who_only_reads_needs_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Spool::open(dir.path()).unwrap();
        writer.write(record("n", 1)).unwrap();
        assert_eq!(Spool::open(dir.path()).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(records(dir.path()).unwrap(), *writer.records());
        assert_eq!(records(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_node_whose_file_is_removed_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path()).unwrap();
        spool.write(record("stays", 1)).unwrap();
        spool.write(record("goes", 1)).unwrap();
        fs::remove_file(dir.path().join("goes.json")).unwrap();
        spool.forget_removed();
        assert_eq!(spool.records().keys().collect::<Vec<_>>(), ["stays"]);
    }
}

//! The state as files in a directory.
//!
//! ```text
//! state.json             the state, replaced by rename
//! state.json.previous    the one of the run before
//! state.json.corrupt-…   broken ones, set aside
//! state.json.tmp         being written; a left-over is overwritten
//! state.lock             locked for a whole run, never replaced or removed
//! push.json              what `push` remembers, replaced by rename; push.json.tmp and push.lock as above
//! ```
//!
//! `state.json` is at any instant the old document or the new one, and exists from the first save on.
//!
//! Why a lock file of its own: a lock on a file that is replaced by rename guards the old file only. Why new files are
//! opened with `create_new`: in a directory of another user, a symbolic link under their name must not be followed.

#![allow(clippy::disallowed_methods, reason = "this is where the state is read and written")]

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::UtcOffset;
use time::macros::format_description;

use super::{Documents, Guard, LockError, Store};
use crate::error::at;
use crate::quota::instant::Instant;

const STATE: &str = "state.json";
const ASIDE: &str = "state.json.corrupt-";
const PREVIOUS: &str = "state.json.previous";
const TEMPORARY: &str = "state.json.tmp";
const PREVIOUS_TEMPORARY: &str = "state.json.previous.tmp";
const LOCK: &str = "state.lock";

const FILE_MODE: u32 = 0o640;
pub(super) const DIRECTORY_MODE: u32 = 0o750;

/// Bytes of a document read at the most.
const READ_LIMIT: u64 = 256 * 1024 * 1024;

/// Between two tries for the lock.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// For whoever else replaces the same document: that takes no longer than writing a small file.
const REPLACE_WAIT: Duration = Duration::from_secs(2);

/// The holder writes the time just after it has taken the lock; who finds it held looks a moment later.
const TIME_IS_WRITTEN: Duration = Duration::from_millis(20);

/// The state in a directory.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
}

impl FileStore {
    /// The store in this directory, which need not exist yet.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }
}

/// The file of this name to be locked, in a directory that need not exist yet.
fn lock_file(dir: &Path, name: &str) -> io::Result<File> {
    let mut directory = DirBuilder::new();
    directory.recursive(true).mode(DIRECTORY_MODE);
    directory.create(dir).map_err(|error| at(dir, &error))?;
    let path = dir.join(name);
    let file = match create_new(&path) {
        Ok(file) => {
            own_as_directory(&file, dir);
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => OpenOptions::new().read(true).write(true).open(&path),
        Err(error) => Err(error),
    };
    file.map_err(|error| at(&path, &error))
}

impl Store for FileStore {
    fn lock(&self, wait: Duration) -> Result<Box<dyn Guard + '_>, LockError> {
        let lock = lock_file(&self.dir, LOCK).map_err(LockError::Io)?;
        if !try_lock_for(&lock, wait).map_err(|error| LockError::Io(at(&self.dir.join(LOCK), &error)))? {
            thread::sleep(TIME_IS_WRITTEN);
            return Err(LockError::Held { since: modified(&lock) });
        }
        // Others read from it since when the lock is held. No reason to fail: it only makes a message better.
        let _ = lock.set_modified(SystemTime::now());
        Ok(Box::new(FileGuard { dir: &self.dir, _lock: lock, previous_is_kept: false, last_save_failed: false }))
    }

    fn peek(&self) -> &dyn Documents {
        self
    }
}

impl Documents for FileStore {
    fn current(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.dir.join(STATE))
    }

    fn previous(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.dir.join(PREVIOUS))
    }
}

/// The lock on a directory; closing the file releases it.
struct FileGuard<'a> {
    dir: &'a Path,
    _lock: File,
    previous_is_kept: bool,
    last_save_failed: bool,
}

impl Documents for FileGuard<'_> {
    fn current(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.dir.join(STATE))
    }

    fn previous(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.dir.join(PREVIOUS))
    }
}

impl Guard for FileGuard<'_> {
    /// The broken state also stays where it is until a good one takes its place: a run that is cut short in between
    /// must not find nothing and start from zero.
    fn set_aside(&mut self, at_time: Instant) -> io::Result<Option<String>> {
        let state = self.dir.join(STATE);
        let Ok(metadata) = fs::metadata(&state) else { return Ok(None) };
        // What is saved from now on is not of the run before.
        self.previous_is_kept = true;
        if let Some(name) = self.aside_already(&metadata) {
            return Ok(Some(name));
        }
        let name = self.free_name(at_time)?;
        let aside = self.dir.join(&name);
        fs::hard_link(&state, &aside).or_else(|_| fs::copy(&state, &aside).map(drop)).map_err(|e| at(&aside, &e))?;
        Ok(Some(name))
    }

    fn save(&mut self, document: &[u8]) -> io::Result<()> {
        // After a failure the file may be the new one without being safe on the disk: then it is written again.
        if !self.last_save_failed && self.current().is_ok_and(|found| found.as_deref() == Some(document)) {
            return Ok(());
        }
        let temporary = self.dir.join(TEMPORARY);
        let saved = self.replace(&temporary, document);
        self.last_save_failed = saved.is_err();
        if saved.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        saved
    }
}

impl FileGuard<'_> {
    fn replace(&mut self, temporary: &Path, document: &[u8]) -> io::Result<()> {
        write(self.dir, temporary, document)?;
        if !self.previous_is_kept {
            self.keep_previous()?;
            self.previous_is_kept = true;
        }
        put_in_place(self.dir, temporary, &self.dir.join(STATE))
    }

    /// The state gets a second name, so that it is never without its first.
    fn keep_previous(&self) -> io::Result<()> {
        let state = self.dir.join(STATE);
        let temporary = self.dir.join(PREVIOUS_TEMPORARY);
        let previous = self.dir.join(PREVIOUS);
        remove_if_there(&temporary).map_err(|error| at(&temporary, &error))?;
        match fs::hard_link(&state, &temporary) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => self.copy(&state, &temporary).map_err(|error| at(&temporary, &error))?,
        }
        let renamed = fs::rename(&temporary, &previous).map_err(|error| at(&previous, &error));
        // Renaming one name of a file to another of the same file leaves both.
        let _ = fs::remove_file(&temporary);
        renamed
    }

    /// For file systems without hard links, and files of others that must not be linked.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut file = replace_new(to)?;
        own_as_directory(&file, self.dir);
        let copied = File::open(from).and_then(|mut state| io::copy(&mut state, &mut file));
        if copied.is_err() {
            let _ = fs::remove_file(to);
        }
        copied.map(drop)
    }

    /// The name under which this very file was kept by a run that was then cut short.
    fn aside_already(&self, state: &fs::Metadata) -> Option<String> {
        let entries = self.dir.read_dir().ok()?.flatten();
        let mut kept = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(ASIDE));
        let same = |found: fs::Metadata| (found.dev(), found.ino()) == (state.dev(), state.ino());
        let found = kept.find(|entry| entry.metadata().is_ok_and(same))?;
        Some(found.file_name().to_string_lossy().into_owned())
    }

    fn free_name(&self, at_time: Instant) -> io::Result<String> {
        let form = format_description!("[year][month][day]T[hour][minute][second]Z");
        let stamp = at_time.at_offset(UtcOffset::UTC).format(form).map_err(io::Error::other)?;
        let mut name = format!("{ASIDE}{stamp}");
        let mut count = 1;
        while fs::symlink_metadata(self.dir.join(&name)).is_ok() {
            count += 1;
            name = format!("{ASIDE}{stamp}-{count}");
        }
        Ok(name)
    }
}

/// Replaces a document beside the state, of which only the latest matters, so that it is the old or the new one at any
/// instant, whoever else replaces it at the same time: `push.json`, by `push.json.tmp` while `push.lock` is locked.
pub fn replace(dir: &Path, name: &str, document: &[u8]) -> io::Result<()> {
    let path = dir.join(name);
    let lock = lock_file(dir, &Path::new(name).with_extension("lock").to_string_lossy())?;
    if !try_lock_for(&lock, REPLACE_WAIT).map_err(|error| at(&path, &error))? {
        return Err(at(&path, &io::Error::new(ErrorKind::WouldBlock, "another run is writing it")));
    }
    let temporary = path.with_extension("json.tmp");
    let replaced = write(dir, &temporary, document).and_then(|()| put_in_place(dir, &temporary, &path));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

/// A whole file, safe on the disk.
fn write(dir: &Path, path: &Path, document: &[u8]) -> io::Result<()> {
    let written = || {
        let mut file = replace_new(path)?;
        own_as_directory(&file, dir);
        file.write_all(document)?;
        file.sync_all()
    };
    written().map_err(|error| at(path, &error))
}

/// Gives a whole file its name, for good.
fn put_in_place(dir: &Path, temporary: &Path, path: &Path) -> io::Result<()> {
    fs::rename(temporary, path).map_err(|error| at(path, &error))?;
    sync_directory(dir).map_err(|error| at(dir, &error))
}

fn try_lock_for(file: &File, wait: Duration) -> io::Result<bool> {
    let started = std::time::Instant::now();
    loop {
        match fs2::FileExt::try_lock_exclusive(file) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) if started.elapsed() >= wait => return Ok(false),
            Err(_) => thread::sleep(LOCK_POLL.min(wait.saturating_sub(started.elapsed()))),
        }
    }
}

fn modified(file: &File) -> Option<Instant> {
    let since_epoch = file.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Instant::from_millis(i64::try_from(since_epoch.as_millis()).ok()?))
}

/// A whole document; none when there is none.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_whole(path) {
        Ok(document) => Ok(Some(document)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, &error)),
    }
}

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened: opening a named pipe would wait for its other end.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut document = Vec::with_capacity(metadata.len().min(READ_LIMIT) as usize + 1);
    File::open(path)?.take(READ_LIMIT + 1).read_to_end(&mut document)?;
    if document.len() as u64 > READ_LIMIT {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "larger than 256 MiB"));
    }
    Ok(document)
}

/// A new file under a name that may be taken by a left-over, which goes. A symbolic link is removed, never followed.
pub(super) fn replace_new(path: &Path) -> io::Result<File> {
    remove_if_there(path)?;
    create_new(path)
}

/// A new and empty file with the rights of a state: none else of that name may be there.
pub fn create(path: &Path) -> io::Result<()> {
    let file = create_new(path)?;
    if let Some(dir) = path.parent() {
        own_as_directory(&file, dir);
    }
    Ok(())
}

/// A new and empty file where none of that name is.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
    // Whatever the umask of who started us.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives a file to the directory's owner, so that root's runs do not lock out the user the directory belongs to. Who
/// may not do so (not root, a container, a network file system) still has a state.
pub(super) fn own_as_directory(file: &File, dir: &Path) {
    let (Ok(ours), Ok(wanted)) = (file.metadata(), fs::metadata(dir)) else { return };
    if (ours.uid(), ours.gid()) != (wanted.uid(), wanted.gid()) {
        let _ = fchown(file, Some(wanted.uid()), Some(wanted.gid()));
    }
}

/// Makes a rename safe. Some network file systems know no such thing and say so.
fn sync_directory(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn store() -> (TempDir, FileStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::new(dir.path().to_owned());
        (dir, store)
    }

    fn saved(store: &FileStore, documents: &[&str]) {
        let mut guard = store.lock(NONE).unwrap();
        for document in documents {
            guard.save(document.as_bytes()).unwrap();
        }
    }

    fn text(document: io::Result<Option<Vec<u8>>>) -> Option<String> {
        document.unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn both(store: &FileStore) -> (Option<String>, Option<String>) {
        (text(store.peek().current()), text(store.peek().previous()))
    }

    fn pair(current: &str, previous: &str) -> (Option<String>, Option<String>) {
        (Some(current.into()), Some(previous.into()))
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn some_time() -> Instant {
        Instant::parse("2026-11-21T09:00:00Z").unwrap()
    }

    #[test]
    fn nothing_is_there_at_first_and_looking_creates_nothing() {
        let (dir, _) = store();
        let store = FileStore::new(dir.path().join("a/b"));
        assert_eq!(both(&store), (None, None));
        assert!(names(dir.path()).is_empty());
        drop(store.lock(NONE).unwrap());
        assert_eq!(names(&dir.path().join("a/b")), [LOCK]);
        let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().mode() & 0o777;
        assert_eq!(mode("a/b/state.lock"), 0o640);
        assert_eq!(mode("a/b") & !0o750, 0);
    }

    #[test]
    fn previous_is_of_the_run_before_however_often_a_run_saves() {
        let (dir, store) = store();
        saved(&store, &["1a", "1b"]);
        assert_eq!(both(&store), (Some("1b".into()), None));
        saved(&store, &["2a", "2b", "2c"]);
        assert_eq!(both(&store), pair("2c", "1b"));
        saved(&store, &["2c", "3a", "3b"]);
        assert_eq!(both(&store), pair("3b", "2c"));
        saved(&store, &[]);
        assert_eq!(both(&store), pair("3b", "2c"));
        assert_eq!(names(dir.path()), [STATE, PREVIOUS, LOCK]);
        assert_eq!(fs::metadata(dir.path().join(STATE)).unwrap().mode() & 0o777, FILE_MODE);
    }

    #[test]
    fn the_guard_reads_what_it_saved() {
        let (_dir, store) = store();
        let mut guard = store.lock(NONE).unwrap();
        assert_eq!(text(guard.current()), None);
        guard.save(b"one").unwrap();
        assert_eq!(text(guard.current()).as_deref(), Some("one"));
        assert_eq!(text(guard.previous()), None);
    }

    #[test]
    fn the_same_document_is_not_written_again() {
        let (dir, store) = store();
        saved(&store, &["same"]);
        let inode = || fs::metadata(dir.path().join(STATE)).unwrap().ino();
        let before = inode();
        saved(&store, &["same"]);
        assert_eq!((inode(), both(&store)), (before, (Some("same".into()), None)));
        saved(&store, &["other"]);
        assert_ne!(inode(), before);
    }

    #[test]
    fn a_document_beside_the_state_is_whole_whoever_replaces_it() {
        let (dir, _) = store();
        let dir = dir.path().join("not/yet");
        let documents = ["a".repeat(5000), "b".repeat(9000)];
        thread::scope(|scope| {
            for document in &documents {
                let dir = &dir;
                scope.spawn(move || (0..50).for_each(|_| replace(dir, "push.json", document.as_bytes()).unwrap()));
            }
        });
        let found = text(read(&dir.join("push.json"))).unwrap();
        assert!(documents.contains(&found), "{} bytes", found.len());
        assert_eq!(names(&dir), ["push.json", "push.lock"]);
        assert_eq!(fs::metadata(dir.join("push.json")).unwrap().mode() & 0o777, FILE_MODE);
        let held = lock_file(&dir, "push.lock").unwrap();
        fs2::FileExt::lock_exclusive(&held).unwrap();
        let error = replace(&dir, "push.json", b"c").unwrap_err().to_string();
        assert_eq!(error, format!("{}: another run is writing it", dir.join("push.json").display()));
        assert_eq!(text(read(&dir.join("push.json"))), Some(found));
    }

    #[test]
    fn broken_states_are_set_aside_under_names_of_their_own() {
        let (dir, store) = store();
        saved(&store, &["good"]);
        saved(&store, &["broken"]);
        let mut guard = store.lock(NONE).unwrap();
        for _ in 0..2 {
            assert_eq!(guard.set_aside(some_time()).unwrap().as_deref(), Some("state.json.corrupt-20261121T090000Z"));
        }
        assert_eq!(both(&store), pair("broken", "good"), "it stays until a good one takes its place");
        guard.save(b"new").unwrap();
        guard.save(b"newer").unwrap();
        drop(guard);
        assert_eq!(both(&store), pair("newer", "good"), "the broken one never becomes the previous one");
        let mut guard = store.lock(NONE).unwrap();
        assert_eq!(guard.set_aside(some_time()).unwrap().as_deref(), Some("state.json.corrupt-20261121T090000Z-2"));
        assert_eq!(fs::read(dir.path().join("state.json.corrupt-20261121T090000Z")).unwrap(), b"broken");
    }

    #[test]
    fn one_at_a_time() {
        let (_dir, store) = store();
        let other = FileStore::new(store.dir.clone());
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let guard = store.lock(NONE).unwrap();
        let Err(LockError::Held { since: Some(since) }) = other.lock(NONE) else { panic!("not held") };
        assert!((before - 1000..before + 5000).contains(&since.millis()));
        drop(guard);
        assert!(other.lock(NONE).is_ok());
    }

    #[test]
    fn a_lock_is_waited_for() {
        let (_dir, store) = store();
        let other = FileStore::new(store.dir.clone());
        let started = std::time::Instant::now();
        let guard = store.lock(NONE).unwrap();
        assert!(matches!(other.lock(Duration::from_millis(150)), Err(LockError::Held { .. })));
        assert!(started.elapsed() >= Duration::from_millis(150));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| other.lock(Duration::from_secs(20)).is_ok());
            thread::sleep(Duration::from_millis(50));
            drop(guard);
            assert!(waiting.join().unwrap());
        });
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn the_lock_file_stays_the_same() {
        let (dir, store) = store();
        let inode = || fs::metadata(dir.path().join(LOCK)).unwrap().ino();
        drop(store.lock(NONE).unwrap());
        let before = inode();
        saved(&store, &["a"]);
        assert_eq!(inode(), before);
    }

    #[test]
    fn files_belong_to_the_directorys_owner() {
        let (dir, store) = store();
        // Only root may give a directory away; for others the two owners are the same.
        let _ = std::os::unix::fs::chown(dir.path(), Some(65_534), Some(65_534));
        let owner = |path: PathBuf| fs::metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
        saved(&store, &["old"]);
        saved(&store, &["new"]);
        for name in [STATE, PREVIOUS, LOCK] {
            assert_eq!(owner(dir.path().join(name)), owner(dir.path().to_owned()), "{name}");
        }
    }

    #[test]
    fn left_overs_are_overwritten() {
        let (dir, store) = store();
        saved(&store, &["old"]);
        fs::write(dir.path().join(TEMPORARY), "half a docu").unwrap();
        // As after a crash between keeping the old state and replacing it: all three are one file.
        fs::hard_link(dir.path().join(STATE), dir.path().join(PREVIOUS)).unwrap();
        fs::hard_link(dir.path().join(STATE), dir.path().join(PREVIOUS_TEMPORARY)).unwrap();
        saved(&store, &["new"]);
        assert_eq!(both(&store), pair("new", "old"));
        assert_eq!(names(dir.path()), [STATE, PREVIOUS, LOCK]);
    }

    #[test]
    fn symbolic_links_are_not_followed_when_writing() {
        let (dir, store) = store();
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        saved(&store, &["old"]);
        for name in [TEMPORARY, PREVIOUS_TEMPORARY] {
            symlink(&victim, dir.path().join(name)).unwrap();
        }
        saved(&store, &["new"]);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(both(&store), pair("new", "old"));
        fs::remove_file(dir.path().join(LOCK)).unwrap();
        symlink(outside.path().join("made"), dir.path().join(LOCK)).unwrap();
        assert!(matches!(store.lock(NONE), Err(LockError::Io(_))));
        assert_eq!(names(outside.path()), ["victim"]);
    }

    #[test]
    fn a_failed_save_leaves_the_old_state() {
        let (dir, store) = store();
        saved(&store, &["old"]);
        let mut guard = store.lock(NONE).unwrap();
        fs::create_dir(dir.path().join(PREVIOUS)).unwrap();
        let error = guard.save(b"new").unwrap_err().to_string();
        assert_eq!(error, format!("{}/{PREVIOUS}: is a directory", dir.path().display()));
        assert_eq!(text(guard.current()).as_deref(), Some("old"));
        assert_eq!(names(dir.path()), [STATE, PREVIOUS, LOCK]);
        fs::remove_dir(dir.path().join(PREVIOUS)).unwrap();
        guard.save(b"new").unwrap();
        drop(guard);
        assert_eq!(both(&store), pair("new", "old"));
    }

    /// Runs itself again where no file may grow past a few KiB, which fails as a full disk does.
    #[test]
    fn a_disk_that_fills_up_leaves_the_old_state() {
        const FULL: &str = "NETQUOTA_TEST_FULL_DISK";
        if std::env::var_os(FULL).is_some() {
            return full_disk();
        }
        let (_crate, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::a_disk_that_fills_up_leaves_the_old_state");
        let mut again = std::process::Command::new("sh");
        again.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
        again.arg(std::env::current_exe().unwrap()).args([&name, "--exact"]).env(FULL, "1");
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    fn full_disk() {
        let (dir, store) = store();
        saved(&store, &["older"]);
        saved(&store, &["old"]);
        let mut guard = store.lock(NONE).unwrap();
        let error = guard.save(&[b'x'; 100_000]).unwrap_err();
        assert_eq!(error.to_string(), format!("{}/{TEMPORARY}: file too large", dir.path().display()));
        assert_eq!(names(dir.path()), [STATE, PREVIOUS, LOCK]);
        assert_eq!(both(&store), pair("old", "older"));
        guard.save(b"new").unwrap();
        assert_eq!(both(&store), pair("new", "old"));
    }

    #[test]
    fn a_directory_that_went_away_is_an_error() {
        let (dir, store) = store();
        let mut guard = store.lock(NONE).unwrap();
        fs::remove_dir_all(dir.path()).unwrap();
        let error = guard.save(b"new").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().ends_with("state.json.tmp: no such file or directory"), "{error}");
        assert_eq!(guard.set_aside(some_time()).unwrap(), None);
    }

    #[test]
    fn other_things_in_place_of_files_are_errors() {
        let (dir, store) = store();
        fs::create_dir(dir.path().join(STATE)).unwrap();
        symlink(PREVIOUS, dir.path().join(PREVIOUS)).unwrap();
        fs::create_dir(dir.path().join(LOCK)).unwrap();
        let said = |error: io::Error| error.to_string().rsplit('/').next().unwrap().to_owned();
        assert_eq!(said(store.peek().current().unwrap_err()), "state.json: not a regular file");
        assert!(said(store.peek().previous().unwrap_err()).starts_with("state.json.previous: too many levels"));
        let Err(LockError::Io(error)) = store.lock(NONE) else { panic!("locked") };
        assert_eq!(said(error), "state.lock: is a directory");
        let Err(LockError::Io(error)) = FileStore::new("/proc/version/x".into()).lock(NONE) else { panic!("locked") };
        assert_eq!(error.to_string(), "/proc/version/x: not a directory");
    }

    #[test]
    fn without_hard_links_the_previous_state_is_a_copy() {
        let (dir, _store) = store();
        let guard = FileGuard {
            dir: dir.path(),
            _lock: tempfile::tempfile().unwrap(),
            previous_is_kept: false,
            last_save_failed: false,
        };
        let (from, to) = (dir.path().join(STATE), dir.path().join(PREVIOUS_TEMPORARY));
        assert_eq!(guard.copy(&from, &to).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(names(dir.path()).is_empty());
        fs::write(&from, "state").unwrap();
        guard.copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "state");
        assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, FILE_MODE);
    }
}

//! What is SQLite's alone: the file, its rights, its log, its damages.

#![allow(clippy::disallowed_methods, reason = "tests damage files")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::history::place::Place;
use crate::history::tests::{Fresh, Opened, like_the_plain_one, suite, tables_suite};
use crate::history::{Keep, Moment, Named, Total};

/// Nobody holds a lock for so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A folder with or without a history.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("history.db")
    }

    fn to_write(&self) -> Sqlite {
        open(&self.file(), Mode::Write, LIMIT).unwrap().expect("a file to write")
    }

    fn failure(&self, mode: Mode) -> String {
        let text = open(&self.file(), mode, Duration::ZERO).err().expect("a failure").text;
        text.strip_prefix(&format!("{}: ", self.file().display())).expect(&text).to_owned()
    }

    fn names(&self) -> Vec<String> {
        let entries = self.0.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }
}

impl Fresh for Folder {
    fn open(&self, mode: Mode) -> Opened {
        Place::Sqlite(None).open(self.0.path(), mode, LIMIT)
    }

    fn sql(&self, statements: &str) {
        Connection::open(self.file()).unwrap().execute_batch(statements).unwrap();
    }
}

fn fresh() -> Box<dyn Fresh> {
    Box::new(Folder::new())
}

#[test]
fn the_suite() {
    suite(&fresh);
}

#[test]
fn the_suite_of_tables() {
    tables_suite(&fresh);
}

#[test]
fn it_does_as_the_plain_one() {
    like_the_plain_one(&fresh, 150);
}

fn at(minute: i64) -> Instant {
    Instant::from_millis(minute * 60_000)
}

/// A row of each of so many subjects.
fn batch(minute: i64, subjects: u64) -> Batch {
    let named = |key| Named {
        key,
        source: "pve".into(),
        subject: format!("qemu/{key}"),
        label: String::new(),
        part_of: String::new(),
    };
    let totals = (0..subjects).map(|key| (key, Total { rx: minute, tx: minute, ..Total::default() })).collect();
    Batch {
        instance: "a".into(),
        host: "a".into(),
        after: Some(at(minute - 1)),
        subjects: (0..subjects).map(named).collect(),
        moments: vec![Moment { at: at(minute), grain: Grain::Sample, totals }],
        logged: 0,
        events: Vec::new(),
        keep: Keep { samples: None, hours: None, days: None },
        now: at(minute),
    }
}

fn rows(archive: &mut Sqlite) -> usize {
    archive.rows(None, at(0), at(i64::from(u32::MAX)), Grain::Sample).unwrap().len()
}

#[test]
fn the_files_have_the_rights_of_a_state() {
    let folder = Folder::new();
    // Only root may give a directory away; for others the two owners are the same.
    let _ = std::os::unix::fs::chown(folder.0.path(), Some(65_534), Some(65_534));
    folder.to_write().write(&batch(0, 3)).unwrap();
    let owner = fs::metadata(folder.0.path()).unwrap().uid();
    assert_eq!(folder.names(), ["history.db", "history.db-shm", "history.db-wal"]);
    for name in folder.names() {
        let found = fs::metadata(folder.0.path().join(&name)).unwrap();
        assert_eq!((found.permissions().mode() & 0o777, found.uid()), (0o640, owner), "{name}");
    }
}

#[test]
fn what_is_no_history_is_a_failure_and_stays() {
    let folder = Folder::new();
    let noise: Vec<u8> = (0..9000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for content in [b"garbage".as_slice(), &noise, &[0; 4096]] {
        fs::write(folder.file(), content).unwrap();
        for mode in [Mode::Write, Mode::Read] {
            assert_eq!(folder.failure(mode), "it is no SQLite database");
            assert_eq!(fs::read(folder.file()).unwrap(), content);
        }
    }
    fs::remove_file(folder.file()).unwrap();
    fs::create_dir(folder.file()).unwrap();
    assert_eq!(folder.failure(Mode::Write), "not a regular file");
    assert_eq!(folder.failure(Mode::Read), "not a regular file");
}

/// Cut anywhere: nothing panics, and whatever is said is said in words.
#[test]
fn a_damaged_file_is_a_failure() {
    let folder = Folder::new();
    let mut archive = folder.to_write();
    for minute in 0..20 {
        archive.write(&batch(minute, 200)).unwrap();
    }
    archive.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(archive);
    let whole = fs::read(folder.file()).unwrap();
    assert!(whole.len() > 16 * 4096);
    let mut failed = 0;
    let mut try_it = |content: &[u8]| {
        let folder = Folder::new();
        fs::write(folder.file(), content).unwrap();
        for mode in [Mode::Read, Mode::Write] {
            let used = open(&folder.file(), mode, LIMIT).and_then(|archive| {
                let Some(mut archive) = archive else { return Ok(()) };
                archive.rows(None, at(0), at(999), Grain::Sample)?;
                if mode == Mode::Write { archive.write(&batch(99, 200)) } else { Ok(()) }
            });
            if let Err(failure) = used {
                assert!(failure.text.starts_with(&folder.file().display().to_string()), "{failure}");
                failed += 1;
            }
        }
    };
    for pages in [1, 2, 5, 9, 14] {
        try_it(&whole[..pages * 4096]);
        try_it(&whole[..pages * 4096 + 1000]);
    }
    for page in 1..16 {
        let mut scratched = whole.clone();
        scratched[page * 4096..page * 4096 + 600].fill(0xa5);
        try_it(&scratched);
    }
    assert!(failed > 20, "{failed}");
}

#[test]
fn an_empty_file_has_no_history_and_becomes_one() {
    let folder = Folder::new();
    fs::write(folder.file(), "").unwrap();
    assert!(open(&folder.file(), Mode::Read, LIMIT).unwrap().is_none());
    folder.to_write().write(&batch(0, 1)).unwrap();
    assert_eq!(rows(&mut folder.to_write()), 1);
}

#[test]
fn a_folder_that_is_missing_is_a_failure_for_writers_only() {
    let folder = Folder::new();
    let path = folder.0.path().join("none/history.db");
    assert!(open(&path, Mode::Read, LIMIT).unwrap().is_none());
    let failure = open(&path, Mode::Write, LIMIT).err().expect("a failure");
    assert!(failure.text.ends_with("none/history.db: no such file or directory"), "{failure}");
}

#[test]
fn a_full_disk_is_a_failure_and_what_was_written_stays() {
    let folder = Folder::new();
    let mut archive = folder.to_write();
    archive.write(&batch(0, 100)).unwrap();
    let pages: i64 = archive.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    archive.db.pragma_update(None, "max_page_count", pages + 2).unwrap();
    let failure = archive.write(&batch(1, 5000)).unwrap_err();
    assert_eq!(failure.text, format!("{}: no space left for it", folder.file().display()));
    assert_eq!(rows(&mut archive), 100);
    archive.db.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    archive.write(&batch(1, 5000)).unwrap();
    assert_eq!(rows(&mut archive), 5100);
}

/// Whoever is killed in the middle leaves nothing of it: the files as they are then are opened by the next.
#[test]
fn a_writer_that_is_killed_leaves_nothing_half_done() {
    let folder = Folder::new();
    let mut archive = folder.to_write();
    archive.write(&batch(0, 50)).unwrap();
    // So little memory that pages of what is not committed are in the log already.
    archive.db.execute_batch("PRAGMA cache_size = 5; BEGIN IMMEDIATE").unwrap();
    let rows_of = "INSERT INTO netquota_samples
                   WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                   SELECT 1000 + i, 1, 1, 1, NULL FROM n";
    archive.db.execute_batch(rows_of).unwrap();
    let killed = Folder::new();
    for name in ["history.db", "history.db-wal"] {
        fs::copy(folder.0.path().join(name), killed.0.path().join(name)).unwrap();
    }
    assert!(fs::metadata(killed.0.path().join("history.db-wal")).unwrap().len() > 100_000, "some of it is there");
    let mut next = killed.to_write();
    assert_eq!(rows(&mut next), 50);
    let samples: i64 = next.db.query_row("SELECT count(*) FROM netquota_samples", [], |row| row.get(0)).unwrap();
    assert_eq!(samples, 50);
    next.write(&batch(1, 50)).unwrap();
    assert_eq!(rows(&mut next), 100);
}

#[test]
fn somebody_else_s_lock_is_a_failure_when_it_lasts() {
    let folder = Folder::new();
    let mut archive = folder.to_write();
    archive.write(&batch(0, 1)).unwrap();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    archive.db.busy_timeout(Duration::ZERO).unwrap();
    let failure = archive.write(&batch(1, 1)).unwrap_err();
    assert_eq!(failure.text, format!("{}: somebody else keeps it locked", folder.file().display()));
    let mut reader = open(&folder.file(), Mode::Read, Duration::ZERO).unwrap().expect("a file to read");
    assert_eq!(rows(&mut reader), 1, "who only reads does not care");
    other.execute_batch("COMMIT").unwrap();
    archive.write(&batch(1, 1)).unwrap();
}

#[test]
fn a_file_beside_which_nothing_can_be_made_is_read() {
    // Only whom rights do not bind can write in such a folder: for root the address is tried by itself.
    let folder = Folder::new();
    let file = folder.0.path().join("my history%20?.db");
    open(&file, Mode::Write, LIMIT).unwrap().expect("a file").write(&batch(0, 3)).unwrap();
    let db = Connection::open(&file).unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(db);
    let before = folder.names();
    assert_eq!(before, ["my history%20?.db"]);
    let (db, version) = reader(Path::new(&unchanging(&file)), OpenFlags::SQLITE_OPEN_URI, LIMIT).unwrap();
    let mut archive = Sqlite { db, path: file.clone(), limit: LIMIT, version };
    assert_eq!(rows(&mut archive), 3);
    assert_eq!(folder.names(), before, "nothing was made");
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(rows(&mut open(&file, Mode::Read, LIMIT).unwrap().expect("a file to read")), 3);
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn reading_a_copy_makes_no_files() {
    let folder = Folder::new();
    let mut archive = folder.to_write();
    archive.write(&batch(0, 3)).unwrap();
    archive.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let copy = Folder::new();
    fs::copy(folder.file(), copy.file()).unwrap();
    assert_eq!(rows(&mut open(&copy.file(), Mode::Read, LIMIT).unwrap().expect("a file to read")), 3);
    assert_eq!(copy.names(), ["history.db"]);
    fs::write(copy.0.path().join("history.db-wal"), "").unwrap();
    assert_eq!(rows(&mut open(&copy.file(), Mode::Read, LIMIT).unwrap().expect("a file to read")), 3);
    assert_eq!(copy.names(), ["history.db", "history.db-wal"]);
    // What is in a log counts, whatever that takes.
    archive.write(&batch(1, 3)).unwrap();
    fs::copy(folder.0.path().join("history.db-wal"), copy.0.path().join("history.db-wal")).unwrap();
    assert_eq!(rows(&mut open(&copy.file(), Mode::Read, LIMIT).unwrap().expect("a file to read")), 6);
    let plain = Connection::open(copy.file()).unwrap();
    plain.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    assert!(!is_left_alone(&copy.file()), "a file without a log is locked by whoever reads it");
}

#[test]
fn many_runs_do_not_let_the_log_grow() {
    let folder = Folder::new();
    for minute in 0..120 {
        folder.to_write().write(&batch(minute, 300)).unwrap();
    }
    let log = fs::metadata(folder.0.path().join("history.db-wal")).unwrap().len();
    assert!(log < LOG_BYTES, "{log}");
    assert!(fs::metadata(folder.file()).unwrap().len() > 200_000);
    assert_eq!(rows(&mut folder.to_write()), 120 * 300);
}

#[test]
fn pruning_gives_the_space_back() {
    let folder = Folder::new();
    let mut archive = folder.to_write();
    for minute in 0..100 {
        archive.write(&batch(minute, 1000)).unwrap();
    }
    let size = || fs::metadata(folder.file()).unwrap().len();
    archive.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let before = size();
    let prune = Prune { ids: None, instance: "a".into(), from: None, to: at(90), stay: Vec::new() };
    assert_eq!(archive.prune(&prune, true).unwrap().rows, 90_000);
    assert_eq!(size(), before);
    assert_eq!(archive.prune(&prune, false).unwrap().rows, 90_000);
    assert!(size() < before / 3, "{before} {}", size());
    assert_eq!(rows(&mut archive), 10_000);
    archive.write(&batch(100, 1000)).unwrap();
    assert_eq!(rows(&mut folder.to_write()), 11_000);
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let folder = Folder::new();
    let mut archive = folder.to_write();
    archive.write(&batch(0, 2)).unwrap();
    archive.db.execute_batch("DROP TABLE netquota_events; UPDATE netquota_schema SET version = 1").unwrap();
    let steps = [STEPS[0], "CREATE TABLE netquota_events (x); CREATE TABLE nonsense ("];
    assert!(migrate(&mut archive.db, &steps).is_err());
    assert_eq!(version(&archive.db).unwrap(), 1);
    migrate(&mut archive.db, &STEPS).unwrap();
    assert_eq!(version(&archive.db).unwrap(), STEPS.len());
    assert_eq!(rows(&mut archive), 2);
}

//! The history in an SQLite file.
//!
//! Invariant: what [`Archive::write`] says is written survives a loss of power; what it fails to write changes nothing.
//! A file that is broken stays as it is.
//!
//! Why the write-ahead log is not emptied when the file is closed, as SQLite would do: a run writes once and ends, so
//! that each would wait for the disk for the log, its folder, the file and the log's end instead of the first two. Why
//! SQLite does not empty it by itself either: it starts the log anew with the write after that, which a run does not
//! come to, and so the log would grow for ever.
//! Why it is emptied when it is that short: the first to open the file after everybody has closed it reads all of it.
//!
//! Why `synchronous` is full: the state believes what was written, and would not write it again.

mod prune;
mod read;
mod schema;
mod write;

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use super::place::Mode;
use super::{Archive, Batch, Failure, Instance, Known, Logged, Prune, Pruned, Row, Side, columns};
use crate::error::in_words;
use crate::quota::instant::Instant;
use crate::quota::track::Grain;
use crate::store::file;
use schema::STEPS;

/// A write-ahead log of so many bytes is emptied.
const LOG_BYTES: u64 = 256 * 1024;

/// A history in a file.
pub struct Sqlite {
    db: Connection,
    path: PathBuf,
    /// It is waited so long for others.
    limit: Duration,
    /// Of its tables.
    version: usize,
}

/// Why something failed: the library's word or ours.
#[derive(Debug)]
enum Wrong {
    Sql(rusqlite::Error),
    Said(Failure),
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self::Said(failure)
    }
}

type Result<T> = std::result::Result<T, Wrong>;

/// Opens the file; none when it is only to be read and has no history yet.
pub fn open(path: &Path, mode: Mode, limit: Duration) -> std::result::Result<Option<Sqlite>, Failure> {
    let there = match fs::metadata(path) {
        Ok(found) if found.is_file() => true,
        Ok(_) => return Err(said(path, "not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(said(path, &in_words(&error))),
    };
    let opened = match mode {
        Mode::Write => {
            if !there {
                create(path)?;
            }
            to_write(path, limit).map(Some)
        }
        Mode::Read if there => to_read(path, limit),
        Mode::Read => Ok(None),
    };
    let opened = opened.map_err(|wrong| failure(path, wrong))?;
    Ok(opened.map(|(db, version)| Sqlite { db, path: path.to_owned(), limit, version }))
}

/// SQLite would make it for everybody to read.
fn create(path: &Path) -> std::result::Result<(), Failure> {
    match file::create(path) {
        // Somebody was quicker.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|error| said(path, &in_words(&error))),
    }
}

fn to_write(path: &Path, limit: Duration) -> Result<(Connection, usize)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(limit)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // A file system on which it cannot be shared by a log keeps the way it has.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; \
         PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF",
    )?;
    if version(&db)? < STEPS.len() {
        migrate(&mut db, &STEPS)?;
    }
    Ok((db, STEPS.len()))
}

/// Brings the tables up to date, all of it or nothing.
fn migrate(db: &mut Connection, steps: &[&str]) -> Result<()> {
    let transaction = immediate(db)?;
    // Somebody else may have done it while the lock was waited for.
    let version = version(&transaction)?;
    if version == 0 {
        let table = "CREATE TABLE IF NOT EXISTS netquota_schema (version INTEGER NOT NULL);
                     DELETE FROM netquota_schema; INSERT INTO netquota_schema VALUES (0)";
        transaction.execute_batch(table)?;
    }
    for step in steps.get(version..).unwrap_or_default() {
        transaction.execute_batch(step)?;
    }
    transaction.execute("UPDATE netquota_schema SET version = ?", [steps.len() as i64])?;
    Ok(transaction.commit()?)
}

fn immediate(db: &mut Connection) -> Result<Transaction<'_>> {
    Ok(db.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

/// How many steps the tables have taken; 0 without any.
fn version(db: &Connection) -> Result<usize> {
    let there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'netquota_schema'";
    if db.query_row(there, [], |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    let version: Option<i64> = db.query_row("SELECT version FROM netquota_schema", [], |row| row.get(0)).optional()?;
    let version = version.unwrap_or(0);
    match usize::try_from(version) {
        Ok(version) if version <= STEPS.len() => Ok(version),
        _ => Err(columns::newer(version, STEPS.len()).into()),
    }
}

fn to_read(path: &Path, limit: Duration) -> Result<Option<(Connection, usize)>> {
    let as_it_is = || reader(Path::new(&unchanging(path)), OpenFlags::SQLITE_OPEN_URI, limit);
    let opened = match is_left_alone(path) {
        true => as_it_is(),
        false => reader(path, OpenFlags::empty(), limit),
    };
    let (db, version) = match opened {
        Err(Wrong::Sql(error)) if cannot_share(&error) => match log_bytes(path) {
            // Nobody can write here either, so it stays as it is while it is read.
            0 => as_it_is()?,
            _ => return Err(Failure { text: UNSHARED.into() }.into()),
        },
        opened => opened?,
    };
    Ok((version > 0).then_some((db, version)))
}

/// What is said of a log that cannot be looked into.
const UNSHARED: &str = "the log beside it (-wal) can be read only by who may write here: run it as root, or copy both \
                        files to a folder of your own";

/// Whether nobody has it open who writes to a log, and nothing is in one: a copy, of which reading shall make no more
/// files. Whoever writes in another way is not seen by files beside it.
fn is_left_alone(path: &Path) -> bool {
    let missing = |ending: &str| matches!(fs::exists(beside(path, ending)), Ok(false));
    has_log(path) && log_bytes(path) == 0 && (missing("-wal") || missing("-shm"))
}

/// Whether the file says of itself that it is written by way of a log.
fn has_log(path: &Path) -> bool {
    /// Where the versions of the format are, for writing and for reading, and which ones those of a log are.
    const VERSIONS: (usize, [u8; 2]) = (18, [2, 2]);
    let mut head = [0; VERSIONS.0 + 2];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head[VERSIONS.0..] == VERSIONS.1
}

fn reader(path: &Path, more: OpenFlags, limit: Duration) -> Result<(Connection, usize)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let db = Connection::open_with_flags(path, flags | more)?;
    db.busy_timeout(limit)?;
    db.execute_batch("PRAGMA temp_store = MEMORY")?;
    let version = version(&db)?;
    Ok((db, version))
}

/// The files beside it that its readers share cannot be made, as in a folder that is read-only.
fn cannot_share(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// How many bytes the write-ahead log has; 0 without one.
fn log_bytes(path: &Path) -> u64 {
    fs::metadata(beside(path, "-wal")).map_or(0, |found| found.len())
}

/// The file beside it with such an ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The address by which SQLite takes a file that nobody changes.
fn unchanging(path: &Path) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
    format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_encoded_bytes(), KEPT))
}

fn said(path: &Path, text: &str) -> Failure {
    Failure { text: format!("{}: {text}", path.display()) }
}

fn failure(path: &Path, wrong: Wrong) -> Failure {
    match wrong {
        Wrong::Said(failure) => said(path, &failure.text),
        Wrong::Sql(error) => said(path, &words(&error)),
    }
}

/// What the library says, in words that say more where it says little.
fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => "somebody else keeps it locked".into(),
            ErrorCode::DiskFull => "no space left for it".into(),
            ErrorCode::NotADatabase => "it is no SQLite database".into(),
            ErrorCode::CannotOpen => "it cannot be opened: may it and its folder be read and written?".into(),
            ErrorCode::DatabaseCorrupt => "it is damaged".into(),
            ErrorCode::SystemIoFailure => {
                format!("it cannot be read or written (SQLite's error {})", code.extended_code)
            }
            _ => text.clone().unwrap_or_else(|| format!("SQLite's error {}", code.extended_code)),
        },
        other => other.to_string(),
    }
}

impl Sqlite {
    /// Names the file in what went wrong.
    fn named<T>(&self, done: Result<T>) -> std::result::Result<T, Failure> {
        done.map_err(|wrong| failure(&self.path, wrong))
    }

    /// Moves what is in the log to where it belongs, unless somebody is just reading it: then the next one does.
    fn tidy_up(&self) {
        if log_bytes(&self.path) >= LOG_BYTES {
            // What is written is written, whether or not this can be done.
            let _ = self.db.busy_timeout(Duration::ZERO);
            let _ = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            let _ = self.db.busy_timeout(self.limit);
        }
    }
}

impl Archive for Sqlite {
    fn write(&mut self, batch: &Batch) -> std::result::Result<(), Failure> {
        let done = write::write(&mut self.db, batch);
        self.tidy_up();
        self.named(done)
    }

    fn instances(&mut self) -> std::result::Result<Vec<Instance>, Failure> {
        self.named(read::instances(&self.db))
    }

    fn subjects(&mut self, instance: Option<&str>) -> std::result::Result<Vec<Known>, Failure> {
        self.named(read::subjects(&self.db, instance))
    }

    fn rows(
        &mut self,
        ids: Option<&[i64]>,
        from: Instant,
        to: Instant,
        grain: Grain,
    ) -> std::result::Result<Vec<Row>, Failure> {
        self.named(read::rows(&self.db, ids, &read::Span { from, to, grain }))
    }

    fn nearest(&mut self, id: i64, side: Side, at: Instant, grain: Grain) -> std::result::Result<Option<Row>, Failure> {
        self.named(read::nearest(&self.db, id, side, at, grain))
    }

    fn nearest_of_each(
        &mut self,
        ids: &[i64],
        side: Side,
        at: Instant,
        grain: Grain,
    ) -> std::result::Result<Vec<Row>, Failure> {
        self.named(read::nearest_of_each(&self.db, ids, side, at, grain))
    }

    fn events(
        &mut self,
        instance: Option<&str>,
        from: Instant,
        to: Instant,
    ) -> std::result::Result<Vec<Logged>, Failure> {
        if self.version < schema::WITH_EVENTS {
            return Ok(Vec::new());
        }
        self.named(read::events(&self.db, instance, from, to))
    }

    fn prune(&mut self, prune: &Prune, rehearse: bool) -> std::result::Result<Pruned, Failure> {
        let done = match rehearse {
            true => prune::rehearse(&mut self.db, prune, self.version >= schema::WITH_EVENTS),
            false => prune::prune(&mut self.db, prune),
        };
        self.tidy_up();
        self.named(done)
    }
}

#[cfg(test)]
mod tests;

//! Histories: what a sample costs a check, how large a year of 1,000 subjects is, and how long reports of it take.
//!
//! The year is written by SQL into a store that the program has made, as a year of checks would have left it: days for
//! good, hours for 90 days, every five minutes for 14 days.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};
use serde_json::Value;

/// What a year of them may take, bytes.
pub const BUDGET_YEAR: u64 = 300_000_000;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A machine with very many interfaces, and its history.
pub struct History {
    folder: PathBuf,
    root: PathBuf,
    subjects: u64,
}

impl History {
    /// So many interfaces, added to a machine's root folder that is there already.
    pub fn new(subjects: u64, folder: &Path, root: &Path) -> io::Result<Self> {
        let history = Self { folder: folder.to_owned(), root: root.to_owned(), subjects };
        for number in 0..subjects {
            let nic = root.join(format!("sys/class/net/v{number:04}"));
            fs::create_dir_all(nic.join("statistics"))?;
            fs::create_dir_all(nic.join("device"))?;
            for (name, text) in [("type", "1\n".to_owned()), ("ifindex", format!("{}\n", 10 + number))] {
                fs::write(nic.join(name), text)?;
            }
            fs::write(nic.join("statistics/rx_bytes"), format!("{}\n", number * 7))?;
            fs::write(nic.join("statistics/tx_bytes"), format!("{}\n", number * 13))?;
        }
        for (name, url) in [("kept", "sqlite:"), ("none", "none")] {
            let text = format!(
                "timezone = \"UTC\"\n[source.interface]\ninterfaces = [\"v*\"]\n[quota.month]\n\
                 allowance = \"900 TB\"\ntiers = [\"90%\"]\n[history]\nurl = \"{url}\"\n"
            );
            fs::write(folder.join(format!("{name}.toml")), text)?;
            fs::create_dir_all(folder.join(name))?;
        }
        Ok(history)
    }

    /// A command of the program on the machine, with a history (`kept`) or without (`none`).
    pub fn command(&self, program: &str, which: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("--root").arg(&self.root).arg("--state-dir").arg(self.folder.join(which));
        command.arg("--config").arg(self.folder.join(format!("{which}.toml"))).args(arguments);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.folder);
        command
    }

    /// The state directory of the checks with a history.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("kept")
    }

    /// Writes the year before now into the store; returns the bytes it takes.
    pub fn fill(&self) -> io::Result<u64> {
        let path = self.state_dir().join("history.db");
        write_year(&path, self.subjects).map_err(io::Error::other)?;
        Ok(fs::metadata(path)?.len())
    }
}

/// Makes the next check find a sample due.
pub fn make_due(state_dir: &Path) -> io::Result<()> {
    let path = state_dir.join("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path)?)?;
    state["history"]["sampled"] = "2026-01-01T00:00:00Z".into();
    fs::write(path, state.to_string())
}

fn write_year(path: &Path, subjects: u64) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    let ids: Vec<i64> = transaction
        .prepare("SELECT id FROM netquota_series ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    assert_eq!(ids.len() as u64, subjects, "subjects of the store");
    let instance: i64 = transaction.query_row("SELECT number FROM netquota_instances", [], |row| row.get(0))?;
    // What the checks wrote is of now: the year goes before it.
    transaction.execute_batch("DELETE FROM netquota_samples; DELETE FROM netquota_moments")?;
    {
        let mut moment =
            transaction.prepare("INSERT INTO netquota_moments (instance, at, grain) VALUES (?1, ?2, ?3)")?;
        let mut sample =
            transaction.prepare("INSERT INTO netquota_samples (moment, series, rx, tx) VALUES (?1, ?2, ?3, ?4)")?;
        for (at, grain, seconds) in moments() {
            let id = moment.insert(params![instance, at, grain])?;
            for (place, series) in ids.iter().enumerate() {
                // Some ten megabits a second, negative before the program's own first sight of them.
                let tx = -(seconds * 1_250_000) - place as i64;
                sample.execute(params![id, series, tx / 4, tx])?;
            }
        }
    }
    transaction.execute("UPDATE netquota_series SET first_at = first_at - ?1", params![366 * DAY as i64])?;
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// The moments of a year: when, their grain, and how many seconds ago.
fn moments() -> impl Iterator<Item = (i64, i64, i64)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
    let start = (now - 365 * DAY) / DAY * DAY;
    (0..).map(move |number| start + number * 5 * MINUTE).take_while(move |at| *at < now).filter_map(move |at| {
        let age = now - at;
        let grain = match at {
            _ if at % DAY == 0 => 2,
            _ if at % HOUR == 0 => 1,
            _ => 0,
        };
        let kept = grain == 2 || (grain == 1 && age < 90 * DAY) || age < 14 * DAY;
        kept.then_some((at as i64, grain, (age / 1000) as i64))
    })
}

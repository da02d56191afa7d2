//! The tables, and how they came about.
//!
//! Invariant: version N is what the first N steps make; a step that was ever released is never changed. Who only reads
//! makes nothing, and needs no right but to read.

use super::super::columns;
use super::{Connection, Remote, Trouble};
use crate::history::place::Mode;

/// From this version on there are events.
pub const WITH_EVENTS: usize = 2;

/// The version of the tables, up to date when they are to be written; 0 without any.
pub fn prepare<C: Connection>(remote: &mut Remote<C>, mode: Mode) -> Result<usize, Trouble> {
    let version = version(remote)?;
    if mode == Mode::Read || version == C::STEPS.len() {
        return Ok(version);
    }
    remote.attempt(Mode::Write, migrate)
}

/// How many steps the tables have taken.
fn version<C: Connection>(remote: &mut Remote<C>) -> Result<usize, Trouble> {
    if !yes(remote, C::EXISTS)? {
        return Ok(0);
    }
    let rows = remote.ask("SELECT version FROM netquota_schema")?;
    let version = rows.first().map_or(Ok(0), |row| row.number(0))?;
    match usize::try_from(version) {
        Ok(version) if version <= C::STEPS.len() => Ok(version),
        _ => Err(columns::newer(version, C::STEPS.len()).into()),
    }
}

fn yes<C: Connection>(remote: &mut Remote<C>, question: &str) -> Result<bool, Trouble> {
    Ok(remote.ask(question)?.first().map_or(Ok(None), |row| row.optional(0))?.is_some_and(|answer| answer != 0))
}

fn migrate<C: Connection>(remote: &mut Remote<C>) -> Result<usize, Trouble> {
    if !yes(remote, C::LOCK)? {
        return Err(Trouble::new("another run is making its tables"));
    }
    // Somebody else may have made them while the lock was waited for.
    let version = version(remote)?;
    if version == 0 {
        remote.run("CREATE TABLE IF NOT EXISTS netquota_schema (version INTEGER NOT NULL)")?;
        remote.run("DELETE FROM netquota_schema")?;
        remote.run("INSERT INTO netquota_schema VALUES (0)")?;
    }
    for (number, step) in (1..).zip(C::STEPS).skip(version) {
        remote.run(step)?;
        // At once, since not every server has tables made as a part of a transaction.
        remote.run(&format!("UPDATE netquota_schema SET version = {number}"))?;
    }
    remote.run(C::UNLOCK)?;
    Ok(C::STEPS.len())
}

//! What is deleted of the file because somebody wants it.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::super::series::Stored;
use super::super::{Failure, Prune, Pruned};
use super::read::ends;
use super::write::{Rows, forget, stored, update};
use super::{Result, immediate};
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// Space is given back when at least so many pages are free, and a quarter of all.
const WORTH_IT: i64 = 256;

/// What is meant, with the file's numbers.
struct Target {
    instance: i64,
    /// The subjects; none: all, with all events.
    subjects: Option<Vec<Stored>>,
    /// Later than that.
    from: i64,
    /// Earlier than that.
    to: i64,
}

impl Target {
    /// None when the machine is not known.
    fn find(db: &Connection, prune: &Prune) -> Result<Option<Self>> {
        let number = "SELECT number FROM netquota_instances WHERE id = ?";
        let Some(instance) = db.query_row(number, [&prune.instance], |row| row.get(0)).optional()? else {
            return Ok(None);
        };
        let known = stored(db, instance)?;
        let strange = prune.stay.iter().find(|row| !known.iter().any(|known| known.id == row.id));
        if let Some(row) = strange {
            return Err(Failure { text: format!("no subject {} to keep a row of", row.id) }.into());
        }
        let subjects =
            prune.ids.as_ref().map(|ids| known.into_iter().filter(|known| ids.contains(&known.id)).collect());
        let from = prune.from.map_or(i64::MIN, Instant::millis);
        Ok(Some(Self { instance, subjects, from, to: prune.to.millis() }))
    }

    /// The names that events are about.
    fn names(subjects: &[Stored]) -> BTreeSet<(&str, &str)> {
        subjects.iter().map(|known| (known.named.source.as_str(), known.named.subject.as_str())).collect()
    }
}

/// The moments between the ends, by the parameters 1 to 3.
const MOMENTS: &str = "SELECT id FROM netquota_moments WHERE instance = ?1 AND at > ?2 AND at < ?3";
/// The events between the ends, by the same.
const EVENTS: &str = "FROM netquota_events WHERE instance = ?1 AND at >= ?2 AND at < ?3";
/// Those about a subject.
const ABOUT: &str = "AND source = ?4 AND subject = ?5";

/// Counts what would go; an older file may have no events yet.
pub fn rehearse(db: &mut Connection, prune: &Prune, with_events: bool) -> Result<Pruned> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let Some(target) = Target::find(&transaction, prune)? else { return Ok(Pruned::default()) };
    let Target { instance, from, to, .. } = target;
    let count = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<u64> {
        Ok(transaction.query_row(sql, values, |row| row.get::<_, i64>(0))?.unsigned_abs())
    };
    let all_rows = format!("SELECT count(*) FROM netquota_samples WHERE moment IN ({MOMENTS})");
    let all_events = format!("SELECT count(*) {EVENTS}");
    let mut pruned = Pruned::default();
    let Some(subjects) = &target.subjects else {
        pruned.rows = count(&all_rows, params![instance, from, to])?;
        if with_events {
            pruned.events = count(&all_events, params![instance, from, to])?;
        }
        return Ok(pruned);
    };
    for known in subjects {
        pruned.rows += count(&format!("{all_rows} AND series = ?4"), params![instance, from, to, known.id])?;
    }
    for (source, subject) in Target::names(subjects).into_iter().filter(|_| with_events) {
        pruned.events += count(&format!("{all_events} {ABOUT}"), params![instance, from, to, source, subject])?;
    }
    Ok(pruned)
}

/// Deletes, writes the rows that are to stay, and gives the space back.
pub fn prune(db: &mut Connection, prune: &Prune) -> Result<Pruned> {
    let transaction = immediate(db)?;
    let Some(target) = Target::find(&transaction, prune)? else { return Ok(Pruned::default()) };
    let pruned = delete(&transaction, &target)?;
    stay(&transaction, target.instance, prune)?;
    remember_ends(&transaction, &target)?;
    transaction.commit()?;
    // What was to go is gone, whether or not the file becomes smaller.
    let _ = give_back(db);
    Ok(pruned)
}

fn delete(db: &Transaction<'_>, target: &Target) -> Result<Pruned> {
    let Target { instance, from, to, .. } = *target;
    let rows = format!("DELETE FROM netquota_samples WHERE moment IN ({MOMENTS})");
    let events = format!("DELETE {EVENTS}");
    let mut pruned = Pruned::default();
    match &target.subjects {
        None => {
            pruned.rows = db.execute(&rows, [instance, from, to])? as u64;
            pruned.events = db.execute(&events, [instance, from, to])? as u64;
        }
        Some(subjects) => {
            let rows = format!("{rows} AND series = ?4");
            for known in subjects {
                pruned.rows += db.execute(&rows, [instance, from, to, known.id])? as u64;
            }
            let events = format!("{events} {ABOUT}");
            for (source, subject) in Target::names(subjects) {
                pruned.events += db.execute(&events, params![instance, from, to, source, subject])? as u64;
            }
        }
    }
    db.execute(
        "DELETE FROM netquota_moments WHERE instance = ? AND at > ? AND at < ?
         AND NOT EXISTS (SELECT 1 FROM netquota_samples WHERE moment = netquota_moments.id)",
        [instance, from, to],
    )?;
    Ok(pruned)
}

fn stay(db: &Transaction<'_>, instance: i64, prune: &Prune) -> Result<()> {
    let mut rows = Rows::new(db, instance)?;
    let widen = "UPDATE netquota_series SET first_at = min(first_at, ?2), seen_at = max(seen_at, ?2) WHERE id = ?1";
    let mut widen = db.prepare(widen)?;
    for row in &prune.stay {
        let moment = rows.moment(row.at, Grain::Day.number())?;
        rows.sample(moment, row.id, &row.total)?;
        widen.execute([row.id, row.at.millis()])?;
    }
    Ok(())
}

/// Forgets the subjects without rows, and notes of the others where theirs begin and end.
fn remember_ends(db: &Transaction<'_>, target: &Target) -> Result<()> {
    for known in stored(db, target.instance)? {
        match ends(db, known.id)? {
            None => forget(db, known.id)?,
            Some(ends) if (*ends.start(), *ends.end()) != (known.first, known.seen) => {
                update(db, &Stored { first: *ends.start(), seen: *ends.end(), ..known })?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn give_back(db: &Connection) -> Result<()> {
    let pages = |pragma: &str| db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let (free, all) = (pages("freelist_count")?, pages("page_count")?);
    if free >= WORTH_IT && free * 4 >= all {
        db.execute_batch("VACUUM")?;
    }
    Ok(())
}

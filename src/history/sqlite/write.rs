//! What a run writes, in one transaction.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Statement, Transaction, params};

use super::super::series::{Change, Firsts, Stored, changes};
use super::super::{Batch, Failure, Keep, Moment, Named, Total, columns};
use super::{Result, immediate};
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// All of a batch, and what is to go with it.
pub fn write(db: &mut Connection, batch: &Batch) -> Result<()> {
    let transaction = immediate(db)?;
    let instance = instance(&transaction, batch)?;
    let (ids, firsts) = subjects(&transaction, instance, batch)?;
    if let Some(after) = batch.after {
        cut(&transaction, instance, after)?;
    }
    let mut rows = Rows::new(&transaction, instance)?;
    for moment in &batch.moments {
        rows.put(moment, firsts.grain(moment), &ids)?;
    }
    drop(rows);
    events(&transaction, instance, batch)?;
    thin(&transaction, instance, batch, Keep::at_once(ids.len()))?;
    thin_events(&transaction, instance, batch)?;
    Ok(transaction.commit()?)
}

/// The number of the batch's machine, which is called as the batch says from now on.
fn instance(db: &Transaction<'_>, batch: &Batch) -> Result<i64> {
    let known: Option<(i64, String)> = db
        .query_row("SELECT number, host FROM netquota_instances WHERE id = ?", [&batch.instance], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((number, host)) = known else {
        db.execute("INSERT INTO netquota_instances (id, host) VALUES (?, ?)", [&batch.instance, &batch.host])?;
        return Ok(db.last_insert_rowid());
    };
    if host != batch.host {
        db.execute("UPDATE netquota_instances SET host = ? WHERE number = ?", params![batch.host, number])?;
    }
    Ok(number)
}

/// The subjects that a machine has in the file.
pub fn stored(db: &Connection, instance: i64) -> Result<Vec<Stored>> {
    let mut statement = db.prepare(
        "SELECT id, subject_key, source, subject, label, part_of, first_at, seen_at
         FROM netquota_series WHERE instance = ? ORDER BY id",
    )?;
    let rows = statement.query_map([instance], |row| {
        let named = Named {
            key: columns::unsigned(row.get(1)?),
            source: row.get(2)?,
            subject: row.get(3)?,
            label: row.get(4)?,
            part_of: row.get(5)?,
        };
        let (first, seen) = (Instant::from_millis(row.get(6)?), Instant::from_millis(row.get(7)?));
        Ok(Stored { id: row.get(0)?, named, first, seen })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// The ids of the machine's subjects by key, once they are as the batch says, and when new ones begin.
fn subjects(db: &Transaction<'_>, instance: i64, batch: &Batch) -> Result<(HashMap<u64, i64>, Firsts)> {
    let stored = stored(db, instance)?;
    let mut ids: HashMap<u64, i64> = stored.iter().map(|known| (known.named.key, known.id)).collect();
    let mut insert = db.prepare(
        "INSERT INTO netquota_series (instance, subject_key, source, subject, label, part_of, first_at, seen_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let (changes, firsts) = changes(&stored, batch)?;
    for change in changes {
        match change {
            Change::Insert { named: of, first, seen } => {
                let key = columns::signed(of.key);
                insert.execute(params![
                    instance,
                    key,
                    of.source,
                    of.subject,
                    of.label,
                    of.part_of,
                    first.millis(),
                    seen.millis()
                ])?;
                ids.insert(of.key, db.last_insert_rowid());
            }
            Change::Update(known) => update(db, &known)?,
            Change::Forget(id) => {
                forget(db, id)?;
                ids.retain(|_, known| *known != id);
            }
        }
    }
    Ok((ids, firsts))
}

/// Writes what is known of a subject.
pub fn update(db: &Connection, known: &Stored) -> Result<()> {
    let of = &known.named;
    db.prepare(
        "UPDATE netquota_series SET source = ?, subject = ?, label = ?, part_of = ?, first_at = ?, seen_at = ?
         WHERE id = ?",
    )?
    .execute(params![
        of.source,
        of.subject,
        of.label,
        of.part_of,
        known.first.millis(),
        known.seen.millis(),
        known.id
    ])?;
    Ok(())
}

/// Removes a subject that has no rows.
pub fn forget(db: &Connection, id: i64) -> Result<()> {
    db.execute("DELETE FROM netquota_series WHERE id = ?", [id])?;
    Ok(())
}

/// Deletes what a run wrote that was cut off before it saved its state.
fn cut(db: &Transaction<'_>, instance: i64, after: Instant) -> Result<()> {
    let later = params![instance, after.millis()];
    db.execute(
        "DELETE FROM netquota_samples
         WHERE moment IN (SELECT id FROM netquota_moments WHERE instance = ? AND at > ?)",
        later,
    )?;
    db.execute("DELETE FROM netquota_moments WHERE instance = ? AND at > ?", later)?;
    Ok(())
}

/// Writes rows of a machine.
pub struct Rows<'d> {
    instance: i64,
    moment: Statement<'d>,
    sample: Statement<'d>,
}

impl<'d> Rows<'d> {
    /// Of this machine.
    pub fn new(db: &'d Connection, instance: i64) -> Result<Self> {
        let moment = db.prepare(
            "INSERT INTO netquota_moments (instance, at, grain) VALUES (?, ?, ?)
             ON CONFLICT (instance, at) DO UPDATE SET grain = max(grain, excluded.grain) RETURNING id",
        )?;
        let sample = db.prepare(
            "INSERT INTO netquota_samples (moment, series, rx, tx, spread) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (moment, series) DO UPDATE SET rx = excluded.rx, tx = excluded.tx, spread = excluded.spread",
        )?;
        Ok(Self { instance, moment, sample })
    }

    fn put(&mut self, moment: &Moment, grain: Grain, ids: &HashMap<u64, i64>) -> Result<()> {
        if moment.totals.is_empty() {
            return Ok(());
        }
        let number = self.moment(moment.at, grain.number())?;
        for (key, total) in &moment.totals {
            let id = ids.get(key).ok_or_else(|| Failure { text: format!("no subject has the key {key:016x}") })?;
            self.sample(number, *id, total)?;
        }
        Ok(())
    }

    /// The number of a moment, which is of at least this grain from now on.
    pub fn moment(&mut self, at: Instant, grain: i64) -> Result<i64> {
        Ok(self.moment.query_row(params![self.instance, at.millis(), grain], |row| row.get(0))?)
    }

    /// A subject's total at a moment.
    pub fn sample(&mut self, moment: i64, id: i64, total: &Total) -> Result<()> {
        self.sample.execute(params![moment, id, total.rx, total.tx, columns::spread(total)])?;
        Ok(())
    }
}

fn events(db: &Transaction<'_>, instance: i64, batch: &Batch) -> Result<()> {
    let logged = columns::signed(batch.logged);
    db.execute("DELETE FROM netquota_events WHERE instance = ? AND number > ?", [instance, logged])?;
    if batch.events.is_empty() {
        return Ok(());
    }
    let mut insert = db.prepare("INSERT INTO netquota_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for (number, event) in (logged + 1..).zip(&batch.events) {
        let (kind, outcome) = (event.kind.name(), event.outcome.name());
        insert.execute(params![
            instance,
            number,
            event.at.millis(),
            kind,
            event.source,
            event.subject,
            event.quota,
            event.name,
            event.reason,
            outcome,
            event.detail
        ])?;
    }
    Ok(())
}

/// Deletes the oldest moments that are kept no longer.
fn thin(db: &Transaction<'_>, instance: i64, batch: &Batch, mut left: usize) -> Result<()> {
    let mut over =
        db.prepare("SELECT id FROM netquota_moments WHERE instance = ? AND grain = ? AND at < ? ORDER BY at LIMIT ?")?;
    let mut samples = db.prepare("DELETE FROM netquota_samples WHERE moment = ?")?;
    let mut moment = db.prepare("DELETE FROM netquota_moments WHERE id = ?")?;
    for (grain, before) in batch.keep.over(batch.now) {
        let found =
            over.query_map(params![instance, grain.number(), before.millis(), left as i64], |row| row.get(0))?;
        let found: Vec<i64> = found.collect::<std::result::Result<_, _>>()?;
        for number in &found {
            samples.execute([number])?;
            moment.execute([number])?;
        }
        left -= found.len();
    }
    Ok(())
}

/// Deletes the oldest events that are kept no longer.
fn thin_events(db: &Transaction<'_>, instance: i64, batch: &Batch) -> Result<()> {
    if let Some(before) = batch.keep.events_over(batch.now) {
        db.execute(
            "DELETE FROM netquota_events WHERE instance = ?1 AND number IN
             (SELECT number FROM netquota_events WHERE instance = ?1 AND at < ?2 ORDER BY at, number LIMIT ?3)",
            params![instance, before.millis(), Keep::EVENTS as i64],
        )?;
    }
    Ok(())
}

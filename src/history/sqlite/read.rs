//! What is read of the file.
//!
//! Why the joins are `CROSS JOIN`: with it SQLite goes through the tables in the order they are written in. Without
//! statistics, which nobody gathers, it cannot know that there are few moments in a span and many samples in each.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::series::AGED;
use super::super::{Instance, Known, Logged, Named, Row, Side, columns};
use super::Result;
use crate::quota::event::Event;
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// More subjects than that are found by reading all of the moments.
const ONE_BY_ONE: usize = 32;

/// Which moments are meant.
pub struct Span {
    /// The first instant.
    pub from: Instant,
    /// The last one.
    pub to: Instant,
    /// At least this.
    pub grain: Grain,
}

/// All machines.
pub fn instances(db: &Connection) -> Result<Vec<Instance>> {
    let mut statement = db.prepare("SELECT id, host FROM netquota_instances ORDER BY host, id")?;
    let rows = statement.query_map([], |row| Ok(Instance { id: row.get(0)?, host: row.get(1)? }))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// The subjects of one machine or of all.
pub fn subjects(db: &Connection, instance: Option<&str>) -> Result<Vec<Known>> {
    let mut statement = db.prepare(
        "SELECT s.id, i.id, s.subject_key, s.source, s.subject, s.label, s.part_of, s.first_at, s.seen_at
         FROM netquota_series s JOIN netquota_instances i ON i.number = s.instance
         WHERE ?1 IS NULL OR i.id = ?1 ORDER BY s.id",
    )?;
    let rows = statement.query_map([instance], |row| {
        Ok(Known {
            id: row.get(0)?,
            instance: row.get(1)?,
            named: Named {
                key: columns::unsigned(row.get(2)?),
                source: row.get(3)?,
                subject: row.get(4)?,
                label: row.get(5)?,
                part_of: row.get(6)?,
            },
            first: Instant::from_millis(row.get(7)?),
            seen: Instant::from_millis(row.get(8)?),
        })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// The rows of some subjects or of all in a span of time.
pub fn rows(db: &Connection, ids: Option<&[i64]>, span: &Span) -> Result<Vec<Row>> {
    match ids {
        Some(ids) if ids.len() <= ONE_BY_ONE => of_few(db, ids, span),
        Some(ids) => {
            let ids: HashSet<i64> = ids.iter().copied().collect();
            of_all(db, span, |id| ids.contains(&id))
        }
        None => of_all(db, span, |_| true),
    }
}

fn of_few(db: &Connection, ids: &[i64], span: &Span) -> Result<Vec<Row>> {
    let mut statement = db.prepare(
        "SELECT s.id, m.at, x.rx, x.tx, x.spread FROM netquota_series s
         CROSS JOIN netquota_moments m ON m.instance = s.instance AND m.at BETWEEN ?2 AND ?3 AND m.grain >= ?4
         CROSS JOIN netquota_samples x ON x.moment = m.id AND x.series = s.id
         WHERE s.id = ?1 ORDER BY m.at",
    )?;
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut all = Vec::new();
    for id in ids {
        let rows = statement.query_map(params![id, span.from.millis(), span.to.millis(), span.grain.number()], row)?;
        for row in rows {
            all.push(row?);
        }
    }
    Ok(all)
}

fn of_all(db: &Connection, span: &Span, wanted: impl Fn(i64) -> bool) -> Result<Vec<Row>> {
    let mut statement = db.prepare(
        "SELECT x.series, m.at, x.rx, x.tx, x.spread FROM netquota_instances i
         CROSS JOIN netquota_moments m ON m.instance = i.number AND m.at BETWEEN ?1 AND ?2 AND m.grain >= ?3
         CROSS JOIN netquota_samples x ON x.moment = m.id",
    )?;
    let rows = statement.query_map(params![span.from.millis(), span.to.millis(), span.grain.number()], row)?;
    let mut all = Vec::new();
    for row in rows {
        let row = row?;
        if wanted(row.id) {
            all.push(row);
        }
    }
    all.sort_unstable_by_key(|row| (row.id, row.at));
    Ok(all)
}

/// A row from its columns: subject, time, totals, spread.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let total = columns::total(row.get(2)?, row.get(3)?, row.get(4)?);
    Ok(Row { id: row.get(0)?, at: Instant::from_millis(row.get(1)?), total })
}

/// The nearest row on one side of an instant.
pub fn nearest(db: &Connection, id: i64, side: Side, at: Instant, grain: Grain) -> Result<Option<Row>> {
    Ok(nearest_of_each(db, &[id], side, at, grain)?.pop())
}

/// The nearest rows of some subjects on one side of an instant.
pub fn nearest_of_each(db: &Connection, ids: &[i64], side: Side, at: Instant, grain: Grain) -> Result<Vec<Row>> {
    // Only where the subject can have rows: of one that is long gone, or came late, nothing is near.
    let (bound, order) = match side {
        Side::Before => ("m.at <= min(?2, s.seen_at + ?4) AND m.at >= s.first_at", "DESC"),
        Side::After => ("m.at >= max(?2, s.first_at) AND m.at <= s.seen_at + ?4", "ASC"),
    };
    let sql = format!(
        "SELECT s.id, m.at, x.rx, x.tx, x.spread FROM netquota_series s
         CROSS JOIN netquota_moments m ON m.instance = s.instance AND m.grain >= ?3 AND {bound}
         CROSS JOIN netquota_samples x ON x.moment = m.id AND x.series = s.id
         WHERE s.id = ?1 ORDER BY m.at {order} LIMIT 1"
    );
    let aged = AGED.as_millis() as i64;
    let mut statement = db.prepare(&sql)?;
    let mut rows = Vec::new();
    for id in ids {
        rows.extend(statement.query_row(params![id, at.millis(), grain.number(), aged], row).optional()?);
    }
    Ok(rows)
}

/// What was done and told in a span of time, its end excluded.
pub fn events(db: &Connection, instance: Option<&str>, from: Instant, to: Instant) -> Result<Vec<Logged>> {
    let mut statement = db.prepare(
        "SELECT i.id, e.number, e.at, e.kind, e.source, e.subject, e.quota, e.name, e.reason, e.outcome, e.detail
         FROM netquota_events e CROSS JOIN netquota_instances i ON i.number = e.instance
         WHERE e.at >= ?2 AND e.at < ?3 AND (?1 IS NULL OR i.id = ?1) ORDER BY e.at, i.id, e.number",
    )?;
    let mut rows = statement.query(params![instance, from.millis(), to.millis()])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(Logged { instance: row.get(0)?, number: columns::unsigned(row.get(1)?), event: event(row)? });
    }
    Ok(events)
}

fn event(row: &rusqlite::Row<'_>) -> Result<Event> {
    Ok(Event {
        at: Instant::from_millis(row.get(2)?),
        kind: columns::kind(&row.get::<_, String>(3)?)?,
        source: row.get(4)?,
        subject: row.get(5)?,
        quota: row.get(6)?,
        name: row.get(7)?,
        reason: row.get(8)?,
        outcome: columns::outcome(&row.get::<_, String>(9)?)?,
        detail: row.get(10)?,
    })
}

/// The instants between which a subject has rows, both included; none when it has none.
pub fn ends(db: &Connection, id: i64) -> Result<Option<RangeInclusive<Instant>>> {
    let end = |side, at| nearest(db, id, side, at, Grain::Sample);
    let first = end(Side::After, Instant::from_millis(i64::MIN))?;
    let last = end(Side::Before, Instant::from_millis(i64::MAX))?;
    Ok(first.zip(last).map(|(first, last)| first.at..=last.at))
}

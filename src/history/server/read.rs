//! What is read of the store.
//!
//! Why texts are put in order here: servers do it by the rules of a language.

use std::collections::HashSet;

use super::statement::{number, numbers};
use super::write::LISTED;
use super::{Cells, Connection, Remote, Statement, Trouble, schema};
use crate::history::series::AGED;
use crate::history::{Instance, Known, Logged, Named, Row, Side, columns};
use crate::quota::event::Event;
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// More subjects than that are found by reading all of the moments.
const ONE_BY_ONE: usize = 32;

/// All machines.
pub fn instances<C: Connection>(remote: &mut Remote<C>) -> Result<Vec<Instance>, Trouble> {
    let rows = remote.ask("SELECT id, host FROM netquota_instances")?;
    let instances = rows.iter().map(|row| Ok(Instance { id: row.text(0)?, host: row.text(1)? }));
    let mut instances: Vec<Instance> = instances.collect::<Result<_, Trouble>>()?;
    instances.sort_unstable_by(|a, b| (&a.host, &a.id).cmp(&(&b.host, &b.id)));
    Ok(instances)
}

/// A condition that leaves one machine, or all.
fn of(instance: Option<&str>) -> (&'static str, Option<&str>) {
    (if instance.is_some() { "i.id = ?" } else { "1 = 1" }, instance)
}

/// The subjects of one machine or of all.
pub fn subjects<C: Connection>(remote: &mut Remote<C>, instance: Option<&str>) -> Result<Vec<Known>, Trouble> {
    let (wanted, texts) = of(instance);
    let sql = format!(
        "SELECT s.id, i.id, s.subject_key, s.source, s.subject, s.label, s.part_of, s.first_at, s.seen_at
         FROM netquota_series s JOIN netquota_instances i ON i.number = s.instance WHERE {wanted} ORDER BY s.id"
    );
    let rows = remote.ask(Statement::new(sql, texts))?;
    let known = rows.iter().map(|row| {
        Ok(Known {
            id: row.number(0)?,
            instance: row.text(1)?,
            named: Named {
                key: columns::unsigned(row.number(2)?),
                source: row.text(3)?,
                subject: row.text(4)?,
                label: row.text(5)?,
                part_of: row.text(6)?,
            },
            first: Instant::from_millis(row.number(7)?),
            seen: Instant::from_millis(row.number(8)?),
        })
    });
    known.collect()
}

/// The grains that are at least this, as conditions have them: a list is looked up in an index.
fn at_least(grain: Grain) -> String {
    let all = [Grain::Sample, Grain::Hour, Grain::Day];
    numbers(&all.into_iter().filter(|known| *known >= grain).map(Grain::number).collect::<Vec<_>>())
}

/// The rows of some subjects or of all in a span of time.
pub fn rows<C: Connection>(
    remote: &mut Remote<C>,
    ids: Option<&[i64]>,
    from: Instant,
    to: Instant,
    grain: Grain,
) -> Result<Vec<Row>, Trouble> {
    let span = format!(
        "m.at BETWEEN {} AND {} AND m.grain IN ({})",
        number(from.millis()),
        number(to.millis()),
        at_least(grain)
    );
    let columns = "SELECT x.series, m.at, x.rx, x.tx, x.spread";
    let found = match ids {
        Some([]) => return Ok(Vec::new()),
        Some(ids) if ids.len() <= ONE_BY_ONE => remote.ask(format!(
            "{columns} FROM netquota_series s JOIN netquota_moments m ON m.instance = s.instance
             JOIN netquota_samples x ON x.moment = m.id AND x.series = s.id WHERE {span} AND s.id IN ({})",
            numbers(ids)
        ))?,
        _ => remote.ask(format!(
            "{columns} FROM netquota_instances i JOIN netquota_moments m ON m.instance = i.number
             JOIN netquota_samples x ON x.moment = m.id WHERE {span}"
        ))?,
    };
    let wanted: Option<HashSet<i64>> = ids.map(|ids| ids.iter().copied().collect());
    let mut rows: Vec<Row> = found.iter().map(row).collect::<Result<_, _>>()?;
    rows.retain(|row| wanted.as_ref().is_none_or(|wanted| wanted.contains(&row.id)));
    rows.sort_unstable_by_key(|row| (row.id, row.at));
    Ok(rows)
}

/// A row from its columns: subject, time, totals, spread.
fn row(row: &Cells) -> Result<Row, Trouble> {
    let total = columns::total(row.number(2)?, row.number(3)?, row.optional(4)?);
    Ok(Row { id: row.number(0)?, at: Instant::from_millis(row.number(1)?), total })
}

/// The nearest row on one side of an instant.
pub fn nearest<C: Connection>(
    remote: &mut Remote<C>,
    id: i64,
    side: Side,
    at: Instant,
    grain: Grain,
) -> Result<Option<Row>, Trouble> {
    Ok(nearest_of_each(remote, &[id], side, at, grain)?.pop())
}

/// The nearest rows of some subjects on one side of an instant.
pub fn nearest_of_each<C: Connection>(
    remote: &mut Remote<C>,
    ids: &[i64],
    side: Side,
    at: Instant,
    grain: Grain,
) -> Result<Vec<Row>, Trouble> {
    let (at, aged) = (number(at.millis()), AGED.as_millis());
    // Only where the subject can have rows: of one that is long gone, or came late, nothing is near.
    let (bound, order) = match side {
        Side::Before => (format!("m.at <= LEAST({at}, s.seen_at + {aged}) AND m.at >= s.first_at"), "DESC"),
        Side::After => (format!("m.at >= GREATEST({at}, s.first_at) AND m.at <= s.seen_at + {aged}"), "ASC"),
    };
    let moment = format!(
        "SELECT m.id FROM netquota_moments m JOIN netquota_samples y ON y.moment = m.id AND y.series = s.id
         WHERE m.instance = s.instance AND m.grain IN ({}) AND {bound} ORDER BY m.at {order} LIMIT 1",
        at_least(grain)
    );
    let mut rows = Vec::new();
    for ids in ids.chunks(LISTED) {
        let found = remote.ask(format!(
            "SELECT x.series, n.at, x.rx, x.tx, x.spread
             FROM (SELECT s.id AS series, ({moment}) AS moment FROM netquota_series s WHERE s.id IN ({})) f
             JOIN netquota_moments n ON n.id = f.moment
             JOIN netquota_samples x ON x.moment = f.moment AND x.series = f.series",
            numbers(ids)
        ))?;
        for found in &found {
            rows.push(row(found)?);
        }
    }
    Ok(rows)
}

/// What was done and told in a span of time, its end excluded.
pub fn events<C: Connection>(
    remote: &mut Remote<C>,
    instance: Option<&str>,
    from: Instant,
    to: Instant,
) -> Result<Vec<Logged>, Trouble> {
    if remote.version < schema::WITH_EVENTS {
        return Ok(Vec::new());
    }
    let (wanted, texts) = of(instance);
    let sql = format!(
        "SELECT i.id, e.number, e.at, e.kind, e.source, e.subject, e.quota, e.name, e.reason, e.outcome, e.detail
         FROM netquota_events e JOIN netquota_instances i ON i.number = e.instance
         WHERE e.at >= {} AND e.at < {} AND {wanted}",
        number(from.millis()),
        number(to.millis())
    );
    let rows = remote.ask(Statement::new(sql, texts))?;
    let events = rows.iter().map(|row| {
        let number = columns::unsigned(row.number(1)?);
        Ok(Logged { instance: row.text(0)?, number, event: event(row)? })
    });
    let mut events: Vec<Logged> = events.collect::<Result<_, Trouble>>()?;
    let order = |of: &Logged| (of.event.at, of.instance.clone(), columns::signed(of.number));
    events.sort_by_cached_key(order);
    Ok(events)
}

fn event(row: &Cells) -> Result<Event, Trouble> {
    Ok(Event {
        at: Instant::from_millis(row.number(2)?),
        kind: columns::kind(&row.text(3)?)?,
        source: row.text(4)?,
        subject: row.text(5)?,
        quota: row.text(6)?,
        name: row.text(7)?,
        reason: row.text(8)?,
        outcome: columns::outcome(&row.text(9)?)?,
        detail: row.text(10)?,
    })
}

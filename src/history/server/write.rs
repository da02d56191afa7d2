//! What a run writes, in one transaction.
//!
//! Why moments are deleted by their numbers, and not by a condition on them: MySQL would read all samples for it.

use std::collections::HashMap;

use super::statement::{number, numbers};
use super::{Connection, Remote, Statement, Trouble};
use crate::history::series::{Change, Firsts, Stored, changes};
use crate::history::{Batch, Keep, Named, Total, columns};
use crate::quota::instant::Instant;

/// So many numbers are listed in a statement at the most.
pub const LISTED: usize = 500;

/// All of a batch, and what is to go with it.
pub fn write<C: Connection>(remote: &mut Remote<C>, batch: &Batch) -> Result<(), Trouble> {
    let instance = instance(remote, batch)?;
    let (ids, firsts) = subjects(remote, instance, batch)?;
    if let Some(after) = batch.after {
        cut(remote, instance, after)?;
    }
    let moments: Vec<(Instant, i64)> = batch
        .moments
        .iter()
        .filter(|moment| !moment.totals.is_empty())
        .map(|moment| (moment.at, firsts.grain(moment).number()))
        .collect();
    let numbers = moments_at(remote, instance, &moments)?;
    let mut samples = Vec::new();
    for moment in &batch.moments {
        for (key, total) in &moment.totals {
            let missing = || Trouble::new(format!("no subject has the key {key:016x}"));
            let id = ids.get(key).ok_or_else(missing)?;
            samples.push((numbers[&moment.at], *id, *total));
        }
    }
    put(remote, &samples)?;
    events(remote, instance, batch)?;
    thin(remote, instance, batch, Keep::at_once(ids.len()))?;
    thin_events(remote, instance, batch)
}

/// The number of a machine, whose row is held until the transaction ends.
pub fn hold<C: Connection>(remote: &mut Remote<C>, id: &str) -> Result<Option<(i64, String)>, Trouble> {
    let held = Statement::new("SELECT number, host FROM netquota_instances WHERE id = ? FOR UPDATE", [id]);
    let rows = remote.ask(held)?;
    rows.first().map(|row| Ok((row.number(0)?, row.text(1)?))).transpose()
}

/// The number of the batch's machine, which is called as the batch says from now on.
fn instance<C: Connection>(remote: &mut Remote<C>, batch: &Batch) -> Result<i64, Trouble> {
    let host = C::storable(&batch.host);
    let known = match hold(remote, &batch.instance)? {
        Some(known) => known,
        None => {
            let over = format!("{} host = {}", C::conflict("id"), C::inserted("host"));
            let sql = format!("INSERT INTO netquota_instances (id, host) VALUES (?, ?) {over}");
            remote.tell(Statement::new(sql, [batch.instance.as_str(), &host]))?;
            hold(remote, &batch.instance)?.ok_or_else(|| Trouble::new("the machine's row is gone"))?
        }
    };
    if known.1 != host {
        let sql = format!("UPDATE netquota_instances SET host = ? WHERE number = {}", known.0);
        remote.tell(Statement::new(sql, [host]))?;
    }
    Ok(known.0)
}

/// The subjects that a machine has in the store.
pub fn stored<C: Connection>(remote: &mut Remote<C>, instance: i64) -> Result<Vec<Stored>, Trouble> {
    let sql = "SELECT id, subject_key, source, subject, label, part_of, first_at, seen_at FROM netquota_series";
    let rows = remote.ask(format!("{sql} WHERE instance = {instance} ORDER BY id"))?;
    let stored = rows.iter().map(|row| {
        let named = Named {
            key: columns::unsigned(row.number(1)?),
            source: row.text(2)?,
            subject: row.text(3)?,
            label: row.text(4)?,
            part_of: row.text(5)?,
        };
        let (first, seen) = (Instant::from_millis(row.number(6)?), Instant::from_millis(row.number(7)?));
        Ok(Stored { id: row.number(0)?, named, first, seen })
    });
    stored.collect()
}

/// The ids of the machine's subjects by key, once they are as the batch says, and when new ones begin.
fn subjects<C: Connection>(
    remote: &mut Remote<C>,
    instance: i64,
    batch: &Batch,
) -> Result<(HashMap<u64, i64>, Firsts), Trouble> {
    let stored = stored(remote, instance)?;
    let mut ids: HashMap<u64, i64> = stored.iter().map(|known| (known.named.key, known.id)).collect();
    let (mut rows, mut gone, mut new) = (Vec::new(), Vec::new(), false);
    // What is stored may be spelled another way than it was said.
    let batch = Batch { subjects: batch.subjects.iter().map(storable::<C>).collect(), ..batch.clone() };
    let (changes, firsts) = changes(&stored, &batch)?;
    for change in changes {
        match change {
            Change::Insert { named, first, seen } => {
                new = true;
                rows.push((named, first, seen));
            }
            Change::Update(known) => rows.push((known.named, known.first, known.seen)),
            Change::Forget(id) => {
                gone.push(id);
                ids.retain(|_, known| *known != id);
            }
        }
    }
    forget(remote, &gone)?;
    name(remote, instance, &rows)?;
    if new {
        let sql = format!("SELECT subject_key, id FROM netquota_series WHERE instance = {instance}");
        for row in remote.ask(sql)? {
            ids.insert(columns::unsigned(row.number(0)?), row.number(1)?);
        }
    }
    Ok((ids, firsts))
}

fn storable<C: Connection>(named: &Named) -> Named {
    let text = |text: &str| C::storable(text).into_owned();
    Named {
        key: named.key,
        source: text(&named.source),
        subject: text(&named.subject),
        label: text(&named.label),
        part_of: text(&named.part_of),
    }
}

/// Writes what is known of subjects: names, and where their rows begin and end.
pub fn name<C: Connection>(
    remote: &mut Remote<C>,
    instance: i64,
    known: &[(Named, Instant, Instant)],
) -> Result<(), Trouble> {
    let columns = ["source", "subject", "label", "part_of", "first_at", "seen_at"];
    let over: Vec<String> = columns.iter().map(|column| format!("{column} = {}", C::inserted(column))).collect();
    let tail = format!(" {} {}", C::conflict("instance, subject_key"), over.join(", "));
    let rows = known.iter().map(|(named, first, seen)| {
        let (first, seen) = (number(first.millis()), number(seen.millis()));
        let sql = format!("({instance}, {}, ?, ?, ?, ?, {first}, {seen})", number(columns::signed(named.key)));
        Statement::new(sql, [&named.source, &named.subject, &named.label, &named.part_of].map(String::as_str))
    });
    let head =
        "INSERT INTO netquota_series (instance, subject_key, source, subject, label, part_of, first_at, seen_at)";
    all(remote, Statement::insertions(head, rows, &tail))
}

/// Removes subjects that have no rows.
pub fn forget<C: Connection>(remote: &mut Remote<C>, ids: &[i64]) -> Result<(), Trouble> {
    for ids in ids.chunks(LISTED) {
        remote.tell(format!("DELETE FROM netquota_series WHERE id IN ({})", numbers(ids)))?;
    }
    Ok(())
}

fn all<C: Connection>(remote: &mut Remote<C>, statements: Vec<Statement>) -> Result<(), Trouble> {
    for statement in statements {
        remote.tell(statement)?;
    }
    Ok(())
}

/// Deletes what a run wrote that was cut off before it saved its state.
fn cut<C: Connection>(remote: &mut Remote<C>, instance: i64, after: Instant) -> Result<(), Trouble> {
    let later = format!("instance = {instance} AND at > {}", number(after.millis()));
    let found = remote.ask(format!("SELECT id FROM netquota_moments WHERE {later}"))?;
    let found: Vec<i64> = found.iter().map(|row| row.number(0)).collect::<Result<_, _>>()?;
    delete(remote, &found)
}

/// Deletes moments with all their rows.
fn delete<C: Connection>(remote: &mut Remote<C>, moments: &[i64]) -> Result<(), Trouble> {
    for moments in moments.chunks(LISTED) {
        let moments = numbers(moments);
        remote.tell(format!("DELETE FROM netquota_samples WHERE moment IN ({moments})"))?;
        remote.tell(format!("DELETE FROM netquota_moments WHERE id IN ({moments})"))?;
    }
    Ok(())
}

/// The numbers of moments, which are of at least these grains from now on.
pub fn moments_at<C: Connection>(
    remote: &mut Remote<C>,
    instance: i64,
    moments: &[(Instant, i64)],
) -> Result<HashMap<Instant, i64>, Trouble> {
    let higher = format!("GREATEST(netquota_moments.grain, {})", C::inserted("grain"));
    let tail = format!(" {} grain = {higher}", C::conflict("instance, at"));
    let rows = moments.iter().map(|(at, grain)| format!("({instance}, {}, {grain})", number(at.millis())).into());
    all(remote, Statement::insertions("INSERT INTO netquota_moments (instance, at, grain)", rows, &tail))?;
    let mut found = HashMap::new();
    for moments in moments.chunks(LISTED) {
        let at: Vec<i64> = moments.iter().map(|(at, _)| at.millis()).collect();
        let sql = "SELECT at, id FROM netquota_moments WHERE instance";
        for row in remote.ask(format!("{sql} = {instance} AND at IN ({})", numbers(&at)))? {
            found.insert(Instant::from_millis(row.number(0)?), row.number(1)?);
        }
    }
    Ok(found)
}

/// Writes rows: moment, subject, total.
pub fn put<C: Connection>(remote: &mut Remote<C>, samples: &[(i64, i64, Total)]) -> Result<(), Trouble> {
    let over: Vec<String> =
        ["rx", "tx", "spread"].iter().map(|column| format!("{column} = {}", C::inserted(column))).collect();
    let tail = format!(" {} {}", C::conflict("moment, series"), over.join(", "));
    let rows = samples.iter().map(|(moment, id, total)| {
        let spread = columns::spread(total).map_or_else(|| "NULL".into(), number);
        format!("({moment}, {id}, {}, {}, {spread})", number(total.rx), number(total.tx)).into()
    });
    all(remote, Statement::insertions("INSERT INTO netquota_samples (moment, series, rx, tx, spread)", rows, &tail))
}

fn events<C: Connection>(remote: &mut Remote<C>, instance: i64, batch: &Batch) -> Result<(), Trouble> {
    let logged = columns::signed(batch.logged);
    remote.tell(format!("DELETE FROM netquota_events WHERE instance = {instance} AND number > {}", number(logged)))?;
    let rows = (logged + 1..).zip(&batch.events).map(|(of, event)| {
        let texts = [&event.source, &event.subject, &event.quota, &event.name, &event.reason];
        let texts = [event.kind.name()].into_iter().chain(texts.map(String::as_str));
        let sql = format!("({instance}, {of}, {}, ?, ?, ?, ?, ?, ?, ?, ?)", number(event.at.millis()));
        Statement::new(sql, texts.chain([event.outcome.name(), &event.detail]).map(|text| C::storable(text)))
    });
    let columns = "instance, number, at, kind, source, subject, quota, name, reason, outcome, detail";
    all(remote, Statement::insertions(&format!("INSERT INTO netquota_events ({columns})"), rows, ""))
}

/// Deletes the oldest moments that are kept no longer.
fn thin<C: Connection>(remote: &mut Remote<C>, instance: i64, batch: &Batch, at_once: usize) -> Result<(), Trouble> {
    let over = batch.keep.over(batch.now).map(|(grain, before)| {
        let grain = grain.number();
        format!(
            "(SELECT id FROM netquota_moments WHERE instance = {instance} AND grain = {grain} AND at < {} \
             ORDER BY at LIMIT {at_once})",
            number(before.millis()),
        )
    });
    let over: Vec<String> = over.collect();
    if over.is_empty() {
        return Ok(());
    }
    let found = remote.ask(over.join(" UNION ALL "))?;
    let found: Vec<i64> = found.iter().take(at_once).map(|row| row.number(0)).collect::<Result<_, _>>()?;
    delete(remote, &found)
}

/// Deletes the oldest events that are kept no longer.
fn thin_events<C: Connection>(remote: &mut Remote<C>, instance: i64, batch: &Batch) -> Result<(), Trouble> {
    let Some(before) = batch.keep.events_over(batch.now) else { return Ok(()) };
    let found = remote.ask(format!(
        "SELECT number FROM netquota_events WHERE instance = {instance} AND at < {} ORDER BY at, number LIMIT {}",
        number(before.millis()),
        Keep::EVENTS
    ))?;
    let found: Vec<i64> = found.iter().map(|row| row.number(0)).collect::<Result<_, _>>()?;
    for found in found.chunks(LISTED) {
        remote.tell(format!(
            "DELETE FROM netquota_events WHERE instance = {instance} AND number IN ({})",
            numbers(found)
        ))?;
    }
    Ok(())
}

//! A history in memory, as plain as can be: what the stores are compared with, and what simulated runs write to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::history::series::{Change, Stored, changes};
use crate::history::{Archive, Batch, Failure, Instance, Keep, Known, Logged, Prune, Pruned, Row, Side, Total};
use crate::quota::event::Event;
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// A history in memory; clones are the same one.
#[derive(Clone, Default)]
pub struct MemoryArchive(Arc<Mutex<Memory>>);

#[derive(Clone, Default)]
struct Memory {
    machines: BTreeMap<String, Machine>,
    last_id: i64,
}

#[derive(Clone, Default)]
struct Machine {
    host: String,
    series: BTreeMap<i64, Stored>,
    moments: BTreeMap<Instant, (Grain, BTreeMap<i64, Total>)>,
    events: BTreeMap<u64, Event>,
}

impl Machine {
    fn ends(&self, id: i64) -> Option<(Instant, Instant)> {
        let mut own = self.moments.iter().filter(|(_, (_, totals))| totals.contains_key(&id)).map(|(at, _)| *at);
        let first = own.next()?;
        Some((first, own.next_back().unwrap_or(first)))
    }

    fn put(&mut self, at: Instant, grain: Grain, id: i64, total: Total) {
        let spread = if total.hole { 0 } else { total.spread };
        let moment = self.moments.entry(at).or_insert((grain, BTreeMap::new()));
        moment.0 = moment.0.max(grain);
        moment.1.insert(id, Total { spread, ..total });
    }

    fn thin(&mut self, keep: Keep, now: Instant) {
        let mut left = Keep::at_once(self.series.len());
        for (of, before) in keep.over(now) {
            let over = self.moments.range(..before).filter(|(_, (grain, _))| *grain == of).map(|(at, _)| *at);
            let over: Vec<Instant> = over.take(left).collect();
            left -= over.len();
            for at in over {
                self.moments.remove(&at);
            }
        }
        if let Some(before) = keep.events_over(now) {
            let over = self.events.iter().filter(|(_, event)| event.at < before);
            let mut over: Vec<_> = over.map(|(number, event)| (event.at, *number)).collect();
            over.sort_unstable();
            for (_, number) in over.into_iter().take(Keep::EVENTS) {
                self.events.remove(&number);
            }
        }
    }

    fn rows(&self) -> impl Iterator<Item = (Row, Grain)> {
        self.moments.iter().flat_map(|(at, (grain, totals))| {
            totals.iter().map(|(id, total)| (Row { id: *id, at: *at, total: *total }, *grain))
        })
    }

    fn prune(&mut self, prune: &Prune) -> Result<Pruned, Failure> {
        if prune.stay.iter().any(|row| !self.series.contains_key(&row.id)) {
            return Err(Failure { text: "a row of no subject is to stay".into() });
        }
        let (from, to) = (prune.from.unwrap_or(Instant::from_millis(i64::MIN)), prune.to);
        let wanted = |id: &i64| prune.ids.as_ref().is_none_or(|ids| ids.contains(id));
        let mut pruned = Pruned::default();
        for (at, (_, totals)) in &mut self.moments {
            if *at > from && *at < to {
                let before = totals.len();
                totals.retain(|id, _| !wanted(id));
                pruned.rows += (before - totals.len()) as u64;
            }
        }
        self.moments.retain(|_, (_, totals)| !totals.is_empty());
        let about = |event: &Event| {
            let mut series = self.series.iter().filter(|(id, _)| wanted(id));
            prune.ids.is_none()
                || series.any(|(_, of)| (&of.named.source, &of.named.subject) == (&event.source, &event.subject))
        };
        let before = self.events.len();
        self.events.retain(|_, event| event.at < from || event.at >= to || !about(event));
        pruned.events = (before - self.events.len()) as u64;
        for row in &prune.stay {
            self.put(row.at, Grain::Day, row.id, row.total);
        }
        self.remember_ends();
        Ok(pruned)
    }

    /// Subjects without rows are not known.
    fn remember_ends(&mut self) {
        let ends: BTreeMap<i64, _> = self.series.keys().filter_map(|id| Some((*id, self.ends(*id)?))).collect();
        self.series.retain(|id, _| ends.contains_key(id));
        for (id, known) in &mut self.series {
            (known.first, known.seen) = ends[id];
        }
    }
}

impl Memory {
    fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        let named = |key: &u64| batch.subjects.iter().any(|named| named.key == *key);
        let totals = batch.moments.iter().flat_map(|moment| &moment.totals);
        if let Some((key, _)) = totals.clone().find(|(key, _)| !named(key)) {
            return Err(Failure { text: format!("a sample of the unknown subject {key:016x}") });
        }
        let machine = self.machines.entry(batch.instance.clone()).or_default();
        machine.host.clone_from(&batch.host);
        let stored: Vec<Stored> = machine.series.values().cloned().collect();
        let (changes, firsts) = changes(&stored, batch)?;
        for change in changes {
            match change {
                Change::Insert { named, first, seen } => {
                    self.last_id += 1;
                    machine.series.insert(self.last_id, Stored { id: self.last_id, named, first, seen });
                }
                Change::Update(known) => drop(machine.series.insert(known.id, known)),
                Change::Forget(id) => drop(machine.series.remove(&id)),
            }
        }
        if let Some(after) = batch.after {
            machine.moments.split_off(&after.plus(std::time::Duration::from_millis(1)));
        }
        let ids: BTreeMap<u64, i64> = machine.series.values().map(|known| (known.named.key, known.id)).collect();
        for moment in &batch.moments {
            for (key, total) in &moment.totals {
                machine.put(moment.at, firsts.grain(moment), ids[key], *total);
            }
        }
        machine.events.retain(|number, _| *number <= batch.logged);
        machine.events.extend((batch.logged + 1..).zip(batch.events.iter().cloned()));
        machine.thin(batch.keep, batch.now);
        Ok(())
    }
}

impl MemoryArchive {
    fn look<T>(&self, at: impl FnOnce(&mut Memory) -> T) -> T {
        at(&mut self.0.lock().unwrap())
    }

    fn all_rows(&self) -> Vec<(Row, Grain)> {
        self.look(|memory| memory.machines.values().flat_map(|machine| machine.rows().collect::<Vec<_>>()).collect())
    }
}

impl Archive for MemoryArchive {
    fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.look(|memory| memory.write(batch))
    }

    fn instances(&mut self) -> Result<Vec<Instance>, Failure> {
        let of = |(id, machine): (&String, &Machine)| Instance { id: id.clone(), host: machine.host.clone() };
        let mut all: Vec<Instance> = self.look(|memory| memory.machines.iter().map(of).collect());
        all.sort_by_key(|instance| (instance.host.clone(), instance.id.clone()));
        Ok(all)
    }

    fn subjects(&mut self, instance: Option<&str>) -> Result<Vec<Known>, Failure> {
        self.look(|memory| {
            let mut all = Vec::new();
            for (name, machine) in memory.machines.iter().filter(|(name, _)| instance.is_none_or(|one| one == *name)) {
                all.extend(machine.series.values().cloned().map(|Stored { id, named, first, seen }| Known {
                    id,
                    instance: name.clone(),
                    named,
                    first,
                    seen,
                }));
            }
            all.sort_by_key(|known| known.id);
            Ok(all)
        })
    }

    fn rows(&mut self, ids: Option<&[i64]>, from: Instant, to: Instant, grain: Grain) -> Result<Vec<Row>, Failure> {
        let wanted = |(row, of): &(Row, Grain)| {
            ids.is_none_or(|ids| ids.contains(&row.id)) && row.at >= from && row.at <= to && *of >= grain
        };
        let mut rows: Vec<Row> = self.all_rows().into_iter().filter(wanted).map(|(row, _)| row).collect();
        rows.sort_by_key(|row| (row.id, row.at));
        Ok(rows)
    }

    fn nearest(&mut self, id: i64, side: Side, at: Instant, grain: Grain) -> Result<Option<Row>, Failure> {
        let (first, last) = (Instant::from_millis(i64::MIN), Instant::from_millis(i64::MAX));
        Ok(match side {
            Side::Before => self.rows(Some(&[id]), first, at, grain)?.last().copied(),
            Side::After => self.rows(Some(&[id]), at, last, grain)?.first().copied(),
        })
    }

    fn events(&mut self, instance: Option<&str>, from: Instant, to: Instant) -> Result<Vec<Logged>, Failure> {
        self.look(|memory| {
            let mut all = Vec::new();
            for (name, machine) in memory.machines.iter().filter(|(name, _)| instance.is_none_or(|one| one == *name)) {
                for (number, event) in machine.events.iter().filter(|(_, event)| event.at >= from && event.at < to) {
                    all.push(Logged { instance: name.clone(), number: *number, event: event.clone() });
                }
            }
            all.sort_by_key(|logged| (logged.event.at, logged.instance.clone(), logged.number));
            Ok(all)
        })
    }

    fn prune(&mut self, prune: &Prune, rehearse: bool) -> Result<Pruned, Failure> {
        self.look(|memory| {
            let Some(machine) = memory.machines.get_mut(&prune.instance) else { return Ok(Pruned::default()) };
            let mut next = machine.clone();
            let pruned = next.prune(prune)?;
            if !rehearse {
                *machine = next;
            }
            Ok(pruned)
        })
    }
}

//! What a batch changes of the subjects a store knows: the same for every kind of store.
//!
//! Invariant: a subject has no row before [`Stored::first`] and none more than [`AGED`] after [`Stored::seen`].
//!
//! Why `seen` is behind the last row: it would have to be written for every subject with every sample.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Batch, Failure, Moment, Named};
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// A subject's last row may be so much later than its `seen`.
pub const AGED: Duration = Duration::from_secs(20 * 3600);

/// A subject of an instance, as a store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The store's number for it.
    pub id: i64,
    /// Its key and names.
    pub named: Named,
    /// It has no row before.
    pub first: Instant,
    /// It has no row much later.
    pub seen: Instant,
}

/// What is to be done to a subject before the rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Insert {
        /// Its key and names.
        named: Named,
        /// Its first row in the batch.
        first: Instant,
        /// Its last one.
        seen: Instant,
    },
    /// All of it but its key is written over.
    Update(Stored),
    /// All its rows go with those that the batch replaces.
    Forget(i64),
}

/// When subjects have their first rows: moments that are kept for good, so that the beginning of no series is thinned
/// out, and whoever reads only the edges of days finds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firsts(HashSet<Instant>);

impl Firsts {
    /// Of the rows of a batch.
    fn of(stored: &[Stored], batch: &Batch, spans: &HashMap<u64, (Instant, Instant)>) -> Self {
        let known: HashMap<u64, Instant> = stored.iter().map(|known| (known.named.key, known.first)).collect();
        let replaced = |at: Instant| batch.after.is_some_and(|after| at > after);
        let begins = |key: &u64, first: Instant| known.get(key).is_none_or(|known| replaced(*known) || first <= *known);
        Self(spans.iter().filter(|(key, span)| begins(key, span.0)).map(|(_, span)| span.0).collect())
    }

    /// For what a moment of the batch is kept.
    pub fn grain(&self, moment: &Moment) -> Grain {
        if self.0.contains(&moment.at) { Grain::Day } else { moment.grain }
    }
}

/// What a batch changes of its instance's subjects, and which of its rows are the first of one. Fails when it has rows of
/// a subject that it does not name.
pub fn changes(stored: &[Stored], batch: &Batch) -> Result<(Vec<Change>, Firsts), Failure> {
    let spans = spans(batch);
    let names: HashMap<u64, &Named> = batch.subjects.iter().map(|named| (named.key, named)).collect();
    if let Some(key) = spans.keys().find(|key| !names.contains_key(*key)) {
        return Err(Failure { text: format!("a sample is of a subject without a name: {key:016x}") });
    }
    let changed = |known: &Stored| {
        let named = names.get(&known.named.key).map_or(&known.named, |named| *named);
        change(known, named, spans.get(&known.named.key).copied(), batch.after)
    };
    let mut changes: Vec<Change> = stored.iter().filter_map(changed).collect();
    let mut known: HashSet<u64> = stored.iter().map(|known| known.named.key).collect();
    let new = batch.subjects.iter().filter(|named| known.insert(named.key));
    changes.extend(new.filter_map(|named| {
        let (first, seen) = *spans.get(&named.key)?;
        Some(Change::Insert { named: named.clone(), first, seen })
    }));
    Ok((changes, Firsts::of(stored, batch, &spans)))
}

/// The first and the last row of each key.
fn spans(batch: &Batch) -> HashMap<u64, (Instant, Instant)> {
    let mut spans = HashMap::new();
    for moment in &batch.moments {
        for (key, _) in &moment.totals {
            let span = spans.entry(*key).or_insert((moment.at, moment.at));
            *span = (span.0.min(moment.at), span.1.max(moment.at));
        }
    }
    spans
}

fn change(known: &Stored, named: &Named, span: Option<(Instant, Instant)>, after: Option<Instant>) -> Option<Change> {
    let replaced = |at: Instant| after.is_some_and(|after| at > after);
    let first = match span {
        None if replaced(known.first) => return Some(Change::Forget(known.id)),
        None => known.first,
        Some((first, _)) if replaced(known.first) => first,
        Some((first, _)) => known.first.min(first),
    };
    // What is left of the rows before goes up to there.
    let left = after.map_or(known.seen, |after| known.seen.min(after));
    let seen = match span {
        Some((_, last)) if left < known.seen => left.max(last),
        Some((_, last)) if last > known.seen.plus(AGED) => last,
        _ => left,
    };
    let now = Stored { id: known.id, named: named.clone(), first, seen };
    (now != *known).then_some(Change::Update(now))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::history::{Keep, Total};

    fn changes(stored: &[Stored], batch: &Batch) -> Result<Vec<Change>, Failure> {
        super::changes(stored, batch).map(|(changes, _)| changes)
    }

    fn named(key: u64, subject: &str) -> Named {
        Named { key, source: "nic".into(), subject: subject.into(), label: String::new(), part_of: String::new() }
    }

    fn hour(hours: i64) -> Instant {
        Instant::from_millis(hours * 3_600_000)
    }

    fn stored(first: i64, seen: i64) -> Stored {
        Stored { id: 5, named: named(1, "eth0"), first: hour(first), seen: hour(seen) }
    }

    fn batch(after: Option<i64>, subject: &str, rows: &[i64]) -> Batch {
        let moment = |at: &i64| Moment { at: hour(*at), grain: Grain::Hour, totals: vec![(1, Total::default())] };
        Batch {
            instance: "i".into(),
            host: "h".into(),
            after: after.map(hour),
            subjects: vec![named(1, subject)],
            moments: rows.iter().map(moment).collect(),
            logged: 0,
            events: Vec::new(),
            keep: Keep::default(),
            now: hour(0),
        }
    }

    #[test]
    fn what_is_known_is_written_seldom() {
        let known = [stored(0, 0)];
        assert_eq!(changes(&known, &batch(Some(20), "eth0", &[20])), Ok(vec![]));
        assert_eq!(changes(&known, &batch(Some(20), "eth0", &[20, 21])), Ok(vec![Change::Update(stored(0, 21))]));
        assert_eq!(changes(&known, &batch(None, "eth0", &[-3])), Ok(vec![Change::Update(stored(-3, 0))]));
        let renamed = Stored { named: named(1, "eth1"), ..stored(0, 0) };
        assert_eq!(changes(&known, &batch(None, "eth1", &[])), Ok(vec![Change::Update(renamed)]));
    }

    #[test]
    fn what_is_replaced_counts_no_more() {
        let known = [stored(10, 12)];
        assert_eq!(changes(&known, &batch(Some(9), "eth0", &[])), Ok(vec![Change::Forget(5)]));
        assert_eq!(changes(&known, &batch(Some(9), "eth0", &[11])), Ok(vec![Change::Update(stored(11, 11))]));
        assert_eq!(changes(&known, &batch(Some(11), "eth0", &[])), Ok(vec![Change::Update(stored(10, 11))]));
        assert_eq!(changes(&known, &batch(Some(12), "eth0", &[13])), Ok(vec![]));
    }

    #[test]
    fn first_rows_are_for_good() {
        let grains = |stored: &[Stored], after, rows: &[i64]| {
            let batch = batch(after, "eth0", rows);
            let (_, firsts) = super::changes(stored, &batch).unwrap();
            batch.moments.iter().map(|moment| firsts.grain(moment)).collect::<Vec<_>>()
        };
        assert_eq!(grains(&[], None, &[4, 2, 3]), [Grain::Hour, Grain::Day, Grain::Hour]);
        assert_eq!(grains(&[stored(2, 4)], None, &[3, 5]), [Grain::Hour, Grain::Hour]);
        assert_eq!(grains(&[stored(2, 4)], None, &[1, 5]), [Grain::Day, Grain::Hour]);
        assert_eq!(grains(&[stored(2, 4)], Some(1), &[2, 5]), [Grain::Day, Grain::Hour], "written anew");
    }

    #[test]
    fn a_new_one_needs_a_row_and_a_row_needs_a_name() {
        assert_eq!(changes(&[], &batch(None, "eth0", &[])), Ok(vec![]));
        let new = Change::Insert { named: named(1, "eth0"), first: hour(2), seen: hour(4) };
        assert_eq!(changes(&[], &batch(None, "eth0", &[4, 2, 3])), Ok(vec![new]));
        let nameless = Batch { subjects: Vec::new(), ..batch(None, "eth0", &[4]) };
        let text = "a sample is of a subject without a name: 0000000000000001".into();
        assert_eq!(changes(&[stored(0, 4)], &nameless), Err(Failure { text }));
    }
}

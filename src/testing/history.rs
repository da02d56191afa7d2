//! What the history of a simulated world must agree with: the state, to the byte, whatever was cut off.

use std::collections::BTreeMap;

use super::sim::World;
use crate::history::{Archive, Known, Row};
use crate::quota::instant::Instant;
use crate::quota::state::{State, Subject};
use crate::quota::track::Grain;

const FIRST: Instant = Instant::from_millis(i64::MIN);
const LAST: Instant = Instant::from_millis(i64::MAX);

/// Asserts that the history says what the state says.
pub fn check(world: &World, place: &str) {
    let Some(state) = readable(world) else { return };
    let mut archive = world.inner().archive.clone();
    let known = archive.subjects(None).unwrap();
    let mut rows: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    // What is later was written by a run that was cut off; the next sample replaces it.
    let sampled = state.history.sampled.unwrap_or(FIRST);
    for row in archive.rows(None, FIRST, sampled, Grain::Sample).unwrap() {
        rows.entry(row.id).or_default().push(row);
    }
    let known: Vec<Known> = known.into_iter().filter(|known| rows.contains_key(&known.id)).collect();
    for known in known.iter().filter(|known| !is_package(&state, known)) {
        check_growth(&rows[&known.id], place);
    }
    let down = world.inner().archive_down;
    for (source, memory) in state.sources.iter().filter(|_| !down) {
        for (name, subject) in &memory.subjects {
            let same = known.iter().filter(|known| called(&state, known) == (source, name));
            let same: Vec<(&Known, &[Row])> = same.map(|known| (known, rows[&known.id].as_slice())).collect();
            check_subject(subject, &same, place);
        }
    }
    let instance = &state.history.instance;
    let events = archive.events(Some(instance), FIRST, LAST).unwrap();
    if state.history.logged > 0 {
        let numbers: Vec<u64> = events.iter().map(|logged| logged.number).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        let expected: Vec<u64> = (1..=state.history.logged).collect();
        assert_eq!(sorted, expected, "{place}: events are missing, or there twice");
    }
}

/// Writes what it has into the transcript.
pub fn tell(world: &World) {
    let mut archive = world.inner().archive.clone();
    for known in archive.subjects(None).unwrap() {
        for grain in [Grain::Hour, Grain::Sample] {
            let rows = archive.rows(Some(&[known.id]), FIRST, LAST, grain).unwrap();
            world.note(format!("  history: {}: {} rows of {grain:?}", known.named.subject, rows.len()));
            for row in rows.iter().filter(|_| grain == Grain::Hour) {
                world.note(format!("    {} in {} out {}", row.at, row.total.rx, row.total.tx));
            }
        }
    }
    for logged in archive.events(None, FIRST, LAST).unwrap() {
        let event = logged.event;
        let (kind, outcome) = (event.kind.name(), event.outcome.name());
        let about = [&event.subject, &event.quota, &event.name, &event.reason, &event.detail];
        let about: Vec<&str> = about.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        world.note(format!("  event {}: {} {kind} {outcome}: {}", logged.number, event.at, about.join(", ")));
    }
}

/// A scenario may leave the state broken.
fn readable(world: &World) -> Option<State> {
    world.inner().current.as_deref().and_then(|document| State::read(document).ok())
}

/// What a subject of the store is called now: the store learns it with the next sample.
fn called<'s>(state: &'s State, known: &'s Known) -> (&'s String, &'s String) {
    let subjects = state.sources.iter().flat_map(|(source, of)| of.subjects.iter().map(move |one| (source, one)));
    let now = subjects.filter(|(_, (_, subject))| subject.track.key == known.named.key);
    let now = now.map(|(source, (name, _))| (source, name)).next();
    now.unwrap_or((&known.named.source, &known.named.subject))
}

/// A provider says late when a period has begun: what it said in between is held to be of the one before.
fn is_package(state: &State, known: &Known) -> bool {
    let subject = state.sources.get(&known.named.source).and_then(|source| source.subjects.get(&known.named.subject));
    subject.is_none_or(|subject| subject.account().is_some())
}

fn check_growth(rows: &[Row], place: &str) {
    for pair in rows.windows(2) {
        let grows = pair[0].total.rx <= pair[1].total.rx && pair[0].total.tx <= pair[1].total.tx;
        assert!(grows, "{place}: a total falls: {pair:?}");
    }
}

/// From the start of each period until now history has what the ledger has. A device whose name another one has taken
/// goes on in the other's ledger.
fn check_subject(subject: &Subject, same: &[(&Known, &[Row])], place: &str) {
    let Some(series) = &subject.series else { return };
    let total = subject.track.now(series.at);
    for (rule, ledger) in &subject.ledgers {
        let start = ledger.period.start;
        let (mut used, mut whole) = ((0, 0), ledger.since == start);
        for (known, rows) in same {
            let own = known.named.key == subject.track.key;
            let last = if own { (total.rx, total.tx) } else { totals(rows.last().unwrap()) };
            let first = rows.iter().rfind(|row| row.at <= start).or(rows.first().filter(|_| !own));
            whole &= !own || first.is_some_and(|first| first.at == start);
            let first = first.map(totals).unwrap_or_default();
            used = (used.0 + last.0 - first.0, used.1 + last.1 - first.1);
        }
        let expected = (ledger.used.rx as i64, ledger.used.tx as i64);
        if ledger.total.is_some() {
            // What a provider takes back was in the history before.
            assert!(!whole || used >= expected, "{place}: {rule} since {start}");
        } else if whole {
            assert_eq!(used, expected, "{place}: {rule} since {start}");
        }
    }
}

fn totals(row: &Row) -> (i64, i64) {
    (row.total.rx, row.total.tx)
}

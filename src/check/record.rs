//! Writes what is due to the history: a sample of the totals, what they were at edges, and what was done and told.
//!
//! Invariant: the history is written before the state that says so is saved. A run that is cut off between the two is
//! taken back by the next one, which writes the same anew: what is in the history after the last sample the state knows
//! of is replaced.
//!
//! Why last: a store that is down, or takes its time, must hold up no message and no action.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Run;
use crate::history::{Access, Archive, Batch, Failure, Keep, Moment, Named, Total};
use crate::quota::instant::Instant;
use crate::quota::policy::{DAY, Withheld, due_again};
use crate::quota::state::{Ended, History, SourceState, State, Subject};
use crate::quota::track::{Grain, Track};

/// What writing may take at the most.
const LIMIT: Duration = Duration::from_secs(5);
/// With less left of the run it is not begun.
const LEAST: Duration = Duration::from_millis(200);
/// Where systemd and others keep what tells a machine from its copies.
const MACHINE_ID: &str = "/etc/machine-id";

impl Run<'_> {
    /// Writes what is due; what cannot be written waits, and is a problem.
    pub(super) fn record(&mut self, state: &mut State, access: &dyn Access) {
        if !access.is_kept() {
            forget(state);
            return;
        }
        let now = self.clock.now;
        let sample = self.is_due(state);
        if !sample && state.history.events.is_empty() {
            return;
        }
        let left = self.config.deadline.saturating_sub(self.host.elapsed());
        let written = match left < LEAST {
            true => Err(Failure { text: "no time left in this run".into() }),
            false => self.write(state, access, sample, left.min(LIMIT)),
        };
        match written {
            Ok(()) => {
                settle(state);
                let History { sampled, logged, events, .. } = &mut state.history;
                *sampled = if sample { Some(now) } else { *sampled };
                *logged += events.len() as u64;
                events.clear();
            }
            Err(failure) => {
                tracks(state).for_each(|(track, _)| track.bound());
                state.history.bound();
                let waits = "it is made good when the store is back";
                self.problem("history", format!("history: {}: {waits}", self.redact(&failure.text)));
            }
        }
    }

    /// Whether a sample is due by the time that has passed, or an edge has.
    fn is_due(&self, state: &State) -> bool {
        let every = self.config.history.every;
        let last = state.history.sampled;
        let waits = |source: &SourceState| {
            let waits = |subject: &Subject| subject.doubted_guest.is_none() && subject.track.waits();
            !source.ended.is_empty() || source.subjects.values().any(waits)
        };
        let edges = || state.sources.values().any(waits);
        last.is_none_or(|last| due_again(last, every, self.clock.now)) || edges()
    }

    fn write(&self, state: &mut State, access: &dyn Access, sample: bool, limit: Duration) -> Result<(), Failure> {
        let mut archive = access.open(limit)?;
        self.identify(&mut state.history, access, &mut *archive)?;
        let now = self.clock.now;
        if sample {
            close(state, now);
            give_keys(state, now);
        }
        let mut batch = Batch {
            instance: state.history.instance.clone(),
            host: self.config.host_name.clone(),
            after: state.history.sampled,
            subjects: Vec::new(),
            moments: Vec::new(),
            logged: state.history.logged,
            events: state.history.events.clone(),
            keep: self.keep(&mut state.history),
            now,
        };
        if sample {
            let mut rows = Rows::of(state);
            batch.subjects = std::mem::take(&mut rows.subjects);
            batch.moments = rows.moments();
        }
        archive.write(&batch)
    }

    /// For how long rows are kept, as far as the time is to be believed: a clock that runs ahead for a while must not take
    /// away what is not old.
    fn keep(&self, history: &mut History) -> Keep {
        let now = self.clock.now;
        if history.sampled.is_some_and(|sampled| now.since(sampled) > DAY) {
            history.thins = Some(now.plus(DAY));
        }
        if history.thins.is_some_and(|thins| now < thins) {
            return Keep { samples: None, hours: None, days: None };
        }
        history.thins = None;
        self.config.history.keep
    }

    /// By what the store tells this machine from others: given once, and anew to a copy of the machine that writes to the
    /// same store. A state that was lost finds the machine's own store again.
    fn identify(&self, history: &mut History, access: &dyn Access, archive: &mut dyn Archive) -> Result<(), Failure> {
        let machine_id = self.host.read(MACHINE_ID.as_ref()).unwrap_or_default();
        let machine = digest(&["netquota machine", machine_id.trim()]);
        let copied = access.is_shared() && !machine_id.trim().is_empty() && history.machine != machine;
        if !history.instance.is_empty() && !copied {
            if self.withheld == Some(Withheld::Recovered) {
                // What the state does not know any more has happened nevertheless.
                history.logged = history.logged.max(last_event(archive, &history.instance)?);
            }
            return Ok(());
        }
        let found = if access.is_shared() { Vec::new() } else { archive.instances()? };
        history.instance = match &found[..] {
            [own] => {
                history.logged = last_event(archive, &own.id)?;
                own.id.clone()
            }
            _ => {
                let now = self.host.now().millis().to_string();
                let boot = self.machine.boot.clone().unwrap_or_default();
                let elapsed = self.host.elapsed().as_nanos().to_string();
                digest(&["netquota instance", &machine, &self.config.host_name, &boot, &now, &elapsed])
            }
        };
        history.machine = machine;
        Ok(())
    }
}

/// The number of the last event of an instance.
fn last_event(archive: &mut dyn Archive, instance: &str) -> Result<u64, Failure> {
    let (first, last) = (Instant::from_millis(i64::MIN), Instant::from_millis(i64::MAX));
    let events = archive.events(Some(instance), first, last)?;
    Ok(events.iter().map(|logged| logged.number).max().unwrap_or_default())
}

/// Sixteen hexadecimal digits.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The tracks of all subjects, with the time of the last figure.
fn tracks(state: &mut State) -> impl Iterator<Item = (&mut Track, Option<Instant>)> {
    state.sources.values_mut().flat_map(|source| {
        let SourceState { subjects, ended, .. } = source;
        // Whose bytes those of a guest in doubt are is not known yet.
        let sure = subjects.values_mut().filter(|subject| subject.doubted_guest.is_none());
        let there = sure.map(|subject| (&mut subject.track, subject.series.as_ref().map(|s| s.at)));
        there.chain(ended.iter_mut().map(|ended| (&mut ended.track, Some(ended.at))))
    })
}

/// What waited is in the store, or there is none.
fn settle(state: &mut State) {
    tracks(state).for_each(|(track, _)| track.edges.clear());
    state.sources.values_mut().for_each(|source| source.ended.clear());
}

/// Without a store nothing waits for it.
fn forget(state: &mut State) {
    settle(state);
    state.history.logged += state.history.events.len() as u64;
    state.history.events.clear();
}

/// Notes the last figures of subjects that have had none for a day: the rows that say them now are not kept for good.
fn close(state: &mut State, now: Instant) {
    let sampled = state.history.sampled;
    for (track, at) in tracks(state).filter(|(track, _)| track.key != 0 && !track.closed) {
        if let Some(at) = at.filter(|at| now.since(*at) >= DAY && sampled.is_some_and(|sampled| *at <= sampled)) {
            track.close(at);
        }
    }
}

/// Gives each subject that has rows its key. Keys go by the time, so that a state that was lost gives none twice.
fn give_keys(state: &mut State, now: Instant) {
    let start = u64::try_from(now.millis()).unwrap_or_default() << 12;
    let (mut last, sampled) = (state.history.keys, state.history.sampled);
    for (track, at) in tracks(state) {
        if track.key == 0 && has_rows(track, at, sampled) {
            last = (last + 1).max(start);
            track.key = last;
        }
    }
    state.history.keys = last;
}

/// Whether it was read since the last sample, or edges of it wait.
fn has_rows(track: &Track, at: Option<Instant>, sampled: Option<Instant>) -> bool {
    track.waits() || at.is_some_and(|at| sampled.is_none_or(|sampled| at > sampled))
}

/// The totals at each edge that waits and at the last figure, by instant.
#[derive(Default)]
struct Rows {
    sampled: Option<Instant>,
    subjects: Vec<Named>,
    moments: BTreeMap<Instant, (Grain, Vec<(u64, Total)>)>,
}

impl Rows {
    fn of(state: &State) -> Self {
        let sampled = state.history.sampled;
        let mut rows = Self { sampled, ..Self::default() };
        for (source, memory) in &state.sources {
            for (name, subject) in memory.subjects.iter().filter(|(_, subject)| subject.doubted_guest.is_none()) {
                let at = subject.series.as_ref().map(|series| series.at);
                if has_rows(&subject.track, at, sampled) {
                    rows.add(Named::of(source, name, subject), &subject.track, at);
                }
            }
            for Ended { subject, at, track } in memory.ended.iter().filter(|ended| ended.track.key != 0) {
                let named = Named::without_label(source, subject, track.key);
                let mut track = track.clone();
                track.close(*at);
                rows.add(named, &track, None);
            }
        }
        rows
    }

    fn add(&mut self, named: Named, track: &Track, at: Option<Instant>) {
        let live = at.filter(|at| self.sampled.is_none_or(|sampled| *at > sampled));
        // An edge of the very instant says the same.
        let live = live.filter(|at| track.edges.iter().all(|edge| edge.at != *at)).map(|at| track.now(at));
        for point in track.edges.iter().chain(&live) {
            let (grain, totals) = self.moments.entry(point.at).or_insert((point.grain, Vec::new()));
            *grain = point.grain.max(*grain);
            totals.push((named.key, Total::from(point)));
        }
        self.subjects.push(named);
    }

    fn moments(self) -> Vec<Moment> {
        self.moments.into_iter().map(|(at, (grain, totals))| Moment { at, grain, totals }).collect()
    }
}

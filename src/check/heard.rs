//! What sources say again until there is a newer figure: nodes' reports. Which of them are new, and who has been silent.
//!
//! Invariant: a report counts once, as of when it came in. A node that is silent has no figure: nothing is counted for it,
//! nothing is done on it, and once it lasts it is a problem.
//!
//! Why time while this machine was off is no silence: nobody was there to hear.

use std::time::Duration;

use super::Run;
use crate::config::NamedSource;
use crate::quota::instant::Instant;
use crate::quota::message::{Notice, UNCOUNTED};
use crate::quota::meter::{Figure, Reading, Readings, SubjectProblem};
use crate::quota::policy::Quota;
use crate::quota::state::{SourceState, State};

/// Seconds by which a clock may be set forward without meaning anything for silence.
const STEP: u64 = 60;

/// Nothing is done on a report that came in longer ago.
const OLD: Duration = Duration::from_secs(600);

/// How a source's reports are taken.
pub(super) struct Hearing<'a> {
    /// The source.
    pub source: &'a NamedSource,
    /// All quotas.
    pub quotas: &'a [Quota],
    /// The believed time.
    pub now: Instant,
    /// For how long this machine is up.
    pub up: Option<Duration>,
    /// How instants are shown.
    pub show: &'a dyn Fn(Instant) -> String,
}

impl Hearing<'_> {
    /// A clock that was set forward has passed no time: silence begins anew with it.
    pub fn follow_clock(&self, memory: &mut SourceState) {
        if self.source.source.repeats() && memory.stepped > STEP {
            memory.hears = Some(self.now);
        }
    }

    /// Leaves out the reports that were taken already, and adds a problem for each node that has been silent for long.
    /// What other sources say is of this very run.
    pub fn sift(&self, mut readings: Readings, memory: &SourceState) -> Readings {
        if !self.source.source.repeats() {
            readings.readings.iter_mut().for_each(|reading| reading.at = self.now);
            return readings;
        }
        readings.readings.retain(|reading| !is_known(reading, memory) && !is_late(reading, memory));
        for reading in &mut readings.readings {
            let last = memory.subjects.get(&reading.subject).and_then(|known| known.series.as_ref());
            // A clock that was set back a little makes nothing come in before what came before it.
            reading.at = reading.at.max(last.map_or(reading.at, |last| last.at)).min(self.now);
        }
        let silent = self.silent(&readings, memory);
        readings.problems.extend(silent);
        readings
    }

    fn silent(&self, readings: &Readings, memory: &SourceState) -> Vec<SubjectProblem> {
        let mut silent = Vec::new();
        for (name, pulse) in &readings.pulses {
            let counted = memory.subjects.get(name).and_then(|known| known.series.as_ref());
            let uncounted = readings.uncounted.contains(name);
            // What was never metered is not missed, unless somebody says so.
            let metered = self.is_metered(name) && (counted.is_some() || !uncounted);
            if !metered && !self.source.source.must_report().contains(name) {
                continue;
            }
            let lost = counted.filter(|last| uncounted && self.is_long(last.at, memory));
            let (since, what) = match lost {
                _ if self.is_long(pulse.at, memory) => (pulse.at, "no report since"),
                Some(last) => (last.at, "no counters in its reports since"),
                None => continue,
            };
            let text = format!("{name:?}: {what} {}", (self.show)(since));
            silent.push(SubjectProblem { since: Some(since), ..SubjectProblem::now(name, text) });
        }
        silent
    }

    /// Whether a quota looks at a subject of this name.
    fn is_metered(&self, name: &str) -> bool {
        self.quotas.iter().any(|quota| quota.source == self.source.name && quota.names(name))
    }

    fn is_long(&self, since: Instant, memory: &SourceState) -> bool {
        let passed = self.now.since(memory.hears.map_or(since, |hears| hears.max(since)));
        passed.min(self.up.unwrap_or(passed)) >= self.source.problem_after
    }

    /// Nothing is done on the last report of a node that has been silent since, though it is taken in this very run.
    pub fn mind_the_silent(&self, readings: &Readings, memory: &mut SourceState) {
        if !self.source.source.repeats() {
            return;
        }
        memory.uncounted.clone_from(&readings.uncounted);
        let old = readings.readings.iter().filter(|reading| self.now.since(reading.at) > OLD);
        let silent = readings.problems.iter().map(|problem| &problem.subject);
        for name in silent.chain(old.map(|reading| &reading.subject)) {
            if let Some(subject) = memory.subjects.get_mut(name) {
                subject.fresh = false;
            }
        }
    }
}

/// Whether a figure is of an earlier look at the same counters than the last one: it was held up on its way, or comes from
/// a backup. What is no restart would be counted once more.
fn is_late(reading: &Reading, memory: &SourceState) -> bool {
    let Some(identity) = reading.identity() else { return false };
    let last = memory.subjects.get(&reading.subject).and_then(|known| known.series.as_ref());
    last.is_some_and(|last| {
        let before = &last.identity;
        let same = (&before.boot, before.epoch) == (&identity.boot, identity.epoch);
        let fell = identity.uptime < before.uptime;
        same && fell && (reading.at < last.at || before.is_other(identity, reading.at.since(last.at)))
    })
}

/// Whether this very figure was taken before.
fn is_known(reading: &Reading, memory: &SourceState) -> bool {
    let Figure::Counter { counters, identity, .. } = &reading.figure else { return false };
    let last = memory.subjects.get(&reading.subject).and_then(|known| known.series.as_ref());
    last.is_some_and(|last| last.counters == *counters && last.identity == *identity)
}

impl Run<'_> {
    /// Tells once of each node that a quota looks at and that reports no counters.
    pub(super) fn tell_of_uncounted(&mut self, state: &mut State, source: &NamedSource, readings: Readings) {
        if !source.source.repeats() {
            return;
        }
        let prefix = format!("{UNCOUNTED}{}/", source.name);
        let there = |key: &str| key.strip_prefix(&prefix).is_none_or(|node| readings.pulses.contains_key(node));
        state.warned.retain(|key, _| there(key));
        let metered =
            |node: &&String| self.config.quotas.iter().any(|quota| quota.source == source.name && quota.names(node));
        let untold: Vec<&str> = readings
            .uncounted
            .iter()
            .filter(metered)
            .map(String::as_str)
            .filter(|node| !state.warned.contains_key(&format!("{prefix}{node}")))
            .collect();
        if untold.is_empty() {
            return;
        }
        self.notices.push(Notice::uncounted(&source.name, &untold));
        for node in untold {
            state.warned.insert(format!("{prefix}{node}"), self.clock.now);
        }
    }
}

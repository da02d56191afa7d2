//! What a subject is doing: its rate, its load, and when that was seen. Alarms and the live page look at it; nothing is
//! counted by it.

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::instant::Instant;
use super::meter::{Count, Counters, Delta, Figure, Reading, Readings, Series};
use super::state::SourceState;

/// What a subject was doing when it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// When it was seen: for a node, when its report came in, by this machine's clock.
    pub at: Instant,
    /// Bytes per second; none while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Counters>,
    /// The seconds that the rate is the mean of; none where the subject itself says it, and not over which time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<u32>,
    /// The share of its processors that is busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Load>,
    /// The share of its memory that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Load>,
}

impl Pulse {
    /// Seen, and nothing else known of it.
    pub fn at(at: Instant) -> Self {
        Self { at, rate: None, over: None, cpu: None, memory: None }
    }

    /// Bytes per second of the directions that are looked at.
    pub fn rate_of(&self, count: Count) -> Option<u64> {
        self.rate.map(|rate| count.of(rate))
    }
}

/// What the processors have done since the boot, all together, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cpu {
    /// Ticks in which there was work.
    pub busy: u64,
    /// All ticks.
    pub total: u64,
}

impl Cpu {
    /// The share that was busy since an earlier look. None when there was no time in between, or when a figure fell: the
    /// machine was started anew, or the kernel has corrected what it took for waiting.
    pub fn since(&self, before: &Self) -> Option<Load> {
        let (busy, total) = (self.busy.checked_sub(before.busy)?, self.total.checked_sub(before.total)?);
        (busy <= total).then(|| Load::share(busy, total)).flatten()
    }
}

/// How busy a subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loads {
    /// The share of its processors that is busy.
    pub cpu: Option<Load>,
    /// The share of its memory that is in use.
    pub memory: Option<Load>,
}

impl SourceState {
    /// Notes what the subjects are doing, by what their counters have gone on by since the figures that are remembered: to
    /// be called before those are replaced. A source whose subjects report by themselves has said it of all it knows of.
    pub fn feel(&mut self, readings: &Readings, reported: bool, now: Instant) {
        if reported {
            self.feel_reported(readings, now);
            return;
        }
        let busy = readings.cpu.zip(self.cpu).and_then(|(cpu, before)| cpu.since(&before));
        self.cpu = readings.cpu;
        for reading in &readings.readings {
            let last = self.subjects.get(&reading.subject).and_then(|subject| subject.series.as_ref());
            let Some(step) = Step::of(last, reading, now) else { continue };
            let Loads { cpu, memory } = readings.loads.get(&reading.subject).copied().unwrap_or_default();
            let cpu = cpu.or(busy);
            let before = self.pulses.get(&reading.subject);
            let (rate, over) = match step {
                Step::Flow(flow, over) => (mean(flow, over), u32::try_from(over.as_secs()).ok()),
                // The same figure once more is no other look.
                Step::Same if before.is_some() => continue,
                Step::Same | Step::Unknown => (None, None),
            };
            let over = over.filter(|_| rate.is_some());
            self.pulses.insert(reading.subject.clone(), Pulse { at: now, rate, over, cpu, memory });
        }
        let Self { pulses, subjects, .. } = self;
        if pulses.len() > readings.readings.len() {
            let read: HashSet<&str> = readings.readings.iter().map(|reading| reading.subject.as_str()).collect();
            let gone =
                |name: &str| !readings.partial && readings.listed.as_ref().is_some_and(|all| !all.contains(name));
            pulses.retain(|name, _| !gone(name) && (subjects.contains_key(name) || read.contains(name.as_str())));
        }
    }

    fn feel_reported(&mut self, readings: &Readings, now: Instant) {
        let before = std::mem::replace(&mut self.pulses, readings.pulses.clone());
        for (name, pulse) in &mut self.pulses {
            // One that came in before the clock was set back is no newer each time it is looked at.
            let same =
                before.get(name).filter(|before| Pulse { at: pulse.at, ..**before } == *pulse && pulse.at >= now);
            pulse.at = same.map_or(pulse.at.min(now), |before| before.at);
        }
        // A report that cannot be read is not one that never was.
        for problem in &readings.problems {
            if let Some(pulse) = before.get(&problem.subject) {
                self.pulses.entry(problem.subject.clone()).or_insert(*pulse);
            }
        }
    }
}

/// How a subject's counters have gone on.
enum Step {
    /// So much in such a time.
    Flow(Counters, Duration),
    /// It is the very figure that is known.
    Same,
    /// Nobody knows: it is the first one, or more than can have flowed.
    Unknown,
}

impl Step {
    /// None for what has no counters, or is a part of another subject.
    fn of(last: Option<&Series>, reading: &Reading, now: Instant) -> Option<Self> {
        let up = match &reading.figure {
            Figure::Package(_) => return None,
            Figure::Guest(guest) if guest.nic.is_some() => return None,
            // It is off, and that is known: it is not silent.
            Figure::Guest(guest) if guest.uptime.is_zero() => return Some(Self::Unknown),
            Figure::Guest(guest) => Some(guest.uptime),
            Figure::Counter { identity, .. } => identity.uptime,
            Figure::Tally { .. } => None,
        };
        let Some(last) = last else { return Some(Self::Unknown) };
        let delta = Delta::between(last, reading, now);
        let passed = now.since(last.at);
        let anew = reading.identity().is_some_and(|identity| last.identity.rebooted(identity, passed));
        let over = match (last.identity.uptime, up) {
            (_, Some(after)) if anew => after,
            (Some(before), Some(after)) if after > before => after - before,
            (Some(before), Some(after)) if after == before => return Some(Self::Same),
            (_, Some(after)) => after,
            _ => delta.to.since(delta.from),
        };
        Some(if delta.flagged || over.is_zero() { Self::Unknown } else { Self::Flow(delta.flow, over) })
    }
}

/// The mean rate of what flowed in a time, in bytes per second; none over no time at all.
pub fn mean(flow: Counters, over: Duration) -> Option<Counters> {
    let millis = over.as_millis();
    let per_second = |bytes: u64| u64::try_from(u128::from(bytes) * 1000 / millis.max(1)).unwrap_or(u64::MAX);
    (millis > 0).then(|| Counters { rx: per_second(flow.rx), tx: per_second(flow.tx) })
}

/// A share of what there is, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Load(pub u32);

impl Load {
    /// All of it.
    pub const FULL: Self = Self(10_000);

    /// From percent; none when that is no number or negative. More than all is taken for all.
    pub fn percent(percent: f64) -> Option<Self> {
        let known = percent.is_finite() && percent >= 0.0;
        known.then(|| Self((percent * 100.0).min(f64::from(Self::FULL.0)).round() as u32))
    }

    /// So much of so much; none of nothing.
    pub fn share(part: u64, whole: u64) -> Option<Self> {
        let share = u128::from(part.min(whole)) * u128::from(Self::FULL.0);
        share.checked_div(u128::from(whole)).map(|share| Self(share as u32))
    }

    /// In percent.
    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_shares() {
        assert_eq!(Load::percent(12.345), Some(Load(1235)));
        assert_eq!(Load::percent(250.0), Some(Load::FULL));
        for no_load in [f64::NAN, f64::INFINITY, -0.1] {
            assert_eq!(Load::percent(no_load), None);
        }
        assert_eq!(Load::share(1, 3), Some(Load(3333)));
        assert_eq!(Load::share(u64::MAX, u64::MAX), Some(Load::FULL));
        assert_eq!(Load::share(5, 4), Some(Load::FULL), "buffers may be counted in");
        assert_eq!(Load::share(0, 0), None);
    }

    #[test]
    fn means_are_per_second() {
        let flow = Counters { rx: 1000, tx: u64::MAX };
        let minute = mean(flow, Duration::from_secs(60));
        assert_eq!(minute, Some(Counters { rx: 16, tx: u64::MAX / 60 }));
        assert_eq!(mean(flow, Duration::from_millis(1)), Some(Counters { rx: 1_000_000, tx: u64::MAX }));
        assert_eq!(mean(flow, Duration::ZERO), None);
    }
}

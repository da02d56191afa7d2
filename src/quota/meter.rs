//! From counters to usage: what a reading adds, and to which period.
//!
//! Invariant: every byte between two readings lands in exactly one period of each rule. Identity is looked at
//! first, then a decrease, and each direction is a counter of its own: one that fell alone is counted from
//! zero alone.
//!
//! Why bytes come in three kinds: *used* are all; *unsure* are those that only a split by time put into the
//! period; *flagged* came faster than the link can carry. Alerts look at all, actions at the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::absorb::Oddity;
use super::gaps::Gap;
use super::guest::Guest;
use super::instant::Instant;
use super::package::Package;
use super::period::{Period, Rule};
use super::pulse::{Cpu, Loads, Pulse};

/// Bytes in both directions, as seen from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
}

impl Counters {
    /// Both directions combined by `f`.
    pub fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self { rx: f(self.rx, other.rx), tx: f(self.tx, other.tx) }
    }

    /// The sum, stopping at the largest number.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// The difference, stopping at zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }

    /// The share of a span of time, rounded down.
    #[must_use]
    fn share(self, part: Duration, whole: Duration) -> Self {
        let (part, whole) = (part.as_millis(), whole.as_millis().max(1));
        let of = |bytes: u64| (u128::from(bytes) * part.min(whole) / whole) as u64;
        Self { rx: of(self.rx), tx: of(self.tx) }
    }
}

/// What tells a restart of the counters from their going on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// The kernel's boot id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Time since boot.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millis")]
    pub uptime: Option<Duration>,
    /// The interface's index: a new one means a new device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Of what is reported by another machine: how often its counters were others than before, in a way that is no
    /// restart. What they hold then has not flowed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
}

impl Identity {
    /// Whether the machine was started anew between two looks at it, `passed` apart by the wall clock.
    ///
    /// A changed boot id alone does not say so (a container's differs from its host's): the uptime must not
    /// have gone on with the clock either. A fallen uptime always does. Where no boot id is known, a machine
    /// that is up for longer than the time that passed was not started in it.
    pub fn rebooted(&self, now: &Self, passed: Duration) -> bool {
        if let (Some(before), Some(after)) = (self.uptime, now.uptime)
            && after < before
        {
            return true;
        }
        // A machine that is up for longer than the time that passed was not started in it.
        let within = now.uptime.is_some_and(|up| up <= passed + SLACK);
        match (&self.boot, &now.boot) {
            (Some(before), Some(after)) if before == after => false,
            (Some(_), Some(_)) => !self.went_on(now, passed),
            _ => within && !self.went_on(now, passed),
        }
    }

    /// Whether what is reported comes from other counters than before: those of another machine or interface, which is up
    /// for longer than since the last report.
    pub fn is_other(&self, now: &Self, passed: Duration) -> bool {
        let too_old = || self.rebooted(now, passed) && now.uptime.is_some_and(|up| up > passed + REPORTED);
        now.epoch.is_some() && (self.epoch != now.epoch || too_old())
    }

    /// Whether the uptime grew by what the wall clock says passed, within five seconds and one part in a thousand.
    fn went_on(&self, now: &Self, passed: Duration) -> bool {
        let (Some(before), Some(after)) = (self.uptime, now.uptime) else { return false };
        let grown = after.saturating_sub(before);
        grown.abs_diff(passed) <= SLACK + passed / 1000
    }
}

/// What the way of a report may add to that.
const REPORTED: Duration = Duration::from_secs(300);
/// What two clocks may differ by without meaning anything.
const SLACK: Duration = Duration::from_secs(5);

/// Durations as whole milliseconds.
mod millis {
    use super::Duration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.map_or(0, |d| d.as_millis() as u64))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        u64::deserialize(deserializer).map(|ms| Some(Duration::from_millis(ms)))
    }
}

/// One figure from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Whose it is.
    pub subject: String,
    /// When it was read.
    pub at: Instant,
    /// What was read.
    pub figure: Figure,
}

/// What a source says of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// It grows until a restart.
    Counter {
        /// What the counters hold.
        counters: Counters,
        /// What they belong to.
        identity: Identity,
        /// Bit/s, as the link reports it.
        link_speed: Option<u64>,
    },
    /// What a process has counted since nobody knows when: it begins anew with the process, or with what is counted, and
    /// both directions at once. So a counter that fell says that both began anew.
    Tally {
        /// What the counters hold.
        counters: Counters,
        /// It was not there at this time, as far as is known: all of it has come since.
        since: Option<Instant>,
    },
    /// What remains by the provider's own account, in a period of the provider's own.
    Package(Package),
    /// What a virtualization cluster says of a guest, or of one of its NICs.
    Guest(GuestFigure),
}

/// What a cluster says of a guest, or of one of its NICs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFigure {
    /// What the counters hold, as seen from the guest; nothing while it is off.
    pub counters: Counters,
    /// For how long the guest is up; nothing while it is off.
    pub uptime: Duration,
    /// What else is known of the guest.
    pub guest: Guest,
    /// The NIC, when it is about one only.
    pub nic: Option<Nic>,
    /// How late its node's figures are, where that is known.
    pub lag: Option<Duration>,
}

/// One NIC of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// As the guest's configuration calls it: `net0`.
    pub name: String,
    /// The bridge it is on, where that was asked for and is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
}

impl Reading {
    /// What tells the device, for one that has counters.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.figure {
            Figure::Counter { identity, .. } => Some(identity),
            Figure::Tally { .. } | Figure::Package(_) | Figure::Guest(_) => None,
        }
    }

    /// What its counters hold and for how long they have counted, where both are known.
    pub fn since_boot(&self) -> Option<(Counters, Duration)> {
        match &self.figure {
            Figure::Counter { counters, identity, .. } => Some((*counters, identity.uptime?)),
            Figure::Guest(figure) => Some((figure.counters, figure.uptime)),
            Figure::Tally { .. } | Figure::Package(_) => None,
        }
    }

    /// What is remembered of it after `last`.
    pub fn series(&self, last: Option<&Series>, now: Instant) -> Series {
        match &self.figure {
            Figure::Counter { counters, identity, .. } => {
                Series { at: now, counters: *counters, identity: identity.clone() }
            }
            Figure::Tally { counters, .. } => Series { at: now, counters: *counters, identity: Identity::default() },
            Figure::Package(package) => package.series(last, now),
            Figure::Guest(figure) => figure.series(now),
        }
    }
}

/// What one source said in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    /// The good figures.
    pub readings: Vec<Reading>,
    /// What could not be read.
    pub problems: Vec<SubjectProblem>,
    /// What the source wants to remember, such as the default route's interface.
    pub choice: Option<String>,
    /// Whether a part of it was refused to this key.
    pub refused: bool,
    /// All subjects there are, also those without a figure, for a source that lists them all.
    pub listed: Option<BTreeSet<String>>,
    /// Whether some of what was listed cannot be told whose it is.
    pub partial: bool,
    /// Guests for whose bridges there was no time.
    pub late_bridges: usize,
    /// Guests whose NICs were all read.
    pub nics_of: BTreeSet<String>,
    /// How busy subjects are, by name, where that is known.
    pub loads: BTreeMap<String, Loads>,
    /// What this machine's processors have done, for a source that is this machine.
    pub cpu: Option<Cpu>,
    /// What subjects were doing, for a source that says so itself, also of those that have no figure.
    pub pulses: BTreeMap<String, Pulse>,
    /// Subjects that are there and report nothing that could be metered.
    pub uncounted: BTreeSet<String>,
    /// What is strange, and has to be told although there are figures.
    pub oddities: Vec<Oddity>,
}

/// Why a subject has no figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectProblem {
    /// Whose figure is missing.
    pub subject: String,
    /// Why.
    pub text: String,
    /// It was to be expected, and is a problem only when it lasts: since when.
    pub expected: Option<Instant>,
    /// Since when, where that is not since the last good figure that was taken.
    pub since: Option<Instant>,
}

impl SubjectProblem {
    /// One that is a problem from now on.
    pub fn now(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { subject: subject.into(), text: text.into(), expected: None, since: None }
    }
}

/// The last good figure of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// When it was read, by the clock then believed.
    pub at: Instant,
    /// What the counters held.
    pub counters: Counters,
    /// What they belonged to.
    pub identity: Identity,
}

/// What a reading adds to the usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The bytes.
    pub flow: Counters,
    /// Since when they can have flowed.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// More than the link can carry in that time.
    pub flagged: bool,
    /// A counter fell although nothing was restarted: a driver that wraps, or one that was reset.
    pub fell: bool,
    /// The time of which nothing is known by counters, and may be by the provider's records.
    pub gap: Option<Gap>,
    /// Whether the provider has records of it, by which it can be divided over the edge of a period.
    pub recorded: bool,
}

/// 100 Gbit/s in bytes per second: faster than this is flagged: no server's link carries it.
const PLAUSIBLE: u64 = 12_500_000_000;

impl Delta {
    /// What flowed between the last figure and this one; `now` is the reading's time by the believed clock.
    pub fn between(last: &Series, reading: &Reading, now: Instant) -> Self {
        match &reading.figure {
            Figure::Tally { counters, since } => Self::of_tally(last, *counters, *since, now),
            Figure::Package(package) => package.since(last, now),
            Figure::Counter { counters, identity, link_speed } => {
                Self::of_counters(last, *counters, identity, *link_speed, now)
            }
            Figure::Guest(figure) => figure.since(last, now),
        }
    }

    fn of_counters(last: &Series, counters: Counters, after: &Identity, link_speed: Option<u64>, now: Instant) -> Self {
        let passed = now.since(last.at);
        let before = &last.identity;
        if before.is_other(after, passed) {
            let (flow, from) = (Counters::default(), now.max(last.at));
            return Self { flow, from, to: from, flagged: false, fell: false, gap: None, recorded: false };
        }
        let rebooted = before.rebooted(after, passed);
        let recreated = !rebooted && matches!((before.index, after.index), (Some(a), Some(b)) if a != b);
        let anew = |before: u64, after: u64| if after < before { after } else { after - before };
        let fresh = rebooted || recreated;
        let flow = if fresh { counters } else { last.counters.zip(counters, anew) };
        let fell = !fresh && (counters.rx < last.counters.rx || counters.tx < last.counters.tx);
        let boot = after.uptime.filter(|_| rebooted).map_or(last.at, |up| now.minus(up));
        let from = boot.clamp(last.at, now.max(last.at));
        let lasted = match (before.uptime, after.uptime) {
            (Some(a), Some(b)) if !rebooted && b > a => b - a,
            (_, Some(up)) if rebooted => up,
            _ => now.since(from),
        };
        let flagged = implausible(flow, lasted, link_speed);
        Self { flow, from, to: now, flagged, fell, gap: None, recorded: false }
    }

    fn of_tally(last: &Series, counters: Counters, since: Option<Instant>, now: Instant) -> Self {
        let fell = counters.rx < last.counters.rx || counters.tx < last.counters.tx;
        let flow = if fell || since.is_some() { counters } else { counters.minus(last.counters) };
        let to = now.max(last.at);
        let from = since.unwrap_or(last.at).clamp(last.at, to);
        let flagged = implausible(flow, to.since(from), None);
        Self { flow, from, to, flagged, fell: false, gap: None, recorded: false }
    }

    /// What of it flowed until then.
    pub(super) fn until(&self, at: Instant) -> Counters {
        if at < self.from { Counters::default() } else { self.part(self.from, at.min(self.to)) }
    }

    fn part(&self, from: Instant, to: Instant) -> Counters {
        if from <= self.from && to >= self.to {
            return self.flow;
        }
        let (start, end) = (from.max(self.from), to.min(self.to));
        self.flow.share(end.since(start), self.to.since(self.from))
    }
}

/// Whether one direction moved more than 100 Gbit/s, or than the link's speed if that is higher; within a second
/// no rate can be told, so a whole one is allowed for.
pub fn implausible(flow: Counters, lasted: Duration, link_speed: Option<u64>) -> bool {
    let per_second = PLAUSIBLE.max(link_speed.unwrap_or(0) / 8);
    let limit = u128::from(per_second) * lasted.as_millis().max(1000) / 1000;
    u128::from(flow.rx.max(flow.tx)) > limit
}

/// A delta that was divided over the start of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Since when it can have flowed.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// All of it.
    pub flow: Counters,
    /// What was put into the period before.
    pub old: Counters,
    /// What was put into this one.
    pub new: Counters,
}

/// What is counted of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Count {
    /// Sent.
    Out,
    /// Received.
    In,
    /// Both together.
    Sum,
    /// The larger of the period's totals.
    Max,
    /// The smaller of the period's totals.
    Min,
}

impl Count {
    /// The bytes that count.
    pub fn of(self, flow: Counters) -> u64 {
        match self {
            Self::Out => flow.tx,
            Self::In => flow.rx,
            Self::Sum => flow.tx.saturating_add(flow.rx),
            Self::Max => flow.tx.max(flow.rx),
            Self::Min => flow.tx.min(flow.rx),
        }
    }
}

/// The operator's word on what was used, kept as what it adds to the metered bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Bytes added to (or taken from) what was metered.
    pub by: i64,
    /// The figure given.
    pub used: u64,
    /// The time it was given for.
    pub of: Instant,
    /// When it was given.
    pub at: Instant,
    /// Unsure and implausible bytes until then, which the figure made sure.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub settled: Counters,
}

/// A point of the usage curve: time, received and sent in the period until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(pub Instant, pub u64, pub u64);

/// A period that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which.
    pub period: Period,
    /// What was metered in it.
    pub used: Counters,
    /// Its calibrations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calibrated: BTreeMap<Count, Calibration>,
    /// Whether a part was divided by time.
    pub estimated: bool,
    /// What fell into periods between it and the next that was metered.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub between: Counters,
    /// The provider's total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl Closed {
    /// What counted, calibrated.
    pub fn used(&self, count: Count) -> u64 {
        calibrated(count.of(self.used), self.calibrated.get(&count))
    }
}

fn is_nothing(flow: &Counters) -> bool {
    *flow == Counters::default()
}

/// The usage of one subject by one period rule, and by nothing else: quotas come and go, this stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The period now metered.
    pub period: Period,
    /// Since when it is metered: the period's start, or the first sight in it.
    pub since: Instant,
    /// All bytes of the period.
    pub used: Counters,
    /// Those of them that only a split by time put here.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub unsure: Counters,
    /// Those of them that came implausibly fast.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub flagged: Counters,
    /// The provider's total, where the period is the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether the provider's records have filled in or divided a part of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_records: bool,
    /// The delta that was divided by time over the period's start, while records may divide it better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Box<Split>>,
    /// Corrections by the operator, by what is counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calibrated: BTreeMap<Count, Calibration>,
    /// A few points of the recent curve, for the forecast.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pace: Vec<Mark>,
    /// The period before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Closed>,
    /// Since when no quota asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unasked: Option<Instant>,
    /// It began in the middle of its period: the history has not been asked yet whether it knows more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_new: bool,
}

impl Ledger {
    /// Nothing used since `since`.
    pub fn start(period: Period, since: Instant) -> Self {
        Self {
            period,
            since: since.max(period.start),
            used: Counters::default(),
            unsure: Counters::default(),
            flagged: Counters::default(),
            total: None,
            by_records: false,
            split: None,
            calibrated: BTreeMap::new(),
            pace: Vec::new(),
            last: None,
            unasked: None,
            is_new: false,
        }
    }

    /// What counts of the period, calibrated.
    pub fn used(&self, count: Count) -> u64 {
        calibrated(count.of(self.used), self.calibrated.get(&count))
    }

    /// As [`Ledger::used`], without the bytes that are unsure or implausible.
    pub fn certain(&self, count: Count) -> u64 {
        let calibration = self.calibrated.get(&count);
        let settled = calibration.map_or(Counters::default(), |calibration| calibration.settled);
        let doubtful = self.doubtful().minus(settled);
        calibrated(count.of(self.used.minus(doubtful)), calibration)
    }

    /// Bytes no action may be based on.
    pub fn doubtful(&self) -> Counters {
        self.unsure.plus(self.flagged)
    }

    /// Adds bytes that flowed while the clock stood still or within the period.
    fn add(&mut self, flow: Counters, delta: &Delta) {
        self.used = self.used.plus(flow);
        if delta.flagged {
            self.flagged = self.flagged.plus(flow);
        }
    }

    /// Adds a delta that ends in this period or in a later one, rolling over as often as it takes.
    pub fn absorb(&mut self, delta: &Delta, rule: &Rule, now: Instant) {
        let ended = self.period.end.filter(|end| now >= *end);
        match ended {
            None => self.add(delta.flow, delta),
            Some(end) => self.roll(delta, end, rule.period(now)),
        }
    }

    /// Closes the period: its share of the delta stays with it, the new period gets its own.
    fn roll(&mut self, delta: &Delta, end: Instant, next: Period) {
        let next = Period { start: next.start.max(end), end: next.end };
        // What is not before the edge is after it.
        let old = delta.until(end);
        let new = delta.flow.minus(delta.until(next.start));
        let split = delta.from < next.start && delta.flow != Counters::default();
        self.add(old, delta);
        let closed = Closed {
            period: self.period,
            used: self.used,
            calibrated: std::mem::take(&mut self.calibrated),
            estimated: self.estimated() || (split && delta.from < end),
            between: delta.flow.minus(old).minus(new),
            total: None,
        };
        *self = Self { last: Some(closed), ..Self::start(next, next.start) };
        self.add(new, delta);
        if split && !delta.flagged {
            self.unsure = new;
            self.split =
                delta.recorded.then(|| Box::new(Split { from: delta.from, to: delta.to, old, new, flow: delta.flow }));
        }
    }

    /// Adds the part of a delta that lies within the period.
    pub fn take_share(&mut self, delta: &Delta) {
        let end = self.period.end.unwrap_or(delta.to.max(self.since)).max(self.since);
        let whole = delta.from >= self.since && delta.to <= end;
        let share = if whole { delta.flow } else { delta.part(self.since, end) };
        self.add(share, delta);
        if !whole && delta.from < self.since && !delta.flagged {
            self.unsure = self.unsure.plus(share);
        }
    }

    /// Makes this the sum of the members' ledgers: those in the latest one's period, and what the others closed
    /// before it.
    pub fn become_sum(&mut self, members: &[&Self], latest: &Self, fresh: bool, now: Instant) {
        if self.period != latest.period {
            let closed = self.closing(members, latest);
            *self = Self { last: Some(closed), ..Self::start(latest.period, latest.period.start) };
        }
        let current = || members.iter().filter(|member| member.period == latest.period);
        let sum = |of: fn(&Self) -> Counters| current().map(|m| of(m)).fold(Counters::default(), Counters::plus);
        self.used = sum(|m| m.used);
        self.unsure = sum(|m| m.unsure);
        self.flagged = sum(|m| m.flagged);
        self.by_records = current().any(|member| member.by_records);
        self.since = current().map(|member| member.since).min().unwrap_or(self.since);
        if fresh {
            self.mark(now);
        }
    }

    fn closing(&self, members: &[&Self], latest: &Self) -> Closed {
        let mut closed = Closed {
            period: self.period,
            used: Counters::default(),
            calibrated: self.calibrated.clone(),
            estimated: false,
            between: Counters::default(),
            total: None,
        };
        for member in members {
            match &member.last {
                Some(last) if last.period == self.period && member.period == latest.period => {
                    closed.used = closed.used.plus(last.used);
                    closed.between = closed.between.plus(last.between);
                    closed.estimated |= last.estimated;
                }
                _ if member.period == self.period => closed.used = closed.used.plus(member.used),
                _ => {}
            }
        }
        closed
    }

    /// Follows a clock that was set back and is believed: the period that now runs takes over what was counted
    /// in the one that does not exist yet.
    pub fn rewind(&mut self, period: Period) {
        let resumed = self.last.take_if(|last| last.period.start == period.start);
        if let Some(last) = resumed {
            self.used = self.used.plus(last.used).plus(last.between);
            for (count, calibration) in last.calibrated {
                self.calibrated.entry(count).or_insert(calibration);
            }
        }
        self.period = period;
        self.since = self.since.min(period.start);
        self.pace.clear();
    }

    /// The clock was set back to `now`: nothing was metered after it.
    pub fn not_after(&mut self, now: Instant) {
        self.since = self.since.min(now.max(self.period.start));
        self.pace.retain(|mark| mark.0 <= now);
    }

    /// Whether a part of the usage is there only by a split by time, or by the provider's records.
    pub fn estimated(&self) -> bool {
        !is_nothing(&self.unsure) || self.by_records
    }

    /// Whether a part of the usage came faster than the link can carry.
    pub fn implausible(&self) -> bool {
        !is_nothing(&self.flagged)
    }

    /// Keeps a few points of the curve, spread over the recent window of the forecast.
    pub fn mark(&mut self, now: Instant) {
        let window = recent_window(self.period);
        let spacing = window / MARKS;
        if self.pace.last().is_none_or(|mark| now.since(mark.0) >= spacing) {
            self.pace.push(Mark(now, self.used.rx, self.used.tx));
            let keep_from = now.minus(window + spacing);
            let stale = self.pace.iter().take_while(|mark| mark.0 < keep_from).count();
            self.pace.drain(..stale.min(self.pace.len().saturating_sub(2)));
        }
    }

    /// What counted at a time of this period, interpolated between the points known; none for a time before it
    /// was metered.
    pub fn used_at(&self, count: Count, at: Instant, last: Instant) -> Option<u64> {
        let mut points = vec![Mark(self.since, 0, 0)];
        points.extend(self.pace.iter().filter(|mark| mark.0 > self.since && mark.0 < last));
        points.push(Mark(last, self.used.rx, self.used.tx));
        let (a, b) = points.iter().zip(points.iter().skip(1)).find(|(a, b)| a.0 <= at && at <= b.0)?;
        let grown = Counters { rx: b.1.saturating_sub(a.1), tx: b.2.saturating_sub(a.2) };
        let until = grown.share(at.since(a.0), b.0.since(a.0));
        Some(count.of(Counters { rx: a.1, tx: a.2 }.plus(until)))
    }
}

/// Points kept within the recent window.
const MARKS: u32 = 4;

/// How far back "recent" reaches: a tenth of the period, between ten minutes and three days.
pub fn recent_window(period: Period) -> Duration {
    let tenth = period.end.map_or(Duration::MAX, |end| end.since(period.start) / 10);
    tenth.clamp(Duration::from_secs(600), Duration::from_secs(3 * 86_400))
}

fn calibrated(metered: u64, calibration: Option<&Calibration>) -> u64 {
    calibration.map_or(metered, |c| metered.saturating_add_signed(c.by))
}

#[cfg(test)]
mod tests {
    use super::super::period::{Cycle, ShortMonth};
    use super::super::zone::Zone;
    use super::*;

    const HOUR: u64 = 3600;
    const GB: u64 = 1_000_000_000;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn identity(boot: &str, uptime: u64, index: u64) -> Identity {
        Identity { boot: Some(boot.into()), uptime: Some(Duration::from_secs(uptime)), index: Some(index), epoch: None }
    }

    fn series(tx: u64, identity: Identity) -> Series {
        Series { at: at("2026-01-10T00:00:00Z"), counters: Counters { rx: 5000, tx }, identity }
    }

    fn reading(tx: u64, identity: Identity) -> Reading {
        let figure = Figure::Counter { counters: Counters { rx: 5000, tx }, identity, link_speed: None };
        Reading { subject: "eth0".into(), at: at("2026-01-10T01:00:00Z"), figure }
    }

    /// An hour after a figure of 10 GB sent and 5000 bytes received.
    fn delta(tx: u64, now: Identity) -> Delta {
        let before = series(10 * GB, identity("a", 24 * HOUR, 2));
        Delta::between(&before, &reading(tx, now), at("2026-01-10T01:00:00Z"))
    }

    #[test]
    fn no_restart_counts_the_difference() {
        let delta = delta(12 * GB, identity("a", 25 * HOUR, 2));
        assert_eq!(delta.flow, Counters { rx: 0, tx: 2 * GB });
        assert_eq!((delta.from, delta.flagged, delta.fell), (at("2026-01-10T00:00:00Z"), false, false));
    }

    #[test]
    fn a_tally_that_fell_began_anew_in_both_directions() {
        let before = Series { identity: Identity::default(), ..series(10 * GB, Identity::default()) };
        let delta = |rx, tx, since: Option<&str>| {
            let figure = Figure::Tally { counters: Counters { rx, tx }, since: since.map(at) };
            let now = at("2026-01-10T01:00:00Z");
            let delta = Delta::between(&before, &Reading { subject: "8080".into(), at: now, figure }, now);
            assert!(!delta.fell && !delta.flagged, "it is no oddity");
            (delta.flow.rx, delta.flow.tx, delta.from)
        };
        let (last, since) = (at("2026-01-10T00:00:00Z"), "2026-01-10T00:55:00Z");
        assert_eq!(delta(6000, 11 * GB, None), (1000, GB, last));
        assert_eq!(delta(5000, 10 * GB, None), (0, 0, last));
        assert_eq!(delta(6000, GB, None), (6000, GB, last), "not the difference of the one that did not fall");
        assert_eq!(delta(1, 11 * GB, None), (1, 11 * GB, last));
        assert_eq!(delta(6000, 11 * GB, Some(since)), (6000, 11 * GB, at(since)), "it was gone meanwhile");
        assert_eq!(delta(0, 0, Some("2025-01-01T00:00:00Z")).2, last);
    }

    #[test]
    fn a_reboot_counts_in_full_from_the_boot_whatever_the_counter_says() {
        for tx in [GB, 12 * GB] {
            let delta = delta(tx, identity("b", HOUR / 2, 2));
            assert_eq!(delta.flow, Counters { rx: 5000, tx });
            assert_eq!((delta.from, delta.fell), (at("2026-01-10T00:30:00Z"), false));
        }
    }

    #[test]
    fn another_boot_id_whose_uptime_goes_on_is_no_restart() {
        assert_eq!(delta(12 * GB, identity("host", 25 * HOUR, 2)).flow.tx, 2 * GB);
        assert_eq!(delta(12 * GB, identity("host", 24 * HOUR + 60, 2)).flow.tx, 12 * GB);
    }

    #[test]
    fn a_reboot_a_day_later_is_seen_though_the_uptime_grew_almost_as_much() {
        let before = series(5 * GB, identity("a", 800, 2));
        let now = at("2026-01-11T00:00:00Z");
        let delta = Delta::between(&before, &reading(6 * GB, identity("b", 86_360, 2)), now);
        assert_eq!(delta.flow.tx, 6 * GB);
    }

    #[test]
    fn a_new_device_counts_in_full() {
        assert_eq!(delta(12 * GB, identity("a", 25 * HOUR, 9)).flow, Counters { rx: 5000, tx: 12 * GB });
    }

    #[test]
    fn a_direction_that_falls_alone_is_counted_from_zero_alone() {
        let delta = delta(GB, identity("a", 25 * HOUR, 2));
        assert_eq!(delta.flow, Counters { rx: 0, tx: GB });
        assert!(delta.fell);
    }

    #[test]
    fn more_than_100_gbit_a_second_is_flagged_unless_the_link_is_faster() {
        let most = PLAUSIBLE * HOUR;
        let now = identity("a", 25 * HOUR, 2);
        assert!(!delta(10 * GB + most, now.clone()).flagged);
        assert!(delta(10 * GB + most + 1, now.clone()).flagged);
        let before = series(0, identity("a", 24 * HOUR, 2));
        let (counters, link_speed) = (Counters { rx: 5000, tx: 2 * most }, Some(200_000_000_000));
        let fast = Reading {
            figure: Figure::Counter { counters, identity: now, link_speed },
            ..reading(0, before.identity.clone())
        };
        assert!(!Delta::between(&before, &fast, at("2026-01-10T01:00:00Z")).flagged);
    }

    fn months() -> Rule {
        let (cycle, at) = (Cycle::Month { day: 1 }, time::Time::MIDNIGHT);
        Rule { cycle, at, zone: Zone::utc(), short_month: ShortMonth::LastDay, since_creation: false }
    }

    fn flow(from: &str, to: &str, tx: u64) -> Delta {
        let flow = Counters { rx: 0, tx };
        Delta { flow, from: at(from), to: at(to), flagged: false, fell: false, gap: None, recorded: false }
    }

    #[test]
    fn a_split_keeps_every_byte_and_calls_the_new_part_unsure() {
        let rule = months();
        let mut ledger = Ledger::start(rule.period(at("2026-01-31T00:00:00Z")), at("2026-01-10T00:00:00Z"));
        let now = "2026-02-01T02:00:00Z";
        ledger.absorb(&flow("2026-01-31T23:00:00Z", now, 10), &rule, at(now));
        let last = ledger.last.as_ref().unwrap();
        assert_eq!((last.used.tx, last.between.tx, ledger.used.tx, ledger.unsure.tx), (3, 0, 7, 7));
        assert_eq!((last.estimated, ledger.used(Count::Out), ledger.certain(Count::Out)), (true, 7, 0));
    }

    #[test]
    fn a_gap_of_months_leaves_the_middle_to_none_of_the_two() {
        let rule = months();
        let mut ledger = Ledger::start(rule.period(at("2026-01-31T00:00:00Z")), at("2026-01-10T00:00:00Z"));
        let now = "2026-04-02T00:00:00Z";
        ledger.absorb(&flow("2026-01-31T00:00:00Z", now, 61), &rule, at(now));
        let last = ledger.last.as_ref().unwrap();
        assert_eq!((last.used.tx, last.between.tx, ledger.used.tx), (1, 59, 1));
    }

    #[test]
    fn implausible_bytes_of_a_split_are_doubted_once() {
        let rule = months();
        let mut ledger = Ledger::start(rule.period(at("2026-01-31T00:00:00Z")), at("2026-01-10T00:00:00Z"));
        let now = "2026-02-01T01:00:00Z";
        let burst = Delta { flagged: true, ..flow("2026-01-31T23:00:00Z", now, 1000) };
        ledger.absorb(&burst, &rule, at(now));
        ledger.absorb(&flow(now, "2026-02-01T02:00:00Z", 990), &rule, at("2026-02-01T02:00:00Z"));
        assert_eq!((ledger.used(Count::Out), ledger.certain(Count::Out)), (1490, 990));
    }

    #[test]
    fn counts_look_at_the_totals() {
        let flow = Counters { rx: 3, tx: 5 };
        let all = [Count::Out, Count::In, Count::Sum, Count::Max, Count::Min].map(|count| count.of(flow));
        assert_eq!(all, [5, 3, 8, 5, 3]);
        assert_eq!(Count::Sum.of(Counters { rx: u64::MAX, tx: 1 }), u64::MAX);
    }
}

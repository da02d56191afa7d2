//! What a guest's counters have lost or cannot divide, and what the cluster's records say of it.
//!
//! Invariant: counters count what flowed since the last restart, records only what lies before it; no byte comes from
//! both. What a NIC that was plugged in anew takes away from the guest's sum is never counted again: the time since the
//! last figure then comes from records alone.
//!
//! Why a gap is kept: the records of the last minute are written in the next, and a node that does not answer now may
//! in an hour. Until then the bytes are missing, and what was divided is divided by time.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::absorb::Asked;
use super::guest::{Guest, Id, Kind, LAG};
use super::instant::Instant;
use super::meter::{
    Count, Counters, Delta, Figure, GuestFigure, Identity, Ledger, Nic, Reading, Readings, Series, implausible,
};
use super::policy::{DAY, due_again};
use super::records::Records;
use super::state::{Ended, SourceState, Subject};
use super::track::{Edges, Track};

/// Figures of a node are never later than that: then they are unknown.
const LATEST: Duration = Duration::from_secs(300);
/// Figures of a node that is not heard of are not told for longer.
const REPEATED: Duration = Duration::from_secs(600);
/// Records that have not come by then do not come.
const SETTLED: Duration = Duration::from_secs(900);
/// What could not be asked for so long since it was found is not asked for any more.
const HOPELESS: Duration = Duration::from_secs(6 * 3600);
/// So many at the most for one guest.
const MOST: usize = 64;

/// A time of which the counters know nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Its start.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
    /// When it was found: maybe long after its end, where nobody looked for so long.
    pub found: Instant,
    /// Only what was recorded entirely within it counts: the guest was off at its start, and counts from its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// The only period rule it concerns: the time before the first sight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Gap {
    /// The time from the start of the ledger's period, or of the guest, until it was first metered: but for what is
    /// missing anyway.
    pub fn before(ledger: &Ledger, rule: &str, subject: &Subject, now: Instant) -> Vec<Self> {
        let start = subject.born.map_or(ledger.period.start, |born| born.max(ledger.period.start));
        let missing = || subject.gaps.iter().filter(|gap| gap.rule.is_none());
        let (first, last) = (missing().map(|gap| gap.from).min(), missing().map(|gap| gap.to).max());
        let to = first.map_or(ledger.since, |first| first.min(ledger.since));
        let holes = [(start, to), (last.unwrap_or(ledger.since).max(start), ledger.since)];
        let hole = |(from, to)| Self { from, to, found: now, whole: false, rule: Some(rule.to_owned()) };
        holes.into_iter().filter(|(from, to)| from < to).map(hole).collect()
    }

    /// The clock was set back to `now`.
    pub fn not_after(&mut self, now: Instant) {
        (self.from, self.to, self.found) = (self.from.min(now), self.to.min(now), self.found.min(now));
    }

    fn part(&self, records: &Records, from: Instant, to: Instant) -> Counters {
        let (from, to) = (from.max(self.from), to.min(self.to));
        match self.whole {
            _ if from >= to => Counters::default(),
            true => records.whole_within(from, to),
            false => records.within(from, to),
        }
    }
}

impl GuestFigure {
    fn of(series: &Series, uptime: Duration, nic: Option<Nic>) -> Self {
        Self { counters: series.counters, uptime, guest: Guest::default(), nic, lag: None }
    }

    /// What is remembered of it.
    pub fn series(&self, now: Instant) -> Series {
        Series::of_guest(now, self.counters, self.uptime)
    }

    /// Whether it may be about another guest than the last figure: that one was restarted, or off and may have been made
    /// anew meanwhile.
    fn begins_anew(&self, last: &Series, now: Instant) -> bool {
        last.was_off() || self.restarted(last, now)
    }

    /// What flowed since the last figure.
    pub fn since(&self, last: &Series, now: Instant) -> Delta {
        let then = last.identity.uptime.unwrap_or_default();
        let recorded = self.nic.is_none();
        let gap = |to, whole| {
            let gap = Gap { from: last.at, to, found: now, whole, rule: None };
            Some(gap).filter(|_| recorded && last.at < to)
        };
        let plain = Delta {
            flow: Counters::default(),
            from: last.at,
            to: now,
            flagged: false,
            fell: false,
            gap: None,
            recorded,
        };
        if self.restarted(last, now) {
            let boot = now.minus(self.uptime + self.lag.unwrap_or_default());
            let from = boot.clamp(last.at, now.max(last.at));
            let flagged = implausible(self.counters, self.uptime, None);
            return Delta { flow: self.counters, from, flagged, gap: gap(from, then.is_zero()), ..plain };
        }
        let fell = self.counters.rx < last.counters.rx || self.counters.tx < last.counters.tx;
        if fell && recorded {
            return Delta { gap: gap(now, false), ..plain };
        }
        let anew = |before: u64, after: u64| if after < before { after } else { after - before };
        let flow = last.counters.zip(self.counters, anew);
        let lasted = if self.uptime > then { self.uptime - then } else { now.since(last.at) };
        Delta { flow, flagged: implausible(flow, lasted, None), ..plain }
    }

    /// Whether the guest was started anew since the last figure, or is off now. One that is up for longer than the time
    /// that passed was not. The figures of a NIC are live, its guest's uptime is not: a start that its counters have shown
    /// already is none.
    fn restarted(&self, last: &Series, now: Instant) -> bool {
        let (then, passed) = (last.identity.uptime.unwrap_or_default(), now.since(last.at));
        if then.is_zero() && self.uptime.is_zero() {
            return false;
        }
        if self.nic.is_some()
            && !self.uptime.is_zero()
            && now.minus(self.uptime + self.lag.unwrap_or_default()) <= last.at
        {
            return false;
        }
        let within = self.uptime <= passed + LAG;
        let fell = then > self.uptime && (within || then - self.uptime > LAG);
        fell || (within && self.uptime + LAG + self.lag.unwrap_or(LATEST) < then + passed)
    }

    /// Whether it says no more than the last figure: a node that is not heard of is told of by its last figures for
    /// five minutes, and another node may be some seconds behind.
    fn is_late(&self, last: &Series, now: Instant) -> bool {
        let then = last.identity.uptime.unwrap_or_default();
        let repeated = self.uptime == then && self.counters == last.counters && now.since(last.at) < REPEATED;
        let behind = self.uptime < then && !self.restarted(last, now);
        // A NIC's figures are live.
        self.nic.is_none() && self.guest.on && !self.uptime.is_zero() && (repeated || behind)
    }
}

impl Series {
    fn of_guest(at: Instant, counters: Counters, uptime: Duration) -> Self {
        Self { at, counters, identity: Identity { uptime: Some(uptime), ..Identity::default() } }
    }

    /// Of a guest or a NIC before anything had flowed.
    fn idle(at: Instant) -> Self {
        Self::of_guest(at, Counters::default(), Duration::ZERO)
    }

    /// Whether the guest was off.
    fn was_off(&self) -> bool {
        self.identity.uptime.is_none_or(|uptime| uptime.is_zero())
    }
}

impl Subject {
    /// When the guest was made, where that is known.
    pub fn created(&self) -> Option<Instant> {
        self.guest.as_ref()?.created
    }

    /// Takes what is said of the guest beside its counters; whether there is a figure to be metered.
    pub(super) fn meet(&mut self, figure: &GuestFigure, now: Instant) -> bool {
        let late = self.series.as_ref().filter(|last| figure.is_late(last, now)).map(|last| last.at);
        let ended = self.ledgers.values().any(|ledger| ledger.period.end.is_some_and(|end| end <= now));
        let anew = self.series.as_ref().is_some_and(|last| figure.begins_anew(last, now));
        let renamed = self.guest.as_ref().is_some_and(|known| known.name != figure.guest.name);
        if anew && (renamed || self.gone.is_some()) && figure.nic.is_none() {
            self.doubted_guest = self.doubted_guest.or(self.series.as_ref().map(|last| last.at));
        }
        self.gone = None;
        let (created, asked) = self.guest.as_ref().map(|known| (known.created, known.asked)).unwrap_or_default();
        self.guest = Some(Box::new(Guest { created, asked, ..figure.guest.clone() }));
        self.nic.clone_from(&figure.nic);
        self.silent = late.is_some_and(|at| now.since(at) > LAG);
        self.fresh = !self.silent && !ended && self.doubted_guest.is_none();
        late.is_none()
    }

    /// Since when records are wanted, if they are.
    fn wants_records(&self) -> Option<Instant> {
        let splits = self.ledgers.values().filter_map(|ledger| ledger.split.as_ref()).map(|split| split.from);
        self.gaps.iter().map(|gap| gap.from).chain(splits).min()
    }

    /// Fills in what the records know.
    pub fn fill(&mut self, records: &Records, now: Instant) {
        let mut begun = Vec::new();
        for gap in std::mem::take(&mut self.gaps) {
            let until = records.until.map_or(gap.to, |until| until.clamp(gap.from, gap.to));
            let known = Gap { to: until, ..gap.clone() };
            if gap.rule.is_none() {
                self.track.total = self.track.total.plus(known.part(records, gap.from, until));
            }
            for (key, ledger) in &mut self.ledgers {
                if gap.rule.as_ref().is_none_or(|rule| rule == key) && ledger.total.is_none() {
                    let since = ledger.since;
                    ledger.fill(&known, records);
                    begun.extend((ledger.since < since).then_some(ledger.since));
                }
            }
            if until < gap.to && now.since(gap.to) < SETTLED {
                self.gaps.push(Gap { from: until, ..gap });
            }
        }
        for ledger in self.ledgers.values_mut() {
            ledger.divide(records, now);
            if ledger.since == ledger.period.start || begun.contains(&ledger.since) {
                self.track.anchor(ledger, 0);
            }
        }
    }

    /// Takes when the guest was made; whether that was after the last figure of the guest of that number, so that it is
    /// another one.
    pub fn take_creation(&mut self, created: Option<Instant>, now: Instant) -> bool {
        if let Some(guest) = &mut self.guest {
            (guest.created, guest.asked) = (created, Some(now));
        }
        self.fresh |= self.doubted_guest.is_some() && !self.silent;
        let last = self.doubted_guest.take();
        last.zip(created).is_some_and(|(last, created)| created > last)
    }

    /// The track of the guest that had the number before: without what the counters of this one say, if they were taken
    /// in already.
    fn ending(&self, name: &str, now: Instant) -> Option<Ended> {
        let series = self.series.as_ref().filter(|_| self.track.key != 0)?;
        let subject = name.to_owned();
        if series.at < now {
            return Some(Ended { subject, at: series.at, track: self.track.clone() });
        }
        let at = now.minus(series.identity.uptime.unwrap_or_default());
        let total = self.track.total.minus(series.counters);
        let edges = self.track.edges.iter().filter(|edge| edge.at <= at).copied().collect();
        Some(Ended { subject, at, track: Track { total, edges, ..self.track.clone() } })
    }

    /// It is another guest of the same number: its usage is what its own counters say.
    fn become_another(&mut self, name: &str, asked: &[Asked<'_>], now: Instant) {
        let (Some(series), Some(guest)) = (self.series.take(), self.guest.take()) else { return };
        let uptime = series.identity.uptime.unwrap_or_default();
        let figure = GuestFigure { guest: (*guest).clone(), ..GuestFigure::of(&series, uptime, self.nic.take()) };
        let before = Series::idle(now.minus(uptime));
        let boot = Some(before.at);
        let born = guest.created.or(boot);
        *self = Self { series: Some(before), guest: Some(guest), nics_read: boot, born, ..Self::default() };
        let reading = Reading { subject: name.to_owned(), at: now, figure: Figure::Guest(figure) };
        self.absorb(&reading, asked, &Edges::new(asked, now), now, &mut Vec::new());
        self.fresh = true;
    }
}

impl Ledger {
    /// Adds what was recorded in a gap, to this period and to the one before. What coarse records only have a share in it
    /// is unsure.
    fn fill(&mut self, gap: &Gap, records: &Records) {
        let end = self.period.end.unwrap_or(gap.to);
        let (before, added) = (self.used, gap.part(records, self.period.start, end));
        self.used = self.used.plus(added);
        let (from, to) = (gap.from.max(self.period.start), gap.to.min(end));
        let rough = if gap.whole || from >= to { Counters::default() } else { records.rough(from, to) };
        self.unsure = self.unsure.plus(rough);
        self.by_records |= added != Counters::default();
        for (count, calibration) in self.calibrated.iter_mut().filter(|(_, calibration)| calibration.of >= gap.to) {
            calibration.by = calibration.by.saturating_sub(grown(*count, before, self.used));
            calibration.settled = calibration.settled.plus(rough);
        }
        if gap.rule.is_some() {
            self.since = self.since.min(gap.from.max(self.period.start));
            self.pace.clear();
        } else if let Some(closed) = &mut self.last {
            let end = closed.period.end.unwrap_or(self.period.start);
            let missed = gap.part(records, closed.period.start, end);
            closed.used = closed.used.plus(missed);
            closed.estimated |= missed != Counters::default();
            closed.between = closed.between.plus(gap.part(records, end, self.period.start));
        }
    }

    /// Divides as it was recorded what was divided by time. What the records do not cover is still divided by time, and
    /// unsure.
    fn divide(&mut self, records: &Records, now: Instant) {
        let Some(split) = self.split.take() else { return };
        if records.until.is_none_or(|until| until < self.period.start) && now.since(split.to) < SETTLED {
            self.split = Some(split);
            return;
        }
        let Some(closed) = &mut self.last else { return };
        let end = closed.period.end.unwrap_or(self.period.start);
        let old = Side::of(records, split.from, end);
        let between = Side::of(records, end, self.period.start);
        let new = Side::of(records, self.period.start, split.to);
        let parts = Side::divide(split.flow, [&old, &between, &new]);
        let [(old_flow, _), (between_flow, _), (new_flow, new_by_time)] = parts;
        closed.used = closed.used.minus(split.old).plus(old_flow);
        closed.between = closed.between.minus(split.flow.minus(split.old).minus(split.new)).plus(between_flow);
        let before = self.used;
        self.used = self.used.minus(split.new).plus(new_flow);
        let unsure = new_by_time.plus(new.rough).zip(new_flow, u64::min);
        self.unsure = self.unsure.minus(split.new).plus(unsure);
        self.by_records |= new.known != Counters::default() || old.known != Counters::default();
        for (count, calibration) in self.calibrated.iter_mut().filter(|(_, calibration)| calibration.of >= split.to) {
            calibration.settled = calibration.settled.minus(split.new).plus(unsure);
            calibration.by = calibration.by.saturating_sub(grown(*count, before, self.used));
        }
    }
}

/// What the records know of the time on one side of a period's edge.
struct Side {
    known: Counters,
    /// Of that, what long records only have a share in.
    rough: Counters,
    /// How long it is.
    whole: Duration,
    /// For how long they know nothing.
    uncovered: Duration,
}

impl Side {
    fn of(records: &Records, from: Instant, to: Instant) -> Self {
        let whole = to.since(from);
        Self {
            known: records.within(from, to),
            rough: records.rough(from, to),
            whole,
            uncovered: whole.saturating_sub(records.covered(from, to)),
        }
    }

    /// Divides what flowed: what is known of each side, and the rest by the time of which nothing is known. Each part,
    /// and how much of it is there by time alone.
    fn divide(flow: Counters, sides: [&Self; 3]) -> [(Counters, Counters); 3] {
        let of = |pick: fn(Counters) -> u64| {
            let (flow, known) = (pick(flow), sides.map(|side| u128::from(pick(side.known))));
            let all: u128 = known.iter().sum();
            let rest = u128::from(flow).saturating_sub(all);
            // Records that have nothing of what flowed do not say when it did.
            let dark = sides.map(|side| if all == 0 { side.whole } else { side.uncovered });
            let all_dark: Duration = dark.iter().sum();
            let mut left = flow;
            let mut parts = [(0, 0); 3];
            for (index, dark) in dark.into_iter().enumerate() {
                let certain = match (all > u128::from(flow), all_dark.is_zero()) {
                    // More was recorded than counted, or all time was: only the shares are known.
                    (true, _) | (_, true) if all > 0 => u128::from(flow) * known[index] / all,
                    _ => known[index],
                };
                let by_time = match all_dark.as_millis() {
                    0 => 0,
                    all_dark => rest * dark.as_millis() / all_dark,
                };
                let part = u64::try_from(certain + by_time).unwrap_or(u64::MAX).min(left);
                left -= part;
                parts[index] = (part, u64::try_from(by_time).unwrap_or(u64::MAX).min(part));
            }
            // What rounding has left over.
            parts[2].0 += left;
            parts
        };
        let (rx, tx) = (of(|counters| counters.rx), of(|counters| counters.tx));
        [0, 1, 2].map(|i| (Counters { rx: rx[i].0, tx: tx[i].0 }, Counters { rx: rx[i].1, tx: tx[i].1 }))
    }
}

/// By how much what counts has grown.
fn grown(count: Count, before: Counters, after: Counters) -> i64 {
    let grown = i128::from(count.of(after)) - i128::from(count.of(before));
    i64::try_from(grown).unwrap_or(if grown < 0 { i64::MIN } else { i64::MAX })
}

/// What the cluster has to be asked of one guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The subject's name.
    pub subject: String,
    /// The guest.
    pub id: Id,
    /// The node it is on.
    pub node: String,
    /// Records since then.
    pub records: Option<Instant>,
    /// When it was made.
    pub creation: bool,
}

impl SourceState {
    /// The number was given to another guest: nothing of the usage, and of what quotas remember, is its own.
    pub fn become_another(&mut self, guest: &str, asked: &[Asked<'_>], now: Instant) {
        let own = format!(" {guest}");
        self.pools.retain(|name, _| !name.ends_with(&own));
        let prefix = format!("{guest} ");
        let nics: Vec<String> = self.subjects.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
        for (name, nic) in nics.into_iter().filter_map(|name| self.subjects.remove_entry(&name)) {
            self.ended.extend(nic.ending(&name, now));
        }
        if let Some(subject) = self.subjects.get_mut(guest) {
            self.ended.extend(subject.ending(guest, now));
            subject.become_another(guest, asked, now);
        }
    }

    /// Containers do not say when they were made: one that was gone, and is back anew under another name, is another.
    pub(super) fn meet_containers(&mut self, readings: &[Reading], asked: &[Asked<'_>], now: Instant) {
        let mut others = Vec::new();
        for reading in readings.iter().filter(|reading| reading.subject.starts_with("lxc/")) {
            let Figure::Guest(figure @ GuestFigure { nic: None, .. }) = &reading.figure else { continue };
            let known = self.subjects.get(&reading.subject).filter(|known| known.gone.is_some());
            let other = known.is_some_and(|known| {
                let renamed = known.guest.as_ref().is_some_and(|guest| guest.name != figure.guest.name);
                renamed && known.series.as_ref().is_some_and(|last| figure.begins_anew(last, now))
            });
            others.extend(other.then(|| (reading.subject.clone(), Series::idle(now.minus(figure.uptime)))));
        }
        for (name, series) in others {
            self.become_another(&name, asked, now);
            let boot = Some(series.at);
            self.subjects
                .insert(name, Subject { series: Some(series), nics_read: boot, born: boot, ..Subject::default() });
        }
    }

    /// How late each node's figures are, by its guests that cannot have been started anew: it is told beside them. Where
    /// there is none, they may be as late as figures ever are.
    pub fn note_lags(&self, readings: &mut [Reading], now: Instant) {
        let mut lags: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for reading in readings.iter() {
            let Figure::Guest(figure) = &reading.figure else { continue };
            let last = self.subjects.get(&reading.subject).and_then(|known| known.series.as_ref());
            let Some((last, then)) = last.and_then(|last| Some((last, last.identity.uptime?))) else { continue };
            let passed = now.since(last.at);
            if figure.uptime > passed + LATEST && figure.uptime >= then {
                let lag = (then + passed).saturating_sub(figure.uptime).min(LATEST);
                lags.entry(figure.guest.node.clone()).or_default().push(lag);
            }
        }
        let median = |lags: &mut Vec<Duration>| {
            lags.sort_unstable();
            lags[lags.len() / 2]
        };
        let lags: BTreeMap<String, Duration> =
            lags.into_iter().map(|(node, mut lags)| (node, median(&mut lags))).collect();
        for reading in readings {
            if let Figure::Guest(figure) = &mut reading.figure {
                figure.lag = lags.get(&figure.guest.node).copied();
            }
        }
    }

    /// What the cluster has to be asked: first of guests of which bytes are missing, those that moved most before.
    pub fn needs(&mut self, asked: &[Asked<'_>], now: Instant) -> Vec<Need> {
        let by_creation = asked.iter().any(|ask| ask.rule.since_creation);
        let mut needs = Vec::new();
        for (name, subject) in &mut self.subjects {
            subject.gaps.retain(|gap| now.since(gap.found) < HOPELESS);
            for ledger in subject.ledgers.values_mut() {
                ledger.split.take_if(|split| now.since(split.to) >= HOPELESS);
            }
            if subject.gone.is_some() {
                continue;
            }
            let excess = subject.gaps.len().saturating_sub(MOST);
            subject.gaps.drain(..excess);
            let Some((id, guest)) = Id::parse(name).zip(subject.guest.as_deref()) else { continue };
            let asked_lately = guest.asked.is_some_and(|at| !due_again(at, DAY, now));
            let unmade = by_creation && guest.created.is_none() && !asked_lately && id.kind == Kind::Qemu;
            let creation = subject.doubted_guest.is_some() || unmade;
            let records = subject.wants_records();
            if creation || records.is_some() {
                let weight = subject.series.as_ref().map_or(0, |series| series.counters.tx.max(series.counters.rx));
                let rank = (subject.gaps.is_empty(), u64::MAX - weight);
                needs.push((rank, Need { subject: name.clone(), id, node: guest.node.clone(), records, creation }));
            }
        }
        needs.sort_by_key(|(rank, _)| *rank);
        needs.into_iter().map(|(_, need)| need).collect()
    }

    /// The clock was set forward by so much since the last run. Where the guests' uptimes say so too, their last figures
    /// were read that much later by the clock as it is now: they were not started anew.
    pub fn follow_step(&mut self, readings: &[Reading], now: Instant) {
        let step = Duration::from_secs(std::mem::take(&mut self.stepped));
        if step <= LAG {
            return;
        }
        let (mut stepped, mut passed) = (0, 0);
        for reading in readings {
            let Figure::Guest(figure) = &reading.figure else { continue };
            let last = self.subjects.get(&reading.subject).and_then(|subject| subject.series.as_ref());
            let Some(last) = last.filter(|last| last.identity.uptime.is_some_and(|then| then < figure.uptime)) else {
                continue;
            };
            let grown = figure.uptime - last.identity.uptime.unwrap_or_default();
            let by_clock = now.since(last.at);
            passed += usize::from(grown.abs_diff(by_clock) <= LAG);
            stepped += usize::from(grown.abs_diff(by_clock.saturating_sub(step)) <= LAG);
        }
        if stepped > passed {
            let guests = self.subjects.values_mut().filter(|subject| subject.guest.is_some());
            for series in guests.filter_map(|subject| subject.series.as_mut()) {
                series.at = series.at.plus(step).min(now);
            }
        }
    }

    /// Notes which subjects are there no more, which guests have no figure, and that the NICs that were not told of when
    /// those of their guest were are gone or off: whatever takes their place counts from zero.
    pub fn follow_listing(&mut self, readings: &Readings, asked: &[Asked<'_>], now: Instant) {
        let Some(listed) = &readings.listed else { return };
        let read: HashSet<&str> = readings.readings.iter().map(|reading| reading.subject.as_str()).collect();
        let mut ended = Vec::new();
        for (name, subject) in &mut self.subjects {
            let Some(guest) = &subject.guest else {
                // What is not there flows no more; what it has used is shown for as long as its periods run.
                let stays = readings.partial
                    || listed.contains(name)
                    || subject.ledgers.values().any(|ledger| ledger.period.contains(now));
                subject.gone = if stays { None } else { subject.gone.or(Some(now)) };
                continue;
            };
            if subject.nic.is_none() {
                let there = readings.partial || listed.contains(name);
                subject.gone = if there { None } else { subject.gone.or(Some(now)) };
                subject.silent |= there && !read.contains(name.as_str());
                if readings.nics_of.contains(name) {
                    subject.nics_read = Some(now);
                }
            } else if !read.contains(name.as_str()) && readings.nics_of.contains(owner(name)) {
                ended.push((name.clone(), guest.clone(), subject.nic.clone()));
            }
        }
        let edges = Edges::new(asked, now);
        for (name, guest, nic) in ended {
            let uptime = self.subjects.get(owner(&name)).and_then(|owner| owner.series.as_ref()?.identity.uptime);
            let uptime = uptime.unwrap_or_default();
            let figure = GuestFigure {
                counters: Counters::default(),
                uptime,
                guest: Guest { on: false, ..*guest },
                nic,
                lag: None,
            };
            let reading = Reading { subject: name.clone(), at: now, figure: Figure::Guest(figure) };
            if let Some(subject) = self.subjects.get_mut(&name) {
                subject.absorb_gone(&reading, asked, &edges, now);
            }
        }
    }

    /// The last figure of a NIC under the bridge it was on before: a NIC that was moved goes on from there.
    pub(super) fn moved_from(&self, reading: &Reading) -> Option<Series> {
        let Figure::Guest(GuestFigure { nic: Some(_), .. }) = &reading.figure else { return None };
        let (nic, _) = reading.subject.split_once('@')?;
        let idle = |series: &Series| series.counters == Counters::default();
        let own = self.subjects.get(&reading.subject).and_then(|known| known.series.as_ref());
        if own.is_some_and(|series| !idle(series)) {
            return None;
        }
        let near = self.subjects.range(nic.to_owned()..).take_while(|(name, _)| name.starts_with(nic));
        let same = near.filter(|(name, _)| name.split('@').next() == Some(nic) && **name != reading.subject);
        let others = same.filter_map(|(_, known)| known.series.as_ref()).filter(|series| !idle(series));
        others.max_by_key(|series| series.at).cloned()
    }

    /// The first figure of a subject: the NIC of a guest whose NICs were read before has begun to count since, and so has
    /// what was not there when the source was asked before.
    pub(super) fn first_sight(&self, reading: &Reading) -> Subject {
        if let Figure::Tally { since: Some(at), .. } = &reading.figure {
            let none = Series { at: *at, counters: Counters::default(), identity: Identity::default() };
            return Subject { series: Some(none), ..Subject::default() };
        }
        let Figure::Guest(GuestFigure { nic: Some(_), .. }) = &reading.figure else { return Subject::default() };
        let guest = self.subjects.get(owner(&reading.subject));
        let series = guest.and_then(|guest| guest.nics_read).map(Series::idle);
        Subject { series, ..Subject::default() }
    }
}

/// The guest whose NIC a subject is: `qemu/100` of `qemu/100 net0`.
pub fn owner(nic: &str) -> &str {
    nic.split_once(' ').map_or("", |(owner, _)| owner)
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

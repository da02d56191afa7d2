//! What ever flowed of a subject: totals that only grow, and what they were at the edges of hours, days and periods.
//!
//! Invariant: the total at a period's start is what was metered in all, less what the ledger says of the period; so the
//! sum over a period that history tells is the one that the tiers look at, to the byte.
//!
//! Why edges are computed when a figure is taken, and not when the history is asked: only then it is known since when
//! the bytes can have flowed. What is thinned out later then says nothing that the edges do not say.

use serde::{Deserialize, Serialize};
use time::Time;

use super::absorb::Asked;
use super::instant::Instant;
use super::meter::{Counters, Delta, Ledger};
use super::period::{Cycle, Rule, ShortMonth};
use super::zone::Zone;

/// For what a moment is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grain {
    /// One of the samples in between.
    Sample,
    /// The edge of an hour.
    Hour,
    /// The edge of a day or of a period, or what these are told by.
    Day,
}

impl Grain {
    /// As stores keep it.
    pub fn number(self) -> i64 {
        self as i64
    }
}

/// The totals at an instant. Negative before the first sight, where more is known of the period than was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub at: Instant,
    /// What for.
    pub grain: Grain,
    /// Bytes received until then.
    pub rx: i64,
    /// Bytes sent until then.
    pub tx: i64,
    /// Over how many seconds bytes were divided by time to say so.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spread: u32,
}

fn is_zero(seconds: &u32) -> bool {
    *seconds == 0
}

/// What history knows of a subject beside what the store has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Track {
    /// By what the store knows it, whatever its name becomes; 0 until it was first recorded.
    #[serde(default, skip_serializing_if = "is_none")]
    pub key: u64,
    /// All that was ever metered.
    #[serde(default)]
    pub total: Counters,
    /// The totals at edges that the store does not have yet, in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Point>,
    /// The last figure was noted as one that is kept for good, since none came after it for a day.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

fn is_none(key: &u64) -> bool {
    *key == 0
}

/// So many edges are kept at the most while the store is down: two days' hours, and some days and periods.
const WAITING: usize = 64;
/// More edges than that at once are told by the first and the last of them.
const AT_ONCE: usize = 32;

impl Track {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The total now.
    pub fn now(&self, at: Instant) -> Point {
        self.point(at, Grain::Sample, self.total, 0)
    }

    /// Adds what flowed since the last figure, and notes what the totals were at the edges since.
    pub(super) fn advance(&mut self, delta: &Delta, last: Instant, edges: &Edges) {
        let before = self.total;
        self.total = before.plus(delta.flow);
        self.closed = false;
        if self.key == 0 && self.edges.is_empty() {
            // Nothing else ever says where it began.
            let first = self.point(last, Grain::Day, before, 0);
            self.note(first);
        }
        let passed = edges.between(last, delta.to);
        if passed.is_empty() {
            return;
        }
        let spread = match delta.flow == Counters::default() {
            true => 0,
            false => u32::try_from(delta.to.since(delta.from).as_secs()).unwrap_or(u32::MAX),
        };
        for (at, grain) in passed {
            let spread = if at > delta.from { spread } else { 0 };
            let point = self.point(at, grain, before.plus(delta.until(at)), spread);
            self.note(point);
        }
        if delta.from > last {
            // Nothing flowed before: said where not each edge is.
            let knot = self.point(delta.from, Grain::Day, before, 0);
            self.note(knot);
        }
    }

    /// Notes what the totals were when a ledger's period, or its metering, began.
    pub fn anchor(&mut self, ledger: &Ledger, spread: u32) {
        let start = signed(self.total, ledger.used);
        // Edges of the same figure that were divided by time alone know less.
        for edge in &mut self.edges {
            let earlier = edge.at < ledger.since;
            let nearer = |total: i64, start: i64| if earlier { total.min(start) } else { total.max(start) };
            (edge.rx, edge.tx) = (nearer(edge.rx, start.0), nearer(edge.tx, start.1));
        }
        self.note(Point { at: ledger.since, grain: Grain::Day, rx: start.0, tx: start.1, spread });
        let closed = ledger.last.as_ref().filter(|_| ledger.since == ledger.period.start);
        if let Some((closed, end)) = closed.and_then(|closed| Some((closed, closed.period.end?)))
            && end < ledger.since
        {
            let used = ledger.used.plus(closed.between);
            let (rx, tx) = signed(self.total, used);
            self.note(Point { at: end, grain: Grain::Day, rx, tx, spread });
        }
    }

    /// Notes the total of a last figure to be kept for good: no edge after it may ever say it again.
    pub fn close(&mut self, last: Instant) {
        let point = self.point(last, Grain::Day, self.total, 0);
        self.note(point);
        self.closed = true;
    }

    /// Whether something waits for the store.
    pub fn waits(&self) -> bool {
        !self.edges.is_empty()
    }

    /// Thins out what waits, when the store has been down for long: never the first and the last of hours and of days.
    pub fn bound(&mut self) {
        let mut excess = self.edges.len().saturating_sub(WAITING);
        for grain in [Grain::Hour, Grain::Day] {
            let of = |edges: &[Point], index: usize| edges.get(index).is_some_and(|edge| edge.grain == grain);
            let mut index = 1;
            while excess > 0 && index + 1 < self.edges.len() {
                // Between two that say at least as much.
                let dispensable = of(&self.edges, index)
                    && self.edges[index - 1].grain >= grain
                    && self.edges[index + 1].grain >= grain;
                if dispensable {
                    self.edges.remove(index);
                    excess -= 1;
                } else {
                    index += 1;
                }
            }
        }
    }

    fn point(&self, at: Instant, grain: Grain, total: Counters, spread: u32) -> Point {
        let (rx, tx) = signed(total, Counters::default());
        Point { at, grain, rx, tx, spread }
    }

    /// One of the same instant takes the place of an earlier one.
    fn note(&mut self, point: Point) {
        match self.edges.binary_search_by_key(&point.at, |known| known.at) {
            Ok(index) => {
                let grain = self.edges[index].grain.max(point.grain);
                self.edges[index] = Point { grain, ..point };
            }
            Err(index) => self.edges.insert(index, point),
        }
    }
}

/// The difference of two totals, as stores keep it.
fn signed(total: Counters, less: Counters) -> (i64, i64) {
    let of = |total: u64, less: u64| {
        let difference = i128::from(total) - i128::from(less);
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    };
    (of(total.rx, less.rx), of(total.tx, less.tx))
}

/// The edges of hours and days in the zones of the quotas that look at a source.
pub struct Edges {
    rules: Vec<(Rule, Grain)>,
    /// The latest of them that is not after now.
    latest: Option<Instant>,
}

impl Edges {
    /// Those before `now`, in the zones of these rules.
    pub fn new(asked: &[Asked<'_>], now: Instant) -> Self {
        let mut zones: Vec<&Zone> = Vec::new();
        for ask in asked {
            if !zones.iter().any(|zone| zone.name() == ask.rule.zone.name()) {
                zones.push(&ask.rule.zone);
            }
        }
        let rule = |zone: &Zone, cycle| Rule {
            cycle,
            at: Time::MIDNIGHT,
            zone: zone.clone(),
            short_month: ShortMonth::LastDay,
            since_creation: false,
        };
        let kinds = [(Cycle::Hour, Grain::Hour), (Cycle::Day, Grain::Day)];
        let rules: Vec<(Rule, Grain)> =
            zones.iter().flat_map(|zone| kinds.map(|(cycle, grain)| (rule(zone, cycle), grain))).collect();
        let latest = rules.iter().map(|(rule, _)| rule.period(now).start).max();
        Self { rules, latest }
    }

    /// Those after `last`, not after `until`, in the order of time; of very many only the first and the last of each kind.
    fn between(&self, last: Instant, until: Instant) -> Vec<(Instant, Grain)> {
        if self.latest.is_none_or(|latest| latest <= last) {
            return Vec::new();
        }
        let mut edges = Vec::new();
        for (rule, grain) in &self.rules {
            let mut at = rule.period(last).end;
            let mut count = 0;
            while let Some(edge) = at.filter(|edge| *edge <= until && count < AT_ONCE) {
                edges.push((edge, *grain));
                count += 1;
                at = rule.period(edge).end;
            }
            let newest = rule.period(until).start;
            if newest > last {
                edges.push((newest, *grain));
            }
        }
        // The same instant may be an edge of both kinds, and of several zones: the higher one comes last and is kept.
        edges.sort_unstable();
        edges.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            kept.1 = if same { kept.1.max(later.1) } else { kept.1 };
            same
        });
        edges
    }
}

#[cfg(test)]
mod tests;

//! What flowed of a subject up to any instant, from the rows that a store has of it.
//!
//! Invariant: what is said of a span is the difference of what is said of its ends, so that a span and its parts agree
//! to the byte however it is divided.

use std::time::Duration;

use super::model::Used;
use crate::history::Row;
use crate::quota::instant::Instant;
use crate::quota::meter::Counters;

/// Rows that are farther apart, and bytes that were divided over more time, make what lies between an estimate.
const EXACT: Duration = Duration::from_secs(600);

/// A subject's totals over time: straight lines between its rows.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    knots: Vec<Knot>,
}

/// A row, and what is known up to it.
#[derive(Debug, Clone, Copy)]
struct Knot {
    at: Instant,
    rx: i64,
    tx: i64,
    spread: Duration,
    hole: bool,
    /// Known to have flowed since the first row.
    flow: Counters,
    /// Time since the first row of which something is known, and of which nothing is: in milliseconds.
    known: u64,
    missing: u64,
}

/// What is known up to an instant; only the difference of two of them means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    flow: Counters,
    known: u64,
    missing: u64,
    estimated: bool,
}

/// What is known of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stretch {
    /// The bytes.
    pub flow: Counters,
    /// Bytes at one of its ends were divided by time.
    pub estimated: bool,
    /// Milliseconds of which something is known.
    pub known: u64,
    /// Milliseconds of which what was known was deleted.
    pub missing: u64,
}

impl Level {
    /// Of two series that are one subject.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            flow: self.flow.plus(other.flow),
            known: self.known + other.known,
            missing: self.missing + other.missing,
            estimated: self.estimated || other.estimated,
        }
    }

    /// What lies between an earlier one and this one.
    pub fn since(self, earlier: Self) -> Stretch {
        Stretch {
            flow: self.flow.minus(earlier.flow),
            estimated: self.estimated || earlier.estimated,
            known: self.known.saturating_sub(earlier.known),
            missing: self.missing.saturating_sub(earlier.missing),
        }
    }
}

impl Stretch {
    /// What is said of a span; `last` is the end of what can be known. None where nothing is.
    pub fn used(self, from: Instant, to: Instant, last: Instant) -> Option<Used> {
        let there = u64::try_from(to.min(last).since(from).as_millis()).unwrap_or(u64::MAX);
        let partial = self.known < there;
        (self.known > 0).then_some(Used { flow: self.flow, estimated: self.estimated, partial })
    }
}

impl Curve {
    /// Through a subject's rows, in whatever order; of several of one instant the last counts. What falls is held up.
    pub fn new(mut rows: Vec<Row>) -> Self {
        rows.sort_by_key(|row| row.at);
        let mut knots: Vec<Knot> = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let superseded = rows.get(index + 1).is_some_and(|next| next.at == row.at);
            if !superseded {
                let before = knots.last().copied();
                knots.push(Knot::after(before.as_ref(), row));
            }
        }
        Self { knots }
    }

    /// The first and the last instant of which something is known.
    pub fn ends(&self) -> Option<(Instant, Instant)> {
        Some((self.knots.first()?.at, self.knots.last()?.at))
    }

    /// What is known up to each of some instants, which are in the order of time.
    pub fn levels(&self, edges: &[Instant]) -> Vec<Level> {
        let mut next = 0;
        let mut level = |at: &Instant| {
            next += self.knots[next..].partition_point(|knot| knot.at <= *at);
            self.level_before(next, *at)
        };
        edges.iter().map(&mut level).collect()
    }

    /// The total at an instant, as a row that says of both sides what is said now; none where it is not known.
    pub fn row(&self, id: i64, at: Instant) -> Option<Row> {
        let next = self.knots.partition_point(|knot| knot.at <= at);
        let last = self.knots.get(next.checked_sub(1)?)?;
        let mut total =
            crate::history::Total { rx: last.rx, tx: last.tx, spread: seconds(last.spread), hole: last.hole };
        if last.at == at {
            return Some(Row { id, at, total });
        }
        let knot = self.knots.get(next).filter(|knot| !knot.hole)?;
        let part = knot.part_since(last, at);
        total.rx = last.rx.saturating_add_unsigned(part.rx);
        total.tx = last.tx.saturating_add_unsigned(part.tx);
        total.spread = if knot.estimates_since(last) { seconds(knot.spread.max(knot.at.since(last.at))) } else { 0 };
        total.hole = false;
        Some(Row { id, at, total })
    }

    /// What is known up to an instant; `next` is the first row after the instant.
    fn level_before(&self, next: usize, at: Instant) -> Level {
        let Some(last) = next.checked_sub(1).and_then(|index| self.knots.get(index)) else { return Level::default() };
        let at_last = Level { flow: last.flow, known: last.known, missing: last.missing, estimated: false };
        let passed = u64::try_from(at.since(last.at).as_millis()).unwrap_or(u64::MAX);
        match self.knots.get(next) {
            _ if passed == 0 => Level { estimated: last.spread > EXACT, ..at_last },
            None => at_last,
            Some(knot) if knot.hole => Level { missing: last.missing + passed, ..at_last },
            Some(knot) => Level {
                flow: last.flow.plus(knot.part_since(last, at)),
                known: last.known + passed,
                missing: last.missing,
                estimated: knot.estimates_since(last),
            },
        }
    }
}

impl Knot {
    fn after(before: Option<&Self>, row: &Row) -> Self {
        let total = row.total;
        let spread = Duration::from_secs(total.spread.into());
        let Some(before) = before else {
            let (flow, rx, tx) = (Counters::default(), total.rx, total.tx);
            return Self { at: row.at, rx, tx, spread, hole: total.hole, flow, known: 0, missing: 0 };
        };
        let (rx, tx) = (total.rx.max(before.rx), total.tx.max(before.tx));
        let grown = Counters { rx: rx.abs_diff(before.rx), tx: tx.abs_diff(before.tx) };
        let passed = u64::try_from(row.at.since(before.at).as_millis()).unwrap_or(u64::MAX);
        let (flow, known, missing) = match total.hole {
            true => (before.flow, before.known, before.missing + passed),
            false => (before.flow.plus(grown), before.known + passed, before.missing),
        };
        Self { at: row.at, rx, tx, spread, hole: total.hole, flow, known, missing }
    }

    /// What flowed from the row before until an instant between both: a share of the time, rounded down.
    fn part_since(&self, before: &Self, at: Instant) -> Counters {
        let part = i128::from(at.millis()) - i128::from(before.at.millis());
        let whole = (i128::from(self.at.millis()) - i128::from(before.at.millis())).max(1);
        let of = |grown: u64| u64::try_from(i128::from(grown) * part / whole).unwrap_or(u64::MAX);
        let grown = self.flow.minus(before.flow);
        Counters { rx: of(grown.rx), tx: of(grown.tx) }
    }

    /// Whether what lies between the row before and this one is an estimate.
    fn estimates_since(&self, before: &Self) -> bool {
        let apart = self.at.since(before.at).max(self.spread).max(before.spread);
        self.flow != before.flow && apart > EXACT
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;
    use crate::history::Total;

    impl Curve {
        /// What is known up to a single instant.
        fn level(&self, at: Instant) -> Level {
            self.level_before(self.knots.partition_point(|knot| knot.at <= at), at)
        }
    }

    fn at(minutes: i64) -> Instant {
        Instant::from_millis(minutes * 60_000)
    }

    fn row(minutes: i64, rx: i64, tx: i64) -> Row {
        Row { id: 1, at: at(minutes), total: Total { rx, tx, spread: 0, hole: false } }
    }

    fn holed(row: Row) -> Row {
        Row { total: Total { hole: true, ..row.total }, ..row }
    }

    fn used(curve: &Curve, from: i64, to: i64) -> Option<Used> {
        let (_, last) = curve.ends()?;
        curve.level(at(to)).since(curve.level(at(from))).used(at(from), at(to), last)
    }

    fn flow(rx: u64, tx: u64) -> Used {
        Used { flow: Counters { rx, tx }, estimated: false, partial: false }
    }

    #[test]
    fn between_rows_bytes_are_divided_by_time() {
        let curve = Curve::new(vec![row(0, -50, 0), row(5, 50, 10), row(10, 60, 11)]);
        assert_eq!(used(&curve, 0, 10), Some(flow(110, 11)));
        assert_eq!(used(&curve, 0, 1), Some(flow(20, 2)));
        assert_eq!(used(&curve, 6, 10), Some(flow(8, 1)), "rounded down up to minute 6");
    }

    #[test]
    fn of_rows_far_apart_only_the_sum_is_sure() {
        let curve = Curve::new(vec![row(0, 0, 0), row(60, 600, 0), row(120, 600, 0)]);
        let estimated = |used: Used| Some(Used { estimated: true, ..used });
        assert_eq!(used(&curve, 0, 60), Some(flow(600, 0)));
        assert_eq!(used(&curve, 0, 30), estimated(flow(300, 0)));
        assert_eq!(used(&curve, 60, 90), Some(flow(0, 0)), "nothing flowed, whenever it was");
        let mut spread = row(60, 600, 0);
        spread.total.spread = 601;
        let curve = Curve::new(vec![row(55, 590, 0), spread, row(62, 602, 0)]);
        assert_eq!(used(&curve, 60, 62), estimated(flow(2, 0)));
        assert_eq!(used(&curve, 58, 62), estimated(flow(6, 0)));
        assert_eq!(used(&curve, 55, 62), Some(flow(12, 0)));
    }

    #[test]
    fn nothing_is_known_before_after_and_in_holes() {
        let curve = Curve::new(vec![row(10, 0, 0), row(20, 100, 0), holed(row(30, 500, 0)), row(40, 600, 0)]);
        let partial = |used: Used| Some(Used { partial: true, ..used });
        assert_eq!(used(&curve, 0, 10), None);
        assert_eq!(used(&curve, 20, 30), None);
        assert_eq!(used(&curve, 22, 28), None);
        assert_eq!(used(&curve, 40, 50), None);
        assert_eq!(used(&curve, 0, 20), partial(flow(100, 0)));
        assert_eq!(used(&curve, 10, 40), partial(flow(200, 0)));
        assert_eq!(used(&curve, 30, 50), Some(flow(100, 0)), "what is to come is not missing");
        assert_eq!(Curve::new(Vec::new()).ends(), None);
        assert_eq!(Curve::new(Vec::new()).level(at(5)), Level::default());
    }

    #[test]
    fn totals_never_fall() {
        let curve = Curve::new(vec![row(0, 0, 100), row(5, 50, 90), row(10, 40, 120)]);
        assert_eq!(used(&curve, 0, 10), Some(flow(50, 20)));
        assert_eq!(used(&curve, 5, 10), Some(flow(0, 20)));
    }

    #[test]
    fn a_row_put_in_between_says_what_was_said() {
        let curve = Curve::new(vec![row(0, -10, 0), row(60, 590, 60)]);
        let between = curve.row(7, at(30)).unwrap();
        assert_eq!((between.id, between.total.rx, between.total.tx, between.total.spread), (7, 290, 30, 3600));
        assert_eq!(curve.row(7, at(60)).unwrap().total, row(60, 590, 60).total);
        assert_eq!((curve.row(7, at(-1)), curve.row(7, at(61))), (None, None));
        let curve = Curve::new(vec![row(0, 0, 0), holed(row(60, 10, 10))]);
        assert_eq!(curve.row(7, at(30)), None);
    }

    /// Rows at random minutes, growing, with some holes.
    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let step = (1_i64..200, 0_i64..5_000_000_000, 0_i64..1000, prop::bool::weighted(0.1), 0_u32..2000);
        prop::collection::vec(step, 1..60).prop_map(|steps| {
            let (mut time, mut rx, mut tx) = (0, -70, -1_000_000);
            let grown = |(after, more_rx, more_tx, hole, spread): (i64, i64, i64, bool, u32)| {
                (time, rx, tx) = (time + after, rx + more_rx, tx + more_tx);
                Row { id: 1, at: at(time), total: Total { rx, tx, spread, hole } }
            };
            steps.into_iter().map(grown).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(31), failure_persistence: None, ..Default::default() })]
        #[test]
        fn the_parts_of_a_span_are_the_span(rows in rows(), edges in prop::collection::vec(-100_i64..9000, 2..40)) {
            let curve = Curve::new(rows);
            let mut edges: Vec<Instant> = edges.into_iter().map(at).collect();
            edges.sort();
            let levels = curve.levels(&edges);
            let parts = levels.windows(2).fold(Counters::default(), |sum, ends| sum.plus(ends[1].since(ends[0]).flow));
            let whole = levels[levels.len() - 1].since(levels[0]);
            prop_assert_eq!(parts, whole.flow);
            for (edge, level) in edges.iter().zip(&levels) {
                prop_assert_eq!(curve.level(*edge), *level);
            }
        }

        #[test]
        fn what_is_thinned_out_says_nothing_of_the_edges(rows in rows(), keep in prop::collection::vec(any::<bool>(), 60)) {
            // A store thins out nothing that stands beside a hole: those rows are there for good.
            let kept = |index: usize| {
                let hole = |index: usize| rows.get(index).is_some_and(|row: &Row| row.total.hole);
                keep[index] || index == 0 || index + 1 == rows.len() || hole(index) || hole(index + 1)
            };
            let left: Vec<Row> = rows.iter().enumerate().filter(|(index, _)| kept(*index)).map(|(_, row)| *row).collect();
            let (before, after) = (Curve::new(rows.clone()), Curve::new(left.clone()));
            for ends in left.windows(2) {
                let of = |curve: &Curve| curve.level(ends[1].at).since(curve.level(ends[0].at));
                prop_assert_eq!(of(&before), of(&after));
            }
            prop_assert_eq!(before.ends(), after.ends());
        }

        #[test]
        fn a_row_put_in_changes_a_byte_at_most(rows in rows(), cut in 0_i64..9000, later in 0_i64..9000) {
            let curve = Curve::new(rows.clone());
            let Some(stays) = curve.row(1, at(cut)) else { return Ok(()) };
            let mut more = rows.clone();
            more.push(stays);
            let with = Curve::new(more);
            for row in &rows {
                prop_assert_eq!(with.level(row.at).flow, curve.level(row.at).flow, "at rows nothing changes");
            }
            let (one, other) = (with.level(at(later)), curve.level(at(later)));
            prop_assert!(one.flow.rx.abs_diff(other.flow.rx) <= 1 && one.flow.tx.abs_diff(other.flow.tx) <= 1);
            prop_assert_eq!((one.known, one.missing), (other.known, other.missing));
        }
    }
}

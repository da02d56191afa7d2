//! What a provider has recorded of a subject's traffic: rates over spans of time.
//!
//! Counters say how much, records say when: they fill in what counters have lost, and divide what they counted over
//! the edge of a period.

use std::time::Duration;

use super::instant::Instant;
use super::meter::Counters;

/// A span of time and what flowed in it, on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Its start.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
    /// Bytes per second received; not negative.
    pub rx: f64,
    /// Bytes per second sent; not negative.
    pub tx: f64,
}

/// What was recorded of a subject.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Records {
    /// In the order of time, none over another. Where nothing is known there is none.
    pub spans: Vec<Span>,
    /// Until when something could have been recorded: the end of the last span, known or not.
    pub until: Option<Instant>,
}

/// Spans of no more than this say well enough when it flowed.
const FINE: Duration = Duration::from_secs(120);

impl Records {
    /// For how long between two instants anything is known.
    pub fn covered(&self, from: Instant, to: Instant) -> Duration {
        self.spans.iter().map(|span| span.to.min(to).since(span.from.max(from))).sum()
    }

    /// What flowed between two instants by long spans that are only partly between them: it may have flowed outside.
    pub fn rough(&self, from: Instant, to: Instant) -> Counters {
        let partly = |span: &Span| span.to.since(span.from) > FINE && (span.from < from || span.to > to);
        self.sum(|span| if partly(span) { span.to.min(to).since(span.from.max(from)) } else { Duration::ZERO })
    }

    /// What flowed between two instants: of spans that are only partly between them, the part.
    pub fn within(&self, from: Instant, to: Instant) -> Counters {
        self.sum(|span| span.to.min(to).since(span.from.max(from)))
    }

    /// As [`Records::within`], of those spans alone that lie wholly between them.
    pub fn whole_within(&self, from: Instant, to: Instant) -> Counters {
        let whole = |span: &Span| from <= span.from && span.to <= to;
        self.sum(|span| if whole(span) { span.to.since(span.from) } else { Duration::ZERO })
    }

    /// The bytes of so much of each span, rounded down in all.
    fn sum(&self, time: impl Fn(&Span) -> Duration) -> Counters {
        let add = |(rx, tx): (f64, f64), span: &Span| {
            let seconds = time(span).as_secs_f64();
            (rx + span.rx * seconds, tx + span.tx * seconds)
        };
        let (rx, tx) = self.spans.iter().fold((0.0, 0.0), add);
        // Such a conversion stops at the largest number.
        Counters { rx: rx as u64, tx: tx as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn records(spans: &[(i64, i64, f64, f64)]) -> Records {
        let span = |&(from, to, rx, tx): &_| Span { from: at(from), to: at(to), rx, tx };
        Records { spans: spans.iter().map(span).collect(), until: None }
    }

    fn counters(rx: u64, tx: u64) -> Counters {
        Counters { rx, tx }
    }

    #[test]
    fn parts_of_spans_count_in_part() {
        let records = records(&[(0, 60, 1.0, 2.5), (60, 120, 3.0, 0.0), (180, 240, 10.0, 10.0)]);
        assert_eq!(records.within(at(0), at(240)), counters(60 + 180 + 600, 150 + 600));
        assert_eq!(records.within(at(30), at(90)), counters(30 + 90, 75));
        assert_eq!(records.within(at(120), at(180)), Counters::default());
        assert_eq!(records.within(at(-9), at(1)), counters(1, 2));
        assert_eq!(records.within(at(90), at(30)), Counters::default());
        assert_eq!(records.within(Instant::from_millis(500), Instant::from_millis(900)), counters(0, 1));
    }

    #[test]
    fn fractions_of_bytes_add_up_before_they_are_cut_off() {
        let records = records(&[(0, 1, 0.5, 0.25), (1, 2, 0.5, 0.25), (2, 3, 0.75, 0.25)]);
        assert_eq!(records.within(at(0), at(3)), counters(1, 0));
    }

    #[test]
    fn whole_spans_alone() {
        let records = records(&[(0, 60, 1.0, 2.0), (60, 120, 3.0, 4.0)]);
        assert_eq!(records.whole_within(at(0), at(120)), counters(240, 360));
        assert_eq!(records.whole_within(at(1), at(120)), counters(180, 240));
        assert_eq!(records.whole_within(at(0), at(119)), counters(60, 120));
        assert_eq!(records.whole_within(at(1), at(119)), Counters::default());
        assert_eq!(records.whole_within(at(120), at(0)), Counters::default());
    }

    #[test]
    fn time_is_covered_where_there_are_spans() {
        let records = records(&[(0, 60, 1.0, 2.0), (60, 120, 0.0, 0.0), (180, 240, 3.0, 4.0)]);
        let covered = |from: i64, to: i64| records.covered(at(from), at(to)).as_secs();
        assert_eq!([covered(0, 240), covered(30, 200), covered(120, 180), covered(-60, 10)], [180, 110, 0, 10]);
        assert_eq!(covered(240, 0), 0);
    }

    #[test]
    fn long_spans_that_are_partly_outside_are_rough() {
        let records = records(&[(0, 1800, 1.0, 2.0), (1800, 3600, 3.0, 4.0), (3600, 3720, 9.0, 9.0)]);
        assert_eq!(records.rough(at(0), at(3600)), Counters::default(), "wholly inside");
        assert_eq!(records.rough(at(600), at(3600)), counters(1200, 2400));
        assert_eq!(records.rough(at(600), at(2400)), counters(1200 + 1800, 2400 + 2400));
        assert_eq!(records.rough(at(0), at(3660)), Counters::default(), "short ones say it well enough");
        assert_eq!(records.rough(at(2400), at(600)), Counters::default());
    }

    #[test]
    fn too_much_stops_at_the_largest_number() {
        let records = records(&[(0, 60, 1e300, f64::MAX), (60, 120, 0.0, f64::MAX)]);
        assert_eq!(records.within(at(0), at(120)), counters(u64::MAX, u64::MAX));
        assert_eq!(records.within(at(120), at(180)), Counters::default());
        assert_eq!(Records::default().within(at(0), at(1)), Counters::default());
    }
}

//! Where the usage is heading: at the period's end, and when the allowance is used up.
//!
//! The pace is the mean of the recent one and the whole period's: the first follows a change within hours, the
//! second keeps one busy night from looking like the month. Silent while less than a quarter of the recent
//! window was metered. Floating point is right here and nowhere else: this is a guess, not an account.

use std::time::Duration;

use super::instant::Instant;
use super::meter::{Count, Counters, Ledger, recent_window};

/// A guess at what is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Bytes used by the period's end; none for a period without one.
    pub at_end: Option<u64>,
    /// When the allowance is used up; none when that is not within the period, or has happened.
    pub exhausted_at: Option<Instant>,
}

/// The forecast of a ledger whose last figure is of `now`; none while there is too little to go on.
pub fn forecast(ledger: &Ledger, count: Count, allowance: u64, now: Instant) -> Option<Forecast> {
    let used = ledger.used(count);
    let pace = pace(ledger, count, used, now)?;
    let at_end = ledger.period.end.map(|end| used.saturating_add((pace * millis(end.since(now))) as u64));
    // What is used up already has no time of exhaustion to come.
    let left = allowance.checked_sub(used).filter(|left| *left > 0).map(|left| left as f64 / pace);
    let exhausted_at = left.filter(|left| *left < 1e15).map(|left| now.plus(Duration::from_millis(left as u64)));
    Some(Forecast { at_end, exhausted_at: exhausted_at.filter(|at| ledger.period.end.is_none_or(|end| *at < end)) })
}

/// Bytes per millisecond.
fn pace(ledger: &Ledger, count: Count, used: u64, now: Instant) -> Option<f64> {
    let enough = recent_window(ledger.period) / 4;
    let (whole, start) = match ledger.calibrated.contains_key(&count) {
        true => (used, ledger.period.start),
        false => (count.of(ledger.used), ledger.since),
    };
    let metered = now.since(start);
    if metered < enough {
        return None;
    }
    let overall = whole as f64 / millis(metered);
    let recent = ledger.pace.first().filter(|mark| now.since(mark.0) >= enough).map(|mark| {
        let grown = count.of(ledger.used).saturating_sub(count.of(Counters { rx: mark.1, tx: mark.2 }));
        grown as f64 / millis(now.since(mark.0))
    });
    Some(recent.map_or(overall, |recent| f64::midpoint(recent, overall)))
}

fn millis(time: Duration) -> f64 {
    time.as_millis().max(1) as f64
}

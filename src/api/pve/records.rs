//! What the cluster has recorded of a guest's traffic: averages over spans of a minute to a week.
//!
//! Invariant: a row whose values are not both there and sensible is no span: nothing is known of that time. Spans are
//! in the order of time and none lies over another.
//!
//! Why the first row is looked at: how far back each timeframe reaches differs between versions, and what a host says
//! is better than what it should.
//!
//! Why steps are not taken from a table: a host upgraded to Proxmox VE 9 sends old coarse rows first, then fine ones.
//! Source: pve-manager 9.2.11 (PVE/RRD.pm), RRDs.xs: a row's time is its end, and a multiple of its step.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::values::{Field, object, plain, whole};
use super::{Cluster, Failure, Kind, guest_path};
use crate::host::Host;
use crate::quota::guest::Id;
use crate::quota::instant::Instant;
use crate::quota::records::{Records, Span};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Timeframes and how far back they reach at the most, from fine to coarse: those of Proxmox VE 8, which has coarser rows
/// but goes further back.
const TIMEFRAMES: [(&str, Duration); 5] = [
    ("hour", MINUTE.saturating_mul(70)),
    ("day", HOUR.saturating_mul(35)),
    ("week", HOUR.saturating_mul(210)),
    ("month", HOUR.saturating_mul(24 * 35)),
    ("year", Duration::MAX),
];

/// A row: its span, and the bytes per second to the guest and from it, if they are known.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    from: Instant,
    to: Instant,
    rates: Option<(f64, f64)>,
}

/// Figures of a row that have not come by then do not come.
const WRITTEN: Duration = Duration::from_secs(150);

/// Bytes per second that no link carries: 1 Tbit/s.
const FASTEST: f64 = 125e9;

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    time: Field<'a>,
    #[serde(borrow)]
    netin: Field<'a>,
    #[serde(borrow)]
    netout: Field<'a>,
}

impl Cluster {
    /// What was recorded of a guest since `from`, in the finest rows that reach back so far; coarser ones for what lies
    /// before those. Nothing of a guest that is too new. Any node answers, but the path has to name one.
    pub fn records(
        &self,
        host: &dyn Host,
        guest: Id,
        node: &str,
        from: Instant,
        now: Instant,
        until: Duration,
    ) -> Result<Records, Failure> {
        let age = now.since(from);
        let mut known: Vec<Row> = Vec::new();
        // The last hour is always asked for: coarser rows end long ago.
        for (timeframe, _) in TIMEFRAMES.iter().filter(|(name, reach)| age <= *reach || *name == "hour") {
            match self.rows(host, guest, node, timeframe, until) {
                Ok(coarser) => known = joined(known, coarser),
                Err(failure) if failure.kind == Kind::NoHistory => {
                    let known = records(&known, now);
                    return Ok(Records { until: known.until.or(Some(now)), ..known });
                }
                Err(failure) => return Err(failure),
            }
            if known.first().is_some_and(|row| row.from <= from) {
                break;
            }
        }
        Ok(records(&known, now))
    }

    fn rows(
        &self,
        host: &dyn Host,
        guest: Id,
        node: &str,
        timeframe: &str,
        until: Duration,
    ) -> Result<Vec<Row>, Failure> {
        let query = [("timeframe", timeframe), ("cf", "AVERAGE")];
        self.list(host, &guest_path(node, guest, &["rrddata"]), &query, until, |items| Ok(rows(items)))
    }
}

/// The rows of an answer; what has no time is none.
fn rows(items: &[&RawValue]) -> Vec<Row> {
    let mut ends: Vec<End> = items.iter().filter_map(|item| read(item)).collect();
    // Of two that end together the later one in the answer is the finer.
    ends.reverse();
    ends.sort_by_key(|end| end.seconds);
    ends.dedup_by_key(|end| end.seconds);
    let row = |index: usize| {
        let before = index.checked_sub(1).map(|before| ends[index].seconds - ends[before].seconds);
        let after = ends.get(index + 1).map(|after| after.seconds - ends[index].seconds);
        ends[index].row(step(ends[index].seconds, before, after))
    };
    (0..ends.len()).map(row).collect()
}

/// The end of a row in seconds since the epoch, and its rates.
struct End {
    seconds: i64,
    rates: Option<(f64, f64)>,
}

impl End {
    fn row(&self, step: i64) -> Row {
        let at = |seconds: i64| Instant::from_millis(seconds.saturating_mul(1000));
        // Of a row without a span nothing is known.
        let rates = self.rates.filter(|_| step > 0);
        Row { from: at(self.seconds - step), to: at(self.seconds), rates }
    }
}

fn read(item: &RawValue) -> Option<End> {
    let fields: Fields<'_> = object(item).ok()?;
    let seconds = i64::try_from(whole("time", fields.time).ok()?).ok()?;
    Some(End { seconds, rates: rate(fields.netin).zip(rate(fields.netout)) })
}

/// Bytes per second.
fn rate(field: Field<'_>) -> Option<f64> {
    let rate: f64 = plain(field?)?.parse().ok()?;
    (0.0..=FASTEST).contains(&rate).then_some(rate)
}

/// A row's step: the time since the row before, or until the next where there is none before. Where fine rows do not
/// begin at once after coarse ones, the gap is not the first one's.
fn step(end: i64, before: Option<i64>, after: Option<i64>) -> i64 {
    match (before, after) {
        (Some(before), Some(after)) if after < before && end % before != 0 && end % after == 0 => after,
        (before, after) => before.or(after).unwrap_or(0),
    }
}

/// The finer rows, and the coarser ones for what lies before them.
fn joined(finer: Vec<Row>, coarser: Vec<Row>) -> Vec<Row> {
    let Some(start) = finer.first().map(|row| row.from) else { return coarser };
    let before = coarser.into_iter().filter(|row| row.from < start);
    before.map(|row| Row { to: row.to.min(start), ..row }).chain(finer).collect()
}

fn records(rows: &[Row], now: Instant) -> Records {
    let span = |row: &Row| row.rates.map(|(rx, tx)| Span { from: row.from, to: row.to, rx, tx });
    // A row is there before its figures are.
    let is_written = |row: &&Row| row.rates.is_some() || now.since(row.to) >= WRITTEN;
    let until = rows.iter().rev().find(is_written).map(|row| row.to);
    Records { spans: rows.iter().filter_map(span).collect(), until }
}

#[cfg(test)]
mod tests;

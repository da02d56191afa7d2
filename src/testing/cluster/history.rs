//! What really flowed, exactly, and what the cluster recorded of it.
//!
//! Bytes are counted in thousandths: a rate in bytes per second times milliseconds is a whole number of them.

use serde_json::{Value, json};

use crate::quota::instant::Instant;

/// To the guest, and from it.
pub type Both = (u64, u64);

/// Thousandths of a byte.
pub const BYTE: u64 = 1000;

/// A span of time with one flow.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    from: Instant,
    to: Instant,
    /// Bytes per second.
    rate: Both,
    /// Thousandths of bytes that moved at once, at its end; then it lasts no time.
    at_once: Both,
    /// Whether the cluster heard of it.
    heard: bool,
}

/// All that flowed to and from a vmid, in the order of time.
#[derive(Debug, Clone, Default)]
pub struct History(Vec<Span>);

/// Step in seconds, and number of rows, as of Proxmox VE 9.
fn shape(timeframe: &str) -> Option<(i64, i64)> {
    Some(match timeframe {
        "hour" => (60, 60),
        "day" => (60, 1440),
        "week" => (1800, 336),
        "month" => (1800, 1440),
        "year" => (21_600, 1440),
        _ => return None,
    })
}

impl History {
    /// It flowed evenly.
    pub fn flowed(&mut self, from: Instant, to: Instant, rate: Both, heard: bool) {
        match self.0.last_mut() {
            Some(last) if last.to == from && last.from < from && last.rate == rate && last.heard == heard => {
                last.to = to;
            }
            _ => self.0.push(Span { from, to, rate, at_once: (0, 0), heard }),
        }
    }

    /// So many thousandths of bytes moved at once.
    pub fn moved(&mut self, at: Instant, at_once: Both, heard: bool) {
        self.0.push(Span { from: at, to: at, rate: (0, 0), at_once, heard });
    }

    /// Thousandths of bytes after `from` until `to`, and the milliseconds that are known; `heard`: what the cluster
    /// heard of only.
    fn between(&self, from: Instant, to: Instant, heard: bool) -> (Both, u64) {
        let mut sum = ((0, 0), 0);
        let first = self.0.partition_point(|span| span.to < from);
        for span in self.0[first..].iter().take_while(|span| span.from <= to).filter(|span| span.heard || !heard) {
            let lasted = span.to.min(to).since(span.from.max(from)).as_millis() as u64;
            let is_inside = span.from > from && span.to <= to;
            let at_once = if is_inside { span.at_once } else { (0, 0) };
            sum.0.0 += span.rate.0 * lasted + at_once.0;
            sum.0.1 += span.rate.1 * lasted + at_once.1;
            sum.1 += lasted;
        }
        sum
    }

    /// The bytes after `from` until `to`.
    pub fn bytes(&self, from: Instant, to: Instant) -> Both {
        let ((to_it, from_it), _) = self.between(from, to, false);
        (to_it / BYTE, from_it / BYTE)
    }

    /// The rows of a timeframe; none for one that nobody knows.
    pub fn rows(&self, timeframe: &str, now: Instant) -> Option<Vec<Value>> {
        let (step, count) = shape(timeframe)?;
        let last = now.millis().div_euclid(step * 1000) * step;
        Some((0..count).rev().map(|back| self.row(last - back * step, step)).collect())
    }

    /// A row is named by its end. It is known when at least half of it is; then it averages the known part.
    fn row(&self, end: i64, step: i64) -> Value {
        let at = |seconds: i64| Instant::from_millis(seconds * 1000);
        let (moved, known) = self.between(at(end - step), at(end), true);
        let mut row = json!({"time": end, "maxcpu": 2, "maxmem": 2_147_483_648_u64});
        if known * 2 >= step as u64 * 1000 {
            row["netin"] = json!(moved.0 as f64 / known as f64);
            row["netout"] = json!(moved.1 as f64 / known as f64);
        }
        row
    }
}

//! What was recorded of a guest, in the rows of both generations.

use serde_json::{Value, json};

/// Known traffic over a span of time: bytes per second to and from the guest.
#[derive(Debug, Clone)]
pub struct Flow {
    start: f64,
    end: f64,
    to: f64,
    from: f64,
}

impl Flow {
    pub fn new(start: f64, end: f64, to: f64, from: f64) -> Self {
        Self { start, end, to, from }
    }

    pub fn ages(&mut self, seconds: f64) {
        self.start -= seconds;
        self.end -= seconds;
    }
}

/// Step and number of rows.
pub fn shape(generation: u32, timeframe: &str) -> Option<(u64, u64)> {
    Some(match (timeframe, generation >= 9) {
        ("hour", true) => (60, 60),
        ("hour", false) => (60, 70),
        ("day", true) => (60, 1440),
        ("day", false) => (1800, 70),
        ("week", true) => (1800, 336),
        ("week", false) => (10_800, 70),
        ("month", true) => (1800, 1440),
        ("month", false) => (43_200, 70),
        ("year", true) => (21_600, 1440),
        ("year", false) => (604_800, 70),
        _ => return None,
    })
}

/// The rows of a timeframe; those before `upgraded` are as coarse as before 9.
pub fn rows(flows: &[Flow], generation: u32, timeframe: &str, now: f64, upgraded: Option<f64>) -> Vec<Value> {
    let (step, count) = shape(generation, timeframe).expect("a known timeframe");
    let first = floored(now, step).saturating_sub(step * count);
    let mut rows = Vec::new();
    let mut start = first;
    if let (Some(upgraded), Some((coarse, _))) = (upgraded, shape(8, timeframe)) {
        start = floored(upgraded, coarse).max(first);
        rows.extend(spaced(floored(first as f64, coarse), start, coarse).map(|end| row(flows, end, coarse)));
    }
    rows.extend(spaced(start, floored(now, step), step).map(|end| row(flows, end, step)));
    rows
}

fn floored(at: f64, step: u64) -> u64 {
    at as u64 / step * step
}

/// The ends of the rows after `start` until `end`.
fn spaced(start: u64, end: u64, step: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |count| start + count * step).take_while(move |at| *at <= end)
}

/// Known when at least half of it is; then the average of the known part.
fn row(flows: &[Flow], end: u64, step: u64) -> Value {
    let (start, until) = ((end - step) as f64, end as f64);
    let mut row =
        json!({"time": end, "maxcpu": 2, "maxmem": 2_147_483_648_u64, "maxdisk": 34_359_738_368_u64, "disk": 0});
    let (mut known, mut to, mut from) = (0.0, 0.0, 0.0);
    for flow in flows {
        let lasted = (flow.end.min(until) - flow.start.max(start)).max(0.0);
        known += lasted;
        to += lasted * flow.to;
        from += lasted * flow.from;
    }
    if known * 2.0 >= step as f64 {
        row["netin"] = json!(to / known);
        row["netout"] = json!(from / known);
        row["cpu"] = json!(0.0321932621746476);
        row["mem"] = json!(842_551_296_u64);
    }
    row
}

//! A report as one JSON document: whole bytes, times with their offset.
//!
//! Why it is written as it goes, and no tree of values made of it first: a report may have millions of figures.

use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;

use super::model::{Bar, Bucket, By, Direction, Report, Row, Used};
use crate::error::{Error, Result};
use crate::history::Logged;
use crate::quota::instant::Instant;
use crate::quota::zone::Zone;

/// The version of the document: raised when a field changes its meaning.
const VERSION: u64 = 1;

/// The document, with a line's end.
pub fn document(report: &Report) -> Result<String> {
    let times: Vec<[String; 2]> = report.buckets.iter().map(|bucket| times(&report.zone, bucket)).collect();
    let sums = |used, cells| Sums::of(&times, used, cells);
    written(&Document {
        head: Head::of(report),
        host: &report.host,
        by: by(report.by),
        direction: direction(report.direction),
        subjects: Each(|| report.rows.iter().map(|row| Subject::of(row, sums(row.used, &row.cells)))),
        total: sums(report.whole, &report.cells),
        quotas: Each(|| report.quotas.iter().map(Quota::of)),
        log: Each(|| report.events.iter().map(|logged| Entry::of(report, logged))),
    })
}

/// The same without figures: what was done and told.
pub fn log(report: &Report) -> Result<String> {
    written(&Log {
        head: Head::of(report),
        host: &report.host,
        log: Each(|| report.events.iter().map(|logged| Entry::of(report, logged))),
    })
}

fn written(document: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(document);
    let mut text = text.map_err(|error| Error::failed(format!("the document cannot be written: {error}")))?;
    text.push('\n');
    Ok(text)
}

/// The members of an array, each made when it is written.
struct Each<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[derive(Serialize)]
struct Document<'a, S: Serialize, Q: Serialize, L: Serialize> {
    #[serde(flatten)]
    head: Head<'a>,
    host: &'a str,
    by: &'static str,
    direction: &'static str,
    subjects: S,
    total: Sums<'a>,
    quotas: Q,
    log: L,
}

#[derive(Serialize)]
struct Log<'a, L: Serialize> {
    #[serde(flatten)]
    head: Head<'a>,
    host: &'a str,
    log: L,
}

/// What both documents begin with.
#[derive(Serialize)]
struct Head<'a> {
    version: u64,
    at: String,
    from: String,
    to: String,
    zone: &'a str,
}

impl<'a> Head<'a> {
    fn of(report: &'a Report) -> Self {
        let time = |at| rfc3339(&report.zone, at);
        let (at, from, to) = (time(report.made), time(report.from), time(report.to));
        Self { version: VERSION, at, from, to, zone: report.zone.name() }
    }
}

fn by(by: By) -> &'static str {
    match by {
        By::FiveMinutes => "5min",
        By::Hour => "hour",
        By::Day => "day",
        By::Month => "month",
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Out => "out",
        Direction::In => "in",
        Direction::Both => "both",
    }
}

fn times(zone: &Zone, bucket: &Bucket) -> [String; 2] {
    [bucket.from, bucket.to].map(|at| rfc3339(zone, at))
}

#[derive(Serialize)]
struct Subject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    source: &'a str,
    subject: &'a str,
    label: &'a str,
    part: bool,
    #[serde(flatten)]
    sums: Sums<'a>,
}

impl<'a> Subject<'a> {
    fn of(row: &'a Row, sums: Sums<'a>) -> Self {
        let Row { host, source, subject, label, part, .. } = row;
        Self { host: host.as_deref(), source, subject, label, part: *part, sums }
    }
}

/// What flowed in all, and in each bucket.
#[derive(Serialize)]
struct Sums<'a> {
    #[serde(rename = "in")]
    rx: u64,
    #[serde(rename = "out")]
    tx: u64,
    sum: u64,
    estimated: bool,
    partial: bool,
    buckets: Buckets<'a>,
}

impl<'a> Sums<'a> {
    fn of(times: &'a [[String; 2]], used: Used, cells: &'a [Option<Used>]) -> Self {
        Self {
            rx: used.flow.rx,
            tx: used.flow.tx,
            sum: Direction::Both.of(used.flow),
            estimated: used.estimated,
            partial: used.partial,
            buckets: Buckets { times, cells },
        }
    }
}

struct Buckets<'a> {
    times: &'a [[String; 2]],
    cells: &'a [Option<Used>],
}

impl Serialize for Buckets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.times.iter().zip(self.cells).map(|([from, to], cell)| Cell {
            from,
            to,
            rx: cell.map(|used| used.flow.rx),
            tx: cell.map(|used| used.flow.tx),
            estimated: cell.map(|used| used.estimated),
            partial: cell.map(|used| used.partial),
        }))
    }
}

#[derive(Serialize)]
struct Cell<'a> {
    from: &'a str,
    to: &'a str,
    #[serde(rename = "in")]
    rx: Option<u64>,
    #[serde(rename = "out")]
    tx: Option<u64>,
    estimated: Option<bool>,
    partial: Option<bool>,
}

/// As `status --json` has it, as far as a report knows it.
#[derive(Serialize)]
struct Quota<'a> {
    quota: &'a str,
    label: Option<&'a str>,
    subject: &'a str,
    source: &'a str,
    name: Option<&'a str>,
    count: crate::quota::meter::Count,
    used: u64,
    allowance: u64,
    remaining: u64,
    percent: Option<f64>,
    period: Term,
    tiers: Vec<Tier<'a>>,
    tier: Option<&'a str>,
    forecast: Option<Forecast>,
    as_of: String,
    stale: bool,
    estimated: bool,
}

#[derive(Serialize)]
struct Term {
    start: String,
    end: Option<String>,
}

#[derive(Serialize)]
struct Tier<'a> {
    name: &'a str,
    used: u64,
}

#[derive(Serialize)]
struct Forecast {
    at_end: u64,
    exhausted_at: Option<String>,
}

impl<'a> Quota<'a> {
    fn of(bar: &'a Bar) -> Self {
        let time = |at: Instant| rfc3339(&bar.zone, at);
        let forecast = |at_end| Forecast { at_end, exhausted_at: bar.exhausted_at.map(time) };
        Self {
            quota: &bar.quota,
            label: bar.label.as_deref(),
            subject: &bar.subject,
            source: &bar.source,
            name: bar.name.as_deref(),
            count: bar.count,
            used: bar.used,
            allowance: bar.allowance,
            remaining: bar.allowance.saturating_sub(bar.used),
            percent: bar.percent.parse().ok(),
            period: Term { start: time(bar.period.start), end: bar.period.end.map(time) },
            tiers: bar.tiers.iter().map(|(name, used)| Tier { name, used: *used }).collect(),
            tier: bar.tier.as_deref(),
            forecast: bar.at_end.map(forecast),
            as_of: time(bar.as_of),
            stale: bar.stale,
            estimated: bar.estimated,
        }
    }
}

/// What was done or told.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    number: u64,
    at: String,
    kind: &'static str,
    source: &'a str,
    subject: &'a str,
    quota: &'a str,
    name: &'a str,
    outcome: &'static str,
    reason: &'a str,
    detail: &'a str,
}

impl<'a> Entry<'a> {
    fn of(report: &'a Report, logged: &'a Logged) -> Self {
        let event = &logged.event;
        let host = report.hosts.iter().find(|(id, _)| *id == logged.instance).map(|(_, host)| host.as_str());
        Self {
            host,
            number: logged.number,
            at: rfc3339(&report.zone, event.at),
            kind: event.kind.name(),
            source: &event.source,
            subject: &event.subject,
            quota: &event.quota,
            name: &event.name,
            outcome: event.outcome.name(),
            reason: &event.reason,
            detail: &event.detail,
        }
    }
}

/// RFC 3339 with the zone's offset.
pub fn rfc3339(zone: &Zone, at: Instant) -> String {
    zone.local(at).format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::super::two_days;
    use super::*;

    #[test]
    fn the_document_has_what_scripts_rely_on() {
        let text = document(&two_days::report()).unwrap();
        assert!(text.ends_with("}\n"));
        let value: Value = serde_json::from_str(&text).unwrap();
        let without = |name: &str| value.get(name).cloned().unwrap();
        assert_eq!(without("version"), 1);
        assert_eq!(without("from"), "2026-11-20T00:00:00+08:00");
        assert_eq!((without("zone"), without("host")), (json!("Asia/Shanghai"), json!("hk-1")));
        assert_eq!((without("by"), without("direction")), (json!("day"), json!("both")));
        assert_eq!(
            value["subjects"][1],
            json!({
                "source": "pve", "subject": "qemu/100", "label": "网站", "part": false,
                "in": 70, "out": 30, "sum": 100, "estimated": true, "partial": true,
                "buckets": [
                    {"from": "2026-11-20T00:00:00+08:00", "to": "2026-11-21T00:00:00+08:00",
                     "in": null, "out": null, "estimated": null, "partial": null},
                    {"from": "2026-11-21T00:00:00+08:00", "to": "2026-11-22T00:00:00+08:00",
                     "in": 70, "out": 30, "estimated": true, "partial": true},
                ],
            })
        );
        assert_eq!(value["total"]["out"], 2_500_002_030_u64);
        assert_eq!(value["quotas"][0]["percent"], 79.99);
        assert_eq!(value["quotas"][0]["tiers"][0], json!({"name": "80%", "used": 8_000_000_000_u64}));
        assert_eq!(
            value["log"][0],
            json!({
                "number": 7, "at": "2026-11-21T09:00:00+08:00", "kind": "alert", "source": "nic", "subject": "eth0",
                "quota": "month", "name": "ops", "outcome": "done", "reason": "80% reached", "detail": "",
            })
        );
    }
}

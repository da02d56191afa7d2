//! A small report for the renderers' tests: two days of three subjects, with each of the marks.

use crate::history::Logged;
use crate::quota::bytes::{Unit, UnitBase};
use crate::quota::duration::Language;
use crate::quota::event::{Event, Kind, Outcome};
use crate::quota::instant::Instant;
use crate::quota::meter::{Count, Counters};
use crate::quota::period::Period;
use crate::quota::zone::Zone;

use super::model::{Bar, Bucket, By, Direction, Report, Row, Used};

fn at(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

fn used(rx: u64, tx: u64) -> Used {
    Used { flow: Counters { rx, tx }, estimated: false, partial: false }
}

/// The report.
pub fn report() -> Report {
    let edges = ["2026-11-20T00:00:00+08:00", "2026-11-21T00:00:00+08:00", "2026-11-22T00:00:00+08:00"].map(at);
    let late = Used { estimated: true, partial: true, ..used(70, 30) };
    let row = |source: &str, subject: &str, label: &str, part, cells: [Option<Used>; 2], used| Row {
        host: None,
        source: source.into(),
        subject: subject.into(),
        label: label.into(),
        part,
        used,
        cells: cells.to_vec(),
    };
    let event = |time: &str, kind, name: &str, outcome, reason: &str, detail: &str| Event {
        at: at(time),
        kind,
        source: "nic".into(),
        subject: "eth0".into(),
        quota: "month".into(),
        name: name.into(),
        reason: reason.into(),
        outcome,
        detail: detail.into(),
    };
    let events = [
        event("2026-11-21T09:00:00+08:00", Kind::Alert, "ops", Outcome::Done, "80% reached", ""),
        event("2026-11-21T10:00:00+08:00", Kind::Action, "poweroff", Outcome::Failed, "95% reached", "=exit 1"),
    ];
    let logged = |(number, event)| Logged { instance: "a1".into(), number, event };
    Report {
        language: Language::En,
        host: "hk-1".into(),
        made: at("2026-11-21T18:20:05+08:00"),
        zone: Zone::named("Asia/Shanghai").unwrap(),
        from: edges[0],
        to: edges[2],
        by: By::Day,
        direction: Direction::Both,
        buckets: edges.windows(2).map(|ends| Bucket { from: ends[0], to: ends[1] }).collect(),
        rows: vec![
            row(
                "nic",
                "eth0",
                "",
                false,
                [Some(used(1000, 2_500_000_000)), Some(used(0, 2000))],
                used(1000, 2_500_002_000),
            ),
            row("pve", "qemu/100", "网站", false, [None, Some(late)], late),
            row("pve", "qemu/100 net0", "", true, [None, Some(late)], late),
        ],
        whole: Used { estimated: true, ..used(1070, 2_500_002_030) },
        cells: vec![Some(used(1000, 2_500_000_000)), Some(Used { estimated: true, ..used(70, 2030) })],
        quotas: vec![Bar {
            quota: "month".into(),
            label: None,
            source: "nic".into(),
            subject: "eth0".into(),
            name: None,
            count: Count::Out,
            used: 7_999_999_999,
            allowance: 10_000_000_000,
            unit: Unit::giga(UnitBase::Thousand),
            percent: "79.99".into(),
            period: Period { start: at("2026-11-01T00:00:00+08:00"), end: Some(at("2026-12-01T00:00:00+08:00")) },
            zone: Zone::named("Asia/Shanghai").unwrap(),
            tiers: vec![("80%".into(), 8_000_000_000)],
            tier: None,
            at_end: None,
            exhausted_at: None,
            as_of: at("2026-11-21T18:20:00+08:00"),
            stale: false,
            estimated: false,
        }],
        events: (7..).zip(events).map(logged).collect(),
        hosts: Vec::new(),
        chosen: Vec::new(),
    }
}

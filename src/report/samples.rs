//! Reports made up for tests: of as many subjects as wanted, over days, hours or months, with names of any kind.
//!
//! The figures look random and are the same each time: a test's page or picture can be looked at again.

use std::sync::Arc;
use std::time::Duration;

use crate::fleet::record::Record;
use crate::fleet::report::{Counted, Metrics};
use crate::history::Logged;
use crate::quota::bytes::{Percent, Unit, UnitBase};
use crate::quota::duration::Language;
use crate::quota::event::{Event, Kind, Outcome};
use crate::quota::instant::Instant;
use crate::quota::meter::{Count, Counters};
use crate::quota::period::Period;
use crate::quota::pulse::{Load, Pulse};
use crate::quota::zone::Zone;

use super::model::{Bar, Bucket, By, Direction, Report, Row, Used};
use super::now::{Doing, Health, Held, Now, Raised};

/// Names that would do harm where they are not escaped.
pub const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "</title></style><b>bold</b>",
    "' onmouseover='alert(3)",
    "javascript:alert(4)",
    "&lt;already&amp;escaped&gt;",
    "<!-- <svg onload=alert(5)>",
    "]]>{{7*7}}${7*7}",
    "\u{202e}reversed\u{1b}[31mred\u{0}",
    "中文名字的虚拟机",
    "🐘 an elephant",
];

/// What a made-up report is to be like.
pub struct Sample {
    /// How many subjects it has.
    pub subjects: usize,
    /// The first subjects' names; the others are called `qemu/100` and so on.
    pub names: Vec<String>,
    /// Its language.
    pub language: Language,
    /// The zone's name.
    pub zone: &'static str,
    /// The local day it starts on, as in RFC 3339 with the zone's offset.
    pub from: &'static str,
    /// Its end.
    pub to: &'static str,
    /// When it was made.
    pub made: &'static str,
    /// What its buckets are.
    pub by: By,
    /// Which direction it shows.
    pub direction: Direction,
}

impl Default for Sample {
    /// Five subjects in the days of a month that has not ended.
    fn default() -> Self {
        Self {
            subjects: 5,
            names: Vec::new(),
            language: Language::En,
            zone: "Asia/Shanghai",
            from: "2026-11-01T00:00:00+08:00",
            to: "2026-12-01T00:00:00+08:00",
            made: "2026-11-21T18:20:05+08:00",
            by: By::Day,
            direction: Direction::Both,
        }
    }
}

impl Sample {
    /// A report of nothing.
    pub fn empty() -> Report {
        Self { subjects: 0, ..Self::default() }.report()
    }

    /// A report of subjects with hostile names, quotas and events.
    pub fn hostile() -> Report {
        let names: Vec<String> = HOSTILE.iter().map(|name| (*name).to_owned()).collect();
        let mut report = Self { subjects: names.len() + 2, names, ..Self::default() }.report();
        report.host = HOSTILE[0].to_owned();
        report.rows.push(Row { subject: "x".repeat(10_000), ..clone_of(&report.rows[0]) });
        for (index, name) in HOSTILE.iter().enumerate() {
            if let Some(row) = report.rows.iter_mut().find(|row| row.subject == *name) {
                row.label = HOSTILE[(index + 1) % HOSTILE.len()].to_owned();
                row.source = (*name).to_owned();
            }
            let mut bar = bar(index, name);
            bar.quota = (*name).to_owned();
            bar.label = Some(HOSTILE[(index + 2) % HOSTILE.len()].to_owned());
            bar.tiers.push(((*name).to_owned(), bar.allowance / 2));
            bar.tier = Some((*name).to_owned());
            report.quotas.push(bar);
            let mut logged = logged(index, name);
            logged.event.reason = (*name).to_owned();
            logged.event.detail = HOSTILE[(index + 3) % HOSTILE.len()].to_owned();
            logged.event.name = (*name).to_owned();
            report.events.push(logged);
        }
        report.whole = sum(report.rows.iter().map(|row| Some(row.used))).unwrap_or_default();
        report
    }

    /// The report.
    pub fn report(&self) -> Report {
        let zone = Zone::named(self.zone).unwrap();
        let [from, to, made] = [self.from, self.to, self.made].map(|text| Instant::parse(text).unwrap());
        let buckets = buckets(from, to, self.by, &zone);
        let mut rows: Vec<Row> =
            (0..self.subjects).map(|index| row(index, self.names.get(index), &buckets, made)).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(self.direction.of(row.used.flow)));
        let wholes = || rows.iter().filter(|row| !row.part);
        let cells = (0..buckets.len()).map(|index| sum(wholes().map(|row| row.cells[index]))).collect();
        let whole = sum(wholes().map(|row| Some(row.used))).unwrap_or_default();
        let quotas = rows.iter().take(4).enumerate().map(|(index, row)| bar(index, &row.subject)).collect();
        let events = rows.iter().take(8).enumerate().map(|(index, row)| logged(index, &row.subject)).collect();
        Report {
            language: self.language,
            host: "vps-hk-1".to_owned(),
            made,
            zone,
            from,
            to,
            by: self.by,
            direction: self.direction,
            buckets,
            rows,
            whole,
            cells,
            quotas,
            events,
            hosts: Vec::new(),
            chosen: Vec::new(),
        }
    }
}

/// What so many subjects are doing; the first have these names.
pub fn now(subjects: usize, names: &[&str]) -> Now {
    let at = Instant::parse("2026-11-21T18:20:05+08:00").unwrap();
    let rows: Vec<Doing> = (0..subjects).map(|index| doing(index, names.get(index).copied(), at)).collect();
    let minutes = |minutes: u64| at.minus(Duration::from_secs(60 * minutes));
    let alarmed = rows.iter().enumerate().flat_map(|(index, row)| {
        let raised = |alarm: &String| Raised {
            alarm: alarm.clone(),
            source: row.source.clone(),
            subject: row.subject.clone(),
            words: [
                (Language::En, "1.20 Mbps (rate below 5 Mbps)".to_owned()),
                (Language::Zh, "1.20 Mbps（速率低于 5 Mbps）".to_owned()),
            ],
            since: minutes(index as u64),
        };
        row.alarms.iter().map(raised).collect::<Vec<_>>()
    });
    Now {
        language: Language::En,
        host: names.first().map_or("vps-hk-1", |name| name).to_owned(),
        zone: Zone::named("Asia/Shanghai").unwrap(),
        at,
        checked: Some(minutes(1)),
        raised: alarmed.collect(),
        problems: vec![("source \"cluster-1\": status 502: bad gateway".to_owned(), minutes(70))],
        waiting: vec![("telegram".to_owned(), 3, minutes(12))],
        held: vec![Held { thing: "qemu/104".into(), actions: "slow".into(), since: minutes(3000), lifting: true }],
        rows,
    }
}

/// A guest, or every third a node that reports: some silent, some not read, some with an alarm.
fn doing(index: usize, name: Option<&str>, now: Instant) -> Doing {
    let is_node = index % 3 == 2;
    let seen = now.minus(Duration::from_secs(dice(index, 1) % 60 + if index % 11 == 5 { 5000 } else { 0 }));
    let rate = Counters { tx: dice(index, 2) * dice(index, 3) * 37, rx: dice(index, 4) * dice(index, 5) * 11 };
    let subject = if is_node { format!("node-{index}.example") } else { format!("qemu/{}", 100 + index) };
    let subject = name.map_or(subject, str::to_owned);
    let pulse = Pulse {
        rate: (index % 13 != 3).then_some(rate),
        over: (!is_node).then_some(60),
        cpu: Some(Load(dice(index, 6) as u32 * 10)),
        memory: (index % 5 != 4).then(|| Load(dice(index, 7) as u32 * 10)),
        ..Pulse::at(seen)
    };
    let health = match index % 11 {
        5 => Health::Silent,
        7 => Health::Unread("status 403: no permission".to_owned()),
        _ if is_node => Health::Online,
        _ => Health::Read,
    };
    Doing {
        source: name.map_or(if is_node { "fleet" } else { "cluster-1" }, |name| name).to_owned(),
        label: if !is_node && index.is_multiple_of(2) { format!("web-frontend-{index:02}") } else { String::new() },
        pulse: (index % 17 != 16).then_some(pulse),
        health,
        alarms: if index % 40 == 1 { vec![name.unwrap_or("slow-link").to_owned()] } else { Vec::new() },
        node: is_node.then(|| Arc::new(record(index, &subject, seen))),
        subject,
    }
}

/// What a node said; of every second one the clock is wrong.
pub fn record(index: usize, hostname: &str, received: Instant) -> Record {
    let ahead = if index.is_multiple_of(2) { 0 } else { 330 };
    Record {
        version: 1,
        hostname: hostname.to_owned(),
        received,
        timestamp: received.millis() / 1000 + ahead,
        metrics: Metrics {
            cpu_percent: 12.5,
            memory_used: 1_000_000,
            memory_total: 4_000_000,
            network_in_bps: 125_000,
            network_out_bps: 250_000,
            uptime_seconds: 86_400,
        },
        counted: index.is_multiple_of(2).then(|| Counted {
            version: 1,
            interface: "eth0".to_owned(),
            rx_bytes: 5_000,
            tx_bytes: 7_000,
            boot_id: Some("b".to_owned()),
            uptime_ms: 86_400_000,
            index: Some(2),
            link_speed: None,
            unknown: Vec::new(),
        }),
        idle: 0,
        boots: Vec::new(),
        doubled: (index % 9 == 2).then_some(received),
        epoch: 0,
    }
}

/// Local hours, days or months from edge to edge.
fn buckets(from: Instant, to: Instant, by: By, zone: &Zone) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    let mut start = from;
    while start < to {
        let end = next_edge(start, by, zone).min(to);
        buckets.push(Bucket { from: start, to: end });
        start = end;
    }
    buckets
}

fn next_edge(start: Instant, by: By, zone: &Zone) -> Instant {
    let midnight = |date: time::Date| zone.instant(date.midnight());
    let date = zone.local(start).date();
    match by {
        By::FiveMinutes => start.plus(Duration::from_secs(300)),
        By::Hour => start.plus(Duration::from_secs(3600)),
        By::Day => midnight(date.next_day().unwrap()),
        By::Month => {
            let days = time::util::days_in_month(date.month(), date.year());
            midnight(date.replace_day(days).unwrap().next_day().unwrap())
        }
    }
}

/// A number below a thousand that looks random.
fn dice(a: usize, b: usize) -> u64 {
    let mut x = (a as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (b as u64 + 7).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 29;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 32)) % 1000
}

fn row(index: usize, name: Option<&String>, buckets: &[Bucket], made: Instant) -> Row {
    let part = index % 7 == 6;
    let guest = format!("qemu/{}", 100 + index);
    let cells: Vec<Option<Used>> =
        buckets.iter().enumerate().map(|(at, bucket)| cell(index, at, bucket, made)).collect();
    Row {
        host: None,
        source: if index.is_multiple_of(3) { "eth0".to_owned() } else { "cluster-1".to_owned() },
        subject: name.cloned().unwrap_or(if part { format!("{guest}/net0") } else { guest }),
        label: if index.is_multiple_of(2) { format!("web-frontend-{index:02}") } else { String::new() },
        part,
        used: sum(cells.iter().copied()).unwrap_or_default(),
        cells,
    }
}

/// A weekly rhythm, a peak now and then, and some buckets that are unknown, estimated, or to come.
fn cell(index: usize, at: usize, bucket: &Bucket, made: Instant) -> Option<Used> {
    if bucket.from >= made || (index.is_multiple_of(2) && at == 0) {
        return None;
    }
    let seconds = bucket.to.since(bucket.from).as_secs();
    let rhythm = [9, 10, 11, 10, 12, 6, 4][at % 7];
    let peak = if dice(at, 3) > 930 { 4 } else { 1 };
    let tx = seconds * rhythm * peak * (40 + dice(index, at)) * (1 + dice(index, 5) % 60) * 19 / (1 + index as u64 / 4);
    let flow = Counters { tx, rx: tx / 7 + dice(at, index) * 1001 };
    Some(Used { flow, estimated: at == 5, partial: index.is_multiple_of(2) && at == 1 })
}

fn sum(cells: impl Iterator<Item = Option<Used>>) -> Option<Used> {
    cells.flatten().reduce(|a, b| Used {
        flow: a.flow.zip(b.flow, u64::saturating_add),
        estimated: a.estimated || b.estimated,
        partial: a.partial || b.partial,
    })
}

fn clone_of(row: &Row) -> Row {
    Row {
        host: row.host.clone(),
        source: row.source.clone(),
        subject: row.subject.clone(),
        label: row.label.clone(),
        part: row.part,
        used: row.used,
        cells: row.cells.clone(),
    }
}

/// A quota: well, in a tier, over, or without an end, in turn.
fn bar(index: usize, subject: &str) -> Bar {
    let unit = Unit::giga(UnitBase::Thousand);
    let allowance = 1_000_000_000_000;
    let used = allowance / 1000 * [412, 863, 1_043, 0][index % 4];
    let at = |text: &str| Instant::parse(text).unwrap();
    let end = (index % 4 != 3).then(|| at("2026-12-01T00:00:00+08:00"));
    Bar {
        quota: if index == 0 { "monthly".to_owned() } else { format!("guest-{index}") },
        label: (index == 1).then(|| "Front end".to_owned()),
        source: "cluster-1".to_owned(),
        subject: subject.to_owned(),
        name: (index == 2).then(|| "db-primary".to_owned()),
        count: [Count::Out, Count::Sum, Count::Max, Count::In][index % 4],
        used,
        allowance,
        unit,
        percent: Percent::ratio(used, allowance).unwrap().to_string(),
        period: Period { start: at("2026-11-01T00:00:00+08:00"), end },
        zone: Zone::named("Asia/Shanghai").unwrap(),
        tiers: vec![("80%".to_owned(), allowance / 10 * 8), ("stop".to_owned(), allowance / 20 * 19)],
        tier: [None, Some("80%"), Some("stop"), None][index % 4].map(str::to_owned),
        at_end: end.map(|_| used / 20 * 29),
        exhausted_at: (index % 4 == 1).then(|| at("2026-11-24T19:40:00+08:00")),
        as_of: at("2026-11-21T18:20:00+08:00"),
        stale: index == 3,
        estimated: index == 1,
    }
}

fn logged(index: usize, subject: &str) -> Logged {
    let at = Instant::parse("2026-11-02T03:04:05+08:00").unwrap().plus(Duration::from_secs(86_413 * index as u64));
    let event = Event {
        at,
        kind: Kind::ALL[index % Kind::ALL.len()],
        source: "cluster-1".to_owned(),
        subject: subject.to_owned(),
        quota: "monthly".to_owned(),
        name: if index.is_multiple_of(2) { "telegram".to_owned() } else { "stop-server".to_owned() },
        reason: "tier 80% reached: 800.1 GB of 1000 GB".to_owned(),
        outcome: Outcome::ALL[index % Outcome::ALL.len()],
        detail: if index % 4 == 2 { "status 502: bad gateway".to_owned() } else { String::new() },
    };
    Logged { instance: "one".to_owned(), number: index as u64, event }
}

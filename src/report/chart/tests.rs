//! Golden drawings, hostile names, and random reports.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use resvg::usvg::roxmltree::{Document, Node};
use time::{Date, Month, Time};

use super::axis::{Label, Room, labels, ticks};
use super::slots::slots;
use super::*;
use crate::quota::duration::Language;
use crate::quota::instant::Instant;
use crate::quota::meter::Counters;
use crate::quota::zone::Zone;
use crate::report::model::{Bucket, By, Direction, Row, Used};

/// A local midnight.
fn day(zone: &Zone, year: i32, month: u8, day: u8) -> Instant {
    let date = Date::from_calendar_date(year, Month::try_from(month).unwrap(), day).unwrap();
    zone.instant(date.with_time(Time::MIDNIGHT))
}

/// The edges of hours, days or months between two instants.
fn buckets(zone: &Zone, from: Instant, to: Instant, by: By) -> Vec<Bucket> {
    let next = |at: Instant| {
        let local = zone.local(at);
        match by {
            By::FiveMinutes => at.plus(Duration::from_secs(300)),
            By::Hour => at.plus(Duration::from_secs(3600)),
            By::Day => zone.instant(local.date().next_day().unwrap().with_time(Time::MIDNIGHT)),
            By::Month => {
                let (year, month) = (local.year(), local.month());
                let year = if month == Month::December { year + 1 } else { year };
                day(zone, year, month.next().into(), 1)
            }
        }
    };
    let starts = std::iter::successors(Some(from), |at| Some(next(*at)));
    starts.take_while(|at| *at < to).map(|from| Bucket { from, to: next(from).min(to) }).collect()
}

/// A number that looks random, the same for the same seed.
fn noise(seed: u64) -> u64 {
    let mut value = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678);
    value ^= value >> 29;
    value = value.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (value ^ (value >> 32)) % 1000
}

/// What a host with some guests used: more at day than at night.
pub(crate) struct Sample {
    language: Language,
    zone: &'static str,
    by: By,
    direction: Direction,
    from: (i32, u8, u8),
    to: (i32, u8, u8),
    made: Option<&'static str>,
    names: &'static [(&'static str, &'static str)],
}

impl Sample {
    pub(crate) fn report(&self) -> Report {
        let zone = Zone::named(self.zone).unwrap();
        let from = day(&zone, self.from.0, self.from.1, self.from.2);
        let to = day(&zone, self.to.0, self.to.1, self.to.2);
        let made = self.made.map_or(to, |text| Instant::parse(text).unwrap());
        let buckets = buckets(&zone, from, to, self.by);
        let rows = self.names.iter().zip(1..).map(|((subject, label), rank)| {
            let cell = |(index, bucket): (usize, &Bucket)| {
                let hour = u64::from(zone.local(bucket.from).hour());
                let share = if self.by == By::Hour { 2 + hour.abs_diff(3).min(12) } else { 240 };
                let tx = share * (300 + noise(index as u64 * 7 + rank)) * 700_000 / rank;
                let used = Used { flow: Counters { tx, rx: tx / 4 }, ..Used::default() };
                (bucket.from < made).then_some(used)
            };
            let cells: Vec<Option<Used>> = buckets.iter().enumerate().map(cell).collect();
            row(subject, label, cells)
        });
        let rows: Vec<Row> = rows.collect();
        report(rows, buckets, zone, (from, to, made), self)
    }
}

fn add(a: Used, b: Used) -> Used {
    Used { flow: a.flow.plus(b.flow), estimated: a.estimated || b.estimated, partial: a.partial || b.partial }
}

fn row(subject: &str, label: &str, cells: Vec<Option<Used>>) -> Row {
    let used = cells.iter().flatten().copied().fold(Used::default(), add);
    let (subject, label) = (subject.to_owned(), label.to_owned());
    Row { host: None, source: "pve".to_owned(), subject, label, part: false, used, cells }
}

fn report(
    rows: Vec<Row>,
    buckets: Vec<Bucket>,
    zone: Zone,
    (from, to, made): (Instant, Instant, Instant),
    sample: &Sample,
) -> Report {
    let cell = |index: usize| rows.iter().filter_map(|row| row.cells[index]).reduce(add);
    let cells = (0..buckets.len()).map(cell).collect();
    let whole = rows.iter().map(|row| row.used).fold(Used::default(), add);
    Report {
        language: sample.language,
        host: "hk-1".to_owned(),
        made,
        zone,
        from,
        to,
        by: sample.by,
        direction: sample.direction,
        buckets,
        rows,
        whole,
        cells,
        quotas: Vec::new(),
        events: Vec::new(),
        hosts: Vec::new(),
        chosen: Vec::new(),
    }
}

pub(crate) const DAY: Sample = Sample {
    language: Language::En,
    zone: "Asia/Shanghai",
    by: By::Hour,
    direction: Direction::Both,
    from: (2026, 11, 21),
    to: (2026, 11, 22),
    made: Some("2026-11-21T19:20:00+08:00"),
    names: &[("eth0", "")],
};

const GUESTS: &[(&str, &str)] = &[
    ("qemu/100", "web-01"),
    ("qemu/101", "database primary"),
    ("lxc/200", "mail"),
    ("qemu/103", "build farm with a very long name that does not fit anywhere"),
    ("qemu/104", ""),
    ("lxc/201", "<script>alert(1)</script>"),
    ("lxc/202", "dns"),
    ("lxc/203", "vpn"),
];

pub(crate) const MONTH: Sample = Sample {
    by: By::Day,
    from: (2026, 11, 1),
    to: (2026, 12, 1),
    made: Some("2026-11-24T10:00:00+08:00"),
    names: GUESTS,
    ..DAY
};

pub(crate) const YEAR: Sample =
    Sample { by: By::Month, from: (2026, 1, 1), to: (2027, 1, 1), made: None, names: GUESTS, ..DAY };

pub(crate) const YEAR_BY_DAY: Sample =
    Sample { by: By::Day, direction: Direction::Out, names: &[("eth0", "")], ..YEAR };

pub(crate) const CHINESE: Sample = Sample {
    language: Language::Zh,
    names: &[("qemu/100", "香港网站"), ("qemu/101", "数据库"), ("lxc/200", "mail")],
    ..MONTH
};

/// A month of which some is not known, and some divided by time.
pub(crate) fn with_marks() -> Report {
    let mut report = MONTH.report();
    report.cells[3] = None;
    report.cells[4] = None;
    report.cells[5].as_mut().unwrap().partial = true;
    report.cells[12].as_mut().unwrap().estimated = true;
    report
}

/// Names that try to be something else.
pub(crate) fn hostile() -> Report {
    const NAMES: &[(&str, &str)] = &[
        ("</text><script>alert(1)</script>", "\" onload=\"alert(1)"),
        ("a&b&amp;<![CDATA[", "]]>'--><!--"),
        ("\u{0}\u{1b}[2J\r\n\u{7}", "\u{202e}gpj.exe"),
        ("\u{fffe}\u{ffff}", "👩‍👩‍👧‍👦🇨🇳"),
        ("&#x3c;script&#62;", "العربية עברית"),
    ];
    let mut report = Sample { names: NAMES, ..MONTH }.report();
    report.rows[3].label = "x".repeat(10_000);
    report.host = "<h1>\u{1}".repeat(1000);
    report
}

/// All looks a report has.
pub(crate) const LOOKS: fn() -> [Look; 4] =
    || [Look::page(), Look::phone(Skin::Light), Look::phone(Skin::Dark), Look::wide(Skin::Light)];

/// The document, read by another's parser.
fn parsed(text: &str) -> Document<'_> {
    Document::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Re-record with `NETQUOTA_RECORD=1 cargo test report::chart`, and look at the pictures.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test reads and records its own files")]
fn charts_are_drawn_as_recorded() {
    let phone = Look::phone(Skin::Light);
    let drawn = [
        ("day", svg(&DAY.report(), phone)),
        ("month-dark", svg(&with_marks(), Look::phone(Skin::Dark))),
        ("month-page", svg(&with_marks(), Look::page())),
        ("year", svg(&YEAR.report(), phone)),
        ("chinese", svg(&CHINESE.report(), phone)),
        ("hostile", svg(&hostile(), phone)),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/golden");
    for (name, text) in drawn {
        // A line for each element, so that a difference can be read.
        let text = text.replace("><", ">\n<") + "\n";
        let file = folder.join(format!("{name}.svg"));
        if std::env::var_os("NETQUOTA_RECORD").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        assert!(std::fs::read_to_string(&file).unwrap_or_default() == text, "{name} is drawn otherwise:\n{text}");
    }
}

#[test]
fn names_are_nothing_but_text() {
    for look in LOOKS() {
        let text = svg(&hostile(), look);
        let document = parsed(&text);
        let known = ["svg", "title", "desc", "style", "defs", "pattern", "rect", "g", "text", "line"];
        for node in document.descendants().filter(Node::is_element) {
            let name = node.tag_name().name();
            assert!(known.contains(&name), "an element {name} came in");
            assert!(node.attributes().all(|attribute| !attribute.name().starts_with("on")));
        }
        assert!(text.len() < 30_000, "the longest name was not cut: {}", text.len());
        assert!(!text.contains(['\u{202e}', '\u{1b}', '\u{0}', '\u{fffe}', '\u{ffff}']));
    }
    let text = svg(&hostile(), Look::phone(Skin::Light));
    let document = parsed(&text);
    let shown: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
    for part in ["</text><script>alert", "a&b&amp;<![CDATA[", "\\u{202e}gpj.exe", "&#x3c;script&#62;"] {
        assert!(shown.iter().any(|text| text.contains(part)), "{part} is not shown: {shown:#?}");
    }
}

#[test]
fn amounts_up_the_side_are_round() {
    let texts = |most| ticks(most).into_iter().map(|tick| tick.text).collect::<Vec<_>>().join(", ");
    for (most, expected) in [
        (0, "0"),
        (1, "0, 1 B"),
        (3, "0, 1 B, 2 B, 3 B"),
        (7, "0, 2 B, 4 B, 6 B, 8 B"),
        (1000, "0, 0.25 kB, 0.5 kB, 0.75 kB, 1 kB"),
        (1001, "0, 0.5 kB, 1 kB, 1.5 kB"),
        (999_999_999, "0, 0.25 GB, 0.5 GB, 0.75 GB, 1 GB"),
        (10_000_000_000_000_000, "0, 2.5 PB, 5 PB, 7.5 PB, 10 PB"),
        (u64::MAX, "0, 5000 PB, 10000 PB, 15000 PB, 20000 PB"),
    ] {
        assert_eq!(texts(most), expected, "{most}");
    }
}

/// The times below the bars of a report, in a room so wide, and what these are in.
fn times(sample: &Sample, width: f64) -> (String, String) {
    let report = sample.report();
    let labels = labels(&report, &slots(&report), Room { width, em: 13.0, right: 12.0 });
    let text = |labels: &[Label]| labels.iter().map(|label| label.text.shown.as_str()).collect::<Vec<_>>().join(" | ");
    (text(&labels.times), text(&labels.within))
}

#[test]
fn times_along_the_bottom_are_as_close_as_there_is_room_for() {
    let week = Sample { from: (2026, 10, 29), to: (2026, 11, 5), made: None, ..DAY };
    let spring = Sample { zone: "Europe/Berlin", from: (2026, 3, 29), to: (2026, 3, 30), made: None, ..DAY };
    let decades = Sample { from: (1990, 1, 1), to: (2031, 1, 1), ..YEAR };
    for (sample, width, expected, within) in [
        (&DAY, 290.0, "00:00 | 06:00 | 12:00 | 18:00", "21 Nov 2026"),
        (&DAY, 580.0, "00:00 | 03:00 | 06:00 | 09:00 | 12:00 | 15:00 | 18:00 | 21:00", "21 Nov 2026"),
        (&MONTH, 290.0, "1 | 6 | 11 | 16 | 21 | 26", "Nov 2026"),
        (&YEAR, 290.0, "Jan | Mar | May | Jul | Sep | Nov", "2026"),
        (&YEAR_BY_DAY, 290.0, "Jan | Mar | May | Jul | Sep | Nov", "2026"),
        (&week, 290.0, "29 | 30 | 31 | 1 | 2 | 3 | 4", "Oct 2026 | Nov 2026"),
        (&spring, 290.0, "00:00 | 06:00 | 12:00 | 18:00", "29 Mar 2026"),
        (&decades, 290.0, "1990 | 2000 | 2010 | 2020 | 2030", ""),
        (&CHINESE, 290.0, "1 | 6 | 11 | 16 | 21 | 26", "2026年11月"),
    ] {
        assert_eq!(times(sample, width), (expected.to_owned(), within.to_owned()));
    }
}

#[test]
fn spans_are_said_as_short_as_can_be() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let at = |text| Instant::parse(text).unwrap();
    for (from, to, english, chinese) in [
        ("2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00", "2026", "2026年"),
        ("2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00", "Mar 2026", "2026年3月"),
        ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", "29 Mar 2026", "2026年3月29日"),
        ("2026-03-02T00:00:00+01:00", "2026-03-05T00:00:00+01:00", "2 Mar – 4 Mar 2026", "2026年3月2日 – 3月4日"),
        (
            "2026-03-02T22:00:00+01:00",
            "2026-03-02T23:00:00+01:00",
            "2 Mar 2026 22:00–23:00",
            "2026年3月2日 22:00–23:00",
        ),
        (
            "2026-03-02T23:00:00+01:00",
            "2026-03-03T00:00:00+01:00",
            "2 Mar 2026 23:00–24:00",
            "2026年3月2日 23:00–24:00",
        ),
    ] {
        let span = Bucket { from: at(from), to: at(to) };
        let said = [Language::En, Language::Zh].map(|language| words::span(span, &zone, language));
        assert_eq!(said, [english, chinese]);
    }
}

#[test]
fn a_chart_says_so_when_there_is_nothing_to_draw() {
    let mut nothing = DAY.report();
    nothing.cells.fill(None);
    let mut idle = DAY.report();
    idle.cells.iter_mut().flatten().for_each(|cell| cell.flow = Counters::default());
    let mut empty = DAY.report();
    (empty.buckets, empty.cells, empty.rows) = (Vec::new(), Vec::new(), Vec::new());
    for (report, words) in [(nothing, "Nothing is known of this time"), (idle, "No traffic"), (empty, "Nothing is")] {
        for look in LOOKS() {
            let text = svg(&report, look);
            assert!(parsed(&text).descendants().any(|node| node.is_text() && node.text().unwrap().contains(words)));
        }
    }
}

#[test]
fn what_flowed_is_seen_however_little_it_was() {
    let mut report = DAY.report();
    report.cells.fill(Some(Used::default()));
    report.cells[0] = Some(Used { flow: Counters { rx: 0, tx: 10_000_000_000_000_000 }, ..Used::default() });
    report.cells[1] = Some(Used { flow: Counters { rx: 0, tx: 1 }, ..Used::default() });
    let text = svg(&report, Look::phone(Skin::Light));
    let heights: Vec<f64> = bars(&parsed(&text), "o").iter().map(|bar| bar[3]).collect();
    assert_eq!(heights, [230.0, 1.0]);
}

/// Left, top, width and height of the blocks of bars of a class.
fn bars(document: &Document<'_>, class: &str) -> Vec<[f64; 4]> {
    let groups = document.descendants().filter(|node| node.attribute("class") == Some("b"));
    let blocks = groups.flat_map(|group| group.children()).filter(|node| node.attribute("class") == Some(class));
    let number = |node: &Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse().unwrap();
    blocks.map(|node| ["x", "y", "width", "height"].map(|name| number(&node, name))).collect()
}

/// How much light a colour gives, as the guidelines for accessible pages (WCAG 2) count it.
fn luminance(colour: &str) -> f64 {
    let part = |index: usize| {
        let value = f64::from(u8::from_str_radix(&colour[index..index + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

#[test]
fn colours_are_told_apart_by_those_who_see_little() {
    let contrast = |a, b| {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    };
    for colours in [draw::LIGHT, draw::DARK] {
        for text in [colours.text, colours.muted] {
            assert!(contrast(text, colours.back) >= 4.5, "{text} on {}", colours.back);
        }
        for bar in [colours.sent, colours.received] {
            assert!(contrast(bar, colours.back) >= 3.0, "{bar} on {}", colours.back);
        }
        assert!(contrast(colours.sent, colours.received) >= 1.2, "also without seeing colours");
    }
}

fn used() -> impl Strategy<Value = Option<Used>> {
    let bytes = || (any::<u64>(), 0u32..64).prop_map(|(bytes, shift)| bytes >> shift);
    let used = (bytes(), bytes(), any::<bool>(), any::<bool>()).prop_map(|(rx, tx, estimated, partial)| Used {
        flow: Counters { rx: rx / 20_000, tx: tx / 20_000 },
        estimated,
        partial,
    });
    proptest::option::weighted(0.9, used)
}

prop_compose! {
    /// A report of any range and any traffic.
    pub(crate) fn reports()(
        by in prop::sample::select(vec![By::FiveMinutes, By::Hour, By::Day, By::Month]),
        direction in prop::sample::select(vec![Direction::Out, Direction::In, Direction::Both]),
        language in prop::sample::select(vec![Language::En, Language::Zh]),
        zone in prop::sample::select(vec!["UTC", "Asia/Shanghai", "Europe/Berlin", "Pacific/Apia", "Asia/Kolkata"]),
        start in (1990i32..2100, 1u8..=12, 1u8..=28),
        count in prop_oneof![1usize..40, 1usize..3000],
        rows in prop::collection::vec((".{0,30}", ".{0,30}", used()), 0..12),
        made in 0.0..1.5f64,
        seed in prop::collection::vec(used(), 50),
    ) -> Report {
        let zone = Zone::named(zone).unwrap();
        let from = day(&zone, start.0, start.1, start.2);
        let days = match by { By::FiveMinutes => 11, By::Hour => 125, By::Day => 3001, By::Month => 93_000 };
        let mut buckets = buckets(&zone, from, from.plus(Duration::from_secs(days * 86_400)), by);
        buckets.truncate(count);
        let to = buckets.last().unwrap().to;
        let made = from.plus(to.since(from).mul_f64(made));
        let cells: Vec<Option<Used>> = buckets.iter().zip(seed.iter().cycle())
            .map(|(bucket, cell)| cell.filter(|_| bucket.from < made)).collect();
        let mut rows: Vec<Row> = rows.into_iter().map(|(subject, label, used)| {
            let mut row = row(&subject, &label, Vec::new());
            row.used = used.unwrap_or_default();
            row
        }).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(direction.of(row.used.flow)));
        let sample = Sample { language, by, direction, ..DAY };
        let mut report = report(Vec::new(), Vec::new(), zone, (from, to, made), &sample);
        report.whole = cells.iter().flatten().copied().fold(Used::default(), add);
        (report.rows, report.buckets, report.cells) = (rows, buckets, cells);
        report
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Default::default() })]

    #[test]
    fn bars_stand_for_all_there_is_and_stay_in_their_field(report in reports()) {
        let slots = slots(&report);
        prop_assert!(slots.len() <= 500);
        prop_assert_eq!(slots.iter().map(|slot| slot.buckets).sum::<usize>(), report.buckets.len());
        let sum = slots.iter().filter_map(|slot| slot.used).fold(Counters::default(), |sum, used| sum.plus(used.flow));
        prop_assert_eq!(sum, report.whole.flow);
        for look in [Look::phone(Skin::Light), Look::wide(Skin::Dark)] {
            let text = svg(&report, look);
            prop_assert!(!text.contains("NaN") && !text.contains("inf\""));
            let document = parsed(&text);
            let groups = document.descendants().filter(|node| node.attribute("class") == Some("b")).count();
            prop_assert_eq!(groups, slots.len());
            let field = bars(&document, "f");
            let (left, right) = (field[0][0], f64::from(look.width) - 24.0);
            for [x, y, width, height] in ["o", "i", "e"].iter().flat_map(|class| bars(&document, class)) {
                prop_assert!(x >= left - 0.01 && x + width <= right + 0.02, "{x} {width}");
                prop_assert!(y >= 181.99 && y + height <= 182.0 + f64::from(look.field) + 0.01, "{y} {height}");
                prop_assert!(width > 0.0 && height > 0.0);
            }
        }
        let page = svg(&report, Look::page());
        prop_assert!(!page.contains("NaN"));
        parsed(&page);
    }

    #[test]
    fn what_fits_is_no_wider_than_its_room(text in ".{0,300}", ems in 1.0..60.0f64) {
        let fitted = fit(&text, ems);
        prop_assert!(xml::width(&fitted) <= ems);
        prop_assert!(fitted == text || fitted.contains(['…', '\\']));
        prop_assert_eq!(fit(&fitted, ems), fitted);
    }
}

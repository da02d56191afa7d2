//! Totals at edges, beside the ledgers that the tiers look at.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::quota::meter::{Figure, Identity, Reading};
use crate::quota::period::Period;
use crate::quota::state::SourceState;

const HOUR: u64 = 3600;
const NIC: &str = "eth0";

fn at(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

fn rule(cycle: Cycle, zone: &str) -> Rule {
    let zone = Zone::named(zone).unwrap();
    Rule { cycle, at: Time::MIDNIGHT, zone, short_month: ShortMonth::LastDay, since_creation: false }
}

/// An interface that is read now and then, and all that its track ever said.
struct Memory {
    source: SourceState,
    rules: Vec<(Rule, String)>,
    now: Instant,
    boot: u32,
    uptime: u64,
    counters: Counters,
    points: BTreeMap<Instant, Point>,
    closed: Vec<(String, Period, Counters)>,
}

impl Memory {
    fn new(rules: &[Rule], now: Instant) -> Self {
        let mut memory = Self {
            source: SourceState::default(),
            rules: rules.iter().map(|rule| (rule.clone(), rule.key())).collect(),
            now,
            boot: 0,
            uptime: 100 * HOUR,
            counters: Counters { rx: 7, tx: 1000 },
            points: BTreeMap::new(),
            closed: Vec::new(),
        };
        memory.read();
        memory
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.uptime += seconds;
    }

    fn reboot(&mut self, uptime: u64) {
        (self.boot, self.uptime, self.counters) = (self.boot + 1, uptime, Counters::default());
    }

    fn read(&mut self) {
        let uptime = Some(Duration::from_secs(self.uptime));
        let identity = Identity { boot: Some(format!("boot-{}", self.boot)), uptime, index: Some(2), epoch: None };
        let figure = Figure::Counter { counters: self.counters, identity, link_speed: None };
        let reading = Reading { subject: NIC.into(), at: self.now, figure };
        let asked: Vec<Asked<'_>> =
            self.rules.iter().map(|(rule, key)| Asked { rule, key, since_boot: false, backfill: false }).collect();
        let before: BTreeMap<String, Period> = self.ledgers().map(|(key, ledger)| (key, ledger.period)).collect();
        self.source.absorb(&[reading], &asked, self.now);
        for (key, ledger) in self.ledgers().collect::<Vec<_>>() {
            if let Some(last) = ledger.last.filter(|last| before.get(&key) == Some(&last.period)) {
                self.closed.push((key, last.period, last.used));
            }
        }
        let track = &mut self.source.subjects.get_mut(NIC).unwrap().track;
        let edges = std::mem::take(&mut track.edges);
        let now = track.now(self.now);
        for point in edges.into_iter().chain([now]) {
            let known = self.points.insert(point.at, point);
            let grain = known.map_or(point.grain, |known| known.grain.max(point.grain));
            self.points.insert(point.at, Point { grain, ..point });
        }
    }

    fn ledgers(&self) -> impl Iterator<Item = (String, Ledger)> + use<> {
        let subject = self.source.subjects.get(NIC);
        let ledgers = subject.map(|subject| subject.ledgers.clone()).unwrap_or_default();
        ledgers.into_iter().map(|(key, ledger)| (key, *ledger))
    }

    /// What flowed between two instants that are both edges.
    fn between(&self, from: Instant, to: Instant) -> Option<(u64, u64)> {
        let (a, b) = (self.points.get(&from)?, self.points.get(&to)?);
        Some(((b.rx - a.rx) as u64, (b.tx - a.tx) as u64))
    }
}

#[test]
fn the_totals_at_edges_are_what_the_time_since_says() {
    let mut memory = Memory::new(&[rule(Cycle::Month { day: 1 }, "UTC")], at("2026-01-10T00:58:00Z"));
    memory.pass(240);
    memory.counters = Counters { rx: 7, tx: 1400 };
    memory.read();
    let edge = memory.points[&at("2026-01-10T01:00:00Z")];
    assert_eq!((edge.grain, edge.rx, edge.tx, edge.spread), (Grain::Hour, 0, 200, 240));
    // Nothing flowed: nothing was divided.
    memory.pass(HOUR);
    memory.read();
    let edge = memory.points[&at("2026-01-10T02:00:00Z")];
    assert_eq!((edge.grain, edge.tx, edge.spread), (Grain::Hour, 400, 0));
}

#[test]
fn after_a_reboot_nothing_flowed_before_the_boot() {
    let mut memory = Memory::new(&[rule(Cycle::Month { day: 1 }, "UTC")], at("2026-01-10T00:30:00Z"));
    memory.pass(3 * HOUR);
    memory.reboot(HOUR);
    memory.counters.tx = 3600;
    memory.read();
    let tx = |time: &str| memory.points[&at(&format!("2026-01-10T{time}:00Z"))].tx;
    assert_eq!([tx("01:00"), tx("02:00"), tx("02:30"), tx("03:00"), tx("03:30")], [0, 0, 0, 1800, 3600]);
}

#[test]
fn a_day_of_another_zone_is_an_edge_of_its_own() {
    let rules = [rule(Cycle::Month { day: 1 }, "UTC"), rule(Cycle::Day, "Asia/Kathmandu")];
    let mut memory = Memory::new(&rules, at("2026-01-10T18:00:00Z"));
    memory.pass(HOUR);
    memory.counters.tx += 3600;
    memory.read();
    let grains: Vec<(String, Grain)> =
        memory.points.values().map(|point| (point.at.to_string(), point.grain)).collect();
    let expected = [("18:00", Grain::Day), ("18:15", Grain::Day), ("19:00", Grain::Hour)];
    assert_eq!(grains, expected.map(|(time, grain)| (format!("2026-01-10T{time}:00Z"), grain)));
}

#[test]
fn a_year_off_is_told_by_few_edges_and_the_totals_in_between_are_those_of_before() {
    let mut memory = Memory::new(&[rule(Cycle::Month { day: 1 }, "UTC")], at("2026-01-10T00:30:00Z"));
    memory.counters.tx += 500;
    memory.pass(60);
    memory.read();
    let before = memory.points.len();
    memory.pass(365 * 24 * HOUR);
    memory.reboot(60);
    memory.counters.tx = 90;
    memory.read();
    assert!(memory.points.len() - before <= 4 * AT_ONCE, "{}", memory.points.len());
    let boot = memory.now.minus(Duration::from_secs(60));
    let knot = memory.points[&boot];
    assert_eq!((knot.grain, knot.tx), (Grain::Day, 500));
    let flat = memory.points.values().filter(|point| point.at > at("2026-01-10T01:00:00Z") && point.at < boot);
    assert!(flat.clone().count() > 0);
    flat.for_each(|point| assert_eq!(point.tx, 500, "{point:?}"));
}

#[test]
fn what_waits_is_bounded_and_keeps_its_ends() {
    let start = at("2026-01-01T00:00:00Z");
    let hour = |n: u64| start.plus(Duration::from_secs(n * HOUR));
    let mut track = Track::default();
    for n in 0..24 * 200 {
        let grain = if n % 24 == 0 { Grain::Day } else { Grain::Hour };
        track.note(Point { at: hour(n), grain, rx: 0, tx: n as i64, spread: 0 });
        track.bound();
        assert!(track.edges.len() <= WAITING, "{}", track.edges.len());
        assert_eq!((track.edges[0].at, track.edges.last().unwrap().at), (hour(0), hour(n)));
        // What is left out lies between two that are kept for at least as long.
        for pair in track.edges.windows(2) {
            let left_out = (pair[0].at.millis() / 3_600_000 + 1)..(pair[1].at.millis() / 3_600_000);
            let days = left_out.clone().any(|n| n % 24 == 0);
            assert!(!days || pair.iter().all(|edge| edge.grain == Grain::Day), "{pair:?}");
        }
    }
}

#[test]
fn totals_beyond_what_stores_keep_stop_there() {
    let track = Track { total: Counters { rx: u64::MAX, tx: 5 }, ..Track::default() };
    let now = track.now(Instant::default());
    assert_eq!((now.rx, now.tx), (i64::MAX, 5));
}

#[derive(Debug, Clone)]
enum Step {
    Flow(u64, u64),
    Pass(u64),
    Reboot(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..1_000_000_007_u64, 0..5_000_u64).prop_map(|(tx, rx)| Step::Flow(tx, rx)),
        4 => prop_oneof![1..400_u64, 1..40_000_u64, 1..4_000_000_u64].prop_map(Step::Pass),
        1 => (0..50_000_u64).prop_map(Step::Reboot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(5), cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// The history of each closed period is what its ledger said, to the byte, and totals never fall.
    #[test]
    fn history_and_ledgers_agree(steps in proptest::collection::vec(step(), 1..40)) {
        let rules = [
            rule(Cycle::Day, "Europe/Berlin"),
            rule(Cycle::Month { day: 15 }, "America/New_York"),
            rule(Cycle::Hour, "Asia/Kolkata"),
        ];
        let start = at("2026-03-28T10:00:00Z");
        let mut memory = Memory::new(&rules, start);
        for step in steps {
            match step {
                Step::Flow(tx, rx) => {
                    memory.counters = memory.counters.plus(Counters { rx, tx });
                    continue;
                }
                Step::Pass(seconds) => memory.pass(seconds),
                Step::Reboot(uptime) => {
                    memory.pass(uptime);
                    memory.reboot(uptime);
                    memory.counters.tx = uptime * 3;
                }
            }
            memory.read();
        }
        for (key, period, used) in &memory.closed {
            if period.start <= start {
                continue;
            }
            let known = memory.between(period.start, period.end.unwrap());
            prop_assert_eq!(known, Some((used.rx, used.tx)), "{} {:?}", key, period);
        }
        for (key, ledger) in memory.ledgers().filter(|(_, ledger)| ledger.period.start > start) {
            let used = memory.between(ledger.period.start, memory.now);
            prop_assert_eq!(used, Some((ledger.used.rx, ledger.used.tx)), "{} {:?}", key, ledger.period);
        }
        let points: Vec<&Point> = memory.points.values().collect();
        for pair in points.windows(2) {
            prop_assert!(pair[0].rx <= pair[1].rx && pair[0].tx <= pair[1].tx, "{:?}", pair);
        }
    }
}

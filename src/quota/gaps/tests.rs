//! A guest's figures one after the other, and what the records make of them.

use std::collections::BTreeSet;

use time::Time;

use super::*;
use crate::quota::meter::{Calibration, Count, Nic, Split};
use crate::quota::period::{Cycle, Rule, ShortMonth};
use crate::quota::records::Span;
use crate::quota::zone::Zone;

const GUEST: &str = "qemu/100";
const DAY: i64 = 86_400;

/// Seconds since a midnight.
pub fn at(seconds: i64) -> Instant {
    Instant::from_millis(1_768_003_200_000 + seconds * 1000)
}

pub fn rule(cycle: Cycle) -> Rule {
    Rule { cycle, at: Time::MIDNIGHT, zone: Zone::utc(), short_month: ShortMonth::LastDay, since_creation: false }
}

fn both(rx: u64, tx: u64) -> Counters {
    Counters { rx, tx }
}

/// A figure of a guest that is on unless it is up for nothing.
pub fn figure(counters: (u64, u64), uptime: u64) -> GuestFigure {
    let guest = Guest { name: "web".into(), node: "pve1".into(), on: uptime > 0, ..Guest::default() };
    let (rx, tx) = counters;
    GuestFigure {
        counters: both(rx, tx),
        uptime: Duration::from_secs(uptime),
        guest,
        nic: None,
        lag: Some(Duration::ZERO),
    }
}

fn series(seconds: i64, counters: (u64, u64), uptime: u64) -> Series {
    figure(counters, uptime).series(at(seconds))
}

pub fn reading(subject: &str, figure: GuestFigure, now: Instant) -> Reading {
    Reading { subject: subject.to_owned(), at: now, figure: Figure::Guest(figure) }
}

/// Spans of seconds, with bytes per second in and out; recorded until the end of the last.
fn records(spans: &[(i64, i64, f64, f64)]) -> Records {
    let span = |&(from, to, rx, tx): &_| Span { from: at(from), to: at(to), rx, tx };
    Records { spans: spans.iter().map(span).collect(), until: spans.last().map(|span| at(span.1)) }
}

fn gap(from: i64, to: i64) -> Gap {
    Gap { from: at(from), to: at(to), found: at(0), whole: false, rule: None }
}

/// Whenever it was found.
fn whenever(gap: Option<Gap>) -> Option<Gap> {
    gap.map(|gap| Gap { found: at(0), ..gap })
}

/// What is remembered of a cluster that one quota looks at.
struct Memory {
    source: SourceState,
    rule: Rule,
    key: String,
    backfill: bool,
}

impl Memory {
    fn of(cycle: Cycle) -> Self {
        let rule = rule(cycle);
        Self { source: SourceState::default(), key: rule.key(), rule, backfill: false }
    }

    fn days() -> Self {
        Self::of(Cycle::Day)
    }

    fn absorb(&mut self, readings: &[Reading], seconds: i64) {
        let Self { source, rule, key, backfill } = self;
        let asked = [Asked { rule, key, since_boot: false, backfill: *backfill }];
        assert_eq!(source.absorb(readings, &asked, at(seconds)), []);
    }

    fn read(&mut self, seconds: i64, figure: GuestFigure) {
        self.absorb(&[reading(GUEST, figure, at(seconds))], seconds);
    }

    /// Of a guest that is up for so long.
    fn up(&mut self, seconds: i64, counters: (u64, u64), uptime: u64) {
        self.read(seconds, figure(counters, uptime));
    }

    fn list(&mut self, readings: Readings, seconds: i64) {
        self.absorb(&readings.readings, seconds);
        let Self { source, rule, key, .. } = self;
        let asked = [Asked { rule, key, since_boot: false, backfill: false }];
        source.follow_listing(&readings, &asked, at(seconds));
    }

    fn fill(&mut self, records: &Records, seconds: i64) {
        self.subject(GUEST).fill(records, at(seconds));
    }

    fn needs(&mut self, seconds: i64) -> Vec<Need> {
        let Self { source, rule, key, backfill } = self;
        source.needs(&[Asked { rule, key, since_boot: false, backfill: *backfill }], at(seconds))
    }

    /// When the guest was made is asked for; whether it is another one.
    fn found_out(&mut self, created: i64, seconds: i64) -> bool {
        let is_another = self.subject(GUEST).take_creation(Some(at(created)), at(seconds));
        if is_another {
            let Self { source, rule, key, backfill } = self;
            let asked = [Asked { rule, key, since_boot: false, backfill: *backfill }];
            source.become_another(GUEST, &asked, at(seconds));
        }
        is_another
    }

    fn subject(&mut self, name: &str) -> &mut Subject {
        self.source.subjects.get_mut(name).unwrap()
    }

    fn ledger_of(&self, name: &str) -> &Ledger {
        &self.source.subjects[name].ledgers[&self.key]
    }

    fn ledger(&self) -> &Ledger {
        self.ledger_of(GUEST)
    }

    fn used(&self) -> (u64, u64) {
        (self.ledger().used.rx, self.ledger().used.tx)
    }

    /// What the period before used, and what fell between it and this one.
    fn closed(&self) -> ((u64, u64), (u64, u64)) {
        let closed = self.ledger().last.as_ref().unwrap();
        ((closed.used.rx, closed.used.tx), (closed.between.rx, closed.between.tx))
    }

    fn gaps(&self) -> Vec<Gap> {
        self.source.subjects[GUEST].gaps.iter().cloned().map(|gap| Gap { found: at(0), ..gap }).collect()
    }
}

#[test]
fn a_restart_is_seen_by_the_uptime() {
    // Uptime then, seconds passed, uptime now.
    for (then, passed, now, restarted) in [
        (1000, 60, 1060, false),
        (1000, 60, 1048, false),
        (1000, 60, 50, true),
        (1000, 60, 0, true),
        // Off then and off now.
        (0, 60, 0, false),
        (0, 86_400, 0, false),
        (0, 60, 40, false),
        (0, 600, 40, true),
        // It is up for longer than then, and still not for as long as it would be.
        (60, 3600, 3000, true),
        (60, 3600, 3631, false),
        // An older figure from another node.
        (5000, 5, 4995, false),
        (5000, 60, 4971, false),
        // The clock was set forward: a guest that is up for longer than the time that passed was not started in it.
        (90_000, 40_000, 90_060, false),
        // It was set back.
        (5000, 0, 8000, false),
    ] {
        let last = series(0, (1, 1), then);
        assert_eq!(figure((1, 1), now).restarted(&last, at(passed)), restarted, "{then} {passed} {now}");
    }
}

#[test]
fn what_flowed_since_a_restart_is_what_the_counters_say() {
    let last = series(0, (500, 900), 1000);
    let delta = figure((70, 20), 50).since(&last, at(600));
    assert_eq!((delta.flow, delta.from, delta.to), (both(70, 20), at(550), at(600)));
    assert_eq!(delta.gap.as_ref().map(|gap| gap.found), Some(at(600)));
    assert_eq!((whenever(delta.gap), delta.fell, delta.recorded), (Some(gap(0, 550)), false, true));
    // A restart that hides behind larger counters.
    let delta = figure((9000, 9000), 400).since(&last, at(600));
    assert_eq!((delta.flow, whenever(delta.gap)), (both(9000, 9000), Some(gap(0, 200))));
    // Its uptime says that it was started before the last figure was taken: figures lag behind.
    let delta = figure((7, 7), 610).since(&series(0, (500, 900), 1000), at(600));
    assert_eq!((delta.flow, delta.from, delta.gap), (both(7, 7), at(0), None));
    // Off now: the rest of it is in the records.
    let delta = figure((0, 0), 0).since(&last, at(600));
    assert_eq!((delta.flow, delta.from, whenever(delta.gap)), (both(0, 0), at(600), Some(gap(0, 600))));
    // Off then: only what was recorded wholly in between can be its own.
    let delta = figure((7, 7), 100).since(&series(0, (0, 0), 0), at(600));
    assert_eq!((delta.flow, whenever(delta.gap)), (both(7, 7), Some(Gap { whole: true, ..gap(0, 500) })));
}

#[test]
fn what_a_new_nic_takes_away_is_in_the_records_alone() {
    let last = series(0, (500, 900), 1000);
    for counters in [(400, 950), (600, 100), (0, 0)] {
        let delta = figure(counters, 1600).since(&last, at(600));
        assert_eq!(
            (delta.flow, whenever(delta.gap), delta.fell),
            (both(0, 0), Some(gap(0, 600)), false),
            "{counters:?}"
        );
    }
    let mut nic = figure((400, 950), 1600);
    nic.nic = Some(Nic { name: "net0".into(), bridge: None });
    let delta = nic.since(&last, at(600));
    assert_eq!((delta.flow, delta.gap, delta.recorded), (both(400, 50), None, false), "NICs have no records");
}

#[test]
fn more_than_any_link_carries_is_flagged() {
    let most = 12_500_000_000 * 60;
    let last = series(0, (0, 0), 1000);
    assert!(!figure((most, 0), 1060).since(&last, at(60)).flagged);
    assert!(figure((most + 1, 0), 1060).since(&last, at(60)).flagged);
    // By its own clock, whatever this machine's says.
    assert!(!figure((most, 0), 1060).since(&last, at(5)).flagged);
    assert!(figure((0, most), 50).since(&last, at(600)).flagged, "since the restart");
}

#[test]
fn repeated_and_older_figures_say_nothing() {
    let mut memory = Memory::days();
    memory.up(0, (10, 10), 5000);
    memory.up(60, (30, 20), 5060);
    assert_eq!(memory.used(), (20, 10));
    memory.up(120, (30, 20), 5060);
    let subject = memory.subject(GUEST);
    assert_eq!((subject.fresh, subject.silent, subject.series.as_ref().unwrap().at), (false, true, at(60)));
    memory.up(125, (25, 15), 5050);
    assert_eq!((memory.used(), memory.gaps()), ((20, 10), vec![]));
    memory.up(180, (100, 100), 5180);
    let subject = memory.subject(GUEST);
    assert_eq!((subject.fresh, subject.silent), (true, false));
    assert_eq!((memory.used(), memory.gaps()), ((90, 90), vec![]));
    // Another node is a few seconds behind: that is no silence.
    memory.up(190, (90, 90), 5175);
    assert_eq!((memory.used(), memory.subject(GUEST).silent), ((90, 90), false));
}

#[test]
fn one_that_is_off_is_not_late() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 0);
    memory.up(20, (0, 0), 0);
    let subject = memory.subject(GUEST);
    assert_eq!((subject.fresh, subject.silent, subject.gaps.len()), (true, false, 0));
}

#[test]
fn a_gap_fills_the_period_that_runs_and_the_one_that_has_ended() {
    let mut memory = Memory::days();
    memory.up(DAY - 7200, (0, 0), 1000);
    memory.up(DAY - 3600, (100, 100), 4600);
    // Started anew half an hour after midnight.
    memory.up(DAY + 3600, (7, 8), 1800);
    assert_eq!((memory.used(), memory.closed()), ((7, 8), ((100, 100), (0, 0))));
    assert_eq!(memory.gaps(), [gap(DAY - 3600, DAY + 1800)]);
    let recorded =
        records(&[(DAY - 5400, DAY, 1.0, 2.0), (DAY, DAY + 1800, 10.0, 0.5), (DAY + 1800, DAY + 3600, 9.0, 9.0)]);
    memory.fill(&recorded, DAY + 3600);
    assert_eq!((memory.used(), memory.closed().0), ((7 + 18_000, 8 + 900), (3700, 7300)));
    assert!(memory.ledger().by_records && memory.ledger().estimated());
    assert!(memory.ledger().last.as_ref().unwrap().estimated);
    assert_eq!(memory.ledger().unsure, both(0, 0), "it was recorded: actions may be based on it");
    assert_eq!(memory.gaps(), []);
    memory.fill(&recorded, DAY + 3660);
    assert_eq!(memory.used(), (7 + 18_000, 8 + 900), "only once");
}

#[test]
fn what_is_not_recorded_yet_stays_a_gap() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.up(600, (0, 0), 0);
    memory.fill(&records(&[(0, 540, 1.0, 0.0)]), 600);
    assert_eq!((memory.used(), memory.gaps()), ((540, 0), vec![gap(540, 600)]));
    memory.fill(&records(&[(0, 540, 1.0, 0.0), (540, 600, 2.0, 0.0)]), 660);
    assert_eq!((memory.used(), memory.gaps()), ((660, 0), vec![]));
    // What has not come long after does not come.
    memory.up(1200, (0, 0), 1000);
    memory.up(1800, (0, 0), 0);
    memory.fill(&records(&[(1200, 1740, 1.0, 0.0)]), 1800 + 900);
    assert_eq!(memory.gaps(), []);
    // Nothing is recorded of a guest that is too new: no use in waiting.
    memory.up(2400, (0, 0), 1000);
    memory.up(3000, (0, 0), 0);
    memory.fill(&Records::default(), 3000);
    assert_eq!(memory.gaps(), []);
}

#[test]
fn a_gap_in_which_nothing_flowed_makes_nothing_estimated() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.up(600, (0, 0), 0);
    memory.fill(&records(&[(0, 600, 0.0, 0.0)]), 660);
    assert_eq!((memory.gaps(), memory.ledger().estimated()), (vec![], false));
}

#[test]
fn of_the_time_of_a_guest_that_was_off_only_whole_spans_count() {
    let mut memory = Memory::days();
    memory.up(90, (0, 0), 0);
    memory.up(690, (5, 5), 150);
    let rows: Vec<(i64, i64, f64, f64)> = (1..12).map(|row| (row * 60, row * 60 + 60, 1.0, 0.0)).collect();
    assert_eq!(memory.gaps(), [Gap { whole: true, ..gap(90, 540) }]);
    memory.fill(&records(&rows), 690);
    assert_eq!(memory.used(), (5 + 420, 5), "from 120 to 540");
}

/// A delta of 1000 in and 3000 out, from half an hour before midnight to half an hour after it.
fn over_midnight() -> Memory {
    let mut memory = Memory::days();
    memory.up(DAY - 3600, (0, 0), 1000);
    memory.up(DAY - 1800, (10, 20), 2800);
    memory.up(DAY + 1800, (1010, 3020), 6400);
    assert_eq!((memory.used(), memory.closed()), ((500, 1500), ((510, 1520), (0, 0))));
    assert_eq!(memory.ledger().unsure, both(500, 1500));
    memory
}

#[test]
fn records_divide_what_flowed_over_midnight() {
    let mut memory = over_midnight();
    let need = &memory.needs(DAY + 1800)[0];
    assert_eq!((need.records, need.creation), (Some(at(DAY - 1800)), false));
    // A quarter of what came in came before, three quarters of what went out.
    memory.fill(&records(&[(DAY - 1800, DAY, 1.0, 30.0), (DAY, DAY + 1800, 3.0, 10.0)]), DAY + 1800);
    assert_eq!((memory.used(), memory.closed()), ((750, 750), ((260, 2270), (0, 0))));
    let ledger = memory.ledger();
    assert_eq!((ledger.unsure, ledger.by_records, ledger.split.is_some()), (both(0, 0), true, false));
    assert_eq!(memory.needs(DAY + 1860), []);
}

#[test]
fn a_direction_without_records_stays_divided_by_time() {
    let mut memory = over_midnight();
    memory.fill(&records(&[(DAY - 1800, DAY, 1.0, 0.0), (DAY, DAY + 1800, 3.0, 0.0)]), DAY + 1800);
    assert_eq!((memory.used(), memory.closed()), ((750, 1500), ((260, 1520), (0, 0))));
    let mut memory = over_midnight();
    let nothing = Records { spans: Vec::new(), until: Some(at(DAY + 1800)) };
    memory.fill(&nothing, DAY + 1800);
    assert_eq!((memory.used(), memory.closed()), ((500, 1500), ((510, 1520), (0, 0))));
    assert_eq!((memory.ledger().unsure, memory.ledger().by_records), (both(500, 1500), false));
}

#[test]
fn a_division_waits_until_the_records_have_reached_the_period() {
    let mut memory = over_midnight();
    let early = records(&[(DAY - 1800, DAY - 60, 0.25, 0.5)]);
    memory.fill(&early, DAY + 1800);
    assert_eq!((memory.used(), memory.needs(DAY + 1800).len()), ((500, 1500), 1));
    // As far as they go: 200 and 200 of what came in, 900 and 1500 of what went out. The rest is that of the quarter of
    // an hour that is not recorded yet.
    let half = records(&[(DAY - 1800, DAY, 1.0 / 9.0, 0.5), (DAY, DAY + 900, 2.0 / 9.0, 15.0 / 9.0)]);
    memory.fill(&half, DAY + 1860);
    assert_eq!((memory.used(), memory.closed().0, memory.ledger().unsure), ((800, 2100), (210, 920), both(600, 600)));
    // More was recorded than counted: only the shares are believed.
    let mut memory = over_midnight();
    memory.fill(&records(&[(DAY - 1800, DAY, 1.0, 30.0), (DAY, DAY + 900, 2.0, 10.0)]), DAY + 1860);
    assert_eq!((memory.used(), memory.ledger().unsure), ((500, 429), both(0, 0)));
    // Records that never come leave it divided by time but for what is known, and are not asked for for ever.
    let mut memory = over_midnight();
    memory.fill(&early, DAY + 1800 + 901);
    assert_eq!((memory.used(), memory.closed().0), ((547, 2062), (463, 958)));
    assert_eq!(memory.ledger().unsure, both(546, 2061));
    assert_eq!(memory.needs(DAY + 3600), []);
}

#[test]
fn a_delta_over_several_days_leaves_those_in_between_to_neither() {
    let mut memory = Memory::days();
    memory.up(DAY - 7200, (0, 0), 1000);
    memory.up(DAY - 3600, (0, 0), 4600);
    memory.up(4 * DAY, (7600, 0), 4600 + 3600 + 3 * 86_400);
    let sum = |memory: &Memory| memory.used().0 + memory.closed().0.0 + memory.closed().1.0;
    assert_eq!((sum(&memory), memory.used().0), (7600, 0));
    memory.fill(
        &records(&[(DAY - 3600, DAY, 1.0, 0.0), (DAY, DAY + 4000, 1.0, 0.0), (DAY + 4000, 4 * DAY, 0.0, 0.0)]),
        4 * DAY,
    );
    assert_eq!((memory.closed(), memory.used()), (((3600, 0), (4000, 0)), (0, 0)));
    memory.up(4 * DAY + 3600, (7600, 0), 8200 + 3600 + 3 * 86_400);
    assert_eq!(sum(&memory), 7600);
}

#[test]
fn a_division_is_over_once_the_next_period_begins() {
    let mut memory = Memory::of(Cycle::Hour);
    memory.up(3000, (0, 0), 5000);
    memory.up(4200, (1200, 0), 6200);
    memory.up(7500, (1200, 0), 9500);
    memory.fill(&records(&[(3000, 3600, 2.0, 0.0), (3600, 7500, 0.0, 0.0)]), 7500);
    assert_eq!(memory.used().0, 0);
}

#[test]
fn the_time_before_the_first_sight_is_in_the_records() {
    let mut memory = Memory { backfill: true, ..Memory::days() };
    memory.up(3600, (500, 500), 100_000);
    let before = Gap { rule: Some(memory.key.clone()), ..gap(0, 3600) };
    assert_eq!((memory.used(), memory.gaps()), ((0, 0), vec![before.clone()]));
    // The last minute is recorded in the next one.
    memory.fill(&records(&[(-600, 3540, 1.0, 2.0)]), 3600);
    assert_eq!((memory.used(), memory.ledger().since), ((3540, 7080), at(0)));
    assert_eq!(memory.gaps(), [Gap { from: at(3540), ..before }]);
    memory.up(3660, (560, 560), 100_060);
    memory.fill(&records(&[(-600, 3540, 1.0, 2.0), (3540, 3600, 5.0, 5.0), (3600, 3660, 1.0, 1.0)]), 3660);
    assert_eq!((memory.used(), memory.gaps()), ((3540 + 300 + 60, 7080 + 300 + 60), vec![]));
}

#[test]
fn one_that_was_started_in_the_period_is_counted_since_then() {
    let mut memory = Memory { backfill: true, ..Memory::days() };
    memory.up(3600, (500, 500), 600);
    assert_eq!((memory.used(), memory.gaps().len(), memory.ledger().since), ((500, 500), 1, at(3000)));
    memory.fill(&records(&[(0, 3000, 1.0, 0.0), (3000, 3600, 9.0, 9.0)]), 3600);
    assert_eq!((memory.used(), memory.ledger().since), ((3500, 500), at(0)));
    let mut memory = Memory { backfill: true, ..Memory::of(Cycle::Never) };
    memory.up(3600, (500, 500), 600);
    assert_eq!((memory.used(), memory.gaps()), ((500, 500), vec![]), "all time is too much to ask for");
}

#[test]
fn a_gap_of_one_rule_fills_no_other() {
    let mut memory = Memory { backfill: true, ..Memory::days() };
    memory.up(3600, (500, 500), 100_000);
    let hour = rule(Cycle::Hour);
    let key = hour.key();
    let asked = [
        Asked { rule: &memory.rule, key: &memory.key, since_boot: false, backfill: true },
        Asked { rule: &hour, key: &key, since_boot: false, backfill: false },
    ];
    memory.source.absorb(&[reading(GUEST, figure((500, 500), 100_600), at(4200))], &asked, at(4200));
    memory.fill(&records(&[(0, 4200, 1.0, 1.0)]), 4200);
    assert_eq!((memory.used(), memory.source.subjects[GUEST].ledgers[&key].used), ((3600, 3600), both(0, 0)));
}

fn named(name: &str, counters: (u64, u64), uptime: u64) -> GuestFigure {
    let figure = figure(counters, uptime);
    GuestFigure { guest: Guest { name: name.into(), ..figure.guest }, ..figure }
}

#[test]
fn another_guest_under_the_same_number_begins_anew() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.up(600, (5000, 5000), 1600);
    memory.read(1200, named("db", (70, 80), 100));
    let need = &memory.needs(1200)[0];
    assert_eq!((need.creation, need.records, memory.used()), (true, Some(at(600)), (5070, 5080)));
    // Only renamed and restarted: it was made before.
    let mut same = memory.source.subjects[GUEST].clone();
    assert!(!same.take_creation(Some(at(-9000)), at(1200)));
    assert_eq!((same.ledgers[&memory.key].used, same.gaps.len(), same.doubted_guest), (both(5070, 5080), 1, None));
    memory.subject(GUEST).lifted.insert("q".into(), at(0));
    assert!(memory.found_out(900, 1200));
    assert_eq!((memory.used(), memory.gaps(), memory.ledger().since), ((70, 80), vec![], at(1100)));
    assert_eq!((memory.subject(GUEST).created(), memory.subject(GUEST).lifted.len()), (Some(at(900)), 0));
    assert_eq!(memory.needs(1260), []);
}

#[test]
fn another_guest_that_is_found_out_in_the_next_period_has_only_its_own() {
    let mut memory = Memory::days();
    memory.up(DAY - 1200, (0, 0), 1000);
    memory.up(DAY - 600, (5000, 5000), 1600);
    memory.read(DAY - 60, named("db", (70, 80), 300));
    memory.read(DAY + 60, named("db", (90, 100), 420));
    memory.read(DAY + 120, named("db", (95, 105), 480));
    assert_eq!(memory.used(), (15, 15));
    assert!(memory.found_out(DAY - 400, DAY + 120));
    assert_eq!(memory.used(), (23, 26), "a quarter of what it used in all, not what it used before midnight");
    assert_eq!(memory.ledger().unsure, both(23, 26), "that is by time");
    assert_eq!((memory.ledger().since, memory.ledger().last.is_none()), (at(DAY), true));
}

#[test]
fn a_new_name_without_a_restart_is_no_other_guest() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.read(600, named("db", (70, 80), 1600));
    assert_eq!((memory.used(), memory.needs(600)), ((70, 80), vec![]));
    // Nor is a restart under the old one.
    memory.read(1200, named("db", (7, 8), 100));
    assert_eq!((memory.used(), memory.needs(1200)[0].creation), ((77, 88), false));
}

#[test]
fn one_that_was_gone_and_has_another_name_is_another() {
    let listed = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.up(600, (5000, 5000), 1600);
    memory.list(Readings { listed: listed(&["qemu/7"]), ..Readings::default() }, 1200);
    assert_eq!(memory.subject(GUEST).gone, Some(at(1200)));
    memory.list(Readings { listed: listed(&["qemu/7"]), ..Readings::default() }, 1800);
    assert_eq!(memory.subject(GUEST).gone, Some(at(1200)), "since then");
    memory.read(2400, named("db", (70, 80), 100));
    assert_eq!((memory.used(), memory.subject(GUEST).gone), ((5070, 5080), None));
    // It is asked when it was made: until then nothing is done on what is counted.
    assert_eq!((memory.needs(2400)[0].creation, memory.subject(GUEST).fresh), (true, false));
    memory.read(2460, named("db", (75, 85), 160));
    assert_eq!((memory.needs(2460)[0].creation, memory.subject(GUEST).fresh), (true, false));
    assert!(memory.found_out(2290, 2460));
    assert_eq!((memory.used(), memory.subject(GUEST).fresh), ((75, 85), true));
    assert_eq!(memory.gaps(), [], "its predecessor's records are none of its own");
    assert_eq!(memory.ledger().since, at(2300));
    // The same one again, also when it was renamed meanwhile.
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.up(600, (5000, 5000), 1600);
    memory.list(Readings { listed: listed(&["qemu/7"]), ..Readings::default() }, 1200);
    memory.read(2400, named("db", (70, 80), 100));
    assert!(!memory.found_out(-600, 2400));
    assert_eq!((memory.used(), memory.gaps(), memory.subject(GUEST).fresh), ((5070, 5080), vec![gap(600, 2300)], true));
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.up(600, (5000, 5000), 1600);
    memory.list(Readings { listed: listed(&["qemu/7"]), ..Readings::default() }, 1200);
    memory.up(2400, (70, 80), 100);
    assert_eq!((memory.used(), memory.gaps()), ((5070, 5080), vec![gap(600, 2300)]));
}

#[test]
fn who_is_listed_without_a_figure_is_silent_and_not_gone() {
    let readings = |names: &[&str], read: Vec<Reading>| {
        let listed = Some(names.iter().map(|name| (*name).to_owned()).collect());
        Readings { listed, readings: read, ..Readings::default() }
    };
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.list(readings(&[GUEST], vec![]), 60);
    assert_eq!((memory.subject(GUEST).silent, memory.subject(GUEST).gone), (true, None));
    memory.list(readings(&[GUEST], vec![reading(GUEST, figure((5, 5), 1120), at(120))]), 120);
    assert_eq!((memory.subject(GUEST).silent, memory.used()), (false, (5, 5)));
    // A row of nobody knows whom may be its own.
    let partial = Readings { partial: true, ..readings(&[], vec![]) };
    memory.list(partial, 180);
    assert_eq!((memory.subject(GUEST).silent, memory.subject(GUEST).gone), (true, None));
    memory.list(readings(&[], vec![]), 240);
    assert_eq!(memory.subject(GUEST).gone, Some(at(240)));
    memory.list(readings(&[GUEST], vec![]), 300);
    assert_eq!(memory.subject(GUEST).gone, None);
    // A source that does not list says nothing of who is gone.
    memory.list(Readings::default(), 360);
    assert_eq!(memory.subject(GUEST).gone, None);
}

/// The guest, and NICs of it with their bytes in and out.
fn with_nics(seconds: i64, uptime: u64, nics: &[(&str, u64)]) -> Readings {
    let mut readings = vec![reading(GUEST, figure((0, 0), uptime), at(seconds))];
    for (name, bytes) in nics {
        let mut figure = figure((*bytes, *bytes), uptime);
        figure.nic = Some(Nic { name: (*name).to_owned(), bridge: None });
        readings.push(reading(&format!("{GUEST} {name}"), figure, at(seconds)));
    }
    let guests = || BTreeSet::from([GUEST.to_owned()]);
    Readings { readings, listed: Some(guests()), nics_of: guests(), ..Readings::default() }
}

#[test]
fn a_nic_that_is_new_counts_from_zero() {
    let mut memory = Memory::days();
    memory.list(with_nics(0, 1000, &[("net0", 500)]), 0);
    memory.list(with_nics(600, 1600, &[("net0", 510), ("net1", 70)]), 600);
    let used = |memory: &Memory, nic: &str| memory.ledger_of(&format!("{GUEST} {nic}")).used.rx;
    assert_eq!((used(&memory, "net0"), used(&memory, "net1")), (10, 70));
    // Plugged in anew under the same name.
    memory.list(with_nics(1200, 2200, &[("net0", 3), ("net1", 80)]), 1200);
    assert_eq!((used(&memory, "net0"), used(&memory, "net1")), (13, 80));
    assert!(memory.source.subjects.values().all(|subject| subject.gaps.is_empty()));
    assert_eq!(memory.needs(1200), []);
}

#[test]
fn a_nic_that_is_gone_or_whose_guest_is_off_counts_from_zero_when_it_is_back() {
    let used = |memory: &Memory, nic: &str| memory.ledger_of(&format!("{GUEST} {nic}")).used.rx;
    let mut memory = Memory::days();
    memory.list(with_nics(0, 1000, &[("net0", 500), ("net1", 500)]), 0);
    memory.list(with_nics(600, 1600, &[("net0", 510)]), 600);
    memory.list(with_nics(1200, 2200, &[("net0", 510), ("net1", 600)]), 1200);
    assert_eq!((used(&memory, "net0"), used(&memory, "net1")), (10, 600));
    memory.list(with_nics(1800, 0, &[]), 1800);
    memory.list(with_nics(2400, 300, &[("net0", 700), ("net1", 1)]), 2400);
    assert_eq!((used(&memory, "net0"), used(&memory, "net1")), (710, 601));
    // NICs that nobody has looked at are where they were.
    memory.list(Readings { nics_of: BTreeSet::new(), ..with_nics(3000, 900, &[]) }, 3000);
    memory.list(with_nics(3600, 1500, &[("net0", 705), ("net1", 1)]), 3600);
    assert_eq!((used(&memory, "net0"), used(&memory, "net1")), (715, 601));
}

/// So many guests, read once; then again after the clock said `passed` and they `grown` seconds more.
fn after_a_step(guests: &[(u64, u64)], passed: i64, step: u64) -> Vec<Instant> {
    let mut memory = Memory::days();
    let name = |index: usize| format!("qemu/{index}");
    let of = |seconds: i64, uptime: &dyn Fn(&(u64, u64)) -> u64| -> Vec<Reading> {
        let reading = |(index, guest)| reading(&name(index), figure((1, 1), uptime(guest)), at(seconds));
        guests.iter().enumerate().map(reading).collect()
    };
    memory.absorb(&of(0, &|guest| guest.0), 0);
    let later = of(passed, &|guest| guest.1);
    memory.source.stepped = step;
    memory.source.follow_step(&later, at(passed));
    assert_eq!(memory.source.stepped, 0, "only once");
    memory.source.subjects.values().map(|subject| subject.series.as_ref().unwrap().at).collect()
}

#[test]
fn a_clock_that_was_set_forward_restarts_nobody() {
    // Six minutes passed, and the clock was set forward by an hour.
    assert_eq!(after_a_step(&[(600, 960), (50, 410)], 3960, 3600), [at(3600), at(3600)]);
    // Most agree; one was really started anew.
    assert_eq!(after_a_step(&[(600, 960), (50, 410), (900, 60)], 3960, 3600), [at(3600); 3]);
    // The guests have gone on as the clock did: it is this machine that slept.
    assert_eq!(after_a_step(&[(600, 4560), (50, 4010)], 3960, 3600), [at(0), at(0)]);
    // Nobody says anything.
    assert_eq!(after_a_step(&[(600, 10)], 3960, 3600), [at(0)]);
    // What the clock of a machine loses and is given back.
    assert_eq!(after_a_step(&[(600, 960)], 390, 30), [at(0)]);
}

#[test]
fn one_that_stays_off_is_asked_nothing() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 0);
    for seconds in [60, 3600, 40_000, DAY + 60, 4 * DAY] {
        memory.up(seconds, (0, 0), 0);
        assert_eq!((memory.gaps(), memory.needs(seconds)), (vec![], vec![]), "{seconds}");
        assert!(memory.subject(GUEST).fresh);
    }
    memory.up(4 * DAY + 600, (7, 8), 60);
    assert_eq!((memory.used(), memory.gaps()), ((7, 8), vec![Gap { whole: true, ..gap(4 * DAY, 4 * DAY + 540) }]));
}

#[test]
fn a_node_that_was_silent_over_the_edge_of_a_month_fills_none_by_guessing() {
    const TB: u64 = 1_000_000_000_000;
    // 1 February, when the node is back after two days.
    let february = 22 * DAY;
    let (gone, back) = (20 * DAY, february + 480);
    let silent = || {
        let mut memory = Memory::of(Cycle::Month { day: 1 });
        memory.up(gone - 600, (0, 0), 100_000);
        memory.up(gone, (0, 0), 100_600);
        memory.up(back, (0, TB), 100_600 + (back - gone) as u64);
        assert_eq!(memory.ledger().period.start, at(february));
        memory
    };
    let certain = |memory: &Memory| memory.ledger().certain(Count::Out);
    // Nothing was recorded until it was back.
    let mut memory = silent();
    memory.fill(&records(&[(back, back + 120, 0.0, 1e6)]), back + 120);
    let (used, old) = (memory.used().1, memory.closed().0.1);
    assert_eq!(used + old, TB);
    assert!(used < TB / 300 && certain(&memory) <= 1, "{used} {}", certain(&memory));
    // What was recorded on the new side counts, and no more than that.
    let mut memory = silent();
    memory.fill(&records(&[(february + 420, back, 0.0, 1e6), (back, back + 120, 0.0, 1e6)]), back + 120);
    assert_eq!(memory.used().1 + memory.closed().0.1, TB);
    assert!((60_000_000..=60_000_001).contains(&certain(&memory)), "{}", certain(&memory));
    assert!(memory.used().1 < TB / 300);
    // All of the new side was recorded: the rest is of the old one, for certain.
    let mut memory = silent();
    memory.fill(&records(&[(february, back, 0.0, 1e6), (back, back + 120, 0.0, 1e6)]), back + 120);
    let new = 480_000_000..=480_000_001;
    assert!(new.contains(&memory.used().1) && new.contains(&certain(&memory)), "{:?}", memory.used());
}

/// What a guest has used that was up for a minute, and is told of two hours later by a node whose figures are so late,
/// beside another guest that was up for days or for a minute, too.
fn beside(late: u64, beside: u64, uptime: u64) -> (u64, u64) {
    let mut memory = Memory::days();
    let two = |seconds: i64, bytes: u64, uptimes: [u64; 2]| -> Vec<Reading> {
        let names = [GUEST, "qemu/200"].into_iter().zip(uptimes);
        names.map(|(name, uptime)| reading(name, figure((bytes, bytes), uptime), at(seconds))).collect()
    };
    memory.absorb(&two(0, 500, [60, beside]), 0);
    let mut later = two(7200, 900, [uptime, beside + 7200 - late]);
    memory.source.note_lags(&mut later, at(7200));
    memory.absorb(&later, 7200);
    memory.used()
}

#[test]
fn figures_of_a_late_node_double_nobody() {
    for late in [0, 60, 200, 300] {
        assert_eq!(beside(late, 900_000, 7260 - late), (400, 400), "{late}: the other guest tells how late");
        assert_eq!(beside(late, 60, 7260 - late), (400, 400), "{late}: nobody tells");
    }
    // It was started anew, as the other guest tells.
    assert_eq!(beside(0, 900_000, 7100), (900, 900));
    assert_eq!(beside(200, 900_000, 6900), (900, 900));
    // Without it that is known from five minutes on.
    assert_eq!(beside(0, 60, 6900), (900, 900));
}

#[test]
fn a_restart_that_a_nic_has_shown_already_counts_once() {
    let nic = |bytes: u64, uptime: u64| GuestFigure {
        nic: Some(Nic { name: "net0".into(), bridge: None }),
        ..figure((bytes, bytes), uptime)
    };
    let mut memory = Memory::days();
    memory.read(0, nic(500, 1000));
    // Started anew at 30: its NIC says so at once, its uptime is that of a while ago.
    memory.read(60, nic(7, 1040));
    assert_eq!((memory.used().0, memory.gaps()), (7, vec![]));
    memory.read(120, nic(20, 90));
    assert_eq!((memory.used().0, memory.gaps()), (20, vec![]), "the boot lies before the last figure");
    memory.read(180, nic(25, 150));
    assert_eq!(memory.used().0, 25);
    // One that came after it: all of it is new, whatever the counter held.
    memory.read(600, nic(40, 200));
    assert_eq!(memory.used().0, 65);
}

#[test]
fn what_the_operator_has_said_later_holds_what_was_missing() {
    let said = |of: i64| {
        let mut memory = Memory::days();
        memory.up(0, (0, 0), 1000);
        memory.up(600, (100, 100), 1600);
        memory.up(1200, (5, 5), 300);
        assert_eq!(memory.gaps(), [gap(600, 900)]);
        let key = memory.key.clone();
        let ledger = memory.subject(GUEST).ledgers.get_mut(&key).unwrap();
        let calibration = Calibration { by: 1000, used: 1105, of: at(of), at: at(1200), settled: both(0, 0) };
        ledger.calibrated.insert(Count::Out, calibration);
        memory.fill(&records(&[(600, 900, 1.0, 2.0), (900, 1200, 1.0, 1.0)]), 1260);
        assert_eq!(memory.used(), (405, 705));
        memory.ledger().used(Count::Out)
    };
    assert_eq!(said(1200), 1105, "it was counted in the figure");
    assert_eq!(said(900), 1105);
    assert_eq!(said(600), 1705, "it came after the figure");
}

#[test]
fn a_division_is_in_what_the_operator_has_said_later() {
    let mut memory = over_midnight();
    let key = memory.key.clone();
    let ledger = memory.subject(GUEST).ledgers.get_mut(&key).unwrap();
    let settled = ledger.doubtful();
    let calibration = Calibration { by: 500, used: 2000, of: at(DAY + 1800), at: at(DAY + 1800), settled };
    ledger.calibrated.insert(Count::Out, calibration);
    memory.fill(&records(&[(DAY - 1800, DAY, 1.0, 30.0), (DAY, DAY + 1800, 3.0, 10.0)]), DAY + 1860);
    assert_eq!(memory.used(), (750, 750));
    let (used, certain) = (memory.ledger().used(Count::Out), memory.ledger().certain(Count::Out));
    assert_eq!((used, certain), (2000, 2000));
}

#[test]
fn what_long_rows_have_a_share_in_is_unsure() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.up(600, (100, 100), 1600);
    memory.up(7200, (5, 5), 3600);
    assert_eq!(memory.gaps(), [gap(600, 3600)]);
    memory.fill(&records(&[(0, 1800, 1.0, 2.0), (1800, 3600, 1.0, 2.0), (3600, 7200, 9.0, 9.0)]), 7200);
    assert_eq!((memory.used(), memory.ledger().unsure), ((3105, 6105), both(1200, 2400)));
}

#[test]
fn nothing_is_done_on_the_figures_of_one_that_may_be_another() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    memory.up(600, (5000, 5000), 1600);
    for seconds in [1200, 1260, 1320] {
        memory.read(seconds, named("db", (seconds as u64, 80), seconds as u64 - 1100));
        assert_eq!((memory.subject(GUEST).fresh, memory.needs(seconds)[0].creation), (false, true), "{seconds}");
    }
    assert!(!memory.found_out(-9000, 1320));
    assert!(memory.subject(GUEST).fresh);
}

#[test]
fn a_container_that_was_gone_and_has_another_name_is_another() {
    let listed = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let mut memory = Memory::days();
    let read = |memory: &mut Memory, seconds: i64, figure: GuestFigure| {
        memory.absorb(&[reading("lxc/101", figure, at(seconds))], seconds);
    };
    read(&mut memory, 0, figure((0, 0), 1000));
    read(&mut memory, 600, figure((5000, 5000), 1600));
    memory.list(Readings { listed: listed(&["qemu/7"]), ..Readings::default() }, 1200);
    read(&mut memory, 2400, named("db", (70, 80), 100));
    assert_eq!(memory.ledger_of("lxc/101").used, both(70, 80));
    assert_eq!((memory.subject("lxc/101").fresh, memory.needs(2400)), (true, vec![]));
}

#[test]
fn those_with_missing_bytes_are_asked_for_first() {
    let mut memory = Memory::days();
    let three = |seconds: i64, figures: [GuestFigure; 3]| -> Vec<Reading> {
        let names = ["lxc/1", "qemu/2", "qemu/3"];
        names.into_iter().zip(figures).map(|(name, figure)| reading(name, figure, at(seconds))).collect()
    };
    memory.absorb(&three(DAY - 600, [figure((0, 0), 5000), figure((0, 0), 5000), figure((0, 0), 5000)]), DAY - 600);
    let next = [figure((99, 0), 6200), figure((5, 5), 60), figure((0, 50), 60)];
    memory.absorb(&three(DAY + 600, next), DAY + 600);
    let needs = memory.needs(DAY + 600);
    let names: Vec<&str> = needs.iter().map(|need| need.subject.as_str()).collect();
    assert_eq!(names, ["qemu/3", "qemu/2", "lxc/1"]);
    assert_eq!((needs[0].node.as_str(), needs[0].id.vmid), ("pve1", 3));
    // What could not be asked for six hours is given up, and so is dividing otherwise than by time.
    assert_eq!(memory.needs(DAY + 600 + 6 * 3600 - 1).len(), 3);
    assert_eq!(memory.needs(DAY + 600 + 6 * 3600), []);
    assert_eq!(memory.ledger_of("lxc/1").unsure, both(50, 0));
}

#[test]
fn what_was_lost_while_nobody_looked_is_asked_for_all_the_same() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    // The guest was started anew an hour later, and nothing was read for a night.
    memory.up(36_000, (7, 8), 32_400);
    assert_eq!((memory.needs(36_000).len(), memory.gaps()), (1, vec![gap(0, 3600)]));
    memory.fill(&records(&[(0, 3600, 1.0, 1.0), (3600, 36_000, 9.0, 9.0)]), 36_000);
    assert_eq!(memory.used(), (3607, 3608));
    // Nor is the time before the first sight forgotten because the guest was started long ago.
    let mut memory = Memory { backfill: true, ..Memory::days() };
    memory.up(80_000, (7, 8), 40_000);
    assert_eq!((memory.needs(80_000).len(), memory.needs(80_000 + 6 * 3600).len()), (1, 0));
}

#[test]
fn the_oldest_of_many_gaps_are_given_up() {
    let mut memory = Memory::days();
    memory.up(0, (0, 0), 1000);
    for turn in 1..=70 {
        memory.up(turn * 100, (1, 1), 20 + (turn as u64 % 2));
    }
    let gaps = memory.needs(7000).len();
    assert_eq!((gaps, memory.gaps().len()), (1, MOST));
    assert_eq!(memory.gaps().last().unwrap().to, at(7000 - 20));
}

#[test]
fn when_a_machine_was_made_is_asked_for_when_a_quota_goes_by_it() {
    let since_creation = Rule { since_creation: true, ..rule(Cycle::Month { day: 1 }) };
    let key = since_creation.key();
    let asked = [Asked { rule: &since_creation, key: &key, since_boot: false, backfill: false }];
    let mut source = SourceState::default();
    let read = |seconds: i64, bytes: u64| {
        ["qemu/1", "lxc/2"].map(|name| reading(name, figure((bytes, bytes), 5000 + seconds as u64), at(seconds)))
    };
    source.absorb(&read(0, 5), &asked, at(0));
    assert!(source.subjects.values().all(|subject| subject.ledgers.is_empty()), "nobody knows their periods");
    let needs = source.needs(&asked, at(0));
    let asked_for: Vec<(&str, bool)> = needs.iter().map(|need| (need.subject.as_str(), need.creation)).collect();
    assert_eq!(asked_for, [("qemu/1", true)], "containers do not know");
    let subject = source.subjects.get_mut("qemu/1").unwrap();
    assert!(!subject.take_creation(Some(at(-40 * DAY)), at(0)));
    let opened = subject.open_missing(&asked, None, None, at(0));
    subject.ledgers.extend(opened);
    // Made on 1 December 2025.
    assert_eq!(subject.ledgers[&key].period.start, at(-9 * DAY));
    source.absorb(&read(600, 12), &asked, at(600));
    assert_eq!(source.subjects["qemu/1"].ledgers[&key].used, both(7, 7));
    assert_eq!(source.needs(&asked, at(600)), []);
}

#[test]
fn gaps_and_divisions_are_remembered() {
    let mut memory = over_midnight();
    memory.subject(GUEST).gaps = vec![gap(0, 5), Gap { whole: true, rule: Some("day".into()), ..gap(5, 9) }];
    let text = serde_json::to_string(memory.subject(GUEST)).unwrap();
    let again: Subject = serde_json::from_str(&text).unwrap();
    assert_eq!(again.gaps, memory.subject(GUEST).gaps);
    let split = |subject: &Subject| subject.ledgers.values().next().unwrap().split.clone().unwrap();
    let flow = Split {
        old: both(500, 1500),
        new: both(500, 1500),
        flow: both(1000, 3000),
        from: at(DAY - 1800),
        to: at(DAY + 1800),
    };
    assert_eq!((*split(&again), *split(memory.subject(GUEST))), (flow.clone(), flow));
}

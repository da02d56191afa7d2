//! Alarms minute by minute.

use super::*;
use crate::quota::duration::Language;
use crate::quota::meter::{Counters, Identity};
use crate::quota::pulse::Load;

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: u64) -> Instant {
    Instant::parse("2026-11-21T12:00:00Z").unwrap().plus(MINUTE * minutes as u32)
}

fn alarm(watched: Watched, limit: Limit) -> Alarm {
    Alarm {
        name: "a".into(),
        source: "s".into(),
        subjects: Vec::new(),
        exclude: Vec::new(),
        expected: Vec::new(),
        reported: false,
        watched,
        limit,
        lasting: Lasting::Looks(1),
        between: Vec::new(),
        zone: Zone::utc(),
        repeat: None,
        notify: vec!["ops".into()],
    }
}

/// An alarm and the state that it leaves.
struct Bench {
    alarm: Alarm,
    state: State,
    uptime: Duration,
    last_run: Option<Instant>,
}

impl Bench {
    fn new(alarm: Alarm) -> Self {
        let mut state = State::default();
        state.sources.insert("s".into(), SourceState::default());
        Self { alarm, state, uptime: MINUTE * 100_000, last_run: None }
    }

    /// What the subject `n` was doing at that time.
    fn seen(&mut self, pulse: Pulse) -> &mut Self {
        self.state.sources.get_mut("s").unwrap().pulses.insert("n".into(), pulse);
        self
    }

    fn rate(&mut self, minute: u64, mbps: u64) -> Vec<String> {
        let rate = Some(Counters { rx: mbps * 125_000, tx: 0 });
        self.seen(Pulse { rate, ..Pulse::at(at(minute)) }).run(minute)
    }

    /// A run; the titles of what is told.
    fn run(&mut self, minute: u64) -> Vec<String> {
        self.state.sources.get_mut("s").unwrap().good = Some(at(minute));
        self.run_as_it_is(minute)
    }

    /// As [`Bench::run`], whether the source has answered or not.
    fn run_as_it_is(&mut self, minute: u64) -> Vec<String> {
        let now = at(minute);
        let machine = Identity { uptime: Some(self.uptime), ..Identity::default() };
        let context = Context {
            now,
            language: Language::En,
            quotas: &[],
            selected: &[],
            channels: &[],
            names: &[],
            machine: &machine,
            withheld: None,
            last_run: self.last_run.replace(now),
            alarms: std::slice::from_ref(&self.alarm),
            watching: &[true],
        };
        let mut plan = Plan::default();
        watch(&context, &mut self.state, &mut plan);
        assert!(plan.tells.iter().all(|tell| tell.to == ["ops"]));
        plan.tells.into_iter().map(|tell| tell.item.title).collect()
    }

    fn gone(&mut self) -> &mut Self {
        self.state.sources.get_mut("s").unwrap().pulses.clear();
        self
    }
}

fn mbps(mbps: u64) -> u64 {
    mbps * 125_000
}

fn below() -> Alarm {
    alarm(Watched::Rate(Count::Max), Limit::Below(mbps(10), mbps(12)))
}

#[test]
fn a_rate_is_told_when_it_falls_and_when_it_is_back() {
    let mut bench = Bench::new(below());
    assert!(bench.rate(0, 10).is_empty(), "10 is not below 10");
    assert_eq!(bench.rate(1, 9), ["🚨 n: rate (the larger of in and out) 9 Mbps"]);
    assert!(bench.rate(2, 8).is_empty(), "once");
    assert!(bench.rate(3, 11).is_empty(), "neither bad nor well again");
    assert!(bench.rate(4, 9).is_empty(), "it was never over");
    assert_eq!(bench.rate(5, 12), ["✅ n: rate (the larger of in and out) 12 Mbps again"]);
    assert!(bench.rate(6, 11).is_empty());
    assert_eq!(bench.rate(7, 3).len(), 1, "anew");
}

#[test]
fn several_looks_in_a_row_are_asked_for() {
    let mut bench = Bench::new(Alarm { lasting: Lasting::Looks(3), ..below() });
    for (minute, rate) in [(0, 1), (1, 1), (2, 50), (3, 1), (4, 1)] {
        assert!(bench.rate(minute, rate).is_empty(), "minute {minute}");
    }
    assert!(bench.run(5).is_empty(), "the same look once more is no other one");
    assert_eq!(bench.rate(6, 1).len(), 1);
}

#[test]
fn what_is_not_known_neither_raises_nor_ends() {
    let mut bench = Bench::new(Alarm { lasting: Lasting::Looks(2), ..below() });
    assert!(bench.rate(0, 1).is_empty());
    assert!(bench.seen(Pulse::at(at(1))).run(1).is_empty());
    assert_eq!(bench.rate(2, 1).len(), 1);
    assert!(bench.seen(Pulse::at(at(3))).run(3).is_empty());
    assert!(bench.state.alarms["a"]["n"].raised.is_some());
}

#[test]
fn a_time_is_waited_for() {
    let mut bench = Bench::new(Alarm { lasting: Lasting::Time(MINUTE * 5), ..below() });
    for minute in 0..5 {
        assert!(bench.rate(minute, 1).is_empty(), "minute {minute}");
    }
    assert_eq!(bench.rate(5, 1).len(), 1);
    assert_eq!(bench.state.alarms["a"]["n"].since, Some(at(0)));
}

#[test]
fn it_is_told_again_while_it_lasts() {
    let mut bench = Bench::new(Alarm { repeat: Some(MINUTE * 10), ..below() });
    let told: Vec<u64> = (0..31).filter(|minute| !bench.rate(*minute, 1).is_empty()).collect();
    assert_eq!(told, [0, 10, 20, 30]);
}

#[test]
fn loads_are_looked_at() {
    let mut bench = Bench::new(alarm(Watched::Cpu, Limit::Above(9000, 8100)));
    let cpu = |load| Some(Load(load));
    assert!(bench.seen(Pulse { cpu: cpu(9000), ..Pulse::at(at(0)) }).run(0).is_empty());
    assert_eq!(bench.seen(Pulse { cpu: cpu(9001), ..Pulse::at(at(1)) }).run(1), ["🚨 n: CPU 90.01 %"]);
    assert!(bench.seen(Pulse { cpu: cpu(8101), ..Pulse::at(at(2)) }).run(2).is_empty());
    assert_eq!(bench.seen(Pulse { cpu: cpu(8100), ..Pulse::at(at(3)) }).run(3), ["✅ n: CPU 81 % again"]);
    let mut bench = Bench::new(alarm(Watched::Memory, Limit::Above(5000, 4000)));
    assert_eq!(bench.seen(Pulse { memory: cpu(6000), ..Pulse::at(at(1)) }).run(1), ["🚨 n: memory 60 %"]);
}

fn silent(minutes: u32) -> Alarm {
    let limit = Limit::From(u64::try_from((MINUTE * minutes).as_millis()).unwrap());
    Alarm { reported: true, ..alarm(Watched::Silence, limit) }
}

#[test]
fn silence_is_told_with_its_end() {
    let mut bench = Bench::new(silent(5));
    bench.seen(Pulse::at(at(0)));
    for minute in 0..5 {
        assert!(bench.run(minute).is_empty(), "minute {minute}");
    }
    assert_eq!(bench.run(5), ["🔇 n: silent for 5 min"]);
    assert!(bench.run(6).is_empty());
    assert_eq!(bench.seen(Pulse::at(at(7))).run(7), ["✅ n: heard of again"]);
}

#[test]
fn who_was_never_seen_is_silent_since_it_was_expected() {
    let mut bench = Bench::new(Alarm { expected: vec!["hk-1".into()], ..silent(5) });
    for minute in 10..15 {
        assert!(bench.run(minute).is_empty(), "minute {minute}");
    }
    assert_eq!(bench.run(15), ["🔇 hk-1: never heard of"]);
    bench.alarm.expected.clear();
    assert_eq!(bench.run(16), ["ℹ️ hk-1: not there any more"], "it is not expected any more");
    assert!(bench.state.alarms.is_empty());
}

#[test]
fn nobody_is_silent_to_a_machine_that_was_off() {
    let mut bench = Bench::new(silent(5));
    bench.seen(Pulse::at(at(0)));
    bench.uptime = MINUTE;
    assert!(bench.run(600).is_empty(), "it could not be heard");
    bench.uptime = MINUTE * 5;
    assert_eq!(bench.run(604).len(), 1);
}

#[test]
fn nobody_is_silent_whose_reports_could_not_be_looked_at() {
    let mut bench = Bench::new(silent(5));
    bench.seen(Pulse::at(at(0)));
    assert!(bench.run(1).is_empty());
    let alarms = bench.state.alarms.clone();
    assert!(bench.run_as_it_is(60).is_empty());
    assert_eq!(bench.state.alarms, alarms);
}

#[test]
fn a_silence_ends_with_a_sign_of_life_and_with_nothing_else() {
    let mut bench = Bench::new(silent(5));
    bench.seen(Pulse::at(at(0))).run(0);
    bench.run(4);
    assert_eq!(bench.run(5).len(), 1);
    bench.uptime = MINUTE;
    assert!(bench.run(10).is_empty(), "this machine was started anew");
    let back = at(3);
    bench.state.not_after(back);
    assert!(bench.run(3).is_empty(), "the clock was set back");
    assert_eq!(bench.seen(Pulse::at(at(20))).run(20), ["✅ n: heard of again"]);
}

#[test]
fn after_a_time_without_runs_silence_takes_a_second_look() {
    let mut bench = Bench::new(silent(5));
    bench.seen(Pulse::at(at(0))).run(0);
    assert!(bench.run(60).is_empty(), "perhaps nobody was there to hear");
    assert_eq!(bench.run(61), ["🔇 n: silent for 1 h 1 min"]);
    // One that runs once an hour tells it all the same.
    let mut bench = Bench::new(silent(5));
    bench.seen(Pulse::at(at(0))).run(0);
    let told: Vec<u64> = (1..5).filter(|hour| !bench.run(hour * 60).is_empty()).collect();
    assert_eq!(told, [2]);
}

#[test]
fn looks_that_are_far_apart_are_not_in_a_row() {
    let mut bench = Bench::new(Alarm { lasting: Lasting::Time(MINUTE * 15), ..below() });
    assert!(bench.rate(0, 1).is_empty());
    assert!(bench.rate(480, 1).is_empty(), "it may have been well for eight hours");
    assert_eq!(bench.rate(495, 1).len(), 1);
}

#[test]
fn what_is_not_known_any_more_is_not_told_again_and_ends_after_a_day() {
    let mut bench = Bench::new(Alarm { repeat: Some(MINUTE * 10), ..below() });
    assert_eq!(bench.rate(0, 1).len(), 1);
    let told: Vec<u64> = (1..24 * 60).filter(|minute| !bench.run(*minute).is_empty()).collect();
    assert_eq!(told.last(), Some(&120), "{told:?}");
    assert!(bench.run(24 * 60).is_empty());
    assert_eq!(bench.run(24 * 60 + 1), ["ℹ️ n: nothing known for a day"]);
    assert!(bench.run(24 * 60 + 2).is_empty());
}

#[test]
fn what_is_gone_is_told_when_it_was_raised() {
    let mut bench = Bench::new(below());
    bench.rate(0, 1);
    assert_eq!(bench.gone().run(1), ["ℹ️ n: not there any more"]);
    assert!(bench.run(2).is_empty() && bench.state.alarms.is_empty());
    bench.rate(3, 50);
    assert!(bench.gone().run(4).is_empty(), "nothing was told of it");
}

#[test]
fn what_was_seen_outside_the_hours_is_not_judged_in_them() {
    let hours = Hours { from: Time::from_hms(13, 0, 0).unwrap(), until: Time::from_hms(14, 0, 0).unwrap() };
    let mut bench = Bench::new(Alarm { between: vec![hours], ..below() });
    bench.rate(0, 1);
    for minute in 1..=60 {
        assert!(bench.run(minute).is_empty(), "minute {minute}");
    }
    assert_eq!(bench.rate(61, 1).len(), 1);
}

#[test]
fn another_condition_under_the_same_name_begins_anew() {
    let mut bench = Bench::new(alarm(Watched::Cpu, Limit::Above(9000, 8100)));
    let busy = Pulse { cpu: Some(Load(9500)), memory: Some(Load(2500)), ..Pulse::at(at(0)) };
    assert_eq!(bench.seen(busy).run(0).len(), 1);
    bench.alarm = alarm(Watched::Memory, Limit::Above(9000, 8100));
    assert!(bench.seen(Pulse { at: at(1), ..busy }).run(1).is_empty(), "its memory was never full");
}

#[test]
fn a_node_is_there_by_the_alarms_on_it() {
    let on = |names: &str, minutes| Alarm { subjects: vec![names.into()], ..silent(minutes) };
    let alarms = [on("db-*", 1), on("*", 10), below()];
    for (node, minutes, there) in [("db-1", 1, true), ("db-1", 2, false), ("web", 10, true), ("web", 11, false)] {
        assert_eq!(is_there(&alarms, node, at(0), at(minutes)), there, "{node} after {minutes} min");
    }
    assert!(is_there(&[], "web", at(0), at(3)) && !is_there(&[], "web", at(0), at(4)));
    assert!(!is_there(&[], "web", at(10), at(0)), "a clock was wrong");
}

#[test]
fn hours_go_over_midnight() {
    let time = |text: &str| Time::parse(text, time::macros::format_description!("[hour]:[minute]")).unwrap();
    let night = Hours { from: time("22:00"), until: time("02:00") };
    for (text, inside) in
        [("21:59", false), ("22:00", true), ("23:59", true), ("00:00", true), ("01:59", true), ("02:00", false)]
    {
        assert_eq!(night.contains(time(text)), inside, "{text}");
    }
    let day = Hours { from: time("08:00"), until: time("12:30") };
    for (text, inside) in [("07:59", false), ("08:00", true), ("12:29", true), ("12:30", false)] {
        assert_eq!(day.contains(time(text)), inside, "{text}");
    }
}

#[test]
fn outside_its_hours_nothing_is_raised_and_what_was_is_told() {
    let hours = Hours { from: Time::from_hms(12, 0, 0).unwrap(), until: Time::from_hms(13, 0, 0).unwrap() };
    let mut bench = Bench::new(Alarm { between: vec![hours], ..below() });
    assert_eq!(bench.rate(0, 1).len(), 1);
    assert_eq!(bench.rate(60, 1), ["ℹ️ n: not watched at this hour"]);
    assert!(bench.rate(61, 1).is_empty());
    assert_eq!(bench.rate(24 * 60, 1).len(), 1, "the next day anew");
}

#[test]
fn what_was_seen_long_ago_raises_nothing_new() {
    let mut bench = Bench::new(below());
    bench.seen(Pulse { rate: Some(Counters::default()), ..Pulse::at(at(0)) });
    assert!(bench.run(11).is_empty());
    assert_eq!(bench.rate(12, 1).len(), 1);
}

#[test]
fn only_named_subjects_are_looked_at() {
    let mut bench = Bench::new(Alarm { subjects: vec!["m*".into()], ..below() });
    assert!(bench.rate(0, 1).is_empty());
    bench.alarm = Alarm { exclude: vec!["n".into()], ..below() };
    assert!(bench.rate(1, 1).is_empty());
    bench.alarm = Alarm { subjects: vec!["n".into()], ..below() };
    assert_eq!(bench.rate(2, 1).len(), 1);
}

#[test]
fn a_run_with_nothing_new_changes_nothing() {
    let mut bench = Bench::new(Alarm { lasting: Lasting::Looks(2), ..below() });
    bench.rate(0, 1);
    let before = bench.state.alarms.clone();
    assert!(bench.run(0).is_empty());
    assert_eq!(bench.state.alarms, before);
}

//! Reports made of a history in memory, and what is left of it after pruning.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::build::{Ask, FIGURES, Facts};
use super::model::{By, Direction, Report, Used};
use super::span::{Named, When, Wish};
use super::{Format, render};
use crate::config::Config;
use crate::error::Exit;
use crate::history::{Archive, Batch, Keep, Moment, Named as Subject, Total};
use crate::prune;
use crate::quota::event::{Event, Kind, Outcome};
use crate::quota::instant::Instant;
use crate::quota::meter::{Counters, Identity, Series};
use crate::quota::state::{self, State};
use crate::quota::track::Grain;
use crate::quota::zone::Zone;
use crate::status::Look;
use crate::testing::archive::MemoryArchive;
use crate::testing::sim::World;

const CONFIG: &str = "timezone = \"Asia/Shanghai\"\n[quota.month]\nallowance = \"1 TB\"\ntiers = [\"80%\"]\n";
const NOW: &str = "2026-11-21T10:02:00+08:00";

fn at(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

fn config() -> Config {
    World::new(at(NOW)).configure(CONFIG)
}

fn subject(key: u64, name: &str, label: &str, part_of: &str) -> Subject {
    let (source, subject) = ("interface".into(), name.into());
    Subject { key, source, subject, label: label.into(), part_of: part_of.into() }
}

fn total(rx: i64, tx: i64) -> Total {
    Total { rx, tx, spread: 0, hole: false }
}

fn grain(zone: &Zone, at: Instant) -> Grain {
    match () {
        () if super::span::on_edge(zone, at, By::Day) => Grain::Day,
        () if super::span::on_edge(zone, at, By::Hour) => Grain::Hour,
        () => Grain::Sample,
    }
}

/// Samples each five minutes: every subject sends its key in bytes a second, and receives nothing.
fn sampled(from: &str, to: &str, subjects: &[Subject]) -> Batch {
    sampled_in("Asia/Shanghai", from, to, subjects)
}

/// The same with the edges of another zone.
fn sampled_in(zone: &str, from: &str, to: &str, subjects: &[Subject]) -> Batch {
    let zone = Zone::named(zone).unwrap();
    let (start, end) = (at(from), at(to));
    let count = end.since(start).as_secs() / 300;
    let moment = |index: u64| {
        let at = start.plus(Duration::from_secs(index * 300));
        let sent = |key: u64| (at.millis() / 1000 - 1_700_000_000) * key as i64;
        let totals = subjects.iter().map(|subject| (subject.key, total(0, sent(subject.key)))).collect();
        Moment { at, grain: grain(&zone, at), totals }
    };
    Batch {
        instance: "a1".into(),
        host: "hk-1".into(),
        after: None,
        subjects: subjects.to_vec(),
        moments: (0..=count).map(moment).collect(),
        logged: 0,
        events: Vec::new(),
        keep: Keep { samples: None, hours: None, days: None },
        now: end,
    }
}

fn event(time: &str, name: &str) -> Event {
    Event {
        at: at(time),
        kind: Kind::Alert,
        source: "interface".into(),
        subject: "eth0".into(),
        quota: "month".into(),
        name: name.into(),
        reason: "80%".into(),
        outcome: Outcome::Done,
        detail: String::new(),
    }
}

fn own_state() -> State {
    let history = state::History { instance: "a1".into(), ..state::History::default() };
    State { history, ..State::default() }
}

/// Puts what the last check found into the state.
fn live(state: &mut State, name: &str, key: u64, time: &str, sent: u64) {
    let source = state.sources.entry("interface".into()).or_default();
    let subject = source.subjects.entry(name.into()).or_default();
    let identity = Identity::default();
    subject.series = Some(Series { at: at(time), counters: Counters::default(), identity });
    subject.track.key = key;
    subject.track.total = Counters { rx: 0, tx: sent };
}

fn ask(wish: Wish) -> Ask {
    let (subjects, quota, instance) = (Vec::new(), None, None);
    Ask { wish, subjects, quota, instance, direction: Direction::Both, events: true, figures: FIGURES }
}

fn made(archive: &mut MemoryArchive, state: &State, ask: &Ask) -> Report {
    let config = config();
    let facts = Facts { config: &config, state, now: at(NOW), alone: true };
    facts.report(archive, ask, &mut |_, _| {}).unwrap().unwrap()
}

fn sent(used: Option<Used>) -> Option<u64> {
    used.map(|used| used.flow.tx)
}

#[test]
fn a_month_has_each_days_bytes_up_to_the_last_check() {
    let mut archive = MemoryArchive::default();
    let all = [
        subject(1, "eth0", "", ""),
        subject(1000, "qemu/100", "web", ""),
        subject(400, "qemu/100 net0", "web", "qemu/100"),
    ];
    archive.write(&sampled("2026-10-30T00:00:00+08:00", "2026-11-21T10:00:00+08:00", &all)).unwrap();
    let mut state = own_state();
    let eth0 = (at("2026-11-21T10:01:00+08:00").millis() / 1000 - 1_700_000_000) as u64;
    live(&mut state, "eth0", 1, "2026-11-21T10:01:00+08:00", eth0);
    live(&mut state, "new0", 0, "2026-11-21T10:01:00+08:00", 7);
    let report = made(&mut archive, &state, &ask(Wish::default()));
    assert_eq!((report.by, report.buckets.len(), report.zone.name()), (By::Day, 30, "Asia/Shanghai"));
    let names: Vec<(&str, bool)> = report.rows.iter().map(|row| (row.subject.as_str(), row.part)).collect();
    assert_eq!(names, [("qemu/100", false), ("qemu/100 net0", true), ("eth0", false), ("new0", false)]);
    let eth0 = &report.rows[2];
    assert_eq!(sent(eth0.cells[0]), Some(86_400));
    assert_eq!(sent(eth0.cells[20]), Some(10 * 3600 + 60), "today up to the last check");
    assert_eq!(sent(eth0.cells[21]), None);
    assert_eq!(
        eth0.used,
        Used { flow: Counters { rx: 0, tx: 20 * 86_400 + 36_060 }, estimated: false, partial: false }
    );
    let cells: u64 = eth0.cells.iter().filter_map(|cell| sent(*cell)).sum();
    assert_eq!(cells, eth0.used.flow.tx);
    let guest = report.rows[0].used.flow.tx;
    assert_eq!(report.whole.flow.tx, guest + eth0.used.flow.tx, "the NIC is a part of the guest");
    assert!(!report.whole.partial && report.rows[3].used.partial);
}

#[test]
fn what_is_thinned_out_changes_no_report_of_days_or_hours() {
    let subjects = [subject(3, "eth0", "", "")];
    let batch = sampled("2026-11-01T00:00:00+08:00", "2026-11-21T10:00:00+08:00", &subjects);
    let (mut full, mut thin) = (MemoryArchive::default(), MemoryArchive::default());
    full.write(&batch).unwrap();
    let kept = batch.moments.iter().filter(|moment| moment.grain > Grain::Sample);
    thin.write(&Batch { moments: kept.cloned().collect(), ..batch.clone() }).unwrap();
    let text = |archive: &mut MemoryArchive, by| {
        let report = made(archive, &own_state(), &ask(Wish { by: Some(by), ..Wish::default() }));
        String::from_utf8(
            render(&report, Format::Json, false, Look { width: 80, colour: false }, super::chart::Skin::Light).unwrap(),
        )
        .unwrap()
    };
    assert_eq!(text(&mut full, By::Day), text(&mut thin, By::Day));
    assert_eq!(text(&mut full, By::Hour), text(&mut thin, By::Hour));
    assert_eq!(text(&mut full, By::Month), text(&mut thin, By::Month));
}

#[test]
fn days_of_another_zone_are_told_by_the_rows_of_hours() {
    let mut archive = MemoryArchive::default();
    let all: Vec<Subject> = (1..=3).map(|key| subject(key, &format!("eth{key}"), "", "")).collect();
    let (before, after) = ("2026-11-05T00:00:00+01:00", "2026-11-21T10:00:00+08:00");
    archive.write(&sampled_in("Europe/Berlin", "2026-10-20T00:00:00+02:00", before, &all)).unwrap();
    archive.write(&sampled(before, after, &all[..2])).unwrap();
    // A sample of every second is a total that jumps: an estimate would be told from what was metered.
    let mut jumps = sampled_in("Europe/Berlin", "2026-10-20T00:00:00+02:00", after, &[subject(9, "eth9", "", "")]);
    for (index, moment) in jumps.moments.iter_mut().enumerate() {
        moment.totals[0].1.tx = (index * index) as i64;
    }
    archive.write(&jumps).unwrap();
    let report = made(&mut archive, &own_state(), &ask(Wish::default()));
    let row = |name: &str| report.rows.iter().find(|row| row.subject == name).unwrap();
    assert!(report.rows.iter().flat_map(|row| row.cells.iter().flatten()).all(|cell| !cell.estimated));
    assert_eq!((sent(row("eth1").cells[1]), sent(row("eth2").cells[9])), (Some(86_400), Some(2 * 86_400)));
    let index = |time: &str| (at(time).since(at("2026-10-20T00:00:00+02:00")).as_secs() / 300).pow(2);
    let second = index("2026-11-03T00:00:00+08:00") - index("2026-11-02T00:00:00+08:00");
    assert_eq!(sent(row("eth9").cells[1]), Some(second));
    assert_eq!(sent(row("eth3").cells[4]), Some(3 * 7 * 3600), "it ended in the course of the day");
}

#[test]
fn what_began_today_is_told_by_day() {
    let mut archive = MemoryArchive::default();
    let all = [subject(1, "eth0", "", "")];
    archive.write(&sampled("2026-11-21T09:05:00+08:00", "2026-11-21T10:00:00+08:00", &all)).unwrap();
    let mut state = own_state();
    state.history.sampled = Some(at("2026-11-21T10:00:00+08:00"));
    let eth0 = (at("2026-11-21T10:01:00+08:00").millis() / 1000 - 1_700_000_000) as u64;
    live(&mut state, "eth0", 1, "2026-11-21T10:01:00+08:00", eth0);
    for wish in [Wish::default(), Wish { by: Some(By::Month), ..Wish::default() }] {
        let report = made(&mut archive, &state, &ask(wish));
        let metered = Used { flow: Counters { rx: 0, tx: 56 * 60 }, estimated: false, partial: true };
        assert_eq!((report.rows[0].used, report.whole), (metered, metered), "{:?}", report.by);
    }
}

#[test]
fn rows_of_a_run_that_was_cut_off_are_left_out() {
    let mut archive = MemoryArchive::default();
    let (eth0, late) = (subject(1, "eth0", "", ""), subject(2, "late", "", ""));
    archive
        .write(&sampled("2026-11-20T00:00:00+08:00", "2026-11-21T09:00:00+08:00", std::slice::from_ref(&eth0)))
        .unwrap();
    archive.write(&sampled("2026-11-21T09:05:00+08:00", "2026-11-21T10:00:00+08:00", &[eth0, late])).unwrap();
    let mut state = own_state();
    let of = |state: &State, archive: &mut MemoryArchive| {
        let report = made(archive, state, &ask(Wish::default()));
        report.rows.iter().map(|row| (row.subject.clone(), row.used.flow.tx)).collect::<Vec<_>>()
    };
    let hours = |hours: u64| ("eth0".to_owned(), hours * 3600);
    assert_eq!(of(&state, &mut archive), [hours(34), ("late".to_owned(), 2 * 55 * 60)]);
    state.history.sampled = Some(at("2026-11-21T09:00:00+08:00"));
    assert_eq!(of(&state, &mut archive), [hours(33)]);
}

#[test]
fn a_range_may_start_and_end_anywhere() {
    let mut archive = MemoryArchive::default();
    let all: Vec<Subject> = (1..=20).map(|key| subject(key, &format!("qemu/{key}"), "", "")).collect();
    archive.write(&sampled("2026-11-19T00:00:00+08:00", "2026-11-21T10:00:00+08:00", &all)).unwrap();
    let of = |from: &str, to: &str, archive: &mut MemoryArchive| {
        let wish =
            Wish { from: When::parse(from).ok(), to: When::parse(to).ok(), by: Some(By::Day), ..Wish::default() };
        let report = made(archive, &own_state(), &ask(wish));
        assert!(report.rows.iter().all(|row| !row.used.estimated && !row.used.partial));
        report.rows.iter().find(|row| row.subject == "qemu/1").map(|row| row.used.flow.tx)
    };
    assert_eq!(of("2026-11-19 10:07", "2026-11-21 03:01", &mut archive), Some(40 * 3600 + 54 * 60));
    assert_eq!(of("2026-11-19", "2026-11-19", &mut archive), Some(86_400));
}

#[test]
fn series_of_one_name_are_one_row() {
    let mut archive = MemoryArchive::default();
    let first = sampled("2026-11-18T00:00:00+08:00", "2026-11-19T00:00:00+08:00", &[subject(1, "qemu/100", "old", "")]);
    archive.write(&first).unwrap();
    let second =
        sampled("2026-11-20T00:00:00+08:00", "2026-11-21T00:00:00+08:00", &[subject(2, "qemu/100", "new", "")]);
    archive.write(&second).unwrap();
    let report = made(&mut archive, &own_state(), &ask(Wish::default()));
    assert_eq!(report.rows.len(), 1);
    assert_eq!((report.rows[0].used.flow.tx, report.rows[0].label.as_str()), (3 * 86_400, "new"));
    assert!(report.rows[0].used.partial);
}

#[test]
fn nothing_and_mistakes() {
    let config = config();
    let state = own_state();
    let facts = Facts { config: &config, state: &state, now: at(NOW), alone: true };
    let none = facts.report(&mut MemoryArchive::default(), &ask(Wish::default()), &mut |_, _| {}).unwrap();
    assert!(none.is_none());
    let mut archive = MemoryArchive::default();
    archive
        .write(&sampled("2026-11-20T00:00:00+08:00", "2026-11-20T01:00:00+08:00", &[subject(1, "eth0", "", "")]))
        .unwrap();
    let mut error = |change: fn(&mut Ask)| {
        let mut ask = ask(Wish::default());
        change(&mut ask);
        let error = facts.report(&mut archive, &ask, &mut |_, _| {}).err().unwrap();
        (error.exit as u8, error.text)
    };
    let usage = |text: &str| (2, text.to_owned());
    assert_eq!(
        error(|ask| ask.subjects = vec!["eht0".into()]),
        usage("--subject: there is no \"eht0\" in the history; did you mean \"eth0\"?")
    );
    assert_eq!(
        error(|ask| ask.quota = Some("moth".into())),
        usage("--quota: there is no quota \"moth\"; did you mean \"month\"?")
    );
    assert_eq!(
        error(|ask| ask.instance = Some("hk-2".into())),
        usage("--instance: there is no \"hk-2\"; did you mean \"hk-1\"?")
    );
    let nothing = made(
        &mut archive,
        &state,
        &ask(Wish { period: Some(Named::Year), date: When::parse("2020").ok(), ..Wish::default() }),
    );
    assert!(nothing.rows.is_empty() && nothing.cells.iter().all(Option::is_none));
}

#[test]
fn events_of_the_state_follow_those_of_the_store() {
    let mut archive = MemoryArchive::default();
    let mut batch = sampled("2026-11-20T00:00:00+08:00", "2026-11-20T01:00:00+08:00", &[subject(1, "eth0", "", "")]);
    batch.events = vec![event("2026-11-20T00:10:00+08:00", "one"), event("2026-11-20T00:20:00+08:00", "cut off")];
    archive.write(&batch).unwrap();
    let mut state = own_state();
    state.history.logged = 1;
    state.history.events =
        vec![event("2026-11-20T00:30:00+08:00", "two"), event("2026-10-20T00:30:00+08:00", "earlier")];
    let report = made(&mut archive, &state, &ask(Wish::default()));
    let events: Vec<(u64, &str)> =
        report.events.iter().map(|logged| (logged.number, logged.event.name.as_str())).collect();
    assert_eq!(events, [(1, "one"), (2, "two")]);
    let other = Ask { subjects: vec!["eth0".into()], ..ask(Wish::default()) };
    assert_eq!(made(&mut archive, &state, &other).events.len(), 2);
}

#[test]
fn no_more_figures_are_made_than_are_wanted() {
    let mut archive = MemoryArchive::default();
    let batch = sampled("2026-11-20T00:00:00+08:00", "2026-11-21T00:00:00+08:00", &[subject(1, "eth0", "", "")]);
    archive.write(&batch).unwrap();
    let (config, state) = (config(), own_state());
    let facts = Facts { config: &config, state: &state, now: at(NOW), alone: true };
    let few = Ask { figures: 1, ..ask(Wish::default()) };
    let error = facts.report(&mut archive, &few, &mut |_, _| {}).unwrap_err();
    let said = "that would be more than 1 figures: choose subjects, use longer buckets or less time";
    assert_eq!((error.exit, error.text.as_str()), (Exit::Usage, said));
}

#[test]
fn machines_that_share_a_store_are_kept_apart() {
    let mut archive = MemoryArchive::default();
    let batch = sampled("2026-11-20T00:00:00+08:00", "2026-11-21T00:00:00+08:00", &[subject(1, "eth0", "", "")]);
    archive.write(&batch).unwrap();
    archive.write(&Batch { instance: "b2".into(), host: "hk-2".into(), ..batch }).unwrap();
    let of = |instance: Option<&str>, archive: &mut MemoryArchive| {
        let ask = Ask { instance: instance.map(str::to_owned), ..ask(Wish::default()) };
        let report = made(archive, &own_state(), &ask);
        let hosts: Vec<Option<String>> = report.rows.iter().map(|row| row.host.clone()).collect();
        (hosts, report.whole.flow.tx)
    };
    assert_eq!(of(None, &mut archive), (vec![None], 86_400));
    assert_eq!(of(Some("hk-2"), &mut archive), (vec![None], 86_400));
    assert_eq!(of(Some("all"), &mut archive), (vec![Some("hk-1".into()), Some("hk-2".into())], 2 * 86_400));
    let mut head = |instance: Option<&str>, subjects: &[&str]| {
        let subjects = subjects.iter().map(|name| (*name).to_owned()).collect();
        let ask = Ask { instance: instance.map(str::to_owned), subjects, ..ask(Wish::default()) };
        let report = made(&mut archive, &own_state(), &ask);
        (report.host, report.chosen)
    };
    let own = config().host_name;
    assert_eq!(head(None, &[]), (own.clone(), vec![]));
    assert_eq!(head(Some("b2"), &["eth0"]), ("hk-2".into(), vec!["hk-2".into(), "eth0".into()]));
    assert_eq!(head(Some("all"), &[]), (own, vec!["all".into()]));
}

#[test]
fn what_has_ended_on_another_machine_is_told_to_its_last_row() {
    let mut archive = MemoryArchive::default();
    let batch = sampled("2026-11-01T00:00:00+08:00", "2026-11-10T10:35:00+08:00", &[subject(1, "eth0", "", "")]);
    archive.write(&Batch { instance: "b2".into(), host: "hk-2".into(), ..batch }).unwrap();
    let ask = Ask { instance: Some("hk-2".into()), ..ask(Wish::default()) };
    let report = made(&mut archive, &own_state(), &ask);
    assert_eq!(report.whole.flow.tx, 9 * 86_400 + 10 * 3600 + 35 * 60);
}

#[test]
fn the_periods_of_another_machine_are_never_pruned() {
    let mut archive = MemoryArchive::default();
    let batch = sampled("2026-10-01T00:00:00+08:00", "2026-11-21T10:00:00+08:00", &[subject(1, "eth0", "", "")]);
    archive.write(&Batch { instance: "b2".into(), host: "hk-2".into(), ..batch }).unwrap();
    let prune = |config: &str, archive: &mut MemoryArchive| {
        let config = World::new(at(NOW)).configure(config);
        let state = own_state();
        let instance = Some("hk-2".to_owned());
        let wish = prune::Wish { before: when("2026-11-20"), instance, rehearse: true, ..prune::Wish::default() };
        let text = Facts { config: &config, state: &state, now: at(NOW), alone: false }.prune(archive, &wish).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    let since = |day: &str| format!("what is since {day} 00:00 +08:00 stays: of it are the periods that run");
    let of = |period: &str| CONFIG.replace("allowance", &format!("period = \"{period}\"\nallowance"));
    assert_eq!(prune(&of("day"), &mut archive), since("2026-11-01"), "its month may count");
    assert_eq!(prune(&of("year"), &mut archive), since("2026-01-01"), "as this machine's does");
}

fn prune(archive: &mut MemoryArchive, state: &State, wish: &prune::Wish) -> crate::error::Result<String> {
    let config = config();
    Facts { config: &config, state, now: at(NOW), alone: true }.prune(archive, wish)
}

fn when(text: &str) -> Option<When> {
    Some(When::parse(text).unwrap())
}

#[test]
fn the_period_that_runs_is_never_pruned() {
    let mut archive = MemoryArchive::default();
    let all = [subject(1, "eth0", "", ""), subject(2, "eth1", "", "")];
    archive.write(&sampled("2026-10-30T00:00:00+08:00", "2026-11-21T10:00:00+08:00", &all)).unwrap();
    let before = made(&mut archive, &own_state(), &ask(Wish::default()));
    let rehearse = prune::Wish { before: when("2026-11-10"), rehearse: true, ..prune::Wish::default() };
    let text = prune(&mut archive, &own_state(), &rehearse).unwrap();
    assert_eq!(
        text,
        "what is since 2026-11-01 00:00 +08:00 stays: of it are the periods that run\n\
         interface/eth0: 576 rows\ninterface/eth1: 576 rows\n\
         would be deleted: 1152 rows and 0 events, before 2026-11-01 00:00 +08:00\n"
    );
    assert_eq!(archive.rows(None, at("2026-10-01T00:00:00Z"), at(NOW), Grain::Sample).unwrap().len(), 2 * 6457);
    let text = prune(&mut archive, &own_state(), &prune::Wish { rehearse: false, ..rehearse }).unwrap();
    assert!(text.ends_with("\ndeleted: 1152 rows and 0 events, before 2026-11-01 00:00 +08:00\n"), "{text}");
    let after = made(&mut archive, &own_state(), &ask(Wish::default()));
    assert_eq!((after.whole, after.cells), (before.whole, before.cells));
    let november = prune::Wish { from: when("2026-11-02"), to: when("2026-11-03"), ..prune::Wish::default() };
    assert!(prune(&mut archive, &own_state(), &november).unwrap().ends_with("\nnothing is deleted\n"));
}

#[test]
fn what_cannot_be_pruned_is_told_why() {
    let mut archive = MemoryArchive::default();
    archive
        .write(&sampled("2026-10-30T00:00:00+08:00", "2026-10-30T10:00:00+08:00", &[subject(1, "eth0", "", "")]))
        .unwrap();
    let mut error = |wish: prune::Wish| {
        let error = prune(&mut archive, &own_state(), &wish).unwrap_err();
        assert_eq!(error.exit as u8, 2);
        error.text
    };
    let of = |from, to| prune::Wish { from: when(from), to: when(to), ..prune::Wish::default() };
    assert_eq!(error(of("2026-10-02", "2026-10-01")), "--from is not before --to");
    assert_eq!(error(of("2026-10-02", "2026-12-01")), "--to: it is in the future");
    assert_eq!(error(prune::Wish { before: when("2027"), ..prune::Wish::default() }), "--before: it is in the future");
    let subjects = vec!["eht0".to_owned()];
    let unknown = prune::Wish { before: when("2026-11-01"), subjects, ..prune::Wish::default() };
    assert!(error(unknown).ends_with("did you mean \"eth0\"?"));
    let empty = prune(
        &mut MemoryArchive::default(),
        &own_state(),
        &prune::Wish { before: when("2026-11-01"), ..prune::Wish::default() },
    );
    assert!(empty.unwrap().starts_with("no history yet"));
}

/// Hours of October with what each subject sent, as a report has them.
fn october(archive: &mut MemoryArchive) -> BTreeMap<String, Vec<Option<Used>>> {
    let config = config();
    let state = own_state();
    let facts = Facts { config: &config, state: &state, now: at(NOW), alone: true };
    let wish = Wish { from: when("2026-10-01"), to: when("2026-10-10"), by: Some(By::Hour), ..Wish::default() };
    let report = facts.report(archive, &ask(wish), &mut |_, _| {}).unwrap();
    let rows = report.map(|report| report.rows).unwrap_or_default();
    rows.into_iter().map(|row| (row.subject, row.cells)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, rng_seed: RngSeed::Fixed(37), failure_persistence: None, ..Default::default() })]
    #[test]
    fn what_is_left_after_pruning_says_what_it_said(
        steps in prop::collection::vec((1_u64..5, 0_i64..90_000_000, 0_u32..1000), 60..120),
        start in 0_u64..200,
        length in 1_u64..150,
        range in any::<bool>(),
        one in any::<bool>(),
    ) {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let first = at("2026-10-01T00:00:00+08:00");
        let hour = |hours: u64| first.plus(Duration::from_secs(hours * 3600));
        let mut archive = MemoryArchive::default();
        let mut batch = sampled("2026-10-01T00:00:00+08:00", "2026-10-01T00:00:00+08:00", &[subject(1, "eth0", "", ""), subject(2, "eth1", "", "")]);
        batch.moments.clear();
        let (mut hours, mut rx) = (0, -1000);
        for (step, more, spread) in steps {
            let of = |rx: i64| Total { rx, tx: rx / 3, spread, hole: false };
            let moment = hour(hours);
            batch.moments.push(Moment { at: moment, grain: grain(&zone, moment), totals: vec![(1, of(rx)), (2, of(rx * 2))] });
            (hours, rx) = (hours + step, rx + more);
        }
        archive.write(&batch).unwrap();
        let before = october(&mut archive);
        // On edges of hours, where most often there is a row of neither subject.
        let (from, to) = (if range { start } else { 0 }, start + length);
        let time = |hours: u64| Some(When::Exact(hour(hours)));
        let wish = prune::Wish {
            from: time(from).filter(|_| range),
            to: time(to).filter(|_| range),
            before: time(to).filter(|_| !range),
            subjects: if one { vec!["eth0".into()] } else { Vec::new() },
            ..prune::Wish::default()
        };
        prune(&mut archive, &own_state(), &wish).unwrap();
        let after = october(&mut archive);
        for (subject, cells) in &before {
            for (hour, cell) in cells.iter().enumerate() {
                let gone = (from..to).contains(&(hour as u64)) && (subject == "eth0" || !one);
                check(*cell, after.get(subject).and_then(|cells| cells[hour]), gone)?;
            }
        }
    }
}

/// Nothing of what is gone; of the rest what was said, but for a byte where bytes are divided by time.
fn check(before: Option<Used>, after: Option<Used>, gone: bool) -> Result<(), TestCaseError> {
    if gone {
        prop_assert_eq!(after, None);
        return Ok(());
    }
    prop_assert_eq!(before.is_some(), after.is_some());
    if let (Some(before), Some(after)) = (before, after) {
        prop_assert!(before.flow.rx.abs_diff(after.flow.rx) <= 1, "{:?} {:?}", before, after);
        prop_assert!(before.flow.tx.abs_diff(after.flow.tx) <= 1, "{:?} {:?}", before, after);
    }
    Ok(())
}

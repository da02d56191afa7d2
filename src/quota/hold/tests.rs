//! What tiers want of guests, and which of several wants counts.

use std::time::Duration;

use time::Time;

use super::*;
use crate::quota::bytes::{Unit, UnitBase};
use crate::quota::duration::Language;
use crate::quota::guest::{Choice, Guest};
use crate::quota::meter::{Count, Identity};
use crate::quota::period::{Cycle, Rule, ShortMonth};
use crate::quota::policy::{ActionRule, Level, Threshold, Tier};
use crate::quota::state::{Deed, TierMark};
use crate::quota::zone::Zone;

const SLOW: Kept = Kept::Limited(1000);

fn at(seconds: i64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

fn off() -> Off {
    Off { hard: false, timeout: None, force: false, restart: false, grace: Duration::from_secs(900) }
}

fn action(name: &str, effect: Effect) -> ActionRule {
    ActionRule {
        name: name.into(),
        effect,
        boot_grace: Duration::ZERO,
        announce: Duration::ZERO,
        arm_after: Duration::ZERO,
        again_after: None,
        retry_after: Duration::ZERO,
        lifts: false,
    }
}

fn tier(key: &str, actions: Vec<ActionRule>) -> Tier {
    Tier {
        name: key.into(),
        threshold: Threshold::Used(Level::Bytes(1)),
        key: key.into(),
        repeat: None,
        notify: Vec::new(),
        actions,
        definition: "d".into(),
    }
}

/// Limits at 80 % and disconnects at 100 %, each guest by itself.
fn quota(name: &str) -> Quota {
    let rule = Rule {
        cycle: Cycle::Month { day: 1 },
        at: Time::MIDNIGHT,
        zone: Zone::utc(),
        short_month: ShortMonth::LastDay,
        since_creation: false,
    };
    let limit = action("slow", Effect::Kept(SLOW));
    let cut = action("cut", Effect::Kept(Kept::Disconnected));
    Quota {
        name: name.into(),
        label: None,
        source: "pve".into(),
        count: Count::Sum,
        allowance: Some(100),
        unit: Unit::giga(UnitBase::Thousand),
        unit_base: UnitBase::Thousand,
        rule_key: rule.key(),
        row_key: format!("{name} {}", rule.key()),
        rule,
        subjects: Vec::new(),
        exclude: Vec::new(),
        packages: None,
        choice: Some(Choice::default()),
        pool: false,
        since_boot: false,
        tiers: vec![tier("used 80%", vec![limit]), tier("used 100%", vec![cut])],
        report: None,
    }
}

fn deed(status: Status, seconds: i64) -> Deed {
    Deed {
        status,
        at: at(seconds),
        tries: 0,
        due: None,
        definition: "d".into(),
        machine: None,
        output: String::new(),
        job: None,
        sent: false,
    }
}

/// A row in which these deeds stand, by tier and action.
fn row(quota: &Quota, deeds: &[(&str, &str, Status)]) -> Row {
    let mut row = Row {
        quota: quota.name.clone(),
        count: quota.count,
        rule: quota.rule_key.clone(),
        period: at(0),
        tiers: BTreeMap::new(),
        misfit: None,
        reported: at(0),
        before: Vec::new(),
    };
    for (tier, action, status) in deeds {
        let mark: &mut TierMark = row.tiers.entry((*tier).to_owned()).or_default();
        mark.deeds.insert((*action).to_owned(), deed(*status, 60));
    }
    row
}

/// Guests of a cluster.
fn state(guests: &[&str]) -> State {
    let mut state = State::default();
    let source = state.sources.entry("pve".into()).or_default();
    for name in guests {
        let guest = Some(Box::new(Guest { node: "pve1".into(), ..Guest::default() }));
        source.subjects.insert((*name).to_owned(), Subject { guest, ..Subject::default() });
    }
    state
}

fn subject<'s>(state: &'s mut State, name: &str) -> &'s mut Subject {
    state.sources.get_mut("pve").unwrap().subjects.get_mut(name).unwrap()
}

fn mark(state: &mut State, name: &str, quota: &Quota, deeds: &[(&str, &str, Status)]) {
    subject(state, name).rows.insert(quota.row_key.clone(), Box::new(row(quota, deeds)));
}

/// Quota, action and what is kept.
type Wanted = (String, String, Kept);

/// By guest.
fn wanted(quotas: &[Quota], state: &State) -> Vec<(String, Vec<Wanted>)> {
    let machine = Identity::default();
    let selected = vec![true; quotas.len()];
    let context = Context {
        now: at(100),
        language: Language::En,
        quotas,
        selected: &selected,
        channels: &[],
        names: &[],
        machine: &machine,
        withheld: None,
        last_run: None,
        alarms: &[],
        watching: &[],
    };
    let want = |want: Want| {
        assert_eq!(want.need.since, at(60));
        (want.need.quota, want.need.action, want.kept)
    };
    wants(&context, state).into_iter().map(|((_, guest), all)| (guest, all.into_iter().map(want).collect())).collect()
}

fn want(quota: &str, action: &str, kept: Kept) -> Wanted {
    (quota.into(), action.into(), kept)
}

#[test]
fn what_is_wanted_follows_from_the_marks() {
    let quota = quota("month");
    let mut state = state(&["lxc/3", "qemu/1", "qemu/2"]);
    mark(&mut state, "qemu/1", &quota, &[("used 80%", "slow", Status::Held)]);
    let both = [("used 80%", "slow", Status::Held), ("used 100%", "cut", Status::Held)];
    mark(&mut state, "qemu/2", &quota, &both);
    mark(&mut state, "lxc/3", &quota, &[]);
    let slow = || want("month", "slow", SLOW);
    let expected = vec![
        ("qemu/1".to_owned(), vec![slow()]),
        ("qemu/2".into(), vec![slow(), want("month", "cut", Kept::Disconnected)]),
    ];
    assert_eq!(wanted(&[quota], &state), expected);
}

#[test]
fn only_what_is_held_is_wanted() {
    let quota = quota("month");
    for status in [Status::Announced, Status::Started, Status::Done, Status::Failed, Status::GivenUp, Status::Passed] {
        let mut state = state(&["qemu/1"]);
        mark(&mut state, "qemu/1", &quota, &[("used 80%", "slow", status)]);
        assert_eq!(wanted(std::slice::from_ref(&quota), &state), [], "{status:?}");
    }
}

#[test]
fn what_is_not_configured_any_more_is_not_wanted() {
    let quota = quota("month");
    let mut state = state(&["qemu/1"]);
    mark(&mut state, "qemu/1", &quota, &[("used 80%", "slow", Status::Held)]);
    let tierless = Quota { tiers: quota.tiers[1..].to_vec(), ..quota.clone() };
    let other_action =
        Quota { tiers: vec![tier("used 80%", vec![action("other", Effect::Kept(SLOW))])], ..quota.clone() };
    let once = Quota { tiers: vec![tier("used 80%", vec![action("slow", Effect::GuestOff)])], ..quota.clone() };
    let other_rule = Quota { row_key: "month year".into(), ..quota.clone() };
    let other_guests = Quota { exclude: vec!["qemu/1".into()], ..quota.clone() };
    for quotas in [vec![], vec![tierless], vec![other_action], vec![once], vec![other_rule], vec![other_guests]] {
        assert_eq!(wanted(&quotas, &state), [], "{quotas:?}");
    }
    subject(&mut state, "qemu/1").gone = Some(at(90));
    assert_eq!(wanted(&[quota], &state), []);
}

#[test]
fn several_quotas_want_at_once() {
    let (month, mut day) = (quota("month"), quota("day"));
    day.rule.cycle = Cycle::Day;
    day.rule_key = day.rule.key();
    let mut state = state(&["qemu/1"]);
    mark(&mut state, "qemu/1", &month, &[("used 80%", "slow", Status::Held)]);
    mark(&mut state, "qemu/1", &day, &[("used 100%", "cut", Status::Held)]);
    let both = vec![want("month", "slow", SLOW), want("day", "cut", Kept::Disconnected)];
    assert_eq!(wanted(&[month.clone(), day.clone()], &state), [("qemu/1".to_owned(), both)]);
    // One lets it go, the other does not.
    subject(&mut state, "qemu/1").lifted.insert(month.rule_key.clone(), at(0));
    let one = vec![want("day", "cut", Kept::Disconnected)];
    assert_eq!(wanted(&[month, day], &state), [("qemu/1".to_owned(), one)]);
}

#[test]
fn a_lift_is_for_the_period_it_was_made_in() {
    let quota = quota("month");
    let quotas = std::slice::from_ref(&quota);
    let mut state = state(&["qemu/1", "qemu/2"]);
    for name in ["qemu/1", "qemu/2"] {
        mark(&mut state, name, &quota, &[("used 80%", "slow", Status::Held)]);
    }
    let names = |state: &State| wanted(quotas, state).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let source = |state: &mut State, guest: &str, lifted| {
        set_lifted(quotas, state.sources.get_mut("pve").unwrap(), guest, lifted)
    };
    assert!(source(&mut state, "qemu/1", true));
    assert_eq!(names(&state), ["qemu/2"]);
    assert!(source(&mut state, "qemu/1", false));
    assert_eq!(names(&state), ["qemu/1", "qemu/2"]);
    assert!(source(&mut state, "qemu/1", true));
    let row = subject(&mut state, "qemu/1").rows.get_mut(&quota.row_key).unwrap();
    row.period = at(1000);
    assert_eq!(names(&state), ["qemu/1", "qemu/2"], "a new period");
    assert!(!source(&mut state, "qemu/9", true));
}

#[test]
fn there_is_nothing_to_lift_where_no_quota_holds() {
    let mut plain = quota("month");
    plain.tiers = vec![tier("used 80%", vec![action("stop", Effect::GuestOff)])];
    let mut state = state(&["qemu/1"]);
    mark(&mut state, "qemu/1", &plain, &[]);
    let source = state.sources.get_mut("pve").unwrap();
    assert!(!set_lifted(&[plain.clone()], source, "qemu/1", true));
    assert!(!set_lifted(&[], source, "qemu/1", true));
    assert!(source.subjects["qemu/1"].lifted.is_empty());
    let holding = Quota { exclude: vec!["qemu/1".into()], ..quota("month") };
    assert!(!set_lifted(&[holding], source, "qemu/1", true), "it is not about that guest");
}

#[test]
fn what_a_pool_has_reached_is_wanted_of_all_in_it() {
    let pool = Quota { pool: true, exclude: vec!["qemu/2".into()], ..quota("month") };
    let quotas = std::slice::from_ref(&pool);
    let mut state = state(&["lxc/3", "lxc/4", "qemu/1", "qemu/2"]);
    let sum = Subject {
        rows: BTreeMap::from([(pool.row_key.clone(), Box::new(row(&pool, &[("used 80%", "slow", Status::Held)])))]),
        ..Subject::default()
    };
    subject(&mut state, "lxc/4").gone = Some(at(1));
    state.sources.get_mut("pve").unwrap().pools.insert("month".into(), sum);
    let all = |names: &[&str]| -> Vec<(String, Vec<Wanted>)> {
        names.iter().map(|name| ((*name).to_owned(), vec![want("month", "slow", SLOW)])).collect()
    };
    assert_eq!(wanted(quotas, &state), all(&["lxc/3", "qemu/1"]));
    // One of them is let go.
    let source = state.sources.get_mut("pve").unwrap();
    assert!(set_lifted(quotas, source, "qemu/1", true) && !set_lifted(quotas, source, "qemu/2", true));
    assert_eq!(wanted(quotas, &state), all(&["lxc/3"]));
}

fn strictest(kept: &[Kept]) -> Strictest {
    let wants: Vec<Want> = kept
        .iter()
        .map(|kept| Want { need: Need { quota: "q".into(), action: "a".into(), since: at(0) }, kept: *kept })
        .collect();
    Strictest::of(&wants)
}

#[test]
fn of_several_wants_the_strictest_counts() {
    assert_eq!((strictest(&[]), strictest(&[]).is_on_nics()), (Strictest::default(), false));
    let limits = strictest(&[Kept::Limited(9), Kept::Limited(3), Kept::Limited(5)]);
    assert_eq!((limits.limit, limits.disconnected, limits.off, limits.is_on_nics()), (Some(3), false, None, true));
    let all = strictest(&[Kept::Limited(9), Kept::Off(off()), Kept::Disconnected]);
    assert_eq!((all.limit, all.disconnected, all.off), (Some(9), true, Some(off())));
    assert!(strictest(&[Kept::Disconnected]).is_on_nics() && !strictest(&[Kept::Off(off())]).is_on_nics());
}

#[test]
fn of_two_ways_down_the_harder_counts_and_one_that_starts_again_is_enough() {
    let soft = Off { timeout: Some(Duration::from_secs(60)), ..off() };
    let hard = Off { hard: true, restart: true, grace: Duration::ZERO, ..off() };
    let both = Off { hard: true, timeout: None, force: false, restart: true, grace: Duration::ZERO };
    assert_eq!(strictest(&[Kept::Off(soft), Kept::Off(hard)]).off, Some(both));
    assert_eq!(strictest(&[Kept::Off(hard), Kept::Off(soft)]).off, Some(both));
    let forced = Off { force: true, timeout: None, ..off() };
    let off = strictest(&[Kept::Off(soft), Kept::Off(forced)]).off.unwrap();
    assert_eq!((off.force, off.hard, off.timeout), (true, false, Some(Duration::from_secs(60))));
}

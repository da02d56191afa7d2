//! What every kind of store has to do: run on each of them, and on the plain one in memory.
//!
//! A kind of store runs [`suite`], and [`tables_suite`] when it has tables, each case on a store of its own.

use std::thread;
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::place::Mode;
use super::series::AGED;
use super::*;
use crate::quota::event::{Kind, Outcome};
use crate::testing::archive::MemoryArchive;

/// A store, open or absent.
pub type Opened = Result<Option<Box<dyn Archive + Send>>, Failure>;

/// An empty store of its kind, which is gone when this is dropped.
pub trait Fresh: Sync {
    /// Opens it, as often as is wanted.
    fn open(&self, mode: Mode) -> Opened;
    /// Runs statements on its tables, past the program.
    fn sql(&self, statements: &str);
}

/// Opened to write.
fn archive(store: &dyn Fresh) -> Box<dyn Archive + Send> {
    store.open(Mode::Write).unwrap().expect("a store to write to")
}

/// Runs each case on a store that `fresh` makes for it.
pub fn suite(fresh: &dyn Fn() -> Box<dyn Fresh>) {
    run(CASES, fresh);
}

/// The same for those that have tables.
pub fn tables_suite(fresh: &dyn Fn() -> Box<dyn Fresh>) {
    run(TABLE_CASES, fresh);
}

type Case = (&'static str, fn(&dyn Fresh));

fn run(cases: &[Case], fresh: &dyn Fn() -> Box<dyn Fresh>) {
    for (name, case) in cases {
        // Shown when it fails.
        println!("case: {name}");
        case(&*fresh());
    }
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}

const CASES: &[Case] = cases![
    an_empty_store_has_nothing,
    what_is_written_is_read,
    writing_twice_is_writing_once,
    later_rows_are_replaced,
    without_a_known_sample_nothing_is_replaced,
    a_batch_is_written_whole_or_not_at_all,
    names_follow,
    machines_are_kept_apart,
    a_grain_only_rises,
    rows_are_chosen_by_subject_time_and_grain,
    the_nearest_row_is_found_on_either_side,
    it_is_known_from_when_to_when_there_are_rows,
    thinning_takes_what_is_over_and_nothing_else,
    thinning_is_bounded,
    events_are_numbered_on,
    events_are_in_order,
    events_are_thinned_only_with_days,
    first_rows_are_never_thinned_out,
    the_nearest_rows_of_many_are_found_at_once,
    pruning_takes_all_between_the_ends,
    pruning_of_one_subject_leaves_the_others,
    a_rehearsal_changes_nothing,
    rows_stay_where_they_are_wanted,
    pruning_what_is_not_there,
    any_name_is_only_a_name,
    the_largest_numbers_come_back,
    many_machines_write_at_the_same_time,
];

const TABLE_CASES: &[Case] = cases![
    an_absent_store_is_not_made_by_reading,
    an_older_store_is_read_and_brought_up_to_date,
    a_newer_store_is_left_alone,
    readers_see_what_was_written_meanwhile,
];

const MIN: Instant = Instant::from_millis(i64::MIN);
const MAX: Instant = Instant::from_millis(i64::MAX);
const MINUTE: Duration = Duration::from_secs(60);

fn at(minute: i64) -> Instant {
    Instant::from_millis(1_767_225_600_000 + minute * 60_000)
}

fn named(key: u64) -> Named {
    Named {
        key,
        source: "nic".into(),
        subject: format!("eth{key}"),
        label: String::new(),
        part_of: if key > 100 { "eth1".into() } else { String::new() },
    }
}

/// Nothing, of a machine.
fn batch(instance: &str) -> Batch {
    Batch {
        instance: instance.into(),
        host: format!("host-{instance}"),
        after: None,
        subjects: Vec::new(),
        moments: Vec::new(),
        logged: 0,
        events: Vec::new(),
        keep: Keep { samples: None, hours: None, days: None },
        now: at(0),
    }
}

/// Moments: the minute, the grain, and by key what was sent.
type Minutes<'a> = &'a [(i64, Grain, &'a [(u64, i64)])];

/// Moments with what the keys had sent by then, as many bytes received and a thousand more.
fn moments(minutes: Minutes<'_>) -> Vec<Moment> {
    let total = |tx: i64| Total { rx: tx + 1000, tx, ..Total::default() };
    let moment = |(minute, grain, totals): &(i64, Grain, &[(u64, i64)])| Moment {
        at: at(*minute),
        grain: *grain,
        totals: totals.iter().map(|(key, tx)| (*key, total(*tx))).collect(),
    };
    minutes.iter().map(moment).collect()
}

/// A batch of rows, with the names of its subjects.
fn rows_of(instance: &str, after: Option<i64>, minutes: Minutes<'_>) -> Batch {
    let mut keys: Vec<u64> = minutes.iter().flat_map(|(_, _, totals)| totals.iter().map(|(key, _)| *key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let subjects = keys.into_iter().map(named).collect();
    Batch { after: after.map(at), subjects, moments: moments(minutes), ..batch(instance) }
}

fn event(minute: i64, kind: Kind, subject: &str) -> Event {
    Event {
        at: at(minute),
        kind,
        source: "nic".into(),
        subject: subject.into(),
        quota: "month".into(),
        name: "ops".into(),
        reason: "80% of 1 TB".into(),
        outcome: Outcome::Done,
        detail: "seen".into(),
    }
}

/// The number of a machine's subject.
fn id(archive: &mut dyn Archive, instance: &str, key: u64) -> i64 {
    let known = archive.subjects(Some(instance)).unwrap();
    known.iter().find(|known| known.named.key == key).unwrap_or_else(|| panic!("no {key} in {known:?}")).id
}

/// All rows as machine, key, minute and bytes sent, of at least a grain.
fn told(archive: &mut dyn Archive, grain: Grain) -> Vec<(String, u64, i64, i64)> {
    let known = archive.subjects(None).unwrap();
    let rows = archive.rows(None, MIN, MAX, grain).unwrap();
    let mut told: Vec<_> = rows
        .iter()
        .map(|row| {
            let of = known.iter().find(|known| known.id == row.id).unwrap_or_else(|| panic!("{row:?} of nobody"));
            (of.instance.clone(), of.named.key, (row.at.millis() - at(0).millis()) / 60_000, row.total.tx)
        })
        .collect();
    told.sort();
    told
}

/// The same without the machine, of one.
fn rows(archive: &mut dyn Archive) -> Vec<(u64, i64, i64)> {
    told(archive, Grain::Sample).into_iter().map(|(_, key, minute, tx)| (key, minute, tx)).collect()
}

/// Everything that a store says: the rows by grain.
type Everything = (Vec<Instance>, Vec<Known>, [Vec<Row>; 3], Vec<Logged>);

fn everything(archive: &mut dyn Archive) -> Everything {
    let rows = [Grain::Sample, Grain::Hour, Grain::Day].map(|grain| archive.rows(None, MIN, MAX, grain).unwrap());
    (archive.instances().unwrap(), archive.subjects(None).unwrap(), rows, archive.events(None, MIN, MAX).unwrap())
}

fn an_empty_store_has_nothing(store: &dyn Fresh) {
    let mut archive = archive(store);
    assert_eq!(everything(&mut *archive), Default::default());
    assert_eq!(archive.nearest(1, Side::Before, at(0), Grain::Sample), Ok(None));
    assert_eq!(archive.subjects(Some("a")), Ok(Vec::new()));
    assert_eq!(archive.rows(Some(&[]), MIN, MAX, Grain::Sample), Ok(Vec::new()));
    archive.write(&batch("a")).unwrap();
    assert_eq!(archive.instances(), Ok(vec![Instance { id: "a".into(), host: "host-a".into() }]));
    assert_eq!(archive.subjects(None), Ok(Vec::new()));
}

fn what_is_written_is_read(store: &dyn Fresh) {
    let spread = Total { rx: -7, tx: 3, spread: 600, hole: false };
    let hole = Total { rx: 5, tx: 9, spread: 0, hole: true };
    let label = Named { label: "shop".into(), part_of: "qemu/1".into(), ..named(2) };
    let moment = Moment { at: at(5), grain: Grain::Hour, totals: vec![(2, hole), (1, spread)] };
    let batch = Batch { subjects: vec![named(1), label.clone()], moments: vec![moment], ..batch("a") };
    archive(store).write(&batch).unwrap();
    let mut archive = archive(store);
    let known = archive.subjects(None).unwrap();
    assert!(known[0].id < known[1].id);
    for (known, of) in known.iter().zip([named(1), label]) {
        let (instance, first) = ("a".to_owned(), at(5));
        assert_eq!(*known, Known { id: known.id, instance, named: of, first, seen: first });
    }
    let row = |index: usize, total| Row { id: known[index].id, at: at(5), total };
    assert_eq!(archive.rows(None, MIN, MAX, Grain::Hour), Ok(vec![row(0, spread), row(1, hole)]));
    assert_eq!(archive.nearest(known[1].id, Side::After, at(0), Grain::Sample), Ok(Some(row(1, hole))));
}

fn writing_twice_is_writing_once(store: &dyn Fresh) {
    let mut archive = archive(store);
    let events = vec![event(1, Kind::Alert, "eth1"), event(2, Kind::Reset, "eth1")];
    let rows = rows_of("a", Some(0), &[(5, Grain::Hour, &[(1, 10), (2, 20)]), (9, Grain::Sample, &[(1, 12)])]);
    let batch = Batch { events, ..rows };
    archive.write(&batch).unwrap();
    let once = everything(&mut *archive);
    assert_eq!((once.1.len(), once.2[0].len(), once.3.len()), (2, 3, 2));
    archive.write(&batch).unwrap();
    assert_eq!(everything(&mut *archive), once);
    archive.write(&Batch { after: None, ..batch }).unwrap();
    assert_eq!(everything(&mut *archive), once);
}

fn later_rows_are_replaced(store: &dyn Fresh) {
    let mut archive = archive(store);
    archive.write(&rows_of("a", None, &[(0, Grain::Day, &[(1, 0), (2, 0)]), (5, Grain::Sample, &[(1, 5)])])).unwrap();
    // Cut off before its state was saved: this, and the subject it saw first.
    archive
        .write(&rows_of("a", Some(5), &[(7, Grain::Day, &[(1, 6)]), (10, Grain::Sample, &[(1, 9), (3, 1)])]))
        .unwrap();
    assert_eq!(rows(&mut *archive), [(1, 0, 0), (1, 5, 5), (1, 7, 6), (1, 10, 9), (2, 0, 0), (3, 10, 1)]);
    archive.write(&rows_of("a", Some(5), &[(11, Grain::Sample, &[(1, 8), (2, 4)])])).unwrap();
    assert_eq!(rows(&mut *archive), [(1, 0, 0), (1, 5, 5), (1, 11, 8), (2, 0, 0), (2, 11, 4)]);
    let known = archive.subjects(None).unwrap();
    assert_eq!(known.iter().map(|known| known.named.key).collect::<Vec<_>>(), [1, 2], "the third never was");
    archive.write(&rows_of("a", Some(11), &[])).unwrap();
    assert_eq!(rows(&mut *archive).len(), 5, "what the state knows of stays");
    archive.write(&rows_of("a", Some(-1), &[])).unwrap();
    assert_eq!(rows(&mut *archive), []);
}

fn without_a_known_sample_nothing_is_replaced(store: &dyn Fresh) {
    let mut archive = archive(store);
    archive
        .write(&rows_of("a", None, &[(5, Grain::Sample, &[(1, 5), (2, 5)]), (9, Grain::Sample, &[(1, 9)])]))
        .unwrap();
    archive.write(&rows_of("a", None, &[(5, Grain::Sample, &[(1, 4)]), (6, Grain::Sample, &[(1, 6)])])).unwrap();
    assert_eq!(rows(&mut *archive), [(1, 5, 4), (1, 6, 6), (1, 9, 9), (2, 5, 5)]);
}

fn a_batch_is_written_whole_or_not_at_all(store: &dyn Fresh) {
    let mut archive = archive(store);
    archive.write(&rows_of("a", None, &[(0, Grain::Day, &[(1, 0)]), (5, Grain::Sample, &[(1, 5)])])).unwrap();
    let before = everything(&mut *archive);
    let good = rows_of("a", Some(0), &[(3, Grain::Sample, &[(1, 3)]), (4, Grain::Sample, &[(1, 4), (9, 4)])]);
    let wrong = Batch {
        host: "renamed".into(),
        subjects: vec![Named { label: "new".into(), ..named(1) }, named(2)],
        events: vec![event(4, Kind::Hold, "eth1")],
        ..good
    };
    let failure = archive.write(&wrong).unwrap_err();
    assert!(failure.text.contains("0000000000000009"), "{failure}");
    assert_eq!(everything(&mut *archive), before);
    let elsewhere = Batch { instance: "b".into(), ..wrong };
    assert!(archive.write(&elsewhere).is_err());
    assert_eq!(everything(&mut *archive), before);
}

fn names_follow(store: &dyn Fresh) {
    let mut archive = archive(store);
    archive.write(&rows_of("a", None, &[(0, Grain::Day, &[(1, 0), (2, 0)])])).unwrap();
    let number = id(&mut *archive, "a", 1);
    let renamed = Named { subject: "wan0".into(), label: "uplink".into(), part_of: "x".into(), ..named(1) };
    let moments = moments(&[(5, Grain::Sample, &[(1, 7)])]);
    let next = Batch { host: "moved".into(), subjects: vec![renamed.clone()], moments, ..batch("a") };
    archive.write(&next).unwrap();
    let known = archive.subjects(Some("a")).unwrap();
    let names: Vec<_> = known.iter().map(|known| (known.id, known.named.clone())).collect();
    assert_eq!(names, [(number, renamed), (known[1].id, named(2))]);
    assert_eq!(archive.instances().unwrap()[0].host, "moved");
    assert_eq!(archive.rows(Some(&[number]), MIN, MAX, Grain::Sample).unwrap().len(), 2);
}

fn machines_are_kept_apart(store: &dyn Fresh) {
    let mut archive = archive(store);
    for (instance, tx) in [("b", 20), ("a", 10)] {
        let rows = rows_of(instance, None, &[(5, Grain::Sample, &[(1, tx)]), (6, Grain::Day, &[(1, tx + 1)])]);
        archive.write(&Batch { events: vec![event(5, Kind::Alert, instance)], ..rows }).unwrap();
    }
    let of = |instance: &str, minute, tx| (instance.to_owned(), 1, minute, tx);
    let all = [of("a", 5, 10), of("a", 6, 11), of("b", 5, 20), of("b", 6, 21)];
    assert_eq!(told(&mut *archive, Grain::Sample), all);
    let (a, b) = (id(&mut *archive, "a", 1), id(&mut *archive, "b", 1));
    assert_ne!(a, b);
    assert_eq!(archive.rows(Some(&[b]), MIN, MAX, Grain::Sample).unwrap().len(), 2);
    assert_eq!(archive.nearest(a, Side::Before, at(9), Grain::Sample).unwrap().map(|row| row.total.tx), Some(11));
    // What one replaces, thins and logs is its own.
    let keep = Keep { samples: Some(MINUTE), ..batch("b").keep };
    archive.write(&Batch { after: Some(at(5)), keep, now: at(60), ..batch("b") }).unwrap();
    assert_eq!(told(&mut *archive, Grain::Sample), all[..3], "the first row is for good");
    assert_eq!(archive.events(None, MIN, MAX).unwrap().len(), 1);
    assert_eq!(archive.events(Some("a"), MIN, MAX).unwrap()[0].event.subject, "a");
    let hosts: Vec<_> = archive.instances().unwrap().into_iter().map(|instance| instance.id).collect();
    assert_eq!(hosts, ["a", "b"]);
    archive.write(&Batch { host: "aaa".into(), ..batch("b") }).unwrap();
    archive.write(&Batch { host: "host-a".into(), ..batch("B") }).unwrap();
    let hosts: Vec<_> = archive.instances().unwrap().into_iter().map(|instance| instance.id).collect();
    assert_eq!(hosts, ["b", "B", "a"], "by the hosts' names, in the order of their characters");
    assert_eq!(archive.subjects(Some("B")), Ok(Vec::new()), "not the same as b");
}

fn a_grain_only_rises(store: &dyn Fresh) {
    let mut archive = archive(store);
    for grain in [Grain::Sample, Grain::Day, Grain::Hour, Grain::Sample] {
        archive.write(&rows_of("a", None, &[(0, grain, &[(1, 7)])])).unwrap();
    }
    assert_eq!(told(&mut *archive, Grain::Day).len(), 1);
}

fn rows_are_chosen_by_subject_time_and_grain(store: &dyn Fresh) {
    let mut archive = archive(store);
    let keys: Vec<(u64, i64)> = (1..=80).map(|key| (key, key as i64)).collect();
    let grains = [(0, Grain::Day), (1, Grain::Sample), (2, Grain::Hour), (3, Grain::Sample), (4, Grain::Day)];
    let rows: Vec<_> = grains.map(|(minute, grain)| (minute, grain, keys.as_slice())).into();
    archive.write(&rows_of("a", None, &rows)).unwrap();
    let ids: Vec<i64> = archive.subjects(None).unwrap().iter().map(|known| known.id).collect();
    let mut ask = |ids: Option<&[i64]>, from: i64, to: i64, grain| archive.rows(ids, at(from), at(to), grain).unwrap();
    let all = ask(None, -9, 9, Grain::Sample);
    assert_eq!(all.len(), 400);
    assert!(all.is_sorted_by_key(|row| (row.id, row.at)));
    let minutes =
        |rows: &[Row]| -> Vec<i64> { rows.iter().map(|row| (row.at.millis() - at(0).millis()) / 60_000).collect() };
    // Few of them, many of them, and in any order, also twice.
    for count in [1, 2, 40, 79] {
        let mut some: Vec<i64> = ids[..count].iter().rev().copied().collect();
        some.push(ids[0]);
        let found = ask(Some(&some), -9, 9, Grain::Sample);
        assert_eq!(found, all[..5 * count], "{count}");
    }
    let one = &ids[6..7];
    assert_eq!(minutes(&ask(Some(one), 1, 3, Grain::Sample)), [1, 2, 3], "both ends are meant");
    assert_eq!(minutes(&ask(Some(one), 0, 4, Grain::Hour)), [0, 2, 4]);
    assert_eq!(minutes(&ask(Some(one), 0, 4, Grain::Day)), [0, 4]);
    assert_eq!(minutes(&ask(Some(one), 1, 3, Grain::Day)), [0; 0]);
    assert_eq!(minutes(&ask(Some(one), 3, 1, Grain::Sample)), [0; 0], "an end before the start");
    assert_eq!(ask(None, 2, 2, Grain::Hour).len(), 80);
    assert_eq!(ask(Some(&[]), 0, 4, Grain::Sample), []);
    assert_eq!(ask(Some(&[-1, i64::MAX]), 0, 4, Grain::Sample), []);
}

fn the_nearest_row_is_found_on_either_side(store: &dyn Fresh) {
    let mut archive = archive(store);
    let both = [(1, 7), (2, 8)];
    archive
        .write(&rows_of(
            "a",
            None,
            &[
                (0, Grain::Day, &both),
                (10, Grain::Hour, &both),
                (20, Grain::Sample, &both),
                (30, Grain::Hour, &both[1..]),
                (40, Grain::Day, &both[..1]),
            ],
        ))
        .unwrap();
    let (one, two) = (id(&mut *archive, "a", 1), id(&mut *archive, "a", 2));
    let mut near = |id, side, minute, grain| {
        let row = archive.nearest(id, side, at(minute), grain).unwrap()?;
        assert_eq!(row.id, id);
        Some((row.at.millis() - at(0).millis()) / 60_000)
    };
    for (id, minute, grain, before, after) in [
        (one, 20, Grain::Sample, Some(20), Some(20)),
        (one, 21, Grain::Sample, Some(20), Some(40)),
        (two, 21, Grain::Sample, Some(20), Some(30)),
        (one, 19, Grain::Sample, Some(10), Some(20)),
        (one, 19, Grain::Hour, Some(10), Some(40)),
        (one, 19, Grain::Day, Some(0), Some(40)),
        (two, 19, Grain::Day, Some(0), None),
        (two, 39, Grain::Sample, Some(30), None),
        (two, -1, Grain::Sample, None, Some(0)),
        (one, 0, Grain::Day, Some(0), Some(0)),
        (99, 0, Grain::Sample, None, None),
    ] {
        assert_eq!(near(id, Side::Before, minute, grain), before, "before {minute} {grain:?}");
        assert_eq!(near(id, Side::After, minute, grain), after, "after {minute} {grain:?}");
    }
}

fn it_is_known_from_when_to_when_there_are_rows(store: &dyn Fresh) {
    let mut archive = archive(store);
    let mut after = None;
    for minute in (0..6000).step_by(300) {
        let rows = [(1, minute), (2, 0)];
        archive.write(&rows_of("a", after, &[(minute, Grain::Sample, &rows[..1 + usize::from(minute == 0)])])).unwrap();
        after = Some(minute);
        let known = archive.subjects(None).unwrap();
        assert_eq!([known[0].first, known[1].first, known[1].seen], [at(0); 3]);
        assert!(known[0].seen <= at(minute) && at(minute) <= known[0].seen.plus(AGED), "{minute}: {known:?}");
        let last = archive.nearest(known[0].id, Side::After, at(minute), Grain::Sample).unwrap();
        assert_eq!(last.map(|row| row.at), Some(at(minute)));
    }
    archive.write(&rows_of("a", after, &[(-5, Grain::Day, &[(2, -1)])])).unwrap();
    let known = archive.subjects(None).unwrap();
    assert_eq!([known[1].first, known[1].seen], [at(-5), at(0)]);
    assert_eq!(archive.nearest(known[1].id, Side::Before, at(-1), Grain::Day).unwrap().map(|row| row.at), Some(at(-5)));
}

fn thinning_takes_what_is_over_and_nothing_else(store: &dyn Fresh) {
    let mut archive = archive(store);
    let both = [(1, 7), (2, 8)];
    let grain = |minute: i64| match minute % 60 {
        _ if minute % 120 == 0 => Grain::Day,
        0 => Grain::Hour,
        _ => Grain::Sample,
    };
    let rows: Vec<_> = (0..=360).step_by(20).map(|minute| (minute, grain(minute), both.as_slice())).collect();
    archive.write(&rows_of("a", None, &rows)).unwrap();
    let before = told(&mut *archive, Grain::Sample);
    let mut thinned = |samples, hours, days| {
        let keep = Keep { samples, hours, days };
        archive.write(&Batch { after: Some(at(360)), keep, now: at(360), ..batch("a") }).unwrap();
        told(&mut *archive, Grain::Sample)
    };
    let expected = |samples: i64, hours: i64, days: i64| {
        let kept = |minute: i64| match grain(minute) {
            Grain::Sample => minute >= samples,
            Grain::Hour => minute >= hours,
            Grain::Day => minute >= days,
        };
        before.iter().filter(|(_, _, minute, _)| kept(*minute)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(thinned(None, None, None), before);
    assert_eq!(thinned(Some(MINUTE * 100), None, None), expected(260, 0, 0), "what is just so old stays");
    assert_eq!(thinned(Some(MINUTE * 99), Some(MINUTE * 240), None), expected(261, 120, 0));
    assert_eq!(thinned(Some(MINUTE * 99), Some(MINUTE * 180), None), expected(261, 180, 0));
    assert_eq!(thinned(None, Some(MINUTE * 120), Some(MINUTE * 359)), expected(261, 240, 1));
    assert_eq!(thinned(Some(Duration::ZERO), None, None), expected(360, 240, 1));
    assert_eq!(told(&mut *archive, Grain::Day).len(), 6);
}

fn thinning_is_bounded(store: &dyn Fresh) {
    let mut archive = archive(store);
    let totals: Vec<(u64, i64)> = (1..=1100).map(|key| (key, 1)).collect();
    let rows: Vec<_> = (-1..10).map(|minute| (minute, Grain::Sample, totals.as_slice())).collect();
    archive.write(&rows_of("a", None, &rows)).unwrap();
    let one = id(&mut *archive, "a", 1);
    let keep = Keep { samples: Some(MINUTE), hours: None, days: None };
    for first in [4, 8, 9, 9] {
        archive.write(&Batch { after: Some(at(9)), keep, now: at(10), ..batch("a") }).unwrap();
        let left = archive.rows(Some(&[one]), MIN, MAX, Grain::Sample).unwrap();
        assert_eq!(left[0].at, at(-1), "the first of all is for good");
        assert_eq!((left[1].at, left.len()), (at(first), 11 - first as usize), "the oldest first");
    }
}

fn numbers(archive: &mut dyn Archive) -> Vec<(u64, String)> {
    let events = archive.events(Some("a"), MIN, MAX).unwrap();
    events.into_iter().map(|logged| (logged.number, logged.event.subject)).collect()
}

fn events_are_numbered_on(store: &dyn Fresh) {
    let mut archive = archive(store);
    let of = |logged, subjects: &[&str]| Batch {
        logged,
        events: subjects.iter().map(|subject| event(0, Kind::Alert, subject)).collect(),
        ..batch("a")
    };
    let expected = |pairs: &[(u64, &str)]| pairs.iter().map(|(n, s)| (*n, (*s).to_owned())).collect::<Vec<_>>();
    archive.write(&of(0, &["one", "two"])).unwrap();
    assert_eq!(numbers(&mut *archive), expected(&[(1, "one"), (2, "two")]));
    archive.write(&of(2, &["three", "four"])).unwrap();
    // Cut off before it saved its state: the run after it says something else.
    archive.write(&of(2, &["other"])).unwrap();
    assert_eq!(numbers(&mut *archive), expected(&[(1, "one"), (2, "two"), (3, "other")]));
    // Some were dropped while the store was down.
    archive.write(&of(10, &["late"])).unwrap();
    assert_eq!(numbers(&mut *archive), expected(&[(1, "one"), (2, "two"), (3, "other"), (11, "late")]));
    archive.write(&of(11, &[])).unwrap();
    assert_eq!(numbers(&mut *archive).len(), 4);
    archive.write(&of(1, &[])).unwrap();
    assert_eq!(numbers(&mut *archive), expected(&[(1, "one")]));
}

fn events_are_in_order(store: &dyn Fresh) {
    let mut archive = archive(store);
    let mut all: Vec<Event> = Kind::ALL.iter().zip([9, 3, 5, 7, 1, 5]).map(|(k, at)| event(at, *k, "eth1")).collect();
    for (event, outcome) in all.iter_mut().zip(Outcome::ALL) {
        event.outcome = outcome;
    }
    let nothing = Event { source: String::new(), subject: String::new(), quota: String::new(), ..all[0].clone() };
    all.push(Event { name: String::new(), reason: String::new(), detail: String::new(), at: at(20), ..nothing });
    archive.write(&Batch { events: all.clone(), ..batch("b") }).unwrap();
    archive.write(&Batch { events: vec![event(5, Kind::Hold, "eth2")], ..batch("a") }).unwrap();
    let mut ask = |instance, from, to| archive.events(instance, at(from), at(to)).unwrap();
    let expected = [(5, "b"), (2, "b"), (1, "a"), (3, "b"), (6, "b"), (4, "b"), (1, "b"), (7, "b")];
    let found = ask(None, -99, 99);
    let order: Vec<_> = found.iter().map(|logged| (logged.number, logged.instance.as_str())).collect();
    assert_eq!(order, expected);
    for logged in found.iter().filter(|logged| logged.instance == "b") {
        assert_eq!(logged.event, all[logged.number as usize - 1]);
    }
    let minutes = |found: Vec<Logged>| -> Vec<u64> { found.iter().map(|logged| logged.number).collect() };
    assert_eq!(minutes(ask(Some("b"), 3, 7)), [2, 3, 6], "the end is not meant");
    assert_eq!(minutes(ask(Some("c"), 0, 99)), [0; 0]);
    assert_eq!(minutes(ask(None, 7, 3)), [0; 0]);
}

fn events_are_thinned_only_with_days(store: &dyn Fresh) {
    let mut archive = archive(store);
    let count = Keep::EVENTS as i64 + 20;
    let events = (0..count).map(|minute| event(minute, Kind::Alert, "eth1")).collect();
    archive.write(&Batch { events, ..batch("a") }).unwrap();
    archive.write(&Batch { events: vec![event(0, Kind::Hold, "eth2")], ..batch("b") }).unwrap();
    let mut thinned = |keep: Keep| {
        archive.write(&Batch { keep, now: at(count), logged: count as u64, ..batch("a") }).unwrap();
        numbers(&mut *archive).first().map(|(number, _)| *number)
    };
    let short = Some(MINUTE);
    assert_eq!(thinned(Keep { samples: short, hours: short, days: None }), Some(1), "for good");
    let days = Keep { samples: None, hours: None, days: Some(MINUTE * 10) };
    assert_eq!(thinned(days), Some(Keep::EVENTS as u64 + 1), "the oldest first, and not all at once");
    assert_eq!(thinned(days), Some(count as u64 - 9), "what is just so old stays");
    assert_eq!(thinned(days), Some(count as u64 - 9));
    assert_eq!(archive.events(Some("b"), MIN, MAX).unwrap().len(), 1, "another machine's");
}

fn first_rows_are_never_thinned_out(store: &dyn Fresh) {
    let mut archive = archive(store);
    let sample = |minute: i64, keys: &'static [(u64, i64)]| (minute, Grain::Sample, keys);
    archive.write(&rows_of("a", None, &[sample(0, &[(1, 0)]), sample(5, &[(1, 1)])])).unwrap();
    let second = rows_of("a", Some(5), &[sample(10, &[(1, 2), (2, 0)]), sample(15, &[(1, 3), (2, 1)])]);
    archive.write(&second).unwrap();
    // Cut off before its state was saved, and written anew.
    archive.write(&second).unwrap();
    assert_eq!(
        told(&mut *archive, Grain::Day).iter().map(|row| (row.1, row.2)).collect::<Vec<_>>(),
        [(1, 0), (1, 10), (2, 10)]
    );
    let keep = Keep { samples: Some(MINUTE), hours: Some(MINUTE), days: None };
    archive.write(&Batch { after: Some(at(15)), keep, now: at(99), ..batch("a") }).unwrap();
    assert_eq!([minutes(&mut *archive, "a", 1), minutes(&mut *archive, "a", 2)], [vec![0, 10], vec![10]]);
}

fn the_nearest_rows_of_many_are_found_at_once(store: &dyn Fresh) {
    let mut archive = archive(store);
    let totals: Vec<(u64, i64)> = (1..=600).map(|key| (key, key as i64)).collect();
    let all = totals.as_slice();
    archive
        .write(&rows_of(
            "a",
            None,
            &[(0, Grain::Day, &all[..500]), (10, Grain::Sample, all), (20, Grain::Hour, &all[100..])],
        ))
        .unwrap();
    let ids: Vec<i64> = archive.subjects(None).unwrap().iter().map(|known| known.id).collect();
    for (side, minute, grain) in [
        (Side::Before, 5, Grain::Sample),
        (Side::After, 5, Grain::Sample),
        (Side::Before, 30, Grain::Sample),
        (Side::Before, 19, Grain::Hour),
        (Side::After, 11, Grain::Sample),
        (Side::After, 21, Grain::Sample),
    ] {
        let mut found = archive.nearest_of_each(&ids, side, at(minute), grain).unwrap();
        found.sort_by_key(|row| row.id);
        let one_by_one = ids.iter().filter_map(|id| archive.nearest(*id, side, at(minute), grain).unwrap());
        assert_eq!(found, one_by_one.collect::<Vec<_>>(), "{side:?} {minute} {grain:?}");
    }
    assert_eq!(archive.nearest_of_each(&[], Side::Before, at(5), Grain::Sample), Ok(Vec::new()));
    let near = archive.nearest_of_each(&[ids[0], -1], Side::After, at(-5), Grain::Sample).unwrap();
    assert_eq!(near.iter().map(|row| (row.id, row.at)).collect::<Vec<_>>(), [(ids[0], at(0))]);
}

/// Two machines with two subjects each, a row a minute from 0 to 9 and an event every other.
fn filled(store: &dyn Fresh) -> Box<dyn Archive + Send> {
    let mut archive = archive(store);
    for instance in ["a", "b"] {
        let rows: Vec<_> = (0..10).map(|minute| (minute, Grain::Sample, [(1, minute), (2, minute)])).collect();
        let rows: Vec<_> = rows.iter().map(|(minute, grain, totals)| (*minute, *grain, totals.as_slice())).collect();
        let event = |minute: i64| event(minute, Kind::Alert, if minute % 4 == 0 { "eth1" } else { "eth2" });
        let events = (0..10).step_by(2).map(event).collect();
        archive.write(&Batch { events, ..rows_of(instance, None, &rows) }).unwrap();
    }
    archive
}

fn prune(from: Option<i64>, to: i64) -> Prune {
    Prune { ids: None, instance: "a".into(), from: from.map(at), to: at(to), stay: Vec::new() }
}

/// The minutes of a subject's rows.
fn minutes(archive: &mut dyn Archive, instance: &str, key: u64) -> Vec<i64> {
    let told = told(archive, Grain::Sample);
    told.into_iter().filter(|(of, k, _, _)| of == instance && *k == key).map(|(_, _, minute, _)| minute).collect()
}

fn event_minutes(archive: &mut dyn Archive) -> Vec<i64> {
    let events = archive.events(Some("a"), MIN, MAX).unwrap();
    events.iter().map(|logged| (logged.event.at.millis() - at(0).millis()) / 60_000).collect()
}

fn pruning_takes_all_between_the_ends(store: &dyn Fresh) {
    let mut archive = filled(store);
    let foreign = id(&mut *archive, "b", 1);
    let other = archive.rows(Some(&[foreign]), MIN, MAX, Grain::Sample);
    assert_eq!(archive.prune(&prune(Some(2), 6), false), Ok(Pruned { rows: 6, events: 2 }));
    for key in [1, 2] {
        assert_eq!(minutes(&mut *archive, "a", key), [0, 1, 2, 6, 7, 8, 9], "rows at the ends stay");
    }
    assert_eq!(event_minutes(&mut *archive), [0, 6, 8], "events from the start up to the end go");
    assert_eq!(archive.prune(&prune(Some(2), 6), false), Ok(Pruned::default()));
    assert_eq!(archive.prune(&prune(None, 8), false), Ok(Pruned { rows: 10, events: 2 }));
    assert_eq!(minutes(&mut *archive, "a", 1), [8, 9]);
    assert_eq!(event_minutes(&mut *archive), [8]);
    let known = archive.subjects(Some("a")).unwrap();
    assert_eq!((known[0].first, known[0].seen), (at(8), at(9)));
    assert_eq!(archive.prune(&prune(None, 99), false), Ok(Pruned { rows: 4, events: 1 }));
    assert_eq!(archive.subjects(Some("a")), Ok(Vec::new()), "forgotten");
    assert_eq!(archive.rows(Some(&[foreign]), MIN, MAX, Grain::Sample), other);
    assert_eq!(archive.events(Some("b"), MIN, MAX).unwrap().len(), 5);
    // It goes on as if it were new.
    archive.write(&rows_of("a", Some(9), &[(10, Grain::Sample, &[(1, 10)])])).unwrap();
    assert_eq!(minutes(&mut *archive, "a", 1), [10]);
}

fn pruning_of_one_subject_leaves_the_others(store: &dyn Fresh) {
    let mut archive = filled(store);
    let (one, foreign) = (id(&mut *archive, "a", 1), id(&mut *archive, "b", 1));
    let of = |ids: Vec<i64>| Prune { ids: Some(ids), ..prune(None, 5) };
    assert_eq!(archive.prune(&of(vec![foreign]), false), Ok(Pruned::default()), "another machine's");
    assert_eq!(archive.prune(&of(vec![]), false), Ok(Pruned::default()));
    assert_eq!(archive.prune(&of(vec![one, foreign]), false), Ok(Pruned { rows: 5, events: 2 }));
    assert_eq!(minutes(&mut *archive, "a", 1), [5, 6, 7, 8, 9]);
    assert_eq!(minutes(&mut *archive, "a", 2).len(), 10);
    assert_eq!(minutes(&mut *archive, "b", 1).len(), 10);
    assert_eq!(event_minutes(&mut *archive), [2, 6, 8], "only those about it");
    let known = archive.subjects(Some("a")).unwrap();
    assert_eq!([known[0].first, known[1].first], [at(5), at(0)]);
    let all = Prune { ids: Some(vec![one]), ..prune(None, 99) };
    assert_eq!(archive.prune(&all, false), Ok(Pruned { rows: 5, events: 1 }));
    let left: Vec<u64> = archive.subjects(Some("a")).unwrap().iter().map(|known| known.named.key).collect();
    assert_eq!(left, [2]);
}

fn a_rehearsal_changes_nothing(store: &dyn Fresh) {
    let mut archive = filled(store);
    let before = everything(&mut *archive);
    let one = id(&mut *archive, "a", 1);
    let stay = vec![Row { id: one, at: at(3), total: Total { hole: true, ..Total::default() } }];
    for ids in [None, Some(vec![one]), Some(vec![])] {
        for (from, to) in [(None, 99), (Some(2), 6), (Some(6), 2)] {
            let prune = Prune { ids: ids.clone(), stay: stay.clone(), ..prune(from, to) };
            let said = archive.prune(&prune, true).unwrap();
            assert_eq!(everything(&mut *archive), before);
            let mut copy = MemoryArchive::default();
            fill_as(&mut copy, &mut *archive);
            let ids = prune.ids.as_ref().map(|ids| ids.iter().map(|_| id(&mut copy, "a", 1)).collect());
            let really = copy.prune(&Prune { ids, stay: Vec::new(), ..prune }, false).unwrap();
            assert_eq!(said, really, "{from:?} {to}");
        }
    }
    let mut reader = store.open(Mode::Read).unwrap().expect("a store to read");
    assert_eq!(reader.prune(&prune(None, 99), true), Ok(Pruned { rows: 20, events: 5 }));
}

/// Writes to one store what the other has.
fn fill_as(copy: &mut dyn Archive, of: &mut dyn Archive) {
    for instance in of.instances().unwrap() {
        let known = of.subjects(Some(&instance.id)).unwrap();
        let key = |id: i64| known.iter().find(|known| known.id == id).unwrap().named.key;
        let ids: Vec<i64> = known.iter().map(|known| known.id).collect();
        let rows = of.rows(Some(&ids), MIN, MAX, Grain::Sample).unwrap();
        let moments =
            rows.iter().map(|row| Moment { at: row.at, grain: Grain::Sample, totals: vec![(key(row.id), row.total)] });
        let events = of.events(Some(&instance.id), MIN, MAX).unwrap().into_iter().map(|logged| logged.event).collect();
        let subjects = known.iter().map(|known| known.named.clone()).collect();
        copy.write(&Batch { subjects, moments: moments.collect(), events, ..batch(&instance.id) }).unwrap();
    }
}

fn rows_stay_where_they_are_wanted(store: &dyn Fresh) {
    let mut archive = filled(store);
    let one = id(&mut *archive, "a", 1);
    let row = |minute, tx, hole| Row { id: one, at: at(minute), total: Total { rx: 0, tx, spread: 0, hole } };
    // One instead of a row, one at a moment that others have, one where there was nothing, one before all.
    let stay = vec![row(2, 2, false), row(6, 6, true), row(12, 12, false), row(-3, 1, false)];
    let prune = Prune { ids: Some(vec![one]), stay: stay.clone(), ..prune(Some(1), 7) };
    assert_eq!(archive.prune(&prune, false), Ok(Pruned { rows: 5, events: 1 }));
    assert_eq!(minutes(&mut *archive, "a", 1), [-3, 0, 1, 2, 6, 7, 8, 9, 12]);
    assert_eq!(minutes(&mut *archive, "a", 2).len(), 10);
    let days = archive.rows(Some(&[one]), MIN, MAX, Grain::Day).unwrap();
    let first = Row { total: Total { rx: 1000, tx: 0, ..Total::default() }, ..row(0, 0, false) };
    assert_eq!(days, [stay[3], first, stay[0], stay[1], stay[2]]);
    let known = archive.subjects(Some("a")).unwrap();
    assert_eq!((known[0].first, known[0].seen), (at(-3), at(12)));
    assert_eq!(archive.nearest(one, Side::Before, at(-1), Grain::Sample), Ok(Some(stay[3])));
    assert_eq!(archive.nearest(one, Side::After, at(10), Grain::Sample), Ok(Some(stay[2])));
    let keep = Keep { samples: Some(MINUTE), hours: Some(MINUTE), days: None };
    archive.write(&Batch { after: Some(at(12)), keep, now: at(99), ..batch("a") }).unwrap();
    assert_eq!(minutes(&mut *archive, "a", 1), [-3, 0, 2, 6, 12], "for good");
}

fn pruning_what_is_not_there(store: &dyn Fresh) {
    let mut archive = filled(store);
    let before = everything(&mut *archive);
    let foreign = Row { id: id(&mut *archive, "b", 1), at: at(3), total: Total::default() };
    for stay in [foreign, Row { id: 12_345, ..foreign }] {
        let prune = Prune { stay: vec![stay], ..prune(None, 5) };
        assert!(archive.prune(&prune, false).is_err());
        assert!(archive.prune(&prune, true).is_err());
    }
    let nobody = Prune { instance: "nobody".into(), ..prune(None, 99) };
    assert_eq!(archive.prune(&nobody, false), Ok(Pruned::default()));
    assert_eq!(archive.prune(&prune(Some(6), 2), false), Ok(Pruned::default()), "an end before the start");
    assert_eq!(archive.prune(&prune(Some(3), 4), false), Ok(Pruned::default()), "nothing in between");
    assert_eq!(everything(&mut *archive), before);
}

fn any_name_is_only_a_name(store: &dyn Fresh) {
    let mut archive = archive(store);
    let long = "長".repeat(10_000);
    let names =
        ["'; DROP TABLE netquota_series; --", "<script>\"\\", "é e\u{301} 😀 \n\t\r", "%_?1 $1 :a", &long, " x "];
    let hostile = |key: usize, name: &str| Named {
        key: key as u64,
        source: name.into(),
        subject: name.into(),
        label: name.into(),
        part_of: name.into(),
    };
    let subjects: Vec<Named> = names.iter().enumerate().map(|(key, name)| hostile(key, name)).collect();
    let totals = (0..names.len()).map(|key| (key as u64, Total::default())).collect();
    let told = |name: &&str| Event {
        at: at(0),
        kind: Kind::Lift,
        source: (*name).into(),
        subject: (*name).into(),
        quota: (*name).into(),
        name: (*name).into(),
        reason: (*name).into(),
        outcome: Outcome::Unknown,
        detail: (*name).into(),
    };
    let events: Vec<Event> = names.iter().map(told).collect();
    let moments = vec![Moment { at: at(0), grain: Grain::Day, totals }];
    let machine = Batch { host: names[2].into(), ..batch("o'brien \"x\"") };
    archive.write(&Batch { subjects: subjects.clone(), moments, events: events.clone(), ..machine }).unwrap();
    let known = archive.subjects(Some("o'brien \"x\"")).unwrap();
    assert_eq!(known.iter().map(|known| known.named.clone()).collect::<Vec<_>>(), subjects);
    let found = archive.events(Some("o'brien \"x\""), MIN, MAX).unwrap();
    assert_eq!(found.into_iter().map(|logged| logged.event).collect::<Vec<_>>(), events);
    assert_eq!(archive.instances().unwrap()[0].host, names[2]);
    let one = Prune { instance: "o'brien \"x\"".into(), ids: Some(vec![known[0].id]), ..prune(None, 9) };
    assert_eq!(archive.prune(&one, false), Ok(Pruned { rows: 1, events: 1 }));
}

fn the_largest_numbers_come_back(store: &dyn Fresh) {
    let mut archive = archive(store);
    let most = Total { rx: i64::MIN, tx: i64::MAX, spread: u32::MAX, hole: false };
    let totals = vec![(u64::MAX, most), (0, most), (1 << 63, most)];
    let subjects = totals.iter().map(|(key, _)| named(*key)).collect();
    let ends = [Instant::parse("0001-01-01T00:00:00Z").unwrap(), Instant::parse("9999-12-31T23:59:59Z").unwrap()];
    let moments = ends.map(|at| Moment { at, grain: Grain::Sample, totals: totals.clone() }).into();
    let events = vec![event(0, Kind::Hold, "x")];
    archive.write(&Batch { subjects, moments, events, logged: u64::MAX >> 2, ..batch("a") }).unwrap();
    let rows = archive.rows(None, MIN, MAX, Grain::Sample).unwrap();
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row.total == most && ends.contains(&row.at)));
    let mut keys: Vec<u64> = archive.subjects(None).unwrap().iter().map(|known| known.named.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, [0, 1 << 63, u64::MAX]);
    assert_eq!(archive.events(None, MIN, MAX).unwrap()[0].number, (u64::MAX >> 2) + 1);
    let last = id(&mut *archive, "a", u64::MAX);
    assert_eq!(archive.nearest(last, Side::Before, MAX, Grain::Sample).unwrap().map(|row| row.at), Some(ends[1]));
    assert_eq!(archive.nearest(last, Side::After, MIN, Grain::Sample).unwrap().map(|row| row.at), Some(ends[0]));
}

/// Each with a connection of its own, from the first moment on: also the tables are made only once.
fn many_machines_write_at_the_same_time(store: &dyn Fresh) {
    const MACHINES: [&str; 4] = ["a", "b", "c", "d"];
    const WRITES: i64 = 25;
    thread::scope(|scope| {
        for instance in MACHINES {
            scope.spawn(move || {
                for minute in 0..WRITES {
                    // As the runs of a machine do: each opens the store anew.
                    let rows = rows_of(instance, Some(minute - 1), &[(minute, Grain::Sample, &[(1, minute), (2, 7)])]);
                    let events = vec![event(minute, Kind::Alert, instance)];
                    archive(store).write(&Batch { logged: minute as u64, events, ..rows }).unwrap();
                }
            });
        }
    });
    let mut archive = archive(store);
    for instance in MACHINES {
        assert_eq!(minutes(&mut *archive, instance, 1), (0..WRITES).collect::<Vec<_>>());
        assert_eq!(archive.events(Some(instance), MIN, MAX).unwrap().len(), WRITES as usize);
    }
    assert_eq!(archive.instances().unwrap().len(), MACHINES.len());
    assert_eq!(archive.subjects(None).unwrap().len(), 2 * MACHINES.len());
}

fn an_absent_store_is_not_made_by_reading(store: &dyn Fresh) {
    assert!(store.open(Mode::Read).unwrap().is_none());
    assert!(store.open(Mode::Read).unwrap().is_none());
    let _ = archive(store);
    let mut reader = store.open(Mode::Read).unwrap().expect("a store to read");
    assert_eq!(everything(&mut *reader), Default::default());
}

fn an_older_store_is_read_and_brought_up_to_date(store: &dyn Fresh) {
    let before = {
        let mut archive = archive(store);
        archive
            .write(&rows_of("a", None, &[(0, Grain::Day, &[(1, 0), (2, 4)]), (5, Grain::Sample, &[(1, 5)])]))
            .unwrap();
        everything(&mut *archive)
    };
    store.sql("DROP TABLE netquota_events");
    store.sql("UPDATE netquota_schema SET version = 1");
    {
        let mut reader = store.open(Mode::Read).unwrap().expect("an older store to read");
        assert_eq!(everything(&mut *reader), before);
        assert_eq!(reader.prune(&prune(None, 9), true), Ok(Pruned { rows: 3, events: 0 }));
        let one = id(&mut *reader, "a", 1);
        assert_eq!(
            reader.prune(&Prune { ids: Some(vec![one]), ..prune(None, 9) }, true),
            Ok(Pruned { rows: 2, events: 0 })
        );
    }
    let mut archive = archive(store);
    assert_eq!(everything(&mut *archive), before);
    archive.write(&Batch { events: vec![event(1, Kind::Reset, "eth1")], ..batch("a") }).unwrap();
    assert_eq!(numbers(&mut *archive), [(1, "eth1".to_owned())]);
    let mut reader = store.open(Mode::Read).unwrap().expect("a store to read");
    assert_eq!(everything(&mut *reader), everything(&mut *archive));
}

fn a_newer_store_is_left_alone(store: &dyn Fresh) {
    archive(store).write(&rows_of("a", None, &[(0, Grain::Day, &[(1, 0)])])).unwrap();
    store.sql("UPDATE netquota_schema SET version = 3");
    for mode in [Mode::Write, Mode::Read] {
        let failure = store.open(mode).err().expect("a failure");
        let said = "the store was written by a newer netquota (schema 3; this one knows 2)";
        assert!(failure.text.ends_with(said), "{failure}");
    }
    store.sql("UPDATE netquota_schema SET version = 2");
    assert_eq!(rows(&mut *archive(store)), [(1, 0, 0)]);
}

fn readers_see_what_was_written_meanwhile(store: &dyn Fresh) {
    let mut writer = archive(store);
    let mut reader = store.open(Mode::Read).unwrap().expect("a store to read");
    for minute in 0..3 {
        writer.write(&rows_of("a", Some(minute - 1), &[(minute, Grain::Sample, &[(1, minute)])])).unwrap();
        assert_eq!(rows(&mut *reader).len(), minute as usize + 1);
    }
    assert!(reader.write(&batch("a")).is_err(), "it was opened to look");
}

/// Something that is done to a store.
#[derive(Debug, Clone)]
enum Step {
    Write(Batch),
    Prune {
        keys: Option<Vec<u64>>,
        instance: String,
        from: Option<i64>,
        to: i64,
        stay: Vec<(u64, i64, Total)>,
        rehearse: bool,
    },
    Rows {
        keys: Option<Vec<u64>>,
        instance: String,
        from: i64,
        to: i64,
        grain: Grain,
    },
    Nearest {
        key: u64,
        instance: String,
        side: Side,
        at: i64,
        grain: Grain,
    },
    Events {
        instance: Option<String>,
        from: i64,
        to: i64,
    },
}

/// All that is random happens within so many hours.
const HOURS: std::ops::Range<i64> = 0..100;

fn hour(hour: i64) -> Instant {
    at(hour * 60)
}

fn instances() -> impl Strategy<Value = String> {
    (0..2usize).prop_map(|which| ["a", "b"][which].to_owned())
}

fn keys() -> std::ops::Range<u64> {
    1..5
}

fn grains() -> impl Strategy<Value = Grain> {
    (0..3usize).prop_map(|which| [Grain::Sample, Grain::Hour, Grain::Day][which])
}

fn totals() -> impl Strategy<Value = Total> {
    let spread = prop_oneof![Just(0), 1..1000u32];
    (-50..1000i64, -50..1000i64, spread, prop::bool::weighted(0.1)).prop_map(|(rx, tx, spread, hole)| Total {
        rx,
        tx,
        spread,
        hole,
    })
}

fn batches() -> impl Strategy<Value = Batch> {
    let moments = btree_map(HOURS, (grains(), btree_map(keys(), totals(), 0..4)), 0..6);
    let names = btree_map(keys(), 0..3, 0..5);
    let events = vec((HOURS, keys(), 0..Kind::ALL.len()), 0..4);
    let keep = (option::of(HOURS), option::of(HOURS), option::weighted(0.2, HOURS));
    (instances(), option::of(HOURS), moments, names, (0..8u64, events), keep, HOURS).prop_map(
        |(instance, after, moments, names, (logged, events), (samples, hours, days), now)| {
            let used: std::collections::BTreeSet<u64> =
                moments.values().flat_map(|(_, totals)| totals.keys().copied()).chain(names.keys().copied()).collect();
            let called = |key: u64| Named { label: format!("{:?}", names.get(&key)), ..named(key) };
            let kept = |hours: Option<i64>| hours.map(|hours| MINUTE * 60 * hours as u32);
            Batch {
                host: format!("{instance}{now}"),
                after: after.map(hour),
                subjects: used.into_iter().map(called).collect(),
                moments: moments
                    .into_iter()
                    .map(|(at, (grain, totals))| Moment { at: hour(at), grain, totals: totals.into_iter().collect() })
                    .collect(),
                logged,
                events: events
                    .into_iter()
                    .map(|(at, key, kind)| event(at * 60, Kind::ALL[kind], &named(key).subject))
                    .collect(),
                keep: Keep { samples: kept(samples), hours: kept(hours), days: kept(days) },
                now: hour(now),
                ..batch(&instance)
            }
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let some = || option::of(btree_set(keys(), 0..3).prop_map(|keys| keys.into_iter().collect::<Vec<_>>()));
    let stay = vec((keys(), HOURS, totals()), 0..3);
    let side = || prop::bool::ANY.prop_map(|before| if before { Side::Before } else { Side::After });
    prop_oneof![
        4 => batches().prop_map(Step::Write),
        1 => (some(), instances(), option::of(HOURS), HOURS, stay, prop::bool::ANY).prop_map(
            |(keys, instance, from, to, stay, rehearse)| Step::Prune { keys, instance, from, to, stay, rehearse }
        ),
        1 => (some(), instances(), HOURS, HOURS, grains())
            .prop_map(|(keys, instance, from, to, grain)| Step::Rows { keys, instance, from, to, grain }),
        2 => (keys(), instances(), side(), HOURS, grains())
            .prop_map(|(key, instance, side, at, grain)| Step::Nearest { key, instance, side, at, grain }),
        1 => (option::of(instances()), HOURS, HOURS)
            .prop_map(|(instance, from, to)| Step::Events { instance, from, to }),
    ]
}

/// A store's numbers for these keys.
fn ids(archive: &mut dyn Archive, instance: &str, keys: &[u64]) -> Vec<i64> {
    let known = archive.subjects(Some(instance)).unwrap();
    known.iter().filter(|known| keys.contains(&known.named.key)).map(|known| known.id).collect()
}

/// Rows without the store's own numbers.
fn plain(archive: &mut dyn Archive, rows: &[Row]) -> Vec<(String, u64, Instant, Total)> {
    let known = archive.subjects(None).unwrap();
    let of = |row: &Row| {
        let known = known.iter().find(|known| known.id == row.id).unwrap_or_else(|| panic!("{row:?} of nobody"));
        (known.instance.clone(), known.named.key, row.at, row.total)
    };
    let mut plain: Vec<_> = rows.iter().map(of).collect();
    plain.sort_by_key(|(instance, key, at, _)| (instance.clone(), *key, *at));
    plain
}

/// What a step brings to light, in words.
fn take(archive: &mut dyn Archive, step: &Step) -> String {
    match step {
        Step::Write(batch) => format!("{:?}", archive.write(batch)),
        Step::Prune { keys, instance, from, to, stay, rehearse } => {
            let stay = stay.iter().filter_map(|(key, at, total)| {
                let id = *ids(archive, instance, &[*key]).first()?;
                Some(Row { id, at: hour(*at), total: *total })
            });
            let stay = stay.collect();
            let ids = keys.as_ref().map(|keys| ids(archive, instance, keys));
            let prune = Prune { ids, instance: instance.clone(), from: from.map(hour), to: hour(*to), stay };
            format!("{:?}", archive.prune(&prune, *rehearse))
        }
        Step::Rows { keys, instance, from, to, grain } => {
            let ids = keys.as_ref().map(|keys| ids(archive, instance, keys));
            let rows = archive.rows(ids.as_deref(), hour(*from), hour(*to), *grain).unwrap();
            assert!(rows.is_sorted_by_key(|row| (row.id, row.at)));
            format!("{:?}", plain(archive, &rows))
        }
        Step::Nearest { key, instance, side, at, grain } => {
            let Some(id) = ids(archive, instance, &[*key]).first().copied() else { return "nobody".into() };
            let row = archive.nearest(id, *side, hour(*at), *grain).unwrap();
            format!("{:?}", plain(archive, row.as_slice()))
        }
        Step::Events { instance, from, to } => {
            format!("{:?}", archive.events(instance.as_deref(), hour(*from), hour(*to)))
        }
    }
}

/// All that a store says, without its own numbers.
fn all_told(archive: &mut dyn Archive) -> String {
    let (instances, mut known, rows, events) = everything(archive);
    let rows = rows.map(|rows| plain(archive, &rows));
    for (instance, key, at, _) in &rows[0] {
        let of = known.iter().find(|known| known.instance == *instance && known.named.key == *key).unwrap();
        assert!(of.first <= *at && *at <= of.seen.plus(AGED), "{of:?} has a row at {at}");
    }
    known.sort_by_key(|known| (known.instance.clone(), known.named.key));
    let known: Vec<Known> = known.into_iter().map(|known| Known { id: 0, ..known }).collect();
    format!("{instances:?}\n{known:?}\n{rows:?}\n{events:?}")
}

/// Random batches and prunings leave in a store what they leave in the plain one.
pub fn like_the_plain_one(fresh: &dyn Fn() -> Box<dyn Fresh>, cases: u32) {
    let config = Config { cases, rng_seed: RngSeed::Fixed(11), failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&vec(steps(), 1..14), |steps| {
        let store = fresh();
        let (mut real, mut plain) = (archive(&*store), MemoryArchive::default());
        for step in &steps {
            prop_assert_eq!(take(&mut *real, step), take(&mut plain, step), "{:?}", step);
            prop_assert_eq!(all_told(&mut *real), all_told(&mut plain), "after {:?}", step);
        }
        Ok(())
    });
    run.unwrap();
}

impl Fresh for MemoryArchive {
    fn open(&self, _: Mode) -> Opened {
        Ok(Some(Box::new(self.clone())))
    }

    fn sql(&self, _: &str) {
        unreachable!("it has no tables");
    }
}

#[test]
fn the_plain_one_is_a_store() {
    suite(&|| Box::<MemoryArchive>::default());
}

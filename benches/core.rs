//! What grows with the number of subjects: the decision core, and the state as a document and as a file.
//!
//! The time of each element is what the throughput says: a million elements a second are one microsecond each. Budget of
//! the core: linear in subjects, at most three microseconds each.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures the machine itself, not through the program")]

// The program has no library: its modules are compiled in here. Not all of them is used, and of their tests nothing.
#[path = "../src/error.rs"]
#[allow(dead_code, unused_imports, reason = "see above")]
mod error;
#[path = "../src/fleet/mod.rs"]
#[allow(dead_code, unused_imports, reason = "see above")]
mod fleet;
#[path = "../src/quota/mod.rs"]
#[allow(dead_code, unused_imports, reason = "see above")]
mod quota;
#[path = "../src/store/mod.rs"]
#[allow(dead_code, unused_imports, reason = "see above")]
mod store;

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use quota::bytes::{Amount, Percent, Unit, UnitBase};
use quota::decide::decide;
use quota::duration::Language;
use quota::guest::{Choice, Guest};
use quota::instant::Instant;
use quota::meter::{Count, Counters, Figure, GuestFigure, Identity, Reading};
use quota::package::Package;
use quota::period::{Cycle, Period, Rule, ShortMonth};
use quota::policy::{Context, Level, Plan, Quota, Threshold, Tier};
use quota::state::State;
use quota::zone::Zone;
use store::Store;
use store::file::FileStore;

const SUBJECTS: [u32; 3] = [1, 1_000, 100_000];

/// The state file's size is of interest, too: it is printed once.
const STATE_SUBJECTS: u32 = 10_000;

const SOURCE: &str = "pve";

/// Bytes.
const GB: u64 = 1 << 30;

/// One quota and what it looks at, run after run.
struct World {
    quota: Quota,
    channels: Vec<String>,
    state: State,
    readings: Vec<Reading>,
    now: Instant,
}

impl World {
    /// So many guests, each seen twice and at a tenth of its allowance.
    fn of(subjects: u32) -> Self {
        let identity = Identity {
            boot: Some("0574ae5d-7107-48b3-897b-a63fc0a40a5b".into()),
            uptime: Some(Duration::from_secs(350_735)),
            index: None,
            epoch: None,
        };
        let figure = Figure::Counter { counters: Counters::default(), identity, link_speed: None };
        Self::seen_twice(month(), subjects, |number| (format!("qemu/{}", 100 + number), figure.clone()))
    }

    /// So many packages of 1000 GB, as [`Self::of`].
    fn of_packages(packages: u32) -> Self {
        let period = Period { start: instant("2026-11-15T16:00:00Z"), end: Some(instant("2026-12-15T16:00:00Z")) };
        let id = |number: u32| format!("9f86d081-884c-4d65-9a2f-{number:012}");
        let package = |number| Package { id: id(number), total: 1000 * GB, left: 1000 * GB, period };
        let ids = (0..packages).map(id).collect();
        Self::seen_twice(provider(ids), packages, |number| (id(number), Figure::Package(package(number))))
    }

    /// So many guests of a cluster, chosen by a tag, as [`Self::of`].
    fn of_guests(guests: u32) -> Self {
        let figure = |number: u32| GuestFigure {
            counters: Counters::default(),
            uptime: Duration::from_secs(350_735),
            guest: Guest {
                name: format!("web-{number}.example.com"),
                node: format!("pve{}", number % 8),
                tags: "eu;prod".into(),
                on: true,
                ..Guest::default()
            },
            nic: None,
            lag: None,
        };
        let choice = Some(Choice { tags: vec!["prod".into()], ..Choice::default() });
        let quota = Quota { choice, ..month() };
        Self::seen_twice(quota, guests, |number| (format!("qemu/{}", 100 + number), Figure::Guest(figure(number))))
    }

    fn seen_twice(quota: Quota, subjects: u32, of: impl Fn(u32) -> (String, Figure)) -> Self {
        let now = instant("2026-11-21T09:00:00Z");
        let reading = |number: u32| {
            let (subject, figure) = of(number);
            Reading { subject, at: now, figure }
        };
        let mut world = Self {
            quota,
            channels: vec!["terminal".into()],
            state: State::default(),
            readings: (0..subjects).map(reading).collect(),
            now,
        };
        world.run();
        world.later(Duration::from_secs(60), |_| 100_000_000_000);
        world.run();
        world
    }

    /// Time passes and each subject, known by its number, sends something.
    fn later(&mut self, passed: Duration, sent: impl Fn(usize) -> u64) {
        self.now = self.now.plus(passed);
        for (number, reading) in self.readings.iter_mut().enumerate() {
            reading.at = self.now;
            match &mut reading.figure {
                Figure::Counter { counters, identity, .. } => {
                    counters.tx += sent(number);
                    identity.uptime = identity.uptime.map(|uptime| uptime + passed);
                }
                Figure::Tally { counters, .. } => counters.tx += sent(number),
                Figure::Package(package) => package.left = package.left.saturating_sub(sent(number)),
                Figure::Guest(figure) => {
                    figure.counters.tx += sent(number);
                    figure.uptime += passed;
                }
            }
        }
    }

    fn run(&mut self) -> Plan {
        core(&mut self.state, &self.quota, &self.channels, &self.readings, self.now)
    }
}

/// What a run does between reading the sources and saving.
fn core(state: &mut State, quota: &Quota, channels: &[String], readings: &[Reading], now: Instant) -> Plan {
    let source = state.sources.entry(SOURCE.into()).or_default();
    let oddities = source.absorb(readings, &[quota.asked()], now);
    assert!(oddities.is_empty(), "{oddities:?}");
    let context = Context {
        now,
        language: Language::En,
        quotas: std::slice::from_ref(quota),
        selected: &[true],
        channels,
        names: std::slice::from_ref(&quota.name),
        machine: &Identity::default(),
        withheld: None,
        last_run: None,
        alarms: &[],
        watching: &[],
    };
    decide(&context, state)
}

fn instant(text: &str) -> Instant {
    Instant::parse(text).expect("a time")
}

/// 1 TB a month with tiers at 80, 90 and 95 %, as without a configuration.
fn month() -> Quota {
    let allowance = Amount::parse("1 TB", UnitBase::Thousand).expect("an amount");
    let rule = rule(Cycle::Month { day: 1 });
    Quota {
        name: "month".into(),
        label: None,
        source: SOURCE.into(),
        count: Count::Out,
        allowance: Some(allowance.bytes),
        unit: allowance.unit,
        unit_base: UnitBase::Thousand,
        row_key: format!("month {}", rule.key()),
        rule_key: rule.key(),
        rule,
        subjects: Vec::new(),
        exclude: Vec::new(),
        packages: None,
        choice: None,
        pool: false,
        since_boot: false,
        tiers: ["80%", "90%", "95%"].map(tier).into(),
        report: None,
    }
}

/// The same tiers, of what each package holds.
fn provider(ids: std::collections::BTreeSet<String>) -> Quota {
    let rule = rule(Cycle::Provider);
    Quota {
        allowance: None,
        unit: Unit::giga(UnitBase::Binary),
        unit_base: UnitBase::Binary,
        row_key: format!("month {}", rule.key()),
        rule_key: rule.key(),
        rule,
        packages: Some(ids),
        ..month()
    }
}

fn rule(cycle: Cycle) -> Rule {
    Rule { cycle, at: time::Time::MIDNIGHT, zone: Zone::utc(), short_month: ShortMonth::LastDay, since_creation: false }
}

fn tier(text: &str) -> Tier {
    Tier {
        name: text.into(),
        threshold: Threshold::Used(Level::Percent(Percent::parse(text).expect("a percentage"))),
        key: format!("used {text}"),
        repeat: None,
        notify: vec!["terminal".into()],
        actions: Vec::new(),
        definition: String::new(),
    }
}

/// Nothing to tell: so each run is like the one before, a millisecond later.
fn quiet(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core/nothing to tell");
    for subjects in SUBJECTS {
        nothing_to_tell(&mut group, World::of(subjects), subjects);
    }
    group.finish();
}

fn nothing_to_tell(group: &mut BenchmarkGroup<'_, WallTime>, mut world: World, subjects: u32) {
    group.throughput(Throughput::Elements(subjects.into()));
    group.bench_function(BenchmarkId::from_parameter(subjects), |bencher| {
        bencher.iter(|| {
            world.later(Duration::from_millis(1), |_| 1);
            let plan = world.run();
            assert!(plan.tells.is_empty());
            plan
        });
    });
}

/// As [`quiet`], with packages in their provider's own period.
fn packages(criterion: &mut Criterion) {
    const PACKAGES: u32 = 1_000;
    let mut group = criterion.benchmark_group("core/packages, nothing to tell");
    nothing_to_tell(&mut group, World::of_packages(PACKAGES), PACKAGES);
    group.finish();
}

/// As [`quiet`], with guests of a cluster.
fn guests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core/guests, nothing to tell");
    for guests in [10_000, 100_000] {
        nothing_to_tell(&mut group, World::of_guests(guests), guests);
    }
    group.finish();
}

/// One subject in a hundred reaches a tier, which is told.
fn crossing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core/1 % cross a tier");
    for subjects in [1_000, 100_000] {
        let mut world = World::of(subjects);
        world.later(Duration::from_secs(60), |number| if number % 100 == 0 { 700_000_000_000 } else { 1_000_000 });
        group.throughput(Throughput::Elements(subjects.into()));
        group.bench_function(BenchmarkId::from_parameter(subjects), |bencher| {
            let World { quota, channels, state, readings, now } = &world;
            let run = |state: &mut State| {
                let plan = core(state, quota, channels, readings, *now);
                assert_eq!(plan.tells.len(), readings.len().div_ceil(100));
                plan
            };
            bencher.iter_batched_ref(|| state.clone(), run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// From the document to the state and back, and for good onto the disk.
fn state(criterion: &mut Criterion) {
    let mut world = World::of(STATE_SUBJECTS);
    let document = world.state.write().expect("a document");
    println!("state of {STATE_SUBJECTS} subjects: {} bytes", document.len());
    let mut group = criterion.benchmark_group("state");
    group.throughput(Throughput::Elements(STATE_SUBJECTS.into()));
    group.bench_function(BenchmarkId::new("read", STATE_SUBJECTS), |bencher| {
        bencher.iter_with_large_drop(|| State::read(black_box(&document)).expect("a state"));
    });
    group.bench_function(BenchmarkId::new("write", STATE_SUBJECTS), |bencher| {
        bencher.iter_with_large_drop(|| world.state.write().expect("a document"));
    });
    // In the target folder: a temporary one may be in memory, where an fsync costs nothing.
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a folder");
    let store = FileStore::new(folder.path().to_owned());
    group.bench_function(BenchmarkId::new("write and save", STATE_SUBJECTS), |bencher| {
        bencher.iter(|| {
            // Each as the run of another minute: a document that is there already would not be saved.
            world.now = world.now.plus(Duration::from_secs(60));
            world.state.clock.at = Some(world.now);
            let document = world.state.write().expect("a document");
            store.lock(Duration::ZERO).expect("the lock").save(&document).expect("saved");
        });
    });
    group.finish();
}

fn settings() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4)).sample_size(50)
}

criterion_group! { name = benches; config = settings(); targets = quiet, packages, guests, crossing, state }
criterion_main!(benches);

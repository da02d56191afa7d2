//! Years of hourly runs with random traffic, reboots, outages, clock jumps, refused messages and edits.
//!
//! Fixed seeds. `NETQUOTA_YEARS` says how many; each is a world of its own. After every run the books are balanced:
//! what is metered now and in all periods closed is, to the byte, what was sent, less what a reboot made unreadable.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sim::{Ended, Nic, Telegram, World};
use crate::config::Config;
use crate::quota::instant::Instant;
use crate::quota::meter::{Count, Ledger};
use crate::quota::state::State;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than the limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Now and then.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

const PERIODS: [&str; 6] = [
    "period = \"day\"",
    "period = \"week\"",
    "reset = { day = 31, timezone = \"Europe/Berlin\", at = \"02:30\" }",
    "reset = { day = -3, short_month = \"next-day\" }",
    "reset = { every = \"10 d\", from = 2026-01-05 }",
    "period = \"hour\"",
];

/// A quota of about what the traffic brings, by one of a few periods.
fn config(world: &World, period: &str, name: &str, allowance: u64, tiers: &str) -> Config {
    world.configure(&format!(
        "[quota.{name}]\nallowance = \"{allowance} GB\"\n{period}\ntier = [{tiers}]\n\
         [notifier.telegram]\ntoken = \"1:x\"\nchat = 1\n"
    ))
}

const TIERS: [&str; 3] = [
    "{ used = \"80%\" }, { used = \"95%\", repeat = \"6 h\" }, { used = \"98%\", actions = [\"shutdown\"] }",
    "{ used = \"50%\" }, { used = \"80%\" }, { used = \"98%\", actions = [\"shutdown\"] }",
    "{ remaining = \"30%\" }, { exhausted_within = \"3 d\" }, { used = \"98%\", actions = [\"shutdown\"] }",
];

/// The account kept beside the program.
struct Books {
    sent: u64,
    closed: u64,
    ledger: Option<Ledger>,
    /// Shutdowns by period and edits of the allowance: each edit makes another tier of it.
    shutdowns: BTreeMap<(Instant, u64), usize>,
}

/// A year of runs in a world.
struct Year {
    random: Random,
    world: World,
    books: Books,
    config: Config,
    period: &'static str,
    allowance: u64,
    name: u64,
    edits: u64,
    place: String,
}

impl Year {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let world = World::new(Instant::parse("2026-01-01T00:00:00Z").unwrap());
        let period = PERIODS[random.below(PERIODS.len() as u64) as usize];
        let allowance = 200 + random.below(800);
        let config = config(&world, period, "q0", allowance, TIERS[0]);
        let books = Books { sent: 0, closed: 0, ledger: None, shutdowns: BTreeMap::new() };
        Self {
            random,
            world,
            books,
            config,
            period,
            allowance,
            name: 0,
            edits: 0,
            place: format!("seed {seed}, {period}"),
        }
    }

    fn live(&mut self) {
        self.run();
        for hour in 0..8760 {
            self.place = format!("{}, hour {hour}", self.place.split(", hour").next().unwrap_or_default());
            self.hour();
            self.run();
        }
    }

    /// What may happen between two runs.
    fn hour(&mut self) {
        let jitter = self.random.below(120);
        self.world.pass(Duration::from_secs(3540 + jitter));
        self.traffic();
        if self.random.one_in(300) {
            self.world.pass(Duration::from_secs(3600 * (1 + self.random.below(200))));
            self.traffic();
        }
        if self.random.one_in(200) {
            self.world.reboot();
            self.world.pass(Duration::from_secs(60 + self.random.below(7200)));
            self.traffic();
        }
        if self.random.one_in(1500) {
            self.jump();
        }
        if self.random.one_in(50) {
            self.channel();
        }
        if self.random.one_in(700) {
            self.edit();
        }
        if self.random.one_in(900) {
            self.recreate();
        }
    }

    fn traffic(&mut self) {
        let burst = if self.random.one_in(40) { 100 } else { 1 };
        let bytes = self.random.below(2_000_000_000 * burst);
        self.world.traffic("eth0", bytes, bytes / 3);
        self.books.sent += bytes;
    }

    /// The wall clock alone moves: back or ahead, by up to 20 days, or far ahead and an hour later back again.
    fn jump(&mut self) {
        let by = Duration::from_secs(self.random.below(20 * 86_400));
        let mut inner = self.world.inner();
        inner.now = match self.random.below(3) {
            0 => inner.now.minus(by),
            1 => inner.now.plus(by),
            _ => inner.now.plus(Duration::from_secs(500 * 86_400)),
        };
        inner.agrees = [None, Some(true), Some(false)][self.random.below(3) as usize];
    }

    fn channel(&mut self) {
        let patience = r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":4000}}"#;
        self.world.inner().telegram = match self.random.below(4) {
            0 => Telegram::Down,
            1 => Telegram::Says(429, patience.into()),
            _ => Telegram::Up,
        };
    }

    /// The quota renamed, its allowance or its tiers changed; its period rule stays.
    fn edit(&mut self) {
        if self.random.one_in(3) {
            self.name += 1;
        }
        if self.random.one_in(2) {
            self.allowance = 200 + self.random.below(800);
            self.edits += 1;
        }
        let tiers = TIERS[self.random.below(TIERS.len() as u64) as usize];
        self.config = config(&self.world, self.period, &format!("q{}", self.name), self.allowance, tiers);
    }

    /// The device is made anew; what it carried since the last reading is gone with it.
    fn recreate(&mut self) {
        let seen = self.books.ledger.is_some();
        let series = self.world.state().and_then(|s| s.sources.get("interface")?.subjects.get("eth0")?.series.clone());
        let mut inner = self.world.inner();
        let nic = inner.nics["eth0"];
        let boot = format!("boot-{}", inner.boot);
        let known = series.filter(|s| s.identity.boot.as_ref() == Some(&boot) && s.identity.index == Some(nic.index));
        if seen {
            inner.lost += nic.tx - known.map_or(0, |series| series.counters.tx);
        }
        inner.nics.insert("eth0".into(), Nic { index: nic.index + 1, rx: 0, tx: 0 });
    }

    fn run(&mut self) {
        let before = self.world.inner().ran.len();
        let Ended::Exited(result) = self.world.run(&self.config) else { panic!("nothing cuts") };
        let report = (*result).unwrap_or_else(|error| panic!("{}: {error}", self.place));
        assert!([0, 3].contains(&(report.exit() as u8)), "{}", self.place);
        self.balance(&report.state);
        if self.world.inner().ran.len() > before {
            self.shut_down();
        }
        if self.random.one_in(50) {
            let document = self.world.inner().current.clone().unwrap();
            assert_eq!(State::read(&document).unwrap().write().unwrap(), document, "{}", self.place);
        }
        let mut inner = self.world.inner();
        inner.transcript.clear();
        inner.effects.clear();
        inner.accepted.clear();
    }

    fn balance(&mut self, state: &State) {
        let ledger = state.sources["interface"].subjects["eth0"].ledgers.values().next().unwrap().clone();
        let of_last = |ledger: &Ledger| ledger.last.as_ref().map_or(0, |last| last.used.tx + last.between.tx);
        if let Some(before) = &self.books.ledger {
            if ledger.period.start < before.period.start {
                // What was done on a visit to a period that had not come yet does not count for it when it comes.
                self.books.shutdowns.retain(|(period, _), _| *period <= ledger.period.start);
            }
            if ledger.period.start > before.period.start {
                self.books.closed += of_last(&ledger);
            } else if ledger.period.start < before.period.start && ledger.last.is_none() {
                // The clock was set back into the period before: it goes on.
                self.books.closed -= of_last(before);
            } else if ledger.period == before.period {
                assert!(ledger.used(Count::Out) >= before.used(Count::Out), "{}: usage fell", self.place);
            }
        }
        let lost = self.world.inner().lost;
        assert_eq!(
            ledger.used.tx + self.books.closed,
            self.books.sent - lost,
            "{}: the books do not balance",
            self.place
        );
        assert!(ledger.certain(Count::Out) <= ledger.used(Count::Out), "{}", self.place);
        self.books.ledger = Some(*ledger);
    }

    /// The machine went down: it comes up again some hours later.
    fn shut_down(&mut self) {
        let period = self.books.ledger.as_ref().unwrap().period.start;
        let count = self.books.shutdowns.entry((period, self.edits)).or_default();
        *count += 1;
        assert_eq!(*count, 1, "{}: a second shutdown in the period of {period}", self.place);
        self.world.reboot();
        self.world.pass(Duration::from_secs(300 + self.random.below(36_000)));
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long a test runs is said by its environment")]
fn random_years_balance() {
    let years: u64 = std::env::var("NETQUOTA_YEARS").map_or(2, |years| years.parse().unwrap());
    let threads: Vec<_> = (0..2)
        .map(|part| std::thread::spawn(move || (part..years).step_by(2).for_each(|seed| Year::new(seed).live())))
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

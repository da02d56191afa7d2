//! Years of hourly runs over a traffic package that is renewed each month, with a vendor that lags, fails and loses
//! answers, power cuts, reboots, and somebody else at the server's switch.
//!
//! Fixed seeds. What must hold whatever happens: the server is told to stop only on a figure of the running period that
//! reaches the tier, and to start only after a renewal, when it was stopped before. What must hold once the vendor has
//! been well for some hours: a server whose package is used up is off, and one that was stopped is on in the new period.

use std::time::Duration;

use super::cloud::{Orders, Package};
use super::random::Random;
use super::sim::{Ended, Side, World};
use crate::config::Config;
use crate::quota::instant::Instant;

const CONFIG: &str = "
[source.huawei]
site = \"international\"
access_key = \"AK\"
secret_key = \"SK\"
resource_ids = [\"pkg-1\"]
[quota.package]
tier = [{ remaining = \"500 GB\" }, { remaining = \"200 GB\", actions = [\"stop\"] }]
[action.stop]
kind = \"stop-server\"
server_id = \"server-1\"
region = \"ap-southeast-1\"
start_on_renewal = true
[notifier.telegram]
token = \"1:x\"
chat = 1
";

/// What the package holds, in GB, and at how much left the server is stopped.
const TOTAL: u64 = 1000;
const STOP_AT: u64 = 200;
/// A period.
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// Hours after which a well vendor leaves no excuse.
const SETTLED: u32 = 3;

/// A year in a world.
struct Year {
    random: Random,
    world: World,
    config: Config,
    /// The period the vendor charges for.
    start: Instant,
    /// What is really used in it, in GB.
    used: u64,
    /// What the vendor says: the start of its period, and what is used.
    said: (Instant, u64),
    /// Hours until the bounds, and then the amount, follow a renewal.
    lag: [u64; 2],
    /// Hours for which everything has been well.
    well: u32,
    /// Orders seen so far.
    seen: usize,
    /// The period of the last stop that has not been followed by a start.
    stopped: Option<Instant>,
    /// Whether the server is as it is because of somebody else.
    excused: bool,
    /// What the server will be, once a slow order has come about.
    slow: Option<&'static str>,
    /// How often it was off, and on, as it had to be.
    checked: [u32; 2],
    place: String,
}

impl Year {
    fn new(seed: u64) -> Self {
        let start = Instant::parse("2026-01-01T00:00:00Z").unwrap();
        let world = World::new(start);
        let config = world.configure(CONFIG);
        Self {
            random: Random::new(seed),
            world,
            config,
            start,
            used: 0,
            said: (start, 0),
            lag: [0, 0],
            well: 0,
            seen: 0,
            stopped: None,
            excused: false,
            slow: None,
            checked: [0, 0],
            place: String::new(),
        }
    }

    fn live(&mut self, seed: u64) {
        for hour in 0..8760 {
            self.place = format!("seed {seed}, hour {hour}");
            self.world.pass(Duration::from_secs(3540 + self.random.below(120)));
            self.traffic();
            self.vendor();
            self.others();
            self.run();
        }
    }

    fn now(&self) -> Instant {
        self.world.inner().now
    }

    fn traffic(&mut self) {
        if self.now() >= self.start.plus(MONTH) {
            self.start = self.start.plus(MONTH);
            self.used = 0;
            self.lag = [self.random.below(6), self.random.below(4)];
        }
        if self.world.inner().cloud.server == "ACTIVE" {
            self.used = (self.used + self.random.below(7)).min(TOTAL);
        }
    }

    /// The vendor's account follows what is so, now and then; its orders go well or not.
    fn vendor(&mut self) {
        let renewed = self.said.0 < self.start;
        match (renewed, self.lag) {
            (true, [0, _]) => self.said.0 = self.start,
            (true, [hours, _]) => self.lag[0] = hours - 1,
            (false, [_, 0]) if self.random.one_in(3) => self.said.1 = self.used,
            (false, [_, 0]) => {}
            (false, [_, hours]) => {
                self.lag[1] = hours - 1;
                self.said.1 = if hours == 1 { self.used } else { self.said.1 };
            }
        }
        let orders = match self.random.below(40) {
            0 => Orders::Down,
            1 => Orders::Lost,
            2 => Orders::Slow,
            3 if self.random.one_in(4) => Orders::Refused,
            4 if self.random.one_in(4) => Orders::Failing,
            _ => Orders::Done,
        };
        let fails = self.random.one_in(25);
        let end = self.said.0.plus(MONTH);
        let package = Package {
            id: "pkg-1".into(),
            left: (TOTAL - self.said.1).to_string(),
            total: TOTAL.to_string(),
            start: self.said.0.to_string(),
            end: end.to_string(),
        };
        let comes_about = self.random.one_in(2);
        let mut inner = self.world.inner();
        if let Some(status) = self.slow.take_if(|_| comes_about) {
            inner.cloud.server = status;
        }
        inner.cloud.packages.insert("pkg-1".into(), package);
        inner.cloud.orders = orders;
        inner.cloud.says = fails.then(|| (502, "<html>bad gateway</html>".into()));
        drop(inner);
        let well = orders == Orders::Done && !fails && self.is_current();
        self.well = if well { self.well + 1 } else { 0 };
    }

    /// Whether what the vendor says is of the running period, amount and bounds.
    fn is_current(&self) -> bool {
        self.said.0 == self.start && self.lag[1] == 0
    }

    fn others(&mut self) {
        if self.random.one_in(500) {
            let mut inner = self.world.inner();
            inner.cloud.server = if self.random.one_in(2) { "ACTIVE" } else { "SHUTOFF" };
            self.excused = true;
        }
        if self.random.one_in(300) {
            self.world.reboot();
            self.world.pass(Duration::from_secs(1200));
            self.well = 0;
        }
    }

    fn run(&mut self) {
        if self.random.one_in(20) {
            let side = if self.random.one_in(2) { Side::Before } else { Side::After };
            self.world.inner().fuse = Some((1 + self.random.below(8) as usize, side));
        }
        let ended = self.world.run(&self.config);
        if matches!(ended, Ended::Cut) {
            self.well = 0;
        }
        self.orders();
        if let Ended::Exited(result) = ended {
            let report = (*result).unwrap_or_else(|error| panic!("{}: {error}", self.place));
            assert!([0, 3].contains(&(report.exit() as u8)), "{}", self.place);
            self.settled();
        }
        let mut inner = self.world.inner();
        inner.fuse = None;
        inner.transcript.clear();
        inner.effects.clear();
        inner.accepted.clear();
    }

    /// What the server was told in this run.
    fn orders(&mut self) {
        let (given, failed) = {
            let inner = self.world.inner();
            (inner.cloud.given[self.seen..].to_vec(), inner.cloud.says.is_some())
        };
        self.seen += given.len();
        let left = TOTAL - self.said.1;
        let running = self.said.0.plus(MONTH) > self.now();
        for order in given {
            let status = if order.starts_with("os-stop") { "SHUTOFF" } else { "ACTIVE" };
            self.slow = (self.world.inner().cloud.orders == Orders::Slow).then_some(status);
            assert!(!failed && running, "{}: {order} on no figure of the running period", self.place);
            if order.starts_with("os-stop") {
                assert!(left <= STOP_AT, "{}: stopped with {left} GB left", self.place);
                assert!(self.is_current(), "{}: stopped on an amount of the period before", self.place);
                self.stopped = Some(self.said.0);
            } else {
                // Whether it was off before an order that was cut, nobody knows.
                let Some(period) = self.stopped else {
                    assert!(self.excused, "{}: started without a stop", self.place);
                    continue;
                };
                assert!(self.said.0 > period, "{}: started in the period of the stop", self.place);
                assert!(left > STOP_AT, "{}: started with {left} GB left", self.place);
                if self.world.inner().cloud.server == "ACTIVE" {
                    (self.stopped, self.excused) = (None, false);
                }
            }
        }
    }

    /// Once all has been well for some hours.
    fn settled(&mut self) {
        if self.well < SETTLED {
            return;
        }
        let (server, left) = (self.world.inner().cloud.server, TOTAL - self.said.1);
        if self.excused {
            self.excused = left <= STOP_AT || server != "ACTIVE";
        } else if left <= STOP_AT {
            assert_eq!(server, "SHUTOFF", "{}: on with {left} GB left", self.place);
            self.checked[0] += 1;
        } else {
            assert_eq!(server, "ACTIVE", "{}: left off in the new period", self.place);
            self.checked[1] += 1;
        }
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long a test runs is said by its environment")]
fn a_server_is_off_and_on_when_it_should_be() {
    let years: u64 = std::env::var("NETQUOTA_YEARS").map_or(4, |years| years.parse().unwrap());
    let mut checked = [0, 0];
    for seed in 0..years {
        let mut year = Year::new(seed);
        year.live(seed);
        checked = [checked[0] + u64::from(year.checked[0]), checked[1] + u64::from(year.checked[1])];
    }
    assert!(checked.iter().all(|times| *times > 100 * years), "checked only {checked:?} times in {years} years");
}

//! Random weeks of runs over a cluster of six guests, with restarts, moves, NICs that come and go, rollbacks, owners who meddle,
//! locks, nodes that fall silent, answers that get lost, and power cuts.
//!
//! Fixed seeds; `NETQUOTA_CLUSTERS` says how many. What must hold whatever happens: what is metered is what flowed, exactly while nothing is lost, and
//! else within what a row of the records may be off; nothing but `rate` and `link_down` is ever changed; a guest is held
//! only for a tier that was really reached. What must hold once all has been well for some runs: each guest is held as its
//! tiers say, and all else of it is as its owner wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::random::Random;
use super::sim::{Ended, Side, World};
use crate::config::Config;
use crate::quota::hold::Strictest;
use crate::quota::instant::Instant;
use crate::quota::meter::{Count, Ledger};
use crate::quota::policy::{Effect, Kept, View};
use crate::quota::state::State;

const CONFIG: &str = "
[source.pve]
api = [\"https://pve1:8006\", \"https://pve2:8006\"]
token_id = \"netquota@pve!quota\"
token_secret = \"x\"
tls = \"insecure\"
[quota.hour]
period = \"hour\"
types = [\"qemu\"]
allowance = \"6 GB\"
tier = [{ used = \"60%\", actions = [\"slow\"] }, { used = \"100%\", actions = [\"crawl\"] }]
[quota.day]
period = \"day\"
allowance = \"80 GB\"
tier = [{ used = \"80%\", actions = [\"slow\"] }, { used = \"100%\", actions = [\"cut\"] }]
[quota.month]
guests = [100, 101, 104]
allowance = \"400 GB\"
tier = [{ used = \"80%\" }, { used = \"100%\", actions = [\"off\"] }]
[quota.all]
allowance = \"100 TB\"
tiers = [\"80%\"]
[action.slow]
kind = \"pve-rate-limit\"
rate = \"8 Mbps\"
[action.crawl]
kind = \"pve-rate-limit\"
rate = \"800 kbps\"
[action.cut]
kind = \"pve-disconnect\"
[action.off]
kind = \"pve-shutdown\"
keep_down = true
restart_on_lift = true
[notifier.telegram]
token = \"1:x\"
chat = 1
";

const GUESTS: [u32; 6] = [100, 101, 102, 103, 104, 105];
/// No guest moves more bytes per second than this.
const FASTEST: u64 = 3_000_000;
/// What the two ends of a time that records fill in may be off by, together.
const ROWS: u64 = 2 * 60 * FASTEST;
/// Well runs after which there is no excuse.
const SETTLED: u32 = 4;
/// For so long, too: what was ordered is given that time before it is ordered again, and one just started its grace.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// One that was just started is spared for a while.
const GRACE: Duration = Duration::from_secs(20 * 60);

/// What is known of a guest beside the program.
struct Books {
    /// When its figure that is metered was read, and what had flowed from it until then.
    read: (Instant, u64),
    /// Metered in all periods that are over and not remembered any more, of the quota over all.
    closed: u64,
    ledger: Option<Box<Ledger>>,
    /// How many bytes may be missing, or too many, since it was last exact.
    slack: u64,
    /// The same, one by one, of the last weeks.
    doubts: Vec<(Instant, u64)>,
    /// Since its last figure: whether it was started anew or moved, and whether bytes may be gone for good.
    restarted: bool,
    lossy: bool,
    /// When its owner last had a hand in it, and the first run at which it is no longer spared for it.
    touched: (Instant, Option<Instant>),
    /// Whether it should be off, and since when that is so.
    off: Option<(bool, Instant)>,
    /// Whether it is off by our order, as far as anybody can tell.
    downed: bool,
}

/// A time in a world.
struct Year {
    random: Random,
    world: World,
    config: Config,
    start: Instant,
    books: BTreeMap<u32, Books>,
    /// When what is wrong will be over.
    until: Option<Instant>,
    silent: Option<&'static str>,
    well: u32,
    well_since: Instant,
    given: usize,
    /// How often it was looked at guests that were free, limited, cut off, kept off.
    checked: [u64; 4],
    exact: u64,
    story: Vec<String>,
    seed: u64,
    place: String,
}

impl Year {
    fn new(seed: u64) -> Self {
        let start = Instant::parse("2026-01-01T00:00:00Z").unwrap();
        let world = World::new(start);
        let config = world.configure(CONFIG);
        let mut year = Self {
            random: Random::new(seed),
            world,
            config,
            start,
            books: BTreeMap::new(),
            until: None,
            silent: None,
            well: 0,
            well_since: start,
            given: 0,
            checked: [0; 4],
            exact: 0,
            story: Vec::new(),
            seed,
            place: String::new(),
        };
        for vmid in GUESTS {
            let kind = if vmid < 104 { "vm" } else { "ct" };
            let more = ["", " on pve2", " ha started"][vmid as usize % 3];
            year.line(&format!("{kind} {vmid} g{vmid}{more}"));
            year.line(&format!("nic {vmid} net1 {}", another_nic(vmid, 0)));
        }
        year
    }

    fn line(&mut self, line: &str) {
        let told = format!("{} {line}", self.now());
        self.story.push(told);
        self.world.inner().cluster.line(line).unwrap_or_else(|| panic!("{}: {line}", self.place));
    }

    fn now(&self) -> Instant {
        self.world.inner().now
    }

    fn live(&mut self, length: Duration) {
        let end = self.start.plus(length);
        while self.now() < end {
            for vmid in GUESTS {
                self.owner(vmid);
            }
            self.trouble();
            let minutes = [1, 2, 5, 10, 15, 30, 60, 60][self.random.below(8) as usize];
            self.world.pass(Duration::from_secs(minutes * 60 - 10 + self.random.below(20)));
            self.run();
        }
    }

    /// What happens to a guest.
    fn owner(&mut self, vmid: u32) {
        if self.random.one_in(20) {
            let most = [10_000, 300_000, FASTEST / 2, FASTEST / 2][self.random.below(4) as usize];
            let mut rate = || (self.random.below(most + 1) / 1000 * 1000).min(FASTEST / 2);
            let (to, from) = (rate(), rate());
            let nic = if self.random.one_in(3) { "net1" } else { "net0" };
            // The NIC may be out.
            self.world.inner().cluster.line(&format!("rate {vmid} {to} {from} {nic}"));
        }
        if !self.random.one_in(40) {
            return;
        }
        let on = self.world.inner().cluster.guests[&vmid].is_on();
        let held = self.world.state().is_some_and(|state| held(&state, vmid));
        let node = ["pve1", "pve2"][self.random.below(2) as usize];
        let rate = ["-", "0.5", "10", "50", "0"][self.random.below(5) as usize];
        let number = self.random.below(256);
        let mut power = false;
        let (mut lossy, mut restarted) = (false, false);
        let line = match self.random.below(14) {
            0 if on => {
                (power, restarted) = (true, true);
                format!("restart {vmid}")
            }
            1 if on => {
                (power, restarted) = (true, true);
                format!("stop {vmid}")
            }
            1 | 2 if !on => {
                (power, restarted) = (true, true);
                format!("start {vmid}")
            }
            3 | 4 => {
                restarted = true;
                format!("migrate {vmid} {node}")
            }
            5 => {
                lossy = true;
                format!("replug {vmid} net0")
            }
            6 if self.world.inner().cluster.guests[&vmid].nics.len() > 1 => {
                lossy = true;
                format!("unplug {vmid} net1")
            }
            6 => {
                lossy = true;
                format!("nic {vmid} net1 {}", another_nic(vmid, number))
            }
            7 => {
                lossy = true;
                format!("rollback {vmid}")
            }
            // One that is taken while limited brings our limit back.
            8 if !held => format!("snapshot {vmid}"),
            9 | 10 => format!("edit {vmid} net0 rate {rate}"),
            11 => format!("edit {vmid} net0 link_down {}", if self.random.one_in(2) { "1" } else { "-" }),
            12 => format!("edit {vmid} net0 tag {}", 2 + number),
            _ => {
                power = true;
                format!("lock {vmid} backup")
            }
        };
        let locked = self.world.inner().cluster.guests[&vmid].lock.is_some();
        if locked {
            power = true;
        }
        let line = if locked { format!("unlock {vmid}") } else { line };
        self.line(&line);
        let now = self.now();
        if let Some(books) = self.books.get_mut(&vmid) {
            books.restarted |= restarted && !locked;
            books.lossy |= lossy && !locked;
            if power {
                books.touched = (now, None);
                books.downed &= locked || line.starts_with("lock");
            }
        }
    }

    /// What is wrong with the cluster, and until when.
    fn trouble(&mut self) {
        let now = self.now();
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
            self.line("answers right");
            self.line("api up");
            if let Some(node) = self.silent.take() {
                self.line(&format!("node {node} up"));
            }
        }
        if self.until.is_some() || !self.random.one_in(40) {
            return;
        }
        let minutes = 10 + self.random.below(200);
        let count = 1 + self.random.below(4);
        let what = ["lost", "silent", "596", "empty", "html", "401", "no-quorum"][self.random.below(7) as usize];
        match self.random.below(8) {
            0 => self.line("api down"),
            1 => self.line("api down pve1"),
            kind @ (2 | 3) => {
                let node = ["pve1", "pve2"][self.random.below(2) as usize];
                self.silent = Some(node);
                self.line(&format!("node {node} {}", if kind == 2 { "down" } else { "crash" }));
            }
            4 => self.line(&format!("answers {what}")),
            _ => self.line(&format!("answers {what} {count}")),
        }
        self.until = Some(now.plus(Duration::from_secs(minutes * 60)));
    }

    fn run(&mut self) {
        if self.random.one_in(25) {
            let side = if self.random.one_in(2) { Side::Before } else { Side::After };
            self.world.inner().fuse = Some((1 + self.random.below(6) as usize, side));
        }
        let began = self.now();
        let ended = self.world.run(&self.config);
        let cut = matches!(ended, Ended::Cut);
        self.story.push(format!("{} run{}", self.now(), if cut { ", cut" } else { "" }));
        let late = self.story.len().saturating_sub(20);
        self.place = format!("seed {}, after\n  {}\n", self.seed, self.story[late..].join("\n  "));
        if let Ended::Exited(result) = ended {
            let report = (*result).unwrap_or_else(|error| panic!("{}: {error}", self.place));
            assert!([0, 3].contains(&(report.exit() as u8)), "{}", self.place);
        }
        if cut && self.random.one_in(2) {
            self.world.reboot();
        }
        let blur = self.now().since(began);
        if let Some(state) = self.world.state() {
            for vmid in GUESTS {
                self.balance(&state, vmid, blur);
                if !cut {
                    self.justified(&state, vmid, blur);
                }
            }
            // What was ordered came after the figures of this run.
            self.orders();
            let wrong = self.until.is_some() || cut || self.world.inner().cluster.wrong.is_some();
            if wrong {
                (self.well, self.well_since) = (0, self.now());
            } else {
                self.well += 1;
                self.settled(&state);
            }
        }
        let judged = self.world.inner().cluster.tightened_only();
        judged.unwrap_or_else(|why| panic!("{}: {why}", self.place));
        let mut inner = self.world.inner();
        inner.fuse = None;
        inner.transcript.clear();
        inner.effects.clear();
        inner.accepted.clear();
        inner.ran.clear();
    }

    /// What the cluster was told in this run.
    fn orders(&mut self) {
        let given = self.world.inner().cluster.given[self.given..].to_vec();
        self.given += given.len();
        for order in given {
            let (verb, rest) = order.split_once(' ').unwrap();
            let vmid: u32 = rest.split([' ', '/']).nth(1).unwrap().parse().unwrap();
            let Some(books) = self.books.get_mut(&vmid) else { continue };
            match verb {
                "shutdown" => (books.downed, books.restarted) = (true, true),
                "start" => (books.downed, books.restarted) = (false, true),
                _ => {}
            }
        }
    }

    /// What is metered is what flowed.
    fn balance(&mut self, state: &State, vmid: u32, blur: Duration) {
        let Some(subject) = state.sources.get("pve").and_then(|source| source.subjects.get(&name(vmid))) else {
            return;
        };
        let Some(series) = &subject.series else { return };
        let quota = self.config.quotas.iter().find(|quota| quota.name == "all").unwrap();
        let ledger = subject.ledgers[&quota.rule_key].clone();
        let books = self.books.entry(vmid).or_insert_with(|| Books {
            read: (series.at, 0),
            closed: 0,
            ledger: None,
            slack: 0,
            doubts: Vec::new(),
            restarted: false,
            lossy: false,
            touched: (series.at, None),
            off: None,
            downed: false,
        });
        let of_last = |ledger: &Ledger| ledger.last.as_ref().map_or(0, |last| last.used.tx + last.between.tx);
        if let Some(before) = books.ledger.take().filter(|before| ledger.period.start > before.period.start) {
            books.closed += of_last(&before);
        }
        let inner = self.world.inner();
        let unheard = self.silent.is_some();
        books.lossy |= unheard;
        let flow = inner.cluster.flowed(vmid, books.read.0, series.at).1;
        if series.at > books.read.0 {
            books.read = (series.at, books.read.1 + flow);
            if books.lossy || books.restarted {
                let lost = if books.lossy { flow } else { 0 };
                books.slack += lost + 2 * ROWS;
                books.doubts.push((series.at, lost + 2 * ROWS));
            }
            (books.lossy, books.restarted) = (unheard, false);
        }
        let missing: u64 = subject.gaps.iter().map(|gap| inner.cluster.flowed(vmid, gap.from, gap.to).1).sum();
        drop(inner);
        let blur = blur.as_secs() * FASTEST;
        let slack = books.slack + blur;
        let metered = ledger.used.tx + of_last(&ledger) + books.closed;
        let (least, most) = (books.read.1.saturating_sub(slack + missing), books.read.1 + slack);
        assert!(
            (least..=most).contains(&metered),
            "{}: {vmid}: metered {metered} of {}, at most {slack} off, {missing} to come",
            self.place,
            books.read.1
        );
        if slack == 0 && missing == 0 {
            self.exact += 1;
        }
        // Once nothing is to come any more, it goes on from what is metered.
        let is_open = ledger.split.is_some() || !subject.gaps.is_empty() || blur > 0 || books.lossy || books.restarted;
        if !is_open {
            (books.read.1, books.slack) = (metered, 0);
            let old = series.at.minus(Duration::from_secs(40 * 86_400));
            books.doubts.retain(|(at, _)| *at > old);
        }
        books.ledger = Some(ledger);
    }

    /// A guest is held for what has really flowed.
    fn justified(&mut self, state: &State, vmid: u32, blur: Duration) {
        let Some(guest) = state.guests.get("pve").and_then(|guests| guests.get(&name(vmid))) else { return };
        if guest.lifting.is_some() {
            return;
        }
        let subject = &state.sources["pve"].subjects[&name(vmid)];
        let books = &self.books[&vmid];
        for need in &guest.needs {
            let quota = self.config.quotas.iter().find(|quota| quota.name == need.quota).unwrap();
            let Some(view) = View::of(quota, &name(vmid), subject).map(|view| (view.ledger.period, view.allowance))
            else {
                continue;
            };
            let (period, allowance) = view;
            let does = quota.tiers.iter().filter(|tier| tier.actions.iter().any(|action| action.name == need.action));
            let least = does.filter_map(|tier| tier.threshold.at(allowance)).min().unwrap();
            let flowed = self.world.inner().cluster.flowed(vmid, period.start, books.read.0).1;
            let doubts: u64 = books.doubts.iter().filter(|(at, _)| *at >= period.start).map(|(_, bytes)| bytes).sum();
            let slack = doubts + ROWS + blur.as_secs() * FASTEST;
            assert!(
                flowed + slack >= least,
                "{}: {vmid} is held by {} of {}: {flowed} of {least} flowed, at most {slack} off",
                self.place,
                need.action,
                need.quota
            );
        }
    }

    /// Once all has been well for some runs, every guest is as it should be.
    fn settled(&mut self, state: &State) {
        let now = self.now();
        let mut wanted: BTreeMap<u32, Strictest> = BTreeMap::new();
        let mut unsure: BTreeSet<u32> = BTreeSet::new();
        for vmid in GUESTS {
            match wants(&self.config, state, vmid) {
                Some(wants) => drop(wanted.insert(vmid, wants)),
                None => drop(unsure.insert(vmid)),
            }
        }
        for vmid in GUESTS {
            let off = wanted.get(&vmid).is_some_and(|wanted| wanted.off.is_some());
            let books = self.books.get_mut(&vmid).unwrap();
            if now.since(books.touched.0) >= GRACE {
                books.touched.1.get_or_insert(now);
            }
            if books.off.is_none_or(|(known, _)| known != off) || unsure.contains(&vmid) {
                books.off = Some((off, now));
            }
        }
        if self.well < SETTLED {
            return;
        }
        let patient = now.since(self.well_since) >= PATIENCE;
        let mut inner = self.world.inner();
        let locked = |vmid: &u32| inner.cluster.guests[vmid].lock.is_some();
        let free: BTreeSet<u32> = GUESTS.into_iter().filter(|vmid| !locked(vmid)).collect();
        inner.cluster.held = GUESTS
            .into_iter()
            .filter(|vmid| !free.contains(vmid) || wanted.get(vmid).is_none_or(|wanted| wanted.is_on_nics()))
            .collect();
        let untouched = inner.cluster.untouched();
        inner.cluster.held.clear();
        untouched.unwrap_or_else(|why| panic!("{}: {why}", self.place));
        for (vmid, wanted) in wanted.iter().filter(|(vmid, _)| free.contains(vmid)) {
            let guest = &inner.cluster.guests[vmid];
            for (name, nic) in &guest.nics {
                let parts = nic.parts(guest.kind);
                let limit = [nic.owners.limit(), wanted.limit].into_iter().flatten().min();
                let down = nic.owners.is_down() || wanted.disconnected;
                assert_eq!(
                    (parts.limit(), parts.is_down()),
                    (limit, down),
                    "{}: {name} of {vmid} is {}, of its owner {}",
                    self.place,
                    nic.text,
                    nic.owners.stored()
                );
            }
            let books = &self.books[vmid];
            let (off, since) = books.off.unwrap();
            if patient && now.since(since) >= PATIENCE && books.touched.1.is_some_and(|at| now.since(at) >= PATIENCE) {
                let held = state.guests.get("pve").and_then(|guests| guests.get(&name(*vmid)));
                let wrong = if off { guest.is_on() } else { books.downed && !guest.is_on() };
                assert!(!wrong, "{}: {vmid} is {}: off since {:?}, {held:#?}", self.place, guest.status, books.off);
                self.checked[3] += u64::from(off);
            }
            let which = if wanted.disconnected { 2 } else { usize::from(wanted.limit.is_some()) };
            self.checked[which] += 1;
        }
    }
}

fn another_nic(vmid: u32, number: u64) -> String {
    let address = format!("BC:24:11:AA:{:02X}:{:02X}", vmid % 256, number % 256);
    if vmid < 104 {
        format!("e1000={address},bridge=vmbr1,tag=7")
    } else {
        format!("name=eth1,bridge=vmbr1,hwaddr={address},type=veth")
    }
}

fn name(vmid: u32) -> String {
    format!("{}/{vmid}", if vmid < 104 { "qemu" } else { "lxc" })
}

fn held(state: &State, vmid: u32) -> bool {
    state.guests.get("pve").is_some_and(|guests| guests.contains_key(&name(vmid)))
}

/// How a guest should be held by what is metered; none where a tier is reached only with bytes no action is based on.
fn wants(config: &Config, state: &State, vmid: u32) -> Option<Strictest> {
    let source = &state.sources["pve"];
    let (name, subject) = source.subjects.get_key_value(&name(vmid))?;
    let mut wants = Strictest::default();
    for quota in config.quotas.iter().filter(|quota| quota.selects(name, subject)) {
        let Some(view) = View::of(quota, name, subject) else { continue };
        for tier in quota.tiers.iter().filter(|tier| !tier.actions.is_empty() && view.reaches(tier)) {
            let at = tier.threshold.at(view.allowance).unwrap();
            if view.ledger.certain(Count::Out) < at {
                return None;
            }
            for action in &tier.actions {
                match action.effect {
                    Effect::Kept(Kept::Limited(rate)) => wants.limit = Some(wants.limit.map_or(rate, |r| r.min(rate))),
                    Effect::Kept(Kept::Disconnected) => wants.disconnected = true,
                    Effect::Kept(Kept::Off(off)) => wants.off = Some(off),
                    _ => {}
                }
            }
        }
    }
    Some(wants)
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long a test runs is said by its environment")]
fn guests_are_counted_and_held_as_they_should_be() {
    // Six weeks each: the end of a month is among them.
    let length = Duration::from_secs(86_400) * 42;
    let seeds: u64 = std::env::var("NETQUOTA_CLUSTERS").map_or(2, |clusters| clusters.parse().unwrap());
    let live = move |seed: u64| {
        let mut year = Year::new(seed);
        year.live(length);
        (year.checked, year.exact)
    };
    let halves = (0..2).map(|half| std::thread::spawn(move || (half..seeds).step_by(2).map(live).collect::<Vec<_>>()));
    for (checked, exact) in halves.collect::<Vec<_>>().into_iter().flat_map(|half| half.join().unwrap()) {
        assert!(checked.iter().all(|times| *times > 20) && exact > 1000, "checked only {checked:?}, {exact}");
    }
}

//! Scenarios: text scripts of time, traffic, outages and runs, and their golden transcripts.
//!
//! | line | does |
//! |---|---|
//! | `config` … `end` | the configuration from now on; without it, five lines with Telegram |
//! | `at TIME` | sets all clocks at the start of a scenario, before there is any guest |
//! | `+ TIME` | time passes |
//! | `out BYTES [NIC]`, `in BYTES [NIC]` | traffic |
//! | `run` | one checking run |
//! | `each TIME for TIME [out BYTES]` | a run after every such time, each with so much traffic before it |
//! | `reboot`, `clock TIME`, `servers agree/differ/silent` | the machine and its clocks |
//! | `nic NAME INDEX [TX]`, `gone NAME`, `rename OLD NEW` | interfaces |
//! | `telegram up/down/lost/moved ID/says STATUS BODY` | the Bot API |
//! | `command PROGRAM exits N/missing/hangs` | what commands do |
//! | `package ID LEFT TOTAL START END [NEW-ID]` | a traffic package, in GB, from and until a time |
//! | `bss up/says STATUS BODY` | billing |
//! | `server on/off/done/slow/lost/down/refused/failing` | the server, and how orders to it go |
//! | `pve …` | the Proxmox VE cluster: see `cluster/words.rs` |
//! | `node NAME …` | a node that reports here: see `fleet.rs` |
//! | `tunnel …` | the tunnel server: see `tunnel.rs` |
//! | `calibrate QUOTA SUBJECT USED [at TIME]` | the operator's hand |
//! | `disk full/free`, `state broken/missing/none` | the state's fate |
//! | `figures` | what is metered |
//!
//! Re-record with `NETQUOTA_RECORD=1 cargo test scenario`, and read the difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cloud::{Orders, Package};
use super::sim::{Ended, Ending, Nic, Side, Telegram, World, exit_of};
use crate::calibrate;
use crate::check::Report;
use crate::cli::CalibrateArgs;
use crate::config::Config;
use crate::error::Result;
use crate::quota::bytes::{Amount, UnitBase};
use crate::quota::duration;
use crate::quota::instant::Instant;
use crate::quota::policy::View;
use crate::quota::state::State;

/// A script.
pub struct Scenario {
    /// Its file's name.
    pub name: String,
    lines: Vec<String>,
}

const CONFIG: &str = "
[quota.month]
allowance = \"1 TB\"
tiers = [\"80%\", \"90%\", \"95%\"]
[notifier.telegram]
token = \"123456:secret-of-the-bot\"
chat = 1
";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testing/scenarios")
}

/// All scenarios, by name.
pub fn all() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            scenarios.push(Scenario::read(&path));
        }
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    scenarios
}

/// A scenario on its way.
pub struct Play {
    /// Its world.
    pub world: World,
    config: Config,
    reboots: bool,
    /// Whether the fuse has blown.
    pub cut: bool,
}

impl Scenario {
    /// The scenario in a file.
    #[allow(clippy::disallowed_methods, reason = "a test reads its own files")]
    pub fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let lines = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
        Self { name, lines }
    }

    /// Plays it from the start, with the fuse set, if any; `reboots`: a cut takes the whole machine down.
    pub fn play(&self, fuse: Option<(usize, Side)>, reboots: bool) -> Play {
        let world = World::new(Instant::parse("2026-01-01T00:00:00Z").unwrap());
        world.inner().fuse = fuse;
        let config = world.configure(CONFIG);
        let mut play = Play { world, config, reboots, cut: false };
        let mut lines = self.lines.iter();
        while let Some(line) = lines.next() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            if line == "config" {
                let text: Vec<&str> = lines.by_ref().map(String::as_str).take_while(|line| *line != "end").collect();
                play.config = play.world.configure(&text.join("\n"));
            } else if !line.is_empty() && !line.starts_with('#') {
                play.line(line).unwrap_or_else(|| panic!("{}: {line:?} is no line of a scenario", self.name));
            }
        }
        play
    }
}

impl Play {
    fn line(&mut self, line: &str) -> Option<()> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "at" => self.at(Instant::parse(rest)?),
            "clock" => self.world.inner().now = Instant::parse(rest)?,
            "+" => self.world.pass(duration::parse(rest).ok()?),
            "out" | "in" => self.traffic(verb, rest)?,
            "run" => self.run(),
            "each" => self.each(rest)?,
            "reboot" => self.world.reboot(),
            "servers" => self.servers(rest)?,
            "nic" | "gone" | "rename" => self.nic(verb, rest)?,
            "telegram" => self.world.inner().telegram = telegram(rest)?,
            "command" => self.command(rest)?,
            "package" => self.package(rest)?,
            "bss" => self.world.inner().cloud.says = bss(rest)?,
            "server" => self.server(rest)?,
            "pve" => self.pve(rest)?,
            "node" => self.node(rest)?,
            "tunnel" => self.world.inner().tunnel.line(rest)?,
            "calibrate" => self.calibrate(rest)?,
            "disk" => self.world.inner().full = rest == "full",
            "state" => self.state(rest)?,
            "figures" => self.figures(),
            "history" => self.history(rest)?,
            _ => return None,
        }
        Some(())
    }

    fn traffic(&self, verb: &str, rest: &str) -> Option<()> {
        let words: Vec<&str> = rest.split(' ').collect();
        let bytes = bytes(words.get(..2)?)?;
        let nic = words.get(2).copied().unwrap_or("eth0");
        let (sent, received) = if verb == "out" { (bytes, 0) } else { (0, bytes) };
        self.world.traffic(nic, sent, received);
        Some(())
    }

    fn servers(&self, rest: &str) -> Option<()> {
        self.world.inner().agrees = match rest {
            "agree" => Some(true),
            "differ" => Some(false),
            "silent" => None,
            _ => return None,
        };
        Some(())
    }

    fn nic(&self, verb: &str, rest: &str) -> Option<()> {
        let words: Vec<&str> = rest.split(' ').collect();
        let mut inner = self.world.inner();
        match (verb, words[..].split_first()?) {
            ("gone", (name, [])) => drop(inner.nics.remove(*name)?),
            ("rename", (old, [new])) => {
                let nic = inner.nics.remove(*old)?;
                inner.nics.insert((*new).to_owned(), nic);
            }
            ("nic", (name, [index, tx @ ..])) => {
                let tx = if tx.is_empty() { 0 } else { bytes(tx)? };
                inner.moved += tx;
                inner.nics.insert((*name).to_owned(), Nic { index: index.parse().ok()?, rx: 0, tx });
            }
            _ => return None,
        }
        Some(())
    }

    fn command(&self, rest: &str) -> Option<()> {
        let (program, does) = rest.split_once(' ')?;
        let ending = match does {
            "missing" => Ending::Missing,
            "hangs" => Ending::Hangs,
            _ => Ending::Exit(does.strip_prefix("exits ")?.parse().ok()?),
        };
        self.world.inner().commands.insert(program.to_owned(), ending);
        Some(())
    }

    fn package(&self, rest: &str) -> Option<()> {
        let words: Vec<String> = rest.split(' ').map(str::to_owned).collect();
        let [id, left, total, start, end, new @ ..] = &words[..] else { return None };
        let [left, total, start, end] = [left, total, start, end].map(Clone::clone);
        let package = Package { id: new.first().unwrap_or(id).clone(), left, total, start, end };
        self.world.inner().cloud.packages.insert(id.clone(), package);
        Some(())
    }

    fn server(&self, rest: &str) -> Option<()> {
        let cloud = &mut self.world.inner().cloud;
        match rest {
            "on" => cloud.server = "ACTIVE",
            "off" => cloud.server = "SHUTOFF",
            word => cloud.orders = Orders::named(word)?,
        }
        Some(())
    }

    fn at(&self, at: Instant) {
        let mut inner = self.world.inner();
        (inner.now, inner.cluster.now) = (at, at);
    }

    fn pve(&self, rest: &str) -> Option<()> {
        let mut inner = self.world.inner();
        let lines = inner.cluster.line(rest)?;
        inner.transcript.extend(lines);
        Some(())
    }

    fn node(&self, rest: &str) -> Option<()> {
        let mut inner = self.world.inner();
        let now = inner.now;
        inner.fleet.line(rest, now)
    }

    fn state(&self, rest: &str) -> Option<()> {
        let mut inner = self.world.inner();
        match rest {
            "broken" => inner.current = Some(b"{\"version\":1,\"clo".to_vec()),
            "missing" => inner.current = None,
            "none" => (inner.current, inner.previous) = (None, None),
            _ => return None,
        }
        Some(())
    }

    /// One run; when the fuse cuts it, the next one follows at once.
    pub fn run(&mut self) {
        match self.world.run(&self.config) {
            Ended::Exited(result) => self.tell(*result),
            Ended::Cut => {
                self.come_back();
                self.run();
            }
        }
    }

    fn come_back(&mut self) {
        self.cut = true;
        if self.reboots {
            self.world.reboot();
        }
    }

    fn tell(&self, result: Result<Report>) {
        let at = self.world.inner().now;
        self.world.note(format!("{at} run: {}", exit_of(&result)));
        let untold = result.map(|report| report.untold).unwrap_or_default();
        untold.iter().for_each(|problem| self.world.note(format!("  problem: {problem}")));
    }

    fn each(&mut self, rest: &str) -> Option<()> {
        let (every, rest) = rest.split_once(" for ")?;
        let (whole, out) = rest.split_once(" out ").unwrap_or((rest, "0 B"));
        let (every, whole) = (duration::parse(every).ok()?, duration::parse(whole).ok()?);
        let mut passed = Duration::ZERO;
        while passed < whole {
            self.world.pass(every);
            self.traffic("out", out)?;
            self.run();
            passed += every;
        }
        Some(())
    }

    fn calibrate(&mut self, line: &str) -> Option<()> {
        let (rest, at) = line.split_once(" at ").map_or((line, None), |(rest, at)| (rest, Some(at.to_owned())));
        let mut words = rest.splitn(3, ' ').map(str::to_owned);
        let args = CalibrateArgs { quota: words.next()?, subject: words.next()?, used: words.next()?, at };
        let mut said = String::new();
        self.world.inner().moved += bytes(&args.used.split(' ').collect::<Vec<_>>())?;
        let ended = self.world.attempt(|host| {
            let (text, _) = calibrate::calibrate(host, &self.world, &self.config, &args)?;
            said = text;
            Ok(Report::empty(self.world.inner().now))
        });
        match ended {
            Ended::Cut => {
                self.come_back();
                return self.calibrate(line);
            }
            Ended::Exited(result) => self.world.note(format!("calibrate: {}: {said}", exit_of(&result))),
        }
        Some(())
    }

    /// Takes the history store away, or shows what it has.
    fn history(&self, rest: &str) -> Option<()> {
        match rest {
            "up" | "down" => self.world.inner().archive_down = rest == "down",
            "" => super::history::tell(&self.world),
            _ => return None,
        }
        Some(())
    }

    fn figures(&self) {
        for (name, used) in self.used() {
            self.world.note(format!("  figure: {name}: {used}"));
        }
    }

    /// Nothing was done to a guest that should not have been, and those that are not held are as they were.
    pub fn check_cluster(&self, place: &str) {
        super::history::check(&self.world, place);
        let inner = self.world.inner();
        for judged in [inner.cluster.tightened_only(), inner.cluster.untouched()] {
            judged.unwrap_or_else(|why| panic!("{place}: {why}"));
        }
    }

    /// What every quota says of every subject.
    pub fn used(&self) -> BTreeMap<String, u64> {
        self.world.state().map(|state| used(&self.config, &state)).unwrap_or_default()
    }
}

/// What every quota says of every subject.
fn used(config: &Config, state: &State) -> BTreeMap<String, u64> {
    let mut used = BTreeMap::new();
    for quota in &config.quotas {
        let Some(source) = state.sources.get(&quota.source) else { continue };
        for view in quota.rows(source).into_iter().filter_map(|(name, subject)| View::of(quota, name, subject)) {
            used.insert(format!("{} {}", quota.name, view.subject), view.used);
        }
    }
    used
}

/// An amount of two words.
pub fn bytes(words: &[&str]) -> Option<u64> {
    Amount::parse(&words.join(" "), UnitBase::Thousand).ok().map(|amount| amount.bytes)
}

fn bss(rest: &str) -> Option<Option<(u16, String)>> {
    if rest == "up" {
        return Some(None);
    }
    let (status, body) = rest.strip_prefix("says ")?.split_once(' ')?;
    Some(Some((status.parse().ok()?, body.to_owned())))
}

fn telegram(rest: &str) -> Option<Telegram> {
    Some(match rest.split_once(' ').unwrap_or((rest, "")) {
        ("up", "") => Telegram::Up,
        ("down", "") => Telegram::Down,
        ("lost", "") => Telegram::Lost,
        ("moved", to) => Telegram::Moved(to.to_owned()),
        ("says", says) => {
            let (status, body) = says.split_once(' ')?;
            Telegram::Says(status.parse().ok()?, body.to_owned())
        }
        _ => return None,
    })
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test reads and records its own files")]
fn scenarios_go_as_recorded() {
    let record = std::env::var_os("NETQUOTA_RECORD").is_some();
    let mut wrong = Vec::new();
    for scenario in all() {
        let play = scenario.play(None, false);
        play.check_cluster(&scenario.name);
        let transcript = play.world.inner().transcript.join("\n") + "\n";
        assert!(!transcript.contains("secret-of-the"), "{}: a secret leaks", scenario.name);
        let golden = folder().join(format!("{}.out", scenario.name));
        if record {
            std::fs::write(&golden, &transcript).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != transcript {
            wrong.push(format!("{}:\n{transcript}", scenario.name));
        }
    }
    assert!(wrong.is_empty(), "scenarios that go otherwise than recorded:\n{}", wrong.join("\n"));
}

#[test]
fn running_again_with_nothing_new_does_nothing() {
    for scenario in all() {
        let mut play = scenario.play(None, false);
        play.world.inner().telegram = Telegram::Up;
        play.world.inner().full = false;
        // What still waited is sent, failed actions end their tries; then there is nothing left to do.
        for _ in 0..6 {
            play.run();
        }
        let count = |play: &Play| {
            let inner = play.world.inner();
            (inner.accepted.len(), inner.ran.len())
        };
        let before = count(&play);
        play.run();
        assert_eq!(count(&play), before, "{}: something was sent or done again", scenario.name);
    }
}

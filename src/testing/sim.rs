//! A world that is host and store at once.
//!
//! Its clock moves only when told; its interfaces, its Telegram and its commands behave as the scenario says; every
//! effect is written to a transcript, and a fuse can cut the run before or after any of them.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::archive::MemoryArchive;
use super::cloud::Cloud;
use super::cluster::Cluster;
use super::fleet::Fleet;
use super::tunnel::Tunnel;
use crate::check::{self, Options, Report};
use crate::config::secret::Need;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::history::{self, Access, Archive, Batch, Failure};
use crate::host::{Command, Host, HttpError, Job, Ran, Reached, Request, Response};
use crate::quota::instant::Instant;
use crate::quota::state::State;
use crate::quota::track::Grain;
use crate::store::{Documents, Guard, LockError, Store};

/// The world, shared by the host and the store of a run.
#[derive(Clone)]
pub struct World(Arc<Mutex<Inner>>);

/// Everything in it.
pub struct Inner {
    /// The wall clock.
    pub now: Instant,
    /// Since boot.
    pub uptime: Duration,
    /// Since the run started.
    pub elapsed: Duration,
    /// Counts boots; part of the boot id.
    pub boot: u32,
    /// By name.
    pub nics: BTreeMap<String, Nic>,
    /// How the Bot API answers.
    pub telegram: Telegram,
    /// Whether servers' clocks agree with the wall clock; none: they send no date.
    pub agrees: Option<bool>,
    /// Whether a server was heard in this run.
    pub heard: bool,
    /// Huawei Cloud.
    pub cloud: Cloud,
    /// A Proxmox VE cluster.
    pub cluster: Cluster,
    /// Nodes that report here.
    pub fleet: Fleet,
    /// A tunnel server.
    pub tunnel: Tunnel,
    /// How commands end, by program.
    pub commands: BTreeMap<String, Ending>,
    /// `state.json`.
    pub current: Option<Vec<u8>>,
    /// `state.json.previous`.
    pub previous: Option<Vec<u8>>,
    /// Whether a save fails: the disk is full.
    pub full: bool,
    /// The history store.
    pub archive: MemoryArchive,
    /// Whether it does not answer.
    pub archive_down: bool,
    /// What happened.
    pub transcript: Vec<String>,
    /// Texts accepted by Telegram.
    pub accepted: Vec<String>,
    /// Commands run.
    pub ran: Vec<Vec<String>>,
    /// Effects so far: what each was.
    pub effects: Vec<Effect>,
    /// Where the power is cut.
    pub fuse: Option<(usize, Side)>,
    /// Bytes sent that no reading saw before a reboot.
    pub lost: u64,
    /// Bytes moved in all, in both directions, and those the operator said were used.
    pub moved: u64,
}

/// A network interface.
#[derive(Debug, Clone, Copy)]
pub struct Nic {
    /// Its index.
    pub index: u64,
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
}

/// How the Bot API answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Telegram {
    /// It accepts.
    Up,
    /// Nobody is there.
    Down,
    /// It accepts, and the answer is lost.
    Lost,
    /// It answers with this status and body.
    Says(u16, String),
    /// The chat has become this supergroup.
    Moved(String),
}

/// How a command ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With an exit code.
    Exit(i32),
    /// There is no such program.
    Missing,
    /// It runs until its time limit.
    Hangs,
}

/// Something that leaves a trace outside of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The state was replaced.
    Save,
    /// A message was sent.
    Send,
    /// A command was run.
    Command,
    /// The history was written.
    Record,
}

/// On which side of an effect the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It does not happen.
    Before,
    /// It happens, and nothing after it.
    After,
}

/// What unwinds when the power is cut.
struct PowerCut;

/// How a run ended.
pub enum Ended {
    /// By itself.
    Exited(Box<Result<Report>>),
    /// The power was cut.
    Cut,
}

impl Inner {
    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.uptime += time;
        self.cluster.pass(time);
        self.fleet.pass(time);
    }

    /// Time passes within a run.
    fn wait(&mut self, time: Duration) {
        self.pass(time);
        self.elapsed += time;
    }

    /// What the cluster does with a request, written down.
    fn ask_cluster(&mut self, request: &Request) -> std::result::Result<Response, HttpError> {
        let before = self.cluster.given.len();
        let answer = self.cluster.answer(request);
        for given in &self.cluster.given[before..] {
            self.transcript.push(format!("  pve: {given}"));
            self.ran.push(vec!["pve".into(), given.clone()]);
        }
        self.wait(self.cluster.took);
        answer
    }
}

impl World {
    /// One interface, nothing else.
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            now,
            uptime: Duration::from_secs(86_400),
            elapsed: Duration::ZERO,
            boot: 1,
            nics: BTreeMap::from([("eth0".to_owned(), Nic { index: 2, rx: 0, tx: 0 })]),
            telegram: Telegram::Up,
            agrees: None,
            heard: false,
            cloud: Cloud::new(),
            cluster: Cluster::new(now),
            fleet: Fleet::default(),
            tunnel: Tunnel::default(),
            commands: BTreeMap::new(),
            current: None,
            previous: None,
            full: false,
            archive: MemoryArchive::default(),
            archive_down: false,
            transcript: Vec::new(),
            accepted: Vec::new(),
            ran: Vec::new(),
            effects: Vec::new(),
            fuse: None,
            lost: 0,
            moved: 0,
        })))
    }

    /// What is in it. A power cut leaves no half-made change.
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line to the transcript.
    pub fn note(&self, line: impl Into<String>) {
        self.inner().transcript.push(line.into());
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.inner().pass(time);
    }

    /// Moves bytes over an interface.
    pub fn traffic(&self, nic: &str, sent: u64, received: u64) {
        let mut inner = self.inner();
        inner.moved += sent + received;
        let nic = inner.nics.get_mut(nic).unwrap();
        nic.tx += sent;
        nic.rx += received;
    }

    /// Starts the machine anew: counters from zero, a new boot id. What no reading saw is lost.
    pub fn reboot(&self) {
        // A scenario may have broken the state; then nothing was seen.
        let state = self.inner().current.as_deref().and_then(|document| State::read(document).ok());
        let seen = state.and_then(|state| Some(state.sources.get("interface")?.subjects.clone()));
        let mut inner = self.inner();
        let boot = boot_id(inner.boot);
        for (name, nic) in inner.nics.clone() {
            let subject = seen.as_ref().and_then(|seen| seen.get(&name));
            let series = subject.and_then(|subject| subject.series.as_ref());
            let known =
                series.filter(|series| series.identity.boot.as_ref() == Some(&boot)).map_or(0, |s| s.counters.tx);
            if subject.is_some() {
                inner.lost += nic.tx.saturating_sub(known);
            }
            inner.nics.insert(name, Nic { rx: 0, tx: 0, ..nic });
        }
        inner.boot += 1;
        inner.uptime = Duration::ZERO;
    }

    /// The saved state, which must be loadable.
    pub fn state(&self) -> Option<State> {
        let document = self.inner().current.clone()?;
        Some(State::read(&document).expect("the saved state is readable"))
    }

    /// The configuration of a text.
    pub fn configure(&self, text: &str) -> Config {
        let parsed = config::parse(self, "config.toml", text, Need::Secrets);
        parsed.unwrap_or_else(|errors| panic!("{}", errors.join("\n")))
    }

    /// One run, which the fuse may cut.
    pub fn run(&self, config: &Config) -> Ended {
        self.attempt(|host| check::check(host, self, self, config, &Options::default()))
    }

    /// Anything of the program's that the fuse may cut.
    pub fn attempt(&self, run: impl FnOnce(&Arc<dyn Host>) -> Result<Report>) -> Ended {
        {
            let mut inner = self.inner();
            inner.elapsed = Duration::ZERO;
            inner.heard = false;
        }
        let host: Arc<dyn Host> = Arc::new(self.clone());
        match catch_unwind(AssertUnwindSafe(|| run(&host))) {
            Ok(result) => Ended::Exited(Box::new(result)),
            Err(payload) if payload.is::<PowerCut>() => Ended::Cut,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// An effect, with the fuse on both sides of it.
    fn effect<T>(&self, effect: Effect, happen: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner();
        inner.effects.push(effect);
        let count = inner.effects.len();
        if inner.fuse == Some((count, Side::Before)) {
            drop(inner);
            resume_unwind(Box::new(PowerCut));
        }
        let result = happen(&mut inner);
        if inner.fuse == Some((count, Side::After)) {
            drop(inner);
            resume_unwind(Box::new(PowerCut));
        }
        result
    }

    fn file(&self, path: &str) -> Option<String> {
        let inner = self.inner();
        if let Some(rest) = path.strip_prefix("/sys/class/net/") {
            let (name, attribute) = rest.split_once('/')?;
            let nic = inner.nics.get(name)?;
            return match attribute {
                "ifindex" | "iflink" => Some(format!("{}\n", nic.index)),
                "type" => Some("1\n".into()),
                "uevent" => Some(format!("INTERFACE={name}\nIFINDEX={}\n", nic.index)),
                "statistics/rx_bytes" => Some(format!("{}\n", nic.rx)),
                "statistics/tx_bytes" => Some(format!("{}\n", nic.tx)),
                _ => None,
            };
        }
        match path {
            "/proc/sys/kernel/random/boot_id" => Some(format!("{}\n", boot_id(inner.boot))),
            "/proc/uptime" => Some(format!("{}.00 0.00\n", inner.uptime.as_secs())),
            "/proc/sys/kernel/hostname" => Some("hk-1\n".into()),
            "/proc/net/route" => Some(
                "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                 eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
                    .into(),
            ),
            _ => None,
        }
    }

    fn answer(inner: &mut Inner, request: &Request) -> std::result::Result<Response, HttpError> {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let text = body["text"].as_str().unwrap().to_owned();
        let ok = |inner: &mut Inner| {
            inner.heard = true;
            inner.transcript.push(format!("  sent:\n{}", indent(&text)));
            inner.accepted.push(text.clone());
            Ok(response(200, &json!({"ok": true, "result": {"message_id": 1}}).to_string()))
        };
        match inner.telegram.clone() {
            Telegram::Up => ok(inner),
            Telegram::Down => Err(HttpError { text: "connection refused".into(), reached: Reached::No }),
            Telegram::Lost => {
                ok(inner)?;
                Err(HttpError { text: "timed out after 10 s".into(), reached: Reached::Perhaps })
            }
            Telegram::Says(status, body) => Ok(response(status, &body)),
            Telegram::Moved(to) if body["chat_id"] == to.parse::<i64>().unwrap() => ok(inner),
            Telegram::Moved(to) => {
                let id: i64 = to.parse().unwrap();
                let moved = json!({"ok": false, "error_code": 400,
                    "description": "Bad Request: group chat was upgraded to a supergroup chat",
                    "parameters": {"migrate_to_chat_id": id}});
                Ok(response(400, &moved.to_string()))
            }
        }
    }
}

fn response(status: u16, body: &str) -> Response {
    Response { status, headers: Vec::new(), body: body.into() }
}

fn boot_id(boot: u32) -> String {
    format!("boot-{boot}")
}

/// Four spaces before each line.
fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn missing<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::NotFound, "no such file or directory"))
}

impl Host for World {
    fn now(&self) -> Instant {
        self.inner().now
    }

    fn elapsed(&self) -> Duration {
        self.inner().elapsed
    }

    fn sleep(&self, time: Duration) {
        self.inner().wait(time);
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Ok(file) = path.strip_prefix("spool") {
            let spool = &self.inner().fleet.spool;
            return file.to_str().and_then(|file| spool.get(file).cloned()).map_or_else(missing, Ok);
        }
        self.file(&path.to_string_lossy()).map_or_else(missing, |text| Ok(text.into_bytes()))
    }

    fn others_can_read(&self, _: &Path) -> bool {
        false
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        if path == Path::new("/sys/class/net") {
            return Ok(self.inner().nics.keys().cloned().collect());
        }
        if path == Path::new("spool") && !self.inner().fleet.spool.is_empty() {
            return Ok(self.inner().fleet.spool.keys().cloned().collect());
        }
        let name = path.strip_prefix("/sys/class/net").ok().and_then(Path::to_str);
        match name.and_then(|name| self.inner().nics.get(name).copied()) {
            Some(_) => Ok(["device", "ifindex", "statistics", "type", "uevent"].map(str::to_owned).to_vec()),
            None => missing(),
        }
    }

    fn link(&self, _: &Path) -> io::Result<String> {
        missing()
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn http(&self, request: &Request) -> std::result::Result<Response, HttpError> {
        if request.url.starts_with("https://api.telegram.org/bot") {
            return self.effect(Effect::Send, |inner| Self::answer(inner, request));
        }
        if self.inner().cluster.is_asked(request) {
            return match Cluster::is_order(request) {
                true => self.effect(Effect::Command, |inner| inner.ask_cluster(request)),
                false => self.inner().ask_cluster(request),
            };
        }
        if Tunnel::is_asked(request) {
            return self.inner().tunnel.answer(request);
        }
        assert!(request.url.contains(".myhuaweicloud.com/"), "nobody asks {}", request.url);
        if !Cloud::is_order(request) {
            return self.inner().cloud.answer(request);
        }
        self.effect(Effect::Command, |inner| {
            let before = inner.cloud.given.len();
            let answer = inner.cloud.answer(request);
            let Inner { cloud, transcript, ran, .. } = inner;
            for given in &cloud.given[before..] {
                transcript.push(format!("  server: {given}"));
                ran.push(vec!["server".into(), given.clone()]);
            }
            answer
        })
    }

    fn run(&self, command: &Command) -> Ran {
        self.effect(Effect::Command, |inner| {
            let ending = inner.commands.get(&command.argv[0]).cloned().unwrap_or(Ending::Exit(0));
            inner.transcript.push(format!("  command: {}: {ending:?}", command.argv.join(" ")));
            if ending != Ending::Missing {
                inner.ran.push(command.argv.clone());
            }
            match ending {
                Ending::Exit(code) => Ran::Exited { code: Some(code), output: "said so\n".into() },
                Ending::Missing => Ran::NotStarted("no such file or directory".into()),
                Ending::Hangs => {
                    inner.wait(command.timeout);
                    Ran::TimedOut { output: "still at it\n".into() }
                }
            }
        })
    }

    fn print(&self, text: &str) -> io::Result<()> {
        self.effect(Effect::Send, |inner| {
            inner.transcript.push(format!("  printed:\n{}", indent(text)));
            inner.accepted.push(text.trim_end().to_owned());
        });
        Ok(())
    }

    fn side_by_side(&self, jobs: Vec<Job>, _: Duration) {
        jobs.into_iter().for_each(|job| job());
    }

    fn clock_agrees(&self) -> Option<bool> {
        let inner = self.inner();
        inner.agrees.filter(|_| inner.heard)
    }
}

impl Documents for World {
    fn current(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inner().current.clone())
    }

    fn previous(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inner().previous.clone())
    }
}

impl Store for World {
    fn lock(&self, _: Duration) -> std::result::Result<Box<dyn Guard + '_>, LockError> {
        Ok(Box::new(Holder { world: self, saved: false }))
    }

    fn peek(&self) -> &dyn Documents {
        self
    }
}

impl Access for World {
    fn is_kept(&self) -> bool {
        true
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn open(&self, _: Duration) -> std::result::Result<Box<dyn Archive>, Failure> {
        if self.inner().archive_down {
            return Err(Failure { text: "connection refused".into() });
        }
        let archive = self.inner().archive.clone();
        Ok(Box::new(Recorder { world: self.clone(), archive }))
    }

    fn look(&self, limit: Duration) -> std::result::Result<Option<Box<dyn Archive>>, Failure> {
        self.open(limit).map(Some)
    }
}

/// The history store, whose writes the fuse may cut.
struct Recorder {
    world: World,
    archive: MemoryArchive,
}

impl Archive for Recorder {
    fn write(&mut self, batch: &Batch) -> std::result::Result<(), Failure> {
        self.world.effect(Effect::Record, |_| self.archive.write(batch))
    }

    fn instances(&mut self) -> std::result::Result<Vec<history::Instance>, Failure> {
        self.archive.instances()
    }

    fn subjects(&mut self, instance: Option<&str>) -> std::result::Result<Vec<history::Known>, Failure> {
        self.archive.subjects(instance)
    }

    fn rows(
        &mut self,
        ids: Option<&[i64]>,
        from: Instant,
        to: Instant,
        grain: Grain,
    ) -> std::result::Result<Vec<history::Row>, Failure> {
        self.archive.rows(ids, from, to, grain)
    }

    fn nearest(
        &mut self,
        id: i64,
        side: history::Side,
        at: Instant,
        grain: Grain,
    ) -> std::result::Result<Option<history::Row>, Failure> {
        self.archive.nearest(id, side, at, grain)
    }

    fn events(
        &mut self,
        instance: Option<&str>,
        from: Instant,
        to: Instant,
    ) -> std::result::Result<Vec<history::Logged>, Failure> {
        self.archive.events(instance, from, to)
    }

    fn prune(&mut self, prune: &history::Prune, rehearse: bool) -> std::result::Result<history::Pruned, Failure> {
        self.archive.prune(prune, rehearse)
    }
}

/// The world's lock.
struct Holder<'w> {
    world: &'w World,
    saved: bool,
}

impl Documents for Holder<'_> {
    fn current(&self) -> io::Result<Option<Vec<u8>>> {
        self.world.current()
    }

    fn previous(&self) -> io::Result<Option<Vec<u8>>> {
        self.world.previous()
    }
}

impl Guard for Holder<'_> {
    fn set_aside(&mut self, _: Instant) -> io::Result<Option<String>> {
        self.saved = true;
        Ok(self.world.inner().current.as_ref().map(|_| "state.json.corrupt".to_owned()))
    }

    fn save(&mut self, document: &[u8]) -> io::Result<()> {
        if self.world.inner().full {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "state.json.tmp: no space left on device"));
        }
        if self.world.inner().current.as_deref() == Some(document) {
            return Ok(());
        }
        let keep = !std::mem::replace(&mut self.saved, true);
        self.world.effect(Effect::Save, |inner| {
            let old = inner.current.replace(document.to_vec());
            if keep && old.is_some() {
                inner.previous = old;
            }
        });
        Ok(())
    }
}

/// A result as a line of a transcript.
pub fn exit_of(result: &Result<Report>) -> String {
    match result {
        Ok(report) => format!("exit {}", report.exit() as u8),
        Err(Error { exit, text }) => format!("exit {}: {text}", *exit as u8),
    }
}

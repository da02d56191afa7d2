//! A strict Proxmox VE cluster on loopback, any of its nodes, over plain HTTP.
//!
//! It checks the token, the privileges and every parameter in the order the real one does, refuses in its words, stores
//! NICs in its own spelling and fails on demand. A request that no right client would ever send (unknown path or
//! parameter, an edit without a digest, of anything but `rate` and `link_down`, or of nothing) is remembered; the test
//! fails at its end when there was one.
//!
//! Guests are spoken of as an operator does: `pve.vm(100, "web").traffic(5, 7).uptime(60)`, and later
//! `pve.guest(100).migrate("pve2")`. Counters are those of the NICs; uptime goes on with the clock by itself.

mod answers;
mod nic;
mod power;
mod rrd;
mod strictness;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::telegram::{Request, read_request};
use rrd::Flow;

/// The id of a token that was never issued.
pub const TOKEN_ID: &str = "monitor@pve!quota";
/// Its secret, of the real shape.
pub const SECRET: &str = "5ca1ab1e-0000-4000-8000-5ec2e7f02e57";

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `/version`
    Version,
    /// `/nodes`
    Nodes,
    /// `/cluster/resources`
    Resources,
    /// `/cluster/status`
    Status,
    /// `/cluster/metrics/export`
    Export,
    /// `/access/permissions`
    Permissions,
    /// `/nodes/N/qemu` and `lxc`
    List,
    /// `/nodes/N/netstat`
    Netstat,
    /// `GET …/config`
    Config,
    /// `GET …/pending`
    Pending,
    /// `PUT …/config`
    Change,
    /// `…/rrddata`
    Rrd,
    /// `…/status/current`
    Current,
    /// `POST …/status/…`
    Power,
    /// `/nodes/N/tasks/UPID/status`
    Task,
}

/// What goes wrong with a request that was in order.
#[derive(Debug, Clone)]
pub enum Wrong {
    /// This status, reason, content type and body, and nothing is done. `{AUTHORIZATION}` is what was sent.
    Answer(u16, &'static str, &'static str, String),
    /// This status and text, told as the version in play tells an error, and nothing is done.
    Error(u16, &'static str),
    /// The headers promise more than comes.
    Truncated,
    /// No answer at all; the connection stays open.
    Hang,
    /// The right answer after so many blanks.
    Huge(usize),
    /// What was asked is done, and the connection closed without an answer.
    AnswerLost,
    /// What was asked is done, and no answer comes; the connection stays open.
    AnswerHeld,
    /// What was asked is done, and the answer is 596, as by a proxy that waited 30 s.
    DoneThen596,
}

impl Wrong {
    /// Status 200 with this text as JSON.
    pub fn json(body: &str) -> Self {
        Self::Answer(200, "OK", "application/json;charset=UTF-8", body.to_owned())
    }

    /// Status 200 with a web page, as some proxy in between would answer.
    pub fn page() -> Self {
        let page = "<!DOCTYPE html><html><body>Sign in to the network</body></html>";
        Self::Answer(200, "OK", "text/html", page.to_owned())
    }

    /// A failure of the handler, in its words.
    pub fn failure(text: &'static str) -> Self {
        Self::Error(500, text)
    }

    /// A forwarding failure: 595, 596 or 599, without a body.
    pub fn forwarding(status: u16, reason: &'static str) -> Self {
        Self::Answer(status, reason, "text/plain", String::new())
    }
}

/// Virtual machine or container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Qemu => "VM",
            Self::Lxc => "CT",
        }
    }
}

/// How a guest takes a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obeys {
    /// It is off after it was looked at so many times.
    After(u32),
    /// It stays on unless it is killed.
    Never,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it asked for; none for what nobody knows.
    pub call: Option<Call>,
    /// When.
    pub at: Instant,
    /// At which address: 0 is [`Pve::url`], 1 the first [`Pve::door`].
    pub door: usize,
    /// `GET`, `PUT`, `POST`.
    pub method: String,
    /// Decoded, below `/api2/json`.
    pub path: String,
    /// Query and form, decoded.
    pub parameters: Vec<(String, String)>,
}

impl Asked {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone)]
struct Record {
    kind: Kind,
    name: String,
    node: String,
    status: &'static str,
    /// When it was started, in seconds since the epoch.
    since: f64,
    /// Bytes to and from the guest, by NIC.
    counters: BTreeMap<String, (u64, u64)>,
    config: BTreeMap<String, String>,
    template: bool,
    lock: Option<&'static str>,
    tags: Option<String>,
    pool: Option<String>,
    ha: Option<&'static str>,
    flows: Vec<Flow>,
    too_new: bool,
    said: BTreeMap<String, Option<Value>>,
    obeys: Obeys,
    going: Option<Going>,
}

impl Record {
    fn runs(&self) -> bool {
        self.status != "stopped"
    }

    /// NICs that have a host device the cluster counts.
    fn counted(&self) -> impl Iterator<Item = (&String, &(u64, u64))> {
        let has_bridge =
            |name: &str| self.config.get(name).is_some_and(|text| self.kind == Kind::Lxc || text.contains("bridge="));
        self.counters.iter().filter(move |(name, _)| self.runs() && has_bridge(name))
    }

    fn totals(&self) -> (u64, u64) {
        self.counted().fold((0, 0), |sum, (_, counter)| (sum.0 + counter.0, sum.1 + counter.1))
    }

    fn anew(&mut self, status: &'static str) {
        self.status = status;
        self.since = now();
        self.counters.values_mut().for_each(|counter| *counter = (0, 0));
    }
}

#[derive(Debug, Clone)]
struct Going {
    task: String,
    looks: u32,
}

#[derive(Debug, Clone)]
struct Task {
    node: String,
    kind: &'static str,
    id: String,
    /// None while it runs.
    exit: Option<String>,
}

#[derive(Default)]
struct Inner {
    version: (u32, u32),
    upgraded: Option<f64>,
    nodes: Vec<String>,
    down: Vec<String>,
    guests: BTreeMap<u32, Record>,
    revoked: Vec<(String, String)>,
    tasks: BTreeMap<String, Task>,
    numbers: u32,
    replies: usize,
    next: Vec<(Call, VecDeque<Wrong>)>,
    always: BTreeMap<Call, Wrong>,
    of_guest: BTreeMap<(Call, u32), Wrong>,
    meddle: Option<(u32, String, String)>,
    moves: Option<(u32, String)>,
    asked: Vec<Asked>,
    changes: Vec<Change>,
    powers: Vec<String>,
    wrong: Vec<String>,
    held: Vec<TcpStream>,
    closing: bool,
}

/// An edit that was made: the guest, and each NIC with its text before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `qemu/100`.
    pub subject: String,
    /// By name of the NIC.
    pub nics: BTreeMap<String, (String, String)>,
}

/// The cluster; it ends when dropped, and fails the test when it was asked what no right client asks.
pub struct Pve {
    doors: Mutex<Vec<SocketAddr>>,
    inner: Arc<Mutex<Inner>>,
}

impl Pve {
    /// A cluster of 9.1 with the nodes `pve1` and `pve2`, without guests, whose token may do everything.
    pub fn start() -> Self {
        Self::version(9, 1)
    }

    /// One of this version.
    pub fn version(major: u32, minor: u32) -> Self {
        let nodes = vec!["pve1".to_owned(), "pve2".to_owned()];
        let inner = Inner { version: (major, minor), nodes, ..Inner::default() };
        let pve = Self { doors: Mutex::default(), inner: Arc::new(Mutex::new(inner)) };
        pve.door();
        pve
    }

    /// For `api`.
    pub fn url(&self) -> String {
        format!("http://{}", lock(&self.doors)[0])
    }

    /// Opens another address, as of another node.
    pub fn door(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut doors = lock(&self.doors);
        let number = doors.len();
        doors.push(address);
        let shared = Arc::clone(&self.inner);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if lock(&shared).closing {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // A client that goes away in the middle is what some tests are about.
                    let _ = serve(&shared, stream, number);
                });
            }
        });
        format!("http://{address}")
    }

    /// A running VM on `pve1` with one NIC, up for a day, nothing counted yet.
    pub fn vm(&self, vmid: u32, name: &str) -> Guest<'_> {
        let mac = format!("BC:24:11:00:{:02X}:{:02X}", vmid / 256 % 256, vmid % 256);
        let nic = format!("virtio={mac},bridge=vmbr0,firewall=1");
        self.guest_of(Kind::Qemu, vmid, name, &nic)
    }

    /// A running container on `pve1` with one NIC, up for a day, nothing counted yet.
    pub fn ct(&self, vmid: u32, name: &str) -> Guest<'_> {
        let mac = format!("BC:24:11:01:{:02X}:{:02X}", vmid / 256 % 256, vmid % 256);
        let nic = format!("name=eth0,bridge=vmbr0,firewall=1,hwaddr={mac},ip=dhcp,type=veth");
        self.guest_of(Kind::Lxc, vmid, name, &nic)
    }

    fn guest_of(&self, kind: Kind, vmid: u32, name: &str, nic: &str) -> Guest<'_> {
        let record = Record {
            kind,
            name: name.to_owned(),
            node: "pve1".to_owned(),
            status: "running",
            since: now() - 86_400.0,
            counters: BTreeMap::from([("net0".to_owned(), (0, 0))]),
            config: BTreeMap::from([
                ("net0".to_owned(), nic.to_owned()),
                ("onboot".to_owned(), "1".to_owned()),
                ("memory".to_owned(), "2048".to_owned()),
            ]),
            template: false,
            lock: None,
            tags: None,
            pool: None,
            ha: None,
            flows: Vec::new(),
            too_new: false,
            said: BTreeMap::new(),
            obeys: Obeys::After(0),
            going: None,
        };
        lock(&self.inner).guests.insert(vmid, record);
        self.guest(vmid).created(1_700_000_000)
    }

    /// A guest that is there.
    pub fn guest(&self, vmid: u32) -> Guest<'_> {
        Guest { pve: self, vmid }
    }

    /// Time passes: guests that run are up for longer, and what flowed is longer ago.
    pub fn passes(&self, seconds: u32) {
        for record in lock(&self.inner).guests.values_mut() {
            record.since -= f64::from(seconds);
            record.flows.iter_mut().for_each(|flow| flow.ages(f64::from(seconds)));
        }
    }

    /// A node nobody hears of any more, for longer than five minutes.
    pub fn down(&self, node: &str) {
        lock(&self.inner).down.push(node.to_owned());
    }

    /// All nodes are there again.
    pub fn up(&self) {
        lock(&self.inner).down.clear();
    }

    /// It was upgraded to 9 so many seconds ago: older rows are as coarse as they were.
    pub fn upgraded(&self, seconds_ago: u32) {
        lock(&self.inner).upgraded = Some(now() - f64::from(seconds_ago));
    }

    /// The token lacks a privilege on a path and below it.
    pub fn revoke(&self, privilege: &str, path: &str) {
        lock(&self.inner).revoked.push((privilege.to_owned(), path.to_owned()));
    }

    /// Somebody else sets a NIC just before the next edit comes.
    pub fn meddle(&self, vmid: u32, nic: &str, text: &str) {
        lock(&self.inner).meddle = Some((vmid, nic.to_owned(), text.to_owned()));
    }

    /// A guest moves to another node just before the next call for it comes.
    pub fn moves(&self, vmid: u32, node: &str) {
        lock(&self.inner).moves = Some((vmid, node.to_owned()));
    }

    /// What happens to the next requests of this kind.
    pub fn next(&self, call: Call, wrongs: impl IntoIterator<Item = Wrong>) {
        lock(&self.inner).next.push((call, wrongs.into_iter().collect()));
    }

    /// What happens to every request of this kind from now on.
    pub fn always(&self, call: Call, wrong: Wrong) {
        lock(&self.inner).always.insert(call, wrong);
    }

    /// What happens to every request of this kind for this guest from now on.
    pub fn always_of(&self, vmid: u32, call: Call, wrong: Wrong) {
        lock(&self.inner).of_guest.insert((call, vmid), wrong);
    }

    /// Everything works again, and the token may do everything.
    pub fn heal(&self) {
        let mut inner = lock(&self.inner);
        inner.always.clear();
        inner.of_guest.clear();
        inner.next.clear();
        inner.revoked.clear();
        inner.down.clear();
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.inner).asked.clone()
    }

    /// How many requests came, of whatever outcome.
    pub fn requests(&self) -> usize {
        lock(&self.inner).asked.len()
    }

    /// How many of this kind.
    pub fn count(&self, call: Call) -> usize {
        lock(&self.inner).asked.iter().filter(|asked| asked.call == Some(call)).count()
    }

    /// The edits that were made.
    pub fn changes(&self) -> Vec<Change> {
        lock(&self.inner).changes.clone()
    }

    /// The power calls that came, of whatever outcome: `shutdown qemu/100 timeout=60`.
    pub fn powers(&self) -> Vec<String> {
        lock(&self.inner).powers.clone()
    }

    /// The requests no client should have sent; forgotten by this.
    pub fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.inner).wrong)
    }
}

impl Drop for Pve {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.closing = true;
        for stream in inner.held.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let wrong = std::mem::take(&mut inner.wrong);
        drop(inner);
        for address in lock(&self.doors).iter() {
            let _ = TcpStream::connect(address);
        }
        if !thread::panicking() {
            assert!(wrong.is_empty(), "requests no client should send: {wrong:#?}");
        }
    }
}

/// One guest, to be told what happens to it.
#[derive(Clone, Copy)]
pub struct Guest<'a> {
    pve: &'a Pve,
    vmid: u32,
}

impl Guest<'_> {
    fn with(self, change: impl FnOnce(&mut Record)) -> Self {
        change(lock(&self.pve.inner).guests.get_mut(&self.vmid).expect("a guest of this vmid"));
        self
    }

    /// So many bytes more to and from it, by `net0`.
    pub fn traffic(self, to: u64, from: u64) -> Self {
        self.traffic_on("net0", to, from)
    }

    /// So many bytes more to and from it, by this NIC.
    pub fn traffic_on(self, nic: &str, to: u64, from: u64) -> Self {
        self.with(|record| {
            let counter = record.counters.get_mut(nic).expect("a NIC of this name");
            *counter = (counter.0 + to, counter.1 + from);
        })
    }

    /// It has been up for so many seconds.
    pub fn uptime(self, seconds: u32) -> Self {
        self.with(|record| record.since = now() - f64::from(seconds))
    }

    /// The node it runs on, without any move.
    pub fn on(self, node: &str) -> Self {
        self.with(|record| record.node = node.to_owned())
    }

    /// Its tags, as stored.
    pub fn tags(self, text: &str) -> Self {
        self.with(|record| record.tags = Some(text.to_owned()))
    }

    /// Its pool.
    pub fn pool(self, name: &str) -> Self {
        self.with(|record| record.pool = Some(name.to_owned()))
    }

    /// It is a template, and so does not run.
    pub fn template(self) -> Self {
        self.stop().with(|record| record.template = true)
    }

    /// It is managed by HA, in this state.
    pub fn ha(self, state: &'static str) -> Self {
        self.with(|record| record.ha = Some(state))
    }

    /// It is locked, or not any more.
    pub fn lock(self, lock: Option<&'static str>) -> Self {
        self.with(|record| record.lock = lock)
    }

    /// When it was created; containers do not tell.
    pub fn created(self, at: u64) -> Self {
        self.with(|record| {
            if record.kind == Kind::Qemu {
                record.config.insert("meta".to_owned(), format!("creation-qemu=9.0.2,ctime={at}"));
            }
        })
    }

    /// A NIC it has, by whomever it was set, as stored.
    pub fn nic(self, nic: &str, text: &str) -> Self {
        self.with(|record| {
            record.config.insert(nic.to_owned(), text.to_owned());
            record.counters.entry(nic.to_owned()).or_default();
        })
    }

    /// A NIC of it, as stored now.
    pub fn nic_text(self, nic: &str) -> String {
        lock(&self.pve.inner).guests[&self.vmid].config[nic].clone()
    }

    /// How it takes a shutdown.
    pub fn obeys(self, how: Obeys) -> Self {
        self.with(|record| record.obeys = how)
    }

    /// What its rows say of a field, whatever is true; none: they lack it.
    pub fn says(self, field: &str, value: impl Into<Option<Value>>) -> Self {
        self.with(|record| {
            record.said.insert(field.to_owned(), value.into());
        })
    }

    /// Its rows say again what is true.
    pub fn says_the_truth(self) -> Self {
        self.with(|record| record.said.clear())
    }

    /// Recorded bytes per second to and from it, between so many seconds ago and so many; where nothing is recorded
    /// nothing is known.
    pub fn flowed(self, from_ago: f64, to_ago: f64, to: f64, from: f64) -> Self {
        self.with(|record| record.flows.push(Flow::new(now() - from_ago, now() - to_ago, to, from)))
    }

    /// Nothing was ever recorded of it.
    pub fn too_new(self) -> Self {
        self.with(|record| record.too_new = true)
    }

    /// It was stopped and started, so many seconds ago.
    pub fn restart(self, seconds_ago: u32) -> Self {
        self.with(|record| record.anew("running")).uptime(seconds_ago)
    }

    /// It is off.
    pub fn stop(self) -> Self {
        self.with(|record| record.anew("stopped"))
    }

    /// It is started by its owner.
    pub fn start(self) -> Self {
        self.restart(0)
    }

    /// It is written to disk and off.
    pub fn hibernate(self) -> Self {
        self.stop().lock(Some("suspended"))
    }

    /// It runs on after that.
    pub fn resume(self) -> Self {
        self.lock(None).start()
    }

    /// It runs on another node from now on.
    pub fn migrate(self, node: &str) -> Self {
        self.on(node).restart(0)
    }

    /// A NIC of it is a new device.
    pub fn replug(self, nic: &str) -> Self {
        self.with(|record| {
            record.counters.insert(nic.to_owned(), (0, 0));
        })
    }

    /// A NIC of it is taken out.
    pub fn unplug(self, nic: &str) -> Self {
        self.with(|record| {
            record.counters.remove(nic);
            record.config.remove(nic);
        })
    }

    /// It was deleted, and another guest of the same kind has its vmid and was just started.
    pub fn reuse(self, name: &str) -> Self {
        self.rename(name).restart(0).created(1_790_000_000)
    }

    /// It has another name.
    pub fn rename(self, name: &str) -> Self {
        self.with(|record| record.name = name.to_owned())
    }

    /// While it is off, a backup starts it without running it.
    pub fn backup_of_stopped(self) -> Self {
        self.with(|record| record.anew("prelaunch")).lock(Some("backup"))
    }

    /// Its run state, as QEMU names it, with everything else going on.
    pub fn state(self, status: &'static str) -> Self {
        self.with(|record| record.status = status)
    }

    /// Its run state.
    pub fn status(self) -> &'static str {
        lock(&self.pve.inner).guests[&self.vmid].status
    }

    /// It is deleted.
    pub fn remove(self) {
        lock(&self.pve.inner).guests.remove(&self.vmid);
    }
}

/// Seconds since the epoch.
pub fn now() -> f64 {
    OffsetDateTime::now_utc().unix_timestamp_nanos() as f64 / 1e9
}

fn lock<T>(inner: &Mutex<T>) -> MutexGuard<'_, T> {
    inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// An answer on its way.
struct Answer {
    status: u16,
    reason: String,
    kind: &'static str,
    /// None: the connection is closed without even a length.
    body: Option<String>,
}

const JSON: &str = "application/json;charset=UTF-8";

impl Answer {
    fn data(data: &Value) -> Self {
        Self { status: 200, reason: "OK".into(), kind: JSON, body: Some(json!({ "data": data }).to_string()) }
    }

    /// An error whose text is in the reason phrase, and since 8.4 in the body too.
    fn error(inner: &Inner, status: u16, text: &str, errors: Option<(&str, &str)>) -> Self {
        let mut body = json!({ "data": null });
        if inner.version >= (8, 4) {
            body["message"] = json!(format!("{text}\n"));
        }
        if let Some((name, why)) = errors {
            body["errors"] = json!({ name: why });
        }
        Self { status, reason: text.to_owned(), kind: JSON, body: Some(body.to_string()) }
    }

    fn bare(status: u16, reason: &str) -> Self {
        Self { status, reason: reason.to_owned(), kind: "text/plain", body: Some(String::new()) }
    }

    fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let reason = self.reason.replace(['\r', '\n'], " ");
        let mut head = format!("HTTP/1.1 {} {reason}\r\nServer: pve-api-daemon/3.0\r\n", self.status);
        let date = OffsetDateTime::now_utc()
            .format(time::macros::format_description!(
                "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
            ))
            .unwrap();
        write!(head, "Date: {date}\r\nCache-Control: max-age=0\r\nPragma: no-cache\r\n").unwrap();
        if self.status >= 400 {
            head.push_str("Connection: close\r\n");
        }
        if let Some(body) = &self.body {
            write!(head, "Content-Type: {}\r\nContent-Length: {}\r\n", self.kind, body.len()).unwrap();
        }
        head.push_str("\r\n");
        head.push_str(self.body.as_deref().unwrap_or_default());
        stream.write_all(head.as_bytes())
    }
}

/// Connections are kept until the first error.
fn serve(shared: &Mutex<Inner>, mut stream: TcpStream, door: usize) -> io::Result<()> {
    while let Some(request) = read_request(&stream)? {
        let Some(answer) = answered(shared, &request, &mut stream, door)? else { return Ok(()) };
        answer.write(&mut stream)?;
        if answer.status >= 400 {
            return Ok(());
        }
    }
    Ok(())
}

fn answered(
    shared: &Mutex<Inner>,
    request: &Request,
    stream: &mut TcpStream,
    door: usize,
) -> io::Result<Option<Answer>> {
    let mut inner = lock(shared);
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let path = answers::decoded(path);
    let found = path.strip_prefix("/api2/json").and_then(|path| answers::call(&request.method, path));
    let mut parameters = answers::pairs(query, &['&']);
    let form = std::str::from_utf8(&request.body).unwrap_or_default();
    parameters.extend(answers::pairs(form, &['&', ';']));
    let asked = Asked {
        call: found.as_ref().map(|(call, _)| *call),
        at: Instant::now(),
        door,
        method: request.method.clone(),
        path: path.strip_prefix("/api2/json").unwrap_or(&path).to_owned(),
        parameters,
    };
    inner.asked.push(asked.clone());
    if let Err(refusal) = answers::admit(&mut inner, request, query) {
        return Ok(Some(refusal));
    }
    let Some((call, ids)) = found else {
        let what = format!("{} {}", request.method, request.target);
        inner.wrong.push(format!("no such path: {what}"));
        let text = format!("Method '{what}' not implemented");
        return Ok(Some(Answer::error(&inner, 501, &text, None)));
    };
    let vmid = ids.get(2).and_then(|vmid| vmid.parse().ok());
    let of_guest = vmid.and_then(|vmid: u32| inner.of_guest.get(&(call, vmid)).cloned());
    let wrong = match inner.next.iter_mut().find(|(of, wrongs)| *of == call && !wrongs.is_empty()) {
        Some((_, wrongs)) => wrongs.pop_front(),
        None => of_guest.or_else(|| inner.always.get(&call).cloned()),
    };
    let mut answer = || answers::route(&mut inner, call, &ids, &asked);
    match wrong {
        None => Ok(Some(answer())),
        Some(Wrong::Answer(status, reason, kind, body)) => {
            let sent = request.header("authorization").unwrap_or_default();
            let body = Some(body.replace("{AUTHORIZATION}", sent));
            Ok(Some(Answer { status, reason: reason.to_owned(), kind, body }))
        }
        Some(Wrong::Error(status, text)) => Ok(Some(Answer::error(&inner, status, text, None))),
        Some(Wrong::Truncated) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n";
            stream.write_all(format!("{head}{{\"data\":[{{\"id\":\"qemu/100\",\"netout\":").as_bytes())?;
            Ok(None)
        }
        Some(Wrong::Huge(blanks)) => {
            let mut answer = answer();
            answer.body.as_mut().expect("a body").insert_str(0, &" ".repeat(blanks));
            Ok(Some(answer))
        }
        Some(Wrong::AnswerLost) => {
            answer();
            stream.shutdown(Shutdown::Both)?;
            Ok(None)
        }
        Some(Wrong::DoneThen596) => {
            answer();
            Ok(Some(Answer::bare(596, "Connection timed out")))
        }
        Some(held @ (Wrong::Hang | Wrong::AnswerHeld)) => {
            if matches!(held, Wrong::AnswerHeld) {
                answer();
            }
            inner.held.push(stream.try_clone()?);
            Ok(None)
        }
    }
}

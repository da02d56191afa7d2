//! A strict Huawei Cloud on loopback: BSS, IAM, STS, Config and ECS in one server, told apart by path.
//!
//! It checks every signature, refuses what the vendor refuses, in its words, and fails on demand. A request that no
//! right client would ever send (unknown path, parameter or key, too many ids, unsigned) is refused and remembered;
//! the test fails at its end when there was one.

mod answers;
mod strictness;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::signing;
use crate::telegram::{listen, lock, read_request};

/// An access key of the real shape that was never issued.
pub const AK: &str = "NQNEVERISSUEDTESTAK0";
/// Its secret.
pub const SK: &str = "NeverIssuedOnlyForTests0123456789SecretK";
/// The token of temporary keys.
pub const TOKEN: &str = "gQpjbi1ub3J0aC00TmV2ZXJJc3N1ZWRPbmx5Rm9yVGVzdHM+/AbCd0123456789==";
/// The account.
pub const DOMAIN: &str = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf";
/// The region of its servers.
pub const REGION: &str = "ap-southeast-3";
/// Its project there.
pub const PROJECT: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// BSS: what is left of packages.
    Usage,
    /// BSS: the packages there are.
    Listing,
    /// BSS: the units there are.
    Measurements,
    /// BSS: how units convert.
    Conversions,
    /// IAM: the account.
    Domains,
    /// IAM: the projects of a region.
    Projects,
    /// STS: who asks.
    Caller,
    /// Config: the instances there are.
    Resources,
    /// ECS: one server.
    Server,
    /// ECS: stop or start a server.
    Act,
    /// ECS: how a stop or start goes on.
    Job,
}

/// What goes wrong with a request that was in order.
#[derive(Debug, Clone)]
pub enum Wrong {
    /// This status, these headers, this content type and body. `{AK}`, `{TOKEN}` and `{AUTHORIZATION}` in the body
    /// are replaced by what was sent.
    Answer(u16, Vec<(&'static str, String)>, &'static str, String),
    /// The headers promise more than comes.
    Truncated,
    /// No answer at all; the connection stays open.
    Hang,
    /// The right answer after so many blanks.
    Huge(usize),
    /// What was asked is done, its answer never arrives, and the connection is closed.
    AnswerLost,
    /// What was asked is done, its answer never arrives, and the connection stays open.
    AnswerHeld,
}

impl Wrong {
    /// A status with a JSON body.
    pub fn error(status: u16, body: &str) -> Self {
        Self::Answer(status, Vec::new(), "application/json", body.to_owned())
    }

    /// Status 200 with this text as JSON.
    pub fn json(body: &str) -> Self {
        Self::error(200, body)
    }

    /// Status 200 with a web page, as some proxy in between would answer.
    pub fn page() -> Self {
        let page = "<!DOCTYPE html><html><body>Sign in to the network</body></html>";
        Self::Answer(200, Vec::new(), "text/html", page.to_owned())
    }
}

/// How a server takes a soft stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// It is off after it was looked at so many times.
    After(u32),
    /// The job succeeds and the server stays on.
    Never,
    /// The job fails.
    Fails,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it asked for; none for what nobody knows.
    pub call: Option<Call>,
    /// When.
    pub at: Instant,
    /// `GET` or `POST`.
    pub method: String,
    /// Decoded.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// As JSON, null without one.
    pub body: Value,
}

impl Asked {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone)]
struct Server {
    project: String,
    status: &'static str,
    stops: Stops,
    job: Option<Job>,
}

#[derive(Debug, Clone)]
struct Job {
    id: String,
    target: &'static str,
    polls: u32,
    fails: bool,
}

#[derive(Default)]
struct Inner {
    host: String,
    born: Option<OffsetDateTime>,
    token: Option<String>,
    clock: time::Duration,
    packages: Vec<Vec<(String, String)>>,
    renamed: BTreeMap<String, String>,
    units: Vec<(u32, &'static str, u32)>,
    conversions: Vec<(u32, u32, u64, u32)>,
    domain_hidden: bool,
    projects: Vec<(String, String)>,
    instances: Vec<Value>,
    page: usize,
    servers: BTreeMap<String, Server>,
    jobs: usize,
    next: Vec<(Call, VecDeque<Wrong>)>,
    always: BTreeMap<Call, Wrong>,
    asked: Vec<Asked>,
    refused_in_a_row: usize,
    wrong: Vec<String>,
    held: Vec<TcpStream>,
    closing: bool,
}

/// The server; it ends when dropped, and fails the test when it was asked what no right client asks.
pub struct Huawei {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Huawei {
    /// A cloud that knows [`AK`], the account [`DOMAIN`] and its project [`PROJECT`], with no package and no server.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner {
            host: address.to_string(),
            born: Some(soon(0)),
            projects: vec![(REGION.to_owned(), PROJECT.to_owned())],
            page: 100,
            units: vec![(10, "GB", 3), (11, "MB", 3), (12, "KB", 3), (17, "GB", 7), (4, "Hour", 2)],
            conversions: vec![(10, 11, 1024, 3), (11, 12, 1024, 3)],
            ..Inner::default()
        };
        let inner = Arc::new(Mutex::new(inner));
        listen(listener, &inner, |inner| inner.closing, serve);
        Self { address, inner }
    }

    /// For `endpoint` and its like.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it knows [`AK`] as a temporary key only, with [`TOKEN`].
    pub fn temporary_keys(&self) {
        lock(&self.inner).token = Some(TOKEN.to_owned());
    }

    /// Its clock is so many seconds ahead of this machine's.
    pub fn clock_ahead(&self, seconds: i64) {
        lock(&self.inner).clock = time::Duration::seconds(seconds);
    }

    /// A package with so many GB left of a total, in the period of [`Huawei::days`] -10 to 20.
    pub fn package(&self, id: &str, left: impl Display, total: impl Display) {
        let fields = [
            ("free_resource_id", quoted(id)),
            ("free_resource_type_name", quoted("Lightweight BGP data package")),
            ("usage_type_name", quoted("Uplink traffic")),
            ("amount", left.to_string()),
            ("original_amount", total.to_string()),
            ("measure_id", "10".to_owned()),
            ("quota_reuse_cycle", "4".to_owned()),
            ("quota_reuse_cycle_type", "2".to_owned()),
        ];
        let fields = fields.map(|(name, raw)| (name.to_owned(), raw)).to_vec();
        lock(&self.inner).packages.push(fields);
        self.period(id, self.days(-10), self.days(20));
    }

    /// So many days after this cloud was started, to the second.
    pub fn days(&self, count: i64) -> OffsetDateTime {
        lock(&self.inner).born.expect("a cloud that was started") + time::Duration::days(count)
    }

    /// The bounds of a package's current period.
    pub fn period(&self, id: &str, start: OffsetDateTime, end: OffsetDateTime) {
        self.set(id, "start_time", &quoted(&utc(start)));
        self.set(id, "end_time", &quoted(&utc(end)));
    }

    /// So much is left of a package, as the JSON says it.
    pub fn left(&self, id: &str, amount: impl Display) {
        self.set(id, "amount", &amount.to_string());
    }

    /// A field of a package's record, as the JSON says it.
    pub fn set(&self, id: &str, field: &str, raw: &str) {
        let mut inner = lock(&self.inner);
        let record = record(&mut inner, id);
        record.retain(|(name, _)| name != field);
        record.push((field.to_owned(), raw.to_owned()));
    }

    /// A package's record lacks a field.
    pub fn unset(&self, id: &str, field: &str) {
        record(&mut lock(&self.inner), id).retain(|(name, _)| name != field);
    }

    /// There is no such package any more.
    pub fn remove(&self, id: &str) {
        lock(&self.inner).packages.retain(|record| !is(record, id));
    }

    /// Whoever asks for the package `old` is told of it under the id `new`, as after a renewal.
    pub fn renamed(&self, old: &str, new: &str) {
        self.set(old, "free_resource_id", &quoted(new));
        lock(&self.inner).renamed.insert(old.to_owned(), new.to_owned());
    }

    /// A unit nobody has a table of, and how many of the next smaller one it is.
    pub fn unit(&self, id: u32, name: &'static str, kind: u32, smaller: Option<(u32, u64)>) {
        let mut inner = lock(&self.inner);
        inner.units.push((id, name, kind));
        inner.conversions.extend(smaller.map(|(smaller, ratio)| (id, smaller, ratio, kind)));
    }

    /// The account is not shown by IAM, only by STS.
    pub fn hide_domain(&self) {
        lock(&self.inner).domain_hidden = true;
    }

    /// Another project of a region.
    pub fn project(&self, region: &str, id: &str) {
        lock(&self.inner).projects.push((region.to_owned(), id.to_owned()));
    }

    /// No project at all.
    pub fn no_project(&self) {
        lock(&self.inner).projects.clear();
    }

    /// A running server in [`PROJECT`].
    pub fn server(&self, id: &str, stops: Stops) {
        let server = Server { project: PROJECT.to_owned(), status: "ACTIVE", stops, job: None };
        lock(&self.inner).servers.insert(id.to_owned(), server);
    }

    /// Somebody else switches a server on or off.
    pub fn switch(&self, id: &str, status: &'static str) {
        let mut inner = lock(&self.inner);
        let server = inner.servers.get_mut(id).expect("a server");
        server.status = status;
        // A job that is over does nothing more.
        server.job.iter_mut().for_each(|job| job.target = status);
    }

    /// How a server is.
    pub fn status(&self, id: &str) -> &'static str {
        lock(&self.inner).servers[id].status
    }

    /// A Flexus L instance with its packages, its cloud server and its address, as Config lists it.
    pub fn instance(&self, name: &str, packages: &[&str], server: &str, address: &str) {
        let mut parts: Vec<Value> = packages
            .iter()
            .map(|id| part("huaweicloudinternal_cbc_freeresource", id, &[("resource_type", "traffic")]))
            .collect();
        parts.push(part("huaweicloudinternal_ecs_instance", server, &[("flavor_id", "x1.2u.4g")]));
        parts.push(part("huaweicloudinternal_eip", &format!("eip-of-{name}"), &[("public_ip_address", address)]));
        let entry = json!({
            "id": format!("hcss-{name}"),
            "name": name,
            "provider": "hcss",
            "type": "l-instance",
            "region_id": REGION,
            "project_id": PROJECT,
            "project_name": REGION,
            "ep_id": "0",
            "ep_name": "default",
            "provisioning_state": "Succeeded",
            "state": "Normal",
            "checksum": "e3b0c44298fc1c149afbf4c8996fb924",
            "created": "2025-01-25T08:00:00.000Z",
            "updated": "2025-01-25T08:05:00.000Z",
            "tags": {},
            "properties": {"metadata": {"charging_mode": "prePaid", "order_id": "CS2501250800ABCDE"}, "resources": parts},
        });
        lock(&self.inner).instances.push(entry);
    }

    /// Config answers so many instances at a time.
    pub fn page(&self, size: usize) {
        lock(&self.inner).page = size;
    }

    /// What happens to the next requests of this kind.
    pub fn next(&self, call: Call, wrongs: impl IntoIterator<Item = Wrong>) {
        lock(&self.inner).next.push((call, wrongs.into_iter().collect()));
    }

    /// What happens to every request of this kind from now on.
    pub fn always(&self, call: Call, wrong: Wrong) {
        lock(&self.inner).always.insert(call, wrong);
    }

    /// Everything works again, and a locked key is free.
    pub fn heal(&self) {
        let mut inner = lock(&self.inner);
        inner.always.clear();
        inner.next.clear();
        inner.clock = time::Duration::ZERO;
        inner.refused_in_a_row = 0;
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

    /// The bodies of the requests of this kind.
    pub fn bodies(&self, call: Call) -> Vec<Value> {
        let inner = lock(&self.inner);
        inner.asked.iter().filter(|asked| asked.call == Some(call)).map(|asked| asked.body.clone()).collect()
    }

    /// The stops and starts asked for: `os-stop SOFT id`.
    pub fn acts(&self) -> Vec<String> {
        let act = |body: &Value| {
            let (verb, order) = body.as_object().and_then(|body| body.iter().next()).expect("an order");
            let kind = order["type"].as_str().unwrap_or("-");
            format!("{verb} {kind} {}", order["servers"][0]["id"].as_str().unwrap_or("-"))
        };
        self.bodies(Call::Act).iter().map(act).collect()
    }

    /// The requests no client should have sent; forgotten by this.
    pub fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.inner).wrong)
    }
}

impl Drop for Huawei {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.closing = true;
        for stream in inner.held.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let wrong = std::mem::take(&mut inner.wrong);
        drop(inner);
        let _ = TcpStream::connect(self.address);
        if !thread::panicking() {
            assert!(wrong.is_empty(), "requests no client should send: {wrong:#?}");
        }
    }
}

/// So many seconds from now, to the second.
pub fn soon(seconds: i64) -> OffsetDateTime {
    (OffsetDateTime::now_utc() + time::Duration::seconds(seconds)).replace_nanosecond(0).unwrap()
}

/// As the vendor writes an instant.
pub fn utc(at: OffsetDateTime) -> String {
    at.format(time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z")).unwrap()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn is(record: &[(String, String)], id: &str) -> bool {
    record.iter().any(|(name, raw)| name == "free_resource_id" && *raw == quoted(id))
}

fn record<'a>(inner: &'a mut Inner, id: &str) -> &'a mut Vec<(String, String)> {
    let id = inner.renamed.get(id).cloned().unwrap_or_else(|| id.to_owned());
    inner.packages.iter_mut().find(|record| is(record, &id)).expect("a package of this id")
}

fn part(kind: &str, id: &str, attributes: &[(&str, &str)]) -> Value {
    let attributes: Vec<Value> = attributes.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({
        "logical_resource_id": format!("logical-{id}"),
        "logical_resource_name": kind,
        "logical_resource_type": kind,
        "physical_resource_id": id,
        "physical_resource_name": "",
        "resource_attributes": attributes,
    })
}

/// An answer on its way.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string())
    }

    fn text(status: u16, body: String) -> Self {
        Self { status, headers: Vec::new(), kind: "application/json;charset=UTF-8", body }
    }

    fn write(&self, stream: &mut TcpStream, clock: time::Duration) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\nServer: api-gateway\r\n", self.status, reason(self.status));
        let date = (OffsetDateTime::now_utc() + clock)
            .format(time::macros::format_description!(
                "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
            ))
            .unwrap();
        write!(head, "Date: {date}\r\nX-Request-Id: 6f5d4c3b2a190807f6e5d4c3b2a19080\r\n").unwrap();
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let length = self.body.len();
        write!(head, "Content-Type: {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n", self.kind).unwrap();
        stream.write_all(head.as_bytes())?;
        stream.write_all(self.body.as_bytes())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        308 => "Permanent Redirect",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

fn serve(shared: &Mutex<Inner>, mut stream: TcpStream) -> io::Result<()> {
    let Some(request) = read_request(&stream)? else { return Ok(()) };
    let mut inner = lock(shared);
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let found = answers::call(&request.method, path);
    let asked = Asked {
        call: found.as_ref().map(|(call, _)| *call),
        at: Instant::now(),
        method: request.method.clone(),
        query: signing::pairs(query).into_iter().map(|(key, value)| (text(key), text(value))).collect(),
        headers: request.headers.iter().cloned().collect(),
        body: serde_json::from_slice(&request.body).unwrap_or_default(),
    };
    inner.asked.push(asked.clone());
    let clock = inner.clock;
    if let Err(refusal) = answers::authenticate(&mut inner, &request) {
        drop(inner);
        return refusal.write(&mut stream, clock);
    }
    let Some((call, ids)) = found else {
        let answer = answers::refuse(&mut inner, 404, &format!("no such path: {} {}", request.method, request.target));
        drop(inner);
        return answer.write(&mut stream, clock);
    };
    if query != signing::canonical_query(query) {
        inner.wrong.push(format!("a query that gateways may read in different ways: {query}"));
    }
    let wrong = match inner.next.iter_mut().find(|(of, wrongs)| *of == call && !wrongs.is_empty()) {
        Some((_, wrongs)) => wrongs.pop_front(),
        None => inner.always.get(&call).cloned(),
    };
    match wrong {
        None => {
            let answer = answers::route(&mut inner, call, &ids, &asked);
            drop(inner);
            answer.write(&mut stream, clock)
        }
        Some(Wrong::Answer(status, headers, kind, body)) => {
            let sent = |name: &str| request.header(name).unwrap_or_default();
            let body = body
                .replace("{AK}", AK)
                .replace("{TOKEN}", sent("x-security-token"))
                .replace("{AUTHORIZATION}", sent("authorization"));
            if status == 401 {
                inner.refused_in_a_row += 1;
            }
            drop(inner);
            Answer { status, headers, kind, body }.write(&mut stream, clock)
        }
        Some(Wrong::Truncated) => {
            drop(inner);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n";
            stream.write_all(format!("{head}{{\"free_resources\":[{{\"free_resource_id\":\"").as_bytes())
        }
        Some(Wrong::Hang) => {
            inner.held.push(stream);
            Ok(())
        }
        Some(Wrong::Huge(blanks)) => {
            let mut answer = answers::route(&mut inner, call, &ids, &asked);
            drop(inner);
            answer.body.insert_str(0, &" ".repeat(blanks));
            answer.write(&mut stream, clock)
        }
        Some(Wrong::AnswerLost) => {
            answers::route(&mut inner, call, &ids, &asked);
            stream.shutdown(Shutdown::Both)
        }
        Some(Wrong::AnswerHeld) => {
            answers::route(&mut inner, call, &ids, &asked);
            inner.held.push(stream);
            Ok(())
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

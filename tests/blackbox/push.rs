//! `push` against a strict hub on loopback: it takes what the existing server takes, answers in its words, and in ours,
//! and fails on demand.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::machine::{Dice, Machine, Run, eventually, names, snapshot, spawn};
use crate::telegram::{Request, listen, lock, read_request};
use crate::terminal::on_a_terminal;

/// Never a password of anybody's.
const PASSWORD: &str = "hub-Pass\"w0rd:only%for tests";

/// What the hub does with one request in place of taking it.
#[derive(Debug, Clone)]
enum Fault {
    /// Answers with this status, these headers and this body.
    Says(u16, &'static str, String),
    /// Sends to the same path at this address.
    Redirect(SocketAddr),
    /// No answer at all; the connection stays open.
    Stalled,
    /// A body that never ends.
    Endless,
    /// The headers promise more than comes.
    Truncated,
    /// The report is taken, the answer never arrives.
    AnswerLost,
    /// Refuses with all of the request's body as its reason.
    Echo,
}

#[derive(Default)]
struct Inner {
    next: Vec<Fault>,
    reports: Vec<Value>,
    wrong: Vec<String>,
    asked: usize,
    held: Vec<TcpStream>,
    closing: bool,
}

/// The server; it ends when dropped.
struct Hub {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Hub {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::<Mutex<Inner>>::default();
        listen(listener, &inner, |inner| inner.closing, serve);
        Self { address, inner }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A machine that reports to it, with these lines more in its table.
    fn machine(&self, more: &str) -> Machine {
        reporting(Machine::new(), &self.url(), more)
    }

    fn next(&self, fault: Fault) {
        lock(&self.inner).next.push(fault);
    }

    fn asked(&self) -> usize {
        lock(&self.inner).asked
    }

    /// All reports taken so far; fails when any request was not as it must be.
    #[track_caller]
    fn reports(&self) -> Vec<Value> {
        let inner = lock(&self.inner);
        assert!(inner.wrong.is_empty(), "requests no client should send: {:?}", inner.wrong);
        inner.reports.clone()
    }

    /// The last one.
    #[track_caller]
    fn last(&self) -> Value {
        self.reports().pop().expect("a report")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.closing = true;
        for stream in inner.held.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(inner);
        let _ = TcpStream::connect(self.address);
    }
}

/// With processors, memory, and a table for the hub at this address.
fn reporting(machine: Machine, url: &str, more: &str) -> Machine {
    let machine = machine.config(&table(url, more)).secret(PASSWORD).secret("w0rd:only%");
    ticks(&machine, 1000, 9000);
    machine.put("proc/meminfo", "MemTotal:    4000 kB\nMemFree:    100 kB\nMemAvailable:    1000 kB\n");
    machine
}

fn table(url: &str, more: &str) -> String {
    format!("[push]\nurl = '{url}'\npassword = '{PASSWORD}'\n{more}\n")
}

/// The processors' ticks since the boot.
fn ticks(machine: &Machine, busy: u64, idle: u64) {
    machine.put("proc/stat", &format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 {busy} 0 0 {idle} 0 0 0 0 0 0\n"));
}

fn serve(shared: &Mutex<Inner>, mut stream: TcpStream) -> io::Result<()> {
    let Some(request) = read_request(&stream)? else { return Ok(()) };
    let fault = {
        let mut inner = lock(shared);
        inner.asked += 1;
        let next = !inner.next.is_empty();
        next.then(|| inner.next.remove(0))
    };
    let (status, headers, body) = match fault {
        None => take(shared, &request),
        Some(Fault::Says(status, headers, body)) => (status, headers.to_owned(), body),
        Some(Fault::Redirect(to)) => (302, format!("Location: http://{to}/api/report\r\n"), String::new()),
        Some(Fault::Echo) => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let (password, encoded) = (body["password"].as_str().unwrap_or_default(), PASSWORD.replace('%', "%25"));
            let encoded = encoded.replace(' ', "%20").replace(':', "%3a");
            let quoted = &body["password"];
            (400, String::new(), failure(&format!("not {password}, {encoded}, {quoted} or {body}")))
        }
        Some(Fault::Stalled) => {
            lock(shared).held.push(stream);
            return Ok(());
        }
        Some(Fault::Truncated) => {
            let part =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"success\":tr";
            return stream.write_all(part.as_bytes());
        }
        Some(Fault::AnswerLost) => {
            take(shared, &request);
            return stream.shutdown(Shutdown::Both);
        }
        Some(Fault::Endless) => {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"success\":true,\"message\":\"",
            )?;
            while !lock(shared).closing {
                stream.write_all(&[b'x'; 8192])?;
            }
            return Ok(());
        }
    };
    let kind = if body.starts_with('<') { "text/html" } else { "application/json" };
    write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn failure(why: &str) -> String {
    json!({"success": false, "message": why}).to_string()
}

/// As the existing server, which says 400 to everything it does not like.
fn take(shared: &Mutex<Inner>, request: &Request) -> (u16, String, String) {
    let mut inner = lock(shared);
    let (status, body) = match checked(request) {
        Ok(report) if report["password"] != PASSWORD => (400, failure("密码错误")),
        Ok(report) => {
            inner.reports.push(report);
            (200, json!({"success": true, "message": "ok"}).to_string())
        }
        Err(why) => {
            inner.wrong.push(why.clone());
            (400, failure(&why))
        }
    };
    (status, String::new(), body)
}

/// The report, when it has every key of the format in its type, ours besides, and nothing else.
fn checked(request: &Request) -> Result<Value, String> {
    let named = |name: &str| request.header(name).unwrap_or_default();
    if (request.method.as_str(), request.target.as_str()) != ("POST", "/api/report") {
        return Err(format!("{} {}", request.method, request.target));
    }
    if named("content-type") != "application/json" || named("host").is_empty() {
        return Err(format!("headers: {:?}", request.headers));
    }
    let report: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
    let text = |value: &Value| value.is_string();
    let bytes = |value: &Value| value.is_u64();
    let share = |value: &Value| value.as_f64().is_some_and(|share| (0.0..=100.0).contains(&share));
    let whole = |value: &Value| value.is_i64();
    let table = |value: &Value| value.is_object();
    has(
        &report,
        &[("password", &text), ("hostname", &text), ("timestamp", &whole), ("metrics", &table)],
        &["netquota"],
    )?;
    let metrics: [(&str, Is<'_>); 6] = [
        ("cpu_percent", &share),
        ("memory_used", &bytes),
        ("memory_total", &bytes),
        ("network_in_bps", &bytes),
        ("network_out_bps", &bytes),
        ("uptime_seconds", &bytes),
    ];
    has(&report["metrics"], &metrics, &[])?;
    let ours: [(&str, Is<'_>); 7] = [
        ("version", &bytes),
        ("interface", &text),
        ("rx_bytes", &bytes),
        ("tx_bytes", &bytes),
        ("boot_id", &text),
        ("uptime_ms", &bytes),
        ("index", &bytes),
    ];
    has(&report["netquota"], &ours, &["link_speed", "unknown"])?;
    Ok(report)
}

type Is<'a> = &'a dyn Fn(&Value) -> bool;

fn has(value: &Value, keys: &[(&str, Is<'_>)], optional: &[&str]) -> Result<(), String> {
    let table = value.as_object().ok_or_else(|| format!("no object: {value}"))?;
    for (key, is) in keys {
        let value = table.get(*key).ok_or_else(|| format!("{key} is missing: {value}"))?;
        if !is(value) {
            return Err(format!("{key} is {value}"));
        }
    }
    let known = |key: &&String| keys.iter().any(|(known, _)| known == key) || optional.contains(&key.as_str());
    table.keys().find(|key| !known(key)).map_or(Ok(()), |key| Err(format!("{key} is unknown")))
}

#[track_caller]
fn push_exits(machine: &Machine, code: i32) -> Run {
    machine.run(&["push"]).exits(code)
}

/// The uptime of two reports in a row in between, and their rates.
fn rates(reports: &[Value]) -> (u64, u64, u64) {
    let [.., before, after] = reports else { panic!("two reports: {reports:?}") };
    let number = |report: &Value, part: &str, key: &str| report[part][key].as_u64().unwrap();
    let uptime = |report: &Value| number(report, "netquota", "uptime_ms");
    let rate = |key: &str| number(after, "metrics", key);
    (uptime(after) - uptime(before), rate("network_in_bps"), rate("network_out_bps"))
}

#[test]
fn the_first_push_tells_all_but_rates() {
    let hub = Hub::new();
    let machine = hub.machine("");
    let before = time::OffsetDateTime::now_utc().unix_timestamp();
    push_exits(&machine, 0).quietly();
    let report = hub.last();
    let timestamp = report["timestamp"].as_i64().unwrap();
    assert!((before..=before + 60).contains(&timestamp), "{timestamp}");
    let uptime = report["metrics"]["uptime_seconds"].as_u64().unwrap();
    let expected = json!({
        "password": PASSWORD,
        "hostname": "blackbox-host",
        "timestamp": timestamp,
        "metrics": {
            "cpu_percent": 0.0,
            "memory_used": 3000 * 1024,
            "memory_total": 4000 * 1024,
            "network_in_bps": 0,
            "network_out_bps": 0,
            "uptime_seconds": uptime,
        },
        "netquota": {
            "version": 1,
            "interface": "eth0",
            "rx_bytes": 5000,
            "tx_bytes": 7000,
            "boot_id": "11111111-2222-4333-8444-555555555555",
            "uptime_ms": report["netquota"]["uptime_ms"],
            "index": 2,
            "link_speed": 1_000_000_000,
            "unknown": ["rates", "cpu"],
        },
    });
    assert_eq!(report, expected);
    assert!((86_400..86_500).contains(&uptime), "{uptime}");
    assert_eq!(report["netquota"]["uptime_ms"].as_u64().unwrap() / 1000, uptime);
    assert_eq!(names(machine.state_dir()), ["push.json", "push.lock"]);
    let mode = fs::metadata(machine.state_dir().join("push.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn the_second_push_tells_what_went_on_since_the_first() {
    let hub = Hub::new();
    let machine = hub.machine("");
    push_exits(&machine, 0);
    machine.grow("eth0", 1_000_000_000, 60_000_000_000);
    ticks(&machine, 1300, 9700);
    push_exits(&machine, 0).quietly();
    let (millis, rx, tx) = rates(&hub.reports());
    assert!(millis > 0);
    let expected = (1_000_000_000 * 1000 / millis, 60_000_000_000 * 1000 / millis);
    assert_eq!((rx, tx), expected, "over {millis} ms");
    let report = hub.last();
    assert_eq!(report["metrics"]["cpu_percent"], 30.0);
    assert_eq!(report["netquota"]["tx_bytes"], 60_000_007_000_u64);
}

#[test]
fn after_a_reboot_it_is_the_mean_since_then() {
    let hub = Hub::new();
    let machine = hub.machine("");
    machine.set_counters("eth0", 9_000_000, 9_000_000);
    push_exits(&machine, 0);
    machine.reboot("99999999-2222-4333-8444-555555555555", 50.0, &[("eth0", 1_000_000, 20_000_000)]);
    ticks(&machine, 50, 150);
    push_exits(&machine, 0).quietly();
    let report = hub.last();
    let uptime = report["netquota"]["uptime_ms"].as_u64().unwrap();
    assert!((50_000..60_000).contains(&uptime), "{uptime}");
    assert_eq!(report["metrics"]["network_in_bps"], 1_000_000 * 1000 / uptime);
    assert_eq!(report["metrics"]["network_out_bps"], 20_000_000 * 1000 / uptime);
    assert_eq!(report["metrics"]["cpu_percent"], 25.0);
}

#[test]
fn a_counter_that_fell_counts_from_zero() {
    let hub = Hub::new();
    let machine = hub.machine("");
    push_exits(&machine, 0);
    let machine = machine.uptime(90_000.0);
    machine.set_counters("eth0", 4999, 8000);
    push_exits(&machine, 0).quietly();
    let (millis, rx, tx) = rates(&hub.reports());
    assert_eq!((rx, tx), (4999 * 1000 / millis, 1000 * 1000 / millis));
}

#[test]
fn a_renamed_interface_goes_on() {
    let hub = Hub::new();
    let machine = hub.machine("");
    push_exits(&machine, 0);
    machine.rename_interface("eth0", "wan0");
    machine.grow("wan0", 5_000_000, 0);
    push_exits(&machine, 0).quietly();
    let (millis, rx, _) = rates(&hub.reports());
    assert_eq!(rx, 5_000_000 * 1000 / millis);
    assert_eq!(hub.last()["netquota"]["interface"], "wan0");
}

#[test]
fn another_interface_has_no_rate_yet() {
    let hub = Hub::new();
    let machine = reporting(Machine::new().interface("eth1", 70_000, 80_000), &hub.url(), "");
    push_exits(&machine, 0);
    machine.set_config(&table(&hub.url(), "interface = \"eth1\""));
    push_exits(&machine, 0).quietly();
    let (_, rx, tx) = rates(&hub.reports());
    assert_eq!((rx, tx), (0, 0), "70 kB in no time would be wrong");
    assert_eq!(hub.last()["netquota"]["rx_bytes"], 70_000);
}

#[test]
fn an_interface_that_is_gone_is_no_report() {
    let hub = Hub::new();
    let machine = hub.machine("interface = \"eth0\"");
    push_exits(&machine, 0);
    let before = snapshot(machine.state_dir());
    machine.rename_interface("eth0", "wan0");
    let told = "netquota: push: interface eth0 not found: present: wan0\n";
    assert_eq!(push_exits(&machine, 1).stderr, told);
    machine.remove_interface("wan0");
    push_exits(&machine, 1).complains("interface eth0 not found: present: none but the loopback");
    assert_eq!((hub.asked(), snapshot(machine.state_dir())), (1, before));
}

#[test]
fn without_a_default_route_the_interface_of_the_last_push_is_told() {
    let hub = Hub::new();
    let machine = hub.machine("");
    let route = fs::read_to_string(machine.root().join("proc/net/route")).unwrap();
    machine.put("proc/net/route", "");
    push_exits(&machine, 1).complains("push: no default route, and none was seen before: name the interface in the");
    machine.put("proc/net/route", &route);
    push_exits(&machine, 0);
    machine.put("proc/net/route", "");
    push_exits(&machine, 0).quietly();
    assert_eq!(hub.last()["netquota"]["interface"], "eth0");
}

#[test]
fn a_jump_of_the_clock_changes_no_rate() {
    for clock in ["1970-01-01T00:00:01Z", "2999-12-31T00:00:00Z"] {
        let hub = Hub::new();
        let machine = hub.machine("");
        push_exits(&machine, 0);
        let file = machine.state_dir().join("push.json");
        let mut kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        kept["seen"]["at"] = json!(clock);
        fs::write(&file, kept.to_string()).unwrap();
        machine.grow("eth0", 3_000_000, 4_000_000);
        push_exits(&machine, 0).quietly();
        let (millis, rx, tx) = rates(&hub.reports());
        assert_eq!((rx, tx), (3_000_000 * 1000 / millis, 4_000_000 * 1000 / millis), "{clock}");
    }
}

#[test]
fn a_hub_that_is_down_is_told_and_rates_go_on_from_each_try() {
    let hub = Hub::new();
    let machine = hub.machine("");
    push_exits(&machine, 0);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    machine.set_config(&table(&format!("http://{closed}"), ""));
    machine.grow("eth0", 8_000_000_000, 8_000_000_000);
    let run = push_exits(&machine, 1);
    assert_eq!(run.stderr, format!("netquota: push to http://{closed}: connection refused\n"));
    machine.set_config(&table(&hub.url(), ""));
    machine.grow("eth0", 0, 1);
    push_exits(&machine, 0).quietly();
    let report = hub.last();
    assert_eq!(report["metrics"]["network_in_bps"], 0, "nothing came in since the push that failed");
    assert_eq!(report["netquota"]["rx_bytes"], 8_000_005_000_u64, "and nothing is lost");
}

#[test]
fn only_a_hubs_yes_is_one() {
    let ours = |status, why: &str| Fault::Says(status, "", failure(why));
    let page = || "<!DOCTYPE html><html><body>Sign in</body></html>".to_owned();
    let spread = failure("a\u{1b}[2Jb\u{202e}c ").replace("c ", &"long ".repeat(100));
    for (fault, told) in [
        (Fault::Says(200, "", page()), "the answer is not a hub's (200); check push.url"),
        (Fault::Says(404, "", page()), "there is no hub (404); check push.url"),
        (Fault::Says(502, "", page()), "the hub failed (502): no reason given"),
        (Fault::Says(200, "", String::new()), "the answer is not a hub's (200); check push.url"),
        (ours(200, "not today"), "the report is refused (200): not today"),
        (ours(400, "JSON解析失败"), "the report is refused (400): JSON解析失败"),
        (ours(401, "wrong"), "the password is refused (401): wrong; compare push.password with the hub's"),
        (ours(409, "two"), "another machine reports under this name (409): two; give each a push.hostname of its own"),
        (ours(413, "too long"), "the report is refused (413): too long"),
        (
            Fault::Says(429, "Retry-After: 30\r\n", failure("slow down")),
            "too many reports (429): slow down; try again in 30 s",
        ),
        (ours(500, "sorry"), "the hub failed (500): sorry"),
        (Fault::Says(400, "", spread), "the report is refused (400): a\\u{1b}[2Jb\\u{202e}long long"),
        (Fault::Endless, "the answer is larger than 65536 bytes"),
        (Fault::Truncated, "the connection was closed before the whole answer had come"),
        (Fault::AnswerLost, "the connection was closed before the whole answer had come"),
    ] {
        let hub = Hub::new();
        let machine = hub.machine("");
        hub.next(fault.clone());
        let run = push_exits(&machine, 1);
        let start = format!("netquota: push to {}: {told}", hub.url());
        assert!(run.stderr.starts_with(&start), "{fault:?}: {}", run.stderr);
        assert!(run.stdout.is_empty() && run.stderr.chars().count() < 350, "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        push_exits(&machine, 0).quietly();
    }
}

#[test]
fn a_wrong_password_is_told_in_the_hubs_words() {
    let hub = Hub::new();
    let machine = hub.machine("");
    machine.set_config(&table(&hub.url(), "").replace(PASSWORD, "another-password"));
    push_exits(&machine, 1).complains("the report is refused (400): 密码错误");
    assert!(hub.reports().is_empty());
}

#[test]
fn a_redirect_is_not_followed() {
    let (hub, other) = (Hub::new(), Hub::new());
    let machine = hub.machine("");
    hub.next(Fault::Redirect(other.address));
    push_exits(&machine, 1).complains("it redirects (302): set push.url to where it leads");
    assert_eq!((hub.asked(), other.asked()), (1, 0), "the password would go anywhere");
}

#[test]
fn a_hub_that_says_nothing_is_left_in_time() {
    let hub = Hub::new();
    let machine = hub.machine("timeout = \"1 s\"");
    hub.next(Fault::Stalled);
    let run = push_exits(&machine, 1);
    assert_eq!(run.stderr, format!("netquota: push to {}: timed out after 1.0 s\n", hub.url()));
    push_exits(&machine, 0).quietly();
}

/// After each run the harness looks for the password in all it left.
#[test]
fn the_password_is_never_seen() {
    let hub = Hub::new();
    let machine = hub.machine("");
    hub.next(Fault::Echo);
    push_exits(&machine, 1).complains("the report is refused (400): not (redacted), (redacted), \"(redacted)\" or {");
    machine.run(&["push", "-v"]).exits(0);
    machine.run(&["push", "--debug"]).exits(0).prints("\"password\": \"(redacted)\"");
    machine.run(&["config", "show"]).exits(0).prints("password = \"(redacted)\"");
    for wrong in ["timeout = 7", "hostname = \"\"", "pasword = \"x\""] {
        machine.set_config(&table(&hub.url(), wrong));
        push_exits(&machine, 2).complains("push.");
    }
    machine.set_config(&table(&format!("http://user:{PASSWORD}@hub.example"), ""));
    push_exits(&machine, 2).complains("push.url: an address such as");
}

#[test]
fn a_debug_push_sends_and_writes_nothing() {
    let hub = Hub::new();
    let machine = hub.machine("hostname = \"节点 1\"");
    push_exits(&machine, 0);
    machine.grow("eth0", 1_000_000, 0);
    let before = snapshot(machine.state_dir());
    let run = machine.run(&["push", "--debug"]).exits(0);
    assert_eq!((snapshot(machine.state_dir()), hub.asked()), (before, 1));
    assert_eq!(run.stderr, "");
    let (head, body) = run.stdout.split_once("\n\n").unwrap();
    assert_eq!(head, format!("POST {}/api/report\nContent-Type: application/json", hub.url()));
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["hostname"], &body["password"]), (&json!("节点 1"), &json!("(redacted)")));
    assert_eq!(body["netquota"]["rx_bytes"], 1_005_000);
    assert!(body["metrics"]["network_in_bps"].as_u64().unwrap() > 0);
}

#[test]
fn without_what_it_remembers_it_pushes_nevertheless() {
    for broken in ["", "{\"version\":1,", "{\"version\":2}", "null", "\u{0}\u{0}\u{0}"] {
        let hub = Hub::new();
        let machine = hub.machine("");
        push_exits(&machine, 0);
        fs::write(machine.state_dir().join("push.json"), broken).unwrap();
        machine.grow("eth0", 1_000_000, 1_000_000);
        machine.run(&["push", "-v"]).exits(0).complains("this is a first push: ").complains("push.json is broken: ");
        let (_, rx, tx) = rates(&hub.reports());
        assert_eq!((rx, tx), (0, 0));
        push_exits(&machine, 0).quietly();
    }
}

#[test]
fn what_cannot_be_remembered_is_told_after_the_report() {
    let hub = Hub::new();
    let machine = hub.machine("");
    fs::create_dir(machine.state_dir().join("push.json")).unwrap();
    let run = push_exits(&machine, 3).complains("push.json: ").complains("goes on from the last one");
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert_eq!(names(machine.state_dir()), ["push.json", "push.lock"], "nothing half done is left");
    assert_eq!(hub.reports().len(), 1);
    let file = machine.path("no-folder");
    fs::write(&file, "").unwrap();
    let machine = machine.state_dir_at(file);
    push_exits(&machine, 3).complains("no-folder");
    assert_eq!(hub.reports().len(), 2);
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_reported() {
    let hub = Hub::new();
    let machine = hub.machine("");
    machine.put("proc/stat", "nothing\n");
    fs::remove_file(machine.root().join("proc/meminfo")).unwrap();
    let run = push_exits(&machine, 3);
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    let run = run.complains("netquota: push: /proc/stat is not as the kernel writes it");
    run.complains("proc/meminfo: no such file or directory");
    let metrics = &hub.last()["metrics"];
    assert_eq!((&metrics["cpu_percent"], &metrics["memory_total"]), (&json!(0.0), &json!(0)));
    let running = machine.command(&["push"]);
    fs::remove_file(machine.root().join("proc/uptime")).unwrap();
    machine.finish(spawn(running)).exits(1).complains("/proc/uptime cannot be read");
    assert_eq!(hub.asked(), 1);
}

#[test]
fn it_needs_no_lock_of_the_state() {
    let hub = Hub::new();
    let machine = hub.machine("");
    let held = fs::File::create(machine.state_dir().join("state.lock")).unwrap();
    held.lock().unwrap();
    push_exits(&machine, 0).quietly();
    assert_eq!(hub.reports().len(), 1);
}

#[test]
fn pushes_at_once_are_all_taken() {
    let hub = Hub::new();
    let machine = hub.machine("");
    push_exits(&machine, 0);
    // Made before the first one starts: each of them writes the uptime.
    let commands: Vec<_> = (0..8).map(|_| machine.command(&["push"])).collect();
    let running: Vec<_> = commands.into_iter().map(spawn).collect();
    for running in running {
        machine.finish(running).exits(0).quietly();
    }
    assert_eq!(hub.reports().len(), 9);
    machine.run(&["push", "-v"]).exits(0).quietly();
    assert_eq!(names(machine.state_dir()), ["push.json", "push.lock"]);
}

#[test]
fn a_killed_push_breaks_nothing() {
    let hub = Hub::new();
    let machine = hub.machine("");
    hub.next(Fault::Stalled);
    let running = spawn(machine.command(&["push"]));
    assert!(eventually(Duration::from_secs(20), || hub.asked() == 1), "it asks");
    assert!(running.kill(), "while it waits for the answer");
    machine.run(&["push", "-v"]).exits(0).quietly();
    let mut dice = Dice(0x9115E5);
    for _ in 0..30 {
        let running = spawn(machine.command(&["push"]));
        std::thread::sleep(Duration::from_micros(dice.roll(8_000)));
        running.kill();
        machine.run(&["push", "-v"]).exits(0).quietly();
    }
    assert_eq!(names(machine.state_dir()), ["push.json", "push.lock"]);
}

#[test]
fn a_person_sees_a_line() {
    let hub = Hub::new();
    let machine = hub.machine("hostname = \"hk-1\"");
    let first = on_a_terminal(&machine, 120, "push").exits(0);
    let start = format!("hk-1 -> {}: ", hub.url());
    assert_eq!(first.stdout.trim_end(), format!("{start}rates from the next push on, memory 75 %"));
    machine.grow("eth0", 10_000_000_000, 0);
    ticks(&machine, 1250, 9750);
    let second = on_a_terminal(&machine, 120, "push").exits(0).prints("bps, out 0 bps, cpu 25 %, memory 75 %");
    assert!(second.stdout.starts_with(&format!("{start}in ")), "{}", second.stdout);
}

#[test]
fn without_a_hub_it_says_what_to_write() {
    let machine = Machine::new().config("language = \"en\"\n");
    let run = machine.run(&["push"]).exits(2);
    let file = machine.config_file().display();
    let told = format!(
        "netquota: there is no hub to report to ({file}): write [push] with url = \"https://…\" and password = \
         {{ credential = \"push-password\" }}\n"
    );
    assert_eq!((run.stderr, names(machine.state_dir()).len()), (told, 0));
    Machine::new().run(&["push"]).exits(2).complains("(no configuration file): write [push]");
}

#[test]
fn a_check_does_not_use_the_password() {
    let machine = Machine::new().config("[push]\nurl = \"https://hub.example\"\npassword = { env = \"NOT_SET\" }\n");
    machine.check_exits(0).quietly();
    machine.run(&["push"]).exits(2).complains("push.password: the environment variable NOT_SET is not set");
}

#[test]
fn the_address_may_have_the_path_already() {
    let hub = Hub::new();
    let machine = hub.machine("");
    for ending in ["/", "/api/report", "/api/report/"] {
        machine.set_config(&table(&format!("{}{ending}", hub.url()), ""));
        push_exits(&machine, 0).quietly();
    }
    assert_eq!(hub.reports().len(), 3);
}

#[test]
fn this_hub_is_strict() {
    let hub = Hub::new();
    push_exits(&hub.machine(""), 0);
    let good = hub.last();
    let asked = |head: &str, body: &Value| {
        let mut stream = TcpStream::connect(hub.address).unwrap();
        let body = body.to_string();
        write!(stream, "{head}Host: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let head = "POST /api/report HTTP/1.1\r\nContent-Type: application/json\r\n";
    assert_eq!(asked(head, &good), 200);
    for (head, pointer, value) in [
        ("GET /api/report HTTP/1.1\r\nContent-Type: application/json\r\n", "/hostname", json!("x")),
        ("POST /api/reports HTTP/1.1\r\nContent-Type: application/json\r\n", "/hostname", json!("x")),
        ("POST /api/report HTTP/1.1\r\nContent-Type: text/plain\r\n", "/hostname", json!("x")),
        (head, "/password", json!("other")),
        (head, "/timestamp", json!(1.5)),
        (head, "/metrics/cpu_percent", json!(null)),
        (head, "/metrics/network_in_bps", json!(-1)),
        (head, "/metrics", json!({})),
        (head, "/netquota/index", json!("2")),
    ] {
        let mut report = good.clone();
        *report.pointer_mut(pointer).unwrap() = value;
        assert_eq!(asked(head, &report), 400, "{head} {pointer}");
    }
    let mut report = good.clone();
    report["more"] = json!(1);
    assert_eq!(asked(head, &report), 400, "an unknown key");
}

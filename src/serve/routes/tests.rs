//! Requests in memory, and their answers.

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use http_body_util::Full;
use hyper::body::Frame;
use hyper::{HeaderMap, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::*;
use crate::config;
use crate::error::Error;
use crate::fleet::record;
use crate::host::Host as _;
use crate::serve::answer;
use crate::testing::vendor::Vendor;

const CONFIG: &str = r#"
[serve]
read_token = "the-token"
report_password = "the-password"
max_nodes = 3
[serve.node_passwords]
hk = "of-hk"
"#;
const BEARER: (&str, &str) = ("authorization", "Bearer the-token");

/// A hub whose clock moves only when told.
struct Served {
    dir: TempDir,
    host: Arc<Vendor>,
    text: Rc<RefCell<String>>,
    hub: Rc<Hub>,
}

/// An answer as it is seen.
struct Seen {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Served {
    fn new(host: Vendor, text: &str) -> Self {
        let (dir, host) = (tempfile::tempdir().unwrap(), Arc::new(host));
        let text = Rc::new(RefCell::new(text.to_owned()));
        let (of_load, folder, now) = (Arc::clone(&host), dir.path().to_owned(), Rc::clone(&text));
        let load = move |need| {
            let config = config::parse(&*of_load, "c.toml", &now.borrow(), need);
            config.map(|config| config.at(folder.clone())).map_err(|errors| Error::usage(errors.join("\n")))
        };
        let hub = Rc::new(Hub::new(Arc::clone(&host) as _, Box::new(load)));
        Self { dir, host, text, hub }
    }

    fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    fn ask_with<B>(&self, method: &str, path: &str, headers: &[(&str, &str)], body: B) -> Seen
    where
        B: Body<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (hub, request) = (Rc::clone(&self.hub), request.body(body).unwrap());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let answer = LocalSet::new().block_on(&runtime, answer(&hub, [127, 0, 0, 1].into(), request));
        let (status, body) = (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default());
        Seen { status, headers: Response::<answer::Body>::from(answer).headers().clone(), body }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        self.ask_with(method, path, headers, Full::new(Bytes::copy_from_slice(body.as_bytes())))
    }

    fn report(&self, hostname: &str, password: &str) -> Seen {
        self.ask("POST", "/api/report", &[], &report(hostname, password).to_string())
    }

    fn get(&self, path: &str) -> Seen {
        self.ask("GET", path, &[BEARER], "")
    }

    fn record(&self, hostname: &str) -> Record {
        let path = self.spool().join(record::file_name(hostname));
        #[allow(clippy::disallowed_methods, reason = "a test looks at what was written")]
        record::read(&std::fs::read(path).unwrap()).unwrap()
    }
}

impl Seen {
    #[track_caller]
    fn is(self, status: u16, message: &str) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["success"], status < 300, "{}", self.body);
        let said = self.body["message"].as_str().unwrap();
        assert!(said.contains(message), "{said}");
        self
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

fn served() -> Served {
    Served::new(Vendor::new(), CONFIG)
}

fn report(hostname: &str, password: &str) -> Value {
    json!({"password": password, "hostname": hostname, "timestamp": 1_700_000_000, "metrics": {"cpu_percent": 12.5,
        "memory_used": 1, "memory_total": 2, "network_in_bps": 125_000, "network_out_bps": 7, "uptime_seconds": 9}})
}

fn counted(boot: &str, uptime_ms: u64) -> String {
    let mut report = report("n", "the-password");
    report["netquota"] = json!({"version": 1, "interface": "eth0", "rx_bytes": 1, "tx_bytes": 1, "boot_id": boot,
        "uptime_ms": uptime_ms});
    report.to_string()
}

#[test]
fn reports_are_kept_and_shown_as_they_came() {
    let served = served();
    served.report("hk", "of-hk").is(200, "the report is kept");
    served.report("`<b>节", "the-password").is(200, "the report is kept");
    assert_eq!(served.record("hk").metrics.network_in_bps, 125_000);
    let status = served.get("/api/status").is(200, "");
    let nodes = status.body["data"].as_object().unwrap();
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["`<b>节", "hk"]);
    let metrics = report("hk", "")["metrics"].clone();
    assert_eq!(
        nodes["hk"],
        json!({"hostname": "hk", "last_seen": "2026-03-01T00:00:00Z", "metrics": metrics, "is_online": true,
            "bandwidth_alerted": false})
    );
}

#[test]
fn whoever_is_not_let_in_is_told_by_its_status() {
    let served = served();
    let wrong = ("authorization", "Bearer wrong");
    for (method, path, headers, body, status, message) in [
        ("GET", "/api/status", &[][..], "", 401, "the read token is missing or wrong"),
        ("GET", "/api/status", &[wrong], "", 401, "the read token is missing or wrong"),
        ("POST", "/api/status", &[BEARER], "", 405, "only GET, HEAD"),
        ("GET", "/", &[], "", 401, "the read token"),
        ("GET", "/api/v1/quotas", &[], "", 401, "the read token"),
        ("DELETE", "/", &[BEARER], "", 405, "only GET, HEAD"),
        ("GET", "/api/v1/none", &[BEARER], "", 404, "there is nothing here"),
        ("GET", "/api", &[BEARER], "", 404, "there is nothing here"),
        ("POST", "/healthz", &[], "", 405, "only GET, HEAD"),
        ("GET", "/api/report", &[], "", 405, "only POST"),
        ("POST", "/api/report", &[], "{\"password\":", 400, "this is no report"),
        ("POST", "/api/report", &[], "[]", 400, "this is no report"),
        ("POST", "/api/report", &[("content-length", "65537")], "", 413, "more than 65536 bytes"),
        ("GET", "/api/test-telegram", &[BEARER], "", 405, "only POST"),
        ("POST", "/api/test-telegram", &[], "", 401, "the read token"),
        ("POST", "/api/test-telegram", &[BEARER, ("origin", "http://evil")], "", 403, "another site"),
        ("GET", "/", &[BEARER, ("sec-fetch-site", "cross-site")], "", 403, "another site"),
        ("GET", "/api/status", &[BEARER, ("sec-fetch-site", "same-site")], "", 403, "another site"),
        ("GET", "/api/v1/history", &[BEARER, ("sec-fetch-site", "cross-site")], "", 403, "another site"),
        ("GET", "/api/status", &[BEARER, ("sec-fetch-site", "same-origin")], "", 200, ""),
        ("GET", "/api/status", &[BEARER, ("sec-fetch-site", "none")], "", 200, ""),
        ("POST", "/api/test-telegram", &[BEARER], "", 503, "no notifier"),
    ] {
        let seen = served.ask(method, path, headers, body).is(status, message);
        assert_eq!(seen.header("www-authenticate").is_some(), status == 401, "{path}");
        assert_eq!(seen.header("allow").is_some(), status == 405, "{path}");
        assert_eq!(seen.header("x-frame-options"), Some("DENY"));
    }
    served.report("hk", "the-password").is(401, "the password is wrong");
    served.report(" hk", "the-password").is(400, "characters that cannot be seen");
    served.report("", "the-password").is(400, "hostname: it is empty");
    served.ask("POST", "/api/report", &[], &" ".repeat(65_537)).is(413, "more than 65536 bytes");
    served.ask_with("POST", "/api/report", &[], Endless).is(413, "more than 65536 bytes");
    assert!(!served.spool().join("hk.json").exists());
    assert_eq!(served.ask("GET", "/healthz", &[], "").status, 200);
}

/// A body without an end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1000])))))
    }
}

#[test]
fn without_its_secret_nothing_is_open() {
    let served = Served::new(Vendor::new(), "[serve]\n");
    served.report("hk", "").is(403, "set report_password or node_passwords in [serve]");
    served.get("/api/status").is(403, "set read_token in [serve]");
    served.get("/").is(403, "set read_token in [serve]");
    let bare = Served::new(Vendor::new(), "");
    bare.report("hk", "").is(403, "set report_password");
    bare.ask("POST", "/api/test-telegram", &[BEARER], "").is(403, "set read_token");
}

#[test]
fn who_guesses_is_not_heard_and_others_are() {
    let served = served();
    served.report("known", "the-password").is(200, "");
    for _ in 0..10 {
        served.report("known", "wrong").is(401, "");
        served.report("stranger", "wrong").is(401, "");
        served.ask("GET", "/api/status", &[("authorization", "Basic Ondyb25n")], "").is(401, "");
    }
    let refused = served.report("known", "the-password").is(429, "too many wrong passwords");
    assert_eq!(refused.header("retry-after"), Some("6"));
    served.get("/api/status").is(429, "");
    // The same by way of the proxy, for somebody else.
    let elsewhere = [("x-forwarded-for", "203.0.113.7, 198.51.100.7")];
    served.ask("POST", "/api/report", &elsewhere, &report("known", "the-password").to_string()).is(200, "");
    served.host.sleep(Duration::from_secs(6));
    served.report("known", "the-password").is(200, "");
    served.get("/api/status").is(200, "");
    assert_eq!(served.ask("GET", "/api/status", &[], "").status, 401, "to ask without a token is no guess");
}

#[test]
fn what_nodes_share_is_guessed_at_slowly_by_whatever_names() {
    let served = served();
    served.report("known", "the-password").is(200, "");
    for number in 0..60 {
        served.report(&format!("node-{number}"), "wrong").is(401, "");
    }
    for name in ["node-61", "known", "unknown"] {
        let refused = served.report(name, "the-password").is(429, "too many wrong passwords");
        assert_eq!(refused.header("retry-after"), Some("1"), "{name}");
    }
    served.report("hk", "of-hk").is(200, "");
    let elsewhere = [("x-forwarded-for", "198.51.100.7")];
    served.ask("POST", "/api/report", &elsewhere, &report("known", "the-password").to_string()).is(200, "");
    served.host.sleep(Duration::from_secs(1));
    served.report("known", "the-password").is(200, "");
}

#[test]
fn wrong_passwords_tell_nothing_of_which_names_there_are() {
    let tried = |name: &str, pauses: &[u64]| {
        let served = served();
        served.report("known", "the-password").is(200, "");
        served.report("hk", "of-hk").is(200, "");
        let mut seen = Vec::new();
        for (round, pause) in pauses.iter().enumerate() {
            for _ in 0..round * 7 {
                let answer = served.report(name, "wrong");
                seen.push((answer.status, answer.header("retry-after").map(str::to_owned)));
                served.report(&format!("stranger-{round}"), "wrong");
                let other = served.report("another", "wrong");
                seen.push((other.status, other.header("retry-after").map(str::to_owned)));
            }
            served.host.sleep(Duration::from_secs(*pause));
        }
        seen
    };
    let pauses = [1, 0, 1, 7, 30, 2, 1, 1, 60, 5, 300, 1];
    let of_nobody = tried("nobody", &pauses);
    assert!([401, 429].iter().all(|status| of_nobody.iter().any(|(seen, _)| seen == status)));
    assert_eq!(tried("known", &pauses), of_nobody);
    assert_eq!(tried("hk", &pauses), of_nobody);
}

/// A body of which nothing comes.
struct Stuck;

impl Body for Stuck {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[test]
fn so_many_bodies_of_one_origin_are_waited_for() {
    let served = served();
    let origin = Origin::from(IpAddr::from([198, 51, 100, 7]));
    let forwarded = [("x-forwarded-for", "198.51.100.7")];
    let mut waiting: Vec<_> = (1..BODIES).map(|_| served.hub.bodies.add(origin)).collect();
    served.ask_with("POST", "/api/report", &forwarded, Stuck).is(408, "the body took too long");
    waiting.push(served.hub.bodies.add(origin));
    let refused =
        served.ask_with("POST", "/api/report", &forwarded, Stuck).is(429, "too many requests of this address");
    assert_eq!(refused.header("retry-after"), Some("5"));
    let whole = report("known", "the-password").to_string();
    served.ask("POST", "/api/report", &forwarded, &whole).is(200, "");
    assert_eq!(served.hub.bodies.count(origin), BODIES, "who was answered does not count");
}

#[test]
fn a_secret_that_one_view_alone_needs_is_missed_there_alone() {
    let text = format!(
        "{CONFIG}[notifier.telegram]\ntoken = {{ env = \"NONE\" }}\nchat = -1\n\
         [history]\nurl = \"postgres://u@db/n\"\npassword = {{ env = \"NONE\" }}\n"
    );
    let served = Served::new(Vendor::new(), &text);
    served.report("hk", "of-hk").is(200, "the report is kept");
    served.get("/api/status").is(200, "");
    let seen = served.ask("POST", "/api/test-telegram", &[BEARER], "");
    seen.is(503, "the configuration of a notifier is wrong: see the log of the service");
    served.get("/api/v1/history").is(503, "the configuration of the history is wrong: see the log of the service");
    assert_eq!(served.get("/").status, 200, "the page comes without the history");
    assert_eq!(served.get("/api/v1/quotas").status, 200);
}

#[test]
fn while_another_process_keeps_the_reports_they_are_shown_and_none_is_taken() {
    let served = served();
    let first = Spool::open(&served.spool()).unwrap();
    served.report("hk", "of-hk").is(503, "another netquota serve keeps the reports here");
    assert_eq!(served.get("/api/status").is(200, "").body["data"], json!({}));
    drop(first);
    served.report("hk", "of-hk").is(200, "");
    assert!(served.get("/api/status").body["data"]["hk"].is_object());
}

#[test]
fn nodes_are_limited_and_removed_ones_make_room() {
    let served = served();
    for name in ["hk", "b", "c"] {
        served.report(name, if name == "hk" { "of-hk" } else { "the-password" }).is(200, "");
    }
    served.report("d", "the-password").is(403, "max_nodes = 3 is reached");
    served.report("b", "the-password").is(200, "the report is kept");
    std::fs::remove_file(served.spool().join("b.json")).unwrap();
    served.host.sleep(Duration::from_secs(1));
    served.report("d", "the-password").is(200, "the report is kept");
    let status = served.get("/api/status");
    assert_eq!(status.body["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["c", "d", "hk"]);
}

#[test]
fn an_older_report_changes_nothing_and_another_machine_is_noted() {
    let served = served();
    let send = |boot: &str, uptime| served.ask("POST", "/api/report", &[], &counted(boot, uptime));
    send("a", 1000).is(200, "the report is kept");
    send("a", 999).is(200, "an older report: nothing changed");
    assert_eq!(served.record("n").counted.unwrap().uptime_ms, 1000);
    send("b", 5).is(200, "the report is kept");
    let before = served.record("n");
    send("a", 2000).is(409, "another machine reports under this name");
    let noted = served.record("n");
    assert_eq!(noted, Record { doubled: noted.doubled, ..before });
    assert!(noted.doubled.is_some());
    std::fs::remove_file(served.spool().join("n.json")).unwrap();
    send("a", 3000).is(409, "another machine");
    assert!(!served.spool().join("n.json").exists(), "it was noted just now");
}

#[test]
fn what_cannot_be_kept_is_not_acknowledged() {
    let served = served();
    std::fs::File::create(served.spool()).unwrap();
    let refused = served.report("hk", "of-hk").is(503, "the report could not be kept");
    assert_eq!(refused.header("retry-after"), Some("10"));
    served.get("/api/status").is(503, "the reports cannot be read");
    std::fs::remove_file(served.spool()).unwrap();
    served.report("hk", "of-hk").is(200, "");
    let place = served.spool().join("hk.json");
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    served.report("hk", "of-hk").is(503, "the report could not be kept");
    assert_eq!(served.get("/api/status").body["data"]["hk"]["is_online"], true, "the last one is still known");
    std::fs::remove_dir(&place).unwrap();
    served.report("hk", "of-hk").is(200, "");
}

#[test]
fn a_wrong_configuration_is_answered_until_it_is_mended() {
    let served = Served::new(Vendor::new(), "[serve]\nread_tokn = \"x\"\n");
    for (method, path) in [("GET", "/healthz"), ("POST", "/api/report"), ("GET", "/"), ("GET", "/none")] {
        let seen = served.ask(method, path, &[], "").is(503, "configuration error: see the log of the service");
        assert_eq!(seen.header("retry-after"), Some("30"));
    }
    *served.text.borrow_mut() = CONFIG.into();
    served.report("hk", "of-hk").is(503, "");
    served.host.sleep(Duration::from_secs(1));
    served.report("hk", "of-hk").is(200, "");
    *served.text.borrow_mut() = CONFIG.replace("of-hk", "changed");
    served.host.sleep(Duration::from_secs(1));
    served.report("hk", "of-hk").is(401, "");
    served.report("hk", "changed").is(200, "");
    *served.text.borrow_mut() = "[serve".into();
    served.host.sleep(Duration::from_secs(1));
    served.report("hk", "changed").is(503, "");
}

#[test]
fn a_test_message_goes_to_the_notifiers_and_what_fails_is_told_without_the_token() {
    let token = "123456:AAneverIssuedOnlyForTests_012345678";
    let text = format!("{CONFIG}[notifier.telegram]\ntoken = \"{token}\"\nchat = -100123\n");
    let accepted = r#"{"ok":true,"result":{"message_id":1,"date":1,"chat":{"id":-100123,"type":"group"}}}"#;
    let works = Served::new(Vendor::new().says("sendMessage", 200, accepted), &text);
    works.ask("POST", "/api/test-telegram", &[BEARER], "").is(200, "telegram: accepted");
    assert_eq!(works.host.asked().len(), 1);
    works.ask("POST", "/api/test-telegram", &[BEARER], "").is(200, "telegram: accepted");
    works.hub.testing.set(true);
    works.ask("POST", "/api/test-telegram", &[BEARER], "").is(429, "a test message is on its way");
    assert_eq!(works.host.asked().len(), 2);
    let refusal = format!(r#"{{"ok":false,"error_code":401,"description":"Unauthorized {token}"}}"#);
    let refused = Served::new(Vendor::new().says("sendMessage", 401, refusal), &text);
    let seen = refused.ask("POST", "/api/test-telegram", &[BEARER], "").is(502, "telegram: ");
    assert!(!seen.body.to_string().contains("AAnever"), "{}", seen.body);
}

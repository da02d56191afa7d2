//! Which addresses are asked, in which order, and with what.

use serde_json::{Value, json};

use super::power::Order;
use super::wire::Wire;
use super::*;
use crate::quota::guest::{self, Id};

pub const SECRET: &str = "5c1a7a52-0000-4000-8000-1234567890ab";
pub const UNTIL: Duration = Duration::from_secs(20);
const TASK: &str = "UPID:pve1:0001A2B3:0012D687:69270A10:qmstop:100:monitor@pve!quota:";
const CONFIG: &str = "/nodes/pve1/qemu/100/config";

pub fn cluster(addresses: &[&str]) -> Cluster {
    Cluster {
        api: addresses.iter().map(|name| format!("https://{name}:8006")).collect(),
        token_id: "netquota@pve!quota".into(),
        token_secret: Secret::new(SECRET),
        tls: Tls::Insecure,
        last: AtomicUsize::new(0),
    }
}

fn version(cluster: &Cluster, host: &Wire) -> Result<Value, Failure> {
    cluster.get(host, "/version", &[], UNTIL)
}

fn put(cluster: &Cluster, host: &Wire) -> Result<(), Failure> {
    cluster.put(host, CONFIG, &[("net0".into(), "virtio=X".into())], UNTIL)
}

/// The names of the hosts asked.
fn asked(host: &Wire) -> Vec<String> {
    let name = |request: Request| request.url.trim_start_matches("https://").split(':').next().unwrap().to_owned();
    host.requests().into_iter().map(name).collect()
}

#[test]
fn a_get_has_the_token_and_its_query() {
    let host = Wire::default().says(200, "{\"data\":[{\"vmid\":100}]}");
    let query = [("type", "vm"), ("a b", "1;2&3+4=5/é~")];
    let answer: Value = cluster(&["a"]).get(&host, "/cluster/resources", &query, UNTIL).unwrap();
    assert_eq!(answer, json!([{"vmid": 100}]));
    let request = &host.requests()[0];
    assert_eq!(request.url, "https://a:8006/api2/json/cluster/resources?type=vm&a%20b=1%3B2%263%2B4%3D5%2F%C3%A9~");
    assert_eq!((request.method, request.body.as_slice()), ("GET", b"".as_slice()));
    assert_eq!(request.headers, [("authorization", format!("PVEAPIToken=netquota@pve!quota={SECRET}"))]);
    assert!(matches!(request.tls, Tls::Insecure));
    assert_eq!((request.timeout, request.body_limit), (PATIENCE, 64 << 20));
}

#[test]
fn a_change_has_a_form() {
    let host = Wire::default().says(200, "{\"data\":null}").says(200, &json!({"data": TASK}).to_string());
    let cluster = cluster(&["a"]);
    let form = [("net0".to_owned(), "virtio=BC:24,trunks=1;2".to_owned()), ("digest".to_owned(), "a+b".to_owned())];
    cluster.put(&host, CONFIG, &form, UNTIL).unwrap();
    let guest = Id { kind: guest::Kind::Qemu, vmid: 100 };
    let task = cluster.power(&host, guest, "pve1", Order::Stop, UNTIL).unwrap();
    assert_eq!(task, TASK);
    let requests = host.requests();
    assert_eq!((requests[0].method, requests[1].method), ("PUT", "POST"));
    assert_eq!(requests[0].url, format!("https://a:8006/api2/json{CONFIG}"));
    assert_eq!(requests[0].body, b"net0=virtio%3DBC%3A24%2Ctrunks%3D1%3B2&digest=a%2Bb");
    assert!(requests[0].headers.contains(&("content-type", "application/x-www-form-urlencoded".into())));
    assert_eq!((requests[0].timeout, requests[1].timeout), (UNTIL, UNTIL - Duration::from_secs(1)));
    assert!(requests[1].body.is_empty());
}

#[test]
fn what_would_end_the_token_is_encoded() {
    let odd = Cluster { token_id: "a;%é@pve!quota".into(), ..cluster(&["a"]) };
    let host = Wire::default().says(200, "{\"data\":null}");
    version(&odd, &host).unwrap();
    assert_eq!(host.requests()[0].headers[0].1, format!("PVEAPIToken=a%3B%25%C3%A9@pve!quota={SECRET}"));
}

#[test]
fn reading_goes_on_to_the_next_address_and_stays_there() {
    for silent in [
        Wire::default().fails("connection refused", Reached::No),
        Wire::default().fails("timed out after 10.0 s", Reached::Perhaps),
        Wire::default().says(595, ""),
        Wire::default().says(596, ""),
        Wire::default().says(599, ""),
        Wire::default().says(502, "<html>"),
    ] {
        let host = silent.says(200, "{\"data\":1}").says(200, "{\"data\":2}");
        let cluster = cluster(&["a", "b", "c"]);
        assert_eq!(version(&cluster, &host).unwrap(), json!(1));
        assert_eq!(version(&cluster, &host).unwrap(), json!(2));
        assert_eq!(asked(&host), ["a", "b", "b"]);
    }
}

#[test]
fn an_answer_ends_the_search() {
    for (status, body, cause) in [
        (401, "", Cause::Credentials),
        (403, "{\"data\":null}", Cause::Forbidden),
        (400, "{\"data\":null}", Cause::Wrong),
        (500, "{\"data\":null,\"message\":\"VM is locked (backup)\"}", Cause::Later),
        (501, "{\"data\":null}", Cause::Wrong),
        (200, "<html>login", Cause::Unknown),
        (200, "{\"data\":", Cause::Unknown),
        (200, "[]", Cause::Unknown),
    ] {
        let host = Wire::default().says(status, body);
        let failure = version(&cluster(&["a", "b"]), &host).unwrap_err();
        assert_eq!((failure.cause, asked(&host).len()), (cause, 1), "{status} {body}");
        assert!(failure.text.starts_with("GET /version: "), "{}", failure.text);
    }
}

#[test]
fn a_change_goes_elsewhere_only_when_it_was_certainly_not_taken() {
    for untaken in [Wire::default().fails("connection refused", Reached::No), Wire::default().says(595, "")] {
        let host = untaken.says(200, "{\"data\":null}");
        put(&cluster(&["a", "b"]), &host).unwrap();
        assert_eq!(asked(&host), ["a", "b"]);
    }
    for (host, text) in [
        (Wire::default().fails("timed out after 30.0 s", Reached::Perhaps), "timed out after 30.0 s"),
        (Wire::default().says(596, ""), "status 596: the node did not answer within 30 s, or broke off"),
        (Wire::default().says(599, ""), "status 599: the node could not be asked"),
        (Wire::default().says(504, ""), "status 504: a proxy in between failed, or the host itself"),
    ] {
        let failure = put(&cluster(&["a", "b"]), &host).unwrap_err();
        assert_eq!(failure.text, format!("PUT {CONFIG}: https://a:8006: {text}"));
        assert_eq!((failure.cause, asked(&host)), (Cause::Unknown, vec!["a".to_owned()]));
    }
    let host = Wire::default().says(200, "<html>");
    assert_eq!(put(&cluster(&["a", "b"]), &host).unwrap_err().cause, Cause::Unknown, "it may have been done");
    let host = Wire::default().fails("no", Reached::No).fails("no", Reached::No);
    let failure = put(&cluster(&["a", "b"]), &host).unwrap_err();
    assert_eq!((failure.cause, failure.may_pass()), (Cause::Later, true));
}

#[test]
fn every_address_that_was_silent_is_named() {
    let host = Wire::default()
        .fails("connection refused", Reached::No)
        .fails("timed out after 10.0 s", Reached::Perhaps)
        .fails("connection refused", Reached::No);
    let cluster = cluster(&["a", "b", "c"]);
    let failure = version(&cluster, &host).unwrap_err();
    assert_eq!(
        failure.text,
        "GET /version: https://a:8006, https://c:8006: connection refused; https://b:8006: timed out after 10.0 s"
    );
    assert_eq!((failure.cause, failure.kind), (Cause::Unknown, Kind::Unanswered));
    assert_eq!(asked(&host), ["a", "b", "c"]);
}

#[test]
fn nothing_is_asked_when_the_time_is_over() {
    let host = Wire::default().fails("connection refused", Reached::No);
    let cluster = cluster(&["a", "b"]);
    let second = Duration::from_secs(1);
    let failure = cluster.get::<Value>(&host, "/version", &[], second).unwrap_err();
    assert_eq!(failure.text, "GET /version: https://a:8006: connection refused");
    assert_eq!(host.requests()[0].timeout, second / 2, "its half, which leaves the other half to the next");
    let failure = cluster.get::<Value>(&host, "/version", &[], second).unwrap_err();
    assert_eq!((failure.text.as_str(), failure.cause), ("GET /version: no time left in this run", Cause::Later));
    assert_eq!(host.requests().len(), 1);
}

/// Each request takes a second.
#[test]
fn a_read_shares_its_time_among_the_addresses_that_are_left() {
    let refused = |host: Wire| host.fails("connection refused", Reached::No);
    let timeouts = |host: &Wire| host.requests().iter().map(|request| request.timeout.as_secs()).collect::<Vec<_>>();
    let until = Duration::from_secs(12);
    let host = refused(refused(refused(Wire::default())));
    assert!(cluster(&["a", "b", "c"]).get::<Value>(&host, "/version", &[], until).is_err());
    assert_eq!(timeouts(&host), [4, 5, 10], "thirds, halves, then all of it as far as patience goes");
    let host = refused(refused(Wire::default()));
    assert!(cluster(&["a", "b"]).put(&host, CONFIG, &[], until).is_err());
    assert_eq!(timeouts(&host), [12, 11], "what changes something must not be left for want of time");
}

#[test]
fn names_of_answers_cannot_lead_to_another_call() {
    let host = Wire::default();
    for name in ["", ".", "..", "a/../b", "a?x", "a#x", "a%2f", "a b", "a\\b", "é", "a\n"] {
        let path = format!("/nodes/{name}/qemu/100/status/stop");
        let failure = cluster(&["a"]).get::<Value>(&host, &path, &[], UNTIL).unwrap_err();
        assert_eq!(failure.cause, Cause::Wrong, "{name:?}");
        assert!(failure.text.ends_with(": the path is not valid") && !failure.text.contains('\n'), "{}", failure.text);
    }
    assert!(host.requests().is_empty());
    assert!(is_plain("/nodes/pve1/tasks/UPID:pve1:000A:01:66:qmshutdown:100:a.b@pve!quota:/status"));
    assert!(!is_plain("cluster/resources") && !is_plain("/"));
}

#[test]
fn an_answer_that_cannot_be_read_shows_no_secret() {
    let host = Wire::default().says(200, &json!({"data": SECRET}).to_string());
    let failure = cluster(&["a"]).get::<u64>(&host, "/version", &[], UNTIL).unwrap_err();
    assert!(
        failure.text.starts_with("GET /version: the answer cannot be read: invalid type: string"),
        "{}",
        failure.text
    );
    assert!(failure.text.contains("(redacted)") && !failure.text.contains("5c1a"), "{}", failure.text);
}

//! Whatever comes over a connection: it is answered or closed, and nothing breaks.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::*;
use crate::error::Error;
use crate::testing::vendor::Vendor;

const CONFIG: &str = "[serve]\nread_token = \"t\"\nreport_password = \"p\"\n";
const REPORT: &str = r#"{"password":"p","hostname":"n","timestamp":1,"metrics":{"cpu_percent":1,"memory_used":1,
    "memory_total":2,"network_in_bps":3,"network_out_bps":4,"uptime_seconds":5}}"#;

fn hub() -> (TempDir, Rc<Hub>) {
    let dir = tempfile::tempdir().unwrap();
    let (host, folder) = (Arc::new(Vendor::new()), dir.path().to_owned());
    let load_host = Arc::clone(&host);
    let load = move |need| {
        let config = crate::config::parse(&*load_host, "c.toml", CONFIG, need);
        config.map(|config| config.at(folder.clone())).map_err(|errors| Error::usage(errors.join("\n")))
    };
    (dir, Rc::new(Hub::new(host, Box::new(load))))
}

/// What is answered to these bytes, after which nothing more comes.
fn said(bytes: &[u8], hub: &Rc<Hub>) -> (String, Parting) {
    let (mut client, server) = UnixStream::pair().unwrap();
    client.write_all(bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.set_nonblocking(true).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (stream, parting) = LocalSet::new().block_on(&runtime, async {
        let stream = TokioIo::new(tokio::net::UnixStream::from_std(server).unwrap());
        converse(stream, Ipv4Addr::LOCALHOST.into(), Rc::clone(hub)).await
    });
    // All that was answered is there already; who closes with something unread says so by a reset.
    client.set_nonblocking(true).unwrap();
    let mut answer = Vec::new();
    let end = client.read_to_end(&mut answer).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::WouldBlock);
    drop(stream);
    (String::from_utf8_lossy(&answer).into_owned(), parting)
}

fn post(head: &str, body: &str) -> Vec<u8> {
    format!("POST /api/report HTTP/1.1\r\nHost: hub\r\n{head}\r\n\r\n{body}").into_bytes()
}

#[test]
fn one_request_is_answered_and_what_follows_is_not() {
    let (_dir, hub) = hub();
    let length = format!("Content-Length: {}", REPORT.len());
    let second = "GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n";
    let chunked = format!("{:x}\r\n{REPORT}\r\n0\r\n\r\n{second}", REPORT.len());
    for (head, body, status) in [
        (length.as_str(), REPORT.to_owned(), "200"),
        (&length, format!("{REPORT}{second}"), "200"),
        (&format!("{length}\r\n{length}"), REPORT.to_owned(), "200"),
        ("Transfer-Encoding: chunked", chunked.clone(), "200"),
        // Of both, the chunks count, and the rest is not read.
        (&format!("{length}\r\nTransfer-Encoding: chunked"), chunked.clone(), "200"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", chunked.clone(), "200"),
        ("Content-Length: 5\r\nContent-Length: 6", second.to_owned(), "400"),
        ("Content-Length: +5", second.to_owned(), "400"),
        ("Content-Length: -1", second.to_owned(), "400"),
        ("Content-Length: 99999999999999999999", second.to_owned(), "400"),
        ("Transfer-Encoding: chunked, identity", chunked.clone(), "400"),
        ("Transfer-Encoding : chunked", chunked.clone(), "400"),
        ("Transfer-Encoding: chunked", "ffffffffffffffffff\r\n".into(), "400"),
        (" folded: yes", REPORT.to_owned(), "400"),
        (&length, REPORT[..20].to_owned(), "400"),
        ("Content-Length: 65537", String::new(), "413"),
    ] {
        let (answer, parting) = said(&post(head, &body), &hub);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{head:?}: {answer}");
        assert_eq!(parting, Parting::Polite, "{head:?}");
    }
}

#[test]
fn heads_are_bounded_and_what_is_no_request_is_refused() {
    let (_dir, hub) = hub();
    let get = |rest: &str| format!("GET {rest}");
    for (bytes, status) in [
        (get(&format!("/healthz HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(HEAD_LIMIT))), "431"),
        (get(&format!("/healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200))), "431"),
        (get(&format!("/{} HTTP/1.1\r\n", "y".repeat(HEAD_LIMIT))), "431"),
        (get("/healthz HTTP/9.9\r\n\r\n"), "400"),
        (get("/\u{0} HTTP/1.1\r\n\r\n"), "400"),
        (get("/healthz HTTP/1.1\r\nX: a\u{0}b\r\n\r\n"), "400"),
        ("\u{16}\u{3}\u{1} a TLS client\r\n\r\n".into(), "400"),
    ] {
        let (answer, parting) = said(bytes.as_bytes(), &hub);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{:?}: {answer:?}", &bytes[..30.min(bytes.len())]);
        assert_eq!(parting, Parting::Polite);
    }
    assert_eq!(said(b"GET /healthz HTTP/1.1\r\n", &hub).0, "", "what breaks off is not answered");
}

#[test]
fn paths_are_names_and_lead_nowhere() {
    let (_dir, hub) = hub();
    for path in ["/../../etc/passwd", "/%2e%2e/etc/passwd", "//healthz", "/healthz/", "/HEALTHZ", "/api/report/x", "*"]
    {
        let (answer, _) = said(format!("GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n").as_bytes(), &hub);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    for path in ["/healthz", "/healthz?x=/../", "http://elsewhere/healthz"] {
        let (answer, _) = said(format!("GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n").as_bytes(), &hub);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok\n"), "{path}: {answer}");
    }
    let (head, _) = said(b"HEAD /healthz HTTP/1.1\r\nHost: hub\r\n\r\n", &hub);
    assert!(head.contains("content-length: 3") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn who_is_turned_away_is_told_so() {
    let text = String::from_utf8(TOO_MANY.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.lines().any(|line| line == format!("content-length: {}", body.len())), "{head}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["success"], false);
}

/// Requests that are right but for a few bytes.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let whole = [
        post(&format!("Content-Length: {}", REPORT.len()), REPORT),
        post("Transfer-Encoding: chunked", &format!("{:x}\r\n{REPORT}\r\n0\r\n\r\n", REPORT.len())),
        b"GET /api/status HTTP/1.1\r\nAuthorization: Basic OnQ=\r\nHost: hub\r\n\r\n".to_vec(),
        b"POST /api/test-telegram HTTP/1.1\r\nAuthorization: Bearer t\r\nHost: hub\r\nOrigin: http://hub\r\n\r\n"
            .to_vec(),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(whole.to_vec()), changes, any::<prop::sample::Index>()).prop_map(|(whole, changes, end)| {
        let mut bytes = whole;
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let end = end.index(bytes.len() * 2);
        bytes.truncate(end.max(1));
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_answered_or_closed(
        bytes in prop_oneof![nearly_right(), prop::collection::vec(any::<u8>(), 0..2000)],
    ) {
        let (_dir, hub) = hub();
        let (answer, _) = said(&bytes, &hub);
        prop_assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{answer:?}");
        prop_assert_eq!(hub.seats.empty_for().is_some(), true);
    }
}

//! Tests: answers as servers give them, and as they must not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Told, read as told};
use super::settings::check_url;
use super::*;
use crate::config::secret::Need;
use crate::config::{self, Config};
use crate::quota::meter::Counters;
use crate::testing::vendor::Vendor;

/// As a server of version 0.3 wrote it in 2026-01; both counters of a mapping are in the tunnel's, and all in `total_*`.
const ANSWER: &str = r#"{"success":true,"message":"Traffic statistics retrieved successfully","data":{"tunnel":
{"bytes_sent":5120,"bytes_received":20480,"last_update":1767225600},"mappings":[
{"port":8080,"bytes_sent":1024,"bytes_received":16384,"last_update":1767225600},
{"port":2222,"bytes_sent":4096,"bytes_received":4096,"last_update":1767225600}],
"total_sent":10240,"total_received":40960,"timestamp":1767225600}}"#;
const KEY: &str = "NeverIssuedKey0123456789";

fn config(text: &str) -> Result<Config, Vec<String>> {
    config::parse(&Vendor::new(), "config.toml", text, Need::Secrets)
}

fn keys(subjects: &str) -> String {
    format!("[source.tunnel]\nurl = \"http://127.0.0.1:8080/\"\napi_key = \"{KEY}\"\nsubjects = \"{subjects}\"\n")
}

fn read(subjects: &str, status: u16, body: &str) -> Result<Readings, Trouble> {
    read_again(subjects, status, body, None)
}

fn now() -> Instant {
    Instant::parse("2026-03-01T00:00:00Z").unwrap()
}

fn read_again(subjects: &str, status: u16, body: &str, remembered: Option<&str>) -> Result<Readings, Trouble> {
    let vendor = Vendor::new().says("http://127.0.0.1:8080/api/stats/traffic", status, body);
    let config = config(&keys(subjects)).unwrap();
    let until = Duration::from_secs(25);
    let look = Look { remembered, until, now: now(), nics: &[], state_dir: Path::new(""), watched: true };
    Arc::clone(&config.sources[0].source).read(&vendor, &look)
}

fn counters(readings: &Readings) -> Vec<(&str, u64, u64)> {
    let of = |reading: &'_ Reading| match reading.figure {
        Figure::Tally { counters: Counters { rx, tx }, .. } => (rx, tx),
        _ => panic!("{reading:?}"),
    };
    readings.readings.iter().map(|reading| (reading.subject.as_str(), of(reading).0, of(reading).1)).collect()
}

#[test]
fn mappings_are_read_by_their_port_and_totals_never() {
    let readings = read("mappings", 200, ANSWER).unwrap();
    assert_eq!(counters(&readings), [("2222", 4096, 4096), ("8080", 16_384, 1024)]);
    assert_eq!(readings.listed, Some(["2222", "8080"].map(str::to_owned).into()));
    assert!(readings.problems.is_empty());
    assert_eq!(counters(&read("tunnel", 200, ANSWER).unwrap()), [("tunnel", 20_480, 5120)]);
}

#[test]
fn a_mapping_that_was_not_there_before_has_counted_nothing_before() {
    let since = |remembered: Option<&str>, body: &str| {
        let readings = read_again("mappings", 200, body, remembered).unwrap();
        let since = |reading: &Reading| match reading.figure {
            Figure::Tally { since, .. } => (reading.subject.clone(), since),
            _ => panic!("{reading:?}"),
        };
        (readings.readings.iter().map(since).collect::<Vec<_>>(), readings.choice)
    };
    let (first, choice) = since(None, ANSWER);
    assert_eq!(first, [("2222".into(), None), ("8080".into(), None)], "nobody knows");
    let (again, _) = since(choice.as_deref(), ANSWER);
    assert_eq!(again, first);
    let before = |url: &str| format!(r#"{{"url":"{url}","at":"2026-02-28T23:55:00Z","listed":["2222"]}}"#);
    let known = before("http://127.0.0.1:8080");
    let at = Instant::parse("2026-02-28T23:55:00Z");
    assert_eq!(since(Some(&known), ANSWER).0, [("2222".into(), None), ("8080".into(), at)]);
    assert_eq!(since(Some(&before("http://192.0.2.1:8080")), ANSWER).0, first, "another server");
    let nameless = ANSWER.replace("\"port\":2222,", "");
    let (read, choice) = since(Some(&known), &nameless);
    assert_eq!((read, choice), (vec![("8080".into(), None)], None), "it may be the nameless one");
}

#[test]
fn no_mapping_is_an_answer() {
    let body = r#"{"success":true,"message":"","data":{"tunnel":null,"mappings":[]}}"#;
    assert_eq!(told(body.as_bytes(), Subjects::Mappings), Ok(Told::default()));
    assert_eq!(told(body.as_bytes(), Subjects::Tunnel), Err("the answer has no tunnel".into()));
}

#[test]
fn what_makes_no_sense_spoils_no_other() {
    let mapping = |port: &str, sent: &str, received: &str| {
        format!(r#"{{"port":{port},"bytes_sent":{sent},"bytes_received":{received}}}"#)
    };
    let mappings = [
        mapping("1", "1", "2"),
        mapping("2", "-1", "2"),
        mapping("3", "1.5", "2"),
        mapping("4", "null", "2"),
        mapping("5", "\"7\"", "2"),
        r#"{"port":6,"bytes_sent":1}"#.into(),
        mapping("7", "18446744073709551616", "2"),
        mapping("8", "1", "2"),
        mapping("8", "3", "4"),
        mapping("0", "1", "2"),
        mapping("65536", "1", "2"),
        mapping("\"9\"", "1", "2"),
        "7".into(),
        mapping("10", "18446744073709551615", "0"),
    ];
    let body = format!(r#"{{"success":true,"data":{{"mappings":[{}]}}}}"#, mappings.join(","));
    let told = told(body.as_bytes(), Subjects::Mappings).unwrap();
    let good = [("1".to_owned(), Counters { rx: 2, tx: 1 }), ("10".to_owned(), Counters { rx: 0, tx: u64::MAX })];
    assert_eq!(told.counters, good);
    let problems: Vec<String> = told.problems.iter().map(|(of, why)| format!("{of}: {why}")).collect();
    let nobody = "it has no port, so nobody knows which it is";
    let expected = [
        format!("mappings[9]: {nobody}"),
        format!("mappings[10]: {nobody}"),
        format!("mappings[11]: {nobody}"),
        format!("mappings[12]: {nobody}"),
        "2: bytes_sent is -1, which is no count of bytes".into(),
        "3: bytes_sent is 1.5, which is no count of bytes".into(),
        "4: bytes_sent is null, which is no count of bytes".into(),
        "5: bytes_sent is \"7\", which is no count of bytes".into(),
        "6: bytes_received is missing".into(),
        "7: bytes_sent is 1.8446744073709552e+19, which is no count of bytes".into(),
        "8: the answer has 2 mappings on this port".into(),
    ];
    assert_eq!(problems, expected);
    assert_eq!(told.listed.len(), 9);
}

#[test]
fn answers_that_are_none_say_why() {
    let why = |status, body: &str| read("mappings", status, body).unwrap_err();
    for (status, body, text) in [
        (
            200,
            "<!DOCTYPE html><html>",
            "the answer is an HTML page: is a proxy in between, or url that of another server?",
        ),
        (200, &ANSWER[..ANSWER.len() / 2], "the answer cannot be read: EOF while parsing"),
        (200, "", "the answer cannot be read: EOF while parsing"),
        (200, "[]", "the answer does not say success"),
        (200, r#"{"success":"true","data":{}}"#, "the answer does not say success"),
        (200, r#"{"success":false,"message":" no\nstore "}"#, "the server says that it failed: no store"),
        (200, r#"{"success":false}"#, "the server says that it failed: it does not say why"),
        (200, r#"{"success":true,"data":null}"#, "the answer has no data"),
        (200, r#"{"success":true,"data":{"mappings":null}}"#, "the answer has no list of mappings"),
        (404, "<html>", "status 404: the answer is an HTML page; is url that of the tunnel server?"),
        (302, "", "status 302; redirects are not followed: write the address it leads to"),
        (500, r#"{"success":false,"message":"poisoned"}"#, "status 500: poisoned"),
    ] {
        let trouble = why(status, body);
        assert!(trouble.text.starts_with(&format!("GET /api/stats/traffic: {text}")), "{body}: {trouble:?}");
        assert!(!trouble.refused, "{body}");
    }
}

#[test]
fn a_refused_key_is_told_in_the_servers_words_and_never_shown() {
    let body = format!(r#"{{"success":false,"message":"Invalid API key {KEY}"}}"#);
    let trouble = read("mappings", 401, &body).unwrap_err();
    let text = "GET /api/stats/traffic: status 401: Invalid API key (redacted); check api_key";
    assert_eq!(trouble, Trouble { text: text.into(), refused: true });
    let config = config(&keys("mappings")).unwrap();
    let asks = config.sources[0].source.describe();
    assert_eq!(asks, ["GET http://127.0.0.1:8080/api/stats/traffic, with X-API-Key (redacted)"]);
}

#[test]
fn addresses_are_checked() {
    for (text, url) in [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://tunnel.example/behind/it/", "https://tunnel.example/behind/it"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ] {
        assert_eq!(check_url(text).as_deref(), Ok(url));
    }
    for text in [
        "",
        "127.0.0.1:8080",
        "ftp://a",
        "http://",
        "http://:80",
        "http://a:0",
        "http://a:99999",
        "http://a:",
        "http://a b",
        "http://a/?x=1",
        "http://a#x",
        "http://u:secret@a",
        "http://[::1",
        "http://[a]:1",
        "http://a/\u{7f}",
        "http://a/api/stats/traffic",
    ] {
        let why = check_url(text).expect_err(text);
        assert!(!why.contains("secret"), "{why}");
    }
}

#[test]
fn the_settings_are_checked() {
    let wrong = |text: &str| config(text).err().unwrap_or_default().join("\n");
    assert!(wrong("[source.tunnel]\n").contains("source.tunnel: url is missing"));
    assert!(wrong(&keys("mapping")).contains("did you mean \"mappings\"?"));
    let key = |key: &str| format!("[source.tunnel]\nurl = \"http://127.0.0.1:8080\"\napi_key = \"{key}\"\n");
    assert!(wrong(&key("a b")).contains("characters in it that no header can have"));
    let quota = "[quota.month]\nallowance = \"1 TB\"\nfirst = \"since-boot\"\n";
    assert!(wrong(&format!("{}{quota}", keys("tunnel"))).contains("does not say since when it counts"));
    let warnings = |url: &str| {
        let text = format!("[source.tunnel]\nurl = \"{url}\"\napi_key = \"{KEY}\"\n");
        config(&text).unwrap().warnings
    };
    assert_eq!(warnings("http://192.0.2.1:8080").len(), 1);
    assert!(warnings("http://127.0.0.1:8080").is_empty() && warnings("https://192.0.2.1").is_empty());
}

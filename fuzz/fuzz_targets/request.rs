//! A request as it comes from anybody: its head says whom it is of, its body is a report, and reports follow each other.
//!
//! An input is a head, lines `name: value` up to an empty one, and then bodies, one on each line. What must hold for all of
//! them: nothing breaks; no name leads out of the folder; what is kept is read again as it was; no record goes back; who guesses
//! is not heard for ever, nor for long.

#![no_main]
#![allow(dead_code, missing_docs, unused_imports, reason = "of the modules of a program, a part is used")]

#[path = "../../src/fleet/mod.rs"]
mod fleet;
#[path = "../../src/quota/mod.rs"]
mod quota;

#[path = "../../src/serve"]
mod serve {
    pub mod guesses;
    pub mod head;
}

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

use fleet::record::{self, News, Record};
use fleet::report::Report;
use quota::instant::Instant;
use serve::guesses::{Guesses, Target};
use serve::head;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let headers: HeaderMap = lines.by_ref().take_while(|line| !line.is_empty()).filter_map(header).collect();
    let mut guesses = Guesses::default();
    let bucket = (head::origin(IpAddr::V4(Ipv4Addr::LOCALHOST), &headers), Target::Reader);
    let _ = (head::given(&headers), head::is_of_another_site(&headers));

    let mut last: Option<Record> = None;
    for (number, body) in lines.enumerate() {
        let now = Duration::from_secs(number as u64);
        let Ok(report) = serde_json::from_slice::<Report>(body) else {
            guesses.wrong(bucket.clone(), now);
            assert!(
                guesses.wait(&bucket, now).is_none_or(|wait| wait <= Duration::from_secs(60 * (1 + number as u64)))
            );
            continue;
        };
        if report.wrong().is_none() {
            last = follow(last, report, now);
        }
    }
});

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

/// What is known of a node after its report.
fn follow(last: Option<Record>, report: Report, now: Duration) -> Option<Record> {
    let last = last.filter(|last| last.hostname == report.hostname);
    let file = record::file_name(&report.hostname);
    assert!(record::is_record(&file) && Path::new(&file).components().count() == 1 && file.len() < 240, "{file}");
    let uptime = |record: &Record| record.counted.as_ref().map(|counted| (counted.boot_id.clone(), counted.uptime_ms));
    let record = match Record::follow(last.as_ref(), report, Instant::default().plus(now)) {
        News::Older => return last,
        News::Foreign(noted) => {
            assert_eq!(last.as_ref().map(uptime), Some(uptime(&noted)), "a record goes back");
            noted
        }
        News::Newer(record) => {
            if let (Some((Some(was), before)), Some((Some(is), after))) =
                (last.as_ref().and_then(uptime), uptime(&record))
            {
                assert!(was != is || before <= after, "a record goes back");
            }
            record
        }
    };
    let _ = record.pulse();
    let document = serde_json::to_vec(&record).expect("a record can be written");
    let again = record::read(&document).expect("and read");
    assert_eq!(serde_json::to_vec(&again).expect("and written"), document);
    Some(record)
}

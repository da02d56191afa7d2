//! What hostile clients do, and that others are served all the same.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::client::{self, Answer, connect, document, raw};
use super::holder::Holder;
use super::{PASSWORD, machine};
use crate::machine::names;

/// Memory that no attack may exceed, in KiB; a program that was built for debugging needs more than one for use.
const PEAK: u64 = 96 * 1024;

/// Runs `work` for the numbers below `many`, by a few threads.
fn in_parallel(many: usize, work: impl Fn(usize) + Send + Sync + 'static) {
    let (next, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(work));
    let worker = |_| {
        let (next, work) = (Arc::clone(&next), Arc::clone(&work));
        thread::spawn(move || {
            loop {
                match next.fetch_add(1, Ordering::SeqCst) {
                    number if number < many => work(number),
                    _ => return,
                }
            }
        })
    };
    let threads: Vec<_> = (0..8).map(worker).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn status(bytes: &[u8]) -> u16 {
    Answer::parse(bytes).unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(bytes))).status
}

#[test]
fn half_open_requests_are_cut_off_and_others_are_served() {
    let machine = machine("idle_exit = \"1 s\"");
    let holder = Holder::new(&machine);
    let slow: Vec<TcpStream> = (0..600)
        .map(|number| {
            let mut stream = connect(holder.address()).unwrap();
            stream.write_all(if number % 2 == 0 { b"POST /api/report HTTP/1.1\r\nX: " } else { b"G" }).unwrap();
            stream
        })
        .collect();
    client::report(holder.address(), "hk-1", 1).unwrap().is(200);
    for mut stream in slow {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest, b"", "nothing was asked"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    assert!(holder.peak().unwrap() < PEAK);
    holder.quietly();
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_long() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    let mut stream = connect(holder.address()).unwrap();
    stream.write_all(b"POST /api/report HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n{").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(status(&answer), 408);
}

/// More than there are seats: those of one origin are not all waited for, and whoever else comes is heard.
#[test]
fn bodies_that_do_not_come_keep_nobody_out() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    let slow: Vec<TcpStream> = (0..600)
        .map(|_| {
            let mut stream = connect(holder.address()).unwrap();
            let head = "POST /api/report HTTP/1.1\r\nHost: hub\r\nX-Forwarded-For: 203.0.113.9\r\n";
            stream.write_all(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()).unwrap();
            stream
        })
        .collect();
    client::report(holder.address(), "hk-1", 1).unwrap().is(200);
    let answered = slow.into_iter().map(|mut stream| {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        status(&answer)
    });
    let answered: Vec<u16> = answered.collect();
    let of = |status| answered.iter().filter(|seen| **seen == status).count();
    assert!(of(408) >= 32 && of(429) >= 400 && of(408) + of(429) == 600, "{} {}", of(408), of(429));
    holder.quietly();
}

#[test]
fn bodies_without_an_end_are_refused_early() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    for (head, part) in [
        ("Transfer-Encoding: chunked", format!("1000\r\n{}\r\n", " ".repeat(4096))),
        ("Content-Length: 9000000000", " ".repeat(4096)),
    ] {
        let stream = connect(holder.address()).unwrap();
        let mut writing = stream.try_clone().unwrap();
        let head = format!("POST /api/report HTTP/1.1\r\nHost: hub\r\n{head}\r\n\r\n");
        let writer = thread::spawn(move || {
            writing.write_all(head.as_bytes()).unwrap();
            // Until it is cut off.
            while writing.write_all(part.as_bytes()).is_ok() {}
        });
        let mut bytes = vec![0; 4096];
        let length = (&stream).read(&mut bytes).unwrap();
        assert!(bytes[..length].starts_with(b"HTTP/1.1 413 "), "{:?}", String::from_utf8_lossy(&bytes[..length]));
        writer.join().unwrap();
    }
    assert!(holder.peak().unwrap() < PEAK);
    client::report(holder.address(), "hk-1", 1).unwrap().is(200);
}

#[test]
fn a_long_body_is_refused_and_the_refusal_arrives() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    for size in [65_537, 200_000] {
        let long = "x".repeat(size);
        client::ask(holder.address(), "POST", "/api/report", &[], &long).unwrap().is(413);
    }
    let mut padded = document("hk-1", PASSWORD, 1).to_string();
    padded.push_str(&" ".repeat(65_536 - padded.len()));
    client::ask(holder.address(), "POST", "/api/report", &[], &padded).unwrap().is(200);
}

#[test]
fn what_one_request_hides_behind_itself_is_never_a_second() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    let hidden = format!(
        "POST /api/report HTTP/1.1\r\nHost: hub\r\nContent-Length: {}\r\n\r\n{}",
        document("hidden", PASSWORD, 1).to_string().len(),
        document("hidden", PASSWORD, 1)
    );
    for head in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: 0, 5",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\tchunked\r\nTransfer-Encoding: identity",
        "Connection: keep-alive\r\nContent-Length: 0",
    ] {
        let request = format!("POST /api/report HTTP/1.1\r\nHost: hub\r\n{head}\r\n\r\n0\r\n\r\n{hidden}{hidden}");
        let answer = String::from_utf8(raw(holder.address(), request.as_bytes()).unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head}: {answer}");
    }
    assert_eq!(client::read(holder.address(), "/api/status").json()["data"], serde_json::json!({}));
}

#[test]
fn ten_thousand_names_are_no_more_than_the_limit() {
    let machine = machine("max_nodes = 50");
    let holder = Holder::new(&machine);
    let address = holder.address();
    let (sender, kept) = mpsc::channel();
    in_parallel(10_000, move |number| {
        let answer = client::report(address, &format!("node-{number}-{}", "x".repeat(200)), 1).unwrap();
        match answer.status {
            200 => sender.send(number).unwrap(),
            other => assert_eq!((other, answer.json()["message"].as_str()), (403, Some("max_nodes = 50 is reached"))),
        }
    });
    assert_eq!(kept.try_iter().count(), 50);
    assert_eq!(names(&machine.state_dir().join("spool")).len(), 51, "the records and the lock");
    assert!(holder.peak().unwrap() < PEAK);
    holder.quietly();
}

#[test]
fn guessing_at_speed_is_slowed_and_nodes_elsewhere_are_served() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    let address = holder.address();
    client::report(address, "hk-1", 1).unwrap().is(200);
    let (sender, heard) = mpsc::channel();
    in_parallel(2_000, move |number| {
        let body = document(&format!("guess-{number}"), &format!("wrong-{number}"), 1).to_string();
        let answer = client::ask(address, "POST", "/api/report", &[], &body).unwrap();
        match answer.status {
            401 => sender.send(number).unwrap(),
            other => assert_eq!((other, answer.header("retry-after").is_some()), (429, true)),
        }
        if number % 100 == 0 {
            let elsewhere = ["X-Forwarded-For: 198.51.100.7"];
            let body = document("hk-1", PASSWORD, 2).to_string();
            client::ask(address, "POST", "/api/report", &elsewhere, &body).unwrap().is(200);
        }
    });
    let heard = heard.try_iter().count();
    assert!((60..400).contains(&heard), "{heard} of 2000 passwords were heard");
    assert!(!holder.errors().contains("wrong-"), "{}", holder.errors());
    assert!(holder.peak().unwrap() < PEAK);
}

#[test]
fn names_with_markup_and_paths_stay_names() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    let before = names(&machine.path(""));
    let hostile = [
        "<script>alert(1)</script>",
        "a`b*c_d[e](f)",
        "../../../x",
        "/etc/passwd",
        ".",
        "..",
        ".hidden",
        "a%2Fb",
        "a\\b",
    ];
    for name in hostile {
        client::report(holder.address(), name, 1).unwrap().is(200);
    }
    for name in ["a\nb", "a\u{0}b", "a\u{202e}b", " a", "", &"x".repeat(254)] {
        client::report(holder.address(), name, 1).unwrap().is(400);
    }
    let status = client::read(holder.address(), "/api/status");
    assert_eq!(
        (status.header("content-type"), status.header("x-content-type-options")),
        (Some("application/json"), Some("nosniff"))
    );
    let status = status.json();
    let mut known: Vec<&str> = status["data"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = hostile.to_vec();
    known.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(known, wanted);
    assert_eq!(names(&machine.path("")), before, "nothing was written elsewhere");
    assert_eq!(names(machine.state_dir()), ["spool"]);
    assert_eq!(names(&machine.state_dir().join("spool")).len(), hostile.len() + 1);
    for path in ["/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/api/v1/../../etc/passwd", "//etc/passwd"] {
        assert_eq!(client::read(holder.address(), path).status, 404, "{path}");
    }
}

/// Who reads slowly, or not at all, is cut off as well.
#[test]
fn an_answer_that_nobody_reads_ends_too() {
    let machine = machine("idle_exit = \"1 s\"\nmax_nodes = 20000");
    let holder = Holder::new(&machine);
    let mut deaf = connect(holder.address()).unwrap();
    deaf.write_all(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n").unwrap();
    assert!(
        crate::machine::eventually(Duration::from_secs(30), || holder.ended().len() == 1),
        "it waits for no reader"
    );
}

//! Starts and ends: on the first request, when nobody comes, with a wrong configuration, by hand.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::client::{self, connect};
use super::holder::Holder;
use super::{hub, machine};
use crate::machine::{Dice, Machine, eventually, names, note};

/// Whatever is waited for here takes no longer.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn it_starts_with_the_first_request_and_ends_when_nobody_comes() {
    let machine = machine("idle_exit = \"1 s\"");
    let holder = Holder::new(&machine);
    assert_eq!(holder.starts(), 0);
    for round in 1..=3 {
        let answer = client::report(holder.address(), "hk-1", round).unwrap().is(200);
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(holder.starts(), round as usize);
        assert!(eventually(LIMIT, || holder.ended().len() == round as usize));
    }
    let nodes = client::read(holder.address(), "/api/status").json();
    assert!(nodes["data"]["hk-1"]["is_online"].as_bool().unwrap(), "what it kept is there again: {nodes}");
    holder.quietly();
    assert_eq!(names(machine.state_dir()), ["spool"], "neither state nor lock is touched");
}

/// A connection that says nothing is somebody, too.
#[test]
fn it_does_not_end_while_somebody_is_in() {
    let machine = machine("idle_exit = \"1 s\"");
    let holder = Holder::new(&machine);
    let mut slow = connect(holder.address()).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    thread::sleep(Duration::from_millis(2500));
    assert!(holder.ended().is_empty());
    slow.write_all(b"Host: hub\r\n\r\n").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
    assert!(eventually(LIMIT, || holder.ended().len() == 1));
}

/// Who was accepted is answered, and who comes meanwhile waits for the next one.
#[test]
fn told_to_end_it_answers_those_who_are_in() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    let mut slow = connect(holder.address()).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    // When this is answered, the one before has been accepted.
    client::ask(holder.address(), "GET", "/healthz", &[], "").unwrap().is(200);
    holder.terminate();
    let mut late = connect(holder.address()).unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n").unwrap();
    slow.write_all(b"Host: hub\r\n\r\n").unwrap();
    for stream in [&mut slow, &mut late] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
    }
    assert!(eventually(LIMIT, || !holder.ended().is_empty()), "it ends, and not for being idle");
    holder.quietly();
}

/// A hub that is never idle is upgraded, too.
#[test]
fn a_program_that_was_replaced_makes_room_for_the_new_one() {
    let machine = machine("idle_exit = \"1 h\"");
    let (program, new) = (machine.copy_of_program("program"), machine.copy_of_program("new"));
    let holder = Holder::of(&machine, &program);
    client::report(holder.address(), "hk-1", 1).unwrap().is(200);
    std::fs::rename(new, program).unwrap();
    let mut timestamp = 1;
    assert!(eventually(LIMIT, || {
        timestamp += 1;
        client::report(holder.address(), "hk-1", timestamp).unwrap().is(200);
        holder.starts() == 2
    }));
    holder.quietly();
    assert_eq!(holder.ended().len(), 1);
}

/// Bursts just before, at, and just after the moment at which it ends: every one of them is answered.
#[test]
#[ignore = "takes half a minute: run ./test"]
fn nobody_is_lost_around_the_moments_of_its_end() {
    const ROUNDS: u64 = 24;
    const BURST: usize = 100;
    let machine = machine("idle_exit = \"1 s\"");
    let holder = Holder::new(&machine);
    let mut dice = Dice(0x5eed);
    for _ in 0..ROUNDS {
        let burst: Vec<_> = (0..BURST).map(|_| thread::spawn(healthy(holder.address()))).collect();
        for request in burst {
            request.join().unwrap();
        }
        let last = Instant::now();
        let pause = Duration::from_millis(960 + dice.roll(80));
        while last.elapsed() < pause {
            thread::sleep(Duration::from_micros(200));
        }
    }
    note(&format!("{} starts in {ROUNDS} rounds", holder.starts()));
    assert!((2..=ROUNDS as usize).contains(&holder.starts()), "{} starts", holder.starts());
    holder.quietly();
}

fn healthy(address: SocketAddr) -> impl FnOnce() + Send + 'static {
    move || {
        let answer = client::ask(address, "GET", "/healthz", &[], "").unwrap_or_else(|error| panic!("lost: {error}"));
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    }
}

#[test]
fn a_wrong_configuration_is_answered_and_mended_without_a_restart() {
    let machine = Machine::new().config("[serve]\nread_tokn = \"x\"\n");
    let holder = Holder::new(&machine);
    for path in ["/healthz", "/", "/api/report"] {
        let answer = client::ask(holder.address(), "POST", path, &[], "{}").unwrap().is(503);
        assert_eq!(answer.header("retry-after"), Some("30"));
        assert_eq!(answer.json()["message"], "configuration error: see the log of the service");
    }
    let told = holder.errors();
    assert_eq!(told.matches("serve.read_tokn: unknown key; did you mean \"read_token\"?").count(), 1, "{told}");
    machine.set_config(&hub("idle_exit = \"1 s\""));
    assert!(eventually(LIMIT, || client::report(holder.address(), "hk-1", 1).unwrap().status == 200));
    machine.set_config("[serve");
    assert!(eventually(LIMIT, || client::report(holder.address(), "hk-1", 2).unwrap().status == 503));
    assert_eq!(holder.starts(), 1);
    assert!(eventually(LIMIT, || !holder.is_running()), "it ends as idle as ever");
    assert_eq!(holder.ended()[0].0.code(), Some(0));
}

#[test]
fn without_a_socket_it_says_what_to_do() {
    let machine = machine("");
    machine.run(&["serve"]).exits(2).complains("start it by its systemd socket, or give --listen ADDR");
    machine.run(&["serve", "--listen", "nowhere"]).exits(2).complains("nowhere");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    machine
        .run(&["serve", "--listen", &address])
        .exits(1)
        .complains(&format!("listen on {address}: address already in use"));
    assert_eq!(names(machine.state_dir()), [""; 0]);
}

#[test]
fn by_hand_it_says_where_it_listens_and_ends_all_the_same() {
    let machine = machine("idle_exit = \"1 s\"");
    let run = machine.run(&["serve", "--listen", "127.0.0.1:0"]).exits(0);
    assert!(run.stderr.starts_with("listening on http://127.0.0.1:"), "{}", run.stderr);
    assert!(run.stderr.ends_with("nobody has asked for 1 s: ended\n"), "{}", run.stderr);
}

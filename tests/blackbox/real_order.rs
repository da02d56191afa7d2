//! The order of effects and their cost, as the kernel sees the system calls.

use std::fs;
use std::path::Path;

use crate::machine::{Machine, binary, quota_and_telegram, spawn};
use crate::telegram::Telegram;

/// The system calls of one `netquota check`, in order.
fn traced(machine: &Machine, calls: &str) -> Vec<String> {
    let log = machine.path("strace");
    let filter = format!("trace={calls}");
    let mut command = machine
        .command_of(Path::new("strace"), &["-f", "-qq", "-s", "4096", "-e", &filter, "-o", log.to_str().unwrap()]);
    command.arg(binary()).args(machine.global_args()).arg("check");
    machine.finish(spawn(command)).exits(0).quietly();
    fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs strace: run ./test"]
fn what_is_about_to_be_sent_is_safe_on_disk_before_the_first_packet() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    let calls = traced(&machine, "rename,renameat,renameat2,fsync,fdatasync,connect,flock");
    assert_eq!(telegram.messages().len(), 1);
    let first = |what: &str| calls.iter().position(|call| call.contains(what)).unwrap_or_else(|| panic!("{calls:#?}"));
    let (flock, sync, connect) = (first("flock("), first("sync("), first("connect("));
    let saved = calls.iter().position(|call| call.contains("rename") && call.contains("state.json\"")).unwrap();
    assert!(flock < sync && sync < saved && saved < connect, "{calls:#?}");
    let folder_synced = calls[saved..connect].iter().any(|call| call.contains("fsync("));
    assert!(folder_synced, "the folder is synced before anything leaves: {calls:#?}");
}

#[test]
#[ignore = "needs strace: run ./test"]
fn a_run_with_nothing_to_send_syncs_twice_and_asks_nobody() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.grow("eth0", 0, 100);
    let calls = traced(&machine, "fsync,fdatasync,connect,execve");
    let syncs = calls.iter().filter(|call| call.contains("sync(")).count();
    assert!((1..=2).contains(&syncs), "{syncs}: {calls:#?}");
    assert!(!calls.iter().any(|call| call.contains("connect(")), "{calls:#?}");
    assert_eq!(calls.iter().filter(|call| call.contains("execve(")).count(), 1, "no other program: {calls:#?}");
}

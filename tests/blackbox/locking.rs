//! Two runs at once.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use fs2::FileExt;
use rustix::process::{Signal, kill_process};

use crate::machine::{Machine, eventually, quota_and_telegram, snapshot, spawn};
use crate::telegram::{Fault, Telegram};

fn lock_of(machine: &Machine) -> File {
    File::options().read(true).write(true).open(machine.state_dir().join("state.lock")).unwrap()
}

#[test]
fn a_second_run_exits_75_quietly_and_does_nothing() {
    let machine = Machine::new();
    machine.check_exits(0);
    machine.grow("eth0", 0, 10);
    let lock = lock_of(&machine);
    FileExt::lock_exclusive(&lock).unwrap();
    let state = fs::read(machine.state_file()).unwrap();
    machine.check_exits(75).quietly();
    assert_eq!(fs::read(machine.state_file()).unwrap(), state);
    FileExt::unlock(&lock).unwrap();
    machine.check_exits(0).quietly();
    assert_eq!(machine.status().used(), 10);
}

#[test]
fn the_lock_file_is_never_replaced() {
    let machine = Machine::new();
    machine.check_exits(0);
    let inode = || fs::metadata(machine.state_dir().join("state.lock")).unwrap().ino();
    let first = inode();
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(inode(), first);
}

#[test]
fn twenty_runs_at_once_count_each_byte_once() {
    let machine = Machine::new();
    machine.check_exits(0);
    for round in 1..=5 {
        machine.grow("eth0", 0, 1_000);
        let running: Vec<_> = (0..20).map(|_| spawn(machine.command(&["check"]))).collect();
        let codes: Vec<i32> = running.into_iter().map(|run| machine.finish(run).quietly().code()).collect();
        assert!(codes.iter().all(|code| matches!(code, 0 | 75)), "{codes:?}");
        assert!(codes.contains(&0), "someone got the lock: {codes:?}");
        assert_eq!(machine.status().used(), 1_000 * round);
    }
}

#[test]
fn twenty_first_runs_at_once_make_one_state() {
    let machine = Machine::new();
    let running: Vec<_> = (0..20).map(|_| spawn(machine.command(&["check"]))).collect();
    let codes: Vec<i32> = running.into_iter().map(|run| machine.finish(run).quietly().code()).collect();
    assert!(codes.iter().all(|code| matches!(code, 0 | 75)) && codes.contains(&0), "{codes:?}");
    assert_eq!(machine.status().used(), 0);
}

#[test]
fn a_lock_held_for_more_than_three_deadlines_is_a_problem() {
    let telegram = Telegram::new();
    let config = format!("deadline = \"1s\"\n{}", quota_and_telegram(&telegram.url()));
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    telegram.always(Fault::Stalled);
    // A run that is stopped in the middle, as on a machine that is swapping to death.
    let stuck = spawn(machine.command(&["check"]));
    assert!(eventually(Duration::from_secs(5), || telegram.requests() == 1), "the run came as far as Telegram");
    kill_process(stuck.pid(), Signal::STOP).unwrap();
    machine.check_exits(75).quietly();
    thread::sleep(Duration::from_millis(3_200));
    let late = machine.check();
    kill_process(stuck.pid(), Signal::CONT).unwrap();
    machine.finish(stuck);
    assert_eq!(late.code(), 3, "{late:?}");
    assert!(late.stderr.contains("lock"), "{late:?}");
}

#[test]
fn a_run_that_was_killed_leaves_no_lock_behind() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    telegram.always(Fault::Stalled);
    let running = spawn(machine.command(&["check"]));
    assert!(eventually(Duration::from_secs(5), || telegram.requests() == 1));
    assert!(running.kill(), "it was at work");
    telegram.heal();
    machine.check_exits(0);
    assert!(telegram.only().text.contains("81.2"));
}

#[test]
fn a_locked_state_is_not_touched_by_a_waiting_run() {
    let machine = Machine::new();
    machine.check_exits(0);
    let lock = lock_of(&machine);
    FileExt::lock_exclusive(&lock).unwrap();
    let before = snapshot(machine.state_dir());
    machine.check_exits(75);
    assert_eq!(snapshot(machine.state_dir()), before);
}

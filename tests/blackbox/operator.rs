//! The operator's hand: `calibrate`, `notify-test`.

use std::time::Duration;

use crate::machine::{Machine, names, quota_and_telegram, spawn};
use crate::telegram::{Fault, Telegram};

#[test]
fn calibrate_sets_what_the_provider_shows_and_counts_on_from_there() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.grow("eth0", 0, 100);
    machine.check_exits(0);
    machine.run(&["calibrate", "month", "eth0", "500 kB"]).exits(0);
    assert_eq!(machine.status().used(), 500_000);
    machine.grow("eth0", 0, 23);
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 500_023);
}

#[test]
fn calibrate_may_lower_the_usage_too() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.grow("eth0", 0, 900_000);
    machine.check_exits(0);
    machine.run(&["calibrate", "month", "eth0", "0 B"]).exits(0);
    assert_eq!(machine.status().used(), 0);
    assert_eq!(telegram.messages().len(), 1);
}

#[test]
fn a_calibration_above_a_tier_alerts_at_the_next_check() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.run(&["calibrate", "month", "eth0", "850 kB"]).exits(0);
    machine.check_exits(0);
    machine.check_exits(0);
    assert!(telegram.only().text.contains("85"));
}

#[test]
fn calibrate_refuses_what_it_does_not_know() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.run(&["calibrate", "mnoth", "eth0", "1 kB"]).exits(2).complains("month");
    machine.run(&["calibrate", "month", "eth0", "1000"]).exits(2);
    machine.run(&["calibrate", "month", "eth0", "-1 kB"]).exits(2);
    let unknown = machine.run(&["calibrate", "month", "eth7", "1 kB"]);
    assert!(matches!(unknown.code(), 1 | 2) && unknown.stderr.contains("eth7"), "{unknown:?}");
    assert_eq!(machine.status().used(), 0);
}

#[test]
fn calibrate_waits_for_the_lock() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    let lock = std::fs::File::open(machine.state_dir().join("state.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let running = spawn(machine.command(&["calibrate", "month", "eth0", "1 kB"]));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(machine.status().used(), 0, "it waits");
    fs2::FileExt::unlock(&lock).unwrap();
    machine.finish(running).exits(0);
    assert_eq!(machine.status().used(), 1_000);
}

#[test]
fn notify_test_sends_one_message_and_changes_nothing() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.run(&["notify-test"]).exits(0);
    assert!(telegram.only().text.contains("blackbox-host"));
    assert!(!names(machine.state_dir()).contains(&"state.json".to_owned()));
}

#[test]
fn notify_test_tells_what_telegram_says() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    telegram.always(Fault::ChatNotFound);
    let run = machine.run(&["notify-test"]).complains("chat not found");
    assert!(matches!(run.code(), 1 | 3), "{run:?}");
    telegram.always(Fault::Unauthorized);
    assert_ne!(machine.run(&["notify-test"]).complains("Unauthorized").code(), 0);
}

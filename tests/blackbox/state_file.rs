//! State files that are broken, missing or from the future.

use std::fs;

use crate::machine::{Machine, names, quota_and_telegram, snapshot};
use crate::telegram::Telegram;

/// A machine with `used` bytes known, in `state.json` and in the one before it.
fn known(telegram: &Telegram, used: u64) -> Machine {
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.grow("eth0", 0, used);
    machine.check_exits(0);
    machine.check_exits(0);
    machine
}

#[track_caller]
fn goes_on_from_the_previous(machine: &Machine, telegram: &Telegram, what: &str) {
    machine.grow("eth0", 0, 5);
    machine.check();
    assert_eq!(machine.status().used(), 1_005, "{what}: not from zero, and the bytes since then are counted");
    assert_eq!(telegram.messages().len(), 1, "{what}: one message says so");
    assert!(telegram.only().text.contains("state"), "{what}: {}", telegram.only().text);
    machine.check_exits(0).quietly();
    assert_eq!(telegram.messages().len(), 1, "{what}: once");
}

#[test]
fn a_broken_state_is_put_aside_and_the_previous_one_is_used() {
    for broken in
        [&b""[..], b"{", b"\0\0\0\0\0\0\0\0", b"\xff\xfe garbage", b"[]", b"{}", b"null", b"{\"version\":\"one\"}"]
    {
        let what = String::from_utf8_lossy(broken).into_owned();
        let telegram = Telegram::new();
        let machine = known(&telegram, 1_000);
        fs::write(machine.state_file(), broken).unwrap();
        goes_on_from_the_previous(&machine, &telegram, &what);
        let aside: Vec<String> =
            names(machine.state_dir()).into_iter().filter(|name| name.starts_with("state.json.corrupt-")).collect();
        assert_eq!(aside.len(), 1, "{what}: {aside:?}");
        assert_eq!(fs::read(machine.state_dir().join(&aside[0])).unwrap(), broken);
    }
}

#[test]
fn a_state_truncated_anywhere_is_noticed() {
    let telegram = Telegram::new();
    let machine = known(&telegram, 1_000);
    let good = fs::read(machine.state_file()).unwrap();
    for quarter in 1..4 {
        let telegram = Telegram::new();
        let machine = known(&telegram, 1_000);
        fs::write(machine.state_file(), &good[..good.len() * quarter / 4]).unwrap();
        goes_on_from_the_previous(&machine, &telegram, &format!("{quarter}/4"));
    }
}

#[test]
fn a_missing_state_beside_a_previous_one_is_broken_too() {
    let telegram = Telegram::new();
    let machine = known(&telegram, 1_000);
    fs::remove_file(machine.state_file()).unwrap();
    goes_on_from_the_previous(&machine, &telegram, "missing");
}

#[test]
fn two_broken_states_are_told_and_never_a_silent_zero() {
    let telegram = Telegram::new();
    let machine = known(&telegram, 1_000);
    fs::write(machine.state_file(), "x").unwrap();
    fs::write(machine.state_dir().join("state.json.previous"), "y").unwrap();
    let run = machine.check();
    let told = telegram.texts();
    assert!(!run.stderr.is_empty() || !told.is_empty(), "said somewhere: {run:?}");
    let kept = snapshot(machine.state_dir());
    assert!(kept.values().any(|file| file.bytes == b"x"), "the broken file is kept: {:?}", kept.keys());
}

#[test]
fn a_newer_state_is_refused_and_left_alone() {
    let telegram = Telegram::new();
    let machine = known(&telegram, 1_000);
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(machine.state_file()).unwrap()).unwrap();
    let version = document["version"].as_u64().expect("the version is a number");
    document["version"] = (version + 1).into();
    fs::write(machine.state_file(), document.to_string()).unwrap();
    machine.grow("eth0", 0, 900_000);
    let kept = || {
        let mut files = snapshot(machine.state_dir());
        files.remove("state.lock");
        files
    };
    let before = kept();
    machine.check_exits(1).complains("state.json").complains("newer");
    machine.run(&["status"]).exits(1).complains("newer");
    assert_eq!(kept(), before);
    assert_eq!(telegram.requests(), 0);
}

#[test]
fn the_version_is_the_first_thing_in_the_file() {
    let telegram = Telegram::new();
    let machine = known(&telegram, 1);
    let text = fs::read_to_string(machine.state_file()).unwrap();
    let start: String = text.chars().filter(|c| !c.is_whitespace()).take(11).collect();
    assert!(start.starts_with("{\"version\":"), "{start}");
}

#[test]
fn no_action_is_taken_in_a_run_on_broken_state_and_passed_tiers_stay_passed() {
    let telegram = Telegram::new();
    let machine = Machine::new();
    let made = machine.path("made");
    let config = quota_and_telegram(&telegram.url())
        .replace("tiers = [\"80%\", \"90%\", \"95%\"]", "tier = [{ used = \"80%\", actions = [\"mark\"] }]")
        + &format!("[action.mark]\nkind = \"command\"\ncommand = [\"/bin/touch\", \"{}\"]\n", made.display());
    let machine = machine.config(&config);
    machine.check_exits(0);
    machine.check_exits(0);
    fs::write(machine.state_file(), "").unwrap();
    machine.grow("eth0", 0, 900_000);
    machine.check();
    machine.check();
    assert!(!made.exists(), "the tier counts as passed for the period");
    assert_eq!(machine.status().used(), 900_000);
}

#[test]
fn left_over_temporary_files_do_no_harm() {
    let telegram = Telegram::new();
    let machine = known(&telegram, 1_000);
    for name in ["state.json.tmp", ".state.json.tmp", "state.json.new", ".tmpAbC123"] {
        fs::write(machine.state_dir().join(name), "{\"version\":").unwrap();
    }
    machine.check_exits(0).quietly();
    assert_eq!(machine.status().used(), 1_000);
}

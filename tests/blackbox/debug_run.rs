//! `check --debug`: tells everything, does nothing, leaves no trace.

use std::fs;

use crate::machine::{Machine, quota_and_telegram, snapshot};
use crate::telegram::Telegram;

/// A machine with 80 % just reached, a message and a command due.
fn due(telegram: &Telegram) -> Machine {
    let machine = Machine::new();
    let made = machine.path("made");
    let config = format!(
        "{}[action.touch]\nkind = \"command\"\ncommand = [\"/bin/touch\", \"{}\"]\n",
        quota_and_telegram(&telegram.url())
            .replace("tiers = [\"80%\", \"90%\", \"95%\"]", "tier = [{ used = \"80%\", actions = [\"touch\"] }]"),
        made.display()
    );
    let machine = machine.config(&config);
    machine.check_exits(0).quietly();
    machine.grow("eth0", 0, 812_000);
    machine
}

#[test]
fn a_debug_run_leaves_the_state_folder_byte_for_byte() {
    let telegram = Telegram::new();
    let machine = due(&telegram);
    let before = snapshot(machine.state_dir());
    let run = machine.run(&["check", "--debug"]).exits(0);
    assert_eq!(snapshot(machine.state_dir()), before);
    assert_eq!(telegram.requests(), 0, "nothing is sent");
    assert!(!machine.path("made").exists(), "nothing is done");
    let told = format!("{}{}", run.stdout, run.stderr);
    for text in ["eth0", "812", "80%", "telegram", "touch"] {
        assert!(told.contains(text), "no {text} in:\n{told}");
    }
}

#[test]
fn the_run_after_a_debug_run_does_all_of_it() {
    let telegram = Telegram::new();
    let machine = due(&telegram);
    machine.run(&["check", "--debug"]).exits(0);
    machine.check_exits(0);
    assert!(telegram.only().text.contains("81.2"));
    assert!(machine.path("made").exists());
    assert_eq!(machine.status().used(), 812_000);
}

#[test]
fn a_debug_run_makes_nothing_where_nothing_was() {
    let machine = Machine::new();
    let before = snapshot(machine.state_dir());
    machine.run(&["check", "--debug"]).exits(0).prints("eth0");
    assert_eq!(snapshot(machine.state_dir()), before);
    fs::remove_dir(machine.state_dir()).unwrap();
    machine.run(&["check", "--debug"]).exits(0);
    assert!(!machine.state_dir().exists());
}

#[test]
fn a_debug_run_takes_no_lock() {
    let telegram = Telegram::new();
    let machine = due(&telegram);
    let lock = fs::File::open(machine.state_dir().join("state.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let run = machine.run(&["check", "--debug"]).exits(0);
    assert!(run.stdout.contains("812") || run.stderr.contains("812"));
}

#[test]
fn a_debug_run_of_a_problem_tells_it_with_its_exit_code() {
    let machine =
        Machine::new().config("[source.interface]\ninterfaces = [\"eth7\"]\n[quota.m]\nallowance = \"1 MB\"\n");
    let run = machine.run(&["check", "--debug"]).exits(3);
    assert!(run.stderr.contains("eth7") || run.stdout.contains("eth7"));
}

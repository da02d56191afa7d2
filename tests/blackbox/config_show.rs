//! `config check` and `config show`.

use crate::machine::{Machine, names, quota_and_telegram};
use crate::telegram::Telegram;

#[test]
fn config_check_is_content_with_a_sound_configuration_and_asks_nobody() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    let run = machine.run(&["config", "check"]).exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(telegram.requests(), 0);
    assert!(names(machine.state_dir()).is_empty());
}

#[test]
fn config_show_tells_what_is_in_force_without_secrets() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    let run = machine.run(&["config", "show"]).exits(0);
    for text in ["1 MB", "80%", "95%", "-100123", "(redacted)", "month"] {
        assert!(run.stdout.contains(text), "no {text} in:\n{}", run.stdout);
    }
    assert!(names(machine.state_dir()).is_empty());
}

#[test]
fn config_show_tells_the_defaults_too() {
    let machine = Machine::new();
    let run = machine.run(&["config", "show"]).exits(0);
    for text in ["1 TB", "80%", "90%", "95%", "month", "out"] {
        assert!(run.stdout.contains(text), "no {text} in:\n{}", run.stdout);
    }
}

#[test]
fn the_short_forms_of_the_first_example_are_understood() {
    let toml = "[quota.month]\nallowance = \"1 TB\"\ntiers = [\"80%\", \"90%\", \"95%\"]\n\
                [notifier.telegram]\ntoken = \"123456:ABC\"\nchat = -100123\n";
    let machine = Machine::new().config(toml);
    machine.run(&["config", "check"]).exits(0);
    machine.check_exits(0).quietly();
    assert_eq!(machine.status().row()["source"], "interface");
}

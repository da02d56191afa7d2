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

#[test]
fn what_config_show_prints_is_a_configuration() {
    for toml in [
        String::new(),
        quota_and_telegram("http://127.0.0.1:9").replace(&format!("\"{}\"", crate::machine::TOKEN), "{ env = \"T\" }"),
    ] {
        let machine = Machine::new().config(&toml);
        let shown = machine.run(&["config", "show"]).exits(0).stdout;
        machine.set_config(&shown);
        machine.run(&["config", "check"]).exits(0);
        assert_eq!(machine.run(&["config", "show"]).exits(0).stdout.lines().count(), shown.lines().count());
    }
}

#[test]
fn a_proxy_without_a_password_is_no_secret() {
    let toml = "[notifier.telegram]\ntoken = { env = \"T\" }\nchat = 1\nproxy = \"socks5h://127.0.0.1:1080\"\n";
    let machine = Machine::new().config(toml);
    std::fs::set_permissions(machine.config_file(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let run = machine.run(&["config", "check"]).exits(0);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("secret"), "{run:?}");
    machine.run(&["config", "show"]).exits(0).prints("socks5h://127.0.0.1:1080");
}

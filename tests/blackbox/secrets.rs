//! Secrets: where they come from, and that they go nowhere. After every run the harness itself searches the output
//! and the state folder for them; these tests make the runs in which one might slip out.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::machine::{Machine, TOKEN, quota_and_telegram};
use crate::telegram::{Fault, Telegram};

fn config_with(telegram: &Telegram, token: &str) -> String {
    quota_and_telegram(&telegram.url()).replace(&format!("\"{TOKEN}\""), token)
}

#[track_caller]
fn rings(machine: &Machine, telegram: &Telegram) {
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    assert!(telegram.only().text.contains("81.2"));
}

#[test]
fn a_token_comes_from_the_environment() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&config_with(&telegram, "{ env = \"MY_TOKEN\" }")).env("MY_TOKEN", TOKEN);
    rings(&machine, &telegram);
}

#[test]
fn a_token_comes_from_a_file_with_or_without_a_line_end() {
    for end in ["", "\n"] {
        let telegram = Telegram::new();
        let machine = Machine::new();
        let file = machine.path("token");
        fs::write(&file, format!("{TOKEN}{end}")).unwrap();
        let machine = machine.config(&config_with(&telegram, &format!("{{ file = \"{}\" }}", file.display())));
        rings(&machine, &telegram);
    }
}

#[test]
fn a_token_comes_from_the_credentials_of_the_unit() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&config_with(&telegram, "{ credential = \"telegram-token\" }"));
    let folder = machine.path("credentials");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("telegram-token"), format!("{TOKEN}\n")).unwrap();
    let machine = machine.env("CREDENTIALS_DIRECTORY", folder.to_str().unwrap());
    rings(&machine, &telegram);
}

#[test]
fn a_missing_secret_is_told_by_the_name_of_its_place() {
    let telegram = Telegram::new();
    for (token, place) in [
        ("{ env = \"NO_SUCH_TOKEN\" }", "NO_SUCH_TOKEN"),
        ("{ file = \"/nonexistent/token\" }", "/nonexistent/token"),
        ("{ credential = \"no-such-token\" }", "no-such-token"),
    ] {
        let machine = Machine::new().config(&config_with(&telegram, token));
        let run = machine.check();
        assert_ne!(run.code(), 0, "{token}");
        assert!(run.stderr.contains(place), "{token}: {}", run.stderr);
    }
    assert_eq!(telegram.requests(), 0);
}

#[test]
fn an_empty_credential_counts_as_missing() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&config_with(&telegram, "{ credential = \"telegram-token\" }"));
    let folder = machine.path("credentials");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("telegram-token"), "\n").unwrap();
    let machine = machine.env("CREDENTIALS_DIRECTORY", folder.to_str().unwrap());
    let run = machine.check();
    assert_ne!(run.code(), 0);
    assert!(run.stderr.contains("telegram-token"), "{}", run.stderr);
}

#[test]
fn a_secret_is_resolved_only_by_commands_that_use_it() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&config_with(&telegram, "{ env = \"NO_SUCH_TOKEN\" }"));
    machine.run(&["status"]).exits(0);
    machine.run(&["config", "check"]).exits(0);
    machine.run(&["config", "show"]).exits(0).prints("NO_SUCH_TOKEN");
}

#[test]
fn the_token_is_in_no_output_whatever_goes_wrong() {
    for fault in [
        Fault::Broken,
        Fault::WebPage,
        Fault::Truncated,
        Fault::Reset,
        Fault::Unauthorized,
        Fault::CannotParse,
        Fault::TooMany(9),
    ] {
        let telegram = Telegram::new();
        let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
        machine.check_exits(0);
        machine.grow("eth0", 0, 812_000);
        telegram.always(fault);
        machine.run(&["check", "--debug"]);
        machine.run(&["-v", "check", "--debug"]);
        machine.run(&["-v", "check", "--json"]);
        machine.run(&["-v", "check"]);
        machine.run(&["-v", "notify-test"]);
        machine.run(&["status"]);
        machine.run(&["status", "--json"]);
        assert!(telegram.requests() > 0, "{fault:?}: the token was in use");
    }
}

#[test]
fn a_token_that_cannot_be_reached_is_in_no_error() {
    let machine = Machine::new().config(&quota_and_telegram("http://telegram.invalid"));
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.run(&["-v", "check"]).exits(3).complains("telegram");
    machine.run(&["-v", "notify-test"]);
}

#[test]
fn a_token_in_a_broken_configuration_is_in_no_error() {
    let good = quota_and_telegram("http://127.0.0.1:9");
    for bad in [
        format!("{good}\nnonsense"),
        format!("{good}colour = 3\n"),
        good.replace("token = ", "tokn = "),
        good.replace(&format!("token = \"{TOKEN}\""), &format!("token = [\"{TOKEN}\"]")),
        good.replace(&format!("token = \"{TOKEN}\""), &format!("token = \"{TOKEN}")),
    ] {
        let machine = Machine::new().config(&bad);
        machine.check_exits(2);
        machine.run(&["-v", "check", "--debug"]).exits(2);
        machine.run(&["config", "check"]).exits(2);
        machine.run(&["config", "show"]).exits(2);
    }
}

#[test]
fn a_configuration_with_secrets_that_others_can_read_is_a_warning() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    let quiet = machine.run(&["config", "check"]).exits(0);
    fs::set_permissions(machine.config_file(), fs::Permissions::from_mode(0o644)).unwrap();
    let loud = machine.run(&["config", "check"]);
    let all = |run: &crate::machine::Run| format!("{}{}", run.stdout, run.stderr);
    assert!(!all(&quiet).contains("warning"), "{}", all(&quiet));
    assert!(all(&loud).contains("config.toml") && all(&loud).contains("warning"), "{}", all(&loud));
}

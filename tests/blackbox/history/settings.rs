//! `[history]` in the configuration: what is refused, in which words, and what is shown of it.

use crate::machine::{Machine, names};

const QUOTA: &str = "[quota.month]\nallowance = \"1 TB\"\n";
const PASSWORD: &str = "p4ssw0rdOfTheHistory";

fn with(history: &str) -> Machine {
    Machine::new().secret(PASSWORD).config(&format!("{QUOTA}[history]\n{history}\n"))
}

#[test]
fn what_is_wrong_is_refused_with_the_nearest_name() {
    for (history, words) in [
        ("evry = \"5 min\"", &["evry", "every"][..]),
        ("ulr = \"none\"", &["ulr", "url"]),
        ("every = \"10 s\"", &["every", "1 min"]),
        ("every = \"5\"", &["every"]),
        ("every = 5", &["every"]),
        ("every = \"3 d\"", &["every"]),
        ("keep = \"14 d\"", &["keep"]),
        ("keep = { sample = \"14 d\" }", &["sample", "samples"]),
        ("keep = { samples = \"1 h\" }", &["samples", "1 d"]),
        ("keep = { samples = \"100 d\", hours = \"90 d\" }", &["samples", "hours"]),
        ("keep = { hours = \"forever\", days = \"500 d\" }", &["hours", "days"]),
        ("keep = { days = \"30 d\" }", &["days"]),
        ("url = \"sqlit:\"", &["sqlit", "sqlite"]),
        ("url = \"sqlite:history.db\"", &["history.db", "/"]),
        ("url = \"sqlite:/var/lib/\"", &["url"]),
        ("url = 7", &["url"]),
        ("url = \"\"", &["url"]),
        ("password = \"x\"", &["password", "url"]),
    ] {
        let machine = with(history);
        for args in [&["config", "check"][..], &["check"], &["report"], &["prune", "--before", "2026-01-01"]] {
            let run = machine.run(args).exits(2).complains("config.toml:4");
            for word in words {
                assert!(run.stderr.contains(word), "{history}: no {word:?} in {}", run.stderr);
            }
        }
        assert!(names(machine.state_dir()).is_empty(), "{history}: nothing is written");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let run = with("every = \"1 s\"\nkepp = {}\nurl = \"sqlite:x\"").run(&["config", "check"]).exits(2);
    for word in ["every", "kepp", "url"] {
        assert!(run.stderr.contains(word), "no {word} in {}", run.stderr);
    }
}

#[test]
fn what_is_right_is_taken() {
    for history in [
        "",
        "url = \"none\"",
        "url = \"sqlite:\"",
        "url = \"sqlite:/srv/history.db\"",
        "url = \"sqlite:///srv/history.db\"",
        "every = \"1 min\"",
        "every = \"1 h\"\nkeep = { samples = \"30 d\", hours = \"400 d\", days = \"4000 d\" }",
        "keep = { samples = \"forever\", hours = \"forever\" }",
    ] {
        with(history).run(&["config", "check"]).exits(0);
    }
}

const POSTGRES: &str = "postgres://quota:p4ssw0rdOfTheHistory@127.0.0.1:1/traffic";
const MYSQL: &str = "mysql://quota:p4ssw0rdOfTheHistory@127.0.0.1:1/traffic";

#[test]
fn a_server_of_a_kind_that_is_not_built_in_says_what_to_build() {
    for (url, feature, built) in
        [(POSTGRES, "postgres", cfg!(feature = "postgres")), (MYSQL, "mysql", cfg!(feature = "mysql"))]
    {
        let machine = with(&format!("url = \"{url}\""));
        if built {
            machine.run(&["config", "check"]).exits(0);
            continue;
        }
        let run = machine.run(&["check"]).exits(2).complains("--features").complains(feature);
        assert!(!run.stderr.contains(PASSWORD));
        assert!(names(machine.state_dir()).is_empty());
    }
}

#[test]
fn a_password_is_never_shown() {
    for url in [POSTGRES, MYSQL, "postgers://quota:p4ssw0rdOfTheHistory@h/d", "postgres://quota:p4ssw0rdOfTheHistory@h"]
    {
        let machine = with(&format!("url = \"{url}\""));
        for args in
            [&["config", "show"][..], &["config", "check"], &["check"], &["check", "--debug"], &["report"], &["status"]]
        {
            // That no secret is in any output is looked at after every run.
            machine.run(args);
        }
    }
    for url in [POSTGRES, MYSQL] {
        if cfg!(feature = "postgres") && cfg!(feature = "mysql") {
            let shown = with(&format!("url = \"{url}\"")).run(&["config", "show"]).exits(0).stdout;
            assert!(shown.contains("quota:(redacted)@127.0.0.1:1/traffic"), "{shown}");
            let run =
                with(&format!("url = \"{url}\"\npassword = \"another{PASSWORD}\"")).run(&["config", "check"]).exits(2);
            assert!(run.stderr.contains("password") && run.stderr.contains("url"), "{}", run.stderr);
        }
    }
}

#[test]
fn a_server_that_is_not_there_holds_nothing_up() {
    for (url, built) in [(POSTGRES, cfg!(feature = "postgres")), (MYSQL, cfg!(feature = "mysql"))] {
        if !built {
            continue;
        }
        let machine = with(&format!("url = \"{url}\""));
        machine.check_exits(3).complains("history").complains("127.0.0.1:1");
        machine.grow("eth0", 0, 77);
        assert_eq!(machine.check_exits(3).stderr, "", "said once");
        assert_eq!(machine.status().used(), 77);
        machine.run(&["report"]).exits(1).complains("127.0.0.1:1");
    }
}

#[test]
fn config_show_tells_the_defaults() {
    let shown = with("").run(&["config", "show"]).exits(0).stdout;
    for line in ["[history]", "url = \"sqlite:\"", "every = \"5 min\"", "samples = \"14 d\"", "hours = \"90 d\""] {
        assert!(shown.contains(line), "no {line} in {shown}");
    }
}

#[test]
fn a_literal_password_that_others_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    if !cfg!(feature = "postgres") {
        return;
    }
    let machine = with(&format!("url = \"{POSTGRES}\""));
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(machine.config_file(), open).unwrap();
    machine.run(&["config", "check"]).complains("config.toml").complains("secret");
}

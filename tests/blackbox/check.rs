//! `check`: first run, quiet success, the document, choosing what runs, usage errors.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::machine::{Machine, Status, names, quota_and_telegram};
use crate::telegram::Telegram;

#[test]
fn the_first_run_needs_no_configuration_and_says_nothing() {
    let machine = Machine::new();
    machine.check_exits(0).quietly();
    let kept = ["history.db", "history.db-shm", "history.db-wal", "state.json", "state.lock"];
    assert_eq!(names(machine.state_dir()), kept);
    assert_eq!(fs::metadata(machine.state_file()).unwrap().mode() & 0o7777, 0o640);
    let status = machine.status();
    assert_eq!(status.row()["subject"], "eth0");
    assert_eq!(status.row()["allowance"], 1_000_000_000_000_u64);
    assert_eq!(status.used(), 0, "first sight is the baseline");
}

#[test]
fn the_state_folder_is_made_when_it_is_missing() {
    let machine = Machine::new();
    fs::remove_dir(machine.state_dir()).unwrap();
    machine.check_exits(0).quietly();
    assert!(machine.state_file().is_file());
}

#[test]
fn the_built_in_default_prints_its_alert_for_want_of_a_notifier() {
    let machine = Machine::new();
    machine.check_exits(0).quietly();
    machine.run(&["calibrate", "month", "eth0", "850 GB"]).exits(0);
    let run = machine.check_exits(0).prints("eth0").prints("blackbox-host");
    assert!(run.stdout.contains("80") && run.stdout.contains("85"), "tier and percent: {}", run.stdout);
    machine.check_exits(0).quietly();
}

#[test]
fn each_run_counts_what_has_grown_since_the_last() {
    let machine = Machine::new();
    machine.check_exits(0);
    for _ in 0..3 {
        machine.grow("eth0", 1_000, 111);
        machine.check_exits(0).quietly();
    }
    assert_eq!(machine.status().used(), 333, "outbound only");
}

#[test]
fn a_run_with_nothing_new_changes_no_figure() {
    let machine = Machine::new();
    machine.check_exits(0);
    machine.grow("eth0", 10, 20);
    machine.check_exits(0);
    let before = machine.status();
    machine.check_exits(0);
    assert_eq!(machine.status().row()["used"], before.row()["used"]);
    assert_eq!(machine.status().used(), 20);
}

#[test]
fn check_json_prints_the_document_that_status_prints() {
    let machine = Machine::new();
    let first = Status(machine.run(&["check", "--json"]).exits(0).json());
    machine.grow("eth0", 10, 20);
    let second = Status(machine.run(&["check", "--json"]).exits(0).json());
    assert_eq!(first.0["version"], 1);
    assert_eq!((first.used(), second.used()), (0, 20));
    let status = machine.status();
    assert_eq!(status.row()["used"], second.row()["used"]);
    assert_eq!(status.row()["period"], second.row()["period"]);
}

#[test]
fn only_restricts_the_run_to_what_is_named() {
    let telegram = Telegram::new();
    let config = format!(
        "[source.a]\nkind = \"interface\"\ninterfaces = [\"eth0\"]\n[source.b]\nkind = \"interface\"\ninterfaces = [\"eth1\"]\n\
         [quota.first]\nsource = \"a\"\nallowance = \"1 MB\"\n[quota.second]\nsource = \"b\"\nallowance = \"1 MB\"\n{}",
        crate::machine::telegram_table(&telegram.url())
    );
    for name in ["first", "a"] {
        let machine = Machine::new().interface("eth1", 1, 1).config(&config);
        machine.check_exits(0);
        machine.grow("eth0", 0, 100);
        machine.grow("eth1", 0, 100);
        machine.run(&["check", "--only", name]).exits(0).quietly();
        let status = machine.status();
        assert_eq!(status.row_of("eth0")["used"], 100, "--only {name}");
        assert_eq!(status.row_of("eth1")["used"], 0, "--only {name}");
        machine.check_exits(0);
        assert_eq!(machine.status().row_of("eth1")["used"], 100, "nothing of the other is lost");
    }
}

#[test]
fn only_with_an_unknown_name_is_a_usage_error_with_the_nearest_name() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.run(&["check", "--only", "mnoth"]).exits(2).complains("mnoth").complains("month");
    assert!(names(machine.state_dir()).is_empty());
}

#[test]
fn usage_errors_exit_2_and_touch_nothing() {
    let machine = Machine::new();
    for args in [&["chekc"][..], &["check", "--jsno"], &["check", "extra"], &[], &["calibrate", "month"]] {
        let run = machine.run(args).exits(2);
        assert!(!run.stderr.is_empty(), "{args:?} says why");
    }
    assert!(names(machine.state_dir()).is_empty());
}

#[test]
fn help_and_version_exit_0() {
    let machine = Machine::new();
    machine.run(&["--help"]).exits(0).prints("check");
    machine.run(&["--version"]).exits(0).prints("netquota");
}

#[test]
fn a_configuration_that_is_named_but_missing_is_an_error() {
    let machine = Machine::new();
    machine.run(&["--config", "/nonexistent/netquota.toml", "check"]).exits(2).complains("/nonexistent/netquota.toml");
    assert!(names(machine.state_dir()).is_empty());
}

#[test]
fn the_configuration_is_found_by_the_environment() {
    let machine = Machine::new();
    let path = machine.path("elsewhere.toml");
    fs::write(&path, "[quota.mine]\nallowance = \"5 GB\"\n").unwrap();
    let machine = machine.env("NETQUOTA_CONFIG", path.to_str().unwrap());
    machine.check_exits(0);
    assert_eq!(machine.status().row()["quota"], "mine");
}

#[test]
fn the_state_folder_is_found_by_the_environment() {
    let machine = Machine::new();
    let elsewhere = machine.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let mut command = machine.command_of(crate::machine::binary(), &[]);
    command = {
        let mut bare = std::process::Command::new(command.get_program());
        bare.env_clear().env("STATE_DIRECTORY", &elsewhere).arg("--root").arg(machine.root()).arg("check");
        bare
    };
    machine.finish(crate::machine::spawn(command)).exits(0).quietly();
    assert!(["history.db", "state.json", "state.lock"].iter().all(|name| elsewhere.join(name).is_file()));
    assert!(names(machine.state_dir()).is_empty(), "nothing is anywhere else");
}

#[test]
fn a_quota_is_known_by_what_it_counts_and_not_by_its_name() {
    let machine = Machine::new().config("[quota.old]\nallowance = \"1 MB\"\n");
    machine.check_exits(0);
    machine.grow("eth0", 0, 400);
    machine.check_exits(0);
    machine.set_config("[quota.new]\nallowance = \"2 MB\"\n");
    machine.grow("eth0", 0, 100);
    machine.check_exits(0);
    let status = machine.status();
    assert_eq!(status.row()["quota"], "new");
    assert_eq!(status.row()["allowance"], json!(2_000_000));
    assert_eq!(status.used(), 500);
}

#[test]
fn no_interface_to_meter_is_a_problem_and_not_a_zero() {
    let machine = Machine::bare();
    let run = machine.check_exits(3);
    assert!(!run.stderr.is_empty(), "a problem is told");
    assert_eq!(machine.status().count("problems"), 1);
    assert_eq!(machine.status().0["quotas"].as_array().unwrap().len(), 0, "no figure was ever read");
}

#[test]
fn a_message_that_could_not_be_printed_is_not_lost() {
    let machine = Machine::new().config("[quota.month]\nallowance = \"1 MB\"\ntiers = [\"80%\"]\n");
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    for full in [true, false] {
        let mut command = machine.command(&["check"]);
        if full {
            command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
        } else {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            command.stdout(writer);
        }
        let ended = command.stderr(std::process::Stdio::null()).status().unwrap();
        assert_eq!(ended.code(), Some(3), "/dev/full: {full}");
        assert_eq!(machine.status().count("pending"), 1);
    }
    machine.check_exits(0).prints("81.2");
    machine.check_exits(0).quietly();
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let machine = Machine::new();
    machine.check_exits(0);
    for args in [&["status"][..], &["status", "--json"], &["check", "--json"], &["config", "show"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = machine.command(args).stdout(full).stderr(std::process::Stdio::null()).status().unwrap();
        assert!(matches!(ended.code(), Some(1 | 3)), "{args:?}: {ended}");
    }
}

#[test]
fn a_state_folder_that_is_a_file_is_an_error() {
    let machine = Machine::new();
    let file = machine.path("file");
    fs::write(&file, "mine").unwrap();
    let machine = machine.state_dir_at(file.clone());
    for args in [&["check"][..], &["status"]] {
        machine.run(args).exits(1).complains(file.to_str().unwrap());
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}

#[test]
fn a_problem_is_in_the_document_too() {
    let machine =
        Machine::new().config("[source.interface]\ninterfaces = [\"eth7\"]\n[quota.m]\nallowance = \"1 MB\"\n");
    let status = Status(machine.run(&["check", "--json"]).exits(3).json());
    let problems = status.0["problems"].as_array().unwrap();
    assert!(problems.iter().any(|problem| problem.to_string().contains("eth7")), "{}", status.0);
}

#[test]
fn arguments_that_are_not_text_are_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let machine = Machine::new();
    let bad = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    for flag in ["--config", "--state-dir", "--root", "--only"] {
        let mut command = std::process::Command::new(crate::machine::binary());
        command.env_clear().current_dir(machine.path("home"));
        command.arg("--state-dir").arg(machine.state_dir()).arg("--root").arg(machine.root());
        command.args(["check", "--debug", flag]).arg(bad);
        let run = machine.finish(crate::machine::spawn(command));
        assert!(!run.stderr.contains("panicked"), "{flag}: {run:?}");
    }
}

#[test]
fn a_log_file_keeps_what_standard_error_says_and_a_debug_run_does_not_touch_it() {
    let machine = Machine::new();
    let log = machine.path("netquota.log");
    let config = format!("log_file = \"{}\"\n{}", log.display(), quota_and_telegram("http://127.0.0.1:9"));
    let machine = machine.config(&config);
    machine.run(&["check", "--debug"]).exits(0);
    assert!(!log.exists(), "a debug run makes no log");
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    let told = machine.check_exits(3).stderr;
    let logged = fs::read_to_string(&log).unwrap();
    let problem = told.lines().find(|line| line.contains("telegram")).expect("a problem is told");
    assert!(logged.contains(problem.trim_start_matches("netquota: ")), "{logged} lacks {problem}");
    assert!(!logged.contains(&crate::machine::secret_part(crate::machine::TOKEN)));
    machine.run(&["check", "--debug"]);
    assert_eq!(fs::read_to_string(&log).unwrap(), logged);
}

#[test]
fn a_log_file_that_cannot_be_written_is_told_once_and_stops_nothing() {
    let machine = Machine::new().config("log_file = \"/nonexistent/log\"\n[quota.month]\nallowance = \"1 MB\"\n");
    machine.check().complains("/nonexistent/log");
    machine.grow("eth0", 0, 7);
    let again = machine.check();
    assert_eq!(machine.status().used(), 7);
    assert_eq!(again.stderr, "", "neither new nor changed nor a day old");
}

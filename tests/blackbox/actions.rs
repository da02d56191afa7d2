//! `command` and `shutdown`, by rule 5.5. A shutdown here is always a fake command of the test.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use crate::machine::{Machine, eventually, telegram_table};
use crate::telegram::{Fault, Telegram};

/// A machine with one tier at 80 % of 100 kB and the action `act`, past its first run, so the tier is armed.
/// `action` is the table's rest; `DIR` in it stands for the machine's folder.
fn armed(telegram: &Telegram, action: &str) -> Machine {
    let machine = with_action(Machine::new(), telegram, action);
    machine.check_exits(0).quietly();
    machine
}

fn with_action(machine: Machine, telegram: &Telegram, action: &str) -> Machine {
    let folder = machine.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    let config = format!(
        "[quota.month]\nallowance = \"100 kB\"\ntier = [{{ used = \"80%\", actions = [\"act\"] }}]\n[action.act]\n{}\n{}",
        action.replace("DIR", folder),
        telegram_table(&telegram.url())
    );
    machine.config(&config)
}

/// How often the script of [`counting`] has run.
fn times(machine: &Machine) -> usize {
    fs::read_to_string(machine.path("ran")).map_or(0, |text| text.lines().count())
}

/// A script that counts its runs and ends with this code.
fn counting(machine: &Machine, code: i32) {
    machine.script("act", &format!("echo run >>\"{}\"\nexit {code}\n", machine.path("ran").display()));
}

const COMMAND: &str = "kind = \"command\"\ncommand = [\"DIR/act\"]";

#[test]
fn a_command_runs_once_when_its_tier_is_crossed() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    counting(&machine, 0);
    machine.grow("eth0", 0, 79_999);
    machine.check_exits(0);
    assert_eq!(times(&machine), 0);
    machine.grow("eth0", 0, 1);
    machine.check_exits(0);
    assert_eq!(times(&machine), 1);
    for _ in 0..3 {
        machine.grow("eth0", 0, 1_000);
        machine.check_exits(0);
    }
    assert_eq!(times(&machine), 1, "never again in this period");
    assert!(telegram.texts()[0].contains("act"), "the message says what is being done: {}", telegram.texts()[0]);
}

#[test]
fn a_command_gets_its_arguments_as_they_are_and_the_figures_in_its_environment() {
    let telegram = Telegram::new();
    let machine =
        armed(&telegram, "kind = \"command\"\ncommand = [\"DIR/act\", \"$HOME; touch x\", \"*\", \"\", \"a b\"]");
    let (out, env) = (machine.path("args"), machine.path("env"));
    machine.script("act", &format!("printf '%s\\n' \"$@\" >\"{}\"\nenv >\"{}\"\n", out.display(), env.display()));
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(0);
    assert_eq!(fs::read_to_string(out).unwrap(), "$HOME; touch x\n*\n\na b\n");
    let env = fs::read_to_string(env).unwrap();
    let has =
        |value: &str| env.lines().any(|line| line.starts_with("NETQUOTA_") && line.ends_with(&format!("={value}")));
    for value in ["eth0", "month", "90000", "100000"] {
        assert!(has(value), "no NETQUOTA_… is {value}:\n{env}");
    }
}

#[test]
fn a_command_does_not_inherit_secrets() {
    let telegram = Telegram::new();
    let machine = with_action(Machine::new(), &telegram, COMMAND).env("MY_TOKEN", crate::machine::TOKEN);
    machine.set_config(
        &fs::read_to_string(machine.config_file())
            .unwrap()
            .replace(&format!("\"{}\"", crate::machine::TOKEN), "{ env = \"MY_TOKEN\" }"),
    );
    let env = machine.path("env");
    machine.script("act", &format!("env >\"{}\"\n", env.display()));
    machine.check_exits(0);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(0);
    assert!(!fs::read_to_string(env).unwrap().contains(crate::machine::TOKEN));
}

#[test]
fn a_failing_command_is_retried_three_times_at_most_each_told() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    counting(&machine, 7);
    machine.grow("eth0", 0, 90_000);
    let mut told = 0;
    for run in 1..=7 {
        machine.check();
        assert_eq!(times(&machine), run.min(4), "run {run}: one try and three more");
        let failures = telegram.texts().iter().filter(|text| text.contains('7')).count();
        assert!(failures >= told);
        told = failures;
    }
    assert!(told >= 4, "each failure is told: {:#?}", telegram.texts());
}

#[test]
fn a_command_that_fails_once_is_done_when_it_succeeds() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    counting(&machine, 7);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(3);
    counting(&machine, 0);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(times(&machine), 2);
}

#[test]
fn a_program_that_is_missing_is_a_failure_that_is_told() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(3).complains("act");
    counting(&machine, 0);
    machine.check_exits(0);
    assert_eq!(times(&machine), 1);
}

#[test]
fn a_hanging_command_is_ended_with_its_whole_process_group() {
    ends_hanging("");
}

#[test]
fn a_hanging_command_that_is_deaf_to_sigterm_is_ended_too() {
    ends_hanging("trap '' TERM\n");
}

#[track_caller]
fn ends_hanging(first: &str) {
    let telegram = Telegram::new();
    let machine = armed(&telegram, &format!("{COMMAND}\ntimeout = \"1 s\""));
    let pids = machine.path("pids");
    machine.script(
        "act",
        &format!("{first}sleep 600 &\necho $! $$ >\"{0}.new\"\nmv \"{0}.new\" \"{0}\"\nwait\n", pids.display()),
    );
    machine.grow("eth0", 0, 90_000);
    let run = machine.check_exits(3);
    assert!(run.took < Duration::from_secs(8), "{:?}", run.took);
    for pid in fs::read_to_string(&pids).unwrap().split_whitespace() {
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        let gone = || test_kill_process(pid).is_err() || is_zombie(pid);
        if !eventually(Duration::from_secs(2), gone) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("{pid:?} is still there");
        }
    }
}

fn is_zombie(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

#[test]
fn a_command_that_floods_its_output_does_no_harm() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    machine
        .script("act", "i=0; while [ $i -lt 20000 ]; do echo '<b>0123456789&0123456789'; i=$((i+1)); done; exit 5\n");
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(3);
    machine.check_exits(3);
    assert!(fs::metadata(machine.state_file()).unwrap().len() < 100_000);
    assert!(!telegram.messages().is_empty());
}

#[test]
fn telegram_being_down_does_not_hold_an_action_back() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    counting(&machine, 0);
    telegram.always(Fault::Broken);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(3);
    assert_eq!(times(&machine), 1);
    telegram.heal();
    machine.check_exits(0);
    assert_eq!(times(&machine), 1);
    assert!(!telegram.messages().is_empty());
}

#[test]
fn the_message_is_tried_before_the_action() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    let stamp = machine.path("stamp");
    machine.script("act", &format!("date +%s%N >\"{}\"\n", stamp.display()));
    telegram.always(Fault::Broken);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(3);
    let acted: u128 = fs::read_to_string(&stamp).unwrap().trim().parse().unwrap();
    let asked = telegram.first_asked().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    assert!(asked < acted, "asked at {asked}, acted at {acted}");
}

#[test]
fn a_first_run_on_an_exhausted_quota_announces_and_does_not_act() {
    let telegram = Telegram::new();
    let machine = with_action(Machine::new().uptime(60.0), &telegram, COMMAND);
    counting(&machine, 0);
    machine.set_config(
        &fs::read_to_string(machine.config_file()).unwrap().replace("tier = ", "first = \"since-boot\"\ntier = "),
    );
    machine.set_counters("eth0", 0, 95_000);
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 95_000);
    assert_eq!(times(&machine), 0);
    assert!(telegram.only().text.contains("act"), "announced: {}", telegram.only().text);
    machine.check_exits(0);
    assert_eq!(times(&machine), 0, "arm_after is 15 min");
    assert_eq!(telegram.messages().len(), 1, "announced once");
}

#[test]
fn a_mistyped_threshold_announces_first() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    counting(&machine, 0);
    machine.grow("eth0", 0, 50_000);
    machine.check_exits(0);
    machine.set_config(&fs::read_to_string(machine.config_file()).unwrap().replace("\"80%\"", "\"8%\""));
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(times(&machine), 0);
    assert!(telegram.only().text.contains("act"), "{}", telegram.only().text);
}

#[test]
fn arm_after_says_how_long_an_unarmed_action_waits() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, &format!("{COMMAND}\narm_after = \"1 s\""));
    counting(&machine, 0);
    machine.grow("eth0", 0, 50_000);
    machine.check_exits(0);
    machine.set_config(&fs::read_to_string(machine.config_file()).unwrap().replace("\"80%\"", "\"8%\""));
    machine.check_exits(0);
    assert_eq!(times(&machine), 0);
    std::thread::sleep(Duration::from_millis(1_100));
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(times(&machine), 1);
}

#[test]
fn an_announced_action_waits_for_its_time() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, &format!("{COMMAND}\nannounce = \"2 s\""));
    counting(&machine, 0);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(0);
    assert_eq!(times(&machine), 0);
    assert!(telegram.only().text.contains("act"));
    std::thread::sleep(Duration::from_millis(2_100));
    machine.check_exits(0);
    assert_eq!(times(&machine), 1);
}

#[test]
fn bytes_of_an_implausible_jump_alert_but_do_not_act() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    counting(&machine, 0);
    machine.grow("eth0", 0, 50_000_000_000_000_000);
    machine.check();
    machine.check();
    assert_eq!(times(&machine), 0);
    assert!(!telegram.messages().is_empty(), "it alerts");
}

#[test]
fn no_fresh_figure_no_action() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, &format!("{COMMAND}\nannounce = \"1 s\""));
    counting(&machine, 0);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(0);
    std::thread::sleep(Duration::from_millis(1_100));
    machine.remove_interface("eth0");
    machine.check_exits(3);
    assert_eq!(times(&machine), 0, "what was read in an earlier run is no proof");
}

#[test]
fn a_calibration_disarms_an_action() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    counting(&machine, 0);
    machine.run(&["calibrate", "month", "eth0", "95 kB"]).exits(0);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(times(&machine), 0, "a mistyped calibration announces itself first");
    assert!(telegram.only().text.contains("act"));
}

#[test]
fn again_after_allows_an_action_anew() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, &format!("{COMMAND}\nagain_after = \"1 s\""));
    counting(&machine, 0);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(times(&machine), 1);
    std::thread::sleep(Duration::from_millis(1_100));
    machine.check_exits(0);
    assert_eq!(times(&machine), 2);
}

#[test]
fn a_command_with_more_time_than_the_run_has_cannot_keep_the_run_alive() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, &format!("{COMMAND}\ntimeout = \"1 min\""));
    machine.set_config(&format!("deadline = \"2s\"\n{}", fs::read_to_string(machine.config_file()).unwrap()));
    machine.script("act", "exec sleep 600\n");
    machine.check_exits(0);
    machine.grow("eth0", 0, 90_000);
    let run = machine.check_exits(3);
    assert!(run.took < Duration::from_secs(12), "the deadline and 10 s: {:?}", run.took);
}

#[test]
fn two_actions_of_a_tier_are_both_done_though_one_fails() {
    let telegram = Telegram::new();
    let machine =
        armed(&telegram, &format!("{COMMAND}\n[action.other]\nkind = \"command\"\ncommand = [\"/bin/false\"]"));
    machine
        .set_config(&fs::read_to_string(machine.config_file()).unwrap().replace("[\"act\"]", "[\"other\", \"act\"]"));
    counting(&machine, 0);
    machine.check_exits(0);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(3);
    assert_eq!(times(&machine), 1);
}

#[test]
fn a_command_writes_to_neither_stream_of_a_quiet_run() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    machine.script("act", "echo out; echo err >&2\n");
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(0).quietly();
}

#[test]
fn a_command_that_leaves_a_child_behind_does_not_hold_the_run() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, &format!("{COMMAND}\ntimeout = \"20 s\""));
    machine.script("act", "sleep 8 &\nexit 0\n");
    machine.grow("eth0", 0, 90_000);
    let run = machine.check_exits(0);
    assert!(run.took < Duration::from_secs(4), "its output stays open, and yet it has exited: {:?}", run.took);
}

const SHUTDOWN: &str = "kind = \"shutdown\"\ncommand = [\"DIR/act\"]";

#[test]
fn a_shutdown_is_asked_for_once() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, SHUTDOWN);
    counting(&machine, 0);
    machine.grow("eth0", 0, 90_000);
    machine.check();
    assert_eq!(times(&machine), 1);
    machine.check();
    assert_eq!(times(&machine), 1, "its effect takes a while");
    machine.reboot("99999999-2222-4333-8444-555555555555", 5.0, &[("eth0", 0, 0)]);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(times(&machine), 1, "a new boot id shows that it is done, and it is done once a period");
}

#[test]
fn boot_grace_holds_a_shutdown_back() {
    let telegram = Telegram::new();
    let machine = with_action(Machine::new().uptime(60.0), &telegram, &format!("{SHUTDOWN}\nboot_grace = \"15 min\""));
    counting(&machine, 0);
    machine.check_exits(0);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(0);
    assert_eq!(times(&machine), 0, "one minute after boot");
    assert_eq!(telegram.messages().len(), 1, "the message goes out all the same");
    let machine = machine.uptime(14.9 * 60.0);
    machine.check_exits(0);
    assert_eq!(times(&machine), 0);
    let machine = machine.uptime(15.1 * 60.0);
    machine.check();
    assert_eq!(times(&machine), 1);
}

#[test]
fn a_failing_shutdown_is_retried_and_told() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, SHUTDOWN);
    counting(&machine, 1);
    machine.grow("eth0", 0, 90_000);
    machine.check_exits(3).complains("act");
    machine.check_exits(3);
    assert_eq!(times(&machine), 2);
}

#[test]
fn an_action_named_by_its_kind_needs_no_table() {
    let machine = Machine::new()
        .config("[quota.month]\nallowance = \"100 kB\"\ntier = [{ used = \"80%\", actions = [\"shutdown\"] }]\n");
    machine.run(&["config", "check"]).exits(0);
    let shown = machine.run(&["config", "show"]).exits(0).stdout;
    assert!(shown.contains("shutdown"), "{shown}");
}

#[test]
fn a_run_killed_during_a_command_reports_it_and_does_not_run_it_again() {
    let telegram = Telegram::new();
    let machine = armed(&telegram, COMMAND);
    let (ran, pid) = (machine.path("ran"), machine.path("pid"));
    machine.script(
        "act",
        &format!(
            "echo run >>\"{}\"\necho $$ >\"{1}.new\"\nmv \"{1}.new\" \"{1}\"\nsleep 5\n",
            ran.display(),
            pid.display()
        ),
    );
    machine.grow("eth0", 0, 90_000);
    let running = crate::machine::spawn(machine.command(&["check"]));
    assert!(eventually(Duration::from_secs(10), || pid.exists()), "the command was started");
    end_group(&pid);
    // The order matters little: the program may see its command end or be killed first.
    if !running.kill() {
        return;
    }
    counting(&machine, 0);
    let before = telegram.messages().len();
    machine.check();
    machine.check();
    assert_eq!(times(&machine), 1, "with an unknown outcome a command is only reported");
    assert!(telegram.messages().len() > before, "reported");
}

/// Stops the script's process group, so that no `sleep` outlives the test.
fn end_group(pid_file: &Path) {
    let pid = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    let group = rustix::process::getpgid(Pid::from_raw(pid)).unwrap();
    assert_ne!(Some(group), rustix::process::getpgid(None).ok(), "a process group of its own");
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::STOP);
    let _ = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    });
}

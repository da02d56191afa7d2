//! `pve-shutdown` and `pve-stop`: once per period and tier, done when the guest is seen to be off; with `keep_down` held.

use std::time::Duration;

use super::*;
use crate::machine::{eventually, spawn};
use crate::telegram::Fault;
use cluster::Obeys;

const SHUTDOWN: &str = "kind = \"pve-shutdown\"";
const KEPT_DOWN: &str = "kind = \"pve-shutdown\"\nkeep_down = true";

/// The verbs and subjects of the power calls so far.
fn powers(pve: &Pve) -> Vec<String> {
    let short = |call: &String| call.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
    pve.powers().iter().map(short).collect()
}

/// A VM over its quota's tier, shut down in the second run.
#[track_caller]
fn shut_down(pve: &Pve, telegram: &Telegram, action: &str) -> Machine {
    pve.vm(100, "web");
    let machine = armed(pve, telegram, NEVER, action);
    pve.guest(100).traffic(0, 800);
    machine.check_exits(0);
    assert_eq!((powers(pve), pve.guest(100).status()), (vec!["shutdown qemu/100".to_owned()], "stopped"));
    machine.check_exits(0);
    machine
}

#[test]
fn a_guest_is_shut_down_once_and_its_owner_may_start_it_again() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = shut_down(&pve, &telegram, SHUTDOWN);
    assert!(telegram.texts()[0].contains("qemu/100"), "{}", telegram.texts()[0]);
    pve.guest(100).start();
    for _ in 0..3 {
        later(&machine, &pve, 1_000);
        pve.guest(100).traffic(0, 500);
        machine.check_exits(0);
    }
    assert_eq!((pve.powers().len(), pve.guest(100).status()), (1, "running"), "never again in this period");
    assert_eq!((pve.count(Call::Config), pve.count(Call::Change)), (0, 0));
}

#[test]
fn just_below_the_tier_nothing_happens() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).traffic(5_000, 799);
    machine.check_exits(0).quietly();
    assert_eq!((pve.powers(), telegram.requests()), (vec![], 0));
}

#[test]
fn each_kind_of_guest_is_shut_down_by_its_own_path() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    pve.ct(101, "db").on("pve2");
    pve.vm(102, "idle");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).traffic(0, 900);
    pve.guest(101).traffic(0, 900);
    machine.check_exits(0);
    let mut calls = powers(&pve);
    calls.sort();
    assert_eq!(calls, ["shutdown lxc/101", "shutdown qemu/100"]);
    assert_eq!(pve.guest(102).status(), "running");
}

#[test]
fn stop_is_a_power_cut() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").obeys(Obeys::Never);
    let machine = armed(&pve, &telegram, NEVER, "kind = \"pve-stop\"");
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!((powers(&pve), pve.guest(100).status()), (vec!["stop qemu/100".to_owned()], "stopped"));
}

#[test]
fn timeout_and_force_are_passed_on() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").obeys(Obeys::Never);
    let machine = armed(&pve, &telegram, NEVER, &format!("{SHUTDOWN}\ntimeout = \"90 s\"\nforce = true"));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    let call = pve.powers()[0].clone();
    assert!(call.contains(" timeout=90") && call.contains(" forceStop=1"), "{call}");
    machine.check_exits(0);
    assert_eq!((pve.powers().len(), pve.guest(100).status()), (1, "stopped"));
}

#[test]
fn a_new_period_may_shut_down_again() {
    let (pve, telegram, edge) = (Pve::start(), Telegram::new(), Edge::behind());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, &edge.day(), SHUTDOWN);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    machine.check_exits(0);
    later(&machine, &pve, 86_400);
    pve.guest(100).restart(1_000);
    machine.check_exits(0);
    assert_eq!(pve.powers().len(), 1, "the new period begins with nothing used");
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    assert_eq!((pve.powers().len(), pve.guest(100).status()), (2, "stopped"));
}

#[test]
fn every_tier_acts_once_of_its_own() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let config = acting(&pve, &telegram, NEVER, SHUTDOWN)
        .replace("tier = [", "tier = [{ used = \"50%\", actions = [\"act\"] }, ");
    let machine = machine(&config);
    machine.check_exits(0);
    for (calls, bytes) in [(1, 600), (1, 100), (2, 100), (2, 100)] {
        later(&machine, &pve, 2_000);
        pve.guest(100).restart(1_000).traffic(0, bytes);
        machine.check_exits(0);
        assert_eq!(pve.powers().len(), calls);
        machine.check_exits(0);
    }
}

#[test]
fn a_guest_that_is_off_already_is_not_shut_down() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).stop();
    calibrate(&machine, "900 B");
    for _ in 0..3 {
        machine.check_exits(0);
        later(&machine, &pve, 1_000);
    }
    assert_eq!(pve.powers(), [""; 0]);
}

#[test]
fn a_guest_that_was_just_started_gets_its_time() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).restart(30).traffic(0, 900);
    machine.check_exits(0);
    later(&machine, &pve, 800);
    machine.check_exits(0);
    assert_eq!(pve.powers(), [""; 0], "boot_grace is 15 min");
    later(&machine, &pve, 120);
    machine.check_exits(0);
    assert_eq!(pve.powers().len(), 1);
}

#[test]
fn what_the_records_fill_in_counts() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    later(&machine, &pve, 3600);
    pve.guest(100).flowed(7200.0, 1800.0, 0.0, 1.0).restart(1800);
    machine.check_exits(0);
    assert_eq!(pve.powers().len(), 1, "half an hour of one byte a second");
}

#[test]
fn more_than_any_link_carries_is_told_and_shuts_nothing_down() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).traffic(0, 1 << 50);
    machine.check();
    machine.check();
    assert_eq!(pve.powers(), [""; 0]);
    assert!(!telegram.messages().is_empty());
}

#[test]
fn no_figure_no_shutdown() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, &format!("{SHUTDOWN}\nannounce = \"5 min\""));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    assert!(telegram.texts()[0].contains("qemu/100"), "announced");
    later(&machine, &pve, 400);
    pve.always(Call::Resources, Wrong::failure("cluster not ready - no quorum?"));
    machine.check_exits(3);
    assert_eq!(pve.powers(), [""; 0], "what was read in an earlier run is no proof");
    pve.heal();
    pve.down("pve1");
    machine.check_exits(3);
    assert_eq!(pve.powers(), [""; 0], "nor is an unknown guest");
    pve.heal();
    machine.check_exits(0);
    assert_eq!(pve.powers().len(), 1);
}

#[test]
fn the_message_goes_out_before_the_shutdown() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).traffic(0, 900);
    pve.always(Call::Power, Wrong::Hang);
    let running = spawn(machine.command(&["check"]));
    assert!(eventually(Duration::from_secs(20), || pve.count(Call::Power) == 1), "the shutdown is asked for");
    assert_eq!(telegram.messages().len(), 1);
    running.kill();
}

#[test]
fn telegram_being_down_does_not_hold_the_shutdown_back() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    telegram.always(Fault::Broken);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(3).complains("telegram");
    assert_eq!(pve.guest(100).status(), "stopped");
}

#[test]
fn a_guest_that_takes_its_time_is_not_shut_down_again() {
    for ha in [false, true] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let guest = pve.vm(100, "web").obeys(Obeys::After(6));
        if ha {
            guest.ha("started");
        }
        let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
        guest.traffic(0, 900);
        for _ in 0..8 {
            machine.check();
            later(&machine, &pve, 20);
        }
        machine.check_exits(0);
        assert_eq!((pve.powers().len(), guest.status()), (1, "stopped"), "HA: {ha}");
    }
}

#[test]
fn a_guest_that_does_not_obey_is_told_in_its_words_and_asked_four_times_in_all() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").obeys(Obeys::Never);
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).traffic(0, 900);
    for _ in 0..12 {
        machine.check();
        later(&machine, &pve, 660);
    }
    assert_eq!((pve.powers().len(), pve.guest(100).status()), (4, "running"), "one try and three more");
    let texts = telegram.texts();
    assert!(texts.iter().any(|text| text.contains("VM quit/powerdown failed - got timeout")), "{texts:#?}");
}

#[test]
fn a_missing_privilege_is_told_and_asked_for_four_times_in_all() {
    for (version, words) in [((9, 1), "Permission check failed (/vms/100, VM.PowerMgmt)"), ((8, 2), "VM.PowerMgmt")] {
        let (pve, telegram) = (Pve::version(version.0, version.1), Telegram::new());
        pve.vm(100, "web");
        let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
        pve.revoke("VM.PowerMgmt", "/");
        pve.guest(100).traffic(0, 900);
        machine.check_exits(3).complains("403").complains(words);
        for _ in 0..7 {
            machine.check();
        }
        assert_eq!(pve.count(Call::Power), 4, "one try and three more");
        let told = telegram.texts().iter().filter(|text| text.contains(words)).count();
        assert!(told >= 1, "{version:?}: {:#?}", telegram.texts());
    }
}

#[test]
fn a_guest_that_is_locked_for_hours_is_shut_down_afterwards() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").lock(Some("backup"));
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).traffic(0, 900);
    let mut told = String::new();
    for _ in 0..8 {
        told += &machine.check().stderr;
        later(&machine, &pve, 900);
    }
    assert_eq!(pve.guest(100).status(), "running");
    assert!(told.contains("lock"), "{told}");
    pve.guest(100).lock(None);
    machine.check();
    machine.check_exits(0);
    assert_eq!(pve.guest(100).status(), "stopped", "a backup is no way out");
}

#[test]
fn a_guest_that_moved_meanwhile_is_found_again() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
    pve.guest(100).traffic(0, 900);
    pve.moves(100, "pve2");
    machine.check();
    machine.check_exits(0);
    assert_eq!(pve.guest(100).status(), "stopped");
}

#[test]
fn an_answer_that_is_lost_is_not_asked_for_again() {
    for wrong in [Wrong::AnswerLost, Wrong::DoneThen596] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, "web");
        let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
        pve.guest(100).traffic(0, 900);
        pve.next(Call::Power, [wrong.clone()]);
        machine.check();
        machine.check();
        machine.check_exits(0);
        assert_eq!((pve.powers().len(), pve.guest(100).status()), (1, "stopped"), "{wrong:?}");
    }
}

#[test]
fn a_run_killed_in_the_act_is_followed_by_one_that_looks() {
    for (wrong, done) in [(Wrong::AnswerHeld, true), (Wrong::Hang, false)] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, "web");
        let machine = armed(&pve, &telegram, NEVER, SHUTDOWN);
        pve.guest(100).traffic(0, 900);
        pve.next(Call::Power, [wrong]);
        let running = spawn(machine.command(&["check"]));
        assert!(eventually(Duration::from_secs(20), || pve.count(Call::Power) == 1), "the shutdown is asked for");
        assert!(running.kill(), "killed in the act");
        for _ in 0..3 {
            machine.check();
        }
        assert_eq!(pve.count(Call::Power), 1, "done: {done}; again after 10 min, not before");
        later(&machine, &pve, 660);
        machine.check();
        machine.check_exits(0);
        assert_eq!((pve.count(Call::Power), pve.guest(100).status()), (2 - usize::from(done), "stopped"));
    }
}

#[test]
fn a_debug_run_shuts_nothing_down() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, KEPT_DOWN);
    pve.guest(100).traffic(0, 900);
    let run = machine.run(&["check", "--debug"]).exits(0);
    assert!(format!("{}{}", run.stdout, run.stderr).contains("act"));
    assert_eq!((pve.count(Call::Power), telegram.requests(), held(&machine)), (0, 0, 0));
}

#[test]
fn a_guest_kept_down_is_shut_down_again_after_each_start() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = shut_down(&pve, &telegram, KEPT_DOWN);
    assert_eq!(held(&machine), 1);
    for times in 1..=5 {
        pve.guest(100).start();
        for _ in 0..2 {
            machine.check();
            assert_eq!((pve.powers().len(), pve.guest(100).status()), (times, "running"), "boot_grace is 15 min");
            later(&machine, &pve, 440);
        }
        later(&machine, &pve, 60);
        machine.check();
        machine.check();
        assert_eq!((pve.powers().len(), pve.guest(100).status()), (times + 1, "stopped"));
    }
    assert_eq!(held(&machine), 1);
}

#[test]
fn a_backup_of_a_guest_kept_down_is_not_its_owner() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = shut_down(&pve, &telegram, KEPT_DOWN);
    pve.guest(100).backup_of_stopped();
    for _ in 0..3 {
        later(&machine, &pve, 1_000);
        machine.check_exits(0);
    }
    assert_eq!(pve.powers().len(), 1);
}

#[test]
fn a_guest_that_stays_down_is_left_alone() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = shut_down(&pve, &telegram, KEPT_DOWN);
    let texts = telegram.messages().len();
    for _ in 0..3 {
        later(&machine, &pve, 1_000);
        machine.check_exits(0).quietly();
    }
    assert_eq!((pve.powers().len(), telegram.messages().len()), (1, texts));
}

#[test]
fn at_the_lift_a_guest_is_started_when_it_is_to_be() {
    for (restart, calls, status) in [("true", 2, "running"), ("false", 1, "stopped")] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let machine = shut_down(&pve, &telegram, &format!("{KEPT_DOWN}\nrestart_on_lift = {restart}"));
        calibrate(&machine, "0 B");
        machine.check_exits(0);
        machine.check_exits(0);
        assert_eq!((pve.powers().len(), pve.guest(100).status()), (calls, status));
        assert_eq!((pve.powers().pop() == Some("start qemu/100".to_owned()), held(&machine)), (calls == 2, 0));
        pve.guest(100).start();
        later(&machine, &pve, 2_000);
        machine.check_exits(0);
        assert_eq!((pve.powers().len(), pve.guest(100).status()), (calls, "running"), "nothing is held any more");
    }
}

#[test]
fn a_period_that_ends_lifts_what_was_kept_down() {
    let (pve, telegram, edge) = (Pve::start(), Telegram::new(), Edge::behind());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, &edge.day(), &format!("{KEPT_DOWN}\nrestart_on_lift = true"));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    machine.check_exits(0);
    later(&machine, &pve, 86_400);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(powers(&pve), ["shutdown qemu/100", "start qemu/100"]);
    assert_eq!((pve.guest(100).status(), held(&machine)), ("running", 0));
}

#[test]
fn a_guest_that_others_had_switched_off_is_not_started_at_the_lift() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, NEVER, &format!("{KEPT_DOWN}\nrestart_on_lift = true"));
    pve.guest(100).stop();
    calibrate(&machine, "900 B");
    for _ in 0..3 {
        machine.check();
        later(&machine, &pve, 1_000);
    }
    calibrate(&machine, "0 B");
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!((pve.powers(), held(&machine)), (vec![], 0));
}

#[test]
fn a_guest_that_its_owner_started_is_not_started_again_at_the_lift() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = shut_down(&pve, &telegram, &format!("{KEPT_DOWN}\nrestart_on_lift = true"));
    pve.guest(100).start();
    calibrate(&machine, "0 B");
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!((pve.powers().len(), held(&machine)), (1, 0));
}

#[test]
fn another_guest_under_the_same_vmid_is_left_alone() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = shut_down(&pve, &telegram, &format!("{KEPT_DOWN}\nrestart_on_lift = true"));
    pve.guest(100).reuse("shop");
    for _ in 0..3 {
        later(&machine, &pve, 1_000);
        machine.check();
    }
    assert_eq!((pve.powers().len(), pve.guest(100).status()), (1, "running"));
    pve.guest(100).stop();
    calibrate(&machine, "0 B");
    machine.check();
    machine.check();
    assert_eq!((pve.powers().len(), held(&machine)), (1, 0), "nor is it started");
}

#[test]
fn a_guest_managed_by_ha_is_kept_down_too() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").ha("started").obeys(Obeys::After(1));
    let machine = armed(&pve, &telegram, NEVER, &format!("{KEPT_DOWN}\nrestart_on_lift = true"));
    pve.guest(100).traffic(0, 900);
    for _ in 0..3 {
        machine.check();
    }
    assert_eq!((pve.powers().len(), pve.guest(100).status()), (1, "stopped"));
    calibrate(&machine, "0 B");
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!((powers(&pve).len(), pve.guest(100).status()), (2, "running"));
}

#[test]
fn a_lift_that_fails_is_tried_again() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = shut_down(&pve, &telegram, &format!("{KEPT_DOWN}\nrestart_on_lift = true"));
    calibrate(&machine, "0 B");
    pve.always(Call::Power, Wrong::failure("cluster not ready - no quorum?"));
    machine.check_exits(3).complains("no quorum");
    assert_eq!(held(&machine), 1);
    pve.heal();
    machine.check();
    machine.check_exits(0);
    assert_eq!((pve.guest(100).status(), held(&machine)), ("running", 0));
}

#[test]
fn actions_that_cannot_be_meant_are_configuration_errors() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    for (action, word) in [
        ("kind = \"pve-shutdwn\"", "pve-shutdown"),
        ("kind = \"pve-shutdown\"\ntimeout = 90", "timeout"),
        ("kind = \"pve-shutdown\"\nforce = \"yes\"", "force"),
        ("kind = \"pve-shutdown\"\nkeepdown = true", "keep_down"),
        ("kind = \"pve-shutdown\"\nrate = \"1 MB/s\"", "rate"),
        ("kind = \"pve-disconnect\"\nkeep_down = true", "keep_down"),
        ("kind = \"pve-rate-limit\"", "rate"),
        ("kind = \"pve-rate-limit\"\nrate = \"10\"", "rate"),
        ("kind = \"pve-rate-limit\"\nrate = \"10 MB\"", "rate"),
        ("kind = \"pve-rate-limit\"\nrate = \"0 Mbps\"", "rate"),
        ("kind = \"pve-rate-limit\"\nrate = \"1 bps\"", "rate"),
        ("kind = \"pve-rate-limit\"\nrate = \"-1 MB/s\"", "rate"),
    ] {
        machine(&acting(&pve, &telegram, NEVER, action)).run(&["config", "check"]).exits(2).complains(word);
    }
    let quota = "[quota.month]\nsource = \"nic\"\nallowance = \"1 TB\"\n\
                 tier = [{ used = \"80%\", actions = [\"pve-shutdown\"] }]\n[source.nic]\nkind = \"interface\"\n";
    machine(&format!("{}{quota}", source(&pve))).run(&["config", "check"]).exits(2).complains("pve-shutdown");
    assert_eq!(pve.requests(), 0);
}

#[test]
fn an_action_named_by_its_kind_needs_no_table() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let tier = "tier = [{ used = \"80%\", actions = [\"pve-shutdown\"] }]\n";
    let config = format!("{}[quota.q]\nallowance = \"1000 B\"\n{NEVER}{tier}", source(&pve));
    let machine = machine(&config);
    machine.check_exits(0).quietly();
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    assert_eq!(powers(&pve), ["shutdown qemu/100"]);
}

//! `lift`: the operator lets a guest go, and may take that back; `discover pve`.

use super::*;
use crate::machine::names;

const LIMIT: &str = "kind = \"pve-rate-limit\"\nrate = \"1 MB/s\"";

/// VM 100 over its quota and limited; its NIC as it was.
#[track_caller]
fn limited(pve: &Pve, telegram: &Telegram, period: &str) -> (Machine, String) {
    pve.vm(100, "web");
    let before = pve.guest(100).nic_text("net0");
    let machine = armed(pve, telegram, period, LIMIT);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    assert_eq!(held(&machine), 1);
    (machine, before)
}

#[test]
fn what_is_lifted_by_hand_is_put_back_at_once_and_stays_so() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let (machine, before) = limited(&pve, &telegram, NEVER);
    machine.run(&["lift", "qemu/100"]).exits(0);
    assert_eq!((pve.guest(100).nic_text("net0"), held(&machine)), (before.clone(), 0));
    for _ in 0..3 {
        pve.guest(100).traffic(0, 50);
        machine.check_exits(0);
    }
    assert_eq!((pve.guest(100).nic_text("net0"), held(&machine)), (before, 0), "though the tier is reached");
    assert_eq!(pve.count(Call::Change), 2);
}

#[test]
fn again_takes_it_back() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let (machine, before) = limited(&pve, &telegram, NEVER);
    machine.run(&["lift", "qemu/100"]).exits(0);
    machine.check_exits(0);
    machine.run(&["lift", "qemu/100", "--again"]).exits(0);
    machine.check_exits(0);
    assert_eq!(held(&machine), 1);
    assert_ne!(pve.guest(100).nic_text("net0"), before);
    calibrate(&machine, "0 B");
    machine.check_exits(0);
    assert_eq!((pve.guest(100).nic_text("net0"), held(&machine)), (before, 0));
}

#[test]
fn a_new_period_holds_again() {
    let (pve, telegram, edge) = (Pve::start(), Telegram::new(), Edge::behind());
    let (machine, before) = limited(&pve, &telegram, &edge.day());
    machine.run(&["lift", "qemu/100"]).exits(0);
    later(&machine, &pve, 86_400);
    machine.check_exits(0);
    assert_eq!(pve.guest(100).nic_text("net0"), before);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    assert_eq!(held(&machine), 1);
    assert_ne!(pve.guest(100).nic_text("net0"), before);
}

#[test]
fn only_the_subject_named_is_lifted() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.ct(101, "db");
    pve.vm(102, "mail");
    let (machine, before) = limited(&pve, &telegram, NEVER);
    pve.guest(101).traffic(0, 900);
    machine.check_exits(0);
    assert_eq!(held(&machine), 2);
    machine.run(&["lift", "qemu/100"]).exits(0);
    assert_eq!((held(&machine), pve.guest(100).nic_text("net0")), (1, before));
    assert!(pve.guest(101).nic_text("net0").contains("rate="));
    let unknown = machine.run(&["lift", "qemu/999"]).complains("qemu/999");
    assert!(matches!(unknown.code(), 1 | 2), "{unknown:?}");
    assert_eq!(held(&machine), 1);
}

#[test]
fn a_guest_kept_down_may_be_started_after_a_lift() {
    for restart in [false, true] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, "web");
        let action = format!("kind = \"pve-stop\"\nkeep_down = true\nrestart_on_lift = {restart}");
        let machine = armed(&pve, &telegram, NEVER, &action);
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        machine.check_exits(0);
        machine.run(&["lift", "qemu/100"]).exits(0);
        machine.check_exits(0);
        assert_eq!(pve.guest(100).status(), if restart { "running" } else { "stopped" });
        pve.guest(100).start();
        later(&machine, &pve, 2_000);
        machine.check_exits(0);
        assert_eq!((pve.guest(100).status(), held(&machine)), ("running", 0));
        assert_eq!(pve.powers().len(), 1 + usize::from(restart));
    }
}

#[test]
fn a_lift_that_cannot_be_done_now_is_done_by_the_next_run() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let (machine, before) = limited(&pve, &telegram, NEVER);
    pve.guest(100).lock(Some("backup"));
    let run = machine.run(&["lift", "qemu/100"]).complains("lock");
    assert!(matches!(run.code(), 1 | 3), "{run:?}");
    pve.guest(100).lock(None);
    machine.check_exits(0);
    assert_eq!((pve.guest(100).nic_text("net0"), held(&machine)), (before, 0));
}

#[test]
fn discover_shows_the_guests_and_what_to_write_for_them() {
    let pve = Pve::start();
    pve.vm(100, "web").tags("prod").pool("gold");
    pve.ct(101, "db").on("pve2");
    let machine = machine(&format!("{}{QUOTA}", source(&pve)));
    let run = machine.run(&["discover", "pve"]).exits(0);
    for part in ["100", "web", "101", "db", "pve2", "prod", "gold"] {
        assert!(run.stdout.contains(part), "no {part} in:\n{}", run.stdout);
    }
    assert!(pve.asked().iter().all(|asked| asked.method == "GET"), "it only looks");
    assert!(names(machine.state_dir()).is_empty(), "a state was made");
}

#[test]
fn discover_tells_a_token_without_rights() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.revoke("VM.Audit", "/");
    let run = machine(&format!("{}{QUOTA}", source(&pve))).run(&["discover", "pve"]);
    assert!(format!("{}{}", run.stdout, run.stderr).contains("VM.Audit"), "{run:?}");
}

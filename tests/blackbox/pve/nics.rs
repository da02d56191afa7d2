//! `pve-disconnect` and `pve-rate-limit`: holds on all NICs of a guest, put right while held, put back exactly.
//!
//! The cluster itself sees to it that nothing but `rate` and `link_down` is changed, that every edit has a digest and
//! changes something.

use std::thread;
use std::time::Duration;

use super::*;
use crate::machine::{Dice, eventually, spawn};

const DISCONNECT: &str = "kind = \"pve-disconnect\"";
const LIMIT: &str = "kind = \"pve-rate-limit\"\nrate = \"1 MB/s\"";

/// NICs as they are stored, with all that must survive.
const NETS: [(&str, &str); 3] = [
    ("net0", "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,mtu=1400,queues=4"),
    ("net1", "e1000=BC:24:11:00:00:65,bridge=vmbr1,link_down=0,rate=100.50,tag=20,trunks=10;20-30"),
    ("net5", "vmxnet3=BC:24:11:00:00:66,bridge=vmbr2,rate=0"),
];

/// VM 100 with [`NETS`], armed.
#[track_caller]
fn armed_with_nets(pve: &Pve, telegram: &Telegram, action: &str) -> Machine {
    pve.vm(100, "web");
    set_back(pve);
    armed(pve, telegram, NEVER, action)
}

/// As [`armed_with_nets`], and held since the second run.
#[track_caller]
fn holding(pve: &Pve, telegram: &Telegram, action: &str) -> Machine {
    let machine = armed_with_nets(pve, telegram, action);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    assert_eq!((pve.count(Call::Change), held(&machine)), (1, 1));
    machine
}

/// Every NIC as it was at first, by a rollback.
fn set_back(pve: &Pve) {
    for (nic, text) in NETS {
        pve.guest(100).nic(nic, text);
    }
}

/// Every NIC is as it was, to the letter.
#[track_caller]
fn is_as_before(pve: &Pve) {
    for (nic, text) in NETS {
        assert_eq!(pve.guest(100).nic_text(nic), text);
    }
}

/// One item of a NIC.
fn item(pve: &Pve, nic: &str, key: &str) -> Option<String> {
    let text = pve.guest(100).nic_text(nic);
    let value = |item: &str| item.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
    text.split(',').find_map(value)
}

/// Bytes per second that a NIC is limited to.
fn limit(pve: &Pve, nic: &str) -> Option<f64> {
    item(pve, nic, "rate").map(|rate| rate.parse::<f64>().unwrap() * 1_048_576.0)
}

/// The limit is this one, to a thousandth, and not above it.
#[track_caller]
fn is_limited(pve: &Pve, nic: &str, bytes_per_second: f64) {
    let limit = limit(pve, nic).unwrap_or_else(|| panic!("{nic} has no limit: {}", pve.guest(100).nic_text(nic)));
    assert!(limit <= bytes_per_second * 1.000_000_1 && limit >= bytes_per_second * 0.999, "{nic}: {limit}");
}

/// Lifted by a correction of the usage.
#[track_caller]
fn lifted(machine: &Machine) {
    calibrate(machine, "0 B");
    machine.check_exits(0);
    assert_eq!(held(machine), 0);
}

#[test]
fn disconnecting_takes_all_links_down_in_one_edit_and_puts_them_back() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, DISCONNECT);
    for (nic, _) in NETS {
        assert_eq!(item(&pve, nic, "link_down").as_deref(), Some("1"), "{nic}");
    }
    assert!(telegram.texts()[0].contains("qemu/100"), "{}", telegram.texts()[0]);
    for _ in 0..3 {
        machine.check_exits(0).quietly();
    }
    assert_eq!((pve.count(Call::Change), telegram.messages().len()), (1, 1), "nothing has to change");
    lifted(&machine);
    is_as_before(&pve);
    assert_eq!((pve.count(Call::Change), pve.count(Call::Power)), (2, 0));
    machine.check_exits(0);
    assert_eq!(pve.count(Call::Change), 2);
}

#[test]
fn a_limit_is_set_on_all_nics_in_one_edit_and_put_back() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    for (nic, _) in NETS {
        is_limited(&pve, nic, 1e6);
    }
    for _ in 0..3 {
        machine.check_exits(0).quietly();
    }
    assert_eq!(pve.count(Call::Change), 1, "nothing has to change");
    lifted(&machine);
    is_as_before(&pve);
}

#[test]
fn a_limit_is_that_many_bytes_a_second_in_whatever_unit() {
    for (rate, bytes) in [
        ("10 Mbps", 1_250_000.0),
        ("1 MB/s", 1e6),
        ("1 MiB/s", 1_048_576.0),
        ("8 kbps", 1_000.0),
        ("64 kbps", 8_000.0),
        ("10 Gbps", 1.25e9),
    ] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, "web");
        let machine = armed(&pve, &telegram, NEVER, &format!("kind = \"pve-rate-limit\"\nrate = \"{rate}\""));
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        is_limited(&pve, "net0", bytes);
        machine.check_exits(0);
        assert_eq!(pve.count(Call::Change), 1, "{rate}: the value stored is the value wanted");
    }
}

#[test]
fn containers_keep_all_of_their_own() {
    let text =
        "name=eth0,bridge=vmbr0,firewall=1,gw=192.0.2.1,hwaddr=BC:24:11:00:01:65,ip=192.0.2.7/24,ip6=auto,type=veth";
    for action in [DISCONNECT, LIMIT] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.ct(100, "db").on("pve2").nic("net0", text).nic("net3", &text.replace("eth0", "eth3").replace(":65", ":66"));
        let machine = armed(&pve, &telegram, NEVER, action);
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        assert_eq!(pve.changes()[0].nics.len(), 2, "{:?}", pve.changes());
        machine.check_exits(0);
        machine.run(&["calibrate", "q", "lxc/100", "0 B"]).exits(0);
        machine.check_exits(0);
        assert_eq!((pve.guest(100).nic_text("net0").as_str(), pve.count(Call::Change)), (text, 2));
    }
}

#[test]
fn what_is_tighter_already_is_left_alone() {
    for (action, tight) in [(LIMIT, "rate=0.5"), (LIMIT, "rate=0.000002"), (DISCONNECT, "link_down=1")] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let text = format!("virtio=BC:24:11:00:00:64,bridge=vmbr0,{tight}");
        pve.vm(100, "web").nic("net0", &text);
        let machine = armed(&pve, &telegram, NEVER, action);
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        machine.check_exits(0);
        lifted(&machine);
        machine.check_exits(0);
        assert_eq!((pve.guest(100).nic_text("net0"), pve.count(Call::Change)), (text, 0), "{action}");
    }
}

#[test]
fn a_rate_too_small_to_be_one_is_no_limit() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let text = "virtio=BC:24:11:00:00:64,bridge=vmbr0,rate=0.0000005";
    pve.vm(100, "web").nic("net0", text);
    let machine = armed(&pve, &telegram, NEVER, LIMIT);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    is_limited(&pve, "net0", 1e6);
    lifted(&machine);
    assert_eq!(pve.guest(100).nic_text("net0"), text);
}

#[test]
fn a_nic_without_a_bridge_is_left_alone() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").nic("net1", "virtio=BC:24:11:00:00:65");
    let machine = armed(&pve, &telegram, NEVER, LIMIT);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(pve.guest(100).nic_text("net1"), "virtio=BC:24:11:00:00:65");
    assert_eq!((pve.count(Call::Change), pve.changes()[0].nics.len()), (1, 1));
}

#[test]
fn items_nobody_knows_yet_survive() {
    let (pve, telegram) = (Pve::version(9, 2), Telegram::new());
    let text = "virtio=BC:24:11:00:00:64,bridge=vmbr0,host-tunnel=1";
    pve.vm(100, "web").nic("net0", text);
    let machine = armed(&pve, &telegram, NEVER, DISCONNECT);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    assert_eq!(pve.guest(100).nic_text("net0"), format!("{text},link_down=1"));
    lifted(&machine);
    assert_eq!(pve.guest(100).nic_text("net0"), text);
}

#[test]
fn every_spelling_of_a_nic_is_understood() {
    for text in [
        "model=virtio,macaddr=BC:24:11:00:00:64,bridge=vmbr0,rate=7",
        "bridge=vmbr0,virtio=BC:24:11:00:00:64,rate=7",
        "bridge=vmbr0,link_down=off,rate=7,virtio=bc:24:11:00:00:64",
    ] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, "web").nic("net0", text);
        let machine = armed(&pve, &telegram, NEVER, LIMIT);
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        is_limited(&pve, "net0", 1e6);
        lifted(&machine);
        assert_eq!(item(&pve, "net0", "rate").as_deref(), Some("7"), "{text}");
    }
}

#[test]
fn an_edit_that_collides_with_another_is_made_anew_once() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = armed_with_nets(&pve, &telegram, LIMIT);
    pve.guest(100).traffic(0, 900);
    let theirs = "virtio=BC:24:11:00:00:64,bridge=vmbr7,firewall=1";
    pve.meddle(100, "net0", theirs);
    machine.check_exits(0);
    assert_eq!(pve.count(Call::Change), 2);
    is_limited(&pve, "net0", 1e6);
    assert_eq!(item(&pve, "net0", "bridge").as_deref(), Some("vmbr7"));
    lifted(&machine);
    assert_eq!(pve.guest(100).nic_text("net0"), theirs);
}

#[test]
fn an_edit_that_collides_again_waits_for_the_next_run() {
    for (text, subject) in [
        ("checksum mismatch (file change by other user?)", "qemu/100"),
        ("detected modified configuration - file changed by other user? Try again.", "lxc/100"),
    ] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        if subject == "qemu/100" {
            pve.vm(100, "web")
        } else {
            pve.ct(100, "web")
        };
        let machine = armed(&pve, &telegram, NEVER, LIMIT);
        pve.guest(100).traffic(0, 900);
        pve.next(Call::Change, [Wrong::failure(text), Wrong::failure(text)]);
        machine.check_exits(3);
        assert_eq!(pve.count(Call::Change), 2, "once more, not on and on");
        machine.check_exits(0);
        assert_eq!(pve.count(Call::Change), 3);
        is_limited(&pve, "net0", 1e6);
    }
}

#[test]
fn what_is_loosened_while_held_is_put_right() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    for loose in ["", ",rate=50", ",rate=0"] {
        pve.guest(100).nic("net0", &format!("virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1{loose}"));
        machine.check_exits(0);
        is_limited(&pve, "net0", 1e6);
    }
    assert_eq!(pve.count(Call::Change), 4);
    lifted(&machine);
    assert_eq!(item(&pve, "net1", "rate").as_deref(), Some("100.50"));
}

#[test]
fn what_was_tightened_by_others_is_left_alone_at_the_lift_and_told() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    let theirs = "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=0.1";
    pve.guest(100).nic("net0", theirs);
    machine.check_exits(0);
    assert_eq!(pve.count(Call::Change), 1, "only tightened");
    calibrate(&machine, "0 B");
    let run = machine.check();
    assert_eq!(pve.guest(100).nic_text("net0"), theirs);
    assert_eq!(pve.guest(100).nic_text("net1"), NETS[1].1, "the others go back");
    let told = format!("{}{}", telegram.texts().join("\n"), run.stderr);
    assert!(told.contains("net0"), "{told}");
    assert_eq!(held(&machine), 0);
}

#[test]
fn what_others_took_off_just_before_the_lift_stays_off() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, DISCONNECT);
    let theirs = "virtio=BC:24:11:00:00:99,bridge=vmbr3";
    pve.guest(100).nic("net0", theirs);
    calibrate(&machine, "0 B");
    machine.check();
    assert_eq!((pve.guest(100).nic_text("net0").as_str(), held(&machine)), (theirs, 0));
    assert_eq!(pve.guest(100).nic_text("net1"), NETS[1].1);
}

#[test]
fn a_nic_added_while_held_is_held_too_and_put_back() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    let added = "virtio=BC:24:11:00:00:77,bridge=vmbr0";
    pve.guest(100).nic("net7", added);
    machine.check_exits(0);
    is_limited(&pve, "net7", 1e6);
    assert_eq!(pve.changes()[1].nics.keys().collect::<Vec<_>>(), ["net7"]);
    lifted(&machine);
    is_as_before(&pve);
    assert_eq!(pve.guest(100).nic_text("net7"), added);
}

#[test]
fn a_nic_removed_while_held_is_no_problem() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    pve.guest(100).unplug("net5");
    machine.check_exits(0);
    calibrate(&machine, "0 B");
    machine.check();
    assert_eq!((pve.guest(100).nic_text("net1").as_str(), held(&machine)), (NETS[1].1, 0));
}

#[test]
fn a_rollback_while_held_is_repaired() {
    for action in [LIMIT, DISCONNECT] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let machine = holding(&pve, &telegram, action);
        let ours = pve.guest(100).nic_text("net0");
        set_back(&pve);
        machine.check_exits(0);
        assert_eq!((pve.guest(100).nic_text("net0"), pve.count(Call::Change)), (ours, 2));
        lifted(&machine);
        is_as_before(&pve);
    }
}

/// Two quotas with limits of their own on one guest: 10 Mbps from 800 bytes, 5 Mbps from 1600.
fn two_limits(pve: &Pve, telegram: &Telegram) -> String {
    format!(
        "{}[quota.q]\nallowance = \"1000 B\"\n{NEVER}tier = [{{ used = \"80%\", actions = [\"slow\"] }}]\n\
         [quota.large]\nallowance = \"2000 B\"\ncount = \"sum\"\n{NEVER}tier = [{{ used = \"80%\", actions = [\"slower\"] }}]\n\
         [action.slow]\nkind = \"pve-rate-limit\"\nrate = \"10 Mbps\"\n\
         [action.slower]\nkind = \"pve-rate-limit\"\nrate = \"5 Mbps\"\n{}",
        source(pve),
        telegram_table(&telegram.url())
    )
}

#[test]
fn of_two_limits_the_tighter_holds_and_the_last_to_go_puts_back_what_was() {
    for first in ["q", "large"] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, "web");
        set_back(&pve);
        let machine = machine(&two_limits(&pve, &telegram));
        machine.check_exits(0);
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        is_limited(&pve, "net1", 1_250_000.0);
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        is_limited(&pve, "net1", 625_000.0);
        assert_eq!(held(&machine), 2);
        machine.check_exits(0);
        assert_eq!(pve.count(Call::Change), 2);
        let second = if first == "q" { "large" } else { "q" };
        machine.run(&["calibrate", first, "qemu/100", "0 B"]).exits(0);
        machine.check_exits(0);
        is_limited(&pve, "net1", if first == "q" { 625_000.0 } else { 1_250_000.0 });
        assert_eq!(held(&machine), 1);
        machine.run(&["calibrate", second, "qemu/100", "0 B"]).exits(0);
        machine.check_exits(0);
        is_as_before(&pve);
        assert_eq!(held(&machine), 0);
    }
}

#[test]
fn a_limit_and_a_disconnection_do_not_undo_each_other() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    set_back(&pve);
    let config = two_limits(&pve, &telegram)
        .replace("kind = \"pve-rate-limit\"\nrate = \"5 Mbps\"", "kind = \"pve-disconnect\"");
    let machine = machine(&config);
    machine.check_exits(0);
    pve.guest(100).traffic(0, 1_900);
    machine.check_exits(0);
    is_limited(&pve, "net5", 1_250_000.0);
    assert_eq!(item(&pve, "net5", "link_down").as_deref(), Some("1"));
    machine.run(&["calibrate", "q", "qemu/100", "0 B"]).exits(0);
    machine.check_exits(0);
    assert_eq!((limit(&pve, "net5"), item(&pve, "net5", "link_down").as_deref()), (Some(0.0), Some("1")));
    machine.run(&["calibrate", "large", "qemu/100", "0 B"]).exits(0);
    machine.check_exits(0);
    is_as_before(&pve);
}

#[test]
fn a_locked_guest_is_a_problem_until_it_is_unlocked() {
    for action in [LIMIT, DISCONNECT] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let machine = armed_with_nets(&pve, &telegram, action);
        pve.guest(100).traffic(0, 900).lock(Some("backup"));
        machine.check_exits(3).complains("lock");
        for _ in 0..8 {
            later(&machine, &pve, 900);
            assert_eq!(machine.check().code(), 3);
        }
        is_as_before(&pve);
        pve.guest(100).lock(None);
        machine.check_exits(0);
        assert_eq!((pve.changes().len(), held(&machine)), (1, 1), "however long it took");
        pve.guest(100).lock(Some("snapshot"));
        calibrate(&machine, "0 B");
        machine.check_exits(3).complains("lock");
        assert_eq!(held(&machine), 1, "held until it is put back");
        pve.guest(100).lock(None);
        machine.check_exits(0);
        is_as_before(&pve);
        assert_eq!(held(&machine), 0);
    }
}

#[test]
fn a_locked_guest_that_is_held_already_is_no_problem() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    pve.guest(100).lock(Some("backup"));
    machine.check_exits(0).quietly();
    assert_eq!(pve.count(Call::Change), 1);
}

#[test]
fn a_guest_that_is_off_is_held_for_its_next_start() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = armed_with_nets(&pve, &telegram, LIMIT);
    pve.guest(100).traffic(0, 900).lock(Some("backup"));
    machine.check_exits(3);
    pve.guest(100).lock(None).stop();
    machine.check_exits(0);
    is_limited(&pve, "net0", 1e6);
}

#[test]
fn a_guest_that_moves_is_held_where_it_is() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    pve.guest(100).migrate("pve2");
    machine.check_exits(0);
    assert_eq!(pve.count(Call::Change), 1, "its configuration moved with it");
    calibrate(&machine, "0 B");
    pve.moves(100, "pve1");
    machine.check();
    machine.check_exits(0);
    is_as_before(&pve);
}

#[test]
fn a_guest_nobody_hears_of_is_neither_held_nor_lifted() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    let changes = pve.count(Call::Change);
    pve.down("pve1");
    machine.check_exits(3);
    assert_eq!((pve.count(Call::Change), held(&machine)), (changes, 1));
    pve.up();
    machine.check_exits(0);
    is_limited(&pve, "net0", 1e6);
    assert_eq!(pve.count(Call::Change), changes);
}

#[test]
fn a_source_that_fails_lifts_nothing() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    pve.always(Call::Resources, Wrong::json(r#"{"data":[]}"#));
    machine.check_exits(3);
    assert_eq!((pve.count(Call::Change), held(&machine)), (1, 1));
}

#[test]
fn a_guest_deleted_while_held_disappears_without_alarm() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(101, "mail");
    let machine = holding(&pve, &telegram, LIMIT);
    let texts = telegram.messages().len();
    pve.guest(100).remove();
    for _ in 0..3 {
        machine.check_exits(0).quietly();
        later(&machine, &pve, 7200);
    }
    assert_eq!(telegram.messages().len(), texts);
}

#[test]
fn another_guest_under_the_same_vmid_gets_nothing_back_that_was_not_its_own() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    let own = "virtio=BC:24:11:AA:00:01,bridge=vmbr0,rate=33";
    pve.guest(100).unplug("net1").unplug("net5").nic("net0", own).reuse("shop");
    machine.check();
    calibrate(&machine, "0 B");
    machine.check();
    machine.check();
    assert_eq!((pve.guest(100).nic_text("net0").as_str(), held(&machine)), (own, 0));
}

#[test]
fn a_missing_privilege_is_told_in_its_words() {
    for (version, words) in
        [((9, 1), "Permission check failed (/sdn/zones/localnetwork/vmbr1/20, SDN.Use)"), ((8, 2), "SDN.Use")]
    {
        let (pve, telegram) = (Pve::version(version.0, version.1), Telegram::new());
        let machine = armed_with_nets(&pve, &telegram, LIMIT);
        pve.revoke("SDN.Use", "/sdn/zones/localnetwork/vmbr1/20");
        pve.guest(100).traffic(0, 900);
        machine.check_exits(3).complains("403").complains(words);
        is_as_before(&pve);
        pve.heal();
        machine.check_exits(0);
        is_limited(&pve, "net1", 1e6);
    }
}

#[test]
fn an_edit_that_was_made_and_not_answered_is_not_made_again() {
    for wrong in [Wrong::AnswerLost, Wrong::DoneThen596] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let machine = armed_with_nets(&pve, &telegram, LIMIT);
        pve.guest(100).traffic(0, 900);
        pve.next(Call::Change, [wrong.clone()]);
        machine.check();
        machine.check_exits(0);
        assert_eq!((pve.count(Call::Change), held(&machine)), (1, 1), "{wrong:?}");
        pve.next(Call::Change, [wrong.clone()]);
        calibrate(&machine, "0 B");
        machine.check();
        machine.check_exits(0);
        is_as_before(&pve);
        assert_eq!((pve.count(Call::Change), held(&machine)), (2, 0), "{wrong:?}: read first, then nothing to do");
    }
}

#[test]
fn a_run_killed_between_an_edit_and_its_answer_forgets_nothing() {
    for (wrong, edits) in [(Wrong::AnswerHeld, 1), (Wrong::Hang, 2)] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let machine = armed_with_nets(&pve, &telegram, LIMIT);
        pve.guest(100).traffic(0, 900);
        pve.next(Call::Change, [wrong]);
        let running = spawn(machine.command(&["check"]));
        assert!(eventually(Duration::from_secs(20), || pve.count(Call::Change) == 1), "the edit is asked for");
        assert!(running.kill(), "killed in the act");
        machine.check_exits(0);
        machine.check_exits(0);
        is_limited(&pve, "net1", 1e6);
        assert_eq!((pve.count(Call::Change), held(&machine)), (edits, 1));
        lifted(&machine);
        is_as_before(&pve);
    }
}

#[test]
fn a_run_killed_while_it_lifts_is_followed_by_one_that_does() {
    for (wrong, edits) in [(Wrong::AnswerHeld, 2), (Wrong::Hang, 3)] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let machine = holding(&pve, &telegram, DISCONNECT);
        calibrate(&machine, "0 B");
        pve.next(Call::Change, [wrong]);
        let running = spawn(machine.command(&["check"]));
        assert!(eventually(Duration::from_secs(20), || pve.count(Call::Change) == 2), "the lift is asked for");
        assert!(running.kill(), "killed in the act");
        machine.check_exits(0);
        is_as_before(&pve);
        assert_eq!((pve.count(Call::Change), held(&machine)), (edits, 0));
    }
}

#[test]
#[ignore = "kills a hundred runs, which takes long on a busy machine: run ./test"]
fn what_a_nic_was_is_never_forgotten_because_of_a_kill() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = armed_with_nets(&pve, &telegram, LIMIT);
    let mut dice = Dice(0x91C_5AFE);
    let (mut struck, mut rounds) = (0, 0);
    while struck < 100 {
        assert!(rounds < 400, "only {struck} kills struck: they came at the wrong time");
        for lifts in [false, true] {
            rounds += 1;
            if lifts {
                calibrate(&machine, "0 B");
            } else {
                pve.guest(100).traffic(0, 900);
            }
            let quiet = machine.run(&["check", "--debug"]).took;
            let running = spawn(machine.command(&["check"]));
            // The run that acts takes about twice as long as one that only looks.
            thread::sleep(Duration::from_micros(dice.roll(2 * u64::try_from(quiet.as_micros()).unwrap())));
            struck += u32::from(running.kill());
            // A request of the killed run may still be on its way.
            thread::sleep(Duration::from_millis(20));
            machine.check_exits(0);
            if lifts {
                is_as_before(&pve);
                assert_eq!(held(&machine), 0, "round {rounds}");
            } else {
                NETS.iter().for_each(|(nic, _)| is_limited(&pve, nic, 1e6));
            }
        }
    }
    assert_eq!(pve.changes().len(), rounds, "one edit a round, however often a run was killed");
}

#[test]
fn a_period_that_ends_lifts() {
    let (pve, telegram, edge) = (Pve::start(), Telegram::new(), Edge::behind());
    pve.vm(100, "web");
    set_back(&pve);
    let machine = armed(&pve, &telegram, &edge.day(), LIMIT);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    later(&machine, &pve, 86_400);
    machine.check_exits(0);
    is_as_before(&pve);
    assert_eq!(held(&machine), 0);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    is_limited(&pve, "net0", 1e6);
}

#[test]
fn a_quota_that_is_gone_or_lets_go_lifts() {
    let other = "[quota.other]\nallowance = \"1 TB\"\n";
    let gone = |config: &str| {
        let (before, rest) = config.split_once("[quota.q]").unwrap();
        let (_, after) = rest.split_once("[action.act]").unwrap();
        format!("{before}{other}[action.act]{after}")
    };
    let without_action = |config: &str| config.replace(", actions = [\"act\"]", "");
    let larger = |config: &str| config.replace("\"1000 B\"", "\"1 TB\"");
    for edit in [&gone as &dyn Fn(&str) -> String, &without_action, &larger] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let machine = holding(&pve, &telegram, LIMIT);
        machine.set_config(&edit(&acting(&pve, &telegram, NEVER, LIMIT)));
        machine.check_exits(0);
        is_as_before(&pve);
        assert_eq!(held(&machine), 0);
    }
}

#[test]
fn a_changed_limit_is_the_limit_and_what_was_is_still_known() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = holding(&pve, &telegram, LIMIT);
    for (rate, bytes) in [("500 kB/s", 5e5), ("2 MB/s", 2e6)] {
        machine.set_config(&acting(&pve, &telegram, NEVER, &LIMIT.replace("1 MB/s", rate)));
        machine.check_exits(0);
        is_limited(&pve, "net1", bytes);
    }
    lifted(&machine);
    is_as_before(&pve);
}

#[test]
fn a_debug_run_changes_no_nic() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let machine = armed_with_nets(&pve, &telegram, LIMIT);
    pve.guest(100).traffic(0, 900);
    machine.run(&["check", "--debug"]).exits(0);
    assert_eq!((pve.count(Call::Change), held(&machine)), (0, 0));
    machine.check_exits(0);
    calibrate(&machine, "0 B");
    machine.run(&["check", "--debug"]).exits(0);
    assert_eq!((pve.count(Call::Change), held(&machine)), (1, 1));
}

#[test]
fn templates_and_guests_below_the_tier_are_not_touched() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(101, "mail");
    pve.vm(102, "golden").template();
    let before = pve.guest(101).nic_text("net0");
    let machine = holding(&pve, &telegram, LIMIT);
    machine.check_exits(0);
    assert_eq!(pve.guest(101).nic_text("net0"), before);
    let subjects: Vec<String> = pve.changes().into_iter().map(|change| change.subject).collect();
    assert_eq!(subjects, ["qemu/100"]);
}

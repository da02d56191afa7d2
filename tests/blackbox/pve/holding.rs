//! What is held over everything that changes meanwhile: the configuration, the cluster, the guest, its owner.

use super::*;
use crate::machine::snapshot;
use cluster::Obeys;

/// Limits to 1 MB/s.
const SLOW: &str = "[action.slow]\nkind = \"pve-rate-limit\"\nrate = \"1 MB/s\"\n";
/// Keeps down, and starts again.
const DOWN: &str = "[action.down]\nkind = \"pve-shutdown\"\nkeep_down = true\nrestart_on_lift = true\n";
/// A quota that has nothing to do with any cluster.
const NIC: &str = "[quota.nic]\nsource = \"nic\"\nallowance = \"1 TB\"\n[source.nic]\nkind = \"interface\"\n";

/// A configuration with this cluster, Telegram and the rest.
fn with(pve: &Pve, telegram: &Telegram, rest: &str) -> String {
    format!("{}{}{rest}", source(pve), telegram_table(&telegram.url()))
}

/// A quota of 1000 bytes on guests with an action at a threshold, and more keys.
fn quota(name: &str, used: &str, action: &str, keys: &str) -> String {
    format!(
        "[quota.{name}]\nsource = \"pve\"\nallowance = \"1000 B\"\n{NEVER}{keys}\
         tier = [{{ used = \"{used}\", actions = [\"{action}\"] }}]\n"
    )
}

/// A machine past its first run.
#[track_caller]
fn begun(pve: &Pve, telegram: &Telegram, rest: &str) -> Machine {
    let machine = machine(&with(pve, telegram, rest));
    machine.check_exits(0).quietly();
    machine
}

/// The NIC of each of these guests.
fn nets(pve: &Pve, vmids: &[u32]) -> Vec<String> {
    vmids.iter().map(|vmid| pve.guest(*vmid).nic_text("net0")).collect()
}

/// Whether its first NIC has a limit.
fn is_slow(pve: &Pve, vmid: u32) -> bool {
    pve.guest(vmid).nic_text("net0").contains("rate=")
}

/// Bytes per second that the first NIC is limited to, rounded to thousands.
fn limit(pve: &Pve, vmid: u32) -> Option<u64> {
    let text = pve.guest(vmid).nic_text("net0");
    let rate = text.split(',').find_map(|item| item.strip_prefix("rate="))?.parse::<f64>().unwrap();
    Some((rate * 1_048_576.0 / 1_000.0).round() as u64 * 1_000)
}

/// The problems of a run that ends with this code; standard error tells each only when it is new, and daily.
#[track_caller]
fn problems(machine: &Machine, code: i32) -> Vec<String> {
    let run = machine.check_exits(code);
    let status = machine.status();
    let problems = status.0["problems"].as_array().expect("problems").iter();
    let problems: Vec<String> = problems.map(Value::to_string).collect();
    assert_eq!(problems.is_empty(), code == 0, "{problems:?}; {}", run.stderr);
    problems
}

#[test]
fn the_last_quota_of_a_cluster_lets_go_when_it_goes() {
    let all = quota("q", "80%", "slow", "");
    let disabled = quota("q", "80%", "slow", "enabled = false\n");
    for (what, rest) in [("removed", String::new()), ("disabled", disabled)] {
        for by_hand in [false, true] {
            let (pve, telegram) = (Pve::start(), Telegram::new());
            pve.vm(100, "web");
            pve.ct(101, "db").on("pve2");
            let before = nets(&pve, &[100, 101]);
            let machine = begun(&pve, &telegram, &format!("{NIC}{SLOW}{all}"));
            pve.guest(100).traffic(0, 900);
            pve.guest(101).traffic(0, 900);
            machine.check_exits(0);
            assert!(is_slow(&pve, 100) && is_slow(&pve, 101));
            machine.set_config(&with(&pve, &telegram, &format!("{NIC}{SLOW}{rest}")));
            if by_hand {
                machine.run(&["lift", "qemu/100"]).exits(0);
                machine.run(&["lift", "lxc/101"]).exits(0);
            } else {
                machine.check_exits(0);
            }
            assert_eq!(nets(&pve, &[100, 101]), before, "{what}, by hand: {by_hand}");
            assert_eq!(held(&machine), 0, "{what}, by hand: {by_hand}");
            machine.check_exits(0).quietly();
        }
    }
}

#[test]
fn a_guest_that_cannot_be_read_keeps_no_other_from_its_limit() {
    for wrong in [Wrong::Hang, Wrong::forwarding(596, "Connection timed out")] {
        for bad in [100, 105] {
            let (pve, telegram) = (Pve::start(), Telegram::new());
            let vmids: Vec<u32> = (100..108).collect();
            for vmid in &vmids {
                pve.vm(*vmid, &format!("web-{vmid}")).on(if vmid % 4 == 3 { "pve2" } else { "pve1" });
            }
            let config = format!("{SLOW}{}", quota("q", "80%", "slow", ""));
            let machine = begun(&pve, &telegram, &config);
            pve.always_of(bad, Call::Config, wrong.clone());
            for vmid in &vmids {
                pve.guest(*vmid).traffic(0, 900);
            }
            machine.check_exits(3);
            machine.check_exits(3);
            let loose: Vec<&u32> = vmids.iter().filter(|vmid| !is_slow(&pve, **vmid)).collect();
            assert_eq!(loose, [&bad], "{wrong:?}");
        }
    }
}

#[test]
fn a_guest_that_hangs_takes_no_short_run_from_the_others() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    for vmid in [100, 101, 102, 103] {
        pve.vm(vmid, &format!("web-{vmid}")).on(if vmid == 103 { "pve2" } else { "pve1" });
    }
    let config = format!("{SLOW}{}", quota("q", "80%", "slow", ""));
    let machine = machine(&format!("deadline = \"10 s\"\n{}", with(&pve, &telegram, &config)));
    machine.check_exits(0).quietly();
    pve.always_of(100, Call::Config, Wrong::Hang);
    for vmid in [100, 101, 102, 103] {
        pve.guest(vmid).traffic(0, 900);
    }
    for _ in 0..3 {
        machine.check_exits(3);
    }
    assert_eq!([100, 101, 102, 103].map(|vmid| is_slow(&pve, vmid)), [false, true, true, true]);
}

#[test]
fn guests_that_hang_on_many_nodes_keep_no_other_from_its_limit() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    for vmid in 100..120 {
        pve.vm(vmid, &format!("web-{vmid}")).on(if vmid < 110 { "pve1" } else { "pve2" });
    }
    let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "")));
    for vmid in [100, 101, 110, 111, 112] {
        pve.always_of(vmid, Call::Config, Wrong::forwarding(596, "Connection timed out"));
    }
    for vmid in 100..120 {
        pve.guest(vmid).traffic(0, 900);
    }
    for _ in 0..3 {
        machine.check_exits(3);
    }
    let loose: Vec<u32> = (100..120).filter(|vmid| !is_slow(&pve, *vmid)).collect();
    assert_eq!(loose, [100, 101, 110, 111, 112]);
    calibrate_all(&machine);
    for _ in 0..3 {
        machine.check();
    }
    let slow: Vec<u32> = (100..120).filter(|vmid| is_slow(&pve, *vmid)).collect();
    assert_eq!(slow, [0; 0], "nor from being let go");
}

/// Nothing was used by any of them.
fn calibrate_all(machine: &Machine) {
    for vmid in 100..120 {
        machine.run(&["calibrate", "q", &format!("qemu/{vmid}"), "0 B"]).exits(0);
    }
}

#[test]
fn the_tighter_tier_holds_whatever_a_rollback_brings_back() {
    for own in ["", ",rate=100.50", ",rate=0"] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let before = format!("virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1{own}");
        pve.vm(100, "web").nic("net0", &before);
        let tiers = "tier = [{ used = \"50%\", actions = [\"ten\"] }, { used = \"90%\", actions = [\"slow\"] }]\n";
        let ten = "[action.ten]\nkind = \"pve-rate-limit\"\nrate = \"10 MB/s\"\n";
        let config = format!("[quota.q]\nallowance = \"1000 B\"\n{NEVER}{tiers}{ten}{SLOW}");
        let machine = begun(&pve, &telegram, &config);
        pve.guest(100).traffic(0, 600);
        machine.check_exits(0);
        assert_eq!(limit(&pve, 100), Some(10_000_000));
        let snapshot = pve.guest(100).nic_text("net0");
        pve.guest(100).traffic(0, 350);
        machine.check_exits(0);
        assert_eq!(limit(&pve, 100), Some(1_000_000));
        pve.guest(100).nic("net0", &snapshot);
        machine.check_exits(0);
        assert_eq!(limit(&pve, 100), Some(1_000_000), "after the rollback");
        calibrate(&machine, "600 B");
        machine.check_exits(0);
        assert_eq!(limit(&pve, 100), Some(10_000_000), "{own}: the looser one is left");
        pve.guest(100).nic("net0", &snapshot);
        calibrate(&machine, "0 B");
        machine.check_exits(0);
        assert_eq!((pve.guest(100).nic_text("net0"), held(&machine)), (before, 0), "{own}");
    }
}

#[test]
fn a_rollback_just_before_the_lift_is_put_back_too() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let before = pve.guest(100).nic_text("net0");
    let tiers = "tier = [{ used = \"50%\", actions = [\"ten\"] }, { used = \"90%\", actions = [\"slow\"] }]\n";
    let ten = "[action.ten]\nkind = \"pve-rate-limit\"\nrate = \"10 MB/s\"\n";
    let machine = begun(&pve, &telegram, &format!("[quota.q]\nallowance = \"1000 B\"\n{NEVER}{tiers}{ten}{SLOW}"));
    pve.guest(100).traffic(0, 600);
    machine.check_exits(0);
    let snapshot = pve.guest(100).nic_text("net0");
    pve.guest(100).traffic(0, 350);
    machine.check_exits(0);
    pve.guest(100).nic("net0", &snapshot);
    calibrate(&machine, "0 B");
    machine.check_exits(0);
    assert_eq!((pve.guest(100).nic_text("net0"), held(&machine)), (before, 0), "10 MB/s is ours, too");
}

#[test]
fn a_nic_that_comes_back_with_our_limit_loses_it_at_the_lift() {
    for own in ["", ",rate=50"] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        let before = format!("virtio=BC:24:11:00:00:65,bridge=vmbr1{own}");
        pve.vm(100, "web").nic("net1", &before).too_new();
        let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "")));
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        let ours = pve.guest(100).nic_text("net1");
        assert!(ours.contains("rate=0.95"), "{ours}");
        pve.guest(100).unplug("net1");
        machine.check();
        pve.guest(100).nic("net1", &ours);
        machine.check();
        assert_eq!(held(&machine), 1);
        calibrate(&machine, "0 B");
        machine.check();
        machine.check();
        assert_eq!((pve.guest(100).nic_text("net1"), held(&machine)), (before, 0));
    }
}

#[test]
fn whoever_gets_a_held_guests_number_pays_for_nothing() {
    let stop = "[action.stop]\nkind = \"pve-stop\"\nkeep_down = true\n";
    for (kind, action) in [(Kind::Lxc, "slow"), (Kind::Lxc, "stop"), (Kind::Qemu, "slow"), (Kind::Qemu, "stop")] {
        for keys in ["nics = [\"net0\"]\n", ""] {
            for gone in [false, true] {
                let what = format!("{kind:?} {action} {keys}{gone}");
                let (pve, telegram) = (Pve::start(), Telegram::new());
                pve.vm(900, "other");
                let guest = |name: &str, mac: &str| match kind {
                    Kind::Lxc => {
                        let text = format!("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:02:00:{mac},type=veth");
                        pve.ct(100, name).nic("net0", &text)
                    }
                    Kind::Qemu => pve.vm(100, name).nic("net0", &format!("virtio=BC:24:11:02:00:{mac},bridge=vmbr0")),
                };
                guest("web", "01");
                let config = format!("{SLOW}{stop}{}", quota("q", "80%", action, keys));
                let machine = begun(&pve, &telegram, &config);
                pve.guest(100).traffic(0, 900);
                machine.check_exits(0);
                machine.check_exits(0);
                assert_eq!((held(&machine), pve.changes().len() + pve.powers().len()), (1, 1), "{what}");
                later(&machine, &pve, 600);
                if gone {
                    pve.guest(100).remove();
                    machine.check();
                    later(&machine, &pve, 600);
                }
                guest("shop", "02").uptime(30).created(1_790_000_000).traffic(0, 100);
                let own = pve.guest(100).nic_text("net0");
                for _ in 0..4 {
                    machine.check();
                    assert_eq!((pve.guest(100).nic_text("net0"), pve.guest(100).status()), (own.clone(), "running"));
                    later(&machine, &pve, 1_000);
                }
                assert_eq!((held(&machine), pve.changes().len() + pve.powers().len()), (0, 1), "{what}");
                let subject = if kind == Kind::Lxc { "lxc/100" } else { "qemu/100" };
                let counted = used(&machine.status(), "q", subject);
                assert!(counted <= 100, "{what}: {counted}");
            }
        }
    }
}

#[test]
fn a_run_for_another_quota_lifts_nothing() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let rest = format!("{SLOW}{}{}", quota("q", "80%", "slow", ""), quota("large", "99%", "slow", "count = \"in\"\n"));
    let machine = begun(&pve, &telegram, &rest);
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    for _ in 0..3 {
        machine.run(&["check", "--only", "large"]).exits(0);
    }
    calibrate(&machine, "0 B");
    machine.run(&["check", "--only", "large"]).exits(0);
    assert!(is_slow(&pve, 100), "that is for q to say");
    assert_eq!((pve.count(Call::Change), held(&machine)), (1, 1));
    machine.run(&["check", "--only", "q"]).exits(0);
    assert_eq!((is_slow(&pve, 100), held(&machine)), (false, 0));
}

#[test]
fn a_run_for_another_quota_of_the_guest_keeps_the_tighter_limit() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let ten = "[action.ten]\nkind = \"pve-rate-limit\"\nrate = \"10 MB/s\"\n";
    let rest =
        format!("{SLOW}{ten}{}{}", quota("q", "80%", "slow", ""), quota("large", "80%", "ten", "count = \"sum\"\n"));
    let machine = begun(&pve, &telegram, &rest);
    pve.guest(100).traffic(0, 900);
    machine.run(&["check", "--only", "q"]).exits(0);
    assert_eq!(limit(&pve, 100), Some(1_000_000));
    machine.run(&["check", "--only", "large"]).exits(0);
    assert_eq!((limit(&pve, 100), held(&machine)), (Some(1_000_000), 2));
    calibrate(&machine, "0 B");
    machine.run(&["check", "--only", "large"]).exits(0);
    assert_eq!(limit(&pve, 100), Some(1_000_000), "nobody has looked at q");
    machine.check_exits(0);
    assert_eq!(limit(&pve, 100), Some(10_000_000));
}

#[test]
fn a_quota_that_is_renamed_keeps_what_it_holds() {
    for (action, table) in [("slow", SLOW), ("down", DOWN)] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, "web");
        let machine = begun(&pve, &telegram, &format!("{table}{}", quota("q", "80%", action, "")));
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        machine.check_exits(0);
        let (held_like, status) = (pve.guest(100).nic_text("net0"), pve.guest(100).status());
        let told = telegram.messages().len();
        machine.set_config(&with(&pve, &telegram, &format!("{table}{}", quota("renamed", "80%", action, ""))));
        for _ in 0..3 {
            machine.check_exits(0);
            later(&machine, &pve, 1_000);
        }
        assert_eq!((pve.guest(100).nic_text("net0"), pve.guest(100).status()), (held_like, status), "{action}");
        assert_eq!((held(&machine), pve.changes().len() + pve.powers().len()), (1, 1), "{action}");
        assert_eq!(machine.status().0["held"][0]["quota"], "renamed");
        assert_eq!(telegram.messages().len(), told, "{action}: {:#?}", telegram.texts());
    }
}

#[test]
fn what_was_lifted_by_hand_stays_so_when_the_quota_is_renamed() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let before = pve.guest(100).nic_text("net0");
    let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "")));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    machine.run(&["lift", "qemu/100"]).exits(0);
    machine.set_config(&with(&pve, &telegram, &format!("{SLOW}{}", quota("renamed", "80%", "slow", ""))));
    for _ in 0..3 {
        machine.check_exits(0);
        later(&machine, &pve, 1_000);
    }
    assert_eq!((pve.guest(100).nic_text("net0"), held(&machine)), (before, 0));
}

#[test]
fn a_threshold_that_is_edited_starts_nobody_in_between() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = begun(&pve, &telegram, &format!("{DOWN}{}", quota("q", "80%", "down", "")));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(pve.guest(100).status(), "stopped");
    machine.set_config(&with(&pve, &telegram, &format!("{DOWN}{}", quota("q", "85%", "down", ""))));
    for run in 0..8 {
        machine.check();
        assert_eq!((pve.powers().len(), pve.guest(100).status(), held(&machine)), (1, "stopped", 1), "run {run}");
        later(&machine, &pve, 300);
    }
    machine.set_config(&with(&pve, &telegram, &format!("{DOWN}{}", quota("q", "95%", "down", ""))));
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!((pve.guest(100).status(), held(&machine)), ("running", 0), "95 % is not reached");
}

#[test]
fn an_action_that_is_to_keep_down_from_now_on_does() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let once = "[action.down]\nkind = \"pve-shutdown\"\n";
    let tier = quota("q", "80%", "down", "");
    let machine = begun(&pve, &telegram, &format!("{once}{tier}"));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    machine.check_exits(0);
    pve.guest(100).start();
    for _ in 0..3 {
        later(&machine, &pve, 1_000);
        machine.check_exits(0);
    }
    assert_eq!((pve.powers().len(), pve.guest(100).status(), held(&machine)), (1, "running", 0));
    machine.set_config(&with(&pve, &telegram, &format!("{DOWN}{tier}")));
    for _ in 0..3 {
        machine.check();
        later(&machine, &pve, 1_000);
    }
    assert_eq!((pve.powers().len(), pve.guest(100).status(), held(&machine)), (2, "stopped", 1), "kept down now");
    machine.set_config(&with(&pve, &telegram, &format!("{once}{tier}")));
    machine.check();
    machine.check_exits(0);
    assert_eq!(held(&machine), 0, "not any more");
    // It may be done once more, since nothing was done once in its own name; then the owner has it.
    let calls = pve.powers().len();
    for _ in 0..2 {
        pve.guest(100).start();
        for _ in 0..3 {
            later(&machine, &pve, 1_000);
            machine.check_exits(0);
        }
    }
    assert!(pve.powers().len() <= calls + 1, "{:?}", pve.powers());
    assert_eq!(pve.guest(100).status(), "running", "{:?}", pve.powers());
}

#[test]
fn guests_of_a_source_that_was_taken_out_are_one_problem() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").nic("net1", "virtio=BC:24:11:00:00:65,bridge=vmbr1,rate=50");
    pve.ct(101, "db");
    let machine = begun(&pve, &telegram, &format!("{NIC}{SLOW}{}", quota("q", "80%", "slow", "")));
    pve.guest(100).traffic(0, 900);
    pve.guest(101).traffic(0, 900);
    machine.check_exits(0);
    assert_eq!(held(&machine), 2);
    let told = telegram.messages().len();
    machine.set_config(&format!("{NIC}{}", telegram_table(&telegram.url())));
    for run in 0..6 {
        let problems = problems(&machine, 3);
        assert_eq!(problems.len(), 1, "run {run}: {problems:?}");
        assert!(problems[0].contains("qemu/100") && problems[0].contains("lxc/101"), "{problems:?}");
        assert_eq!(telegram.messages().len(), told + 1, "run {run}: {:#?}", telegram.texts());
        later(&machine, &pve, 3_600);
    }
    let text = telegram.texts().pop().unwrap();
    assert!(text.contains("qemu/100") && text.contains("lxc/101"), "{text}");
    later(&machine, &pve, 86_400);
    machine.check_exits(3);
    assert_eq!(telegram.messages().len(), told + 2, "again on the next day");
    let run = machine.run(&["lift", "qemu/100"]).exits(0);
    assert!(run.stdout.contains("net0") && run.stdout.contains("net1"), "{}", run.stdout);
    assert!(run.stdout.contains("rate") && run.stdout.contains("50"), "{}", run.stdout);
    assert_eq!(held(&machine), 1);
    let problem = problems(&machine, 3).concat();
    assert!(!problem.contains("qemu/100") && problem.contains("lxc/101"), "{problem}");
    machine.run(&["lift", "lxc/101"]).exits(0).prints("net0");
    machine.check_exits(0).quietly();
    assert_eq!(held(&machine), 0);
}

#[test]
fn at_the_lift_only_what_its_owner_changed_is_left() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    let before = "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=100";
    pve.vm(100, "web").nic("net0", before);
    let tier = "tier = [{ used = \"80%\", actions = [\"slow\", \"pve-disconnect\"] }]\n";
    let machine = begun(&pve, &telegram, &format!("{SLOW}[quota.q]\nallowance = \"1000 B\"\n{NEVER}{tier}"));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    let both = pve.guest(100).nic_text("net0");
    assert!(both.contains("link_down=1") && is_slow(&pve, 100), "{both}");
    let theirs = before.replace("rate=100", "link_down=1,rate=0.5");
    pve.guest(100).nic("net0", &theirs);
    machine.check_exits(0);
    calibrate(&machine, "0 B");
    machine.check();
    assert_eq!(pve.guest(100).nic_text("net0"), before.replace("rate=100", "rate=0.5"));
    let text = telegram.texts().pop().unwrap();
    assert!(text.contains("net0 (rate)"), "{text}");
    assert!(!text.contains("as it was before"), "{text}");
    assert_eq!(held(&machine), 0);
}

#[test]
fn a_lock_at_the_lift_is_no_flood_of_messages() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").nic("net1", "virtio=BC:24:11:00:00:65,bridge=vmbr1");
    let before = pve.guest(100).nic_text("net0");
    let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "")));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    let theirs = "virtio=BC:24:11:00:00:65,bridge=vmbr1,rate=0.1";
    pve.guest(100).nic("net1", theirs).lock(Some("backup"));
    calibrate(&machine, "0 B");
    let told = telegram.messages().len();
    for run in 0..20 {
        let problems = problems(&machine, 3);
        assert!(problems.len() == 1 && problems[0].contains("lock"), "{problems:?}");
        let more = telegram.messages().len() - told;
        assert!(more <= usize::from(run > 1), "run {run}: {:#?}", telegram.texts());
        later(&machine, &pve, 600);
    }
    assert_eq!(telegram.messages().len(), told + 1, "it is told");
    pve.guest(100).lock(None);
    machine.check();
    assert_eq!((nets(&pve, &[100]), pve.guest(100).nic_text("net1")), (vec![before], theirs.to_owned()));
    assert_eq!((held(&machine), telegram.messages().len()), (0, told + 2));
    let text = telegram.texts().pop().unwrap();
    assert!(text.contains("net1 (rate)") && !text.contains("as it was before"), "{text}");
}

#[test]
fn a_vm_that_ignores_every_shutdown_is_asked_less_and_less() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").obeys(Obeys::Never);
    let machine = begun(&pve, &telegram, &format!("{DOWN}{}", quota("q", "80%", "down", "")));
    pve.guest(100).traffic(0, 900);
    machine.check();
    let words = "VM quit/powerdown failed - got timeout";
    for run in 1..=12 {
        later(&machine, &pve, 600);
        let problems = problems(&machine, 3);
        assert!(problems.len() == 1 && problems[0].contains(words), "run {run}: {problems:?}");
        let told = telegram.texts().iter().filter(|text| text.contains(words)).count();
        assert!(told <= 1, "run {run}: {:#?}", telegram.texts());
    }
    assert!((2..=6).contains(&pve.powers().len()), "{:?}", pve.powers());
    let told = |count: usize| {
        let texts = telegram.texts();
        assert_eq!(texts.iter().filter(|text| text.contains(words)).count(), count, "{texts:#?}");
    };
    told(1);
    for _ in 0..13 {
        later(&machine, &pve, 7_200);
        assert!(problems(&machine, 3)[0].contains(words));
    }
    told(2);
    calibrate(&machine, "0 B");
    later(&machine, &pve, 3_600);
    machine.check();
    machine.check_exits(0);
    assert_eq!((pve.guest(100).status(), held(&machine)), ("running", 0));
    assert!(pve.powers().iter().all(|call| call.starts_with("shutdown")), "it was never off: {:?}", pve.powers());
}

#[test]
fn guests_that_are_off_cost_no_call() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    for vmid in 100..300 {
        pve.vm(vmid, &format!("web-{vmid}")).stop();
    }
    pve.vm(300, "on");
    let config = format!("{SLOW}{DOWN}{}{}", quota("q", "80%", "slow", ""), quota("p", "90%", "down", ""));
    let machine = begun(&pve, &telegram, &config);
    for seconds in [60, 600, 3_600, 7_200, 86_400, 60] {
        later(&machine, &pve, seconds);
        machine.check_exits(0).quietly();
    }
    assert_eq!((pve.requests(), pve.count(Call::Resources)), (7, 7));
}

#[test]
fn guests_that_went_off_cost_no_call_for_ever() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    for vmid in 100..300 {
        pve.vm(vmid, &format!("web-{vmid}")).flowed(200_000.0, 0.0, 0.0, 0.0);
    }
    let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "")));
    later(&machine, &pve, 60);
    for vmid in 100..300 {
        pve.guest(vmid).stop();
    }
    for _ in 0..12 {
        machine.check();
        later(&machine, &pve, 600);
    }
    let before = pve.requests();
    for seconds in [60, 600, 3_600, 7_200, 86_400, 60] {
        later(&machine, &pve, seconds);
        machine.check_exits(0);
    }
    assert_eq!(pve.requests() - before, 6);
}

#[test]
fn a_pool_is_held_and_let_go_as_a_whole() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    for vmid in 100..106 {
        pve.vm(vmid, &format!("web-{vmid}")).pool("gold").on(if vmid % 2 == 0 { "pve1" } else { "pve2" });
    }
    pve.vm(200, "other");
    let vmids = [100, 101, 102, 103, 104, 105, 200];
    let before = nets(&pve, &vmids);
    let keys = "pool = true\npools = [\"gold\"]\n";
    let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", keys)));
    pve.guest(100).traffic(0, 300);
    pve.guest(101).traffic(0, 600);
    machine.check_exits(0);
    assert_eq!(vmids.map(|vmid| is_slow(&pve, vmid)), [true, true, true, true, true, true, false]);
    assert_eq!(pve.count(Call::Change), 6);
    pve.guest(105).pool("silver");
    machine.check_exits(0);
    assert!(!is_slow(&pve, 105), "it is in the pool no more");
    let larger = quota("q", "80%", "slow", keys).replace("1000 B", "1 MB");
    machine.set_config(&with(&pve, &telegram, &format!("{SLOW}{larger}")));
    machine.check_exits(0);
    assert_eq!((nets(&pve, &vmids), held(&machine)), (before, 0));
}

#[test]
fn one_of_a_pool_that_is_lifted_by_hand_is_the_only_one() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    for vmid in 100..103 {
        pve.vm(vmid, &format!("web-{vmid}"));
    }
    let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "pool = true\n")));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    machine.run(&["lift", "qemu/101"]).exits(0);
    machine.check_exits(0);
    assert_eq!([100, 101, 102].map(|vmid| is_slow(&pve, vmid)), [true, false, true]);
}

#[test]
fn what_cannot_be_done_to_a_pool_or_to_this_machine_is_refused() {
    let pve = Pve::start();
    let telegram = Telegram::new();
    for (keys, action, table) in [
        ("pool = true\n", "pve-shutdown", ""),
        ("pool = true\n", "off", "[action.off]\nkind = \"pve-stop\"\n"),
        ("", "shutdown", ""),
    ] {
        let config = with(&pve, &telegram, &format!("{table}{}", quota("q", "80%", action, keys)));
        machine(&config).run(&["config", "check"]).exits(2).complains(action);
    }
    let kept = with(&pve, &telegram, &format!("{DOWN}{}", quota("q", "80%", "down", "pool = true\n")));
    machine(&kept).run(&["config", "check"]).exits(0);
}

#[test]
fn fifty_guests_at_once_are_few_messages() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    for vmid in 100..150 {
        pve.vm(vmid, &format!("web-{vmid}"));
    }
    let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "")));
    for vmid in 100..150 {
        pve.guest(vmid).traffic(0, 900);
    }
    for _ in 0..3 {
        machine.check();
    }
    assert!((100..150).all(|vmid| is_slow(&pve, vmid)));
    let texts = telegram.texts();
    assert!((1..=3).contains(&texts.len()), "{}: {texts:#?}", texts.len());
    let named = |vmid: &u32| texts.iter().any(|text| text.contains(&format!("qemu/{vmid}")));
    let missing: Vec<u32> = (100..150).filter(|vmid| !named(vmid)).collect();
    let more = texts.iter().any(|text| text.contains(&format!("and {} more", missing.len())));
    assert!(missing.is_empty() || more, "not named: {missing:?} in {texts:#?}");
    let status = machine.status();
    assert_eq!((status.count("quotas"), status.count("held")), (50, 50));
    let before = texts.len();
    machine.set_config(&with(
        &pve,
        &telegram,
        &format!("{SLOW}{}", quota("q", "80%", "slow", "").replace("1000", "9000")),
    ));
    machine.check_exits(0);
    machine.check_exits(0);
    let lifted = telegram.texts().len() - before;
    assert!((1..=3).contains(&lifted), "{lifted}: {:#?}", &telegram.texts()[before..]);
    assert_eq!(held(&machine), 0);
}

/// As [`with`], but only guests on this node.
fn on_node(pve: &Pve, telegram: &Telegram, node: &str, rest: &str) -> String {
    with(pve, telegram, rest).replacen("token_id", &format!("nodes = [{node:?}]\ntoken_id"), 1)
}

#[test]
fn held_guests_that_leave_the_sources_nodes_are_let_go() {
    for another_stays in [true, false] {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, "web");
        if another_stays {
            pve.vm(101, "mail");
        }
        let before = nets(&pve, &[100]);
        let config = on_node(&pve, &telegram, "pve1", &format!("{SLOW}{}", quota("q", "80%", "slow", "")));
        let machine = machine(&config);
        machine.check_exits(0);
        pve.guest(100).traffic(0, 900);
        machine.check_exits(0);
        assert!(is_slow(&pve, 100));
        pve.guest(100).migrate("pve2");
        for _ in 0..3 {
            let problems = problems(&machine, if another_stays { 0 } else { 3 });
            assert!(another_stays || problems[0].contains("pve1"), "{problems:?}");
            later(&machine, &pve, 600);
        }
        assert_eq!((nets(&pve, &[100]), held(&machine)), (before, 0), "another stays: {another_stays}");
    }
}

#[test]
fn a_debug_run_with_a_held_guest_changes_nothing() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    let machine = begun(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "")));
    pve.guest(100).traffic(0, 900);
    machine.check_exits(0);
    let loose = "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=50";
    for lifts in [false, true] {
        if lifts {
            calibrate(&machine, "0 B");
        } else {
            pve.guest(100).nic("net0", loose);
        }
        let (before, messages) = (snapshot(machine.state_dir()), telegram.requests());
        machine.run(&["check", "--debug"]);
        assert_eq!(snapshot(machine.state_dir()), before);
        assert_eq!((nets(&pve, &[100]), pve.count(Call::Change)), (vec![loose.to_owned()], 1));
        assert_eq!(telegram.requests(), messages);
        assert!(pve.asked()[2..].iter().all(|asked| asked.method == "GET" || asked.call == Some(Call::Change)));
    }
}

#[test]
fn config_show_tells_a_cluster_without_its_secret() {
    let pve = Pve::start();
    let telegram = Telegram::new();
    let machine =
        machine(&with(&pve, &telegram, &format!("{SLOW}{}", quota("q", "80%", "slow", "tags = [\"prod\"]\n"))));
    let run = machine.run(&["config", "show"]).exits(0);
    for text in ["[source.pve]", &pve.url(), TOKEN_ID, "token_secret", "redacted", "prod", "pve-rate-limit", "1 MB/s"] {
        assert!(run.stdout.contains(text), "no {text} in:\n{}", run.stdout);
    }
    assert_eq!((pve.requests(), run.stdout.contains(SECRET)), (0, false));
}

//! Which guests a quota is about, side by side with others, and by NIC.

use serde_json::json;

use super::*;

/// Six guests that differ in everything a quota can choose by.
fn six() -> Pve {
    let pve = Pve::start();
    pve.vm(100, "web").tags("prod;web").pool("gold");
    pve.vm(101, "mail").tags("Prod, Mail").on("pve2");
    pve.vm(102, "test").tags("test").pool("silver");
    pve.ct(103, "db").tags("db prod").pool("gold").on("pve2");
    pve.ct(104, "cache").tags("production");
    pve.ct(105, "100");
    pve
}

/// The vmids that a quota with these keys is about.
#[track_caller]
fn chosen(keys: &str) -> Vec<u32> {
    let pve = six();
    let machine = watching(&pve, &format!("{QUOTA}{keys}\n"));
    let vmid = |row: &String| row.rsplit('/').next().unwrap().parse().unwrap();
    let mut vmids: Vec<u32> = rows(&machine.status()).iter().map(vmid).collect();
    vmids.sort_unstable();
    vmids
}

#[test]
fn none_chosen_is_all() {
    assert_eq!(chosen(""), [100, 101, 102, 103, 104, 105]);
}

#[test]
fn guests_are_vmids_or_names() {
    assert_eq!(chosen("guests = [100]"), [100], "a number is a vmid, whoever is called so");
    assert_eq!(chosen("guests = [100, 104]"), [100, 104]);
    assert_eq!(chosen("guests = [\"db\", \"mail\"]"), [101, 103]);
    assert_eq!(chosen("guests = [100, \"db\"]"), [100, 103]);
}

#[test]
fn tags_are_any_of_without_case_and_by_every_separator() {
    assert_eq!(chosen("tags = [\"prod\"]"), [100, 101, 103], "production is another tag");
    assert_eq!(chosen("tags = [\"PROD\"]"), [100, 101, 103]);
    assert_eq!(chosen("tags = [\"mail\", \"test\"]"), [101, 102]);
    assert_eq!(chosen("tags = [\"db\"]"), [103]);
}

#[test]
fn pools_nodes_and_types_choose() {
    assert_eq!(chosen("pools = [\"gold\"]"), [100, 103]);
    assert_eq!(chosen("pools = [\"gold\", \"silver\"]"), [100, 102, 103]);
    assert_eq!(chosen("nodes = [\"pve2\"]"), [101, 103]);
    assert_eq!(chosen("types = [\"lxc\"]"), [103, 104, 105]);
    assert_eq!(chosen("types = [\"qemu\", \"lxc\"]"), [100, 101, 102, 103, 104, 105]);
    assert_eq!(chosen("subjects = [\"lxc/*\"]"), [103, 104, 105]);
}

#[test]
fn all_that_is_said_must_hold() {
    assert_eq!(chosen("tags = [\"prod\"]\nnodes = [\"pve2\"]"), [101, 103]);
    assert_eq!(chosen("tags = [\"prod\"]\nnodes = [\"pve2\"]\ntypes = [\"lxc\"]"), [103]);
    assert_eq!(chosen("pools = [\"gold\"]\ntags = [\"web\"]"), [100]);
}

#[test]
fn exclude_takes_out() {
    assert_eq!(chosen("exclude = [\"qemu/101\", \"lxc/*\"]"), [100, 102]);
    assert_eq!(chosen("tags = [\"prod\"]\nexclude = [\"qemu/100\"]"), [101, 103]);
}

#[test]
fn exclude_takes_out_by_vmid_and_by_name() {
    assert_eq!(chosen("exclude = [\"101\", \"104\"]"), [100, 102, 103, 105]);
    assert_eq!(chosen("exclude = [\"web\", \"db\"]"), [101, 102, 104, 105]);
    assert_eq!(chosen("exclude = [\"we\", \"10\", \"1\"]"), [100, 101, 102, 103, 104, 105], "nothing by halves");
    assert_eq!(chosen("guests = [100, 101]\nexclude = [\"mail\"]"), [100]);
}

#[test]
fn a_guest_that_is_named_and_not_there_is_a_problem() {
    for (named, told) in [("999", "999"), ("\"wbe\"", "wbe")] {
        let pve = six();
        let machine = machine(&format!("{}{QUOTA}guests = [100, {named}]\n", source(&pve)));
        machine.check_exits(3).complains(told);
        pve.guest(100).traffic(0, 70);
        let status = checked(&machine, 3);
        assert_eq!((rows(&status), used(&status, "q", "qemu/100")), (vec!["q/qemu/100".to_owned()], 70));
        assert_eq!(status.count("problems"), 1);
        assert!(status.0["problems"][0].to_string().contains(told), "{}", status.0["problems"]);
        pve.vm(999, "wbe");
        checked(&machine, 0);
    }
}

#[test]
fn a_period_may_begin_on_the_day_each_guest_was_made() {
    let pve = Pve::start();
    // 11 and 28 June 2024, at noon.
    pve.vm(100, "web").created(1_718_107_200);
    pve.vm(101, "mail").created(1_719_576_000);
    let quota = "[quota.q]\nallowance = \"1 TB\"\nsince = \"creation\"\ntypes = [\"qemu\"]\n";
    let machine = machine(&format!("timezone = \"UTC\"\n{}{quota}", source(&pve)));
    machine.check_exits(0).quietly();
    let calls = pve.count(Call::Config);
    assert_eq!(calls, 2, "each is asked once");
    pve.guest(100).traffic(0, 70);
    let status = checked(&machine, 0);
    assert_eq!(used(&status, "q", "qemu/100"), 70);
    for (subject, day) in [("qemu/100", "-11T00:00:00"), ("qemu/101", "-28T00:00:00")] {
        let period = &row(&status, "q", subject)["period"];
        for edge in ["start", "end"] {
            assert!(period[edge].as_str().is_some_and(|at| at.contains(day)), "{subject} {edge}: {period}");
        }
    }
    later(&machine, &pve, 7_200);
    machine.check_exits(0);
    assert_eq!(pve.count(Call::Config), calls, "and never again");
}

#[test]
fn a_container_has_no_creation_to_begin_with() {
    let quota = |keys: &str| format!("[quota.q]\nallowance = \"1 TB\"\nsince = \"creation\"\n{keys}");
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.ct(101, "db");
    for keys in ["types = [\"lxc\"]\n", "pool = true\n", "pool = true\ntypes = [\"qemu\"]\n", "period = \"day\"\n"] {
        machine(&format!("{}{}", source(&pve), quota(keys))).run(&["config", "check"]).exits(2).complains("since");
        machine(&format!("{}{}", source(&pve), quota(keys))).check_exits(2);
    }
    assert_eq!(pve.requests(), 0);
    let machine = machine(&format!("{}{}", source(&pve), quota("")));
    machine.check_exits(3).complains("lxc/101");
    pve.guest(100).traffic(0, 70);
    pve.guest(101).traffic(0, 70);
    let status = checked(&machine, 3);
    assert_eq!((rows(&status), used(&status, "q", "qemu/100")), (vec!["q/qemu/100".to_owned()], 70));
    assert!(status.0["problems"].to_string().contains("lxc/101"));
    assert!(!status.0["problems"].to_string().contains("qemu/100"));
}

#[test]
fn tags_split_as_the_cluster_splits_them() {
    for text in ["prod", ";prod", "a;prod", "a,prod", "a, prod", "a prod", "a\tprod ;;b", "A;PROD;c"] {
        let pve = Pve::start();
        pve.vm(100, "web").tags(text);
        pve.vm(101, "mail").tags("nonprod;prod2");
        pve.vm(102, "none");
        let machine = watching(&pve, &format!("{QUOTA}tags = [\"prod\"]\n"));
        assert_eq!(rows(&machine.status()), ["q/qemu/100"], "{text:?}");
    }
}

#[test]
fn several_quotas_on_one_guest_count_side_by_side() {
    let pve = Pve::start();
    pve.vm(100, "web").tags("prod");
    pve.vm(101, "mail");
    let quotas = "[quota.month]\nallowance = \"1 MB\"\n[quota.prod]\nallowance = \"2 MB\"\ntags = [\"prod\"]\ncount = \"sum\"\n\
                  [quota.daily]\nallowance = \"3 MB\"\nperiod = \"never\"\nguests = [\"web\"]\ncount = \"in\"\n\
                  [quota.both]\nallowance = \"4 MB\"\npool = true\n";
    let machine = watching(&pve, quotas);
    pve.guest(100).traffic(300, 20);
    pve.guest(101).traffic(5, 7);
    let status = checked(&machine, 0);
    let rows = rows(&status);
    assert_eq!(rows.len(), 5, "{rows:?}");
    assert_eq!((used(&status, "month", "qemu/100"), used(&status, "month", "qemu/101")), (20, 7));
    assert_eq!((used(&status, "prod", "qemu/100"), used(&status, "daily", "qemu/100")), (320, 300));
    let both = status.0["quotas"].as_array().unwrap().iter().find(|row| row["quota"] == "both").unwrap();
    assert_eq!(both["used"], 27, "the sum of its guests");
}

#[test]
fn a_guest_that_joins_later_starts_with_what_it_used_since() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.vm(101, "mail").tags("prod");
    let machine = watching(&pve, &format!("{QUOTA}tags = [\"prod\"]\n"));
    pve.guest(100).traffic(0, 1_000_000);
    checked(&machine, 0);
    pve.guest(100).tags("prod");
    checked(&machine, 0);
    pve.guest(100).traffic(0, 5);
    let counted = used(&checked(&machine, 0), "q", "qemu/100");
    assert!([5, 1_000_005].contains(&counted), "what was metered before may count, what was not may not: {counted}");
}

#[test]
fn a_guest_that_leaves_has_no_row_and_no_alarm() {
    let pve = Pve::start();
    pve.vm(100, "web").tags("prod");
    pve.vm(101, "mail").tags("prod");
    let machine = watching(&pve, &format!("{QUOTA}tags = [\"prod\"]\n"));
    pve.guest(100).tags("test");
    let status = checked(&machine, 0);
    assert_eq!((rows(&status), status.count("problems")), (vec!["q/qemu/101".to_owned()], 0));
}

#[test]
fn a_node_that_nobody_hears_of_does_not_change_who_is_chosen() {
    let pve = six();
    let machine = watching(&pve, &format!("{QUOTA}guests = [\"mail\", \"db\"]\n"));
    pve.down("pve2");
    let status = checked(&machine, 3);
    assert_eq!(rows(&status), ["q/lxc/103", "q/qemu/101"], "their rows lack the names they are chosen by");
    assert!(status.0["quotas"].as_array().unwrap().iter().all(|row| row["stale"] == true));
}

const HOSTILE: &[&str] = &[
    "<b>web</b>",
    "a&b;c",
    "web\" or 1=1",
    "../../etc",
    "a\u{1b}[31mred",
    "a\nb",
    "*",
    "網站",
    "\u{202e}bew",
    "{name}",
];

#[test]
fn hostile_names_choose_only_themselves_and_are_shown_escaped() {
    for name in HOSTILE.iter().map(|name| (*name).to_owned()).chain(["x".repeat(10_000)]) {
        let (pve, telegram) = (Pve::start(), Telegram::new());
        pve.vm(100, &name).tags(&name).pool(&name);
        pve.vm(101, "plain");
        let quota = format!(
            "[quota.q]\nallowance = \"1000 B\"\nguests = [{}]\ntiers = [\"50%\"]\n{}",
            toml(&name),
            telegram_table(&telegram.url())
        );
        let machine = watching(&pve, &quota);
        pve.guest(100).traffic(0, 600);
        pve.guest(101).traffic(0, 600);
        let status = checked(&machine, 0);
        assert_eq!(rows(&status), ["q/qemu/100"], "{name:?}");
        let text = telegram.only().text;
        assert!(text.contains("qemu/100") || text.contains("web"), "{name:?}: {text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{name:?}: {text:?}");
        let run = machine.run(&["status"]).exits(0);
        assert!(!run.stdout.contains('\u{1b}') && run.stdout.len() < 5_000, "{name:?}: {}", run.stdout);
    }
}

/// As a TOML string.
fn toml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

const NIC1: &str = "virtio=BC:24:11:00:00:02,bridge=vmbr1";

#[test]
fn a_quota_may_count_one_nic_beside_another_that_counts_all() {
    let pve = Pve::start();
    pve.vm(100, "web").nic("net1", NIC1);
    pve.ct(101, "db").on("pve2");
    let wan = "[quota.wan]\nallowance = \"1 TB\"\nperiod = \"never\"\nnics = [\"net0\"]\n";
    let machine = watching(&pve, &format!("{wan}{QUOTA}"));
    assert_eq!((pve.count(Call::Resources), pve.count(Call::Netstat)), (1, 2), "once for each node with such guests");
    pve.guest(100).traffic(1, 20).traffic_on("net1", 3, 4_000);
    pve.guest(101).traffic(5, 600);
    let status = checked(&machine, 0);
    assert_eq!((used(&status, "wan", "qemu/100"), used(&status, "q", "qemu/100")), (20, 4_020));
    assert_eq!((used(&status, "wan", "lxc/101"), used(&status, "q", "lxc/101")), (600, 600));
    assert_eq!(pve.requests(), 6);
}

#[test]
fn a_restart_is_seen_by_nic_too() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web").nic("net1", NIC1).traffic(5_000, 7_000);
    let machine = watching(&pve, &format!("{QUOTA}nics = [\"net0\"]\n"));
    guest.traffic(0, 20);
    checked(&machine, 0);
    guest.restart(0).traffic(50_000, 70_000).traffic_on("net1", 1, 900_000);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 70_020);
    guest.stop();
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 70_020, "no row of a guest that is off");
}

#[test]
fn a_nic_that_is_a_new_device_is_counted_from_zero() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web").nic("net1", NIC1).traffic(5_000, 7_000).traffic_on("net1", 1, 900_000);
    let machine = watching(&pve, &format!("{QUOTA}nics = [\"net0\"]\n"));
    guest.replug("net0").traffic(0, 20);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 20, "what it holds, by its own counter");
}

#[test]
fn several_nics_are_added_up() {
    let pve = Pve::start();
    pve.vm(100, "web").nic("net1", NIC1).nic("net2", "virtio=BC:24:11:00:00:03,bridge=vmbr2");
    let machine = watching(&pve, &format!("{QUOTA}nics = [\"net0\", \"net2\"]\n"));
    pve.guest(100).traffic(0, 1).traffic_on("net1", 0, 20).traffic_on("net2", 0, 300);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 301);
}

#[test]
fn netstat_without_the_privilege_is_told_and_the_other_quotas_go_on() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let wan = "[quota.wan]\nallowance = \"1 TB\"\nperiod = \"never\"\nnics = [\"net0\"]\n";
    let machine = watching(&pve, &format!("{wan}{QUOTA}"));
    pve.guest(100).traffic(0, 20);
    checked(&machine, 0);
    pve.revoke("Sys.Audit", "/nodes/pve1");
    pve.guest(100).traffic(0, 5);
    let run = machine.run(&["check", "--json"]).exits(3).complains("Sys.Audit");
    let status = Status(run.json());
    assert_eq!((used(&status, "wan", "qemu/100"), used(&status, "q", "qemu/100")), (20, 25));
    assert_eq!(row(&status, "wan", "qemu/100")["stale"], json!(true));
    pve.heal();
    assert_eq!(used(&checked(&machine, 0), "wan", "qemu/100"), 25);
}

#[test]
fn nics_that_nobody_has_are_a_problem() {
    for nic in ["net7", "vmbr9"] {
        let pve = Pve::start();
        pve.vm(100, "web");
        let all = "[quota.all]\nallowance = \"1 TB\"\nperiod = \"never\"\n";
        let machine = machine(&format!("{}{all}{QUOTA}nics = [{nic:?}]\n", source(&pve)));
        machine.check_exits(3).complains(nic);
        pve.guest(100).traffic(0, 70);
        let status = checked(&machine, 3);
        assert_eq!((status.count("problems"), used(&status, "all", "qemu/100")), (1, 70));
        pve.guest(100).nic(if nic == "net7" { nic } else { "net1" }, "virtio=BC:24:11:00:00:02,bridge=vmbr9");
        later(&machine, &pve, 7_200);
        machine.check();
        let status = checked(&machine, 0);
        assert_eq!(status.count("problems"), 0, "{}", status.0["problems"]);
    }
}

/// Bytes from VM 100 by each bridge.
#[track_caller]
fn by_bridge(machine: &Machine) -> (u64, u64) {
    let status = checked(machine, 0);
    (used(&status, "lan", "qemu/100"), used(&status, "wan", "qemu/100"))
}

#[test]
fn what_flowed_over_a_bridge_stays_with_it() {
    let pve = Pve::start();
    pve.vm(100, "web").nic("net1", NIC1).too_new();
    let wan = "[quota.wan]\nallowance = \"1 TB\"\nperiod = \"never\"\nnics = [\"vmbr1\"]\n";
    let machine = watching(&pve, &format!("{wan}{}", wan.replace("quota.wan", "quota.lan").replace("vmbr1", "vmbr0")));
    pve.guest(100).traffic(0, 3).traffic_on("net1", 0, 1_000);
    assert_eq!(by_bridge(&machine), (3, 1_000));
    pve.guest(100).nic("net1", &NIC1.replace("vmbr1", "vmbr0"));
    later(&machine, &pve, 10_800);
    assert_eq!(by_bridge(&machine), (3, 1_000), "what it has used meanwhile is nothing");
    pve.guest(100).traffic(0, 4).traffic_on("net1", 0, 50);
    assert_eq!(by_bridge(&machine), (57, 1_000));
    pve.guest(100).nic("net1", NIC1);
    later(&machine, &pve, 10_800);
    assert_eq!(by_bridge(&machine), (57, 1_000), "nothing is doubled");
    pve.guest(100).traffic(0, 5).traffic_on("net1", 0, 600);
    assert_eq!(by_bridge(&machine), (62, 1_600));
    assert_eq!(by_bridge(&machine), (62, 1_600));
}

#[test]
fn what_flows_while_a_bridge_is_changed_counts_once() {
    let pve = Pve::start();
    pve.vm(100, "web").nic("net1", NIC1).too_new();
    let wan = "[quota.wan]\nallowance = \"1 TB\"\nperiod = \"never\"\nnics = [\"vmbr1\"]\n";
    let machine = watching(&pve, &format!("{wan}{}", wan.replace("quota.wan", "quota.lan").replace("vmbr1", "vmbr0")));
    pve.guest(100).traffic_on("net1", 0, 1_000);
    assert_eq!(by_bridge(&machine), (0, 1_000));
    for round in 1..=3 {
        for bridge in ["vmbr0", "vmbr1"] {
            pve.guest(100).nic("net1", &NIC1.replace("vmbr1", bridge));
            pve.guest(100).traffic_on("net1", 0, 10);
            later(&machine, &pve, 10_800);
            let (lan, wan) = by_bridge(&machine);
            assert!(lan + wan <= 1_000 + round * 20, "round {round}, {bridge}: {lan} and {wan}");
        }
    }
}

//! Metering by the real binary: which interface, directions, restarts, renames. Periods are the simulator's.

use crate::machine::{Machine, Status};

fn quota(rest: &str) -> String {
    format!("[source.interface]\ninterfaces = [\"eth0\"]\n[quota.month]\nallowance = \"1 MB\"\n{rest}")
}

#[test]
fn every_direction_counts_what_it_says() {
    for (count, used) in [("out", 20), ("in", 300), ("sum", 320), ("max", 300), ("min", 20)] {
        let machine = Machine::new().config(&quota(&format!("count = \"{count}\"\n")));
        machine.check_exits(0);
        machine.grow("eth0", 100, 20);
        machine.check_exits(0);
        machine.grow("eth0", 200, 0);
        machine.check_exits(0);
        assert_eq!(machine.status().used(), used, "{count}");
    }
}

#[test]
fn a_reboot_counts_in_full_what_the_counter_holds() {
    let machine = Machine::new();
    machine.check_exits(0);
    machine.grow("eth0", 0, 100);
    machine.check_exits(0);
    machine.reboot("99999999-2222-4333-8444-555555555555", 30.0, &[("eth0", 0, 40)]);
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 140);
}

#[test]
fn a_reboot_is_seen_even_when_the_counter_is_higher_than_before() {
    let machine = Machine::new();
    machine.check_exits(0);
    let (_, before) = machine.counters("eth0");
    machine.reboot("99999999-2222-4333-8444-555555555555", 30.0, &[("eth0", 0, before + 1_000)]);
    machine.check_exits(0);
    assert_eq!(machine.status().used(), before + 1_000);
}

#[test]
fn another_boot_id_alone_is_no_restart() {
    let machine = Machine::new();
    machine.check_exits(0);
    machine.grow("eth0", 0, 7);
    let machine = machine.boot_id("99999999-2222-4333-8444-555555555555");
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 7, "the uptime went on with the clock: a container's view of the same boot");
}

#[test]
fn an_interface_that_is_gone_is_a_problem_and_keeps_its_figure() {
    let machine = Machine::new().config(&quota(""));
    machine.check_exits(0);
    machine.grow("eth0", 0, 77);
    machine.check_exits(0);
    machine.remove_interface("eth0");
    machine.check_exits(3).complains("eth0");
    let status = machine.status();
    assert_eq!(status.used(), 77);
    assert_eq!(status.row()["stale"], true);
    assert_eq!(status.count("problems"), 1);
}

#[test]
fn an_interface_that_comes_back_as_another_counts_in_full() {
    let machine = Machine::new().config(&quota(""));
    machine.check_exits(0);
    machine.grow("eth0", 0, 77);
    machine.check_exits(0);
    machine.remove_interface("eth0");
    machine.check_exits(3);
    let machine = machine.interface("dummy0", 0, 0).interface("eth0", 0, 9_000);
    machine.check_exits(0);
    let status = machine.status();
    assert_eq!(status.used(), 9_077);
    assert_eq!(status.count("problems"), 0);
}

#[test]
fn a_renamed_interface_keeps_its_usage() {
    let machine = Machine::new();
    machine.check_exits(0);
    machine.grow("eth0", 0, 77);
    machine.check_exits(0);
    machine.rename_interface("eth0", "ens18");
    machine.grow("ens18", 0, 3);
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 80);
    assert_eq!(machine.status().row()["subject"], "ens18");
}

#[test]
fn a_counter_that_is_no_number_is_a_problem_and_never_zero() {
    let machine = Machine::new();
    machine.check_exits(0);
    machine.grow("eth0", 0, 50);
    machine.check_exits(0);
    for bad in ["", "-1\n", "NaN\n", "12 34\n", "99999999999999999999999\n"] {
        let path = std::fs::canonicalize(machine.root().join("sys/class/net/eth0")).unwrap();
        let path = path.join("statistics/tx_bytes");
        let good = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, bad).unwrap();
        machine.check_exits(3);
        assert_eq!(machine.status().used(), 50, "{bad:?}");
        std::fs::write(&path, good).unwrap();
        machine.check_exits(0);
        assert_eq!(machine.status().used(), 50, "after {bad:?}");
    }
}

#[test]
fn counters_use_all_64_bits() {
    let machine = Machine::bare().interface("eth0", 0, u64::MAX - 1_000).default_route("eth0");
    machine.check_exits(0);
    machine.grow("eth0", 0, 1_000);
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 1_000);
}

#[test]
fn several_interfaces_are_metered_each_on_its_own() {
    let config = "[source.interface]\ninterfaces = [\"eth*\"]\n[quota.month]\nallowance = \"1 MB\"\n";
    let machine = Machine::new().interface("eth1", 3, 3).interface("wlan0", 3, 3).config(config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 10);
    machine.grow("eth1", 0, 20);
    machine.grow("wlan0", 0, 40);
    machine.check_exits(0);
    let status = machine.status();
    assert_eq!(status.row_of("eth0")["used"], 10);
    assert_eq!(status.row_of("eth1")["used"], 20);
    assert_eq!(status.0["quotas"].as_array().unwrap().len(), 2);
}

#[test]
fn a_pool_is_the_sum_of_its_subjects() {
    let config =
        "[source.interface]\ninterfaces = [\"eth0\", \"eth1\"]\n[quota.month]\nallowance = \"1 MB\"\npool = true\n";
    let machine = Machine::new().interface("eth1", 3, 3).config(config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 10);
    machine.grow("eth1", 0, 20);
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 30);
}

#[test]
fn the_default_route_on_a_bridge_is_followed_to_its_physical_port() {
    let machine = Machine::bare()
        .interface("eno1", 10, 10)
        .virtual_interface("tap100i0", "", 10, 10)
        .virtual_interface("vmbr0", "bridge", 10, 10)
        .bridge_port("vmbr0", "tap100i0")
        .bridge_port("vmbr0", "eno1")
        .default_route("vmbr0");
    metered(&machine, "eno1", &["tap100i0", "vmbr0"]);
}

#[test]
fn the_default_route_on_a_vlan_over_a_bridge_is_followed_all_the_way_down() {
    let machine = Machine::bare()
        .interface("eno1", 10, 10)
        .virtual_interface("vmbr0", "bridge", 10, 10)
        .bridge_port("vmbr0", "eno1")
        .virtual_interface("vmbr0.7", "vlan", 10, 10)
        .stacked("vmbr0.7", "vmbr0")
        .default_route("vmbr0.7");
    metered(&machine, "eno1", &["vmbr0", "vmbr0.7"]);
}

#[test]
fn a_container_meters_its_veth() {
    let machine = Machine::bare().virtual_interface("eth0", "", 10, 10).default_route("eth0");
    metered(&machine, "eth0", &["lo"]);
}

#[test]
fn a_counter_that_wraps_at_32_bits_is_reported_and_not_guessed_at() {
    let machine = Machine::bare().interface("eth0", 0, u64::from(u32::MAX) - 50).default_route("eth0");
    machine.check_exits(0);
    machine.set_counters("eth0", 0, 30);
    machine.check_exits(3).complains("eth0").complains("fell");
    assert_eq!(machine.status().used(), 30, "what the counter holds, as after a restart");
}

#[test]
fn an_ipv6_default_route_counts() {
    let machine = Machine::bare().interface("eth0", 1, 1).interface("eth1", 1, 1).default_route_v6("eth1");
    metered(&machine, "eth1", &["eth0"]);
}

#[test]
fn of_two_default_routes_the_one_with_the_lower_metric_is_used() {
    let machine = Machine::new().interface("eth1", 1, 1).default_route("eth1");
    metered(&machine, "eth0", &["eth1"]);
}

#[test]
fn the_choice_of_the_default_route_is_remembered() {
    let machine = Machine::new().interface("eth1", 1, 1);
    machine.check_exits(0);
    let header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    machine.put("proc/net/route", header);
    machine.grow("eth0", 0, 10);
    machine.check_exits(0);
    assert_eq!(machine.status().row_of("eth0")["used"], 10);
}

#[test]
fn since_boot_counts_what_the_counter_holds_at_first_sight() {
    let machine = Machine::new().uptime(20.0).config(&quota("first = \"since-boot\"\nperiod = \"year\"\n"));
    let run = machine.run(&["check", "--json"]);
    let status = Status(run.exits(0).json());
    assert_eq!(status.used(), 7_000);
}

fn metered(machine: &Machine, name: &str, others: &[&str]) {
    machine.check_exits(0);
    machine.grow(name, 0, 10);
    for other in others {
        machine.grow(other, 0, 5_000);
    }
    machine.check_exits(0);
    let status = machine.status();
    assert_eq!(status.row()["subject"], name);
    assert_eq!(status.used(), 10);
}

/// What a file of `/proc` or `/sys` may hold for once.
const BROKEN: &[Option<&str>] =
    &[None, Some(""), Some("garbage\n"), Some("-1\n"), Some("18446744073709551616\n"), Some("\0\0\0")];

#[test]
fn one_broken_file_of_the_system_neither_loses_nor_invents_a_byte() {
    for file in [
        "proc/sys/kernel/random/boot_id",
        "proc/uptime",
        "proc/net/route",
        "proc/net/ipv6_route",
        "sys/class/net/eth0/ifindex",
        "sys/class/net/eth0/type",
        "sys/class/net/eth0/operstate",
        "sys/class/net/eth0/speed",
        "sys/class/net/eth0/statistics/rx_bytes",
        "sys/class/net/eth0/statistics/tx_bytes",
    ] {
        let machine = Machine::new();
        machine.check_exits(0);
        let path = machine.root().join(file);
        let mut truth = 0;
        for broken in BROKEN {
            machine.grow("eth0", 3, 10);
            truth += 10;
            let good = std::fs::read(&path).unwrap();
            match broken {
                None => std::fs::remove_file(&path).unwrap(),
                Some(text) => std::fs::write(&path, text).unwrap(),
            }
            // The harness itself keeps the uptime going before each run, so that file is seen broken as little as possible.
            let run = machine.check();
            assert!(matches!(run.code(), 0 | 3), "{file} is {broken:?}: {run:?}");
            assert!(machine.status().used() <= truth, "{file} is {broken:?}: invented bytes");
            std::fs::write(&path, good).unwrap();
            machine.check();
            assert_eq!(machine.status().used(), truth, "after {file} was {broken:?}");
        }
    }
}

#[test]
fn units_are_what_the_contract_says() {
    for (text, bytes) in [
        ("allowance = \"1 GB\"", 1_000_000_000_u64),
        ("allowance = \"1 GiB\"", 1_073_741_824),
        ("allowance = \"1 GB\"\nunit_base = 1024", 1_073_741_824),
        ("allowance = \"1.5 TB\"", 1_500_000_000_000),
        ("allowance = \"2 PB\"", 2_000_000_000_000_000),
        ("allowance = \"7 B\"", 7),
        ("allowance = \"3 KB\"", 3_000),
        ("allowance = \"3 kB\"", 3_000),
        ("allowance = \"3KiB\"", 3_072),
    ] {
        let machine = Machine::new().config(&format!("[quota.month]\n{text}\n"));
        machine.check_exits(0);
        assert_eq!(machine.status().row()["allowance"].as_u64(), Some(bytes), "{text}");
    }
}

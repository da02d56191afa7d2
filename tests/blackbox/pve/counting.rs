//! When the counters start again, every byte is counted once: from the counters what they hold, from the cluster's
//! records what they lost.

use serde_json::{Value, json};

use super::*;
use crate::telegram::Telegram;
use cluster::Guest;

/// After traffic, an event and more traffic than ever before, this is used: every byte once.
///
/// The counters after it exceed those before, so only who sees what happened counts right.
#[track_caller]
fn counts_once(what: &str, kind: Kind, event: impl Fn(Guest<'_>)) {
    let pve = Pve::start();
    let (guest, subject) = match kind {
        Kind::Qemu => (pve.vm(100, "web"), "qemu/100"),
        Kind::Lxc => (pve.ct(100, "web"), "lxc/100"),
    };
    guest.traffic(5_000, 7_000);
    let machine = watching(&pve, BOTH);
    guest.traffic(300, 20);
    assert_eq!(to_and_from(&checked(&machine, 0), subject), (300, 20), "{what}: before it");
    event(guest);
    guest.traffic(50_000, 70_000);
    let status = checked(&machine, 0);
    assert_eq!(to_and_from(&status, subject), (50_300, 70_020), "{what}");
    assert_eq!(row(&status, "out", subject)["stale"], false, "{what}");
    guest.traffic(1, 2);
    assert_eq!(to_and_from(&checked(&machine, 0), subject), (50_301, 70_022), "{what}: after it");
}

#[test]
fn a_vm_that_is_restarted_counts_anew() {
    for (what, event) in [
        (
            "stop and start",
            (|guest: Guest<'_>| {
                guest.stop().start();
            }) as fn(Guest<'_>),
        ),
        ("API reboot, crash, mode stop of a backup", |guest| {
            guest.restart(0);
        }),
        ("HA recovery", |guest| {
            guest.ha("started").on("pve2").restart(0);
        }),
        ("hibernate and resume", |guest| {
            guest.hibernate().resume();
        }),
        ("rollback with RAM", |guest| {
            guest.stop().restart(0);
        }),
        ("migration", |guest| {
            guest.migrate("pve2");
        }),
    ] {
        counts_once(what, Kind::Qemu, event);
    }
}

#[test]
fn a_container_that_is_restarted_counts_anew() {
    for (what, event) in [
        (
            "stop and start",
            (|guest: Guest<'_>| {
                guest.stop().start();
            }) as fn(Guest<'_>),
        ),
        ("reboot inside", |guest| {
            guest.restart(0);
        }),
        ("migration", |guest| {
            guest.migrate("pve2");
        }),
    ] {
        counts_once(what, Kind::Lxc, event);
    }
}

#[test]
fn what_changes_no_device_is_no_restart() {
    for (what, event) in [
        ("reboot inside a VM, API reset", (|_: Guest<'_>| ()) as fn(Guest<'_>)),
        ("bridge, tag, firewall, rate, link_down", |guest| {
            guest.nic("net0", "virtio=BC:24:11:00:00:64,bridge=vmbr9,link_down=1,rate=5,tag=20");
        }),
        ("another name", |guest| {
            guest.rename("shop");
        }),
        ("other tags and pool", |guest| {
            guest.tags("new").pool("other");
        }),
        ("paused", |guest| {
            guest.state("paused");
        }),
        ("locked by a backup", |guest| {
            guest.lock(Some("backup"));
        }),
        ("managed by HA from now on", |guest| {
            guest.ha("started");
        }),
    ] {
        counts_once(what, Kind::Qemu, event);
    }
}

#[test]
fn a_restart_hides_from_whoever_looks_at_counters_alone() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web").uptime(60).traffic(5_000, 7_000);
    let machine = watching(&pve, BOTH);
    later(&machine, &pve, 3600);
    guest.restart(1800).traffic(50_000, 70_000);
    assert_eq!(
        to_and_from(&checked(&machine, 0), "qemu/100"),
        (50_000, 70_000),
        "up for longer than before, but not for as long as time passed"
    );
}

#[test]
fn figures_that_lag_by_some_seconds_are_no_restart() {
    for lag in [0, 12, 25] {
        let pve = Pve::start();
        let guest = pve.vm(100, "web").traffic(5_000, 7_000);
        let machine = watching(&pve, BOTH);
        later(&machine, &pve, 60);
        guest.traffic(10, 20).says("uptime", json!(86_460 - lag));
        assert_eq!(to_and_from(&checked(&machine, 0), "qemu/100"), (10, 20), "{lag} s late");
        assert_eq!(to_and_from(&checked(&machine, 0), "qemu/100"), (10, 20), "the same sample again");
    }
}

#[test]
fn first_sight_counts_nothing() {
    let pve = Pve::start();
    pve.vm(100, "web").traffic(5_000, 7_000).flowed(7200.0, 0.0, 1000.0, 1000.0);
    let machine = watching(&pve, BOTH);
    let status = machine.status();
    assert_eq!(to_and_from(&status, "qemu/100"), (0, 0));
    assert_eq!(row(&status, "out", "qemu/100")["estimated"], false);
    pve.ct(101, "new").traffic(9, 9);
    assert_eq!(to_and_from(&checked(&machine, 0), "lxc/101"), (0, 0), "a guest that came later");
    assert_eq!(pve.count(Call::Rrd), 0, "nobody asked for it");
}

#[test]
fn a_stopped_guest_keeps_what_it_used() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web");
    let machine = watching(&pve, QUOTA);
    guest.traffic(0, 70);
    checked(&machine, 0);
    guest.stop();
    for _ in 0..2 {
        let status = checked(&machine, 0);
        assert_eq!((used(&status, "q", "qemu/100"), status.count("problems")), (70, 0));
        assert_eq!(row(&status, "q", "qemu/100")["stale"], false, "it is known that nothing flows");
    }
    guest.start().traffic(0, 5);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 75);
}

#[test]
fn a_guest_first_seen_off_is_counted_from_its_start() {
    let pve = Pve::start();
    pve.vm(100, "web").stop();
    let machine = watching(&pve, QUOTA);
    pve.guest(100).start().traffic(3, 5);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 5);
}

#[test]
fn a_stopped_guest_that_is_backed_up_counts_nothing() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web");
    let machine = watching(&pve, QUOTA);
    guest.traffic(0, 70);
    checked(&machine, 0);
    guest.stop();
    checked(&machine, 0);
    guest.backup_of_stopped();
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 70);
    later(&machine, &pve, 600);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 70);
    guest.lock(None).stop();
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 70);
}

#[test]
fn a_vmid_of_another_kind_is_another_guest() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let machine = watching(&pve, QUOTA);
    pve.guest(100).traffic(0, 70);
    checked(&machine, 0);
    pve.guest(100).remove();
    pve.ct(100, "db").restart(0).traffic(0, 5);
    let status = checked(&machine, 0);
    assert_eq!(rows(&status), ["q/lxc/100"]);
    assert_eq!(used(&status, "q", "lxc/100"), 0, "first sight");
}

#[test]
fn a_reused_vmid_counts_the_new_guest_in_full_and_nothing_of_the_old_ones_records() {
    let pve = Pve::start();
    pve.vm(100, "web").traffic(0, 7_000).flowed(7200.0, 0.0, 1.0, 1.0);
    let machine = watching(&pve, QUOTA);
    pve.guest(100).traffic(0, 70);
    checked(&machine, 0);
    pve.guest(100).reuse("shop").traffic(0, 9_000);
    let counted = used(&checked(&machine, 0), "q", "qemu/100");
    assert!([9_000, 9_070].contains(&counted), "with or without its predecessor's: {counted}");
    pve.guest(100).traffic(0, 1);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), counted + 1);
}

/// A guest whose counters began again half an hour ago, an hour after they were last read; 1000 and 2000 bytes a
/// second were recorded until then.
fn lost_half_an_hour(pve: &Pve) -> Status {
    let guest = pve.vm(100, "web").traffic(5_000, 7_000);
    let machine = watching(pve, BOTH);
    later(&machine, pve, 3600);
    guest.flowed(7200.0, 1800.0, 1000.0, 2000.0).restart(1800).traffic(400, 500);
    let status = checked(&machine, 0);
    let again = checked(&machine, 0);
    assert_eq!(to_and_from(&again, "qemu/100"), to_and_from(&status, "qemu/100"), "once");
    status
}

#[test]
fn what_a_restart_lost_comes_from_the_records_of_every_generation() {
    for version in [(7, 4), (8, 2), (9, 1)] {
        let pve = Pve::version(version.0, version.1);
        let status = lost_half_an_hour(&pve);
        let (to, from) = to_and_from(&status, "qemu/100");
        // The recorded edge of the restart may share a row with it.
        let within = |bytes: u64, rate: u64| over(rate, 1738..=1862).contains(&bytes);
        assert!(within(to - 400, 1000) && within(from - 500, 2000), "{version:?}: {to} {from}");
        assert_eq!(row(&status, "out", "qemu/100")["estimated"], true);
    }
}

#[test]
fn records_of_an_upgraded_host_are_read_by_their_spacing() {
    let pve = Pve::start();
    pve.upgraded(600);
    let guest = pve.vm(100, "web").traffic(5_000, 7_000);
    let machine = watching(&pve, QUOTA);
    later(&machine, &pve, 36_000);
    guest.flowed(90_000.0, 1800.0, 0.0, 1000.0).restart(1800).traffic(0, 500);
    let counted = used(&checked(&machine, 0), "q", "qemu/100") - 500;
    // Ten hours less the last half; the rows at both ends last half an hour each.
    assert!(over(1000, 32_300..=36_100).contains(&counted), "{counted}");
}

#[test]
fn what_was_not_recorded_is_not_made_up() {
    for too_new in [false, true] {
        let pve = Pve::start();
        let guest = pve.vm(100, "web").traffic(5_000, 7_000);
        if too_new {
            guest.too_new();
        }
        let machine = watching(&pve, QUOTA);
        later(&machine, &pve, 3600);
        guest.restart(1800).traffic(0, 500);
        machine.check();
        let status = machine.status();
        assert_eq!(used(&status, "q", "qemu/100"), 500, "too new: {too_new}");
        assert_eq!(row(&status, "q", "qemu/100")["stale"], false);
    }
}

#[test]
fn records_that_cannot_be_had_cost_only_what_was_lost() {
    for wrong in [
        Wrong::page(),
        Wrong::json(r#"{"data":[{"time":"soon","netout":1e300},{"netout":5},null,7]}"#),
        Wrong::json(r#"{"data":null}"#),
        Wrong::forwarding(595, "Connection refused"),
        Wrong::failure("RRD error: mmaping file: Invalid argument"),
    ] {
        let pve = Pve::start();
        let guest = pve.vm(100, "web").traffic(5_000, 7_000);
        let machine = watching(&pve, QUOTA);
        later(&machine, &pve, 3600);
        guest.flowed(7200.0, 1800.0, 1000.0, 2000.0).restart(1800).traffic(0, 500);
        pve.always(Call::Rrd, wrong.clone());
        machine.check();
        let counted = used(&machine.status(), "q", "qemu/100");
        assert_eq!(counted, 500, "{wrong:?}: the counters are good");
    }
}

#[test]
fn what_a_stop_lost_is_counted_once_however_long_it_stays_off() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web").traffic(5_000, 7_000);
    let machine = watching(&pve, QUOTA);
    later(&machine, &pve, 3600);
    guest.flowed(7200.0, 1800.0, 0.0, 1000.0).stop();
    for _ in 0..3 {
        checked(&machine, 0);
        later(&machine, &pve, 600);
    }
    guest.restart(300).traffic(0, 500);
    checked(&machine, 0);
    let status = checked(&machine, 0);
    let counted = used(&status, "q", "qemu/100") - 500;
    assert!(over(1000, 1738..=1862).contains(&counted), "{counted}");
    assert_eq!(row(&status, "q", "qemu/100")["estimated"], true);
}

#[test]
fn a_nic_that_is_a_new_device_never_counts_the_others_again() {
    for replugged in [true, false] {
        let pve = Pve::start();
        let guest = pve.vm(100, "web").nic("net1", "virtio=BC:24:11:00:00:02,bridge=vmbr1");
        guest.traffic(40_000_000_000, 50_000_000_000).traffic_on("net1", 60_000_000_000, 70_000_000_000);
        let machine = watching(&pve, BOTH);
        later(&machine, &pve, 3600);
        guest.flowed(7200.0, 0.0, 1000.0, 2000.0);
        if replugged {
            guest.replug("net0").traffic(9, 9);
        } else {
            guest.unplug("net0");
        }
        guest.traffic_on("net1", 11, 13);
        let status = checked(&machine, 0);
        let (to, from) = to_and_from(&status, "qemu/100");
        // The last row ends up to a minute ago.
        assert!(over(1000, 3530..=3605).contains(&to) && over(2000, 3530..=3605).contains(&from), "{to} {from}");
        assert_eq!(row(&status, "in", "qemu/100")["estimated"], true);
        guest.traffic_on("net1", 100, 1000);
        assert_eq!(to_and_from(&checked(&machine, 0), "qemu/100"), (to + 100, from + 1000), "exact again");
    }
}

#[test]
fn a_new_device_without_any_record_counts_nothing_twice() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web").nic("net1", "virtio=BC:24:11:00:00:02,bridge=vmbr1");
    guest.traffic(0, 50_000_000_000).traffic_on("net1", 0, 70_000_000_000).too_new();
    let machine = watching(&pve, QUOTA);
    later(&machine, &pve, 3600);
    guest.replug("net0");
    machine.check();
    assert_eq!(used(&machine.status(), "q", "qemu/100"), 0, "70 GB are on the counter, and were there before");
    guest.traffic(0, 5);
    machine.check_exits(0);
    assert_eq!(used(&machine.status(), "q", "qemu/100"), 5);
}

#[test]
fn backfill_counts_the_period_until_first_sight() {
    for version in [(8, 4), (9, 1)] {
        for (backfill, seconds) in [("true", true), ("false", false)] {
            let (pve, edge) = (Pve::version(version.0, version.1), Edge::behind());
            pve.vm(100, "web").traffic(0, 9_000_000_000).flowed(90_000.0, 0.0, 10.0, 1000.0);
            let quota = format!("[quota.day]\nallowance = \"1 TB\"\n{}", edge.day());
            let machine = machine(&format!("{}backfill = {backfill}\n{quota}", source(&pve)));
            let status = checked(&machine, 0);
            let counted = used(&status, "day", "qemu/100");
            let ago = edge.ago() as u64;
            let expected = if seconds { over(1000, ago - 62..=ago + 1) } else { 0..=0 };
            assert!(expected.contains(&counted), "{version:?} {backfill}: {counted} of {expected:?}");
            assert_eq!(row(&status, "day", "qemu/100")["estimated"], seconds);
            pve.guest(100).traffic(0, 77);
            assert_eq!(used(&checked(&machine, 0), "day", "qemu/100"), counted + 77, "once");
        }
    }
}

#[test]
fn backfill_takes_the_counters_of_a_guest_started_in_the_period() {
    let (pve, edge) = (Pve::start(), Edge::behind());
    pve.vm(100, "web").restart(900).traffic(11, 123_456);
    let quota = format!("[quota.day]\nallowance = \"1 TB\"\n{}", edge.day());
    let machine = machine(&format!("{}backfill = true\n{quota}", source(&pve)));
    assert_eq!(used(&checked(&machine, 0), "day", "qemu/100"), 123_456, "exact, since it was off before");
}

#[test]
fn backfill_of_a_guest_without_records_starts_at_zero() {
    let (pve, edge) = (Pve::start(), Edge::behind());
    pve.vm(100, "web").traffic(0, 9_000_000_000).too_new();
    let quota = format!("[quota.day]\nallowance = \"1 TB\"\n{}", edge.day());
    let machine = machine(&format!("{}backfill = true\n{quota}", source(&pve)));
    machine.check();
    assert_eq!(used(&machine.status(), "day", "qemu/100"), 0);
}

/// A day between two readings, the period's edge in it; so many bytes flowed in all, as recorded by `flows`.
/// What is used of the period since the edge.
#[track_caller]
fn divided(version: (u32, u32), bytes: u64, flows: impl Fn(&Edge, Guest<'_>)) -> u64 {
    let (pve, edge) = (Pve::version(version.0, version.1), Edge::behind());
    let guest = pve.vm(100, "web").traffic(0, 7_000);
    let machine = watching(&pve, &format!("[quota.day]\nallowance = \"1 TB\"\n{}", edge.day()));
    later(&machine, &pve, 86_400);
    guest.traffic(0, bytes);
    flows(&edge, guest);
    machine.check();
    let status = machine.status();
    assert_eq!(row(&status, "day", "qemu/100")["estimated"], true);
    used(&status, "day", "qemu/100")
}

#[test]
fn a_delta_over_the_edge_of_a_period_is_divided_as_it_was_recorded() {
    for version in [(8, 4), (9, 1)] {
        let before = divided(version, 7_200_000, |edge, guest| {
            let ago = edge.ago();
            guest.flowed(90_000.0, ago + 3600.0, 0.0, 0.0).flowed(ago + 3600.0, ago, 0.0, 2000.0);
            guest.flowed(ago, 0.0, 0.0, 0.0);
        });
        assert!(before <= 1, "{version:?}: all of it flowed before the edge: {before}");
        let after = divided(version, 3_600_000, |edge, guest| {
            let ago = edge.ago();
            guest.flowed(90_000.0, ago, 0.0, 0.0).flowed(ago, ago - 1800.0, 0.0, 2000.0);
            guest.flowed(ago - 1800.0, 0.0, 0.0, 0.0);
        });
        assert!((3_599_999..=3_600_000).contains(&after), "{version:?}: all of it flowed since: {after}");
        let half = divided(version, 7_200_000, |edge, guest| {
            let ago = edge.ago();
            guest.flowed(90_000.0, ago + 1800.0, 0.0, 0.0).flowed(ago + 1800.0, ago - 1800.0, 0.0, 2000.0);
            guest.flowed(ago - 1800.0, 0.0, 0.0, 0.0);
        });
        assert!((3_599_998..=3_600_002).contains(&half), "{version:?}: {half}");
    }
}

#[test]
fn a_delta_over_the_edge_without_records_is_divided_by_time() {
    let ago = Edge::behind().ago();
    let counted = divided((9, 1), 864_000_000, |_, guest| {
        guest.too_new();
    });
    let expected = 864_000_000.0 * ago / 86_400.0;
    assert!((counted as f64 - expected).abs() < 10_000.0 * 5.0, "{counted} of {expected}");
}

#[test]
fn counters_use_all_64_bits() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web").traffic(0, (1 << 60) + 1);
    let machine = watching(&pve, QUOTA);
    guest.traffic(0, 3);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 3, "no figure goes through floating point");
}

#[test]
fn small_flows_do_not_vanish() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web");
    let machine = watching(&pve, BOTH);
    for count in 1..=5 {
        guest.traffic(1, 2);
        assert_eq!(to_and_from(&checked(&machine, 0), "qemu/100"), (count, 2 * count));
    }
}

#[test]
fn a_row_without_its_counters_is_unknown_and_never_zero() {
    for (field, value) in [
        ("netout", None),
        ("netin", None),
        ("uptime", None),
        ("netout", Some(Value::Null)),
        ("netout", Some(json!(-1))),
        ("netout", Some(json!("much"))),
        ("netout", Some(json!("NaN"))),
        ("netout", Some(json!([7_000]))),
        ("netout", Some(json!(true))),
        ("netout", Some(json!(1e300))),
        ("uptime", Some(json!("long"))),
        ("uptime", Some(json!(-5))),
    ] {
        let pve = Pve::start();
        pve.vm(100, "web").traffic(5_000, 7_000);
        pve.vm(101, "mail");
        let machine = watching(&pve, QUOTA);
        pve.guest(100).traffic(0, 70);
        checked(&machine, 0);
        pve.guest(100).traffic(0, 5).says(field, value.clone());
        pve.guest(101).traffic(0, 9);
        let status = checked(&machine, 3);
        assert_eq!(used(&status, "q", "qemu/100"), 70, "{field}: {value:?}");
        assert_eq!(row(&status, "q", "qemu/100")["stale"], true, "{field}: {value:?}");
        assert_eq!(used(&status, "q", "qemu/101"), 9, "the others go on");
        pve.guest(100).says_the_truth();
        assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 75, "{field}: {value:?}");
    }
}

#[test]
fn numbers_that_are_texts_are_numbers() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web").traffic(5_000, 7_000);
    let machine = watching(&pve, BOTH);
    for (field, value) in
        [("netout", "7020"), ("netin", "5010"), ("vmid", "100"), ("uptime", "86400"), ("template", "0")]
    {
        guest.says(field, json!(value));
    }
    assert_eq!(to_and_from(&checked(&machine, 0), "qemu/100"), (10, 20));
}

/// VM 100 has used 9500 of 1000 bytes when it is seen again after a day, with a period's edge in it. How many power
/// calls and edits that led to, and what counts as used since the edge.
#[track_caller]
fn acted_after_a_day(action: &str, records: impl Fn(&Edge, &Pve)) -> (usize, usize, u64) {
    let (pve, telegram, edge) = (Pve::start(), Telegram::new(), Edge::behind());
    pve.vm(100, "web");
    let machine = armed(&pve, &telegram, &edge.day(), action);
    later(&machine, &pve, 86_400);
    pve.guest(100).traffic(0, 9_500);
    records(&edge, &pve);
    for _ in 0..3 {
        machine.check();
    }
    (pve.powers().len(), pve.changes().len(), used(&machine.status(), "q", "qemu/100"))
}

#[test]
fn what_may_belong_to_the_period_before_does_not_act() {
    for action in ["kind = \"pve-stop\"", "kind = \"pve-rate-limit\"\nrate = \"1 MB/s\""] {
        let before = acted_after_a_day(action, |edge, pve| {
            let ago = edge.ago();
            pve.guest(100).flowed(90_000.0, ago + 3_600.0, 0.0, 0.0);
            pve.guest(100).flowed(ago + 3_600.0, ago, 0.0, 9_500.0 / 3_600.0).flowed(ago, 0.0, 0.0, 0.0);
        });
        assert_eq!((before.0, before.1), (0, 0), "{action}: recorded before the edge; {before:?}");
        let after = acted_after_a_day(action, |edge, pve| {
            let ago = edge.ago();
            pve.guest(100).flowed(90_000.0, ago, 0.0, 0.0);
            pve.guest(100).flowed(ago, ago - 1_200.0, 0.0, 9_500.0 / 1_200.0).flowed(ago - 1_200.0, 0.0, 0.0, 0.0);
        });
        assert_eq!(after.0 + after.1, 1, "{action}: recorded after the edge; {after:?}");
        let unknown = acted_after_a_day(action, |_, pve| {
            pve.guest(100).too_new();
        });
        assert_eq!((unknown.0, unknown.1), (0, 0), "{action}: nobody knows when it flowed; {unknown:?}");
        let unread = acted_after_a_day(action, |_, pve| {
            pve.always(Call::Rrd, Wrong::failure("RRD error: mmaping file: Invalid argument"));
        });
        assert_eq!((unread.0, unread.1), (0, 0), "{action}: the records cannot be read now; {unread:?}");
    }
}

#[test]
fn a_node_silent_over_the_edge_of_a_period_acts_for_nothing() {
    for action in ["kind = \"pve-stop\"", "kind = \"pve-rate-limit\"\nrate = \"1 MB/s\""] {
        for recorded in [true, false] {
            let (pve, telegram, edge) = (Pve::start(), Telegram::new(), Edge::behind());
            pve.vm(100, "web");
            pve.vm(101, "other").on("pve2");
            let machine = machine(&acting(&pve, &telegram, &edge.day(), action));
            machine.check_exits(0);
            pve.guest(100).traffic(0, 100);
            machine.check_exits(0);
            later(&machine, &pve, 86_400);
            pve.down("pve1");
            pve.guest(100).traffic(0, 5_000);
            for _ in 0..2 {
                machine.check();
                assert_eq!(pve.powers().len() + pve.changes().len(), 0, "{action}, recorded: {recorded}: while silent");
            }
            pve.up();
            let ago = edge.ago();
            if recorded {
                pve.guest(100).flowed(90_000.0, ago + 3_600.0, 0.0, 0.0).flowed(
                    ago + 3_600.0,
                    ago,
                    0.0,
                    5_000.0 / 3_600.0,
                );
                pve.guest(100).flowed(ago, 0.0, 0.0, 0.0);
            } else {
                pve.guest(100).too_new();
            }
            for run in 0..3 {
                machine.check();
                let done = pve.powers().len() + pve.changes().len();
                let counted = used(&machine.status(), "q", "qemu/100");
                assert_eq!(done, 0, "{action}, recorded: {recorded}, run {run}: {counted}");
            }
        }
    }
}

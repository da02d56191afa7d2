//! `prune`: what it deletes is unknown afterwards, and everything else says what it said.

use super::life::{Life, Report};
use crate::machine::{Machine, snapshot};

/// Two interfaces, each day from 2026-10-01 to 2026-11-20 at noon: 2,400 bytes sent on `eth0`, 4,800 on `eth1`. A
/// calibration on each tenth.
fn seven_weeks() -> Life {
    let config = "[source.interface]\ninterfaces = [\"eth*\"]\n[quota.month]\nallowance = \"1 TB\"\n";
    let life = Life::begin(Machine::new().interface("eth1", 3, 3).config(config), "2026-10-01 12:00:00");
    life.check();
    for day in 2..=51 {
        life.pass(time::Duration::days(1));
        life.machine.grow("eth0", 240, 2_400);
        life.machine.grow("eth1", 480, 4_800);
        life.check();
        if day % 10 == 0 {
            life.run(&["calibrate", "month", "eth0", "5 GB"]).exits(0);
        }
    }
    // What was calibrated is written with the next check.
    life.run(&["check"]).exits(0);
    life
}

fn october(life: &Life) -> Report {
    let report = life.report(&["--from", "2026-10-01", "--to", "2026-10-31", "--by", "day"]);
    report.adds_up();
    report
}

fn days_of(report: &Report, subject: &str) -> Vec<Option<u64>> {
    report.of(subject)["buckets"].as_array().unwrap().iter().map(|span| span["out"].as_u64()).collect()
}

/// Bytes of the running month by subject and day, received and sent in all.
fn november(life: &Life) -> (Vec<Option<u64>>, u64, u64) {
    let report = life.report(&["--period", "month"]);
    report.adds_up();
    ([days_of(&report, "eth0"), days_of(&report, "eth1")].concat(), report.received(), report.out())
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn before_a_date() {
    let life = seven_weeks();
    let (days, month) = (october(&life), november(&life));
    assert_eq!(days.out(), 7_200 * 30 + 3_600);
    let events = life.log().len();
    let before = snapshot(life.machine.state_dir());
    let told = life.run(&["prune", "--before", "2026-10-15", "--debug"]).exits(0).prints("would").stdout;
    assert!(told.contains("eth0") && told.contains("eth1"), "{told}");
    for (name, file) in &before {
        let after = &snapshot(life.machine.state_dir())[name];
        assert!(after.bytes == file.bytes || name.ends_with("-shm"), "--debug wrote {name}");
    }
    assert_eq!(october(&life).0["subjects"], days.0["subjects"]);
    let told = life.run(&["prune", "--before", "2026-10-15"]).exits(0).prints("deleted").stdout;
    let rows = |text: &str| text.split(" row").next().unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(rows(told.split("deleted: ").nth(1).unwrap()) > 28, "{told}");
    let pruned = october(&life);
    for (subject, per_day) in [("eth0", 2_400), ("eth1", 4_800)] {
        let sent = days_of(&pruned, subject);
        assert_eq!(sent[..14], [None; 14], "{subject}: unknown, not zero");
        assert_eq!(sent[14..], [Some(per_day); 17], "{subject}: as it was");
    }
    assert_eq!(pruned.0["total"]["partial"], true);
    assert_eq!(november(&life), month, "the running month");
    assert_eq!(life.log().len(), events - 1, "the event of that time is gone, the others are there");
    life.run(&["prune", "--before", "2026-10-15"]).exits(0);
    assert_eq!(october(&life).0["subjects"], pruned.0["subjects"], "again is no more");
    life.pass(time::Duration::days(1));
    life.machine.grow("eth0", 240, 2_400);
    life.machine.grow("eth1", 480, 4_800);
    life.check();
    assert_eq!(october(&life).0["subjects"], pruned.0["subjects"], "the next check brings nothing back");
    assert_eq!(november(&life).2, month.2 + 7_200);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_range() {
    let life = seven_weeks();
    let month = november(&life);
    life.run(&["prune", "--from", "2026-10-10", "--to", "2026-10-12"]).exits(0).prints("deleted");
    let sent = days_of(&october(&life), "eth0");
    assert_eq!(sent[..9], [[Some(1_200)].as_slice(), &[Some(2_400); 8]].concat(), "as it was");
    assert_eq!(sent[9..12], [None; 3], "unknown, not zero");
    assert_eq!(sent[12..], [Some(2_400); 19], "as it was");
    assert_eq!(november(&life), month);
    let hours = life.report(&["--from", "2026-10-12", "--to", "2026-10-13", "--by", "hour", "--subject", "eth0"]);
    let sent = hours.adds_up().sent();
    assert_eq!((&sent[..24], &sent[24..]), (&[None; 24][..], &[Some(100); 24][..]));
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn one_subject() {
    let life = seven_weeks();
    let (days, month, events) = (october(&life), november(&life), life.log().len());
    life.run(&["prune", "--before", "2026-10-15", "--subject", "eth1"]).exits(0).prints("deleted");
    let pruned = october(&life);
    assert_eq!(days_of(&pruned, "eth0"), days_of(&days, "eth0"));
    assert_eq!(days_of(&pruned, "eth1")[..14], [None; 14]);
    assert_eq!(days_of(&pruned, "eth1")[14..], [Some(4_800); 17]);
    assert_eq!(november(&life), month);
    assert_eq!(life.log().len(), events, "what is logged of the other stays");
    let unknown = life.run(&["prune", "--before", "2026-10-20", "--subject", "eth11"]).exits(2).complains("eth11");
    assert!(unknown.stderr.contains("eth1\"") || unknown.stderr.contains("eth1?"), "the nearest: {}", unknown.stderr);
    assert_eq!(october(&life).0["subjects"], pruned.0["subjects"]);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn the_running_period_is_never_broken() {
    let life = seven_weeks();
    let (month, today) = (november(&life), life.report(&["--period", "day"]).0["subjects"].clone());
    let used = life.status().row_of("eth0")["used"].clone();
    for args in [
        &["--before", "2026-11-20"][..],
        &["--before", "2026-11-20 11:59"],
        &["--from", "2026-11-02", "--to", "2026-11-05"],
        &["--from", "2026-10-20", "--to", "2026-11-20"],
    ] {
        life.run(&[&["prune"], args].concat()).exits(0).prints("2026-11-01 00:00");
        assert_eq!(november(&life), month, "{args:?}");
        assert_eq!(life.report(&["--period", "day"]).0["subjects"], today, "{args:?}");
        assert_eq!(life.status().row_of("eth0")["used"], used, "{args:?}");
    }
    assert_eq!(october(&life).sent(), [None; 31], "all before it is gone");
    life.pass(time::Duration::days(1));
    life.machine.grow("eth0", 0, 1);
    life.check();
    assert_eq!(november(&life).2, month.2 + 1);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn what_makes_no_sense_deletes_nothing() {
    let life = Life::with("[quota.month]\nallowance = \"1 TB\"\n", "2026-11-18 12:00:00");
    life.live(&[("2026-11-18 12:00:00", 0, 0), ("2026-11-19 12:00:00", 5, 6), ("2026-11-20 12:00:00", 5, 6)]);
    let before = snapshot(life.machine.state_dir());
    for (args, words) in [
        (&[][..], &["--before"][..]),
        (&["--before", "2026-02-30"], &["2026-02-30", "28 days"]),
        (&["--before", "tomorrow"], &["tomorrow"]),
        (&["--before", "2027-01-01"], &["future"]),
        (&["--from", "2026-11-19"], &["--to"]),
        (&["--to", "2026-11-19"], &["--from"]),
        (&["--from", "2026-11-19", "--to", "2026-11-18"], &["--from", "--to"]),
        (&["--from", "2026-11-01", "--to", "2026-12-31"], &["future"]),
        (&["--before", "2026-11-01", "--from", "2026-10-01", "--to", "2026-10-02"], &["--before"]),
        (&["--before", "2026-11-01", "--subject", "eth7"], &["eth7"]),
        (&["--before", "2026-11-01", "--instance", "nowhere"], &["nowhere"]),
    ] {
        let run = life.run(&[&["prune"], args].concat()).exits(2);
        for word in words {
            assert!(run.stderr.contains(word), "{args:?}: no {word:?} in {}", run.stderr);
        }
        assert_eq!(run.stdout, "", "{args:?}");
        for (name, file) in snapshot(life.machine.state_dir()) {
            assert!(file.bytes == before[&name].bytes || name.ends_with("-shm"), "{args:?} wrote {name}");
        }
    }
    life.run(&["prune", "--before", "2026-10-01"]).exits(0);
    assert_eq!(life.report(&["--period", "month"]).out(), 12);
}

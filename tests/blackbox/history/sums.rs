//! Exact sums: hours, days, months and billing periods, to the byte, whatever happens between the readings.

use time::Duration;

use super::life::{Life, rfc3339, utc};
use crate::machine::{Dice, Machine};

fn config(zone: &str, rest: &str) -> String {
    format!(
        "[source.interface]\ninterfaces = [\"eth0\"]\n[quota.month]\nallowance = \"1 TB\"\n\
         reset = {{ timezone = \"{zone}\"{rest} }}\n"
    )
}

/// The hours, the days and the whole say the same, and the hours are what was read.
#[track_caller]
fn agrees(life: &Life, truth: &super::life::Truth, range: &[&str], least: usize) {
    let by = |by: &'static str| life.report(&[range, &["--by", by]].concat());
    let (hours, days, months) = (by("hour"), by("day"), by("month"));
    for report in [&hours, &days, &months] {
        report.adds_up();
        assert_eq!((report.received(), report.out()), (hours.received(), hours.out()));
    }
    let compared = truth.agrees_with(&hours);
    assert!(compared >= least, "only {compared} hours");
    truth.agrees_with(&days);
    truth.agrees_with(&months);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn days_of_checks_across_midnights_and_the_end_of_a_month() {
    let life = Life::with(&config("Asia/Shanghai", ""), "2026-10-30 13:17:07");
    let mut dice = Dice(0xB17E5);
    let truth = life.until("2026-11-01 21:00:00", Duration::minutes(24), &mut dice);
    agrees(&life, &truth, &["--from", "2026-10-30", "--to", "2026-11-02"], 50);
    let november = life.report(&["--period", "month"]);
    assert_eq!(november.0["from"], "2026-11-01T00:00:00+08:00", "the month of the quota's zone");
    let used = life.status().used();
    assert_eq!(november.out(), used, "the month is what the quota says");
    assert_eq!(life.report(&["--quota", "month"]).adds_up().out(), used);
    let hours = life.report(&["--period", "month", "--by", "hour"]);
    assert_eq!(hours.adds_up().out(), used);
    assert_eq!(hours.spans().len(), 30 * 24);
    let since = (utc("2026-10-31 16:00:00"), life.now());
    assert_eq!(truth.between(since.0, since.1).1, used);
    let ever = life.report(&["--from", "2026-01-01"]);
    assert_eq!(ever.out(), truth.between(truth.readings[0].0, life.now()).1, "no byte is lost, none is counted twice");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_day_of_23_hours_and_one_of_25() {
    for (start, end, day, hours, offset) in [
        ("2026-03-27 20:00:11", "2026-03-30 20:00:00", "2026-03-29", 23, "+01:00"),
        ("2026-10-23 20:00:11", "2026-10-26 20:00:00", "2026-10-25", 25, "+02:00"),
    ] {
        let life = Life::with(&config("Europe/Berlin", ""), start);
        let truth = life.until(end, Duration::minutes(53), &mut Dice(0xD57));
        let (from, to) = (&start[..10], &end[..10]);
        agrees(&life, &truth, &["--from", from, "--to", to], 60);
        let report = life.report(&["--period", "day", "--date", day]);
        assert_eq!(report.adds_up().spans().len(), hours, "{day}");
        assert_eq!(report.0["from"], format!("{day}T00:00:00{offset}"));
        let edges = [&report.0["from"], &report.0["to"]].map(|edge| rfc3339(edge.as_str().unwrap()));
        assert_eq!((edges[1] - edges[0]).whole_hours(), i64::try_from(hours).unwrap());
        let sent = truth.between(edges[0], edges[1]).1;
        assert_eq!(report.out(), sent, "{day}");
        let days = life.report(&["--from", from, "--to", to, "--by", "day"]);
        let found = days.spans().into_iter().find(|(from, _)| from.starts_with(day)).expect("the day");
        assert_eq!(found.1.map(|(_, tx)| tx), Some(sent), "{day}");
        assert_eq!(days.spans().len(), 4, "one line for each local day");
        let text = life.run(&["report", "--period", "day", "--date", day]).exits(0).stdout;
        let twos = text.lines().filter(|line| line.contains(" 02:00 +0")).count();
        assert_eq!(twos, if hours == 23 { 0 } else { 2 }, "the hour that is not there, or there twice: {text}");
    }
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_billing_period_that_starts_on_the_31st() {
    let life = Life::with(&config("Asia/Shanghai", ", day = 31, at = \"08:00\""), "2026-01-29 03:00:03");
    let mut dice = Dice(0x31);
    let truth = life.until("2026-03-02 12:00:00", Duration::minutes(5 * 60 + 7), &mut dice);
    for (date, start, end) in [
        ("2026-01-30", "2025-12-31T08:00:00+08:00", "2026-01-31T08:00:00+08:00"),
        ("2026-02-10", "2026-01-31T08:00:00+08:00", "2026-02-28T08:00:00+08:00"),
        ("2026-02-28", "2026-02-28T08:00:00+08:00", "2026-03-31T08:00:00+08:00"),
    ] {
        let report = life.report(&["--quota", "month", "--date", date]);
        assert_eq!((&report.0["from"], &report.0["to"]), (&start.into(), &end.into()), "{date}");
        let expected = truth.between(rfc3339(start), rfc3339(end));
        assert_eq!((report.adds_up().received(), report.out()), expected, "{date}");
    }
    let running = life.report(&["--quota", "month"]);
    assert_eq!(running.0["from"], "2026-02-28T08:00:00+08:00");
    assert_eq!(running.out(), life.status().used());
    let closed = life.report(&["--quota", "month", "--date", "2026-02-10", "--by", "hour"]);
    assert_eq!(closed.adds_up().out(), life.report(&["--quota", "month", "--date", "2026-02-10"]).out());
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_reboot_counts_from_the_boot_on() {
    let life = Life::with(&config("Etc/UTC", ""), "2026-11-19 08:00:00");
    life.check();
    life.live(&[("2026-11-19 09:30:00", 50, 90), ("2026-11-19 10:00:00", 5, 9)]);
    life.at("2026-11-19 14:00:00");
    // Up since 12:30: nothing can have flowed in the two and a half hours before.
    life.reboot(Duration::minutes(90), 900, 1_800);
    life.check();
    life.live(&[("2026-11-19 15:00:00", 1, 2)]);
    let report = life.report(&["--period", "day"]);
    report.adds_up();
    assert_eq!((report.received(), report.out()), (956, 1_901));
    let sent = report.sent();
    assert_eq!(sent[8..15], [Some(60), Some(39), Some(0), Some(0), Some(600), Some(1_200), Some(2)]);
    assert_eq!(life.status().used(), 1_901);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_gap_is_divided_by_time_and_marked() {
    let life = Life::with(&config("Etc/UTC", ""), "2026-11-10 00:00:00");
    life.check();
    life.live(&[("2026-11-10 12:00:00", 0, 1_200), ("2026-11-15 12:00:00", 0, 5_000)]);
    let report = life.report(&["--from", "2026-11-09", "--to", "2026-11-15", "--by", "day"]);
    let sent = report.adds_up().sent();
    assert_eq!(sent, [None, Some(1_700), Some(1_000), Some(1_000), Some(1_000), Some(1_000), Some(500)]);
    let spans = report.0["total"]["buckets"].as_array().unwrap();
    let marked: Vec<bool> = spans[1..].iter().map(|span| span["estimated"] == true).collect();
    assert_eq!(marked, [true; 6], "{}", report.0);
    assert_eq!(report.out(), 6_200);
    assert_eq!(life.status().used(), 6_200);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_gap_of_months_loses_no_byte() {
    let life = Life::with(&config("Asia/Shanghai", ""), "2025-12-30 00:00:00");
    life.check();
    life.live(&[("2025-12-30 12:00:00", 7, 1_200), ("2026-11-15 12:00:00", 1_000_003, 77_000_001)]);
    for by in ["day", "month"] {
        let report = life.report(&["--from", "2025-12-01", "--to", "2026-11-15", "--by", by]);
        assert_eq!((report.adds_up().received(), report.out()), (1_000_010, 77_001_201), "{by}");
    }
    let month = life.report(&["--period", "month"]);
    assert_eq!(month.out(), life.status().used());
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn days_are_those_of_the_quotas_zone() {
    let life = Life::with(&config("Pacific/Kiritimati", ""), "2026-11-19 09:00:00");
    // Midnight of the quota is at 10:00 of the machine, whose own zone is UTC.
    life.check();
    life.live(&[("2026-11-19 10:00:00", 0, 11), ("2026-11-19 11:00:00", 0, 500), ("2026-11-20 11:00:00", 0, 2_400)]);
    let report = life.report(&["--from", "2026-11-19", "--to", "2026-11-21", "--by", "day"]);
    assert_eq!(report.0["zone"], "Pacific/Kiritimati");
    assert_eq!(report.spans()[0], ("2026-11-19T00:00:00+14:00".to_owned(), Some((0, 11))));
    assert_eq!(report.sent(), [Some(11), Some(2_800), Some(100)]);
    let today = life.report(&["--period", "day"]);
    assert_eq!((today.0["from"].as_str(), today.out()), (Some("2026-11-21T00:00:00+14:00"), 100));
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn what_is_before_the_first_check_is_unknown_and_not_zero() {
    let life = Life::with(&config("Etc/UTC", ""), "2026-11-19 12:00:00");
    life.live(&[("2026-11-19 12:00:00", 0, 0), ("2026-11-19 13:00:00", 0, 30), ("2026-11-20 01:00:00", 0, 120)]);
    let report = life.report(&["--from", "2026-11-17", "--to", "2026-11-20", "--by", "day"]);
    assert_eq!(report.sent(), [None, None, Some(140), Some(10)]);
    assert_eq!(report.0["total"]["partial"], true);
    assert_eq!(report.0["total"]["buckets"][2]["partial"], true, "half of that day is unknown");
    assert_eq!(report.0["total"]["buckets"][3]["partial"], false);
    let text = life.run(&["report", "--from", "2026-11-17", "--to", "2026-11-20", "--by", "day"]).exits(0).stdout;
    let line = text.lines().find(|line| line.contains("2026-11-17")).expect("the day");
    assert!(line.contains('–') && !line.contains(" 0 "), "{text}");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_clock_that_is_set_back_loses_and_doubles_nothing() {
    let life = Life::with(&config("Etc/UTC", ""), "2026-11-19 08:00:00");
    life.live(&[("2026-11-19 08:00:00", 0, 0), ("2026-11-19 09:00:00", 0, 100)]);
    life.set_clock("2026-11-19 06:00:00");
    life.machine.grow("eth0", 0, 50);
    // The doubt is told; the figures are not lost.
    life.run(&["check"]);
    life.set_clock("2026-11-19 10:00:00");
    life.machine.grow("eth0", 0, 25);
    life.run(&["check"]);
    let used = life.status().used();
    assert_eq!(used, 175);
    let report = life.report(&["--period", "month"]);
    assert_eq!(report.adds_up().out(), used);
    assert_eq!(life.report(&["--period", "month", "--by", "hour"]).adds_up().out(), used);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn samples_that_are_thinned_out_leave_every_hour_and_day_as_it_was() {
    let keep = "[history]\nkeep = { samples = \"1 d\", hours = \"2 d\" }\n";
    let life = Life::with(&format!("{}{keep}", config("Asia/Shanghai", "")), "2026-11-01 00:10:00");
    let mut dice = Dice(0x7417);
    let truth = life.until("2026-11-03 00:00:00", Duration::minutes(18), &mut dice);
    agrees(&life, &truth, &["--from", "2026-11-01", "--to", "2026-11-02"], 30);
    let day = |life: &Life| life.report(&["--from", "2026-11-01", "--to", "2026-11-02", "--by", "day"]).spans();
    let before = day(&life);
    // Hours later, then days later: first samples go, then hours.
    for _ in 0..60 {
        life.pass(Duration::minutes(106));
        life.check();
    }
    assert_eq!(day(&life), before, "local days stay for good");
    let whole = life.report(&["--period", "month"]);
    assert_eq!(whole.adds_up().out(), life.status().used());
    assert_eq!(whole.out(), truth.between(truth.readings[0].0, life.now()).1);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn an_interface_that_is_gone_keeps_its_bytes_when_samples_are_thinned_out() {
    let config = "[source.interface]\ninterfaces = [\"eth*\"]\n[quota.month]\nallowance = \"1 TB\"\n\
                  [history]\nkeep = { samples = \"1 d\", hours = \"2 d\" }\n";
    let life = Life::begin(Machine::new().interface("eth1", 3, 3).config(config), "2026-11-02 12:20:00");
    life.check();
    life.at("2026-11-02 15:40:00");
    life.machine.grow("eth1", 0, 2_000);
    life.check();
    life.machine.remove_interface("eth1");
    for _ in 0..90 {
        life.pass(Duration::hours(2));
        life.machine.grow("eth0", 0, 1);
        life.run(&["check"]);
    }
    let report = life.report(&["--period", "month"]);
    assert_eq!(report.adds_up().of("eth1")["out"], 2_000);
    assert_eq!(report.out(), 2_090);
}

//! Which time, which subjects, which direction `report` is asked for, and what it says of questions nobody can answer.

use super::life::{Life, rfc3339};
use crate::machine::Machine;

/// Two interfaces, two days of traffic up to Friday, 2026-11-20, 22:00: 10 bytes a received hour each on `eth0`, 1,000 on
/// `eth1`; sent is twice as much.
fn two_cards() -> Life {
    let config = "[source.interface]\ninterfaces = [\"eth*\"]\n[quota.month]\nallowance = \"1 TB\"\n";
    let life = Life::begin(Machine::new().interface("eth1", 3, 3).config(config), "2026-11-18 22:00:00");
    life.check();
    for _ in 0..48 {
        life.pass(time::Duration::hours(1));
        life.machine.grow("eth0", 10, 20);
        life.machine.grow("eth1", 1_000, 2_000);
        life.check();
    }
    life
}

/// The start, the end and the number of spans of a report.
fn span(life: &Life, args: &[&str]) -> (String, String, usize) {
    let report = life.report(args);
    let text = |name: &str| report.0[name].as_str().unwrap().trim_end_matches(":00Z").to_owned();
    report.adds_up();
    (text("from").replace("+00:00", ""), text("to").replace("+00:00", ""), report.spans().len())
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn every_way_to_say_a_time() {
    let life = two_cards();
    let is = |args: &[&str], from: &str, to: &str, spans: usize| {
        let found = span(&life, args);
        assert!(found.0.starts_with(from) && found.1.starts_with(to) && found.2 == spans, "{args:?}: {found:?}");
    };
    is(&[], "2026-11-01T00:00", "2026-12-01T00:00", 30);
    is(&["--period", "month"], "2026-11-01T00:00", "2026-12-01T00:00", 30);
    is(&["--period", "hour"], "2026-11-20T22:00", "2026-11-20T23:00", 12);
    is(&["--period", "day"], "2026-11-20T00:00", "2026-11-21T00:00", 24);
    is(&["--period", "week"], "2026-11-16T00:00", "2026-11-23T00:00", 7);
    is(&["--period", "year"], "2026-01-01T00:00", "2027-01-01T00:00", 12);
    is(&["--period", "hour", "--date", "2026-11-19 14:20"], "2026-11-19T14:00", "2026-11-19T15:00", 12);
    is(&["--period", "day", "--date", "2026-11-19"], "2026-11-19T00:00", "2026-11-20T00:00", 24);
    is(&["--period", "week", "--date", "2026-11-22"], "2026-11-16T00:00", "2026-11-23T00:00", 7);
    is(&["--period", "month", "--date", "2026-02"], "2026-02-01T00:00", "2026-03-01T00:00", 28);
    is(&["--period", "year", "--date", "2024"], "2024-01-01T00:00", "2025-01-01T00:00", 12);
    is(&["--from", "2026-11-19", "--to", "2026-11-19"], "2026-11-19T00:00", "2026-11-20T00:00", 24);
    is(
        &["--from", "2026-11-18 20:30", "--to", "2026-11-18 23:30", "--by", "hour"],
        "2026-11-18T20:30",
        "2026-11-18T23:30",
        4,
    );
    is(&["--from", "2026-11-19"], "2026-11-19T00:00", "2026-11-20T22:00", 46);
    is(&["--from", "2026-10", "--to", "2026-11", "--by", "month"], "2026-10-01T00:00", "2026-12-01T00:00", 2);
    is(
        &["--from", "2026-11-19T00:00:00+08:00", "--to", "2026-11-20T00:00:00+08:00", "--by", "day"],
        "2026-11-18T16:00",
        "2026-11-19T16:00",
        2,
    );
    is(&["--period", "month", "--by", "month"], "2026-11-01T00:00", "2026-12-01T00:00", 1);
    is(&["--period", "day", "--by", "day"], "2026-11-20T00:00", "2026-11-21T00:00", 1);
    is(&["--period", "week", "--by", "hour"], "2026-11-16T00:00", "2026-11-23T00:00", 168);
    is(&["--quota", "month"], "2026-11-01T00:00", "2026-12-01T00:00", 30);
    for args in [&["--period", "month"][..], &["--from", "2026-11-18"], &["--period", "year"], &["--quota", "month"]] {
        let report = life.report(args);
        assert_eq!((report.received(), report.out()), (48 * 1_010, 48 * 2_020), "{args:?}");
    }
    let hour = life.report(&["--period", "hour", "--date", "2026-11-19 14:20"]);
    assert_eq!((hour.received(), hour.out()), (1_010, 2_020));
    assert_eq!(rfc3339(hour.0["at"].as_str().unwrap()), life.now());
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn subjects_and_directions() {
    let life = two_cards();
    let all = life.report(&["--period", "month"]);
    assert_eq!(all.subjects(), ["eth1", "eth0"], "those that used most first");
    assert_eq!((all.of("eth0")["in"].as_u64(), all.of("eth0")["out"].as_u64()), (Some(480), Some(960)));
    assert_eq!(all.of("eth0")["sum"], 1_440);
    for (wanted, found) in [
        (&["--subject", "eth0"][..], &["eth0"][..]),
        (&["--subject", "eth?"], &["eth1", "eth0"]),
        (&["--subject", "*1"], &["eth1"]),
        (&["--subject", "interface/eth1"], &["eth1"]),
        (&["--subject", "eth0", "--subject", "eth1"], &["eth1", "eth0"]),
    ] {
        let report = life.report(&[&["--period", "month"], wanted].concat());
        assert_eq!(report.adds_up().subjects(), found, "{wanted:?}");
    }
    assert_eq!(life.report(&["--period", "month", "--subject", "eth1"]).out(), 48 * 2_000);
    for (direction, shown, hidden) in [("out", "OUT", "IN"), ("in", "IN", "OUT"), ("both", "SUM", "\u{0}")] {
        let text = life.run(&["report", "--direction", direction]).exits(0).stdout;
        let titles = text.lines().find(|line| line.contains("SUBJECT")).expect("titles");
        assert!(titles.contains(shown) && !titles.contains(hidden), "{direction}: {text}");
        assert_eq!(life.report(&["--direction", direction]).0["direction"], direction);
    }
    let unknown = life.run(&["report", "--subject", "eth00"]).exits(2).complains("eth00");
    assert!(unknown.stderr.contains("eth0\"") || unknown.stderr.contains("eth0?"), "the nearest: {}", unknown.stderr);
    assert_eq!(unknown.stdout, "");
    life.run(&["report", "--subject", "wlan*"]).exits(2).complains("wlan*");
    life.run(&["report", "--quota", "mnoth"]).exits(2).complains("mnoth").complains("month");
    assert_eq!(life.report(&["--instance", "blackbox-host"]).out(), all.out());
    assert_eq!(life.report(&["--instance", "all"]).out(), all.out());
    life.run(&["report", "--instance", "blackbox-hots"]).exits(2).complains("blackbox-hots").complains("blackbox-host");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn times_that_do_not_exist_and_questions_that_make_no_sense() {
    let life = Life::with("[quota.month]\nallowance = \"1 TB\"\n", "2026-11-20 22:00:00");
    life.check();
    for (args, words) in [
        (&["--date", "2026-02-30"][..], &["2026-02-30", "28 days"][..]),
        (&["--date", "2026-13-01"], &["2026-13-01", "12 months"]),
        (&["--date", "yesterday"], &["yesterday", "2026-11-21"]),
        (&["--date", ""], &["2026-11-21"]),
        (&["--date", "0000-01-01"], &["0000-01-01"]),
        (&["--date", "2026-11-20 25:00", "--period", "hour"], &["25:00"]),
        (&["--date", "99999999999999999999"], &["99999999999999999999"]),
        (&["--from", "2027-02-29", "--to", "2027-03-01"], &["2027-02-29", "28 days"]),
        (&["--from", "2026-11-20", "--to", "2026-11-19"], &["--from", "--to"]),
        (&["--from", "2026-11-20 10:00", "--to", "2026-11-20 10:00"], &["--from", "--to"]),
        (&["--from", "2026-12-24"], &["future"]),
        (&["--to", "2026-11-20"], &["--from"]),
        (&["--period", "hour", "--date", "2026-11-20"], &["2026-11-21 14:00"]),
        (&["--period", "day", "--date", "2026-11"], &["2026-11-21"]),
        (&["--period", "fortnight"], &["fortnight", "week"]),
        (&["--by", "second"], &["second", "hour"]),
        (&["--direction", "up"], &["up", "out"]),
        (&["--format", "xml"], &["xml", "json"]),
        (&["--period", "day", "--from", "2026-11-20"], &["--period"]),
        (&["--from", "1970-01-01", "--by", "hour"], &["--by"]),
    ] {
        let run = life.run(&[&["report"], args].concat()).exits(2);
        for word in words {
            assert!(run.stderr.contains(word), "{args:?}: no {word:?} in {}", run.stderr);
        }
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(run.stderr.lines().count() <= 8, "{args:?}: {}", run.stderr);
    }
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn in_chinese() {
    let config =
        "language = \"zh\"\n[source.interface]\ninterfaces = [\"eth*\"]\n[quota.month]\nallowance = \"1 TB\"\n";
    let life = Life::begin(Machine::new().interface("eth1", 3, 3).config(config), "2026-11-20 12:00:00");
    life.live(&[("2026-11-20 12:00:00", 0, 0), ("2026-11-20 13:30:00", 500, 1_000)]);
    let text = life.run(&["report", "--period", "day"]).exits(0).stdout;
    for word in ["对象", "时间", "入", "出", "合计", "没有记录"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    assert!(!text.contains("SUBJECT") && !text.contains("known"), "{text}");
    life.run(&["calibrate", "month", "eth0", "5 kB"]).exits(0);
    let log = life.run(&["report", "--log"]).exits(0).stdout;
    for word in ["时间", "校准", "完成", "eth0"] {
        assert!(log.contains(word), "no {word} in {log}");
    }
    let quiet = life.run(&["report", "--log", "--period", "hour", "--date", "2026-11-19 10:00"]).exits(0).stdout;
    assert!(quiet.contains("没有"), "{quiet}");
    let page = life.run(&["report", "--format", "html"]).exits(0).stdout;
    assert!(page.contains("lang=\"zh"), "the page says its language");
    let document = life.report(&[]);
    assert_eq!(document.0["by"], "day", "what scripts read is the same in every language");
}

//! `status`: the table and the document; needs neither lock nor network and changes nothing.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::machine::{Machine, quota_and_telegram, snapshot};
use crate::telegram::{Fault, Telegram};

const ROW: &[&str] = &[
    "quota",
    "subject",
    "source",
    "used",
    "allowance",
    "remaining",
    "percent",
    "period",
    "tier",
    "forecast",
    "as_of",
    "stale",
    "estimated",
];

fn metered() -> Machine {
    let machine = Machine::new().config("[quota.month]\nallowance = \"1 MB\"\ntiers = [\"80%\", \"90%\"]\n");
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_345);
    machine.check_exits(0);
    machine
}

#[test]
fn the_document_has_every_field_of_the_contract() {
    let machine = metered();
    let status = machine.status();
    assert_eq!(status.0["version"], 1);
    for list in ["quotas", "alarms", "held", "pending", "problems"] {
        assert!(status.0[list].is_array(), "{list}");
    }
    let row = status.row();
    for field in ROW {
        assert!(row.get(field).is_some(), "no {field} in {row}");
    }
    assert_eq!(row["quota"], "month");
    assert_eq!(row["subject"], "eth0");
    assert_eq!(row["used"].as_u64(), Some(812_345));
    assert_eq!(row["allowance"].as_u64(), Some(1_000_000));
    assert_eq!(row["remaining"].as_i64(), Some(187_655));
    let percent = row["percent"].as_f64().expect("percent is a number");
    assert!((percent - 81.2345).abs() < 0.01, "{percent}");
    assert_eq!(row["tier"], "80%");
    assert_eq!(row["period"]["kind"], "month");
    assert_eq!((row["stale"].as_bool(), row["estimated"].as_bool()), (Some(false), Some(false)));
    let forecast = &row["forecast"];
    assert!(forecast.is_null() || forecast.get("at_end").is_some() && forecast.get("exhausted_at").is_some());
}

#[test]
fn times_are_rfc_3339_with_the_offset_of_the_zone() {
    let machine = Machine::new().config("timezone = \"Asia/Shanghai\"\n[quota.month]\nallowance = \"1 MB\"\n");
    machine.check_exits(0);
    let status = machine.status();
    let row = status.row();
    let time = |value: &serde_json::Value| {
        let text = value.as_str().expect("a time");
        OffsetDateTime::parse(text, &Rfc3339).unwrap_or_else(|e| panic!("{text}: {e}"))
    };
    let (start, end) = (time(&row["period"]["start"]), time(&row["period"]["end"]));
    let (as_of, at) = (time(&row["as_of"]), time(&status.0["at"]));
    assert!(start <= as_of && as_of <= at && at < end, "{start} {as_of} {at} {end}");
    for edge in [start, end] {
        assert_eq!(edge.offset().whole_hours(), 8);
        assert_eq!((edge.day(), edge.hour(), edge.minute()), (1, 0, 0));
    }
}

#[test]
fn nothing_is_known_before_the_first_run() {
    let machine = Machine::new();
    machine.run(&["status"]).exits(0);
    assert_eq!(machine.status().0["quotas"].as_array().unwrap().len(), 0);
    assert_eq!(snapshot(machine.state_dir()).len(), 1, "status makes no file");
}

#[test]
fn the_table_shows_subject_figures_percent_and_tier() {
    let run = metered().run(&["status"]).exits(0);
    for text in ["eth0", "month", "81.2", "80%", "MB"] {
        assert!(run.stdout.contains(text), "no {text} in:\n{}", run.stdout);
    }
    assert_eq!(run.stderr, "");
}

#[test]
fn there_is_no_colour_when_it_is_not_a_terminal() {
    let run = metered().run(&["status"]).exits(0).prints("eth0");
    assert!(!run.stdout.contains('\u{1b}'), "{:?}", run.stdout);
}

#[test]
fn a_percentage_is_never_printed_as_reached_when_it_is_not() {
    let machine = Machine::new().config("[quota.month]\nallowance = \"1 MB\"\ntiers = [\"80%\"]\n");
    machine.check_exits(0);
    machine.grow("eth0", 0, 799_999);
    machine.check_exits(0).quietly();
    let run = machine.run(&["status"]).exits(0);
    assert!(run.stdout.contains("79.9") && !run.stdout.contains("80.0"), "{}", run.stdout);
    assert!(machine.status().row()["percent"].as_f64().unwrap() < 80.0);
    assert!(machine.status().row()["tier"].is_null());
    machine.grow("eth0", 0, 1);
    machine.check_exits(0).prints("80");
}

#[test]
fn status_reads_without_the_lock_and_changes_nothing() {
    let machine = metered();
    let lock = std::fs::File::open(machine.state_dir().join("state.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let before = snapshot(machine.state_dir());
    machine.run(&["status"]).exits(0).prints("eth0");
    assert_eq!(machine.status().used(), 812_345);
    assert_eq!(snapshot(machine.state_dir()), before);
}

#[test]
fn status_asks_nobody() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    machine.grow("eth0", 0, 900_000);
    telegram.always(Fault::Broken);
    machine.check_exits(3);
    let asked = telegram.requests();
    let status = machine.status();
    assert_eq!(telegram.requests(), asked);
    assert_eq!(status.count("pending"), 1);
}

#[test]
fn status_exits_0_whatever_the_usage_is() {
    let machine = metered();
    machine.grow("eth0", 0, 5_000_000);
    machine.check_exits(0);
    let status = machine.status();
    assert_eq!(status.used(), 5_812_345);
    assert!(status.row()["remaining"].as_i64().unwrap() <= 0);
}

#[test]
fn closed_standard_output_is_no_panic() {
    let machine = metered();
    for args in [&["status"][..], &["status", "--json"], &["--help"], &["check", "--debug"], &["check", "--json"]] {
        assert!(!machine.run(args).exits(0).stdout.is_empty(), "{args:?} has something to print");
        let mut command = machine.command(args);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer).stderr(std::process::Stdio::piped());
        let ended = command.spawn().unwrap().wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!complaint.contains("panicked"), "{args:?}: {complaint}");
        assert_ne!(ended.status.code(), Some(101), "{args:?}");
    }
}

#[test]
fn status_beside_a_running_check_is_always_whole() {
    let machine = metered();
    let mut last = machine.status().used();
    for _ in 0..20 {
        machine.grow("eth0", 0, 1);
        let running = crate::machine::spawn(machine.command(&["check"]));
        for _ in 0..3 {
            let used = machine.status().used();
            assert!(used >= last, "{used} after {last}");
            last = used;
        }
        machine.finish(running).exits(0);
    }
    assert_eq!(machine.status().used(), 812_365);
}

//! Where a report goes and as what: the formats, files, folders, and that looking changes nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::life::Life;
use crate::machine::{File, Machine, names, snapshot};
use crate::png;

const CONFIG: &str = "[quota.month]\nallowance = \"1 TB\"\n";

fn an_afternoon() -> Life {
    let life = Life::with(CONFIG, "2026-11-20 12:00:00");
    life.live(&[
        ("2026-11-20 12:00:00", 0, 0),
        ("2026-11-20 13:00:00", 1_000, 2_000),
        ("2026-11-20 15:00:00", 3_000, 5_000_000),
    ]);
    life
}

/// What a file of this format must be like.
#[track_caller]
fn looks_like(format: &str, bytes: &[u8]) {
    if format == "png" {
        let (width, height) = png::size(bytes).unwrap();
        assert!(width >= 720 && height >= 300, "legible on a phone: {width} by {height}");
        return;
    }
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.ends_with('\n') || matches!(format, "svg" | "html"), "{format} ends with a line's end");
    match format {
        "text" | "txt" => assert!(text.contains("SUBJECT") && text.contains("eth0") && text.contains('█'), "{text}"),
        "json" => assert_eq!(serde_json::from_str::<serde_json::Value>(text).unwrap()["version"], 1),
        "csv" => {
            assert!(text.starts_with("from,to,source,subject,"), "{text}");
            assert!(text.lines().nth(1).unwrap().contains("interface,eth0,"), "{text}");
            assert!(text.contains(",4000,5002000,"), "whole bytes: {text}");
        }
        "html" => {
            assert!(text.trim_start().to_lowercase().starts_with("<!doctype html>"), "{}", &text[..80]);
            assert!(text.contains("eth0") && text.trim_end().ends_with("</html>"));
            for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
                assert!(!text.contains(outside), "no request goes out: {outside}");
            }
        }
        "svg" => assert!(text.starts_with("<svg") || text.starts_with("<?xml"), "{}", &text[..80]),
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn every_format_to_standard_output_to_a_file_and_to_a_folder() {
    let life = an_afternoon();
    let by = ["--period", "month", "--by", "day"];
    for format in ["text", "json", "csv", "html", "svg", "png"] {
        let out = life.command(&[&["report", "--format", format], &by[..]].concat()).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{format}: {out:?}");
        looks_like(format, &out.stdout);

        let file = life.machine.path("report.anything");
        let args = [&["report", "--format", format, "--output", file.to_str().unwrap()], &by[..]].concat();
        life.run(&args).exits(0).quietly();
        looks_like(format, &fs::read(&file).unwrap());

        let extension = if format == "text" { "txt" } else { format };
        let file = life.machine.path(&format!("by-name.{extension}"));
        life.run(&[&["report", "--output", file.to_str().unwrap()], &by[..]].concat()).exits(0).quietly();
        looks_like(format, &fs::read(&file).unwrap());

        let folder = life.machine.path(&format!("folder-{format}"));
        fs::create_dir(&folder).unwrap();
        let args = [&["report", "--format", format, "--output", folder.to_str().unwrap()], &by[..]].concat();
        life.run(&args).exits(0).quietly();
        assert_eq!(names(&folder), [format!("netquota-2026-11.{extension}")]);
        looks_like(format, &fs::read(folder.join(&names(&folder)[0])).unwrap());
    }
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_file_is_replaced_whole_or_stays_as_it_was() {
    let life = an_afternoon();
    let folder = life.machine.path("reports");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("month.html");
    fs::write(&file, "the last one").unwrap();
    let old = fs::File::open(&file).unwrap();
    life.run(&["report", "--output", file.to_str().unwrap()]).exits(0).quietly();
    looks_like("html", &fs::read(&file).unwrap());
    assert_eq!(std::io::read_to_string(old).unwrap(), "the last one", "who still reads the old one reads all of it");
    assert_eq!(names(&folder), ["month.html"], "nothing else is left there");
    for (path, why) in
        [("/nonexistent/folder/report.html", "no such file"), ("/proc/report.json", ""), ("/dev/full", "no space left")]
    {
        let run = life.run(&["report", "--format", "text", "--output", path]).exits(1).complains(path);
        assert!(run.stderr.to_lowercase().contains(why), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    let run = life.run(&["report", "--output", life.machine.path("report.doc").to_str().unwrap()]).exits(2);
    assert!(run.stderr.contains("report.doc") && run.stderr.contains("--format"), "{}", run.stderr);
    assert!(!life.machine.path("report.doc").exists());
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn pictures_and_pages_are_no_log_and_a_picture_is_not_for_a_terminal() {
    let life = an_afternoon();
    for format in ["html", "svg", "png"] {
        life.run(&["report", "--log", "--format", format]).exits(2).complains("--log");
    }
    life.run(&["report", "--log", "--send"]).exits(2).complains("--log");
}

/// What changed of a folder, but for the times of its files. What SQLite's readers share in memory they keep in a file
/// beside the history; it says nothing that lasts.
fn differs(before: &std::collections::BTreeMap<String, File>, after: &Path) -> Vec<String> {
    let after = snapshot(after);
    let changed = |name: &&String| {
        let (old, new) = (before.get(*name), after.get(*name));
        let shared = name.ends_with("-shm");
        old.zip(new).is_none_or(|(old, new)| (old.bytes != new.bytes && !shared) || old.owner_mode != new.owner_mode)
    };
    before.keys().chain(after.keys()).filter(changed).cloned().collect()
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn looking_changes_nothing() {
    let life = an_afternoon();
    life.at("2026-11-20 16:00:00");
    life.machine.grow("eth0", 7, 8);
    let before = snapshot(life.machine.state_dir());
    for args in [
        &["report"][..],
        &["report", "--log"],
        &["report", "--format", "html"],
        &["report", "--period", "year", "--by", "day"],
        &["status"],
        &["status", "--json"],
        &["status", "--nagios"],
        &["status", "--prometheus"],
        &["prune", "--before", "2026-11-01", "--debug"],
        &["config", "show"],
    ] {
        let run = life.run(args);
        // For monitoring a figure of an hour ago is old.
        assert_eq!(run.code(), if args.contains(&"--nagios") { 3 } else { 0 }, "{args:?}: {run:?}");
        assert_eq!(differs(&before, life.machine.state_dir()), Vec::<String>::new(), "{args:?}");
    }
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_debug_run_leaves_the_history_byte_for_byte() {
    let life = an_afternoon();
    life.at("2026-11-21 03:00:00");
    life.machine.grow("eth0", 7, 8);
    let before = snapshot(life.machine.state_dir());
    assert!(before.contains_key("history.db"), "{:?}", before.keys());
    life.run(&["check", "--debug"]).exits(0);
    assert_eq!(snapshot(life.machine.state_dir()), before);
    life.run(&["check", "--debug", "--json"]).exits(0);
    assert_eq!(snapshot(life.machine.state_dir()), before);
    life.check();
    assert_eq!(life.status().used(), 5_002_008);
}

#[test]
fn without_any_check_there_is_no_history_and_that_is_said() {
    let machine = Machine::new().config(CONFIG);
    for args in [&["report"][..], &["report", "--log"], &["report", "--period", "day"], &["report", "--format", "json"]]
    {
        let run = machine.run(args).exits(0).prints("no history yet");
        assert_eq!(run.stderr, "", "{args:?}");
    }
    machine.run(&["prune", "--before", "2026-01-01"]).exits(0).prints("no history yet");
    assert!(names(machine.state_dir()).is_empty(), "{:?}", names(machine.state_dir()));
    for args in [&["report", "--date", "2026-02-30"][..], &["prune", "--before", "2026-02-30"]] {
        machine.run(args).exits(2).complains("2026-02-30");
    }
}

#[test]
fn the_first_check_is_reported_on() {
    let machine = Machine::new();
    machine.check_exits(0).quietly();
    machine.grow("eth0", 1_234, 5_678);
    machine.check_exits(0).quietly();
    let report = machine.run(&["report", "--format", "json"]).exits(0).json();
    assert_eq!((&report["total"]["in"], &report["total"]["out"]), (&1_234.into(), &5_678.into()));
    machine.run(&["report"]).exits(0).prints("eth0").prints("5.67");
}

#[test]
fn with_the_history_off_no_file_is_written_and_that_is_said() {
    let machine = Machine::new().config(&format!("{CONFIG}[history]\nurl = \"none\"\n"));
    for _ in 0..3 {
        machine.check_exits(0).quietly();
        machine.grow("eth0", 10, 20);
    }
    assert_eq!(names(machine.state_dir()), ["state.json", "state.lock", "state.json.previous"].sorted());
    for args in [&["report"][..], &["report", "--log"], &["prune", "--before", "2026-01-01"]] {
        machine.run(args).exits(0).prints("off").prints("none");
    }
    assert!(!names(machine.state_dir()).iter().any(|name| name.contains("history")));
    assert_eq!(machine.status().used(), 40);
}

/// As [`names`] gives them.
trait Sorted {
    fn sorted(self) -> Vec<String>;
}

impl<const N: usize> Sorted for [&str; N] {
    fn sorted(self) -> Vec<String> {
        let mut names = self.map(str::to_owned).to_vec();
        names.sort();
        names
    }
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_report_into_a_pipe_that_nobody_reads_is_no_panic() {
    let life = an_afternoon();
    for format in ["text", "json", "png", "html"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command: Command = life.command(&["report", "--format", format]);
        let out = command.stdout(writer).output().unwrap();
        assert!(!String::from_utf8_lossy(&out.stderr).contains("panicked"), "{format}");
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let out = life.command(&["report", "--format", format]).stdout(full).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{format}: {out:?}");
    }
}

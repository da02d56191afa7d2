//! The history's file: where it is, whose, and what happens when it is gone, broken, full or not to be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use time::Duration;

use super::life::Life;
use crate::machine::{Machine, names, quota_and_telegram, spawn};
use crate::real::Mount;
use crate::telegram::Telegram;

const NOBODY: u32 = 65_534;
const CONFIG: &str = "[quota.month]\nallowance = \"1 TB\"\n";

fn file(machine: &Machine) -> PathBuf {
    machine.state_dir().join("history.db")
}

/// All of it: SQLite keeps two more beside it.
fn delete(machine: &Machine) {
    for name in names(machine.state_dir()).iter().filter(|name| name.starts_with("history.db")) {
        fs::remove_file(machine.state_dir().join(name)).unwrap();
    }
}

/// Two days of 100 bytes an hour, up to 2026-11-20, 12:00.
fn two_days(config: &str) -> Life {
    let life = Life::with(config, "2026-11-18 12:00:00");
    life.check();
    for _ in 0..24 {
        life.pass(Duration::hours(2));
        life.machine.grow("eth0", 100, 200);
        life.check();
    }
    life
}

const DAYS: &[&str] = &["--from", "2026-11-17", "--to", "2026-11-20", "--by", "day"];

#[test]
fn it_is_in_the_state_folder_for_its_owner_and_group_only() {
    let machine = Machine::new();
    for _ in 0..3 {
        machine.check_exits(0).quietly();
        machine.grow("eth0", 1, 1);
    }
    let all = names(machine.state_dir());
    assert!(all.contains(&"history.db".to_owned()), "{all:?}");
    let known = ["history.db", "history.db-shm", "history.db-wal", "state.json", "state.json.previous", "state.lock"];
    assert!(all.iter().all(|name| known.contains(&name.as_str())), "{all:?}");
    for name in all.iter().filter(|name| name.starts_with("history.db")) {
        let mode = fs::metadata(machine.state_dir().join(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o640, "{name}: {mode:o}");
    }
}

#[test]
#[ignore = "changes owners, needs root: run ./test"]
fn it_belongs_to_the_owner_of_the_folder() {
    let machine = Machine::new();
    chown(machine.state_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    for _ in 0..2 {
        machine.check_exits(0).quietly();
        for name in names(machine.state_dir()) {
            let meta = fs::metadata(machine.state_dir().join(&name)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (NOBODY, NOBODY), "{name}");
        }
    }
    machine.run(&["report"]).exits(0);
    for name in names(machine.state_dir()) {
        assert_eq!(fs::metadata(machine.state_dir().join(&name)).unwrap().uid(), NOBODY, "{name} after a report");
    }
}

#[test]
fn it_may_be_elsewhere() {
    let machine = Machine::new();
    let elsewhere = machine.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let db = elsewhere.join("traffic.db");
    let machine = machine.config(&format!("{CONFIG}[history]\nurl = \"sqlite:{}\"\n", db.display()));
    machine.check_exits(0).quietly();
    machine.grow("eth0", 1_000, 5_000);
    machine.check_exits(0).quietly();
    assert!(db.is_file());
    assert!(
        !names(machine.state_dir()).iter().any(|name| name.contains("history")),
        "{:?}",
        names(machine.state_dir())
    );
    machine.run(&["report"]).exits(0).prints("eth0");
    fs::remove_dir_all(&elsewhere).unwrap();
    machine.run(&["report"]).exits(0);
    assert!(!elsewhere.exists(), "a report makes nothing");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_history_that_was_deleted_begins_anew_and_what_was_before_is_unknown() {
    for all in [true, false] {
        let life = two_days(CONFIG);
        let before = life.report(DAYS);
        assert_eq!(before.sent(), [None, Some(1_200), Some(2_400), Some(1_200)]);
        let used = life.status().used();
        match all {
            true => delete(&life.machine),
            // Its log is of no use to the next one, and no harm.
            false => fs::remove_file(file(&life.machine)).unwrap(),
        }
        life.pass(Duration::hours(2));
        life.machine.grow("eth0", 100, 200);
        life.check();
        life.pass(Duration::hours(2));
        life.machine.grow("eth0", 100, 200);
        life.check();
        assert_eq!(life.status().used(), used + 400, "the quota's figure is the state's");
        let report = life.report(DAYS);
        let sent = report.adds_up().sent();
        assert_eq!(sent[..3], [None, None, None], "unknown, not zero (all files: {all})");
        assert!(sent[3].is_some_and(|sent| (200..=1_600).contains(&sent)), "{sent:?}");
        assert_eq!(report.0["total"]["partial"], true);
    }
}

/// Alerts go out, the state is saved, the exit code says 3 each time and the words are said once.
#[track_caller]
fn goes_on_without(life: &Life, telegram: &Telegram, broken: &Path) {
    let before = fs::read(broken).unwrap();
    life.pass(Duration::minutes(10));
    life.machine.grow("eth0", 0, 812_000);
    let run = life.run(&["check"]).exits(3).complains("history").complains(broken.to_str().unwrap());
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert_eq!(run.stdout, "");
    assert!(telegram.texts().iter().any(|text| text.contains("eth0")), "the alert goes out all the same");
    let used = life.status().used();
    assert!(used >= 812_000, "the state is saved: {used}");
    life.pass(Duration::minutes(10));
    let run = life.run(&["check"]).exits(3);
    assert_eq!(run.stderr, "", "said once");
    assert_eq!(life.status().count("problems"), 1);
    life.run(&["report"]).exits(1).complains(broken.to_str().unwrap());
    life.run(&["report", "--log"]).exits(1).complains(broken.to_str().unwrap());
    life.run(&["prune", "--before", "2026-11-01"]).exits(1).complains(broken.to_str().unwrap());
    assert_eq!(fs::read(broken).unwrap(), before, "what is broken stays as it is");
}

fn tiered(telegram: &Telegram) -> String {
    quota_and_telegram(&telegram.url())
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_file_that_is_no_history_holds_nothing_up() {
    for garbage in [b"this is no history\n".repeat(2_000), vec![0; 8_192], b"SQLite format 3\0".repeat(900)] {
        let telegram = Telegram::new();
        let life = two_days(&tiered(&telegram));
        let before = (life.report(DAYS), life.status().used());
        let folder = life.machine.state_dir();
        let files: Vec<_> = names(folder).into_iter().filter(|name| name.starts_with("history.db")).collect();
        let good: Vec<_> = files.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect();
        delete(&life.machine);
        fs::write(file(&life.machine), &garbage).unwrap();
        goes_on_without(&life, &telegram, &file(&life.machine));
        delete(&life.machine);
        for (name, bytes) in files.iter().zip(good) {
            fs::write(folder.join(name), bytes).unwrap();
        }
        life.pass(Duration::minutes(10));
        life.check();
        assert_eq!(life.status().count("problems"), 0, "it is well again");
        assert_eq!(life.status().used(), before.1 + 812_000);
        let report = life.report(DAYS);
        assert_eq!(report.sent()[..3], before.0.sent()[..3]);
        assert_eq!(report.adds_up().out(), before.0.out() + 812_000, "what was missed is made good");
        assert_eq!(telegram.messages().len(), 1);
    }
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_file_that_is_cut_off_holds_nothing_up() {
    // Long enough for its log to have been moved into it.
    let telegram = Telegram::new();
    let life = two_days(&tiered(&telegram));
    let path = file(&life.machine);
    let length = fs::metadata(&path).unwrap().len();
    assert!(length > 0);
    for name in names(life.machine.state_dir()).iter().filter(|name| name.ends_with("-wal") || name.ends_with("-shm")) {
        fs::remove_file(life.machine.state_dir().join(name)).unwrap();
    }
    fs::File::options().write(true).open(&path).unwrap().set_len(length / 2 + 100).unwrap();
    life.pass(Duration::minutes(10));
    life.machine.grow("eth0", 0, 812_000);
    let run = life.run(&["check"]);
    assert!(matches!(run.code(), 0 | 3), "{run:?}");
    assert!(run.code() == 0 || run.stderr.contains("history.db"), "{run:?}");
    assert_eq!(telegram.messages().len(), 1, "the alert goes out all the same");
    let report = life.run(&["report", "--format", "json"]);
    assert!(matches!(report.code(), 0 | 1) && !report.stderr.contains("panicked"), "{report:?}");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_folder_in_its_place_holds_nothing_up() {
    let telegram = Telegram::new();
    let life = two_days(&tiered(&telegram));
    delete(&life.machine);
    fs::create_dir(file(&life.machine)).unwrap();
    life.pass(Duration::minutes(10));
    life.machine.grow("eth0", 0, 812_000);
    life.run(&["check"]).exits(3).complains("history.db");
    assert_eq!(telegram.messages().len(), 1);
    life.run(&["report"]).exits(1).complains("history.db");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_state_that_was_lost_keeps_the_old_days_and_counts_nothing_twice() {
    let life = two_days(CONFIG);
    let old = life.report(DAYS);
    for name in ["state.json", "state.json.previous"] {
        let _ = fs::remove_file(life.machine.state_dir().join(name));
    }
    // Before the first check, too: the store has only one machine.
    assert_eq!(life.report(DAYS).sent(), old.sent());
    life.pass(Duration::hours(2));
    // What flows while nobody looks is not known; the counter goes on.
    life.machine.grow("eth0", 7_000, 7_000);
    life.check();
    for _ in 0..4 {
        life.pass(Duration::hours(1));
        life.machine.grow("eth0", 10, 20);
        life.check();
    }
    let report = life.report(DAYS);
    let sent = report.adds_up().sent();
    assert_eq!(sent[..3], old.sent()[..3], "the old days are there");
    assert_eq!(report.out(), old.out() + 80, "each byte that was metered once");
    assert_eq!(report.received(), old.received() + 40);
    assert_eq!(report.subjects(), ["eth0"], "one machine, one subject");
    assert_eq!(report.0["subjects"][0]["partial"], true, "two hours are unknown");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_state_from_a_backup_counts_nothing_twice() {
    let life = two_days(CONFIG);
    let backup = fs::read(life.machine.state_file()).unwrap();
    let at = life.now();
    for _ in 0..6 {
        life.pass(Duration::hours(1));
        life.machine.grow("eth0", 10, 20);
        life.check();
    }
    fs::write(life.machine.state_file(), backup).unwrap();
    life.pass(Duration::hours(1));
    life.machine.grow("eth0", 10, 20);
    life.check();
    let report = life.report(DAYS);
    assert_eq!(report.adds_up().out(), 24 * 200 + 7 * 20);
    assert_eq!(life.status().used(), report.out());
    assert!(life.now() - at == Duration::hours(7));
}

/// A command of this machine as the user `nobody`.
fn as_nobody(machine: &Machine, args: &[&str]) -> crate::machine::Run {
    let mut command = machine.command_of(Path::new("setpriv"), &["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(machine.program_for_all()).args(machine.global_args()).args(args);
    machine.finish(spawn(command))
}

#[test]
#[ignore = "becomes another user, needs root: run ./test"]
fn a_history_that_may_not_be_written_holds_nothing_up() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    chown(machine.config_file(), Some(NOBODY), Some(NOBODY)).unwrap();
    chown(machine.state_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    as_nobody(&machine, &["check"]).exits(0).quietly();
    let db = file(&machine);
    for mode in [0o444, 0o440, 0o000] {
        fs::set_permissions(&db, fs::Permissions::from_mode(mode)).unwrap();
        chown(&db, Some(0), Some(0)).unwrap();
        delete_log(&machine);
        let _ = fs::remove_file(machine.state_file());
        let _ = fs::remove_file(machine.state_dir().join("state.json.previous"));
        let sent = telegram.messages().len();
        let run = as_nobody(&machine, &["check"]).exits(3).complains("history.db");
        assert!(run.stderr.contains("read") && run.stderr.matches("history.db").count() == 1, "{}", run.stderr);
        machine.grow("eth0", 0, 812_000);
        as_nobody(&machine, &["check"]).exits(3);
        assert_eq!(telegram.messages().len(), sent + 1, "mode {mode:o}");
        assert_eq!(machine.status().used(), 812_000, "mode {mode:o}");
    }
    as_nobody(&machine, &["report"]).exits(1).complains("history.db");
}

fn delete_log(machine: &Machine) {
    for name in ["history.db-wal", "history.db-shm"] {
        let _ = fs::remove_file(machine.state_dir().join(name));
    }
}

#[test]
#[ignore = "becomes another user, needs root: run ./test"]
fn a_report_for_somebody_who_may_only_read() {
    let machine = Machine::new();
    machine.check_exits(0).quietly();
    machine.grow("eth0", 1_000, 5_000);
    machine.check_exits(0).quietly();
    for name in names(machine.state_dir()) {
        chown(machine.state_dir().join(name), None, Some(NOBODY)).unwrap();
    }
    fs::set_permissions(machine.state_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let before = names(machine.state_dir());
    let report = as_nobody(&machine, &["report", "--format", "json"]).exits(0).json();
    assert_eq!(report["total"]["out"], 5_000);
    assert_eq!(names(machine.state_dir()), before);
}

fn small_disk(telegram: &Telegram, kib: u32) -> (Life, Mount, PathBuf) {
    let machine = Machine::new();
    let at = machine.path("disk");
    let mount = Mount::tmpfs(&at, kib);
    let config = format!("{}[history]\nurl = \"sqlite:{}/history.db\"\n", tiered(telegram), at.display());
    let life = Life::begin(machine.config(&config), "2026-11-20 08:00:00");
    life.live(&[("2026-11-20 08:00:00", 0, 0), ("2026-11-20 09:00:00", 50, 100)]);
    (life, mount, at)
}

fn fill(folder: &Path) -> PathBuf {
    use std::io::Write;
    let path = folder.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    path
}

#[test]
#[ignore = "mounts a small disk, needs root and faketime: run ./test"]
fn a_full_disk_holds_nothing_up_and_is_made_good() {
    let telegram = Telegram::new();
    let (life, _mount, at) = small_disk(&telegram, 512);
    let filler = fill(&at);
    for hour in ["10", "11", "12", "13"] {
        life.at(&format!("2026-11-20 {hour}:30:00"));
        life.machine.grow("eth0", 0, 270_000);
        let run = life.run(&["check"]).exits(3);
        assert!(hour != "10" || run.stderr.contains("space"), "{}", run.stderr);
    }
    assert_eq!(life.status().used(), 1_080_100);
    assert!(!telegram.messages().is_empty(), "alerts go out");
    life.run(&["report"]).exits(0).prints("eth0");
    fs::remove_file(filler).unwrap();
    life.live(&[("2026-11-20 14:00:00", 0, 60)]);
    let report = life.report(&["--period", "day"]);
    assert_eq!(report.adds_up().out(), 1_080_160);
    // Nine to half past ten, and then an hour each.
    assert_eq!(
        report.sent()[8..15],
        [Some(100), Some(180_000), Some(225_000), Some(270_000), Some(270_000), Some(135_060), None]
    );
}

#[test]
#[ignore = "mounts a small disk, needs root and faketime: run ./test"]
fn a_read_only_disk_holds_nothing_up_and_is_reported_from() {
    let telegram = Telegram::new();
    let (life, mount, at) = small_disk(&telegram, 512);
    mount.make_read_only();
    let before = names(&at);
    life.at("2026-11-20 10:00:00");
    life.machine.grow("eth0", 0, 812_000);
    let run = life.run(&["check"]).exits(3).complains("history.db");
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert_eq!(telegram.messages().len(), 1);
    let report = life.report(&["--period", "day"]);
    assert_eq!(report.out(), 812_100, "the state knows what the history does not yet");
    assert_eq!(names(&at), before);
    mount.make_writable();
    life.live(&[("2026-11-20 11:00:00", 0, 1)]);
    let report = life.report(&["--period", "day"]);
    assert_eq!(report.adds_up().sent()[8..12], [Some(100), Some(812_000), Some(1), None]);
}

#[test]
#[ignore = "mounts a small disk, needs root and faketime: run ./test"]
fn whatever_room_is_left_no_byte_is_lost() {
    for pages in 0..12 {
        let telegram = Telegram::new();
        let (life, _mount, at) = small_disk(&telegram, 512);
        let filler = fill(&at);
        let rest = fs::File::options().write(true).open(&filler).unwrap();
        let size = rest.metadata().unwrap().len();
        rest.set_len(size.saturating_sub(pages * 4096)).unwrap();
        drop(rest);
        life.at("2026-11-20 10:30:00");
        life.machine.grow("eth0", 0, 900);
        let run = life.run(&["check"]);
        assert!(matches!(run.code(), 0 | 3), "{pages} pages: {run:?}");
        fs::remove_file(&filler).unwrap();
        life.live(&[("2026-11-20 12:00:00", 0, 90)]);
        let report = life.report(&["--period", "day"]);
        assert_eq!(report.adds_up().sent()[8..13], [Some(100), Some(600), Some(330), Some(60), None], "{pages} pages");
    }
}

//! Disks that are full or read-only, folders of other users, runs as another user.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::machine::{Machine, quota_and_telegram, snapshot, spawn};
use crate::real::Mount;
use crate::telegram::Telegram;

const NOBODY: u32 = 65_534;

/// A machine past its first run whose state is on a small disk of its own, with 80 % just reached.
fn on_a_disk_of(kib: u32, telegram: &Telegram) -> (Machine, Mount) {
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    let at = machine.path("disk");
    let mount = Mount::tmpfs(&at, kib);
    let machine = machine.state_dir_at(at);
    machine.check_exits(0).quietly();
    machine.grow("eth0", 0, 812_000);
    (machine, mount)
}

/// Writes until nothing more fits.
fn fill(folder: &Path) {
    let mut file = fs::File::create(folder.join("filler")).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

#[test]
#[ignore = "mounts a small disk, needs root: run ./test"]
fn a_full_disk_sends_nothing_loses_nothing_and_says_so() {
    for kib in [256, 512] {
        let telegram = Telegram::new();
        let (machine, _mount) = on_a_disk_of(kib, &telegram);
        fill(machine.state_dir());
        let before = fs::read(machine.state_file()).unwrap();
        let run = machine.check_exits(1);
        assert!(run.stderr.to_lowercase().contains("no space left"), "{}", run.stderr);
        assert_eq!(telegram.requests(), 0, "what could not be remembered was not sent");
        assert_eq!(fs::read(machine.state_file()).unwrap(), before);
        machine.run(&["status"]).exits(0).prints("eth0");
        fs::remove_file(machine.state_dir().join("filler")).unwrap();
        machine.check_exits(0).quietly();
        machine.check_exits(0).quietly();
        assert_eq!(machine.status().used(), 812_000);
        assert!(telegram.only().text.contains("81.2"));
    }
}

#[test]
#[ignore = "mounts a small disk, needs root: run ./test"]
fn a_full_disk_on_the_first_run_leaves_no_broken_state() {
    let machine = Machine::new();
    let at = machine.path("disk");
    let machine = machine.state_dir_at(at.clone());
    let _mount = Mount::tmpfs(&at, 256);
    fill(&at);
    machine.check_exits(1);
    fs::remove_file(machine.state_dir().join("filler")).unwrap();
    machine.check_exits(0).quietly();
    assert_eq!(machine.status().used(), 0);
}

#[test]
#[ignore = "mounts a small disk, needs root: run ./test"]
fn a_read_only_disk_sends_nothing_and_says_so() {
    let telegram = Telegram::new();
    let (machine, mount) = on_a_disk_of(256, &telegram);
    mount.make_read_only();
    let before = snapshot(machine.state_dir());
    let run = machine.check_exits(1);
    assert!(run.stderr.to_lowercase().contains("read-only"), "{}", run.stderr);
    assert!(run.stderr.contains(machine.state_dir().to_str().unwrap()), "names the folder: {}", run.stderr);
    assert_eq!(telegram.requests(), 0);
    assert_eq!(snapshot(machine.state_dir()), before);
    machine.run(&["status"]).exits(0).prints("eth0");
    machine.run(&["check", "--debug"]).exits(0);
    mount.make_writable();
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 812_000);
    assert_eq!(telegram.messages().len(), 1);
}

#[test]
#[ignore = "changes owners, needs root: run ./test"]
fn the_state_belongs_to_the_owner_of_its_folder() {
    let machine = Machine::new();
    chown(machine.state_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    for _ in 0..2 {
        machine.check_exits(0);
        for name in ["state.json", "state.lock"] {
            let meta = fs::metadata(machine.state_dir().join(name)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (NOBODY, NOBODY), "{name}");
        }
        assert_eq!(fs::metadata(machine.state_file()).unwrap().mode() & 0o7777, 0o640);
    }
}

/// A command of this machine as the user `nobody`, by a copy of the program that this user may execute.
fn as_nobody(machine: &Machine, args: &[&str]) -> crate::machine::Run {
    let mut command = machine.command_of(Path::new("setpriv"), &["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(machine.program_for_all()).args(machine.global_args()).args(args);
    machine.finish(spawn(command))
}

#[test]
#[ignore = "becomes another user, needs root: run ./test"]
fn it_runs_as_an_ordinary_user() {
    let machine = Machine::new();
    chown(machine.state_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    as_nobody(&machine, &["check"]).exits(0).quietly();
    machine.grow("eth0", 0, 12);
    as_nobody(&machine, &["check"]).exits(0).quietly();
    assert_eq!(machine.status().used(), 12);
    assert_eq!(fs::metadata(machine.state_file()).unwrap().uid(), NOBODY);
}

#[test]
#[ignore = "becomes another user, needs root: run ./test"]
fn root_and_an_ordinary_user_may_take_turns() {
    let machine = Machine::new();
    chown(machine.state_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    for round in 1..=3 {
        machine.check_exits(0);
        machine.grow("eth0", 0, 1);
        as_nobody(&machine, &["check"]).exits(0).quietly();
        assert_eq!(machine.status().used(), round);
    }
}

#[test]
#[ignore = "becomes another user, needs root: run ./test"]
fn a_state_that_may_not_be_read_is_an_error_and_not_corruption() {
    let machine = Machine::new();
    machine.check_exits(0);
    machine.grow("eth0", 0, 12);
    let before = snapshot(machine.state_dir());
    let run = as_nobody(&machine, &["check"]).exits(1);
    assert!(run.stderr.to_lowercase().contains("permission denied"), "{}", run.stderr);
    assert_eq!(snapshot(machine.state_dir()), before, "nothing is put aside");
    as_nobody(&machine, &["status"]).exits(1).complains("state.json");
    machine.check_exits(0);
    assert_eq!(machine.status().used(), 12);
}

#[test]
#[ignore = "becomes another user, needs root: run ./test"]
fn a_state_file_of_another_user_in_an_own_folder_is_an_error_and_not_corruption() {
    let machine = Machine::new();
    machine.check_exits(0);
    chown(machine.state_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    chown(machine.state_dir().join("state.lock"), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(machine.state_file(), fs::Permissions::from_mode(0o600)).unwrap();
    let before = snapshot(machine.state_dir());
    as_nobody(&machine, &["check"]).exits(1).complains("state.json");
    let after = snapshot(machine.state_dir());
    assert_eq!(after["state.json"], before["state.json"]);
    assert!(!after.keys().any(|name| name.contains("corrupt")), "{:?}", after.keys());
}

/// Whatever little room is left, and wherever in the run it ends: nothing lost, nothing sent twice.
#[test]
#[ignore = "mounts a small disk, needs root: run ./test"]
fn a_disk_that_fills_up_in_the_middle_of_a_run_loses_nothing() {
    for pages in 0..8 {
        let telegram = Telegram::new();
        let (machine, _mount) = on_a_disk_of(256, &telegram);
        fill(machine.state_dir());
        let filler = fs::File::options().write(true).open(machine.state_dir().join("filler")).unwrap();
        let size = filler.metadata().unwrap().len();
        filler.set_len(size - pages * 4096).unwrap();
        drop(filler);
        let run = machine.check();
        assert!(matches!(run.code(), 0 | 1 | 3), "{pages} pages free: {run:?}");
        assert!(run.code() == 0 || run.stderr.to_lowercase().contains("no space left"), "{pages} pages free: {run:?}");
        fs::remove_file(machine.state_dir().join("filler")).unwrap();
        machine.check_exits(0);
        assert_eq!(machine.status().used(), 812_000, "{pages} pages free");
        let sent = telegram.messages().len();
        assert!((1..=2).contains(&sent), "{pages} pages free: {sent} messages");
        assert!(sent == 1 || run.code() != 0, "{pages} pages free: a repeat without a reason");
        machine.check_exits(0).quietly();
        assert_eq!(telegram.messages().len(), sent);
    }
}

#[test]
#[ignore = "becomes another user, needs root: run ./test"]
fn an_ordinary_user_keeps_the_state_at_home() {
    let machine = Machine::new();
    let home = machine.path("xdg");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    let machine = machine.env("XDG_STATE_HOME", home.to_str().unwrap());
    let mut command = machine.command_of(Path::new("setpriv"), &["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(machine.program_for_all()).arg("--root").arg(machine.root()).arg("check");
    machine.finish(spawn(command)).exits(0).quietly();
    assert!(home.join("netquota/state.json").is_file());
}

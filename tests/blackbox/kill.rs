//! SIGKILL at random points.

use std::thread;
use std::time::Duration;

use crate::machine::{Dice, Machine, quota_and_telegram, spawn, telegram_table};
use crate::telegram::Telegram;

const KILLS: u32 = 300;
const TIERS: u64 = 400;

/// In each round one tier is crossed, one to three runs are killed at random points, then one runs to its end.
#[test]
#[ignore = "kills 300 runs, which takes most of a minute: run ./test"]
fn no_byte_and_no_alert_is_lost_or_doubled_by_kills() {
    let telegram = Telegram::new();
    let tiers: Vec<String> = (1..=TIERS).map(|n| format!("\"{n} kB\"")).collect();
    let config = format!(
        "[quota.month]\nallowance = \"1 MB\"\ntiers = [{}]\n{}",
        tiers.join(", "),
        telegram_table(&telegram.url())
    );
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    let whole_run = (0..5).map(|_| machine.check_exits(0).took).min().unwrap();

    let mut dice = Dice(0x5EED_CAFE);
    let (mut kills, mut used, mut rounds, mut repeats) = (0, 0, 0, 0);
    while kills < KILLS {
        assert!(rounds < TIERS - 1, "only {kills} kills struck in {rounds} rounds");
        rounds += 1;
        machine.grow("eth0", 0, 1_000);
        used += 1_000;
        let before = telegram.messages().len();
        let mut killed = 0;
        for _ in 0..=dice.roll(3) {
            let running = spawn(machine.command(&["check"]));
            thread::sleep(Duration::from_micros(dice.roll(u64::try_from(whole_run.as_micros()).unwrap() + 2_000)));
            killed += usize::from(running.kill());
        }
        kills += u32::try_from(killed).unwrap();
        machine.check_exits(0);
        let status = machine.status();
        assert_eq!(status.used(), used, "round {rounds}: every byte once");
        assert_eq!(status.count("pending"), 0, "round {rounds}");
        let sent = telegram.messages().len() - before;
        assert!((1..=1 + killed).contains(&sent), "round {rounds}: {sent} messages after {killed} kills");
        repeats += sent - 1;
    }
    let last = telegram.messages().pop().unwrap();
    assert!(last.text.contains(&format!("{rounds} kB")), "the last alert is of the last tier: {}", last.text);
    machine.check_exits(0).quietly();
    assert_eq!(telegram.messages().len(), usize::try_from(rounds).unwrap() + repeats);
    crate::machine::note(&format!(
        "{kills} kills in {rounds} rounds, {repeats} repeats, a whole run takes {whole_run:?}"
    ));
}

/// The command is tried once, whenever the run that tries it is killed; an outcome that nobody saw is told.
#[test]
#[ignore = "kills a hundred runs, which takes long on a busy machine: run ./test"]
fn a_command_is_never_run_twice_because_of_a_kill() {
    let mut dice = Dice(0xAC7105);
    let (mut struck, mut unseen) = (0, 0);
    for round in 0..100 {
        let telegram = Telegram::new();
        let machine = Machine::new();
        let ran = machine.path("ran");
        let config = format!(
            "[quota.month]\nallowance = \"1 MB\"\ntier = [{{ used = \"80%\", actions = [\"act\"] }}]\n\
             [action.act]\nkind = \"command\"\ncommand = [\"{}\"]\n{}",
            machine.script("act", &format!("echo run >>\"{}\"\n", ran.display())).display(),
            telegram_table(&telegram.url())
        );
        let machine = machine.config(&config);
        let quiet = machine.check_exits(0).took;
        machine.grow("eth0", 0, 812_000);
        let running = spawn(machine.command(&["check"]));
        // The run that acts takes about three times as long as a quiet one.
        thread::sleep(Duration::from_micros(dice.roll(3 * u64::try_from(quiet.as_micros()).unwrap())));
        let killed = running.kill();
        struck += u32::from(killed);
        // What the killed run has started goes on.
        thread::sleep(Duration::from_millis(10));
        for _ in 0..3 {
            machine.check();
        }
        let times = std::fs::read_to_string(&ran).map_or(0, |text| text.lines().count());
        let texts = telegram.texts();
        assert!(times <= 1, "round {round}: run {times} times: {texts:#?}");
        assert!(!texts.is_empty(), "round {round}: the tier was told");
        if times == 0 {
            unseen += 1;
            assert!(
                killed && texts.iter().any(|text| text.contains("act")),
                "round {round}: not run, not told: {texts:#?}"
            );
            assert!(texts.len() >= 2, "round {round}: the unknown outcome is told besides the tier: {texts:#?}");
        }
    }
    assert!(struck >= 30, "only {struck} kills struck");
    crate::machine::note(&format!("{struck} kills, {unseen} commands recorded and never started"));
}

#[test]
fn a_killed_calibration_is_all_or_nothing() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    let mut dice = Dice(0xCA11B);
    let mut before = 0;
    for n in 1..=40 {
        let amount = format!("{n} kB");
        let running = spawn(machine.command(&["calibrate", "month", "eth0", &amount]));
        thread::sleep(Duration::from_micros(dice.roll(9_000)));
        running.kill();
        let used = machine.status().used();
        assert!(used == before || used == n * 1_000, "{used} is neither {before} nor {n} kB");
        before = used;
    }
}

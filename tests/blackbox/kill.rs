//! SIGKILL at random points.

use std::thread;
use std::time::Duration;

use crate::machine::{Dice, Machine, spawn, telegram_table};
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

//! SIGKILL at random points around the history and the state.

use std::collections::BTreeMap;
use std::thread;

use time::Duration;

use super::life::Life;
use crate::machine::{Dice, note, telegram_table};
use crate::telegram::Telegram;

/// In each round a tier is crossed and a sample is due; one to three runs are killed, then one runs to its end.
#[test]
#[ignore = "kills many runs and needs faketime: run ./test"]
fn kills_change_no_sum_and_log_each_alert_once() {
    const ROUNDS: u64 = 60;
    let telegram = Telegram::new();
    let tiers: Vec<String> = (1..=ROUNDS + 1).map(|n| format!("\"{n} kB\"")).collect();
    let config = format!(
        "[quota.month]\nallowance = \"1 MB\"\ntiers = [{}]\n{}",
        tiers.join(", "),
        telegram_table(&telegram.url())
    );
    let life = Life::with(&config, "2026-11-18 00:00:00");
    life.check();
    let mut hours: BTreeMap<usize, u64> = BTreeMap::new();
    let whole_run = (0..4).map(|_| life.run(&["check"]).exits(0).took).min().unwrap();
    let longest = u64::try_from(whole_run.as_micros()).unwrap() * 2;
    let mut dice = Dice(0x415708);
    let mut kills = 0;
    for round in 1..=ROUNDS {
        // To the end of an hour every other time, so that nothing is divided by time.
        life.pass(Duration::minutes(30));
        life.machine.grow("eth0", 500, 1_000);
        *hours.entry(usize::try_from((round - 1) / 2).unwrap()).or_default() += 1_000;
        for _ in 0..=dice.roll(3) {
            let running = life.start(&["check"]);
            thread::sleep(std::time::Duration::from_micros(dice.roll(longest)));
            kills += usize::from(running.kill());
        }
        life.run(&["check"]).exits(0);
        if round % 10 == 0 {
            let report = life.report(&["--from", "2026-11-18", "--to", "2026-11-19", "--by", "hour"]);
            report.adds_up();
            let sent: Vec<u64> = report.sent().into_iter().flatten().collect();
            for (hour, expected) in &hours {
                assert_eq!(sent.get(*hour), Some(expected), "hour {hour} after round {round}");
            }
            assert_eq!(report.out(), round * 1_000, "round {round}: every byte once");
            assert_eq!(life.status().used(), round * 1_000);
        }
    }
    assert!(kills > 20, "only {kills} kills struck");
    let log = life.log();
    let mut told: Vec<&str> =
        log.iter().filter(|event| event["kind"] == "alert").map(|event| event["at"].as_str().unwrap()).collect();
    let rounds = usize::try_from(ROUNDS).unwrap();
    assert_eq!(told.len(), rounds, "each once: {told:?}");
    told.dedup();
    assert_eq!(told.len(), rounds, "and in each round");
    let mut numbers: Vec<_> = log.iter().map(|event| event["number"].as_u64().unwrap()).collect();
    let all = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), all, "no number twice");
    note(&format!(
        "{kills} kills in {ROUNDS} rounds, {} messages, a run takes {whole_run:?}",
        telegram.messages().len()
    ));
}

#[test]
#[ignore = "kills many runs and needs faketime: run ./test"]
fn a_calibration_that_is_killed_is_logged_when_it_was_done() {
    let life = Life::with("[quota.month]\nallowance = \"1 TB\"\n", "2026-11-18 00:00:00");
    life.check();
    let mut dice = Dice(0xCA11);
    let whole = life.run(&["calibrate", "month", "eth0", "1 kB"]).exits(0).took;
    let longest = u64::try_from(whole.as_micros()).unwrap() * 3 / 2;
    let (mut done, mut used) = (1, 1_000);
    for n in 2..=40_u64 {
        life.pass(Duration::minutes(6));
        let running = life.start(&["calibrate", "month", "eth0", &format!("{n} kB")]);
        thread::sleep(std::time::Duration::from_micros(dice.roll(longest)));
        running.kill();
        life.check();
        let now = life.status().used();
        done += usize::from(now != used);
        used = now;
        let log = life.log();
        assert_eq!(log.len(), done, "after {n}: {used} used, {log:#?}");
    }
    assert!((3..40).contains(&done), "{done} of 40 were done");
}

#[test]
#[ignore = "kills many runs and needs faketime: run ./test"]
fn a_prune_that_is_killed_is_all_or_nothing() {
    let life = Life::with("[quota.d]\nallowance = \"1 TB\"\nperiod = \"day\"\n", "2026-10-01 12:00:00");
    life.check();
    for _ in 0..30 {
        life.pass(Duration::days(1));
        life.machine.grow("eth0", 240, 480);
        life.check();
    }
    let range = ["--from", "2026-10-01", "--to", "2026-10-31", "--by", "day"];
    let mut dice = Dice(0x9123);
    let mut before = life.report(&range).sent();
    for day in 2..30_usize {
        let date = format!("2026-10-{day:02}");
        let running = life.start(&["prune", "--before", &date]);
        thread::sleep(std::time::Duration::from_micros(dice.roll(60_000)));
        running.kill();
        let after = life.report(&range).sent();
        let pruned: Vec<Option<u64>> =
            before.iter().enumerate().map(|(index, sent)| sent.filter(|_| index + 1 >= day)).collect();
        assert!(after == before || after == pruned, "before {date}: {before:?} became {after:?}");
        before = after;
    }
}

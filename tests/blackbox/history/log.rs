//! The action log: what was sent, done, calibrated and begun anew, each once, with its reason and its outcome.

use serde_json::Value;

use super::life::Life;
use crate::machine::{Machine, telegram_table};
use crate::telegram::{Fault, Telegram};

/// 80 % of 1 MB runs the script `act`, which ends with this code.
fn acting(telegram: &Telegram, code: i32) -> Life {
    let machine = Machine::new();
    let script = machine.script("act", &format!("echo run >>\"{}\"\nexit {code}\n", machine.path("ran").display()));
    let config = format!(
        "[quota.month]\nallowance = \"1 MB\"\ntier = [{{ used = \"80%\", actions = [\"act\"] }}]\n\
         [action.act]\nkind = \"command\"\ncommand = [\"{}\"]\n{}",
        script.display(),
        telegram_table(&telegram.url())
    );
    let life = Life::begin(machine.config(&config), "2026-11-20 12:00:00");
    life.check();
    life
}

fn of<'a>(log: &'a [Value], kind: &str) -> Vec<&'a Value> {
    log.iter().filter(|event| event["kind"] == kind).collect()
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn an_alert_and_its_action_are_logged_once() {
    let telegram = Telegram::new();
    let life = acting(&telegram, 0);
    assert_eq!(life.log(), Vec::<Value>::new(), "nothing happened yet");
    life.run(&["report", "--log"]).exits(0).prints("nothing");
    life.live(&[("2026-11-20 12:05:00", 0, 812_000), ("2026-11-20 12:06:00", 0, 0), ("2026-11-20 12:20:00", 0, 9)]);
    let log = life.log();
    let (alerts, actions) = (of(&log, "alert"), of(&log, "action"));
    assert_eq!((alerts.len(), actions.len(), log.len()), (1, 2, 3), "{log:#?}");
    assert_eq!(actions[0]["outcome"], "started", "before it is tried");
    let alert = alerts[0];
    assert_eq!(alert["at"], "2026-11-20T12:05:00Z");
    assert_eq!(
        (&alert["source"], &alert["subject"], &alert["quota"]),
        (&"interface".into(), &"eth0".into(), &"month".into())
    );
    assert_eq!((&alert["name"], &alert["outcome"]), (&"telegram".into(), &"done".into()));
    assert!(alert["reason"].as_str().unwrap().contains("81.2 %"), "{alert}");
    let action = actions[1];
    assert_eq!(
        (&action["name"], &action["outcome"], &action["subject"]),
        (&"act".into(), &"done".into(), &"eth0".into())
    );
    assert!(action["reason"].as_str().unwrap().contains("80"), "{action}");
    let text = life.run(&["report", "--log"]).exits(0).stdout;
    for word in ["TIME", "2026-11-20 12:05", "alert", "action", "eth0", "month", "act", "done", "80"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    let csv = life.run(&["report", "--log", "--format", "csv"]).exits(0).stdout;
    assert!(csv.starts_with("at,kind,source,subject,quota,name,outcome,reason,detail"), "{csv}");
    assert!(csv.lines().any(|line| line.starts_with("2026-11-20T12:05:00Z,alert,interface,eth0,month,telegram,done,")));
    assert_eq!(csv.lines().count(), 4);
    let numbers: Vec<_> = log.iter().map(|event| event["number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn an_action_that_fails_is_logged_each_time_it_is_tried() {
    let telegram = Telegram::new();
    let life = acting(&telegram, 7);
    life.at("2026-11-20 12:05:00");
    life.machine.grow("eth0", 0, 812_000);
    for _ in 0..6 {
        life.run(&["check"]);
        life.pass(time::Duration::minutes(5));
    }
    let log = life.log();
    let failed: Vec<_> = of(&log, "action").into_iter().filter(|event| event["outcome"] == "failed").collect();
    let tried = std::fs::read_to_string(life.machine.path("ran")).unwrap().lines().count();
    assert_eq!((failed.len(), tried), (4, 4), "{log:#?}");
    for event in failed {
        assert!(event["detail"].as_str().unwrap().contains('7'), "the exit code: {event}");
    }
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn an_alert_is_logged_when_it_is_accepted_and_not_before() {
    let telegram = Telegram::new();
    let life = acting(&telegram, 0);
    telegram.always(Fault::Broken);
    life.at("2026-11-20 12:05:00");
    life.machine.grow("eth0", 0, 812_000);
    life.run(&["check"]).exits(3);
    assert_eq!(of(&life.log(), "alert").len(), 0);
    telegram.heal();
    life.at("2026-11-20 12:10:00");
    life.check();
    let log = life.log();
    assert_eq!(of(&log, "alert").len(), 1);
    assert_eq!(of(&log, "alert")[0]["at"], "2026-11-20T12:10:00Z");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_calibration_is_seen_at_once() {
    let life = Life::with("[quota.month]\nallowance = \"1 MB\"\n", "2026-11-20 12:00:00");
    life.check();
    life.at("2026-11-20 12:02:00");
    life.run(&["calibrate", "month", "eth0", "500 kB"]).exits(0);
    let log = life.log();
    assert_eq!(log.len(), 1, "{log:#?}");
    assert_eq!((&log[0]["kind"], &log[0]["at"]), (&"calibration".into(), &"2026-11-20T12:02:00Z".into()));
    assert_eq!((&log[0]["subject"], &log[0]["outcome"]), (&"eth0".into(), &"done".into()));
    assert!(log[0].to_string().contains("0.5 MB"), "the figure: {}", log[0]);
    life.at("2026-11-20 12:10:00");
    life.check();
    life.at("2026-11-20 12:20:00");
    life.check();
    assert_eq!(life.log(), log, "and once, when it is in the store");
    life.run(&["calibrate", "month", "eth0", "600 kB"]).exits(0);
    life.check();
    assert_eq!(life.log().len(), 2);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_new_period_is_logged() {
    let telegram = Telegram::new();
    let config = format!("[quota.d]\nallowance = \"1 MB\"\nperiod = \"day\"\n{}", telegram_table(&telegram.url()));
    let life = Life::with(&config, "2026-11-19 23:00:00");
    life.live(&[("2026-11-19 23:00:00", 0, 0), ("2026-11-19 23:50:00", 0, 700), ("2026-11-20 00:10:00", 0, 20)]);
    life.live(&[("2026-11-20 00:20:00", 0, 20)]);
    let log = life.log();
    let resets = of(&log, "reset");
    assert_eq!(resets.len(), 1, "{log:#?}");
    assert_eq!((&resets[0]["subject"], &resets[0]["quota"]), (&"eth0".into(), &"d".into()));
    let day = life.report(&["--period", "day", "--date", "2026-11-19"]);
    assert_eq!(day.out(), 710);
    let texts = telegram.texts();
    assert_eq!(texts.len(), 1, "{texts:#?}");
    assert!(texts[0].contains("0.71 kB"), "the notice says the last period's usage: {}", texts[0]);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_log_of_a_time_has_the_events_of_that_time() {
    let life = Life::with("[quota.month]\nallowance = \"1 MB\"\n", "2026-11-18 12:00:00");
    for day in 18..=20 {
        life.at(&format!("2026-11-{day} 12:00:00"));
        life.check();
        life.run(&["calibrate", "month", "eth0", &format!("{day} kB")]).exits(0);
    }
    let log = |args: &[&str]| {
        let document = life.report(&[&["--log"], args].concat());
        document.0["log"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["at"].as_str().unwrap()[..10].to_owned())
            .collect()
    };
    let found: Vec<String> = log(&["--from", "2026-11-19", "--to", "2026-11-19"]);
    assert_eq!(found, ["2026-11-19"]);
    let found: Vec<String> = log(&["--period", "day"]);
    assert_eq!(found, ["2026-11-20"]);
    let found: Vec<String> = log(&["--period", "week"]);
    assert_eq!(found.len(), 3);
    let found: Vec<String> = log(&["--period", "month", "--subject", "eth0"]);
    assert_eq!(found.len(), 3);
    let page = life.report(&["--period", "month"]);
    assert_eq!(page.0["log"].as_array().unwrap().len(), 3, "the document of the usage has it, too");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn names_that_would_harm_a_terminal_a_table_or_a_page_do_not() {
    let telegram = Telegram::new();
    for name in ["<script>x</scr", "=1+1", "\u{1b}[31mred", "a\"b,c'd&e", "@cmd|' /C c'!"] {
        let config = format!(
            "[source.interface]\ninterfaces = [\"*\"]\n[quota.month]\nallowance = \"1 MB\"\n\
             tier = [{{ name = \"<b>=&\", used = \"80%\" }}]\n{}",
            telegram_table(&telegram.url())
        );
        if name.contains('/') {
            continue;
        }
        let machine = Machine::bare().interface(name, 1, 1).default_route(name).config(&config);
        let life = Life::begin(machine, "2026-11-20 12:00:00");
        life.check();
        life.at("2026-11-20 12:10:00");
        life.machine.grow(name, 0, 812_000);
        life.check();
        for args in [&["report"][..], &["report", "--log"]] {
            let run = life.run(args).exits(0);
            assert!(!run.stdout.contains('\u{1b}'), "{name:?} {args:?}: {}", run.stdout);
            assert!(run.stdout.lines().count() > 2);
        }
        for args in [&["report", "--format", "csv", "--by", "month"][..], &["report", "--log", "--format", "csv"]] {
            let csv = life.run(args).exits(0).stdout;
            let cell = |cell: &str| cell.trim_start_matches('"').starts_with(['=', '@', '+', '-']);
            assert!(!csv.split([',', '\n']).any(cell), "{name:?}: a formula in {csv}");
        }
        let document = life.report(&[]);
        assert_eq!(document.of(name)["out"], 812_000, "what scripts read is the name itself");
        for format in ["html", "svg"] {
            let page = life.run(&["report", "--format", format]).exits(0).stdout;
            assert!(!page.contains("<script>x") && !page.contains("<b>=&"), "{name:?}: markup of a name in {format}");
            assert!(!page.contains('\u{1b}'), "{name:?}: a control character in {format}");
        }
    }
}

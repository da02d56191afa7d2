//! Alarms: on silence, rates and load, of nodes and of this machine.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::machine::{Machine, telegram_table};
use crate::telegram::Telegram;

/// What a node reported.
#[derive(Clone, Copy)]
struct Said {
    /// How long ago.
    ago: u64,
    /// Received and sent, in bytes per second.
    rates: (u64, u64),
    /// In percent.
    cpu: f64,
    /// Of 1000.
    memory: u64,
}

const WELL: Said = Said { ago: 5, rates: (5_000_000, 5_000_000), cpu: 5.0, memory: 300 };

/// Puts a node's report where `serve` would.
fn report(machine: &Machine, node: &str, said: Said) {
    let received = OffsetDateTime::now_utc() - Duration::from_secs(said.ago);
    let record = json!({
        "version": 1,
        "hostname": node,
        "received": received.format(&Rfc3339).unwrap(),
        "timestamp": received.unix_timestamp(),
        "metrics": {
            "cpu_percent": said.cpu,
            "memory_used": said.memory,
            "memory_total": 1000,
            "network_in_bps": said.rates.0,
            "network_out_bps": said.rates.1,
            "uptime_seconds": 100,
        },
    });
    let spool = machine.state_dir().join("spool");
    std::fs::create_dir_all(&spool).unwrap();
    let file = node.replace('%', "%25").replace('<', "%3C").replace('>', "%3E").replace('`', "%60").replace('&', "%26");
    let file = file.replace(';', "%3B");
    let temporary = spool.join(format!(".{file}.json.tmp"));
    std::fs::write(&temporary, record.to_string()).unwrap();
    std::fs::rename(temporary, spool.join(format!("{file}.json"))).unwrap();
}

fn hub(telegram: &Telegram, alarms: &str) -> Machine {
    let telegram = telegram_table(&telegram.url());
    Machine::new().config(&format!("[source.nodes]\n{alarms}\n{telegram}"))
}

fn alarm_of(machine: &Machine, subject: &str) -> Value {
    let document = machine.run(&["status", "--json"]).json();
    let row = document["alarms"].as_array().unwrap().iter().find(|row| row["subject"] == subject).cloned();
    row.unwrap_or_else(|| panic!("no {subject} in {document}"))
}

#[test]
fn a_silent_node_is_told_of_once_and_again_when_it_is_back() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "[alarm.offline]\nsilent_for = \"5 min\"");
    report(&machine, "hk-1", WELL);
    machine.check_exits(0);
    assert_eq!(alarm_of(&machine, "hk-1")["raised"], false);
    report(&machine, "hk-1", Said { ago: 400, ..WELL });
    // Older than what is known: the node's last sign of life stays what it was.
    machine.check_exits(0);
    std::fs::remove_dir_all(machine.state_dir()).unwrap();
    report(&machine, "hk-1", Said { ago: 400, ..WELL });
    machine.check_exits(0);
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("🔇 hk-1: silent for 6 min"), "{text}");
    assert!(text.contains("Alarm offline: silent for 5 min"), "{text}");
    let row = alarm_of(&machine, "hk-1");
    assert_eq!((&row["raised"], &row["unit"], &row["limit"]), (&json!(true), &json!("s"), &json!(300)));
    report(&machine, "hk-1", WELL);
    machine.check_exits(0);
    let texts = telegram.texts();
    assert!(texts[1].contains("✅ hk-1: heard of again"), "{texts:?}");
    assert_eq!((texts.len(), &alarm_of(&machine, "hk-1")["raised"]), (2, &json!(false)));
}

#[test]
fn many_nodes_are_told_in_one_message() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "[alarm.offline]\nsilent_for = \"5 min\"\nexclude = [\"n9\"]");
    for node in 0..51 {
        report(&machine, &format!("n{node}"), Said { ago: 600, ..WELL });
    }
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("🔇 50 subjects have raised alarm offline: silent for 5 min"), "{text}");
    assert!(text.contains("n17: silent for 10 min") && text.contains("20 more"), "{text}");
}

#[test]
fn a_slow_node_is_told_of_after_so_many_runs() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "[alarm.slow]\nrate_below = \"10 Mbps\"\nof = \"min\"\nfor = 2");
    let slow = |ago| Said { ago, rates: (5_000_000, 100_000), ..WELL };
    report(&machine, "hk-1", slow(20));
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(telegram.texts().len(), 0, "the same report twice is one look");
    report(&machine, "hk-1", slow(10));
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("🚨 hk-1: rate (the smaller of in and out) 800 kbps"), "{text}");
    let row = alarm_of(&machine, "hk-1");
    let figures = [&row["value"], &row["limit"], &row["unit"], &row["raised"]];
    assert_eq!(figures, [&json!(800_000), &json!(10_000_000), &json!("bit/s"), &json!(true)]);
    machine.run(&["status"]).exits(0).prints("alarms: 1 raised of 1 watched").prints("alarm: hk-1: 800 kbps (slow: ");
    machine.run(&["status", "--nagios"]).exits(1).prints("alarm slow at hk-1");
    let labels = "{alarm=\"slow\",subject=\"hk-1\",source=\"nodes\"}";
    machine.run(&["status", "--prometheus"]).exits(0).prints(&format!("netquota_alarm_raised{labels} 1\n"));
}

#[test]
fn load_is_watched() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "[alarm.cpu]\ncpu_above = \"90%\"\n[alarm.memory]\nmemory_above = \"80%\"");
    report(&machine, "hk-1", Said { cpu: 97.3, memory: 900, ..WELL });
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("hk-1: CPU 97.3 %") && text.contains("hk-1: memory 90 %"), "{text}");
}

#[test]
fn an_expected_node_that_never_reports_is_silent_since_it_was_expected() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "expected = [\"hk-1\"]\n[alarm.offline]\nsilent_for = \"1 s\"");
    let first = machine.check();
    assert_eq!(first.code(), 3, "the source says that it has not heard of it");
    assert!(telegram.texts().is_empty());
    std::thread::sleep(Duration::from_millis(1100));
    machine.check_exits(3);
    let text = telegram.only().text;
    assert!(text.contains("🔇 hk-1: never heard of"), "{text}");
}

#[test]
fn names_are_shown_as_text() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "[alarm.offline]\nsilent_for = \"5 min\"\nsubjects = [\"<b>*\"]");
    report(&machine, "<b>`x`&amp;", Said { ago: 600, ..WELL });
    machine.check();
    let text = telegram.only().text;
    assert!(text.contains("🔇 <b>`x`&amp;: silent for 10 min"), "{text}");
}

#[test]
fn only_the_alarm_named_is_looked_at() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "[alarm.a]\nsilent_for = \"5 min\"\n[alarm.b]\nsilent_for = \"6 min\"");
    report(&machine, "hk-1", Said { ago: 600, ..WELL });
    machine.run(&["check", "--only", "b"]).exits(0);
    let text = telegram.only().text;
    assert!(text.contains("Alarm b:") && !text.contains("Alarm a:"), "{text}");
    machine.run(&["check", "--only", "c"]).exits(2).complains("there is no source, quota or alarm \"c\"");
}

#[test]
fn debug_tells_and_writes_nothing() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "[alarm.offline]\nsilent_for = \"5 min\"");
    report(&machine, "hk-1", Said { ago: 600, ..WELL });
    let before = crate::machine::snapshot(machine.state_dir());
    let run = machine.run(&["check", "--debug"]);
    assert!(run.stdout.contains("alarm \"offline\": 🔇 hk-1: silent for 10 min"), "{}", run.stdout);
    assert_eq!(crate::machine::snapshot(machine.state_dir()), before);
    assert!(telegram.texts().is_empty());
}

#[test]
fn alarms_are_in_the_log() {
    let telegram = Telegram::new();
    let machine = hub(&telegram, "[alarm.offline]\nsilent_for = \"5 min\"");
    report(&machine, "hk-1", Said { ago: 600, ..WELL });
    machine.check_exits(0);
    let log = machine.run(&["report", "--log", "--format", "json"]).exits(0).json();
    let entry = &log["log"][0];
    assert_eq!(
        (&entry["kind"], &entry["subject"], &entry["quota"]),
        (&json!("alert"), &json!("hk-1"), &json!("offline"))
    );
}

#[test]
fn the_rate_of_this_machine_is_watched() {
    let telegram = Telegram::new();
    let alarms = "[alarm.busy]\nrate_above = \"8 Mbps\"\nof = \"out\"";
    let machine = Machine::new().uptime(1000.0).config(&format!("{alarms}\n{}", telegram_table(&telegram.url())));
    machine.check_exits(0);
    let machine = machine.uptime(1010.0);
    machine.grow("eth0", 0, 10_000_001);
    machine.check_exits(0);
    assert!(telegram.texts().is_empty(), "8 Mbps is not above 8 Mbps");
    let machine = machine.uptime(1020.0);
    machine.grow("eth0", 0, 20_000_000);
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("🚨 eth0: rate (outbound) 16 Mbps"), "{text}");
}

//! Quotas on nodes that report to this machine: the spool is written as `serve` writes it.

use std::cell::RefCell;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::machine::{Dice, Machine, Status, names, snapshot, spawn, telegram_table};
use crate::telegram::Telegram;

const QUOTA: &str = "[quota.node]\nallowance = \"1 MB\"\ntiers = [\"80%\", \"90%\"]\n";

/// A machine with a source of nodes, and nodes that report to it.
struct Hub {
    machine: Machine,
    nodes: RefCell<Vec<Node>>,
}

/// A node and its counters.
#[derive(Clone)]
struct Node {
    name: String,
    boot: String,
    uptime_ms: u64,
    rx: u64,
    tx: u64,
}

/// An instant so many seconds ago, as records have it.
fn ago(seconds: i64) -> String {
    (OffsetDateTime::now_utc() - time::Duration::seconds(seconds)).format(&Rfc3339).unwrap()
}

impl Hub {
    fn new(config: &str) -> Self {
        let machine = Machine::new().config(config);
        fs::create_dir(machine.state_dir().join("spool")).unwrap();
        Self { machine, nodes: RefCell::default() }
    }

    /// Traffic of a node; one that was not there begins.
    fn flow(&self, name: &str, rx: u64, tx: u64) {
        let mut nodes = self.nodes.borrow_mut();
        if !nodes.iter().any(|node| node.name == name) {
            let boot = format!("boot-of-{name}");
            nodes.push(Node { name: name.into(), boot, uptime_ms: 86_400_000, rx: 5_000, tx: 7_000 });
        }
        let node = nodes.iter_mut().find(|node| node.name == name).unwrap();
        (node.rx, node.tx) = (node.rx + rx, node.tx + tx);
    }

    /// It starts anew: a new boot, counters from zero.
    fn reboot(&self, name: &str) {
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.iter_mut().find(|node| node.name == name).unwrap();
        *node = Node { name: name.into(), boot: format!("{}-again", node.boot), uptime_ms: 0, rx: 0, tx: 0 };
    }

    fn node(&self, name: &str) -> Node {
        self.nodes.borrow().iter().find(|node| node.name == name).unwrap().clone()
    }

    /// Its report has come in so many seconds ago.
    fn report_of(&self, name: &str, seconds: i64, more: Value) {
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.iter_mut().find(|node| node.name == name).unwrap();
        node.uptime_ms += 10_000;
        let counted = json!({"version": 1, "interface": "eth0", "rx_bytes": node.rx, "tx_bytes": node.tx,
            "boot_id": node.boot, "uptime_ms": node.uptime_ms, "index": 2, "link_speed": 1_000_000_000_u64});
        let mut record = without_counters(name, seconds);
        record["counted"] = counted;
        for (key, value) in more.as_object().into_iter().flatten() {
            record[key] = value.clone();
        }
        drop(nodes);
        self.put(&format!("{name}.json"), record.to_string().as_bytes());
    }

    fn report(&self, name: &str) {
        self.report_of(name, 0, Value::Null);
    }

    /// As `serve` does: written beside, then renamed.
    fn put(&self, file: &str, document: &[u8]) {
        let spool = self.machine.state_dir().join("spool");
        let beside = spool.join(format!(".{file}.tmp"));
        fs::write(&beside, document).unwrap();
        fs::rename(beside, spool.join(file)).unwrap();
    }

    /// Bytes used, by subject.
    #[track_caller]
    fn used(&self) -> Vec<(String, u64)> {
        let Status(document) = self.machine.status();
        let row = |row: &Value| (row["subject"].as_str().unwrap().to_owned(), row["used"].as_u64().unwrap());
        document["quotas"].as_array().unwrap().iter().map(row).collect()
    }

    #[track_caller]
    fn check_exits(&self, code: i32) -> crate::machine::Run {
        self.machine.check_exits(code)
    }
}

/// A record as an older client's report makes it.
fn without_counters(name: &str, seconds: i64) -> Value {
    json!({"version": 1, "hostname": name, "received": ago(seconds), "timestamp": 1_767_225_600,
        "metrics": {"cpu_percent": 1.5, "memory_used": 1, "memory_total": 4, "network_in_bps": 10,
            "network_out_bps": 20, "uptime_seconds": 5}})
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(subject, used)| ((*subject).to_owned(), *used)).collect()
}

fn config(source: &str, telegram: &Telegram) -> String {
    format!("[source.nodes]\n{source}\n{QUOTA}{}", telegram_table(&telegram.url()))
}

#[test]
fn each_node_has_its_own_quota() {
    let telegram = Telegram::new();
    let hub = Hub::new(&config("", &telegram));
    hub.flow("hk-1", 0, 0);
    hub.flow("sg-1", 0, 0);
    hub.report("hk-1");
    hub.report("sg-1");
    hub.check_exits(0).quietly();
    hub.flow("hk-1", 9_000_000, 812_000);
    hub.flow("sg-1", 0, 100);
    hub.report("hk-1");
    hub.report("sg-1");
    hub.check_exits(0).quietly();
    assert_eq!(hub.used(), pairs(&[("hk-1", 812_000), ("sg-1", 100)]));
    let text = telegram.only().text;
    assert!(text.contains("hk-1: 81.2 % of 1 MB used"), "{text}");
    for _ in 0..3 {
        hub.check_exits(0).quietly();
    }
    assert_eq!(hub.used(), pairs(&[("hk-1", 812_000), ("sg-1", 100)]), "a report counts once");
    assert_eq!(telegram.messages().len(), 1);
}

#[test]
fn a_figure_is_of_when_the_report_came_in() {
    let hub = Hub::new(&format!("[source.nodes]\n{QUOTA}"));
    hub.flow("hk-1", 0, 0);
    hub.report_of("hk-1", 600, Value::Null);
    hub.check_exits(0);
    let as_of = |hub: &Hub| {
        let text = hub.machine.status().row()["as_of"].as_str().unwrap().to_owned();
        OffsetDateTime::parse(&text, &Rfc3339).unwrap()
    };
    let age = OffsetDateTime::now_utc() - as_of(&hub);
    assert!((600..720).contains(&age.whole_seconds()), "{age}");
    let before = as_of(&hub);
    hub.check_exits(0);
    assert_eq!(as_of(&hub), before, "nothing new was heard");
    assert_eq!(hub.machine.status().row()["stale"], false);
    hub.report_of("hk-1", -5_000, Value::Null);
    hub.check_exits(0);
    assert!(as_of(&hub) <= OffsetDateTime::now_utc(), "a clock that was set back");
}

#[test]
fn a_node_that_was_started_anew_counts_in_full() {
    let hub = Hub::new(&format!("[source.nodes]\n{QUOTA}"));
    hub.flow("hk-1", 0, 0);
    hub.report("hk-1");
    hub.check_exits(0);
    hub.flow("hk-1", 0, 100);
    hub.report("hk-1");
    hub.check_exits(0);
    hub.reboot("hk-1");
    hub.flow("hk-1", 0, 20_000);
    hub.report("hk-1");
    hub.check_exits(0).quietly();
    assert_eq!(hub.used(), pairs(&[("hk-1", 20_100)]));
    hub.report("hk-1");
    hub.check_exits(0).quietly();
    hub.reboot("hk-1");
    hub.flow("hk-1", 0, 3);
    hub.report("hk-1");
    hub.check_exits(0).quietly();
    assert_eq!(hub.used(), pairs(&[("hk-1", 20_103)]));
}

#[test]
fn nodes_may_share_an_allowance_and_be_chosen() {
    let pool = "[quota.all]\nallowance = \"1 MB\"\npool = true\nexclude = [\"test-*\"]\n";
    let some = "[quota.some]\ncount = \"in\"\nallowance = \"1 MB\"\nsubjects = [\"hk-*\"]\n";
    let since =
        "[quota.boot]\nperiod = \"never\"\nallowance = \"1 MB\"\nfirst = \"since-boot\"\nsubjects = [\"sg-1\"]\n";
    let hub = Hub::new(&format!("[source.nodes]\n{pool}{some}{since}"));
    let all = ["hk-1", "sg-1", "test-1"];
    for round in 0..2 {
        for (index, name) in all.iter().enumerate() {
            hub.flow(name, 1_000 * round, 10_u64.pow(index as u32) * round);
            hub.report(name);
        }
        hub.check_exits(0).quietly();
    }
    let Status(document) = hub.machine.status();
    let rows: Vec<String> = document["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {} {}", row["quota"], row["subject"], row["used"]).replace('"', ""))
        .collect();
    assert_eq!(rows, ["all pool 11", "boot sg-1 7010", "some hk-1 1000"]);
}

#[test]
fn nobody_has_reported_yet() {
    let hub = Hub::new(&format!("[source.nodes]\n{QUOTA}"));
    let text = "source \"nodes\": no node has reported yet: does `netquota serve` run, and do nodes push to it?";
    hub.check_exits(3).complains(text);
    fs::remove_dir(hub.machine.state_dir().join("spool")).unwrap();
    hub.check_exits(3);
    let hub = Hub::new(&format!("[source.nodes]\nexpected = [\"hk-1\", \"sg-1\"]\n{QUOTA}"));
    hub.flow("hk-1", 0, 0);
    hub.report("hk-1");
    let run = hub.check_exits(3).complains("source \"nodes\": \"sg-1\" has not reported yet");
    assert!(!run.stderr.contains("hk-1"), "{}", run.stderr);
    hub.flow("sg-1", 0, 0);
    hub.report("sg-1");
    hub.check_exits(0).quietly();
}

#[test]
fn a_silent_node_is_missed_after_an_hour_and_nothing_is_done_on_it() {
    let telegram = Telegram::new();
    let machine = Machine::new();
    let made = machine.path("made");
    let command = format!("[action.cut]\nkind = \"command\"\ncommand = [\"/bin/touch\", \"{}\"]\n", made.display());
    let tier = "tier = [{ used = \"80%\", actions = [\"cut\"] }]";
    let quota = QUOTA.replace("tiers = [\"80%\", \"90%\"]", tier);
    let config = format!("[source.nodes]\n{quota}{command}arm_after = \"0 s\"\n{}", telegram_table(&telegram.url()));
    let machine = machine.config(&config);
    fs::create_dir(machine.state_dir().join("spool")).unwrap();
    let hub = Hub { machine, nodes: RefCell::default() };
    hub.flow("hk-1", 0, 0);
    hub.report_of("hk-1", 9_000, Value::Null);
    hub.check_exits(3).complains("\"hk-1\": no report since ");
    let text = telegram.only().text;
    assert!(text.contains("nodes: hk-1: no figure since"), "{text}");
    hub.flow("hk-1", 0, 900_000);
    hub.report_of("hk-1", 3_700, Value::Null);
    hub.check_exits(3);
    assert!(!made.exists(), "its report is too old to do anything on it");
    assert_eq!(hub.machine.status().row()["stale"], true);
    assert_eq!(hub.used(), pairs(&[("hk-1", 900_000)]));
    hub.report_of("hk-1", 3_000, Value::Null);
    hub.check_exits(0);
    assert!(!made.exists(), "heard of within the hour, and not of late");
    hub.report("hk-1");
    hub.check_exits(0);
    assert!(made.exists(), "heard of just now");
    let texts = telegram.texts().join("\n");
    assert!(texts.contains("nodes: hk-1: figures are back"), "{texts}");
    fs::remove_file(hub.machine.state_dir().join("spool/hk-1.json")).unwrap();
    hub.flow("sg-1", 0, 0);
    hub.report("sg-1");
    hub.check_exits(0);
    assert_eq!(hub.used(), pairs(&[("hk-1", 900_000), ("sg-1", 0)]), "a node whose record was deleted is not missed");
}

#[test]
fn an_older_client_is_told_of_once() {
    let telegram = Telegram::new();
    let hub = Hub::new(&config("", &telegram));
    hub.put("old-1.json", without_counters("old-1", 0).to_string().as_bytes());
    for _ in 0..3 {
        hub.check_exits(0).quietly();
        hub.put("old-1.json", without_counters("old-1", 0).to_string().as_bytes());
    }
    let text = telegram.only().text;
    assert!(text.contains("old-1 reports no cumulative counters"), "{text}");
    let status = hub.machine.run(&["status"]).exits(0);
    let remark = "unmetered: old-1 of source \"nodes\": no cumulative counters";
    assert!(format!("{}{}", status.stdout, status.stderr).contains(remark), "{status:?}");
    hub.flow("old-1", 0, 0);
    hub.report("old-1");
    hub.check_exits(0).quietly();
    hub.flow("old-1", 0, 5);
    hub.report("old-1");
    hub.check_exits(0).quietly();
    assert_eq!(hub.used(), pairs(&[("old-1", 5)]), "it has the newer one now");
    let status = hub.machine.run(&["status"]).exits(0);
    assert!(!format!("{}{}", status.stdout, status.stderr).contains("unmetered"), "{status:?}");
    assert_eq!(telegram.messages().len(), 1);
}

#[test]
fn two_machines_of_one_name_are_told_of() {
    let telegram = Telegram::new();
    let hub = Hub::new(&config("", &telegram));
    hub.flow("hk-1", 0, 0);
    hub.report("hk-1");
    hub.check_exits(0).quietly();
    hub.flow("hk-1", 0, 7);
    hub.report_of("hk-1", 0, json!({"boots": ["another"], "doubled": ago(60)}));
    hub.check_exits(3).complains("source \"nodes\": hk-1: two machines report under this name");
    hub.check_exits(3);
    assert!(telegram.only().text.contains("two machines report under this name"));
    assert_eq!(hub.used(), pairs(&[("hk-1", 7)]), "one of them is metered");
    hub.report_of("hk-1", 0, json!({"boots": ["another"], "doubled": ago(3_700)}));
    hub.check_exits(0).quietly();
}

#[test]
fn a_broken_record_spoils_no_other() {
    let hub = Hub::new(&format!("[source.nodes]\n{QUOTA}"));
    for name in ["a", "b", "c", "d"] {
        hub.flow(name, 0, 0);
        hub.report(name);
    }
    hub.check_exits(0);
    let spool = hub.machine.state_dir().join("spool");
    let whole = fs::read(spool.join("b.json")).unwrap();
    hub.put("b.json", &whole[..whole.len() / 2]);
    hub.put("c.json", &fs::read(spool.join("d.json")).unwrap());
    hub.put("d.json", b"{\"version\":2}");
    hub.put("e.json", &[0; 4096]);
    fs::create_dir(spool.join("f.json")).unwrap();
    fs::write(spool.join("readme.txt"), "not a record").unwrap();
    fs::write(spool.join(".a.json.tmp"), "being written").unwrap();
    hub.flow("a", 0, 5);
    hub.report("a");
    let run = hub.check_exits(3);
    let path = |file: &str| spool.join(file).display().to_string();
    for (file, why) in [
        ("b.json", "EOF while parsing"),
        ("c.json", "it holds a report of \"d\", which has another file"),
        ("d.json", ""),
        ("e.json", ""),
        ("f.json", ""),
    ] {
        let text = format!("{}: the report cannot be read: {why}", path(file));
        assert!(run.stderr.contains(&text), "{text}: {}", run.stderr);
    }
    assert_eq!(run.stderr.lines().count(), 5, "{}", run.stderr);
    assert_eq!(hub.used(), pairs(&[("a", 5), ("b", 0), ("c", 0), ("d", 0)]));
    fs::remove_file(spool.join("e.json")).unwrap();
    fs::remove_dir(spool.join("f.json")).unwrap();
    for name in ["b", "c", "d"] {
        hub.flow(name, 0, 9);
        hub.report(name);
    }
    hub.check_exits(0).quietly();
    assert_eq!(hub.used(), pairs(&[("a", 5), ("b", 9), ("c", 9), ("d", 9)]));
}

#[test]
fn containers_of_one_machine_and_odd_names_are_kept_apart() {
    let hub = Hub::new(&format!("[source.nodes]\n{QUOTA}"));
    let names = ["c1", "c2", "web@a", "web@b"];
    for round in 0_u64..3 {
        for (index, name) in names.iter().enumerate() {
            hub.flow(name, 0, round * (index as u64 + 1));
            for node in hub.nodes.borrow_mut().iter_mut() {
                node.boot = "the same".into();
            }
            // Not all of them in each round.
            if (round as usize + index).is_multiple_of(2) || round == 2 {
                let file = name.replace('@', "%40");
                let node = hub.node(name);
                hub.report_of(name, 0, Value::Null);
                let written = hub.machine.state_dir().join("spool").join(format!("{name}.json"));
                if file != *name {
                    fs::rename(&written, written.with_file_name(format!("{file}.json"))).unwrap();
                }
                assert_eq!(node.name, *name);
            }
        }
        hub.check_exits(0).quietly();
    }
    let used = hub.used();
    // Those that were first heard of in the second round have their baseline there.
    assert_eq!(used, pairs(&[("c1", 3), ("c2", 4), ("web@a", 9), ("web@b", 8)]));
}

#[test]
fn a_debug_run_shows_the_figures_and_writes_nothing() {
    let hub = Hub::new(&format!("[source.nodes]\n{QUOTA}"));
    hub.flow("hk-1", 0, 0);
    hub.report("hk-1");
    hub.check_exits(0);
    hub.flow("hk-1", 0, 850_000);
    hub.report("hk-1");
    hub.put("old.json", without_counters("old", 0).to_string().as_bytes());
    let before = snapshot(hub.machine.state_dir());
    let run = hub.machine.run(&["check", "--debug"]).exits(0);
    assert_eq!(snapshot(hub.machine.state_dir()), before);
    let told = format!("{}{}", run.stdout, run.stderr);
    for text in ["nodes' reports in", "sent 857000", "850000 of 1000000 bytes", "old reports no cumulative counters"] {
        assert!(told.contains(text), "no {text} in:\n{told}");
    }
    hub.check_exits(0);
    assert_eq!(names(&hub.machine.state_dir().join("spool")), ["hk-1.json", "old.json"], "the spool is only read");
}

#[test]
fn reports_tell_of_nodes() {
    let hub = Hub::new(&format!("[source.nodes]\n{QUOTA}"));
    hub.flow("hk-1", 0, 0);
    hub.report("hk-1");
    hub.check_exits(0);
    hub.flow("hk-1", 0, 4_321);
    hub.report("hk-1");
    hub.check_exits(0);
    let run = hub.machine.run(&["report", "--period", "year", "--subject", "hk-1", "--format", "json"]).exits(0);
    assert!(run.stdout.contains("4321") && run.stdout.contains("\"hk-1\""), "{}", run.stdout);
}

#[test]
fn runs_that_are_killed_count_every_byte_once() {
    let telegram = Telegram::new();
    let hub = Hub::new(&config("", &telegram));
    hub.flow("hk-1", 0, 0);
    hub.report("hk-1");
    hub.check_exits(0);
    let mut dice = Dice(0x0DE5_0001);
    let took = hub.check_exits(0).took;
    let mut expected = 0;
    for round in 0..15 {
        if round % 5 == 4 {
            hub.reboot("hk-1");
        }
        hub.flow("hk-1", 0, 1_000);
        expected += 1_000;
        hub.report("hk-1");
        let running = spawn(hub.machine.command(&["check"]));
        thread::sleep(Duration::from_micros(dice.roll(took.as_micros() as u64 + 2_000)));
        running.kill();
        hub.check_exits(0);
        assert_eq!(hub.used(), pairs(&[("hk-1", expected)]), "round {round}");
    }
}

#[test]
fn without_a_quota_nothing_is_read() {
    let hub = Hub::new("[source.nodes]\n");
    hub.check_exits(0).quietly();
    assert_eq!(hub.machine.status().count("quotas"), 0);
}

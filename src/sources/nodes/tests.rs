//! Tests: what a spool says.

use std::sync::Arc;

use super::*;
use crate::config::secret::Need;
use crate::config::{self, NamedSource};
use crate::testing::sim::World;

fn now() -> Instant {
    Instant::parse("2026-03-01T00:00:00Z").unwrap()
}

fn parse(text: &str) -> Result<Vec<NamedSource>, Vec<String>> {
    config::parse(&World::new(now()), "config.toml", text, Need::Secrets).map(|config| config.sources)
}

fn source(keys: &str) -> Arc<dyn Source> {
    Arc::clone(&parse(&format!("[source.nodes]\n{keys}\n")).unwrap()[0].source)
}

fn record(name: &str, received: Instant, counted: &str) -> String {
    format!(
        r#"{{"version":1,"hostname":"{name}","received":"{received}","timestamp":5,"metrics":{{"cpu_percent":1.0,
        "memory_used":1,"memory_total":4,"network_in_bps":7,"network_out_bps":8,"uptime_seconds":9}}{counted}}}"#
    )
}

const COUNTED: &str = r#","counted":{"version":1,"interface":"eth0","rx_bytes":10,"tx_bytes":20,"boot_id":"b1","uptime_ms":5000,"index":2,"link_speed":1000000000}"#;

fn read(keys: &str, files: &[(&str, &str)]) -> Result<Readings, Trouble> {
    let world = World::new(now());
    let spool = files.iter().map(|(file, text)| ((*file).to_owned(), text.as_bytes().to_vec())).collect();
    world.inner().fleet.spool = spool;
    let state_dir = Path::new("");
    let look =
        Look { remembered: None, until: Duration::from_secs(25), now: now(), nics: &[], state_dir, watched: true };
    source(keys).read(&world, &look)
}

fn problems(readings: &Readings) -> Vec<(&str, &str)> {
    readings.problems.iter().map(|problem| (problem.subject.as_str(), problem.text.as_str())).collect()
}

#[test]
fn a_record_is_a_reading_of_when_it_came_in() {
    let at = now().minus(Duration::from_secs(40));
    let readings = read("", &[("hk-1.json", &record("hk-1", at, COUNTED))]).unwrap();
    let identity = Identity {
        boot: Some("b1 of hk-1".into()),
        uptime: Some(Duration::from_secs(5)),
        index: Some(2),
        epoch: Some(0),
    };
    let counters = Counters { rx: 10, tx: 20 };
    let figure = Figure::Counter { counters, identity, link_speed: Some(1_000_000_000) };
    assert_eq!(readings.readings, [Reading { subject: "hk-1".into(), at, figure }]);
    assert_eq!(readings.pulses["hk-1"].rate, Some(Counters { rx: 7, tx: 8 }));
    assert!(readings.problems.is_empty() && readings.uncounted.is_empty() && readings.oddities.is_empty());
}

#[test]
fn without_counters_there_is_a_pulse_and_no_figure() {
    let newer = COUNTED.replace("\"version\":1", "\"version\":2");
    let files = [("a.json", &*record("a", now(), "")), ("b.json", &*record("b", now(), &newer))];
    let readings = read("", &files).unwrap();
    assert!(readings.readings.is_empty() && readings.problems.is_empty());
    assert_eq!(readings.uncounted, ["a", "b"].map(str::to_owned).into());
    assert_eq!(readings.pulses.len(), 2);
}

#[test]
fn a_clock_that_was_set_back_leaves_no_report_in_the_future() {
    let later = now().plus(Duration::from_secs(1_000_000));
    let readings = read("", &[("a.json", &record("a", later, COUNTED))]).unwrap();
    assert_eq!((readings.readings[0].at, readings.pulses["a"].at), (now(), now()));
}

#[test]
fn an_empty_spool_is_a_problem_unless_somebody_is_expected() {
    let text = "no node has reported yet: does `netquota serve` run, and do nodes push to it?";
    assert_eq!(read("", &[]).unwrap_err().text, text);
    assert_eq!(read("", &[(".a.json.tmp", "{")]).unwrap_err().text, text, "one that is being written");
    let readings = read("expected = [\"hk-1\"]", &[]).unwrap();
    assert_eq!(problems(&readings), [("hk-1", "\"hk-1\" has not reported yet")]);
}

#[test]
fn nodes_that_are_silent_for_90_days_are_forgotten() {
    let old = record("a", now().minus(FORGOTTEN + Duration::from_secs(1)), COUNTED);
    let trouble = read("", &[("a.json", &old)]).unwrap_err();
    assert!(trouble.text.starts_with("no node has reported for 90 days: "), "{trouble:?}");
    let readings = read("expected = [\"a\"]", &[("a.json", &old)]).unwrap();
    assert_eq!(problems(&readings), [("a", "\"a\": no report for 90 days")]);
    let just = record("a", now().minus(FORGOTTEN), COUNTED);
    assert_eq!(read("", &[("a.json", &just)]).unwrap().readings.len(), 1);
}

#[test]
fn two_machines_of_one_name_are_told_of_for_an_hour() {
    let doubled = |seconds| {
        let at = now().minus(Duration::from_secs(seconds));
        let file = record("a", now(), &format!("{COUNTED},\"doubled\":\"{at}\""));
        read("", &[("a.json", &file)]).unwrap().oddities
    };
    assert_eq!(doubled(3599), [Oddity::Doubled { subject: "a".into() }]);
    assert_eq!(doubled(3600), []);
}

#[test]
fn a_broken_record_spoils_no_other() {
    let good = record("good", now(), COUNTED);
    let newer = record("newer", now(), COUNTED).replace("\"version\":1,\"host", "\"version\":2,\"host");
    let long = record::file_name(&"x".repeat(253));
    let files = [
        ("good.json", &*good),
        ("torn.json", &good[..good.len() / 2]),
        ("empty.json", ""),
        ("other.json", &record("good", now(), COUNTED)),
        ("newer.json", &newer),
        (&*long, "[]"),
        ("A%20a.json", "{}"),
        ("%zz.json", "{}"),
    ];
    let readings = read("expected = [\"torn\"]", &files).unwrap();
    assert_eq!(readings.readings.len(), 1);
    let problems = problems(&readings);
    let why = |subject: &str| {
        let of: Vec<&str> = problems.iter().filter(|(of, _)| *of == subject).map(|(_, why)| *why).collect();
        assert_eq!(of.len(), 1, "{subject}: {problems:?}");
        of[0].to_owned()
    };
    assert!(why("torn").starts_with("spool/torn.json: the report cannot be read: EOF"), "{problems:?}");
    assert_eq!(
        why("other"),
        "spool/other.json: the report cannot be read: it holds a report of \"good\", which has another file"
    );
    assert!(why("newer").ends_with("version 2 is not known"));
    for subject in ["empty", "A a", "%zz.json", &long] {
        why(subject);
    }
    assert_eq!(problems.len(), 7);
}

#[test]
fn containers_of_one_machine_are_not_one_node() {
    let files = [("a.json", &*record("a", now(), COUNTED)), ("b.json", &*record("b", now(), COUNTED))];
    let readings = read("", &files).unwrap();
    let identity = |index: usize| readings.readings[index].identity().cloned().unwrap();
    assert_ne!(identity(0).boot, identity(1).boot);
    let bootless = COUNTED.replace("\"boot_id\":\"b1\",", "");
    let readings = read("", &[("a.json", &record("a", now(), &bootless))]).unwrap();
    assert_eq!(readings.readings[0].identity().unwrap().index, None, "an index without a boot tells nothing");
}

#[test]
fn the_settings_are_checked() {
    let wrong = |keys: &str| parse(&format!("[source.nodes]\n{keys}\n")).err().unwrap_or_default().join("\n");
    assert!(wrong("spool = \"spool\"").contains("\"spool\" is no absolute path"));
    assert!(wrong("expected = []").contains("at least one name is expected"));
    assert!(wrong("expected = [\"a\", \"a\"]").contains("\"a\" is there twice"));
    assert!(wrong("expected = [\" a\"]").contains("is no name of a node: it has characters that cannot be seen"));
    assert!(wrong("expect = [\"a\"]").contains("did you mean \"expected\"?"));
    let folder = |keys: &str| source(keys).spool(Path::new("/var/lib/netquota"));
    assert_eq!(folder(""), Some("/var/lib/netquota/spool".into()));
    assert_eq!(folder("spool = \"/srv/reports\""), Some("/srv/reports".into()));
}

#[test]
fn reports_alone_mean_no_quota() {
    let quotas = |text: &str| {
        let config = config::parse(&World::new(now()), "config.toml", text, Need::Secrets);
        config.map(|config| config.quotas.into_iter().map(|quota| quota.source).collect::<Vec<_>>()).unwrap()
    };
    let tunnel = "[source.tunnel]\nurl = \"http://127.0.0.1:1\"\n";
    assert!(quotas(&format!("[source.nodes]\n{tunnel}")).is_empty());
    assert_eq!(quotas(&format!("[source.nic]\nkind = \"interface\"\n[source.nodes]\n{tunnel}")), ["nic"]);
    assert_eq!(quotas(""), ["interface"]);
    assert_eq!(quotas("[source.nodes]\n[quota.month]\nallowance = \"1 TB\"\n"), ["nodes"]);
}

//! The cluster by itself: what later scenarios rely on.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use toml::de::DeTable;

use crate::api::pve::{self, Cause, nic::Nic, power::Order};
use crate::config::fields::{Fields, Findings};
use crate::config::secret::{Keeper, Need};
use crate::error::{Error, Exit};
use crate::host::{Host, HttpError, Reached, Request, Tls};
use crate::quota::guest::Id;
use crate::quota::instant::Instant;
use crate::testing::scenario::Scenario;
use crate::testing::sim::{Effect, Ended, Side, World};

/// A cluster after these lines.
fn world(lines: &[&str]) -> World {
    let world = World::new(Instant::parse("2026-01-01T00:00:00Z").unwrap());
    says(&world, lines);
    world
}

fn says(world: &World, lines: &[&str]) {
    for line in lines {
        world.inner().cluster.line(line).unwrap_or_else(|| panic!("{line:?} is no line of a scenario"));
    }
}

fn pass(world: &World, seconds: u64) {
    world.pass(Duration::from_secs(seconds));
}

fn now(world: &World) -> Instant {
    world.inner().now
}

/// What flowed to and from a guest between two moments.
fn flowed(world: &World, vmid: u32, from: Instant, to: Instant) -> (u64, u64) {
    world.inner().cluster.flowed(vmid, from, to)
}

/// Whether all NICs are as they should be, and all edits were right.
fn judged(world: &World) -> (bool, bool) {
    let inner = world.inner();
    (inner.cluster.untouched().is_ok(), inner.cluster.tightened_only().is_ok())
}

/// One of the files beside this one, played to its end.
fn played(name: &str) -> World {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testing/cluster/worlds");
    Scenario::read(&folder.join(format!("{name}.txt"))).play(None, false).world
}

fn ask_at(world: &World, node: &str, method: &'static str, path: &str, body: &str) -> Result<(u16, Value), HttpError> {
    let request = Request {
        method,
        url: format!("https://{node}:8006/api2/json{path}"),
        headers: vec![("authorization", "PVEAPIToken=netquota@pve!quota=secret".to_owned())],
        body: body.as_bytes().to_vec(),
        timeout: Duration::from_secs(30),
        proxy: None,
        tls: Tls::Insecure,
        body_limit: 1 << 20,
    };
    let response = world.http(&request)?;
    Ok((response.status, serde_json::from_slice(&response.body).unwrap_or_default()))
}

fn ask(world: &World, method: &'static str, path: &str, body: &str) -> (u16, Value) {
    ask_at(world, "pve1", method, path, body).unwrap()
}

fn get(world: &World, path: &str) -> Value {
    let (status, body) = ask(world, "GET", path, "");
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

fn row(world: &World, id: &str) -> Value {
    let rows = get(world, "/cluster/resources?type=vm");
    rows.as_array().unwrap().iter().find(|row| row["id"] == id).cloned().unwrap_or_default()
}

/// What a row says of figures.
fn figures(world: &World, id: &str) -> (String, u64, u64, u64) {
    let row = row(world, id);
    let number = |name: &str| row[name].as_u64().unwrap_or(u64::MAX);
    (row["status"].as_str().unwrap().to_owned(), number("uptime"), number("netin"), number("netout"))
}

fn on(uptime: u64, netin: u64, netout: u64) -> (String, u64, u64, u64) {
    ("running".to_owned(), uptime, netin, netout)
}

const CONFIG: &str = "/nodes/pve1/qemu/100/config";
const STATUS: &str = "/nodes/pve1/qemu/100/status";

/// Sets NICs with the digest of now.
fn edit(world: &World, nics: &str) -> (u16, Value) {
    let digest = get(world, CONFIG)["digest"].clone();
    ask(world, "PUT", CONFIG, &format!("{nics}&digest={}", digest.as_str().unwrap()))
}

fn nic(world: &World) -> String {
    get(world, CONFIG)["net0"].as_str().unwrap().to_owned()
}

/// The task of a power call.
fn power(world: &World, verb: &str, body: &str) -> String {
    let (status, answer) = ask(world, "POST", &format!("{STATUS}/{verb}"), body);
    assert_eq!(status, 200, "{answer}");
    answer["data"].as_str().unwrap().to_owned()
}

/// How a task ended; none while it runs.
fn exit(world: &World, upid: &str) -> Value {
    let node = upid.split(':').nth(1).unwrap();
    get(world, &format!("/nodes/{node}/tasks/{upid}/status"))["exitstatus"].clone()
}

fn message(answer: &(u16, Value)) -> (u16, String) {
    (answer.0, answer.1["message"].as_str().unwrap_or_default().trim().to_owned())
}

#[test]
fn counters_begin_again_as_devices_and_processes_do() {
    let world = played("counting");
    assert_eq!(figures(&world, "qemu/100"), on(1260, 1_260_000, 1260 * 251_000));
    assert_eq!(figures(&world, "lxc/101"), on(60, 0, 5_000_000_420));
    let [start, now] = [Instant::parse("2026-01-01T00:00:00Z").unwrap(), now(&world)];
    let web = flowed(&world, 100, start, now);
    assert_eq!(web, (6060 * 1000, 6060 * 251_000), "nothing is lost in truth");
    let in_all = world.inner().cluster.flowed_in_all();
    assert_eq!(in_all, 6060 * 252_000 + 5_000_000_000 + 7 * 5460);
    let restarted = start.plus(Duration::from_secs(4200));
    assert_eq!(flowed(&world, 100, start, restarted).1, 4200 * 251_000);
    assert_eq!(flowed(&world, 101, start, now).1, 5_000_000_000 + 7 * 5460);
    let netstat = get(&world, "/nodes/pve2/netstat");
    assert_eq!(netstat[1], json!({"vmid": "100", "dev": "net1", "in": "0", "out": "1260000"}));
    let shop = row(&world, "lxc/101");
    assert_eq!((&shop["pool"], &shop["node"], &shop["name"]), (&json!("shop"), &json!("pve2"), &json!("db")));
    assert_eq!(row(&world, "qemu/100")["tags"], "public;web");
    let shown = world.inner().transcript.join("\n");
    assert!(
        shown.contains("  guest: qemu/100 web on pve2: running for 1260 s, in 1260000, out 316260000\n"),
        "{shown}"
    );
}

#[test]
fn a_new_device_counts_from_zero_while_uptime_goes_on() {
    let world = world(&["vm 100 web rate 0 1000"]);
    pass(&world, 60);
    let before = nic(&world);
    says(&world, &["replug 100 net0"]);
    pass(&world, 1);
    assert_eq!(figures(&world, "qemu/100"), on(86_461, 0, 1000));
    assert_ne!(nic(&world), before);
    assert_eq!(world.inner().cluster.untouched(), Ok(()), "it was its owner");
}

#[test]
fn limits_and_carriers_hold_back_what_flows() {
    let world = played("limits");
    let web = 60 * (10_485_760 + 2 * 10_485_760 - 10_485_760 + 20_000_000);
    assert_eq!(figures(&world, "qemu/100"), on(86_580, 180 * 5_000_000, web));
    assert_eq!(figures(&world, "lxc/101"), on(86_580, 0, 120 * 2_000_000));
    assert_eq!(nic(&world), "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=0");
    assert_eq!(get(&world, CONFIG)["net1"], Value::Null);
}

#[test]
fn what_is_not_heard_is_repeated_and_then_unknown() {
    let world = world(&["vm 100 web on pve2 rate 0 1000"]);
    pass(&world, 60);
    says(&world, &["node pve2 down"]);
    pass(&world, 300);
    assert_eq!(figures(&world, "qemu/100"), on(86_460, 0, 60_000));
    assert_eq!(ask(&world, "GET", "/nodes/pve2/qemu/100/config", "").0, 595);
    assert_eq!(ask(&world, "GET", "/nodes/pve2/qemu/100/rrddata?timeframe=hour", "").0, 200);
    assert!(matches!(ask_at(&world, "pve2", "GET", CONFIG, ""), Err(HttpError { reached: Reached::No, .. })));
    pass(&world, 1);
    let forgotten = json!({"id": "qemu/100", "vmid": 100, "type": "qemu", "node": "pve2", "status": "unknown"});
    assert_eq!(row(&world, "qemu/100"), forgotten);
    says(&world, &["node pve2 up"]);
    assert_eq!(figures(&world, "qemu/100"), on(86_761, 0, 361_000), "it ran on");
    says(&world, &["node pve2 crash"]);
    pass(&world, 10);
    says(&world, &["node pve2 up"]);
    assert_eq!(figures(&world, "qemu/100"), on(0, 0, 0));
}

#[test]
fn trouble_leaves_what_it_should() {
    let world = played("trouble");
    assert_eq!(figures(&world, "qemu/100"), on(60, 0, 60_000));
    assert_eq!(figures(&world, "qemu/101"), on(60, 0, 0));
    assert_eq!(figures(&world, "qemu/102"), ("stopped".to_owned(), 0, 0, 0));
    let web = row(&world, "qemu/100");
    assert_eq!((&web["name"], &web["lock"]), (&json!("www"), &json!("backup")));
    let blog = get(&world, "/nodes/pve2/qemu/101/config");
    assert_eq!((&blog["name"], &blog["meta"]), (&json!("blog"), &json!("creation-qemu=10.1.2,ctime=1767226800")));
    assert_ne!(blog["net0"], "virtio=BC:24:11:00:00:65,bridge=vmbr0,firewall=1");
    assert!(world.inner().transcript.iter().any(|line| line.ends_with("locked (backup)")));
}

#[test]
fn a_backup_of_a_guest_that_is_off_is_no_start() {
    let world = world(&["vm 100 web rate 0 1000", "stop 100", "backup 100"]);
    pass(&world, 60);
    assert_eq!(figures(&world, "qemu/100"), ("prelaunch".to_owned(), 60, 0, 0));
    says(&world, &["unlock 100", "start 100", "pause 100"]);
    pass(&world, 60);
    assert_eq!(figures(&world, "qemu/100"), ("paused".to_owned(), 60, 0, 0));
    says(&world, &["template 100"]);
    assert_eq!((row(&world, "qemu/100")["template"].clone(), figures(&world, "qemu/100").1), (json!(1), 0));
}

#[test]
fn figures_can_lag() {
    let world = world(&["vm 100 web rate 0 1000", "lag 10 s"]);
    pass(&world, 19);
    assert_eq!(figures(&world, "qemu/100"), on(86_410, 0, 10_000));
    pass(&world, 1);
    assert_eq!(figures(&world, "qemu/100"), on(86_420, 0, 20_000));
    assert_eq!(get(&world, "/nodes/pve1/netstat")[0]["out"], "20000");
}

/// The sum of the rows of an hour, in bytes from the guest, and how many are known.
fn recorded(world: &World, timeframe: &str) -> (u64, usize) {
    let rows = get(world, &format!("/nodes/pve1/qemu/100/rrddata?timeframe={timeframe}&cf=AVERAGE"));
    let rows: Vec<f64> = rows.as_array().unwrap().iter().filter_map(|row| row["netout"].as_f64()).collect();
    ((rows.iter().sum::<f64>() * 60.0).round() as u64, rows.len())
}

#[test]
fn rows_add_up_to_what_flowed() {
    let world = world(&["vm 100 web rate 3 1001"]);
    let start = now(&world);
    for seconds in [7, 113, 1, 59, 1680] {
        pass(&world, seconds);
        says(&world, &["moves 100 0 12345"]);
    }
    pass(&world, 1740);
    let now = now(&world);
    let truth = flowed(&world, 100, start, now);
    assert_eq!(truth, (3600 * 3, 3600 * 1001 + 5 * 12_345));
    assert_eq!(recorded(&world, "hour"), (truth.1, 60));
    assert_eq!(recorded(&world, "day"), (truth.1, 60));
    let rows = get(&world, "/nodes/pve2/qemu/100/rrddata?timeframe=hour&cf=AVERAGE");
    assert_eq!((rows[59]["time"].clone(), rows[0]["netin"].clone()), (json!(now.millis() / 1000), json!(3.0)));
}

#[test]
fn rows_are_unknown_while_a_guest_is_off_or_not_heard() {
    let world = world(&["vm 100 web rate 0 1000"]);
    pass(&world, 600);
    says(&world, &["stop 100"]);
    pass(&world, 600);
    says(&world, &["start 100"]);
    pass(&world, 600);
    says(&world, &["migrate 100 pve2", "node pve2 down"]);
    pass(&world, 600);
    says(&world, &["node pve2 up"]);
    pass(&world, 40);
    says(&world, &["stop 100"]);
    pass(&world, 20);
    assert_eq!(recorded(&world, "hour"), (1_260_000, 21), "and a row that is known for the most part");
    assert_eq!(figures(&world, "qemu/100").0, "stopped");
    let now = now(&world);
    let truth = flowed(&world, 100, now.minus(Duration::from_secs(660)), now);
    assert_eq!(truth, (0, 640_000), "what nobody heard flowed nevertheless");
}

#[test]
fn a_nic_is_edited_with_the_digest_of_now() {
    let world = world(&["vm 100 web"]);
    let before = nic(&world);
    let told = edit(&world, &format!("net0={before},rate=0.5"));
    assert_eq!((told.0, &told.1["data"]), (200, &Value::Null));
    assert_eq!(nic(&world), format!("{before},rate=0.5"));
    let stale = ask(&world, "PUT", CONFIG, &format!("net0={before}&digest={}", "0".repeat(40)));
    assert_eq!(message(&stale), (500, "checksum mismatch (file change by other user?)".to_owned()));
    says(&world, &["meddle 100 net0 tag 7"]);
    assert_eq!(message(&edit(&world, &format!("net0={before}"))).0, 500);
    let meddled = "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=0.5,tag=7";
    assert_eq!(nic(&world), meddled);
    assert_eq!(edit(&world, "net0=firewall=on%2Ctag=7,bridge=vmbr0,macaddr=BC:24:11:00:00:64,model=virtio").0, 200);
    assert_eq!(nic(&world), "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,tag=7");
    assert_eq!(judged(&world), (true, true));
    let ran: Vec<String> = world.inner().ran.iter().map(|argv| argv.join(" ")).collect();
    assert_eq!(ran[0], format!("pve set qemu/100 net0 {before},rate=0.5"));
    let effects = world.inner().effects.len();
    assert_eq!((ran.len(), effects), (2, 4), "what is refused is an effect that does nothing");
    assert_eq!(world.inner().transcript[0], format!("  {}", ran[0].replacen("pve", "pve:", 1)));
}

#[test]
fn locks_refuse_edits_and_fail_tasks() {
    let world = world(&["vm 100 web", "lock 100 backup"]);
    let told = edit(&world, &format!("net0={},rate=1", nic(&world)));
    assert_eq!(message(&told), (500, "VM is locked (backup)".to_owned()));
    let task = power(&world, "shutdown", "timeout=60");
    assert_eq!(exit(&world, &task), "VM is locked (backup)");
    assert_eq!(
        (row(&world, "qemu/100")["lock"].clone(), figures(&world, "qemu/100").0),
        (json!("backup"), on(0, 0, 0).0)
    );
    assert_eq!(world.inner().cluster.given, ["shutdown qemu/100 timeout=60"]);
}

#[test]
fn guests_go_off_as_they_are_told_to() {
    let world = world(&["vm 100 web rate 0 1000", "ct 101 db"]);
    let task = power(&world, "shutdown", "timeout=60");
    assert_eq!((figures(&world, "qemu/100").0, exit(&world, &task)), ("running".to_owned(), Value::Null));
    pass(&world, 3);
    assert_eq!((figures(&world, "qemu/100").0, exit(&world, &task)), ("stopped".to_owned(), json!("OK")));
    let off = power(&world, "shutdown", "");
    let start = power(&world, "start", "");
    let again = power(&world, "start", "");
    assert_eq!((exit(&world, &off), exit(&world, &start)), (json!("OK"), json!("OK")));
    assert_eq!(exit(&world, &again), "VM 100 already running");
    says(&world, &["obeys 100 never"]);
    let unwilling = power(&world, "shutdown", "timeout=20");
    pass(&world, 20);
    assert_eq!(exit(&world, &unwilling), "VM quit/powerdown failed - got timeout");
    power(&world, "shutdown", "timeout=20&forceStop=1");
    says(&world, &["restart 100"]);
    pass(&world, 20);
    assert_eq!(figures(&world, "qemu/100").0, "running", "its owner started it anew");
    power(&world, "shutdown", "timeout=20&forceStop=1");
    pass(&world, 20);
    assert_eq!(figures(&world, "qemu/100").0, "stopped");
    let path = "/nodes/pve1/lxc/101/status/stop";
    assert_eq!(ask(&world, "POST", path, "").0, 200);
    assert_eq!(message(&ask(&world, "POST", path, "")), (500, "CT 101 not running".to_owned()));
}

#[test]
fn ha_answers_at_once_and_acts_later() {
    let world = world(&["vm 100 web ha started"]);
    let stop = power(&world, "stop", "");
    assert!(stop.contains(":hastop:100:"), "{stop}");
    assert_eq!((exit(&world, &stop), row(&world, "qemu/100")["hastate"].clone()), (json!("OK"), json!("stopped")));
    pass(&world, 9);
    assert_eq!(figures(&world, "qemu/100").0, "running");
    pass(&world, 1);
    assert_eq!(figures(&world, "qemu/100").0, "stopped");
    let start = power(&world, "start", "");
    assert!(start.contains(":hastart:100:"), "{start}");
    pass(&world, 10);
    assert_eq!(figures(&world, "qemu/100"), on(0, 0, 0));
    says(&world, &["obeys 100 never"]);
    power(&world, "shutdown", "timeout=30");
    pass(&world, 40);
    assert_eq!(figures(&world, "qemu/100").0, "stopped", "HA kills in the end");
    says(&world, &["ha 100 error"]);
    let task = power(&world, "start", "");
    assert_ne!(exit(&world, &task), "OK");
}

#[test]
fn answers_are_lost_after_the_deed_or_instead_of_it() {
    let world = world(&["vm 100 web", "answers lost 1"]);
    let text = nic(&world);
    let digest = get(&world, CONFIG)["digest"].as_str().unwrap().to_owned();
    let body = format!("net0={text},rate=1&digest={digest}");
    let lost = ask_at(&world, "pve1", "PUT", CONFIG, &body);
    assert!(matches!(lost, Err(HttpError { reached: Reached::Perhaps, .. })));
    assert_eq!(nic(&world), format!("{text},rate=1"), "done nevertheless; and reading was never lost");
    says(&world, &["answers 596 1"]);
    assert_eq!(edit(&world, &format!("net0={text},rate=2")), (596, Value::Null));
    assert_eq!(nic(&world), format!("{text},rate=2"));
    says(&world, &["answers silent 1"]);
    let began = now(&world);
    let silent = ask_at(&world, "pve1", "POST", &format!("{STATUS}/stop"), "");
    assert!(matches!(silent, Err(HttpError { reached: Reached::Perhaps, .. })));
    assert_eq!((now(&world).since(began), world.elapsed()), (Duration::from_secs(30), Duration::from_secs(30)));
    assert_eq!(figures(&world, "qemu/100").0, "stopped");
    says(&world, &["answers no-quorum 1"]);
    assert_eq!(message(&edit(&world, &format!("net0={text}"))), (500, "cluster not ready - no quorum?".to_owned()));
    says(&world, &["api down pve1"]);
    assert!(matches!(ask_at(&world, "pve1", "GET", CONFIG, ""), Err(HttpError { reached: Reached::No, .. })));
    assert!(ask_at(&world, "pve2", "GET", CONFIG, "").is_ok());
}

#[test]
fn answers_are_wrong_as_told() {
    let world = world(&["vm 100 web", "answers empty"]);
    assert_eq!((row(&world, "qemu/100"), ask(&world, "GET", CONFIG, "").0), (Value::Null, 200));
    says(&world, &["answers html"]);
    assert_eq!(ask(&world, "GET", CONFIG, ""), (200, Value::Null));
    says(&world, &["answers 401"]);
    assert_eq!(ask(&world, "GET", CONFIG, ""), (401, Value::Null));
    says(&world, &["answers right", "revoke VM.Config.Network", "revoke Sys.Audit"]);
    let told = edit(&world, "net0=x");
    assert_eq!(message(&told), (403, "Permission check failed (/vms/100, VM.Config.Network)".to_owned()));
    assert_eq!(ask(&world, "GET", "/nodes/pve1/netstat", "").0, 403);
    says(&world, &["grant Sys.Audit", "migrate 100 pve2"]);
    assert_eq!(ask(&world, "GET", "/nodes/pve1/netstat", "").0, 200);
    let (status, text) = message(&ask(&world, "GET", CONFIG, ""));
    assert!(status == 500 && text.ends_with("nodes/pve1/qemu-server/100.conf' does not exist"), "{text}");
}

#[test]
fn what_no_right_client_sends_is_foul() {
    for (nics, why) in [
        ("net0=virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1", "changes nothing"),
        ("net0=virtio=BC:24:11:00:00:64,bridge=vmbr9,firewall=1", "[\"bridge\"]"),
        ("net0=model=virtio,bridge=vmbr0,firewall=1", "[\"macaddr\"]"),
        ("net0=virtio=BC:24:11:00:00:64,colour=red", "not defined"),
        ("net0=virtio=BC:24:11:00:00:64,bridge=vmbr0,trunks=1;2", "unknown parameter"),
        ("net7=virtio=BC:24:11:00:00:64,bridge=vmbr0", "adds"),
        ("net0=virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=6", "loosens"),
        ("memory=1", "unknown parameter"),
    ] {
        let world = world(&["vm 100 web", "hold 100"]);
        if why == "loosens" {
            says(&world, &["edit 100 net0 rate 5"]);
        }
        edit(&world, nics);
        let foul = world.inner().cluster.tightened_only().unwrap_err();
        assert!(foul.contains(why), "{nics}: {foul}");
    }
}

#[test]
fn what_is_left_behind_is_seen() {
    let world = world(&["vm 100 web", "edit 100 net0 rate 5", "hold 100"]);
    let slow = nic(&world).replace("rate=5", "rate=1");
    assert_eq!(edit(&world, &format!("net0={slow}")).0, 200);
    assert_eq!(judged(&world), (true, true));
    says(&world, &["free 100"]);
    assert_eq!(judged(&world), (false, true), "it is still slow");
    says(&world, &["edit 100 net0 tag 9"]);
    assert_eq!(judged(&world), (false, true), "what its owner did has nothing to do with it");
    says(&world, &["rollback 100"]);
    assert_eq!((judged(&world), nic(&world).ends_with("firewall=1,rate=5")), ((true, true), true));
    says(&world, &["snapshot 100", "edit 100 net0 link_down 1", "rollback 100"]);
    assert!(!nic(&world).contains("link_down"));
}

#[test]
fn the_power_is_cut_before_and_after_an_edit() {
    for (side, rate) in [(Side::Before, ""), (Side::After, ",rate=1")] {
        let world = world(&["vm 100 web"]);
        let before = nic(&world);
        world.inner().fuse = Some((1, side));
        let ended = world.attempt(|_| {
            edit(&world, &format!("net0={before},rate=1"));
            Err(Error { exit: Exit::Failed, text: "it was not cut".into() })
        });
        assert!(matches!(ended, Ended::Cut));
        assert_eq!(nic(&world), format!("{before}{rate}"));
        assert_eq!(world.inner().effects, [Effect::Command]);
    }
}

#[test]
fn a_month_in_which_nothing_happens_is_one_span() {
    let world = world(&["vm 100 web rate 0 1000"]);
    let start = now(&world);
    for _ in 0..720 {
        pass(&world, 3600);
    }
    assert_eq!(flowed(&world, 100, start, now(&world)).1, 720 * 3_600_000);
    assert_eq!(recorded(&world, "day"), (86_400_000, 1440));
}

const SOURCE: &str = "api = [\"https://pve1:8006\", \"https://pve2:8006\"]\ntoken_id = \"netquota@pve!quota\"\n\
                      token_secret = \"5c1a7a52-0000-4000-8000-1234567890ab\"\n";
const UNTIL: Duration = Duration::from_secs(60);

/// The product's own client, that knows both addresses.
fn client(world: &World) -> pve::Cluster {
    let table = DeTable::parse(SOURCE).unwrap();
    let findings = Findings::new("c.toml", SOURCE);
    pve::open(&Fields::root(&findings, &table), &Keeper::new(world, Need::Secrets)).expect("a cluster")
}

/// The NIC and the digest, as the client reads them.
fn read(world: &World, client: &pve::Cluster) -> (Nic, String) {
    let config: Value = client.get(world, CONFIG, &[], UNTIL).unwrap();
    (Nic::parse(config["net0"].as_str().unwrap()).unwrap(), config["digest"].as_str().unwrap().to_owned())
}

fn write(world: &World, client: &pve::Cluster, nic: &Nic, digest: &str) -> Result<(), pve::Failure> {
    let form = [("net0".to_owned(), nic.to_string()), ("digest".to_owned(), digest.to_owned())];
    client.put(world, CONFIG, &form, UNTIL)
}

#[test]
fn the_products_client_is_understood() {
    let world = world(&["vm 100 web rate 0 5MB", "edit 100 net0 trunks 10;20", "hold 100", "api down pve1"]);
    let client = client(&world);
    let rows: Value = client.get(&world, "/cluster/resources", &[("type", "vm")], UNTIL).unwrap();
    assert_eq!(rows[0]["name"], "web", "by the other address");
    let (before, digest) = read(&world, &client);
    let slow = before.limited(1_000_001).unwrap().disconnected().unwrap();
    write(&world, &client, &slow, &digest).unwrap();
    let (now, fresh) = read(&world, &client);
    let items = |nic: &Nic| nic.to_string().split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(items(&now), items(&slow), "whatever their order");
    pass(&world, 60);
    says(&world, &["api up pve1"]);
    assert_eq!(figures(&world, "qemu/100").3, 0, "its carrier is off");
    says(&world, &["api down pve1"]);
    assert_eq!(write(&world, &client, &before, &digest).unwrap_err().kind, pve::Kind::DigestMismatch);
    says(&world, &["free 100", "lock 100 backup"]);
    let (_, locked) = read(&world, &client);
    assert_ne!(locked, fresh);
    assert_eq!(write(&world, &client, &before, &locked).unwrap_err().kind, pve::Kind::Locked);
    says(&world, &["unlock 100", "answers lost 1"]);
    let restored = now.restored(&before.change_to(&slow)).nic;
    assert_eq!(write(&world, &client, &restored, &fresh).unwrap_err().cause, Cause::Unknown);
    assert_eq!(judged(&world), (true, true));
    let guest = Id::parse("qemu/100").unwrap();
    let task = client.power(&world, guest, "pve1", Order::Shutdown { timeout: None, force: false }, UNTIL).unwrap();
    pass(&world, 3);
    let status: Value = client.get(&world, &format!("/nodes/pve1/tasks/{task}/status"), &[], UNTIL).unwrap();
    assert_eq!(status["exitstatus"], "OK");
}

#[test]
fn a_limit_to_the_byte_is_kept_to_the_byte() {
    for limit in [1, 1_000_001, 1_250_000, 12_500_000] {
        let world = world(&["vm 100 web rate 20MB 20MB"]);
        let client = client(&world);
        let (before, digest) = read(&world, &client);
        write(&world, &client, &before.limited(limit).unwrap(), &digest).unwrap();
        pass(&world, 100);
        assert_eq!(figures(&world, "qemu/100"), on(86_500, 100 * limit, 100 * limit));
    }
}

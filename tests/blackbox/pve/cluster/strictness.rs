//! That this cluster is as strict as it must be.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::*;

/// What a client was told: status, reason, head and body.
#[derive(Debug)]
struct Told {
    status: u16,
    reason: String,
    head: String,
    body: Value,
}

/// One request with these headers and this body, as they are.
fn sent(pve: &Pve, method: &str, path: &str, headers: &str, body: &str) -> Told {
    let mut stream = TcpStream::connect(pve.url().trim_start_matches("http://")).unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "{method} /api2/json{path} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n{body}").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut words = head.lines().next().unwrap().splitn(3, ' ').skip(1).map(str::to_owned);
    Told {
        status: words.next().unwrap().parse().unwrap(),
        reason: words.next().unwrap(),
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}

fn token() -> String {
    format!("Authorization: PVEAPIToken={TOKEN_ID}={SECRET}\r\n")
}

fn get(pve: &Pve, path: &str) -> Told {
    sent(pve, "GET", path, &token(), "")
}

fn form(pve: &Pve, method: &str, path: &str, body: &str) -> Told {
    let headers = format!("{}Content-Type: application/x-www-form-urlencoded\r\n", token());
    sent(pve, method, path, &headers, body)
}

/// The row of a guest.
#[track_caller]
fn row(pve: &Pve, id: &str) -> Value {
    let told = get(pve, "/cluster/resources?type=vm");
    let rows = told.body["data"].as_array().unwrap_or_else(|| panic!("{told:?}")).clone();
    rows.into_iter().find(|row| row["id"] == id).unwrap_or_default()
}

const CONFIG: &str = "/nodes/pve1/qemu/100/config";

/// An edit of `net0` of VM 100 with the digest of now.
fn edit(pve: &Pve, value: &str) -> Told {
    let digest = get(pve, CONFIG).body["data"]["digest"].as_str().unwrap().to_owned();
    let value = value.replace('=', "%3D").replace(';', "%3B").replace(',', "%2C");
    form(pve, "PUT", CONFIG, &format!("net0={value}&digest={digest}"))
}

#[test]
fn this_cluster_knows_its_token_only() {
    let pve = Pve::start();
    for (header, reason) in [
        (String::new(), "No ticket"),
        (format!("Authorization: PVEAPIToken={TOKEN_ID}=wrong\r\n"), "Authentication failed!"),
        (format!("Authorization: PVEAPIToken=other@pve!x={SECRET}\r\n"), "Authentication failed!"),
    ] {
        let told = sent(&pve, "GET", "/version", &header, "");
        assert_eq!((told.status, told.reason.as_str(), told.body), (401, reason, Value::Null));
        assert!(!told.head.to_lowercase().contains("content-length"), "{}", told.head);
    }
    let encoded = format!("Authorization: PVEAPIToken {}={SECRET}\r\n", TOKEN_ID.replace('@', "%40"));
    assert_eq!(sent(&pve, "GET", "/version", &encoded, "").body["data"]["release"], "9.1");
    let old = Pve::version(8, 4);
    let told = sent(&old, "GET", "/version", &format!("Authorization: PVEAPIToken={TOKEN_ID}=wrong\r\n"), "");
    assert_eq!(told.reason, "invalid token value!");
    assert_eq!((pve.take_wrong().len(), old.take_wrong().len()), (0, 0), "a wrong token may happen to anybody");
}

#[test]
fn this_cluster_refuses_what_no_client_should_send() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let path = "/nodes/pve1/qemu/100/status/stop";
    let json = format!("{}Content-Type: application/json\r\n", token());
    let chunked = format!("{}Transfer-Encoding: chunked\r\n", token());
    let told = [
        (get(&pve, "/cluster/resorces"), 501, "no such path"),
        (sent(&pve, "POST", "/cluster/resources", &token(), ""), 501, "no such path"),
        (get(&pve, "/cluster/resources?type=guest"), 400, "type check failed"),
        (get(&pve, "/cluster/resources?typ=vm"), 400, "not defined in schema"),
        (get(&pve, "/nodes/pve1/qemu/100/rrddata"), 400, "timeframe"),
        (get(&pve, "/nodes/pve1/qemu/100/rrddata?timeframe=hour;cf=MAX"), 400, "different ways"),
        (sent(&pve, "GET", "/version", &token(), "x=1"), 501, "Unexpected content"),
        (sent(&pve, "POST", path, &json, "{}"), 501, "no form"),
        (sent(&pve, "POST", path, &chunked, ""), 501, "chunked"),
        (form(&pve, "POST", path, "skiplock=1"), 400, "not defined in schema"),
        (form(&pve, "POST", path, "vmid=101"), 400, "vmid"),
    ];
    let wrong = pve.take_wrong();
    assert_eq!(wrong.len(), told.len(), "{wrong:#?}");
    for ((told, status, why), wrong) in told.iter().zip(wrong) {
        assert_eq!(told.status, *status, "{why}: {told:?}");
        assert!(told.head.contains("Connection: close"), "{}", told.head);
        assert!(wrong.contains(why), "{why}: {wrong}");
    }
    assert_eq!((row(&pve, "qemu/100")["status"].as_str(), pve.powers()), (Some("running"), vec![]));
}

#[test]
fn errors_are_told_as_each_version_tells_them() {
    for (version, message) in [((8, 3), Value::Null), ((8, 4), json!("Parameter verification failed.\n"))] {
        let pve = Pve::version(version.0, version.1);
        let told = get(&pve, "/cluster/resources?typ=vm");
        assert_eq!((told.status, told.reason.as_str()), (400, "Parameter verification failed."));
        assert_eq!(told.body["message"], message);
        assert!(told.body["errors"]["typ"].as_str().unwrap().contains("schema"), "{told:?}");
        pve.take_wrong();
    }
    let old = Pve::version(8, 1);
    old.ct(101, "db");
    let told = form(&old, "POST", "/nodes/pve1/lxc/101/status/stop", "overrule-shutdown=1");
    assert_eq!((told.status, old.take_wrong().len()), (400, 1), "8.2 brought it");
    assert_eq!(get(&old, "/nodes/pve1/lxc").body["data"][0]["vmid"], "101", "a text before 8.2");
    assert_eq!(get(&old, "/cluster/metrics/export").status, 501, "8.3 brought it");
    let before_tags = Pve::version(7, 2);
    before_tags.vm(100, "web").tags("prod");
    assert_eq!(row(&before_tags, "qemu/100")["tags"], Value::Null);
    before_tags.ct(101, "db");
    let nic = before_tags.guest(101).nic_text("net0");
    let path = "/nodes/pve1/lxc/101/config";
    assert_eq!(form(&before_tags, "PUT", path, &format!("net0={nic},link_down=1")).status, 400, "7.4 brought it");
    assert_eq!(before_tags.take_wrong().len(), 1);
}

#[test]
fn rows_are_those_of_the_examples() {
    let pve = Pve::start();
    pve.vm(100, "web").traffic(5, 7).uptime(60).tags("prod;web").pool("gold").on("pve2");
    pve.vm(101, "tpl").template();
    pve.ct(102, "db").traffic(1, 2).stop();
    let running = row(&pve, "qemu/100");
    for (field, value) in [
        ("vmid", json!(100)),
        ("type", json!("qemu")),
        ("node", json!("pve2")),
        ("name", json!("web")),
        ("status", json!("running")),
        ("uptime", json!(60)),
        ("netin", json!(5)),
        ("netout", json!(7)),
        ("template", json!(0)),
        ("tags", json!("prod;web")),
        ("pool", json!("gold")),
    ] {
        assert_eq!(running[field], value, "{field}");
    }
    assert_eq!((&row(&pve, "qemu/101")["template"], &row(&pve, "qemu/101")["status"]), (&json!(1), &json!("stopped")));
    let stopped = row(&pve, "lxc/102");
    assert_eq!((&stopped["uptime"], &stopped["netin"], &stopped["netout"]), (&json!(0), &json!(0), &json!(0)));

    pve.down("pve2");
    let unknown = row(&pve, "qemu/100");
    let mut names: Vec<&String> = unknown.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["id", "node", "pool", "status", "tags", "type", "vmid"]);
    assert_eq!(unknown["status"], "unknown");
    let told = get(&pve, "/nodes/pve2/qemu/100/config");
    assert_eq!((told.status, told.body), (595, Value::Null));
    assert_eq!(get(&pve, "/nodes/pve2/qemu/100/rrddata?timeframe=hour").status, 200, "not forwarded");
    pve.up();
    pve.revoke("Pool.Audit", "/");
    pve.revoke("VM.Audit", "/vms/102");
    assert_eq!((row(&pve, "qemu/100")["pool"].clone(), row(&pve, "lxc/102")), (Value::Null, Value::Null));
    pve.guest(100).says("netin", json!("5")).says("netout", None);
    assert_eq!((&row(&pve, "qemu/100")["netin"], &row(&pve, "qemu/100")["netout"]), (&json!("5"), &Value::Null));
    assert_eq!(row(&pve, "qemu/100").get("netout"), None);
    pve.guest(100).says_the_truth();
    assert_eq!(row(&pve, "qemu/100")["netout"], 7);
}

#[test]
fn the_order_of_rows_and_keys_changes() {
    let pve = Pve::start();
    pve.vm(100, "a");
    pve.vm(101, "b");
    let order = || {
        let told = get(&pve, "/cluster/resources?type=vm");
        told.body["data"].as_array().unwrap().iter().map(|row| row["vmid"].to_string()).collect::<Vec<_>>()
    };
    assert_ne!(order(), order());
}

#[test]
fn each_call_has_its_privilege() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.revoke("VM.PowerMgmt", "/vms/100");
    let told = form(&pve, "POST", "/nodes/pve1/qemu/100/status/stop", "");
    assert_eq!((told.status, told.reason.as_str()), (403, "Permission check failed (/vms/100, VM.PowerMgmt)"));
    pve.heal();
    pve.revoke("SDN.Use", "/sdn/zones/localnetwork/vmbr0");
    let nic = pve.guest(100).nic_text("net0");
    let told = edit(&pve, &format!("{nic},rate=5"));
    assert_eq!(told.reason, "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)");
    for (privilege, path) in [
        ("VM.Audit", CONFIG),
        ("VM.Audit", "/nodes/pve1/qemu/100/status/current"),
        ("Sys.Audit", "/nodes/pve1/netstat"),
        ("Sys.Audit", "/cluster/metrics/export"),
        ("Sys.Audit", "/cluster/status"),
    ] {
        pve.heal();
        assert_eq!(get(&pve, path).status, 200, "{path}");
        pve.revoke(privilege, "/");
        assert_eq!(get(&pve, path).status, 403, "{path}");
    }
    pve.heal();
    pve.revoke("VM.PowerMgmt", "/vms/100");
    let told = get(&pve, "/access/permissions");
    assert_eq!(told.body["data"]["/"]["VM.PowerMgmt"], 1);
    assert_eq!(
        (&told.body["data"]["/vms/100"]["VM.PowerMgmt"], &told.body["data"]["/vms/100"]["VM.Audit"]),
        (&Value::Null, &json!(1))
    );
    assert_eq!(get(&pve, "/nodes").body["data"][1]["node"], "pve2");
    assert_eq!(get(&pve, "/nodes/pve9/netstat").status, 500, "no such node");
}

/// Known rows of a guest: `(time, netout)`.
fn known(pve: &Pve, timeframe: &str) -> Vec<(u64, f64)> {
    let told = get(pve, &format!("/nodes/pve2/qemu/100/rrddata?timeframe={timeframe}&cf=AVERAGE"));
    let rows = told.body["data"].as_array().unwrap_or_else(|| panic!("{told:?}")).clone();
    rows.iter().filter_map(|row| Some((row["time"].as_u64().unwrap(), row["netout"].as_f64()?))).collect()
}

#[test]
fn recorded_rows_are_those_of_each_generation() {
    for (version, timeframe, step, count) in [
        ((9, 1), "hour", 60, 60),
        ((9, 1), "day", 60, 1440),
        ((9, 1), "week", 1800, 336),
        ((8, 4), "hour", 60, 70),
        ((8, 4), "day", 1800, 70),
        ((7, 4), "month", 43_200, 70),
    ] {
        let pve = Pve::version(version.0, version.1);
        pve.vm(100, "web").flowed(1e9, 0.0, 10.5, 20.25);
        let rows = known(&pve, timeframe);
        assert_eq!(rows.len(), count, "{version:?} {timeframe}");
        assert!(rows.windows(2).all(|pair| pair[1].0 - pair[0].0 == step), "{rows:?}");
        let last = rows.last().unwrap();
        assert!(last.0 as f64 <= now() && last.0 as f64 > now() - step as f64 - 2.0 && last.0.is_multiple_of(step));
        assert!((last.1 - 20.25).abs() < 1e-9, "{last:?}");
    }
}

#[test]
fn rows_are_unknown_where_less_than_half_is_known() {
    let pve = Pve::start();
    let edge = (now() as u64 / 60 * 60) as f64;
    let ago = |at: f64| now() - at;
    pve.vm(100, "web").flowed(ago(edge - 600.0), ago(edge - 560.0), 1.0, 30.0);
    pve.guest(100).flowed(ago(edge - 420.0), ago(edge - 400.0), 1.0, 30.0);
    let rows = known(&pve, "hour");
    assert_eq!(rows.len(), 1, "40 s of 60 are enough, 20 s are not: {rows:?}");
    assert_eq!(rows[0].0 as f64, edge - 540.0, "a row is named by its end");
    assert!((rows[0].1 - 30.0).abs() < 1e-6, "the average of what is known: {rows:?}");
    pve.passes(120);
    let rows = known(&pve, "hour");
    assert_eq!((rows.len(), rows[0].0 as f64), (1, edge - 660.0), "what was recorded gets older");
    assert_eq!(get(&pve, "/nodes/pve1/qemu/999/rrddata?timeframe=hour").status, 500);
    pve.guest(100).too_new();
    let told = get(&pve, "/nodes/pve1/qemu/100/rrddata?timeframe=hour");
    assert!(told.status == 500 && told.reason.contains("No such file or directory"), "{told:?}");
}

#[test]
fn an_upgraded_host_has_coarse_rows_first() {
    let pve = Pve::start();
    pve.upgraded(20_000);
    pve.vm(100, "web").flowed(1e6, 0.0, 1.0, 2.0);
    let rows = known(&pve, "day");
    let steps: Vec<u64> = rows.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let turn = steps.iter().position(|step| *step == 60).unwrap();
    assert!(turn > 10 && steps[..turn].iter().all(|step| *step == 1800), "{steps:?}");
    assert!(steps[turn..].iter().all(|step| *step == 60), "{steps:?}");
}

#[test]
fn per_nic_figures_are_texts_and_without_what_has_no_bridge() {
    let pve = Pve::start();
    pve.vm(100, "web").traffic(5, 7).nic("net1", "virtio=BC:24:11:00:00:02,bridge=vmbr1").traffic_on("net1", 50, 70);
    pve.guest(100).nic("net2", "virtio=BC:24:11:00:00:03").traffic_on("net2", 500, 700);
    let told = get(&pve, "/nodes/pve1/netstat");
    assert_eq!(
        told.body["data"],
        json!([{"vmid": "100", "dev": "net0", "in": "5", "out": "7"}, {"vmid": "100", "dev": "net1", "in": "50", "out": "70"}])
    );
    assert_eq!((&row(&pve, "qemu/100")["netin"], &row(&pve, "qemu/100")["netout"]), (&json!(55), &json!(77)));
    let current = get(&pve, "/nodes/pve1/qemu/100/status/current").body["data"].clone();
    assert_eq!(current["nics"]["tap100i1"], json!({"netin": 50, "netout": 70}));
    let export = get(&pve, "/cluster/metrics/export?history=1").body["data"]["data"].clone();
    let is = |row: &&Value| row["metric"] == "net_out";
    assert_eq!(export.as_array().unwrap().iter().find(is).unwrap()["value"], 77);
    pve.guest(100).unplug("net1");
    assert_eq!(row(&pve, "qemu/100")["netout"], 7);
}

#[test]
fn a_nic_is_replaced_whole_and_stored_in_its_own_spelling() {
    let pve = Pve::start();
    pve.vm(100, "web").traffic(5, 7);
    let told = edit(&pve, "rate=0.5,macaddr=BC:24:11:00:00:64,model=virtio,firewall=on,bridge=vmbr0,link_down=yes");
    assert_eq!((told.status, &told.body["data"]), (200, &Value::Null));
    let stored = "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,link_down=1,rate=0.5";
    assert_eq!(pve.guest(100).nic_text("net0"), stored);
    assert_eq!(pve.changes()[0].nics["net0"].1, stored);
    assert_eq!(row(&pve, "qemu/100")["netin"], 5, "no new device");
    assert_eq!(pve.take_wrong(), [""; 0]);

    assert_eq!(edit(&pve, "virtio,bridge=vmbr0").status, 200);
    assert!(pve.take_wrong()[0].contains("macaddr"));
    assert_eq!(pve.guest(100).nic_text("net0"), "virtio=BC:24:11:FF:FF:01,bridge=vmbr0");
    assert_eq!(row(&pve, "qemu/100")["netin"], 0, "a new address is a new device");
    assert_eq!(edit(&pve, "virtio=BC:24:11:FF:FF:01,bridge=vmbr0").status, 200);
    assert!(pve.take_wrong()[0].contains("changes nothing"));

    for (value, why) in [
        ("virtio=BC:24:11:00:00:64,bridge=vmbr0,rate=fast", "rate"),
        ("virtio=BC:24:11:00:00:64,rate=1,rate=2", "duplicate"),
        ("virtio=BC:24:11:00:00:64,colour=red", "not defined in schema"),
        ("bridge=vmbr0", "model"),
    ] {
        let told = edit(&pve, value);
        let errors = told.body["errors"]["net0"].as_str().unwrap_or_default().to_owned();
        assert!(told.status == 400 && errors.contains(why), "{told:?}");
        assert_eq!(pve.take_wrong().len(), 1);
    }
    let digest = get(&pve, CONFIG).body["data"]["digest"].as_str().unwrap().to_owned();
    pve.guest(100).nic("net0", "virtio=BC:24:11:00:00:64,bridge=vmbr0,trunks=10;20");
    let body = format!("net0=virtio=BC:24:11:00:00:64,bridge=vmbr0,trunks=10;20,rate=1&digest={digest}");
    assert_eq!(form(&pve, "PUT", CONFIG, &body).status, 400, "a semicolon divides like an ampersand");
    pve.take_wrong();
}

#[test]
fn an_edit_needs_the_digest_of_now_and_no_lock() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.ct(101, "db");
    let nic = pve.guest(100).nic_text("net0");
    let none = form(&pve, "PUT", CONFIG, &format!("net0={nic},rate=1"));
    assert!(none.status == 200 && pve.take_wrong()[0].contains("without a digest"));
    let stale = form(&pve, "PUT", CONFIG, &format!("net0={nic},rate=2&digest={}", "0".repeat(40)));
    assert_eq!(stale.reason, "checksum mismatch (file change by other user?)");
    let path = "/nodes/pve1/lxc/101/config";
    let of_ct = format!("net0={},rate=1&digest=0", pve.guest(101).nic_text("net0"));
    assert!(form(&pve, "PUT", path, &of_ct).reason.contains("detected modified configuration"));
    pve.meddle(100, "net0", "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=9");
    let meddled = edit(&pve, "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=2");
    assert_eq!(meddled.reason, "checksum mismatch (file change by other user?)");
    pve.guest(100).lock(Some("backup"));
    let locked = edit(&pve, "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,rate=2");
    assert_eq!((locked.status, locked.reason.as_str()), (500, "VM is locked (backup)"));
    assert!(pve.guest(100).nic_text("net0").ends_with("rate=9"));
    assert_eq!((pve.take_wrong(), pve.changes().len()), (vec![], 1));
    let pending = get(&pve, &CONFIG.replace("config", "pending")).body["data"].clone();
    assert!(pending.as_array().unwrap().iter().any(|row| row["key"] == "net0"), "{pending}");
    pve.moves(100, "pve2");
    let moved = form(&pve, "PUT", CONFIG, "net0=x");
    assert!(moved.reason.contains("does not exist"), "{moved:?}");
}

/// The exit of the task a power call made; none while it runs.
fn exit(pve: &Pve, told: &Told) -> Value {
    let upid = told.body["data"].as_str().unwrap_or_else(|| panic!("no task: {told:?}"));
    let node = upid.split(':').nth(1).unwrap();
    get(pve, &format!("/nodes/{node}/tasks/{upid}/status")).body["data"]["exitstatus"].clone()
}

#[test]
fn guests_go_off_as_they_are_told_to() {
    let pve = Pve::start();
    pve.vm(100, "web").traffic(5, 7);
    let power = |verb: &str, body: &str| form(&pve, "POST", &format!("/nodes/pve1/qemu/100/status/{verb}"), body);
    let shutdown = power("shutdown", "timeout=60");
    assert_eq!((pve.guest(100).status(), exit(&pve, &shutdown)), ("stopped", json!("OK")));
    assert_eq!(row(&pve, "qemu/100")["netin"], 0);
    assert_eq!(exit(&pve, &power("shutdown", "")), "OK", "off already");
    assert_eq!(exit(&pve, &power("start", "")), "OK");
    assert_eq!(exit(&pve, &power("start", "")), "VM 100 already running");
    pve.guest(100).obeys(Obeys::After(2));
    let slow = power("shutdown", "");
    assert_eq!((exit(&pve, &slow), exit(&pve, &slow), exit(&pve, &slow)), (Value::Null, Value::Null, json!("OK")));
    pve.guest(100).start().obeys(Obeys::Never);
    assert_eq!(exit(&pve, &power("shutdown", "")), "VM quit/powerdown failed - got timeout");
    pve.guest(100).lock(Some("backup"));
    assert_eq!(exit(&pve, &power("stop", "")), "VM is locked (backup)", "the call is accepted, the task fails");
    pve.guest(100).lock(None).state("paused");
    assert_eq!(exit(&pve, &power("shutdown", "")), "VM is paused - cannot shutdown");
    assert_eq!((exit(&pve, &power("shutdown", "forceStop=1")), pve.guest(100).status()), (json!("OK"), "stopped"));
    assert_eq!(pve.powers()[0], "shutdown qemu/100 timeout=60");
    pve.ct(101, "db").stop();
    let off = form(&pve, "POST", "/nodes/pve1/lxc/101/status/shutdown", "");
    assert_eq!((off.status, off.reason.as_str()), (500, "CT 101 not running"));
    pve.guest(101).start();
    assert_eq!(form(&pve, "POST", "/nodes/pve1/lxc/101/status/start", "").reason, "CT 101 already running");
}

#[test]
fn ha_answers_at_once_and_acts_later() {
    let pve = Pve::start();
    pve.vm(100, "web").ha("started");
    let stop = form(&pve, "POST", "/nodes/pve1/qemu/100/status/stop", "");
    assert!(stop.body["data"].as_str().unwrap().contains(":hastop:"), "{stop:?}");
    assert_eq!(row(&pve, "qemu/100")["status"], "running");
    assert_eq!(row(&pve, "qemu/100")["status"], "stopped");
    assert_eq!(exit(&pve, &stop), "OK");
    let start = form(&pve, "POST", "/nodes/pve1/qemu/100/status/start", "");
    assert!(start.body["data"].as_str().unwrap().contains(":hastart:"));
    pve.guest(100).ha("error");
    assert_ne!(exit(&pve, &form(&pve, "POST", "/nodes/pve1/qemu/100/status/stop", "")), "OK");
}

#[test]
fn events_are_those_of_the_field() {
    let pve = Pve::start();
    let guest = pve.vm(100, "web").traffic(5, 7);
    let figures = || {
        let row = row(&pve, "qemu/100");
        (row["status"].clone(), row["uptime"].as_u64().unwrap(), row["netout"].as_u64().unwrap())
    };
    pve.passes(3600);
    assert!((90_000..90_003).contains(&figures().1));
    guest.restart(30);
    assert_eq!(figures(), (json!("running"), 30, 0));
    guest.traffic(1, 2).migrate("pve2");
    assert_eq!((figures().2, row(&pve, "qemu/100")["node"].clone()), (0, json!("pve2")));
    guest.traffic(1, 2).nic("net1", "virtio=BC:24:11:00:00:02,bridge=vmbr1").traffic_on("net1", 10, 20).replug("net0");
    assert_eq!(figures().2, 20);
    guest.hibernate();
    assert_eq!((figures(), row(&pve, "qemu/100")["lock"].clone()), ((json!("stopped"), 0, 0), json!("suspended")));
    guest.resume().traffic(0, 9);
    assert_eq!((figures().0, figures().2), (json!("running"), 9));
    guest.stop().backup_of_stopped();
    pve.passes(60);
    assert_eq!(figures(), (json!("prelaunch"), 60, 0));
    guest.lock(None).reuse("shop");
    assert_eq!((figures().0, row(&pve, "qemu/100")["name"].clone()), (json!("running"), json!("shop")));
    let meta = get(&pve, "/nodes/pve2/qemu/100/config").body["data"]["meta"].clone();
    assert_eq!(meta, "creation-qemu=9.0.2,ctime=1790000000");
    guest.remove();
    assert_eq!(row(&pve, "qemu/100"), Value::Null);
}

#[test]
fn this_cluster_fails_as_told_and_heals() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let list = "/cluster/resources?type=vm";
    pve.next(Call::Resources, [Wrong::page(), Wrong::forwarding(599, "Too many redirections")]);
    assert_eq!(get(&pve, list).body, Value::Null);
    let told = get(&pve, list);
    assert_eq!((told.status, told.reason.as_str(), told.body), (599, "Too many redirections", Value::Null));
    assert_eq!(get(&pve, list).status, 200);
    pve.always(Call::Resources, Wrong::failure("cluster not ready - no quorum?"));
    let told = get(&pve, list);
    assert_eq!(told.reason, "cluster not ready - no quorum?");
    assert_eq!(told.body, json!({"data": null, "message": "cluster not ready - no quorum?\n"}));
    pve.heal();
    pve.next(Call::Change, [Wrong::DoneThen596]);
    let nic = pve.guest(100).nic_text("net0");
    assert_eq!(
        (edit(&pve, &format!("{nic},rate=3")).status, pve.guest(100).nic_text("net0")),
        (596, format!("{nic},rate=3"))
    );
    let door = pve.door();
    let mut stream = TcpStream::connect(door.trim_start_matches("http://")).unwrap();
    write!(stream, "GET /api2/json/version HTTP/1.1\r\nHost: x\r\n{}\r\n", token()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    let asked = pve.asked();
    assert_eq!((pve.requests(), asked.len(), pve.count(Call::Resources)), (7, 7, 4));
    assert_eq!((asked[0].door, asked[6].door, asked[6].path.as_str()), (0, 1, "/version"));
    assert!(asked[0].at <= asked[6].at && asked[0].method == "GET");
}

#[test]
fn answers_are_lost_cut_or_late_as_told() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.ct(101, "db");
    let ask = |target: &str, method: &str| {
        let mut stream = TcpStream::connect(pve.url().trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        write!(stream, "{method} /api2/json{target} HTTP/1.1\r\nHost: x\r\n{}\r\n", token()).unwrap();
        let mut bytes = Vec::new();
        let late = stream.read_to_end(&mut bytes).is_err();
        (late, String::from_utf8(bytes).unwrap())
    };
    pve.next(Call::Version, [Wrong::Truncated, Wrong::Hang, Wrong::Huge(5_000), Wrong::json("{}")]);
    assert!(ask("/version", "GET").1.ends_with("\"netout\":"));
    assert_eq!(ask("/version", "GET"), (true, String::new()));
    assert!(ask("/version", "GET").1.contains("Content-Length: 50"), "5000 blanks and the answer");
    assert!(ask("/version", "GET").1.ends_with("\r\n\r\n{}"));
    pve.next(Call::Power, [Wrong::AnswerLost, Wrong::AnswerHeld]);
    assert_eq!(ask("/nodes/pve1/qemu/100/status/stop", "POST"), (false, String::new()));
    assert_eq!(ask("/nodes/pve1/lxc/101/status/stop", "POST"), (true, String::new()));
    assert_eq!((pve.guest(100).status(), pve.guest(101).status()), ("stopped", "stopped"), "done nevertheless");
}

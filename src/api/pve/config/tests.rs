//! Configurations as hosts send them, and edits as they are sent.

use serde_json::{Value, json};

use super::super::tests::{SECRET, UNTIL, cluster};
use super::super::wire::Wire;
use super::*;
use crate::quota::guest::Kind as Guest;

const VM: Id = Id { kind: Guest::Qemu, vmid: 100 };
const DIGEST: &str = "5911baea29f4c0073fb063fd9ab29e75892832bf";

fn read(data: &Value) -> Result<Config, Failure> {
    let host = Wire::default().says(200, &json!({"data": data}).to_string());
    let config = cluster(&["a"]).config(&host, VM, "pve1", UNTIL);
    assert_eq!(host.requests()[0].url, "https://a:8006/api2/json/nodes/pve1/qemu/100/config");
    config
}

fn names(config: &Config) -> Vec<&str> {
    config.nics.keys().map(String::as_str).collect()
}

#[test]
fn a_recorded_container() {
    let example: Value = serde_json::from_str(include_str!("../fixtures/lxc-config-pve7-8.json")).unwrap();
    let config = read(&example["body"]["data"]).unwrap();
    assert_eq!((config.digest.as_str(), config.created), (DIGEST, None));
    assert_eq!(config.addresses, ["5D:CF:BD:B2:C5:39".to_owned()].into());
    let nic = config.nics["net0"].as_ref().unwrap();
    let text = "name=eth0,bridge=vmbr0,firewall=1,hwaddr=5D:CF:BD:B2:C5:39,ip=dhcp,type=veth";
    assert_eq!((names(&config), nic.to_string().as_str()), (vec!["net0"], text));
}

#[test]
fn a_vm_knows_when_it_was_made() {
    let config = read(&json!({
        "digest": DIGEST, "meta": "creation-qemu=9.0.2,ctime=1718000000", "net0": "virtio=bc:24:11:00:00:01,bridge=vmbr0",
        "net31": "model=e1000,macaddr=BC:24:11:00:00:02,bridge=vmbr1", "net32": "virtio=A", "net00": "virtio=B",
        "netx": "virtio=C", "name": "a", "ostype": ["odd"]
    }));
    let config = config.unwrap();
    assert_eq!(config.created, Some(Instant::from_millis(1_718_000_000_000)));
    assert_eq!(names(&config), ["net0", "net31"]);
    assert_eq!(config.addresses, ["BC:24:11:00:00:01", "BC:24:11:00:00:02"].map(str::to_owned).into());
    for meta in [json!("ctime=soon"), json!("creation-qemu=9"), json!(""), json!(7), json!(null), json!(["ctime=1"])] {
        assert_eq!(read(&json!({"digest": DIGEST, "meta": meta})).unwrap().created, None, "{meta}");
    }
}

#[test]
fn a_nic_that_cannot_be_read_spoils_no_other() {
    let data = json!({
        "digest": DIGEST, "net0": "virtio=A,bridge=vmbr0", "net1": "", "net2": [SECRET], "net3": "rate=1,rate=2", "net4": null
    });
    let config = read(&data).unwrap();
    let good: Vec<&str> = config.nics.iter().filter(|(_, nic)| nic.is_ok()).map(|(name, _)| name.as_str()).collect();
    assert_eq!((good, config.nics.len()), (vec!["net0"], 5));
    assert_eq!(config.nics["net2"], Err("it is no text".into()));
    assert_eq!(config.nics["net3"], Err("\"rate\" stands twice in \"rate=1,rate=2\"".into()));
}

#[test]
fn without_a_digest_there_is_no_configuration() {
    for data in
        [json!({}), json!({"digest": ""}), json!({"digest": null}), json!({"digest": []}), json!(null), json!([])]
    {
        let failure = read(&data).unwrap_err();
        assert!(failure.text.starts_with("GET /nodes/pve1/qemu/100/config: the answer cannot be read: "), "{data}");
    }
}

#[test]
fn all_nics_are_changed_in_one_call() {
    let host = Wire::default().says(200, "{\"data\":null}");
    let nic = |text| Nic::parse(text).unwrap();
    let nics = BTreeMap::from([
        ("net0".to_owned(), nic("virtio=BC:24:11:00:00:01,bridge=vmbr0,trunks=10;20")),
        ("net1".to_owned(), nic("virtio=BC:24:11:00:00:02,bridge=vmbr1,rate=0.5")),
    ]);
    cluster(&["a"]).change_nics(&host, VM, "pve1", DIGEST, &nics, UNTIL).unwrap();
    let requests = host.requests();
    let body = String::from_utf8(requests[0].body.clone()).unwrap();
    assert_eq!((requests.len(), requests[0].method), (1, "PUT"));
    assert_eq!(requests[0].url, "https://a:8006/api2/json/nodes/pve1/qemu/100/config");
    assert_eq!(
        body,
        format!(
            "net0=virtio%3DBC%3A24%3A11%3A00%3A00%3A01%2Cbridge%3Dvmbr0%2Ctrunks%3D10%3B20&\
             net1=virtio%3DBC%3A24%3A11%3A00%3A00%3A02%2Cbridge%3Dvmbr1%2Crate%3D0.5&digest={DIGEST}"
        )
    );
}

#[test]
fn what_is_no_edit_of_nics_is_not_sent() {
    let host = Wire::default();
    let nics = |name: &str| BTreeMap::from([(name.to_owned(), Nic::parse("virtio=A,bridge=vmbr0").unwrap())]);
    let change = |node: &str, digest: &str, nics: &BTreeMap<String, Nic>| {
        cluster(&["a"]).change_nics(&host, VM, node, digest, nics, UNTIL)
    };
    for (node, digest, name) in [
        ("pve1", "", "net0"),
        ("pve1", DIGEST, "delete"),
        ("pve1", DIGEST, "net32"),
        ("a/b", DIGEST, "net0"),
        ("..", DIGEST, "net0"),
    ] {
        let failure = change(node, digest, &nics(name)).unwrap_err();
        assert_eq!(failure.cause, Cause::Wrong, "{}", failure.text);
    }
    assert_eq!(change("pve1", DIGEST, &BTreeMap::new()), Ok(()));
    assert!(cluster(&["a"]).config(&host, VM, "pve1/qemu/5", UNTIL).is_err());
    assert!(host.requests().is_empty());
}

#[test]
fn an_edit_on_top_of_another_is_told() {
    let body = json!({"data": null, "message": "VM is locked (backup)\n"}).to_string();
    let host = Wire::default().says(500, &body);
    let nics = BTreeMap::from([("net0".to_owned(), Nic::parse("virtio=A,bridge=vmbr0").unwrap())]);
    let failure = cluster(&["a"]).change_nics(&host, VM, "pve1", DIGEST, &nics, UNTIL).unwrap_err();
    assert_eq!((failure.kind, failure.cause), (Kind::Locked, Cause::Later));
}

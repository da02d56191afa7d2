//! Every text this program knows, and answers of those who answer in the host's place.
//!
//! The bodies are those of `GET` and `PUT` of Proxmox VE 7.4 (without `message`) and 8.4 to 9.1 (with it).

use serde_json::json;

use super::*;

const SECRET: &str = "5c1a7a52-0000-4000-8000-1234567890ab";
const CONFIG: &str = "/nodes/pve1/qemu/100/config";

fn refusal(method: &str, path: &str, status: u16, body: impl AsRef<[u8]>) -> Failure {
    let response = Response { status, headers: Vec::new(), body: body.as_ref().to_vec() };
    of(method, path, &response, &Secret::new(SECRET)).expect("a refusal")
}

fn died(message: &str) -> Failure {
    refusal("PUT", CONFIG, 500, json!({"data": null, "message": format!("{message}\n")}).to_string())
}

#[test]
fn every_known_text_has_its_kind() {
    use {Cause as C, Kind as K};
    for (message, kind, cause, advice) in [
        ("VM is locked (backup)", K::Locked, C::Later, LOCKED),
        ("CT is locked (snapshot-delete)", K::Locked, C::Later, LOCKED),
        (
            "can't lock file '/var/lock/qemu-server/lock-203.conf' - got timeout",
            K::Locked,
            C::Later,
            "something else is at work on it: a later try may succeed",
        ),
        ("checksum mismatch (file change by other user?)", K::DigestMismatch, C::Later, CHANGED),
        (
            "detected modified configuration - file changed by other user? Try again.",
            K::DigestMismatch,
            C::Later,
            CHANGED,
        ),
        (
            "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist",
            K::Gone,
            C::Wrong,
            "the guest was deleted, or moved to another node",
        ),
        ("CT 101 not running", K::NotRunning, C::Wrong, ""),
        ("VM 100 not running", K::NotRunning, C::Wrong, ""),
        ("CT 101 already running", K::AlreadyRunning, C::Wrong, ""),
        ("VM 100 already running", K::AlreadyRunning, C::Wrong, ""),
        ("VM is paused - cannot shutdown", K::Other, C::Wrong, "it has to be resumed, or stopped by force"),
        ("cluster not ready - no quorum?", K::NoQuorum, C::Later, QUORUM),
        (
            "unable to open file '/etc/pve/nodes/pve1/qemu-server/100.conf.tmp.4711' - Permission denied",
            K::NoQuorum,
            C::Later,
            QUORUM,
        ),
        (
            "hostname lookup 'pve9' failed - failed to get address info for: pve9: Name or service not known",
            K::Other,
            C::Wrong,
            "there is no such node",
        ),
        (
            "RRD error: opening '/var/lib/rrdcached/db/pve-vm-9.0/100': No such file or directory",
            K::NoHistory,
            C::Wrong,
            "it is too new to have a history",
        ),
        (
            "VM 100 qmp command 'set_link' failed - got timeout",
            K::Other,
            C::Unknown,
            "it may have been done nevertheless",
        ),
        ("QEMU guest agent is not running", K::Other, C::Wrong, ""),
        ("something new", K::Other, C::Wrong, ""),
    ] {
        let failure = died(message);
        let advice = if advice.is_empty() { String::new() } else { format!(": {advice}") };
        assert_eq!(failure.text, format!("status 500: {message}{advice}"));
        assert_eq!((failure.kind, failure.cause), (kind, cause), "{message}");
    }
}

#[test]
fn older_hosts_say_nothing_of_it() {
    for body in ["{\"data\":null}", ""] {
        let failure = refusal("PUT", CONFIG, 500, body);
        assert_eq!((failure.kind, failure.cause), (Kind::Other, Cause::Later));
        assert_eq!(
            failure.text,
            "status 500: Proxmox VE before 8.4 does not say why: see its log (journalctl -u pvedaemon)"
        );
    }
}

#[test]
fn a_refused_token() {
    for (body, said) in
        [("", ""), ("{\"data\":null,\"message\":\"invalid token value!\\n\"}", "invalid token value!: ")]
    {
        let failure = refusal("GET", "/cluster/resources", 401, body);
        assert_eq!((failure.text, failure.cause), (format!("status 401: {said}{TOKEN}"), Cause::Credentials));
    }
}

#[test]
fn a_missing_privilege_is_named() {
    let both = "the token needs it, and its user too";
    let bridges = "SDN.Use on /sdn/zones/localnetwork/BRIDGE of each of its bridges";
    for (method, path, needed) in [
        ("GET", "/nodes/pve1/qemu/100/config", "VM.Audit on /vms/100".to_owned()),
        ("GET", "/nodes/pve1/lxc/101/status/current", "VM.Audit on /vms/101".into()),
        ("GET", "/nodes/pve1/lxc/101/rrddata", "VM.Audit on /vms/101".into()),
        ("POST", "/nodes/pve1/qemu/100/status/shutdown", "VM.PowerMgmt on /vms/100".into()),
        (
            "PUT",
            "/nodes/pve1/lxc/101/config",
            format!("VM.Config.Network on /vms/101 and, since Proxmox VE 8.0, {bridges}"),
        ),
        ("GET", "/nodes/pve1/netstat", "Sys.Audit on /nodes/pve1".into()),
        ("GET", "/nodes/pve1/tasks/UPID:pve1:1:2:3:qmstop:100:root@pam:/status", "Sys.Audit on /nodes/pve1".into()),
        ("GET", "/cluster/metrics/export", "Sys.Audit on /".into()),
        ("GET", "/cluster/status", "Sys.Audit on /".into()),
    ] {
        let failure = refusal(method, path, 403, "{\"data\":null}");
        assert_eq!(failure.text, format!("status 403: this call needs {needed}: {both}"));
        assert_eq!((failure.cause, failure.kind), (Cause::Forbidden, Kind::Other));
    }
    assert_eq!(refusal("GET", "/version", 403, "").text, format!("status 403: a privilege is missing: {both}"));
    let said = json!({"data": null, "message": "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)\n"});
    assert_eq!(
        refusal("PUT", CONFIG, 403, said.to_string()).text,
        format!("status 403: Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use): {both}")
    );
}

#[test]
fn refused_parameters_are_listed_in_order() {
    let failure = refusal(
        "PUT",
        CONFIG,
        400,
        json!({"data": null, "message": "Parameter verification failed.\n", "errors": {
            "vmid": 7, "net0": "invalid format - format error\nnet0.rate: type check ('number') failed - got 'abc'\n",
        }})
        .to_string(),
    );
    assert_eq!(
        failure.text,
        "status 400: net0: invalid format - format error net0.rate: type check ('number') failed - got 'abc'; \
         vmid: refused: the host refuses a parameter"
    );
    assert_eq!(failure.cause, Cause::Wrong);
    let failure = refusal("PUT", CONFIG, 400, "{\"data\":null,\"errors\":{},\"message\":\"no options specified\"}");
    assert_eq!(failure.text, "status 400: no options specified: the host refuses a parameter");
}

#[test]
fn other_statuses() {
    for (status, body, text, cause, of_a_proxy) in [
        (
            501,
            "{\"data\":null}",
            "the host does not know this call: check api, and the version of Proxmox VE",
            Cause::Wrong,
            false,
        ),
        (595, "", "the node cannot be reached, or its pvedaemon does not run", Cause::Later, true),
        (596, "", "the node did not answer within 30 s, or broke off", Cause::Unknown, true),
        (599, "", "the node could not be asked", Cause::Unknown, true),
        (302, "", "redirects are not followed: check api", Cause::Wrong, false),
        (404, "", "check api: is this a Proxmox VE host?", Cause::Wrong, false),
        (429, "slow down", "slow down: asked too often: a later try may succeed", Cause::Later, false),
        (500, "<html>x", "an HTML page: a proxy in between failed, or the host itself", Cause::Unknown, true),
        (502, "\n<html>x", "an HTML page: a proxy in between failed, or the host itself", Cause::Unknown, true),
        (504, "", "a proxy in between failed, or the host itself", Cause::Unknown, true),
    ] {
        let response = Response { status, headers: Vec::new(), body: body.into() };
        let failure = of("GET", "/version", &response, &Secret::new(SECRET)).expect("a refusal");
        assert_eq!((failure.text, failure.cause), (format!("status {status}: {text}"), cause));
        assert_eq!(of_proxy(&response), of_a_proxy, "{status}");
    }
    let ok = Response { status: 200, headers: Vec::new(), body: Vec::new() };
    assert_eq!(of("GET", "/version", &ok, &Secret::new(SECRET)), None);
    assert!(!of_proxy(&Response { status: 500, ..ok }));
}

#[test]
fn hostile_words_are_redacted_escaped_and_cut() {
    let shown = died(&format!("a\u{1b}[2J\u{202e}b {SECRET}\n\n x {}", SECRET.replace('-', "%2D"))).text;
    assert_eq!(shown, "status 500: a\\u{1b}[2J\\u{202e}b (redacted) x (redacted)");
    let long = died(&format!("{}{SECRET}", "y".repeat(WORDS_LIMIT - 9))).text;
    assert!(long.chars().count() < WORDS_LIMIT + 20 && !long.contains("5c1a"), "{long}");
    assert!(refusal("GET", "/version", 404, b"\xff\x00{").text.starts_with("status 404: "));
}

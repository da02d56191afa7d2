//! Orders as they are sent, and how tasks end.

use serde_json::{Value, json};

use super::super::tests::{SECRET, UNTIL, cluster};
use super::super::wire::Wire;
use super::*;
use crate::quota::guest::Kind as Guest;

const CONTAINER: Id = Id { kind: Guest::Lxc, vmid: 105 };
const UPID: &str = "UPID:pve1:0001A2B3:0012D687:69270A10:qmshutdown:100:monitor@pve!quota:";

/// The path and the form an order is sent with.
fn sent(order: Order) -> (String, String) {
    let host = Wire::default().says(200, &json!({"data": UPID}).to_string());
    assert_eq!(cluster(&["a"]).power(&host, CONTAINER, "pve1", order, UNTIL).unwrap(), UPID);
    let request = host.requests().remove(0);
    assert_eq!(request.method, "POST");
    let path = request.url.strip_prefix("https://a:8006/api2/json/nodes/pve1/lxc/105/status/").unwrap().to_owned();
    (path, String::from_utf8(request.body).unwrap())
}

fn task_of(data: &Value) -> Result<Task, Failure> {
    let host = Wire::default().says(200, &json!({"data": data}).to_string());
    let task = cluster(&["a"]).task(&host, UPID, UNTIL);
    assert_eq!(host.requests()[0].url, format!("https://a:8006/api2/json/nodes/pve1/tasks/{UPID}/status"));
    task
}

#[test]
fn orders_say_no_more_than_they_have_to() {
    let shutdown = |millis, force| sent(Order::Shutdown { timeout: Some(Duration::from_millis(millis)), force });
    assert_eq!(shutdown(90_000, false), ("shutdown".into(), "timeout=90".into()));
    assert_eq!(shutdown(90_001, true), ("shutdown".into(), "timeout=91&forceStop=1".into()));
    assert_eq!(sent(Order::Stop), ("stop".into(), String::new()));
    assert_eq!(sent(Order::Start), ("start".into(), String::new()));
}

#[test]
fn what_is_no_task_may_have_been_done() {
    for data in [json!("x"), json!(null), json!(7), json!("UPID:pve1/..:1:1:1:a:1:u:"), json!(SECRET)] {
        let host = Wire::default().says(200, &json!({"data": data}).to_string());
        let failure = cluster(&["a"]).power(&host, CONTAINER, "pve1", Order::Stop, UNTIL).unwrap_err();
        assert_eq!((failure.cause, failure.text.contains("5c1a")), (Cause::Unknown, false), "{}", failure.text);
    }
}

#[test]
fn a_hostile_node_is_no_path() {
    let host = Wire::default();
    for node in ["", ".", "..", "pve1/qemu/5/status/stop", "a%2f", "a?b", "a b"] {
        let failure = cluster(&["a"]).power(&host, CONTAINER, node, Order::Stop, UNTIL).unwrap_err();
        assert_eq!(failure.cause, Cause::Wrong, "{node}");
    }
    assert!(host.requests().is_empty());
}

#[test]
fn tasks_run_and_end() {
    let example: Value = serde_json::from_str(include_str!("../fixtures/task-status-derived.json")).unwrap();
    let failed = |why: &str| Task::Failed(why.into());
    assert_eq!(task_of(&example["body"]["data"]).unwrap(), failed("VM quit/powerdown failed - got timeout"));
    assert_eq!(task_of(&json!({"status": "running"})).unwrap(), Task::Running);
    let stopped = |exit: Value| task_of(&json!({"status": "stopped", "exitstatus": exit})).unwrap();
    assert_eq!([json!("OK"), json!("WARNINGS: 2")].map(stopped), [Task::Ok, Task::Ok]);
    for why in ["ok", "WARNINGS: some", "OK but", "VM is locked (backup)"] {
        assert_eq!(stopped(json!(why)), failed(why));
    }
    assert_eq!(stopped(json!(null)), failed("how it ended is not known"));
    assert_eq!(stopped(json!(format!("a\u{1b}b {SECRET}"))), failed("a\\u{1b}b (redacted)"));
    assert!(task_of(&json!({"exitstatus": "OK"})).is_err());
}

#[test]
fn what_is_no_id_of_a_task_is_not_asked_for() {
    let host = Wire::default();
    for upid in [
        "",
        "UPID:pve1",
        "UPID::1:1:1:qmstop:100:a@pve:",
        "upid:pve1:1:1:1:qmstop:100:a@pve:",
        "UPID:pve1:1:1:1:qmstop:100:a@pve",
        "UPID:..:1:1:1:qmstop:100/status:a@pve:",
        "UPID:pve1:1:1:1:qmstop:100:a@pve:/../../x",
        "UPID:pve1:1:1:1:qm%2fstop:100:a@pve:",
        "UPID:pve1:1:1:1:qm?stop:100:a@pve:",
        "UPID:pve1:1:1:1:qm stop:100:a@pve:",
    ] {
        assert_eq!(cluster(&["a"]).task(&host, upid, UNTIL).unwrap_err().cause, Cause::Wrong, "{upid}");
    }
    assert!(host.requests().is_empty());
    assert_eq!(node_of("UPID:..:1:1:1:qmstop:100:a@pve:"), Some(".."), "and such a path is not valid");
    assert!(cluster(&["a"]).task(&host, "UPID:..:1:1:1:qmstop:100:a@pve:", UNTIL).is_err());
}

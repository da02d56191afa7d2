//! The existing node bandwidth monitor's clients, old and new, and those who ask for its answers.

use serde_json::json;

use super::client::{self, document};
use super::holder::Holder;
use super::{PASSWORD, hub, machine};
use crate::machine::{Machine, telegram_table};
use crate::telegram::Telegram;

#[test]
fn clients_old_and_new_report_as_they_always_did() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    let old = document("old", PASSWORD, 1_700_000_000);
    let mut new = document("new", PASSWORD, 1_700_000_000);
    new["effective_threshold_mbps"] = json!(5.5);
    // A client whose counters fell tells of this.
    new["metrics"]["network_in_bps"] = json!(1.8446744073709552e19);
    for body in [&old, &new] {
        let answer = client::ask(holder.address(), "POST", "/api/report", &[], &body.to_string()).unwrap().is(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["success"], true);
        assert!(answer.json()["message"].is_string());
    }
    let status = client::read(holder.address(), "/api/status").is(200).json();
    let node = &status["data"]["old"];
    let keys: Vec<_> = node.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["bandwidth_alerted", "hostname", "is_online", "last_seen", "metrics"]);
    assert_eq!(
        (&node["hostname"], &node["metrics"], &node["is_online"]),
        (&json!("old"), &old["metrics"], &json!(true))
    );
    assert!(node["last_seen"].as_str().unwrap().ends_with('Z'));
    holder.quietly();
}

#[test]
fn a_test_message_is_sent_and_a_failure_is_told() {
    let telegram = Telegram::new();
    let config = format!("{}{}", hub(""), telegram_table(&telegram.url()));
    let machine = Machine::new().config(&config).secret(super::READ_TOKEN);
    let holder = Holder::new(&machine);
    let token = format!("Authorization: Bearer {}", super::READ_TOKEN);
    let ask = |headers: &[&str]| client::ask(holder.address(), "POST", "/api/test-telegram", headers, "").unwrap();
    ask(&[]).is(401);
    ask(&[&token, "Origin: https://evil.example"]).is(403);
    assert_eq!(telegram.requests(), 0);
    assert_eq!(ask(&[&token]).is(200).json()["message"], "telegram: accepted");
    assert_eq!(telegram.messages().len(), 1);
    telegram.always(crate::telegram::Fault::Unauthorized);
    let failed = ask(&[&token]).is(502).json();
    assert_eq!(failed["success"], false);
    assert!(failed["message"].as_str().unwrap().starts_with("telegram: "), "{failed}");
    holder.quietly();
}

#[test]
fn check_goes_on_beside_it() {
    let machine = machine("");
    let holder = Holder::new(&machine);
    for round in 0..5 {
        client::report(holder.address(), "hk-1", round).unwrap().is(200);
        machine.check_exits(0).quietly();
    }
    assert_eq!(holder.starts(), 1);
}

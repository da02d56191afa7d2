//! Rows as hosts send them, and as they should not.

use serde_json::{Value, json};

use super::super::Cause;
use super::super::tests::{SECRET, UNTIL, cluster};
use super::super::wire::Wire;
use super::*;
use crate::quota::pulse::{Load, Loads};

fn listing(rows: &Value) -> Listing {
    let host = Wire::default().says(200, &json!({"data": rows}).to_string());
    let listing = cluster(&["a"]).guests(&host, UNTIL).unwrap();
    let urls: Vec<String> = host.requests().into_iter().map(|request| request.url).collect();
    assert_eq!(urls, ["https://a:8006/api2/json/cluster/resources?type=vm"]);
    listing
}

/// The rows of an example answer.
fn example(text: &str) -> Listing {
    let example: Value = serde_json::from_str(text).unwrap();
    listing(&example["body"]["data"])
}

/// A running guest with some fields put in, or taken out by null.
fn row(more: &Value) -> Value {
    let mut row = json!({
        "id": "qemu/100", "type": "qemu", "vmid": 100, "node": "pve1", "status": "running",
        "uptime": 60, "netin": 7020, "netout": 5, "template": 0
    });
    for (name, value) in more.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}

#[track_caller]
fn good(more: &Value) -> Row {
    let listing = listing(&json!([row(more)]));
    assert_eq!(listing.broken, []);
    listing.rows[0].clone()
}

fn figures(rx: u64, tx: u64, uptime: u64) -> Option<Figures> {
    Some(Figures { counters: Counters { rx, tx }, uptime: Duration::from_secs(uptime), loads: Loads::default() })
}

#[test]
fn a_recorded_answer() {
    let Listing { rows, broken } = example(include_str!("../fixtures/cluster-resources-pve7-8.json"));
    assert_eq!(broken, []);
    let server = &rows[0];
    assert_eq!((server.id.to_string().as_str(), server.status.as_str()), ("qemu/100", "running"));
    let loads = Loads { cpu: Some(Load(249)), memory: Some(Load(7846)) };
    let figures_of = |loads| figures(2_456_116_121, 545_248_946, 874_350).map(|figures| Figures { loads, ..figures });
    assert_eq!(server.figures, figures_of(loads));
    let guest = Guest { name: "server1".into(), node: "node2".into(), on: true, ..Guest::default() };
    assert_eq!((&server.guest, server.template, server.managed), (&guest, false, false));
    assert_eq!((rows[1].figures, rows[1].template, rows[1].guest.on), (figures(0, 0, 0), true, false));
    assert_eq!(rows[2].guest.tags, "go-proxmox+cloud-init");
}

#[test]
fn a_guest_whose_node_is_silent_has_no_figures() {
    let listing = example(include_str!("../fixtures/cluster-resources-stale-node-derived.json"));
    let row = &listing.rows[0];
    assert_eq!((row.status.as_str(), row.figures, row.guest.on), ("unknown", None, false));
    assert_eq!((row.guest.node.as_str(), row.guest.tags.as_str()), ("pve2", "prod;web"));
    assert_eq!(good(&json!({"status": "unknown"})).figures, figures(7020, 5, 60));
}

#[test]
fn texts_are_numbers_and_numbers_texts() {
    let text = json!({
        "vmid": "100", "uptime": "60", "netin": "18446744073709551615", "netout": 9_007_199_254_740_993_u64,
        "template": "1", "name": 1234
    });
    let row = good(&text);
    assert_eq!(row.figures, figures(u64::MAX, 9_007_199_254_740_993, 60));
    assert_eq!((row.id.vmid, row.template, row.guest.name.as_str()), (100, true, "1234"));
    assert_eq!(good(&json!({"type": null, "vmid": null})).id.to_string(), "qemu/100");
    assert_eq!(good(&json!({"id": null})).id.to_string(), "qemu/100");
}

#[test]
fn a_guest_is_on_unless_it_is_off() {
    for status in ["running", "paused", "suspended", "io-error", "internal-error", "something new"] {
        assert!(good(&json!({"status": status})).guest.on, "{status}");
    }
    for status in ["stopped", "prelaunch"] {
        for odd in [json!(7), json!(null), json!("x")] {
            let row = good(&json!({"status": status, "netin": odd, "uptime": odd}));
            assert_eq!((row.guest.on, row.figures), (false, figures(0, 0, 0)), "{status}");
        }
    }
}

#[test]
fn what_is_at_work_on_it_and_who_looks_after_it() {
    let row = good(&json!({"lock": "backup", "hastate": "started", "pool": "p", "tags": "a;b", "surplus": [{}]}));
    assert_eq!((row.guest.lock.as_deref(), row.managed, row.guest.pool.as_deref()), (Some("backup"), true, Some("p")));
    let row = good(&json!({"lock": "", "hastate": "ignored", "pool": ""}));
    assert_eq!((row.guest.lock, row.managed, row.guest.pool), (None, false, None));
    assert!(!good(&json!({"hastate": ""})).managed);
}

#[test]
fn figures_that_are_none_break_their_row_alone() {
    for name in ["netin", "netout", "uptime"] {
        for wrong in ["null", "-1", "1.5", "1e300", "\"x\"", "\"\"", "[]", "[1]", "true", "{}", "1e999", "\"\\ud800\""]
        {
            let row = row(&json!({})).to_string();
            let before = row.clone();
            let (from, to) = match name {
                "netin" => ("\"netin\":7020", format!("\"netin\":{wrong}")),
                "netout" => ("\"netout\":5", format!("\"netout\":{wrong}")),
                _ => ("\"uptime\":60", format!("\"uptime\":{wrong}")),
            };
            let row = row.replace(from, &to);
            assert_ne!(row, before);
            let body = format!("{{\"data\":[{row},{}]}}", before.replace("100", "101"));
            let listing = cluster(&["a"]).guests(&Wire::default().says(200, &body), UNTIL).unwrap();
            assert_eq!((listing.rows.len(), listing.broken.len()), (1, 1), "{row}");
            assert_eq!((listing.rows[0].id.vmid, listing.broken[0].0.as_str()), (101, "qemu/100"));
            assert!(listing.broken[0].1.starts_with(&format!("its {name} ")), "{}", listing.broken[0].1);
        }
    }
}

#[test]
fn rows_without_a_usable_id_are_told_by_their_place() {
    let wrong = [
        json!(null),
        json!(7),
        json!([]),
        json!("qemu/100"),
        json!({}),
        row(&json!({"vmid": "x"})),
        row(&json!({"vmid": 4_294_967_296_u64})),
        row(&json!({"vmid": -100})),
        row(&json!({"type": "openvz"})),
        row(&json!({"id": "lxc/100"})),
        row(&json!({"id": []})),
        row(&json!({"id": "storage/x", "type": null})),
    ];
    let listing = listing(&Value::Array([&wrong[..], &[row(&json!({}))]].concat()));
    let places: Vec<String> = listing.broken.iter().map(|(subject, _)| subject.clone()).collect();
    assert_eq!(places, (1..=wrong.len()).map(|place| format!("row {place}")).collect::<Vec<_>>());
    assert_eq!(listing.rows.len(), 1);
    assert_eq!(listing.broken[0].1, "it is no object: null");
    assert_eq!(listing.broken[9].1, "its id \"lxc/100\" is not that of qemu/100");
}

#[test]
fn other_parts_have_to_make_sense_too() {
    for (more, why) in [
        (json!({"status": null}), "its status is missing"),
        (json!({"node": null}), "its node is missing"),
        (json!({"node": ""}), "its node is missing"),
        (json!({"node": "n".repeat(NAME + 1)}), "its node's name is too long"),
        (json!({"template": "maybe"}), "its template \"maybe\" is no truth value"),
        (json!({"tags": ["a"]}), "its tags [\"a\"] is no text"),
        (json!({"hastate": true}), "its hastate true is no text"),
    ] {
        let listing = listing(&json!([row(&more)]));
        assert_eq!(listing.broken, [("qemu/100".to_owned(), why.to_owned())]);
    }
}

#[test]
fn the_second_of_two_is_broken() {
    let listing = listing(&json!([row(&json!({})), row(&json!({"netin": 1})), row(&json!({"vmid": 101, "id": null}))]));
    assert_eq!(listing.broken, [("qemu/100".to_owned(), "it is listed twice".to_owned())]);
    assert_eq!((listing.rows.len(), listing.rows[0].figures), (2, figures(7020, 5, 60)));
}

#[test]
fn long_texts_are_cut_but_no_tag_in_two() {
    let tags = format!("a;{};{}", "b".repeat(1990), "c".repeat(50));
    let row = good(&json!({"name": "é".repeat(20_000), "tags": tags, "pool": "p".repeat(16_385)}));
    assert_eq!(row.guest.name, "é".repeat(16_384), "by characters, not by bytes");
    assert_eq!(row.guest.tags, tags[..1992]);
    assert_eq!(row.guest.pool.map(|pool| pool.len()), Some(16_384));
    let whole = good(&json!({"name": "n".repeat(16_384), "node": "n".repeat(16_384)}));
    assert_eq!((whole.guest.name.len(), whole.guest.node.len()), (16_384, 16_384));
    assert_eq!(whole_tags(&"x".repeat(3000)), "");
    assert_eq!(good(&json!({"name": "a\u{1b}\n\u{202e}b"})).guest.name, "a\u{1b}\n\u{202e}b");
}

#[test]
fn what_is_wrong_is_safe_to_show() {
    let listing = listing(&json!([row(&json!({"netin": format!("\u{1b}\u{202e}{SECRET}")}))]));
    let why = &listing.broken[0].1;
    assert!(why.contains("(redacted)") && !why.contains("5c1a") && !why.contains('\u{202e}'), "{why}");
}

#[test]
fn a_byte_that_is_no_text_costs_no_other_row() {
    let mut body = json!({"data": [row(&json!({"name": "caf?"})), row(&json!({"vmid": 101, "id": null}))]}).to_string();
    let at = body.find('?').unwrap();
    let mut bytes = std::mem::take(&mut body).into_bytes();
    bytes[at] = 0xe9;
    let listing = cluster(&["a"]).guests(&Wire::default().says_bytes(200, bytes), UNTIL).unwrap();
    assert_eq!((listing.rows.len(), listing.rows[0].guest.name.as_str()), (2, "caf\u{fffd}"));
}

#[test]
fn what_is_no_list_is_a_failure() {
    for body in ["{\"data\":null}", "{\"data\":{}}", "{}", "[]", "{\"data\":[{\"id\":\"qemu/100\"", "<html>", ""] {
        let failure = cluster(&["a"]).guests(&Wire::default().says(200, body), UNTIL).unwrap_err();
        assert_eq!(failure.cause, Cause::Unknown, "{body}");
        assert!(failure.text.starts_with("GET /cluster/resources: "), "{}", failure.text);
    }
    assert_eq!(listing(&json!([])), Listing { rows: vec![], broken: vec![] });
}

//! Rows of several versions, and what they come to.

use serde_json::{Value, json};

use super::super::tests::{UNTIL, cluster};
use super::super::wire::Wire;
use super::*;
use crate::quota::guest;
use crate::quota::meter::Counters;

const GUEST: Id = Id { kind: guest::Kind::Lxc, vmid: 100 };
/// A multiple of a day since the epoch.
const NOW: i64 = 1_764_115_200;

fn at(seconds: i64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

/// The spans as seconds since `zero`, with their rates.
fn spans(records: &Records, zero: i64) -> Vec<(i64, i64, f64, f64)> {
    let seconds = |at: Instant| at.millis() / 1000 - zero;
    records.spans.iter().map(|span| (seconds(span.from), seconds(span.to), span.rx, span.tx)).collect()
}

fn parse(items: &Value) -> Records {
    let text = items.to_string();
    let items: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
    records(&rows(&items), at(NOW))
}

/// Rows that end at these seconds from `NOW`, with this rate in and no traffic out.
fn body(ends: &[(i64, f64)]) -> String {
    let row = |(end, rate): &(i64, f64)| json!({"time": NOW + end, "netin": rate, "netout": 0.0, "cpu": 0.1});
    json!({"data": ends.iter().map(row).collect::<Vec<_>>()}).to_string()
}

/// What is recorded since so many seconds before `NOW`, and the timeframes asked for.
fn ask(host: &Wire, age: i64) -> (Result<Records, Failure>, Vec<String>) {
    let records = cluster(&["a"]).records(host, GUEST, "pve1", at(NOW - age), at(NOW), UNTIL);
    let timeframe = |url: &str| {
        let query = url.strip_prefix("https://a:8006/api2/json/nodes/pve1/lxc/100/rrddata?timeframe=").unwrap();
        query.strip_suffix("&cf=AVERAGE").unwrap().to_owned()
    };
    (records, host.requests().iter().map(|request| timeframe(&request.url)).collect())
}

#[test]
fn recorded_rows_of_a_running_guest() {
    let example: Value =
        serde_json::from_str(include_str!("../fixtures/rrddata-hour-running-guest-pve7.json")).unwrap();
    let records = parse(&example["body"]["data"]);
    let first = 1_654_613_640;
    assert_eq!(
        spans(&records, first),
        [
            (-60, 0, 66_113.633_333_333_3, 391_885.466_666_667),
            (0, 60, 71_023.973_333_333_3, 130_698.82),
            (60, 120, 96_769.06, 392_454.4)
        ]
    );
    assert_eq!(records.until, Some(at(first + 120)));
    let all = Counters { rx: 14_034_399, tx: 54_902_321 };
    assert_eq!(records.within(at(first - 60), at(first + 120)), all);
}

#[test]
fn recorded_rows_of_a_stopped_guest() {
    let example: Value =
        serde_json::from_str(include_str!("../fixtures/rrddata-hour-stopped-guest-pve8.json")).unwrap();
    assert_eq!(parse(&example["body"]["data"]), Records { spans: vec![], until: Some(at(1_693_114_800)) });
}

#[test]
fn what_is_no_rate_is_unknown() {
    for odd in ["null", "-1", "-0.5", "\"x\"", "\"\"", "\"nan\"", "\"inf\"", "1e999", "true", "[]", "{}"] {
        let text = format!(
            "[{{\"time\":60,\"netin\":1,\"netout\":1}},{{\"time\":120,\"netin\":{odd},\"netout\":1}},\
             {{\"time\":180,\"netin\":1,\"netout\":{odd}}},{{\"time\":\"240\",\"netin\":\"2.5e0\",\"netout\":0}}]"
        );
        let items: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
        assert_eq!(spans(&records(&rows(&items), at(NOW)), 0), [(0, 60, 1.0, 1.0), (180, 240, 2.5, 0.0)], "{odd}");
    }
}

#[test]
fn rows_come_in_any_order_and_some_are_none() {
    let rows = json!([
        {"time": 180, "netin": 3, "netout": 0}, null, 7, [1, 2, 3], {"netin": 9, "netout": 9}, {"time": -60},
        {"time": 1.5}, {"time": 1e300}, {"time": "soon"}, {"time": u64::MAX},
        {"time": 60, "netin": 1, "netout": 0}, {"time": 120, "netin": 2, "netout": 0}
    ]);
    let records = parse(&rows);
    assert_eq!(spans(&records, 0), [(0, 60, 1.0, 0.0), (60, 120, 2.0, 0.0), (120, 180, 3.0, 0.0)]);
    assert_eq!(parse(&json!([])), Records::default());
    let alone = parse(&json!([{"time": 60, "netin": 1, "netout": 0}]));
    assert_eq!(alone, Records { spans: vec![], until: Some(at(60)) });
}

#[test]
fn an_upgraded_host_sends_coarse_rows_and_then_fine_ones() {
    let row = |time: i64| json!({"time": time, "netin": time, "netout": 0});
    let records = parse(&json!([row(1800), row(3600), row(3660), row(3720)]));
    let steps: Vec<(i64, i64)> = spans(&records, 0).iter().map(|span| (span.0, span.1)).collect();
    assert_eq!(steps, [(0, 1800), (1800, 3600), (3600, 3660), (3660, 3720)]);
    // Fine ones that begin later, and one that ends with a coarse one.
    let records = parse(&json!([row(1800), row(3600), row(4020), row(4080)]));
    let steps: Vec<(i64, i64)> = spans(&records, 0).iter().map(|span| (span.0, span.1)).collect();
    assert_eq!(steps, [(0, 1800), (1800, 3600), (3960, 4020), (4020, 4080)]);
    let twice = json!([{"time": 120, "netin": 9, "netout": 0}, row(60), {"time": 120, "netin": 2, "netout": 0}]);
    assert_eq!(spans(&parse(&twice), 0)[1], (60, 120, 2.0, 0.0));
}

#[test]
fn after_the_hour_the_finest_timeframe_that_reaches_back_is_asked_for() {
    let hours = |count: i64| count * 3600;
    let hour = body(&[(-3540, 1.0), (-3480, 1.0), (0, 1.0)]);
    for (age, timeframe) in [
        (3601, "day"),
        (hours(35), "day"),
        (hours(35) + 1, "week"),
        (hours(210), "week"),
        (hours(210) + 1, "month"),
        (hours(24 * 35), "month"),
        (hours(24 * 35) + 1, "year"),
    ] {
        let host = Wire::default().says(200, &hour).says(200, &body(&[(-age, 1.0), (0, 1.0)]));
        let (records, asked) = ask(&host, age);
        assert_eq!((records.is_ok(), asked), (true, vec!["hour".to_owned(), timeframe.to_owned()]), "{age}");
    }
    for age in [0, 3600, hours(40)] {
        let (records, asked) = ask(&Wire::default().says(200, &body(&[(-age, 1.0), (0, 1.0)])), age);
        assert_eq!((records.is_ok(), asked), (true, vec!["hour".to_owned()]), "{age}: it reaches back");
    }
    let future = cluster(&["a"]).records(
        &Wire::default().says(200, &body(&[(-60, 1.0), (0, 1.0)])),
        GUEST,
        "pve1",
        at(NOW),
        at(NOW - 5),
        UNTIL,
    );
    assert!(future.is_ok());
}

#[test]
fn coarser_rows_fill_in_what_lies_before_the_finer_ones() {
    let fine = body(&[(-3540, 1.0), (-3480, 1.0), (0, 1.0)]);
    let coarse = body(&[(-5400, 7.0), (-3600, 8.0), (-1800, 9.0), (0, 9.0)]);
    let (records, asked) = ask(&Wire::default().says(200, &fine).says(200, &coarse), 65 * 60);
    assert_eq!(asked, ["hour", "day"]);
    let records = records.unwrap();
    let expected = [
        (-7200, -5400, 7.0, 0.0),
        (-5400, -3600, 8.0, 0.0),
        (-3600, -3540, 1.0, 0.0),
        (-3540, -3480, 1.0, 0.0),
        (-3480, 0, 1.0, 0.0),
    ];
    assert_eq!(spans(&records, NOW), expected);
    assert_eq!(records.until, Some(at(NOW)));
}

#[test]
fn a_coarse_row_over_the_start_of_the_finer_ones_is_cut_there() {
    let rows = |ends: &[i64], step: i64| -> Vec<Row> {
        let row = |end: &i64| Row { from: at(end - step), to: at(*end), rates: None };
        ends.iter().map(row).collect()
    };
    let joined = joined(rows(&[120, 180], 60), rows(&[50, 100, 150, 200], 50));
    let ends: Vec<(i64, i64)> = joined.iter().map(|row| (row.from.millis() / 1000, row.to.millis() / 1000)).collect();
    assert_eq!(ends, [(0, 50), (50, 60), (60, 120), (120, 180)]);
    assert_eq!(super::joined(vec![], rows(&[50], 50)), rows(&[50], 50));
    assert_eq!(super::joined(rows(&[50], 50), vec![]), rows(&[50], 50));
}

#[test]
fn wider_timeframes_are_asked_until_one_reaches_back_or_none_is_left() {
    let empty = (0..5).fold(Wire::default(), |host, _| host.says(200, "{\"data\":[]}"));
    let (records, asked) = ask(&empty, 60);
    assert_eq!(asked, ["hour", "day", "week", "month", "year"]);
    assert_eq!(records.unwrap(), Records::default());
    let host = Wire::default().says(200, &body(&[(-60, 1.0), (0, 1.0)])).says(500, "{\"data\":null}");
    assert!(ask(&host, 3600).0.is_err(), "half of it would be taken for the whole");
}

#[test]
fn a_guest_that_is_too_new_has_no_records() {
    let text = "RRD error: opening '/var/lib/rrdcached/db/pve-vm-9.0/100': No such file or directory";
    let host = Wire::default().says(500, &json!({"data": null, "message": text}).to_string());
    let (records, asked) = ask(&host, 86_000);
    assert_eq!(records.unwrap(), Records { spans: vec![], until: Some(at(NOW)) });
    assert_eq!(asked, ["hour"], "all timeframes are in one file");
    let host = Wire::default().says(200, &body(&[(-60, 1.0), (0, 1.0)]));
    let (records, asked) = ask(&host.says(500, &json!({"data": null, "message": text}).to_string()), 3600);
    assert_eq!((records.unwrap().spans.len(), asked.len()), (2, 2), "what is known stays");
    for text in ["RRD error: opening '/x': Permission denied", "no such file"] {
        let host = Wire::default().says(500, &json!({"data": null, "message": text}).to_string());
        assert!(ask(&host, 60).0.is_err(), "{text}");
    }
}

#[test]
fn a_hostile_node_is_no_path() {
    let host = Wire::default();
    for node in ["", ".", "..", "a/b", "pve1/qemu/5", "a%2fb", "a?b", "a#b", "a b"] {
        let failure = cluster(&["a"]).records(&host, GUEST, node, at(0), at(60), UNTIL).unwrap_err();
        assert!(failure.text.ends_with("the path is not valid"), "{}", failure.text);
    }
    assert!(host.requests().is_empty());
}

#[test]
fn rows_whose_figures_are_not_written_yet_are_not_recorded() {
    let row = |end: i64, rate: Option<f64>| json!({"time": NOW + end, "netin": rate, "netout": rate});
    let until = |rows: &[Value]| {
        let text = json!(rows).to_string();
        let items: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
        let records = records(&super::rows(&items), at(NOW));
        (records.until.map(|until| until.millis() / 1000 - NOW), records.spans.len())
    };
    let known = [row(-240, Some(1.0)), row(-180, Some(1.0))];
    let with = |more: &[Value]| until(&[&known, more].concat());
    assert_eq!(with(&[row(-120, None), row(-60, None), row(0, None)]), (Some(-180), 2));
    assert_eq!(with(&[row(-120, Some(1.0)), row(-60, None)]), (Some(-120), 3));
    assert_eq!(with(&[row(-120, None), row(-60, Some(1.0))]), (Some(-60), 3), "the one before does not come any more");
    // What has not come after so long does not come: nothing is known of that time.
    assert_eq!(until(&[row(-300, Some(1.0)), row(-240, None), row(-150, None)]), (Some(-150), 1));
    assert_eq!(until(&[row(-149, None), row(-89, None)]), (None, 0));
}

//! The nodes as one JSON document.

use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::quota::instant::Instant;
use crate::report::now::{Doing, Health, Now};

/// The version of the document: raised when a field changes its meaning.
const VERSION: u64 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u64,
    at: String,
    nodes: Vec<Node<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    hostname: &'a str,
    source: Option<&'a str>,
    online: bool,
    last_seen: String,
    age_seconds: u64,
    clock_skew_seconds: i64,
    /// Bytes per second.
    rate: Option<Flow>,
    cpu_percent: Option<f64>,
    memory_percent: Option<f64>,
    memory_used: u64,
    memory_total: u64,
    uptime_seconds: u64,
    counters: Option<Counted<'a>>,
    duplicate_name_at: Option<String>,
    alarms: &'a [String],
}

#[derive(Serialize)]
struct Flow {
    #[serde(rename = "in")]
    rx: u64,
    #[serde(rename = "out")]
    tx: u64,
}

#[derive(Serialize)]
struct Counted<'a> {
    interface: &'a str,
    #[serde(flatten)]
    bytes: Flow,
}

/// The document, with a line's end: every node that has ever reported, by name.
pub fn document(now: &Now) -> serde_json::Result<String> {
    let mut nodes: Vec<Node<'_>> = now.rows.iter().filter_map(|row| node(row, now)).collect();
    nodes.sort_by_key(|node| node.hostname);
    let mut text = serde_json::to_string(&Document { version: VERSION, at: time(now, now.at), nodes })?;
    text.push('\n');
    Ok(text)
}

fn node<'a>(row: &'a Doing, now: &Now) -> Option<Node<'a>> {
    let record = row.node.as_deref()?;
    let pulse = row.pulse?;
    Some(Node {
        hostname: &record.hostname,
        source: Some(row.source.as_str()).filter(|source| !source.is_empty()),
        online: row.health == Health::Online,
        last_seen: time(now, record.received),
        age_seconds: now.at.since(record.received).as_secs(),
        clock_skew_seconds: row.skew()?,
        rate: pulse.rate.map(|rate| Flow { rx: rate.rx, tx: rate.tx }),
        cpu_percent: pulse.cpu.map(|load| load.as_percent()),
        memory_percent: pulse.memory.map(|load| load.as_percent()),
        memory_used: record.metrics.memory_used,
        memory_total: record.metrics.memory_total,
        uptime_seconds: record.metrics.uptime_seconds,
        counters: record.counted.as_ref().map(|counted| Counted {
            interface: &counted.interface,
            bytes: Flow { rx: counted.rx_bytes, tx: counted.tx_bytes },
        }),
        duplicate_name_at: record.doubled.map(|at| time(now, at)),
        alarms: &row.alarms,
    })
}

/// RFC 3339 with the zone's offset.
fn time(now: &Now, at: Instant) -> String {
    now.zone.local(at).format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_node_is_all_that_is_known_of_it() {
        let now = samples::now(12, &[]);
        let document: serde_json::Value = serde_json::from_str(&document(&now).unwrap()).unwrap();
        assert_eq!(
            (document["version"].as_u64(), document["at"].as_str()),
            (Some(1), Some("2026-11-21T18:20:05+08:00"))
        );
        let nodes = document["nodes"].as_array().unwrap();
        let names: Vec<&str> = nodes.iter().filter_map(|node| node["hostname"].as_str()).collect();
        assert_eq!(names, ["node-11.example", "node-2.example", "node-5.example", "node-8.example"]);
        let node = &nodes[1];
        assert_eq!(node["counters"], serde_json::json!({"interface": "eth0", "in": 5000, "out": 7000}));
        assert_eq!((node["clock_skew_seconds"].as_i64(), node["source"].as_str()), (Some(0), Some("fleet")));
        assert!(node["rate"]["out"].is_u64() && node["cpu_percent"].is_f64() && node["online"] == true);
        assert!(node["duplicate_name_at"].is_string() && node["alarms"] == serde_json::json!([]));
        let other = &nodes[2];
        assert!(other["counters"].is_null() && other["clock_skew_seconds"] == 330 && other["online"] == false);
    }
}

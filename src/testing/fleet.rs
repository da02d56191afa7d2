//! Nodes that report to a simulated hub, whose records are kept as `serve` keeps them.
//!
//! | word after `node NAME` | does |
//! |---|---|
//! | `out BYTES`, `in BYTES` | traffic; a node that was not there begins |
//! | `reports` | it reports, with counters |
//! | `reports old` | it reports as an older client does, without counters |
//! | `reports twin` | another machine of the same name reports |
//! | `reboots` | its counters and its uptime begin anew |
//! | `torn` | its record is cut off in the middle |
//! | `deleted` | somebody deletes its record |

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenario::bytes;
use crate::fleet::record::{self, News, Record};
use crate::fleet::report::{Counted, Metrics, Report, VERSION};
use crate::quota::instant::Instant;

/// All nodes, and what is known of them here.
#[derive(Default)]
pub struct Fleet {
    nodes: BTreeMap<String, Node>,
    /// The records, by file.
    pub spool: BTreeMap<String, Vec<u8>>,
    /// Bytes moved in all, in both directions.
    pub moved: u64,
}

#[derive(Clone)]
struct Node {
    boot: String,
    uptime: Duration,
    rx: u64,
    tx: u64,
}

impl Fleet {
    /// Time passes.
    pub fn pass(&mut self, time: Duration) {
        self.nodes.values_mut().for_each(|node| node.uptime += time);
    }

    /// What a line says after `node`; none when it says nothing.
    pub fn line(&mut self, rest: &str, now: Instant) -> Option<()> {
        let words: Vec<&str> = rest.split(' ').collect();
        let (name, words) = words.split_first()?;
        let file = record::file_name(name);
        match words {
            ["out" | "in", amount @ ..] => {
                let moved = bytes(amount)?;
                self.moved += moved;
                let node = self.node(name);
                *(if words[0] == "out" { &mut node.tx } else { &mut node.rx }) += moved;
            }
            ["reboots"] => {
                let node = self.node(name);
                *node = Node { boot: format!("{}+", node.boot), uptime: Duration::ZERO, rx: 0, tx: 0 };
            }
            ["reports"] => {
                let node = self.node(name).clone();
                self.keep(name, Some(node), now);
            }
            ["reports", "old"] => self.keep(name, None, now),
            ["reports", "twin"] => {
                let twin = Node { boot: "twin".into(), uptime: Duration::from_secs(60), rx: 0, tx: 1 };
                self.keep(name, Some(twin), now);
            }
            ["torn"] => {
                let document = self.spool.get_mut(&file)?;
                document.truncate(document.len() / 2);
            }
            ["deleted"] => drop(self.spool.remove(&file)?),
            _ => return None,
        }
        Some(())
    }

    fn node(&mut self, name: &str) -> &mut Node {
        let new = || Node { boot: format!("boot of {name}"), uptime: Duration::from_secs(86_400), rx: 0, tx: 0 };
        self.nodes.entry(name.to_owned()).or_insert_with(new)
    }

    /// A report comes in.
    fn keep(&mut self, name: &str, node: Option<Node>, now: Instant) {
        let counted = node.map(|node| Counted {
            version: VERSION,
            interface: "eth0".into(),
            rx_bytes: node.rx,
            tx_bytes: node.tx,
            boot_id: Some(node.boot),
            uptime_ms: node.uptime.as_millis() as u64,
            index: Some(2),
            link_speed: None,
            unknown: Vec::new(),
        });
        let metrics = Metrics {
            cpu_percent: 5.0,
            memory_used: 1 << 30,
            memory_total: 4 << 30,
            network_in_bps: 1000,
            network_out_bps: 2000,
            uptime_seconds: 1,
        };
        let (password, hostname, timestamp) = ("secret-of-the-nodes".into(), name.to_owned(), now.millis() / 1000);
        let report = Report { password, hostname, timestamp, metrics, netquota: counted };
        let file = record::file_name(name);
        let previous = self.spool.get(&file).and_then(|document| record::read(document).ok());
        if let News::Newer(record) | News::Foreign(record) = Record::follow(previous.as_ref(), report, now) {
            self.spool.insert(file, serde_json::to_vec(&record).unwrap());
        }
    }
}

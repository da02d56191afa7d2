//! NICs as a simulated cluster reads and stores them.
//!
//! Why not by the product's own reader: what is shown here must not hang on what is to be shown.

use std::collections::BTreeMap;

use crate::quota::guest::Kind;

/// Models of a VM's NIC that scenarios use.
const MODELS: [&str; 4] = ["e1000", "rtl8139", "virtio", "vmxnet3"];
/// What a NIC may be made of.
const KEYS: [&str; 18] = [
    "bridge",
    "firewall",
    "gw",
    "gw6",
    "host-managed",
    "hwaddr",
    "ip",
    "ip6",
    "link_down",
    "macaddr",
    "model",
    "mtu",
    "name",
    "queues",
    "rate",
    "tag",
    "trunks",
    "type",
];
const BOOLEANS: [&str; 3] = ["firewall", "host-managed", "link_down"];
/// A change of these makes a new device.
const DEVICE: [&str; 6] = ["hwaddr", "macaddr", "model", "mtu", "name", "queues"];

/// Bytes per second of a rate of 1.
const MIB: f64 = 1_048_576.0;

/// The parts of a NIC, by name; a VM's `virtio=MAC` is `model` and `macaddr`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts(BTreeMap<String, String>);

impl Parts {
    /// Reads a text as Proxmox VE does; an error is what it says.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        let mut parts = Self::default();
        for item in text.split(',') {
            let (key, value) = item.split_once('=').ok_or_else(|| format!("value without key: {item}"))?;
            if kind == Kind::Qemu && MODELS.contains(&key) {
                parts.put("model", key)?;
                parts.put("macaddr", value)?;
            } else {
                parts.put(key, value)?;
            }
        }
        let needed = if kind == Kind::Qemu { "model" } else { "name" };
        match parts.get(needed) {
            Some(_) => Ok(parts),
            None => Err(format!("{needed}: property is missing and it is not optional")),
        }
    }

    fn put(&mut self, key: &str, value: &str) -> Result<(), String> {
        if !KEYS.contains(&key) {
            return Err(format!("{key}: property is not defined in schema"));
        }
        let good = match key {
            "rate" => value.parse::<f64>().is_ok_and(|rate| rate >= 0.0),
            key if BOOLEANS.contains(&key) => truth(value).is_some(),
            _ => !value.is_empty(),
        };
        if !good {
            return Err(format!("{key}: type check failed - got '{value}'"));
        }
        match self.0.insert(key.to_owned(), value.to_owned()) {
            Some(_) => Err(format!("duplicate key in comma-separated list property: {key}")),
            None => Ok(()),
        }
    }

    /// The value of a part.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Gives a part this value, or takes it out.
    pub fn set(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => drop(self.0.insert(key.to_owned(), value.to_owned())),
            None => drop(self.0.remove(key)),
        }
    }

    /// The name of the part that holds the address.
    pub fn address(&self) -> &'static str {
        if self.get("model").is_some() { "macaddr" } else { "hwaddr" }
    }

    /// Its limit in bytes per second for each direction; what is less than a byte is none.
    pub fn limit(&self) -> Option<u64> {
        let rate: f64 = self.get("rate")?.parse().ok()?;
        Some((rate * MIB) as u64).filter(|bytes| *bytes > 0)
    }

    /// Whether its carrier is off.
    pub fn is_down(&self) -> bool {
        self.get("link_down").and_then(truth) == Some(true)
    }

    /// Whether the cluster counts its traffic.
    pub fn is_counted(&self) -> bool {
        self.get("bridge").is_some() || self.get("name").is_some()
    }

    /// Whether it lets through no more than another one, and less of nothing.
    pub fn is_as_tight_as(&self, other: &Self) -> bool {
        let limit = |parts: &Self| parts.limit().unwrap_or(u64::MAX);
        limit(self) <= limit(other) && (self.is_down() || !other.is_down())
    }

    /// The names of the parts that differ in meaning.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let mut keys: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter().filter(|key| self.meaning(key) != other.meaning(key)).cloned().collect()
    }

    /// What a part means, whatever its spelling; a truth value that is not there is false.
    fn meaning(&self, key: &str) -> Option<String> {
        let text = self.get(key)?;
        match key {
            "rate" => text.parse::<f64>().ok().map(|rate| rate.to_string()),
            "macaddr" | "hwaddr" => Some(text.to_ascii_uppercase()),
            key if BOOLEANS.contains(&key) => truth(text).filter(|truth| *truth).map(|_| "1".to_owned()),
            _ => Some(text.to_owned()),
        }
    }

    /// The cluster's own spelling: what comes first, then the rest by name, truth values as 1 and 0.
    pub fn stored(&self) -> String {
        let part = |(key, value): (&String, &String)| match truth(value).filter(|_| BOOLEANS.contains(&key.as_str())) {
            Some(truth) => format!("{key}={}", u8::from(truth)),
            None => format!("{key}={value}"),
        };
        let (first, taken) = match self.get("model") {
            Some(model) => (format!("{model}={}", self.get("macaddr").unwrap_or_default()), ["model", "macaddr"]),
            None => (format!("name={}", self.get("name").unwrap_or_default()), ["name", "name"]),
        };
        let rest = self.0.iter().filter(|(key, _)| !taken.contains(&key.as_str())).map(part);
        std::iter::once(first).chain(rest).collect::<Vec<_>>().join(",")
    }
}

/// Whether the difference makes a new device, whose counters begin at zero.
pub fn is_new_device(differing: &[String]) -> bool {
    differing.iter().any(|key| DEVICE.contains(&key.as_str()))
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

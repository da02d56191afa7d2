//! NICs as texts: what is accepted, and how it is stored.

use std::collections::BTreeMap;

use super::Kind;

const MODELS: &[&str] = &[
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
];
const OF_VM: &[&str] =
    &["bridge", "firewall", "link_down", "macaddr", "model", "mtu", "queues", "rate", "tag", "trunks"];
const OF_CT: &[&str] = &[
    "bridge",
    "firewall",
    "gw",
    "gw6",
    "hwaddr",
    "ip",
    "ip6",
    "link_down",
    "mtu",
    "name",
    "rate",
    "tag",
    "trunks",
    "type",
];
const BOOLEAN: &[&str] = &["firewall", "link_down", "host-managed", "host-tunnel"];

/// What a device is made of: a change of it makes a new device.
const DEVICE: &[&str] = &["model", "macaddr", "queues", "mtu", "name", "hwaddr"];

/// The parts of a NIC, by name; a VM's `virtio=MAC` is `model` and `macaddr`.
pub type Parts = BTreeMap<String, String>;

/// Reads a text as PVE does; an error is what it says.
pub fn parse(kind: Kind, version: (u32, u32), text: &str) -> Result<Parts, String> {
    let mut parts = Parts::new();
    let mut put = |key: &str, value: &str| match parts.insert(key.to_owned(), value.to_owned()) {
        Some(_) => Err(format!("duplicate key in comma-separated list property: {key}")),
        None => Ok(()),
    };
    for item in text.split(',') {
        match item.split_once('=') {
            Some((model, mac)) if kind == Kind::Qemu && MODELS.contains(&model) => {
                put("model", model)?;
                put("macaddr", mac)?;
            }
            Some((key, value)) => put(key, value)?,
            None if kind == Kind::Qemu && MODELS.contains(&item) => put("model", item)?,
            None => return Err(format!("value without key, but schema does not define a default key: {item}")),
        }
    }
    for (key, value) in &parts {
        check(kind, version, key, value)?;
    }
    let needed = if kind == Kind::Qemu { "model" } else { "name" };
    if !parts.contains_key(needed) {
        return Err(format!("{needed}: property is missing and it is not optional"));
    }
    Ok(parts)
}

fn check(kind: Kind, version: (u32, u32), key: &str, value: &str) -> Result<(), String> {
    let known = if kind == Kind::Qemu { OF_VM } else { OF_CT };
    let known = known.contains(&key) && !(kind == Kind::Lxc && key == "link_down" && version < (7, 4));
    let later = match key {
        "host-managed" => kind == Kind::Lxc && version >= (9, 1),
        "host-tunnel" => kind == Kind::Qemu && version >= (9, 2),
        _ => false,
    };
    if !known && !later {
        return Err(format!(
            "{key}: property is not defined in schema and the schema does not allow additional properties"
        ));
    }
    let number = |least: f64| value.parse::<f64>().is_ok_and(|number| number.is_finite() && number >= least);
    let plain = |value: &str| value.chars().all(|c| c.is_ascii_digit() || c == '.');
    let good = match key {
        "rate" => number(0.0) && plain(value),
        "tag" | "mtu" | "queues" => value.parse::<u32>().is_ok(),
        "macaddr" | "hwaddr" => {
            let parts: Vec<&str> = value.split(':').collect();
            parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok())
        }
        "trunks" => {
            value.split(';').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '-'))
        }
        "model" => MODELS.contains(&value),
        _ if BOOLEAN.contains(&key) => truth(value).is_some(),
        _ => !value.is_empty(),
    };
    let kind = if key == "rate" { " ('number')" } else { "" };
    if good { Ok(()) } else { Err(format!("{key}: type check{kind} failed - got '{value}'")) }
}

fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// PVE's own spelling: what comes first, then the rest by name, booleans as 1 and 0.
pub fn stored(kind: Kind, parts: &Parts) -> String {
    let (first, taken) = match kind {
        Kind::Qemu => (format!("{}={}", parts["model"], parts["macaddr"]), ["model", "macaddr"]),
        Kind::Lxc => (format!("name={}", parts["name"]), ["name", "name"]),
    };
    let value = |key: &str, value: &str| match truth(value).filter(|_| BOOLEAN.contains(&key)) {
        Some(truth) => u8::from(truth).to_string(),
        None => value.to_owned(),
    };
    let rest = parts.iter().filter(|(key, _)| !taken.contains(&key.as_str()));
    std::iter::once(first)
        .chain(rest.map(|(key, text)| format!("{key}={}", value(key, text))))
        .collect::<Vec<_>>()
        .join(",")
}

/// The names of the parts that differ, whatever their spelling.
pub fn differing(before: &Parts, after: &Parts) -> Vec<String> {
    let value = |parts: &Parts, key: &str| {
        let text = parts.get(key)?;
        if BOOLEAN.contains(&key) {
            return truth(text).filter(|truth| *truth).map(|_| "1".to_owned());
        }
        let as_number = || text.parse::<f64>().ok().map(|number| number.to_string());
        Some(if key == "rate" { as_number().unwrap_or_else(|| text.clone()) } else { text.clone() })
    };
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().filter(|key| value(before, key) != value(after, key)).cloned().collect()
}

/// Whether the difference makes a new device, whose counters begin at zero.
pub fn is_new_device(differing: &[String]) -> bool {
    differing.iter().any(|key| DEVICE.contains(&key.as_str()))
}

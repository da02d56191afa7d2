//! What an answer of the tunnel server says of its subjects.
//!
//! Invariant: one mapping that makes no sense spoils no other. A counter is a whole number that is not negative; anything
//! else is no figure, and never zero.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Subjects;
use crate::quota::health::PART;
use crate::quota::meter::Counters;

/// The subject that is the tunnel as a whole.
const TUNNEL: &str = "tunnel";

/// What is told of the subjects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The counters of those that make sense.
    pub counters: Vec<(String, Counters)>,
    /// Why others do not.
    pub problems: Vec<(String, String)>,
    /// All there are.
    pub listed: BTreeSet<String>,
}

/// Reads an answer.
///
/// # Errors
///
/// Says why nothing of it can be used.
pub fn read(body: &[u8], subjects: Subjects) -> Result<Told, String> {
    if is_page(body) {
        return Err("the answer is an HTML page: is a proxy in between, or url that of another server?".into());
    }
    let answer: Value = serde_json::from_slice(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    match answer.get("success") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => {
            let words = words(&answer).unwrap_or_else(|| "it does not say why".into());
            return Err(format!("the server says that it failed: {words}"));
        }
        _ => return Err("the answer does not say success".into()),
    }
    let data = answer.get("data").and_then(Value::as_object).ok_or("the answer has no data")?;
    match subjects {
        Subjects::Mappings => {
            let mappings =
                data.get("mappings").and_then(Value::as_array).ok_or("the answer has no list of mappings")?;
            Ok(read_mappings(mappings))
        }
        Subjects::Tunnel => {
            let tunnel = data.get(TUNNEL).and_then(Value::as_object).ok_or("the answer has no tunnel")?;
            let mut told = Told::default();
            told.take(TUNNEL.into(), counters(tunnel));
            Ok(told)
        }
    }
}

/// What a server says in words, in an answer of any kind.
pub fn message(body: &[u8]) -> Option<String> {
    if is_page(body) {
        return Some("the answer is an HTML page".into());
    }
    words(&serde_json::from_slice(body).ok()?)
}

fn words(answer: &Value) -> Option<String> {
    let words = answer.get("message").and_then(Value::as_str).map(str::trim);
    words.filter(|words| !words.is_empty()).map(str::to_owned)
}

/// Whether a body is a page for people.
fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

fn read_mappings(mappings: &[Value]) -> Told {
    let mut told = Told::default();
    let mut ports: BTreeMap<u64, Vec<&Map<String, Value>>> = BTreeMap::new();
    for (index, mapping) in mappings.iter().enumerate() {
        let port = mapping.get("port").and_then(Value::as_u64).filter(|port| (1..=65_535).contains(port));
        match (port, mapping.as_object()) {
            (Some(port), Some(mapping)) => ports.entry(port).or_default().push(mapping),
            _ => told.problems.push((format!("{PART}{index}]"), "it has no port, so nobody knows which it is".into())),
        }
    }
    for (port, found) in ports {
        let counters = match found[..] {
            [mapping] => counters(mapping),
            _ => Err(format!("the answer has {} mappings on this port", found.len())),
        };
        told.take(port.to_string(), counters);
    }
    told
}

impl Told {
    fn take(&mut self, subject: String, counters: Result<Counters, String>) {
        self.listed.insert(subject.clone());
        match counters {
            Ok(counters) => self.counters.push((subject, counters)),
            Err(why) => self.problems.push((subject, why)),
        }
    }
}

fn counters(of: &Map<String, Value>) -> Result<Counters, String> {
    let counter = |key: &str| match of.get(key) {
        None => Err(format!("{key} is missing")),
        Some(value) => value.as_u64().ok_or_else(|| format!("{key} is {value}, which is no count of bytes")),
    };
    Ok(Counters { rx: counter("bytes_received")?, tx: counter("bytes_sent")? })
}

//! A node's report, as the existing node bandwidth monitor has it, and what `netquota push` adds to it.
//!
//! `network_*_bps` are bytes per second despite the name.

use serde::{Deserialize, Deserializer, Serialize};

/// The longest name of a node, in bytes: that of a DNS name.
pub const LONGEST_NAME: usize = 253;

/// The body of `POST /api/report`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Report {
    /// Of all nodes, or of this one.
    pub password: String,
    /// By which the hub knows the node.
    pub hostname: String,
    /// The node's clock, in seconds since 1970.
    pub timestamp: i64,
    /// What it was doing.
    pub metrics: Metrics,
    /// What it has counted; not from other clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netquota: Option<Counted>,
}

/// What a node was doing. Figures that make no sense are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// 0 to 100.
    #[serde(deserialize_with = "number")]
    pub cpu_percent: f64,
    /// In bytes.
    #[serde(deserialize_with = "whole")]
    pub memory_used: u64,
    /// In bytes.
    #[serde(deserialize_with = "whole")]
    pub memory_total: u64,
    /// Received, in bytes per second.
    #[serde(deserialize_with = "whole")]
    pub network_in_bps: u64,
    /// Sent, in bytes per second.
    #[serde(deserialize_with = "whole")]
    pub network_out_bps: u64,
    /// Of the machine.
    #[serde(deserialize_with = "whole")]
    pub uptime_seconds: u64,
}

/// An interface's counters and what tells a restart of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Of this part; raised when a field changes its meaning.
    pub version: u32,
    /// The interface's name.
    pub interface: String,
    /// Bytes received since the counters began.
    pub rx_bytes: u64,
    /// Bytes sent since the counters began.
    pub tx_bytes: u64,
    /// The kernel's boot id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Time since boot, in milliseconds.
    pub uptime_ms: u64,
    /// The interface's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Bit/s, as the link reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_speed: Option<u64>,
    /// What the node could not find out of its metrics, and so has written as nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
}

/// A metric that may not be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// `network_in_bps` and `network_out_bps`.
    Rates,
    /// `cpu_percent`.
    Cpu,
    /// One of a later version.
    #[serde(other)]
    Else,
}

/// The version of [`Counted`] that is written, and the latest that is understood.
pub const VERSION: u32 = 1;

/// A number, or what some languages write for one that is none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A whole number, also one that a client computed with fractions: of a counter that fell, for example, it may be far
/// out of range, and is then the nearest there is.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    Ok(number.as_u64().unwrap_or_else(|| number.as_f64().unwrap_or_default() as u64))
}

/// The longest of the texts that tell where counters are from, in bytes.
const LONGEST_TEXT: usize = 128;

impl Report {
    /// Why it cannot be a report; none when it can. What nodes choose freely is bounded, since the hub keeps it.
    pub fn wrong(&self) -> Option<String> {
        if let Some(wrong) = wrong_with(&self.hostname) {
            return Some(format!("hostname: {wrong}"));
        }
        let counted = self.netquota.as_ref()?;
        let texts = [("interface", Some(&counted.interface)), ("boot_id", counted.boot_id.as_ref())];
        let odd = |text: &String| text.len() > LONGEST_TEXT || text.chars().any(crate::quota::text::is_hidden);
        let (name, _) = texts.into_iter().find(|(_, text)| text.is_some_and(odd))?;
        Some(format!("netquota.{name}: it is longer than {LONGEST_TEXT} bytes or has characters that cannot be seen"))
    }
}

/// Why a name cannot be a node's; none when it can.
pub fn wrong_with(hostname: &str) -> Option<&'static str> {
    if hostname.trim().is_empty() {
        return Some("it is empty");
    }
    if hostname.len() > LONGEST_NAME {
        return Some("it is longer than 253 bytes");
    }
    if hostname.trim() != hostname || hostname.chars().any(crate::quota::text::is_hidden) {
        return Some("it has characters that cannot be seen");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"password":"p","hostname":"hk-1","timestamp":1700000000,"metrics":{"cpu_percent":12.5,
        "memory_used":1,"memory_total":2,"network_in_bps":125000,"network_out_bps":0,"uptime_seconds":9},
        "effective_threshold_mbps":5.0}"#;

    #[test]
    fn other_clients_are_understood() {
        let report: Report = serde_json::from_str(OLD).unwrap();
        assert_eq!((report.hostname.as_str(), report.timestamp), ("hk-1", 1_700_000_000));
        assert_eq!((report.metrics.network_in_bps, report.metrics.cpu_percent), (125_000, 12.5));
        assert_eq!(report.netquota, None);
    }

    #[test]
    fn what_makes_no_sense_is_read_nevertheless() {
        let odd = OLD.replace("125000", "1.8446744073709552e19").replace("12.5", "null").replace(":9}", ":-3}");
        let report: Report = serde_json::from_str(&odd).unwrap();
        assert_eq!(report.metrics.network_in_bps, u64::MAX);
        assert!(report.metrics.cpu_percent.is_nan());
        assert_eq!(report.metrics.uptime_seconds, 0);
    }

    #[test]
    fn ours_is_theirs_and_one_key_more() {
        let mut report: Report = serde_json::from_str(OLD).unwrap();
        let counted = Counted {
            version: VERSION,
            interface: "eth0".into(),
            rx_bytes: u64::MAX,
            tx_bytes: 7,
            boot_id: Some("b".into()),
            uptime_ms: 9_000,
            index: Some(2),
            link_speed: None,
            unknown: Vec::new(),
        };
        report.netquota = Some(counted.clone());
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap().netquota, Some(counted));
        let keys: Vec<String> =
            serde_json::from_str::<serde_json::Map<_, _>>(&text).unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["hostname", "metrics", "netquota", "password", "timestamp"]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let with = |interface: &str, boot: &str| {
            let ours = format!(
                r#","netquota":{{"version":1,"interface":"{interface}","rx_bytes":0,"tx_bytes":0,"boot_id":"{boot}","uptime_ms":1}}}}"#
            );
            serde_json::from_str::<Report>(&(OLD.trim_end_matches('}').to_owned() + &ours)).unwrap().wrong()
        };
        assert_eq!(with("eth0", &"b".repeat(LONGEST_TEXT)), None);
        assert!(with(&"e".repeat(LONGEST_TEXT + 1), "b").is_some_and(|wrong| wrong.contains("interface")));
        assert!(with("eth0", &"b".repeat(LONGEST_TEXT + 1)).is_some_and(|wrong| wrong.contains("boot_id")));
        let unnamed: Report = serde_json::from_str(&OLD.replace("hk-1", " ")).unwrap();
        assert_eq!(unnamed.wrong().as_deref(), Some("hostname: it is empty"));
    }

    #[test]
    fn names_are_checked() {
        for name in ["hk-1", "a.b.example", "节点 1", "../etc", "a`b", "<script>"] {
            assert_eq!(wrong_with(name), None, "{name:?}");
        }
        for name in ["", "  ", " a", "a\n", "a\u{202e}b", "\0"] {
            assert!(wrong_with(name).is_some(), "{name:?}");
        }
        assert!(wrong_with(&"x".repeat(254)).is_some());
    }
}

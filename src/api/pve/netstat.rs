//! The figures of each NIC of a node's running guests.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::config::is_nic;
use super::guests::{Broken, Listing};
use super::values::{Field, need_text, object, whole};
use super::{Cluster, Failure, node_path};
use crate::host::Host;
use crate::quota::meter::Counters;

/// What has flowed over a NIC since its guest was started or the NIC was put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicFigures {
    /// Its guest's number.
    pub vmid: u32,
    /// Its name in the guest's configuration, `net0` to `net31`.
    pub nic: String,
    /// Bytes to the guest (received) and from it (sent).
    pub counters: Counters,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    vmid: Field<'a>,
    #[serde(borrow)]
    dev: Field<'a>,
    #[serde(borrow, rename = "in")]
    to_guest: Field<'a>,
    #[serde(borrow, rename = "out")]
    from_guest: Field<'a>,
}

impl Cluster {
    /// The NICs of a node's running guests; what is broken is named `100/net0`.
    pub fn netstat(&self, host: &dyn Host, node: &str, until: Duration) -> Result<Listing<NicFigures>, Failure> {
        let listing = self.list(host, &node_path(node, &["netstat"]), &[], until, |items| Ok(sort(items)))?;
        Ok(self.redacted(listing))
    }
}

fn sort(items: &[&RawValue]) -> Listing<NicFigures> {
    let mut seen = HashSet::new();
    Listing::of(items, |item| {
        let fields: Fields<'_> = object(item).map_err(Broken::nameless)?;
        let (vmid, nic) = fields.id().map_err(Broken::nameless)?;
        let named = |why| Broken { subject: Some(format!("{vmid}/{nic}")), why };
        if !seen.insert((vmid, nic.clone())) {
            return Err(named("it is listed twice".into()));
        }
        let counters = fields.counters().map_err(named)?;
        Ok(NicFigures { vmid, nic, counters })
    })
}

impl Fields<'_> {
    fn id(&self) -> Result<(u32, String), String> {
        let vmid = whole("vmid", self.vmid)?;
        let vmid = u32::try_from(vmid).map_err(|_| format!("its vmid {vmid} is too large"))?;
        let nic = need_text("dev", self.dev)?;
        if is_nic(&nic) { Ok((vmid, nic.into_owned())) } else { Err(format!("its dev {nic:?} is no NIC")) }
    }

    fn counters(&self) -> Result<Counters, String> {
        Ok(Counters { rx: whole("in", self.to_guest)?, tx: whole("out", self.from_guest)? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{UNTIL, cluster};
    use super::super::wire::Wire;
    use super::*;

    fn netstat(rows: &Value) -> Listing<NicFigures> {
        let host = Wire::default().says(200, &json!({"data": rows}).to_string());
        let listing = cluster(&["a"]).netstat(&host, "pve1", UNTIL).unwrap();
        assert_eq!(host.requests()[0].url, "https://a:8006/api2/json/nodes/pve1/netstat");
        listing
    }

    fn figures(vmid: u32, nic: &str, rx: u64, tx: u64) -> NicFigures {
        NicFigures { vmid, nic: nic.into(), counters: Counters { rx, tx } }
    }

    #[test]
    fn texts_and_numbers_are_read() {
        let example: Value = serde_json::from_str(include_str!("fixtures/netstat-derived.json")).unwrap();
        let expected = vec![
            figures(100, "net0", 547_369_168, 14_139_344),
            figures(100, "net1", 0, 0),
            figures(105, "net0", 94_560_801, 1_619_838),
        ];
        assert_eq!(netstat(&example["body"]["data"]), Listing { rows: expected, broken: vec![] });
        let listing = netstat(&json!([{"vmid": 100, "dev": "net31", "in": u64::MAX, "out": 5.0}]));
        assert_eq!(listing.rows, [figures(100, "net31", u64::MAX, 5)]);
    }

    #[test]
    fn a_row_that_is_none_breaks_alone() {
        let listing = netstat(&json!([
            null,
            {"dev": "net0", "in": 1, "out": 1},
            {"vmid": 100, "dev": "eth0", "in": 1, "out": 1},
            {"vmid": 100, "dev": "net0", "out": 1},
            {"vmid": 101, "dev": "net0", "in": -1, "out": 1},
            {"vmid": 102, "dev": "net0", "in": 1, "out": 1},
            {"vmid": 102, "dev": "net0", "in": 2, "out": 2},
            {"vmid": 102, "dev": "net32", "in": 2, "out": 2},
        ]));
        assert_eq!(listing.rows, [figures(102, "net0", 1, 1)]);
        let broken: Vec<(&str, &str)> =
            listing.broken.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(
            broken,
            [
                ("row 1", "it is no object: null"),
                ("row 2", "its vmid is missing"),
                ("row 3", "its dev \"eth0\" is no NIC"),
                ("100/net0", "its in is missing"),
                ("101/net0", "its in -1 is no whole number"),
                ("102/net0", "it is listed twice"),
                ("row 8", "its dev \"net32\" is no NIC"),
            ]
        );
    }

    #[test]
    fn a_hostile_node_is_no_path() {
        let host = Wire::default();
        for node in ["", "..", "pve1/qemu/100/config?", "a/b", "a%2f"] {
            assert!(cluster(&["a"]).netstat(&host, node, UNTIL).is_err(), "{node}");
        }
        assert!(host.requests().is_empty());
    }
}

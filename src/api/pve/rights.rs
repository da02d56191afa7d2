//! What the token may do, which nodes there are, and which version answers.
//!
//! A privilege is held on a path when its key is there, as the host's own checks have it; the number only says whether
//! it is held on what is below, too. What comes by a pool is 0 on `/vms/ID`.
//!
//! Source: `permissions` and `check` in src/PVE/RPCEnvironment.pm of pve-access-control.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::values::{Field, cut, need_text, object, truth};
use super::{Cluster, Failure};
use crate::host::Host;

/// Characters of a name at the most.
const NAME: usize = 256;

/// Paths that only stand for what is below them: what is held there and goes no deeper is of no use.
const ABOVE: [&str; 6] = ["/", "/vms", "/nodes", "/sdn", "/sdn/zones", "/sdn/zones/localnetwork"];

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, as it is written.
    pub node: String,
    /// `online`, `offline` or `unknown`.
    pub status: String,
}

#[derive(Deserialize)]
struct NodeFields<'a> {
    #[serde(borrow)]
    node: Field<'a>,
    #[serde(borrow)]
    status: Field<'a>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Cluster {
    /// The token's privileges by path: on all paths that somebody gave it any on, or on one alone. Left out is what goes
    /// no deeper, but only where guests, bridges or nodes are below: [`ABOVE`].
    pub fn rights(
        &self,
        host: &dyn Host,
        path: Option<&str>,
        until: Duration,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
        let query: Vec<(&str, &str)> = path.map(|path| ("path", path)).into_iter().collect();
        let paths: BTreeMap<String, BTreeMap<String, Box<RawValue>>> =
            self.get(host, "/access/permissions", &query, until)?;
        let held = |(path, rights): (String, BTreeMap<String, Box<RawValue>>)| {
            let held = rights.into_iter().filter(|(_, value)| is_held(&path, value)).map(|(right, _)| right).collect();
            (path, held)
        };
        Ok(paths.into_iter().map(held).collect())
    }

    /// The nodes of the cluster.
    pub fn nodes(&self, host: &dyn Host, until: Duration) -> Result<Vec<Node>, Failure> {
        self.list(host, "/nodes", &[], until, |items| items.iter().map(|item| read_node(item)).collect())
    }

    /// The version of Proxmox VE, such as `8.4.1`.
    pub fn version(&self, host: &dyn Host, until: Duration) -> Result<String, Failure> {
        let version: Version = self.get(host, "/version", &[], until)?;
        Ok(cut(&version.version, NAME).to_owned())
    }
}

/// A row without a name or a status spoils the list: a node that was left out would not be missed.
fn read_node(item: &RawValue) -> Result<Node, String> {
    let fields: NodeFields<'_> = object(item)?;
    let text = |name, field| need_text(name, field).map(Cow::into_owned);
    Ok(Node { node: text("node", fields.node)?, status: text("status", fields.status)? })
}

/// Whether a privilege with this number takes effect on the path. The host takes what is undefined for not held.
fn is_held(path: &str, deeper: &RawValue) -> bool {
    truth("right", Some(deeper)).is_ok_and(|deeper| deeper || !ABOVE.contains(&path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{UNTIL, cluster};
    use super::super::wire::Wire;
    use super::*;

    #[test]
    fn rights_by_path() {
        let body = json!({"data": {
            "/": {"VM.Audit": 1, "Sys.Audit": "1", "VM.PowerMgmt": 0},
            "/vms/100": {},
            "/vms/101": {"VM.Audit": 0, "VM.PowerMgmt": "0", "VM.Console": null, "VM.Clone": []},
        }});
        let host = Wire::default().says(200, &body.to_string()).says(200, "{\"data\":{}}").says(200, "{\"data\":[]}");
        let rights = |path| cluster(&["a"]).rights(&host, path, UNTIL);
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let expected = [
            ("/".to_owned(), set(&["Sys.Audit", "VM.Audit"])),
            ("/vms/100".to_owned(), set(&[])),
            ("/vms/101".to_owned(), set(&["VM.Audit", "VM.PowerMgmt"])),
        ];
        assert_eq!(rights(None).unwrap(), expected.into());
        assert_eq!(rights(Some("/vms/100;a&b")).unwrap(), BTreeMap::new());
        assert!(rights(None).is_err());
        let urls: Vec<String> = host.requests().into_iter().map(|request| request.url).collect();
        let base = "https://a:8006/api2/json/access/permissions";
        assert_eq!(urls, [base.to_owned(), format!("{base}?path=%2Fvms%2F100%3Ba%26b"), base.to_owned()]);
    }

    #[test]
    fn rights_that_go_no_deeper_count_where_nothing_is_below() {
        let is_held_at = |path: &str| {
            let host = Wire::default().says(200, &json!({"data": {path: {"VM.Audit": 0}}}).to_string());
            cluster(&["a"]).rights(&host, Some(path), UNTIL).unwrap()[path].contains("VM.Audit")
        };
        for path in ["/", "/vms", "/nodes", "/sdn", "/sdn/zones", "/sdn/zones/localnetwork"] {
            assert!(!is_held_at(path), "{path}");
        }
        for path in ["/vms/100", "/nodes/pve1", "/sdn/zones/localnetwork/vmbr0", "/sdn/zones/other"] {
            assert!(is_held_at(path), "{path}");
        }
    }

    #[test]
    fn nodes_and_whether_they_are_there() {
        let read = |body: &str| cluster(&["a"]).nodes(&Wire::default().says(200, body), UNTIL);
        let node = |name: &str, status: &str| Node { node: name.into(), status: status.into() };
        let two = r#"{"data":[{"node":"pve1","status":"online","cpu":0.1},{"node":"pve2","status":"offline"}]}"#;
        assert_eq!(read(two).unwrap(), [node("pve1", "online"), node("pve2", "offline")]);
        let failure = read(r#"{"data":[{"node":"pve1","status":"online"},{"status":"online"}]}"#).unwrap_err();
        assert_eq!(failure.text, "GET /nodes: the answer cannot be read: its node is missing");
        assert!(read(r#"{"data":[null]}"#).is_err());
    }

    #[test]
    fn versions() {
        let read = |body: &str| cluster(&["a"]).version(&Wire::default().says(200, body), UNTIL);
        assert_eq!(read(r#"{"data":{"version":"8.4.1","release":"8.4"}}"#).unwrap(), "8.4.1");
        assert!(read(r#"{"data":{"release":"8.4"}}"#).is_err());
    }
}

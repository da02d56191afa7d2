//! A guest's configuration: its NICs, what guards it against parallel edits, and when it was made.
//!
//! Invariant: a change carries the digest of the configuration it was made from, and all NICs in one call: either all
//! of them are changed or none, and nothing that somebody else has written since is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::de::Error as _;
use serde_json::value::RawValue;

use super::nic::Nic;
use super::values::{need_text, plain};
use super::{Answer, Call, Cause, Cluster, Failure, Kind, guest_path, refusal};
use crate::host::Host;
use crate::quota::guest::Id;
use crate::quota::instant::Instant;

/// NICs of a guest at the most.
const NICS: u32 = 32;

/// What a configuration says, pending changes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Of the configuration as it was read; not empty, since an empty one would guard nothing.
    pub digest: String,
    /// By their names, `net0` to `net31`; or why one cannot be read.
    pub nics: BTreeMap<String, Result<Nic, String>>,
    /// When it was made; only VMs have it written down.
    pub created: Option<Instant>,
    /// The hardware addresses of all NICs, in upper case.
    pub addresses: BTreeSet<String>,
}

/// The configuration's items as they are written.
type Items = BTreeMap<String, Box<RawValue>>;

impl Cluster {
    /// A guest's configuration.
    pub fn config(&self, host: &dyn Host, guest: Id, node: &str, until: Duration) -> Result<Config, Failure> {
        let path = guest_path(node, guest, &["config"]);
        let call = Call { method: "GET", path: &path, pairs: String::new() };
        let mut config = self.read(host, &call, until, |body| {
            let answer: Answer<Items> = serde_json::from_slice(body)?;
            read(&answer.data).map_err(serde_json::Error::custom)
        })?;
        for why in config.nics.values_mut().filter_map(|nic| nic.as_mut().err()) {
            *why = refusal::words(why, &self.token_secret);
        }
        Ok(config)
    }

    /// Replaces NICs of the configuration that has this digest; nothing is sent where there is none to replace.
    pub fn change_nics(
        &self,
        host: &dyn Host,
        guest: Id,
        node: &str,
        digest: &str,
        nics: &BTreeMap<String, Nic>,
        until: Duration,
    ) -> Result<(), Failure> {
        let path = guest_path(node, guest, &["config"]);
        if let Some(why) = misuse(digest, nics) {
            let text = format!("PUT {path}: {why}");
            return Err(Failure {
                text: refusal::words(&text, &self.token_secret),
                cause: Cause::Wrong,
                kind: Kind::Other,
            });
        }
        if nics.is_empty() {
            return Ok(());
        }
        let mut form: Vec<(String, String)> = nics.iter().map(|(name, nic)| (name.clone(), nic.to_string())).collect();
        form.push(("digest".into(), digest.into()));
        self.put(host, &path, &form, until)
    }
}

/// Whether it is the name of a NIC.
pub fn is_nic(name: &str) -> bool {
    let number = name.strip_prefix("net").and_then(|digits| digits.parse::<u32>().ok());
    number.is_some_and(|number| number < NICS && name == format!("net{number}"))
}

/// Why such a change is not sent.
fn misuse(digest: &str, nics: &BTreeMap<String, Nic>) -> Option<String> {
    if digest.is_empty() {
        return Some("without a digest it could undo what somebody else has changed".into());
    }
    let stranger = nics.keys().find(|name| !is_nic(name))?;
    Some(format!("{stranger:?} is no NIC"))
}

fn read(items: &Items) -> Result<Config, String> {
    let field = |name: &str| items.get(name).map(AsRef::as_ref).filter(|value: &&RawValue| value.get() != "null");
    let named = items.iter().filter(|(name, _)| is_nic(name));
    let nics: BTreeMap<String, Result<Nic, String>> =
        named.map(|(name, value)| (name.clone(), read_nic(value))).collect();
    Ok(Config {
        digest: need_text("digest", field("digest"))?.into_owned(),
        created: field("meta").and_then(plain).and_then(|meta| created(&meta)),
        addresses: nics.values().flatten().filter_map(Nic::address).collect(),
        nics,
    })
}

fn read_nic(value: &RawValue) -> Result<Nic, String> {
    Nic::parse(&plain(value).ok_or("it is no text")?)
}

/// Of `creation-qemu=9.0.2,ctime=1718000000`.
fn created(meta: &str) -> Option<Instant> {
    let ctime = meta.split(',').find_map(|item| item.strip_prefix("ctime="))?;
    Some(Instant::from_millis(i64::from(ctime.parse::<u32>().ok()?) * 1000))
}

#[cfg(test)]
mod tests;

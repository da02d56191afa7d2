//! Guests of a virtualization cluster: what is known of one, and which of them a quota is about.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::instant::{Instant, epoch};
use super::text::clean;

/// What figures of a cluster may lag behind by: they are passed around every ten seconds.
pub const LAG: Duration = Duration::from_secs(30);

/// What kind of guest it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

impl Kind {
    /// As it stands in subjects, paths and configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }
}

/// A guest's kind and number: together they are its subject's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Its kind.
    pub kind: Kind,
    /// The number that is unique in the cluster.
    pub vmid: u32,
}

impl Id {
    /// Reads a subject's name: `qemu/100`.
    pub fn parse(subject: &str) -> Option<Self> {
        let (kind, vmid) = subject.split_once('/')?;
        let kind = [Kind::Qemu, Kind::Lxc].into_iter().find(|known| known.name() == kind)?;
        Some(Self { kind, vmid: vmid.parse().ok()? })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.vmid)
    }
}

/// What is known of a guest beside its figures, as it was last told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Guest {
    /// Its name; empty when it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The node it is on.
    pub node: String,
    /// Its tags as they are stored.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tags: String,
    /// The pool it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// When it was made, where that was asked for and is known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "epoch")]
    pub created: Option<Instant>,
    /// When that was last asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Instant>,
    /// Whether it is on, by the reading of this very run: also paused.
    #[serde(skip)]
    pub on: bool,
    /// What is at work on it, such as a backup, by the reading of this very run.
    #[serde(skip)]
    pub lock: Option<String>,
}

impl Guest {
    /// Its tags, split as Proxmox VE does (pve-common, ParseUtils.pm `split_list`).
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.split(|c: char| c == ';' || c == ',' || c == '\0' || c.is_whitespace()).filter(|tag| !tag.is_empty())
    }
}

/// Which guests a quota is about: those for which all that is said holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Any of these; empty: all.
    pub guests: Vec<Named>,
    /// With any of these tags, whatever their case; empty: all.
    pub tags: Vec<String>,
    /// In any of these pools; empty: all.
    pub pools: Vec<String>,
    /// On any of these nodes; empty: all.
    pub nodes: Vec<String>,
    /// Kinds; empty: all.
    pub types: Vec<Kind>,
    /// NICs (`net0`) or bridges (`vmbr1`) that are counted; empty: all, as the cluster sums them up.
    pub nics: Vec<String>,
}

/// A guest as the operator calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its number.
    Vmid(u32),
    /// By its name, or by its number.
    Text(String),
}

impl Named {
    /// Whether it is this one.
    pub fn is(&self, id: Id, guest: &Guest) -> bool {
        match self {
            Self::Vmid(vmid) => *vmid == id.vmid,
            Self::Text(text) => {
                // As numbers are written: `0100` is none, but may be a name.
                let plain = text.starts_with(|c: char| c.is_ascii_digit() && c != '0');
                *text == guest.name || (plain && text.parse() == Ok(id.vmid))
            }
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vmid(vmid) => write!(f, "{vmid}"),
            Self::Text(text) => write!(f, "{:?}", clean(text, 64)),
        }
    }
}

impl Choice {
    /// Whether a guest is chosen.
    pub fn takes(&self, id: Id, guest: &Guest) -> bool {
        let tagged = |tag: &String| guest.tags().any(|has| has.eq_ignore_ascii_case(tag));
        (self.guests.is_empty() || self.guests.iter().any(|named| named.is(id, guest)))
            && (self.tags.is_empty() || self.tags.iter().any(tagged))
            && (self.pools.is_empty() || guest.pool.as_ref().is_some_and(|pool| self.pools.contains(pool)))
            && (self.nodes.is_empty() || self.nodes.contains(&guest.node))
            && (self.types.is_empty() || self.types.contains(&id.kind))
    }
}

#[cfg(test)]
mod tests;

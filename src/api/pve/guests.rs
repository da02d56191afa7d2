//! All guests of the cluster with their figures, in one call.
//!
//! Invariant: a row becomes a guest only when each part of it that counts makes sense. What does not is told with its
//! name and leaves the others alone; a figure that is missing is never a zero.
//!
//! Why no figures are no error where a node is silent: its guests may well be on, and count on once it is back.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::refusal;
use super::values::{Field, cut, need_text, object, text, truth, whole};
use super::{Cluster, Failure};
use crate::host::Host;
use crate::quota::guest::{Guest, Id, Kind};
use crate::quota::meter::Counters;
use crate::quota::pulse::{Load, Loads};

/// Where the guests are listed.
pub const RESOURCES: &str = "/cluster/resources";

/// Characters of a name at the most.
const NAME: usize = 16_384;
/// Characters of all tags at the most.
const TAGS: usize = 2000;

/// The rows of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<R = Row> {
    /// Those that make sense, in their order.
    pub rows: Vec<R>,
    /// The others: whose it is (`qemu/100`, or `row 17` where it does not say), and what is wrong.
    pub broken: Vec<(String, String)>,
}

/// A guest, as the cluster sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which it is.
    pub id: Id,
    /// What is known of it. Its texts are as somebody wrote them.
    pub guest: Guest,
    /// `running`, `stopped`, `paused` and others; `unknown`: nobody knows.
    pub status: String,
    /// None: its node has not been heard of for minutes.
    pub figures: Option<Figures>,
    /// Whether it only serves to make others.
    pub template: bool,
    /// Whether the cluster's high availability looks after it, and so starts it again.
    pub managed: bool,
}

/// What a guest's counters show, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Bytes to the guest (received) and from it (sent), since it was started or its NICs changed.
    pub counters: Counters,
    /// The time since it was started; zero: it is off.
    pub uptime: Duration,
    /// How busy it is, where that is known.
    pub loads: Loads,
}

/// A row that cannot be read.
pub(super) struct Broken {
    /// Whose it is, if it says so.
    pub subject: Option<String>,
    /// What is wrong.
    pub why: String,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Field<'a>,
    #[serde(borrow, rename = "type")]
    kind: Field<'a>,
    #[serde(borrow)]
    vmid: Field<'a>,
    #[serde(borrow)]
    node: Field<'a>,
    #[serde(borrow)]
    name: Field<'a>,
    #[serde(borrow)]
    status: Field<'a>,
    #[serde(borrow)]
    uptime: Field<'a>,
    #[serde(borrow)]
    netin: Field<'a>,
    #[serde(borrow)]
    netout: Field<'a>,
    #[serde(borrow)]
    cpu: Field<'a>,
    #[serde(borrow)]
    mem: Field<'a>,
    #[serde(borrow)]
    maxmem: Field<'a>,
    #[serde(borrow)]
    template: Field<'a>,
    #[serde(borrow)]
    tags: Field<'a>,
    #[serde(borrow)]
    pool: Field<'a>,
    #[serde(borrow)]
    lock: Field<'a>,
    #[serde(borrow)]
    hastate: Field<'a>,
}

impl Cluster {
    /// All guests that the token may see.
    pub fn guests(&self, host: &dyn Host, until: Duration) -> Result<Listing, Failure> {
        self.list(host, RESOURCES, &[("type", "vm")], until, |items| Ok(sort(items)))
            .map(|listing| self.redacted(listing))
    }

    /// With what is wrong safe to show.
    pub(super) fn redacted<R>(&self, listing: Listing<R>) -> Listing<R> {
        let words = |text: String| refusal::words(&text, &self.token_secret);
        let broken = listing.broken.into_iter().map(|(subject, why)| (words(subject), words(why))).collect();
        Listing { broken, ..listing }
    }
}

impl<R> Listing<R> {
    /// Reads each item.
    pub(super) fn of(items: &[&RawValue], mut read: impl FnMut(&RawValue) -> Result<R, Broken>) -> Self {
        let mut listing = Self { rows: Vec::with_capacity(items.len()), broken: Vec::new() };
        for (index, item) in items.iter().enumerate() {
            match read(item) {
                Ok(row) => listing.rows.push(row),
                Err(Broken { subject, why }) => {
                    let subject = subject.unwrap_or_else(|| format!("row {}", index + 1));
                    listing.broken.push((subject, why));
                }
            }
        }
        listing
    }
}

impl Broken {
    /// A row of nobody knows what.
    pub fn nameless(why: String) -> Self {
        Self { subject: None, why }
    }
}

fn sort(items: &[&RawValue]) -> Listing {
    let mut seen = HashSet::new();
    Listing::of(items, |item| {
        let fields: Fields<'_> = object(item).map_err(Broken::nameless)?;
        let id = fields.id().map_err(Broken::nameless)?;
        let named = |why| Broken { subject: Some(id.to_string()), why };
        if !seen.insert(id) {
            return Err(named("it is listed twice".into()));
        }
        fields.row(id).map_err(named)
    })
}

impl Fields<'_> {
    /// Its kind and number, or else its name, which must not say anything else.
    fn id(&self) -> Result<Id, String> {
        let name = text("id", self.id)?;
        let id = match (self.kind, self.vmid) {
            (Some(_), Some(_)) => self.kind_and_number()?,
            _ => Id::parse(name.as_deref().unwrap_or_default()).ok_or("it has neither an id nor a type and a vmid")?,
        };
        match name.filter(|name| **name != id.to_string()) {
            Some(name) => Err(format!("its id {:?} is not that of {id}", cut(&name, NAME))),
            None => Ok(id),
        }
    }

    fn kind_and_number(&self) -> Result<Id, String> {
        let kind = need_text("type", self.kind)?;
        let known = [Kind::Qemu, Kind::Lxc].into_iter().find(|known| known.name() == kind);
        let kind = known.ok_or_else(|| format!("its type {:?} is not known", cut(&kind, NAME)))?;
        let vmid = whole("vmid", self.vmid)?;
        let vmid = u32::try_from(vmid).map_err(|_| format!("its vmid {vmid} is too large"))?;
        Ok(Id { kind, vmid })
    }

    fn row(&self, id: Id) -> Result<Row, String> {
        let status = cut(&need_text("status", self.status)?, NAME).to_owned();
        let on = !matches!(status.as_str(), OFF | BEING_SAVED | UNKNOWN);
        let hastate = some_text("hastate", self.hastate)?;
        Ok(Row {
            id,
            guest: self.guest(on)?,
            figures: self.figures(&status)?,
            status,
            template: truth("template", self.template)?,
            managed: hastate.is_some_and(|state| state != "ignored"),
        })
    }

    fn guest(&self, on: bool) -> Result<Guest, String> {
        let node = need_text("node", self.node)?;
        // Cut, it would be the name of another node.
        if cut(&node, NAME) != node {
            return Err("its node's name is too long".into());
        }
        Ok(Guest {
            name: some_text("name", self.name)?.unwrap_or_default(),
            node: node.into_owned(),
            tags: whole_tags(&text("tags", self.tags)?.unwrap_or_default()).to_owned(),
            pool: some_text("pool", self.pool)?,
            created: None,
            asked: None,
            on,
            lock: some_text("lock", self.lock)?,
        })
    }

    fn figures(&self, status: &str) -> Result<Option<Figures>, String> {
        let silent = [self.uptime, self.netin, self.netout].iter().all(Option::is_none);
        match status {
            OFF | BEING_SAVED => return Ok(Some(Figures::default())),
            UNKNOWN if silent => return Ok(None),
            _ => {}
        }
        let counters = Counters { rx: whole("netin", self.netin)?, tx: whole("netout", self.netout)? };
        let uptime = Duration::from_secs(whole("uptime", self.uptime)?);
        Ok(Some(Figures { counters, uptime, loads: self.loads() }))
    }

    /// `cpu` is a share of the processors it has, `mem` bytes of `maxmem`; nothing is metered by them.
    fn loads(&self) -> Loads {
        let cpu =
            self.cpu.and_then(|share| share.get().parse::<f64>().ok()).and_then(|share| Load::percent(share * 100.0));
        let bytes = |name, field| whole(name, field).ok();
        let memory = bytes("mem", self.mem).zip(bytes("maxmem", self.maxmem));
        Loads { cpu, memory: memory.and_then(|(used, total)| Load::share(used, total)) }
    }
}

/// The status of a guest that is off.
const OFF: &str = "stopped";
/// The status of a VM that is off while a backup is made of it: the host has started its process, not its system.
const BEING_SAVED: &str = "prelaunch";
/// The status of a guest nothing was heard of.
const UNKNOWN: &str = "unknown";

/// A text that is not empty.
fn some_text(name: &str, field: Field<'_>) -> Result<Option<String>, String> {
    let text = text(name, field)?.filter(|text| !text.is_empty());
    Ok(text.map(|text| cut(&text, NAME).to_owned()))
}

/// As many tags as fit: half of one would be another one.
fn whole_tags(tags: &str) -> &str {
    let kept = cut(tags, TAGS);
    let end = |kept: &str| kept.rfind(|c: char| ";,\0".contains(c) || c.is_whitespace()).unwrap_or(0);
    if kept == tags { kept } else { &kept[..end(kept)] }
}

#[cfg(test)]
mod tests;

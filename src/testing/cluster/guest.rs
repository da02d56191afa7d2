//! A guest of a simulated cluster: its NICs, its run state, and what becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::history::{BYTE, Both};
use super::nic::{self, Parts};
use crate::quota::guest::Kind;
use crate::quota::instant::Instant;

/// A guest as it really is.
#[derive(Debug, Clone)]
pub struct Guest {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The node it is on.
    pub node: String,
    /// Its tags, as stored.
    pub tags: Option<String>,
    /// Its pool.
    pub pool: Option<String>,
    /// `running`, `stopped`, `paused`, `prelaunch`.
    pub status: &'static str,
    /// When it was last started.
    pub since: Instant,
    /// When it was made.
    pub created: Instant,
    /// Whether it is a template.
    pub template: bool,
    /// What is at work on it.
    pub lock: Option<String>,
    /// Its state, when HA manages it.
    pub ha: Option<String>,
    /// How it takes a shutdown.
    pub obeys: Obeys,
    /// By name.
    pub nics: BTreeMap<String, Nic>,
    /// What its NICs come back to; none: nobody but its owner has ever changed them.
    pub snapshot: Option<BTreeMap<String, String>>,
    /// What the cluster last heard of it.
    pub told: Figures,
}

/// How a guest takes a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obeys {
    /// It is off after so long.
    After(Duration),
    /// It stays on unless it is killed.
    Never,
}

/// A NIC as it really is.
#[derive(Debug, Clone)]
pub struct Nic {
    /// As stored.
    pub text: String,
    /// What it would be if only its owner had ever changed it.
    pub owners: Parts,
    /// Bytes per second it would move.
    pub rate: Both,
    /// Thousandths of bytes since the device was made.
    pub counter: Both,
}

/// What a node tells of a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Its run state.
    pub status: &'static str,
    /// Its name.
    pub name: String,
    /// Seconds.
    pub uptime: u64,
    /// Bytes to it and from it.
    pub bytes: Both,
}

impl Nic {
    /// A NIC as its owner wants it.
    pub fn new(kind: Kind, text: &str) -> Result<Self, String> {
        let owners = Parts::parse(kind, text)?;
        Ok(Self { text: owners.stored(), owners, rate: (0, 0), counter: (0, 0) })
    }

    /// Its parts.
    pub fn parts(&self, kind: Kind) -> Parts {
        Parts::parse(kind, &self.text).expect("what is stored can be read")
    }

    /// Sets it, by whomever; a new device counts from zero. The parts that differ.
    pub fn set(&mut self, kind: Kind, parts: &Parts) -> Vec<String> {
        let differing = self.parts(kind).differing(parts);
        if nic::is_new_device(&differing) {
            self.counter = (0, 0);
        }
        self.text = parts.stored();
        differing
    }

    /// Its owner sets it: what differs from what it was is what the owner wants.
    pub fn set_by_owner(&mut self, kind: Kind, parts: &Parts) {
        for key in self.set(kind, parts) {
            self.owners.set(&key, parts.get(&key));
        }
    }

    /// Bytes per second it really moves while the guest runs.
    fn flow(&self, kind: Kind) -> Both {
        let parts = self.parts(kind);
        if parts.is_down() {
            return (0, 0);
        }
        let limit = parts.limit().unwrap_or(u64::MAX);
        (self.rate.0.min(limit), self.rate.1.min(limit))
    }
}

impl Guest {
    /// One that has been running for a day, with one NIC.
    pub fn new(kind: Kind, vmid: u32, name: &str, now: Instant) -> Self {
        let mut guest = Self {
            kind,
            name: name.to_owned(),
            node: "pve1".to_owned(),
            tags: None,
            pool: None,
            status: "running",
            since: now.minus(Duration::from_secs(86_400)),
            created: Instant::from_millis(1_700_000_000_000 + i64::from(vmid) * 1000),
            template: false,
            lock: None,
            ha: None,
            obeys: Obeys::After(Duration::from_secs(3)),
            nics: BTreeMap::new(),
            snapshot: None,
            told: Figures::default(),
        };
        let text = guest.usual_nic(&address(u64::from(vmid)));
        guest.nics.insert("net0".to_owned(), Nic::new(kind, &text).expect("a NIC"));
        guest
    }

    fn usual_nic(&self, address: &str) -> String {
        match self.kind {
            Kind::Qemu => format!("virtio={address},bridge=vmbr0,firewall=1"),
            Kind::Lxc => format!("name=eth0,bridge=vmbr0,firewall=1,hwaddr={address},ip=dhcp,type=veth"),
        }
    }

    /// `VM` or `CT`.
    pub fn short(&self) -> &'static str {
        if self.kind == Kind::Qemu { "VM" } else { "CT" }
    }

    /// Whether it has a process.
    pub fn is_on(&self) -> bool {
        self.status != "stopped"
    }

    /// It starts or stops, and its counters begin at zero.
    pub fn turn(&mut self, status: &'static str, now: Instant) {
        self.status = status;
        self.since = now;
        self.nics.values_mut().for_each(|nic| nic.counter = (0, 0));
    }

    /// NICs whose traffic is counted.
    fn counted(&self) -> impl Iterator<Item = (&String, &Nic)> {
        self.nics.iter().filter(|(_, nic)| nic.parts(self.kind).is_counted())
    }

    /// Time passes; what was counted per second.
    pub fn flow(&mut self, time: Duration) -> Both {
        let mut sum = (0, 0);
        let kind = self.kind;
        for nic in self.nics.values_mut().filter(|nic| self.status == "running" && nic.parts(kind).is_counted()) {
            let (to, from) = nic.flow(kind);
            sum = (sum.0 + to, sum.1 + from);
            nic.counter.0 += to * time.as_millis() as u64;
            nic.counter.1 += from * time.as_millis() as u64;
        }
        sum
    }

    /// Thousandths of bytes move at once, where they can. What moved.
    pub fn moves(&mut self, nic: &str, bytes: Both) -> Option<Both> {
        let (kind, runs) = (self.kind, self.status == "running");
        let nic = self.nics.get_mut(nic)?;
        let parts = nic.parts(kind);
        if !runs || parts.is_down() || !parts.is_counted() {
            return Some((0, 0));
        }
        let moved = (bytes.0 * BYTE, bytes.1 * BYTE);
        nic.counter = (nic.counter.0 + moved.0, nic.counter.1 + moved.1);
        Some(moved)
    }

    /// Bytes by NIC, of those that are counted, while it is on.
    pub fn counters(&self) -> Vec<(String, Both)> {
        let bytes = |(name, nic): (&String, &Nic)| (name.clone(), (nic.counter.0 / BYTE, nic.counter.1 / BYTE));
        self.counted().filter(|_| self.is_on()).map(bytes).collect()
    }

    /// What its node would tell now.
    pub fn figures(&self, now: Instant) -> Figures {
        let sum = |sum: Both, (_, bytes): &(String, Both)| (sum.0 + bytes.0, sum.1 + bytes.1);
        let uptime = if self.is_on() { now.since(self.since).as_secs() } else { 0 };
        let bytes = self.counters().iter().fold((0, 0), sum);
        Figures { status: self.status, name: self.name.clone(), uptime, bytes }
    }

    /// What its NICs would come back to from now on.
    pub fn take_snapshot(&mut self) {
        self.snapshot = Some(self.nics.iter().map(|(name, nic)| (name.clone(), nic.text.clone())).collect());
    }

    /// Its owner puts all NICs back to what they were at the snapshot; it goes on running.
    pub fn roll_back(&mut self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        self.nics.retain(|name, _| snapshot.contains_key(name));
        for (name, text) in &snapshot {
            self.set_nic(name, text).expect("what was stored can be read");
        }
    }

    /// Its owner sets a NIC, or adds it.
    pub fn set_nic(&mut self, name: &str, text: &str) -> Result<(), String> {
        let parts = Parts::parse(self.kind, text)?;
        match self.nics.get_mut(name) {
            Some(nic) => nic.set_by_owner(self.kind, &parts),
            None => drop(self.nics.insert(name.to_owned(), Nic::new(self.kind, text)?)),
        }
        Ok(())
    }

    /// Its owner edits one part of a NIC, or takes it out.
    pub fn edit_nic(&mut self, name: &str, key: &str, value: Option<&str>) -> Option<()> {
        let nic = self.nics.get_mut(name)?;
        let mut parts = nic.parts(self.kind);
        parts.set(key, value);
        nic.set_by_owner(self.kind, &parts);
        Some(())
    }

    /// A NIC of it is a new device.
    pub fn replug(&mut self, name: &str, number: u64) -> Option<()> {
        let key = self.nics.get(name)?.owners.address();
        self.edit_nic(name, key, Some(&address(0xF0_0000 + number)))
    }

    /// Its owner deletes it, and makes another of the same kind in its place, that runs at once.
    pub fn reused(&self, vmid: u32, name: &str, now: Instant) -> Self {
        let mut guest = Self::new(self.kind, vmid, name, now);
        guest.node.clone_from(&self.node);
        guest.created = now;
        guest.since = now;
        let text = guest.usual_nic(&address(0x0E_0000 + now.millis().unsigned_abs() / 1000 % 0xFFFF));
        let nic = Nic::new(self.kind, &text).expect("a NIC");
        guest.nics.insert("net0".to_owned(), nic);
        guest
    }

    /// The configuration as it is read, without the digest.
    fn lines(&self) -> Map<String, Value> {
        let mut lines: Map<String, Value> =
            self.nics.iter().map(|(name, nic)| (name.clone(), json!(nic.text))).collect();
        lines.insert(if self.kind == Kind::Qemu { "name" } else { "hostname" }.into(), json!(self.name));
        lines.insert("memory".into(), json!("2048"));
        if self.kind == Kind::Qemu {
            let meta = format!("creation-qemu=10.1.2,ctime={}", self.created.millis() / 1000);
            lines.insert("meta".into(), json!(meta));
        }
        for (key, value) in [("lock", &self.lock), ("tags", &self.tags)] {
            value.as_ref().map(|value| lines.insert(key.into(), json!(value)));
        }
        if self.template {
            lines.insert("template".into(), json!(1));
        }
        lines
    }

    /// The configuration as it is read.
    pub fn config(&self) -> Map<String, Value> {
        let mut config = self.lines();
        config.insert("digest".into(), json!(self.digest()));
        config
    }

    /// Of what is configured: it changes with each edit.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        self.lines().iter().for_each(|(key, value)| hash.update(format!("{key}: {value}\n")));
        hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// An address of a NIC by a number.
pub fn address(number: u64) -> String {
    let [.., high, middle, low] = number.to_be_bytes();
    format!("BC:24:11:{high:02X}:{middle:02X}:{low:02X}")
}

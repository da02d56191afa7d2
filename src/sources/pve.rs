//! The guests of a Proxmox VE cluster: one call for all of them, and one for each node whose guests are counted by NIC.
//!
//! Invariant: a guest of a node that is not heard of has no figure; it is told of once for the node, not once for each
//! guest. An empty list is no answer: most often the token may not see anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Look, Source, Trouble};
use crate::api::Account;
use crate::api::pve::guests::{RESOURCES, Row};
use crate::api::pve::{self, Cause, Cluster, Failure};
use crate::config::fields::{Fields, Value};
use crate::config::secret::Keeper;
use crate::host::Host;
use crate::quota::guest::{Choice, Id};
use crate::quota::health::NODE;
use crate::quota::instant::Instant;
use crate::quota::meter::{Counters, Figure, GuestFigure, Nic, Reading, Readings, SubjectProblem};
use crate::quota::policy::due_again;

/// The settings.
struct Pve {
    cluster: Arc<Cluster>,
    /// Only guests on these are chosen by quotas; empty: on all.
    nodes: Vec<String>,
    backfill: bool,
}

/// Guests without a figure that are named at the most.
const NAMED: usize = 5;
/// A guest's bridges are asked for again after this.
const BRIDGES: Duration = Duration::from_secs(3600);

/// Reads the settings.
pub fn open(fields: &Fields<'_>, keeper: &Keeper<'_>) -> Option<Arc<dyn Source>> {
    let cluster = pve::open(fields, keeper);
    let nodes = fields.opt("nodes", |value| match value.texts()? {
        nodes if nodes.is_empty() || nodes.iter().any(String::is_empty) => {
            Err("at least one node is expected; leave it out for all".into())
        }
        nodes => Ok(nodes),
    });
    let backfill = fields.or("backfill", false, "false", Value::boolean);
    Some(Arc::new(Pve { cluster: Arc::new(cluster?), nodes: nodes.unwrap_or_default(), backfill }))
}

/// What is remembered of a guest's NICs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bridges {
    /// When they were asked for.
    at: Instant,
    /// By the NICs' names.
    of: BTreeMap<String, String>,
}

/// By subject.
type Memory = BTreeMap<String, Bridges>;

impl Source for Pve {
    fn expects(&self, _: &str) -> bool {
        // Guests come and go; those of a node that is not heard of are listed all the same.
        false
    }

    fn account(&self) -> Option<Account> {
        Some(Account::Pve(Arc::clone(&self.cluster)))
    }

    fn nodes(&self) -> &[String] {
        &self.nodes
    }

    fn backfills(&self) -> bool {
        self.backfill
    }

    fn describe(&self) -> Vec<String> {
        let (addresses, token) = (self.cluster.addresses().join(" or "), self.cluster.token_id());
        vec![format!("GET {addresses} /api2/json{RESOURCES}?type=vm, with token {token} (secret redacted)")]
    }

    fn read(&self, host: &dyn Host, look: &Look<'_>) -> Result<Readings, Trouble> {
        let listing = self.cluster.guests(host, look.until).map_err(trouble)?;
        let rows: Vec<Row> = listing.rows.into_iter().filter(|row| !row.template).collect();
        let here = |row: &&Row| self.nodes.is_empty() || self.nodes.contains(&row.guest.node);
        let nobody = !rows.iter().any(|row| here(&row));
        match listing.broken.first() {
            None if rows.is_empty() => return Err(Trouble::from(self.nobody())),
            Some((subject, why)) if rows.is_empty() => {
                return Err(Trouble::from(format!("GET {RESOURCES}: {subject}: {why}")));
            }
            _ => {}
        }
        let nameless = |(subject, _): &(String, String)| Id::parse(subject).is_none();
        let mut readings = Readings { partial: listing.broken.iter().any(nameless), ..Readings::default() };
        let mut listed: BTreeSet<String> = rows.iter().map(|row| row.id.to_string()).collect();
        for (subject, why) in listing.broken {
            readings.problems.push(SubjectProblem::now(subject.clone(), format!("{subject}: {why}")));
            listed.insert(subject);
        }
        if nobody {
            readings.problems.push(SubjectProblem::now(format!("{NODE}none"), self.nobody()));
        }
        readings.problems.extend(unheard(rows.iter().filter(here)));
        if !look.nics.is_empty() {
            self.read_nics(host, look, &rows, &mut readings);
        }
        if look.watched {
            let loads = |row: &Row| Some((row.id.to_string(), row.figures?.loads));
            readings.loads = rows.iter().filter_map(loads).collect();
        }
        let figure = |row: Row| {
            let figures = row.figures?;
            let figure = GuestFigure {
                counters: figures.counters,
                uptime: figures.uptime,
                guest: row.guest,
                nic: None,
                lag: None,
            };
            Some(Reading { subject: row.id.to_string(), at: look.now, figure: Figure::Guest(figure) })
        };
        // The guests before their NICs.
        let nics = std::mem::take(&mut readings.readings);
        readings.readings = rows.into_iter().filter_map(figure).chain(nics).collect();
        readings.listed = Some(listed);
        Ok(readings)
    }
}

impl Pve {
    fn nobody(&self) -> String {
        let token = self.cluster.token_id();
        let nodes = if self.nodes.is_empty() { String::new() } else { format!(" on {}", self.nodes.join(", ")) };
        format!(
            "there is no guest{nodes} that token {token} may see: it needs VM.Audit on /vms, and its user too \
             (netquota discover pve says how)"
        )
    }

    /// The figures of each NIC, of the nodes that have guests counted by NIC.
    fn read_nics(&self, host: &dyn Host, look: &Look<'_>, rows: &[Row], readings: &mut Readings) {
        let counted = |row: &&Row| look.nics.iter().any(|choice| choice.takes(row.id, &row.guest));
        let mut nodes: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.figures.is_some()).filter(counted) {
            nodes.entry(&row.guest.node).or_default().push(row);
        }
        let mut memory: Memory = look.remembered.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let before = memory.clone();
        for (node, rows) in nodes {
            match self.cluster.netstat(host, node, look.until) {
                Ok(listing) => {
                    let mut nics: BTreeMap<u32, Vec<(String, Counters)>> = BTreeMap::new();
                    for row in listing.rows {
                        nics.entry(row.vmid).or_default().push((row.nic, row.counters));
                    }
                    // What is broken is one NIC's, and nobody knows what the others of that guest mean without it.
                    let broken: BTreeSet<&str> =
                        listing.broken.iter().filter_map(|(of, _)| Some(of.split_once('/')?.0)).collect();
                    // Where nobody knows whose a row is, no NIC is taken to be gone.
                    let whole = listing.broken.iter().all(|(of, _)| of.contains('/'));
                    let broken = |id: Id| broken.contains(id.vmid.to_string().as_str());
                    for (subject, why) in &listing.broken {
                        let name = format!("{NODE}{node}/{subject}");
                        readings.problems.push(SubjectProblem::now(name, format!("{subject} on node {node}: {why}")));
                    }
                    for row in rows.into_iter().filter(|row| !broken(row.id)) {
                        let nics = nics.remove(&row.id.vmid).unwrap_or_default();
                        self.read_guest(host, look, (row, whole), nics, &mut memory, readings);
                    }
                }
                Err(failure) => {
                    let text = format!("the NICs of node {node}'s guests cannot be read: {}", failure.text);
                    readings.problems.push(SubjectProblem::now(format!("{NODE}{node}/nics"), text));
                }
            }
        }
        if readings.late_bridges > 0 {
            let text =
                format!("the bridges of {} guests are not known yet: the next runs go on", readings.late_bridges);
            readings.problems.push(SubjectProblem::now(format!("{NODE}bridges"), text));
        }
        memory.retain(|_, known| look.now.since(known.at) < BRIDGES * 24);
        if memory != before {
            readings.choice = serde_json::to_string(&memory).ok();
        }
    }

    fn read_guest(
        &self,
        host: &dyn Host,
        look: &Look<'_>,
        (row, whole): (&Row, bool),
        nics: Vec<(String, Counters)>,
        memory: &mut Memory,
        readings: &mut Readings,
    ) {
        let subject = row.id.to_string();
        let by_bridge = look.nics.iter().any(|choice| names_bridges(choice) && choice.takes(row.id, &row.guest));
        if by_bridge {
            // Not all of them in the same run.
            let every = BRIDGES + Duration::from_secs(u64::from(row.id.vmid % 60) * 60);
            let known = memory.get(&subject).filter(|known| !due_again(known.at, every, look.now));
            let unknown = known.is_none_or(|known| nics.iter().any(|(nic, _)| !known.of.contains_key(nic)));
            // The list itself must not come too late: the others are asked in the next runs.
            if unknown && host.elapsed() * 2 > look.until {
                readings.late_bridges += 1;
                if !memory.contains_key(&subject) {
                    return;
                }
            } else if unknown {
                match self.bridges(host, look, row) {
                    Ok(of) => drop(memory.insert(subject.clone(), Bridges { at: look.now, of })),
                    Err(failure) => {
                        let text = format!("{subject}: its bridges cannot be read: {}", failure.text);
                        readings.problems.push(SubjectProblem::now(format!("{subject}/bridges"), text));
                        if !memory.contains_key(&subject) {
                            return;
                        }
                    }
                }
            }
        }
        let uptime = row.figures.as_ref().map_or(Duration::ZERO, |figures| figures.uptime);
        for (name, counters) in nics {
            let bridge = memory.get(&subject).and_then(|known| known.of.get(&name).cloned());
            let nic = Some(Nic { name: name.clone(), bridge });
            let figure = GuestFigure { counters, uptime, guest: row.guest.clone(), nic, lag: None };
            // One that is moved to another bridge is another subject: what it has used stays with the old one.
            let subject = match &figure.nic {
                Some(Nic { bridge: Some(bridge), .. }) => format!("{subject} {name}@{bridge}"),
                _ => format!("{subject} {name}"),
            };
            readings.readings.push(Reading { subject, at: look.now, figure: Figure::Guest(figure) });
        }
        if whole {
            readings.nics_of.insert(subject);
        }
    }

    /// The bridge of each of a guest's NICs.
    fn bridges(&self, host: &dyn Host, look: &Look<'_>, row: &Row) -> Result<BTreeMap<String, String>, Failure> {
        let config = self.cluster.config(host, row.id, &row.guest.node, look.until)?;
        let bridge = |(name, nic): (String, Result<pve::nic::Nic, String>)| {
            Some((name, nic.ok().and_then(|nic| nic.bridge().map(str::to_owned)).unwrap_or_default()))
        };
        Ok(config.nics.into_iter().filter_map(bridge).collect())
    }
}

/// Whether anything but a NIC's own name is among those it counts.
fn names_bridges(choice: &Choice) -> bool {
    !choice.nics.iter().all(|nic| pve::config::is_nic(nic))
}

fn trouble(failure: Failure) -> Trouble {
    Trouble { refused: failure.cause == Cause::Credentials, text: failure.text }
}

/// A problem for each node that is not heard of, with its guests.
fn unheard<'r>(rows: impl Iterator<Item = &'r Row>) -> Vec<SubjectProblem> {
    let mut nodes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows.filter(|row| row.figures.is_none()) {
        nodes.entry(&row.guest.node).or_default().push(row.id.to_string());
    }
    let problem = |(node, guests): (&str, Vec<String>)| {
        let named = guests.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = guests.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        SubjectProblem::now(format!("{NODE}{node}"), format!("nothing is heard of node {node}: {named}{more}"))
    };
    nodes.into_iter().map(problem).collect()
}

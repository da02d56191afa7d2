//! What scenarios say of a cluster: all lines that begin with `pve`.
//!
//! A guest is named by its vmid. Rates and bytes are two numbers, to the guest and from it, as `1000000` or `1MB`. Where
//! a NIC may stand it is `net0` unless it is said. `-` stands for none.
//!
//! | line | does |
//! |---|---|
//! | `pve vm VMID NAME …`, `pve ct VMID NAME …` | a guest on `pve1` that has run for a day, with one NIC; then any of `on NODE`, `rate IN OUT`, `tags TAGS`, `pool NAME`, `ha STATE` |
//! | `pve rate VMID IN OUT [NIC]` | bytes per second that flow from now on, while it runs |
//! | `pve moves VMID IN OUT [NIC]` | bytes at once, whatever the limit; let time pass before and after |
//! | `pve start/stop/restart/pause/resume VMID` | its owner's hand, or its own |
//! | `pve migrate VMID NODE` | it goes on elsewhere, counters from zero |
//! | `pve rename VMID NAME`, `pve tags VMID TAGS`, `pve pool VMID NAME` | what it is called |
//! | `pve reuse VMID NAME` | it is deleted, and a new guest of its kind has its vmid |
//! | `pve delete VMID` | it is deleted |
//! | `pve template VMID` | it is a template |
//! | `pve nic VMID NIC TEXT` | its owner sets a NIC, or adds it |
//! | `pve edit VMID NIC KEY VALUE` | its owner sets one part of a NIC |
//! | `pve meddle VMID NIC KEY VALUE` | the same, just before the next edit: the digest does not fit |
//! | `pve unplug VMID NIC`, `pve replug VMID NIC` | a NIC is taken out, or gets another address |
//! | `pve snapshot VMID`, `pve rollback VMID` | its NICs come back to what they were; without a snapshot, to what they were before the first edit by the token |
//! | `pve lock VMID LOCK`, `pve unlock VMID` | something is at work on it |
//! | `pve backup VMID` | a lock; one that is off is in state prelaunch until it is unlocked |
//! | `pve ha VMID STATE` | HA manages it |
//! | `pve obeys VMID TIME/never` | how it takes a shutdown; after 3 s unless it is said |
//! | `pve node NODE down/crash/up` | nobody hears of a node, whose guests run on, or lose their power |
//! | `pve api up/down [NODE]` | nobody is there at its address, or at all of them |
//! | `pve answers right`, `pve answers lost/silent/596/empty/html/401/no-quorum [N]` | all answers, or the next N that matter |
//! | `pve revoke/grant PRIVILEGE` | what the token may |
//! | `pve lag TIME/-` | figures are only told every so often |
//! | `pve hold VMID`, `pve free VMID` | says that it should be held from now on, or not: nothing happens, but edits are judged by it |
//! | `pve show` | writes down how the guests really are |
//! | `pve flowed VMID TIME` | writes down what really flowed to it and from it since then |

use super::{Both, Cluster, Guest, Meddling, Obeys, Wrong};
use crate::quota::bytes::{Amount, UnitBase};
use crate::quota::duration;
use crate::quota::guest::Kind;
use crate::quota::instant::Instant;

impl Cluster {
    /// Does what a line says; what is to be written down. None: it is no line.
    pub fn line(&mut self, line: &str) -> Option<Vec<String>> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["show"] => return Some(self.shown()),
            ["flowed", vmid, since] => {
                let (to, from) = self.flowed(number(vmid)?, Instant::parse(since)?, self.now);
                return Some(vec![format!("  flowed: {vmid}: in {to}, out {from}")]);
            }
            ["vm", vmid, name, ref with @ ..] => self.new_guest(Kind::Qemu, vmid, name, with)?,
            ["ct", vmid, name, ref with @ ..] => self.new_guest(Kind::Lxc, vmid, name, with)?,
            ["moves", vmid, to, from, ref nic @ ..] => self.moves(number(vmid)?, nic_of(nic)?, both(to, from)?)?,
            ["node" | "api" | "answers" | "revoke" | "grant" | "lag", ..] => self.fault(&words)?,
            ["hold", vmid] => drop(self.held.insert(number(vmid)?)),
            ["free", vmid] => drop(self.held.remove(&number(vmid)?)),
            ["delete", vmid] => drop(self.guests.remove(&number(vmid)?)?),
            ["reuse", vmid, name] => self.reuse(number(vmid)?, name)?,
            ["migrate", vmid, node] => self.migrate(number(vmid)?, node)?,
            ["replug", vmid, nic] => {
                self.numbers += 1;
                self.guests.get_mut(&number(vmid)?)?.replug(nic, self.numbers)?;
            }
            ["meddle", vmid, nic, key, value] => {
                let (nic, key, value) = (nic.to_owned(), key.to_owned(), some(value));
                self.meddling = Some(Meddling { vmid: number(vmid)?, nic, key, value });
            }
            [verb, vmid, ref rest @ ..] => self.of_guest(verb, number(vmid)?, rest)?,
            _ => return None,
        }
        Some(Vec::new())
    }

    fn new_guest(&mut self, kind: Kind, vmid: &str, name: &str, mut with: &[&str]) -> Option<()> {
        let vmid = number(vmid)?;
        self.add(kind, vmid, name);
        while let [word, rest @ ..] = with {
            let count = if *word == "rate" { 2 } else { 1 };
            let (values, left) = rest.split_at_checked(count)?;
            match (*word, values) {
                ("on", [node]) if self.nodes.contains_key(*node) => self.guests.get_mut(&vmid)?.node = some(node)?,
                ("rate" | "tags" | "pool" | "ha", values) => self.of_guest(word, vmid, values)?,
                _ => return None,
            }
            with = left;
        }
        Some(())
    }

    fn of_guest(&mut self, verb: &str, vmid: u32, rest: &[&str]) -> Option<()> {
        let now = self.now;
        let guest = self.guests.get_mut(&vmid)?;
        match (verb, rest) {
            ("rate", [to, from, nic @ ..]) => guest.nics.get_mut(nic_of(nic)?)?.rate = both(to, from)?,
            ("start" | "restart", []) => guest.turn("running", now),
            ("stop", []) => guest.turn("stopped", now),
            ("pause", []) if guest.is_on() => guest.status = "paused",
            ("resume", []) if guest.is_on() => guest.status = "running",
            ("rename", [name]) => guest.name = some(name)?,
            ("tags", [tags]) => guest.tags = some(tags),
            ("pool", [pool]) => guest.pool = some(pool),
            ("ha", [state]) => guest.ha = some(state),
            ("lock", [lock]) => guest.lock = some(lock),
            ("template", []) => {
                guest.turn("stopped", now);
                guest.template = true;
            }
            ("backup", []) => {
                guest.lock = some("backup");
                if !guest.is_on() {
                    guest.turn("prelaunch", now);
                }
            }
            ("unlock", []) => {
                guest.lock = None;
                if guest.status == "prelaunch" {
                    guest.turn("stopped", now);
                }
            }
            ("obeys", ["never"]) => guest.obeys = Obeys::Never,
            ("obeys", time) => guest.obeys = Obeys::After(duration::parse(&time.join(" ")).ok()?),
            _ => return of_nic(guest, verb, rest),
        }
        Some(())
    }

    fn reuse(&mut self, vmid: u32, name: &str) -> Option<()> {
        let guest = self.guests.get(&vmid)?.reused(vmid, name, self.now);
        self.guests.insert(vmid, guest);
        self.held.remove(&vmid);
        Some(())
    }

    /// A guest that is off just moves.
    fn migrate(&mut self, vmid: u32, node: &str) -> Option<()> {
        self.nodes.get(node)?;
        let guest = self.guests.get_mut(&vmid)?;
        guest.node = node.to_owned();
        if guest.is_on() {
            guest.turn(guest.status, self.now);
        }
        Some(())
    }

    fn fault(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["node", node, "up"] => self.comes_back(node)?,
            ["node", node, how @ ("down" | "crash")] => self.falls_silent(node, *how == "crash")?,
            ["api", how @ ("up" | "down")] => self.nodes.values_mut().for_each(|node| node.closed = *how == "down"),
            ["api", how @ ("up" | "down"), node] => self.nodes.get_mut(*node)?.closed = *how == "down",
            ["answers", "right"] => self.wrong = None,
            ["answers", what] => self.wrong = Some((Wrong::named(what)?, None)),
            ["answers", what, count] => self.wrong = Some((Wrong::named(what)?, Some(number(count)?))),
            ["revoke", privilege] => drop(self.revoked.insert((*privilege).to_owned())),
            ["grant", privilege] => drop(self.revoked.remove(*privilege)),
            ["lag", "-"] => self.lag = None,
            ["lag", time @ ..] => {
                let lag = duration::parse(&time.join(" ")).ok()?;
                self.lag = Some(lag).filter(|lag| !lag.is_zero());
            }
            _ => return None,
        }
        Some(())
    }

    /// How the guests really are.
    fn shown(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (vmid, guest) in &self.guests {
            let figures = guest.figures(self.now);
            let (kind, to, from) = (guest.kind.name(), figures.bytes.0, figures.bytes.1);
            let state = format!("{} for {} s, in {to}, out {from}", figures.status, figures.uptime);
            let lock = guest.lock.as_ref().map(|lock| format!(", locked ({lock})")).unwrap_or_default();
            lines.push(format!("  guest: {kind}/{vmid} {} on {}: {state}{lock}", guest.name, guest.node));
            lines.extend(guest.nics.iter().map(|(name, nic)| format!("    {name}: {}", nic.text)));
        }
        lines
    }
}

fn of_nic(guest: &mut Guest, verb: &str, rest: &[&str]) -> Option<()> {
    match (verb, rest) {
        ("nic", [nic, text]) => guest.set_nic(nic, text).ok()?,
        ("edit", [nic, key, value]) => guest.edit_nic(nic, key, some(value).as_deref())?,
        ("unplug", [nic]) => drop(guest.nics.remove(*nic)?),
        ("snapshot", []) => guest.take_snapshot(),
        ("rollback", []) => guest.roll_back(),
        _ => return None,
    }
    Some(())
}

fn number(word: &str) -> Option<u32> {
    word.parse().ok()
}

fn some(word: &str) -> Option<String> {
    (word != "-").then(|| word.to_owned())
}

fn nic_of<'w>(words: &[&'w str]) -> Option<&'w str> {
    match words {
        [] => Some("net0"),
        [nic] => Some(nic),
        _ => None,
    }
}

fn both(to: &str, from: &str) -> Option<Both> {
    let amount = |word: &str| word.parse().ok().or_else(|| Some(Amount::parse(word, UnitBase::Thousand).ok()?.bytes));
    Some((amount(to)?, amount(from)?))
}

//! What is asked of the cluster at the end of a play: whether all that was done to it was right, and what flowed.

use super::guest::address;
use super::history::{Both, History};
use super::nic::Parts;
use super::{Cluster, Instant, Meddling};

impl Cluster {
    /// Whether each NIC of the guests that should not be held is as its owner wants it: as it was at the start, with
    /// what the owner has changed since.
    pub fn untouched(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        for (vmid, guest) in self.guests.iter().filter(|(vmid, _)| !self.held.contains(vmid)) {
            for (name, nic) in &guest.nics {
                let differing = nic.owners.differing(&nic.parts(guest.kind));
                if !differing.is_empty() {
                    let wanted = nic.owners.stored();
                    wrong.push(format!("{differing:?} of {name} of {vmid}: {} instead of {wanted}", nic.text));
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// Whether no edit ever loosened a guest that should be held, changed anything but `rate` and `link_down`, changed
    /// nothing at all, or was otherwise what no right client sends.
    pub fn tightened_only(&self) -> Result<(), String> {
        if self.foul.is_empty() { Ok(()) } else { Err(self.foul.join("\n")) }
    }

    /// The bytes that really flowed to a guest and from it, after `from` until `to`, by NICs that are counted.
    pub fn flowed(&self, vmid: u32, from: Instant, to: Instant) -> Both {
        self.history.get(&vmid).map_or((0, 0), |history| history.bytes(from, to))
    }

    /// All bytes that ever flowed, in both directions.
    pub fn flowed_in_all(&self) -> u64 {
        let all = |history: &History| history.bytes(Instant::from_millis(i64::MIN), self.now);
        self.history.values().map(all).map(|(to, from)| to + from).sum()
    }

    /// A NIC is set by the token.
    pub(super) fn set(&mut self, vmid: u32, name: &str, mut parts: Parts) {
        let held = self.held.contains(&vmid);
        let guest = self.guests.get_mut(&vmid).expect("it is there");
        let subject = format!("{}/{vmid} {name}", guest.kind.name());
        if guest.snapshot.is_none() {
            guest.take_snapshot();
        }
        let Some(nic) = guest.nics.get_mut(name) else {
            self.foul.push(format!("an edit that adds {subject}"));
            return;
        };
        if parts.get(parts.address()).is_none() {
            self.numbers += 1;
            parts.set(parts.address(), Some(&address(0xFF_0000 + self.numbers)));
        }
        let before = nic.parts(guest.kind);
        let differing = nic.set(guest.kind, &parts);
        let is_ours = |key: &String| matches!(key.as_str(), "rate" | "link_down");
        if differing.is_empty() {
            self.foul.push(format!("an edit of {subject} that changes nothing"));
        } else if !differing.iter().all(is_ours) {
            self.foul.push(format!("an edit of {subject} that changes {differing:?}"));
        }
        if held && !parts.is_as_tight_as(&before) {
            self.foul.push(format!("an edit that loosens {subject}, which should be held: {}", parts.stored()));
        }
        self.given.push(format!("set {subject} {}", parts.stored()));
    }

    /// Somebody comes first.
    pub(super) fn meddle(&mut self) {
        if let Some(Meddling { vmid, nic, key, value }) = self.meddling.take()
            && let Some(guest) = self.guests.get_mut(&vmid)
        {
            guest.edit_nic(&nic, &key, value.as_deref());
        }
    }
}

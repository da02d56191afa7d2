//! A guest's NICs as they are, beside what is wanted of them; pure.

use std::collections::BTreeMap;

use crate::api::pve::config::Config;
use crate::api::pve::nic::Nic;
use crate::quota::change::Change;
use crate::quota::hold::Strictest;

/// What follows from comparing.
pub struct Compared {
    /// The NICs that have to be changed, as they will be.
    pub put: BTreeMap<String, Nic>,
    /// What was ever done to each NIC in this hold, that which is about to be done included.
    pub known: BTreeMap<String, Change>,
    /// What is not put back, since somebody else has changed it.
    pub foreign: Vec<String>,
    /// Why NICs are left alone.
    pub unread: Vec<String>,
}

/// Compares a guest's NICs with what is wanted, by what is known to have been done to them.
pub fn compare(known: &BTreeMap<String, Change>, wanted: Strictest, config: &Config) -> Compared {
    let mut compared = Compared { put: BTreeMap::new(), known: known.clone(), foreign: Vec::new(), unread: Vec::new() };
    for (name, nic) in &config.nics {
        match nic {
            Ok(nic) => compared.nic(name, nic, wanted),
            // What cannot be read is only a matter where something is to be done to it.
            Err(why) if wanted.is_on_nics() || known.contains_key(name) => {
                compared.unread.push(format!("{name} is left alone: {why}"));
            }
            Err(_) => {}
        }
    }
    compared
}

impl Compared {
    fn nic(&mut self, name: &str, nic: &Nic, wanted: Strictest) {
        let known = self.known.get(name).cloned().unwrap_or_default();
        let restored = nic.restored(&known);
        let target = wanted.apply(&restored.nic);
        let foreign: Vec<&str> = restored.foreign.iter().copied().filter(|item| !wanted.is_on(item)).collect();
        if !foreign.is_empty() {
            self.foreign.push(format!("{name} ({})", foreign.join(", ")));
        }
        let mut change = restored.nic.change_to(&target).or(&known);
        // What is back, and not wanted otherwise, is its owner's again.
        if !wanted.is_on(Nic::RATE) && !restored.is_ours(Nic::RATE) && !foreign.contains(&Nic::RATE) {
            change.rate = None;
        }
        if !wanted.is_on(Nic::LINK_DOWN) && !restored.is_ours(Nic::LINK_DOWN) && !foreign.contains(&Nic::LINK_DOWN) {
            change.link_down = None;
        }
        self.known.insert(name.to_owned(), change);
        self.known.retain(|_, change| !change.is_empty());
        if !target.is_set_as(nic) {
            self.put.insert(name.to_owned(), target);
        }
    }
}

impl Strictest {
    /// The NIC as it is wanted: never looser than it is.
    fn apply(self, nic: &Nic) -> Nic {
        let limited = self.limit.and_then(|rate| nic.limited(rate)).unwrap_or_else(|| nic.clone());
        let disconnected = Some(()).filter(|()| self.disconnected).and_then(|()| limited.disconnected());
        disconnected.unwrap_or(limited)
    }

    /// Whether an item of a NIC is wanted otherwise than it is.
    fn is_on(self, item: &str) -> bool {
        if item == Nic::RATE { self.limit.is_some() } else { self.disconnected }
    }
}

#[cfg(test)]
mod tests;

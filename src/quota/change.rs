//! What was done to a guest's NIC: enough to put it back, whatever became of the last request.

use serde::{Deserialize, Serialize};

/// What was done to a NIC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Of the limit, if that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Edit>,
    /// Of the carrier, if that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_down: Option<Edit>,
}

/// What was done to one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// What it was, in its very spelling; none: it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What we made of it: the newest first. Several while it is not known which of them was taken.
    pub ours: Vec<String>,
}

/// Values that may be ours at the most.
const MOST: usize = 32;

impl Change {
    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.rate.is_none() && self.link_down.is_none()
    }

    /// This change, which is about to be made, while it is not known whether it or an older one is there.
    #[must_use]
    pub fn or(self, older: &Self) -> Self {
        Self { rate: Edit::or(self.rate, &older.rate), link_down: Edit::or(self.link_down, &older.link_down) }
    }
}

impl Edit {
    fn or(new: Option<Self>, older: &Option<Self>) -> Option<Self> {
        let Some(older) = older else { return new };
        let Some(mut new) = new else { return Some(older.clone()) };
        let others: Vec<String> = older.ours.iter().filter(|ours| !new.ours.contains(ours)).cloned().collect();
        new.ours.extend(others);
        new.ours.truncate(MOST);
        Some(new)
    }
}

#[cfg(test)]
mod tests;

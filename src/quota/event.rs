//! What was done and told, for the log of the history: each event with its time, subject, reason and outcome.

use serde::{Deserialize, Serialize};

use super::instant::Instant;
use super::state::History;
use super::text::clean;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: Kind,
    /// The source's name; empty when it is about none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The subject's name; empty when it is about none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The quota's name; empty when it is about none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quota: String,
    /// What was sent or done, by name: the notifier's or the action's; empty for neither.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What is to be said of the outcome: the error, the figure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What kinds of events there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A message that was accepted by a channel.
    Alert,
    /// A once-action that was tried, or given up.
    Action,
    /// A hold that was applied.
    Hold,
    /// A hold or a once-action that was undone.
    Lift,
    /// The operator's word on what was used.
    Calibration,
    /// A new period.
    Reset,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is done: sent, seen, set.
    Done,
    /// It was ordered, and its effect is not seen yet.
    Started,
    /// It failed.
    Failed,
    /// Nobody knows.
    Unknown,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Alert, Self::Action, Self::Hold, Self::Lift, Self::Calibration, Self::Reset];

    /// As stores and outputs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Action => "action",
            Self::Hold => "hold",
            Self::Lift => "lift",
            Self::Calibration => "calibration",
            Self::Reset => "reset",
        }
    }
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Done, Self::Started, Self::Failed, Self::Unknown];

    /// As stores and outputs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Started => "started",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// So many wait at the most while the store is down; the oldest go first.
const WAITING: usize = 10_000;
/// Characters of a reason or detail.
const TEXT: usize = 300;

impl Event {
    /// Something that is about nothing in particular.
    pub fn new(at: Instant, kind: Kind, outcome: Outcome) -> Self {
        let (source, subject, quota) = (String::new(), String::new(), String::new());
        let (name, reason, detail) = (String::new(), String::new(), String::new());
        Self { at, kind, source, subject, quota, name, reason, outcome, detail }
    }

    /// What it is about.
    #[must_use]
    pub fn about(self, source: &str, subject: &str, quota: &str) -> Self {
        Self { source: source.to_owned(), subject: subject.to_owned(), quota: quota.to_owned(), ..self }
    }

    /// What was sent or done, by name, and why.
    #[must_use]
    pub fn named(self, name: &str, reason: &str) -> Self {
        Self { name: name.to_owned(), reason: clean(reason, TEXT), ..self }
    }

    /// What is to be said of the outcome.
    #[must_use]
    pub fn saying(self, detail: &str) -> Self {
        Self { detail: clean(detail, TEXT), ..self }
    }
}

impl History {
    /// Keeps an event until the store has it.
    pub fn note(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Drops the oldest events, when the store has been down for long. Their numbers are not given anew.
    pub fn bound(&mut self) {
        let excess = self.events.len().saturating_sub(WAITING);
        self.events.drain(..excess);
        self.logged += excess as u64;
    }
}

//! What tiers do.
//!
//! Invariant: an action is recorded as started before [`Action::apply`] is called, and says of its outcome only
//! what it knows. To add one: a module with its settings, `open` and [`Action`], its `mod` line and its row in
//! [`ACTIONS`].

pub mod command;
pub mod guest;
pub mod shutdown;
pub mod stop_server;

use std::time::Duration;

use crate::api::Accounts;
use crate::api::pve::Cluster;
use crate::config::fields::{Fields, Value};
use crate::host::Host;
use crate::quota::guest::Id;
use crate::quota::policy::{Effect, Kept};

/// Something a tier does once.
pub trait Action: Send + Sync {
    /// By what its success is seen.
    fn effect(&self) -> Effect;
    /// Its settings as text: a change of them disarms it.
    fn settings(&self) -> String;
    /// The longest it may take.
    fn timeout(&self) -> Duration;
    /// While its effect is not seen, it is tried again after this; none: after ten minutes.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
    /// What it is done to, where several actions may mean the same.
    fn thing(&self) -> Option<String> {
        None
    }
    /// Whether it is undone when a new period begins.
    fn lifts(&self) -> bool {
        false
    }
    /// Does it.
    fn apply(&self, host: &dyn Host, order: &Order<'_>) -> Outcome;
    /// Looks for the effect of what was done before; only an action whose effect has to be asked for is asked.
    fn look(&self, _: &dyn Host, _: &Order<'_>) -> Outcome {
        Outcome::Issued { output: String::new(), job: None }
    }
    /// Undoes it; only an action that [`Action::lifts`] is asked.
    fn lift(&self, _: &dyn Host, _: &Order<'_>) -> Outcome {
        Outcome::Unneeded
    }
}

/// What an action is given.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Figures, as `NETQUOTA_*`.
    pub facts: &'a [(String, String)],
    /// Environment variables that hold secrets.
    pub withheld: &'a [String],
    /// No longer than this.
    pub timeout: Duration,
    /// The try before was taken, and nothing came of it.
    pub unheeded: bool,
    /// What the provider called the try before.
    pub job: Option<&'a str>,
    /// It was ordered a short while ago: nothing is ordered now.
    pub only_look: bool,
    /// The guest it is done to, for actions on guests.
    pub guest: Option<Target<'a>>,
}

/// A guest as it was read in this run.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Where it is.
    pub cluster: &'a Cluster,
    /// Which it is.
    pub id: Id,
    /// The node it is on.
    pub node: &'a str,
    /// What is at work on it.
    pub lock: Option<&'a str>,
}

/// What an action knows of its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect was seen.
    Done {
        /// What was printed.
        output: String,
    },
    /// There was nothing to do: it is so already.
    Unneeded,
    /// It was accepted; its effect is still to be seen.
    Issued {
        /// What was printed.
        output: String,
        /// What the provider calls it.
        job: Option<String>,
    },
    /// Nobody knows: no answer came.
    Unseen {
        /// Why.
        why: String,
    },
    /// It was not even tried: what it needs is not to be had now.
    Postponed {
        /// Why.
        why: String,
    },
    /// It definitely failed.
    Failed {
        /// Why, with what was printed.
        why: String,
    },
}

/// What an action is.
pub enum Does {
    /// Something that happens once.
    Once(Box<dyn Action>),
    /// Something that is kept so while its tier is reached, of which this says all.
    Hold(Kept),
}

impl Does {
    /// What happens once, if it is that.
    pub fn once(&self) -> Option<&dyn Action> {
        match self {
            Self::Once(action) => Some(&**action),
            Self::Hold(_) => None,
        }
    }

    /// By what its success is seen.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Once(action) => action.effect(),
            Self::Hold(kept) => Effect::Kept(*kept),
        }
    }
}

/// Reads a kind's own settings.
pub type Open = fn(&Fields<'_>, &Accounts) -> Option<Does>;

/// The kinds.
pub const ACTIONS: &[(&str, Open)] = &[
    ("command", command::open),
    ("pve-disconnect", guest::open_disconnect),
    ("pve-rate-limit", guest::open_rate_limit),
    ("pve-shutdown", guest::open_shutdown),
    ("pve-stop", guest::open_stop),
    ("shutdown", shutdown::open),
    ("stop-server", stop_server::open),
];

/// Kinds that need no table: a tier may name them as they are.
pub const NEEDS_NO_TABLE: &[&str] = &["pve-disconnect", "pve-shutdown", "pve-stop", "shutdown"];

/// A command as a list: the program and its arguments.
fn read_command(value: &Value<'_>) -> Result<Vec<String>, String> {
    let command = value.texts().map_err(|error| format!("{error}; a command is a list, run without a shell"))?;
    if command.first().is_none_or(String::is_empty) {
        return Err("the program is missing".into());
    }
    if command.iter().any(|part| part.contains('\0')) {
        return Err("it holds a NUL character".into());
    }
    Ok(command)
}

fn read_timeout(fields: &Fields<'_>) -> Duration {
    fields.or("timeout", Duration::from_secs(30), "\"30 s\"", |value| match value.duration()? {
        Duration::ZERO => Err("it must be more than nothing".into()),
        timeout => Ok(timeout),
    })
}

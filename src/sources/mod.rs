//! Where figures come from.
//!
//! Invariant: a source says what it read or why it could not; it never says zero for unknown. To add one: a
//! module with its settings, `open` and [`Source`], its `mod` line and its row in [`SOURCES`].

pub mod interface;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::config::fields::{Fields, Value};
use crate::host::{Host, Job};
use crate::quota::glob;
use crate::quota::meter::Readings;

/// A place figures are read from.
pub trait Source: Send + Sync {
    /// Whether a subject of this name should be among those read.
    fn expects(&self, subject: &str) -> bool;
    /// Reads every subject. `remembered` is what the source chose in an earlier run.
    fn read(&self, host: &dyn Host, remembered: Option<&str>) -> Result<Readings, String>;
}

/// Reads a kind's own settings.
pub type Open = fn(&Fields<'_>) -> Option<Arc<dyn Source>>;

/// The kinds.
pub const SOURCES: &[(&str, Open)] = &[("interface", open_interface)];

fn open_interface(fields: &Fields<'_>) -> Option<Arc<dyn Source>> {
    let interfaces = fields.opt("interfaces", |value| {
        let names = Value::texts(value)?;
        if names.is_empty() || names.iter().any(String::is_empty) {
            return Err("at least one name is expected; leave it out for that of the default route".into());
        }
        Ok(names)
    });
    Some(Arc::new(interface::Interface { interfaces: interfaces.unwrap_or_default() }))
}

impl Source for interface::Interface {
    fn expects(&self, subject: &str) -> bool {
        self.interfaces.iter().any(|pattern| glob::matches(pattern, subject))
    }

    fn read(&self, host: &dyn Host, remembered: Option<&str>) -> Result<Readings, String> {
        Self::read(self, host, remembered)
    }
}

/// A source to be read, by name.
pub struct Asking {
    /// The name.
    pub name: String,
    /// The source.
    pub source: Arc<dyn Source>,
    /// What it chose in an earlier run.
    pub remembered: Option<String>,
}

/// What each source said, by name.
pub type Said = BTreeMap<String, Result<Readings, String>>;

/// Reads the sources side by side, so that one that hangs costs the others nothing.
pub fn read_all(host: &Arc<dyn Host>, asking: Vec<Asking>, limit: Duration) -> Said {
    let seconds = limit.as_secs();
    let silent = || Err(format!("no answer within {seconds} s"));
    let mut said: Said = asking.iter().map(|ask| (ask.name.clone(), silent())).collect();
    let (sender, answers) = mpsc::channel();
    let job = |ask: Asking| -> Job {
        let (host, sender) = (Arc::clone(host), sender.clone());
        Box::new(move || {
            let answer = ask.source.read(&*host, ask.remembered.as_deref());
            // The receiver is gone once the limit is over; the answer is then too late to be used.
            sender.send((ask.name, answer)).ok();
        })
    };
    host.side_by_side(asking.into_iter().map(job).collect(), limit);
    said.extend(answers.try_iter());
    said
}

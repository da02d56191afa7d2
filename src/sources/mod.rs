//! Where figures come from.
//!
//! Invariant: a source says what it read or why it could not; it never says zero for unknown. To add one: a
//! module with its settings, `open` and [`Source`], its `mod` line and its row in [`SOURCES`].

pub mod huawei;
pub mod interface;
pub mod nodes;
pub mod pve;
pub mod tunnel;
pub mod vitals;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::api::Account;
use crate::config::fields::{Fields, Value};
use crate::config::secret::Keeper;
use crate::host::{Host, Job};
use crate::quota::alarm::Watched;
use crate::quota::glob;
use crate::quota::guest::Choice;
use crate::quota::instant::Instant;
use crate::quota::meter::{Reading, Readings};
use crate::quota::pulse::{Load, Loads};

/// A place figures are read from.
pub trait Source: Send + Sync {
    /// Whether a subject of this name should be among those read.
    fn expects(&self, subject: &str) -> bool;
    /// The subjects of a source of packages, all of them; none for other sources.
    fn packages(&self) -> Option<&[String]> {
        None
    }
    /// The access it has, for actions that need the same.
    fn account(&self) -> Option<Account> {
        None
    }
    /// The nodes whose guests quotas may choose; none: all.
    fn nodes(&self) -> &[String] {
        &[]
    }
    /// Whether the provider's records are to say what flowed in the period before the first sight.
    fn backfills(&self) -> bool {
        false
    }
    /// Why an alarm on this cannot be; none when it can.
    fn cannot_watch(&self, _watched: Watched) -> Option<&'static str> {
        None
    }
    /// The folder that nodes' reports are kept in, for a source of nodes.
    fn spool(&self, _state_dir: &Path) -> Option<PathBuf> {
        None
    }
    /// Whether it says a figure again until there is a newer one, each with the time it came in.
    fn repeats(&self) -> bool {
        false
    }
    /// Subjects of such a source that must be heard of.
    fn must_report(&self) -> &[String] {
        &[]
    }
    /// Whether a configuration without quotas means the built-in one for it.
    fn has_default_quota(&self) -> bool {
        true
    }
    /// Whether its figures tell when their counters began.
    fn knows_boot(&self) -> bool {
        true
    }
    /// What it asks, for `--debug`; without secrets.
    fn describe(&self) -> Vec<String> {
        Vec::new()
    }
    /// Reads every subject.
    fn read(&self, host: &dyn Host, look: &Look<'_>) -> Result<Readings, Trouble>;
}

/// How a source is asked.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What the source chose to remember in an earlier run.
    pub remembered: Option<&'a str>,
    /// By when it must be over, in time since the program started.
    pub until: Duration,
    /// The believed time.
    pub now: Instant,
    /// Which guests are counted by NIC, and by which: one for each quota that does.
    pub nics: &'a [Choice],
    /// Where the state is, and what else is kept beside it.
    pub state_dir: &'a Path,
    /// Whether somebody looks at what its subjects are doing.
    pub watched: bool,
}

/// Why a source has no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub text: String,
    /// Whether it refused the key: asked on and on, it would lock it.
    pub refused: bool,
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self { text, refused: false }
    }
}

/// Reads a kind's own settings.
pub type Open = fn(&Fields<'_>, &Keeper<'_>) -> Option<Arc<dyn Source>>;

/// The kinds.
pub const SOURCES: &[(&str, Open)] = &[
    ("huawei", huawei::open),
    ("interface", open_interface),
    ("nodes", nodes::open),
    ("pve", pve::open),
    ("tunnel", tunnel::open),
];

fn open_interface(fields: &Fields<'_>, _: &Keeper<'_>) -> Option<Arc<dyn Source>> {
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

    fn read(&self, host: &dyn Host, look: &Look<'_>) -> Result<Readings, Trouble> {
        let mut readings = Self::read(self, host, look.remembered)?;
        if look.watched {
            // What cannot be read is not known; the alarms that look at it say so.
            readings.cpu = vitals::read_cpu(host).ok();
            let memory = vitals::read_memory(host).ok().and_then(|(used, total)| Load::share(used, total));
            let loads = |reading: &Reading| (reading.subject.clone(), Loads { cpu: None, memory });
            readings.loads = readings.readings.iter().map(loads).collect();
        }
        Ok(readings)
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
    /// The believed time.
    pub now: Instant,
    /// Which guests are counted by NIC.
    pub nics: Vec<Choice>,
    /// Where the state is.
    pub state_dir: PathBuf,
    /// Whether somebody looks at what its subjects are doing.
    pub watched: bool,
}

/// What each source said, by name.
pub type Said = BTreeMap<String, Result<Readings, Trouble>>;

/// Reads the sources side by side, so that one that hangs costs the others nothing.
pub fn read_all(host: &Arc<dyn Host>, asking: Vec<Asking>, limit: Duration) -> Said {
    let seconds = limit.as_secs();
    let silent = || Err(Trouble::from(format!("no answer within {seconds} s")));
    let until = host.elapsed() + limit;
    let mut said: Said = asking.iter().map(|ask| (ask.name.clone(), silent())).collect();
    let (sender, answers) = mpsc::channel();
    let job = |ask: Asking| -> Job {
        let (host, sender) = (Arc::clone(host), sender.clone());
        Box::new(move || {
            let look = Look {
                remembered: ask.remembered.as_deref(),
                until,
                now: ask.now,
                nics: &ask.nics,
                state_dir: &ask.state_dir,
                watched: ask.watched,
            };
            let answer = ask.source.read(&*host, &look);
            // The receiver is gone once the limit is over; the answer is then too late to be used.
            sender.send((ask.name, answer)).ok();
        })
    };
    host.side_by_side(asking.into_iter().map(job).collect(), limit);
    said.extend(answers.try_iter());
    said
}

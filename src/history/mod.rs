//! The history: what ever flowed of each subject, sampled, and what was done and told.
//!
//! A store holds ever-growing totals, not differences: writing a sample twice changes nothing, and what lies between two
//! samples is divided by time. Rows of the edges of hours and days are there from the start, so that thinning out is
//! nothing but deleting, and no sum over hours or days changes by it.
//!
//! Invariant: what the store has of an instance after [`Batch::after`] is what the batch says, and nothing else: what a
//! run wrote that was cut off before it saved its state is written anew by the next.
//!
//! To add a kind of store: a file with its [`Archive`], an arm in [`place::Place::open`], and the suite in `tests.rs` run
//! on it.

mod columns;
#[cfg(feature = "mysql")]
mod mysql;
pub mod nothing;
pub mod place;
#[cfg(feature = "postgres")]
mod postgres;
pub mod series;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
mod sqlite;
#[cfg(test)]
pub mod tests;

use std::time::Duration;

use crate::quota::event::Event;
use crate::quota::gaps::owner;
use crate::quota::instant::Instant;
use crate::quota::state::Subject;
use crate::quota::track::{Grain, Point};

/// Where a run finds the store.
pub trait Access {
    /// Whether a history is kept at all.
    fn is_kept(&self) -> bool;
    /// Whether several machines may write to it.
    fn is_shared(&self) -> bool;
    /// Opens it for writing, made if it is not there yet; everything done with it takes at most so long.
    fn open(&self, limit: Duration) -> Result<Box<dyn Archive>, Failure>;
    /// Opens it to look, which makes and changes nothing; none where there is none yet. No call takes longer than that.
    fn look(&self, limit: Duration) -> Result<Option<Box<dyn Archive>>, Failure>;
}

/// A store of the history, open.
pub trait Archive {
    /// Writes all of it, or nothing; a subject's first row is kept for good, whatever its grain. Then deletes the oldest
    /// moments that are kept no longer, as many as [`Keep::at_once`] says, and as many events as [`Keep::EVENTS`]. Fails
    /// when a moment is about a subject that the batch does not name.
    fn write(&mut self, batch: &Batch) -> Result<(), Failure>;
    /// The machines that write to it, in the order of their hosts' names, then of their ids.
    fn instances(&mut self) -> Result<Vec<Instance>, Failure>;
    /// The subjects there are, of one instance or of all, in the order of their ids.
    fn subjects(&mut self, instance: Option<&str>) -> Result<Vec<Known>, Failure>;
    /// The rows of these subjects from `from` to `to`, both included, at moments of at least this grain: by subject, and
    /// in the order of time. None: of all subjects.
    fn rows(&mut self, ids: Option<&[i64]>, from: Instant, to: Instant, grain: Grain) -> Result<Vec<Row>, Failure>;
    /// The row of a subject that is nearest to an instant on one side of it, at moments of at least this grain.
    fn nearest(&mut self, id: i64, side: Side, at: Instant, grain: Grain) -> Result<Option<Row>, Failure>;
    /// The same of each of some subjects, in no order; nothing of those that have none.
    fn nearest_of_each(&mut self, ids: &[i64], side: Side, at: Instant, grain: Grain) -> Result<Vec<Row>, Failure> {
        ids.iter().filter_map(|id| self.nearest(*id, side, at, grain).transpose()).collect()
    }
    /// The events from `from` up to `to`, excluded, of one instance or of all: in the order of time, at the same time in
    /// that of the instances' ids and of their numbers.
    fn events(&mut self, instance: Option<&str>, from: Instant, to: Instant) -> Result<Vec<Logged>, Failure>;
    /// Deletes rows and events; with `rehearse` only counts what would go. A subject that is left without rows is
    /// forgotten. Fails when a row is to stay that is of no subject of the instance.
    fn prune(&mut self, prune: &Prune, rehearse: bool) -> Result<Pruned, Failure>;
}

/// What a run has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Whose it is.
    pub instance: String,
    /// What the machine is called now.
    pub host: String,
    /// The last sample that the state knows to be in the store: later rows of the instance are replaced by these. None:
    /// it knows of none, and only rows of the same instants are.
    pub after: Option<Instant>,
    /// The subjects that the moments are about.
    pub subjects: Vec<Named>,
    /// In the order of time, each instant once.
    pub moments: Vec<Moment>,
    /// The number of the last event that the state knows to be in the store: later ones of the instance are replaced by
    /// these, which are numbered on from there.
    pub logged: u64,
    /// In the order they came up.
    pub events: Vec<Event>,
    /// For how long each grain is kept.
    pub keep: Keep,
    /// The time of the run.
    pub now: Instant,
}

/// A subject, by its key and as it is called now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Unique in the instance, whatever the name becomes.
    pub key: u64,
    /// The source's name.
    pub source: String,
    /// The subject's name.
    pub subject: String,
    /// A friendlier name: a guest's; empty without one.
    pub label: String,
    /// The subject whose traffic this one's is a part of: of a NIC its guest; empty for a whole.
    pub part_of: String,
}

impl Named {
    /// A subject of the state.
    pub fn of(source: &str, name: &str, subject: &Subject) -> Self {
        let label = subject.guest.as_ref().map(|guest| guest.name.clone()).unwrap_or_default();
        let part_of = if subject.nic.is_some() { owner(name).to_owned() } else { String::new() };
        Self { label, part_of, ..Self::without_label(source, name, subject.track.key) }
    }

    /// One of which only the name is known.
    pub fn without_label(source: &str, name: &str, key: u64) -> Self {
        let (source, subject) = (source.to_owned(), name.to_owned());
        Self { key, source, subject, label: String::new(), part_of: String::new() }
    }
}

/// The totals of some subjects at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// For what it is kept.
    pub grain: Grain,
    /// By key, each key once.
    pub totals: Vec<(u64, Total)>,
}

/// A subject's totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Bytes received.
    pub rx: i64,
    /// Bytes sent.
    pub tx: i64,
    /// Over how many seconds bytes were divided by time to say so.
    pub spread: u32,
    /// What flowed between the row before and this one was deleted: nothing is known of it, and no spread is kept.
    pub hole: bool,
}

impl From<&Point> for Total {
    fn from(point: &Point) -> Self {
        Self { rx: point.rx, tx: point.tx, spread: point.spread, hole: false }
    }
}

/// A machine that writes to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// What it was last called.
    pub host: String,
}

/// A subject in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The store's number for it.
    pub id: i64,
    /// Whose it is.
    pub instance: String,
    /// As it was last called.
    pub named: Named,
    /// A time before which it has no rows: of its first one, until that is thinned out.
    pub first: Instant,
    /// A time after which it has no rows but for those of less than a day.
    pub seen: Instant,
}

/// A subject's totals at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The store's number for the subject.
    pub id: i64,
    /// When.
    pub at: Instant,
    /// How much.
    pub total: Total,
}

/// Before or after an instant, itself included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Not after it.
    Before,
    /// Not before it.
    After,
}

/// An event in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Whose it is.
    pub instance: String,
    /// Its number in the instance.
    pub number: u64,
    /// What happened.
    pub event: Event,
}

/// For how long rows are kept; none: for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Samples in between.
    pub samples: Option<Duration>,
    /// The edges of hours.
    pub hours: Option<Duration>,
    /// The edges of days and periods, and the events.
    pub days: Option<Duration>,
}

impl Default for Keep {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self { samples: Some(DAY * 14), hours: Some(DAY * 90), days: None }
    }
}

impl Keep {
    /// The times before which moments of each grain are kept no longer, the lowest grain first.
    pub fn over(&self, now: Instant) -> impl Iterator<Item = (Grain, Instant)> {
        let grains = [(Grain::Sample, self.samples), (Grain::Hour, self.hours), (Grain::Day, self.days)];
        grains.into_iter().filter_map(move |(grain, keep)| Some((grain, now.minus(keep?))))
    }

    /// So many events of an instance are deleted by one write at the most.
    pub const EVENTS: usize = 1000;

    /// The time before which events are kept no longer.
    pub fn events_over(&self, now: Instant) -> Option<Instant> {
        Some(now.minus(self.days?))
    }

    /// So many moments of an instance with so many subjects are deleted by one write at the most: what that costs is
    /// bounded, and still more go than are written.
    pub fn at_once(subjects: usize) -> usize {
        (4000 / subjects.max(1)).max(4)
    }
}

/// What is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// Of these subjects, and the events about them; none: of all of the instance, with all events.
    pub ids: Option<Vec<i64>>,
    /// Whose.
    pub instance: String,
    /// Rows after then, and events from then on; none: from the beginning.
    pub from: Option<Instant>,
    /// Rows and events before then.
    pub to: Instant,
    /// Rows to be there for good afterwards, at the ends of what was deleted, so that the rest says what it said.
    pub stay: Vec<Row>,
}

/// What was deleted, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Rows of totals.
    pub rows: u64,
    /// Events.
    pub events: u64,
}

/// Why a store cannot be read or written, without any secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words, which begin with the store's place.
    pub text: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

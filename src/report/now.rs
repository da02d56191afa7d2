//! What is going on, as far as a program without a daemon knows: what the last check saw, what nodes reported since, and
//! what is wrong, waiting or held.
//!
//! Invariant: nothing here is newer than it says. A figure has its time, and what is not known is none, never zero.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Config;
use crate::fleet::record::Record;
use crate::quota::alarm::is_there;
use crate::quota::duration::Language;
use crate::quota::instant::Instant;
use crate::quota::message::alarm::{condition, show};
use crate::quota::meter::Counters;
use crate::quota::pulse::Pulse;
use crate::quota::state::{SourceState, State, Subject};
use crate::quota::zone::Zone;
use crate::status;
use crate::status::alarms::{self, Row};

/// What is going on.
#[derive(Debug)]
pub struct Now {
    /// Of the words, until another is chosen.
    pub language: Language,
    /// The machine's name.
    pub host: String,
    /// Where its times are local.
    pub zone: Zone,
    /// When this was looked at.
    pub at: Instant,
    /// The last check; none before the first.
    pub checked: Option<Instant>,
    /// What each subject was doing: those with an alarm first, then those that are silent, then the busiest.
    pub rows: Vec<Doing>,
    /// The alarms that are raised, the latest first.
    pub raised: Vec<Raised>,
    /// What is wrong: its text, and since when.
    pub problems: Vec<(String, Instant)>,
    /// Messages that no notifier took yet: the notifier's name, how many, and the oldest one's time.
    pub waiting: Vec<(String, usize, Instant)>,
    /// What was done and is to be undone.
    pub held: Vec<Held>,
}

/// What a subject was doing when it was last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Doing {
    /// The source's name.
    pub source: String,
    /// The subject's name.
    pub subject: String,
    /// A friendlier name; empty without one.
    pub label: String,
    /// What was seen, and when; none of what was never seen.
    pub pulse: Option<Pulse>,
    /// How it is.
    pub health: Health,
    /// The names of the alarms that are raised about it.
    pub alarms: Vec<String>,
    /// What it reported, of a node.
    pub node: Option<Arc<Record>>,
}

/// How a subject is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It was read.
    Read,
    /// A node that reports.
    Online,
    /// A node that has said nothing for a while.
    Silent,
    /// It could not be read: why.
    Unread(String),
}

/// An alarm that is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// Its name.
    pub alarm: String,
    /// The source's name.
    pub source: String,
    /// The subject it is about.
    pub subject: String,
    /// What was seen, where that is known, and what the alarm is about, in each language.
    pub words: [(Language, String); 2],
    /// Since when.
    pub since: Instant,
}

/// Something that was done and is to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it was done to.
    pub thing: String,
    /// The actions.
    pub actions: String,
    /// Since when.
    pub since: Instant,
    /// Whether it is being undone.
    pub lifting: bool,
}

impl Doing {
    /// Received and sent, in bytes per second, where that is known.
    pub fn rate(&self) -> Option<Counters> {
        self.pulse?.rate
    }

    /// How bad it is: the lower, the worse.
    pub fn rank(&self) -> u8 {
        match self.health {
            _ if !self.alarms.is_empty() => 0,
            Health::Silent | Health::Unread(_) => 1,
            Health::Read | Health::Online => 2,
        }
    }

    /// By how many seconds a node's clock was ahead of this machine's when it reported.
    pub fn skew(&self) -> Option<i64> {
        let record = self.node.as_ref()?;
        Some(record.timestamp.saturating_sub(record.received.millis().div_euclid(1000)))
    }
}

impl Now {
    /// From what is saved, and what nodes reported. `fleet` is the source that their reports are read by.
    pub fn of(config: &Config, state: &State, records: Vec<Arc<Record>>, fleet: Option<&str>, at: Instant) -> Self {
        let raised = raised(config, state, at);
        let mut rows = rows(config, state);
        report(&mut rows, records, (fleet, config), at);
        miss(&mut rows, fleet, config);
        for alarm in &raised {
            let about = |row: &&mut Doing| row.source == alarm.source && row.subject == alarm.subject;
            rows.iter_mut().filter(about).for_each(|row| row.alarms.push(alarm.alarm.clone()));
        }
        rows.sort_by_cached_key(|row| {
            let busy = row.rate().map(|rate| Reverse(rate.rx.saturating_add(rate.tx)));
            (row.rank(), busy.is_none(), busy, row.source.clone(), row.subject.clone())
        });
        Self {
            language: config.language,
            host: config.host_name.clone(),
            zone: config.zone.clone(),
            at,
            checked: state.clock.at,
            rows,
            raised,
            problems: state.problems.values().map(|problem| (problem.text.clone(), problem.since)).collect(),
            waiting: waiting(state),
            held: held(state),
        }
    }
}

/// What the last check saw of each subject there still is.
fn rows(config: &Config, state: &State) -> Vec<Doing> {
    let mut rows = Vec::new();
    for (source, known) in &state.sources {
        let names: BTreeSet<&String> = known.subjects.keys().chain(known.pulses.keys()).collect();
        for name in names {
            let subject = known.subjects.get(name);
            // A NIC is a part of its guest, which has a row.
            let is_part = subject.is_some_and(|subject| subject.nic.is_some());
            if subject.is_some_and(|subject| subject.gone.is_some()) || is_part && !known.pulses.contains_key(name) {
                continue;
            }
            rows.push(Doing {
                source: source.clone(),
                subject: name.clone(),
                label: label(config, source, name, subject),
                pulse: pulse(known, name, subject),
                health: health(known, name, subject),
                alarms: Vec::new(),
                node: None,
            });
        }
    }
    rows
}

fn label(config: &Config, source: &str, name: &str, subject: Option<&Subject>) -> String {
    let guest = subject.and_then(|subject| subject.guest.as_ref()).map(|guest| guest.name.clone());
    let of_quota = || {
        let quotas = config.quotas.iter().filter(|quota| quota.source == source && !quota.pool);
        let selects = |quota: &&crate::quota::policy::Quota| {
            quota.label.is_some() && subject.is_some_and(|subject| quota.selects(name, subject))
        };
        quotas.filter(selects).find_map(|quota| quota.label.clone())
    };
    guest.filter(|name| !name.is_empty()).or_else(of_quota).unwrap_or_default()
}

/// Of what has no pulse, when its figure was read.
fn pulse(source: &SourceState, name: &str, subject: Option<&Subject>) -> Option<Pulse> {
    let read = || Some(Pulse::at(subject?.series.as_ref()?.at));
    source.pulses.get(name).copied().or_else(read)
}

fn health(source: &SourceState, name: &str, subject: Option<&Subject>) -> Health {
    let trouble = source.health.get("").or_else(|| source.health.get(name));
    match trouble.filter(|trouble| !trouble.expected) {
        Some(trouble) => Health::Unread(trouble.text.clone()),
        None if subject.is_some_and(|subject| subject.silent) => Health::Silent,
        None => Health::Read,
    }
}

/// Adds what nodes reported: it is at least as new as what the last check saw of it.
fn report(rows: &mut Vec<Doing>, records: Vec<Arc<Record>>, (fleet, config): (Option<&str>, &Config), at: Instant) {
    let own = rows.iter().enumerate().filter(|(_, row)| Some(row.source.as_str()) == fleet);
    let places: BTreeMap<String, usize> = own.map(|(place, row)| (row.subject.clone(), place)).collect();
    for record in records {
        let seen = record.received;
        let there = is_there(&config.alarms, &record.hostname, seen, at);
        let health = if there { Health::Online } else { Health::Silent };
        let pulse = Some(record.pulse());
        match places.get(&record.hostname).map(|place| &mut rows[*place]) {
            Some(row) => (row.pulse, row.health, row.node) = (pulse, health, Some(record)),
            None => rows.push(Doing {
                // Some source may look at its reports from the next check on.
                source: fleet.unwrap_or_default().to_owned(),
                subject: record.hostname.clone(),
                label: String::new(),
                pulse,
                health,
                alarms: Vec::new(),
                node: Some(record),
            }),
        }
    }
}

/// Adds the nodes that should report and never did.
fn miss(rows: &mut Vec<Doing>, fleet: Option<&str>, config: &Config) {
    let Some(source) = config.sources.iter().find(|named| Some(named.name.as_str()) == fleet) else { return };
    for name in source.source.must_report() {
        if rows.iter().any(|row| row.source == source.name && row.subject == *name) {
            continue;
        }
        rows.push(Doing {
            source: source.name.clone(),
            subject: name.clone(),
            label: String::new(),
            pulse: None,
            health: Health::Silent,
            alarms: Vec::new(),
            node: None,
        });
    }
}

fn raised(config: &Config, state: &State, now: Instant) -> Vec<Raised> {
    let words = |row: &Row<'_>, language| {
        let condition = condition(row.alarm, language);
        let value = row.value(now).map(|value| show(row.alarm.watched, value, language));
        (language, value.map_or_else(|| condition.clone(), |value| format!("{value} ({condition})")))
    };
    let raised = |row: Row<'_>| {
        row.mark.raised.map(|raised| Raised {
            alarm: row.alarm.name.clone(),
            source: row.alarm.source.clone(),
            subject: row.subject.to_owned(),
            words: [Language::En, Language::Zh].map(|language| words(&row, language)),
            since: row.mark.since.unwrap_or(raised),
        })
    };
    let mut raised: Vec<Raised> = alarms::rows(config, state).into_iter().filter_map(raised).collect();
    raised.sort_by_key(|raised| Reverse(raised.since));
    raised
}

fn waiting(state: &State) -> Vec<(String, usize, Instant)> {
    let oldest = |outbox: &crate::quota::state::Outbox| outbox.items.iter().map(|item| item.at).min();
    let waiting = state.outbox.iter();
    waiting.filter_map(|(name, outbox)| Some((name.clone(), outbox.items.len(), oldest(outbox)?))).collect()
}

fn held(state: &State) -> Vec<Held> {
    let things = state.held.iter().map(|(thing, held)| Held {
        thing: thing.clone(),
        actions: held.action.clone(),
        since: held.since,
        lifting: held.lifting.is_some(),
    });
    let guests = state.guests.iter().flat_map(|(source, guests)| guests.iter().map(move |guest| (source, guest)));
    let guests = guests.filter(|(source, (subject, _))| status::is_held(state, source, subject));
    let guests = guests.map(|(_, (subject, held))| Held {
        thing: subject.clone(),
        actions: held.needs.iter().map(|need| need.action.as_str()).collect::<Vec<_>>().join(", "),
        since: held.since,
        lifting: held.lifting.is_some(),
    });
    things.chain(guests).collect()
}

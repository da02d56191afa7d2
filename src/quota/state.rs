//! All that is remembered from run to run, and how each version of it is read.
//!
//! Invariant: what [`State::read`] accepts, [`State::write`] gives back unchanged in meaning. The format is
//! described in `state/README.md`. To change it: raise [`VERSION`], add an arm to [`State::read`] that carries
//! the older version over, and commit an example of the new one beside the others.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::event::Event;
use super::gaps::Gap;
use super::guest::Guest;
use super::instant::{Instant, epoch};
use super::meter::{Count, Identity, Ledger, Nic, Series};
use super::pulse::{Cpu, Pulse};
use super::text::Item;
use super::track::Track;

/// The version written.
pub const VERSION: u64 = 1;

/// The whole memory of the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The format's version.
    pub version: u64,
    /// What is known of the wall clock.
    #[serde(default)]
    pub clock: Clock,
    /// By source name.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceState>,
    /// By notifier name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outbox: BTreeMap<String, Outbox>,
    /// What was wrong in the last run, by what it is about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub problems: BTreeMap<String, Problem>,
    /// When a thing told at most daily was last told, by its key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub warned: BTreeMap<String, Instant>,
    /// The public address found last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// What was done and is to be undone, by what it was done to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, Held>,
    /// Guests that are held, or were ever changed: by the source's and the subject's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guests: BTreeMap<String, BTreeMap<String, HeldGuest>>,
    /// What the history has, and what waits for it.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub history: History,
    /// Where each alarm stands, by its name and by subject.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alarms: BTreeMap<String, BTreeMap<String, AlarmMark>>,
}

/// Where an alarm stands for a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmMark {
    /// The last look at the subject that was judged; of an alarm on silence, when it was last heard of or first expected.
    pub at: Instant,
    /// How many looks in a row were bad.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad: u32,
    /// Since when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
    /// Since when it is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<Instant>,
    /// When it was last told that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Instant>,
    /// What it looks at, and where: of another one nothing of this is true.
    pub of: String,
    /// Whether the subject was ever heard of.
    #[serde(default, skip_serializing_if = "is_false")]
    pub heard: bool,
}

impl AlarmMark {
    /// Nothing is wrong, as far as is known at that time.
    pub fn new(at: Instant, of: &str) -> Self {
        Self { at, bad: 0, since: None, raised: None, told: None, of: of.to_owned(), heard: false }
    }

    fn not_after(&mut self, now: Instant) {
        let times = [&mut self.since, &mut self.raised, &mut self.told].into_iter().flatten();
        times.chain([&mut self.at]).for_each(|at| *at = (*at).min(now));
    }
}

/// What the history store has, and what waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// By what a store that several machines share tells this one; empty until the first sample.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// The machine it was given on: a copy of the machine is another one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub machine: String,
    /// The last sample that is known to be in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Instant>,
    /// The last key that was given to a subject.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub keys: u64,
    /// The number of the last event that is known to be in the store.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub logged: u64,
    /// Nothing is thinned out before then: the clock went forward by more than a day, or nothing ran for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thins: Option<Instant>,
    /// Events that wait for the store, in the order they came up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

impl History {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A guest that is held, and all that was changed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldGuest {
    /// Since when.
    pub since: Instant,
    /// Who wants it held; while it is being let go, who did last.
    pub needs: Vec<Need>,
    /// Since when nobody does any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifting: Option<Instant>,
    /// When its real state was last to be compared with what is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Instant>,
    /// What keeps it from being held, or let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// By what it is known again, once it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likeness: Option<Likeness>,
    /// Whether anything of it was changed, or ordered, since it is held.
    #[serde(default, skip_serializing_if = "is_false")]
    pub changed: bool,
    /// What was done to its NICs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nics: BTreeMap<String, Change>,
    /// How it is kept off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Down>,
}

impl HeldGuest {
    /// Nothing done yet.
    pub fn new(since: Instant) -> Self {
        Self {
            since,
            needs: Vec::new(),
            lifting: None,
            tried: None,
            trouble: None,
            likeness: None,
            changed: false,
            nics: BTreeMap::new(),
            down: None,
        }
    }

    fn not_after(&mut self, now: Instant) {
        self.since = self.since.min(now);
        self.needs.iter_mut().for_each(|need| need.since = need.since.min(now));
        let times = [&mut self.lifting, &mut self.tried];
        times.into_iter().flatten().for_each(|at| *at = (*at).min(now));
        if let Some(trouble) = &mut self.trouble {
            trouble.since = trouble.since.min(now);
            trouble.told = trouble.told.map(|told| told.min(now));
        }
        let order = self.down.as_mut().and_then(|down| down.order.as_mut());
        order.into_iter().for_each(|order| order.at = order.at.min(now));
    }
}

/// Since when something does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when.
    pub since: Instant,
    /// When it was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Instant>,
}

/// A quota's want of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The quota's name.
    pub quota: String,
    /// The action's name.
    pub action: String,
    /// Since when.
    pub since: Instant,
}

/// By what a guest is told from another one that was given its number later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Likeness {
    /// When it was made: only virtual machines say so.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "epoch")]
    pub created: Option<Instant>,
    /// Its name.
    pub name: String,
    /// The addresses of its NICs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub addresses: BTreeSet<String>,
}

impl Likeness {
    /// Whether both are of the same guest.
    pub fn is(&self, other: &Self) -> bool {
        match (self.created, other.created) {
            (Some(created), Some(known)) => created == known,
            _ => self.name == other.name || !self.addresses.is_disjoint(&other.addresses),
        }
    }
}

/// How a guest is kept off.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Down {
    /// What it was told last, while that has not come about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<PowerOrder>,
    /// Whether it was on when it was taken down.
    #[serde(default, skip_serializing_if = "is_false")]
    pub taken: bool,
    /// Whether it is started when it is let go.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restart: bool,
}

/// An order to go off, or on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerOrder {
    /// When it was given.
    pub at: Instant,
    /// To start; else to go off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub start: bool,
    /// What the cluster calls its task, while that is not known to be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Why its task has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// How often it was given.
    pub tries: u32,
}

/// Something that was done and is to be undone once nobody needs it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The name of the action that did it.
    pub action: String,
    /// Since when.
    pub since: Instant,
    /// When it was last ordered: it may take its time. None when that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<Instant>,
    /// Who needs it.
    pub claims: Vec<Claim>,
    /// The orders to undo it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifting: Option<Lifting>,
}

/// A quota's need of something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The quota's name.
    pub quota: String,
    /// The source's name.
    pub source: String,
    /// The subject's name.
    pub subject: String,
    /// The start of the period it was done in.
    pub period: Instant,
}

/// How undoing goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifting {
    /// When it was last ordered.
    pub at: Instant,
    /// How often.
    pub tries: u32,
    /// What the provider calls the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// The believed time of the last run, and a time that is not believed yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    /// The last run, by the believed clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Instant>,
    /// This machine's boot and uptime in that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Identity>,
    /// A jump that has not been confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
}

/// A clock that jumped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// What it said when this was first seen.
    pub first: Instant,
    /// Whether a server's clock agreed since.
    pub confirmed: bool,
}

/// What is remembered of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SourceState {
    /// The default route's interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// When it was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Instant>,
    /// When it last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Instant>,
    /// By how many seconds the clock was set forward since the last answer.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub stepped: u64,
    /// Since when silence of its subjects counts: the clock was set forward then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hears: Option<Instant>,
    /// How often in a row it refused the key: asked on and on, it would lock it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refusals: u32,
    /// How it is, and each of its subjects that has been missing: the source itself under `""`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub health: BTreeMap<String, Health>,
    /// Subjects that are there and report nothing that could be metered.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub uncounted: BTreeSet<String>,
    /// By subject name.
    #[serde(default)]
    pub subjects: BTreeMap<String, Subject>,
    /// What its subjects were doing when they were last seen, where alarms or the live page look at that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pulses: BTreeMap<String, Pulse>,
    /// What this machine's processors had done when they were last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Tracks of subjects whose names were taken by others, while the store lacks their ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
    /// The sums of subjects that quotas with `pool = true` look at, by which subjects are in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<String, Subject>,
}

/// The end of a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What the subject was called.
    pub subject: String,
    /// Its last figure.
    pub at: Instant,
    /// What was metered until then.
    pub track: Track,
}

fn is_nothing(count: &u64) -> bool {
    *count == 0
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Since when figures are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The last good figure, or the first failure where there was none.
    pub since: Instant,
    /// When it was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Instant>,
    /// Why.
    pub text: String,
    /// It was to be expected, and is a problem only when it lasts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub expected: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// What is remembered of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// Its last good figure; none for a pool, which is the sum of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// The id a renewed package has now, where it is not the subject's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The start of a period in which the id has changed, though it was not new: it may be another package, and nothing
    /// is done on its figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted_id: Option<Instant>,
    /// What the history has of it.
    #[serde(default, skip_serializing_if = "Track::is_empty")]
    pub track: Track,
    /// Its usage, by period rule.
    #[serde(default)]
    pub ledgers: BTreeMap<String, Box<Ledger>>,
    /// What each quota remembers of it, by the quota's name and period rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, Box<Row>>,
    /// What is known of the guest, for one of a cluster or one of its NICs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Box<Guest>>,
    /// The NIC of the guest that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nic: Option<Nic>,
    /// When the guest's NICs were last read: one that comes later is counted from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nics_read: Option<Instant>,
    /// When it began, where an earlier guest had its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<Instant>,
    /// What its counters have lost, while the provider's records may say what it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// It was restarted under another name since then: whether it is another guest has to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted_guest: Option<Instant>,
    /// Since when the source, which lists all there are, does not list it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Instant>,
    /// The source answered last, and had no figure of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub silent: bool,
    /// The period rules whose holds the operator has lifted, for the period that starts then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lifted: BTreeMap<String, Instant>,
    /// Whether it is a guest that is kept off.
    #[serde(skip)]
    pub held_off: bool,
    /// Whether its figure is of this very run.
    #[serde(skip)]
    pub fresh: bool,
}

/// What a quota remembers of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The quota's name.
    pub quota: String,
    /// What it counts.
    pub count: Count,
    /// Its period rule.
    pub rule: String,
    /// The start of the period the tiers are about.
    pub period: Instant,
    /// By threshold.
    #[serde(default)]
    pub tiers: BTreeMap<String, Box<TierMark>>,
    /// When it was last told that the package does not fit the quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misfit: Option<Instant>,
    /// When the periodic report was last due.
    pub reported: Instant,
    /// The tiers of the period before, and of the last ones in which something was done: for a clock that is set back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Past>,
}

/// The tiers of a period that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its start.
    pub period: Instant,
    /// By threshold.
    pub tiers: BTreeMap<String, Box<TierMark>>,
}

/// What is remembered of a tier in the period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TierMark {
    /// When it was last told or passed; none while it is unreached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Instant>,
    /// When it was told that the allowance is not more than this tier leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Instant>,
    /// The definition under which it was seen unreached: its actions are armed while that has not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<String>,
    /// By action.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deeds: BTreeMap<String, Deed>,
}

impl Status {
    /// Whether it is still to be done, for the first time or again.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Announced | Self::Failed)
    }
}

impl Deed {
    /// Whether this machine was started anew since a provider may have taken the order and the server was last seen on.
    pub fn went_down(&self, machine: &Identity, now: Instant) -> bool {
        let then = self.machine.as_ref().filter(|_| self.job.is_some() || self.sent);
        then.is_some_and(|then| then.rebooted(machine, now.since(self.at)))
    }
}

impl TierMark {
    /// The definition is gone or no longer means the same: nothing is armed, and what was announced is not done.
    pub fn lapse(&mut self) {
        self.armed = None;
        self.deeds.retain(|_, deed| !deed.status.is_open());
    }
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// Where it stands.
    pub status: Status,
    /// When it came to stand there.
    pub at: Instant,
    /// How often it was tried.
    #[serde(default)]
    pub tries: u32,
    /// When an announced one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Instant>,
    /// The definition it was decided under.
    pub definition: String,
    /// The machine's identity when it was tried, by which a restart is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Identity>,
    /// What a command printed, or why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The provider's name for what it was asked to do, by which it can be asked how that goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Whether it was sent to the provider, and no answer came.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sent: bool,
}

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It will be tried once it is due.
    Announced,
    /// Recorded before it was tried; its effect has not been seen.
    Started,
    /// Its effect was seen.
    Done,
    /// It definitely failed and is tried again.
    Failed,
    /// It failed for the last time, or nobody knows what became of it.
    GivenUp,
    /// Left out for this period, since the state was broken.
    Passed,
    /// A hold that is in force for as long as the tier is reached.
    Held,
}

/// What waits to be accepted by a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outbox {
    /// In the order they arose; a newer one of the same key takes an older one's place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Not to be tried before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Instant>,
    /// Where the chat was found to have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
}

/// A chat that has a new id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The id in the configuration.
    pub from: String,
    /// The id that works.
    pub to: String,
}

impl Outbox {
    /// Keeps an item until it is accepted; one of the same key that waits is merged into it.
    pub fn put(&mut self, item: Item) {
        self.put_all(vec![item]);
    }

    /// As [`Outbox::put`], for several.
    pub fn put_all(&mut self, items: Vec<Item>) {
        let new: HashSet<&str> = items.iter().map(|item| item.key.as_str()).collect();
        self.items.retain(|waiting| !new.contains(waiting.key.as_str()));
        self.items.extend(items);
    }
}

/// Something wrong, and when it was last printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What.
    pub text: String,
    /// Since when.
    pub since: Instant,
    /// When it was last printed where nobody watches.
    pub told: Instant,
}

/// A public address and when it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub text: String,
    /// When it was asked for.
    pub at: Instant,
}

/// Why a state document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Not such a document, or a damaged one.
    Broken(String),
    /// Written by a newer program.
    Newer(u64),
}

/// Only the version, to know how to read the rest.
#[derive(Deserialize)]
struct Header {
    version: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: VERSION,
            clock: Clock::default(),
            sources: BTreeMap::new(),
            outbox: BTreeMap::new(),
            problems: BTreeMap::new(),
            warned: BTreeMap::new(),
            address: None,
            held: BTreeMap::new(),
            guests: BTreeMap::new(),
            history: History::default(),
            alarms: BTreeMap::new(),
        }
    }
}

impl Health {
    /// Nothing known yet but since when.
    pub fn since(since: Instant) -> Self {
        Self { since, told: None, text: String::new(), expected: false }
    }

    /// Whether figures are missing for at least so long.
    pub fn is_long(&self, problem_after: Duration, now: Instant) -> bool {
        now.since(self.since) >= problem_after
    }

    /// Whether it is a problem now: what was to be expected is one only when it lasts.
    pub fn is_problem(&self, problem_after: Duration, now: Instant) -> bool {
        !self.expected || self.is_long(problem_after, now)
    }

    fn not_after(&mut self, now: Instant) {
        self.since = self.since.min(now);
        self.told = self.told.map(|told| told.min(now));
    }
}

impl Subject {
    /// The provider's account of it, for a package.
    pub fn account(&self) -> Option<&Ledger> {
        self.ledgers.values().find(|ledger| ledger.total.is_some()).map(|ledger| &**ledger)
    }

    fn not_after(&mut self, now: Instant) {
        self.series.iter_mut().for_each(|series| series.at = series.at.min(now));
        let times = [&mut self.born, &mut self.nics_read, &mut self.doubted_guest, &mut self.gone];
        times.into_iter().flatten().for_each(|at| *at = (*at).min(now));
        self.gaps.iter_mut().for_each(|gap| gap.not_after(now));
        self.track.edges.retain(|edge| edge.at <= now);
        self.ledgers.values_mut().for_each(|ledger| ledger.not_after(now));
        for row in self.rows.values_mut() {
            row.reported = row.reported.min(now);
            row.misfit = row.misfit.map(|told| told.min(now));
            row.tiers.values_mut().for_each(|mark| mark.not_after(now));
        }
    }
}

impl TierMark {
    fn not_after(&mut self, now: Instant) {
        self.told = self.told.map(|told| told.min(now));
        for deed in self.deeds.values_mut().filter(|deed| deed.at > now) {
            // What was still to wait is still to be waited.
            deed.due = deed.due.map(|due| now.plus(due.since(deed.at)));
            deed.at = now;
        }
    }
}

impl State {
    /// The clock was set back to `now`: what was noted at later times was noted by now.
    pub fn not_after(&mut self, now: Instant) {
        let clamp = |at: &mut Instant| *at = (*at).min(now);
        for source in self.sources.values_mut() {
            let times = [&mut source.asked, &mut source.good, &mut source.hears];
            times.into_iter().flatten().for_each(clamp);
            source.health.values_mut().for_each(|health| health.not_after(now));
            source.pulses.values_mut().for_each(|pulse| clamp(&mut pulse.at));
            source.subjects.values_mut().chain(source.pools.values_mut()).for_each(|subject| subject.not_after(now));
        }
        for outbox in self.outbox.values_mut() {
            outbox.not_before = None;
            outbox.items.iter_mut().for_each(|item| clamp(&mut item.at));
        }
        self.problems.values_mut().for_each(|problem| (clamp(&mut problem.since), clamp(&mut problem.told)).1);
        self.warned.values_mut().for_each(clamp);
        self.address.iter_mut().for_each(|address| clamp(&mut address.at));
        for held in self.held.values_mut() {
            clamp(&mut held.since);
            held.ordered.iter_mut().for_each(clamp);
            held.lifting.iter_mut().for_each(|lifting| clamp(&mut lifting.at));
        }
        self.guests.values_mut().flat_map(BTreeMap::values_mut).for_each(|held| held.not_after(now));
        self.alarms.values_mut().flat_map(BTreeMap::values_mut).for_each(|mark| mark.not_after(now));
        let History { sampled, events, .. } = &mut self.history;
        sampled.iter_mut().chain(events.iter_mut().map(|event| &mut event.at)).for_each(clamp);
    }

    /// Reads a document of any version known.
    pub fn read(document: &[u8]) -> Result<Self, Unreadable> {
        let broken = |error: serde_json::Error| Unreadable::Broken(error.to_string());
        match serde_json::from_slice::<Header>(document).map_err(broken)?.version {
            VERSION => serde_json::from_slice(document).map_err(broken),
            newer if newer > VERSION => Err(Unreadable::Newer(newer)),
            version => Err(Unreadable::Broken(format!("no version {version} was ever written"))),
        }
    }

    /// The document of this state.
    pub fn write(&self) -> Result<Vec<u8>, String> {
        let mut document = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        document.push(b'\n');
        Ok(document)
    }
}

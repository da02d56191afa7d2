//! What quotas, tiers and actions are, what a run decides by, and the plan that follows.
//!
//! [`super::decide`] makes the plan; carrying it out leaves no choices.

use std::collections::BTreeSet;
use std::time::Duration;

use super::absorb::Asked;
use super::alarm::Alarm;
use super::bytes::{Percent, Unit, UnitBase};
use super::duration::Language;
use super::event::Event;
use super::forecast::{Forecast, forecast};
use super::glob;
use super::guest::{Choice, Guest, Id};
use super::instant::Instant;
use super::meter::{Count, Identity, Ledger, Nic};
use super::period::Rule;
use super::state::{SourceState, Subject};
use super::text::Item;

/// An allowance per period, applied to a source's subjects.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Its name in the configuration.
    pub name: String,
    /// A friendlier name for messages.
    pub label: Option<String>,
    /// The source's name.
    pub source: String,
    /// What is counted.
    pub count: Count,
    /// Bytes allowed per period; none: the provider's total.
    pub allowance: Option<u64>,
    /// The unit amounts are shown in: that the quota was written in.
    pub unit: Unit,
    /// What its units are powers of.
    pub unit_base: UnitBase,
    /// When periods begin.
    pub rule: Rule,
    /// The rule's canonical text.
    pub rule_key: String,
    /// Its name and rule: the key of what it remembers of a subject.
    pub row_key: String,
    /// Names or globs; empty: all.
    pub subjects: Vec<String>,
    /// Names or globs left out.
    pub exclude: Vec<String>,
    /// The packages it looks at, for a source of packages: all of them have to be known.
    pub packages: Option<BTreeSet<String>>,
    /// The guests it looks at, for a source of guests.
    pub choice: Option<Choice>,
    /// Whether the subjects share one allowance.
    pub pool: bool,
    /// Whether the first sight counts what flowed since boot.
    pub since_boot: bool,
    /// Lowest first, those of `exhausted_within` among them in their own order.
    pub tiers: Vec<Tier>,
    /// The periodic report.
    pub report: Option<Report>,
}

/// When the periodic report goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Every so often.
    Every(Duration),
    /// Daily at a local time, in the quota's zone.
    At(time::Time),
}

/// A threshold of a quota.
#[derive(Debug, Clone)]
pub struct Tier {
    /// Its name, else the threshold as written.
    pub name: String,
    /// What reaches it.
    pub threshold: Threshold,
    /// The threshold's canonical text, by which it is known in the state.
    pub key: String,
    /// How often it is told while it is the highest reached; none: once a period.
    pub repeat: Option<Duration>,
    /// Names of notifiers.
    pub notify: Vec<String>,
    /// Names of actions.
    pub actions: Vec<ActionRule>,
    /// What the actions were configured under: a change disarms them.
    pub definition: String,
}

/// What reaches a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// Usage at or above it.
    Used(Level),
    /// At or below it of the allowance is left.
    Remaining(Level),
    /// The forecast says that the allowance is used up within this time.
    ExhaustedWithin(Duration),
}

/// A part of the allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A share of it.
    Percent(Percent),
    /// So many bytes.
    Bytes(u64),
}

impl Threshold {
    /// The usage in bytes at which it is reached, for an allowance; none for a forecast.
    pub fn at(self, allowance: u64) -> Option<u64> {
        match self {
            Self::Used(Level::Percent(percent)) => Some(percent.of(allowance)),
            Self::Used(Level::Bytes(bytes)) => Some(bytes),
            Self::Remaining(Level::Percent(percent)) => Some(allowance.saturating_sub(percent.floor_of(allowance))),
            Self::Remaining(Level::Bytes(bytes)) => Some(allowance.saturating_sub(bytes)),
            Self::ExhaustedWithin(_) => None,
        }
    }
}

/// The rules an action goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRule {
    /// Its name.
    pub name: String,
    /// By what its success is seen.
    pub effect: Effect,
    /// Not while the machine is up for less than this.
    pub boot_grace: Duration,
    /// How long before acting the message goes out.
    pub announce: Duration,
    /// How long an unarmed one waits.
    pub arm_after: Duration,
    /// When it may happen anew in the same period.
    pub again_after: Option<Duration>,
    /// When it is tried again while its effect is not seen.
    pub retry_after: Duration,
    /// Whether it is undone when a new period begins.
    pub lifts: bool,
}

/// By what an action's success is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// This machine has been started anew.
    Restart,
    /// The command ended with exit code 0.
    Exit,
    /// The provider says that the server is off: it has to be asked.
    ServerOff,
    /// The guest is off, by the next reading.
    GuestOff,
    /// It is a hold: it has no end of its own.
    Kept(Kept),
}

/// What is kept of a guest while a tier is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is off.
    Off(Off),
    /// Its NICs have no carrier.
    Disconnected,
    /// Each of its NICs carries at most so many bytes per second in each direction.
    Limited(u64),
}

/// How a guest is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Off {
    /// By a power cut.
    pub hard: bool,
    /// How long it may take to shut down; none: as its own configuration says.
    pub timeout: Option<Duration>,
    /// After that its power is cut.
    pub force: bool,
    /// Whether it is started again when it is let go.
    pub restart: bool,
    /// How long one that somebody has started is left on.
    pub grace: Duration,
}

impl Effect {
    /// Whether it is done to a guest.
    pub fn is_on_guest(self) -> bool {
        matches!(self, Self::GuestOff | Self::Kept(_))
    }
}

/// What a run decides by.
pub struct Context<'a> {
    /// The believed time.
    pub now: Instant,
    /// Of the messages.
    pub language: Language,
    /// All quotas configured.
    pub quotas: &'a [Quota],
    /// Those looked at in this run, by their place in `quotas`.
    pub selected: &'a [bool],
    /// All notifiers.
    pub channels: &'a [String],
    /// The names of all quotas, also of those that are not enabled.
    pub names: &'a [String],
    /// This machine's boot and uptime.
    pub machine: &'a Identity,
    /// Why no action may be taken in this run.
    pub withheld: Option<Withheld>,
    /// The run before.
    pub last_run: Option<Instant>,
    /// All alarms.
    pub alarms: &'a [Alarm],
    /// Which of them are looked at.
    pub watching: &'a [bool],
}

/// Why no action may be taken in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// The state was broken: what is reached counts as passed.
    Recovered,
    /// The clock is not believed.
    ClockInDoubt,
}

/// Everything that follows from this run's figures.
#[derive(Debug, Default)]
pub struct Plan {
    /// What to tell, and to whom.
    pub tells: Vec<Tell>,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// What has come about, for the log.
    pub events: Vec<Event>,
    /// Why, for `--debug`.
    pub reasons: Vec<String>,
    /// What is wrong, by what it is about.
    pub problems: Vec<(String, String)>,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// The notifiers.
    pub to: Vec<String>,
    /// What.
    pub item: Item,
}

/// An action that is due, and where its deed is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The quota's place in the configuration.
    pub quota: usize,
    /// The tier's place in the quota.
    pub tier: usize,
    /// The subject.
    pub subject: String,
    /// The action's name.
    pub action: String,
    /// Figures for a command's environment, as `NETQUOTA_*`.
    pub facts: Vec<(String, String)>,
    /// How often it was tried.
    pub tries: u32,
    /// What is to be done.
    pub go: Go,
}

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// The action is done.
    Apply,
    /// It was done; its effect is looked for.
    Look,
    /// It was done some time ago and may be done anew: only if its effect is gone.
    Again,
}

/// A quota's view of one subject.
pub struct View<'a> {
    /// The quota.
    pub quota: &'a Quota,
    /// The subject's name.
    pub subject: &'a str,
    /// Its usage by the quota's rule.
    pub ledger: &'a Ledger,
    /// What is known of the guest, when it is one.
    pub guest: Option<&'a Guest>,
    /// Whether the guest is kept off already.
    pub held_off: bool,
    /// For how long the guest, or the machine of the interface, was up.
    pub uptime: Option<Duration>,
    /// Whether the figure is of this very run.
    pub fresh: bool,
    /// The time of the last good figure.
    pub as_of: Instant,
    /// Bytes that count.
    pub used: u64,
    /// Bytes allowed: the quota's, else the provider's total.
    pub allowance: u64,
}

/// What is known of a subject beside its usage.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    guest: Option<&'a Guest>,
    held_off: bool,
    uptime: Option<Duration>,
    fresh: bool,
    as_of: Instant,
}

impl<'a> Standing<'a> {
    /// Of a subject that has had a figure.
    pub fn of(subject: &'a Subject) -> Option<Self> {
        let series = subject.series.as_ref()?;
        let guest = subject.guest.as_deref();
        let held_off = subject.held_off;
        Some(Self { guest, held_off, uptime: series.identity.uptime, fresh: subject.fresh, as_of: series.at })
    }
}

/// What a pool is called where a subject's name stands.
pub const POOL: &str = "pool";

impl Quota {
    /// Whether it may look at a subject of this name.
    pub fn names(&self, subject: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, subject));
        let configured = self.packages.as_ref().is_none_or(|ids| ids.contains(subject));
        configured && (self.subjects.is_empty() || any(&self.subjects)) && !any(&self.exclude)
    }

    /// Whether it looks at a subject. The NICs of a guest are no subjects of their own.
    pub fn selects(&self, name: &str, subject: &Subject) -> bool {
        let chosen = |choice: &Choice| {
            let guest = Id::parse(name).zip(subject.guest.as_deref()).filter(|_| subject.nic.is_none());
            guest.is_some_and(|(id, guest)| choice.takes(id, guest) && !self.excludes(id, guest))
        };
        self.choice.as_ref().is_none_or(chosen) && self.names(name)
    }

    /// Whether a guest is left out by its number or its name.
    fn excludes(&self, id: Id, guest: &Guest) -> bool {
        self.exclude.iter().any(|left| *left == guest.name || *left == id.vmid.to_string())
    }

    /// The NICs it counts, when it counts by NIC.
    pub fn nics(&self) -> Option<&[String]> {
        self.choice.as_ref().map(|choice| &choice.nics[..]).filter(|nics| !nics.is_empty())
    }

    /// Whether it counts a NIC of a guest that it looks at.
    pub fn counts(&self, nic: &Nic) -> bool {
        self.nics()
            .is_some_and(|nics| nics.contains(&nic.name) || nic.bridge.as_ref().is_some_and(|on| nics.contains(on)))
    }

    /// Under which name the sum of a guest's NICs, or of all subjects, is kept.
    pub fn sum_key(&self, subject: &str) -> String {
        match (self.pool, self.nics()) {
            // Whatever the quota is called.
            (false, Some(nics)) => format!("{} {} {subject}", self.rule_key, nics.join(",")),
            _ => self.name.clone(),
        }
    }

    /// What its source's state has to be asked for.
    pub fn asked(&self) -> Asked<'_> {
        Asked { rule: &self.rule, key: &self.rule_key, since_boot: self.since_boot, backfill: false }
    }

    /// The subjects it looks at, by name, as the state knows them.
    pub fn rows<'s>(&self, source: &'s SourceState) -> Vec<(&'s str, &'s Subject)> {
        if self.pool {
            return source.pools.get(&self.name).map(|subject| (POOL, subject)).into_iter().collect();
        }
        let there = source.subjects.iter().filter(|(_, subject)| subject.gone.is_none());
        let selected = there.filter(|(name, subject)| self.selects(name, subject));
        let own = |(name, subject): (&'s String, &'s Subject)| match self.nics() {
            None => Some((name.as_str(), subject)),
            Some(_) => Some((name.as_str(), source.pools.get(&self.sum_key(name))?)),
        };
        selected.filter_map(own).collect()
    }

    /// The subject of this name, as the quota sees it.
    pub fn subject<'s>(&self, source: &'s SourceState, name: &str) -> Option<&'s Subject> {
        match self.pool || self.nics().is_some() {
            true => source.pools.get(&self.sum_key(name)),
            false => source.subjects.get(name),
        }
    }

    /// As [`Quota::subject`].
    pub fn subject_mut<'s>(&self, source: &'s mut SourceState, name: &str) -> Option<&'s mut Subject> {
        match self.pool || self.nics().is_some() {
            true => source.pools.get_mut(&self.sum_key(name)),
            false => source.subjects.get_mut(name),
        }
    }
}

impl<'a> View<'a> {
    /// The view of a subject; none before its first figure.
    pub fn of(quota: &'a Quota, name: &'a str, subject: &'a Subject) -> Option<Self> {
        let ledger = subject.ledgers.get(&quota.rule_key)?;
        Self::over(quota, name, ledger, &Standing::of(subject)?)
    }

    /// The view of a ledger; none where no allowance is known.
    pub fn over(quota: &'a Quota, subject: &'a str, ledger: &'a Ledger, standing: &Standing<'a>) -> Option<Self> {
        let allowance = quota.allowance.or(ledger.total)?;
        let used = ledger.used(quota.count);
        let Standing { guest, held_off, uptime, fresh, as_of } = *standing;
        Some(Self { quota, subject, ledger, guest, held_off, uptime, fresh, as_of, used, allowance })
    }

    /// Whether the provider's period has ended and no answer has brought the next one.
    pub fn awaits_renewal(&self, now: Instant) -> bool {
        self.quota.rule.is_provider() && self.ledger.period.end.is_some_and(|end| end <= now)
    }

    /// What is left of the allowance.
    pub fn remaining(&self) -> u64 {
        self.allowance.saturating_sub(self.used)
    }

    /// The share used, rounded down.
    pub fn percent(&self) -> Percent {
        Percent::ratio(self.used, self.allowance).unwrap_or_default()
    }

    /// Where it is heading.
    pub fn forecast(&self) -> Option<Forecast> {
        forecast(self.ledger, self.quota.count, self.allowance, self.as_of)
    }

    /// The highest tier of usage reached.
    pub fn tier(&self) -> Option<&'a Tier> {
        let reached = self.quota.tiers.iter().filter(|tier| self.reaches(tier));
        reached.max_by_key(|tier| tier.threshold.at(self.allowance))
    }

    /// Whether its usage reaches a tier; one that is always reached says nothing.
    pub fn reaches(&self, tier: &Tier) -> bool {
        tier.threshold.at(self.allowance).is_some_and(|at| at > 0 && self.used >= at)
    }
}

/// What an action that is due waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The clock is not believed.
    ClockInDoubt,
    /// There is no reading of this very run.
    NoReading,
    /// The tier is reached only with estimated or implausible bytes.
    Uncertain,
    /// The uptime, and with it `boot_grace`, is unknown.
    UptimeUnknown,
    /// `boot_grace` is running.
    JustBooted,
    /// The guest is off.
    GuestIsOff,
}

/// Tries of one action: the first, and three more.
pub const TRIES: u32 = 4;

/// How often what stays as it is is told again.
pub const DAY: Duration = Duration::from_secs(86_400);

/// Whether something repeated is due: a run up to 5 %, at most five minutes, early counts.
pub fn due_again(last: Instant, every: Duration, now: Instant) -> bool {
    let tolerance = (every / 20).min(Duration::from_secs(300));
    now >= last.plus(every.saturating_sub(tolerance))
}

//! What follows from usage: which tiers are reached, what is told, and which actions are due.
//!
//! [`decide`] changes the marks in the state and returns a [`Plan`]; carrying it out leaves no choices. Running
//! it again with nothing new yields an empty plan.
//!
//! Invariant: an action is due only for a tier reached without unsure or implausible bytes, on a figure of this
//! very run, armed or announced long enough ago (contract, section 5, rule 5).

use std::collections::BTreeMap;
use std::time::Duration;

use super::absorb::{Asked, sum};
use super::bytes::{Amount, Percent, UnitBase};
use super::duration::Language;
use super::forecast::{Forecast, forecast};
use super::glob;
use super::instant::Instant;
use super::message;
use super::meter::{Count, Identity, Ledger};
use super::period::Rule;
use super::state::{Deed, Past, Row, SourceState, State, Status, Subject, TierMark};
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
    /// The allowance per period, in the unit it was written in.
    pub allowance: Amount,
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
    /// At or above this many bytes of usage.
    Used(u64),
    /// The forecast says that the allowance is used up within this time.
    ExhaustedWithin(Duration),
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
}

/// By what an action's success is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// This machine has been started anew.
    Restart,
    /// The command ended with exit code 0.
    Exit,
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
}

/// A quota's view of one subject.
pub struct View<'a> {
    /// The quota.
    pub quota: &'a Quota,
    /// The subject's name.
    pub subject: &'a str,
    /// Its usage by the quota's rule.
    pub ledger: &'a Ledger,
    /// Whether the figure is of this very run.
    pub fresh: bool,
    /// The time of the last good figure.
    pub as_of: Instant,
    /// Bytes that count.
    pub used: u64,
}

/// What a pool is called where a subject's name stands.
pub const POOL: &str = "pool";

impl Quota {
    /// Whether it looks at a subject of this name.
    pub fn selects(&self, subject: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, subject));
        (self.subjects.is_empty() || any(&self.subjects)) && !any(&self.exclude)
    }

    /// What its source's state has to be asked for.
    pub fn asked(&self) -> Asked<'_> {
        Asked { rule: &self.rule, key: &self.rule_key, since_boot: self.since_boot }
    }

    /// The subjects it looks at, by name, as the state knows them.
    pub fn rows<'s>(&self, source: &'s SourceState) -> Vec<(&'s str, &'s Subject)> {
        if self.pool {
            return source.pools.get(&self.name).map(|subject| (POOL, subject)).into_iter().collect();
        }
        let selected = source.subjects.iter().filter(|(name, _)| self.selects(name));
        selected.map(|(name, subject)| (name.as_str(), subject)).collect()
    }

    /// The subject of this name.
    pub fn subject_mut<'s>(&self, source: &'s mut SourceState, name: &str) -> Option<&'s mut Subject> {
        if self.pool { source.pools.get_mut(&self.name) } else { source.subjects.get_mut(name) }
    }
}

impl<'a> View<'a> {
    /// The view of a subject; none before its first figure.
    pub fn of(quota: &'a Quota, name: &'a str, subject: &'a Subject) -> Option<Self> {
        let ledger = subject.ledgers.get(&quota.rule_key)?;
        let as_of = subject.series.as_ref()?.at;
        Some(Self { quota, subject: name, ledger, fresh: subject.fresh, as_of, used: ledger.used(quota.count) })
    }

    /// What is left of the allowance.
    pub fn remaining(&self) -> u64 {
        self.quota.allowance.bytes.saturating_sub(self.used)
    }

    /// The share used, rounded down.
    pub fn percent(&self) -> Percent {
        Percent::ratio(self.used, self.quota.allowance.bytes).unwrap_or_default()
    }

    /// Where it is heading.
    pub fn forecast(&self) -> Option<Forecast> {
        forecast(self.ledger, self.quota.count, self.quota.allowance.bytes, self.as_of)
    }

    /// The highest tier of usage reached.
    pub fn tier(&self) -> Option<&'a Tier> {
        let reached = |tier: &&Tier| matches!(tier.threshold, Threshold::Used(at) if self.used >= at);
        self.quota.tiers.iter().rev().find(reached)
    }
}

/// Decides everything for the quotas looked at; after a broken state for all, since what is reached counts as passed.
pub fn decide(context: &Context<'_>, state: &mut State) -> Plan {
    let mut plan = Plan::default();
    let all = context.withheld == Some(Withheld::Recovered);
    for (index, quota) in context.quotas.iter().enumerate().filter(|(index, _)| all || context.selected[*index]) {
        let Some(source) = state.sources.get_mut(&quota.source) else { continue };
        if source.good == Some(context.now)
            && source.health.is_empty()
            && !source.subjects.keys().any(|name| quota.selects(name))
        {
            let text = format!("quota {:?}: no subject of source {:?} matches it", quota.name, quota.source);
            plan.problems.push((format!("quota/{}", quota.name), text));
        }
        let mut round = Round { context, index, quota, plan: &mut plan };
        if quota.pool {
            if let Some(pool) = sum_pool(quota, context.names, source, context.now) {
                round.subject(POOL, pool);
            }
        } else {
            for (name, subject) in source.subjects.iter_mut().filter(|(name, _)| quota.selects(name)) {
                round.subject(name, subject);
            }
        }
    }
    lapse(context, state);
    plan
}

/// What quotas and tiers remember that are not configured any more: nothing of it is armed or due when they come back.
fn lapse(context: &Context<'_>, state: &mut State) {
    let configured = |row: &Row| context.quotas.iter().any(|q| q.name == row.quota && q.rule_key == row.rule);
    for source in state.sources.values_mut() {
        for subject in source.subjects.values_mut().chain(source.pools.values_mut()) {
            for row in subject.rows.values_mut().filter(|row| !configured(row)) {
                row.tiers.values_mut().for_each(TierMark::lapse);
            }
        }
    }
}

/// The quota's pool, brought up to date with its members; none without any. A quota that was renamed keeps its pool.
pub fn sum_pool<'s>(
    quota: &Quota,
    names: &[String],
    source: &'s mut SourceState,
    now: Instant,
) -> Option<&'s mut Subject> {
    let SourceState { subjects, pools, .. } = source;
    let selected = subjects.iter().filter(|(name, _)| quota.selects(name));
    let members: Vec<&Subject> = selected.map(|(_, subject)| subject).collect();
    if members.is_empty() {
        return None;
    }
    if !pools.contains_key(&quota.name) {
        let orphan =
            |(name, pool): &(&String, &Subject)| !names.contains(name) && pool.ledgers.contains_key(&quota.rule_key);
        let orphan = pools.iter().find(orphan).map(|(name, _)| name.clone());
        let pool = orphan.and_then(|name| pools.remove(&name)).unwrap_or_default();
        pools.insert(quota.name.clone(), pool);
    }
    let pool = pools.get_mut(&quota.name)?;
    sum(pool, &members, &quota.asked(), now);
    Some(pool)
}

/// One quota's turn.
struct Round<'a, 'p> {
    context: &'a Context<'a>,
    index: usize,
    quota: &'a Quota,
    plan: &'p mut Plan,
}

/// A subject's turn within it.
struct Look<'v> {
    view: View<'v>,
}

impl Round<'_, '_> {
    fn subject(&mut self, name: &str, subject: &mut Subject) {
        let (now, quota) = (self.context.now, self.quota);
        let Subject { series, ledgers, rows, fresh, .. } = subject;
        let (Some(series), Some(ledger)) = (series.as_ref(), ledgers.get(&quota.rule_key)) else { return };
        let used = ledger.used(quota.count);
        let view = View { quota, subject: name, ledger, fresh: *fresh, as_of: series.at, used };
        let look = Look { view };
        if !rows.contains_key(&quota.row_key) {
            let row = self.adopt(rows, ledger);
            if row.is_none() && rows.values().any(|row| row.quota == quota.name) && ledger.since > ledger.period.start {
                let item = message::rule_changed(self.context, &look.view);
                self.tell_all(item);
            }
            rows.insert(quota.row_key.clone(), row.unwrap_or_else(|| Row::new(quota, ledger, now)));
        }
        let Some(row) = rows.get_mut(&quota.row_key) else { return };
        self.follow_period(&look, row);
        self.exhaustion(&look, row);
        self.usage(&look, row);
        self.report(&look, row);
    }

    /// The row of a quota that is no longer there, with the same rule and count in the same period: this one renamed.
    fn adopt(&self, rows: &mut BTreeMap<String, Row>, ledger: &Ledger) -> Option<Row> {
        let quota = self.quota;
        let renamed = |row: &Row| {
            let same = (&row.rule, row.count, row.period) == (&quota.rule_key, quota.count, ledger.period.start);
            same && !self.context.names.contains(&row.quota)
        };
        let key = rows.iter().find(|(_, row)| renamed(row)).map(|(key, _)| key.clone())?;
        let row = rows.remove(&key)?;
        Some(Row { quota: quota.name.clone(), ..row })
    }

    /// A new period arms all tiers anew; a clock that is set back brings the old marks back.
    fn follow_period(&mut self, look: &Look<'_>, row: &mut Row) {
        let period = look.view.ledger.period.start;
        if row.period == period {
            return;
        }
        if period < row.period {
            if let Some(known) = row.before.iter().position(|past| past.period == period) {
                row.tiers = row.before.remove(known).tiers;
            }
        } else {
            row.turn_over();
            if let Some(closed) = &look.view.ledger.last {
                let item = message::reset(self.context, &look.view, closed);
                self.tell_all(item);
            }
        }
        row.period = period;
        // What a clock that ran ahead has marked there did not happen in that period.
        row.before.retain(|past| past.period < period);
    }

    /// The tiers of usage: one message for the highest newly reached, and the actions of every one reached.
    fn usage(&mut self, look: &Look<'_>, row: &mut Row) {
        let quota = self.quota;
        let certain = look.view.ledger.certain(quota.count);
        let mut reached = Vec::new();
        let (mut news, mut standing) = (false, Vec::new());
        for (index, tier) in quota.tiers.iter().enumerate() {
            let Threshold::Used(at) = tier.threshold else { continue };
            if !row.tiers.contains_key(&tier.key) {
                row.tiers.insert(tier.key.clone(), TierMark::default());
            }
            let Some(mark) = row.tiers.get_mut(&tier.key) else { continue };
            if look.view.used < at {
                self.unreached(look, tier, mark);
                continue;
            }
            reached.push(index);
            if !tier.actions.is_empty() {
                let mut turn = Turn { round: self, look, index, tier, certain: certain >= at };
                news |= turn.actions(mark);
                standing.extend(turn.standing(mark));
            }
        }
        if row.tiers.len() > quota.tiers.len() {
            let configured = |key: &str| quota.tiers.iter().any(|tier| tier.key == key);
            row.tiers.iter_mut().filter(|(key, _)| !configured(key)).for_each(|(_, mark)| mark.lapse());
        }
        self.ladder(look, row, &reached, news, &standing);
    }

    /// `exhausted_within`: told like the others on a ladder of its own, and left only well below.
    fn exhaustion(&mut self, look: &Look<'_>, row: &mut Row) {
        let mut tiers = self.quota.tiers.iter().enumerate();
        if !tiers.any(|(_, tier)| matches!(tier.threshold, Threshold::ExhaustedWithin(_))) {
            return;
        }
        // Silence brings no exhaustion nearer, and what is used up already is the other tiers' matter.
        let Some(forecast) = look.view.forecast().filter(|_| look.view.fresh && look.view.remaining() > 0) else {
            return;
        };
        let left = forecast.exhausted_at.map(|at| at.since(self.context.now));
        let mut reached = Vec::new();
        for (index, tier) in self.quota.tiers.iter().enumerate() {
            let Threshold::ExhaustedWithin(within) = tier.threshold else { continue };
            let mark = row.tiers.entry(tier.key.clone()).or_default();
            let limit = if mark.told.is_some() { within + within / 4 } else { within };
            if left.is_some_and(|left| left <= limit) {
                reached.push(index);
            } else {
                mark.told = None;
            }
        }
        self.ladder(look, row, &reached, false, &[]);
    }

    fn unreached(&mut self, look: &Look<'_>, tier: &Tier, mark: &mut TierMark) {
        mark.told = None;
        if tier.actions.is_empty() {
            return;
        }
        if mark.armed.as_ref() != Some(&tier.definition) {
            mark.armed = Some(tier.definition.clone());
        }
        let called_off = mark.deeds.values().any(|deed| deed.status == Status::Announced);
        mark.deeds.retain(|_, deed| {
            !matches!(deed.status, Status::Announced | Status::Failed) && deed.definition == tier.definition
        });
        if called_off {
            let item = message::called_off(self.context, &look.view, tier);
            self.tell_all(item);
        }
    }

    /// Tells the highest tier reached when it is new or its repetition is due; lower ones count as passed.
    fn ladder(&mut self, look: &Look<'_>, row: &mut Row, reached: &[usize], news: bool, standing: &[String]) {
        let Some(&highest) = reached.last() else { return };
        let now = self.context.now;
        let tiers = &self.quota.tiers;
        let fresh: Vec<usize> = reached
            .iter()
            .copied()
            .filter(|&i| row.tiers.get(&tiers[i].key).is_some_and(|m| m.told.is_none()))
            .collect();
        let told = row.tiers.get(&tiers[highest].key).and_then(|mark| mark.told);
        let again = match (told, tiers[highest].repeat) {
            (Some(told), Some(repeat)) => look.view.fresh && due_again(told, repeat, now),
            _ => false,
        };
        for &index in reached {
            if let Some(mark) = row.tiers.get_mut(&tiers[index].key)
                && (mark.told.is_none() || (again && index == highest))
            {
                mark.told = Some(now);
            }
        }
        if self.context.withheld == Some(Withheld::Recovered) {
            return;
        }
        let is_new = fresh.contains(&highest);
        if is_new || again || news {
            let mut to = tiers[highest].notify.clone();
            for name in fresh.iter().filter(|_| is_new).flat_map(|&index| &tiers[index].notify) {
                if !to.contains(name) {
                    to.push(name.clone());
                }
            }
            let item = message::alert(self.context, &look.view, &tiers[highest], standing);
            self.reason(look, &format!("tier {} told", tiers[highest].name));
            self.plan.tells.push(Tell { to, item });
        }
    }

    fn report(&mut self, look: &Look<'_>, row: &mut Row) {
        let now = self.context.now;
        let due = match self.quota.report {
            None => None,
            Some(Report::Every(every)) => due_again(row.reported, every, now).then(|| {
                let on_time = row.reported.plus(every);
                if now.since(on_time) < every { on_time } else { now }
            }),
            Some(Report::At(at)) => Some(latest(&self.quota.rule, at, now)).filter(|due| *due > row.reported),
        };
        if let Some(due) = due {
            row.reported = due;
            let item = message::report(self.context, &look.view);
            self.tell_all(item);
        }
    }

    fn tell_all(&mut self, item: Item) {
        self.plan.tells.push(Tell { to: self.context.channels.to_vec(), item });
    }

    fn reason(&mut self, look: &Look<'_>, text: &str) {
        self.plan.reasons.push(format!("quota {:?}, {}: {text}", self.quota.name, look.view.subject));
    }
}

impl Row {
    fn new(quota: &Quota, ledger: &Ledger, now: Instant) -> Self {
        Self {
            quota: quota.name.clone(),
            count: quota.count,
            rule: quota.rule_key.clone(),
            period: ledger.period.start,
            tiers: BTreeMap::new(),
            reported: now,
            before: Vec::new(),
        }
    }

    /// Keeps the marks of the period that ends; the tiers of the new one stay armed and are otherwise blank.
    fn turn_over(&mut self) {
        let blank = |(key, mark): (&String, &TierMark)| {
            (key.clone(), TierMark { armed: mark.armed.clone(), ..TierMark::default() })
        };
        let tiers = self.tiers.iter().map(blank).collect();
        self.before.retain(|past| past.tiers.values().any(|mark| !mark.deeds.is_empty()));
        self.before.drain(..self.before.len().saturating_sub(PASTS));
        self.before.push(Past { period: self.period, tiers: std::mem::replace(&mut self.tiers, tiers) });
    }
}

/// Periods in which something was done that are remembered, but for the last.
const PASTS: usize = 24;

/// Whether something repeated is due: a run up to 5 %, at most five minutes, early counts.
pub fn due_again(last: Instant, every: Duration, now: Instant) -> bool {
    let tolerance = (every / 20).min(Duration::from_secs(300));
    now >= last.plus(every.saturating_sub(tolerance))
}

/// The latest time of day `at` that has come, in the rule's zone.
fn latest(rule: &Rule, at: time::Time, now: Instant) -> Instant {
    let today = rule.zone.local(now).date();
    let of = |date: time::Date| rule.zone.instant(time::PrimitiveDateTime::new(date, at));
    let due = of(today);
    if due <= now { due } else { today.previous_day().map_or(due, of) }
}

/// A shutdown whose effect has not been seen is tried again after this.
const UNSEEN: Duration = Duration::from_secs(600);

/// Tries of one action: the first, and three more.
pub const TRIES: u32 = 4;

/// A reached tier's turn: its actions.
struct Turn<'r, 'a, 'p, 'v> {
    round: &'r mut Round<'a, 'p>,
    look: &'r Look<'v>,
    index: usize,
    tier: &'r Tier,
    certain: bool,
}

impl Turn<'_, '_, '_, '_> {
    /// Moves the tier's actions on; whether one is newly decided.
    fn actions(&mut self, mark: &mut TierMark) -> bool {
        let mut news = false;
        let armed = mark.armed.as_ref() == Some(&self.tier.definition);
        for action in &self.tier.actions {
            if self.round.context.withheld == Some(Withheld::Recovered) {
                self.pass(action, mark);
                continue;
            }
            if mark.deeds.get(&action.name).is_some_and(|deed| self.is_void(action, deed)) {
                mark.deeds.remove(&action.name);
            }
            if !mark.deeds.contains_key(&action.name) {
                mark.deeds.insert(action.name.clone(), self.announce(action, armed));
                news = true;
            }
            if let Some(deed) = mark.deeds.get_mut(&action.name) {
                self.advance(action, deed);
            }
        }
        news
    }

    /// After a broken state nobody knows what was done already: it counts as passed.
    fn pass(&self, action: &ActionRule, mark: &mut TierMark) {
        let open = |deed: &Deed| {
            matches!(
                (deed.status, action.effect),
                (Status::Announced | Status::Failed, _) | (Status::Started, Effect::Exit)
            )
        };
        if mark.deeds.get(&action.name).is_none_or(open) {
            mark.deeds.insert(action.name.clone(), self.deed(Status::Passed));
        }
    }

    /// Where the tier's actions stand, for the message.
    fn standing(&self, mark: &TierMark) -> Vec<String> {
        let context = self.round.context;
        let stands = |action: &ActionRule| {
            let deed = mark.deeds.get(&action.name)?;
            let due = deed.due.unwrap_or(deed.at);
            let waits = self.held_back(action).filter(|_| due <= context.now);
            Some(match (deed.status, waits) {
                (Status::Announced | Status::Failed, Some(hold)) => message::waits(context.language, action, hold),
                (Status::Announced, None) => {
                    message::announced(context, &self.look.view, action, due, due == deed.at.plus(action.announce))
                }
                (Status::Failed, None) => message::announced(context, &self.look.view, action, context.now, true),
                (status, _) => message::stands(context, &self.look.view, action, status, deed.at),
            })
        };
        self.tier.actions.iter().filter_map(stands).collect()
    }

    fn deed(&self, status: Status) -> Deed {
        Deed {
            status,
            at: self.round.context.now,
            tries: 0,
            due: None,
            definition: self.tier.definition.clone(),
            machine: None,
            output: String::new(),
        }
    }

    /// Whether a deed no longer counts: announced under other settings, or over and allowed anew.
    fn is_void(&self, action: &ActionRule, deed: &Deed) -> bool {
        match deed.status {
            Status::Announced | Status::Failed => deed.definition != self.tier.definition,
            // What never worked may be put right in the configuration.
            Status::GivenUp if deed.tries >= TRIES && deed.definition != self.tier.definition => true,
            Status::Done | Status::GivenUp => {
                action.again_after.is_some_and(|after| due_again(deed.at, after, self.round.context.now))
            }
            Status::Started | Status::Passed => false,
        }
    }

    /// A new deed: due at once when armed, else after its time to arm.
    fn announce(&self, action: &ActionRule, armed: bool) -> Deed {
        let wait = if armed { action.announce } else { action.announce.max(action.arm_after) };
        Deed { due: Some(self.round.context.now.plus(wait)), ..self.deed(Status::Announced) }
    }

    /// Moves a deed on by what is seen of it, and puts it into the plan when it is due.
    fn advance(&mut self, action: &ActionRule, deed: &mut Deed) {
        let now = self.round.context.now;
        match (deed.status, action.effect) {
            (Status::Announced, _) if deed.due.is_none_or(|due| now >= due) => {
                let acts = self.go(action, deed);
                if acts && deed.at < now {
                    let item = message::acting(self.round.context, &self.look.view, action);
                    self.round.plan.tells.push(Tell { to: self.tier.notify.clone(), item });
                }
            }
            (Status::Failed, _) => drop(self.go(action, deed)),
            (Status::Started, Effect::Restart) => self.look_for_restart(action, deed),
            (Status::Started, Effect::Exit) => self.give_up(action, deed),
            (Status::GivenUp, _) => self.given_up(action),
            _ => {}
        }
    }

    fn look_for_restart(&mut self, action: &ActionRule, deed: &mut Deed) {
        let context = self.round.context;
        let passed = context.now.since(deed.at);
        if deed.machine.as_ref().is_some_and(|then| then.rebooted(context.machine, passed)) {
            deed.status = Status::Done;
            deed.at = context.now;
            let item = message::took_effect(context, &self.look.view, action);
            self.round.tell_all(item);
        } else if passed >= UNSEEN && deed.tries >= TRIES {
            self.give_up(action, deed);
        } else if passed >= UNSEEN {
            self.go(action, deed);
        }
    }

    fn give_up(&mut self, action: &ActionRule, deed: &mut Deed) {
        deed.status = Status::GivenUp;
        deed.at = self.round.context.now;
        let item = message::gave_up(self.round.context, &self.look.view, action);
        self.round.tell_all(item);
        self.given_up(action);
    }

    fn given_up(&mut self, action: &ActionRule) {
        let key = format!("action/{}/{}/{}", action.name, self.round.quota.name, self.look.view.subject);
        let text = format!("action {:?} for {}: given up, see the messages", action.name, self.look.view.subject);
        self.round.plan.problems.push((key, text));
    }

    /// Puts the action into the plan unless something holds it back; whether it is there.
    fn go(&mut self, action: &ActionRule, deed: &Deed) -> bool {
        if let Some(hold) = self.held_back(action) {
            let text = message::waits(Language::En, action, hold);
            self.round.reason(self.look, &text);
            return false;
        }
        let text = format!("action {:?} is due", action.name);
        self.round.reason(self.look, &text);
        self.round.plan.steps.push(Step {
            quota: self.round.index,
            tier: self.index,
            subject: self.look.view.subject.to_owned(),
            action: action.name.clone(),
            facts: facts(&self.look.view, self.tier),
            tries: deed.tries,
        });
        true
    }

    fn held_back(&self, action: &ActionRule) -> Option<Hold> {
        let context = self.round.context;
        match context.machine.uptime {
            _ if context.withheld.is_some() => Some(Hold::ClockInDoubt),
            _ if !self.look.view.fresh => Some(Hold::NoReading),
            _ if !self.certain => Some(Hold::Uncertain),
            None => Some(Hold::UptimeUnknown),
            Some(uptime) if uptime < action.boot_grace => Some(Hold::JustBooted),
            Some(_) => None,
        }
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
}

/// What a command is told of the figures.
fn facts(view: &View<'_>, tier: &Tier) -> Vec<(String, String)> {
    let period = view.ledger.period;
    let pairs = [
        ("QUOTA", view.quota.name.clone()),
        ("SOURCE", view.quota.source.clone()),
        ("SUBJECT", view.subject.to_owned()),
        ("TIER", tier.name.clone()),
        ("USED", view.used.to_string()),
        ("ALLOWANCE", view.quota.allowance.bytes.to_string()),
        ("REMAINING", view.remaining().to_string()),
        ("PERCENT", view.percent().to_string()),
        ("PERIOD_START", period.start.to_string()),
        ("PERIOD_END", period.end.map(|end| end.to_string()).unwrap_or_default()),
    ];
    pairs.into_iter().map(|(name, value)| (format!("NETQUOTA_{name}"), value)).collect()
}

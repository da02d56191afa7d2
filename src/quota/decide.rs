//! What follows from usage: which tiers are reached, what is told, and which actions are due.
//!
//! [`decide`] changes the marks in the state and returns a [`Plan`]. Running it again with nothing new yields an
//! empty plan.
//!
//! Invariant: a tier is told once a period and whenever its repetition is due, always the highest reached; what is
//! told and what is due is marked in the same step.

use std::collections::{BTreeMap, HashSet};

use super::absorb::sum;
use super::event::{self, Event};
use super::guest::{Guest, Id, Kind, Named};
use super::instant::Instant;
use super::lift;
use super::message;
use super::meter::Ledger;
use super::package;
use super::period::Rule;
use super::policy::{Context, DAY, POOL, Plan, Quota, Report, Tell, Threshold, Tier, View, Withheld, due_again};
use super::state::{Deed, Past, Row, SourceState, State, Status, Subject, TierMark};
use super::text::Item;
use super::turn::Turn;

/// Decides everything for the quotas looked at; after a broken state for all, since what is reached counts as passed.
pub fn decide(context: &Context<'_>, state: &mut State) -> Plan {
    let mut plan = Plan::default();
    let all = context.withheld == Some(Withheld::Recovered);
    for (index, quota) in context.quotas.iter().enumerate().filter(|(index, _)| all || context.selected[*index]) {
        let Some(source) = state.sources.get_mut(&quota.source) else { continue };
        if source.good == Some(context.now) && source.health.is_empty() && looks_at_nothing(quota, source) {
            let text = format!("quota {:?}: no subject of source {:?} matches it", quota.name, quota.source);
            plan.problems.push((format!("quota/{}", quota.name), text));
        }
        if source.good == Some(context.now)
            && let Some(text) = unmetered(quota, source)
        {
            plan.problems.push((format!("unmetered/{}", quota.name), format!("quota {:?}: {text}", quota.name)));
        }
        let mut round = Round { context, index, quota, plan: &mut plan };
        if quota.pool {
            if let Some(pool) = sum_pool(quota, context.names, source, context.now) {
                round.subject(POOL, pool);
            }
        } else if quota.nics().is_some() {
            for (name, sum) in sum_nics(quota, source, context.now) {
                round.subject(name, sum);
            }
        } else {
            for (name, subject) in &mut source.subjects {
                if subject.gone.is_none() && quota.selects(name, subject) {
                    round.subject(name, subject);
                }
            }
        }
    }
    lapse(context, state);
    lift::follow_renames(context, state);
    plan
}

/// Whether there is nothing that a quota names. One that names nothing in particular waits for what may come.
fn looks_at_nothing(quota: &Quota, source: &SourceState) -> bool {
    let mut there = source.subjects.iter().filter(|(_, subject)| subject.gone.is_none());
    let waits = quota.subjects.is_empty() && quota.choice.is_none() && source.subjects.is_empty();
    let uncounted = || source.uncounted.iter().any(|name| quota.names(name));
    !waits && !uncounted() && !there.any(|(name, subject)| quota.selects(name, subject))
}

/// Why a quota on guests does not look at all that it names.
fn unmetered(quota: &Quota, source: &SourceState) -> Option<String> {
    let choice = quota.choice.as_ref()?;
    let guests = || {
        let there = source.subjects.iter().filter(|(_, subject)| subject.gone.is_none() && subject.nic.is_none());
        there.filter_map(|(name, subject)| Some((Id::parse(name)?, name, subject, subject.guest.as_deref()?)))
    };
    let vmids: HashSet<u32> = guests().map(|(id, ..)| id.vmid).collect();
    let names: HashSet<&str> = guests().map(|(_, _, _, guest)| guest.name.as_str()).collect();
    let missing = |named: &&Named| match named {
        Named::Vmid(vmid) => !vmids.contains(vmid),
        Named::Text(text) => {
            !names.contains(text.as_str()) && !text.parse().is_ok_and(|vmid: u32| vmids.contains(&vmid))
        }
    };
    if let Some(named) = choice.guests.iter().find(missing) {
        return Some(format!("there is no guest {named}"));
    }
    let chosen = || guests().filter(|(_, name, subject, _)| quota.selects(name, subject));
    if quota.rule.since_creation {
        let unknown = |subject: &Subject| !subject.ledgers.contains_key(&quota.rule_key);
        // One that has not been asked for yet is asked for in the runs to come.
        let asked = |id: Id, guest: &Guest| id.kind == Kind::Lxc || guest.asked.is_some();
        let names: Vec<&str> =
            chosen().filter(|of| unknown(of.2) && asked(of.0, of.3)).map(|of| of.1.as_str()).take(FEW).collect();
        let why = "nobody knows when it was made, so that it is not metered: leave it out";
        return (!names.is_empty()).then(|| format!("{}: {why}", names.join(", ")));
    }
    let nics = quota.nics()?;
    let counted = chosen().any(|(_, name, _, _)| nics_of(quota, &source.subjects, name).next().is_some());
    let on = chosen().any(|(_, _, subject, guest)| guest.on && subject.nics_read.is_some());
    (on && !counted).then(|| format!("no guest has {}", nics.join(" or ")))
}

/// Names in a problem at the most.
const FEW: usize = 5;

/// What quotas and tiers remember that are not configured any more: nothing of it is armed or due when they come back.
fn lapse(context: &Context<'_>, state: &mut State) {
    let configured = |row: &Row| context.quotas.iter().any(|q| q.name == row.quota && q.rule_key == row.rule);
    for source in state.sources.values_mut() {
        for subject in source.subjects.values_mut().chain(source.pools.values_mut()) {
            for row in subject.rows.values_mut().filter(|row| !configured(row)) {
                row.tiers.values_mut().for_each(|mark| mark.lapse());
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
    let selected = subjects.iter().filter(|(name, subject)| quota.selects(name, subject));
    let members: Vec<&Subject> = match quota.nics() {
        None => selected.map(|(_, subject)| subject).collect(),
        Some(_) => selected.flat_map(|(name, _)| nics_of(quota, subjects, name)).collect(),
    };
    if members.is_empty() {
        return None;
    }
    if !pools.contains_key(&quota.name) {
        let orphan = |(name, pool): &(&String, &Subject)| {
            pool.guest.is_none() && !names.contains(name) && pool.ledgers.contains_key(&quota.rule_key)
        };
        let orphan = pools.iter().find(orphan).map(|(name, _)| name.clone());
        let pool = orphan.and_then(|name| pools.remove(&name)).unwrap_or_default();
        pools.insert(quota.name.clone(), pool);
    }
    let pool = pools.get_mut(&quota.name)?;
    sum(pool, &members, &quota.asked(), now);
    // An action needs the figures of all packages.
    let expected = quota.packages.iter().flatten().filter(|id| quota.names(id)).count();
    pool.fresh &= members.len() >= expected;
    pool.silent = members.iter().any(|member| member.silent && member.gone.is_none());
    Some(pool)
}

/// The NICs of a guest that the quota counts.
fn nics_of<'s>(
    quota: &Quota,
    subjects: &'s BTreeMap<String, Subject>,
    guest: &str,
) -> impl Iterator<Item = &'s Subject> {
    let prefix = format!("{guest} ");
    let own = subjects.range(prefix.clone()..).take_while(move |(name, _)| name.starts_with(&prefix));
    own.map(|(_, subject)| subject).filter(|subject| subject.nic.as_ref().is_some_and(|nic| quota.counts(nic)))
}

/// For each guest the sum of those of its NICs that the quota counts.
fn sum_nics<'s>(quota: &Quota, source: &'s mut SourceState, now: Instant) -> Vec<(&'s str, &'s mut Subject)> {
    let SourceState { subjects, pools, .. } = source;
    let mut chosen = BTreeMap::new();
    for (name, guest) in subjects.iter().filter(|(name, guest)| guest.gone.is_none() && quota.selects(name, guest)) {
        let members: Vec<&Subject> = nics_of(quota, subjects, name).collect();
        if members.is_empty() {
            continue;
        }
        let key = quota.sum_key(name);
        let pool = pools.entry(key.clone()).or_default();
        sum(pool, &members, &quota.asked(), now);
        pool.guest.clone_from(&guest.guest);
        pool.fresh &= guest.fresh;
        pool.silent = !pool.fresh;
        chosen.insert(key, name.as_str());
    }
    pools.iter_mut().filter_map(|(key, pool)| Some((*chosen.get(key)?, pool))).collect()
}

/// One quota's turn.
pub(super) struct Round<'a, 'p> {
    pub(super) context: &'a Context<'a>,
    pub(super) index: usize,
    pub(super) quota: &'a Quota,
    pub(super) plan: &'p mut Plan,
}

impl Round<'_, '_> {
    fn subject(&mut self, name: &str, subject: &mut Subject) {
        let quota = self.quota;
        let mut rows = std::mem::take(&mut subject.rows);
        let view = View::of(quota, name, subject);
        if let Some(view) = view {
            self.view(&view, &mut rows);
        }
        subject.rows = rows;
    }

    fn view(&mut self, view: &View<'_>, rows: &mut BTreeMap<String, Box<Row>>) {
        let (now, quota, ledger) = (self.context.now, self.quota, view.ledger);
        if !rows.contains_key(&quota.row_key) {
            let row = self.adopt(rows, ledger);
            if row.is_none() && rows.values().any(|row| row.quota == quota.name) && ledger.since > ledger.period.start {
                let item = message::rule_changed(self.context, view);
                self.tell_all(item);
            }
            rows.insert(quota.row_key.clone(), Box::new(row.unwrap_or_else(|| Row::new(quota, ledger, now))));
        }
        let Some(row) = rows.get_mut(&quota.row_key) else { return };
        if self.misfit(view, row) {
            return;
        }
        if view.awaits_renewal(now) {
            self.reason(view, "awaits renewal: nothing is told or done");
            return;
        }
        self.follow_period(view, row);
        self.exhaustion(view, row);
        self.usage(view, row);
        self.report(view, row);
    }

    /// Whether the provider's total and the quota cannot be meant for each other: nothing of it is told or done.
    fn misfit(&mut self, view: &View<'_>, row: &mut Row) -> bool {
        let now = self.context.now;
        let Some(why) = view.ledger.total.and_then(|total| package::misfit(self.quota, total)) else {
            row.misfit = None;
            return false;
        };
        let key = format!("misfit/{}/{}", self.quota.name, view.subject);
        self.plan.problems.push((key, format!("quota {:?}: {:?}: {why}", self.quota.name, view.subject)));
        if row.misfit.is_none_or(|told| due_again(told, DAY, now)) {
            row.misfit = Some(now);
            let item = message::misfit(self.context, view, &why);
            self.tell_all(item);
        }
        true
    }

    /// The row of a quota that is no longer there, with the same rule and count in the same period: this one renamed.
    fn adopt(&self, rows: &mut BTreeMap<String, Box<Row>>, ledger: &Ledger) -> Option<Row> {
        let quota = self.quota;
        let renamed = |row: &Row| {
            let same = (&row.rule, row.count, row.period) == (&quota.rule_key, quota.count, ledger.period.start);
            same && !self.context.names.contains(&row.quota)
        };
        let key = rows.iter().find(|(_, row)| renamed(row)).map(|(key, _)| key.clone())?;
        let row = rows.remove(&key)?;
        Some(Row { quota: quota.name.clone(), ..*row })
    }

    /// A new period arms all tiers anew; a clock that is set back brings the old marks back.
    fn follow_period(&mut self, view: &View<'_>, row: &mut Row) {
        let period = view.ledger.period.start;
        if row.period == period {
            return;
        }
        if period < row.period && self.quota.rule.is_provider() {
            // Another set of packages; only a calendar's clock is ever set back.
        } else if period < row.period {
            if let Some(known) = row.before.iter().position(|past| past.period == period) {
                row.tiers = row.before.remove(known).tiers;
            }
        } else {
            row.turn_over();
            if let Some(closed) = &view.ledger.last {
                let item = message::reset(self.context, view, closed);
                let event = Event::new(self.context.now, event::Kind::Reset, event::Outcome::Done);
                self.note(view, event.saying(item.body.first().map_or("", String::as_str)));
                self.tell_all(item);
            }
        }
        row.period = period;
        // What a clock that ran ahead has marked there did not happen in that period.
        row.before.retain(|past| past.period < period);
    }

    /// The tiers of usage: one message for the highest newly reached, and the actions of every one reached.
    fn usage(&mut self, view: &View<'_>, row: &mut Row) {
        let quota = self.quota;
        let certain = view.ledger.certain(quota.count);
        let mut reached: Vec<(u64, usize)> = Vec::new();
        let (mut news, mut standing) = (false, Vec::new());
        for (index, tier) in quota.tiers.iter().enumerate() {
            let Some(at) = tier.threshold.at(view.allowance) else { continue };
            if !row.tiers.contains_key(&tier.key) {
                row.tiers.insert(tier.key.clone(), Box::default());
            }
            let Some(mark) = row.tiers.get_mut(&tier.key) else { continue };
            if at == 0 {
                self.beyond(view, tier, mark);
                continue;
            }
            if view.used < at {
                self.unreached(view, tier, at, mark);
                continue;
            }
            reached.push((at, index));
            if !tier.actions.is_empty() {
                let mut turn = Turn { round: self, view, index, tier, certain: certain >= at };
                news |= turn.actions(mark);
                for line in turn.standing(mark) {
                    // Two tiers may name the same action.
                    if !standing.contains(&line) {
                        standing.push(line);
                    }
                }
            }
        }
        if row.tiers.len() > quota.tiers.len() {
            let configured = |key: &str| quota.tiers.iter().any(|tier| tier.key == key);
            row.tiers.iter_mut().filter(|(key, _)| !configured(key)).for_each(|(_, mark)| mark.lapse());
        }
        // With a provider's allowance, what is left and what is used meet only here.
        reached.sort_unstable();
        let reached: Vec<usize> = reached.into_iter().map(|(_, index)| index).collect();
        self.ladder(view, row, &reached, news, &standing);
    }

    /// A provider's package may hold no more than the tier leaves: always reached, it says nothing and does nothing.
    fn beyond(&mut self, view: &View<'_>, tier: &Tier, mark: &mut TierMark) {
        mark.lapse();
        let key = format!("tier/{}/{}/{}", self.quota.name, view.subject, tier.name);
        let holds = view.quota.unit.exact(view.allowance);
        let text = format!(
            "quota {:?}: tier {:?} would always be reached: {:?} holds {holds} in all",
            self.quota.name, tier.name, view.subject
        );
        self.plan.problems.push((key, text));
        if mark.beyond.is_none_or(|told| told < view.ledger.period.start) {
            mark.beyond = Some(self.context.now);
            let item = message::beyond(self.context, view, tier);
            self.tell_all(item);
        }
    }

    /// `exhausted_within`: told like the others on a ladder of its own, and left only well below.
    fn exhaustion(&mut self, view: &View<'_>, row: &mut Row) {
        let mut tiers = self.quota.tiers.iter().enumerate();
        if !tiers.any(|(_, tier)| matches!(tier.threshold, Threshold::ExhaustedWithin(_))) {
            return;
        }
        // Silence brings no exhaustion nearer, and what is used up already is the other tiers' matter.
        let Some(forecast) = view.forecast().filter(|_| view.fresh && view.remaining() > 0) else {
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
        self.ladder(view, row, &reached, false, &[]);
    }

    fn unreached(&mut self, view: &View<'_>, tier: &Tier, at: u64, mark: &mut TierMark) {
        // A provider corrects its account by little, up and down: that tells no tier twice.
        let corrected = view.quota.rule.is_provider() && view.used >= at - at / 10;
        if !corrected {
            mark.told = None;
        }
        if tier.actions.is_empty() {
            return;
        }
        if mark.armed.as_ref() != Some(&tier.definition) {
            mark.armed = Some(tier.definition.clone());
        }
        let called_off = mark.deeds.values().any(|deed| deed.status == Status::Announced);
        let stays = |deed: &Deed| !deed.status.is_open() && deed.status != Status::Held;
        mark.deeds.retain(|_, deed| stays(deed) && deed.definition == tier.definition);
        if called_off {
            let item = message::called_off(self.context, view, tier);
            self.tell_all(item);
        }
    }

    /// Tells the highest tier reached when it is new or its repetition is due; lower ones count as passed.
    fn ladder(&mut self, view: &View<'_>, row: &mut Row, reached: &[usize], news: bool, standing: &[String]) {
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
            (Some(told), Some(repeat)) => view.fresh && due_again(told, repeat, now),
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
            let item = message::alert(self.context, view, &tiers[highest], standing);
            self.reason(view, &format!("tier {} told", tiers[highest].name));
            self.plan.tells.push(Tell { to, item });
        }
    }

    fn report(&mut self, view: &View<'_>, row: &mut Row) {
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
            let item = message::report(self.context, view);
            self.tell_all(item);
        }
    }

    pub(super) fn tell_all(&mut self, item: Item) {
        self.plan.tells.push(Tell { to: self.context.channels.to_vec(), item });
    }

    /// Notes for the log what has come about.
    pub(super) fn note(&mut self, view: &View<'_>, event: Event) {
        self.plan.events.push(event.about(&self.quota.source, view.subject, &self.quota.name));
    }

    pub(super) fn reason(&mut self, view: &View<'_>, text: &str) {
        self.plan.reasons.push(format!("quota {:?}, {}: {text}", self.quota.name, view.subject));
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
            misfit: None,
            reported: now,
            before: Vec::new(),
        }
    }

    /// Keeps the marks of the period that ends; the tiers of the new one stay armed and are otherwise blank.
    fn turn_over(&mut self) {
        let blank = |mark: &TierMark| Box::new(TierMark { armed: mark.armed.clone(), ..TierMark::default() });
        let tiers = self.tiers.iter().map(|(key, mark)| (key.clone(), blank(mark))).collect();
        self.before.retain(|past| past.tiers.values().any(|mark| !mark.deeds.is_empty()));
        self.before.drain(..self.before.len().saturating_sub(PASTS));
        self.before.push(Past { period: self.period, tiers: std::mem::replace(&mut self.tiers, tiers) });
    }
}

/// Periods in which something was done that are remembered, but for the last.
const PASTS: usize = 24;

/// The latest time of day `at` that has come, in the rule's zone.
fn latest(rule: &Rule, at: time::Time, now: Instant) -> Instant {
    let today = rule.zone.local(now).date();
    let of = |date: time::Date| rule.zone.instant(time::PrimitiveDateTime::new(date, at));
    let due = of(today);
    if due <= now { due } else { today.previous_day().map_or(due, of) }
}

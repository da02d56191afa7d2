//! What is kept of guests while tiers are reached: who wants what, and which of several wants counts.
//!
//! Invariant: what is wanted follows from the tiers' marks alone. A guest is let go because nothing wants it held any
//! more, not because something said so: the period ended, the tier is no longer reached, the quota is gone, or the
//! operator has lifted it.

use std::collections::BTreeMap;

use super::instant::Instant;
use super::policy::{Context, Effect, Kept, Off, POOL, Quota};
use super::state::{Need, Row, SourceState, State, Status, Subject};

/// A guest, by its source's and its subject's name.
pub type Name = (String, String);

/// What a guest is wanted to be kept like, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Whose want it is.
    pub need: Need,
    /// What is kept.
    pub kept: Kept,
}

/// All that is wanted of all guests.
pub fn wants(context: &Context<'_>, state: &State) -> BTreeMap<Name, Vec<Want>> {
    let mut wants: BTreeMap<Name, Vec<Want>> = BTreeMap::new();
    for quota in context.quotas.iter().filter(|quota| holds(quota)) {
        let Some(source) = state.sources.get(&quota.source) else { continue };
        for (name, sum) in quota.rows(source) {
            let Some(row) = sum.rows.get(&quota.row_key) else { continue };
            let of_row = of_row(quota, row);
            if of_row.is_empty() {
                continue;
            }
            for (guest, subject) in guests(quota, source, name) {
                if subject.lifted.get(&quota.rule_key) != period(quota, sum).as_ref() {
                    wants.entry((quota.source.clone(), guest.to_owned())).or_default().extend(of_row.iter().cloned());
                }
            }
        }
    }
    wants
}

/// The start of the period that runs: a run may have metered the next one and not yet looked at its tiers.
fn period(quota: &Quota, subject: &Subject) -> Option<Instant> {
    let ledger = subject.ledgers.get(&quota.rule_key).map(|ledger| ledger.period.start);
    ledger.or_else(|| Some(subject.rows.get(&quota.row_key)?.period))
}

/// Whether it has an action that holds.
fn holds(quota: &Quota) -> bool {
    let mut actions = quota.tiers.iter().flat_map(|tier| &tier.actions);
    actions.any(|action| matches!(action.effect, Effect::Kept(_)))
}

/// The guests that a row of the quota is about: itself, or all in the pool.
pub fn guests<'s>(quota: &Quota, source: &'s SourceState, name: &str) -> Vec<(&'s str, &'s Subject)> {
    if name != POOL || !quota.pool {
        return source
            .subjects
            .get_key_value(name)
            .map(|(name, subject)| (name.as_str(), subject))
            .into_iter()
            .collect();
    }
    let there = source.subjects.iter().filter(|(_, subject)| subject.gone.is_none());
    there
        .filter(|(name, subject)| quota.selects(name, subject))
        .map(|(name, subject)| (name.as_str(), subject))
        .collect()
}

fn of_row(quota: &Quota, row: &Row) -> Vec<Want> {
    let mut wants = Vec::new();
    for tier in &quota.tiers {
        let Some(mark) = row.tiers.get(&tier.key) else { continue };
        for action in &tier.actions {
            let deed = mark.deeds.get(&action.name).filter(|deed| deed.status == Status::Held);
            if let (Effect::Kept(kept), Some(deed)) = (action.effect, deed) {
                let need = Need { quota: quota.name.clone(), action: action.name.clone(), since: deed.at };
                wants.push(Want { need, kept });
            }
        }
    }
    wants
}

/// What several wants come to: the strictest of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Strictest {
    /// It is off.
    pub off: Option<Off>,
    /// Its NICs have no carrier.
    pub disconnected: bool,
    /// The tightest limit in bytes per second.
    pub limit: Option<u64>,
}

impl Strictest {
    /// Of these.
    pub fn of(wants: &[Want]) -> Self {
        wants.iter().fold(Self::default(), |mut strictest, want| {
            match want.kept {
                Kept::Disconnected => strictest.disconnected = true,
                Kept::Limited(rate) => strictest.limit = Some(strictest.limit.map_or(rate, |known| known.min(rate))),
                Kept::Off(off) => strictest.off = Some(strictest.off.map_or(off, |known| known.and(off))),
            }
            strictest
        })
    }

    /// Whether its NICs are wanted otherwise than they are.
    pub fn is_on_nics(&self) -> bool {
        self.disconnected || self.limit.is_some()
    }
}

impl Off {
    /// Both at once: a power cut rather than a shutdown, and it is started again if one of them does.
    fn and(self, other: Self) -> Self {
        let first = if other.hard && !self.hard { other } else { self };
        Self {
            force: self.force || other.force,
            restart: self.restart || other.restart,
            grace: self.grace.min(other.grace),
            ..first
        }
    }
}

/// Notes that the operator has let a guest go for the periods that run, or takes that back. Whether there was any quota
/// to note it for.
pub fn set_lifted(quotas: &[Quota], source: &mut SourceState, guest: &str, lifted: bool) -> bool {
    let mut periods: Vec<(String, Instant)> = Vec::new();
    for quota in quotas.iter().filter(|quota| holds(quota)) {
        let about = |name: &str| guests(quota, source, name).iter().any(|(known, _)| *known == guest);
        let row = |(name, sum): (&str, &Subject)| Some((name.to_owned(), period(quota, sum)?));
        let rows: Vec<(String, Instant)> = quota.rows(source).into_iter().filter_map(row).collect();
        let own = rows.into_iter().filter(|(name, _)| about(name));
        periods.extend(own.map(|(_, period)| (quota.rule_key.clone(), period)));
    }
    let Some(subject) = source.subjects.get_mut(guest) else { return false };
    let any = !periods.is_empty();
    for (rule, period) in periods {
        match lifted {
            true => drop(subject.lifted.insert(rule, period)),
            false => drop(subject.lifted.remove(&rule)),
        }
    }
    any
}

#[cfg(test)]
mod tests;

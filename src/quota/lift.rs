//! What was done and is to be undone: when a new period has begun, or its quota is gone.
//!
//! Invariant: nothing is undone on a figure that is not of this very run, nor while the tier it was done for is
//! reached; what several quotas have done is undone when the last of them lets go; what cannot be undone stays on the
//! list.

use std::collections::BTreeMap;

use super::policy::{Context, POOL, Quota, View, Withheld};
use super::state::{Held, SourceState, State, TierMark};

/// The keys of what is to be undone in this run.
pub fn due(context: &Context<'_>, state: &mut State) -> Vec<String> {
    follow_renames(context, state);
    if context.withheld == Some(Withheld::ClockInDoubt) {
        return Vec::new();
    }
    let mut due: Vec<(&String, &Held)> = state.held.iter().filter(|(_, held)| is_due(context, state, held)).collect();
    let still = |action: &str| state.held.iter().filter(|(_, held)| held.action == action).count();
    let let_go = |action: &str| due.iter().filter(|(_, held)| held.action == action).count();
    let free: Vec<bool> = due.iter().map(|(_, held)| still(&held.action) == let_go(&held.action)).collect();
    let mut free = free.into_iter();
    due.retain(|_| free.next() == Some(true));
    due.into_iter().map(|(key, _)| key.clone()).collect()
}

/// A quota or a package that was renamed keeps what was done for it: its memory has moved to the new name already.
fn follow_renames(context: &Context<'_>, state: &mut State) {
    let State { held, sources, .. } = state;
    let gone = |held: &Held| {
        let subject = sources.get(&held.source).is_none_or(|source| source.subjects.contains_key(&held.subject));
        !context.names.contains(&held.quota) || (held.subject != POOL && !subject)
    };
    let gone: Vec<(String, Held)> = held.extract_if(.., |_, held| gone(held)).collect();
    for (key, held_before) in gone {
        let heir = sources.get(&held_before.source).and_then(|source| heir(context, source, &held_before));
        match heir {
            Some((quota, subject)) => {
                let key = Held::key(&held_before.action, &quota, &subject);
                held.insert(key, Held { quota, subject, ..held_before })
            }
            None => held.insert(key, held_before),
        };
    }
}

/// The configured quota and the subject whose memory holds the deed now.
fn heir(context: &Context<'_>, source: &SourceState, held: &Held) -> Option<(String, String)> {
    let pools = source.pools.values().map(|pool| (POOL, pool)).filter(|_| held.subject == POOL);
    let subjects = source.subjects.iter().map(|(name, subject)| (name.as_str(), subject));
    let done = |tiers: &BTreeMap<String, TierMark>| {
        tiers.get(&held.tier).is_some_and(|mark| mark.deeds.contains_key(&held.action))
    };
    pools.chain(subjects).find_map(|(name, subject)| {
        let row = subject.rows.values().find(|row| {
            let did = done(&row.tiers) || row.before.iter().any(|past| done(&past.tiers));
            did && context.names.contains(&row.quota)
        })?;
        Some((row.quota.clone(), name.to_owned()))
    })
}

fn is_due(context: &Context<'_>, state: &State, held: &Held) -> bool {
    let Some(index) = context.quotas.iter().position(|quota| quota.name == held.quota) else {
        // A quota that is only switched off or left out of this run is not gone.
        return !context.names.contains(&held.quota);
    };
    context.selected[index] && renewed(context, state, held, &context.quotas[index])
}

fn renewed(context: &Context<'_>, state: &State, held: &Held, quota: &Quota) -> bool {
    let Some(source) = state.sources.get(&quota.source) else { return false };
    let rows = quota.rows(source);
    let Some((name, subject)) = rows.iter().find(|(name, _)| *name == held.subject) else { return false };
    let Some(view) = View::of(quota, name, subject) else { return false };
    let reached = |key: &str| {
        let tier = quota.tiers.iter().find(|tier| tier.key == key);
        tier.and_then(|tier| tier.threshold.at(view.allowance)).is_some_and(|at| view.used >= at)
    };
    let begun = view.ledger.period.start > held.period && !view.awaits_renewal(context.now);
    begun && view.fresh && !reached(&held.tier)
}

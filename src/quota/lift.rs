//! What was done and is to be undone, and who still needs it.
//!
//! Invariant: something is undone only when every quota that claims it has let go, and no tier that would do it again
//! is reached. A quota lets go on a figure of this very run from a later period, or when it does not look at the
//! subject any more and those that would do it again have figures of this run. What cannot be undone stays on the list.

use std::collections::BTreeMap;

use super::policy::{Context, POOL, Quota, View};
use super::state::{Claim, Held, SourceState, State, TierMark};

/// What is to be undone in this run, by its key in the state. `things`: what the configured actions are done to, by
/// their names.
pub fn due(context: &Context<'_>, state: &State, things: &BTreeMap<String, String>) -> Vec<String> {
    if context.withheld.is_some() {
        return Vec::new();
    }
    let due = state.held.iter().filter(|(thing, held)| {
        let same = things.iter().filter(|(_, of)| of == thing).map(|(action, _)| action.as_str());
        let actions: Vec<&str> = same.collect();
        let gone = |claim: &Claim| is_gone(context, claim) && is_informed(context, state, &actions);
        let over = |claim: &Claim| gone(claim) || is_renewed(context, state, held, claim);
        held.claims.iter().all(over) && !is_needed(context, state, &actions)
    });
    due.map(|(thing, _)| thing.clone()).collect()
}

/// Whether no quota looks at the claim's subject any more.
fn is_gone(context: &Context<'_>, claim: &Claim) -> bool {
    let quota = context.quotas.iter().find(|quota| quota.name == claim.quota && quota.source == claim.source);
    quota.is_none_or(|quota| match claim.subject == POOL {
        true => !quota.pool,
        false => quota.pool || !quota.names(&claim.subject),
    })
}

/// Whether the claim's subject is in a later period, by a figure of this run, and far from what the action is for.
fn is_renewed(context: &Context<'_>, state: &State, held: &Held, claim: &Claim) -> bool {
    let Some(index) = context.quotas.iter().position(|quota| quota.name == claim.quota) else { return false };
    let view = view(state, &context.quotas[index], &claim.subject).filter(|_| context.selected[index]);
    view.is_some_and(|view| {
        let begun = view.ledger.period.start > claim.period && !view.awaits_renewal(context.now);
        begun && view.fresh && !reaches(&view, &[&held.action])
    })
}

/// Whether every quota that would do it again has figures of this run: without them nobody knows.
fn is_informed(context: &Context<'_>, state: &State, actions: &[&str]) -> bool {
    let does = |quota: &&Quota| {
        quota.tiers.iter().flat_map(|tier| &tier.actions).any(|action| actions.contains(&action.name.as_str()))
    };
    context.quotas.iter().filter(does).all(|quota| {
        let Some(source) = state.sources.get(&quota.source) else { return false };
        let rows = quota.rows(source);
        let known = |view: View<'_>| view.fresh && !view.awaits_renewal(context.now);
        !rows.is_empty() && rows.iter().all(|(name, subject)| View::of(quota, name, subject).is_some_and(known))
    })
}

/// Whether a tier that does it is reached, by the last figure known: it is not undone only to be done again.
fn is_needed(context: &Context<'_>, state: &State, actions: &[&str]) -> bool {
    context.quotas.iter().any(|quota| {
        let Some(source) = state.sources.get(&quota.source) else { return false };
        let views = quota.rows(source).into_iter().filter_map(|(name, subject)| View::of(quota, name, subject));
        views.filter(|view| !view.awaits_renewal(context.now)).any(|view| reaches(&view, actions))
    })
}

fn view<'s>(state: &'s State, quota: &'s Quota, name: &'s str) -> Option<View<'s>> {
    View::of(quota, name, quota.subject(state.sources.get(&quota.source)?, name)?)
}

/// Whether a tier with one of the actions is reached.
fn reaches(view: &View<'_>, actions: &[&str]) -> bool {
    let mut tiers = view.quota.tiers.iter().filter(|tier| view.reaches(tier));
    tiers.any(|tier| tier.actions.iter().any(|action| actions.contains(&action.name.as_str())))
}

/// A quota or a package that was renamed keeps what was done for it: its memory has moved to the new name already.
pub fn follow_renames(context: &Context<'_>, state: &mut State) {
    let State { held, sources, .. } = state;
    for held in held.values_mut() {
        for claim in &mut held.claims {
            let Some(source) = sources.get(&claim.source) else { continue };
            let known = claim.subject == POOL || source.subjects.contains_key(&claim.subject);
            if (!known || !context.names.contains(&claim.quota))
                && let Some((quota, subject)) = heir(context, source, &held.action, claim)
            {
                (claim.quota, claim.subject) = (quota, subject);
            }
        }
    }
}

/// The configured quota and the subject whose memory holds the deed now.
fn heir(context: &Context<'_>, source: &SourceState, action: &str, claim: &Claim) -> Option<(String, String)> {
    let pools = source.pools.values().map(|pool| (POOL, pool)).filter(|_| claim.subject == POOL);
    let subjects = source.subjects.iter().map(|(name, subject)| (name.as_str(), subject));
    let done = |tiers: &BTreeMap<String, Box<TierMark>>| tiers.values().any(|mark| mark.deeds.contains_key(action));
    pools.chain(subjects).find_map(|(name, subject)| {
        let row = subject.rows.values().find(|row| {
            let then = row.before.iter().find(|past| past.period == claim.period).map(|past| &past.tiers);
            let then = if row.period == claim.period { Some(&row.tiers) } else { then };
            then.is_some_and(done) && context.names.contains(&row.quota)
        })?;
        Some((row.quota.clone(), name.to_owned()))
    })
}

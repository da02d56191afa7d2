//! What was done and is to be undone, and who still needs it.
//!
//! Invariant: something is undone only when every quota that claims it has let go, and no tier that would do it again
//! is reached. A quota lets go on a figure of this very run from a later period, or when it does not look at the
//! subject any more. What cannot be undone stays on the list.

use std::collections::BTreeMap;

use super::policy::{Context, POOL, Quota, View};
use super::state::{Claim, Held, SourceState, State, TierMark};

/// What is to be undone in this run, by its key in the state. `things`: what the configured actions are done to, by
/// their names.
pub fn due(context: &Context<'_>, state: &State, things: &BTreeMap<String, String>) -> Vec<String> {
    if context.withheld.is_some() {
        return Vec::new();
    }
    let over = |held: &Held| held.claims.iter().all(|claim| is_over(context, state, held, claim));
    let due = state.held.iter().filter(|(thing, held)| over(held) && !is_needed(context, state, thing, things));
    due.map(|(thing, _)| thing.clone()).collect()
}

/// Whether a claim does not stand any more.
fn is_over(context: &Context<'_>, state: &State, held: &Held, claim: &Claim) -> bool {
    let Some(index) = context.quotas.iter().position(|quota| quota.name == claim.quota) else { return true };
    let quota = &context.quotas[index];
    let looks = if claim.subject == POOL { quota.pool } else { !quota.pool && quota.selects(&claim.subject) };
    if quota.source != claim.source || !looks {
        return true;
    }
    let view = view(state, quota, &claim.subject);
    let later = view.is_some_and(|view| {
        let begun = view.ledger.period.start > claim.period && !view.awaits_renewal(context.now);
        begun && view.fresh && !reaches(&view, &[&held.action])
    });
    context.selected[index] && later
}

/// Whether a tier that does it is reached, by the last figure known: it is not undone only to be done again.
fn is_needed(context: &Context<'_>, state: &State, thing: &str, things: &BTreeMap<String, String>) -> bool {
    let same = things.iter().filter(|(_, of)| *of == thing).map(|(action, _)| action.as_str());
    let actions: Vec<&str> = same.collect();
    context.quotas.iter().any(|quota| {
        let Some(source) = state.sources.get(&quota.source) else { return false };
        let views = quota.rows(source).into_iter().filter_map(|(name, subject)| View::of(quota, name, subject));
        views.filter(|view| !view.awaits_renewal(context.now)).any(|view| reaches(&view, &actions))
    })
}

fn view<'s>(state: &'s State, quota: &'s Quota, name: &'s str) -> Option<View<'s>> {
    let rows = quota.rows(state.sources.get(&quota.source)?);
    let (_, subject) = rows.into_iter().find(|(known, _)| *known == name)?;
    View::of(quota, name, subject)
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
    let done = |tiers: &BTreeMap<String, TierMark>| tiers.values().any(|mark| mark.deeds.contains_key(action));
    pools.chain(subjects).find_map(|(name, subject)| {
        let row = subject.rows.values().find(|row| {
            let did = done(&row.tiers) || row.before.iter().any(|past| done(&past.tiers));
            did && context.names.contains(&row.quota)
        })?;
        Some((row.quota.clone(), name.to_owned()))
    })
}

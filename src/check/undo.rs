//! What was done and is to be undone: who needs it, and undoing it when nobody does any more.

use std::time::Duration;

use super::act::Acted;
use super::{Run, save};
use crate::config::NamedAction;
use crate::enforce::{Order, Outcome};
use crate::error::Result;
use crate::quota::event::{self, Event};
use crate::quota::instant::Instant;
use crate::quota::lift;
use crate::quota::message::Notice;
use crate::quota::policy::{Quota, Step, due_again};
use crate::quota::state::{Claim, Held, Lifting, State};
use crate::store::Guard;

impl Run<'_> {
    /// What is to be undone now.
    pub(super) fn to_lift(&self, state: &State) -> Vec<String> {
        let thing = |action: &NamedAction| Some((action.rule.name.clone(), action.thing()?));
        lift::due(&self.context(), state, &self.config.actions.iter().filter_map(thing).collect())
    }

    /// Whether another tier or quota has ordered the same of the same thing a short while ago.
    pub(super) fn is_ordered(&self, state: &State, thing: &str) -> bool {
        let before = state.held.get(thing).and_then(|held| held.ordered);
        self.ordered.contains(thing) || before.is_some_and(|at| !due_again(at, AGAIN, self.clock.now))
    }

    /// Whether it is being undone: it is done only when that has come about, or has had its time.
    pub(super) fn is_lifting(&self, state: &State, action: Acted<'_>) -> bool {
        let held = action.action.thing().and_then(|thing| state.held.get(&thing));
        held.and_then(|held| held.lifting.as_ref()).is_some_and(|order| !due_again(order.at, AGAIN, self.clock.now))
    }

    /// It came to nothing: the next one that wants it orders it.
    pub(super) fn is_not_ordered(&mut self, state: &mut State, action: Acted<'_>) {
        if let Some(thing) = action.action.thing() {
            self.ordered.remove(&thing);
            state.held.entry(thing).and_modify(|held| held.ordered = None);
        }
    }

    /// Notes, before it is done, what will have to be undone, and for whom; whether nothing was done to it before.
    pub(super) fn claim(&self, state: &mut State, step: &Step, thing: &str) -> bool {
        let quota = &self.config.quotas[step.quota];
        let Some(period) = row_period(state, quota, step) else { return false };
        let (source, subject) = (quota.source.clone(), step.subject.clone());
        let claim = Claim { quota: quota.name.clone(), source, subject, period };
        let is_new = !state.held.contains_key(thing);
        let now = self.clock.now;
        let (action, claims) = (step.action.clone(), Vec::new());
        let fresh = || Held { action, since: now, ordered: None, claims, lifting: None };
        let held = state.held.entry(thing.to_owned()).or_insert_with(fresh);
        if !held.claims.iter().any(|known| (&known.quota, &known.subject) == (&claim.quota, &claim.subject)) {
            held.claims.push(claim);
        }
        is_new
    }

    /// It was ordered for the period that runs; what had been off before stays a matter of the period it was done in.
    pub(super) fn reclaim(&self, state: &mut State, step: &Step, thing: &str) {
        let quota = &self.config.quotas[step.quota];
        let period = row_period(state, quota, step);
        let Some((held, period)) = state.held.get_mut(thing).zip(period) else { return };
        held.lifting = None;
        for claim in held.claims.iter_mut().filter(|claim| claim.quota == quota.name && claim.subject == step.subject) {
            claim.period = period;
        }
    }

    /// Undoes what was done. It is ordered again only after a while: what was accepted takes its time.
    pub(super) fn lift(&mut self, guard: &mut dyn Guard, state: &mut State, thing: &str) -> Result<()> {
        let now = self.clock.now;
        let locked = |claim: &Claim| self.locks_key(state, &claim.source);
        let Some(held) = state.held.get(thing).filter(|held| !held.claims.iter().any(locked)) else { return Ok(()) };
        let same = |action: &&NamedAction| action.rule.lifts && action.thing().as_deref() == Some(thing);
        let action = self.config.actions.iter().find(same).and_then(|named| named.does.once());
        let Some(action) = action else {
            self.notices.push(Notice::forsaken(thing, held));
            state.held.remove(thing);
            self.keep_notices(state);
            return save(guard, state);
        };
        let Some(timeout) = self.time_for(action) else {
            self.problem(&format!("lift/{thing}"), format!("{thing}: no time left in this run to undo it"));
            return Ok(());
        };
        let before = held.lifting.clone();
        let only_look = before.as_ref().is_some_and(|order| !due_again(order.at, AGAIN, now));
        if !only_look {
            let tries = before.as_ref().map_or(0, |order| order.tries) + 1;
            let lifting = Some(Lifting { at: now, tries, job: None });
            state.held.entry(thing.to_owned()).and_modify(|held| held.lifting = lifting);
            save(guard, state)?;
        }
        let job = before.as_ref().and_then(|order| order.job.as_deref()).filter(|_| only_look);
        let order = Order {
            facts: &[],
            withheld: &self.config.withheld,
            timeout,
            unheeded: false,
            job,
            only_look,
            guest: None,
        };
        let outcome = action.lift(&**self.host, &order);
        self.lifted(state, thing, before.is_some(), outcome);
        save(guard, state)
    }

    fn lifted(&mut self, state: &mut State, thing: &str, ordered: bool, outcome: Outcome) {
        let now = self.clock.now;
        let Some(held) = state.held.get_mut(thing) else { return };
        let trouble = match outcome {
            // On, without having been told to: what was ordered a short while ago may still come about.
            Outcome::Done { .. } | Outcome::Unneeded
                if !ordered && held.ordered.is_some_and(|at| now.since(at) < TAKES) =>
            {
                held.lifting = None;
                return;
            }
            Outcome::Done { .. } | Outcome::Unneeded => {
                self.notices.extend(ordered.then(|| Notice::lifted(thing, held)));
                state.history.events.extend(ordered.then(|| undone(held, thing, event::Outcome::Done, now)));
                state.held.remove(thing);
                return self.keep_notices(state);
            }
            Outcome::Issued { job, .. } => {
                let tries = held.lifting.as_mut().map_or(0, |order| {
                    order.job = job.or(order.job.take());
                    order.tries
                });
                (tries > 1).then(|| "it was ordered more than once, and it is still off".to_owned())
            }
            Outcome::Unseen { why } => Some(self.redact(&why)),
            Outcome::Postponed { why } => {
                held.lifting = None;
                Some(self.redact(&why))
            }
            Outcome::Failed { why } => Some(self.redact(&why)),
        };
        if let Some(why) = trouble {
            self.not_lifted(state, thing, &why);
        }
    }

    fn not_lifted(&mut self, state: &mut State, thing: &str, why: &str) {
        let Some(held) = state.held.get(thing) else { return };
        let notice = Notice::not_lifted(thing, held, why);
        self.problem(&notice.key, format!("{thing}: {}", why.lines().next().unwrap_or_default()));
        let event = undone(held, thing, event::Outcome::Failed, self.clock.now).saying(why);
        if self.tell_daily(state, notice) {
            state.history.note(event);
        }
        self.keep_notices(state);
    }
}

/// A server that was told to stop may still go off within this: that it is on means nothing yet.
const TAKES: Duration = Duration::from_secs(1800);
/// How long an order is given to come about before it is given again.
const AGAIN: Duration = Duration::from_secs(600);

/// What became of undoing something, for the log.
fn undone(held: &Held, thing: &str, outcome: event::Outcome, now: Instant) -> Event {
    let event = Event::new(now, event::Kind::Lift, outcome).named(&held.action, thing);
    match held.claims.first() {
        Some(claim) => event.about(&claim.source, &claim.subject, &claim.quota),
        None => event,
    }
}

fn row_period(state: &State, quota: &Quota, step: &Step) -> Option<Instant> {
    let source = state.sources.get(&quota.source)?;
    let subject = quota.subject(source, &step.subject)?;
    Some(subject.rows.get(&quota.row_key)?.period)
}

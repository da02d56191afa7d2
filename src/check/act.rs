//! Does what is due, and records what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Run, save};
use crate::api::pve::Cluster;
use crate::config::NamedAction;
use crate::enforce::{Action, Order, Outcome, Target};
use crate::error::Result;
use crate::quota::event::{self, Event};
use crate::quota::guest::{Guest, Id};
use crate::quota::message::{self, Off};
use crate::quota::policy::{ActionRule, DAY, Effect, Go, Plan, Quota, Step, TRIES, Tier, View, due_again};
use crate::quota::state::{Deed, State, Status};
use crate::quota::text::Item;
use crate::store::Guard;

impl Run<'_> {
    /// Does what is due, one after the other: recorded before it is tried, its outcome saved at once.
    pub(super) fn enforce(&mut self, guard: &mut dyn Guard, state: &mut State, plan: &Plan) -> Result<()> {
        let mut steps: Vec<&Step> = plan.steps.iter().collect();
        // One that failed before, perhaps by hanging, must not keep the others waiting.
        steps.sort_by_key(|step| step.tries);
        for step in steps {
            self.step(guard, state, step)?;
        }
        for thing in self.to_lift(state) {
            self.lift(guard, state, &thing)?;
        }
        Ok(())
    }

    fn step(&mut self, guard: &mut dyn Guard, state: &mut State, step: &Step) -> Result<()> {
        let config = self.config;
        let quota = &config.quotas[step.quota];
        let named = config.actions.iter().find(|action| action.rule.name == step.action);
        let Some((named, action)) = named.and_then(|named| Some((named, named.does.once()?))) else {
            return Ok(());
        };
        let action = Acted { named, action };
        let Some(timeout) = self.time_for(action.action) else {
            self.problem(&step_key(step, quota), format!("action {:?}: no time left in this run", step.action));
            return Ok(());
        };
        if step.go != Go::Apply && self.locks_key(state, &quota.source) {
            return Ok(());
        }
        if step.go == Go::Apply && self.is_lifting(state, action) {
            // Told already; it is tried in the runs to come.
            let deed = deed_mut(state, quota, &quota.tiers[step.tier], step);
            deed.into_iter().for_each(|deed| deed.status = Status::Failed);
            return Ok(());
        }
        match step.go {
            Go::Apply => self.apply(guard, state, step, action, timeout),
            Go::Look | Go::Again => {
                let outcome = self.order(state, step, action, timeout, Manner::Look);
                self.conclude(state, step, action, outcome);
                save(guard, state)
            }
        }
    }

    fn apply(
        &mut self,
        guard: &mut dyn Guard,
        state: &mut State,
        step: &Step,
        action: Acted<'_>,
        timeout: Duration,
    ) -> Result<()> {
        let config = self.config;
        let (quota, tier) = (&config.quotas[step.quota], &config.quotas[step.quota].tiers[step.tier]);
        let thing = action.action.thing();
        let ordered = thing.as_ref().is_some_and(|thing| self.is_ordered(state, thing));
        let is_new =
            thing.as_ref().filter(|_| action.named.rule.lifts).is_some_and(|thing| self.claim(state, step, thing));
        let Some(deed) = deed_mut(state, quota, tier, step) else { return Ok(()) };
        let unheeded = deed.status == Status::Started;
        deed.status = Status::Started;
        deed.at = self.clock.now;
        deed.tries += 1;
        deed.machine = Some(self.machine.clone());
        (deed.job, deed.sent) = (None, false);
        let manner = if unheeded {
            Manner::Again
        } else if ordered {
            Manner::Look
        } else {
            Manner::First
        };
        if let Some(held) =
            thing.as_ref().and_then(|thing| state.held.get_mut(thing)).filter(|_| manner != Manner::Look)
        {
            held.ordered = Some(self.clock.now);
        }
        self.log_action(state, step, event::Outcome::Started, "");
        save(guard, state)?;
        let outcome = self.order(state, step, action, timeout, manner);
        if let Some(thing) = thing {
            let nothing = matches!(outcome, Outcome::Unneeded | Outcome::Postponed { .. } | Outcome::Failed { .. });
            if is_new && nothing {
                state.held.remove(&thing);
            } else if !nothing {
                self.reclaim(state, step, &thing);
                self.ordered.insert(thing);
            }
        }
        self.conclude(state, step, action, outcome);
        save(guard, state)?;
        if action.named.rule.effect == Effect::ServerOff {
            self.follow(guard, state, step, action, self.host.elapsed() + timeout)?;
        }
        Ok(())
    }

    /// Has the action done or looked for.
    fn order(&self, state: &mut State, step: &Step, action: Acted<'_>, timeout: Duration, manner: Manner) -> Outcome {
        let (quota, tier) = (&self.config.quotas[step.quota], &self.config.quotas[step.quota].tiers[step.tier]);
        let deed = deed_mut(state, quota, tier, step);
        let job = deed.and_then(|deed| deed.job.clone());
        let mut facts = step.facts.clone();
        facts.push(("NETQUOTA_HOST".into(), self.config.host_name.clone()));
        let withheld = &self.config.withheld;
        let (only_look, unheeded) = (manner == Manner::Look, manner == Manner::Again);
        let target = self.target(state, quota, &step.subject);
        let guest = target.as_ref().map(|(cluster, id, guest)| Target {
            cluster,
            id: *id,
            node: &guest.node,
            lock: guest.lock.as_deref(),
        });
        let order = Order { facts: &facts, withheld, timeout, unheeded, job: job.as_deref(), only_look, guest };
        match step.go {
            Go::Apply => action.action.apply(&**self.host, &order),
            Go::Look | Go::Again => action.action.look(&**self.host, &order),
        }
    }

    /// The guest that a step is about, and its cluster.
    fn target(&self, state: &State, quota: &Quota, subject: &str) -> Option<(Arc<Cluster>, Id, Guest)> {
        let cluster = self.cluster(&quota.source)?;
        let known = quota.subject(state.sources.get(&quota.source)?, subject)?;
        Some((cluster, Id::parse(subject)?, known.guest.as_deref()?.clone()))
    }

    /// The cluster a source of guests reads.
    pub(super) fn cluster(&self, source: &str) -> Option<Arc<Cluster>> {
        let named = self.config.sources.iter().find(|named| named.name == source)?;
        named.source.account()?.pve().map(Arc::clone)
    }

    /// Looks on for the effect of what was accepted, while there is time; the next runs go on with it.
    fn follow(
        &mut self,
        guard: &mut dyn Guard,
        state: &mut State,
        step: &Step,
        action: Acted<'_>,
        until: Duration,
    ) -> Result<()> {
        let (quota, tier) = (&self.config.quotas[step.quota], &self.config.quotas[step.quota].tiers[step.tier]);
        let step = Step { go: Go::Look, ..step.clone() };
        let until = until.min(self.config.deadline);
        loop {
            let taken =
                deed_mut(state, quota, tier, &step).is_some_and(|d| d.status == Status::Started && d.job.is_some());
            let left = until.saturating_sub(self.host.elapsed());
            if !taken || left < PAUSE {
                return Ok(());
            }
            match self.order(state, &step, action, left, Manner::Look) {
                Outcome::Issued { .. } => self.host.sleep(PAUSE),
                Outcome::Unseen { .. } => return Ok(()),
                outcome => {
                    self.conclude(state, &step, action, outcome);
                    return save(guard, state);
                }
            }
        }
    }

    /// How long an action may take; none when what is left of the run is too little to start it.
    pub(super) fn time_for(&self, action: &dyn Action) -> Option<Duration> {
        let left = self.config.deadline.saturating_sub(self.host.elapsed());
        // Reading and messages leave at least three tenths.
        let least = action.timeout().min(LEAST).min(self.config.deadline / 5);
        (left >= least).then(|| action.timeout().min(left))
    }

    fn conclude(&mut self, state: &mut State, step: &Step, action: Acted<'_>, outcome: Outcome) {
        let quota = &self.config.quotas[step.quota];
        let tier = &quota.tiers[step.tier];
        let Some(deed) = deed_mut(state, quota, tier, step) else { return };
        match outcome {
            Outcome::Done { .. } | Outcome::Unneeded if step.go == Go::Again => deed.at = self.clock.now,
            Outcome::Issued { .. } if step.go == Go::Again => {
                drop(deeds_mut(state, quota, tier, step).map(|deeds| deeds.remove(&step.action)));
            }
            Outcome::Unseen { why } | Outcome::Postponed { why } | Outcome::Failed { why } if step.go == Go::Again => {
                self.trouble(step, &self.redact(&why));
            }
            Outcome::Done { output } => {
                (deed.status, deed.output) = (Status::Done, self.redact(&output));
                self.log_action(state, step, event::Outcome::Done, &output);
                self.tell_done(state, step, action, Off::Now);
            }
            Outcome::Unneeded => {
                let off = if deed.tries > 1 { Off::Now } else { Off::Already };
                deed.status = Status::Done;
                self.log_action(
                    state,
                    step,
                    event::Outcome::Done,
                    if off == Off::Already { "it was so already" } else { "" },
                );
                self.tell_done(state, step, action, off);
            }
            Outcome::Issued { .. }
                if step.go == Go::Look
                    && action.named.rule.effect == Effect::ServerOff
                    && deed.went_down(&self.machine, self.clock.now) =>
            {
                deed.status = Status::Done;
                self.log_action(state, step, event::Outcome::Done, "this machine was started anew");
                self.put(state, step, |run, view| message::took_effect(&run.context(), view, &action.named.rule));
            }
            Outcome::Issued { output, job } => {
                deed.output = self.redact(&output);
                let known = deed.job.take().filter(|_| action.named.rule.effect != Effect::GuestOff);
                deed.job = job.or(known);
                deed.machine = Some(self.machine.clone());
            }
            Outcome::Unseen { why } => {
                deed.sent |= step.go == Go::Apply;
                deed.output = self.redact(&why);
                self.trouble(step, &self.redact(&why));
                if step.go == Go::Apply {
                    self.log_action(state, step, event::Outcome::Unknown, &why);
                }
            }
            Outcome::Postponed { why } => {
                deed.status = Status::Failed;
                deed.tries = deed.tries.saturating_sub(1);
                deed.output = self.redact(&why);
                // It was not tried: the log says so once a day.
                state.history.events.pop_if(|event| event.outcome == event::Outcome::Started);
                self.postponed(state, step, &action.named.rule, &why);
                self.is_not_ordered(state, action);
            }
            Outcome::Failed { why } => {
                self.failed(state, step, &action.named.rule, &why);
                self.is_not_ordered(state, action);
                if let Some(thing) = action.action.thing().filter(|_| step.go == Go::Look) {
                    // The order was taken and came to nothing: it is on.
                    state.held.remove(&thing);
                }
            }
        }
    }

    pub(super) fn redact(&self, text: &str) -> String {
        self.config.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
    }

    /// Notes for the log what became of an action.
    fn log_action(&self, state: &mut State, step: &Step, outcome: event::Outcome, detail: &str) {
        let quota = &self.config.quotas[step.quota];
        let event = Event::new(self.clock.now, event::Kind::Action, outcome);
        let event = event.about(&quota.source, &step.subject, &quota.name);
        let event = event.named(&step.action, &message::tier_name(&quota.tiers[step.tier]));
        state.history.note(event.saying(&self.redact(detail)));
    }

    fn trouble(&mut self, step: &Step, why: &str) {
        let key = step_key(step, &self.config.quotas[step.quota]);
        let why = why.lines().next().unwrap_or_default();
        self.problem(&key, format!("action {:?} for {}: {why}", step.action, step.subject));
    }

    fn failed(&mut self, state: &mut State, step: &Step, action: &ActionRule, why: &str) {
        let quota = &self.config.quotas[step.quota];
        let tier = &quota.tiers[step.tier];
        let why = self.redact(why);
        let Some(deed) = deed_mut(state, quota, tier, step) else { return };
        let tries = deed.tries;
        deed.status = if tries < TRIES { Status::Failed } else { Status::GivenUp };
        (deed.output, deed.job) = (why.clone(), None);
        self.trouble(step, &why);
        self.log_action(state, step, event::Outcome::Failed, &why);
        self.put(state, step, |run, view| message::failed(&run.context(), view, action, tries, &why));
    }

    /// What could not be tried is tried on each run; it is told at once, and then daily.
    fn postponed(&mut self, state: &mut State, step: &Step, action: &ActionRule, why: &str) {
        let why = self.redact(why);
        self.trouble(step, &why);
        let key = step_key(step, &self.config.quotas[step.quota]);
        if state.warned.get(&key).is_none_or(|told| due_again(*told, DAY, self.clock.now)) {
            state.warned.insert(key, self.clock.now);
            self.log_action(state, step, event::Outcome::Failed, &why);
            self.put(state, step, |run, view| message::postponed(&run.context(), view, action, &why));
        }
    }

    /// What nobody sees by himself is told.
    fn tell_done(&mut self, state: &mut State, step: &Step, action: Acted<'_>, off: Off) {
        if action.named.rule.effect != Effect::ServerOff {
            return;
        }
        let held = action.action.thing().is_some_and(|thing| state.held.contains_key(&thing));
        self.put(state, step, |run, view| message::server_off(&run.context(), view, &action.named.rule, off, held));
    }

    fn put(&mut self, state: &mut State, step: &Step, item: impl Fn(&Self, &View<'_>) -> Item) {
        let quota = &self.config.quotas[step.quota];
        let subject = state.sources.get_mut(&quota.source).and_then(|source| quota.subject_mut(source, &step.subject));
        let Some(view) = subject.and_then(|subject| View::of(quota, &step.subject, subject)) else { return };
        let item = item(self, &view);
        self.put_all(state, &item);
    }
}

/// An action that happens once, and the rules it goes by.
#[derive(Clone, Copy)]
pub(super) struct Acted<'a> {
    pub(super) named: &'a NamedAction,
    pub(super) action: &'a dyn Action,
}

/// How something is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// For the first time, or after it was refused.
    First,
    /// Since nothing came of it.
    Again,
    /// Not at all: it is only looked at.
    Look,
}

/// An action that may take long is not started with less than this left: cut short, it would count as failed.
const LEAST: Duration = Duration::from_secs(10);

/// Between two looks at a server that was told to stop.
const PAUSE: Duration = Duration::from_secs(2);

fn step_key(step: &Step, quota: &Quota) -> String {
    format!("action/{}/{}/{}", step.action, quota.name, step.subject)
}

fn deeds_mut<'s>(
    state: &'s mut State,
    quota: &Quota,
    tier: &Tier,
    step: &Step,
) -> Option<&'s mut BTreeMap<String, Deed>> {
    let subject = quota.subject_mut(state.sources.get_mut(&quota.source)?, &step.subject)?;
    Some(&mut subject.rows.get_mut(&quota.row_key)?.tiers.get_mut(&tier.key)?.deeds)
}

fn deed_mut<'s>(state: &'s mut State, quota: &Quota, tier: &Tier, step: &Step) -> Option<&'s mut Deed> {
    deeds_mut(state, quota, tier, step)?.get_mut(&step.action)
}

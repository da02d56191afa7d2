//! Does what is due, and records what became of it.

use std::time::Duration;

use super::{Run, save};
use crate::config::NamedAction;
use crate::enforce::{Order, Outcome};
use crate::error::Result;
use crate::quota::message::{self, Notice};
use crate::quota::policy::{ActionRule, DAY, Effect, Go, Plan, Quota, Step, TRIES, Tier, View, due_again};
use crate::quota::state::{Deed, Held, State, Status};
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
        for key in &plan.lifts {
            self.lift(guard, state, key)?;
        }
        Ok(())
    }

    fn step(&mut self, guard: &mut dyn Guard, state: &mut State, step: &Step) -> Result<()> {
        let config = self.config;
        let (quota, tier) = (&config.quotas[step.quota], &config.quotas[step.quota].tiers[step.tier]);
        let Some(action) = config.actions.iter().find(|action| action.rule.name == step.action) else {
            return Ok(());
        };
        let Some(timeout) = self.time_for(action) else {
            self.problem(&step_key(step, quota), format!("action {:?}: no time left in this run", step.action));
            return Ok(());
        };
        let held_before = state.held.contains_key(&held_key(step, quota));
        if step.go == Go::Apply {
            self.hold(state, step, action);
        }
        let Some(deed) = deed_mut(state, quota, tier, step) else { return Ok(()) };
        if step.go == Go::Apply {
            deed.status = Status::Started;
            deed.at = self.clock.now;
            deed.tries += 1;
            deed.machine = Some(self.machine.clone());
        }
        let tries = deed.tries;
        if step.go == Go::Apply {
            save(guard, state)?;
        }
        let outcome = self.order(state, step, action, timeout);
        if step.go == Go::Apply && !held_before && let_go(&outcome, tries) {
            state.held.remove(&held_key(step, quota));
        }
        self.conclude(state, step, action, outcome);
        save(guard, state)?;
        if step.go == Go::Apply && action.rule.effect == Effect::ServerOff {
            self.follow(guard, state, step, action, self.host.elapsed() + timeout)?;
        }
        Ok(())
    }

    /// Has the action done or looked for.
    fn order(&self, state: &mut State, step: &Step, action: &NamedAction, timeout: Duration) -> Outcome {
        let (quota, tier) = (&self.config.quotas[step.quota], &self.config.quotas[step.quota].tiers[step.tier]);
        let deed = deed_mut(state, quota, tier, step);
        let (tries, job) = deed.map_or((0, None), |deed| (deed.tries, deed.job.clone()));
        let mut facts = step.facts.clone();
        facts.push(("NETQUOTA_HOST".into(), self.config.host_name.clone()));
        let withheld = &self.config.withheld;
        let order = Order { facts: &facts, withheld, timeout, tries, job: job.as_deref(), only_look: false };
        match step.go {
            Go::Apply => action.action.apply(&**self.host, &order),
            Go::Look => action.action.look(&**self.host, &order),
        }
    }

    /// Looks on for the effect of what was accepted, while there is time; the next runs go on with it.
    fn follow(
        &mut self,
        guard: &mut dyn Guard,
        state: &mut State,
        step: &Step,
        action: &NamedAction,
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
            match self.order(state, &step, action, left) {
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
    fn time_for(&self, action: &NamedAction) -> Option<Duration> {
        let left = self.config.deadline.saturating_sub(self.host.elapsed());
        // Reading and messages leave at least three tenths.
        let least = action.action.timeout().min(LEAST).min(self.config.deadline / 5);
        (left >= least).then(|| action.action.timeout().min(left))
    }

    /// Notes, before it is done, what will have to be undone.
    fn hold(&self, state: &mut State, step: &Step, action: &NamedAction) {
        let quota = &self.config.quotas[step.quota];
        let tier = &quota.tiers[step.tier].key;
        let Some(period) = row_period(state, quota, step).filter(|_| action.rule.lifts) else { return };
        let held = state.held.entry(held_key(step, quota)).or_insert_with(|| Held {
            action: step.action.clone(),
            quota: quota.name.clone(),
            source: quota.source.clone(),
            subject: step.subject.clone(),
            tier: tier.clone(),
            period,
            since: self.clock.now,
            lifting: None,
        });
        // What is still off from the period before is now off for this one.
        (held.period, held.tier, held.lifting) = (period, tier.clone(), None);
    }

    fn conclude(&mut self, state: &mut State, step: &Step, action: &NamedAction, outcome: Outcome) {
        let quota = &self.config.quotas[step.quota];
        let tier = &quota.tiers[step.tier];
        let Some(deed) = deed_mut(state, quota, tier, step) else { return };
        match outcome {
            Outcome::Done { output } => {
                (deed.status, deed.output) = (Status::Done, self.redact(&output));
                self.tell_done(state, step, &action.rule);
            }
            Outcome::Unneeded => {
                deed.status = Status::Done;
                self.tell_done(state, step, &action.rule);
            }
            Outcome::Issued { .. } if step.go == Go::Look && deed.went_down(&self.machine, self.clock.now) => {
                deed.status = Status::Done;
                self.put(state, step, |run, view| message::took_effect(&run.context(), view, &action.rule));
            }
            Outcome::Issued { output, job } => {
                deed.output = self.redact(&output);
                deed.job = job.or(deed.job.take());
                deed.machine = Some(self.machine.clone());
            }
            Outcome::Unseen { why } => {
                deed.output = self.redact(&why);
                self.trouble(step, &self.redact(&why));
            }
            Outcome::Postponed { why } => {
                deed.status = Status::Failed;
                deed.tries = deed.tries.saturating_sub(1);
                deed.output = self.redact(&why);
                self.postponed(state, step, &action.rule, &why);
            }
            Outcome::Failed { why } => self.failed(state, step, &action.rule, &why),
        }
    }

    fn redact(&self, text: &str) -> String {
        self.config.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
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
        self.put(state, step, |run, view| message::failed(&run.context(), view, action, tries, &why));
    }

    /// What could not be tried is tried on each run; it is told at once, and then daily.
    fn postponed(&mut self, state: &mut State, step: &Step, action: &ActionRule, why: &str) {
        let why = self.redact(why);
        self.trouble(step, &why);
        let key = step_key(step, &self.config.quotas[step.quota]);
        if state.warned.get(&key).is_none_or(|told| due_again(*told, DAY, self.clock.now)) {
            state.warned.insert(key, self.clock.now);
            self.put(state, step, |run, view| message::postponed(&run.context(), view, action, &why));
        }
    }

    /// What nobody sees by himself is told.
    fn tell_done(&mut self, state: &mut State, step: &Step, action: &ActionRule) {
        if action.effect == Effect::ServerOff {
            self.put(state, step, |run, view| message::server_off(&run.context(), view, action));
        }
    }

    fn put(&mut self, state: &mut State, step: &Step, item: impl Fn(&Self, &View<'_>) -> Item) {
        let quota = &self.config.quotas[step.quota];
        let subject = state.sources.get_mut(&quota.source).and_then(|source| quota.subject_mut(source, &step.subject));
        let Some(view) = subject.and_then(|subject| View::of(quota, &step.subject, subject)) else { return };
        let item = item(self, &view);
        self.put_all(state, &item);
    }

    /// Undoes what was done. It is asked for again only after a while: what was accepted takes its time.
    fn lift(&mut self, guard: &mut dyn Guard, state: &mut State, key: &str) -> Result<()> {
        let now = self.clock.now;
        let Some(held) = state.held.get_mut(key) else { return Ok(()) };
        let Some(action) = self.config.actions.iter().find(|action| action.rule.name == held.action) else {
            let notice = Notice::forsaken(held);
            state.held.remove(key);
            self.notices.push(notice);
            self.keep_notices(state);
            return save(guard, state);
        };
        let Some(timeout) = self.time_for(action) else { return Ok(()) };
        let asked = held.lifting;
        let only_look = asked.is_some_and(|asked| !due_again(asked, action.rule.retry_after, now));
        if !only_look {
            held.lifting = Some(now);
            save(guard, state)?;
        }
        let withheld = &self.config.withheld;
        let order = Order { facts: &[], withheld, timeout, tries: 1, job: None, only_look };
        let outcome = action.action.lift(&**self.host, &order);
        self.lifted(state, key, asked.is_some(), outcome);
        save(guard, state)
    }

    fn lifted(&mut self, state: &mut State, key: &str, asked: bool, outcome: Outcome) {
        let Some(held) = state.held.get_mut(key) else { return };
        let why = match outcome {
            Outcome::Done { .. } => {
                self.notices.push(Notice::lifted(held));
                drop(state.held.remove(key));
                return self.keep_notices(state);
            }
            Outcome::Unneeded => {
                self.notices.extend(asked.then(|| Notice::lifted(held)));
                drop(state.held.remove(key));
                return self.keep_notices(state);
            }
            Outcome::Issued { .. } => return,
            Outcome::Unseen { why } => self.redact(&why),
            Outcome::Postponed { why } | Outcome::Failed { why } => {
                held.lifting = None;
                self.redact(&why)
            }
        };
        let notice = Notice::not_lifted(held, &why);
        self.problem(&notice.key, format!("{key}: {}", why.lines().next().unwrap_or_default()));
        if state.warned.get(&notice.key).is_none_or(|told| due_again(*told, DAY, self.clock.now)) {
            state.warned.insert(notice.key.clone(), self.clock.now);
            self.notices.push(notice);
            self.keep_notices(state);
        }
    }
}

/// An action that may take long is not started with less than this left: cut short, it would count as failed.
const LEAST: Duration = Duration::from_secs(10);

/// Between two looks at a server that was told to stop.
const PAUSE: Duration = Duration::from_secs(2);

fn step_key(step: &Step, quota: &Quota) -> String {
    format!("action/{}/{}/{}", step.action, quota.name, step.subject)
}

fn held_key(step: &Step, quota: &Quota) -> String {
    Held::key(&step.action, &quota.name, &step.subject)
}

/// Whether the first try has changed nothing, so that there is nothing to undo.
fn let_go(outcome: &Outcome, tries: u32) -> bool {
    tries == 1 && matches!(outcome, Outcome::Unneeded | Outcome::Postponed { .. } | Outcome::Failed { .. })
}

fn row_period(state: &State, quota: &Quota, step: &Step) -> Option<crate::quota::instant::Instant> {
    let source = state.sources.get(&quota.source)?;
    let (_, subject) = quota.rows(source).into_iter().find(|(name, _)| *name == step.subject)?;
    Some(subject.rows.get(&quota.row_key)?.period)
}

fn deed_mut<'s>(state: &'s mut State, quota: &Quota, tier: &Tier, step: &Step) -> Option<&'s mut Deed> {
    let subject = quota.subject_mut(state.sources.get_mut(&quota.source)?, &step.subject)?;
    subject.rows.get_mut(&quota.row_key)?.tiers.get_mut(&tier.key)?.deeds.get_mut(&step.action)
}

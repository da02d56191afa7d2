//! Does what is due, and records what became of it.

use std::time::Duration;

use super::{Run, save};
use crate::config::NamedAction;
use crate::enforce::{Order, Outcome};
use crate::error::Result;
use crate::quota::message;
use crate::quota::policy::{Plan, Quota, Step, TRIES, Tier, View};
use crate::quota::state::{Deed, State, Status};
use crate::store::Guard;

impl Run<'_> {
    /// Does what is due, one after the other: recorded before it is tried, its outcome saved at once.
    pub(super) fn enforce(&mut self, guard: &mut dyn Guard, state: &mut State, plan: &Plan) -> Result<()> {
        let mut steps: Vec<&Step> = plan.steps.iter().collect();
        // One that failed before, perhaps by hanging, must not keep the others waiting.
        steps.sort_by_key(|step| step.tries);
        for step in steps {
            let quota = &self.config.quotas[step.quota];
            let tier = &quota.tiers[step.tier];
            let Some(action) = self.config.actions.iter().find(|action| action.rule.name == step.action) else {
                continue;
            };
            let left = self.config.deadline.saturating_sub(self.host.elapsed());
            if left < action.action.timeout().min(LEAST) {
                self.problem(&step_key(step, quota), format!("action {:?}: no time left in this run", step.action));
                continue;
            }
            let Some(deed) = deed_mut(state, quota, tier, step) else { continue };
            deed.status = Status::Started;
            deed.at = self.clock.now;
            deed.tries += 1;
            deed.machine = Some(self.machine.clone());
            save(guard, state)?;
            let mut facts = step.facts.clone();
            facts.push(("NETQUOTA_HOST".into(), self.config.host_name.clone()));
            let order =
                Order { facts: &facts, withheld: &self.config.withheld, timeout: action.action.timeout().min(left) };
            let outcome = action.action.apply(&**self.host, &order);
            self.conclude(state, step, action, outcome);
            save(guard, state)?;
        }
        Ok(())
    }

    fn conclude(&mut self, state: &mut State, step: &Step, action: &NamedAction, outcome: Outcome) {
        let redact = |text: &str| self.config.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text));
        let quota = &self.config.quotas[step.quota];
        let tier = &quota.tiers[step.tier];
        let Some(deed) = deed_mut(state, quota, tier, step) else { return };
        let tries = deed.tries;
        let why = match outcome {
            Outcome::Done { output } => {
                (deed.status, deed.output) = (Status::Done, redact(&output));
                return;
            }
            Outcome::Issued { output } => {
                deed.output = redact(&output);
                return;
            }
            Outcome::Failed { why } => redact(&why),
        };
        deed.status = if tries < TRIES { Status::Failed } else { Status::GivenUp };
        deed.output.clone_from(&why);
        self.problem(
            &step_key(step, quota),
            format!("action {:?} for {}: {}", step.action, step.subject, why.lines().next().unwrap_or_default()),
        );
        let Some(source) = state.sources.get_mut(&quota.source) else { return };
        let Some(subject) = quota.subject_mut(source, &step.subject) else { return };
        let Some(view) = View::of(quota, &step.subject, subject) else { return };
        let item = message::failed(&self.context(), &view, &action.rule, tries, &why);
        self.put_all(state, &item);
    }
}

/// An action that may take long is not started with less than this left: cut short, it would count as failed.
const LEAST: Duration = Duration::from_secs(10);

fn step_key(step: &Step, quota: &Quota) -> String {
    format!("action/{}/{}/{}", step.action, quota.name, step.subject)
}

fn deed_mut<'s>(state: &'s mut State, quota: &Quota, tier: &Tier, step: &Step) -> Option<&'s mut Deed> {
    let subject = quota.subject_mut(state.sources.get_mut(&quota.source)?, &step.subject)?;
    subject.rows.get_mut(&quota.row_key)?.tiers.get_mut(&tier.key)?.deeds.get_mut(&step.action)
}

//! The turn of a tier that is reached: its actions, from announced to done.
//!
//! Invariant: an action is due only for a tier reached without unsure or implausible bytes, on a figure of this
//! very run, armed or announced long enough ago.

use super::decide::Round;
use super::duration::Language;
use super::event::{Event, Kind, Outcome};
use super::guest::LAG;
use super::message;
use super::policy::{ActionRule, Effect, Go, Hold, Kept, Step, TRIES, Tell, Tier, View, Withheld, due_again};
use super::state::{Deed, Status, TierMark};

/// A reached tier's turn: its actions.
pub(super) struct Turn<'r, 'a, 'p, 'v> {
    pub(super) round: &'r mut Round<'a, 'p>,
    pub(super) view: &'r View<'v>,
    pub(super) index: usize,
    pub(super) tier: &'r Tier,
    pub(super) certain: bool,
}

impl Turn<'_, '_, '_, '_> {
    /// Moves the tier's actions on; whether one is newly decided.
    pub(super) fn actions(&mut self, mark: &mut TierMark) -> bool {
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
        let open =
            |deed: &Deed| deed.status.is_open() || (deed.status, action.effect) == (Status::Started, Effect::Exit);
        if mark.deeds.get(&action.name).is_none_or(open) {
            mark.deeds.insert(action.name.clone(), self.deed(Status::Passed));
        }
    }

    /// Where the tier's actions stand, for the message.
    pub(super) fn standing(&self, mark: &TierMark) -> Vec<String> {
        let context = self.round.context;
        let stands = |action: &ActionRule| {
            let deed = mark.deeds.get(&action.name)?;
            let due = deed.due.unwrap_or(deed.at);
            let waits = self.held_back(action).filter(|_| due <= context.now);
            Some(match (deed.status, waits) {
                (Status::Announced | Status::Failed, Some(hold)) => message::waits(context.language, action, hold),
                (Status::Announced, None) => {
                    message::announced(context, self.view, action, due, due == deed.at.plus(action.announce))
                }
                (Status::Failed, None) => message::announced(context, self.view, action, context.now, true),
                (status, _) => message::stands(context, self.view, action, status, deed.at),
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
            job: None,
            sent: false,
        }
    }

    /// Whether a deed no longer counts: announced under other settings, or over and allowed anew.
    fn is_void(&self, action: &ActionRule, deed: &Deed) -> bool {
        let holds = matches!(action.effect, Effect::Kept(_));
        let was_other = deed.definition != self.tier.definition && holds != (deed.status == Status::Held);
        if was_other
            && !deed.status.is_open()
            && deed.status != Status::Passed
            && (holds || deed.status == Status::Held)
        {
            return true;
        }
        match deed.status {
            Status::Announced | Status::Failed => deed.definition != self.tier.definition,
            // What never worked may be put right in the configuration.
            Status::GivenUp if deed.tries >= TRIES && deed.definition != self.tier.definition => true,
            // The server is looked at first.
            Status::Done if action.effect == Effect::ServerOff => false,
            Status::Done | Status::GivenUp => {
                action.again_after.is_some_and(|after| due_again(deed.at, after, self.round.context.now))
            }
            Status::Started | Status::Passed | Status::Held => false,
        }
    }

    /// A new deed: due at once when armed, else after its time to arm.
    fn announce(&self, action: &ActionRule, armed: bool) -> Deed {
        // What leaves the guest on is undone as easily as it is done.
        let armed =
            armed || self.view.held_off || matches!(action.effect, Effect::Kept(Kept::Disconnected | Kept::Limited(_)));
        let wait = if armed { action.announce } else { action.announce.max(action.arm_after) };
        Deed { due: Some(self.round.context.now.plus(wait)), ..self.deed(Status::Announced) }
    }

    /// Moves a deed on by what is seen of it, and puts it into the plan when it is due.
    fn advance(&mut self, action: &ActionRule, deed: &mut Deed) {
        let now = self.round.context.now;
        match (deed.status, action.effect) {
            (Status::Announced, Effect::Kept(_)) if deed.due.is_none_or(|due| now >= due) => self.hold(action, deed),
            (Status::Announced, _) if deed.due.is_none_or(|due| now >= due) => {
                let acts = self.apply(action, deed);
                if acts && deed.at < now {
                    let item = message::acting(self.round.context, self.view, action);
                    self.round.plan.tells.push(Tell { to: self.tier.notify.clone(), item });
                }
            }
            (Status::Failed, _) => drop(self.apply(action, deed)),
            (Status::Started, Effect::Restart) => self.look_for_restart(action, deed),
            (Status::Started, Effect::Exit) => self.give_up(action, deed),
            (Status::Started, Effect::ServerOff) => self.look_at_server(action, deed),
            (Status::Started, Effect::GuestOff) => self.look_at_guest(action, deed),
            (Status::Done, Effect::ServerOff)
                if action.again_after.is_some_and(|after| due_again(deed.at, after, now)) =>
            {
                self.step(action, deed, Go::Again);
            }
            (Status::GivenUp, _) => self.given_up(action),
            _ => {}
        }
    }

    /// From now on it is kept so, for as long as the tier is reached.
    fn hold(&mut self, action: &ActionRule, deed: &mut Deed) {
        if let Some(hold) = self.held_back(action) {
            let text = message::waits(Language::En, action, hold);
            return self.round.reason(self.view, &text);
        }
        let text = format!("action {:?} holds from now on", action.name);
        self.round.reason(self.view, &text);
        if deed.at < self.round.context.now {
            let item = message::acting(self.round.context, self.view, action);
            self.round.plan.tells.push(Tell { to: self.tier.notify.clone(), item });
        }
        (deed.status, deed.at) = (Status::Held, self.round.context.now);
    }

    /// A guest is done with once it has been off: also when somebody has started it again meanwhile.
    fn look_at_guest(&mut self, action: &ActionRule, deed: &mut Deed) {
        let Some(guest) = self.view.guest.filter(|_| self.view.fresh) else { return };
        let now = self.round.context.now;
        let started = now.minus(self.view.uptime.unwrap_or_default());
        if !guest.on || started > deed.at.plus(LAG) {
            (deed.status, deed.at) = (Status::Done, now);
            self.note(action, Outcome::Done, "it has been off");
            return;
        }
        // A task that goes on is waited for; what became of one that is over is known.
        let passed = now.since(deed.at);
        let waits = passed < action.retry_after || (deed.job.is_some() && passed < action.retry_after * 3);
        if waits || (deed.tries < TRIES && !self.apply(action, deed)) {
            self.step(action, deed, Go::Look);
        } else if deed.tries >= TRIES {
            self.give_up(action, deed);
        }
    }

    fn look_for_restart(&mut self, action: &ActionRule, deed: &mut Deed) {
        let context = self.round.context;
        let passed = context.now.since(deed.at);
        if deed.machine.as_ref().is_some_and(|then| then.rebooted(context.machine, passed)) {
            deed.status = Status::Done;
            deed.at = context.now;
            let item = message::took_effect(context, self.view, action);
            self.round.tell_all(item);
            self.note(action, Outcome::Done, "this machine was started anew");
        } else if passed >= action.retry_after && deed.tries >= TRIES {
            self.give_up(action, deed);
        } else if passed >= action.retry_after {
            self.apply(action, deed);
        }
    }

    /// A server is asked in each run; while it is up and long enough has passed, it is told again. Not when this machine
    /// went down since the order was taken: it may be the server itself, which somebody has started.
    fn look_at_server(&mut self, action: &ActionRule, deed: &mut Deed) {
        let long = self.round.context.now.since(deed.at) >= action.retry_after;
        let down = deed.went_down(self.round.context.machine, self.round.context.now);
        if !long || down || (deed.tries < TRIES && !self.apply(action, deed)) {
            self.step(action, deed, Go::Look);
        } else if deed.tries >= TRIES {
            self.give_up(action, deed);
        }
    }

    fn give_up(&mut self, action: &ActionRule, deed: &mut Deed) {
        deed.status = Status::GivenUp;
        deed.at = self.round.context.now;
        let item = message::gave_up(self.round.context, self.view, action);
        self.round.tell_all(item);
        self.note(action, Outcome::Unknown, "given up: its effect was not seen");
        self.given_up(action);
    }

    fn note(&mut self, action: &ActionRule, outcome: Outcome, detail: &str) {
        let event = Event::new(self.round.context.now, Kind::Action, outcome);
        let event = event.named(&action.name, &message::tier_name(self.tier)).saying(detail);
        self.round.note(self.view, event);
    }

    fn given_up(&mut self, action: &ActionRule) {
        let key = format!("action/{}/{}/{}", action.name, self.round.quota.name, self.view.subject);
        let text = format!("action {:?} for {}: given up, see the messages", action.name, self.view.subject);
        self.round.plan.problems.push((key, text));
    }

    /// Puts the action into the plan unless something holds it back; whether it is there.
    fn apply(&mut self, action: &ActionRule, deed: &Deed) -> bool {
        if let Some(hold) = self.held_back(action) {
            let text = message::waits(Language::En, action, hold);
            self.round.reason(self.view, &text);
            return false;
        }
        let text = format!("action {:?} is due", action.name);
        self.round.reason(self.view, &text);
        self.step(action, deed, Go::Apply);
        true
    }

    fn step(&mut self, action: &ActionRule, deed: &Deed, go: Go) {
        self.round.plan.steps.push(Step {
            quota: self.round.index,
            tier: self.index,
            subject: self.view.subject.to_owned(),
            action: action.name.clone(),
            facts: facts(self.view, self.tier),
            tries: deed.tries,
            go,
        });
    }

    fn held_back(&self, action: &ActionRule) -> Option<Hold> {
        let context = self.round.context;
        let on_guest = action.effect.is_on_guest();
        let uptime = if on_guest { self.view.uptime } else { context.machine.uptime };
        match uptime {
            _ if context.withheld.is_some() => Some(Hold::ClockInDoubt),
            _ if !self.view.fresh => Some(Hold::NoReading),
            // A report from before the period's end says nothing of the one that runs.
            _ if self.view.ledger.period.end.is_some_and(|end| end <= context.now) => Some(Hold::NoReading),
            _ if !self.certain => Some(Hold::Uncertain),
            _ if matches!(action.effect, Effect::Kept(Kept::Disconnected | Kept::Limited(_))) => None,
            _ if on_guest && self.view.guest.is_some_and(|guest| !guest.on) => match action.effect {
                Effect::GuestOff => Some(Hold::GuestIsOff),
                _ => None,
            },
            // A pool is as old as its members, each of which has its own time.
            _ if on_guest && self.view.quota.pool => None,
            None => Some(Hold::UptimeUnknown),
            Some(uptime) if uptime < action.boot_grace => Some(Hold::JustBooted),
            Some(_) => None,
        }
    }
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
        ("ALLOWANCE", view.allowance.to_string()),
        ("REMAINING", view.remaining().to_string()),
        ("PERCENT", view.percent().to_string()),
        ("PERIOD_START", period.start.to_string()),
        ("PERIOD_END", period.end.map(|end| end.to_string()).unwrap_or_default()),
    ];
    let guest = view.guest.into_iter().flat_map(|guest| [("NAME", guest.name.clone()), ("NODE", guest.node.clone())]);
    pairs.into_iter().chain(guest).map(|(name, value)| (format!("NETQUOTA_{name}"), value)).collect()
}

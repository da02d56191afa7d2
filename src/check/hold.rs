//! Keeps guests as their tiers want them, and lets them go as they were.
//!
//! Invariant: what a guest's NIC was is saved before it is changed, with every value of ours that may be found on it,
//! and forgotten when it is as it was. What is done follows from the guest as it is, read in this run, and from what is
//! wanted; nothing is written to the cluster when both agree.

mod nics;
mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::{Run, save};
use crate::api::pve::config::Config;
use crate::api::pve::nic::Nic;
use crate::api::pve::power::Order;
use crate::api::pve::{ABREAST, Cause, Cluster, Failure, Kind};
use crate::error::Result;
use crate::host::Job;
use crate::quota::event::{self, Event};
use crate::quota::guest::Id;
use crate::quota::hold::{self, Name, Strictest, Want};
use crate::quota::instant::Instant;
use crate::quota::message::{self, HeldName, LetGo};
use crate::quota::policy::{DAY, due_again};
use crate::quota::state::{Down, HeldGuest, Likeness, Need, State, Trouble};
use crate::store::Guard;

/// Guests that are read side by side and whose changes are saved in one go, before any of them is made.
const BATCH: usize = 48;
/// With less left of the run no guest is begun with.
const LEAST: Duration = Duration::from_secs(2);
/// What may pass by itself is told when it has lasted.
const LASTING: Duration = Duration::from_secs(900);

/// A guest as it was read in this run, and what is wanted of it.
#[derive(Clone)]
struct Seen {
    name: Name,
    cluster: Arc<Cluster>,
    id: Id,
    node: String,
    /// As messages show it.
    shown: String,
    called: String,
    on: bool,
    started: Instant,
    lock: Option<String>,
    wanted: Strictest,
}

/// What is about to be changed of a guest.
struct Work {
    seen: Seen,
    /// The version of the configuration it follows from, and the NICs as they will be.
    nics: Option<(String, BTreeMap<String, Nic>)>,
    power: Option<Order>,
    /// How it was kept off before that order.
    before: Option<Down>,
    /// What is not put back, since somebody else has changed it.
    foreign: Vec<String>,
    /// It is another guest than the one that was held.
    is_another: bool,
}

/// A guest's configuration, where it was needed.
type Read = Option<std::result::Result<Config, Failure>>;

impl Run<'_> {
    /// Brings every guest to where it is wanted.
    pub(super) fn hold(&mut self, guard: &mut dyn Guard, state: &mut State) -> Result<()> {
        if self.withheld.is_some() {
            return Ok(());
        }
        let wants = hold::wants(&self.context(), state);
        self.note(state, &wants);
        self.bring(guard, state, &wants, |_| true)
    }

    /// Notes who wants which guest. Of those that a part of the quotas says nothing of nothing is noted.
    pub(super) fn note(&self, state: &mut State, wants: &BTreeMap<Name, Vec<Want>>) {
        let now = self.clock.now;
        for ((source, guest), wants) in wants {
            let held = state.guests.entry(source.clone()).or_default().entry(guest.clone());
            let held = held.or_insert_with(|| HeldGuest::new(now));
            held.needs = wants.iter().map(|want| want.need.clone()).collect();
            held.lifting = None;
        }
        for (source, guests) in &mut state.guests {
            let known = state.sources.get(source);
            for (guest, held) in guests.iter_mut() {
                if !wants.contains_key(&(source.clone(), guest.clone())) && self.knows_needs(held) {
                    held.lifting.get_or_insert(now);
                }
            }
            guests.retain(|guest, held| {
                let forgotten = known.is_some_and(|known| !known.subjects.contains_key(guest));
                !forgotten && (held.lifting.is_none() || !held.nics.is_empty() || held.down.is_some())
            });
        }
        state.guests.retain(|_, guests| !guests.is_empty());
    }

    /// Whether this run looks at all quotas that want the guest held.
    fn knows_needs(&self, held: &HeldGuest) -> bool {
        let looks = |name: &String| {
            let place = self.config.quotas.iter().position(|quota| quota.name == *name);
            place.map_or(self.whole, |place| self.selected[place])
        };
        held.needs.iter().all(|need| looks(&need.quota))
    }

    /// Brings the guests that are picked to where they are wanted: recorded in batches before it is done.
    pub(super) fn bring(
        &mut self,
        guard: &mut dyn Guard,
        state: &mut State,
        wants: &BTreeMap<Name, Vec<Want>>,
        pick: impl Fn(&Name) -> bool,
    ) -> Result<()> {
        let mut names: Vec<(Option<Instant>, Name)> = Vec::new();
        for (source, guests) in &state.guests {
            let known = guests.iter().filter(|(_, held)| self.knows_needs(held));
            names.extend(known.map(|(guest, held)| (held.tried, (source.clone(), guest.clone()))));
        }
        names.retain(|(_, name)| pick(name));
        // One that was not looked at for long goes first.
        names.sort();
        let mut silent: BTreeSet<(String, String)> = BTreeSet::new();
        for batch in names.chunks(BATCH) {
            if !self.has_time() {
                break;
            }
            let seen: Vec<Seen> =
                batch.iter().filter_map(|(_, name)| self.seen(state, name, wants.get(name))).collect();
            let mut work = Vec::new();
            for (seen, read) in self.read_configs(state, seen, &mut silent) {
                // One that was left out, since another of its node did not answer, goes first in the next run.
                let held = held_mut(state, &seen.name);
                held.into_iter().for_each(|held| held.tried = Some(self.clock.now));
                work.extend(self.prepare(state, seen, read));
            }
            self.carry_out(guard, state, work)?;
        }
        Ok(())
    }

    fn has_time(&mut self) -> bool {
        let has = self.config.deadline.saturating_sub(self.host.elapsed()) >= LEAST;
        if !has && !self.problems.iter().any(|(key, _)| key == "hold") {
            self.problem("hold", "no time left in this run for all guests that are held".into());
        }
        has
    }

    /// The guest, when its figure is of this run.
    fn seen(&mut self, state: &mut State, name: &Name, wants: Option<&Vec<Want>>) -> Option<Seen> {
        let (source, subject) = name;
        let Some(cluster) = self.cluster(source) else {
            self.orphans(state, source);
            return None;
        };
        let now = self.clock.now;
        let known = state.sources.get(source)?.subjects.get(subject)?;
        let guest = known.guest.as_deref().filter(|_| known.fresh && known.gone.is_none())?;
        let uptime = known.series.as_ref()?.identity.uptime.unwrap_or_default();
        let seen = Seen {
            name: name.clone(),
            cluster,
            id: Id::parse(subject)?,
            node: guest.node.clone(),
            shown: message::guest_name(subject, guest),
            called: guest.name.clone(),
            on: guest.on,
            started: now.minus(uptime),
            lock: guest.lock.clone(),
            wanted: Strictest::of(wants.map_or(&[], Vec::as_slice)),
        };
        held(state, name).map(|_| seen)
    }

    /// Guests of a source that is no cluster any more stay as they are: told once for all of them.
    fn orphans(&mut self, state: &mut State, source: &str) {
        let key = format!("hold/{source}");
        if self.problems.iter().any(|(known, _)| *known == key) {
            return;
        }
        let names: Vec<&str> = state.guests.get(source).into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let text = format!(
            "source {source:?} is no cluster any more, and these guests stay held: {} (netquota lift forgets one)",
            names.join(", ")
        );
        self.tell_daily(state, message::Notice::orphans(source, &text));
        self.keep_notices(state);
        self.problem(&key, text);
    }

    /// The configurations that are needed, some side by side. Of a node that does not answer only one is asked for.
    fn read_configs(
        &self,
        state: &State,
        seen: Vec<Seen>,
        silent: &mut BTreeSet<(String, String)>,
    ) -> Vec<(Seen, Read)> {
        let node = |seen: &Seen| (seen.name.0.clone(), seen.node.clone());
        let needed = |seen: &Seen| held(state, &seen.name).is_some_and(|held| power::needs_config(held, seen));
        let (ask, done): (Vec<Seen>, Vec<Seen>) = seen.into_iter().partition(needed);
        let mut reads: Vec<(Seen, Read)> = done.into_iter().map(|seen| (seen, None)).collect();
        let mut ask = ask.into_iter();
        loop {
            let next: Vec<Seen> = ask.by_ref().filter(|seen| !silent.contains(&node(seen))).take(ABREAST).collect();
            if next.is_empty() || self.config.deadline.saturating_sub(self.host.elapsed()) < LEAST {
                return reads;
            }
            let answers = self.read_some(next);
            for (seen, read) in &answers {
                if matches!(read, Err(Failure { kind: Kind::Unanswered, .. })) {
                    silent.insert(node(seen));
                }
            }
            reads.extend(answers.into_iter().map(|(seen, read)| (seen, Some(read))));
        }
    }

    fn read_some(&self, seen: Vec<Seen>) -> Vec<(Seen, std::result::Result<Config, Failure>)> {
        // One that never answers leaves time for what is to be done to the others.
        let now = self.host.elapsed();
        let until = now + self.config.deadline.saturating_sub(now) / 2;
        let (sender, answers) = mpsc::channel();
        let job = |seen: Seen| -> Job {
            let (host, sender) = (Arc::clone(self.host), sender.clone());
            Box::new(move || {
                let read = seen.cluster.config(&*host, seen.id, &seen.node, until);
                // The receiver is gone once the time is over; the next run reads again.
                sender.send((seen, read)).ok();
            })
        };
        let left = self.config.deadline.saturating_sub(self.host.elapsed());
        self.host.side_by_side(seen.into_iter().map(job).collect(), left);
        let mut answers: Vec<_> = answers.try_iter().collect();
        answers.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        answers
    }

    /// What has to be changed of a guest, recorded in the state.
    fn prepare(&mut self, state: &mut State, mut seen: Seen, read: Read) -> Option<Work> {
        let config = match read.transpose() {
            Ok(config) => config,
            Err(failure) => {
                self.trouble_of(state, &seen, &failure);
                return None;
            }
        };
        let mut held = held(state, &seen.name)?.clone();
        let mut is_another = false;
        if let Some(config) = &config {
            let likeness = likeness(&seen, config);
            is_another = held.likeness.as_ref().is_some_and(|known| !known.is(&likeness));
            if is_another {
                // Whatever of ours has come to it by a copy is taken off; nothing else of it is our business.
                (held.down, seen.wanted) = (None, Strictest::default());
                self.is_another(state, &seen.name);
            }
            held.likeness = Some(likeness);
        }
        let nics = config.as_ref().map(|config| nics::compare(&held.nics, seen.wanted, config));
        let before = held.down.clone();
        let (power, failed) = self.power(&seen, &mut held);
        let changes = power.is_some() || nics.as_ref().is_some_and(|nics| !nics.put.is_empty());
        if let Some(lock) = seen.lock.as_ref().filter(|_| changes) {
            self.trouble_of(state, &seen, &passing(format!("it is locked ({lock})")));
            return None;
        }
        let mut settled = true;
        let mut foreign = Vec::new();
        if let Some(nics) = &nics {
            held.nics = nics.known.clone();
            settled = nics.put.is_empty() && nics.unread.is_empty();
            foreign.clone_from(&nics.foreign);
        }
        held.changed |= changes;
        let unread = nics.as_ref().map(|nics| nics.unread.join("; ")).filter(|why| !why.is_empty());
        let trouble = failed.or(unread);
        let under_way = held.down.as_ref().is_some_and(|down| down.order.is_some());
        if trouble.is_none() && !changes && !under_way {
            held.trouble = None;
        }
        if let Some(known) = held_mut(state, &seen.name) {
            *known = held;
        }
        if let Some(why) = trouble {
            self.trouble_of(state, &seen, &passing(why));
        }
        foreign.retain(|_| !is_another);
        if !changes {
            if settled {
                self.let_go(state, &seen, &foreign, is_another);
            }
            return None;
        }
        let nics = nics.zip(config).filter(|(nics, _)| !nics.put.is_empty());
        Some(Work {
            seen,
            nics: nics.map(|(nics, config)| (config.digest, nics.put)),
            power,
            before,
            foreign,
            is_another,
        })
    }

    /// The number was given to another guest: nothing of the usage is its own.
    fn is_another(&self, state: &mut State, (source, subject): &Name) {
        let Some(named) = self.config.sources.iter().find(|named| named.name == *source) else { return };
        let asked = super::meter::asked(self.config, named);
        let memory = state.sources.get_mut(source);
        memory.into_iter().for_each(|memory| memory.become_another(subject, &asked, self.clock.now));
    }

    /// Saves what is about to be done, and does it.
    fn carry_out(&mut self, guard: &mut dyn Guard, state: &mut State, work: Vec<Work>) -> Result<()> {
        if work.is_empty() {
            return Ok(());
        }
        save(guard, state)?;
        for mut work in work {
            if !self.has_time() {
                self.withdraw(state, &work);
                continue;
            }
            let edited = match self.edit(&work) {
                Err(failure) if failure.kind == Kind::DigestMismatch => self.once_more(guard, state, &mut work)?,
                outcome => outcome,
            };
            let ordered = self.order_power(state, &work);
            self.outcome(state, &work, edited.and(ordered));
        }
        Ok(())
    }

    fn outcome(&mut self, state: &mut State, work: &Work, outcome: std::result::Result<(), Failure>) {
        if let Err(failure) = outcome {
            return self.trouble_of(state, &work.seen, &failure);
        }
        if work.seen.wanted != Strictest::default() {
            let outcome = if work.power.is_some() { event::Outcome::Started } else { event::Outcome::Done };
            self.log_hold(state, &work.seen, event::Kind::Hold, outcome, "");
        }
        if work.power.is_none() {
            held_mut(state, &work.seen.name).into_iter().for_each(|held| held.trouble = None);
            if work.seen.wanted == Strictest::default() {
                self.let_go(state, &work.seen, &work.foreign, work.is_another);
            }
        }
    }

    /// Changes the NICs, if they are to be.
    fn edit(&self, work: &Work) -> std::result::Result<(), Failure> {
        let (seen, Some((digest, put))) = (&work.seen, &work.nics) else { return Ok(()) };
        seen.cluster.change_nics(&**self.host, seen.id, &seen.node, digest, put, self.config.deadline)
    }

    /// Gives the order, if there is one. One that was certainly not taken was never given.
    fn order_power(&self, state: &mut State, work: &Work) -> std::result::Result<(), Failure> {
        let (seen, Some(order)) = (&work.seen, work.power) else { return Ok(()) };
        match seen.cluster.power(&**self.host, seen.id, &seen.node, order, self.config.deadline) {
            Ok(job) => {
                let order = held_mut(state, &seen.name).and_then(|held| held.down.as_mut()?.order.as_mut());
                order.into_iter().for_each(|order| order.job = Some(job.clone()));
                Ok(())
            }
            // It is so by itself.
            Err(Failure { kind: Kind::NotRunning | Kind::AlreadyRunning, .. }) => {
                self.withdraw(state, work);
                Ok(())
            }
            Err(failure) => {
                if failure.cause != Cause::Unknown {
                    self.withdraw(state, work);
                }
                Err(failure)
            }
        }
    }

    /// The order was not given: the guest is kept off, or not, as before.
    fn withdraw(&self, state: &mut State, work: &Work) {
        let held = held_mut(state, &work.seen.name).filter(|_| work.power.is_some());
        held.into_iter().for_each(|held| held.down.clone_from(&work.before));
    }

    /// Somebody else was faster: the change is made anew, once.
    fn once_more(
        &mut self,
        guard: &mut dyn Guard,
        state: &mut State,
        work: &mut Work,
    ) -> Result<std::result::Result<(), Failure>> {
        let seen = &work.seen;
        let config = match seen.cluster.config(&**self.host, seen.id, &seen.node, self.config.deadline) {
            Ok(config) => config,
            Err(failure) => return Ok(Err(failure)),
        };
        let Some(held) = held_mut(state, &seen.name) else { return Ok(Ok(())) };
        let nics = nics::compare(&held.nics, seen.wanted, &config);
        held.nics = nics.known;
        work.foreign = nics.foreign;
        work.nics = Some((config.digest, nics.put)).filter(|(_, put)| !put.is_empty());
        save(guard, state)?;
        if !nics.unread.is_empty() {
            return Ok(Err(passing(nics.unread.join("; "))));
        }
        Ok(self.edit(work))
    }

    /// Nobody wants the guest held, and nothing of it is left to be put back.
    fn let_go(&mut self, state: &mut State, seen: &Seen, foreign: &[String], is_another: bool) {
        let Some(held) = held_mut(state, &seen.name) else { return };
        if seen.wanted != Strictest::default() || held.down.as_ref().is_some_and(|down| !power::is_over(down, seen)) {
            return;
        }
        let off = held.down.take().is_some_and(|down| down.taken) && !seen.on;
        let how = LetGo { needs: &held.needs, foreign, off, is_another };
        let told = held.changed || !foreign.is_empty();
        let item = told.then(|| seen.held_name().let_go(&self.context(), &how));
        if told {
            self.log_hold(state, seen, event::Kind::Lift, event::Outcome::Done, &foreign.join(", "));
        }
        if let Some(guests) = state.guests.get_mut(&seen.name.0) {
            guests.remove(&seen.name.1);
        }
        state.guests.retain(|_, guests| !guests.is_empty());
        if let Some(item) = item {
            self.put_all(state, &item);
        }
    }

    /// Notes for the log what was done to a guest, and who wants it held or did so last.
    fn log_hold(&self, state: &mut State, seen: &Seen, kind: event::Kind, outcome: event::Outcome, detail: &str) {
        let (source, subject) = &seen.name;
        let needs = held(state, &seen.name).map(|held| held.needs.clone()).unwrap_or_default();
        let list = |of: fn(&Need) -> &str| {
            let mut names: Vec<&str> = needs.iter().map(of).collect();
            names.dedup();
            names.join(", ")
        };
        let event = Event::new(self.clock.now, kind, outcome).about(source, subject, &list(|need| &need.quota));
        state.history.note(event.named(&list(|need| &need.action), "").saying(detail));
    }

    /// What could not be done to a guest is a problem in each run; it is told when it lasts or does not pass by itself,
    /// and then daily.
    fn trouble_of(&mut self, state: &mut State, seen: &Seen, failure: &Failure) {
        let now = self.clock.now;
        let why = self.redact(&failure.text);
        let name = seen.held_name();
        self.problem(&name.key(), format!("guest {}: {why}", seen.shown));
        let Some(held) = held_mut(state, &seen.name) else { return };
        let trouble = held.trouble.get_or_insert(Trouble { since: now, told: None });
        let lasts = now.since(trouble.since) >= LASTING || !failure.may_pass();
        if failure.kind != Kind::Gone && lasts && trouble.told.is_none_or(|told| due_again(told, DAY, now)) {
            trouble.told = Some(now);
            let lifting = held.lifting.is_some();
            let item = name.not_held(&self.context(), &why, lifting);
            let kind = if lifting { event::Kind::Lift } else { event::Kind::Hold };
            self.log_hold(state, seen, kind, event::Outcome::Failed, &why);
            self.put_all(state, &item);
        }
    }
}

impl Seen {
    fn held_name(&self) -> HeldName<'_> {
        HeldName { source: &self.name.0, subject: &self.name.1, shown: &self.shown }
    }
}

fn likeness(seen: &Seen, config: &Config) -> Likeness {
    Likeness { created: config.created, name: seen.called.clone(), addresses: config.addresses.clone() }
}

/// Something that may be over by the next run.
fn passing(text: String) -> Failure {
    Failure { text, cause: Cause::Later, kind: Kind::Other }
}

fn held<'s>(state: &'s State, (source, subject): &Name) -> Option<&'s HeldGuest> {
    state.guests.get(source)?.get(subject)
}

fn held_mut<'s>(state: &'s mut State, (source, subject): &Name) -> Option<&'s mut HeldGuest> {
    state.guests.get_mut(source)?.get_mut(subject)
}

//! What the operator asks for by hand: a part of the line, with his word in it.

use std::sync::Arc;

use super::{Options, Run, save};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::quota::event::{self, Event};
use crate::quota::hold;
use crate::quota::instant::Instant;
use crate::quota::state::{HeldGuest, State};
use crate::store::{self, Guard};

/// What became of lifting a guest by hand.
pub struct Lifted {
    /// What is wrong.
    pub problems: Vec<String>,
    /// Whether there was a quota that may hold it, or it was held.
    pub any: bool,
    /// Whether it is still held.
    pub held: bool,
    /// Whether an order to it has not come about yet.
    pub under_way: bool,
}

/// Lets a guest go for the periods that run, or takes that back.
pub fn lift(
    host: &Arc<dyn Host>,
    guard: &mut dyn Guard,
    config: &Config,
    (source, subject): (&str, &str),
    lifted: bool,
) -> Result<Lifted> {
    let mut run = Run { eager: true, ..Run::new(host, config, &Options::default())? };
    let loaded = store::load(guard)?;
    if let Some(broken) = loaded.broken {
        return Err(Error::failed(format!("{}: run `netquota check` first", broken.why)));
    }
    let mut state = run.begin(loaded.state, None);
    let said = run.read_these(&state, |name| name == source);
    run.meter(&mut state, said);
    let memory = state.sources.entry(source.to_owned()).or_default();
    let any = hold::set_lifted(&config.quotas, memory, subject, lifted);
    let event = Event::new(run.clock.now, event::Kind::Lift, event::Outcome::Started).about(source, subject, "");
    let reason = if lifted { "by hand, for the period that runs" } else { "an earlier lift by hand was taken back" };
    let held = |state: &State| state.guests.get(source).is_some_and(|guests| guests.contains_key(subject));
    if any || held(&state) {
        state.history.note(event.named("", reason));
    }
    let wants = hold::wants(&run.context(), &state);
    run.note(&mut state, &wants);
    run.keep_notices(&mut state);
    save(guard, &state)?;
    let was_held = held(&state);
    if was_held && lifted && run.withheld.is_none() {
        run.bring(guard, &mut state, &wants, |name| (name.0.as_str(), name.1.as_str()) == (source, subject))?;
    }
    // Whoever lifts it by hand knows.
    let told = ["hold", "let-go"].map(|what| format!("{what}/{source}/{subject}"));
    state.outbox.values_mut().for_each(|outbox| outbox.items.retain(|item| !told.contains(&item.key)));
    save(guard, &state)?;
    let problems = run.problems.into_iter().map(|(_, text)| text).collect();
    let order = state.guests.get(source).and_then(|guests| guests.get(subject)?.down.as_ref()?.order.as_ref());
    let under_way = order.is_some();
    Ok(Lifted { problems, any: any || was_held, held: held(&state), under_way })
}

/// Forgets what was done to a guest of a source that is no cluster any more; what that was, if anything.
pub fn forget(guard: &mut dyn Guard, source: &str, subject: &str) -> Result<Option<HeldGuest>> {
    let loaded = store::load(guard)?;
    if let Some(broken) = loaded.broken {
        return Err(Error::failed(format!("{}: run `netquota check` first", broken.why)));
    }
    let mut state = loaded.state;
    let forgotten = state.guests.get_mut(source).and_then(|guests| guests.remove(subject));
    state.guests.retain(|_, guests| !guests.is_empty());
    save(guard, &state)?;
    Ok(forgotten)
}

/// Reads and meters what one quota looks at, and decides nothing; the state, the time and what was wrong.
pub fn read_only_this(
    host: &Arc<dyn Host>,
    guard: &mut dyn Guard,
    config: &Config,
    quota: &str,
) -> Result<(State, Instant, Vec<String>)> {
    let options = Options { only: vec![quota.to_owned()], ..Options::default() };
    let mut run = Run { eager: true, ..Run::new(host, config, &options)? };
    let loaded = store::load(guard)?;
    if let Some(broken) = loaded.broken {
        return Err(Error::failed(format!("{}: run `netquota check` first", broken.why)));
    }
    let mut state = run.begin(loaded.state, None);
    let said = run.read(&state);
    run.meter(&mut state, said);
    run.fill(&mut state);
    run.sum_pools(&mut state);
    run.keep_notices(&mut state);
    Ok((state, run.clock.now, run.problems.into_iter().map(|(_, text)| text).collect()))
}

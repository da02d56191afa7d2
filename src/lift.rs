//! The operator lets a guest go, whatever its tiers say, or takes that back.
//!
//! What was done is undone at once, and nothing is done anew in the periods that run. What cannot be undone now is
//! undone by the next runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::check::{self, by_hand};
use crate::cli::LiftArgs;
use crate::config::{Config, fields};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::quota::change::{Change, Edit};
use crate::quota::state::{HeldGuest, State};
use crate::store::{self, Store};

/// How long it waits for a run to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets the guest go; returns what to print, and what is wrong.
pub fn lift(
    host: &Arc<dyn Host>,
    store: &dyn Store,
    config: &Config,
    args: &LiftArgs,
) -> Result<(String, Vec<String>)> {
    let mut guard = check::lock(host, store, config, PATIENCE)?;
    let found = find(&store::load(store.peek())?.state, config, &args.subject)?;
    let source = match found {
        Found::There(source) => source,
        Found::Orphan(source) if args.again => {
            return Err(Error::usage(format!("source {source:?} is no cluster any more: nothing holds its guests")));
        }
        Found::Orphan(source) => {
            let left =
                by_hand::forget(&mut *guard, &source, &args.subject)?.map(|held| left(&held)).unwrap_or_default();
            return Ok((format!("{}: forgotten; what is left on it: {left}", args.subject), Vec::new()));
        }
    };
    let lifted = by_hand::lift(host, &mut *guard, config, (source.as_str(), args.subject.as_str()), !args.again)?;
    let mut problems = lifted.problems;
    let text = match (args.again, lifted.any, lifted.held) {
        (false, true, true) if lifted.under_way && problems.is_empty() => {
            "is let go for this period; it is still on its way"
        }
        (false, true, false) => "is let go for this period",
        (false, true, true) => {
            if problems.is_empty() {
                problems.push(format!("{}: it has no figure now, so that it could not be let go", args.subject));
            }
            "is let go for this period, as soon as that can be done"
        }
        (true, true, _) => "is held again by the next check if its tiers say so",
        (_, false, _) => "is not held, and no quota holds it",
    };
    Ok((format!("{}: {text}", args.subject), problems))
}

/// What was done to a guest and is not put back.
fn left(held: &HeldGuest) -> String {
    let nic = |(name, change): (&String, &Change)| {
        let before = |edit: &Edit| edit.before.clone().unwrap_or_else(|| "none".into());
        let rate = change.rate.as_ref().map(|edit| format!("rate (was {})", before(edit)));
        let link = change.link_down.as_ref().map(|edit| format!("link_down (was {})", before(edit)));
        format!("{name}: {}", [rate, link].into_iter().flatten().collect::<Vec<_>>().join(", "))
    };
    let off = held.down.as_ref().filter(|down| down.taken).map(|_| "it was shut down".to_owned());
    let all: Vec<String> = held.nics.iter().map(nic).chain(off).collect();
    if all.is_empty() { "nothing".into() } else { all.join("; ") }
}

/// Where a guest is known.
enum Found {
    /// A source that has it.
    There(String),
    /// One that is no cluster any more, and had it held.
    Orphan(String),
}

/// The source of the only subject of this name.
fn find(state: &State, config: &Config, subject: &str) -> Result<Found> {
    let clusters = config.sources.iter().filter(|named| named.source.account().is_some_and(|of| of.pve().is_some()));
    let clusters: Vec<&str> = clusters.map(|named| named.name.as_str()).collect();
    let known = |name: &&&str| state.sources.get(**name).is_some_and(|of| of.subjects.contains_key(subject));
    let having: Vec<&str> = clusters.iter().filter(known).copied().collect();
    let held = |guests: &BTreeMap<String, HeldGuest>| guests.contains_key(subject);
    let orphan = state.guests.iter().find(|(name, guests)| held(guests) && !clusters.contains(&name.as_str()));
    match (&having[..], orphan) {
        // What nobody can put back any more comes first.
        (_, Some((source, _))) => Ok(Found::Orphan(source.clone())),
        ([only], None) => Ok(Found::There((*only).to_owned())),
        ([], None) => {
            let sources = clusters.iter().filter_map(|name| state.sources.get(*name));
            let near = fields::nearest(subject, sources.flat_map(|source| source.subjects.keys().map(String::as_str)));
            Err(Error::usage(format!("there is no guest {subject:?} in the figures of the last check{near}")))
        }
        ([..], None) => Err(Error::usage(format!("there is a guest {subject:?} in each of {}", having.join(", ")))),
    }
}

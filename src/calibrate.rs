//! The operator's word on what was used: counting goes on from there.
//!
//! A fresh reading is taken first, so that what flowed since the last run is counted before the figure and not
//! once more after it.

use std::sync::Arc;
use std::time::Duration;

use crate::check;
use crate::cli::CalibrateArgs;
use crate::config::{Config, fields};
use crate::error::{Error, Exit, Result};
use crate::host::Host;
use crate::quota::bytes::{Amount, Round};
use crate::quota::event::{Event, Kind, Outcome};
use crate::quota::instant::Instant;
use crate::quota::meter::{Calibration, Counters, Ledger};
use crate::quota::policy::Quota;
use crate::quota::state::{State, Subject};
use crate::store::Store;

/// How long it waits for a run to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sets the figure; returns what to print, and the exit code.
pub fn calibrate(
    host: &Arc<dyn Host>,
    store: &dyn Store,
    config: &Config,
    args: &CalibrateArgs,
) -> Result<(String, Exit)> {
    let quota = find_quota(config, &args.quota)?;
    if quota.rule.is_provider() {
        return Err(Error::usage(format!(
            "quota {:?} goes by the provider's own account: there is nothing to calibrate",
            quota.name
        )));
    }
    let amount = Amount::parse(&args.used, quota.unit_base).map_err(|error| Error::usage(format!("USED: {error}")))?;
    let mut guard = check::lock(host, store, config, PATIENCE)?;
    let (mut state, now, problems) = check::by_hand::read_only_this(host, &mut *guard, config, &quota.name)?;
    let at = match &args.at {
        Some(text) => parse_time(text, quota).ok_or_else(|| Error::usage(format!("--at: {text:?} is not a time")))?,
        None => now,
    };
    let before = apply(&mut state, quota, &args.subject, amount.bytes, at, now)?;
    let show = |bytes| quota.unit.show(bytes, Round::Down);
    let figures = format!("{} instead of {}", show(amount.bytes), show(before));
    let event = Event::new(now, Kind::Calibration, Outcome::Done).about(&quota.source, &args.subject, &quota.name);
    state.history.note(event.named("", "by hand").saying(&figures));
    check::save(&mut *guard, &state)?;
    let text = format!("{}: {figures}", args.subject);
    let exit = if problems.is_empty() { Exit::Done } else { Exit::Problems };
    Ok((std::iter::once(text).chain(problems).collect::<Vec<_>>().join("\n"), exit))
}

fn find_quota<'c>(config: &'c Config, name: &str) -> Result<&'c Quota> {
    config.quotas.iter().find(|quota| quota.name == name).ok_or_else(|| {
        let near = fields::nearest(name, config.quotas.iter().map(|quota| quota.name.as_str()));
        Error::usage(format!("there is no quota {name:?}{near}"))
    })
}

fn parse_time(text: &str, quota: &Quota) -> Option<Instant> {
    let seconds = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let minutes = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]");
    let local = || {
        let parse = |text: &str| {
            time::PrimitiveDateTime::parse(text, seconds).or_else(|_| time::PrimitiveDateTime::parse(text, minutes))
        };
        Some(quota.rule.zone.instant(parse(&text.replace('T', " ")).ok()?))
    };
    Instant::parse(text).or_else(local)
}

/// Records the calibration; returns what was counted at that time before. The tiers are compared anew, and what
/// they do has to be armed anew.
fn apply(state: &mut State, quota: &Quota, name: &str, used: u64, at: Instant, now: Instant) -> Result<u64> {
    let none = || Error::failed(format!("there is no figure of {name:?} yet"));
    let source = state.sources.get_mut(&quota.source).ok_or_else(none)?;
    let names: Vec<String> = quota.rows(source).iter().map(|(name, _)| (*name).to_owned()).collect();
    if !names.iter().any(|known| known == name) {
        let near = fields::nearest(name, names.iter().map(String::as_str));
        return Err(Error::failed(format!("quota {:?} has no figure of {name:?}{near}", quota.name)));
    }
    let subject = quota.subject_mut(source, name).ok_or_else(none)?;
    let last = subject.series.as_ref().ok_or_else(none)?.at;
    let ledger = subject.ledgers.get_mut(&quota.rule_key).ok_or_else(none)?;
    let metered = metered_at(ledger, quota, at, last, now)?;
    let before = metered.saturating_add_signed(ledger.calibrated.get(&quota.count).map_or(0, |known| known.by));
    let by =
        i64::try_from(i128::from(used) - i128::from(metered)).map_err(|_| Error::usage("USED: it is too large"))?;
    // A figure of before the last reading says nothing of the doubtful bytes that may have come since.
    let settled = if at >= last { ledger.doubtful() } else { Counters::default() };
    ledger.calibrated.insert(quota.count, Calibration { by, used, of: at, at: now, settled });
    disarm(subject, &quota.rule_key);
    Ok(before)
}

/// What was metered at a time of this period; nothing before it was metered at all.
fn metered_at(ledger: &Ledger, quota: &Quota, at: Instant, last: Instant, now: Instant) -> Result<u64> {
    if at > now {
        return Err(Error::usage("--at: it is in the future"));
    }
    if !ledger.period.contains(at) {
        return Err(Error::usage("--at: it is not in the period that now runs"));
    }
    if at >= last {
        return Ok(quota.count.of(ledger.used));
    }
    if at < ledger.since {
        return Ok(0);
    }
    Ok(ledger.used_at(quota.count, at, last).unwrap_or_else(|| quota.count.of(ledger.used)))
}

fn disarm(subject: &mut Subject, rule: &str) {
    let rows = subject.rows.values_mut().filter(|row| row.rule == rule);
    for mark in rows.flat_map(|row| row.tiers.values_mut()) {
        mark.lapse();
    }
}

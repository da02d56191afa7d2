//! One line for Nagios and its kin, with performance data, and its exit code.
//!
//! UNKNOWN where a figure is missing or old, CRITICAL where the last tier is reached or nothing is left, WARNING
//! where another tier is reached, something is wrong or a message waits (Monitoring Plugins Guidelines, sections 2
//! and 4). The worst quota decides.

use super::{Row, rows};
use crate::config::Config;
use crate::quota::instant::Instant;
use crate::quota::message::name;
use crate::quota::state::State;

/// The state of a service, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// All is well.
    Ok = 0,
    /// Somebody should look.
    Warning = 1,
    /// Somebody must look.
    Critical = 2,
    /// Nothing certain can be said.
    Unknown = 3,
}

impl Service {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// How much worse than the others: what is critical is not hidden by what is unknown.
    fn weight(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Unknown => 2,
            Self::Critical => 3,
        }
    }

    /// The line for something that kept the figures from being seen.
    pub fn unknown(text: &str) -> String {
        format!("NETQUOTA UNKNOWN - {}\n", one_line(text))
    }
}

/// The line, and the state it stands for.
pub fn nagios(config: &Config, state: &State, now: Instant) -> (String, Service) {
    let rows = rows(config, state);
    let waits = state.outbox.values().any(|outbox| !outbox.items.is_empty());
    let undone = state.held.values().any(|held| held.lifting.is_some());
    let raised = super::alarms::raised(config, state);
    let around = if waits || undone || !raised.is_empty() || !state.problems.is_empty() {
        Service::Warning
    } else {
        Service::Ok
    };
    let nothing = rows.is_empty() && state.alarms.is_empty();
    let none = if nothing { Service::Unknown } else { Service::Ok };
    let services = rows.iter().map(|row| service(row, now)).chain([around, none]);
    let worst = services.max_by_key(|service| service.weight()).unwrap_or(Service::Unknown);
    let mut said: Vec<String> = rows.iter().map(|row| said(row, now)).collect();
    said.extend(raised);
    said.extend(state.problems.values().map(|problem| problem.text.clone()));
    said.extend(waits.then(|| "a message waits".into()));
    said.extend(nothing.then(|| "no figures yet".into()));
    let data: Vec<String> = rows.iter().map(data).collect();
    let line = format!("NETQUOTA {} - {} | {}", worst.word(), one_line(&said.join(", ")), data.join(" "));
    (line.trim_end_matches(" | ").to_owned() + "\n", worst)
}

fn service(row: &Row<'_>, now: Instant) -> Service {
    let (view, mut at) = (&row.view, thresholds(row));
    let last = at.pop();
    match () {
        () if view.awaits_renewal(now) => Service::Unknown,
        () if view.remaining() == 0 || last.is_some_and(|last| view.used >= last) => Service::Critical,
        () if row.stale(now) => Service::Unknown,
        () if view.tier().is_some() => Service::Warning,
        () => Service::Ok,
    }
}

/// The tiers of usage, in bytes, lowest first.
fn thresholds(row: &Row<'_>) -> Vec<u64> {
    let at = row.view.quota.tiers.iter().filter_map(|tier| tier.threshold.at(row.view.allowance));
    let mut at: Vec<u64> = at.filter(|at| *at > 0).collect();
    at.sort_unstable();
    at
}

fn said(row: &Row<'_>, now: Instant) -> String {
    let view = &row.view;
    let old = if row.stale(now) { " (old figure)" } else { "" };
    let allowance = view.quota.unit.exact(view.allowance);
    format!("{} {} % of {allowance}{old}", name(view), view.percent())
}

/// `'label'=value[unit];warning;critical;least;most`, a quote in the label doubled.
fn data(row: &Row<'_>) -> String {
    let view = &row.view;
    let label = one_line(&format!("{} {}", view.quota.name, view.subject)).replace('\'', "''").replace('=', "_");
    let at = thresholds(row);
    let shown = |at: Option<&u64>| at.map(u64::to_string).unwrap_or_default();
    let critical = at.last().filter(|_| at.len() > 1);
    format!("'{label}'={}B;{};{};0;{}", view.used, shown(at.first()), shown(critical), view.allowance)
}

/// Without what would end the line or begin the performance data.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                ' '
            } else if c == '|' {
                '/'
            } else {
                c
            }
        })
        .collect()
}

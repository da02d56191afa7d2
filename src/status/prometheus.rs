//! Metrics in Prometheus' text format, for the node exporter's textfile collector
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write as _;

use super::{Row, rows};
use crate::config::Config;
use crate::quota::instant::Instant;
use crate::quota::state::State;

/// A metric: its name, what it is, and its value in a row.
type Metric = (&'static str, &'static str, fn(&Row<'_>, Instant) -> Option<u64>);

const METRICS: &[Metric] = &[
    ("netquota_used_bytes", "Bytes that count in the period.", |row, _| Some(row.view.used)),
    ("netquota_allowance_bytes", "Bytes allowed in the period.", |row, _| Some(row.view.allowance)),
    ("netquota_remaining_bytes", "Bytes left of the allowance.", |row, _| Some(row.view.remaining())),
    ("netquota_tiers_reached", "Tiers of usage that are reached.", |row, _| {
        Some(row.view.quota.tiers.iter().filter(|tier| row.view.reaches(tier)).count() as u64)
    }),
    ("netquota_period_end_timestamp_seconds", "When the period ends.", |row, _| {
        row.view.ledger.period.end.map(seconds)
    }),
    ("netquota_forecast_bytes", "Bytes used by the period's end, at the present pace.", |row, _| {
        row.view.forecast()?.at_end
    }),
    ("netquota_exhausted_timestamp_seconds", "When the allowance is used up, at the present pace.", |row, _| {
        row.view.forecast()?.exhausted_at.map(seconds)
    }),
    ("netquota_figure_timestamp_seconds", "When the figure was read.", |row, _| Some(seconds(row.view.as_of))),
    ("netquota_stale", "1 where the figure is missing now or old.", |row, now| Some(u64::from(row.stale(now)))),
];

/// The whole page.
pub fn prometheus(config: &Config, state: &State, now: Instant) -> String {
    let rows = rows(config, state);
    let mut page = String::new();
    for (metric, help, value) in METRICS {
        let mut lines = String::new();
        for row in &rows {
            if let Some(value) = value(row, now) {
                line(&mut lines, &format!("{metric}{{{}}}", labels(row)), value);
            }
        }
        if !lines.is_empty() {
            head(&mut page, metric, help);
            page.push_str(&lines);
        }
    }
    let alarms = super::alarms::rows(config, state);
    if !alarms.is_empty() {
        let metric = "netquota_alarm_raised";
        head(&mut page, metric, "1 where an alarm is raised.");
        for row in &alarms {
            let (alarm, raised) = (row.alarm, u64::from(row.mark.raised.is_some()));
            let (name, subject, source) = (escape(&alarm.name), escape(row.subject), escape(&alarm.source));
            let labels = format!("alarm=\"{name}\",subject=\"{subject}\",source=\"{source}\"");
            line(&mut page, &format!("{metric}{{{labels}}}"), raised);
        }
    }
    let pending: usize = state.outbox.values().map(|outbox| outbox.items.len()).sum();
    alone(&mut page, "netquota_pending_messages", "Messages no channel has accepted yet.", pending as u64);
    alone(&mut page, "netquota_problems", "What was wrong in the last check.", state.problems.len() as u64);
    if let Some(at) = state.clock.at {
        alone(&mut page, "netquota_check_timestamp_seconds", "When the last check was.", seconds(at));
    }
    page
}

fn alone(page: &mut String, metric: &str, help: &str, value: u64) {
    head(page, metric, help);
    line(page, metric, value);
}

fn head(page: &mut String, metric: &str, help: &str) {
    // Writing to a string cannot fail.
    write!(page, "# HELP {metric} {help}\n# TYPE {metric} gauge\n").ok();
}

fn line(page: &mut String, metric: &str, value: u64) {
    writeln!(page, "{metric} {value}").ok();
}

fn labels(row: &Row<'_>) -> String {
    let quota = row.view.quota;
    format!(
        "quota=\"{}\",subject=\"{}\",source=\"{}\"",
        escape(&quota.name),
        escape(row.view.subject),
        escape(&quota.source)
    )
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(at: Instant) -> u64 {
    at.millis().max(0) as u64 / 1000
}

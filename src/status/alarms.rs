//! Where the alarms stand.

use serde_json::{Value, json};

use super::rfc3339;
use crate::config::Config;
use crate::quota::alarm::{Alarm, Watched};
use crate::quota::instant::Instant;
use crate::quota::message;
use crate::quota::message::alarm::{condition, show};
use crate::quota::pulse::{Load, Pulse};
use crate::quota::state::{AlarmMark, State};
use crate::quota::text::clean;

/// One alarm's view of one subject.
pub struct Row<'a> {
    /// The alarm.
    pub alarm: &'a Alarm,
    /// The subject's name.
    pub subject: &'a str,
    /// Where it stands.
    pub mark: &'a AlarmMark,
    /// What the subject was doing when it was last seen; none: it never was.
    pub pulse: Option<&'a Pulse>,
}

impl Row<'_> {
    /// What was looked at last; none when it is not known.
    pub fn value(&self, now: Instant) -> Option<u64> {
        let heard = self.pulse.map_or(self.mark.at, |pulse| pulse.at.max(self.mark.at));
        match (self.alarm.watched, self.pulse) {
            (Watched::Silence, _) => self.alarm.value(&Pulse::at(heard), heard, now),
            (_, pulse) => self.alarm.value(pulse?, heard, now),
        }
    }
}

/// Every subject of every alarm.
pub fn rows<'a>(config: &'a Config, state: &'a State) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for alarm in &config.alarms {
        let pulses = state.sources.get(&alarm.source).map(|source| &source.pulses);
        for (subject, mark) in state.alarms.get(&alarm.name).into_iter().flatten() {
            let pulse = pulses.and_then(|pulses| pulses.get(subject));
            rows.push(Row { alarm, subject, mark, pulse });
        }
    }
    rows
}

/// The unit that values are given in outputs, and a value in it: bit/s, percent, seconds.
fn measured(watched: Watched, value: u64) -> (&'static str, Value) {
    match watched {
        Watched::Rate(_) => ("bit/s", json!(value.saturating_mul(8))),
        Watched::Cpu | Watched::Memory => {
            ("percent", json!(Load(u32::try_from(value).unwrap_or(u32::MAX)).as_percent()))
        }
        Watched::Silence => ("s", json!(value / 1000)),
    }
}

/// A row of the JSON document.
pub(super) fn document(row: &Row<'_>, config: &Config, now: Instant) -> Value {
    let Row { alarm, subject, mark, pulse } = row;
    let (unit, limit) = measured(alarm.watched, alarm.limit.value());
    let time = |at: Option<Instant>| at.map(|at| rfc3339(&config.zone, at));
    json!({
        "alarm": alarm.name,
        "source": alarm.source,
        "subject": subject,
        "condition": condition(alarm, config.language),
        "unit": unit,
        "limit": limit,
        "value": row.value(now).map(|value| measured(alarm.watched, value).1),
        "raised": mark.raised.is_some(),
        "since": time(mark.raised.and(mark.since.or(mark.raised))),
        "as_of": time(pulse.map(|pulse| pulse.at)),
    })
}

/// Raised ones that are listed.
const LISTED: usize = 30;

/// How many are raised, and which, for people.
pub(super) fn remarks(config: &Config, state: &State, now: Instant) -> Vec<String> {
    if config.alarms.is_empty() {
        return Vec::new();
    }
    let rows = rows(config, state);
    let raised: Vec<&Row<'_>> = rows.iter().filter(|row| row.mark.raised.is_some()).collect();
    let mut remarks = vec![format!("alarms: {} raised of {} watched", raised.len(), rows.len())];
    remarks.extend(raised.iter().take(LISTED).map(|row| line(row, config, now)));
    remarks.extend((raised.len() > LISTED).then(|| format!("alarm: and {} more", raised.len() - LISTED)));
    remarks
}

fn line(row: &Row<'_>, config: &Config, now: Instant) -> String {
    let language = config.language;
    let (subject, name) = (clean(row.subject, message::NAME), clean(&row.alarm.name, message::NAME));
    let value = row.value(now).map(|value| show(row.alarm.watched, value, language)).unwrap_or_else(|| "?".into());
    let since = row.mark.since.or(row.mark.raised).map(|at| message::local(&config.zone, at)).unwrap_or_default();
    format!("alarm: {subject}: {value} ({name}: {}), since {since}", condition(row.alarm, language))
}

/// The raised ones in few words, for monitoring.
pub(super) fn raised(config: &Config, state: &State) -> Vec<String> {
    let raised = rows(config, state).into_iter().filter(|row| row.mark.raised.is_some());
    let said = |row: Row<'_>| format!("alarm {} at {}", clean(&row.alarm.name, 64), clean(row.subject, 64));
    raised.map(said).collect()
}

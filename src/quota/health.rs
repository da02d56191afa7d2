//! How sources are: silence is never mistaken for health.

use std::time::Duration;

use super::instant::Instant;
use super::message::Notice;
use super::meter::Readings;
use super::policy::{DAY, due_again};
use super::state::{Health, SourceState};

/// What a source's answer means for its health.
pub struct Checkup<'a> {
    /// The source's name.
    pub source: &'a str,
    /// Without a good figure for so long, a message goes out.
    pub problem_after: Duration,
    /// The believed time.
    pub now: Instant,
    /// How instants are shown.
    pub show: &'a dyn Fn(Instant) -> String,
}

impl Checkup<'_> {
    /// Notes what is missing and what is back; returns what has to be told.
    pub fn examine(&self, state: &mut SourceState, said: &Result<Readings, String>) -> Vec<Notice> {
        let missing: Vec<(&str, &str)> = match said {
            Ok(readings) => readings.problems.iter().map(|p| (p.subject.as_str(), p.text.as_str())).collect(),
            Err(text) => vec![("", text.as_str())],
        };
        let mut notices = Vec::new();
        if let Ok(Readings { readings: read, .. }) = said {
            state.good = Some(self.now);
            state.health.retain(|subject, health| {
                let still = missing.iter().any(|(name, _)| name == subject);
                let back = subject.is_empty() || read.iter().any(|reading| reading.subject == *subject);
                if !still && back && health.told.is_some() {
                    notices.push(Notice::well(self.source, &self.what(subject)));
                }
                still
            });
        }
        for (subject, text) in missing {
            notices.extend(self.miss(state, subject, text));
        }
        notices
    }

    fn miss(&self, state: &mut SourceState, subject: &str, text: &str) -> Option<Notice> {
        let series = state.subjects.get(subject).and_then(|known| known.series.as_ref()).map(|series| series.at);
        let good = if subject.is_empty() { state.good } else { series };
        let fresh = || Health { since: good.unwrap_or(self.now), told: None, text: String::new() };
        let health = state.health.entry(subject.to_owned()).or_insert_with(fresh);
        text.clone_into(&mut health.text);
        let long = self.now.since(health.since) >= self.problem_after;
        if !long || health.told.is_some_and(|told| !due_again(told, DAY, self.now)) {
            return None;
        }
        health.told = Some(self.now);
        Some(Notice::missing(self.source, &self.what(subject), &(self.show)(health.since), text))
    }

    fn what(&self, subject: &str) -> String {
        if subject.is_empty() { self.source.to_owned() } else { format!("{}: {subject}", self.source) }
    }
}

//! How sources are: silence is never mistaken for health.

use std::collections::HashSet;
use std::time::Duration;

use super::instant::Instant;
use super::message::Notice;
use super::meter::{Readings, SubjectProblem};
use super::policy::{DAY, due_again};
use super::state::{Health, SourceState};

/// How problems of a whole node of a cluster begin, which is no subject.
pub const NODE: &str = "node/";

/// How problems of a part of an answer begin, of which nobody knows whose it is.
pub const PART: &str = "mappings[";

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

/// Whether it is no subject, of which a figure would come, but the source as a whole, a node, where a guest's NICs are, or
/// a part of an answer: it is well once nothing is said against it.
fn is_beside_subjects(name: &str) -> bool {
    name.is_empty() || name.starts_with(NODE) || name.starts_with(PART) || name.ends_with("/bridges")
}

impl Checkup<'_> {
    /// Notes what is missing and what is back; returns what has to be told.
    pub fn examine(&self, state: &mut SourceState, said: &Result<Readings, String>) -> Vec<Notice> {
        let whole;
        let missing: &[SubjectProblem] = match said {
            Ok(readings) => &readings.problems,
            Err(text) => {
                whole = [SubjectProblem::now("", text)];
                &whole
            }
        };
        let mut notices = Vec::new();
        if let Ok(Readings { readings: read, uncounted, .. }) = said {
            state.good = Some(self.now);
            let names: HashSet<&str> = missing.iter().map(|problem| problem.subject.as_str()).collect();
            let back: HashSet<&str> = read.iter().map(|reading| reading.subject.as_str()).collect();
            state.health.retain(|subject, health| {
                let still = names.contains(subject.as_str());
                let back = is_beside_subjects(subject) || back.contains(subject.as_str());
                if !still && health.told.is_some() {
                    let what = self.what(subject);
                    notices.extend(match (back, uncounted.contains(subject)) {
                        (true, _) => Some(Notice::well(self.source, &what)),
                        (false, true) => Some(Notice::heard_again(self.source, &what)),
                        (false, false) => None,
                    });
                }
                still
            });
        }
        for problem in missing {
            notices.extend(self.miss(state, problem));
        }
        notices
    }

    fn miss(&self, state: &mut SourceState, problem: &SubjectProblem) -> Option<Notice> {
        let SubjectProblem { subject, text, expected, .. } = problem;
        let series = state.subjects.get(subject).and_then(|known| known.series.as_ref()).map(|series| series.at);
        // What is seen for the first time has not been missing for any time yet.
        let good = if subject.is_empty() { state.good } else { series.map(|at| expected.unwrap_or(at)) };
        let since = problem.since.or(good).unwrap_or(self.now);
        let health = state.health.entry(subject.clone()).or_insert_with(|| Health::since(since));
        text.clone_into(&mut health.text);
        health.expected = expected.is_some();
        if !health.is_long(self.problem_after, self.now)
            || health.told.is_some_and(|told| !due_again(told, DAY, self.now))
        {
            return None;
        }
        health.told = Some(self.now);
        let (what, since) = (self.what(subject), (self.show)(health.since));
        Some(match health.expected {
            true => Notice::awaiting(self.source, &what, &since),
            false => Notice::missing(self.source, &what, &since, text),
        })
    }

    fn what(&self, subject: &str) -> String {
        if subject.is_empty() { self.source.to_owned() } else { format!("{}: {subject}", self.source) }
    }
}

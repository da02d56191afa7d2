//! Takes what the sources said into the state, and notes what has to be told of it.

use std::collections::HashSet;

use super::Run;
use crate::config::NamedSource;
use crate::quota::absorb::{Asked, Oddity};
use crate::quota::health::Checkup;
use crate::quota::instant::Instant;
use crate::quota::message::{self, Notice};
use crate::quota::meter::{Identity, Reading, Readings, SubjectProblem};
use crate::quota::policy::{DAY, due_again};
use crate::quota::state::{SourceState, State, Subject};
use crate::sources::Said;

impl Run<'_> {
    /// Meters every source that was asked.
    pub(super) fn meter(&mut self, state: &mut State, mut said: Said) {
        for source in &self.config.sources {
            if let Some(answer) = said.remove(&source.name) {
                self.source(state, source, answer);
            }
        }
    }

    fn source(&mut self, state: &mut State, source: &NamedSource, answer: Result<Readings, String>) {
        let now = self.clock.now;
        let memory = state.sources.entry(source.name.clone()).or_default();
        memory.asked = Some(now);
        let zone = &self.config.zone;
        let checkup = Checkup {
            source: &source.name,
            problem_after: source.problem_after,
            now,
            show: &|at| message::local(zone, at),
        };
        let answer = answer.map(|readings| with_the_gone(readings, memory, source, now));
        self.notices.extend(checkup.examine(memory, &answer));
        let mut oddities = Vec::new();
        match &answer {
            Err(text) => {
                self.problems.push(problem(source, "", text));
            }
            Ok(readings) => {
                if self.traced {
                    self.trace.extend(readings.readings.iter().map(|reading| trace(&source.name, reading)));
                }
                for problem in &readings.problems {
                    self.problems.push(self::problem(source, &problem.subject, &problem.text));
                }
                if readings.choice.is_some() {
                    memory.choice.clone_from(&readings.choice);
                }
                let quotas = self.config.quotas.iter().filter(|quota| quota.source == source.name);
                let mut asked: Vec<Asked<'_>> = Vec::new();
                for quota in quotas {
                    match asked.iter_mut().find(|ask| ask.key == quota.rule_key) {
                        Some(ask) => ask.since_boot |= quota.since_boot,
                        None => asked.push(quota.asked()),
                    }
                }
                oddities = memory.absorb(&readings.readings, &asked, now);
            }
        }
        for oddity in oddities {
            self.odd(state, &source.name, &oddity);
        }
    }

    /// Told at most once a day, and a problem each time.
    fn odd(&mut self, state: &mut State, source: &str, oddity: &Oddity) {
        let now = self.clock.now;
        let notice = match oddity {
            Oddity::Fell { subject, narrow } => Notice::fell(source, subject, *narrow),
            Oddity::Implausible { subject, flow } => Notice::implausible(source, subject, flow.rx.max(flow.tx)),
        };
        self.problems.push((notice.key.clone(), format!("source {source:?}: {}", notice.text())));
        if state.warned.get(&notice.key).is_none_or(|told| due_again(*told, DAY, now)) {
            state.warned.insert(notice.key.clone(), now);
            self.notices.push(notice);
        }
    }
}

fn trace(source: &str, reading: &Reading) -> String {
    let Reading { subject, counters, identity, link_speed, .. } = reading;
    let Identity { boot, uptime, index } = identity;
    format!(
        "reading: source {source:?}, {subject:?}: received {}, sent {}, boot {boot:?}, uptime {uptime:?}, index {index:?}, link {link_speed:?} bit/s",
        counters.rx, counters.tx
    )
}

/// Adds a problem for each subject that was metered in a period still running and is not reported any more.
fn with_the_gone(mut readings: Readings, memory: &SourceState, source: &NamedSource, now: Instant) -> Readings {
    let reported: HashSet<&str> = readings
        .readings
        .iter()
        .map(|reading| reading.subject.as_str())
        .chain(readings.problems.iter().map(|problem| problem.subject.as_str()))
        .collect();
    let renamed = |subject: &Subject| {
        let identity = subject.series.as_ref().map(|series| &series.identity);
        let index = |identity: &Identity| (identity.boot.clone(), identity.index);
        identity.is_some_and(|known| {
            known.index.is_some() && readings.readings.iter().any(|r| index(&r.identity) == index(known))
        })
    };
    let runs = |subject: &Subject| subject.ledgers.values().any(|l| l.period.contains(now) && l.period.end.is_some());
    let gone: Vec<SubjectProblem> = memory
        .subjects
        .iter()
        .filter(|(name, subject)| !reported.contains(name.as_str()) && source.source.expects(name) && runs(subject))
        .filter(|(_, subject)| !renamed(subject))
        .map(|(name, _)| SubjectProblem { subject: name.clone(), text: format!("{name:?} is gone") })
        .collect();
    readings.problems.extend(gone);
    readings
}

/// A problem of a source, or of one of its subjects.
pub(super) fn problem(source: &NamedSource, subject: &str, text: &str) -> (String, String) {
    let about = if subject.is_empty() { source.name.clone() } else { format!("{}/{subject}", source.name) };
    (format!("source/{about}"), format!("source {:?}: {text}", source.name))
}

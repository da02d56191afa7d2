//! Takes what the sources said into the state, and notes what has to be told of it.

use std::collections::HashSet;

use super::Run;
use super::heard::Hearing;
use crate::config::{Config, NamedSource};
use crate::quota::absorb::{Asked, Oddity};
use crate::quota::health::Checkup;
use crate::quota::instant::Instant;
use crate::quota::message::{self, Notice};
use crate::quota::meter::{Figure, GuestFigure, Identity, Reading, Readings, SubjectProblem};
use crate::quota::package::{Doubt, Package};
use crate::quota::policy::{DAY, due_again};
use crate::quota::state::{SourceState, State, Subject};
use crate::sources::{Said, Trouble};

impl Run<'_> {
    /// Meters every source that was asked.
    pub(super) fn meter(&mut self, state: &mut State, mut said: Said) {
        for source in &self.config.sources {
            if let Some(answer) = said.remove(&source.name) {
                self.source(state, source, answer);
            }
        }
    }

    fn source(&mut self, state: &mut State, source: &NamedSource, answer: Result<Readings, Trouble>) {
        let now = self.clock.now;
        let memory = state.sources.entry(source.name.clone()).or_default();
        memory.asked = Some(now);
        memory.refusals = match &answer {
            Ok(Readings { refused: false, .. }) => 0,
            Err(Trouble { refused: false, .. }) => memory.refusals,
            _ => memory.refusals + 1,
        };
        let zone = &self.config.zone;
        let show = |at| message::local(zone, at);
        let checkup = Checkup { source: &source.name, problem_after: source.problem_after, now, show: &show };
        let hearing = Hearing { source, quotas: &self.config.quotas, now, up: self.machine.uptime, show: &show };
        hearing.follow_clock(memory);
        let answer = answer.map_err(|trouble| trouble.text).map(|readings| hearing.sift(readings, memory));
        let mut answer = answer.map(|readings| sift(with_the_gone(readings, memory, source, now), memory, now, &show));
        self.notices.extend(checkup.examine(memory, &answer));
        if let Ok(readings) = &mut answer {
            memory.note_lags(&mut readings.readings, now);
        }
        let mut oddities = Vec::new();
        match &answer {
            Err(text) => {
                self.problems.push(problem(source, "", text));
            }
            Ok(readings) => {
                if self.traced {
                    self.trace.extend(readings.readings.iter().map(|reading| trace(&source.name, reading)));
                }
                if readings.choice.is_some() {
                    memory.choice.clone_from(&readings.choice);
                }
                let asked = asked(self.config, source);
                if is_watched(self.config, &source.name) {
                    memory.feel(readings, source.source.repeats(), now);
                } else {
                    memory.pulses.clear();
                }
                memory.follow_step(&readings.readings, now);
                oddities = memory.absorb(&readings.readings, &asked, now);
                memory.follow_listing(readings, &asked, now);
                hearing.mind_the_silent(readings, memory);
                oddities.extend(readings.oddities.iter().cloned());
                self.problems.extend(standing(source, memory, now, |subject| !subject.is_empty()));
            }
        }
        for oddity in oddities {
            self.odd(state, &source.name, &oddity);
        }
        if let Ok(readings) = answer {
            self.tell_of_uncounted(state, source, readings);
        }
    }

    /// Told at most once a day, and a problem each time.
    fn odd(&mut self, state: &mut State, source: &str, oddity: &Oddity) {
        let notice = match oddity {
            Oddity::Renewed { subject, id, doubted } => {
                let notice = match doubted {
                    true => Notice::another_id(source, subject, id),
                    false => Notice::renewed(source, subject, id),
                };
                self.tell_daily(state, notice);
                return;
            }
            Oddity::Doubled { subject } => Notice::doubled(source, subject),
            Oddity::Replaced { subject } => Notice::replaced(source, subject),
            Oddity::Fell { subject, narrow } => Notice::fell(source, subject, *narrow),
            Oddity::Implausible { subject, flow } => Notice::implausible(source, subject, flow.rx.max(flow.tx)),
        };
        self.problems.push((notice.key.clone(), format!("source {source:?}: {}", notice.text())));
        self.tell_daily(state, notice);
    }

    /// Tells what may be so for long at most once a day; whether it does so now.
    pub(super) fn tell_daily(&mut self, state: &mut State, notice: Notice) -> bool {
        let now = self.clock.now;
        let due = state.warned.get(&notice.key).is_none_or(|told| due_again(*told, DAY, now));
        if due {
            state.warned.insert(notice.key.clone(), now);
            self.notices.push(notice);
        }
        due
    }
}

/// The period rules that quotas ask of a source.
pub(super) fn asked<'c>(config: &'c Config, source: &NamedSource) -> Vec<Asked<'c>> {
    let mut asked: Vec<Asked<'_>> = Vec::new();
    for quota in config.quotas.iter().filter(|quota| quota.source == source.name) {
        match asked.iter_mut().find(|ask| ask.key == quota.rule_key) {
            Some(ask) => ask.since_boot |= quota.since_boot,
            None => asked.push(Asked { backfill: source.source.backfills(), ..quota.asked() }),
        }
    }
    asked
}

/// Whether somebody looks at what a source's subjects are doing.
pub(super) fn is_watched(config: &Config, source: &str) -> bool {
    config.serve.is_some() || config.alarms.iter().any(|alarm| alarm.source == source)
}

fn trace(source: &str, reading: &Reading) -> String {
    let subject = &reading.subject;
    match &reading.figure {
        Figure::Counter { counters, identity: Identity { boot, uptime, index, .. }, link_speed } => format!(
            "reading: source {source:?}, {subject:?}: received {}, sent {}, boot {boot:?}, uptime {uptime:?}, index {index:?}, link {link_speed:?} bit/s",
            counters.rx, counters.tx
        ),
        Figure::Tally { counters, since: None } => {
            format!("reading: source {source:?}, {subject:?}: received {}, sent {}", counters.rx, counters.tx)
        }
        Figure::Tally { counters, since: Some(since) } => format!(
            "reading: source {source:?}, {subject:?}: received {}, sent {}, all since {since}",
            counters.rx, counters.tx
        ),
        Figure::Guest(GuestFigure { counters, uptime, guest, .. }) => format!(
            "reading: source {source:?}, {subject:?}: to it {}, from it {}, up for {} s, on {}, node {:?}, lock {:?}",
            counters.rx,
            counters.tx,
            uptime.as_secs(),
            guest.on,
            guest.node,
            guest.lock
        ),
        Figure::Package(Package { id, total, left, period }) => format!(
            "reading: source {source:?}, {subject:?}: {left} of {total} bytes left, id {id:?}, period {} to {:?}",
            period.start,
            period.end.map(|end| end.to_string()).unwrap_or_default()
        ),
    }
}

/// Leaves out the answers that are not believed, each with its reason; one whose period has ended is told of, too.
fn sift(mut readings: Readings, memory: &SourceState, now: Instant, show: &dyn Fn(Instant) -> String) -> Readings {
    let mut problems = Vec::new();
    readings.readings.retain(|reading| {
        let Figure::Package(package) = &reading.figure else { return true };
        let name = &reading.subject;
        let known = memory.subjects.get(name).and_then(Subject::account);
        let doubt = package.doubt(known, now);
        let awaits = |since: Instant, why: String| {
            let text = format!("{name:?} awaits renewal: {why}");
            SubjectProblem { expected: Some(since), ..SubjectProblem::now(name, text) }
        };
        match (&doubt, package.period.end.filter(|end| *end <= now)) {
            (Some(Doubt::Wrong(why)), _) => problems.push(SubjectProblem::now(name, format!("{name:?}: {why}"))),
            (Some(Doubt::Early), _) => {
                let why =
                    format!("its period began at {}, its amount is still the last one's", show(package.period.start));
                problems.push(awaits(package.period.start, why));
            }
            (None, Some(end)) => problems.push(awaits(end, format!("its period ended at {}", show(end)))),
            (None, None) => {}
        }
        doubt.is_none()
    });
    readings.problems.extend(problems);
    readings
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
        identity.filter(|known| known.index.is_some()).is_some_and(|known| {
            readings.readings.iter().filter_map(Reading::identity).any(|read| index(read) == index(known))
        })
    };
    let runs = |subject: &Subject| subject.ledgers.values().any(|l| l.period.contains(now) && l.period.end.is_some());
    let gone: Vec<SubjectProblem> = memory
        .subjects
        .iter()
        .filter(|(name, subject)| !reported.contains(name.as_str()) && source.source.expects(name) && runs(subject))
        .filter(|(_, subject)| !renamed(subject))
        .map(|(name, _)| SubjectProblem::now(name, format!("{name:?} is gone")))
        .collect();
    readings.problems.extend(gone);
    readings
}

/// What is wrong with a source, as its health says.
pub(super) fn standing(
    source: &NamedSource,
    memory: &SourceState,
    now: Instant,
    about: impl Fn(&str) -> bool,
) -> Vec<(String, String)> {
    let wrong = memory.health.iter().filter(|(subject, _)| about(subject));
    let wrong = wrong.filter(|(_, health)| health.is_problem(source.problem_after, now));
    wrong.map(|(subject, health)| problem(source, subject, &health.text)).collect()
}

/// A problem of a source, or of one of its subjects.
fn problem(source: &NamedSource, subject: &str, text: &str) -> (String, String) {
    let about = if subject.is_empty() { source.name.clone() } else { format!("{}/{subject}", source.name) };
    (format!("source/{about}"), format!("source {:?}: {text}", source.name))
}

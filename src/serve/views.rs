//! What is shown: the page, and JSON below `/api/v1/`. Only looked at, by those who have the read token.
//!
//! Invariant: nothing is written, no lock is taken, and no store is waited for longer than a person would: the page comes
//! without what cannot be read, and says so.
//!
//! Why a page that has not changed is known by what it would be made of: of a thousand guests it takes a while to make,
//! and whoever looks at it asks four times a minute.

mod ask;
mod monitor;
mod nodes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, ETAG, HeaderValue};
use sha2::{Digest, Sha256};

use super::answer::{self, Answer};
use crate::config::Config;
use crate::error::{Error, Exit};
use crate::fleet::record::Record;
use crate::history::Archive;
use crate::history::nothing::Nothing;
use crate::history::place::Mode;
use crate::host::Host;
use crate::quota::alarm::Watched;
use crate::quota::instant::Instant;
use crate::quota::state::State;
use crate::report::build::{Ask, Facts};
use crate::report::html::live::{self, Lack, Part, Usage};
use crate::report::model::{By, Report};
use crate::report::now::Now;
use crate::report::span::{Named, When, Wish};
use crate::report::{Desk, json};
use crate::status;
use crate::store::file::FileStore;
use crate::store::{self, Store};
use ask::Query;

/// How long a store of the history is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far back the chart of the last hours goes.
const RECENT: Duration = Duration::from_secs(6 * 3600);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const PAGE: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// What there is to show.
pub struct Context {
    /// The machine.
    pub host: Arc<dyn Host>,
    /// The settings in force, with the secrets of the history for those views that look into it.
    pub config: Arc<Config>,
    /// Whether those cannot be had.
    pub history_is_wrong: bool,
    /// Where the state is.
    pub state_dir: PathBuf,
    /// Of all nodes, by name.
    pub records: Vec<Arc<Record>>,
    /// When it is asked for.
    pub now: Instant,
    /// The marks of what who asks has already, as in `If-None-Match`.
    pub known: String,
}

/// Whether this path is one of a view.
pub fn is_one(path: &str) -> bool {
    path == "/" || path == "/api/status" || path.starts_with("/api/v1/")
}

/// Whether the view at this path looks into the history.
pub fn has_history(path: &str) -> bool {
    ["/", "/api/v1/history", "/api/v1/log"].contains(&path)
}

/// The view at a path; none when there is none. It may take its time: it is not asked on the thread that listens.
pub fn answer(path: &str, query: Option<&str>, context: &Context) -> Option<Answer> {
    let view = match path {
        "/" => context.page(query),
        "/api/status" => {
            Ok(monitor::status(&context.records, &context.rates_alarmed(), &context.config.alarms, context.now))
        }
        "/api/v1/quotas" => context.quotas(query),
        "/api/v1/nodes" => context.nodes(query),
        "/api/v1/history" => context.history(query, ask::HISTORY, json::document),
        "/api/v1/log" => context.history(query, ask::LOG, json::log),
        _ => return None,
    };
    Some(view.unwrap_or_else(|error| refused(&error)))
}

/// What was asked for wrongly is the asker's to put right; anything else may be right again later.
fn refused(error: &Error) -> Answer {
    let status = match error.exit {
        Exit::Usage => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Answer::refused(status, ask::without_dashes(&error.text))
}

impl Context {
    fn store(&self) -> FileStore {
        FileStore::new(self.state_dir.clone())
    }

    /// The history; one that knows nothing while there is none.
    fn archive(&self, desk: &Desk<'_>) -> Result<Box<dyn Archive + Send>, Error> {
        if self.history_is_wrong {
            return Err(Error::failed("the configuration of the history is wrong: see the log of the service"));
        }
        Ok(desk.open(Mode::Read, PATIENCE)?.unwrap_or_else(|| Box::new(Nothing)))
    }

    fn state(&self) -> Result<(State, Option<String>), Error> {
        let loaded = store::load(self.store().peek())?;
        Ok((loaded.state, loaded.broken.map(|broken| broken.why)))
    }

    /// The nodes whose rate an alarm is raised for; none while nobody knows.
    fn rates_alarmed(&self) -> BTreeSet<String> {
        let Ok((state, _)) = self.state() else { return BTreeSet::new() };
        let rows = status::alarms::rows(&self.config, &state);
        let on_rate =
            |row: &status::alarms::Row<'_>| matches!(row.alarm.watched, Watched::Rate(_)) && row.alarm.reported;
        let raised = rows.iter().filter(|row| on_rate(row) && row.mark.raised.is_some());
        raised.map(|row| row.subject.to_owned()).collect()
    }

    fn page(&self, query: Option<&str>) -> Result<Answer, Error> {
        let asked = Query::read(query, ask::PAGE)?;
        let part = asked.one("part")?.map(|name| {
            Part::named(name).ok_or_else(|| Error::usage(format!("part: {name:?}: now or report is expected")))
        });
        let part = part.transpose()?;
        let ask = asked.ask(true)?;
        let tags = self.tags(&asked.without("part"))?;
        let tag = match part {
            Some(Part::Now) => tags.now.clone(),
            Some(Part::Report) => tags.report.clone(),
            None => tags.both(),
        };
        if answer::is_known(&tag, &self.known) {
            return Ok(marked(Answer { status: StatusCode::NOT_MODIFIED, ..Answer::new(PAGE, "") }, &tag));
        }
        let (state, broken) = self.state()?;
        let text = match part {
            Some(Part::Now) => live::part_now(&self.going_on(&state, broken), &tags.now).into_string(),
            Some(Part::Report) => live::part_report(&self.usage(&state, &ask)?, &tags.report).into_string(),
            None => live::page(&self.going_on(&state, broken), &self.usage(&state, &ask)?, [&tags.now, &tags.report]),
        };
        let answer = Answer::new(PAGE, text);
        let policy = HeaderValue::try_from(live::policy()).map_err(|error| Error::failed(error.to_string()))?;
        Ok(marked(answer, &tag).with(CONTENT_SECURITY_POLICY, policy))
    }

    /// What is going on; `broken` says why the state is not that of the last run.
    fn going_on(&self, state: &State, broken: Option<String>) -> Now {
        let fleet = self.config.sources.iter().find(|named| named.source.spool(&self.state_dir).is_some());
        let fleet = fleet.map(|named| named.name.as_str());
        let mut now = Now::of(&self.config, state, self.records.clone(), fleet, self.now);
        now.problems.extend(broken.map(|why| (why, self.now)));
        now
    }

    fn usage(&self, state: &State, ask: &Ask) -> Result<Usage, Error> {
        let store = self.store();
        let desk = Desk { host: &*self.host, store: &store, state_dir: &self.state_dir, config: &self.config };
        let facts = Facts { config: &self.config, state, now: self.now, alone: desk.is_alone() };
        let period = running(&ask.wish, ask.quota.is_some());
        let bare = |lack| Ok(Usage { report: facts.without_history(ask)?, recent: None, lack: Some(lack), period });
        if desk.is_off() {
            return bare(Lack::Off);
        }
        let made = self.archive(&desk).and_then(|mut archive| both(&facts, &mut *archive, ask));
        match made {
            Ok(Some((report, recent))) => Ok(Usage { report, recent, lack: None, period }),
            Ok(None) => bare(Lack::NotYet),
            Err(error) if error.exit == Exit::Usage => Err(error),
            // What the state knows is there all the same.
            Err(error) => match both(&facts, &mut Nothing, ask) {
                Ok(Some((report, recent))) => {
                    Ok(Usage { report, recent, lack: Some(Lack::Broken(error.text)), period })
                }
                _ => bare(Lack::Broken(error.text)),
            },
        }
    }

    fn quotas(&self, query: Option<&str>) -> Result<Answer, Error> {
        Query::read(query, &[])?;
        let (state, _) = self.state()?;
        Ok(Answer::json(&status::document(&self.config, &state, self.now)))
    }

    fn nodes(&self, query: Option<&str>) -> Result<Answer, Error> {
        Query::read(query, &[])?;
        let (state, _) = self.state()?;
        let now = self.going_on(&state, None);
        let text = nodes::document(&now).map_err(|error| Error::failed(error.to_string()))?;
        Ok(Answer::new(JSON, text))
    }

    /// A document of the history; of none while there is none.
    fn history(
        &self,
        query: Option<&str>,
        allowed: &[&str],
        written: fn(&Report) -> Result<String, Error>,
    ) -> Result<Answer, Error> {
        let ask = Query::read(query, allowed)?.ask(true)?;
        let (state, _) = self.state()?;
        let store = self.store();
        let desk = Desk { host: &*self.host, store: &store, state_dir: &self.state_dir, config: &self.config };
        let facts = Facts { config: &self.config, state: &state, now: self.now, alone: desk.is_alone() };
        let mut archive = self.archive(&desk)?;
        let report = if desk.is_off() { None } else { facts.report(&mut *archive, &ask, &mut |_, _| {})? };
        let report = report.map_or_else(|| facts.without_history(&ask), Ok)?;
        Ok(Answer::new(JSON, written(&report)?))
    }

    /// What the parts of a page are made of, in short.
    fn tags(&self, query: &str) -> Result<Tags, Error> {
        let store = self.store();
        let state = store.peek().current().map_err(|error| Error::failed(error.to_string()))?;
        let minute = self.now.millis().div_euclid(60_000);
        let common = [
            env!("CARGO_PKG_VERSION").as_bytes(),
            &Sha256::digest(state.unwrap_or_default()),
            &minute.to_be_bytes(),
            query.as_bytes(),
        ];
        let mut now = Sha256::new();
        for record in &self.records {
            now.update((record.hostname.len() as u64).to_be_bytes());
            now.update(&record.hostname);
            now.update(record.received.millis().to_be_bytes());
            now.update(record.doubled.map_or(0, Instant::millis).to_be_bytes());
        }
        Ok(Tags { now: tag(&common, &now.finalize()), report: tag(&common, b"report") })
    }
}

/// Marks of the parts of a page.
struct Tags {
    now: String,
    report: String,
}

impl Tags {
    /// Of the page.
    fn both(&self) -> String {
        tag(&[self.now.as_bytes(), self.report.as_bytes()], b"page")
    }
}

fn tag(parts: &[&[u8]], last: &[u8]) -> String {
    let mut digest = Sha256::new();
    for part in parts.iter().chain([&last]) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let hex: String = digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn marked(answer: Answer, tag: &str) -> Answer {
    match HeaderValue::try_from(tag) {
        Ok(value) => answer.with(ETAG, value),
        Err(_) => answer,
    }
}

/// The report, and that of the last hours; none where there is no history at all.
fn both(facts: &Facts<'_>, archive: &mut dyn Archive, ask: &Ask) -> Result<Option<(Report, Option<Report>)>, Error> {
    let Some(report) = facts.report(archive, ask, &mut |_, _| {})? else { return Ok(None) };
    let end = Instant::from_millis((facts.now.millis().div_euclid(300_000)) * 300_000).plus(FIVE_MINUTES);
    let wish = Wish {
        from: Some(When::Exact(end.minus(RECENT))),
        to: Some(When::Exact(end)),
        by: Some(By::FiveMinutes),
        ..Wish::default()
    };
    let recent = Ask { wish, events: false, ..ask.clone() };
    match facts.report(archive, &recent, &mut |_, _| {}) {
        // Of so many subjects these are too many figures: the report of the period is there all the same.
        Err(error) if error.exit == Exit::Usage => Ok(Some((report, None))),
        recent => Ok(Some((report, recent?))),
    }
}

/// Which of the calendar's running periods is asked for.
fn running(wish: &Wish, of_quota: bool) -> Option<Named> {
    if wish.date.is_some() || wish.from.is_some() || (of_quota && wish.period.is_none()) {
        return None;
    }
    Some(wish.period.unwrap_or(Named::Month))
}

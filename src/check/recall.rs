//! Asks the history for what the state does not remember: what was used before a period rule was changed, and what
//! periodic reports and reset notices say of single days.
//!
//! Invariant: nothing depends on the answer. Without a history, or while its store is down, usage starts where it did
//! without one, and messages go out without these lines.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Run;
use crate::history::{Access, Archive, Failure, Row, Side, Total};
use crate::quota::instant::Instant;
use crate::quota::message::{self, Day, Days};
use crate::quota::meter::Counters;
use crate::quota::policy::{Plan, Quota, Tell};
use crate::quota::state::{State, Subject};
use crate::quota::text::About;
use crate::quota::track::{Grain, Point};
use crate::report::build::{Ask, FIGURES, Facts};
use crate::report::curve::Curve;
use crate::report::model::{Bucket, By, Direction, Report, Used};
use crate::report::span::{Named, When, Wish};

/// What asking may take: messages wait for it.
const LIMIT: Duration = Duration::from_secs(2);
/// Days a periodic report looks back on, today not counted.
const DAYS: u32 = 7;
const DAY: Duration = Duration::from_secs(86_400);

impl Run<'_> {
    /// Gives ledgers that began in the middle of their period what the history has of it. What cannot be asked now is
    /// asked again on the next runs.
    pub(super) fn recall_usage(&self, state: &mut State, access: &dyn Access) {
        let opened = opened(state);
        if opened.is_empty() {
            return;
        }
        let (until, limit) = self.time_to_recall();
        let archive = if access.is_kept() { access.look(limit) } else { Ok(None) };
        // A store that does not answer is told of when the sample is written.
        let Ok(archive) = archive else { return };
        let known = archive.map(|mut archive| (archive.subjects(Some(&state.history.instance)), archive));
        let (known, mut archive) = match known {
            None => (Vec::new(), None),
            Some((Ok(known), archive)) => (known, Some(archive)),
            Some((Err(_), _)) => return,
        };
        let ids: HashMap<u64, i64> = known.into_iter().map(|known| (known.named.key, known.id)).collect();
        let sampled = state.history.sampled;
        for (source, name, rule) in opened {
            let memory = state.sources.get_mut(&source).and_then(|source| source.subjects.get_mut(&name));
            let Some(subject) = memory else { continue };
            if let Some((archive, id)) = archive.as_mut().zip(ids.get(&subject.track.key)) {
                if self.host.elapsed() >= until {
                    return;
                }
                let Ok(began) = Began::of(&mut **archive, *id, subject, &rule, sampled) else { return };
                began.into_iter().for_each(|began| began.tell(subject, &rule, self.clock.now));
            }
            subject.ledgers.get_mut(&rule).into_iter().for_each(|ledger| ledger.is_new = false);
        }
    }

    /// Adds to periodic reports and reset notices what the history says of single days.
    pub(super) fn recall_days(&self, state: &State, plan: &mut Plan, access: &dyn Access) {
        let told = |tell: &Tell| tell.item.about.is_some() && Days::of(&tell.item.key).is_some();
        if !plan.tells.iter().any(told) || !access.is_kept() {
            return;
        }
        let (until, limit) = self.time_to_recall();
        let Ok(Some(mut archive)) = access.look(limit) else { return };
        let mut reports: BTreeMap<(String, Instant, Instant), Option<Report>> = BTreeMap::new();
        for tell in plan.tells.iter_mut().filter(|tell| told(tell)) {
            let Some((about, kind)) = tell.item.about.as_deref().zip(Days::of(&tell.item.key)) else { continue };
            let quota = self.config.quotas.iter().find(|quota| quota.name == about.quota);
            let Some((quota, (from, to))) =
                quota.and_then(|quota| Some((quota, self.span(state, quota, about, kind)?)))
            else {
                continue;
            };
            let key = (quota.name.clone(), from, to);
            if self.host.elapsed() >= until && !reports.contains_key(&key) {
                continue;
            }
            let report = reports.entry(key).or_insert_with(|| self.days(state, &mut *archive, quota, (from, to)));
            let lines = report.as_ref().map(|report| {
                message::days(&self.context(), quota, kind, to.since(from), &by_day(report, quota, about))
            });
            tell.item.body.extend(lines.into_iter().flatten());
        }
    }

    /// Which days are told of.
    fn span(&self, state: &State, quota: &Quota, about: &About, kind: Days) -> Option<(Instant, Instant)> {
        let now = self.clock.now;
        match kind {
            Days::Last => {
                let day = Named::Day.rule(&quota.rule.zone);
                Some((day.period(now.minus(DAY * DAYS)).start, now))
            }
            Days::Closed => {
                let subject = quota.subject(state.sources.get(&quota.source)?, &about.subject)?;
                let closed = subject.ledgers.get(&quota.rule_key)?.last.as_ref()?.period;
                let end = closed.end.filter(|end| end.since(closed.start) >= DAY * 2)?;
                Some((closed.start, end))
            }
        }
    }

    /// What was used on these days by all that a quota looks at.
    fn days(
        &self,
        state: &State,
        archive: &mut dyn Archive,
        quota: &Quota,
        (from, to): (Instant, Instant),
    ) -> Option<Report> {
        let wish =
            Wish { from: Some(When::Exact(from)), to: Some(When::Exact(to)), by: Some(By::Day), ..Wish::default() };
        let (quota, direction) = (Some(quota.name.clone()), Direction::Both);
        let ask = Ask { wish, subjects: Vec::new(), quota, instance: None, direction, events: false, figures: FIGURES };
        let facts = Facts { config: self.config, state, now: self.clock.now, alone: true };
        facts.report(archive, &ask, &mut |_, _| {}).ok().flatten()
    }

    /// Until when it may be asked, and how long that is from now.
    fn time_to_recall(&self) -> (Duration, Duration) {
        let limit = self.config.deadline.saturating_sub(self.host.elapsed()).min(LIMIT);
        (self.host.elapsed() + limit, limit)
    }
}

/// The ledgers whose rule is new to a subject that was metered before: source, subject and rule.
fn opened(state: &State) -> Vec<(String, String, String)> {
    let mut opened = Vec::new();
    for (source, memory) in &state.sources {
        for (name, subject) in &memory.subjects {
            let new = subject.ledgers.iter().filter(|(_, ledger)| ledger.is_new);
            opened.extend(new.map(|(rule, _)| (source.clone(), name.clone(), rule.clone())));
        }
    }
    opened
}

/// What the history has of a period that a ledger did not see the start of.
struct Began {
    since: Instant,
    used: Counters,
    /// Of that, what may be there by a division by time alone.
    unsure: Counters,
    /// Over how many seconds that was, where the start is no row of the store.
    spread: Option<u32>,
}

impl Began {
    /// None where the history knows nothing of before the ledger.
    fn of(
        archive: &mut dyn Archive,
        id: i64,
        subject: &Subject,
        rule: &str,
        sampled: Option<Instant>,
    ) -> Result<Option<Self>, Failure> {
        let (Some(ledger), Some(series), Some(sampled)) = (subject.ledgers.get(rule), &subject.series, sampled) else {
            return Ok(None);
        };
        let start = ledger.period.start;
        let row = |point: &Point| Row { id, at: point.at, total: Total::from(point) };
        let now = subject.track.now(series.at);
        let live: Vec<Row> = subject.track.edges.iter().chain([&now]).map(row).collect();
        // What is later than the last sample the state knows of is of a run that was cut off.
        let next = |archive: &mut dyn Archive, at: Instant| -> Result<Option<Row>, Failure> {
            let stored = archive.nearest(id, Side::After, at, Grain::Sample)?.filter(|row| row.at <= sampled);
            Ok(stored.or(live.iter().find(|row| row.at >= at).copied()))
        };
        let Some(after) = next(archive, start.plus(Duration::from_millis(1)))? else { return Ok(None) };
        let until_now = |total: &Total| difference(&row(&now).total, total);
        let before = archive.nearest(id, Side::Before, start, Grain::Sample)?.filter(|row| row.at <= sampled);
        let Some(before) = before else {
            let known = after.at < ledger.since;
            let first = || {
                Some(Self {
                    since: after.at,
                    used: until_now(&after.total)?,
                    unsure: Counters::default(),
                    spread: None,
                })
            };
            return Ok(if known { first() } else { None });
        };
        let exact = live.iter().find(|row| row.at == start).or(Some(&before).filter(|row| row.at == start)).copied();
        let at_start = exact.or_else(|| Curve::new(vec![before, after]).row(id, start));
        let Some(at_start) = at_start else { return Ok(None) };
        let spread = at_start.total.spread.max(after.total.spread);
        let settled = match (spread, exact) {
            (0, Some(_)) => at_start,
            _ => next(archive, start.plus(Duration::from_secs(spread.into())).max(after.at))?.unwrap_or(row(&now)),
        };
        let Some((used, unsure)) = until_now(&at_start.total).zip(difference(&settled.total, &at_start.total)) else {
            return Ok(None);
        };
        Ok(Some(Self { since: start, used, unsure, spread: exact.is_none().then_some(spread) }))
    }

    /// Takes it into the ledger.
    fn tell(self, subject: &mut Subject, rule: &str, now: Instant) {
        let flagged = subject.ledgers.values().map(|ledger| ledger.flagged);
        // Which of the bytes were implausible nobody knows any more.
        let flagged = flagged.fold(Counters::default(), |most, flagged| most.zip(flagged, u64::max));
        let Some(ledger) = subject.ledgers.get_mut(rule) else { return };
        (ledger.since, ledger.used) = (self.since, self.used);
        ledger.unsure = ledger.unsure.plus(self.unsure).zip(self.used, u64::min);
        ledger.flagged = flagged.zip(self.used, u64::min);
        ledger.pace.clear();
        ledger.mark(now);
        if let Some(spread) = self.spread {
            subject.track.anchor(ledger, spread);
        }
        // What the history knows is not to be filled in once more.
        subject.gaps.retain_mut(|gap| {
            let other = gap.rule.as_deref() != Some(rule);
            gap.to = if other { gap.to } else { gap.to.min(self.since) };
            other || gap.from < gap.to
        });
    }
}

/// None when a total has fallen: then it is not the same one.
fn difference(later: &Total, earlier: &Total) -> Option<Counters> {
    let of = |later: i64, earlier: i64| u64::try_from(i128::from(later) - i128::from(earlier)).ok();
    Some(Counters { rx: of(later.rx, earlier.rx)?, tx: of(later.tx, earlier.tx)? })
}

/// What counted on each day.
fn by_day(report: &Report, quota: &Quota, about: &About) -> Vec<Day> {
    let own = report.rows.iter().find(|row| (&row.source, &row.subject) == (&about.source, &about.subject));
    let cells = if quota.pool { Some(&report.cells) } else { own.map(|row| &row.cells) };
    let day = |(bucket, cell): (&Bucket, &Option<Used>)| {
        let used = cell.filter(|used| !used.partial).map(|used| quota.count.of(used.flow));
        Day { start: bucket.from, used, estimated: cell.is_some_and(|used| used.estimated) }
    };
    report.buckets.iter().zip(cells.map(Vec::as_slice).unwrap_or_default()).map(day).collect()
}

//! From what the store and the state know to a [`Report`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::curve::{Curve, Level};
use super::fetch::{Progress, Reader};
use super::model::{Bar, By, Direction, Report, Row, Used};
use super::pick::{self, Found, Whose};
use super::span::{Span, Wish};
use crate::config::{Config, fields};
use crate::error::{Error, Result};
use crate::history::{self, Archive, Failure, Instance, Logged};
use crate::quota::instant::Instant;
use crate::quota::message::tier_name;
use crate::quota::meter::{Counters, Ledger};
use crate::quota::period::{Cycle, Period};
use crate::quota::policy::{POOL, Quota};
use crate::quota::state::State;
use crate::quota::track::Grain;
use crate::quota::zone::Zone;
use crate::status;

/// What a report is to be about.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which time, and how it is divided.
    pub wish: Wish,
    /// Names, globs, `source/subject`; empty: all.
    pub subjects: Vec<String>,
    /// Only what this quota looks at, by its zone and periods.
    pub quota: Option<String>,
    /// Whose history: an id, a host's name, `all`; none: this machine's.
    pub instance: Option<String>,
    /// What is shown.
    pub direction: Direction,
    /// Whether what was done and told is asked for, too.
    pub events: bool,
    /// No more figures than these.
    pub figures: usize,
}

/// What it is made of.
pub struct Facts<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The state as it is now.
    pub state: &'a State,
    /// The time of the run.
    pub now: Instant,
    /// Whether only this machine writes to such a store.
    pub alone: bool,
}

/// So many figures fit into a report.
pub const FIGURES: usize = 5_000_000;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::failed(failure.text)
    }
}

impl Facts<'_> {
    /// The subjects there are of the machine that is meant, and which machines there are.
    pub fn found(&self, archive: &mut dyn Archive, asked: Option<&str>) -> Result<(Vec<Found>, Whose, Vec<Instance>)> {
        let instances = archive.instances()?;
        let own = (self.state.history.instance.as_str(), self.config.host_name.as_str());
        let whose = pick::whose(asked, own, &instances, self.alone).map_err(Error::usage)?;
        let found = pick::find(archive, self.state, &whose)?;
        Ok((found, whose, instances))
    }

    /// The report; none where there is no history at all.
    pub fn report(&self, archive: &mut dyn Archive, ask: &Ask, progress: Progress<'_>) -> Result<Option<Report>> {
        let (all, whose, instances) = self.found(archive, ask.instance.as_deref())?;
        let quota = ask.quota.as_deref().map(|name| self.quota(name)).transpose()?;
        if all.is_empty() {
            // What was asked for is looked at nevertheless: a mistake in it is one on the first day, too.
            let (_, span) = self.span(ask, quota, &[])?;
            // Alarms are told of subjects that have no figures, too.
            if !ask.events || self.events(archive, &whose, &span)?.is_empty() {
                return Ok(None);
            }
        }
        let there = all.len();
        let found = pick::choose(all, &ask.subjects).map_err(Error::usage)?;
        let looked_at = |found: &Found| quota.is_none_or(|quota| pick::looks_at(quota, found, self.state));
        let found: Vec<Found> = found.into_iter().filter(looked_at).collect();
        let (zone, span) = self.span(ask, quota, &found)?;
        let most = ask.figures;
        if found.len().saturating_mul(span.buckets.len()) > most {
            let text =
                format!("that would be more than {most} figures: choose subjects, use longer buckets or less time");
            return Err(Error::usage(text));
        }
        let everything = whose == Whose::All && found.len() == there;
        let mut reader = Reader::new(archive, &found, everything, self.now);
        let rows = reader.rows(&edges(&span), grain(span.by), progress)?;
        let several = whose == Whose::All && instances.len() > 1;
        let host = self.host(&whose, &instances);
        let chosen = self.chosen(ask, &whose, &instances);
        let mut hosts: Vec<(String, String)> = Vec::new();
        if several {
            hosts.extend(instances.into_iter().map(|instance| (instance.id, instance.host)));
        }
        let events = if ask.events { self.events(archive, &whose, &span)? } else { Vec::new() };
        let named: BTreeSet<(&str, &str)> =
            found.iter().map(|found| (found.named.source.as_str(), found.named.subject.as_str())).collect();
        let narrowed = !ask.subjects.is_empty() || quota.is_some();
        let about = |logged: &Logged| {
            let event = &logged.event;
            let of_quota = quota.is_none_or(|quota| event.quota.is_empty() || event.quota == quota.name);
            !narrowed || named.contains(&(event.source.as_str(), event.subject.as_str())) && of_quota
        };
        let events = events.into_iter().filter(about).collect();
        let bars = if whose.is(&self.state.history.instance) { self.bars(&named, narrowed) } else { Vec::new() };
        let sums = Sums::of(&self.merge(found, rows, &hosts), &span, ask.direction);
        Ok(Some(Report {
            language: self.config.language,
            host,
            made: self.now,
            zone,
            from: span.from,
            to: span.to,
            by: span.by,
            direction: ask.direction,
            buckets: span.buckets,
            rows: sums.rows,
            whole: sums.whole,
            cells: sums.cells,
            quotas: bars,
            events,
            hosts,
            chosen,
        }))
    }

    /// A report without any history: how the quotas stand, and nothing else.
    pub fn without_history(&self, ask: &Ask) -> Result<Report> {
        let quota = ask.quota.as_deref().map(|name| self.quota(name)).transpose()?;
        let (zone, span) = self.span(ask, quota, &[])?;
        Ok(Report {
            language: self.config.language,
            host: self.config.host_name.clone(),
            made: self.now,
            zone,
            from: span.from,
            to: span.to,
            by: span.by,
            direction: ask.direction,
            cells: vec![None; span.buckets.len()],
            buckets: span.buckets,
            rows: Vec::new(),
            whole: Used::default(),
            quotas: self.bars(&BTreeSet::new(), false),
            events: Vec::new(),
            hosts: Vec::new(),
            chosen: Vec::new(),
        })
    }

    /// The name of the machine that is meant; of several, this one's.
    fn host(&self, whose: &Whose, instances: &[Instance]) -> String {
        let other = whose.one().filter(|id| *id != self.state.history.instance);
        let known = other.and_then(|id| instances.iter().find(|instance| instance.id == id));
        known.map_or_else(|| self.config.host_name.clone(), |instance| instance.host.clone())
    }

    /// What was chosen of all there is, in the words of a file's name.
    fn chosen(&self, ask: &Ask, whose: &Whose, instances: &[Instance]) -> Vec<String> {
        let machine = match whose {
            Whose::All => Some("all".to_owned()),
            Whose::One(id) if *id == self.state.history.instance || ask.instance.is_none() => None,
            Whose::One(id) => {
                let host = self.host(whose, instances);
                let namesakes = instances.iter().filter(|instance| instance.host == host).count();
                Some(if namesakes > 1 || host == self.config.host_name { format!("{host}-{id}") } else { host })
            }
        };
        let subject = match &ask.subjects[..] {
            [only] => Some(only.clone()),
            _ => None,
        };
        machine.into_iter().chain(subject).chain(ask.quota.clone()).collect()
    }

    /// A quota by its name.
    fn quota(&self, name: &str) -> Result<&Quota> {
        self.config.quotas.iter().find(|quota| quota.name == name).ok_or_else(|| {
            let near = fields::nearest(name, self.config.quotas.iter().map(|quota| quota.name.as_str()));
            Error::usage(format!("--quota: there is no quota {name:?}{near}"))
        })
    }

    /// The zone, and the span in it.
    fn span(&self, ask: &Ask, quota: Option<&Quota>, found: &[Found]) -> Result<(Zone, Span)> {
        let zone = match quota {
            Some(quota) => quota.rule.zone.clone(),
            None => pick::zone(&self.config.quotas, found, self.state, &self.config.zone),
        };
        let since = found.iter().map(|found| found.first).min().unwrap_or(self.now);
        let billing = quota.map(|quota| move |at| self.billing(quota, at, since));
        let billing = billing.as_ref().map(|billing| billing as &dyn Fn(Option<Instant>) -> _);
        let span = ask.wish.span(&zone, self.now, billing).map_err(Error::usage)?;
        Ok((zone, span))
    }

    /// The period of a quota that an instant lies in; without one, that which runs.
    fn billing(&self, quota: &Quota, at: Option<Instant>, since: Instant) -> std::result::Result<Period, String> {
        let asked = at.unwrap_or(self.now);
        if quota.rule.cycle == Cycle::Never {
            return Ok(Period { start: since.min(self.now), end: None });
        }
        if !quota.rule.is_provider() && !quota.rule.since_creation {
            return Ok(quota.rule.period(asked));
        }
        let rows = self.state.sources.get(&quota.source).map(|source| quota.rows(source)).unwrap_or_default();
        let ledgers = rows.iter().filter_map(|(_, subject)| subject.ledgers.get(&quota.rule_key));
        let periods = |ledger: &Ledger| [Some(ledger.period), ledger.last.as_ref().map(|closed| closed.period)];
        let known: BTreeMap<Instant, Period> = ledgers
            .flat_map(|ledger| periods(ledger))
            .flatten()
            .filter(|period| at.is_none() || period.contains(asked))
            .map(|period| (period.start, period))
            .collect();
        let found = known.into_values().next_back();
        found.ok_or_else(|| {
            format!("the period of quota {:?} is not known: use --period, or --from and --to", quota.name)
        })
    }

    /// What was done and told: as the store has it, then what waits for it.
    fn events(&self, archive: &mut dyn Archive, whose: &Whose, span: &Span) -> Result<Vec<Logged>> {
        let history = &self.state.history;
        let mut events = archive.events(whose.one(), span.from, span.to)?;
        if whose.is(&history.instance) {
            // What a run wrote that was cut off before it saved its state waits here as well.
            events.retain(|logged| logged.instance != history.instance || logged.number <= history.logged);
            let waiting = (history.logged + 1..).zip(&history.events);
            let here = waiting.filter(|(_, event)| span.from <= event.at && event.at < span.to);
            let logged =
                |(number, event)| Logged { instance: history.instance.clone(), number, event: Clone::clone(event) };
            events.extend(here.map(logged));
            events.sort_by_key(|logged| logged.event.at);
        }
        Ok(events)
    }

    /// How the quotas stand that look at these subjects.
    fn bars(&self, named: &BTreeSet<(&str, &str)>, narrowed: bool) -> Vec<Bar> {
        let about = |row: &&status::Row<'_>| {
            let (quota, subject) = (row.view.quota, row.view.subject);
            let member = || named.iter().any(|(source, name)| *source == quota.source && quota.names(name));
            !narrowed
                || named.contains(&(quota.source.as_str(), subject))
                || (quota.pool && subject == POOL && member())
        };
        let rows = status::rows(self.config, self.state);
        rows.iter().filter(about).map(|row| bar(row, self.now)).collect()
    }

    /// One series for each subject, however often the store has it.
    fn merge(&self, found: Vec<Found>, rows: Vec<Vec<history::Row>>, hosts: &[(String, String)]) -> Vec<Merged> {
        let mut merged: BTreeMap<(String, String, String), Merged> = BTreeMap::new();
        for (found, rows) in found.into_iter().zip(rows) {
            let curve = Curve::new(rows);
            if curve.ends().is_none() {
                continue;
            }
            let label = match found.named.label.is_empty() {
                true => self.label(&found).unwrap_or_default(),
                false => found.named.label.clone(),
            };
            let named = found.named;
            let key = (found.instance.clone(), named.source.clone(), named.subject.clone());
            let of = |id: &str| hosts.iter().find(|(known, _)| known == id).map(|(_, host)| host.clone());
            let one = merged.entry(key).or_insert_with(|| Merged {
                host: if hosts.is_empty() { None } else { of(&found.instance).or(Some(self.config.host_name.clone())) },
                instance: found.instance,
                source: named.source,
                subject: named.subject,
                label: String::new(),
                part_of: named.part_of,
                seen: found.seen,
                curves: Vec::new(),
            });
            if one.label.is_empty() || one.seen <= found.seen {
                one.label = label;
                one.seen = found.seen;
            }
            one.curves.push(curve);
        }
        merged.into_values().collect()
    }

    /// The label of a quota that looks at it.
    fn label(&self, found: &Found) -> Option<String> {
        let labelled = self.config.quotas.iter().filter(|quota| quota.label.is_some() && !quota.pool);
        let own = found.instance == self.state.history.instance;
        labelled.filter(|quota| own && pick::looks_at(quota, found, self.state)).find_map(|quota| quota.label.clone())
    }
}

/// Which rows tell what flowed between the edges of buckets, most often.
fn grain(by: By) -> Grain {
    match by {
        By::FiveMinutes => Grain::Sample,
        By::Hour => Grain::Hour,
        By::Day | By::Month => Grain::Day,
    }
}

/// Where the buckets begin, and the end.
fn edges(span: &Span) -> Vec<Instant> {
    span.buckets.iter().map(|bucket| bucket.from).chain([span.to]).collect()
}

fn bar(row: &status::Row<'_>, now: Instant) -> Bar {
    let view = &row.view;
    let forecast = view.forecast();
    let reached = |tier| Some((tier_name(tier), tier.threshold.at(view.allowance)?));
    let mut tiers: Vec<(String, u64)> = view.quota.tiers.iter().filter_map(reached).collect();
    tiers.sort_by_key(|(_, bytes)| *bytes);
    Bar {
        quota: view.quota.name.clone(),
        label: view.quota.label.clone(),
        source: view.quota.source.clone(),
        subject: view.subject.to_owned(),
        name: view.guest.map(|guest| guest.name.clone()).filter(|name| !name.is_empty()),
        count: view.quota.count,
        used: view.used,
        allowance: view.allowance,
        unit: view.quota.unit,
        percent: view.percent().to_string(),
        period: view.ledger.period,
        zone: view.quota.rule.zone.clone(),
        tiers,
        tier: view.tier().map(tier_name),
        at_end: forecast.as_ref().and_then(|forecast| forecast.at_end),
        exhausted_at: forecast.as_ref().and_then(|forecast| forecast.exhausted_at),
        as_of: view.as_of,
        stale: row.stale(now),
        estimated: view.ledger.estimated(),
    }
}

/// A subject with all that is known of it.
struct Merged {
    host: Option<String>,
    instance: String,
    source: String,
    subject: String,
    label: String,
    part_of: String,
    seen: Instant,
    curves: Vec<Curve>,
}

impl Merged {
    /// The first and the last instant of which something is known.
    fn ends(&self) -> Option<(Instant, Instant)> {
        let ends = || self.curves.iter().filter_map(Curve::ends);
        Some((ends().map(|(first, _)| first).min()?, ends().map(|(_, last)| last).max()?))
    }

    fn levels(&self, edges: &[Instant]) -> Vec<Level> {
        let mut sum = vec![Level::default(); edges.len()];
        for curve in &self.curves {
            for (sum, level) in sum.iter_mut().zip(curve.levels(edges)) {
                *sum = sum.plus(level);
            }
        }
        sum
    }
}

/// The rows of a report, and their sums.
struct Sums {
    rows: Vec<Row>,
    whole: Used,
    cells: Vec<Option<Used>>,
}

impl Sums {
    fn of(merged: &[Merged], span: &Span, direction: Direction) -> Self {
        let edges = edges(span);
        let shown: Vec<&Merged> = merged.iter().filter(|one| is_shown(one, span)).collect();
        let owners: BTreeSet<(&str, &str, &str)> =
            shown.iter().map(|one| (one.instance.as_str(), one.source.as_str(), one.subject.as_str())).collect();
        let mut whole = Whole::new(span);
        let mut rows = Vec::with_capacity(shown.len());
        for one in &shown {
            let Some((first, last)) = one.ends() else { continue };
            let levels = one.levels(&edges);
            let cell = |ends: &[Level], at: &[Instant]| ends[1].since(ends[0]).used(at[0], at[1], last);
            let cells: Vec<Option<Used>> =
                levels.windows(2).zip(edges.windows(2)).map(|(ends, at)| cell(ends, at)).collect();
            let all = levels[levels.len() - 1].since(levels[0]);
            let unknown = Used { partial: first > span.from, ..Used::default() };
            let used = all.used(span.from, span.to, last).unwrap_or(unknown);
            let part = owners.contains(&(one.instance.as_str(), one.source.as_str(), one.part_of.as_str()));
            if !part {
                whole.add(used, first, &cells, &levels);
            }
            let (source, subject, label) = (one.source.clone(), one.subject.clone(), one.label.clone());
            rows.push(Row { host: one.host.clone(), source, subject, label, part, used, cells });
        }
        rows.sort_by(|a, b| {
            let key = |row: &Row| Reverse(direction.of(row.used.flow));
            let name = |row: &Row| (row.source.clone(), row.subject.clone(), row.host.clone());
            key(a).cmp(&key(b)).then_with(|| name(a).cmp(&name(b)))
        });
        let (whole, cells) = whole.finish();
        Self { rows, whole, cells }
    }
}

/// Whether anything is known of it in the span.
fn is_shown(one: &Merged, span: &Span) -> bool {
    one.ends().is_some_and(|(first, last)| first < span.to && last > span.from)
}

/// The sum of rows. A subject that came later leaves no gap in it, but what was deleted does.
struct Whole<'s> {
    span: &'s Span,
    used: Option<Used>,
    first: Option<Instant>,
    cells: Vec<Option<Used>>,
    holes: Vec<bool>,
}

impl<'s> Whole<'s> {
    fn new(span: &'s Span) -> Self {
        let count = span.buckets.len();
        Self { span, used: None, first: None, cells: vec![None; count], holes: vec![false; count] }
    }

    fn add(&mut self, used: Used, first: Instant, cells: &[Option<Used>], levels: &[Level]) {
        self.used = sum(self.used, Some(used));
        self.first = Some(self.first.map_or(first, |known| known.min(first)));
        for (index, cell) in cells.iter().enumerate() {
            self.cells[index] = sum(self.cells[index], *cell);
            self.holes[index] |= levels[index + 1].since(levels[index]).missing > 0;
        }
    }

    fn finish(self) -> (Used, Vec<Option<Used>>) {
        let begins = |from: Instant| self.first.is_none_or(|first| from < first);
        let cells = self.cells.iter().zip(&self.holes).zip(&self.span.buckets);
        let cell = |((cell, hole), bucket): ((&Option<Used>, &bool), &super::model::Bucket)| {
            cell.map(|used| Used { partial: *hole || begins(bucket.from), ..used })
        };
        let partial = self.holes.contains(&true) || begins(self.span.from);
        let whole = Used { partial, ..self.used.unwrap_or_default() };
        (whole, cells.map(cell).collect())
    }
}

fn sum(one: Option<Used>, other: Option<Used>) -> Option<Used> {
    let plus = |a: Used, b: Used| Used {
        flow: Counters::plus(a.flow, b.flow),
        estimated: a.estimated || b.estimated,
        partial: a.partial || b.partial,
    };
    match (one, other) {
        (Some(one), Some(other)) => Some(plus(one, other)),
        (one, other) => one.or(other),
    }
}

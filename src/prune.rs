//! `prune`: deletes history, and leaves the rest saying what it said.
//!
//! Invariant: what is deleted ends before the periods that run and before today: the sums that tiers are compared with,
//! and the days still to come, lose nothing. At the ends of what goes each subject keeps its total.
//!
//! Takes no lock: the state is only looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::PruneArgs;
use crate::error::{Error, Exit, Result};
use crate::history::nothing::Nothing;
use crate::history::place::Mode;
use crate::history::{Archive, Prune, Pruned, Row};
use crate::quota::instant::Instant;
use crate::quota::message::{NAME, local};
use crate::quota::period::Cycle;
use crate::quota::policy::Quota;
use crate::quota::text::clean;
use crate::quota::zone::Zone;
use crate::report::build::Facts;
use crate::report::curve::Curve;
use crate::report::fetch::Reader;
use crate::report::pick::{self, Found};
use crate::report::span::{Named, When};
use crate::report::{Desk, OFF, PATIENCE, none_yet};
use crate::store;

/// How long a server may take to delete: it is done by hand, and seldom.
const LONG: Duration = Duration::from_secs(30 * 60);

/// What is to be deleted.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// From then on; none: from the beginning.
    pub from: Option<When>,
    /// Up to the start of it.
    pub before: Option<When>,
    /// Up to the end of it.
    pub to: Option<When>,
    /// Names, globs, `source/subject`; empty: all.
    pub subjects: Vec<String>,
    /// Whose: an id, a host's name, `all`; none: this machine's.
    pub instance: Option<String>,
    /// Whether only to say what would go.
    pub rehearse: bool,
}

impl From<&PruneArgs> for Wish {
    fn from(args: &PruneArgs) -> Self {
        Self {
            from: args.from,
            before: args.before,
            to: args.to,
            subjects: args.subject.clone(),
            instance: args.instance.clone(),
            rehearse: args.debug,
        }
    }
}

/// Deletes, or says what would go.
pub fn run(desk: &Desk<'_>, args: &PruneArgs) -> Result<Exit> {
    if desk.is_off() {
        return crate::print(desk.host, OFF);
    }
    let loaded = store::load(desk.store.peek())?;
    if let Some(broken) = loaded.broken {
        // Which periods run is not known.
        return Err(Error::failed(format!("{}: nothing is deleted before the next check", broken.why)));
    }
    let facts = Facts { config: desk.config, state: &loaded.state, now: desk.host.now(), alone: desk.is_alone() };
    let mode = if args.debug { Mode::Read } else { Mode::Write };
    let there = desk.open(Mode::Read, PATIENCE)?.is_some();
    // Nobody waits for a lock of a file for so long, but a server may have millions of rows to delete.
    let patience = if desk.is_alone() { PATIENCE } else { LONG };
    let mut archive = match there {
        true => desk.open(mode, patience)?.unwrap_or_else(|| Box::new(Nothing)),
        false => Box::new(Nothing),
    };
    let text = facts.prune(&mut *archive, &Wish::from(args))?;
    crate::print(desk.host, &text)
}

impl Facts<'_> {
    /// Deletes; returns what to print.
    pub fn prune(&self, archive: &mut dyn Archive, wish: &Wish) -> Result<String> {
        let (all, _, _) = self.found(archive, wish.instance.as_deref())?;
        let stored: Vec<Found> = all.into_iter().filter(|found| found.id.is_some()).collect();
        let empty = stored.is_empty();
        let found = if empty { stored } else { pick::choose(stored, &wish.subjects).map_err(Error::usage)? };
        let zone = pick::zone(&self.config.quotas, &found, self.state, &self.config.zone);
        let asked = self.range(wish, &zone)?;
        if empty {
            return Ok(none_yet(self.config));
        }
        let (from, to) = (asked.0, asked.1.min(self.limit(&found, &zone)));
        let mut text = String::new();
        if to < asked.1 {
            let to = local(&zone, to);
            text.push_str(&format!("what is since {to} stays: of it are the periods that run\n"));
        }
        if from.is_some_and(|from| from >= to) {
            text.push_str("nothing is deleted\n");
            return Ok(text);
        }
        let whole = wish.subjects.is_empty();
        let mut sum = Pruned::default();
        let mut of_instance: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for found in found {
            of_instance.entry(found.instance.clone()).or_default().push(found);
        }
        for (instance, found) in of_instance {
            let stay = self.stay(archive, &found, (from, to))?;
            let ids = (!whole).then(|| found.iter().filter_map(|found| found.id).collect());
            if wish.rehearse {
                text.push_str(&self.by_subject(archive, &found, (from, to))?);
            }
            let pruned = archive.prune(&Prune { ids, instance, from, to, stay }, wish.rehearse)?;
            sum = Pruned { rows: sum.rows + pruned.rows, events: sum.events + pruned.events };
        }
        let range = match from {
            Some(from) => format!("from {} to {}", local(&zone, from), local(&zone, to)),
            None => format!("before {}", local(&zone, to)),
        };
        let verb = if wish.rehearse { "would be deleted" } else { "deleted" };
        text.push_str(&format!("{verb}: {} and {}, {range}\n", count(sum.rows, "row"), count(sum.events, "event")));
        Ok(text)
    }

    /// What was asked for.
    fn range(&self, wish: &Wish, zone: &Zone) -> Result<(Option<Instant>, Instant)> {
        let from = wish.from.map(|from| from.start(zone));
        let future = |name: &str, when: When| match when.start(zone) > self.now {
            true => Err(Error::usage(format!("--{name}: it is in the future"))),
            false => Ok(()),
        };
        let to = match (wish.before, wish.to) {
            (Some(before), _) => future("before", before).map(|()| before.start(zone))?,
            (None, Some(to)) => {
                if from.is_some_and(|from| from >= to.end(zone)) {
                    return Err(Error::usage("--from is not before --to"));
                }
                future("to", to).map(|()| to.end(zone))?
            }
            (None, None) => return Err(Error::usage("--before, or --from and --to: which time?")),
        };
        Ok((from, to))
    }

    /// What is since then is not deleted: it is of today, of a period that runs, or not written for good yet.
    fn limit(&self, found: &[Found], zone: &Zone) -> Instant {
        let today = Named::Day.rule(zone).period(self.now).start;
        let own = self.state.history.instance.as_str();
        let own: Vec<&Found> = found.iter().filter(|found| found.instance == own).collect();
        let looks = |quota: &&Quota| own.iter().any(|found| pick::looks_at(quota, found, self.state));
        let running = self.config.quotas.iter().filter(looks).flat_map(|quota| self.running(quota));
        let written = self.state.history.sampled.filter(|_| !own.is_empty());
        let foreign = (own.len() < found.len()).then(|| self.running_elsewhere(zone));
        running.chain(written).chain(foreign).fold(today, Instant::min)
    }

    /// Since when periods may run on another machine, whose quotas are not known here: the month's, and those of quotas
    /// like this machine's.
    fn running_elsewhere(&self, zone: &Zone) -> Instant {
        let month = Named::Month.rule(zone).period(self.now).start;
        self.config.quotas.iter().flat_map(|quota| self.running(quota)).fold(month, Instant::min)
    }

    /// The starts of a quota's periods that run. One that never ends would keep all for good: it has none.
    fn running(&self, quota: &Quota) -> Vec<Instant> {
        if quota.rule.cycle == Cycle::Never {
            return Vec::new();
        }
        let rows = self.state.sources.get(&quota.source).map(|source| quota.rows(source)).unwrap_or_default();
        let ledgers = rows.iter().filter_map(|(_, subject)| subject.ledgers.get(&quota.rule_key));
        let running = ledgers.filter(|ledger| ledger.period.contains(self.now)).map(|ledger| ledger.period.start);
        let known = !quota.rule.is_provider() && !quota.rule.since_creation;
        running.chain(known.then(|| quota.rule.period(self.now).start)).collect()
    }

    /// The totals that stay at the ends of what goes.
    fn stay(
        &self,
        archive: &mut dyn Archive,
        found: &[Found],
        (from, to): (Option<Instant>, Instant),
    ) -> Result<Vec<Row>> {
        let mut stay = self.totals(archive, found, to)?;
        if let Some(from) = from {
            for row in &mut stay {
                row.total.hole = true;
                // Nothing is known of what is before: nor over how long it was divided.
                row.total.spread = 0;
            }
            stay.extend(self.totals(archive, found, from)?);
        }
        Ok(stay)
    }

    /// What each subject's total was at an instant, where that is known.
    fn totals(&self, archive: &mut dyn Archive, found: &[Found], at: Instant) -> Result<Vec<Row>> {
        let rows = Reader::new(archive, found, false, self.now).around(at)?;
        let total = |(found, rows): (&Found, Vec<Row>)| Curve::new(rows).row(found.id?, at);
        Ok(found.iter().zip(rows).filter_map(total).collect())
    }

    /// How many rows of each subject would go.
    fn by_subject(
        &self,
        archive: &mut dyn Archive,
        found: &[Found],
        (from, to): (Option<Instant>, Instant),
    ) -> Result<String> {
        let first = found.iter().map(|found| found.first).min().unwrap_or(to);
        let after = from.unwrap_or_else(|| first.minus(Duration::from_millis(1)));
        let counts = Reader::new(archive, found, false, self.now).count((after, to))?;
        let line = |(found, rows): (&Found, &u64)| {
            let (source, subject) = (clean(&found.named.source, NAME), clean(&found.named.subject, NAME));
            format!("{source}/{subject}: {}\n", count(*rows, "row"))
        };
        Ok(found.iter().zip(&counts).filter(|(_, rows)| **rows > 0).map(line).collect())
    }
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

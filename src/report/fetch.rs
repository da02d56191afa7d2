//! The rows that a report needs, in as few queries as that takes.
//!
//! Rows of the edges of hours and days are there for all subjects at once, so that one query usually brings all. What
//! subjects lack at the ends of the range is looked for around them, of all of them at once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::pick::Found;
use crate::history::{Archive, Failure, Row, Side};
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// How far it is: done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Rows that are read at once, about.
const AT_ONCE: u64 = 100_000;

/// Reads rows of some subjects.
pub struct Reader<'a> {
    archive: &'a mut dyn Archive,
    found: &'a [Found],
    /// The store's numbers; none: of all that it has.
    ids: Option<Vec<i64>>,
    places: HashMap<i64, usize>,
    now: Instant,
}

impl<'a> Reader<'a> {
    /// Of these subjects; `all` says that the store has no others.
    pub fn new(archive: &'a mut dyn Archive, found: &'a [Found], all: bool, now: Instant) -> Self {
        let numbered = |(place, found): (usize, &Found)| Some((found.id?, place));
        let places: HashMap<i64, usize> = found.iter().enumerate().filter_map(numbered).collect();
        let ids = (!all).then(|| found.iter().filter_map(|found| found.id).collect());
        Self { archive, found, ids, places, now }
    }

    /// The rows of each subject that tell what flowed between edges, from the first of them to the last; they are in no
    /// order, and some may come twice. Read are those of a grain, and where a day's edge has none of these, finer ones.
    pub fn rows(&mut self, edges: &[Instant], grain: Grain, progress: Progress<'_>) -> Result<Vec<Vec<Row>>, Failure> {
        let mut rows: Vec<Vec<Row>> = self.found.iter().map(|found| found.live.clone()).collect();
        let (Some(from), Some(to)) = (edges.first().copied(), edges.last().copied()) else { return Ok(rows) };
        let to = to.min(self.now);
        if from <= to {
            self.between(&mut rows, (from, to), grain, progress)?;
            if grain == Grain::Day {
                let inner: Vec<Instant> = edges.iter().copied().filter(|at| from < *at && *at < to).collect();
                self.refine(&mut rows, &inner)?;
            }
            self.settle(&mut rows, from)?;
            self.settle(&mut rows, to)?;
            self.last(&mut rows, (from, to))?;
        }
        Ok(rows)
    }

    /// The rows around an instant.
    pub fn around(&mut self, at: Instant) -> Result<Vec<Vec<Row>>, Failure> {
        let mut rows: Vec<Vec<Row>> = self.found.iter().map(|found| found.live.clone()).collect();
        self.read(&mut rows, None, (at, at), Grain::Sample)?;
        self.settle(&mut rows, at)?;
        Ok(rows)
    }

    /// How many rows each subject has strictly between two instants.
    pub fn count(&mut self, (after, before): (Instant, Instant)) -> Result<Vec<u64>, Failure> {
        let mut counts = vec![0; self.found.len()];
        let mut start = after.plus(Duration::from_millis(1));
        while start < before {
            // A day at once: many rows pass by, and few are held.
            let end = start.plus(DAY).min(before).minus(Duration::from_millis(1));
            let mut rows = vec![Vec::new(); self.found.len()];
            self.read(&mut rows, None, (start, end), Grain::Sample)?;
            for (count, rows) in counts.iter_mut().zip(&rows) {
                *count += rows.len() as u64;
            }
            start = end.plus(Duration::from_millis(1));
        }
        Ok(counts)
    }

    fn between(
        &mut self,
        rows: &mut [Vec<Row>],
        (from, to): (Instant, Instant),
        grain: Grain,
        progress: Progress<'_>,
    ) -> Result<(), Failure> {
        let apart = match grain {
            Grain::Sample => 300,
            Grain::Hour => 3600,
            Grain::Day => 86_400,
        };
        let expected = (to.since(from).as_secs() / apart + 1).saturating_mul(self.places.len() as u64);
        let parts = expected.div_ceil(AT_ONCE).max(1);
        let length = (to.since(from).as_millis() as u64).div_ceil(parts).max(1);
        for part in 0..parts {
            let start = from.plus(Duration::from_millis(length * part));
            let end = from.plus(Duration::from_millis(length * (part + 1) - 1));
            let end = if part + 1 == parts { to } else { end.min(to) };
            self.read(rows, None, (start, end), grain)?;
            progress(part + 1, parts);
        }
        Ok(())
    }

    /// Reads rows of all that are meant, or of some of them.
    fn read(
        &mut self,
        rows: &mut [Vec<Row>],
        some: Option<&[i64]>,
        (from, to): (Instant, Instant),
        grain: Grain,
    ) -> Result<(), Failure> {
        if self.places.is_empty() || from > to {
            return Ok(());
        }
        let read = self.archive.rows(some.or(self.ids.as_deref()), from, to, grain)?;
        self.sort_in(rows, read);
        Ok(())
    }

    /// Puts rows with their subjects; those of a run that was cut off never were.
    fn sort_in(&self, rows: &mut [Vec<Row>], read: Vec<Row>) {
        for row in read {
            if let Some(place) = self.places.get(&row.id).filter(|place| self.found[**place].has(row.at)) {
                rows[*place].push(row);
            }
        }
    }

    /// Adds the rows of hours around edges of days that a subject has no row of: those of the days of other zones than
    /// that of its quotas are among them.
    fn refine(&mut self, rows: &mut [Vec<Row>], edges: &[Instant]) -> Result<(), Failure> {
        let mut lacking: BTreeMap<Instant, Vec<i64>> = BTreeMap::new();
        for (found, rows) in self.found.iter().zip(&*rows) {
            let Some(id) = found.id else { continue };
            let there: HashSet<Instant> = rows.iter().map(|row| row.at).collect();
            // After its last row nothing is lacking; where that is, is not always known.
            let last = rows.iter().map(|row| row.at).max().map_or(found.seen, |last| last.max(found.seen));
            for at in edges.iter().filter(|at| found.first < **at && **at <= last && !there.contains(at)) {
                lacking.entry(*at).or_default().push(id);
            }
        }
        for (at, ids) in lacking {
            let some = (ids.len() < self.places.len()).then_some(ids.as_slice());
            self.read(rows, some, (at.minus(HOUR), at.plus(HOUR).min(self.now)), Grain::Hour)?;
        }
        Ok(())
    }

    /// Adds the rows on both sides of an instant for those that have none of that very instant. What has ended before
    /// needs none, nor what came later.
    fn settle(&mut self, rows: &mut [Vec<Row>], at: Instant) -> Result<(), Failure> {
        let lacks = |place: &usize| {
            let found = &self.found[*place];
            let told = found.live.last().is_some_and(|last| last.at <= at);
            let there = found.first <= at && at <= found.seen.plus(DAY);
            found.id.is_some() && there && !told && !rows[*place].iter().any(|row| row.at == at)
        };
        let lacking: Vec<usize> = (0..self.found.len()).filter(lacks).collect();
        self.near(rows, &lacking, Side::Before, at)?;
        if at < self.now { self.near(rows, &lacking, Side::After, at) } else { Ok(()) }
    }

    /// Adds the last rows of what has ended in a range. Those of this machine are kept for good, and so they are there
    /// already; another may have gone without writing them again.
    fn last(&mut self, rows: &mut [Vec<Row>], (from, to): (Instant, Instant)) -> Result<(), Failure> {
        let ended = |place: &usize| {
            let found = &self.found[*place];
            let over = found.seen.plus(DAY);
            found.upto.is_none() && from <= over && over < to
        };
        let ended: Vec<usize> = (0..self.found.len()).filter(ended).collect();
        self.near(rows, &ended, Side::Before, to)
    }

    /// Adds the nearest rows of some subjects on one side of an instant.
    fn near(&mut self, rows: &mut [Vec<Row>], places: &[usize], side: Side, at: Instant) -> Result<(), Failure> {
        let mut asked: BTreeMap<Instant, Vec<i64>> = BTreeMap::new();
        for found in places.iter().map(|place| &self.found[*place]) {
            let at = if side == Side::Before { found.upto.map_or(at, |upto| at.min(upto)) } else { at };
            asked.entry(at).or_default().extend(found.id);
        }
        for (at, ids) in asked {
            let read = self.archive.nearest_of_each(&ids, side, at, Grain::Sample)?;
            self.sort_in(rows, read);
        }
        Ok(())
    }
}

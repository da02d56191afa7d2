//! What the bars stand for: the buckets of the report, neighbours put together where there are too many to be seen.

use crate::report::model::{Bucket, Report, Used};

/// More bars than these would be thinner than a pixel on a phone.
const MOST: usize = 500;

/// A bar's share of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The first of its buckets.
    pub first: usize,
    /// How many they are.
    pub buckets: usize,
    /// From when to when.
    pub span: Bucket,
    /// What flowed; none where nothing is known.
    pub used: Option<Used>,
    /// It is still to come.
    pub future: bool,
}

impl Slot {
    /// Whether something of it is not known that could be.
    pub fn unknown(&self) -> bool {
        !self.future && self.used.is_none_or(|used| used.partial)
    }
}

/// The bars of a report, in the order of time.
pub(super) fn slots(report: &Report) -> Vec<Slot> {
    let each = report.buckets.len().div_ceil(MOST).max(1);
    let merged = |(number, buckets): (usize, &[Bucket])| merge(report, number * each, buckets);
    report.buckets.chunks(each).enumerate().filter_map(merged).collect()
}

fn merge(report: &Report, first: usize, buckets: &[Bucket]) -> Option<Slot> {
    let span = Bucket { from: buckets.first()?.from, to: buckets.last()?.to };
    let to_come = |bucket: &Bucket| bucket.from >= report.made;
    let cells = (first..).zip(buckets).filter(|(_, bucket)| !to_come(bucket));
    let cells: Vec<Option<Used>> = cells.map(|(index, _)| report.cells.get(index).copied().flatten()).collect();
    let some_unknown = cells.contains(&None);
    let used =
        cells.into_iter().flatten().reduce(sum).map(|used| Used { partial: used.partial || some_unknown, ..used });
    Some(Slot { first, buckets: buckets.len(), span, used, future: to_come(buckets.first()?) })
}

fn sum(a: Used, b: Used) -> Used {
    Used { flow: a.flow.plus(b.flow), estimated: a.estimated || b.estimated, partial: a.partial || b.partial }
}

//! What a report says, before it is text, a page or a picture.
//!
//! Invariant: the usage of a row is the sum of its cells, and the whole is the sum of the rows that are no part of
//! another, to the byte.

use crate::history::Logged;
use crate::quota::bytes::Unit;
use crate::quota::duration::Language;
use crate::quota::instant::Instant;
use crate::quota::meter::{Count, Counters};
use crate::quota::period::Period;
use crate::quota::zone::Zone;

/// A report.
#[derive(Debug)]
pub struct Report {
    /// Of its words.
    pub language: Language,
    /// The machine it is about, as messages call it; of several the one that it was made on.
    pub host: String,
    /// When it was made.
    pub made: Instant,
    /// Whose hours and days it has.
    pub zone: Zone,
    /// The range asked for: its start.
    pub from: Instant,
    /// Its end, excluded; may lie after [`Report::made`].
    pub to: Instant,
    /// What the buckets are.
    pub by: By,
    /// What is shown of both directions.
    pub direction: Direction,
    /// The range divided, in the order of time: the first starts at `from`, the last ends at `to`, none is left out.
    pub buckets: Vec<Bucket>,
    /// What is known of each subject in the range, those that used most first.
    pub rows: Vec<Row>,
    /// The sum of all rows but those that are a part of another, for the range and by bucket.
    pub whole: Used,
    /// As the rows'.
    pub cells: Vec<Option<Used>>,
    /// How the quotas of these subjects stand now.
    pub quotas: Vec<Bar>,
    /// What was done and told in the range, in the order of time.
    pub events: Vec<Logged>,
    /// The machines' names by instance, where there are several.
    pub hosts: Vec<(String, String)>,
    /// What was chosen of all there is: another machine, a single subject, a quota.
    pub chosen: Vec<String>,
}

/// A span of time between two edges of local hours, days or months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Its start.
    pub from: Instant,
    /// Its end, excluded.
    pub to: Instant,
}

/// How long the buckets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Five minutes.
    FiveMinutes,
    /// Local hours.
    Hour,
    /// Local days: 23, 24 or 25 hours.
    Day,
    /// Local months.
    Month,
}

/// Which direction is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Sent.
    Out,
    /// Received.
    In,
    /// Both, and their sum.
    Both,
}

impl Direction {
    /// The bytes it looks at.
    pub fn of(self, flow: Counters) -> u64 {
        match self {
            Self::Out => flow.tx,
            Self::In => flow.rx,
            Self::Both => Count::Sum.of(flow),
        }
    }
}

/// What one subject used.
#[derive(Debug)]
pub struct Row {
    /// The machine that metered it, where the report is about several.
    pub host: Option<String>,
    /// The source's name.
    pub source: String,
    /// The subject's name.
    pub subject: String,
    /// A friendlier name: a guest's, a quota's label; empty without one.
    pub label: String,
    /// Whether its traffic is a part of another row's: a NIC of a guest.
    pub part: bool,
    /// In the whole range.
    pub used: Used,
    /// By bucket, as many as there are; none where nothing is known.
    pub cells: Vec<Option<Used>>,
}

/// Bytes of a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// How many.
    pub flow: Counters,
    /// Bytes at one of its ends were divided by time, over more than ten minutes.
    pub estimated: bool,
    /// Of a part of the span nothing is known: it was not metered yet, or deleted. What is to come is no such part.
    pub partial: bool,
}

/// How a quota stands.
#[derive(Debug)]
pub struct Bar {
    /// The quota's name.
    pub quota: String,
    /// Its friendlier name.
    pub label: Option<String>,
    /// The source's name.
    pub source: String,
    /// The subject's name.
    pub subject: String,
    /// The guest's name.
    pub name: Option<String>,
    /// What counts.
    pub count: Count,
    /// Bytes used in the period, calibrated.
    pub used: u64,
    /// Bytes of the period.
    pub allowance: u64,
    /// The unit it is written in.
    pub unit: Unit,
    /// Used of the allowance, as it is printed: "79.99".
    pub percent: String,
    /// The period.
    pub period: Period,
    /// Where its times are local.
    pub zone: Zone,
    /// Its tiers' names and how many used bytes reach them, the lowest first; those that go by time have none.
    pub tiers: Vec<(String, u64)>,
    /// The name of the highest tier reached.
    pub tier: Option<String>,
    /// Bytes used at the period's end, if it goes on so.
    pub at_end: Option<u64>,
    /// When the allowance is used up, if it goes on so and that is before the period's end.
    pub exhausted_at: Option<Instant>,
    /// When the figure was read.
    pub as_of: Instant,
    /// The figure is old.
    pub stale: bool,
    /// A part of it was divided by time.
    pub estimated: bool,
}

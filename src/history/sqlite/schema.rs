//! The tables, and how they came about.
//!
//! Invariant: version N is what the first N steps make; a step that was ever released is never changed.
//!
//! To change the tables: a step at the end of [`STEPS`].
//!
//! Why no rowid in the samples: their key is all they are looked for by, and a year of a thousand subjects has six
//! million of them. Why machines and moments have numbers: the same reason.

/// The steps, the oldest first.
pub const STEPS: [&str; 2] = [METERING, EVENTS];

/// From this version on there are events.
pub const WITH_EVENTS: usize = 2;

/// Version 1: what was metered. Times are milliseconds since 1970; a grain is 0 for a sample, 1 for an hour's and 2 for
/// a day's edge; a key is the bits of an unsigned number; a spread is the seconds, NULL for none, -1 after a hole.
const METERING: &str = "\
CREATE TABLE netquota_instances (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL
);
CREATE TABLE netquota_series (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL,
    subject_key INTEGER NOT NULL,
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    label TEXT NOT NULL,
    part_of TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    UNIQUE (instance, subject_key)
);
CREATE TABLE netquota_moments (
    id INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL,
    at INTEGER NOT NULL,
    grain INTEGER NOT NULL,
    UNIQUE (instance, at)
);
CREATE INDEX netquota_moments_by_grain ON netquota_moments (instance, grain, at);
CREATE TABLE netquota_samples (
    moment INTEGER NOT NULL,
    series INTEGER NOT NULL,
    rx INTEGER NOT NULL,
    tx INTEGER NOT NULL,
    spread INTEGER,
    PRIMARY KEY (moment, series)
) WITHOUT ROWID;
";

/// Version 2: what was done and told.
const EVENTS: &str = "\
CREATE TABLE netquota_events (
    instance INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    subject TEXT NOT NULL,
    quota TEXT NOT NULL,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (instance, number)
) WITHOUT ROWID;
CREATE INDEX netquota_events_by_time ON netquota_events (at);
";

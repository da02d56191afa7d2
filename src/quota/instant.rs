//! A point in time, to the millisecond, without a zone.
//!
//! Stored and printed as RFC 3339. Whole milliseconds keep arithmetic exact and the state file short.

use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// The first and last milliseconds of the years 1 to 9999, UTC.
const FIRST: i64 = -62_135_596_800_000;
const LAST: i64 = 253_402_300_799_999;
/// No offset is larger, so this far from the ends every local time is one of the calendar.
const MARGIN: i64 = 26 * 3_600_000;

/// The form of a `Date` header every server must send (RFC 9110, IMF-fixdate).
pub const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(i64);

impl Instant {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// From RFC 3339 text, for example `2026-11-21T09:00:00+08:00`; none outside the years 1 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let millis = at.unix_timestamp_nanos().div_euclid(1_000_000) as i64;
        (FIRST..=LAST).contains(&millis).then_some(Self(millis))
    }

    /// From a date of HTTP headers, for example `Sun, 06 Nov 1994 08:49:37 GMT`; the two obsolete forms are not read.
    pub fn parse_http(text: &str) -> Option<Self> {
        let date = PrimitiveDateTime::parse(text, HTTP_DATE).ok()?.assume_offset(UtcOffset::UTC);
        Some(Self(date.unix_timestamp().checked_mul(1000)?))
    }

    /// The time passed since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// This instant moved forward.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant moved back.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The calendar date and time at an offset from UTC; instants beyond the years the calendar knows are clamped.
    pub fn at_offset(self, offset: UtcOffset) -> OffsetDateTime {
        let (first, last) = if offset.is_utc() { (FIRST, LAST) } else { (FIRST + MARGIN, LAST - MARGIN) };
        let nanos = i128::from(self.0.clamp(first, last)) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(offset)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.at_offset(UtcOffset::UTC).format(&Rfc3339).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("not an RFC 3339 time: {text:?}")))
    }
}

/// Instants of somebody else's, as the seconds since the epoch in which he tells them.
pub mod epoch {
    use super::Instant;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(at: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(|at| at.millis() / 1000).serialize(serializer)
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Instant>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(|seconds| Instant::from_millis(seconds.saturating_mul(1000))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_milliseconds_are_the_same_instant() {
        for text in
            ["2026-11-21T09:00:00Z", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"]
        {
            assert_eq!(Instant::parse(text).map(|at| at.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Instant::parse("2026-11-21T09:00:00+08:00"), Instant::parse("2026-11-21T01:00:00Z"));
        assert_eq!(Instant::parse("1969-12-31T23:59:59.9995Z").map(Instant::millis), Some(-1));
    }

    #[test]
    fn dates_of_servers() {
        let at = |text| Instant::parse_http(text).map(|at| at.to_string());
        assert_eq!(at("Sun, 06 Nov 1994 08:49:37 GMT").as_deref(), Some("1994-11-06T08:49:37Z"));
        for text in ["", "Sun, 06 Nov 1994 08:49:37 CET", "1994-11-06T08:49:37Z", "Sun, 31 Feb 2026 08:49:37 GMT"] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn what_the_calendar_does_not_hold_is_refused_or_clamped() {
        for text in ["", "2026-11-21", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+08:00"] {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
        let east = time::macros::offset!(+14);
        assert_eq!(Instant::from_millis(i64::MAX).at_offset(east).year(), 9999);
        assert_eq!(Instant::from_millis(i64::MIN).at_offset(east).year(), 1);
        assert_eq!(Instant::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn time_passed_never_is_negative() {
        let (a, b) = (Instant::from_millis(1000), Instant::from_millis(3500));
        assert_eq!(b.since(a), Duration::from_millis(2500));
        assert_eq!(a.since(b), Duration::ZERO);
        assert_eq!(a.plus(Duration::from_millis(2500)), b);
        assert_eq!(b.minus(Duration::from_millis(2500)), a);
    }
}

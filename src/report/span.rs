//! Which time a report is about, from what was typed, and how it is divided.
//!
//! Edges are those of the local calendar: a day has 23, 24 or 25 hours, a week begins on Monday.

use std::time::Duration;

use time::{Date, Month, PrimitiveDateTime, Time, Weekday};

use super::model::{Bucket, By};
use crate::quota::instant::Instant;
use crate::quota::period::{Cycle, Period, Rule, ShortMonth};
use crate::quota::zone::Zone;

/// A period of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Named {
    /// From one full hour to the next
    Hour,
    /// From midnight to midnight
    Day,
    /// From Monday
    Week,
    /// From the first
    Month,
    /// From January 1st
    Year,
}

impl Named {
    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The rule by which its edges lie in a zone.
    pub fn rule(self, zone: &Zone) -> Rule {
        let cycle = match self {
            Self::Hour => Cycle::Hour,
            Self::Day => Cycle::Day,
            Self::Week => Cycle::Week { weekday: Weekday::Monday },
            Self::Month => Cycle::Month { day: 1 },
            Self::Year => Cycle::Year { month: 1, day: 1 },
        };
        let short_month = ShortMonth::LastDay;
        Rule { cycle, at: Time::MIDNIGHT, zone: zone.clone(), short_month, since_creation: false }
    }
}

/// A time as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// `2026`.
    Year(i32),
    /// `2026-11`.
    Month(i32, Month),
    /// `2026-11-21`.
    Day(Date),
    /// `2026-11-21 14:30`, in the report's zone.
    Local(PrimitiveDateTime),
    /// With an offset of its own.
    Exact(Instant),
}

impl When {
    /// Reads a date or a time.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(at) = Instant::parse(text) {
            return Ok(Self::Exact(at));
        }
        let (date, time) = match text.split_once([' ', 'T']) {
            Some((date, time)) => (date, Some(time.trim())),
            None => (text, None),
        };
        let strange = || format!("{text:?} is no date: write for example 2026-11-21, \"2026-11-21 14:30\" or 2026-11");
        let numbers: Option<Vec<u32>> = date.split('-').map(number).collect();
        let when = match numbers.ok_or_else(strange)?[..] {
            [year] if date.len() == 4 => Self::Year(whole_year(year, text)?),
            [year, month] => Self::Month(whole_year(year, text)?, whole_month(month, text)?),
            [year, month, day] => Self::Day(whole_date(year, month, day, text)?),
            _ => return Err(strange()),
        };
        match (when, time) {
            (when, None) => Ok(when),
            (Self::Day(date), Some(time)) => {
                let no_time = || format!("{text:?}: {time:?} is no time of day: write for example 14:30");
                Ok(Self::Local(PrimitiveDateTime::new(date, clock(time).ok_or_else(no_time)?)))
            }
            _ => Err(strange()),
        }
    }

    /// Its first instant.
    pub fn start(self, zone: &Zone) -> Instant {
        let midnight =
            |date: Option<Date>| zone.instant(PrimitiveDateTime::new(date.unwrap_or(Date::MIN), Time::MIDNIGHT));
        match self {
            Self::Year(year) => midnight(Date::from_calendar_date(year, Month::January, 1).ok()),
            Self::Month(year, month) => midnight(Date::from_calendar_date(year, month, 1).ok()),
            Self::Day(date) => midnight(Some(date)),
            Self::Local(local) => zone.instant(local),
            Self::Exact(at) => at,
        }
    }

    /// The first instant after it: of a date the next midnight, of a time itself.
    pub fn end(self, zone: &Zone) -> Instant {
        let unit = match self {
            Self::Year(_) => Named::Year,
            Self::Month(..) => Named::Month,
            Self::Day(_) => Named::Day,
            Self::Local(_) | Self::Exact(_) => return self.start(zone),
        };
        let start = self.start(zone);
        unit.rule(zone).period(start).end.unwrap_or(start)
    }

    /// An instant of the period it names: its last, so that a period that begins in the course of a day is that day's.
    fn inside(self, zone: &Zone) -> Instant {
        match self {
            Self::Local(_) | Self::Exact(_) => self.start(zone),
            Self::Year(_) | Self::Month(..) | Self::Day(_) => self.end(zone).minus(Duration::from_millis(1)),
        }
    }

    /// Whether it says in which period of this kind it lies.
    fn tells(self, named: Named) -> bool {
        match self {
            Self::Year(_) => named == Named::Year,
            Self::Month(..) => matches!(named, Named::Year | Named::Month),
            Self::Day(_) => named != Named::Hour,
            Self::Local(_) | Self::Exact(_) => true,
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn whole_year(year: u32, text: &str) -> Result<i32, String> {
    let year = i32::try_from(year).ok().filter(|year| (1970..=9998).contains(year));
    year.ok_or_else(|| format!("{text}: a year from 1970 to 9998 is expected"))
}

fn whole_month(month: u32, text: &str) -> Result<Month, String> {
    let month = u8::try_from(month).ok().and_then(|month| Month::try_from(month).ok());
    month.ok_or_else(|| format!("{text}: a year has 12 months"))
}

fn whole_date(year: u32, month: u32, day: u32, text: &str) -> Result<Date, String> {
    let (year, month) = (whole_year(year, text)?, whole_month(month, text)?);
    let date = u8::try_from(day).ok().and_then(|day| Date::from_calendar_date(year, month, day).ok());
    date.ok_or_else(|| format!("{text}: {month} {year} has {} days", month.length(year)))
}

fn clock(text: &str) -> Option<Time> {
    let parts: Option<Vec<u32>> = text.split(':').map(number).collect();
    let part = |value: u32| u8::try_from(value).ok();
    match parts?[..] {
        [hour, minute] => Time::from_hms(part(hour)?, part(minute)?, 0).ok(),
        [hour, minute, second] => Time::from_hms(part(hour)?, part(minute)?, part(second)?).ok(),
        _ => None,
    }
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// `--period`.
    pub period: Option<Named>,
    /// `--date`.
    pub date: Option<When>,
    /// `--from`.
    pub from: Option<When>,
    /// `--to`.
    pub to: Option<When>,
    /// `--by`.
    pub by: Option<By>,
}

/// A time, divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub from: Instant,
    /// Its end, excluded.
    pub to: Instant,
    /// What the buckets are.
    pub by: By,
    /// In the order of time, without gaps.
    pub buckets: Vec<Bucket>,
}

/// More buckets than that nobody reads.
const BUCKETS: usize = 10_000;
const MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Wish {
    /// The span asked for; `billing` tells the period of a quota that an instant lies in.
    pub fn span(
        &self,
        zone: &Zone,
        now: Instant,
        billing: Option<&dyn Fn(Option<Instant>) -> Result<Period, String>>,
    ) -> Result<Span, String> {
        let (from, to) = self.range(zone, now, billing)?;
        if from >= to {
            return Err(self.upside_down(zone, now));
        }
        let by = self.by.unwrap_or_else(|| self.usual(from, to));
        Ok(Span { from, to, by, buckets: divide(zone, from, to, by)? })
    }

    fn range(
        &self,
        zone: &Zone,
        now: Instant,
        billing: Option<&dyn Fn(Option<Instant>) -> Result<Period, String>>,
    ) -> Result<(Instant, Instant), String> {
        match (self.period, self.from, self.to, billing) {
            (None, None, Some(_), _) => Err("--to needs --from: since when?".into()),
            (_, Some(from), to, _) => Ok((from.start(zone), to.map_or(now, |to| to.end(zone)))),
            (None, None, None, Some(billing)) => {
                let period = billing(self.date.map(|date| date.inside(zone)))?;
                Ok((period.start, period.end.unwrap_or(now)))
            }
            (named, None, _, _) => {
                let named = named.unwrap_or(Named::Month);
                if let Some(date) = self.date.filter(|date| !date.tells(named)) {
                    return Err(too_coarse(date, named));
                }
                let period = named.rule(zone).period(self.date.map_or(now, |date| date.inside(zone)));
                Ok((period.start, period.end.unwrap_or(now)))
            }
        }
    }

    fn upside_down(&self, zone: &Zone, now: Instant) -> String {
        match self.to {
            None if self.from.is_some_and(|from| from.start(zone) >= now) => "--from: it is in the future".into(),
            _ => "--from is not before --to".into(),
        }
    }

    fn usual(&self, from: Instant, to: Instant) -> By {
        match (self.period, to.since(from)) {
            (Some(Named::Hour), _) => By::FiveMinutes,
            (Some(Named::Day), _) => By::Hour,
            (Some(Named::Week | Named::Month), _) => By::Day,
            (Some(Named::Year), _) => By::Month,
            (None, length) if length <= HOUR * 3 => By::FiveMinutes,
            // One of the days may have 25 hours.
            (None, length) if length <= DAY * 3 + HOUR => By::Hour,
            (None, length) if length <= DAY * 92 + HOUR => By::Day,
            (None, _) => By::Month,
        }
    }
}

fn too_coarse(date: When, named: Named) -> String {
    let hint = match (named, date) {
        (Named::Hour, _) => "write the time, too: \"2026-11-21 14:00\"",
        (_, When::Year(_)) => "write the month, too: 2026-11, or use --period year",
        _ => "write the day, too: 2026-11-21",
    };
    format!("--date does not say which {}: {hint}", named.name())
}

/// The buckets from one instant to another.
pub fn divide(zone: &Zone, from: Instant, to: Instant, by: By) -> Result<Vec<Bucket>, String> {
    let named = match by {
        By::FiveMinutes => None,
        By::Hour => Some(Named::Hour),
        By::Day => Some(Named::Day),
        By::Month => Some(Named::Month),
    };
    let rule = named.map(|named| named.rule(zone));
    let next = |at: Instant| match &rule {
        Some(rule) => rule.period(at).end.unwrap_or(to),
        None => at.plus(MINUTES - Duration::from_millis(at.millis().rem_euclid(MINUTES.as_millis() as i64) as u64)),
    };
    let mut buckets = Vec::new();
    let mut at = from;
    while at < to {
        if buckets.len() == BUCKETS {
            return Err(format!("that would be more than {BUCKETS} lines: use longer buckets with --by, or less time"));
        }
        let end = next(at).min(to);
        buckets.push(Bucket { from: at, to: end });
        at = end;
    }
    Ok(buckets)
}

/// Whether an instant is an edge of hours, days or months of a zone.
pub fn on_edge(zone: &Zone, at: Instant, by: By) -> bool {
    let named = match by {
        By::FiveMinutes => return at.millis().rem_euclid(MINUTES.as_millis() as i64) == 0,
        By::Hour => Named::Hour,
        By::Day => Named::Day,
        By::Month => Named::Month,
    };
    named.rule(zone).period(at).start == at
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn berlin() -> Zone {
        Zone::named("Europe/Berlin").unwrap()
    }

    fn when(text: &str) -> Option<When> {
        Some(When::parse(text).unwrap())
    }

    /// The local ends of a span, and its buckets.
    fn local(wish: &Wish, now: &str) -> (String, String, By, usize) {
        let zone = berlin();
        let span = wish.span(&zone, at(now), None).unwrap();
        assert_eq!(span.buckets.first().map(|bucket| bucket.from), Some(span.from));
        assert_eq!(span.buckets.last().map(|bucket| bucket.to), Some(span.to));
        assert!(span.buckets.windows(2).all(|pair| pair[0].to == pair[1].from));
        let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]");
        let text = |at| zone.local(at).format(format).unwrap();
        (text(span.from), text(span.to), span.by, span.buckets.len())
    }

    #[test]
    fn what_is_no_date_is_told_why() {
        let error = |text: &str| When::parse(text).unwrap_err();
        assert_eq!(error("2026-02-30"), "2026-02-30: February 2026 has 28 days");
        assert_eq!(error("2024-02-30 10:00"), "2024-02-30 10:00: February 2024 has 29 days");
        assert_eq!(error("2026-13"), "2026-13: a year has 12 months");
        assert_eq!(error("2026-11-00"), "2026-11-00: November 2026 has 30 days");
        assert!(error("2026-11-21 25:00").contains("\"25:00\" is no time of day"));
        for strange in ["", "yesterday", "21.11.2026", "2026-11-21-1", "26", "2026-1x", "+2026", "２０２６"] {
            assert!(error(strange).contains("is no date: write for example"), "{strange}: {}", error(strange));
        }
        assert!(error("0001-01-01").contains("a year from 1970"));
    }

    #[test]
    fn a_period_is_the_one_that_runs_or_that_a_date_lies_in() {
        let of = |period, date| Wish { period: Some(period), date, ..Wish::default() };
        let now = "2026-11-21T13:30:00Z";
        let is = |from: &str, to: &str, by, count| (from.to_owned(), to.to_owned(), by, count);
        assert_eq!(local(&of(Named::Hour, None), now), is("2026-11-21 14:00", "2026-11-21 15:00", By::FiveMinutes, 12));
        assert_eq!(local(&of(Named::Day, None), now), is("2026-11-21 00:00", "2026-11-22 00:00", By::Hour, 24));
        assert_eq!(local(&of(Named::Week, None), now), is("2026-11-16 00:00", "2026-11-23 00:00", By::Day, 7));
        assert_eq!(local(&Wish::default(), now), is("2026-11-01 00:00", "2026-12-01 00:00", By::Day, 30));
        let year = of(Named::Year, when("2025"));
        assert_eq!(local(&year, now), is("2025-01-01 00:00", "2026-01-01 00:00", By::Month, 12));
        let month = of(Named::Month, when("2026-02"));
        assert_eq!(local(&month, now), is("2026-02-01 00:00", "2026-03-01 00:00", By::Day, 28));
    }

    #[test]
    fn days_of_23_and_25_hours() {
        let hours = |date: &str| {
            let wish = Wish { period: Some(Named::Day), date: when(date), ..Wish::default() };
            local(&wish, "2026-11-21T13:30:00Z").3
        };
        assert_eq!((hours("2026-03-29"), hours("2026-03-30"), hours("2026-10-25")), (23, 24, 25));
        let week = Wish { period: Some(Named::Week), date: when("2026-10-25"), ..Wish::default() };
        let span = week.span(&berlin(), at("2026-11-21T13:30:00Z"), None).unwrap();
        let hours: Vec<u64> = span.buckets.iter().map(|day| day.to.since(day.from).as_secs() / 3600).collect();
        assert_eq!(hours, [24, 24, 24, 24, 24, 24, 25]);
    }

    #[test]
    fn dates_include_their_last_day_and_times_are_exact() {
        let of = |from, to| Wish { from: when(from), to, ..Wish::default() };
        let now = "2026-11-21T13:30:00Z";
        let dates = of("2026-11-01", when("2026-11-30"));
        let whole = Wish { period: Some(Named::Month), ..Wish::default() };
        assert_eq!(local(&dates, now), local(&whole, now));
        assert_eq!(local(&of("2026-11", when("2026-11")), now), local(&whole, now));
        let times = of("2026-11-21 10:03", when("2026-11-21T11:08:00Z"));
        assert_eq!(local(&times, now), ("2026-11-21 10:03".into(), "2026-11-21 12:08".into(), By::FiveMinutes, 26));
        assert_eq!(local(&of("2026-11-20", None), now).1, "2026-11-21 14:30");
        assert_eq!(local(&of("2026-11-20", None), now).2, By::Hour);
        assert_eq!(local(&of("2026-01-01", None), now).2, By::Month);
    }

    #[test]
    fn what_is_no_span_is_told_why() {
        let error = |wish: Wish| wish.span(&berlin(), at("2026-11-21T13:30:00Z"), None).unwrap_err();
        let of = |from: &str, to: &str| Wish { from: when(from), to: when(to), ..Wish::default() };
        assert_eq!(error(of("2026-11-21", "2026-11-20")), "--from is not before --to");
        assert_eq!(error(of("2026-11-21 10:00", "2026-11-21 10:00")), "--from is not before --to");
        assert_eq!(error(Wish { from: when("2027-01-01"), ..Wish::default() }), "--from: it is in the future");
        assert_eq!(error(Wish { to: when("2027-01-01"), ..Wish::default() }), "--to needs --from: since when?");
        let coarse = Wish { period: Some(Named::Hour), date: when("2026-11-21"), ..Wish::default() };
        assert!(error(coarse).starts_with("--date does not say which hour: write the time, too"));
        assert!(error(Wish { date: when("2026"), ..Wish::default() }).contains("which month"));
        let long = Wish { by: Some(By::Hour), ..of("2020-01-01", "2026-01-01") };
        assert!(error(long).contains("more than 10000 lines"));
    }

    #[test]
    fn a_quotas_own_period_is_the_one_asked_for_without_another() {
        let zone = berlin();
        let rule =
            Rule { cycle: Cycle::Month { day: 21 }, at: Time::from_hms(8, 0, 0).unwrap(), ..Named::Day.rule(&zone) };
        let now = at("2026-11-25T00:00:00Z");
        let billing = |at: Option<Instant>| Ok(rule.period(at.unwrap_or(now)));
        let span = Wish::default().span(&zone, now, Some(&billing)).unwrap();
        assert_eq!((span.from, span.to), (at("2026-11-21T07:00:00Z"), at("2026-12-21T07:00:00Z")));
        assert_eq!((span.by, span.buckets.len()), (By::Day, 31));
        let that_day = Wish { date: when("2026-10-21"), ..Wish::default() };
        assert_eq!(that_day.span(&zone, now, Some(&billing)).unwrap().from, at("2026-10-21T06:00:00Z"));
        let named = Wish { period: Some(Named::Month), ..Wish::default() };
        assert_eq!(named.span(&zone, now, Some(&billing)).unwrap().from, at("2026-10-31T23:00:00Z"));
    }
}

//! Billing periods: from an instant and a reset rule to the period the instant lies in.
//!
//! The periods of one rule partition time: each ends where the next one starts, and none is empty.
//!
//! Why: a calendar rule is a grid of dates, numbered through, whose edges in time never go backwards (see
//! [`Zone::instant`]). The period of an instant lies between the last edge not after it and the first edge after it.
//! That definition alone gives the partition; edges that a gap moves onto one instant drop out by themselves.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use time::{Date, Month, PrimitiveDateTime, Time, Weekday};

use super::instant::Instant;
use super::zone::{FIRST, LAST, Zone};

const HOUR_MILLIS: i64 = 3_600_000;

/// The day numbers `time` has dates for.
const FIRST_DAY: i64 = Date::MIN.to_julian_day() as i64;
const LAST_DAY: i64 = Date::MAX.to_julian_day() as i64;

/// The month numbers, counted from January of year 0, `time` has dates for.
const FIRST_MONTH: i64 = -9999 * 12;
const LAST_MONTH: i64 = 9999 * 12 + 11;

/// How often a quota starts anew.
///
/// A `day` is 1 to 31, or negative from the month's end: -1 is its last day; one before the month's start is its
/// first day. 0 is taken as 1, a month outside 1 to 12 as the nearest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cycle {
    /// At each full local hour, moved by the minutes and seconds of the rule's time.
    Hour,
    /// Each day.
    Day,
    /// Each week.
    Week {
        /// The day it starts on.
        weekday: Weekday,
    },
    /// Each month.
    Month {
        /// The day it starts on.
        day: i8,
    },
    /// Each three months.
    Quarter {
        /// One of the four months it starts in.
        month: u8,
        /// The day it starts on.
        day: i8,
    },
    /// Each year.
    Year {
        /// The month it starts in.
        month: u8,
        /// The day it starts on.
        day: i8,
    },
    /// Each so many days of the local calendar, counted from a date in both directions.
    Every {
        /// The length; 0 is taken as 1.
        days: u32,
        /// A date on which one starts.
        from: Date,
    },
    /// Never: all time is one period.
    Never,
    /// When the provider says so: its answers bring the periods, and [`Rule::period`] knows none.
    Provider,
}

impl Cycle {
    /// The kind's name, for outputs; `days` stands for [`Cycle::Every`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week { .. } => "week",
            Self::Month { .. } => "month",
            Self::Quarter { .. } => "quarter",
            Self::Year { .. } => "year",
            Self::Every { .. } => "days",
            Self::Never => "never",
            Self::Provider => "provider",
        }
    }
}

/// What stands in for a day that a month does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortMonth {
    /// The month's last day.
    LastDay,
    /// The first day of the next month.
    NextDay,
}

/// When a quota starts anew.
#[derive(Debug, Clone)]
pub struct Rule {
    /// How often.
    pub cycle: Cycle,
    /// The local time of day; fractions of a second are dropped.
    pub at: Time,
    /// Where it is that time.
    pub zone: Zone,
    /// For months, quarters and years.
    pub short_month: ShortMonth,
    /// Whether the subject's own creation says on which day, in place of the cycle.
    pub since_creation: bool,
}

/// One billing cycle: from its start, included, to its end, excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first instant; the epoch for [`Cycle::Never`].
    pub start: Instant,
    /// The first instant of the next period; none when there is no next one: for [`Cycle::Never`], and where the
    /// calendar ends in the year 9999.
    pub end: Option<Instant>,
}

impl Period {
    /// Whether the instant lies in this period.
    pub fn contains(&self, at: Instant) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }
}

impl Rule {
    /// Whether the periods are the provider's.
    pub fn is_provider(&self) -> bool {
        self.cycle == Cycle::Provider
    }

    /// The rule of a subject that was made then; none where that has to be known and is not.
    pub fn of(&self, created: Option<Instant>) -> Option<Cow<'_, Self>> {
        if !self.since_creation {
            return Some(Cow::Borrowed(self));
        }
        let date = self.zone.local(created?).date();
        let (month, day) = (date.month().into(), date.day() as i8);
        let cycle = match self.cycle {
            Cycle::Week { .. } => Cycle::Week { weekday: date.weekday() },
            Cycle::Month { .. } => Cycle::Month { day },
            Cycle::Quarter { .. } => Cycle::Quarter { month, day },
            Cycle::Year { .. } => Cycle::Year { month, day },
            Cycle::Every { days, .. } => Cycle::Every { days, from: date },
            cycle => cycle,
        };
        Some(Cow::Owned(Self { cycle, since_creation: false, ..self.clone() }))
    }

    /// The period an instant lies in. Instants outside the years 1 to 9999 count as their edge.
    pub fn period(&self, at: Instant) -> Period {
        let at = at.clamp(FIRST, LAST);
        let (start, end) = match Edges::of(self) {
            Edges::Never => return Period { start: Instant::from_millis(0), end: None },
            Edges::Hours => (self.hour_start(at), self.hour_end(at)),
            Edges::Dates(grid) => self.around(grid, at),
        };
        Period { start: start.max(FIRST), end: (end <= LAST).then_some(end) }
    }

    /// Short text of all that decides where the periods lie, for example
    /// `month day=31 at=00:00 zone=Asia/Shanghai short=last-day`. Rules that are only written differently, such as a
    /// month from its day -1 or from its day 31 or else its last, have the same text.
    pub fn key(&self) -> String {
        if self.since_creation {
            let short = if self.short_month == ShortMonth::NextDay { " short=next-day" } else { "" };
            let (name, zone) = (self.cycle.name(), self.zone.name());
            let days = if let Cycle::Every { days, .. } = self.cycle { format!("{days} ") } else { String::new() };
            return format!("{days}{name} since=creation at={} zone={zone}{short}", self.time_text());
        }
        let (grid, short) = match Edges::of(self) {
            Edges::Never => return self.cycle.name().to_owned(),
            Edges::Hours => ("hour".to_owned(), ""),
            Edges::Dates(grid) => (grid.text(), grid.short_text()),
        };
        format!("{grid} at={} zone={}{short}", self.time_text(), self.zone.name())
    }

    /// The time of day as far as it matters, as `HH:MM` or `HH:MM:SS`.
    fn time_text(&self) -> String {
        let (hour, minute, second) = self.at.as_hms();
        let hour = if self.cycle == Cycle::Hour { 0 } else { hour };
        let seconds = if second == 0 { String::new() } else { format!(":{second:02}") };
        format!("{hour:02}:{minute:02}{seconds}")
    }

    /// The last edge not after `at`, and the first edge after it.
    fn around(&self, grid: Grid, at: Instant) -> (Instant, Instant) {
        // Right but for dates that lie later in their month or in the next one: a step or two away.
        let mut number = grid.number(self.zone.local(at).date());
        let mut start = self.edge(grid, number);
        let mut end = self.edge(grid, number + 1);
        while start > at {
            number -= 1;
            (start, end) = (self.edge(grid, number), start);
        }
        while end <= at {
            number += 1;
            (start, end) = (end, self.edge(grid, number + 1));
        }
        (start, end)
    }

    fn edge(&self, grid: Grid, number: i64) -> Instant {
        let at = self.at.truncate_to_second();
        self.zone.instant(PrimitiveDateTime::new(grid.date(number), at))
    }

    /// The last edge not after `at`, where edges are the instants whose local time, by the offset then in force, is
    /// the rule's minute of the hour. So each hour is an hour, even in one that a change of offset repeats or skips;
    /// only changes by other than whole hours make one longer or shorter.
    fn hour_start(&self, at: Instant) -> Instant {
        let start = self.hour_floor(at, at);
        if self.zone.offset(start) == self.zone.offset(at) {
            return start;
        }
        // The offset changed since, and no edge has come after that: the last one is by the offset before.
        let last = self.hour_floor(at, start);
        if self.zone.offset(last) == self.zone.offset(start) { last } else { hours_later(last, -1) }
    }

    /// The first edge after `at`.
    fn hour_end(&self, at: Instant) -> Instant {
        let end = hours_later(self.hour_floor(at, at), 1);
        if self.zone.offset(end) == self.zone.offset(at) {
            return end;
        }
        // The offset changes before: the next edge is the first by the new offset.
        let next = hours_later(self.hour_floor(at, end), 1);
        if self.zone.offset(next) == self.zone.offset(end) { next } else { hours_later(next, 1) }
    }

    /// The last time not after `at` at which the rule's minute of the hour would be, were the offset always the one
    /// in force at `then`.
    fn hour_floor(&self, at: Instant, then: Instant) -> Instant {
        let (_, minute, second) = self.at.as_hms();
        let shift = i64::from(self.zone.offset(then).whole_seconds()) - i64::from(minute) * 60 - i64::from(second);
        Instant::from_millis(at.millis() - (at.millis() + shift * 1000).rem_euclid(HOUR_MILLIS))
    }
}

/// Where a rule's periods meet, in the one form that equal rules share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edges {
    Never,
    Hours,
    Dates(Grid),
}

impl Edges {
    fn of(rule: &Rule) -> Self {
        let months = |step, month, day| Self::Dates(Grid::months(step, month, day, rule.short_month));
        match rule.cycle {
            Cycle::Never | Cycle::Provider => Self::Never,
            Cycle::Hour => Self::Hours,
            Cycle::Day => Self::Dates(Grid::days(1, 0)),
            // Day number 0 was a Monday.
            Cycle::Week { weekday } => Self::Dates(Grid::days(7, weekday.number_days_from_monday().into())),
            Cycle::Every { days, from } => Self::Dates(Grid::days(days.max(1).into(), from.to_julian_day().into())),
            Cycle::Month { day } => months(1, 1, day),
            Cycle::Quarter { month, day } => months(3, month, day),
            Cycle::Year { month, day } => months(12, month, day),
        }
    }
}

/// The dates of a rule, numbered through: a later number never has an earlier date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grid {
    /// Each `step` days, on the days whose number leaves the rest `phase`.
    Days { step: i64, phase: i64 },
    /// Each `step` months, in the months whose number leaves the rest `phase`.
    Months { step: i64, phase: i64, day: MonthDay },
}

impl Grid {
    fn days(step: i64, first: i64) -> Self {
        Self::Days { step, phase: first.rem_euclid(step) }
    }

    fn months(step: i64, month: u8, day: i8, short: ShortMonth) -> Self {
        let day = day.clamp(-31, 31);
        let phase = (i64::from(month.clamp(1, 12)) - 1) % step;
        // A leap year, the year 0, and a common one hold every length the months of this grid can have.
        let lengths = (0..2 * 12 / step).map(|number| month_of(number * step + phase).1);
        let shortest = lengths.clone().min().unwrap_or(28);
        let longest = lengths.max().unwrap_or(31);
        if short == ShortMonth::NextDay && day > 0 && day.unsigned_abs() > longest {
            // No year has it: always the first of the next month, which December with its 31 days never meets.
            return Self::Months { step, phase: phase + 1, day: MonthDay::FromStart(1) };
        }
        Self::Months { step, phase, day: MonthDay::of(day, short, shortest, longest) }
    }

    /// The number whose date is about this one.
    fn number(self, date: Date) -> i64 {
        match self {
            Self::Days { step, phase } => (i64::from(date.to_julian_day()) - phase).div_euclid(step),
            Self::Months { step, phase, .. } => {
                let month = i64::from(date.year()) * 12 + i64::from(u8::from(date.month())) - 1;
                (month - phase).div_euclid(step)
            }
        }
    }

    /// The date of a number; the calendar's first or last date beyond its ends.
    fn date(self, number: i64) -> Date {
        match self {
            Self::Days { step, phase } => {
                let day = (number * step + phase).clamp(FIRST_DAY, LAST_DAY);
                Date::from_julian_day(day as i32).unwrap_or(Date::MIN)
            }
            Self::Months { step, phase, day } => {
                let month = number * step + phase;
                if month > LAST_MONTH { Date::MAX } else { day.date(month.max(FIRST_MONTH)) }
            }
        }
    }

    fn text(self) -> String {
        match self {
            Self::Days { step: 1, .. } => "day".to_owned(),
            Self::Days { step: 7, phase } => format!("week weekday={}", weekday_name(phase)),
            Self::Days { step, phase } => format!("every days={step} phase={phase}"),
            Self::Months { step: 1, day, .. } => format!("month day={}", day.number()),
            Self::Months { step: 3, phase, day } => format!("quarter month={} day={}", phase + 1, day.number()),
            Self::Months { phase, day, .. } => format!("year month={} day={}", phase + 1, day.number()),
        }
    }

    /// The rule for short months, when it matters.
    fn short_text(self) -> &'static str {
        match self {
            Self::Months { day: MonthDay::OrLast(_), .. } => " short=last-day",
            Self::Months { day: MonthDay::OrNext(_), .. } => " short=next-day",
            _ => "",
        }
    }
}

/// A day of the months of a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MonthDay {
    /// One that each of the months has.
    FromStart(u8),
    /// Counted back from the last day, which is 1; the first day when the month is too short.
    FromEnd(u8),
    /// This one, or the month's last.
    OrLast(u8),
    /// This one, or the first of the next month.
    OrNext(u8),
}

impl MonthDay {
    /// The one form of a day in months of these lengths, the shortest and the longest.
    fn of(day: i8, short: ShortMonth, shortest: u8, longest: u8) -> Self {
        let number = day.unsigned_abs();
        match (day, short) {
            (..=-1, _) if number >= longest => Self::FromStart(1),
            (..=-1, _) if shortest == longest => Self::FromStart(longest + 1 - number),
            (-1, _) => Self::OrLast(longest),
            (..=-1, _) => Self::FromEnd(number),
            _ if number <= shortest => Self::FromStart(number.max(1)),
            (_, ShortMonth::LastDay) if shortest == longest => Self::FromStart(longest),
            (_, ShortMonth::LastDay) => Self::OrLast(number.min(longest)),
            (_, ShortMonth::NextDay) => Self::OrNext(number),
        }
    }

    /// As it is written in a rule.
    fn number(self) -> i16 {
        match self {
            Self::FromStart(day) | Self::OrLast(day) | Self::OrNext(day) => day.into(),
            Self::FromEnd(day) => -i16::from(day),
        }
    }

    /// The date in a month, by the month's number.
    fn date(self, number: i64) -> Date {
        let (start, length) = month_of(number);
        let day = match self {
            Self::FromStart(day) => day,
            Self::FromEnd(day) => (length + 1).saturating_sub(day).max(1),
            Self::OrLast(day) => day.min(length),
            // One past the month's last day is the first of the next month.
            Self::OrNext(day) => day.min(length + 1),
        };
        start.saturating_add(time::Duration::days(i64::from(day) - 1))
    }
}

/// The first day of a month and how many it has, by the month's number.
fn month_of(number: i64) -> (Date, u8) {
    let year = number.div_euclid(12) as i32;
    let month = Month::January.nth_next(number.rem_euclid(12) as u8);
    let start = Date::from_calendar_date(year, month, 1).unwrap_or(Date::MIN);
    (start, month.length(year))
}

fn weekday_name(days_from_monday: i64) -> &'static str {
    ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][days_from_monday.rem_euclid(7) as usize]
}

fn hours_later(at: Instant, hours: i64) -> Instant {
    Instant::from_millis(at.millis().saturating_add(hours * HOUR_MILLIS))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use time::macros::{date, time};

    use super::*;

    const ZONES: [&str; 10] = [
        "UTC",
        "Asia/Shanghai",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Africa/Cairo",
    ];
    const SHORTS: [ShortMonth; 2] = [ShortMonth::LastDay, ShortMonth::NextDay];
    const MILLI: Duration = Duration::from_millis(1);
    const DAY_MILLIS: i64 = 86_400_000;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn rule(cycle: Cycle, at: Time, zone: &str) -> Rule {
        Rule { cycle, at, zone: Zone::named(zone).unwrap(), short_month: ShortMonth::LastDay, since_creation: false }
    }

    /// The edges from one instant on, as local times with their offset.
    fn edges(rule: &Rule, from: &str, count: usize) -> Vec<String> {
        let mut edge = rule.period(at(from)).start;
        let mut next = || {
            let text = rule.zone.local(edge).format(&time::format_description::well_known::Rfc3339).unwrap();
            edge = rule.period(edge).end.unwrap();
            text
        };
        (0..count).map(|_| next()).collect()
    }

    /// The dates of the edges of one year, for rules at midnight UTC.
    fn dates(cycle: Cycle, short_month: ShortMonth, year: i32) -> Vec<(u8, u8)> {
        let rule = Rule { cycle, at: Time::MIDNIGHT, zone: Zone::utc(), short_month, since_creation: false };
        let mut edge = rule.period(at(&format!("{:04}-12-31T23:59:59Z", year - 1))).end.unwrap();
        let mut dates = Vec::new();
        while rule.zone.local(edge).year() == year {
            let date = rule.zone.local(edge).date();
            dates.push((date.month().into(), date.day()));
            edge = rule.period(edge).end.unwrap();
        }
        dates
    }

    #[test]
    fn days_that_months_lack() {
        use ShortMonth::{LastDay, NextDay};
        let last = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let month = |day, short, year| dates(Cycle::Month { day }, short, year);
        let each = |days: [u8; 12]| (1..=12).zip(days).collect::<Vec<_>>();
        for short in SHORTS {
            assert_eq!(month(1, short, 2026), each([1; 12]));
            assert_eq!(month(28, short, 2026), each([28; 12]));
            assert_eq!(month(-1, short, 2026), each(last));
            assert_eq!(month(-1, short, 2028)[1], (2, 29));
            assert_eq!(month(-28, short, 2026), each(last.map(|last| last - 27)));
            assert_eq!(month(-30, short, 2026), each(last.map(|last| last.max(30) - 29)));
            assert_eq!(month(-31, short, 2028), each([1; 12]));
        }
        assert_eq!(month(29, LastDay, 2026), each([29, 28, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29]));
        assert_eq!(month(29, LastDay, 2028), each([29; 12]));
        assert_eq!(month(30, LastDay, 2026), each(last.map(|last| last.min(30))));
        assert_eq!(month(30, LastDay, 2028)[1], (2, 29));
        assert_eq!(month(31, LastDay, 2026), each(last));
        assert_eq!(month(29, NextDay, 2026)[..4], [(1, 29), (3, 1), (3, 29), (4, 29)]);
        assert_eq!(month(29, NextDay, 2028), each([29; 12]));
        assert_eq!(month(30, NextDay, 2028)[..4], [(1, 30), (3, 1), (3, 30), (4, 30)]);
        assert_eq!(month(31, NextDay, 2026)[..6], [(1, 31), (3, 1), (3, 31), (5, 1), (5, 31), (7, 1)]);
        assert_eq!(month(31, NextDay, 2026)[6..], [(7, 31), (8, 31), (10, 1), (10, 31), (12, 1), (12, 31)]);
    }

    #[test]
    fn quarters_and_years() {
        use ShortMonth::{LastDay, NextDay};
        let quarter = |month, day, short| dates(Cycle::Quarter { month, day }, short, 2026);
        for month in [1, 4, 7, 10] {
            assert_eq!(quarter(month, 1, LastDay), [(1, 1), (4, 1), (7, 1), (10, 1)]);
        }
        assert_eq!(quarter(2, 31, LastDay), [(2, 28), (5, 31), (8, 31), (11, 30)]);
        assert_eq!(quarter(11, 31, NextDay), [(3, 1), (5, 31), (8, 31), (12, 1)]);
        assert_eq!(quarter(12, -2, LastDay), [(3, 30), (6, 29), (9, 29), (12, 30)]);
        let year = |month, day, short, year| dates(Cycle::Year { month, day }, short, year);
        assert_eq!(year(8, 15, LastDay, 2026), [(8, 15)]);
        assert_eq!((year(2, 29, LastDay, 2026), year(2, 29, LastDay, 2028)), (vec![(2, 28)], vec![(2, 29)]));
        assert_eq!((year(2, 29, NextDay, 2026), year(2, 29, NextDay, 2028)), (vec![(3, 1)], vec![(2, 29)]));
        assert_eq!((year(4, 31, NextDay, 2026), year(2, 31, NextDay, 2028)), (vec![(5, 1)], vec![(3, 1)]));
        assert_eq!((year(12, 31, NextDay, 2026), year(12, -1, LastDay, 2026)), (vec![(12, 31)], vec![(12, 31)]));
    }

    #[test]
    fn weeks_and_counted_days() {
        let monday = rule(Cycle::Week { weekday: Weekday::Monday }, time!(9:00), "Asia/Shanghai");
        // 2026-10-12 was a Monday.
        let expected = ["2026-10-05T09:00:00+08:00", "2026-10-12T09:00:00+08:00"];
        assert_eq!(edges(&monday, "2026-10-12T08:59:59.999+08:00", 2), expected);
        let every = rule(Cycle::Every { days: 30, from: date!(2026 - 01 - 15) }, Time::MIDNIGHT, "Asia/Shanghai");
        let expected = ["2025-12-16T00:00:00+08:00", "2026-01-15T00:00:00+08:00", "2026-02-14T00:00:00+08:00"];
        assert_eq!(edges(&every, "2026-01-14T12:00:00Z", 3), expected);
        // Calendar days, not multiples of 24 hours.
        let berlin = rule(Cycle::Every { days: 2, from: date!(2026 - 03 - 28) }, time!(4:00), "Europe/Berlin");
        let expected = ["2026-03-28T04:00:00+01:00", "2026-03-30T04:00:00+02:00"];
        assert_eq!(edges(&berlin, "2026-03-29T12:00:00Z", 2), expected);
    }

    #[test]
    fn a_reset_time_that_the_clocks_skip_or_repeat() {
        let berlin = rule(Cycle::Day, time!(2:30), "Europe/Berlin");
        let expected = ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"];
        assert_eq!(edges(&berlin, "2026-03-28T12:00:00Z", 3), expected);
        let expected = ["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"];
        assert_eq!(edges(&berlin, "2026-10-24T12:00:00Z", 3), expected);
        // The second 02:30 lies in the period the first one began.
        assert_eq!(berlin.period(at("2026-10-25T02:15:00+01:00")).start, at("2026-10-25T02:30:00+02:00"));
        // Midnight came twice, the day before in between.
        let st_johns = rule(Cycle::Day, Time::MIDNIGHT, "America/St_Johns");
        let expected = ["2006-10-28T00:00:00-02:30", "2006-10-29T00:00:00-02:30", "2006-10-30T00:00:00-03:30"];
        assert_eq!(edges(&st_johns, "2006-10-28T23:30:00-02:30", 3), expected);
        assert_eq!(st_johns.period(at("2006-10-28T23:30:00-03:30")).start, at("2006-10-29T00:00:00-02:30"));
        let sao_paulo = rule(Cycle::Day, Time::MIDNIGHT, "America/Sao_Paulo");
        let expected = ["2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"];
        assert_eq!(edges(&sao_paulo, "2018-11-03T12:00:00Z", 3), expected);
        // 2011-12-30 did not exist: no empty period for it.
        let apia = rule(Cycle::Day, Time::MIDNIGHT, "Pacific/Apia");
        let expected = ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"];
        assert_eq!(edges(&apia, "2011-12-29T12:00:00-10:00", 3), expected);
        let noon = rule(Cycle::Day, time!(12:00), "Pacific/Apia");
        let expected = ["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"];
        assert_eq!(edges(&noon, "2011-12-29T12:00:00-10:00", 3), expected);
    }

    #[test]
    fn hours() {
        let kathmandu = rule(Cycle::Hour, Time::MIDNIGHT, "Asia/Kathmandu");
        assert_eq!(edges(&kathmandu, "2026-01-01T00:00:00Z", 1), ["2026-01-01T05:00:00+05:45"]);
        let berlin = rule(Cycle::Hour, time!(7:15), "Europe/Berlin");
        let expected = ["2026-10-25T01:15:00+02:00", "2026-10-25T02:15:00+02:00", "2026-10-25T02:15:00+01:00"];
        assert_eq!(edges(&berlin, "2026-10-25T02:14:00+02:00", 3), expected);
        let expected = ["2026-03-29T01:15:00+01:00", "2026-03-29T03:15:00+02:00"];
        assert_eq!(edges(&berlin, "2026-03-29T03:14:59+02:00", 2), expected);
        // Half an hour forward, and back again.
        let lord_howe = rule(Cycle::Hour, Time::MIDNIGHT, "Australia/Lord_Howe");
        let expected = ["2026-10-04T01:00:00+10:30", "2026-10-04T03:00:00+11:00", "2026-10-04T04:00:00+11:00"];
        assert_eq!(edges(&lord_howe, "2026-10-04T02:45:00+11:00", 3), expected);
        let expected = ["2026-04-05T01:00:00+11:00", "2026-04-05T02:00:00+10:30", "2026-04-05T03:00:00+10:30"];
        assert_eq!(edges(&lord_howe, "2026-04-05T01:45:00+10:30", 3), expected);
    }

    #[test]
    fn never_has_no_end() {
        let never = rule(Cycle::Never, Time::MIDNIGHT, "UTC").period(at("2026-01-01T00:00:00Z"));
        assert_eq!(never, Period { start: Instant::from_millis(0), end: None });
        assert!(never.contains(Instant::from_millis(i64::MAX)));
    }

    #[test]
    fn a_period_is_stored_as_two_times() {
        let period = Period { start: at("2026-01-01T00:00:00Z"), end: Some(at("2026-02-01T00:00:00Z")) };
        let text = serde_json::to_string(&period).unwrap();
        assert_eq!(text, r#"{"start":"2026-01-01T00:00:00Z","end":"2026-02-01T00:00:00Z"}"#);
        assert_eq!(serde_json::from_str::<Period>(&text).unwrap(), period);
    }

    #[test]
    fn keys_hold_what_matters() {
        use ShortMonth::{LastDay, NextDay};
        let key = |cycle, short_month| Rule { short_month, ..rule(cycle, time!(3:05), "Asia/Shanghai") }.key();
        let zone = "at=03:05 zone=Asia/Shanghai";
        assert_eq!(key(Cycle::Never, NextDay), "never");
        assert_eq!(key(Cycle::Hour, NextDay), "hour at=00:05 zone=Asia/Shanghai");
        assert_eq!(key(Cycle::Day, NextDay), format!("day {zone}"));
        assert_eq!(key(Cycle::Week { weekday: Weekday::Sunday }, NextDay), format!("week weekday=sun {zone}"));
        assert_eq!(key(Cycle::Month { day: 28 }, NextDay), format!("month day=28 {zone}"));
        assert_eq!(key(Cycle::Month { day: 31 }, NextDay), format!("month day=31 {zone} short=next-day"));
        assert_eq!(key(Cycle::Month { day: 31 }, LastDay), format!("month day=31 {zone} short=last-day"));
        assert_eq!(key(Cycle::Month { day: -1 }, NextDay), key(Cycle::Month { day: 31 }, LastDay));
        assert_eq!(key(Cycle::Month { day: -5 }, NextDay), format!("month day=-5 {zone}"));
        assert_eq!(key(Cycle::Quarter { month: 10, day: 30 }, NextDay), format!("quarter month=1 day=30 {zone}"));
        assert_eq!(key(Cycle::Year { month: 12, day: 31 }, NextDay), format!("year month=12 day=31 {zone}"));
        assert_eq!(key(Cycle::Year { month: 4, day: 31 }, NextDay), format!("year month=5 day=1 {zone}"));
        let every = |from| key(Cycle::Every { days: 30, from }, NextDay);
        assert_eq!(every(date!(2026 - 01 - 15)), every(date!(2026 - 02 - 14)));
        assert_ne!(every(date!(2026 - 01 - 15)), every(date!(2026 - 01 - 16)));
        let seconds = rule(Cycle::Day, time!(3:05:09.9), "UTC");
        assert_eq!(seconds.key(), "day at=03:05:09 zone=UTC");
    }

    /// The first edges after an instant of a guest that was made then.
    fn edges_since(rule: &Rule, created: &str, after: &str, count: usize) -> Vec<String> {
        let own = Rule { since_creation: true, ..rule.clone() }.of(Some(at(created))).unwrap().into_owned();
        assert!(!own.since_creation);
        let next = own.period(at(after)).end.unwrap();
        edges(&own, &next.to_string(), count)
    }

    #[test]
    fn periods_since_creation_begin_on_its_day() {
        let month = rule(Cycle::Month { day: 1 }, Time::MIDNIGHT, "UTC");
        let expected = ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z"];
        assert_eq!(edges_since(&month, "2025-08-31T10:00:00Z", "2026-01-01T00:00:00Z", 4), expected);
        assert_eq!(edges_since(&month, "2025-08-31T10:00:00Z", "2028-02-01T00:00:00Z", 1), ["2028-02-29T00:00:00Z"]);
        let next_day = Rule { short_month: ShortMonth::NextDay, ..month.clone() };
        let expected = ["2026-01-31T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z", "2026-05-01T00:00:00Z"];
        assert_eq!(edges_since(&next_day, "2025-08-31T10:00:00Z", "2026-01-01T00:00:00Z", 4), expected);
        let quarter = rule(Cycle::Quarter { month: 1, day: 1 }, Time::MIDNIGHT, "UTC");
        let expected = ["2026-02-28T00:00:00Z", "2026-05-30T00:00:00Z", "2026-08-30T00:00:00Z", "2026-11-30T00:00:00Z"];
        assert_eq!(edges_since(&quarter, "2025-11-30T10:00:00Z", "2026-01-01T00:00:00Z", 4), expected);
    }

    #[test]
    fn years_since_a_leap_day() {
        let year = rule(Cycle::Year { month: 1, day: 1 }, Time::MIDNIGHT, "UTC");
        let created = "2024-02-29T23:59:59Z";
        let expected = ["2025-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"];
        assert_eq!(edges_since(&year, created, "2024-06-01T00:00:00Z", 4), expected);
        let next_day = Rule { short_month: ShortMonth::NextDay, ..year };
        let expected = ["2027-03-01T00:00:00Z", "2028-02-29T00:00:00Z"];
        assert_eq!(edges_since(&next_day, created, "2026-06-01T00:00:00Z", 2), expected);
    }

    #[test]
    fn the_day_of_a_creation_is_that_of_the_rule_s_zone() {
        let created = "2026-03-31T20:00:00Z";
        let month = |zone| rule(Cycle::Month { day: 9 }, time!(4:00), zone);
        let expected = ["2026-05-31T04:00:00-04:00"];
        assert_eq!(edges_since(&month("America/New_York"), created, "2026-05-01T00:00:00Z", 1), expected);
        // There it was the first of April already.
        let expected = ["2026-06-01T04:00:00+08:00"];
        assert_eq!(edges_since(&month("Asia/Shanghai"), created, "2026-05-02T00:00:00Z", 1), expected);
        // Before the reset time of its day it is in a period that began before it was made.
        let own =
            Rule { since_creation: true, ..month("UTC") }.of(Some(at("2026-03-31T02:00:00Z"))).unwrap().into_owned();
        assert_eq!(own.period(at("2026-03-31T02:00:00Z")).end, Some(at("2026-03-31T04:00:00Z")));
    }

    #[test]
    fn weeks_and_counted_days_since_creation() {
        // A Wednesday.
        let created = "2026-10-14T20:00:00Z";
        let week = rule(Cycle::Week { weekday: Weekday::Monday }, Time::MIDNIGHT, "UTC");
        assert_eq!(edges_since(&week, created, "2026-10-15T00:00:00Z", 1), ["2026-10-21T00:00:00Z"]);
        let every = rule(Cycle::Every { days: 30, from: date!(2000 - 01 - 01) }, Time::MIDNIGHT, "UTC");
        let expected = ["2026-11-13T00:00:00Z", "2026-12-13T00:00:00Z"];
        assert_eq!(edges_since(&every, created, "2026-10-15T00:00:00Z", 2), expected);
    }

    #[test]
    fn who_does_not_say_when_it_was_made_has_no_such_period() {
        let rule = rule(Cycle::Month { day: 5 }, Time::MIDNIGHT, "UTC");
        let since = Rule { since_creation: true, ..rule.clone() };
        assert!(since.of(None).is_none());
        assert_eq!(rule.of(None).map(|rule| rule.key()), Some(rule.key()), "the others need not know");
        assert_eq!(rule.of(Some(at("2026-10-14T20:00:00Z"))).map(|rule| rule.key()), Some(rule.key()));
    }

    #[test]
    fn keys_of_periods_since_creation_are_of_no_date() {
        let key = |cycle, short_month| {
            Rule { short_month, since_creation: true, ..rule(cycle, time!(3:05), "Asia/Shanghai") }.key()
        };
        let zone = "since=creation at=03:05 zone=Asia/Shanghai";
        assert_eq!(key(Cycle::Month { day: 5 }, ShortMonth::LastDay), format!("month {zone}"));
        assert_eq!(key(Cycle::Month { day: 9 }, ShortMonth::NextDay), format!("month {zone} short=next-day"));
        let every = Cycle::Every { days: 30, from: date!(2026 - 01 - 15) };
        assert_eq!(key(every, ShortMonth::LastDay), format!("30 days {zone}"));
        assert_ne!(key(Cycle::Year { month: 1, day: 1 }, ShortMonth::LastDay), key(every, ShortMonth::LastDay));
    }

    /// Over all days, months and both ways with short months: the same key exactly when the same dates.
    #[test]
    fn equal_keys_mean_equal_dates() {
        let days = || (-31..=31).flat_map(|day| SHORTS.map(|short| (day, short)));
        let month = days().map(|(day, short)| (Cycle::Month { day }, short)).collect();
        let of_quarter = |month| days().map(move |(day, short)| (Cycle::Quarter { month, day }, short)).collect();
        let of_year = |month| days().map(move |(day, short)| (Cycle::Year { month, day }, short));
        let years = [2, 3, 4, 5, 12].into_iter().flat_map(of_year).collect();
        let groups: Vec<Vec<(Cycle, ShortMonth)>> = [vec![month, years], (1..=6).map(of_quarter).collect()].concat();
        for group in groups {
            let mut seen = std::collections::HashMap::new();
            let mut keys = std::collections::HashSet::new();
            for (cycle, short_month) in group {
                let rule = Rule { cycle, at: Time::MIDNIGHT, zone: Zone::utc(), short_month, since_creation: false };
                let Edges::Dates(grid) = Edges::of(&rule) else { panic!("no dates") };
                let first = grid.number(date!(2026 - 01 - 01));
                // By date and not by number, since a year's number may move by one.
                let dates: Vec<_> = (first - 2..first + 16).map(|number| grid.date(number)).collect();
                let dates: Vec<_> = dates.into_iter().filter(|date| (2026..2029).contains(&date.year())).collect();
                let key = rule.key();
                keys.insert(key.clone());
                assert_eq!(*seen.entry(dates).or_insert(key.clone()), key, "{cycle:?} {short_month:?}");
            }
            assert_eq!(seen.len(), keys.len());
        }
    }

    #[test]
    fn the_ends_of_time_are_safe() {
        let every = |days| Cycle::Every { days, from: Date::MAX };
        let cycles = [
            Cycle::Hour,
            Cycle::Day,
            Cycle::Week { weekday: Weekday::Sunday },
            Cycle::Month { day: i8::MIN },
            Cycle::Month { day: i8::MAX },
            Cycle::Quarter { month: 0, day: 0 },
            Cycle::Year { month: u8::MAX, day: i8::MAX },
            every(0),
            every(u32::MAX),
            Cycle::Every { days: u32::MAX, from: Date::MIN },
        ];
        for (cycle, zone) in cycles.iter().flat_map(|cycle| ZONES.map(|zone| (*cycle, zone))) {
            let rule = Rule { short_month: ShortMonth::NextDay, ..rule(cycle, time!(23:59:59.999), zone) };
            for millis in [i64::MIN, FIRST.millis(), FIRST.millis() + 1, 0, LAST.millis(), LAST.millis() + 1, i64::MAX]
            {
                let period = rule.period(Instant::from_millis(millis));
                assert!(period.contains(Instant::from_millis(millis).max(FIRST)), "{cycle:?} {millis} {period:?}");
                assert!(serde_json::to_string(&period).is_ok());
            }
            assert_eq!(rule.period(Instant::from_millis(i64::MAX)).end, None);
        }
    }

    fn a_rule() -> impl Strategy<Value = Rule> {
        let day = prop_oneof![-31i8..=-1, 1i8..=31, 28i8..=31];
        let month = 1u8..=12;
        let cycle = prop_oneof![
            2 => Just(Cycle::Hour),
            2 => Just(Cycle::Day),
            1 => (0u8..7).prop_map(|day| Cycle::Week { weekday: Weekday::Monday.nth_next(day) }),
            3 => day.clone().prop_map(|day| Cycle::Month { day }),
            1 => (month.clone(), day.clone()).prop_map(|(month, day)| Cycle::Quarter { month, day }),
            1 => (month, day).prop_map(|(month, day)| Cycle::Year { month, day }),
            1 => (1u32..400, 2_440_000i32..2_470_000).prop_map(|(days, from)| {
                Cycle::Every { days, from: Date::from_julian_day(from).unwrap() }
            }),
        ];
        let minute = prop_oneof![2 => Just(0u16), 2 => 0u16..240, 1 => 0u16..1440];
        let zone = proptest::sample::select(&ZONES[..]);
        (cycle, minute, zone, proptest::sample::select(&SHORTS[..])).prop_map(|(cycle, minute, zone, short_month)| {
            let at = Time::from_hms((minute / 60) as u8, (minute % 60) as u8, 0).unwrap();
            Rule { short_month, ..rule(cycle, at, zone) }
        })
    }

    /// Somewhere in 1990 to 2037, or there near a change of offset.
    fn an_instant(zone: &Zone, seconds: i64, near: Option<i64>) -> Instant {
        let start = Instant::from_millis(seconds * 1000);
        let Some(minutes) = near else { return start };
        let day = |days| Instant::from_millis(start.millis() + days * DAY_MILLIS);
        let change = (0..400).map(day).find(|day| zone.offset(*day) != zone.offset(start)).unwrap_or(start);
        Instant::from_millis(change.millis() - minutes * 60_000)
    }

    /// The edges around an instant by the words of the rule, from a plain list of dates or minutes.
    fn oracle(rule: &Rule, at: Instant) -> Period {
        let mut edges = if rule.cycle == Cycle::Hour { minutes(rule, at) } else { days(rule, at) };
        edges.sort_unstable();
        let start = edges.iter().rev().find(|edge| **edge <= at);
        Period { start: *start.unwrap(), end: edges.iter().find(|edge| **edge > at).copied() }
    }

    fn minutes(rule: &Rule, at: Instant) -> Vec<Instant> {
        let from = at.millis().div_euclid(60_000) - 150;
        let minutes = (from..from + 300).map(|minute| Instant::from_millis(minute * 60_000));
        minutes.filter(|minute| rule.zone.local(*minute).minute() == rule.at.minute()).collect()
    }

    fn days(rule: &Rule, at: Instant) -> Vec<Instant> {
        let today = rule.zone.local(at).date();
        let date = |days| today + time::Duration::days(days);
        let dates = (-401..401).map(date).filter(|date| is_edge(rule, *date));
        dates.map(|date| rule.zone.instant(PrimitiveDateTime::new(date, rule.at))).collect()
    }

    fn is_edge(rule: &Rule, date: Date) -> bool {
        let in_month = |day: i8, starts: &dyn Fn(u8) -> bool| {
            let length = |date: Date| date.month().length(date.year()) as i8;
            let (today, last) = (date.day() as i8, length(date));
            let this = if day < 0 { (last + 1 + day).max(1) } else { day };
            let moved = this > last && rule.short_month == ShortMonth::LastDay && today == last;
            let yesterday = date.previous_day().unwrap();
            let before = today == 1 && day > length(yesterday) && rule.short_month == ShortMonth::NextDay;
            (starts(date.month().into()) && (today == this || moved)) || (starts(yesterday.month().into()) && before)
        };
        match rule.cycle {
            Cycle::Hour | Cycle::Never | Cycle::Provider => false,
            Cycle::Day => true,
            Cycle::Week { weekday } => date.weekday() == weekday,
            Cycle::Every { days, from } => (date - from).whole_days() % i64::from(days) == 0,
            Cycle::Month { day } => in_month(day, &|_| true),
            Cycle::Quarter { month, day } => in_month(day, &|this| this % 3 == month % 3),
            Cycle::Year { month, day } => in_month(day, &|this| this == month),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(31), failure_persistence: None, ..Default::default() })]

        #[test]
        fn periods_are_those_of_the_oracle(
            rule in a_rule(),
            seconds in 631_152_000i64..2_145_916_800,
            near in proptest::option::of(-2_000i64..4_000),
        ) {
            let at = an_instant(&rule.zone, seconds, near);
            prop_assert_eq!(rule.period(at), oracle(&rule, at));
        }

        #[test]
        fn periods_partition_time(
            rule in a_rule(),
            seconds in 631_152_000i64..2_145_916_800,
            near in proptest::option::of(-2_000i64..4_000),
        ) {
            let at = an_instant(&rule.zone, seconds, near);
            let period = rule.period(at);
            let end = period.end.unwrap();
            prop_assert!(period.contains(at) && !period.contains(end));
            prop_assert_eq!(rule.period(period.start), period);
            prop_assert_eq!(rule.period(end.minus(MILLI)), period);
            prop_assert_eq!(rule.period(end).start, end);
            prop_assert_eq!(rule.period(period.start.minus(MILLI)).end, Some(period.start));
        }
    }
}

//! Amounts, shares, times and names as the page writes them.

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::quota::instant::Instant;
use crate::quota::text::clean;
use crate::quota::zone::Zone;
use crate::report::model::Used;

use super::words::{Both, say};

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]");
const DATE_CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]");
const OFFSET: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute] [offset_hour sign:mandatory]:[offset_minute]");

/// Characters of a name that are shown.
const NAME: usize = 120;
/// Characters of a reason or an error that are shown.
const SENTENCE: usize = 400;

/// A name from outside: without what would reorder or hide text, and not too long.
pub fn name(text: &str) -> String {
    clean(text, NAME)
}

/// A sentence from outside, in the same way.
pub fn sentence(text: &str) -> String {
    clean(text, SENTENCE)
}

/// Bytes in the largest unit by powers of 1000 that they fill, with two decimals, rounded down.
pub fn amount(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut size, mut unit) = (1u64, 0);
    while bytes / size >= 1000 && unit + 1 < UNITS.len() {
        size *= 1000;
        unit += 1;
    }
    if unit == 0 {
        return format!("{bytes} B");
    }
    let hundredths = u128::from(bytes) * 100 / u128::from(size);
    format!("{}.{:02} {}", hundredths / 100, hundredths % 100, UNITS[unit])
}

/// Every byte, in groups of three digits.
pub fn exact(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} B")
}

/// Bytes per second as bits per second, in the largest unit that they fill, rounded down.
pub fn rate(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["bps", "kbps", "Mbps", "Gbps", "Tbps", "Pbps"];
    let bits = u128::from(bytes) * 8;
    let (mut size, mut unit) = (1u128, 0);
    while bits / size >= 1000 && unit + 1 < UNITS.len() {
        size *= 1000;
        unit += 1;
    }
    if unit == 0 {
        return format!("{bits} bps");
    }
    let hundredths = bits * 100 / size;
    format!("{}.{:02} {}", hundredths / 100, hundredths % 100, UNITS[unit])
}

/// How long ago something was; the live page goes on with it.
pub fn ago(at: Instant, now: Instant, zone: &Zone) -> Markup {
    const DAY: u64 = 86_400;
    let seconds = now.since(at).as_secs();
    let (size, en, zh) = match seconds {
        0..60 => (1, "s", "秒"),
        60..3600 => (60, "min", "分钟"),
        3600..=172_799 => (3600, "h", "小时"),
        _ => (DAY, "d", "天"),
    };
    let count = seconds / size;
    html! {
        time data-age=(at.millis()) datetime=(at) title=(offset_time(at, zone)) {
            (say(format!("{count} {en} ago"), format!("{count} {zh}前")))
        }
    }
}

/// How much of the whole, in tenths of a percent; none of nothing.
pub fn share(part: u64, whole: u64) -> Option<String> {
    let tenths = (u128::from(part) * 1000).checked_div(whole.into())?;
    Some(format!("{}.{} %", tenths / 10, tenths % 10))
}

/// A length for an attribute of an SVG element: how much of the whole, at most all of it.
pub fn length(part: u64, whole: u64) -> String {
    let hundredths = (u128::from(part.min(whole)) * 10_000).checked_div(whole.into()).unwrap_or(0);
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// The marks of a figure that is not the whole truth, before it.
pub fn marks(used: Used) -> Markup {
    let mark = |sign: &str, words: Both| html! { span.mark aria-hidden="true" { (sign) } span.unseen { (words) } };
    html! {
        @if used.estimated { (mark("≈", say("about ", "约 "))) }
        @if used.partial { (mark("≥", say("at least ", "至少 "))) }
    }
}

/// The local date and time.
pub fn date_clock(at: Instant, zone: &Zone) -> String {
    written(zone.local(at), DATE_CLOCK, at)
}

/// The local date and time, with the offset from UTC.
pub fn offset_time(at: Instant, zone: &Zone) -> String {
    written(zone.local(at), OFFSET, at)
}

fn written(local: OffsetDateTime, format: &[BorrowedFormatItem<'_>], at: Instant) -> String {
    local.format(format).unwrap_or_else(|_| at.to_string())
}

/// From an instant to another, in local time.
pub struct Span {
    from: OffsetDateTime,
    to: OffsetDateTime,
    starts: Instant,
    ends: Instant,
}

impl Span {
    /// From here to there, excluded.
    pub fn of(starts: Instant, ends: Instant, zone: &Zone) -> Self {
        Self { from: zone.local(starts), to: zone.local(ends), starts, ends }
    }

    /// As briefly as can be: a day, a month, days both included, hours of a day, or two times.
    pub fn words(&self) -> Both {
        let [from, to] = [self.date(self.from, self.starts), self.date(self.to, self.ends)];
        if self.is_whole_days() {
            return self.days();
        }
        let clock = |local: OffsetDateTime, at| written(local, CLOCK, at);
        let (start, end) = (clock(self.from, self.starts), clock(self.to, self.ends));
        // The offset tells the two hours apart that a clock put back shows alike.
        if self.from.offset() != self.to.offset() {
            let [start, end] =
                [(self.from, self.starts), (self.to, self.ends)].map(|(local, at)| written(local, OFFSET, at));
            return say(format!("{start} to {end}"), format!("{start} 至 {end}"));
        }
        if from == to || (end == "00:00" && self.last_day() == self.from.date()) {
            let end = if from == to { end } else { "24:00".to_owned() };
            let text = format!("{from} {start}–{end}");
            return say(text.clone(), text);
        }
        say(format!("{from} {start} to {to} {end}"), format!("{from} {start} 至 {to} {end}"))
    }

    fn days(&self) -> Both {
        let (first, last) = (self.from.date(), self.last_day());
        let next = last.next_day().unwrap_or(last);
        let (from, to) = (
            self.date(self.from, self.starts),
            format!("{:04}-{:02}-{:02}", last.year(), u8::from(last.month()), last.day()),
        );
        if first == last {
            return say(from.clone(), from);
        }
        if first.day() == 1 && next.day() == 1 && first.month() == last.month() && first.year() == last.year() {
            let month = from[..from.len() - 3].to_owned();
            return say(month.clone(), month);
        }
        say(format!("{from} to {to}"), format!("{from} 至 {to}"))
    }

    fn date(&self, local: OffsetDateTime, at: Instant) -> String {
        written(local, DATE, at)
    }

    /// The day before the end, which is excluded.
    fn last_day(&self) -> time::Date {
        let date = self.to.date();
        date.previous_day().unwrap_or(date)
    }

    fn is_whole_days(&self) -> bool {
        [self.from, self.to].iter().all(|local| local.time() == time::Time::MIDNIGHT) && self.starts < self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: &str, to: &str, zone: &str) -> String {
        let at = |text| Instant::parse(text).unwrap();
        Span::of(at(from), at(to), &Zone::named(zone).unwrap()).words().en.into_owned()
    }

    #[test]
    fn spans_are_said_briefly() {
        for (from, to, zone, said) in [
            ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "UTC", "2026-11"),
            ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "UTC", "2026-11-01"),
            ("2026-11-01T00:00:00Z", "2027-11-01T00:00:00Z", "UTC", "2026-11-01 to 2027-10-31"),
            ("2026-11-01T16:00:00Z", "2026-11-01T17:00:00Z", "Asia/Shanghai", "2026-11-02 00:00–01:00"),
            ("2026-11-01T23:00:00Z", "2026-11-02T00:00:00Z", "UTC", "2026-11-01 23:00–24:00"),
            ("2026-11-01T23:00:00Z", "2026-11-02T01:00:00Z", "UTC", "2026-11-01 23:00 to 2026-11-02 01:00"),
            ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "Europe/Berlin", "2026-03-29"),
            (
                "2026-10-25T00:00:00Z",
                "2026-10-25T01:00:00Z",
                "Europe/Berlin",
                "2026-10-25 02:00 +02:00 to 2026-10-25 02:00 +01:00",
            ),
        ] {
            assert_eq!(span(from, to, zone), said);
        }
    }

    #[test]
    fn amounts_never_claim_more_than_there_is() {
        for (bytes, short, whole) in [
            (0, "0 B", "0 B"),
            (999, "999 B", "999 B"),
            (1000, "1.00 kB", "1,000 B"),
            (999_999, "999.99 kB", "999,999 B"),
            (12_345_678_901, "12.34 GB", "12,345,678,901 B"),
            (u64::MAX, "18.44 EB", "18,446,744,073,709,551,615 B"),
        ] {
            assert_eq!((amount(bytes).as_str(), exact(bytes).as_str()), (short, whole));
        }
    }

    #[test]
    fn rates_are_bits_per_second() {
        for (bytes, said) in [
            (0, "0 bps"),
            (124, "992 bps"),
            (125, "1.00 kbps"),
            (12_499_999, "99.99 Mbps"),
            (125_000_000, "1.00 Gbps"),
            (u64::MAX, "147573.95 Pbps"),
        ] {
            assert_eq!(rate(bytes), said);
        }
    }

    #[test]
    fn ages_are_said_in_their_largest_unit() {
        let zone = Zone::named("UTC").unwrap();
        let said =
            |seconds: i64| ago(Instant::from_millis(0), Instant::from_millis(seconds * 1000), &zone).into_string();
        for (seconds, en, zh) in [
            (0, ">0 s ago<", ">0 秒前<"),
            (59, ">59 s ago<", ">59 秒前<"),
            (60, ">1 min ago<", ">1 分钟前<"),
            (172_799, ">47 h ago<", ">47 小时前<"),
            (172_800, ">2 d ago<", ">2 天前<"),
            (-5, ">0 s ago<", ">0 秒前<"),
        ] {
            let said = said(seconds);
            assert!(said.contains(en) && said.contains(zh), "{seconds}: {said}");
        }
    }

    #[test]
    fn shares_are_rounded_down() {
        assert_eq!(share(1999, 2000).as_deref(), Some("99.9 %"));
        assert_eq!(share(u64::MAX, u64::MAX).as_deref(), Some("100.0 %"));
        assert_eq!(share(1, 0), None);
        assert_eq!((length(1, 3), length(5, 3), length(1, 0)), ("33.33%".into(), "100.00%".into(), "0.00%".into()));
    }
}

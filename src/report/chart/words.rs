//! The words of charts, dates among them, in English and Chinese.

use time::{Date, Month, OffsetDateTime};

use super::xml::Said;
use crate::quota::bytes::{Round, Unit};
use crate::quota::duration::Language;
use crate::quota::instant::Instant;
use crate::quota::zone::Zone;
use crate::report::model::{Bucket, Direction};

/// Words that do not change.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    /// Sent.
    Out,
    /// Received.
    In,
    /// Divided by time.
    Estimated,
    /// Of a time nothing, or not all, is known.
    Unknown,
    /// Nothing is known of the range.
    Nothing,
    /// Nothing flowed in the range.
    Idle,
    /// The heading of the ranking.
    Top,
    /// What the picture is.
    Usage,
}

/// A word in a language.
pub(super) fn word(word: Word, language: Language) -> &'static str {
    let (english, chinese) = match word {
        Word::Out => ("Out", "出站"),
        Word::In => ("In", "入站"),
        Word::Estimated => ("estimated", "估算"),
        Word::Unknown => ("not fully metered", "无完整记录"),
        Word::Nothing => ("Nothing is known of this time", "此时段没有记录"),
        Word::Idle => ("No traffic", "没有流量"),
        Word::Top => ("Used most", "用量排行"),
        Word::Usage => ("Traffic over time", "流量走势"),
    };
    match language {
        Language::En => english,
        Language::Zh => chinese,
    }
}

/// A word, and what stands in for it.
pub(super) fn said(what: Word, language: Language) -> Said {
    Said::words(language, |language| word(what, language).to_owned())
}

/// What is counted, as it stands below the figure.
pub(super) fn counted(direction: Direction, language: Language) -> Said {
    let say = |language| {
        let text = match (direction, language) {
            (Direction::Out, Language::En) => "sent",
            (Direction::In, Language::En) => "received",
            (Direction::Both, Language::En) => "in and out",
            (Direction::Out, Language::Zh) => "出站",
            (Direction::In, Language::Zh) => "入站",
            (Direction::Both, Language::Zh) => "出入站合计",
        };
        text.to_owned()
    };
    Said::words(language, say)
}

/// How many subjects.
pub(super) fn subjects(count: usize, language: Language) -> Said {
    Said::words(language, |language| match language {
        Language::En if count == 1 => "1 subject".to_owned(),
        Language::En => format!("{count} subjects"),
        Language::Zh => format!("{count} 个对象"),
    })
}

/// How many more there are than are listed.
pub(super) fn more(count: usize, language: Language) -> Said {
    Said::words(language, |language| match language {
        Language::En => format!("{count} more"),
        Language::Zh => format!("其余 {count} 个"),
    })
}

/// When the report was made.
pub(super) fn made(at: Instant, zone: &Zone, language: Language) -> Said {
    let local = zone.local(at);
    Said::words(language, |language| {
        let day = day(local.date(), language);
        let clock = clock(local);
        match language {
            Language::En => format!("as of {day}, {clock}"),
            Language::Zh => format!("截至 {day} {clock}"),
        }
    })
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    Unit::decimal(count).show(count, Round::Down)
}

/// Bytes to the last one.
pub(super) fn exact(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + " B"
}

/// A span of time, as short as it can be said.
pub(super) fn span(span: Bucket, zone: &Zone, language: Language) -> String {
    let (from, to) = (zone.local(span.from), zone.local(span.to));
    let before = |at: Instant| zone.local(Instant::from_millis(at.millis().saturating_sub(1)));
    let (eve, last) = (before(span.from).date(), before(span.to).date());
    let whole_days = eve != from.date() && last != to.date();
    match whole_days {
        true => days(from.date(), last, language),
        false if from.date() == last => {
            format!("{} {}–{}", day(from.date(), language), clock(from), clock_at_end(to, last))
        }
        false => {
            let (first, end) = (day(from.date(), language), day(last, language));
            format!("{first} {} – {end} {}", clock(from), clock_at_end(to, last))
        }
    }
}

/// The end of a span as the day before has it: 24:00 rather than 00:00 of the next.
fn clock_at_end(to: OffsetDateTime, last: Date) -> String {
    if to.date() == last { clock(to) } else { "24:00".to_owned() }
}

/// Days, the last included.
fn days(first: Date, last: Date, language: Language) -> String {
    let starts = first.day() == 1;
    let ends = last.next_day().is_none_or(|next| next.day() == 1);
    let same_year = first.year() == last.year();
    match (first == last, starts && ends, same_year) {
        (true, ..) => day(first, language),
        (_, true, true) if first.month() == last.month() => month(first, language),
        (_, true, true) if first.month() == Month::January && last.month() == Month::December => {
            year(first.year(), language)
        }
        (_, true, false) if first.month() == Month::January && last.month() == Month::December => {
            format!("{} – {}", year(first.year(), language), year(last.year(), language))
        }
        (_, true, _) => format!("{} – {}", month(first, language), month(last, language)),
        (_, _, true) => match language {
            Language::En => format!("{} – {}", day_of_year(first, language), day(last, language)),
            Language::Zh => format!("{} – {}", day(first, language), day_of_year(last, language)),
        },
        _ => format!("{} – {}", day(first, language), day(last, language)),
    }
}

/// A day.
pub(super) fn day(date: Date, language: Language) -> String {
    match language {
        Language::En => format!("{} {}", day_of_year(date, language), date.year()),
        Language::Zh => format!("{}年{}", date.year(), day_of_year(date, language)),
    }
}

fn day_of_year(date: Date, language: Language) -> String {
    match language {
        Language::En => format!("{} {}", date.day(), month_name(date.month().into(), language)),
        Language::Zh => format!("{}{}日", month_name(date.month().into(), language), date.day()),
    }
}

/// A month of a year.
pub(super) fn month(date: Date, language: Language) -> String {
    let name = month_name(date.month().into(), language);
    match language {
        Language::En => format!("{name} {}", date.year()),
        Language::Zh => format!("{}年{name}", date.year()),
    }
}

/// A month by its number.
pub(super) fn month_name(number: u8, language: Language) -> String {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    match language {
        Language::En => NAMES.get(usize::from(number.saturating_sub(1))).copied().unwrap_or_default().to_owned(),
        Language::Zh => format!("{number}月"),
    }
}

/// A year.
pub(super) fn year(year: i32, language: Language) -> String {
    match language {
        Language::En => year.to_string(),
        Language::Zh => format!("{year}年"),
    }
}

fn clock(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

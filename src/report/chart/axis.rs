//! Axes: round amounts up the side, and times along the bottom that do not run into each other.

use std::mem::discriminant;

use time::OffsetDateTime;

use super::slots::Slot;
use super::words;
use super::xml::Said;
use crate::quota::bytes::Unit;
use crate::quota::duration::Language;
use crate::quota::instant::Instant;
use crate::report::model::{By, Report};

/// As many steps go up at most.
const STEPS: u128 = 4;

/// A line across, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tick {
    /// How many bytes.
    pub bytes: u128,
    /// The same, in the unit of all.
    pub text: String,
}

/// The lines for amounts up to `most`, from zero up to one that is not below it; only zero where there is none.
pub(super) fn ticks(most: u64) -> Vec<Tick> {
    let step = step(most);
    let steps = u128::from(most).div_ceil(step);
    let unit = Unit::decimal(u64::try_from(step * steps).unwrap_or(u64::MAX));
    let tick = |number| Tick { bytes: step * number, text: text(unit, step * number) };
    (0..=steps).map(tick).collect()
}

fn text(unit: Unit, bytes: u128) -> String {
    match u64::try_from(bytes) {
        Ok(0) => "0".to_owned(),
        Ok(bytes) => unit.exact(bytes),
        // The line above the largest number there is.
        Err(_) => format!("{} PB", bytes / 10_u128.pow(15)),
    }
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that needs few enough steps.
fn step(most: u64) -> u128 {
    let enough = |step: &u128| u128::from(most).div_ceil(*step) <= STEPS;
    let mut power = 1;
    loop {
        let round = [power, 2 * power, 5 * power / 2, 5 * power];
        if let Some(step) = round.into_iter().find(enough) {
            return step;
        }
        power *= 10;
    }
}

/// A text below the bars.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    /// Where along the bottom, from 0 to 1.
    pub at: f64,
    /// The text.
    pub text: Said,
}

/// The two lines of texts below the bars.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labels {
    /// Times, each in the middle above its place.
    pub times: Vec<Label>,
    /// Whether the times are those of the edges between bars, not of the bars.
    pub edges: bool,
    /// The days, months or years these are in, each starting at its place.
    pub within: Vec<Label>,
}

/// How much room the texts have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Pixels from the first bar to the last.
    pub width: f64,
    /// Pixels of an em.
    pub em: f64,
    /// Pixels beyond the last bar.
    pub right: f64,
}

/// Between two texts, in ems.
const GAP: f64 = 0.8;

/// How far apart the times are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Minutes(u32),
    Days(u32),
    Months(u32),
    Years(u32),
}

const STEP: [Step; 29] = {
    use Step::{Days, Minutes, Months, Years};
    [
        Minutes(5),
        Minutes(10),
        Minutes(15),
        Minutes(30),
        Minutes(60),
        Minutes(120),
        Minutes(180),
        Minutes(240),
        Minutes(360),
        Minutes(720),
        Days(1),
        Days(2),
        Days(5),
        Days(10),
        Days(15),
        Months(1),
        Months(2),
        Months(3),
        Months(6),
        Years(1),
        Years(2),
        Years(5),
        Years(10),
        Years(20),
        Years(50),
        Years(100),
        Years(200),
        Years(500),
        Years(1000),
    ]
};

/// The texts for these bars: as close as there is room for.
pub(super) fn labels(report: &Report, slots: &[Slot], room: Room) -> Labels {
    let finest = finest(report.by);
    let start = STEP.iter().position(|step| *step == finest).unwrap_or_default();
    let times = times(report, slots);
    let lay = |step: &Step| {
        let edges = at_edges(*step, finest);
        let labels = lay(*step, edges, &times, report.language);
        let within = apart(&labels, room).then(|| within(*step, &times, report.language, room))??;
        Some(Labels { times: labels, edges, within })
    };
    let none = Labels { times: Vec::new(), edges: false, within: Vec::new() };
    STEP[start..].iter().find_map(lay).unwrap_or(none)
}

fn finest(by: By) -> Step {
    match by {
        By::FiveMinutes => Step::Minutes(5),
        By::Hour => Step::Minutes(60),
        By::Day => Step::Days(1),
        By::Month => Step::Months(1),
    }
}

/// The local times at which the bars start, and before the first of them that of a moment earlier.
fn times(report: &Report, slots: &[Slot]) -> Vec<OffsetDateTime> {
    let first = slots.first().map(|slot| Instant::from_millis(slot.span.from.millis().saturating_sub(1)));
    first.into_iter().chain(slots.iter().map(|slot| slot.span.from)).map(|at| report.zone.local(at)).collect()
}

/// Hours are moments, and so are days over bars of hours; days over bars of days are the bars.
fn at_edges(step: Step, finest: Step) -> bool {
    matches!(step, Step::Minutes(_)) || discriminant(&step) != discriminant(&finest)
}

fn lay(step: Step, edges: bool, times: &[OffsetDateTime], language: Language) -> Vec<Label> {
    let bars = times.len().saturating_sub(1).max(1) as f64;
    let offset = if edges { 0.0 } else { 0.5 };
    let begins = |(_, pair): &(usize, &[OffsetDateTime])| key(step, pair[0]) != key(step, pair[1]);
    let label = |(index, pair): (usize, &[OffsetDateTime])| Label {
        at: (index as f64 + offset) / bars,
        text: Said::words(language, |language| name(step, pair[1], language)),
    };
    times.windows(2).enumerate().filter(begins).map(label).collect()
}

/// Whether none of the texts runs into the next.
fn apart(labels: &[Label], room: Room) -> bool {
    let half = |label: &Label| (label.text.width() + GAP) * room.em / 2.0;
    labels.windows(2).all(|pair| (pair[1].at - pair[0].at) * room.width >= half(&pair[0]) + half(&pair[1]))
}

/// What is the same for all times up to the next text.
fn key(step: Step, at: OffsetDateTime) -> i64 {
    let month = i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1;
    match step {
        Step::Minutes(_) => i64::from(at.to_julian_day()) * 1440 + i64::from(nominal(step, at)),
        Step::Days(_) => month * 32 + i64::from(nominal(step, at)),
        Step::Months(_) => i64::from(at.year()) * 12 + i64::from(nominal(step, at)),
        Step::Years(_) => i64::from(nominal(step, at)),
    }
}

/// The minute of the day, day of the month, month or year that the step begins with.
fn nominal(step: Step, at: OffsetDateTime) -> i32 {
    let floor = |value: i32, step: u32| value - value.rem_euclid(step as i32);
    match step {
        Step::Minutes(step) => floor(i32::from(at.hour()) * 60 + i32::from(at.minute()), step),
        // The last step of a month is as long as the month is: the 31st follows the 29th too closely.
        Step::Days(1) => i32::from(at.day()),
        Step::Days(step) => floor(i32::from(at.day()) - 1, step).min(30 - step as i32) + 1,
        Step::Months(step) => floor(i32::from(u8::from(at.month())) - 1, step) + 1,
        Step::Years(step) => floor(at.year(), step),
    }
}

fn name(step: Step, at: OffsetDateTime, language: Language) -> String {
    let nominal = nominal(step, at);
    match step {
        Step::Minutes(_) => format!("{:02}:{:02}", nominal / 60, nominal % 60),
        Step::Days(_) => nominal.to_string(),
        Step::Months(_) => words::month_name(nominal as u8, language),
        Step::Years(_) => nominal.to_string(),
    }
}

/// The larger unit that times of a step are in: its key and its name.
fn larger(step: Step, at: OffsetDateTime, language: Language) -> Option<(i64, String)> {
    match step {
        Step::Minutes(_) => Some((at.to_julian_day().into(), words::day(at.date(), language))),
        Step::Days(_) => Some((key(Step::Months(1), at), words::month(at.date(), language))),
        Step::Months(_) => Some((at.year().into(), words::year(at.year(), language))),
        Step::Years(_) => None,
    }
}

/// The days, months or years: each where its first bar is. The first gives way to the second, of which more is seen, and
/// the last to the end of the room; none if others have no room, and the times are too close for it.
fn within(step: Step, times: &[OffsetDateTime], language: Language, room: Room) -> Option<Vec<Label>> {
    let bars = times.len().saturating_sub(1).max(1) as f64;
    let mut labels: Vec<Label> = Vec::new();
    let mut last = None;
    for (index, at) in times.iter().skip(1).enumerate() {
        let Some((key, _)) = larger(step, *at, language) else { break };
        if last.replace(key) == Some(key) {
            continue;
        }
        let say = |language| larger(step, *at, language).map(|(_, name)| name).unwrap_or_default();
        let label = Label { at: index as f64 / bars, text: Said::words(language, say) };
        let wide = |label: &Label| label.text.width() * room.em;
        if !labels.is_empty() && label.at * room.width + wide(&label) > room.width + room.right {
            break;
        }
        let close = |before: &Label| (label.at - before.at) * room.width < wide(before) + GAP * room.em;
        match labels.as_slice() {
            [only] if close(only) => labels.clear(),
            [.., before] if close(before) => return None,
            _ => {}
        }
        labels.push(label);
    }
    Some(labels)
}

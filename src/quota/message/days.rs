//! What periodic reports and reset notices say of single days, where there is a history.

use std::time::Duration;

use super::say;
use crate::quota::bytes::Round;
use crate::quota::instant::Instant;
use crate::quota::policy::{Context, Quota};

/// What the history says of single days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Days {
    /// The last ones, in a periodic report.
    Last,
    /// Those of a period that has ended, in a reset notice.
    Closed,
}

impl Days {
    /// What an item says of days, by its key.
    pub fn of(key: &str) -> Option<Self> {
        match key.split_once('/')?.0 {
            "report" => Some(Self::Last),
            "reset" => Some(Self::Closed),
            _ => None,
        }
    }
}

/// What was used on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Its start.
    pub start: Instant,
    /// What counts; none where it is not wholly known.
    pub used: Option<u64>,
    /// It was divided by time over an end of the day, for so long that it may have been another's.
    pub estimated: bool,
}

/// What flowed in a length of time, by day.
fn a_day(bytes: u64, length: Duration) -> u64 {
    let seconds = u128::from(length.as_secs().max(1));
    u64::try_from(u128::from(bytes) * 86_400 / seconds).unwrap_or(u64::MAX)
}

/// The lines that say what was used on single days, each with its start, of a time of this length; none where it is not
/// known.
pub fn days(context: &Context<'_>, quota: &Quota, kind: Days, length: Duration, days: &[Day]) -> Vec<String> {
    let (language, unit) = (context.language, quota.unit);
    let show = |bytes| unit.show(bytes, Round::Down);
    let whole = |days: &[Day]| days.iter().map(|day| day.used).sum::<Option<u64>>();
    match (kind, days) {
        (Days::Last, [before @ .., Day { used: Some(today), .. }]) => {
            let mut line = say(language, format!("Today: {}", show(*today)), format!("今天：{}", show(*today)));
            if let Some(yesterday) = before.last().and_then(|day| day.used).map(show) {
                line.push_str(&say(language, format!(", yesterday: {yesterday}"), format!("，昨天：{yesterday}")));
            }
            if let Some(all) = whole(before) {
                let (all, count) = (show(all), before.len());
                let zh = format!("，此前 {count} 天共：{all}");
                line.push_str(&say(language, format!(", the {count} days before today: {all}"), zh));
            }
            vec![line]
        }
        (Days::Closed, _) => {
            let sure = days.iter().filter(|day| !day.estimated);
            let most = sure.filter_map(|day| Some((day.used?, day.start))).max();
            let (Some((most, at)), Some(whole)) = (most, whole(days)) else { return Vec::new() };
            let date = quota.rule.zone.local(at).date();
            let (most, mean) = (show(most), show(a_day(whole, length)));
            let zh = format!("用量最多：{date}，{most}；平均每天：{mean}");
            vec![say(language, format!("Most on {date}: {most}; a day on average: {mean}"), zh)]
        }
        _ => Vec::new(),
    }
}

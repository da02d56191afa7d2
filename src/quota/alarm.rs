//! Alarms: conditions on a rate, on load or on silence, which know no period and no allowance.
//!
//! Invariant: a look at a subject is judged once, and what is not known is no look: it neither raises an alarm nor ends
//! one. What is raised is told when it is, as often as `repeat` says, and when it is over.
//!
//! Why a limit and another value for the end: a rate that moves around the limit would be told on each run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use time::Time;

use super::glob;
use super::instant::Instant;
use super::message;
use super::meter::Count;
use super::policy::{Context, DAY, Plan, Tell, due_again};
use super::pulse::Pulse;
use super::state::{AlarmMark, SourceState, State};
use super::text::Item;
use super::zone::Zone;

/// A condition on a source's subjects, each on its own.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// Its name in the configuration.
    pub name: String,
    /// The source's name.
    pub source: String,
    /// Names or globs; empty: all.
    pub subjects: Vec<String>,
    /// Names or globs left out.
    pub exclude: Vec<String>,
    /// Subjects that the source is to hear of.
    pub expected: Vec<String>,
    /// Whether the source's subjects report by themselves: it is heard of them only while this machine is up.
    pub reported: bool,
    /// What is looked at.
    pub watched: Watched,
    /// What is bad.
    pub limit: Limit,
    /// How long it is to be bad.
    pub lasting: Lasting,
    /// The hours of the day in which it is watched; none: always.
    pub between: Vec<Hours>,
    /// Of those hours.
    pub zone: Zone,
    /// How often it is told while it lasts; none: once.
    pub repeat: Option<Duration>,
    /// Names of notifiers.
    pub notify: Vec<String>,
}

/// What an alarm looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Bytes per second.
    Rate(Count),
    /// The share of the processors that is busy, in hundredths of a percent.
    Cpu,
    /// The share of the memory that is in use, in hundredths of a percent.
    Memory,
    /// Milliseconds without a sign of life.
    Silence,
}

/// From where on it is bad, and from where on well again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Bad below the first, well again from the second on.
    Below(u64, u64),
    /// Bad above the first, well again up to the second.
    Above(u64, u64),
    /// Bad from there on, well again below.
    From(u64),
}

/// How long it is to be bad before that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// So many looks in a row.
    Looks(u32),
    /// For so long.
    Time(Duration),
}

/// Hours of a day, over midnight where the end is not after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// From then on.
    pub from: Time,
    /// Not then any more.
    pub until: Time,
}

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Bad,
    /// Not bad, and not yet well again.
    Hardly,
    Well,
}

impl Limit {
    /// The value it is about.
    pub fn value(self) -> u64 {
        match self {
            Self::Below(value, _) | Self::Above(value, _) | Self::From(value) => value,
        }
    }

    fn judge(self, value: u64) -> Judgement {
        let (bad, well) = match self {
            Self::Below(limit, recover) => (value < limit, value >= recover),
            Self::Above(limit, recover) => (value > limit, value <= recover),
            Self::From(limit) => (value >= limit, value < limit),
        };
        match (bad, well) {
            (true, _) => Judgement::Bad,
            (false, true) => Judgement::Well,
            (false, false) => Judgement::Hardly,
        }
    }
}

impl Hours {
    fn contains(self, time: Time) -> bool {
        match self.from < self.until {
            true => (self.from..self.until).contains(&time),
            false => time >= self.from || time < self.until,
        }
    }
}

/// A look that is older says nothing of what is.
const RECENT: Duration = Duration::from_secs(600);
/// Looks that are further apart are not in a row.
const LONG: Duration = Duration::from_secs(2 * 3600);

/// A look at a subject that is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight {
    at: Instant,
    value: u64,
}

/// What came about at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Raised,
    Again,
    Over { lasted: Duration },
}

impl Alarm {
    /// Whether a subject of this name is among those it looks at.
    pub fn names(&self, subject: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, subject));
        (self.subjects.is_empty() || any(&self.subjects)) && !any(&self.exclude)
    }

    /// The value it looks at; none when that is not known.
    pub fn value(&self, pulse: &Pulse, heard: Instant, now: Instant) -> Option<u64> {
        match self.watched {
            Watched::Rate(count) => pulse.rate_of(count),
            Watched::Cpu => pulse.cpu.map(|load| u64::from(load.0)),
            Watched::Memory => pulse.memory.map(|load| u64::from(load.0)),
            Watched::Silence => u64::try_from(now.since(heard).as_millis()).ok(),
        }
    }

    /// Whether it is watched at this time of the day.
    pub fn is_on(&self, now: Instant) -> bool {
        let time = self.zone.local(now).time();
        self.between.is_empty() || self.between.iter().any(|hours| hours.contains(time))
    }

    /// The subjects it looks at: those that were ever seen, and those that should be.
    pub fn looked_at(&self, source: Option<&SourceState>) -> BTreeSet<String> {
        let seen = source.into_iter().flat_map(|source| source.pulses.keys());
        let expected = self.expected.iter().filter(|_| self.watched == Watched::Silence);
        seen.chain(expected).filter(|name| self.names(name)).cloned().collect()
    }

    /// What it looks at, and where: by this marks are known to be its own.
    fn of(&self) -> String {
        format!("{:?} of {}", self.watched, self.source)
    }

    /// From when on looks are judged: of what is not silent, one that is old already says nothing of now.
    fn begins(&self, pulse: Option<&Pulse>, now: Instant) -> AlarmMark {
        let at = match (self.watched, pulse) {
            (Watched::Silence, Some(pulse)) => pulse.at,
            (Watched::Silence, None) => now,
            _ => now.minus(RECENT),
        };
        AlarmMark { heard: pulse.is_some(), ..AlarmMark::new(at, &self.of()) }
    }

    /// The look that is to be judged. A silence that was told ends with a sign of life, and with nothing else.
    fn sight(&self, mark: &AlarmMark, pulse: Option<&Pulse>, since: Option<Instant>, now: Instant) -> Option<Sight> {
        let news = pulse.filter(|pulse| pulse.at > mark.at);
        if self.watched == Watched::Silence {
            if mark.raised.is_some() && news.is_none() {
                return None;
            }
            let seen = news.map_or(mark.at, |pulse| pulse.at);
            let heard = since.map_or(seen, |since| seen.max(since));
            let value = u64::try_from(now.since(heard).as_millis()).ok()?;
            return Some(Sight { at: now, value });
        }
        let pulse = news?;
        Some(Sight { at: pulse.at, value: self.value(pulse, pulse.at, now)? })
    }

    /// Judges a look.
    ///
    /// After a time in which nothing ran, the first silence may be that of this machine: it takes a second look.
    fn judge(&self, mark: &mut AlarmMark, sight: Sight, was_away: bool) -> Option<News> {
        if mark.raised.is_none() && sight.at.since(mark.at) > LONG && self.watched != Watched::Silence {
            // What was bad then and is now may have been well in between.
            (mark.bad, mark.since) = (0, None);
        }
        match self.limit.judge(sight.value) {
            Judgement::Bad => {
                mark.bad = mark.bad.saturating_add(1);
                let since = *mark.since.get_or_insert(sight.at);
                let lasts = match self.lasting {
                    Lasting::Looks(looks) => mark.bad >= looks,
                    Lasting::Time(time) => sight.at.since(since) >= time,
                };
                if mark.raised.is_some() || !lasts || (was_away && mark.bad == 1) {
                    return None;
                }
                mark.raised = Some(sight.at);
                Some(News::Raised)
            }
            Judgement::Hardly if mark.raised.is_some() => None,
            Judgement::Hardly | Judgement::Well => {
                let since = mark.since.take();
                mark.bad = 0;
                mark.told = None;
                let raised = mark.raised.take()?;
                let began = match self.watched {
                    // Where it was last heard of.
                    Watched::Silence => mark.at,
                    _ => since.unwrap_or(raised),
                };
                Some(News::Over { lasted: sight.at.since(began) })
            }
        }
    }

    /// Whether it is to be told again. What is not known any more is not.
    fn again(&self, mark: &AlarmMark, now: Instant) -> bool {
        let told = mark.told.filter(|_| mark.raised.is_some());
        let known = self.watched == Watched::Silence || now.since(mark.at) <= LONG;
        known && self.repeat.zip(told).is_some_and(|(repeat, told)| due_again(told, repeat, now))
    }
}

/// Looks at every alarm's subjects, and plans what is to be told of them.
pub fn watch(context: &Context<'_>, state: &mut State, plan: &mut Plan) {
    let booted = context.machine.uptime.map(|uptime| context.now.minus(uptime));
    for (alarm, _) in context.alarms.iter().zip(context.watching).filter(|(_, watching)| **watching) {
        let source = state.sources.get(&alarm.source);
        // Whether a node is silent is known only when what it reported could be looked at.
        if alarm.reported && source.is_none_or(|source| source.good != Some(context.now)) {
            continue;
        }
        let mut marks = state.alarms.remove(&alarm.name).unwrap_or_default();
        let (names, of) = (alarm.looked_at(source), alarm.of());
        marks.retain(|_, mark| mark.of == of);
        for (name, _) in marks.extract_if(.., |name, _| !names.contains(name)).filter(|(_, mark)| mark.raised.is_some())
        {
            tell(alarm, plan, message::alarm::unwatched(context, alarm, &name, Ending::Gone));
        }
        let since = booted.max(source.and_then(|source| source.hears));
        for name in names {
            let pulse = source.and_then(|source| source.pulses.get(&name));
            look(context, alarm, (&name, pulse), &mut marks, since, plan);
        }
        if !marks.is_empty() {
            state.alarms.insert(alarm.name.clone(), marks);
        }
    }
    let known: BTreeSet<&String> = context.alarms.iter().map(|alarm| &alarm.name).collect();
    state.alarms.retain(|name, _| known.contains(name));
}

/// Whether a node that was last heard of then counts as there: by the shortest silence that an alarm on it takes, else
/// for three minutes. What lies ahead is of a clock that was wrong, and says nothing.
pub fn is_there(alarms: &[Alarm], node: &str, heard: Instant, now: Instant) -> bool {
    let on_it = |alarm: &&Alarm| alarm.reported && alarm.watched == Watched::Silence && alarm.names(node);
    let silences = alarms.iter().filter(on_it).map(|alarm| Duration::from_millis(alarm.limit.value()));
    heard <= now.plus(SLACK) && now.since(heard) <= silences.min().unwrap_or(SILENCE)
}

/// A node that says nothing for so long is not there, where no alarm says otherwise.
const SILENCE: Duration = Duration::from_secs(180);
/// What two looks at a clock may differ by.
const SLACK: Duration = Duration::from_secs(60);

/// Why an alarm that was raised is so no more, though nobody knows whether it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is not watched at this hour.
    Hours,
    /// Nothing was known of the subject for a day.
    Unknown,
    /// The subject is not there any more.
    Gone,
}

/// `since`: since when subjects can have been heard.
fn look(
    context: &Context<'_>,
    alarm: &Alarm,
    (name, pulse): (&str, Option<&Pulse>),
    marks: &mut BTreeMap<String, AlarmMark>,
    since: Option<Instant>,
    plan: &mut Plan,
) {
    let now = context.now;
    let known = marks.contains_key(name);
    let mark = marks.entry(name.to_owned()).or_insert_with(|| alarm.begins(pulse, now));
    let silence = alarm.watched == Watched::Silence;
    let ending = match () {
        () if !alarm.is_on(now) => Some(Ending::Hours),
        () if mark.raised.is_some() && !silence && now.since(mark.at) > DAY => Some(Ending::Unknown),
        () => None,
    };
    if let Some(ending) = ending {
        // What is seen meanwhile is not judged later.
        let seen = pulse.filter(|_| !silence).map_or(mark.at, |pulse| pulse.at.max(mark.at));
        let new = AlarmMark { heard: mark.heard, ..AlarmMark::new(seen, &mark.of) };
        if std::mem::replace(mark, new).raised.is_some() {
            tell(alarm, plan, message::alarm::unwatched(context, alarm, name, ending));
        }
        return;
    }
    let sight = alarm.sight(mark, pulse, since, now);
    // The first look at processors has nothing to compare with, and who is off does nothing.
    let looked = pulse.is_some_and(|pulse| pulse.at > mark.at && pulse.rate.is_some());
    if known && looked && sight.is_none() && matches!(alarm.watched, Watched::Cpu | Watched::Memory) {
        let text = format!("alarm {:?}: what it looks at is not known of {name:?}", alarm.name);
        plan.problems.push((format!("alarm/{}/{name}", alarm.name), text));
    }
    let is_long = |gap: Duration| gap > RECENT.max(Duration::from_millis(alarm.limit.value()));
    let was_away = silence && context.last_run.is_some_and(|last| is_long(now.since(last)));
    let news = sight.and_then(|sight| alarm.judge(mark, sight, was_away));
    if let Some(pulse) = pulse.filter(|pulse| pulse.at > mark.at && (silence || sight.is_some())) {
        (mark.at, mark.heard) = (pulse.at, true);
    }
    let news = news.or_else(|| alarm.again(mark, now).then_some(News::Again));
    let Some(news) = news else { return };
    let heard = mark.heard.then_some(mark.at);
    let value = match silence {
        true => u64::try_from(now.since(mark.at).as_millis()).ok(),
        false => sight.map(|sight| sight.value).or_else(|| alarm.value(pulse?, mark.at, now)),
    };
    let facts = message::alarm::Facts { subject: name, value, since: mark.since, heard };
    let item = match news {
        News::Raised | News::Again => {
            mark.told = Some(now);
            message::alarm::raised(context, alarm, &facts)
        }
        News::Over { lasted } => message::alarm::over(context, alarm, &facts, lasted),
    };
    tell(alarm, plan, item);
}

fn tell(alarm: &Alarm, plan: &mut Plan, item: Item) {
    plan.reasons.push(format!("alarm {:?}: {}", alarm.name, item.title));
    plan.tells.push(Tell { to: alarm.notify.clone(), item });
}

#[cfg(test)]
mod tests;

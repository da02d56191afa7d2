//! What is told of alarms: raised, still so, over.

use std::time::Duration;

use super::{NAME, direction, local, say};
use crate::quota::alarm::{Alarm, Ending, Limit, Watched};
use crate::quota::bytes::show_rate;
use crate::quota::duration::{Language, words};
use crate::quota::instant::Instant;
use crate::quota::policy::Context;
use crate::quota::pulse::Load;
use crate::quota::text::{About, Item, Many, clean};

/// What is known of the subject that an alarm is told of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The subject's name.
    pub subject: &'a str,
    /// What was looked at.
    pub value: Option<u64>,
    /// Since when it is bad.
    pub since: Option<Instant>,
    /// When it was last heard of; none: never.
    pub heard: Option<Instant>,
}

/// A value as messages show it: `3.2 Mbps`, `97.31 %`, `6 min`.
pub fn show(watched: Watched, value: u64, language: Language) -> String {
    match watched {
        Watched::Rate(_) => show_rate(value),
        Watched::Cpu | Watched::Memory => {
            let percent = Load(u32::try_from(value).unwrap_or(u32::MAX)).as_percent();
            format!("{percent} %")
        }
        Watched::Silence => words(Duration::from_millis(value), language),
    }
}

/// What is looked at, in words.
fn what(watched: Watched, language: Language) -> String {
    match watched {
        Watched::Rate(count) => {
            let direction = direction(count, language);
            say(language, format!("rate ({direction})"), format!("速率（{direction}）"))
        }
        Watched::Cpu => "CPU".into(),
        Watched::Memory => say(language, "memory", "内存"),
        Watched::Silence => say(language, "silence", "静默"),
    }
}

/// The condition, in words: `rate (inbound) below 10 Mbps`.
pub fn condition(alarm: &Alarm, language: Language) -> String {
    let (what, value) = (what(alarm.watched, language), show(alarm.watched, alarm.limit.value(), language));
    match alarm.limit {
        Limit::Below(..) => say(language, format!("{what} below {value}"), format!("{what}低于 {value}")),
        Limit::Above(..) => say(language, format!("{what} above {value}"), format!("{what}高于 {value}")),
        Limit::From(_) => say(language, format!("silent for {value}"), format!("静默达 {value}")),
    }
}

/// It has become bad, or still is.
pub fn raised(context: &Context<'_>, alarm: &Alarm, facts: &Facts<'_>) -> Item {
    let language = context.language;
    let name = clean(facts.subject, NAME);
    let value = facts.value.map(|value| show(alarm.watched, value, language)).unwrap_or_default();
    let (sign, en, zh) = match (alarm.watched, facts.heard) {
        (Watched::Silence, None) => ("🔇", "never heard of".to_owned(), "从未上报".to_owned()),
        (Watched::Silence, Some(_)) => ("🔇", format!("silent for {value}"), format!("已静默 {value}")),
        (watched, _) => {
            let (en, zh) = (what(watched, Language::En), what(watched, Language::Zh));
            ("🚨", format!("{en} {value}"), format!("{zh} {value}"))
        }
    };
    let mut body = vec![of(alarm, language)];
    body.extend(facts.since.filter(|_| alarm.watched != Watched::Silence).map(|since| {
        let since = local(&alarm.zone, since);
        say(language, format!("Since {since}"), format!("自 {since}"))
    }));
    body.extend(facts.heard.filter(|_| alarm.watched == Watched::Silence).map(|heard| {
        let heard = local(&alarm.zone, heard);
        say(language, format!("Last heard of: {heard}"), format!("最后上报：{heard}"))
    }));
    let condition = condition(alarm, language);
    let shown = clean(&alarm.name, NAME);
    let many = (
        format!("{sign} "),
        say(
            language,
            format!(" subjects have raised alarm {shown}: {condition}"),
            format!(" 个对象触发告警 {shown}：{condition}"),
        ),
    );
    let line = say(language, en, zh);
    item(context, alarm, facts.subject, (sign, &name, &line), body, many)
}

/// It is well again.
pub fn over(context: &Context<'_>, alarm: &Alarm, facts: &Facts<'_>, lasted: Duration) -> Item {
    let language = context.language;
    let name = clean(facts.subject, NAME);
    let after = words(lasted, language);
    let line = match (alarm.watched, facts.value) {
        (Watched::Silence, _) | (_, None) => say(language, "heard of again", "恢复上报"),
        (watched, Some(value)) => {
            let (what, value) = (what(watched, language), show(watched, value, language));
            say(language, format!("{what} {value} again"), format!("{what}恢复为 {value}"))
        }
    };
    let body = vec![of(alarm, language), say(language, format!("It lasted {after}."), format!("持续 {after}。"))];
    let shown = clean(&alarm.name, NAME);
    let many = (
        "✅ ".into(),
        say(language, format!(" subjects are well again: alarm {shown}"), format!(" 个对象已恢复：告警 {shown}")),
    );
    item(context, alarm, facts.subject, ("✅", &name, &line), body, many)
}

/// It was raised, and is so no more, though nobody knows whether it is well.
pub fn unwatched(context: &Context<'_>, alarm: &Alarm, subject: &str, ending: Ending) -> Item {
    let language = context.language;
    let name = clean(subject, NAME);
    let (en, zh) = match ending {
        Ending::Hours => ("not watched at this hour", "当前时段不监控"),
        Ending::Unknown => ("nothing known for a day", "已一天没有数据"),
        Ending::Gone => ("not there any more", "对象已不存在"),
    };
    let body = vec![
        of(alarm, language),
        say(language, "It was raised until now, and is judged anew later.", "此前处于告警状态，之后将重新判断。"),
    ];
    let shown = clean(&alarm.name, NAME);
    let many =
        ("ℹ️ ".into(), say(language, format!(" subjects: {en}: alarm {shown}"), format!(" 个对象{zh}：告警 {shown}")));
    item(context, alarm, subject, ("ℹ️", &name, &say(language, en, zh)), body, many)
}

/// Which alarm it is, and what it is about.
fn of(alarm: &Alarm, language: Language) -> String {
    let (name, condition) = (clean(&alarm.name, NAME), condition(alarm, language));
    say(language, format!("Alarm {name}: {condition}"), format!("告警 {name}：{condition}"))
}

fn item(
    context: &Context<'_>,
    alarm: &Alarm,
    subject: &str,
    (sign, name, line): (&str, &str, &str),
    body: Vec<String>,
    many: (String, String),
) -> Item {
    let title = say(context.language, format!("{sign} {name}: {line}"), format!("{sign} {name}：{line}"));
    let line = say(context.language, format!("{name}: {line}"), format!("{name}：{line}"));
    let about = About { source: alarm.source.clone(), subject: subject.to_owned(), quota: alarm.name.clone() };
    Item {
        key: format!("alarm/{}/{subject}", alarm.name),
        at: context.now,
        title,
        body,
        many: Some(Box::new(Many { title: many, line, rank: 0 })),
        about: Some(Box::new(about)),
    }
}

//! Quotas of the configuration: allowance, period, tiers.

use std::time::Duration;

use time::{Date, Time, Weekday};

use super::fields::{Fields, Value, nearest};
use super::{Channel, NamedAction, NamedSource};
use crate::host::Host;
use crate::quota::bytes::{Amount, Percent, UnitBase};
use crate::quota::duration;
use crate::quota::meter::Count;
use crate::quota::period::{Cycle, Rule, ShortMonth};
use crate::quota::policy::{ActionRule, Quota, Report, Threshold, Tier};
use crate::quota::zone::Zone;

/// The names a quota may use.
pub struct Known<'a> {
    host: &'a dyn Host,
    zone: &'a Zone,
    sources: Vec<&'a str>,
    notifiers: Vec<&'a str>,
    actions: &'a [NamedAction],
}

impl<'a> Known<'a> {
    /// From what was read before.
    pub fn new(
        host: &'a dyn Host,
        zone: &'a Zone,
        sources: &'a [NamedSource],
        notifiers: &'a [Channel],
        actions: &'a [NamedAction],
    ) -> Self {
        Self {
            host,
            zone,
            sources: sources.iter().map(|source| source.name.as_str()).collect(),
            notifiers: notifiers.iter().map(|channel| channel.name.as_str()).collect(),
            actions,
        }
    }
}

/// All quotas that are enabled; the built-in one where none is written.
pub fn read(root: &Fields<'_>, known: &Known<'_>) -> Vec<Quota> {
    let mut tables = root.tables("quota");
    if tables.is_empty() {
        tables.push(("month".into(), Fields::absent(root.findings(), "quota.month")));
    }
    tables.into_iter().filter_map(|(name, fields)| read_quota(name, fields, known)).collect()
}

fn read_quota(name: String, fields: Fields<'_>, known: &Known<'_>) -> Option<Quota> {
    let enabled = fields.or("enabled", true, "true", Value::boolean);
    let source = read_source(&fields, known);
    let count = fields.or("count", Count::Out, "\"out\"", |value| value.word(COUNTS));
    let base = fields.or("unit_base", UnitBase::Thousand, "1000", |value| match value.integer()? {
        1000 => Ok(UnitBase::Thousand),
        1024 => Ok(UnitBase::Binary),
        other => Err(format!("{other} is neither 1000 nor 1024")),
    });
    let allowance = if fields.is_written() {
        fields.need("allowance", |value| nonzero(Amount::parse(value.text()?, base)?))
    } else {
        fields.show_default("allowance", "\"1 TB\"");
        Amount::parse("1 TB", base).ok()
    };
    let rule = read_rule(&fields, known);
    let patterns = |key| fields.opt(key, |value| not_empty(value.texts()?)).unwrap_or_default();
    let (subjects, exclude) = (patterns("subjects"), patterns("exclude"));
    let pool = fields.or("pool", false, "false", Value::boolean);
    let since_boot =
        fields.or("first", false, "\"zero\"", |value| value.word(&[("zero", false), ("since-boot", true)]));
    let report = fields.opt("report_every", |value| read_report(value.text()?));
    let label = fields.opt("label", |value| value.text().map(Into::into));
    let limits = Limits { allowance, base, known };
    let tiers = read_tiers(&fields, &limits);
    fields.finish();
    let (source, allowance, rule) = (source?, allowance?, rule?);
    let rule_key = rule.key();
    let row_key = format!("{name} {rule_key}");
    let mut quota = Quota {
        name,
        label,
        source,
        count,
        allowance,
        unit_base: base,
        rule,
        row_key,
        rule_key,
        subjects,
        exclude,
        pool,
        since_boot,
        tiers: Vec::new(),
        report,
    };
    quota.tiers = tiers.into_iter().map(|tier| tier.defined(&quota, known)).collect();
    enabled.then_some(quota)
}

const COUNTS: &[(&str, Count)] =
    &[("out", Count::Out), ("in", Count::In), ("sum", Count::Sum), ("max", Count::Max), ("min", Count::Min)];

fn read_source(fields: &Fields<'_>, known: &Known<'_>) -> Option<String> {
    if fields.has("source") {
        return fields.opt("source", |value| resolve(value.text()?, &known.sources));
    }
    let only = if let [only] = known.sources[..] { only } else { "interface" };
    if !known.sources.contains(&only) {
        fields.error(format!("source is missing: one of {}", known.sources.join(", ")));
        return None;
    }
    fields.show_default("source", &format!("{only:?}"));
    Some(only.to_owned())
}

fn resolve(name: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("there is no {name:?}{}", nearest(name, known.iter().copied())))
}

fn not_empty(names: Vec<String>) -> Result<Vec<String>, String> {
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err("at least one name is expected; leave it out for all".into());
    }
    Ok(names)
}

fn nonzero(amount: Amount) -> Result<Amount, String> {
    if amount.bytes == 0 { Err("it must be more than nothing".into()) } else { Ok(amount) }
}

fn read_report(text: &str) -> Result<Report, String> {
    if text.contains(':') {
        return read_time(text).map(Report::At);
    }
    let every = duration::parse(text).map_err(|error| format!("{error}; or a time of day such as 09:00"))?;
    if every < Duration::from_secs(60) { Err("at least 1 min is expected".into()) } else { Ok(Report::Every(every)) }
}

fn read_time(text: &str) -> Result<Time, String> {
    let format = time::macros::format_description!("[hour]:[minute]");
    Time::parse(text, format).map_err(|_| format!("{text:?} is not a time of day such as 00:00"))
}

/// Names of cycles, for which `reset` says the rest.
const PERIODS: &[(&str, &str)] = &[
    ("hour", "hour"),
    ("day", "day"),
    ("week", "week"),
    ("month", "month"),
    ("quarter", "quarter"),
    ("year", "year"),
    ("never", "never"),
];

const WEEKDAYS: &[(&str, Weekday)] = &[
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// The period rule: `period` and `reset`.
fn read_rule(fields: &Fields<'_>, known: &Known<'_>) -> Option<Rule> {
    let reset = fields.table("reset");
    let every = reset.opt("every", read_days);
    let from = reset.opt("from", Value::date);
    let period = match every {
        Some(_) if fields.has("period") => {
            fields.error_at("period", "reset.every stands instead of a calendar period: leave one of them out");
            fields.opt("period", |value| value.word(PERIODS))
        }
        Some(_) => Some("every"),
        None => Some(fields.or("period", "month", "\"month\"", |value| match value.text()? {
            "provider" => Err("\"provider\" goes with sources whose provider has a period of its own".into()),
            _ => value.word(PERIODS),
        })),
    };
    let at = reset.opt("at", |value| read_time(value.text()?));
    let zone_given = reset.opt("timezone", |value| super::read_zone(known.host, value.text()?));
    let short_month = reset.opt("short_month", |value| {
        value.word(&[("last-day", ShortMonth::LastDay), ("next-day", ShortMonth::NextDay)])
    });
    let cycle = period.and_then(|period| read_cycle(&reset, period, every, from));
    if period == Some("every") && from.is_none() && !reset.has("from") {
        reset.error("from is missing: the date from which the days are counted");
    }
    let rule = Rule {
        cycle: cycle?,
        at: at.unwrap_or(Time::MIDNIGHT),
        zone: zone_given.unwrap_or_else(|| known.zone.clone()),
        short_month: short_month.unwrap_or(ShortMonth::LastDay),
    };
    refuse_what_does_not_apply(&reset, period?);
    reset.finish();
    Some(rule)
}

fn read_days(value: &Value<'_>) -> Result<u32, String> {
    const DAY: u64 = 86_400;
    let every = value.duration()?;
    let days = every.as_secs() / DAY;
    if every != Duration::from_secs(days * DAY) || !(1..=3660).contains(&days) {
        return Err("whole days are expected, such as \"30 d\"".into());
    }
    Ok(days as u32)
}

fn read_cycle(reset: &Fields<'_>, period: &str, every: Option<u32>, from: Option<Date>) -> Option<Cycle> {
    let day = reset.opt("day", |value| match value.integer()? {
        day @ (1..=31 | -31..=-1) => Ok(day as i8),
        day => Err(format!("{day} is no day of a month: 1 to 31, or -1 to -31 from its end")),
    });
    let weekday = reset.opt("weekday", |value| value.word(WEEKDAYS));
    let month = reset.opt("month", |value| match value.integer()? {
        month @ 1..=12 => Ok(month as u8),
        month => Err(format!("{month} is no month: 1 to 12")),
    });
    let (day, month) = (day.unwrap_or(1), month.unwrap_or(1));
    Some(match period {
        "hour" => Cycle::Hour,
        "day" => Cycle::Day,
        "week" => Cycle::Week { weekday: weekday.unwrap_or(Weekday::Monday) },
        "month" => Cycle::Month { day },
        "quarter" => Cycle::Quarter { month, day },
        "year" => Cycle::Year { month, day },
        "every" => Cycle::Every { days: every?, from: from? },
        _ => Cycle::Never,
    })
}

/// A key of `reset` that means nothing for the period is a mistake, not a whim.
fn refuse_what_does_not_apply(reset: &Fields<'_>, period: &str) {
    let applies: &[(&str, &[&str])] = &[
        ("day", &["month", "quarter", "year"]),
        ("short_month", &["month", "quarter", "year"]),
        ("weekday", &["week"]),
        ("month", &["quarter", "year"]),
        ("from", &["every"]),
        ("at", &["hour", "day", "week", "month", "quarter", "year", "every"]),
        ("timezone", &["hour", "day", "week", "month", "quarter", "year", "every"]),
    ];
    for (key, periods) in applies {
        if reset.has(key) && !periods.contains(&period) {
            let period = if period == "every" { "reset.every".into() } else { format!("period {period:?}") };
            reset.error_at(key, format!("it means nothing for {period}"));
        }
    }
}

/// What a quota's tiers are checked against.
struct Limits<'a> {
    allowance: Option<Amount>,
    base: UnitBase,
    known: &'a Known<'a>,
}

/// A tier before the definition of its actions is known.
struct Draft {
    tier: Tier,
}

impl Draft {
    /// With the names of its actions resolved, and what they were configured under.
    fn defined(self, quota: &Quota, known: &Known<'_>) -> Tier {
        let mut tier = self.tier;
        let settings: Vec<&str> = known
            .actions
            .iter()
            .filter(|action| tier.actions.iter().any(|rule| rule.name == action.rule.name))
            .map(|action| action.settings.as_str())
            .collect();
        let Quota { source, count, allowance, rule_key, pool, subjects, exclude, .. } = quota;
        let definition = format!(
            "{source} {count:?} {} {rule_key} {pool} {subjects:?} {exclude:?} {} {settings:?}",
            allowance.bytes, tier.key
        );
        tier.definition = fingerprint(&definition);
        tier
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): the same in every release, which the standard library's hash is not.
fn fingerprint(text: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

const DEFAULT_TIERS: [&str; 3] = ["80%", "90%", "95%"];

fn read_tiers(fields: &Fields<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    if fields.has("tier") && fields.has("tiers") {
        fields.error_at("tiers", "it is short for tier with used: leave one of them out");
    }
    let tiers: Vec<(Value<'_>, Draft)> = if let Some(list) = fields.value("tier") {
        list.read(Value::items)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|v| Some((v.clone(), full(&v, limits)?)))
            .collect()
    } else if let Some(list) = fields.value("tiers") {
        fields.opt("tiers", Value::texts);
        list.items().unwrap_or_default().into_iter().filter_map(|v| Some((v.clone(), short(&v, limits)?))).collect()
    } else {
        fields.show_default("tiers", "[\"80%\", \"90%\", \"95%\"]");
        return DEFAULT_TIERS.iter().filter_map(|text| default_tier(text, limits)).collect();
    };
    check_order(&tiers);
    tiers.into_iter().map(|(_, draft)| draft).collect()
}

fn default_tier(text: &str, limits: &Limits<'_>) -> Option<Draft> {
    let (key, at) = used(text, limits).ok()?;
    Some(Draft { tier: plain_tier(text.into(), key, Threshold::Used(at), limits) })
}

fn plain_tier(name: String, key: String, threshold: Threshold, limits: &Limits<'_>) -> Tier {
    let notify = limits.known.notifiers.iter().map(|name| (*name).to_owned()).collect();
    Tier { name, threshold, key, repeat: None, notify, actions: Vec::new(), definition: String::new() }
}

fn short(value: &Value<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let (text, (key, at)) = value.read(|value| Ok((value.text()?, used(value.text()?, limits)?)))?;
    Some(Draft { tier: plain_tier(text.into(), key, Threshold::Used(at), limits) })
}

fn full(value: &Value<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let fields = value.table()?;
    let name = fields.opt("name", |value| match value.text()? {
        "" => Err("it is empty".into()),
        name => Ok(name.to_owned()),
    });
    let threshold = read_threshold(&fields, limits);
    let repeat = fields.opt("repeat", |value| match value.duration()? {
        Duration::ZERO => Err("it must be more than nothing".into()),
        repeat => Ok(repeat),
    });
    let notify = fields.opt("notify", |value| all(&value.texts()?, |name| resolve(name, &limits.known.notifiers)));
    let actions = fields.opt("actions", |value| {
        let names = value.texts()?;
        if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
            return Err(format!("{:?} stands there twice", twice.1));
        }
        all(&names, |name| action(name, limits.known))
    });
    if actions.as_ref().is_some_and(|list| !list.is_empty()) && fields.has("exhausted_within") {
        fields.error_at("actions", "a tier of exhausted_within takes no actions: it is a forecast");
    }
    fields.finish();
    let (default_name, key, threshold) = threshold?;
    let mut tier = plain_tier(name.unwrap_or(default_name), key, threshold, limits);
    tier.repeat = repeat;
    tier.notify = notify.unwrap_or(tier.notify);
    tier.actions = actions.unwrap_or_default();
    Some(Draft { tier })
}

fn all<T>(names: &[String], resolve: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    names.iter().map(|name| resolve(name)).collect()
}

fn action(name: &str, known: &Known<'_>) -> Result<ActionRule, String> {
    let names = known.actions.iter().map(|action| action.rule.name.as_str());
    let found = known.actions.iter().find(|action| action.rule.name == name);
    found
        .map(|action| action.rule.clone())
        .ok_or_else(|| format!("there is no action {name:?}{}", nearest(name, names)))
}

/// The threshold with its name and key.
fn read_threshold(fields: &Fields<'_>, limits: &Limits<'_>) -> Option<(String, String, Threshold)> {
    let bytes = |(name, (key, at)): (String, (String, u64))| (name, key, Threshold::Used(at));
    let used = fields.opt("used", |v| Ok((v.text()?.to_owned(), used(v.text()?, limits)?))).map(bytes);
    let remaining =
        fields.opt("remaining", |v| Ok((format!("{} left", v.text()?), remaining(v.text()?, limits)?))).map(bytes);
    let within = fields.opt("exhausted_within", |value| {
        let within = value.duration()?;
        let text = duration::show(within);
        Ok((format!("used up within {text}"), format!("within {text}"), Threshold::ExhaustedWithin(within)))
    });
    let written = ["used", "remaining", "exhausted_within"].iter().filter(|key| fields.has(key)).count();
    if written != 1 {
        fields.error("exactly one of used, remaining and exhausted_within is expected");
        return None;
    }
    used.or(remaining).or(within)
}

/// The usage at which `used = "80%"` or `used = "800 GB"` is reached, with the tier's key.
fn used(text: &str, limits: &Limits<'_>) -> Result<(String, u64), String> {
    let (key, at) = match level(text, limits)? {
        Level::Percent(percent, allowance) => (format!("used {percent}%"), percent.of(allowance)),
        Level::Bytes(bytes) => (format!("used {bytes}"), bytes),
    };
    if at == 0 { Err("it would always be reached".into()) } else { Ok((key, at)) }
}

/// As [`used`], for `remaining`.
fn remaining(text: &str, limits: &Limits<'_>) -> Result<(String, u64), String> {
    let allowance = limits.allowance.map_or(u64::MAX, |allowance| allowance.bytes);
    let (key, left) = match level(text, limits)? {
        Level::Percent(percent, allowance) => (format!("remaining {percent}%"), percent.floor_of(allowance)),
        Level::Bytes(bytes) => (format!("remaining {bytes}"), bytes),
    };
    if left >= allowance {
        return Err("it is not less than the allowance: it would always be reached".into());
    }
    Ok((key, allowance - left))
}

enum Level {
    Percent(Percent, u64),
    Bytes(u64),
}

fn level(text: &str, limits: &Limits<'_>) -> Result<Level, String> {
    if text.trim_end().ends_with('%') {
        let percent = Percent::parse(text)?;
        return Ok(Level::Percent(percent, limits.allowance.map_or(u64::MAX, |allowance| allowance.bytes)));
    }
    Amount::parse(text, limits.base).map(|amount| Level::Bytes(amount.bytes))
}

/// Thresholds go from the mildest to the severest, on each of the two ladders.
fn check_order(tiers: &[(Value<'_>, Draft)]) {
    let mut highest: Option<(u64, &str)> = None;
    let mut shortest: Option<(Duration, &str)> = None;
    for (value, Draft { tier }) in tiers {
        let before = match tier.threshold {
            Threshold::Used(at) => highest.replace((at, &tier.name)).filter(|(before, _)| *before >= at).map(|b| b.1),
            Threshold::ExhaustedWithin(within) => {
                shortest.replace((within, &tier.name)).filter(|(before, _)| *before <= within).map(|b| b.1)
            }
        };
        if tiers.iter().filter(|(_, other)| other.tier.name == tier.name).count() > 1 {
            value.error(format!("two tiers have the name {:?}", tier.name));
        }
        if let Some(before) = before {
            value.error(format!("tiers out of order: {} comes after {before}", tier.name));
        }
    }
}

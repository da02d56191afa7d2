//! Quotas of the configuration: allowance, period, tiers.

mod guests;

use std::time::Duration;

use time::{Date, Time, Weekday};

use super::fields::{Fields, Value, nearest};
use super::{Channel, NamedAction, NamedSource};
use crate::host::Host;
use crate::quota::bytes::{Amount, Percent, Unit, UnitBase};
use crate::quota::duration;
use crate::quota::glob;
use crate::quota::meter::Count;
use crate::quota::period::{Cycle, Rule, ShortMonth};
use crate::quota::policy::{ActionRule, Effect, Level, Quota, Report, Threshold, Tier};
use crate::quota::zone::Zone;

/// The names a quota may use.
pub struct Known<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) zone: &'a Zone,
    sources: &'a [NamedSource],
    pub(super) notifiers: Vec<&'a str>,
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
            sources,
            notifiers: notifiers.iter().map(|channel| channel.name.as_str()).collect(),
            actions,
        }
    }
}

/// All quotas that are enabled; the built-in one where none is written, and a source is there that it is meant for.
pub fn read(root: &Fields<'_>, known: &Known<'_>) -> Vec<Quota> {
    let mut tables = root.tables("quota");
    let has_default = |source: &NamedSource| source.source.has_default_quota();
    if tables.is_empty() && (known.sources.is_empty() || known.sources.iter().any(has_default)) {
        tables.push(("month".into(), Fields::absent(root.findings(), "quota.month")));
    }
    tables.into_iter().filter_map(|(name, fields)| read_quota(name, fields, known)).collect()
}

fn read_quota(name: String, fields: Fields<'_>, known: &Known<'_>) -> Option<Quota> {
    let enabled = fields.or("enabled", true, "true", Value::boolean);
    let source = read_source(&fields, known);
    let packages = source.and_then(|source| source.source.packages());
    let guests = source.is_some_and(|source| source.source.account().is_some_and(|account| account.pve().is_some()));
    let count = fields.or("count", Count::Out, "\"out\"", |value| match value.word(COUNTS)? {
        count if count != Count::Out && packages.is_some() => {
            Err("a package knows only what it is charged for: \"out\"".into())
        }
        count => Ok(count),
    });
    let (default, shown) = match packages {
        Some(_) => (UnitBase::Binary, "1024"),
        None => (UnitBase::Thousand, "1000"),
    };
    let base = fields.or("unit_base", default, shown, |value| match value.integer()? {
        1000 => Ok(UnitBase::Thousand),
        1024 => Ok(UnitBase::Binary),
        other => Err(format!("{other} is neither 1000 nor 1024")),
    });
    let by_creation = guests && fields.has("since");
    let mut rule = read_rule(&fields, known, packages.is_some(), by_creation);
    let allowance = read_allowance(&fields, base, rule.as_ref().filter(|_| source.is_some()));
    let patterns = |key| fields.opt(key, |value| not_empty(value.texts()?)).unwrap_or_default();
    let (subjects, exclude) = (patterns("subjects"), patterns("exclude"));
    let pool = fields.or("pool", false, "false", Value::boolean);
    let since_boot =
        fields.or("first", false, "\"zero\"", |value| match value.word(&[("zero", false), ("since-boot", true)])? {
            true if packages.is_some() => Err("a package is not counted since a boot".into()),
            true if source.is_some_and(|source| !source.source.knows_boot()) => {
                Err("a tunnel server does not say since when it counts: \"zero\"".into())
            }
            since_boot => Ok(since_boot),
        });
    let nodes = source.map_or(&[][..], |source| source.source.nodes());
    let choice = guests.then(|| guests::read_choice(&fields, nodes));
    if let (Some(choice), Some(rule)) = (&choice, &mut rule) {
        guests::read_since(&fields, choice, rule);
    }
    let report = fields.opt("report_every", |value| read_report(value.text()?));
    let label = fields.opt("label", |value| value.text().map(Into::into));
    let limits = Limits { allowance, base, known };
    let (tiers, written_in) = read_tiers(&fields, &limits);
    if let Some(ids) = packages {
        check_names(&fields, &subjects, "subjects", ids);
        check_names(&fields, &exclude, "exclude", ids);
    }
    let (source, rule) = (source?, rule?);
    let unit = allowance.map(|allowance| allowance.unit).or(written_in).unwrap_or_else(|| Unit::giga(base));
    let rule_key = rule.key();
    let row_key = format!("{name} {rule_key}");
    let mut quota = Quota {
        name,
        label,
        source: source.name.clone(),
        count,
        allowance: allowance.map(|allowance| allowance.bytes),
        unit,
        packages: packages.map(|ids| ids.iter().cloned().collect()),
        choice,
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
    check_shutdown(&fields, &quota);
    guests::check_actions(&fields, &quota);
    fields.finish();
    enabled.then_some(quota)
}

/// What is allowed per period; only a provider's own period brings an allowance of its own.
fn read_allowance(fields: &Fields<'_>, base: UnitBase, rule: Option<&Rule>) -> Option<Amount> {
    let read = |value: &Value<'_>| nonzero(Amount::parse(value.text()?, base)?);
    if rule.is_none_or(Rule::is_provider) {
        if !fields.has("allowance") && rule.is_some() {
            fields.show_default("allowance", "\"the provider's total\"");
        }
        return fields.opt("allowance", read);
    }
    if fields.is_written() {
        return fields.need("allowance", read);
    }
    fields.show_default("allowance", "\"1 TB\"");
    Amount::parse("1 TB", base).ok()
}

/// Each name or glob has to mean one of the packages.
fn check_names(fields: &Fields<'_>, names: &[String], key: &str, ids: &[String]) {
    for name in names.iter().filter(|name| !ids.iter().any(|id| glob::matches(name, id))) {
        fields.error_at(
            key,
            format!("{name:?} is none of the resource_ids{}", nearest(name, ids.iter().map(String::as_str))),
        );
    }
}

/// One package used up must not take down the machine that others still pay for.
fn check_shutdown(fields: &Fields<'_>, quota: &Quota) {
    let several = quota.packages.iter().flatten().filter(|id| quota.names(id)).count() > 1;
    let here = |tier: &Tier| tier.actions.iter().any(|action| action.effect == Effect::Restart);
    let server = |tier: &Tier| tier.actions.iter().any(|action| action.effect == Effect::ServerOff);
    if several && !quota.pool && quota.tiers.iter().any(server) {
        let name = &quota.name;
        fields.findings().warn(format!(
            "quota {name:?}: each of several packages stops the same server: pool = true, or a quota for each of them?"
        ));
    }
    if several && !quota.pool && quota.tiers.iter().any(here) {
        fields.error(
            "a shutdown of this machine for one of several packages: set pool = true, or name one package in subjects",
        );
    }
}

/// What a quota counts, and an alarm looks at.
pub(super) const COUNTS: &[(&str, Count)] =
    &[("out", Count::Out), ("in", Count::In), ("sum", Count::Sum), ("max", Count::Max), ("min", Count::Min)];

pub(super) fn read_source<'a>(fields: &Fields<'_>, known: &Known<'a>) -> Option<&'a NamedSource> {
    let fits = |source: &&NamedSource| fields.is_written() || source.source.has_default_quota();
    let names: Vec<&str> = known.sources.iter().filter(fits).map(|source| source.name.as_str()).collect();
    let found = |name: &str| known.sources.iter().find(|source| source.name == name);
    // One that has errors of its own is there all the same.
    let unusable = |name| fields.findings().is_unusable("source", name);
    if fields.has("source") {
        let name = fields.opt("source", |value| match value.text()? {
            name if unusable(Some(name)) => Ok(name.to_owned()),
            name => resolve(name, &names),
        })?;
        return found(&name);
    }
    if unusable(None) {
        return None;
    }
    let only = if let [only] = names[..] { only } else { "interface" };
    if !names.contains(&only) {
        fields.error(format!("source is missing: one of {}", names.join(", ")));
        return None;
    }
    fields.show_default("source", &format!("{only:?}"));
    found(only)
}

pub(super) fn resolve(name: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("there is no {name:?}{}", nearest(name, known.iter().copied())))
}

pub(super) fn not_empty(names: Vec<String>) -> Result<Vec<String>, String> {
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

pub(super) fn read_time(text: &str) -> Result<Time, String> {
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
    ("provider", "provider"),
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
fn read_rule(fields: &Fields<'_>, known: &Known<'_>, packages: bool, by_creation: bool) -> Option<Rule> {
    let reset = fields.table("reset");
    let every = reset.opt("every", read_days);
    let from = reset.opt("from", Value::date);
    let period = match every {
        Some(_) if fields.has("period") => {
            fields.error_at("period", "reset.every stands instead of a calendar period: leave one of them out");
            fields.opt("period", |value| value.word(PERIODS))
        }
        Some(_) => Some("every"),
        None => {
            let default = if packages { "provider" } else { "month" };
            Some(fields.or("period", default, &format!("{default:?}"), |value| match value.text()? {
                "provider" if !packages => {
                    Err("\"provider\" goes with sources whose provider has a period of its own".into())
                }
                _ => value.word(PERIODS),
            }))
        }
    };
    let at = reset.opt("at", |value| read_time(value.text()?));
    let zone_given = reset.opt("timezone", |value| super::read_zone(known.host, value.text()?));
    let short_month = reset.opt("short_month", |value| {
        value.word(&[("last-day", ShortMonth::LastDay), ("next-day", ShortMonth::NextDay)])
    });
    // Each subject's own creation takes the date's place.
    let from = from.or(by_creation.then_some(Date::MIN));
    let cycle = period.and_then(|period| read_cycle(&reset, period, every, from));
    if period == Some("every") && from.is_none() && !reset.has("from") {
        reset.error("from is missing: the date from which the days are counted");
    }
    let rule = Rule {
        cycle: cycle?,
        at: at.unwrap_or(Time::MIDNIGHT),
        zone: zone_given.unwrap_or_else(|| known.zone.clone()),
        short_month: short_month.unwrap_or(ShortMonth::LastDay),
        since_creation: false,
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
        "provider" => Cycle::Provider,
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

impl Limits<'_> {
    /// In bytes; without any, as large as can be.
    fn allowance(&self) -> u64 {
        self.allowance.map_or(u64::MAX, |allowance| allowance.bytes)
    }
}

/// A tier before the definition of its actions is known.
struct Draft {
    tier: Tier,
    unit: Option<Unit>,
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
        let Quota { source, count, allowance, rule_key, pool, subjects, exclude, choice, .. } = quota;
        let choice = choice.as_ref().map(|choice| format!(" {choice:?}")).unwrap_or_default();
        let allowance = allowance.map_or_else(|| "provider".into(), |bytes| bytes.to_string());
        // Other packages in a pool make another sum of it.
        let pooled: Vec<&String> = quota.packages.iter().flatten().filter(|id| *pool && quota.names(id)).collect();
        let pooled = if pooled.is_empty() { String::new() } else { format!(" {pooled:?}") };
        let definition = format!(
            "{source} {count:?} {allowance} {rule_key} {pool} {subjects:?} {exclude:?}{pooled}{choice} {} {settings:?}",
            tier.key
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

/// The tiers, and the unit of the first amount among them.
fn read_tiers(fields: &Fields<'_>, limits: &Limits<'_>) -> (Vec<Draft>, Option<Unit>) {
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
        return (DEFAULT_TIERS.iter().filter_map(|text| default_tier(text, limits)).collect(), None);
    };
    check_order(&tiers, limits);
    let unit = tiers.iter().find_map(|(_, draft)| draft.unit);
    (tiers.into_iter().map(|(_, draft)| draft).collect(), unit)
}

fn default_tier(text: &str, limits: &Limits<'_>) -> Option<Draft> {
    let level = used(text, limits).ok()?;
    Some(Draft { tier: plain_tier(text.into(), level.key("used"), Threshold::Used(level.level), limits), unit: None })
}

fn plain_tier(name: String, key: String, threshold: Threshold, limits: &Limits<'_>) -> Tier {
    let notify = limits.known.notifiers.iter().map(|name| (*name).to_owned()).collect();
    Tier { name, threshold, key, repeat: None, notify, actions: Vec::new(), definition: String::new() }
}

fn short(value: &Value<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let (text, at) = value.read(|value| Ok((value.text()?, used(value.text()?, limits)?)))?;
    let tier = plain_tier(text.into(), at.key("used"), Threshold::Used(at.level), limits);
    Some(Draft { tier, unit: at.unit })
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
    let actions: Option<Vec<ActionRule>> = fields.opt("actions", |value| {
        let names = value.texts()?;
        if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
            return Err(format!("{:?} stands there twice", twice.1));
        }
        let usable = names.iter().filter(|name| !fields.findings().is_unusable("action", Some(name)));
        usable.map(|name| action(name, limits.known)).collect()
    });
    if actions.as_ref().is_some_and(|list| !list.is_empty()) && fields.has("exhausted_within") {
        fields.error_at("actions", "a tier of exhausted_within takes no actions: it is a forecast");
    }
    fields.finish();
    let (default_name, key, threshold, unit) = threshold?;
    let mut tier = plain_tier(name.unwrap_or(default_name), key, threshold, limits);
    tier.repeat = repeat;
    tier.notify = notify.unwrap_or(tier.notify);
    tier.actions = actions.unwrap_or_default();
    Some(Draft { tier, unit })
}

pub(super) fn all<T>(names: &[String], resolve: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    names.iter().map(|name| resolve(name)).collect()
}

fn action(name: &str, known: &Known<'_>) -> Result<ActionRule, String> {
    let names = known.actions.iter().map(|action| action.rule.name.as_str());
    let found = known.actions.iter().find(|action| action.rule.name == name);
    found
        .map(|action| action.rule.clone())
        .ok_or_else(|| format!("there is no action {name:?}{}", nearest(name, names)))
}

/// The threshold with its name, its key, and the unit it is written in.
type Found = (String, String, Threshold, Option<Unit>);

fn read_threshold(fields: &Fields<'_>, limits: &Limits<'_>) -> Option<Found> {
    let used = fields.opt("used", |value| {
        let at = used(value.text()?, limits)?;
        Ok((value.text()?.to_owned(), at.key("used"), Threshold::Used(at.level), at.unit))
    });
    let remaining = fields.opt("remaining", |value| {
        let at = remaining(value.text()?, limits)?;
        Ok((format!("{} left", value.text()?), at.key("remaining"), Threshold::Remaining(at.level), at.unit))
    });
    let within = fields.opt("exhausted_within", |value| {
        let within = value.duration()?;
        let text = duration::show(within);
        let threshold = Threshold::ExhaustedWithin(within);
        Ok((format!("used up within {text}"), format!("within {text}"), threshold, None))
    });
    let written = ["used", "remaining", "exhausted_within"].iter().filter(|key| fields.has(key)).count();
    if written != 1 {
        fields.error("exactly one of used, remaining and exhausted_within is expected");
        return None;
    }
    used.or(remaining).or(within)
}

/// A level, and the unit it is written in, if it is an amount.
struct Written {
    level: Level,
    unit: Option<Unit>,
}

impl Written {
    /// By which the state knows it: the same however it is written.
    fn key(&self, of: &str) -> String {
        match self.level {
            Level::Percent(percent) => format!("{of} {percent}%"),
            Level::Bytes(bytes) => format!("{of} {bytes}"),
        }
    }
}

/// The level of `used = "80%"` or `used = "800 GB"`.
fn used(text: &str, limits: &Limits<'_>) -> Result<Written, String> {
    let level = level(text, limits)?;
    let nothing = match level.level {
        Level::Percent(percent) => percent.of(limits.allowance()) == 0,
        Level::Bytes(bytes) => bytes == 0,
    };
    if nothing { Err("it would always be reached".into()) } else { Ok(level) }
}

/// As [`used`], for `remaining`.
fn remaining(text: &str, limits: &Limits<'_>) -> Result<Written, String> {
    let level = level(text, limits)?;
    if Threshold::Remaining(level.level).at(limits.allowance()) == Some(0) {
        return Err("it is not less than the allowance: it would always be reached".into());
    }
    Ok(level)
}

fn level(text: &str, limits: &Limits<'_>) -> Result<Written, String> {
    if text.trim_end().ends_with('%') {
        return Ok(Written { level: Level::Percent(Percent::parse(text)?), unit: None });
    }
    let amount = Amount::parse(text, limits.base)?;
    Ok(Written { level: Level::Bytes(amount.bytes), unit: Some(amount.unit) })
}

/// Thresholds go from the mildest to the severest, on each of the two ladders. What is used and what remains can be
/// compared only where the allowance is known; else each goes by itself.
fn check_order(tiers: &[(Value<'_>, Draft)], limits: &Limits<'_>) {
    let mut before: Vec<(Threshold, &str)> = Vec::new();
    for (value, Draft { tier, .. }) in tiers {
        let wrong = before.iter().rev().find(|(before, _)| !milder(*before, tier.threshold, limits));
        if let Some((_, name)) = wrong {
            value.error(format!("tiers out of order: {} comes after {name}", tier.name));
        }
        if tiers.iter().filter(|(_, other)| other.tier.name == tier.name).count() > 1 {
            value.error(format!("two tiers have the name {:?}", tier.name));
        }
        before.push((tier.threshold, &tier.name));
    }
}

/// Whether the first may stand before the second.
fn milder(first: Threshold, second: Threshold, limits: &Limits<'_>) -> bool {
    if let (Threshold::ExhaustedWithin(first), Threshold::ExhaustedWithin(second)) = (first, second) {
        return first > second;
    }
    if let Some(allowance) = limits.allowance {
        let at = |threshold: Threshold| threshold.at(allowance.bytes);
        return at(first).zip(at(second)).is_none_or(|(first, second)| first < second);
    }
    match (first, second) {
        (Threshold::Used(Level::Percent(first)), Threshold::Used(Level::Percent(second))) => first < second,
        (Threshold::Used(Level::Bytes(first)), Threshold::Used(Level::Bytes(second))) => first < second,
        (Threshold::Remaining(Level::Percent(first)), Threshold::Remaining(Level::Percent(second))) => first > second,
        (Threshold::Remaining(Level::Bytes(first)), Threshold::Remaining(Level::Bytes(second))) => first > second,
        _ => true,
    }
}

//! Alarms of the configuration: whose, on what, how long, when.

use std::time::Duration;

use super::fields::{Fields, Value};
use super::quotas::{COUNTS, Known, all, not_empty, read_source, read_time, resolve};
use super::{NamedSource, read_zone};
use crate::quota::alarm::{Alarm, Hours, Lasting, Limit, Watched};
use crate::quota::bytes::{Percent, parse_rate, show_rate};
use crate::quota::meter::Count;
use crate::quota::pulse::Load;

/// The conditions; exactly one of them makes an alarm.
const CONDITIONS: [&str; 5] = ["rate_below", "rate_above", "cpu_above", "memory_above", "silent_for"];

/// All alarms that are enabled.
pub fn read(root: &Fields<'_>, known: &Known<'_>) -> Vec<Alarm> {
    root.tables("alarm").into_iter().filter_map(|(name, fields)| read_alarm(name, fields, known)).collect()
}

fn read_alarm(name: String, fields: Fields<'_>, known: &Known<'_>) -> Option<Alarm> {
    let enabled = fields.or("enabled", true, "true", Value::boolean);
    let source = read_source(&fields, known);
    let patterns = |key| fields.opt(key, |value| not_empty(value.texts()?)).unwrap_or_default();
    let (subjects, exclude) = (patterns("subjects"), patterns("exclude"));
    let condition = read_condition(&fields, source);
    let lasting = fields.or("for", Lasting::Looks(1), "1", read_lasting);
    let between = fields.opt("between", read_hours).unwrap_or_default();
    let zone = fields.opt("timezone", |value| read_zone(known.host, value.text()?));
    if zone.is_some() && between.is_empty() {
        fields.error_at("timezone", "it means nothing without between");
    }
    let repeat = fields.opt("repeat", |value| match value.duration()? {
        Duration::ZERO => Err("it must be more than nothing".into()),
        repeat => Ok(repeat),
    });
    let notify = fields.opt("notify", |value| all(&value.texts()?, |name| resolve(name, &known.notifiers)));
    fields.finish();
    let (source, (watched, limit)) = (source?, condition?);
    enabled.then(|| Alarm {
        name,
        source: source.name.clone(),
        subjects,
        exclude,
        expected: source.source.must_report().to_vec(),
        reported: source.source.repeats(),
        watched,
        limit,
        lasting,
        between,
        zone: zone.unwrap_or_else(|| known.zone.clone()),
        repeat,
        notify: notify.unwrap_or_else(|| known.notifiers.iter().map(|name| (*name).to_owned()).collect()),
    })
}

/// What is looked at, and what of it is bad.
fn read_condition(fields: &Fields<'_>, source: Option<&NamedSource>) -> Option<(Watched, Limit)> {
    let written: Vec<&str> = CONDITIONS.into_iter().filter(|key| fields.has(key)).collect();
    let [key] = written[..] else {
        fields.error("exactly one of rate_below, rate_above, cpu_above, memory_above and silent_for is expected");
        ["of", "recover"].iter().for_each(|key| drop(fields.value(key)));
        return None;
    };
    let of = match key.starts_with("rate") {
        true => fields.or("of", Count::Max, "\"max\"", |value| value.word(COUNTS)),
        false => Count::Max,
    };
    let watched = match key {
        "rate_below" | "rate_above" => Watched::Rate(of),
        "cpu_above" => Watched::Cpu,
        "memory_above" => Watched::Memory,
        _ => Watched::Silence,
    };
    if fields.has("of") && !matches!(watched, Watched::Rate(_)) {
        fields.error_at("of", format!("it means nothing for {key}"));
    }
    if let Some(why) = source.and_then(|source| source.source.cannot_watch(watched)) {
        fields.error_at(key, why);
    }
    let limit = match watched {
        Watched::Silence => fields.opt(key, |value| read_silence(value, source)).map(Limit::From),
        _ => read_limit(fields, key, watched),
    };
    if watched == Watched::Silence && fields.has("recover") {
        fields.error_at("recover", "it means nothing for silent_for: a sign of life ends it");
    }
    Some((watched, limit?))
}

fn read_limit(fields: &Fields<'_>, key: &str, watched: Watched) -> Option<Limit> {
    let read = |value: &Value<'_>| read_value(value, watched);
    let limit = fields.opt(key, read)?;
    let tenth = limit.div_ceil(10);
    let below = key == "rate_below";
    let default = if below { limit.saturating_add(tenth) } else { limit - tenth };
    let shown = match watched {
        Watched::Rate(_) => format!("{:?}", show_rate(default)),
        _ => format!("\"{}%\"", Load(default as u32).as_percent()),
    };
    let recover = fields.or("recover", default, &shown, |value| match read(value)? {
        recover if below && recover < limit => Err("it is not less than rate_below: it would end at once".into()),
        recover if !below && recover > limit => Err(format!("it is not more than {key}: it would end at once")),
        recover => Ok(recover),
    });
    Some(if below { Limit::Below(limit, recover) } else { Limit::Above(limit, recover) })
}

fn read_value(value: &Value<'_>, watched: Watched) -> Result<u64, String> {
    let text = value.text()?;
    if let Watched::Rate(_) = watched {
        return parse_rate(text).map_err(|_| format!("{text:?} is no rate above nothing such as \"10 Mbps\""));
    }
    let percent = Percent::parse(text)?.as_f64();
    let load = Load::percent(percent).filter(|_| percent > 0.0 && percent < 100.0);
    load.map(|load| u64::from(load.0)).ok_or_else(|| format!("{text:?} is not between 0 and 100 %"))
}

fn read_silence(value: &Value<'_>, source: Option<&NamedSource>) -> Result<u64, String> {
    let silent = value.duration()?;
    if silent.is_zero() {
        return Err("it must be more than nothing".into());
    }
    if let Some(every) = source.and_then(|source| source.every).filter(|every| *every >= silent) {
        let every = crate::quota::duration::show(every);
        return Err(format!("the source is asked only every {every}: more than that is expected"));
    }
    u64::try_from(silent.as_millis()).map_err(|_| "it is too long".into())
}

fn read_lasting(value: &Value<'_>) -> Result<Lasting, String> {
    match value.integer() {
        Ok(looks @ 1..=10_000) => Ok(Lasting::Looks(looks as u32)),
        Ok(looks) => Err(format!("{looks} is no number of runs: 1 to 10000")),
        Err(_) => {
            let time = value.duration().map_err(|error| format!("{error}; or a number of runs in a row"))?;
            Ok(Lasting::Time(time))
        }
    }
}

/// `"22:00-02:00"`, or several of them.
fn read_hours(value: &Value<'_>) -> Result<Vec<Hours>, String> {
    match value.text() {
        Ok(text) => Ok(vec![hours(text)?]),
        Err(_) => {
            let texts = value.texts().map_err(|_| "hours such as \"22:00-02:00\" are expected, or a list of them")?;
            not_empty(texts)?.iter().map(|text| hours(text)).collect()
        }
    }
}

fn hours(text: &str) -> Result<Hours, String> {
    let wrong = || format!("{text:?} is not hours such as \"22:00-02:00\"");
    let (from, until) = text.split_once('-').ok_or_else(wrong)?;
    // The end of the day is midnight.
    let until = if until.trim() == "24:00" { "00:00" } else { until.trim() };
    let (from, until) = (read_time(from.trim()).map_err(|_| wrong())?, read_time(until).map_err(|_| wrong())?);
    if from == until {
        return Err(format!("{text:?} has no hours: leave it out for all day"));
    }
    Ok(Hours { from, until })
}

#[cfg(test)]
mod tests;

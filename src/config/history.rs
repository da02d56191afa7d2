//! Where the history is and for how long it is kept.
//!
//! Why there are least times: what runs is never cut. A year's report is told by the edges of days from its start on, a
//! day's by the edges of hours, wherever on earth it is; the samples in between are those of a chart of a day.

use std::time::Duration;

use super::fields::{Fields, Value};
use super::secret::Keeper;
use crate::history::Keep;
use crate::history::place::{Place, Roots, Server};
use crate::host;
use crate::quota::duration;
use crate::secret::Secret;

/// The settings of the history.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// A sample is due so long after the last one.
    pub every: Duration,
    /// For how long rows are kept.
    pub keep: Keep,
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// How long rows of each grain have to be kept at least: a day, a day in any zone, a year.
const LEAST: [(&str, Duration); 3] =
    [("samples", DAY), ("hours", DAY.saturating_mul(2)), ("days", DAY.saturating_mul(400))];

/// Reads `url`, `password`, `every` and `keep`.
pub fn read(fields: Fields<'_>, keeper: &Keeper<'_>) -> Settings {
    let place = read_place(&fields, keeper).unwrap_or(Place::Sqlite(None));
    let every = fields.or("every", 5 * MINUTE, "\"5 min\"", |value| {
        let every = value.duration()?;
        if (MINUTE..=DAY).contains(&every) { Ok(every) } else { Err("between 1 min and 1 d is expected".into()) }
    });
    let keep = read_keep(&fields);
    fields.finish();
    Settings { place, every, keep }
}

/// None when something is wrong, which is then reported.
fn read_place(fields: &Fields<'_>, keeper: &Keeper<'_>) -> Option<Place> {
    if !fields.has("url") {
        fields.show_default("url", "\"sqlite:\"");
    }
    let written = fields.partly_hidden("url", Place::shown, |value| Place::parse(value.text()?));
    let password = keeper.opt(fields, "password");
    let mut place = if fields.has("url") { written? } else { Place::Sqlite(None) };
    match &mut place {
        Place::Server(server) => {
            if let Some(password) = &server.password {
                keeper.literal(password);
                if fields.has("password") {
                    fields.error_at("password", "url has one too: leave one of them out");
                }
            }
            set_password(server, password);
            read_roots(fields, keeper, server);
        }
        _ if fields.has("password") => {
            fields.error_at("password", "there is no server that asks for it: url names none")
        }
        _ => {}
    }
    Some(place)
}

/// One that was not resolved is empty, and is none.
fn set_password(server: &mut Server, password: Option<Secret>) {
    if let Some(password) = password.filter(|password| !password.expose().is_empty()) {
        server.password = Some(password);
    }
}

fn read_roots(fields: &Fields<'_>, keeper: &Keeper<'_>, server: &mut Server) {
    let Some(Roots::File { path, pem }) = server.tls.roots_mut() else { return };
    let read = keeper.bytes(path).and_then(|read| match read {
        Some(read) => host::Roots::from_pem(&read).map(|_| read).map_err(|why| format!("{}: {why}", path.display())),
        None => Ok(Vec::new()),
    });
    match read {
        Ok(read) => *pem = read,
        Err(why) => fields.error_at("url", why),
    }
}

fn read_keep(fields: &Fields<'_>) -> Keep {
    let table = fields.table("keep");
    let usual = Keep::default();
    let read = |(key, least), usual, shown| table.or(key, usual, shown, |value| read_time(value, least));
    let samples = read(LEAST[0], usual.samples, "\"14 d\"");
    let hours = read(LEAST[1], usual.hours, "\"90 d\"");
    let days = read(LEAST[2], usual.days, "\"forever\"");
    let keep = [("samples", samples), ("hours", hours), ("days", days)];
    for pair in keep.windows(2) {
        let [(key, time), (longer, most)] = pair else { continue };
        // None is for good: the longest of all.
        if most.is_some() && time.is_none_or(|time| Some(time) > *most) {
            let (time, most) = (shown(*time), shown(*most));
            table.error_at(key, format!("{time} is longer than {longer} = {most}: of these rows those are some"));
        }
    }
    table.finish();
    Keep { samples, hours, days }
}

fn read_time(value: &Value<'_>, least: Duration) -> Result<Option<Duration>, String> {
    if value.text()? == "forever" {
        return Ok(None);
    }
    match value.duration()? {
        time if time < least => Err(format!("at least {} or \"forever\" is expected", duration::show(least))),
        time => Ok(Some(time)),
    }
}

fn shown(time: Option<Duration>) -> String {
    time.map_or("\"forever\"".into(), |time| format!("\"{}\"", duration::show(time)))
}

#[cfg(test)]
mod tests;

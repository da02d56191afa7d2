//! Shows the saved state: as a table, or as the JSON document that scripts rely on. Takes no lock, cannot save.

pub mod alarms;
mod nagios;
mod prometheus;
mod table;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;

use crate::config::Config;
use crate::quota::health::NODE;
use crate::quota::instant::Instant;
use crate::quota::message::{NAME, tier_name};
use crate::quota::policy::{View, due_again};
use crate::quota::state::{Claim, Held, Row as Memory, SourceState, State};
use crate::quota::text::clean;
use crate::quota::zone::Zone;

pub use nagios::{Service, nagios};
pub use prometheus::prometheus;
pub use table::{Look, table};

/// The version of the JSON document: raised when a field changes its meaning.
const VERSION: u64 = 1;

/// The JSON document of `check --json` and `status --json`.
pub fn document(config: &Config, state: &State, now: Instant) -> Value {
    let quotas: Vec<Value> = rows(config, state).iter().map(|row| quota(row, config, now)).collect();
    let pending: Vec<Value> =
        state.outbox.iter().filter_map(|(name, outbox)| pending(name, outbox, &config.zone)).collect();
    let problem = |(key, problem): (&String, &crate::quota::state::Problem)| json!({"about": key, "text": problem.text, "since": rfc3339(&config.zone, problem.since)});
    let problems: Vec<Value> = state.problems.iter().map(problem).collect();
    let alarms = alarms::rows(config, state);
    let things = state.held.iter().flat_map(|(thing, held)| self::held(thing, held, &config.zone));
    let held: Vec<Value> = things.chain(held_guests(state, &config.zone)).collect();
    json!({
        "version": VERSION,
        "at": rfc3339(&config.zone, now),
        "checked_at": state.clock.at.map(|at| rfc3339(&config.zone, at)),
        "quotas": quotas,
        "alarms": alarms.iter().map(|row| alarms::document(row, config, now)).collect::<Vec<_>>(),
        "held": held,
        "pending": pending,
        "problems": problems,
    })
}

/// One quota's view of one subject, and how its source is.
pub struct Row<'a> {
    /// The view.
    pub view: View<'a>,
    source: &'a SourceState,
    /// The source answered, and had no figure of it.
    silent: bool,
    rows: &'a BTreeMap<String, Box<Memory>>,
    problem_after: std::time::Duration,
}

impl Row<'_> {
    /// Whether the figure is old: its source has a problem with it, or nothing has run for long.
    pub fn stale(&self, now: Instant) -> bool {
        let age = now.since(self.view.as_of);
        let health = &self.source.health;
        let pool = self.view.quota.pool;
        let member = || health.keys().any(|subject| !subject.starts_with(NODE) && self.view.quota.names(subject));
        let missing = health.contains_key("") || health.contains_key(self.view.subject) || (pool && member());
        missing || self.silent || self.view.awaits_renewal(now) || age >= self.problem_after
    }
}

/// Every subject of every quota that has a figure.
pub fn rows<'a>(config: &'a Config, state: &'a State) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for quota in &config.quotas {
        let Some(source) = state.sources.get(&quota.source) else { continue };
        let settings = config.sources.iter().find(|named| named.name == quota.source);
        let problem_after = settings.map_or(std::time::Duration::ZERO, |named| {
            named.problem_after.max(named.every.map_or(std::time::Duration::ZERO, |every| every * 2))
        });
        for (name, subject) in quota.rows(source) {
            let row = |view| Row { view, source, silent: subject.silent, rows: &subject.rows, problem_after };
            rows.extend(View::of(quota, name, subject).map(row));
        }
    }
    rows
}

fn quota(row: &Row<'_>, config: &Config, now: Instant) -> Value {
    let view = &row.view;
    let zone = &view.quota.rule.zone;
    let time = |at: Instant| rfc3339(zone, at);
    let forecast = view
        .forecast()
        .map(|forecast| json!({"at_end": forecast.at_end, "exhausted_at": forecast.exhausted_at.map(time)}));
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("quota", json!(view.quota.name));
    put("label", json!(view.quota.label));
    put("subject", json!(view.subject));
    put("source", json!(view.quota.source));
    if let Some(guest) = view.guest {
        put("name", json!(guest.name));
        put("node", json!(guest.node));
    }
    put("count", json!(view.quota.count));
    put("used", json!(view.used));
    put("allowance", json!(view.allowance));
    put("remaining", json!(view.remaining()));
    put("percent", json!(view.percent().as_f64()));
    put(
        "period",
        json!({
            "kind": view.quota.rule.cycle.name(),
            "start": time(view.ledger.period.start),
            "end": view.ledger.period.end.map(time),
        }),
    );
    put("tier", json!(view.tier().map(tier_name)));
    put("forecast", json!(forecast));
    put("as_of", json!(rfc3339(&config.zone, view.as_of)));
    put("stale", json!(row.stale(now)));
    put("estimated", json!(view.ledger.estimated()));
    put("implausible", json!(view.ledger.implausible()));
    put("awaiting_renewal", json!(view.awaits_renewal(now)));
    put("actions", json!(actions(row, &time)));
    put("calibrated", json!(view.ledger.calibrated.get(&view.quota.count).map(|c| time(c.at))));
    Value::Object(fields)
}

/// What became of the tiers' actions in this period.
fn actions(row: &Row<'_>, time: &dyn Fn(Instant) -> String) -> Vec<Value> {
    let quota = row.view.quota;
    let Some(known) = row.rows.get(&quota.row_key) else { return Vec::new() };
    let mut actions = Vec::new();
    for tier in &quota.tiers {
        for (action, deed) in known.tiers.get(&tier.key).into_iter().flat_map(|mark| &mark.deeds) {
            actions.push(json!({
                "tier": tier_name(tier),
                "action": action,
                "status": deed.status,
                "at": time(deed.at),
                "due": deed.due.map(time),
                "tries": deed.tries,
            }));
        }
    }
    actions
}

/// What was done and is to be undone, once for each quota that needs it.
fn held(thing: &str, held: &Held, zone: &Zone) -> Vec<Value> {
    let claim = |claim: &Claim| {
        json!({
            "action": held.action,
            "thing": thing,
            "quota": claim.quota,
            "source": claim.source,
            "subject": claim.subject,
            "since": rfc3339(zone, held.since),
            "lifting": held.lifting.as_ref().map(|order| rfc3339(zone, order.at)),
        })
    };
    held.claims.iter().map(claim).collect()
}

/// Each need of a guest that is held.
fn held_guests(state: &State, zone: &Zone) -> Vec<Value> {
    let mut rows = Vec::new();
    for (source, guests) in &state.guests {
        for (subject, held) in guests.iter().filter(|(subject, _)| is_held(state, source, subject)) {
            rows.extend(held.needs.iter().map(|need| {
                json!({
                    "action": need.action,
                    "thing": format!("guest {subject}"),
                    "quota": need.quota,
                    "source": source,
                    "subject": subject,
                    "since": rfc3339(zone, need.since),
                    "lifting": held.lifting.map(|at| rfc3339(zone, at)),
                })
            }));
        }
    }
    rows
}

/// Whether a guest that its source still lists is held.
pub fn is_held(state: &State, source: &str, subject: &str) -> bool {
    let known = state.sources.get(source).and_then(|source| source.subjects.get(subject));
    known.is_none_or(|known| known.gone.is_none())
}

fn pending(name: &str, outbox: &crate::quota::state::Outbox, zone: &Zone) -> Option<Value> {
    let items: Vec<Value> =
        outbox.items.iter().map(|item| json!({"title": item.title, "since": rfc3339(zone, item.at)})).collect();
    let not_before = outbox.not_before.map(|at| rfc3339(zone, at));
    (!items.is_empty()).then(|| json!({"notifier": name, "messages": items, "not_before": not_before}))
}

/// RFC 3339 with the zone's offset.
fn rfc3339(zone: &Zone, at: Instant) -> String {
    zone.local(at).format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

/// Nodes that a quota names, and that report nothing it could meter.
fn uncounted(config: &Config, state: &State) -> Vec<String> {
    let mut remarks = Vec::new();
    for (name, source) in &state.sources {
        let named = |node: &&String| config.quotas.iter().any(|quota| quota.source == *name && quota.names(node));
        let nodes: Vec<String> = source.uncounted.iter().filter(named).map(|node| clean(node, NAME)).collect();
        if !nodes.is_empty() {
            let nodes = nodes.join(", ");
            remarks.push(format!(
                "unmetered: {nodes} of source {name:?}: no cumulative counters (netquota push has them)"
            ));
        }
    }
    remarks
}

/// The problems that a person has to know of, with how long messages have waited.
pub fn remarks(config: &Config, state: &State, now: Instant) -> Vec<String> {
    let mut remarks = alarms::remarks(config, state, now);
    remarks.extend(state.problems.values().map(|problem| format!("problem: {}", problem.text)));
    remarks.extend(uncounted(config, state));
    for (name, outbox) in &state.outbox {
        if let Some(oldest) = outbox.items.iter().map(|item| item.at).min() {
            let since = crate::quota::message::local(&config.zone, oldest);
            remarks.push(format!("pending: {} for notifier {name:?}, since {since}", outbox.items.len()));
        }
    }
    for (thing, held) in &state.held {
        let since = crate::quota::message::local(&config.zone, held.since);
        let lifting = if held.lifting.is_some() { ", being undone" } else { "" };
        remarks.push(format!("held: {thing} by action {:?}, since {since}{lifting}", held.action));
    }
    for (source, guests) in &state.guests {
        for (subject, held) in guests.iter().filter(|(subject, _)| is_held(state, source, subject)) {
            let since = crate::quota::message::local(&config.zone, held.since);
            let actions = held.needs.iter().map(|need| format!("{:?}", need.action)).collect::<Vec<_>>().join(", ");
            let lifting = if held.lifting.is_some() { ", being undone" } else { "" };
            remarks.push(format!("held: guest {subject} of source {source:?} by {actions}, since {since}{lifting}"));
        }
    }
    if let Some(at) = state.clock.at
        && due_again(at, std::time::Duration::from_secs(86_400), now)
    {
        let at = crate::quota::message::local(&config.zone, at);
        remarks.push(format!("problem: the last check was at {at}: is the cron line or the timer there?"));
    }
    remarks
}

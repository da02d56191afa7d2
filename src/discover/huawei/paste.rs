//! The configuration for what there is.
//!
//! Invariant: whatever an instance or a product is called, what is printed is TOML that says what this module says:
//! names become plain keys, or texts in quotes, or comments that end with their line.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::super::toml::{Keys, key, quoted, slug};
use super::survey::{Seen, Survey};
use crate::api::huawei::inventory::{Holds, Instance, Standing};
use crate::quota::instant::Instant;
use crate::quota::text::clean;

/// Characters of a name at the most, in texts and comments.
const NAME: usize = 60;

/// Some packages that one quota watches, and the servers that it stops.
struct Watch<'a> {
    /// What people call it; none: packages of no instance.
    instance: Option<&'a Instance>,
    /// The quota's name.
    key: String,
    packages: Vec<&'a str>,
    stops: Vec<Stop<'a>>,
}

/// A server that is to be stopped.
struct Stop<'a> {
    /// The action's name.
    key: String,
    server: &'a str,
    region: &'a str,
}

/// The lines; none when there is nothing to watch.
pub fn paste(survey: &Survey<'_>, source: &str, now: Instant) -> Option<String> {
    let watches = watches(survey, now);
    if watches.is_empty() {
        return None;
    }
    let mut text = source_table(survey, source, &watches, now);
    let alone = watches.len() == 1;
    for watch in &watches {
        text += &quota_table(watch, source, alone);
    }
    if watches.iter().any(|watch| !watch.stops.is_empty()) {
        text += "\n# Stopping needs the permission ecs:cloudServers:stop. Once stopped, a server stays off, unless start_on_renewal = true.\n";
    }
    for watch in &watches {
        watch.stops.iter().for_each(|stop| text += &action_table(watch, stop, source, survey));
    }
    Some(text)
}

/// A quota for each instance, so that each stops its own servers, and one for all other packages.
fn watches<'a>(survey: &'a Survey<'_>, now: Instant) -> Vec<Watch<'a>> {
    let (mut quotas, mut actions) = (Keys::default(), Keys::default());
    let mut watches = Vec::new();
    for instance in &survey.instances {
        let own = instance.packages.iter().map(String::as_str).filter(|id| is_watched(survey, id, now));
        let packages: Vec<&str> = own.collect::<BTreeSet<_>>().into_iter().collect();
        if !packages.is_empty() {
            let stops = stops(survey, instance, &mut actions);
            let key = quotas.take(&slug(&instance.name, "instance"));
            watches.push(Watch { instance: Some(instance), key, packages, stops });
        }
    }
    let is_traffic = |holds: &Holds| matches!(holds, Holds::Traffic { .. });
    let free = survey.packages.iter().filter(|listed| is_traffic(&listed.holds) && survey.owner(&listed.id).is_none());
    let free = free.map(|listed| listed.id.as_str()).filter(|id| is_watched(survey, id, now));
    let packages: Vec<&str> = free.collect::<BTreeSet<_>>().into_iter().collect();
    if !packages.is_empty() {
        watches.push(Watch { instance: None, key: quotas.take("packages"), packages, stops: Vec::new() });
    }
    watches
}

/// Whether there is, or may be, something to meter: an instance may know of a package that billing does not list.
fn is_watched(survey: &Survey<'_>, id: &str, now: Instant) -> bool {
    survey
        .package(id)
        .is_none_or(|listed| !listed.is_over(now) && listed.standing != Standing::Ahead && listed.holds != Holds::Other)
}

/// The servers that are there, or may be.
fn stops<'a>(survey: &Survey<'_>, instance: &'a Instance, keys: &mut Keys) -> Vec<Stop<'a>> {
    let Some(region) = &instance.region else { return Vec::new() };
    let there = instance.servers.iter().filter(|id| survey.servers.get(*id) != Some(&Seen::Absent));
    let name = slug(&instance.name, "server");
    there.map(|server| Stop { key: keys.take(&format!("stop-{name}")), server, region }).collect()
}

fn source_table(survey: &Survey<'_>, source: &str, watches: &[Watch<'_>], now: Instant) -> String {
    let mut text = format!("[source.{}]\n", key(source));
    if source != "huawei" {
        text += "kind = \"huawei\"\n";
    }
    text += &written(survey);
    if !survey.access.written.iter().any(|(key, _)| key == "every") {
        text += "every = \"10 min\" # billing lags behind anyway\n";
    }
    text += "resource_ids = [\n";
    let mut ids = BTreeSet::new();
    for (watch, id) in watches.iter().flat_map(|watch| watch.packages.iter().map(move |id| (watch, *id))) {
        if ids.insert(id) {
            let _ = writeln!(text, "  {}, # {}", quoted(id), remark(survey, watch, id));
        }
    }
    text += "]\n";
    let gone = survey.packages.iter().filter(|listed| listed.holds != Holds::Other);
    let gone = gone.filter(|listed| !is_watched(survey, &listed.id, now)).count();
    if gone > 0 {
        let _ = writeln!(text, "# left out, since they are over or not yet in effect: {gone}");
    }
    text
}

/// Whose package it is, in a comment.
fn remark(survey: &Survey<'_>, watch: &Watch<'_>, id: &str) -> String {
    let listed = survey.package(id);
    let product = listed.map(|listed| listed.product.as_str());
    let name = watch.instance.map(|instance| instance.name.as_str()).or(product).unwrap_or_default();
    let unlisted =
        if listed.is_none() && survey.has_all_packages { " (not among the packages of the billing)" } else { "" };
    format!("{}{unlisted}", clean(name, NAME))
}

/// What the configuration says of the account, secrets excepted.
fn written(survey: &Survey<'_>) -> String {
    let mut text = String::new();
    let mut kept = Vec::new();
    for (key, value) in survey.access.written {
        let line = format!("{key} = {value}\n");
        // Of a table with a head of its own there is no value in one piece.
        if value.contains("(redacted)") || line.parse::<::toml::Table>().is_err() {
            kept.push(key.as_str());
        } else {
            text += &line;
        }
    }
    if !kept.is_empty() {
        let _ = writeln!(text, "# keep the lines you have for: {}", kept.join(", "));
    }
    if survey.site_is_a_guess {
        text += "# the site could not be found out: it is china, international or europe\n";
    }
    text
}

fn quota_table(watch: &Watch<'_>, source: &str, alone: bool) -> String {
    let mut text = format!("\n[quota.{}]\n", watch.key);
    if let Some(instance) = watch.instance.filter(|instance| !instance.name.is_empty()) {
        let _ = writeln!(text, "label = {}", quoted(&clean(&instance.name, NAME)));
    }
    let _ = writeln!(text, "source = {}", quoted(source));
    if !alone {
        let ids: Vec<String> = watch.packages.iter().map(|id| quoted(id)).collect();
        let _ = writeln!(text, "subjects = [{}]", ids.join(", "));
    }
    if watch.instance.is_some() && watch.packages.len() > 1 {
        text += "pool = true # the packages of one instance count together\n";
    }
    let actions: Vec<String> = watch.stops.iter().map(|stop| quoted(&stop.key)).collect();
    if watch.instance.is_some() && actions.is_empty() {
        text += "# nothing stops a server here: the instance has none that ECS knows\n";
    }
    let actions = if actions.is_empty() { String::new() } else { format!(", actions = [{}]", actions.join(", ")) };
    let _ = writeln!(
        text,
        "tier = [\n  {{ used = \"80%\" }},\n  {{ used = \"90%\", repeat = \"6 h\" }},\n  {{ used = \"98%\"{actions} }},\n]"
    );
    text
}

fn action_table(watch: &Watch<'_>, stop: &Stop<'_>, source: &str, survey: &Survey<'_>) -> String {
    let mut text = format!("\n[action.{}]\nkind = \"stop-server\"\nsource = {}\n", stop.key, quoted(source));
    let _ = writeln!(text, "server_id = {}\nregion = {}", quoted(stop.server), quoted(stop.region));
    if let Some(project) = watch.instance.and_then(|instance| instance.project.as_ref()) {
        let _ = writeln!(text, "project_id = {}", quoted(project));
    }
    if survey.servers.get(stop.server) == Some(&Seen::Unseen) {
        text += "# it could not be looked at, which needs the permission ecs:cloudServers:get\n";
    }
    text
}

//! What quotas on guests have of their own: which guests, since when, and what may be done to them.

use super::not_empty;
use crate::config::fields::{Fields, Value, nearest};
use crate::quota::guest::{Choice, Kind, Named};
use crate::quota::period::{Cycle, Rule};
use crate::quota::policy::{Effect, Quota};

/// Reads which guests a quota is about, of those on the source's nodes.
pub fn read_choice(fields: &Fields<'_>, of_source: &[String]) -> Choice {
    let names = |key| fields.opt(key, |value| not_empty(value.texts()?)).unwrap_or_default();
    let kinds = &[("qemu", Kind::Qemu), ("lxc", Kind::Lxc)];
    let guests = fields.opt("guests", |value| {
        let items = value.items()?;
        if items.is_empty() {
            return Err("at least one guest is expected; leave it out for all".into());
        }
        items.iter().map(read_guest).collect()
    });
    let types = fields.opt("types", |value| {
        let items = value.items()?;
        if items.is_empty() {
            return Err("at least one of \"qemu\" and \"lxc\" is expected; leave it out for both".into());
        }
        items.iter().map(|item| item.word(kinds)).collect()
    });
    Choice {
        guests: guests.unwrap_or_default(),
        tags: names("tags"),
        pools: names("pools"),
        nodes: fields.opt("nodes", |value| read_nodes(value, of_source)).unwrap_or_else(|| of_source.to_vec()),
        types: types.unwrap_or_default(),
        nics: fields.opt("nics", |value| read_nics(value)).unwrap_or_default(),
    }
}

fn read_nodes(value: &Value<'_>, of_source: &[String]) -> Result<Vec<String>, String> {
    let names = not_empty(value.texts()?)?;
    match names.iter().find(|name| !of_source.is_empty() && !of_source.contains(name)) {
        Some(other) => Err(format!(
            "{other:?} is none of the source's nodes{}",
            nearest(other, of_source.iter().map(String::as_str))
        )),
        None => Ok(names),
    }
}

/// NICs as the configuration of their guest calls them, and bridges.
fn read_nics(value: &Value<'_>) -> Result<Vec<String>, String> {
    let names = not_empty(value.texts()?)?;
    match names.iter().find(|name| name.starts_with("eth")) {
        Some(inner) => Err(format!("{inner:?} is what a guest calls it: \"net0\" or a bridge is expected")),
        None => Ok(names),
    }
}

fn read_guest(value: &Value<'_>) -> Result<Named, String> {
    if let Ok(number) = value.integer() {
        return u32::try_from(number).map(Named::Vmid).map_err(|_| format!("{number} is no number of a guest"));
    }
    match value.text().map_err(|_| "a number such as 100 or a name is expected".to_owned())? {
        "" => Err("it is empty".into()),
        text => Ok(Named::Text(text.to_owned())),
    }
}

/// Reads `since = "creation"`: each guest's periods begin on the day it was made.
pub fn read_since(fields: &Fields<'_>, choice: &Choice, rule: &mut Rule) {
    if fields.opt("since", |value| value.word(&[("creation", ())])).is_none() {
        return;
    }
    if choice.types == [Kind::Lxc] {
        fields.error_at("since", "Proxmox VE does not know when a container was made: set types = [\"qemu\"]");
    }
    match rule.cycle {
        Cycle::Hour | Cycle::Day | Cycle::Never | Cycle::Provider => {
            fields.error_at("since", format!("it means nothing for period {:?}", rule.cycle.name()));
        }
        _ => rule.since_creation = true,
    }
    let reset = fields.table("reset");
    for key in ["day", "weekday", "month", "from"].into_iter().filter(|key| reset.has(key)) {
        reset.error_at(key, "since = \"creation\" says it: leave one of them out");
    }
}

/// What is done to a guest needs one, and a guest's quota must not take down the machine that watches it.
pub fn check_actions(fields: &Fields<'_>, quota: &Quota) {
    for action in quota.tiers.iter().flat_map(|tier| &tier.actions) {
        let name = &action.name;
        match action.effect {
            Effect::GuestOff | Effect::Kept(_) if quota.choice.is_none() => fields.error(format!(
                "action {name:?} is done to a guest, and source {:?} has none: it goes with sources of kind pve",
                quota.source
            )),
            Effect::GuestOff if quota.pool => fields.error(format!(
                "action {name:?} for a pool would have to be done to each guest once: set its keep_down = true, or leave pool out"
            )),
            Effect::Restart if quota.choice.is_some() => fields.error(format!(
                "action {name:?} would shut down this machine for a guest: pve-shutdown shuts down the guest"
            )),
            _ => {}
        }
    }
    if quota.pool && quota.rule.since_creation {
        fields.error_at("since", "the guests of a pool were made on different days");
    }
}

//! The tables: nodes, guests, tags, pools, and what the token may. Subjects are never cut, since they are there to be
//! copied.

use std::collections::BTreeMap;

use super::super::{NOTHING, known, table};
use super::needs::{Need, Standing};
use super::survey::Survey;
use crate::api::pve::guests::Row;
use crate::api::pve::rights::Node;
use crate::quota::text::clean;

/// Columns of a name at the most.
const NAME: usize = 32;
/// Columns of a word at the most.
const WORD: usize = 24;
/// Paths that are named at the most.
const NAMED: usize = 3;

/// The tables that there is something to say in.
pub fn tables(survey: &Survey) -> Vec<String> {
    let version = survey.version.as_ref().map(|version| format!("Proxmox VE {}\n", clean(version, WORD)));
    let nodes = table(["NODE", "STATUS"], survey.nodes.iter().map(node).collect());
    let head = ["GUEST", "NAME", "NODE", "STATUS", "TAGS", "POOL", "MARKS"];
    let guests = table(head, survey.guests.iter().map(guest).collect());
    let counted = |counts: Vec<(String, usize)>| {
        counts.into_iter().map(|(name, count)| [clean(&name, NAME), count.to_string()]).collect()
    };
    let tags = table(["TAG", "GUESTS"], counted(tags(survey.guests.iter())));
    let pools = table(["POOL", "GUESTS"], counted(pools(&survey.guests)));
    [version, nodes, guests, tags, pools].into_iter().flatten().collect()
}

fn node(node: &Node) -> [String; 2] {
    [clean(&node.node, NAME), known(&clean(&node.status, WORD))]
}

fn guest(row: &Row) -> [String; 7] {
    let guest = &row.guest;
    [
        row.id.to_string(),
        known(&clean(&guest.name, NAME)),
        clean(&guest.node, NAME),
        known(&clean(&row.status, WORD)),
        known(&clean(&guest.tags().collect::<Vec<_>>().join(", "), NAME)),
        guest.pool.as_ref().map_or_else(|| NOTHING.into(), |pool| clean(pool, NAME)),
        known(&marks(row)),
    ]
}

fn marks(row: &Row) -> String {
    let template = row.template.then(|| "template".to_owned());
    let managed = row.managed.then(|| "HA".to_owned());
    let lock = row.guest.lock.as_ref().map(|lock| format!("locked ({})", clean(lock, WORD)));
    [template, managed, lock].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// All tags, whatever their case, with how many guests have them: the most used first.
pub fn tags<'r>(guests: impl Iterator<Item = &'r Row>) -> Vec<(String, usize)> {
    let own = |row: &Row| {
        let tags = row.guest.tags().map(|tag| (tag.to_lowercase(), tag.to_owned()));
        tags.collect::<BTreeMap<_, _>>()
    };
    most_used(guests.flat_map(own))
}

/// All pools with how many guests are in them: the largest first.
fn pools(guests: &[Row]) -> Vec<(String, usize)> {
    most_used(guests.iter().filter_map(|row| row.guest.pool.clone()).map(|pool| (pool.clone(), pool)))
}

/// Names by what makes them the same, with how many there are of each.
fn most_used(names: impl Iterator<Item = (String, String)>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (key, name) in names {
        counts.entry(key).or_insert((name, 0)).1 += 1;
    }
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// What the token may.
pub fn rights(token: &str, needs: &[Need]) -> String {
    let row = |need: &Need| {
        let standing = if need.asked { told(&need.standing) } else { format!("{} (optional)", told(&need.standing)) };
        [need.privilege.to_owned(), need.place.to_owned(), need.purpose.to_owned(), standing]
    };
    let rows = table(["PRIVILEGE", "ON", "FOR", "THE TOKEN"], needs.iter().map(row).collect());
    format!("token {}\n\n{}", clean(token, 2 * NAME), rows.unwrap_or_default())
}

fn told(standing: &Standing) -> String {
    match standing {
        Standing::Has => "has it".into(),
        Standing::Only(paths) => format!("has it on {} only", several(paths)),
        Standing::LacksOn(paths) => format!("lacks it on {}", several(paths)),
        Standing::Lacks => "lacks it".into(),
        Standing::Unknown => NOTHING.into(),
    }
}

fn several(paths: &[String]) -> String {
    let named: Vec<String> = paths.iter().take(NAMED).map(|path| clean(path, NAME)).collect();
    let more = paths.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

//! What `serve` asks of those who come: passwords of nodes, the token of readers, and its limits.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::Fields;
use super::secret::Keeper;
use crate::fleet::report;
use crate::secret::Secret;

/// The settings of `serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who has it may read and send test messages; without one nobody may.
    pub read_token: Option<Secret>,
    /// Of the nodes that have none of their own.
    pub report_password: Option<Secret>,
    /// By node.
    pub node_passwords: BTreeMap<String, Secret>,
    /// It ends when nobody has come for so long.
    pub idle_exit: Duration,
    /// Nodes that may report at the most.
    pub max_nodes: usize,
}

/// When nothing is written, and when what is written cannot be read.
pub const IDLE_EXIT: Duration = Duration::from_secs(30);
const IDLE_EXITS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const MAX_NODES: usize = 1000;

/// Reads the table; none when nobody wrote it.
pub fn read(fields: Fields<'_>, keeper: &Keeper<'_>) -> Option<Settings> {
    if !fields.is_written() {
        return None;
    }
    let settings = Settings {
        read_token: keeper.opt(&fields, "read_token"),
        report_password: keeper.opt(&fields, "report_password"),
        node_passwords: read_passwords(fields.table("node_passwords"), keeper),
        idle_exit: fields.or("idle_exit", IDLE_EXIT, "\"30 s\"", |value| {
            let idle = value.duration()?;
            if IDLE_EXITS.contains(&idle) { Ok(idle) } else { Err("between 1 s and 1 h is expected".into()) }
        }),
        max_nodes: fields.or("max_nodes", MAX_NODES, "1000", |value| {
            let number = value.integer()?;
            let most = usize::try_from(number).ok().filter(|number| (1..=100_000).contains(number));
            most.ok_or_else(|| "between 1 and 100000 is expected".into())
        }),
    };
    fields.finish();
    Some(settings)
}

fn read_passwords(fields: Fields<'_>, keeper: &Keeper<'_>) -> BTreeMap<String, Secret> {
    let mut passwords = BTreeMap::new();
    for name in fields.keys() {
        if let Some(wrong) = report::wrong_with(&name) {
            fields.error_at(&name, format!("it cannot be a node's name: {wrong}"));
        }
        passwords.extend(keeper.opt(&fields, &name).map(|password| (name, password)));
    }
    fields.finish();
    passwords
}

#[cfg(test)]
mod tests;

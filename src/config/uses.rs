//! What a file does with a source, whether or not all of it is right: for those who are still setting up.

use std::collections::BTreeSet;

use super::fields::{Fields, Value};

/// What is done with a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// The kinds of all actions.
    pub actions: BTreeSet<String>,
    /// The names of all quotas.
    pub quotas: BTreeSet<String>,
    /// Whether one of the quotas is on the source.
    pub metered: bool,
    /// Whether such a one counts only some NICs.
    pub nics: bool,
    /// The pools by which such ones choose guests.
    pub pools: BTreeSet<String>,
}

impl Uses {
    /// What a document does with the source of this name.
    pub fn read(root: &Fields<'_>, source: &str) -> Self {
        let tables = root.tables("action");
        let named: BTreeSet<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
        let mut uses = Self::default();
        for (name, quota) in root.tables("quota") {
            let on = quota.value("source").is_none_or(|value| value.text() == Ok(source));
            uses.metered |= on;
            uses.nics |= on && quota.has("nics");
            uses.pools
                .extend(quota.value("pools").filter(|_| on).and_then(|pools| pools.texts().ok()).into_iter().flatten());
            // An action that is named by its kind needs no table.
            uses.actions.extend(tier_actions(&quota).into_iter().filter(|action| !named.contains(action.as_str())));
            uses.quotas.insert(name);
        }
        uses.actions.extend(tables.iter().map(|(name, fields)| kind_name(name, fields)));
        uses
    }
}

/// The actions that a quota's tiers name.
fn tier_actions(quota: &Fields<'_>) -> Vec<String> {
    let tiers = quota.value("tier").and_then(|value| value.items().ok()).unwrap_or_default();
    let actions = tiers.iter().filter_map(Value::table).filter_map(|tier| tier.value("actions")?.texts().ok());
    actions.flatten().collect()
}

/// The kind of a table: its `kind`, else its name.
pub fn kind_name(name: &str, fields: &Fields<'_>) -> String {
    match fields.value("kind") {
        Some(value) => value.text().unwrap_or_default().to_owned(),
        None => name.to_owned(),
    }
}

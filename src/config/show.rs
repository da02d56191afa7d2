//! Prints every value in force as TOML, secrets redacted.

use super::Config;

/// The whole configuration as it is understood.
pub fn show(config: &Config) -> String {
    let name = config.file.as_ref().map_or("built-in default".into(), |file| file.display().to_string());
    let mut text = format!("# {name}\n");
    let mut tables: Vec<&str> = Vec::new();
    for shown in &config.shown {
        if !tables.contains(&shown.table.as_str()) {
            tables.push(&shown.table);
        }
    }
    tables.sort_by_key(|table| !table.is_empty());
    for table in tables {
        text.push_str(&header(table));
        for shown in config.shown.iter().filter(|shown| shown.table == table) {
            let note = if shown.default { "  # default" } else { "" };
            text.push_str(&format!("{} = {}{note}\n", key(&shown.key), shown.value));
        }
    }
    text
}

/// A key as TOML has it: in quotes where it has more than letters, digits and dashes.
fn key(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { key.into() } else { toml::Value::from(key).to_string() }
}

/// `quota.month` as a table, `quota.month.tier[2]` as an item of a list of tables.
fn header(table: &str) -> String {
    match table.strip_suffix(']').and_then(|open| open.rsplit_once('[')) {
        _ if table.is_empty() => String::new(),
        Some((list, _)) => format!("\n[[{list}]]\n"),
        None => format!("\n[{table}]\n"),
    }
}

//! Shows what a vendor's account has, prints the configuration for it, and names what the key may not do.
//!
//! Invariant: nothing but reading is asked of the vendor, no lock is taken and nothing is written; what cannot be had
//! is told and keeps nothing else from being shown.
//!
//! To add a vendor: a module with its `look`, its arm in [`run`], and its kind in [`account`].

mod huawei;
mod pve;
mod toml;

use std::path::Path;
use std::time::Duration;

use comfy_table::Table;

use crate::api::Account;
use crate::config::account;
use crate::error::{Exit, Result};
use crate::host::Host;
use crate::log::Log;

/// For what is not known.
const NOTHING: &str = "-";

/// What there is to say of an account.
struct Findings {
    /// For standard output; without the secrets.
    text: String,
    /// What could not be had, or is lacking.
    failures: Vec<String>,
    exit: Exit,
}

/// Looks, and prints what there is: tables first, then the lines to paste.
pub fn run(host: &dyn Host, config: Option<&Path>, wanted: &str, log: &mut Log) -> Result<Exit> {
    let found = account::load(host, config, wanted)?;
    for warning in &found.warnings {
        log.error(&format!("warning: {warning}"));
    }
    let cluster = found.candidates.iter().find_map(|candidate| match &candidate.account {
        Account::Pve(cluster) => Some(cluster),
        Account::Huawei(_) => None,
    });
    let findings = match cluster {
        Some(cluster) => pve::look(cluster, host, &found),
        None => huawei::look(host, &found)?,
    };
    if findings.exit != Exit::Failed {
        crate::print(host, &findings.text)?;
    }
    findings.failures.iter().for_each(|failure| log.error(failure));
    Ok(findings.exit)
}

/// Rows under their heads, never broken; none without rows.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head);
    table.add_rows(rows);
    Some(table.lines().map(|line| format!("{}\n", line.trim_end())).collect())
}

/// The text, or the sign for nothing.
fn known(text: &str) -> String {
    if text.is_empty() { NOTHING.into() } else { text.to_owned() }
}

/// Half of the time that is left, so that what hangs leaves some to the rest.
fn share(host: &dyn Host, until: Duration) -> Duration {
    let now = host.elapsed();
    now + until.saturating_sub(now) / 2
}

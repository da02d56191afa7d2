//! Shows what a vendor's account has, prints the configuration for it, and names what the key may not do.
//!
//! Invariant: nothing but reading is asked of the vendor, no lock is taken and nothing is written; what cannot be had
//! is told and keeps nothing else from being shown.

mod paste;
mod survey;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::config::account;
use crate::error::{Exit, Result};
use crate::host::Host;
use crate::log::Log;
use survey::Survey;

/// Looks, and prints what there is: tables first, then the lines to paste.
pub fn run(host: &dyn Host, config: Option<&Path>, wanted: &str, log: &mut Log) -> Result<Exit> {
    let found = account::load(host, config, wanted)?;
    for warning in &found.warnings {
        log.error(&format!("warning: {warning}"));
    }
    let survey = Survey::take(host, &found)?;
    if survey.exit() != Exit::Failed {
        let text = shown(&survey, &found.source, host);
        crate::print(host, &survey.access.account.redact(&text))?;
    }
    survey.failures.iter().for_each(|failure| log.error(failure));
    Ok(survey.exit())
}

fn shown(survey: &Survey<'_>, source: &str, host: &dyn Host) -> String {
    let now = host.now();
    let mut parts = table::tables(survey, now);
    parts.extend(paste::paste(survey, source, now));
    parts.join("\n")
}

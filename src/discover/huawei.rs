//! An account of Huawei Cloud: its instances with their servers, its packages, and the configuration for them.

mod paste;
mod survey;
mod table;
#[cfg(test)]
mod tests;

use super::Findings;
use crate::config::account::Found;
use crate::error::Result;
use crate::host::Host;
use survey::Survey;

/// Looks at what there is.
pub fn look(host: &dyn Host, found: &Found) -> Result<Findings> {
    let survey = Survey::take(host, found)?;
    let text = survey.access.account.redact(&shown(&survey, &found.source, host));
    Ok(Findings { text, exit: survey.exit(), failures: survey.failures })
}

fn shown(survey: &Survey<'_>, source: &str, host: &dyn Host) -> String {
    let now = host.now();
    let mut parts = table::tables(survey, now);
    parts.extend(paste::paste(survey, source, now));
    parts.join("\n")
}

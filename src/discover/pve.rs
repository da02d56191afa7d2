//! A cluster of Proxmox VE: its nodes and guests, what the token may, and the configuration for them.

mod grant;
mod needs;
mod paste;
mod survey;
mod table;
#[cfg(test)]
mod tests;

use super::Findings;
use crate::api::pve::Cluster;
use crate::config::account::Found;
use crate::error::Exit;
use crate::host::Host;
use needs::{Need, needs};
use survey::Survey;

/// Looks at what there is.
pub fn look(cluster: &Cluster, host: &dyn Host, found: &Found) -> Findings {
    let mut survey = Survey::take(cluster, host, found);
    let needs = needs(&survey, &found.uses);
    let text = cluster.redact(&shown(&survey, &needs, cluster.token_id(), found));
    let mut failures = std::mem::take(&mut survey.failures);
    failures.extend(lacking(&needs));
    let exit = match (survey.answered, failures.is_empty()) {
        (false, _) => Exit::Failed,
        (true, true) => Exit::Done,
        (true, false) => Exit::Problems,
    };
    Findings { text, failures: failures.iter().map(|failure| cluster.redact(failure)).collect(), exit }
}

fn shown(survey: &Survey, needs: &[Need], token: &str, found: &Found) -> String {
    let mut parts = table::tables(survey);
    parts.extend(unseen(survey));
    if survey.rights.is_some() {
        parts.push(table::rights(token, needs));
    }
    parts.extend(grant::commands(token, needs));
    parts.extend(paste::paste(survey, &found.uses, &found.source));
    parts.join("\n")
}

/// Why no guest is seen: a token sees only those it may read, and nobody tells it of the others.
fn unseen(survey: &Survey) -> Option<String> {
    if !survey.has_guests || !survey.guests.is_empty() {
        return None;
    }
    let may_read = needs::reads_guests(survey);
    Some(match may_read {
        Some(true) => "the cluster has no guest\n".into(),
        Some(false) => "the token sees no guest: it lacks VM.Audit, and a new token has no rights at all\n".into(),
        None => "the token sees no guest: it lacks VM.Audit on /vms, or there is none\n".into(),
    })
}

/// What the configuration asks for and the token may not.
fn lacking(needs: &[Need]) -> Option<String> {
    let missing: Vec<String> = needs
        .iter()
        .filter(|need| need.is_missing())
        .map(|need| format!("{} on {} ({})", need.privilege, need.place, need.purpose))
        .collect();
    (!missing.is_empty()).then(|| format!("the token lacks {}", missing.join(", ")))
}

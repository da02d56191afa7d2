//! What an answer that is no success means, and what to do; pure.
//!
//! Invariant: a call after whose answer nobody knows whether it was done is [`Cause::Unknown`]. To teach it a text: a
//! row in [`ROWS`]; the first that matches counts.
//!
//! Why so much is explained by status and path: the host's words are in the reason phrase of the status line, which the
//! HTTP client drops, and in the body only since Proxmox VE 8.4 (pve-http-server 5.2.0).
//!
//! Source: pve-http-server 6.0.5, qemu-server 9.2.6, pve-container 6.1.10, pve-cluster 9.1.6, pve-access-control 9.1.1.

use serde_json::Value;

use super::{Cause, Failure, Kind};
use crate::host::Response;
use crate::quota::glob;
use crate::quota::text::clean;
use crate::secret::Secret;

/// Characters of the host's words at the most.
const WORDS_LIMIT: usize = 300;

/// None: the answer is a success.
pub fn of(method: &str, path: &str, response: &Response, secret: &Secret) -> Option<Failure> {
    if (200..=299).contains(&response.status) {
        return None;
    }
    let said = said(response, secret);
    let (cause, kind, advice) = match response.status {
        401 => (Cause::Credentials, Kind::Other, TOKEN.into()),
        403 => (Cause::Forbidden, Kind::Other, privilege_advice(method, path, &said)),
        500 if is_html(&response.body) => (Cause::Unknown, Kind::Other, PROXY.into()),
        500 => of_handler(&said),
        status => of_status(status),
    };
    let parts = [format!("status {}", response.status), said, advice];
    let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    Some(Failure { text, cause, kind })
}

/// Whether somebody on the way failed rather than the host that was to answer: another way may be open.
pub fn of_proxy(response: &Response) -> bool {
    match response.status {
        500 => is_html(&response.body),
        501 => false,
        status => (502..=599).contains(&status),
    }
}

/// Somebody's words without the secret, safe to show, in one line and not too long.
pub fn words(text: &str, secret: &Secret) -> String {
    let line = secret.redact(text).split_whitespace().collect::<Vec<_>>().join(" ");
    clean(&line, WORDS_LIMIT)
}

/// Whether a body is a page for people.
pub fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

const TOKEN: &str =
    "the token is refused: check token_id and token_secret, and that token and user are enabled and not expired";
const PROXY: &str = "a proxy in between failed, or the host itself";

/// Some texts, and what they mean.
struct Row {
    /// A pattern for the whole text.
    words: &'static str,
    kind: Kind,
    cause: Cause,
    advice: &'static str,
}

const fn row(words: &'static str, kind: Kind, cause: Cause, advice: &'static str) -> Row {
    Row { words, kind, cause, advice }
}

const LOCKED: &str = "a backup, migration or snapshot is at work on it: a later try may succeed";
const CHANGED: &str = "somebody else has changed it in the meantime: a later try may succeed";
const QUORUM: &str = "nothing can be written without a majority of the cluster's nodes";

/// What handlers die of.
const ROWS: &[Row] = &[
    row("*is locked (*", Kind::Locked, Cause::Later, LOCKED),
    row("*can't lock file '*", Kind::Locked, Cause::Later, "something else is at work on it: a later try may succeed"),
    row("*checksum mismatch (file change by other user*", Kind::DigestMismatch, Cause::Later, CHANGED),
    row("*detected modified configuration*", Kind::DigestMismatch, Cause::Later, CHANGED),
    row(
        "*onfiguration file '*' does not exist*",
        Kind::Gone,
        Cause::Wrong,
        "the guest was deleted, or moved to another node",
    ),
    row("[CV][TM] * not running", Kind::NotRunning, Cause::Wrong, ""),
    row("[CV][TM] * already running", Kind::AlreadyRunning, Cause::Wrong, ""),
    row("VM is paused - cannot shutdown", Kind::Other, Cause::Wrong, "it has to be resumed, or stopped by force"),
    row("*cluster not ready - no quorum*", Kind::NoQuorum, Cause::Later, QUORUM),
    row("*.conf.tmp*ermission denied*", Kind::NoQuorum, Cause::Later, QUORUM),
    row("hostname lookup '*' failed*", Kind::Other, Cause::Wrong, "there is no such node"),
    row("RRD error: opening *No such file*", Kind::NoHistory, Cause::Wrong, "it is too new to have a history"),
    row("*got timeout*", Kind::Other, Cause::Unknown, "it may have been done nevertheless"),
];

/// A handler died, of something it may have said.
fn of_handler(said: &str) -> (Cause, Kind, String) {
    if said.is_empty() {
        let advice = "Proxmox VE before 8.4 does not say why: see its log (journalctl -u pvedaemon)";
        return (Cause::Later, Kind::Other, advice.into());
    }
    match ROWS.iter().find(|row| glob::matches(row.words, said)) {
        Some(row) => (row.cause, row.kind, row.advice.into()),
        None => (Cause::Wrong, Kind::Other, String::new()),
    }
}

fn of_status(status: u16) -> (Cause, Kind, String) {
    let (cause, advice) = match status {
        400 => (Cause::Wrong, "the host refuses a parameter"),
        501 => (Cause::Wrong, "the host does not know this call: check api, and the version of Proxmox VE"),
        595 => (Cause::Later, "the node cannot be reached, or its pvedaemon does not run"),
        596 => (Cause::Unknown, "the node did not answer within 30 s, or broke off"),
        597..=599 => (Cause::Unknown, "the node could not be asked"),
        408 | 429 => (Cause::Later, "asked too often: a later try may succeed"),
        300..=399 => (Cause::Wrong, "redirects are not followed: check api"),
        500..=594 => (Cause::Unknown, PROXY),
        _ => (Cause::Wrong, "check api: is this a Proxmox VE host?"),
    };
    (cause, Kind::Other, advice.into())
}

/// The host's own words: what it says of each parameter, else its message. Empty when it says nothing.
fn said(response: &Response, secret: &Secret) -> String {
    if is_html(&response.body) {
        return "an HTML page".into();
    }
    let Ok(body) = serde_json::from_slice::<Value>(&response.body) else {
        return words(&String::from_utf8_lossy(&response.body), secret);
    };
    let of_errors = || {
        let errors = body.get("errors")?.as_object().filter(|errors| !errors.is_empty())?;
        let mut parts: Vec<String> =
            errors.iter().map(|(name, why)| format!("{name}: {}", why.as_str().unwrap_or("refused").trim())).collect();
        // The host sends them in another order each time, and the same problem is to be told once.
        parts.sort();
        Some(parts.join("; "))
    };
    let of_message = || body.get("message").and_then(Value::as_str).map(str::to_owned);
    words(&of_errors().or_else(of_message).unwrap_or_default(), secret)
}

fn privilege_advice(method: &str, path: &str, said: &str) -> String {
    let both = "the token needs it, and its user too";
    match privilege(method, path) {
        _ if said.contains('(') => both.into(),
        Some(privilege) => format!("this call needs {privilege}: {both}"),
        None => format!("a privilege is missing: {both}"),
    }
}

/// What a call needs, and on which path.
fn privilege(method: &str, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    Some(match (method, &parts[..]) {
        ("GET", ["nodes", _, "qemu" | "lxc", id, ..]) => format!("VM.Audit on /vms/{id}"),
        ("POST", ["nodes", _, "qemu" | "lxc", id, "status", _]) => format!("VM.PowerMgmt on /vms/{id}"),
        (_, ["nodes", _, "qemu" | "lxc", id, "config"]) => format!(
            "VM.Config.Network on /vms/{id} and, since Proxmox VE 8.0, SDN.Use on \
             /sdn/zones/localnetwork/BRIDGE of each of its bridges"
        ),
        ("GET", ["nodes", node, ..]) => format!("Sys.Audit on /nodes/{node}"),
        ("GET", ["cluster", "metrics" | "status" | "ha", ..]) => "Sys.Audit on /".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

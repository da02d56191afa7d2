//! Who may do what: passwords of nodes, the token of readers.
//!
//! Comparing takes the same time whatever is compared, and is done for names that no password is for, too: how long an
//! answer takes tells nothing.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::serve::Settings;
use crate::secret::Secret;

/// Any key will do: it only has to be the same for both sides.
const KEY: &[u8] = b"netquota serve";

/// Whether these are the same, without telling by time how much of them is.
fn same(one: &[u8], other: &[u8]) -> bool {
    #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let digest =
        |text: &[u8]| Hmac::<Sha256>::new_from_slice(KEY).expect("a key of any length will do").chain_update(text);
    digest(one).verify_slice(&digest(other).finalize().into_bytes()).is_ok()
}

/// Whether this is the secret; an empty one is none, and nobody's.
fn is(secret: Option<&Secret>, given: &[u8]) -> bool {
    let expected = secret.map(Secret::expose).unwrap_or_default();
    same(expected.as_bytes(), given) & !expected.is_empty()
}

/// Whether nodes can report at all.
pub fn takes_reports(settings: &Settings) -> bool {
    settings.report_password.is_some() || !settings.node_passwords.is_empty()
}

/// Whether this is the password of this node: its own, or that of all who have none of their own.
pub fn is_node(settings: &Settings, hostname: &str, password: &str) -> bool {
    let own = settings.node_passwords.get(hostname);
    is(own.or(settings.report_password.as_ref()), password.as_bytes())
}

/// Whether this is the read token.
pub fn is_reader(settings: &Settings, given: &[u8]) -> bool {
    is(settings.read_token.as_ref(), given)
}

#[cfg(test)]
mod tests;

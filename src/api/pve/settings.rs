//! Reads the cluster: its addresses, the token, and whom to trust.

use std::net::Ipv6Addr;
use std::sync::atomic::AtomicUsize;

use super::Cluster;
use crate::config::address::is_loopback;
use crate::config::fields::{Fields, Value};
use crate::config::secret::Keeper;
use crate::host::Tls;
use crate::secret::Secret;

/// Where the hosts listen.
const PORT: u16 = 8006;

/// Reads `api`, `token_id`, `token_secret`, `ca_file` and `tls`.
pub fn open(fields: &Fields<'_>, keeper: &Keeper<'_>) -> Option<Cluster> {
    let api = fields.need("api", read_addresses);
    let token_id = fields.need("token_id", |value| check_token_id(value.text()?));
    let token_secret = keeper.need(fields, "token_secret").filter(|secret| check_secret(fields, secret));
    let tls = read_tls(fields, keeper);
    Some(Cluster { api: api?, token_id: token_id?, token_secret: token_secret?, tls: tls?, last: AtomicUsize::new(0) })
}

fn read_tls(fields: &Fields<'_>, keeper: &Keeper<'_>) -> Option<Tls> {
    let insecure = fields.opt("tls", |value| value.word(&[("insecure", ())]));
    if fields.has("ca_file") && fields.has("tls") {
        fields
            .error_at("tls", "ca_file says whom to trust, tls = \"insecure\" to trust anybody: leave one of them out");
        return None;
    }
    if let Some(value) = fields.value("tls") {
        insecure?;
        let path = &value.path;
        fields.findings().warn(format!(
            "{path}: insecure: certificates are not checked, so whoever is in between can take the token: set ca_file instead"
        ));
        return Some(Tls::Insecure);
    }
    keeper.tls(fields, "ca_file")
}

/// One address or a list of them, each once.
fn read_addresses(value: &Value<'_>) -> Result<Vec<String>, String> {
    let texts = if value.text().is_ok() { vec![value.text()?.to_owned()] } else { value.texts()? };
    let mut addresses = Vec::new();
    for text in &texts {
        let address = check_address(text)?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err("it is empty: an address such as \"https://pve1:8006\" is expected".into());
    }
    Ok(addresses)
}

/// `https://HOST[:PORT]`; `http` too on this machine, for tests. With its port and without a slash at the end.
fn check_address(text: &str) -> Result<String, String> {
    if text.contains('@') {
        return Err("an address has no user and password: those are token_id and token_secret".into());
    }
    let wrong = |why: &str| format!("{text:?} is no address such as \"https://pve1:8006\"{why}");
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(""))?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(wrong(": it ends with the port"));
    }
    let (host, port) = split_port(authority).ok_or_else(|| wrong(""))?;
    match scheme {
        "https" => {}
        "http" if is_loopback(host) => {}
        "http" => return Err(wrong(": http would send the token unencrypted")),
        _ => return Err(wrong("")),
    }
    Ok(format!("{scheme}://{}:{port}", host.to_ascii_lowercase()))
}

/// The host, an IPv6 address in its brackets, and the port.
fn split_port(authority: &str) -> Option<(&str, u16)> {
    let end =
        authority.rfind(']').map_or_else(|| authority.find(':').unwrap_or(authority.len()), |bracket| bracket + 1);
    let (host, port) = authority.split_at(end);
    let name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(name),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0)
        }
        Some(_) => None,
        None => Some(PORT).filter(|_| port.is_empty()),
    };
    port.filter(|_| is_host).map(|port| (host, port))
}

/// `USER@REALM!TOKENID`. The text is not repeated in errors: the secret may have been put there too.
fn check_token_id(text: &str) -> Result<String, String> {
    let name = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        text.len() >= 2 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain)
    };
    let parts = text.rsplit_once('!').and_then(|(user, token)| Some((user.rsplit_once('@')?, token)));
    let user = |c: char| !c.is_whitespace() && !c.is_control() && !":/".contains(c);
    match parts {
        Some(((of, realm), token)) if !of.is_empty() && of.chars().all(user) && name(realm) && name(token) => {
            Ok(text.to_owned())
        }
        Some((_, token)) if token.contains('=') => {
            Err("USER@REALM!TOKENID is expected, without = and the secret: that is token_secret".into())
        }
        _ => Err("USER@REALM!TOKENID is expected, such as \"netquota@pve!quota\"".into()),
    }
}

/// It is a UUID, but whatever fits into a header is taken. Empty: it was not needed, and not read.
fn check_secret(fields: &Fields<'_>, secret: &Secret) -> bool {
    let fits = !secret.expose().chars().any(|c| c.is_whitespace() || c.is_control());
    if !fits {
        fields.error_at("token_secret", "there are blanks in it");
    }
    fits
}

#[cfg(test)]
mod tests;

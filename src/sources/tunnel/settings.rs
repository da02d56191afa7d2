//! Reads where the tunnel server is, and the key it asks for.

use std::net::IpAddr;

use crate::config::fields::{Fields, Value};
use crate::config::secret::Keeper;
use crate::secret::Secret;

/// `url` and `api_key`; none where one of them is wrong.
pub fn read_server(fields: &Fields<'_>, keeper: &Keeper<'_>) -> (Option<String>, Option<Option<Secret>>) {
    let url = fields.need("url", |value: &Value<'_>| check_url(value.text()?));
    if !fields.has("api_key") {
        return (url, Some(None));
    }
    let key = keeper.opt(fields, "api_key").filter(|key| check_key(fields, key));
    if let Some(url) = url.as_ref().filter(|url| key.is_some() && is_open(url)) {
        fields.findings().warn(format!(
            "{url}: http sends the api_key unencrypted, so whoever is in between can take it: use https, or a tunnel"
        ));
    }
    (url, key.map(Some))
}

/// Whatever fits into a header. Empty: it was not needed, and not read.
fn check_key(fields: &Fields<'_>, key: &Secret) -> bool {
    let fits = key.expose().chars().all(|c| c.is_ascii_graphic());
    if !fits {
        fields.error_at("api_key", "there are characters in it that no header can have");
    }
    fits
}

/// `http://HOST[:PORT][/PATH]` or `https`, without a slash at the end. A text with a user is not repeated: there may be a
/// password in it.
pub fn check_url(text: &str) -> Result<String, String> {
    if text.contains('@') {
        return Err("an address has no user and password: the server knows its clients by api_key".into());
    }
    let wrong = |why: &str| format!("{text:?} is no address such as \"http://127.0.0.1:8080\"{why}");
    if text.contains(['?', '#']) {
        return Err(wrong(": it has no query and no fragment"));
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(""))?;
    if !["http", "https"].contains(&scheme) {
        return Err(wrong(": http or https is expected"));
    }
    let rest = rest.trim_end_matches('/');
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~%/".contains(c);
    if host_of(authority).is_none() || !path.chars().all(plain) {
        return Err(wrong(""));
    }
    if path.ends_with("/api/stats/traffic") {
        return Err(wrong(": /api/stats/traffic is added to it"));
    }
    Ok(format!("{scheme}://{authority}{path}"))
}

/// The host of `HOST` or `HOST:PORT`, an IPv6 address without its brackets.
fn host_of(authority: &str) -> Option<&str> {
    let end = authority.rfind(']').map_or_else(|| authority.find(':').unwrap_or(authority.len()), |at| at + 1);
    let (host, port) = authority.split_at(end);
    let port_fits = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|port| port > 0)
        });
    let bare = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => Some(inner).filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            let name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            Some(host).filter(|host| !host.is_empty() && host.chars().all(name))
        }
    };
    bare.filter(|_| port_fits)
}

/// Whether what is sent there can be read by others on the way.
fn is_open(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    !host_of(authority).is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

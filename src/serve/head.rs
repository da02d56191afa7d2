//! What the head of a request says of whom it is of; pure.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};

use super::guesses::Origin;

/// The token that comes with a request: `Bearer`, or the password of `Basic`, as browsers send it.
pub fn given(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    let pair = STANDARD.decode(rest).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Whom a request comes from. One of this machine is the reverse proxy, which says at the end of `X-Forwarded-For` for
/// whom it asks; what stands before that is whatever the client wrote.
pub fn origin(peer: IpAddr, headers: &HeaderMap) -> Origin {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
        let alone = last.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        alone.or_else(|| Some(last.parse::<SocketAddr>().ok()?.ip()))
    };
    Some(peer).filter(|peer| peer.to_canonical().is_loopback()).and_then(|_| forwarded()).unwrap_or(peer).into()
}

/// Whether a page of another site has made a browser ask: the browser says where from, and adds what it knows of logins
/// by itself.
pub fn is_of_another_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => !["same-origin", "none"].contains(&site),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none_or(|host| !text(HOST.as_str()).is_some_and(|ours| ours.eq_ignore_ascii_case(host)))
        }
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_a_browser_sends_it() {
        let given = |value: &str| given(&headers(&[("authorization", value)])).map(|g| String::from_utf8(g).unwrap());
        for (value, token) in [
            ("Bearer t:o", Some("t:o")),
            ("bearer  t", Some("t")),
            ("Basic YW55Om15OnRva2Vu", Some("my:token")),
            ("basic OnQ=", Some("t")),
            ("Basic YW55", None),
            ("Basic %%%", None),
            ("Digest YW55Om15", None),
            ("Bearer", None),
            ("Bearer \u{e4}", None),
        ] {
            assert_eq!(given(value).as_deref(), token, "{value}");
        }
    }

    #[test]
    fn only_the_proxy_of_this_machine_is_believed_and_only_what_it_appends() {
        let at = |peer: &str, lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            origin(peer.parse().unwrap(), &headers(&lines))
        };
        let from = |address: &str| Origin::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(at("127.0.0.1", &["203.0.113.9, 198.51.100.7"]), from("198.51.100.7"));
        assert_eq!(at("127.0.0.1", &["203.0.113.9", "198.51.100.7"]), from("198.51.100.7"));
        assert_eq!(at("::1", &["[2001:db8::1]:4711"]), from("2001:db8::1"));
        assert_eq!(at("::ffff:127.0.0.1", &["[2001:db8::1]"]), from("2001:db8::1"));
        assert_eq!(at("127.0.0.1", &["198.51.100.7:80"]), from("198.51.100.7"));
        for none in [&[][..], &["unknown"], &["198.51.100.7,"], &[""]] {
            assert_eq!(at("127.0.0.1", none), from("127.0.0.1"), "{none:?}");
        }
        assert_eq!(at("192.0.2.1", &["198.51.100.7"]), from("192.0.2.1"));
    }

    #[test]
    fn pages_of_other_sites_are_told_by_the_browser() {
        for (lines, other) in [
            (&[("host", "hub.example")][..], false),
            (&[("host", "hub.example:8443"), ("origin", "https://HUB.example:8443")], false),
            (&[("host", "hub.example"), ("origin", "https://evil.example")], true),
            (&[("host", "hub.example"), ("origin", "https://hub.example.evil")], true),
            (&[("host", "hub.example"), ("origin", "null")], true),
            (&[("origin", "https://hub.example")], true),
            (&[("host", "proxied"), ("origin", "https://hub.example"), ("sec-fetch-site", "same-origin")], false),
            (&[("host", "hub.example"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "hub.example"), ("origin", "https://hub.example"), ("sec-fetch-site", "same-site")], true),
        ] {
            assert_eq!(is_of_another_site(&headers(lines)), other, "{lines:?}");
        }
    }
}

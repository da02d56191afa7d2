//! Addresses of servers, as far as several tables have them alike.

use std::net::IpAddr;

/// Whether a host, an IPv6 address with its brackets or without, is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

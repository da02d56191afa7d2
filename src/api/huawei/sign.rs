//! Signing of requests by SDK-HMAC-SHA256, as the vendor's SDK does it; pure.
//!
//! Invariant: what is signed is what is sent. The caller sends the very query of [`canonical_query`], the same body
//! bytes and the headers it had signed, and signs anew for every try: the gateway refuses dates that are more than 15
//! minutes off.
//!
//! Source: the vendor's "API Request Signing Guide", and the signer of its Python SDK 3.1.219, whose signatures of 20
//! requests are in `fixtures/signing-vectors.json`.

use std::borrow::Cow;
use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::UtcOffset;

use crate::quota::instant::Instant;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// What is encoded in queries: all but the unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What is encoded in paths.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// An access key: its id, which is sent, and its secret, which never is.
pub struct Keys<'a> {
    /// AK.
    pub access: &'a str,
    /// SK; its bytes are the key, whatever they look like.
    pub secret: &'a str,
}

/// A request to be signed.
pub struct Unsigned<'a> {
    /// In upper case: `GET`, `POST`.
    pub method: &'a str,
    /// As in the URL, percent-encoded or not.
    pub path: &'a str,
    /// Decoded names and values, in any order.
    pub query: &'a [(String, String)],
    /// All that are to be signed, `host` (with its port unless it is the default one) and `x-sdk-date` among them.
    /// Those whose name has an underscore are left unsigned, since gateways drop them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The very bytes that are sent.
    pub body: &'a [u8],
}

/// The value of the header `Authorization`. It shows the id of the key but not its secret.
pub fn authorization(keys: &Keys<'_>, request: &Unsigned<'_>) -> String {
    let headers = Headers::of(request);
    let signature = hex(&mac(keys.secret, &text_to_sign(request, &headers)));
    format!("{ALGORITHM} Access={}, SignedHeaders={}, Signature={signature}", keys.access, headers.names())
}

/// The path as it is signed, always with a slash at its end. The request is sent to the path as it was.
pub fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut encoded = utf8_percent_encode(&decoded, RESERVED_IN_PATH).to_string();
    if !encoded.ends_with('/') {
        encoded.push('/');
    }
    encoded
}

/// The query as it is signed, without a question mark. Sent as it is, no other encoding can disagree.
pub fn canonical_query(pairs: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort();
    let encoded = sorted.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    encoded.collect::<Vec<_>>().join("&")
}

/// The value of the header `X-Sdk-Date`: `20250612T083045Z`, in UTC. Clamped to the years 1 to 9999.
pub fn sdk_date(at: Instant) -> String {
    let at = at.at_offset(UtcOffset::UTC);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}{:02}{day:02}T{hour:02}{minute:02}{second:02}Z", u8::from(month))
}

/// The headers that are signed: names in lower case, trimmed values, sorted.
struct Headers<'a>(Vec<(String, &'a str)>);

impl<'a> Headers<'a> {
    fn of(request: &Unsigned<'a>) -> Self {
        let signed = request.headers.iter().filter(|(name, _)| !name.contains('_'));
        let mut headers: Vec<_> = signed.map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect();
        headers.sort();
        Self(headers)
    }

    fn names(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

fn text_to_sign(request: &Unsigned<'_>, headers: &Headers<'_>) -> String {
    let date = headers.value("x-sdk-date").unwrap_or_default();
    let hash = hex(&Sha256::digest(canonical_request(request, headers)));
    format!("{ALGORITHM}\n{date}\n{hash}")
}

fn canonical_request(request: &Unsigned<'_>, headers: &Headers<'_>) -> String {
    let lines: String = headers.0.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    [
        request.method,
        &canonical_path(request.path),
        &canonical_query(request.query),
        // It ends in a newline of its own, so that an empty line follows it.
        &lines,
        &headers.names(),
        &payload_hash(request.body, headers),
    ]
    .join("\n")
}

/// A header may stand in for the hash of a body, `UNSIGNED-PAYLOAD` for example, but not for that of none.
fn payload_hash<'a>(body: &[u8], headers: &Headers<'a>) -> Cow<'a, str> {
    match headers.value("x-sdk-content-sha256") {
        Some(value) if !body.is_empty() => value.into(),
        _ => hex(&Sha256::digest(body)).into(),
    }
}

fn mac(secret: &str, text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, RESERVED).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // A string takes whatever is written to it.
        write!(out, "{byte:02x}").ok();
        out
    })
}

#[cfg(test)]
mod tests;

//! SDK-HMAC-SHA256 as the gateway checks it, written from the vendor's rules and shared with nothing of the program.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::telegram::Request;

/// How far a request's date may be off.
const TOLERANCE: time::Duration = time::Duration::minutes(15);
/// What must be signed when it is sent.
const IDENTITY: &[&str] = &["content-type", "x-domain-id", "x-project-id", "x-security-token"];

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nothing that looks like a signature.
    Unsigned(&'static str),
    /// Another access key.
    UnknownKey(String),
    /// The date is off.
    Expired(String),
    /// The signature is not that of this request.
    Signature(String),
}

/// Accepts a request that is signed by this secret key, for this host, now.
pub fn verify(request: &Request, ak: &str, sk: &str, host: &str, now: OffsetDateTime) -> Result<(), Refused> {
    let unsigned = |what| Err(Refused::Unsigned(what));
    let Some(value) = request.header("authorization") else { return unsigned("x-auth-token not found") };
    let Some((access, list, signature)) = parts(value) else { return unsigned("Authorization is malformed") };
    if access != ak {
        return Err(Refused::UnknownKey(access.to_owned()));
    }
    let names: Vec<&str> = list.split(';').collect();
    if !names.is_sorted() || names.iter().any(|name| name.contains(|c: char| c.is_ascii_uppercase() || c == '_')) {
        return unsigned("SignedHeaders is not sorted, lower case and without underscores");
    }
    if !["host", "x-sdk-date"].iter().all(|name| names.contains(name)) || names.contains(&"authorization") {
        return unsigned("SignedHeaders lacks host or x-sdk-date");
    }
    if IDENTITY.iter().any(|name| request.header(name).is_some() && !names.contains(name)) {
        return unsigned("a header of the identity is sent and not signed");
    }
    if request.header("host") != Some(host) {
        return unsigned("Host is not the address with its port");
    }
    let date = request.header("x-sdk-date").unwrap_or_default();
    let Some(signed_at) = instant(date) else { return unsigned("X-Sdk-Date is malformed") };
    if (now - signed_at).abs() > TOLERANCE {
        return Err(Refused::Expired(date.to_owned()));
    }
    let Some(canonical) = canonical_request(request, &names) else { return unsigned("a signed header is missing") };
    if sign(sk, date, &canonical) == signature { Ok(()) } else { Err(Refused::Signature(canonical)) }
}

/// The value of `Authorization`.
pub fn authorization(request: &Request, ak: &str, sk: &str, names: &[&str]) -> String {
    let canonical = canonical_request(request, names).expect("all signed headers");
    let signature = sign(sk, request.header("x-sdk-date").expect("a date"), &canonical);
    format!("SDK-HMAC-SHA256 Access={ak}, SignedHeaders={}, Signature={signature}", names.join(";"))
}

/// The `X-Sdk-Date` of an instant.
pub fn date(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(time::macros::format_description!("[year][month][day]T[hour][minute][second]Z"))
        .unwrap()
}

/// A query as it must be on the wire: decoded, sorted, encoded.
pub fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs(query);
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&")
}

/// The decoded pairs of a query.
pub fn pairs(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(k, v)| (decode(k), decode(v))).collect()
}

fn parts(value: &str) -> Option<(&str, &str, &str)> {
    let rest = value.strip_prefix("SDK-HMAC-SHA256 Access=")?;
    let (access, rest) = rest.split_once(", SignedHeaders=")?;
    let (list, signature) = rest.split_once(", Signature=")?;
    Some((access, list, signature))
}

fn instant(date: &str) -> Option<OffsetDateTime> {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    PrimitiveDateTime::parse(date, format).ok().map(PrimitiveDateTime::assume_utc)
}

fn canonical_request(request: &Request, names: &[&str]) -> Option<String> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let decoded = decode(path);
    let segments: Vec<String> = decoded.split(|byte| *byte == b'/').map(encode).collect();
    let mut path = segments.join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    let mut headers = String::new();
    for name in names {
        writeln!(headers, "{name}:{}", request.header(name)?.trim()).unwrap();
    }
    let hash = hex(&Sha256::digest(&request.body));
    let hash = match request.header("x-sdk-content-sha256") {
        Some(stated) if !request.body.is_empty() && (stated == "UNSIGNED-PAYLOAD" || stated == hash) => stated,
        Some(_) if !request.body.is_empty() => return None,
        _ => &hash,
    };
    let query = canonical_query(query);
    Some(format!("{}\n{path}\n{query}\n{headers}\n{}\n{hash}", request.method, names.join(";")))
}

fn sign(sk: &str, date: &str, canonical: &str) -> String {
    let text = format!("SDK-HMAC-SHA256\n{date}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let mut mac = Hmac::<Sha256>::new_from_slice(sk.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(*byte)),
            _ => write!(text, "%{byte:02X}").unwrap(),
        }
    }
    text
}

fn decode(text: &str) -> Vec<u8> {
    let digit = |at: usize| text.as_bytes().get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            _ => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
    bytes
}

/// The vendor's own signer's requests.
mod vectors {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../../src/api/huawei/fixtures/signing-vectors.json");

    struct Vector {
        id: String,
        request: Request,
        ak: String,
        sk: String,
        host: String,
    }

    impl Vector {
        fn verify(&self) -> Result<(), Refused> {
            let now = time::macros::datetime!(2025-06-12 08:30:45 UTC);
            verify(&self.request, &self.ak, &self.sk, &self.host, now)
        }

        fn value(&mut self, name: &str) -> &mut String {
            &mut self.request.headers.iter_mut().find(|(known, _)| known == name).unwrap().1
        }

        fn signed(&self) -> Vec<String> {
            let (_, list, _) = parts(self.request.header("authorization").unwrap()).unwrap();
            list.split(';').map(str::to_owned).collect()
        }
    }

    fn vectors() -> Vec<Vector> {
        let document: Value = serde_json::from_str(VECTORS).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let vector = |value: &Value| {
            let (request, expected) = (&value["request"], &value["expected"]);
            let host = text(&request["host"]);
            let url = text(&request["url"]);
            let mut headers: Vec<(String, String)> = expected["headers_sent"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
                .collect();
            headers.push(("authorization".to_owned(), text(&expected["authorization"])));
            Vector {
                id: text(&value["id"]),
                request: Request {
                    method: text(&request["method"]),
                    target: url.split_once(&host).unwrap().1.to_owned(),
                    headers,
                    body: request["body"].as_str().unwrap_or_default().as_bytes().to_vec(),
                },
                ak: text(&value["credentials"]["ak"]),
                sk: text(&value["credentials"]["sk"]),
                host,
            }
        };
        let vectors: Vec<Vector> = document["vectors"].as_array().unwrap().iter().map(vector).collect();
        assert_eq!(vectors.len(), 20);
        vectors
    }

    /// Every text that differs in one letter or digit.
    fn changed(text: &str) -> impl Iterator<Item = String> + '_ {
        let places = text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric());
        places.map(|(at, byte)| {
            let other = if matches!(byte, b'z' | b'Z' | b'9') { byte - 1 } else { byte + 1 };
            format!("{}{}{}", &text[..at], char::from(other), &text[at + 1..])
        })
    }

    #[test]
    fn what_the_vendor_has_signed_is_accepted() {
        for vector in vectors() {
            assert_eq!(vector.verify(), Ok(()), "{}", vector.id);
            let names = vector.signed();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let own = authorization(&vector.request, &vector.ak, &vector.sk, &names);
            assert_eq!(Some(own.as_str()), vector.request.header("authorization"), "{}", vector.id);
        }
    }

    #[test]
    fn one_byte_changed_in_whatever_is_signed_is_refused() {
        for mut vector in vectors() {
            let id = vector.id.clone();
            let refuses = |vector: &Vector, what: &str| assert!(vector.verify().is_err(), "{id}: {what}");
            for other in changed(&vector.sk.clone()) {
                let good = std::mem::replace(&mut vector.sk, other);
                refuses(&vector, "secret key");
                vector.sk = good;
            }
            for other in changed(&vector.request.method.clone()) {
                let good = std::mem::replace(&mut vector.request.method, other);
                refuses(&vector, &vector.request.method);
                vector.request.method = good;
            }
            for other in changed(&vector.request.target.clone()) {
                let good = std::mem::replace(&mut vector.request.target, other);
                refuses(&vector, &vector.request.target);
                vector.request.target = good;
            }
            for name in vector.signed().into_iter().chain(["authorization".to_owned()]) {
                for other in changed(&vector.value(&name).clone()) {
                    let good = std::mem::replace(vector.value(&name), other);
                    refuses(&vector, vector.request.header(&name).unwrap());
                    *vector.value(&name) = good;
                }
            }
            if vector.request.header("x-sdk-content-sha256").is_none() {
                for at in 0..vector.request.body.len() {
                    vector.request.body[at] ^= 1;
                    refuses(&vector, "body");
                    vector.request.body[at] ^= 1;
                }
            }
            assert_eq!(vector.verify(), Ok(()), "{id}, as it was");
        }
    }

    #[test]
    fn a_date_more_than_a_quarter_of_an_hour_off_is_refused() {
        let vector = &vectors()[0];
        let at = time::macros::datetime!(2025-06-12 08:30:45 UTC);
        let verify = |seconds| {
            let now = at + time::Duration::seconds(seconds);
            verify(&vector.request, &vector.ak, &vector.sk, &vector.host, now)
        };
        for seconds in [-900, 900] {
            assert_eq!(verify(seconds), Ok(()));
        }
        for seconds in [-901, 901] {
            assert_eq!(verify(seconds), Err(Refused::Expired("20250612T083045Z".to_owned())));
        }
    }
}

//! Proxmox VE: calls to a cluster's API with a token.
//!
//! Invariant: a call that changes something is sent a second time only when it was certainly not taken the first time;
//! one whose token is refused is never repeated, since each refusal takes the host three seconds. What the host says is
//! redacted and made safe to show before anybody sees it.
//!
//! Any node answers for the whole cluster, so a call that only reads goes from address to address until one answers it.
//! The address that did is the first to be asked next: a node that is down costs one call its time, not every call.
//!
//! Why no second round: the program is started again every few minutes, and a node that is down stays so.

pub mod config;
pub mod guests;
pub mod netstat;
pub mod nic;
pub mod power;
pub mod records;
pub mod refusal;
pub mod rights;
mod settings;
#[cfg(test)]
mod tests;
mod values;
#[cfg(test)]
mod wire;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde_json::value::RawValue;

use crate::host::{Host, HttpError, Reached, Request, Tls};
use crate::quota::guest::Id;
use crate::quota::text::clean;
use crate::secret::Secret;

pub use super::Cause;
pub use settings::open;

/// What is encoded in queries and forms: all but the unreserved characters. The host divides pairs at `;` too.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What is encoded in the token, which ends at `;` and is decoded.
const RESERVED_IN_TOKEN: &AsciiSet = &CONTROLS.add(b' ').add(b';').add(b'%');

/// For one try of a call that only reads.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a call that changes something: the host waits so long for its own nodes, and for locks.
const PATIENCE_TO_CHANGE: Duration = Duration::from_secs(30);
/// Calls that are worth making side by side: a host has three workers.
pub const ABREAST: usize = 3;
/// Some hundred thousand guests.
const LIMIT: u64 = 64 << 20;
/// Characters of an error text at the most.
const TEXT_LIMIT: usize = 500;

/// A cluster (or a single host), and the token to ask it with.
#[derive(Debug)]
pub struct Cluster {
    /// Base addresses: at least one, each with its port, without a slash at the end.
    api: Vec<String>,
    /// `USER@REALM!TOKENID`.
    token_id: String,
    token_secret: Secret,
    tls: Tls,
    /// The address that answered last.
    last: AtomicUsize,
}

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong: redacted, safe to show, one line.
    pub text: String,
    /// What it means for asking again.
    pub cause: Cause,
    /// What the host said of the guest, where that is known.
    pub kind: Kind,
}

impl Failure {
    /// Whether another time may go better.
    pub fn may_pass(&self) -> bool {
        self.cause.may_pass()
    }
}

/// What a host says of a guest when it does not do what it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something else is at work on it: a backup, a migration, a snapshot. That may take hours.
    Locked,
    /// Its configuration has changed since it was read: to be read again.
    DigestMismatch,
    /// It is not on this node (any more): deleted, or moved.
    Gone,
    /// It is off already.
    NotRunning,
    /// It is on already.
    AlreadyRunning,
    /// The cluster has no majority, so nothing can be written.
    NoQuorum,
    /// Nothing has been recorded of it: it is too new.
    NoHistory,
    /// Nobody has answered.
    Unanswered,
    /// None of these, or the host does not say.
    Other,
}

/// One call.
struct Call<'a> {
    method: &'static str,
    /// Below `/api2/json`.
    path: &'a str,
    /// Encoded: the query of a GET, else the body.
    pairs: String,
}

impl Call<'_> {
    fn changes(&self) -> bool {
        self.method != "GET"
    }

    /// As errors name it.
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

/// Why an address brought nothing.
enum Missed {
    /// The cluster has answered: no other address would say anything else.
    Refused(Failure),
    /// Nobody has, but perhaps somebody in between.
    Unanswered {
        failure: Failure,
        /// Whether another address may be asked.
        elsewhere: bool,
    },
}

impl Cluster {
    /// The addresses.
    pub fn addresses(&self) -> &[String] {
        &self.api
    }

    /// The token's id, which is no secret.
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// The text without the secret.
    pub fn redact(&self, text: &str) -> String {
        self.token_secret.redact(text)
    }

    /// Reads: `data` of the answer to a GET of the path below `/api2/json`, with a query of decoded pairs. Until it is
    /// answered, refused, or `until` (time since the program started) is over.
    pub fn get<T: DeserializeOwned>(
        &self,
        host: &dyn Host,
        path: &str,
        query: &[(&str, &str)],
        until: Duration,
    ) -> Result<T, Failure> {
        let pairs = encode(query.iter().copied());
        self.call(host, &Call { method: "GET", path, pairs }, until)
    }

    /// Reads a list: as [`Cluster::get`], with the items as they are written, so that one that is odd need not spoil the
    /// others.
    fn list<R>(
        &self,
        host: &dyn Host,
        path: &str,
        query: &[(&str, &str)],
        until: Duration,
        sort: impl FnOnce(&[&RawValue]) -> Result<R, String>,
    ) -> Result<R, Failure> {
        let call = Call { method: "GET", path, pairs: encode(query.iter().copied()) };
        self.read(host, &call, until, |body| {
            let text = String::from_utf8_lossy(body);
            let answer: Answer<Vec<&RawValue>> = serde_json::from_str(&text)?;
            sort(&answer.data).map_err(serde_json::Error::custom)
        })
    }

    /// Changes: a PUT with a form of decoded pairs.
    pub fn put(&self, host: &dyn Host, path: &str, form: &[(String, String)], until: Duration) -> Result<(), Failure> {
        let call = Call { method: "PUT", path, pairs: encode_form(form) };
        self.call::<IgnoredAny>(host, &call, until).map(|_| ())
    }

    fn call<T: DeserializeOwned>(&self, host: &dyn Host, call: &Call<'_>, until: Duration) -> Result<T, Failure> {
        self.read(host, call, until, |body| serde_json::from_slice(body).map(|answer: Answer<T>| answer.data))
    }

    /// Calls, and hands the body of the answer to `read`; what that cannot read may have been done nevertheless.
    fn read<R>(
        &self,
        host: &dyn Host,
        call: &Call<'_>,
        until: Duration,
        read: impl FnOnce(&[u8]) -> serde_json::Result<R>,
    ) -> Result<R, Failure> {
        let fail = |text: String, cause| Failure {
            text: clean(&format!("{}: {text}", call.name()), TEXT_LIMIT),
            cause,
            kind: Kind::Other,
        };
        if !is_plain(call.path) {
            return Err(fail("the path is not valid".into(), Cause::Wrong));
        }
        let body = self.exchange(host, call, until)?;
        let misread = |error: serde_json::Error| match refusal::is_html(&body) {
            true => fail("the answer is an HTML page: is a proxy in between?".into(), Cause::Unknown),
            false => {
                let why = refusal::words(&error.to_string(), &self.token_secret);
                fail(format!("the answer cannot be read: {why}"), Cause::Unknown)
            }
        };
        read(&body).map_err(misread)
    }

    /// The body of a successful answer.
    fn exchange(&self, host: &dyn Host, call: &Call<'_>, until: Duration) -> Result<Vec<u8>, Failure> {
        let first = self.last.load(Ordering::Relaxed);
        let mut missed: Vec<(&str, Failure)> = Vec::new();
        for index in (0..self.api.len()).map(|step| (first + step) % self.api.len()) {
            let left = until.saturating_sub(host.elapsed());
            if left.is_zero() {
                break;
            }
            // One that hangs leaves some time to the others.
            let share = if call.changes() { left } else { left / (self.api.len() - missed.len()) as u32 };
            match self.ask(host, &self.api[index], call, share) {
                Ok(body) => {
                    self.last.store(index, Ordering::Relaxed);
                    return Ok(body);
                }
                Err(Missed::Refused(failure)) => {
                    self.last.store(index, Ordering::Relaxed);
                    return Err(Failure { text: format!("{}: {}", call.name(), failure.text), ..failure });
                }
                Err(Missed::Unanswered { failure, elsewhere }) => {
                    missed.push((&self.api[index], failure));
                    if !elsewhere {
                        break;
                    }
                }
            }
        }
        Err(summary(call, &missed))
    }

    /// Asks one address.
    fn ask(&self, host: &dyn Host, address: &str, call: &Call<'_>, left: Duration) -> Result<Vec<u8>, Missed> {
        let response = host.http(&self.request(address, call, left)).map_err(|error| self.unanswered(call, &error))?;
        match refusal::of(call.method, call.path, &response, &self.token_secret) {
            None => Ok(response.body),
            // Where nobody could connect to the node, it was asked for nothing.
            Some(failure) if refusal::of_proxy(&response) => {
                let elsewhere = !call.changes() || response.status == 595;
                Err(Missed::Unanswered { failure, elsewhere })
            }
            Some(failure) => Err(Missed::Refused(failure)),
        }
    }

    fn unanswered(&self, call: &Call<'_>, error: &HttpError) -> Missed {
        let cause = match error.reached {
            Reached::Perhaps => Cause::Unknown,
            Reached::No => Cause::Later,
        };
        let text = refusal::words(&error.text, &self.token_secret);
        let elsewhere = !call.changes() || error.reached == Reached::No;
        Missed::Unanswered { failure: Failure { text, cause, kind: Kind::Other }, elsewhere }
    }

    fn request(&self, address: &str, call: &Call<'_>, left: Duration) -> Request {
        let id = utf8_percent_encode(&self.token_id, RESERVED_IN_TOKEN);
        let secret = utf8_percent_encode(self.token_secret.expose(), RESERVED_IN_TOKEN);
        let mut headers = vec![("authorization", format!("PVEAPIToken={id}={secret}"))];
        let mut url = format!("{address}/api2/json{}", call.path);
        let mut body = Vec::new();
        if call.changes() {
            headers.push(("content-type", "application/x-www-form-urlencoded".into()));
            body = call.pairs.clone().into_bytes();
        } else if !call.pairs.is_empty() {
            url = format!("{url}?{}", call.pairs);
        }
        let patience = if call.changes() { PATIENCE_TO_CHANGE } else { PATIENCE };
        Request {
            method: call.method,
            url,
            headers,
            body,
            timeout: left.min(patience),
            proxy: None,
            tls: self.tls.clone(),
            body_limit: LIMIT,
        }
    }
}

/// What several addresses that brought nothing come to: each text once, with the addresses that led to it.
fn summary(call: &Call<'_>, missed: &[(&str, Failure)]) -> Failure {
    let mut texts: Vec<(String, &str)> = Vec::new();
    for (address, failure) in missed {
        match texts.iter_mut().find(|(_, text)| *text == failure.text) {
            Some((addresses, _)) => *addresses = format!("{addresses}, {address}"),
            None => texts.push(((*address).to_owned(), &failure.text)),
        }
    }
    let texts: Vec<String> = texts.iter().map(|(addresses, text)| format!("{addresses}: {text}")).collect();
    let text = if texts.is_empty() { "no time left in this run".into() } else { texts.join("; ") };
    let unknown = missed.iter().any(|(_, failure)| failure.cause == Cause::Unknown);
    let cause = if unknown { Cause::Unknown } else { Cause::Later };
    Failure { text: clean(&format!("{}: {text}", call.name()), TEXT_LIMIT), cause, kind: Kind::Unanswered }
}

fn encode_form(form: &[(String, String)]) -> String {
    encode(form.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn encode<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let encoded = |text| utf8_percent_encode(text, RESERVED);
    pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&")
}

/// A path below a node. Whatever is no plain name is encoded, and such a path is not valid: a name from outside is one
/// part of a path or none.
fn node_path(node: &str, parts: &[&str]) -> String {
    let parts = [node].into_iter().chain(parts.iter().copied());
    parts.fold("/nodes".into(), |path, part| format!("{path}/{}", part.replace('/', "%2F")))
}

/// The path of a guest on its node, and of what is asked of it.
fn guest_path(node: &str, guest: Id, parts: &[&str]) -> String {
    let vmid = guest.vmid.to_string();
    node_path(node, &[&[guest.kind.name(), &vmid], parts].concat())
}

/// Whether the path is sent as it stands: names in it come from answers, and must not lead to another call.
fn is_plain(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_name))
}

/// Whether it is one part of such a path.
fn is_name(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@!+=~,".contains(c);
    !part.is_empty() && part != "." && part != ".." && part.chars().all(plain)
}

//! Huawei Cloud: signed calls to BSS (billing), IAM, STS, Config and ECS.
//!
//! Invariant: a call that only reads is repeated a few times within its time; one that changes something is repeated
//! only where the vendor says that it was not done; one whose key is refused is never repeated, since five failures
//! lock the key. What the vendor says is redacted before anybody sees it: error texts may echo the key.

pub mod bss;
pub mod ecs;
pub mod inventory;
mod record;
pub mod refusal;
mod settings;
pub mod sign;
pub mod units;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::host::{Host, Reached, Request, Response, Tls};
use crate::quota::text::clean;
use crate::secret::Secret;
use refusal::{Kind, Refusal};
use sign::{Keys, Unsigned};

pub use super::{Cause, Failure};
pub use settings::{open, read_ids, sites};

/// Keys, and where the services are.
pub struct Account {
    access: Secret,
    secret: Secret,
    token: Option<Secret>,
    endpoints: Endpoints,
    domain: Option<String>,
}

/// Base addresses without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Billing.
    pub bss: String,
    /// Who may do what; none: that of the region, else the global one.
    pub iam: Option<String>,
    /// Who the key belongs to.
    pub sts: String,
    /// The inventory of resources (RMS).
    pub config: String,
    /// Servers; none: that of the region.
    pub ecs: Option<String>,
    /// What the hosts of the site end in.
    pub suffix: &'static str,
}

impl Endpoints {
    /// IAM's.
    pub fn iam(&self, region: Option<&str>) -> String {
        let usual = || match region {
            Some(region) => format!("https://iam.{region}.{}", self.suffix),
            None => format!("https://iam.{}", self.suffix),
        };
        self.iam.clone().unwrap_or_else(usual)
    }

    /// ECS's.
    pub fn ecs(&self, region: &str) -> String {
        self.ecs.clone().unwrap_or_else(|| format!("https://ecs.{region}.{}", self.suffix))
    }
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The service's base address.
    pub base: String,
    /// The path below it.
    pub path: String,
    /// Decoded pairs.
    pub query: Vec<(String, String)>,
    /// Beside those every call has.
    pub headers: Vec<(&'static str, String)>,
    /// None: a GET.
    pub body: Option<Value>,
    /// Whether it changes anything.
    pub changes: bool,
    /// Whether the answer tells of an error by itself: that of a failed job is no refusal.
    pub tells: bool,
}

impl Call {
    /// A GET.
    pub fn get(base: impl Into<String>, path: impl Into<String>) -> Self {
        let (base, path) = (base.into(), path.into());
        Self { base, path, query: Vec::new(), headers: Vec::new(), body: None, changes: false, tells: false }
    }

    /// A POST that only reads.
    pub fn ask(base: impl Into<String>, path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::get(base, path) }
    }

    /// With a pair of the query.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// With a header that is signed.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn method(&self) -> &'static str {
        if self.body.is_some() { "POST" } else { "GET" }
    }
}

/// Tries of a call.
const TRIES: u32 = 3;
/// For one try.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the second try; twice as long before each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// Answers are lists of some hundred records at most.
const LIMIT: u64 = 8 << 20;

impl Account {
    /// Where the services are.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The text without the keys.
    pub fn redact(&self, text: &str) -> String {
        [Some(&self.access), Some(&self.secret), self.token.as_ref()]
            .into_iter()
            .flatten()
            .fold(text.to_owned(), |text, secret| secret.redact(&text))
    }

    /// Calls until it is answered, refused, or `until` (time since the program started) is over; the answer as JSON.
    pub fn call<T: DeserializeOwned>(&self, host: &dyn Host, call: &Call, until: Duration) -> Result<T, Failure> {
        let body = self.exchange(host, call, until)?;
        serde_json::from_slice(&body).map_err(|error| self.misread(&body, &error.to_string()))
    }

    /// An answer that is not what it should be; whatever was to be done may have been done.
    pub fn misread(&self, body: &[u8], why: &str) -> Failure {
        let page = body.trim_ascii_start().first() == Some(&b'<');
        let text = if page {
            "the answer is an HTML page: is a proxy in between?".to_owned()
        } else {
            // The reader quotes what it stumbled over, whole.
            format!("the answer cannot be read: {}", clean(&self.redact(why), 120))
        };
        Failure { text, cause: Cause::Unknown }
    }

    /// The body of a successful answer.
    pub fn exchange(&self, host: &dyn Host, call: &Call, until: Duration) -> Result<Vec<u8>, Failure> {
        let mut pause = PAUSE;
        let mut tries = 1;
        // Half of the time for the first try, so that one that hangs leaves another a chance.
        let patience = (until.saturating_sub(host.elapsed()) / 2).min(PATIENCE);
        loop {
            let left = until.saturating_sub(host.elapsed());
            if left.is_zero() {
                return Err(Failure { text: "no time left in this run".into(), cause: Cause::Later });
            }
            let (failure, wait) = match host.http(&self.sign(host, call, left.min(patience))) {
                Ok(response) if call.tells && response.status == 200 => return Ok(response.body),
                Ok(response) => match refusal::of(&response, host.now()) {
                    None => return Ok(response.body),
                    Some(refusal) => self.refused(call, &response, refusal),
                },
                Err(error) => {
                    let cause = match error.reached {
                        Reached::Perhaps => Cause::Unknown,
                        Reached::No => Cause::Later,
                    };
                    (Failure { text: self.redact(&error.text), cause }, (!call.changes).then_some(None))
                }
            };
            let wait = wait.map(|wait: Option<Duration>| wait.unwrap_or(pause));
            let wait = wait.filter(|wait| tries < TRIES && host.elapsed() + *wait + patience <= until);
            let Some(wait) = wait else { return Err(failure) };
            host.sleep(wait);
            (tries, pause) = (tries + 1, pause * 2);
        }
    }

    /// The failure, and whether a further try may help: after how long, if the vendor says so.
    fn refused(&self, call: &Call, response: &Response, refusal: Refusal) -> (Failure, Option<Option<Duration>>) {
        let throttled = refusal.kind == Kind::Again && response.status < 500;
        let cause = match (refusal.kind, refusal.code.as_deref()) {
            (Kind::Credentials, _) => Cause::Credentials,
            (Kind::Forbidden, Some("CBC.0150" | "CBC.0156")) => Cause::OtherSite,
            (Kind::Forbidden, _) => Cause::Forbidden,
            (Kind::Again, _) if throttled => Cause::Later,
            (Kind::Again, _) => Cause::Unknown,
            (Kind::Other, Some("Ecs.0114")) => Cause::Absent,
            (Kind::Other, _) => Cause::Wrong,
        };
        let again = refusal.kind == Kind::Again && (throttled || !call.changes);
        (Failure { text: self.redact(&refusal.text), cause }, again.then_some(refusal.wait))
    }

    fn sign(&self, host: &dyn Host, call: &Call, timeout: Duration) -> Request {
        let (scheme, rest) = call.base.split_once("://").unwrap_or(("https", &call.base));
        let (authority, prefix) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let default = if scheme == "http" { ":80" } else { ":443" };
        let path = format!("{prefix}{}", call.path);
        let query = sign::canonical_query(&call.query);
        let body = call.body.as_ref().map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let mut headers = call.headers.clone();
        headers.push(("host", authority.strip_suffix(default).unwrap_or(authority).to_owned()));
        headers.push(("x-sdk-date", sign::sdk_date(host.now())));
        headers.extend(call.body.is_some().then(|| ("content-type", "application/json".to_owned())));
        headers.extend(self.token.as_ref().map(|token| ("x-security-token", token.expose().to_owned())));
        let signed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let keys = Keys { access: self.access.expose(), secret: self.secret.expose() };
        let unsigned =
            Unsigned { method: call.method(), path: &path, query: &call.query, headers: &signed, body: &body };
        let authorization = sign::authorization(&keys, &unsigned);
        headers.push(("authorization", authorization));
        let mark = if query.is_empty() { "" } else { "?" };
        Request {
            method: call.method(),
            url: format!("{scheme}://{authority}{path}{mark}{query}"),
            headers,
            body,
            timeout,
            proxy: None,
            tls: Tls::System,
            body_limit: LIMIT,
        }
    }
}

/// An id as it may stand in a path: the vendor's are letters, digits, `-`, `_` and `.`, at most 64 bytes.
pub fn check_id(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) || text.starts_with('.') {
        return Err(format!("{:?} is no id", clean(text, 80)));
    }
    Ok(text.to_owned())
}

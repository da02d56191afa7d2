//! What an HTTP answer that is no success means, and what to do; pure.
//!
//! Invariant: no text that leaves here ends within a word that may be a key, so that the caller can redact it (the
//! vendor echoes access keys). To teach it a code: a row in [`ROWS`]; the first that matches counts.
//!
//! Why the code comes before the status: ECS says itself that its status may be inexact.
//!
//! Source: the error tables of the vendor's API references (BSS, ECS, Config, API Gateway), and the order in which its
//! Python SDK 3.1.219 looks for code and message.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::host::Response;
use crate::quota::duration::{self, Language};
use crate::quota::glob;
use crate::quota::instant::Instant;
use crate::quota::text::clean;

/// No longer wait is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How far from the gateway's clock a request may be dated.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(15 * 60);
/// Characters of the vendor's words at the most.
const WORDS_LIMIT: usize = 200;
/// Characters of a code, an id or a host name at the most.
const NAME_LIMIT: usize = 80;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For people: `status 403: CBC.0151: no permission: allow … (request id 1f2e)`, one line. The vendor's words in it
    /// may hold a key, and the request id is another each time.
    pub text: String,
    /// The vendor's code, numbers as text.
    pub code: Option<String>,
    /// What a retry would do.
    pub kind: Kind,
    /// How long the vendor asks to wait before it, 30 s at the most.
    pub wait: Option<Duration>,
}

/// What may help against a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Time: it was too often, or the vendor's fault.
    Again,
    /// Other keys, or another clock. Repeating it locks the key.
    Credentials,
    /// A permission, or the other site.
    Forbidden,
    /// Another request: the path, an id, a parameter is wrong.
    Other,
}

/// None: the answer is a success, whatever its body is. `now` is this machine's wall clock, which is compared with the
/// answer's when the vendor blames it.
pub fn of(response: &Response, now: Instant) -> Option<Refusal> {
    let body = serde_json::from_slice(&response.body).unwrap_or_default();
    let said = match response.status {
        200..=299 => Said::despite_success(&body)?,
        300..=399 => Said::of_redirect(response),
        _ => Said::of_failure(&body).unwrap_or_else(|| Said::raw(&response.body)),
    };
    let row = row(&said, response.status);
    let advice = match row.advice {
        Advice::Is(text) => text.to_owned(),
        Advice::Clock => clock_advice(response, now),
    };
    Some(Refusal {
        text: said.text(response.status, &advice, request_id(response, &body)),
        code: said.code,
        kind: row.kind,
        wait: wait(response, now),
    })
}

/// Some codes, and what they mean.
struct Row {
    /// Globs of codes; statuses stand for answers whose code is not known.
    codes: &'static [&'static str],
    /// What the words must contain, in lower case.
    words: &'static str,
    kind: Kind,
    advice: Advice,
}

enum Advice {
    Is(&'static str),
    /// The clock's fault, or an expired key's.
    Clock,
}

const fn when(codes: &'static [&'static str], words: &'static str, kind: Kind, advice: Advice) -> Row {
    Row { codes, words, kind, advice }
}

const fn all(codes: &'static [&'static str], kind: Kind, advice: &'static str) -> Row {
    when(codes, "", kind, Advice::Is(advice))
}

/// The gateway's code for whatever is wrong with a signature.
const SIGNATURE: &[&str] = &["APIGW.0301", "401"];

/// Codes of the gateway are those with a W.
const ROWS: &[Row] = &[
    when(
        SIGNATURE,
        "verify aksk signature fail",
        Kind::Credentials,
        Advice::Is("check secret_key: it is not that of access_key"),
    ),
    when(
        SIGNATURE,
        "ak not exist",
        Kind::Credentials,
        Advice::Is("check access_key: it is unknown, deleted or disabled"),
    ),
    when(SIGNATURE, "signature expired", Kind::Credentials, Advice::Clock),
    when(
        SIGNATURE,
        "reach the limit",
        Kind::Credentials,
        Advice::Is("the key is locked for five minutes after repeated failures: correct it, then wait"),
    ),
    when(
        SIGNATURE,
        "x-auth-token not found",
        Kind::Credentials,
        Advice::Is(
            "the signature did not arrive: check endpoint, and whether a proxy removes the header Authorization",
        ),
    ),
    all(SIGNATURE, Kind::Credentials, "check access_key, secret_key and security_token"),
    all(
        &["APIGW.0303", "APIGW.0305", "APIGW.0307"],
        Kind::Credentials,
        "the gateway expects another kind of credentials: check endpoint and security_token",
    ),
    all(&["CBC.0154"], Kind::Credentials, "the token is invalid or has expired: renew security_token"),
    all(
        &["CBC.0151", "CBC.0155"],
        Kind::Forbidden,
        "the key lacks a permission, for quotas billing:resourcePackages:view: allow it in IAM",
    ),
    all(
        &["CBC.0150", "CBC.0156"],
        Kind::Forbidden,
        "the account belongs to the other site: set site = \"international\" or \"china\"",
    ),
    all(
        &["APIGW.0302", "APIGW.0304", "APIGW.0306", "APIGW.0802"],
        Kind::Forbidden,
        "the key is not allowed to use this API or region: allow it in IAM",
    ),
    all(&["Ecs.0114"], Kind::Other, "no such server in this project: check server_id, project_id and region"),
    all(&["APIGW.0101"], Kind::Other, "the path, method or host is wrong: check site, endpoint and region"),
    all(&["APIGW.0308", "CBC.0250", "429"], Kind::Again, "asked too often: a later try may succeed"),
    all(
        &["CBC.0999", "APIGW.0601", "APIGW.0201", "APIGW.0613", "5??", "408"],
        Kind::Again,
        "the vendor's side failed: a later try may succeed",
    ),
    all(&["Ecs.0003", "403"], Kind::Forbidden, "the key lacks a permission: allow it in IAM"),
    all(
        &["CBC.0100", "CBC.0101", "Ecs.0005", "400"],
        Kind::Other,
        "a parameter is wrong: check the ids in the settings",
    ),
    all(&["3??"], Kind::Other, "redirects are not followed: check site and endpoint"),
    all(&["4??"], Kind::Other, "the request does not fit this server: check site, endpoint and region"),
];

/// For all the others.
const UNKNOWN: Row = all(&[], Kind::Other, "see the vendor's list of error codes");

fn row(said: &Said, status: u16) -> &'static Row {
    let words = said.words.to_lowercase();
    let known = |code: &str| {
        let is_for = |row: &&Row| row.codes.iter().any(|known| glob::matches(known, code)) && words.contains(row.words);
        ROWS.iter().find(is_for)
    };
    // The other flavour of the gateway has the same codes.
    let by_code = said.code.as_ref().and_then(|code| known(&code.replacen("APIG.", "APIGW.", 1)));
    by_code.or_else(|| known(&status.to_string())).unwrap_or(&UNKNOWN)
}

/// What the answer says of itself, fit to be shown but not redacted.
struct Said {
    code: Option<String>,
    /// Empty when there are none.
    words: String,
}

/// The names that codes and messages go by, in the SDK's order. Jobs give a reason of failure.
const NAMES: [(&str, &[&str]); 3] = [
    ("error_code", &["error_msg", "error_message", "fail_reason"]),
    ("errorCode", &["errorMsg", "errorMessage"]),
    ("code", &["message"]),
];

/// How much an object must say to be taken for the error, what is preferred first.
const ENOUGH: [fn(&Said) -> bool; 3] =
    [|said| said.code.is_some() && !said.words.is_empty(), |said| said.code.is_some(), |said| !said.words.is_empty()];

impl Said {
    fn of_failure(body: &Value) -> Option<Self> {
        ENOUGH.iter().find_map(|enough| Self::deep(body, *enough))
    }

    fn deep(value: &Value, enough: fn(&Self) -> bool) -> Option<Self> {
        let object = value.as_object()?;
        let here = NAMES.iter().map(|names| Self::named(object, *names)).find(enough);
        here.or_else(|| object.values().find_map(|value| Self::deep(value, enough)))
    }

    fn named(object: &Map<String, Value>, (code, words): (&str, &[&str])) -> Self {
        let code = object.get(code).and_then(text).map(|code| one_line(&code, NAME_LIMIT));
        let words = words.iter().find_map(|name| object.get(*name).and_then(text)).unwrap_or_default();
        Self { code, words: shown(&words) }
    }

    /// A good status may come with a bad code, and a proxy may make all of them good. Below the first level, codes
    /// are those of parts, as in a job with several servers.
    fn despite_success(body: &Value) -> Option<Self> {
        let object = body.as_object()?;
        let names = NAMES[..2].iter().find(|(code, _)| object.get(*code).is_some_and(is_bad))?;
        Some(Self::named(object, *names))
    }

    /// Only the host: the rest of an address may hold what is nobody's business.
    fn of_redirect(response: &Response) -> Self {
        let host = response.header("location").and_then(host_of);
        let to = host.map(|host| format!(" to {}", one_line(host, NAME_LIMIT)));
        Self { code: None, words: format!("redirects{}", to.unwrap_or_default()) }
    }

    fn raw(body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let words = if is_html(&body) { "an HTML page".into() } else { shown(&body) };
        Self { code: None, words }
    }

    fn text(&self, status: u16, advice: &str, request_id: Option<String>) -> String {
        let mut parts = vec![format!("status {status}")];
        // IAM repeats the status as its code.
        parts.extend(self.code.clone().filter(|code| *code != status.to_string()));
        let words = self.words.trim_end_matches(['.', '。', ':', ';', ',', ' ']);
        parts.extend((!words.is_empty()).then(|| words.to_owned()));
        parts.push(advice.to_owned());
        let id = request_id.map(|id| format!(" (request id {id})")).unwrap_or_default();
        parts.join(": ") + &id
    }
}

fn is_bad(code: &Value) -> bool {
    !code.is_null() && !matches!(code.as_str(), Some("" | "CBC.0000"))
}

/// A text or a number, as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn host_of(location: &str) -> Option<&str> {
    let rest = ["https://", "http://", "//"].iter().find_map(|start| location.strip_prefix(start))?;
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    authority.rsplit('@').next().filter(|host| !host.is_empty())
}

fn is_html(body: &str) -> bool {
    let start: String = body.trim_start().chars().take(1000).collect::<String>().to_ascii_lowercase();
    start.starts_with('<') && (start.contains("<html") || start.starts_with("<!doctype html"))
}

/// The vendor's words without what some gateways echo after them: our own request and its signature.
fn shown(words: &str) -> String {
    let lower = words.to_ascii_lowercase();
    match ["sdk-hmac-sha256", "canonical"].iter().filter_map(|mark| lower.find(mark)).min() {
        Some(start) => one_line(&format!("{}…", &words[..start]), WORDS_LIMIT),
        None => one_line(words, WORDS_LIMIT),
    }
}

/// Blanks and line breaks as one blank each, other control characters escaped, and cut where no key is cut: a part of
/// one would not be found by those who redact.
fn one_line(text: &str, limit: usize) -> String {
    let line = clean(&text.split_whitespace().collect::<Vec<_>>().join(" "), usize::MAX);
    let Some((end, next)) = line.char_indices().nth(limit - 1).filter(|_| line.chars().nth(limit).is_some()) else {
        return line;
    };
    let may_be_key = |c: char| c.is_ascii_alphanumeric() || "+/=_-%".contains(c);
    let kept = if may_be_key(next) { line[..end].trim_end_matches(may_be_key) } else { &line[..end] };
    format!("{}…", kept.trim_end())
}

fn request_id(response: &Response, body: &Value) -> Option<String> {
    let headers = ["x-request-id", "x-iam-trace-id"].into_iter();
    let id = headers.filter_map(|name| response.header(name)).find(|id| !id.trim().is_empty()).map(str::to_owned);
    id.or_else(|| text(&body["request_id"])).map(|id| one_line(&id, NAME_LIMIT))
}

/// To the minute, so that the same problem is not told again as a new one.
fn clock_advice(response: &Response, now: Instant) -> String {
    let Some(server) = date(response) else {
        return "check this machine's clock; if it is right, a temporary key has expired: renew it".into();
    };
    let apart = server.since(now).max(now.since(server));
    if apart <= CLOCK_TOLERANCE {
        return "the clocks agree, so a temporary key has expired: renew it".into();
    }
    let way = if server > now { "behind" } else { "ahead" };
    let apart = duration::words(Duration::from_secs(apart.as_secs() / 60 * 60), Language::En);
    format!("this machine's clock is {apart} {way}: set it right")
}

fn date(response: &Response) -> Option<Instant> {
    Instant::parse_http(response.header("date")?.trim())
}

/// A date is one of the server's clock, so it is compared with that as long as the server says it.
fn wait(response: &Response, now: Instant) -> Option<Duration> {
    let asked = response.header("retry-after")?.trim();
    if !asked.is_empty() && asked.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(asked.parse().map_or(LONGEST_WAIT, Duration::from_secs).min(LONGEST_WAIT));
    }
    let until = Instant::parse_http(asked)?;
    Some(until.since(date(response).unwrap_or(now)).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests;

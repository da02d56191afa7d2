//! From a request to its answer.
//!
//! Invariant: a password that is wrong too often is not heard; nothing of a request is kept or told before it has proved
//! who it is of; which names nodes have is not learnt by wrong passwords; and every request has an answer.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::CONTENT_LENGTH;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::time::timeout;

use super::access;
use super::answer::{self, Answer};
use super::guesses::{Bucket, Origin, Target};
use super::head;
use super::hub::Hub;
use super::views::{self, Context};
use crate::config::Config;
use crate::config::secret::Need;
use crate::config::serve::Settings;
use crate::fleet::record::{News, Record};
use crate::fleet::report::Report;
use crate::notify::Delivery;
use crate::notify_test;
use crate::quota::instant::Instant;
use crate::store::spool::Spool;

/// Bytes of a body at the most.
const BODY_LIMIT: usize = 64 * 1024;
/// A body is over within so long.
const BODY_TIME: Duration = Duration::from_secs(5);
/// One that is not there so soon is waited for.
const SOON: Duration = Duration::from_millis(200);
/// Bodies of one origin that are waited for at once.
const BODIES: usize = 32;
/// What is wrong with the configuration may be mended by then.
const MENDED_IN: u64 = 30;
/// The disk may have room again by then.
const ROOM_IN: u64 = 10;
/// A second machine of the same name is noted this often.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// For all notifiers together; the connection does not last longer.
const TEST_TIME: Duration = Duration::from_secs(15);

/// One request, and who it is of.
struct Asked<'a> {
    hub: &'a Rc<Hub>,
    config: &'a Arc<Config>,
    head: &'a Parts,
    peer: IpAddr,
}

/// The answer to a request.
pub async fn answer<B>(hub: &Rc<Hub>, peer: IpAddr, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let Some(config) = hub.config() else {
        let message = "configuration error: see the log of the service";
        return Answer::refused(StatusCode::SERVICE_UNAVAILABLE, message).after(MENDED_IN);
    };
    let asked = Asked { hub, config: &config, head: &head, peer };
    match head.uri.path() {
        "/healthz" => asked.looks().unwrap_or_else(|| Answer::new("text/plain; charset=utf-8", "ok\n")),
        "/api/report" => match asked.does() {
            Some(refused) => refused,
            None => match asked.whole(body).await {
                Ok(body) => asked.report(&body),
                Err(refused) => refused,
            },
        },
        "/api/test-telegram" => match asked.does().or_else(|| asked.may_not_read()) {
            Some(refused) => refused,
            None => asked.test().await,
        },
        path if views::is_one(path) => match asked.looks().or_else(|| asked.may_not_read()) {
            Some(refused) => refused,
            None => asked.view().await,
        },
        _ => Answer::not_found(),
    }
}

/// The refusal of who has had too many tries.
fn too_many_wrong(wait: Duration) -> Answer {
    let message = "too many wrong passwords: try again later";
    Answer::refused(StatusCode::TOO_MANY_REQUESTS, message).after(wait.as_millis().div_ceil(1000) as u64)
}

impl Asked<'_> {
    /// The body, if it is not too long and does not take too long, and not too many of its origin are waited for.
    async fn whole<B>(&self, body: B) -> Result<Bytes, Answer>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let too_long = || Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {BODY_LIMIT} bytes"));
        let length = self.head.headers.get(CONTENT_LENGTH);
        let told = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if told.is_some_and(|length| length > BODY_LIMIT as u64) {
            return Err(too_long());
        }
        let mut collecting = pin!(Limited::new(body, BODY_LIMIT).collect());
        let collected = match timeout(SOON, collecting.as_mut()).await {
            Ok(collected) => Ok(collected),
            Err(_) if self.hub.bodies.count(self.origin()) >= BODIES => {
                let message = "too many requests of this address are waited for";
                return Err(Answer::refused(StatusCode::TOO_MANY_REQUESTS, message).after(BODY_TIME.as_secs()));
            }
            Err(_) => {
                let _counted = self.hub.bodies.add(self.origin());
                timeout(BODY_TIME - SOON, collecting).await
            }
        };
        match collected {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
            Ok(Err(_)) => Err(Answer::refused(StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => Err(Answer::refused(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
        }
    }

    /// The refusal for what only looks, asked for in another way.
    fn looks(&self) -> Option<Answer> {
        (![Method::GET, Method::HEAD].contains(&self.head.method)).then(|| Answer::other_method("GET, HEAD"))
    }

    /// The refusal for what does something.
    fn does(&self) -> Option<Answer> {
        (self.head.method != Method::POST).then(|| Answer::other_method("POST"))
    }

    fn settings(&self) -> Option<&Settings> {
        self.config.serve.as_ref()
    }

    fn origin(&self) -> Origin {
        head::origin(self.peer, &self.head.headers)
    }

    fn bucket(&self, target: Target) -> Bucket {
        (self.origin(), target)
    }

    /// Hears a token, unless there were too many wrong ones; the refusal when it is wrong.
    fn is_no_reader(&self, settings: &Settings, token: &[u8]) -> Option<Answer> {
        let (bucket, now) = (self.bucket(Target::Reader), self.hub.host.elapsed());
        let mut guesses = self.hub.guesses.borrow_mut();
        if let Some(wait) = guesses.wait(&bucket, now) {
            return Some(too_many_wrong(wait));
        }
        (!access::is_reader(settings, token)).then(|| {
            guesses.wrong(bucket, now);
            self.who_is_it()
        })
    }

    /// Hears the password of a report, unless there were too many wrong ones; the refusal when it is wrong.
    ///
    /// What is refused is answered and counted alike, whether a node of that name has a password of its own, has that of
    /// all, or there is none.
    fn is_no_node(&self, settings: &Settings, report: &Report) -> Option<Answer> {
        let is_right = access::is_node(settings, &report.hostname, &report.password);
        let (own, shared) = (self.bucket(Target::Node(report.hostname.clone())), self.bucket(Target::Shared));
        let now = self.hub.host.elapsed();
        let mut guesses = self.hub.guesses.borrow_mut();
        let (of_own, of_shared) = (guesses.wait(&own, now), guesses.wait(&shared, now));
        let has_own = settings.node_passwords.contains_key(&report.hostname);
        if is_right && of_own.is_none() && (has_own || of_shared.is_none()) {
            return None;
        }
        if of_own.is_none() {
            guesses.wrong(own, now);
            if of_shared.is_none() {
                guesses.wrong(shared, now);
            }
        }
        let wrong = || Answer::refused(StatusCode::UNAUTHORIZED, "the password is wrong");
        Some(of_own.max(of_shared).map_or_else(wrong, too_many_wrong))
    }

    /// The refusal for who may not read, and for a page of another site, which has a browser send what it knows.
    fn may_not_read(&self) -> Option<Answer> {
        if head::is_of_another_site(&self.head.headers) {
            let message = "this was asked by a page of another site: type the address, or use a bookmark";
            return Some(Answer::refused(StatusCode::FORBIDDEN, message));
        }
        let Some(settings) = self.settings().filter(|settings| settings.read_token.is_some()) else {
            return Some(Answer::refused(StatusCode::FORBIDDEN, "set read_token in [serve]"));
        };
        match head::given(&self.head.headers) {
            None => Some(self.who_is_it()),
            Some(token) => self.is_no_reader(settings, &token),
        }
    }

    /// Asks who it is. A script is asked in a way that its browser does not pass on: it would ask its user over and over.
    fn who_is_it(&self) -> Answer {
        let by_script = self.head.headers.contains_key("x-requested-with");
        if by_script { Answer::who_is_it_of_a_script() } else { Answer::who_is_it() }
    }

    fn report(&self, body: &[u8]) -> Answer {
        let Some(settings) = self.settings().filter(|settings| access::takes_reports(settings)) else {
            return Answer::refused(StatusCode::FORBIDDEN, "set report_password or node_passwords in [serve]");
        };
        let report = match serde_json::from_slice::<Report>(body) {
            Ok(report) => report,
            Err(error) => return Answer::refused(StatusCode::BAD_REQUEST, format!("this is no report: {error}")),
        };
        if let Some(wrong) = report.wrong() {
            return Answer::refused(StatusCode::BAD_REQUEST, wrong);
        }
        if let Some(refused) = self.is_no_node(settings, &report) {
            return refused;
        }
        let kept = self.hub.with_spool(self.config, |spool| self.keep(spool, settings, report));
        kept.unwrap_or_else(|error| {
            let message = match error.kind() {
                ErrorKind::WouldBlock => "another netquota serve keeps the reports here",
                _ => "the report could not be kept: see the log of the service",
            };
            Answer::refused(StatusCode::SERVICE_UNAVAILABLE, message).after(ROOM_IN)
        })
    }

    fn keep(&self, spool: &mut Spool, settings: &Settings, report: Report) -> std::io::Result<Answer> {
        let is_full = |spool: &Spool| spool.records().len() >= settings.max_nodes;
        if !spool.records().contains_key(&report.hostname) && is_full(spool) {
            self.hub.forget_removed(spool);
            if is_full(spool) {
                let message = format!("max_nodes = {} is reached", settings.max_nodes);
                return Ok(Answer::refused(StatusCode::FORBIDDEN, message));
            }
        }
        let now = self.hub.now();
        let previous = spool.records().get(&report.hostname).cloned();
        match Record::follow(previous.as_deref(), report, now) {
            News::Newer(record) => spool.write(record).map(|()| Answer::done("the report is kept")),
            News::Older => Ok(Answer::done("an older report: nothing changed")),
            News::Foreign(noted) => {
                let recent = |doubled: Instant| doubled <= now && now.since(doubled) < NOTE_EVERY;
                if !previous.and_then(|previous| previous.doubled).is_some_and(recent) {
                    spool.write(noted)?;
                }
                Ok(Answer::refused(StatusCode::CONFLICT, "another machine reports under this name"))
            }
        }
    }

    fn unreadable() -> Answer {
        let message = "the reports cannot be read: see the log of the service";
        Answer::refused(StatusCode::SERVICE_UNAVAILABLE, message).after(ROOM_IN)
    }

    /// Sends a test message.
    async fn test(&self) -> Answer {
        let Some(config) = self.hub.config_with(Need::Testing, "notifiers") else {
            let message = "the configuration of a notifier is wrong: see the log of the service";
            return Answer::refused(StatusCode::SERVICE_UNAVAILABLE, message).after(MENDED_IN);
        };
        if self.hub.testing.replace(true) {
            let message = "a test message is on its way";
            return Answer::refused(StatusCode::TOO_MANY_REQUESTS, message).after(TEST_TIME.as_secs());
        }
        let (hub, host) = (Rc::clone(self.hub), Arc::clone(&self.hub.host));
        // It goes on when who asked is gone, and is over only then.
        let sent = tokio::task::spawn_local(async move {
            let sent = hub.at_desk(move || tested(&notify_test::send(&*host, &config, TEST_TIME), &config)).await;
            hub.testing.set(false);
            sent
        });
        let broken = || Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "the test broke down");
        sent.await.ok().flatten().unwrap_or_else(broken)
    }

    async fn view(&self) -> Answer {
        let Some(records) = self.hub.records(self.config) else { return Self::unreadable() };
        let path = self.head.uri.path();
        let with_history = if views::has_history(path) { self.hub.config_with(Need::History, "history") } else { None };
        let context = Context {
            host: Arc::clone(&self.hub.host),
            history_is_wrong: views::has_history(path) && with_history.is_none(),
            config: with_history.unwrap_or_else(|| Arc::clone(self.config)),
            state_dir: self.config.state_dir.clone().unwrap_or_default(),
            records,
            now: self.hub.now(),
            known: answer::marks(&self.head.headers),
        };
        let uri = self.head.uri.clone();
        match self.hub.at_desk(move || views::answer(uri.path(), uri.query(), &context)).await {
            Some(Some(answer)) => answer.unless_known(&self.head.headers),
            Some(None) => Answer::not_found(),
            None => Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "this view broke down"),
        }
    }
}

/// What became of a test message.
fn tested(sent: &[(String, Delivery)], config: &Config) -> Answer {
    if sent.is_empty() {
        return Answer::refused(StatusCode::SERVICE_UNAVAILABLE, "there is no notifier in the configuration");
    }
    let line = |(name, delivery): &(String, Delivery)| match delivery {
        Delivery::Accepted { .. } => format!("{name}: accepted"),
        Delivery::Kept { problem, .. } => format!("{name}: {problem}"),
    };
    let message = sent.iter().map(line).collect::<Vec<_>>().join("; ");
    let message = config.secrets.iter().fold(message, |message, secret| secret.redact(&message));
    if sent.iter().all(|(_, delivery)| matches!(delivery, Delivery::Accepted { .. })) {
        Answer::done(&message)
    } else {
        Answer::refused(StatusCode::BAD_GATEWAY, message)
    }
}

#[cfg(test)]
mod tests;

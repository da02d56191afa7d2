//! Stops a server of Huawei Cloud, and starts it again when its package is renewed.
//!
//! Why by status and not by the job alone: what counts is that the server is off. It is asked first, so that one that
//! is off is left alone; the job tells only of failure. Whoever looks does so for as long as the run may wait, and the
//! next runs look again.

use std::sync::Arc;
use std::time::Duration;

use super::{Action, Does, Order, Outcome, read_timeout};
use crate::api::Accounts;
use crate::api::huawei::ecs::{Job, Mode, OFF, ON, Order as Wish, Server};
use crate::api::huawei::{self, Cause, Failure, check_id};
use crate::config::fields::{Fields, Value, nearest};
use crate::host::Host;
use crate::quota::policy::Effect;

/// The settings.
struct StopServer {
    account: Arc<huawei::Account>,
    server_id: String,
    region: String,
    project_id: Option<String>,
    mode: Mode,
    force_after: Option<Duration>,
    start_on_renewal: bool,
    timeout: Duration,
    settings: String,
}

/// Reads the settings.
pub fn open(fields: &Fields<'_>, accounts: &Accounts) -> Option<Does> {
    let account = read_account(fields, accounts);
    let id = |value: &Value<'_>| check_id(value.text()?.trim());
    let server_id = fields.need("server_id", id);
    let region = fields.need("region", |value| check_region(value.text()?.trim()));
    let project_id = fields.opt("project_id", id);
    let mode =
        fields.or("mode", Mode::Soft, "\"soft\"", |value| value.word(&[("soft", Mode::Soft), ("hard", Mode::Hard)]));
    let force_after = fields.opt("force_after", |value| match value.duration()? {
        after if after < Duration::from_secs(60) => Err("at least 1 min is expected".into()),
        after => Ok(after),
    });
    if mode == Mode::Hard && force_after.is_some() {
        fields.error_at("force_after", "mode = \"hard\" is force from the start");
    }
    let start_on_renewal = fields.or("start_on_renewal", false, "false", Value::boolean);
    let timeout = read_timeout(fields);
    let (server_id, region) = (server_id?, region?);
    let settings = format!("stop-server {server_id} {region} {project_id:?} {mode:?} {force_after:?}");
    let account = account?;
    Some(Does::Once(Box::new(StopServer {
        account,
        server_id,
        region,
        project_id,
        mode,
        force_after,
        start_on_renewal,
        timeout,
        settings,
    })))
}

/// A region is part of a host's name.
fn check_region(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !text.is_empty() && text.len() <= 40 && text.chars().all(plain) && !text.starts_with('-') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no region such as \"ap-southeast-1\"")),
    }
}

/// The account of the source named, else of the only one.
fn read_account(fields: &Fields<'_>, accounts: &Accounts) -> Option<Arc<huawei::Account>> {
    let accounts: Vec<(&str, &Arc<huawei::Account>)> =
        accounts.iter().filter_map(|(name, account)| Some((name.as_str(), account.huawei()?))).collect();
    let names = || accounts.iter().map(|(name, _)| *name);
    let of = |name: &str| {
        let found = accounts.iter().find(|(known, _)| *known == name);
        found.map(|(_, account)| Arc::clone(account))
    };
    let unusable = |name| fields.findings().is_unusable("source", name);
    if fields.has("source") {
        return fields.opt("source", |value| {
            let name = value.text()?;
            if unusable(Some(name)) {
                return Ok(None);
            }
            of(name).map(Some).ok_or_else(|| format!("there is no huawei source {name:?}{}", nearest(name, names())))
        })?;
    }
    if let [(name, _)] = &accounts[..] {
        fields.show_default("source", &format!("{name:?}"));
        return of(name);
    }
    if unusable(None) {
        return None;
    }
    fields.error(match accounts.len() {
        0 => "a source of kind huawei is missing: its keys are used".into(),
        _ => format!("source is missing: one of {}", names().collect::<Vec<_>>().join(", ")),
    });
    None
}

impl Action for StopServer {
    fn effect(&self) -> Effect {
        Effect::ServerOff
    }

    fn settings(&self) -> String {
        self.settings.clone()
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn retry_after(&self) -> Option<Duration> {
        self.force_after
    }

    fn thing(&self) -> Option<String> {
        Some(format!("server {}/{}", self.region, self.server_id))
    }

    fn lifts(&self) -> bool {
        self.start_on_renewal
    }

    fn apply(&self, host: &dyn Host, order: &Order<'_>) -> Outcome {
        let until = host.elapsed() + order.timeout;
        let mode = if self.force_after.is_some() && order.unheeded { Mode::Hard } else { self.mode };
        self.bring(host, Wish::Stop(mode), order, until)
    }

    fn look(&self, host: &dyn Host, order: &Order<'_>) -> Outcome {
        let until = host.elapsed() + order.timeout;
        let look = || {
            let server = self.server(host, until)?;
            if self.account.server_status(host, &server, until)? == OFF {
                return Ok(Outcome::Done { output: String::new() });
            }
            Ok(self.running(host, order, &server, until))
        };
        look().unwrap_or_else(|failure: Failure| Outcome::Unseen { why: failure.text })
    }

    fn lift(&self, host: &dyn Host, order: &Order<'_>) -> Outcome {
        let until = host.elapsed() + order.timeout;
        self.bring(host, Wish::Start, order, until)
    }
}

impl StopServer {
    fn server(&self, host: &dyn Host, until: Duration) -> Result<Server, Failure> {
        let project = match &self.project_id {
            Some(project) => project.clone(),
            None => self.account.project(host, &self.region, until)?,
        };
        Ok(Server { id: self.server_id.clone(), region: self.region.clone(), project })
    }

    /// What was ordered has not come about yet; its job may have failed.
    fn running(&self, host: &dyn Host, order: &Order<'_>, server: &Server, until: Duration) -> Outcome {
        match order.job.map(|job| self.account.job(host, server, job, until)) {
            Some(Ok(Job::Failed(why))) => Outcome::Failed { why },
            _ => Outcome::Issued { output: String::new(), job: order.job.map(str::to_owned) },
        }
    }

    /// Brings the server to where it should be, unless it is there.
    fn bring(&self, host: &dyn Host, wish: Wish, order: &Order<'_>, until: Duration) -> Outcome {
        let there = if wish == Wish::Start { ON } else { OFF };
        let server = match self.server(host, until) {
            Ok(server) => server,
            Err(failure) => return before(failure),
        };
        match self.account.server_status(host, &server, until) {
            Ok(status) if status == there => return Outcome::Unneeded,
            Ok(_) if order.only_look => return self.running(host, order, &server, until),
            Ok(_) => {}
            Err(failure) => return before(failure),
        }
        match self.account.order(host, &server, wish, until) {
            Ok(job) => Outcome::Issued { output: String::new(), job: Some(job) },
            // It may have been taken: the next run looks before it is asked for again.
            Err(Failure { text: why, cause: Cause::Unknown }) => Outcome::Unseen { why },
            Err(failure) => before(failure),
        }
    }
}

/// A failure before anything was asked of the server.
fn before(failure: Failure) -> Outcome {
    match failure.may_pass() {
        true => Outcome::Postponed { why: failure.text },
        false => Outcome::Failed { why: failure.text },
    }
}

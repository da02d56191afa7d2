//! Actions on guests of a Proxmox VE cluster: settings, and shutting one down once.
//!
//! Why no waiting: shutting down takes minutes, so the run leaves the task alone, and the next ones look at the guest.
//! The task is asked only while the guest is still on, for the reason.

use std::time::Duration;

use super::{Action, Does, Order, Outcome};
use crate::api::Accounts;
use crate::api::pve::power::{Order as Wish, Task};
use crate::api::pve::{Cause, Failure, Kind};
use crate::config::fields::{Fields, Value};
use crate::host::Host;
use crate::quota::bytes::parse_rate;
use crate::quota::policy::{Effect, Kept, Off};

/// Reads the settings of `pve-disconnect`.
pub fn open_disconnect(_: &Fields<'_>, _: &Accounts) -> Option<Does> {
    Some(Does::Hold(Kept::Disconnected))
}

/// Reads the settings of `pve-rate-limit`.
pub fn open_rate_limit(fields: &Fields<'_>, _: &Accounts) -> Option<Does> {
    let rate = fields.need("rate", |value| parse_rate(value.text()?));
    Some(Does::Hold(Kept::Limited(rate?)))
}

/// Reads the settings of `pve-shutdown`.
pub fn open_shutdown(fields: &Fields<'_>, _: &Accounts) -> Option<Does> {
    let timeout = fields.opt("timeout", |value| match value.duration()? {
        timeout if timeout < Duration::from_secs(1) => Err("at least 1 s is expected".into()),
        timeout => Ok(timeout),
    });
    let force = fields.or("force", false, "false", Value::boolean);
    Some(read_off(fields, Off { hard: false, timeout, force, restart: false, grace: Duration::ZERO }))
}

/// Reads the settings of `pve-stop`.
pub fn open_stop(fields: &Fields<'_>, _: &Accounts) -> Option<Does> {
    Some(read_off(fields, Off { hard: true, timeout: None, force: false, restart: false, grace: Duration::ZERO }))
}

fn read_off(fields: &Fields<'_>, off: Off) -> Does {
    let keep_down = fields.or("keep_down", false, "false", Value::boolean);
    let restart = fields.opt("restart_on_lift", Value::boolean);
    if restart.is_some() && !keep_down {
        fields.error_at("restart_on_lift", "it goes with keep_down = true: only what is kept down is let go");
    }
    match keep_down {
        true => Does::Hold(Kept::Off(Off { restart: restart == Some(true), ..off })),
        false => Does::Once(Box::new(PowerOff(off))),
    }
}

/// Shuts a guest down, or cuts its power, once.
struct PowerOff(Off);

/// The order that takes a guest down.
pub fn order_of(off: Off) -> Wish {
    match off {
        Off { hard: true, .. } => Wish::Stop,
        Off { timeout, force, .. } => Wish::Shutdown { timeout, force },
    }
}

impl Action for PowerOff {
    fn effect(&self) -> Effect {
        Effect::GuestOff
    }

    fn settings(&self) -> String {
        format!("{:?}", self.0)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn apply(&self, host: &dyn Host, order: &Order<'_>) -> Outcome {
        let until = host.elapsed() + order.timeout;
        let Some(guest) = order.guest else { return nobody() };
        if let Some(lock) = guest.lock {
            return Outcome::Postponed { why: format!("{} is locked ({lock})", guest.id) };
        }
        match guest.cluster.power(host, guest.id, guest.node, order_of(self.0), until) {
            Ok(job) => Outcome::Issued { output: String::new(), job: Some(job) },
            Err(Failure { kind: Kind::NotRunning, .. }) => Outcome::Unneeded,
            // The next reading says where it is now.
            Err(Failure { kind: Kind::Gone, text, .. }) => Outcome::Postponed { why: text },
            Err(Failure { cause: Cause::Unknown, text, .. }) => Outcome::Unseen { why: text },
            Err(failure) if failure.may_pass() => Outcome::Postponed { why: failure.text },
            Err(failure) => Outcome::Failed { why: failure.text },
        }
    }

    fn look(&self, host: &dyn Host, order: &Order<'_>) -> Outcome {
        let until = host.elapsed() + order.timeout;
        let Some(guest) = order.guest else { return nobody() };
        let job = order.job.map(str::to_owned);
        match job.as_deref().map(|job| guest.cluster.task(host, job, until)) {
            // It was locked when the task came to it, which is no refusal.
            Some(Ok(Task::Failed(why))) if why.contains("is locked") => Outcome::Postponed { why },
            Some(Ok(Task::Failed(why))) => Outcome::Failed { why },
            Some(Ok(Task::Ok)) => Outcome::Issued { output: String::new(), job: None },
            _ => Outcome::Issued { output: String::new(), job },
        }
    }
}

fn nobody() -> Outcome {
    Outcome::Failed { why: "the quota is not about a guest".into() }
}

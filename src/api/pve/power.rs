//! Switching guests off and on, and the tasks that do it.
//!
//! Why a task's end is not the last word: of a guest that high availability looks after, the task only passes the wish
//! on and ends well while the guest runs on. Its status tells.

use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;

use super::{Answer, Call, Cause, Cluster, Failure, Kind, encode_form, guest_path, is_name, node_path, refusal};
use crate::host::Host;
use crate::quota::guest::Id;
use crate::quota::text::clean;

/// What is asked of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To shut down in order.
    Shutdown {
        /// How long it may take, in whole seconds, rounded up; none: as the guest's configuration says.
        timeout: Option<Duration>,
        /// Whether its power is cut when it takes longer.
        force: bool,
    },
    /// To be off at once.
    Stop,
    /// To be on.
    Start,
}

/// How a task goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// It is not over.
    Running,
    /// It has done its work.
    Ok,
    /// It has failed: why, safe to show.
    Failed(String),
}

#[derive(Deserialize)]
struct Status {
    status: String,
    exitstatus: Option<String>,
}

impl Order {
    /// The last part of the path.
    fn name(self) -> &'static str {
        match self {
            Self::Shutdown { .. } => "shutdown",
            Self::Stop => "stop",
            Self::Start => "start",
        }
    }

    /// Nothing that only root may say, or that the oldest version lacks.
    fn form(self) -> Vec<(String, String)> {
        let Self::Shutdown { timeout, force } = self else { return Vec::new() };
        let seconds = timeout.map(|timeout| ("timeout".to_owned(), timeout.as_millis().div_ceil(1000).to_string()));
        let mut form: Vec<(String, String)> = seconds.into_iter().collect();
        if force {
            form.push(("forceStop".into(), "1".into()));
        }
        form
    }
}

impl Cluster {
    /// Asks for a guest to be switched off or on; the id (UPID) of the task that does it. Accepted is not done.
    pub fn power(
        &self,
        host: &dyn Host,
        guest: Id,
        node: &str,
        order: Order,
        until: Duration,
    ) -> Result<String, Failure> {
        let path = guest_path(node, guest, &["status", order.name()]);
        let call = Call { method: "POST", path: &path, pairs: encode_form(&order.form()) };
        self.read(host, &call, until, |body| {
            let upid = serde_json::from_slice::<Answer<String>>(body)?.data;
            let wrong = || serde_json::Error::custom(format!("{:?} is no task's id", clean(&upid, 200)));
            node_of(&upid).ok_or_else(wrong)?;
            Ok(upid)
        })
    }

    /// How a task goes; the node it runs on is asked.
    pub fn task(&self, host: &dyn Host, upid: &str, until: Duration) -> Result<Task, Failure> {
        let Some(node) = node_of(upid) else {
            let text = refusal::words(&format!("{upid:?} is no task's id"), &self.token_secret);
            return Err(Failure { text, cause: Cause::Wrong, kind: Kind::Other });
        };
        let status: Status = self.get(host, &node_path(node, &["tasks", upid, "status"]), &[], until)?;
        Ok(match task(status) {
            Task::Failed(why) => Task::Failed(refusal::words(&why, &self.token_secret)),
            task => task,
        })
    }
}

fn task(status: Status) -> Task {
    let exit = match status.status.as_str() {
        "stopped" => status.exitstatus.unwrap_or_default(),
        _ => return Task::Running,
    };
    let warnings = exit.strip_prefix("WARNINGS: ");
    match exit.as_str() {
        "OK" => Task::Ok,
        "" => Task::Failed("how it ended is not known".into()),
        _ if warnings.is_some_and(|count| count.parse::<u32>().is_ok()) => Task::Ok,
        _ => Task::Failed(exit),
    }
}

/// The node of a task: its id is `UPID:node:pid:pstart:starttime:type:id:user:`. None: it is no such id, or none that
/// can stand in a path.
fn node_of(upid: &str) -> Option<&str> {
    let parts: Vec<&str> = upid.split(':').collect();
    match parts[..] {
        ["UPID", node, _, _, _, _, _, _, ""] if is_name(upid) && !node.is_empty() => Some(node),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

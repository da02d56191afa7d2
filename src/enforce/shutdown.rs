//! Powers this machine off.
//!
//! Without a command of the operator's the usual ones are tried in turn: a container has no systemd, a small
//! image no `shutdown`.

use std::time::Duration;

use super::command::run;
use super::{Action, Does, Order, Outcome, read_command, read_timeout};
use crate::api::Accounts;
use crate::config::fields::Fields;
use crate::host::Host;
use crate::quota::policy::Effect;

/// The settings.
struct Shutdown {
    commands: Vec<Vec<String>>,
    timeout: Duration,
}

const USUAL: [&[&str]; 3] = [&["systemctl", "poweroff"], &["shutdown", "-h", "now"], &["poweroff"]];

/// Reads the settings.
pub fn open(fields: &Fields<'_>, _: &Accounts) -> Option<Does> {
    let own = fields.opt("command", read_command);
    let timeout = read_timeout(fields);
    let usual = || USUAL.iter().map(|command| command.iter().map(ToString::to_string).collect()).collect();
    Some(Does::Once(Box::new(Shutdown { commands: own.map_or_else(usual, |own| vec![own]), timeout })))
}

impl Action for Shutdown {
    fn effect(&self) -> Effect {
        Effect::Restart
    }

    fn settings(&self) -> String {
        format!("shutdown {:?} {:?}", self.commands, self.timeout)
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn apply(&self, host: &dyn Host, order: &Order<'_>) -> Outcome {
        let end = host.elapsed() + order.timeout;
        let mut failures = Vec::new();
        for (index, command) in self.commands.iter().enumerate() {
            // Each has its share, so that one that hangs leaves the others a chance.
            let left = end.saturating_sub(host.elapsed()) / (self.commands.len() - index) as u32;
            let order = Order { timeout: left, ..*order };
            match run(host, command, &order) {
                Ok(output) => return Outcome::Issued { output, job: None },
                Err(why) => failures.push(why),
            }
        }
        Outcome::Failed { why: failures.join("\n") }
    }
}

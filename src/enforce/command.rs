//! Runs a command of the operator's: a list, without a shell, with the figures in its environment.

use std::time::Duration;

use super::{Action, Does, Order, Outcome, read_command, read_timeout};
use crate::api::Accounts;
use crate::config::fields::Fields;
use crate::host::{Command, Host, Ran};
use crate::quota::policy::Effect;

/// The settings.
struct Run {
    command: Vec<String>,
    timeout: Duration,
}

/// Reads the settings.
pub fn open(fields: &Fields<'_>, _: &Accounts) -> Option<Does> {
    let command = fields.need("command", read_command);
    let timeout = read_timeout(fields);
    Some(Does::Once(Box::new(Run { command: command?, timeout })))
}

impl Action for Run {
    fn effect(&self) -> Effect {
        Effect::Exit
    }

    fn settings(&self) -> String {
        format!("command {:?} {:?}", self.command, self.timeout)
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn apply(&self, host: &dyn Host, order: &Order<'_>) -> Outcome {
        match run(host, &self.command, order) {
            Ok(output) => Outcome::Done { output },
            Err(why) => Outcome::Failed { why },
        }
    }
}

/// Runs a command; its output when it ended with 0, else why it did not.
pub fn run(host: &dyn Host, argv: &[String], order: &Order<'_>) -> Result<String, String> {
    let command = Command {
        argv: argv.to_vec(),
        env: order.facts.to_vec(),
        withheld: order.withheld.to_vec(),
        timeout: order.timeout,
    };
    let program = argv.first().map_or("", String::as_str);
    let said = |output: &str| if output.trim().is_empty() { String::new() } else { format!("\n{}", output.trim()) };
    match host.run(&command) {
        Ran::Exited { code: Some(0), output } => Ok(output),
        Ran::Exited { code: Some(code), output } => Err(format!("{program}: exit code {code}{}", said(&output))),
        Ran::Exited { code: None, output } => Err(format!("{program}: ended by a signal{}", said(&output))),
        Ran::TimedOut { output } => {
            Err(format!("{program}: ended at its time limit of {:?}{}", order.timeout, said(&output)))
        }
        Ran::NotStarted(why) => Err(format!("{program}: {why}")),
    }
}

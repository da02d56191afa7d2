//! Sends a test message to every notifier.

use crate::config::{Config, PublicAddress};
use crate::error::{Exit, Result};
use crate::host::Host;
use crate::log::Log;
use crate::notify::Delivery;
use crate::quota::message::{self, Notice};
use crate::quota::text::pack;

/// Sends it; which ones took it is printed.
pub fn run(host: &dyn Host, config: &Config, log: &mut Log) -> Result<Exit> {
    let address = match &config.public_address {
        Some(PublicAddress::Literal(text)) => Some(text.as_str()),
        _ => None,
    };
    let head = message::head(&config.host_name, address);
    let item = Notice::test().item(config.language, host.now());
    let mut accepted = 0;
    for channel in &config.notifiers {
        let messages = pack(&head, std::slice::from_ref(&item), &|_| String::new(), channel.notifier.limit(), 1);
        let Some(message) = messages.first() else { continue };
        match channel.notifier.send(host, message, None, config.deadline / 2) {
            Delivery::Accepted { moved } => {
                accepted += 1;
                let moved = moved.map(|to| format!("; the chat has moved, please set chat = {to}")).unwrap_or_default();
                crate::print(host, &format!("notifier {:?}: accepted{moved}\n", channel.name))?;
            }
            Delivery::Kept { problem, .. } => log.error(&format!("notifier {:?}: {problem}", channel.name)),
        }
    }
    Ok(match accepted {
        0 => Exit::Failed,
        all if all == config.notifiers.len() => Exit::Done,
        _ => Exit::Problems,
    })
}

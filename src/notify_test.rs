//! Sends a test message to every notifier.

use std::time::Duration;

use crate::config::{Config, PublicAddress};
use crate::error::{Exit, Result};
use crate::host::Host;
use crate::log::Log;
use crate::notify::{Delivery, terminal};
use crate::quota::message::{self, Notice};
use crate::quota::text::pack;

/// Sends it; which ones took it is printed.
pub fn run(host: &dyn Host, config: &Config, log: &mut Log) -> Result<Exit> {
    let mut accepted = 0;
    for (name, delivery) in deliveries(host, config, config.deadline / 2) {
        match delivery {
            Delivery::Accepted { moved } => {
                accepted += 1;
                let moved = moved.map(|to| format!("; the chat has moved, please set chat = {to}")).unwrap_or_default();
                crate::print(host, &format!("notifier {name:?}: accepted{moved}\n"))?;
            }
            Delivery::Kept { problem, .. } => log.error(&format!("notifier {name:?}: {problem}")),
        }
    }
    Ok(match accepted {
        0 => Exit::Failed,
        all if all == config.notifiers.len() => Exit::Done,
        _ => Exit::Problems,
    })
}

/// Sends it to every channel but the terminal, within `limit`; what became of it, by channel.
pub fn send(host: &dyn Host, config: &Config, limit: Duration) -> Vec<(String, Delivery)> {
    let channels = config.notifiers.iter().filter(|channel| channel.name != terminal::NAME).count();
    let each = limit / u32::try_from(channels.max(1)).unwrap_or(u32::MAX);
    if channels == 0 { Vec::new() } else { deliveries(host, config, each).collect() }
}

fn deliveries(host: &dyn Host, config: &Config, each: Duration) -> impl Iterator<Item = (String, Delivery)> {
    let address = match &config.public_address {
        Some(PublicAddress::Literal(text)) => Some(text.as_str()),
        _ => None,
    };
    let head = message::head(&config.host_name, address);
    let item = Notice::test().item(config.language, host.now());
    config.notifiers.iter().filter_map(move |channel| {
        let messages = pack(&head, std::slice::from_ref(&item), &|_| String::new(), channel.notifier.limit(), 1);
        Some((channel.name.clone(), channel.notifier.send(host, messages.first()?, None, each)))
    })
}

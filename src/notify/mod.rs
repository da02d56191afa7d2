//! The channels messages go to.
//!
//! A message counts as sent when the channel has said that it has it, and only then: in doubt it is kept and sent
//! again. To add a channel: a file here with its settings, `open` and [`Notifier`], its `mod` line and its row in
//! [`NOTIFIERS`].

pub mod deliver;
#[cfg(test)]
mod script;
pub mod telegram;
pub mod terminal;

use std::time::Duration;

use crate::config::fields::Fields;
use crate::config::secret::Keeper;
use crate::host::Host;
use crate::quota::text::Message;

/// A channel messages go to. One message per call.
pub trait Notifier: Send + Sync {
    /// UTF-16 units one message may have.
    fn limit(&self) -> usize;
    /// Sends one message within `timeout`. `moved` is where the chat was last found to have moved to.
    fn send(&self, host: &dyn Host, message: &Message, moved: Option<&str>, timeout: Duration) -> Delivery;
    /// UTF-16 units a message with a picture may have; none for a channel that shows no pictures.
    fn picture_limit(&self) -> Option<usize> {
        None
    }
    /// Sends one message with a picture, a PNG, within `timeout`, where [`Notifier::picture_limit`] says that it can.
    fn send_picture(
        &self,
        host: &dyn Host,
        message: &Message,
        _png: &[u8],
        moved: Option<&str>,
        timeout: Duration,
    ) -> Delivery {
        self.send(host, message, moved, timeout)
    }
    /// The least time between two messages of one run.
    fn pace(&self) -> Duration;
    /// What is sent where, for `--debug`, without any secret.
    fn describe(&self) -> String;
    /// Where messages go, as configured; none for a channel that cannot move.
    fn address(&self) -> Option<String>;
}

/// Reads a kind's own settings.
pub type Open = fn(&Fields<'_>, &Keeper<'_>) -> Option<Box<dyn Notifier>>;

/// The kinds.
pub const NOTIFIERS: &[(&str, Open)] = &[("telegram", telegram::open)];

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The channel has it.
    Accepted {
        /// The chat has a new id, to be remembered; the operator should change the setting.
        moved: Option<String>,
    },
    /// It has not, or nobody knows; keep the message.
    Kept {
        /// What went wrong and what to do, without any secret.
        problem: String,
        /// Not before then.
        retry_after: Option<Duration>,
    },
}

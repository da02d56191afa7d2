//! Messages on standard output, for those without a notifier.
//!
//! A message that was printed counts as sent.

use std::time::Duration;

use super::{Delivery, Notifier};
use crate::host::Host;
use crate::quota::text::Message;

/// What it is called where a notifier's name stands.
pub const NAME: &str = "stdout";

/// Standard output.
#[derive(Debug)]
pub struct Terminal;

impl Notifier for Terminal {
    fn limit(&self) -> usize {
        usize::MAX
    }

    fn send(&self, host: &dyn Host, message: &Message, _moved: Option<&str>, _timeout: Duration) -> Delivery {
        match host.print(&format!("{}\n", message.plain())) {
            Ok(()) => Delivery::Accepted { moved: None },
            Err(error) => Delivery::Kept { problem: format!("standard output: {error}"), retry_after: None },
        }
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    fn describe(&self) -> String {
        "prints on standard output".into()
    }

    fn address(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::script::{Script, locked};
    use crate::quota::text::Line;

    fn send(script: &Script) -> Delivery {
        let line = |text: &str, bold| Line { text: text.into(), bold };
        let message = Message { lines: vec![line("head", true), line("<b>", false)], items: vec![] };
        Terminal.send(script, &message, None, Duration::ZERO)
    }

    #[test]
    fn what_was_printed_is_accepted() {
        let script = Script::new([]);
        assert_eq!(send(&script), Delivery::Accepted { moved: None });
        assert_eq!(locked(&script.printed).as_deref(), Some("head\n<b>\n"));
    }

    #[test]
    fn a_closed_output_keeps_the_message() {
        let script = Script::new([]);
        *locked(&script.printed) = None;
        assert_eq!(send(&script), Delivery::Kept { problem: "standard output: broken pipe".into(), retry_after: None });
    }
}

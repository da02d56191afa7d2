//! The bar that says how far reading is: on a terminal, when it takes longer than a second.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::host::Host;

/// What is over sooner needs no bar.
const SOON: Duration = Duration::from_secs(1);

/// The bar, which is not there until it is worth it.
pub struct Bar<'a> {
    host: &'a dyn Host,
    since: Duration,
    shown: Option<ProgressBar>,
}

impl<'a> Bar<'a> {
    /// Before the first step.
    pub fn new(host: &'a dyn Host) -> Self {
        Self { host, since: host.elapsed(), shown: None }
    }

    /// So many of all steps are done.
    pub fn step(&mut self, done: u64, of: u64) {
        let late = self.host.elapsed().saturating_sub(self.since) > SOON;
        if self.shown.is_none() && late && done < of && std::io::stderr().is_terminal() {
            let style =
                ProgressStyle::with_template("{bar:40} {percent} %").unwrap_or_else(|_| ProgressStyle::default_bar());
            self.shown = Some(ProgressBar::new(of).with_style(style));
        }
        if let Some(bar) = &self.shown {
            bar.set_position(done);
        }
    }

    /// Leaves no trace of it.
    pub fn finish(self) {
        if let Some(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

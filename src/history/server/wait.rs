//! Waiting for a server, and not for ever.
//!
//! Invariant: a call of an open store takes no longer than the limit, and the first one no longer together with the
//! opening, however the server behaves: looking up its name, its login and its answers count.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout, timeout_at};

use super::Trouble;
use crate::history::Failure;

/// Good-byes are said for so long.
const PARTING: Duration = Duration::from_millis(250);

/// Waits for one server.
pub struct Waiter {
    /// Only while this is being dropped there is none.
    runtime: Option<Runtime>,
    limit: Duration,
    deadline: Instant,
    /// The deadline is of the opening, and of the call after it.
    opening: bool,
    late: bool,
}

impl Waiter {
    /// The time for the opening begins.
    pub fn new(limit: Duration) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure { text: crate::error::in_words(&error) })?;
        let deadline = Instant::now() + limit;
        Ok(Self { runtime: Some(runtime), limit, deadline, opening: true, late: false })
    }

    /// A call begins, and its time with it.
    pub fn renew(&mut self) {
        if !std::mem::take(&mut self.opening) {
            self.deadline = Instant::now() + self.limit;
        }
    }

    /// Waits, until the deadline.
    pub fn wait<T>(&mut self, what: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let late = || Trouble::new(format!("no answer within {} s", self.limit.as_secs_f64()));
        let Some(runtime) = &self.runtime else { return Err(late()) };
        runtime.block_on(async { timeout_at(self.deadline, what).await }).unwrap_or_else(|_| {
            self.late = true;
            Err(late())
        })
    }

    /// Whether a wait ever took too long.
    pub fn is_late(&self) -> bool {
        self.late
    }

    /// Waits for something that need not come.
    pub fn leave(&self, what: impl Future<Output = ()>) {
        if let Some(runtime) = &self.runtime {
            let _ = runtime.block_on(async { timeout(PARTING, what).await });
        }
    }
}

impl Drop for Waiter {
    /// A name that is being looked up is not waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

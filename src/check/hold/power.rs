//! Whether a guest is on, beside what is wanted of it.
//!
//! Why orders are given ever less often: a guest that does not obey would be asked every ten minutes for months.

use std::time::Duration;

use super::Seen;
use crate::api::pve::power::{Order, Task};
use crate::check::Run;
use crate::enforce::guest::order_of;
use crate::quota::guest::LAG;
use crate::quota::instant::Instant;
use crate::quota::policy::{Off, due_again};
use crate::quota::state::{Down, HeldGuest, PowerOrder};

/// What an order may take before it is given again: at first, and at the most.
const AGAIN: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// A guest that was told to go off may still do so within this.
const TAKES: Duration = Duration::from_secs(1800);

/// Whether the guest's configuration has to be read: to compare its NICs, or to know whom an order is given to.
pub fn needs_config(held: &HeldGuest, seen: &Seen) -> bool {
    let power = seen.wanted.off.is_some() && (seen.on || held.likeness.is_none());
    let lift = seen.wanted.off.is_none() && held.down.as_ref().is_some_and(|down| down.taken);
    seen.wanted.is_on_nics() || !held.nics.is_empty() || power || lift
}

/// Whether nothing is left to be done for a guest that is let go.
pub fn is_over(down: &Down, seen: &Seen) -> bool {
    // What was told to go off, and is to be started again, is waited for.
    let goes_off = down.restart && down.order.as_ref().is_some_and(|order| !order.start);
    !goes_off && (!down.taken || seen.on || !down.restart)
}

impl Run<'_> {
    /// The order that brings the guest to where it is wanted, and why an earlier one has failed.
    pub(super) fn power(&self, seen: &Seen, held: &mut HeldGuest) -> (Option<Order>, Option<String>) {
        match (seen.wanted.off, &mut held.down) {
            (None, None) => (None, None),
            (Some(off), down) => self.keep_down(seen, off, down.get_or_insert_default()),
            (None, Some(down)) => self.let_up(seen, down),
        }
    }

    /// The order that takes a guest down, unless it is off, was told to go off a short while ago, or was just started.
    fn keep_down(&self, seen: &Seen, off: Off, down: &mut Down) -> (Option<Order>, Option<String>) {
        let now = self.clock.now;
        down.restart = off.restart;
        let is_over = |order: &PowerOrder| !seen.on || order.start || started_after(seen, order.at);
        down.order.take_if(|order| is_over(order));
        if !seen.on {
            return (None, None);
        }
        let (due, why) = match &mut down.order {
            Some(order) => self.waited(seen, order),
            None => (now.since(seen.started) >= off.grace, None),
        };
        if due {
            down.taken = true;
            down.give(false, now);
        }
        (due.then(|| order_of(off)), why)
    }

    /// The order that starts a guest which was taken down, unless it is on or was told to start a short while ago.
    fn let_up(&self, seen: &Seen, down: &mut Down) -> (Option<Order>, Option<String>) {
        let now = self.clock.now;
        if let Some(order) = down.order.as_ref().filter(|order| !order.start) {
            // What was told to go off may still do so.
            let pending = seen.on && !started_after(seen, order.at) && now.since(order.at) < TAKES;
            if pending && down.restart {
                return (None, None);
            }
            down.order = None;
        }
        if is_over(down, seen) {
            down.order = None;
            down.taken &= !seen.on;
            return (None, None);
        }
        let (due, why) = match &mut down.order {
            Some(order) => self.waited(seen, order),
            None => (true, None),
        };
        if due {
            down.give(true, now);
        }
        (due.then_some(Order::Start), why)
    }

    /// Whether an order has had its time, and why its task has failed, if it has.
    fn waited(&self, seen: &Seen, order: &mut PowerOrder) -> (bool, Option<String>) {
        let job = order.job.as_deref();
        let task = job.map(|job| seen.cluster.task(&**self.host, job, self.config.deadline));
        if let Some(Ok(Task::Failed(why))) = task {
            (order.job, order.failed) = (None, Some(self.redact(&why)));
        }
        (due_again(order.at, patience(order.tries), self.clock.now), order.failed.clone())
    }
}

/// What an order that was given so often may take.
fn patience(tries: u32) -> Duration {
    (AGAIN * 2_u32.pow(tries.saturating_sub(1).min(6))).min(LONGEST)
}

impl Down {
    fn give(&mut self, start: bool, now: Instant) {
        let before = self.order.as_ref().filter(|order| order.start == start).map_or(0, |order| order.tries);
        self.order = Some(PowerOrder { at: now, start, job: None, failed: None, tries: before + 1 });
    }
}

/// Whether the guest was started since: it was off meanwhile.
fn started_after(seen: &Seen, at: Instant) -> bool {
    seen.started > at.plus(LAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn orders_are_given_ever_less_often() {
        let minutes = [1, 2, 3, 4, 5, 6, 7, u32::MAX].map(|tries| patience(tries).as_secs() / 60);
        assert_eq!(minutes, [10, 20, 40, 80, 160, 320, 360, 360]);
    }

    #[test]
    fn an_order_is_counted_until_the_other_one_is_given() {
        let mut down = Down::default();
        let mut give = |start, seconds| {
            down.give(start, at(seconds));
            let order = down.order.as_mut().unwrap();
            let job = order.job.replace("UPID".into());
            (order.at, order.start, order.tries, job)
        };
        assert_eq!(give(false, 0), (at(0), false, 1, None));
        assert_eq!(give(false, 600), (at(600), false, 2, None), "the task is another one");
        assert_eq!(give(true, 700), (at(700), true, 1, None));
        assert_eq!(give(false, 800), (at(800), false, 1, None));
    }
}

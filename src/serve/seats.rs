//! Who is in: connections that were accepted, and work that goes on for them.
//!
//! There are only so many seats. When all are taken nobody is accepted: who comes then waits in the kernel's queue. While
//! few are left, an address that has its share already gets none, and is told so. Who was answered needs no seat any more,
//! but is seen to the door. Nobody is in when all have left, and since when is known.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::guesses::Origin;
use super::tally::{Counted, Tally};
use crate::host::Host;

/// Connections at once.
const SEATS: usize = 512;
/// So few are few.
const FEW: usize = SEATS / 4;
/// Those of one address that is not this machine's, while few are free: its reverse proxy comes for many.
const EACH: usize = 64;
/// Those who were answered and still send, at once.
const DOOR: usize = 128;

/// All seats.
pub struct Seats {
    host: Arc<dyn Host>,
    free: Arc<Semaphore>,
    door: Arc<Semaphore>,
    taken: Cell<usize>,
    by: Rc<Tally>,
    left: Cell<Duration>,
    emptied: Notify,
}

/// One that is taken until it is dropped.
pub struct Seat {
    seats: Rc<Seats>,
    _counted: Option<Counted>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// All free.
    pub fn new(host: Arc<dyn Host>) -> Rc<Self> {
        Rc::new(Self {
            left: Cell::new(host.elapsed()),
            host,
            free: Arc::new(Semaphore::new(SEATS)),
            door: Arc::new(Semaphore::new(DOOR)),
            taken: Cell::default(),
            by: Rc::default(),
            emptied: Notify::new(),
        })
    }

    /// Waits until there is a free one.
    pub async fn free(self: &Rc<Self>) {
        // It is never closed; and only who accepts takes any, so that it is still free when it is taken.
        drop(self.free.acquire().await);
    }

    /// Takes a free one for a connection; none when there is none, or few, of which its address has its share.
    pub fn take(self: &Rc<Self>, peer: IpAddr) -> Option<Seat> {
        let are_few = self.free.available_permits() <= FEW;
        let of = (!peer.to_canonical().is_loopback()).then(|| Origin::from(peer));
        if are_few && of.is_some_and(|of| self.by.count(of) >= EACH) {
            return None;
        }
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(self.seat(of.map(|of| self.by.add(of)), Some(permit)))
    }

    /// A place at the door; none when many are there.
    pub fn door(self: &Rc<Self>) -> Option<Seat> {
        let permit = Arc::clone(&self.door).try_acquire_owned().ok()?;
        Some(self.seat(None, Some(permit)))
    }

    /// One for work that may go on when its connection is gone.
    pub fn take_extra(self: &Rc<Self>) -> Seat {
        self.seat(None, None)
    }

    fn seat(self: &Rc<Self>, counted: Option<Counted>, permit: Option<OwnedSemaphorePermit>) -> Seat {
        self.taken.update(|taken| taken + 1);
        Seat { seats: Rc::clone(self), _counted: counted, _permit: permit }
    }

    /// Since when nobody is in; none while somebody is.
    pub fn empty_for(&self) -> Option<Duration> {
        (self.taken.get() == 0).then(|| self.host.elapsed().saturating_sub(self.left.get()))
    }

    /// Waits until nobody is in.
    pub async fn emptied(&self) {
        while self.taken.get() > 0 {
            self.emptied.notified().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.update(|taken| taken - 1);
        self.seats.left.set(self.seats.host.elapsed());
        if self.seats.taken.get() == 0 {
            self.seats.emptied.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::os::{OsHost, Output};

    fn seats() -> Rc<Seats> {
        Seats::new(Arc::new(OsHost::new("/".into(), Output::Stdout)))
    }

    #[test]
    fn while_few_are_left_one_address_has_its_share_and_this_machine_all() {
        let seats = seats();
        let take = |address: &str| seats.take(address.parse().unwrap());
        let mut of_one: Vec<_> = std::iter::from_fn(|| take("192.0.2.1")).collect();
        assert_eq!(of_one.len(), SEATS - FEW, "there is room, whoever comes");
        assert!(take("::ffff:192.0.2.1").is_none());
        let of_other: Vec<_> = std::iter::from_fn(|| take("192.0.2.2")).collect();
        assert_eq!(of_other.len(), EACH);
        let ours: Vec<_> = std::iter::from_fn(|| take("127.0.0.1")).collect();
        assert_eq!(ours.len(), FEW - EACH);
        of_one.pop();
        assert!(take("192.0.2.1").is_none() && take("192.0.2.3").is_some(), "one was free again");
        drop((of_one, of_other, ours));
        assert_eq!(seats.free.available_permits(), SEATS);
    }

    #[test]
    fn it_is_empty_when_all_have_left_and_all_work_is_done() {
        let seats = seats();
        assert!(seats.empty_for().is_some());
        let (guest, work) = (seats.take([127, 0, 0, 1].into()).unwrap(), seats.take_extra());
        let leaving: Vec<_> = std::iter::from_fn(|| seats.door()).collect();
        assert_eq!(leaving.len(), DOOR);
        drop((guest, leaving));
        assert_eq!(seats.empty_for(), None);
        drop(work);
        assert!(seats.empty_for().is_some());
    }
}

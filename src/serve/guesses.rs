//! How fast passwords can be guessed: at each name, and the token, ten wrong ones at once, then one each six seconds; at
//! the password that nodes share, by whatever names, sixty at once, then one each second; pure.
//!
//! Whoever is over it is not heard at all, right or wrong, so that nothing is learnt by guessing on. A node with a password
//! of its own is locked out only by guesses at its own name. Names that no node has are counted like those that one has:
//! which there are is not learnt by how long one may guess.
//!
//! Why a time for each bucket, and no number: the bucket is as full as that time is ahead of now, and empties by itself.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Buckets that are remembered.
const BUCKETS: usize = 4096;

/// Whom guesses come from: an address, or of IPv6 the network that one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            address => address,
        })
    }
}

/// At what is guessed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// At the password of this name, whether a node has it or none.
    Node(String),
    /// At that which nodes share, by whatever names.
    Shared,
    /// At the read token.
    Reader,
}

impl Target {
    /// Wrong guesses at once, and in how long one more.
    fn allows(&self) -> (u32, Duration) {
        match self {
            Self::Node(_) | Self::Reader => (10, Duration::from_secs(6)),
            Self::Shared => (60, Duration::from_secs(1)),
        }
    }
}

/// What guesses are counted by.
pub type Bucket = (Origin, Target);

/// The wrong guesses of late. Times are of a clock that never jumps.
#[derive(Debug, Default)]
pub struct Guesses {
    /// When each is empty again.
    empty_at: HashMap<Bucket, Duration>,
}

impl Guesses {
    /// How long it is until this one is heard again; none when it is heard now.
    pub fn wait(&self, bucket: &Bucket, now: Duration) -> Option<Duration> {
        let (at_once, each) = bucket.1.allows();
        let heard_at = self.empty_at.get(bucket)?.saturating_sub((at_once - 1) * each);
        heard_at.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// A wrong guess.
    pub fn wrong(&mut self, bucket: Bucket, now: Duration) {
        if self.empty_at.len() >= BUCKETS && !self.empty_at.contains_key(&bucket) {
            self.make_room(now);
        }
        let (_, each) = bucket.1.allows();
        let empty_at = self.empty_at.entry(bucket).or_default();
        *empty_at = now.max(*empty_at) + each;
    }

    /// Those that are empty go; when none is, the one that will be next.
    fn make_room(&mut self, now: Duration) {
        self.empty_at.retain(|_, empty_at| *empty_at > now);
        if self.empty_at.len() >= BUCKETS {
            let next = self.empty_at.iter().min_by_key(|(_, empty_at)| **empty_at).map(|(bucket, _)| bucket.clone());
            next.map(|bucket| self.empty_at.remove(&bucket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn bucket(node: &str) -> Bucket {
        (origin("192.0.2.1"), Target::Node(node.into()))
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ten_at_once_then_one_each_six_seconds() {
        let mut guesses = Guesses::default();
        let start = seconds(1000);
        for _ in 0..10 {
            assert_eq!(guesses.wait(&bucket("n"), start), None);
            guesses.wrong(bucket("n"), start);
        }
        assert_eq!(guesses.wait(&bucket("n"), start), Some(seconds(6)));
        assert_eq!(guesses.wait(&bucket("n"), start + seconds(5)), Some(seconds(1)));
        assert_eq!(guesses.wait(&bucket("n"), start + seconds(6)), None);
        guesses.wrong(bucket("n"), start + seconds(6));
        assert_eq!(guesses.wait(&bucket("n"), start + seconds(6)), Some(seconds(6)));
        let later = start + seconds(66);
        for _ in 0..10 {
            assert_eq!(guesses.wait(&bucket("n"), later), None, "after a minute all ten are there again");
            guesses.wrong(bucket("n"), later);
        }
        assert!(guesses.wait(&bucket("n"), later).is_some());
    }

    #[test]
    fn who_guesses_at_one_locks_out_no_other() {
        let mut guesses = Guesses::default();
        for _ in 0..50 {
            guesses.wrong(bucket("n"), seconds(1));
        }
        assert!(guesses.wait(&bucket("n"), seconds(1)).is_some());
        let address = origin("192.0.2.1");
        for free in [
            bucket("m"),
            (address, Target::Shared),
            (address, Target::Reader),
            (origin("192.0.2.2"), Target::Node("n".into())),
        ] {
            assert_eq!(guesses.wait(&free, seconds(1)), None, "{free:?}");
        }
    }

    #[test]
    fn at_what_nodes_share_sixty_are_heard_at_once_and_then_one_each_second() {
        let (mut guesses, shared) = (Guesses::default(), (origin("192.0.2.1"), Target::Shared));
        for _ in 0..60 {
            assert_eq!(guesses.wait(&shared, seconds(5)), None);
            guesses.wrong(shared.clone(), seconds(5));
        }
        assert_eq!(guesses.wait(&shared, seconds(5)), Some(seconds(1)));
        assert_eq!(guesses.wait(&shared, seconds(6)), None);
    }

    #[test]
    fn a_customers_network_is_one_origin() {
        assert_eq!(origin("2001:db8:1:2:3::4"), origin("2001:db8:1:2:ffff::"));
        assert_ne!(origin("2001:db8:1:2::"), origin("2001:db8:1:3::"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("::1"), origin("::2"));
        assert_eq!(origin("::1"), Origin(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn the_table_is_bounded_and_the_busiest_stay() {
        let mut guesses = Guesses::default();
        for _ in 0..20 {
            guesses.wrong(bucket("busy"), seconds(1));
        }
        for number in 0..3 * BUCKETS {
            guesses.wrong(bucket(&number.to_string()), seconds(1));
            assert!(guesses.empty_at.len() <= BUCKETS);
        }
        assert!(guesses.wait(&bucket("busy"), seconds(1)).is_some(), "it is not forgotten for having many beside it");
        guesses.wrong(bucket("new"), seconds(1000));
        assert_eq!(guesses.empty_at.len(), 1, "those that are empty need no room");
    }

    #[test]
    fn at_the_very_start_of_the_clock_ten_are_heard() {
        let mut guesses = Guesses::default();
        for _ in 0..10 {
            assert_eq!(guesses.wait(&bucket("n"), Duration::ZERO), None);
            guesses.wrong(bucket("n"), Duration::ZERO);
        }
        assert_eq!(guesses.wait(&bucket("n"), Duration::ZERO), Some(seconds(6)));
    }
}

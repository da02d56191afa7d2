//! How many there are of each origin at the moment.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::guesses::Origin;

/// The counts.
#[derive(Debug, Default)]
pub struct Tally(RefCell<HashMap<Origin, usize>>);

/// One that counts until it is dropped.
#[derive(Debug)]
pub struct Counted {
    tally: Rc<Tally>,
    of: Origin,
}

impl Tally {
    /// How many there are of this one.
    pub fn count(&self, of: Origin) -> usize {
        self.0.borrow().get(&of).copied().unwrap_or_default()
    }

    /// One more.
    pub fn add(self: &Rc<Self>, of: Origin) -> Counted {
        *self.0.borrow_mut().entry(of).or_default() += 1;
        Counted { tally: Rc::clone(self), of }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.tally.0.borrow_mut();
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn each_counts_while_it_is_there_and_nothing_is_left_of_it() {
        let tally = Rc::new(Tally::default());
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        let (one, other) = (origin("192.0.2.1"), origin("192.0.2.2"));
        let (first, second, third) = (tally.add(one), tally.add(one), tally.add(other));
        assert_eq!((tally.count(one), tally.count(other)), (2, 1));
        drop(first);
        assert_eq!((tally.count(one), tally.count(other)), (1, 1));
        drop((second, third));
        assert!(tally.0.borrow().is_empty());
    }
}

//! Where the state document lives: one document, replaced whole, and the one of the run before.
//!
//! Only a [`Guard`] can change anything, and a guard exists only while its holder has the lock; whoever merely looks
//! gets [`Documents`]. Documents are bytes here: what they mean, and whether they are broken, is decided elsewhere.
//!
//! To add a kind of store: a file with its `Store`, its guard and the tests of [`mod@file`].

pub mod file;
mod load;
pub mod spool;

pub use load::{Broken, load};

use std::io;
use std::time::Duration;

use crate::quota::instant::Instant;

/// A place for the state.
pub trait Store {
    /// Takes the lock, waiting for it at the most so long; zero tries once. Released when the guard is dropped.
    fn lock(&self, wait: Duration) -> Result<Box<dyn Guard + '_>, LockError>;
    /// The documents as they are now, without a lock. Creates and changes nothing.
    fn peek(&self) -> &dyn Documents;
}

/// The documents, to be read.
pub trait Documents {
    /// The state; none when there is none.
    fn current(&self) -> io::Result<Option<Vec<u8>>>;
    /// The state as the run before left it; none when there is none.
    fn previous(&self) -> io::Result<Option<Vec<u8>>>;
}

/// The lock, and with it the only way to change the state.
pub trait Guard: Documents {
    /// Keeps a broken state under a name of its own as well, which is returned; none when there is no state. It stays in
    /// place until the next save.
    fn set_aside(&mut self, at: Instant) -> io::Result<Option<String>>;
    /// Replaces the state so that it is the old or the new one at any instant, and the new one for good on return. The
    /// first save of a guard keeps the old state as the previous one. A state that is there already is not saved again.
    fn save(&mut self, document: &[u8]) -> io::Result<()>;
}

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Another run holds it.
    Held {
        /// Since then, if that is known.
        since: Option<Instant>,
    },
    /// It cannot be taken at all.
    Io(io::Error),
}

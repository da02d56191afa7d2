//! What the requests share: the settings in force, the records, the wrong guesses, and what was already told.
//!
//! Everything here is of one thread, and borrowed for as long as nothing is waited for. What takes long is done at a
//! desk ([`Hub::at_desk`]), with copies.
//!
//! Why the whole configuration is read again each second in which somebody asks: what it comes to hangs on other files
//! too (secrets, certificates), and a hub that is never idle is never started anew.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{spawn_blocking, spawn_local};

use super::guesses::Guesses;
use super::seats::Seats;
use super::tally::Tally;
use crate::config::secret::Need;
use crate::config::{Config, serve};
use crate::error::Result;
use crate::fleet;
use crate::fleet::record::Record;
use crate::host::Host;
use crate::log::Log;
use crate::quota::instant::Instant;
use crate::store::spool::{self, Spool};

/// Reads the configuration, with the state folder and these secrets in it.
pub type Load = Box<dyn Fn(Need) -> Result<Config>>;

/// The configuration, and removed records, are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What goes on being wrong is told this often.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// What is done at the same time beside listening.
pub const DESKS: usize = 2;

/// Shared by all requests.
pub struct Hub {
    /// The machine.
    pub host: Arc<dyn Host>,
    /// Who is in.
    pub seats: Rc<Seats>,
    /// Wrong passwords and tokens.
    pub guesses: RefCell<Guesses>,
    /// Bodies that are waited for.
    pub bodies: Rc<Tally>,
    /// Whether a test message is on its way.
    pub testing: Cell<bool>,
    load: Load,
    settled: RefCell<Settled>,
    spool: RefCell<Option<Spool>>,
    tidied: Cell<Option<Duration>>,
    desks: Arc<Semaphore>,
    told: RefCell<HashMap<&'static str, (Duration, String)>>,
}

/// What the configuration came to when it was looked at last.
struct Settled {
    /// None: it is wrong.
    config: Option<Arc<Config>>,
    looked: Option<Duration>,
    idle_exit: Duration,
}

impl Hub {
    /// Nothing is read yet.
    pub fn new(host: Arc<dyn Host>, load: Load) -> Self {
        Self {
            seats: Seats::new(Arc::clone(&host)),
            host,
            guesses: RefCell::default(),
            bodies: Rc::default(),
            testing: Cell::default(),
            load,
            settled: RefCell::new(Settled { config: None, looked: None, idle_exit: serve::IDLE_EXIT }),
            spool: RefCell::default(),
            tidied: Cell::default(),
            desks: Arc::new(Semaphore::new(DESKS)),
            told: RefCell::default(),
        }
    }

    /// The time, by the clock.
    pub fn now(&self) -> Instant {
        self.host.now()
    }

    /// The settings in force; none when the configuration is wrong, which is told once.
    pub fn config(&self) -> Option<Arc<Config>> {
        let mut settled = self.settled.borrow_mut();
        let now = self.host.elapsed();
        if settled.looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_EVERY) {
            let was_wrong = settled.looked.is_some() && settled.config.is_none();
            settled.looked = Some(now);
            settled.config = self.look(was_wrong);
            if let Some(config) = &settled.config {
                settled.idle_exit = config.serve.as_ref().map_or(serve::IDLE_EXIT, |serve| serve.idle_exit);
            }
        }
        settled.config.clone()
    }

    fn look(&self, was_wrong: bool) -> Option<Arc<Config>> {
        match (self.load)(Need::Serving) {
            Ok(config) => {
                if was_wrong {
                    self.told.borrow_mut().remove("configuration");
                    Log::new().error("the configuration is right again");
                }
                Some(Arc::new(config))
            }
            Err(error) => {
                self.tell_news("configuration", &error.text);
                None
            }
        }
    }

    /// The settings with the secrets that one view alone needs, in the words of what they are of; none when they cannot be
    /// had, which is told once.
    pub fn config_with(&self, need: Need, of: &'static str) -> Option<Arc<Config>> {
        match (self.load)(need) {
            Ok(config) => {
                self.told.borrow_mut().remove(of);
                Some(Arc::new(config))
            }
            Err(error) => {
                self.tell_news(of, &error.text);
                None
            }
        }
    }

    /// How long it may be that nobody comes.
    pub fn idle_exit(&self) -> Duration {
        self.settled.borrow().idle_exit
    }

    /// Does something with the records. The error is told, and need not be told to who asked.
    pub fn with_spool<T>(&self, config: &Config, work: impl FnOnce(&mut Spool) -> io::Result<T>) -> io::Result<T> {
        self.at_spool(&spool_of(config), work).inspect_err(|error| self.tell("spool", &error.to_string()))
    }

    fn at_spool<T>(&self, folder: &Path, work: impl FnOnce(&mut Spool) -> io::Result<T>) -> io::Result<T> {
        let mut place = self.spool.borrow_mut();
        let spool = match place.take().filter(|spool| spool.folder() == folder) {
            Some(spool) => spool,
            None => Spool::open(folder)?,
        };
        work(place.insert(spool))
    }

    /// All records there are, by name, also while another process writes them; none when they cannot be read.
    pub fn records(&self, config: &Config) -> Option<Vec<Arc<Record>>> {
        let folder = spool_of(config);
        let held = self.at_spool(&folder, |spool| {
            self.forget_removed(spool);
            Ok(spool.records().values().cloned().collect())
        });
        let records = match held {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                spool::records(&folder).map(|records| records.into_values().collect())
            }
            held => held,
        };
        records.map_err(|error| self.tell("spool", &error.to_string())).ok()
    }

    /// Forgets the nodes whose records somebody has removed, unless that was done just now.
    pub fn forget_removed(&self, spool: &mut Spool) {
        let now = self.host.elapsed();
        if self.tidied.get().is_none_or(|tidied| now.saturating_sub(tidied) >= LOOK_EVERY) {
            spool.forget_removed();
            self.tidied.set(Some(self.host.elapsed()));
        }
    }

    /// Does what takes long beside listening, of which there is little at the same time. None when it broke down. It goes on
    /// when who asked is gone, and counts as somebody who is in.
    pub async fn at_desk<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let desk = Arc::clone(&self.desks).acquire_owned().await.ok()?;
        let seat = self.seats.take_extra();
        let done = spawn_local(async move {
            let done = spawn_blocking(work).await;
            drop((desk, seat));
            done.ok()
        });
        done.await.ok().flatten()
    }

    /// Tells what is wrong on standard error, and a minute later again.
    pub fn tell(&self, kind: &'static str, text: &str) {
        let now = self.host.elapsed();
        let recent = |told: &(Duration, String)| now.saturating_sub(told.0) < TELL_EVERY;
        if !self.told.borrow().get(kind).is_some_and(recent) {
            self.tell_now(kind, text);
        }
    }

    /// Tells what is wrong, once for each text.
    fn tell_news(&self, kind: &'static str, text: &str) {
        if self.told.borrow().get(kind).is_none_or(|(_, told)| told != text) {
            self.tell_now(kind, text);
        }
    }

    fn tell_now(&self, kind: &'static str, text: &str) {
        Log::new().error(text);
        self.told.borrow_mut().insert(kind, (self.host.elapsed(), text.into()));
    }
}

/// Where reports go: to the first source of nodes, which may have a folder of its own.
pub fn spool_of(config: &Config) -> PathBuf {
    let state_dir = config.state_dir.clone().unwrap_or_default();
    let own = config.sources.iter().find_map(|named| named.source.spool(&state_dir));
    own.unwrap_or_else(|| fleet::spool(&state_dir))
}

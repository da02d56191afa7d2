//! The history on a server: all that PostgreSQL and MySQL have in common.
//!
//! Invariant: a batch is one transaction, and two of one machine are never mixed: the row of the machine is held from the
//! beginning to the end of each.
//!
//! To add a kind of server: a [`Connection`], with what is peculiar to its SQL.
//!
//! Why numbers are written into the statements, and texts are not: a statement may have any count of numbers, which
//! cannot be mistaken for anything else.

mod prune;
mod read;
mod schema;
mod statement;
#[cfg(test)]
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod tests;
mod wait;
mod write;

use std::borrow::Cow;
use std::time::Duration;

pub use statement::{Cell, Cells, Statement};
use wait::Waiter;

use super::place::{Mode, Server};
use super::{Archive, Batch, Failure, Instance, Known, Logged, Prune, Pruned, Row, Side};
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// A login to a database, and what is peculiar to its SQL.
pub trait Connection: Sized + Send {
    /// The tables of each version, each step to be repeated without harm if it was cut off.
    const STEPS: [&'static str; 2];
    /// Says in one row whether there are tables of ours.
    const EXISTS: &'static str;
    /// Says in one row whether no other run makes tables now, and keeps others from it.
    const LOCK: &'static str;
    /// Lets others make tables, at the end of the transaction at the latest.
    const UNLOCK: &'static str;

    /// Logs in.
    fn open(server: &Server, limit: Duration) -> impl Future<Output = Result<Self, Trouble>>;
    /// The rows that a statement gives, or how many it changed.
    fn query(&mut self, statement: &Statement) -> impl Future<Output = Result<Answer, Trouble>>;
    /// Does what several statements say that have no texts and give no rows.
    fn run(&mut self, sql: &str) -> impl Future<Output = Result<(), Trouble>>;
    /// Says good-bye, so that the server does not wonder.
    fn close(self) -> impl Future<Output = ()>;

    /// What begins a transaction.
    fn begin(&self, mode: Mode) -> String;
    /// What makes an insertion change the row that has such a key already: before the columns to be set.
    fn conflict(key: &str) -> String;
    /// The value of a column that was to be inserted there.
    fn inserted(column: &str) -> String;
    /// A condition: a column has the bytes of a text.
    fn same(column: &str) -> String;
    /// A text as it can be stored.
    fn storable(text: &str) -> Cow<'_, str>;
}

/// What came of a statement.
pub struct Answer {
    /// The rows it gives.
    pub rows: Vec<Cells>,
    /// How many rows it changed.
    pub changed: u64,
}

/// Why a statement failed.
#[derive(Debug)]
pub struct Trouble {
    /// In the server's words.
    pub text: String,
    /// Another run was in the way: it is worth another try.
    pub again: bool,
}

impl Trouble {
    /// One that stays.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), again: false }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::new(failure.text)
    }
}

/// Other runs are let go first so many times.
const TRIES: usize = 3;

/// A store on a server, open.
pub struct Remote<C: Connection> {
    /// None once it is lost.
    connection: Option<C>,
    waiter: Waiter,
    server: Server,
    mode: Mode,
    /// Of its tables.
    version: usize,
}

impl<C: Connection> Remote<C> {
    /// Logs in; none when there is nothing to look at yet.
    pub fn open(server: &Server, mode: Mode, limit: Duration) -> Result<Option<Self>, Failure> {
        let mut remote =
            Self { connection: None, waiter: Waiter::new(limit)?, server: server.clone(), mode, version: 0 };
        let opened = remote.waiter.wait(C::open(server, limit)).and_then(|connection| {
            remote.connection = Some(connection);
            remote.version = schema::prepare(&mut remote, mode)?;
            Ok(remote.version > 0)
        });
        match opened {
            Ok(true) => Ok(Some(remote)),
            Ok(false) => Ok(None),
            Err(trouble) => Err(remote.failure(trouble)),
        }
    }

    fn failure(&self, trouble: Trouble) -> Failure {
        let text = match &self.server.password {
            Some(password) => password.redact(&trouble.text),
            None => trouble.text,
        };
        Failure { text: format!("{}: {text}", self.server) }
    }

    /// What is waited for longer than that is given up, and the connection with it: what it is about to say is unknown.
    fn answer(&mut self, statement: &Statement) -> Result<Answer, Trouble> {
        let connection = self.connection.as_mut().ok_or_else(lost)?;
        self.waiter.wait(connection.query(statement)).inspect_err(|_| self.give_up_late())
    }

    fn run(&mut self, sql: &str) -> Result<(), Trouble> {
        let connection = self.connection.as_mut().ok_or_else(lost)?;
        self.waiter.wait(connection.run(sql)).inspect_err(|_| self.give_up_late())
    }

    fn give_up_late(&mut self) {
        if self.waiter.is_late() {
            self.connection = None;
        }
    }

    fn ask(&mut self, statement: impl Into<Statement>) -> Result<Vec<Cells>, Trouble> {
        Ok(self.answer(&statement.into())?.rows)
    }

    fn tell(&mut self, statement: impl Into<Statement>) -> Result<u64, Trouble> {
        Ok(self.answer(&statement.into())?.changed)
    }

    /// All of it, or nothing; anew when another run was in the way.
    fn transaction<T>(&mut self, mode: Mode, act: impl Fn(&mut Self) -> Result<T, Trouble>) -> Result<T, Failure> {
        self.waiter.renew();
        // Who only looks changes nothing: the server sees to it.
        let mode = if self.mode == Mode::Read { Mode::Read } else { mode };
        let mut tries = 1;
        loop {
            match self.attempt(mode, &act) {
                Err(trouble) if trouble.again && tries < TRIES => tries += 1,
                outcome => return outcome.map_err(|trouble| self.failure(trouble)),
            }
        }
    }

    fn attempt<T>(&mut self, mode: Mode, act: impl Fn(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let begin = self.connection.as_ref().ok_or_else(lost)?.begin(mode);
        self.run(&begin)?;
        let outcome = act(self).and_then(|value| self.run("COMMIT").map(|()| value));
        if outcome.is_err() && self.run("ROLLBACK").is_err() {
            self.connection = None;
        }
        outcome
    }
}

fn lost() -> Trouble {
    Trouble::new("the connection is lost")
}

impl<C: Connection> Drop for Remote<C> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.waiter.leave(connection.close());
        }
    }
}

impl<C: Connection> Archive for Remote<C> {
    fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.transaction(Mode::Write, |remote| write::write(remote, batch))
    }

    fn instances(&mut self) -> Result<Vec<Instance>, Failure> {
        self.transaction(Mode::Read, read::instances)
    }

    fn subjects(&mut self, instance: Option<&str>) -> Result<Vec<Known>, Failure> {
        self.transaction(Mode::Read, |remote| read::subjects(remote, instance))
    }

    fn rows(&mut self, ids: Option<&[i64]>, from: Instant, to: Instant, grain: Grain) -> Result<Vec<Row>, Failure> {
        self.transaction(Mode::Read, |remote| read::rows(remote, ids, from, to, grain))
    }

    fn nearest(&mut self, id: i64, side: Side, at: Instant, grain: Grain) -> Result<Option<Row>, Failure> {
        self.transaction(Mode::Read, |remote| read::nearest(remote, id, side, at, grain))
    }

    fn nearest_of_each(&mut self, ids: &[i64], side: Side, at: Instant, grain: Grain) -> Result<Vec<Row>, Failure> {
        self.transaction(Mode::Read, |remote| read::nearest_of_each(remote, ids, side, at, grain))
    }

    fn events(&mut self, instance: Option<&str>, from: Instant, to: Instant) -> Result<Vec<Logged>, Failure> {
        self.transaction(Mode::Read, |remote| read::events(remote, instance, from, to))
    }

    fn prune(&mut self, prune: &Prune, rehearse: bool) -> Result<Pruned, Failure> {
        let mode = if rehearse { Mode::Read } else { Mode::Write };
        self.transaction(mode, |remote| prune::prune(remote, prune, rehearse))
    }
}

//! The history by the real binary: what `check` writes, what `report` says of it, what `prune` takes from it.
//!
//! Most of these tests live through days in seconds: [`life::Life`] gives each run a time of its own, by libfaketime.
//! They are marked ignored for the sake of machines without it; `./test` installs it and runs them all. What is in the
//! history's file is never looked at here: users have reports.

mod kill;
mod life;
mod log;
mod options;
mod output;
mod prune;
mod send;
mod settings;
mod store;
mod sums;

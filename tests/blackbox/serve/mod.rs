//! `serve` as systemd starts it: a holder has the socket, and starts the program when somebody comes.
//!
//! [`holder::Holder`] is systemd's part, [`client`] speaks to whoever answers. What the program is like inside a process
//! that stays, its own tests show; here are its starts and ends, its limits, and what hostile clients can do.

mod attacks;
mod client;
mod compat;
mod crash;
mod holder;
mod life;
mod live;

use crate::machine::Machine;

/// What readers have.
const READ_TOKEN: &str = "read-token-only-for-tests";
/// What nodes have.
const PASSWORD: &str = "report-password-only-for-tests";

/// A hub's settings; `more` are lines of the table.
fn hub(more: &str) -> String {
    format!("[serve]\nread_token = \"{READ_TOKEN}\"\nreport_password = \"{PASSWORD}\"\n{more}\n")
}

/// A machine that is a hub.
fn machine(more: &str) -> Machine {
    Machine::new().config(&hub(more)).secret(READ_TOKEN).secret(PASSWORD)
}

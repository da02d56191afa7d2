//! Proxmox VE: guests as subjects, their counting, the quotas that choose them, and what is done to them.
//!
//! [`cluster::Pve`] plays the cluster. It fails a test that asked it what no right client asks, and the machines here
//! know the token's secret as a secret. Time passes by [`later`]: the state gets older, the guests are up for longer.

mod choosing;
mod cluster;
mod counting;
mod holding;
mod lift;
mod nics;
mod power;
mod source;

use std::fs;
use std::ops::RangeInclusive;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::machine::{Machine, Status, telegram_table};
use crate::telegram::Telegram;
use cluster::{Call, Kind, Pve, SECRET, TOKEN_ID, Wrong};

/// A quota that never ends, so that no test meets the edge of a period by chance.
const QUOTA: &str = "[quota.q]\nallowance = \"1 TB\"\nperiod = \"never\"\n";

/// One for each direction.
const BOTH: &str = "[quota.in]\ncount = \"in\"\nallowance = \"1 TB\"\nperiod = \"never\"\n\
                    [quota.out]\ncount = \"out\"\nallowance = \"1 TB\"\nperiod = \"never\"\n";

/// The source's table for a cluster.
fn source(pve: &Pve) -> String {
    source_at(&[&pve.url()])
}

/// The source's table for these addresses.
fn source_at(api: &[&str]) -> String {
    format!("[source.pve]\napi = {api:?}\ntoken_id = \"{TOKEN_ID}\"\ntoken_secret = \"{SECRET}\"\n")
}

/// A machine with this configuration.
fn machine(config: &str) -> Machine {
    Machine::new().secret(SECRET).config(config)
}

/// A machine with these quotas on a cluster's guests, past its first run.
#[track_caller]
fn watching(pve: &Pve, quotas: &str) -> Machine {
    let machine = machine(&format!("{}{quotas}", source(pve)));
    machine.check_exits(0).quietly();
    machine
}

/// A period that never ends.
const NEVER: &str = "period = \"never\"\n";

/// The configuration of a quota of 1000 bytes that takes `act` at 80 %; `action` is that action's table.
fn acting(pve: &Pve, telegram: &Telegram, period: &str, action: &str) -> String {
    format!(
        "{}[quota.q]\nallowance = \"1000 B\"\n{period}tier = [{{ used = \"80%\", actions = [\"act\"] }}]\n\
         [action.act]\n{action}\n{}",
        source(pve),
        telegram_table(&telegram.url())
    )
}

/// A machine with that configuration, past its first run with nothing used.
#[track_caller]
fn armed(pve: &Pve, telegram: &Telegram, period: &str, action: &str) -> Machine {
    let machine = machine(&acting(pve, telegram, period, action));
    machine.check_exits(0).quietly();
    assert_eq!(pve.requests(), pve.count(Call::Resources), "nobody asks for guests that are not acted on");
    machine
}

/// The operator says that so much was used.
#[track_caller]
fn calibrate(machine: &Machine, used: &str) {
    machine.run(&["calibrate", "q", "qemu/100", used]).exits(0);
}

/// How many holds there are.
#[track_caller]
fn held(machine: &Machine) -> usize {
    machine.status().count("held")
}

/// The document of a run that must end with this code.
#[track_caller]
fn checked(machine: &Machine, code: i32) -> Status {
    Status(machine.run(&["check", "--json"]).exits(code).json())
}

/// The row of a quota and a subject.
#[track_caller]
fn row<'a>(status: &'a Status, quota: &str, subject: &str) -> &'a Value {
    let rows = status.0["quotas"].as_array().expect("quotas");
    let is = |row: &&Value| row["quota"] == quota && row["subject"] == subject;
    rows.iter().find(is).unwrap_or_else(|| panic!("no row of {quota} and {subject}: {rows:#?}"))
}

/// Bytes used, of a quota and a subject.
#[track_caller]
fn used(status: &Status, quota: &str, subject: &str) -> u64 {
    row(status, quota, subject)["used"].as_u64().expect("used is an integer")
}

/// Bytes to and from a guest, by [`BOTH`].
#[track_caller]
fn to_and_from(status: &Status, subject: &str) -> (u64, u64) {
    (used(status, "in", subject), used(status, "out", subject))
}

/// `quota/subject` of every row, sorted.
fn rows(status: &Status) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = status.0["quotas"].as_array().expect("quotas").iter();
    let mut rows: Vec<String> = rows.map(|row| format!("{}/{}", text(&row["quota"]), text(&row["subject"]))).collect();
    rows.sort();
    rows
}

/// Time passes, for the machine's memory and for the guests.
fn later(machine: &Machine, pve: &Pve, seconds: u32) {
    pve.passes(seconds);
    let mut state: Value = serde_json::from_slice(&fs::read(machine.state_file()).unwrap()).unwrap();
    ages(&mut state, time::Duration::seconds(seconds.into()));
    fs::write(machine.state_file(), state.to_string()).unwrap();
}

/// Every time in it is that much earlier; 1970 is no time but the start of what never ends.
fn ages(value: &mut Value, by: time::Duration) {
    match value {
        Value::String(text) => {
            if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339)
                && at.year() > 1970
            {
                *text = (at - by).format(&Rfc3339).unwrap();
            } else if let Ok(mut inner @ Value::Object(_)) = serde_json::from_str(text) {
                // What a source remembers for itself.
                ages(&mut inner, by);
                *text = inner.to_string();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| ages(value, by)),
        Value::Object(fields) => fields.values_mut().for_each(|value| ages(value, by)),
        _ => {}
    }
}

/// What so many bytes per second are over between so many seconds and so many.
fn over(rate: u64, seconds: RangeInclusive<u64>) -> RangeInclusive<u64> {
    rate * seconds.start()..=rate * seconds.end()
}

/// The latest half hour that began at least half an hour ago, and the quotas of days that begin then.
struct Edge(f64);

impl Edge {
    fn behind() -> Self {
        Self(((cluster::now() - 1800.0) / 1800.0).floor() * 1800.0)
    }

    /// How long ago it was.
    fn ago(&self) -> f64 {
        cluster::now() - self.0
    }

    /// The keys of a quota whose day begins there.
    fn day(&self) -> String {
        let minutes = self.0 as u64 / 60 % 1440;
        format!("period = \"day\"\nreset = {{ at = \"{:02}:{:02}\" }}\n", minutes / 60, minutes % 60)
    }
}

#[test]
fn a_state_that_ages_is_still_the_state() {
    let pve = Pve::start();
    let machine = Machine::new();
    machine.check_exits(0);
    machine.grow("eth0", 0, 70);
    machine.check_exits(0);
    let before = machine.status();
    later(&machine, &pve, 3600);
    let after = machine.status();
    let as_of = |status: &Status| OffsetDateTime::parse(status.row()["as_of"].as_str().unwrap(), &Rfc3339).unwrap();
    assert_eq!(after.used(), 70);
    assert_eq!(as_of(&before) - as_of(&after), time::Duration::hours(1));
}

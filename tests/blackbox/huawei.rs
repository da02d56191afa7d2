//! Huawei Cloud: the traffic packages as a source, stopping a cloud server, finding the ids.
//!
//! [`cloud::Huawei`] plays the vendor. It fails a test that asked it what no right client asks, and the machines here
//! know its keys as secrets. No test uses the default command of `shutdown`: `act` is a script that counts its runs.

mod cloud;
mod discover;
mod faults;
mod packages;
mod renewal;
mod signing;
mod stop;

use std::fs;

use serde_json::Value;

use crate::machine::{Machine, Status, telegram_table};
use crate::telegram::Telegram;
use cloud::{AK, Call, Huawei, SK, TOKEN, Wrong};

/// The vendor's GB.
const GB: u64 = 1 << 30;

/// An ordinary server with the account's keys in its environment, by the SDK's names.
fn server() -> Machine {
    known(Machine::new()).env("HUAWEICLOUD_SDK_AK", AK).env("HUAWEICLOUD_SDK_SK", SK)
}

/// The keys are secrets of this machine, wherever they come from.
fn known(machine: Machine) -> Machine {
    machine.secret(AK).secret(SK).secret(TOKEN)
}

/// The source's table for a cloud and these packages.
fn source(huawei: &Huawei, ids: &[&str]) -> String {
    format!("[source.huawei]\nendpoint = \"{}\"\nresource_ids = {ids:?}\n", huawei.url())
}

/// As [`source`], with all the services of this cloud.
fn source_and_services(huawei: &Huawei, ids: &[&str]) -> String {
    let services = ["iam_endpoint", "ecs_endpoint", "sts_endpoint", "config_endpoint"];
    let services: String = services.iter().map(|key| format!("{key} = \"{}\"\n", huawei.url())).collect();
    format!("{}{services}", source(huawei, ids))
}

/// Makes `act`, a script that counts its runs; the list of a `command` that runs it.
fn counting(machine: &Machine) -> String {
    let script = machine.script("act", &format!("echo run >>\"{}\"\n", machine.path("ran").display()));
    format!("[\"{}\"]", script.display())
}

/// How often `act` has run.
fn times(machine: &Machine) -> usize {
    fs::read_to_string(machine.path("ran")).map_or(0, |text| text.lines().count())
}

/// A machine that watches `pkg-1`, past its first run.
#[track_caller]
fn watching(huawei: &Huawei, telegram: &Telegram) -> Machine {
    let machine = watcher(huawei, telegram);
    machine.check_exits(0).quietly();
    machine
}

/// A machine to watch `pkg-1`, 900 GB of 1000 left: a message at 500 GB left, `act` at 200 GB.
fn watcher(huawei: &Huawei, telegram: &Telegram) -> Machine {
    let machine = server();
    let config = format!(
        "deadline = \"4 s\"\n{}[quota.package]\ntier = [{{ remaining = \"500 GB\" }}, \
         {{ remaining = \"200 GB\", actions = [\"act\"] }}]\n[action.act]\nkind = \"command\"\ncommand = {}\n{}",
        source(huawei, &["pkg-1"]),
        counting(&machine),
        telegram_table(&telegram.url())
    );
    huawei.package("pkg-1", 900, 1000);
    machine.config(&config)
}

/// The document of a run that must end with this code.
#[track_caller]
fn checked(machine: &Machine, code: i32) -> Status {
    Status(machine.run(&["check", "--json"]).exits(code).json())
}

/// The row's bytes: used, allowance, remaining.
#[track_caller]
fn bytes(row: &Value) -> (u64, u64, u64) {
    let of = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("{name} of {row}"));
    (of("used"), of("allowance"), of("remaining"))
}

/// A time of a row, as an instant.
#[track_caller]
fn time_of(value: &Value) -> time::OffsetDateTime {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
}

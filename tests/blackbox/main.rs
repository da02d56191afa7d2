//! Black-box tests: the real binary on a machine made of files, against loopback servers, real interfaces, a real cron.
//!
//! [`machine::Machine`] is the machine, in the field's words; [`telegram::Telegram`], [`proxy`], [`huawei`]'s cloud,
//! [`pve`]'s cluster and [`tunnel`]'s server are the outside world. Every run has a time limit, and after every run its
//! output and the whole state folder are searched for the secrets in use. Tests that need root, tools or much time are
//! marked ignored with the reason; `./test` runs them all.
//!
//! To add a test, put it into the file of its subject and name it for the behaviour it shows.

// These are tests: a panic is how they fail, and they set up the world by the very calls that the program must not make.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

mod actions;
mod alarms;
mod check;
mod config_errors;
mod config_show;
mod debug_run;
mod disk;
mod history;
mod hostile;
mod html;
mod huawei;
mod kill;
mod language;
mod locking;
mod machine;
mod metering;
mod monitoring;
mod multipart;
mod nodes;
mod notify_faults;
mod operator;
mod png;
mod proxies;
mod proxy;
mod push;
mod pve;
mod real;
mod real_cron;
mod real_net;
mod real_order;
mod real_systemd;
mod secrets;
mod serve;
mod state_file;
mod status;
mod telegram;
mod terminal;
mod tidy;
mod tiers;
mod tunnel;

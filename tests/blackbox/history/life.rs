//! A machine whose clock is the test's.
//!
//! Every run has one time, at which the clock stands still; the uptime goes on with it. The clock that waits are
//! measured by is the real one.

use std::cell::Cell;
use std::process::Command;

use serde_json::Value;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use crate::machine::{Dice, Machine, Run, Running, Status, spawn};

/// The dynamic linker knows what `$LIB` is on this machine.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// A machine that lives at any time.
pub struct Life {
    /// The machine itself; what is run on it directly lives now.
    pub machine: Machine,
    now: Cell<OffsetDateTime>,
    boot: Cell<OffsetDateTime>,
}

/// An instant from `2026-11-20 22:00:07`, UTC.
pub fn utc(text: &str) -> OffsetDateTime {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    PrimitiveDateTime::parse(text, format).unwrap_or_else(|e| panic!("{text}: {e}")).assume_utc()
}

/// An instant from RFC 3339.
pub fn rfc3339(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

impl Life {
    /// The machine at this time, UTC, up for a day.
    pub fn begin(machine: Machine, at: &str) -> Self {
        let life = Self { machine, now: Cell::new(utc(at)), boot: Cell::new(utc(at) - Duration::days(1)) };
        let mut date = Command::new("date");
        life.dress(date.arg("+%F %T"));
        let shown = date.output().unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
        assert_eq!(shown, at, "libfaketime is missing or of no use here: ./test installs Debian's package faketime");
        life
    }

    /// An ordinary server with this configuration.
    pub fn with(config: &str, at: &str) -> Self {
        Self::begin(Machine::new().config(config), at)
    }

    /// The time.
    pub fn now(&self) -> OffsetDateTime {
        self.now.get()
    }

    /// It is this time now.
    pub fn at(&self, time: &str) {
        self.now.set(utc(time));
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    /// Reboots, so long ago, with these counters of `eth0` by now.
    pub fn reboot(&self, ago: Duration, rx: u64, tx: u64) {
        self.boot.set(self.now.get() - ago);
        let id = format!("{:08x}-2222-4333-8444-555555555555", self.boot.get().unix_timestamp());
        self.machine.reboot(&id, ago.as_seconds_f64(), &[("eth0", rx, tx)]);
    }

    /// `netquota ARGS` at this time, ready to spawn.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.machine.command(args);
        self.dress(&mut command);
        command
    }

    /// Gives a command of the machine this time.
    pub fn dress(&self, command: &mut Command) {
        let up = (self.now.get() - self.boot.get()).as_seconds_f64();
        self.machine.put("proc/uptime", &format!("{up:.2} {up:.2}\n"));
        let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        command.env("FAKETIME", self.now.get().format(format).unwrap());
        command.env("LD_PRELOAD", LIBRARY).env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("TZ", "UTC0");
    }

    /// Starts `netquota ARGS` at this time.
    pub fn start(&self, args: &[&str]) -> Running {
        spawn(self.command(args))
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Run {
        self.machine.finish(self.start(args))
    }

    /// The clock is set to this time; the machine is up for as long as it was.
    pub fn set_clock(&self, time: &str) {
        self.boot.set(self.boot.get() + (utc(time) - self.now.get()));
        self.now.set(utc(time));
    }

    /// `netquota check` that must end with 0 and say nothing, but that a period is new.
    #[track_caller]
    pub fn check(&self) {
        let run = self.run(&["check"]).exits(0);
        assert_eq!(run.stderr, "", "standard error");
        assert!(run.stdout.is_empty() || run.stdout.contains("a new period has begun"), "{}", run.stdout);
    }

    /// Checks at each of these times, after so much was received and sent on `eth0`.
    #[track_caller]
    pub fn live(&self, times: &[(&str, u64, u64)]) {
        for (time, rx, tx) in times {
            self.at(time);
            self.machine.grow("eth0", *rx, *tx);
            self.check();
        }
    }

    /// Checks again and again until that time, with random amounts on `eth0`; returns what was read, each time.
    #[track_caller]
    pub fn until(&self, end: &str, step: Duration, dice: &mut Dice) -> Truth {
        let mut truth = Truth::default();
        let end = utc(end);
        loop {
            self.check();
            let (rx, tx) = self.machine.counters("eth0");
            truth.readings.push((self.now(), rx, tx));
            self.pass(step + Duration::seconds(i64::try_from(dice.roll(120)).unwrap()));
            if self.now() > end {
                return truth;
            }
            self.machine.grow("eth0", dice.roll(3_000_000), dice.roll(1_000_000));
        }
    }

    /// The document of `status --json`.
    #[track_caller]
    pub fn status(&self) -> Status {
        Status(self.run(&["status", "--json"]).exits(0).json())
    }

    /// The document of `report --format json` with these arguments besides.
    #[track_caller]
    pub fn report(&self, args: &[&str]) -> Report {
        let run = self.run(&[&["report", "--format", "json"], args].concat()).exits(0);
        assert_eq!(run.stderr, "", "standard error of report {args:?}");
        Report(run.json())
    }

    /// The events of `report --log --format json` of this year.
    #[track_caller]
    pub fn log(&self) -> Vec<Value> {
        let document = self.report(&["--log", "--period", "year"]);
        document.0["log"].as_array().expect("log").clone()
    }
}

/// The document of a report.
pub struct Report(pub Value);

/// A span of a report: its start, and the bytes received and sent; none where nothing is known.
pub type Span = (String, Option<(u64, u64)>);

impl Report {
    /// Bytes sent by all, in the whole time.
    #[track_caller]
    pub fn out(&self) -> u64 {
        self.0["total"]["out"].as_u64().expect("total.out is an integer")
    }

    /// Bytes received by all, in the whole time.
    #[track_caller]
    pub fn received(&self) -> u64 {
        self.0["total"]["in"].as_u64().expect("total.in is an integer")
    }

    /// All spans of all subjects together.
    #[track_caller]
    pub fn spans(&self) -> Vec<Span> {
        spans(&self.0["total"])
    }

    /// Bytes sent, by span.
    #[track_caller]
    pub fn sent(&self) -> Vec<Option<u64>> {
        self.spans().into_iter().map(|(_, used)| used.map(|(_, tx)| tx)).collect()
    }

    /// The only row of this subject.
    #[track_caller]
    pub fn of(&self, subject: &str) -> &Value {
        let rows = self.0["subjects"].as_array().expect("subjects");
        let found: Vec<_> = rows.iter().filter(|row| row["subject"] == subject).collect();
        assert_eq!(found.len(), 1, "rows of {subject}: {}", self.0);
        found[0]
    }

    /// The names of the rows.
    #[track_caller]
    pub fn subjects(&self) -> Vec<&str> {
        let rows = self.0["subjects"].as_array().expect("subjects");
        rows.iter().map(|row| row["subject"].as_str().unwrap()).collect()
    }

    /// Its rows sum up to the total, and its spans to each row and to the total; they follow each other without a gap.
    #[track_caller]
    pub fn adds_up(&self) -> &Self {
        let rows = self.0["subjects"].as_array().expect("subjects");
        for way in ["in", "out"] {
            let sum: u64 = rows.iter().map(|row| row[way].as_u64().unwrap()).sum();
            assert_eq!(self.0["total"][way], sum, "{way} of all rows: {}", self.0);
            for whole in rows.iter().chain([&self.0["total"]]) {
                let spans = whole["buckets"].as_array().expect("buckets");
                let sum: u64 = spans.iter().map(|span| span[way].as_u64().unwrap_or(0)).sum();
                assert_eq!(whole[way], sum, "{way} of all spans of {}: {whole}", whole["subject"]);
                assert_eq!(spans[0]["from"], self.0["from"]);
                assert_eq!(spans[spans.len() - 1]["to"], self.0["to"]);
                assert!(spans.windows(2).all(|pair| pair[0]["to"] == pair[1]["from"]), "a gap: {whole}");
            }
        }
        self
    }
}

fn spans(whole: &Value) -> Vec<Span> {
    let span = |span: &Value| {
        let used = span["in"].as_u64().zip(span["out"].as_u64());
        (span["from"].as_str().expect("from").to_owned(), used)
    };
    whole["buckets"].as_array().expect("buckets").iter().map(span).collect()
}

/// The readings of one boot, by which everything else is told.
#[derive(Default)]
pub struct Truth {
    /// When, and what the counters were.
    pub readings: Vec<(OffsetDateTime, u64, u64)>,
}

impl Truth {
    /// What flowed from one time to another: between two readings it is divided by time.
    pub fn between(&self, from: OffsetDateTime, to: OffsetDateTime) -> (u64, u64) {
        let (start, end) = (self.until(from), self.until(to));
        (end.0 - start.0, end.1 - start.1)
    }

    fn until(&self, at: OffsetDateTime) -> (u64, u64) {
        let after = self.readings.partition_point(|reading| reading.0 <= at);
        let Some(earlier) = after.checked_sub(1).map(|index| self.readings[index]) else {
            return (self.readings[0].1, self.readings[0].2);
        };
        let Some(later) = self.readings.get(after) else { return (earlier.1, earlier.2) };
        let part = |a: u64, b: u64| {
            let share = i128::from(b - a) * (at - earlier.0).whole_milliseconds();
            a + u64::try_from(share / (later.0 - earlier.0).whole_milliseconds()).unwrap()
        };
        (part(earlier.1, later.1), part(earlier.2, later.2))
    }

    /// Compares all spans of a report that were metered from their start on; returns how many that were.
    #[track_caller]
    pub fn agrees_with(&self, report: &Report) -> usize {
        let (first, last) = (self.readings[0].0, self.readings[self.readings.len() - 1].0);
        let edges: Vec<OffsetDateTime> = report.spans().iter().map(|(from, _)| rfc3339(from)).collect();
        let end = rfc3339(report.0["to"].as_str().unwrap());
        let mut compared = 0;
        for (index, (from, used)) in report.spans().into_iter().enumerate() {
            let to = edges.get(index + 1).copied().unwrap_or(end);
            let start = edges[index];
            if to <= first || start > last {
                assert_eq!(used, None, "nothing is known of {from}");
            } else if start >= first {
                assert_eq!(used, Some(self.between(start, to)), "{from}");
                compared += 1;
            }
        }
        compared
    }
}

//! The command line: argument types, and nothing they mean.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::Format;
use crate::report::chart::Skin;
use crate::report::model::{By, Direction};
use crate::report::span::{Named, When, Wish};

/// Meters traffic against quotas, warns, and acts in time. Started by cron or a systemd timer; nothing stays resident.
#[derive(Debug, Parser)]
#[command(name = "netquota", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State directory
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Read /proc, /sys and /etc below this directory
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Say on standard error what is decided and why
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One checking run: what cron and timers call
    Check(CheckArgs),
    /// Last known figures, tiers, forecast, pending messages and problems
    Status(StatusArgs),
    /// What was used, when and by whom; or the log of what was done and told
    Report(Box<ReportArgs>),
    /// Delete history; the periods that run are never touched
    Prune(PruneArgs),
    /// Check or show the configuration
    Config {
        /// What to do with it
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Show what a vendor's account has, and the configuration for it
    Discover {
        /// A source of the configuration, or the kind: huawei, pve
        source: String,
    },
    /// Send a test message to every notifier
    NotifyTest,
    /// Set what the provider shows; counting goes on from there
    Calibrate(CalibrateArgs),
    /// Undo what holds a guest, and leave it so for this period
    Lift(LiftArgs),
    /// Report this machine to a hub: what a node's cron or timer calls
    Push(PushArgs),
    /// Answer nodes and browsers on a socket handed over by systemd; ends when nobody comes
    Serve(ServeArgs),
}

/// Of `push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Print the report, without its password; send nothing, write nothing
    #[arg(long)]
    pub debug: bool,
}

/// Of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Listen here, for trying out: 127.0.0.1:8080; port 0 takes any
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// Of `lift`.
#[derive(Debug, Args)]
pub struct LiftArgs {
    /// The guest, as status shows it: qemu/100
    pub subject: String,
    /// Take an earlier lift back: the tiers hold it again
    #[arg(long)]
    pub again: bool,
}

/// Of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print every step and decision; send nothing, do nothing, write nothing
    #[arg(long)]
    pub debug: bool,
    /// Only this source or quota; may be given several times
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print one JSON document
    #[arg(long, conflicts_with_all = ["nagios", "prometheus"])]
    pub json: bool,
    /// Print one line for Nagios; exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN
    #[arg(long, conflicts_with = "prometheus")]
    pub nagios: bool,
    /// Print metrics in Prometheus' text format
    #[arg(long)]
    pub prometheus: bool,
}

/// Of `config`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// List everything wrong with it
    Check,
    /// Print every value in force, secrets redacted
    Show,
}

/// Of `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// The quota
    pub quota: String,
    /// The subject, as status shows it
    pub subject: String,
    /// What was used in this period, with a unit: "812.4 GB"
    pub used: String,
    /// The time the figure is of: RFC 3339, or local "2026-11-21 09:00"; default: now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

/// Of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The hour, day, week (from Monday), month or year that runs; default: the month
    #[arg(long, value_name = "PERIOD", conflicts_with_all = ["from", "to"])]
    pub period: Option<Named>,
    /// That in which this date lies: 2026-11-21, also 2026-11 or 2026; for an hour "2026-11-21 14:00"
    #[arg(long, value_name = "DATE", value_parser = When::parse, conflicts_with_all = ["from", "to"])]
    pub date: Option<When>,
    /// From this date or time on: 2026-11-21, "2026-11-21 14:30" or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub from: Option<When>,
    /// Up to this time, or up to the end of this date (the 30th included); default: now
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub to: Option<When>,
    /// Into what the time is divided; default: what suits its length
    #[arg(long, value_name = "LENGTH")]
    pub by: Option<ByArg>,
    /// Only this subject: a name, a glob or source/subject; may be given several times
    #[arg(long, value_name = "NAME")]
    pub subject: Vec<String>,
    /// Only what this quota looks at, by its zone and, without a time, in its own period
    #[arg(long, value_name = "NAME")]
    pub quota: Option<String>,
    /// Of a history that machines share: a host's name, an id, or all; default: this machine
    #[arg(long, value_name = "HOST")]
    pub instance: Option<String>,
    /// Which direction is shown
    #[arg(long, value_name = "DIRECTION", default_value = "both")]
    pub direction: DirectionArg,
    /// Default: what the output file's name says, else text
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Write to this file, or to a file of a fitting name in this directory
    #[arg(long, value_name = "FILE|DIR")]
    pub output: Option<PathBuf>,
    /// Colours of a chart (svg, png)
    #[arg(long, value_name = "THEME", default_value = "light")]
    pub theme: ThemeArg,
    /// Send it to the notifiers, with the chart as a picture
    #[arg(long)]
    pub send: bool,
    /// What was done and told, in place of what was used
    #[arg(long)]
    pub log: bool,
}

impl ReportArgs {
    /// Which time is asked for.
    pub fn wish(&self) -> Wish {
        let by = self.by.map(By::from);
        Wish { period: self.period, date: self.date, from: self.from, to: self.to, by }
    }
}

/// The colours of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ThemeArg {
    /// On white
    Light,
    /// On near black
    Dark,
}

impl From<ThemeArg> for Skin {
    fn from(theme: ThemeArg) -> Self {
        match theme {
            ThemeArg::Light => Self::Light,
            ThemeArg::Dark => Self::Dark,
        }
    }
}

/// Into what a report's time is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ByArg {
    /// Local hours
    Hour,
    /// Local days, of 23 to 25 hours
    Day,
    /// Local months
    Month,
}

impl From<ByArg> for By {
    fn from(by: ByArg) -> Self {
        match by {
            ByArg::Hour => Self::Hour,
            ByArg::Day => Self::Day,
            ByArg::Month => Self::Month,
        }
    }
}

/// Which direction a report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DirectionArg {
    /// Sent
    Out,
    /// Received
    In,
    /// Both, and their sum
    Both,
}

impl From<DirectionArg> for Direction {
    fn from(direction: DirectionArg) -> Self {
        match direction {
            DirectionArg::Out => Self::Out,
            DirectionArg::In => Self::In,
            DirectionArg::Both => Self::Both,
        }
    }
}

/// Of `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// All before this date or time
    #[arg(long, value_name = "TIME", value_parser = When::parse, required_unless_present = "from", conflicts_with_all = ["from", "to"])]
    pub before: Option<When>,
    /// From this date or time on
    #[arg(long, value_name = "TIME", value_parser = When::parse, requires = "to")]
    pub from: Option<When>,
    /// Up to this time, or up to the end of this date
    #[arg(long, value_name = "TIME", value_parser = When::parse, requires = "from")]
    pub to: Option<When>,
    /// Only of this subject: a name, a glob or source/subject; may be given several times
    #[arg(long, value_name = "NAME")]
    pub subject: Vec<String>,
    /// Of a history that machines share: a host's name, an id, or all; default: this machine
    #[arg(long, value_name = "HOST")]
    pub instance: Option<String>,
    /// Show what would go; delete nothing
    #[arg(long)]
    pub debug: bool,
}

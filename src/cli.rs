//! The command line: argument types, and nothing they mean.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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

//! netquota: a short-lived checker of traffic quotas.
//!
//! A run is one line of verbs, [`check::check`], and the folders are those verbs:
//!
//! | folder | is |
//! |---|---|
//! | [`config`] | from a file to settings in which every name is resolved |
//! | [`sources`] | where figures come from |
//! | [`api`] | how a vendor's API is spoken |
//! | [`quota`] | the rules, pure: metering, tiers, actions due, wording |
//! | [`notify`] | the channels messages go to |
//! | [`enforce`] | what tiers do |
//! | [`store`] | the locked state file |
//! | [`fleet`] | what nodes report, and what is kept of it |
//! | [`discover`] | what a vendor's account has, for those who set up |
//! | [`history`] | what ever flowed, and what was done and told: samples behind one trait |
//! | [`report`] | what was used, from the history, in each form |
//! | [`serve`] | requests on a socket handed over, until nobody comes |
//! | [`host`] | the one door to the outside |
//!
//! Invariants: nothing leaves the machine before what it follows from is saved; a failure is told and remembered
//! for the exit code, and never stops what does not depend on it; no daemon, no thread outlives the run.

mod api;
mod calibrate;
mod check;
mod cli;
mod config;
mod discover;
mod enforce;
mod error;
mod fleet;
mod history;
mod host;
mod lift;
mod log;
mod notify;
mod notify_test;
mod prune;
mod push;
mod quota;
mod report;
mod secret;
mod serve;
mod sources;
mod status;
mod store;
#[cfg(test)]
mod testing;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use check::{Options, Report};
use cli::{Cli, Command, ConfigCommand};
use config::Config;
use config::secret::Need;
use error::{Exit, Result};
use history::place::Kept;
use host::Host;
use host::os::{OsHost, Output};
use log::Log;
use report::Desk;
use status::{Look, Service};
use store::Store;
use store::file::FileStore;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if matches!(&cli.command, Command::Status(args) if args.nagios) {
        return monitor(&cli);
    }
    let json = matches!(&cli.command, Command::Check(args) if args.json);
    let output = if json { Output::Stderr } else { Output::Stdout };
    let host: Arc<dyn Host> = Arc::new(OsHost::new(cli.root.clone(), output));
    let mut log = Log::new();
    let exit = run(&host, &cli, &mut log).unwrap_or_else(|error| {
        log.error(&error.text);
        error.exit
    });
    ExitCode::from(exit as u8)
}

/// Prints help or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when even this cannot be printed.
    error.print().ok();
    if std::env::args_os().any(|argument| argument == "--nagios") {
        return ExitCode::from(Service::Unknown as u8);
    }
    ExitCode::from(if error.use_stderr() { Exit::Usage as u8 } else { Exit::Done as u8 })
}

/// `status --nagios`: whatever is wrong is the monitoring's to know, on standard output and by its own exit codes.
fn monitor(cli: &Cli) -> ExitCode {
    let host = OsHost::new(cli.root.clone(), Output::Stdout);
    let seen = || {
        let config = config::load(&host, cli.config.as_deref(), Need::Nothing)?;
        let loaded = store::load(FileStore::new(state_dir(&host, cli, &config)?).peek())?;
        if let Some(broken) = loaded.broken {
            return Err(error::Error::failed(broken.why));
        }
        Ok(status::nagios(&config, &loaded.state, host.now()))
    };
    let (line, service) =
        seen().unwrap_or_else(|error| (Service::unknown(&error.text.replace('\n', "; ")), Service::Unknown));
    match print(&host, &line) {
        Ok(_) => ExitCode::from(service as u8),
        Err(_) => ExitCode::from(Service::Unknown as u8),
    }
}

fn run(host: &Arc<dyn Host>, cli: &Cli, log: &mut Log) -> Result<Exit> {
    let load = |need| config::load(&**host, cli.config.as_deref(), need);
    let store = |config: &Config| -> Result<FileStore> { Ok(FileStore::new(state_dir(&**host, cli, config)?)) };
    let settled = |need| settled(&**host, cli.config.as_deref(), cli.state_dir.as_deref(), need);
    // Only what sends uses secrets.
    match &cli.command {
        Command::Check(args) => {
            let config = settled(Need::Secrets)?;
            check(host, &state_dir(&**host, cli, &config)?, &config, cli, args, log)
        }
        Command::Status(args) => {
            let config = load(Need::Nothing)?;
            status(&**host, &store(&config)?, &config, args, log)
        }
        Command::Report(args) => at_desk(host, cli, need_of(args), |desk| report::run(desk, args, log)),
        Command::Prune(args) => at_desk(host, cli, Need::History, |desk| prune::run(desk, args)),
        Command::Config { command: ConfigCommand::Check } => Ok(config_check(&**host, &load(Need::Nothing)?, log)),
        Command::Config { command: ConfigCommand::Show } => print(&**host, &config::show::show(&load(Need::Nothing)?)),
        Command::Discover { source } => discover::run(&**host, cli.config.as_deref(), source, log),
        Command::NotifyTest => notify_test::run(&**host, &load(Need::Secrets)?, log),
        Command::Push(args) => {
            let config = load(Need::Pushing)?;
            warn(&config, log, std::io::stderr().is_terminal());
            let state_dir = state_dir(&**host, cli, &config)?;
            push::Push::new(&**host, &config, &state_dir)?.run(args, cli.verbose, log)
        }
        Command::Serve(args) => serve::run(host, loader(host, cli), args.listen, log),
        Command::Lift(args) => {
            let config = settled(Need::Sources)?;
            let (text, problems) = lift::lift(host, &store(&config)?, &config, args)?;
            problems.iter().for_each(|problem| log.error(problem));
            print(&**host, &format!("{text}\n"))?;
            Ok(if problems.is_empty() { Exit::Done } else { Exit::Problems })
        }
        Command::Calibrate(args) => {
            let config = settled(Need::Sources)?;
            let (text, exit) = calibrate::calibrate(host, &store(&config)?, &config, args)?;
            print(&**host, &format!("{text}\n")).map(|_| exit)
        }
    }
}

/// Reads what `serve` goes by, as often as it likes.
fn loader(host: &Arc<dyn Host>, cli: &Cli) -> serve::Load {
    let (host, file, folder) = (Arc::clone(host), cli.config.clone(), cli.state_dir.clone());
    Box::new(move |need| settled(&*host, file.as_deref(), folder.as_deref(), need))
}

/// The configuration, with the state folder in it.
fn settled(host: &dyn Host, file: Option<&Path>, folder: Option<&Path>, need: Need) -> Result<Config> {
    let config = config::load(host, file, need)?;
    let folder = config::state_dir(host, folder, &config, rustix::process::geteuid().is_root())?;
    Ok(config.at(folder))
}

/// Which secrets a report uses.
fn need_of(args: &cli::ReportArgs) -> Need {
    if args.send { Need::Sending } else { Need::History }
}

/// Does what is done with the history.
fn at_desk(host: &Arc<dyn Host>, cli: &Cli, need: Need, work: impl FnOnce(&Desk<'_>) -> Result<Exit>) -> Result<Exit> {
    let config = config::load(&**host, cli.config.as_deref(), need)?;
    let state_dir = state_dir(&**host, cli, &config)?;
    let store = FileStore::new(state_dir.clone());
    work(&Desk { host: &**host, store: &store, state_dir: &state_dir, config: &config })
}

fn state_dir(host: &dyn Host, cli: &Cli, config: &Config) -> Result<PathBuf> {
    config::state_dir(host, cli.state_dir.as_deref(), config, rustix::process::geteuid().is_root())
}

fn print(host: &dyn Host, text: &str) -> Result<Exit> {
    match host.print(text) {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => Err(error::Error::failed(format!("standard output: {}", error::in_words(&error)))),
    }
}

fn check(
    host: &Arc<dyn Host>,
    state_dir: &Path,
    config: &Config,
    cli: &Cli,
    args: &cli::CheckArgs,
    log: &mut Log,
) -> Result<Exit> {
    watch_over(config.deadline);
    let store = &FileStore::new(state_dir.to_owned());
    let history = Kept { place: &config.history.place, state_dir };
    warn(config, log, std::io::stderr().is_terminal());
    let traced = args.debug || cli.verbose;
    let mut options = Options { only: args.only.clone(), traced, ..Options::default() };
    if !args.debug
        && let Err(error) = log.also_to(config.log_file.as_deref())
    {
        options.problems.push(("log_file".into(), format!("log_file: {error}")));
    }
    let report = if args.debug {
        check::rehearse(host, store, &history, config, &options)?
    } else {
        check::check(host, store, &history, config, &options)?
    };
    if traced {
        let trace = report.trace.join("\n") + "\n";
        if args.debug && !args.json {
            print(&**host, &trace)?;
        } else {
            log.detail(&trace);
        }
    }
    tell_problems(&report, args.debug, log);
    if args.json {
        let document = status::document(config, &report.state, report.now);
        print_document(&document)?;
    } else if std::io::stdout().is_terminal() {
        show(&**host, config, &report.state, report.now)?;
    }
    Ok(report.exit())
}

/// A run that is stuck ends itself 10 s after its deadline, whatever it waits for.
#[allow(clippy::disallowed_methods, reason = "the watch guards against a host that hangs")]
fn watch_over(deadline: Duration) {
    let limit = deadline + Duration::from_secs(10);
    let watch = move || {
        std::thread::sleep(limit);
        eprintln!("netquota: stuck for {} s: ended", limit.as_secs());
        std::process::exit(Exit::Failed as i32);
    };
    // Without the watch the run is only less guarded: the lock still tells the next run how long it is held.
    std::thread::Builder::new().name("watch".into()).spawn(watch).ok();
}

/// Warnings are told to people, not to cron every minute.
fn warn(config: &Config, log: &mut Log, somebody_watches: bool) {
    for warning in config.warnings.iter().filter(|_| somebody_watches) {
        log.error(&format!("warning: {warning}"));
    }
}

/// On a terminal and in a rehearsal always; else those that are news.
fn tell_problems(report: &Report, always: bool, log: &mut Log) {
    if always || std::io::stderr().is_terminal() {
        report.problems.iter().for_each(|(_, text)| log.error(text));
    } else {
        report.untold.iter().for_each(|text| log.error(text));
    }
}

fn status(host: &dyn Host, store: &dyn Store, config: &Config, args: &cli::StatusArgs, log: &mut Log) -> Result<Exit> {
    let loaded = store::load(store.peek())?;
    let now = host.now();
    if args.json {
        print_document(&status::document(config, &loaded.state, now))?;
    } else if args.prometheus {
        print(host, &status::prometheus(config, &loaded.state, now))?;
    } else {
        show(host, config, &loaded.state, now)?;
    }
    match loaded.broken {
        None => Ok(Exit::Done),
        Some(broken) => {
            log.error(&format!("{}: the next check goes on from the run before", broken.why));
            Ok(Exit::Problems)
        }
    }
}

/// To standard output, wherever messages go.
fn print_document(document: &serde_json::Value) -> Result<Exit> {
    print(&OsHost::new("/".into(), Output::Stdout), &format!("{document}\n"))
}

fn show(host: &dyn Host, config: &Config, state: &quota::state::State, now: quota::instant::Instant) -> Result<Exit> {
    let look = Look { width: width(host), colour: std::io::stdout().is_terminal() && host.env("NO_COLOR").is_none() };
    let nothing = || "no figures yet: run `netquota check`".into();
    let table = status::table(config, state, now, look);
    // Alarms have no figures, and are shown all the same.
    let table = table.or_else(|| state.alarms.is_empty().then(nothing));
    let lines: Vec<String> = table.into_iter().chain(status::remarks(config, state, now)).collect();
    print(host, &(lines.join("\n") + "\n"))
}

/// Of the terminal, else of `COLUMNS`, else 100.
fn width(host: &dyn Host) -> u16 {
    let terminal = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col).filter(|col| *col > 0);
    terminal.or_else(|| host.env("COLUMNS")?.parse().ok()).unwrap_or(100)
}

fn config_check(host: &dyn Host, config: &Config, log: &mut Log) -> Exit {
    warn(config, log, true);
    let name = config.file.as_ref().map_or("built-in default".into(), |file| file.display().to_string());
    // The exit code says it, too.
    host.print(&format!("{name}: ok\n")).ok();
    Exit::Done
}

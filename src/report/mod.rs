//! `report`: what was used, when, by whom, from the history and the state; and what was done and told.
//!
//! What was typed becomes an [`Ask`], the store's rows become one [`model::Report`], and pure renderers make of that
//! whatever form is wanted. Takes no lock, changes nothing but the file it is told to write.
//!
//! To add a format: a file with its renderer, and an arm in [`render`].

pub mod build;
pub mod chart;
pub mod csv;
pub mod curve;
pub mod fetch;
pub mod html;
pub mod json;
pub mod model;
pub mod now;
mod output;
pub mod pick;
pub mod png;
mod progress;
#[cfg(test)]
pub mod samples;
mod send;
pub mod span;
#[cfg(test)]
mod tests;
pub mod text;
#[cfg(test)]
pub mod two_days;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use build::{Ask, FIGURES, Facts};
use chart::Skin;
use model::Report;
use progress::Bar;

use crate::cli::ReportArgs;
use crate::config::Config;
use crate::error::{Error, Exit, Result, in_words};
use crate::history::nothing::Nothing;
use crate::history::place::{Mode, Place};
use crate::history::{Archive, Failure};
use crate::host::Host;
use crate::log::Log;
use crate::quota::duration;
use crate::status::Look;
use crate::store::{self, Store};

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables with bars
    Text,
    /// One document, whole bytes
    Json,
    /// For spreadsheets
    Csv,
    /// A page of one file
    Html,
    /// The chart
    Svg,
    /// The chart as a picture
    Png,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }

    /// By a file's extension; text without one.
    fn of(path: &Path) -> Option<Self> {
        let Some(extension) = path.extension() else { return Some(Self::Text) };
        match extension.to_str()?.to_ascii_lowercase().as_str() {
            "txt" | "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "html" | "htm" => Some(Self::Html),
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }

    /// Whether it is not for terminals.
    fn is_binary(self) -> bool {
        self == Self::Png
    }

    /// Whether it can say what was done and told, and nothing else.
    fn has_log(self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Csv)
    }
}

/// A picture is 1,080 pixels wide: legible on a phone.
const PNG_SCALE: f32 = 2.0;

/// How long a store on a server is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the commands on the history work with.
pub struct Desk<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// Where the state is.
    pub store: &'a dyn Store,
    /// Its folder.
    pub state_dir: &'a Path,
    /// What is in force.
    pub config: &'a Config,
}

impl Desk<'_> {
    /// The store of the history, of which each answer is waited for so long; none where there is none yet.
    pub fn open(
        &self,
        mode: Mode,
        patience: Duration,
    ) -> std::result::Result<Option<Box<dyn Archive + Send>>, Failure> {
        self.config.history.place.open(self.state_dir, mode, patience)
    }

    /// Whether there is no history, and is to be none.
    pub fn is_off(&self) -> bool {
        matches!(self.config.history.place, Place::Nowhere)
    }

    /// Whether no other machine writes to the store.
    pub fn is_alone(&self) -> bool {
        matches!(self.config.history.place, Place::Sqlite(_))
    }
}

/// What is said where there is nothing to report on.
pub const OFF: &str = "the history is off: [history] url = \"none\"\n";

/// Likewise, where it is only to begin.
pub fn none_yet(config: &Config) -> String {
    format!("no history yet: `netquota check` writes it, every {}\n", duration::show(config.history.every))
}

/// Makes the report and hands it out.
pub fn run(desk: &Desk<'_>, args: &ReportArgs, log: &mut Log) -> Result<Exit> {
    let format = format(args)?;
    let to_terminal = args.output.is_none() && io::stdout().is_terminal();
    if args.send && args.log {
        return Err(Error::usage("--send: it sends what was used: leave --log out"));
    }
    if format.is_binary() && to_terminal && !args.send {
        return Err(Error::usage("a picture is nothing for a terminal: use --output FILE"));
    }
    if args.log && !format.has_log() {
        return Err(Error::usage("--log: it is text, json or csv"));
    }
    if desk.is_off() {
        return crate::print(desk.host, OFF);
    }
    let loaded = store::load(desk.store.peek())?;
    if let Some(broken) = &loaded.broken {
        log.error(&format!("{}: what is not in the history yet is missing", broken.why));
    }
    let exit = if loaded.broken.is_some() { Exit::Problems } else { Exit::Done };
    let facts = Facts { config: desk.config, state: &loaded.state, now: desk.host.now(), alone: desk.is_alone() };
    let mut archive = desk.open(Mode::Read, PATIENCE)?.unwrap_or_else(|| Box::new(Nothing));
    let mut bar = Bar::new(desk.host);
    let report = facts.report(&mut *archive, &ask(args, format), &mut |done, of| bar.step(done, of))?;
    bar.finish();
    let Some(report) = report else { return crate::print(desk.host, &none_yet(desk.config)).map(|_| exit) };
    if args.send {
        let sent = send::send(desk, &loaded.state, &report, log)?;
        let exit = if sent == Exit::Done { exit } else { sent };
        return if args.output.is_none() { Ok(exit) } else { hand_out(desk, &report, format, args).map(|()| exit) };
    }
    hand_out(desk, &report, format, args).map(|()| exit)
}

fn ask(args: &ReportArgs, format: Format) -> Ask {
    Ask {
        wish: args.wish(),
        subjects: args.subject.clone(),
        quota: args.quota.clone(),
        instance: args.instance.clone(),
        direction: args.direction.into(),
        events: args.log || matches!(format, Format::Json | Format::Html),
        figures: FIGURES,
    }
}

/// As asked for, else as the file's name says.
fn format(args: &ReportArgs) -> Result<Format> {
    let of_file = || match &args.output {
        Some(path) if !output::is_folder(path) => Format::of(path).ok_or_else(|| {
            Error::usage(format!("--output {}: its name does not say which format: add --format", path.display()))
        }),
        _ => Ok(Format::Text),
    };
    args.format.map_or_else(of_file, Ok)
}

/// Of the terminal; files are for wider windows.
fn width(host: &dyn Host, args: &ReportArgs) -> u16 {
    if args.output.is_some() { 100 } else { crate::width(host) }
}

/// The chart as a picture, for phones.
fn picture(report: &Report, skin: Skin) -> std::result::Result<Vec<u8>, String> {
    png::png(&chart::svg(report, chart::Look::phone(skin)), PNG_SCALE)
}

/// The report in a form; charts in the colours of a skin.
pub fn render(report: &Report, format: Format, log: bool, look: Look, skin: Skin) -> Result<Vec<u8>> {
    let text = match format {
        Format::Text if log => text::log(report, look),
        Format::Text => text::usage(report, look),
        Format::Csv if log => csv::log(report),
        Format::Csv => csv::usage(report),
        Format::Json if log => json::log(report)?,
        Format::Json => json::document(report)?,
        Format::Html => html::page(report),
        Format::Svg => chart::svg(report, chart::Look::wide(skin)),
        Format::Png => return picture(report, skin).map_err(Error::failed),
    };
    Ok(text.into_bytes())
}

/// Hands it out: to the file, or to standard output.
fn hand_out(desk: &Desk<'_>, report: &Report, format: Format, args: &ReportArgs) -> Result<()> {
    let look = Look { width: width(desk.host, args), colour: false };
    let content = render(report, format, args.log, look, args.theme.into())?;
    let Some(output) = &args.output else { return to_stdout(desk.host, &content) };
    let path = output::file(output, || output::name(report, format, args.log));
    path.and_then(|path| output::write(&path, &content)).map_err(|error| Error::failed(error.to_string()))
}

fn to_stdout(host: &dyn Host, content: &[u8]) -> Result<()> {
    if let Ok(text) = std::str::from_utf8(content) {
        return crate::print(host, text).map(|_| ());
    }
    let mut out = io::stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("standard output: {}", in_words(&error))))
        }
        _ => Ok(()),
    }
}

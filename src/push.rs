//! `push`: reports this machine to a hub, once; for cron or a timer, each minute.
//!
//! Invariant: what is told of the counters is what they hold, so that a hub's quotas are exact whatever becomes of single
//! reports; only rates and load are of the time since the push before, whose look is kept in `push.json`.
//!
//! Why that look is saved before the report is sent: rates are then those since the last push that was tried, about a
//! minute, whether or not the hub took it. A hub's alarms are about what goes on now; a mean over the hours it could not
//! be reached would hide that, and a run that is ended while it waits for the hub would lengthen it further. There is
//! nothing to catch up on, since the counters go on by themselves.
//!
//! It takes no lock of the state: a check that waits for a provider must not make a node look dead.

mod answer;
mod memory;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use crate::cli::PushArgs;
use crate::config::Config;
use crate::config::push::Settings;
use crate::error::{Error, Exit, Result};
use crate::fleet::report::{Counted, Metrics, Report, Unknown, VERSION};
use crate::host::{Host, Request};
use crate::log::Log;
use crate::quota::bytes::show_rate;
use crate::quota::meter::{Figure, Reading};
use crate::quota::pulse::Cpu;
use crate::quota::pulse::{Load, Pulse};
use crate::quota::text::clean;
use crate::sources::interface::Interface;
use crate::sources::vitals;
use memory::{Memory, Since};

/// What a password is printed as.
const REDACTED: &str = "(redacted)";
/// Bytes of an answer read at the most: a hub's has a few words.
const BODY_LIMIT: u64 = 64 * 1024;
/// Characters of a hub's words shown at the most.
const WORDS_LIMIT: usize = 200;

/// One report to one hub.
pub struct Push<'a> {
    host: &'a dyn Host,
    settings: &'a Settings,
    state_dir: &'a Path,
}

/// This machine at one moment.
struct Look {
    reading: Reading,
    link_speed: Option<u64>,
    uptime: Duration,
    cpu: Option<Cpu>,
    /// Used and in all.
    memory: Option<(u64, u64)>,
    /// What could not be read, and is told as not known.
    problems: Vec<String>,
}

impl<'a> Push<'a> {
    /// By the configuration, which has to name a hub.
    pub fn new(host: &'a dyn Host, config: &'a Config, state_dir: &'a Path) -> Result<Self> {
        let Some(settings) = &config.push else {
            let file = config.file.as_ref().map_or("no configuration file".into(), |file| file.display().to_string());
            return Err(Error::usage(format!(
                "there is no hub to report to ({file}): write [push] with url = \"https://…\" and \
                 password = {{ credential = \"push-password\" }}"
            )));
        };
        Ok(Self { host, settings, state_dir })
    }

    /// Looks, remembers, reports.
    pub fn run(&self, args: &PushArgs, verbose: bool, log: &mut Log) -> Result<Exit> {
        let memory = Memory::read(self.state_dir);
        if let Some(why) = memory.as_ref().err().filter(|_| verbose) {
            log.detail(&format!("this is a first push: {why}"));
        }
        let last = memory.as_ref().ok();
        let mut look = self.look(last).map_err(|why| Error::failed(format!("push: {why}")))?;
        let pulse = self.pulse(&look, last.map(|last| last.until(&look.reading, look.cpu)).unwrap_or_default());
        let report = self.report(&look, &pulse);
        if args.debug {
            look.problems.iter().for_each(|problem| log.error(problem));
            return self.show(report);
        }
        if let Err(error) = Memory::of(&look.reading, look.cpu).save(self.state_dir) {
            look.problems.push(format!("{error}: the next push goes on from the last one that could be remembered"));
        }
        look.problems.iter().for_each(|problem| log.error(problem));
        self.send(&report).map_err(|why| Error::failed(format!("push to {}: {why}", self.settings.hub)))?;
        if std::io::stdout().is_terminal() {
            crate::print(self.host, &format!("{}\n", self.line(&pulse)))?;
        }
        Ok(if look.problems.is_empty() { Exit::Done } else { Exit::Problems })
    }

    fn look(&self, last: Option<&Memory>) -> std::result::Result<Look, String> {
        let source = Interface { interfaces: self.settings.interface.iter().cloned().collect() };
        let read = source.read(self.host, last.map(Memory::interface))?;
        let reading = match (read.readings.into_iter().next(), read.problems.into_iter().next()) {
            (Some(reading), _) => reading,
            (None, Some(problem)) => return Err(problem.text),
            (None, None) => return Err("there is no interface".into()),
        };
        let uptime = reading.since_boot().map(|(_, uptime)| uptime);
        let link_speed = match &reading.figure {
            Figure::Counter { link_speed, .. } => *link_speed,
            Figure::Tally { .. } | Figure::Package(_) | Figure::Guest(_) => None,
        };
        let mut problems = Vec::new();
        Ok(Look {
            link_speed,
            uptime: uptime.ok_or("/proc/uptime cannot be read: it tells the time between two pushes")?,
            cpu: known(vitals::read_cpu(self.host), &mut problems),
            memory: known(vitals::read_memory(self.host), &mut problems),
            reading,
            problems,
        })
    }

    fn pulse(&self, look: &Look, since: Since) -> Pulse {
        let memory = look.memory.and_then(|(used, total)| Load::share(used, total));
        Pulse { rate: since.rate, cpu: since.cpu, memory, ..Pulse::at(look.reading.at) }
    }

    /// What is not known is zero in it: the format has no other word for it, and other clients say the same. Our own part
    /// says what that is.
    fn report(&self, look: &Look, pulse: &Pulse) -> Report {
        let (used, total) = look.memory.unwrap_or_default();
        let rate = pulse.rate.unwrap_or_default();
        let metrics = Metrics {
            cpu_percent: pulse.cpu.map_or(0.0, Load::as_percent),
            memory_used: used,
            memory_total: total,
            network_in_bps: rate.rx,
            network_out_bps: rate.tx,
            uptime_seconds: look.uptime.as_secs(),
        };
        Report {
            password: self.settings.password.expose().to_owned(),
            hostname: self.settings.hostname.clone(),
            timestamp: look.reading.at.millis().div_euclid(1000),
            metrics,
            netquota: look.counted().map(|counted| Counted { unknown: unknown(pulse), ..counted }),
        }
    }

    /// Prints the request as it would be sent, but for the password.
    fn show(&self, report: Report) -> Result<Exit> {
        let report = Report { password: REDACTED.into(), ..report };
        let body = serde_json::to_string_pretty(&report).map_err(|error| Error::failed(error.to_string()))?;
        let url = self.settings.url();
        crate::print(self.host, &format!("POST {url}\nContent-Type: application/json\n\n{body}\n"))
    }

    fn send(&self, report: &Report) -> std::result::Result<(), String> {
        let request = Request {
            method: "POST",
            url: self.settings.url(),
            headers: vec![("Content-Type", "application/json".into())],
            body: serde_json::to_vec(report).map_err(|error| error.to_string())?,
            timeout: self.settings.timeout,
            proxy: None,
            tls: self.settings.tls.clone(),
            body_limit: BODY_LIMIT,
        };
        match self.host.http(&request) {
            Ok(response) => answer::judge(&response, &|words| self.safe(words)),
            Err(error) => Err(self.safe(&error.text)),
        }
    }

    /// A hub's words, fit to be shown: it may repeat the report, in which the password stands as JSON has it.
    fn safe(&self, words: &str) -> String {
        let password = &self.settings.password;
        let quoted = serde_json::Value::from(password.expose()).to_string();
        let unquoted = words.replace(quoted.get(1..quoted.len() - 1).unwrap_or(&quoted), password.expose());
        clean(&password.redact(&unquoted), WORDS_LIMIT)
    }

    /// What a person at a terminal sees.
    fn line(&self, pulse: &Pulse) -> String {
        let load = |name: &str, load: Load| format!("{name} {:.0} %", load.as_percent());
        let rates = pulse.rate.map(|rate| format!("in {}, out {}", show_rate(rate.rx), show_rate(rate.tx)));
        let rates = rates.unwrap_or_else(|| "rates from the next push on".into());
        let loads = [pulse.cpu.map(|cpu| load("cpu", cpu)), pulse.memory.map(|memory| load("memory", memory))];
        let all: Vec<String> = std::iter::once(rates).chain(loads.into_iter().flatten()).collect();
        format!("{} -> {}: {}", self.settings.hostname, self.settings.hub, all.join(", "))
    }
}

impl Look {
    /// What the counters hold, and what they belong to.
    fn counted(&self) -> Option<Counted> {
        let (counters, uptime) = self.reading.since_boot()?;
        let identity = self.reading.identity()?;
        Some(Counted {
            version: VERSION,
            interface: self.reading.subject.clone(),
            rx_bytes: counters.rx,
            tx_bytes: counters.tx,
            boot_id: identity.boot.clone(),
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            index: identity.index,
            link_speed: self.link_speed,
            unknown: Vec::new(),
        })
    }
}

/// What was read; what was not is a problem, and the rest is told nevertheless.
fn known<T>(read: std::result::Result<T, String>, problems: &mut Vec<String>) -> Option<T> {
    read.map_err(|why| problems.push(format!("push: {why}"))).ok()
}
/// What could not be found out.
fn unknown(pulse: &Pulse) -> Vec<Unknown> {
    let all = [(pulse.rate.is_none(), Unknown::Rates), (pulse.cpu.is_none(), Unknown::Cpu)];
    all.into_iter().filter_map(|(is, what)| is.then_some(what)).collect()
}

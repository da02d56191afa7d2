//! Nodes that report to this machine: their records in the spool, as `serve` keeps them.
//!
//! Invariant: a record is taken for what it was when it came in, by this machine's clock, and never for more. One that
//! was taken already is no new reading; whoever takes it has to see to that ([`Source::repeats`]).
//!
//! A node is known by the name it gives itself, whatever its file is called. One whose name changes is another node: nodes
//! that are containers of one machine share its boot id and the indices of interfaces, so that neither tells them apart.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::{Look, Source, Trouble};
use crate::config::fields::{Fields, Value};
use crate::config::secret::Keeper;
use crate::fleet::record::{self, Record};
use crate::fleet::report::{Counted, VERSION, wrong_with};
use crate::host::Host;
use crate::quota::absorb::Oddity;
use crate::quota::instant::Instant;
use crate::quota::meter::{Counters, Figure, Identity, Reading, Readings, SubjectProblem};
use crate::quota::text::clean;

/// The spool's folder in the state directory.
const SPOOL: &str = "spool";
/// A node that has not reported for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(90 * 86_400);
/// Two machines of one name are told of for so long after both were heard.
const DOUBLED: Duration = Duration::from_secs(3600);
/// Characters of a file's name that are shown.
const FILE: usize = 260;

/// The settings.
struct Nodes {
    /// None: in the state directory.
    spool: Option<PathBuf>,
    /// Nodes that must be heard of.
    expected: Vec<String>,
}

/// Reads the settings.
pub fn open(fields: &Fields<'_>, _: &Keeper<'_>) -> Option<Arc<dyn Source>> {
    if !fields.has("spool") {
        fields.show_default("spool", "\"spool in the state directory\"");
    }
    let spool = fields.opt("spool", |value| match PathBuf::from(value.text()?) {
        path if path.is_absolute() => Ok(path),
        path => Err(format!("{:?} is no absolute path", path.display().to_string())),
    });
    let expected = fields.opt("expected", read_expected).unwrap_or_default();
    Some(Arc::new(Nodes { spool, expected }))
}

fn read_expected(value: &Value<'_>) -> Result<Vec<String>, String> {
    let names = value.texts()?;
    if names.is_empty() {
        return Err("at least one name is expected; leave it out where none has to report".into());
    }
    let mut known = BTreeSet::new();
    for name in &names {
        if let Some(why) = wrong_with(name) {
            return Err(format!("{name:?} is no name of a node: {why}"));
        }
        if !known.insert(name) {
            return Err(format!("{name:?} is there twice"));
        }
    }
    Ok(names)
}

impl Source for Nodes {
    fn expects(&self, _: &str) -> bool {
        // One that is silent is missed by what is known of it, not by the list.
        false
    }

    fn spool(&self, state_dir: &Path) -> Option<PathBuf> {
        Some(self.folder(state_dir))
    }

    fn repeats(&self) -> bool {
        true
    }

    fn must_report(&self) -> &[String] {
        &self.expected
    }

    fn has_default_quota(&self) -> bool {
        false
    }

    fn describe(&self) -> Vec<String> {
        let folder = self.spool.as_ref().map_or_else(|| "spool in the state directory".into(), |path| shown(path));
        let expected = match &self.expected[..] {
            [] => String::new(),
            names => format!(", {} expected", names.join(", ")),
        };
        vec![format!("nodes' reports in {folder}{expected}")]
    }

    fn read(&self, host: &dyn Host, look: &Look<'_>) -> Result<Readings, Trouble> {
        let folder = self.folder(look.state_dir);
        let mut heard = Heard { now: look.now, ..Heard::default() };
        for file in records(host, &folder)? {
            if host.elapsed() >= look.until {
                return Err(format!("{}: there was no time to read all reports", shown(&folder)).into());
            }
            match host.bytes(&folder.join(&file)) {
                Ok(document) => heard.take(&folder, &file, record::read(&document)),
                // Somebody has deleted it just now.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => heard.miss(&folder, &file, &error.to_string()),
            }
        }
        self.miss_expected(&mut heard);
        let readings = heard.readings;
        if readings.pulses.is_empty() && readings.problems.is_empty() {
            let when = if heard.forgotten.is_empty() { "yet" } else { "for 90 days" };
            let hint = "does `netquota serve` run, and do nodes push to it?";
            return Err(format!("no node has reported {when}: {hint}").into());
        }
        Ok(readings)
    }
}

impl Nodes {
    fn folder(&self, state_dir: &Path) -> PathBuf {
        self.spool.clone().unwrap_or_else(|| state_dir.join(SPOOL))
    }

    fn miss_expected(&self, heard: &mut Heard) {
        for name in &self.expected {
            let Readings { pulses, problems, .. } = &mut heard.readings;
            if pulses.contains_key(name) || problems.iter().any(|problem| problem.subject == *name) {
                continue;
            }
            let text = match heard.forgotten.contains(name) {
                true => format!("{name:?}: no report for 90 days"),
                false => format!("{name:?} has not reported yet"),
            };
            problems.push(SubjectProblem::now(name, text));
        }
    }
}

/// The names of the files that are records; a folder that is not there has none.
fn records(host: &dyn Host, folder: &Path) -> Result<Vec<String>, Trouble> {
    match host.list(folder) {
        Ok(files) => Ok(files.into_iter().filter(|file| record::is_record(file)).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// What the records say.
#[derive(Default)]
struct Heard {
    now: Instant,
    readings: Readings,
    /// Nodes that have not reported for so long that they count no more.
    forgotten: BTreeSet<String>,
}

impl Heard {
    fn take(&mut self, folder: &Path, file: &str, record: Result<Record, String>) {
        let record = match record {
            Ok(record) => record,
            Err(why) => return self.miss(folder, file, &why),
        };
        if record::file_name(&record.hostname) != file || wrong_with(&record.hostname).is_some() {
            let why = format!("it holds a report of {:?}, which has another file", clean(&record.hostname, FILE));
            return self.miss(folder, file, &why);
        }
        // Where the clock was set back, what came in after it came in by now.
        let received = record.received.min(self.now);
        if self.now.since(received) > FORGOTTEN {
            self.forgotten.insert(record.hostname);
            return;
        }
        let record = Record { received, ..record };
        let name = record.hostname.clone();
        self.readings.pulses.insert(name.clone(), record.pulse());
        if record.doubled.is_some_and(|at| self.now.since(at) < DOUBLED) {
            self.readings.oddities.push(Oddity::Doubled { subject: name.clone() });
        }
        match record.counted.filter(|counted| counted.version <= VERSION) {
            Some(counted) => {
                let figure = figure(&name, record.epoch, counted);
                self.readings.readings.push(Reading { subject: name, at: received, figure });
            }
            None => drop(self.readings.uncounted.insert(name)),
        }
    }

    /// A record that says nothing: the node that it is of, if its name tells, has no figure.
    fn miss(&mut self, folder: &Path, file: &str, why: &str) {
        let subject = node_of(file).unwrap_or_else(|| file.to_owned());
        let path = shown(&folder.join(file));
        // What could not be read names the file by itself.
        let why = why.strip_prefix(&format!("{path}: ")).unwrap_or(why);
        let text = format!("{path}: the report cannot be read: {}", clean(why, FILE));
        self.readings.problems.push(SubjectProblem::now(subject, text));
    }
}

/// A node's counters and what tells a restart of them. The boot is that of this node: where the index of another is the
/// same in it, that is not the same interface under another name.
fn figure(node: &str, epoch: u32, counted: Counted) -> Figure {
    let boot = counted.boot_id.map(|boot| format!("{boot} of {node}"));
    let index = counted.index.filter(|_| boot.is_some());
    let uptime = Some(Duration::from_millis(counted.uptime_ms));
    let identity = Identity { uptime, index, boot, epoch: Some(epoch) };
    let counters = Counters { rx: counted.rx_bytes, tx: counted.tx_bytes };
    Figure::Counter { counters, identity, link_speed: counted.link_speed }
}

/// The node whose record a file is, by the file's name; none where that does not tell.
fn node_of(file: &str) -> Option<String> {
    let name = percent_decode_str(file.strip_suffix(".json")?).decode_utf8().ok()?.into_owned();
    (record::file_name(&name) == file && wrong_with(&name).is_none()).then_some(name)
}

fn shown(path: &Path) -> String {
    clean(&path.display().to_string(), FILE * 2)
}

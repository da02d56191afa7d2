//! The access to a vendor alone, for those who are still setting up.
//!
//! Only the source's own table is read: whatever else the file holds may be missing or wrong, and so may the ids that
//! are still to be found. Keys and addresses are checked as ever. Without such a table the keys come from the
//! environment, and the account's site is still to be found out.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::fields::{Fields, Findings, Value, nearest};
use super::secret::{Keeper, Need};
use super::{document, find, read_deadline, warn_of_secrets};
use crate::api::huawei;
use crate::error::{Error, Result};
use crate::host::Host;

/// The kind of sources that have such an access.
const KIND: &str = "huawei";

/// An access to a vendor, and how it came about.
pub struct Found {
    /// The source's name; without one in the configuration, that of its kind.
    pub source: String,
    /// The access; where the site is still to be found out, one for each.
    pub candidates: Vec<Candidate>,
    /// For the whole run.
    pub deadline: Duration,
    /// What is worth knowing but stops nothing.
    pub warnings: Vec<String>,
}

/// An access, and what is written of it.
pub struct Candidate {
    /// The access.
    pub account: Arc<huawei::Account>,
    /// The keys of its table with their values as TOML, secrets redacted.
    pub written: Vec<(String, String)>,
}

/// What was read of a source's table.
type Opened = std::result::Result<(Candidate, Vec<String>), Vec<String>>;

/// The access of the source of this name, or of the only one of this kind.
pub fn load(host: &dyn Host, explicit: Option<&Path>, wanted: &str) -> Result<Found> {
    let (file, text) = find(host, explicit)?;
    let name = file.map_or("built-in default".into(), |path| path.display().to_string());
    let failed = |errors: Vec<String>| Error::usage(errors.join("\n"));
    let table = document(&name, &text).map_err(failed)?;
    let known = sources(&name, &text, &table);
    let found = |source: String, deadline| Found { source, candidates: Vec::new(), deadline, warnings: Vec::new() };
    match choose(wanted, &known.names).map_err(Error::usage)? {
        Some(source) => {
            let (candidate, warnings) = open(host, &name, &text, &table, &source).map_err(failed)?;
            Ok(Found { candidates: vec![candidate], warnings, ..found(source, known.deadline) })
        }
        None => Ok(Found { candidates: by_site(host).map_err(failed)?, ..found(KIND.into(), known.deadline) }),
    }
}

/// What a file says whether or not all of it is right.
struct Known {
    names: Vec<String>,
    deadline: Duration,
}

fn sources<'t>(name: &'t str, text: &'t str, table: &'t Spanned<DeTable<'t>>) -> Known {
    // What is wrong with the rest is not this command's to tell.
    let ignored = Findings::new(name, text);
    let root = Fields::root(&ignored, table);
    let kind = |name: &str, fields: &Fields<'_>| match fields.value("kind") {
        Some(value) => value.text().unwrap_or_default().to_owned(),
        None => name.to_owned(),
    };
    let tables = root.tables("source").into_iter();
    let names = tables.filter(|(name, fields)| kind(name, fields) == KIND).map(|(name, _)| name).collect();
    Known { names, deadline: read_deadline(&root) }
}

/// Which of the sources is meant; none: the keys of the environment are.
fn choose(wanted: &str, names: &[String]) -> std::result::Result<Option<String>, String> {
    if let Some(name) = names.iter().find(|name| *name == wanted) {
        return Ok(Some(name.clone()));
    }
    match names {
        _ if wanted != KIND => {
            let known = names.iter().map(String::as_str).chain([KIND]);
            Err(format!("there is no source {wanted:?} of kind {KIND}{}", nearest(wanted, known)))
        }
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        several => Err(format!("which source of kind {KIND}? One of {}", several.join(", "))),
    }
}

fn by_site(host: &dyn Host) -> std::result::Result<Vec<Candidate>, Vec<String>> {
    let of = |site: &str| {
        let (name, text) = ("without a configuration", format!("[source.{KIND}]\nsite = \"{site}\"\n"));
        open(host, name, &text, &document(name, &text)?, KIND).map(|(candidate, _)| candidate)
    };
    huawei::sites().map(of).collect()
}

fn open<'t>(host: &dyn Host, name: &'t str, text: &'t str, table: &'t Spanned<DeTable<'t>>, source: &str) -> Opened {
    let findings = Findings::new(name, text);
    let keeper = Keeper::new(host, Need::Secrets);
    let account = read(Fields::root(&findings, table).table("source").table(source), &keeper);
    warn_of_secrets(host, name, &keeper, &findings);
    let (warnings, shown) = findings.finish()?;
    let written = shown.into_iter().filter(|shown| !shown.default).map(|shown| (shown.key, shown.value)).collect();
    // Without errors there is an account.
    let account = Arc::new(account.ok_or_else(Vec::new)?);
    Ok((Candidate { account, written }, warnings))
}

fn read(fields: Fields<'_>, keeper: &Keeper<'_>) -> Option<huawei::Account> {
    let account = huawei::open(&fields, keeper);
    fields.opt("every", Value::duration);
    fields.opt("problem_after", Value::duration);
    // Known, whatever they say.
    for key in ["kind", "resource_ids"] {
        fields.has(key);
    }
    fields.finish();
    account
}

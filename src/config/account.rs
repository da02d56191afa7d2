//! The access to a vendor alone, for those who are still setting up.
//!
//! Only the source's own table is read: whatever else the file holds may be missing or wrong, and so may the ids that
//! are still to be found. Keys and addresses are checked as ever. Without such a table Huawei Cloud's keys come from
//! the environment, and the account's site is still to be found out; a cluster has an address, which nothing else says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::fields::{Fields, Findings, Value, nearest};
use super::secret::{Keeper, Need};
use super::uses::{Uses, kind_name};
use super::{document, find, read_deadline, warn_of_secrets};
use crate::api::{Account, huawei, pve};
use crate::error::{Error, Result};
use crate::host::Host;

/// The kinds of sources that have such an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Huawei,
    Pve,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Huawei, Self::Pve];

    fn name(self) -> &'static str {
        match self {
            Self::Huawei => "huawei",
            Self::Pve => "pve",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An access to a vendor, and how it came about.
pub struct Found {
    /// The source's name; without one in the configuration, that of its kind.
    pub source: String,
    /// The access; where the site is still to be found out, one for each.
    pub candidates: Vec<Candidate>,
    /// What the rest of the configuration does with the source.
    pub uses: Uses,
    /// For the whole run.
    pub deadline: Duration,
    /// What is worth knowing but stops nothing.
    pub warnings: Vec<String>,
}

/// An access, and what is written of it.
pub struct Candidate {
    /// The access.
    pub account: Account,
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
    // What is wrong with the rest is not this command's to tell.
    let ignored = Findings::new(&name, &text);
    let root = Fields::root(&ignored, &table);
    let deadline = read_deadline(&root);
    let found = |source: String, candidates, warnings| {
        let uses = Uses::read(&root, &source);
        Found { source, candidates, uses, deadline, warnings }
    };
    match choose(wanted, &sources(&root)).map_err(Error::usage)? {
        Chosen::Source(source, kind) => {
            let (candidate, warnings) = open(host, (&name, &text), &table, &source, kind).map_err(failed)?;
            Ok(found(source, vec![candidate], warnings))
        }
        Chosen::Unwritten(Kind::Huawei) => {
            Ok(found(Kind::Huawei.name().into(), by_site(host).map_err(failed)?, Vec::new()))
        }
        Chosen::Unwritten(Kind::Pve) => Err(Error::usage(NO_CLUSTER)),
    }
}

/// What to write where there is no source of a cluster.
const NO_CLUSTER: &str = "\
there is no source of kind pve. On a node, as root, make a user and a token, which shows its secret once:
  pveum user add netquota@pve
  pveum user token add netquota@pve quota
and write into the configuration:
  [source.pve]
  api = [\"https://HOST:8006\"] # any nodes of the cluster: the next one is asked when one does not answer
  token_id = \"netquota@pve!quota\"
  token_secret = { credential = \"pve-token\" } # the file /etc/netquota/credentials/pve-token
  ca_file = \"/etc/netquota/pve-root-ca.pem\" # a copy of the cluster's /etc/pve/pve-root-ca.pem";

/// The sources that have such an access, whether or not their tables are right.
fn sources(root: &Fields<'_>) -> Vec<(String, Kind)> {
    let tables = root.tables("source").into_iter();
    tables
        .filter_map(|(name, fields)| {
            let kind = Kind::named(&kind_name(&name, &fields))?;
            Some((name, kind))
        })
        .collect()
}

/// Which access is meant.
enum Chosen {
    /// That of this source.
    Source(String, Kind),
    /// One that is not in the configuration.
    Unwritten(Kind),
}

fn choose(wanted: &str, sources: &[(String, Kind)]) -> std::result::Result<Chosen, String> {
    if let Some((name, kind)) = sources.iter().find(|(name, _)| *name == wanted) {
        return Ok(Chosen::Source(name.clone(), *kind));
    }
    let kinds = Kind::ALL.map(Kind::name);
    let Some(kind) = Kind::named(wanted) else {
        let known = sources.iter().map(|(name, _)| name.as_str()).chain(kinds);
        return Err(format!("there is no source {wanted:?} of kind {}{}", kinds.join(" or "), nearest(wanted, known)));
    };
    let own: Vec<&str> = sources.iter().filter(|(_, of)| *of == kind).map(|(name, _)| name.as_str()).collect();
    match own[..] {
        [] => Ok(Chosen::Unwritten(kind)),
        [only] => Ok(Chosen::Source(only.to_owned(), kind)),
        _ => Err(format!("which source of kind {wanted}? One of {}", own.join(", "))),
    }
}

fn by_site(host: &dyn Host) -> std::result::Result<Vec<Candidate>, Vec<String>> {
    let kind = Kind::Huawei;
    let of = |site: &str| {
        let (name, text) = ("without a configuration", format!("[source.{}]\nsite = \"{site}\"\n", kind.name()));
        open(host, (name, &text), &document(name, &text)?, kind.name(), kind).map(|(candidate, _)| candidate)
    };
    huawei::sites().map(of).collect()
}

/// Reads one source's table; `file` is the file's name and text.
fn open<'t>(
    host: &dyn Host,
    (name, text): (&'t str, &'t str),
    table: &'t Spanned<DeTable<'t>>,
    source: &str,
    kind: Kind,
) -> Opened {
    let findings = Findings::new(name, text);
    let keeper = Keeper::new(host, Need::Secrets);
    let account = read(Fields::root(&findings, table).table("source").table(source), kind, &keeper);
    warn_of_secrets(host, name, &keeper, &findings);
    let (warnings, shown) = findings.finish()?;
    let written = shown.into_iter().filter(|shown| !shown.default).map(|shown| (shown.key, shown.value)).collect();
    // Without errors there is an account.
    let account = account.ok_or_else(Vec::new)?;
    Ok((Candidate { account, written }, warnings))
}

fn read(fields: Fields<'_>, kind: Kind, keeper: &Keeper<'_>) -> Option<Account> {
    let account = match kind {
        Kind::Huawei => huawei::open(&fields, keeper).map(|account| Account::Huawei(Arc::new(account))),
        Kind::Pve => pve::open(&fields, keeper).map(|cluster| Account::Pve(Arc::new(cluster))),
    };
    fields.opt("every", Value::duration);
    fields.opt("problem_after", Value::duration);
    // Known, whatever they say.
    let others: &[&str] = match kind {
        Kind::Huawei => &["kind", "resource_ids"],
        Kind::Pve => &["kind", "nodes", "backfill"],
    };
    for key in others {
        fields.has(key);
    }
    fields.finish();
    account
}

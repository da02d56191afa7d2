//! Asks the vendor for everything there is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::share;
use crate::api;
use crate::api::huawei::ecs::Server;
use crate::api::huawei::inventory::{Holds, Instance, Listed, Listing};
use crate::api::huawei::{Account, Cause, Failure};
use crate::config::account::Found;
use crate::error::{Error, Exit, Result};
use crate::host::Host;
use crate::quota::text::clean;

/// An access to the vendor.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// The account.
    pub account: &'a Account,
    /// The keys of its table with their values as TOML, secrets redacted.
    pub written: &'a [(String, String)],
}

/// What there is, as far as the key may see it.
pub struct Survey<'a> {
    /// The access it was seen with.
    pub access: Access<'a>,
    /// Whether the account may belong to another site nevertheless.
    pub site_is_a_guess: bool,
    /// The instances.
    pub instances: Vec<Instance>,
    /// The packages that billing lists.
    pub packages: Vec<Listed>,
    /// Whether that are all of them.
    pub has_all_packages: bool,
    /// The servers that were asked about, by id.
    pub servers: BTreeMap<String, Seen>,
    /// What could not be had, each with the permission for it.
    pub failures: Vec<String>,
    answered: bool,
}

/// What is known of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Its status.
    Is(String),
    /// There is none of this id any more, or not in this project and region.
    Absent,
    /// It could not be asked.
    Unseen,
}

/// What may be asked, and the permission for it.
const PACKAGES: &str = "listing packages (BSS, permission billing:resourcePackages:view or policy BSS ReadonlyAccess)";
const ACCOUNT: &str = "finding the account's id (IAM, permission iam:users:getUser; else set domain_id)";
const INSTANCES: &str = "listing instances (Config, permission rms:resources:list)";
const SERVER: &str = "ECS, permission ecs:cloudServers:get";

impl<'a> Survey<'a> {
    /// Asks, each part for as long as leaves some time to the others.
    pub fn take(host: &dyn Host, found: &'a Found) -> Result<Self> {
        let until = host.elapsed() + found.deadline;
        let (access, listing) = packages(host, &accesses(found), share(host, until))?;
        let cause = listing.failure.as_ref().map(|failure| failure.cause);
        let mut survey = Self {
            access,
            site_is_a_guess: found.candidates.len() > 1 && !matches!(cause, None | Some(Cause::Forbidden)),
            instances: Vec::new(),
            packages: Vec::new(),
            has_all_packages: cause.is_none(),
            servers: BTreeMap::new(),
            failures: Vec::new(),
            answered: false,
        };
        survey.packages = survey.note(PACKAGES, listing);
        // Asked on and on, a key that is refused is locked.
        if cause != Some(Cause::Credentials) {
            survey.look_for_instances(host, until);
            survey.look_at_servers(host, until);
        }
        Ok(survey)
    }

    /// 3: some could not be had; 1: nothing at all.
    pub fn exit(&self) -> Exit {
        match (self.failures.is_empty(), self.answered) {
            (true, _) => Exit::Done,
            (false, true) => Exit::Problems,
            (false, false) => Exit::Failed,
        }
    }

    /// What billing says of a package.
    pub fn package(&self, id: &str) -> Option<&Listed> {
        self.packages.iter().find(|listed| listed.id == id)
    }

    /// The name of the first instance that a package belongs to.
    pub fn owner(&self, id: &str) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.packages.iter().any(|own| own == id))
    }

    /// How many packages hold something else than traffic.
    pub fn others(&self) -> usize {
        self.packages.iter().filter(|listed| listed.holds == Holds::Other).count()
    }

    fn note<T>(&mut self, what: &str, listing: Listing<T>) -> Vec<T> {
        self.answered |= listing.failure.is_none() || !listing.items.is_empty();
        self.failures.extend(listing.failure.map(|failure| format!("{what}: {}", failure.text)));
        listing.items
    }

    fn look_for_instances(&mut self, host: &dyn Host, until: Duration) {
        let account = self.access.account;
        match account.domain_id(host, share(host, until)) {
            Ok(domain) => {
                let listing = account.instances(host, &domain, share(host, until));
                self.instances = self.note(INSTANCES, listing);
            }
            Err(failure) => self.failures.push(format!("{ACCOUNT}: {}", failure.text)),
        }
    }

    fn look_at_servers(&mut self, host: &dyn Host, until: Duration) {
        let mut failed: Vec<(Failure, String, usize)> = Vec::new();
        for (instance, id) in
            self.instances.iter().flat_map(|instance| instance.servers.iter().map(move |id| (instance, id)))
        {
            if self.servers.contains_key(id) {
                continue;
            }
            let seen = look(self.access.account, host, instance, id, until).unwrap_or_else(|failure| {
                match failed.iter_mut().find(|(known, ..)| known.cause == failure.cause) {
                    Some((_, _, more)) => *more += 1,
                    None => failed.push((failure, id.clone(), 0)),
                }
                Seen::Unseen
            });
            self.servers.insert(id.clone(), seen);
        }
        self.failures.extend(failed.into_iter().map(|(failure, id, more)| {
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("looking at server {id}{more} ({SERVER}): {}", failure.text)
        }));
    }
}

fn accesses(found: &Found) -> Vec<Access<'_>> {
    let candidates = found.candidates.iter();
    let own = candidates.filter_map(|candidate| match &candidate.account {
        api::Account::Huawei(account) => Some(Access { account, written: &candidate.written }),
        api::Account::Pve(_) => None,
    });
    own.collect()
}

/// The packages, and the access they were listed with: the first one whose site is the account's, else the first.
fn packages<'a>(host: &dyn Host, accesses: &[Access<'a>], until: Duration) -> Result<(Access<'a>, Listing<Listed>)> {
    let mut first = None;
    for access in accesses {
        let listing = access.account.listed_packages(host, until);
        if !listing.failure.as_ref().is_some_and(|failure| failure.cause == Cause::OtherSite) {
            return Ok((*access, listing));
        }
        first.get_or_insert((*access, listing));
    }
    first.ok_or_else(|| Error::failed("there is no access to ask with"))
}

/// A server's status: what proves its region, its project and the permission.
fn look(
    account: &Account,
    host: &dyn Host,
    instance: &Instance,
    id: &str,
    until: Duration,
) -> std::result::Result<Seen, Failure> {
    let Some(region) = &instance.region else {
        return Err(Failure { text: "the listing does not say its region".into(), cause: Cause::Wrong });
    };
    let project = match &instance.project {
        Some(project) => project.clone(),
        None => account.project(host, region, until)?,
    };
    let server = Server { id: id.to_owned(), region: region.clone(), project };
    match account.server_status(host, &server, until) {
        Ok(status) => Ok(Seen::Is(clean(&status, 20))),
        Err(failure) if failure.cause == Cause::Absent => Ok(Seen::Absent),
        Err(failure) => Err(failure),
    }
}

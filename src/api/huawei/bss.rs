//! Billing: what remains of the traffic packages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::record::Record;
use super::units::{self, Looked};
use super::{Account, Call, Cause, Failure};
use crate::host::Host;
use crate::quota::package::Package;

/// Where the usage is asked for.
pub const USAGES: &str = "/v2/payments/free-resources/usages/details/query";

/// Ids a call may name.
const IDS: usize = 100;

/// What is remembered from run to run, so that the next one need not find it out again.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Memory {
    /// The ids that renewed packages have now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renewed: BTreeMap<String, String>,
    /// Bytes per unit of those that were looked up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: Looked,
}

/// What was said of the packages asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Usages {
    /// By the id asked for.
    pub packages: Vec<(String, Package)>,
    /// By id: why there is no figure.
    pub problems: Vec<(String, String)>,
    /// Whether a problem was that the key is refused.
    pub refused: bool,
}

#[derive(Deserialize)]
struct Answer {
    free_resources: Vec<Box<RawValue>>,
}

impl Account {
    /// What remains of the packages: one call for each hundred. An error only where nothing at all could be had.
    pub fn usages(
        &self,
        host: &dyn Host,
        ids: &[String],
        memory: &mut Memory,
        until: Duration,
    ) -> Result<Usages, Failure> {
        let mut usages = Usages::default();
        let mut first: Option<Failure> = None;
        for ids in ids.chunks(IDS) {
            let refused = first.as_ref().filter(|failure| failure.cause == Cause::Credentials).cloned();
            let records = refused.map_or_else(|| self.records(host, ids, until), Err);
            match records {
                Ok(records) => self.sort_out(host, ids, records, memory, until, &mut usages),
                Err(failure) => {
                    usages.problems.extend(ids.iter().map(|id| (id.clone(), failure.text.clone())));
                    first.get_or_insert(failure);
                }
            }
        }
        match first {
            Some(failure) if usages.packages.is_empty() && usages.problems.len() == ids.len() => Err(failure),
            failed => Ok(Usages { refused: failed.is_some_and(|f| f.cause == Cause::Credentials), ..usages }),
        }
    }

    fn records(&self, host: &dyn Host, ids: &[String], until: Duration) -> Result<Vec<Record>, Failure> {
        let call = Call::ask(&self.endpoints.bss, USAGES, json!({"free_resource_ids": ids}));
        let answer: Answer = self.call(host, &call, until)?;
        Ok(answer.free_resources.iter().map(|record| Record::read(record.get())).collect())
    }

    /// Each record to the id it answers. A renewed package comes back under its new id: one missing and one unasked.
    fn sort_out(
        &self,
        host: &dyn Host,
        ids: &[String],
        mut records: Vec<Record>,
        memory: &mut Memory,
        until: Duration,
        usages: &mut Usages,
    ) {
        records.dedup();
        let asked: BTreeSet<&String> = ids.iter().collect();
        let (mut known, mut unasked): (Vec<_>, Vec<_>) = records.into_iter().partition(|r| asked.contains(&r.id));
        let mut missing: Vec<&String> = ids.iter().filter(|id| !known.iter().any(|r| r.id == **id)).collect();
        let mut found: Vec<(&String, Record)> = Vec::new();
        missing.retain(|id| {
            let alias = memory.renewed.get(*id);
            let at = unasked.iter().position(|record| Some(&record.id) == alias);
            found.extend(at.map(|at| (*id, unasked.swap_remove(at))));
            at.is_none()
        });
        if let ([id], [_]) = (&missing[..], &unasked[..]) {
            found.extend(unasked.pop().map(|record| (*id, record)));
            missing.clear();
        }
        found.extend(ids.iter().flat_map(|id| {
            let own: Vec<Record> = known.extract_if(.., |record| record.id == *id).collect();
            own.into_iter().map(move |record| (id, record))
        }));
        for (id, record) in found {
            let twice = usages.packages.iter().any(|(known, _)| known == id);
            let package = match twice {
                true => Err("the answer holds it twice, with different figures".into()),
                false => record.package(|measure| {
                    units::bytes(self, host, measure, &mut memory.units, until).map_err(units::NoBytes::text)
                }),
            };
            match package {
                Ok(package) => {
                    if package.id == *id {
                        memory.renewed.remove(id);
                    } else {
                        memory.renewed.insert(id.clone(), package.id.clone());
                    }
                    usages.packages.push((id.clone(), package));
                }
                Err(why) => {
                    usages.packages.retain(|(known, _)| known != id);
                    usages.problems.push((id.clone(), self.redact(&why)));
                }
            }
        }
        let absent = "the answer does not hold it: is it of this account, and not long expired?";
        usages.problems.extend(missing.into_iter().map(|id| (id.clone(), absent.into())));
        let stranger = "the answer holds this package, which nobody asked for";
        usages.problems.extend(unasked.into_iter().map(|record| (record.shown_id(), stranger.into())));
    }
}

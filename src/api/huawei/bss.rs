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

    /// The figures of an answer, and what is wrong with it.
    fn sort_out(
        &self,
        host: &dyn Host,
        ids: &[String],
        records: Vec<Record>,
        memory: &mut Memory,
        until: Duration,
        usages: &mut Usages,
    ) {
        let mut pairs = Pairs::of(ids, records, &memory.renewed);
        let now = host.now();
        let renewed = |record: &Record| record.start().is_some_and(|start| now.since(start) < RENEWED);
        if pairs.strangers.iter().any(|record| !record.id.is_empty() && renewed(record)) {
            self.ask_each(host, &mut pairs, until);
        }
        for (id, record) in pairs.found {
            let units = &mut memory.units;
            let unit = |measure| units::bytes(self, host, measure, units, until);
            match record.package(unit) {
                Ok(package) => {
                    match package.id == id {
                        true => drop(memory.renewed.remove(&id)),
                        false => drop(memory.renewed.insert(id.clone(), package.id.clone())),
                    }
                    usages.packages.push((id, package));
                }
                Err(why) => usages.problems.push((id, self.redact(&why))),
            }
        }
        let told_missing = pairs.missing.len();
        let told = |ids: Vec<String>, why: &'static str| ids.into_iter().map(move |id| (id, why.to_owned()));
        usages.problems.extend(told(pairs.twice, "the answer holds it twice, with different figures"));
        let absent = "the answer does not hold it: is it of this account, and not long expired?";
        usages.problems.extend(told(pairs.missing, absent));
        // What has no id may well be what is missing.
        let whole = told_missing == 0;
        let strangers = pairs.strangers.iter().filter(|record| whole || !record.id.is_empty());
        let strangers = strangers.map(Record::shown_id).collect();
        usages.problems.extend(told(strangers, "the answer holds this package, which nobody asked for"));
    }

    /// Several packages that were renewed at once: asked one by one, the answer says which is which.
    fn ask_each(&self, host: &dyn Host, pairs: &mut Pairs, until: Duration) {
        let asked: Vec<String> = pairs.missing.iter().take(ONE_BY_ONE).cloned().collect();
        for id in asked {
            let Ok(mut records) = self.records(host, std::slice::from_ref(&id), until) else { return };
            let Some(record) = records.pop().filter(|record| records.is_empty() && pairs.strangers.contains(record))
            else {
                continue;
            };
            pairs.strangers.retain(|stranger| *stranger != record);
            pairs.missing.retain(|missing| *missing != id);
            pairs.found.push((id, record));
        }
    }
}

/// A package whose period began within this may just have been renewed.
const RENEWED: Duration = Duration::from_secs(3 * 86_400);
/// Ids asked one by one in a run at the most.
const ONE_BY_ONE: usize = 10;

/// Which record answers which id.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pairs {
    found: Vec<(String, Record)>,
    twice: Vec<String>,
    missing: Vec<String>,
    strangers: Vec<Record>,
}

impl Pairs {
    /// A renewed package comes back under its new id: one that is known from before, else the only one unasked for the
    /// only one missing.
    fn of(ids: &[String], records: Vec<Record>, renewed: &BTreeMap<String, String>) -> Self {
        let mut unique: Vec<Record> = Vec::new();
        for record in records {
            if !unique.contains(&record) {
                unique.push(record);
            }
        }
        let asked: BTreeSet<&String> = ids.iter().collect();
        let (own, strangers): (Vec<_>, Vec<_>) = unique.into_iter().partition(|record| asked.contains(&record.id));
        let mut by_id: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for record in own {
            by_id.entry(record.id.clone()).or_default().push(record);
        }
        let mut pairs = Self { strangers, ..Self::default() };
        for id in ids {
            let mut own = by_id.remove(id).unwrap_or_default();
            own.extend(pairs.take_alias(renewed.get(id)));
            // The renewed one is the later one of the two.
            own.sort_by_key(Record::start);
            let alike = own.iter().filter(|record| record.id == *id).count();
            match own.pop() {
                Some(_) if alike > 1 => pairs.twice.push(id.clone()),
                Some(record) => pairs.found.push((id.clone(), record)),
                None => pairs.missing.push(id.clone()),
            }
        }
        if let ([_], [stranger]) = (&pairs.missing[..], &pairs.strangers[..])
            && !stranger.id.is_empty()
        {
            pairs.found.extend(pairs.missing.drain(..).zip(pairs.strangers.drain(..)));
        }
        pairs
    }

    fn take_alias(&mut self, alias: Option<&String>) -> Option<Record> {
        let at = self.strangers.iter().position(|record| alias == Some(&record.id))?;
        Some(self.strangers.swap_remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, left: u32, start: &str) -> Record {
        let id = if id.is_empty() { "null".into() } else { format!("{id:?}") };
        let json = format!(
            r#"{{"free_resource_id":{id},"amount":{left},"original_amount":9,"measure_id":10,"start_time":"2026-{start}-15T16:00:00Z"}}"#
        );
        Record::read(&json)
    }

    /// What was found as `asked=answered`, and the ids of the rest.
    fn pairs(ids: &[&str], records: &[Record], renewed: &[(&str, &str)]) -> (Vec<String>, String) {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let renewed = renewed.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        let pairs = Pairs::of(&ids, records.to_vec(), &renewed);
        let found = pairs.found.iter().map(|(id, record)| format!("{id}={}", record.id)).collect();
        let strangers: Vec<String> = pairs.strangers.iter().map(|record| record.id.clone()).collect();
        (found, format!("twice {:?} missing {:?} strangers {strangers:?}", pairs.twice, pairs.missing))
    }

    #[test]
    fn each_record_answers_one_id() {
        let (a, b, c) = (record("a", 1, "01"), record("b", 2, "01"), record("c", 3, "02"));
        let none = r#"twice [] missing [] strangers []"#;
        for (ids, records, renewed, found, rest) in [
            (vec!["a", "b"], vec![b.clone(), a.clone()], vec![], vec!["a=a", "b=b"], none),
            (vec!["a", "b"], vec![a.clone(), b.clone(), a.clone()], vec![], vec!["a=a", "b=b"], none),
            (vec!["a"], vec![c.clone()], vec![], vec!["a=c"], none),
            (vec!["a"], vec![a.clone(), c.clone()], vec![("a", "c")], vec!["a=c"], none),
            (vec!["c"], vec![c.clone(), a.clone()], vec![("c", "a")], vec!["c=c"], none),
            (vec!["a", "b"], vec![c.clone(), b.clone()], vec![("a", "c")], vec!["a=c", "b=b"], none),
            (vec!["a"], vec![], vec![], vec![], r#"twice [] missing ["a"] strangers []"#),
            (vec!["a"], vec![a.clone(), c.clone()], vec![], vec!["a=a"], r#"twice [] missing [] strangers ["c"]"#),
            (
                vec!["a"],
                vec![a.clone(), record("a", 5, "01")],
                vec![],
                vec![],
                r#"twice ["a"] missing [] strangers []"#,
            ),
            (vec!["a"], vec![record("", 1, "01")], vec![], vec![], r#"twice [] missing ["a"] strangers [""]"#),
            (
                vec!["a", "b"],
                vec![c.clone(), record("d", 4, "02")],
                vec![],
                vec![],
                r#"twice [] missing ["a", "b"] strangers ["c", "d"]"#,
            ),
        ] {
            let expected: (Vec<String>, String) = (found.iter().map(ToString::to_string).collect(), rest.into());
            assert_eq!(pairs(&ids, &records, &renewed), expected);
        }
    }
}

//! Traffic packages of Huawei Cloud, as its billing (BSS) accounts for them.

use std::sync::Arc;

use super::{Look, Source, Trouble};
use crate::api::Account;
use crate::api::huawei::bss::{Memory, USAGES};
use crate::api::huawei::{self, Cause};
use crate::config::fields::Fields;
use crate::config::secret::Keeper;
use crate::host::Host;
use crate::quota::alarm::Watched;
use crate::quota::meter::{Figure, Reading, Readings, SubjectProblem};

/// The settings.
struct Huawei {
    account: Arc<huawei::Account>,
    ids: Vec<String>,
}

/// Reads the settings.
pub fn open(fields: &Fields<'_>, keeper: &Keeper<'_>) -> Option<Arc<dyn Source>> {
    let account = huawei::open(fields, keeper);
    let ids = fields.need("resource_ids", huawei::read_ids);
    Some(Arc::new(Huawei { account: Arc::new(account?), ids: ids? }))
}

impl Source for Huawei {
    fn expects(&self, subject: &str) -> bool {
        self.ids.iter().any(|id| id == subject)
    }

    fn packages(&self) -> Option<&[String]> {
        Some(&self.ids)
    }

    fn cannot_watch(&self, _: Watched) -> Option<&'static str> {
        Some("a traffic package has neither a rate nor a load: alarms go with sources that have counters")
    }

    fn account(&self) -> Option<Account> {
        Some(Account::Huawei(Arc::clone(&self.account)))
    }

    fn describe(&self) -> Vec<String> {
        let ids = self.ids.join(", ");
        vec![format!("POST {}{USAGES}, signed with key (redacted), for {ids}", self.account.endpoints().bss)]
    }

    fn read(&self, host: &dyn Host, look: &Look<'_>) -> Result<Readings, Trouble> {
        // What cannot be read any more is found out anew.
        let mut memory: Memory = look.remembered.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let before = memory.clone();
        let usages = self.account.usages(host, &self.ids, &mut memory, look.until);
        let usages =
            usages.map_err(|failure| Trouble { refused: failure.cause == Cause::Credentials, text: failure.text })?;
        let at = host.now();
        let reading = |(subject, package)| Reading { subject, at, figure: Figure::Package(package) };
        Ok(Readings {
            readings: usages.packages.into_iter().map(reading).collect(),
            problems: usages.problems.into_iter().map(problem).collect(),
            refused: usages.refused,
            choice: (memory != before).then(|| serde_json::to_string(&memory).unwrap_or_default()),
            ..Readings::default()
        })
    }
}

fn problem((subject, text): (String, String)) -> SubjectProblem {
    let text = format!("{subject:?}: {text}");
    SubjectProblem::now(subject, text)
}

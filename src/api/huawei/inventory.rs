//! What an account has: instances with their servers, addresses and packages (Config), and the packages that billing
//! (BSS) knows.
//!
//! Invariant: nothing here changes anything. A listing that ends early says why beside what was had; what an entry
//! lacks is missing, never made up; an id that could not stand in a path or in a configuration is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::record::{Amounts, Record, plain};
use super::units::{self, Looked, NoBytes};
use super::{Account, Call, Cause, Failure, check_id};
use crate::host::Host;
use crate::quota::instant::Instant;

/// Pages of a listing at the most: an endless one must end.
const PAGES: usize = 100;
/// Entries of a page.
const LIMIT: usize = 100;

/// A listing, or as much of it as could be had.
#[derive(Debug)]
pub struct Listing<T> {
    /// In the vendor's order.
    pub items: Vec<T>,
    /// Why it is not all.
    pub failure: Option<Failure>,
}

/// A Flexus L instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// What its owner calls it; may be empty.
    pub name: String,
    /// Where its servers are.
    pub region: Option<String>,
    /// The project of its servers.
    pub project: Option<String>,
    /// The ids of its traffic packages.
    pub packages: Vec<String>,
    /// The ids of its cloud servers.
    pub servers: Vec<String>,
    /// Its public addresses.
    pub addresses: Vec<String>,
}

/// A package as billing lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id, for `resource_ids`.
    pub id: String,
    /// What was bought; may be empty.
    pub product: String,
    /// How it is.
    pub standing: Standing,
    /// Whether what was used comes back with each period; none: it is not said.
    pub resets: Option<bool>,
    /// When the package as a whole ends.
    pub expires: Option<Instant>,
    /// What is in it.
    pub holds: Holds,
}

/// How a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not yet in effect.
    Ahead,
    /// In effect.
    InEffect,
    /// Used up.
    UsedUp,
    /// Expired.
    Expired,
    /// Given back.
    Unsubscribed,
    /// It is not said.
    Unknown,
}

/// What is in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Traffic, in bytes.
    Traffic {
        /// What remains.
        left: u64,
        /// What there is in all.
        total: u64,
    },
    /// Something else than traffic.
    Other,
    /// Nobody could say what; in words, redacted.
    Unknown(String),
}

impl Listed {
    /// Whether nothing will come of it any more.
    pub fn is_over(&self, now: Instant) -> bool {
        let spent = self.standing == Standing::UsedUp && self.resets == Some(false);
        let ended = matches!(self.standing, Standing::Expired | Standing::Unsubscribed);
        ended || spent || self.expires.is_some_and(|end| end <= now)
    }
}

#[derive(Deserialize)]
struct Domains {
    domains: Vec<Domain>,
}

#[derive(Deserialize)]
struct Domain {
    id: String,
}

#[derive(Deserialize)]
struct Caller {
    account_id: String,
}

#[derive(Deserialize)]
struct ResourcePage {
    resources: Vec<Value>,
    page_info: Option<PageInfo>,
}

#[derive(Deserialize)]
struct PageInfo {
    next_marker: Option<String>,
}

#[derive(Deserialize)]
struct PackagePage {
    total_count: Option<usize>,
    free_resource_packages: Option<Vec<Box<RawValue>>>,
}

/// A package is one order; what it holds are the items.
#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow)]
    product_name: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    expire_time: Option<&'a RawValue>,
    #[serde(borrow)]
    quota_reuse_mode: Option<&'a RawValue>,
    #[serde(borrow)]
    free_resources: Option<Vec<&'a RawValue>>,
}

impl Account {
    /// The account's id: that of the configuration, else what IAM says, else what STS says. IAM shows it only to those
    /// who may see users, and never to temporary keys.
    pub fn domain_id(&self, host: &dyn Host, until: Duration) -> Result<String, Failure> {
        if let Some(id) = &self.domain {
            let wrong = |why| Failure { text: format!("domain_id: {why}"), cause: Cause::Wrong };
            return check_id(id).map_err(wrong);
        }
        let by_iam = || match self.token {
            None => self.domain_by_iam(host, until),
            Some(_) => Err("IAM does not show it to temporary keys".into()),
        };
        let iam = match by_iam() {
            Ok(id) => return Ok(id),
            Err(why) => why,
        };
        let call = Call::get(&self.endpoints.sts, "/v5/caller-identity");
        let by_sts = self.call(host, &call, until);
        let by_sts =
            by_sts.and_then(|caller: Caller| check_id(&caller.account_id).map_err(|why| self.misread(&[], &why)));
        by_sts.map_err(|sts| Failure { text: format!("{iam}; STS: {}", sts.text), ..sts })
    }

    fn domain_by_iam(&self, host: &dyn Host, until: Duration) -> Result<String, String> {
        let call = Call::get(self.endpoints.iam(None), "/v3/auth/domains");
        let answer: Domains = self.call(host, &call, until).map_err(|failure| format!("IAM: {}", failure.text))?;
        let first = answer.domains.first().ok_or("IAM shows no account to this key")?;
        check_id(&first.id).map_err(|why| format!("IAM: {why}"))
    }

    /// The Flexus L instances, page by page.
    pub fn instances(&self, host: &dyn Host, domain: &str, until: Duration) -> Listing<Instance> {
        let path = format!("/v1/resource-manager/domains/{domain}/all-resources");
        let first = Call::get(&self.endpoints.config, path)
            .with("type", "hcss.l-instance")
            .with("limit", LIMIT.to_string())
            .header("x-domain-id", domain);
        let (mut items, mut markers, mut call) = (Vec::new(), BTreeSet::new(), first.clone());
        let failure = loop {
            let page: ResourcePage = match self.call(host, &call, until) {
                Ok(page) => page,
                Err(failure) => break Some(failure),
            };
            items.extend(page.resources.iter().filter(|entry| entry["state"] != "Deleted").map(instance));
            let marker = page.page_info.and_then(|info| info.next_marker).filter(|marker| !marker.is_empty());
            let Some(marker) = marker else { break None };
            if markers.len() + 1 == PAGES || !markers.insert(marker.clone()) {
                break Some(endless());
            }
            call = first.clone().with("marker", marker);
        };
        Listing { items, failure }
    }

    /// The packages of the account, page by page, those that expired included as long as the vendor lists them.
    pub fn listed_packages(&self, host: &dyn Host, until: Duration) -> Listing<Listed> {
        let (mut items, mut offset, mut units) = (Vec::new(), 0, Units::default());
        for _ in 0..PAGES {
            let page = match self.package_page(host, offset, until) {
                Ok(page) => page,
                Err(failure) => return Listing { items, failure: Some(failure) },
            };
            let bundles = page.free_resource_packages.unwrap_or_default();
            offset += bundles.len();
            items.extend(bundles.iter().flat_map(|bundle| {
                let unit = |measure| units.bytes(self, host, measure, until);
                listed(bundle, unit, &|text| self.redact(text))
            }));
            let is_last = page.total_count.map_or(bundles.len() < LIMIT, |total| offset >= total);
            if is_last {
                return Listing { items, failure: None };
            }
            if bundles.is_empty() {
                let text = format!("the listing ends after {offset} of {} packages", page.total_count.unwrap_or(0));
                return Listing { items, failure: Some(Failure { text, cause: Cause::Unknown }) };
            }
        }
        Listing { items, failure: Some(endless()) }
    }

    fn package_page(&self, host: &dyn Host, offset: usize, until: Duration) -> Result<PackagePage, Failure> {
        let body = json!({"offset": offset, "limit": LIMIT});
        // The language of names without this header is another on each site.
        let call =
            Call::ask(&self.endpoints.bss, "/v3/payments/free-resources/query", body).header("x-language", "en_US");
        let page: PackagePage = self.call(host, &call, until)?;
        match (&page.free_resource_packages, page.total_count) {
            (None, None) => Err(self.misread(&[], "it holds no list of packages")),
            _ => Ok(page),
        }
    }
}

fn endless() -> Failure {
    Failure { text: "the listing does not end".into(), cause: Cause::Unknown }
}

/// Bytes per unit, each looked up once, whatever came of it.
#[derive(Default)]
struct Units {
    looked: Looked,
    failed: BTreeMap<i64, NoBytes>,
}

impl Units {
    fn bytes(&mut self, account: &Account, host: &dyn Host, measure: i64, until: Duration) -> Result<u64, NoBytes> {
        if let Some(why) = self.failed.get(&measure) {
            return Err(why.clone());
        }
        let bytes = units::bytes(account, host, measure, &mut self.looked, until);
        if let Err(why) = &bytes {
            self.failed.insert(measure, why.clone());
        }
        bytes
    }
}

/// An entry of Config's listing.
fn instance(entry: &Value) -> Instance {
    let id = |value: &Value| value.as_str().and_then(|text| check_id(text).ok());
    let parts = entry["properties"]["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Some are listed with a suffix.
    let of = |kind: &'static str| {
        let is = move |part: &&Value| part["logical_resource_type"].as_str().is_some_and(|text| text.starts_with(kind));
        parts.iter().filter(is)
    };
    let ids = |kind| of(kind).filter_map(|part| id(&part["physical_resource_id"])).collect();
    let mut names = [&entry["name"], &entry["id"]].into_iter().filter_map(Value::as_str);
    Instance {
        name: names.find(|name| !name.is_empty()).unwrap_or_default().to_owned(),
        region: id(&entry["region_id"]),
        project: id(&entry["project_id"]),
        packages: ids("huaweicloudinternal_cbc_freeresource"),
        servers: ids("huaweicloudinternal_ecs_instance"),
        addresses: of("huaweicloudinternal_eip").filter_map(address).collect(),
    }
}

fn address(part: &Value) -> Option<String> {
    let attributes = part["resource_attributes"].as_array()?;
    let found = attributes.iter().find(|attribute| attribute["key"] == "public_ip_address")?;
    found["value"].as_str().map(str::to_owned)
}

/// The items of a package; what cannot be read at all is none.
fn listed(
    bundle: &RawValue,
    mut unit: impl FnMut(i64) -> Result<u64, NoBytes>,
    redact: &dyn Fn(&str) -> String,
) -> Vec<Listed> {
    let Ok(bundle) = serde_json::from_str::<Bundle<'_>>(bundle.get()) else { return Vec::new() };
    let product = plain(bundle.product_name).unwrap_or_default();
    let expires = plain(bundle.expire_time).and_then(|text| Instant::parse(&text));
    let resets = match plain(bundle.quota_reuse_mode).as_deref() {
        Some("1") => Some(true),
        Some("2") => Some(false),
        _ => None,
    };
    let read = |item: &RawValue| {
        let item = Record::read(item.get());
        let holds = match item.amounts(&mut unit) {
            Ok(Amounts { left, total }) => Holds::Traffic { left, total },
            Err(NoBytes::Other(_)) => Holds::Other,
            Err(NoBytes::Unknown(why)) => Holds::Unknown(redact(&why)),
        };
        let id = Some(item.id).filter(|id| !id.is_empty())?;
        Some(Listed { id, product: product.clone(), standing: standing(bundle.status), resets, expires, holds })
    };
    bundle.free_resources.unwrap_or_default().into_iter().filter_map(read).collect()
}

fn standing(status: Option<&RawValue>) -> Standing {
    match plain(status).as_deref() {
        Some("0") => Standing::Ahead,
        Some("1") => Standing::InEffect,
        Some("2") => Standing::UsedUp,
        Some("3") => Standing::Expired,
        Some("4") => Standing::Unsubscribed,
        _ => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests;

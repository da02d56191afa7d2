//! The tables: servers, and packages. Ids are never cut or broken, since they are there to be copied.

use super::super::{NOTHING, known, table};
use super::survey::{Seen, Survey};
use crate::api::huawei::inventory::{Holds, Instance, Listed, Standing};
use crate::quota::bytes::{Round, Unit, UnitBase};
use crate::quota::instant::Instant;
use crate::quota::text::clean;

/// Columns of a name at the most.
const NAME: usize = 32;

/// The tables and remarks that there is something to say in.
pub fn tables(survey: &Survey<'_>, now: Instant) -> Vec<String> {
    let servers: Vec<_> = survey.instances.iter().flat_map(|instance| servers(instance, survey)).collect();
    let packages = packages(survey, now);
    let others = match survey.others() {
        0 => None,
        1 => Some("1 other package is no traffic\n".into()),
        many => Some(format!("{many} other packages are no traffic\n")),
    };
    let nothing = servers.is_empty() && packages.is_empty() && survey.failures.is_empty();
    let nothing = nothing.then(|| "the account has no Flexus L instance and no traffic package\n".into());
    let servers = table(["INSTANCE", "REGION", "ADDRESS", "SERVER", "STATUS"], servers);
    let packages = table(["PACKAGE", "INSTANCE", "LEFT", "EXPIRES", "STATUS", "PRODUCT"], packages);
    [servers, packages, others, nothing].into_iter().flatten().collect()
}

/// A row for each server of an instance; one for an instance without any.
fn servers(instance: &Instance, survey: &Survey<'_>) -> Vec<[String; 5]> {
    let row = |server: Option<&String>| {
        let status = match server.and_then(|id| survey.servers.get(id)) {
            Some(Seen::Is(status)) => status.as_str(),
            Some(Seen::Absent) => "not found",
            Some(Seen::Unseen) | None => NOTHING,
        };
        [
            clean(&instance.name, NAME),
            known(instance.region.as_deref().unwrap_or_default()),
            known(&clean(&instance.addresses.join(", "), NAME)),
            known(server.map_or("", String::as_str)),
            status.to_owned(),
        ]
    };
    if instance.servers.is_empty() { vec![row(None)] } else { instance.servers.iter().map(Some).map(row).collect() }
}

/// The packages of traffic, those that are over last; then those that only their instance knows of.
fn packages(survey: &Survey<'_>, now: Instant) -> Vec<[String; 6]> {
    let mut listed: Vec<&Listed> = survey.packages.iter().filter(|listed| listed.holds != Holds::Other).collect();
    listed.sort_by_key(|listed| listed.is_over(now));
    let owner = |id: &str| survey.owner(id).map_or_else(|| NOTHING.into(), |owner| clean(&owner.name, NAME));
    let row = |listed: &Listed| {
        [
            listed.id.clone(),
            owner(&listed.id),
            left(&listed.holds),
            listed.expires.map_or_else(|| NOTHING.into(), day),
            standing(listed, now).to_owned(),
            clean(&listed.product, NAME),
        ]
    };
    let mut unlisted: Vec<&String> = Vec::new();
    for id in survey.instances.iter().flat_map(|instance| &instance.packages) {
        if survey.package(id).is_none() && !unlisted.contains(&id) {
            unlisted.push(id);
        }
    }
    let unlisted = unlisted.into_iter().map(|id| {
        let nothing = || NOTHING.to_owned();
        [id.clone(), owner(id), nothing(), nothing(), nothing(), nothing()]
    });
    listed.into_iter().map(row).chain(unlisted).collect()
}

fn left(holds: &Holds) -> String {
    let unit = Unit::giga(UnitBase::Binary);
    match holds {
        Holds::Traffic { left, total } => {
            format!("{} / {}", unit.show(*left, Round::Up), unit.show(*total, Round::Down))
        }
        Holds::Unknown(why) => clean(why, NAME),
        Holds::Other => NOTHING.into(),
    }
}

/// A package ends at midnight in the vendor's zone or in another; the day says enough.
fn day(at: Instant) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    at.at_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
}

fn standing(listed: &Listed, now: Instant) -> &'static str {
    match listed.standing {
        Standing::Unsubscribed => "unsubscribed",
        Standing::Expired => "expired",
        _ if listed.expires.is_some_and(|end| end <= now) => "expired",
        Standing::Ahead => "not yet",
        Standing::InEffect => "in effect",
        Standing::UsedUp => "used up",
        Standing::Unknown => NOTHING,
    }
}

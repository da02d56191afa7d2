//! The configuration for what there is.
//!
//! Invariant: whatever a tag is called, what is printed is TOML that says what this module says; without the `#` of the
//! lines that have no blank after it, too.

use super::super::toml::{Keys, quoted};
use super::survey::Survey;
use super::table::tags;
use crate::api::pve::guests::Row;
use crate::config::uses::Uses;
use crate::quota::text::clean;

/// Characters of a tag that is proposed at the most.
const TAG: usize = 60;

/// What may be written besides.
const FURTHER: &str = "\
# guests (numbers, names), pools, nodes, types and exclude choose further, such as:
#types = [\"qemu\"]
#exclude = [\"lxc/*\"]

# To slow guests down from 95 % on until the month is over: this instead of tiers, and the action below, which needs
# VM.Config.Network and, since Proxmox VE 8.0, SDN.Use. Other kinds: pve-disconnect, pve-shutdown, pve-stop
#tier = [
#  { used = \"80%\" },
#  { used = \"95%\", actions = [\"slow\"] },
#]
#
#[action.slow]
#kind = \"pve-rate-limit\"
#rate = \"10 Mbps\"
";

/// The lines; none when there is no guest to watch.
pub fn paste(survey: &Survey, uses: &Uses, source: &str) -> Option<String> {
    let guests: Vec<&Row> = survey.guests.iter().filter(|row| !row.template).collect();
    if guests.is_empty() {
        return None;
    }
    let mut keys = Keys::of(uses.quotas.clone());
    let tag = most_used_tag(survey);
    let tag = tag.map_or_else(String::new, |(tag, count)| {
        format!("tags = [{}] # {}; without this line all {}\n", quoted(&tag), of_guests(count), guests.len())
    });
    Some(format!(
        "[quota.{}]\nsource = {}\nallowance = \"1 TB\" # for each guest: what it sends in a calendar month\n\
         {tag}tiers = [\"80%\", \"90%\", \"95%\"]\n{FURTHER}",
        keys.take("month"),
        quoted(source)
    ))
}

/// One that can be shown as it is, with how many guests that are no templates have it.
fn most_used_tag(survey: &Survey) -> Option<(String, usize)> {
    let tags = tags(survey.guests.iter().filter(|row| !row.template));
    tags.into_iter().find(|(tag, _)| clean(tag, TAG) == *tag)
}

fn of_guests(count: usize) -> String {
    if count == 1 { "1 guest now".into() } else { format!("{count} guests now") }
}

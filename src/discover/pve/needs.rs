//! What the token needs for what the configuration asks, and whether it has it; pure.
//!
//! The rights of a path are those of the deepest path that is listed at or above it: an entry on a deeper path replaces
//! those above. To add a need: a row in [`RULES`].
//!
//! Source: pve-access-control 9.1.1 (RPCEnvironment.pm, `get_effective_permissions`).

use std::collections::{BTreeMap, BTreeSet};

use super::survey::Survey;
use crate::config::uses::Uses;

/// By path, the privileges the token has there.
pub type Rights = BTreeMap<String, BTreeSet<String>>;

/// A privilege the token needs, and whether it has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub privilege: &'static str,
    /// What for.
    pub purpose: &'static str,
    /// Where, as a pattern of paths.
    pub place: &'static str,
    /// Whether the configuration asks for what it is for.
    pub asked: bool,
    /// Whether the token has it.
    pub standing: Standing,
    /// The paths on which it is to be given.
    pub grants: Vec<String>,
}

impl Need {
    /// Whether it has to be given for what the configuration asks.
    pub fn is_missing(&self) -> bool {
        self.asked && self.standing.lacks()
    }
}

/// Whether the token has a privilege.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everywhere.
    Has,
    /// On these paths only; on all there are as far as it can see.
    Only(Vec<String>),
    /// Not on these paths.
    LacksOn(Vec<String>),
    /// Nowhere.
    Lacks,
    /// It could not be asked.
    Unknown,
}

impl Standing {
    /// Whether it lacks somewhere.
    pub fn lacks(&self) -> bool {
        matches!(self, Self::LacksOn(_) | Self::Lacks)
    }
}

/// Where a privilege counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Guests,
    Bridges,
    Pools,
    Nodes,
}

impl Place {
    /// The path above all of its kind.
    fn base(self) -> &'static str {
        match self {
            Self::Guests => "/vms",
            Self::Bridges => "/sdn/zones/localnetwork",
            Self::Pools => "/pool",
            Self::Nodes => "/nodes",
        }
    }

    /// As people are told.
    fn pattern(self) -> &'static str {
        match self {
            Self::Guests => "/vms",
            Self::Bridges => "/sdn/zones/localnetwork/BRIDGE",
            Self::Pools => "/pool/POOL",
            Self::Nodes => "/nodes/NODE",
        }
    }
}

/// What asks for a privilege.
enum Asker {
    /// Every configuration.
    Source,
    /// Actions of these kinds.
    Actions(&'static [&'static str]),
    /// Quotas with `pools`.
    Pools,
    /// Quotas with `nics`.
    Nics,
}

struct Rule {
    privilege: &'static str,
    place: Place,
    asker: Asker,
    purpose: &'static str,
}

const fn rule(privilege: &'static str, place: Place, asker: Asker, purpose: &'static str) -> Rule {
    Rule { privilege, place, asker, purpose }
}

const AUDIT: &str = "VM.Audit";
const BRIDGE_USE: &str = "SDN.Use";
const POWER: Asker = Asker::Actions(&["pve-shutdown", "pve-stop"]);
const NICS: Asker = Asker::Actions(&["pve-disconnect", "pve-rate-limit"]);

const RULES: &[Rule] = &[
    rule(AUDIT, Place::Guests, Asker::Source, "reading guests"),
    rule("VM.PowerMgmt", Place::Guests, POWER, "pve-shutdown, pve-stop"),
    rule("VM.Config.Network", Place::Guests, NICS, "pve-disconnect, pve-rate-limit"),
    rule(BRIDGE_USE, Place::Bridges, NICS, "pve-disconnect, pve-rate-limit"),
    rule("Pool.Audit", Place::Pools, Asker::Pools, "pools"),
    rule("Sys.Audit", Place::Nodes, Asker::Nics, "nics"),
];

impl Rule {
    /// Whether the configuration asks for it.
    fn is_asked(&self, uses: &Uses) -> bool {
        match &self.asker {
            Asker::Source => true,
            Asker::Actions(kinds) => kinds.iter().any(|kind| uses.actions.contains(*kind)),
            Asker::Pools => !uses.pools.is_empty(),
            Asker::Nics => uses.nics,
        }
    }

    /// Whether a host of this version knows it.
    fn is_known_to(&self, version: Option<&str>) -> bool {
        let major = version.and_then(|text| text.split('.').next()?.parse::<u32>().ok());
        self.privilege != BRIDGE_USE || major.is_none_or(|major| major >= 8)
    }
}

/// What is asked of the token. Where the configuration does nothing with guests yet, all that it may come to ask.
fn rules<'a>(uses: &'a Uses, version: Option<&'a str>) -> impl Iterator<Item = &'static Rule> + 'a {
    let by_action = |rule: &Rule| matches!(rule.asker, Asker::Actions(_)) && rule.is_asked(uses);
    let undecided = !uses.metered && !RULES.iter().any(by_action);
    RULES.iter().filter(move |rule| (undecided || rule.is_asked(uses)) && rule.is_known_to(version))
}

/// The paths whose rights tell about all below them: to be asked for by name, since a list leaves out empty ones.
pub fn bases(uses: &Uses, version: Option<&str>) -> BTreeSet<&'static str> {
    rules(uses, version).map(|rule| rule.place.base()).collect()
}

/// What the token needs, and has.
pub fn needs(survey: &Survey, uses: &Uses) -> Vec<Need> {
    rules(uses, survey.version.as_deref()).map(|rule| need(rule, survey, uses)).collect()
}

/// Whether the token may read guests wherever they are; none: that is not known.
pub fn reads_guests(survey: &Survey) -> Option<bool> {
    survey.rights.as_ref().map(|rights| has(rights, Place::Guests.base(), AUDIT))
}

fn need(rule: &Rule, survey: &Survey, uses: &Uses) -> Need {
    let Rule { privilege, place, purpose, .. } = *rule;
    let (standing, grants) = match &survey.rights {
        None => (Standing::Unknown, Vec::new()),
        Some(rights) => {
            let parts = parts(rule, survey, uses, rights);
            let has = has(rights, place.base(), privilege);
            // Of these all that count are known.
            let whole = !parts.is_empty() && matches!(place, Place::Nodes | Place::Pools);
            let all = if whole { parts.iter().all(|(_, has)| *has) } else { has };
            let standing = standing(all, parts);
            let grants = grants(&standing, has, rights, place.base());
            (standing, grants)
        }
    };
    Need { privilege, purpose, place: place.pattern(), asked: rule.is_asked(uses), standing, grants }
}

/// The single paths below a place's, as far as they are known, and whether the privilege is held there.
fn parts(rule: &Rule, survey: &Survey, uses: &Uses, rights: &Rights) -> Vec<(String, bool)> {
    let with = |path: String| {
        let has = has(rights, &path, rule.privilege);
        (path, has)
    };
    let seen = survey.guests.iter().filter(|row| !row.template).map(|row| format!("/vms/{}", row.id.vmid));
    match rule.place {
        // Those that are seen are those it is held on.
        Place::Guests if rule.privilege == AUDIT => {
            seen.map(|path| (path, true)).chain(hidden(rights).map(|path| (path, false))).collect()
        }
        Place::Guests => seen.map(with).collect(),
        Place::Bridges => children(rights, rule.place.base()).map(|(path, _)| with(path.clone())).collect(),
        Place::Pools => uses.pools.iter().map(|pool| with(format!("/pool/{pool}"))).collect(),
        Place::Nodes => survey.nodes.iter().map(|node| with(format!("/nodes/{}", node.node))).collect(),
    }
}

/// Guests of which something may be done, but not read.
fn hidden(rights: &Rights) -> impl Iterator<Item = String> + '_ {
    let is = |held: &BTreeSet<String>| held.iter().any(|name| name.starts_with("VM.")) && !held.contains(AUDIT);
    children(rights, "/vms").filter(move |(_, held)| is(held)).map(|(path, _)| path.clone())
}

/// What is listed right below a path.
fn children<'r>(rights: &'r Rights, base: &'static str) -> impl Iterator<Item = (&'r String, &'r BTreeSet<String>)> {
    let name = move |path: &'r str| path.strip_prefix(base)?.strip_prefix('/');
    rights.iter().filter(move |(path, _)| name(path).is_some_and(|name| !name.contains('/')))
}

/// The rights of a path.
fn at<'r>(rights: &'r Rights, path: &str) -> &'r BTreeSet<String> {
    const NONE: &BTreeSet<String> = &BTreeSet::new();
    let ends = path.char_indices().filter(|(at, c)| *at > 0 && *c == '/').map(|(at, _)| at);
    let above = ends.chain([path.len()]).rev().map(|end| &path[..end]).chain(["/"]);
    above.filter_map(|path| rights.get(path)).next().unwrap_or(NONE)
}

fn has(rights: &Rights, path: &str, privilege: &str) -> bool {
    at(rights, path).contains(privilege)
}

/// What it comes to when a privilege is held above (or not), and on some of the parts.
fn standing(above: bool, parts: Vec<(String, bool)>) -> Standing {
    let (having, lacking): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, has)| *has);
    let paths = |parts: Vec<(String, bool)>| parts.into_iter().map(|(path, _)| path).collect();
    match (above, having.is_empty(), lacking.is_empty()) {
        (true, _, true) => Standing::Has,
        (false, false, true) => Standing::Only(paths(having)),
        (false, true, _) => Standing::Lacks,
        _ => Standing::LacksOn(paths(lacking)),
    }
}

/// Where to give what is lacking: single paths when it is held above them; else at the top, unless an entry on the
/// place's own path would replace that.
fn grants(standing: &Standing, above: bool, rights: &Rights, base: &str) -> Vec<String> {
    let top = || if at(rights, base) == at(rights, "/") { "/" } else { base }.to_owned();
    match standing {
        Standing::LacksOn(paths) if above => paths.clone(),
        Standing::LacksOn(_) | Standing::Lacks => vec![top()],
        _ => Vec::new(),
    }
}

//! Whose history is asked for: which machine's, and which of its subjects.

use std::collections::HashMap;

use crate::config::fields::nearest;
use crate::history::{Archive, Failure, Instance, Known, Named, Row, Total};
use crate::quota::glob;
use crate::quota::instant::Instant;
use crate::quota::policy::Quota;
use crate::quota::state::{State, Subject};
use crate::quota::track::Point;
use crate::quota::zone::Zone;

/// A subject that the store knows, or the state, or both.
#[derive(Debug, Clone)]
pub struct Found {
    /// The store's number for it; none while only the state knows it.
    pub id: Option<i64>,
    /// Whose it is.
    pub instance: String,
    /// As it is called.
    pub named: Named,
    /// Before then the store has no row of it.
    pub first: Instant,
    /// A day after that it has no more.
    pub seen: Instant,
    /// What the state knows of it: of the last check, and what waits for the store.
    pub live: Vec<Row>,
    /// Where the state knows which sample is the last one in the store: the rows after it are of a run that was cut off
    /// before it saved its state, and are replaced by the next.
    pub upto: Option<Instant>,
}

/// Whose history is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// That of all machines.
    All,
    /// That of one, by its id; empty: this machine's, which has written none yet.
    One(String),
}

impl Whose {
    /// The machine's id, for one.
    pub fn one(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::One(id) => Some(id),
        }
    }

    /// Whether it is about this instance.
    pub fn is(&self, instance: &str) -> bool {
        self.one().is_none_or(|id| id == instance)
    }
}

/// Whose history is meant. `own` is this machine's id, and its name; `alone` says whether no other machine writes to such a
/// store: then the only one in it is meant where this machine's id is not known.
pub fn whose(asked: Option<&str>, own: (&str, &str), known: &[Instance], alone: bool) -> Result<Whose, String> {
    let own_id = || match known {
        [only] if own.0.is_empty() && alone => only.id.clone(),
        _ => own.0.to_owned(),
    };
    let Some(asked) = asked else { return Ok(Whose::One(own_id())) };
    if asked == "all" {
        return Ok(Whose::All);
    }
    if known.iter().any(|instance| instance.id == asked) {
        return Ok(Whose::One(asked.to_owned()));
    }
    let of_host: Vec<&str> =
        known.iter().filter(|instance| instance.host == asked).map(|instance| instance.id.as_str()).collect();
    match of_host[..] {
        [only] => Ok(Whose::One(only.to_owned())),
        [] if asked == own.1 || asked == own.0 => Ok(Whose::One(own_id())),
        [] => {
            let names = known.iter().flat_map(|instance| [instance.host.as_str(), instance.id.as_str()]);
            Err(format!("--instance: there is no {asked:?}{}", nearest(asked, names)))
        }
        _ => Err(format!("--instance: several are called {asked:?}: name one of {}", of_host.join(", "))),
    }
}

/// All subjects there are.
pub fn find(archive: &mut dyn Archive, state: &State, whose: &Whose) -> Result<Vec<Found>, Failure> {
    let known = archive.subjects(whose.one())?;
    let own = state.history.instance.as_str();
    let upto = |known: &Known| state.history.sampled.filter(|_| known.instance == own);
    let found = known.into_iter().map(|known| Found { upto: upto(&known), ..Found::of(known) });
    let mut found: Vec<Found> = found.filter(|found| found.has(found.first)).collect();
    if whose.is(own) {
        let numbered = found.iter().enumerate().filter(|(_, found)| found.instance == own);
        let places: HashMap<u64, usize> = numbered.map(|(place, found)| (found.named.key, place)).collect();
        for (source, subjects) in &state.sources {
            for (name, subject) in &subjects.subjects {
                let place = places.get(&subject.track.key).filter(|_| subject.track.key != 0);
                add(&mut found, place.copied(), own, (source, name), subject);
            }
        }
    }
    Ok(found)
}

/// Adds what the state knows of a subject; `place` is that of what the store knows of it.
fn add(found: &mut Vec<Found>, place: Option<usize>, own: &str, (source, name): (&str, &str), subject: &Subject) {
    let Some(series) = &subject.series else { return };
    let points = subject.track.edges.iter().copied().chain([subject.track.now(series.at)]);
    let id = place.and_then(|place| found[place].id);
    let row = |point: Point| Row { id: id.unwrap_or_default(), at: point.at, total: Total::from(&point) };
    let live: Vec<Row> = points.map(row).collect();
    let named = Named::of(source, name, subject);
    match place.and_then(|place| found.get_mut(place)) {
        Some(known) => (known.live, known.named) = (live, named),
        None => {
            let first = live.first().map_or(series.at, |row| row.at);
            let (instance, seen) = (own.to_owned(), series.at);
            found.push(Found { id: None, instance, named, first, seen, live, upto: None });
        }
    }
}

impl Found {
    fn of(known: Known) -> Self {
        let Known { id, instance, named, first, seen } = known;
        Self { id: Some(id), instance, named, first, seen, live: Vec::new(), upto: None }
    }

    /// Whether a row of the store of then is one.
    pub fn has(&self, at: Instant) -> bool {
        self.upto.is_none_or(|upto| at <= upto)
    }

    /// `source/subject`, as it may be asked for.
    fn full(&self) -> String {
        format!("{}/{}", self.named.source, self.named.subject)
    }
}

/// The subjects that are asked for by name, by glob, or as `source/subject`; all where nothing is.
pub fn choose(found: Vec<Found>, asked: &[String]) -> Result<Vec<Found>, String> {
    if asked.is_empty() {
        return Ok(found);
    }
    let is = |pattern: &String, found: &Found| {
        let (name, full) = (&found.named.subject, found.full());
        pattern == name || *pattern == full || glob::matches(pattern, name) || glob::matches(pattern, &full)
    };
    if let Some(unknown) = asked.iter().find(|pattern| !found.iter().any(|found| is(pattern, found))) {
        let names = found.iter().map(|found| found.named.subject.as_str());
        let near = nearest(unknown, names.collect::<std::collections::BTreeSet<_>>().into_iter());
        return Err(format!("--subject: there is no {unknown:?} in the history{near}"));
    }
    Ok(found.into_iter().filter(|found| asked.iter().any(|pattern| is(pattern, found))).collect())
}

/// Whether a quota of this machine counts a subject, or would.
pub fn looks_at(quota: &Quota, found: &Found, state: &State) -> bool {
    if quota.source != found.named.source {
        return false;
    }
    let subjects = state.sources.get(&quota.source).map(|source| &source.subjects);
    let known = |name: &str| subjects.and_then(|subjects| subjects.get(name));
    let name = found.named.subject.as_str();
    let Some(subject) = known(name) else { return quota.choice.is_none() && quota.names(name) };
    match (&subject.nic, quota.nics()) {
        (None, None) => quota.selects(name, subject),
        (Some(nic), Some(_)) => {
            let owner = found.named.part_of.as_str();
            quota.counts(nic) && known(owner).is_some_and(|guest| quota.selects(owner, guest))
        }
        _ => false,
    }
}

/// The zone of the quotas that look at these subjects, when it is the same of all; else the other one.
pub fn zone(quotas: &[Quota], found: &[Found], state: &State, other: &Zone) -> Zone {
    let own = state.history.instance.as_str();
    let looked_at = |quota: &&Quota| {
        let mut own = found.iter().filter(|found| found.instance == own);
        found.is_empty() || own.any(|found| looks_at(quota, found, state))
    };
    let mut zones = quotas.iter().filter(looked_at).map(|quota| &quota.rule.zone);
    match zones.next() {
        Some(first) if zones.all(|zone| zone.name() == first.name()) => first.clone(),
        _ => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn instances() -> Vec<Instance> {
        let of = |id: &str, host: &str| Instance { id: id.into(), host: host.into() };
        vec![of("a1", "hk-1"), of("b2", "hk-2"), of("c3", "hk-2")]
    }

    #[test]
    fn a_machine_is_meant_by_its_id_or_name() {
        let of = |asked: Option<&str>| whose(asked, ("a1", "hk-1"), &instances(), true);
        let one = |id: &str| Ok(Whose::One(id.to_owned()));
        assert_eq!(of(None), one("a1"));
        assert_eq!(of(Some("all")), Ok(Whose::All));
        assert_eq!(of(Some("b2")), one("b2"));
        assert_eq!(of(Some("hk-1")), one("a1"));
        assert_eq!(of(Some("hk-2")).unwrap_err(), "--instance: several are called \"hk-2\": name one of b2, c3");
        assert_eq!(of(Some("hk-3")).unwrap_err(), "--instance: there is no \"hk-3\"; did you mean \"hk-1\"?");
    }

    #[test]
    fn without_an_id_the_only_machine_of_a_file_is_meant() {
        let only = &instances()[..1];
        assert_eq!(whose(None, ("", "x"), only, true), Ok(Whose::One("a1".into())));
        assert_eq!(whose(None, ("", "x"), only, false), Ok(Whose::One(String::new())));
        assert_eq!(whose(None, ("", "x"), &instances(), true), Ok(Whose::One(String::new())));
        assert_eq!(whose(Some("x"), ("", "x"), &[], true), Ok(Whose::One(String::new())));
    }

    fn found(names: &[(&str, &str)]) -> Vec<Found> {
        let at = Instant::from_millis(0);
        let of = |(source, subject): &(&str, &str)| Found {
            id: None,
            instance: String::new(),
            named: Named {
                key: 0,
                source: (*source).into(),
                subject: (*subject).into(),
                label: String::new(),
                part_of: String::new(),
            },
            first: at,
            seen: at,
            live: Vec::new(),
            upto: None,
        };
        names.iter().map(of).collect()
    }

    #[test]
    fn subjects_are_chosen_by_name_glob_and_source() {
        let choose = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            let all = found(&[("a", "eth0"), ("b", "eth0"), ("b", "qemu/100"), ("b", "[x]")]);
            choose(all, &asked).map(|found| found.iter().map(Found::full).collect::<Vec<_>>())
        };
        assert_eq!(choose(&[]).unwrap().len(), 4);
        assert_eq!(choose(&["eth0"]).unwrap(), ["a/eth0", "b/eth0"]);
        assert_eq!(choose(&["b/eth0", "qemu/*"]).unwrap(), ["b/eth0", "b/qemu/100"]);
        assert_eq!(choose(&["[x]"]).unwrap(), ["b/[x]"], "a name that looks like a glob is a name first");
        assert_eq!(
            choose(&["eth1"]).unwrap_err(),
            "--subject: there is no \"eth1\" in the history; did you mean \"eth0\"?"
        );
        assert!(choose(&["eth0", "lxc/*"]).is_err(), "each has to be there");
    }
}

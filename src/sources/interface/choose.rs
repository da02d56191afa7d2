//! Which interfaces a list of names and patterns takes.
//!
//! A name is taken whatever it is. A pattern never adds an interface whose bytes are counted on one that is taken
//! already, so that a pooled quota under `*` counts each byte once.

use std::collections::BTreeSet;

use super::device::{Device, Devices};
use super::route::Ways;
use super::{MAX_LISTED, present, shown};
use crate::quota::glob;
use crate::quota::meter::SubjectProblem;

/// The names of the interfaces taken, each once: first those named, then those matched, sorted. A name or a pattern that
/// takes nothing is a problem.
pub(super) fn choose(devices: &Devices, wanted: &[String], problems: &mut Vec<SubjectProblem>) -> Vec<String> {
    // A device may even be called like a pattern.
    let (patterns, names): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|wanted| glob::is_glob(wanted) && !devices.has(wanted));
    let mut taken: Vec<&str> = Vec::new();
    for name in names {
        if !devices.has(name) {
            let text = format!("interface {} not found: {}", shown(name), present(devices, name));
            problems.push(SubjectProblem::now(name.clone(), text));
        } else if !taken.contains(&name.as_str()) {
            taken.push(name);
        }
    }
    if !patterns.is_empty() {
        let named = taken.clone();
        let matched = Matched::new(devices, &named, &patterns);
        let added: Vec<&str> = matched.chosen.iter().copied().filter(|name| !named.contains(name)).collect();
        taken.extend(added);
        problems.extend(patterns.iter().filter_map(|pattern| matched.problem(pattern)));
    }
    taken.into_iter().map(str::to_owned).collect()
}

/// What the patterns come to.
struct Matched<'a, 'b> {
    ways: Ways<'a>,
    devices: &'a Devices<'a>,
    named: &'b [&'a str],
    /// What is named, and what is matched and of a kind to be taken.
    candidates: BTreeSet<&'a str>,
    /// What is left of these.
    chosen: BTreeSet<&'a str>,
}

impl<'a, 'b> Matched<'a, 'b> {
    fn new(devices: &'a Devices<'a>, named: &'b [&'a str], patterns: &[&String]) -> Self {
        let matched = |name: &&str| patterns.iter().any(|pattern| glob::matches(pattern, name));
        let fit = |name: &&str| devices.get(name).is_some_and(|device| device.passed_over().is_none());
        let mut candidates: BTreeSet<&str> = devices.names().filter(|name| matched(name) && fit(name)).collect();
        candidates.extend(named);
        let mut out = Self { ways: Ways::read(devices), devices, named, candidates, chosen: BTreeSet::new() };
        let kept = |name: &&str| named.contains(name) || out.counted_elsewhere(name, &out.candidates).is_none();
        out.chosen = out.candidates.iter().copied().filter(kept).collect();
        out
    }

    /// The one taken that counts this one's bytes as well. Of two it is the lower one, unless the upper is hardware or
    /// the bridge or bond is named.
    fn counted_elsewhere(&self, name: &str, taken: &BTreeSet<&'a str>) -> Option<&'a str> {
        let below = self.ways.below(name).into_iter().find(|lower| *lower != name && taken.contains(lower));
        let hardware = |upper: &&str| self.devices.get(upper).is_some_and(Device::is_physical);
        let function = || {
            let mut uppers = taken.iter().copied().filter(hardware);
            uppers.find(|upper| self.devices.lower(upper).contains(&name))
        };
        let member = || self.named.iter().copied().find(|named| self.devices.above(name).any(|upper| upper == *named));
        below.or_else(function).or_else(member)
    }

    /// Says why a pattern takes nothing.
    fn problem(&self, pattern: &str) -> Option<SubjectProblem> {
        let matched: Vec<&str> = self.devices.names().filter(|name| glob::matches(pattern, name)).collect();
        if matched.iter().any(|name| self.chosen.contains(name)) {
            return None;
        }
        let reasons = matched.iter().take(MAX_LISTED).map(|name| format!("{} is {}", shown(name), self.reason(name)));
        let text = match &reasons.collect::<Vec<_>>()[..] {
            [] => format!("no interface matches {}: {}", shown(pattern), present(self.devices, pattern)),
            reasons => {
                format!("{} takes no interface: {}; write its name to count one", shown(pattern), reasons.join(", "))
            }
        };
        Some(SubjectProblem::now(pattern, text))
    }

    /// What of a device keeps a pattern from taking it, to follow "is".
    fn reason(&self, name: &str) -> String {
        if let Some(kind) = self.devices.get(name).and_then(Device::passed_over) {
            return kind.to_owned();
        }
        // Devices in a circle drop each other, so that none of them is chosen.
        let sets = [&self.chosen, &self.candidates];
        let other = sets.into_iter().find_map(|taken| self.counted_elsewhere(name, taken));
        format!("counted on {}", other.map_or_else(|| "another".to_owned(), shown))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Interface;
    use super::super::machine::Machine;

    fn told(machine: &Machine, wanted: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
        let settings = Interface { interfaces: wanted.iter().map(|name| (*name).to_owned()).collect() };
        let Ok(out) = settings.read(machine, None) else { panic!("{wanted:?}") };
        let problems = out.problems.into_iter().map(|problem| (problem.subject, problem.text));
        (out.readings.into_iter().map(|reading| reading.subject).collect(), problems.collect())
    }

    fn taken(machine: &Machine, wanted: &[&str]) -> String {
        let (subjects, problems) = told(machine, wanted);
        assert!(problems.is_empty(), "{wanted:?}: {problems:?}");
        subjects.join(" ")
    }

    fn problem(machine: &Machine, wanted: &[&str]) -> String {
        let (_, problems) = told(machine, wanted);
        let [(subject, text)] = &problems[..] else { panic!("{wanted:?}: {problems:?}") };
        assert_eq!(subject, wanted.last().copied().unwrap_or_default());
        text.clone()
    }

    fn pve() -> Machine {
        Machine::of(&[
            "lo loopback",
            "eno1 nic",
            "vmbr0 bridge eno1 fwpr100p0 veth200i0",
            "fwbr100i0 bridge fwln100i0 tap100i0",
            "tap100i0 tap",
            "fwpr100p0 veth",
            "fwln100i0 veth",
            "veth200i0 veth",
            "docker0 bridge",
            "br-1234 bridge vethabc",
            "vethabc veth",
            "bonding_masters file",
        ])
    }

    #[test]
    fn a_star_on_a_hypervisor_takes_the_hardware_only() {
        assert_eq!(taken(&pve(), &["*"]), "eno1");
    }

    #[test]
    fn a_name_is_taken_whatever_it_is_and_once() {
        assert_eq!(taken(&pve(), &["vmbr0", "lo", "tap100i0", "vmbr0", "eno1"]), "vmbr0 lo tap100i0 eno1");
        assert_eq!(taken(&pve(), &["eno1", "*", "eno1"]), "eno1");
        assert_eq!(taken(&pve(), &["docker0", "*"]), "docker0 eno1");
    }

    #[test]
    fn no_pattern_adds_the_members_of_what_is_named() {
        let text = "e* takes no interface: eno1 is counted on vmbr0; write its name to count one";
        assert_eq!(problem(&pve(), &["vmbr0", "e*"]), text);
        let machine = Machine::of(&["eno1 nic", "eno2 nic", "eno3 nic", "team0 team eno1 eno2", "br0 bridge team0"]);
        assert_eq!(taken(&machine, &["br0", "*"]), "br0 eno3");
        let machine = Machine::of(&["eno1 nic", "eno1.7 vlan eno1"]);
        assert_eq!(taken(&machine, &["eno1.7", "*"]), "eno1.7 eno1");
    }

    #[test]
    fn of_a_stack_the_lowest_is_kept() {
        let machine =
            Machine::of(&["eno1 nic", "eno2 nic", "bond0 bond eno1 eno2", "bond0.5 vlan bond0", "br0 bridge bond0.5"]);
        assert_eq!(taken(&machine, &["*"]), "eno1 eno2");
        assert_eq!(taken(&machine, &["bond*"]), "bond0");
        assert_eq!(taken(&machine, &["bond0.*"]), "bond0.5");
        assert_eq!(taken(&machine, &["bond0", "bond*"]), "bond0");
        assert_eq!(
            problem(&machine, &["eno2", "bond*"]),
            "bond* takes no interface: bond0 is counted on eno2, bond0.5 is counted on eno2; write its name to count one"
        );
    }

    #[test]
    fn a_stack_is_known_by_its_members_alone() {
        let machine = Machine::of(&["eno1 nic", "eno2 nic", "team0 team eno1 eno2", "eth9 macvlan-by-iflink eno1"]);
        assert_eq!(taken(&machine, &["*"]), "eno1 eno2");
    }

    #[test]
    fn a_function_below_hardware_is_counted_by_it() {
        let machine = Machine::of(&["eth0 nic", "enP1 nic", "eth0 team enP1"]);
        assert_eq!(taken(&machine, &["e*"]), "eth0");
        assert_eq!(taken(&machine, &["enP*"]), "enP1");
    }

    #[test]
    fn a_tunnel_is_counted_where_its_carrier_is_not() {
        let machine = Machine::of(&["eth0 nic", "eth1 nic", "wg0 wireguard"]).route("default eth0 0");
        assert_eq!(taken(&machine, &["*"]), "eth0 eth1");
        assert_eq!(taken(&machine, &["wg*", "eth1"]), "eth1 wg0");
    }

    #[test]
    fn a_containers_own_pair_is_taken() {
        let machine = Machine::of(&["lo loopback", "eth0 veth"]);
        assert_eq!(taken(&machine, &["*"]), "eth0");
        let machine = Machine::of(&["eth0 nic", "lxc1234 veth", "lxcwan nic"]);
        assert_eq!(taken(&machine, &["*"]), "eth0 lxcwan");
    }

    #[test]
    fn what_takes_nothing_is_told_with_what_there_is() {
        let machine = Machine::of(&["lo loopback", "ens3 nic", "ens18 nic"]);
        assert_eq!(problem(&machine, &["eth0"]), "interface eth0 not found: present: ens3, ens18");
        assert_eq!(problem(&machine, &["ens81"]), "interface ens81 not found: present: ens18, ens3");
        assert_eq!(problem(&machine, &["ens3", "wl*"]), "no interface matches wl*: present: ens3, ens18");
        assert_eq!(
            problem(&machine, &["l*"]),
            "l* takes no interface: lo is the loopback; write its name to count one"
        );
        let machine = Machine::of(&["lo loopback"]);
        assert_eq!(problem(&machine, &["eth0"]), "interface eth0 not found: present: none but the loopback");
        let many = ["a1 nic", "a2 nic", "a3 nic", "a4 nic", "b1 nic", "b2 nic"];
        let text = "interface b3 not found: present: a3, b1, b2, a1, a2 and 1 more";
        assert_eq!(problem(&Machine::of(&many), &["b3"]), text);
    }

    #[test]
    fn a_device_called_like_a_pattern_is_meant_itself() {
        assert_eq!(taken(&Machine::of(&["e* nic", "eth0 nic"]), &["e*"]), "e*");
    }

    #[test]
    fn relations_in_a_circle_end() {
        let machine = Machine::of(&["a vlan b", "b vlan a", "c vlan c", "eth0 nic"]);
        assert_eq!(told(&machine, &["*"]).0, ["c", "eth0"]);
    }
}

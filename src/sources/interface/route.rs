//! Which device the default route leads to, down to the hardware.
//!
//! The routes are those of `/proc/net/route` and `/proc/net/ipv6_route` (`fib_route_seq_show` in the kernel's
//! `net/ipv4/fib_trie.c`, `ipv6_route_native_seq_show` in `net/ipv6/ip6_fib.c`; flags of `uapi/linux/route.h` and
//! `uapi/linux/ipv6_route.h`). The IPv4 table is the main one only, the IPv6 one shows all tables.
//!
//! The lowest metric wins, and IPv4 before IPv6. From its device on, each step goes one device down:
//!
//! | device | the next one |
//! |---|---|
//! | hardware (`device` in its folder) | none: this is it |
//! | bridge | its port that is no guest's end and no tunnel; of several one that is up, then the lowest index |
//! | bond, team | its only member; with several members none, since its counters are their sum |
//! | VLAN, macvlan, ipvlan | the device below |
//! | tunnel, PPP | the device below if sysfs knows it; else that of the next default route over no tunnel, of a host route, of any gateway (not for PPP), or the only device left that could be a wire |
//! | port of an Open vSwitch bridge | the hardware in the switch, chosen as for a bridge |
//!
//! Why the gateway is no hint for PPP: a home router's line has no route on the wire it runs on, and the gateways it
//! does have are those of its own network.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;

use super::device::{Device, Devices, MAX_STEPS};
use super::present;

/// `RTF_UP`: the route is usable.
const UP: u32 = 0x1;
/// `RTF_GATEWAY`: it leads to another machine that forwards.
const GATEWAY: u32 = 0x2;
/// `RTF_REJECT`: it says unreachable.
const REJECT: u32 = 0x200;
/// `RTF_ANYCAST` and `RTF_LOCAL` of IPv6: the machine's own addresses.
const OWN: u32 = 0x8010_0000;

/// How much a route covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Everything,
    OneHost,
    Some,
}

/// A usable route.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    device: String,
    reach: Reach,
    v6: bool,
    metric: u32,
    gateway: bool,
}

/// The ways out of the machine: its devices and the routes over them.
pub(super) struct Ways<'a> {
    devices: &'a Devices<'a>,
    /// The preferred ones first.
    routes: Vec<Route>,
}

/// The default route's interface; the remembered one, if it is still there, when there is no such route, or when it
/// leads into a tunnel with nothing to say what carries it.
pub(super) fn choose(devices: &Devices, remembered: Option<&str>) -> Result<String, String> {
    let ways = Ways::read(devices);
    if let Some(route) = ways.routes.iter().find(|route| route.reach == Reach::Everything) {
        let found = ways.physical(&route.device);
        let is_tunnel = devices.get(&found).is_some_and(Device::is_tunnel);
        return Ok(remembered.filter(|name| is_tunnel && ways.carries(name)).map_or(found, str::to_owned));
    }
    let seen = match remembered {
        Some(name) if devices.has(name) => return Ok(name.to_owned()),
        Some(_) => "and the interface of the one seen before is gone",
        None => "and none was seen before",
    };
    Err(format!("no default route, {seen}: name the interface in the configuration ({})", present(devices, "")))
}

impl<'a> Ways<'a> {
    /// Reads the routes. A table that cannot be read has none.
    pub(super) fn read(devices: &'a Devices<'a>) -> Self {
        let folder = folder(devices);
        let text = |file: &str| devices.host.read(Path::new(&format!("{folder}/{file}"))).unwrap_or_default();
        let mut routes: Vec<Route> = text("route").lines().filter_map(v4).collect();
        routes.extend(text("ipv6_route").lines().filter_map(v6));
        routes.retain(|route| devices.get(&route.device).is_some_and(|device| !device.is_loopback()));
        routes.sort_by_key(|route| (route.v6, route.metric));
        Self { devices, routes }
    }

    /// The device at the end of the walk down. A circle ends it where it closes.
    fn physical(&self, from: &str) -> String {
        let mut path = vec![from];
        for _ in 0..MAX_STEPS {
            let next = path.last().and_then(|last| self.next(last));
            let Some(next) = next.filter(|next| !path.contains(next)) else { break };
            path.push(next);
        }
        path.last().copied().unwrap_or(from).to_owned()
    }

    /// All devices below, other than through hardware: where its bytes are counted as well.
    pub(super) fn below(&self, name: &str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            if self.devices.get(name).is_none_or(Device::is_physical) {
                continue;
            }
            let mut lower = self.devices.lower(name);
            if lower.is_empty() {
                lower.extend(self.next(name));
            }
            for lower in lower {
                if found.insert(lower) {
                    open.push(lower);
                }
            }
        }
        found
    }

    /// One step down.
    fn next(&self, name: &str) -> Option<&'a str> {
        let device = self.devices.get(name).filter(|device| !device.is_physical())?;
        let lower = self.devices.lower(name);
        if !lower.is_empty() {
            return self.through(device, &lower);
        }
        if device.is_tunnel() {
            return self.linked(device).or_else(|| self.carrier(device));
        }
        if device.is_stacked() {
            return self.linked(device);
        }
        // The ports of an Open vSwitch bridge show no relation; the hardware's master is the switch as a whole.
        let may_be_port = !device.is_bridge() && !device.is_pair() && device.passed_over().is_none();
        if may_be_port { self.port(&self.devices.lower("ovs-system")) } else { None }
    }

    /// From a device with members to the one that matters, if one alone does.
    fn through(&self, device: &Device, lower: &[&'a str]) -> Option<&'a str> {
        if device.is_bridge() || lower.iter().any(|name| !self.carries(name)) {
            return self.port(lower);
        }
        match lower {
            [one] => Some(one),
            _ => None,
        }
    }

    /// A bridge's way to the outside.
    fn port(&self, members: &[&'a str]) -> Option<&'a str> {
        let wired = |name: &str| self.is_physical(name) || !self.devices.lower(name).is_empty();
        let index = |name: &str| self.devices.get(name).and_then(|device| device.index).unwrap_or(u64::MAX);
        let ports = members.iter().copied().filter(|name| self.carries(name));
        ports.min_by_key(|name| (Reverse(wired(name)), Reverse(self.devices.is_up(name)), index(name)))
    }

    /// The device that `iflink` names. In a container it may be the number of one outside, so that it is believed for
    /// those devices only that have something below them.
    fn linked(&self, device: &Device) -> Option<&'a str> {
        self.devices.linked(device).filter(|name| self.carries(name))
    }

    /// The device a tunnel's packets leave by.
    fn carrier(&self, tunnel: &Device) -> Option<&'a str> {
        let over = |wanted: fn(&Route) -> bool| {
            let mut routes = self.routes.iter().filter(|route| wanted(route));
            let device = &routes.find(|route| self.carries(&route.device))?.device;
            self.devices.names().find(|name| name == device)
        };
        over(|route| route.reach == Reach::Everything)
            .or_else(|| over(|route| route.reach == Reach::OneHost && (route.gateway || route.v6)))
            .or_else(|| if tunnel.is_ppp() { None } else { over(|route| route.gateway) })
            .or_else(|| self.only_wire())
    }

    /// The only device with hardware; where none has, as in a container, the only one that could be a wire.
    fn only_wire(&self) -> Option<&'a str> {
        let hardware: Vec<_> = self.devices.names().filter(|name| self.is_physical(name)).collect();
        let wires =
            if hardware.is_empty() { self.devices.names().filter(|name| self.plain(name)).collect() } else { hardware };
        match wires[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    fn is_physical(&self, name: &str) -> bool {
        self.devices.get(name).is_some_and(Device::is_physical)
    }

    fn plain(&self, name: &str) -> bool {
        let device = self.devices.get(name).filter(|device| !device.is_tunnel() && !device.is_stacked());
        device.is_some_and(|device| device.passed_over().is_none()) && self.devices.lower(name).is_empty()
    }

    /// Whether packets can leave the machine by this device itself.
    fn carries(&self, name: &str) -> bool {
        self.devices.get(name).is_some_and(|device| {
            !device.is_loopback() && !device.is_tunnel() && !device.is_end() && !device.is_hollow()
        })
    }
}

/// The folder with the routes of the namespace whose devices sysfs shows: `/proc/net`, unless it shows other devices
/// and `/proc/1/net` just these.
///
/// Why: a container that mounts its host's `/proc` below `--root` finds its own network in `/proc/net`, which is a link
/// to `self/net`, while the host's is that of process 1. Within one namespace `/proc/net/dev` has the very names of
/// `/sys/class/net`, and then `/proc/net` stands, whatever namespace process 1 is in.
fn folder(devices: &Devices) -> &'static str {
    let [own, first] = ["/proc/net", "/proc/1/net"];
    if !fits(devices, own) && fits(devices, first) { first } else { own }
}

fn fits(devices: &Devices, folder: &str) -> bool {
    let text = |file: &str| devices.host.read(Path::new(&format!("{folder}/{file}")));
    if let Ok(dev) = text("dev") {
        let listed: BTreeSet<&str> = dev.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        return listed.into_iter().eq(devices.names());
    }
    let routes = |file, parse: fn(&str) -> Option<Route>| -> Option<Vec<Route>> {
        Some(text(file).ok()?.lines().filter_map(parse).collect())
    };
    let tables = [routes("route", v4), routes("ipv6_route", v6)];
    tables.iter().any(Option::is_some) && tables.iter().flatten().flatten().all(|route| devices.has(&route.device))
}

/// A line of `/proc/net/route`; none when it is the header, unusable or not understood. Addresses are in hexadecimal as
/// they lie in memory; only all zeros and all ones matter here.
fn v4(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [device, to, _gateway, flags, _, _, metric, mask, ..] = fields[..] else { return None };
    let reach = match (hex(to)?, hex(mask)?) {
        (0, 0) => Reach::Everything,
        (_, u32::MAX) => Reach::OneHost,
        _ => Reach::Some,
    };
    // Printed as a signed number, though it is none.
    let metric = metric.parse::<i64>().ok()? as u32;
    usable(device, reach, hex(flags)?, metric)
}

/// A line of `/proc/net/ipv6_route`, under the same conditions.
fn v6(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [to, length, _from, _from_length, _gateway, metric, _, _, flags, device] = fields[..] else { return None };
    let reach = match hex(length)? {
        0 if to.bytes().all(|digit| digit == b'0') => Reach::Everything,
        128 => Reach::OneHost,
        _ => Reach::Some,
    };
    let flags = hex(flags).filter(|flags| flags & OWN == 0)?;
    Some(Route { v6: true, ..usable(device, reach, flags, hex(metric)?)? })
}

fn usable(device: &str, reach: Reach, flags: u32, metric: u32) -> Option<Route> {
    let gateway = flags & GATEWAY != 0;
    (flags & (UP | REJECT) == UP).then(|| Route { device: device.to_owned(), reach, v6: false, metric, gateway })
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Interface;
    use super::super::machine::Machine;

    /// The choice with nothing remembered, or the error.
    fn choice(devices: &[&str], routes: &[&str]) -> String {
        after(devices, routes, None)
    }

    fn after(devices: &[&str], routes: &[&str], remembered: Option<&str>) -> String {
        chosen(&routes.iter().fold(Machine::of(devices), |machine, route| machine.route(route)), remembered)
    }

    fn chosen(machine: &Machine, remembered: Option<&str>) -> String {
        match Interface::default().read(machine, remembered) {
            Err(error) => error,
            Ok(out) => {
                let subjects: Vec<_> = out.readings.into_iter().map(|reading| reading.subject).collect();
                assert_eq!(subjects, [out.choice.clone().unwrap_or_default()], "the choice is what is read");
                subjects.concat()
            }
        }
    }

    #[test]
    fn the_preferred_default_route_wins() {
        let two = ["lo loopback", "eth0 nic", "eth1 nic"];
        for (routes, expected) in [
            (&["net eth1", "default eth0"][..], "eth0"),
            (&["default6 eth1 1024", "own6 eth0", "reject6 lo", "net6 eth0"], "eth1"),
            (&["default eth0 200", "default eth1 100"], "eth1"),
            (&["default6 eth1 1", "default eth0 4096"], "eth0"),
            (&["default6 eth1 1025", "default6 eth0 1024"], "eth0"),
            (&["default eth0 -1", "default eth1 5"], "eth1"),
            (&["down eth0", "reject eth0", "default eth1"], "eth1"),
            (&["default gone0", "default lo", "default eth1 9"], "eth1"),
            (&["reject6 eth0", "default6 eth1"], "eth1"),
        ] {
            assert_eq!(choice(&two, routes), expected, "{routes:?}");
        }
    }

    #[test]
    fn the_walk_ends_at_the_hardware() {
        for (devices, routes, expected) in [
            (
                &["vmbr0 bridge tap100i0 veth200i0 eno1", "tap100i0 tap", "veth200i0 veth", "eno1 nic"][..],
                "default vmbr0",
                "eno1",
            ),
            (&["eno1 nic", "veth1 veth", "br0 team eno1 veth1"], "default br0", "eno1"),
            (&["eno1 nic", "br0 bridge eno1 pair", "pair veth"], "default br0", "eno1"),
            (&["eno1 nic", "eno2 nic", "bond0 bond eno1 eno2", "bond0.5 vlan bond0"], "default bond0.5", "bond0"),
            (&["eno1 nic", "bond0 bond eno1", "vmbr0 bridge bond0"], "default vmbr0", "eno1"),
            (&["eno1 nic", "vmbr0 bridge eno1", "vmbr0.7 vlan vmbr0"], "default6 vmbr0.7", "eno1"),
            (&["eno1 nic", "eno1.7 vlan eno1", "vmbr7 bridge eno1.7 tap1", "tap1 tap"], "default vmbr7", "eno1"),
            (&["eno1 nic", "mac0 macvlan eno1"], "default mac0", "eno1"),
            (&["eno1 nic", "old0 macvlan-by-iflink eno1"], "default old0", "eno1"),
            (&["eno1 nic", "eno1.7 vlan-by-iflink eno1"], "default eno1.7", "eno1"),
            (&["eno1 nic", "team0 team eno1"], "default team0", "eno1"),
            (&["eno1 nic", "eno2 nic", "team0 team eno1 eno2"], "default team0", "team0"),
            (&["eno1 nic", "ovs-system team eno1 veth0", "veth0 veth", "vmbr0 virtual"], "default vmbr0", "eno1"),
            (&["vmbr0 bridge veth1", "veth1 veth", "eno1 nic"], "default vmbr0", "vmbr0"),
            (&["wan nic", "eth0 nic", "wan vlan eth0"], "default wan", "wan"),
            (&["eth0 veth"], "default eth0", "eth0"),
            (&["eth0 veth", "other nic", "x nic", "y nic"], "default eth0", "eth0"),
        ] {
            assert_eq!(choice(devices, &[routes]), expected, "{devices:?}");
        }
    }

    #[test]
    fn of_a_bridges_ports_the_first_that_is_up_counts() {
        let machine = Machine::of(&["b nic", "a nic", "br0 bridge a b"]).route("default br0");
        assert_eq!(chosen(&machine, None), "b");
        assert_eq!(chosen(&machine.file("/sys/class/net/b/operstate", "down"), None), "a");
    }

    #[test]
    fn a_tunnel_leads_to_its_carrier() {
        let two = ["lo loopback", "eth0 nic", "eth1 nic", "wg0 wireguard", "tun0 tun", "ppp0 ppp", "gre1 gre eth1"];
        for (routes, expected) in [
            (&["default eth0", "default6 wg0"][..], "eth0"),
            (&["default wg0", "default tun0 50", "default eth1 100"], "eth1"),
            (&["default wg0", "default6 eth1 1024"], "eth1"),
            (&["default wg0", "via eth1", "host eth0"], "eth0"),
            (&["default tun0", "host tun0", "host6 eth1", "own6 eth0"], "eth1"),
            (&["default tun0", "net eth0", "via eth1"], "eth1"),
            (&["default gre1", "via eth0"], "eth1"),
            (&["default ppp0", "via eth1"], "ppp0"),
            (&["default ppp0", "host eth1"], "eth1"),
            (&["default tun0", "net eth0"], "tun0"),
        ] {
            assert_eq!(choice(&two, routes), expected, "{routes:?}");
        }
    }

    #[test]
    fn a_tunnel_without_a_hint_takes_the_only_wire() {
        for (devices, expected) in [
            (&["eth0 nic", "docker0 bridge", "ppp0 ppp"][..], "eth0"),
            (&["lo loopback", "eth0 veth", "veth1 veth", "dummy0 virtual", "ppp0 ppp"], "eth0"),
            (&["eth0 nic", "vmbr0 bridge eth0", "ppp0 ppp"], "eth0"),
            (&["lo loopback", "ppp0 void"], "ppp0"),
        ] {
            assert_eq!(choice(devices, &["default ppp0"]), expected, "{devices:?}");
        }
        let devices = ["eth0 nic", "vmbr0 bridge eth0", "wg0 wireguard"];
        assert_eq!(choice(&devices, &["default wg0", "host vmbr0"]), "eth0");
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(choice(&["a vlan b", "b vlan a"], &["default a"]), "b");
        let chain: Vec<String> = (0..20).map(|at| format!("v{at} vlan v{}", at + 1)).collect();
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        assert_eq!(choice(&chain, &["default v0"]), "v8");
    }

    #[test]
    fn without_a_default_route_the_remembered_interface_stays() {
        let devices = ["lo loopback", "eth0 nic", "eth1 nic"];
        assert_eq!(after(&devices, &["net eth0"], Some("eth1")), "eth1");
        assert_eq!(after(&devices, &["default eth0"], Some("eth1")), "eth0");
        let tunnelled = ["eth0 nic", "eth1 nic", "tun0 tun"];
        assert_eq!(after(&tunnelled, &["default tun0"], Some("eth1")), "eth1");
        assert_eq!(after(&tunnelled, &["default tun0"], Some("gone0")), "tun0");
        assert_eq!(after(&tunnelled, &["default tun0", "host eth0"], Some("eth1")), "eth0");
        let error = after(&devices, &[], None);
        assert!(error.starts_with("no default route, and none was seen before: name the interface"), "{error}");
        assert!(error.ends_with("(present: eth0, eth1)"), "{error}");
        let error = after(&devices, &[], Some("wlan0"));
        assert!(error.contains("seen before is gone"), "{error}");
    }

    #[test]
    fn missing_and_garbled_tables_have_no_routes() {
        let machine = Machine::of(&["eth0 nic"]).without("/proc/net");
        assert_eq!(chosen(&machine, Some("eth0")), "eth0");
        let garbage = "eth0\neth0 x x 1 0 0 0 x\n\u{0}\n\neth0\t00000000\t0\t0003\t0\t0\tx\t00000000\n";
        let machine = machine.file("/proc/net/route", garbage).file("/proc/net/ipv6_route", garbage);
        assert!(chosen(&machine, None).starts_with("no default route"));
    }

    #[test]
    fn a_containers_host_is_found_below_process_1() {
        let host = Machine::of(&["lo loopback", "eth0 nic", "eth1 nic"]).route_in("/proc/1/net", "default eth1");
        let own = host.clone().route("default eth0");
        assert_eq!(chosen(&own, None), "eth0", "names alone do not tell");
        let dev = |names: &[&str]| names.iter().map(|name| format!("{name:>6}: 1 2\n")).collect::<String>();
        let both = own
            .file("/proc/net/dev", &format!("Inter-|\n face |\n{}", dev(&["lo", "eth0"])))
            .file("/proc/1/net/dev", &dev(&["lo", "eth1", "eth0"]));
        assert_eq!(chosen(&both, None), "eth1");
        assert_eq!(chosen(&both.file("/proc/net/dev", &dev(&["lo", "eth0", "eth1"])), None), "eth0");
        assert_eq!(chosen(&host.clone().route("default ens3"), None), "eth1");
        assert_eq!(chosen(&host.without("/proc/net"), None), "eth1");
    }
}

//! The network devices as sysfs shows them: of what kind each is, and what lies below it.
//!
//! Facts are those of `Documentation/ABI/testing/sysfs-class-net` and its neighbours in the kernel's tree, and of
//! `include/uapi/linux/if_arp.h` for the types. Names are those of the listing only: a name found in a file or a link is
//! believed when a device of that name is there, so that no path is ever made from foreign text.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::Path;

use crate::host::Host;

/// Where the kernel lists the devices of the network namespace that mounted sysfs.
const NET: &str = "/sys/class/net";

/// More devices than anyone stacks; a walk along them ends there.
pub(super) const MAX_STEPS: usize = 8;

/// `ARPHRD_LOOPBACK`.
const LOOPBACK: u64 = 772;
/// `ARPHRD_PPP`.
const PPP: u64 = 512;
/// `PPP`, `TUNNEL` (ipip), `TUNNEL6`, `SIT`, `IPGRE`, `IP6GRE`, `NONE` (tun, wireguard) and `VOID`.
const TUNNEL_TYPES: [u64; 8] = [PPP, 768, 769, 776, 778, 823, 65534, 65535];
/// `DEVTYPE` in `uevent` of devices that wrap packets into other packets.
const TUNNEL_KINDS: [&str; 6] = ["wireguard", "amneziawg", "ppp", "vxlan", "geneve", "gtp"];
/// `DEVTYPE` of devices that lend another one's wire.
const STACKED_KINDS: [&str; 5] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];

/// Names of the host's ends of guests and containers.
const ENDS: [&str; 9] = ["veth", "tap", "macvtap", "vnet", "fwpr", "fwln", "cali", "cilium", "flannel"];
/// Names of bridges that container and guest managers make, for when nothing else shows what they are.
const GUEST_BRIDGES: [&str; 9] = ["docker", "br-", "virbr", "fwbr", "cni", "podman", "lxcbr", "lxdbr", "incusbr"];
/// Names of devices without a wire: they hold addresses, or show packets that another device has counted.
const HOLLOW: [&str; 7] = ["dummy", "ifb", "kube-", "nlmon", "teql", "gretap0", "erspan0"];

/// The devices there are; each is looked at when it is first asked for.
pub(super) struct Devices<'a> {
    pub(super) host: &'a dyn Host,
    devices: BTreeMap<String, OnceCell<Device>>,
    /// Master by member.
    masters: OnceCell<BTreeMap<String, String>>,
}

/// What sysfs says of one device.
pub(super) struct Device {
    name: String,
    /// The names in its folder.
    entries: Vec<String>,
    arp_type: Option<u64>,
    kind: String,
    /// `ifindex`: unique until the next boot.
    pub(super) index: Option<u64>,
    /// `iflink` where it names another device: the one below, or the other end of a veth pair.
    link: Option<u64>,
    /// What lies directly below, looked up when it is first asked for: a pattern asks of each device for each other.
    lower: OnceCell<BTreeSet<String>>,
}

impl<'a> Devices<'a> {
    /// Lists the devices.
    pub(super) fn list(host: &'a dyn Host) -> Result<Self, String> {
        let names = host.list(Path::new(NET)).map_err(|error| format!("{NET}: {error}"))?;
        // A plain file of the bonding driver amid the devices' folders.
        let names = names.into_iter().filter(|name| name != "bonding_masters");
        let devices = names.map(|name| (name, OnceCell::new())).collect();
        Ok(Self { host, devices, masters: OnceCell::new() })
    }

    /// The names of all devices, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.devices.keys().map(String::as_str)
    }

    /// Whether there is such a device.
    pub(super) fn has(&self, name: &str) -> bool {
        self.devices.contains_key(name)
    }

    /// The device of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Device> {
        self.devices.get(name).map(|device| device.get_or_init(|| self.look(name)))
    }

    /// A file in a device's folder, without the white space around its text.
    pub(super) fn attribute(&self, name: &str, file: &str) -> std::io::Result<String> {
        let text = self.host.read(Path::new(&format!("{NET}/{name}/{file}")))?;
        Ok(text.trim().to_owned())
    }

    /// The devices directly below: a bridge's ports, a bond's slaves, a VLAN's carrier. `lower_*` shows them all on
    /// kernels since 3.14, and the older ways are asked as well.
    pub(super) fn lower(&self, name: &str) -> Vec<&str> {
        let Some(device) = self.get(name) else { return Vec::new() };
        let found = device.lower.get_or_init(|| self.look_below(device));
        found.iter().filter_map(|lower| Some(self.devices.get_key_value(lower)?.0.as_str())).collect()
    }

    fn look_below(&self, device: &Device) -> BTreeSet<String> {
        let name = &device.name;
        let mut found: BTreeSet<String> =
            device.entries.iter().filter_map(|entry| entry.strip_prefix("lower_")).map(str::to_owned).collect();
        found.extend(self.host.list(Path::new(&format!("{NET}/{name}/brif"))).unwrap_or_default());
        let slaves = self.attribute(name, "bonding/slaves").unwrap_or_default();
        found.extend(slaves.split_whitespace().map(str::to_owned));
        let members = self.masters().iter().filter(|(_, master)| *master == name);
        found.extend(members.map(|(member, _)| member.clone()));
        found.remove(name);
        found
    }

    /// The device whose index the `iflink` of this one names.
    pub(super) fn linked(&self, device: &Device) -> Option<&str> {
        let link = device.link?;
        self.names().find(|name| self.get(name).is_some_and(|other| other.index == Some(link)))
    }

    /// Whether the carrier says it has a link.
    pub(super) fn is_up(&self, name: &str) -> bool {
        self.attribute(name, "operstate").is_ok_and(|state| state == "up")
    }

    /// The bridge or bond this device is a member of, that one's, and so on.
    pub(super) fn above(&self, name: &str) -> impl Iterator<Item = &str> {
        let master = |name: &str| self.masters().get(name).map(String::as_str);
        iter::successors(master(name), move |upper| master(upper)).take(MAX_STEPS)
    }

    /// The masters, from the members' side.
    fn masters(&self) -> &BTreeMap<String, String> {
        self.masters.get_or_init(|| {
            let master = |name: &str| self.host.link(Path::new(&format!("{NET}/{name}/master"))).ok();
            let named = |name: &str| Some(Path::new(&master(name)?).file_name()?.to_str()?.to_owned());
            self.names().filter_map(|name| Some((name.to_owned(), named(name)?))).collect()
        })
    }

    fn look(&self, name: &str) -> Device {
        let number = |file| self.attribute(name, file).ok()?.parse().ok();
        let uevent = self.attribute(name, "uevent").unwrap_or_default();
        let kind = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).unwrap_or_default().trim();
        let index: Option<u64> = number("ifindex");
        Device {
            name: name.to_owned(),
            entries: self.host.list(Path::new(&format!("{NET}/{name}"))).unwrap_or_default(),
            arp_type: number("type"),
            kind: kind.to_owned(),
            index,
            link: number("iflink").filter(|link| *link != 0 && Some(*link) != index),
            lower: OnceCell::new(),
        }
    }
}

impl Device {
    fn entry(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry == name)
    }

    fn named(&self, prefixes: &[&str]) -> bool {
        prefixes.iter().any(|prefix| self.name.starts_with(prefix))
    }

    /// It stands for hardware, or what a virtual machine takes for it. Nothing below such a device counts bytes of its
    /// own: a switch port's conduit or a virtual function merely shows the same ones again.
    pub(super) fn is_physical(&self) -> bool {
        self.entry("device")
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.name == "lo" || self.arp_type == Some(LOOPBACK)
    }

    pub(super) fn is_bridge(&self) -> bool {
        self.entry("bridge") || self.entry("brif")
    }

    /// Its packets travel inside those of another device.
    pub(super) fn is_tunnel(&self) -> bool {
        let typed = self.arp_type.is_some_and(|own| TUNNEL_TYPES.contains(&own));
        // A modem's device has those types too, and hardware behind it.
        !self.is_physical() && (typed || self.entry("tun_flags") || TUNNEL_KINDS.contains(&self.kind.as_str()))
    }

    /// A line of the point-to-point protocol, which may run on a wire without any route over it.
    pub(super) fn is_ppp(&self) -> bool {
        self.arp_type == Some(PPP) || self.kind == "ppp"
    }

    /// A VLAN, or another device on the wire of a single one. VLANs are known by the usual name, `eth0.100`, as well.
    pub(super) fn is_stacked(&self) -> bool {
        let tagged = || self.name.rsplit_once('.').is_some_and(|(_, tag)| tag.parse::<u16>().is_ok());
        STACKED_KINDS.contains(&self.kind.as_str()) || (self.kind.is_empty() && tagged())
    }

    /// One of a veth pair, told by its link to a device it does not lie above.
    pub(super) fn is_pair(&self) -> bool {
        let lies_above = self.entries.iter().any(|entry| entry.starts_with("lower_"));
        self.link.is_some() && self.kind.is_empty() && !self.is_physical() && !self.is_tunnel() && !lies_above
    }

    /// The host's end of a guest or container. A pair alone is none: a container's own `eth0` is one.
    pub(super) fn is_end(&self) -> bool {
        !self.is_physical() && (self.named(&ENDS) || (self.named(&["lxc"]) && self.is_pair()))
    }

    /// It has no wire and lies on none.
    pub(super) fn is_hollow(&self) -> bool {
        !self.is_physical() && self.named(&HOLLOW)
    }

    /// Why a pattern passes this device over, whatever else is chosen.
    pub(super) fn passed_over(&self) -> Option<&'static str> {
        let guest_bridge = !self.is_physical() && self.named(&GUEST_BRIDGES);
        [
            (self.is_loopback(), "the loopback"),
            (self.is_bridge() || guest_bridge, "a bridge"),
            (self.is_end(), "the end of a guest or container"),
            (self.is_hollow(), "without a wire"),
        ]
        .into_iter()
        .find_map(|(is, reason)| is.then_some(reason))
    }
}

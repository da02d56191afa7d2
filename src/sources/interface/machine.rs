//! A machine in a few lines, for the tests: devices and routes as the kernel shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::host::{Command, Host, HttpError, Job, Ran, Request, Response};
use crate::quota::instant::Instant;

/// Files and links by path; folders are those of their paths.
#[derive(Clone, Default)]
pub(super) struct Machine {
    files: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
}

const NET: &str = "/sys/class/net";

impl Machine {
    /// Devices as `NAME KIND [LOWER…]`, their indexes counting from 2 in that order, 1 being the loopback's.
    pub(super) fn of(devices: &[&str]) -> Self {
        let machine = Self::default()
            .file("/proc/sys/kernel/random/boot_id", "a-boot-id\n")
            .file("/proc/uptime", "350735.47 234388.90\n")
            .file(
                "/proc/net/route",
                "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n",
            );
        devices.iter().zip(2..).fold(machine, |machine, (line, index)| machine.device(line, index))
    }

    fn device(self, line: &str, index: u64) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, kind, lower @ ..] = &words[..] else { panic!("NAME KIND [LOWER…]: {line}") };
        let folder = format!("{NET}/{name}");
        if *kind == "file" {
            return self.file(&folder, "");
        }
        let base = if self.files.contains_key(&format!("{folder}/type")) { self } else { self.base(&folder, index) };
        lower.iter().fold(base.kind(kind, &folder), |machine, lower| machine.relation(kind, name, lower))
    }

    fn base(self, folder: &str, index: u64) -> Self {
        self.file(&format!("{folder}/type"), "1\n")
            .file(&format!("{folder}/ifindex"), &format!("{index}\n"))
            .file(&format!("{folder}/iflink"), &format!("{index}\n"))
            .file(&format!("{folder}/operstate"), "up\n")
            .file(&format!("{folder}/uevent"), "INTERFACE=x\n")
            .file(&format!("{folder}/statistics/rx_bytes"), "1000\n")
            .file(&format!("{folder}/statistics/tx_bytes"), "2000\n")
    }

    fn kind(self, kind: &str, folder: &str) -> Self {
        let set = |file: &str, text: &str| self.clone().file(&format!("{folder}/{file}"), text);
        match kind {
            "nic" => set("device/vendor", "0x1af4\n"),
            "loopback" => set("type", "772\n"),
            "bridge" => set("bridge/stp_state", "0\n"),
            "bond" => set("bonding/mode", "802.3ad 4\n"),
            "veth" => set("iflink", "77\n"),
            "tun" => set("type", "65534\n").file(&format!("{folder}/tun_flags"), "0x1001\n"),
            "tap" => set("tun_flags", "0x1002\n"),
            "wireguard" => set("type", "65534\n").file(&format!("{folder}/uevent"), "DEVTYPE=wireguard\n"),
            "ppp" => set("type", "512\n").file(&format!("{folder}/uevent"), "DEVTYPE=ppp\nIFINDEX=3\n"),
            "gre" => set("type", "778\n"),
            "vlan" | "macvlan" => set("uevent", &format!("DEVTYPE={kind}\n")),
            "macvlan-by-iflink" => set("uevent", "DEVTYPE=macvlan\n"),
            "void" => set("type", "65535\n"),
            "team" | "virtual" | "vlan-by-iflink" => self,
            other => panic!("no such kind of device: {other}"),
        }
    }

    fn relation(self, kind: &str, upper: &str, lower: &str) -> Self {
        let link = |machine: Self, path: String, to: &str| machine.link(&path, to);
        let to_lower = |machine| link(machine, format!("{NET}/{upper}/lower_{lower}"), "../there");
        let to_master = |machine| link(machine, format!("{NET}/{lower}/master"), &format!("../../virtual/net/{upper}"));
        match kind {
            "team" => to_master(self),
            "bridge" => to_master(self.file(&format!("{NET}/{upper}/brif/{lower}/port_no"), "0x1\n")),
            "bond" => {
                let path = format!("{NET}/{upper}/bonding/slaves");
                let slaves = self.files.get(&path).map_or_else(String::new, |slaves| format!("{} ", slaves.trim()));
                self.file(&path, &format!("{slaves}{lower}\n"))
            }
            "vlan-by-iflink" | "macvlan-by-iflink" | "gre" => {
                let index = self.files.get(&format!("{NET}/{lower}/ifindex")).cloned().unwrap_or_default();
                self.file(&format!("{NET}/{upper}/iflink"), &index)
            }
            _ => to_lower(self),
        }
    }

    /// A route: `default eth0 100`, `host eth0`, `via eth0` (a network behind a gateway), `net eth0` (a network on the
    /// link), `down eth0` and `reject eth0` (default routes of no use), and the same with `6` after the first word.
    pub(super) fn route(self, line: &str) -> Self {
        self.route_in("/proc/net", line)
    }

    /// A route of another process.
    pub(super) fn route_in(mut self, folder: &str, line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, device, ref metric @ ..] = words[..] else { panic!("KIND DEVICE [METRIC]: {line}") };
        let metric: i64 = metric.first().map_or(0, |metric| metric.parse().expect("a metric"));
        let v6 = kind.ends_with('6');
        let (bits, flags) = match kind.trim_end_matches('6') {
            "default" => (0, 0x3),
            "host" => (128, 0x7),
            "via" => (16, 0x3),
            "net" => (16, 0x1),
            "own" => (128, 0x8020_0001_u32),
            "down" => (0, 0x2),
            "reject" => (0, 0x201),
            other => panic!("no such route: {other}"),
        };
        if v6 {
            let to = if bits == 0 { "0" } else { "f" }.repeat(32);
            let zeros = "0".repeat(32);
            let text = self.files.entry(format!("{folder}/ipv6_route")).or_default();
            let line = writeln!(text, "{to} {bits:02x} {zeros} 00 {zeros} {metric:08x} 1 0 {flags:08x} {device:>8}");
            line.expect("text grows");
        } else {
            let (to, mask) = [("00000000", "00000000"), ("0A00000A", "FFFFFFFF"), ("0000000A", "0000FFFF")]
                [usize::from(bits == 128) + 2 * usize::from(bits == 16)];
            let text = self.files.entry(format!("{folder}/route")).or_default();
            let line = writeln!(text, "{device}\t{to}\t010200C0\t{flags:04X}\t0\t0\t{metric}\t{mask}\t0\t0\t0   ");
            line.expect("text grows");
        }
        self
    }

    pub(super) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    fn link(mut self, path: &str, to: &str) -> Self {
        self.links.insert(path.to_owned(), to.to_owned());
        self
    }

    /// Takes a file or a folder away.
    pub(super) fn without(mut self, path: &str) -> Self {
        let below = |entry: &str| entry == path || entry.starts_with(&format!("{path}/"));
        self.files.retain(|entry, _| !below(entry));
        self.links.retain(|entry, _| !below(entry));
        self
    }
}

fn none<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

impl Host for Machine {
    fn now(&self) -> Instant {
        Instant::from_millis(1_000)
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        path.to_str().and_then(|path| self.files.get(path)).cloned().map_or_else(none, |text| Ok(text.into_bytes()))
    }

    fn others_can_read(&self, _: &Path) -> bool {
        unreachable!()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let folder = format!("{}/", path.display());
        let below = |entry: &String| Some(entry.strip_prefix(&folder)?.split('/').next()?.to_owned());
        let names: BTreeSet<String> = self.files.keys().chain(self.links.keys()).filter_map(below).collect();
        if names.is_empty() { none() } else { Ok(names.into_iter().collect()) }
    }

    fn link(&self, path: &Path) -> io::Result<String> {
        path.to_str().and_then(|path| self.links.get(path)).cloned().map_or_else(none, Ok)
    }

    fn elapsed(&self) -> Duration {
        unreachable!()
    }

    fn sleep(&self, _: Duration) {
        unreachable!()
    }

    fn env(&self, _: &str) -> Option<String> {
        unreachable!()
    }

    fn http(&self, _: &Request) -> Result<Response, HttpError> {
        unreachable!()
    }

    fn run(&self, _: &Command) -> Ran {
        unreachable!()
    }

    fn print(&self, _: &str) -> io::Result<()> {
        unreachable!()
    }

    fn side_by_side(&self, _: Vec<Job>, _: Duration) {
        unreachable!()
    }

    fn clock_agrees(&self) -> Option<bool> {
        unreachable!()
    }
}

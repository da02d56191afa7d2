//! The counters of this machine's network interfaces.
//!
//! Bytes are those of `statistics/rx_bytes` and `tx_bytes` in sysfs, `speed` the link's
//! (`Documentation/ABI/testing/sysfs-class-net-statistics` and `sysfs-class-net`); the boot id, the uptime and `ifindex`
//! tell when they began anew. A counter that is missing or not a number is a problem of its interface and never zero,
//! and the other interfaces go on.
//!
//! | `interfaces` | taken |
//! |---|---|
//! | empty | the interface of the default route, followed down to the hardware: see [`route`] |
//! | a name | that interface, whatever it is |
//! | a pattern | those it matches, other than the ones below: see [`choose`] |
//!
//! | a pattern passes over | because |
//! |---|---|
//! | `lo` and loopback devices | nothing leaves the machine |
//! | bridges, also by name: `docker*` `br-*` `virbr*` `fwbr*` `cni*` `podman*` `lxcbr*` `lxdbr*` `incusbr*` | their ports count the same bytes |
//! | ends of guests and containers: `veth*` `tap*` `macvtap*` `vnet*` `fwpr*` `fwln*` `cali*` `cilium*` `flannel*`, and `lxc*` that is one of a pair | as above |
//! | `dummy*` `ifb*` `kube-*` `nlmon*` `teql*` `gretap0` `erspan0` | no wire, or a copy of another's packets |
//! | VLANs, bonds, macvlans above an interface that is taken | counted below; the lowest is kept |
//! | tunnels whose carrier is taken | as above |
//! | members of a bridge or bond that is named | counted above, as it was asked for |
//! | a switch's conduit or a virtual function below hardware that is taken | counted by the port or function above |
//!
//! Names never pass over hardware (a device with `device` in its folder).

mod choose;
mod device;
#[cfg(test)]
mod machine;
mod route;

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::host::Host;
use crate::quota::meter::{Counters, Figure, Identity, Reading, Readings, SubjectProblem};
use device::Devices;

/// The kernel's id of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Seconds since the boot, and idle ones.
const UPTIME: &str = "/proc/uptime";
/// Names listed in a problem at the most.
const MAX_LISTED: usize = 5;
/// Characters of a foreign text shown in a problem at the most; an interface's name has up to 15.
const MAX_SHOWN: usize = 40;

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Names or patterns; none: the interface of the default route.
    pub interfaces: Vec<String>,
}

impl Interface {
    /// Reads the interfaces, first those named, then those matched in the order of their names. `remembered` is the last
    /// run's [`Readings::choice`]. The error is that of the whole source.
    pub fn read(&self, host: &dyn Host, remembered: Option<&str>) -> Result<Readings, String> {
        let devices = Devices::list(host)?;
        let mut out = Readings::default();
        let names = if self.interfaces.is_empty() {
            let name = route::choose(&devices, remembered)?;
            out.choice = Some(name.clone());
            vec![name]
        } else {
            choose::choose(&devices, &self.interfaces, &mut out.problems)
        };
        for name in names {
            match reading(&devices, &name) {
                Ok(reading) => out.readings.push(reading),
                Err(text) => out.problems.push(SubjectProblem::now(name, text)),
            }
        }
        identify(host, &mut out.readings)?;
        Ok(out)
    }
}

/// One interface's figures. The machine's part of the identity comes later.
fn reading(devices: &Devices, name: &str) -> Result<Reading, String> {
    let index = devices.get(name).and_then(|device| device.index);
    let at = devices.host.now();
    let counter = |file| counter(devices, name, file).map_err(|why| format!("interface {}: {why}", shown(name)));
    let counters = Counters { rx: counter("rx_bytes")?, tx: counter("tx_bytes")? };
    let identity = Identity { index, ..Identity::default() };
    let figure = Figure::Counter { counters, identity, link_speed: link_speed(devices, name) };
    Ok(Reading { subject: name.to_owned(), at, figure })
}

/// A counter's value: decimal digits and nothing else, within 64 bits.
fn counter(devices: &Devices, name: &str, file: &str) -> Result<u64, String> {
    let text = devices.attribute(name, &format!("statistics/{file}")).map_err(|error| format!("{file}: {error}"))?;
    let digits = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let value = digits.and_then(|digits| digits.parse().ok());
    value.ok_or_else(|| format!("{file} is \"{}\", not a number of bytes", shown(&text)))
}

/// The link's speed in bit/s. A link that is down says so by an error, a virtual one by -1.
fn link_speed(devices: &Devices, name: &str) -> Option<u64> {
    let megabits: u64 = devices.attribute(name, "speed").ok()?.parse().ok()?;
    megabits.checked_mul(1_000_000).filter(|speed| *speed > 0)
}

/// Adds what tells one boot from the next. Read after the counters, so that the uptime never is an older one than them.
fn identify(host: &dyn Host, readings: &mut [Reading]) -> Result<(), String> {
    let machine = machine_identity(host);
    if machine.boot.is_none() && machine.uptime.is_none() {
        return Err(format!(
            "neither {BOOT_ID} nor {UPTIME} can be read: a reboot could not be told from traffic \
             (in a systemd unit, ProcSubset=pid hides both)"
        ));
    }
    for reading in readings {
        if let Figure::Counter { identity, .. } = &mut reading.figure {
            *identity = Identity { index: identity.index, ..machine.clone() };
        }
    }
    Ok(())
}

/// This machine's boot id and uptime.
pub fn machine_identity(host: &dyn Host) -> Identity {
    let text = |path| -> io::Result<String> { host.read(Path::new(path)) };
    let boot = text(BOOT_ID).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
    let uptime = text(UPTIME).ok().and_then(|text| uptime(&text));
    Identity { boot, uptime, ..Identity::default() }
}

/// The first number of `/proc/uptime`, `350735.47 234388.90`, to the millisecond.
fn uptime(text: &str) -> Option<Duration> {
    let first = text.split_whitespace().next()?;
    let (seconds, decimals) = first.split_once('.').unwrap_or((first, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(decimals) {
        return None;
    }
    let millis: String = decimals.chars().chain("000".chars()).take(3).collect();
    let seconds = Duration::from_secs(seconds.parse().ok()?);
    seconds.checked_add(Duration::from_millis(millis.parse().ok()?))
}

/// A foreign text in one line and cut.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_debug())
}

/// The interfaces there are, the nearest to the wanted name first, in words.
fn present(devices: &Devices, wanted: &str) -> String {
    let wanted: String = wanted.chars().take(MAX_SHOWN).collect();
    let loopback = |name: &str| devices.get(name).is_none_or(|device| device.is_loopback());
    let mut names: Vec<&str> = devices.names().filter(|name| !loopback(name)).collect();
    names.sort_by_cached_key(|name| strsim::osa_distance(&wanted, name));
    let listed: Vec<String> = names.iter().take(MAX_LISTED).map(|name| shown(name)).collect();
    match names.len() {
        0 => "present: none but the loopback".to_owned(),
        count if count > MAX_LISTED => format!("present: {} and {} more", listed.join(", "), count - MAX_LISTED),
        _ => format!("present: {}", listed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::machine::Machine;
    use super::{Counters, Figure, Identity, Interface, uptime};
    use std::time::Duration;

    fn read(machine: &Machine, names: &[&str]) -> Result<super::Readings, String> {
        Interface { interfaces: names.iter().map(|name| (*name).to_owned()).collect() }.read(machine, None)
    }

    /// The subjects read, or the error, and the problems' texts.
    fn told(machine: &Machine, names: &[&str]) -> (Vec<String>, Vec<String>) {
        match read(machine, names) {
            Err(error) => (Vec::new(), vec![error]),
            Ok(out) => (
                out.readings.into_iter().map(|reading| reading.subject).collect(),
                out.problems.into_iter().map(|problem| problem.text).collect(),
            ),
        }
    }

    #[test]
    fn a_reading_has_counters_identity_and_speed() {
        let machine = Machine::of(&["eth0 nic"])
            .file("/sys/class/net/eth0/statistics/rx_bytes", " 18446744073709551615 \n")
            .file("/sys/class/net/eth0/statistics/tx_bytes", "0\n")
            .file("/sys/class/net/eth0/speed", "10000\n");
        let Ok(out) = read(&machine, &["eth0"]) else { panic!("it is to be read") };
        let [reading] = &out.readings[..] else { panic!("one reading") };
        let uptime = Some(Duration::from_millis(350_735_470));
        let identity = Identity { boot: Some("a-boot-id".into()), uptime, index: Some(2), epoch: None };
        let counters = Counters { rx: u64::MAX, tx: 0 };
        let figure = Figure::Counter { counters, identity, link_speed: Some(10_000_000_000) };
        assert_eq!(reading.figure, figure);
        assert_eq!((reading.at.millis(), out.choice), (1_000, None));
    }

    #[test]
    fn a_speed_that_is_none_is_left_out() {
        for text in ["-1", "0", "", "fast", "99999999999999999999", "18446744073709551615"] {
            let machine = Machine::of(&["eth0 nic"]).file("/sys/class/net/eth0/speed", text);
            let Ok(out) = read(&machine, &["eth0"]) else { panic!("{text}") };
            let Figure::Counter { link_speed, .. } = out.readings[0].figure else { panic!("a counter") };
            assert_eq!(link_speed, None, "{text}");
        }
    }

    #[test]
    fn a_counter_that_is_no_number_is_a_problem_and_never_zero() {
        for text in ["-1", "", "18446744073709551616", "0x10", "12 34", "+5", "1.5", "١"] {
            let machine = Machine::of(&["eth0 nic", "eth1 nic"]).file("/sys/class/net/eth0/statistics/rx_bytes", text);
            let expected = format!("interface eth0: rx_bytes is \"{text}\", not a number of bytes");
            assert_eq!(told(&machine, &["eth0", "eth1"]), (vec!["eth1".into()], vec![expected]));
        }
    }

    #[test]
    fn a_missing_counter_is_a_problem_of_its_interface() {
        let machine = Machine::of(&["eth0 nic", "eth1 nic"]).without("/sys/class/net/eth0/statistics/tx_bytes");
        let (subjects, problems) = told(&machine, &["eth?"]);
        assert_eq!(subjects, ["eth1"]);
        assert!(problems[0].starts_with("interface eth0: tx_bytes: "), "{problems:?}");
    }

    #[test]
    fn a_reboot_is_told_by_boot_id_or_uptime() {
        let (boot, uptime) = (super::BOOT_ID, super::UPTIME);
        let machine = Machine::of(&["eth0 nic"]);
        let identity = |machine: &Machine| {
            let out = read(machine, &["eth0"]).map_err(|error| assert!(error.contains("ProcSubset=pid"), "{error}"));
            out.ok().and_then(|out| out.readings[0].identity().map(|i| (i.boot.is_some(), i.uptime.is_some())))
        };
        assert_eq!(identity(&machine.clone().without(uptime)), Some((true, false)));
        assert_eq!(identity(&machine.clone().file(boot, "\n")), Some((false, true)));
        assert_eq!(identity(&machine.clone().without(boot).without(uptime)), None);
        assert_eq!(identity(&machine.without(boot).file(uptime, "soon")), None);
    }

    #[test]
    fn uptime_is_read_to_the_millisecond() {
        for (text, millis) in [
            ("350735.47 234388.90\n", Some(350_735_470)),
            ("0.00 0.00", Some(0)),
            ("12", Some(12_000)),
            ("1.2345", Some(1_234)),
            ("-1.0 2", None),
            ("1. 2", None),
            ("1.x", None),
            ("inf", None),
            ("", None),
            ("99999999999999999999.0", None),
        ] {
            assert_eq!(uptime(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn hostile_names_do_no_harm() {
        let long = "x".repeat(10_000);
        let machine = Machine::of(&["eth0 nic"]).file("/sys/class/net/a\nb/statistics/rx_bytes", "1");
        let (subjects, problems) = told(&machine, &["a\nb", &long, "../eth0", "/etc", "", "網路", "eth0"]);
        assert_eq!(subjects, ["eth0"]);
        assert_eq!(problems.len(), 6);
        assert!(problems.iter().all(|text| !text.contains('\n') && text.chars().count() < 120), "{problems:?}");
        assert!(problems[5].starts_with("interface a\\nb: tx_bytes: "), "{problems:?}");
    }

    #[test]
    fn without_sysfs_the_source_fails() {
        let (_, problems) = told(&Machine::default(), &["eth0"]);
        assert!(problems[0].starts_with("/sys/class/net: "), "{problems:?}");
    }
}

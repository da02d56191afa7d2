//! Real interfaces: veth pairs and bridges in network namespaces, real traffic, the kernel's own counters as the judge.

use std::process::Command;

use crate::machine::{Machine, Run, Status, binary, spawn};
use crate::real::Namespace;

/// Two namespaces joined by a veth pair: `host` with `eth0` and the default route, `peer` as the world.
struct Net {
    host: Namespace,
    peer: Namespace,
    machine: Machine,
}

impl Net {
    fn new() -> Self {
        let (host, peer) = (Namespace::new(), Namespace::new());
        let net = Self { host, peer, machine: Machine::bare() };
        net.plug("eth0");
        net
    }

    /// Makes the veth pair and gives both ends their addresses.
    fn plug(&self, name: &str) {
        self.host.ip(&["link", "add", name, "type", "veth", "peer", "name", "world", "netns", self.peer.name()]);
        self.peer.ip(&["address", "add", "192.0.2.1/24", "dev", "world"]);
        self.peer.ip(&["link", "set", "world", "up"]);
        self.address(name);
    }

    /// The host's address and default route, on `name`.
    fn address(&self, name: &str) {
        self.host.ip(&["address", "add", "192.0.2.2/24", "dev", name]);
        self.host.ip(&["link", "set", name, "up"]);
        self.host.ip(&["route", "replace", "default", "via", "192.0.2.1", "dev", name]);
    }

    /// Sends 50 datagrams of a kilobyte to the peer.
    fn send(&self) {
        let script =
            "d=$(printf %01000d 0); for i in $(seq 50); do echo $d >/dev/udp/192.0.2.1/9; done 2>/dev/null; true";
        self.host.sh(&["bash", "-c", script]);
    }

    /// `netquota ARGS` inside the namespace, on the real `/proc` and `/sys`.
    fn run(&self, args: &[&str]) -> Run {
        let mut command = Command::new("ip");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.machine.path("home"));
        command.args(["netns", "exec", self.host.name()]).arg(binary());
        command.arg("--state-dir").arg(self.machine.state_dir()).args(args);
        self.machine.finish(spawn(command))
    }

    /// One checking run, with what the kernel counted for `name` at that time.
    fn check(&self, name: &str) -> u64 {
        let before = self.host.counter(name, "tx");
        self.run(&["check"]).exits(0).quietly();
        assert_eq!(self.host.counter(name, "tx"), before, "nobody else may make traffic in this namespace");
        before
    }

    fn status(&self) -> Status {
        Status(self.run(&["status", "--json"]).exits(0).json())
    }
}

#[test]
#[ignore = "needs iproute2 and root: run ./test"]
fn metered_bytes_are_the_difference_of_the_kernels_counters() {
    let net = Net::new();
    let first = net.check("eth0");
    for _ in 0..3 {
        net.send();
        let now = net.check("eth0");
        assert!(now - first > 50_000, "the traffic was real: {}", now - first);
        let status = net.status();
        assert_eq!(status.row()["subject"], "eth0");
        assert_eq!(status.used(), now - first);
    }
}

#[test]
#[ignore = "needs iproute2 and root: run ./test"]
fn an_interface_that_goes_down_and_up_loses_nothing() {
    let net = Net::new();
    let first = net.check("eth0");
    net.send();
    net.host.ip(&["link", "set", "eth0", "down"]);
    net.host.ip(&["link", "set", "eth0", "up"]);
    net.host.ip(&["route", "replace", "default", "via", "192.0.2.1", "dev", "eth0"]);
    net.send();
    let now = net.check("eth0");
    assert_eq!(net.status().used(), now - first);
}

#[test]
#[ignore = "needs iproute2 and root: run ./test"]
fn an_interface_that_is_made_anew_counts_in_full() {
    let net = Net::new();
    let first = net.check("eth0");
    net.send();
    let old = net.check("eth0");
    net.host.ip(&["link", "del", "eth0"]);
    net.plug("eth0");
    for _ in 0..3 {
        net.send();
    }
    let new = net.check("eth0");
    assert!(new > old, "the new counter is higher than the old one was: only its index tells");
    assert_eq!(net.status().used(), old - first + new);
}

#[test]
#[ignore = "needs iproute2 and root: run ./test"]
fn an_interface_that_is_renamed_keeps_its_usage() {
    let net = Net::new();
    let first = net.check("eth0");
    net.send();
    net.check("eth0");
    net.host.ip(&["link", "set", "eth0", "down"]);
    net.host.ip(&["link", "set", "eth0", "name", "wan0"]);
    net.host.ip(&["link", "set", "wan0", "up"]);
    net.host.ip(&["route", "replace", "default", "via", "192.0.2.1", "dev", "wan0"]);
    net.send();
    let now = net.check("wan0");
    let status = net.status();
    assert_eq!(status.row()["subject"], "wan0");
    assert_eq!(status.used(), now - first);
}

#[test]
#[ignore = "needs iproute2 and root: run ./test"]
fn the_default_route_on_a_real_bridge_leads_to_its_port() {
    let net = Net::new();
    net.host.ip(&["link", "add", "br0", "type", "bridge", "mcast_snooping", "0"]);
    net.host.ip(&["address", "flush", "dev", "eth0"]);
    net.host.ip(&["link", "set", "eth0", "master", "br0"]);
    net.address("br0");
    let first = net.check("eth0");
    net.send();
    let now = net.check("eth0");
    let status = net.status();
    assert_eq!(status.row()["subject"], "eth0");
    assert_eq!(status.used(), now - first);
}

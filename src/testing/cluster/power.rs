//! Shutdown, stop and start: tasks, HA, and guests that do not obey.

use std::time::Duration;

use serde_json::{Value, json};

use super::calls::{Data, Pairs, Place, Refusal, parameter};
use super::guest::{Guest, Obeys};
use super::{Cluster, Instant};
use crate::quota::guest::Kind;

/// HA looks at its queue as often.
const HA_ROUND: Duration = Duration::from_secs(10);
/// How long a shutdown waits unless it is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// A task under way, or over.
#[derive(Debug, Clone)]
pub struct Task {
    kind: &'static str,
    vmid: u32,
    begins: Instant,
    ends: Instant,
    exit: String,
}

/// A guest will be turned on or off.
#[derive(Debug, Clone)]
pub struct Deed {
    /// When.
    pub at: Instant,
    vmid: u32,
    /// The start it is about: one that was started anew in between is left alone.
    since: Instant,
    status: &'static str,
}

/// What a call comes to: how the task ends, after how long, and when the guest turns into what.
struct Outcome {
    exit: String,
    lasts: Duration,
    turns: Option<(Duration, &'static str)>,
}

impl Outcome {
    fn fails(text: impl Into<String>, lasts: Duration) -> Self {
        Self { exit: text.into(), lasts, turns: None }
    }

    fn turns(after: Duration, status: &'static str) -> Self {
        Self { exit: "OK".into(), lasts: after, turns: Some((after, status)) }
    }

    fn nothing() -> Self {
        Self::fails("OK", Duration::ZERO)
    }
}

/// The answer is a UPID; what becomes of it is the task's matter.
pub fn act(cluster: &mut Cluster, place: &Place<'_>, verb: &str, pairs: &Pairs) -> Data {
    let guest = &cluster.guests[&place.vmid];
    let managed = guest.ha.as_deref().is_some_and(|state| state != "ignored");
    if guest.kind == Kind::Lxc && !managed && guest.is_on() == (verb == "start") {
        let already = if verb == "start" { "already" } else { "not" };
        return Err(Refusal::failed(format!("CT {} {already} running", place.vmid)));
    }
    let seconds = parameter(pairs, "timeout").map(|text| text.parse().expect("a number of seconds"));
    let order = Order {
        verb,
        timeout: seconds.map_or(USUAL_TIMEOUT, Duration::from_secs),
        force: parameter(pairs, "forceStop") == Some("1"),
    };
    let outcome = if managed { by_ha(guest, &order) } else { directly(guest, place.vmid, &order) };
    let since = guest.since;
    if managed && outcome.exit == "OK" {
        let state = if verb == "start" { "started" } else { "stopped" };
        cluster.guests.get_mut(&place.vmid).expect("it is there").ha = Some(state.to_owned());
    }
    let with: String = pairs.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    cluster.given.push(format!("{verb} {}/{}{with}", place.kind.name(), place.vmid));
    if let Some((after, status)) = outcome.turns {
        cluster.deeds.push(Deed { at: cluster.now.plus(after), vmid: place.vmid, since, status });
    }
    let upid = cluster.new_task(place, kind(place.kind, verb, managed), &outcome);
    cluster.do_due();
    Ok(json!(upid))
}

/// What was asked for.
struct Order<'v> {
    verb: &'v str,
    timeout: Duration,
    force: bool,
}

fn directly(guest: &Guest, vmid: u32, order: &Order<'_>) -> Outcome {
    if let Some(lock) = &guest.lock {
        return Outcome::fails(format!("{} is locked ({lock})", guest.short()), Duration::ZERO);
    }
    match order.verb {
        "start" if guest.is_on() => Outcome::fails(format!("VM {vmid} already running"), Duration::ZERO),
        "start" => Outcome::turns(Duration::ZERO, "running"),
        _ if !guest.is_on() => Outcome::nothing(),
        "stop" => Outcome::turns(Duration::ZERO, "stopped"),
        _ if guest.status == "paused" && !order.force => {
            Outcome::fails("VM is paused - cannot shutdown", Duration::ZERO)
        }
        _ => match guest.obeys {
            Obeys::After(time) if time <= order.timeout && guest.status != "paused" => Outcome::turns(time, "stopped"),
            _ if order.force => Outcome::turns(order.timeout, "stopped"),
            _ => Outcome::fails(format!("{} quit/powerdown failed - got timeout", guest.short()), order.timeout),
        },
    }
}

/// HA only queues a request: the task ends at once, and the guest runs on for a while.
fn by_ha(guest: &Guest, order: &Order<'_>) -> Outcome {
    if guest.ha.as_deref() == Some("error") {
        return Outcome::fails("service is in error state and must be disabled first", Duration::ZERO);
    }
    let (lasts, status) = match (order.verb, guest.obeys) {
        ("start", _) => (Duration::ZERO, "running"),
        ("shutdown", Obeys::After(time)) => (time.min(order.timeout), "stopped"),
        ("shutdown", Obeys::Never) => (order.timeout, "stopped"),
        _ => (Duration::ZERO, "stopped"),
    };
    let turns = (guest.is_on() == (status == "stopped")).then_some((HA_ROUND + lasts, status));
    Outcome { turns, ..Outcome::nothing() }
}

fn kind(kind: Kind, verb: &str, managed: bool) -> &'static str {
    match (kind, verb) {
        (_, "start") if managed => "hastart",
        _ if managed => "hastop",
        (Kind::Qemu, "shutdown") => "qmshutdown",
        (Kind::Qemu, "stop") => "qmstop",
        (Kind::Qemu, _) => "qmstart",
        (Kind::Lxc, "shutdown") => "vzshutdown",
        (Kind::Lxc, "stop") => "vzstop",
        (Kind::Lxc, _) => "vzstart",
    }
}

impl Cluster {
    fn new_task(&mut self, place: &Place<'_>, kind: &'static str, outcome: &Outcome) -> String {
        let seconds = self.now.millis() / 1000;
        let number = 0x1A2B3 + self.tasks.len();
        let Place { node, vmid, .. } = place;
        let upid = format!("UPID:{node}:{number:08X}:0012D687:{seconds:08X}:{kind}:{vmid}:netquota@pve!quota:");
        let (begins, ends) = (self.now, self.now.plus(outcome.lasts));
        self.tasks.insert(upid.clone(), Task { kind, vmid: *vmid, begins, ends, exit: outcome.exit.clone() });
        upid
    }

    /// What was to happen until now happens.
    pub(super) fn do_due(&mut self) {
        let (due, later): (Vec<_>, Vec<_>) = self.deeds.drain(..).partition(|deed| deed.at <= self.now);
        self.deeds = later;
        for deed in due {
            let is_meant = |guest: &&mut Guest| guest.since == deed.since;
            if let Some(guest) = self.guests.get_mut(&deed.vmid).filter(is_meant) {
                guest.turn(deed.status, self.now);
            }
        }
    }
}

/// How a task is.
pub fn task(cluster: &Cluster, upid: &str) -> Data {
    let Some(task) = cluster.tasks.get(upid) else { return Err(Refusal::failed("no such task")) };
    let is_over = task.ends <= cluster.now;
    let mut answer = json!({
        "upid": upid, "node": upid.split(':').nth(1), "pid": 107_187, "pstart": 1_234_567,
        "starttime": task.begins.millis() / 1000, "type": task.kind, "id": task.vmid.to_string(),
        "user": "netquota@pve", "tokenid": "quota", "status": if is_over { "stopped" } else { "running" },
    });
    if is_over {
        answer["exitstatus"] = Value::from(task.exit.as_str());
    }
    Ok(answer)
}

//! What the cluster answers, call by call, checking in its order: token, privileges, forwarding, parameters, handler.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::guest::Guest;
use super::nic::Parts;
use super::{Answer, Cluster, Request, Response, power};
use crate::quota::guest::Kind;

/// An answer that is an error: its status and body.
pub struct Refusal(u16, Option<Value>);

/// The data of an answer.
pub type Data = Result<Value, Refusal>;

impl Refusal {
    /// A handler died, in its words.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::new(500, &text.into())
    }

    fn new(status: u16, text: &str) -> Self {
        Self(status, Some(json!({"data": null, "message": format!("{text}\n")})))
    }

    fn parameter(name: &str, why: &str) -> Self {
        let message = "Parameter verification failed.\n";
        Self(400, Some(json!({"data": null, "message": message, "errors": {name: why}})))
    }
}

/// Nothing can be written.
pub fn no_quorum() -> Answer {
    sent(Err(Refusal::failed("cluster not ready - no quorum?")))
}

fn sent(data: Data) -> Answer {
    let (status, body) = match data {
        Ok(data) => (200, Some(json!({ "data": data }))),
        Err(Refusal(status, body)) => (status, body),
    };
    Ok(Response { status, headers: Vec::new(), body: body.map(|body| body.to_string()).unwrap_or_default().into() })
}

/// Names and values of a query or form, in the order they came.
pub type Pairs = Vec<(String, String)>;

fn pairs(text: &str) -> Pairs {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    };
    text.split(['&', ';']).filter(|part| !part.is_empty()).map(pair).collect()
}

/// The value of a parameter.
pub fn parameter<'p>(pairs: &'p Pairs, name: &str) -> Option<&'p str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The answer to a request with a token.
pub fn answer(cluster: &mut Cluster, request: &Request, rest: &str) -> Answer {
    let token = request.headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| value);
    assert!(token.is_some_and(|token| token.starts_with("PVEAPIToken=") && token.contains('!')), "no token");
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let form = String::from_utf8_lossy(&request.body);
    assert!(form.is_empty() || Cluster::is_order(request), "a body on GET");
    let pairs = pairs(if Cluster::is_order(request) { &form } else { query });
    sent(route(cluster, request.method, &path, &pairs))
}

fn route(cluster: &mut Cluster, method: &str, path: &str, pairs: &Pairs) -> Data {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (method, &parts[..]) {
        ("GET", ["cluster", "resources"]) => resources(cluster, pairs),
        ("GET", ["nodes", node, "netstat"]) => netstat(cluster, node),
        ("GET", ["nodes", node, "tasks", upid, "status"]) => {
            forwarded(cluster, node)?;
            power::task(cluster, upid)
        }
        (_, ["nodes", node, kind @ ("qemu" | "lxc"), vmid, of @ ..]) => {
            let kind = if *kind == "qemu" { Kind::Qemu } else { Kind::Lxc };
            let vmid = vmid.parse().unwrap_or_else(|_| panic!("nobody asks for {path}"));
            let place = Place { node, kind, vmid };
            of_guest(cluster, &place, method, of, pairs).unwrap_or_else(|| panic!("nobody asks {method} {path}"))
        }
        _ => panic!("nobody asks {method} {path}"),
    }
}

/// A guest as it stands in a path.
pub struct Place<'p> {
    /// Where it is looked for.
    pub node: &'p str,
    /// As what.
    pub kind: Kind,
    /// Its number.
    pub vmid: u32,
}

fn of_guest(cluster: &mut Cluster, place: &Place<'_>, method: &str, of: &[&str], pairs: &Pairs) -> Option<Data> {
    Some(match (method, of) {
        ("GET", ["config"]) => config(cluster, place, pairs),
        ("PUT", ["config"]) => change(cluster, place, pairs),
        ("GET", ["rrddata"]) => recorded(cluster, place, pairs),
        ("POST", ["status", verb @ ("shutdown" | "stop" | "start")]) => act(cluster, place, verb, pairs),
        _ => return None,
    })
}

fn needs(cluster: &Cluster, privilege: &str, path: &str) -> Result<(), Refusal> {
    if cluster.revoked.contains(privilege) {
        return Err(Refusal::new(403, &format!("Permission check failed ({path}, {privilege})")));
    }
    Ok(())
}

/// Only what is there can be asked.
fn forwarded(cluster: &Cluster, node: &str) -> Result<(), Refusal> {
    match cluster.nodes.get(node) {
        Some(state) if state.silent.is_some() => Err(Refusal(595, None)),
        Some(_) => Ok(()),
        None => Err(Refusal::failed(format!("hostname lookup '{node}' failed - Name or service not known"))),
    }
}

/// Only known parameters are taken; what else comes is remembered as foul.
fn known(cluster: &mut Cluster, pairs: &Pairs, is_known: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let Some((name, value)) = pairs.iter().find(|(name, _)| !is_known(name)) else { return Ok(()) };
    cluster.foul.push(format!("an unknown parameter: {name}={value}"));
    Err(Refusal::parameter(
        name,
        "property is not defined in schema and the schema does not allow additional properties",
    ))
}

/// The guest, if it is there.
fn here<'c>(cluster: &'c mut Cluster, place: &Place<'_>) -> Result<&'c mut Guest, Refusal> {
    let is_here = |guest: &&mut Guest| guest.kind == place.kind && guest.node == place.node;
    cluster.guests.get_mut(&place.vmid).filter(is_here).ok_or_else(|| {
        let folder = if place.kind == Kind::Qemu { "qemu-server" } else { "lxc" };
        let (node, vmid) = (place.node, place.vmid);
        Refusal::failed(format!("Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist"))
    })
}

/// All guests, in an order that changes from answer to answer.
fn resources(cluster: &mut Cluster, pairs: &Pairs) -> Data {
    known(cluster, pairs, |name| name == "type")?;
    if cluster.revoked.contains("VM.Audit") {
        return Ok(json!([]));
    }
    let mut rows: Vec<Value> = cluster.guests.iter().map(|(vmid, guest)| row(cluster, *vmid, guest)).collect();
    cluster.numbers += 1;
    let middle = cluster.numbers as usize % rows.len().max(1);
    rows.rotate_left(middle);
    Ok(json!(rows))
}

fn row(cluster: &Cluster, vmid: u32, guest: &Guest) -> Value {
    let kind = guest.kind.name();
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| drop(row.insert(name.into(), value));
    put("id", json!(format!("{kind}/{vmid}")));
    put("vmid", json!(vmid));
    put("type", json!(kind));
    put("node", json!(guest.node));
    if cluster.is_forgotten(&guest.node) {
        put("status", json!("unknown"));
    } else {
        let told = &guest.told;
        put("name", json!(told.name));
        put("status", json!(told.status));
        put("uptime", json!(told.uptime));
        put("netin", json!(told.bytes.0));
        put("netout", json!(told.bytes.1));
        put("template", json!(u8::from(guest.template)));
    }
    for (name, value) in [("tags", &guest.tags), ("lock", &guest.lock), ("pool", &guest.pool), ("hastate", &guest.ha)] {
        if let Some(value) = value {
            put(name, json!(value));
        }
    }
    Value::Object(row)
}

/// Each NIC of each running guest of a node, live, figures as texts.
fn netstat(cluster: &Cluster, node: &str) -> Data {
    needs(cluster, "Sys.Audit", &format!("/nodes/{node}"))?;
    forwarded(cluster, node)?;
    let mut rows = Vec::new();
    for (vmid, guest) in cluster.guests.iter().filter(|(_, guest)| guest.node == node) {
        for (nic, (to, from)) in guest.counters() {
            rows.push(json!({"vmid": vmid.to_string(), "dev": nic, "in": to.to_string(), "out": from.to_string()}));
        }
    }
    Ok(json!(rows))
}

fn config(cluster: &mut Cluster, place: &Place<'_>, pairs: &Pairs) -> Data {
    needs(cluster, "VM.Audit", &format!("/vms/{}", place.vmid))?;
    forwarded(cluster, place.node)?;
    known(cluster, pairs, |name| name == "current")?;
    Ok(Value::Object(here(cluster, place)?.config()))
}

/// What was recorded; every node knows it, also of guests elsewhere.
fn recorded(cluster: &mut Cluster, place: &Place<'_>, pairs: &Pairs) -> Data {
    needs(cluster, "VM.Audit", &format!("/vms/{}", place.vmid))?;
    known(cluster, pairs, |name| matches!(name, "timeframe" | "cf"))?;
    assert_ne!(parameter(pairs, "cf"), Some("MAX"), "peaks are no volume");
    let Some(history) = cluster.history.get(&place.vmid) else {
        let file = format!("/var/lib/rrdcached/db/pve-vm-9.0/{}", place.vmid);
        return Err(Refusal::failed(format!("RRD error: opening '{file}': No such file or directory")));
    };
    let timeframe = parameter(pairs, "timeframe").unwrap_or_default();
    let rows = history.rows(timeframe, cluster.now);
    rows.map(Value::from).ok_or_else(|| Refusal::parameter("timeframe", "value is not in the enumeration"))
}

fn is_nic(name: &str) -> bool {
    name.strip_prefix("net").and_then(|number| number.parse::<u8>().ok()).is_some_and(|number| number < 32)
}

/// The NICs of a request; one that cannot be read is foul.
fn edits(cluster: &mut Cluster, kind: Kind, pairs: &Pairs) -> Result<Vec<(String, Parts)>, Refusal> {
    let mut edits = Vec::new();
    for (name, text) in pairs.iter().filter(|(name, _)| is_nic(name)) {
        let parts = Parts::parse(kind, text).map_err(|why| {
            cluster.foul.push(format!("{name}={text}: {why}"));
            Refusal::parameter(name, &format!("invalid format - format error\n{name}.{why}\n"))
        })?;
        edits.push((name.clone(), parts));
    }
    Ok(edits)
}

/// All NICs of a request are set, or none.
fn change(cluster: &mut Cluster, place: &Place<'_>, pairs: &Pairs) -> Data {
    needs(cluster, "VM.Config.Network", &format!("/vms/{}", place.vmid))?;
    needs(cluster, "SDN.Use", "/sdn/zones/localnetwork/vmbr0")?;
    forwarded(cluster, place.node)?;
    known(cluster, pairs, |name| name == "digest" || is_nic(name))?;
    cluster.meddle();
    here(cluster, place)?;
    let edits = edits(cluster, place.kind, pairs)?;
    let guest = here(cluster, place)?;
    let digest = parameter(pairs, "digest").map(str::to_owned);
    if digest.as_ref().is_some_and(|digest| *digest != guest.digest()) {
        return Err(Refusal::failed(match guest.kind {
            Kind::Qemu => "checksum mismatch (file change by other user?)",
            Kind::Lxc => "detected modified configuration - file changed by other user? Try again.",
        }));
    }
    if let Some(lock) = &guest.lock {
        return Err(Refusal::failed(format!("{} is locked ({lock})", guest.short())));
    }
    if digest.is_none() {
        cluster.foul.push(format!("an edit of {} without a digest", place.vmid));
    }
    edits.into_iter().for_each(|(name, parts)| cluster.set(place.vmid, &name, parts));
    Ok(Value::Null)
}

fn act(cluster: &mut Cluster, place: &Place<'_>, verb: &str, pairs: &Pairs) -> Data {
    needs(cluster, "VM.PowerMgmt", &format!("/vms/{}", place.vmid))?;
    forwarded(cluster, place.node)?;
    let of_verb: &[&str] = match verb {
        "shutdown" => &["timeout", "forceStop"],
        "stop" => &["overrule-shutdown"],
        _ => &[],
    };
    known(cluster, pairs, |name| of_verb.contains(&name))?;
    here(cluster, place)?;
    power::act(cluster, place, verb, pairs)
}

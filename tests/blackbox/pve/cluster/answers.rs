//! What the cluster answers, call by call, checking in its order: token, path, privileges, forwarding, parameters.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, Asked, Call, Change, Inner, Kind, Record, SECRET, TOKEN_ID, nic, now, power, rrd};
use crate::telegram::Request;

/// What a path asks for, and the ids in it.
pub fn call(method: &str, path: &str) -> Option<(Call, Vec<String>)> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let (call, ids) = match (method, &parts[..]) {
        ("GET", ["version"]) => (Call::Version, vec![]),
        ("GET", ["nodes"]) => (Call::Nodes, vec![]),
        ("GET", ["cluster", "resources"]) => (Call::Resources, vec![]),
        ("GET", ["cluster", "status"]) => (Call::Status, vec![]),
        ("GET", ["cluster", "metrics", "export"]) => (Call::Export, vec![]),
        ("GET", ["access", "permissions"]) => (Call::Permissions, vec![]),
        ("GET", ["nodes", node, "netstat"]) => (Call::Netstat, vec![*node]),
        ("GET", ["nodes", node, "tasks", upid, "status"]) => (Call::Task, vec![*node, *upid]),
        ("GET", ["nodes", node, kind @ ("qemu" | "lxc")]) => (Call::List, vec![*node, *kind]),
        (method, ["nodes", node, kind @ ("qemu" | "lxc"), vmid, rest @ ..]) if vmid.parse::<u32>().is_ok() => {
            let (call, verb) = match (method, rest) {
                ("GET", ["config"]) => (Call::Config, ""),
                ("GET", ["pending"]) => (Call::Pending, ""),
                ("PUT", ["config"]) => (Call::Change, ""),
                ("GET", ["rrddata"]) => (Call::Rrd, ""),
                ("GET", ["status", "current"]) => (Call::Current, ""),
                ("POST", ["status", verb @ ("shutdown" | "stop" | "start")]) => (Call::Power, *verb),
                _ => return None,
            };
            (call, vec![*node, *kind, *vmid, verb])
        }
        _ => return None,
    };
    Some((call, ids.into_iter().map(str::to_owned).collect()))
}

/// Percent signs and their digits read.
pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The pairs of a query or form.
pub fn pairs(text: &str, between: &[char]) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(&key.replace('+', " ")), decoded(&value.replace('+', " ")))
    };
    text.split(between).filter(|part| !part.is_empty()).map(pair).collect()
}

/// The token, and what the server itself refuses.
pub fn admit(inner: &mut Inner, request: &Request, query: &str) -> Result<(), Answer> {
    let what = format!("{} {}", request.method, request.target);
    let detailed = inner.version < (9, 1);
    let mut refuse = |status: u16, why: &str| {
        inner.wrong.push(format!("{what}: {why}"));
        Err(Answer::error(inner, status, why, None))
    };
    if request.header("host").is_none() {
        return refuse(400, "no Host");
    }
    if request.header("transfer-encoding").is_some() {
        return refuse(501, "chunked transfer encoding not supported");
    }
    let has_body = matches!(request.method.as_str(), "PUT" | "POST");
    if !has_body && !request.body.is_empty() {
        return refuse(501, "Unexpected content for method");
    }
    let kind = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !request.body.is_empty() && kind != "application/x-www-form-urlencoded" {
        return refuse(501, "a body that is no form");
    }
    if query.contains(';') {
        return refuse(400, "a query that may be read in different ways");
    }
    if request.header("cookie").is_some() || request.header("csrfpreventiontoken").is_some() {
        return refuse(400, "a ticket beside the token");
    }
    let refused = |detail: &str| {
        let reason = if detailed { detail } else { "Authentication failed!" };
        Err(Answer { status: 401, reason: reason.to_owned(), kind: "", body: None })
    };
    let Some(sent) = request.header("authorization") else {
        return Err(Answer { status: 401, reason: "No ticket".into(), kind: "", body: None });
    };
    let token = sent.strip_prefix("PVEAPIToken").and_then(|rest| rest.strip_prefix(['=', ' ']));
    let Some((id, secret)) = token.and_then(|token| token.rsplit_once('=')) else {
        return refuse(401, "no token in the Authorization header");
    };
    match (decoded(id) == TOKEN_ID, decoded(secret) == SECRET) {
        (true, true) => Ok(()),
        (true, false) => refused("invalid token value!"),
        (false, _) => refused(&format!("no such token '{}'", decoded(id).rsplit('!').next().unwrap_or_default())),
    }
}

fn may(inner: &Inner, privilege: &str, path: &str) -> bool {
    let below = |of: &str| of == "/" || path == of || path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'));
    !inner.revoked.iter().any(|(lost, of)| lost == privilege && below(of))
}

fn needs(inner: &Inner, privilege: &str, path: &str) -> Result<(), Answer> {
    if may(inner, privilege, path) {
        return Ok(());
    }
    Err(Answer::error(inner, 403, &format!("Permission check failed ({path}, {privilege})"), None))
}

/// Requests after which what is under way is seen to have gone on.
fn looks(inner: &mut Inner, call: Call) {
    if matches!(call, Call::Resources | Call::Current | Call::Task) {
        power::goes_on(inner);
    }
}

pub fn route(inner: &mut Inner, call: Call, ids: &[String], asked: &Asked) -> Answer {
    looks(inner, call);
    inner.replies += 1;
    answer(inner, call, ids, asked).unwrap_or_else(|refusal| refusal)
}

fn answer(inner: &mut Inner, call: Call, ids: &[String], asked: &Asked) -> Result<Answer, Answer> {
    let since = match call {
        Call::Export => (8, 3),
        _ => (6, 2),
    };
    if inner.version < since {
        return Err(Answer::error(
            inner,
            501,
            &format!("Method '{} {}' not implemented", asked.method, asked.path),
            None,
        ));
    }
    if let Some((vmid, node)) = inner.moves.take_if(|(vmid, _)| ids.get(2) == Some(&vmid.to_string())) {
        inner.guests.get_mut(&vmid).expect("a guest").node = node;
    }
    privileges(inner, call, ids)?;
    if !matches!(call, Call::Rrd) && ids.first().is_some_and(|node| inner.down.contains(node)) {
        return Err(Answer::bare(595, "No route to host"));
    }
    if let Some(node) = ids.first().filter(|node| !inner.nodes.contains(node)) {
        let text = format!(
            "hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
        );
        return Err(Answer::error(inner, 500, &text, None));
    }
    parameters(inner, call, ids, asked)?;
    Ok(match call {
        Call::Version => {
            let (major, minor) = inner.version;
            let text = format!("{major}.{minor}.1");
            Answer::data(&json!({"version": text, "release": format!("{major}.{minor}"), "repoid": "0123456789abcdef"}))
        }
        Call::Nodes => Answer::data(&json!(inner.nodes.iter().map(|node| node_row(inner, node)).collect::<Vec<_>>())),
        Call::Status => {
            let mut rows = vec![
                json!({"type": "cluster", "id": "cluster", "name": "lab", "quorate": 1, "nodes": inner.nodes.len()}),
            ];
            let online = |node: &String| u8::from(!inner.down.contains(node));
            rows.extend(inner.nodes.iter().map(
                |node| json!({"type": "node", "id": format!("node/{node}"), "name": node, "online": online(node)}),
            ));
            Answer::data(&json!(rows))
        }
        Call::Permissions => Answer::data(&permissions(inner)),
        Call::Resources => resources(inner, asked.parameter("type")),
        Call::Export => export(inner),
        Call::List => list(inner, &ids[0], &ids[1]),
        Call::Netstat => netstat(inner, &ids[0]),
        Call::Task => power::task(inner, &ids[1])?,
        Call::Rrd => rows_of(inner, ids, asked)?,
        Call::Config => {
            let record = here(inner, ids)?;
            Answer::data(&json!(config(record)))
        }
        Call::Pending => {
            let config = config(here(inner, ids)?);
            let row = |(key, value): (&String, &Value)| json!({"key": key, "value": value});
            Answer::data(&json!(config.iter().map(row).collect::<Vec<_>>()))
        }
        Call::Current => {
            let record = here(inner, ids)?;
            Answer::data(&current(record, &ids[2]))
        }
        Call::Change => change(inner, ids, asked)?,
        Call::Power => {
            here(inner, ids)?;
            power::act(inner, ids, asked)?
        }
    })
}

fn privileges(inner: &Inner, call: Call, ids: &[String]) -> Result<(), Answer> {
    let guest = || format!("/vms/{}", ids[2]);
    match call {
        Call::Config | Call::Pending | Call::Rrd | Call::Current => needs(inner, "VM.Audit", &guest()),
        Call::Change => needs(inner, "VM.Config.Network", &guest()),
        Call::Power => needs(inner, "VM.PowerMgmt", &guest()),
        Call::Netstat => needs(inner, "Sys.Audit", &format!("/nodes/{}", ids[0])),
        Call::Export | Call::Status => needs(inner, "Sys.Audit", "/"),
        _ => Ok(()),
    }
}

/// Every parameter must be known and of its type.
fn parameters(inner: &mut Inner, call: Call, ids: &[String], asked: &Asked) -> Result<(), Answer> {
    let vm = ids.get(1).is_some_and(|kind| kind == "qemu");
    let known: &[(&str, &str)] = match (call, ids.get(3).map(String::as_str)) {
        (Call::Resources, _) => &[("type", "vm storage node sdn")],
        (Call::Export, _) => &[("history", "0 1"), ("local-only", "0 1"), ("start-time", "#")],
        (Call::Permissions, _) => &[("path", "")],
        (Call::List, _) if vm => &[("full", "0 1")],
        (Call::Rrd, _) => &[("timeframe", "hour day week month year"), ("cf", "AVERAGE MAX")],
        (Call::Power, Some("shutdown")) => &[("timeout", "#"), ("forceStop", "0 1")],
        (Call::Power, Some("stop")) if inner.version >= (8, 2) => &[("overrule-shutdown", "0 1")],
        (Call::Config, _) => &[("current", "0 1")],
        (Call::Change, _) => &[("digest", "")],
        _ => &[],
    };
    let is_nic = |name: &str| {
        let number = name.strip_prefix("net").and_then(|number| number.parse::<u8>().ok());
        call == Call::Change && number.is_some_and(|number| number < 32)
    };
    for (name, value) in &asked.parameters {
        let repeated = (name == "node" && *value == ids[0]) || (name == "vmid" && *value == ids[2]);
        let why = match known.iter().find(|(known, _)| known == name) {
            _ if is_nic(name) || repeated => continue,
            None => "property is not defined in schema and the schema does not allow additional properties".to_owned(),
            Some((_, "")) => continue,
            Some((_, "#")) if value.parse::<u64>().is_ok() => continue,
            Some((_, words)) if words.split(' ').any(|word| word == value) => continue,
            Some(_) => format!("type check failed - got '{value}'"),
        };
        inner.wrong.push(format!("{} {}: {name}={value}: {why}", asked.method, asked.path));
        return Err(refused(inner, name, &why));
    }
    if call == Call::Rrd && asked.parameter("timeframe").is_none() {
        inner.wrong.push("rrddata without a timeframe".to_owned());
        return Err(refused(inner, "timeframe", "property is missing and it is not optional"));
    }
    Ok(())
}

fn refused(inner: &Inner, name: &str, why: &str) -> Answer {
    Answer::error(inner, 400, "Parameter verification failed.", Some((name, why)))
}

/// The guest of a path, if it is of this kind and on this node.
fn here<'a>(inner: &'a Inner, ids: &[String]) -> Result<&'a Record, Answer> {
    let record = ids[2].parse().ok().and_then(|vmid: u32| inner.guests.get(&vmid));
    record.filter(|record| record.node == ids[0] && record.kind.word() == ids[1]).ok_or_else(|| {
        let folder = if ids[1] == "qemu" { "qemu-server" } else { "lxc" };
        let text = format!("Configuration file 'nodes/{}/{folder}/{}.conf' does not exist", ids[0], ids[2]);
        Answer::error(inner, 500, &text, None)
    })
}

fn node_row(inner: &Inner, node: &str) -> Value {
    let status = if inner.down.iter().any(|down| down == node) { "offline" } else { "online" };
    json!({"node": node, "id": format!("node/{node}"), "type": "node", "status": status, "ssl_fingerprint": "AA:BB"})
}

fn permissions(inner: &Inner) -> Value {
    let all = ["VM.Audit", "VM.PowerMgmt", "VM.Config.Network", "SDN.Use", "Sys.Audit", "Pool.Audit"];
    let of = |path: &str| -> Map<String, Value> {
        all.iter().filter(|privilege| may(inner, privilege, path)).map(|name| ((*name).to_owned(), json!(1))).collect()
    };
    let mut paths = Map::new();
    for path in
        ["/".to_owned(), "/vms".to_owned()].into_iter().chain(inner.guests.keys().map(|id| format!("/vms/{id}")))
    {
        let rights = of(&path);
        if !rights.is_empty() {
            paths.insert(path, Value::Object(rights));
        }
    }
    Value::Object(paths)
}

/// One row as it is known to the cluster; of a node nobody hears of only what is in its configuration.
fn row(inner: &Inner, vmid: u32, record: &Record) -> Map<String, Value> {
    let (netin, netout) = record.totals();
    let mut row = json!({
        "id": format!("{}/{vmid}", record.kind.word()), "vmid": vmid, "type": record.kind.word(), "node": record.node,
        "name": record.name, "status": record.status, "uptime": uptime(record), "netin": netin, "netout": netout,
        "template": u8::from(record.template), "cpu": 0.0249060195469461, "maxcpu": 4, "mem": 842_551_296_u64,
        "maxmem": 1_073_741_824_u64, "disk": 0, "maxdisk": 34_359_738_368_u64, "diskread": 4_510_777_856_u64,
        "diskwrite": 6_059_209_728_u64,
    });
    let fields = row.as_object_mut().expect("an object");
    if inner.down.contains(&record.node) {
        fields.retain(|name, _| matches!(name.as_str(), "id" | "vmid" | "type" | "node"));
        fields.insert("status".into(), json!("unknown"));
    }
    let mut add = |name: &str, value: Option<&str>| value.map(|value| fields.insert(name.into(), json!(value)));
    if inner.version >= (7, 3) {
        add("tags", record.tags.as_deref());
    }
    add("lock", record.lock);
    add("hastate", record.ha);
    add("pool", record.pool.as_deref().filter(|pool| may(inner, "Pool.Audit", &format!("/pool/{pool}"))));
    for (name, value) in &record.said {
        match value {
            Some(value) => fields.insert(name.clone(), value.clone()),
            None => fields.remove(name),
        };
    }
    std::mem::take(fields)
}

fn uptime(record: &Record) -> u64 {
    if record.runs() { (now() - record.since).max(0.0) as u64 } else { 0 }
}

fn seen(inner: &Inner) -> impl Iterator<Item = (&u32, &Record)> {
    inner.guests.iter().filter(|(vmid, _)| may(inner, "VM.Audit", &format!("/vms/{vmid}")))
}

/// As text, since the order of rows and of their keys changes from reply to reply.
fn resources(inner: &Inner, kind: Option<&str>) -> Answer {
    let mut rows: Vec<String> = Vec::new();
    if kind.is_none_or(|kind| kind == "vm") {
        rows.extend(seen(inner).map(|(vmid, record)| shuffled(&row(inner, *vmid, record), inner.replies)));
    }
    if kind.is_none_or(|kind| kind == "node") {
        rows.extend(inner.nodes.iter().map(|node| node_row(inner, node).to_string()));
    }
    let middle = inner.replies % rows.len().max(1);
    rows.rotate_left(middle);
    let body = format!("{{\"data\":[{}]}}", rows.join(","));
    Answer { body: Some(body), ..Answer::data(&Value::Null) }
}

fn shuffled(row: &Map<String, Value>, by: usize) -> String {
    let mut fields: Vec<String> = row.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let middle = by % fields.len().max(1);
    fields.rotate_left(middle);
    format!("{{{}}}", fields.join(","))
}

fn list(inner: &Inner, node: &str, kind: &str) -> Answer {
    let rows: Vec<Value> = seen(inner)
        .filter(|(_, record)| record.node == node && record.kind.word() == kind)
        .map(|(vmid, record)| {
            let mut row = row(inner, *vmid, record);
            row.retain(|name, _| !matches!(name.as_str(), "id" | "node" | "hastate" | "pool"));
            if record.kind == Kind::Lxc && inner.version < (8, 2) {
                row.insert("vmid".into(), json!(vmid.to_string()));
            }
            Value::Object(row)
        })
        .collect();
    Answer::data(&json!(rows))
}

fn netstat(inner: &Inner, node: &str) -> Answer {
    let on_node = inner.guests.iter().filter(|(_, record)| record.node == node);
    let rows: Vec<Value> = on_node
        .flat_map(|(vmid, record)| {
            let row = |(nic, (to, from)): (&String, &(u64, u64))| {
                json!({"vmid": vmid.to_string(), "dev": nic, "in": to.to_string(), "out": from.to_string()})
            };
            record.counted().map(row).collect::<Vec<_>>()
        })
        .collect();
    Answer::data(&json!(rows))
}

fn export(inner: &Inner) -> Answer {
    let at = now() as u64 / 10 * 10;
    let mut rows = Vec::new();
    for (vmid, record) in inner.guests.iter().filter(|(_, record)| !inner.down.contains(&record.node)) {
        let id = format!("{}/{vmid}", record.kind.word());
        let mut add = |metric: &str, kind: &str, value: u64| {
            rows.push(json!({"id": id, "metric": metric, "timestamp": at, "type": kind, "value": value}));
        };
        add("uptime", "gauge", uptime(record));
        if record.runs() {
            let (netin, netout) = record.totals();
            add("net_in", "derive", netin);
            add("net_out", "derive", netout);
        }
    }
    Answer::data(&json!({ "data": rows }))
}

fn current(record: &Record, vmid: &str) -> Value {
    let (netin, netout) = record.totals();
    let mut answer = json!({
        "vmid": vmid.parse::<u32>().unwrap_or_default(), "name": record.name, "uptime": uptime(record),
        "status": if record.runs() { "running" } else { "stopped" }, "netin": netin, "netout": netout,
        "ha": {"managed": u8::from(record.ha.is_some())},
    });
    if let Some(state) = record.ha {
        answer["ha"]["state"] = json!(state);
    }
    if let Some(lock) = record.lock {
        answer["lock"] = json!(lock);
    }
    if record.kind == Kind::Qemu {
        answer["qmpstatus"] = json!(record.status);
        let device = |(name, (to, from)): (&String, &(u64, u64))| {
            let index = name.trim_start_matches("net");
            (format!("tap{vmid}i{index}"), json!({"netin": to, "netout": from}))
        };
        answer["nics"] = Value::Object(record.counted().map(device).collect());
    }
    answer
}

fn rows_of(inner: &Inner, ids: &[String], asked: &Asked) -> Result<Answer, Answer> {
    let record = ids[2].parse().ok().and_then(|vmid: u32| inner.guests.get(&vmid));
    let Some(record) = record.filter(|record| !record.too_new) else {
        let file = format!("/var/lib/rrdcached/db/pve-vm-9.0/{}", ids[2]);
        return Err(Answer::error(
            inner,
            500,
            &format!("RRD error: opening '{file}': No such file or directory"),
            None,
        ));
    };
    let timeframe = asked.parameter("timeframe").expect("checked before");
    let mut rows = rrd::rows(&record.flows, inner.version.0, timeframe, now(), inner.upgraded);
    if asked.parameter("cf") == Some("MAX") {
        // Peaks: far more than what flowed.
        for row in &mut rows {
            for name in ["netin", "netout"] {
                if let Some(value) = row[name].as_f64() {
                    row[name] = json!(value * 50.0);
                }
            }
        }
    }
    Ok(Answer::data(&json!(rows)))
}

fn config(record: &Record) -> Map<String, Value> {
    let mut config: Map<String, Value> = record.config.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    config.insert(if record.kind == Kind::Qemu { "name" } else { "hostname" }.into(), json!(record.name));
    for (name, value) in [("lock", record.lock), ("tags", record.tags.as_deref())] {
        if let Some(value) = value {
            config.insert(name.into(), json!(value));
        }
    }
    config.insert("digest".into(), json!(digest(record)));
    config
}

pub fn digest(record: &Record) -> String {
    let mut hash = Sha256::new();
    for (key, value) in &record.config {
        hash.update(format!("{key}: {value}\n"));
    }
    hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

/// All NICs of a request are set, or none.
fn change(inner: &mut Inner, ids: &[String], asked: &Asked) -> Result<Answer, Answer> {
    if let Some((vmid, nic, text)) = inner.meddle.take() {
        inner.guests.get_mut(&vmid).expect("a guest").config.insert(nic, text);
    }
    let record = here(inner, ids)?.clone();
    let subject = format!("{}/{}", ids[1], ids[2]);
    let mut edits = std::collections::BTreeMap::new();
    for (name, text) in asked.parameters.iter().filter(|(name, _)| name.starts_with("net")) {
        let parts = nic::parse(record.kind, inner.version, text);
        let parts = parts.map_err(|why| {
            inner.wrong.push(format!("{subject}: {name}={text}: {why}"));
            refused(inner, name, &format!("invalid format - format error\n{name}.{why}\n"))
        })?;
        edits.insert(name.clone(), parts);
    }
    let old = |name: &str| {
        let text = record.config.get(name)?;
        Some(nic::parse(record.kind, (99, 0), text).unwrap_or_else(|why| panic!("{name} of {subject}: {why}")))
    };
    if inner.version >= (8, 0) {
        for parts in edits.iter().flat_map(|(name, new)| [old(name), Some(new.clone())]).flatten() {
            if let Some(bridge) = parts.get("bridge") {
                let tag = parts.get("tag").map(|tag| format!("/{tag}")).unwrap_or_default();
                needs(inner, "SDN.Use", &format!("/sdn/zones/localnetwork/{bridge}{tag}"))?;
            }
        }
    }
    if asked.parameter("digest").is_none() {
        inner.wrong.push(format!("{subject}: an edit without a digest"));
    }
    if asked.parameter("digest").is_some_and(|sent| sent != digest(&record)) {
        let text = match record.kind {
            Kind::Qemu => "checksum mismatch (file change by other user?)",
            Kind::Lxc => "detected modified configuration - file changed by other user? Try again.",
        };
        return Err(Answer::error(inner, 500, text, None));
    }
    if let Some(lock) = record.lock {
        return Err(Answer::error(inner, 500, &format!("{} is locked ({lock})", record.kind.short()), None));
    }
    let mut nics = std::collections::BTreeMap::new();
    for (name, mut parts) in edits {
        let before = old(&name).unwrap_or_default();
        let differing = nic::differing(&before, &parts);
        let foreign: Vec<&String> =
            differing.iter().filter(|key| !matches!(key.as_str(), "rate" | "link_down")).collect();
        if !foreign.is_empty() {
            inner.wrong.push(format!("{subject}: an edit of {name} that changes {foreign:?}"));
        }
        let mac = if record.kind == Kind::Qemu { "macaddr" } else { "hwaddr" };
        if !parts.contains_key(mac) {
            inner.numbers += 1;
            parts.insert(mac.to_owned(), format!("BC:24:11:FF:FF:{:02X}", inner.numbers));
        }
        let text = nic::stored(record.kind, &parts);
        let guest = inner.guests.get_mut(&ids[2].parse().expect("a vmid")).expect("a guest");
        if nic::is_new_device(&differing) {
            guest.counters.insert(name.clone(), (0, 0));
        }
        let was = guest.config.insert(name.clone(), text.clone()).unwrap_or_default();
        if !differing.is_empty() {
            nics.insert(name, (was, text));
        }
    }
    if nics.is_empty() {
        inner.wrong.push(format!("{subject}: an edit that changes nothing"));
    }
    inner.changes.push(Change { subject, nics });
    Ok(Answer::data(&Value::Null))
}

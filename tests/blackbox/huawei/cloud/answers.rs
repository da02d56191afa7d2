//! What the vendor answers, service by service.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{AK, Answer, Asked, Call, DOMAIN, Inner, Job, REGION, SK, Server, Stops, is, quoted};
use crate::huawei::signing::{self, Refused};
use crate::telegram::Request;

/// Failures in a row after which a key is locked.
const LOCKED_AFTER: usize = 5;

/// What a path asks for, and the ids in it.
pub fn call(method: &str, path: &str) -> Option<(Call, Vec<String>)> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let (call, ids) = match (method, &parts[..]) {
        ("POST", ["v2", "payments", "free-resources", "usages", "details", "query"]) => (Call::Usage, vec![]),
        ("POST", ["v3", "payments", "free-resources", "query"]) => (Call::Listing, vec![]),
        ("GET", ["v2", "bases", "measurements"]) => (Call::Measurements, vec![]),
        ("GET", ["v2", "bases", "conversions"]) => (Call::Conversions, vec![]),
        ("GET", ["v3", "auth", "domains"]) => (Call::Domains, vec![]),
        ("GET", ["v3", "projects"]) => (Call::Projects, vec![]),
        ("GET", ["v5", "caller-identity"]) => (Call::Caller, vec![]),
        ("GET", ["v1", "resource-manager", "domains", domain, "all-resources"]) => (Call::Resources, vec![domain]),
        ("POST", ["v1", project, "cloudservers", "action"]) => (Call::Act, vec![project]),
        ("GET", ["v1", project, "cloudservers", server]) => (Call::Server, vec![project, server]),
        ("GET", ["v1", project, "jobs", job]) => (Call::Job, vec![project, job]),
        _ => return None,
    };
    Some((call, ids.into_iter().map(|id: &&str| (*id).to_owned()).collect()))
}

/// A refusal of what no client should send.
pub fn refuse(inner: &mut Inner, status: u16, why: &str) -> Answer {
    inner.wrong.push(why.to_owned());
    let code = if status == 404 { "APIGW.0101" } else { "CBC.0100" };
    Answer::json(status, &json!({"error_code": code, "error_msg": why}))
}

pub fn authenticate(inner: &mut Inner, request: &Request) -> Result<(), Answer> {
    let told = "Incorrect IAM authentication information: ";
    let gateway = |text: String| {
        let id = "6f5d4c3b2a190807f6e5d4c3b2a19080";
        Answer::json(401, &json!({"error_code": "APIGW.0301", "error_msg": text, "request_id": id}))
    };
    if inner.refused_in_a_row >= LOCKED_AFTER {
        return Err(gateway(format!("{told}AK access failed to reach the limit,forbidden")));
    }
    let now = OffsetDateTime::now_utc() + inner.clock;
    let why = match signing::verify(request, AK, SK, &inner.host, now) {
        Ok(()) => match (request.header("x-security-token"), inner.token.as_deref()) {
            (sent, known) if sent == known => {
                inner.refused_in_a_row = 0;
                return Ok(());
            }
            (None, _) => format!("ak {AK} not exist"),
            (Some(sent), _) => format!("the security token {sent} of ak {AK} is invalid"),
        },
        Err(Refused::Unsigned(why)) => {
            inner.wrong.push(format!("{} {}: {why}", request.method, request.target));
            why.to_owned()
        }
        Err(Refused::UnknownKey(ak)) => format!("ak {ak} not exist"),
        Err(Refused::Expired(date)) => {
            format!("signature expired, signature time:{date},server time:{}", signing::date(now))
        }
        Err(Refused::Signature(canonical)) => {
            format!("verify aksk signature fail, ak:{AK}, canonicalRequest:{}", canonical.replace('\n', "|"))
        }
    };
    inner.refused_in_a_row += 1;
    Err(gateway(format!("{told}{why}")))
}

pub fn route(inner: &mut Inner, call: Call, ids: &[String], asked: &Asked) -> Answer {
    if asked.method == "POST" {
        let kind = asked.headers.get("content-type").map(String::as_str).unwrap_or_default();
        if kind.split(';').next() != Some("application/json") {
            return refuse(inner, 400, &format!("content type {kind:?}"));
        }
    }
    if asked.headers.get("x-domain-id").is_some_and(|id| id != DOMAIN) {
        return refuse(inner, 403, "X-Domain-Id is not the account's");
    }
    let known: &[&str] = match call {
        Call::Conversions => &["measure_type"],
        Call::Projects => &["name", "domain_id", "enabled", "parent_id", "page", "per_page"],
        Call::Resources => &["type", "region_id", "limit", "marker", "id", "name", "ep_id", "tags"],
        _ => &[],
    };
    if let Some((unknown, _)) = asked.query.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return refuse(inner, 400, &format!("{call:?}: unknown parameter {unknown}"));
    }
    let answered = match call {
        Call::Usage => usage(inner, &asked.body),
        Call::Listing => listing(inner, &asked.body),
        Call::Measurements => {
            let unit = |(id, name, kind): &(u32, &str, u32)| json!({"measure_id": id, "measure_name": name, "abbreviation": name, "measure_type": kind});
            Ok(Answer::json(200, &json!({"measure_units": inner.units.iter().map(unit).collect::<Vec<_>>()})))
        }
        Call::Conversions => {
            let wanted = asked.parameter("measure_type");
            let of_kind = |row: &&(u32, u32, u64, u32)| wanted.is_none_or(|wanted| *wanted == row.3.to_string());
            let row = |row: &(u32, u32, u64, u32)| json!({"measure_id": row.0, "ref_measure_id": row.1, "conversion_ratio": row.2, "measure_type": row.3});
            let rows: Vec<Value> = inner.conversions.iter().filter(of_kind).map(row).collect();
            Ok(Answer::json(200, &json!({"conversions": rows})))
        }
        Call::Domains => {
            let domain = json!({"id": DOMAIN, "name": "hw-account", "enabled": true, "description": "", "links": {}});
            let hidden = inner.domain_hidden || inner.token.is_some();
            let domains = if hidden { vec![] } else { vec![domain] };
            Ok(Answer::json(200, &json!({"domains": domains, "links": {"self": null}})))
        }
        Call::Caller => {
            let urn = format!("iam::{DOMAIN}:user:checker");
            Ok(Answer::json(
                200,
                &json!({"account_id": DOMAIN, "principal_id": "p1", "principal_urn": urn, "caller_urn": urn}),
            ))
        }
        Call::Projects => {
            let project = |(region, id): &(String, String)| json!({"id": id, "name": region, "domain_id": DOMAIN, "parent_id": DOMAIN, "enabled": true, "is_domain": false, "description": "", "links": {}});
            let projects: Vec<Value> = inner
                .projects
                .iter()
                .filter(|(region, _)| asked.parameter("name").is_none_or(|name| name == region))
                .map(project)
                .collect();
            Ok(Answer::json(200, &json!({"projects": projects, "links": {"self": null, "next": null}})))
        }
        Call::Resources => resources(inner, &ids[0], asked),
        Call::Server => server(inner, &ids[0], &ids[1], asked),
        Call::Act => act(inner, &ids[0], asked),
        Call::Job => job(inner, &ids[0], &ids[1], asked),
    };
    answered.unwrap_or_else(|why| refuse(inner, 400, &why))
}

fn object(body: &Value) -> Result<&Map<String, Value>, String> {
    body.as_object().ok_or_else(|| format!("the body is no JSON object: {body}"))
}

fn only(body: &Map<String, Value>, keys: &[&str]) -> Result<(), String> {
    let unknown = body.keys().find(|key| !keys.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| Err(format!("unknown key {key}")))
}

fn usage(inner: &Inner, body: &Value) -> Result<Answer, String> {
    let body = object(body)?;
    only(body, &["free_resource_ids"])?;
    let ids = body.get("free_resource_ids").and_then(Value::as_array).ok_or("no free_resource_ids")?;
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str().ok_or("an id is no text")).collect::<Result<_, _>>()?;
    if !(1..=100).contains(&ids.len()) {
        return Err(format!("{} ids", ids.len()));
    }
    if let Some(bad) = ids.iter().find(|id| !(1..=64).contains(&id.len()) || id.trim() != **id || id.contains(',')) {
        return Err(format!("no id: {bad:?}"));
    }
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != ids.len() {
        return Err(format!("an id twice: {ids:?}"));
    }
    let found = ids.iter().filter_map(|id| {
        let id = inner.renamed.get(*id).map_or(*id, String::as_str);
        inner.packages.iter().find(|record| is(record, id))
    });
    let records: Vec<String> = found.map(|record| raw(record)).collect();
    Ok(Answer::text(200, format!("{{\"free_resources\":[{}]}}", records.join(","))))
}

fn raw(record: &[(String, String)]) -> String {
    let fields: Vec<String> = record.iter().map(|(name, raw)| format!("{}:{raw}", quoted(name))).collect();
    format!("{{{}}}", fields.join(","))
}

/// Amounts are texts here.
fn listing(inner: &Inner, body: &Value) -> Result<Answer, String> {
    const KEYS: &[&str] = &[
        "region_code",
        "order_id",
        "product_id",
        "product_name",
        "enterprise_project_id",
        "status",
        "service_type_code_list",
        "offset",
        "limit",
    ];
    let body = object(body)?;
    only(body, KEYS)?;
    let number = |name: &str, or: u64| match body.get(name) {
        None => Ok(or),
        Some(value) => value.as_u64().ok_or(format!("{name} is no number: {value}")),
    };
    let (offset, limit) = (number("offset", 0)?, number("limit", 10)?);
    if !(1..=100).contains(&limit) {
        return Err(format!("limit {limit}"));
    }
    let status = number("status", 1)?;
    let listed: Vec<Value> =
        inner.packages.iter().filter(|_| status == 1).map(|record| package_listed(record)).collect();
    let page: Vec<&Value> =
        listed.iter().skip(usize::try_from(offset).unwrap()).take(usize::try_from(limit).unwrap()).collect();
    Ok(Answer::json(200, &json!({"total_count": listed.len(), "free_resource_packages": page})))
}

fn package_listed(record: &[(String, String)]) -> Value {
    let raw = |name: &str| record.iter().find(|(known, _)| known == name).map_or("null", |(_, raw)| raw.as_str());
    let value = |name: &str| serde_json::from_str::<Value>(raw(name)).unwrap_or_default();
    let amount = |name: &str| raw(name).trim_matches('"').to_owned();
    json!({
        "order_instance_id": format!("order-{}", amount("free_resource_id")),
        "order_id": "CS2501250800ABCDE",
        "product_id": "OFFI000000000000000",
        "product_name": value("free_resource_type_name"),
        "enterprise_project_id": "0",
        "enterprise_project_scope": "SINGLE",
        "effective_time": value("start_time"),
        "expire_time": value("end_time"),
        "status": 1,
        "service_type_code": "hws.service.type.vpc",
        "service_type_name": "Virtual Private Cloud",
        "region_code": REGION,
        "source_type": 1,
        "bundle_type": "ATOMIC_PKG",
        "quota_reuse_mode": 1,
        "free_resources": [{
            "free_resource_id": value("free_resource_id"),
            "usage_type_name": value("usage_type_name"),
            "amount": amount("amount"),
            "original_amount": amount("original_amount"),
            "measure_id": value("measure_id"),
        }],
    })
}

fn resources(inner: &Inner, domain: &str, asked: &Asked) -> Result<Answer, String> {
    if domain != DOMAIN {
        let body = json!({"error_code": "RMS.00010003", "error_msg": "the domain id is not that of the token"});
        return Ok(Answer::json(403, &body));
    }
    let limit = asked
        .parameter("limit")
        .map_or(Ok(100), |limit| limit.parse::<usize>().map_err(|_| format!("limit {limit}")))?;
    if !(1..=200).contains(&limit) {
        return Err(format!("limit {limit}"));
    }
    let start = match asked.parameter("marker") {
        None => 0,
        Some(marker) if !(4..=400).contains(&marker.len()) => return Err(format!("marker {marker:?}")),
        Some(marker) => {
            marker.strip_prefix("m&/+=%").and_then(|at| at.parse::<usize>().ok()).ok_or(format!("marker {marker:?}"))?
        }
    };
    let listed: &[Value] =
        if asked.parameter("type").is_none_or(|kind| kind == "hcss.l-instance") { &inner.instances } else { &[] };
    let end = listed.len().min(start + limit.min(inner.page));
    let page = &listed[start.min(end)..end];
    let marker = (end < listed.len()).then(|| format!("m&/+=%{end}"));
    let info = json!({"current_count": page.len(), "next_marker": marker});
    Ok(Answer::json(200, &json!({"resources": page, "page_info": info})))
}

/// A regional request must be for the project of its path.
fn same_project(project: &str, asked: &Asked) -> Result<(), String> {
    match asked.headers.get("x-project-id") {
        Some(id) if id != project => Err("X-Project-Id is not the project of the path".to_owned()),
        _ => Ok(()),
    }
}

fn ecs(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"error": {"code": code, "message": message}}))
}

fn server(inner: &mut Inner, project: &str, id: &str, asked: &Asked) -> Result<Answer, String> {
    same_project(project, asked)?;
    let Some(server) = inner.servers.get_mut(id).filter(|server| server.project == project) else {
        return Ok(ecs(404, "Ecs.0114", &format!("The instance {id} does not exist.")));
    };
    server.poll();
    let address = json!([{"addr": "192.168.0.7", "version": "4", "OS-EXT-IPS:type": "fixed"}]);
    Ok(Answer::json(
        200,
        &json!({"server": {
            "id": id,
            "name": format!("name-of-{id}"),
            "status": server.status,
            "tenant_id": project,
            "created": "2025-01-25T08:00:00Z",
            "updated": "2025-01-25T08:05:00Z",
            "addresses": {"vpc": address},
            "metadata": {"charging_mode": "1"},
        }}),
    ))
}

impl Server {
    /// Looking makes time pass.
    fn poll(&mut self) {
        if let Some(job) = &mut self.job {
            if job.polls > 0 {
                job.polls -= 1;
            }
            if job.polls == 0 && !job.fails && !(self.stops == Stops::Never && job.target == "SHUTOFF") {
                self.status = job.target;
            }
        }
    }
}

fn act(inner: &mut Inner, project: &str, asked: &Asked) -> Result<Answer, String> {
    same_project(project, asked)?;
    let body = object(&asked.body)?;
    only(body, &["os-stop", "os-start"])?;
    let (verb, order) = body.iter().next().filter(|_| body.len() == 1).ok_or("not exactly one order")?;
    let order = object(order)?;
    only(order, if verb == "os-stop" { &["servers", "type"] } else { &["servers"] })?;
    let hard = match order.get("type").map(|kind| kind.as_str()) {
        None | Some(Some("SOFT")) => false,
        Some(Some("HARD")) => true,
        Some(_) => return Err(format!("type {}", order["type"])),
    };
    let servers = order.get("servers").and_then(Value::as_array).ok_or("no servers")?;
    let [one] = &servers[..] else { return Err(format!("{} servers", servers.len())) };
    let one = object(one)?;
    only(one, &["id"])?;
    let id = one.get("id").and_then(Value::as_str).ok_or("a server without an id")?;
    let Some(server) = inner.servers.get_mut(id).filter(|server| server.project == project) else {
        return Ok(ecs(404, "Ecs.0114", &format!("The instance {id} does not exist.")));
    };
    inner.jobs += 1;
    let job_id = format!("ff80808290c6b7b60191ef522de6{:04x}", inner.jobs);
    let (polls, fails) = match server.stops {
        Stops::After(polls) if !hard => (polls, false),
        Stops::Fails if verb == "os-stop" => (0, true),
        _ => (0, false),
    };
    let target = if verb == "os-stop" { "SHUTOFF" } else { "ACTIVE" };
    if hard && server.stops != Stops::Fails {
        server.stops = Stops::After(0);
    }
    if verb == "os-start" {
        server.status = target;
    }
    server.job = Some(Job { id: job_id.clone(), target, polls: polls + 1, fails });
    Ok(Answer::json(200, &json!({"job_id": job_id})))
}

fn job(inner: &mut Inner, project: &str, id: &str, asked: &Asked) -> Result<Answer, String> {
    same_project(project, asked)?;
    let of = |server: &Server| server.project == project && server.job.as_ref().is_some_and(|job| job.id == id);
    let Some((server_id, server)) = inner.servers.iter_mut().find(|(_, server)| of(server)) else {
        return Ok(ecs(404, "Ecs.0114", &format!("The job {id} does not exist.")));
    };
    server.poll();
    let job = server.job.as_ref().expect("the job");
    let (status, code, reason) = match (job.polls, job.fails) {
        (0, true) => ("FAIL", json!("Ecs.0219"), json!("stop server failed: the guest did not shut down")),
        (0, false) => ("SUCCESS", Value::Null, Value::Null),
        _ => ("RUNNING", Value::Null, Value::Null),
    };
    let kind = if job.target == "SHUTOFF" { "stopServer" } else { "startServer" };
    let sub = json!({
        "job_id": format!("sub-{id}"), "job_type": kind, "status": status, "error_code": code, "fail_reason": reason,
        "begin_time": "2025-01-25T08:00:00.000Z", "end_time": null, "entities": {"server_id": server_id},
    });
    Ok(Answer::json(
        200,
        &json!({
            "job_id": id, "job_type": format!("{kind}s"), "status": status, "error_code": code, "fail_reason": reason,
            "begin_time": "2025-01-25T08:00:00.000Z", "end_time": null,
            "entities": {"sub_jobs_total": 1, "sub_jobs": [sub]},
        }),
    ))
}

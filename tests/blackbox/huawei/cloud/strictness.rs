//! The cloud itself: what it accepts, what it refuses, and how it goes wrong.

use std::io::Read as _;

use super::*;
use crate::telegram::Request;

/// A signed request and its answer.
fn ask(huawei: &Huawei, method: &str, target: &str, body: &str) -> (u16, Value) {
    send(huawei, &signed(huawei, method, target, body, SK, None))
}

fn signed(huawei: &Huawei, method: &str, target: &str, body: &str, sk: &str, token: Option<&str>) -> Request {
    let mut headers = vec![
        ("host".to_owned(), huawei.address.to_string()),
        ("x-sdk-date".to_owned(), signing::date(OffsetDateTime::now_utc())),
    ];
    if !body.is_empty() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    headers.extend(token.map(|token| ("x-security-token".to_owned(), token.to_owned())));
    headers.sort();
    let names: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut request =
        Request { method: method.to_owned(), target: target.to_owned(), headers, body: body.as_bytes().to_vec() };
    let value = signing::authorization(&request, AK, sk, &names);
    request.headers.push(("authorization".to_owned(), value));
    request
}

fn send(huawei: &Huawei, request: &Request) -> (u16, Value) {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    write!(text, "Content-Length: {}\r\n\r\n", request.body.len()).unwrap();
    let mut stream = TcpStream::connect(huawei.address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream.write_all(&request.body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

const USAGE: &str = "/v2/payments/free-resources/usages/details/query";

#[test]
fn this_cloud_tells_what_is_left() {
    let huawei = Huawei::start();
    huawei.package("p1", 123.456, 1000);
    huawei.package("p2", "\"7\"", "\"8\"");
    let (status, answer) = ask(&huawei, "POST", USAGE, r#"{"free_resource_ids":["p2","nobody","p1"]}"#);
    assert_eq!(status, 200);
    let records = answer["free_resources"].as_array().unwrap();
    assert_eq!(records.len(), 2, "an unknown id is left out: {records:?}");
    assert_eq!(records[0]["amount"], "7");
    assert_eq!(records[1]["amount"].to_string(), "123.456");
    assert_eq!(records[1]["measure_id"], 10);
    let end = records[1]["end_time"].as_str().unwrap();
    assert!(end.len() == 20 && end.ends_with('Z'), "{end}");
    huawei.renamed("p1", "p1-renewed");
    huawei.left("p1", 5);
    let (_, answer) = ask(&huawei, "POST", USAGE, r#"{"free_resource_ids":["p1"]}"#);
    assert_eq!(answer["free_resources"][0]["free_resource_id"], "p1-renewed");
    assert_eq!(answer["free_resources"][0]["amount"], 5);
}

#[test]
fn this_cloud_refuses_what_the_vendor_refuses() {
    let many = |n: usize| json!({"free_resource_ids": (0..n).map(|n| n.to_string()).collect::<Vec<_>>()});
    let action = "/v1/0f1e2d3c4b5a69788796a5b4c3d2e1f0/cloudservers/action";
    let listing = "/v3/payments/free-resources/query";
    for (method, target, body) in [
        ("POST", USAGE, "{}".to_owned()),
        ("POST", USAGE, r#"{"free_resource_ids":[]}"#.to_owned()),
        ("POST", USAGE, r#"{"free_resource_ids":["a","a"]}"#.to_owned()),
        ("POST", USAGE, r#"{"free_resource_ids":[" a"]}"#.to_owned()),
        ("POST", USAGE, r#"{"free_resource_ids":["a,b"]}"#.to_owned()),
        ("POST", USAGE, r#"{"free_resource_ids":["a"],"limit":5}"#.to_owned()),
        ("POST", USAGE, format!(r#"{{"free_resource_ids":["{}"]}}"#, "a".repeat(65))),
        ("POST", USAGE, many(101).to_string()),
        ("POST", listing, r#"{"limit":101}"#.to_owned()),
        ("POST", listing, r#"{"ofset":0}"#.to_owned()),
        ("GET", "/v2/bases/measurements?x=1", String::new()),
        ("GET", "/v2/bases/nonsense", String::new()),
        ("GET", USAGE, String::new()),
        ("POST", action, r#"{"os-stop":{"servers":[{"id":"s"}],"mode":"SOFT"}}"#.to_owned()),
        ("POST", action, r#"{"os-stop":{"servers":[{"id":"s"}],"type":"soft"}}"#.to_owned()),
        ("POST", action, r#"{"os-reboot":{"servers":[{"id":"s"}]}}"#.to_owned()),
        ("GET", "/v2/bases/conversions?measure_type=3&measure_type=", String::new()),
    ] {
        let huawei = Huawei::start();
        let (status, _) = ask(&huawei, method, target, &body);
        let wrong = huawei.take_wrong();
        assert_eq!(wrong.len(), 1, "{method} {target} {body}: {status} {wrong:?}");
    }
    let huawei = Huawei::start();
    assert_eq!(ask(&huawei, "POST", USAGE, &many(100).to_string()).0, 200);
}

#[test]
fn this_cloud_knows_its_keys_and_locks_them() {
    let huawei = Huawei::start();
    let body = r#"{"free_resource_ids":["a"]}"#;
    for _ in 0..5 {
        let (status, answer) = send(&huawei, &signed(&huawei, "POST", USAGE, body, "wrong", None));
        assert_eq!((status, &answer["error_code"]), (401, &json!("APIGW.0301")));
        let text = answer["error_msg"].as_str().unwrap();
        assert!(text.contains("verify aksk signature fail") && text.contains(AK), "{text}");
    }
    let (status, answer) = ask(&huawei, "POST", USAGE, body);
    assert_eq!(status, 401);
    assert!(answer["error_msg"].as_str().unwrap().ends_with("reach the limit,forbidden"), "{answer}");
    huawei.heal();
    assert_eq!(ask(&huawei, "POST", USAGE, body).0, 200);
    huawei.clock_ahead(3_600);
    let (_, answer) = ask(&huawei, "POST", USAGE, body);
    assert!(answer["error_msg"].as_str().unwrap().contains("signature expired, signature time:"), "{answer}");
    huawei.clock_ahead(0);
    huawei.temporary_keys();
    assert_eq!(ask(&huawei, "POST", USAGE, body).0, 401);
    assert_eq!(send(&huawei, &signed(&huawei, "POST", USAGE, body, SK, Some("other"))).0, 401);
    assert_eq!(send(&huawei, &signed(&huawei, "POST", USAGE, body, SK, Some(TOKEN))).0, 200);
    assert_eq!(huawei.take_wrong(), Vec::<String>::new());
    let mut bare = signed(&huawei, "POST", USAGE, body, SK, Some(TOKEN));
    bare.headers.retain(|(name, _)| name != "authorization");
    assert_eq!(send(&huawei, &bare).0, 401);
    assert_eq!(huawei.take_wrong().len(), 1);
}

#[test]
fn this_cloud_lists_by_pages() {
    let huawei = Huawei::start();
    for n in 0..12 {
        huawei.package(&format!("p{n}"), n, 100);
        huawei.instance(&format!("vps-{n}"), &[&format!("p{n}")], &format!("s{n}"), "203.0.113.1");
    }
    let (_, first) = ask(&huawei, "POST", "/v3/payments/free-resources/query", r#"{"status":1}"#);
    let (_, second) = ask(&huawei, "POST", "/v3/payments/free-resources/query", r#"{"offset":10,"limit":10}"#);
    let count = |answer: &Value| answer["free_resource_packages"].as_array().unwrap().len();
    assert_eq!((&first["total_count"], count(&first), count(&second)), (&json!(12), 10, 2));
    assert_eq!(second["free_resource_packages"][1]["free_resources"][0]["amount"], "11");

    huawei.page(5);
    let path = format!("/v1/resource-manager/domains/{DOMAIN}/all-resources");
    let mut names = Vec::new();
    let mut target = format!("{path}?type=hcss.l-instance");
    loop {
        let (status, answer) = ask(&huawei, "GET", &target, "");
        assert_eq!(status, 200, "{answer}");
        names.extend(answer["resources"].as_array().unwrap().iter().map(|entry| entry["name"].to_string()));
        let Some(marker) = answer["page_info"]["next_marker"].as_str() else { break };
        let query = format!("marker={}&type=hcss.l-instance", marker.replace('%', "%25").replace('&', "%26"));
        target = format!("{path}?{}", signing::canonical_query(&query));
    }
    assert_eq!(names.len(), 12);
    assert_eq!(huawei.count(Call::Resources), 3);
}

#[test]
fn this_cloud_knows_accounts_projects_and_units() {
    let huawei = Huawei::start();
    assert_eq!(ask(&huawei, "GET", "/v3/auth/domains", "").1["domains"][0]["id"], DOMAIN);
    assert_eq!(ask(&huawei, "GET", "/v5/caller-identity", "").1["account_id"], DOMAIN);
    huawei.hide_domain();
    assert_eq!(ask(&huawei, "GET", "/v3/auth/domains", "").1["domains"], json!([]));
    let projects = |region: &str| {
        let (_, answer) = ask(&huawei, "GET", &format!("/v3/projects?name={region}"), "");
        answer["projects"].as_array().unwrap().len()
    };
    assert_eq!((projects(REGION), projects("cn-north-4")), (1, 0));
    huawei.unit(81, "MB", 40, None);
    huawei.unit(80, "GB", 40, Some((81, 1000)));
    let (_, answer) = ask(&huawei, "GET", "/v2/bases/conversions?measure_type=40", "");
    assert_eq!(
        answer["conversions"],
        json!([{"measure_id": 80, "ref_measure_id": 81, "conversion_ratio": 1000, "measure_type": 40}])
    );
    let (_, answer) = ask(&huawei, "GET", "/v2/bases/measurements", "");
    assert!(answer["measure_units"].as_array().unwrap().iter().any(|unit| unit["measure_id"] == 80));
}

#[test]
fn this_cloud_stops_and_starts_servers() {
    let huawei = Huawei::start();
    let action = format!("/v1/{PROJECT}/cloudservers/action");
    let order = |verb: &str, kind: &str| json!({verb: {"type": kind, "servers": [{"id": "s1"}]}}).to_string();
    let job = |answer: &Value| {
        let id = answer["job_id"].as_str().expect("a job").to_owned();
        ask(&huawei, "GET", &format!("/v1/{PROJECT}/jobs/{id}"), "").1
    };
    assert_eq!(ask(&huawei, "POST", &action, &order("os-stop", "SOFT")).1["error"]["code"], "Ecs.0114");

    huawei.server("s1", Stops::After(1));
    let show = || ask(&huawei, "GET", &format!("/v1/{PROJECT}/cloudservers/s1"), "").1["server"]["status"].clone();
    assert_eq!(show(), "ACTIVE");
    let (_, stop) = ask(&huawei, "POST", &action, &order("os-stop", "SOFT"));
    assert_eq!((job(&stop)["status"].clone(), huawei.status("s1")), (json!("RUNNING"), "ACTIVE"));
    assert_eq!((job(&stop)["status"].clone(), show()), (json!("SUCCESS"), json!("SHUTOFF")));
    let (_, start) = ask(&huawei, "POST", &action, r#"{"os-start":{"servers":[{"id":"s1"}]}}"#);
    job(&start);
    assert_eq!((job(&start)["status"].clone(), show()), (json!("SUCCESS"), json!("ACTIVE")));

    huawei.server("s1", Stops::Never);
    let (_, stop) = ask(&huawei, "POST", &action, &order("os-stop", "SOFT"));
    assert_eq!((job(&stop)["status"].clone(), show()), (json!("SUCCESS"), json!("ACTIVE")));
    ask(&huawei, "POST", &action, &order("os-stop", "HARD"));
    assert_eq!(show(), "SHUTOFF", "nobody is deaf to a power cut");

    huawei.server("s1", Stops::Fails);
    let (_, stop) = ask(&huawei, "POST", &action, &order("os-stop", "SOFT"));
    let failed = job(&stop);
    assert_eq!((failed["status"].clone(), show()), (json!("FAIL"), json!("ACTIVE")));
    assert_eq!(failed["entities"]["sub_jobs"][0]["entities"]["server_id"], "s1");
    let (status, _) = ask(&huawei, "GET", "/v1/another/cloudservers/s1", "");
    assert_eq!(status, 404, "a server is in one project");
}

#[test]
fn this_cloud_fails_as_told_and_heals() {
    let huawei = Huawei::start();
    let body = r#"{"free_resource_ids":["a"]}"#;
    huawei.next(Call::Usage, [Wrong::error(429, r#"{"error_code":"APIGW.0308"}"#), Wrong::page()]);
    assert_eq!(ask(&huawei, "POST", USAGE, body).0, 429);
    assert_eq!(ask(&huawei, "POST", USAGE, body), (200, Value::Null));
    assert_eq!(ask(&huawei, "POST", USAGE, body).0, 200);
    huawei.always(Call::Usage, Wrong::error(401, r#"{"error_msg":"ak {AK}, {AUTHORIZATION}"}"#));
    let (_, answer) = ask(&huawei, "POST", USAGE, body);
    let text = answer["error_msg"].as_str().unwrap();
    assert!(text.contains(AK) && text.contains("SignedHeaders=content-type;host"), "{text}");
    assert_eq!(ask(&huawei, "GET", "/v2/bases/measurements", "").0, 200, "others are well");
    huawei.heal();
    assert_eq!(ask(&huawei, "POST", USAGE, body).0, 200);
    assert_eq!((huawei.requests(), huawei.count(Call::Usage)), (6, 5));
    assert!(huawei.asked()[0].at.elapsed() < Duration::from_secs(20));
}

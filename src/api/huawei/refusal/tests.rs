//! Every code this program knows with its exact text, and answers of those who answer in the vendor's place.

use serde_json::json;

use super::Kind::{Again, Credentials, Forbidden, Other};
use super::*;

const NOW: &str = "2025-06-12T08:30:45Z";

fn at(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Response {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Response { status, headers, body: body.as_ref().to_vec() }
}

fn refusal(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Refusal {
    of(&response(status, headers, body), at(NOW)).expect("a refusal")
}

fn said(status: u16, body: impl AsRef<[u8]>) -> String {
    refusal(status, &[], body).text
}

/// An answer in the form of the service whose code it is.
fn body(code: &str, words: &str) -> String {
    match code.split('.').next() {
        Some("Ecs") => json!({"error": {"code": code, "message": words}}),
        _ => json!({"error_code": code, "error_msg": words}),
    }
    .to_string()
}

#[test]
fn every_known_code_has_its_advice() {
    let incorrect = "Incorrect IAM authentication information: ";
    let gateway = |words: &str| format!("{incorrect}{words}");
    for (status, code, words, kind, advice) in [
        (
            401,
            "APIGW.0301",
            gateway("verify aksk signature fail"),
            Credentials,
            "check secret_key: it is not that of access_key",
        ),
        (
            401,
            "APIGW.0301",
            gateway("ak FAKEAK not exist, or ak not exist"),
            Credentials,
            "check access_key: it is unknown, deleted or disabled",
        ),
        (
            401,
            "APIGW.0301",
            gateway("signature expired, signature time:20250612T083045Z,server time:20250612T093045Z"),
            Credentials,
            "check this machine's clock; if it is right, a temporary key has expired: renew it",
        ),
        (
            401,
            "APIGW.0301",
            gateway("AK access failed to reach the limit,forbidden"),
            Credentials,
            "the key is locked for five minutes after repeated failures: correct it, then wait",
        ),
        (
            401,
            "APIGW.0301",
            gateway("x-auth-token not found"),
            Credentials,
            "the signature did not arrive: check endpoint, and whether a proxy removes the header Authorization",
        ),
        (
            401,
            "APIGW.0301",
            gateway("decrypt token fail"),
            Credentials,
            "check access_key, secret_key and security_token",
        ),
        (401, "IAM.0001", "Unauthorized".into(), Credentials, "check access_key, secret_key and security_token"),
        (
            401,
            "CBC.0154",
            "Invalid token".into(),
            Credentials,
            "the token is invalid or has expired: renew security_token",
        ),
        (403, "CBC.0154", "Expired".into(), Credentials, "the token is invalid or has expired: renew security_token"),
        (
            403,
            "CBC.0151",
            "Access denied".into(),
            Forbidden,
            "the key lacks a permission, for quotas billing:resourcePackages:view: allow it in IAM",
        ),
        (
            403,
            "CBC.0155",
            "no permission billing:resourcePackages:view".into(),
            Forbidden,
            "the key lacks a permission, for quotas billing:resourcePackages:view: allow it in IAM",
        ),
        (
            403,
            "CBC.0150",
            "Access denied. The customer does not belong to the website you are now at".into(),
            Forbidden,
            "the account belongs to the other site: set site = \"international\" or \"china\"",
        ),
        (
            403,
            "CBC.0156",
            "x".into(),
            Forbidden,
            "the account belongs to the other site: set site = \"international\" or \"china\"",
        ),
        (403, "Ecs.0003", "no permission".into(), Forbidden, "the key lacks a permission: allow it in IAM"),
        (403, "IAM.0002", "Forbidden".into(), Forbidden, "the key lacks a permission: allow it in IAM"),
        (400, "CBC.0100", "bad".into(), Other, "a parameter is wrong: check the ids in the settings"),
        (400, "CBC.0101", "bad".into(), Other, "a parameter is wrong: check the ids in the settings"),
        (400, "Ecs.0005", "bad".into(), Other, "a parameter is wrong: check the ids in the settings"),
        (400, "RMS.00010004", "bad".into(), Other, "a parameter is wrong: check the ids in the settings"),
        (
            404,
            "APIGW.0101",
            "The API does not exist or has not been published in the environment".into(),
            Other,
            "the path, method or host is wrong: check site, endpoint and region",
        ),
        (
            404,
            "Ecs.0114",
            "Instance[x] could not be found".into(),
            Other,
            "no such server in this project: check server_id, project_id and region",
        ),
        (
            429,
            "APIGW.0308",
            "The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 minute".into(),
            Again,
            "asked too often: a later try may succeed",
        ),
        (429, "CBC.0250", "slow down".into(), Again, "asked too often: a later try may succeed"),
        (500, "CBC.0999", "Internal error".into(), Again, "the vendor's side failed: a later try may succeed"),
        (500, "APIGW.0601", "Internal error".into(), Again, "the vendor's side failed: a later try may succeed"),
        (502, "APIGW.0201", "Backend unavailable".into(), Again, "the vendor's side failed: a later try may succeed"),
        (504, "APIGW.0201", "Backend timeout".into(), Again, "the vendor's side failed: a later try may succeed"),
        (503, "APIGW.0613", "Backend unavailable".into(), Again, "the vendor's side failed: a later try may succeed"),
        (200, "CBC.0250", "slow down".into(), Again, "asked too often: a later try may succeed"),
        (200, "CBC.9999", "what".into(), Other, "see the vendor's list of error codes"),
    ] {
        let body = if status == 200 {
            json!({"error_code": code, "error_msg": words}).to_string()
        } else {
            body(code, &words)
        };
        let refusal = refusal(status, &[], body);
        assert_eq!(refusal.text, format!("status {status}: {code}: {words}: {advice}"));
        assert_eq!((refusal.kind, refusal.code.as_deref(), refusal.wait), (kind, Some(code), None), "{code}");
    }
}

#[test]
fn families_of_the_gateways_codes_have_one_advice() {
    let credentials = "the gateway expects another kind of credentials: check endpoint and security_token";
    let forbidden = "the key is not allowed to use this API or region: allow it in IAM";
    for (status, code, kind, advice) in [
        (401, "APIGW.0303", Credentials, credentials),
        (401, "APIGW.0305", Credentials, credentials),
        (401, "APIGW.0307", Credentials, credentials),
        (403, "APIGW.0302", Forbidden, forbidden),
        (403, "APIGW.0304", Forbidden, forbidden),
        (403, "APIGW.0306", Forbidden, forbidden),
        (403, "APIGW.0802", Forbidden, forbidden),
        (401, "APIGW.0301", Credentials, "check access_key, secret_key and security_token"),
        (429, "APIGW.0308", Again, "asked too often: a later try may succeed"),
    ] {
        // Both flavours of the gateway.
        for code in [code.to_owned(), code.replace('W', "")] {
            let refusal = refusal(status, &[], body(&code, "no"));
            assert_eq!(refusal.text, format!("status {status}: {code}: no: {advice}"));
            assert_eq!((refusal.kind, refusal.code), (kind, Some(code)));
        }
    }
}

#[test]
fn the_code_comes_before_the_status() {
    for (status, code, kind) in [
        (404, "Ecs.0003", Forbidden),
        (500, "Ecs.0005", Other),
        (500, "APIGW.0301", Credentials),
        (403, "CBC.0999", Again),
        (400, "APIG.0308", Again),
        (403, "CBC.7777", Forbidden),
        (401, "Ecs.7777", Credentials),
        (503, "RMS.7777", Again),
    ] {
        assert_eq!(refusal(status, &[], body(code, "no")).kind, kind, "{status} {code}");
    }
}

#[test]
fn without_a_code_the_status_counts() {
    for (status, kind, advice) in [
        (301, Other, "redirects: redirects are not followed: check site and endpoint"),
        (400, Other, "a parameter is wrong: check the ids in the settings"),
        (401, Credentials, "check access_key, secret_key and security_token"),
        (403, Forbidden, "the key lacks a permission: allow it in IAM"),
        (404, Other, "the request does not fit this server: check site, endpoint and region"),
        (405, Other, "the request does not fit this server: check site, endpoint and region"),
        (408, Again, "the vendor's side failed: a later try may succeed"),
        (429, Again, "asked too often: a later try may succeed"),
        (500, Again, "the vendor's side failed: a later try may succeed"),
        (599, Again, "the vendor's side failed: a later try may succeed"),
        (999, Other, "see the vendor's list of error codes"),
        (100, Other, "see the vendor's list of error codes"),
    ] {
        let refusal = refusal(status, &[], "");
        assert_eq!((refusal.text, refusal.kind), (format!("status {status}: {advice}"), kind));
    }
}

#[test]
fn code_and_message_are_found_in_the_sdks_order() {
    let words = |body: Value| {
        let refusal = refusal(418, &[], body.to_string());
        let advice = ": the request does not fit this server: check site, endpoint and region";
        let text =
            refusal.text.strip_prefix("status 418").and_then(|text| text.strip_suffix(advice)).map(str::to_owned);
        (refusal.code.unwrap_or_default(), text.unwrap_or(refusal.text))
    };
    let both =
        json!({"code": "c", "message": "3", "errorCode": "b", "errorMsg": "2", "error_code": "a", "error_msg": "1"});
    for (body, code, said) in [
        (both, "a", ": a: 1"),
        (json!({"code": "c", "message": "3", "errorCode": "b", "errorMsg": "2"}), "b", ": b: 2"),
        (json!({"code": "c", "message": "3", "error": {"error_code": "a", "error_msg": "1"}}), "c", ": c: 3"),
        (json!({"a": [], "error": {"x": {"code": "c", "message": "3"}}, "z": 1}), "c", ": c: 3"),
        (json!({"code": 418, "error": {"code": "c", "message": "3"}}), "c", ": c: 3"),
        (json!({"error": {"code": 418, "title": "Teapot", "message": "3"}}), "418", ": 3"),
        (json!({"error_code": 1007, "error_msg": "1"}), "1007", ": 1007: 1"),
        (json!({"error_code": "a"}), "a", ": a"),
        (json!({"error_code": "a", "error_msg": null}), "a", ": a"),
        (json!({"error_code": null, "error_msg": "1"}), "", ": 1"),
        (json!({"message": "3"}), "", ": 3"),
        (json!({"error_code": " ", "error_msg": "", "errorCode": "b", "errorMsg": "2"}), "b", ": b: 2"),
        (json!({"error_code": "a", "error_message": "part of a batch"}), "a", ": a: part of a batch"),
        (json!({"error_code": "a", "error_msg": "Ends in a point. "}), "a", ": a: Ends in a point"),
        (json!({"error_code": "a", "error_msg": "以句号结束。"}), "a", ": a: 以句号结束"),
        (json!({"error_code": ["a"], "error_msg": {}}), "", ": {\"error_code\":[\"a\"],\"error_msg\":{}}"),
        (json!({"error": "no"}), "", ": {\"error\":\"no\"}"),
    ] {
        assert_eq!(words(body.clone()), (code.to_owned(), said.to_owned()), "{body}");
    }
}

#[test]
fn numbers_are_codes_when_they_are_statuses() {
    let iam = r#"{"error":{"message":"You are not authorized","code":403,"title":"Forbidden"}}"#;
    let refused = refusal(403, &[], iam);
    assert_eq!(refused.text, "status 403: You are not authorized: the key lacks a permission: allow it in IAM");
    assert_eq!((refused.kind, refused.code.as_deref()), (Forbidden, Some("403")));
    let iam = r#"{"error":{"message":"The request requires authentication","code":401}}"#;
    assert_eq!(refusal(403, &[], iam).kind, Credentials);
    let own = refusal(400, &[], r#"{"code":5003,"message":"x"}"#);
    assert_eq!(own.text, "status 400: 5003: x: a parameter is wrong: check the ids in the settings");
}

#[test]
fn a_good_status_is_a_success_unless_a_code_says_otherwise() {
    for body in [
        "",
        "null",
        "[]",
        "7",
        "<html>",
        "{",
        "{}",
        r#"{"free_resources":[]}"#,
        r#"{"error_code":null,"errorCode":null}"#,
        r#"{"error_code":""}"#,
        r#"{"error_code":"CBC.0000","error_msg":"Success"}"#,
        r#"{"code":"1","message":"not a name of failures"}"#,
        r#"[{"error_code":"CBC.0999"}]"#,
        r#"{"entities":{"error_code":"Ecs.0000"}}"#,
    ] {
        for status in [200, 202, 204] {
            assert_eq!(of(&response(status, &[], body), at(NOW)), None, "{body}");
        }
    }
    let unknown = "see the vendor's list of error codes";
    for (body, text) in [
        (r#"{"error_code":"X.1","error_msg":"no"}"#, format!("status 200: X.1: no: {unknown}")),
        (r#"{"errorCode":"X.1","errorMsg":"no"}"#, format!("status 200: X.1: no: {unknown}")),
        (r#"{"error_code":null,"errorCode":"X.1"}"#, format!("status 200: X.1: {unknown}")),
        (r#"{"error_code":7}"#, format!("status 200: 7: {unknown}")),
        (r#"{"error_code":{}}"#, format!("status 200: {unknown}")),
        (
            r#"{"status":"FAIL","error_code":"Ecs.7","fail_reason":"busy","a":{"code":"a","message":"b"}}"#,
            format!("status 200: Ecs.7: busy: {unknown}"),
        ),
    ] {
        assert_eq!(said(200, body), text);
    }
}

#[test]
fn redirects_name_the_host_only() {
    for (location, to) in [
        (Some("https://user:pass@other.example:8443/login?token=1#x"), " to other.example:8443"),
        (Some("http://other.example"), " to other.example"),
        (Some("//other.example?x@y"), " to other.example"),
        (Some("/login?next=https://secret.example/"), ""),
        (Some("https:///x"), ""),
        (Some(""), ""),
        (None, ""),
    ] {
        let headers: Vec<_> = location.map(|location| ("location", location)).into_iter().collect();
        let refusal = refusal(302, &headers, r#"{"error_code":"CBC.0151"}"#);
        let advice = "redirects are not followed: check site and endpoint";
        assert_eq!(refusal.text, format!("status 302: redirects{to}: {advice}"));
        assert_eq!((refusal.kind, refusal.code), (Other, None));
    }
}

#[test]
fn what_others_answer_is_shown_as_it_is() {
    let advice = ": the vendor's side failed: a later try may succeed";
    for (body, words) in [
        (&b""[..], ""),
        (b" \r\n ", ""),
        (b"null", ": null"),
        (b"[]", ": []"),
        (b"{}", ": {}"),
        (b"{\"error\":", ": {\"error\""),
        (b"Bad Gateway\r\n", ": Bad Gateway"),
        (b"a\n\n\tb  c\x1b[1m", ": a b c\\u{1b}[1m"),
        (b"\xff\xfe no text", ": \u{fffd}\u{fffd} no text"),
        (b"<html><body>secret</body></html>", ": an HTML page"),
        (b"\r\n<!DOCTYPE HTML PUBLIC \"-//W3C//DTD\"><HTML>", ": an HTML page"),
        (b"<!-- x --><html>", ": an HTML page"),
        (b"<?xml version=\"1.0\"?><Error/>", ": <?xml version=\"1.0\"?><Error/>"),
        (b"no <html> at the start", ": no <html> at the start"),
    ] {
        assert_eq!(said(502, body), format!("status 502{words}{advice}"));
    }
    let nested = "{\"a\":".repeat(100_000);
    assert!(said(502, &nested).starts_with("status 502: {\"a\":{\"a\""), "{}", said(502, &nested));
    let deep = format!("{}{}{}", "{\"a\":".repeat(100), body("CBC.0999", "down"), "}".repeat(100));
    assert_eq!(said(502, deep), format!("status 502: CBC.0999: down{advice}"));
}

#[test]
fn long_words_are_cut_but_never_within_a_key() {
    let words = |words: &str| {
        let text = said(502, body("CBC.0999", words));
        let text = text.strip_prefix("status 502: CBC.0999: ").unwrap();
        text.strip_suffix(": the vendor's side failed: a later try may succeed").unwrap().to_owned()
    };
    let chinese = |count| "流".repeat(count);
    assert_eq!(words(&chinese(200)), chinese(200));
    assert_eq!(words(&chinese(201)), chinese(199) + "…");
    let key = "FAKEAK0TESTVECTOR001";
    for before in 170..=200 {
        let filler = format!("{} ", chinese(before - 1));
        let shown = words(&format!("{filler}{key} and more words"));
        let kept = shown.strip_prefix(filler.trim_end()).unwrap();
        assert!(kept.contains(key) || kept == "…", "{kept}");
        assert!(shown.chars().count() <= 200);
    }
    assert_eq!(words(&"k".repeat(1_000_000)), "…");
    assert_eq!(words(&format!("ak:{}", "k/+=_-%".repeat(100))), "ak:…");
    assert_eq!(words(&"a b. ".repeat(100)), format!("{}a b. …", "a b. ".repeat(39)).replace(". …", ".…"));
}

#[test]
fn our_own_request_is_not_shown() {
    let check = "check secret_key: it is not that of access_key";
    for echo in
        ["SDK-HMAC-SHA256 Access=FAKEAK, Signature=00", "canonicalRequest: POST|/v2", "Canonical request:\nGET\n/"]
    {
        let words = format!("verify aksk signature fail, {echo}");
        let text = said(401, body("APIGW.0301", &words));
        assert_eq!(text, format!("status 401: APIGW.0301: verify aksk signature fail, …: {check}"));
        assert_eq!(said(418, echo).matches('…').count(), 1);
    }
}

#[test]
fn the_request_is_named() {
    let id = |headers: &[(&str, &str)], body: &str| {
        let text = refusal(500, headers, body).text;
        text.split_once(" (request id ").map(|(_, id)| id.strip_suffix(')').unwrap().to_owned())
    };
    let own = r#"{"error_code":"APIGW.0601","error_msg":"x","request_id":"in-body"}"#;
    assert_eq!(id(&[], own).as_deref(), Some("in-body"));
    assert_eq!(id(&[("x-iam-trace-id", "trace")], own).as_deref(), Some("trace"));
    assert_eq!(id(&[("x-iam-trace-id", "trace"), ("x-request-id", "id")], own).as_deref(), Some("id"));
    assert_eq!(id(&[("x-request-id", " ")], "").as_deref(), None);
    assert_eq!(id(&[], r#"{"request_id":null}"#), None);
    assert_eq!(id(&[("x-request-id", &"i ".repeat(100))], "").map(|id| id.chars().count()), Some(80));
    let text = refusal(403, &[("x-request-id", "1f2e")], body("CBC.0151", "no.")).text;
    let advice = "the key lacks a permission, for quotas billing:resourcePackages:view: allow it in IAM";
    assert_eq!(text, format!("status 403: CBC.0151: no: {advice} (request id 1f2e)"));
}

#[test]
fn a_signature_that_expired_is_the_clocks_or_the_keys_fault() {
    let advice = |now: &str, date: &str| {
        let response = response(401, &[("date", date)], body("APIG.0301", "Signature expired"));
        let refusal = of(&response, at(now)).unwrap();
        assert_eq!(refusal.kind, Credentials);
        refusal.text.strip_prefix("status 401: APIG.0301: Signature expired: ").unwrap().to_owned()
    };
    let date = "Thu, 12 Jun 2025 08:30:45 GMT";
    let unknown = "check this machine's clock; if it is right, a temporary key has expired: renew it";
    let agree = "the clocks agree, so a temporary key has expired: renew it";
    for (now, date, said) in [
        (NOW, "yesterday", unknown),
        (NOW, "", unknown),
        (NOW, date, agree),
        ("2025-06-12T08:45:45Z", date, agree),
        ("2025-06-12T08:15:45Z", date, agree),
        ("2025-06-12T08:45:45.001Z", date, "this machine's clock is 15 min ahead: set it right"),
        ("2025-06-12T08:15:44Z", date, "this machine's clock is 15 min behind: set it right"),
        ("2025-06-12T10:31:44Z", date, "this machine's clock is 2 h ahead: set it right"),
        ("1970-01-01T00:00:00Z", date, "this machine's clock is 20251 d 8 h behind: set it right"),
    ] {
        assert_eq!(advice(now, date), said, "{now}");
    }
}

#[test]
fn the_vendors_wait_is_bounded() {
    let date = ("date", "Thu, 12 Jun 2025 08:00:00 GMT");
    let wait = |headers: &[(&str, &str)]| refusal(429, headers, "").wait.map(|wait| wait.as_secs());
    for (asked, seconds) in [
        ("0", Some(0)),
        (" 7 ", Some(7)),
        ("30", Some(30)),
        ("31", Some(30)),
        ("99999999999999999999999", Some(30)),
        ("Thu, 12 Jun 2025 08:00:09 GMT", Some(9)),
        ("Thu, 12 Jun 2025 09:00:00 GMT", Some(30)),
        ("Thu, 12 Jun 2025 07:59:00 GMT", Some(0)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
    ] {
        assert_eq!(wait(&[date, ("retry-after", asked)]), seconds, "{asked}");
    }
    // Without the server's clock, by this machine's.
    assert_eq!(wait(&[("retry-after", "Thu, 12 Jun 2025 08:30:50 GMT")]), Some(5));
    assert_eq!(wait(&[date]), None);
}

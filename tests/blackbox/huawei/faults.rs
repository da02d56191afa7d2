//! What the vendor, or something on the way, may answer instead of figures: never a zero, never an alert, never an
//! action, always a problem in the vendor's own words without the keys.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::*;
use crate::machine::telegram_table;

/// After `goes_wrong` the run has a problem of one line and leaves all as it was; afterwards all is well.
#[track_caller]
fn is_no_figure(goes_wrong: impl Fn(&Huawei)) {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watching(&huawei, &telegram);
    huawei.left("pkg-1", 1);
    goes_wrong(&huawei);
    let run = machine.run(&["check", "--json"]).exits(3);
    assert!(run.took < Duration::from_secs(5), "the deadline is 4 s, this took {:?}", run.took);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines.len() == 1 && lines[0].contains("huawei"), "one line that names the source: {lines:?}");
    let status = Status(run.json());
    assert_eq!(status.count("problems"), 1, "{}", status.0);
    let row = status.row();
    assert_eq!((bytes(row), &row["stale"]), ((100 * GB, 1000 * GB, 900 * GB), &Value::Bool(true)));
    assert_eq!((telegram.requests(), times(&machine)), (0, 0), "no message, no action");
    huawei.heal();
    huawei.remove("pkg-1");
    huawei.package("pkg-1", 800, 1000);
    let status = checked(&machine, 0);
    assert_eq!((bytes(status.row()).2, &status.row()["stale"]), (800 * GB, &Value::Bool(false)));
    assert_eq!((telegram.requests(), times(&machine)), (0, 0));
}

/// As [`is_no_figure`], for an answer that is always this.
#[track_caller]
fn is_no_answer(wrong: Wrong) {
    is_no_figure(|huawei| huawei.always(Call::Usage, wrong.clone()));
}

#[test]
fn a_record_without_its_amount_is_no_figure() {
    is_no_figure(|huawei| huawei.unset("pkg-1", "amount"));
}

#[test]
fn a_null_amount_is_no_figure() {
    is_no_figure(|huawei| huawei.left("pkg-1", "null"));
}

#[test]
fn an_amount_that_is_no_number_is_no_figure() {
    for amount in ["\"\"", "\"much\"", "\"1 GB\"", "\"NaN\"", "\"Infinity\"", "\"0x10\"", "true", "[]", "{}", "[100]"] {
        is_no_figure(|huawei| huawei.left("pkg-1", amount));
    }
}

#[test]
fn a_bare_nan_is_no_figure() {
    is_no_figure(|huawei| huawei.left("pkg-1", "NaN"));
}

#[test]
fn a_negative_amount_is_no_figure() {
    for amount in ["-1", "\"-0.5\""] {
        is_no_figure(|huawei| huawei.left("pkg-1", amount));
    }
}

#[test]
fn an_amount_beyond_all_measure_is_no_figure() {
    for field in ["amount", "original_amount"] {
        for amount in ["1e400", "99999999999999999999999999", "\"1e99\""] {
            is_no_figure(|huawei| huawei.set("pkg-1", field, amount));
        }
    }
}

#[test]
fn a_record_without_a_total_is_no_figure() {
    is_no_figure(|huawei| huawei.unset("pkg-1", "original_amount"));
    is_no_figure(|huawei| huawei.set("pkg-1", "original_amount", "null"));
    is_no_figure(|huawei| huawei.set("pkg-1", "original_amount", "-5"));
}

#[test]
fn a_record_without_a_unit_is_no_figure() {
    is_no_figure(|huawei| huawei.unset("pkg-1", "measure_id"));
    is_no_figure(|huawei| huawei.set("pkg-1", "measure_id", "null"));
    is_no_figure(|huawei| huawei.set("pkg-1", "measure_id", "\"GB\""));
}

#[test]
fn an_unknown_unit_that_cannot_be_looked_up_is_no_figure() {
    is_no_figure(|huawei| {
        huawei.set("pkg-1", "measure_id", "77");
        let refused = r#"{"error_code":"CBC.0151","error_msg":"Access denied."}"#;
        huawei.always(Call::Measurements, Wrong::error(403, refused));
        huawei.always(Call::Conversions, Wrong::error(403, refused));
    });
}

#[test]
fn a_unit_that_nobody_knows_is_no_figure() {
    is_no_figure(|huawei| huawei.set("pkg-1", "measure_id", "77"));
}

#[test]
fn a_unit_that_measures_no_traffic_is_no_figure() {
    is_no_figure(|huawei| huawei.set("pkg-1", "measure_id", "4"));
}

#[test]
fn five_mb_beside_a_tier_of_two_hundred_gb_is_no_figure() {
    is_no_figure(|huawei| {
        huawei.set("pkg-1", "measure_id", "11");
        huawei.set("pkg-1", "original_amount", "5");
        huawei.left("pkg-1", 5);
    });
}

#[test]
fn a_record_without_its_period_is_no_figure() {
    for field in ["start_time", "end_time"] {
        is_no_figure(|huawei| huawei.unset("pkg-1", field));
        is_no_figure(|huawei| huawei.set("pkg-1", field, "null"));
        is_no_figure(|huawei| huawei.set("pkg-1", field, "\"soon\""));
    }
}

#[test]
fn a_period_that_ends_before_it_starts_is_no_figure() {
    is_no_figure(|huawei| huawei.period("pkg-1", huawei.days(20), huawei.days(-10)));
}

#[test]
fn an_id_that_is_no_text_is_no_figure() {
    is_no_answer(Wrong::json(
        r#"{"free_resources":[{"free_resource_id":17,"amount":1,"original_amount":1000,"measure_id":10}]}"#,
    ));
}

#[test]
fn an_empty_list_is_no_figure() {
    is_no_figure(|huawei| huawei.remove("pkg-1"));
}

#[test]
fn json_of_another_shape_is_no_figure() {
    for text in ["", "null", "[]", "{}", "0", "\"ok\"", r#"{"free_resources":null}"#, r#"{"free_resources":{}}"#] {
        is_no_answer(Wrong::json(text));
    }
    is_no_answer(Wrong::json(r#"{"free_resources":[null]}"#));
    is_no_answer(Wrong::json(r#"{"free_resources":["pkg-1"]}"#));
}

#[test]
fn a_web_page_with_status_200_is_no_figure() {
    is_no_answer(Wrong::page());
}

#[test]
fn a_truncated_answer_is_no_figure() {
    is_no_answer(Wrong::Truncated);
}

#[test]
fn an_error_with_status_200_is_no_figure() {
    is_no_answer(Wrong::json(r#"{"error_code":"CBC.0999","error_msg":"Internal error."}"#));
    is_no_answer(Wrong::json(r#"{"error_code":"CBC.0999","error_msg":"Internal error.","free_resources":[]}"#));
}

#[test]
fn a_hanging_answer_ends_within_the_deadline() {
    is_no_answer(Wrong::Hang);
}

#[test]
fn an_answer_of_50_mb_ends_within_the_deadline() {
    is_no_answer(Wrong::Huge(50_000_000));
}

#[test]
fn deeply_nested_json_is_no_figure() {
    is_no_answer(Wrong::json(&format!("{{\"free_resources\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))));
}

#[test]
fn a_server_error_is_no_figure() {
    is_no_answer(Wrong::error(500, r#"{"error_code":"CBC.0999","error_msg":"Internal error."}"#));
}

#[test]
fn success_said_in_so_many_words_is_success() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    huawei.always(
        Call::Usage,
        Wrong::json(&format!(
            r#"{{"error_code":"CBC.0000","error_msg":"Success","free_resources":[{{"free_resource_id":"pkg-1",
            "amount":7,"original_amount":9,"measure_id":10,"start_time":"{}","end_time":"{}"}}]}}"#,
            cloud::utc(huawei.days(-10)),
            cloud::utc(huawei.days(20))
        )),
    );
    assert_eq!(bytes(checked(&machine, 0).row()).2, 7 * GB);
}

#[test]
fn nobody_listening_is_a_problem() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "deadline = \"6 s\"\n[source.huawei]\nendpoint = \"http://{closed}\"\nresource_ids = [\"pkg-1\"]\n[quota.package]\n"
    );
    server().config(&config).check_exits(3).complains("huawei");
}

#[test]
fn a_source_that_hangs_costs_the_others_nothing() {
    let huawei = Huawei::start();
    huawei.always(Call::Usage, Wrong::Hang);
    let config = format!(
        "deadline = \"4 s\"\n{}[source.nic]\nkind = \"interface\"\ninterfaces = [\"eth0\"]\n\
         [quota.package]\nsource = \"huawei\"\n[quota.month]\nsource = \"nic\"\nallowance = \"1 MB\"\n",
        source(&huawei, &["pkg-1"])
    );
    let machine = server().config(&config);
    machine.check_exits(3).complains("huawei");
    machine.grow("eth0", 0, 111);
    machine.check_exits(3);
    assert_eq!(machine.status().row_of("eth0")["used"], 111);
}

/// Refusals that are no use asking again: status, body, what must be told.
const REFUSED: &[(u16, &str, &[&str])] = &[
    (
        401,
        r#"{"error_msg":"Incorrect IAM authentication information: verify aksk signature fail","error_code":"APIGW.0301","request_id":"abc"}"#,
        &["APIGW.0301", "verify aksk signature fail"],
    ),
    (
        401,
        r#"{"error_msg":"Incorrect IAM authentication information: ak {AK} not exist","error_code":"APIGW.0301","request_id":"abc"}"#,
        &["APIGW.0301", "not exist"],
    ),
    (
        401,
        r#"{"error_msg":"Incorrect IAM authentication information: x-auth-token not found","error_code":"APIGW.0301"}"#,
        &["APIGW.0301", "x-auth-token not found"],
    ),
    (401, r#"{"error_msg":"Incorrect app authentication information","error_code":"APIGW.0303"}"#, &["APIGW.0303"]),
    (401, r#"{"error_msg":"Incorrect authentication information","error_code":"APIGW.0305"}"#, &["APIGW.0305"]),
    (401, r#"{"error_msg":"The token must be updated","error_code":"APIGW.0307"}"#, &["APIGW.0307"]),
    (401, r#"{"error_code":"CBC.0154","error_msg":"The token is expired."}"#, &["CBC.0154"]),
    (401, r#"{"error_code":"APIG.0301","error_msg":"Incorrect IAM authentication information"}"#, &["APIG.0301"]),
    (
        403,
        r#"{"error_msg":"The IAM user is not allowed to access the API","error_code":"APIGW.0302"}"#,
        &["APIGW.0302"],
    ),
    (403, r#"{"error_msg":"The app is not authorized","error_code":"APIGW.0304"}"#, &["APIGW.0304"]),
    (403, r#"{"error_msg":"API access denied","error_code":"APIGW.0306"}"#, &["APIGW.0306"]),
    (
        403,
        r#"{"error_msg":"The IAM user is forbidden in the currently selected region","error_code":"APIGW.0802"}"#,
        &["APIGW.0802"],
    ),
    (403, r#"{"error_code":"CBC.0151","error_msg":"Access denied"}"#, &["CBC.0151", "permission"]),
    (403, r#"{"error_code":"CBC.0155","error_msg":"Operation is not allowed"}"#, &["CBC.0155"]),
    (
        403,
        r#"{"error_code":"CBC.0150","error_msg":"The customer does not belong to the website"}"#,
        &["CBC.0150", "does not belong"],
    ),
    (
        403,
        r#"{"error_code":"CBC.0156","error_msg":"The customer does not belong to the website"}"#,
        &["CBC.0156", "does not belong"],
    ),
    (403, r#"{"error_code":"CBC.0154","error_msg":"The token is expired."}"#, &["CBC.0154"]),
    (
        403,
        r#"{"error":{"message":"You are not authorized","code":403,"title":"Forbidden"}}"#,
        &["403", "You are not authorized"],
    ),
    (400, r#"{"error_code":"CBC.0100","error_msg":"Invalid parameter free_resource_ids"}"#, &["CBC.0100"]),
    (400, r#"{"errorCode":"CBC.0101","errorMsg":"Parameter is missing"}"#, &["CBC.0101", "Parameter is missing"]),
    (
        404,
        r#"{"error_msg":"The API does not exist or has not been published","error_code":"APIGW.0101","request_id":"abc"}"#,
        &["APIGW.0101"],
    ),
    (400, r#"{"code":"Some.0001","message":"said in another way"}"#, &["Some.0001", "said in another way"]),
    (400, "no JSON at all", &["400", "no JSON at all"]),
];

#[test]
fn a_refusal_is_told_in_the_vendors_words_and_asked_once() {
    for (status, body, told) in REFUSED {
        let huawei = Huawei::start();
        huawei.package("pkg-1", 900, 1000);
        let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
        huawei.always(Call::Usage, Wrong::error(*status, body));
        let run = machine.check_exits(3).complains("huawei");
        for word in *told {
            assert!(run.stderr.contains(word), "no {word} of {status} {body}: {}", run.stderr);
        }
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert_eq!(huawei.requests(), 1, "{status} {body}");
        assert_eq!(machine.check_exits(3).stderr, "", "neither new nor changed nor a day old");
    }
}

/// Faults of the moment: status and body.
const PASSING: &[(u16, &str)] = &[
    (
        429,
        r#"{"error_msg":"The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 minute","error_code":"APIGW.0308"}"#,
    ),
    (429, r#"{"error_code":"CBC.0250","error_msg":"Too many requests"}"#),
    (500, r#"{"error_code":"CBC.0999","error_msg":"Internal error"}"#),
    (500, r#"{"error_msg":"Internal server error","error_code":"APIGW.0601"}"#),
    (502, r#"{"error_msg":"Backend unavailable","error_code":"APIGW.0201"}"#),
    (503, r#"{"error_msg":"The backend service is unavailable","error_code":"APIGW.0613"}"#),
    (504, r#"{"error_msg":"Backend timeout","error_code":"APIGW.0201"}"#),
    (503, "upstream connect error"),
];

#[test]
fn a_passing_fault_is_asked_again_a_few_times() {
    thread::scope(|scope| {
        for (status, body) in PASSING {
            scope.spawn(move || {
                let huawei = Huawei::start();
                huawei.package("pkg-1", 900, 1000);
                let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
                huawei.always(Call::Usage, Wrong::error(*status, body));
                let run = machine.check_exits(3).complains("huawei");
                assert!(run.took < Duration::from_secs(26), "half the deadline is for reading: {:?}", run.took);
                let code = body.split('"').find(|word| word.contains(".0"));
                assert!(run.stderr.contains(code.unwrap_or(body)), "{status} {body}: {}", run.stderr);
                let asked = huawei.requests();
                assert!((2..=4).contains(&asked), "{status} {body}: {asked} requests");
            });
        }
    });
}

#[test]
fn a_passing_fault_that_passes_is_no_problem() {
    for (status, body) in [PASSING[0], PASSING[5]] {
        let huawei = Huawei::start();
        huawei.package("pkg-1", 900, 1000);
        let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
        huawei.next(Call::Usage, [Wrong::error(status, body)]);
        machine.check_exits(0).quietly();
        assert_eq!(huawei.requests(), 2);
        assert_eq!(bytes(machine.status().row()).2, 900 * GB);
    }
}

#[test]
fn retry_after_is_honoured() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    let wait = |seconds: &str| {
        let headers = vec![("Retry-After", seconds.to_owned())];
        Wrong::Answer(429, headers, "application/json", PASSING[0].1.to_owned())
    };
    huawei.next(Call::Usage, [wait("3")]);
    machine.check_exits(0).quietly();
    let asked = huawei.asked();
    let pause = asked[1].at - asked[0].at;
    assert!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&pause), "{pause:?}");
    for absurd in ["86400", "99999999999999999999", "-1", "Wed, 21 Oct 2099 07:28:00 GMT", "soon"] {
        let before = huawei.requests();
        huawei.always(Call::Usage, wait(absurd));
        machine.set_config(&format!("deadline = \"4 s\"\n{}[quota.package]\n", source(&huawei, &["pkg-1"])));
        let run = machine.check_exits(3);
        assert!(run.took < Duration::from_secs(5), "{absurd}: {:?}", run.took);
        assert!(huawei.requests() - before <= 4, "{absurd}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    for status in [301, 302, 307, 308] {
        let (huawei, elsewhere) = (Huawei::start(), Huawei::start());
        huawei.package("pkg-1", 900, 1000);
        elsewhere.package("pkg-1", 1, 1000);
        let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
        let to = format!("{}/v2/payments/free-resources/usages/details/query", elsewhere.url());
        let location = vec![("Location", to)];
        huawei.always(Call::Usage, Wrong::Answer(status, location, "text/plain", String::new()));
        machine.check_exits(3).complains(&status.to_string());
        assert_eq!((huawei.requests(), elsewhere.requests()), (1, 0), "{status}");
    }
}

#[test]
fn a_wrong_secret_key_is_tried_once_a_run_and_never_locked() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let other = "NotTheRightSecretKeyForTests000000000000";
    let machine = server().secret(other).env("HUAWEICLOUD_SDK_SK", other);
    let machine = machine.config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    for runs in 1..=3 {
        let run = machine.check_exits(3);
        assert!(runs > 1 || run.stderr.contains("verify aksk signature fail"), "{}", run.stderr);
        assert_eq!(huawei.requests(), runs);
    }
    // From the third refusal on it is asked only now and then: the fifth in a row would lock the key.
    for _ in 0..5 {
        machine.check_exits(3);
    }
    assert_eq!(huawei.requests(), 3);
}

#[test]
fn an_unknown_access_key_is_told_without_the_key() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let unknown = "NQANOTHERNEVERISSUED";
    let machine = server().secret(unknown).env("HUAWEICLOUD_SDK_AK", unknown);
    let machine = machine.config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    machine.check_exits(3).complains("not exist");
    assert_eq!(huawei.requests(), 1);
}

#[test]
fn a_clock_that_is_off_is_named_as_the_cause() {
    for ahead in [3_600, -3_600] {
        let huawei = Huawei::start();
        huawei.package("pkg-1", 900, 1000);
        huawei.clock_ahead(ahead);
        let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
        machine.check_exits(3).complains("signature expired").complains("clock");
        assert_eq!(huawei.requests(), 1);
    }
}

#[test]
fn a_wrong_site_is_named_as_the_cause() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    for code in ["CBC.0150", "CBC.0156"] {
        let body = format!(r#"{{"error_code":"{code}","error_msg":"The customer does not belong to the website"}}"#);
        huawei.always(Call::Usage, Wrong::error(403, &body));
        let run = machine.check_exits(3).complains(code);
        assert!(run.stderr.replace("website", "").contains("site"), "no advice: {}", run.stderr);
    }
}

#[test]
fn keys_that_an_answer_repeats_are_shown_to_nobody() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.temporary_keys();
    huawei.package("pkg-1", 900, 1000);
    let config = format!(
        "{}security_token = \"{TOKEN}\"\nproblem_after = \"1 s\"\n[quota.package]\n{}",
        source(&huawei, &["pkg-1"]),
        telegram_table(&telegram.url())
    );
    let machine = server().config(&config);
    machine.check_exits(0);
    let echo = "ak {AK} not exist, canonicalRequest:POST||x-security-token:{TOKEN}|, {AUTHORIZATION}";
    huawei.always(Call::Usage, Wrong::error(401, &format!(r#"{{"error_code":"APIGW.0301","error_msg":"{echo}"}}"#)));
    machine.run(&["-v", "check", "--debug"]).exits(3).complains("not exist");
    machine.run(&["-v", "check"]).exits(3).complains("not exist");
    huawei.always(Call::Usage, Wrong::error(400, echo));
    thread::sleep(Duration::from_millis(1_100));
    machine.run(&["-v", "check", "--json"]).exits(3).complains("not exist");
    for args in [&["status"][..], &["status", "--json"], &["status", "--nagios"], &["status", "--prometheus"]] {
        machine.run(args);
    }
    let text = telegram.only().text;
    for secret in [AK, SK, TOKEN] {
        assert!(!text.contains(secret), "a secret in a message: {text}");
    }
}

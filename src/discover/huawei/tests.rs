//! What is shown and proposed of an account.

use super::super::run;
use super::*;
use crate::config::{self, account, secret::Need};
use crate::error::Exit;
use crate::log::Log;
use crate::testing::vendor::{AK, Vendor};
use proptest::prelude::*;
use serde_json::{Value, json};

const LISTING: &str = "/v3/payments/free-resources/query";
const DENIED: &str = r#"{"error":{"message":"You are not authorized","code":403,"title":"Forbidden"}}"#;
const OTHER_SITE: &str =
    r#"{"error_code":"CBC.0150","error_msg":"Access denied. The customer does not belong to the website"}"#;

fn instance(name: &str, packages: &[&str], server: &str) -> Value {
    let part = |kind: &str, id: &str| json!({"logical_resource_type": kind, "physical_resource_id": id});
    let packages = packages.iter().map(|id| part("huaweicloudinternal_cbc_freeresource", id));
    let mut parts: Vec<Value> = packages.chain([part("huaweicloudinternal_ecs_instance", server)]).collect();
    let address = json!([{"key": "public_ip_address", "value": "203.0.113.7"}]);
    parts.push(json!({"logical_resource_type": "huaweicloudinternal_eip", "resource_attributes": address}));
    json!({"name": name, "region_id": "ap-southeast-1", "project_id": "p-1", "properties": {"resources": parts}})
}

fn package(id: &str, product: &str, left: u64, expires: &str, status: u64, measure: u64) -> Value {
    let item =
        json!({"free_resource_id": id, "amount": left.to_string(), "original_amount": "1024", "measure_id": measure});
    json!({"product_name": product, "expire_time": expires, "status": status, "free_resources": [item]})
}

/// A vendor with these instances and packages, whose servers are on.
fn vendor(instances: &[Value], packages: &[Value]) -> Vendor {
    sees(Vendor::new(), instances, packages)
}

fn sees(vendor: Vendor, instances: &[Value], packages: &[Value]) -> Vendor {
    let listing = json!({"total_count": packages.len(), "free_resource_packages": packages});
    vendor
        .says("/v3/auth/domains", 200, r#"{"domains":[{"id":"d0d1"}]}"#)
        .says("/d0d1/all-resources", 200, json!({"resources": instances}).to_string())
        .says("cloudservers/srv-gone", 404, r#"{"error":{"code":"Ecs.0114","message":"no such server"}}"#)
        .says("/v1/p-1/cloudservers/", 200, r#"{"server":{"status":"ACTIVE"}}"#)
        .says(LISTING, 200, listing.to_string())
}

/// An account with most of what there may be.
fn account() -> (Vec<Value>, Vec<Value>) {
    let instances = [instance("vps-hk", &["pkg-1"], "srv-1"), instance("Büro 2", &["pkg-2", "pkg-3"], "srv-2")];
    let flexus = "Lightweight BGP data package";
    let packages = [
        package("pkg-1", flexus, 900, "2027-02-10T16:00:00Z", 1, 10),
        package("pkg-old", flexus, 0, "2026-02-10T16:00:00Z", 3, 10),
        package("pkg-2", flexus, 0, "2027-02-10T16:00:00Z", 2, 10),
        package("obs-1", "Storage", 40, "2027-02-10T16:00:00Z", 1, 17),
        package("cdn-1", "CDN", 1, "2027-01-01T00:00:00Z", 1, 10),
    ];
    (instances.into(), packages.into())
}

fn discovered(vendor: &Vendor) -> (Exit, String) {
    let exit = run(vendor, None, "huawei", &mut Log::new()).unwrap_or_else(|error| panic!("{error}"));
    (exit, vendor.printed())
}

/// The lines to paste, which are a configuration that is accepted.
#[track_caller]
fn pasted(printed: &str) -> toml::Table {
    let start = printed.find("\n[source").unwrap_or_else(|| panic!("nothing to paste in:\n{printed}"));
    let text = &printed[start..];
    let accepted = config::parse(&Vendor::new(), "pasted", text, Need::Nothing);
    assert!(accepted.is_ok(), "{:?}\n{text}", accepted.err());
    text.parse().unwrap()
}

#[test]
fn an_account_is_shown_and_the_configuration_for_it() {
    let (instances, packages) = account();
    let file = "[source.huawei]\nsite = \"international\"\naccess_key = \"a-literal-key\"\n";
    let (exit, printed) = discovered(&sees(Vendor::new().file(file), &instances, &packages));
    assert_eq!(exit, Exit::Done);
    assert_eq!(printed, include_str!("tests/example.out"), "{printed}");
    pasted(&printed);
}

#[test]
fn an_account_without_anything_is_said_to_be_so() {
    let (exit, printed) = discovered(&vendor(&[], &[]));
    let nothing = "the account has no Flexus L instance and no traffic package\n";
    assert_eq!((exit, printed.as_str()), (Exit::Done, nothing));
}

#[test]
fn only_what_there_is_to_meter_and_to_stop_is_proposed() {
    let of = |instances: &[Value], packages: &[Value]| discovered(&vendor(instances, packages)).1;
    let expired = package("pkg-1", "", 5, "2026-01-01T00:00:00Z", 1, 10);
    let printed = of(&[instance("vps", &["pkg-1"], "srv-1")], &[expired]);
    assert!(printed.contains("expired") && !printed.contains("[source"), "{printed}");
    let spent = json!({"status": 2, "quota_reuse_mode": 2, "free_resources": [{"free_resource_id": "pkg-1", "amount": "0", "original_amount": "9", "measure_id": 10}]});
    assert!(!of(&[], &[spent]).contains("[source"));

    let printed = of(&[instance("vps", &["pkg-1"], "srv-gone")], &[]);
    assert!(printed.contains("not found"), "{printed}");
    assert!(pasted(&printed).get("action").is_none(), "{printed}");
    assert!(printed.contains("# nothing stops a server here"), "{printed}");

    let mut nowhere = instance("vps", &["pkg-1"], "srv-1");
    nowhere["region_id"] = Value::Null;
    let (exit, printed) = discovered(&vendor(&[nowhere], &[]));
    assert_eq!((exit, pasted(&printed).get("action")), (Exit::Problems, None));
}

#[test]
fn names_that_are_alike_get_names_of_their_own() {
    let instances = [("流量", "a"), ("流量", "b"), ("stop", "c"), ("a b", "d"), ("a-b", "e")]
        .map(|(name, id)| instance(name, &[&format!("pkg-{id}")], &format!("srv-{id}")));
    let table = pasted(&discovered(&vendor(&instances, &[])).1);
    let keys = |kind: &str| table[kind].as_table().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys("quota"), ["a-b", "a-b-2", "instance", "instance-2", "stop"]);
    assert_eq!(keys("action"), ["stop-a-b", "stop-a-b-2", "stop-server", "stop-server-2", "stop-stop"]);
    let of = |quota: &str| table["quota"][quota]["tier"][2]["actions"][0].as_str().unwrap().to_owned();
    assert_eq!(table["action"][&of("a-b-2")]["server_id"].as_str(), Some("srv-e"));
}

proptest! {
    #[test]
    fn no_name_becomes_more_than_a_name(name in "[\\x00-\\x7f\u{85}\u{2028}流\"'\\[\\]\n\r#=\\\\]{0,80}", product in "\\PC{0,20}|[\n\"#]{0,5}") {
        let instances = [instance(&name, &["pkg-1"], "srv-1")];
        let packages = [package("pkg-2", &product, 1, "2027-01-01T00:00:00Z", 1, 10)];
        let printed = discovered(&vendor(&instances, &packages)).1;
        prop_assert!(!printed.chars().any(|c| c.is_control() && c != '\n'));
        let table = pasted(&printed);
        prop_assert_eq!(table.keys().collect::<Vec<_>>(), ["action", "quota", "source"]);
        prop_assert_eq!(table["source"].as_table().unwrap().len(), 1);
        let ids = table["source"]["huawei"]["resource_ids"].as_array().unwrap();
        prop_assert_eq!(ids.iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>(), ["pkg-1", "pkg-2"]);
        prop_assert_eq!(table["quota"].as_table().unwrap().len(), 2);
        prop_assert_eq!(table["action"].as_table().unwrap().len(), 1);
    }
}

#[test]
fn the_site_is_found_out_where_nothing_says_it() {
    let (china, international) = ("https://bss.myhuaweicloud.com", "https://bss-intl.myhuaweicloud.com");
    let (instances, packages) = account();
    let with = |denied: &[&'static str]| {
        let new = denied.iter().fold(Vendor::new(), |vendor, base| vendor.says(base, 403, OTHER_SITE));
        sees(new, &instances, &packages)
    };
    for (denied, site) in [(&[][..], "china"), (&[china], "international"), (&[china, international], "europe")] {
        let vendor = with(denied);
        let (exit, printed) = discovered(&vendor);
        assert_eq!(exit, Exit::Done, "{site}");
        assert_eq!(pasted(&printed)["source"]["huawei"]["site"].as_str(), Some(site));
        let asked = vendor.asked();
        assert_eq!(asked.iter().filter(|asked| asked.contains(LISTING)).count(), denied.len() + 1);
        let suffix = if site == "europe" { ".myhuaweicloud.eu/" } else { ".myhuaweicloud.com/" };
        assert!(asked.iter().skip(denied.len()).all(|asked| asked.contains(suffix)), "{asked:#?}");
    }
    let (exit, printed) = discovered(&with(&["https://bss"]));
    assert_eq!(exit, Exit::Problems);
    assert!(printed.contains("# the site could not be found out"), "{printed}");
}

#[test]
fn each_call_that_fails_is_named_with_its_permission() {
    let (instances, packages) = account();
    let told = |part: &'static str| {
        let vendor = sees(Vendor::new().says(part, 403, DENIED), &instances, &packages);
        let found = account::load(&vendor, None, "huawei").unwrap();
        let survey = Survey::take(&vendor, &found).unwrap();
        (survey.exit(), survey.failures)
    };
    for (part, what, permission) in [
        (LISTING, "listing packages", "billing:resourcePackages:view"),
        ("all-resources", "listing instances", "rms:resources:list"),
        ("cloudservers/", "looking at server srv-1 and 1 more", "ecs:cloudServers:get"),
    ] {
        let (exit, failures) = told(part);
        assert_eq!((exit, failures.len()), (Exit::Problems, 1), "{failures:?}");
        assert!(failures[0].starts_with(what) && failures[0].contains(permission), "{failures:?}");
        assert!(failures[0].contains("You are not authorized"), "{failures:?}");
    }
    let vendor = sees(Vendor::new().says("/v3/auth", 403, DENIED).says("/v5/", 403, DENIED), &instances, &packages);
    let (exit, printed) = discovered(&vendor);
    assert!(exit == Exit::Problems && printed.contains("pkg-1"), "{printed}");
    assert_eq!(told(""), (Exit::Failed, told("").1));
}

#[test]
fn a_key_that_is_refused_is_not_tried_on() {
    let refused =
        r#"{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information: ak AK not exist"}"#;
    let vendor = Vendor::new().says("", 401, refused.replace("AK", AK));
    let (exit, printed) = discovered(&vendor);
    assert_eq!((exit, printed.as_str(), vendor.asked().len()), (Exit::Failed, "", 1));
}

#[test]
fn where_nobody_answers_there_is_nothing_to_show() {
    let vendor = Vendor::new();
    assert_eq!(discovered(&vendor), (Exit::Failed, String::new()));
    assert!(vendor.elapsed().as_secs() < 50, "the deadline");
}

#[test]
fn only_the_source_itself_has_to_be_right() {
    let load = |file: &str, wanted: &str| match account::load(&Vendor::new().file(file), None, wanted) {
        Ok(found) => Ok((found.source, found.candidates.len(), found.deadline.as_secs())),
        Err(error) => Err((error.exit, error.text)),
    };
    let rest =
        "deadline = \"20 s\"\nlanguage = 7\n[quota.x]\nsource = \"nobody\"\n[source.nic]\nkind = \"interface\"\n";
    let one = format!("{rest}[source.hw]\nkind = \"huawei\"\nsite = \"china\"\nresource_ids = []\n");
    for wanted in ["huawei", "hw"] {
        assert_eq!(load(&one, wanted), Ok(("hw".into(), 1, 20)));
    }
    assert_eq!(load(rest, "huawei"), Ok(("huawei".into(), 3, 20)));
    let two = format!("[source.hw2]\nkind = \"huawei\"\nsitee = \"x\"\n{}", one.replace("deadline", "[x]\ndeadline"));
    assert_eq!(load(&two, "hw"), Ok(("hw".into(), 1, 50)));
    let file = "/etc/netquota/config.toml";
    for (text, wanted, error) in [
        (two.as_str(), "huawei", "which source of kind huawei? One of hw, hw2".to_owned()),
        (&two, "hv2", "there is no source \"hv2\" of kind huawei or pve; did you mean \"hw2\"?".into()),
        (&one, "nic", "there is no source \"nic\" of kind huawei or pve; nearest are hw, pve, huawei".into()),
        (
            &two,
            "hw2",
            format!(
                "{file}:1: source.hw2: site is missing: china, international or europe, that of the account (or \
                 endpoint, an address)\n{file}:3: source.hw2.sitee: unknown key; did you mean \"site\"?"
            ),
        ),
    ] {
        assert_eq!(load(text, wanted), Err((Exit::Usage, error)), "{wanted}");
    }
    let keyless = account::load(&Vendor::default(), None, "huawei").err().unwrap();
    let missing = |key: &str, variable: &str| {
        format!("source.huawei.{key}: it is missing, and the environment variable {variable} is not set")
    };
    assert_eq!(keyless.exit, Exit::Usage);
    assert!(keyless.text.contains(&missing("access_key", "HUAWEICLOUD_SDK_AK")), "{}", keyless.text);
    assert!(keyless.text.contains(&missing("secret_key", "HUAWEICLOUD_SDK_SK")), "{}", keyless.text);
}

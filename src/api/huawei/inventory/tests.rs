//! Listings, page by page. The answers follow the vendor's API references (Config v1, BSS v3, IAM v3, STS v5, read in
//! 2026); all ids are invented.

use super::*;
use crate::config::account;
use crate::testing::vendor::Vendor;
use std::sync::Arc;

const FIRST: &str = include_str!("../fixtures/instances-1.json");
const SECOND: &str = include_str!("../fixtures/instances-2.json");
const PACKAGES: &str = include_str!("../fixtures/packages.json");
const LISTING: &str = "/v3/payments/free-resources/query";
const UNTIL: Duration = Duration::from_secs(50);
const GB: u64 = 1 << 30;

fn account(vendor: &Vendor) -> Arc<Account> {
    let found = account::load(vendor, None, "huawei").unwrap_or_else(|error| panic!("{error}"));
    match &found.candidates[0].account {
        crate::api::Account::Huawei(account) => Arc::clone(account),
        crate::api::Account::Pve(_) => panic!("another vendor"),
    }
}

fn instances(vendor: &Vendor) -> Listing<Instance> {
    account(vendor).instances(vendor, "d0d1", UNTIL)
}

fn packages(vendor: &Vendor) -> Listing<Listed> {
    account(vendor).listed_packages(vendor, UNTIL)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn instances_are_read_page_by_page_and_what_they_lack_is_missing() {
    let vendor = Vendor::new().says("marker=", 200, SECOND).says("all-resources", 200, FIRST);
    let listing = instances(&vendor);
    assert_eq!(listing.failure, None);
    let whole = Instance {
        name: "vps-hk".into(),
        region: Some("ap-southeast-1".into()),
        project: Some("0f1e2d3c4b5a69788796a5b4c3d2e1f0".into()),
        packages: texts(&["11111111111111111111111111111111", "22222222222222222222222222222222"]),
        servers: texts(&["0a1b2c3d-0000-4000-8000-00000000ec51"]),
        addresses: texts(&["203.0.113.7"]),
    };
    let nameless = Instance { name: "0a1b2c3d-0000-4000-8000-000000000003".into(), ..Instance::default() };
    let bare = Instance { name: "bare".into(), ..Instance::default() };
    assert_eq!(listing.items, [whole, nameless, bare]);
    let start = "https://rms.myhuaweicloud.com/v1/resource-manager/domains/d0d1/all-resources?limit=100";
    let asked =
        [format!("{start}&type=hcss.l-instance"), format!("{start}&marker=m%26%2F%2B%3D%251&type=hcss.l-instance")];
    assert_eq!(vendor.asked(), asked);
}

#[test]
fn a_marker_that_comes_again_ends_the_listing_with_an_error() {
    let vendor = Vendor::new().says("all-resources", 200, FIRST);
    let listing = instances(&vendor);
    assert_eq!((listing.items.len(), vendor.asked().len()), (2, 2));
    assert_eq!(listing.failure.map(|failure| failure.text).as_deref(), Some("the listing does not end"));
}

#[test]
fn a_listing_that_breaks_off_keeps_what_it_had() {
    let denied = r#"{"error_code":"RMS.00010007","error_msg":"not authorized"}"#;
    let vendor = Vendor::new().says("marker=", 403, denied).says("all-resources", 200, FIRST);
    let listing = instances(&vendor);
    assert_eq!(listing.items.len(), 1);
    assert_eq!(listing.failure.map(|failure| failure.cause), Some(Cause::Forbidden));
}

#[test]
fn what_is_no_listing_is_none() {
    for body in ["<html>Sign in</html>", "[]", "{}", r#"{"resources":7}"#, "", "null"] {
        let vendor = Vendor::new().says("", 200, body);
        let (instances, packages) = (instances(&vendor), packages(&vendor));
        assert!(instances.items.is_empty() && packages.items.is_empty(), "{body}");
        assert_eq!(instances.failure.map(|failure| failure.cause), Some(Cause::Unknown), "{body}");
        assert_eq!(packages.failure.map(|failure| failure.cause), Some(Cause::Unknown), "{body}");
    }
    let listing = packages(&Vendor::new().says("", 200, r#"{"total_count":0,"free_resource_packages":null}"#));
    assert!(listing.items.is_empty() && listing.failure.is_none());
}

/// Units nobody has a table of: a GB of a thousand MB, and one that is no traffic.
fn with_units(vendor: Vendor) -> Vendor {
    let measures = r#"{"measure_units":[{"measure_id":60,"abbreviation":"GB","measure_type":40},
        {"measure_id":61,"abbreviation":"MB","measure_type":40},{"measure_id":70,"abbreviation":"call","measure_type":9}]}"#;
    let conversions =
        r#"{"conversions":[{"measure_id":60,"ref_measure_id":61,"conversion_ratio":1000,"measure_type":40}]}"#;
    vendor.says("/v2/bases/measurements", 200, measures).says("/v2/bases/conversions", 200, conversions)
}

#[test]
fn packages_are_read_from_their_digits_and_those_of_no_traffic_are_known() {
    let vendor = with_units(Vendor::new()).says(LISTING, 200, PACKAGES);
    let listing = packages(&vendor);
    assert_eq!(listing.failure, None);
    let read: Vec<(&str, &Holds)> = listing.items.iter().map(|listed| (listed.id.as_str(), &listed.holds)).collect();
    let traffic = |left, total| Holds::Traffic { left, total };
    let first = traffic(1023 * GB + GB / 2, 2048 * GB);
    // A tenth of a MB is no whole number of bytes: what is left is never shown as less.
    let second = traffic(104_858, 100 << 20);
    let third = traffic(2_000_000_000, 3_000_000_000);
    assert_eq!(
        read,
        [
            ("11111111111111111111111111111111", &first),
            ("22222222222222222222222222222222", &second),
            ("storage-1", &Holds::Other),
            ("old-1", &Holds::Unknown("its amount is missing".into())),
            ("cdn-1", &third),
            ("cdn-2", &third),
            ("calls-1", &Holds::Other),
        ]
    );
    assert_eq!(vendor.asked().iter().filter(|asked| asked.contains("conversions")).count(), 1);
    let of = |at: usize| (listing.items[at].standing, listing.items[at].resets, listing.items[at].expires.is_some());
    assert_eq!(of(0), (Standing::InEffect, Some(true), true));
    assert_eq!(of(2), (Standing::UsedUp, Some(false), false));
    assert_eq!(of(3), (Standing::Expired, None, true));
    assert_eq!(of(4), (Standing::Ahead, None, false));
}

#[test]
fn a_unit_that_cannot_be_looked_up_is_asked_for_once_and_never_guessed() {
    let vendor = Vendor::new().says(LISTING, 200, PACKAGES).says("/v2/bases", 403, "{}");
    let listing = packages(&vendor);
    let unknown = listing.items.iter().filter(|listed| matches!(listed.holds, Holds::Unknown(_)));
    assert_eq!(unknown.map(|listed| listed.id.as_str()).collect::<Vec<_>>(), ["old-1", "cdn-1", "cdn-2", "calls-1"]);
    assert_eq!(vendor.asked().iter().filter(|asked| asked.contains("/v2/bases")).count(), 2, "once for each unit");
}

#[test]
fn packages_are_listed_until_all_were_there() {
    let page = |total: usize, count: usize| {
        let package =
            r#"{"free_resources":[{"free_resource_id":"p","amount":"1","original_amount":"1","measure_id":10}]}"#;
        format!(r#"{{"total_count":{total},"free_resource_packages":[{}]}}"#, vec![package; count].join(","))
    };
    let vendor = Vendor::new().says(r#""offset":0}"#, 200, page(150, 100)).says(LISTING, 200, page(150, 50));
    let listing = packages(&vendor);
    assert_eq!((listing.items.len(), listing.failure), (150, None));
    let bodies: Vec<String> = vendor.asked().iter().filter_map(|asked| Some(asked.split_once(' ')?.1.into())).collect();
    assert_eq!(bodies, [r#"{"limit":100,"offset":0}"#, r#"{"limit":100,"offset":100}"#]);

    // A page without any ends it, and so does a vendor that goes on for ever.
    let vendor = Vendor::new().says(r#""offset":0}"#, 200, page(150, 100)).says(LISTING, 200, page(150, 0));
    let listing = packages(&vendor);
    assert_eq!((listing.items.len(), vendor.asked().len()), (100, 2));
    assert_eq!(listing.failure.unwrap().text, "the listing ends after 100 of 150 packages");
    let vendor = Vendor::new().says(LISTING, 200, page(usize::MAX, 1));
    let listing = packages(&vendor);
    assert_eq!((listing.items.len(), vendor.asked().len()), (PAGES, PAGES));
    assert_eq!(listing.failure.unwrap().text, "the listing does not end");
}

#[test]
fn the_account_is_what_is_written_else_what_iam_says_else_what_sts_says() {
    let iam = r#"{"domains":[{"id":"d-iam","name":"n","enabled":true}],"links":{}}"#;
    let sts = r#"{"account_id":"d-sts","principal_urn":"iam::d-sts:user:x"}"#;
    let denied = r#"{"error":{"message":"You are not authorized","code":403,"title":"Forbidden"}}"#;
    let found = |vendor: &Vendor| account(vendor).domain_id(vendor, UNTIL);
    let (domains, caller) = (
        "https://iam.myhuaweicloud.com/v3/auth/domains",
        "https://sts.cn-north-4.myhuaweicloud.com/v5/caller-identity",
    );

    let vendor = Vendor::new().env("HUAWEICLOUD_SDK_DOMAIN_ID", "d-env");
    assert_eq!((found(&vendor).unwrap().as_str(), vendor.asked().len()), ("d-env", 0));
    let vendor = Vendor::new().says("/v3/auth/domains", 200, iam);
    assert_eq!((found(&vendor).unwrap().as_str(), vendor.asked()), ("d-iam", texts(&[domains])));
    for (status, body) in [(200, r#"{"domains":[]}"#), (403, denied), (200, "<html>")] {
        let vendor = Vendor::new().says("/v3/auth/domains", status, body).says("/v5/caller-identity", 200, sts);
        assert_eq!((found(&vendor).unwrap().as_str(), vendor.asked()), ("d-sts", texts(&[domains, caller])));
    }
    let temporary = Vendor::new().env("HUAWEICLOUD_SDK_SECURITY_TOKEN", "t").says("/v5/caller-identity", 200, sts);
    assert_eq!((found(&temporary).unwrap().as_str(), temporary.asked()), ("d-sts", texts(&[caller])));

    let vendor = Vendor::new().says("/v3/auth/domains", 200, r#"{"domains":[]}"#).says("/v5", 403, denied);
    let failure = found(&vendor).unwrap_err();
    assert!(failure.text.starts_with("IAM shows no account to this key; STS: status 403: You are not"), "{failure:?}");
    let hostile = Vendor::new().says("/v3/auth/domains", 200, iam.replace("d-iam", "../x")).says("/v5", 200, sts);
    assert_eq!(found(&hostile).unwrap(), "d-sts");
}

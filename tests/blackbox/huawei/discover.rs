//! `discover huawei`: the instances of an account, what to write for them, and what could not be seen.

use super::*;
use crate::machine::{Run, names};
use cloud::{DOMAIN, REGION, Stops};

fn explorer(huawei: &Huawei) -> Machine {
    server().config(&format!("{}[quota.package]\n", source_and_services(huawei, &["pkg-1"])))
}

/// An account with one instance, its package, its server and its address.
fn account() -> Huawei {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    huawei.server("srv-1", Stops::After(0));
    huawei.instance("vps-hk", &["pkg-1"], "srv-1", "203.0.113.7");
    huawei
}

/// The configuration among what was printed: from the first table's head to the end.
#[track_caller]
fn printed_config(run: &Run) -> String {
    let lines: Vec<&str> = run.stdout.lines().collect();
    let start = lines.iter().position(|line| line.starts_with("[source"));
    let start = start.unwrap_or_else(|| panic!("no configuration in:\n{}", run.stdout));
    lines[start..].join("\n")
}

/// Nothing was asked that changes anything, and nothing was written.
#[track_caller]
fn only_looked(huawei: &Huawei, machine: &Machine) {
    for asked in huawei.asked() {
        let reads = asked.method == "GET" || matches!(asked.call, Some(Call::Usage | Call::Listing));
        assert!(reads, "{asked:?}");
    }
    assert!(names(machine.state_dir()).is_empty(), "a state was made");
}

#[test]
fn an_instance_is_shown_with_all_that_a_configuration_needs() {
    let huawei = account();
    let machine = explorer(&huawei);
    let run = machine.run(&["discover", "huawei"]).exits(0);
    for part in ["vps-hk", "pkg-1", "srv-1", "203.0.113.7", REGION] {
        assert!(run.stdout.contains(part), "no {part} in:\n{}", run.stdout);
    }
    only_looked(&huawei, &machine);
    assert!(huawei.asked().iter().any(|asked| asked.call == Some(Call::Resources)));
}

#[test]
fn what_is_printed_to_be_pasted_is_a_configuration() {
    let huawei = account();
    let config = printed_config(&explorer(&huawei).run(&["discover", "huawei"]).exits(0));
    let table: toml::Table = config.parse().unwrap_or_else(|e| panic!("{e}:\n{config}"));
    for id in ["pkg-1", "srv-1", REGION] {
        assert!(table.to_string().contains(id), "no {id} in:\n{config}");
    }
    // Where the listing was for lack of a site an address, the reader has it in his own configuration.
    let config = if config.contains("endpoint") || config.contains("site") {
        config
    } else {
        config.replacen("[source.huawei]", "[source.huawei]\nsite = \"international\"", 1)
    };
    server().config(&config).run(&["config", "check"]).exits(0);
}

#[test]
fn neither_ids_nor_the_rest_of_the_configuration_are_needed() {
    let huawei = account();
    let source = source_and_services(&huawei, &["pkg-1"]).replace("resource_ids = [\"pkg-1\"]\n", "");
    let machine = server().config(&format!("language = 7\n{source}[quota.x]\nsource = \"nobody\"\n"));
    let config = printed_config(&machine.run(&["discover", "huawei"]).exits(0));
    assert!(config.contains("resource_ids") && config.contains("pkg-1"), "{config}");
    machine.run(&["discover", "huawai"]).exits(2).complains("did you mean \"huawei\"");
    machine.run(&["config", "check"]).exits(2);
}

#[test]
fn a_server_that_may_not_be_seen_is_named_with_the_permission() {
    let huawei = account();
    let denied = r#"{"error":{"code":"Ecs.0003","message":"Policy doesn't allow it"}}"#;
    huawei.always(Call::Server, Wrong::error(403, denied));
    let run = explorer(&huawei).run(&["discover", "huawei"]).exits(3).complains("ecs:cloudServers:get");
    assert!(printed_config(&run).contains("ecs:cloudServers:stop"), "{}", run.stdout);
}

#[test]
fn all_pages_are_shown() {
    let huawei = Huawei::start();
    for n in 0..25 {
        huawei.package(&format!("pkg-{n:02}"), 900, 1000);
        huawei.instance(&format!("vps-{n:02}"), &[&format!("pkg-{n:02}")], &format!("srv-{n:02}"), "203.0.113.7");
    }
    huawei.page(7);
    let run = explorer(&huawei).run(&["discover", "huawei"]).exits(0);
    for n in 0..25 {
        for part in [format!("vps-{n:02}"), format!("pkg-{n:02}"), format!("srv-{n:02}")] {
            assert!(run.stdout.contains(&part), "no {part} in:\n{}", run.stdout);
        }
    }
    assert_eq!(huawei.count(Call::Resources), 4);
}

#[test]
fn an_instance_with_several_packages_shows_them_all() {
    let huawei = Huawei::start();
    for id in ["pkg-1", "pkg-2"] {
        huawei.package(id, 900, 1000);
    }
    huawei.instance("vps-hk", &["pkg-1", "pkg-2"], "srv-1", "203.0.113.7");
    let run = explorer(&huawei).run(&["discover", "huawei"]).exits(0);
    let config = printed_config(&run);
    assert!(config.contains("pkg-1") && config.contains("pkg-2"), "{config}");
}

#[test]
fn an_account_that_iam_does_not_show_is_found_by_sts() {
    let huawei = account();
    huawei.hide_domain();
    explorer(&huawei).run(&["discover", "huawei"]).exits(0).prints("vps-hk");
    assert_eq!(huawei.count(Call::Caller), 1);
    assert!(huawei.count(Call::Domains) <= 1);
}

#[test]
fn temporary_keys_find_their_account_too() {
    let huawei = account();
    huawei.temporary_keys();
    let machine = explorer(&huawei).env("HUAWEICLOUD_SDK_SECURITY_TOKEN", TOKEN);
    machine.run(&["discover", "huawei"]).exits(0).prints("vps-hk");
}

#[test]
fn a_listing_that_is_not_permitted_is_named_and_the_rest_is_shown() {
    let huawei = account();
    let machine = explorer(&huawei);
    let denied = r#"{"error_code":"RMS.00010007","error_msg":"not authorized: rms:resources:list"}"#;
    huawei.always(Call::Resources, Wrong::error(403, denied));
    let run = machine.run(&["discover", "huawei"]).exits(3).complains("RMS.00010007");
    assert!(run.stdout.contains("pkg-1"), "the packages are shown: {}", run.stdout);
    huawei.heal();

    let denied = r#"{"error_code":"CBC.0151","error_msg":"not authorized: billing:resourcePackages:view"}"#;
    huawei.always(Call::Listing, Wrong::error(403, denied));
    huawei.always(Call::Usage, Wrong::error(403, denied));
    let run = machine.run(&["discover", "huawei"]).exits(3).complains("CBC.0151");
    for part in ["vps-hk", "pkg-1", "srv-1"] {
        assert!(run.stdout.contains(part), "the instances are shown: {}", run.stdout);
    }
    only_looked(&huawei, &machine);
}

#[test]
fn an_account_that_cannot_be_found_out_is_named_and_the_packages_are_shown() {
    let huawei = account();
    let denied = r#"{"error":{"message":"You are not authorized","code":403,"title":"Forbidden"}}"#;
    for call in [Call::Domains, Call::Caller, Call::Projects] {
        huawei.always(call, Wrong::error(403, denied));
    }
    let run = explorer(&huawei).run(&["discover", "huawei"]).exits(3).complains("You are not authorized");
    assert!(run.stdout.contains("pkg-1"), "{}", run.stdout);
    assert!(!run.stdout.contains(DOMAIN));
}

#[test]
fn nothing_there_is_said_so() {
    let huawei = Huawei::start();
    let run = explorer(&huawei).run(&["discover", "huawei"]);
    assert!(matches!(run.code(), 0 | 3), "{run:?}");
    assert!(!run.stdout.is_empty() || !run.stderr.is_empty(), "something is said");
}

#[test]
fn names_of_the_account_are_shown_as_names() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let name = "a\"]\n[action.x]\nkind = \"command\" \u{1b}[31m 流量";
    huawei.instance(name, &["pkg-1"], "srv-1", "203.0.113.7");
    let run = explorer(&huawei).run(&["discover", "huawei"]).exits(0);
    assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
    let table: toml::Table = printed_config(&run).parse().unwrap();
    assert!(table.get("action").and_then(|actions| actions.get("x")).is_none(), "{table}");
}

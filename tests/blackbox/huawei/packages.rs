//! The packages as a source: figures, units, ids, keys, pools.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::machine::{names, snapshot};

/// The contract's second example, with this cloud's address, and a command that leaves a mark in the place of a shutdown.
fn minimal(huawei: &Huawei, telegram: &Telegram, machine: &Machine) -> String {
    format!(
        "{}[quota.package]\ntier = [\n  {{ remaining = \"500 GB\", repeat = \"24 h\" }},\n  \
         {{ remaining = \"300 GB\", repeat = \"1 h\" }},\n  {{ remaining = \"200 GB\", actions = [\"shutdown\"] }},\n]\n\
         [action.shutdown]\ncommand = {}\n{}",
        source(huawei, &["pkg-1"]),
        counting(machine),
        telegram_table(&telegram.url())
    )
}

#[test]
fn the_contracts_second_example_tells_each_tier_and_shuts_down_at_the_last() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.package("pkg-1", 900, 1000);
    let machine = server();
    let config = minimal(&huawei, &telegram, &machine);
    let machine = machine.config(&config);
    machine.check_exits(0).quietly();
    for (told, tier) in [(0, 500), (1, 300), (2, 200)] {
        huawei.left("pkg-1", format!("{tier}.0000001"));
        machine.check_exits(0).quietly();
        assert_eq!(telegram.messages().len(), told, "{tier} GB is not reached yet");
        assert_eq!(times(&machine), 0);
        huawei.left("pkg-1", tier);
        machine.check();
        assert_eq!(telegram.messages().len(), told + 1, "{tier} GB");
        let text = telegram.texts().pop().unwrap();
        for part in ["pkg-1", "1000 GB", &format!("{tier} GB")] {
            assert!(text.contains(part), "no {part} in:\n{text}");
        }
    }
    assert_eq!(times(&machine), 1, "shut down at 200 GB");
    machine.check();
    assert_eq!((times(&machine), telegram.messages().len()), (1, 3), "once");
}

#[test]
fn the_document_has_the_packages_figures() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 750, 1000);
    let machine = server().config(&format!("{}[quota.package]\ntiers = [\"25%\"]\n", source(&huawei, &["pkg-1"])));
    let status = checked_with_alert(&machine);
    let row = status.row();
    assert_eq!(bytes(row), (250 * GB, 1000 * GB, 750 * GB));
    assert_eq!(row["percent"].as_f64(), Some(25.0));
    assert_eq!(row["subject"], "pkg-1");
    assert_eq!((&row["quota"], &row["source"]), (&json!("package"), &json!("huawei")));
    assert_eq!((&row["stale"], &row["estimated"], &row["tier"]), (&json!(false), &json!(false), &json!("25%")));
    assert_eq!(row["period"]["kind"], "provider");
    assert_eq!(time_of(&row["period"]["start"]), huawei.days(-10));
    assert_eq!(time_of(&row["period"]["end"]), huawei.days(20));
    assert!((time::OffsetDateTime::now_utc() - time_of(&row["as_of"])).abs() < time::Duration::minutes(1));
}

/// Without a notifier the alert goes to standard output, before the document: only the saved document is asked.
#[track_caller]
fn checked_with_alert(machine: &Machine) -> Status {
    machine.check_exits(0);
    machine.status()
}

#[test]
fn one_request_per_run_and_silence_when_nothing_happens() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watching(&huawei, &telegram);
    for runs in 2..=4 {
        machine.check_exits(0).quietly();
        assert_eq!((huawei.requests(), huawei.count(Call::Usage)), (runs, runs));
    }
    machine.status();
    machine.run(&["status"]).exits(0);
    assert_eq!(huawei.requests(), 4, "status asks nobody");
    assert_eq!(telegram.requests(), 0);
    assert_eq!(huawei.bodies(Call::Usage)[0], json!({"free_resource_ids": ["pkg-1"]}));
    assert!(!huawei.asked()[0].headers.contains_key("x-security-token"), "permanent keys have no token");
}

#[test]
fn amounts_are_read_from_their_digits() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    for (amount, millionths) in [
        ("123.456", 123_456_000),
        ("\"123.456\"", 123_456_000),
        ("100", 100_000_000),
        ("\"100.000\"", 100_000_000),
        ("1e2", 100_000_000),
        ("0.000001", 1),
        ("999.999999", 999_999_999),
        ("0.1", 100_000),
        ("0", 0),
        ("\"0.00\"", 0),
        ("1000", 1_000_000_000),
    ] {
        huawei.left("pkg-1", amount);
        let left = u64::try_from((u128::from(GB) * millionths).div_ceil(1_000_000)).unwrap();
        assert_eq!(bytes(checked(&machine, 0).row()), (1000 * GB - left, 1000 * GB, left), "{amount} GB left");
    }
    huawei.left("pkg-1", 900);
    huawei.set("pkg-1", "original_amount", "\"1000.5\"");
    assert_eq!(bytes(checked(&machine, 0).row()), (100 * GB + GB / 2, 1000 * GB + GB / 2, 900 * GB));
}

#[test]
fn a_package_in_mb_is_read_in_mb() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 512, 2048);
    huawei.set("pkg-1", "measure_id", "11");
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    assert_eq!(bytes(checked(&machine, 0).row()), (GB + GB / 2, 2 * GB, GB / 2), "1 GB is 1024 MB");
}

#[test]
fn a_unit_that_is_in_no_table_is_looked_up() {
    let huawei = Huawei::start();
    huawei.unit(83, "Byte", 40, None);
    huawei.unit(82, "KB", 40, Some((83, 1000)));
    huawei.unit(81, "MB", 40, Some((82, 1000)));
    huawei.unit(80, "GB", 40, Some((81, 1000)));
    huawei.package("pkg-1", 300, 1000);
    huawei.set("pkg-1", "measure_id", "80");
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    let (used, allowance, left) = (700_000_000_000, 1_000_000_000_000, 300_000_000_000);
    assert_eq!(bytes(checked(&machine, 0).row()), (used, allowance, left), "steps of 1000");
    let asked: Vec<_> = huawei.asked().into_iter().filter(|asked| asked.call == Some(Call::Conversions)).collect();
    assert!(huawei.count(Call::Measurements) >= 1 && asked.len() <= 1, "asked for units, and for one kind");
    for asked in asked {
        assert_eq!(asked.query, [("measure_type".to_owned(), "40".to_owned())]);
    }
}

#[test]
fn a_written_allowance_stands_above_the_packages_total() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let config = format!("{}[quota.package]\nallowance = \"500 GB\"\n", source(&huawei, &["pkg-1"]));
    let machine = server().config(&config);
    assert_eq!(bytes(checked(&machine, 0).row()), (100 * GB, 500 * GB, 400 * GB));
}

#[test]
fn unit_base_says_what_a_written_gb_is_and_changes_no_figure() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.package("pkg-1", 466, 1000);
    let config = format!(
        "{}[quota.package]\nunit_base = 1000\ntier = [{{ remaining = \"500 GB\" }}]\n{}",
        source(&huawei, &["pkg-1"]),
        telegram_table(&telegram.url())
    );
    let machine = server().config(&config);
    assert_eq!(bytes(checked(&machine, 0).row()).2, 466 * GB);
    assert_eq!(telegram.requests(), 0, "466 * 1024^3 is more than 500 * 1000^3");
    huawei.left("pkg-1", 465);
    machine.check_exits(0);
    assert!(telegram.only().text.contains("500 GB"));
}

#[test]
fn a_repeated_tier_rings_again_after_its_time() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.package("pkg-1", 900, 1000);
    let config = format!(
        "{}[quota.package]\ntier = [{{ remaining = \"500 GB\", repeat = \"2 s\" }}]\n{}",
        source(&huawei, &["pkg-1"]),
        telegram_table(&telegram.url())
    );
    let machine = server().config(&config);
    machine.check_exits(0);
    huawei.left("pkg-1", 400);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(telegram.messages().len(), 1, "not yet");
    thread::sleep(Duration::from_millis(2_050));
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(telegram.messages().len(), 2);
}

#[test]
fn an_exhausted_package_at_first_sight_announces_and_acts_after_arm_after() {
    for (arm_after, acted) in [("", 0), ("arm_after = \"1 s\"\n", 1)] {
        let (huawei, telegram) = (Huawei::start(), Telegram::new());
        huawei.package("pkg-1", 5, 1000);
        let machine = server();
        let config = minimal(&huawei, &telegram, &machine).replace("command = ", &format!("{arm_after}command = "));
        let machine = machine.config(&config);
        machine.check_exits(0);
        assert_eq!(times(&machine), 0, "a first run never acts");
        assert!(telegram.only().text.contains("shutdown"), "announced: {}", telegram.only().text);
        thread::sleep(Duration::from_millis(1_100));
        machine.check();
        assert_eq!(times(&machine), acted, "{arm_after}");
    }
}

#[test]
fn each_package_has_tiers_of_its_own() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.package("pkg-1", 900, 1000);
    huawei.package("pkg-2", 90, 100);
    let config = format!(
        "{}[quota.package]\ntiers = [\"50%\"]\n{}",
        source(&huawei, &["pkg-1", "pkg-2"]),
        telegram_table(&telegram.url())
    );
    let machine = server().config(&config);
    let status = checked(&machine, 0);
    assert_eq!(bytes(status.row_of("pkg-1")), (100 * GB, 1000 * GB, 900 * GB));
    assert_eq!(bytes(status.row_of("pkg-2")), (10 * GB, 100 * GB, 90 * GB));
    assert_eq!(huawei.requests(), 1, "one request for both");
    huawei.left("pkg-2", 50);
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("pkg-2") && !text.contains("pkg-1"), "{text}");
}

#[test]
fn ids_are_trimmed_split_and_asked_for_once() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    huawei.package("pkg-2", 90, 100);
    let ids = ["  pkg-1 , pkg-2,", "", " ", "pkg-2", "pkg-1\t"];
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &ids)));
    let status = checked(&machine, 0);
    assert_eq!(huawei.bodies(Call::Usage), [json!({"free_resource_ids": ["pkg-1", "pkg-2"]})]);
    assert_eq!(status.count("quotas"), 2);
}

#[test]
fn no_id_at_all_is_a_configuration_error() {
    let huawei = Huawei::start();
    for ids in [&[][..], &[""], &[" ", ",, "]] {
        let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, ids)));
        machine.check_exits(2).complains("resource_ids");
        machine.run(&["config", "check"]).exits(2).complains("resource_ids");
        assert!(names(machine.state_dir()).is_empty());
    }
    assert_eq!(huawei.requests(), 0);
}

#[test]
fn more_ids_than_one_request_takes_are_asked_for_in_several() {
    let huawei = Huawei::start();
    let ids: Vec<String> = (0..250).map(|n| format!("pkg-{n:03}")).collect();
    for id in &ids {
        huawei.package(id, 90, 100);
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &ids)));
    assert_eq!(checked(&machine, 0).count("quotas"), 250);
    assert_eq!(huawei.requests(), 3);
    let mut asked: Vec<String> = huawei
        .bodies(Call::Usage)
        .iter()
        .flat_map(|body| body["free_resource_ids"].as_array().unwrap().clone())
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    asked.sort();
    assert_eq!(asked, ids, "each once");
}

#[test]
fn one_of_several_requests_that_fails_is_a_problem_of_what_it_asked_for() {
    let huawei = Huawei::start();
    let ids: Vec<String> = (0..101).map(|n| format!("pkg-{n:03}")).collect();
    for id in &ids {
        huawei.package(id, 90, 100);
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let machine = server().config(&format!("{}[quota.package]\ntiers = [\"50%\"]\n", source(&huawei, &ids)));
    machine.check_exits(0).quietly();
    huawei.left("pkg-100", 1);
    let refused = r#"{"error_code":"CBC.0100","error_msg":"Invalid parameter."}"#;
    huawei.next(Call::Usage, [Wrong::error(400, refused), Wrong::error(400, refused)]);
    let run = machine.check_exits(3).complains("CBC.0100");
    assert!(!run.stdout.contains("pkg-100"), "no alert: {}", run.stdout);
    let status = machine.status();
    assert_eq!((bytes(status.row_of("pkg-100")).2, &status.row_of("pkg-100")["stale"]), (90 * GB, &json!(true)));
}

#[test]
fn a_pool_is_the_sum_of_its_packages() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.package("pkg-1", 900, 1000);
    huawei.package("pkg-2", 400, 500);
    huawei.period("pkg-2", huawei.days(-3), huawei.days(27));
    let machine = server();
    let config = format!(
        "{}[quota.package]\npool = true\ntier = [{{ remaining = \"200 GB\", actions = [\"shutdown\"] }}]\n\
         [action.shutdown]\ncommand = {}\n{}",
        source(&huawei, &["pkg-1", "pkg-2"]),
        counting(&machine),
        telegram_table(&telegram.url())
    );
    let machine = machine.config(&config);
    let status = checked(&machine, 0);
    assert_eq!(bytes(status.row()), (200 * GB, 1500 * GB, 1300 * GB));
    assert_eq!(status.row()["period"]["kind"], "provider");
    huawei.left("pkg-1", 0);
    huawei.left("pkg-2", 201);
    machine.check_exits(0).quietly();
    assert_eq!((telegram.requests(), times(&machine)), (0, 0), "an exhausted member is no exhausted pool");
    huawei.left("pkg-2", 200);
    machine.check();
    assert!(telegram.only().text.contains("200 GB"));
    assert_eq!(times(&machine), 1);
}

#[test]
fn a_pool_with_a_member_missing_is_no_figure() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.package("pkg-1", 900, 1000);
    huawei.package("pkg-2", 400, 500);
    let config = format!(
        "{}[quota.package]\npool = true\ntier = [{{ remaining = \"1000 GB\" }}]\n{}",
        source(&huawei, &["pkg-1", "pkg-2"]),
        telegram_table(&telegram.url())
    );
    let machine = server().config(&config);
    machine.check_exits(0).quietly();
    huawei.remove("pkg-2");
    let status = checked(&machine, 3);
    assert_eq!((bytes(status.row()).2, &status.row()["stale"]), (1300 * GB, &json!(true)));
    assert_eq!(telegram.requests(), 0);
}

#[test]
fn a_local_shutdown_for_several_packages_must_be_of_their_sum() {
    let huawei = Huawei::start();
    let tier = "tier = [{ remaining = \"200 GB\", actions = [\"shutdown\"] }]\n[action.shutdown]\ncommand = [\"true\"]";
    for (ids, pool, code) in [
        (&["pkg-1", "pkg-2"][..], "", 2),
        (&["pkg-1,pkg-2"], "", 2),
        (&["pkg-1", "pkg-2"], "pool = true\n", 0),
        (&["pkg-1", "pkg-1"], "", 0),
    ] {
        let config = format!("{}[quota.package]\n{pool}{tier}\n", source(&huawei, ids));
        let machine = server().config(&config);
        let run = machine.run(&["config", "check"]).exits(code);
        assert!(code == 0 || run.stderr.contains("pool"), "{ids:?}: {}", run.stderr);
    }
}

#[test]
fn temporary_keys_send_their_token() {
    for (written, in_environment) in [(format!("security_token = \"{TOKEN}\"\n"), false), (String::new(), true)] {
        let huawei = Huawei::start();
        huawei.temporary_keys();
        huawei.package("pkg-1", 900, 1000);
        let machine = server().config(&format!("{}{written}[quota.package]\n", source(&huawei, &["pkg-1"])));
        let machine = if in_environment { machine.env("HUAWEICLOUD_SDK_SECURITY_TOKEN", TOKEN) } else { machine };
        assert_eq!(bytes(checked(&machine, 0).row()).2, 900 * GB, "from the environment: {in_environment}");
        machine.run(&["-v", "check", "--debug"]).exits(0);
        machine.run(&["config", "show"]).exits(0);
    }
}

#[test]
fn keys_come_from_wherever_a_secret_may_come_from() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let machine = known(Machine::new()).env("MY_KEY", AK);
    fs::write(machine.path("sk"), format!("{SK}\n")).unwrap();
    let keys = format!(
        "access_key = {{ env = \"MY_KEY\" }}\nsecret_key = {{ file = \"{}\" }}\n",
        machine.path("sk").display()
    );
    let machine = machine.config(&format!("{}{keys}[quota.package]\n", source(&huawei, &["pkg-1"])));
    machine.check_exits(0).quietly();
    machine.set_config(&format!(
        "{}access_key = \"{AK}\"\nsecret_key = \"{SK}\"\n[quota.package]\n",
        source(&huawei, &["pkg-1"])
    ));
    machine.check_exits(0).quietly();
    machine.run(&["config", "show"]).exits(0);
    assert_eq!(huawei.requests(), 2);
}

#[test]
fn missing_keys_are_named_and_nothing_is_asked() {
    let huawei = Huawei::start();
    let config = format!("{}[quota.package]\n", source(&huawei, &["pkg-1"]));
    for (machine, name) in [
        (known(Machine::new()).env("HUAWEICLOUD_SDK_SK", SK), "HUAWEICLOUD_SDK_AK"),
        (known(Machine::new()).env("HUAWEICLOUD_SDK_AK", AK), "HUAWEICLOUD_SDK_SK"),
        (server().env("HUAWEICLOUD_SDK_SK", ""), "HUAWEICLOUD_SDK_SK"),
    ] {
        let machine = machine.config(&config);
        machine.check_exits(2).complains(name);
        assert!(names(machine.state_dir()).is_empty());
        machine.run(&["status"]).exits(0);
        machine.run(&["config", "check"]).exits(0);
    }
    assert_eq!(huawei.requests(), 0);
}

#[test]
fn a_mistyped_site_or_endpoint_is_a_configuration_error() {
    for (key, word) in [
        ("site = \"internatoinal\"", "international"),
        ("endpoint = \"bss.myhuaweicloud.com\"", "endpoint"),
        ("endpoint = \"ftp://127.0.0.1\"", "endpoint"),
        ("site = \"china\"\niam_endpoint = \"\"", "iam_endpoint"),
    ] {
        let config = format!("[source.huawei]\nresource_ids = [\"pkg-1\"]\n{key}\n[quota.package]\n");
        server().config(&config).run(&["config", "check"]).exits(2).complains(word);
    }
    for site in ["china", "international", "europe"] {
        let config = format!("[source.huawei]\nresource_ids = [\"pkg-1\"]\nsite = \"{site}\"\n[quota.package]\n");
        server().config(&config).run(&["config", "check"]).exits(0);
    }
}

#[test]
fn every_says_how_often_it_is_asked_at_most() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watching(&huawei, &telegram);
    let config = fs::read_to_string(machine.config_file()).unwrap();
    machine.set_config(&config.replace("resource_ids", "every = \"1 h\"\nresource_ids"));
    huawei.left("pkg-1", 100);
    machine.check_exits(0).quietly();
    assert_eq!((huawei.requests(), telegram.requests()), (1, 0), "asked a moment ago");
    assert_eq!(machine.status().row()["stale"], false);
}

#[test]
fn the_local_zone_changes_what_is_shown_and_not_what_is_signed() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let config = format!("timezone = \"Asia/Shanghai\"\n{}[quota.package]\n", source(&huawei, &["pkg-1"]));
    let machine = server().env("TZ", "Asia/Shanghai").config(&config);
    let status = checked(&machine, 0);
    let start = &status.row()["period"]["start"];
    assert!(start.as_str().unwrap().ends_with("+08:00"), "{start}");
    assert_eq!(time_of(start), huawei.days(-10));
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    let huawei = Huawei::start();
    huawei.package("pkg-1", 900, 1000);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let machine = server().config(&format!("{}[quota.package]\n", source(&huawei, &["pkg-1"])));
    let proxy = format!("http://{closed}");
    let machine = machine.env("http_proxy", &proxy).env("HTTP_PROXY", &proxy).env("all_proxy", &proxy);
    machine.check_exits(0).quietly();
    assert_eq!(huawei.requests(), 1);
}

#[test]
fn a_debug_run_reads_for_real_and_changes_nothing() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watching(&huawei, &telegram);
    huawei.left("pkg-1", 150);
    let before = snapshot(machine.state_dir());
    let run = machine.run(&["check", "--debug"]).exits(0);
    assert!(before == snapshot(machine.state_dir()), "the state folder is as it was");
    assert_eq!((huawei.requests(), telegram.requests(), times(&machine)), (2, 0, 0));
    let told = format!("{}{}", run.stdout, run.stderr);
    for part in ["pkg-1", &(850 * GB).to_string(), "act"] {
        assert!(told.contains(part), "no {part}: {told}");
    }
}

#[test]
fn a_command_does_not_inherit_the_keys() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watching(&huawei, &telegram);
    let env = machine.path("env");
    machine.script("act", &format!("env >\"{}\"\n", env.display()));
    huawei.left("pkg-1", 150);
    machine.check_exits(0);
    let env = fs::read_to_string(env).unwrap();
    assert!(!env.contains(AK) && !env.contains(SK), "{env}");
}

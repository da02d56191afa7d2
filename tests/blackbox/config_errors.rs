//! Bad configurations: all errors at once, each with file, line and key, and nothing else happens.

use crate::machine::{Machine, Run, names};

/// One error: the line it is on, the key, and a word it must say besides.
type Expected<'a> = (usize, &'a str, &'a str);

/// `check` and `config check` must both refuse `toml` with these errors, and touch nothing.
#[track_caller]
fn refused(toml: &str, errors: &[Expected<'_>]) {
    let machine = Machine::new().config(toml);
    for command in [&["check"][..], &["config", "check"], &["check", "--debug"], &["status"]] {
        let run = machine.run(command).exits(2);
        for error in errors {
            assert!(
                told(&run, *error),
                "{command:?} does not tell {error:?} of\n{toml}\nbut:\n{}{}",
                run.stdout,
                run.stderr
            );
        }
        assert!(names(machine.state_dir()).is_empty(), "{command:?} made a file");
    }
}

/// One line names the file, the line and the key, and says the word.
fn told(run: &Run, (line, key, word): Expected<'_>) -> bool {
    run.stderr.lines().any(|text| {
        text.contains("config.toml") && text.contains(&format!(":{line}:")) && text.contains(key) && text.contains(word)
    })
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_name() {
    refused("[quota.month]\nallowence = \"1 TB\"\n", &[(2, "allowence", "allowance")]);
    refused("[quota.month]\nallowance = \"1 TB\"\nperoid = \"day\"\n", &[(3, "peroid", "period")]);
    refused("langauge = \"zh\"\n[quota.month]\nallowance = \"1 TB\"\n", &[(1, "langauge", "language")]);
    refused("[quotas.month]\nallowance = \"1 TB\"\n", &[(1, "quotas", "quota")]);
    refused("[host]\nnmae = \"x\"\n", &[(2, "nmae", "name")]);
    refused("[host]\npublic_address = { ulr = \"http://127.0.0.1\" }\n", &[(2, "ulr", "url")]);
    refused("[quota.month]\nallowance = \"1 TB\"\ntier = [{ usd = \"80%\" }]\n", &[(3, "usd", "used")]);
    refused(
        "[notifier.telegram]\ntoken = \"1:x\"\nchat = 1\napi_bse = \"http://127.0.0.1\"\n",
        &[(4, "api_bse", "api_base")],
    );
}

#[test]
fn an_unknown_value_is_told_with_the_nearest_name() {
    refused("[quota.month]\nallowance = \"1 TB\"\nperiod = \"mnoth\"\n", &[(3, "period", "month")]);
    refused("[quota.month]\nallowance = \"1 TB\"\ncount = \"uot\"\n", &[(3, "count", "out")]);
    refused("[source.nic]\nkind = \"interfaec\"\n", &[(2, "kind", "interface")]);
    refused("[notifier.me]\nkind = \"telegrm\"\n", &[(2, "kind", "telegram")]);
    refused("language = \"zz\"\n", &[(1, "language", "zz")]);
    refused("timezone = \"Asia/Shanghia\"\n", &[(1, "timezone", "Asia/Shanghai")]);
}

#[test]
fn an_unknown_name_is_told_with_the_nearest_one() {
    refused(
        "[source.nic]\nkind = \"interface\"\n[quota.month]\nsource = \"nci\"\nallowance = \"1 TB\"\n",
        &[(4, "source", "nic")],
    );
    refused(
        "[quota.month]\nallowance = \"1 TB\"\ntier = [{ used = \"80%\", actions = [\"shutdwon\"] }]\n",
        &[(3, "actions", "shutdown")],
    );
    refused(
        "[quota.month]\nallowance = \"1 TB\"\ntier = [{ used = \"80%\", notify = [\"telegarm\"] }]\n\
         [notifier.telegram]\ntoken = \"1:x\"\nchat = 1\n",
        &[(3, "notify", "telegram")],
    );
}

#[test]
fn an_amount_without_or_with_a_wrong_unit_is_refused() {
    for amount in [
        "\"1000\"",
        "1000",
        "\"1 XB\"",
        "\"TB\"",
        "\"-1 TB\"",
        "\"\"",
        "\"1e400 TB\"",
        "\"NaN TB\"",
        "\"0 B\"",
        "\"99999999999 PB\"",
        "\"1 TB \\u0000\"",
        "true",
    ] {
        refused(&format!("[quota.month]\nallowance = {amount}\n"), &[(2, "allowance", "")]);
    }
}

#[test]
fn a_duration_with_a_wrong_unit_is_refused() {
    for time in ["\"50\"", "\"50 parsecs\"", "\"-5 s\"", "50"] {
        refused(&format!("deadline = {time}\n"), &[(1, "deadline", "")]);
    }
}

#[test]
fn a_day_that_no_month_has_is_refused() {
    for day in ["32", "0", "-32", "\"first\""] {
        refused(&format!("[quota.month]\nallowance = \"1 TB\"\nreset = {{ day = {day} }}\n"), &[(3, "day", "")]);
    }
    refused("[quota.month]\nallowance = \"1 TB\"\nreset = { day = 1, at = \"25:00\" }\n", &[(3, "at", "25:00")]);
}

#[test]
fn tiers_out_of_order_or_twice_are_refused() {
    refused("[quota.month]\nallowance = \"1 TB\"\ntiers = [\"90%\", \"80%\"]\n", &[(3, "tiers", "80%")]);
    refused("[quota.month]\nallowance = \"1 TB\"\ntiers = [\"80%\", \"80%\"]\n", &[(3, "tiers", "80%")]);
}

#[test]
fn a_tier_is_one_threshold_and_a_sound_one() {
    refused("[quota.month]\nallowance = \"1 TB\"\ntier = [{ repeat = \"1 h\" }]\n", &[(3, "tier", "used")]);
    refused(
        "[quota.month]\nallowance = \"1 TB\"\ntier = [{ used = \"80%\", remaining = \"1 GB\" }]\n",
        &[(3, "tier", "remaining")],
    );
    for tier in ["80", "eighty%", "-5%", ""] {
        refused(&format!("[quota.month]\nallowance = \"1 TB\"\ntiers = [\"{tier}\"]\n"), &[(3, "tiers", "")]);
    }
}

#[test]
fn exhausted_within_takes_no_actions() {
    refused(
        "[quota.month]\nallowance = \"1 TB\"\ntier = [{ exhausted_within = \"3 d\", actions = [\"shutdown\"] }]\n",
        &[(3, "actions", "exhausted_within")],
    );
}

#[test]
fn an_empty_list_of_interfaces_is_refused() {
    refused("[source.interface]\ninterfaces = []\n", &[(2, "interfaces", "")]);
}

#[test]
fn a_quota_without_an_allowance_is_refused() {
    refused("[quota.month]\nperiod = \"month\"\n", &[(1, "month", "allowance")]);
}

#[test]
fn a_notifier_without_its_settings_is_refused() {
    refused("[notifier.telegram]\nchat = 1\n", &[(1, "telegram", "token")]);
    refused("[notifier.telegram]\ntoken = \"1:x\"\n", &[(1, "telegram", "chat")]);
    refused("[notifier.telegram]\ntoken = \"1:x\"\nchat = \"ops\"\n", &[(3, "chat", "@")]);
    refused("[notifier.telegram]\ntoken = \"1:x\"\nchat = 1\nproxy = \"ftp://127.0.0.1\"\n", &[(4, "proxy", "")]);
    refused("[notifier.telegram]\ntoken = { evn = \"X\" }\nchat = 1\n", &[(2, "evn", "env")]);
}

#[test]
fn a_command_without_a_program_is_refused() {
    refused("[action.x]\nkind = \"command\"\ncommand = []\n", &[(3, "command", "")]);
    refused("[action.x]\nkind = \"command\"\ncommand = \"rm -rf x\"\n", &[(3, "command", "list")]);
    refused("[action.x]\nkind = \"command\"\n", &[(1, "x", "command")]);
}

#[test]
fn broken_syntax_is_told_with_its_line() {
    refused("[quota.month]\nallowance = \"1 TB\nperiod = 3\n", &[(2, "", "")]);
    refused("[quota.month]\nallowance = \"1 TB\"\nallowance = \"2 TB\"\n", &[(3, "allowance", "")]);
}

#[test]
fn all_errors_are_told_at_once() {
    let toml = "language = \"zz\"\n[quota.month]\nallowance = \"1 XB\"\nperoid = \"day\"\nreset = { day = 32 }\n\
                tiers = [\"90%\", \"80%\"]\n[notifier.telegram]\nchat = 1\n";
    refused(
        toml,
        &[
            (1, "language", "zz"),
            (3, "allowance", "XB"),
            (4, "peroid", "period"),
            (5, "day", "32"),
            (6, "tiers", "80%"),
            (7, "telegram", "token"),
        ],
    );
}

#[test]
fn every_error_is_told_once_and_on_one_line() {
    let machine = Machine::new().config("[quota.month]\nallowance = \"1 XB\"\nperoid = \"day\"\n");
    let run = machine.check_exits(2);
    let lines: Vec<&str> = run.stderr.lines().filter(|line| line.contains("config.toml:")).collect();
    assert_eq!(lines.len(), 2, "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn a_configuration_that_is_not_text_is_refused() {
    let machine = Machine::new().config("");
    std::fs::write(machine.config_file(), b"[quota.month]\nlabel = \"\xff\xfe\"\n").unwrap();
    machine.check_exits(2).complains("config.toml");
    assert!(names(machine.state_dir()).is_empty());
}

#[test]
fn an_empty_configuration_is_the_built_in_default() {
    let machine = Machine::new().config("");
    machine.check_exits(0).quietly();
    assert_eq!(machine.status().row()["allowance"], 1_000_000_000_000_u64);
}

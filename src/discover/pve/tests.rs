//! What is shown and proposed of a cluster. The answers follow the API of Proxmox VE 8 and 9; all names are invented.

use std::collections::BTreeSet;

use super::super::{Account, run};
use super::*;
use crate::config::account;
use crate::log::Log;
use crate::testing::vendor::Vendor;
use proptest::prelude::*;
use serde_json::{Value, json};

const SECRET: &str = "5ca1ab1e-0000-4000-8000-5ec2e7f02e57";
const ALL: &[&str] = &["VM.Audit", "VM.PowerMgmt", "VM.Config.Network", "SDN.Use", "Pool.Audit", "Sys.Audit"];
const ACTIONS: &str = "[quota.q]\nallowance = \"1 TB\"\nnics = [\"net0\"]\npools = [\"gold\"]\ntier = [{ used = \"80%\", actions = [\"pve-stop\", \"slow\"] }]\n\
                       [action.slow]\nkind = \"pve-rate-limit\"\nrate = \"1 MB/s\"\n";

fn table_of(token: &str) -> String {
    format!("[source.pve]\napi = [\"https://pve1\"]\ntoken_id = \"{token}\"\ntoken_secret = \"{SECRET}\"\n")
}

/// The machine of an operator whose configuration holds the source and this besides.
fn machine(rest: &str) -> Vendor {
    Vendor::default().file(&format!("{}{rest}", table_of("monitor@pve!quota")))
}

fn guest(id: &str, more: &Value) -> Value {
    let mut row = json!({
        "id": id, "node": "pve1", "name": "web", "status": "running", "template": 0,
        "uptime": 60, "netin": 7020, "netout": 5,
    });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

/// Paths with the rights the token has on them and below.
fn rights(paths: &[(&str, &[&str])]) -> Value {
    let of = |held: &[&str]| held.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
    Value::Object(paths.iter().map(|(path, held)| ((*path).to_owned(), Value::Object(of(held)))).collect())
}

/// A cluster with these guests, whose token has these rights.
fn cluster(machine: Vendor, guests: &[Value], rights: &Value) -> Vendor {
    let data = |data: Value| json!({ "data": data }).to_string();
    let of = |path: &str| {
        let held = rights.get(path).or_else(|| rights.get("/")).cloned().unwrap_or_else(|| json!({}));
        data(json!({ path: held }))
    };
    machine
        .says("/version", 200, data(json!({"version": "8.4.1", "release": "8.4"})))
        .says("/nodes", 200, data(json!([{"node": "pve2", "status": "offline"}, {"node": "pve1", "status": "online"}])))
        .says("/cluster/resources?type=vm", 200, data(guests.into()))
        .says("path=%2Fvms", 200, of("/vms"))
        .says("path=%2Fnodes", 200, of("/nodes"))
        .says("path=%2Fpool", 200, of("/pool"))
        .says("path=%2Fsdn%2Fzones%2Flocalnetwork", 200, of("/sdn/zones/localnetwork"))
        .says("/access/permissions", 200, data(rights.clone()))
}

fn discovered(vendor: &Vendor) -> (Exit, String) {
    let exit = run(vendor, None, "pve", &mut Log::new()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!vendor.printed().contains(SECRET), "the secret is printed");
    (exit, vendor.printed())
}

/// Some guests of most kinds.
fn guests() -> [Value; 4] {
    [
        guest("lxc/101", &json!({"node": "pve2", "name": "db", "tags": "prod;Slow", "hastate": "started"})),
        guest("qemu/1000", &json!({"tags": "PROD", "lock": "backup", "pool": "gold"})),
        guest("qemu/200", &json!({"status": "stopped", "template": 1, "tags": "slow,old", "name": "base"})),
        guest("qemu/100", &json!({"tags": "prod", "pool": "gold", "hastate": "ignored"})),
    ]
}

/// The lines to paste; `commented`: with what is commented out.
#[track_caller]
fn pasted(printed: &str, commented: bool) -> toml::Table {
    let start = printed.find("\n[quota").unwrap_or_else(|| panic!("nothing to paste in:\n{printed}"));
    let line = |line: &str| match line.strip_prefix('#').filter(|rest| commented && !rest.starts_with("# ")) {
        // A blank follows where it is a remark, and two where it goes on in a list.
        Some(rest) if !rest.starts_with(' ') || rest.starts_with("  ") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = printed[start..].lines().map(line).collect();
    let lines = lines.into_iter().filter(|line| !commented || !line.starts_with("tiers"));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.parse().unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// The commands, without remarks.
fn commands(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| line.starts_with("pveum")).collect()
}

#[test]
fn a_cluster_is_shown_and_what_to_write_for_it() {
    let vendor = cluster(machine(ACTIONS), &guests(), &rights(&[("/", &["VM.Audit"]), ("/vms", &["VM.Audit"])]));
    let (exit, printed) = discovered(&vendor);
    assert_eq!(exit, Exit::Problems);
    assert_eq!(printed, include_str!("tests/example.out"), "{printed}");
    let quota = &pasted(&printed, false)["quota"]["month"];
    let keys: Vec<&str> = quota.as_table().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["allowance", "source", "tags", "tiers"]);
    let whole = pasted(&printed, true);
    assert_eq!(whole["quota"]["month"]["tier"][1]["actions"][0].as_str(), Some("slow"));
    assert_eq!(whole["action"]["slow"]["kind"].as_str(), Some("pve-rate-limit"));
    assert!(vendor.asked().iter().all(|asked| asked.starts_with("https://pve1:8006/api2/json/")), "only GETs");
}

#[test]
fn what_is_not_lacking_needs_no_command() {
    let (exit, printed) = discovered(&cluster(machine(ACTIONS), &guests(), &rights(&[("/", ALL), ("/vms", ALL)])));
    assert_eq!((exit, commands(&printed).len()), (Exit::Done, 0), "{printed}");
    assert_eq!(printed.matches("has it").count(), 6, "{printed}");
}

#[test]
fn a_token_without_rights_is_told_so() {
    let (exit, printed) = discovered(&cluster(machine(""), &[], &rights(&[])));
    assert_eq!(exit, Exit::Problems);
    assert!(printed.contains("the token sees no guest: it lacks VM.Audit"), "{printed}");
    assert_eq!(
        commands(&printed),
        [
            "pveum role add netquota --privs \"VM.Audit VM.PowerMgmt VM.Config.Network SDN.Use Pool.Audit Sys.Audit\"",
            "pveum acl modify / --tokens 'monitor@pve!quota' --roles netquota",
            "pveum acl modify / --users monitor@pve --roles netquota",
        ]
    );
    assert!(!printed.contains("[quota"), "{printed}");
    let (exit, printed) = discovered(&cluster(machine(""), &[], &rights(&[("/", ALL), ("/vms", ALL)])));
    assert!(exit == Exit::Done && printed.contains("the cluster has no guest"), "{printed}");
}

#[test]
fn only_what_the_configuration_asks_for_has_to_be_there() {
    let privileges = |rest: &str, version: &str| {
        let data = json!({"data": {"version": version}}).to_string();
        let vendor = cluster(machine(rest).says("/version", 200, data), &guests(), &rights(&[("/vms", &["VM.Audit"])]));
        let (exit, printed) = discovered(&vendor);
        let asked = ALL.iter().filter(|name| printed.contains(&format!("\n {name} "))).copied().collect::<Vec<_>>();
        (exit, asked, commands(&printed).is_empty())
    };
    let quota = "[quota.q]\nallowance = \"1 TB\"\n";
    let by_tier = |kind: &str| format!("{quota}tier = [{{ used = \"80%\", actions = [\"{kind}\"] }}]\n");
    let other = "[source.nic]\nkind = \"interface\"\n[quota.q]\nsource = \"nic\"\nnics = 7\n";
    for (rest, version, exit, asked) in [
        ("", "8.0.3", Exit::Done, ALL),
        ("", "7.4-3", Exit::Done, &["VM.Audit", "VM.PowerMgmt", "VM.Config.Network", "Pool.Audit", "Sys.Audit"][..]),
        (other, "8.0.3", Exit::Done, ALL),
        (quota, "8.0.3", Exit::Done, &["VM.Audit"]),
        (&by_tier("pve-shutdown"), "8.0.3", Exit::Problems, &["VM.Audit", "VM.PowerMgmt"]),
        (&by_tier("pve-disconnect"), "8.0.3", Exit::Problems, &["VM.Audit", "VM.Config.Network", "SDN.Use"]),
        (&by_tier("pve-disconnect"), "7.4-3", Exit::Problems, &["VM.Audit", "VM.Config.Network"]),
        ("[action.pve-stop]\nforce = 7\n", "8.0.3", Exit::Problems, &["VM.Audit", "VM.PowerMgmt"]),
        (
            &format!("{}[action.pve-stop]\nkind = \"command\"\n", by_tier("pve-stop")),
            "8.0.3",
            Exit::Done,
            &["VM.Audit"],
        ),
        (&format!("{quota}nics = [\"net0\"]\n"), "9.1.1", Exit::Problems, &["VM.Audit", "Sys.Audit"]),
        (&format!("{quota}pools = [\"gold\"]\n"), "9.1.1", Exit::Problems, &["VM.Audit", "Pool.Audit"]),
    ] {
        let lacking = asked.len() > 1;
        assert_eq!(privileges(rest, version), (exit, asked.to_vec(), !lacking), "{rest} {version}");
    }
}

#[test]
fn rights_are_given_where_they_take_effect() {
    let stop = "[action.pve-stop]\n";
    let (audit, power): (&[&str], &[&str]) = (&["VM.Audit"], &["VM.Audit", "VM.PowerMgmt"]);
    let guests = [guest("qemu/100", &json!({})), guest("lxc/101", &json!({}))];
    let seen = |held: &[(&str, &[&str])]| {
        let (exit, printed) = discovered(&cluster(machine(stop), &guests, &rights(held)));
        let line = printed.lines().find(|line| line.contains(" VM.PowerMgmt ")).unwrap();
        let standing = line.split("pve-stop").nth(1).unwrap().trim().to_owned();
        let paths = commands(&printed).into_iter().filter(|line| line.contains("--tokens"));
        let paths = paths.map(|line| line.split(' ').nth(3).unwrap().to_owned()).collect::<Vec<_>>();
        (exit, standing, paths.join(" "))
    };
    for (held, exit, standing, paths) in [
        (&[("/", audit), ("/vms", audit)][..], Exit::Problems, "lacks it", "/"),
        // An entry on /vms would replace one on /.
        (&[("/vms", audit)], Exit::Problems, "lacks it", "/vms"),
        (&[("/", power), ("/vms", audit)], Exit::Problems, "lacks it", "/vms"),
        (&[("/vms", power), ("/vms/100", audit)], Exit::Problems, "lacks it on /vms/100", "/vms/100"),
        (&[("/vms/101", power), ("/vms/100", audit)], Exit::Problems, "lacks it on /vms/100", "/"),
        (&[("/vms/101", power), ("/vms/100", power)], Exit::Done, "has it on /vms/101, /vms/100 only", ""),
        (&[("/vms", power), ("/vms/9", audit)], Exit::Done, "has it", ""),
    ] {
        let sorted = |(exit, standing, paths): (Exit, String, String)| {
            let words: BTreeSet<String> = standing.split([' ', ',']).map(str::to_owned).collect();
            (exit, words, paths)
        };
        let expected = sorted((exit, standing.into(), paths.into()));
        assert_eq!(sorted(seen(held)), expected, "{held:?}");
    }
}

#[test]
fn what_comes_by_a_pool_counts_though_it_goes_no_deeper() {
    let of_pool = json!({"VM.Audit": 0, "VM.PowerMgmt": 0});
    let seen = |path: &str| {
        let held = json!({ path: of_pool });
        discovered(&cluster(machine("[action.pve-stop]\n"), &guests()[3..], &held))
    };
    let (exit, printed) = seen("/vms/100");
    assert!(exit == Exit::Done && printed.contains("has it on /vms/100 only"), "{printed}");
    let (exit, printed) = seen("/vms");
    assert!(exit == Exit::Problems && printed.contains("pve-stop  lacks it\n"), "{printed}");
}

#[test]
fn a_guest_that_may_be_acted_on_but_not_read_is_named() {
    let held = rights(&[("/vms", &["VM.Audit"]), ("/vms/100", &["VM.PowerMgmt"]), ("/vms/101", &["Pool.Audit"])]);
    let (exit, printed) = discovered(&cluster(machine("[quota.q]\n"), &guests()[..1], &held));
    assert!(exit == Exit::Problems && printed.contains("lacks it on /vms/100\n"), "{printed}");
}

#[test]
fn bridges_and_nodes_are_looked_at_one_by_one() {
    let localnetwork = "/sdn/zones/localnetwork";
    let held = rights(&[
        ("/vms", ALL),
        (localnetwork, &["SDN.Use"]),
        ("/sdn/zones/localnetwork/vmbr1", &["SDN.Audit"]),
        ("/sdn/zones/localnetwork/vmbr0/10", &[]),
        ("/nodes", &["Sys.Audit"]),
        ("/nodes/pve2", &["Sys.PowerMgmt"]),
        ("/pool", &["Pool.Audit"]),
    ]);
    let (_, printed) = discovered(&cluster(machine(ACTIONS), &guests(), &held));
    for part in ["lacks it on /sdn/zones/localnetwork/vmbr1\n", "lacks it on /nodes/pve2\n"] {
        assert!(printed.contains(part), "no {part} in:\n{printed}");
    }
    let of_token = commands(&printed).into_iter().filter(|line| line.contains("--tokens"));
    let paths: Vec<&str> = of_token.map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(paths, ["/nodes/pve2", "/sdn/zones/localnetwork/vmbr1"]);
}

#[test]
fn only_the_pools_that_quotas_name_matter() {
    let quota = "[quota.q]\nallowance = \"1 TB\"\npools = [\"gold\", \"a/b\"]\n";
    let seen = |held: &[(&str, &[&str])]| {
        let (exit, printed) = discovered(&cluster(machine(quota), &guests(), &rights(held)));
        let line = printed.lines().find(|line| line.contains(" Pool.Audit ")).unwrap();
        let standing = line.split(" pools ").nth(1).unwrap().trim().to_owned();
        let paths = commands(&printed).into_iter().filter(|line| line.contains("--tokens"));
        let paths = paths.map(|line| line.split(' ').nth(3).unwrap().to_owned()).collect::<Vec<_>>();
        (exit, standing, paths.join(" "))
    };
    let (vms, audit): ((&str, &[&str]), &[&str]) = (("/vms", &["VM.Audit"]), &["Pool.Audit"]);
    for (held, exit, standing, paths) in [
        (&[vms][..], Exit::Problems, "lacks it", "/"),
        (&[vms, ("/pool", audit)], Exit::Done, "has it", ""),
        (&[vms, ("/pool", audit), ("/pool/old", &[])], Exit::Done, "has it", ""),
        (&[vms, ("/pool", audit), ("/pool/gold", &[])], Exit::Problems, "lacks it on /pool/gold", "/pool/gold"),
        (&[vms, ("/pool/gold", audit), ("/pool/a", audit)], Exit::Done, "has it", ""),
        (&[vms, ("/pool/gold", audit)], Exit::Problems, "lacks it on /pool/a/b", "/"),
    ] {
        assert_eq!(seen(held), (exit, standing.to_owned(), paths.to_owned()), "{held:?}");
    }
}

#[test]
fn the_names_of_tokens_are_quoted() {
    let of = |token: &str| {
        let vendor = cluster(Vendor::default().file(&table_of(token)), &[], &rights(&[]));
        discovered(&vendor).1
    };
    let printed = of("o'neil$(x)@pve!quota");
    assert!(printed.contains(r"--tokens 'o'\''neil$(x)@pve!quota' --roles"), "{printed}");
    assert!(printed.contains(r"--users 'o'\''neil$(x)@pve' --roles"), "{printed}");
    assert!(!of("root@pam!quota").contains("--users"), "nothing limits root");
}

#[test]
fn the_proposal_has_a_name_of_its_own() {
    let all = rights(&[("/vms", ALL)]);
    let untagged = [guest("qemu/100", &json!({"tags": "\u{202e}odd"})), guest("qemu/9", &json!({"template": 1}))];
    let (_, printed) = discovered(&cluster(machine("[quota.month]\nallowance = 7\n"), &untagged, &all));
    let quotas = pasted(&printed, false);
    assert_eq!(quotas["quota"]["month-2"].get("tags"), None, "{printed}");
    let (_, printed) = discovered(&cluster(machine(""), &untagged[1..], &all));
    assert!(!printed.contains("[quota"), "a template has no traffic: {printed}");
}

#[test]
fn what_cannot_be_asked_keeps_nothing_else_from_being_shown() {
    let all = rights(&[("/", ALL), ("/vms", ALL)]);
    let with = |part: &'static str| {
        let failing = machine(ACTIONS).says(part, 500, r#"{"data":null,"message":"some words"}"#);
        discovered(&cluster(failing, &guests(), &all))
    };
    for (part, lost) in [
        ("/version", "Proxmox VE 8.4.1\n"),
        ("/json/nodes", " pve2  offline"),
        ("/cluster/resources", "qemu/100"),
        ("/access/permissions", "VM.PowerMgmt"),
        ("path=%2Fnodes", "nothing of it"),
    ] {
        let (exit, printed) = with(part);
        assert!(exit == Exit::Problems && !printed.contains(lost), "{part}: {exit:?}\n{printed}");
        assert!(printed.contains("qemu/100") || printed.contains("pve2  offline"), "{part}:\n{printed}");
    }
}

#[test]
fn guests_that_cannot_be_read_are_told_one_by_one() {
    let look_at = |guests: &[Value]| {
        let vendor = cluster(machine(""), guests, &rights(&[("/", ALL), ("/vms", ALL)]));
        let found = account::load(&vendor, None, "pve").unwrap_or_else(|error| panic!("{}", error.text));
        let Account::Pve(cluster) = &found.candidates[0].account else { panic!("another source") };
        look(cluster, &vendor, &found)
    };
    let silent = guest("lxc/101", &json!({"netin": null}));
    let findings = look_at(&[guest("qemu/100", &json!({})), json!({"id": "qemu/x\u{1b}"}), silent.clone()]);
    assert_eq!(
        findings.failures,
        ["guest \"row 2\": it has neither an id nor a type and a vmid", "guest \"lxc/101\": its netin is missing"]
    );
    assert!(findings.exit == Exit::Problems && findings.text.contains(" qemu/100 "), "{}", findings.text);
    let findings = look_at(&[silent]);
    assert_eq!((findings.exit, findings.failures.len()), (Exit::Problems, 1));
    assert!(!findings.text.contains("no guest"), "there is one: {}", findings.text);
}

#[test]
fn a_token_that_is_refused_is_not_tried_on() {
    let vendor = machine("").says("", 401, "");
    assert_eq!((discovered(&vendor), vendor.asked().len()), ((Exit::Failed, String::new()), 1));
    let vendor = machine("");
    assert_eq!((discovered(&vendor), vendor.asked().len()), ((Exit::Failed, String::new()), 1), "nobody is there");
    let vendor = cluster(machine("").says("/cluster", 401, ""), &[], &rights(&[]));
    assert_eq!((discovered(&vendor).0, vendor.asked().len()), (Exit::Problems, 2));
}

#[test]
fn a_source_has_to_be_written() {
    let load = |file: Option<&str>, wanted: &str| {
        let vendor = file.map_or_else(Vendor::default, |text| Vendor::default().file(text));
        match account::load(&vendor, None, wanted) {
            Ok(found) => (Exit::Done, found.source),
            Err(error) => (error.exit, error.text),
        }
    };
    for file in [None, Some("deadline = 7\n"), Some("[source.nic]\nkind = \"interface\"\n")] {
        let (exit, text) = load(file, "pve");
        assert_eq!(exit, Exit::Usage);
        let keys: Vec<&str> = ["[source.pve]", "api = ", "token_id = ", "token_secret = ", "ca_file = "].into();
        assert!(keys.iter().all(|key| text.contains(key)), "{text}");
        let table: toml::Table = text[text.find("  [source").unwrap()..].parse().unwrap();
        assert_eq!(table["source"]["pve"].as_table().unwrap().len(), 4);
    }
    let lab = table_of("a@pve!bb").replace("source.pve", "source.lab") + "kind = \"pve\"\nnodes = 7\n";
    let both = format!("{}{lab}", table_of("a@pve!bb"));
    assert_eq!(load(Some(&lab), "pve"), (Exit::Done, "lab".into()));
    assert_eq!(load(Some(&both), "pve"), (Exit::Done, "pve".into()), "that of this name");
    let two = both.replace("source.pve]", "source.home]\nkind = \"pve\"");
    assert_eq!(load(Some(&two), "pve").1, "which source of kind pve? One of home, lab");
    assert_eq!(load(Some(&two), "huawei").0, Exit::Usage, "no keys");
    assert_eq!(load(Some(&two), "hom").1, "there is no source \"hom\" of kind huawei or pve; did you mean \"home\"?");
    let (exit, text) = load(Some(&lab.replace("api", "apo")), "lab");
    assert_eq!(exit, Exit::Usage);
    assert!(text.contains("source.lab.apo: unknown key; did you mean \"api\"?"), "{text}");
}

proptest! {
    #[test]
    fn no_name_becomes_more_than_a_name(
        name in "[\\x00-\\x7f\u{85}\u{2028}流\"'\\[\\]\n\r#=\\\\]{0,80}",
        tag in "[\\x00-\\x7f\u{202e}流\"'\\[\\]\n#]{0,20}",
        path in "/nodes/[\\x00-\\x7f\u{202e}']{0,20}",
    ) {
        let status = format!("is {name}");
        let texts = json!({"name": name, "tags": tag, "pool": name, "lock": name, "status": status});
        let guests = [guest("qemu/100", &texts)];
        let held = rights(&[("/vms", ALL), ("/nodes", ALL), (&path, &["Sys.PowerMgmt"])]);
        let nodes = json!({"data": [{"node": path.trim_start_matches("/nodes/"), "status": status}]}).to_string();
        let rest = "[source.o]\nkind = \"interface\"\n[quota.q]\nnics = [\"net0\"]\nsource = \"pve\"\n";
        let printed = discovered(&cluster(machine(rest).says("/json/nodes", 200, nodes), &guests, &held)).1;
        prop_assert!(!printed.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{}", printed);
        let table = pasted(&printed, false);
        prop_assert_eq!(table.keys().collect::<Vec<_>>(), ["quota"]);
        prop_assert_eq!(table["quota"].as_table().unwrap().len(), 1);
        pasted(&printed, true);
    }
}

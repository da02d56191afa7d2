//! What quotas on guests and actions on them are in a configuration, and what is wrong with them.

use std::time::Duration;

use super::sim::World;
use crate::config::secret::Need;
use crate::config::{self, Config};
use crate::quota::guest::{Choice, Kind, Named};
use crate::quota::instant::Instant;
use crate::quota::policy::{Effect, Kept, Off};

const CLUSTER: &str = "[source.pve]\napi = \"https://pve1\"\ntoken_id = \"netquota@pve!quota\"\n\
     token_secret = \"5c1a7a52-0000-4000-8000-1234567890ab\"\n";

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let world = World::new(Instant::parse("2026-01-01T00:00:00Z").unwrap());
    config::parse(&world, "c.toml", text, Need::Nothing)
}

/// A quota on guests, from line 5 of the file on; its own keys are from line 8 on.
fn guests(keys: &str, more: &str) -> String {
    format!("{CLUSTER}[quota.vms]\nsource = \"pve\"\nallowance = \"1 TB\"\n{keys}\n{more}")
}

#[track_caller]
fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{}", errors.join("\n")))
}

#[track_caller]
fn errors(text: &str) -> Vec<String> {
    parse(text).err().expect("it is wrong")
}

/// The only error, which is on line 8.
#[track_caller]
fn error(keys: &str) -> String {
    let errors = errors(&guests(keys, ""));
    let [error] = &errors[..] else { panic!("{errors:?}") };
    error.strip_prefix("c.toml:8: quota.vms").unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[track_caller]
fn choice(keys: &str) -> Choice {
    good(&guests(keys, "")).quotas[0].choice.clone().unwrap()
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn two_sources_of_one_cluster_are_a_warning() {
    let warnings = |api: &str| {
        let other = CLUSTER.replace("source.pve]", "source.also]\nkind = \"pve\"").replace("\"https://pve1\"", api);
        good(&guests("", &other)).warnings
    };
    let both = "source.also and source.pve: both read the same cluster: guests in both are held by each on its own";
    assert_eq!(warnings("[\"https://pve2\", \"https://PVE1:8006/\"]"), [both]);
    assert_eq!(warnings("\"https://pve1:8007\""), [""; 0]);
    assert_eq!(good(&guests("", "")).warnings, [""; 0]);
}

#[test]
fn which_guests_a_quota_is_about() {
    assert_eq!(choice(""), Choice::default());
    let all = choice(
        "guests = [100, \"web\", \"101\"]\ntags = [\"prod\"]\npools = [\"shop\", \"lab\"]\nnodes = [\"pve1\"]\n\
         types = [\"lxc\", \"qemu\"]\nnics = [\"net1\", \"vmbr1\"]",
    );
    let expected = Choice {
        guests: vec![Named::Vmid(100), Named::Text("web".into()), Named::Text("101".into())],
        tags: texts(&["prod"]),
        pools: texts(&["shop", "lab"]),
        nodes: texts(&["pve1"]),
        types: vec![Kind::Lxc, Kind::Qemu],
        nics: texts(&["net1", "vmbr1"]),
    };
    assert_eq!(all, expected);
}

#[test]
fn wrong_choices_are_errors_with_their_line() {
    let any = "at least one name is expected; leave it out for all";
    for (keys, expected) in [
        ("guests = []", ".guests: at least one guest is expected; leave it out for all".to_owned()),
        ("guests = [-1]", ".guests: -1 is no number of a guest".into()),
        ("guests = [4294967296]", ".guests: 4294967296 is no number of a guest".into()),
        ("guests = [\"\"]", ".guests: it is empty".into()),
        ("guests = [true]", ".guests: a number such as 100 or a name is expected".into()),
        ("tags = []", format!(".tags: {any}")),
        ("pools = [\"\"]", format!(".pools: {any}")),
        ("nodes = []", format!(".nodes: {any}")),
        ("nics = []", format!(".nics: {any}")),
        ("nics = [\"eth0\"]", ".nics: \"eth0\" is what a guest calls it: \"net0\" or a bridge is expected".into()),
        ("types = []", ".types: at least one of \"qemu\" and \"lxc\" is expected; leave it out for both".into()),
    ] {
        assert_eq!(error(keys), expected, "{keys}");
    }
    assert!(error("guests = 100").starts_with(".guests: "));
    assert!(error("types = [\"vm\"]").contains("\"vm\""));
    assert!(error("type = [\"qemu\"]").contains("types"), "the nearest key");
}

#[test]
fn keys_of_guests_mean_nothing_elsewhere() {
    for key in [
        "guests = [1]",
        "tags = [\"a\"]",
        "pools = [\"a\"]",
        "nodes = [\"a\"]",
        "types = [\"qemu\"]",
        "nics = [\"net0\"]",
        "since = \"creation\"",
    ] {
        let errors = errors(&format!("[quota.month]\nallowance = \"1 TB\"\n{key}\n"));
        let name = key.split(' ').next().unwrap();
        assert!(errors.len() == 1 && errors[0].starts_with(&format!("c.toml:3: quota.month.{name}: ")), "{errors:?}");
    }
}

#[test]
fn periods_since_creation() {
    let rule = |keys: &str| good(&guests(keys, "")).quotas[0].rule.clone();
    assert!(rule("since = \"creation\"").since_creation && !rule("").since_creation);
    assert_eq!(rule("since = \"creation\"").key(), "month since=creation at=00:00 zone=UTC");
    assert!(rule("period = \"week\"\nsince = \"creation\"\nreset = { at = \"04:00\" }").since_creation);
    for period in ["hour", "day", "never"] {
        let errors = errors(&guests(&format!("since = \"creation\"\nperiod = \"{period}\""), ""));
        assert_eq!(errors, [format!("c.toml:8: quota.vms.since: it means nothing for period \"{period}\"")]);
    }
    let lxc = "Proxmox VE does not know when a container was made: set types = [\"qemu\"]";
    assert_eq!(
        errors(&guests("since = \"creation\"\ntypes = [\"lxc\"]", "")),
        [format!("c.toml:8: quota.vms.since: {lxc}")]
    );
    assert!(rule("since = \"creation\"\ntypes = [\"lxc\", \"qemu\"]").since_creation);
    for (period, key) in [("month", "day = 3"), ("year", "month = 3"), ("week", "weekday = \"friday\"")] {
        let errors = errors(&guests(&format!("since = \"creation\"\nperiod = \"{period}\"\nreset = {{ {key} }}"), ""));
        let name = key.split(' ').next().unwrap();
        let expected =
            format!("c.toml:10: quota.vms.reset.{name}: since = \"creation\" says it: leave one of them out");
        assert_eq!(errors, [expected]);
    }
    assert!(error("since = \"boot\"").contains("creation"));
}

#[test]
fn the_actions_on_guests() {
    let text = guests(
        "tier = [{ used = \"80%\", actions = [\"slow\"] }, { used = \"90%\", actions = [\"pve-disconnect\", \"down\"] },\n\
         { used = \"99%\", actions = [\"pve-shutdown\", \"kill\"] }]",
        "[action.slow]\nkind = \"pve-rate-limit\"\nrate = \"10 Mbps\"\n\
         [action.down]\nkind = \"pve-shutdown\"\ntimeout = \"2 min\"\nforce = true\nkeep_down = true\n\
         restart_on_lift = true\nboot_grace = \"1 h\"\n\
         [action.kill]\nkind = \"pve-stop\"\nkeep_down = true\n",
    );
    let config = good(&text);
    let effects: Vec<(String, Effect)> = config.quotas[0]
        .tiers
        .iter()
        .flat_map(|tier| tier.actions.iter().map(|action| (action.name.clone(), action.effect)))
        .collect();
    let kept = |kept: Kept| Effect::Kept(kept);
    let down = Off {
        hard: false,
        timeout: Some(Duration::from_secs(120)),
        force: true,
        restart: true,
        grace: Duration::from_secs(3600),
    };
    let kill = Off { hard: true, timeout: None, force: false, restart: false, grace: Duration::from_secs(900) };
    let expected = [
        ("slow".to_owned(), kept(Kept::Limited(1_250_000))),
        ("pve-disconnect".into(), kept(Kept::Disconnected)),
        ("down".into(), kept(Kept::Off(down))),
        ("pve-shutdown".into(), Effect::GuestOff),
        ("kill".into(), kept(Kept::Off(kill))),
    ];
    assert_eq!(effects, expected);
    let rule = |name: &str| &config.actions.iter().find(|action| action.rule.name == name).unwrap().rule;
    assert_eq!((rule("slow").boot_grace, rule("slow").arm_after), (Duration::ZERO, Duration::ZERO));
    assert_eq!(rule("pve-shutdown").boot_grace, Duration::from_secs(900));
}

/// The errors of an action's table, which begins on line 9.
#[track_caller]
fn action(table: &str) -> Vec<String> {
    errors(&guests("", &format!("[action.a]\n{table}")))
}

#[test]
fn wrong_actions_on_guests_are_errors_with_their_line() {
    let limit = "kind = \"pve-rate-limit\"\n";
    assert_eq!(action(limit).len(), 1);
    assert!(action(limit)[0].contains("rate is missing"), "{:?}", action(limit));
    let rate = |text: &str| action(&format!("{limit}rate = \"{text}\"\n"));
    assert_eq!(rate("10 MB"), ["c.toml:11: action.a.rate: \"10 MB\" is no rate such as \"10 Mbps\" or \"1 MB/s\""]);
    let least = "it must be a byte per second at least: pve-disconnect lets nothing through";
    assert_eq!(rate("0 Mbps"), [format!("c.toml:11: action.a.rate: {least}")]);
    for key in ["boot_grace = \"1 min\"", "announce = \"1 min\"", "again_after = \"1 h\"", "keep_down = true"] {
        for (kind, rate) in [("pve-disconnect", ""), ("pve-rate-limit", "rate = \"1 MB/s\"\n")] {
            let errors = action(&format!("kind = \"{kind}\"\n{rate}{key}\n"));
            assert!(errors.len() == 1 && errors[0].contains(key.split(' ').next().unwrap()), "{errors:?}");
        }
    }
    let restart = "it goes with keep_down = true: only what is kept down is let go";
    for kind in ["pve-shutdown", "pve-stop"] {
        let errors = action(&format!("kind = \"{kind}\"\nrestart_on_lift = true\n"));
        assert_eq!(errors, [format!("c.toml:11: action.a.restart_on_lift: {restart}")]);
    }
    let timeout = action("kind = \"pve-shutdown\"\ntimeout = \"500 ms\"\n");
    assert!(timeout.len() == 1 && timeout[0].starts_with("c.toml:11: action.a.timeout: "), "{timeout:?}");
    assert_eq!(action("kind = \"pve-stop\"\nforce = true\n").len(), 1, "a power cut is forced enough");
}

#[test]
fn actions_go_with_the_sources_they_are_done_to() {
    let on_guest = |name: &str| {
        format!(
            "action {name:?} is done to a guest, and source \"interface\" has none: it goes with sources of kind pve"
        )
    };
    for name in ["pve-shutdown", "pve-stop", "pve-disconnect"] {
        let errors = errors(&format!(
            "[quota.month]\nallowance = \"1 TB\"\ntier = [{{ used = \"90%\", actions = [\"{name}\"] }}]\n"
        ));
        assert!(errors.len() == 1 && errors[0].ends_with(&on_guest(name)), "{errors:?}");
    }
    let errors = errors(&guests("tier = [{ used = \"90%\", actions = [\"shutdown\"] }]", ""));
    let here = "action \"shutdown\" would shut down this machine for a guest: pve-shutdown shuts down the guest";
    assert!(errors.len() == 1 && errors[0].ends_with(here), "{errors:?}");
}

#[test]
fn guests_of_a_pool_are_held_and_not_shut_down_once() {
    let tier = |action: &str| format!("pool = true\ntier = [{{ used = \"90%\", actions = [\"{action}\"] }}]");
    for name in ["pve-shutdown", "pve-stop"] {
        let errors = errors(&guests(&tier(name), ""));
        let once = format!(
            "action {name:?} for a pool would have to be done to each guest once: set its keep_down = true, or leave pool out"
        );
        assert!(errors.len() == 1 && errors[0].ends_with(&once), "{errors:?}");
    }
    good(&guests(&tier("pve-disconnect"), ""));
    good(&guests(&tier("down"), "[action.down]\nkind = \"pve-shutdown\"\nkeep_down = true\n"));
}

#[test]
fn a_change_of_the_choice_or_of_an_action_disarms() {
    let definition = |keys: &str, rate: &str| {
        let tier = "tier = [{ used = \"90%\", actions = [\"slow\"] }]";
        let action = format!("[action.slow]\nkind = \"pve-rate-limit\"\nrate = \"{rate}\"\n");
        good(&guests(&format!("{tier}\n{keys}"), &action)).quotas[0].tiers[0].definition.clone()
    };
    let plain = definition("", "10 Mbps");
    assert_eq!(plain, definition("", "1250 kB/s"), "the same otherwise written");
    for (keys, rate) in [("guests = [100]", "10 Mbps"), ("nics = [\"net0\"]", "10 Mbps"), ("", "9 Mbps")] {
        assert_ne!(plain, definition(keys, rate), "{keys} {rate}");
    }
}

//! Random NICs of every option there is (`net[n]` of the API's schema, Proxmox VE 6.2 to 9.1), limited, disconnected
//! and put back in every order; and values of real hosts.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn nic(text: &str) -> Nic {
    Nic::parse(text).unwrap()
}

/// Keys whose values are truth values.
const BOOLEANS: [&str; 4] = ["firewall", LINK_DOWN, "host-managed", "host-tunnel"];

/// Whether both mean the same: the same items, whatever their order and the spelling of truth values, of addresses
/// and of the model.
fn same(one: &Nic, other: &Nic) -> bool {
    let meaning = |nic: &Nic| nic.items.iter().flat_map(meaning).collect::<BTreeSet<_>>();
    meaning(one) == meaning(other)
}

fn meaning(item: &Item) -> Vec<(String, String)> {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let Some(value) = item.value.as_deref() else { return vec![pair("model", &item.key)] };
    match item.key.as_str() {
        key if MODELS.contains(&key) => vec![pair("model", key), pair("macaddr", &value.to_ascii_uppercase())],
        key if ADDRESSES.contains(&key) => vec![pair(key, &value.to_ascii_uppercase())],
        key if BOOLEANS.contains(&key) => {
            let value = boolean(value).map_or(value, |is| if is { "1" } else { "0" });
            vec![pair(key, value)]
        }
        key => vec![pair(key, value)],
    }
}

const VM: &str = "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=20,trunks=10;20-30,queues=4,mtu=1";
const CONTAINER: &str = "name=eth0,bridge=vmbr0,firewall=1,hwaddr=5D:CF:BD:B2:C5:39,ip=dhcp,type=veth";

#[test]
fn only_rate_and_link_are_changed() {
    for text in [VM, CONTAINER, "model=e1000,macaddr=BC:24:11:00:00:01,bridge=vmbr0,new-one=a=b"] {
        let before = nic(text);
        assert_eq!(before.to_string(), text);
        assert_eq!(before.limited(5 << 20).unwrap().to_string(), format!("{text},rate=5"));
        assert_eq!(before.disconnected().unwrap().to_string(), format!("{text},link_down=1"));
    }
    let held = nic("name=eth0,rate=10,bridge=vmbr0,link_down=no,ip=dhcp");
    let both = held.limited(1 << 19).and_then(|nic| nic.disconnected()).unwrap();
    assert_eq!(both.to_string(), "name=eth0,rate=0.5,bridge=vmbr0,link_down=1,ip=dhcp");
}

#[test]
fn rates_are_read_as_the_host_reads_them() {
    for (text, bytes) in [
        ("5", Some(5 << 20)),
        ("5.", Some(5 << 20)),
        (".5", Some(1 << 19)),
        ("+5.0", Some(5 << 20)),
        ("5e-1", Some(1 << 19)),
        ("0.5E1", Some(5 << 20)),
        ("0.004", Some(4194)),
        ("0.00000096", Some(1)),
        ("0.00000095", None),
        ("1e-7", None),
        ("1e-999999999999999999999", None),
        ("0", None),
        ("0.0", None),
        ("00e5", None),
        ("-5", None),
        ("", None),
        (".", None),
        ("e5", None),
        ("5e", None),
        ("5.5.5", None),
        ("abc", None),
        ("1e30", Some(u64::MAX)),
        ("1e999999999999999999999", Some(u64::MAX)),
        ("12345678901234567890123456789", Some(u64::MAX)),
        ("5.0000000000000000000000000000000000000000001", Some(5 << 20)),
    ] {
        assert_eq!(nic(&format!("name=eth0,rate={text}")).rate(), bytes, "{text}");
    }
    assert_eq!(nic("name=eth0").rate(), None);
}

#[test]
fn a_limit_is_only_tightened_and_never_becomes_none() {
    let of = |rate: &str| nic(&format!("name=eth0,bridge=vmbr0,rate={rate}"));
    assert_eq!(of("5").limited(5 << 20), None);
    assert_eq!(of("5").limited(6 << 20), None);
    assert_eq!(of("5").limited((5 << 20) - 1).unwrap().rate(), Some((5 << 20) - 1));
    for none in ["0", "0.0000001", "-1", "abc"] {
        assert_eq!(of(none).limited(4194).unwrap().to_string(), "name=eth0,bridge=vmbr0,rate=0.003999710084", "{none}");
    }
    for wanted in [0, 1] {
        assert_eq!(of("5").limited(wanted).unwrap().to_string(), "name=eth0,bridge=vmbr0,rate=0.000000953675");
    }
}

#[test]
fn a_link_is_down_in_every_spelling() {
    let of = |value: &str| nic(&format!("name=eth0,link_down={value}"));
    for value in ["1", "on", "yes", "true", "TRUE", "On"] {
        assert!(of(value).link_down() && of(value).disconnected().is_none(), "{value}");
    }
    for value in ["0", "off", "no", "false", "", "maybe"] {
        assert!(!of(value).link_down() && of(value).disconnected().unwrap().link_down(), "{value}");
    }
    assert!(!nic("name=eth0").link_down());
}

#[test]
fn a_vms_nic_without_a_bridge_is_left_alone() {
    for text in ["virtio=BC:24:11:00:00:01", "virtio=BC:24:11:00:00:01,bridge=,rate=5", "model=virtio", "virtio"] {
        assert!(nic(text).is_left_alone());
        assert_eq!((nic(text).limited(1), nic(text).disconnected()), (None, None), "{text}");
    }
    assert!(nic("name=eth0").limited(1).is_some(), "a container's");
}

#[test]
fn what_no_host_would_store_is_refused() {
    for text in ["", ",", "virtio=X,,bridge=vmbr0", "virtio=X,", "=x", "rate=1,rate=2", "virtio,virtio"] {
        assert!(Nic::parse(text).is_err(), "{text}");
    }
    assert_eq!(
        Nic::parse("a=1,\u{1b}=2,\u{1b}=3").unwrap_err(),
        r#""\\u{1b}" stands twice in "a=1,\\u{1b}=2,\\u{1b}=3""#
    );
}

#[test]
fn the_same_is_the_same_however_it_is_spelled() {
    let spellings = [
        "virtio=BC:24:11:00:00:0A,bridge=vmbr0,link_down=1",
        "link_down=on,bridge=vmbr0,virtio=bc:24:11:00:00:0a",
        "model=virtio,macaddr=BC:24:11:00:00:0A,bridge=vmbr0,link_down=yes",
        "virtio,macaddr=BC:24:11:00:00:0A,bridge=vmbr0,link_down=True",
    ];
    for (one, other) in spellings.iter().flat_map(|one| spellings.iter().map(move |other| (one, other))) {
        assert!(same(&nic(one), &nic(other)), "{one} {other}");
    }
    for other in ["virtio=BC:24:11:00:00:0A,bridge=vmbr0", "virtio=BC:24:11:00:00:0A,bridge=vmbr1,link_down=1"] {
        assert!(!same(&nic(spellings[0]), &nic(other)), "{other}");
    }
}

#[test]
fn what_somebody_else_has_changed_is_left() {
    let before = nic("name=eth0,bridge=vmbr0,rate=10");
    let ours = before.limited(1 << 20).and_then(|nic| nic.disconnected()).unwrap();
    let change = before.change_to(&ours);
    for (now, then, foreign) in [
        // The host's spelling of ours, and a NIC that was changed otherwise.
        ("name=eth0,bridge=vmbr7,link_down=yes,rate=1.00", "name=eth0,bridge=vmbr7,rate=10", vec![]),
        ("name=eth0,bridge=vmbr0,rate=2,link_down=1", "name=eth0,bridge=vmbr0,rate=2", vec![RATE]),
        ("name=eth0,bridge=vmbr0,link_down=1", "name=eth0,bridge=vmbr0", vec![RATE]),
        ("name=eth0,bridge=vmbr0,rate=3,link_down=1", "name=eth0,bridge=vmbr0,rate=3", vec![RATE]),
        // Put back already, by us with the answer lost, or by somebody else.
        ("name=eth0,bridge=vmbr0,rate=10.0,link_down=0", "name=eth0,bridge=vmbr0,rate=10.0,link_down=0", vec![]),
    ] {
        let restored = nic(now).restored(&change);
        assert_eq!((restored.nic.to_string().as_str(), restored.foreign), (then, foreign), "{now}");
    }
    let connected = nic("name=eth0,bridge=vmbr0");
    let change = nic("name=eth0,link_down=0").change_to(&nic("name=eth0,link_down=1"));
    assert_eq!(connected.restored(&change).foreign, Vec::<&str>::new());
    let change = connected.change_to(&connected.limited(1 << 20).unwrap());
    assert_eq!(nic("name=eth0,bridge=vmbr0,rate=7").restored(&change).foreign, [RATE]);
}

#[test]
fn whichever_of_our_values_was_taken_is_put_back() {
    let before = nic(VM);
    let (first, second) = (before.limited(2 << 20).unwrap(), before.limited(1 << 20).unwrap());
    let change = before.change_to(&second).or(&before.change_to(&first));
    for taken in [&before, &first, &second] {
        let restored = taken.restored(&change);
        assert_eq!((restored.nic, restored.foreign), (before.clone(), vec![]));
    }
    let text = serde_json::to_string(&change).unwrap();
    assert_eq!(text, r#"{"rate":{"ours":["1","2"]}}"#);
    assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
    // However old: a snapshot may have kept it.
    let many = (3..20).map(|mib| before.change_to(&before.limited(mib << 20).unwrap()));
    let change = many.fold(change, |known, change| change.or(&known));
    assert_eq!(first.restored(&change).nic, before);
    assert_eq!(Change::default().or(&change), change, "what is put back may still be there");
    assert!(Change::default().is_empty() && !change.is_empty());
}

fn boolean_text() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &["0", "1", "on", "off", "yes", "no", "true", "false", "ON", "No", "True"];
    prop::sample::select(WORDS).prop_map(str::to_owned)
}

fn mac() -> impl Strategy<Value = String> {
    "[0-9A-F]{2}(:[0-9A-Fa-f]{2}){5}"
}

fn rate_value() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,4}", "[0-9]{0,3}\\.[0-9]{1,9}", "[0-9]{1,3}\\.", "[1-9]e-?[0-9]", Just("0".to_owned())]
}

fn item(key: &'static str, value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Option<String>> {
    prop::option::of(value.prop_map(move |value| format!("{key}={value}"))).boxed()
}

/// Items of both kinds of guest.
fn common() -> Vec<BoxedStrategy<Option<String>>> {
    vec![
        item("firewall", boolean_text()),
        item("link_down", boolean_text()),
        item("rate", rate_value()),
        item("tag", "[1-9][0-9]{0,3}"),
        item("trunks", "[1-9][0-9]?(;[1-9][0-9]?(-[5-9][0-9])?){0,3}"),
        item("mtu", "[1-9][0-9]{0,3}"),
        item("x-unknown", "[ -+\\--~]{1,9}"),
        item("another", boolean_text()),
    ]
}

fn vm() -> impl Strategy<Value = String> {
    let model = (prop::sample::select(&MODELS[..]), mac());
    let first = (model, any::<bool>()).prop_map(|((model, mac), short)| match short {
        true => Some(format!("{model}={mac}")),
        false => Some(format!("model={model},macaddr={mac}")),
    });
    let mut items = common();
    items.extend([
        first.boxed(),
        "[a-z][a-z0-9]{0,7}".prop_map(|bridge| Some(format!("bridge={bridge}"))).boxed(),
        item("queues", "[0-9]|[1-5][0-9]"),
        item("host-tunnel", boolean_text()),
    ]);
    shuffled(items)
}

fn container() -> impl Strategy<Value = String> {
    let mut items = common();
    items.extend([
        "[a-z]{1,9}[0-9]".prop_map(|name| Some(format!("name={name}"))).boxed(),
        item("bridge", "[-_.a-z0-9]{1,9}"),
        item("gw", "10\\.0\\.0\\.[1-9]"),
        item("gw6", "fe80::[1-9]"),
        item("host-managed", boolean_text()),
        item("hwaddr", mac()),
        item("ip", "dhcp|manual|10\\.0\\.0\\.[1-9]/24"),
        item("ip6", "auto|dhcp|manual|fd00::[1-9]/64"),
        item("type", Just("veth".to_owned())),
    ]);
    shuffled(items)
}

fn shuffled(items: Vec<BoxedStrategy<Option<String>>>) -> impl Strategy<Value = String> {
    let present = items.prop_map(|items| items.into_iter().flatten().collect::<Vec<_>>());
    present.prop_shuffle().prop_map(|items| items.join(","))
}

fn any_nic() -> impl Strategy<Value = String> {
    prop_oneof![vm(), container()]
}

#[test]
fn the_largest_rates_are_written_to_the_byte_too() {
    for bytes in [u64::MAX, u64::MAX - 1, 10_485_782_934_087_183_801] {
        assert_eq!(bytes_per_second(&rate_text(bytes)), Some(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn reading_and_printing_change_nothing(text in any_nic()) {
        prop_assert_eq!(nic(&text).to_string(), text);
    }

    #[test]
    fn whatever_is_read_is_printed(text in "[a-c=,;]{0,20}") {
        if let Ok(nic) = Nic::parse(&text) {
            prop_assert_eq!(nic.to_string(), text);
        }
    }

    #[test]
    fn every_rate_is_written_to_the_byte(bytes in prop_oneof![0..10_u64, 0..1_u64 << 40, any::<u64>()]) {
        prop_assert_eq!(bytes_per_second(&rate_text(bytes)), Some(bytes));
        prop_assert!(rate_text(bytes).split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 12));
    }

    #[test]
    fn a_limit_holds_and_goes_away(text in any_nic(), wanted in 1..1_u64 << 34) {
        let before = nic(&text);
        let ours = before.limited(wanted).unwrap_or_else(|| before.clone());
        prop_assert_eq!(ours.rate(), Some(before.rate().map_or(wanted, |rate| rate.min(wanted))));
        prop_assert_eq!(ours.limited(wanted), None);
        prop_assert_eq!(ours.link_down(), before.link_down());
        let restored = ours.restored(&before.change_to(&ours));
        prop_assert_eq!((restored.nic.to_string(), restored.foreign), (text, vec![]));
    }

    #[test]
    fn a_link_goes_down_and_up(text in any_nic()) {
        let before = nic(&text);
        let ours = before.disconnected().unwrap_or_else(|| before.clone());
        prop_assert!(ours.link_down() && ours.disconnected().is_none());
        prop_assert_eq!(ours.rate(), before.rate());
        let restored = ours.restored(&before.change_to(&ours));
        prop_assert_eq!((restored.nic.to_string(), restored.foreign), (text, vec![]));
    }

    /// The host stores another order and spelling; the two holds are lifted in either order, or in one go.
    #[test]
    fn both_go_away_in_any_order(text in any_nic(), wanted in 1..1_u64 << 34, turn in 0..20_usize, order in 0..3) {
        let before = nic(&text);
        let limited = before.limited(wanted).unwrap_or_else(|| before.clone());
        let both = limited.disconnected().unwrap_or_else(|| limited.clone());
        let (rate, link) = (before.change_to(&limited), limited.change_to(&both));
        let mut stored = both.clone();
        let length = stored.items.len();
        stored.items.rotate_left(turn % length);
        for item in stored.items.iter_mut().filter(|item| item.key == LINK_DOWN) {
            item.value = item.value.as_deref().map(|value| if is_true(Some(value)) { "1" } else { "0" }.to_owned());
        }
        prop_assert!(same(&stored, &both));
        let changes = match order { 0 => vec![rate, link], 1 => vec![link, rate], _ => vec![Change { rate: rate.rate, link_down: link.link_down }] };
        let mut now = stored;
        for change in changes.iter().chain(&changes) {
            let restored = now.restored(change);
            prop_assert_eq!(restored.foreign, Vec::<&str>::new());
            now = restored.nic;
        }
        prop_assert!(same(&now, &before), "{} {}", now, before);
    }
}

#[test]
fn the_address_stands_in_several_places() {
    for (text, address) in [
        ("virtio=bc:24:11:00:00:01,bridge=vmbr0", Some("BC:24:11:00:00:01")),
        ("bridge=vmbr0,model=e1000,macaddr=BC:24:11:00:00:0a", Some("BC:24:11:00:00:0A")),
        ("name=eth0,bridge=vmbr0,hwaddr=5d:CF:BD:B2:C5:39,ip=dhcp", Some("5D:CF:BD:B2:C5:39")),
        ("virtio,bridge=vmbr0", None),
        ("virtio=,bridge=vmbr0", None),
        ("bridge=vmbr0", None),
    ] {
        assert_eq!(Nic::parse(text).unwrap().address().as_deref(), address, "{text}");
    }
}

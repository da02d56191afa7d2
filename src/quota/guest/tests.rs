//! Which guests a quota is about.

use super::*;

fn guest() -> (Id, Guest) {
    let guest = Guest {
        name: "web".into(),
        node: "pve1".into(),
        tags: "Prod;eu,fast\u{0}x  y".into(),
        pool: Some("customers".into()),
        ..Guest::default()
    };
    (Id { kind: Kind::Qemu, vmid: 100 }, guest)
}

fn takes(choice: &Choice) -> bool {
    let (id, guest) = guest();
    choice.takes(id, &guest)
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_subject_is_a_kind_and_a_number() {
    for id in [Id { kind: Kind::Qemu, vmid: 100 }, Id { kind: Kind::Lxc, vmid: 999_999_999 }] {
        assert_eq!(Id::parse(&id.to_string()), Some(id));
    }
    for text in ["", "qemu", "qemu/", "qemu/x", "qemu/-1", "qemu/4294967296", "vm/100", "qemu/100 net0", "Qemu/100"] {
        assert_eq!(Id::parse(text), None, "{text}");
    }
}

#[test]
fn all_are_chosen_where_nothing_is_said() {
    assert!(takes(&Choice::default()));
    assert!(Choice::default().takes(Id { kind: Kind::Lxc, vmid: 1 }, &Guest::default()));
}

#[test]
fn one_is_called_by_its_number_or_its_name() {
    let by = |guests: Vec<Named>| takes(&Choice { guests, ..Choice::default() });
    assert!(by(vec![Named::Vmid(100)]) && by(vec![Named::Text("100".into())]) && by(vec![Named::Text("web".into())]));
    assert!(by(vec![Named::Vmid(7), Named::Text("web".into())]));
    for other in ["WEB", "we", "", "0100", "qemu/100", "web*"] {
        assert!(!by(vec![Named::Text(other.into())]), "{other}");
    }
    assert!(!by(vec![Named::Vmid(101)]));
    // A number written as such is never a name.
    let (id, known) = guest();
    let called = Guest { name: "7".into(), ..known };
    let seven = |named: Named| Choice { guests: vec![named], ..Choice::default() }.takes(id, &called);
    assert_eq!((seven(Named::Vmid(7)), seven(Named::Text("7".into()))), (false, true));
}

#[test]
fn any_tag_will_do_in_any_case() {
    let by = |tags: &[&str]| takes(&Choice { tags: texts(tags), ..Choice::default() });
    for tag in ["prod", "PROD", "eu", "fast", "X", "y"] {
        assert!(by(&[tag]) && by(&["other", tag]), "{tag}");
    }
    assert!(!by(&["pro"]) && !by(&["prod;eu"]) && !by(&["other"]));
    assert_eq!(guest().1.tags().collect::<Vec<_>>(), ["Prod", "eu", "fast", "x", "y"]);
    assert_eq!(Guest { tags: ";, ;".into(), ..Guest::default() }.tags().count(), 0);
}

#[test]
fn pools_nodes_and_kinds() {
    let pool = |pools: &[&str]| Choice { pools: texts(pools), ..Choice::default() };
    assert!(takes(&pool(&["customers"])) && takes(&pool(&["a", "customers"])));
    assert!(!takes(&pool(&["Customers"])) && !takes(&pool(&["custom"])));
    assert!(
        !pool(&["customers"]).takes(guest().0, &Guest { pool: None, ..guest().1 }),
        "in none, or nobody may see it"
    );
    let node = |nodes: &[&str]| takes(&Choice { nodes: texts(nodes), ..Choice::default() });
    assert!(node(&["pve1"]) && node(&["pve2", "pve1"]) && !node(&["pve2"]) && !node(&["PVE1"]));
    let kind = |types: &[Kind]| takes(&Choice { types: types.to_vec(), ..Choice::default() });
    assert!(kind(&[Kind::Qemu]) && kind(&[Kind::Lxc, Kind::Qemu]) && !kind(&[Kind::Lxc]));
}

#[test]
fn all_that_is_said_has_to_hold() {
    let choice = Choice {
        guests: vec![Named::Vmid(100)],
        tags: texts(&["prod"]),
        pools: texts(&["customers"]),
        nodes: texts(&["pve1"]),
        types: vec![Kind::Qemu],
        nics: texts(&["net7"]),
    };
    assert!(takes(&choice), "NICs choose no guests");
    for other in [
        Choice { guests: vec![Named::Vmid(1)], ..choice.clone() },
        Choice { tags: texts(&["x1"]), ..choice.clone() },
        Choice { pools: texts(&["x"]), ..choice.clone() },
        Choice { nodes: texts(&["x"]), ..choice.clone() },
        Choice { types: vec![Kind::Lxc], ..choice.clone() },
    ] {
        assert!(!takes(&other), "{other:?}");
    }
}

#[test]
fn what_is_known_of_a_guest_is_remembered_but_for_what_is_so_now() {
    let known = Guest {
        created: Some(Instant::from_millis(1_700_000_000_000)),
        on: true,
        lock: Some("backup".into()),
        ..guest().1
    };
    let text = serde_json::to_string(&known).unwrap();
    assert!(text.contains("\"created\":1700000000") && !text.contains("backup"), "{text}");
    let again: Guest = serde_json::from_str(&text).unwrap();
    assert_eq!(again, Guest { on: false, lock: None, ..known });
    assert_eq!(
        serde_json::from_str::<Guest>("{\"node\":\"n\"}").unwrap(),
        Guest { node: "n".into(), ..Guest::default() }
    );
}

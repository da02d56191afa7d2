//! What a guest's NICs come to, hold after hold.

use std::collections::BTreeSet;

use super::*;

const PLAIN: &str = "virtio=BC:24:11:00:00:01,bridge=vmbr0";
const RATE: u64 = 1 << 20;

fn limited(rate: u64) -> Strictest {
    Strictest { limit: Some(rate), ..Strictest::default() }
}

fn free() -> Strictest {
    Strictest::default()
}

fn cut() -> Strictest {
    Strictest { disconnected: true, ..Strictest::default() }
}

/// A configuration with these NICs; one without a text cannot be read.
fn config(nics: &[(&str, &str)]) -> Config {
    let nic = |text: &str| Nic::parse(text).map_err(|_| "it is odd".to_owned());
    Config {
        digest: "d".into(),
        nics: nics.iter().map(|(name, text)| ((*name).to_owned(), nic(text))).collect(),
        created: None,
        addresses: BTreeSet::new(),
    }
}

/// One NIC and what is known of it.
struct Guest {
    text: String,
    known: BTreeMap<String, Change>,
}

impl Guest {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), known: BTreeMap::new() }
    }

    /// Compares, and does what follows; what somebody else has changed.
    fn bring(&mut self, wanted: Strictest) -> Vec<String> {
        let compared = compare(&self.known, wanted, &config(&[("net0", &self.text)]));
        self.known = compared.known;
        if let Some(nic) = compared.put.get("net0") {
            self.text = nic.to_string();
        }
        compared.foreign
    }

    fn ours(&self) -> Vec<&str> {
        let rate = self.known.get("net0").and_then(|change| change.rate.as_ref());
        rate.into_iter().flat_map(|edit| &edit.ours).map(String::as_str).collect()
    }
}

#[test]
fn a_nic_is_held_and_put_back() {
    for text in [PLAIN, "virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=10,link_down=0"] {
        let mut guest = Guest::new(text);
        assert_eq!(guest.bring(limited(RATE)), Vec::<String>::new());
        let held = guest.text.clone();
        assert!(held.contains("rate=1"), "{held}");
        assert_eq!(guest.bring(limited(RATE)), Vec::<String>::new());
        assert_eq!(guest.text, held, "it is so already");
        guest.bring(cut());
        assert!(guest.text.contains("link_down=1") && !guest.text.contains("rate=1,"), "{}", guest.text);
        guest.bring(free());
        assert_eq!(guest.text, text);
    }
}

#[test]
fn nothing_is_known_of_a_nic_that_was_left_as_it_was() {
    for (text, wanted) in [
        (PLAIN, free()),
        ("virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=0.5", limited(RATE)),
        ("virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1", cut()),
        // A VM's NIC without a bridge.
        ("virtio=BC:24:11:00:00:01", cut()),
    ] {
        let compared = compare(&BTreeMap::new(), wanted, &config(&[("net0", text)]));
        assert!(compared.put.is_empty() && compared.known.is_empty() && compared.foreign.is_empty(), "{text}");
    }
}

#[test]
fn a_nic_that_is_not_there_is_still_known() {
    let mut guest = Guest::new(PLAIN);
    guest.bring(limited(RATE));
    let known = guest.known.clone();
    let compared = compare(&known, free(), &config(&[("net1", PLAIN)]));
    assert!(compared.put.is_empty() && compared.foreign.is_empty() && compared.unread.is_empty());
    assert_eq!(compared.known, known, "it may come back as it was");
    guest.bring(free());
    assert_eq!(guest.text, PLAIN);
}

#[test]
fn a_nic_that_cannot_be_read_is_a_matter_where_something_is_to_be_done() {
    let odd = config(&[("net0", ""), ("net1", PLAIN)]);
    let compared = compare(&BTreeMap::new(), limited(RATE), &odd);
    assert_eq!(compared.unread, ["net0 is left alone: it is odd"]);
    assert_eq!(compared.put.keys().collect::<Vec<_>>(), ["net1"], "the others are held");
    assert!(compare(&BTreeMap::new(), free(), &odd).unread.is_empty());
    let mut guest = Guest::new(PLAIN);
    guest.bring(limited(RATE));
    let compared = compare(&guest.known, free(), &odd);
    assert_eq!((compared.unread.len(), compared.known == guest.known), (1, true), "ours may still be on it");
}

#[test]
fn any_value_that_was_ever_ours_is_taken_off() {
    let mut guest = Guest::new(PLAIN);
    let mut snapshots = Vec::new();
    for wanted in [limited(3 * RATE), limited(2 * RATE), free(), limited(RATE), free()] {
        guest.bring(wanted);
        snapshots.push(guest.text.clone());
    }
    assert_eq!((guest.text.as_str(), guest.ours()), (PLAIN, vec!["1", "2", "3"]));
    for snapshot in snapshots {
        // Let go, and rolled back.
        guest.text = snapshot.clone();
        assert_eq!((guest.bring(free()), guest.text.as_str()), (vec![], PLAIN), "{snapshot}");
        // Held, and rolled back.
        guest.bring(limited(RATE));
        guest.text = snapshot;
        guest.bring(limited(RATE));
        assert_eq!(guest.text, format!("{PLAIN},rate=1"));
        guest.bring(free());
    }
}

#[test]
fn what_somebody_else_has_changed_stays() {
    let mut guest = Guest::new(PLAIN);
    guest.bring(limited(RATE));
    guest.text = format!("{PLAIN},rate=7");
    assert_eq!(guest.bring(free()), ["net0 (rate)"]);
    assert_eq!(guest.text, format!("{PLAIN},rate=7"));
    // While it is held it is held, and theirs is what is put back then.
    guest.bring(limited(RATE));
    guest.text = format!("{PLAIN},rate=5");
    assert_eq!(guest.bring(limited(RATE)), Vec::<String>::new());
    assert_eq!(guest.text, format!("{PLAIN},rate=1"));
    assert_eq!(guest.bring(free()), Vec::<String>::new());
    assert_eq!(guest.text, format!("{PLAIN},rate=5"));
    // What was changed of an item that is not wanted any more is told while another is.
    let mut guest = Guest::new(PLAIN);
    guest.bring(limited(RATE));
    guest.text = format!("{PLAIN},rate=9");
    assert_eq!(guest.bring(cut()), ["net0 (rate)"]);
    assert_eq!(guest.text, format!("{PLAIN},rate=9,link_down=1"));
}

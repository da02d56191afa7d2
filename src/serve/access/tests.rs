//! Passwords and tokens, right and wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

fn settings(all: Option<&str>, own: &[(&str, &str)], token: Option<&str>) -> Settings {
    let own = own.iter().map(|(node, password)| ((*node).to_owned(), Secret::new(*password)));
    Settings {
        read_token: token.map(Secret::new),
        report_password: all.map(Secret::new),
        node_passwords: own.collect::<BTreeMap<_, _>>(),
        idle_exit: Duration::from_secs(30),
        max_nodes: 10,
    }
}

#[test]
fn a_node_with_a_password_of_its_own_needs_that_one() {
    let both = settings(Some("all"), &[("hk", "own")], None);
    for (node, password, may) in
        [("hk", "own", true), ("hk", "all", false), ("jp", "all", true), ("jp", "own", false), ("jp", "", false)]
    {
        assert_eq!(is_node(&both, node, password), may, "{node} {password}");
    }
    let listed = settings(None, &[("hk", "own")], None);
    assert!(is_node(&listed, "hk", "own") && !is_node(&listed, "jp", "own") && !is_node(&listed, "jp", ""));
    assert!(takes_reports(&both) && takes_reports(&listed) && !takes_reports(&settings(None, &[], Some("t"))));
}

#[test]
fn an_empty_secret_lets_nobody_in() {
    let empty = settings(Some(""), &[("hk", "")], Some(""));
    assert!(!is_node(&empty, "hk", "") && !is_node(&empty, "jp", "") && !is_reader(&empty, b""));
    assert!(!is_reader(&settings(None, &[], None), b""));
    assert!(is_reader(&settings(None, &[], Some("t")), b"t") && !is_reader(&settings(None, &[], Some("t")), b"tt"));
}

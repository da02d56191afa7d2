//! What is remembered of changes while it is not known which of them was taken.

use super::*;

fn edit(before: Option<&str>, ours: &[&str]) -> Edit {
    Edit { before: before.map(str::to_owned), ours: ours.iter().map(|ours| (*ours).to_owned()).collect() }
}

fn rate(before: Option<&str>, ours: &[&str]) -> Change {
    Change { rate: Some(edit(before, ours)), link_down: None }
}

#[test]
fn nothing_done_is_nothing() {
    assert!(Change::default().is_empty());
    assert!(!rate(None, &["1"]).is_empty());
    assert!(!Change { rate: None, link_down: Some(edit(None, &["1"])) }.is_empty());
}

#[test]
fn either_of_two_may_be_there() {
    let older = rate(Some("5"), &["1"]);
    assert_eq!(rate(Some("5"), &["0.5"]).or(&older), rate(Some("5"), &["0.5", "1"]), "the newest first");
    assert_eq!(rate(Some("5"), &["1"]).or(&older), rate(Some("5"), &["1"]), "each once");
    let both = rate(Some("5"), &["0.5"]).or(&rate(Some("5"), &["2", "0.5", "1"]));
    assert_eq!(both, rate(Some("5"), &["0.5", "2", "1"]));
}

#[test]
fn what_was_there_before_is_what_was_read_last() {
    // It was read when the newer change was made; ours are never taken for somebody else's before.
    let older = rate(Some("5"), &["1"]);
    assert_eq!(rate(Some("3"), &["0.5"]).or(&older).rate.unwrap().before.as_deref(), Some("3"));
}

#[test]
fn limit_and_carrier_go_by_themselves() {
    let down = Change { rate: None, link_down: Some(edit(Some("0"), &["1"])) };
    let limited = rate(None, &["1"]);
    let both = Change { rate: limited.rate.clone(), link_down: down.link_down.clone() };
    assert_eq!(down.clone().or(&limited), both);
    assert_eq!(limited.clone().or(&down), both);
    assert_eq!(Change::default().or(&both), both, "what is older stays");
    assert_eq!(both.clone().or(&Change::default()), both);
}

#[test]
fn only_the_last_values_are_remembered() {
    let mut change = Change::default();
    for turn in 0..MOST + 5 {
        change = rate(None, &[&turn.to_string()]).or(&change);
    }
    let ours = change.rate.unwrap().ours;
    assert_eq!((ours.len(), ours.first().unwrap().as_str(), ours.last().unwrap().as_str()), (MOST, "36", "5"));
}

#[test]
fn a_change_is_remembered_in_its_very_spelling() {
    let change = Change { rate: Some(edit(Some("5.0"), &["0.5", "1"])), link_down: Some(edit(None, &["1"])) };
    let text = serde_json::to_string(&change).unwrap();
    assert_eq!(text, r#"{"rate":{"before":"5.0","ours":["0.5","1"]},"link_down":{"ours":["1"]}}"#);
    assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
}

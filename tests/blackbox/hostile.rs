//! Names that markup, terminals or tables would choke on.

use crate::machine::{Machine, telegram_table};
use crate::telegram::Telegram;

/// Names the kernel allows: at most 15 bytes, no slash, no space.
const NAMES: &[&str] =
    &["<b>x<i>&lt;", "a&amp;b", "`*_[eth]~", "\u{1b}[31mred", "eth\u{202e}0", "网卡一", "\"quoted\"", "'; rm -rf'"];

fn quota(telegram: &Telegram, label: &str) -> String {
    format!(
        "[source.interface]\ninterfaces = [\"*\"]\n[quota.month]\nallowance = \"1 MB\"\ntiers = [\"80%\"]\n{label}{}",
        telegram_table(&telegram.url())
    )
}

#[track_caller]
fn harmless(text: &str) {
    let bad = text.chars().find(|c| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c));
    assert_eq!(bad, None, "in {text:?}");
}

#[test]
fn hostile_interface_names_are_shown_escaped() {
    for name in NAMES {
        let telegram = Telegram::new();
        let machine = Machine::bare().interface(name, 0, 0).default_route("eth0").config(&quota(&telegram, ""));
        machine.check_exits(0);
        machine.grow(name, 0, 900_000);
        machine.check_exits(0);
        let message = telegram.only();
        harmless(&message.text);
        if name.is_ascii() && !name.contains('\u{1b}') {
            assert!(message.text.contains(name), "{name} as it is: {}", message.text);
        }
        harmless(&machine.run(&["status"]).exits(0).stdout);
        harmless(&machine.run(&["check", "--debug"]).exits(0).stdout);
        assert_eq!(machine.status().row_of(name)["used"], 900_000, "the document has the true name");
    }
}

#[test]
fn a_label_of_ten_thousand_characters_is_cut() {
    for filler in ["x", "<", "&", "网", "\u{1f600}"] {
        let telegram = Telegram::new();
        let label = format!("label = \"{}\"\n", filler.repeat(10_000));
        let machine = Machine::new().config(&quota(&telegram, &label));
        machine.check_exits(0);
        machine.grow("eth0", 0, 900_000);
        machine.check_exits(0);
        let message = telegram.only();
        assert!(message.text.contains("90") && message.text.contains("eth0"), "{filler}: the figures survive");
        let run = machine.run(&["status"]).exits(0);
        assert!(run.stdout.chars().count() < 5_000, "{filler}: {} characters", run.stdout.chars().count());
    }
}

#[test]
fn a_hostile_label_is_shown_escaped() {
    let telegram = Telegram::new();
    let label = "label = \"<a href='http://x'>&\\u001B[2J\\u0007 \\u0000\"\n";
    let machine = Machine::new().config(&quota(&telegram, label));
    machine.check_exits(0);
    machine.grow("eth0", 0, 900_000);
    machine.check_exits(0);
    let message = telegram.only();
    assert!(message.text.contains("<a href='http://x'>&"), "{}", message.text);
    harmless(&message.text);
    harmless(&machine.run(&["status"]).exits(0).stdout);
}

#[test]
fn a_hostile_host_name_is_shown_escaped() {
    let telegram = Telegram::new();
    let config = format!("{}[host]\nname = \"<i>&\\u001B[31m\"\n", quota(&telegram, ""));
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 900_000);
    machine.check_exits(0);
    let message = telegram.only();
    assert!(message.text.contains("<i>&"), "{}", message.text);
    harmless(&message.text);
}

#[test]
fn two_hundred_alerts_at_once_are_at_most_three_messages() {
    let telegram = Telegram::new();
    let mut machine = Machine::new();
    for n in 0..200 {
        machine = machine.interface(&format!("card{n:03}<&>"), 0, 0);
    }
    let config = quota(&telegram, "").replace("[\"*\"]", "[\"card*\"]");
    let machine = machine.config(&config);
    machine.check_exits(0);
    for n in 0..200 {
        machine.grow(&format!("card{n:03}<&>"), 0, 900_000);
    }
    machine.check_exits(0);
    let texts = telegram.texts();
    assert!((2..=3).contains(&texts.len()), "{} messages", texts.len());
    assert!(texts.iter().all(|text| text.encode_utf16().count() <= 4096));
    assert!(texts[0].contains("card000<&>"));
    let named = (0..200).filter(|n| texts.iter().any(|text| text.contains(&format!("card{n:03}")))).count();
    let more = texts.last().unwrap().contains(&format!("{} more", 200 - named));
    assert!(named == 200 || more, "{named} named, and the rest is counted: {}", texts.last().unwrap());
    machine.check_exits(0).quietly();
    assert_eq!(telegram.messages().len(), texts.len());
}

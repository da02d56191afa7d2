//! Messages in Chinese and English.

use crate::machine::{Machine, quota_and_telegram};
use crate::telegram::Telegram;

fn alert(prefix: &str, lang: Option<&str>) -> String {
    let telegram = Telegram::new();
    let mut machine = Machine::new().config(&format!("{prefix}{}", quota_and_telegram(&telegram.url())));
    if let Some(lang) = lang {
        machine = machine.env("LANG", lang);
    }
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    telegram.only().text
}

fn is_chinese(text: &str) -> bool {
    text.chars().filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c)).count() >= 10
}

#[test]
fn messages_are_chinese_when_so_configured() {
    let text = alert("language = \"zh\"\n", None);
    assert!(is_chinese(&text), "{text}");
    for part in ["blackbox-host", "eth0", "81.2", "1 MB"] {
        assert!(text.contains(part), "no {part} in:\n{text}");
    }
    for english in ["used", "Used", "remaining", "until", "quota", "traffic"] {
        assert!(!text.contains(english), "{english} in:\n{text}");
    }
}

#[test]
fn the_language_comes_from_the_environment() {
    assert!(is_chinese(&alert("", Some("zh_CN.UTF-8"))));
    assert!(!is_chinese(&alert("", Some("en_US.UTF-8"))));
    assert!(!is_chinese(&alert("", Some("C.UTF-8"))));
    assert!(!is_chinese(&alert("", None)));
}

#[test]
fn the_configuration_wins_over_the_environment() {
    assert!(!is_chinese(&alert("language = \"en\"\n", Some("zh_CN.UTF-8"))));
}

#[test]
fn notify_test_speaks_the_language_too() {
    let telegram = Telegram::new();
    let machine = Machine::new().config(&format!("language = \"zh\"\n{}", quota_and_telegram(&telegram.url())));
    machine.run(&["notify-test"]).exits(0);
    let text = telegram.only().text;
    assert!(text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{text}");
}

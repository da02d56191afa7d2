//! Tiers and their messages.

use crate::machine::{Machine, quota_and_telegram, telegram_table};
use crate::telegram::Telegram;

fn watched(telegram: &Telegram) -> Machine {
    let machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0).quietly();
    machine
}

#[test]
fn a_tier_rings_once_when_it_is_crossed() {
    let telegram = Telegram::new();
    let machine = watched(&telegram);
    machine.grow("eth0", 0, 799_999);
    machine.check_exits(0).quietly();
    assert_eq!(telegram.requests(), 0, "79.9999 % is not 80 %");
    machine.grow("eth0", 0, 1);
    machine.check_exits(0).quietly();
    machine.check_exits(0).quietly();
    assert_eq!(telegram.requests(), 1);
    assert!(telegram.only().text.contains("80"));
}

#[test]
fn the_message_names_all_a_reader_needs() {
    let telegram = Telegram::new();
    let machine = watched(&telegram);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    let message = telegram.only();
    for text in ["blackbox-host", "eth0", "0.812", "1 MB", "81.2", "0.188"] {
        assert!(message.text.contains(text), "no {text} in:\n{}", message.text);
    }
    assert!(!message.silent);
    assert_eq!(message.topic, None);
}

#[test]
fn the_message_names_the_host_as_configured() {
    let telegram = Telegram::new();
    let config =
        format!("{}[host]\nname = \"hk-1\"\npublic_address = \"203.0.113.7\"\n", quota_and_telegram(&telegram.url()));
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("hk-1") && text.contains("203.0.113.7") && !text.contains("blackbox-host"), "{text}");
}

#[test]
fn the_label_stands_for_the_quota_in_the_message() {
    let telegram = Telegram::new();
    let config = quota_and_telegram(&telegram.url()).replace("tiers", "label = \"Uplink Hong Kong\"\ntiers");
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    assert!(telegram.only().text.contains("Uplink Hong Kong"));
}

#[test]
fn several_tiers_at_once_are_one_message_for_the_highest() {
    let telegram = Telegram::new();
    let machine = watched(&telegram);
    machine.grow("eth0", 0, 960_000);
    machine.check_exits(0);
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("95"), "{text}");
    assert_eq!(machine.status().row()["tier"], "95%");
}

#[test]
fn each_higher_tier_rings_again() {
    let telegram = Telegram::new();
    let machine = watched(&telegram);
    for tx in [810_000, 100_000, 50_000] {
        machine.grow("eth0", 0, tx);
        machine.check_exits(0).quietly();
        machine.check_exits(0).quietly();
    }
    let texts = telegram.texts();
    assert_eq!(texts.len(), 3, "{texts:#?}");
    for (text, percent) in texts.iter().zip(["81", "91", "96"]) {
        assert!(text.contains(percent), "no {percent} in:\n{text}");
    }
}

#[test]
fn remaining_is_reached_at_or_below_its_value() {
    let telegram = Telegram::new();
    let config = format!(
        "[quota.month]\nallowance = \"1 MB\"\ntier = [{{ remaining = \"300 kB\" }}]\n{}",
        telegram_table(&telegram.url())
    );
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 699_999);
    machine.check_exits(0);
    assert_eq!(telegram.requests(), 0);
    machine.grow("eth0", 0, 1);
    machine.check_exits(0);
    machine.check_exits(0);
    assert!(telegram.only().text.contains("300 kB"));
}

#[test]
fn a_tier_without_repeat_rings_no_more_after_its_threshold_was_edited_below_the_usage() {
    let telegram = Telegram::new();
    let machine = watched(&telegram);
    machine.grow("eth0", 0, 960_000);
    machine.check_exits(0);
    machine.set_config(&quota_and_telegram(&telegram.url()).replace("\"80%\"", "\"70%\""));
    machine.check_exits(0).quietly();
    assert_eq!(telegram.requests(), 1, "what lies below a tier already told is nothing new");
}

#[test]
fn a_threshold_moved_above_the_usage_rings_when_it_is_reached() {
    let telegram = Telegram::new();
    let machine = watched(&telegram);
    machine.grow("eth0", 0, 960_000);
    machine.check_exits(0);
    machine.set_config(&quota_and_telegram(&telegram.url()).replace("\"95%\"]", "\"95%\", \"98%\"]"));
    machine.check_exits(0).quietly();
    assert_eq!(telegram.requests(), 1);
    machine.grow("eth0", 0, 25_000);
    machine.check_exits(0);
    assert_eq!(telegram.texts().len(), 2);
    assert!(telegram.texts()[1].contains("98"));
}

#[test]
fn two_quotas_have_tiers_of_their_own() {
    let telegram = Telegram::new();
    let config = format!(
        "[source.interface]\n[quota.out]\nallowance = \"1 MB\"\ntiers = [\"80%\"]\n\
         [quota.in]\ncount = \"in\"\nallowance = \"1 MB\"\ntiers = [\"80%\"]\n{}",
        telegram_table(&telegram.url())
    );
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 900_000, 10);
    machine.check_exits(0);
    assert_eq!(telegram.texts().len(), 1);
    machine.grow("eth0", 0, 900_000);
    machine.check_exits(0);
    assert_eq!(telegram.texts().len(), 2);
}

#[test]
fn a_disabled_quota_rings_nobody() {
    for (enabled, messages) in [(true, 1), (false, 0)] {
        let telegram = Telegram::new();
        let config = quota_and_telegram(&telegram.url()).replace("tiers", &format!("enabled = {enabled}\ntiers"));
        let machine = Machine::new().config(&config);
        machine.check_exits(0);
        machine.grow("eth0", 0, 960_000);
        machine.check_exits(0).quietly();
        assert_eq!(telegram.requests(), messages, "enabled = {enabled}");
    }
}

#[test]
fn repeat_rings_again_after_its_time_and_not_before() {
    let telegram = Telegram::new();
    let config = format!(
        "[quota.month]\nallowance = \"1 MB\"\ntier = [{{ used = \"80%\", repeat = \"2 s\" }}]\n{}",
        telegram_table(&telegram.url())
    );
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(telegram.messages().len(), 1, "not yet");
    std::thread::sleep(std::time::Duration::from_millis(2_050));
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(telegram.messages().len(), 2);
}

#[test]
fn a_source_that_stays_silent_is_told_of_once_and_again_when_it_is_well() {
    let telegram = Telegram::new();
    let config = format!(
        "[source.interface]\nproblem_after = \"1 s\"\ninterfaces = [\"eth0\"]\n{}",
        quota_and_telegram(&telegram.url())
    );
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    let counters = machine.counters("eth0");
    machine.remove_interface("eth0");
    machine.check_exits(3);
    assert_eq!(telegram.requests(), 0, "not yet");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    machine.check_exits(3);
    machine.check_exits(3);
    assert!(telegram.only().text.contains("eth0") || telegram.only().text.contains("interface"));
    let machine = machine.interface("eth0", counters.0, counters.1);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(telegram.messages().len(), 2, "and one when it is well again");
}

#[test]
fn the_public_address_is_looked_up_where_configured() {
    let telegram = Telegram::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ip", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = crate::telegram::read_request(&stream).unwrap().unwrap();
        crate::telegram::answer(&mut stream, 200, "text/plain", "203.0.113.99\n").unwrap();
        (request.method, request.target)
    });
    let config = format!("{}[host]\npublic_address = {{ url = \"{url}\" }}\n", quota_and_telegram(&telegram.url()));
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("203.0.113.99"), "{text}");
    assert_eq!(server.join().unwrap(), ("GET".to_owned(), "/ip".to_owned()));
}

#[test]
fn an_address_service_that_answers_nonsense_holds_no_message_back() {
    let telegram = Telegram::new();
    let nonsense = Telegram::new();
    nonsense.always(crate::telegram::Fault::WebPage);
    let config =
        format!("{}[host]\npublic_address = {{ url = \"{}\" }}\n", quota_and_telegram(&telegram.url()), nonsense.url());
    let machine = Machine::new().config(&config);
    machine.check();
    machine.grow("eth0", 0, 812_000);
    machine.check();
    let text = telegram.only().text;
    assert!(text.contains("81.2") && !text.contains("Sign in"), "{text}");
}

//! `report --send`: words and picture to Telegram, and what is said of a channel that takes nothing.

use super::life::Life;
use crate::machine::{CHAT, Machine, TOKEN, telegram_table};
use crate::png;
use crate::telegram::{Fault, Telegram};

fn used(config: &str) -> Life {
    let life = Life::with(config, "2026-11-20 12:00:00");
    life.live(&[("2026-11-20 12:00:00", 0, 0), ("2026-11-20 13:00:00", 7_000, 512_000)]);
    life
}

fn quota(telegram: &Telegram) -> String {
    format!("[quota.month]\nallowance = \"1 MB\"\n{}", telegram_table(&telegram.url()))
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn one_picture_with_its_words() {
    let telegram = Telegram::new();
    let life = used(&quota(&telegram));
    life.run(&["report", "--period", "day", "--send"]).exits(0).prints("telegram").prints("accepted");
    let sent = telegram.only();
    assert_eq!((sent.chat, sent.topic, sent.silent), (CHAT, None, false));
    let (width, height) = png::size(&sent.photo.expect("a picture")).unwrap();
    assert!(width >= 720 && height >= 300 && width + height <= 10_000, "{width} by {height}");
    for words in ["blackbox-host", "Out: 512 kB", "In: 7 kB", "2026-11-20", "month", "eth0", "51.2"] {
        assert!(sent.text.contains(words), "no {words:?} in {}", sent.text);
    }
    assert!(sent.text.encode_utf16().count() <= 1024);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn to_a_topic_without_a_sound_in_chinese() {
    let telegram = Telegram::new();
    telegram.add_topic(7);
    let config = format!(
        "language = \"zh\"\n{}",
        quota(&telegram).replace(&format!("chat = {CHAT}"), &format!("chat = \"{CHAT}:7\"\nsilent = true"))
    );
    let life = used(&config);
    life.run(&["report", "--send"]).exits(0);
    let sent = telegram.only();
    assert_eq!((sent.chat, sent.topic, sent.silent), (CHAT, Some(7), true));
    assert!(sent.photo.is_some());
    assert!(sent.text.contains("流量报告") && sent.text.contains("出站"), "{}", sent.text);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn many_long_names_fit_the_caption() {
    let telegram = Telegram::new();
    let config = format!("[source.interface]\ninterfaces = [\"*\"]\n{}", quota(&telegram));
    let mut machine = Machine::new();
    let names: Vec<String> = (0..30).map(|n| format!("<&>𝔫𝔞𝔪𝔢{n:02}")).collect();
    for name in &names {
        machine = machine.interface(name, 1, 1);
    }
    let life = Life::begin(machine.config(&config), "2026-11-20 12:00:00");
    life.check();
    life.at("2026-11-20 13:00:00");
    for (index, name) in (1..).zip(&names) {
        life.machine.grow(name, index, index * 1_000);
    }
    life.run(&["check"]);
    let before = telegram.messages().len();
    life.run(&["report", "--send"]).exits(0);
    let sent = telegram.messages().split_off(before);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].photo.is_some() && sent[0].text.contains("<&>𝔫𝔞𝔪𝔢29"), "{}", sent[0].text);
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_file_is_written_besides() {
    let telegram = Telegram::new();
    let life = used(&quota(&telegram));
    let file = life.machine.path("report.html");
    life.run(&["report", "--send", "--output", file.to_str().unwrap()]).exits(0);
    assert!(telegram.only().photo.is_some());
    assert!(std::fs::read_to_string(file).unwrap().contains("eth0"));
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn nobody_took_it_is_1_and_one_of_two_is_3() {
    let telegram = Telegram::new();
    let life = used(&quota(&telegram));
    for fault in [
        Fault::Broken,
        Fault::WebPage,
        Fault::ChatNotFound,
        Fault::Unauthorized,
        Fault::Echo,
        Fault::Reset,
        Fault::TooMany(90),
    ] {
        telegram.always(fault);
        let run = life.run(&["report", "--send"]).exits(1).complains("telegram");
        assert!(!run.stdout.contains("accepted"), "{fault:?}: {}", run.stdout);
        assert!(!run.stderr.contains(TOKEN), "{fault:?}");
    }
    telegram.heal();
    assert_eq!(telegram.messages().len(), 0);
    assert_eq!(life.status().count("pending"), 0, "what was sent by hand is not sent later");
    life.check();
    assert_eq!(telegram.messages().len(), 0);

    let other = Telegram::new();
    let table = telegram_table(&other.url()).replace("[notifier.telegram]", "[notifier.second]\nkind = \"telegram\"");
    life.machine.set_config(&format!("{}{table}", quota(&telegram)));
    other.always(Fault::Broken);
    let run = life.run(&["report", "--send"]).exits(3).prints("accepted").complains("second");
    assert!(!run.stderr.contains("\"telegram\""), "{}", run.stderr);
    assert!(telegram.only().photo.is_some());
    telegram.always(Fault::Broken);
    life.run(&["report", "--send"]).exits(1);
    telegram.heal();
    other.heal();
    life.run(&["report", "--send"]).exits(0);
    assert!(other.only().photo.is_some());
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn a_short_wait_and_a_chat_that_moved_are_followed() {
    let telegram = Telegram::new();
    telegram.add_chat(-100_777);
    let life = used(&quota(&telegram));
    telegram.next([Fault::TooMany(1)]);
    life.run(&["report", "--send"]).exits(0);
    telegram.next([Fault::Migrated(-100_777)]);
    life.run(&["report", "--send"]).exits(0);
    telegram.next([Fault::CannotParse]);
    life.run(&["report", "--send"]).exits(0);
    let chats: Vec<i64> = telegram.messages().iter().map(|message| message.chat).collect();
    assert_eq!(chats, [CHAT, -100_777, CHAT]);
    assert!(telegram.messages().iter().all(|message| message.photo.is_some()));
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn without_a_notifier_it_goes_to_standard_output() {
    let life = used("[quota.month]\nallowance = \"1 MB\"\n");
    life.run(&["report", "--period", "day", "--send"]).exits(0).prints("512").prints("blackbox-host");
}

#[test]
#[ignore = "needs faketime: ./test installs it"]
fn nothing_is_sent_where_there_is_no_history() {
    let telegram = Telegram::new();
    let life = Life::with(&quota(&telegram), "2026-11-20 12:00:00");
    life.run(&["report", "--send"]).exits(0).prints("no history yet");
    life.run(&["report", "--send", "--date", "2026-02-30"]).exits(2);
    assert_eq!(telegram.requests(), 0);
}

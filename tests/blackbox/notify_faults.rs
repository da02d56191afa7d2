//! What Telegram may do to a message, and that no message is lost by it.

use std::thread;
use std::time::Duration;

use crate::machine::{CHAT, Machine, quota_and_telegram, telegram_table};
use crate::telegram::{Fault, Telegram};

/// A machine past its first run, with 80 % just reached and Telegram still to be asked.
fn due(telegram: &Telegram, more: &str) -> Machine {
    let config = format!("deadline = \"4s\"\n{}{more}", quota_and_telegram(&telegram.url()));
    let machine = Machine::new().config(&config);
    machine.check_exits(0).quietly();
    machine.grow("eth0", 0, 812_000);
    machine
}

/// The message is kept, told of, and delivered by the next run after Telegram is well.
#[track_caller]
fn kept_and_delivered(fault: Fault) {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.always(fault);
    let run = machine.check_exits(3).complains("telegram");
    assert!(run.took < Duration::from_secs(5), "the deadline was 4 s, this took {:?}", run.took);
    assert_eq!(machine.status().count("pending"), 1);
    assert_eq!(telegram.messages().len(), 0);
    telegram.heal();
    machine.check_exits(0);
    assert!(telegram.only().text.contains("81.2"));
    assert_eq!(machine.status().count("pending"), 0);
    machine.check_exits(0).quietly();
    assert_eq!(telegram.messages().len(), 1);
}

#[test]
fn a_server_error_keeps_the_message() {
    kept_and_delivered(Fault::Broken);
}

#[test]
fn a_web_page_with_status_200_is_no_success() {
    kept_and_delivered(Fault::WebPage);
}

#[test]
fn a_truncated_answer_is_no_success() {
    kept_and_delivered(Fault::Truncated);
}

#[test]
fn a_reset_connection_keeps_the_message() {
    kept_and_delivered(Fault::Reset);
}

#[test]
fn a_stalled_answer_ends_within_the_deadline() {
    kept_and_delivered(Fault::Stalled);
}

#[test]
fn an_endless_answer_ends_within_the_deadline() {
    kept_and_delivered(Fault::Endless);
}

#[test]
fn a_wrong_token_keeps_the_message() {
    kept_and_delivered(Fault::Unauthorized);
}

#[test]
fn a_blocked_bot_keeps_the_message() {
    kept_and_delivered(Fault::Forbidden);
}

#[test]
fn an_unknown_chat_keeps_the_message() {
    kept_and_delivered(Fault::ChatNotFound);
}

#[test]
fn nobody_listening_keeps_the_message() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    machine.set_config(&quota_and_telegram(&format!("http://{closed}")));
    machine.check_exits(3).complains("telegram");
    assert_eq!(machine.status().count("pending"), 1);
    machine.set_config(&quota_and_telegram(&telegram.url()));
    machine.check_exits(0);
    assert!(telegram.only().text.contains("81.2"));
}

#[test]
fn a_lost_answer_costs_one_repeat_and_no_more() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.next([Fault::AnswerLost]);
    let first = machine.check();
    assert!(matches!(first.code(), 0 | 3), "{first:?}");
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(telegram.messages().len(), 2);
}

#[test]
fn a_problem_is_told_once_and_the_exit_code_tells_it_each_time() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.always(Fault::Unauthorized);
    machine.check_exits(3).complains("Unauthorized");
    let again = machine.check_exits(3);
    assert_eq!(again.stderr, "", "neither new nor changed nor a day old");
}

#[test]
fn pending_messages_are_merged() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.always(Fault::Broken);
    machine.check_exits(3);
    machine.grow("eth0", 0, 100_000);
    machine.check_exits(3);
    machine.grow("eth0", 0, 50_000);
    machine.check_exits(3);
    telegram.heal();
    machine.check_exits(0);
    let text = telegram.only().text;
    assert!(text.contains("96.2"), "the latest figure: {text}");
}

#[test]
fn too_many_requests_are_answered_by_waiting() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.next([Fault::TooMany(5)]);
    machine.check_exits(3);
    assert_eq!(telegram.requests(), 1);
    assert_eq!(machine.status().count("pending"), 1);
    machine.check_exits(3);
    assert_eq!(telegram.requests(), 1, "nothing is asked before retry_after is over");
    thread::sleep(Duration::from_millis(5_200));
    machine.check_exits(0);
    assert_eq!(telegram.requests(), 2);
    assert!(telegram.only().text.contains("81.2"));
}

#[test]
fn a_very_long_wait_is_honoured_too() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.next([Fault::TooMany(10_072)]);
    let run = machine.check_exits(3);
    assert!(run.took < Duration::from_secs(4), "{:?}", run.took);
    machine.check_exits(3);
    assert_eq!(telegram.requests(), 1);
}

#[test]
fn refused_markup_is_sent_once_more_as_plain_text() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.always(Fault::CannotParse);
    machine.check_exits(0);
    assert!(telegram.requests() <= 2, "{} requests", telegram.requests());
    let message = telegram.only();
    assert_eq!(message.text, message.raw, "plain");
    assert!(!message.text.contains("<b>") && !message.text.contains("&lt;"), "no markup left over: {}", message.text);
    assert!(message.text.contains("81.2") && message.text.contains("eth0"));
}

#[test]
fn a_migrated_group_gets_its_message_and_the_operator_is_told() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.add_chat(-100_999);
    telegram.always(Fault::Migrated(-100_999));
    machine.check();
    machine.check();
    let texts = telegram.texts();
    assert_eq!(texts.iter().filter(|text| text.contains("81.2")).count(), 1);
    let told = texts.iter().filter(|text| text.contains("-100999") && text.contains("-100123")).count();
    assert_eq!(told, 1, "the operator is told of the new id, once: {texts:#?}");
    let asked = telegram.requests();
    machine.grow("eth0", 0, 100_000);
    machine.check();
    assert_eq!(telegram.requests(), asked + 1, "the new id is remembered");
    assert!(telegram.messages().iter().all(|message| message.chat == -100_999));
    assert!(telegram.texts().last().unwrap().contains("91.2"));
}

#[test]
fn a_topic_is_addressed_as_a_topic() {
    let telegram = Telegram::new();
    telegram.add_topic(7);
    let config = quota_and_telegram(&telegram.url()).replace(&CHAT.to_string(), &format!("\"{CHAT}:7\""));
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    let message = telegram.only();
    assert_eq!((message.chat, message.topic), (CHAT, Some(7)));
}

#[test]
fn silent_means_without_a_sound() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "silent = true\n");
    machine.check_exits(0);
    assert!(telegram.only().silent);
}

#[test]
fn an_api_base_may_have_a_path() {
    for slash in ["", "/"] {
        let telegram = Telegram::below("/tg/api");
        let machine = Machine::new().config(&quota_and_telegram(&format!("{}{slash}", telegram.url())));
        machine.check_exits(0);
        machine.grow("eth0", 0, 812_000);
        machine.check_exits(0);
        assert!(telegram.only().text.contains("81.2"), "with {slash:?} at the end");
    }
}

#[test]
fn one_notifier_that_fails_does_not_hold_back_another() {
    let (well, ill) = (Telegram::new(), Telegram::new());
    ill.always(Fault::Stalled);
    let second = telegram_table(&well.url()).replace("[notifier.telegram]", "[notifier.second]\nkind = \"telegram\"");
    let machine = due(&ill, &second);
    machine.check_exits(3);
    assert!(well.only().text.contains("81.2"));
    machine.check_exits(3);
    assert_eq!(well.messages().len(), 1, "what was accepted is not sent again");
    ill.heal();
    machine.check_exits(0);
    assert_eq!((well.messages().len(), ill.messages().len()), (1, 1));
}

#[test]
fn a_source_is_metered_while_telegram_is_down() {
    let telegram = Telegram::new();
    let machine = due(&telegram, "");
    telegram.always(Fault::Broken);
    machine.check_exits(3);
    machine.grow("eth0", 0, 1_000);
    machine.check_exits(3);
    assert_eq!(machine.status().used(), 813_000);
}

#[test]
fn ok_false_with_status_200_is_no_success() {
    kept_and_delivered(Fault::NotOk);
}

#[test]
fn a_redirect_is_not_followed_with_the_token() {
    let elsewhere = Telegram::new();
    kept_and_delivered(Fault::Redirect(elsewhere.address().port()));
    assert_eq!(elsewhere.requests(), 0);
}

#[test]
fn an_error_that_repeats_the_token_is_redacted() {
    let telegram = Telegram::new();
    let encoded = crate::machine::secret_part(crate::machine::TOKEN).replace('_', "%5F");
    let machine = due(&telegram, "").secret(&encoded);
    telegram.always(Fault::Echo);
    machine.run(&["-v", "check"]).exits(3).complains("Bad Request: cannot");
    machine.run(&["notify-test"]).complains("Bad Request: cannot");
    machine.run(&["status"]).exits(0);
    machine.run(&["status", "--json"]).exits(0);
}

#[test]
fn an_absurd_retry_after_is_no_panic_and_loses_nothing() {
    for seconds in [0, u64::MAX, u64::from(u32::MAX), 1 << 62] {
        let telegram = Telegram::new();
        let machine = due(&telegram, "");
        telegram.always(Fault::TooMany(seconds));
        machine.check_exits(3);
        machine.check_exits(3);
        assert_eq!(machine.status().count("pending"), 1, "{seconds}");
    }
}

#[test]
fn a_public_chat_is_addressed_by_its_name() {
    let telegram = Telegram::new();
    telegram.name_chat("@ops_alerts", CHAT);
    let config = quota_and_telegram(&telegram.url()).replace(&CHAT.to_string(), "\"@ops_alerts\"");
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    assert_eq!(telegram.only().chat, CHAT);
}

#[test]
fn five_stalled_notifiers_do_not_outlast_the_deadline() {
    let ill: Vec<Telegram> = (0..5).map(|_| Telegram::new()).collect();
    let tables: String = ill
        .iter()
        .enumerate()
        .map(|(n, telegram)| {
            telegram.always(Fault::Stalled);
            let table = telegram_table(&telegram.url());
            table.replace("[notifier.telegram]", &format!("[notifier.n{n}]\nkind = \"telegram\""))
        })
        .collect();
    let machine = Machine::new()
        .config(&format!("deadline = \"4s\"\n[quota.month]\nallowance = \"1 MB\"\ntiers = [\"80%\"]\n{tables}"));
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    let run = machine.check_exits(3);
    assert!(run.took < Duration::from_secs(5), "{:?}", run.took);
    for telegram in &ill {
        telegram.heal();
    }
    for _ in 0..5 {
        machine.check();
    }
    assert!(ill.iter().all(|telegram| telegram.messages().len() == 1), "each gets its message once");
}

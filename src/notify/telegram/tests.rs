//! Sending, against a host that answers from a list.

use proptest::prelude::*;

use super::*;
use crate::notify::script::{Script, locked};
use crate::quota::instant::Instant;
use crate::quota::text::{Item, clean, pack, utf16_len};

const TOKEN: &str = "123456:AbC-dEf_0123456789xyz";
const YES: &str = r#"{"ok":true,"result":{"message_id":1}}"#;
const MOVED: &str = r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat",
    "parameters":{"migrate_to_chat_id":-1009}}"#;
const UNPARSED: &str = r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: x"}"#;
const MINUTE: Duration = Duration::from_secs(60);

fn telegram() -> Telegram {
    Telegram {
        token: Secret::new(TOKEN),
        chat: Chat::parse("-100123:7").expect("a chat"),
        api_base: "https://api.telegram.org".into(),
        proxy: None,
        silent: false,
    }
}

fn message() -> Message {
    let line = |text: &str, bold| Line { text: text.into(), bold };
    Message { lines: vec![line("hk-1 <&>", true), line("eth0: 80 %", false)], items: vec![] }
}

fn send(script: &Script) -> Delivery {
    telegram().send(script, &message(), None, MINUTE)
}

fn accepted(moved: Option<&str>) -> Delivery {
    Delivery::Accepted { moved: moved.map(str::to_owned) }
}

/// The problem of a message that was kept, and when it may be tried again.
fn kept(delivery: Delivery) -> (String, Option<u64>) {
    match delivery {
        Delivery::Kept { problem, retry_after } => (problem, retry_after.map(|time| time.as_secs())),
        Delivery::Accepted { .. } => ("accepted".into(), None),
    }
}

fn no(code: u16, description: &str) -> String {
    json!({"ok": false, "error_code": code, "description": description}).to_string()
}

fn wait(seconds: u64) -> String {
    json!({"ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": seconds}})
        .to_string()
}

#[test]
fn a_message_is_sent_whole() {
    let script = Script::new([(200, YES)]);
    assert_eq!(send(&script), accepted(None));
    let requests = locked(&script.requests);
    assert_eq!((requests[0].method, requests[0].timeout), ("POST", MINUTE));
    assert_eq!(requests[0].url, format!("https://api.telegram.org/bot{TOKEN}/sendMessage"));
    assert_eq!(requests[0].headers, [("Content-Type", "application/json".to_owned())]);
    assert_eq!((requests[0].proxy.as_ref(), requests[0].body_limit), (None, 65_536));
    drop(requests);
    let text = "<b>hk-1 &lt;&amp;&gt;</b>\neth0: 80 %";
    assert_eq!(
        script.bodies(),
        [json!({
            "chat_id": -100_123, "message_thread_id": 7, "text": text, "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": true},
        })]
    );
}

#[test]
fn settings_are_followed() {
    let proxy = "socks5h://user:pass@127.0.0.1:1080";
    let telegram = Telegram {
        token: Secret::new("123456:ABC…"),
        chat: Chat::parse("@name").expect("a chat"),
        api_base: "http://127.0.0.1:8081/tg".into(),
        proxy: Some(Secret::new(proxy)),
        silent: true,
    };
    let script = Script::new([(200, YES)]);
    assert_eq!(telegram.send(&script, &message(), None, MINUTE), accepted(None));
    let requests = locked(&script.requests);
    assert_eq!(requests[0].url, "http://127.0.0.1:8081/tg/bot123456:ABC%E2%80%A6/sendMessage");
    assert_eq!(requests[0].proxy.as_deref(), Some(proxy));
    drop(requests);
    let body = &script.bodies()[0];
    assert_eq!((&body["chat_id"], &body["disable_notification"]), (&json!("@name"), &json!(true)));
    assert!(body.get("message_thread_id").is_none());
}

#[test]
fn no_yes_is_no_delivery() {
    let too_long = no(400, "Bad Request: message is too long");
    for (status, body, said) in [
        (200, "<html>login</html>", "the answer is not Telegram's (200)"),
        (200, r#"{"ok":true,"resu"#, "the answer is not Telegram's (200)"),
        (200, r#"{"ok":"true","result":{}}"#, "the answer is not Telegram's (200)"),
        (502, YES, "the server failed (502)"),
        (302, "", "redirected (302)"),
        (400, &too_long, "the message is too long (400)"),
        (401, &no(401, "Unauthorized"), "the token is refused (401): Unauthorized"),
    ] {
        let (problem, retry_after) = kept(send(&Script::new([(status, body)])));
        assert!(problem.starts_with(said) && retry_after.is_none(), "{problem}");
    }
}

#[test]
fn a_silent_server_is_a_problem() {
    let (problem, retry_after) = kept(send(&Script::failing("time-out")));
    assert_eq!(problem, "no answer from Telegram: time-out; check the network, api_base and proxy");
    assert_eq!(retry_after, None);
}

#[test]
fn markup_that_is_refused_is_left_out_once() {
    let script = Script::new([(400, UNPARSED), (200, YES)]);
    assert_eq!(send(&script), accepted(None));
    assert_eq!(script.sent("text")[1], "hk-1 <&>\neth0: 80 %");
    assert_eq!(script.sent("parse_mode"), [json!("HTML"), Value::Null]);
    assert_eq!(script.sent("message_thread_id"), [json!(7), json!(7)]);
    let (problem, _) = kept(send(&Script::new([(400, UNPARSED), (400, UNPARSED)])));
    assert!(problem.starts_with("the message is refused (400): Bad Request: can't parse"), "{problem}");
}

#[test]
fn a_group_that_moved_is_followed_once() {
    let script = Script::new([(400, MOVED), (200, YES)]);
    assert_eq!(send(&script), accepted(Some("-1009")));
    assert_eq!(script.sent("chat_id"), [json!(-100_123), json!(-1009)]);
    assert_eq!(script.sent("message_thread_id"), [json!(7), json!(7)]);
    let (problem, _) = kept(send(&Script::new([(400, MOVED), (400, MOVED)])));
    assert!(problem.starts_with("the group has become a supergroup (400)"), "{problem}");
    assert!(problem.ends_with("set chat to -1009"), "{problem}");
}

#[test]
fn a_known_move_is_used_from_the_start() {
    let script = Script::new([(200, YES)]);
    assert_eq!(telegram().send(&script, &message(), Some("-1008"), MINUTE), accepted(Some("-1008")));
    assert_eq!(script.sent("chat_id"), [json!(-1008)]);
    let gone = Script::new([(400, no(400, "Bad Request: chat not found").as_str())]);
    let (problem, _) = kept(telegram().send(&gone, &message(), Some("-1008"), MINUTE));
    assert!(problem.starts_with("the chat is not found (400)"), "{problem}");
    let again = Script::new([(400, MOVED), (200, YES)]);
    assert_eq!(telegram().send(&again, &message(), Some("-1008"), MINUTE), accepted(Some("-1009")));
}

#[test]
fn a_short_wait_is_waited_out_once() {
    let script = Script::new([(429, wait(1).as_str()), (200, YES)]);
    assert_eq!(send(&script), accepted(None));
    assert_eq!(*locked(&script.slept), [Duration::from_secs(1)]);
    let script = Script::new([(429, wait(1).as_str()), (429, wait(2).as_str())]);
    assert_eq!(kept(send(&script)).1, Some(2));
}

#[test]
fn a_long_wait_is_left_to_a_later_run() {
    for (seconds, after) in [(4, 4), (10_072, 10_072), (1_000_000, 86_400)] {
        let script = Script::new([(429, wait(seconds).as_str())]);
        let (problem, retry_after) = kept(send(&script));
        assert_eq!(problem, "Telegram asks to send less often (429); it is tried again later");
        assert_eq!(retry_after, Some(after));
        assert!(locked(&script.slept).is_empty());
    }
    assert_eq!(kept(send(&Script::new([(429, "<html>")]))).1, Some(30));
}

#[test]
fn all_tries_share_the_time() {
    let script = Script::new([(400, UNPARSED), (400, MOVED), (429, wait(3).as_str()), (200, YES)]);
    assert_eq!(send(&script), accepted(Some("-1009")));
    let timeouts: Vec<u64> = locked(&script.requests).iter().map(|request| request.timeout.as_secs()).collect();
    assert_eq!(timeouts, [60, 59, 58, 54]);
}

#[test]
fn no_try_begins_when_the_time_is_over() {
    let short = |script: &Script, seconds| telegram().send(script, &message(), None, Duration::from_secs(seconds));
    let none = Script::new([]);
    assert_eq!(kept(short(&none, 0)), ("no time was left to send".into(), None));
    let one = Script::new([(400, UNPARSED)]);
    assert!(kept(short(&one, 1)).0.contains("can't parse entities"));
    let no_wait = Script::new([(429, wait(3).as_str())]);
    assert_eq!(kept(short(&no_wait, 4)).1, Some(3));
    assert!(locked(&no_wait.slept).is_empty());
}

#[test]
fn secrets_never_leave() {
    let mut telegram = telegram();
    telegram.proxy = Some(Secret::new("socks5h://user:p%40sswordy@127.0.0.1:1080"));
    let encoded = "https://api.telegram.org/bot123456%3AAbC-dEf_0123456789xyz/sendMessage";
    let cut_in = format!("{}{TOKEN}", "x".repeat(WORDS_LIMIT - 10));
    let proxy = "via socks5h://user:p%40sswordy@127.0.0.1:1080, p@sswordy";
    for words in [TOKEN, encoded, "AbC-dEf_0123456789xyz", &cut_in, proxy] {
        let refusal = no(401, words);
        for script in [Script::new([(401, refusal.as_str())]), Script::failing(words)] {
            let delivery = telegram.send(&script, &message(), None, MINUTE);
            let shown = format!("{delivery:?} {telegram:?}");
            for secret in ["AbC", "sswordy", "dEf"] {
                assert!(!shown.contains(secret), "{shown}");
            }
            assert!(shown.contains("(redacted)"), "{shown}");
        }
    }
}

#[test]
fn what_servers_say_is_made_harmless() {
    let words = format!("\u{1b}[31m\u{202e}<b>{}", "😀".repeat(10_000));
    let (problem, _) = kept(send(&Script::new([(403, no(403, &words).as_str())])));
    assert!(problem.contains("\\u{1b}[31m\\u{202e}<b>😀"), "{problem}");
    assert!(problem.contains("😀…; unblock the bot") && problem.chars().count() < 400, "{problem}");
}

/// What Telegram shows of a text in its HTML mode; an unknown or unclosed tag is an error.
fn shown(html: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut bold = false;
    let mut rest = html;
    while let Some(first) = rest.chars().next() {
        let tokens = [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("<b>", ""), ("</b>", "")];
        let token = tokens.iter().find(|(token, _)| rest.starts_with(token));
        let (length, text) = match token {
            Some((token, text)) => (token.len(), (*text).to_owned()),
            None if "&<>".contains(first) => return Err(format!("markup at {rest:?}")),
            None => (first.len_utf8(), first.to_string()),
        };
        if token.is_some_and(|(token, _)| token.ends_with("b>") && bold == (*token == "<b>")) {
            return Err(format!("tags at {rest:?}"));
        }
        bold = token.map_or(bold, |(token, _)| *token == "<b>" || (bold && *token != "</b>"));
        out.push_str(&text);
        rest = &rest[length..];
    }
    if bold { Err("a tag is not closed".into()) } else { Ok(out) }
}

fn packed(name: &str) -> Vec<Message> {
    let title = clean(name, 64);
    let body = vec![format!("used by {title}"), clean(name, 20_000)];
    let item = |key: &str| Item {
        key: key.into(),
        at: Instant::default(),
        title: title.clone(),
        body: body.clone(),
        many: None,
        about: None,
    };
    let items = [item("a"), item("b"), item("c"), item("d")];
    pack("hk-1 <1.2.3.4>", &items, &|n| format!("and {n} more"), telegram().limit(), 3)
}

#[test]
fn hostile_names_are_shown_as_they_are() {
    let long = "&".repeat(10_000);
    let emoji = "😀".repeat(10_000);
    for name in [
        "<b>bold",
        "</b>",
        "a & b &amp;",
        "`code` *x* _y_ [z](http://x)",
        "\u{202e}gpj.exe",
        "tab\there\nnew",
        &long,
        &emoji,
    ] {
        for message in packed(name) {
            let text = html(&message);
            assert_eq!(shown(&text), Ok(message.plain()), "{text}");
            assert!(utf16_len(&message.plain()) <= 4096);
            assert!(!text.contains('\u{202e}'));
        }
    }
    let messages = packed(&emoji);
    assert!(messages.iter().all(|message| utf16_len(&message.plain()) >= 4095));
    assert_eq!(messages[2].items, ["c", "d"]);
}

proptest! {
    #[test]
    fn no_name_breaks_the_markup(name in "([<>&/b;]|amp|lt|\\PC){0,60}") {
        for message in packed(&name) {
            prop_assert_eq!(shown(&html(&message)), Ok(message.plain()));
        }
    }
}

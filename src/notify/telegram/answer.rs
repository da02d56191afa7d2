//! What the Bot API's answer to `sendMessage` means; pure.
//!
//! Only a good status with `ok: true` and a `result` is an acceptance: a proxy's own page with status 200 is none.

use std::time::Duration;

use serde_json::Value;

/// The time to wait after a 429 that names none.
const USUAL_WAIT: Duration = Duration::from_secs(30);
/// No longer wait is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What became of one try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Telegram has the message.
    Accepted,
    /// It has not.
    Refused {
        /// What went wrong and what to do.
        problem: String,
        /// What may help at once.
        remedy: Remedy,
    },
}

/// How the same message may get through.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing within this run.
    None,
    /// Without markup.
    Plain,
    /// In the chat of this id.
    Elsewhere(String),
    /// After this time.
    Wait(Duration),
}

/// Judges an answer. `safe` makes the server's words fit to be shown.
pub(super) fn judge(status: u16, body: &[u8], safe: &dyn Fn(&str) -> String) -> Verdict {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    match (status, body["ok"].as_bool()) {
        (200..=299, Some(true)) if body["result"].is_object() => Verdict::Accepted,
        (300..=399, _) => refused(format!("redirected ({status}); check api_base"), Remedy::None),
        (_, Some(false)) => Refusal::read(status, &body, safe).verdict(),
        (429, _) => slow_down(USUAL_WAIT),
        (500..=599, _) => refused(format!("the server failed ({status}); it is tried again"), Remedy::None),
        _ => refused(format!("the answer is not Telegram's ({status}); check api_base and proxy"), Remedy::None),
    }
}

fn refused(problem: String, remedy: Remedy) -> Verdict {
    Verdict::Refused { problem, remedy }
}

/// The time is not said: it changes, and the same problem would be reported as a new one.
fn slow_down(time: Duration) -> Verdict {
    refused("Telegram asks to send less often (429); it is tried again later".into(), Remedy::Wait(time))
}

/// An answer in Telegram's own form that says no.
struct Refusal {
    code: u16,
    /// The server's words, fit to be shown.
    words: String,
    moved_to: Option<i64>,
    wait: Duration,
}

impl Refusal {
    fn read(status: u16, body: &Value, safe: &dyn Fn(&str) -> String) -> Self {
        let parameters = &body["parameters"];
        let code = body["error_code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
        Self {
            // Some proxies answer everything with 200.
            code: code.unwrap_or(status),
            words: safe(body["description"].as_str().unwrap_or("no reason given")),
            moved_to: whole_number(&parameters["migrate_to_chat_id"]),
            wait: wait_time(&parameters["retry_after"]),
        }
    }

    fn verdict(&self) -> Verdict {
        if let Some(id) = self.moved_to {
            let to = format!("set chat to {id}");
            return refused(self.problem("the group has become a supergroup", &to), Remedy::Elsewhere(id.to_string()));
        }
        if self.code == 429 {
            return slow_down(self.wait);
        }
        let remedy = if self.code == 400 && self.says("can't parse entities") { Remedy::Plain } else { Remedy::None };
        let (what, advice) = self.meaning();
        refused(self.problem(what, advice), remedy)
    }

    fn problem(&self, what: &str, advice: &str) -> String {
        format!("{what} ({}): {}; {advice}", self.code, self.words)
    }

    fn says(&self, words: &str) -> bool {
        self.words.to_lowercase().contains(words)
    }

    fn meaning(&self) -> (&'static str, &'static str) {
        match self.code {
            400 if self.says("chat not found") => ("the chat is not found", "check chat, and that the bot is in it"),
            400 if self.says("thread not found") => {
                ("the topic is not found", "check the number after the colon of chat")
            }
            400 if self.says("too long") => ("the message is too long", "report this as a fault of netquota"),
            401 => ("the token is refused", "check token, or have @BotFather make a new one"),
            403 => {
                ("the bot may not write to the chat", "unblock the bot, or add it to the chat and let it write there")
            }
            404 => ("there is no such bot", "check token and api_base"),
            500..=599 => ("the server failed", "it is tried again"),
            _ => ("the message is refused", "check token and chat"),
        }
    }
}

/// An integer, written as a number or as text.
fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn wait_time(seconds: &Value) -> Duration {
    match seconds.as_f64() {
        Some(seconds) if seconds >= 0.0 => Duration::from_secs_f64(seconds.min(LONGEST_WAIT.as_secs_f64())),
        _ => USUAL_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        judge(status, body.as_bytes(), &|text| text.to_owned())
    }

    /// The problem of an answer that nothing can be done about at once.
    fn problem(status: u16, body: &str) -> String {
        match verdict(status, body) {
            Verdict::Refused { problem, remedy: Remedy::None } => problem,
            other => format!("{other:?}"),
        }
    }

    fn no(code: u16, description: &str) -> String {
        serde_json::json!({"ok": false, "error_code": code, "description": description}).to_string()
    }

    #[test]
    fn only_a_full_yes_is_accepted() {
        assert_eq!(verdict(200, r#"{"ok":true,"result":{"message_id":1}}"#), Verdict::Accepted);
        for body in [
            r#"{"ok":"true","result":{}}"#,
            r#"{"ok":1,"result":{}}"#,
            r#"{"ok":true}"#,
            r#"{"ok":true,"result":true}"#,
            r#"{"ok":true,"result":{"message_id""#,
            "<html>ok</html>",
            "",
            "null",
            "[]",
        ] {
            assert_eq!(problem(200, body), "the answer is not Telegram's (200); check api_base and proxy", "{body}");
        }
        let yes = r#"{"ok":true,"result":{}}"#;
        assert_eq!(problem(404, yes), "the answer is not Telegram's (404); check api_base and proxy");
        assert_eq!(problem(500, yes), "the server failed (500); it is tried again");
        assert_eq!(problem(302, yes), "redirected (302); check api_base");
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (code, description, said) in [
            (401, "Unauthorized", "the token is refused (401): Unauthorized; check token"),
            (
                403,
                "Forbidden: bot was blocked by the user",
                "the bot may not write to the chat (403): Forbidden: bot was blocked",
            ),
            (
                400,
                "Bad Request: chat not found",
                "the chat is not found (400): Bad Request: chat not found; check chat",
            ),
            (400, "Bad Request: message thread not found", "the topic is not found (400): Bad Request: message thread"),
            (
                400,
                "Bad Request: message is too long",
                "the message is too long (400): Bad Request: message is too long; report",
            ),
            (400, "Bad Request: other", "the message is refused (400): Bad Request: other; check"),
            (404, "Not Found", "there is no such bot (404): Not Found; check token and api_base"),
            (502, "Bad Gateway", "the server failed (502): Bad Gateway; it is tried again"),
        ] {
            let problem = problem(code, &no(code, description));
            assert!(problem.starts_with(said), "{problem}");
        }
    }

    #[test]
    fn a_proxy_that_hides_the_status_is_seen_through() {
        assert!(problem(200, &no(401, "Unauthorized")).starts_with("the token is refused (401)"));
        assert!(problem(200, r#"{"ok":false}"#).starts_with("the message is refused (200): no reason given"));
        assert!(
            problem(400, r#"{"ok":false,"error_code":200,"description":7}"#)
                .starts_with("the message is refused (400)")
        );
    }

    #[test]
    fn remedies_are_found() {
        let remedy = |status, body: &str| match verdict(status, body) {
            Verdict::Refused { remedy, .. } => remedy,
            Verdict::Accepted => Remedy::None,
        };
        assert_eq!(remedy(400, &no(400, "Bad Request: Can't parse entities: x")), Remedy::Plain);
        assert_eq!(remedy(403, &no(403, "can't parse entities")), Remedy::None);
        for id in ["-1009", "\"-1009\""] {
            let body = format!(r#"{{"ok":false,"description":"upgraded","parameters":{{"migrate_to_chat_id":{id}}}}}"#);
            assert_eq!(remedy(400, &body), Remedy::Elsewhere("-1009".into()));
        }
        assert_eq!(remedy(400, r#"{"ok":false,"parameters":{"migrate_to_chat_id":"x"}}"#), Remedy::None);
    }

    #[test]
    fn waits_are_bounded() {
        for (body, seconds) in [
            (r#"{"ok":false,"parameters":{"retry_after":1}}"#, 1),
            (r#"{"ok":false,"parameters":{"retry_after":10072}}"#, 10_072),
            (r#"{"ok":false,"parameters":{"retry_after":1e300}}"#, 86_400),
            (r#"{"ok":false,"parameters":{"retry_after":18446744073709551615}}"#, 86_400),
            (r#"{"ok":false,"parameters":{"retry_after":-1}}"#, 30),
            (r#"{"ok":false,"parameters":{"retry_after":"soon"}}"#, 30),
            (r#"{"ok":false}"#, 30),
            ("<html>", 30),
        ] {
            assert_eq!(verdict(429, body), slow_down(Duration::from_secs(seconds)), "{body}");
        }
    }
}

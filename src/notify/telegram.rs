//! Messages to a Telegram chat by the Bot API's `sendMessage`, and pictures by its `sendPhoto`.
//!
//! The token is part of the URL; no text that leaves this module holds it, whatever a server or library says. An
//! answer may show a way through (without markup, in the chat the group became, a few seconds later): each is tried
//! once, all within one time limit. A new one is a [`Remedy`] in `answer.rs` and its arm in [`Attempt::adapt`].

mod answer;
mod form;
mod open;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::mem;
use std::time::Duration;

use serde_json::{Map, Value, json};

use self::answer::{Remedy, Verdict, judge};
use self::form::Form;
pub use self::open::open;
pub use self::settings::{Chat, check_base, check_proxy, check_token};
use super::{Delivery, Notifier};
use crate::host::{Host, Request, Tls};
use crate::quota::text::{self, Line, Message};
use crate::secret::Secret;

/// UTF-16 units of a message; holds too if the server counts code points.
const LIMIT: usize = 4096;
/// UTF-16 units of a picture's caption.
const CAPTION_LIMIT: usize = 1024;
/// About what one chat takes.
const PACE: Duration = Duration::from_secs(1);
/// A longer wait is left to a later run.
const SHORT_WAIT: Duration = Duration::from_secs(3);
/// What a try takes at the least; no wait leaves less.
const ONE_TRY: Duration = Duration::from_secs(1);
/// Bytes read of an answer.
const BODY_LIMIT: u64 = 64 * 1024;
/// Characters shown of what others say.
const WORDS_LIMIT: usize = 200;

/// A bot and the chat it writes to.
#[derive(Debug, Clone)]
pub struct Telegram {
    /// The bot's, passed by [`check_token`].
    pub token: Secret,
    /// Where messages go.
    pub chat: Chat,
    /// From [`check_base`].
    pub api_base: String,
    /// Passed by [`check_proxy`]; may hold a password.
    pub proxy: Option<Secret>,
    /// Messages make no sound.
    pub silent: bool,
}

/// How the next try is made.
#[derive(Default)]
struct Attempt {
    /// Instead of the configured chat.
    moved: Option<String>,
    /// The chat was changed in this call.
    followed: bool,
    plain: bool,
    waited: bool,
}

impl Attempt {
    /// Does what an answer asks for; false when that was done before, is not possible or takes too long.
    fn adapt(&mut self, host: &dyn Host, remedy: &Remedy, left: Duration) -> bool {
        match remedy {
            Remedy::None => false,
            Remedy::Plain => !mem::replace(&mut self.plain, true),
            Remedy::Elsewhere(id) => {
                self.moved = Some(id.clone());
                !mem::replace(&mut self.followed, true)
            }
            Remedy::Wait(time) => {
                let again = *time <= SHORT_WAIT && *time + ONE_TRY <= left && !mem::replace(&mut self.waited, true);
                if again {
                    host.sleep(*time);
                }
                again
            }
        }
    }
}

impl Notifier for Telegram {
    fn limit(&self) -> usize {
        LIMIT
    }

    fn send(&self, host: &dyn Host, message: &Message, moved: Option<&str>, timeout: Duration) -> Delivery {
        self.post(host, &Post { message, picture: None }, moved, timeout)
    }

    fn picture_limit(&self) -> Option<usize> {
        Some(CAPTION_LIMIT)
    }

    fn send_picture(
        &self,
        host: &dyn Host,
        message: &Message,
        png: &[u8],
        moved: Option<&str>,
        timeout: Duration,
    ) -> Delivery {
        self.post(host, &Post { message, picture: Some(png) }, moved, timeout)
    }

    fn pace(&self) -> Duration {
        PACE
    }

    fn describe(&self) -> String {
        let proxy = if self.proxy.is_some() { " through (redacted)" } else { "" };
        format!("POST {}/bot(redacted)/sendMessage to chat {}{proxy}", self.api_base, self.chat.id)
    }

    fn address(&self) -> Option<String> {
        Some(self.chat.id.clone())
    }
}

/// What is sent.
struct Post<'a> {
    message: &'a Message,
    /// A PNG, of which the message is the caption.
    picture: Option<&'a [u8]>,
}

impl Telegram {
    fn post(&self, host: &dyn Host, post: &Post<'_>, moved: Option<&str>, timeout: Duration) -> Delivery {
        let end = host.elapsed().saturating_add(timeout);
        let left = || end.saturating_sub(host.elapsed());
        let mut attempt = Attempt { moved: moved.map(str::to_owned), ..Attempt::default() };
        let mut last = self.kept("no time was left to send", &Remedy::None);
        while !left().is_zero() {
            match self.try_once(host, post, &attempt, left()) {
                Verdict::Accepted => return Delivery::Accepted { moved: attempt.moved },
                Verdict::Refused { problem, remedy } => {
                    last = self.kept(&problem, &remedy);
                    if !attempt.adapt(host, &remedy, left()) {
                        break;
                    }
                }
            }
        }
        last
    }

    fn try_once(&self, host: &dyn Host, post: &Post<'_>, attempt: &Attempt, timeout: Duration) -> Verdict {
        let fields = self.fields(post, attempt);
        let (method, content_type, body) = match post.picture {
            None => ("sendMessage", "application/json".into(), Value::Object(fields).to_string().into_bytes()),
            Some(png) => {
                let form = Form::new(&fields, "photo", "chart.png", "image/png", png);
                ("sendPhoto", form.content_type, form.body)
            }
        };
        let request = Request {
            method: "POST",
            url: format!("{}/bot{}/{method}", self.api_base, path_segment(self.token.expose())),
            headers: vec![("Content-Type", content_type)],
            body,
            timeout,
            proxy: self.proxy.as_ref().map(|proxy| proxy.expose().to_owned()),
            tls: Tls::System,
            body_limit: BODY_LIMIT,
        };
        match host.http(&request) {
            Ok(answer) => judge(answer.status, &answer.body, &|words| self.safe(words)),
            Err(error) => Verdict::Refused {
                problem: format!(
                    "no answer from Telegram: {}; check the network, api_base and proxy",
                    self.safe(&error.text)
                ),
                remedy: Remedy::None,
            },
        }
    }

    fn fields(&self, post: &Post<'_>, attempt: &Attempt) -> Map<String, Value> {
        let chat = attempt.moved.as_deref().unwrap_or(&self.chat.id);
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        put("chat_id", chat.parse::<i64>().map_or_else(|_| json!(chat), |id| json!(id)));
        let text = if attempt.plain { post.message.plain() } else { html(post.message) };
        match post.picture {
            None => {
                put("link_preview_options", json!({"is_disabled": true}));
                put("text", json!(text));
            }
            Some(_) => put("caption", json!(text)),
        }
        if !attempt.plain {
            put("parse_mode", json!("HTML"));
        }
        if let Some(topic) = self.chat.topic {
            put("message_thread_id", json!(topic));
        }
        if self.silent {
            put("disable_notification", json!(true));
        }
        fields
    }

    fn kept(&self, problem: &str, remedy: &Remedy) -> Delivery {
        let retry_after = if let Remedy::Wait(time) = remedy { Some(*time) } else { None };
        Delivery::Kept { problem: self.redact(problem), retry_after }
    }

    /// What others say, fit to be shown. Redacted first: a secret that was cut or escaped would not be found.
    fn safe(&self, words: &str) -> String {
        text::clean(&self.redact(words), WORDS_LIMIT)
    }

    fn redact(&self, words: &str) -> String {
        let words = self.token.redact(words);
        let Some(proxy) = &self.proxy else { return words };
        let words = proxy.redact(&words);
        match settings::password(proxy) {
            Some(password) => password.redact(&words),
            None => words,
        }
    }
}

/// Each line escaped, the bold ones marked.
fn html(message: &Message) -> String {
    let lines: Vec<String> = message.lines.iter().map(html_line).collect();
    lines.join("\n")
}

fn html_line(line: &Line) -> String {
    let text = line.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if line.bold { format!("<b>{text}</b>") } else { text }
}

/// A token as it stands in a URL; its colon is left as it is, as in Telegram's own examples.
fn path_segment(token: &str) -> String {
    token.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

//! What a Telegram notifier is told: where to send, as whom, and by which way.
//!
//! No error holds the value it complains about: a token or a password may have been written into the wrong setting.

use ureq::Proxy;
use ureq::http::Uri;

use crate::quota::text;
use crate::secret::Secret;

/// The chat messages go to, and the topic in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// A number in its shortest form, or a name that begins with `@`.
    pub(super) id: String,
    /// The topic of a group that has topics.
    pub(super) topic: Option<i64>,
}

impl Chat {
    /// From `-1001234567890`, `123` or `@name`, each with `:7` for a topic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (id, topic) = match text.split_once(':') {
            Some((id, topic)) => (id, Some(topic_number(topic)?)),
            None => (text, None),
        };
        let id = match (id.parse::<i64>(), id.strip_prefix('@')) {
            (Ok(0), _) => return Err("0 is not a chat".into()),
            (Ok(number), _) => number.to_string(),
            (_, Some(name)) if is_name(name) => id.to_owned(),
            _ => {
                return Err(
                    "the chat is neither a number such as -1001234567890 nor a public name such as @name".into()
                );
            }
        };
        Ok(Self { id, topic })
    }
}

fn topic_number(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "what follows the colon of the chat is not the number of a topic".into())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Refuses what can be no bot's token; examples with a placeholder such as `123456:ABC…` pass.
pub fn check_token(token: &str) -> Result<(), String> {
    if token.chars().any(|c| c.is_whitespace() || text::is_hidden(c)) {
        return Err("the token has a space or an invisible character in it".into());
    }
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match token.split_once(':') {
        Some((bot, key)) if is_digits(bot) && !key.is_empty() && !key.contains(['/', '?', '#', '%']) => Ok(()),
        _ => Err("the token is not digits, a colon and a key, as @BotFather gives it".into()),
    }
}

/// The address of the Bot API or of what stands in for it, without a slash at its end.
pub fn check_base(base: &str) -> Result<String, String> {
    let address = parse_address(base)?;
    if !matches!(address.scheme_str(), Some("http" | "https")) {
        return Err("the address does not begin with https:// or http://".into());
    }
    if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("the address has a user name in it, which is not supported".into());
    }
    if address.path().split('/').filter_map(|part| part.strip_prefix("bot")).any(starts_with_digit) {
        return Err("the address has a token in it; leave out /bot and what follows".into());
    }
    Ok(base.trim_end_matches('/').to_owned())
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// The address of a proxy, `http`, `https`, `socks5` or `socks5h`, with a user name and password or without.
pub fn check_proxy(proxy: &str) -> Result<(), String> {
    let address = parse_address(proxy)?;
    if !matches!(address.scheme_str(), Some("http" | "https" | "socks5" | "socks5h")) {
        return Err("the proxy does not begin with http://, https://, socks5:// or socks5h://".into());
    }
    if address.path().len() > 1 {
        return Err("the proxy has a path, which means nothing".into());
    }
    // The HTTP client's own judgement, so that nothing is left to fail when a message waits.
    Proxy::new(proxy).map(|_| ()).map_err(|_| "the proxy's user name or password is not percent-encoded UTF-8".into())
}

/// The password in a proxy's address, decoded.
pub(super) fn password(proxy: &Secret) -> Option<Secret> {
    Proxy::new(proxy.expose()).ok()?.password().map(Secret::new)
}

/// An address with a host and, if any, a valid port.
fn parse_address(text: &str) -> Result<Uri, String> {
    if text.contains(['?', '#']) {
        return Err("the address has a ? or # in it; as part of a password they are written %3F and %23".into());
    }
    let address: Uri = text.parse().map_err(|_| {
        "not a valid address; special characters of a user name or password are percent-encoded".to_owned()
    })?;
    let Some(authority) = address.authority().filter(|authority| !authority.host().is_empty()) else {
        return Err("the address has no host".into());
    };
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let has_port = host_and_port.len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("the address has no valid port after its last colon".into());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_numbers_or_names() {
        for (text, id, topic) in [
            ("-1001234567890", "-1001234567890", None),
            ("-1001234567890:7", "-1001234567890", Some(7)),
            ("@name", "@name", None),
            ("@name_1:7", "@name_1", Some(7)),
            ("123", "123", None),
            ("+0123", "123", None),
        ] {
            assert_eq!(Chat::parse(text), Ok(Chat { id: id.into(), topic }), "{text}");
        }
    }

    #[test]
    fn other_chats_are_refused_without_their_value() {
        for text in [
            "",
            "0",
            "name",
            "@",
            "@a b",
            "-100:",
            "-100:x",
            "-100:0",
            "-100:-7",
            "@na<me",
            "1:2:3",
            "99999999999999999999",
            "https://t.me/name",
            "123456:SECRETSECRET",
            "SECRET",
        ] {
            let error = Chat::parse(text).expect_err(text);
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn tokens_are_checked_leniently() {
        for token in ["123456:ABC…", "123456789:AAH_x-y0123456789abcdefghijklmno", "1:a"] {
            assert_eq!(check_token(token), Ok(()));
        }
        for token in [
            "",
            "SECRET",
            ":SECRET",
            "123:",
            "123:SEC RET",
            " 123:SECRET",
            "123:SECRET\n",
            "12a:SECRET",
            "123:SECRET/x",
            "123:SEC?RET",
            "123:#SECRET",
            "123%3ASECRET",
            "bot123:SECRET",
            "123:\u{200b}SECRET",
        ] {
            let error = check_token(token).expect_err(token);
            assert!(!error.contains("SECRET") && !error.contains("123"), "{error}");
        }
    }

    #[test]
    fn bases_keep_their_path() {
        for (base, kept) in [
            ("https://api.telegram.org", "https://api.telegram.org"),
            ("https://api.telegram.org/", "https://api.telegram.org"),
            ("http://127.0.0.1:8081//", "http://127.0.0.1:8081"),
            ("https://[::1]:8081/tg/botapi/", "https://[::1]:8081/tg/botapi"),
        ] {
            assert_eq!(check_base(base), Ok(kept.into()));
        }
        for base in [
            "",
            "api.telegram.org",
            "ftp://host",
            "https://",
            "https:///x",
            "https://host?a=SECRET",
            "https://host#SECRET",
            "https://user:SECRET@host",
            "https://host:99999",
            "https://host:x",
            "https://host:",
            "https://ho st",
            "https://:80",
            "https://api.telegram.org/bot123:SECRET",
            "/path",
        ] {
            let error = check_base(base).expect_err(base);
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn proxies_may_have_passwords() {
        for proxy in [
            "http://127.0.0.1:8080",
            "https://proxy.example",
            "socks5://[::1]:1080",
            "socks5h://u:p%40ss@host:1080/",
            "http://user@host",
        ] {
            assert_eq!(check_proxy(proxy), Ok(()), "{proxy}");
        }
        for proxy in [
            "",
            "host:1080",
            "socks4://host",
            "ftp://u:SECRET@host",
            "http://u:SECRET@",
            "http://u:SEC#RET@host",
            "http://u:SEC RET@host",
            "http://u:%ffSECRET@host",
            "http://u:SECRET@host:0",
            "http://u:SECRET@host/x",
        ] {
            let error = check_proxy(proxy).expect_err(proxy);
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}

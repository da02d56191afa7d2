//! Text that must not be seen: tokens, keys, passwords.
//!
//! Printing a [`Secret`] by accident prints `(redacted)`; only [`Secret::expose`] gives the text, so that the places
//! where it leaves can be searched for. What others say (servers, libraries) goes through [`Secret::redact`] first.

use std::fmt;

/// Stands in for a secret wherever it would be seen.
const REDACTED: &str = "(redacted)";
/// A part of a secret shorter than this is not looked for on its own: it would match ordinary words.
const SHORTEST_PART: usize = 8;

/// A text whose Debug and Display are `(redacted)`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every occurrence of the secret replaced, percent-encoded in any way or not; and so with what
    /// follows the secret's first colon, since that is what counts in a bot's token.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let whole = replace(text, &self.0);
        match self.0.split_once(':') {
            Some((_, part)) if part.chars().count() >= SHORTEST_PART => replace(&whole, part),
            _ => whole,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

fn replace(text: &str, secret: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        // A match ends between characters: both texts are UTF-8.
        if let Some(after) = matched(rest, secret).and_then(|length| rest.get(length..)) {
            out.push_str(REDACTED);
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// How many bytes at the start of `text` are the secret, each of its bytes as it is or as `%XX`.
fn matched(text: &str, secret: &str) -> Option<usize> {
    let text = text.as_bytes();
    let mut at = 0;
    for &byte in secret.as_bytes() {
        if text.get(at) == Some(&byte) {
            at += 1;
        } else if text.get(at) == Some(&b'%') && hex(text.get(at + 1..at + 3)?) == Some(byte) {
            at += 3;
        } else {
            return None;
        }
    }
    (at > 0).then_some(at)
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "123456:AbC-dEf_0123456789xyz";

    #[test]
    fn printing_shows_nothing() {
        let secret = Secret::new(TOKEN);
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "(redacted) (redacted) Some((redacted))");
        assert_eq!(secret.expose(), TOKEN);
    }

    #[test]
    fn every_form_is_redacted() {
        let secret = Secret::new(TOKEN);
        for (text, shown) in [
            ("a 123456:AbC-dEf_0123456789xyz b", "a (redacted) b"),
            ("/bot123456%3AAbC-dEf_0123456789xyz/x", "/bot(redacted)/x"),
            ("/bot123456%3aAbC%2DdEf%5f0123456789xyz/x", "/bot(redacted)/x"),
            ("only AbC-dEf_0123456789xyz here", "only (redacted) here"),
            ("123456:AbC-dEf_0123456789xyz123456:AbC-dEf_0123456789xyz", "(redacted)(redacted)"),
            ("123456:AbC", "123456:AbC"),
            ("100 % of 123456%3", "100 % of 123456%3"),
            ("", ""),
        ] {
            assert_eq!(secret.redact(text), shown);
        }
    }

    #[test]
    fn short_parts_and_empty_secrets_redact_nothing() {
        assert_eq!(Secret::new("").redact("text"), "text");
        assert_eq!(Secret::new("1:short").redact("a short text, 1:short"), "a short text, (redacted)");
        assert_eq!(Secret::new(":").redact("a: b"), "a(redacted) b");
    }

    #[test]
    fn wide_characters_are_redacted_in_either_form() {
        let secret = Secret::new("123456:ABC…");
        assert_eq!(secret.redact("é123456:ABC…é /bot123456:ABC%E2%80%A6/x"), "é(redacted)é /bot(redacted)/x");
    }

    proptest! {
        #[test]
        fn what_is_around_a_secret_stays(before in "[a-zé%😀]{0,9}", after in "[a-zé%😀]{0,9}") {
            let shown = Secret::new(TOKEN).redact(&format!("{before}{TOKEN}{after}"));
            prop_assert_eq!(shown, format!("{before}(redacted){after}"));
        }
    }
}

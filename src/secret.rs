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

/// How many bytes at the start of `text` are the secret, each of its bytes as it is or as `%XX`; none of an empty one.
fn matched(text: &str, secret: &str) -> Option<usize> {
    matched_bytes(text.as_bytes(), secret.as_bytes()).filter(|length| *length > 0)
}

/// Both ways are tried for each byte: a `%` of the secret may be one, or begin `%25`.
fn matched_bytes(text: &[u8], secret: &[u8]) -> Option<usize> {
    let Some((byte, rest)) = secret.split_first() else { return Some(0) };
    let go_on = |length: usize| Some(length + matched_bytes(text.get(length..)?, rest)?);
    let encoded = || text.first() == Some(&b'%') && text.get(1..3).and_then(hex) == Some(*byte);
    let plain = || if text.first() == Some(byte) { go_on(1) } else { None };
    if encoded() { go_on(3).or_else(plain) } else { plain() }
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
    fn a_percent_sign_of_a_secret_is_no_hiding_place() {
        let secret = Secret::new("a%25b %");
        for text in ["a%25b %", "a%2525b %", "a%2525b%20%25", "%61%25%32%35%62%20%"] {
            assert_eq!(secret.redact(&format!("<{text}>")), "<(redacted)>", "{text}");
        }
        assert_eq!(secret.redact("a%25b%2"), "a%25b%2");
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

//! Patterns for names: `*` any text, `?` any one character, `[a-z]` one of, `[!a-z]` one not of.
//!
//! A pattern covers the whole name, minds case, and `*` crosses `/`, so that `qemu/*` is every virtual machine. A `[`
//! that nothing closes is an ordinary character; there is no escape character, since `[*]` says the same.
//!
//! Only the last `*` is ever gone back to: what an earlier one matched need not be tried again. So the work is at most
//! the product of both lengths, whatever the pattern.

use std::ops::RangeInclusive;

/// One thing a pattern asks for.
enum Token {
    /// Any text, none included.
    Star,
    /// Any one character.
    Any,
    /// This character.
    Char(char),
    /// One character inside the ranges, or outside all of them.
    Class { negated: bool, ranges: Vec<RangeInclusive<char>> },
}

/// Whether the text is a pattern rather than a plain name.
pub fn is_glob(pattern: &str) -> bool {
    tokens(pattern).iter().any(|token| !matches!(token, Token::Char(_)))
}

/// Whether the whole name is what the pattern describes.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern = tokens(pattern);
    let (mut wanted, mut rest) = (pattern.as_slice(), name.chars());
    let mut last_star = None;
    loop {
        let mut ahead = rest.clone();
        match (wanted.split_first(), ahead.next()) {
            (None, None) => return true,
            (Some((Token::Star, after)), _) => {
                last_star = Some((after, rest.clone()));
                wanted = after;
            }
            (Some((token, after)), Some(c)) if token.takes(c) => (wanted, rest) = (after, ahead),
            _ => {
                let Some((after, from)) = &mut last_star else { return false };
                if from.next().is_none() {
                    return false;
                }
                (wanted, rest) = (after, from.clone());
            }
        }
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Char(own) => *own == c,
            Self::Class { negated, ranges } => ranges.iter().any(|range| range.contains(&c)) != *negated,
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => match class(rest.as_str()) {
                Some((class, after)) => {
                    rest = after.chars();
                    class
                }
                None => Token::Char('['),
            },
            other => Token::Char(other),
        });
    }
    out
}

/// What follows a `[` as a class, and what comes after its `]`; none when nothing closes it. A `]` at the first place is
/// a member, as in the shell.
fn class(text: &str) -> Option<(Token, &str)> {
    let (negated, body) = match text.strip_prefix(['!', '^']) {
        Some(body) => (true, body),
        None => (false, text),
    };
    let first = body.chars().next()?.len_utf8();
    let (members, after) = body.split_at(first + body[first..].find(']')?);
    let ranges = ranges(&members.chars().collect::<Vec<_>>());
    Some((Token::Class { negated, ranges }, &after[1..]))
}

fn ranges(mut members: &[char]) -> Vec<RangeInclusive<char>> {
    let mut out = Vec::new();
    while let [first, rest @ ..] = members {
        (members, _) = match rest {
            ['-', last, after @ ..] => (after, out.push(*first..=*last)),
            _ => (rest, out.push(*first..=*first)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{is_glob, matches};

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("eth0", &["eth0"], &["eth", "eth00", "ETH0", ""]),
            ("*", &["", "eth0", "qemu/100", "网卡", "a\nb"], &[]),
            ("eth*", &["eth", "eth0", "eth0.100"], &["veth0", "et"]),
            ("*0", &["eth0", "0", "00"], &["eth1", ""]),
            ("e*h*0", &["eth0", "eehh0", "ehhh00"], &["eth1", "0eth"]),
            ("**a**", &["a", "xax"], &["", "x"]),
            ("eth?", &["eth0", "eth网"], &["eth", "eth10"]),
            ("eth[02]", &["eth0", "eth2"], &["eth1", "eth"]),
            ("eth[0-2]", &["eth0", "eth1", "eth2"], &["eth3", "eth-"]),
            ("eth[!0-2]", &["eth3", "eth-"], &["eth0", "eth"]),
            ("eth[^0]", &["eth1"], &["eth0"]),
            ("[]]", &["]"], &["[", "[]]"]),
            ("[!]]", &["a"], &["]"]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[z-a]", &[], &["a", "m", "z", "-"]),
            ("[*]", &["*"], &["a", ""]),
            ("[", &["["], &[""]),
            ("a[b", &["a[b"], &["ab"]),
            ("[!", &["[!"], &["a"]),
            ("[]", &["[]"], &["]"]),
            ("[网-罓]x", &["网x"], &["x"]),
            ("qemu/*", &["qemu/100"], &["lxc/100"]),
        ] {
            yes.iter().for_each(|name| assert!(matches(pattern, name), "{pattern:?} is to match {name:?}"));
            no.iter().for_each(|name| assert!(!matches(pattern, name), "{pattern:?} is not to match {name:?}"));
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let (pattern, name) = ("a*".repeat(500) + "b", "a".repeat(5_000));
        assert!(!matches(&pattern, &name));
        assert!(matches(&pattern, &(name + "b")));
    }

    #[test]
    fn a_plain_name_is_no_pattern() {
        for (text, expected) in
            [("eth0", false), ("", false), ("a[b", false), ("e*", true), ("e?", true), ("[a]", true)]
        {
            assert_eq!(is_glob(text), expected, "{text:?}");
        }
    }
}

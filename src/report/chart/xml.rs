//! Texts of a drawing: escaped, measured and cut.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::quota::duration::Language;
use crate::quota::text::clean;

/// Characters of a name that are looked at, whatever room there is.
const LONGEST: usize = 200;

/// A text, and what stands in for it where it cannot be drawn: no font of the machine has its characters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// As it should be.
    pub shown: String,
    /// In plain Latin letters, if that is another.
    pub plain: Option<String>,
    /// How many ems wide it may be, if it was cut or could have been.
    pub room: Option<f64>,
}

impl Said {
    /// The same words in the language of the report and, to stand in, in English.
    pub fn words(language: Language, words: impl Fn(Language) -> String) -> Self {
        let plain = (language != Language::En).then(|| words(Language::En));
        Self { shown: words(language), plain, room: None }
    }

    /// A text without another way to say it.
    pub fn only(text: impl Into<String>) -> Self {
        Self { shown: text.into(), plain: None, room: None }
    }

    /// The same, that was made to fit so many ems.
    #[must_use]
    pub fn within(self, ems: f64) -> Self {
        Self { room: Some(ems), ..self }
    }

    /// Its width in ems, the wider of both.
    pub fn width(&self) -> f64 {
        self.plain.iter().map(|plain| width(plain)).fold(width(&self.shown), f64::max)
    }
}

/// A text as the content of an element or the value of an attribute. What XML cannot have is replaced.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A text that is no wider than so many ems, with an ellipsis where it was cut; what hides or reorders is escaped.
pub fn fit(text: &str, ems: f64) -> String {
    let text = clean(text, LONGEST);
    if width(&text) <= ems {
        return text;
    }
    let mut left = ems - of_char('…');
    let fits = |c: &char| {
        left -= of_char(*c);
        left >= 0.0
    };
    let mut start: String = text.chars().take_while(fits).collect();
    start.truncate(start.trim_end().len());
    start + "…"
}

/// About how wide a text is at most, in ems: fonts differ, and wide ones count.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(of_char).sum()
}

fn of_char(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '·' => 0.34,
        'f' | 't' | 'r' | 'I' | '-' | '/' | '(' | ')' | '[' | ']' => 0.46,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' => 0.77,
        c if c.is_ascii() => 0.65,
        c => match c.width() {
            Some(0) | None => 0.0,
            Some(1) => 0.72,
            Some(_) => 1.1,
        },
    }
}

/// A number of pixels or percent: two decimals at most.
pub(super) fn number(value: f64) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = write!(text, "{value:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

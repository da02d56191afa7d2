//! Values as answers hold them: a number may be a text, a text a number; pure.
//!
//! Invariant: what is not what it should be is an error that says so, never a zero. Whole numbers are read from their
//! digits, so that no bit of them is lost.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::quota::text::clean;

/// A value as it is written; none: it is missing, or null.
pub type Field<'a> = Option<&'a RawValue>;

/// Characters of a value that errors show.
const SHOWN: usize = 60;

/// Reads an object; a list is none, though its items could be taken for fields.
pub fn object<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, String> {
    if !value.get().starts_with('{') {
        return Err(format!("it is no object: {}", shown(value)));
    }
    serde_json::from_str(value.get()).map_err(|error| clean(&format!("it cannot be read: {error}"), 200))
}

/// A text's characters or a number's digits, if there are any.
pub fn text<'a>(name: &str, field: Field<'a>) -> Result<Option<Cow<'a, str>>, String> {
    field.map(|value| plain(value).ok_or_else(|| format!("its {name} {} is no text", shown(value)))).transpose()
}

/// As [`text`]; it must be there, and not empty.
pub fn need_text<'a>(name: &str, field: Field<'a>) -> Result<Cow<'a, str>, String> {
    text(name, field)?.filter(|text| !text.is_empty()).ok_or_else(|| format!("its {name} is missing"))
}

/// A whole number that is not negative: `7020`, `"7020"` or `7020.0`. It must be there.
pub fn whole(name: &str, field: Field<'_>) -> Result<u64, String> {
    let value = field.ok_or_else(|| format!("its {name} is missing"))?;
    let number = plain(value).and_then(|text| digits(&text)?.parse().ok());
    number.ok_or_else(|| format!("its {name} {} is no whole number", shown(value)))
}

/// A truth value; what is missing is false.
pub fn truth(name: &str, field: Field<'_>) -> Result<bool, String> {
    let Some(value) = field else { return Ok(false) };
    match value.get() {
        "1" | "\"1\"" | "true" => Ok(true),
        "0" | "\"0\"" | "\"\"" | "false" => Ok(false),
        _ => Err(format!("its {name} {} is no truth value", shown(value))),
    }
}

/// A text's characters or a number's digits; none: it is something else.
pub fn plain(value: &RawValue) -> Option<Cow<'_, str>> {
    let written = value.get();
    match written.as_bytes().first()? {
        b'"' if written.contains('\\') => serde_json::from_str(written).ok().map(Cow::Owned),
        b'"' => written.get(1..written.len() - 1).map(Cow::Borrowed),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(written)),
        _ => None,
    }
}

/// The first characters of a text from outside; how they are shown is not for here.
pub fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// The digits of a whole number.
fn digits(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all = |text: &str, is: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(is);
    (all(whole, u8::is_ascii_digit) && all(fraction, |byte| *byte == b'0')).then_some(whole)
}

fn shown(value: &RawValue) -> String {
    clean(value.get(), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Option<Box<RawValue>> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn whole_numbers_keep_every_bit() {
        let read = |json: &str| whole("netin", raw(json).as_deref()).ok();
        for (json, number) in [
            ("0", 0),
            ("\"7020\"", 7020),
            ("5.0", 5),
            ("\"5.00\"", 5),
            ("18446744073709551615", u64::MAX),
            ("\"18446744073709551615\"", u64::MAX),
            ("9007199254740993", 9_007_199_254_740_993),
            ("\"\\u0035\"", 5),
        ] {
            assert_eq!(read(json), Some(number), "{json}");
        }
        let wrong = ["null", "-1", "1.5", "1e300", "1e3", "18446744073709551616", "\"\"", "\"x\"", "\" 5\"", "\"+5\""];
        for json in wrong.into_iter().chain(["true", "[]", "[1]", "{}", "\"0x5\"", "\"5.\"", "\".0\"", "-0", "\"٥\""])
        {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!(whole("netin", None).unwrap_err(), "its netin is missing");
        assert_eq!(whole("netin", raw("[1]").as_deref()).unwrap_err(), "its netin [1] is no whole number");
    }

    #[test]
    fn texts_may_be_numbers() {
        let read = |json: &str| text("name", raw(json).as_deref()).map(|text| text.map(Cow::into_owned));
        assert_eq!(read("\"a\\\"\\u00e9\""), Ok(Some("a\"é".into())));
        assert_eq!(read("1234"), Ok(Some("1234".into())));
        assert_eq!(read("\"\""), Ok(Some(String::new())));
        assert_eq!(read("null"), Ok(None));
        for json in ["true", "[]", "{\"a\":1}"] {
            assert_eq!(read(json), Err(format!("its name {json} is no text")));
        }
        assert_eq!(need_text("node", raw("\"\"").as_deref()).unwrap_err(), "its node is missing");
        assert_eq!((cut("aéz", 2), cut("aéz", 3), cut("", 0)), ("aé", "aéz", ""));
    }

    #[test]
    fn truth_values_have_many_spellings() {
        let read = |json: &str| truth("template", raw(json).as_deref()).ok();
        assert_eq!(["1", "\"1\"", "true"].map(read), [Some(true); 3]);
        assert_eq!(["0", "\"0\"", "\"\"", "false", "null"].map(read), [Some(false); 5]);
        assert_eq!(["2", "\"no\"", "[]"].map(read), [None; 3]);
    }

    #[test]
    fn a_list_is_no_object() {
        let read = |json: &str| object::<(u64,)>(&raw(json).unwrap());
        assert_eq!(read("[1]").unwrap_err(), "it is no object: [1]");
        assert!(read("{}").unwrap_err().starts_with("it cannot be read: "));
    }
}

//! Names and texts as TOML writes them.
//!
//! Invariant: whatever a name holds, what is printed of it is one key or one text in one line.

use std::collections::BTreeSet;

/// Characters of a key made from a name at the most.
const KEY: usize = 32;

/// Keys that are taken.
#[derive(Default)]
pub struct Keys(BTreeSet<String>);

impl Keys {
    /// With these taken.
    pub fn of(taken: BTreeSet<String>) -> Self {
        Self(taken)
    }

    /// The key, or the first free one made from it.
    pub fn take(&mut self, wanted: &str) -> String {
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        let free = std::iter::once(wanted.to_owned()).chain(numbered).find(|key| !self.0.contains(key));
        let key = free.unwrap_or_default();
        self.0.insert(key.clone());
        key
    }
}

/// A name as a plain key: letters, digits and single dashes; `or` where nothing is left of it.
pub fn slug(name: &str, or: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = words.collect::<Vec<_>>().join("-").chars().take(KEY).collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() { or.to_owned() } else { slug.to_owned() }
}

/// A key as TOML writes it.
pub fn key(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) { name.to_owned() } else { quoted(name) }
}

/// A text as a TOML string in one line. JSON's escapes are TOML's, too, but JSON allows DEL as it is.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

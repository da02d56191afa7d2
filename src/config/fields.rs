//! Reads tables of the configuration and gathers everything wrong with them.
//!
//! A table is asked for its keys one by one; what was asked for is what is known, so a key nobody asked for is
//! refused with the nearest of those. Nothing stops at the first error: [`Findings`] collects them all, each
//! with line and key, and notes every value in force for `config show`.
//!
//! Why not `serde`: it stops at the first error and cannot say what a defaulted value is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What was found while reading: errors, warnings, and the values in force.
pub struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    errors: RefCell<Vec<(usize, String)>>,
    warnings: RefCell<Vec<String>>,
    shown: RefCell<Vec<Shown>>,
    unusable: RefCell<BTreeSet<(&'static str, String)>>,
}

/// One value in force, as `config show` prints it.
pub struct Shown {
    /// The table it stands in, `""` for the top.
    pub table: String,
    /// Its key.
    pub key: String,
    /// The value as TOML, secrets redacted.
    pub value: String,
    /// Whether nobody wrote it.
    pub default: bool,
}

impl<'a> Findings<'a> {
    /// For the file's name and text.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            text,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            shown: RefCell::default(),
            unusable: RefCell::default(),
        }
    }

    /// An error at a place of the text. `key` is the dotted path.
    pub fn error(&self, span: &Range<usize>, key: &str, text: impl AsRef<str>) {
        let line = self.line(span.start);
        let colon = if key.is_empty() { "" } else { ": " };
        self.errors.borrow_mut().push((line, format!("{}:{line}: {key}{colon}{}", self.file, text.as_ref())));
    }

    /// Notes that a table of a kind has errors of its own: what refers to it has none because of that.
    pub fn unusable(&self, of: &'static str, name: &str) {
        self.unusable.borrow_mut().insert((of, name.into()));
    }

    /// Whether a table of a kind has errors of its own; without a name, whether any has.
    pub fn is_unusable(&self, of: &'static str, name: Option<&str>) -> bool {
        self.unusable.borrow().iter().any(|(kind, known)| *kind == of && name.is_none_or(|name| known == name))
    }

    /// Something worth knowing that stops nothing.
    pub fn warn(&self, text: String) {
        self.warnings.borrow_mut().push(text);
    }

    /// All errors in the order of their lines; none: the warnings and the values in force.
    pub fn finish(self) -> Result<(Vec<String>, Vec<Shown>), Vec<String>> {
        let mut errors = self.errors.into_inner();
        if errors.is_empty() {
            return Ok((self.warnings.into_inner(), self.shown.into_inner()));
        }
        errors.sort();
        Err(errors.into_iter().map(|(_, text)| text).collect())
    }

    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
    }

    fn show(&self, table: &str, key: &str, value: String, default: bool) {
        self.shown.borrow_mut().push(Shown { table: table.into(), key: key.into(), value, default });
    }
}

/// One table, asked for its keys.
pub struct Fields<'a> {
    findings: &'a Findings<'a>,
    path: String,
    span: Range<usize>,
    table: Option<&'a DeTable<'a>>,
    asked: RefCell<BTreeSet<String>>,
}

/// One value and where it stands.
#[derive(Clone)]
pub struct Value<'a> {
    /// Where errors go.
    pub findings: &'a Findings<'a>,
    /// The dotted path of its key.
    pub path: String,
    /// Its place in the text.
    pub span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Fields<'a> {
    /// The whole document.
    pub fn root(findings: &'a Findings<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self::over(findings, String::new(), table.span(), Some(table.get_ref()))
    }

    fn over(findings: &'a Findings<'a>, path: String, span: Range<usize>, table: Option<&'a DeTable<'a>>) -> Self {
        Self { findings, path, span, table, asked: RefCell::default() }
    }

    /// A table nobody wrote: every key has its default.
    pub fn absent(findings: &'a Findings<'a>, path: &str) -> Self {
        Self::over(findings, path.into(), 0..0, None)
    }

    /// Whether somebody wrote this table.
    pub fn is_written(&self) -> bool {
        self.table.is_some()
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, if it is there; from now on the key is known.
    pub fn value(&self, key: &str) -> Option<Value<'a>> {
        self.asked.borrow_mut().insert(key.into());
        let (_, found) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Value { findings: self.findings, path: self.path_of(key), span: found.span(), value: found.get_ref() })
    }

    /// Whether the key is written.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// A value read by `read`; none when it is not there or wrong, which is then reported.
    pub fn opt<T>(&self, key: &str, read: impl Fn(&Value<'a>) -> Result<T, String>) -> Option<T> {
        let value = self.value(key)?;
        self.findings.show(&self.path, key, value.source().into(), false);
        value.read(read)
    }

    /// A value with a default, which is shown as `shown` (TOML).
    pub fn or<T>(&self, key: &str, default: T, shown: &str, read: impl Fn(&Value<'a>) -> Result<T, String>) -> T {
        if self.has(key) {
            return self.opt(key, read).unwrap_or(default);
        }
        self.findings.show(&self.path, key, shown.into(), true);
        default
    }

    /// A value that must be there.
    pub fn need<T>(&self, key: &str, read: impl Fn(&Value<'a>) -> Result<T, String>) -> Option<T> {
        if !self.has(key) {
            self.error(format!("{key} is missing"));
            return None;
        }
        self.opt(key, read)
    }

    /// A value whose text must not be shown.
    pub fn hidden<T>(&self, key: &str, read: impl Fn(&Value<'a>) -> Result<T, String>) -> Option<T> {
        let value = self.value(key)?;
        let shown = if value.value.is_table() { value.source() } else { "\"(redacted)\"" };
        self.findings.show(&self.path, key, shown.into(), false);
        value.read(read)
    }

    /// A text of which a part must not be shown: what `shown` makes of it is.
    pub fn partly_hidden<T>(
        &self,
        key: &str,
        shown: impl Fn(&str) -> String,
        read: impl Fn(&Value<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let shown = value.text().map_or_else(|_| value.source().into(), |text| format!("{:?}", shown(text)));
        self.findings.show(&self.path, key, shown, false);
        value.read(read)
    }

    /// The table under a key; an absent one when there is none.
    pub fn table(&self, key: &str) -> Fields<'a> {
        match self.value(key) {
            Some(value) => value.table().unwrap_or_else(|| Fields::absent(self.findings, &self.path_of(key))),
            None => Fields::absent(self.findings, &self.path_of(key)),
        }
    }

    /// The tables under a key by name: `[quota.NAME]`.
    pub fn tables(&self, key: &str) -> Vec<(String, Fields<'a>)> {
        let Some(outer) = self.value(key).and_then(|value| value.table()) else { return Vec::new() };
        outer.keys().into_iter().filter_map(|name| Some((name.clone(), outer.value(&name)?.table()?))).collect()
    }

    /// The keys that are written, for a table whose keys are anybody's to choose.
    pub fn keys(&self) -> Vec<String> {
        self.table.iter().flat_map(|table| table.keys()).map(|key| key.get_ref().to_string()).collect()
    }

    /// An error about this table as a whole.
    pub fn error(&self, text: impl AsRef<str>) {
        self.findings.error(&self.span, &self.path, text);
    }

    /// An error about one of its keys.
    pub fn error_at(&self, key: &str, text: impl AsRef<str>) {
        match self.value(key) {
            Some(value) => value.error(text),
            None => self.findings.error(&self.span, &self.path_of(key), text),
        }
    }

    /// Notes a value in force that was derived rather than read.
    pub fn show_default(&self, key: &str, value: &str) {
        self.findings.show(&self.path, key, value.into(), true);
    }

    /// Where errors and warnings go.
    pub fn findings(&self) -> &'a Findings<'a> {
        self.findings
    }

    /// Refuses the keys that nobody asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (name, value) in self.table.iter().flat_map(|table| table.iter()) {
            if !asked.contains(name.get_ref().as_ref()) {
                let hint = nearest(name.get_ref(), asked.iter().map(String::as_str));
                self.findings.error(
                    &start_of(name.span(), value.span()),
                    &self.path_of(name.get_ref()),
                    format!("unknown key{hint}"),
                );
            }
        }
    }
}

fn start_of(name: Range<usize>, value: Range<usize>) -> Range<usize> {
    if name.is_empty() { value } else { name }
}

impl<'a> Value<'a> {
    /// Reads it, reporting what is wrong.
    pub fn read<T>(&self, read: impl Fn(&Self) -> Result<T, String>) -> Option<T> {
        read(self).map_err(|text| self.error(text)).ok()
    }

    /// An error at this value.
    pub fn error(&self, text: impl AsRef<str>) {
        self.findings.error(&self.span, &self.path, text);
    }

    /// As it is written in the file.
    fn source(&self) -> &'a str {
        self.findings.text.get(self.span.clone()).unwrap_or_default()
    }

    /// As a table, reporting when it is none.
    pub fn table(&self) -> Option<Fields<'a>> {
        match self.value.as_table() {
            Some(table) => Some(Fields::over(self.findings, self.path.clone(), self.span.clone(), Some(table))),
            None => {
                self.error(format!("a table is expected, not {}", self.kind()));
                None
            }
        }
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// Its items as an array, each with its number in its path, counted from 1.
    pub fn items(&self) -> Result<Vec<Value<'a>>, String> {
        let array = self.value.as_array().ok_or_else(|| format!("a list is expected, not {}", self.kind()))?;
        let item = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| Value {
            findings: self.findings,
            path: format!("{}[{}]", self.path, index + 1),
            span: item.span(),
            value: item.get_ref(),
        };
        Ok(array.iter().enumerate().map(item).collect())
    }

    /// As text.
    pub fn text(&self) -> Result<&'a str, String> {
        self.value.as_str().ok_or_else(|| format!("a text in quotes is expected, not {}", self.kind()))
    }

    /// As text or as a whole number's digits.
    pub fn text_or_number(&self) -> Result<String, String> {
        match self.integer() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => self.text().map(Into::into),
        }
    }

    /// As a whole number.
    pub fn integer(&self) -> Result<i64, String> {
        let number =
            self.value.as_integer().ok_or_else(|| format!("a whole number is expected, not {}", self.kind()))?;
        i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| format!("{} is out of range", number.as_str()))
    }

    /// As a truth value.
    pub fn boolean(&self) -> Result<bool, String> {
        self.value.as_bool().ok_or_else(|| format!("true or false is expected, not {}", self.kind()))
    }

    /// As a list of texts.
    pub fn texts(&self) -> Result<Vec<String>, String> {
        self.items()?.iter().map(|item| item.text().map(Into::into)).collect()
    }

    /// As a local date: `2026-01-05`, with or without quotes.
    pub fn date(&self) -> Result<time::Date, String> {
        let text = match self.value.as_datetime() {
            Some(date) => date.to_string(),
            None => self.text()?.to_string(),
        };
        let format = time::macros::format_description!("[year]-[month]-[day]");
        time::Date::parse(&text, format).map_err(|_| format!("{text:?} is not a date such as 2026-01-05"))
    }

    /// As a duration: `15 min`.
    pub fn duration(&self) -> Result<std::time::Duration, String> {
        crate::quota::duration::parse(self.text()?)
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T, String> {
        let text = self.text()?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok(*meaning),
            None => Err(format!("{text:?} is not known{}", nearest(text, words.iter().map(|(word, _)| *word)))),
        }
    }

    fn kind(&self) -> &'static str {
        match self.value.type_str() {
            "string" => "a text",
            "integer" => "a whole number",
            "float" => "a number with a fraction",
            "boolean" => "true or false",
            "datetime" => "a date",
            "array" => "a list",
            _ => "a table",
        }
    }
}

/// The known name most like a mistyped one: `; did you mean "X"?`; where none is like it, those there are.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let mut known: Vec<&str> = known.collect();
    known.sort_by_cached_key(|candidate| (strsim::osa_distance(name, candidate), *candidate));
    match known.first() {
        None => "; none is known here".into(),
        Some(best) if strsim::osa_distance(name, best) <= (name.chars().count() / 2).max(2) => {
            format!("; did you mean {best:?}?")
        }
        Some(_) => {
            let more = if known.len() > LISTED { ", …" } else { "" };
            known.truncate(LISTED);
            format!("; nearest are {}{more}", known.join(", "))
        }
    }
}

/// Names listed at the most.
const LISTED: usize = 8;

//! One record of the usage query, as the vendor writes it.
//!
//! Invariant: a record becomes a figure only when every part of it is there and makes sense. Amounts are read from
//! their digits: they are numbers in one answer, texts in another, and never binary fractions.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::check_id;
use super::units::NoBytes;
use crate::quota::bytes::{Round, decimal_bytes};
use crate::quota::instant::Instant;
use crate::quota::package::Package;
use crate::quota::period::Period;
use crate::quota::text::clean;

/// A record, or as much of it as could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The package's id; empty: the record has none, or none that can be one.
    pub id: String,
    amount: Option<String>,
    original_amount: Option<String>,
    measure: Option<String>,
    start: Option<String>,
    end: Option<String>,
}

/// What is left of a package, and what it holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Rounded up.
    pub left: u64,
    /// Rounded down.
    pub total: u64,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    free_resource_id: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    original_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    measure_id: Option<&'a RawValue>,
    #[serde(borrow)]
    start_time: Option<&'a RawValue>,
    #[serde(borrow)]
    end_time: Option<&'a RawValue>,
}

/// A number's digits or a text's characters; anything else as it is written.
pub(super) fn plain(value: Option<&RawValue>) -> Option<String> {
    let text = value?.get();
    Some(serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned()))
}

impl Record {
    /// Reads a record; what is no object has no id.
    pub fn read(json: &str) -> Self {
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(json) else { return Self::default() };
        Self {
            id: plain(fields.free_resource_id).and_then(|id| check_id(&id).ok()).unwrap_or_default(),
            amount: plain(fields.amount),
            original_amount: plain(fields.original_amount),
            measure: plain(fields.measure_id),
            start: plain(fields.start_time),
            end: plain(fields.end_time),
        }
    }

    /// When its period begins, if it says so.
    pub fn start(&self) -> Option<Instant> {
        Instant::parse(self.start.as_ref()?)
    }

    /// The id as it may be shown.
    pub fn shown_id(&self) -> String {
        if self.id.is_empty() { "(without an id)".into() } else { clean(&self.id, 64) }
    }

    /// What is left and what there is in all, in bytes, with `unit` for those of a measure; the error says what is
    /// missing or wrong.
    pub fn amounts(&self, unit: impl FnOnce(i64) -> Result<u64, NoBytes>) -> Result<Amounts, NoBytes> {
        let (measure, amount, original) = self.written().map_err(NoBytes::Unknown)?;
        let unit = unit(measure)?;
        let bytes = |name, text: &str, round| {
            decimal_bytes(text, unit, round).map_err(|why| NoBytes::Unknown(format!("its {name}: {why}")))
        };
        let left = bytes("amount", amount, Round::Up)?;
        let total = bytes("original_amount", original, Round::Down)?;
        if left > bytes("original_amount", original, Round::Up)? {
            let (amount, original) = (clean(amount, 40), clean(original, 40));
            return Err(NoBytes::Unknown(format!("its amount {amount} is more than its original_amount {original}")));
        }
        Ok(Amounts { left: left.min(total), total })
    }

    /// The unit's number and the two amounts.
    fn written(&self) -> Result<(i64, &str, &str), String> {
        let measure = present("measure_id", self.measure.as_ref())?;
        let measure = measure.parse().map_err(|_| wrong("measure_id", measure, "no unit's number"))?;
        let amount = present("amount", self.amount.as_ref())?;
        Ok((measure, amount, present("original_amount", self.original_amount.as_ref())?))
    }

    /// The figure, with `unit` for the bytes of a measure; the error says what is missing or wrong.
    pub fn package(&self, unit: impl FnOnce(i64) -> Result<u64, NoBytes>) -> Result<Package, String> {
        let Amounts { left, total } = self.amounts(unit).map_err(NoBytes::text)?;
        let (start, end) = (time("start_time", self.start.as_ref())?, time("end_time", self.end.as_ref())?);
        if start >= end {
            return Err(format!("its period ends at {end}, before it begins"));
        }
        Ok(Package { id: self.id.clone(), total, left, period: Period { start, end: Some(end) } })
    }
}

fn present<'a>(name: &str, value: Option<&'a String>) -> Result<&'a str, String> {
    value.map(String::as_str).ok_or_else(|| format!("its {name} is missing"))
}

fn wrong(name: &str, text: &str, is: &str) -> String {
    format!("its {name} {:?} is {is}", clean(text, 40))
}

fn time(name: &str, value: Option<&String>) -> Result<Instant, String> {
    let text = present(name, value)?;
    Instant::parse(text).ok_or_else(|| wrong(name, text, "no time"))
}

//! Amounts of traffic and shares of them: reading, printing, comparing.
//!
//! Bytes are whole numbers. What people write is not rounded on the way in, vendors' decimals are rounded as asked;
//! what is printed never claims more than is so.

use std::fmt;

use super::text::clean;

/// What the names B, kB, MB, GB, TB and PB are powers of. KiB to PiB are powers of 1024 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitBase {
    /// 1000.
    Thousand,
    /// 1024, as in the tables of some vendors.
    Binary,
}

/// A unit of bytes, of the family (and the base) it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    name: &'static str,
    size: u64,
}

type Family = [Unit; 6];

const DECIMAL: Family = family(["B", "kB", "MB", "GB", "TB", "PB"], 1000);
const BINARY: Family = family(["B", "kB", "MB", "GB", "TB", "PB"], 1024);
const IEC: Family = family(["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 1024);

/// The names to choose from, as errors list them.
const NAMES: &str = "B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB";

/// Characters of a vendor's number that errors show.
const SHOWN: usize = 40;

const fn family(names: [&'static str; 6], base: u64) -> Family {
    let mut units = [Unit { name: names[0], size: 1 }; 6];
    let mut index = 1;
    while index < units.len() {
        units[index] = Unit { name: names[index], size: units[index - 1].size * base };
        index += 1;
    }
    units
}

/// An amount of bytes with the unit it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub bytes: u64,
    /// What messages about it print in.
    pub unit: Unit,
}

/// Which way a figure goes that does not fit: three decimals when it is printed, whole bytes when a vendor says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// For what was used: it is at least this much.
    Down,
    /// For what remains: it is at most this much.
    Up,
}

impl Amount {
    /// Reads an amount such as `1.5 TB` or `500GiB`: a number without sign, exponent or separators, and always a unit.
    ///
    /// # Errors
    ///
    /// Says what is wrong, also when the amount is no whole number of bytes or more than a `u64` holds.
    pub fn parse(text: &str, base: UnitBase) -> Result<Self, String> {
        let (number, name) = Number::split(text, "1.5 TB")?;
        if name.is_empty() {
            return Err(format!("{text:?} has no unit: add one of {NAMES}"));
        }
        let unit = Unit::named(name, base)
            .ok_or_else(|| format!("{text:?} has no unit this program knows: use one of {NAMES}"))?;
        match number.times(unit.size) {
            Ok(bytes) => Ok(Self { bytes, unit }),
            Err(Misfit::Fraction) => Err(format!("{text:?} is not a whole number of bytes")),
            Err(Misfit::TooLarge) => Err(format!("{text:?} is too large: at most {} bytes can be counted", u64::MAX)),
        }
    }
}

/// The bytes of a vendor's decimal number of units of `unit` bytes each, exact but for the rounding to a whole one.
///
/// The number is written as JSON writes them (`180`, `180.5`, `1.8E+2`), and zeros in front and blanks around it are
/// allowed, since some vendors put it into a text. `-0` is zero. However large an exponent is, it costs nothing.
///
/// # Errors
///
/// Says what is wrong: no number (`NaN` and `Infinity` are none), below zero, more than a `u64` holds.
pub fn decimal_bytes(text: &str, unit: u64, round: Round) -> Result<u64, String> {
    let wrong = |what: &str| format!("\"{}\" {what}", clean(text, SHOWN));
    let decimal = Decimal::parse(text.trim()).ok_or_else(|| wrong("is not a number"))?;
    if decimal.is_negative() {
        return Err(wrong("is negative"));
    }
    let bytes = decimal.times(unit, round);
    bytes.ok_or_else(|| wrong(&format!("is too large: at most {} bytes can be counted", u64::MAX)))
}

impl Unit {
    /// The largest unit by powers of 1024 that so many bytes fill.
    pub fn of(bytes: u64) -> Self {
        BINARY.into_iter().rev().find(|unit| unit.size <= bytes).unwrap_or(BINARY[0])
    }

    /// The largest unit of this one's family that so many bytes fill.
    pub fn fitting(self, bytes: u64) -> Self {
        let families = [DECIMAL, BINARY, IEC];
        let units = families.iter().find(|units| units.contains(&self)).unwrap_or(&DECIMAL);
        units.iter().rev().copied().find(|unit| unit.size <= bytes).unwrap_or(units[0])
    }

    /// The largest unit by powers of 1000 that so many bytes fill.
    pub fn decimal(bytes: u64) -> Self {
        DECIMAL.into_iter().rev().find(|unit| unit.size <= bytes).unwrap_or(DECIMAL[0])
    }

    /// GB, the unit packages are sold in.
    pub fn giga(base: UnitBase) -> Self {
        match base {
            UnitBase::Thousand => DECIMAL[3],
            UnitBase::Binary => BINARY[3],
        }
    }

    /// Bytes for people: at most three decimals, in the next smaller unit when it is less than 0.001 of this one.
    pub fn show(self, bytes: u64, round: Round) -> String {
        let unit = self.first_that(|unit| bytes == 0 || thousandths(bytes) >= unit.size.into());
        let size = u128::from(unit.size);
        let thousandths = match round {
            Round::Down => thousandths(bytes) / size,
            Round::Up => thousandths(bytes).div_ceil(size),
        };
        unit.print(thousandths)
    }

    /// Bytes without any loss, as a configuration would write them: in the largest unit up to this one that needs no
    /// more than three decimals.
    pub fn exact(self, bytes: u64) -> String {
        let unit = self.first_that(|unit| thousandths(bytes).is_multiple_of(unit.size.into()));
        unit.print(thousandths(bytes) / u128::from(unit.size))
    }

    fn named(name: &str, base: UnitBase) -> Option<Self> {
        let name = if name == "KB" { "kB" } else { name };
        let units = match base {
            UnitBase::Thousand => DECIMAL,
            UnitBase::Binary => BINARY,
        };
        units.into_iter().chain(IEC).find(|unit| unit.name == name)
    }

    /// This unit, or the largest smaller one of its family that does; B does always.
    fn first_that(self, does: impl Fn(Self) -> bool) -> Self {
        let families = [DECIMAL, BINARY, IEC];
        let units = families.iter().find(|units| units.contains(&self)).unwrap_or(&DECIMAL);
        let smaller = units.iter().rev().filter(|unit| unit.size <= self.size);
        smaller.copied().find(|unit| does(*unit)).unwrap_or(units[0])
    }

    fn print(self, thousandths: u128) -> String {
        format!("{} {}", decimal(thousandths, 3), self.name)
    }
}

/// A share of an allowance, in millionths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Percent(u64);

/// The parts a percent is counted in.
const PARTS: u64 = 1_000_000;

/// The parts of a hundredth of a percent, the finest that is shown of a usage.
const HUNDREDTH: u64 = PARTS / 100;

/// The parts of the whole.
const WHOLE: u128 = 100 * PARTS as u128;

impl Percent {
    /// Reads a share such as `80%` or `99.5 %`: at most 1000 %, at most six decimals.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, sign) = Number::split(text, "80%")?;
        if sign != "%" {
            return Err(format!("{text:?} is no percentage: write for example \"80%\""));
        }
        match number.times(PARTS) {
            Ok(parts) if parts <= 1000 * PARTS => Ok(Self(parts)),
            Err(Misfit::Fraction) => Err(format!("{text:?} has more than 6 decimals")),
            Ok(_) | Err(Misfit::TooLarge) => Err(format!("{text:?} is more than 1000 %")),
        }
    }

    /// The smallest number of bytes that is at least this share: `used` reaches it at or above.
    pub fn of(self, allowance: u64) -> u64 {
        saturated((u128::from(allowance) * u128::from(self.0)).div_ceil(WHOLE))
    }

    /// The largest number of bytes that is not more than this share: `remaining` reaches it at or below.
    pub fn floor_of(self, allowance: u64) -> u64 {
        saturated(u128::from(allowance) * u128::from(self.0) / WHOLE)
    }

    /// The share that is used, rounded down to 0.01 %, so that none is shown as reached before it is. None when
    /// nothing is allowed.
    pub fn ratio(used: u64, allowance: u64) -> Option<Self> {
        let hundredths = (u128::from(used) * 10_000).checked_div(allowance.into())?;
        Some(Self(saturated(hundredths).min(u64::MAX / HUNDREDTH) * HUNDREDTH))
    }

    /// For JSON: at most two decimals, rounded down.
    pub fn as_f64(self) -> f64 {
        (self.0 / HUNDREDTH) as f64 / 100.0
    }
}

/// The number alone, without the sign: `80`, `79.99`.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0.into(), 6))
    }
}

/// A number as it is written: digits, and maybe a point and more digits. Of any length, and exact.
pub(super) struct Number<'a> {
    whole: &'a str,
    fraction: &'a str,
}

/// Why a number of units is no count of what the units are made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Something of a fraction is left.
    Fraction,
    /// More than a `u64` holds.
    TooLarge,
}

impl<'a> Number<'a> {
    /// The number a text begins with, and what comes after it, without the spaces around. `example` is for errors.
    pub(super) fn split(text: &'a str, example: &str) -> Result<(Self, &'a str), String> {
        let wrong = |what: &str| Err(format!("{text:?} {what}: write for example {example:?}"));
        let (whole, rest) = digits(text.trim());
        if whole.is_empty() {
            return wrong(if rest.starts_with(['-', '+']) { "has a sign" } else { "does not begin with a number" });
        }
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => digits(rest),
            None => ("0", rest),
        };
        if fraction.is_empty() {
            return wrong("has no digit after the point");
        }
        let unit = rest.trim_start();
        if unit.starts_with(|next: char| next.is_ascii_digit() || "_,.'".contains(next)) {
            return wrong("has a number with separators");
        }
        Ok((Self { whole, fraction }, unit))
    }

    /// How many parts this number of units of `size` parts is.
    pub(super) fn times(&self, size: u64) -> Result<u64, Misfit> {
        match self.parts(size).ok_or(Misfit::TooLarge)? {
            (parts, false) => Ok(parts),
            (_, true) => Err(Misfit::Fraction),
        }
    }

    /// The whole parts, none if a `u64` does not hold them, and whether something of a fraction is left.
    fn parts(&self, size: u64) -> Option<(u64, bool)> {
        // By hand, from the last digit: a fraction may have more digits than any integer, 2^-50 PiB being a byte.
        let mut carry = 0;
        let mut left = 0;
        for digit in self.fraction.bytes().rev() {
            let product = u128::from(digit - b'0') * u128::from(size) + carry;
            (carry, left) = (product / 10, left | (product % 10));
        }
        let whole: u64 = self.whole.parse().ok()?;
        let total = u128::from(whole) * u128::from(size) + carry;
        Some((u64::try_from(total).ok()?, left != 0))
    }
}

/// A decimal number: 0.`digits` times ten to the power of `exponent`.
struct Decimal {
    minus: bool,
    /// Neither begin nor end with a zero; none for zero.
    digits: String,
    exponent: i64,
}

/// Ten to this power is more than a `u64` holds; so many times less, whatever it holds is less than one.
const SHIFT: i64 = 20;

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (minus, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (number, power) = match text.split_once(['e', 'E']) {
            Some((number, power)) => (number, exponent(power)?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if [whole, fraction].iter().any(|part| part.is_empty() || !digits(part).1.is_empty()) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        // No text is longer than an `i64` holds.
        let zeros = (all.len() - digits.len()) as i64;
        let exponent = power.saturating_add(whole.len() as i64).saturating_sub(zeros);
        Some(Self { minus, digits: digits.trim_end_matches('0').to_owned(), exponent })
    }

    fn is_negative(&self) -> bool {
        self.minus && !self.digits.is_empty()
    }

    /// None when it is too large.
    fn times(&self, unit: u64, round: Round) -> Option<u64> {
        // Beyond these it is too large, or less than one, by how much does not matter.
        let (whole, fraction) = self.written(self.exponent.clamp(-SHIFT, SHIFT + 1));
        let (parts, is_left) = Number { whole: &whole, fraction: &fraction }.parts(unit)?;
        match round {
            Round::Up if is_left => parts.checked_add(1),
            Round::Up | Round::Down => Some(parts),
        }
    }

    /// The digits before and after the point, with this exponent.
    fn written(&self, exponent: i64) -> (String, String) {
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let point = usize::try_from(exponent).unwrap_or(0).min(self.digits.len());
        let (whole, fraction) = self.digits.split_at(point);
        (format!("0{whole}{}", zeros(exponent - point as i64)), zeros(-exponent) + fraction)
    }
}

/// An exponent of any length.
fn exponent(text: &str) -> Option<i64> {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, rest) = digits(number);
    let size = digits.parse().unwrap_or(i64::MAX);
    let is_number = !digits.is_empty() && rest.is_empty();
    is_number.then_some(if text.starts_with('-') { -size } else { size })
}

/// The ASCII digits a text begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len()))
}

/// A whole number of parts as a decimal number, where a unit has 10^`places` parts; without trailing zeros.
fn decimal(parts: u128, places: usize) -> String {
    let text = format!("{parts:0width$}", width = places + 1);
    let (whole, fraction) = text.split_at(text.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

fn thousandths(bytes: u64) -> u128 {
    u128::from(bytes) * 1000
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Bytes per second of a rate such as `10 Mbps` (10^6 bit/s), `1 MB/s` or `1 MiB/s`: at least one.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no rate such as \"10 Mbps\" or \"1 MB/s\"");
    let text = text.trim();
    let bits = ["bit/s", "bps"].iter().find_map(|unit| text.strip_suffix(unit));
    let (number, per) = match (bits, text.strip_suffix("/s")) {
        (Some(number), _) => (format!("{number}B"), 8),
        (None, Some(number)) => (number.to_owned(), 1),
        (None, None) => return Err(wrong()),
    };
    match Amount::parse(&number, UnitBase::Thousand).map_err(|_| wrong())?.bytes / per {
        0 => Err("it must be a byte per second at least: pve-disconnect lets nothing through".into()),
        bytes => Ok(bytes),
    }
}

/// A rate of so many bytes per second, in bits: `10 Mbps`, with three decimals at most, rounded down.
pub fn show_rate(bytes: u64) -> String {
    let bits = u128::from(bytes) * 8;
    let units = [(1_000_000_000, "Gbps"), (1_000_000, "Mbps"), (1_000, "kbps")];
    let Some((size, unit)) = units.into_iter().find(|(size, _)| bits >= *size) else { return format!("{bits} bps") };
    let (whole, rest) = (bits / size, bits % size * 1000 / size);
    let text = format!("{whole}.{rest:03}");
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    const TB: u64 = 1_000_000_000_000;

    fn thousand(text: &str) -> Result<u64, String> {
        Amount::parse(text, UnitBase::Thousand).map(|amount| amount.bytes)
    }

    fn binary(text: &str) -> u64 {
        Amount::parse(text, UnitBase::Binary).unwrap().bytes
    }

    fn unit(name: &str) -> Unit {
        Unit::named(name, UnitBase::Thousand).unwrap()
    }

    #[test]
    fn amounts_are_exact() {
        for (text, bytes) in [
            ("1 TB", TB),
            (" 1TB ", TB),
            ("0 B", 0),
            ("007 kB", 7000),
            ("7 KB", 7000),
            ("1.5 MB", 1_500_000),
            ("0.000000000001 TB", 1),
            ("1.000 B", 1),
            ("0.1 PB", 100 * TB),
            ("18446744073709551615 B", u64::MAX),
            ("18446.744073709551615 PB", u64::MAX),
            ("1 KiB", 1024),
            ("0.5 KiB", 512),
            ("0.00000000000000088817841970012523233890533447265625 PiB", 1),
            ("16383.99999999999999911182158029987476766109466552734375 PiB", u64::MAX),
        ] {
            assert_eq!(thousand(text), Ok(bytes), "{text}");
        }
        let powers = ["kB", "KB", "MB", "GB", "TB", "PB"].map(|name| binary(&format!("1 {name}")));
        assert_eq!(powers, [10, 10, 20, 30, 40, 50].map(|power| 1 << power));
        assert_eq!(binary("1 GiB"), binary("1 GB"));
    }

    #[test]
    fn what_is_no_amount_is_told() {
        const NONE: &str = "use one of B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB";
        for (text, error) in [
            ("1 Tb", format!("\"1 Tb\" has no unit this program knows: {NONE}")),
            ("1e3 GB", format!("\"1e3 GB\" has no unit this program knows: {NONE}")),
            ("1 kib", format!("\"1 kib\" has no unit this program knows: {NONE}")),
            ("100", format!("\"100\" has no unit: {}", NONE.replace("use", "add"))),
            ("", "\"\" does not begin with a number: write for example \"1.5 TB\"".to_owned()),
            ("TB", "\"TB\" does not begin with a number: write for example \"1.5 TB\"".to_owned()),
            (".5 TB", "\".5 TB\" does not begin with a number: write for example \"1.5 TB\"".to_owned()),
            ("1. TB", "\"1. TB\" has no digit after the point: write for example \"1.5 TB\"".to_owned()),
            ("-1 TB", "\"-1 TB\" has a sign: write for example \"1.5 TB\"".to_owned()),
            ("0.5 B", "\"0.5 B\" is not a whole number of bytes".to_owned()),
            ("0.0001 KiB", "\"0.0001 KiB\" is not a whole number of bytes".to_owned()),
            (
                "18446744073709551616 B",
                format!("\"18446744073709551616 B\" is too large: at most {} bytes can be counted", u64::MAX),
            ),
            ("16384 PiB", format!("\"16384 PiB\" is too large: at most {} bytes can be counted", u64::MAX)),
        ] {
            assert_eq!(thousand(text), Err(error), "{text}");
        }
        for text in ["1,000 GB", "1_000 GB", "1 000 GB", "1'000 GB", "1.000.000 B", "1,5 TB"] {
            let error = format!("{text:?} has a number with separators: write for example \"1.5 TB\"");
            assert_eq!(thousand(text), Err(error), "{text}");
        }
    }

    #[test]
    fn figures_are_shown_in_the_quotas_unit() {
        let tb = unit("TB");
        for (bytes, down, up) in [
            (0, "0 TB", "0 TB"),
            (902 * TB / 1000, "0.902 TB", "0.902 TB"),
            (TB, "1 TB", "1 TB"),
            (TB - 1, "0.999 TB", "1 TB"),
            (TB + 1, "1 TB", "1.001 TB"),
            (TB / 10 * 9, "0.9 TB", "0.9 TB"),
            (12_345 * TB, "12345 TB", "12345 TB"),
            (TB / 1000, "0.001 TB", "0.001 TB"),
            (TB / 1000 - 1, "0.999 GB", "1 GB"),
            (123_456, "0.123 MB", "0.124 MB"),
            (999, "0.999 kB", "0.999 kB"),
            (1, "0.001 kB", "0.001 kB"),
        ] {
            assert_eq!((tb.show(bytes, Round::Down), tb.show(bytes, Round::Up)), (down.to_owned(), up.to_owned()));
        }
        assert_eq!(unit("GiB").show(1024 * 1024, Round::Down), "1 MiB");
        assert_eq!(unit("GiB").show(1, Round::Up), "1 B");
        assert_eq!(unit("B").show(u64::MAX, Round::Down), "18446744073709551615 B");
        let gb = Amount::parse("500 GB", UnitBase::Binary).unwrap();
        assert_eq!(gb.unit.show(gb.bytes / 2, Round::Down), "250 GB");
        assert_eq!(gb.unit.show(1_000_000, Round::Down), "0.953 MB");
    }

    #[test]
    fn configured_values_are_echoed_without_loss() {
        for (bytes, text) in [
            (0, "0 TB"),
            (TB, "1 TB"),
            (1500 * TB, "1500 TB"),
            (TB / 1000, "0.001 TB"),
            (TB / 10_000, "0.1 GB"),
            (TB + 1_000_000, "1000.001 GB"),
            (TB + 1, "1000000000.001 kB"),
            (1, "0.001 kB"),
        ] {
            assert_eq!(unit("TB").exact(bytes), text);
        }
        assert_eq!(unit("KiB").exact(1000), "1000 B");
        assert_eq!(unit("MiB").exact(1024 * 128), "0.125 MiB");
    }

    #[test]
    fn percents_are_read() {
        for (text, shown) in [
            ("80%", "80"),
            ("80 %", "80"),
            ("99.50%", "99.5"),
            ("0.000001%", "0.000001"),
            ("0%", "0"),
            ("1000%", "1000"),
            ("079.9900000000 %", "79.99"),
        ] {
            assert_eq!(Percent::parse(text).unwrap().to_string(), shown);
        }
        for (text, error) in [
            ("80", "\"80\" is no percentage: write for example \"80%\""),
            ("80 GB", "\"80 GB\" is no percentage: write for example \"80%\""),
            ("80%%", "\"80%%\" is no percentage: write for example \"80%\""),
            ("%", "\"%\" does not begin with a number: write for example \"80%\""),
            ("-5%", "\"-5%\" has a sign: write for example \"80%\""),
            ("0.0000001%", "\"0.0000001%\" has more than 6 decimals"),
            ("1000.1%", "\"1000.1%\" is more than 1000 %"),
            ("99999999999999999999%", "\"99999999999999999999%\" is more than 1000 %"),
        ] {
            assert_eq!(Percent::parse(text), Err(error.to_owned()));
        }
        assert!(Percent::parse("80%").unwrap() < Percent::parse("80.000001%").unwrap());
    }

    #[test]
    fn shares_are_never_reached_too_early() {
        let percent = |text| Percent::parse(text).unwrap();
        assert_eq!((percent("80%").of(TB), percent("80%").floor_of(TB)), (800_000_000_000, 800_000_000_000));
        assert_eq!((percent("50%").of(3), percent("50%").floor_of(3)), (2, 1));
        assert_eq!((percent("0%").of(3), percent("100%").of(3)), (0, 3));
        assert_eq!((percent("1000%").of(u64::MAX), percent("100%").floor_of(u64::MAX)), (u64::MAX, u64::MAX));
        let shown = |used, allowance| Percent::ratio(used, allowance).unwrap().to_string();
        assert_eq!(shown(800_000_000_000 - 1, TB), "79.99");
        assert_eq!(shown(800_000_000_000, TB), "80");
        assert_eq!(shown(TB / 1000 * 995, TB), "99.5");
        assert_eq!(shown(0, TB), "0");
        assert_eq!(shown(3 * TB, TB), "300");
        assert_eq!(Percent::ratio(1, 0), None);
        assert_eq!(Percent::ratio(u64::MAX, 1).unwrap().to_string(), "18446744073709.55");
    }

    #[test]
    fn json_has_two_decimals() {
        let number = |used, allowance| Percent::ratio(used, allowance).unwrap().as_f64();
        assert_eq!((number(57, 100), number(7999, 10_000), number(1, 3)), (57.0, 79.99, 33.33));
        assert_eq!(serde_json::to_string(&number(29, 100)).unwrap(), "29.0");
        assert_eq!(Percent::parse("99.999999%").unwrap().as_f64(), 99.99);
        for hundredths in 0..100_000 {
            let text = serde_json::to_string(&number(hundredths, 10_000)).unwrap();
            assert_eq!(text, format!("{:?}", decimal(hundredths.into(), 2).parse::<f64>().unwrap()));
        }
    }

    fn down(text: &str, unit: u64) -> Result<u64, String> {
        decimal_bytes(text, unit, Round::Down)
    }

    fn up(text: &str, unit: u64) -> Result<u64, String> {
        decimal_bytes(text, unit, Round::Up)
    }

    #[test]
    fn decimals_of_vendors_are_exact() {
        const GIB: u64 = 1 << 30;
        for (text, unit, bytes) in [
            ("180", GIB, 180 * GIB),
            ("180.5", GIB, 180 * GIB + GIB / 2),
            (" 180.50\t", GIB, 180 * GIB + GIB / 2),
            ("1.805E+2", GIB, 180 * GIB + GIB / 2),
            ("18050e-2", GIB, 180 * GIB + GIB / 2),
            ("007", 10, 70),
            ("1e-3", 1000, 1),
            ("0.000000000931322574615478515625", GIB, 1),
            ("1e19", 1, 10_000_000_000_000_000_000),
            ("0.0018446744073709551615e22", 1, u64::MAX),
            ("18446744073709551615000000e-6", 1, u64::MAX),
            ("1", u64::MAX, u64::MAX),
            ("0", GIB, 0),
            ("0.000e99", GIB, 0),
            ("0e999999999999999999999999", GIB, 0),
            ("-0", GIB, 0),
            ("-0.0", GIB, 0),
            ("-0.0E-5", GIB, 0),
        ] {
            assert_eq!((down(text, unit), up(text, unit)), (Ok(bytes), Ok(bytes)), "{text}");
        }
    }

    #[test]
    fn decimals_of_vendors_are_rounded_as_asked() {
        for (text, unit, bytes) in [
            ("0.1", 1024, 102),
            ("3.3333333333333333333333333333333333333333", 3, 9),
            ("0.99999999999999999999999999999", 1, 0),
            ("1e-999999999", u64::MAX, 0),
            ("1e-99999999999999999999999999", u64::MAX, 0),
            ("9.9e-21", u64::MAX, 0),
            ("9.9e-20", u64::MAX, 1),
            ("18446744073709551614.5", 1, u64::MAX - 1),
        ] {
            assert_eq!((down(text, unit), up(text, unit)), (Ok(bytes), Ok(bytes + 1)), "{text}");
        }
        let long = format!("0.{}1", "0".repeat(1_000_000));
        assert_eq!((down(&long, 1024), up(&long, 1024)), (Ok(0), Ok(1)));
        assert_eq!(down(&format!("1{}e-1000000", "0".repeat(1_000_000)), 1024), Ok(1024));
        assert_eq!(down(&format!("0.{}1e1000001", "0".repeat(1_000_000)), 1024), Ok(1024));
    }

    #[test]
    fn what_is_no_decimal_is_told() {
        for text in [
            "", " ", "NaN", "nan", "Infinity", "-inf", "null", "true", "1,5", "1_000", "1 000", "0x10", ".5", "1.",
            "1.e5", "1..5", "1.2.3", "+1", "--1", "-", "1e", "1e+", "1e5.5", "1e1e1", "1e--1", "e5", "1GB", "-abc",
            "٣",
        ] {
            assert_eq!(down(text, 1), Err(format!("\"{text}\" is not a number")), "{text}");
        }
        for text in ["-1", "-0.001", "-1e-999999999", "-1e999999999"] {
            assert_eq!(up(text, 1), Err(format!("\"{text}\" is negative")), "{text}");
        }
        for (text, unit) in [
            ("1e999999999", 1),
            ("1e99999999999999999999999999", 1),
            ("18446744073709551616", 1),
            ("18446744073709551615.1", 1),
            ("99999999999999999999", 1),
            ("17179869184", 1 << 30),
        ] {
            let error = format!("\"{text}\" is too large: at most {} bytes can be counted", u64::MAX);
            assert_eq!(up(text, unit), Err(error), "{text}");
        }
        assert_eq!(down("18446744073709551615.1", 1), Ok(u64::MAX));
        let garbage = down(&"x\n".repeat(99), 1).unwrap_err();
        assert_eq!(garbage, format!("\"{}x…\" is not a number", r"x\u{a}".repeat(6)));
    }

    #[test]
    fn rates_are_bytes_per_second() {
        for (text, bytes) in [
            ("10 Mbps", 1_250_000),
            ("10Mbps", 1_250_000),
            (" 10 Mbit/s ", 1_250_000),
            ("1.5 Mbps", 187_500),
            ("100 kbps", 12_500),
            ("100 Kbps", 12_500),
            ("1 Gbit/s", 125_000_000),
            ("8 bps", 1),
            ("15 bit/s", 1),
            ("1 Mibit/s", 131_072),
            ("1 MB/s", 1_000_000),
            ("1 MiB/s", 1_048_576),
            ("0.5 kB/s", 500),
            ("1 B/s", 1),
            ("18446744073709551615 B/s", u64::MAX),
        ] {
            assert_eq!(parse_rate(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "10",
            "10 MB",
            "10 Mbit",
            "10 /s",
            "Mbps",
            "-1 Mbps",
            "+1 Mbps",
            "1e3 kbps",
            "1,5 Mbps",
            "10 MBps",
            "10 Mb/s",
            "10 mbps",
            "10 Mbps/s",
            "10 MB/s/s",
            "10 MB/h",
            "0.3 B/s",
            "99999 PB/s",
            "10 Mbit/sec",
        ] {
            assert_eq!(
                parse_rate(text),
                Err(format!("{text:?} is no rate such as \"10 Mbps\" or \"1 MB/s\"")),
                "{text}"
            );
        }
        for text in ["0 Mbps", "7 bps", "0 B/s", "0.0 MB/s"] {
            let error = "it must be a byte per second at least: pve-disconnect lets nothing through";
            assert_eq!(parse_rate(text), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn rates_are_shown_in_bits() {
        for (bytes, text) in [
            (0, "0 bps"),
            (1, "8 bps"),
            (124, "992 bps"),
            (125, "1 kbps"),
            (1_250_000, "10 Mbps"),
            (1_000_000, "8 Mbps"),
            (1_048_576, "8.388 Mbps"),
            (12_500, "100 kbps"),
            (124_999_999, "999.999 Mbps"),
            (125_000_000, "1 Gbps"),
            (1_250_000_000_000, "10000 Gbps"),
            (u64::MAX, "147573952589.676 Gbps"),
        ] {
            assert_eq!(show_rate(bytes), text);
        }
    }

    /// Any amount, of any order of magnitude.
    fn bytes() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift)
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(17), failure_persistence: None, ..Default::default() })]

        #[test]
        fn an_echo_reads_as_the_same(bytes in bytes(), index in 0usize..6, family in 0usize..3) {
            let base = if family == 1 { UnitBase::Binary } else { UnitBase::Thousand };
            let unit = [DECIMAL, BINARY, IEC][family][index];
            let text = unit.exact(bytes);
            prop_assert_eq!(Amount::parse(&text, base).map(|amount| amount.bytes), Ok(bytes), "{}", text);
        }

        #[test]
        fn a_rate_that_is_shown_reads_as_no_more(bytes in bytes()) {
            // In bits it has to fit, too.
            let bytes = bytes >> 4;
            let again = parse_rate(&show_rate(bytes)).unwrap_or(0);
            prop_assert!(again <= bytes && bytes - again <= bytes / 1000 + 1, "{bytes} {again}");
        }

        #[test]
        fn what_is_shown_is_at_most_a_thousandth_off(bytes in bytes(), index in 0usize..6, family in 0usize..3) {
            let unit = [DECIMAL, BINARY, IEC][family][index];
            let shown = |round| {
                let text = unit.show(bytes, round);
                let (number, name) = text.split_once(' ').unwrap();
                let in_unit = [DECIMAL, BINARY, IEC][family].into_iter().find(|unit| unit.name == name).unwrap();
                let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
                let thousandths: u128 = format!("{whole}{fraction:0<3}").parse().unwrap();
                (thousandths * u128::from(in_unit.size), u128::from(in_unit.size))
            };
            let ((down, size), (up, _)) = (shown(Round::Down), shown(Round::Up));
            let exact = thousandths(bytes);
            prop_assert!(down <= exact && exact <= up);
            prop_assert!(exact - down < size && up - exact < size);
            prop_assert!(bytes == 0 || down > 0);
        }

        #[test]
        fn decimals_are_as_integers_have_it(
            digits in bytes(), places in 0usize..12, power in -9i32..9, zeros in 0usize..3, unit in 1u64..1 << 40
        ) {
            let zeros = "0".repeat(zeros);
            let padded = format!("{digits:0width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            let fraction = if places == 0 { String::new() } else { format!(".{fraction}{zeros}") };
            let text = format!("{zeros}{whole}{fraction}e{power}");
            let total = u128::from(digits) * u128::from(unit);
            let shift = power - i32::try_from(places).unwrap();
            let scale = 10u128.pow(shift.unsigned_abs());
            let (low, high) = if shift < 0 {
                (total / scale, total.div_ceil(scale))
            } else {
                (total.saturating_mul(scale), total.saturating_mul(scale))
            };
            let fitting = [low, high].map(|bytes| u64::try_from(bytes).ok());
            prop_assert_eq!([down(&text, unit).ok(), up(&text, unit).ok()], fitting, "{}", text);
        }

        #[test]
        fn any_text_is_read_or_refused(
            text in "\\PC{0,20}|-?[0-9]{0,30}(\\.[0-9]{0,30})?([eE][+-]?[0-9]{1,30})?", unit in bytes()
        ) {
            let (down, up) = (down(&text, unit), up(&text, unit));
            prop_assert!(up.is_err() || down <= up, "{}: {:?} {:?}", text, down, up);
        }

        #[test]
        fn a_share_is_reached_exactly_there(parts in 0u64..=1000 * PARTS, allowance in bytes()) {
            let reached = |used: u64| u128::from(used) * WHOLE >= u128::from(allowance) * u128::from(parts);
            let (of, floor) = (Percent(parts).of(allowance), Percent(parts).floor_of(allowance));
            prop_assert!(reached(of) || of == u64::MAX);
            prop_assert!(of == 0 || !reached(of - 1));
            prop_assert!(floor == of || floor + 1 == of);
        }

        #[test]
        fn a_ratio_is_below_a_share_not_reached(hundredths in 1u64..20_000, allowance in 1..u64::MAX / 2) {
            let share = Percent(hundredths * HUNDREDTH);
            let threshold = share.of(allowance);
            prop_assert!(Percent::ratio(threshold - 1, allowance).unwrap() < share);
            prop_assert!(Percent::ratio(threshold, allowance).unwrap() >= share);
        }
    }
}

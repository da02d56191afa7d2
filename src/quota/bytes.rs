//! Amounts of traffic and shares of them: reading, printing, comparing.
//!
//! Bytes are whole numbers and nothing is rounded on the way in; what is printed never claims more than is so.

use std::fmt;

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

/// Which way a figure that does not fit three decimals is printed.
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

impl Unit {
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
        // By hand, from the last digit: a fraction may have more digits than any integer, 2^-50 PiB being a byte.
        let mut carry = 0;
        let mut left = 0;
        for digit in self.fraction.bytes().rev() {
            let product = u128::from(digit - b'0') * u128::from(size) + carry;
            (carry, left) = (product / 10, left | (product % 10));
        }
        let whole: u64 = self.whole.parse().map_err(|_| Misfit::TooLarge)?;
        let total = u128::from(whole) * u128::from(size) + carry;
        if left != 0 {
            return Err(Misfit::Fraction);
        }
        u64::try_from(total).map_err(|_| Misfit::TooLarge)
    }
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

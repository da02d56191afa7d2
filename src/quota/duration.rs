//! Lengths of time as people write and read them.
//!
//! What is written always has a unit and is exact to the millisecond; what is printed is never more than is so.

use std::time::Duration;

use super::bytes::{Misfit, Number};

/// The units, the largest first: what they are called and how many milliseconds they have.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

/// The language of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

/// Reads a length of time such as `15 min`, `1.5h` or `30 d`, always with a unit: ms, s or sec, min, h, d, w.
///
/// # Errors
///
/// Says what is wrong. `m` is refused, since it means minutes to some and months to others.
pub fn parse(text: &str) -> Result<Duration, String> {
    const NAMES: &str = "ms, s, min, h, d, w";
    let (number, name) = Number::split(text, "15 min")?;
    let name = match name {
        "" => return Err(format!("{text:?} has no unit: add one of {NAMES}")),
        "m" => {
            return Err(format!("{text:?} may mean minutes or months: write \"min\" for minutes, or days as \"30 d\""));
        }
        "sec" => "s",
        name => name,
    };
    let (_, millis) = UNITS
        .into_iter()
        .find(|(unit, _)| *unit == name)
        .ok_or_else(|| format!("{text:?} has no unit this program knows: use one of {NAMES}"))?;
    match number.times(millis) {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(Misfit::Fraction) => Err(format!("{text:?} is not a whole number of milliseconds")),
        Err(Misfit::TooLarge) => Err(format!("{text:?} is too long")),
    }
}

/// As a configuration would write it: in the largest unit up to days that divides it, for example `90 s` or `7 d`.
/// What is below a millisecond is dropped.
pub fn show(d: Duration) -> String {
    let total = millis(d);
    if total == 0 {
        return "0 s".to_owned();
    }
    let exact = UNITS.into_iter().skip(1).find(|(_, unit)| total.is_multiple_of(*unit));
    let (name, unit) = exact.unwrap_or(("ms", 1));
    format!("{} {name}", total / unit)
}

/// For people: the two largest units, from days to seconds, for example `9 d 14 h`, `3 小时 5 分钟`. What is smaller is
/// dropped.
pub fn words(d: Duration, lang: Language) -> String {
    let names = match lang {
        Language::En => ["d", "h", "min", "s"],
        Language::Zh => ["天", "小时", "分钟", "秒"],
    };
    let mut rest = millis(d);
    let counts = UNITS[1..5].iter().map(|(_, unit)| {
        let count = rest / unit;
        rest %= unit;
        count
    });
    let parts: Vec<_> = counts.zip(names).skip_while(|(count, _)| *count == 0).take(2).collect();
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    if parts.is_empty() { format!("0 {}", names[3]) } else { parts.join(" ") }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn lengths_are_exact() {
        for (text, millis) in [
            ("250 ms", 250),
            ("50s", 50_000),
            ("50 sec", 50_000),
            ("0 s", 0),
            ("0.001 s", 1),
            ("1.5h", 5_400_000),
            (" 15 min ", 900_000),
            ("30 d", 2_592_000_000),
            ("2 w", 1_209_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_is_told() {
        for (text, error) in [
            ("5 m", "\"5 m\" may mean minutes or months: write \"min\" for minutes, or days as \"30 d\""),
            ("15", "\"15\" has no unit: add one of ms, s, min, h, d, w"),
            ("1 month", "\"1 month\" has no unit this program knows: use one of ms, s, min, h, d, w"),
            ("1 H", "\"1 H\" has no unit this program knows: use one of ms, s, min, h, d, w"),
            ("1h30min", "\"1h30min\" has no unit this program knows: use one of ms, s, min, h, d, w"),
            ("", "\"\" does not begin with a number: write for example \"15 min\""),
            ("-1 s", "\"-1 s\" has a sign: write for example \"15 min\""),
            ("1,5 h", "\"1,5 h\" has a number with separators: write for example \"15 min\""),
            ("0.5 ms", "\"0.5 ms\" is not a whole number of milliseconds"),
            ("99999999999999999 w", "\"99999999999999999 w\" is too long"),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()));
        }
    }

    #[test]
    fn lengths_are_echoed() {
        for (text, shown) in [
            ("15 min", "15 min"),
            ("90 s", "90 s"),
            ("120 s", "2 min"),
            ("24 h", "1 d"),
            ("25 h", "25 h"),
            ("1 w", "7 d"),
            ("1.5 s", "1500 ms"),
            ("0 h", "0 s"),
        ] {
            assert_eq!(show(parse(text).unwrap()), shown);
        }
    }

    #[test]
    fn lengths_are_said_in_two_units() {
        for (length, english, chinese) in [
            (seconds(9 * 86_400 + 14 * 3600 + 59 * 60), "9 d 14 h", "9 天 14 小时"),
            (seconds(3 * 3600 + 5 * 60 + 59), "3 h 5 min", "3 小时 5 分钟"),
            (seconds(61), "1 min 1 s", "1 分钟 1 秒"),
            (seconds(45), "45 s", "45 秒"),
            (seconds(3600), "1 h", "1 小时"),
            (seconds(86_400 + 59 * 60), "1 d", "1 天"),
            (Duration::from_millis(999), "0 s", "0 秒"),
            (Duration::ZERO, "0 s", "0 秒"),
        ] {
            assert_eq!(
                (words(length, Language::En).as_str(), words(length, Language::Zh).as_str()),
                (english, chinese)
            );
        }
        assert!(words(Duration::MAX, Language::En).contains(" d"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Default::default() })]

        #[test]
        fn an_echo_reads_as_the_same(millis in any::<u64>(), shift in 0u32..64, unit in 0usize..6) {
            let length = Duration::from_millis((millis >> shift).saturating_mul(UNITS[unit].1));
            prop_assert_eq!(parse(&show(length)), Ok(length));
        }
    }
}

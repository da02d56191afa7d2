//! What a `measure_id` means in bytes.
//!
//! Invariant: an unknown unit is never taken for a known one: 5 MB beside a threshold of 5 GB would be the worst
//! mistake. No complete public table exists, so what is not listed here is asked of the vendor, and believed only
//! when its name and its ratio to another unit say the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{Account, Call, Failure};
use crate::host::Host;

/// Units of traffic that are documented, in bytes: 1 GB = 1024 MB by the vendor's conversion ratio.
const TRAFFIC: &[(i64, u64)] = &[(10, 1 << 30), (11, 1 << 20)];

/// Units that are known not to be traffic.
const OTHERS: &[(i64, &str)] =
    &[(1, "money"), (4, "hours"), (14, "a count"), (15, "Mbit/s"), (17, "GB of capacity, not of traffic")];

/// Kinds of measures that are traffic: in steps of 1024, and of 1000.
const KINDS: [i64; 2] = [3, 40];

const NAMES: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];

#[derive(Deserialize)]
struct Measurements {
    measure_units: Vec<Measure>,
}

#[derive(Deserialize)]
struct Measure {
    measure_id: i64,
    abbreviation: Option<String>,
    measure_name: Option<String>,
    measure_type: i64,
}

#[derive(Deserialize)]
struct Conversions {
    conversions: Vec<Conversion>,
}

#[derive(Deserialize)]
struct Conversion {
    measure_id: i64,
    ref_measure_id: i64,
    conversion_ratio: u64,
}

/// Bytes per unit of those that were looked up before.
pub type Looked = BTreeMap<i64, u64>;

/// Why a unit has no bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoBytes {
    /// It is known to be of something else than traffic.
    Other(String),
    /// Nobody could say what it is.
    Unknown(String),
}

impl NoBytes {
    /// In words.
    pub fn text(self) -> String {
        match self {
            Self::Other(text) | Self::Unknown(text) => text,
        }
    }
}

/// Bytes per unit; what has to be looked up is looked up once, and kept in `looked`.
pub fn bytes(
    account: &Account,
    host: &dyn Host,
    measure: i64,
    looked: &mut Looked,
    until: Duration,
) -> Result<u64, NoBytes> {
    if let Some((_, bytes)) = TRAFFIC.iter().find(|(id, _)| *id == measure) {
        return Ok(*bytes);
    }
    if let Some((_, what)) = OTHERS.iter().find(|(id, _)| *id == measure) {
        return Err(NoBytes::Other(format!("its unit (measure_id {measure}) is {what}")));
    }
    if let Some(bytes) = looked.get(&measure) {
        return Ok(*bytes);
    }
    let unknown = |why: &str| format!("its unit (measure_id {measure}) is not known: {why}");
    let failed = |failure: Failure| NoBytes::Unknown(unknown(&failure.text));
    let measures = measures(account, host, until).map_err(failed)?;
    let kind = measures.iter().find(|known| known.measure_id == measure).map(|known| known.measure_type);
    let kind = kind.ok_or_else(|| NoBytes::Unknown(unknown("the vendor does not list it")))?;
    if !KINDS.contains(&kind) {
        return Err(NoBytes::Other(unknown(&format!("it is of kind {kind}, which is no traffic"))));
    }
    let ratios = conversions(account, host, kind, until).map_err(failed)?;
    let bytes = derive(measure, &measures, &ratios);
    let bytes = bytes.ok_or_else(|| NoBytes::Unknown(unknown("its name and its ratios do not agree")))?;
    looked.insert(measure, bytes);
    Ok(bytes)
}

fn measures(account: &Account, host: &dyn Host, until: Duration) -> Result<Vec<Measure>, Failure> {
    let call = Call::get(&account.endpoints().bss, "/v2/bases/measurements");
    account.call::<Measurements>(host, &call, until).map(|answer| answer.measure_units)
}

fn conversions(account: &Account, host: &dyn Host, kind: i64, until: Duration) -> Result<Vec<Conversion>, Failure> {
    let call = Call::get(&account.endpoints().bss, "/v2/bases/conversions").with("measure_type", kind.to_string());
    account.call::<Conversions>(host, &call, until).map(|answer| answer.conversions)
}

/// By the unit's name and its ratio to another named one: between KB and GB lie two steps, of 1000 or of 1024 each.
/// Which of the two a ratio multiplies does not matter.
fn derive(measure: i64, measures: &[Measure], ratios: &[Conversion]) -> Option<u64> {
    let power = |id: i64| {
        let known = measures.iter().find(|known| known.measure_id == id)?;
        let name = known.abbreviation.as_deref().or(known.measure_name.as_deref())?;
        NAMES.iter().position(|power| power.eq_ignore_ascii_case(name.trim())).map(|power| power as u32)
    };
    let own = power(measure)?;
    let step = |ratio: &Conversion| {
        let other = if ratio.measure_id == measure { ratio.ref_measure_id } else { ratio.measure_id };
        let steps = power(other)?.abs_diff(own);
        let fits = |base: &&u64| steps > 0 && base.pow(steps) == ratio.conversion_ratio;
        Some([1000, 1024].iter().find(fits).copied())
    };
    let of = |ratio: &&Conversion| ratio.measure_id == measure || ratio.ref_measure_id == measure;
    let other = |ratio: &&Conversion| ratio.measure_id != ratio.ref_measure_id;
    let bases: Vec<Option<u64>> = ratios.iter().filter(of).filter(other).filter_map(step).collect();
    let base = bases.first().copied().flatten()?;
    bases.iter().all(|known| *known == Some(base)).then(|| base.pow(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measures() -> Vec<Measure> {
        let of = |(measure_id, name, measure_type): (i64, &str, i64)| Measure {
            measure_id,
            abbreviation: Some(name.into()),
            measure_name: None,
            measure_type,
        };
        [(10, "GB", 3), (11, "MB", 3), (13, "TB", 3), (60, "GB", 40), (61, "B", 40), (62, "Byte", 40)].map(of).into()
    }

    fn ratio(measure_id: i64, ref_measure_id: i64, conversion_ratio: u64) -> Conversion {
        Conversion { measure_id, ref_measure_id, conversion_ratio }
    }

    #[test]
    fn a_unit_is_what_its_name_and_its_ratios_agree_on() {
        let derived = |id, ratios: &[Conversion]| derive(id, &measures(), ratios);
        assert_eq!(derived(13, &[ratio(13, 10, 1024)]), Some(1 << 40));
        assert_eq!(derived(13, &[ratio(10, 13, 1024), ratio(13, 11, 1 << 20)]), Some(1 << 40));
        assert_eq!(derived(60, &[ratio(60, 61, 1_000_000_000), ratio(60, 60, 1)]), Some(1_000_000_000));
        for (id, ratios) in [
            (13, vec![]),
            (13, vec![ratio(13, 10, 1025)]),
            (13, vec![ratio(13, 10, 1024), ratio(13, 11, 1_000_000)]),
            (13, vec![ratio(13, 13, 1)]),
            (62, vec![ratio(62, 61, 1)]),
            (99, vec![ratio(99, 10, 1024)]),
        ] {
            assert_eq!(derived(id, &ratios), None, "{id}");
        }
    }
}

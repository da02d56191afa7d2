//! The value of a guest's `netX`, and what is done to it: limiting, disconnecting, putting back; pure.
//!
//! Invariant: of a NIC, nothing but `rate` and `link_down` is ever changed. A value replaces the whole NIC, so each
//! other item stays as it is, known or not, in its place: a lost address would come back as another one.
//!
//! Why values are compared and never texts: the host stores its own spelling of what it was sent, in its own order.

use std::collections::BTreeSet;
use std::fmt;

use crate::quota::change::{Change, Edit};
use crate::quota::text::clean;

const RATE: &str = "rate";
const LINK_DOWN: &str = "link_down";

/// Models of a VM's NIC: each is a key for its address, short for `model=` and `macaddr=`.
const MODELS: [&str; 14] = [
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
];

/// Keys whose values are addresses.
const ADDRESSES: [&str; 2] = ["macaddr", "hwaddr"];

/// Bytes of the unit of rates: MiB, by its power of two.
const MIB_SHIFT: u32 = 20;
/// Decimals of a rate that is written: enough for a difference of a byte.
const DECIMALS: u32 = 12;
/// Digits of a rate that count; with the unit they fit into 128 bits.
const DIGITS: usize = 32;

/// A guest's NIC, as its configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    key: String,
    /// None: the item has no `=`.
    value: Option<String>,
}

/// What putting back comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The NIC as it should be now; the same as before when there was nothing to put back.
    pub nic: Nic,
    /// The items that somebody else has changed since: left as they are.
    pub foreign: Vec<&'static str>,
    /// The items that were as we had made them.
    ours: Vec<&'static str>,
}

impl Nic {
    /// The item that limits it.
    pub const RATE: &str = RATE;
    /// The item that takes its carrier.
    pub const LINK_DOWN: &str = LINK_DOWN;

    /// Reads a value such as `virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=5`. What no host would store is refused, so
    /// that such a NIC is left alone.
    pub fn parse(text: &str) -> Result<Self, String> {
        let item = |part: &str| match part.split_once('=') {
            Some((key, value)) => Item { key: key.into(), value: Some(value.into()) },
            None => Item { key: part.into(), value: None },
        };
        let items: Vec<Item> = text.split(',').map(item).collect();
        let mut seen = BTreeSet::new();
        for item in &items {
            if item.key.trim().is_empty() {
                return Err(format!("an item of {:?} is empty", clean(text, 200)));
            }
            if !seen.insert(&item.key) {
                return Err(format!("{:?} stands twice in {:?}", clean(&item.key, 40), clean(text, 200)));
            }
        }
        Ok(Self { items })
    }

    /// The value of an item.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.items.iter().find(|item| item.key == key)?.value.as_deref()
    }

    /// The bridge it is on.
    pub fn bridge(&self) -> Option<&str> {
        self.get("bridge").filter(|bridge| !bridge.is_empty())
    }

    /// Its hardware address, in upper case: that of the model, `macaddr` or `hwaddr`.
    pub fn address(&self) -> Option<String> {
        let is_address = |item: &&Item| MODELS.contains(&item.key.as_str()) || ADDRESSES.contains(&item.key.as_str());
        let addresses = self.items.iter().filter(is_address).filter_map(|item| item.value.as_deref());
        addresses.map(str::to_ascii_uppercase).find(|address| !address.is_empty())
    }

    /// Whether it is never touched: a VM's NIC without a bridge. Its traffic is not counted, and whatever is changed of
    /// it, the host takes it out and puts it in again. Only containers' NICs have a name.
    pub fn is_left_alone(&self) -> bool {
        self.bridge().is_none() && self.get("name").is_none()
    }

    /// The limit in bytes per second, for each direction; none: there is none. Less than a byte is none to the host.
    pub fn rate(&self) -> Option<u64> {
        limit(self.get(RATE))
    }

    /// Whether its carrier is off.
    pub fn link_down(&self) -> bool {
        is_true(self.get(LINK_DOWN))
    }

    /// With this limit in bytes per second, one at least; none: its own is as tight, or it is left alone.
    pub fn limited(&self, wanted: u64) -> Option<Self> {
        let wanted = wanted.max(1);
        let loose = self.rate().is_none_or(|rate| rate > wanted);
        (loose && !self.is_left_alone()).then(|| self.with(RATE, Some(&rate_text(wanted))))
    }

    /// With its carrier off; none: it is off already, or it is left alone.
    pub fn disconnected(&self) -> Option<Self> {
        (!self.link_down() && !self.is_left_alone()).then(|| self.with(LINK_DOWN, Some("1")))
    }

    /// What makes this one the other: to be remembered before the other is sent.
    pub fn change_to(&self, other: &Self) -> Change {
        let edit = |key: &str| {
            let ours = other.get(key).filter(|ours| self.get(key) != Some(*ours))?.to_owned();
            Some(Edit { before: self.get(key).map(str::to_owned), ours: vec![ours] })
        };
        Change { rate: edit(RATE), link_down: edit(LINK_DOWN) }
    }

    /// With what was changed put back exactly as it was, where our value is still found.
    pub fn restored(&self, change: &Change) -> Restored {
        let mut restored = Restored { nic: self.clone(), foreign: Vec::new(), ours: Vec::new() };
        restored.put_back(RATE, change.rate.as_ref(), |now, then| limit(now) == limit(then));
        restored.put_back(LINK_DOWN, change.link_down.as_ref(), |now, then| is_true(now) == is_true(then));
        restored
    }

    /// Whether limit and carrier of both are the same.
    pub fn is_set_as(&self, other: &Self) -> bool {
        self.rate() == other.rate() && self.link_down() == other.link_down()
    }

    fn with(&self, key: &str, value: Option<&str>) -> Self {
        let mut items = self.items.clone();
        let at = items.iter().position(|item| item.key == key);
        match (at, value.map(str::to_owned)) {
            (Some(at), Some(value)) => items[at].value = Some(value),
            (Some(at), None) => drop(items.remove(at)),
            (None, Some(value)) => items.push(Item { key: key.into(), value: Some(value) }),
            (None, None) => {}
        }
        Self { items }
    }
}

impl Restored {
    /// Whether an item was as we had made it.
    pub fn is_ours(&self, item: &str) -> bool {
        self.ours.contains(&item)
    }

    fn put_back(&mut self, key: &'static str, edit: Option<&Edit>, same: impl Fn(Option<&str>, Option<&str>) -> bool) {
        let Some(edit) = edit else { return };
        let now = self.nic.get(key);
        if edit.ours.iter().any(|ours| same(now, Some(ours))) {
            self.nic = self.nic.with(key, edit.before.as_deref());
            self.ours.push(key);
        } else if !same(now, edit.before.as_deref()) {
            self.foreign.push(key);
        }
    }
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            f.write_str(&item.key)?;
            item.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))?;
        }
        Ok(())
    }
}

/// The host's spellings of truth values, in any case.
fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match () {
        () if is(["1", "on", "yes", "true"]) => Some(true),
        () if is(["0", "off", "no", "false"]) => Some(false),
        () => None,
    }
}

fn is_true(text: Option<&str>) -> bool {
    text.and_then(boolean) == Some(true)
}

fn limit(rate: Option<&str>) -> Option<u64> {
    rate.and_then(bytes_per_second).filter(|bytes| *bytes > 0)
}

/// A rate in MiB/s, as the host reads numbers (`5`, `.5`, `5e-1`), as whole bytes per second; what is below zero is
/// zero, and none what is no number.
fn bytes_per_second(text: &str) -> Option<u64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !all_digits(&digits) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    if negative || significant.is_empty() {
        return Some(0);
    }
    // What is cut off is far below a byte.
    let kept = significant.len().min(DIGITS);
    let cut = i64::try_from(significant.len() - kept).unwrap_or(i64::MAX);
    let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(exponent).saturating_sub(cut);
    Some(scaled(significant[..kept].parse::<u128>().ok()? << MIB_SHIFT, scale))
}

/// Large ones only have to be large.
fn read_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let readable = !digits.is_empty() && all_digits(digits);
    readable.then(|| sign * digits.parse::<i64>().map_or(1_000_000, |exponent| exponent.min(1_000_000)))
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number divided by so many powers of ten, rounded down and at most what fits.
fn scaled(number: u128, scale: i64) -> u64 {
    let power = u32::try_from(scale.unsigned_abs()).ok().and_then(|power| 10_u128.checked_pow(power));
    let scaled = match power {
        Some(power) if scale >= 0 => number / power,
        Some(power) => number.saturating_mul(power),
        None if scale >= 0 => 0,
        None => u128::MAX,
    };
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Bytes per second as MiB/s, rounded up at the last decimal, so that the host, which rounds down, makes the same bytes
/// of it: rounded down here, one byte would become no limit at all.
fn rate_text(bytes: u64) -> String {
    let rest = u128::from(bytes & ((1 << MIB_SHIFT) - 1));
    let decimals = (rest * 10_u128.pow(DECIMALS)).div_ceil(1 << MIB_SHIFT);
    let text = format!("{}.{decimals:0width$}", bytes >> MIB_SHIFT, width = DECIMALS as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;

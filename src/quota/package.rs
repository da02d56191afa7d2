//! Traffic packages: figures of the provider's own account, in periods of the provider's own.
//!
//! Invariant: an answer is believed only while it fits what is known. One that is older than the last, whose total is
//! another order of magnitude, or which is not of this time, is a problem, never usage.

use std::time::Duration;

use super::bytes::Unit;
use super::instant::Instant;
use super::meter::{Closed, Counters, Delta, Identity, Ledger, Series};
use super::period::Period;
use super::policy::{Quota, Threshold};

/// A traffic package, as its provider accounts for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The id the provider answered with: a renewed package may have another one than the subject's name.
    pub id: String,
    /// Bytes per period.
    pub total: u64,
    /// Bytes that remain, rounded up: nothing looks used that may not be.
    pub left: u64,
    /// The period they are for.
    pub period: Period,
}

/// What the provider's clock and this machine's may differ by.
const SKEW: Duration = Duration::from_secs(300);

/// Totals further apart than this are not of the same unit: the next units are 1,000 or 1,024 times as large.
const APART: u64 = 100;

impl Package {
    /// Bytes used in the period.
    pub fn used(&self) -> u64 {
        self.total.saturating_sub(self.left)
    }

    /// A period is to a package what a boot is to a counter: with each it starts anew.
    fn identity(&self) -> Identity {
        Identity { boot: Some(self.period.start.to_string()), ..Identity::default() }
    }

    /// What is remembered of it after `last`.
    pub fn series(&self, last: Option<&Series>, now: Instant) -> Series {
        let identity = self.identity();
        // A provider's correction downwards must not be counted twice when usage grows over it again.
        let seen = last.filter(|last| last.identity == identity).map_or(0, |last| last.counters.tx);
        Series { at: now, counters: Counters { rx: 0, tx: self.used().max(seen) }, identity }
    }

    /// What was used since `last`; in a new period all that was used in it. Providers account in lumps, hours late: no
    /// rate can be told from them, and none is implausible.
    pub fn since(&self, last: &Series, now: Instant) -> Delta {
        let same = last.identity == self.identity();
        let (before, from) = if same { (last.counters.tx, last.at) } else { (0, last.at.max(self.period.start)) };
        let flow = Counters { rx: 0, tx: self.used().saturating_sub(before) };
        Delta { flow, from: from.min(now), to: now, flagged: false, fell: false }
    }

    /// Why this answer is not believed, if so: `known` is the account so far, `quotas` those that look at it.
    pub fn doubt(&self, known: Option<&Ledger>, quotas: &[&Quota], now: Instant) -> Option<String> {
        let show = |bytes| Unit::of(bytes).exact(bytes);
        if self.period.start > now.plus(SKEW) {
            let start = self.period.start;
            return Some(format!("its period begins only at {start}: is this machine's clock right?"));
        }
        if self.total == 0 {
            return Some("the package holds nothing".into());
        }
        if let Some(known) = known {
            if self.period.start < known.period.start {
                return Some("the answer is older than the one before".into());
            }
            // A new period may bring another package.
            let same = self.period.start == known.period.start;
            if let Some(total) = known.total.filter(|total| same && apart(*total, self.total)) {
                let (before, now) = (show(total), show(self.total));
                return Some(format!("the package held {before} and now {now}: the unit cannot be right"));
            }
        }
        let total = show(self.total);
        let misfit = quotas.iter().find(|quota| quota.allowance.is_some_and(|allowance| apart(allowance, self.total)));
        if let Some(quota) = misfit {
            let allowance = quota.unit.exact(quota.allowance.unwrap_or_default());
            return Some(format!(
                "the package holds {total}, but the allowance of quota {:?} is {allowance}: is the unit right?",
                quota.name
            ));
        }
        let beyond = quotas.iter().find(|quota| quota.allowance.is_none() && all_beyond(quota, self.total))?;
        Some(format!(
            "the package holds {total}, not more than any tier of quota {:?}: is the unit right?",
            beyond.name
        ))
    }
}

fn apart(a: u64, b: u64) -> bool {
    a.max(b) / APART >= a.min(b).max(1)
}

/// Whether the whole package is not enough to leave any of the quota's tiers unreached, or to reach one.
fn all_beyond(quota: &Quota, total: u64) -> bool {
    let mut levels = quota.tiers.iter().filter_map(|tier| Some((tier.threshold, tier.threshold.at(total)?))).peekable();
    levels.peek().is_some()
        && levels.all(|(threshold, at)| match threshold {
            Threshold::Remaining(_) => at == 0,
            _ => at > total,
        })
}

impl Ledger {
    /// Takes over the provider's account; a later start of its period is a renewal.
    pub fn follow(&mut self, package: &Package) {
        let used = Counters { rx: 0, tx: package.used() };
        self.account(package.period, used, package.total);
    }

    /// Makes this the sum of packages, each in a period of its own: the pool's runs from the latest renewal to the next.
    pub fn become_account(&mut self, members: &[&Self]) {
        let start = members.iter().map(|member| member.period.start).max().unwrap_or(self.period.start);
        let end = members.iter().filter_map(|member| member.period.end).min();
        let used = members.iter().map(|member| member.used).fold(Counters::default(), Counters::plus);
        let total = members.iter().filter_map(|member| member.total).fold(0, u64::saturating_add);
        self.account(Period { start, end }, used, total);
    }

    fn account(&mut self, period: Period, used: Counters, total: u64) {
        if period.start > self.period.start {
            let closed = Closed {
                period: Period { end: self.period.end.map(|end| end.min(period.start)), ..self.period },
                used: self.used,
                calibrated: std::collections::BTreeMap::new(),
                estimated: false,
                between: Counters::default(),
                total: self.total,
            };
            *self = Self { last: Some(closed), ..Self::start(period, period.start) };
        }
        (self.period, self.since) = (period, period.start);
        (self.used, self.total, self.unasked) = (used, Some(total), None);
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::UnitBase;
    use super::super::meter::Count;
    use super::super::period::{Cycle, Rule, ShortMonth};
    use super::super::policy::{Level, Tier};
    use super::super::zone::Zone;
    use super::*;

    const GB: u64 = 1 << 30;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn month(number: u8) -> Period {
        let day = |number: u8| at(&format!("2026-{number:02}-15T16:00:00Z"));
        Period { start: day(number), end: Some(day(number + 1)) }
    }

    fn package(left: u64, period: Period) -> Package {
        Package { id: "pkg".into(), total: 1000 * GB, left: left * GB, period }
    }

    fn quota(allowance: Option<u64>, thresholds: &[Threshold]) -> Quota {
        let tier = |threshold: &Threshold| Tier {
            name: format!("{threshold:?}"),
            threshold: *threshold,
            key: String::new(),
            repeat: None,
            notify: Vec::new(),
            actions: Vec::new(),
            definition: String::new(),
        };
        Quota {
            name: "q".into(),
            label: None,
            source: "huawei".into(),
            count: Count::Out,
            allowance,
            unit: Unit::giga(UnitBase::Binary),
            unit_base: UnitBase::Binary,
            rule: Rule {
                cycle: Cycle::Provider,
                at: time::Time::MIDNIGHT,
                zone: Zone::utc(),
                short_month: ShortMonth::LastDay,
            },
            rule_key: "provider".into(),
            row_key: "q provider".into(),
            subjects: Vec::new(),
            exclude: Vec::new(),
            packages: None,
            pool: false,
            since_boot: false,
            tiers: thresholds.iter().map(tier).collect(),
            report: None,
        }
    }

    #[test]
    fn what_flowed_is_what_is_gone_and_no_correction_counts_twice() {
        let now = |hour: u8| at(&format!("2026-01-20T{hour:02}:00:00Z"));
        let mut series = package(1000, month(1)).series(None, now(0));
        let mut flowed = 0;
        for (hour, left) in [(1, 900), (2, 950), (3, 890), (4, 890), (5, 500)] {
            let package = package(left, month(1));
            let delta = package.since(&series, now(hour));
            assert_eq!((delta.from, delta.to, delta.flagged), (now(hour - 1), now(hour), false));
            flowed += delta.flow.tx;
            series = package.series(Some(&series), now(hour));
        }
        assert_eq!(flowed, 500 * GB);
        let renewed = package(990, month(2));
        let delta = renewed.since(&series, at("2026-02-15T17:00:00Z"));
        assert_eq!((delta.flow.tx, delta.from), (10 * GB, month(2).start));
        let after = renewed.series(Some(&series), at("2026-02-15T17:00:00Z"));
        assert_eq!(after.counters.tx, 10 * GB);
    }

    #[test]
    fn answers_that_do_not_fit_are_not_believed() {
        let now = at("2026-02-20T00:00:00Z");
        let mut known = Ledger::start(month(2), month(2).start);
        known.follow(&package(900, month(2)));
        let plain = quota(None, &[Threshold::Remaining(Level::Bytes(200 * GB))]);
        let doubt = |package: &Package, quota: &Quota| package.doubt(Some(&known), &[quota], now);
        assert_eq!(doubt(&package(800, month(2)), &plain), None);
        assert_eq!(doubt(&package(800, month(1)), &plain).unwrap(), "the answer is older than the one before");
        let future = doubt(&package(800, month(3)), &plain).unwrap();
        assert!(future.starts_with("its period begins only at 2026-03-15T16:00:00Z"), "{future}");
        let small = Package { total: 1000 << 20, left: 5 << 20, ..package(0, month(2)) };
        assert!(doubt(&small, &plain).unwrap().contains("held 1000 GB and now 1000 MB"));
        let nothing = Package { total: 0, left: 0, ..package(0, month(2)) };
        assert_eq!(doubt(&nothing, &plain).unwrap(), "the package holds nothing");
        // Twice the size is another plan, and no other unit.
        assert_eq!(doubt(&Package { total: 2000 * GB, ..package(0, month(2)) }, &plain), None);
        let first = |package: &Package, quota: &Quota| package.doubt(None, &[quota], now);
        assert!(first(&small, &plain).unwrap().contains("not more than any tier"));
        let shares =
            quota(None, &[Threshold::Used(Level::Percent(super::super::bytes::Percent::parse("80%").unwrap()))]);
        assert_eq!(first(&small, &shares), None);
        let unreachable = quota(None, &[Threshold::Used(Level::Bytes(200 * GB))]);
        assert!(first(&small, &unreachable).unwrap().contains("not more than any tier"));
        let allowed = quota(Some(500 * GB), &[]);
        assert!(first(&small, &allowed).unwrap().contains("allowance of quota \"q\" is 500 GB"));
        assert_eq!(first(&package(900, month(2)), &allowed), None);
    }

    #[test]
    fn a_pool_runs_from_the_latest_renewal_to_the_next() {
        let ledger = |package: &Package| {
            let mut ledger = Ledger::start(package.period, package.period.start);
            ledger.follow(package);
            ledger
        };
        let early = Period { start: at("2026-01-05T00:00:00Z"), end: Some(at("2026-02-05T00:00:00Z")) };
        let (a, b) = (ledger(&package(900, month(1))), ledger(&package(400, early)));
        let mut pool = Ledger::start(b.period, b.period.start);
        pool.become_account(&[&a, &b]);
        let runs = Period { start: month(1).start, end: early.end };
        assert_eq!((pool.period, pool.used.tx, pool.total), (runs, 700 * GB, Some(2000 * GB)));
        let later = Period { start: at("2026-02-05T00:00:00Z"), end: Some(at("2026-03-05T00:00:00Z")) };
        let b = ledger(&package(1000, later));
        pool.become_account(&[&a, &b]);
        let last = pool.last.as_ref().unwrap();
        assert_eq!((pool.period.start, pool.period.end, pool.used.tx), (later.start, month(1).end, 100 * GB));
        assert_eq!((last.used.tx, last.total, last.period.end), (700 * GB, Some(2000 * GB), Some(later.start)));
    }
}

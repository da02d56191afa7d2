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

    /// Whether it is in a later period than one that began at `start` with `used` bytes of usage at the last look. A
    /// start that is only corrected is no renewal: it moves by less than half a period, and nothing comes back.
    pub fn renews(&self, start: Instant, used: u64) -> bool {
        let length = self.period.end.map_or(Duration::ZERO, |end| end.since(self.period.start));
        self.period.start > start && (self.period.start >= start.plus(length / 2) || self.used() < used)
    }

    fn renews_series(&self, last: &Series) -> bool {
        let start = last.identity.boot.as_deref().and_then(Instant::parse);
        start.is_none_or(|start| self.renews(start, last.counters.tx))
    }

    /// What is remembered of it after `last`.
    pub fn series(&self, last: Option<&Series>, now: Instant) -> Series {
        match last.filter(|last| !self.renews_series(last)) {
            None => Series { at: now, counters: Counters { rx: 0, tx: self.used() }, identity: self.identity() },
            // A provider's correction downwards must not be counted twice when usage grows over it again.
            Some(last) => {
                let counters = Counters { rx: 0, tx: self.used().max(last.counters.tx) };
                Series { at: now, counters, identity: last.identity.clone() }
            }
        }
    }

    /// What was used since `last`; in a new period all that was used in it. Providers account in lumps, hours late: no
    /// rate can be told from them, and none is implausible.
    pub fn since(&self, last: &Series, now: Instant) -> Delta {
        let (before, from) = match self.renews_series(last) {
            true => (0, last.at.max(self.period.start)),
            false => (last.counters.tx, last.at),
        };
        let flow = Counters { rx: 0, tx: self.used().saturating_sub(before) };
        Delta { flow, from: from.min(now), to: now, flagged: false, fell: false, gap: None, recorded: false }
    }

    /// Why this answer is not believed, if so; `known` is the account so far.
    pub fn doubt(&self, known: Option<&Ledger>, now: Instant) -> Option<Doubt> {
        let show = |bytes| Unit::of(bytes).exact(bytes);
        if self.period.start > now.plus(SKEW) {
            let start = self.period.start;
            return Some(Doubt::Wrong(format!("its period begins only at {start}: is this machine's clock right?")));
        }
        if self.total == 0 {
            return Some(Doubt::Wrong("the package holds nothing".into()));
        }
        let known = known?;
        if self.period.end.is_some_and(|end| end <= known.period.start.plus(SKEW)) {
            return Some(Doubt::Wrong("the answer is older than the one before".into()));
        }
        let (start, used) = (known.period.start, known.used.tx);
        // The bounds come first and the amount hours later: in a new period usage begins at nothing.
        let old = used > 0 && (used..=used.saturating_add(self.total / 20)).contains(&self.used());
        if self.renews(start, used) && old && now < self.period.start.plus(LAG) {
            return Some(Doubt::Early);
        }
        let total = known.total.filter(|total| !self.renews(start, used) && apart(*total, self.total))?;
        let (before, now) = (show(total), show(self.total));
        Some(Doubt::Wrong(format!("the package held {before} and now {now}: the unit cannot be right")))
    }
}

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Its period is new, its amount still that of the last one.
    Early,
    /// It cannot be so.
    Wrong(String),
}

/// For so long after a renewal an amount that has not fallen, or grown by more than a twentieth of the whole, is taken as
/// one of before it.
const LAG: Duration = Duration::from_secs(86_400);

/// Why a package of this total and a quota cannot be meant for each other, if so.
pub fn misfit(quota: &Quota, total: u64) -> Option<String> {
    let holds = Unit::of(total).exact(total);
    match quota.allowance {
        Some(allowance) if apart(allowance, total) && !quota.pool => {
            let allowance = quota.unit.exact(allowance);
            Some(format!("the package holds {holds}, and the allowance is {allowance}: is the unit right?"))
        }
        None if all_beyond(quota, total) => {
            Some(format!("the package holds {holds}, which no tier of the quota fits: is the unit right?"))
        }
        _ => None,
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
        match package.renews(self.period.start, self.used.tx) {
            true => self.account(package.period, used, package.total),
            false => self.account(Period { start: self.period.start, ..package.period }, used, package.total),
        }
    }

    /// Makes this the sum of packages, each in a period of its own: the pool's runs from the latest renewal to the next.
    pub fn become_account(&mut self, members: &[&Self]) {
        let start = members.iter().map(|member| member.period.start).max().unwrap_or(self.period.start);
        let end = members.iter().filter_map(|member| member.period.end).min();
        let used = members.iter().map(|member| member.used).fold(Counters::default(), Counters::plus);
        let total = members.iter().filter_map(|member| member.total).fold(0, u64::saturating_add);
        self.account(Period { start, end }, used, total);
        self.unsure = members.iter().map(|member| member.unsure).fold(Counters::default(), Counters::plus);
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
                since_creation: false,
            },
            rule_key: "provider".into(),
            row_key: "q provider".into(),
            subjects: Vec::new(),
            exclude: Vec::new(),
            packages: None,
            choice: None,
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
        let doubt = |package: &Package| package.doubt(Some(&known), now);
        let wrong = |package: &Package| match doubt(package) {
            Some(Doubt::Wrong(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(doubt(&package(800, month(2))), None);
        assert_eq!(wrong(&package(800, month(1))), "the answer is older than the one before");
        assert!(wrong(&package(800, month(3))).starts_with("its period begins only at 2026-03-15T16:00:00Z"));
        let small = Package { total: 1000 << 20, left: 5 << 20, ..package(0, month(2)) };
        assert!(wrong(&small).contains("held 1000 GB and now 1000 MB"));
        assert_eq!(wrong(&Package { total: 0, left: 0, ..package(0, month(2)) }), "the package holds nothing");
        // Twice the size is another plan, and no other unit.
        assert_eq!(doubt(&Package { total: 2000 * GB, ..package(0, month(2)) }), None);
        assert_eq!(small.doubt(None, now), None);
    }

    #[test]
    fn bounds_that_are_new_with_an_amount_that_is_not_are_too_early() {
        let mut known = Ledger::start(month(1), month(1).start);
        known.follow(&package(150, month(1)));
        let hours = |hours: u64| month(2).start.plus(Duration::from_secs(hours * 3600));
        assert_eq!(package(150, month(2)).doubt(Some(&known), hours(1)), Some(Doubt::Early));
        assert_eq!(package(150, month(2)).doubt(Some(&known), hours(25)), None);
        assert_eq!(package(140, month(2)).doubt(Some(&known), hours(1)), Some(Doubt::Early));
        assert_eq!(package(99, month(2)).doubt(Some(&known), hours(1)), None);
        assert_eq!(package(151, month(2)).doubt(Some(&known), hours(1)), None);
        assert_eq!(package(1000, month(2)).doubt(Some(&known), hours(1)), None);
    }

    #[test]
    fn a_start_that_is_corrected_is_no_renewal() {
        let later = |seconds| Period { start: month(1).start.plus(Duration::from_secs(seconds)), ..month(1) };
        let mut ledger = Ledger::start(month(1), month(1).start);
        ledger.follow(&package(800, month(1)));
        let now = at("2026-01-20T00:00:00Z");
        let series = package(800, month(1)).series(None, now);
        let moved = package(700, later(1));
        assert_eq!(moved.since(&series, now).flow.tx, 100 * GB);
        ledger.follow(&moved);
        assert_eq!((ledger.period, ledger.used.tx, ledger.last.is_some()), (month(1), 300 * GB, false));
        assert_eq!(package(600, month(1)).doubt(Some(&ledger), now), None);
        // Renewed before its time: the usage starts anew.
        ledger.follow(&package(990, later(5 * 86_400)));
        assert_eq!((ledger.used.tx, ledger.last.as_ref().unwrap().used.tx), (10 * GB, 300 * GB));
    }

    #[test]
    fn a_package_and_a_quota_of_other_units_do_not_fit() {
        let left = [Threshold::Remaining(Level::Bytes(200 * GB))];
        assert_eq!(misfit(&quota(None, &left), 1000 * GB), None);
        assert!(misfit(&quota(None, &left), 1000 << 20).unwrap().contains("holds 1000 MB, which no tier"));
        let share = [Threshold::Used(Level::Percent(super::super::bytes::Percent::parse("80%").unwrap()))];
        assert_eq!(misfit(&quota(None, &share), 1000 << 20), None);
        let unreachable = [Threshold::Used(Level::Bytes(200 * GB))];
        assert!(misfit(&quota(None, &unreachable), 1000 << 20).unwrap().contains("no tier"));
        let allowed = quota(Some(500 * GB), &[]);
        assert!(misfit(&allowed, 1000 << 20).unwrap().contains("the allowance is 500 GB"));
        assert_eq!(misfit(&allowed, 1000 * GB), None);
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

//! Takes what a source said into its state: who is who, what flowed, and which period it belongs to.

use std::collections::HashMap;
use std::time::Duration;

use super::gaps::Gap;
use super::instant::Instant;
use super::meter::{Counters, Delta, Figure, Identity, Ledger, Reading, Series};
use super::package::Package;
use super::period::{Cycle, Period, Rule};
use super::state::{Ended, SourceState, Subject};
use super::track::Edges;

/// A subject unseen for this long, and a ledger unasked for, are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(90 * 86_400);

/// A period rule that quotas of the source ask for.
pub struct Asked<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Its key.
    pub key: &'a str,
    /// Whether the first sight counts what flowed since boot.
    pub since_boot: bool,
    /// Whether the provider's records say what flowed in the period before the first sight.
    pub backfill: bool,
}

/// Something strange that was counted all the same, and has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// A counter fell without a restart.
    Fell {
        /// Whose.
        subject: String,
        /// Whether all that was ever seen fits 32 bits.
        narrow: bool,
    },
    /// Its counters are others than before, in a way that is no restart.
    Replaced {
        /// Whose.
        subject: String,
    },
    /// More came than the link can carry.
    Implausible {
        /// Whose.
        subject: String,
        /// What came.
        flow: Counters,
    },
    /// The provider answers with another id: the package was renewed.
    Renewed {
        /// Whose.
        subject: String,
        /// The id it has now.
        id: String,
        /// The period is not new: it may be another package.
        doubted: bool,
    },
    /// Two machines report under one name.
    Doubled {
        /// The name.
        subject: String,
    },
}

impl SourceState {
    /// Absorbs the readings of a run at the believed time `now`, each as of its own time.
    pub fn absorb(&mut self, readings: &[Reading], asked: &[Asked<'_>], now: Instant) -> Vec<Oddity> {
        self.follow_renames(readings);
        self.meet_containers(readings, asked, now);
        self.follow_renewed_ids(readings);
        let mut oddities = Vec::new();
        let edges = Edges::new(asked, now);
        for reading in readings {
            if !self.subjects.contains_key(&reading.subject) {
                let subject = self.first_sight(reading);
                self.subjects.insert(reading.subject.clone(), subject);
            }
            let moved = self.moved_from(reading);
            if let Some(subject) = self.subjects.get_mut(&reading.subject) {
                subject.series = moved.or(subject.series.take());
                subject.absorb(reading, asked, &edges, reading.at, &mut oddities);
            }
        }
        self.forget(asked, now);
        oddities
    }

    /// A device with the same index in the same boot keeps its memory under its new name, also when two swap.
    fn follow_renames(&mut self, readings: &[Reading]) {
        let known = |subject: Option<&Subject>, identity: &Identity| {
            subject.and_then(|s| s.series.as_ref()).is_some_and(|series| series.identity.index == identity.index)
        };
        let devices = readings.iter().filter_map(|r| Some((r, r.identity().filter(|of| of.index.is_some())?)));
        let strangers: Vec<(&Reading, &Identity)> =
            devices.filter(|(r, identity)| !known(self.subjects.get(&r.subject), identity)).collect();
        if strangers.is_empty() {
            return;
        }
        let mut devices = HashMap::new();
        for (name, subject) in &self.subjects {
            if let Some(series) = &subject.series {
                devices.insert((series.identity.boot.clone(), series.identity.index), name.clone());
            }
        }
        let moves: Vec<(String, String)> = strangers
            .iter()
            .filter_map(|(r, identity)| {
                Some((devices.get(&(identity.boot.clone(), identity.index))?.clone(), r.subject.clone()))
            })
            .collect();
        let moved: Vec<(String, Subject)> =
            moves.into_iter().filter_map(|(from, to)| Some((to, self.subjects.remove(&from)?))).collect();
        for (to, mut subject) in moved {
            if let Some(mut displaced) = self.subjects.remove(&to) {
                let track = std::mem::take(&mut displaced.track);
                let last = displaced.series.as_ref().map(|series| series.at);
                self.ended.extend(last.map(|at| Ended { subject: to.clone(), at, track }));
                subject.take_over(displaced);
            }
            self.subjects.insert(to, subject);
        }
    }

    /// A renewed package whose new id was put into the configuration keeps its memory.
    fn follow_renewed_ids(&mut self, readings: &[Reading]) {
        for reading in readings {
            if !matches!(reading.figure, Figure::Package(_)) || self.subjects.contains_key(&reading.subject) {
                continue;
            }
            let before = self.subjects.iter().find(|(_, known)| known.provider_id.as_ref() == Some(&reading.subject));
            let name = before.map(|(name, _)| name.clone());
            if let Some(mut subject) = name.and_then(|name| self.subjects.remove(&name)) {
                (subject.provider_id, subject.doubted_id) = (None, None);
                self.subjects.insert(reading.subject.clone(), subject);
            }
        }
    }

    fn forget(&mut self, asked: &[Asked<'_>], now: Instant) {
        self.subjects.retain(|_, subject| subject.fresh || !subject.forgotten(now));
        self.pools.retain(|_, pool| !pool.forgotten(now));
        for subject in self.subjects.values_mut() {
            subject.tidy(asked, now);
        }
    }
}

impl Subject {
    pub(super) fn absorb(
        &mut self,
        reading: &Reading,
        asked: &[Asked<'_>],
        edges: &Edges,
        now: Instant,
        oddities: &mut Vec<Oddity>,
    ) {
        if let Figure::Guest(figure) = &reading.figure
            && !self.meet(figure, now)
        {
            return;
        }
        let mut delta = self.series.as_ref().map(|last| Delta::between(last, reading, now));
        if let (Some(delta), Some(last)) = (&delta, &self.series) {
            note(reading, last, delta, oddities);
            self.gaps.extend(delta.gap.clone());
        }
        if let Figure::Package(package) = &reading.figure {
            self.identify(package, oddities, &reading.subject);
            // What another package may have used is counted, and nothing is done on it.
            delta.iter_mut().for_each(|delta| delta.flagged |= self.doubted_id.is_some());
        }
        let last = self.series.as_ref().map_or(now, |series| series.at);
        let opened = self.open_missing(asked, Some(reading), delta.as_ref(), now);
        if let Some(delta) = &delta {
            self.advance(delta, asked, now);
            self.track.advance(delta, last, edges);
        }
        self.ledgers.extend(opened);
        let spread = delta.as_ref().map_or(0, |delta| delta.to.since(delta.from).as_secs());
        let spread = u32::try_from(spread).unwrap_or(u32::MAX);
        if let Figure::Package(package) = &reading.figure {
            self.follow(package, spread);
        }
        self.anchor(last, delta.is_none(), spread);
        for ledger in self.ledgers.values_mut() {
            ledger.mark(now);
        }
        self.series = Some(reading.series(self.series.as_ref(), now));
        // The account of a period that has ended says nothing of the one that runs.
        self.fresh = match &reading.figure {
            Figure::Package(package) => package.period.end.is_none_or(|end| now < end),
            Figure::Counter { .. } | Figure::Tally { .. } => true,
            Figure::Guest(_) => self.doubted_guest.is_none(),
        };
    }

    /// Its device is gone: nothing has flowed over it since the last figure, and the next one counts from zero.
    pub(super) fn absorb_gone(&mut self, reading: &Reading, asked: &[Asked<'_>], edges: &Edges, now: Instant) {
        if let Some(series) = &mut self.series {
            series.counters = Counters::default();
        }
        self.absorb(reading, asked, edges, now, &mut Vec::new());
    }

    /// Notes the totals at the start of each period that has begun since the last figure, and where metering began: all
    /// that is known later is told from there, so it is kept for good.
    fn anchor(&mut self, last: Instant, is_first: bool, spread: u32) {
        for ledger in self.ledgers.values().filter(|ledger| ledger.total.is_none()) {
            let begun = ledger.period.start > last && ledger.since == ledger.period.start;
            if begun || is_first {
                self.track.anchor(ledger, spread);
            }
        }
    }

    /// The first ledgers of rules that have none yet.
    pub fn open_missing(
        &mut self,
        asked: &[Asked<'_>],
        reading: Option<&Reading>,
        delta: Option<&Delta>,
        now: Instant,
    ) -> Vec<(String, Box<Ledger>)> {
        let mut opened: Vec<(String, Box<Ledger>)> = Vec::new();
        for ask in asked.iter().filter(|ask| !ask.rule.is_provider() && !self.ledgers.contains_key(ask.key)) {
            let Some(period) = ask.rule.of(self.created()).map(|rule| rule.period(now)) else { continue };
            let mut ledger = self.open(ask, period, reading, delta, now);
            ledger.is_new = ledger.since > period.start && self.track.key != 0;
            if ask.backfill && ledger.since > period.start && period.start > Instant::default() {
                let before = Gap::before(&ledger, ask.key, self, now);
                self.gaps.extend(before);
            }
            opened.push((ask.key.to_owned(), Box::new(ledger)));
        }
        opened
    }

    /// Which id the package has now. One that changes though the period is not new may be another package.
    fn identify(&mut self, package: &Package, oddities: &mut Vec<Oddity>, name: &str) {
        let account = self.account().filter(|known| !package.renews(known.period.start, known.used.tx));
        let same_period = account.map(|known| known.period.start);
        if self.provider_id.as_deref().unwrap_or(name) != package.id {
            self.doubted_id = same_period.filter(|_| package.id != name);
            let (subject, id) = (name.to_owned(), package.id.clone());
            oddities.push(Oddity::Renewed { subject, id, doubted: self.doubted_id.is_some() });
        } else if same_period.is_none() {
            self.doubted_id = None;
        }
        self.provider_id = (package.id != name).then(|| package.id.clone());
    }

    /// The provider's own account needs no deltas: it is what it is. It is kept whatever periods are asked for, since by
    /// it answers are believed or not.
    fn follow(&mut self, package: &Package, spread: u32) {
        let before = self.account().map(|known| known.period.start);
        let start = || Box::new(Ledger::start(package.period, package.period.start));
        let ledger = self.ledgers.entry(Cycle::Provider.name().to_owned()).or_insert_with(start);
        ledger.follow(package);
        if before != Some(ledger.period.start) {
            self.track.anchor(ledger, spread);
        }
        ledger.unsure = if self.doubted_id.is_some() { ledger.used } else { Counters::default() };
    }

    /// The first ledger of a rule. What another rule has metered since the same start is true for this one, too.
    fn open(
        &self,
        ask: &Asked<'_>,
        period: Period,
        reading: Option<&Reading>,
        delta: Option<&Delta>,
        now: Instant,
    ) -> Ledger {
        if let Some((counters, uptime)) = reading.and_then(Reading::since_boot)
            && (ask.since_boot || (ask.backfill && self.series.is_none()))
            && now.minus(uptime) >= period.start
        {
            return Ledger { used: counters, ..Ledger::start(period, now.minus(uptime)) };
        }
        let Some(delta) = delta else { return Ledger::start(period, now) };
        let twin =
            self.ledgers.values().find(|ledger| ledger.period.start == period.start && ledger.since <= delta.from);
        let mut ledger = match twin {
            Some(twin) => Ledger { period, last: None, unasked: None, ..(**twin).clone() },
            None => Ledger::start(period, delta.from),
        };
        ledger.take_share(delta);
        ledger
    }

    /// Moves the ledgers on; those no quota asks for any more go on until their period ends, in case one asks again.
    fn advance(&mut self, delta: &Delta, asked: &[Asked<'_>], now: Instant) {
        let created = self.created();
        for (key, ledger) in &mut self.ledgers {
            if ledger.total.is_some() {
                // The provider's own account.
                continue;
            }
            let ask = asked.iter().find(|ask| ask.key == key);
            if let Some(rule) = ask.and_then(|ask| ask.rule.of(created)) {
                ledger.unasked = None;
                if now < ledger.period.start {
                    ledger.rewind(rule.period(now));
                }
                ledger.absorb(delta, &rule, now);
            } else {
                ledger.unasked.get_or_insert(now);
                ledger.take_share(delta);
            }
        }
    }

    pub(super) fn forgotten(&self, now: Instant) -> bool {
        let unseen = self.series.as_ref().is_some_and(|series| now.since(series.at) > FORGOTTEN);
        unseen && self.ledgers.values().all(|ledger| ledger.period.end.is_none_or(|end| end < now))
    }

    fn tidy(&mut self, asked: &[Asked<'_>], now: Instant) {
        if self.ledgers.len() <= asked.len() {
            return;
        }
        self.ledgers.retain(|_, ledger| match (ledger.unasked, ledger.period.end) {
            (Some(_), Some(end)) => now < end,
            (Some(since), None) => now.since(since) < FORGOTTEN,
            (None, _) => true,
        });
        let ledgers = &self.ledgers;
        self.rows.retain(|_, row| ledgers.contains_key(&row.rule));
    }

    /// Adds what a subject of the same name had used, whose device is gone; what the quotas remember of the name stays.
    fn take_over(&mut self, displaced: Self) {
        for (key, gone) in displaced.ledgers {
            match self.ledgers.get_mut(&key) {
                Some(ledger) if ledger.period == gone.period => {
                    ledger.used = ledger.used.plus(gone.used);
                    ledger.unsure = ledger.unsure.plus(gone.unsure);
                    ledger.flagged = ledger.flagged.plus(gone.flagged);
                    ledger.calibrated.extend(gone.calibrated);
                    ledger.pace.clear();
                }
                Some(_) => {}
                None => drop(self.ledgers.insert(key, gone)),
            }
        }
        self.rows.extend(displaced.rows);
    }
}

fn note(reading: &Reading, last: &Series, delta: &Delta, oddities: &mut Vec<Oddity>) {
    let subject = || reading.subject.clone();
    if reading.identity().is_some_and(|identity| last.identity.is_other(identity, delta.to.since(last.at))) {
        oddities.push(Oddity::Replaced { subject: subject() });
    }
    if let Figure::Counter { counters, .. } = &reading.figure
        && delta.fell
    {
        let narrow = |c: Counters| c.rx.max(c.tx) <= u64::from(u32::MAX);
        let narrow = narrow(last.counters) && narrow(*counters);
        oddities.push(Oddity::Fell { subject: subject(), narrow });
    }
    if delta.flagged {
        oddities.push(Oddity::Implausible { subject: reading.subject.clone(), flow: delta.flow });
    }
}

/// Brings a pool up to date: its ledger of a rule is the sum of its members'.
pub fn sum(pool: &mut Subject, members: &[&Subject], asked: &Asked<'_>, now: Instant) {
    pool.fresh = members.iter().any(|member| member.fresh);
    let of = |member: &&'_ Subject| member.ledgers.get(asked.key).cloned().map(|ledger| (member.fresh, ledger));
    let ledgers: Vec<(bool, Box<Ledger>)> = members.iter().filter_map(of).collect();
    // A member nobody has read since the clock was set back may still be in a period that is to come.
    let latest = ledgers.iter().max_by_key(|(fresh, ledger)| (*fresh, ledger.period.start));
    if let Some((_, latest)) = latest {
        let ledger =
            pool.ledgers.entry(asked.key.to_owned()).or_insert_with(|| Box::new(Ledger::start(latest.period, now)));
        let ledgers: Vec<&Ledger> = ledgers.iter().map(|(_, ledger)| &**ledger).collect();
        if asked.rule.is_provider() {
            // One that has ended says nothing of what is left; the others still do.
            let runs = |ledger: &&&Ledger| ledger.period.end.is_none_or(|end| now < end);
            let running: Vec<&Ledger> = ledgers.iter().filter(runs).copied().collect();
            pool.fresh = running.len() == members.len() && members.iter().all(|member| member.fresh);
            ledger.become_account(if running.is_empty() { &ledgers } else { &running });
            ledger.mark(now);
        } else {
            ledger.become_sum(&ledgers, latest, pool.fresh, now);
        }
    }
    pool.series = members.iter().filter_map(|member| member.series.as_ref()).max_by_key(|series| series.at).cloned();
}

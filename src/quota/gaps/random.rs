//! Random histories of a guest, of which the truth is known to the byte, and what is counted of them.
//!
//! What is counted may be more than the truth only by what a row of the records misplaces: it knows nothing of when in
//! its minute the bytes flowed, and makes a minute of the half of one.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::tests::{at, figure, reading, rule};
use super::*;
use crate::quota::period::{Cycle, Rule};
use crate::quota::records::Span;

const GUEST: &str = "qemu/100";
/// Seconds of a tick: figures of the cluster are so often made anew.
const TICK: i64 = 10;
/// Ticks of a row of the records.
const ROW: usize = 6;
/// Two days, of which the last hour is quiet.
const TICKS: usize = 2 * 8640;
const BUSY: usize = TICKS - 360;
/// The first figure is some ticks after the start.
const FIRST: usize = 100;

type Bytes = [u64; 2];

#[derive(Debug, Clone)]
enum Event {
    /// Off for so many ticks; none: a restart, or a migration.
    Stop(usize),
    /// One of two NICs is plugged in anew.
    Replug(usize),
}

/// So many bytes a tick in each direction over one of two NICs, for some ticks.
type Burst = (usize, usize, usize, Bytes);

/// How a run goes.
#[derive(Debug, Clone)]
struct Look {
    /// Ticks since the last one.
    after: usize,
    /// The figures are those of a tick before.
    lags: bool,
    /// The node is silent: the last figures are told again.
    repeated: bool,
    /// The records answer.
    recorded: bool,
    /// The last row is not there yet.
    behind: bool,
}

/// The guest at the beginning of a tick.
#[derive(Debug, Clone, Copy)]
struct Shown {
    on: bool,
    boot: i64,
    nics: [Bytes; 2],
}

impl Shown {
    fn sum(&self) -> Bytes {
        [self.nics[0][0] + self.nics[1][0], self.nics[0][1] + self.nics[1][1]]
    }
}

struct Truth {
    shown: Vec<Shown>,
    /// What has flowed until the beginning of a tick.
    flowed: Vec<Bytes>,
    /// The rows of the records: bytes per second.
    rows: Vec<Option<[f64; 2]>>,
}

impl Truth {
    fn of(uptime: i64, events: &[(usize, Event)], bursts: &[Burst]) -> Self {
        let mut now = Shown { on: true, boot: -uptime, nics: [[7, 9], [1, 2]] };
        let (mut off_until, mut flowed) = (0, [0, 0]);
        let mut truth = Self { shown: Vec::new(), flowed: Vec::new(), rows: Vec::new() };
        for tick in 0..=TICKS {
            if !now.on && tick >= off_until {
                now = Shown { on: true, boot: tick as i64, nics: [[0; 2]; 2] };
            }
            for (_, event) in events.iter().filter(|(when, _)| *when == tick) {
                match event {
                    Event::Stop(0) if now.on => now = Shown { boot: tick as i64, nics: [[0; 2]; 2], ..now },
                    Event::Stop(ticks) if now.on => {
                        (now, off_until) = (Shown { on: false, boot: 0, nics: [[0; 2]; 2] }, tick + ticks);
                    }
                    Event::Replug(nic) => now.nics[*nic] = [0, 0],
                    Event::Stop(_) => {}
                }
            }
            truth.shown.push(now);
            truth.flowed.push(flowed);
            for (_, _, nic, bytes) in bursts.iter().filter(|(from, ticks, ..)| (*from..from + ticks).contains(&tick)) {
                if now.on && tick < BUSY {
                    for way in 0..2 {
                        now.nics[*nic][way] += bytes[way];
                        flowed[way] += bytes[way];
                    }
                }
            }
        }
        truth.rows = (0..TICKS / ROW).map(|row| truth.row(row)).collect();
        truth
    }

    /// As the cluster records it: nothing of a guest that is off and of counters that fall, and what is known of half a
    /// row is taken for the whole.
    fn row(&self, row: usize) -> Option<[f64; 2]> {
        let average = |way: usize| {
            let known = (row * ROW..row * ROW + ROW).filter_map(|tick| {
                let (before, after) = (&self.shown[tick], &self.shown[tick + 1]);
                let grown = after.sum()[way].checked_sub(before.sum()[way]);
                grown.filter(|_| before.on && after.on)
            });
            let known: Vec<u64> = known.collect();
            let sum = known.iter().sum::<u64>() as f64;
            (known.len() * 2 >= ROW).then(|| sum / (known.len() as i64 * TICK) as f64)
        };
        Some([average(0)?, average(1)?])
    }

    fn recorded(&self, row: usize, way: usize) -> u64 {
        self.rows[row].map_or(0, |rates| (rates[way] * (ROW as f64) * TICK as f64).ceil() as u64)
    }

    fn in_row(&self, row: usize, way: usize) -> u64 {
        self.flowed[row * ROW + ROW][way] - self.flowed[row * ROW][way]
    }

    /// The records as they are at the beginning of a tick.
    fn records(&self, tick: usize, behind: bool) -> Records {
        let rows = (tick / ROW).saturating_sub(usize::from(behind));
        let second = |row: usize| at((row * ROW) as i64 * TICK);
        let span = |row: usize| {
            let [rx, tx] = self.rows[row]?;
            Some(Span { from: second(row), to: second(row + 1), rx, tx })
        };
        Records { spans: (0..rows).filter_map(span).collect(), until: Some(second(rows)) }
    }

    fn rows_about(time: Instant) -> impl Iterator<Item = usize> {
        let row = ((time.millis() - at(0).millis()) / 1000 / TICK / ROW as i64) as usize;
        row.saturating_sub(1)..(row + 2).min(TICKS / ROW)
    }
}

/// What is counted, by day and in all.
struct Books {
    source: SourceState,
    rules: [Rule; 2],
    keys: [String; 2],
    /// Of days before the last one that has ended.
    before: Bytes,
    /// Each gap there ever was.
    gaps: Vec<Gap>,
    fills: u64,
}

impl Books {
    fn new() -> Self {
        let rules = [rule(Cycle::Day), rule(Cycle::Never)];
        let keys = [rules[0].key(), rules[1].key()];
        Self { source: SourceState::default(), rules, keys, before: [0, 0], gaps: Vec::new(), fills: 0 }
    }

    fn closed(&self) -> Option<(Instant, Bytes)> {
        let last = self.source.subjects.get(GUEST)?.ledgers.get(&self.keys[0])?.last.as_ref()?;
        let sum = last.used.plus(last.between);
        Some((last.period.start, [sum.rx, sum.tx]))
    }

    fn look(&mut self, truth: &Truth, tick: usize, shown: &Shown, shown_at: usize, look: &Look) {
        let now = at(tick as i64 * TICK);
        let uptime = if shown.on { ((shown_at as i64 - shown.boot) * TICK) as u64 } else { 0 };
        let [rx, tx] = shown.sum();
        let mut figure = figure((rx, tx), uptime);
        figure.guest.on = shown.on;
        let closed = self.closed();
        let known = self.source.subjects.get(GUEST).map_or(0, |subject| subject.gaps.len());
        let Self { source, rules, keys, .. } = self;
        let asked = [0, 1].map(|at| Asked { rule: &rules[at], key: &keys[at], since_boot: false, backfill: false });
        source.absorb(&[reading(GUEST, figure, now)], &asked, now);
        self.gaps.extend(source.subjects[GUEST].gaps[known..].iter().cloned());
        let needs = source.needs(&asked, now);
        if !needs.is_empty() && look.recorded {
            self.fills += 1;
            source.subjects.get_mut(GUEST).unwrap().fill(&truth.records(tick, look.behind), now);
        }
        match (closed, self.closed()) {
            (Some((then, sum)), Some((now, _))) if then != now => (0..2).for_each(|way| self.before[way] += sum[way]),
            _ => {}
        }
    }

    /// By days, and in all.
    fn counted(&self) -> (Bytes, Bytes) {
        let ledgers = &self.source.subjects[GUEST].ledgers;
        let days = ledgers[&self.keys[0]].used;
        let closed = self.closed().map_or([0, 0], |(_, sum)| sum);
        let days = [self.before[0] + closed[0] + days.rx, self.before[1] + closed[1] + days.tx];
        let all = ledgers[&self.keys[1]].used;
        (days, [all.rx, all.tx])
    }
}

/// What the runs make of it; the tick of the first figure.
fn play(truth: &Truth, looks: &[Look]) -> (Books, usize) {
    let mut books = Books::new();
    let quiet = Look { after: 30, lags: false, repeated: false, recorded: true, behind: false };
    let (mut tick, mut last, mut seen) = (0, FIRST, FIRST);
    books.look(truth, FIRST, &truth.shown[FIRST], FIRST, &quiet);
    tick += FIRST;
    for look in looks {
        tick += look.after;
        if tick > BUSY {
            break;
        }
        let fresh = tick - usize::from(look.lags);
        // For five minutes at the most.
        let again = look.repeated && tick - last <= 30;
        (last, seen) = if again { (last, seen) } else { (tick, fresh.max(seen)) };
        books.look(truth, tick, &truth.shown[seen], seen, look);
    }
    for tick in (BUSY + 60..=TICKS).step_by(30) {
        books.look(truth, tick, &truth.shown[tick], tick, &quiet);
    }
    (books, FIRST)
}

fn events(replugs: u32) -> impl Strategy<Value = Vec<(usize, Event)>> {
    let stop = prop_oneof![Just(0_usize), 1..5_usize, 1..700_usize].prop_map(Event::Stop);
    let replug = (0..2_usize).prop_map(Event::Replug);
    let event = prop_oneof![4 => stop, replugs => replug];
    // Some of them soon after another.
    let when = prop_oneof![3 => FIRST + 1..BUSY, 1 => 4000..4100_usize];
    prop::collection::vec((when, event), 0..10)
}

fn bursts() -> impl Strategy<Value = Vec<Burst>> {
    let bytes = || prop_oneof![0..10_u64, 0..1_000_000_u64];
    let burst = (0..BUSY, prop_oneof![1..60_usize, 1..9000_usize], 0..2_usize, [bytes(), bytes()]);
    prop::collection::vec(burst, 1..20)
}

/// Runs of which so many in ten get an answer from the records.
fn looks(recorded: u32) -> impl Strategy<Value = Vec<Look>> {
    let after = prop_oneof![4 => 6..40_usize, 1 => 1..540_usize];
    let one =
        (after, any::<bool>(), prop::bool::weighted(0.1), (0..10_u32).prop_map(move |of| of < recorded), any::<bool>());
    let look = |(after, lags, repeated, recorded, behind)| Look { after, lags, repeated, recorded, behind };
    prop::collection::vec(one.prop_map(look), 100..800)
}

fn uptimes() -> impl Strategy<Value = i64> {
    prop_oneof![0..20_i64, 0..100_000_i64]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(23), failure_persistence: None, ..Default::default() })]

    #[test]
    fn counters_alone_are_exact_without_restarts(uptime in uptimes(), bursts in bursts(), looks in looks(5)) {
        let truth = Truth::of(uptime, &[], &bursts);
        let (books, first) = play(&truth, &looks);
        let flowed = [0, 1].map(|way| truth.flowed[TICKS][way] - truth.flowed[first][way]);
        prop_assert_eq!(books.counted(), (flowed, flowed));
        prop_assert_eq!(books.gaps, vec![]);
    }

    #[test]
    fn never_more_than_flowed_but_what_a_row_misplaces(
        uptime in uptimes(),
        events in events(2),
        bursts in bursts(),
        looks in prop_oneof![looks(10), looks(7), looks(0)],
    ) {
        let truth = Truth::of(uptime, &events, &bursts);
        let (books, first) = play(&truth, &looks);
        let (days, all) = books.counted();
        for way in 0..2 {
            let flowed = truth.flowed[TICKS][way] - truth.flowed[first][way];
            let made = |row: usize| truth.recorded(row, way).saturating_sub(truth.in_row(row, way));
            let in_gap = |gap: &Gap| -> u64 {
                let of = |time: Instant| (time.millis() - at(0).millis()) as usize / 1000 / TICK as usize / ROW;
                let (from, to) = (of(gap.from), of(gap.to));
                let edges = [from, to, of(gap.to.minus(Duration::from_secs(10)))];
                let edges: HashSet<usize> = edges.into_iter().filter(|row| *row < truth.rows.len()).collect();
                let edges: u64 = edges.into_iter().map(|row| truth.recorded(row, way)).sum();
                edges + (from + 1..to).map(made).sum::<u64>()
            };
            let misplaced: u64 = books.gaps.iter().map(in_gap).sum();
            prop_assert!(all[way] <= flowed + misplaced, "{} of {flowed} and {misplaced}", all[way]);
            // Each part of a gap is rounded down.
            let rounded = 3 * books.fills * (books.gaps.len() as u64 + 1);
            prop_assert!(days[way].abs_diff(all[way]) <= rounded, "{} by days, {} in all", days[way], all[way]);
        }
    }

    #[test]
    fn nothing_is_lost_but_about_a_restart(
        uptime in uptimes(),
        events in events(0),
        bursts in bursts(),
        looks in looks(10),
    ) {
        let truth = Truth::of(uptime, &events, &bursts);
        let (books, first) = play(&truth, &looks);
        let (_, all) = books.counted();
        let ends = books.gaps.iter().flat_map(|gap| [gap.from, gap.to]);
        let ends = ends.chain(events.iter().map(|(tick, _)| at(*tick as i64 * TICK)));
        let off = events.iter().filter_map(|(tick, event)| match event {
            Event::Stop(ticks) => Some(at((tick + ticks) as i64 * TICK)),
            Event::Replug(_) => None,
        });
        let about: HashSet<usize> = ends.chain(off).flat_map(Truth::rows_about).collect();
        for (way, counted) in all.into_iter().enumerate() {
            let flowed = truth.flowed[TICKS][way] - truth.flowed[first][way];
            let lost: u64 = about.iter().map(|row| truth.in_row(*row, way)).sum();
            let rounded = 3 * books.fills;
            prop_assert!(counted + lost + rounded >= flowed, "{counted} of {flowed}, {lost} about restarts");
        }
    }
}

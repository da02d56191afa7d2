//! What a push remembers of the one before, in `push.json`, and what went on in between.
//!
//! Time is that of the uptime, which no correction of the clock moves. A document that is missing or broken makes the
//! next push a first one: nothing but a rate is lost by it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::quota::meter::{Counters, Delta, Reading, Series};
use crate::quota::pulse::Cpu;
use crate::quota::pulse::{self, Load};
use crate::store::file;

/// The document's name.
const NAME: &str = "push.json";
/// Its version.
const VERSION: u32 = 1;

/// What a push saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    version: u32,
    interface: String,
    seen: Series,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
}

/// What went on since the push before; none where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Since {
    /// Bytes per second.
    pub(super) rate: Option<Counters>,
    /// How busy the processors were.
    pub(super) cpu: Option<Load>,
}

impl Memory {
    /// Of what is seen now.
    pub(super) fn of(reading: &Reading, cpu: Option<Cpu>) -> Self {
        let seen = reading.series(None, reading.at);
        Self { version: VERSION, interface: reading.subject.clone(), seen, cpu }
    }

    /// That of the push before. The error says why this is a first one.
    pub(super) fn read(state_dir: &Path) -> Result<Self, String> {
        let path = state_dir.join(NAME);
        let document = file::read(&path).map_err(|error| error.to_string())?;
        let document = document.ok_or_else(|| format!("there is no {} yet", path.display()))?;
        let broken = |why: String| format!("{} is broken: {why}", path.display());
        let memory: Self = serde_json::from_slice(&document).map_err(|error| broken(error.to_string()))?;
        if memory.version == VERSION { Ok(memory) } else { Err(broken(format!("version {}", memory.version))) }
    }

    /// For the next push.
    pub(super) fn save(&self, state_dir: &Path) -> io::Result<()> {
        file::replace(state_dir, NAME, &serde_json::to_vec(self)?)
    }

    /// Whose counters were told.
    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    /// What went on until now. After a restart that is what the counters hold since then, over the uptime. Of an interface
    /// that is another one than before nothing is known, unless it has taken that one's place under the same name.
    pub(super) fn until(&self, reading: &Reading, cpu: Option<Cpu>) -> Since {
        let (Some(identity), Some((_, uptime))) = (reading.identity(), reading.since_boot()) else {
            return Since::default();
        };
        let before = &self.seen.identity;
        let rebooted = before.rebooted(identity, reading.at.since(self.seen.at));
        let same_place =
            self.interface == reading.subject || (before.index.is_some() && before.index == identity.index);
        let lasted = if rebooted { Some(uptime) } else { before.uptime.map(|before| uptime.saturating_sub(before)) };
        let flow = || Delta::between(&self.seen, reading, reading.at).flow;
        let rate = lasted.filter(|_| rebooted || same_place).and_then(|lasted| pulse::mean(flow(), lasted));
        let since_boot = || Some(Cpu::default());
        let load = || cpu?.since(&if rebooted { since_boot() } else { self.cpu }?);
        Since { rate, cpu: load() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::quota::instant::Instant;
    use crate::quota::meter::{Figure, Identity};

    /// `eth0` of index 2 in boot `a`, an hour up at ten o'clock.
    fn reading(rx: u64, tx: u64) -> Reading {
        let identity =
            Identity { boot: Some("a".into()), uptime: Some(Duration::from_secs(3600)), index: Some(2), epoch: None };
        let figure = Figure::Counter { counters: Counters { rx, tx }, identity, link_speed: None };
        Reading { subject: "eth0".into(), at: Instant::parse("2026-11-21T10:00:00Z").unwrap(), figure }
    }

    fn changed(reading: &Reading, change: impl Fn(&mut Identity)) -> Reading {
        let mut reading = reading.clone();
        let Figure::Counter { identity, .. } = &mut reading.figure else { panic!("a counter") };
        change(identity);
        reading
    }

    /// Later by so many seconds, by both clocks.
    fn later(seconds: u64, reading: &Reading) -> Reading {
        let by = Duration::from_secs(seconds);
        let reading = changed(reading, |identity| identity.uptime = identity.uptime.map(|uptime| uptime + by));
        Reading { at: reading.at.plus(by), ..reading }
    }

    fn since(before: &Reading, after: &Reading) -> Since {
        let cpu = |busy, total| Some(Cpu { busy, total });
        Memory::of(before, cpu(100, 1000)).until(after, cpu(150, 1200))
    }

    fn rate(before: &Reading, after: &Reading) -> Option<(u64, u64)> {
        since(before, after).rate.map(|rate| (rate.rx, rate.tx))
    }

    #[test]
    fn rates_are_means_over_the_uptime_in_between() {
        let before = reading(1000, 2000);
        let after = later(60, &reading(61_000, 2119));
        assert_eq!(since(&before, &after), Since { rate: Some(Counters { rx: 1000, tx: 1 }), cpu: Some(Load(2500)) });
        for clock in ["2026-11-21T09:00:00Z", "2038-01-19T03:14:07Z", "1970-01-01T00:00:00Z"] {
            let jumped = Reading { at: Instant::parse(clock).unwrap(), ..after.clone() };
            assert_eq!(rate(&before, &jumped), Some((1000, 1)), "{clock}");
        }
        assert_eq!(rate(&before, &before), None, "no time in between");
    }

    #[test]
    fn after_a_restart_it_is_what_the_counters_hold_over_the_uptime() {
        let before = reading(1_000_000, 2_000_000);
        let boot = |id: &str, up: u64| {
            let id = Some(id.to_owned());
            let now = later(300, &reading(40_000, 4_000_000));
            changed(&now, |identity| (identity.boot, identity.uptime) = (id.clone(), Some(Duration::from_secs(up))))
        };
        assert_eq!(rate(&before, &boot("b", 40)), Some((1000, 100_000)));
        assert_eq!(since(&before, &boot("b", 40)).cpu, Some(Load(1250)), "the ticks since the boot");
        assert_eq!(rate(&before, &boot("a", 40)), Some((1000, 100_000)), "the uptime fell");
        assert_eq!(rate(&before, &boot("b", 3900)), Some((133, 6666)), "another id alone is no restart");
        let moved = Reading { subject: "ens3".into(), ..changed(&boot("b", 40), |identity| identity.index = Some(7)) };
        assert_eq!(rate(&before, &moved), Some((1000, 100_000)), "since the boot it is the same whatever its name");
    }

    #[test]
    fn a_counter_that_fell_counts_from_zero() {
        assert_eq!(rate(&reading(1000, 2000), &later(10, &reading(500, 2100))), Some((50, 10)));
        assert_eq!(rate(&reading(u64::MAX, 0), &later(10, &reading(0, u64::MAX))), Some((0, u64::MAX / 10)));
    }

    #[test]
    fn interfaces_are_told_apart() {
        let before = reading(1000, 2000);
        let after = later(10, &reading(2000, 2100));
        let renamed = Reading { subject: "wan".into(), ..after.clone() };
        assert_eq!(rate(&before, &renamed), Some((100, 10)));
        let other = changed(&renamed, |identity| identity.index = Some(3));
        assert_eq!(rate(&before, &other), None);
        assert_eq!(since(&before, &other).cpu, Some(Load(2500)), "the processors are the same");
        let replaced = changed(&after, |identity| identity.index = Some(3));
        assert_eq!(rate(&before, &replaced), Some((200, 210)), "all it holds flowed since then");
        let unknown = |reading: &Reading| changed(reading, |identity| identity.index = None);
        assert_eq!(rate(&unknown(&before), &unknown(&renamed)), None);
    }

    #[test]
    fn what_was_not_known_before_is_not_known_now() {
        let (before, after) = (reading(1, 1), later(10, &reading(2, 2)));
        let cpu = Some(Cpu { busy: 1, total: 2 });
        for (known, now) in [(cpu, None), (None, cpu), (None, None)] {
            assert_eq!(Memory::of(&before, known).until(&after, now).cpu, None);
        }
        let timeless = changed(&before, |identity| identity.uptime = None);
        assert_eq!(rate(&timeless, &after), None);
        assert_eq!(since(&before, &changed(&after, |identity| identity.uptime = None)), Since::default());
    }

    #[test]
    fn what_is_saved_is_read_and_broken_documents_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Memory::read(dir.path());
        assert!(read().unwrap_err().contains("there is no "));
        let memory = Memory::of(&reading(1, u64::MAX), Some(Cpu { busy: 1, total: 2 }));
        memory.save(dir.path()).unwrap();
        assert_eq!(read(), Ok(memory.clone()));
        let whole = serde_json::to_string(&memory).unwrap();
        for (text, why) in [
            ("", "EOF"),
            (&whole[..whole.len() / 2], "EOF"),
            ("[1]", "invalid"),
            (&whole.replace("\"version\":1", "\"version\":2"), "version 2"),
            (&whole.replace("\"rx\":1", "\"rx\":-1"), "-1"),
        ] {
            file::replace(dir.path(), NAME, text.as_bytes()).unwrap();
            let told = read().unwrap_err();
            assert!(told.contains("push.json is broken: ") && told.contains(why), "{told}");
        }
    }
}

//! What the hub knows of a node: its last report, and what tells it from an earlier or another one's.
//!
//! Invariant: a record never goes back. A report that was held up on its way, or one of a second machine under the same
//! name, would look like a restart, and all its counters hold would be counted once more; so what is of an earlier look
//! at the counters changes nothing.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::report::{Counted, Metrics, Report, Unknown, VERSION};
use crate::quota::instant::Instant;
use crate::quota::meter::Counters;
use crate::quota::pulse::{Load, Pulse};

/// What a node said last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format's version.
    pub version: u32,
    /// The node's name.
    pub hostname: String,
    /// When it came in, by the hub's clock.
    pub received: Instant,
    /// When it was sent, by the node's clock, in seconds since 1970.
    pub timestamp: i64,
    /// What it said.
    pub metrics: Metrics,
    /// What it had counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// How many reports in a row, this one the last, told of no traffic at all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub idle: u32,
    /// Boots before the one it tells of, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boots: Vec<String>,
    /// When a report of another machine came in last: two may have the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubled: Option<Instant>,
    /// How often the counters were others than before: of another machine or interface. What others hold when they are
    /// first seen has not flowed since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u32,
}

/// Boots that are remembered.
const BOOTS: usize = 8;
/// In bytes per second: no server's link carries more than 100 Gbit/s.
const PLAUSIBLE: u64 = 12_500_000_000;

/// A machine that was heard of within this time is not given up for another one of its name.
const RECENT: Duration = Duration::from_secs(600);
/// What two clocks, and the way of a report, may make a difference of.
const SLACK: Duration = Duration::from_secs(300);

/// What a report is to the record of its node.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// It takes the last one's place.
    Newer(Record),
    /// It is of an earlier look at the same counters: held up on its way, it changes nothing.
    Older,
    /// It is of an earlier boot, or of another machine: the node's record, with that noted.
    Foreign(Record),
}

impl Record {
    /// What comes of a report that is received at `now`.
    pub fn follow(previous: Option<&Self>, report: Report, now: Instant) -> News {
        let counted = report.netquota.filter(|counted| counted.version <= VERSION);
        let idle = report.metrics.network_in_bps == 0 && report.metrics.network_out_bps == 0;
        let knows_rates = !counted.as_ref().is_some_and(|counted| counted.unknown.contains(&Unknown::Rates));
        let idle = idle && knows_rates;
        let record = Self {
            version: 1,
            hostname: report.hostname,
            received: now,
            timestamp: report.timestamp,
            metrics: report.metrics,
            idle: if idle { previous.map_or(0, |previous| previous.idle).saturating_add(1) } else { 0 },
            boots: previous.map(|previous| previous.boots.clone()).unwrap_or_default(),
            doubled: previous.and_then(|previous| previous.doubled),
            epoch: previous.map_or(0, |previous| previous.epoch),
            counted,
        };
        let Some(previous) = previous else { return News::Newer(record) };
        match (&previous.counted, &record.counted) {
            (Some(known), Some(new)) => match Turn::of(previous, known, &record, new) {
                Turn::On => News::Newer(record),
                Turn::Late => News::Older,
                Turn::Anew => News::Newer(record.after_boot(known)),
                Turn::Other if now.since(previous.received) < RECENT => {
                    News::Foreign(Self { doubled: Some(now), ..previous.clone() })
                }
                Turn::Other => News::Newer(Self { epoch: previous.epoch + 1, ..record.after_boot(known) }),
                Turn::Interface => News::Newer(Self { epoch: previous.epoch + 1, ..record }),
            },
            // Without counters there is nothing to count twice.
            _ => News::Newer(record),
        }
    }

    /// The same, with the boot before remembered, where it was another one.
    fn after_boot(mut self, before: &Counted) -> Self {
        let boot = self.counted.as_ref().and_then(|counted| counted.boot_id.clone());
        self.boots.retain(|known| Some(known) != boot.as_ref());
        if let Some(known) = before.boot_id.clone().filter(|known| Some(known) != boot.as_ref()) {
            self.boots.insert(0, known);
            self.boots.truncate(BOOTS);
        }
        self
    }

    /// What the node was doing. A client's first report tells of no traffic, since it has nothing to compare with: that is
    /// believed from the second in a row.
    pub fn pulse(&self) -> Pulse {
        let Metrics { cpu_percent, memory_used, memory_total, network_in_bps: rx, network_out_bps: tx, .. } =
            self.metrics;
        let unknown = |what| self.counted.as_ref().is_some_and(|counted| counted.unknown.contains(&what));
        let known = self.idle != 1 && rx.max(tx) <= PLAUSIBLE && !unknown(Unknown::Rates);
        Pulse {
            rate: known.then_some(Counters { rx, tx }),
            cpu: Load::percent(cpu_percent).filter(|_| !unknown(Unknown::Cpu)),
            memory: Load::share(memory_used, memory_total),
            ..Pulse::at(self.received)
        }
    }
}

/// How a node's counters have gone on since its last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// They have.
    On,
    /// The report is of an earlier look, and was held up on its way.
    Late,
    /// The machine was started anew.
    Anew,
    /// It is another interface of the same machine.
    Interface,
    /// It cannot be the same machine, or it was set back to an earlier state.
    Other,
}

impl Turn {
    fn of(previous: &Record, known: &Counted, record: &Record, new: &Counted) -> Self {
        let seconds = record.timestamp.saturating_sub(previous.timestamp);
        let by_node = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        // Either clock may have been set since.
        let passed = record.received.since(previous.received).max(by_node).saturating_add(SLACK);
        let up = |counted: &Counted| Duration::from_millis(counted.uptime_ms);
        let (before, after) = (up(known), up(new));
        let same_boot = known.boot_id == new.boot_id;
        if same_boot && after >= before && after - before <= passed {
            return if known.interface == new.interface { Self::On } else { Self::Interface };
        }
        if same_boot && after < before && seconds <= 0 {
            return Self::Late;
        }
        let is_earlier = new.boot_id.as_ref().is_some_and(|boot| previous.boots.contains(boot));
        if after <= passed && !is_earlier { Self::Anew } else { Self::Other }
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Characters that stand for themselves in the name of a file on every system.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// The longest name of a file that is made of a node's name.
const LONGEST_FILE: usize = 200;
/// What the names of records end with.
const ENDING: &str = ".json";

/// The name of the file of a node's record: its own with what is not plain encoded, or its digest where that is too long.
/// No two nodes have the same, and none leads out of the folder.
pub fn file_name(hostname: &str) -> String {
    let mut name = utf8_percent_encode(hostname, PLAIN).to_string();
    if name.starts_with('.') {
        name.replace_range(..1, "%2E");
    }
    if name.len() > LONGEST_FILE {
        let digest = Sha256::digest(hostname.as_bytes());
        name = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "~";
    }
    name + ENDING
}

/// Whether a file of the spool is a record, and not one that is being written.
pub fn is_record(file: &str) -> bool {
    file.ends_with(ENDING) && !file.starts_with('.')
}

/// The record in a file.
///
/// # Errors
///
/// Says why it is none.
pub fn read(document: &[u8]) -> Result<Record, String> {
    let record: Record = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    if record.version == 1 { Ok(record) } else { Err(format!("version {} is not known", record.version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::default().plus(Duration::from_secs(seconds as u64))
    }

    fn report(boot: Option<&str>, uptime_ms: u64, rates: (u64, u64)) -> Report {
        let counted = boot.map(|boot| Counted {
            version: VERSION,
            interface: "eth0".into(),
            rx_bytes: uptime_ms,
            tx_bytes: uptime_ms,
            boot_id: Some(boot.into()),
            uptime_ms,
            index: Some(2),
            link_speed: None,
            unknown: Vec::new(),
        });
        let metrics = Metrics {
            cpu_percent: 1.0,
            memory_used: 1,
            memory_total: 4,
            network_in_bps: rates.0,
            network_out_bps: rates.1,
            uptime_seconds: 0,
        };
        Report { password: "p".into(), hostname: "n".into(), timestamp: 5, metrics, netquota: counted }
    }

    fn newer(previous: Option<&Record>, report: Report, now: i64) -> Record {
        match Record::follow(previous, report, at(now)) {
            News::Newer(record) => record,
            other => panic!("{other:?}"),
        }
    }

    fn refused(previous: &Record, report: Report, now: i64) -> Record {
        match Record::follow(Some(previous), report, at(now)) {
            News::Foreign(noted) => noted,
            other => panic!("{other:?}"),
        }
    }

    /// As [`report`], sent at that second of the node's clock.
    fn sent(second: i64, boot: &str, uptime: u64) -> Report {
        Report { timestamp: second, ..report(Some(boot), uptime * 1000, (1, 1)) }
    }

    const DAY: i64 = 86_400;

    #[test]
    fn records_go_forward_only() {
        let first = newer(None, sent(100, "a", 5000), 100);
        assert_eq!(Record::follow(Some(&first), sent(99, "a", 4999), at(101)), News::Older);
        let again = newer(Some(&first), sent(100, "a", 5000), 103);
        assert_eq!(again.received, at(103), "the same once more is a sign of life");
        let rebooted = newer(Some(&again), sent(160, "b", 10), 160);
        assert_eq!((&rebooted.boots[..], rebooted.epoch), (&["a".to_owned()][..], 0));
        let noted = refused(&rebooted, sent(101, "a", 5001), 165);
        assert_eq!(noted, Record { doubled: Some(at(165)), ..rebooted });
    }

    #[test]
    fn a_container_is_started_anew_in_the_same_boot() {
        let first = newer(None, sent(100, "a", 30 * 86_400), 100);
        let anew = newer(Some(&first), sent(160, "a", 20), 160);
        assert_eq!((anew.epoch, anew.boots.len()), (0, 0), "its uptime fell: what it holds counts");
    }

    #[test]
    fn another_machine_of_the_name_is_refused_while_the_known_one_reports() {
        let known = newer(None, sent(100, "a", 5000), 100);
        for other in [sent(160, "b", 40 * 86_400), sent(160, "a", 40 * 86_400), sent(160, "a", 4000)] {
            let noted = refused(&known, other, 160);
            assert_eq!(noted, Record { doubled: Some(at(160)), ..known.clone() });
        }
        let other = newer(Some(&known), sent(700, "b", 40 * 86_400), 700);
        assert_eq!((other.epoch, &other.boots[..]), (1, &["a".to_owned()][..]), "nothing that it holds is counted");
        // A clone that came and went takes nobody's name for good.
        let back = newer(Some(&other), sent(1400, "a", 6300), 1400);
        assert_eq!((back.epoch, &back.boots[..]), (2, &["b".to_owned()][..]));
    }

    #[test]
    fn a_machine_set_back_to_an_earlier_state_goes_on_from_there() {
        let known = newer(None, sent(10 * DAY, "a", 9 * 86_400), 10 * DAY);
        let back = sent(10 * DAY + 60, "a", 2 * 86_400);
        refused(&known, back.clone(), 10 * DAY + 60);
        assert_eq!(newer(Some(&known), back, 10 * DAY + 660).epoch, 1);
    }

    #[test]
    fn another_interface_begins_anew() {
        let known = newer(None, sent(100, "a", 5000), 100);
        let mut other = sent(160, "a", 5060);
        other.netquota.iter_mut().for_each(|counted| counted.interface = "eth1".into());
        assert_eq!(newer(Some(&known), other, 160).epoch, 1);
    }

    #[test]
    fn who_was_away_for_long_goes_on() {
        let known = newer(None, sent(100, "a", 5000), 100);
        assert_eq!(newer(Some(&known), sent(100 + DAY, "a", 5000 + 86_400), 100 + DAY).epoch, 0);
        // The hub's clock was set back by an hour, or the node's by a day.
        assert_eq!(newer(Some(&known), sent(160, "a", 5060), 0).epoch, 0);
        assert_eq!(newer(Some(&known), sent(100 - DAY, "a", 5060), 160).epoch, 0);
    }

    #[test]
    fn few_boots_are_remembered() {
        let mut record = newer(None, sent(0, "0", 1), 0);
        for boot in 1..20 {
            record = newer(Some(&record), sent(boot * 60, &boot.to_string(), 1), boot * 60);
        }
        assert_eq!(record.boots.len(), BOOTS);
        assert_eq!(record.boots[0], "18");
    }

    #[test]
    fn what_is_not_known_is_not_nothing() {
        let mut unknown = sent(1, "a", 10);
        unknown.metrics.network_in_bps = 0;
        unknown.metrics.network_out_bps = 0;
        unknown.netquota.iter_mut().for_each(|counted| counted.unknown = vec![Unknown::Rates, Unknown::Cpu]);
        let first = newer(None, unknown.clone(), 1);
        let second = newer(Some(&first), unknown, 2);
        assert_eq!((second.pulse().rate, second.pulse().cpu, second.idle), (None, None, 0));
        assert_eq!(second.pulse().memory, Some(Load(2500)));
    }

    #[test]
    fn no_traffic_is_believed_the_second_time() {
        let first = newer(None, report(None, 0, (0, 0)), 1);
        assert_eq!(first.pulse().rate, None);
        let second = newer(Some(&first), report(None, 0, (0, 0)), 2);
        assert_eq!(second.pulse().rate, Some(Counters::default()));
        let third = newer(Some(&second), report(None, 0, (5, 6)), 3);
        assert_eq!(third.pulse().rate, Some(Counters { rx: 5, tx: 6 }));
        assert_eq!(newer(Some(&third), report(None, 0, (0, 0)), 4).pulse().rate, None, "its client was restarted");
    }

    #[test]
    fn rates_that_no_link_carries_are_unknown() {
        let record = newer(None, report(None, 0, (u64::MAX, 1)), 1);
        assert_eq!(record.pulse().rate, None);
        assert_eq!(record.pulse().memory, Some(Load(2500)));
    }

    #[test]
    fn files_are_told_apart_and_stay_in_the_folder() {
        assert_eq!(file_name("hk-1.example"), "hk-1.example.json");
        assert_eq!(file_name("../x"), "%2E.%2Fx.json");
        assert_eq!(file_name("节"), "%E8%8A%82.json");
        let long = [file_name(&"x".repeat(253)), file_name(&"y".repeat(253))];
        assert!(long[0] != long[1] && long.iter().all(|name| name.len() < 255), "{long:?}");
        assert!(is_record(&long[0]) && !is_record(".hk.json.tmp") && !is_record(".x.json") && !is_record("x"));
    }

    #[test]
    fn what_is_written_is_read() {
        let record = newer(None, report(Some("a"), 1000, (1, 1)), 1);
        let document = serde_json::to_vec(&record).unwrap();
        assert_eq!(read(&document), Ok(record));
        assert!(read(&document[..document.len() / 2]).is_err());
        assert!(read(br#"{"version":2}"#).is_err());
    }
}

//! Time zones: the only place that uses jiff, since `time` knows offsets but not when they change.
//!
//! Every instant has exactly one local time and every local time exactly one instant, and a later local time never
//! gives an earlier instant. Nothing here fails: what lies outside the years 1 to 9999 is moved to their edge.

use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase, db};
use jiff::{Timestamp, civil};
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::instant::Instant;

/// The first instant handled as it is: 0001-01-01T00:00:00Z. RFC 3339 cannot write an earlier year.
pub(super) const FIRST: Instant = Instant::from_millis(-62_135_596_800_000);

/// The last instant handled as it is: 9999-12-01T00:00:00Z. A month before the calendar's end, so that neither an
/// offset nor a gap leads out of it.
pub(super) const LAST: Instant = Instant::from_millis(253_399_622_400_000);

/// The rules of one place for its offset from UTC. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Zone {
    zone: TimeZone,
}

impl Zone {
    /// UTC, which every machine knows.
    pub fn utc() -> Self {
        Self { zone: TimeZone::UTC }
    }

    /// The zone of an IANA name, in any case. The machine's database comes first, as it may be newer; the bundled one
    /// knows what a minimal installation leaves out. None when neither knows the name.
    pub fn named(name: &str) -> Option<Self> {
        let zone = db().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).ok()?;
        // jiff's name for "no zone found", which is none of IANA's.
        (!zone.is_unknown()).then_some(Self { zone })
    }

    /// The zone described by a compiled zone file (TZif), such as an `/etc/localtime` that is a copy and no link.
    /// None when `data` is not such a file or `name` is empty.
    pub fn from_tzif(name: &str, data: &[u8]) -> Option<Self> {
        if name.is_empty() {
            return None;
        }
        Some(Self { zone: TimeZone::tzif(name, data).ok()? })
    }

    /// The name as IANA writes it, or as it was given with the zone file.
    pub fn name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The offset from UTC in force at an instant.
    pub fn offset(&self, at: Instant) -> UtcOffset {
        let at = Timestamp::from_millisecond(at.clamp(FIRST, LAST).millis()).unwrap_or(Timestamp::UNIX_EPOCH);
        utc_offset(self.zone.to_offset(at))
    }

    /// The local date and time of an instant.
    pub fn local(&self, at: Instant) -> OffsetDateTime {
        at.clamp(FIRST, LAST).at_offset(self.offset(at))
    }

    /// The instant of a local date and time: the first one when it exists twice, the first after the gap when it does
    /// not exist. In other words: the earliest instant whose local time is not before `local`.
    pub fn instant(&self, local: PrimitiveDateTime) -> Instant {
        let Some(civil) = civil_of(local) else { return FIRST };
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => at_offset(local, offset),
            AmbiguousOffset::Fold { before, .. } => at_offset(local, before),
            AmbiguousOffset::Gap { before, .. } => self.gap_end(at_offset(local, before)),
        }
    }

    /// The moment of the latest change of offset up to `after`, an instant right after a gap.
    fn gap_end(&self, after: Instant) -> Instant {
        // jiff looks strictly before the given time.
        let Ok(until) = Timestamp::from_millisecond(after.millis().saturating_add(1)) else { return after };
        let change = self.zone.preceding(until).next();
        change.map_or(after, |change| Instant::from_millis(change.timestamp().as_millisecond()))
    }
}

/// The names of the known zones, to find the one nearest to a mistyped name.
pub fn names() -> Vec<String> {
    let real = |name: &String| !name.starts_with("posix") && !name.starts_with("right/") && name != "localtime";
    db().available().map(|name| name.as_str().to_owned()).filter(real).collect()
}

fn utc_offset(offset: jiff::tz::Offset) -> UtcOffset {
    UtcOffset::from_whole_seconds(offset.seconds()).unwrap_or(UtcOffset::UTC)
}

/// The same date and time in jiff's type.
fn civil_of(local: PrimitiveDateTime) -> Option<civil::DateTime> {
    let (year, month, day) = local.date().to_calendar_date();
    let (hour, minute, second) = local.time().as_hms();
    let part = |value: u8| i8::try_from(value).ok();
    let (month, day) = (part(month.into())?, part(day)?);
    civil::DateTime::new(i16::try_from(year).ok()?, month, day, part(hour)?, part(minute)?, part(second)?, 0).ok()
}

fn at_offset(local: PrimitiveDateTime, offset: jiff::tz::Offset) -> Instant {
    let at = local.assume_offset(utc_offset(offset));
    Instant::from_millis(at.unix_timestamp() * 1000 + i64::from(at.millisecond()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn zone(name: &str) -> Zone {
        Zone::named(name).unwrap()
    }

    #[test]
    fn names_are_ianas() {
        assert_eq!(zone("Asia/Shanghai").name(), "Asia/Shanghai");
        assert_eq!(zone("europe/berlin").name(), "Europe/Berlin");
        assert_eq!(zone("utc").name(), "UTC");
        assert_eq!(Zone::utc().name(), "UTC");
        for unknown in ["", "Asia/Shangha", "Etc/Unknown", "../../etc/localtime", "Asia/", "+08:00"] {
            assert!(Zone::named(unknown).is_none(), "{unknown:?}");
        }
    }

    #[test]
    fn every_listed_name_is_a_zone_and_common_ones_are_listed() {
        let names = names();
        assert!(names.iter().all(|name| Zone::named(name).is_some()));
        for name in ["Asia/Shanghai", "Europe/Berlin", "America/New_York"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        assert!(!names.iter().any(|name| name.starts_with("posix/") || name == "localtime"));
    }

    #[test]
    fn a_zone_file_is_a_zone() {
        // RFC 8536: an empty version-1 block, an empty version-2 block with one type, and the footer.
        let header = |types: u8, chars: u8| [b"TZif2".as_slice(), &[0; 34], &[types, 0, 0, 0, chars]].concat();
        let block = b"\0\0\x70\x80\0\0CST\0".to_vec();
        let data = [header(1, 4), block.clone(), header(1, 4), block, b"\nCST-8\n".to_vec()].concat();
        let zone = Zone::from_tzif("Local", &data).unwrap();
        assert_eq!(zone.name(), "Local");
        assert_eq!(zone.offset(at("2026-01-01T00:00:00Z")).whole_hours(), 8);
        assert!(Zone::from_tzif("", &data).is_none());
        assert!(Zone::from_tzif("Local", b"TZif").is_none());
        assert!(Zone::from_tzif("Local", b"").is_none());
    }

    #[test]
    fn an_instant_has_its_local_time() {
        let noon = at("2026-07-01T12:00:00.250Z");
        assert_eq!(zone("Asia/Kathmandu").local(noon), datetime!(2026-07-01 17:45:00.250 +5:45));
        assert_eq!(zone("Europe/Berlin").local(noon), datetime!(2026-07-01 14:00:00.250 +2));
        assert_eq!(zone("Asia/Shanghai").instant(datetime!(2026-07-01 20:00:00.250)), noon);
    }

    #[test]
    fn a_local_time_that_does_not_exist_is_the_end_of_the_gap() {
        let berlin = zone("Europe/Berlin");
        for local in [datetime!(2026-03-29 2:00), datetime!(2026-03-29 2:30), datetime!(2026-03-29 2:59:59.999)] {
            assert_eq!(berlin.instant(local), at("2026-03-29T03:00:00+02:00"), "{local}");
        }
        assert_eq!(berlin.instant(datetime!(2026-03-29 1:59:59.999)), at("2026-03-29T01:59:59.999+01:00"));
        assert_eq!(berlin.instant(datetime!(2026-03-29 3:00)), at("2026-03-29T03:00:00+02:00"));
        // Midnight did not exist.
        let sao_paulo = zone("America/Sao_Paulo");
        assert_eq!(sao_paulo.instant(datetime!(2018-11-04 0:00)), at("2018-11-04T01:00:00-02:00"));
        // A whole day did not exist.
        let apia = zone("Pacific/Apia");
        assert_eq!(apia.instant(datetime!(2011-12-30 0:00)), at("2011-12-31T00:00:00+14:00"));
        assert_eq!(apia.instant(datetime!(2011-12-30 23:59)), at("2011-12-31T00:00:00+14:00"));
    }

    #[test]
    fn a_local_time_that_exists_twice_is_the_first() {
        let berlin = zone("Europe/Berlin");
        assert_eq!(berlin.instant(datetime!(2026-10-25 2:00)), at("2026-10-25T02:00:00+02:00"));
        assert_eq!(berlin.instant(datetime!(2026-10-25 2:59)), at("2026-10-25T02:59:00+02:00"));
        assert_eq!(berlin.instant(datetime!(2026-10-25 3:00)), at("2026-10-25T03:00:00+01:00"));
    }

    /// The defining property, at every change of offset of every zone: the instant is the earliest whose local time
    /// is not before the asked one.
    #[test]
    fn the_instant_is_the_earliest_not_before_the_local_time() {
        for name in ["Australia/Lord_Howe", "Africa/Cairo", "America/St_Johns", "Pacific/Apia", "Africa/Casablanca"] {
            let zone = zone(name);
            let from = Timestamp::from_second(0).unwrap();
            for change in zone.zone.following(from).take(100) {
                let change = Instant::from_millis(change.timestamp().as_millisecond());
                for minutes in (-180..=180).step_by(15) {
                    let near = Instant::from_millis(change.millis() + minutes * 60_000);
                    let local = zone.local(near);
                    let local = PrimitiveDateTime::new(local.date(), local.time());
                    let found = zone.instant(local);
                    assert!(found <= near && zone.local(found).replace_offset(UtcOffset::UTC) >= local.assume_utc());
                    let before = zone.local(Instant::from_millis(found.millis() - 1));
                    assert!(PrimitiveDateTime::new(before.date(), before.time()) < local, "{zone:?} {local}");
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_calendar_are_safe() {
        for name in ["UTC", "Asia/Shanghai", "America/New_York", "Pacific/Apia", "Asia/Manila"] {
            let zone = zone(name);
            for millis in [i64::MIN, i64::MAX, FIRST.millis() - 1, LAST.millis() + 1, 0] {
                zone.local(Instant::from_millis(millis));
            }
            assert!(zone.instant(PrimitiveDateTime::MIN) < FIRST);
            assert!(zone.instant(PrimitiveDateTime::MAX) > LAST);
        }
        assert_eq!(FIRST, at("0001-01-01T00:00:00Z"));
        assert_eq!(LAST, at("9999-12-01T00:00:00Z"));
    }
}

//! How values are kept in columns: the same in every kind of store.

use super::{Failure, Total};
use crate::quota::event::{Kind, Outcome};

/// In the column of the spread: what flowed since the row before was deleted.
const HOLE: i64 = -1;

/// The column of the spread; NULL is the usual one, and takes no space.
pub fn spread(total: &Total) -> Option<i64> {
    match (total.hole, total.spread) {
        (true, _) => Some(HOLE),
        (false, 0) => None,
        (false, seconds) => Some(i64::from(seconds)),
    }
}

/// A total from its columns.
pub fn total(rx: i64, tx: i64, spread: Option<i64>) -> Total {
    let seconds = u32::try_from(spread.unwrap_or(0)).unwrap_or(0);
    Total { rx, tx, spread: seconds, hole: spread == Some(HOLE) }
}

/// A key or a number as the bits of a signed one.
pub fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// The other way round.
pub fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// The kind of an event from its name.
pub fn kind(name: &str) -> Result<Kind, Failure> {
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| Failure { text: format!("an event is of an unknown kind {name:?}") })
}

/// The outcome of an event from its name.
pub fn outcome(name: &str) -> Result<Outcome, Failure> {
    let found = Outcome::ALL.into_iter().find(|outcome| outcome.name() == name);
    found.ok_or_else(|| Failure { text: format!("an event has an unknown outcome {name:?}") })
}

/// What is said of a store whose tables this program does not know.
pub fn newer(version: i64, known: usize) -> Failure {
    let text = format!("the store was written by a newer netquota (schema {version}; this one knows {known})");
    Failure { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_come_back() {
        for (spread_of, hole, column) in [(0, false, None), (1, false, Some(1)), (u32::MAX, false, Some(4_294_967_295))]
        {
            let of = Total { rx: -5, tx: i64::MAX, spread: spread_of, hole };
            assert_eq!(spread(&of), column);
            assert_eq!(total(of.rx, of.tx, column), of);
        }
        let hole = Total { hole: true, ..Total::default() };
        assert_eq!(total(0, 0, spread(&hole)), hole);
        assert_eq!(unsigned(signed(u64::MAX)), u64::MAX);
    }

    #[test]
    fn names_come_back() {
        for known in Kind::ALL {
            assert_eq!(kind(known.name()), Ok(known));
        }
        for known in Outcome::ALL {
            assert_eq!(outcome(known.name()), Ok(known));
        }
        assert_eq!(kind("party").unwrap_err().text, "an event is of an unknown kind \"party\"");
        assert_eq!(outcome("").unwrap_err().text, "an event has an unknown outcome \"\"");
    }
}

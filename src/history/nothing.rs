//! The store of a machine that has written none yet: there is nothing in it.

use super::{Archive, Batch, Failure, Instance, Known, Logged, Prune, Pruned, Row, Side};
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// A store without anything, which keeps nothing.
pub struct Nothing;

impl Archive for Nothing {
    fn write(&mut self, _: &Batch) -> Result<(), Failure> {
        Ok(())
    }

    fn instances(&mut self) -> Result<Vec<Instance>, Failure> {
        Ok(Vec::new())
    }

    fn subjects(&mut self, _: Option<&str>) -> Result<Vec<Known>, Failure> {
        Ok(Vec::new())
    }

    fn rows(&mut self, _: Option<&[i64]>, _: Instant, _: Instant, _: Grain) -> Result<Vec<Row>, Failure> {
        Ok(Vec::new())
    }

    fn nearest(&mut self, _: i64, _: Side, _: Instant, _: Grain) -> Result<Option<Row>, Failure> {
        Ok(None)
    }

    fn events(&mut self, _: Option<&str>, _: Instant, _: Instant) -> Result<Vec<Logged>, Failure> {
        Ok(Vec::new())
    }

    fn prune(&mut self, _: &Prune, _: bool) -> Result<Pruned, Failure> {
        Ok(Pruned::default())
    }
}

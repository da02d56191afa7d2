//! What is deleted of the store because somebody wants it.

use std::collections::{BTreeSet, HashMap};

use super::statement::{number, numbers};
use super::write::{LISTED, forget, hold, moments_at, name, put, stored};
use super::{Connection, Remote, Statement, Trouble, schema};
use crate::history::series::Stored;
use crate::history::{Prune, Pruned};
use crate::quota::instant::Instant;
use crate::quota::track::Grain;

/// What is meant, with the store's numbers.
struct Target {
    instance: i64,
    /// The subjects; none: all, with all events.
    subjects: Option<Vec<Stored>>,
    /// Later than that.
    from: String,
    /// Earlier than that.
    to: String,
}

/// Deletes and writes the rows that are to stay, or only counts.
pub fn prune<C: Connection>(remote: &mut Remote<C>, prune: &Prune, rehearse: bool) -> Result<Pruned, Trouble> {
    let Some(target) = Target::find(remote, prune, rehearse)? else { return Ok(Pruned::default()) };
    if rehearse {
        return Ok(Pruned { rows: target.count(remote)?, events: target.events(remote, "SELECT count(*)", count)? });
    }
    let rows = target.delete(remote)?;
    let events = target.events(remote, "DELETE", Remote::tell)?;
    let moments: Vec<(Instant, i64)> = prune.stay.iter().map(|row| (row.at, Grain::Day.number())).collect();
    let numbers = moments_at(remote, target.instance, &moments)?;
    let stay: Vec<_> = prune.stay.iter().map(|row| (numbers[&row.at], row.id, row.total)).collect();
    put(remote, &stay)?;
    target.remember_ends(remote)?;
    Ok(Pruned { rows, events })
}

fn count<C: Connection>(remote: &mut Remote<C>, statement: Statement) -> Result<u64, Trouble> {
    let rows = remote.ask(statement)?;
    rows.first().map_or(Ok(0), |row| row.number(0)).map(i64::unsigned_abs)
}

impl Target {
    /// None when the machine is not known.
    fn find<C: Connection>(remote: &mut Remote<C>, prune: &Prune, rehearse: bool) -> Result<Option<Self>, Trouble> {
        let instance = match rehearse {
            true => {
                let sql = "SELECT number FROM netquota_instances WHERE id = ?";
                let rows = remote.ask(Statement::new(sql, [prune.instance.as_str()]))?;
                rows.first().map(|row| row.number(0)).transpose()?
            }
            false => hold(remote, &prune.instance)?.map(|(number, _)| number),
        };
        let Some(instance) = instance else { return Ok(None) };
        let known = stored(remote, instance)?;
        let strange = prune.stay.iter().find(|row| !known.iter().any(|known| known.id == row.id));
        if let Some(row) = strange {
            return Err(Trouble::new(format!("no subject {} to keep a row of", row.id)));
        }
        let subjects =
            prune.ids.as_ref().map(|ids| known.into_iter().filter(|known| ids.contains(&known.id)).collect());
        let from = number(prune.from.map_or(i64::MIN, Instant::millis));
        Ok(Some(Self { instance, subjects, from, to: number(prune.to.millis()) }))
    }

    /// A condition on the samples that are meant, of whatever moment.
    fn meant(&self) -> String {
        match &self.subjects {
            None => "1 = 1".into(),
            Some(subjects) if subjects.is_empty() => "1 = 0".into(),
            Some(subjects) => {
                let ids: Vec<i64> = subjects.iter().map(|known| known.id).collect();
                format!("series IN ({})", numbers(&ids))
            }
        }
    }

    fn count<C: Connection>(&self, remote: &mut Remote<C>) -> Result<u64, Trouble> {
        let Self { instance, from, to, .. } = self;
        let sql = format!(
            "SELECT count(*) FROM netquota_moments m JOIN netquota_samples x ON x.moment = m.id
             WHERE m.instance = {instance} AND m.at > {from} AND m.at < {to} AND {}",
            self.meant()
        );
        count(remote, sql.into())
    }

    fn delete<C: Connection>(&self, remote: &mut Remote<C>) -> Result<u64, Trouble> {
        let Self { instance, from, to, .. } = self;
        let between = format!("instance = {instance} AND at > {from} AND at < {to}");
        let found = remote.ask(format!("SELECT id FROM netquota_moments WHERE {between}"))?;
        let found: Vec<i64> = found.iter().map(|row| row.number(0)).collect::<Result<_, _>>()?;
        let mut deleted = 0;
        for moments in found.chunks(LISTED) {
            let moments = numbers(moments);
            deleted += remote
                .tell(format!("DELETE FROM netquota_samples WHERE moment IN ({moments}) AND {}", self.meant()))?;
            remote.tell(format!(
                "DELETE FROM netquota_moments WHERE id IN ({moments})
                 AND NOT EXISTS (SELECT 1 FROM netquota_samples WHERE moment = netquota_moments.id)"
            ))?;
        }
        Ok(deleted)
    }

    /// Does it to the events that are meant: all, or those about each subject.
    fn events<C: Connection>(
        &self,
        remote: &mut Remote<C>,
        what: &str,
        act: impl Fn(&mut Remote<C>, Statement) -> Result<u64, Trouble>,
    ) -> Result<u64, Trouble> {
        let Self { instance, from, to, .. } = self;
        if remote.version < schema::WITH_EVENTS {
            return Ok(0);
        }
        let sql = format!("{what} FROM netquota_events WHERE instance = {instance} AND at >= {from} AND at < {to}");
        let Some(subjects) = &self.subjects else { return act(remote, sql.into()) };
        let about = format!("{sql} AND {} AND {}", C::same("source"), C::same("subject"));
        let names: BTreeSet<(&str, &str)> =
            subjects.iter().map(|known| (known.named.source.as_str(), known.named.subject.as_str())).collect();
        let mut sum = 0;
        for (source, subject) in names {
            sum += act(remote, Statement::new(about.clone(), [source, subject]))?;
        }
        Ok(sum)
    }

    /// Forgets the subjects without rows, and notes of the others where theirs begin and end.
    fn remember_ends<C: Connection>(&self, remote: &mut Remote<C>) -> Result<(), Trouble> {
        let rows = remote.ask(format!(
            "SELECT x.series, min(m.at), max(m.at) FROM netquota_moments m JOIN netquota_samples x ON x.moment = m.id
             WHERE m.instance = {} GROUP BY x.series",
            self.instance
        ))?;
        let mut ends = HashMap::new();
        for row in rows {
            ends.insert(row.number(0)?, (Instant::from_millis(row.number(1)?), Instant::from_millis(row.number(2)?)));
        }
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        for known in stored(remote, self.instance)? {
            match ends.get(&known.id) {
                None => gone.push(known.id),
                Some(ends) if *ends != (known.first, known.seen) => changed.push((known.named, ends.0, ends.1)),
                Some(_) => {}
            }
        }
        forget(remote, &gone)?;
        name(remote, self.instance, &changed)
    }
}

//! Asks a cluster for everything there is, and what the token may.

use std::time::Duration;

use super::super::share;
use super::needs::{Rights, bases};
use crate::api::pve::guests::Row;
use crate::api::pve::rights::Node;
use crate::api::pve::{Cause, Cluster, Failure};
use crate::config::account::Found;
use crate::host::Host;
use crate::quota::text::clean;

/// Characters of what is said of a row at the most.
const WHY: usize = 200;

/// What there is, as far as the token may see it.
#[derive(Default)]
pub struct Survey {
    /// Of the node asked.
    pub version: Option<String>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The guests, sorted.
    pub guests: Vec<Row>,
    /// Whether these are all that the token may see.
    pub has_guests: bool,
    /// The token's rights; none: they could not be asked for.
    pub rights: Option<Rights>,
    /// What could not be had.
    pub failures: Vec<String>,
    /// Whether anything could be had.
    pub answered: bool,
    /// Whether it is no use to ask on.
    over: bool,
}

impl Survey {
    /// Asks, each call for as long as leaves some time to the others.
    pub fn take(cluster: &Cluster, host: &dyn Host, found: &Found) -> Self {
        let until = host.elapsed() + found.deadline;
        let mut survey = Self::default();
        survey.version = survey.ask(host, until, |until| cluster.version(host, until));
        survey.look_for_guests(cluster, host, until);
        survey.nodes = survey.ask(host, until, |until| cluster.nodes(host, until)).unwrap_or_default();
        survey.nodes.sort_by(|a, b| a.node.cmp(&b.node));
        survey.look_at_rights(cluster, host, found, until);
        survey
    }

    fn look_for_guests(&mut self, cluster: &Cluster, host: &dyn Host, until: Duration) {
        let Some(listing) = self.ask(host, until, |until| cluster.guests(host, until)) else { return };
        self.has_guests = listing.broken.is_empty();
        self.guests = listing.rows;
        self.guests.sort_by_key(|row| row.id);
        let broken = listing.broken.into_iter();
        self.failures.extend(broken.map(|(subject, why)| clean(&format!("guest {subject:?}: {why}"), WHY)));
    }

    fn look_at_rights(&mut self, cluster: &Cluster, host: &dyn Host, found: &Found, until: Duration) {
        let Some(mut rights) = self.ask(host, until, |until| cluster.rights(host, None, until)) else { return };
        for path in bases(&found.uses, self.version.as_deref()) {
            let named = self.ask(host, until, |until| cluster.rights(host, Some(path), until));
            rights.extend(named.unwrap_or_default());
        }
        self.rights = Some(rights);
    }

    /// One call. What fails is noted; nothing more is asked once the token is refused, since each refusal takes the
    /// host three seconds, or when nobody is there.
    fn ask<T>(
        &mut self,
        host: &dyn Host,
        until: Duration,
        call: impl FnOnce(Duration) -> Result<T, Failure>,
    ) -> Option<T> {
        if self.over {
            return None;
        }
        match call(share(host, until)) {
            Ok(answer) => {
                self.answered = true;
                Some(answer)
            }
            Err(failure) => {
                self.over = failure.cause == Cause::Credentials || (!self.answered && failure.cause == Cause::Later);
                self.failures.push(failure.text);
                None
            }
        }
    }
}

//! Asks a cluster for what its guests' counters do not say: what a restart has lost, how a delta lies about the edge of
//! a period, and when a guest was made.
//!
//! Invariant: what cannot be asked now is asked again on the next runs; nothing waits for it.

use std::sync::{Arc, mpsc};

use super::Run;
use crate::api::pve::{ABREAST, Cluster, Failure};
use crate::host::Job;
use crate::quota::absorb::Asked;
use crate::quota::gaps::Need;
use crate::quota::instant::Instant;
use crate::quota::records::Records;
use crate::quota::state::State;

/// What the cluster knows of one guest: what was asked for.
struct Answer {
    subject: String,
    records: Option<Result<Records, Failure>>,
    created: Option<Result<Option<Instant>, Failure>>,
}

impl Run<'_> {
    /// Fills in what is missing, as far as the time for reading goes.
    pub(super) fn fill(&mut self, state: &mut State) {
        let config = self.config;
        for source in &config.sources {
            let Some(cluster) = self.cluster(&source.name) else { continue };
            let asked = super::meter::asked(config, source);
            let Some(memory) = state.sources.get_mut(&source.name) else { continue };
            if memory.good != Some(self.clock.now) {
                continue;
            }
            let needs = memory.needs(&asked, self.clock.now);
            if !needs.is_empty() {
                let answers = self.ask(&cluster, needs);
                self.take(state, &source.name, &asked, answers);
            }
        }
    }

    /// Asks for all of them, some side by side.
    fn ask(&mut self, cluster: &Arc<Cluster>, needs: Vec<Need>) -> Vec<Answer> {
        let left = (self.config.deadline / 2).saturating_sub(self.host.elapsed());
        let (until, now) = (self.host.elapsed() + left, self.clock.now);
        if self.traced {
            let ask = |need: &Need| format!("request: records or configuration of {} on {}", need.subject, need.node);
            self.trace.extend(needs.iter().map(ask));
        }
        let (sender, answers) = mpsc::channel();
        let mut shares: Vec<Vec<Need>> = vec![Vec::new(); ABREAST.min(needs.len())];
        let count = shares.len();
        for (index, need) in needs.into_iter().enumerate() {
            shares[index % count].push(need);
        }
        let job = |share: Vec<Need>| -> Job {
            let (host, cluster, sender) = (Arc::clone(self.host), Arc::clone(cluster), sender.clone());
            Box::new(move || {
                for need in share {
                    if host.elapsed() >= until {
                        return;
                    }
                    let Need { id, node, .. } = &need;
                    let records = need.records.map(|from| cluster.records(&*host, *id, node, from, now, until));
                    let created = need.creation.then(|| cluster.config(&*host, *id, node, until));
                    let created = created.map(|config| config.map(|config| config.created));
                    // The receiver is gone once the time is over; the next run asks again.
                    sender.send(Answer { subject: need.subject, records, created }).ok();
                }
            })
        };
        self.host.side_by_side(shares.into_iter().map(job).collect(), left);
        answers.try_iter().collect()
    }

    fn take(&mut self, state: &mut State, source: &str, asked: &[Asked<'_>], answers: Vec<Answer>) {
        let now = self.clock.now;
        let Some(memory) = state.sources.get_mut(source) else { return };
        let mut failed: Vec<(String, Failure)> = Vec::new();
        let mut another = Vec::new();
        for Answer { subject: name, records, created } in answers {
            let Some(subject) = memory.subjects.get_mut(&name) else { continue };
            match created {
                Some(Ok(created)) => another.extend(subject.take_creation(created, now).then(|| name.clone())),
                Some(Err(failure)) => failed.push((name.clone(), failure)),
                None => {}
            }
            match records {
                Some(Ok(records)) => subject.fill(&records, now),
                Some(Err(failure)) => failed.push((name, failure)),
                None => {}
            }
            let opened = subject.open_missing(asked, None, None, now);
            subject.ledgers.extend(opened);
        }
        for name in another {
            memory.become_another(&name, asked, now);
        }
        // Where only time was lacking, the next run goes on.
        let in_time = self.host.elapsed() < self.config.deadline / 2;
        if let Some((name, failure)) = failed.first().filter(|_| in_time) {
            let others = failed.len() - 1;
            let more = if others > 0 { format!(", and of {others} more") } else { String::new() };
            let text = format!(
                "source {source:?}: what {name} has lost or when it was made{more} cannot be read: {}",
                failure.text
            );
            self.problem(&format!("records/{source}"), text);
        }
    }
}

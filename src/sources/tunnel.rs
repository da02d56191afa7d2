//! Mappings of a port-mapping tunnel server, or its tunnel as a whole, by its traffic statistics.
//!
//! Invariant: `total_*` is never read, since it counts tunnel and mappings twice. What the server calls sent is what it
//! passed from clients to the target, received what it passed back; so they are metered as sent and received.
//!
//! Counters live in the server's memory and vanish with a mapping. Nothing in an answer tells when they began
//! (`last_update` is the time of the request): a restart is seen by a counter that has fallen, and a mapping that was not
//! there before by the list of those that were. See [`Figure::Tally`].

mod answer;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Look, Source, Trouble};
use crate::config::fields::Fields;
use crate::config::secret::Keeper;
use crate::host::{Host, Request, Response, Tls};
use crate::quota::alarm::Watched;
use crate::quota::instant::Instant;
use crate::quota::meter::{Figure, Reading, Readings, SubjectProblem};
use crate::quota::text::clean;
use crate::secret::Secret;

/// What is asked.
const PATH: &str = "/api/stats/traffic";
/// For the whole exchange.
const PATIENCE: Duration = Duration::from_secs(10);
/// A mapping on each port there is takes some 8 MiB.
const LIMIT: u64 = 16 << 20;
/// Characters of the server's own words at the most.
const WORDS: usize = 300;

/// The settings.
struct Tunnel {
    /// Without a slash at the end.
    url: String,
    /// None: the server asks for none.
    api_key: Option<Secret>,
    subjects: Subjects,
}

/// Which mappings there were: one that comes later has counted nothing before.
#[derive(Serialize, Deserialize)]
struct Memory {
    /// Of the server.
    url: String,
    /// When.
    at: Instant,
    /// By their ports.
    listed: BTreeSet<String>,
}

/// What the subjects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subjects {
    /// Each mapping, by its port.
    Mappings,
    /// The tunnel as a whole.
    Tunnel,
}

/// Reads the settings.
pub fn open(fields: &Fields<'_>, keeper: &Keeper<'_>) -> Option<Arc<dyn Source>> {
    let (url, api_key) = settings::read_server(fields, keeper);
    let words = &[("mappings", Subjects::Mappings), ("tunnel", Subjects::Tunnel)];
    let subjects = fields.or("subjects", Subjects::Mappings, "\"mappings\"", |value| value.word(words));
    Some(Arc::new(Tunnel { url: url?, api_key: api_key?, subjects }))
}

impl Source for Tunnel {
    fn cannot_watch(&self, watched: Watched) -> Option<&'static str> {
        let load = matches!(watched, Watched::Cpu | Watched::Memory);
        load.then_some("a tunnel says nothing of processors and memory")
    }

    fn expects(&self, _: &str) -> bool {
        // Mappings come and go.
        false
    }

    fn has_default_quota(&self) -> bool {
        false
    }

    fn knows_boot(&self) -> bool {
        false
    }

    fn describe(&self) -> Vec<String> {
        let key = if self.api_key.is_some() { "with X-API-Key (redacted)" } else { "without a key" };
        vec![format!("GET {}{PATH}, {key}", self.url)]
    }

    fn read(&self, host: &dyn Host, look: &Look<'_>) -> Result<Readings, Trouble> {
        let response = host.http(&self.request(look.until.saturating_sub(host.elapsed())));
        let response = response.map_err(|error| self.trouble(&error.text))?;
        if response.status != 200 {
            return Err(self.refusal(&response));
        }
        let told = answer::read(&response.body, self.subjects).map_err(|why| self.trouble(&why))?;
        let memory = look.remembered.and_then(|text| serde_json::from_str(text).ok());
        let memory = memory.filter(|known: &Memory| known.url == self.url);
        // A part of which nobody knows whose it is may be any that was there before.
        let whole = told.problems.iter().all(|(of, _)| told.listed.contains(of));
        let since = |subject: &String| {
            let known = memory.as_ref().filter(|known| whole && !known.listed.contains(subject));
            known.map(|known| known.at.min(look.now))
        };
        let reading = |(subject, counters)| {
            let figure = Figure::Tally { counters, since: since(&subject) };
            Reading { subject, at: look.now, figure }
        };
        let readings = told.counters.into_iter().map(reading).collect();
        let listed = told.listed;
        let kept = || serde_json::to_string(&Memory { url: self.url.clone(), at: look.now, listed: listed.clone() });
        let choice = kept().ok().filter(|_| whole && self.subjects == Subjects::Mappings);
        let problem = |(subject, why): (String, String)| {
            let text = self.safe(&format!("{subject:?}: {why}"));
            SubjectProblem::now(subject, text)
        };
        Ok(Readings {
            readings,
            choice,
            partial: !whole,
            listed: Some(listed),
            problems: told.problems.into_iter().map(problem).collect(),
            ..Readings::default()
        })
    }
}

impl Tunnel {
    fn request(&self, left: Duration) -> Request {
        let key = self.api_key.as_ref().map(|key| ("x-api-key", key.expose().to_owned()));
        Request {
            method: "GET",
            url: format!("{}{PATH}", self.url),
            headers: key.into_iter().chain([("accept", "application/json".to_owned())]).collect(),
            body: Vec::new(),
            timeout: left.min(PATIENCE),
            proxy: None,
            tls: Tls::System,
            body_limit: LIMIT,
        }
    }

    /// Text from outside on one line, without the key, and cut.
    fn safe(&self, text: &str) -> String {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = self.api_key.as_ref().map_or_else(|| line.clone(), |key| key.redact(&line));
        clean(&line, WORDS)
    }

    fn trouble(&self, why: &str) -> Trouble {
        Trouble::from(format!("GET {PATH}: {}", self.safe(why)))
    }

    /// What an answer that is not 200 means.
    fn refusal(&self, response: &Response) -> Trouble {
        let status = response.status;
        let words = answer::message(&response.body).map(|words| format!(": {words}")).unwrap_or_default();
        let hint = match (status, &self.api_key) {
            (401 | 403, None) => "; the server wants an api_key",
            (401 | 403, Some(_)) => "; check api_key",
            (404, _) => "; is url that of the tunnel server?",
            (300..=399, _) => "; redirects are not followed: write the address it leads to",
            _ => "",
        };
        let text = format!("GET {PATH}: {}{hint}", self.safe(&format!("status {status}{words}")));
        Trouble { text, refused: matches!(status, 401 | 403) }
    }
}

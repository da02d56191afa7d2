//! A Proxmox VE cluster of two nodes as a simulated world has it: guests whose traffic really flows as time passes,
//! what their owners do to them, and what is wrong with the cluster.
//!
//! Its clock is its own: it goes on with the world's, but does not jump with the machine's. Figures are as fresh as
//! `lag` says; of a node nobody hears of they stay as they were for five minutes, and are then unknown.
//!
//! Invariants it is asked for at the end of a play: [`Cluster::untouched`] and [`Cluster::tightened_only`]. What flowed
//! in truth: [`Cluster::flowed`].

mod calls;
mod guest;
mod history;
mod nic;
mod power;
mod tests;
mod truth;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::host::{HttpError, Reached, Request, Response};
use crate::quota::guest::Kind;
use crate::quota::instant::Instant;

pub use guest::{Guest, Obeys};
pub use history::Both;
use history::History;

/// How long the figures of a node nobody hears of are still repeated.
const STILL_REPEATED: Duration = Duration::from_secs(300);

/// Everything of it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The time there.
    pub now: Instant,
    /// By vmid.
    pub guests: BTreeMap<u32, Guest>,
    /// How old figures get before they are told anew; none: they are always fresh.
    pub lag: Option<Duration>,
    /// What is wrong with its answers, and with how many more; none: with all.
    pub wrong: Option<(Wrong, Option<u32>)>,
    /// Privileges the token lacks.
    pub revoked: BTreeSet<String>,
    /// Guests that should be held: nothing may loosen them.
    pub held: BTreeSet<u32>,
    /// Edits and power calls that were accepted.
    pub given: Vec<String>,
    /// How long the latest answer was waited for.
    pub took: Duration,
    nodes: BTreeMap<String, Node>,
    history: BTreeMap<u32, History>,
    tasks: BTreeMap<String, power::Task>,
    deeds: Vec<power::Deed>,
    meddling: Option<Meddling>,
    foul: Vec<String>,
    numbers: u64,
}

/// A node of it.
#[derive(Debug, Clone, Default)]
struct Node {
    /// Since when nobody hears of it.
    silent: Option<Instant>,
    /// Guests that were on when it lost its power.
    fallen: Vec<u32>,
    /// Whether its own address is not answered at.
    closed: bool,
}

/// What somebody does to a NIC just before the next edit.
#[derive(Debug, Clone)]
struct Meddling {
    vmid: u32,
    nic: String,
    key: String,
    value: Option<String>,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// What is asked by PUT or POST is done, and the connection breaks.
    Lost,
    /// What is asked is done, and no answer comes in time.
    Silent,
    /// What is asked by PUT or POST is done, and a proxy in between waited too long: 596.
    Late,
    /// The list of guests is empty.
    Empty,
    /// A page for people, and nothing is done.
    Page,
    /// The token is refused.
    Token,
    /// Nothing can be written, and no guest started.
    NoQuorum,
}

impl Wrong {
    /// By the word of a scenario.
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "lost" => Self::Lost,
            "silent" => Self::Silent,
            "596" => Self::Late,
            "empty" => Self::Empty,
            "html" => Self::Page,
            "401" => Self::Token,
            "no-quorum" => Self::NoQuorum,
            _ => return None,
        })
    }

    /// Whether it matters to a request.
    fn hits(self, request: &Request) -> bool {
        match self {
            Self::Lost | Self::Late => Cluster::is_order(request),
            Self::NoQuorum => request.method == "PUT" || request.url.ends_with("/status/start"),
            Self::Empty => request.url.contains("/cluster/resources"),
            Self::Silent | Self::Page | Self::Token => true,
        }
    }
}

/// An answer, or none.
pub type Answer = Result<Response, HttpError>;

fn no_answer(reached: Reached) -> Answer {
    let text = if reached == Reached::No { "connection refused" } else { "connection closed before an answer" };
    Err(HttpError { text: text.into(), reached })
}

fn page(status: u16, body: &str) -> Answer {
    Ok(Response { status, headers: Vec::new(), body: body.into() })
}

impl Cluster {
    /// The nodes `pve1` and `pve2`, without guests.
    pub fn new(now: Instant) -> Self {
        let nodes = ["pve1", "pve2"].map(|name| (name.to_owned(), Node::default()));
        Self {
            now,
            guests: BTreeMap::new(),
            lag: None,
            wrong: None,
            revoked: BTreeSet::new(),
            held: BTreeSet::new(),
            given: Vec::new(),
            took: Duration::ZERO,
            nodes: BTreeMap::from(nodes),
            history: BTreeMap::new(),
            tasks: BTreeMap::new(),
            deeds: Vec::new(),
            meddling: None,
            foul: Vec::new(),
            numbers: 0,
        }
    }

    /// Whether a request goes to this cluster.
    pub fn is_asked(&self, request: &Request) -> bool {
        self.door(request).is_some()
    }

    /// Whether it changes something.
    pub fn is_order(request: &Request) -> bool {
        request.method != "GET"
    }

    /// The node a request goes to, and the rest of the address.
    fn door<'r>(&self, request: &'r Request) -> Option<(&'r str, &'r str)> {
        let (node, rest) = request.url.strip_prefix("https://")?.split_once(":8006/api2/json")?;
        self.nodes.contains_key(node).then_some((node, rest))
    }

    /// The answer to a request, and what it does.
    pub fn answer(&mut self, request: &Request) -> Answer {
        let (node, path) = self.door(request).expect("a request to this cluster");
        self.took = Duration::ZERO;
        if self.nodes[node].closed || self.nodes[node].silent.is_some() {
            return no_answer(Reached::No);
        }
        self.look();
        let wrong = self.take_wrong(request);
        match wrong {
            Some(Wrong::Token) => return page(401, ""),
            Some(Wrong::Page) => return page(200, "<!DOCTYPE html><html><body>Sign in to the network</body></html>"),
            Some(Wrong::Empty) => return page(200, "{\"data\":[]}"),
            Some(Wrong::NoQuorum) => return calls::no_quorum(),
            Some(Wrong::Lost | Wrong::Late | Wrong::Silent) | None => {}
        }
        let answer = calls::answer(self, request, path);
        match wrong {
            Some(Wrong::Lost) => no_answer(Reached::Perhaps),
            Some(Wrong::Late) => page(596, ""),
            Some(Wrong::Silent) => {
                self.took = request.timeout;
                Err(HttpError { text: "timed out".into(), reached: Reached::Perhaps })
            }
            _ => answer,
        }
    }

    /// What is wrong with the answer to a request; one less from now on.
    fn take_wrong(&mut self, request: &Request) -> Option<Wrong> {
        let (wrong, left) = self.wrong.as_mut().filter(|(wrong, _)| wrong.hits(request))?;
        let wrong = *wrong;
        if let Some(left) = left {
            *left -= 1;
            if *left == 0 {
                self.wrong = None;
            }
        }
        Some(wrong)
    }

    /// Time passes: traffic flows, and what was to happen happens.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now.plus(time);
        while self.now < until {
            let stop = self.next_stop(until);
            self.flow(stop);
            self.do_due();
            if self.is_look_out() {
                self.tell();
            }
        }
    }

    /// The next moment at which something is to happen.
    fn next_stop(&self, until: Instant) -> Instant {
        let last_look = self.lag.map(|lag| {
            let lag = lag.as_millis() as i64;
            Instant::from_millis(until.millis().div_euclid(lag) * lag)
        });
        let stops = self.deeds.iter().map(|deed| deed.at).chain(last_look);
        stops.filter(|at| *at > self.now).min().unwrap_or(until).min(until)
    }

    /// Whether figures are told at this very moment.
    fn is_look_out(&self) -> bool {
        self.lag.is_some_and(|lag| self.now.millis() % lag.as_millis() as i64 == 0)
    }

    fn flow(&mut self, until: Instant) {
        let lasts = until.since(self.now);
        for (vmid, guest) in self.guests.iter_mut().filter(|(_, guest)| guest.is_on()) {
            let heard = self.nodes[&guest.node].silent.is_none();
            let rate = guest.flow(lasts);
            self.history.entry(*vmid).or_default().flowed(self.now, until, rate, heard);
        }
        self.now = until;
    }

    /// What is known of guests is as fresh as can be, unless it lags.
    fn look(&mut self) {
        if self.lag.is_none() {
            self.tell();
        }
    }

    /// The nodes that are heard tell of their guests.
    fn tell(&mut self) {
        for guest in self.guests.values_mut().filter(|guest| self.nodes[&guest.node].silent.is_none()) {
            guest.told = guest.figures(self.now);
        }
    }

    /// A new guest; the cluster knows of it at once.
    pub fn add(&mut self, kind: Kind, vmid: u32, name: &str) -> &mut Guest {
        let mut guest = Guest::new(kind, vmid, name, self.now);
        guest.told = guest.figures(self.now);
        self.guests.insert(vmid, guest);
        self.guests.get_mut(&vmid).expect("it was just added")
    }

    /// So many bytes move at once, to the guest and from it, whatever the limit; none while it is off or the NIC down.
    pub fn moves(&mut self, vmid: u32, nic: &str, bytes: Both) -> Option<()> {
        let guest = self.guests.get_mut(&vmid)?;
        let heard = self.nodes[&guest.node].silent.is_none();
        let moved = guest.moves(nic, bytes)?;
        self.history.entry(vmid).or_default().moved(self.now, moved, heard);
        Some(())
    }

    /// A node is not heard of any more; its guests run on, or lose their power with it.
    fn falls_silent(&mut self, node: &str, crashes: bool) -> Option<()> {
        self.look();
        let state = self.nodes.get_mut(node)?;
        state.silent.get_or_insert(self.now);
        for (vmid, guest) in self.guests.iter_mut().filter(|(_, guest)| crashes && guest.node == node && guest.is_on())
        {
            if guest.status != "prelaunch" {
                state.fallen.push(*vmid);
            }
            guest.turn("stopped", self.now);
        }
        Some(())
    }

    /// A node is heard again; the guests that lost their power with it start.
    fn comes_back(&mut self, node: &str) -> Option<()> {
        let state = self.nodes.get_mut(node)?;
        state.silent = None;
        for vmid in std::mem::take(&mut state.fallen) {
            if let Some(guest) = self.guests.get_mut(&vmid).filter(|guest| guest.node == node && !guest.is_on()) {
                guest.turn("running", self.now);
            }
        }
        Some(())
    }

    /// Whether nobody has heard of a node for so long that the figures of its guests are forgotten.
    fn is_forgotten(&self, node: &str) -> bool {
        self.nodes[node].silent.is_some_and(|since| self.now.since(since) > STILL_REPEATED)
    }
}

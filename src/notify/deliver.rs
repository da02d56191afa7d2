//! Brings what waits to its channels, within the time there is.
//!
//! Invariant: an item leaves the outbox only when its channel has accepted it, and that is saved before the next
//! message goes out.

use std::collections::HashSet;
use std::time::Duration;

use super::Delivery;
use crate::config::Channel;
use crate::error::Result;
use crate::host::Host;
use crate::quota::duration::Language;
use crate::quota::event::{self, Event};
use crate::quota::instant::Instant;
use crate::quota::message::{self, Notice};
use crate::quota::state::{Moved, Outbox, State};
use crate::quota::text::{Item, Message, gather, pack};

/// Messages one run sends to one channel at the most.
const MOST: usize = 3;

/// What delivering needs to know.
pub struct Post<'a> {
    /// The outside.
    pub host: &'a dyn Host,
    /// The channels.
    pub channels: &'a [Channel],
    /// Of the line that stands for what did not fit.
    pub language: Language,
    /// The line every message starts with.
    pub head: &'a str,
    /// The believed time.
    pub now: Instant,
    /// Channels left alone: they failed before in this run.
    pub failed: &'a [String],
    /// By then, on the host's clock that never jumps, all must be over.
    pub until: Duration,
}

/// Channels with something that still waits, and why.
pub type Problems = Vec<(String, String)>;

impl Post<'_> {
    /// Tries every channel that has not failed yet once; each has its share of the time, so that one that hangs leaves
    /// some to the others.
    pub fn deliver(&self, state: &mut State, save: &mut dyn FnMut(&State) -> Result<()>) -> Result<Problems> {
        let mut problems = Problems::new();
        let channels: Vec<&Channel> =
            self.channels.iter().filter(|channel| !self.failed.contains(&channel.name)).collect();
        for (index, channel) in channels.iter().enumerate() {
            let left = self.until.saturating_sub(self.host.elapsed());
            let share = left / (channels.len() - index) as u32;
            if let Some(problem) = self.channel(channel, self.host.elapsed() + share, state, save)? {
                problems.push((channel.name.clone(), problem));
            }
        }
        Ok(problems)
    }

    /// Why something still waits, if it does.
    fn channel(
        &self,
        channel: &Channel,
        until: Duration,
        state: &mut State,
        save: &mut dyn FnMut(&State) -> Result<()>,
    ) -> Result<Option<String>> {
        let Some(outbox) = state.outbox.get(&channel.name).filter(|outbox| !outbox.items.is_empty()) else {
            return Ok(None);
        };
        if outbox.not_before.is_some_and(|not_before| self.now < not_before) {
            return Ok(Some("a message waits: the channel asked for patience".into()));
        }
        let mut items = outbox.items.clone();
        items.sort_by_key(|item| message::weight(&item.key));
        let (items, stand_for) = gather(items, &|count| message::more(self.language, count));
        for (index, message) in self.messages(channel, &items).iter().enumerate() {
            if index > 0 {
                self.host.sleep(channel.notifier.pace());
            }
            let left = until.saturating_sub(self.host.elapsed());
            if left < Duration::from_millis(50) {
                return Ok(Some("a message waits: there was no time left in this run".into()));
            }
            let moved = state.outbox.get(&channel.name).and_then(|outbox| outbox.moved.clone());
            let moved = moved.filter(|moved| Some(&moved.from) == channel.notifier.address().as_ref());
            let delivery = channel.notifier.send(self.host, message, moved.as_ref().map(|m| m.to.as_str()), left);
            if let Some(agrees) = self.host.clock_agrees() {
                state.clock.heard(agrees);
            }
            let outbox = state.outbox.entry(channel.name.clone()).or_default();
            match delivery {
                Delivery::Accepted { moved: to } => {
                    let told = |key: &String| stand_for.get(key).cloned().unwrap_or_else(|| vec![key.clone()]);
                    let told: HashSet<String> = message.items.iter().flat_map(told).collect();
                    let told = outbox.items.extract_if(.., |item| told.contains(&item.key));
                    state.history.events.extend(told.map(|item| sent(&channel.name, &item, self.now)));
                    outbox.not_before = None;
                    self.remember_move(channel, outbox, moved, to);
                    save(state)?;
                }
                Delivery::Kept { problem, retry_after } => {
                    outbox.not_before = retry_after.map(|time| self.now.plus(time));
                    return Ok(Some(format!("a message waits: {problem}")));
                }
            }
        }
        Ok(None)
    }

    fn messages(&self, channel: &Channel, items: &[Item]) -> Vec<Message> {
        pack(self.head, items, &|count| message::more(self.language, count), channel.notifier.limit(), MOST)
    }

    /// A chat that moved is told of once, in the next message.
    fn remember_move(&self, channel: &Channel, outbox: &mut Outbox, known: Option<Moved>, to: Option<String>) {
        let (Some(from), Some(to)) = (channel.notifier.address(), to) else { return };
        if known.as_ref().is_some_and(|known| known.to == to) {
            return;
        }
        outbox.put(Notice::moved(&channel.name, &from, &to).item(self.language, self.now));
        outbox.moved = Some(Moved { from, to });
    }
}

/// A message that its channel has, for the log.
fn sent(channel: &str, item: &Item, now: Instant) -> Event {
    let event = Event::new(now, event::Kind::Alert, event::Outcome::Done).named(channel, &item.title);
    match &item.about {
        Some(about) => event.about(&about.source, &about.subject, &about.quota),
        None => event,
    }
}

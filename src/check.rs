//! One checking run: lock, load, read, meter, decide, save intents, notify, enforce, record, save outcomes.
//!
//! Rules of the line: the lock is taken before the first reading; intents are saved before anything leaves the
//! machine; each outcome is saved as soon as it is known; a message is tried before its tier's action and never
//! blocks it; the whole has a deadline, of which reading takes at most half and messages before actions a fifth.

mod act;
pub mod by_hand;
mod fill;
mod heard;
mod hold;
mod meter;
mod recall;
mod record;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, NamedSource, PublicAddress, fields};
use crate::error::{Error, Exit, Result};
use crate::history::Access;
use crate::host::{Host, Request, Tls};
use crate::notify::deliver::Post;
use crate::quota::alarm::{self, Alarm};
use crate::quota::clock::{News, Verdict};
use crate::quota::decide;
use crate::quota::guest::Choice;
use crate::quota::hold as wanted;
use crate::quota::instant::Instant;
use crate::quota::message::{self, Notice};
use crate::quota::meter::Identity;
use crate::quota::policy::{self, Context, DAY, Go, Plan, Quota, View, Withheld};
use crate::quota::state::{Address, Outbox, Problem, State};
use crate::quota::text::Item;
use crate::sources::{self, Asking, Said};
use crate::store::{self, Broken, Guard, LockError, Store};

/// What is wrong, by what it is about.
pub type Problems = Vec<(String, String)>;

/// What a run is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Sources and quotas looked at; empty: all.
    pub only: Vec<String>,
    /// What was wrong before the run, by what it is about.
    pub problems: Problems,
    /// Whether somebody asks what was read and decided.
    pub traced: bool,
}

/// What a run leaves behind, for whoever shows it.
pub struct Report {
    /// The state after it.
    pub state: State,
    /// What is wrong, by what it is about.
    pub problems: Problems,
    /// Those of them that are new, changed or a day old.
    pub untold: Vec<String>,
    /// What was decided and why.
    pub trace: Vec<String>,
    /// The believed time.
    pub now: Instant,
}

impl Report {
    /// Of a command that is no checking run.
    #[cfg(test)]
    pub fn empty(now: Instant) -> Self {
        Self { state: State::default(), problems: Vec::new(), untold: Vec::new(), trace: Vec::new(), now }
    }

    /// The exit code it means.
    pub fn exit(&self) -> Exit {
        if self.problems.is_empty() { Exit::Done } else { Exit::Problems }
    }
}

/// Runs the line.
pub fn check(
    host: &Arc<dyn Host>,
    store: &dyn Store,
    history: &dyn Access,
    config: &Config,
    options: &Options,
) -> Result<Report> {
    let mut run = Run::new(host, config, options)?;
    let mut guard = lock(host, store, config, Duration::ZERO)?;
    let mut state = run.load(&mut *guard)?;
    let said = run.read(&state);
    run.meter(&mut state, said);
    run.fill(&mut state);
    run.recall_usage(&mut state, history);
    let mut plan = run.decide(&mut state);
    run.recall_days(&state, &mut plan, history);
    run.save_intents(&mut *guard, &mut state, &plan)?;
    run.notify(&mut *guard, &mut state, run.messages_until())?;
    run.enforce(&mut *guard, &mut state, &plan)?;
    run.hold(&mut *guard, &mut state)?;
    run.notify(&mut *guard, &mut state, config.deadline)?;
    run.record(&mut state, history);
    run.save_outcomes(&mut *guard, state)
}

/// The same line as far as deciding, for `--debug`: nothing is locked, sent, done or written.
pub fn rehearse(
    host: &Arc<dyn Host>,
    store: &dyn Store,
    history: &dyn Access,
    config: &Config,
    options: &Options,
) -> Result<Report> {
    let mut run = Run { eager: true, ..Run::new(host, config, options)? };
    let loaded = store::load(store.peek())?;
    let mut state = run.begin(loaded.state, loaded.broken.as_ref().map(|broken| (broken, None)));
    let said = run.read(&state);
    run.meter(&mut state, said);
    run.fill(&mut state);
    run.recall_usage(&mut state, history);
    let mut plan = run.decide(&mut state);
    run.recall_days(&state, &mut plan, history);
    run.trace_plan(&state, &plan);
    let now = run.clock.now;
    Ok(Report { state, problems: run.problems, untold: Vec::new(), trace: run.trace, now })
}

/// Takes the lock. One held for more than three deadlines is a problem rather than another run.
pub fn lock<'s>(
    host: &Arc<dyn Host>,
    store: &'s dyn Store,
    config: &Config,
    patience: Duration,
) -> Result<Box<dyn Guard + 's>> {
    store.lock(patience).map_err(|error| match error {
        LockError::Held { since } => match since.filter(|since| host.now().since(*since) > config.deadline * 3) {
            Some(since) => {
                let text = format!("the lock state.lock is held since {since}: is a run stuck?");
                Error { exit: Exit::Problems, text }
            }
            None => Error { exit: Exit::Locked, text: String::new() },
        },
        LockError::Io(error) => Error::failed(error.to_string()),
    })
}

/// Refusals of a key after which its source is asked only now and then: the fifth in a row locks the key
/// (Huawei Cloud, for five minutes).
const REFUSALS: u32 = 3;
/// How often such a source is asked.
const REFUSED: Duration = Duration::from_secs(600);

/// One run on its way.
struct Run<'a> {
    host: &'a Arc<dyn Host>,
    config: &'a Config,
    selected: Vec<bool>,
    watching: Vec<bool>,
    whole: bool,
    clock: Verdict,
    last_run: Option<Instant>,
    machine: Identity,
    withheld: Option<Withheld>,
    notices: Vec<Notice>,
    problems: Problems,
    traced: bool,
    trace: Vec<String>,
    channels: Vec<String>,
    failed: Vec<String>,
    ordered: BTreeSet<String>,
    /// Sources are asked however lately they were.
    eager: bool,
}

impl<'a> Run<'a> {
    fn new(host: &'a Arc<dyn Host>, config: &'a Config, options: &Options) -> Result<Self> {
        let Selected { quotas: selected, alarms: watching } = select(config, &options.only)?;
        let clock = Verdict { now: host.now(), news: News::None };
        let machine = sources::interface::machine_identity(&**host);
        let channels = config.notifiers.iter().map(|channel| channel.name.clone()).collect();
        Ok(Self {
            host,
            config,
            selected,
            watching,
            whole: options.only.is_empty(),
            clock,
            last_run: None,
            machine,
            withheld: None,
            notices: Vec::new(),
            problems: options.problems.clone(),
            traced: options.traced,
            trace: Vec::new(),
            channels,
            failed: Vec::new(),
            ordered: BTreeSet::new(),
            eager: false,
        })
    }

    /// By when the messages before the actions must be over: a fifth of the deadline from here.
    fn messages_until(&self) -> Duration {
        (self.host.elapsed() + self.config.deadline / 5).min(self.config.deadline)
    }

    fn load(&mut self, guard: &mut dyn Guard) -> Result<State> {
        let loaded = store::load(guard)?;
        let aside = match &loaded.broken {
            None => None,
            Some(_) => guard.set_aside(self.host.now()).map_err(|error| Error::failed(error.to_string()))?,
        };
        Ok(self.begin(loaded.state, loaded.broken.as_ref().map(|broken| (broken, aside))))
    }

    /// Judges the clock, and notes what was wrong with the state.
    fn begin(&mut self, mut state: State, broken: Option<(&Broken, Option<String>)>) -> State {
        let last = state.clock.at;
        self.last_run = last;
        let stepped = state.clock.stepped(self.clock.now, &self.machine).as_secs();
        state.sources.values_mut().for_each(|source| source.stepped += stepped);
        self.clock = state.clock.judge(self.clock.now);
        if last.is_some_and(|last| self.clock.now < last) {
            state.not_after(self.clock.now);
        }
        self.follow_clock(state.clock.doubt.as_ref().map(|doubt| doubt.first));
        if let Some((broken, aside)) = broken {
            self.withheld = Some(Withheld::Recovered);
            let kept = aside.map(|name| format!("; it is kept as {name}")).unwrap_or_default();
            self.problem("state", format!("{}{kept}", broken.why));
            let holds = |effect| matches!(effect, policy::Effect::Kept(_));
            let mut actions = self.config.quotas.iter().flat_map(|quota| &quota.tiers).flat_map(|tier| &tier.actions);
            let undone = actions.any(|action| action.lifts || holds(action.effect));
            self.notices.push(Notice::broken_state(&format!("{}{kept}", broken.why), broken.from_previous, undone));
        }
        state
    }

    fn follow_clock(&mut self, doubted_since: Option<Instant>) {
        let local = |at| message::local(&self.config.zone, at);
        match self.clock.news {
            News::None | News::Doubted => {}
            News::Jumped => {
                self.notices.push(Notice::clock_jumped(&local(self.host.now()), &local(self.clock.now)));
            }
            News::Believed => self.notices.push(Notice::clock_believed(&local(self.host.now()))),
        }
        if self.clock.doubtful() {
            self.withheld = Some(Withheld::ClockInDoubt);
            let first = doubted_since.map(local).unwrap_or_default();
            self.problem("clock", format!("the clock jumped to {first} and is not believed yet: no period changes"));
        }
    }

    fn problem(&mut self, key: &str, text: String) {
        self.problems.push((key.to_owned(), text));
    }

    fn read(&mut self, state: &State) -> Said {
        self.read_these(state, |_| true)
    }

    /// Reads the sources that are wanted and picked.
    fn read_these(&mut self, state: &State, pick: impl Fn(&str) -> bool) -> Said {
        let wanted = |name: &str| {
            let asks = |(quota, selected): (&Quota, &bool)| *selected && quota.source == name;
            // Guests that are held are to be let go also when no quota looks at them any more.
            let held = self.whole && state.guests.contains_key(name);
            let looks = |(alarm, watching): (&Alarm, &bool)| *watching && alarm.source == name;
            held || self.config.quotas.iter().zip(&self.selected).any(asks)
                || self.config.alarms.iter().zip(&self.watching).any(looks)
        };
        let due = |name: &str, every: Option<Duration>| {
            let asked = state.sources.get(name).and_then(|source| source.asked);
            every.zip(asked).is_none_or(|(every, asked)| policy::due_again(asked, every, self.clock.now))
        };
        let wanted = self.config.sources.iter().filter(|source| pick(&source.name) && wanted(&source.name));
        let due = |source: &&NamedSource| {
            (self.eager || due(&source.name, source.every)) && !self.locks_key(state, &source.name)
        };
        let (asked, left): (Vec<_>, Vec<_>) = wanted.partition(due);
        let known = |name: &str| state.sources.get(name);
        if self.traced {
            let asks =
                asked.iter().flat_map(|source| source.source.describe().into_iter().map(|ask| (&source.name, ask)));
            self.trace.extend(asks.map(|(name, ask)| format!("request: source {name:?}: {ask}")));
        }
        let asking = asked.into_iter().map(|source| Asking {
            name: source.name.clone(),
            source: Arc::clone(&source.source),
            remembered: known(&source.name).and_then(|known| known.choice.clone()),
            now: self.clock.now,
            nics: self.nics_of(&source.name),
            state_dir: self.config.state_dir.clone().unwrap_or_default(),
            watched: meter::is_watched(self.config, &source.name),
        });
        let said = sources::read_all(self.host, asking.collect(), self.config.deadline / 2);
        for source in left {
            let standing = known(&source.name).map(|known| meter::standing(source, known, self.clock.now, |_| true));
            self.problems.extend(standing.into_iter().flatten());
        }
        said
    }

    /// What the quotas that count by NIC look at.
    fn nics_of(&self, source: &str) -> Vec<Choice> {
        let quotas = self.config.quotas.iter().filter(|quota| quota.source == source && quota.nics().is_some());
        quotas.filter_map(|quota| quota.choice.clone()).collect()
    }

    /// Whether asking now would help to lock the key: refused several times in a row, it is asked only now and then.
    fn locks_key(&self, state: &State, name: &str) -> bool {
        let source = state.sources.get(name).filter(|source| source.refusals >= REFUSALS);
        let asked = source.and_then(|source| source.asked);
        asked.is_some_and(|asked| !policy::due_again(asked, REFUSED, self.clock.now))
    }

    fn sum_pools(&self, state: &mut State) {
        for (quota, _) in
            self.config.quotas.iter().zip(&self.selected).filter(|(quota, selected)| **selected && quota.pool)
        {
            if let Some(source) = state.sources.get_mut(&quota.source) {
                decide::sum_pool(quota, &self.config.quota_names, source, self.clock.now);
            }
        }
    }

    fn decide(&mut self, state: &mut State) -> Plan {
        mark_held_off(state);
        let mut plan = decide::decide(&self.context(), state);
        alarm::watch(&self.context(), state, &mut plan);
        if self.traced {
            self.trace_figures(state);
        }
        self.problems.append(&mut plan.problems);
        self.trace.append(&mut plan.reasons);
        state.history.events.append(&mut plan.events);
        plan
    }

    fn context(&self) -> Context<'_> {
        Context {
            now: self.clock.now,
            language: self.config.language,
            quotas: &self.config.quotas,
            selected: &self.selected,
            last_run: self.last_run,
            alarms: &self.config.alarms,
            watching: &self.watching,
            channels: &self.channels,
            names: &self.config.quota_names,
            machine: &self.machine,
            withheld: self.withheld,
        }
    }

    /// Puts what has to be told into the outbox, and saves before any of it leaves the machine.
    fn save_intents(&mut self, guard: &mut dyn Guard, state: &mut State, plan: &Plan) -> Result<()> {
        self.reroute(state);
        self.keep_notices(state);
        let mut told: BTreeMap<&String, Vec<Item>> = BTreeMap::new();
        for tell in &plan.tells {
            tell.to.iter().for_each(|name| told.entry(name).or_default().push(tell.item.clone()));
        }
        for (name, items) in told {
            state.outbox.entry(name.clone()).or_default().put_all(items);
        }
        let acts = !plan.steps.is_empty() || !self.to_lift(state).is_empty();
        let leaves = acts || state.outbox.values().any(|outbox| !outbox.items.is_empty());
        if leaves { save(guard, state) } else { Ok(()) }
    }

    fn keep_notices(&mut self, state: &mut State) {
        for notice in std::mem::take(&mut self.notices) {
            self.put_all(state, &notice.item(self.config.language, self.clock.now));
        }
    }

    fn put_all(&self, state: &mut State, item: &Item) {
        for name in &self.channels {
            state.outbox.entry(name.clone()).or_default().put(item.clone());
        }
    }

    /// What waits for a notifier that is no longer configured goes to the others.
    fn reroute(&self, state: &mut State) {
        let gone: Vec<String> = state.outbox.keys().filter(|name| !self.channels.contains(name)).cloned().collect();
        for outbox in gone.into_iter().filter_map(|name| state.outbox.remove(&name)).collect::<Vec<_>>() {
            for item in &outbox.items {
                for name in &self.channels {
                    let waiting = state.outbox.entry(name.clone()).or_default();
                    // What arose later says more.
                    if !waiting.items.iter().any(|known| known.key == item.key && known.at >= item.at) {
                        waiting.put(item.clone());
                    }
                }
            }
        }
    }

    fn notify(&mut self, guard: &mut dyn Guard, state: &mut State, until: Duration) -> Result<()> {
        if state.outbox.values().all(|outbox| outbox.items.is_empty()) {
            return Ok(());
        }
        let address = self.address(state);
        let head = message::head(&self.config.host_name, address.as_deref());
        let post = Post {
            host: &**self.host,
            channels: &self.config.notifiers,
            language: self.config.language,
            head: &head,
            now: self.clock.now,
            failed: &self.failed,
            until,
        };
        for (name, problem) in post.deliver(state, &mut |state| save(guard, state))? {
            self.problem(&format!("notifier/{name}"), format!("notifier {name:?}: {problem}"));
            self.failed.push(name);
        }
        Ok(())
    }

    /// The public address: as written, or as a server told it within the last day.
    fn address(&self, state: &mut State) -> Option<String> {
        let url = match self.config.public_address.as_ref()? {
            PublicAddress::Literal(text) => return Some(text.clone()),
            PublicAddress::Url(url) => url,
        };
        if state.address.as_ref().is_none_or(|address| policy::due_again(address.at, DAY, self.clock.now)) {
            let left = self.config.deadline.saturating_sub(self.host.elapsed()) / 10;
            let request = Request {
                method: "GET",
                url: url.clone(),
                headers: Vec::new(),
                body: Vec::new(),
                timeout: left.min(Duration::from_secs(3)),
                proxy: None,
                tls: Tls::System,
                body_limit: 1024,
            };
            let answer = self.host.http(&request).ok().filter(|answer| answer.status == 200);
            let text = answer.and_then(|answer| String::from_utf8(answer.body).ok());
            let parsed = text.and_then(|text| text.trim().parse::<std::net::IpAddr>().ok());
            if let Some(address) = parsed {
                state.address = Some(Address { text: address.to_string(), at: self.clock.now });
            }
        }
        state.address.as_ref().map(|address| address.text.clone())
    }

    fn save_outcomes(mut self, guard: &mut dyn Guard, mut state: State) -> Result<Report> {
        let untold = self.note_problems(&mut state);
        state.outbox.retain(|_, outbox| *outbox != Outbox::default());
        save(guard, &state)?;
        Ok(Report { state, problems: self.problems, untold, trace: self.trace, now: self.clock.now })
    }

    /// Remembers the problems of this run; returns those that are new, changed or were told a day ago.
    fn note_problems(&mut self, state: &mut State) -> Vec<String> {
        let now = self.clock.now;
        let old = std::mem::take(&mut state.problems);
        let mut untold = Vec::new();
        if !self.whole {
            state.problems.clone_from(&old);
        }
        for (key, text) in &self.problems {
            let before = old.get(key);
            let known = before.filter(|problem| gist(&problem.text).eq(gist(text)));
            let same = known.filter(|problem| !policy::due_again(problem.told, DAY, now));
            if same.is_none() {
                untold.push(text.clone());
            }
            let problem = Problem {
                text: text.clone(),
                since: before.map_or(now, |problem| problem.since),
                told: same.map_or(now, |problem| problem.told),
            };
            state.problems.insert(key.clone(), problem);
        }
        state.warned.retain(|key, told| key.starts_with(message::UNCOUNTED) || now.since(*told) < DAY * 2);
        untold
    }

    /// The figures as the tiers see them.
    fn trace_figures(&mut self, state: &State) {
        for quota in &self.config.quotas {
            let Some(source) = state.sources.get(&quota.source) else { continue };
            for view in quota.rows(source).into_iter().filter_map(|(name, subject)| View::of(quota, name, subject)) {
                self.trace.push(format!(
                    "figure: quota {:?}, {:?}: {} of {} bytes, {} %, certain {}, of {}",
                    quota.name,
                    view.subject,
                    view.used,
                    view.allowance,
                    view.percent(),
                    view.ledger.certain(quota.count),
                    view.as_of
                ));
            }
        }
    }

    fn trace_plan(&mut self, state: &State, plan: &Plan) {
        for channel in &self.config.notifiers {
            self.trace.push(format!("notifier {:?}: {}", channel.name, channel.notifier.describe()));
        }
        let notices = std::mem::take(&mut self.notices);
        let items = notices.into_iter().map(|notice| notice.item(self.config.language, self.clock.now));
        let all = self.channels.join(", ");
        let mut told: Vec<String> =
            items.map(|item| format!("would send to {all}: {}\n{}", item.title, item.body.join("\n"))).collect();
        told.extend(plan.tells.iter().map(|tell| {
            format!("would send to {}: {}\n{}", tell.to.join(", "), tell.item.title, tell.item.body.join("\n"))
        }));
        let waiting = state.outbox.iter().filter(|(_, outbox)| !outbox.items.is_empty());
        told.extend(waiting.map(|(name, outbox)| format!("would send to {name}: {} waiting", outbox.items.len())));
        self.trace.append(&mut told);
        let steps = plan.steps.iter().map(|step| match step.go {
            Go::Apply => format!("would do action {:?} for {}", step.action, step.subject),
            Go::Look | Go::Again => {
                format!("would look for the effect of action {:?} for {}", step.action, step.subject)
            }
        });
        self.trace.extend(steps);
        for ((source, guest), wants) in wanted::wants(&self.context(), state) {
            let of = |want: &wanted::Want| format!("action {:?} of quota {:?}", want.need.action, want.need.quota);
            let wants = wants.iter().map(of).collect::<Vec<_>>().join(", ");
            self.trace.push(format!("would hold {guest} of source {source:?}: {wants}"));
        }
        let lifts = self.to_lift(state);
        self.trace.extend(lifts.iter().map(|thing| format!("would undo what was done to {thing}")));
    }
}

/// Guests that are kept off already: a tier that wants the same of them goes on with it.
fn mark_held_off(state: &mut State) {
    let State { guests, sources, .. } = state;
    for (source, guests) in guests {
        let Some(source) = sources.get_mut(source) else { continue };
        for (name, _) in guests.iter().filter(|(_, held)| held.down.as_ref().is_some_and(|down| down.taken)) {
            source.subjects.get_mut(name).into_iter().for_each(|subject| subject.held_off = true);
        }
    }
}

/// What a problem says, without times, request ids and the like: those change and are no news.
fn gist(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter(|word| word.bytes().filter(u8::is_ascii_digit).count() < 5)
}

/// Replaces the saved state.
pub fn save(guard: &mut dyn Guard, state: &State) -> Result<()> {
    let document = state.write().map_err(|error| Error::failed(format!("state.json: {error}")))?;
    guard.save(&document).map_err(|error| Error::failed(error.to_string()))
}

/// What a run looks at, in the order of the configuration.
struct Selected {
    quotas: Vec<bool>,
    alarms: Vec<bool>,
}

/// Which quotas and alarms are looked at: all, or those named themselves or by their source.
fn select(config: &Config, only: &[String]) -> Result<Selected> {
    let names = || {
        let sources = config.sources.iter().map(|source| source.name.as_str());
        let quotas = config.quotas.iter().map(|quota| quota.name.as_str());
        sources.chain(quotas).chain(config.alarms.iter().map(|alarm| alarm.name.as_str()))
    };
    if let Some(unknown) = only.iter().find(|wanted| !names().any(|name| name == *wanted)) {
        let near = fields::nearest(unknown, names());
        return Err(Error::usage(format!("--only: there is no source, quota or alarm {unknown:?}{near}")));
    }
    let selected = |name: &String, source: &String| only.is_empty() || only.contains(name) || only.contains(source);
    Ok(Selected {
        quotas: config.quotas.iter().map(|quota| selected(&quota.name, &quota.source)).collect(),
        alarms: config.alarms.iter().map(|alarm| selected(&alarm.name, &alarm.source)).collect(),
    })
}

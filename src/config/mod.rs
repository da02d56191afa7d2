//! The configuration: from a file's text to settings in which every name is resolved and every value checked.
//!
//! Nothing is read, sent or written before [`load`] has accepted everything; what it refuses comes as one list.
//! A kind's own keys are read by the kind (`open` in its module), what is common to all kinds here.

pub mod account;
pub mod address;
mod alarms;
pub mod fields;
pub mod history;
pub mod push;
mod quotas;
pub mod secret;
pub mod serve;
pub mod show;
pub mod uses;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use crate::api::Accounts;
use crate::api::pve::Cluster;
use crate::enforce::{self, Does};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::notify::{self, Notifier};
use crate::quota::alarm::Alarm;
use crate::quota::duration::Language;
use crate::quota::policy::{ActionRule, Effect, Kept, Quota};
use crate::quota::zone::{self, Zone};
use crate::secret::Secret;
use crate::sources::{self, Source};
use fields::{Fields, Findings, Shown};
use secret::{Keeper, Need, Part};

/// Everything in force.
pub struct Config {
    /// Where it came from; none: the built-in default.
    pub file: Option<PathBuf>,
    /// Of the messages.
    pub language: Language,
    /// Of what has no zone of its own.
    pub zone: Zone,
    /// For a whole run.
    pub deadline: Duration,
    /// Where the state is: as the file says, if it does, until [`Config::at`] has found out.
    pub state_dir: Option<PathBuf>,
    /// Where lines for standard error go as well.
    pub log_file: Option<PathBuf>,
    /// What messages call this machine.
    pub host_name: String,
    /// Where its public address comes from.
    pub public_address: Option<PublicAddress>,
    /// By name.
    pub sources: Vec<NamedSource>,
    /// In the order of their names.
    pub quotas: Vec<Quota>,
    /// The names of all quotas, also of those that are not enabled.
    pub quota_names: Vec<String>,
    /// In the order of their names.
    pub alarms: Vec<Alarm>,
    /// By name; without any, the terminal.
    pub notifiers: Vec<Channel>,
    /// By name.
    pub actions: Vec<NamedAction>,
    /// Where the history is.
    pub history: history::Settings,
    /// The hub that this machine reports to.
    pub push: Option<push::Settings>,
    /// Of `serve`, if somebody wrote them.
    pub serve: Option<serve::Settings>,
    /// Environment variables that hold secrets.
    pub withheld: Vec<String>,
    /// The secrets themselves, to be kept out of what commands print.
    pub secrets: Vec<Secret>,
    /// What is worth knowing but stops nothing.
    pub warnings: Vec<String>,
    /// Every value in force.
    pub shown: Vec<Shown>,
}

impl Config {
    /// The same, with the state in this folder.
    #[must_use]
    pub fn at(self, state_dir: PathBuf) -> Self {
        Self { state_dir: Some(state_dir), ..self }
    }
}

/// Where this machine's public address comes from.
pub enum PublicAddress {
    /// It is written.
    Literal(String),
    /// A server tells it as plain text.
    Url(String),
}

/// A source and what is common to all.
pub struct NamedSource {
    /// Its name.
    pub name: String,
    /// Asked at most so often.
    pub every: Option<Duration>,
    /// Without a good figure for so long, a message goes out.
    pub problem_after: Duration,
    /// Of its kind.
    pub source: Arc<dyn Source>,
}

/// A notifier.
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Of its kind.
    pub notifier: Box<dyn Notifier>,
}

/// An action, with the rules it goes by.
pub struct NamedAction {
    /// The rules.
    pub rule: ActionRule,
    /// Its settings as text: a change of them disarms.
    pub settings: String,
    /// Of its kind.
    pub does: Does,
}

impl NamedAction {
    /// What it is done to, where several actions may mean the same.
    pub fn thing(&self) -> Option<String> {
        self.does.once()?.thing()
    }
}

/// What is in force without a file, and for a file without quotas.
const BUILT_IN: &str = "[quota.month]\nallowance = \"1 TB\"\ntiers = [\"80%\", \"90%\", \"95%\"]\n";

/// Reads the configuration; `explicit` is the command line's file.
pub fn load(host: &dyn Host, explicit: Option<&Path>, need: Need) -> Result<Config> {
    let (file, text) = find(host, explicit)?;
    let name = file.as_ref().map_or("built-in default".into(), |path| path.display().to_string());
    let mut config = parse(host, &name, &text, need).map_err(|errors| Error::usage(errors.join("\n")))?;
    config.file = file;
    Ok(config)
}

/// The file and its text: the one asked for must be there, the usual ones may be missing.
fn find(host: &dyn Host, explicit: Option<&Path>) -> Result<(Option<PathBuf>, String)> {
    let asked = explicit.map(Path::to_owned).or_else(|| host.env("NETQUOTA_CONFIG").map(PathBuf::from));
    if let Some(path) = asked {
        let text = host.read(&path).map_err(|error| Error::usage(error.to_string()))?;
        return Ok((Some(path), text));
    }
    let home = host.env("XDG_CONFIG_HOME").or_else(|| host.env("HOME").map(|home| format!("{home}/.config")));
    let usual = [Some(PathBuf::from("/etc")), home.map(PathBuf::from)];
    for path in usual.into_iter().flatten().map(|folder| folder.join("netquota/config.toml")) {
        match host.read(&path) {
            Ok(text) => return Ok((Some(path), text)),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(Error::usage(error.to_string())),
        }
    }
    Ok((None, BUILT_IN.into()))
}

/// The configuration of a text, or all that is wrong with it.
pub fn parse(host: &dyn Host, name: &str, text: &str, need: Need) -> std::result::Result<Config, Vec<String>> {
    let table = document(name, text)?;
    let findings = Findings::new(name, text);
    let keeper = Keeper::new(host, need);
    let root = Fields::root(&findings, &table);
    let config = read(host, &root, &keeper);
    root.finish();
    warn_of_secrets(host, name, &keeper, &findings);
    warn_of_shared_clusters(&config.sources, &findings);
    let (warnings, shown) = findings.finish()?;
    Ok(Config { warnings, shown, withheld: keeper.variables.take(), secrets: keeper.secrets.take(), ..config })
}

/// The text as tables, or what keeps it from being TOML.
fn document<'t>(name: &str, text: &'t str) -> std::result::Result<Spanned<DeTable<'t>>, Vec<String>> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    let findings = Findings::new(name, text);
    for error in &syntax {
        let span = error.span().unwrap_or_default();
        let about = text.get(span.clone()).filter(|text| !text.is_empty() && !text.contains('\n')).unwrap_or_default();
        findings.error(&span, about, error.message().trim());
    }
    findings.finish().map(|_| table)
}

fn warn_of_secrets(host: &dyn Host, name: &str, keeper: &Keeper<'_>, findings: &Findings<'_>) {
    if *keeper.literal.borrow() && host.others_can_read(Path::new(name)) {
        findings.warn(format!("{name}: it holds secrets and others can read it: chmod 640, or keep them elsewhere"));
    }
}

/// Each source remembers for itself what it has done to guests, and would undo what another has.
fn warn_of_shared_clusters(sources: &[NamedSource], findings: &Findings<'_>) {
    let accounts = accounts(sources);
    let clusters: Vec<_> = accounts.iter().filter_map(|(name, account)| Some((name, account.pve()?))).collect();
    for (index, (name, cluster)) in clusters.iter().enumerate() {
        let shares = |other: &Cluster| other.addresses().iter().any(|address| cluster.addresses().contains(address));
        for (other, _) in clusters[index + 1..].iter().filter(|(_, other)| shares(other)) {
            findings.warn(format!(
                "source.{name} and source.{other}: both read the same cluster: guests in both are held by each on its own"
            ));
        }
    }
}

fn read_deadline(root: &Fields<'_>) -> Duration {
    root.or("deadline", Duration::from_secs(50), "\"50s\"", |value| {
        let deadline = value.duration()?;
        let sensible = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&deadline);
        if sensible { Ok(deadline) } else { Err("between 1 s and 1 h is expected".into()) }
    })
}

fn read(host: &dyn Host, root: &Fields<'_>, keeper: &Keeper<'_>) -> Config {
    let language = root.or("language", default_language(host), default_language_text(host), |value| {
        value.word(&[("en", Language::En), ("zh", Language::Zh)])
    });
    let zone = machine_zone(host);
    let shown = format!("{:?}", zone.name());
    let zone = root.or("timezone", zone, &shown, |value| read_zone(host, value.text()?));
    let deadline = read_deadline(root);
    let path = |value: &fields::Value<'_>| value.text().map(PathBuf::from);
    let (state_dir, log_file) = (root.opt("state_dir", path), root.opt("log_file", path));
    let (host_name, public_address) = read_host(host, root.table("host"));
    let sources = read_sources(root, keeper);
    keeper.reading(Part::Notifiers);
    let notifiers = read_notifiers(root, keeper);
    keeper.reading(Part::History);
    let history = history::read(root.table("history"), keeper);
    keeper.reading(Part::Push);
    let push = push::read(root.table("push"), keeper, &host_name);
    keeper.reading(Part::Serve);
    let serve = serve::read(root.table("serve"), keeper);
    let actions = read_actions(root, &accounts(&sources));
    let known = quotas::Known::new(host, &zone, &sources, &notifiers, &actions);
    let quotas = quotas::read(root, &known);
    let alarms = alarms::read(root, &known);
    Config {
        file: None,
        language,
        zone,
        deadline,
        state_dir,
        log_file,
        host_name,
        public_address,
        sources,
        quotas,
        quota_names: root.tables("quota").into_iter().map(|(name, _)| name).collect(),
        alarms,
        notifiers,
        actions,
        history,
        push,
        serve,
        withheld: Vec::new(),
        secrets: Vec::new(),
        warnings: Vec::new(),
        shown: Vec::new(),
    }
}

fn default_language(host: &dyn Host) -> Language {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| host.env(name));
    if locale.is_some_and(|locale| locale.starts_with("zh")) { Language::Zh } else { Language::En }
}

fn default_language_text(host: &dyn Host) -> &'static str {
    match default_language(host) {
        Language::En => "\"en\"",
        Language::Zh => "\"zh\"",
    }
}

/// The machine's zone: the link or file `/etc/localtime`, `/etc/timezone`, else UTC. Not `TZ`: that is of a shell, and
/// the same command by hand and by cron must mean the same periods.
fn machine_zone(host: &dyn Host) -> Zone {
    let localtime = Path::new("/etc/localtime");
    let linked = || {
        let target = host.link(localtime).ok()?;
        named_zone(host, target.split_once("zoneinfo/")?.1)
    };
    let copied = || Zone::from_tzif("localtime", &host.bytes(localtime).ok()?);
    let named = || named_zone(host, host.read(Path::new("/etc/timezone")).ok()?.trim());
    linked().or_else(copied).or_else(named).unwrap_or_else(Zone::utc)
}

/// A zone of the system's database, read directly: looking a name up lists the whole database, which takes longer
/// than the rest of a run. What is not there as a file is looked up.
fn named_zone(host: &dyn Host, name: &str) -> Option<Zone> {
    let plain =
        name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part != "posix" && part != "right");
    let file = || host.bytes(&Path::new("/usr/share/zoneinfo").join(name)).ok();
    let direct = Some(()).filter(|()| plain).and_then(|()| Zone::from_tzif(name, &file()?));
    direct.or_else(|| Zone::named(name))
}

fn read_zone(host: &dyn Host, text: &str) -> std::result::Result<Zone, String> {
    named_zone(host, text).ok_or_else(|| {
        let names = zone::names();
        let near = fields::nearest(text, names.iter().map(String::as_str));
        format!("{text:?} is no time zone{near}")
    })
}

fn read_host(host: &dyn Host, fields: Fields<'_>) -> (String, Option<PublicAddress>) {
    let of = |path: &str| host.read(Path::new(path)).ok().map(|text| text.trim().to_owned()).filter(|n| !n.is_empty());
    let found = of("/proc/sys/kernel/hostname").or_else(|| of("/etc/hostname")).unwrap_or_else(|| "localhost".into());
    let shown = format!("{found:?}");
    let name = fields.or("name", found, &shown, |value| match value.text()? {
        "" => Err("it is empty".into()),
        name => Ok(name.to_owned()),
    });
    let address = fields.opt("public_address", |value| {
        if !value.is_table() {
            return value.text().map(|text| PublicAddress::Literal(text.into()));
        }
        let table = value.table().ok_or("a table is expected")?;
        let url = table.value("url").map(|value| value.text().map(str::to_owned));
        table.finish();
        let url = url.ok_or("url is missing")??;
        if url.starts_with("https://") || url.starts_with("http://") {
            return Ok(PublicAddress::Url(url));
        }
        Err(format!("{url:?} is no http or https address"))
    });
    fields.finish();
    (name, address)
}

/// The kind of a table: its `kind`, else its name.
fn kind<T: Copy>(name: &str, fields: &Fields<'_>, kinds: &[(&'static str, T)]) -> Option<T> {
    if fields.has("kind") {
        return fields.opt("kind", |value| value.word(kinds));
    }
    match kinds.iter().find(|(kind, _)| *kind == name) {
        Some((kind, open)) => {
            fields.show_default("kind", &format!("{kind:?}"));
            Some(*open)
        }
        None => {
            let known: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
            fields.error(format!("kind is missing: one of {}", known.join(", ")));
            None
        }
    }
}

fn read_sources(root: &Fields<'_>, keeper: &Keeper<'_>) -> Vec<NamedSource> {
    let mut tables = root.tables("source");
    if tables.is_empty() {
        tables.push(("interface".into(), Fields::absent(root.findings(), "source.interface")));
    }
    tables.into_iter().filter_map(|(name, fields)| read_source(name, fields, keeper)).collect()
}

/// The access to vendors that the sources have.
fn accounts(sources: &[NamedSource]) -> Accounts {
    sources.iter().filter_map(|named| Some((named.name.clone(), named.source.account()?))).collect()
}

fn read_source(name: String, fields: Fields<'_>, keeper: &Keeper<'_>) -> Option<NamedSource> {
    let findings = fields.findings();
    let open = kind(&name, &fields, sources::SOURCES);
    let every = fields.opt("every", fields::Value::duration);
    let problem_after = fields.or("problem_after", Duration::from_secs(3600), "\"1 h\"", fields::Value::duration);
    let source = open.map(|open| open(&fields, keeper));
    if open.is_some() {
        fields.finish();
    }
    let Some(source) = source.flatten() else {
        findings.unusable("source", &name);
        return None;
    };
    Some(NamedSource { name, every, problem_after, source })
}

fn read_notifiers(root: &Fields<'_>, keeper: &Keeper<'_>) -> Vec<Channel> {
    let tables = root.tables("notifier");
    if tables.is_empty() {
        return vec![Channel { name: notify::terminal::NAME.into(), notifier: Box::new(notify::terminal::Terminal) }];
    }
    let open = |(name, fields): (String, Fields<'_>)| {
        let open = kind(&name, &fields, notify::NOTIFIERS)?;
        let notifier = open(&fields, keeper);
        fields.finish();
        Some(Channel { name, notifier: notifier? })
    };
    tables.into_iter().filter_map(open).collect()
}

fn read_actions(root: &Fields<'_>, accounts: &Accounts) -> Vec<NamedAction> {
    let mut tables = root.tables("action");
    for kind in enforce::NEEDS_NO_TABLE {
        if !tables.iter().any(|(name, _)| name == kind) {
            tables.push(((*kind).into(), Fields::absent(root.findings(), &format!("action.{kind}"))));
        }
    }
    tables.into_iter().filter_map(|(name, fields)| read_action(name, fields, accounts)).collect()
}

fn read_action(name: String, fields: Fields<'_>, accounts: &Accounts) -> Option<NamedAction> {
    let findings = fields.findings();
    let open = kind(&name, &fields, enforce::ACTIONS);
    let does = open.map(|open| open(&fields, accounts));
    let effect = does.as_ref().and_then(|does| does.as_ref()).map(Does::effect);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let (mut boot_grace, mut announce, mut arm_after, mut again_after) = (minutes(0), minutes(0), minutes(0), None);
    // A guest that is kept slow or cut off is up for as long as it likes.
    if !matches!(effect, Some(Effect::Kept(Kept::Disconnected | Kept::Limited(_)))) {
        boot_grace = fields.or("boot_grace", minutes(15), "\"15 min\"", fields::Value::duration);
        announce = fields.or("announce", minutes(0), "\"0 s\"", fields::Value::duration);
        arm_after = fields.or("arm_after", minutes(15), "\"15 min\"", fields::Value::duration);
        if !matches!(effect, Some(Effect::Kept(_))) {
            again_after = fields.opt("again_after", fields::Value::duration);
        }
    }
    if open.is_some() {
        fields.finish();
    }
    let (Some(mut does), Some(mut effect)) = (does.flatten(), effect) else {
        findings.unusable("action", &name);
        return None;
    };
    if let (Does::Hold(Kept::Off(off)), Effect::Kept(Kept::Off(same))) = (&mut does, &mut effect) {
        (off.grace, same.grace) = (boot_grace, boot_grace);
    }
    let rule = ActionRule {
        name,
        effect,
        boot_grace,
        announce,
        arm_after,
        again_after,
        retry_after: does.once().and_then(|action| action.retry_after()).unwrap_or_else(|| minutes(10)),
        lifts: does.once().is_some_and(|action| action.lifts()),
    };
    let settings = format!("{rule:?} {}", does.once().map(|action| action.settings()).unwrap_or_default());
    Some(NamedAction { rule, settings, does })
}

/// The state folder: the command line's, the configuration's, systemd's, else the usual one.
pub fn state_dir(host: &dyn Host, explicit: Option<&Path>, config: &Config, root_user: bool) -> Result<PathBuf> {
    let given = explicit.map(Path::to_owned).or_else(|| config.state_dir.clone());
    let systemd = || host.env("STATE_DIRECTORY").and_then(|list| list.split(':').next().map(Into::into));
    if let Some(folder) = given.or_else(systemd) {
        return Ok(folder);
    }
    if root_user {
        return Ok("/var/lib/netquota".into());
    }
    let home = host.env("XDG_STATE_HOME").or_else(|| host.env("HOME").map(|home| format!("{home}/.local/state")));
    let home = home.ok_or_else(|| Error::usage("no state directory: give --state-dir"))?;
    Ok(Path::new(&home).join("netquota"))
}

//! Secrets of the configuration: a text, or where it is kept. Resolved only by the commands that use them.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use super::fields::{Fields, Value};
use crate::host::{Host, Roots, Tls};
use crate::secret::Secret;

/// Where credentials are when systemd hands none over.
const CREDENTIALS: &str = "/etc/netquota/credentials";

/// Which secrets a command uses: one of these that cannot be had is an error, the others stay where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// All that a check uses.
    Secrets,
    /// Those of the sources: it reads, and sends nothing.
    Sources,
    /// That of the history: it looks into it, and sends nothing.
    History,
    /// Those of the history and of the notifiers: it sends what is there.
    Sending,
    /// That of the hub: it reports to it.
    Pushing,
    /// Those of the notifiers: it sends a test.
    Testing,
    /// Those of `serve`: what its views need beside them, they ask for themselves.
    Serving,
    /// None.
    Nothing,
}

/// A part of the configuration that has secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `[source.…]`.
    Sources,
    /// `[notifier.…]`.
    Notifiers,
    /// `[history]`.
    History,
    /// `[push]`.
    Push,
    /// `[serve]`.
    Serve,
}

impl Need {
    fn has(self, part: Part) -> bool {
        match self {
            Self::Secrets => matches!(part, Part::Sources | Part::Notifiers | Part::History),
            Self::Sources => part == Part::Sources,
            Self::History => part == Part::History,
            Self::Sending => matches!(part, Part::Notifiers | Part::History),
            Self::Pushing => part == Part::Push,
            Self::Testing => part == Part::Notifiers,
            Self::Serving => part == Part::Serve,
            Self::Nothing => false,
        }
    }
}

/// Reads secrets, and remembers what to be careful about.
pub struct Keeper<'h> {
    host: &'h dyn Host,
    need: Need,
    part: Cell<Part>,
    /// Environment variables that hold secrets: withheld from commands.
    pub variables: RefCell<Vec<String>>,
    /// Whether one is written into the file itself.
    pub literal: RefCell<bool>,
    /// All that were resolved.
    pub secrets: RefCell<Vec<Secret>>,
}

impl<'h> Keeper<'h> {
    /// Nothing found yet; the sources come first.
    pub fn new(host: &'h dyn Host, need: Need) -> Self {
        Self {
            host,
            need,
            part: Cell::new(Part::Sources),
            variables: RefCell::default(),
            literal: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// What comes now is of this part.
    pub fn reading(&self, part: Part) {
        self.part.set(part);
    }

    /// Whether the secrets that come now are used.
    fn needed(&self) -> bool {
        self.need.has(self.part.get())
    }

    /// A secret that was found in another value of the file.
    pub fn literal(&self, secret: &Secret) {
        *self.literal.borrow_mut() = true;
        self.keep(secret.clone());
    }

    /// The secret under a key that must be there. Unresolved ones are empty.
    pub fn need(&self, fields: &Fields<'_>, key: &str) -> Option<Secret> {
        if !fields.has(key) {
            fields.error(format!("{key} is missing"));
            return None;
        }
        self.opt(fields, key)
    }

    /// The secret under a key, else that of an environment variable; one of them must be there.
    pub fn need_or_env(&self, fields: &Fields<'_>, key: &str, variable: &str) -> Option<Secret> {
        if fields.has(key) {
            return self.opt(fields, key);
        }
        fields.show_default(key, &format!("{{ env = \"{variable}\" }}"));
        match self.env(variable) {
            Ok(secret) => Some(self.keep(secret)),
            Err(why) => {
                fields.error_at(key, format!("it is missing, and {why}"));
                None
            }
        }
    }

    /// The secret in an environment variable that need not be there.
    pub fn env_if_set(&self, variable: &str) -> Option<Secret> {
        self.host.env(variable)?;
        self.env(variable).ok().map(|secret| self.keep(secret))
    }

    /// A variable of the environment that holds no secret.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.host.env(name)
    }

    /// A file that goes with secrets, such as a CA's certificate; none when secrets are not needed now.
    pub fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        if !self.needed() {
            return Ok(None);
        }
        self.host.bytes(path).map(Some).map_err(|error| error.to_string())
    }

    /// Whom to trust: the authorities in the file under a key, else those of the web. None when that is wrong.
    pub fn tls(&self, fields: &Fields<'_>, key: &str) -> Option<Tls> {
        if !fields.has(key) {
            return Some(Tls::System);
        }
        let file = fields.opt(key, |value| value.text().map(PathBuf::from))?;
        let roots = || match self.bytes(&file)? {
            None => Ok(Tls::System),
            Some(pem) => Roots::from_pem(&pem).map(Tls::Roots).map_err(|why| format!("{}: {why}", file.display())),
        };
        roots().map_err(|why: String| fields.error_at(key, why)).ok()
    }

    fn keep(&self, secret: Secret) -> Secret {
        self.secrets.borrow_mut().push(secret.clone());
        secret
    }

    /// The secret under a key.
    pub fn opt(&self, fields: &Fields<'_>, key: &str) -> Option<Secret> {
        fields.hidden(key, |value| self.read(value)).map(|secret| self.keep(secret))
    }

    fn read(&self, value: &Value<'_>) -> Result<Secret, String> {
        if !value.is_table() {
            *self.literal.borrow_mut() = true;
            let text =
                value.text().map_err(|_| "a text, { env = … }, { file = … } or { credential = … } is expected")?;
            return checked(text, "it");
        }
        let table = value.table().ok_or("a table is expected")?;
        let text = |key: &str| table.value(key).map(|value| value.text());
        let (env, file, credential) = (text("env"), text("file"), text("credential"));
        table.finish();
        match (env, file, credential) {
            (Some(name), None, None) => self.env(name?),
            (None, Some(path), None) => self.file(Path::new(path?)),
            (None, None, Some(name)) => self.file(&self.credential(name?)),
            _ => Err("exactly one of env, file and credential is expected".into()),
        }
    }

    fn env(&self, name: &str) -> Result<Secret, String> {
        self.variables.borrow_mut().push(name.into());
        if !self.needed() {
            return Ok(Secret::new(String::new()));
        }
        let text = self.host.env(name).ok_or_else(|| format!("the environment variable {name} is not set"))?;
        checked(&text, &format!("the environment variable {name}"))
    }

    fn file(&self, path: &Path) -> Result<Secret, String> {
        if !self.needed() {
            return Ok(Secret::new(String::new()));
        }
        let text = self.host.read(path).map_err(|error| error.to_string())?;
        checked(text.trim(), &path.display().to_string())
    }

    fn credential(&self, name: &str) -> PathBuf {
        let given = self.host.env("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(name));
        match given.filter(|path| self.host.read(path).is_ok()) {
            Some(path) => path,
            None => Path::new(CREDENTIALS).join(name),
        }
    }
}

fn checked(text: &str, what: &str) -> Result<Secret, String> {
    if text.is_empty() {
        return Err(format!("{what} is empty"));
    }
    Ok(Secret::new(text.to_owned()))
}

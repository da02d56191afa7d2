//! Where the history is: in a file, on a server, or nowhere.
//!
//! Invariant: what crosses a network is encrypted and goes to a server that has proved who it is, unless the address
//! says otherwise in so many words. No text of an error holds a part of the address that may be of a password.
//!
//! Why a server on this machine is spoken to in the clear: the bytes do not leave it, and few have a certificate for
//! `localhost`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::{Access, Archive, Failure, sqlite};
use crate::config::fields::nearest;
use crate::secret::Secret;

/// Of the file in the state directory.
pub const FILE: &str = "history.db";

/// Where the history is.
#[derive(Debug, Clone)]
pub enum Place {
    /// There is none.
    Nowhere,
    /// In this file; none: `history.db` in the state directory.
    Sqlite(Option<PathBuf>),
    /// On a server.
    Server(Server),
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To look: nothing is made or changed.
    Read,
    /// To write: what is missing is made, what is of an older version brought up to date.
    Write,
}

/// A database on a server.
#[derive(Debug, Clone)]
pub struct Server {
    /// What kind of server it is.
    pub kind: Kind,
    /// Its name or address, an IPv6 address without brackets; or the path of a socket: PostgreSQL's directory, MySQL's file.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        allow(dead_code, reason = "without a driver nobody logs in")
    )]
    pub user: String,
    /// The database there.
    pub database: String,
    /// Of the user.
    pub password: Option<Secret>,
    /// How the connection is protected.
    pub tls: Tls,
}

/// The kinds of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
}

/// How a connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// It is encrypted, to whoever answers.
    Unproven,
    /// By a certificate of an authority, whatever name it has.
    Authority(Roots),
    /// By a certificate of an authority for the server's name.
    Full(Roots),
}

/// The authorities that are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of the web, which the program has with it.
    Web,
    /// Those of a file alone.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its text in PEM form; empty until the configuration has read it.
        pem: Vec<u8>,
    },
}

impl Tls {
    /// The authorities, where they are asked for.
    pub fn roots_mut(&mut self) -> Option<&mut Roots> {
        match self {
            Self::Off | Self::Unproven => None,
            Self::Authority(roots) | Self::Full(roots) => Some(roots),
        }
    }
}

impl Place {
    /// The place of an address. What is said of one that is none holds no secret.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url == "none" {
            return Ok(Self::Nowhere);
        }
        let (scheme, rest) = url.split_once(':').ok_or_else(|| format!("it is no address: {FORMS}"))?;
        if scheme == "sqlite" {
            return Ok(Self::Sqlite(file(rest)?));
        }
        let kind = Kind::of(scheme).ok_or_else(|| unknown_scheme(scheme))?;
        if !kind.built() {
            let (name, feature) = (kind.name(), kind.feature());
            return Err(format!("this build has no {name}: build with --features {feature}"));
        }
        Ok(Self::Server(Server::parse(kind, rest)?))
    }

    /// An address as it may be shown.
    pub fn shown(url: &str) -> String {
        let Some((head, rest)) = url.split_once("://") else { return url.to_owned() };
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        match authority.rsplit_once('@').and_then(|(user, at)| Some((user.split_once(':')?.0, at))) {
            Some((user, at)) => format!("{head}://{user}:(redacted)@{at}{tail}"),
            None => url.to_owned(),
        }
    }

    /// Opens the store; none where there is no history (yet). It is waited for others at most for so long.
    pub fn open(
        &self,
        state_dir: &Path,
        mode: Mode,
        limit: Duration,
    ) -> Result<Option<Box<dyn Archive + Send>>, Failure> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Sqlite(path) => {
                let path = path.clone().unwrap_or_else(|| state_dir.join(FILE));
                Ok(boxed(sqlite::open(&path, mode, limit)?))
            }
            Self::Server(server) => match server.kind {
                #[cfg(feature = "postgres")]
                Kind::Postgres => Ok(boxed(super::postgres::Postgres::open(server, mode, limit)?)),
                #[cfg(feature = "mysql")]
                Kind::Mysql => Ok(boxed(super::mysql::Mysql::open(server, mode, limit)?)),
                // No configuration names one that this build does not have.
                #[cfg(not(all(feature = "postgres", feature = "mysql")))]
                kind => Err(Failure { text: format!("this build has no {}", kind.name()) }),
            },
        }
    }
}

/// The store of a configuration, for a run.
pub struct Kept<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// For a file that has no place of its own.
    pub state_dir: &'a Path,
}

impl Access for Kept<'_> {
    fn is_kept(&self) -> bool {
        !matches!(self.place, Place::Nowhere)
    }

    fn is_shared(&self) -> bool {
        matches!(self.place, Place::Server(_))
    }

    fn open(&self, limit: Duration) -> Result<Box<dyn Archive>, Failure> {
        let archive = self.place.open(self.state_dir, Mode::Write, limit)?;
        archive.map(|archive| archive as Box<dyn Archive>).ok_or_else(|| Failure { text: "there is none".into() })
    }

    fn look(&self, limit: Duration) -> Result<Option<Box<dyn Archive>>, Failure> {
        Ok(self.place.open(self.state_dir, Mode::Read, limit)?.map(|archive| archive as Box<dyn Archive>))
    }
}

fn boxed(archive: Option<impl Archive + Send + 'static>) -> Option<Box<dyn Archive + Send>> {
    archive.map(|archive| Box::new(archive) as Box<dyn Archive + Send>)
}

/// What addresses look like.
const FORMS: &str = "\"none\", \"sqlite:\", \"sqlite:/PATH\", \"postgres://USER@HOST/DATABASE\" or \
                     \"mysql://USER@HOST/DATABASE\" is expected";

/// A word that is near to a kind's is told; anything else might be a part of a secret.
fn unknown_scheme(scheme: &str) -> String {
    let known = SCHEMES.iter().map(|(name, _)| *name).chain(["none", "sqlite"]);
    match nearest(scheme, known) {
        near if near.contains("did you mean") => format!("{scheme:?} is no kind of store{near}"),
        _ => format!("it is no address of a store: {FORMS}"),
    }
}

/// The path of a file, whatever slashes go before it; none without one.
fn file(rest: &str) -> Result<Option<PathBuf>, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match path {
        "" => Ok(None),
        _ if path.starts_with('/') && !path.ends_with('/') => Ok(Some(path.into())),
        _ => Err(format!("{path:?} is not the path of a file that begins with /")),
    }
}

const SCHEMES: [(&str, Kind); 4] =
    [("postgres", Kind::Postgres), ("postgresql", Kind::Postgres), ("mysql", Kind::Mysql), ("mariadb", Kind::Mysql)];

impl Kind {
    fn of(scheme: &str) -> Option<Self> {
        SCHEMES.iter().find(|(name, _)| *name == scheme).map(|(_, kind)| *kind)
    }

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
        }
    }

    fn feature(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    fn built(self) -> bool {
        match self {
            Self::Postgres => cfg!(feature = "postgres"),
            Self::Mysql => cfg!(feature = "mysql"),
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }

    /// The parameters of its addresses: how a server has to prove itself, of what file's authorities, where the socket is.
    fn parameters(self) -> &'static [(&'static str, Parameter)] {
        match self {
            Self::Postgres => {
                &[("sslmode", Parameter::Mode), ("sslrootcert", Parameter::Roots), ("host", Parameter::Host)]
            }
            Self::Mysql => &[
                ("ssl-mode", Parameter::Mode),
                ("sslmode", Parameter::Mode),
                ("ssl-ca", Parameter::Roots),
                ("sslrootcert", Parameter::Roots),
                ("socket", Parameter::Host),
                ("host", Parameter::Host),
            ],
        }
    }
}

/// What a parameter of an address is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Mode,
    Roots,
    Host,
}

/// How a server has to prove itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Off,
    None,
    Authority,
    Full,
}

/// In PostgreSQL's words, and in MySQL's.
const MODES: [(&str, Proof); 8] = [
    ("disable", Proof::Off),
    ("require", Proof::None),
    ("verify-ca", Proof::Authority),
    ("verify-full", Proof::Full),
    ("disabled", Proof::Off),
    ("required", Proof::None),
    ("verify_ca", Proof::Authority),
    ("verify_identity", Proof::Full),
];

impl Server {
    /// The server of an address, whether or not this build can speak with it: `//USER:PASSWORD@HOST:PORT/DATABASE?…`
    pub fn parse(kind: Kind, rest: &str) -> Result<Self, String> {
        let rest = rest.strip_prefix("//").ok_or_else(|| format!("it is no address: {FORMS}"))?;
        if rest.contains('#') {
            return Err("there is a # in it; as part of a password it is written %23".into());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (user, password) = (decoded(user, "the user")?, decoded(password, "the password")?);
        let (host, port) = host_and_port(address)?;
        if user.is_empty() {
            return Err(format!("the user is missing before the host; {ENCODED}"));
        }
        if database.is_empty() || database.contains('/') {
            return Err(format!("one database is expected after the host; {ENCODED}"));
        }
        let database = decoded(database, "the database")?;
        let asked = Asked::read(kind, query)?;
        let host = match asked.host {
            Some(_) if !host.is_empty() => return Err("the host is given twice".into()),
            Some(host) => host,
            None if host.is_empty() => "localhost".into(),
            None => host,
        };
        Ok(Self {
            kind,
            tls: asked.tls.resolve(is_here(&host))?,
            host,
            port: port.unwrap_or_else(|| kind.port()),
            user,
            database,
            password: Some(password).filter(|password| !password.is_empty()).map(Secret::new),
        })
    }

    /// The socket on this machine, where that is how it is reached.
    pub fn socket(&self) -> Option<&Path> {
        self.host.starts_with('/').then(|| Path::new(&self.host))
    }
}

impl std::fmt::Display for Server {
    /// As messages call it: without the user and the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.socket() {
            Some(socket) => write!(f, "{} {} at {}", self.kind.name(), self.database, socket.display()),
            None => write!(f, "{} {} at {}:{}", self.kind.name(), self.database, bracketed(&self.host), self.port),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

const ENCODED: &str = "special characters of a user name or password are percent-encoded";

fn decoded(text: &str, what: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| format!("{what} is not percent-encoded UTF-8"))?;
    if text.contains('\0') {
        return Err(format!("{what} has a zero byte in it"));
    }
    Ok(text.into_owned())
}

/// Neither is repeated in an error: an unencoded character may have made a part of the password of it.
fn host_and_port(address: &str) -> Result<(String, Option<u16>), String> {
    let wrong = || format!("the host is not a name, an address or the encoded path of a socket; {ENCODED}");
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(wrong)?) })
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let host = decoded(host, "the host")?;
    let path = host.starts_with('/');
    if !path && !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':')) {
        return Err(wrong());
    }
    let port = port.map(|port| match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("the port after the host is not a number from 1 to 65535; {ENCODED}")),
    });
    Ok((host, port.transpose()?))
}

/// Whether what is sent there stays on this machine.
fn is_here(host: &str) -> bool {
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What the parameters of an address say.
#[derive(Default)]
struct Asked {
    host: Option<String>,
    tls: AskedTls,
}

#[derive(Default)]
struct AskedTls {
    proof: Option<Proof>,
    roots: Option<PathBuf>,
}

impl Asked {
    fn read(kind: Kind, query: &str) -> Result<Self, String> {
        let mut asked = Self::default();
        let known = kind.parameters();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let Some((name, parameter)) = known.iter().find(|(known, _)| *known == name) else {
                let near = nearest(name, known.iter().map(|(name, _)| *name));
                return Err(format!("the parameter {name:?} is not known{near}"));
            };
            asked.take(*parameter, name, &decoded(value, name)?)?;
        }
        Ok(asked)
    }

    fn take(&mut self, parameter: Parameter, name: &str, value: &str) -> Result<(), String> {
        let twice = match parameter {
            Parameter::Mode => self.tls.proof.replace(proof(name, value)?).is_some(),
            Parameter::Roots => self.tls.roots.replace(absolute(name, value)?).is_some(),
            Parameter::Host => self.host.replace(absolute(name, value)?.display().to_string()).is_some(),
        };
        if twice { Err(format!("{name}: it is given twice")) } else { Ok(()) }
    }
}

fn proof(name: &str, value: &str) -> Result<Proof, String> {
    let lower = value.to_ascii_lowercase();
    let found = MODES.iter().find(|(word, _)| *word == lower);
    let near = || nearest(&lower, MODES.iter().map(|(word, _)| *word));
    found.map(|(_, proof)| *proof).ok_or_else(|| format!("{name}: {value:?} is not known{}", near()))
}

fn absolute(name: &str, value: &str) -> Result<PathBuf, String> {
    if value.starts_with('/') { Ok(value.into()) } else { Err(format!("{name}: {value:?} does not begin with /")) }
}

impl AskedTls {
    fn resolve(self, here: bool) -> Result<Tls, String> {
        let roots = |path: Option<PathBuf>| match path {
            Some(path) => Roots::File { path, pem: Vec::new() },
            None => Roots::Web,
        };
        Ok(match (self.proof, self.roots) {
            (None, None) if here => Tls::Off,
            (None | Some(Proof::Full), path) => Tls::Full(roots(path)),
            (Some(Proof::Authority), path) => Tls::Authority(roots(path)),
            // Who names an authority wants it asked for, as PostgreSQL's own programs understand it.
            (Some(Proof::None), Some(path)) => Tls::Authority(roots(Some(path))),
            (Some(Proof::None), None) => Tls::Unproven,
            (Some(Proof::Off), None) => Tls::Off,
            (Some(Proof::Off), Some(_)) => return Err("authorities are given for a connection without TLS".into()),
        })
    }
}

#[cfg(test)]
mod tests;

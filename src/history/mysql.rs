//! The history on a MySQL or MariaDB server.
//!
//! Why texts are written into statements byte by byte as hexadecimal digits: so no rule of quoting and no character set
//! of a connection has a say in what they mean, and a statement is one question and one answer.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, DriverError, Error, IoError, OptsBuilder, Row, SslOpts, Value};

use super::place::{Mode, Roots, Server, Tls};
use super::server::{Answer, Cell, Cells, Connection, Remote, Statement, Trouble};

/// A history on such a server.
pub type Mysql = Remote<Login>;

/// A login to a database.
pub struct Login {
    connection: Conn,
}

/// Version 1: what was metered. Times are milliseconds since 1970; a grain is 0 for a sample, 1 for an hour's and 2 for
/// a day's edge; a key is the bits of an unsigned number; a spread is the seconds, NULL for none, -1 after a hole.
const METERING: &str = "\
CREATE TABLE IF NOT EXISTS netquota_instances (
    number bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id varbinary(255) NOT NULL UNIQUE,
    host mediumtext NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS netquota_series (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    instance bigint NOT NULL,
    subject_key bigint NOT NULL,
    source mediumtext NOT NULL,
    subject mediumtext NOT NULL,
    label mediumtext NOT NULL,
    part_of mediumtext NOT NULL,
    first_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    UNIQUE (instance, subject_key)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS netquota_moments (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    instance bigint NOT NULL,
    at bigint NOT NULL,
    grain tinyint NOT NULL,
    UNIQUE (instance, at),
    KEY netquota_moments_by_grain (instance, grain, at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS netquota_samples (
    moment bigint NOT NULL,
    series bigint NOT NULL,
    rx bigint NOT NULL,
    tx bigint NOT NULL,
    spread bigint,
    PRIMARY KEY (moment, series)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";

/// Version 2: what was done and told.
const EVENTS: &str = "\
CREATE TABLE IF NOT EXISTS netquota_events (
    instance bigint NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    kind varchar(32) NOT NULL,
    source mediumtext NOT NULL,
    subject mediumtext NOT NULL,
    quota mediumtext NOT NULL,
    name mediumtext NOT NULL,
    reason mediumtext NOT NULL,
    outcome varchar(32) NOT NULL,
    detail mediumtext NOT NULL,
    PRIMARY KEY (instance, number),
    KEY netquota_events_by_time (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";

/// Its numbers of errors of runs that were in each other's way: a deadlock, and a row that has changed since.
const IN_THE_WAY: [u16; 2] = [1213, 1020];

impl Connection for Login {
    const STEPS: [&'static str; 2] = [METERING, EVENTS];
    const EXISTS: &'static str = "SELECT count(*) FROM information_schema.tables \
                                  WHERE table_schema = database() AND table_name = 'netquota_schema'";
    // It makes tables without regard to transactions, so the lock is one of the session. Locks are the whole server's.
    const LOCK: &'static str = "SELECT get_lock(concat('netquota ', md5(database())), @@innodb_lock_wait_timeout)";
    const UNLOCK: &'static str = "DO release_lock(concat('netquota ', md5(database())))";

    async fn open(server: &Server, limit: Duration) -> Result<Self, Trouble> {
        // Whole seconds are all it knows; we give up by ourselves, at the limit.
        let seconds = limit.as_secs().saturating_add(1);
        // What a machine holds that has vanished from the network is let go.
        let idle = seconds.saturating_mul(2).saturating_add(60);
        let setup = format!(
            "SET NAMES utf8mb4, SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
             SESSION innodb_lock_wait_timeout = {seconds}, SESSION lock_wait_timeout = {seconds}, \
             SESSION wait_timeout = {idle}"
        );
        let options = OptsBuilder::default()
            .user(Some(&server.user))
            .pass(server.password.as_ref().map(|password| password.expose()))
            .db_name(Some(&server.database))
            .init(vec![setup.as_str(), "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"])
            // A password is sent to nobody who says he is the local server.
            .prefer_socket(false)
            .stmt_cache_size(0)
            .tcp_nodelay(true);
        let options = match server.socket() {
            Some(socket) => options.socket(Some(socket.display().to_string())),
            None => options.ip_or_hostname(&server.host).tcp_port(server.port).ssl_opts(encryption(&server.tls)),
        };
        let connection = Conn::new(options).await.map_err(trouble)?;
        Ok(Self { connection })
    }

    async fn query(&mut self, statement: &Statement) -> Result<Answer, Trouble> {
        let mut result = self.connection.query_iter(spelled(statement)).await.map_err(trouble)?;
        let changed = result.affected_rows();
        let rows: Vec<Row> = result.collect().await.map_err(trouble)?;
        Ok(Answer { rows: rows.into_iter().map(cells).collect(), changed })
    }

    async fn run(&mut self, sql: &str) -> Result<(), Trouble> {
        self.connection.query_drop(sql).await.map_err(trouble)
    }

    async fn close(self) {
        let _ = self.connection.disconnect().await;
    }

    fn begin(&self, mode: Mode) -> String {
        match mode {
            Mode::Read => "START TRANSACTION READ ONLY".into(),
            Mode::Write => "START TRANSACTION READ WRITE".into(),
        }
    }

    fn conflict(_: &str) -> String {
        "ON DUPLICATE KEY UPDATE".into()
    }

    fn inserted(column: &str) -> String {
        format!("VALUES({column})")
    }

    /// Its collation of bytes takes no notice of blanks at the end.
    fn same(column: &str) -> String {
        format!("CAST({column} AS BINARY) = CAST(? AS BINARY)")
    }

    fn storable(text: &str) -> Cow<'_, str> {
        text.into()
    }
}

fn encryption(tls: &Tls) -> Option<SslOpts> {
    let options = SslOpts::default();
    match tls {
        Tls::Off => None,
        Tls::Unproven => Some(options.with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true)),
        // The driver knows a wrong name by words that its TLS library does not use any more: so far all names are refused
        // but the right one, which is safe.
        Tls::Authority(roots) => Some(believing(options, roots).with_danger_skip_domain_validation(true)),
        Tls::Full(roots) => Some(believing(options, roots)),
    }
}

fn believing(options: SslOpts, roots: &Roots) -> SslOpts {
    match roots {
        Roots::Web => options,
        Roots::File { pem, .. } => options.with_root_certs(vec![pem.clone().into()]).with_disable_built_in_roots(true),
    }
}

/// The statement with its texts in it.
fn spelled(statement: &Statement) -> String {
    let mut parts = statement.sql.split('?');
    let mut sql = parts.next().unwrap_or_default().to_owned();
    for (text, part) in statement.texts.iter().zip(parts) {
        sql.push_str("_utf8mb4 x'");
        for byte in text.bytes() {
            let _ = write!(sql, "{byte:02x}");
        }
        sql.push('\'');
        sql.push_str(part);
    }
    sql
}

fn cells(row: Row) -> Cells {
    let cell = |value| match value {
        Value::NULL => Cell::Null,
        Value::Int(number) => Cell::Number(number),
        Value::Bytes(text) => Cell::Text(String::from_utf8_lossy(&text).into_owned()),
        other => Cell::Text(other.as_sql(true)),
    };
    Cells(row.unwrap().into_iter().map(cell).collect())
}

/// In the server's own words where it has said something, else in the system's.
fn trouble(error: Error) -> Trouble {
    match error {
        Error::Server(said) => {
            let again = IN_THE_WAY.contains(&said.code);
            Trouble { text: said.message, again }
        }
        Error::Io(IoError::Io(error)) => Trouble::new(crate::error::in_words(&error)),
        Error::Io(IoError::Tls(error)) => Trouble::new(error.to_string()),
        Error::Driver(DriverError::ConnectionClosed) => Trouble::new("the server has closed the connection"),
        Error::Driver(error) => Trouble::new(error.to_string()),
        other => Trouble::new(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_spelled_out() {
        let statement = Statement::new("a = ? AND b = ?;", ["'\\?", "\0é"]);
        assert_eq!(spelled(&statement), "a = _utf8mb4 x'275c3f' AND b = _utf8mb4 x'00c3a9';");
        assert_eq!(spelled(&"SELECT 1".into()), "SELECT 1");
    }
}

//! Database servers of the tests' own, real ones: PostgreSQL and MariaDB.
//!
//! Invariant: nothing of them stays behind, however the tests end: a script keeps each, and ends with its input.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use crate::history::place::{Kind, Server, Tls};
use crate::secret::Secret;

/// Of the users, with all that can go wrong in an address.
pub const PASSWORD: &str = "s3cret:pass/w@rd%20 …";

/// A running server.
pub struct Database {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    keeper: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    made: AtomicUsize,
}

impl Database {
    /// The one that all tests of a process use.
    pub fn shared(kind: Kind) -> &'static Self {
        static POSTGRES: OnceLock<Database> = OnceLock::new();
        static MARIADB: OnceLock<Database> = OnceLock::new();
        let database = match kind {
            Kind::Postgres => &POSTGRES,
            Kind::Mysql => &MARIADB,
        };
        database.get_or_init(|| Self::start(kind))
    }

    /// One for a test that does it harm.
    #[allow(clippy::disallowed_methods, reason = "tests start servers")]
    #[allow(clippy::zombie_processes, reason = "the keeper ends with the tests, when its standard input does")]
    pub fn start(kind: Kind) -> Self {
        let folder = tempfile::Builder::new().prefix("netquota-database-").tempdir().unwrap().keep();
        let port = own_port();
        let name = match kind {
            Kind::Postgres => "postgres",
            Kind::Mysql => "mariadb",
        };
        let mut keeper = Command::new("sh")
            .args(["-c", include_str!("database.sh"), "database", name])
            .arg(&folder)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keeper = Mutex::new((keeper.stdin.take().unwrap(), BufReader::new(keeper.stdout.take().unwrap())));
        let database = Self { kind, folder, port, keeper, made: AtomicUsize::new(0) };
        database.order("start");
        let users = ["netquota", "reader", "encrypted"];
        match kind {
            Kind::Postgres => {
                for user in users {
                    database.admin("postgres", &format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'"));
                }
            }
            Kind::Mysql => {
                for user in users {
                    database.admin("mysql", &format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{PASSWORD}'"));
                }
                database.admin("mysql", "ALTER USER encrypted@'%' REQUIRE SSL");
            }
        }
        database
    }

    fn order(&self, order: &str) {
        let mut keeper = self.keeper.lock().unwrap();
        writeln!(keeper.0, "{order}").unwrap();
        let mut answer = String::new();
        keeper.1.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), order, "{}", self.file("log"));
    }

    /// Kills all of it at once.
    pub fn crash(&self) {
        self.order("crash");
    }

    /// Waits until a crash that has begun is over.
    pub fn settle(&self) {
        drop(self.keeper.lock().unwrap());
    }

    /// Starts it after a crash.
    pub fn again(&self) {
        self.order("start");
    }

    /// A file of its folder: `ca.pem` of the authority it is certified by for `localhost`, `other.pem` of another one.
    #[allow(clippy::disallowed_methods, reason = "tests read files")]
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// What a statement of the administrator gives.
    #[track_caller]
    #[allow(clippy::disallowed_methods, reason = "tests run the servers' own programs")]
    pub fn admin(&self, database: &str, sql: &str) -> String {
        let output = match self.kind {
            Kind::Postgres => Command::new("psql")
                .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-p", &self.port.to_string()])
                .args(["-d", database, "-c", sql, "-h"])
                .arg(&self.folder)
                .output(),
            Kind::Mysql => Command::new("mariadb")
                .args(["--no-defaults", "-u", "root", "-N", "--default-character-set=utf8mb4", "-e", sql, database])
                .arg("--socket")
                .arg(self.folder.join("socket"))
                .output(),
        };
        let output = output.unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A database that nobody has used, and its owner's way to it.
    pub fn fresh(&self) -> Server {
        let database = format!("history{}", self.made.fetch_add(1, Ordering::SeqCst));
        match self.kind {
            Kind::Postgres => {
                self.admin("postgres", &format!("CREATE DATABASE {database} OWNER netquota"));
            }
            Kind::Mysql => {
                self.admin("mysql", &format!("CREATE DATABASE {database} CHARACTER SET latin1"));
                for user in ["netquota", "encrypted"] {
                    self.admin("mysql", &format!("GRANT ALL ON {database}.* TO {user}@'%'"));
                }
            }
        }
        Server {
            kind: self.kind,
            host: "127.0.0.1".into(),
            port: self.port,
            user: "netquota".into(),
            database,
            password: Some(Secret::new(PASSWORD)),
            tls: Tls::Off,
        }
    }

    /// Removes a database, whoever still uses it.
    pub fn remove(&self, server: &Server) {
        let force = if self.kind == Kind::Postgres { "WITH (FORCE)" } else { "" };
        let default = if self.kind == Kind::Postgres { "postgres" } else { "mysql" };
        self.admin(default, &format!("DROP DATABASE {} {force}", server.database));
    }

    /// The socket of the server's, as addresses have it.
    pub fn socket(&self) -> String {
        let socket = match self.kind {
            Kind::Postgres => self.folder.clone(),
            Kind::Mysql => self.folder.join("socket"),
        };
        socket.display().to_string()
    }
}

/// A port that stays a server's while it is down: the kernel gives nobody one from below its range of passing ones.
fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() % 20_000;
    loop {
        let next = u32::from(NEXT.fetch_add(1, Ordering::SeqCst));
        let port = 10_000 + ((first + next) % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Something between a client and a server, that does something when so many bytes have passed.
pub struct Between {
    /// Where it listens.
    pub port: u16,
    left: Arc<AtomicI64>,
}

/// What happens then.
#[derive(Clone, Copy)]
pub enum Cut {
    /// The connection is closed.
    Close,
    /// Nothing passes any more.
    Hang,
    /// The server is killed.
    Crash(&'static Database),
}

impl Between {
    /// Passes on what is for a server's port.
    pub fn new(port: u16, bytes: i64, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let left = Arc::new(AtomicI64::new(bytes));
        let between = Self { port: listener.local_addr().unwrap().port(), left: left.clone() };
        thread::spawn(move || {
            // One connection each.
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let back = (server.try_clone().unwrap(), client.try_clone().unwrap(), left.clone());
            let back = thread::spawn(move || pass(back.0, back.1, &back.2, cut));
            pass(client, server, &left, cut);
            back.join().unwrap();
        });
        between
    }

    /// How many bytes may still pass.
    pub fn left(&self) -> i64 {
        self.left.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, left: &AtomicI64, cut: Cut) {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        let before = left.fetch_sub(count as i64, Ordering::SeqCst);
        let may = before.clamp(0, count as i64) as usize;
        if count == 0 || to.write_all(&buffer[..may]).is_err() {
            break;
        }
        if may < count {
            match cut {
                Cut::Hang => continue,
                Cut::Crash(database) if before > 0 => database.crash(),
                // The client hears of it from the server that dies, not sooner: it would find it alive.
                Cut::Crash(_) => continue,
                Cut::Close => {}
            }
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

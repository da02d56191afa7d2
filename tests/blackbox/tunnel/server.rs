//! A strict tunnel server on loopback: its traffic statistics, and whatever may be wrong with them.
//!
//! A request that no right client would ever send (another method or path, a query, a body) is refused and remembered;
//! [`Server::asked`] fails the test when there was one. A missing or wrong key is refused in the server's words.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::telegram::{listen, lock, read_request};

/// A key that was never issued.
pub const KEY: &str = "NeverIssuedTunnelKey_0123456789";

/// What is answered instead of the statistics.
#[derive(Debug, Clone)]
pub enum Wrong {
    /// This status, content type and body.
    Answer(u16, &'static str, String),
    /// The headers promise more than comes.
    Truncated,
    /// The right answer after so many blanks.
    Huge(usize),
    /// No answer at all; the connection stays open.
    Hang,
    /// A body that never ends.
    Endless,
}

#[derive(Default)]
struct Inner {
    key: Option<&'static str>,
    mappings: BTreeMap<u16, (u64, u64)>,
    whole: (u64, u64),
    /// Mappings as they are written, besides.
    odd: Vec<String>,
    wrong: Option<Wrong>,
    asked: usize,
    mistakes: Vec<String>,
    held: Vec<TcpStream>,
    closing: bool,
}

/// The server; it ends when dropped.
pub struct Server {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Server {
    /// One that wants [`KEY`].
    pub fn new() -> Self {
        let server = Self::open();
        lock(&server.inner).key = Some(KEY);
        server
    }

    /// One of an older version, that wants no key.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Mutex::new(Inner::default()));
        listen(listener, &inner, |inner| inner.closing, serve);
        Self { address, inner }
    }

    /// For `url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The source's table.
    pub fn table(&self) -> String {
        format!("[source.tunnel]\nurl = \"{}\"\napi_key = \"{KEY}\"\n", self.url())
    }

    /// Traffic of a mapping, from clients to the target and back; one that was not there begins.
    pub fn flow(&self, port: u16, sent: u64, received: u64) {
        let mut inner = lock(&self.inner);
        let counters = inner.mappings.entry(port).or_default();
        *counters = (counters.0 + sent, counters.1 + received);
        inner.whole = (inner.whole.0 + sent, inner.whole.1 + received);
    }

    /// A mapping is removed, and its counters with it.
    pub fn remove(&self, port: u16) {
        lock(&self.inner).mappings.remove(&port).expect("a mapping");
    }

    /// It is started anew: all counters are zero.
    pub fn restart(&self) {
        let mut inner = lock(&self.inner);
        inner.mappings.values_mut().for_each(|counters| *counters = (0, 0));
        inner.whole = (0, 0);
    }

    /// Mappings as they are written, beside the others.
    pub fn odd(&self, mappings: &[&str]) {
        lock(&self.inner).odd = mappings.iter().map(|text| (*text).to_owned()).collect();
    }

    /// What it answers from now on.
    pub fn answers(&self, wrong: Option<Wrong>) {
        lock(&self.inner).wrong = wrong;
    }

    /// How many requests came; fails when any was not as it must be.
    #[track_caller]
    pub fn asked(&self) -> usize {
        let inner = lock(&self.inner);
        assert!(inner.mistakes.is_empty(), "requests no client should send: {:?}", inner.mistakes);
        inner.asked
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.closing = true;
        inner.held.clear();
        drop(inner);
        let _ = TcpStream::connect(self.address);
    }
}

impl Inner {
    fn statistics(&self) -> String {
        let of = |(sent, received): (u64, u64)| json!({"bytes_sent": sent, "bytes_received": received, "last_update": 1_767_225_600});
        let mapping = |(port, counters): (&u16, &(u64, u64))| {
            let mut mapping = of(*counters);
            mapping["port"] = json!(port);
            mapping.to_string()
        };
        let mappings: Vec<String> = self.mappings.iter().map(mapping).chain(self.odd.iter().cloned()).collect();
        // Whoever reads these counts everything twice.
        let total = |of: fn(&(u64, u64)) -> u64| of(&self.whole) + self.mappings.values().map(of).sum::<u64>();
        format!(
            r#"{{"success":true,"message":"ok","data":{{"tunnel":{},"mappings":[{}],"total_sent":{},"total_received":{},"timestamp":1767225600}}}}"#,
            of(self.whole),
            mappings.join(","),
            total(|of| of.0),
            total(|of| of.1)
        )
    }
}

fn serve(shared: &Mutex<Inner>, mut stream: TcpStream) -> io::Result<()> {
    let Some(request) = read_request(&stream)? else { return Ok(()) };
    let mut inner = lock(shared);
    inner.asked += 1;
    if request.method != "GET" || request.target != "/api/stats/traffic" || !request.body.is_empty() {
        inner.mistakes.push(format!("{} {}", request.method, request.target));
        return refuse(&mut stream, 404, "Not found");
    }
    if inner.key.is_some() && request.header("x-api-key") != inner.key {
        let given = request.header("x-api-key").unwrap_or("nothing");
        return refuse(&mut stream, 401, &format!("Invalid or missing API key: {given}"));
    }
    let statistics = inner.statistics();
    match inner.wrong.clone() {
        None => write(&mut stream, 200, "application/json", &statistics),
        Some(Wrong::Answer(status, kind, body)) => write(&mut stream, status, kind, &body),
        Some(Wrong::Huge(blanks)) => {
            drop(inner);
            write(&mut stream, 200, "application/json", &(" ".repeat(blanks) + &statistics))
        }
        Some(Wrong::Truncated) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n";
            write!(stream, "{head}{}", &statistics[..statistics.len() / 2])
        }
        Some(Wrong::Hang) => {
            inner.held.push(stream);
            Ok(())
        }
        Some(Wrong::Endless) => {
            drop(inner);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")?;
            loop {
                // Until the client has had enough.
                stream.write_all(&[b' '; 65_536])?;
            }
        }
    }
}

fn refuse(stream: &mut TcpStream, status: u16, message: &str) -> io::Result<()> {
    let body: Value = json!({"success": false, "message": message});
    write(stream, status, "application/json", &body.to_string())
}

fn write(stream: &mut TcpStream, status: u16, kind: &str, body: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status} Any\r\nContent-Type: {kind}\r\nContent-Length: {}", body.len());
    write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}")
}

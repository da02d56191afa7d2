//! Speaks HTTP word for word, as clients and as attackers do.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::{PASSWORD, READ_TOKEN};

/// Nobody is waited for longer.
const PATIENCE: Duration = Duration::from_secs(40);

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Of the status line.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The answer in these bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8(bytes.to_vec()).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let answer = Self { status, headers: lines.filter_map(header).collect(), body: body.to_owned() };
        let length = answer.header("content-length")?.parse::<usize>().ok()?;
        (answer.body.len() == length).then_some(answer)
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// It has this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// A connection, patient.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What comes back for these bytes, until the other end closes.
pub fn raw(to: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(to)?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// One request and its answer; the error says why there is none.
pub fn ask(to: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> io::Result<Answer> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n{lines}Content-Length: {length}\r\n\r\n{body}");
    let answer = raw(to, request.as_bytes())?;
    Answer::parse(&answer).ok_or_else(|| io::Error::other(format!("no answer: {:?}", String::from_utf8_lossy(&answer))))
}

/// What a reader gets.
#[track_caller]
pub fn read(to: SocketAddr, path: &str) -> Answer {
    ask(to, "GET", path, &[&format!("Authorization: Bearer {READ_TOKEN}")], "").unwrap()
}

/// A report as the existing client sends it.
pub fn document(hostname: &str, password: &str, timestamp: i64) -> Value {
    json!({"password": password, "hostname": hostname, "timestamp": timestamp, "metrics": {"cpu_percent": 1.25,
        "memory_used": 1024, "memory_total": 4096, "network_in_bps": 125_000, "network_out_bps": 250_000,
        "uptime_seconds": 99}})
}

/// Sends a report.
pub fn report(to: SocketAddr, hostname: &str, timestamp: i64) -> io::Result<Answer> {
    ask(to, "POST", "/api/report", &[], &document(hostname, PASSWORD, timestamp).to_string())
}

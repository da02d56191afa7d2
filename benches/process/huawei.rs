//! A check of a traffic package beside curl with the very same request, over plain HTTP on loopback.
//!
//! What netquota sends in its first run is what curl is given: path, headers and body. So both pay for a process, a
//! connection and an exchange, and netquota for the signature, the metering and its state besides.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, thread};

/// The package asked for.
const ID: &str = "9f86d081-884c-4d65-9a2f-eaa0c55ad015";

/// A tenth of it is used, in a period that outlives every benchmark.
const ANSWER: &str = r#"{"free_resources":[{"free_resource_id":"9f86d081-884c-4d65-9a2f-eaa0c55ad015","free_resource_type_name":"Lightweight BGP data package","usage_type_name":"Uplink traffic","amount":900,"original_amount":1000,"measure_id":10,"quota_reuse_cycle":4,"quota_reuse_cycle_type":2,"start_time":"2020-01-15T16:00:00Z","end_time":"2099-01-15T16:00:00Z"}]}"#;

/// Without the user's settings, and failing when the answer is none.
const CURL: &[&str] = &["-q", "-sS", "--fail", "--http1.1", "--noproxy", "*", "--max-time", "10"];

/// A vendor that has one answer for everything.
pub struct Vendor {
    address: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    requests: usize,
    last: Asked,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
struct Asked {
    path: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Vendor {
    /// Answers from now on, one connection after the other.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let vendor = Self { address: format!("http://{}", listener.local_addr()?), seen: Arc::default() };
        let seen = Arc::clone(&vendor.seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever is not answered fails, and with it the benchmark.
                answer(&stream, &seen).ok();
            }
        });
        Ok(vendor)
    }

    /// Requests since this was asked before.
    pub fn requests(&self) -> usize {
        std::mem::take(&mut lock(&self.seen).requests)
    }

    /// The configuration with this vendor, in `folder`; the keys come from the environment.
    pub fn configure(&self, folder: &Path, command: &mut Command) -> io::Result<()> {
        let config = folder.join("huawei.toml");
        let source = format!("[source.huawei]\nendpoint = \"{}\"\nresource_ids = [\"{ID}\"]\n", self.address);
        fs::write(&config, source + "[quota.package]\n")?;
        command.env("HUAWEICLOUD_SDK_AK", "NEVERISSUEDACCESSKEY").env("HUAWEICLOUD_SDK_SK", "never-issued-secret-key");
        command.arg("--config").arg(config);
        Ok(())
    }

    /// curl with the request seen last; none where it is not installed.
    pub fn curl(&self) -> Option<impl Fn() -> Command + use<>> {
        Command::new("curl").arg("--version").output().ok()?;
        let asked = lock(&self.seen).last.clone();
        let url = self.address.clone() + &asked.path;
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        Some(move || {
            let mut command = Command::new("curl");
            command.env_clear().env("PATH", "/usr/bin:/bin").args(CURL);
            for header in &asked.headers {
                command.args(["--header", header]);
            }
            command.args(["--data-binary", &body, &url]);
            command
        })
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(stream: &TcpStream, seen: &Mutex<Seen>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = || -> io::Result<String> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let path = line()?.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let header = line()?;
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "" => break,
            "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
            _ => headers.push(header),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    {
        let mut seen = lock(seen);
        seen.requests += 1;
        seen.last = Asked { path, headers, body };
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
    let mut writer = stream;
    writer.write_all(format!("{head} {}\r\n\r\n{ANSWER}", ANSWER.len()).as_bytes())
}

//! Checks of a cluster with very many guests, over plain HTTP on loopback.
//!
//! The answer is made before the check is started, so that the time is the check's own. All figures move on with time,
//! as they do in a cluster where every guest is on: there is no guest that need not be metered.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fs, thread};

/// The only call that there may be.
const LISTING: &str = "GET /api2/json/cluster/resources?type=vm HTTP/1.1";
/// Nodes that the guests are on.
const NODES: usize = 16;
/// Seconds that the first guest is up for at the start.
const UPTIME: u64 = 1_000_000;
/// Bytes that each guest sends in a millisecond.
const RATE: u64 = 125;

/// A cluster that has one answer for everything.
pub struct Cluster {
    address: String,
    guests: usize,
    start: Instant,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    answer: String,
    /// The first lines of all requests.
    asked: Vec<String>,
}

impl Cluster {
    /// Answers from now on, one connection after the other.
    pub fn start(guests: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let cluster = Self { address, guests, start: Instant::now(), shared: Arc::default() };
        let shared = Arc::clone(&cluster.shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever is not answered fails, and with it the benchmark.
                answer(&stream, &shared).ok();
            }
        });
        Ok(cluster)
    }

    /// The configuration with this cluster, in `folder`; the figures are those of now. Returns the bytes of the answer.
    pub fn configure(&self, folder: &Path, command: &mut Command) -> io::Result<usize> {
        let config = folder.join("pve.toml");
        let source = format!("[source.pve]\napi = [\"{}\"]\ntoken_id = \"netquota@pve!quota\"\n", self.address);
        let secret = "token_secret = { env = \"NETQUOTA_BENCH_SECRET\" }\n";
        fs::write(&config, source + secret + "[quota.month]\nallowance = \"2 TB\"\n")?;
        command.env("NETQUOTA_BENCH_SECRET", "5ca1ab1e-0000-4000-8000-5ec2e7f02e57").arg("--config").arg(config);
        let answer = self.rows();
        let bytes = answer.len();
        lock(&self.shared).answer = answer;
        Ok(bytes)
    }

    /// Fails unless there was exactly one request since this was asked before, and that was the listing.
    pub fn assert_listed_once(&self) {
        assert_eq!(std::mem::take(&mut lock(&self.shared).asked), [LISTING], "calls of a check");
    }

    /// All guests as a cluster shows them.
    fn rows(&self) -> String {
        let passed = self.start.elapsed();
        let mut text = String::with_capacity(self.guests * 400);
        text += "{\"data\":[";
        for index in 0..self.guests as u64 {
            let (vmid, node) = (100 + index, index % NODES as u64);
            let comma = if index == 0 { "" } else { "," };
            let uptime = UPTIME + index + passed.as_secs();
            let netout = UPTIME * index + RATE * passed.as_millis() as u64;
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "{comma}{{\"id\":\"qemu/{vmid}\",\"type\":\"qemu\",\"vmid\":{vmid},\"node\":\"pve{node}\",\
                 \"name\":\"customer-{vmid}\",\"status\":\"running\",\"tags\":\"prod;customers\",\"pool\":\"customers-b\",\
                 \"uptime\":{uptime},\"netin\":{},\"netout\":{netout},\"template\":0,\"cpu\":0.0249060195469461,\
                 \"maxcpu\":4,\"mem\":842551296,\"maxmem\":1073741824,\"disk\":0,\"maxdisk\":34359738368,\
                 \"diskread\":4510777856,\"diskwrite\":6059209728}}",
                2 * netout
            );
        }
        text + "]}"
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(stream: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    lock(shared).asked.push(first);
    while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
    let answer = lock(shared).answer.clone();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
    let mut writer = stream;
    write!(writer, "{head} {}\r\n\r\n", answer.len())?;
    writer.write_all(answer.as_bytes())
}

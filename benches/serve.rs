//! A hub under load: 1,000 nodes that send 2,000 reports a second to the release binary, over loopback, from another
//! process, which is this one.
//!
//! Each report has its time, and its latency is counted from then on, not from when it could be sent: whatever is late
//! makes those behind it late, too. Connections are opened for each, as clients do. Then reports that are kept and those that
//! are refused, in turn, from the same threads. Budgets are printed beside the figures, and only that every report is
//! answered as it should be is asserted: how long something takes depends on the machine.
//!
//! `NETQUOTA_BENCH_SECONDS` sets how long (30; 1 under `cargo test`).

#![allow(clippy::disallowed_methods, reason = "a benchmark measures the machine itself, not through the program")]

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The release binary.
const PROGRAM: &str = env!("CARGO_BIN_EXE_netquota");

const NODES: usize = 1000;
/// Reports a second.
const RATE: usize = 2000;
/// Threads that send.
const SENDERS: usize = 16;
/// The time by which 99 of 100 reports are answered.
const BUDGET: Duration = Duration::from_millis(20);
/// Peak memory, KiB.
const BUDGET_PEAK: u64 = 32 * 1024;

const CONFIG: &str = "[serve]\nread_token = \"token\"\nreport_password = \"password\"\n";

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let hub = Hub::start(&folder)?;
    let seconds = seconds();
    for node in 0..NODES {
        assert_eq!(hub.ask(&report(node, "password", 0))?, 200);
    }

    println!("{NODES} nodes, {RATE} reports/s for {seconds} s, ms   median     p99     max");
    let mut kept = paced(hub.address, seconds * RATE)?;
    let [_, late] = row("kept", &mut kept);
    println!("budget p99 {:>43.1} {}", millis(BUDGET), verdict(late <= BUDGET));
    let peak = hub.peak()?;
    println!("peak memory {peak:>42} KiB, budget {BUDGET_PEAK} {}", verdict(peak <= BUDGET_PEAK));

    let many = if is_bench() { 8000 } else { 80 };
    println!("\n{many} of each in turn, ms {:>23} {:>7} {:>7}", "median", "p99", "max");
    let mut latencies = in_turn(hub.address, many)?;
    let medians: Vec<_> =
        KINDS.iter().zip(&mut latencies).map(|(kind, latencies)| row(kind.name, latencies)[0]).collect();
    // Most of it is the connection, which is the same for all.
    let as_fast = medians[1..].iter().all(|refused| refused.as_secs_f64() <= 1.1 * medians[0].as_secs_f64());
    println!("refused at least as fast as kept {:>23}", verdict(as_fast));
    Ok(())
}

/// What is asked in turn.
struct Kind {
    name: &'static str,
    request: fn(usize) -> String,
    answers: &'static [u16],
}

/// What is kept comes first.
const KINDS: [Kind; 5] = [
    Kind { name: "kept (200)", request: |number| report(number % NODES, "password", 100_000), answers: &[200] },
    Kind {
        name: "wrong password (401, 429)",
        request: |number| report(number % NODES, "wrong", 1),
        answers: &[401, 429],
    },
    Kind { name: "no report (400)", request: |_| post("{\"password\":"), answers: &[400] },
    Kind { name: "too long (413)", request: |_| too_long(), answers: &[413] },
    Kind { name: "nothing there (404)", request: |_| "GET /x HTTP/1.1\r\nHost: x\r\n\r\n".into(), answers: &[404] },
];

/// The program, with a socket of its own.
struct Hub {
    child: Child,
    address: SocketAddr,
}

impl Hub {
    fn start(folder: &Path) -> io::Result<Self> {
        let config = folder.join("config.toml");
        fs::write(&config, CONFIG)?;
        let mut command = Command::new(PROGRAM);
        command.env_clear().arg("--config").arg(config).arg("--state-dir").arg(folder.join("state"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(stderr) = child.stderr.take() {
            BufReader::new(stderr).read_line(&mut line)?;
        }
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| io::Error::other(line))?;
        Ok(Self { child, address })
    }

    fn ask(&self, request: &str) -> io::Result<u16> {
        ask(self.address, request)
    }

    fn peak(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn post(body: &str) -> String {
    format!("POST /api/report HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn too_long() -> String {
    "POST /api/report HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n".into()
}

/// As `netquota push` sends it.
fn report(node: usize, password: &str, number: usize) -> String {
    let uptime = 1_000_000 + number;
    post(&format!(
        r#"{{"password":"{password}","hostname":"node-{node}.example","timestamp":1700000000,"metrics":{{"cpu_percent":12.5,"memory_used":1073741824,"memory_total":4294967296,"network_in_bps":125000,"network_out_bps":250000,"uptime_seconds":1000}},"netquota":{{"version":1,"interface":"eth0","rx_bytes":{number},"tx_bytes":{number},"boot_id":"11111111-2222-4333-8444-555555555555","uptime_ms":{uptime},"index":2}}}}"#
    ))
}

/// The status of the answer.
fn ask(to: SocketAddr, request: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other(format!("no answer: {answer:?}")))
}

/// So many reports, each at its time; how long after it each was answered.
fn paced(to: SocketAddr, many: usize) -> io::Result<Vec<Duration>> {
    let start = Instant::now() + Duration::from_millis(50);
    by_senders(move |sender| {
        let mut latencies = Vec::new();
        for number in (sender..many).step_by(SENDERS) {
            let due = start + Duration::from_secs_f64(number as f64 / RATE as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            assert_eq!(ask(to, &report(number % NODES, "password", number))?, 200);
            latencies.push(due.elapsed());
        }
        Ok(latencies)
    })
}

/// So many of each kind, as fast as they are answered: in turn, so that whatever else the machine does hits all of them.
/// Nodes whose passwords are guessed are not those that report, which would then not be heard.
fn in_turn(to: SocketAddr, many: usize) -> io::Result<Vec<Vec<Duration>>> {
    let latencies = by_senders(move |sender| {
        let mut latencies = Vec::new();
        for number in (sender..many).step_by(SENDERS) {
            for (index, kind) in KINDS.iter().enumerate() {
                // Odd ones are guessed at, even ones report.
                let request = (kind.request)(number * 2 + index % 2);
                let sent = Instant::now();
                let status = ask(to, &request)?;
                assert!(kind.answers.contains(&status), "{}: {status}", kind.name);
                latencies.push(sent.elapsed());
            }
        }
        Ok(latencies)
    })?;
    Ok((0..KINDS.len()).map(|kind| latencies.iter().skip(kind).step_by(KINDS.len()).copied().collect()).collect())
}

fn by_senders(work: impl Fn(usize) -> io::Result<Vec<Duration>> + Send + Copy + 'static) -> io::Result<Vec<Duration>> {
    let senders: Vec<_> = (0..SENDERS).map(|sender| thread::spawn(move || work(sender))).collect();
    let mut latencies = Vec::new();
    for sender in senders {
        latencies.extend(sender.join().map_err(|_| io::Error::other("a sender broke down"))??);
    }
    Ok(latencies)
}

/// Prints what a kind took; its median, and the time that 99 of 100 did not exceed.
fn row(name: &str, latencies: &mut [Duration]) -> [Duration; 2] {
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("{name:40} {:>7.2} {:>7.2} {:>7.2}", millis(at(0.5)), millis(at(0.99)), millis(at(1.0)));
    [at(0.5), at(0.99)]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

fn is_bench() -> bool {
    env::args().any(|arg| arg == "--bench")
}

fn seconds() -> usize {
    let usual = if is_bench() { 30 } else { 1 };
    env::var("NETQUOTA_BENCH_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(usual)
}

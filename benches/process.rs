//! The whole process: `check` by the default configuration with nothing to send, measured beside `/bin/true`.
//!
//! Both are started in turn, so that whatever else the machine does hits both, and so is the replacing of a small
//! file with an fsync of it and of its folder, which every run owes its state. Budgets are printed beside the figures, and
//! nothing is asserted: how long something takes depends on the machine.
//!
//! Then a check of a traffic package beside `curl` with the same request to the same server on loopback. That a check
//! asks once, and no more, is asserted; where there is no curl (Debian's package `curl`), the rest is measured all the same.
//!
//! Then histories: a check with a sample due, and one of 1,000 interfaces beside the same without a history; the size of
//! a year of them, and reports of it.
//!
//! At last checks of a cluster with 10,000 guests, all of them on, and once with 100,000. That each makes exactly one call
//! is asserted.
//!
//! `NETQUOTA_BENCH_PAIRS` sets how many pairs (300; a thirtieth as many checks of guests), `NETQUOTA_BENCH_ROOT` the root
//! folder (a small made-up machine; `/` for the real one). Under `cargo test`, three pairs show that it still runs.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures the machine itself, not through the program")]

// Not beside this file, where it would be a benchmark of its own.
#[path = "process/history.rs"]
mod history;
#[path = "process/huawei.rs"]
mod huawei;
#[path = "process/pve.rs"]
mod pve;

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use history::History;
use huawei::Vendor;
use pve::Cluster;

/// The release binary.
const PROGRAM: &str = env!("CARGO_BIN_EXE_netquota");

/// What it is measured beside.
const TRUE: &str = "/bin/true";

/// Times the wall time of [`TRUE`] that a run may take, two fsyncs not counted.
const BUDGET_RATIO: f64 = 3.0;
/// Peak memory, KiB.
const BUDGET_PEAK: u64 = 8 * 1024;
/// Seconds of computing that a check of 10,000 guests may take.
const BUDGET_CPU: f64 = 0.25;
/// Its peak memory, KiB.
const BUDGET_PEAK_GUESTS: u64 = 64 * 1024;
/// Times the wall time of [`TRUE`] that a run with a sample due and nothing to send may take.
const BUDGET_SAMPLE: f64 = 6.0;
/// Milliseconds of computing that a sample of 1,000 subjects may take.
const BUDGET_APPEND: f64 = 20.0;
/// Milliseconds that a report of a month of all of them may take, and a chart of one subject's day.
const BUDGET_REPORTS: [f64; 2] = [300.0, 50.0];
/// The binary, bytes.
const BUDGET_SIZE: u64 = 10_000_000;

fn main() -> io::Result<()> {
    let pairs = pairs();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("process");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let root =
        env::var_os("NETQUOTA_BENCH_ROOT").map_or_else(|| machine(&folder.join("root")), |root| Ok(root.into()))?;
    let state = folder.join("state");
    fs::create_dir_all(&state)?;
    let check = || check(&root, &state);
    let empty = || Command::new(TRUE);

    let round = || -> io::Result<[Duration; 3]> { Ok([run(&mut check())?, run(&mut empty())?, two_fsyncs(&state)?]) };
    for _ in 0..pairs.div_ceil(10) {
        round()?;
    }
    let rounds = (0..pairs).map(|_| round()).collect::<io::Result<Vec<_>>>()?;
    let medians = at(&rounds, 0.5);
    println!("{pairs} pairs, ms         median  best tenth");
    let columns = [medians, at(&rounds, 0.1)];
    let row =
        |name: &str, of: fn([f64; 3]) -> f64| println!("{name:20} {:>9.3} {:>11.3}", of(columns[0]), of(columns[1]));
    row("check", |[check, _, _]| check);
    row(TRUE, |[_, empty, _]| empty);
    row("two fsyncs", |[_, _, fsyncs]| fsyncs);
    row("allowed", allowed);
    row("times without fsyncs", |[check, empty, fsyncs]| (check - fsyncs) / empty);
    println!("budget               {:>9.3} {}", BUDGET_RATIO, verdict(medians[0] <= allowed(medians)));
    let peak = peak(&mut check())?;
    println!("peak memory          {peak:>9} KiB, budget {BUDGET_PEAK} {}", verdict(peak <= BUDGET_PEAK));
    let size = fs::metadata(PROGRAM)?.len();
    let of = if cfg!(debug_assertions) { "; not a release binary" } else { "" };
    println!("binary               {size:>9} bytes, budget {BUDGET_SIZE} {}{of}", verdict(size <= BUDGET_SIZE));
    packages(pairs, &root, &folder)?;
    sample(pairs, &root, &folder)?;
    histories(pairs.div_ceil(10), &folder)?;
    guests(10_000, pairs.div_ceil(30), &root, &folder)?;
    if is_bench() { guests(100_000, 1, &root, &folder) } else { Ok(()) }
}

/// A check of one traffic package, beside curl and two fsyncs.
fn packages(pairs: usize, root: &Path, folder: &Path) -> io::Result<()> {
    let state = folder.join("huawei");
    fs::create_dir_all(&state)?;
    let vendor = Vendor::start()?;
    let mut checks = 0;
    let mut checked = || -> io::Result<Duration> {
        let mut command = check(root, &state);
        vendor.configure(folder, &mut command)?;
        let time = run(&mut command)?;
        let requests = vendor.requests();
        assert_eq!(requests, 1, "requests of a check");
        checks += 1;
        Ok(time)
    };
    checked()?;
    let Some(curl) = vendor.curl() else {
        println!("curl is not installed: nothing to compare a check of a package with (one took 1 request)");
        return Ok(());
    };
    let mut round = || -> io::Result<[Duration; 3]> {
        let times = [checked()?, run(&mut curl())?, two_fsyncs(&state)?];
        assert_eq!(vendor.requests(), 1, "requests of curl");
        Ok(times)
    };
    for _ in 0..pairs.div_ceil(10) {
        round()?;
    }
    let rounds = (0..pairs).map(|_| round()).collect::<io::Result<Vec<_>>>()?;
    let columns = [at(&rounds, 0.5), at(&rounds, 0.1)];
    let row =
        |name: &str, of: fn([f64; 3]) -> f64| println!("{name:20} {:>9.3} {:>11.3}", of(columns[0]), of(columns[1]));
    println!("\n{pairs} pairs, ms         median  best tenth");
    row("check of a package", |[check, _, _]| check);
    row("curl, same request", |[_, curl, _]| curl);
    row("two fsyncs", |[_, _, fsyncs]| fsyncs);
    row("times curl", |[check, curl, _]| check / curl);
    row("times without fsyncs", |[check, curl, fsyncs]| (check - fsyncs) / curl);
    println!("requests a check     {:>9}, in each of {checks} checks", 1);
    Ok(())
}

/// A check with a sample due and nothing to send, beside one without, and beside `/bin/true`.
fn sample(pairs: usize, root: &Path, folder: &Path) -> io::Result<()> {
    let state = folder.join("sampled");
    fs::create_dir_all(&state)?;
    let off = folder.join("unsampled.toml");
    fs::write(&off, "[history]\nurl = \"none\"\n")?;
    let unsampled = folder.join("unsampled");
    fs::create_dir_all(&unsampled)?;
    run(&mut check(root, &state))?;
    let round = || -> io::Result<[Duration; 3]> {
        history::make_due(&state)?;
        let due = run(&mut check(root, &state))?;
        let mut without = check(root, &unsampled);
        without.arg("--config").arg(&off);
        Ok([due, run(&mut Command::new(TRUE))?, run(&mut without)?])
    };
    for _ in 0..pairs.div_ceil(10) {
        round()?;
    }
    let rounds = (0..pairs).map(|_| round()).collect::<io::Result<Vec<_>>>()?;
    let (medians, best) = (at(&rounds, 0.5), at(&rounds, 0.1));
    println!("\n{pairs} pairs, ms         median  best tenth");
    println!("check, sample due    {:>9.3} {:>11.3}", medians[0], best[0]);
    println!("{TRUE:20} {:>9.3} {:>11.3}", medians[1], best[1]);
    println!("check, no history    {:>9.3} {:>11.3}", medians[2], best[2]);
    let times = medians[0] / medians[1];
    println!("times {TRUE}      {times:>9.3}, budget {BUDGET_SAMPLE} {}", verdict(times <= BUDGET_SAMPLE));
    Ok(())
}

/// Samples of 1,000 subjects, a year of them, and reports of it.
fn histories(rounds: usize, folder: &Path) -> io::Result<()> {
    let folder = folder.join("history");
    // Enough to show that it still runs.
    let subjects = if is_bench() { 1_000 } else { 20 };
    let history = History::new(subjects, &folder, &machine(&folder.join("root"))?)?;
    let state = history.state_dir();
    let due = || -> io::Result<f64> {
        history::make_due(&state)?;
        let before = computed()?;
        run(&mut history.command(PROGRAM, "kept", &["check"]))?;
        Ok(computed()? - before)
    };
    run(&mut history.command(PROGRAM, "kept", &["check"]))?;
    let with = (0..rounds.max(3)).map(|_| due()).sum::<io::Result<f64>>()? / rounds.max(3) as f64;
    let without = || -> io::Result<f64> {
        let before = computed()?;
        run(&mut history.command(PROGRAM, "none", &["check"]))?;
        Ok(computed()? - before)
    };
    without()?;
    let without = (0..rounds.max(3)).map(|_| without()).sum::<io::Result<f64>>()? / rounds.max(3) as f64;
    let append = (with - without) * 1000.0;
    println!(
        "\n{subjects} subjects, CPU ms: {:.1} with a sample due, {:.1} without a history",
        with * 1000.0,
        without * 1000.0
    );
    println!("a sample             {append:>9.1}, budget {BUDGET_APPEND} {}", verdict(append <= BUDGET_APPEND));
    let size = history.fill()?;
    println!(
        "a year of them       {size:>9} bytes, budget {} {}",
        history::BUDGET_YEAR,
        verdict(size <= history::BUDGET_YEAR)
    );
    let reports: [&[&str]; 2] = [
        &["report", "--period", "month", "--format", "json"],
        &["report", "--subject", "v0005", "--period", "day", "--format", "svg"],
    ];
    for (arguments, budget) in reports.into_iter().zip(BUDGET_REPORTS) {
        let mut times: Vec<Duration> = (0..rounds.max(3))
            .map(|_| run(&mut history.command(PROGRAM, "kept", arguments)))
            .collect::<io::Result<_>>()?;
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64() * 1000.0;
        println!("{:>9.1} ms, budget {budget} {}: {}", median, verdict(median <= budget), arguments.join(" "));
    }
    Ok(())
}

/// Checks of a cluster with so many guests. The first, which has no state yet, is shown by itself.
fn guests(count: usize, rounds: usize, root: &Path, folder: &Path) -> io::Result<()> {
    let folder = folder.join(format!("pve-{count}"));
    let state = folder.join("state");
    fs::create_dir_all(&state)?;
    let cluster = Cluster::start(count)?;
    let mut bytes = 0;
    let mut configured = || -> io::Result<Command> {
        let mut command = check(root, &state);
        bytes = cluster.configure(&folder, &mut command)?;
        Ok(command)
    };
    let mut checked = || -> io::Result<[f64; 2]> {
        let mut command = configured()?;
        let before = computed()?;
        let time = run(&mut command)?;
        cluster.assert_listed_once();
        Ok([computed()? - before, time.as_secs_f64()])
    };
    let first = checked()?;
    let rounds = (0..rounds).map(|_| checked()).collect::<io::Result<Vec<_>>>()?;
    // The kernel shows hundredths of a second: the mean over all rounds is finer than any of them.
    let mean = [0, 1].map(|which| rounds.iter().map(|round| round[which]).sum::<f64>() / rounds.len() as f64);
    let peak = peak_meanwhile(&mut configured()?)?;
    cluster.assert_listed_once();
    let state = fs::metadata(state.join("state.json"))?.len();
    // In proportion for more.
    let share = count as f64 / 10_000.0;
    let (cpu, memory) = (BUDGET_CPU * share, (BUDGET_PEAK_GUESTS as f64 * share) as u64);
    println!("\n{count} guests, s         first  mean of {}", rounds.len());
    let budget = format!("budget {cpu} {}", verdict(mean[0] <= cpu));
    println!("user and system      {:>9.3} {:>10.3}, {budget}", first[0], mean[0]);
    println!("wall                 {:>9.3} {:>10.3}", first[1], mean[1]);
    println!("peak memory          {peak:>9} KiB, budget {memory} {}", verdict(peak <= memory));
    println!("answer, state        {bytes:>9} and {state} bytes; one GET in each of {} checks", rounds.len() + 2);
    Ok(())
}

/// Seconds that all children so far have computed, in user mode and in the kernel, as far as they have ended.
fn computed() -> io::Result<f64> {
    /// Of the figures, a second on all but forgotten architectures.
    const TICKS: f64 = 100.0;
    let text = fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may hold anything; `cutime` and `cstime` are the 14th and 15th behind it.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(13).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>().map_err(io::Error::other)? / TICKS)
}

/// `cargo bench` passes `--bench`, `cargo test` does not.
fn is_bench() -> bool {
    env::args().any(|arg| arg == "--bench")
}

fn pairs() -> usize {
    let usual = if is_bench() { 300 } else { 3 };
    env::var("NETQUOTA_BENCH_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(usual)
}

fn verdict(met: bool) -> &'static str {
    if met { "(met)" } else { "(NOT met)" }
}

/// Milliseconds a run may take.
fn allowed([_, empty, fsyncs]: [f64; 3]) -> f64 {
    empty * BUDGET_RATIO + fsyncs
}

/// Each of the three times, in milliseconds, that this part of the rounds did not exceed.
fn at(rounds: &[[Duration; 3]], part: f64) -> [f64; 3] {
    [0, 1, 2].map(|which| {
        let mut times: Vec<Duration> = rounds.iter().map(|round| round[which]).collect();
        times.sort_unstable();
        let index = (times.len() as f64 * part) as usize;
        times.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    })
}

/// A machine with one interface and a default route through it.
fn machine(root: &Path) -> io::Result<PathBuf> {
    let files = [
        ("sys/class/net/lo/type", "772\n"),
        ("sys/class/net/lo/ifindex", "1\n"),
        ("sys/class/net/eth0/type", "1\n"),
        ("sys/class/net/eth0/ifindex", "2\n"),
        ("sys/class/net/eth0/iflink", "2\n"),
        ("sys/class/net/eth0/operstate", "up\n"),
        ("sys/class/net/eth0/speed", "10000\n"),
        ("sys/class/net/eth0/uevent", "INTERFACE=eth0\nIFINDEX=2\n"),
        ("sys/class/net/eth0/device/vendor", "0x1af4\n"),
        ("sys/class/net/eth0/statistics/rx_bytes", "76534313\n"),
        ("sys/class/net/eth0/statistics/tx_bytes", "24413100\n"),
        ("proc/sys/kernel/random/boot_id", "0574ae5d-7107-48b3-897b-a63fc0a40a5b\n"),
        ("proc/sys/kernel/hostname", "bench\n"),
        ("proc/uptime", "350735.47 234388.90\n"),
        (
            "proc/net/route",
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
        ),
        ("etc/timezone", "Etc/UTC\n"),
    ];
    for (name, text) in files {
        let path = root.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, text)?;
    }
    Ok(root.to_owned())
}

/// As cron starts it: hardly any environment, and nobody at a terminal.
fn check(root: &Path, state: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--root").arg(root).arg("--state-dir").arg(state).arg("check");
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", state);
    command
}

fn run(command: &mut Command) -> io::Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let time = start.elapsed();
    // A run that did something else is no measurement.
    if status.success() { Ok(time) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

/// A small file replaced for good, as the state is. The renaming lies between the two: without it the folder's fsync
/// would find nothing left to write.
fn two_fsyncs(folder: &Path) -> io::Result<Duration> {
    let (temporary, path) = (folder.join("probe.tmp"), folder.join("probe"));
    let start = Instant::now();
    let mut file = File::create(&temporary)?;
    file.write_all(&[b'x'; 800])?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    File::open(folder)?.sync_all()?;
    Ok(start.elapsed())
}

/// KiB of memory the process had at the most, as the kernel has counted at its very end: it is held there by a standard
/// output that takes no more, which costs the document of `--json` on top.
fn peak(command: &mut Command) -> io::Result<u64> {
    let (reader, writer) = io::pipe()?;
    let mut filler = writer.try_clone()?;
    let filling = thread::spawn(move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
    let mut child = command.arg("--json").stdin(Stdio::null()).stdout(writer).spawn()?;
    let peak = peak_once_held(&child);
    // Both who wait for the pipe get an error now.
    drop(reader);
    child.wait()?;
    filling.join().ok();
    peak
}

/// The process is at its end when its figure has not changed for a while.
fn peak_once_held(child: &Child) -> io::Result<u64> {
    let path = format!("/proc/{}/status", child.id());
    let mut peaks = Vec::new();
    while peaks.len() < 20 || peaks[peaks.len() - 20..].iter().any(|peak| Some(peak) != peaks.last()) {
        thread::sleep(Duration::from_millis(10));
        let status = fs::read_to_string(&path)?;
        peaks.push(high_water(&status).ok_or_else(|| io::Error::other(format!("{path}: no VmHWM")))?);
    }
    Ok(peaks.last().copied().unwrap_or_default())
}

/// As [`peak`], without a document, which with a row for each guest would be most of it: looked at every millisecond.
/// What is saved at the end is the largest, and saving takes longer than that.
fn peak_meanwhile(command: &mut Command) -> io::Result<u64> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        // One that is about to end has none any more.
        peak = peak.max(fs::read_to_string(&path).ok().and_then(|status| high_water(&status)).unwrap_or_default());
        thread::sleep(Duration::from_millis(1));
    }
    Ok(peak)
}

/// The most memory in KiB, of the kernel's account of a process.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line?.trim().strip_suffix(" kB")?.parse().ok()
}

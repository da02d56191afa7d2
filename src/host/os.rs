//! The real machine: its clock, files, environment, network and commands.
//!
//! Nothing here waits longer than it was told to: a request ends at its time-out and a command with its whole
//! process group, since the program is started every minute and must never pile up.

#![allow(clippy::disallowed_methods, reason = "this is the door")]

mod command;
mod http;

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::http::ClockCheck;
use super::{Command, Host, HttpError, Job, Ran, Request, Response};
use crate::error::at;
use crate::quota::instant::Instant;

/// The folders that `--root` moves.
const BELOW_ROOT: [&str; 3] = ["/proc", "/sys", "/etc"];

/// Bytes read of one file at the most.
const READ_LIMIT: u64 = 1024 * 1024;

/// The machine the program runs on.
#[derive(Debug)]
pub struct OsHost {
    root: PathBuf,
    started: std::time::Instant,
    clock: ClockCheck,
    output: Output,
}

/// Where messages go that no channel takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error: standard output holds a JSON document.
    Stderr,
}

impl OsHost {
    /// The machine with its `/proc`, `/sys` and `/etc` below `root`; `/` leaves them where they are.
    pub fn new(root: PathBuf, output: Output) -> Self {
        Self { root, started: std::time::Instant::now(), clock: ClockCheck::default(), output }
    }

    fn below_root(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(inner) if BELOW_ROOT.iter().any(|folder| path.starts_with(folder)) => self.root.join(inner),
            _ => path.to_owned(),
        }
    }
}

impl Host for OsHost {
    fn now(&self) -> Instant {
        wall_clock()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = self.below_root(path);
        read_bytes(&path).map_err(|error| at(&path, &error))
    }

    fn others_can_read(&self, path: &Path) -> bool {
        fs::metadata(self.below_root(path)).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = self.below_root(path);
        names(&path).map_err(|error| at(&path, &error))
    }

    fn link(&self, path: &Path) -> io::Result<String> {
        let path = self.below_root(path);
        let target = fs::read_link(&path).map_err(|error| at(&path, &error))?;
        target.into_os_string().into_string().map_err(|_| at(&path, &not_text()))
    }

    fn env(&self, name: &str) -> Option<String> {
        env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn http(&self, request: &Request) -> Result<Response, HttpError> {
        http::exchange(request, &self.clock)
    }

    fn run(&self, command: &Command) -> Ran {
        command::run(command)
    }

    fn print(&self, text: &str) -> io::Result<()> {
        let mut out: Box<dyn Write> = match self.output {
            Output::Stdout => Box::new(io::stdout().lock()),
            Output::Stderr => Box::new(io::stderr().lock()),
        };
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// A job whose thread cannot be started is dropped, which its caller sees as one that never ended.
    fn side_by_side(&self, jobs: Vec<Job>, limit: Duration) {
        // Nothing is ever sent: the channel closes when the last job has dropped its end, by returning or by a panic.
        let (running, all_ended) = mpsc::channel::<()>();
        for job in jobs {
            let running = running.clone();
            let work = move || {
                let _running = running;
                job();
            };
            let _detached = thread::Builder::new().spawn(work);
        }
        drop(running);
        let _ = all_ended.recv_timeout(limit);
    }

    fn clock_agrees(&self) -> Option<bool> {
        self.clock.agrees()
    }
}

fn wall_clock() -> Instant {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => Instant::from_millis(millis(after)),
        Err(before) => Instant::from_millis(-millis(before.duration())),
    }
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Room for a page: these are small files of the kernel, each read at once.
    let mut bytes = Vec::with_capacity(4096);
    File::open(path)?.take(READ_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > READ_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(bytes)
}

/// A name that is not UTF-8 is listed with replacement characters: seen, and not found when it is opened.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn not_text() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn machine_with(files: &[(&str, &[u8])]) -> (tempfile::TempDir, OsHost) {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let host = OsHost::new(dir.path().to_owned(), Output::Stdout);
        (dir, host)
    }

    #[test]
    fn only_the_systems_folders_are_below_the_root() {
        let (dir, host) = machine_with(&[("proc/net/dev", b"fake"), ("etcetera/x", b"own"), ("etc/hostname", b"h")]);
        assert_eq!(host.read(Path::new("/proc/net/dev")).unwrap(), "fake");
        assert_eq!(host.read(Path::new("/etc/hostname")).unwrap(), "h");
        assert_eq!(host.read(&dir.path().join("etcetera/x")).unwrap(), "own");
        assert_eq!(host.read(Path::new("/etcetera/x")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(
            OsHost::new("/".into(), Output::Stdout).read(Path::new("/proc/self/status")).unwrap().contains("Name:")
        );
    }

    #[test]
    fn unfit_files_are_errors_that_name_the_file() {
        let huge = vec![b'x'; READ_LIMIT as usize + 1];
        let (dir, host) = machine_with(&[("sys/latin1", b"caf\xe9"), ("sys/huge", &huge), ("sys/full", &huge[1..])]);
        let kind = |path: &str| host.read(Path::new(path)).unwrap_err().kind();
        assert_eq!(kind("/sys/latin1"), io::ErrorKind::InvalidData);
        assert_eq!(kind("/sys/huge"), io::ErrorKind::FileTooLarge);
        assert_eq!(kind("/sys"), io::ErrorKind::IsADirectory);
        assert_eq!(host.read(Path::new("/sys/full")).unwrap().len() as u64, READ_LIMIT);
        let missing = host.read(Path::new("/sys/none")).unwrap_err();
        assert_eq!(missing.to_string(), format!("{}/sys/none: no such file or directory", dir.path().display()));
    }

    #[test]
    fn names_are_sorted_and_links_read_as_written() {
        let (dir, host) = machine_with(&[("sys/class/net/lo", b""), ("sys/class/net/eth0", b"")]);
        symlink("../../devices/eth0", dir.path().join("sys/class/net/br0")).unwrap();
        symlink(std::ffi::OsStr::from_bytes(b"\xff"), dir.path().join("sys/odd")).unwrap();
        assert_eq!(host.list(Path::new("/sys/class/net")).unwrap(), ["br0", "eth0", "lo"]);
        assert_eq!(host.link(Path::new("/sys/class/net/br0")).unwrap(), "../../devices/eth0");
        assert_eq!(host.link(Path::new("/sys/odd")).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(host.link(Path::new("/sys/class/net/lo")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(host.list(Path::new("/sys/none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn clocks_and_environment() {
        let host = OsHost::new("/".into(), Output::Stdout);
        assert!(host.now() > Instant::parse("2024-01-01T00:00:00Z").unwrap());
        let before = host.elapsed();
        host.sleep(Duration::from_millis(5));
        assert!(host.elapsed() >= before + Duration::from_millis(5));
        assert!(host.env("PATH").is_some());
        assert_eq!(host.env("NETQUOTA_NO_SUCH_VARIABLE"), None);
    }

    #[test]
    fn jobs_run_at_the_same_time_and_a_panic_counts_as_an_end() {
        let host = OsHost::new("/".into(), Output::Stdout);
        let ended = Arc::new(AtomicUsize::new(0));
        let mut jobs: Vec<Job> = vec![Box::new(|| panic!("a job may fail"))];
        for _ in 0..4 {
            let ended = Arc::clone(&ended);
            jobs.push(Box::new(move || {
                thread::sleep(Duration::from_millis(100));
                ended.fetch_add(1, Ordering::SeqCst);
            }));
        }
        let before = host.elapsed();
        host.side_by_side(jobs, Duration::from_secs(5));
        assert_eq!(ended.load(Ordering::SeqCst), 4);
        assert!(host.elapsed() - before < Duration::from_millis(350));
    }

    #[test]
    fn a_job_that_hangs_is_left_behind() {
        let host = OsHost::new("/".into(), Output::Stdout);
        let before = host.elapsed();
        host.side_by_side(
            vec![Box::new(|| thread::sleep(Duration::from_secs(60))), Box::new(|| {})],
            Duration::from_millis(50),
        );
        assert!(host.elapsed() - before < Duration::from_secs(2));
        host.side_by_side(Vec::new(), Duration::from_secs(60));
        assert!(host.elapsed() - before < Duration::from_secs(2));
    }
}

//! A machine made of files, and the real binary run on it.
//!
//! `Machine::new()` is an ordinary server: `eth0`, a physical card with the default route, up for a day. Builder calls
//! change it before the first run, `grow` and its like between runs. Uptime goes on with the clock by itself.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A Telegram token of the real shape that was never issued.
pub const TOKEN: &str = "7000000001:AAneverIssuedOnlyForTests_012345678";
/// The chat the messages go to.
pub const CHAT: i64 = -100_123;

/// No run may take longer; the deadline of a run is 50 s by default, but nothing here waits for that.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The program under test, in a place every user may execute from.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_netquota"))
}

/// The machine and everything of its own: root folder, state folder, configuration, environment.
pub struct Machine {
    dir: tempfile::TempDir,
    cards: RefCell<BTreeMap<String, u32>>,
    started: Instant,
    uptime: Cell<f64>,
    config: Option<PathBuf>,
    state: PathBuf,
    env: BTreeMap<String, String>,
    secrets: Vec<String>,
}

impl Machine {
    /// An ordinary server: `eth0` with the default route, up for a day, no configuration.
    pub fn new() -> Self {
        Self::bare().interface("eth0", 5_000, 7_000).default_route("eth0")
    }

    /// A machine without any interface but `lo`.
    pub fn bare() -> Self {
        let dir = tempfile::Builder::new().prefix("netquota-test-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let machine = Self {
            state: dir.path().join("state"),
            dir,
            cards: RefCell::default(),
            started: Instant::now(),
            uptime: Cell::new(86_400.0),
            config: None,
            env: BTreeMap::new(),
            secrets: vec![secret_part(TOKEN)],
        };
        fs::create_dir(&machine.state).unwrap();
        fs::create_dir(machine.path("home")).unwrap();
        machine.put("etc/hostname", "blackbox-host\n");
        machine.put("proc/sys/kernel/hostname", "blackbox-host\n");
        machine.put("proc/net/ipv6_route", "");
        fs::create_dir_all(machine.root().join("etc")).unwrap();
        symlink("/usr/share/zoneinfo/UTC", machine.root().join("etc/localtime")).unwrap();
        machine.put("etc/timezone", "Etc/UTC\n");
        machine.put("proc/net/route", ROUTE_HEADER);
        machine.lay_card("lo", "virtual", 772, 400, 400);
        machine.boot_id("11111111-2222-4333-8444-555555555555")
    }

    /// A physical card, up, with these counters.
    pub fn interface(self, name: &str, rx: u64, tx: u64) -> Self {
        self.lay_card(name, "physical", 1, rx, tx);
        self
    }

    /// A virtual interface: `kind` is what `DEVTYPE` says (`bridge`, `bond`, `vlan`, or empty as for veth).
    pub fn virtual_interface(self, name: &str, kind: &str, rx: u64, tx: u64) -> Self {
        self.lay_card(name, "virtual", 1, rx, tx);
        if !kind.is_empty() {
            let uevent = self.net(name).join("uevent");
            let text = format!("DEVTYPE={kind}\n{}", fs::read_to_string(&uevent).unwrap());
            fs::write(uevent, text).unwrap();
        }
        if kind == "bridge" {
            fs::create_dir_all(self.net(name).join("bridge")).unwrap();
            fs::create_dir_all(self.net(name).join("brif")).unwrap();
        }
        self
    }

    /// Makes `member` a port of the bridge.
    pub fn bridge_port(self, bridge: &str, member: &str) -> Self {
        let [port, whole] = [member, bridge].map(|name| fs::canonicalize(self.net(name)).unwrap());
        fs::create_dir_all(port.join("brport")).unwrap();
        symlink(&whole, port.join("master")).unwrap();
        symlink(port.join("brport"), whole.join("brif").join(member)).unwrap();
        self.stacked(bridge, member)
    }

    /// A VLAN, bond or the like over another interface, as sysfs links them.
    pub fn stacked(self, upper: &str, lower: &str) -> Self {
        let [up, low] = [upper, lower].map(|name| fs::canonicalize(self.net(name)).unwrap());
        symlink(&low, up.join(format!("lower_{lower}"))).unwrap();
        symlink(&up, low.join(format!("upper_{upper}"))).unwrap();
        self
    }

    /// The IPv4 default route; a second call adds one with a higher metric.
    pub fn default_route(self, name: &str) -> Self {
        let path = self.root().join("proc/net/route");
        let mut text = fs::read_to_string(&path).unwrap();
        let metric = text.lines().count() * 100;
        text.push_str(&format!("{name}\t00000000\t0100000A\t0003\t0\t0\t{metric}\t00000000\t0\t0\t0\n"));
        fs::write(path, text).unwrap();
        self
    }

    /// The IPv6 default route.
    pub fn default_route_v6(self, name: &str) -> Self {
        let zero = "0".repeat(32);
        let line = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 {name:>8}\n"
        );
        self.put("proc/net/ipv6_route", &line);
        self
    }

    /// The identity of the boot.
    pub fn boot_id(self, id: &str) -> Self {
        self.put("proc/sys/kernel/random/boot_id", &format!("{id}\n"));
        self
    }

    /// How long the machine has been up, now.
    pub fn uptime(self, seconds: f64) -> Self {
        self.set_uptime(seconds);
        self
    }

    /// The configuration; readable by its owner only, as one with secrets should be.
    pub fn config(mut self, toml: &str) -> Self {
        let path = self.path("config.toml");
        fs::write(&path, toml).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self.config = Some(path);
        self
    }

    /// Adds a variable to the otherwise empty environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A text that must never be seen in any output or file of the program.
    pub fn secret(mut self, text: &str) -> Self {
        self.secrets.push(text.to_owned());
        self
    }

    /// Another state folder, for instance a mounted one.
    pub fn state_dir_at(mut self, path: PathBuf) -> Self {
        self.state = path;
        self
    }

    /// Rewrites the configuration between runs.
    pub fn set_config(&self, toml: &str) {
        fs::write(self.config.as_ref().expect("a configuration to change"), toml).unwrap();
    }

    /// Traffic: both counters go on by so many bytes.
    pub fn grow(&self, name: &str, rx: u64, tx: u64) {
        let (old_rx, old_tx) = self.counters(name);
        self.set_counters(name, old_rx + rx, old_tx + tx);
    }

    /// Sets the counters, as a restart or a wrap would.
    pub fn set_counters(&self, name: &str, rx: u64, tx: u64) {
        fs::write(self.net(name).join("statistics/rx_bytes"), format!("{rx}\n")).unwrap();
        fs::write(self.net(name).join("statistics/tx_bytes"), format!("{tx}\n")).unwrap();
    }

    /// The counters as they are.
    pub fn counters(&self, name: &str) -> (u64, u64) {
        let read = |what: &str| {
            fs::read_to_string(self.net(name).join("statistics").join(what)).unwrap().trim().parse::<u64>().unwrap()
        };
        (read("rx_bytes"), read("tx_bytes"))
    }

    /// A reboot: new boot id, uptime from zero, counters as given.
    pub fn reboot(&self, boot_id: &str, uptime: f64, counters: &[(&str, u64, u64)]) {
        self.put("proc/sys/kernel/random/boot_id", &format!("{boot_id}\n"));
        self.set_uptime(uptime);
        for (name, rx, tx) in counters {
            self.set_counters(name, *rx, *tx);
        }
    }

    /// The interface is gone.
    pub fn remove_interface(&self, name: &str) {
        fs::remove_dir_all(fs::canonicalize(self.net(name)).unwrap()).unwrap();
        fs::remove_file(self.net(name)).unwrap();
    }

    /// The interface has another name now, with the same index and counters.
    pub fn rename_interface(&self, old: &str, new: &str) {
        let real = fs::canonicalize(self.net(old)).unwrap();
        let renamed = real.with_file_name(new);
        fs::rename(&real, &renamed).unwrap();
        fs::remove_file(self.net(old)).unwrap();
        symlink(renamed, self.net(new)).unwrap();
        let route = self.root().join("proc/net/route");
        let text = fs::read_to_string(&route).unwrap().replace(&format!("{old}\t"), &format!("{new}\t"));
        fs::write(route, text).unwrap();
    }

    /// Puts a file below the root folder.
    pub fn put(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A path in the machine's own folder, outside root and state.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An executable script there.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let source = self.path(&format!("{name}.source"));
        fs::write(&source, format!("#!/bin/sh\n{text}")).unwrap();
        self.executable(name, &source)
    }

    /// A copy of the program there, for users who may not execute it where it was built.
    pub fn program_for_all(&self) -> PathBuf {
        let path = self.path("netquota");
        if path.exists() { path } else { self.executable("netquota", binary()) }
    }

    /// A copy of the program under another name.
    pub fn copy_of_program(&self, name: &str) -> PathBuf {
        self.executable(name, binary())
    }

    /// Copied by another process: a file that this one has open for writing while a test beside it starts a program
    /// would be "busy" when it is executed.
    fn executable(&self, name: &str, source: &Path) -> PathBuf {
        let path = self.path(name);
        let done = Command::new("install").args(["-m", "755"]).arg(source).arg(&path).status().unwrap();
        assert!(done.success(), "install {}", path.display());
        path
    }

    /// The root folder.
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The state folder.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// The state file.
    pub fn state_file(&self) -> PathBuf {
        self.state.join("state.json")
    }

    /// The configuration file.
    pub fn config_file(&self) -> &Path {
        self.config.as_deref().expect("a configuration")
    }

    /// `netquota ARGS` with this machine's folders, ready to spawn.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(binary(), args)
    }

    /// As [`Machine::command`], by another path of the program or below another program.
    pub fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        self.write_uptime();
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.path("home")).envs(&self.env);
        command.current_dir(self.path("home")).stdin(Stdio::null());
        if program == binary() {
            command.args(self.global_args());
        }
        command.args(args);
        command
    }

    /// `--root`, `--state-dir` and `--config` of this machine.
    pub fn global_args(&self) -> Vec<String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut args = vec!["--root".into(), text(&self.root()), "--state-dir".into(), text(&self.state)];
        if let Some(config) = &self.config {
            args.extend(["--config".into(), text(config)]);
        }
        args
    }

    /// Runs `netquota ARGS` to its end.
    pub fn run(&self, args: &[&str]) -> Run {
        self.finish(spawn(self.command(args)))
    }

    /// `netquota check`.
    pub fn check(&self) -> Run {
        self.run(&["check"])
    }

    /// `netquota check` that must end with this code.
    #[track_caller]
    pub fn check_exits(&self, code: i32) -> Run {
        self.check().exits(code)
    }

    /// The document of `netquota status --json`.
    #[track_caller]
    pub fn status(&self) -> Status {
        Status(self.run(&["status", "--json"]).exits(0).json())
    }

    /// Waits for a spawned run and looks for secrets in all it left.
    #[track_caller]
    pub fn finish(&self, running: Running) -> Run {
        let run = running.wait(TIME_LIMIT);
        self.assert_no_secret(&run);
        run
    }

    /// No secret in the output or in any file of the state folder.
    #[track_caller]
    pub fn assert_no_secret(&self, run: &Run) {
        for secret in &self.secrets {
            assert!(!run.stdout.contains(secret.as_str()), "a secret on standard output: {}", run.stdout);
            assert!(!run.stderr.contains(secret.as_str()), "a secret on standard error: {}", run.stderr);
            for (name, file) in snapshot(&self.state) {
                let found = file.bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "a secret in {name} of the state folder");
            }
        }
    }

    fn net(&self, name: &str) -> PathBuf {
        self.root().join("sys/class/net").join(name)
    }

    fn set_uptime(&self, seconds: f64) {
        self.uptime.set(seconds - self.started.elapsed().as_secs_f64());
        self.write_uptime();
    }

    fn write_uptime(&self) {
        let now = self.uptime.get() + self.started.elapsed().as_secs_f64();
        self.put("proc/uptime", &format!("{now:.2} {now:.2}\n"));
    }

    /// As in sysfs: the folder is below `devices`, `class/net` links to it, a physical card has `device`.
    fn lay_card(&self, name: &str, nature: &str, arp_type: u32, rx: u64, tx: u64) {
        let index = u32::try_from(self.cards.borrow().len()).unwrap() + 1;
        self.cards.borrow_mut().insert(name.to_owned(), index);
        let device = match nature {
            "physical" => format!("sys/devices/pci0000:00/0000:00:{index:02x}.0"),
            _ => "sys/devices/virtual".to_owned(),
        };
        let folder = format!("{device}/net/{name}");
        for (file, text) in [
            ("ifindex", index.to_string()),
            ("iflink", index.to_string()),
            ("type", arp_type.to_string()),
            ("speed", if nature == "physical" { "1000" } else { "-1" }.to_owned()),
            ("operstate", "up".to_owned()),
            ("carrier", "1".to_owned()),
            ("mtu", "1500".to_owned()),
            ("flags", "0x1003".to_owned()),
            ("address", format!("02:00:00:00:00:{index:02x}")),
            ("uevent", format!("INTERFACE={name}\nIFINDEX={index}")),
        ] {
            self.put(&format!("{folder}/{file}"), &format!("{text}\n"));
        }
        for counter in ["rx_packets", "tx_packets", "rx_errors", "tx_errors"] {
            self.put(&format!("{folder}/statistics/{counter}"), "0\n");
        }
        let class = self.root().join("sys/class/net");
        fs::create_dir_all(&class).unwrap();
        fs::create_dir_all(self.root().join(&folder).join("statistics")).unwrap();
        if nature == "physical" {
            symlink(format!("../../../0000:00:{index:02x}.0"), self.root().join(&folder).join("device")).unwrap();
        }
        symlink(format!("../../../{folder}"), class.join(name)).unwrap();
        self.set_counters(name, rx, tx);
    }
}

const ROUTE_HEADER: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\neth9\t0000FEA9\t00000000\t0001\t0\t0\t1000\t0000FFFF\t0\t0\t0\n";

/// What of a token is secret: the number before the colon is the bot's public id.
pub fn secret_part(token: &str) -> String {
    token.split_once(':').map_or(token, |(_, secret)| secret).to_owned()
}

/// A run that has been started.
pub struct Running {
    child: Child,
    stdout: thread::JoinHandle<String>,
    stderr: thread::JoinHandle<String>,
    since: Instant,
}

/// Starts a command in a process group of its own, its output collected in the background.
pub fn spawn(mut command: Command) -> Running {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let since = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    Running { child, stdout, stderr, since }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Running {
    /// The process.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Ends it as a power cut would; false when it had ended by itself.
    pub fn kill(mut self) -> bool {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.stdout.join().unwrap();
        self.stderr.join().unwrap();
        status.signal().is_some()
    }

    /// Waits for the end; a run that takes longer is killed and fails the test.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Run {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.since.elapsed() > limit {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("still running after {limit:?}");
            }
            thread::sleep(Duration::from_millis(1));
        };
        let took = self.since.elapsed();
        Run { status, stdout: self.stdout.join().unwrap(), stderr: self.stderr.join().unwrap(), took }
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Run {
    status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// The exit code.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }

    /// The exit code must be this one; no run ever panics.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert!(!self.stderr.contains("panicked"), "a panic: {}", self.stderr);
        assert_eq!(self.code(), code, "exit code; stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Nothing on either stream.
    #[track_caller]
    pub fn quietly(self) -> Self {
        assert_eq!(self.stdout, "", "standard output");
        assert_eq!(self.stderr, "", "standard error");
        self
    }

    /// Standard error must say this.
    #[track_caller]
    pub fn complains(self, of: &str) -> Self {
        assert!(self.stderr.contains(of), "nothing of {of:?} on standard error: {}", self.stderr);
        self
    }

    /// Standard output must say this.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "nothing of {text:?} on standard output: {}", self.stdout);
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("not one JSON document ({e}): {}", self.stdout))
    }
}

/// The document of `status --json` and `check --json`.
pub struct Status(pub Value);

impl Status {
    /// The only quota row.
    #[track_caller]
    pub fn row(&self) -> &Value {
        let rows = self.0["quotas"].as_array().expect("quotas");
        assert_eq!(rows.len(), 1, "one quota row: {rows:?}");
        &rows[0]
    }

    /// The row of this subject.
    #[track_caller]
    pub fn row_of(&self, subject: &str) -> &Value {
        let rows = self.0["quotas"].as_array().expect("quotas");
        rows.iter().find(|row| row["subject"] == subject).unwrap_or_else(|| panic!("no row of {subject}: {rows:?}"))
    }

    /// Bytes used, of the only row.
    #[track_caller]
    pub fn used(&self) -> u64 {
        self.row()["used"].as_u64().expect("used is an integer")
    }

    /// How many of `pending`, `problems`, `held`.
    #[track_caller]
    pub fn count(&self, what: &str) -> usize {
        self.0[what].as_array().unwrap_or_else(|| panic!("no list {what}: {}", self.0)).len()
    }
}

/// One file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Seconds and nanoseconds of the last change.
    pub changed: (i64, i64),
    /// Owner, mode.
    pub owner_mode: (u32, u32),
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Every file below a folder, by its path in it; folders have no bytes.
pub fn snapshot(folder: &Path) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let mut bytes = Vec::new();
        if meta.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if meta.is_file() {
            bytes = fs::read(&path).unwrap_or_default();
        }
        let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        let changed = (meta.mtime(), meta.mtime_nsec());
        files.insert(name, File { changed, owner_mode: (meta.uid(), meta.mode()), bytes });
    }
    files
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A configuration of one quota of 1 MB with tiers at 80, 90 and 95 % and Telegram at `api_base`.
pub fn quota_and_telegram(api_base: &str) -> String {
    format!("[quota.month]\nallowance = \"1 MB\"\ntiers = [\"80%\", \"90%\", \"95%\"]\n{}", telegram_table(api_base))
}

/// The notifier's table for a Telegram at `api_base`.
pub fn telegram_table(api_base: &str) -> String {
    format!("[notifier.telegram]\ntoken = \"{TOKEN}\"\nchat = {CHAT}\napi_base = \"{api_base}\"\n")
}

/// A small generator with a fixed seed, so that a failure can be seen again.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `below`.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Waits until `done`, looking often; false when `limit` is over.
pub fn eventually(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while since.elapsed() < limit {
        if done() {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    done()
}

/// Writes to standard error of the test run, shown when the test fails.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

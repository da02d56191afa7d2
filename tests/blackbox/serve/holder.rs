//! Holds a socket as systemd does: it listens, and starts the program with the socket whenever somebody has come and no
//! program is there.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{Machine, binary};

/// The socket comes as standard input and becomes number 3, where it is expected.
const HAND_OVER: &str =
    r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID; exec "$0" "$@""#;
/// How often it is looked whether the test is over.
const LOOK: Duration = Duration::from_millis(20);

/// The socket and what was started for it.
pub struct Holder {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
    errors: PathBuf,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    child: Mutex<Option<Child>>,
    ended: Mutex<Vec<(ExitStatus, Instant)>>,
    starts: Mutex<Vec<Instant>>,
}

impl Holder {
    /// Listens, and waits for somebody to come.
    pub fn new(machine: &Machine) -> Self {
        Self::of(machine, binary())
    }

    /// The same with the program at another path.
    pub fn of(machine: &Machine, program: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let errors = machine.path("serve.err");
        File::create(&errors).unwrap();
        let start = Start::new(machine, program, errors.clone());
        let shared = Arc::new(Shared::default());
        let holding = Arc::clone(&shared);
        let thread = Some(thread::spawn(move || hold(&listener, &start, &holding)));
        Self { address, shared, thread, errors }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often the program was started.
    pub fn starts(&self) -> usize {
        self.shared.starts.lock().unwrap().len()
    }

    /// How the programs ended, and when.
    pub fn ended(&self) -> Vec<(ExitStatus, Instant)> {
        self.shared.ended.lock().unwrap().clone()
    }

    /// Whether a program is there.
    pub fn is_running(&self) -> bool {
        self.shared.child.lock().unwrap().is_some()
    }

    /// Ends the program that is there as a power cut would; false when none is.
    pub fn kill(&self) -> bool {
        self.shared.child.lock().unwrap().as_mut().is_some_and(|child| child.kill().is_ok())
    }

    /// Tells the program that is there to end, as systemd does.
    pub fn terminate(&self) {
        let child = self.shared.child.lock().unwrap();
        let pid = Pid::from_child(child.as_ref().unwrap());
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// The highest memory the program that is there ever had, in KiB.
    pub fn peak(&self) -> Option<u64> {
        let pid = self.shared.child.lock().unwrap().as_ref()?.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    }

    /// What the programs said on standard error.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    /// All that were started ended well, and none said anything.
    #[track_caller]
    pub fn quietly(&self) {
        assert_eq!(self.errors(), "");
        for (status, _) in self.ended() {
            assert_eq!(status.code(), Some(0), "signal {:?}", status.signal());
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.kill();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and the test has failed by what it led to.
            let _ = thread.join();
        }
    }
}

/// How the program is started: without the machine, which stays with its test.
struct Start {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    home: PathBuf,
    errors: PathBuf,
}

impl Start {
    fn new(machine: &Machine, program: &Path, errors: PathBuf) -> Self {
        let mut command = machine.command_of(Path::new("/bin/sh"), &["-c", HAND_OVER]);
        command.arg(program).args(machine.global_args()).arg("serve");
        let owned = |(name, value): (&std::ffi::OsStr, Option<&std::ffi::OsStr>)| {
            value.map(|value| (name.to_owned(), value.to_owned()))
        };
        Self {
            args: command.get_args().map(Into::into).collect(),
            env: command.get_envs().filter_map(owned).collect(),
            home: command.get_current_dir().unwrap().to_owned(),
            errors,
        }
    }

    fn child(&self, listener: &TcpListener) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        let socket = OwnedFd::from(listener.try_clone().unwrap());
        let errors = File::options().append(true).open(&self.errors).unwrap();
        command.current_dir(&self.home).stdin(Stdio::from(socket)).stdout(Stdio::null()).stderr(errors);
        command.spawn().unwrap()
    }
}

fn hold(listener: &TcpListener, start: &Start, shared: &Shared) {
    while !shared.over.load(Ordering::SeqCst) {
        if !somebody_has_come(listener) {
            continue;
        }
        shared.starts.lock().unwrap().push(Instant::now());
        *shared.child.lock().unwrap() = Some(start.child(listener));
        let status = loop {
            let ended = shared.child.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            match ended {
                Some(status) => break status,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        *shared.child.lock().unwrap() = None;
        shared.ended.lock().unwrap().push((status, Instant::now()));
    }
}

/// Whether somebody is in the socket's queue, whom nobody has accepted. Asked anew each time: who came before counts too.
fn somebody_has_come(listener: &TcpListener) -> bool {
    let limit = Timespec::try_from(LOOK).unwrap();
    poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&limit)).unwrap() > 0
}

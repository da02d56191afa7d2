//! Commands: started without a shell in a process group of their own, drained all the time, ended in time.
//!
//! Whatever a command does, [`run`] returns: endless output is cut to its tail, a time limit ends the whole group,
//! and a background process that keeps the pipe open is not waited for.
//!
//! Why threads and short polls: the standard library has no wait with a limit, and one reader thread with a look at
//! the child every few milliseconds needs neither signals nor `unsafe`.

use std::convert::Infallible;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::super::{Command, Ran};
use crate::error::in_words;

/// Bytes of output kept at the most.
const OUTPUT_LIMIT: usize = 4096;

/// How long a group may take to end after SIGTERM, and its leader to be gone after SIGKILL.
const GRACE: Duration = Duration::from_secs(1);

/// How long output is waited for after the end, when something still holds the pipe.
const LAST_OUTPUT: Duration = Duration::from_millis(100);

/// Between two looks at a running command.
const POLL: Duration = Duration::from_millis(20);

/// The same when its pipe is closed already: it is about to end.
const SHORT_POLL: Duration = Duration::from_millis(5);

/// Runs a command to its end or its time limit.
pub(super) fn run(command: &Command) -> Ran {
    match Running::start(command) {
        Ok(running) => running.finish(command.timeout),
        Err(text) => Ran::NotStarted(text),
    }
}

struct Running {
    child: Child,
    output: Arc<Mutex<Tail>>,
    /// Nothing is ever sent; it closes when the last writer has closed the pipe.
    closed: Receiver<Infallible>,
}

impl Running {
    fn start(command: &Command) -> Result<Self, String> {
        let (program, arguments) = command.argv.split_first().ok_or("no command is given")?;
        let explain = |error: io::Error| format!("{program}: {}", in_words(&error));
        let (reader, writer) = io::pipe().map_err(explain)?;
        let output = Arc::new(Mutex::new(Tail::default()));
        let closed = drain(reader, Arc::clone(&output)).map_err(explain)?;
        let mut starter = process::Command::new(program);
        starter.args(arguments).process_group(0).stdin(Stdio::null());
        starter.stdout(writer.try_clone().map_err(explain)?).stderr(writer);
        for name in &command.withheld {
            starter.env_remove(name);
        }
        starter.envs(command.env.iter().map(|(name, value)| (name, value)));
        // The writers in `starter` are dropped here, so that the pipe closes with the command.
        let child = starter.spawn().map_err(explain)?;
        Ok(Self { child, output, closed })
    }

    fn finish(mut self, limit: Duration) -> Ran {
        let ended = self.wait(limit);
        if ended.is_none() {
            self.end_group();
        }
        let _ = self.closed.recv_timeout(LAST_OUTPUT);
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner).text();
        match ended {
            Some(code) => Ran::Exited { code, output },
            None => Ran::TimedOut { output },
        }
    }

    /// The exit code once it has ended; none at the limit. A child that another took the status of (SIGCHLD ignored
    /// by who started us) has ended with no code.
    fn wait(&mut self, limit: Duration) -> Option<Option<i32>> {
        let started = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(None) if started.elapsed() >= limit => return None,
                Ok(None) => self.pause(limit.saturating_sub(started.elapsed())),
                ended => return Some(ended.ok().flatten().as_ref().and_then(ExitStatus::code)),
            }
        }
    }

    /// SIGTERM to all of the group, then SIGKILL. The leader stays unreaped until then: as long as it is a zombie, its
    /// number names no other group.
    fn end_group(&mut self) {
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::TERM);
        let started = Instant::now();
        while started.elapsed() < GRACE && !(self.pipe_closed() && leader_ended(group)) {
            self.pause(GRACE);
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _reaped = self.wait(GRACE);
    }

    fn pause(&self, limit: Duration) {
        if self.closed.recv_timeout(POLL.min(limit)) == Err(RecvTimeoutError::Disconnected) {
            thread::sleep(SHORT_POLL.min(limit));
        }
    }

    fn pipe_closed(&self) -> bool {
        self.closed.try_recv() == Err(TryRecvError::Disconnected)
    }
}

fn leader_ended(pid: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), look), Ok(None))
}

/// Reads the pipe in a thread until all writers have closed it, then closes the returned channel.
fn drain(mut pipe: PipeReader, output: Arc<Mutex<Tail>>) -> io::Result<Receiver<Infallible>> {
    let (open, closed): (Sender<Infallible>, _) = mpsc::channel();
    let work = move || {
        let _open = open;
        let mut buffer = [0; 16 * 1024];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => output.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    };
    thread::Builder::new().spawn(work)?;
    Ok(closed)
}

/// The last part of what was written.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// One character more than shown is kept, so that one cut in two at the front is not shown as damaged.
    const KEPT: usize = OUTPUT_LIMIT + 4;

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(Self::KEPT)..]);
        let surplus = self.0.len().saturating_sub(Self::KEPT);
        self.0.drain(..surplus);
    }

    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.0).into_owned();
        let surplus = text.len().saturating_sub(OUTPUT_LIMIT);
        text.drain(..text.ceil_char_boundary(surplus));
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn command(argv: &[&str], timeout_ms: u64) -> Command {
        Command {
            argv: argv.iter().map(ToString::to_string).collect(),
            env: Vec::new(),
            withheld: Vec::new(),
            timeout: Duration::from_millis(timeout_ms),
        }
    }

    fn sh(script: &str, timeout_ms: u64) -> (Ran, Duration) {
        let started = Instant::now();
        let ran = run(&command(&["sh", "-c", script], timeout_ms));
        (ran, started.elapsed())
    }

    fn exited(code: i32, output: &str) -> Ran {
        Ran::Exited { code: Some(code), output: output.into() }
    }

    fn alive(pid_file: &Path) -> bool {
        let pid = fs::read_to_string(pid_file).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    }

    #[test]
    fn exit_code_and_both_outputs_in_order() {
        let (ran, _) = sh("echo one; echo two >&2; echo three; exit 7", 5000);
        assert_eq!(ran, exited(7, "one\ntwo\nthree\n"));
        assert_eq!(sh("kill -9 $$", 5000).0, Ran::Exited { code: None, output: String::new() });
        assert_eq!(run(&command(&["cat"], 5000)), exited(0, ""));
    }

    #[test]
    fn arguments_reach_the_program_without_a_shell() {
        let argv = ["printf", "%s|", "a b", "$HOME", "*"];
        assert_eq!(run(&command(&argv, 5000)), exited(0, "a b|$HOME|*|"));
    }

    #[test]
    fn what_cannot_start_says_why() {
        let missing = "/no/such/program: no such file or directory";
        assert_eq!(run(&command(&["/no/such/program"], 100)), Ran::NotStarted(missing.into()));
        assert_eq!(run(&command(&["/etc"], 100)), Ran::NotStarted("/etc: permission denied".into()));
        assert_eq!(run(&command(&[], 100)), Ran::NotStarted("no command is given".into()));
        assert!(matches!(run(&command(&["a\0b"], 100)), Ran::NotStarted(_)));
    }

    #[test]
    fn variables_are_added_and_withheld() {
        let mut command = command(&["sh", "-c", "echo $NETQUOTA_TIER ${PATH-none}"], 5000);
        command.argv[0] = "/bin/sh".into();
        command.env.push(("NETQUOTA_TIER".into(), "95%".into()));
        command.withheld.push("PATH".into());
        let Ran::Exited { output, .. } = run(&command) else { panic!("not exited") };
        assert!(output.starts_with("95% "), "{output}");
        assert!(!output.contains(&std::env::var("PATH").unwrap()), "{output}");
    }

    #[test]
    fn of_long_output_the_end_is_kept() {
        let (ran, _) = sh("i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done", 5000);
        let Ran::Exited { code: Some(0), output } = ran else { panic!("{ran:?}") };
        assert_eq!(output.len(), OUTPUT_LIMIT);
        assert!(output.ends_with("line-2998\nline-2999\n"));
    }

    #[test]
    fn the_tail_is_cut_between_characters_and_stays_small() {
        let mut tail = Tail::default();
        for _ in 0..5000 {
            tail.push("流量".as_bytes());
            assert!(tail.0.len() <= Tail::KEPT);
        }
        tail.push(b"!");
        assert!(tail.text().len() > OUTPUT_LIMIT - 4 && tail.text().len() <= OUTPUT_LIMIT);
        assert!(!tail.text().contains('\u{fffd}'));
        tail.push(&vec![0xff; 100_000]);
        assert!(tail.text().len() <= OUTPUT_LIMIT);
    }

    #[test]
    fn endless_output_ends_at_the_limit() {
        let started = Instant::now();
        let ran = run(&command(&["yes", "on and on"], 200));
        let Ran::TimedOut { output } = ran else { panic!("{ran:?}") };
        assert!(output.ends_with('\n') || output.contains("on and on"));
        assert!(output.len() <= OUTPUT_LIMIT);
        assert!(started.elapsed() < Duration::from_millis(1500));
    }

    #[test]
    fn the_time_limit_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("(sh -c 'echo $$ > {0}; exec sleep 60') & wait", pid.display());
        let (ran, took) = sh(&script, 300);
        assert_eq!(ran, Ran::TimedOut { output: String::new() });
        assert!(took < Duration::from_millis(1200), "SIGTERM was enough, took {took:?}");
        assert!(!alive(&pid));
    }

    #[test]
    fn what_ignores_the_polite_signal_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        // The leader obeys, its grandchild does not: the group is killed all the same.
        let script =
            format!("(trap '' TERM; echo started; sh -c 'echo $$ > {0}; sleep 60; sleep 60') & wait", pid.display());
        let (ran, took) = sh(&script, 200);
        assert_eq!(ran, Ran::TimedOut { output: "started\n".into() });
        assert!(took > GRACE && took < Duration::from_secs(3), "{took:?}");
        thread::sleep(Duration::from_millis(50));
        assert!(!alive(&pid));
    }

    #[test]
    fn a_background_process_neither_holds_us_nor_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("sleep 3 & echo $! > {}; echo started", pid.display());
        let (ran, took) = sh(&script, 10_000);
        assert_eq!(ran, exited(0, "started\n"));
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(alive(&pid));
    }

    #[test]
    fn a_closed_pipe_is_no_end() {
        let (ran, took) = sh("exec >&- 2>&-; sleep 0.2; exit 4", 5000);
        assert_eq!(ran, exited(4, ""));
        assert!(took >= Duration::from_millis(200));
    }
}

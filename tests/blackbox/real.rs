//! Real parts of a machine for tests that run as root: mounts and network namespaces, undone when dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs a helper program to its end; it must succeed.
#[track_caller]
pub fn sh(program: &str, args: &[&str]) -> String {
    let output = try_sh(program, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs a helper program to its end, whatever comes of it.
#[track_caller]
pub fn try_sh(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// A file system of its own, unmounted when dropped.
pub struct Mount(PathBuf);

impl Mount {
    /// A tmpfs of this size, owned by root.
    pub fn tmpfs(at: &Path, kib: u32) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={kib}k,mode=0755");
        sh("mount", &["-t", "tmpfs", "-o", &options, "netquota-test", at.to_str().unwrap()]);
        Self(at.to_owned())
    }

    /// From now on nothing can be written there.
    pub fn make_read_only(&self) {
        sh("mount", &["-o", "remount,ro", self.0.to_str().unwrap()]);
    }

    /// Writable again.
    pub fn make_writable(&self) {
        sh("mount", &["-o", "remount,rw", self.0.to_str().unwrap()]);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        try_sh("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

/// A network namespace of the test's own, removed when dropped with everything in it.
pub struct Namespace(String);

impl Namespace {
    /// Empty but for `lo`, without IPv6, so that nothing but the test makes traffic.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("netquota-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        sh("ip", &["netns", "add", &name]);
        let namespace = Self(name);
        namespace.sh(&["sh", "-c", "for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done"]);
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// `ip ARGS` inside.
    #[track_caller]
    pub fn ip(&self, args: &[&str]) -> String {
        sh("ip", &[&["-n", self.name()], args].concat())
    }

    /// A program inside.
    #[track_caller]
    pub fn sh(&self, args: &[&str]) -> String {
        sh("ip", &[&["netns", "exec", self.name()], args].concat())
    }

    /// What the kernel itself counts.
    #[track_caller]
    pub fn counter(&self, interface: &str, which: &str) -> u64 {
        let path = format!("/sys/class/net/{interface}/statistics/{which}_bytes");
        self.sh(&["cat", &path]).trim().parse().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        try_sh("ip", &["netns", "del", self.name()]);
    }
}

//! A real cron that runs the line of `cron/netquota`.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::machine::{Machine, binary, eventually};
use crate::real::try_sh;

/// The daemon of this test; it and its jobs end when dropped.
struct Cron(Child);

impl Drop for Cron {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_line_for_push_is_that_for_check_but_for_the_command() {
    let job = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cron").join(name);
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("* ")).collect();
        assert!(text.ends_with('\n') && lines.len() == 1, "{lines:?}");
        lines[0].to_owned()
    };
    assert_eq!(job("netquota-push"), job("netquota").replace("netquota check", "netquota push"));
}

#[test]
#[ignore = "needs cron, root and up to a minute: run ./test"]
fn cron_runs_the_line_that_the_repository_offers() {
    let machine = Machine::new();
    // A user adapts the path of the program. Here it is a script that adds this machine's folders and keeps what
    // cron would mail.
    let script = machine.script(
        "netquota",
        &format!(
            "\"{}\" {} \"$@\" >>\"{out}\" 2>&1\necho $? >>\"{codes}\"\n",
            binary().display(),
            machine.global_args().join(" "),
            out = machine.path("mail").display(),
            codes = machine.path("codes").display()
        ),
    );
    let line = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/cron/netquota")).unwrap();
    assert_eq!(line.matches("/usr/local/bin/netquota").count(), 1, "one place to adapt");
    let folder = machine.path("cron.d");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("netquota"), line.replace("/usr/local/bin/netquota", script.to_str().unwrap())).unwrap();
    fs::write(machine.path("crontab"), "").unwrap();

    // In a mount namespace of its own: no other job of this machine runs, no other cron is disturbed.
    let _cron = Cron(
        Command::new("unshare")
            .args(["-m", "sh", "-euc"])
            .arg(
                "mount --make-rprivate /; mount -t tmpfs tmpfs /run; mkdir -p /var/spool/cron; \
                 mount -t tmpfs tmpfs /var/spool/cron; mkdir /var/spool/cron/crontabs; \
                 mount --bind \"$1/cron.d\" /etc/cron.d; touch /etc/crontab; mount --bind \"$1/crontab\" /etc/crontab; \
                 exec cron -f",
            )
            .arg("sh")
            .arg(machine.path(""))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let ran = || fs::read_to_string(machine.path("codes")).unwrap_or_default();
    assert!(eventually(Duration::from_secs(75), || !ran().is_empty()), "cron ran nothing: {}", processes());
    assert_eq!(ran(), "0\n");
    assert_eq!(fs::read_to_string(machine.path("mail")).unwrap(), "", "nothing to mail");
    assert_eq!(machine.status().row()["subject"], "eth0");
}

fn processes() -> String {
    String::from_utf8_lossy(&try_sh("pgrep", &["-a", "cron"]).stdout).into_owned()
}

//! The units, as systemd itself reads them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::binary;
use crate::real::try_sh;

/// The most that `systemd-analyze security` may say, in tenths.
const EXPOSURE: &str = "--threshold=15";

/// What each unit starts, and when; of `serve` and `push` as of the checking run.
const SERVICES: [&str; 3] = ["netquota.service", "netquota-serve.service", "netquota-push.service"];
const STARTERS: [&str; 3] = ["netquota.timer", "netquota-serve.socket", "netquota-push.timer"];

/// The units in a folder of their own, the program's path adapted as a user would.
struct Units(tempfile::TempDir);

impl Units {
    fn new() -> Self {
        let units = Self(tempfile::tempdir().unwrap());
        for name in SERVICES.into_iter().chain(STARTERS) {
            fs::write(units.path(name), unit(name).replace("/usr/local/bin/netquota", binary().to_str().unwrap()))
                .unwrap();
        }
        units
    }

    fn with_drop_in(self, service: &str, name: &str) -> Self {
        let folder = self.path(&format!("{service}.d"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), unit(name)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn are_accepted(&self) {
        let paths: Vec<PathBuf> = SERVICES.into_iter().chain(STARTERS).map(|name| self.path(name)).collect();
        let mut args = vec!["verify"];
        args.extend(paths.iter().map(|path| path.to_str().unwrap()));
        let output = try_sh("systemd-analyze", &args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said, "", "verify is content only when it says nothing");
    }

    #[track_caller]
    fn is_exposed_little(&self, service: &str) {
        let path = self.path(service);
        let args = ["security", "--offline=true", EXPOSURE, "--no-pager", path.to_str().unwrap()];
        let output = try_sh("systemd-analyze", &args);
        assert!(output.status.success(), "{service}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

fn unit(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)).unwrap()
}

#[test]
#[ignore = "needs systemd-analyze: run ./test"]
fn systemd_accepts_the_units() {
    Units::new().are_accepted();
}

#[test]
#[ignore = "needs systemd-analyze: run ./test"]
fn systemd_accepts_the_drop_in_for_actions() {
    Units::new().with_drop_in("netquota.service", "actions.conf").are_accepted();
}

#[test]
#[ignore = "needs systemd-analyze: run ./test"]
fn systemd_accepts_what_the_drop_in_offers_to_uncomment() {
    let units = Units::new().with_drop_in("netquota.service", "actions.conf");
    let path = units.path("netquota.service.d/actions.conf");
    let is_setting = |line: &str| line.starts_with('#') && line.contains('=') && !line.contains(' ');
    let text = fs::read_to_string(&path).unwrap();
    let all: Vec<&str> = text.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect();
    assert!(text.lines().filter(|line| is_setting(line)).count() >= 5);
    fs::write(&path, all.join("\n")).unwrap();
    units.are_accepted();
}

#[test]
#[ignore = "needs systemd-analyze: run ./test"]
fn systemd_accepts_the_drop_in_for_serving_as_root() {
    let units = Units::new().with_drop_in("netquota-serve.service", "serve-root.conf");
    units.are_accepted();
    units.is_exposed_little("netquota-serve.service");
}

#[test]
#[ignore = "needs systemd-analyze: run ./test"]
fn the_services_are_exposed_as_little_as_promised() {
    let units = Units::new();
    for service in SERVICES {
        units.is_exposed_little(service);
    }
}

/// Whether a unit has exactly this line.
fn sets(unit: &str, line: &str) -> bool {
    unit.lines().any(|known| known == line)
}

#[test]
fn the_socket_is_never_given_up() {
    let (socket, service) = (unit("netquota-serve.socket"), unit("netquota-serve.service"));
    assert!(sets(&socket, "TriggerLimitIntervalSec=0") && sets(&service, "StartLimitIntervalSec=0"));
    assert!(!service.contains("\nRestart="), "the socket starts it, and it ends when nobody comes");
    for line in ["ListenStream=127.0.0.1:8080", "Accept=no", "WantedBy=sockets.target"] {
        assert!(sets(&socket, line), "{line}");
    }
    assert_eq!(socket.matches("\nListenStream=").count(), 1, "one process serves one socket");
}

#[test]
fn what_serves_shares_user_and_state_with_what_checks() {
    let (check, serve, as_root) = (unit("netquota.service"), unit("netquota-serve.service"), unit("serve-root.conf"));
    for line in ["DynamicUser=yes", "StateDirectory=netquota", "StateDirectoryMode=0750"] {
        assert!(sets(&check, line) && sets(&serve, line), "{line}");
    }
    assert!(sets(&serve, "User=netquota"), "the name that systemd derives from netquota.service");
    assert!(!check.lines().any(|line| line.starts_with("User=")));
    for line in ["DynamicUser=no", "User=root"] {
        assert!(sets(&unit("actions.conf"), line) && sets(&as_root, line), "{line}");
    }
    assert!(
        sets(&unit("netquota-push.service"), "StateDirectory=netquota-push"),
        "it works beside a check of any user"
    );
}

#[test]
fn the_services_can_see_what_tells_a_restart() {
    let (check, push) = (unit("netquota.service"), unit("netquota-push.service"));
    for service in [&check, &push] {
        assert!(!sets(service, "ProcSubset=pid") && !sets(service, "PrivateNetwork=yes"));
        assert!(sets(service, "Type=oneshot"));
    }
    assert!(sets(&check, "SuccessExitStatus=75"));
    assert!(sets(&check, "TimeoutStartSec=90s"), "longer than the default deadline of 50 s and its 10 s");
    assert!(sets(&push, "TimeoutStartSec=60s"), "longer than the longest time-out of 50 s");
}

#[test]
fn a_missing_credential_has_a_stand_in() {
    let loads = |name: &str, credential: &str| {
        sets(&unit(name), &format!("LoadCredential={credential}:/etc/netquota/credentials/{credential}"))
    };
    for name in SERVICES {
        let service = unit(name);
        for line in service.lines().filter_map(|line| line.strip_prefix("LoadCredential=")) {
            let (credential, _) = line.split_once(':').unwrap();
            assert!(
                service.contains(&format!("\nSetCredential={credential}:")),
                "without one a missing file stops the unit: {name}, {credential}"
            );
        }
    }
    assert!(loads("netquota.service", "telegram-token") && loads("netquota-push.service", "push-password"));
    for credential in ["report-password", "read-token", "telegram-token"] {
        assert!(loads("netquota-serve.service", credential), "{credential}");
    }
}

#[test]
fn the_timers_come_each_minute() {
    let (check, push) = (unit("netquota.timer"), unit("netquota-push.timer"));
    for line in ["OnCalendar=minutely", "WantedBy=timers.target"] {
        assert!(sets(&check, line) && sets(&push, line), "{line}");
    }
    assert!(sets(&check, "Persistent=true"), "it catches up");
}

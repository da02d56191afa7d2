//! The units, as systemd itself reads them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::binary;
use crate::real::try_sh;

/// The most that `systemd-analyze security` may say, in tenths.
const EXPOSURE: &str = "--threshold=15";

/// The units in a folder of their own, the program's path adapted as a user would.
struct Units(tempfile::TempDir);

impl Units {
    fn new() -> Self {
        let units = Self(tempfile::tempdir().unwrap());
        for name in ["netquota.service", "netquota.timer"] {
            fs::write(units.path(name), unit(name).replace("/usr/local/bin/netquota", binary().to_str().unwrap()))
                .unwrap();
        }
        units
    }

    fn with_drop_in(self, name: &str) -> Self {
        let folder = self.path("netquota.service.d");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), unit(name)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn are_accepted(&self) {
        let [service, timer] = ["netquota.service", "netquota.timer"].map(|name| self.path(name));
        let output = try_sh("systemd-analyze", &["verify", service.to_str().unwrap(), timer.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said, "", "verify is content only when it says nothing");
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
    Units::new().with_drop_in("actions.conf").are_accepted();
}

#[test]
#[ignore = "needs systemd-analyze: run ./test"]
fn systemd_accepts_what_the_drop_in_offers_to_uncomment() {
    let units = Units::new().with_drop_in("actions.conf");
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
fn the_service_is_exposed_as_little_as_promised() {
    let units = Units::new();
    let path = units.path("netquota.service");
    let args = ["security", "--offline=true", EXPOSURE, "--no-pager", path.to_str().unwrap()];
    let output = try_sh("systemd-analyze", &args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_service_can_see_what_tells_a_restart() {
    let service = unit("netquota.service");
    let set = |line: &str| service.lines().any(|known| known == line);
    assert!(!set("ProcSubset=pid") && !set("PrivateNetwork=yes"));
    assert!(set("SuccessExitStatus=75") && set("Type=oneshot") && set("StateDirectory=netquota"));
    assert!(set("TimeoutStartSec=90s"), "longer than the default deadline of 50 s and its 10 s");
}

#[test]
fn a_missing_credential_has_a_stand_in() {
    let service = unit("netquota.service");
    for line in service.lines().filter_map(|line| line.strip_prefix("LoadCredential=")) {
        let (name, _) = line.split_once(':').unwrap();
        assert!(
            service.contains(&format!("\nSetCredential={name}:")),
            "without one a missing file stops the unit: {name}"
        );
    }
    assert!(service.contains("\nLoadCredential=telegram-token:/etc/netquota/credentials/telegram-token\n"));
}

#[test]
fn the_timer_catches_up() {
    let timer = unit("netquota.timer");
    for line in ["OnCalendar=minutely", "Persistent=true", "WantedBy=timers.target"] {
        assert!(timer.lines().any(|known| known == line), "{line}");
    }
}

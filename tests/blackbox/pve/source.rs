//! The cluster as a source: one request a run, addresses, tokens, rows, and what may come instead of them.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::machine::snapshot;

#[test]
fn one_request_per_run_for_five_hundred_guests() {
    let pve = Pve::start();
    for vmid in 100..600 {
        pve.vm(vmid, &format!("web-{vmid}")).traffic(u64::from(vmid), 1);
    }
    let machine = watching(&pve, QUOTA);
    for runs in 2..=4 {
        for vmid in 100..600 {
            pve.guest(vmid).traffic(0, vmid.into());
        }
        let status = checked(&machine, 0);
        assert_eq!(status.count("quotas"), 500);
        assert_eq!(used(&status, "q", "qemu/599"), 599 * (runs as u64 - 1));
        assert_eq!((pve.requests(), pve.count(Call::Resources)), (runs, runs));
    }
    let asked = &pve.asked()[0];
    assert_eq!(asked.parameters, [("type".to_owned(), "vm".to_owned())]);
    machine.status();
    machine.run(&["status"]).exits(0);
    assert_eq!(pve.requests(), 4, "status asks nobody");
}

#[test]
fn the_document_has_the_guests_figures() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.ct(101, "db");
    let machine = watching(&pve, "[quota.month]\nallowance = \"1000 B\"\n");
    pve.guest(100).traffic(9_999, 250);
    pve.guest(101).traffic(9_999, 1);
    let status = checked(&machine, 0);
    assert_eq!(rows(&status), ["month/lxc/101", "month/qemu/100"]);
    let row = row(&status, "month", "qemu/100");
    for (field, value) in [
        ("quota", json!("month")),
        ("subject", json!("qemu/100")),
        ("source", json!("pve")),
        ("used", json!(250)),
        ("allowance", json!(1000)),
        ("remaining", json!(750)),
        ("tier", Value::Null),
        ("stale", json!(false)),
        ("estimated", json!(false)),
    ] {
        assert_eq!(row[field], value, "{field}");
    }
    assert_eq!(row["percent"].as_f64(), Some(25.0));
    assert_eq!(row["period"]["kind"], "month");
    let as_of = OffsetDateTime::parse(row["as_of"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!((OffsetDateTime::now_utc() - as_of).abs() < time::Duration::minutes(1));
    for list in ["alarms", "held", "pending", "problems"] {
        assert_eq!(status.count(list), 0, "{list}");
    }
}

#[test]
fn in_is_what_comes_to_the_guest_and_out_what_leaves_it() {
    for (count, bytes) in [("out", 20), ("in", 300), ("sum", 320), ("max", 300), ("min", 20)] {
        let pve = Pve::start();
        let guest = pve.vm(100, "web").traffic(5, 7);
        let quota = format!("[quota.q]\nallowance = \"1 MB\"\ncount = \"{count}\"\n");
        let machine = watching(&pve, &quota);
        guest.traffic(100, 20);
        checked(&machine, 0);
        guest.traffic(200, 0);
        assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), bytes, "{count}");
    }
}

#[test]
fn templates_are_left_out() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.vm(101, "golden").template();
    pve.ct(102, "base").template();
    let machine = watching(&pve, QUOTA);
    assert_eq!(rows(&machine.status()), ["q/qemu/100"]);
}

#[test]
fn a_guest_that_is_deleted_disappears_without_alarm() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web");
    pve.vm(101, "mail");
    let machine = watching(&pve, &format!("{QUOTA}tiers = [\"50%\"]\n{}", telegram_table(&telegram.url())));
    pve.guest(101).traffic(0, 70);
    checked(&machine, 0);
    pve.guest(101).remove();
    for _ in 0..3 {
        let status = checked(&machine, 0);
        assert_eq!((rows(&status), status.count("problems")), (vec!["q/qemu/100".to_owned()], 0));
        later(&machine, &pve, 7200);
    }
    assert_eq!((telegram.requests(), rows(&machine.status())), (0, vec!["q/qemu/100".to_owned()]));
}

#[test]
fn an_unknown_guest_keeps_its_last_figure_without_alert() {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").on("pve2");
    pve.ct(101, "db");
    let config = "[quota.q]\nallowance = \"1000 B\"\nperiod = \"never\"\ntiers = [\"50%\"]\n";
    let machine = watching(&pve, &format!("{config}{}", telegram_table(&telegram.url())));
    pve.guest(100).traffic(0, 70);
    checked(&machine, 0);
    pve.down("pve2");
    pve.guest(100).traffic(0, 30);
    pve.guest(101).traffic(0, 9);
    let run = machine.run(&["check", "--json"]).exits(3);
    assert!(run.stderr.contains("qemu/100") || run.stderr.contains("pve2"), "it is named: {}", run.stderr);
    let status = Status(run.json());
    let unknown = row(&status, "q", "qemu/100");
    assert_eq!((&unknown["used"], &unknown["stale"]), (&json!(70), &json!(true)));
    let known = row(&status, "q", "lxc/101");
    assert_eq!((&known["used"], &known["stale"]), (&json!(9), &json!(false)));
    assert_eq!(telegram.requests(), 0);
    pve.up();
    let status = checked(&machine, 0);
    assert_eq!((used(&status, "q", "qemu/100"), telegram.requests()), (100, 0), "it went on meanwhile");
    assert_eq!(row(&status, "q", "qemu/100")["stale"], false);
}

#[test]
fn a_guest_first_seen_unknown_is_no_zero() {
    let pve = Pve::start();
    pve.vm(100, "web").on("pve2").traffic(5_000, 7_000);
    pve.ct(101, "db");
    pve.down("pve2");
    let machine = machine(&format!("{}{QUOTA}", source(&pve)));
    machine.check();
    pve.up();
    checked(&machine, 0);
    pve.guest(100).traffic(0, 5);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 5, "the first figure is the baseline");
}

#[test]
fn nodes_of_the_source_choose_its_guests() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.vm(101, "mail").on("pve2");
    let machine = machine(&format!("{}nodes = [\"pve2\"]\n{QUOTA}", source(&pve)));
    machine.check_exits(0);
    assert_eq!(rows(&machine.status()), ["q/qemu/101"]);
}

#[test]
fn the_second_address_is_asked_when_the_first_is_down() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let api = source_at(&[&format!("http://{closed}"), &pve.url()]);
    let machine = machine(&format!("{api}{QUOTA}"));
    machine.check_exits(0).quietly();
    pve.guest(100).traffic(0, 7);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 7);
    assert_eq!(pve.requests(), 2);
}

#[test]
fn the_second_address_is_asked_when_the_first_hangs() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = source_at(&[&format!("http://{}", silent.local_addr().unwrap()), &pve.url()]);
    let machine = machine(&format!("deadline = \"8 s\"\n{api}{QUOTA}"));
    let run = machine.check_exits(0);
    assert!(run.took < Duration::from_secs(5), "reading takes half of the deadline: {:?}", run.took);
    assert_eq!(pve.count(Call::Resources), 1);
}

#[test]
fn the_first_address_that_answers_is_the_only_one_asked() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let api = source_at(&[&pve.url(), &pve.door()]);
    let machine = machine(&format!("{api}{QUOTA}"));
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(pve.asked().iter().map(|asked| asked.door).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn nobody_listening_is_a_problem() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let api = source_at(&[&format!("http://{closed}"), &format!("http://localhost:{}", closed.port())]);
    let machine = machine(&format!("deadline = \"6 s\"\n{api}{QUOTA}"));
    machine.check_exits(3).complains("pve").complains(&closed.port().to_string());
}

#[test]
fn a_refused_token_is_one_request_and_told_without_it() {
    for version in [(9, 1), (8, 3)] {
        let pve = Pve::version(version.0, version.1);
        pve.vm(100, "web");
        let wrong = "00000000-dead-4bad-8bad-000000000000";
        let api = source_at(&[&pve.url(), &pve.door()]).replace(SECRET, wrong);
        let machine = Machine::new().secret(wrong).config(&format!("{api}{QUOTA}"));
        machine.check_exits(3).complains("pve").complains("401");
        assert_eq!(pve.requests(), 1, "asked on and on, every refusal is held for 3 s");
    }
}

#[test]
fn the_secret_is_seen_nowhere() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let machine = machine(&format!("{}{QUOTA}", source(&pve)));
    for args in
        [&["check", "--debug", "-v"][..], &["-v", "check"], &["config", "show"], &["config", "check"], &["status"]]
    {
        machine.run(args).exits(0);
    }
    let echo = Wrong::Answer(500, "died of {AUTHORIZATION}", "text/plain", "died of {AUTHORIZATION}".to_owned());
    pve.always(Call::Resources, echo);
    machine.check_exits(3);
    let secret = machine.path("secret");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let from_file = source(&pve).replace(&format!("\"{SECRET}\""), &format!("{{ file = \"{}\" }}", secret.display()));
    machine.set_config(&format!("{from_file}{QUOTA}"));
    pve.heal();
    machine.check_exits(0);
}

#[test]
fn debug_reads_and_leaves_no_trace() {
    let pve = Pve::start();
    pve.vm(100, "web").traffic(5_000, 7_000);
    let machine = watching(&pve, QUOTA);
    let before = snapshot(machine.state_dir());
    pve.guest(100).traffic(0, 4_321);
    machine.run(&["check", "--debug"]).exits(0).prints("qemu/100").prints("/cluster/resources");
    assert_eq!(snapshot(machine.state_dir()), before);
    assert_eq!(pve.count(Call::Resources), 2, "for real");
}

#[test]
fn a_token_without_rights_is_told_what_it_lacks() {
    let pve = Pve::start();
    pve.vm(100, "web");
    pve.revoke("VM.Audit", "/");
    let fresh = machine(&format!("{}{QUOTA}", source(&pve)));
    fresh.check_exits(3).complains("VM.Audit");
    pve.heal();
    let machine = watching(&pve, QUOTA);
    pve.guest(100).traffic(0, 70);
    checked(&machine, 0);
    pve.revoke("VM.Audit", "/");
    let run = machine.run(&["check", "--json"]).exits(3).complains("VM.Audit");
    let status = Status(run.json());
    let row = row(&status, "q", "qemu/100");
    assert_eq!((&row["used"], &row["stale"]), (&json!(70), &json!(true)), "an empty list is no zero");
}

#[test]
fn a_403_is_told_in_its_words() {
    let pve = Pve::start();
    pve.vm(100, "web");
    let machine = watching(&pve, QUOTA);
    pve.always(Call::Resources, Wrong::Error(403, "Permission check failed (/vms/100, VM.Audit)"));
    machine.check_exits(3).complains("403").complains("Permission check failed (/vms/100, VM.Audit)");
}

/// After `goes_wrong` the run has a problem of one line and leaves all as it was; afterwards all is well.
#[track_caller]
fn is_no_figure(goes_wrong: impl Fn(&Pve)) {
    let (pve, telegram) = (Pve::start(), Telegram::new());
    pve.vm(100, "web").traffic(5_000, 7_000);
    let config = "deadline = \"6 s\"\n[quota.q]\nallowance = \"1000 B\"\nperiod = \"never\"\ntiers = [\"50%\"]\n";
    let (top, quota) = config.split_once('\n').unwrap();
    let config = format!("{top}\n{}{quota}{}", source(&pve), telegram_table(&telegram.url()));
    let machine = machine(&config);
    machine.check_exits(0).quietly();
    pve.guest(100).traffic(0, 100);
    checked(&machine, 0);
    goes_wrong(&pve);
    let run = machine.run(&["check", "--json"]).exits(3);
    assert!(run.took < Duration::from_secs(7), "the deadline is 6 s, this took {:?}", run.took);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines.len() == 1 && lines[0].contains("pve"), "one line that names the source: {lines:?}");
    let status = Status(run.json());
    let row_now = row(&status, "q", "qemu/100");
    assert_eq!((&row_now["used"], &row_now["stale"]), (&json!(100), &json!(true)));
    assert_eq!((status.count("problems"), telegram.requests()), (1, 0));
    pve.heal();
    pve.guest(100).traffic(0, 11);
    let status = checked(&machine, 0);
    assert_eq!((used(&status, "q", "qemu/100"), telegram.requests()), (111, 0));
}

fn is_no_answer(wrong: &Wrong) {
    is_no_figure(|pve| pve.always(Call::Resources, wrong.clone()));
}

#[test]
fn a_web_page_is_no_figure() {
    is_no_answer(&Wrong::page());
}

#[test]
fn a_truncated_answer_is_no_figure() {
    is_no_answer(&Wrong::Truncated);
}

#[test]
fn a_connection_closed_without_an_answer_is_no_figure() {
    is_no_answer(&Wrong::AnswerLost);
}

#[test]
fn a_hanging_answer_ends_within_the_deadline() {
    is_no_answer(&Wrong::Hang);
}

#[test]
fn an_answer_of_200_mb_is_no_figure() {
    is_no_answer(&Wrong::Huge(200_000_000));
}

#[test]
fn json_of_another_shape_is_no_figure() {
    for text in ["", "null", "[]", "{}", "0", r#"{"data":null}"#, r#"{"data":{}}"#, r#"{"data":"qemu/100"}"#] {
        is_no_answer(&Wrong::json(text));
    }
    is_no_answer(&Wrong::json(r#"{"data":[null]}"#));
    is_no_answer(&Wrong::json(r#"{"data":[["qemu/100"]]}"#));
    is_no_answer(&Wrong::json(&format!("{{\"data\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))));
}

#[test]
fn errors_of_the_server_are_no_figure() {
    is_no_answer(&Wrong::failure("cluster not ready - no quorum?"));
    for (status, reason) in [(595, "Connection refused"), (596, "Connection timed out"), (599, "Too many redirections")]
    {
        is_no_answer(&Wrong::forwarding(status, reason));
    }
    is_no_answer(&Wrong::Answer(301, "Moved Permanently", "text/plain", String::new()));
    is_no_answer(&Wrong::Answer(501, "Method not implemented", "text/plain", String::new()));
}

#[test]
fn thirty_thousand_guests_are_metered_like_one() {
    let pve = Pve::start();
    for vmid in 100..30_100 {
        pve.vm(vmid, &format!("guest-with-a-long-name-{vmid}.example.com")).tags("customer;production;web");
    }
    let quota = format!("{QUOTA}guests = [100, 30099]\n");
    let machine = watching(&pve, &quota);
    pve.guest(30_099).traffic(0, 7);
    let status = checked(&machine, 0);
    assert_eq!(rows(&status), ["q/qemu/100", "q/qemu/30099"]);
    assert_eq!((used(&status, "q", "qemu/30099"), pve.requests()), (7, 2));
}

#[test]
fn a_row_that_is_none_costs_the_others_nothing() {
    let pve = Pve::start();
    pve.vm(100, "web");
    for (vmid, field, value) in [
        (101, "id", Some(json!("storage/pve1/local"))),
        (102, "type", Some(json!("sdn"))),
        (103, "vmid", None),
        (104, "vmid", Some(json!("many"))),
        (105, "name", Some(json!(["a", "list"]))),
        (106, "node", None),
    ] {
        pve.vm(vmid, "odd").says(field, value);
    }
    let machine = machine(&format!("{}{QUOTA}", source(&pve)));
    machine.check();
    pve.guest(100).traffic(0, 7);
    machine.check();
    let status = machine.status();
    assert_eq!(used(&status, "q", "qemu/100"), 7);
    assert!(rows(&status).iter().all(|row| row.starts_with("q/qemu/10")), "{:?}", rows(&status));
}

#[test]
fn fields_nobody_knows_are_left_alone() {
    let pve = Pve::start();
    pve.vm(100, "web").says("netdrop", json!({"a": [1, 2.5, null]})).says("cpu", json!("busy"));
    let machine = watching(&pve, QUOTA);
    pve.guest(100).traffic(0, 7);
    assert_eq!(used(&checked(&machine, 0), "q", "qemu/100"), 7);
}

/// The configuration is refused, and nobody asked.
#[track_caller]
fn refused(pve: &Pve, from: &str, to: &str, named: &str) {
    let good = format!("{}{QUOTA}", source(pve));
    let bad = good.replacen(from, to, 1);
    assert_ne!(good, bad, "{from:?} is in the configuration");
    let machine = machine(&bad);
    let run = machine.check_exits(2).complains(named);
    assert!(run.stderr.contains(".toml:"), "with its line: {}", run.stderr);
    assert_eq!((pve.requests(), machine.state_file().exists()), (0, false), "{to}");
}

#[test]
fn a_wrong_configuration_is_refused_before_anybody_is_asked() {
    let pve = Pve::start();
    let id = format!("token_id = \"{TOKEN_ID}\"");
    let api = format!("api = [\"{}\"]", pve.url());
    for token_id in
        ["monitor@pve", "monitor!quota", "", "!quota", "monitor@pve!", "monitor@pve!quota=x", "monitor @pve!quota"]
    {
        refused(&pve, &id, &format!("token_id = \"{token_id}\""), "token_id");
    }
    refused(&pve, "token_id", "token_name", "token_id");
    refused(&pve, &format!("{id}\n"), "", "token_id");
    refused(&pve, &format!("token_secret = \"{SECRET}\"\n"), "", "token_secret");
    refused(&pve, "api = ", "apis = ", "api");
    refused(&pve, &api, "api = []", "api");
    refused(&pve, &api, "api = [\"\"]", "api");
    refused(&pve, &api, "api = [\"ftp://192.0.2.1:8006\"]", "api");
    refused(&pve, &api, "api = [\"http://192.0.2.1:8006\"]", "https");
    refused(&pve, &api, "api = [\"https://192.0.2.1:8006\", \"http://pve.example.com:8006\"]", "https");
    for (line, named) in [
        ("tls = \"off\"", "insecure"),
        ("tls = true", "tls"),
        ("backfill = \"yes\"", "backfill"),
        ("nodes = []", "nodes"),
        ("nodes = \"pve1\"", "nodes"),
        ("ca_file = 7", "ca_file"),
        ("insecure = true", "insecure"),
    ] {
        refused(&pve, &id, &format!("{id}\n{line}"), named);
    }
    for (line, named) in [
        ("types = [\"vm\"]", "qemu"),
        ("types = []", "types"),
        ("guests = []", "guests"),
        ("guests = [1.5]", "guests"),
        ("guests = [-1]", "guests"),
        ("tags = []", "tags"),
        ("pools = [7]", "pools"),
        ("nics = [\"eth0\"]", "net0"),
        ("nics = []", "nics"),
        ("tag = [\"prod\"]", "tags"),
    ] {
        refused(&pve, "[quota.q]\n", &format!("[quota.q]\n{line}\n"), named);
    }
}

#[test]
fn unverified_certificates_are_a_warning_and_only_when_asked_for() {
    let secure = source_at(&["https://192.0.2.1:8006"]);
    let plain = machine(&format!("{secure}{QUOTA}")).run(&["config", "check"]).exits(0);
    assert!(!plain.stderr.contains("insecure"), "{}", plain.stderr);
    machine(&format!("{secure}tls = \"insecure\"\n{QUOTA}")).run(&["config", "check"]).exits(0).complains("insecure");
}

#[test]
fn a_ca_file_that_cannot_be_used_is_told() {
    for text in [None, Some("no certificate")] {
        let machine = Machine::new().secret(SECRET);
        let file = machine.path("ca.pem");
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let config = format!("{}ca_file = \"{}\"\n{QUOTA}", source_at(&["https://127.0.0.1:9"]), file.display());
        let run = machine.config(&config).run(&["check"]).complains("ca.pem");
        assert!(matches!(run.code(), 2 | 3), "{run:?}");
    }
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    let taker = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let mut hello = [0; 3];
        std::io::Read::read_exact(&mut stream, &mut hello).unwrap();
        hello
    });
    let machine = machine(&format!("deadline = \"6 s\"\n{}{QUOTA}", source_at(&[&url])));
    machine.check_exits(3).complains("pve");
    assert_eq!(taker.join().unwrap()[..2], [22, 3], "a TLS handshake, and nothing before it");
}

//! Quotas on the mappings of a tunnel server, against a strict one on loopback.

pub mod server;

use std::thread;
use std::time::Duration;

use serde_json::Value;

use self::server::{KEY, Server, Wrong};
use crate::machine::{Dice, Machine, Status, eventually, snapshot, spawn, telegram_table};
use crate::telegram::Telegram;

/// A quota of 1 MB of both directions for each mapping.
const QUOTA: &str = "[quota.mapping]\ncount = \"sum\"\nallowance = \"1 MB\"\ntiers = [\"80%\", \"90%\"]\n";

/// A machine that asks the server with the right key.
fn machine(server: &Server, rest: &str) -> Machine {
    Machine::new().secret(KEY).config(&format!("{}{rest}", server.table()))
}

/// Bytes used, by subject.
#[track_caller]
fn used(machine: &Machine) -> Vec<(String, u64)> {
    let Status(document) = machine.status();
    let row = |row: &Value| (row["subject"].as_str().unwrap().to_owned(), row["used"].as_u64().unwrap());
    document["quotas"].as_array().unwrap().iter().map(row).collect()
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(subject, used)| ((*subject).to_owned(), *used)).collect()
}

#[test]
fn each_mapping_has_its_own_quota() {
    let (server, telegram) = (Server::new(), Telegram::new());
    server.flow(8080, 7_000_000, 9_000_000);
    server.flow(2222, 5, 5);
    let machine = machine(&server, &format!("{QUOTA}{}", telegram_table(&telegram.url())));
    machine.check_exits(0).quietly();
    server.flow(8080, 300_000, 510_000);
    server.flow(2222, 1, 2);
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("2222", 3), ("8080", 810_000)]));
    let text = telegram.only().text;
    assert!(text.contains("8080") && text.contains("81 %"), "{text}");
    machine.check_exits(0).quietly();
    assert_eq!(telegram.messages().len(), 1);
    assert_eq!(server.asked(), 3);
}

#[test]
fn sent_is_from_clients_to_the_target_and_received_the_way_back() {
    let server = Server::new();
    let quota = |name: &str| format!("[quota.{name}]\ncount = \"{name}\"\nallowance = \"1 MB\"\n");
    let machine = machine(&server, &format!("{}{}subjects = [\"80*\"]\n", quota("out"), quota("in")));
    server.flow(8080, 0, 0);
    machine.check_exits(0);
    server.flow(8080, 100, 2_000);
    server.flow(9090, 30, 4);
    machine.check_exits(0);
    let Status(document) = machine.status();
    let rows: Vec<(&str, &str, u64)> = document["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["quota"].as_str().unwrap(), row["subject"].as_str().unwrap(), row["used"].as_u64().unwrap()))
        .collect();
    let expected = [("in", "8080", 2_000), ("out", "8080", 100), ("out", "9090", 30)];
    assert_eq!(rows, expected, "a mapping that was not there before is counted from its start");
}

#[test]
fn a_restart_counts_what_came_since_in_full() {
    let server = Server::new();
    let machine = machine(&server, QUOTA);
    server.flow(8080, 500_000, 100);
    machine.check_exits(0);
    server.flow(8080, 40, 60);
    machine.check_exits(0);
    server.restart();
    server.flow(8080, 7, 3_000);
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("8080", 100 + 3_007)]), "received, too, though it did not fall");
    server.restart();
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("8080", 3_107)]));
}

#[test]
fn mappings_come_and_go() {
    let server = Server::new();
    let machine = machine(&server, QUOTA);
    machine.check_exits(0).quietly();
    server.flow(8080, 10, 0);
    machine.check_exits(0).quietly();
    server.remove(8080);
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("8080", 10)]), "what it has used stays");
    server.flow(8080, 50, 0);
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("8080", 60)]), "it has counted anew, though more than before");
    server.flow(8080, 5, 0);
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("8080", 65)]));
}

#[test]
fn a_quota_that_names_no_mapping_there_is_says_so() {
    let server = Server::new();
    let machine = machine(&server, &format!("{QUOTA}subjects = [\"8081\"]\n"));
    server.flow(8080, 1, 1);
    machine.check_exits(3).complains("quota \"mapping\": no subject of source \"tunnel\" matches it");
}

#[test]
fn the_tunnel_as_a_whole_is_counted_once() {
    let server = Server::new();
    let config = format!("{}subjects = \"tunnel\"\n{QUOTA}", server.table());
    let machine = Machine::new().config(&config);
    machine.check_exits(0);
    server.flow(8080, 100, 20);
    server.flow(2222, 3, 4);
    server.odd(&["{\"port\":-1}"]);
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("tunnel", 127)]));
}

#[test]
fn an_older_server_wants_no_key() {
    let server = Server::open();
    let machine = Machine::new().config(&format!("[source.tunnel]\nurl = \"{}/\"\n{QUOTA}", server.url()));
    server.flow(8080, 1, 1);
    machine.check_exits(0).quietly();
    let newer = Server::new();
    machine.set_config(&format!("[source.tunnel]\nurl = \"{}\"\n{QUOTA}", newer.url()));
    let refused = "status 401: Invalid or missing API key: nothing; the server wants an api_key";
    machine.check_exits(3).complains(refused);
}

#[test]
fn a_wrong_key_is_refused_never_shown_and_asked_for_seldom() {
    let server = Server::new();
    let key = "AnotherNeverIssuedKey_9876543210";
    let config = format!("[source.tunnel]\nurl = \"{}\"\napi_key = \"{key}\"\n{QUOTA}", server.url());
    let machine = Machine::new().secret(key).config(&config);
    let refused = "status 401: Invalid or missing API key: (redacted); check api_key";
    machine.check_exits(3).complains(refused);
    for _ in 0..5 {
        machine.check_exits(3);
    }
    assert_eq!(server.asked(), 3, "then only every ten minutes");
    assert!(machine.run(&["config", "show"]).exits(0).stdout.contains("api_key = \"(redacted)\""));
}

#[test]
fn answers_that_are_none_are_problems_and_never_zero() {
    let server = Server::new();
    let machine = machine(&server, QUOTA);
    server.flow(8080, 1, 1);
    machine.check_exits(0);
    server.flow(8080, 500, 0);
    machine.check_exits(0);
    let text = |status, body: &str| Wrong::Answer(status, "application/json", body.to_owned());
    for (wrong, complaint) in [
        (Wrong::Endless, "the answer is larger than 16777216 bytes"),
        (Wrong::Answer(200, "text/html", "<html>Sign in</html>".into()), "the answer is an HTML page"),
        (text(200, "{\"success\":false,\"message\":\"no store\"}"), "the server says that it failed: no store"),
        (text(200, "{\"success\":true,\"data\":{}}"), "the answer has no list of mappings"),
        (text(500, "{\"success\":false,\"message\":\"broken\"}"), "status 500: broken"),
        (text(404, "nothing here"), "status 404; is url that of the tunnel server?"),
        (Wrong::Truncated, "source \"tunnel\": GET /api/stats/traffic: "),
        (Wrong::Huge(17 << 20), "the answer is larger than 16777216 bytes"),
    ] {
        server.answers(Some(wrong.clone()));
        let run = machine.check_exits(3);
        assert!(run.stderr.contains(complaint), "{wrong:?}: {}", run.stderr);
        assert_eq!(used(&machine), pairs(&[("8080", 500)]), "{wrong:?}");
        assert_eq!(machine.status().row()["stale"], true, "{wrong:?}");
    }
    server.answers(None);
    server.flow(8080, 1, 0);
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("8080", 501)]));
    assert_eq!(machine.status().row()["stale"], false);
}

#[test]
fn a_server_that_hangs_or_is_gone_costs_no_more_than_its_time() {
    let server = Server::new();
    let machine = Machine::new().secret(KEY).config(&format!("deadline = \"2 s\"\n{}{QUOTA}", server.table()));
    server.answers(Some(Wrong::Hang));
    machine.check_exits(3).complains("source \"tunnel\"");
    let gone = server.url();
    drop(server);
    machine.set_config(&format!("[source.tunnel]\nurl = \"{gone}\"\n{QUOTA}"));
    machine.check_exits(3).complains("GET /api/stats/traffic: ");
}

#[test]
fn an_odd_mapping_spoils_no_other() {
    let server = Server::new();
    let machine = machine(&server, QUOTA);
    server.flow(8080, 1, 1);
    server.flow(2222, 1, 1);
    machine.check_exits(0);
    server.flow(8080, 20, 0);
    server.odd(&[
        "{\"port\":2222,\"bytes_sent\":900000,\"bytes_received\":0}",
        "{\"port\":1,\"bytes_sent\":-5,\"bytes_received\":0}",
        "{\"port\":2,\"bytes_sent\":1.5,\"bytes_received\":0}",
        "{\"port\":3,\"bytes_sent\":null,\"bytes_received\":0}",
        "{\"port\":4,\"bytes_sent\":\"9\",\"bytes_received\":0}",
        "{\"port\":5,\"bytes_sent\":1}",
        "{\"bytes_sent\":1,\"bytes_received\":1}",
    ]);
    let run = machine.check_exits(3);
    for complaint in [
        "\"2222\": the answer has 2 mappings on this port",
        "\"1\": bytes_sent is -5, which is no count of bytes",
        "\"2\": bytes_sent is 1.5,",
        "\"3\": bytes_sent is null,",
        "\"4\": bytes_sent is \"9\",",
        "\"5\": bytes_received is missing",
        "\"mappings[8]\": it has no port",
    ] {
        assert!(run.stderr.contains(complaint), "{complaint}: {}", run.stderr);
    }
    assert_eq!(used(&machine), pairs(&[("2222", 0), ("8080", 20)]));
    server.odd(&[]);
    server.flow(2222, 4, 0);
    machine.check_exits(0).quietly();
    assert_eq!(used(&machine), pairs(&[("2222", 4), ("8080", 20)]));
}

#[test]
fn a_debug_run_shows_the_request_and_the_figures_and_writes_nothing() {
    let server = Server::new();
    let machine = machine(&server, QUOTA);
    server.flow(8080, 11, 22);
    machine.check_exits(0);
    server.flow(8080, 900_000, 0);
    let before = snapshot(machine.state_dir());
    let run = machine.run(&["check", "--debug"]).exits(0);
    assert_eq!(snapshot(machine.state_dir()), before);
    let told = format!("{}{}", run.stdout, run.stderr);
    let request = format!("GET {}/api/stats/traffic, with X-API-Key (redacted)", server.url());
    for text in [&*request, "received 22, sent 900011", "900000 of 1000000 bytes", "would send to"] {
        assert!(told.contains(text), "no {text} in:\n{told}");
    }
}

#[test]
fn reports_tell_of_mappings() {
    let server = Server::new();
    let machine = machine(&server, QUOTA);
    server.flow(8080, 1, 1);
    machine.check_exits(0);
    server.flow(8080, 1_234, 0);
    machine.check_exits(0);
    let run = machine.run(&["report", "--period", "year", "--subject", "8080", "--format", "json"]).exits(0);
    assert!(run.stdout.contains("1234") && run.stdout.contains("\"8080\""), "{}", run.stdout);
}

#[test]
fn runs_that_are_killed_count_every_byte_once() {
    let (server, telegram) = (Server::new(), Telegram::new());
    let machine = machine(&server, &format!("{QUOTA}{}", telegram_table(&telegram.url())));
    server.flow(8080, 1, 1);
    machine.check_exits(0);
    let mut dice = Dice(0x7E57_0123);
    let mut expected = 0;
    for round in 0..10 {
        server.flow(8080, 1_000, 500);
        expected += 1_500;
        if round % 4 == 3 {
            machine.check_exits(0);
            server.restart();
        }
        let asked = server.asked();
        let running = spawn(machine.command(&["check"]));
        // Before, while or after its answer is taken.
        assert!(eventually(Duration::from_secs(10), || server.asked() > asked));
        thread::sleep(Duration::from_micros(dice.roll(8_000)));
        running.kill();
        machine.check_exits(0);
        assert_eq!(used(&machine), pairs(&[("8080", expected)]), "round {round}");
    }
}

#[test]
fn without_a_quota_nothing_is_asked() {
    let server = Server::new();
    let machine = machine(&server, "");
    machine.check_exits(0).quietly();
    assert_eq!(server.asked(), 0);
    assert_eq!(machine.status().count("quotas"), 0);
}

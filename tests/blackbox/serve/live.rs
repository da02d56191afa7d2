//! The live page and the JSON documents, as they come from the program.
//!
//! With `NETQUOTA_PICTURES=FOLDER` the tests leave pictures there, to be looked at.

#[path = "../../support/browser.rs"]
mod browser;

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{ask, raw, read, report};
use super::holder::Holder;
use super::{PASSWORD, READ_TOKEN};
use crate::machine::{Machine, eventually, spawn};
use browser::{Browser, Screen, pictures};

fn config(idle_exit: &str) -> String {
    let quota = "[quota.month]\nallowance = \"1 TB\"\ntiers = [\"80%\"]\n";
    format!("{quota}{}", super::hub(&format!("idle_exit = \"{idle_exit}\"")))
}

fn hub(idle_exit: &str) -> Machine {
    Machine::new().config(&config(idle_exit)).secret(READ_TOKEN).secret(PASSWORD)
}

/// A machine that was checked twice, with a million bytes in between.
fn checked(machine: &Machine) {
    machine.check_exits(0);
    machine.grow("eth0", 0, 1_000_000);
    machine.check_exits(0);
}

fn picture(browser: &mut Browser, name: &str) {
    if let Some(folder) = pictures() {
        browser.picture(&folder.join(format!("{name}.png")));
    }
}

/// A document that there is.
#[track_caller]
fn document(hub: std::net::SocketAddr, path: &str) -> Value {
    read(hub, path).is(200).json()
}

#[test]
fn documents_are_those_of_the_commands() {
    let machine = hub("1 h");
    checked(&machine);
    let holder = Holder::new(&machine);
    let hub = holder.address();
    report(hub, "node-<b>", 1).unwrap().is(200);
    let mut quotas = document(hub, "/api/v1/quotas");
    let mut status = machine.run(&["status", "--json"]).exits(0).json();
    // A forecast goes by the time that has passed.
    for document in [&mut quotas, &mut status] {
        document["at"] = Value::Null;
        document["quotas"][0]["forecast"] = Value::Null;
    }
    assert_eq!(quotas, status);
    let mut history = document(hub, "/api/v1/history?subject=eth0&period=day&direction=out");
    let mut wanted =
        machine.run(&["report", "--format", "json", "--subject", "eth0", "--period", "day", "--direction", "out"]);
    wanted = wanted.exits(0);
    let mut wanted = wanted.json();
    for document in [&mut history, &mut wanted] {
        document["at"] = Value::Null;
        document["quotas"] = Value::Null;
    }
    assert_eq!((&history, &history["total"]["out"]), (&wanted, &json!(1_000_000)));
    assert_eq!(document(hub, "/api/v1/log?from=2020-01-01")["log"], json!([]));
    let nodes = document(hub, "/api/v1/nodes");
    let node = &nodes["nodes"][0];
    assert_eq!((&node["hostname"], &node["rate"]), (&json!("node-<b>"), &json!({"in": 125_000, "out": 250_000})));
    assert_eq!((&node["online"], &node["counters"]), (&json!(true), &Value::Null));
    holder.quietly();
}

#[test]
fn what_is_not_there_or_not_allowed_is_refused() {
    let machine = hub("1 h");
    let holder = Holder::new(&machine);
    let hub = holder.address();
    for (path, status) in [
        ("/api/v1/history?period=decade", 400),
        ("/api/v1/history?nothing=1", 400),
        ("/?period=decade", 400),
        ("/?part=%3Cscript%3E", 400),
        ("/?subject=%ff", 400),
        ("/api/v1/state.json", 404),
        ("/api/v1/../../etc/passwd", 404),
        ("/api/v1/%2e%2e/quotas", 404),
        ("/state.json", 404),
    ] {
        let answer = read(hub, path).is(status);
        assert_eq!(answer.json()["success"], false, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let reader = format!("Authorization: Bearer {READ_TOKEN}");
    // A page's script is not to make the browser ask its user.
    let script = ask(hub, "GET", "/?part=now", &["X-Requested-With: netquota"], "").unwrap().is(401);
    assert_eq!(script.header("www-authenticate"), Some("Bearer realm=\"netquota\""));
    for path in ["/", "/?part=now", "/api/v1/quotas", "/api/v1/nodes", "/api/v1/history", "/api/v1/log"] {
        ask(hub, "GET", path, &[], "").unwrap().is(401);
        ask(hub, "POST", path, &[&reader], "").unwrap().is(405);
        read(hub, path).is(200);
    }
    holder.quietly();
}

#[test]
fn a_part_that_is_known_is_not_sent_again() {
    let machine = hub("1 h");
    checked(&machine);
    let holder = Holder::new(&machine);
    let hub = holder.address();
    let reader = format!("Authorization: Bearer {READ_TOKEN}");
    let tag = |path: &str| read(hub, path).header("etag").unwrap().to_owned();
    let again = |path: &str, tag: &str| {
        let lines = format!("Host: {hub}\r\n{reader}\r\nIf-None-Match: {tag}");
        String::from_utf8(raw(hub, format!("GET {path} HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes()).unwrap()).unwrap()
    };
    let page = read(hub, "/").is(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.ends_with("connect-src 'self'"), "{policy}");
    assert!(page.body.contains("1,000,000 B") && page.body.contains("netquota has no daemon"));
    // What goes by the clock is made anew each minute: one may end here, and not three times in a row.
    for path in ["/", "/?part=now", "/?part=report"] {
        assert!(
            (0..3).any(|_| {
                let answer = again(path, &tag(path));
                answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n")
            }),
            "{path}"
        );
    }
    let before = tag("/?part=now");
    report(hub, "new-node", 1).unwrap().is(200);
    let newer = again("/?part=now", &before);
    assert!(newer.starts_with("HTTP/1.1 200 ") && newer.contains("new-node"), "{newer}");
    holder.quietly();
}

/// Looks so often, from now on.
fn every(browser: &mut Browser, milliseconds: u32) {
    browser.eval(&format!("document.querySelector('main').dataset.every = {milliseconds}"));
    browser.eval("document.dispatchEvent(new Event('visibilitychange'))");
}

/// Opens the hub's page as a reader.
fn opened(browser: &mut Browser, address: &str, screen: Screen) {
    browser.send_header("Authorization", &format!("Bearer {READ_TOKEN}"));
    browser.visit(address, screen);
    browser.eval("new MutationObserver(([change]) => { window.complained ||= !change.target.hidden }).observe(document.querySelector('#trouble'), { attributes: true })");
}

/// Waits until the page says that so much was sent.
fn until_sent(browser: &mut Browser, bytes: &str) {
    browser.until(&format!("document.querySelector('.tile.out .exact')?.textContent === '{bytes} B'"));
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn the_page_becomes_current_and_the_program_sleeps_while_nobody_looks() {
    let machine = hub("1 s");
    checked(&machine);
    let holder = Holder::new(&machine);
    let origin = format!("http://{}", holder.address());
    let mut browser = Browser::start();
    opened(&mut browser, &origin, Screen::DESKTOP);
    until_sent(&mut browser, "1,000,000");
    every(&mut browser, 100);
    // A check and a report of a node are seen without loading the page again.
    browser.eval("window.kept = true");
    machine.grow("eth0", 0, 234_567);
    machine.check_exits(0);
    until_sent(&mut browser, "1,234,567");
    report(holder.address(), "node-1", 1).unwrap().is(200);
    browser.until("[...document.querySelectorAll('#doing tr')].some(row => row.innerText.includes('node-1') && row.innerText.includes('2.00 Mbps'))");
    let heads = "[...document.querySelectorAll('.now th[data-sort]')].map(head => head.innerText)";
    assert_eq!(browser.eval(heads), json!(["Subject", "Out", "In", "CPU", "Memory", "Seen", "State"]));
    picture(&mut browser, "hub-1440");
    // Looked at less often than the program has patience for: it is started anew each time.
    let starts = holder.starts();
    every(&mut browser, 2500);
    let wait = |browser: &mut Browser| browser.eval("new Promise(done => setTimeout(done, 20))");
    while holder.starts() < starts + 2 {
        wait(&mut browser);
    }
    // Hidden, the page asks for nothing, and the program ends.
    browser.hide();
    browser.until("document.hidden");
    while holder.is_running() {
        wait(&mut browser);
    }
    let starts = holder.starts();
    machine.grow("eth0", 0, 1);
    machine.check_exits(0);
    browser.eval("new Promise(done => setTimeout(done, 6000))");
    assert_eq!(holder.starts(), starts);
    every(&mut browser, 999_999);
    browser.unhide();
    until_sent(&mut browser, "1,234,568");
    assert_eq!(browser.eval("[window.kept, window.complained ?? false]"), json!([true, false]));
    assert_eq!(browser.complaints_but_of(&origin), Vec::<String>::new());
    holder.quietly();
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn the_page_says_that_the_hub_is_gone_until_it_is_there_again() {
    let machine = hub("1 h");
    checked(&machine);
    let holder = Holder::new(&machine);
    let address = holder.address().to_string();
    let mut browser = Browser::start();
    opened(&mut browser, &format!("http://{address}"), Screen::DESKTOP);
    until_sent(&mut browser, "1,000,000");
    every(&mut browser, 100);
    // Nobody holds the socket any more.
    drop(holder);
    browser.until("document.querySelector('#trouble .words').innerText.includes('does not answer')");
    assert_eq!(browser.eval("document.querySelector('#trouble').checkVisibility()"), true);
    picture(&mut browser, "hub-gone-1440");
    let running = spawn(machine.command(&["serve", "--listen", &address]));
    machine.grow("eth0", 0, 1);
    machine.check_exits(0);
    browser.until("!document.querySelector('#trouble').checkVisibility()");
    until_sent(&mut browser, "1,000,001");
    // Another token: who looks has to say who it is, and is not asked again and again.
    machine.set_config(&config("1 h").replace(READ_TOKEN, "another-token-only-for-tests"));
    browser.until("document.querySelector('#trouble .words').innerText.includes('who you are')");
    assert_eq!(browser.eval("document.querySelector('.again').checkVisibility()"), true);
    machine.set_config(&config("1 h"));
    // The configuration is looked at once a second.
    let taken = || read(address.parse().unwrap(), "/api/v1/nodes").status == 200;
    assert!(eventually(Duration::from_secs(30), taken));
    browser.follow(".again");
    until_sent(&mut browser, "1,000,001");
    running.kill();
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn a_real_page_fits_in_both_languages_on_every_screen() {
    let machine = hub("1 h");
    checked(&machine);
    let holder = Holder::new(&machine);
    for name in ["<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "'", "`x`"] {
        report(holder.address(), name, 1).unwrap().is(200);
    }
    let origin = format!("http://{}", holder.address());
    let mut browser = Browser::start();
    for screen in [Screen::PHONE, Screen::PHONE.dark(), Screen::DESKTOP, Screen::DESKTOP.dark()] {
        for period in ["day", "year"] {
            opened(&mut browser, &format!("{origin}/?period={period}"), screen);
            every(&mut browser, 100);
            for language in ["zh-CN", "en"] {
                browser.click(&format!("input[value={language}] + .choice"));
                browser.until(&format!("document.documentElement.lang === {language:?}"));
                assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth"), true, "{screen:?}");
                picture(&mut browser, &format!("hub-{period}-{}-{}-{language}", screen.width, screen.dark));
            }
            assert_eq!(browser.eval("document.querySelectorAll('script, img').length"), 1);
            assert_eq!(browser.complaints_but_of(&origin), Vec::<String>::new());
        }
    }
    holder.quietly();
}

//! Proxies: used when configured, and only then.

use crate::machine::{Machine, quota_and_telegram};
use crate::proxy::Proxy;
use crate::telegram::Telegram;

/// A name that resolves nowhere: only a proxy can reach it.
const NOWHERE: &str = "http://telegram.invalid:8443";

fn rings(config: &str) -> Machine {
    let machine = Machine::new().config(config);
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    machine
}

#[test]
fn an_http_proxy_is_asked_for_the_name() {
    let telegram = Telegram::new();
    let proxy = Proxy::http(telegram.address());
    rings(&format!("{}proxy = \"{}\"\n", quota_and_telegram(NOWHERE), proxy.url("http")));
    assert!(telegram.only().text.contains("81.2"));
    assert_eq!(proxy.targets(), ["telegram.invalid:8443"]);
}

#[test]
fn a_socks5h_proxy_looks_the_name_up_itself() {
    let telegram = Telegram::new();
    let proxy = Proxy::socks5(telegram.address());
    rings(&format!("{}proxy = \"{}\"\n", quota_and_telegram(NOWHERE), proxy.url("socks5h")));
    assert!(telegram.only().text.contains("81.2"));
    assert_eq!(proxy.targets(), ["telegram.invalid:8443"]);
}

#[test]
fn a_socks5_proxy_is_given_an_address() {
    let telegram = Telegram::new();
    let proxy = Proxy::socks5(telegram.address());
    let base = telegram.url().replace("127.0.0.1", "localhost");
    rings(&format!("{}proxy = \"{}\"\n", quota_and_telegram(&base), proxy.url("socks5")));
    assert!(telegram.only().text.contains("81.2"));
    assert_eq!(proxy.targets(), [telegram.address().to_string()]);
}

#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let telegram = Telegram::new();
    let proxy = Proxy::http(telegram.address());
    let mut machine = Machine::new().config(&quota_and_telegram(&telegram.url()));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        machine = machine.env(name, &proxy.url("http"));
    }
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(0);
    assert!(telegram.only().text.contains("81.2"));
    assert!(proxy.targets().is_empty(), "{:?}", proxy.targets());
}

#[test]
fn a_proxy_that_is_down_keeps_the_message() {
    let telegram = Telegram::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let machine =
        Machine::new().config(&format!("{}proxy = \"http://{closed}\"\n", quota_and_telegram(&telegram.url())));
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(3);
    assert_eq!(telegram.requests(), 0, "never around the proxy");
    assert_eq!(machine.status().count("pending"), 1);
}

#[test]
fn the_password_of_a_proxy_is_never_shown() {
    let telegram = Telegram::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!("{}proxy = \"http://user:hunter2secret@{closed}\"\n", quota_and_telegram(&telegram.url()));
    let machine = Machine::new().config(&config).secret("hunter2secret");
    machine.check_exits(0);
    machine.grow("eth0", 0, 812_000);
    machine.check_exits(3);
    machine.run(&["-v", "check", "--debug"]);
    machine.run(&["config", "show"]).exits(0);
}

//! One HTTP exchange over a connection of its own.
//!
//! The time limit holds whatever the other side does, no text that leaves here contains any part of the request but
//! its host name, and every status is an answer. The client, and TLS with it, exists only while a request runs.
//!
//! Why a thread for each exchange: the library limits single steps and adds them up well for a server, but gives every
//! read of a CONNECT proxy's answer the whole time anew. Waiting for a thread bounds all of it, name look-up included.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use ureq::{Agent, Body, Proxy, Timeout, http};

use super::super::{HttpError, Reached, Request, Response};
use super::wall_clock;
use crate::error::in_words;
use crate::quota::instant::Instant;

/// What servers are told.
const USER_AGENT: &str = concat!("netquota/", env!("CARGO_PKG_VERSION"));

/// How far a server's clock and ours may be apart.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// How the standard library's errors of name look-ups begin.
const LOOKUP: &str = "failed to lookup address information: ";

/// How the TLS library's errors of certificates begin.
const DISTRUSTED: &str = "invalid peer certificate: ";

/// Characters of an error text at the most; a certificate may list a thousand names.
const ERROR_LIMIT: usize = 200;

/// For connecting, TLS included; half of the request's time at the most. What has not begun by then was not sent, which
/// is worth knowing before the whole time is over.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What the last `Date` header said of this machine's clock.
#[derive(Debug, Clone, Default)]
pub(super) struct ClockCheck(Arc<Mutex<Option<bool>>>);

impl ClockCheck {
    pub(super) fn agrees(&self) -> Option<bool> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer without a readable date changes nothing.
    fn compare(&self, date: Option<&http::HeaderValue>, now: Instant) {
        if let Some(server) = date.and_then(|value| value.to_str().ok()).and_then(Instant::parse_http) {
            let apart = server.since(now).max(now.since(server));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(apart <= CLOCK_TOLERANCE);
        }
    }
}

/// Sends the request and waits for the answer until the request's time is over.
pub(super) fn exchange(request: &Request, clock: &ClockCheck) -> Result<Response, HttpError> {
    let (result, answer) = mpsc::channel();
    let (ours, clock) = (request.clone(), clock.clone());
    let work = move || {
        let _ = result.send(send(&ours, &clock));
    };
    thread::Builder::new()
        .spawn(work)
        .map_err(|error| unsent(format!("cannot start a thread: {}", in_words(&error))))?;
    match answer.recv_timeout(request.timeout) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(timed_out(request.timeout)),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(lost("the exchange broke off".into())),
    }
}

fn send(request: &Request, clock: &ClockCheck) -> Result<Response, HttpError> {
    let explain = |error| explain(error, request);
    let mut response = call(request).map_err(explain)?;
    clock.compare(response.headers().get(http::header::DATE), wall_clock());
    let mut body = Vec::new();
    let mut reader = response.body_mut().as_reader().take(request.body_limit.saturating_add(1));
    reader.read_to_end(&mut body).map_err(|error| explain(error.into()))?;
    if body.len() as u64 > request.body_limit {
        return Err(lost(format!("the answer is larger than {} bytes", request.body_limit)));
    }
    Ok(Response { status: response.status().as_u16(), headers: readable(response.headers()), body })
}

fn readable(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect()
}

fn call(request: &Request) -> Result<http::Response<Body>, ureq::Error> {
    let mut parts = http::Request::builder().method(request.method).uri(&request.url);
    for (name, value) in &request.headers {
        parts = parts.header(*name, value);
    }
    let agent = agent(request)?;
    if request.body.is_empty() && request.method == "GET" {
        agent.run(parts.body(())?)
    } else {
        agent.run(parts.body(request.body.as_slice())?)
    }
}

/// Every default that does not suit a scheduled job is set: see the fields.
fn agent(request: &Request) -> Result<Agent, ureq::Error> {
    let proxy = request.proxy.as_deref().map(Proxy::new).transpose()?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .timeout_global(Some(request.timeout))
        .timeout_connect(connect_limit(request))
        .tls_config(request.tls.config())
        .user_agent(USER_AGENT)
        .accept_encoding("identity")
        .build();
    Ok(config.new_agent())
}

/// None for proxies: those are slow by nature, and the time for them is that of the whole exchange.
fn connect_limit(request: &Request) -> Option<Duration> {
    request.proxy.is_none().then(|| CONNECT_LIMIT.min(request.timeout / 2))
}

fn unsent(text: String) -> HttpError {
    HttpError { text, reached: Reached::No }
}

fn lost(text: String) -> HttpError {
    HttpError { text, reached: Reached::Perhaps }
}

fn timed_out(limit: Duration) -> HttpError {
    lost(format!("timed out after {}", seconds(Some(limit))))
}

fn seconds(time: Option<Duration>) -> String {
    format!("{:.1} s", time.unwrap_or_default().as_secs_f32())
}

/// The library's own texts may hold the address or a header; only those that cannot are passed on.
fn explain(error: ureq::Error, request: &Request) -> HttpError {
    use ureq::Error as E;
    let reached = reached(&error);
    let text = match error {
        E::Timeout(Timeout::Connect) => format!("no connection within {}", seconds(connect_limit(request))),
        E::Timeout(_) => return timed_out(request.timeout),
        E::Io(error) => explain_io(&error, request),
        E::HostNotFound => "name not found".into(),
        E::ConnectionFailed => "connection failed".into(),
        E::Tls(_) => "TLS: the host is not a valid name".into(),
        E::Rustls(error) => format!("TLS: {error}"),
        E::LargeResponseHeader(..) => "the answer's header is too large".into(),
        E::ConnectProxyFailed(reason) => format!("the {}", before(&reason, '/')),
        E::InvalidProxyUrl => "the proxy's address is not valid".into(),
        E::BadUri(_) | E::Http(_) => "the request's address or a header is not valid".into(),
        // After the colon come values of the answer.
        E::Protocol(error) => format!("the answer is not valid HTTP: {}", before(&error.to_string(), ':')),
        _ => "the exchange failed".into(),
    };
    HttpError { text: printable(&text), reached }
}

/// Only what certainly comes before the first byte of the request is told apart. Of the TLS errors, that is a
/// certificate that is not trusted: the others may come on either side of it.
fn reached(error: &ureq::Error) -> Reached {
    use ureq::Error as E;
    match error {
        E::Io(error) if unconnected(error.kind()) || unknown_name(error) || distrusted(error) => Reached::No,
        E::HostNotFound | E::Tls(_) | E::ConnectProxyFailed(_) | E::Timeout(Timeout::Connect) => Reached::No,
        E::InvalidProxyUrl | E::BadUri(_) | E::Http(_) => Reached::No,
        _ => Reached::Perhaps,
    }
}

/// A connection that was there is kept for many minutes by the system while its host cannot be reached: longer than any
/// exchange may take.
fn unconnected(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as K;
    matches!(kind, K::ConnectionRefused | K::HostUnreachable | K::NetworkUnreachable)
}

fn distrusted(error: &io::Error) -> bool {
    wraps(error, ureq::Error::Rustls) && in_words(error).starts_with(DISTRUSTED)
}

fn unknown_name(error: &io::Error) -> bool {
    in_words(error).starts_with(LOOKUP)
}

fn explain_io(error: &io::Error, request: &Request) -> String {
    use io::ErrorKind as K;
    let words = in_words(error);
    if let Some(detail) = words.strip_prefix(LOOKUP) {
        return format!("name not found: {}", detail.to_lowercase());
    }
    if wraps(error, ureq::Error::Rustls) {
        return format!("TLS: {words}");
    }
    match error.kind() {
        K::UnexpectedEof => "the connection was closed before the whole answer had come".into(),
        K::TimedOut | K::WouldBlock => timed_out(request.timeout).text,
        // The only connection there is, is the one to the proxy; SOCKS refusals arrive here too.
        _ if request.proxy.is_some() => format!("proxy: {words}"),
        _ => words,
    }
}

/// Whether the error inside is of the type that `variant` takes; the TLS library's own type has no name here.
fn wraps<T: std::error::Error + 'static>(error: &io::Error, _variant: fn(T) -> ureq::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<T>())
}

fn before(text: &str, mark: char) -> &str {
    text.split(mark).next().unwrap_or_default()
}

fn printable(text: &str) -> String {
    text.chars().take(ERROR_LIMIT).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tls_tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process;
    use std::sync::mpsc::Receiver;

    use super::super::super::Tls;
    use super::*;

    /// A server on loopback that hands each connection to `talk`, and what `talk` returned.
    fn server<T: Send + 'static>(talk: impl Fn(TcpStream) -> T + Send + 'static) -> (u16, Receiver<T>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, heard) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = seen.send(talk(stream.unwrap()));
            }
        });
        (port, heard)
    }

    /// Reads one request and answers with these bytes; returns the request.
    fn answering(answer: impl Into<Vec<u8>>) -> (u16, Receiver<String>) {
        let answer = answer.into();
        server(move |mut stream| {
            let request = read_request(&mut stream);
            let _ = stream.write_all(&answer);
            request
        })
    }

    fn read_request(stream: &mut TcpStream) -> String {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while reader.read_line(&mut head).unwrap_or(0) > 2 {
            let line = head.lines().last().unwrap_or_default().to_lowercase();
            length = line.strip_prefix("content-length: ").map_or(length, |value| value.parse().unwrap());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        head + &String::from_utf8(body).unwrap()
    }

    const SECRET: &str = "123456:AbC";

    fn get(port: u16) -> Request {
        Request {
            method: "GET",
            url: format!("http://127.0.0.1:{port}/bot{SECRET}/getMe?key={SECRET}"),
            headers: vec![("x-token", SECRET.into())],
            body: Vec::new(),
            timeout: Duration::from_secs(5),
            proxy: None,
            tls: Tls::System,
            body_limit: 1000,
        }
    }

    fn fetch(request: &Request) -> Result<Response, String> {
        let result = exchange(request, &ClockCheck::default());
        result.map_err(|error| {
            assert!(!error.text.contains(SECRET) && !error.text.contains("getMe"), "{}", error.text);
            error.text
        })
    }

    fn fails(request: &Request) -> String {
        fetch(request).expect_err("an error")
    }

    #[test]
    fn an_answer_has_status_and_body() {
        let (port, heard) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let response = fetch(&get(port)).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, b"ok".as_slice()));
        let request = heard.recv().unwrap().to_lowercase();
        assert!(request.starts_with("get /bot123456:abc/getme?key=123456:abc http/1.1\r\n"), "{request}");
        for line in ["x-token: 123456:abc", "accept-encoding: identity", &format!("user-agent: {USER_AGENT}")] {
            assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
        }
        assert!(!request.contains("content-length"), "{request}");
    }

    #[test]
    fn an_answer_has_its_headers() {
        let head = "HTTP/1.1 403 X\r\nX-Request-Id: a\u{e9}\r\nX-Request-ID:  b c \r\nContent-Length: 0\r\n\r\n";
        let response = fetch(&get(answering(head).0)).unwrap();
        let named = |name: &str| {
            let of_name = response.headers.iter().filter(|(known, _)| known == name);
            of_name.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((named("x-request-id"), named("content-length")), (vec!["b c"], vec!["0"]));
    }

    #[test]
    fn a_body_is_sent() {
        let (port, heard) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let request = Request { method: "POST", body: b"{\"a\":1}".to_vec(), ..get(port) };
        assert!(fetch(&request).unwrap().body.is_empty());
        assert!(heard.recv().unwrap().ends_with("\r\n\r\n{\"a\":1}"));
        assert!(fetch(&Request { method: "POST", ..get(port) }).is_ok());
        assert!(heard.recv().unwrap().to_lowercase().contains("content-length: 0\r\n"));
        assert!(fetch(&Request { method: "PUT", body: b"a=1%3B2".to_vec(), ..get(port) }).is_ok());
        let put = heard.recv().unwrap();
        assert!(put.starts_with("PUT ") && put.ends_with("\r\n\r\na=1%3B2"), "{put}");
        assert!(put.to_lowercase().contains("content-length: 7\r\n"), "{put}");
    }

    #[test]
    fn every_status_is_an_answer_and_redirects_are_not_followed() {
        let answer = |head: &str| answering(format!("HTTP/1.1 {head}\r\nContent-Length: 4\r\n\r\nbody")).0;
        for status in [404, 429, 500] {
            let response = fetch(&get(answer(&format!("{status} X")))).unwrap();
            assert_eq!((response.status, response.body.as_slice()), (status, b"body".as_slice()));
        }
        let (elsewhere, heard) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let moved = answer(&format!("302 Found\r\nLocation: http://127.0.0.1:{elsewhere}/"));
        let response = fetch(&get(moved)).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (302, b"body".as_slice()));
        assert!(heard.try_recv().is_err());
    }

    #[test]
    fn a_body_may_be_as_large_as_the_limit() {
        let answer = |size: usize| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
            answering([head.as_bytes(), &vec![b'x'; size]].concat()).0
        };
        assert_eq!(fetch(&get(answer(1000))).unwrap().body.len(), 1000);
        assert_eq!(fails(&get(answer(1001))), "the answer is larger than 1000 bytes");
    }

    #[test]
    fn what_breaks_off_is_an_error() {
        let cut = "the connection was closed before the whole answer had come";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
        for answer in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", chunked] {
            assert_eq!(fails(&get(answering(answer).0)), cut, "{answer:?}");
        }
        let no_http = fails(&get(answering(format!("{SECRET} getMe\r\n\r\n")).0));
        assert!(no_http.starts_with("the answer is not valid HTTP"), "{no_http}");
        let header = format!("HTTP/1.1 200 OK\r\nContent-Length: {SECRET}\r\n\r\n");
        assert!(fails(&get(answering(header).0)).starts_with("the answer is not valid HTTP"));
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'x'; 200_000]].concat();
        assert_eq!(fails(&get(answering(endless).0)), "the answer's header is too large");
    }

    /// Refused by the resolver itself, so that no test waits for a name server.
    fn no_name() -> String {
        "x".repeat(64)
    }

    #[test]
    fn nobody_there() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(fails(&get(port)), "connection refused");
        let proxy = Some(format!("socks5h://u:{SECRET}@127.0.0.1:{port}"));
        assert_eq!(fails(&Request { proxy, ..get(1) }), "proxy: connection refused");
        let lost = fails(&Request { url: format!("http://{}/{SECRET}", no_name()), ..get(1) });
        assert!(lost.starts_with("name not found"), "{lost}");
    }

    #[test]
    fn what_was_not_sent_is_known() {
        let reached = |request: Request| exchange(&request, &ClockCheck::default()).expect_err("an error").reached;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let elsewhere = |url: String| Request { url, ..get(port) };
        let proxy = Some(format!("http://127.0.0.1:{}", answering("HTTP/1.1 407 X\r\n\r\n").0));
        let (mute, _) = server(|_stream| thread::sleep(Duration::from_secs(20)));
        for request in [
            get(port),
            Request { timeout: LIMIT, ..elsewhere(format!("https://127.0.0.1:{mute}/")) },
            elsewhere(format!("http://{}/", no_name())),
            elsewhere("getMe".into()),
            Request { headers: vec![("x-token", "\n".into())], ..get(port) },
            Request { proxy: Some(format!("socks5h://127.0.0.1:{port}")), ..get(port) },
            Request { proxy, ..get(port) },
        ] {
            assert_eq!(reached(request), Reached::No);
        }
        let (silent, _) = server(|_stream| thread::sleep(Duration::from_secs(20)));
        for request in [
            get(answering("").0),
            get(answering("no HTTP\r\n\r\n").0),
            get(answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").0),
            Request { body_limit: 1, ..get(answering("HTTP/1.1 200 OK\r\n\r\nok").0) },
            Request { timeout: LIMIT, ..get(silent) },
        ] {
            assert_eq!(reached(request), Reached::Perhaps);
        }
    }

    #[test]
    fn what_is_not_valid_is_not_repeated() {
        let invalid = "the request's address or a header is not valid";
        for url in ["", "getMe", "/getMe", "ftp://127.0.0.1/getMe", "http://a b/getMe", "http:///getMe"] {
            let error = fails(&Request { url: format!("{url}?{SECRET}"), ..get(1) });
            assert_eq!(error, invalid, "{url}");
        }
        let headers = vec![("x-token", format!("{SECRET}\r\n"))];
        assert_eq!(fails(&Request { headers, ..get(1) }), invalid);
        for proxy in ["", "telnet://u:123456:AbC@127.0.0.1", "http://u:123456:AbC@ x"] {
            let error = fails(&Request { proxy: Some(proxy.into()), ..get(1) });
            assert_eq!(error, "the proxy's address is not valid", "{proxy}");
        }
    }

    #[test]
    fn a_server_without_tls_is_a_tls_error() {
        // It speaks first: a handshake has no lines to wait for.
        let (plain, _heard) = server(|mut stream| stream.write_all(&b"HTTP/1.1 400 no\r\n\r\n".repeat(9)));
        let error = fails(&Request { url: format!("https://127.0.0.1:{plain}/{SECRET}"), ..get(1) });
        assert!(error.starts_with("TLS: "), "{error}");
    }

    #[test]
    fn slow_servers_end_at_the_time_limit() {
        type Talk = fn(TcpStream);
        let silent: Talk = |_stream| thread::sleep(Duration::from_secs(20));
        let stalled_header: Talk = |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nDate:");
            thread::sleep(Duration::from_secs(20));
        };
        let dripping_body: Talk = |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        };
        let running: Vec<_> = [silent, stalled_header, dripping_body]
            .map(|talk| thread::spawn(move || limited(&Request { timeout: LIMIT, ..get(server(talk).0) })))
            .into();
        running.into_iter().for_each(|thread| thread.join().unwrap());
    }

    const LIMIT: Duration = Duration::from_millis(300);

    fn limited(request: &Request) {
        let started = std::time::Instant::now();
        assert_eq!(fails(request), "timed out after 0.3 s");
        assert!(started.elapsed() < LIMIT * 3, "{:?}", started.elapsed());
    }

    #[test]
    fn an_endless_body_ends_at_its_limit() {
        let (port, _) = server(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let request = Request { body_limit: 1_000_000, ..get(port) };
        assert_eq!(fails(&request), "the answer is larger than 1000000 bytes");
    }

    #[test]
    fn a_dripping_proxy_ends_at_the_time_limit() {
        let (port, _) = server(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        limited(&Request { timeout: LIMIT, proxy: Some(format!("http://127.0.0.1:{port}")), ..get(1) });
    }

    #[test]
    fn the_clock_is_compared_with_the_servers() {
        let clock = ClockCheck::default();
        let ask = |date: &str| {
            let answer = format!("HTTP/1.1 500 X\r\n{date}Content-Length: 0\r\n\r\n");
            exchange(&get(answering(answer).0), &clock).unwrap();
            clock.agrees()
        };
        let ago = |seconds: u64| {
            let at = wall_clock().minus(Duration::from_secs(seconds)).at_offset(time::UtcOffset::UTC);
            format!("Date: {}\r\n", at.format(crate::quota::instant::HTTP_DATE).unwrap())
        };
        assert_eq!(ask(""), None);
        assert_eq!(ask("Date: yesterday\r\n"), None);
        assert_eq!(ask(&ago(200)), Some(true));
        assert_eq!(ask(&ago(400)), Some(false));
        assert_eq!(ask("Date: \u{e9}\r\n"), Some(false));
        assert_eq!(ask(&ago(0)), Some(true));
    }

    /// Runs a test of this file again, in an environment whose proxy leads nowhere.
    #[test]
    fn the_environments_proxy_is_ignored() {
        let dead = "http://127.0.0.1:9";
        let mut again = process::Command::new(std::env::current_exe().unwrap());
        let (_crate, module) = module_path!().split_once("::").unwrap();
        again.args([&format!("{module}::an_answer_has_status_and_body"), "--exact"]);
        again.envs(["ALL_PROXY", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY"].map(|name| (name, dead)));
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn an_http_proxy_is_asked_to_connect() {
        let (port, heard) = server(|mut stream| {
            let connect = read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            let inner = read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nvia").unwrap();
            (connect, inner)
        });
        let url = "http://vendor.invalid/x".to_owned();
        let request = Request { url, proxy: Some(format!("http://user:pa%3Ass@127.0.0.1:{port}")), ..get(1) };
        assert_eq!(fetch(&request).unwrap().body, b"via");
        let (connect, inner) = heard.recv().unwrap();
        assert!(connect.starts_with("CONNECT vendor.invalid:80 HTTP/1.1\r\n"), "{connect}");
        assert!(connect.contains("Proxy-Authorization: Basic dXNlcjpwYTpzcw==\r\n"), "{connect}");
        assert!(inner.starts_with("GET /x HTTP/1.1\r\n"), "{inner}");
    }

    #[test]
    fn a_proxy_that_refuses_says_so() {
        let (port, _) = answering("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        let proxy = Some(format!("http://user:{SECRET}@127.0.0.1:{port}"));
        assert_eq!(fails(&Request { proxy, ..get(1) }), "the proxy server responded 407");
        let (port, _) = server(|mut stream| socks5(&mut stream, 5));
        let proxy = Some(format!("socks5h://127.0.0.1:{port}"));
        assert_eq!(fails(&Request { proxy, ..get(1) }), "proxy: connection refused");
    }

    #[test]
    fn socks5h_leaves_the_name_to_the_proxy() {
        let (port, heard) = server(|mut stream| {
            let target = socks5(&mut stream, 0);
            read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nvia").unwrap();
            target
        });
        let url = format!("http://{}:8080/x", no_name());
        let request = Request { url, proxy: Some(format!("socks5h://127.0.0.1:{port}")), ..get(1) };
        assert_eq!(fetch(&request).unwrap().body, b"via");
        assert_eq!(heard.recv().unwrap(), format!("{}:8080", no_name()));
        let local = fails(&Request { proxy: Some(format!("socks5://127.0.0.1:{port}")), ..request });
        assert!(local.starts_with("name not found"), "{local}");
    }

    /// The server's side of SOCKS 5 without authentication; returns the name and port asked for.
    fn socks5(stream: &mut TcpStream, status: u8) -> String {
        assert_eq!(take(stream, 3), [5, 1, 0]);
        stream.write_all(&[5, 0]).unwrap();
        let target = match take(stream, 4).as_slice() {
            [5, 1, 0, 3] => {
                let length = take(stream, 1)[0];
                String::from_utf8(take(stream, length.into())).unwrap()
            }
            [5, 1, 0, 1] => take(stream, 4).iter().map(u8::to_string).collect::<Vec<_>>().join("."),
            other => panic!("{other:?}"),
        };
        let port = take(stream, 2);
        stream.write_all(&[5, status, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        format!("{target}:{}", u16::from_be_bytes([port[0], port[1]]))
    }

    fn take(stream: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}

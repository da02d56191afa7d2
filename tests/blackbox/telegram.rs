//! A strict Telegram on loopback: it accepts what the real one accepts, refuses what the real one refuses, in its
//! words, and fails on demand.
//!
//! A request that no right client would ever send (unknown parameter, wrong content type, bad markup) is refused and
//! remembered; [`Telegram::messages`] fails the test when there was one.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::html;
use crate::machine::{CHAT, TOKEN};
use crate::multipart::{self, Part};
use crate::png;

/// The longest text, in UTF-16 units after entity parsing.
const TEXT_LIMIT: usize = 4096;
/// The longest caption of a picture, likewise.
const CAPTION_LIMIT: usize = 1024;
/// The longest request read.
const REQUEST_LIMIT: usize = 1 << 20;
/// Parameters of sendMessage.
const PARAMETERS: &[&str] = &[
    "chat_id",
    "text",
    "parse_mode",
    "message_thread_id",
    "disable_notification",
    "link_preview_options",
    "protect_content",
    "reply_markup",
];
/// Parameters of sendPhoto.
const PHOTO_PARAMETERS: &[&str] = &[
    "chat_id",
    "photo",
    "caption",
    "parse_mode",
    "message_thread_id",
    "disable_notification",
    "protect_content",
    "reply_markup",
];

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Status 500 with Telegram's body.
    Broken,
    /// Status 200 with a web page, as some proxy in between would answer.
    WebPage,
    /// The headers promise more than comes.
    Truncated,
    /// No answer at all; the connection stays open.
    Stalled,
    /// A body that never ends.
    Endless,
    /// The connection is reset before the answer.
    Reset,
    /// The message is accepted, its answer never arrives.
    AnswerLost,
    /// Too many requests; wait so many seconds.
    TooMany(u64),
    /// The token is wrong.
    Unauthorized,
    /// The bot was blocked.
    Forbidden,
    /// The group is now this supergroup.
    Migrated(i64),
    /// The markup is refused, as long as there is markup.
    CannotParse,
    /// No such chat.
    ChatNotFound,
    /// Status 200, and yet not accepted.
    NotOk,
    /// A redirect to the same path at this port of this machine.
    Redirect(u16),
    /// An error that repeats the request's path, token and all, plain and percent-encoded.
    Echo,
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// To whom.
    pub chat: i64,
    /// In which topic.
    pub topic: Option<i64>,
    /// As a reader sees it.
    pub text: String,
    /// As it was sent.
    pub raw: String,
    /// Without a sound.
    pub silent: bool,
    /// The picture that the text is the caption of.
    pub photo: Option<Vec<u8>>,
}

#[derive(Default)]
struct Inner {
    prefix: String,
    chats: Vec<i64>,
    names: Vec<(String, i64)>,
    topics: Vec<i64>,
    next: VecDeque<Fault>,
    always: Option<Fault>,
    messages: Vec<Message>,
    asked: Vec<SystemTime>,
    wrong: Vec<String>,
    held: Vec<TcpStream>,
    closing: bool,
}

/// The server; it ends when dropped.
pub struct Telegram {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Telegram {
    /// A Telegram that knows the bot [`TOKEN`] and the chat [`CHAT`].
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Mutex::new(Inner { chats: vec![CHAT], ..Inner::default() }));
        listen(listener, &inner, |inner| inner.closing, serve);
        Self { address, inner }
    }

    /// One below a path, as behind a reverse proxy.
    pub fn below(prefix: &str) -> Self {
        let telegram = Self::new();
        lock(&telegram.inner).prefix = prefix.to_owned();
        telegram
    }

    /// For `api_base`.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, lock(&self.inner).prefix)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another chat the bot is in.
    pub fn add_chat(&self, id: i64) {
        lock(&self.inner).chats.push(id);
    }

    /// A public name of a chat.
    pub fn name_chat(&self, name: &str, id: i64) {
        lock(&self.inner).names.push((name.to_owned(), id));
    }

    /// A topic of its chats.
    pub fn add_topic(&self, id: i64) {
        lock(&self.inner).topics.push(id);
    }

    /// What happens to the next request, and the one after, …
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.inner).next.extend(faults);
    }

    /// What happens to every request from now on.
    pub fn always(&self, fault: Fault) {
        lock(&self.inner).always = Some(fault);
    }

    /// Everything works again.
    pub fn heal(&self) {
        let mut inner = lock(&self.inner);
        inner.always = None;
        inner.next.clear();
    }

    /// All messages accepted so far; fails when any request was not as it must be.
    #[track_caller]
    pub fn messages(&self) -> Vec<Message> {
        let inner = lock(&self.inner);
        assert!(inner.wrong.is_empty(), "requests no client should send: {:?}", inner.wrong);
        inner.messages.clone()
    }

    /// The texts of [`Telegram::messages`].
    #[track_caller]
    pub fn texts(&self) -> Vec<String> {
        self.messages().into_iter().map(|message| message.text).collect()
    }

    /// The only message so far.
    #[track_caller]
    pub fn only(&self) -> Message {
        let messages = self.messages();
        assert_eq!(messages.len(), 1, "one message: {messages:#?}");
        messages.into_iter().next().unwrap()
    }

    /// When the first request came.
    pub fn first_asked(&self) -> SystemTime {
        *lock(&self.inner).asked.first().expect("a request")
    }

    /// How many requests came, of whatever outcome.
    pub fn requests(&self) -> usize {
        lock(&self.inner).asked.len()
    }
}

impl Drop for Telegram {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.closing = true;
        for stream in inner.held.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(inner);
        let _ = TcpStream::connect(self.address);
    }
}

/// What a failed test has left is as good as ever.
pub fn lock<S>(inner: &Mutex<S>) -> MutexGuard<'_, S> {
    inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Serves each connection in a thread of its own until the server is closing; any fake of this shape is served so.
pub fn listen<S: Send + 'static>(
    listener: TcpListener,
    inner: &Arc<Mutex<S>>,
    closing: fn(&S) -> bool,
    serve: fn(&Mutex<S>, TcpStream) -> io::Result<()>,
) {
    let shared = Arc::clone(inner);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if closing(&lock(&shared)) {
                return;
            }
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                // A client that goes away in the middle is what some tests are about.
                let _ = serve(&shared, stream);
            });
        }
    });
}

/// A request as it came.
pub struct Request {
    /// `POST`.
    pub method: String,
    /// The request target.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads one request; none when the client left without one.
pub fn read_request(stream: &TcpStream) -> io::Result<Option<Request>> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream);
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let mut word = || words.next().map(str::to_owned).ok_or(bad("request line"));
    let (method, target, version) = (word()?, word()?, word()?);
    if version != "HTTP/1.1" {
        return Err(bad("version"));
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    if let Some(length) = request.header("content-length") {
        let length: usize = length.parse().map_err(|_| bad("content-length"))?;
        if length > REQUEST_LIMIT {
            return Err(bad("too large"));
        }
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn serve(shared: &Mutex<Inner>, mut stream: TcpStream) -> io::Result<()> {
    let upcoming = {
        let inner = lock(shared);
        inner.next.front().copied().or(inner.always)
    };
    if upcoming == Some(Fault::Reset) {
        // Closing with unread input makes the kernel send a reset.
        stream.read_exact(&mut [0])?;
        count(shared);
        return Ok(());
    }
    let Some(request) = read_request(&stream)? else { return Ok(()) };
    let fault = count(shared);
    let (status, body) = match fault {
        None => accept(shared, &request),
        Some(Fault::Broken) => error(500, "Internal Server Error"),
        Some(Fault::WebPage) => {
            let page = "<!DOCTYPE html><html><body>Sign in to the network</body></html>";
            return answer(&mut stream, 200, "text/html", page);
        }
        Some(Fault::Truncated) => {
            let part = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"ok\":tr";
            return stream.write_all(part.as_bytes());
        }
        Some(Fault::Stalled) => return hold(shared, stream),
        Some(Fault::Endless) => return endless(shared, stream),
        Some(Fault::AnswerLost | Fault::Reset) => {
            accept(shared, &request);
            return stream.shutdown(Shutdown::Both);
        }
        Some(Fault::TooMany(seconds)) => (
            429,
            json!({"ok": false, "error_code": 429, "description": format!("Too Many Requests: retry after {seconds}"),
                "parameters": {"retry_after": seconds}}),
        ),
        Some(Fault::Unauthorized) => error(401, "Unauthorized"),
        Some(Fault::Forbidden) => error(403, "Forbidden: bot was kicked from the supergroup chat"),
        Some(Fault::ChatNotFound) => error(400, "Bad Request: chat not found"),
        Some(Fault::NotOk) => (200, error(400, "Bad Request: not today").1),
        Some(Fault::Redirect(port)) => {
            let target = &request.target;
            let head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n";
            return write!(stream, "{head}Location: http://127.0.0.1:{port}{target}\r\n\r\n");
        }
        Some(Fault::Echo) => {
            let encoded = request.target.replace(':', "%3A").replace('_', "%5F");
            error(400, &format!("Bad Request: cannot {} or {encoded}", request.target))
        }
        Some(Fault::Migrated(to)) if parameter(&request, "chat_id") != json!(to) => (
            400,
            json!({"ok": false, "error_code": 400,
                "description": "Bad Request: group chat was upgraded to a supergroup chat",
                "parameters": {"migrate_to_chat_id": to}}),
        ),
        Some(Fault::CannotParse) if parameter(&request, "parse_mode") != Value::Null => {
            error(400, "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0")
        }
        Some(Fault::Migrated(_) | Fault::CannotParse) => accept(shared, &request),
    };
    answer(&mut stream, status, "application/json", &body.to_string())
}

fn parameter(request: &Request, name: &str) -> Value {
    let kind = request.header("content-type").unwrap_or_default();
    let fields = if kind.starts_with("multipart/") { from_form(kind, &request.body) } else { from_json(&request.body) };
    fields.ok().and_then(|fields| fields.body.get(name).cloned()).unwrap_or_default()
}

fn hold(shared: &Mutex<Inner>, stream: TcpStream) -> io::Result<()> {
    lock(shared).held.push(stream);
    Ok(())
}

/// Writes until the client leaves or the server is dropped; at most 64 MiB, slowly.
fn endless(shared: &Mutex<Inner>, mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"ok\":true,\"result\":\"")?;
    for _ in 0..8192 {
        if lock(shared).closing {
            break;
        }
        stream.write_all(&[b'x'; 8192])?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Notes a request and tells what is to go wrong with it.
fn count(shared: &Mutex<Inner>) -> Option<Fault> {
    let mut inner = lock(shared);
    inner.asked.push(SystemTime::now());
    inner.next.pop_front().or(inner.always)
}

fn error(code: u16, description: &str) -> (u16, Value) {
    (code, json!({"ok": false, "error_code": code, "description": description}))
}

fn accept(shared: &Mutex<Inner>, request: &Request) -> (u16, Value) {
    let mut inner = lock(shared);
    let refuse = |inner: &mut Inner, code: u16, why: String| {
        inner.wrong.push(why.clone());
        error(code, &why)
    };
    if request.method != "POST" {
        return refuse(&mut inner, 400, format!("Bad Request: method {}", request.method));
    }
    let Some(path) = request.target.strip_prefix(inner.prefix.as_str()) else {
        let why = format!("Not Found: outside {}", inner.prefix);
        return refuse(&mut inner, 404, why);
    };
    let Some(rest) = path.strip_prefix("/bot") else { return refuse(&mut inner, 404, "Not Found: no bot".into()) };
    let Some((token, method)) = rest.split_once('/') else {
        return refuse(&mut inner, 404, "Not Found: no method".into());
    };
    if token != TOKEN {
        return error(401, "Unauthorized");
    }
    let kind = request.header("content-type").unwrap_or_default();
    let fields = match method {
        "sendMessage" if kind.split(';').next() == Some("application/json") => from_json(&request.body),
        "sendPhoto" if kind.starts_with("multipart/form-data;") => from_form(kind, &request.body),
        "sendMessage" | "sendPhoto" => Err(format!("content type {kind:?} of {method}")),
        _ => return refuse(&mut inner, 404, format!("Not Found: method {method}")),
    };
    if request.header("host").is_none() {
        return refuse(&mut inner, 400, "Bad Request: no Host".into());
    }
    match fields.and_then(|fields| message(&inner, fields)) {
        Ok(message) => {
            let number = inner.messages.len() + 1;
            let mut result = json!({
                "message_id": number,
                "from": {"id": 7_000_000_001_i64, "is_bot": true, "first_name": "quota", "username": "quota_bot"},
                "chat": {"id": message.chat, "title": "ops", "type": "supergroup"},
                "date": std::time::UNIX_EPOCH.elapsed().unwrap().as_secs(),
            });
            if message.photo.is_some() {
                result["photo"] = json!([{"file_id": "AgAC", "file_unique_id": "AQAD", "width": 90, "height": 60}]);
                result["caption"] = json!(message.text);
            } else {
                result["text"] = json!(message.text);
            }
            if let Some(topic) = message.topic {
                result["message_thread_id"] = json!(topic);
            }
            inner.messages.push(message);
            (200, json!({"ok": true, "result": result}))
        }
        Err(why) => refuse(&mut inner, 400, format!("Bad Request: {why}")),
    }
}

/// What a request has: its parameters, and a picture.
struct Fields {
    body: Map<String, Value>,
    photo: Option<Vec<u8>>,
}

fn from_json(body: &[u8]) -> Result<Fields, String> {
    let body: Value = serde_json::from_slice(body).map_err(|e| format!("can't parse JSON object: {e}"))?;
    let body = body.as_object().ok_or("not an object")?.clone();
    known(body.keys(), PARAMETERS)?;
    Ok(Fields { body, photo: None })
}

/// In a form every value is text; numbers and booleans are told by what they look like.
fn from_form(kind: &str, body: &[u8]) -> Result<Fields, String> {
    let mut fields = Fields { body: Map::new(), photo: None };
    let parts = multipart::parts(kind, body)?;
    known(parts.iter().map(|part| &part.name), PHOTO_PARAMETERS)?;
    for Part { name, file, kind, content } in parts {
        if name == "photo" {
            let named = file.is_some_and(|name| name.ends_with(".png")) && kind.as_deref() == Some("image/png");
            if !named {
                return Err("photo: a PNG by its file's name and its type is expected".into());
            }
            png::size(&content).map_err(|why| format!("IMAGE_PROCESS_FAILED: {why}"))?;
            if fields.photo.replace(content).is_some() {
                return Err("photo is given twice".into());
            }
            continue;
        }
        if file.is_some() {
            return Err(format!("{name} is no file"));
        }
        let text = String::from_utf8(content).map_err(|_| format!("{name}: strings must be encoded in UTF-8"))?;
        let value = match name.as_str() {
            "chat_id" | "message_thread_id" => text.parse().map_or_else(|_| json!(text), |number: i64| json!(number)),
            "disable_notification" | "protect_content" => {
                text.parse::<bool>().map_or_else(|_| json!(text), Value::from)
            }
            _ => json!(text),
        };
        if fields.body.insert(name.clone(), value).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    if fields.photo.is_none() {
        return Err("there is no photo in the request".into());
    }
    Ok(fields)
}

fn known<'a>(mut names: impl Iterator<Item = &'a String>, parameters: &[&str]) -> Result<(), String> {
    match names.find(|name| !parameters.contains(&name.as_str())) {
        Some(unknown) => Err(format!("unknown parameter {unknown}")),
        None => Ok(()),
    }
}

fn message(inner: &Inner, fields: Fields) -> Result<Message, String> {
    let Fields { body, photo } = fields;
    let integer = |name: &str| match body.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(format!("{name} is no integer: {value}")),
    };
    let flag = |name: &str| match body.get(name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or(format!("{name} is no bool: {value}")),
    };
    let named = |name: &str| inner.names.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
    let chat = match body.get("chat_id").and_then(Value::as_str) {
        Some(name) if name.starts_with('@') => named(name).ok_or("chat not found")?,
        _ => integer("chat_id")?.ok_or("chat_id is empty")?,
    };
    if !inner.chats.contains(&chat) {
        return Err(format!("chat not found: {chat}"));
    }
    let topic = integer("message_thread_id")?;
    if topic.is_some_and(|topic| !inner.topics.contains(&topic)) {
        return Err("message thread not found".into());
    }
    let (what, limit) = if photo.is_some() { ("caption", CAPTION_LIMIT) } else { ("text", TEXT_LIMIT) };
    let raw = body.get(what).and_then(Value::as_str).ok_or(format!("message {what} is empty"))?.to_owned();
    let text = match body.get("parse_mode").map(|mode| mode.as_str()) {
        None => raw.clone(),
        Some(Some("HTML")) => html::visible(&raw).map_err(|why| format!("can't parse entities: {why}"))?,
        Some(other) => return Err(format!("unsupported parse_mode {other:?}")),
    };
    match text.trim().encode_utf16().count() {
        0 => return Err(format!("message {what} is empty")),
        units if units > limit => return Err(format!("message {what} is too long: {units}")),
        _ => {}
    }
    Ok(Message { chat, topic, text, raw, silent: flag("disable_notification")?, photo })
}

/// Writes one answer and closes.
pub fn answer(stream: &mut TcpStream, status: u16, kind: &str, body: &str) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        _ => "Internal Server Error",
    };
    let date = time::OffsetDateTime::now_utc()
        .format(time::macros::format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        ))
        .unwrap();
    let mut text = format!("HTTP/1.1 {status} {reason}\r\nServer: nginx\r\nDate: {date}\r\n");
    write!(text, "Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).unwrap();
    stream.write_all(text.as_bytes())
}

/// What this Telegram answers to a body.
fn asked(telegram: &Telegram, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(telegram.address()).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[test]
fn this_telegram_is_strict() {
    let path = format!("/bot{TOKEN}/sendMessage");
    let long = |n: usize| json!({"chat_id": CHAT, "text": "x".repeat(n)}).to_string();
    for (status, why, body) in [
        (200, "", json!({"chat_id": CHAT, "text": "<b>a</b> &amp;", "parse_mode": "HTML"}).to_string()),
        (200, "", long(4096)),
        (400, "too long", long(4097)),
        (400, "empty", json!({"chat_id": CHAT, "text": " \n"}).to_string()),
        (400, "can't parse entities", json!({"chat_id": CHAT, "text": "a & b", "parse_mode": "HTML"}).to_string()),
        (400, "chat_id is no integer", json!({"chat_id": "-100123", "text": "a"}).to_string()),
        (400, "chat not found", json!({"chat_id": 5, "text": "a"}).to_string()),
        (400, "thread not found", json!({"chat_id": CHAT, "text": "a", "message_thread_id": 3}).to_string()),
        (400, "unknown parameter", json!({"chat_id": CHAT, "text": "a", "txet": 3}).to_string()),
        (400, "can't parse JSON", "{".to_owned()),
    ] {
        let telegram = Telegram::new();
        let (got, answer) = asked(&telegram, &path, &body);
        assert_eq!(got, status, "{answer}");
        assert_eq!(answer["ok"], status == 200);
        let told = answer["description"].as_str().unwrap_or_default();
        assert!(told.contains(why), "{told}");
    }
    let telegram = Telegram::new();
    assert_eq!(asked(&telegram, "/bot1:wrong/sendMessage", &long(1)).0, 401);
    assert_eq!(asked(&telegram, &format!("/bot{TOKEN}/sendmesage"), &long(1)).0, 404);
    assert_eq!(telegram.requests(), 2);
}

#[test]
fn this_telegram_fails_as_told_and_heals() {
    let telegram = Telegram::new();
    let body = json!({"chat_id": CHAT, "text": "a"}).to_string();
    let ask = || asked(&telegram, &format!("/bot{TOKEN}/sendMessage"), &body);
    telegram.next([Fault::TooMany(7), Fault::Migrated(-5)]);
    let (status, answer) = ask();
    assert_eq!((status, &answer["parameters"]["retry_after"]), (429, &json!(7)));
    let (status, answer) = ask();
    assert_eq!((status, &answer["parameters"]["migrate_to_chat_id"]), (400, &json!(-5)));
    telegram.always(Fault::Broken);
    assert_eq!(ask().0, 500);
    assert!(telegram.messages().is_empty());
    telegram.heal();
    assert_eq!(ask().0, 200);
    assert_eq!(telegram.only().text, "a");
}

//! Pages in headless Chromium: opened, used as a person would, and looked at.
//!
//! Chromium is spoken to over its debugging pipe, JSON messages with a zero byte after each: no port, no library. It has
//! a profile of its own that is removed with it, takes no network but what the page asks for, and is ended by its
//! process id when the [`Browser`] is dropped.
//!
//! This file is included by path by the tests inside the program, of pages made in memory, and by those outside, of
//! pages the program wrote.

#![allow(clippy::disallowed_methods, dead_code, reason = "tests run programs; not every test file uses everything")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than any answer takes on a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running Chromium with one tab.
pub struct Browser {
    child: Child,
    stdin: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    next: u64,
    events: VecDeque<Value>,
    folder: tempfile::TempDir,
    scripts: bool,
    target: String,
    other: Option<String>,
}

/// What a person has chosen on the machine, or holds in the hand.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Its width in CSS pixels.
    pub width: u32,
    /// Its height in CSS pixels.
    pub height: u32,
    /// Whether the system's look is dark.
    pub dark: bool,
}

impl Screen {
    /// A phone.
    pub const PHONE: Self = Self { width: 390, height: 844, dark: false };
    /// A desktop.
    pub const DESKTOP: Self = Self { width: 1440, height: 900, dark: false };

    /// The same with a dark system.
    pub fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

impl Browser {
    /// Starts Chromium.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The pipe is expected at the descriptors 3 and 4; `exec` keeps the process id.
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh", "chromium"]);
        command.args(["--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run"]);
        command.args([
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--disable-background-networking",
        ]);
        command.args(["--disable-component-update", "--disable-sync", "--disable-default-apps", "--mute-audio"]);
        command.args(["--hide-scrollbars", "--force-color-profile=srgb", "--lang=en-US", "--password-store=basic"]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command.arg("about:blank");
        command.env("HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path()).env("XDG_CACHE_HOME", folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("chromium starts");
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while stdout.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { break };
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let session = String::new();
        let (events, target, other) = (VecDeque::new(), String::new(), None);
        let mut browser =
            Self { child, stdin, messages, session, next: 0, events, folder, scripts: true, target, other };
        browser.attach();
        browser
    }

    /// Opens a tab and asks to be told of everything that happens in it.
    fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = self.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        self.session = attached["sessionId"].as_str().unwrap().to_owned();
        self.target = target["targetId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network", "Audits"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// A command of the DevTools protocol and its answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.stdin.write_all(&bytes).unwrap();
        loop {
            let message = self.receive(method);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
    }

    fn receive(&self, what: &str) -> Value {
        self.messages.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("chromium, {what}: {error}"))
    }

    /// Waits for an event; those before it stay to be asked for.
    fn wait_for(&mut self, method: &str) {
        let mut seen = 0;
        loop {
            while seen < self.events.len() {
                if self.events[seen]["method"] == method {
                    self.events.remove(seen);
                    return;
                }
                seen += 1;
            }
            let message = self.receive(method);
            self.events.push_back(message);
        }
    }

    /// Opens a page from memory, on this screen.
    pub fn open(&mut self, page: &str, screen: Screen) {
        let path = self.folder.path().join("page.html");
        std::fs::write(&path, page).unwrap();
        self.open_file(&path, screen);
    }

    /// Opens a page from a file, on this screen.
    pub fn open_file(&mut self, path: &Path, screen: Screen) {
        self.visit(&format!("file://{}", path.display()), screen);
    }

    /// Opens a page by its address, on this screen.
    pub fn visit(&mut self, address: &str, screen: Screen) {
        self.show_on(screen);
        self.events.clear();
        self.call("Page.navigate", json!({"url": address}));
        self.wait_for("Page.loadEventFired");
    }

    /// Sends a header with every request from now on.
    pub fn send_header(&mut self, name: &str, value: &str) {
        self.call("Network.setExtraHTTPHeaders", json!({"headers": {name: value}}));
    }

    /// Brings another tab before the page's, which is hidden then.
    pub fn hide(&mut self) {
        let session = std::mem::take(&mut self.session);
        let other = self.call("Target.createTarget", json!({"url": "about:blank"}));
        self.call("Target.activateTarget", json!({"targetId": other["targetId"]}));
        self.session = session;
        self.other = other["targetId"].as_str().map(str::to_owned);
    }

    /// Takes the other tab away again.
    pub fn unhide(&mut self) {
        let other = self.other.take();
        let session = std::mem::take(&mut self.session);
        self.call("Target.closeTarget", json!({"targetId": other}));
        self.call("Target.activateTarget", json!({"targetId": self.target}));
        self.session = session;
    }

    /// Changes the screen under the page.
    pub fn show_on(&mut self, screen: Screen) {
        let Screen { width, height, dark } = screen;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        // Without motion there is no in-between in which a test could look.
        let still = json!({"name": "prefers-reduced-motion", "value": "reduce"});
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}, still]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// With or without scripts, from the next page on.
    pub fn scripts(&mut self, on: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !on}));
        self.scripts = on;
    }

    /// The value of an expression in the page; a promise's result.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.eval(&format!("!!({expression})")) != true {
            assert!(start.elapsed() < PATIENCE, "never: {expression}");
            // A page that is not shown has no frames.
            self.eval("new Promise(done => { requestAnimationFrame(() => done()); setTimeout(done, 100) })");
        }
    }

    /// The middle of the first element of a selector, scrolled to.
    #[track_caller]
    fn middle(&mut self, selector: &str) -> (f64, f64) {
        let at = self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'center', behavior: 'instant'}});
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        ));
        (at[0].as_f64().unwrap(), at[1].as_f64().unwrap())
    }

    /// Clicks in the middle of the first element of a selector, with the mouse.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Clicks on what loads a page.
    #[track_caller]
    pub fn follow(&mut self, selector: &str) {
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        self.click(selector);
        self.wait_for("Page.loadEventFired");
    }

    /// Moves the mouse over the first element of a selector.
    #[track_caller]
    pub fn hover(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.call("Input.dispatchMouseEvent", json!({"type": "mouseMoved", "x": x, "y": y}));
    }

    /// Taps on the first element of a selector, with a finger.
    #[track_caller]
    pub fn tap(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.call("Input.dispatchTouchEvent", json!({"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}));
        self.call("Input.dispatchTouchEvent", json!({"type": "touchEnd", "touchPoints": []}));
    }

    /// Presses a key by its name: `Enter`, `Tab`, `ArrowRight`.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            "Home" => (36, ""),
            "End" => (35, ""),
            "ArrowLeft" => (37, ""),
            "ArrowRight" => (39, ""),
            " " => (32, " "),
            _ => panic!("no such key here: {key}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Types into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// A picture of the whole page, for a person to look at.
    pub fn picture(&mut self, path: &Path) {
        let height = self.eval("document.documentElement.scrollHeight").as_u64().unwrap().min(12_000);
        let width = self.eval("innerWidth");
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let answer = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true, "clip": clip}));
        std::fs::write(path, decoded(answer["data"].as_str().unwrap())).unwrap();
    }

    /// What went wrong since the page was opened: console messages, errors, violations of its policy, requests for
    /// anything but itself.
    pub fn complaints(&mut self) -> Vec<String> {
        // An answer comes after the events of what was done before it was asked for.
        // Without scripts no promise is ever kept.
        self.eval(if self.scripts {
            "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
        } else {
            "0"
        });
        let events: Vec<Value> = self.events.iter().cloned().collect();
        events.iter().filter_map(complaint).collect()
    }

    /// The same but for requests to the place the page came from.
    pub fn complaints_but_of(&mut self, origin: &str) -> Vec<String> {
        let own = format!("request: \"{origin}");
        self.complaints().into_iter().filter(|complaint| !complaint.starts_with(&own)).collect()
    }
}

fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.consoleAPICalled" => Some(format!("console: {}", params["args"])),
        "Runtime.exceptionThrown" => Some(format!("exception: {}", params["exceptionDetails"])),
        "Log.entryAdded" => Some(format!("log: {}", params["entry"])),
        "Audits.issueAdded" => Some(format!("issue: {}", params["issue"])),
        "Page.javascriptDialogOpening" => Some(format!("dialog: {}", params["message"])),
        "Network.requestWillBeSent" if params["type"] != "Document" => {
            Some(format!("request: {}", params["request"]["url"]))
        }
        _ => None,
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From base64, in which pictures come.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        held = held << 6 | digit as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    bytes
}

/// The folder in `NETQUOTA_PICTURES`, where pictures are to be kept for a person to look at; none by default.
pub fn pictures() -> Option<PathBuf> {
    std::env::var_os("NETQUOTA_PICTURES").map(PathBuf::from)
}

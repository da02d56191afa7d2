//! The live page in headless Chromium, before a hub that does as it is told; and what can be told without.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::report::html::tests::browser::{Browser, Screen};
use crate::report::html::tests::{SCREENS, assert_fits, assert_legible, assert_quiet, picture, visible_text};
use crate::report::model::By;
use crate::report::now::Health;
use crate::report::samples::{self, HOSTILE, Sample};

/// What the hub answers with, and what it was asked.
#[derive(Default)]
struct Answers {
    page: String,
    now: (String, String),
    report: (String, String),
    /// In place of all that.
    refusal: Option<(u16, &'static str)>,
    asked: Vec<String>,
}

/// A hub on a port of its own.
struct Hub {
    port: u16,
    answers: Arc<Mutex<Answers>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let shared = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A browser opens connections ahead of time, and sends nothing.
                let shared = shared.clone();
                std::thread::spawn(move || answer(&stream, &shared));
            }
        });
        Self { port, answers }
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Shows these from now on; the tags say how often that was.
    fn show(&self, now: &Now, usage: &Usage) {
        let mut answers = self.answers.lock().unwrap();
        let tag = format!("\"{}\"", answers.now.0.len() + answers.report.1.len() + answers.now.1.len());
        let part = |markup: Markup| (tag.clone(), format!("<!doctype html>{}", markup.into_string()));
        answers.page = page(now, usage, [&tag, &tag]).replace("data-every=\"15000\"", "data-every=\"50\"");
        answers.now = part(part_now(now, &tag));
        answers.report = part(part_report(usage, &tag));
    }

    fn refuse(&self, refusal: Option<(u16, &'static str)>) {
        self.answers.lock().unwrap().refusal = refusal;
    }

    fn asked(&self) -> usize {
        self.answers.lock().unwrap().asked.len()
    }

    /// Waits until it was asked so often more.
    fn until_asked(&self, browser: &mut Browser, more: usize) {
        let wanted = self.asked() + more;
        while self.asked() < wanted {
            browser.eval("new Promise(done => setTimeout(done, 10))");
        }
    }
}

fn answer(stream: &TcpStream, shared: &Mutex<Answers>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let tag = head.iter().find_map(|line| line.strip_prefix("If-None-Match: "));
    let mut answers = shared.lock().unwrap();
    answers.asked.push(request.clone());
    let (status, body, kind) = match () {
        () if request.contains("favicon") => (204, String::new(), "text/plain"),
        () if answers.refusal.is_some() => {
            let (status, text) = answers.refusal.unwrap();
            (status, text.to_owned(), "application/json")
        }
        () if request.contains("part=now") => part(&answers.now, tag),
        () if request.contains("part=report") => part(&answers.report, tag),
        () => (200, answers.page.clone(), "text/html; charset=utf-8"),
    };
    drop(answers);
    let policy = policy();
    let mut stream = stream;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nContent-Security-Policy: {policy}\r\n\
         Connection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn part((current, body): &(String, String), known: Option<&str>) -> (u16, String, &'static str) {
    if known == Some(current) {
        (304, String::new(), "text/html")
    } else {
        (200, body.clone(), "text/html; charset=utf-8")
    }
}

fn usage(report: Report) -> Usage {
    let hours = Sample {
        from: "2026-11-21T12:20:00+08:00",
        to: "2026-11-21T18:20:00+08:00",
        by: By::FiveMinutes,
        ..Sample::default()
    };
    Usage { report, recent: Some(hours.report()), lack: None, period: Some(Named::Month) }
}

fn many(subjects: usize) -> (Now, Usage) {
    (samples::now(subjects, &[]), usage(Sample { subjects, ..Sample::default() }.report()))
}

fn still(now: &Now, usage: &Usage) -> String {
    page(now, usage, ["", ""]).replace("data-every=\"15000\"", "data-every=\"999999999\"")
}

#[test]
fn the_page_may_ask_its_own_origin_and_the_file_may_not() {
    let (now, usage) = many(3);
    let live = still(&now, &usage);
    assert!(live.contains("connect-src &#39;self&#39;") || live.contains("connect-src 'self'"), "{}", &live[..600]);
    assert!(policy().ends_with("form-action 'none'; connect-src 'self'"), "{}", policy());
    let file = super::super::page(&usage.report);
    for word in ["connect-src", "fetch(", "#trouble", "data-every", "If-None-Match"] {
        assert!(!file.contains(word), "{word}");
    }
    assert_eq!(live.matches("<script>").count(), 1);
    for word in ["src=\"", "@import", "url(h", "<link", "unsafe-", "style=\"", "<iframe"] {
        assert_eq!(live.matches(word).count(), 0, "{word}");
    }
}

#[test]
fn it_says_that_there_is_no_daemon_in_both_languages() {
    let (now, usage) = many(3);
    let live = still(&now, &usage);
    assert!(live.contains("netquota has no daemon") && live.contains("netquota 没有常驻进程"));
}

#[test]
fn parts_are_those_of_the_page() {
    let (now, usage) = many(30);
    let live = page(&now, &usage, ["a", "b"]);
    assert!(live.contains(&part_now(&now, "a").into_string()));
    assert!(live.contains(&part_report(&usage, "b").into_string()));
}

#[test]
fn why_there_is_less_than_usual_is_said() {
    for (lack, said) in [
        (Lack::Off, "The history is off"),
        (Lack::NotYet, "no history yet"),
        (Lack::Broken("/x/history.db: <locked>".into()), "The history cannot be read: /x/history.db: &lt;locked&gt;."),
    ] {
        let usage = Usage { report: Sample::empty(), recent: None, lack: Some(lack), period: None };
        assert!(part_report(&usage, "").into_string().contains(said), "{said}");
    }
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn it_fits_is_legible_and_asks_for_nothing_in_both_languages_and_looks() {
    let mut browser = Browser::start();
    let hostile = (samples::now(HOSTILE.len() + 2, HOSTILE), usage(Sample::hostile()));
    let mut empty = samples::now(0, &[]);
    (empty.problems, empty.waiting, empty.held, empty.checked) = (Vec::new(), Vec::new(), Vec::new(), None);
    let nothing = Usage { report: Sample::empty(), recent: None, lack: Some(Lack::NotYet), period: None };
    let pages = [("few", many(6)), ("many", many(1000)), ("hostile", hostile), ("nothing", (empty, nothing))];
    for (name, (now, usage)) in pages {
        let page = still(&now, &usage);
        for screen in SCREENS {
            for (look, screen) in [("light", screen), ("dark", screen.dark())] {
                browser.open(&page, screen);
                for language in ["en", "zh-CN"] {
                    browser.click(&format!("input[value={language}] + .choice"));
                    browser.until(&format!("document.documentElement.lang === {language:?}"));
                    let what = format!("live-{name}-{}-{look}-{language}", screen.width);
                    assert_fits(&mut browser, &what);
                    assert_legible(&mut browser, &what);
                    assert_quiet(&mut browser, &what);
                    picture(&mut browser, &what);
                }
                browser.eval("try { localStorage.clear() } catch {}");
            }
        }
    }
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn hostile_names_are_text_and_do_nothing() {
    let mut browser = Browser::start();
    let hub = Hub::start();
    let (mut now, figures) = (samples::now(HOSTILE.len(), HOSTILE), usage(Sample::hostile()));
    now.problems.push((HOSTILE[1].to_owned(), now.at));
    now.waiting.push((HOSTILE[2].to_owned(), 1, now.at));
    now.rows[0].subject = "x".repeat(10_000);
    now.rows[0].health = Health::Unread(HOSTILE[0].to_owned());
    hub.show(&many(2).0, &figures);
    browser.visit(&hub.origin(), Screen::DESKTOP);
    // Through the script, too.
    hub.show(&now, &figures);
    browser.until("document.querySelectorAll('#doing tr').length > 2");
    let count = |browser: &mut Browser, of: &str| browser.eval(&format!("document.querySelectorAll({of:?}).length"));
    assert_eq!(count(&mut browser, "script"), 1);
    assert_eq!(count(&mut browser, "img, body b b, iframe, object, embed, link, form"), 0);
    let attributes = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => /^on|^style$/.test(a.name)).length";
    assert_eq!(browser.eval(attributes), 0);
    let text = browser.eval("document.querySelector('#part-now').textContent");
    let text = text.as_str().unwrap();
    for name in HOSTILE.iter().skip(1).filter(|name| !name.contains('\u{202e}')) {
        assert!(text.contains(name), "{name:?} is not shown");
    }
    assert!(!text.contains('\u{202e}') && text.contains("\\u{202e}reversed"));
    assert!(text.len() < 30_000, "long names are cut");
    assert_eq!(browser.complaints_but_of(&hub.origin()), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn it_becomes_current_and_loses_nothing_that_was_chosen_typed_opened_or_scrolled_to() {
    let mut browser = Browser::start();
    let hub = Hub::start();
    let (now, figures) = many(1000);
    for screen in SCREENS {
        hub.show(&now, &figures);
        browser.visit(&hub.origin(), screen);
        // The same once more changes nothing, and is not sent.
        browser.eval("window.kept = document.querySelector('#doing tr')");
        hub.until_asked(&mut browser, 4);
        browser.click(".now th:nth-child(2) button");
        browser.click("#filter-now");
        browser.type_text("node-1");
        browser.eval("document.querySelectorAll('details').forEach(d => d.open = true)");
        browser.eval("document.querySelector('.now .region').scrollTop = 60");
        browser.eval("document.querySelector('.subjects:not(.now) .region').scrollTop = 500");
        browser.eval("document.querySelector('#filter-now').setSelectionRange(2, 4)");
        let state = "[document.activeElement.id, document.activeElement.selectionStart,
            document.querySelector('.now .region').scrollTop, document.querySelector('.subjects:not(.now) .region').scrollTop,
            document.querySelectorAll('details[open]').length, document.querySelector('#filter-now').value,
            document.querySelector('.now .shown').textContent,
            document.querySelectorAll('#doing tr:not([hidden])').length,
            [...document.querySelectorAll('.now th')].map(th => th.getAttribute('aria-sort')).join()]";
        let before = browser.eval(state);
        let shown = before[7].as_u64().unwrap();
        assert!(shown > 20 && shown < 200, "{before}");
        let (mut newer, mut figures) = many(1000);
        // The quietest of all the nodes found becomes the busiest.
        let quiet = newer.rows.iter_mut().rfind(|row| row.subject.contains("node-1")).unwrap();
        let rate = crate::quota::meter::Counters { rx: 1, tx: 12_500_000_000 };
        quiet.pulse = Some(crate::quota::pulse::Pulse { rate: Some(rate), ..crate::quota::pulse::Pulse::at(now.at) });
        let name = quiet.subject.clone();
        figures.report.events.clear();
        hub.show(&newer, &figures);
        browser.until("document.querySelector('#doing tr:not([hidden]) td').textContent === '100.00 Gbps'");
        assert_eq!(browser.eval("document.querySelector('#doing tr:not([hidden]) b').textContent"), name.as_str());
        browser.until("document.querySelector('.log .nothing')");
        assert_eq!(browser.eval(state), before);
        assert_eq!(browser.eval("window.kept.isConnected"), true, "what is the same stays in place");
        // A subject that is gone, and another that came.
        newer.rows.retain(|row| row.subject != name);
        newer.rows[0].subject = "node-1-of-late".into();
        newer.rows[0].label.clear();
        hub.show(&newer, &figures);
        browser.until(
            "[...document.querySelectorAll('#doing tr:not([hidden]) b')].some(b => b.textContent === 'node-1-of-late')",
        );
        let all = "[...document.querySelectorAll('#doing b')].map(b => b.textContent)";
        let names: Vec<String> = serde_json::from_value(browser.eval(all)).unwrap();
        assert!(names.len() == 999 && !names.contains(&name), "{}", names.len());
        assert_eq!(browser.complaints_but_of(&hub.origin()), Vec::<String>::new());
    }
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn the_chart_goes_on_showing_the_value_that_was_chosen() {
    let mut browser = Browser::start();
    let hub = Hub::start();
    let (now, mut figures) = many(3);
    hub.show(&now, &figures);
    browser.visit(&hub.origin(), Screen::DESKTOP);
    browser.eval("document.querySelector('.plot[aria-labelledby=usage]').focus()");
    browser.press("Home");
    browser.press("ArrowRight");
    let tip = "document.querySelector('.plot[aria-labelledby=usage] .tip').innerText";
    let before = browser.eval(tip);
    let used = figures.report.cells[1].as_mut().unwrap();
    used.flow.tx = 1_234_567_890_123;
    hub.show(&now, &figures);
    browser.until(&format!("{tip}.includes('1,234,567,890,123')"));
    assert_ne!(browser.eval(tip), before);
    assert_eq!(browser.eval("document.activeElement.getAttribute('aria-labelledby')"), "usage");
    browser.press("ArrowLeft");
    browser.until(&format!("!{tip}.includes('1,234,567,890,123')"));
    assert_eq!(browser.complaints_but_of(&hub.origin()), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn it_asks_for_nothing_while_it_is_hidden_and_at_once_when_it_is_seen_again() {
    let mut browser = Browser::start();
    let hub = Hub::start();
    let (now, figures) = many(3);
    hub.show(&now, &figures);
    browser.visit(&hub.origin(), Screen::DESKTOP);
    hub.until_asked(&mut browser, 4);
    browser.hide();
    browser.until("document.hidden");
    // What was under way may end.
    browser.eval("new Promise(done => setTimeout(done, 500))");
    let asked = hub.asked();
    browser.eval("new Promise(done => setTimeout(done, 1500))");
    assert_eq!(hub.asked(), asked);
    browser.eval("document.querySelector('main').dataset.every = 999999");
    browser.unhide();
    browser.until("!document.hidden");
    hub.until_asked(&mut browser, 0);
    while hub.asked() < asked + 2 {
        browser.eval("new Promise(done => setTimeout(done, 10))");
    }
    assert_eq!(browser.complaints_but_of(&hub.origin()), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn a_banner_says_that_the_hub_does_not_answer_and_goes_when_it_does() {
    let mut browser = Browser::start();
    let hub = Hub::start();
    let (now, figures) = many(3);
    for screen in [Screen::PHONE, Screen::DESKTOP, Screen::DESKTOP.dark()] {
        hub.show(&now, &figures);
        browser.visit(&hub.origin(), screen);
        assert_eq!(browser.eval("document.querySelector('#trouble').checkVisibility()"), false);
        for (refusal, en, zh) in [
            (
                (503, r#"{"success":false,"message":"quota <b>x</b>"}"#),
                "(503): quota <b>x</b>",
                "错误（503）：quota <b>x</b>",
            ),
            ((200, "<p>Log in</p>"), "Something else than the hub", "响应的不是本服务"),
            ((401, ""), "asks who you are", "重新登录"),
        ] {
            hub.refuse(Some(refusal));
            browser.until(&format!("document.querySelector('#trouble .words').innerText.includes({en:?})"));
            let text = visible_text(&mut browser);
            assert!(text.contains("What is shown is from ") && text.contains(" ago."), "{text}");
            assert_eq!(text.contains("It goes on trying."), refusal.0 != 401, "{text}");
            assert_eq!(browser.eval("document.querySelector('.again').checkVisibility()"), refusal.0 == 401);
            let what = format!("live-banner-{}-{}-{}", refusal.0, screen.width, screen.dark);
            assert_fits(&mut browser, &what);
            assert_legible(&mut browser, &what);
            picture(&mut browser, &what);
            browser.click("input[value=zh-CN] + .choice");
            assert!(visible_text(&mut browser).contains(zh));
            browser.click("input[value=en] + .choice");
            hub.refuse(None);
            if refusal.0 == 401 {
                browser.follow(".again");
            }
            browser.until("!document.querySelector('#trouble').checkVisibility()");
        }
        browser.eval("localStorage.clear()");
    }
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn ages_go_on_by_themselves() {
    let mut browser = Browser::start();
    let (now, figures) = many(3);
    let page = still(&now, &figures);
    browser.open(&page, Screen::DESKTOP);
    let age = "document.querySelector('.now > .about time').innerText";
    assert_eq!(browser.eval(age), "1 min ago");
    // The browser's clock may be wrong by any time: what counts is how long the page is there.
    let seconds = "Number(document.querySelector('#doing time').innerText.split(' ')[0])";
    let before = browser.eval(seconds).as_u64().unwrap();
    browser.until(&format!("{seconds} > {before} + 1"));
}

//! The page in headless Chromium, used as a person would; and what can be told without.
//!
//! With `NETQUOTA_PICTURES=FOLDER` the tests leave pictures there, to be looked at.

#[path = "../../../tests/support/browser.rs"]
pub mod browser;

use super::{figures, page};
use crate::quota::duration::Language;
use crate::report::model::{By, Direction, Report};
use crate::report::samples::{HOSTILE, Sample};
use browser::{Browser, Screen, pictures};

pub const SCREENS: [Screen; 2] = [Screen::PHONE, Screen::DESKTOP];

fn reports() -> Vec<(&'static str, Report)> {
    let hours = Sample {
        from: "2026-10-25T00:00:00+02:00",
        to: "2026-10-26T00:00:00+01:00",
        made: "2026-10-26T00:00:00+01:00",
        zone: "Europe/Berlin",
        by: By::Hour,
        direction: Direction::Out,
        ..Sample::default()
    };
    vec![
        ("month", Sample::default().report()),
        ("one", Sample { subjects: 1, language: Language::Zh, ..Sample::default() }.report()),
        ("hours", hours.report()),
        ("empty", Sample::empty()),
        ("hostile", Sample::hostile()),
        ("many", Sample { subjects: 1000, ..Sample::default() }.report()),
    ]
}

/// Leaves a picture where a person wants to see it.
pub fn picture(browser: &mut Browser, name: &str) {
    if let Some(folder) = pictures() {
        browser.picture(&folder.join(format!("{name}.png")));
    }
}

#[track_caller]
pub fn assert_fits(browser: &mut Browser, what: &str) {
    let below = browser.eval(
        "document.documentElement.scrollHeight
         - Math.max(innerHeight, document.querySelector('body > footer').getBoundingClientRect().bottom + scrollY)",
    );
    assert!(below.as_f64() <= Some(1.0), "{what} goes on below its end for {below} pixels");
    let wide = browser.eval("[document.documentElement.scrollWidth, innerWidth]");
    assert!(wide[0].as_u64() <= wide[1].as_u64(), "{what} is wider than the screen: {wide}");
}

/// The lowest contrast of any text that is shown, and that text.
///
/// A text's ground is the nearest ancestor's that is not transparent; SVG texts lie on that of what they are in.
const CONTRAST: &str = r#"(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const color = rgba(getComputedStyle(e).backgroundColor);
            if (color[3] === 255) return color;
        }
        return [255, 255, 255, 255];
    };
    let worst = [99, ""];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const seen = new Map();
    for (let node; node = walk.nextNode();) {
        const e = node.parentElement;
        if (!node.data.trim() || !e.checkVisibility({ visibilityProperty: true }) || /SCRIPT|STYLE/.test(e.tagName)) continue;
        if (e.closest(".unseen, title, .sep")) continue;
        const style = getComputedStyle(e);
        const text = e instanceof SVGElement ? style.fill : style.color;
        const back = ground(e);
        const key = text + back;
        if (!seen.has(key)) {
            const [a, b] = [light(rgba(text)), light(back)];
            seen.set(key, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
        }
        if (seen.get(key) < worst[0]) worst = [seen.get(key), node.data.trim() + " " + text + " on " + back];
    }
    return worst.concat(seen.size);
})()"#;

#[track_caller]
pub fn assert_legible(browser: &mut Browser, what: &str) {
    let worst = browser.eval(CONTRAST);
    assert!(worst[2].as_u64() >= Some(4), "{what}: hardly any text was looked at: {worst}");
    assert!(worst[0].as_f64() >= Some(4.5), "{what}: {worst}");
}

#[track_caller]
pub fn assert_quiet(browser: &mut Browser, what: &str) {
    assert_eq!(browser.complaints(), Vec::<String>::new(), "{what}");
}

pub fn visible_text(browser: &mut Browser) -> String {
    browser.eval("document.body.innerText").as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn every_page_fits_is_legible_and_asks_for_nothing_in_both_languages_and_looks() {
    let mut browser = Browser::start();
    for (name, report) in reports() {
        let page = page(&report);
        for screen in SCREENS {
            for (dark, screen) in [(false, screen), (true, screen.dark())] {
                browser.open(&page, screen);
                for language in ["en", "zh-CN"] {
                    browser.click(&format!("input[value={language}] + .choice"));
                    browser.until(&format!("document.documentElement.lang === {language:?}"));
                    let look = if dark { "dark" } else { "light" };
                    let what = format!("{name}-{}-{look}-{language}", screen.width);
                    assert_fits(&mut browser, &what);
                    assert_legible(&mut browser, &what);
                    assert_quiet(&mut browser, &what);
                    picture(&mut browser, &what);
                }
                // What was chosen is remembered, and the next page is another test.
                browser.eval("try { localStorage.clear() } catch {}");
            }
        }
    }
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn the_language_is_the_reports_until_another_is_chosen_and_that_is_remembered() {
    let mut browser = Browser::start();
    let page = page(&Sample { language: Language::Zh, ..Sample::default() }.report());
    browser.open(&page, Screen::DESKTOP);
    assert_eq!(browser.eval("document.documentElement.lang"), "zh-CN");
    assert_eq!(browser.eval("document.title"), "vps-hk-1 流量 2026-11");
    let text = visible_text(&mut browser);
    assert!(text.contains("全部对象") && !text.contains("All subjects"), "{text}");
    browser.click("input[value=en] + .choice");
    browser.until("document.documentElement.lang === 'en'");
    assert_eq!(browser.eval("document.title"), "vps-hk-1: traffic, 2026-11");
    let text = visible_text(&mut browser);
    assert!(!text.contains("全部对象") && text.contains("All subjects"), "{text}");
    browser.open(&page, Screen::DESKTOP);
    assert_eq!(browser.eval("document.documentElement.lang"), "en");
    // With the keyboard alone.
    browser.eval("document.querySelector('input[value=en]').focus()");
    browser.press("ArrowRight");
    browser.until("document.documentElement.lang === 'zh-CN'");
    assert_quiet(&mut browser, "the switch of language");
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn the_look_is_the_systems_until_another_is_chosen_and_that_is_remembered() {
    let mut browser = Browser::start();
    let page = page(&Sample::default().report());
    let is_dark = "matchMedia('(max-width:1px)').matches || getComputedStyle(document.body).backgroundColor !== 'rgb(244, 246, 249)'";
    browser.open(&page, Screen::DESKTOP);
    assert_eq!(browser.eval(is_dark), false);
    browser.show_on(Screen::DESKTOP.dark());
    browser.until(is_dark);
    browser.click("input[value=light] + .choice");
    browser.until(&format!("!({is_dark})"));
    assert_legible(&mut browser, "light on a dark system");
    browser.open(&page, Screen::DESKTOP.dark());
    assert_eq!(browser.eval(is_dark), false, "it is remembered");
    browser.show_on(Screen::DESKTOP);
    browser.click("input[value=dark] + .choice");
    browser.until(is_dark);
    assert_legible(&mut browser, "dark on a light system");
    browser.click("input[value=system] + .choice");
    browser.until(&format!("!({is_dark})"));
    assert_quiet(&mut browser, "the switch of looks");
}

/// The subjects' names as they stand, from the top.
fn names(browser: &mut Browser) -> Vec<String> {
    let names =
        browser.eval("[...document.querySelectorAll('#rows > tr:not([hidden]) b')].map(name => name.textContent)");
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn hostile_names_are_shown_as_text_and_do_nothing() {
    let mut browser = Browser::start();
    let report = Sample::hostile();
    let page = page(&report);
    for screen in SCREENS {
        browser.open(&page, screen);
        assert_eq!(browser.eval("document.querySelectorAll('script').length"), 1);
        assert_eq!(
            browser.eval("document.querySelectorAll('img, body b b, iframe, object, embed, link, form').length"),
            0
        );
        assert_eq!(browser.eval("[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => /^on|^style$/.test(a.name)).length"), 0);
        let text = browser.eval("document.body.textContent");
        for name in HOSTILE.iter().filter(|name| !name.contains('\u{202e}')) {
            assert!(text.as_str().unwrap().contains(name), "{name:?} is not shown");
        }
        assert!(!text.as_str().unwrap().contains('\u{202e}') && text.as_str().unwrap().contains("\\u{202e}reversed"));
        assert!(text.as_str().unwrap().len() < 200_000, "long names are cut");
        assert_eq!(browser.eval("document.querySelector('h1').textContent"), HOSTILE[0]);
        browser.click("#rows tr:nth-child(3) th");
        assert_quiet(&mut browser, "hostile names");
    }
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn a_thousand_subjects_are_sorted_and_found() {
    let mut browser = Browser::start();
    let report = Sample { subjects: 1000, ..Sample::default() }.report();
    let by = |key: &dyn Fn(&crate::report::model::Row) -> u64| {
        let mut rows: Vec<_> = report.rows.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
        let called = |row: &&crate::report::model::Row| {
            if row.label.is_empty() { row.subject.clone() } else { row.label.clone() }
        };
        rows.iter().map(called).collect::<Vec<String>>()
    };
    let page = page(&report);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    for screen in SCREENS {
        browser.open(&page, screen);
        assert_eq!(names(&mut browser), by(&|row| row.used.flow.tx + row.used.flow.rx));
        let sorted = |browser: &mut Browser, nth: u32| {
            let of = browser.eval(&format!(
                "document.querySelector('thead th:nth-child({nth})[data-sort]').getAttribute('aria-sort')"
            ));
            assert_eq!(browser.eval("document.querySelectorAll('[aria-sort]').length"), 1);
            of
        };
        assert_eq!(sorted(&mut browser, 5), "descending");
        browser.click("th:nth-child(4) button");
        assert_eq!(sorted(&mut browser, 4), "descending");
        assert_eq!(names(&mut browser), by(&|row| row.used.flow.rx));
        // With the keyboard: the button keeps the focus.
        browser.press("Enter");
        assert_eq!(sorted(&mut browser, 4), "ascending");
        assert_eq!(names(&mut browser), by(&|row| u64::MAX - row.used.flow.rx));
        browser.eval("document.querySelector('th:first-child button').focus()");
        browser.press(" ");
        assert_eq!(sorted(&mut browser, 1), "ascending");
        let first = names(&mut browser);
        assert_eq!(first[0], "qemu/101");
        assert!(first.iter().position(|name| name == "qemu/999") < first.iter().position(|name| name == "qemu/1001"));
        // The header stays in sight.
        browser.eval("document.querySelector('.region.long').scrollTop = 9000");
        let stays = "(() => { const r = document.querySelector('.region.long').getBoundingClientRect(),
            h = document.querySelector('.subjects thead th').getBoundingClientRect(); return Math.abs(r.top - h.top) < 3 })()";
        browser.until(stays);
        browser.click("#filter");
        browser.type_text("QEMU/77 cluster");
        browser.until("document.querySelector('.shown').textContent !== '1000'");
        let found = names(&mut browser);
        let wanted =
            |row: &&crate::report::model::Row| row.subject.contains("qemu/77") && row.source.contains("cluster");
        assert_eq!(found.len(), report.rows.iter().filter(wanted).count());
        assert!(!found.is_empty());
        browser.type_text("no such name");
        browser.until("document.querySelector('.none').checkVisibility()");
        assert_fits(&mut browser, "a filtered table");
        assert_quiet(&mut browser, "a thousand subjects");
    }
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn the_chart_says_every_byte_under_pointer_finger_and_keys() {
    let mut browser = Browser::start();
    let report = Sample::default().report();
    let page = page(&report);
    let said = |browser: &mut Browser, index: usize| {
        let out = figures::exact(report.cells[index].unwrap().flow.tx);
        browser.until(&format!("document.querySelector('.tip').innerText.includes({out:?})"));
        let inside = "(() => { const t = document.querySelector('.tip').getBoundingClientRect();
            return t.left >= 0 && t.right <= innerWidth })()";
        assert_eq!(browser.eval(inside), true, "the values are on the screen");
    };
    let bar = |index: usize| format!(".plot [lang=en] [data-i='{index}'] .f");
    for screen in SCREENS {
        browser.open(&page, screen);
        browser.eval("document.querySelector('.plot').focus()");
        browser.press("End");
        browser.until("document.querySelector('.tip').innerText.includes('2026-11-30') || document.querySelector('.tip').innerText.includes('30')");
        browser.press("Home");
        for index in 1..=4 {
            browser.press("ArrowRight");
            said(&mut browser, index);
        }
        browser.press("ArrowLeft");
        said(&mut browser, 3);
        browser.press("Escape");
        browser.until("document.querySelector('.tip').hidden");
        if screen.width < 600 {
            browser.tap(&bar(19));
        } else {
            browser.hover(&bar(19));
        }
        said(&mut browser, 19);
        browser.click("h1");
        browser.until("document.querySelector('.tip').hidden");
        assert_quiet(&mut browser, "the chart");
    }
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn without_scripts_everything_is_there() {
    let mut browser = Browser::start();
    browser.scripts(false);
    browser.open(&page(&Sample::default().report()), Screen::PHONE);
    // The debugger's own expressions run all the same.
    let count = |browser: &mut Browser, selector: &str| {
        browser.eval(&format!("document.querySelectorAll({selector:?}).length"))
    };
    assert_eq!(count(&mut browser, "#rows > tr"), 5);
    assert_eq!(count(&mut browser, "#buckets tbody tr"), 30);
    assert_eq!(count(&mut browser, "th button"), 0);
    assert_eq!(count(&mut browser, ".plot [lang=en] [data-i] > title"), 30);
    for hidden in [".switches", ".filter"] {
        assert_eq!(browser.eval(&format!("document.querySelector({hidden:?}).checkVisibility()")), false, "{hidden}");
    }
    assert_fits(&mut browser, "without scripts");
    assert_quiet(&mut browser, "without scripts");
}

#[test]
#[ignore = "needs Chromium: ./test installs it"]
fn the_tests_see_what_they_look_for() {
    let mut browser = Browser::start();
    let good = page(&Sample::default().report());
    let bad = good.replace(
        "</body>",
        "<p style=\"width:3000px;color:#888\">bad</p><script>alert(1)</script><img src=\"file:///none.png\"></body>",
    );
    browser.open(&bad, Screen::PHONE);
    let complaints = browser.complaints().join("\n");
    for part in ["style-src", "script-src", "img-src"] {
        assert!(complaints.contains(part), "{part}: {complaints}");
    }
    let free = good.replace("Content-Security-Policy", "none").replace(
        "</body>",
        "<p style=\"width:3000px;color:#888\">bad</p><script>console.warn('bad')</script><img src=\"file:///none.png\"></body>",
    );
    browser.open(&free, Screen::PHONE);
    let complaints = browser.complaints().join("\n");
    assert!(complaints.contains("console: ") && complaints.contains("request: "), "{complaints}");
    let wide = browser.eval("document.documentElement.scrollWidth > 390");
    assert_eq!(wide, true);
    assert!(browser.eval(CONTRAST)[0].as_f64() < Some(4.5));
}

#[test]
fn the_page_is_one_file_that_names_no_other() {
    for (name, report) in reports() {
        // A namespace is a name, and a fragment is of this page.
        let page = page(&report).replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("url(#", "");
        assert_eq!(page.matches("<script>").count(), 1, "{name}");
        for word in ["src=", "@import", "url(", "http:", "https:", "<link", "unsafe-", "style=\"", "<iframe"] {
            let found = page.matches(word).count();
            let hostile = if name == "hostile" && word == "src=" { page.matches("&lt;img src=").count() } else { 0 };
            assert_eq!(found, hostile, "{name}: {word}");
        }
    }
}

#[test]
fn the_policy_has_the_digests_of_what_is_in_the_page() {
    let page = page(&Sample::default().report());
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
    let (style, script) = ("style-src 'sha256-", "script-src 'sha256-");
    let policy = policy.unwrap().replace("&#39;", "'");
    assert!(
        policy.starts_with("default-src 'none'; ") && policy.contains(style) && policy.contains(script),
        "{policy}"
    );
}

/// As the chart's, so that no value is lost on the way: the table says every byte of every bucket.
#[test]
fn every_bucket_is_in_the_table_to_the_byte() {
    let report = Sample::default().report();
    let page = page(&report);
    for used in report.cells.iter().flatten() {
        assert!(page.contains(&figures::exact(used.flow.tx)), "{used:?}");
    }
}

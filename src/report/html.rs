//! The HTML report: one file with everything in it, for any browser, on a phone or a desk, in English and Chinese.
//!
//! Invariant: no text from outside reaches the page but through the escaping of the templates, and the page loads and
//! runs nothing but what is in [`STYLE`] and [`SCRIPT`]: its content security policy has their digests and refuses all
//! else. So no element may have a `style` attribute; lengths are attributes of SVG elements.
//!
//! Everything is in the page without scripts; what the script adds is sorting, the filter, the values under the pointer
//! and the switches of language and look. Both languages are in the page, and the style shows one of them.

mod figures;
pub mod live;
mod log;
mod now;
mod quotas;
mod subjects;
mod usage;
mod words;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::quota::duration::Language;

use super::chart;
use super::model::{By, Report};
use figures::{Span, name, offset_time};
use words::{Both, say};

/// What the page looks like, but for its colours.
const STYLE: &str = include_str!("page/page.css");
/// Its colours on a light ground, as custom properties.
const LIGHT: &str = include_str!("page/light.css");
/// Its colours on a dark ground.
const DARK: &str = include_str!("page/dark.css");
/// What it does.
const SCRIPT: &str = concat!(include_str!("page/page.js"), include_str!("page/start.js"));

/// The report as a page.
pub fn page(report: &Report) -> String {
    let style = style();
    let title = Title::of(report);
    let frame =
        Frame { language: report.language, title: &title.words, policy: &policy(&style, SCRIPT), style: &style };
    let body = html! {
        (header(report, &title.span))
        main #main tabindex="-1" { (figures_of(report)) }
        footer.bottom { (marks()) (made(report)) }
    };
    frame.around(&body, SCRIPT).into_string()
}

/// What a report has to say.
fn figures_of(report: &Report) -> Markup {
    html! {
        (usage::totals(report))
        (quotas::section(report))
        (usage::section(report))
        (subjects::top(report))
        (subjects::section(report))
        (log::section(report))
    }
}

/// What every page has around its body.
struct Frame<'a> {
    language: Language,
    title: &'a Both,
    policy: &'a str,
    style: &'a str,
}

impl Frame<'_> {
    fn around(&self, body: &Markup, script: &str) -> Markup {
        let Both { en, zh } = self.title;
        html! {
            (DOCTYPE)
            html lang=(code(self.language)) {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(self.policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    meta name="robots" content="noindex";
                    title data-en=(en) data-zh=(zh) { (self.title.in_language(self.language)) }
                    style { (PreEscaped(self.style)) }
                }
                body {
                    a.skip href="#main" { (say("Skip to the figures", "跳到数据")) }
                    (PreEscaped(chart::patterns()))
                    (body)
                    script { (PreEscaped(script)) }
                }
            }
        }
    }
}

/// What the window is called.
struct Title {
    span: Both,
    words: Both,
}

impl Title {
    fn of(report: &Report) -> Self {
        let span = Span::of(report.from, report.to, &report.zone).words();
        let host = name(&report.host);
        let words = say(format!("{host}: traffic, {}", span.en), format!("{host} 流量 {}", span.zh));
        Self { span, words }
    }
}

/// The colours of the system's look, or of the one that was chosen, and the rest. On paper it is the light one.
fn style() -> String {
    format!(
        ":root{{color-scheme:light;{LIGHT}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root:not([data-look=light]){{color-scheme:dark;{DARK}}}}}\n\
         @media screen{{:root[data-look=dark]{{color-scheme:dark;{DARK}}}}}\n{STYLE}\n{}",
        chart::style()
    )
}

/// Nothing is loaded from anywhere, and of what is in the page only these two are applied and run.
fn policy(style: &str, script: &str) -> String {
    let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let (style, script) = (digest(style), digest(script));
    format!("default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'")
}

fn code(language: Language) -> &'static str {
    match language {
        Language::En => "en",
        Language::Zh => "zh-CN",
    }
}

fn header(report: &Report, span: &Both) -> Markup {
    html! {
        header.top {
            div.who {
                p.brand { "netquota" }
                h1 { (name(&report.host)) }
                (range(report, span))
            }
            (switches(report.language))
        }
    }
}

/// Which time, how it is divided, and whose clock it goes by.
fn range(report: &Report, span: &Both) -> Markup {
    html! {
        p.range { (span) " " span.sep { "·" } " " (by(report.by)) " " span.sep { "·" } " " (report.zone.name()) }
    }
}

fn by(by: By) -> Both {
    match by {
        By::FiveMinutes => say("by five minutes", "按五分钟"),
        By::Hour => say("by hour", "按小时"),
        By::Day => say("by day", "按天"),
        By::Month => say("by month", "按月"),
    }
}

/// Of language and look; shown by the script, which they need.
fn switches(language: Language) -> Markup {
    let languages = [("en", "English"), ("zh-CN", "中文")];
    let looks = [("system", say("System", "系统")), ("light", say("Light", "浅色")), ("dark", say("Dark", "深色"))];
    html! {
        div.switches hidden {
            fieldset.switch {
                legend.unseen { (say("Language", "语言")) }
                @for (value, word) in languages {
                    label {
                        input.unseen type="radio" name="language" value=(value) checked[value == code(language)];
                        span.choice lang=(value) { (word) }
                    }
                }
            }
            fieldset.switch {
                legend.unseen { (say("Look", "外观")) }
                @for (value, words) in &looks {
                    label {
                        input.unseen type="radio" name="look" value=(value) checked[*value == "system"];
                        span.choice { (words) }
                    }
                }
            }
        }
    }
}

/// What the marks beside figures mean.
fn marks() -> Markup {
    html! {
        dl.marks {
            div { dt { "≈" } dd { (say(
                "Estimated: bytes at an edge were divided by time, as nothing was read there for more than ten minutes.",
                "估算：边界附近超过十分钟没有读数，流量按时间分摊。")) } }
            div { dt { "≥" } dd { (say(
                "At least: a part of the time was not metered, or its figures were deleted.",
                "至少：其中一段时间没有计量，或数据已删除。")) } }
            div { dt { "–" } dd { (say("Nothing is known of that time.", "该时段没有任何数据。")) } }
        }
    }
}

/// When the figures were put together, and what their units are.
fn made(report: &Report) -> Markup {
    html! {
        p.made {
            (say("Made ", "生成于 "))
            time datetime=(report.made) { (offset_time(report.made, &report.zone)) }
            (say(format!(" ({}). ", report.zone.name()), format!("（{}）。", report.zone.name())))
            (say(
                "1 kB is 1000 bytes, but for quotas in a unit of their own; figures are rounded down.",
                "1 kB 为 1000 字节，配额按其自己的单位；数字均向下取整。"))
        }
    }
}

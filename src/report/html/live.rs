//! The live page: the report of the running period, with what is going on now above it, kept current by a script that
//! asks for what has changed while somebody looks.
//!
//! The page has two parts that change on their own: [`Part::Now`], with every report of a node and every check, and
//! [`Part::Report`], with every check and every minute. Each says by its tag what it was made of, so that the same is
//! not made, sent and read again.
//!
//! Invariant: as that of all pages, but for one thing: the script may ask where the page came from.

#[cfg(test)]
mod tests;

use maud::{Markup, html};

use crate::report::model::Report;
use crate::report::now::Now;
use crate::report::span::Named;

use super::figures::{name, sentence};
use super::words::{Both, say};
use super::{Frame, Title};

/// What the live page looks like beyond what every page does.
const STYLE: &str = include_str!("../page/live.css");
/// What it does.
const SCRIPT: &str = concat!(include_str!("../page/page.js"), include_str!("../page/live.js"));
/// Between two looks at what has changed, in milliseconds.
const EVERY: u32 = 15_000;

/// A part that changes on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What is going on.
    Now,
    /// The report.
    Report,
}

impl Part {
    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Report => "report",
        }
    }

    /// By the name it is asked for.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Now, Self::Report].into_iter().find(|part| part.name() == name)
    }
}

/// What the part about the period is made of.
pub struct Usage {
    /// The report of the period.
    pub report: Report,
    /// That of the last hours, by five minutes.
    pub recent: Option<Report>,
    /// Why there is less than usual.
    pub lack: Option<Lack>,
    /// Which of the calendar's periods it is.
    pub period: Option<Named>,
}

/// Why a report has nothing, or not everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// There is to be no history.
    Off,
    /// It has not begun.
    NotYet,
    /// It cannot be read: why.
    Broken(String),
}

/// The page. The tags are of its two parts.
pub fn page(now: &Now, usage: &Usage, tags: [&str; 2]) -> String {
    let style = style();
    let title = Title::of(&usage.report).words;
    let frame = Frame { language: now.language, title: &title, policy: &policy(), style: &style };
    let body = html! {
        header.top {
            div.who {
                p.brand { "netquota" }
                h1 { (name(&now.host)) }
            }
            (super::switches(now.language))
        }
        (trouble(now))
        main #main tabindex="-1" data-every=(EVERY) {
            (part_now(now, tags[0]))
            (part_report(usage, tags[1]))
        }
        footer.bottom { (super::marks()) }
    };
    frame.around(&body, SCRIPT).into_string()
}

/// What is going on, alone.
pub fn part_now(now: &Now, tag: &str) -> Markup {
    html! {
        div #part-now.live data-part=(Part::Now.name()) data-tag=(tag) data-version=(version()) data-at=(now.at.millis()) {
            (super::now::alerts(now))
            (super::now::section(now))
        }
    }
}

/// The report, alone.
pub fn part_report(usage: &Usage, tag: &str) -> Markup {
    let report = &usage.report;
    let title = Title::of(report);
    html! {
        div #part-report.live data-part=(Part::Report.name()) data-tag=(tag) data-version=(version())
            data-at=(report.made.millis()) data-en=(title.words.en) data-zh=(title.words.zh) {
            @if let Some(lack) = &usage.lack { p.card.lack { (why(lack)) } }
            @if let Some(recent) = &usage.recent { (super::usage::recent(recent)) }
            div.span {
                (super::range(report, &title.span))
                (periods(usage.period))
            }
            (super::figures_of(report))
            (super::made(report))
        }
    }
}

/// What a browser may load and run of it, for the answer's header as well.
pub fn policy() -> String {
    format!("{}; connect-src 'self'", super::policy(&style(), SCRIPT))
}

fn style() -> String {
    format!("{}{STYLE}", super::style())
}

/// Changes whenever a page that is open could not do with new parts.
fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), "-1")
}

/// What is said while the hub cannot be asked; filled by the script.
fn trouble(now: &Now) -> Markup {
    let empty = || html! { span lang="en" {} span lang="zh-CN" {} };
    html! {
        div #trouble hidden {
            p.words role="alert" { (empty()) }
            p {
                (say("What is shown is from ", "以下数据截至"))
                time data-age=(now.at.millis()) { (empty()) }
                (say(".", "。"))
                span.trying { (say(" It goes on trying.", "正在重试。")) }
            }
            button.again type="button" hidden { (say("Load the page again", "重新加载页面")) }
        }
    }
}

/// The ways to the calendar's running periods.
fn periods(current: Option<Named>) -> Markup {
    let all = [
        (Named::Day, say("Day", "日")),
        (Named::Week, say("Week", "周")),
        (Named::Month, say("Month", "月")),
        (Named::Year, say("Year", "年")),
    ];
    html! {
        nav.switch.periods aria-label="Period" {
            @for (named, words) in &all {
                a.choice href=(format!("?period={}", named.name())) aria-current=[(current == Some(*named)).then_some("page")] {
                    (words)
                }
            }
        }
    }
}

fn why(lack: &Lack) -> Both {
    match lack {
        Lack::Off => say(
            "The history is off: there is nothing to draw, and no log.",
            "历史记录已关闭：没有图表，也没有操作记录。",
        ),
        Lack::NotYet => {
            say("There is no history yet: `netquota check` writes it.", "还没有历史记录：由 `netquota check` 写入。")
        }
        Lack::Broken(why) => {
            let why = sentence(why);
            say(
                format!("The history cannot be read: {why}. What follows is what the last check knows alone."),
                format!("无法读取历史记录：{why}。以下仅为最近一次检查所知的数据。"),
            )
        }
    }
}

//! What was done and told: the log of alerts, actions and resets.

use maud::{Markup, html};

use crate::history::Logged;
use crate::quota::event::{Kind, Outcome};
use crate::report::model::Report;

use super::figures::{date_clock, name, sentence};
use super::words::{Both, say};

/// A log with more entries scrolls in a region of its own.
const LONG: usize = 12;

/// The newest first.
pub fn section(report: &Report) -> Markup {
    let count = report.events.len();
    html! {
        section.card.log aria-labelledby="log" {
            div.head { h2 #log { (say("What was done and told", "操作与通知记录")) " " span.count { (count) } } }
            @if count == 0 {
                p.nothing { (say("Nothing, in this time.", "这段时间没有记录。")) }
            } @else if count > LONG {
                div.region.long role="region" aria-labelledby="log" tabindex="0" { (entries(report)) }
            } @else {
                (entries(report))
            }
        }
    }
}

fn entries(report: &Report) -> Markup {
    html! { ol { @for logged in report.events.iter().rev() { (entry(logged, report)) } } }
}

fn entry(logged: &Logged, report: &Report) -> Markup {
    let event = &logged.event;
    html! {
        li.(event.outcome.name()) {
            time datetime=(event.at) { (date_clock(event.at, &report.zone)) }
            span.what { span.kind { (kind(event.kind)) } " " span.badge { (outcome(event.outcome)) } }
            div.said {
                p.about { (about(logged, report)) }
                @if !event.reason.is_empty() { p { (sentence(&event.reason)) } }
                @if !event.detail.is_empty() { p.detail { (sentence(&event.detail)) } }
            }
        }
    }
}

/// The subject, and what it came by.
fn about(logged: &Logged, report: &Report) -> Markup {
    let event = &logged.event;
    let machine = report.hosts.iter().find(|(instance, _)| *instance == logged.instance).map(|(_, host)| host);
    let rest = [machine, Some(&event.source), Some(&event.quota), Some(&event.name)];
    let rest: Vec<String> = rest.into_iter().flatten().filter(|text| !text.is_empty()).map(|text| name(text)).collect();
    html! {
        @if !event.subject.is_empty() { b { (name(&event.subject)) } " " }
        small { (rest.join(" · ")) }
    }
}

fn kind(kind: Kind) -> Both {
    match kind {
        Kind::Alert => say("Message", "通知"),
        Kind::Action => say("Action", "操作"),
        Kind::Hold => say("Hold", "保持"),
        Kind::Lift => say("Lift", "解除"),
        Kind::Calibration => say("Calibration", "校准"),
        Kind::Reset => say("New period", "新周期"),
    }
}

fn outcome(outcome: Outcome) -> Both {
    match outcome {
        Outcome::Done => say("done", "完成"),
        Outcome::Started => say("ordered", "已发出"),
        Outcome::Failed => say("failed", "失败"),
        Outcome::Unknown => say("not known", "结果不明"),
    }
}

//! What is going on: what needs a look, and a table of what each subject was doing when it was last seen.

use maud::{Markup, html};

use crate::quota::instant::Instant;
use crate::quota::pulse::{Load, Pulse};
use crate::report::now::{Doing, Health, Now, Raised};

use super::figures::{ago, date_clock, exact, name, rate, sentence};
use super::words::{Both, say};

/// A list with more entries scrolls in a region of its own.
const MANY: usize = 8;
/// A table with more rows does.
const LONG: usize = 20;
/// Names of alarms that are shown in a row.
const NAMES: usize = 3;
/// Seconds that a node's clock may be wrong by before that is worth a word.
const SKEW: u64 = 60;
/// For how long a second machine of the same name is told of.
const DOUBLED: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Alarms, problems, messages that wait, and what is held; empty where there are none.
pub fn alerts(now: &Now) -> Markup {
    let count = now.raised.len() + now.problems.len() + now.waiting.len() + now.held.len();
    html! {
        div #alerts {
            @if count > 0 {
                section.card.alerts aria-labelledby="attention" {
                    div.head { h2 #attention { (say("What needs a look", "需要关注")) " " span.count { (count) } } }
                    @if count > MANY {
                        div.region.long role="region" aria-labelledby="attention" tabindex="0" { (entries(now)) }
                    } @else {
                        (entries(now))
                    }
                }
            }
        }
    }
}

fn entries(now: &Now) -> Markup {
    let lifting = say("being undone", "正在撤销");
    html! {
        ul {
            @for raised in &now.raised {
                (entry("failed", say("Alarm", "告警"), now, raised.since, &html! {
                    b { (name(&raised.subject)) } " " (words(raised)) " " span.about { (name(&raised.alarm)) }
                }))
            }
            @for (text, since) in &now.problems {
                (entry("failed", say("Problem", "问题"), now, *since, &html! { (sentence(text)) }))
            }
            @for (notifier, count, since) in &now.waiting {
                (entry("started", say("Waiting", "待发送"), now, *since, &html! {
                    (say(format!("{count} messages for "), format!("{count} 条消息，")))  b { (name(notifier)) }
                }))
            }
            @for held in &now.held {
                (entry("started", say("Held", "保持中"), now, held.since, &html! {
                    b { (name(&held.thing)) } " " span.about { (name(&held.actions)) @if held.lifting { " · " (lifting) } }
                }))
            }
        }
    }
}

/// What an alarm has seen.
fn words(raised: &Raised) -> Both {
    let [(_, en), (_, zh)] = &raised.words;
    say(sentence(en), sentence(zh))
}

fn entry(class: &str, kind: Both, now: &Now, since: Instant, what: &Markup) -> Markup {
    html! {
        li class=(class) {
            span.badge { (kind) }
            div.said { (what) }
            span.when {
                (say("since ", "自 ")) time datetime=(since) { (date_clock(since, &now.zone)) } ", " (ago(since, now.at, &now.zone))
            }
        }
    }
}

/// What each subject was doing.
pub fn section(now: &Now) -> Markup {
    let count = now.rows.len();
    html! {
        section.card.subjects.now aria-labelledby="now" {
            div.head {
                h2 #now { (say("Now", "当前")) " " span.count { (count) } }
                @if count > 1 { (filter(count)) }
            }
            (about(now))
            @if count == 0 {
                p.nothing { (say("Nothing was read yet, and no node has reported.", "还没有任何读数，也没有节点上报。")) }
            } @else {
                div.region.long[count > LONG] role="region" aria-labelledby="now" tabindex="0" { (table(now)) }
                p.none hidden { (say("None has this in its name or state.", "没有名称或状态符合的对象。")) }
            }
        }
    }
}

/// Why no rate is of this very moment.
fn about(now: &Now) -> Markup {
    html! {
        p.about {
            @match now.checked {
                Some(at) => { (say("Last check: ", "最近一次检查：")) (ago(at, now.at, &now.zone)) (say(". ", "。")) }
                None => { (say("No check has run yet. ", "尚未运行过检查。")) }
            }
            (say(
                "netquota has no daemon: these figures are of the last check and of the nodes' last reports, and a rate is \
                 the mean between the last two readings, so there are no live 3-second rates.",
                "netquota 没有常驻进程：这里是最近一次检查和各节点最近一次上报的数据，速率为最近两次读数之间的平均值，没有 3 秒级实时速率。"))
        }
    }
}

/// Shown by the script, which it needs.
fn filter(count: usize) -> Markup {
    html! {
        div.filter hidden {
            label for="filter-now" { (say("Filter", "筛选")) }
            input #filter-now type="search" autocomplete="off" spellcheck="false" aria-controls="doing";
            output for="filter-now" { span.shown { (count) } " / " (count) }
        }
    }
}

fn table(now: &Now) -> Markup {
    let loads = now.rows.iter().filter_map(|row| row.pulse).any(|pulse| pulse.cpu.or(pulse.memory).is_some());
    html! {
        table.figures.doing {
            caption.unseen { (say("What each subject was doing when it was last seen", "各对象最近一次的状态")) }
            colgroup {
                col.c-name; col.c-rate; col.c-rate;
                @if loads { col.c-load; col.c-load; }
                col.c-seen; col.c-state;
            }
            thead { tr {
                (head(say("Subject", "对象"), "text"))
                (head(say("Out", "出站"), "number out"))
                (head(say("In", "入站"), "number in"))
                @if loads {
                    (head(say("CPU", "CPU"), "number load"))
                    (head(say("Memory", "内存"), "number load"))
                }
                (head(say("Seen", "读数"), "number seen"))
                (head(say("State", "状态"), "number state"))
            } }
            tbody #doing { @for row in &now.rows { (line(row, now, loads)) } }
        }
    }
}

fn head(words: Both, class: &str) -> Markup {
    html! { th class=(class) scope="col" data-sort { (words) } }
}

fn line(row: &Doing, now: &Now, loads: bool) -> Markup {
    let pulse = row.pulse;
    html! {
        tr.(level(row)) {
            th scope="row" { b { (called(row)) } (details(row)) (remarks(row, now)) (badge(row, "brief")) }
            (rate_cell("out", pulse, |pulse| pulse.rate.map(|rate| rate.tx)))
            (rate_cell("in", pulse, |pulse| pulse.rate.map(|rate| rate.rx)))
            @if loads {
                (load_cell(pulse.and_then(|pulse| pulse.cpu)))
                (load_cell(pulse.and_then(|pulse| pulse.memory)))
            }
            td.number.seen data-v=(pulse.map_or(-1, |pulse| pulse.at.millis())) {
                @match pulse { Some(pulse) => (ago(pulse.at, now.at, &now.zone)), None => (unknown()) }
            }
            td.number.state data-v=(u8::MAX - row.rank()) { (badge(row, "whole")) }
        }
    }
}

/// What it is called first of all.
fn called(row: &Doing) -> String {
    name(if row.label.is_empty() { &row.subject } else { &row.label })
}

/// What tells it from others of that name.
fn details(row: &Doing) -> Markup {
    let subject = (!row.label.is_empty()).then(|| name(&row.subject));
    let source = (!row.source.is_empty()).then(|| name(&row.source));
    html! { small { (subject.into_iter().chain(source).collect::<Vec<_>>().join(" · ")) } }
}

/// What is odd about a node: figures of it may be somebody else's, or of another time than it says.
fn remarks(row: &Doing, now: &Now) -> Markup {
    let skew = row.skew().filter(|skew| skew.unsigned_abs() >= SKEW);
    let doubled = row.node.as_ref().and_then(|record| record.doubled).filter(|at| now.at.since(*at) < DOUBLED);
    html! {
        @if let Some(skew) = skew {
            span.part { (clock(skew)) }
        }
        @if doubled.is_some() {
            " " span.part { (say("two machines use this name", "两台机器使用同一名称")) }
        }
    }
}

fn clock(skew: i64) -> Both {
    use crate::quota::duration::{Language, words};
    let by = std::time::Duration::from_secs(skew.unsigned_abs());
    let (en, zh) = if skew > 0 { ("ahead", "快") } else { ("behind", "慢") };
    say(format!("clock {} {en}", words(by, Language::En)), format!("时钟{zh} {}", words(by, Language::Zh)))
}

fn unknown() -> Markup {
    html! { span aria-hidden="true" { "–" } span.unseen { (say("not known", "未知")) } }
}

fn rate_cell(class: &str, pulse: Option<Pulse>, of: impl Fn(&Pulse) -> Option<u64>) -> Markup {
    let known = pulse.and_then(|pulse| Some((of(&pulse)?, pulse.over)));
    html! {
        @match known {
            Some((bytes, over)) => { td.number.(class) data-v=(bytes) title=(mean(bytes, over)) { (rate(bytes)) } }
            None => { td.number.(class) data-v="-1" { (unknown()) } }
        }
    }
}

/// Every byte of a rate, and over which time it is the mean.
fn mean(bytes: u64, over: Option<u32>) -> String {
    let over = over.map(|seconds| format!(" · {seconds} s")).unwrap_or_default();
    format!("{}/s{over}", exact(bytes))
}

fn load_cell(load: Option<Load>) -> Markup {
    html! {
        @match load {
            Some(load) => { td.number.load data-v=(load.0) { (format!("{}.{} %", load.0 / 100, load.0 / 10 % 10)) } }
            None => { td.number.load data-v="-1" { (unknown()) } }
        }
    }
}

/// How bad it is.
fn level(row: &Doing) -> &'static str {
    match row.rank() {
        0 => "over",
        1 => "warn",
        _ => "well",
    }
}

/// How it is: what alarms are about it, else whether it is there.
fn badge(row: &Doing, class: &str) -> Markup {
    let more = row.alarms.len().saturating_sub(NAMES);
    let (words, why) = match &row.health {
        _ if !row.alarms.is_empty() => {
            let names: Vec<String> = row.alarms.iter().take(NAMES).map(|alarm| name(alarm)).collect();
            let names = names.join(", ");
            let names = if more > 0 { format!("{names} +{more}") } else { names };
            (say(names.clone(), names), None)
        }
        Health::Read => (say("Read", "已读取"), None),
        Health::Online => (say("Online", "在线"), None),
        Health::Silent => (say("Silent", "无响应"), None),
        Health::Unread(why) => (say("Not read", "读取失败"), Some(sentence(why))),
    };
    html! { span.badge.(class) title=[why] { (words) } }
}

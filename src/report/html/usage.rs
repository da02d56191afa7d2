//! What was used: the totals, and the course of it over time.

use maud::{Markup, PreEscaped, html};

use crate::quota::duration::Language;
use crate::quota::meter::{Count, Counters};
use crate::report::chart::{self, Look};
use crate::report::model::{Direction, Report, Used};

use super::figures::{Span, amount, exact, marks};
use super::words::{Both, say};

/// One of the figures a report shows of a flow.
pub struct Column {
    /// Which bytes.
    pub count: Count,
    /// What it is called.
    pub words: Both,
    /// The name of its colour.
    pub class: &'static str,
}

/// What is shown of a direction, the most important last.
pub fn columns(direction: Direction) -> Vec<Column> {
    let out = Column { count: Count::Out, words: say("Out", "出站"), class: "out" };
    let into = Column { count: Count::In, words: say("In", "入站"), class: "in" };
    let sum = Column { count: Count::Sum, words: say("Sum", "合计"), class: "sum" };
    match direction {
        Direction::Out => vec![out],
        Direction::In => vec![into],
        Direction::Both => vec![out, into, sum],
    }
}

/// The sums of the whole range.
pub fn totals(report: &Report) -> Markup {
    html! {
        section.totals aria-labelledby="totals" {
            h2 #totals.unseen { (say("Totals", "总量")) }
            @if report.rows.is_empty() {
                p.nothing { (say("Nothing was metered in this time.", "这段时间没有计量数据。")) }
            } @else {
                dl {
                    @for column in columns(report.direction) {
                        div.tile.(column.class) {
                            dt { (column.words) }
                            dd {
                                (tile(column.count.of(report.whole.flow), report.whole))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tile(bytes: u64, used: Used) -> Markup {
    let text = amount(bytes);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    html! {
        span.big { (marks(used)) (number) " " span.unit { (unit) } }
        @if bytes >= 1000 { span.exact { (exact(bytes)) } }
    }
}

/// The chart, and the same as a table.
pub fn section(report: &Report) -> Markup {
    html! {
        @if !report.rows.is_empty() {
            section.card.usage aria-labelledby="usage" {
                h2 #usage { (say("Usage over time", "用量走势")) }
                (plot(report, "usage"))
                details {
                    summary { (say("The figures as a table", "以表格显示")) }
                    (table(report))
                }
            }
        }
    }
}

/// The chart of the last hours, of which the live page has one beside that of its period.
pub fn recent(report: &Report) -> Markup {
    html! {
        @if report.cells.iter().any(Option::is_some) {
            section.card.usage aria-labelledby="recent" {
                h2 #recent {
                    (say("The last hours", "最近几小时")) " "
                    span.count { (Span::of(report.from, report.to, &report.zone).words()) }
                }
                (plot(report, "recent"))
            }
        }
    }
}

/// The chart below a heading, and a place for the values under the pointer, which the script shows.
fn plot(report: &Report, heading: &str) -> Markup {
    let keys = format!("{heading}-keys");
    html! {
        div.plot role="group" tabindex="0" aria-labelledby=(heading) aria-describedby=(keys) {
            @for (language, code) in [(Language::En, "en"), (Language::Zh, "zh-CN")] {
                div lang=(code) { (PreEscaped(chart::svg(&in_language(report, language), Look::page()))) }
            }
            p.unseen id=(keys) { (say("The arrow keys go through the values.", "用方向键查看各时段的数值。")) }
            div.tip aria-live="polite" hidden {}
        }
    }
}

/// What a chart needs of a report. A chart is in one language, and the page has both.
fn in_language(report: &Report, language: Language) -> Report {
    Report {
        language,
        host: report.host.clone(),
        zone: report.zone.clone(),
        buckets: report.buckets.clone(),
        cells: report.cells.clone(),
        rows: Vec::new(),
        quotas: Vec::new(),
        events: Vec::new(),
        hosts: Vec::new(),
        chosen: Vec::new(),
        ..*report
    }
}

/// A row of figures for each bucket.
fn table(report: &Report) -> Markup {
    let columns = columns(report.direction);
    html! {
        div.region role="region" aria-labelledby="buckets-caption" tabindex="0" {
            table #buckets.figures {
                caption #buckets-caption.unseen { (say("Usage over time", "用量走势")) }
                thead { tr {
                    th scope="col" { (say("Time", "时间")) }
                    @for column in &columns { th.number scope="col" { (column.words) } }
                } }
                tbody {
                    @for (bucket, cell) in report.buckets.iter().zip(&report.cells) {
                        tr {
                            th scope="row" { (Span::of(bucket.from, bucket.to, &report.zone).words()) }
                            @for column in &columns { td.number.(column.class) { (figure(*cell, column.count)) } }
                        }
                    }
                }
            }
        }
    }
}

/// An amount, and every byte of it.
fn figure(cell: Option<Used>, count: Count) -> Markup {
    let unknown = say("not known", "未知");
    html! {
        @match cell {
            None => { span aria-hidden="true" { "–" } span.unseen { (unknown) } }
            Some(used) => {
                b { (marks(used)) (amount(count.of(used.flow))) }
                @if count.of(used.flow) >= 1000 { small.exact { (exact(count.of(used.flow))) } }
            }
        }
    }
}

/// The course of a row's usage in a few dozen steps, as the path of an SVG element that is [`SPARK`] high.
pub fn spark(cells: &[Option<Used>], direction: Direction) -> Option<(usize, String)> {
    let step = cells.len().div_ceil(SPARK_STEPS).max(1);
    let used = |cells: &[Option<Used>]| {
        cells.iter().flatten().map(|used| used.flow).reduce(|a: Counters, b| a.zip(b, u64::saturating_add))
    };
    let heights: Vec<u64> = cells.chunks(step).map(|some| used(some).map_or(0, |flow| direction.of(flow))).collect();
    let most = heights.iter().copied().max().filter(|most| *most > 0)?;
    let mut path = format!("M0 {SPARK}");
    for height in &heights {
        let scaled = u128::from(*height) * u128::from(SPARK) / u128::from(most);
        path.push_str(&format!("V{}h1", u128::from(SPARK) - scaled));
    }
    path.push_str(&format!("V{SPARK}z"));
    Some((heights.len(), path))
}

/// The height of a small chart, in its own units.
pub const SPARK: u32 = 24;
/// The most steps it has.
const SPARK_STEPS: usize = 62;

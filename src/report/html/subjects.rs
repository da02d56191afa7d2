//! Who used it: those that used most, and a table of all that can be sorted and searched.

use maud::{Markup, html};

use crate::report::model::{Direction, Report, Row};

use super::figures::{amount, exact, length, marks, name, share};
use super::usage::{Column, SPARK, columns, spark};
use super::words::{Both, say};

/// So many are the top.
const TOP: usize = 10;
/// A table with more rows scrolls in a region of its own.
const LONG: usize = 20;

/// Those that used most; nothing of a single one.
pub fn top(report: &Report) -> Markup {
    let wholes: Vec<&Row> = report.rows.iter().filter(|row| !row.part).collect();
    let used = |row: &Row| report.direction.of(row.used.flow);
    let most = wholes.first().map_or(0, |row| used(row));
    let whole = report.direction.of(report.whole.flow);
    html! {
        @if wholes.len() > 1 && most > 0 {
            section.card.most aria-labelledby="most" {
                h2 #most { (say("Used most", "用量最多")) }
                ol {
                    @for row in wholes.iter().take(TOP).filter(|row| used(row) > 0) {
                        li {
                            span.name { (called(row)) }
                            span.amount { (marks(row.used)) (amount(used(row))) }
                            span.share { (share(used(row), whole).unwrap_or_default()) }
                            svg.bar aria-hidden="true" width="100%" height="8" {
                                rect.track width="100%" height="8" rx="4" {}
                                rect.used width=(length(used(row), most)) height="8" rx="4" {}
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What it is called first of all.
fn called(row: &Row) -> String {
    name(if row.label.is_empty() { &row.subject } else { &row.label })
}

/// All of them.
pub fn section(report: &Report) -> Markup {
    let count = report.rows.len();
    html! {
        @if count > 0 {
            section.card.subjects aria-labelledby="subjects" {
                div.head {
                    h2 #subjects { (say("All subjects", "全部对象")) " " span.count { (count) } }
                    (filter(count))
                }
                div.region.long[count > LONG] role="region" aria-labelledby="subjects" tabindex="0" {
                    (table(report))
                }
                p.none hidden { (say("None has this in its name.", "没有名称符合的对象。")) }
            }
        }
    }
}

/// Shown by the script, which it needs.
fn filter(count: usize) -> Markup {
    html! {
        div.filter hidden {
            label for="filter" { (say("Filter", "筛选")) }
            input #filter type="search" autocomplete="off" spellcheck="false" aria-controls="rows";
            output for="filter" { span.shown { (count) } " / " (count) }
        }
    }
}

fn table(report: &Report) -> Markup {
    let columns = columns(report.direction);
    let last = columns.len() - 1;
    let whole = report.direction.of(report.whole.flow);
    html! {
        table.figures.wide[columns.len() > 1] {
            caption.unseen { (say("What each subject used", "各对象的用量")) }
            colgroup { col.c-name; col.c-spark; @for _ in &columns { col.c-number; } col.c-share; }
            thead { tr {
                (head(say("Subject", "对象"), "text", None))
                th.spark scope="col" { (say("Course", "走势")) }
                @for (index, column) in columns.iter().enumerate() {
                    (head(column.words.clone(), "number", (index == last).then_some("descending")))
                }
                (head(say("Share", "占比"), "number share", None))
            } }
            tbody #rows {
                @for row in &report.rows { (line(row, report.direction, &columns, whole)) }
            }
        }
    }
}

/// The script makes a button of it.
fn head(words: Both, class: &str, sorted: Option<&str>) -> Markup {
    html! { th class=(class) scope="col" data-sort aria-sort=[sorted] { (words) } }
}

fn line(row: &Row, direction: Direction, columns: &[Column], whole: u64) -> Markup {
    let used = direction.of(row.used.flow);
    html! {
        tr {
            th scope="row" { b { (called(row)) } (details(row)) }
            td.spark {
                @if let Some((width, path)) = spark(&row.cells, direction) {
                    svg aria-hidden="true" preserveAspectRatio="none" viewBox=(format!("0 0 {width} {SPARK}")) {
                        path d=(path) {}
                    }
                }
            }
            @for column in columns {
                @let bytes = column.count.of(row.used.flow);
                td.number.(column.class) data-v=(bytes) title=(exact(bytes)) { (marks(row.used)) (amount(bytes)) }
            }
            td.number.share data-v=(used) { (share(used, whole).unwrap_or_else(|| "–".to_owned())) }
        }
    }
}

/// What tells it from others of that name.
fn details(row: &Row) -> Markup {
    let subject = (!row.label.is_empty()).then(|| name(&row.subject));
    let parts: Vec<String> =
        [subject, Some(name(&row.source)), row.host.as_deref().map(name)].into_iter().flatten().collect();
    html! {
        small {
            (parts.join(" · "))
            @if row.part { " " span.part { (say("part of another", "已含在别处")) } }
        }
    }
}

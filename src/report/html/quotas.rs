//! How the quotas stand: a bar with its tiers as marks, and in words when it ends and what is to be expected.

use maud::{Markup, html};

use crate::quota::bytes::Round;
use crate::quota::duration::Language;
use crate::quota::duration::words;
use crate::quota::meter::Count;
use crate::report::model::{Bar, Report};

use super::figures::{Span, length, name, offset_time, share};
use super::words::{Both, say};

/// So many are shown at once; the others on demand.
const FEW: usize = 12;

/// The quotas, the fullest first.
pub fn section(report: &Report) -> Markup {
    let mut bars: Vec<&Bar> = report.quotas.iter().collect();
    bars.sort_by(|a, b| fullness(b).total_cmp(&fullness(a)));
    let (first, more) = bars.split_at(bars.len().min(FEW));
    html! {
        @if !bars.is_empty() {
            section.quotas aria-labelledby="quotas" {
                h2 #quotas { (say("Quotas", "配额")) }
                ul.cards { @for bar in first { li { (card(bar, report)) } } }
                @if !more.is_empty() {
                    details {
                        summary { (say(format!("{} more", more.len()), format!("另外 {} 项", more.len()))) }
                        ul.cards { @for bar in more { li { (card(bar, report)) } } }
                    }
                }
            }
        }
    }
}

fn fullness(bar: &Bar) -> f64 {
    bar.used as f64 / bar.allowance.max(1) as f64
}

/// How bad it is; in words it is what the tier says.
fn level(bar: &Bar) -> &'static str {
    match bar {
        _ if bar.used >= bar.allowance => "over",
        Bar { tier: Some(_), .. } => "warn",
        _ => "well",
    }
}

fn card(bar: &Bar, report: &Report) -> Markup {
    html! {
        article.card.quota.(level(bar)) {
            header {
                h3 { (name(bar.label.as_deref().unwrap_or(&bar.quota))) }
                (badge(bar))
            }
            p.about { (about(bar)) " " span.sep { "·" } " " (counted(bar.count)) }
            p.percent {
                @if bar.estimated { span.mark aria-hidden="true" { "≈" } span.unseen { (say("about ", "约 ")) } }
                (bar.percent) span.unit { " %" }
            }
            (drawn(bar))
            (tiers(bar))
            dl.facts {
                (fact(say("Used", "已用"), html! { (used(bar)) }))
                (fact(say("Left", "剩余"), html! { (left(bar)) }))
                (fact(say("Period", "周期"), html! { (period(bar, report)) }))
                @if let Some(text) = forecast(bar) { (fact(say("At this pace", "按此速度"), html! { (text) })) }
                @if bar.stale { (fact(say("As of", "读数时间"), html! { (as_of(bar, report)) })) }
            }
        }
    }
}

fn fact(term: Both, text: Markup) -> Markup {
    html! { div { dt { (term) } dd { (text) } } }
}

fn badge(bar: &Bar) -> Markup {
    let words = match (level(bar), &bar.tier) {
        ("over", _) => say("Used up", "已用尽"),
        (_, Some(tier)) => say(format!("Tier {}", name(tier)), format!("阈值 {}", name(tier))),
        _ => say("Within", "正常"),
    };
    html! { span.badge { (words) } }
}

fn about(bar: &Bar) -> String {
    let subject = match &bar.name {
        Some(guest) => format!("{} ({})", name(&bar.subject), name(guest)),
        None => name(&bar.subject),
    };
    let quota = bar.label.as_ref().map(|_| name(&bar.quota));
    [quota, Some(name(&bar.source)), Some(subject)].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn counted(count: Count) -> Both {
    match count {
        Count::Out => say("out", "出站"),
        Count::In => say("in", "入站"),
        Count::Sum => say("out and in", "出站加入站"),
        Count::Max => say("the larger of out and in", "出入站取大"),
        Count::Min => say("the smaller of out and in", "出入站取小"),
    }
}

/// The bar; all it shows is said in words beside it.
fn drawn(bar: &Bar) -> Markup {
    let whole = bar.allowance.max(bar.used).max(1);
    let at_end = bar.at_end.unwrap_or(0);
    html! {
        svg.bar aria-hidden="true" width="100%" height="22" {
            rect.track x="0" y="5" width="100%" height="12" rx="6" {}
            @if at_end > bar.used { rect.coming x="0" y="5" width=(length(at_end, whole)) height="12" rx="6" {} }
            @if bar.used > 0 { rect.used x="0" y="5" width=(length(bar.used, whole)) height="12" rx="6" {} }
            @for (_, at) in &bar.tiers {
                @let x = length(*at, whole);
                line.tick x1=(x) x2=(x) y1="1" y2="21" {}
            }
            @if bar.used > bar.allowance {
                @let x = length(bar.allowance, whole);
                line.limit x1=(x) x2=(x) y1="0" y2="22" {}
            }
        }
    }
}

fn tiers(bar: &Bar) -> Markup {
    html! {
        @if !bar.tiers.is_empty() {
            ul.tiers {
                @for (tier, at) in &bar.tiers {
                    @let reached = bar.used >= *at;
                    li.reached[reached] {
                        span.sign aria-hidden="true" {}
                        " " (name(tier)) " "
                        span.at { (bar.unit.show(*at, Round::Up)) @if let Some(text) = share(*at, bar.allowance) { ", " (text) } }
                        @if reached { span.unseen { (say(" reached", " 已达到")) } }
                    }
                }
            }
        }
    }
}

fn used(bar: &Bar) -> Both {
    let [used, allowance] = [bar.used, bar.allowance].map(|bytes| bar.unit.show(bytes, Round::Down));
    say(format!("{used} of {allowance}"), format!("{used} / {allowance}"))
}

fn left(bar: &Bar) -> String {
    bar.unit.show(bar.allowance.saturating_sub(bar.used), Round::Up)
}

fn period(bar: &Bar, report: &Report) -> Both {
    let Some(end) = bar.period.end else {
        return say("without end", "没有终点");
    };
    let Both { en, zh } = Span::of(bar.period.start, end, &bar.zone).words();
    let at = offset_time(end, &bar.zone);
    let left = end.since(report.made);
    if left.is_zero() {
        return say(format!("{en}, ended {at}"), format!("{zh}，已于 {at} 结束"));
    }
    say(
        format!("{en}, ends {at}, in {}", words(left, Language::En)),
        format!("{zh}，{at} 结束，还有 {}", words(left, Language::Zh)),
    )
}

fn forecast(bar: &Bar) -> Option<Both> {
    if let Some(gone) = bar.exhausted_at.filter(|_| bar.used < bar.allowance) {
        let left = gone.since(bar.as_of);
        let at = offset_time(gone, &bar.zone);
        return Some(say(
            format!("used up about {at}, in {}", words(left, Language::En)),
            format!("约 {at} 用尽，还有 {}", words(left, Language::Zh)),
        ));
    }
    let at_end = bar.at_end?;
    let amount = bar.unit.show(at_end, Round::Down);
    let share = share(at_end, bar.allowance).unwrap_or_default();
    Some(say(format!("{amount} by the end ({share})"), format!("期末约 {amount}（{share}）")))
}

fn as_of(bar: &Bar, report: &Report) -> Both {
    let at = offset_time(bar.as_of, &bar.zone);
    let age = report.made.since(bar.as_of);
    say(
        format!("{at}: an old figure, {} before this report", words(age, Language::En)),
        format!("{at}：读数较旧，早于本报告 {}", words(age, Language::Zh)),
    )
}

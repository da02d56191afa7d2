//! Sends a report to the notifiers: its figures in words, with the chart as a picture where the channel shows pictures.
//!
//! It is sent at once, by hand; what is not accepted is said, and kept nowhere.

use super::Desk;
use super::chart::Skin;
use super::model::{Direction, Report};
use crate::config::{Channel, PublicAddress};
use crate::error::{Exit, Result};
use crate::log::Log;
use crate::notify::Delivery;
use crate::quota::bytes::{Round, Unit, UnitBase};
use crate::quota::duration::Language;
use crate::quota::message::{self, NAME, more};
use crate::quota::state::State;
use crate::quota::text::{Item, Message, clean, pack};

/// Subjects and quotas named at the most.
const TOP: usize = 5;

/// Sends it to every notifier; which ones took it is printed.
pub fn send(desk: &Desk<'_>, state: &State, report: &Report, log: &mut Log) -> Result<Exit> {
    let picture = super::picture(report, Skin::Light);
    if let Err(why) = &picture {
        log.error(&format!("the chart is left out: {why}"));
    }
    let picture = picture.ok();
    let mut whole = picture.is_some();
    let address = match &desk.config.public_address {
        Some(PublicAddress::Literal(text)) => Some(text.as_str()),
        _ => None,
    };
    let head = message::head(&desk.config.host_name, address);
    let item = item(report);
    let mut accepted = 0;
    for channel in &desk.config.notifiers {
        match post(desk, state, channel, &head, &item, report.language, picture.as_deref()) {
            Ok(without) => {
                accepted += 1;
                crate::print(desk.host, &format!("notifier {:?}: accepted\n", channel.name))?;
                if let Some(why) = without {
                    whole = false;
                    log.error(&format!("notifier {:?}: without the chart: {why}", channel.name));
                }
            }
            Err(problem) => log.error(&format!("notifier {:?}: {problem}", channel.name)),
        }
    }
    Ok(match accepted {
        0 => Exit::Failed,
        all if all == desk.config.notifiers.len() && whole => Exit::Done,
        _ => Exit::Problems,
    })
}

/// To one channel: with the picture if it takes one, else in words alone. Why the picture was not taken, if so.
fn post(
    desk: &Desk<'_>,
    state: &State,
    channel: &Channel,
    head: &str,
    item: &Item,
    language: Language,
    picture: Option<&[u8]>,
) -> std::result::Result<Option<String>, String> {
    let notifier = &channel.notifier;
    let moved = state.outbox.get(&channel.name).and_then(|outbox| outbox.moved.as_ref());
    let moved = moved.filter(|moved| Some(&moved.from) == notifier.address().as_ref()).map(|moved| moved.to.as_str());
    let timeout = desk.config.deadline / 2;
    let message = |limit: usize| -> Message {
        let packed = pack(head, std::slice::from_ref(item), &|count| more(language, count), limit, 1);
        packed.into_iter().next().unwrap_or(Message { lines: Vec::new(), items: Vec::new() })
    };
    let in_words = || notifier.send(desk.host, &message(notifier.limit()), moved, timeout);
    let Some((png, limit)) = picture.zip(notifier.picture_limit()) else {
        return match in_words() {
            Delivery::Accepted { .. } => Ok(None),
            Delivery::Kept { problem, .. } => Err(problem),
        };
    };
    match notifier.send_picture(desk.host, &message(limit), png, moved, timeout / 2) {
        Delivery::Accepted { .. } => Ok(None),
        // A chat may take no pictures; one that asks for patience takes no words either.
        Delivery::Kept { problem, retry_after: None } => match in_words() {
            Delivery::Accepted { .. } => Ok(Some(problem)),
            Delivery::Kept { problem, .. } => Err(problem),
        },
        Delivery::Kept { problem, .. } => Err(problem),
    }
}

/// The figures in words.
fn item(report: &Report) -> Item {
    let say = |en: &str, zh: &str| match report.language {
        Language::En => en.to_owned(),
        Language::Zh => zh.to_owned(),
    };
    let local = |at| message::local(&report.zone, at);
    // As the quotas are written, so that one message says the same bytes in one way.
    let family = report.quotas.first().map_or(Unit::giga(UnitBase::Thousand), |bar| bar.unit);
    let show = |bytes: u64| family.fitting(bytes).show(bytes, Round::Down);
    let mut body = vec![format!("{} – {}", local(report.from), local(report.to.min(report.made)))];
    let (flow, both) = (report.whole.flow, report.direction == Direction::Both);
    if both || report.direction == Direction::Out {
        body.push(format!("{}{}", say("Out: ", "出站："), show(flow.tx)));
    }
    if both || report.direction == Direction::In {
        body.push(format!("{}{}", say("In: ", "入站："), show(flow.rx)));
    }
    let wholes: Vec<_> = report.rows.iter().filter(|row| !row.part).collect();
    if wholes.len() > 1 {
        body.push(say("Most:", "用量最多："));
        body.extend(wholes.iter().take(TOP).map(|row| {
            let name = if row.label.is_empty() { clean(&row.subject, NAME) } else { named(&row.subject, &row.label) };
            format!("{name}: {}", show(report.direction.of(row.used.flow)))
        }));
        body.extend((wholes.len() > TOP).then(|| more(report.language, wholes.len() - TOP)));
    }
    let mut bars: Vec<_> = report.quotas.iter().collect();
    bars.sort_by_key(|bar| std::cmp::Reverse((u128::from(bar.used) * 1_000_000) / u128::from(bar.allowance.max(1))));
    body.extend(bars.into_iter().take(TOP).map(|bar| {
        let (quota, subject) = (clean(&bar.quota, NAME), clean(&bar.subject, NAME));
        let (used, allowance) = (bar.unit.show(bar.used, Round::Down), bar.unit.exact(bar.allowance));
        format!("{quota} {subject}: {used} / {allowance} ({} %)", bar.percent)
    }));
    let title = say("📊 Traffic report", "📊 流量报告");
    Item { key: "report".into(), at: report.made, title, body, many: None, about: None }
}

fn named(subject: &str, label: &str) -> String {
    format!("{} ({})", clean(subject, NAME), clean(label, NAME))
}

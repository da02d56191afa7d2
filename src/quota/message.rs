//! The wording of every message, in English and Chinese: what, how much, until when, what happens now.
//!
//! A message is about one thing; its key says which, so that a newer one takes the place of an older one that
//! still waits. Figures are printed in the unit the quota was written in, used ones rounded down and remaining
//! ones up, so that nothing looks reached that is not.

pub mod alarm;
mod days;
mod held;
mod notice;

use super::bytes::{Percent, Round, show_rate};
use super::duration::{Language, words};
use super::guest::Guest;
use super::instant::Instant;
use super::meter::{Closed, Count};
use super::policy::{ActionRule, Context, Effect, Hold, Kept, TRIES, Threshold, Tier, View};
use super::state::Status;
use super::text::{About, Item, Many, clean};
use super::zone::Zone;

pub use days::{Day, Days, days};
pub use held::{HeldName, LetGo};
pub use notice::{Notice, UNCOUNTED};

/// Characters of a foreign name that are shown.
pub const NAME: usize = 64;

/// Picks the wording of a language.
fn say(language: Language, en: impl Into<String>, zh: impl Into<String>) -> String {
    match language {
        Language::En => en.into(),
        Language::Zh => zh.into(),
    }
}

/// A local time people read: `2026-12-01 00:00 +08:00`.
pub fn local(zone: &Zone, at: Instant) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day] [hour]:[minute] [offset_hour sign:mandatory]:[offset_minute]"
    );
    zone.local(at).format(format).unwrap_or_else(|_| at.to_string())
}

/// A guest as messages show it: `qemu/100 (web) on pve1`.
pub fn guest_name(subject: &str, guest: &Guest) -> String {
    let (subject, node) = (clean(subject, NAME), clean(&guest.node, NAME));
    match guest.name.is_empty() {
        true => format!("{subject} on {node}"),
        false => format!("{subject} ({}) on {node}", clean(&guest.name, NAME)),
    }
}

/// The subject as messages and tables show it.
pub fn name(view: &View<'_>) -> String {
    let subject = match view.guest {
        Some(guest) => guest_name(view.subject, guest),
        None => clean(view.subject, NAME),
    };
    match &view.quota.label {
        Some(label) => format!("{} ({subject})", clean(label, NAME)),
        None => subject,
    }
}

/// The subject with the quota's name, where nothing else in the message says which quota it is about.
fn name_and_quota(view: &View<'_>) -> String {
    format!("{} [{}]", name(view), clean(&view.quota.name, NAME))
}

/// A tier's name as messages and tables show it.
pub fn tier_name(tier: &Tier) -> String {
    clean(&tier.name, NAME)
}

/// The direction, in words.
fn direction(count: Count, language: Language) -> &'static str {
    match (count, language) {
        (Count::Out, Language::En) => "outbound",
        (Count::In, Language::En) => "inbound",
        (Count::Sum, Language::En) => "in and out together",
        (Count::Max, Language::En) => "the larger of in and out",
        (Count::Min, Language::En) => "the smaller of in and out",
        (Count::Out, Language::Zh) => "出站",
        (Count::In, Language::Zh) => "入站",
        (Count::Sum, Language::Zh) => "出入站合计",
        (Count::Max, Language::Zh) => "出入站取大",
        (Count::Min, Language::Zh) => "出入站取小",
    }
}

fn item(context: &Context<'_>, kind: &str, view: &View<'_>, title: String, body: Vec<String>) -> Item {
    let (source, subject, quota) = (view.quota.source.clone(), view.subject.to_owned(), view.quota.name.clone());
    let key = format!("{kind}/{quota}/{subject}");
    let about = Some(Box::new(About { source, subject, quota }));
    Item { key, at: context.now, title, body, many: None, about }
}

/// As [`item`], but of this period only: the same thing in another period is another thing.
fn item_of_period(context: &Context<'_>, kind: &str, view: &View<'_>, title: String, body: Vec<String>) -> Item {
    let mut item = item(context, kind, view, title, body);
    item.key = format!("{}/{}", item.key, view.ledger.period.start);
    item
}

/// A tier was reached, or is still the highest and told again.
pub fn alert(context: &Context<'_>, view: &View<'_>, tier: &Tier, standing: &[String]) -> Item {
    let language = context.language;
    let (kind, title) = match tier.threshold {
        Threshold::Used(_) | Threshold::Remaining(_) => ("alert", reached_title(language, view)),
        Threshold::ExhaustedWithin(within) => {
            let (en, zh) = (words(within, Language::En), words(within, Language::Zh));
            let name = name(view);
            let title = say(
                language,
                format!("⏳ {name}: used up within {en} at this pace"),
                format!("⏳ {name}：按当前速度将在 {zh} 内用尽"),
            );
            ("pace", title)
        }
    };
    let mut body = figures(context, view);
    let tier_name = tier_name(tier);
    let quota = clean(&view.quota.name, NAME);
    body.push(say(language, format!("Tier {tier_name} of quota {quota}"), format!("配额 {quota} 的阈值 {tier_name}")));
    body.extend_from_slice(standing);
    if standing.is_empty() && kind == "alert" {
        body.push(say(language, "Now: nothing is switched off.", "现在：只发送通知，不执行任何操作。"));
    }
    let item = item_of_period(context, kind, view, title, body);
    if kind != "alert" {
        return item;
    }
    let title = match language {
        Language::En => ("⚠️ ".into(), format!(" guests have reached tier {tier_name} of quota {quota}")),
        Language::Zh => ("⚠️ ".into(), format!(" 台客户机已达到配额 {quota} 的阈值 {tier_name}")),
    };
    let standing = standing.iter().map(|line| format!(" {line}")).collect::<String>();
    of_guest(item, view, title, view.used, &standing)
}

/// The item as one of many: guests that have the same to tell are told together.
fn of_guest(item: Item, view: &View<'_>, title: (String, String), used: u64, more: &str) -> Item {
    if view.guest.is_none() {
        return item;
    }
    let unit = view.quota.unit;
    let percent = Percent::ratio(used, view.allowance).unwrap_or_default();
    let (shown, allowance) = (unit.show(used, Round::Down), unit.exact(view.allowance));
    let line = format!("{}: {shown} / {allowance} ({percent} %){more}", name(view));
    Item { many: Some(Box::new(Many { title, line, rank: used })), ..item }
}

fn reached_title(language: Language, view: &View<'_>) -> String {
    let (name, percent) = (name(view), view.percent());
    let sign = if view.remaining() == 0 { "🛑" } else { "⚠️" };
    let allowance = view.quota.unit.exact(view.allowance);
    say(
        language,
        format!("{sign} {name}: {percent} % of {allowance} used"),
        format!("{sign} {name}：已用 {allowance} 的 {percent} %"),
    )
}

/// Used, left, until when, and the forecast.
fn figures(context: &Context<'_>, view: &View<'_>) -> Vec<String> {
    let language = context.language;
    let unit = view.quota.unit;
    let used = unit.show(view.used, Round::Down);
    let allowance = unit.exact(view.allowance);
    let (percent, direction) = (view.percent(), direction(view.quota.count, language));
    let doubt = doubt(language, view.ledger.estimated(), view.ledger.implausible());
    let mut body = vec![say(
        language,
        format!("Used: {used} of {allowance} ({percent} %), {direction}{doubt}"),
        format!("已用：{used} / {allowance}（{percent} %），{direction}{doubt}"),
    )];
    body.push(left(context, view));
    if view.fresh {
        body.extend(forecast(context, view));
    } else if view.quota.pool && view.as_of == context.now {
        body.push(say(language, "Not all that is in it has a figure now.", "部分对象目前没有读数。"));
    } else {
        let at = local(&view.quota.rule.zone, view.as_of);
        body.push(say(language, format!("The last figure is of {at}."), format!("最后一次读数：{at}。")));
    }
    body
}

fn doubt(language: Language, estimated: bool, implausible: bool) -> String {
    match (estimated, implausible) {
        (_, true) => say(language, ", partly implausible", "，部分读数可疑"),
        (true, false) => say(language, ", partly estimated", "，部分为估算"),
        (false, false) => String::new(),
    }
}

fn left(context: &Context<'_>, view: &View<'_>) -> String {
    let language = context.language;
    let remaining = view.quota.unit.show(view.remaining(), Round::Up);
    match view.ledger.period.end {
        None => say(language, format!("Left: {remaining}"), format!("剩余：{remaining}")),
        Some(end) if end <= context.now => {
            let at = local(&view.quota.rule.zone, end);
            say(
                language,
                format!("Left: {remaining} of the period that ended at {at}"),
                format!("剩余：{remaining}，周期已于 {at} 结束"),
            )
        }
        Some(end) => {
            let (at, time) = (local(&view.quota.rule.zone, end), words(end.since(context.now), language));
            say(
                language,
                format!("Left: {remaining}, until {at} (in {time})"),
                format!("剩余：{remaining}，周期至 {at}（还有 {time}）"),
            )
        }
    }
}

fn forecast(context: &Context<'_>, view: &View<'_>) -> Option<String> {
    let language = context.language;
    let forecast = view.forecast()?;
    let at_end = forecast.at_end.map(|bytes| view.quota.unit.show(bytes, Round::Down));
    let gone = forecast.exhausted_at.filter(|_| view.remaining() > 0).map(|at| local(&view.quota.rule.zone, at));
    let parts: Vec<String> = [
        at_end.map(|at_end| say(language, format!("{at_end} by then"), format!("届时约 {at_end}"))),
        gone.map(|at| say(language, format!("used up about {at}"), format!("约 {at} 用尽"))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let list = parts.join(&say(language, ", ", "，"));
    (!parts.is_empty()).then(|| say(language, format!("At this pace: {list}"), format!("按此速度：{list}")))
}

/// What an action does, in words.
fn doing(action: &ActionRule, language: Language) -> String {
    let name = clean(&action.name, NAME);
    match action.effect {
        Effect::Restart => say(language, format!("this machine is shut down ({name})"), format!("关闭本机（{name}）")),
        Effect::Exit => say(language, format!("command {name} is run"), format!("运行命令 {name}")),
        Effect::ServerOff => {
            say(language, format!("the server is stopped ({name})"), format!("停止云服务器（{name}）"))
        }
        Effect::GuestOff => {
            say(language, format!("the guest is shut down ({name})"), format!("关闭该客户机（{name}）"))
        }
        Effect::Kept(kept) => keeping(kept, &name, language),
    }
}

/// What a hold does, in words.
fn keeping(kept: Kept, name: &str, language: Language) -> String {
    match kept {
        Kept::Off(_) => say(
            language,
            format!("the guest is shut down and kept off ({name})"),
            format!("关闭该客户机并保持关机（{name}）"),
        ),
        Kept::Disconnected => {
            say(language, format!("the guest is disconnected ({name})"), format!("断开该客户机的网络（{name}）"))
        }
        Kept::Limited(rate) => {
            let rate = show_rate(rate);
            say(
                language,
                format!("the guest is limited to {rate} ({name})"),
                format!("将该客户机限速为 {rate}（{name}）"),
            )
        }
    }
}

/// What an action that was just decided will do, and when.
pub fn announced(context: &Context<'_>, view: &View<'_>, action: &ActionRule, due: Instant, armed: bool) -> String {
    let language = context.language;
    let doing = doing(action, language);
    let at = local(&view.quota.rule.zone, due);
    if due <= context.now {
        return say(language, format!("Now: {doing}."), format!("现在：{doing}。"));
    }
    if armed {
        return say(language, format!("At {at}: {doing}."), format!("{at} 起：{doing}。"));
    }
    say(
        language,
        format!(
            "At {at}: {doing}. It was reached when first seen, so this is the warning before: raise the threshold or calibrate to call it off."
        ),
        format!("{at} 起：{doing}。首次检查时已达到此阈值，因此先行预告；如不需要，请调高阈值或校准用量。"),
    )
}

/// An action that was announced in an earlier run and is done now.
pub fn acting(context: &Context<'_>, view: &View<'_>, action: &ActionRule) -> Item {
    let (language, name) = (context.language, name(view));
    let doing = doing(action, language);
    let title = say(language, format!("🔌 {name}: now {doing}"), format!("🔌 {name}：现在{doing}"));
    let item = item_of_period(context, &format!("acting/{}", action.name), view, title, figures(context, view));
    let title = match language {
        Language::En => ("🔌 ".into(), format!(" guests: now {doing}")),
        Language::Zh => ("🔌 ".into(), format!(" 台客户机：现在{doing}")),
    };
    of_guest(item, view, title, view.used, "")
}

/// An action that is over, or under way.
pub fn stands(context: &Context<'_>, view: &View<'_>, action: &ActionRule, status: Status, at: Instant) -> String {
    let (language, name) = (context.language, clean(&action.name, NAME));
    let (deed_at, at) = (at, local(&view.quota.rule.zone, at));
    let (en, zh) = match status {
        Status::Done => ("was done", "已执行"),
        Status::Started => ("was started; its effect is not seen yet", "已启动，尚未见效"),
        Status::GivenUp => ("failed and is given up", "失败，已放弃"),
        Status::Passed => ("counts as passed in this period", "在本周期内视为已处理"),
        Status::Announced | Status::Failed => ("is due", "待执行"),
        Status::Held if context.now == deed_at => return announced(context, view, action, context.now, true),
        Status::Held => ("holds", "持续生效"),
    };
    say(language, format!("Action {name} {en} ({at})."), format!("操作 {name} {zh}（{at}）。"))
}

/// An action that is due, and what it waits for.
pub fn waits(language: Language, action: &ActionRule, hold: Hold) -> String {
    let name = clean(&action.name, NAME);
    let (en, zh) = match hold {
        Hold::ClockInDoubt => ("until the clock is believed again", "等待系统时钟得到确认"),
        Hold::NoReading => ("for a fresh reading", "等待最新读数"),
        Hold::Uncertain => {
            ("until it is reached without estimated or implausible bytes", "等待不含估算或可疑流量的用量达到阈值")
        }
        Hold::UptimeUnknown => ("until it is known how long the machine is up", "等待获知本机的运行时长"),
        Hold::JustBooted if action.effect.is_on_guest() => {
            ("until the guest has been up for its boot_grace", "等待客户机开机满 boot_grace 时长")
        }
        Hold::JustBooted => ("until the machine has been up for its boot_grace", "等待本机开机满 boot_grace 时长"),
        Hold::GuestIsOff => ("until the guest is on: it is off now", "等待客户机开机：目前处于关机状态"),
    };
    say(language, format!("Action {name} waits {en}."), format!("操作 {name} 暂缓：{zh}。"))
}

/// An announced action whose tier is no longer reached.
pub fn called_off(context: &Context<'_>, view: &View<'_>, tier: &Tier) -> Item {
    let (name, tier) = (name(view), tier_name(tier));
    let title = say(
        context.language,
        format!("✅ {name}: called off, tier {tier} is no longer reached"),
        format!("✅ {name}：已取消，不再达到阈值 {tier}"),
    );
    item_of_period(context, "called-off", view, title, figures(context, view))
}

/// The machine was shut down for a quota and is up again.
pub fn took_effect(context: &Context<'_>, view: &View<'_>, action: &ActionRule) -> Item {
    let (language, name, shown) = (context.language, name(view), clean(&action.name, NAME));
    let (en, zh) = match action.effect {
        Effect::ServerOff => ("the server was stopped", "云服务器曾被停止"),
        _ => ("the machine was shut down", "本机曾被关闭"),
    };
    let title = say(
        language,
        format!("🔌 {name}: {en} ({shown}) and is up again"),
        format!("🔌 {name}：{zh}（{shown}），现已重新启动"),
    );
    let mut body = figures(context, view);
    body.push(match action.again_after {
        None => say(
            language,
            "It is not shut down again for this tier in this period: further traffic is not held back.",
            "本周期内不会再因此阈值关机：之后的流量不再受限。",
        ),
        Some(after) => {
            let (en, zh) = (words(after, Language::En), words(after, Language::Zh));
            say(language, format!("It may be shut down again after {en}."), format!("{zh} 后可再次关机。"))
        }
    });
    item_of_period(context, "took-effect", view, title, body)
}

/// An action that is not tried any more.
pub fn gave_up(context: &Context<'_>, view: &View<'_>, action: &ActionRule) -> Item {
    let (language, name) = (context.language, name(view));
    let title = failed_title(language, &name, action);
    let body = match action.effect {
        Effect::Restart => say(
            language,
            format!("The machine is still up after {TRIES} tries. Traffic goes on: please look after it."),
            format!("尝试 {TRIES} 次后本机仍在运行，流量仍在继续：请人工处理。"),
        ),
        Effect::ServerOff => say(
            language,
            format!("The server is still on after {TRIES} tries. Traffic goes on: please look after it."),
            format!("尝试 {TRIES} 次后云服务器仍在运行，流量仍在继续：请人工处理。"),
        ),
        Effect::GuestOff => say(
            language,
            format!("The guest is still on after {TRIES} tries. Traffic goes on: please look after it."),
            format!("尝试 {TRIES} 次后客户机仍在运行，流量仍在继续：请人工处理。"),
        ),
        Effect::Exit | Effect::Kept(_) => say(
            language,
            "It was interrupted; nobody knows whether it did its work. It is not run again in this period.",
            "命令执行时被中断，结果未知；本周期内不再运行。",
        ),
    };
    item_of_period(context, &format!("action/{}", action.name), view, title, vec![body])
}

/// An action that definitely failed.
pub fn failed(context: &Context<'_>, view: &View<'_>, action: &ActionRule, tries: u32, why: &str) -> Item {
    let (language, name) = (context.language, name(view));
    let mut body: Vec<String> = why.lines().map(|line| clean(line, 200)).collect();
    body.push(if tries < TRIES {
        say(
            language,
            format!("Try {tries} of {TRIES}; it is tried again on the next run."),
            format!("第 {tries} 次尝试，共 {TRIES} 次；下次运行时重试。"),
        )
    } else {
        say(
            language,
            format!("Try {tries} of {TRIES}; it is not tried again in this period. Please look after it."),
            format!("第 {tries} 次尝试，共 {TRIES} 次；本周期内不再重试，请人工处理。"),
        )
    });
    item_of_period(context, &format!("action/{}", action.name), view, failed_title(language, &name, action), body)
}

/// An action could not even be tried.
pub fn postponed(context: &Context<'_>, view: &View<'_>, action: &ActionRule, why: &str) -> Item {
    let (language, name) = (context.language, name(view));
    let body = vec![
        clean(why, 300),
        say(language, "It is tried on each run until it can be.", "每次运行都会重试，直到可以执行。"),
    ];
    item_of_period(context, &format!("action/{}", action.name), view, failed_title(language, &name, action), body)
}

fn failed_title(language: Language, name: &str, action: &ActionRule) -> String {
    let action = clean(&action.name, NAME);
    say(language, format!("❌ {name}: action {action} failed"), format!("❌ {name}：操作 {action} 失败"))
}

/// A new period has begun.
pub fn reset(context: &Context<'_>, view: &View<'_>, closed: &Closed) -> Item {
    let language = context.language;
    let (name, zone, unit) = (name_and_quota(view), &view.quota.rule.zone, view.quota.unit);
    let (used, allowance) = (closed.used(view.quota.count), view.quota.allowance.or(closed.total).unwrap_or_default());
    let percent = Percent::ratio(used, allowance).unwrap_or_default();
    let (used, allowance) = (unit.show(used, Round::Down), unit.exact(allowance));
    let estimated = doubt(language, closed.estimated, false);
    let end = closed.period.end.unwrap_or(view.ledger.period.start);
    let (from, to) = (local(zone, closed.period.start), local(zone, end));
    let mut body = vec![say(
        language,
        format!("Last period: {used} of {allowance} ({percent} %){estimated}, {from} to {to}"),
        format!("上一周期：{used} / {allowance}（{percent} %）{estimated}，{from} 至 {to}"),
    )];
    let between = view.quota.count.of(closed.between);
    if between > 0 {
        let between = unit.show(between, Round::Down);
        body.push(say(
            language,
            format!("In the periods between, in which nothing ran: {between}"),
            format!("其间未运行检查的各周期合计：{between}"),
        ));
    }
    body.push(left(context, view));
    let title = say(language, format!("🔄 {name}: a new period has begun"), format!("🔄 {name}：新周期开始"));
    let mut item = item_of_period(context, "reset", view, title, body);
    item.key = format!("{}/{}", item.key, closed.period.start);
    let quota = clean(&view.quota.name, NAME);
    let title = match language {
        Language::En => ("🔄 ".into(), format!(" guests: a new period of quota {quota} has begun; in the last one")),
        Language::Zh => ("🔄 ".into(), format!(" 台客户机：配额 {quota} 的新周期开始；上一周期用量")),
    };
    of_guest(item, view, title, closed.used(view.quota.count), &estimated)
}

/// Since when a server is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// It was stopped.
    Now,
    /// It was off before it was to be stopped.
    Already,
}

/// A server is seen to be off; `held`: it is started again later.
pub fn server_off(context: &Context<'_>, view: &View<'_>, action: &ActionRule, off: Off, held: bool) -> Item {
    let (language, name, shown) = (context.language, name(view), clean(&action.name, NAME));
    let title = say(
        language,
        format!("🔌 {name}: the server is off ({shown})"),
        format!("🔌 {name}：云服务器已关机（{shown}）"),
    );
    let (en, zh) = match (off, held) {
        (_, true) => ("It is started again when the next period begins.", "下一周期开始后将自动开机。"),
        (Off::Now, false) => ("It stays off until somebody starts it.", "需人工开机。"),
        (Off::Already, false) => ("It was off already and is left so.", "此前已处于关机状态，保持不变。"),
    };
    item_of_period(context, &format!("server-off/{}", action.name), view, title, vec![say(language, en, zh)])
}

/// A package and a quota that cannot be meant for each other.
pub fn misfit(context: &Context<'_>, view: &View<'_>, why: &str) -> Item {
    let (language, name) = (context.language, name_and_quota(view));
    let title =
        say(language, format!("❓ {name}: the quota does not fit the package"), format!("❓ {name}：配额与流量包不符"));
    let body = vec![
        clean(why, 200),
        say(language, "Nothing of it is told or done until that is put right.", "更正之前不会告警，也不会执行操作。"),
    ];
    item(context, "misfit", view, title, body)
}

/// A tier that the whole package is not enough to leave unreached.
pub fn beyond(context: &Context<'_>, view: &View<'_>, tier: &Tier) -> Item {
    let (language, name, tier) = (context.language, name(view), tier_name(tier));
    let holds = view.quota.unit.exact(view.allowance);
    let title = say(
        language,
        format!("❓ {name}: tier {tier} would always be reached"),
        format!("❓ {name}：阈值 {tier} 会始终处于达到状态"),
    );
    let body = say(
        language,
        format!("There are only {holds} in all. The tier is left out: please correct it."),
        format!("总量只有 {holds}。此阈值已忽略，请修改配置。"),
    );
    item_of_period(context, &format!("beyond/{tier}"), view, title, vec![body])
}

/// The periodic report.
pub fn report(context: &Context<'_>, view: &View<'_>) -> Item {
    let name = name_and_quota(view);
    let title = say(context.language, format!("📊 {name}: traffic report"), format!("📊 {name}：流量报告"));
    item(context, "report", view, title, figures(context, view))
}

/// The period rule of a quota was changed.
pub fn rule_changed(context: &Context<'_>, view: &View<'_>) -> Item {
    let (language, name) = (context.language, name_and_quota(view));
    let since = local(&view.quota.rule.zone, view.ledger.since);
    let title =
        say(language, format!("ℹ️ {name}: the period rule was changed"), format!("ℹ️ {name}：计费周期规则已更改"));
    let body = say(
        language,
        format!("Usage starts at zero at {since}; calibrate it if the provider shows more."),
        format!("用量自 {since} 起从零计算；如与服务商显示不符，请校准。"),
    );
    item(context, "rule", view, title, vec![body])
}

/// The line every message starts with: the machine, and its public address if that is known.
pub fn head(host: &str, address: Option<&str>) -> String {
    let host = clean(host, NAME);
    match address {
        Some(address) => format!("{host} ({})", clean(address, NAME)),
        None => host,
    }
}

/// The line that stands for what did not fit.
pub fn more(language: Language, count: usize) -> String {
    say(language, format!("and {count} more"), format!("另有 {count} 条"))
}

/// The place of an item in a message, by its key: what is acted on and warned of comes before news of the run, and
/// reports come last, so that none of them takes an alert's place where not all fit.
pub fn weight(key: &str) -> usize {
    let kinds = [
        "acting",
        "alert",
        "action",
        "lift",
        "hold",
        "called-off",
        "took-effect",
        "server-off",
        "misfit",
        "beyond",
        "pace",
        "state",
        "clock",
        "health",
    ];
    let last = ["reset", "report"];
    let kind = key.split('/').next().unwrap_or_default();
    let early = kinds.iter().position(|known| *known == kind);
    let late = last.iter().position(|known| *known == kind).map(|place| kinds.len() + 1 + place);
    early.or(late).unwrap_or(kinds.len())
}

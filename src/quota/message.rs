//! The wording of every message, in English and Chinese: what, how much, until when, what happens now.
//!
//! A message is about one thing; its key says which, so that a newer one takes the place of an older one that
//! still waits. Figures are printed in the unit the quota was written in, used ones rounded down and remaining
//! ones up, so that nothing looks reached that is not.

use super::bytes::{Percent, Round};
use super::duration::{Language, words};
use super::instant::Instant;
use super::meter::{Closed, Count};
use super::policy::{ActionRule, Context, Effect, Hold, TRIES, Threshold, Tier, View};
use super::state::{Claim, Held, Status};
use super::text::{Item, clean};
use super::zone::Zone;

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

/// The subject as messages and tables show it.
pub fn name(view: &View<'_>) -> String {
    let subject = clean(view.subject, NAME);
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
    let quota = &view.quota.name;
    Item { key: format!("{kind}/{quota}/{}", view.subject), at: context.now, title, body }
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
    item_of_period(context, kind, view, title, body)
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
        body.push(say(language, "Not all of its packages have a figure now.", "部分流量包目前没有读数。"));
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
    item_of_period(context, &format!("acting/{}", action.name), view, title, figures(context, view))
}

/// An action that is over, or under way.
pub fn stands(context: &Context<'_>, view: &View<'_>, action: &ActionRule, status: Status, at: Instant) -> String {
    let (language, name) = (context.language, clean(&action.name, NAME));
    let at = local(&view.quota.rule.zone, at);
    let (en, zh) = match status {
        Status::Done => ("was done", "已执行"),
        Status::Started => ("was started; its effect is not seen yet", "已启动，尚未见效"),
        Status::GivenUp => ("failed and is given up", "失败，已放弃"),
        Status::Passed => ("counts as passed in this period", "在本周期内视为已处理"),
        Status::Announced | Status::Failed => ("is due", "待执行"),
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
        Hold::JustBooted => ("until the machine has been up for its boot_grace", "等待本机开机满 boot_grace 时长"),
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
        Effect::Exit => say(
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
    item
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

/// What is told of the run itself, rather than of a quota.
pub struct Notice {
    /// What it is about.
    pub key: String,
    /// English title and body.
    pub en: (String, String),
    /// The same in Chinese.
    pub zh: (String, String),
}

/// For whom something was done.
fn claimant(held: &Held) -> String {
    let shown = |claim: &Claim| format!("{} [{}]", clean(&claim.subject, NAME), clean(&claim.quota, NAME));
    held.claims.first().map(shown).unwrap_or_default()
}

impl Notice {
    /// As an item of a language.
    pub fn item(self, language: Language, now: Instant) -> Item {
        let (title, body) = match language {
            Language::En => self.en,
            Language::Zh => self.zh,
        };
        Item { key: self.key, at: now, title, body: vec![body] }
    }

    /// The title in English, for the lines on standard error.
    pub fn text(&self) -> &str {
        self.en.0.trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
    }

    /// A source or one of its subjects without a good figure for long.
    pub fn missing(source: &str, what: &str, since: &str, why: &str) -> Self {
        let (what, why) = (clean(what, NAME * 2), clean(why, 300));
        Self {
            key: format!("health/{source}/{what}"),
            en: (format!("❓ {what}: no figure since {since}"), format!("Nothing is metered there meanwhile. {why}")),
            zh: (format!("❓ {what}：自 {since} 起没有读数"), format!("期间无法计量。{why}")),
        }
    }

    /// It is well again.
    pub fn well(source: &str, what: &str) -> Self {
        let what = clean(what, NAME * 2);
        Self {
            key: format!("health/{source}/{what}"),
            en: (format!("✅ {what}: figures are back"), "Metering goes on.".into()),
            zh: (format!("✅ {what}：读数已恢复"), "继续计量。".into()),
        }
    }

    /// A counter that fell without a restart.
    pub fn fell(source: &str, subject: &str, narrow: bool) -> Self {
        let name = clean(subject, NAME);
        let (en, zh) = match narrow {
            true => (
                "It was counted from zero. The driver may wrap at 32 bits; then usage is higher than shown: compare with the provider and calibrate.",
                "已从零起计。驱动计数器可能在 32 位处回绕，实际用量会高于显示值：请与服务商核对并校准。",
            ),
            false => (
                "It was counted from zero: the driver was reset, or something wrote to it.",
                "已从零起计：驱动可能被重置。",
            ),
        };
        Self {
            key: format!("fell/{source}/{subject}"),
            en: (format!("❓ {name}: its counter fell without a restart"), en.into()),
            zh: (format!("❓ {name}：计数器未重启却变小"), zh.into()),
        }
    }

    /// More bytes than the link can carry.
    pub fn implausible(source: &str, subject: &str, bytes: u64) -> Self {
        let name = clean(subject, NAME);
        Self {
            key: format!("implausible/{source}/{subject}"),
            en: (
                format!("❓ {name}: {bytes} bytes at once are more than the link can carry"),
                "They are counted, but no action is based on them.".into(),
            ),
            zh: (
                format!("❓ {name}：一次增加 {bytes} 字节，超过链路能力"),
                "已计入用量，但不会据此执行任何操作。".into(),
            ),
        }
    }

    /// A renewed package has another id.
    pub fn renewed(source: &str, subject: &str, id: &str) -> Self {
        let (name, id) = (clean(subject, NAME), clean(id, NAME));
        Self {
            key: format!("renewed/{source}/{subject}"),
            en: (
                format!("ℹ️ {name}: the provider now answers with id {id}"),
                "It is the renewed package and stays the same subject; its new id may be put into the configuration."
                    .into(),
            ),
            zh: (
                format!("ℹ️ {name}：服务商现返回 ID {id}"),
                "这是续订后的流量包，仍按同一对象计量；可在配置中改用新 ID。".into(),
            ),
        }
    }

    /// A package has another id in the middle of a period.
    pub fn another_id(source: &str, subject: &str, id: &str) -> Self {
        let (name, id) = (clean(subject, NAME), clean(id, NAME));
        Self {
            key: format!("renewed/{source}/{subject}"),
            en: (
                format!("❓ {name}: the provider now answers with id {id}, in the middle of a period"),
                "No action is based on it until the next period, or until that id is in the configuration.".into(),
            ),
            zh: (
                format!("❓ {name}：服务商在周期中途改为返回 ID {id}"),
                "在下一周期开始或将该 ID 写入配置之前，不会据此执行任何操作。".into(),
            ),
        }
    }

    /// A package whose new period has not come.
    pub fn awaiting(source: &str, what: &str, since: &str) -> Self {
        let what = clean(what, NAME * 2);
        Self {
            key: format!("health/{source}/{what}"),
            en: (
                format!("⏳ {what}: awaits renewal since {since}"),
                "No figure of a new period has come. Nothing is told or done for it meanwhile; unless it is renewed, traffic is charged by use.".into(),
            ),
            zh: (
                format!("⏳ {what}：自 {since} 起等待续订"),
                "尚无新周期的读数，期间不会告警，也不会执行操作；如未续订，流量将按量计费。".into(),
            ),
        }
    }

    /// What was done is undone.
    pub fn lifted(thing: &str, held: &Held) -> Self {
        let (name, thing) = (claimant(held), clean(thing, NAME * 2));
        Self {
            key: format!("lift/{thing}"),
            en: (format!("🔌 {name}: {thing} is on again"), "What it was stopped for is over.".into()),
            zh: (format!("🔌 {name}：{thing} 已开机"), "停机原因已解除。".into()),
        }
    }

    /// What was done could not be undone.
    pub fn not_lifted(thing: &str, held: &Held, why: &str) -> Self {
        let (name, thing, why) = (claimant(held), clean(thing, NAME * 2), clean(why, 300));
        Self {
            key: format!("lift/{thing}"),
            en: (
                format!("❌ {name}: {thing} could not be started again"),
                format!("{why}. It is tried again on each run."),
            ),
            zh: (format!("❌ {name}：{thing} 未能重新开机"), format!("{why}。每次运行都会重试。")),
        }
    }

    /// What was done is left as it is: nothing that is configured undoes it any more.
    pub fn forsaken(thing: &str, held: &Held) -> Self {
        let (name, thing, action) = (claimant(held), clean(thing, NAME * 2), clean(&held.action, NAME));
        Self {
            key: format!("lift/{thing}"),
            en: (
                format!("❗ {name}: {thing} is not started again"),
                format!(
                    "Action {action}, which has stopped it, is not configured to do so any more: please look after it."
                ),
            ),
            zh: (
                format!("❗ {name}：{thing} 不会自动开机"),
                format!("停止它的操作 {action} 已不再配置为自动开机，请人工处理。"),
            ),
        }
    }

    /// The clock jumped.
    pub fn clock_jumped(wall: &str, last: &str) -> Self {
        Self {
            key: "clock".into(),
            en: (
                format!("🕰 The clock jumped to {wall}"),
                format!(
                    "The last run was at {last}. No period changes until a server's clock agrees or it has held for an hour."
                ),
            ),
            zh: (
                format!("🕰 系统时钟跳变至 {wall}"),
                format!("上次运行于 {last}。在服务器时间吻合或持续一小时之前，周期不会变化。"),
            ),
        }
    }

    /// A jumped clock is believed now.
    pub fn clock_believed(wall: &str) -> Self {
        Self {
            key: "clock".into(),
            en: (format!("🕰 The clock is believed again: {wall}"), "Periods go by it from now on.".into()),
            zh: (format!("🕰 系统时钟已确认：{wall}"), "此后按此时间划分周期。".into()),
        }
    }

    /// The state was broken.
    pub fn broken_state(aside: &str, from_previous: bool, undone: bool) -> Self {
        let (en, zh) = match from_previous {
            true => ("It goes on from the run before.", "已从上一次运行的状态继续。"),
            false => (
                "There is no earlier one: usage starts anew with this run. Calibrate it.",
                "没有更早的状态：用量自本次运行重新计算，请校准。",
            ),
        };
        // What was stopped since the run before is not remembered.
        let (after_en, after_zh) = match undone {
            true => {
                (" A server that was stopped may have to be started by hand.", "此前停止的云服务器可能需要人工开机。")
            }
            false => ("", ""),
        };
        Self {
            key: "state".into(),
            en: (
                format!("❗ The state was broken ({aside})"),
                format!(
                    "{en} No action is taken in this run, and tiers reached now count as passed for this period.{after_en}"
                ),
            ),
            zh: (
                format!("❗ 状态文件已损坏（{aside}）"),
                format!("{zh} 本次运行不执行任何操作，当前已达到的阈值在本周期内视为已处理。{after_zh}"),
            ),
        }
    }

    /// A chat has a new id.
    pub fn moved(notifier: &str, from: &str, to: &str) -> Self {
        let notifier = clean(notifier, NAME);
        Self {
            key: format!("moved/{notifier}"),
            en: (
                format!("ℹ️ The chat of notifier {notifier} has a new id"),
                format!("Please change chat = {from} to {to} in the configuration."),
            ),
            zh: (format!("ℹ️ 通知渠道 {notifier} 的会话 ID 已变更"), format!("请在配置中将 chat = {from} 改为 {to}。")),
        }
    }

    /// A message to see whether messages arrive.
    pub fn test() -> Self {
        Self {
            key: "test".into(),
            en: ("🔔 Test message".into(), "Messages of netquota arrive here.".into()),
            zh: ("🔔 测试消息".into(), "netquota 的消息会发送到这里。".into()),
        }
    }
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

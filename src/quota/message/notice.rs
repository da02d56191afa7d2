//! What is told of a run, its sources and its state rather than of a quota.

use super::NAME;
use crate::quota::duration::Language;
use crate::quota::instant::Instant;
use crate::quota::state::{Claim, Held};
use crate::quota::text::{Item, clean};

/// What is told of the run itself, rather than of a quota.
pub struct Notice {
    /// What it is about.
    pub key: String,
    /// English title and body.
    pub en: (String, String),
    /// The same in Chinese.
    pub zh: (String, String),
}

/// How keys of what was told of nodes without counters begin: kept for as long as the node is there.
pub const UNCOUNTED: &str = "uncounted/";
/// Nodes named in one notice at the most.
const NAMED: usize = 5;

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
        Item { key: self.key, at: now, title, body: vec![body], many: None, about: None }
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

    /// A node without counters reports again.
    pub fn heard_again(source: &str, what: &str) -> Self {
        let what = clean(what, NAME * 2);
        Self {
            key: format!("health/{source}/{what}"),
            en: (format!("✅ {what}: it reports again"), "Its reports have no counters to meter.".into()),
            zh: (format!("✅ {what}：已恢复上报"), "其上报不含可计量的计数器。".into()),
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

    /// Two machines report under one name.
    pub fn doubled(source: &str, subject: &str) -> Self {
        let name = clean(subject, NAME);
        Self {
            key: format!("doubled/{source}/{subject}"),
            en: (
                format!("❓ {name}: two machines report under this name"),
                "Only one of them is metered, and it may change which. Give each machine a name of its own.".into(),
            ),
            zh: (
                format!("❓ {name}：有两台机器以此名称上报"),
                "只有其中一台会被计量，且可能变换。请为每台机器设置不同的名称。".into(),
            ),
        }
    }

    /// A node's counters are those of another machine or interface.
    pub fn replaced(source: &str, subject: &str) -> Self {
        let name = clean(subject, NAME);
        Self {
            key: format!("replaced/{source}/{subject}"),
            en: (
                format!("❓ {name}: its counters are of another machine or interface than before"),
                "Counting goes on from what they hold now; what flowed in between is not counted.".into(),
            ),
            zh: (
                format!("❓ {name}：计数器来自另一台机器或另一个接口"),
                "从其当前数值继续计量，期间的流量未计入。".into(),
            ),
        }
    }

    /// Nodes whose client reports no counters: told once for each.
    pub fn uncounted(source: &str, nodes: &[&str]) -> Self {
        let shown: Vec<String> = nodes.iter().take(NAMED).map(|node| clean(node, NAME)).collect();
        let more = nodes.len().saturating_sub(NAMED);
        let (more_en, more_zh) = match more {
            0 => (String::new(), String::new()),
            more => (format!(" and {more} more"), format!("等共 {} 台", nodes.len())),
        };
        let (en, zh) = (shown.join(", "), shown.join("、"));
        let verb = if nodes.len() == 1 { "reports" } else { "report" };
        Self {
            key: format!("{UNCOUNTED}{source}/{}", nodes.first().unwrap_or(&"")),
            en: (
                format!("ℹ️ {en}{more_en} {verb} no cumulative counters"),
                "It is an older client: quotas on it cannot be metered. Install netquota push there.".into(),
            ),
            zh: (
                format!("ℹ️ {zh}{more_zh} 未上报累计计数器"),
                "这是旧版客户端，无法对其计量配额。请在其上安装 netquota push。".into(),
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

    /// Guests that stay held, since their source is no cluster any more.
    pub fn orphans(source: &str, text: &str) -> Self {
        Self {
            key: format!("hold/{source}"),
            en: ("❗ Guests stay held".into(), clean(text, 600)),
            zh: ("❗ 客户机的限制无法解除".into(), clean(text, 600)),
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
            true => (
                " What was stopped, limited or disconnected since may have to be put back by hand.",
                "此后停止、限速或断网的对象可能需要人工恢复。",
            ),
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

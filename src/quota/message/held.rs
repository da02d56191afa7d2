//! What is told of guests that are held, or let go.

use super::{NAME, say};
use crate::quota::policy::Context;
use crate::quota::state::Need;
use crate::quota::text::{About, Item, Many, clean};

/// A guest whose holds are told of.
#[derive(Debug, Clone, Copy)]
pub struct HeldName<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The subject's name.
    pub subject: &'a str,
    /// The guest as it is shown.
    pub shown: &'a str,
}

/// How a guest is let go.
#[derive(Debug, Clone, Copy)]
pub struct LetGo<'a> {
    /// Who wanted it held.
    pub needs: &'a [Need],
    /// What somebody else has changed.
    pub foreign: &'a [String],
    /// It was taken down, and stays off.
    pub off: bool,
    /// It is another guest than the one that was held.
    pub is_another: bool,
}

impl HeldName<'_> {
    /// The key of what is told of holding it.
    pub fn key(&self) -> String {
        format!("hold/{}/{}", self.source, self.subject)
    }

    fn item(&self, context: &Context<'_>, title: String, body: String, many: (String, String), line: String) -> Item {
        let many = Some(Box::new(Many { title: many, line: format!("{}: {line}", self.shown), rank: 0 }));
        let (source, subject, quota) = (self.source.to_owned(), self.subject.to_owned(), String::new());
        let about = Some(Box::new(About { source, subject, quota }));
        Item { key: self.key(), at: context.now, title, body: vec![body], many, about }
    }

    /// It is let go.
    pub fn let_go(&self, context: &Context<'_>, how: &LetGo<'_>) -> Item {
        let (language, shown) = (context.language, self.shown);
        let need = |need: &Need| format!("{} [{}]", clean(&need.action, NAME), clean(&need.quota, NAME));
        let needs = how.needs.iter().map(need).collect::<Vec<_>>().join(", ");
        let foreign = clean(&how.foreign.join(", "), 300);
        let state = match (how.foreign.is_empty(), how.off) {
            _ if how.is_another => say(
                language,
                "The number was given to another guest, which is left as it is.",
                "该编号已分配给另一台客户机，保持不变。",
            ),
            (false, _) => say(
                language,
                format!("Somebody else has changed {foreign} meanwhile: left as it is."),
                format!("期间他人已更改 {foreign}，保持不变。"),
            ),
            (true, true) => say(language, "It is off, and is not started again.", "目前处于关机状态，不会自动开机。"),
            (true, false) => say(language, "It is as it was before.", "已恢复原状。"),
        };
        let title = say(language, format!("✅ {shown}: held no more"), format!("✅ {shown}：限制已解除"));
        let body = say(language, format!("Lifted: {needs}. {state}"), format!("已解除：{needs}。{state}"));
        let many = ("✅ ".into(), say(language, " guests are held no more", " 台客户机的限制已解除"));
        self.item(context, title, body, many, format!("{needs}. {state}"))
    }

    /// It could not be held, or let go.
    pub fn not_held(&self, context: &Context<'_>, why: &str, lifting: bool) -> Item {
        let (language, shown, why) = (context.language, self.shown, clean(why, 300));
        let (en, zh) = match lifting {
            true => ("could not be let go", "未能解除限制"),
            false => ("could not be held", "未能执行限制"),
        };
        let title = say(language, format!("❌ {shown}: {en}"), format!("❌ {shown}：{zh}"));
        let body =
            say(language, format!("{why}. It is tried again on each run."), format!("{why}。每次运行都会重试。"));
        let many = ("❌ ".into(), say(language, format!(" guests {en}"), format!(" 台客户机{zh}")));
        self.item(context, title, body, many, why)
    }
}

//! Words in both languages.

use std::borrow::Cow;

use maud::{Markup, Render, html};

use crate::quota::duration::Language;

/// The same in both languages. In the page it is in both, and the style shows the one the page is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Both {
    /// English.
    pub en: Cow<'static, str>,
    /// Chinese.
    pub zh: Cow<'static, str>,
}

/// Words in both languages.
pub fn say(en: impl Into<Cow<'static, str>>, zh: impl Into<Cow<'static, str>>) -> Both {
    Both { en: en.into(), zh: zh.into() }
}

impl Both {
    /// In one of them.
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Zh => &self.zh,
        }
    }
}

impl Render for Both {
    fn render(&self) -> Markup {
        html! {
            @if self.en == self.zh {
                (self.en)
            } @else {
                span lang="en" { (self.en) } span lang="zh-CN" { (self.zh) }
            }
        }
    }
}

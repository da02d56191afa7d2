//! The chart of a report as SVG: bars over time, with axes, and in a picture the totals and those that used most.
//!
//! One renderer serves the page and the pictures: in a page everything across is a share of the width, so that the
//! chart follows its place, and texts keep their size; in a picture everything has its place in pixels.
//!
//! Invariant: what the drawn bars stand for adds up to the cells of the report, and nothing that comes from outside is
//! in the document but escaped.

mod axis;
mod draw;
mod slots;
mod words;
mod xml;

#[cfg(test)]
pub(crate) mod tests;

use crate::report::model::Report;

pub use xml::{escape, fit};

/// How a chart looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Whose colours.
    pub skin: Skin,
    /// Pixels across; a page's chart is as wide as its place.
    pub width: u16,
    /// Pixels from the top of the bars' field to its bottom.
    pub field: u16,
}

/// Where a chart's colours are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skin {
    /// The page's: its custom properties `--chart-out`, `--chart-in`, `--chart-text`, `--chart-muted`, `--chart-grid`,
    /// `--chart-unknown` and `--chart-back`; those of the light picture where it has none.
    Page,
    /// Its own, on white.
    Light,
    /// Its own, on near black.
    Dark,
}

impl Look {
    /// Inside a page, 290 to some 1400 pixels wide: it has no title and no ranking, which pages have themselves.
    pub fn page() -> Self {
        Self { skin: Skin::Page, width: 1000, field: 240 }
    }

    /// A picture that is legible on a phone; drawn at twice its size it is 1080 pixels wide.
    pub fn phone(skin: Skin) -> Self {
        Self { skin, width: 540, field: 230 }
    }

    /// A picture for a desk.
    pub fn wide(skin: Skin) -> Self {
        Self { skin, width: 1000, field: 320 }
    }
}

/// The chart of a report: a document of its own, or an element of a page.
pub fn svg(report: &Report, look: Look) -> String {
    match look.skin {
        Skin::Page => draw::element(report, look),
        Skin::Light | Skin::Dark => draw::picture(report, look),
    }
}

/// The style sheet of the charts in a page, which has it beside its own: a page whose policy lets in no style but those
/// it knows can have none within a chart.
pub fn style() -> String {
    draw::style(Skin::Page)
}

/// What the charts in a page fill with: an element that the page has once, and shows, however many charts it has.
pub fn patterns() -> String {
    format!(r#"<svg class="chart patterns" aria-hidden="true" width="0" height="0">{}</svg>"#, draw::PATTERNS)
}

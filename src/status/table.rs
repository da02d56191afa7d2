//! The table: as wide as the terminal, columns of less weight left out where it is narrow.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use super::{Row, rows};
use crate::config::Config;
use crate::quota::bytes::Round;
use crate::quota::duration::{Language, words};
use crate::quota::instant::Instant;
use crate::quota::message::{name, tier_name};
use crate::quota::state::State;

/// How the table is to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the terminal.
    pub width: u16,
    /// Whether colours may be used.
    pub colour: bool,
}

/// Steps of the bar.
const BAR: u64 = 10;

/// The table of everything that has a figure; none before the first.
pub fn table(config: &Config, state: &State, now: Instant, look: Look) -> Option<String> {
    let rows = rows(config, state);
    if rows.is_empty() {
        return None;
    }
    let columns: Vec<Column> = COLUMNS.to_vec();
    let mut kept = columns.clone();
    for drop in [Column::Bar, Column::Age, Column::Forecast, Column::Tier, Column::End] {
        if needed(&rows, &kept, config, now) <= usize::from(look.width) {
            break;
        }
        kept.retain(|column| *column != drop);
    }
    Some(render(&rows, &kept, config, now, look))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Quota,
    Subject,
    Used,
    Bar,
    Percent,
    Tier,
    End,
    Forecast,
    Age,
}

const COLUMNS: [Column; 9] = [
    Column::Quota,
    Column::Subject,
    Column::Used,
    Column::Bar,
    Column::Percent,
    Column::Tier,
    Column::End,
    Column::Forecast,
    Column::Age,
];

impl Column {
    fn title(self, language: Language) -> &'static str {
        let (en, zh) = match self {
            Self::Quota => ("QUOTA", "配额"),
            Self::Subject => ("SUBJECT", "对象"),
            Self::Used => ("USED", "已用"),
            Self::Bar => ("", ""),
            Self::Percent => ("%", "%"),
            Self::Tier => ("TIER", "阈值"),
            Self::End => ("PERIOD ENDS", "周期结束"),
            Self::Forecast => ("FORECAST", "预测"),
            Self::Age => ("AGE", "时效"),
        };
        if language == Language::Zh { zh } else { en }
    }

    fn text(self, row: &Row<'_>, config: &Config, now: Instant) -> String {
        let view = &row.view;
        let unit = view.quota.unit;
        match self {
            Self::Quota => crate::quota::text::clean(&view.quota.name, 24),
            Self::Subject => name(view),
            Self::Used => format!("{} / {}", unit.show(view.used, Round::Down), unit.exact(view.allowance)),
            Self::Bar => bar(view.used, view.allowance),
            Self::Percent => view.percent().to_string(),
            Self::Tier => view.tier().map_or_else(|| "-".into(), tier_name),
            Self::End if view.awaits_renewal(now) => match config.language {
                Language::En => "awaits renewal".into(),
                Language::Zh => "待续订".into(),
            },
            Self::End => view.ledger.period.end.map_or_else(|| "-".into(), |end| short(view.quota, end)),
            Self::Forecast => forecast(row),
            Self::Age => age(row, config, now),
        }
    }

    fn alignment(self) -> CellAlignment {
        match self {
            Self::Used | Self::Percent | Self::Age => CellAlignment::Right,
            _ => CellAlignment::Left,
        }
    }
}

fn short(quota: &crate::quota::policy::Quota, at: Instant) -> String {
    let format = time::macros::format_description!("[month]-[day] [hour]:[minute]");
    quota.rule.zone.local(at).format(format).unwrap_or_default()
}

/// Filled only as far as is really used.
fn bar(used: u64, allowance: u64) -> String {
    let full = (u128::from(used) * u128::from(BAR) / u128::from(allowance.max(1))).min(u128::from(BAR)) as usize;
    "█".repeat(full) + &"░".repeat(BAR as usize - full)
}

fn forecast(row: &Row<'_>) -> String {
    let view = &row.view;
    let Some(forecast) = view.forecast() else { return "-".into() };
    match (forecast.exhausted_at, forecast.at_end) {
        (Some(at), _) if view.remaining() > 0 => format!("0 ← {}", short(view.quota, at)),
        (_, Some(bytes)) => view.quota.unit.show(bytes, Round::Down),
        _ => "-".into(),
    }
}

fn age(row: &Row<'_>, config: &Config, now: Instant) -> String {
    let age = Duration::from_secs(now.since(row.view.as_of).as_secs());
    let stale = if row.stale(now) { "!" } else { "" };
    format!("{}{stale}", words(age, config.language))
}

/// Columns of the terminal the table takes: texts, and the space between.
fn needed(rows: &[Row<'_>], columns: &[Column], config: &Config, now: Instant) -> usize {
    let width = |text: &str| unicode_width::UnicodeWidthStr::width(text);
    let widest = |column: &Column| {
        let texts = rows.iter().map(|row| width(&column.text(row, config, now))).max().unwrap_or(0);
        texts.max(width(column.title(config.language))) + 2
    };
    columns.iter().map(widest).sum()
}

fn render(rows: &[Row<'_>], columns: &[Column], config: &Config, now: Instant, look: Look) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(look.width);
    table.set_header(columns.iter().map(|column| column.title(config.language)));
    for row in rows {
        let cell = |column: &Column| Cell::new(column.text(row, config, now)).set_alignment(column.alignment());
        table.add_row(columns.iter().map(cell));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    if look.colour && lines.len() == rows.len() + 1 {
        let painted = lines.iter().skip(1).zip(rows).map(|(line, row)| paint(line, row));
        return std::iter::once(lines[0].clone()).chain(painted).collect::<Vec<_>>().join("\n");
    }
    lines.join("\n")
}

/// A whole row in the colour of its severity.
fn paint(line: &str, row: &Row<'_>) -> String {
    let view = &row.view;
    let reached = view.quota.tiers.iter().filter(|tier| view.reaches(tier));
    let all = view.quota.tiers.iter().filter(|tier| tier.threshold.at(view.allowance).is_some()).count();
    let code = match reached.count() {
        0 => return line.to_owned(),
        count if count == all || view.remaining() == 0 => 31,
        _ => 33,
    };
    format!("\u{1b}[{code}m{line}\u{1b}[0m")
}

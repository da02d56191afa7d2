//! A report as text: the subjects, then the time, with bars as wide as the terminal allows.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use unicode_width::UnicodeWidthStr;

use super::model::{Bucket, By, Direction, Report, Row, Used};
use crate::quota::bytes::{Round, Unit, UnitBase};
use crate::quota::duration::Language;
use crate::quota::instant::Instant;
use crate::quota::message::NAME;
use crate::quota::text::clean;
use crate::status::Look;

/// Bars are at the most so wide, and none narrower than the least.
const WIDEST: usize = 40;
const LEAST: usize = 4;
/// Columns between two others.
const GAP: usize = 2;
/// Characters shown of what an event says.
const REASON: usize = 120;

/// The report for a terminal.
pub fn usage(report: &Report, look: Look) -> String {
    let mut parts = vec![head(report)];
    if report.rows.is_empty() {
        let nothing = say(report, "nothing is known of this time", "这段时间没有任何记录");
        parts.push(format!("{nothing}\n"));
        return parts.join("\n");
    }
    parts.push(grid(report, look, &subjects(report)));
    parts.push(grid(report, look, &times(report)));
    parts.extend(legend(report));
    parts.join("\n")
}

/// What was done and told.
pub fn log(report: &Report, look: Look) -> String {
    if report.events.is_empty() {
        return format!("{}\n{}\n", head(report), say(report, "nothing was done or told", "没有任何操作或消息"));
    }
    let hosts = !report.hosts.is_empty();
    let mut titles = vec![say(report, "TIME", "时间")];
    titles.extend(hosts.then(|| say(report, "HOST", "主机")));
    titles.extend([
        say(report, "KIND", "类型"),
        say(report, "SUBJECT", "对象"),
        say(report, "QUOTA", "配额"),
        say(report, "WHAT", "内容"),
        say(report, "OUTCOME", "结果"),
        say(report, "REASON", "原因"),
    ]);
    let mut table = plain(look);
    table.set_header(titles);
    for logged in &report.events {
        let event = &logged.event;
        let host = report.hosts.iter().find(|(id, _)| *id == logged.instance).map(|(_, host)| clean(host, NAME));
        let why = [&event.reason, &event.detail].into_iter().filter(|text| !text.is_empty());
        let why = why.map(|text| clean(text, REASON)).collect::<Vec<_>>().join(": ");
        let mut cells = vec![local(report, event.at)];
        cells.extend(hosts.then(|| host.unwrap_or_default()));
        cells.push(kind(report, event.kind).to_owned());
        cells.extend([&event.subject, &event.quota, &event.name].map(|text| or_dash(&clean(text, NAME))));
        cells.extend([outcome(report, event.outcome).to_owned(), why]);
        table.add_row(cells);
    }
    format!("{}\n{}", head(report), lines(&table))
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn kind(report: &Report, kind: crate::quota::event::Kind) -> &'static str {
    use crate::quota::event::Kind;
    let zh = match kind {
        Kind::Alert => "告警",
        Kind::Action => "动作",
        Kind::Hold => "限制",
        Kind::Lift => "解除",
        Kind::Calibration => "校准",
        Kind::Reset => "新周期",
    };
    say(report, kind.name(), zh)
}

fn outcome(report: &Report, outcome: crate::quota::event::Outcome) -> &'static str {
    use crate::quota::event::Outcome;
    let zh = match outcome {
        Outcome::Done => "完成",
        Outcome::Started => "已开始",
        Outcome::Failed => "失败",
        Outcome::Unknown => "未知",
    };
    say(report, outcome.name(), zh)
}

fn say(report: &Report, en: &'static str, zh: &'static str) -> &'static str {
    match report.language {
        Language::En => en,
        Language::Zh => zh,
    }
}

/// Whose, and of which time.
fn head(report: &Report) -> String {
    let (from, to) = (local(report, report.from), local(report, report.to));
    format!("{}  {from} – {to}  {}\n", clean(&report.host, NAME), report.zone.name())
}

fn local(report: &Report, at: Instant) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]");
    report.zone.local(at).format(format).unwrap_or_default()
}

/// A table with a bar to each line.
struct Lines {
    title: &'static str,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    used: Option<Used>,
    /// Whether it has a bar of its own.
    bar: bool,
}

fn subjects(report: &Report) -> Lines {
    let mut lines: Vec<Line> =
        report.rows.iter().map(|row| Line { name: name(report, row), used: Some(row.used), bar: true }).collect();
    if report.rows.iter().filter(|row| !row.part).count() > 1 {
        let total = say(report, "total", "合计").to_owned();
        lines.push(Line { name: total, used: Some(report.whole), bar: false });
    }
    Lines { title: say(report, "SUBJECT", "对象"), lines }
}

/// As it is told from the others: with its label, its host, and its source where another source has one of that name.
fn name(report: &Report, row: &Row) -> String {
    let shared = |other: &&Row| other.subject == row.subject && other.host == row.host;
    let mut name = clean(&row.subject, NAME);
    // Of very many that is not looked for: each name would be compared with each.
    if report.rows.len() <= 2000 && report.rows.iter().filter(shared).count() > 1 {
        name = format!("{}/{name}", clean(&row.source, NAME));
    }
    if !row.label.is_empty() {
        name = format!("{name} ({})", clean(&row.label, NAME));
    }
    if let Some(host) = &row.host {
        name = format!("{}: {name}", clean(host, NAME));
    }
    if row.part { format!("└ {name}") } else { name }
}

fn times(report: &Report) -> Lines {
    let offsets = report.zone.offset(report.from) != report.zone.offset(report.to);
    let line = |(bucket, cell): (&Bucket, &Option<Used>)| Line {
        name: time(report, bucket.from, offsets),
        used: *cell,
        bar: true,
    };
    Lines { title: say(report, "TIME", "时间"), lines: report.buckets.iter().zip(&report.cells).map(line).collect() }
}

/// A bucket's start, as short as it is clear; with the offset where that changes within the report.
fn time(report: &Report, at: Instant, offset: bool) -> String {
    let local = report.zone.local(at);
    let text = match report.by {
        By::Month => local.format(time::macros::format_description!("[year]-[month]")),
        By::Day => local.format(time::macros::format_description!("[year]-[month]-[day]")),
        By::Hour | By::FiveMinutes if offset => local.format(time::macros::format_description!(
            "[month]-[day] [hour]:[minute] [offset_hour sign:mandatory]:[offset_minute]"
        )),
        By::Hour | By::FiveMinutes => local.format(time::macros::format_description!("[month]-[day] [hour]:[minute]")),
    };
    let text = text.unwrap_or_default();
    match report.by {
        By::Day => format!("{text} {}", weekday(report, local.weekday())),
        _ => text,
    }
}

fn weekday(report: &Report, day: time::Weekday) -> &'static str {
    const NAMES: [(&str, &str); 7] =
        [("Mon", "一"), ("Tue", "二"), ("Wed", "三"), ("Thu", "四"), ("Fri", "五"), ("Sat", "六"), ("Sun", "日")];
    let (en, zh) = NAMES[usize::from(day.number_days_from_monday()) % NAMES.len()];
    say(report, en, zh)
}

fn plain(look: Look) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(look.width);
    table
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The table, its bars as wide as there is room.
fn grid(report: &Report, look: Look, of: &Lines) -> String {
    let columns: &[(&str, Direction)] = match report.direction {
        Direction::Out => &[("OUT", Direction::Out)],
        Direction::In => &[("IN", Direction::In)],
        Direction::Both => &[("IN", Direction::In), ("OUT", Direction::Out), ("SUM", Direction::Both)],
    };
    let title = |(en, direction): &(&'static str, Direction)| match direction {
        Direction::In => say(report, en, "入"),
        Direction::Out => say(report, en, "出"),
        Direction::Both => say(report, en, "合计"),
    };
    let mut titles = vec![of.title];
    titles.extend(columns.iter().map(title));
    let texts: Vec<Vec<String>> = of
        .lines
        .iter()
        .map(|line| {
            let amounts = columns.iter().map(|(_, direction)| amount(report, line.used, *direction));
            std::iter::once(line.name.clone()).chain(amounts).collect()
        })
        .collect();
    let width = |column: usize| {
        let cells = texts.iter().map(|cells| cells[column].width()).max().unwrap_or(0);
        cells.max(titles[column].width()) + GAP
    };
    let taken: usize = (0..titles.len()).map(width).sum();
    let room = usize::from(look.width).saturating_sub(taken + GAP).min(WIDEST);
    let most = of.lines.iter().filter(|line| line.bar).filter_map(|line| line.used);
    let most = most.map(|used| report.direction.of(used.flow)).max().unwrap_or(0);
    let mut table = plain(look);
    let barred = room >= LEAST && most > 0;
    table.set_header(titles.iter().copied().chain(barred.then_some("")));
    for (line, cells) in of.lines.iter().zip(&texts) {
        let bytes = line.used.filter(|_| line.bar).map_or(0, |used| report.direction.of(used.flow));
        let aligned = |(column, text): (usize, &String)| {
            let side = if column == 0 { CellAlignment::Left } else { CellAlignment::Right };
            Cell::new(text).set_alignment(side)
        };
        let bar = barred.then(|| Cell::new(bar(bytes, most, room)));
        table.add_row(cells.iter().enumerate().map(aligned).chain(bar));
    }
    lines(&table)
}

/// Bytes for people, with the marks.
fn amount(report: &Report, used: Option<Used>, direction: Direction) -> String {
    let Some(used) = used else { return "–".to_owned() };
    let bytes = direction.of(used.flow);
    let family = report.quotas.first().map_or(Unit::giga(UnitBase::Thousand), |bar| bar.unit);
    let marks = format!("{}{}", if used.estimated { "~" } else { "" }, if used.partial { "*" } else { "" });
    format!("{}{marks}", family.fitting(bytes).show(bytes, Round::Down))
}

/// As long as its share of the longest, to an eighth of a column.
fn bar(bytes: u64, most: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (u128::from(bytes) * width as u128 * 8 / u128::from(most.max(1))) as usize;
    let least = usize::from(bytes > 0);
    let eighths = eighths.clamp(least, width * 8);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// What the marks mean that are there.
fn legend(report: &Report) -> Option<String> {
    let shown = || report.rows.iter().map(|row| Some(row.used)).chain(report.cells.iter().copied());
    let marks = [
        (
            shown().flatten().any(|used| used.estimated),
            say(report, "~ bytes at its ends were divided by time", "~ 首尾的流量按时间分摊"),
        ),
        (
            shown().flatten().any(|used| used.partial),
            say(report, "* of a part of it nothing is known", "* 其中一部分时间没有记录"),
        ),
        (shown().any(|used| used.is_none()), say(report, "– nothing is known", "– 没有记录")),
    ];
    let lines: String = marks.iter().filter(|(there, _)| *there).map(|(_, text)| format!("{text}\n")).collect();
    (!lines.is_empty()).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::super::two_days;
    use super::*;

    fn look(width: u16) -> Look {
        Look { width, colour: false }
    }

    #[test]
    fn subjects_then_the_time() {
        let text = usage(&two_days::report(), look(78));
        assert_eq!(
            text,
            concat!(
                "hk-1  2026-11-20 00:00 – 2026-11-22 00:00  Asia/Shanghai\n",
                "\n",
                " SUBJECT          IN        OUT      SUM\n",
                " eth0                 1 kB   2.5 GB   2.5 GB  ███████████████████████████████\n",
                " qemu/100 (网站)    70 B~*   30 B~*  100 B~*  ▏\n",
                " └ qemu/100 net0    70 B~*   30 B~*  100 B~*  ▏\n",
                " total            1.07 kB~  2.5 GB~  2.5 GB~\n",
                "\n",
                " TIME            IN     OUT       SUM\n",
                " 2026-11-20 Fri   1 kB    2.5 GB   2.5 GB  ██████████████████████████████████\n",
                " 2026-11-21 Sat  70 B~  2.03 kB~  2.1 kB~  ▏\n",
                "\n",
                "~ bytes at its ends were divided by time\n",
                "* of a part of it nothing is known\n",
            )
        );
    }

    #[test]
    fn in_chinese() {
        let report = Report { language: Language::Zh, direction: Direction::Out, ..two_days::report() };
        assert_eq!(
            usage(&report, look(60)),
            concat!(
                "hk-1  2026-11-20 00:00 – 2026-11-22 00:00  Asia/Shanghai\n",
                "\n",
                " 对象             出\n",
                " eth0              2.5 GB  ████████████████████████████████\n",
                " qemu/100 (网站)   30 B~*  ▏\n",
                " └ qemu/100 net0   30 B~*  ▏\n",
                " 合计             2.5 GB~\n",
                "\n",
                " 时间           出\n",
                " 2026-11-20 五    2.5 GB  █████████████████████████████████\n",
                " 2026-11-21 六  2.03 kB~  ▏\n",
                "\n",
                "~ 首尾的流量按时间分摊\n",
                "* 其中一部分时间没有记录\n",
            )
        );
    }

    #[test]
    fn the_log() {
        assert_eq!(
            log(&two_days::report(), look(110)),
            concat!(
                "hk-1  2026-11-20 00:00 – 2026-11-22 00:00  Asia/Shanghai\n",
                "\n",
                " TIME              KIND    SUBJECT  QUOTA  WHAT      OUTCOME  REASON\n",
                " 2026-11-21 09:00  alert   eth0     month  ops       done     80% reached\n",
                " 2026-11-21 10:00  action  eth0     month  poweroff  failed   95% reached: =exit 1\n",
            )
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_names_cannot_harm_it() {
        let mut report = two_days::report();
        report.rows[0].subject = "\u{1b}[31m\u{202e}evil\nname".into();
        report.rows[1].label = "中文名字的虚拟机".repeat(20);
        for width in [40, 60, 78, 120, 200] {
            let text = usage(&report, look(width));
            assert!(text.lines().skip(1).all(|line| line.width() <= usize::from(width)), "{width}: {text}");
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        }
        assert!(usage(&report, look(120)).contains("\\u{1b}[31m\\u{202e}evil\\u{a}name"));
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!(bar(100, 100, 4), "████");
        assert_eq!(bar(50, 100, 4), "██");
        assert_eq!(bar(49, 100, 4), "█▉");
        assert_eq!(bar(1, 1_000_000, 4), "▏", "what is there is seen");
        assert_eq!(bar(0, 100, 4), "");
        assert_eq!(bar(u64::MAX, u64::MAX, 40).width(), 40);
    }
}

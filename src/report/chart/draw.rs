//! Drawing: from bars, axes and words to the elements of the document.

use std::fmt::Write as _;

use super::axis::{Labels, Room, Tick, labels, ticks};
use super::slots::{Slot, slots};
use super::words::{Word, bytes, counted, exact, made, more, said, span, subjects, word};
use super::xml::{Said, escape, fit, number, width};
use super::{Look, Skin};
use crate::quota::duration::Language;
use crate::report::model::{Bucket, Direction, Report, Row};

/// Around a picture.
const EDGE: f64 = 24.0;
/// The sizes of texts: of the axes of a page, of all in pictures, of the host, of the whole.
const SMALL: f64 = 13.0;
const PLAIN: f64 = 15.0;
const LARGE: f64 = 22.0;
const HUGE: f64 = 38.0;
/// Left of the bars of a page: for the amounts.
const GUTTER: f64 = 64.0;
/// Pixels of the bars' field below which its times are chosen anew, and the class of those for at least so many.
const TIERS: [(&str, f64); 3] = [("s", 290.0), ("m", 580.0), ("l", 900.0)];
/// Rows of the ranking.
const RANKS: usize = 6;
/// Pixels from one rank to the next.
const RANK: f64 = 36.0;

/// The document under way.
struct Canvas<'a> {
    report: &'a Report,
    look: Look,
    out: String,
}

/// The field of the bars.
#[derive(Debug, Clone, Copy)]
struct Field {
    left: f64,
    width: f64,
    top: f64,
    height: f64,
    /// Bytes at the top.
    full: u128,
}

impl Field {
    fn bottom(self) -> f64 {
        self.top + self.height
    }

    /// Pixels of so many bytes: what flowed is seen, however little it was.
    fn pixels(self, bytes: u64) -> f64 {
        let exact = self.height * bytes as f64 / (self.full.max(1) as f64);
        if bytes == 0 { 0.0 } else { exact.max(1.0) }
    }

    /// How far up a line of the axis is.
    fn up(self, bytes: u128) -> f64 {
        self.bottom() - self.height * bytes as f64 / (self.full.max(1) as f64)
    }
}

/// A part of a bar.
#[derive(Debug, Clone, Copy)]
struct Block<'a> {
    /// Left and across, in the units of the field.
    x: &'a str,
    width: &'a str,
    top: f64,
    height: f64,
    /// The radius of its corners.
    round: f64,
}

/// A chart without words around it, as wide as its place.
pub(super) fn element(report: &Report, look: Look) -> String {
    let slots = slots(report);
    let ticks = ticks(most(report, &slots));
    let full = ticks.last().map_or(0, |tick| tick.bytes);
    let field = Field { left: 0.0, width: 0.0, top: 30.0, height: f64::from(look.field), full };
    let height = field.bottom() + 48.0;
    let mut canvas = Canvas { report, look, out: String::new() };
    let name = escape(&about(report, report.language));
    canvas.put(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{name}" height="{}">"#,
        number(height)
    ));
    canvas.legend(-GUTTER, 14.0, &slots);
    canvas.grid(field, &ticks);
    canvas.bars(field, &slots);
    for (class, width) in TIERS {
        let room = Room { width, em: SMALL, right: 12.0 };
        canvas.put(format_args!(r#"<g class="{class}">"#));
        canvas.times(field, &labels(report, &slots, room));
        canvas.put(format_args!("</g>"));
    }
    canvas.nothing(field, &slots);
    canvas.out + "</svg>"
}

/// A picture: with its title, what it comes to, and the subjects that used most.
pub(super) fn picture(report: &Report, look: Look) -> String {
    let slots = slots(report);
    let ticks = ticks(most(report, &slots));
    let full = ticks.last().map_or(0, |tick| tick.bytes);
    let gutter = ticks.iter().map(|tick| width(&tick.text)).fold(0.0, f64::max) * PLAIN + 10.0;
    let across = f64::from(look.width);
    let left = EDGE + gutter;
    let field = Field { left, width: across - left - EDGE, top: 182.0, height: f64::from(look.field), full };
    let mut canvas = Canvas { report, look, out: String::new() };
    canvas.heading();
    canvas.grid(field, &ticks);
    canvas.bars(field, &slots);
    let room = Room { width: field.width, em: PLAIN, right: EDGE };
    canvas.times(field, &labels(report, &slots, room));
    canvas.nothing(field, &slots);
    let bottom = canvas.marks(field.bottom() + 74.0, &slots);
    let bottom = canvas.ranking(bottom);
    let as_of = made(report.made, &report.zone, report.language);
    let zone = fit(report.zone.name(), 24.0);
    let plain = as_of.plain.map(|text| format!("{text} · {zone}"));
    let foot = Said { shown: format!("{} · {zone}", as_of.shown), plain, room: None };
    canvas.text(EDGE, bottom, "q", &foot);
    let height = bottom + EDGE;
    format!("{}{}</svg>", opening(report, look, height), canvas.out)
}

/// The start of a picture, which needs to know how high it came to be.
fn opening(report: &Report, look: Look, height: f64) -> String {
    let mut canvas = Canvas { report, look, out: String::new() };
    let name = escape(&about(report, report.language));
    let (across, down) = (look.width, number(height));
    canvas.put(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{name}" width="{across}" height="{down}" viewBox="0 0 {across} {down}">"#
    ));
    canvas.put(format_args!("<title>{name}</title><desc>{}</desc>", escape(&described(report))));
    canvas.style();
    canvas.put(format_args!(r#"<rect class="back" width="{across}" height="{down}"/>"#));
    canvas.out
}

/// The highest bar's bytes.
fn most(report: &Report, slots: &[Slot]) -> u64 {
    slots.iter().filter_map(|slot| slot.used).map(|used| report.direction.of(used.flow)).max().unwrap_or_default()
}

/// What the chart is, in a line.
fn about(report: &Report, language: Language) -> String {
    let range = span(Bucket { from: report.from, to: report.to }, &report.zone, language);
    format!("{}: {}, {range}", word(Word::Usage, language), fit(&report.host, 60.0))
}

/// What there is to see, in words.
fn described(report: &Report) -> String {
    let total = report.direction.of(report.whole.flow);
    format!("{}: {}", counted(report.direction, report.language).shown, exact(total))
}

/// The rows that are no part of another.
fn wholes(report: &Report) -> Vec<&Row> {
    report.rows.iter().filter(|row| !row.part).collect()
}

/// A subject's name, no wider than so many ems, and what stands in for it.
fn name(row: &Row, ems: f64) -> Said {
    let host = row.host.as_ref().map(|host| format!(" · {}", fit(host, ems / 4.0))).unwrap_or_default();
    let room = ems - width(&host);
    let id = fit(&row.subject, room);
    if row.label.is_empty() || row.label == row.subject {
        return Said::only(id + &host).within(ems);
    }
    let behind = format!(" · {}", fit(&row.subject, room / 2.0));
    let label = fit(&row.label, room - width(&behind));
    Said { shown: format!("{label}{behind}{host}"), plain: Some(id + &host), room: Some(ems) }
}

impl Canvas<'_> {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = self.out.write_fmt(text);
    }

    fn fluid(&self) -> bool {
        self.look.skin == Skin::Page
    }

    fn language(&self) -> Language {
        self.report.language
    }

    /// A place across the field: a share of its width where that is not known.
    fn x(&self, field: Field, share: f64) -> String {
        if self.fluid() { number(share * 100.0) + "%" } else { number(field.left + share * field.width) }
    }

    /// A width in the field.
    fn across(&self, field: Field, share: f64) -> String {
        if self.fluid() { number(share * 100.0) + "%" } else { number(share * field.width) }
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &Said) {
        let x = number(x);
        self.text_at(&x, y, class, text);
    }

    fn text_at(&mut self, x: &str, y: f64, class: &str, text: &Said) {
        // Only pictures are ever drawn with too few fonts.
        let attribute = |name: &str, value: Option<String>| match value {
            Some(value) if !self.fluid() => format!(r#" {name}="{value}""#),
            _ => String::new(),
        };
        let plain = attribute("data-plain", text.plain.as_deref().map(escape));
        let room = attribute("data-ems", text.room.map(number));
        let (y, shown) = (number(y), escape(&text.shown));
        self.put(format_args!(r#"<text x="{x}" y="{y}" class="{class}"{plain}{room}>{shown}</text>"#));
    }

    fn style(&mut self) {
        let style = style(self.look.skin);
        self.put(format_args!("<style>{style}</style><defs>{PATTERNS}</defs>"));
    }

    /// Host, range, subject, and what it comes to.
    fn heading(&mut self) {
        let (report, room) = (self.report, f64::from(self.look.width) - 2.0 * EDGE);
        self.text(EDGE, 44.0, "h", &Said::only(fit(&report.host, room / LARGE)).within(room / LARGE));
        let range = Said::words(self.language(), |language| {
            span(Bucket { from: report.from, to: report.to }, &report.zone, language)
        });
        let rows = wholes(report);
        let left = room / PLAIN - range.width() - width(" · ");
        let who = match rows.as_slice() {
            [row] => name(row, left),
            rows => subjects(rows.len(), self.language()),
        };
        let plain = |said: &Said| said.plain.clone().unwrap_or_else(|| said.shown.clone());
        let line = Said {
            shown: format!("{} · {}", range.shown, who.shown),
            plain: Some(format!("{} · {}", plain(&range), plain(&who))),
            room: Some(room / PLAIN),
        };
        self.text(EDGE, 70.0, "q", &line);
        self.text(EDGE, 126.0, "w", &Said::only(bytes(report.direction.of(report.whole.flow))));
        self.directions(EDGE, 155.0);
    }

    /// The colours of the directions, and how much each comes to.
    fn directions(&mut self, left: f64, base: f64) {
        let report = self.report;
        let both = [(Word::Out, "o", report.whole.flow.tx), (Word::In, "i", report.whole.flow.rx)];
        if report.direction != Direction::Both {
            let what = counted(report.direction, self.language());
            return self.text(left, base, "q", &what);
        }
        let mut x = left;
        for (what, class, amount) in both {
            let text = Said::words(self.language(), |language| format!("{} {}", word(what, language), bytes(amount)));
            x = self.chip(x, base, class, &text);
        }
    }

    /// A patch of colour and what it stands for; where the next may start.
    fn chip(&mut self, x: f64, base: f64, class: &str, text: &Said) -> f64 {
        let (left, top) = (number(x), number(base - 10.5));
        self.put(format_args!(r#"<rect x="{left}" y="{top}" width="12" height="12" rx="3" class="{class}"/>"#));
        self.text(x + 18.0, base, "q", text);
        x + 18.0 + text.width() * PLAIN + 18.0
    }

    /// What the colours and hatches in a page's chart mean.
    fn legend(&mut self, left: f64, base: f64, slots: &[Slot]) {
        let language = self.language();
        let mut x = left;
        if self.report.direction == Direction::Both {
            x = self.chip(x, base, "o", &said(Word::Out, language));
            x = self.chip(x, base, "i", &said(Word::In, language));
        }
        self.hatches(x, base, slots);
    }

    /// What the hatches mean, if there are any; where the next line of the picture may be.
    fn marks(&mut self, base: f64, slots: &[Slot]) -> f64 {
        if self.hatches(EDGE, base, slots) { base + 38.0 } else { base + 4.0 }
    }

    fn hatches(&mut self, left: f64, base: f64, slots: &[Slot]) -> bool {
        let estimated = slots.iter().any(|slot| slot.used.is_some_and(|used| used.estimated));
        let unknown = slots.iter().any(Slot::unknown);
        let mut x = left;
        if estimated {
            let (left, top) = (number(x), number(base - 10.5));
            let class = if self.report.direction == Direction::In { "i" } else { "o" };
            self.put(format_args!(r#"<rect x="{left}" y="{top}" width="12" height="12" rx="3" class="{class}"/>"#));
            x = self.chip(x, base, "e", &said(Word::Estimated, self.language()));
        }
        if unknown {
            self.chip(x, base, "u k", &said(Word::Unknown, self.language()));
        }
        estimated || unknown
    }

    /// The lines across and their amounts.
    fn grid(&mut self, field: Field, ticks: &[Tick]) {
        let (start, end) = (self.x(field, 0.0), self.x(field, 1.0));
        for tick in ticks {
            let up = field.up(tick.bytes);
            let (y, class) = (number(up), if tick.bytes == 0 { "g z" } else { "g" });
            self.put(format_args!(r#"<line x1="{start}" x2="{end}" y1="{y}" y2="{y}" class="{class}"/>"#));
            let x = number(field.left - 10.0);
            self.text_at(&x, up + 5.0, "a y", &Said::only(tick.text.clone()));
        }
    }

    fn bars(&mut self, field: Field, slots: &[Slot]) {
        self.hatched(field, slots);
        for (index, slot) in slots.iter().enumerate() {
            self.bar(field, index, slots.len(), slot);
        }
        let (start, end, y) = (self.x(field, 0.0), self.x(field, 1.0), number(field.bottom()));
        self.put(format_args!(r#"<line x1="{start}" x2="{end}" y1="{y}" y2="{y}" class="g z"/>"#));
    }

    /// Where something is not known, neighbours as one.
    fn hatched(&mut self, field: Field, slots: &[Slot]) {
        let count = slots.len().max(1) as f64;
        let mut index = 0;
        for run in slots.chunk_by(|a, b| a.unknown() == b.unknown()) {
            if run.iter().any(Slot::unknown) {
                let (x, width) = (self.x(field, index as f64 / count), self.across(field, run.len() as f64 / count));
                let (y, height) = (number(field.top), number(field.height));
                self.put(format_args!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" class="u"/>"#));
            }
            index += run.len();
        }
    }

    /// A bar, with what is needed to say what it stands for.
    fn bar(&mut self, field: Field, index: usize, count: usize, slot: &Slot) {
        let (first, buckets) = (slot.first, slot.buckets);
        let title = escape(&self.title(slot));
        self.put(format_args!(r#"<g class="b" data-i="{first}" data-n="{buckets}"><title>{title}</title>"#));
        let slot_share = 1.0 / count.max(1) as f64;
        let left = index as f64 * slot_share;
        let (x, width) = (self.x(field, left), self.across(field, slot_share));
        let (y, height) = (number(field.top), number(field.height));
        self.put(format_args!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" class="f"/>"#));
        self.filled(field, left, slot_share, slot);
        self.put(format_args!("</g>"));
    }

    fn filled(&mut self, field: Field, left: f64, share: f64, slot: &Slot) {
        let Some(used) = slot.used else { return };
        let thick = (share * if share < 0.01 { 0.9 } else { 0.72 }).min(0.12);
        let left = left + (share - thick) / 2.0;
        let (x, width) = (self.x(field, left), self.across(field, thick));
        let round = if share < 0.01 { 0.0 } else { (thick * f64::from(self.look.width) / 4.0).min(4.0) };
        let parts = match self.report.direction {
            Direction::Out => [(used.flow.tx, "o"), (0, "")],
            Direction::In => [(used.flow.rx, "i"), (0, "")],
            Direction::Both => [(used.flow.tx, "o"), (used.flow.rx, "i")],
        };
        let heights = parts.map(|(bytes, _)| field.pixels(bytes));
        let whole = (heights[0] + heights[1]).min(field.height);
        let block = |top: f64, height: f64, round: f64| Block { x: &x, width: &width, top, height, round };
        let top = field.bottom() - whole;
        if heights[1] > 0.0 {
            // The upper part goes on behind the lower one, so that only its upper corners are round.
            self.block(block(top, (heights[1] + round).min(whole), round), parts[1].1);
            self.block(block(field.bottom() - heights[0], heights[0], 0.0), parts[0].1);
        } else {
            self.block(block(top, whole, round), parts[0].1);
        }
        if used.estimated {
            self.block(block(top, whole, round), "e");
        }
    }

    fn block(&mut self, block: Block<'_>, class: &str) {
        let Block { x, width, top, height, round } = block;
        if height > 0.0 {
            let (y, height) = (number(top), number(height));
            let round = if round > 0.0 { format!(r#" rx="{}""#, number(round)) } else { String::new() };
            self.put(format_args!(
                r#"<rect x="{x}" y="{y}" width="{width}" height="{height}"{round} class="{class}"/>"#
            ));
        }
    }

    /// What a bar stands for, to the byte.
    fn title(&self, slot: &Slot) -> String {
        let (report, language) = (self.report, self.language());
        let mut text = span(slot.span, &report.zone, language);
        let mut line = |what: Word, count: u64| {
            let _ = write!(text, "\n{} {} ({})", word(what, language), bytes(count), exact(count));
        };
        if let Some(used) = slot.used {
            if report.direction != Direction::In {
                line(Word::Out, used.flow.tx);
            }
            if report.direction != Direction::Out {
                line(Word::In, used.flow.rx);
            }
            if used.estimated {
                let _ = write!(text, "\n{}", word(Word::Estimated, language));
            }
        }
        if slot.unknown() {
            let _ = write!(text, "\n{}", word(Word::Unknown, language));
        }
        text
    }

    /// The times below the bars, and what they are in.
    fn times(&mut self, field: Field, labels: &Labels) {
        let bottom = field.bottom();
        for label in &labels.times {
            let x = self.x(field, label.at);
            if labels.edges {
                let (top, end) = (number(bottom), number(bottom + 5.0));
                self.put(format_args!(r#"<line x1="{x}" x2="{x}" y1="{top}" y2="{end}" class="g z"/>"#));
            }
            self.text_at(&x, bottom + 21.0, "a x", &label.text);
        }
        for label in &labels.within {
            let x = self.x(field, label.at);
            self.text_at(&x, bottom + 42.0, "a", &label.text);
        }
    }

    /// Said where no bar is.
    fn nothing(&mut self, field: Field, slots: &[Slot]) {
        let what = match slots.iter().filter_map(|slot| slot.used).map(|used| self.report.direction.of(used.flow)).max()
        {
            None => Word::Nothing,
            Some(0) => Word::Idle,
            Some(_) => return,
        };
        let x = self.x(field, 0.5);
        let text = said(what, self.language());
        let middle = field.top + field.height / 2.0;
        self.text_at(&x, middle, "n", &text);
    }

    /// The subjects that used most, if there are several; where the next line may be.
    fn ranking(&mut self, top: f64) -> f64 {
        let rows = wholes(self.report);
        if rows.len() < 2 {
            return top;
        }
        self.text(EDGE, top, "t", &said(Word::Top, self.language()));
        let direction = self.report.direction;
        let most = rows.iter().map(|row| direction.of(row.used.flow)).max().unwrap_or_default();
        let mut base = top + 30.0;
        for row in rows.iter().take(RANKS) {
            self.rank(base, row, most);
            base += RANK;
        }
        if rows.len() > RANKS {
            let rest = rows[RANKS..].iter().map(|row| direction.of(row.used.flow)).fold(0, u64::saturating_add);
            self.text(EDGE, base, "q", &more(rows.len() - RANKS, self.language()));
            self.text(f64::from(self.look.width) - EDGE, base, "q y", &Said::only(bytes(rest)));
            base += 32.0;
        }
        base + 4.0
    }

    fn rank(&mut self, base: f64, row: &Row, most: u64) {
        let room = f64::from(self.look.width) - 2.0 * EDGE;
        let used = self.report.direction.of(row.used.flow);
        let amount = bytes(used);
        let ems = room / PLAIN - width(&amount) - 1.5;
        self.text(EDGE, base, "v", &name(row, ems));
        self.text(EDGE + room, base, "v y", &Said::only(amount));
        let long = room * (used as f64 / most.max(1) as f64);
        let class = if self.report.direction == Direction::In { "i" } else { "o" };
        let (x, y) = (number(EDGE), number(base + 7.0));
        for (width, class) in [(room, "r"), (if used == 0 { 0.0 } else { long.max(4.0) }, class)] {
            if width > 0.0 {
                let width = number(width);
                self.put(format_args!(r#"<rect x="{x}" y="{y}" width="{width}" height="4" rx="2" class="{class}"/>"#));
            }
        }
    }
}

/// The colours of a picture.
pub(super) struct Colours {
    pub back: &'static str,
    pub text: &'static str,
    pub muted: &'static str,
    pub grid: &'static str,
    pub axis: &'static str,
    pub unknown: &'static str,
    pub sent: &'static str,
    pub received: &'static str,
}

pub(super) const LIGHT: Colours = Colours {
    back: "#ffffff",
    text: "#18212f",
    muted: "#566273",
    grid: "#e8ebf0",
    axis: "#b4bcc8",
    unknown: "#cfd5de",
    sent: "#3b5bcc",
    received: "#25a08e",
};

pub(super) const DARK: Colours = Colours {
    back: "#12171f",
    text: "#eef2f7",
    muted: "#a0acbb",
    grid: "#242d3a",
    axis: "#4b586a",
    unknown: "#3a4554",
    sent: "#7d9bff",
    received: "#3fc4ae",
};

const PAGE: Colours = Colours {
    back: "var(--chart-back,#ffffff)",
    text: "var(--chart-text,#18212f)",
    muted: "var(--chart-muted,#566273)",
    grid: "var(--chart-grid,#e8ebf0)",
    axis: "var(--chart-axis,#b4bcc8)",
    unknown: "var(--chart-unknown,#cfd5de)",
    sent: "var(--chart-out,#3b5bcc)",
    received: "var(--chart-in,#25a08e)",
};

/// Hatchings, coloured by the style sheet.
pub(super) const PATTERNS: &str = r#"<pattern id="chart-unknown" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="pu" width="1.2" height="6"/></pattern><pattern id="chart-estimated" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><rect class="pe" width="1.8" height="5"/></pattern>"#;

/// The style sheet; all of it below the class of the chart, since a page has others.
pub(super) fn style(skin: Skin) -> String {
    let (colours, size) = match skin {
        Skin::Page => (PAGE, SMALL),
        Skin::Light => (LIGHT, PLAIN),
        Skin::Dark => (DARK, PLAIN),
    };
    let Colours { back, text, muted, grid, axis, unknown, sent, received } = colours;
    let (size, large, huge) = (number(size), number(LARGE), number(HUGE));
    let mut style = format!(
        ".chart text{{font-family:Inter,system-ui,\"Segoe UI\",Roboto,\"Noto Sans\",\"Noto Sans CJK SC\",\"PingFang SC\",\
         \"Microsoft YaHei\",sans-serif;font-size:{size}px;fill:{text};white-space:pre}}\
         .chart .back{{fill:{back}}}\
         .chart .h{{font-size:{large}px;font-weight:600}}\
         .chart .w{{font-size:{huge}px;font-weight:600}}\
         .chart .t{{font-weight:600}}\
         .chart .a,.chart .q,.chart .n{{fill:{muted}}}\
         .chart .n{{stroke:{back};stroke-width:8px;stroke-linejoin:round;paint-order:stroke}}\
         .chart .x,.chart .n{{text-anchor:middle}}\
         .chart .y{{text-anchor:end}}\
         .chart .g{{stroke:{grid};stroke-width:1}}\
         .chart .z{{stroke:{axis}}}\
         .chart .o{{fill:{sent}}}\
         .chart .i{{fill:{received}}}\
         .chart .r{{fill:{grid}}}\
         .chart .u{{fill:url(#chart-unknown)}}\
         .chart .pu{{fill:{unknown}}}\
         .chart .pe{{fill:{back};fill-opacity:.6}}\
         .chart .k{{stroke:{unknown};stroke-width:1}}\
         .chart .e{{fill:url(#chart-estimated)}}\
         .chart .f{{fill:none;pointer-events:all}}"
    );
    if skin == Skin::Page {
        let (gutter, right) = (number(GUTTER), 12);
        let _ = write!(
            style,
            ".chart.patterns{{position:absolute}}.chart:not(.patterns){{display:block;width:calc(100% - {gutter}px - {right}px);margin:0 {right}px 0 {gutter}px;overflow:visible}}\
             .chart .m,.chart .l{{display:none}}\
             @media(min-width:700px){{.chart .s{{display:none}}.chart .m{{display:inline}}}}\
             @media(min-width:1040px){{.chart .m{{display:none}}.chart .l{{display:inline}}}}\
             .chart .b:hover .f,.chart .b:focus .f,.chart .b.on .f{{fill:{grid};fill-opacity:.55}}\
             .chart .b:focus{{outline:none}}"
        );
    } else {
        style.push_str(".chart .b:hover .f{fill:#808890;fill-opacity:.12}");
    }
    style
}

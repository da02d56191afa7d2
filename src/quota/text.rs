//! Texts that leave the machine: names made harmless, and items packed into messages.
//!
//! No message is longer than its channel takes, and each item is in exactly one, so that an item counts as told when
//! the message that lists its key has been accepted. Lengths are UTF-16 units, which is how Telegram counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::instant::Instant;

const ELLIPSIS: char = '…';

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Names the cause, so that the same one is told once.
    pub key: String,
    /// When it came up.
    pub at: Instant,
    /// Shown bold.
    pub title: String,
    /// The lines below the title.
    pub body: Vec<String>,
    /// How it is told when there are many of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub many: Option<Box<Many>>,
    /// The quota and the subject it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Box<About>>,
}

/// What an item is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The source's name.
    pub source: String,
    /// The subject's name.
    pub subject: String,
    /// The quota's name.
    pub quota: String,
}

/// How an item is told together with others of its kind: under one title, with a line for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Many {
    /// The common title, around the number of them.
    pub title: (String, String),
    /// Its own line.
    pub line: String,
    /// The highest come first.
    pub rank: u64,
}

/// More of a kind than these are told as one.
const FEW: usize = 3;
/// Lines of such a list; the others are counted.
const LINES: usize = 30;

/// Items with those that are many of a kind made one each, and which items each such one stands for.
pub fn gather(items: Vec<Item>, more: &dyn Fn(usize) -> String) -> (Vec<Item>, BTreeMap<String, Vec<String>>) {
    let mut kinds: BTreeMap<(String, String), Vec<Item>> = BTreeMap::new();
    let mut order: Vec<Option<(String, String)>> = Vec::new();
    let mut single = Vec::new();
    for item in items {
        match item.many.as_ref().map(|many| many.title.clone()) {
            None => {
                order.push(None);
                single.push(item);
            }
            Some(title) => {
                let kind = kinds.entry(title.clone()).or_default();
                if kind.is_empty() {
                    order.push(Some(title));
                }
                kind.push(item);
            }
        }
    }
    let mut single = single.into_iter();
    let (mut gathered, mut stand_for) = (Vec::new(), BTreeMap::new());
    for title in order {
        match title.and_then(|title| kinds.remove(&title)) {
            None => gathered.extend(single.next()),
            Some(few) if few.len() <= FEW => gathered.extend(few),
            Some(many) => {
                let keys: Vec<String> = many.iter().map(|item| item.key.clone()).collect();
                let one = as_one(many, more);
                stand_for.insert(one.key.clone(), keys);
                gathered.push(one);
            }
        }
    }
    (gathered, stand_for)
}

fn as_one(items: Vec<Item>, more: &dyn Fn(usize) -> String) -> Item {
    let count = items.len();
    let (key, at) = items.iter().map(|item| (item.key.clone(), item.at)).next().unwrap_or_default();
    let mut lines: Vec<Many> = items.into_iter().filter_map(|item| item.many.map(|many| *many)).collect();
    lines.sort_by_key(|many| std::cmp::Reverse(many.rank));
    let title = lines.first().map(|many| format!("{}{count}{}", many.title.0, many.title.1)).unwrap_or_default();
    let mut body: Vec<String> = lines.into_iter().take(LINES).map(|many| many.line).collect();
    body.extend((count > LINES).then(|| more(count - LINES)));
    Item { key, at, title, body, many: None, about: None }
}

/// What is sent in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// From top to bottom.
    pub lines: Vec<Line>,
    /// The keys of the items it tells, those it only counts included.
    pub items: Vec<String>,
}

/// A line of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Without markup.
    pub text: String,
    /// A title.
    pub bold: bool,
}

impl Line {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), bold: false }
    }

    fn bold(text: impl Into<String>) -> Self {
        Self { text: text.into(), bold: true }
    }

    /// What it adds to a message that has a line already.
    fn cost(&self) -> usize {
        utf16_len(&self.text) + 1
    }
}

impl Message {
    /// The lines without markup.
    pub fn plain(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }
}

/// A name from outside, safe to show: what could move the cursor, reorder or hide text is escaped as in `\u{1b}`, and
/// what is longer than `max_chars` is cut.
pub fn clean(text: &str, max_chars: usize) -> String {
    // One character more than fits tells whether anything was cut; escapes are kept or cut as a whole.
    let mut parts = Vec::new();
    let mut length = 0;
    for c in text.chars() {
        let part = if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
        length += part.chars().count();
        parts.push(part);
        if length > max_chars {
            return cut_parts(parts, length, max_chars);
        }
    }
    parts.concat()
}

fn cut_parts(mut parts: Vec<String>, mut length: usize, max_chars: usize) -> String {
    while length >= max_chars {
        let Some(part) = parts.pop() else { break };
        length -= part.chars().count();
    }
    if max_chars > 0 {
        parts.push(ELLIPSIS.into());
    }
    parts.concat()
}

/// Control characters, and those without a width of their own that change how others are shown.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The length in UTF-16 units.
pub fn utf16_len(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The start of a text and an ellipsis, `limit` units at most.
fn cut(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut left = limit.saturating_sub(1);
    for c in text.chars() {
        let Some(after) = left.checked_sub(c.len_utf16()) else { break };
        left = after;
        out.push(c);
    }
    out.push(ELLIPSIS);
    out
}

/// As [`cut`], when it is needed.
fn fit(text: &str, limit: usize) -> String {
    if utf16_len(text) <= limit { text.to_owned() } else { cut(text, limit) }
}

/// Puts items into at most `most` messages of at most `limit` units (32 or more), in order and cut only between items.
///
/// Each message starts with `head`. An item too long for a message of its own is cut. When there is no room for all,
/// the last message ends with `more(n)`, and the `n` items count as told with it.
pub fn pack(head: &str, items: &[Item], more: &dyn Fn(usize) -> String, limit: usize, most: usize) -> Vec<Message> {
    // A quarter at most for the head, and for the last line: half of every message is for items.
    let head = Line::bold(fit(head, limit / 4));
    let room = limit.saturating_sub(utf16_len(&head.text));
    let more = |n: usize| vec![Line::plain(""), Line::plain(fit(&more(n), (limit / 4).saturating_sub(2)))];
    let mut messages = Vec::new();
    let mut rest = items;
    while !rest.is_empty() && messages.len() < most {
        let last = messages.len() + 1 == most;
        let (taken, lines) = if last { fill_last(rest, room, &more) } else { fill(rest, room) };
        let (told, left) = rest.split_at(taken);
        messages.push(Message {
            lines: std::iter::once(head.clone()).chain(lines).collect(),
            items: told.iter().map(|item| item.key.clone()).collect(),
        });
        rest = left;
    }
    messages
}

/// As many items as fit, one at least: how many, and their lines.
fn fill(items: &[Item], room: usize) -> (usize, Vec<Line>) {
    let mut lines = Vec::new();
    let mut left = room;
    for (taken, item) in items.iter().enumerate() {
        let block = block(item);
        let cost = cost(&block);
        if cost > left {
            return if taken == 0 { (1, shorten(block, room)) } else { (taken, lines) };
        }
        left -= cost;
        lines.extend(block);
    }
    (items.len(), lines)
}

/// All items: as many as fit beside the line that counts the others, one at least.
fn fill_last(items: &[Item], room: usize, more: &dyn Fn(usize) -> Vec<Line>) -> (usize, Vec<Line>) {
    let (mut taken, lines) = fill(items, room);
    if taken == items.len() {
        return (taken, lines);
    }
    loop {
        let others = more(items.len() - taken);
        let (fitting, mut lines) = fill(&items[..taken], room.saturating_sub(cost(&others)));
        if fitting == taken {
            lines.extend(others);
            return (items.len(), lines);
        }
        taken = fitting;
    }
}

fn block(item: &Item) -> Vec<Line> {
    let body = item.body.iter().map(Line::plain);
    [Line::plain(""), Line::bold(&item.title)].into_iter().chain(body).collect()
}

fn cost(lines: &[Line]) -> usize {
    lines.iter().map(Line::cost).sum()
}

/// The first lines of a block that is too long, the last of them cut.
fn shorten(block: Vec<Line>, room: usize) -> Vec<Line> {
    let mut left = room;
    let mut kept = Vec::new();
    for line in block {
        // A line more is a line break and an ellipsis at least.
        if line.cost() + 2 > left {
            kept.push(Line { text: cut(&line.text, left.saturating_sub(1)), ..line });
            break;
        }
        left -= line.cost();
        kept.push(line);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(key: &str, title: &str, body: &[&str]) -> Item {
        let body = body.iter().map(ToString::to_string).collect();
        Item { key: key.into(), at: Instant::default(), title: title.into(), body, many: None, about: None }
    }

    fn more(n: usize) -> String {
        format!("and {n} more")
    }

    fn texts(messages: &[Message]) -> Vec<String> {
        messages.iter().map(Message::plain).collect()
    }

    #[test]
    fn names_are_made_harmless() {
        for (text, shown) in [
            ("plain 名字 😀 <b>&`", "plain 名字 😀 <b>&`"),
            ("a\n\t\r\0b", "a\\u{a}\\u{9}\\u{d}\\u{0}b"),
            ("\u{1b}[31m\u{7f}\u{85}\u{9b}", "\\u{1b}[31m\\u{7f}\\u{85}\\u{9b}"),
            (
                "\u{202e}gpj\u{202c}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
                "\\u{202e}gpj\\u{202c}\\u{2066}\\u{2069}\\u{200e}\\u{200f}\\u{61c}",
            ),
            (
                "\u{200b}\u{200d}\u{2060}\u{feff}\u{2028}\u{2029}",
                "\\u{200b}\\u{200d}\\u{2060}\\u{feff}\\u{2028}\\u{2029}",
            ),
        ] {
            assert_eq!(clean(text, 100), shown);
        }
    }

    #[test]
    fn long_names_are_cut() {
        for (text, max, shown) in [
            ("abcde", 5, "abcde"),
            ("abcdef", 5, "abcd…"),
            ("😀😀😀", 2, "😀…"),
            ("ab\u{1b}", 8, "ab\\u{1b}"),
            ("ab\u{1b}", 7, "ab…"),
            ("abc\u{1b}c", 9, "abc…"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
            ("", 0, ""),
        ] {
            assert_eq!(clean(text, max), shown, "{text:?} {max}");
        }
        assert_eq!(clean(&"x".repeat(10_000), 40), format!("{}…", "x".repeat(39)));
    }

    #[test]
    fn lengths_are_utf16_units() {
        assert_eq!(utf16_len("a名😀"), 4);
        assert_eq!(cut("ab😀cd", 4), "ab…");
        assert_eq!(cut("ab😀cd", 5), "ab😀…");
    }

    fn of_kind(key: &str, title: &str, rank: u64) -> Item {
        let many = Many { title: (format!("{title} "), " guests".into()), line: format!("line {key}"), rank };
        Item { many: Some(Box::new(many)), ..item(key, &format!("{title} {key}"), &["long"]) }
    }

    #[test]
    fn few_of_a_kind_are_told_one_by_one() {
        let items = vec![of_kind("a", "A", 0), item("x", "X", &[]), of_kind("b", "A", 9), of_kind("c", "A", 1)];
        let (gathered, stand_for) = gather(items, &more);
        let keys: Vec<&str> = gathered.iter().map(|item| item.key.as_str()).collect();
        assert_eq!((keys, stand_for.is_empty()), (vec!["a", "b", "c", "x"], true), "together, where the first one is");
        assert_eq!(gather(Vec::new(), &more), (Vec::new(), BTreeMap::new()));
    }

    #[test]
    fn many_of_a_kind_are_told_as_one() {
        let mut items = vec![item("x", "X", &[]), of_kind("a", "A", 1), of_kind("other", "B", 5)];
        items.extend([of_kind("b", "A", 7), of_kind("c", "A", 7), item("y", "Y", &[]), of_kind("d", "A", 0)]);
        let (gathered, stand_for) = gather(items, &more);
        let keys: Vec<&str> = gathered.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["x", "a", "other", "y"]);
        assert_eq!(gathered[1].title, "A 4 guests");
        assert_eq!(gathered[1].body, ["line b", "line c", "line a", "line d"], "the highest first, else as they arose");
        assert_eq!(stand_for, BTreeMap::from([("a".into(), ["a", "b", "c", "d"].map(String::from).to_vec())]));
    }

    #[test]
    fn of_very_many_of_a_kind_the_others_are_counted() {
        let items: Vec<Item> = (0..100).map(|n| of_kind(&n.to_string(), "A", n)).collect();
        let (gathered, stand_for) = gather(items, &more);
        assert_eq!((gathered.len(), gathered[0].title.as_str()), (1, "A 100 guests"));
        let body = &gathered[0].body;
        assert_eq!((body.len(), body[0].as_str(), body[30].as_str()), (31, "line 99", "and 70 more"));
        assert_eq!(stand_for["0"].len(), 100);
    }

    #[test]
    fn items_share_a_message() {
        let items = [item("a", "A", &["one", "two"]), item("b", "B", &[])];
        let messages = pack("host", &items, &more, 4096, 3);
        assert_eq!(texts(&messages), ["host\n\nA\none\ntwo\n\nB"]);
        assert_eq!(messages[0].items, ["a", "b"]);
        let bold: Vec<bool> = messages[0].lines.iter().map(|line| line.bold).collect();
        assert_eq!(bold, [true, false, true, false, false, false, true]);
        assert!(pack("host", &[], &more, 4096, 3).is_empty());
        assert!(pack("host", &items, &more, 4096, 0).is_empty());
        assert_eq!(pack("host", &items, &more, usize::MAX, 1), messages);
    }

    #[test]
    fn messages_are_cut_between_items() {
        let items: Vec<Item> = (0..5).map(|n| item(&n.to_string(), "0123456789", &["abcdefghij"])).collect();
        let messages = pack("h", &items, &more, 60, 3);
        let two = "h\n\n0123456789\nabcdefghij\n\n0123456789\nabcdefghij";
        assert_eq!(texts(&messages), [two, two, "h\n\n0123456789\nabcdefghij"]);
    }

    #[test]
    fn what_is_left_over_is_counted() {
        let items: Vec<Item> = (0..5).map(|n| item(&n.to_string(), "0123456789", &["abcdefghij"])).collect();
        let messages = pack("h", &items, &more, 56, 2);
        assert_eq!(messages[1].plain(), "h\n\n0123456789\nabcdefghij\n\nand 2 more");
        assert_eq!(messages[1].items, ["2", "3", "4"]);
    }

    #[test]
    fn a_long_item_is_cut() {
        let items = [item("a", "title", &[&"x".repeat(100), "tail"]), item("b", "B", &[])];
        let messages = pack("h", &items, &more, 40, 3);
        assert_eq!(texts(&messages), [format!("h\n\ntitle\n{}…", "x".repeat(30)), "h\n\nB".into()]);
        let last = pack("h", &items, &more, 60, 1);
        assert_eq!(last[0].plain(), format!("h\n\ntitle\n{}…\n\nand 1 more", "x".repeat(38)));
        assert_eq!(last[0].items, ["a", "b"]);
    }

    #[test]
    fn an_emoji_at_the_cut_stays_whole() {
        for limit in 32..80 {
            let messages = pack("h", &[item("a", "t", &[&"😀".repeat(100)])], &more, limit, 3);
            let text = messages[0].plain();
            assert!(text.ends_with("😀…") && utf16_len(&text) >= limit - 1, "{limit} {text}");
            assert!(utf16_len(&text) <= limit);
        }
    }

    fn some_item() -> impl Strategy<Value = (String, Vec<String>)> {
        ("[a-z😀名]{0,60}", proptest::collection::vec("[a-z😀\n]{0,90}", 0..6))
    }

    proptest! {
        #[test]
        fn each_item_once_and_no_message_too_long(
            head in "[a-z😀]{0,60}",
            tail in "[a-z😀]{0,40}",
            parts in proptest::collection::vec(some_item(), 0..30),
            limit in 32_usize..400,
            most in 1_usize..5,
        ) {
            let named = |(at, (title, body)): (usize, (String, Vec<String>))| {
                Item { key: at.to_string(), at: Instant::default(), title, body, many: None, about: None }
            };
            let items: Vec<Item> = parts.into_iter().enumerate().map(named).collect();
            let messages = pack(&head, &items, &|n| format!("{n}{tail}"), limit, most);
            prop_assert!(messages.len() <= most);
            let told: Vec<String> = messages.iter().flat_map(|message| message.items.clone()).collect();
            let keys: Vec<String> = items.iter().map(|item| item.key.clone()).collect();
            prop_assert_eq!(told, keys);
            for message in &messages {
                prop_assert!(utf16_len(&message.plain()) <= limit);
                prop_assert!(message.lines[0].bold);
                let shown = message.lines.iter().filter(|line| line.bold).count() - 1;
                let counted = message.items.len() - shown;
                prop_assert!(shown > 0);
                if counted > 0 {
                    let last = &message.lines[message.lines.len() - 1];
                    prop_assert_eq!(message, &messages[most - 1]);
                    prop_assert_eq!(&last.text, &fit(&format!("{counted}{tail}"), limit / 4 - 2));
                }
            }
        }

        #[test]
        fn a_name_is_never_longer_than_asked(text in "\\PC{0,40}|[\\x00-\\x20]{0,20}", max in 0_usize..50) {
            prop_assert!(clean(&text, max).chars().count() <= max);
            prop_assert!(!clean(&text, max).chars().any(is_hidden));
        }
    }
}

//! Telegram's HTML mode, strictly: known tags only, balanced, `&`, `<` and `>` escaped.

/// Tags Telegram knows; an attribute is allowed on those that take one.
const TAGS: &[(&str, &[&str])] = &[
    ("b", &[]),
    ("strong", &[]),
    ("i", &[]),
    ("em", &[]),
    ("u", &[]),
    ("ins", &[]),
    ("s", &[]),
    ("strike", &[]),
    ("del", &[]),
    ("span", &["class"]),
    ("tg-spoiler", &[]),
    ("a", &["href"]),
    ("tg-emoji", &["emoji-id"]),
    ("code", &["class"]),
    ("pre", &[]),
    ("blockquote", &["expandable"]),
];

const ENTITIES: &[(&str, char)] = &[("lt", '<'), ("gt", '>'), ("amp", '&'), ("quot", '"')];

/// The text a reader sees, or why Telegram refuses it.
pub fn visible(html: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '>', '&']) {
        text.push_str(&rest[..at]);
        let offset = html.len() - rest.len() + at;
        let (mark, after) = rest[at..].split_at(1);
        let end_of = |end: char| after.find(end).ok_or_else(|| format!("unclosed {mark} at byte offset {offset}"));
        match mark {
            "&" => {
                let end = end_of(';')?;
                text.push(entity(&after[..end]).ok_or_else(|| format!("bare & at byte offset {offset}"))?);
                rest = &after[end + 1..];
            }
            "<" => {
                let end = end_of('>')?;
                tag(&after[..end], &mut open).map_err(|why| format!("{why} at byte offset {offset}"))?;
                rest = &after[end + 1..];
            }
            _ => return Err(format!("bare > at byte offset {offset}")),
        }
    }
    text.push_str(rest);
    match open.last() {
        Some(name) => Err(format!("can't find end tag corresponding to start tag \"{name}\"")),
        None => Ok(text),
    }
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        return match number.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => number.parse().ok(),
        }
        .and_then(char::from_u32);
    }
    ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, c)| *c)
}

fn tag<'a>(inside: &'a str, open: &mut Vec<&'a str>) -> Result<(), String> {
    if let Some(name) = inside.strip_prefix('/') {
        return match open.pop() {
            Some(expected) if expected == name => Ok(()),
            Some(expected) => Err(format!("unmatched end tag, expected \"</{expected}>\", found \"</{name}>\"")),
            None => Err(format!("unexpected end tag \"</{name}>\"")),
        };
    }
    let (name, attribute) = inside.split_once(' ').unwrap_or((inside, ""));
    let (_, allowed) =
        TAGS.iter().find(|(known, _)| *known == name).ok_or(format!("unsupported start tag \"{name}\""))?;
    let attribute = attribute.split('=').next().unwrap_or_default();
    if !attribute.is_empty() && !allowed.contains(&attribute) {
        return Err(format!("unsupported attribute \"{attribute}\" of \"{name}\""));
    }
    open.push(name);
    Ok(())
}

#[test]
fn a_text_is_seen_as_a_reader_sees_it() {
    assert_eq!(visible("<b>eth0</b>: 81 % &lt;of&gt; 1 &amp; 2").as_deref(), Ok("eth0: 81 % <of> 1 & 2"));
}

#[test]
fn markup_that_telegram_refuses_is_refused() {
    for html in [
        "a & b",
        "a < b",
        "a > b",
        "<b>a",
        "a</b>",
        "<b><i>a</b></i>",
        "<script>a</script>",
        "<b class=\"x\">a</b>",
        "&copy;",
    ] {
        assert!(visible(html).is_err(), "{html}");
    }
}

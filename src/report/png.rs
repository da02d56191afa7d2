//! Pictures as PNG, drawn from their SVG.
//!
//! Latin letters are always those of the fonts that come with the program, so that a picture is the same on every
//! machine, and there is one on a machine without any font. Only for other characters are the machine's fonts looked at,
//! one after the other until all are found.
//!
//! What no font has is never left out, nor an empty box: a text with `data-plain` becomes that (Chinese words their
//! English ones, a guest's name its id, by which every other output knows it), and what then is left is written as
//! its code points, `[4E2D 6587]`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, ID, Source};
use resvg::usvg::roxmltree::{Document, Node};
use resvg::usvg::{FontResolver, Options, Tree};
use skrifa::MetadataProvider as _;
use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, OutlinePen};

use super::chart::{escape, fit};

const REGULAR: &[u8] = include_bytes!("fonts/regular.otf");
const SEMIBOLD: &[u8] = include_bytes!("fonts/semibold.otf");

/// Where machines have their fonts.
const FOLDERS: [&str; 4] = [
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/texmf/fonts/opentype",
    "/run/current-system/sw/share/X11/fonts",
];
/// How deep these are looked into: links may lead round in a circle.
const DEPTH: usize = 6;
/// Fonts looked at for a picture: a machine may have thousands.
const FILES: usize = 3000;
/// Pixels on a side: more is nobody's picture.
const SIDE: f32 = 16_384.0;

/// An SVG as a PNG, this many times as large.
///
/// # Errors
///
/// Says what is wrong with the SVG or its size.
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>, String> {
    draw(svg, scale, &FOLDERS.map(Path::new))
}

fn draw(svg: &str, scale: f32, folders: &[&Path]) -> Result<Vec<u8>, String> {
    let document = Document::parse(svg).map_err(|error| format!("the picture is no SVG: {error}"))?;
    let fonts = Fonts::for_texts(&document, folders);
    let rewritten = rewritten(svg, &document, &fonts);
    let tree = tree(rewritten.as_deref().unwrap_or(svg), fonts)?;
    let size = tree.size();
    let side = |length: f32| (length * scale).round();
    let (width, height) = (side(size.width()), side(size.height()));
    let fits = |length: f32| (1.0..=SIDE).contains(&length);
    if !fits(width) || !fits(height) {
        return Err(format!("a picture of {width} x {height} pixels cannot be drawn"));
    }
    let pixels = Pixmap::new(width as u32, height as u32);
    let mut pixels = pixels.ok_or_else(|| format!("no memory for {width} x {height} pixels"))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| format!("the picture cannot be written as PNG: {error}"))
}

fn tree(svg: &str, fonts: Fonts) -> Result<Tree, String> {
    let Fonts { database, regular, semibold, .. } = fonts;
    let options = Options {
        font_resolver: FontResolver {
            select_font: Box::new(move |font, _| if font.weight() >= 600 { semibold } else { regular }),
            select_fallback: Box::new(|c, used, database| {
                let mut others = database.faces().map(|face| face.id).filter(|id| !used.contains(id));
                others.find(|id| draws(database, *id, c))
            }),
        },
        fontdb: Arc::new(database),
        ..Options::default()
    };
    Tree::from_str(svg, &options).map_err(|error| format!("the picture is no SVG: {error}"))
}

/// The fonts of a picture.
struct Fonts {
    database: Database,
    /// Those of the program.
    regular: Option<ID>,
    semibold: Option<ID>,
    /// The characters that none has.
    missing: BTreeSet<char>,
}

impl Fonts {
    /// The program's fonts, and as many of the machine's as the texts of a document need.
    fn for_texts(document: &Document<'_>, folders: &[&Path]) -> Self {
        let mut database = Database::new();
        let mut add = |font: &'static [u8]| database.load_font_source(Source::Binary(Arc::new(font))).first().copied();
        let (regular, semibold) = (add(REGULAR), add(SEMIBOLD));
        let mut missing: BTreeSet<char> = texts(document).flat_map(both).flat_map(str::chars).collect();
        // Not drawn by any font, and no reason to look for one.
        missing.retain(|c| !c.is_whitespace());
        let mut fonts = Self { database, regular, semibold, missing };
        for own in [regular, semibold].into_iter().flatten() {
            fonts.cross_off(own);
        }
        if !fonts.missing.is_empty() {
            fonts.search(folders);
        }
        fonts
    }

    /// Takes from what is missing what a font has; whether it was of any use.
    fn cross_off(&mut self, font: ID) -> bool {
        let before = self.missing.len();
        let found = drawn(&self.database, font, &self.missing);
        self.missing.retain(|c| !found.contains(c));
        self.missing.len() < before
    }

    fn search(&mut self, folders: &[&Path]) {
        let mut files = Vec::new();
        for folder in folders {
            collect(folder, DEPTH, &mut files);
        }
        files.sort_by_cached_key(|file| (rank(file), file.clone()));
        for file in files {
            if self.missing.is_empty() {
                break;
            }
            for font in self.database.load_font_source(Source::File(file)) {
                if !self.cross_off(font) {
                    self.database.remove_face(font);
                }
            }
        }
    }
}

/// The font files in a folder and those below it.
fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    // A folder that is not there, or not for this user to read, has no fonts.
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if files.len() >= FILES {
            return;
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        if matches!(ending.as_str(), "ttf" | "otf" | "ttc" | "otc") {
            files.push(path);
        } else if depth > 0 && path.is_dir() {
            collect(&path, depth - 1, files);
        }
    }
}

/// Where in the order of search a font is, by its file's name: plain ones with many characters first.
fn rank(file: &Path) -> i32 {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let many = ["cjk", "wqy", "fallback", "hansans", "han-sans", "unifont", "misans", "harmonyos"];
    let odd = ["bold", "italic", "oblique", "thin", "light", "black", "mono", "serif", "condensed", "emoji"];
    let count = |words: &[&str]| words.iter().filter(|word| name.contains(**word)).count() as i32;
    count(&odd) - 3 * count(&many) - count(&["regular"])
}

/// Which of some characters a font has a drawing for.
fn drawn(database: &Database, font: ID, characters: &BTreeSet<char>) -> BTreeSet<char> {
    let of_face = |data: &[u8], index: u32| {
        let face = skrifa::FontRef::from_index(data, index).ok()?;
        let (map, outlines) = (face.charmap(), face.outline_glyphs());
        let visible = |c: &&char| {
            let outline = map.map(**c).and_then(|glyph| outlines.get(glyph));
            let mut pen = Strokes::default();
            let settings = DrawSettings::unhinted(Size::unscaled(), LocationRef::default());
            outline.is_some_and(|outline| outline.draw(settings, &mut pen).is_ok() && pen.any)
        };
        Some(characters.iter().filter(visible).copied().collect())
    };
    database.with_face_data(font, of_face).flatten().unwrap_or_default()
}

fn draws(database: &Database, font: ID, c: char) -> bool {
    drawn(database, font, &BTreeSet::from([c])).contains(&c)
}

/// Whether a glyph has any line: pictures in colour, which are not drawn, and empty glyphs have none.
#[derive(Default)]
struct Strokes {
    any: bool,
}

impl OutlinePen for Strokes {
    fn move_to(&mut self, _: f32, _: f32) {}

    fn line_to(&mut self, _: f32, _: f32) {
        self.any = true;
    }

    fn quad_to(&mut self, _: f32, _: f32, _: f32, _: f32) {
        self.any = true;
    }

    fn curve_to(&mut self, _: f32, _: f32, _: f32, _: f32, _: f32, _: f32) {
        self.any = true;
    }

    fn close(&mut self) {}
}

/// The texts that are drawn.
fn texts<'a>(document: &'a Document<'_>) -> impl Iterator<Item = Node<'a, 'a>> {
    let is_drawn = |node: &Node<'_, '_>| node.is_text() && node.parent().is_some_and(|up| up.has_tag_name("text"));
    document.descendants().filter(move |node| is_drawn(node))
}

/// What a text says, and what stands in for it.
fn both<'a>(text: Node<'a, 'a>) -> impl Iterator<Item = &'a str> {
    text.text().into_iter().chain(text.parent().and_then(|element| element.attribute("data-plain")))
}

/// The document with other words for what no font has; none if there is nothing of that kind.
fn rewritten(svg: &str, document: &Document<'_>, fonts: &Fonts) -> Option<String> {
    if fonts.missing.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(svg.len());
    let mut done = 0;
    for node in texts(document) {
        let range = node.range();
        let before = svg.get(done..range.start)?;
        out.push_str(before);
        out.push_str(&escape(&words(node, &fonts.missing)));
        done = range.end;
    }
    out.push_str(svg.get(done..)?);
    Some(out)
}

/// What is written for a text, as wide as it may be.
fn words(text: Node<'_, '_>, missing: &BTreeSet<char>) -> String {
    let shown = text.text().unwrap_or_default();
    let lacks = |words: &str| words.chars().any(|c| missing.contains(&c));
    if !lacks(shown) {
        return shown.to_owned();
    }
    let element = text.parent();
    let attribute = |name| element.and_then(|element| element.attribute(name));
    let plain = spelt(attribute("data-plain").unwrap_or(shown), missing);
    let room: Option<f64> = attribute("data-ems").and_then(|ems| ems.parse().ok());
    room.map_or_else(|| plain.clone(), |ems| fit(&plain, ems))
}

/// A text with the code points of what is missing: those of neighbours in one pair of brackets.
fn spelt(text: &str, missing: &BTreeSet<char>) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        let lacking = missing.contains(&c);
        match (inside, lacking) {
            (false, true) => out.push('['),
            (true, true) => out.push(' '),
            (true, false) => out.push(']'),
            (false, false) => {}
        }
        if lacking {
            out.push_str(&format!("{:04X}", u32::from(c)));
        } else {
            out.push(c);
        }
        inside = lacking;
    }
    if inside { out + "]" } else { out }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use resvg::usvg::{Group, Rect};

    use super::*;
    use crate::report::chart::tests::{CHINESE, DAY, LOOKS, MONTH, hostile, reports, with_marks};
    use crate::report::chart::{Look, Skin, svg};

    fn decoded(svg: &str, scale: f32) -> Pixmap {
        Pixmap::decode_png(&draw(svg, scale, &[]).unwrap()).unwrap()
    }

    /// What is written on machines without a font.
    fn bare(svg: &str) -> String {
        let document = Document::parse(svg).unwrap();
        let fonts = Fonts::for_texts(&document, &[]);
        rewritten(svg, &document, &fonts).unwrap_or_else(|| svg.to_owned())
    }

    /// The outlines of all texts, with what they say.
    fn outlines(group: &Group, found: &mut Vec<(String, Rect)>) {
        for node in group.children() {
            match node {
                resvg::usvg::Node::Group(group) => outlines(group, found),
                resvg::usvg::Node::Text(text) => {
                    let words = text.chunks().iter().map(|chunk| chunk.text()).collect();
                    found.push((words, text.flattened().abs_bounding_box()));
                }
                _ => {}
            }
        }
    }

    fn written(svg: &str) -> Vec<(String, Rect)> {
        let fonts = Fonts::for_texts(&Document::parse(svg).unwrap(), &[]);
        let tree = tree(svg, fonts).unwrap();
        let mut found = Vec::new();
        outlines(tree.root(), &mut found);
        found
    }

    #[test]
    fn a_picture_has_its_size_its_ground_and_something_on_it() {
        for (skin, ground) in [(Skin::Light, [255, 255, 255]), (Skin::Dark, [18, 23, 31])] {
            let picture = decoded(&svg(&DAY.report(), Look::phone(skin)), 2.0);
            assert_eq!(picture.width(), 1080);
            assert!(picture.height() > 800);
            let corner = picture.pixel(0, 0).unwrap();
            assert_eq!([corner.red(), corner.green(), corner.blue()], ground);
            let colours: BTreeSet<[u8; 3]> =
                picture.pixels().iter().map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect();
            assert!(colours.len() > 50, "{} colours", colours.len());
        }
    }

    #[test]
    fn without_any_font_every_text_is_drawn_all_the_same() {
        for report in [DAY.report(), with_marks(), CHINESE.report(), hostile()] {
            let text = bare(&svg(&report, Look::phone(Skin::Light)));
            let document = Document::parse(&text).unwrap();
            let missing = Fonts::for_texts(&document, &[]).missing;
            for node in texts(&document) {
                assert!(!node.text().unwrap().chars().any(|c| missing.contains(&c)), "{:?}", node.text());
            }
            let written = written(&text);
            assert_eq!(written.len(), texts(&document).count());
            for (words, place) in written {
                // An "l" alone is three pixels wide.
                assert!(place.width() > 2.0 * words.chars().count() as f32, "{words} is {} wide", place.width());
            }
        }
    }

    #[test]
    fn what_no_font_has_is_said_otherwise() {
        let mut report = CHINESE.report();
        report.rows[2].label = "\u{90ae}\u{4ef6}2".to_owned();
        report.rows[2].subject = "\u{90ae}\u{4ef6}-2".to_owned();
        let text = bare(&svg(&report, Look::phone(Skin::Light)));
        let document = Document::parse(&text).unwrap();
        let shown: Vec<&str> = texts(&document).filter_map(|node| node.text()).collect();
        for words in ["Nov 2026 · 3 subjects", "Used most", "qemu/100", "qemu/101", "[90AE 4EF6]-2", "Out 5.92 TB"] {
            assert!(shown.contains(&words), "{words} is not among {shown:#?}");
        }
    }

    #[test]
    fn code_points_of_neighbours_are_in_one_pair_of_brackets() {
        let missing = BTreeSet::from(['\u{4e2d}', '\u{6587}', '\u{1f600}']);
        for (text, expected) in [
            ("\u{4e2d}\u{6587}", "[4E2D 6587]"),
            ("a\u{4e2d}b\u{1f600}", "a[4E2D]b[1F600]"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(spelt(text, &missing), expected);
        }
    }

    #[test]
    fn a_font_that_has_the_characters_is_found_and_draws_them() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        // The nearest to another's font that is there anywhere: the program's own, in place of none.
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/fonts/regular.otf"), deep.join("x.otf"))
            .unwrap();
        std::os::unix::fs::symlink(folder.path(), deep.join("round")).unwrap();
        let (database, missing) = (Database::new(), BTreeSet::from(['A', '\u{4e2d}']));
        let mut fonts = Fonts { database, regular: None, semibold: None, missing };
        fonts.search(&[Path::new("/nowhere"), folder.path()]);
        assert_eq!(fonts.missing, BTreeSet::from(['\u{4e2d}']), "it has one of both");
        assert_eq!(fonts.database.len(), 1, "what is of no use does not stay");
        let font = fonts.database.faces().next().unwrap().id;
        assert!(draws(&fonts.database, font, 'A') && !draws(&fonts.database, font, '\u{4e2d}'));
        assert!(!draws(&fonts.database, font, ' '), "nothing is to be seen of it");
    }

    #[test]
    fn files_that_are_no_fonts_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("a.ttf", &b"no font"[..]), ("b.otf", b""), ("c.ttc", &[0; 4096]), ("d.txt", b"x")] {
            let mut file = std::fs::File::create(folder.path().join(name)).unwrap();
            std::io::Write::write_all(&mut file, content).unwrap();
        }
        let text = svg(&CHINESE.report(), Look::phone(Skin::Light));
        assert_eq!(draw(&text, 1.0, &[folder.path()]).unwrap(), draw(&text, 1.0, &[]).unwrap());
    }

    #[test]
    fn fonts_with_many_characters_come_first() {
        let mut files: Vec<PathBuf> =
            ["NotoEmoji.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc"]
                .map(PathBuf::from)
                .into();
        files.sort_by_key(|file| rank(file));
        let expected = ["NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "NotoEmoji.ttf", "DejaVuSerif-Bold.ttf"];
        assert_eq!(files, expected.map(PathBuf::from));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let good = svg(&DAY.report(), Look::phone(Skin::Light));
        for (text, scale, expected) in [
            ("", 1.0, "the picture is no SVG"),
            ("<svg", 1.0, "the picture is no SVG"),
            ("<html/>", 1.0, "the picture is no SVG"),
            (good.as_str(), 0.0, "a picture of 0 x 0 pixels cannot be drawn"),
            (good.as_str(), 1e9, "a picture of"),
            (good.as_str(), f32::NAN, "a picture of NaN"),
        ] {
            let error = draw(text, scale, &[]).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn every_look_of_hostile_names_can_be_drawn() {
        for look in LOOKS().into_iter().filter(|look| look.skin != Skin::Page) {
            draw(&svg(&hostile(), look), 1.0, &[]).unwrap();
        }
        draw(&svg(&MONTH.report(), Look::wide(Skin::Dark)), 1.0, &[]).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_text_runs_into_another_or_out_of_the_picture(report in reports()) {
            for look in [Look::phone(Skin::Light), Look::wide(Skin::Dark)] {
                let written = written(&bare(&svg(&report, look)));
                for (index, (words, place)) in written.iter().enumerate() {
                    let inside = place.left() >= 0.0 && place.right() <= f32::from(look.width);
                    prop_assert!(inside, "{words:?} is from {} to {}", place.left(), place.right());
                    for (others, other) in &written[index + 1..] {
                        let apart = place.right() <= other.left() || other.right() <= place.left()
                            || place.bottom() <= other.top() || other.bottom() <= place.top();
                        prop_assert!(apart, "{words:?} at {place:?} runs into {others:?} at {other:?}");
                    }
                }
            }
        }
    }
}

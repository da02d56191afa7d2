//! What must hold between the README, the repository and the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{Machine, binary};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn text(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A fenced block: its language and its lines.
#[derive(Debug)]
struct Block {
    language: String,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some(Block { language: language.to_owned(), text: String::new() }),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "an unclosed code block");
    blocks
}

/// Without comments and the blanks before them: those are translated.
fn bare(block: &Block) -> Vec<String> {
    let cut = |line: &str| {
        let mut quoted = false;
        let end = line.char_indices().find(|(_, c)| {
            quoted ^= *c == '"';
            *c == '#' && !quoted
        });
        line[..end.map_or(line.len(), |(at, _)| at)].trim_end().to_owned()
    };
    block.text.lines().map(cut).filter(|line| !line.is_empty()).collect()
}

/// The first cells of the rows of the table whose header has this as its first cell; code marks are taken off.
fn first_column(markdown: &str, header: &str) -> Vec<String> {
    let cell = |line: &str| line.trim_matches('|').split('|').next().unwrap_or_default().trim().to_owned();
    let rows = markdown.lines().skip_while(|line| !line.starts_with('|') || cell(line) != header);
    rows.skip(2).take_while(|line| line.starts_with('|')).map(|line| cell(line).replace('`', "")).collect()
}

#[test]
fn both_readmes_show_the_same_commands_and_configurations() {
    let (english, chinese) = (blocks(&text("README.md")), blocks(&text("README.zh-CN.md")));
    assert!(english.len() >= 3, "a README has examples");
    assert_eq!(english.len(), chinese.len(), "as many code blocks");
    for (english, chinese) in english.iter().zip(&chinese) {
        assert_eq!(english.language, chinese.language);
        if english.language != "text" {
            assert_eq!(bare(english), bare(chinese));
        }
    }
}

#[test]
fn every_configuration_of_the_readme_is_accepted() {
    for readme in ["README.md", "README.zh-CN.md"] {
        let blocks = blocks(&text(readme));
        let configurations: Vec<&Block> = blocks.iter().filter(|block| block.language == "toml").collect();
        assert!(configurations.len() >= 2, "{readme} shows configurations");
        for block in configurations {
            let machine = Machine::new().config(&block.text.replace('…', "x"));
            let run = machine.run(&["config", "check"]);
            assert_eq!(run.code(), 0, "{readme}:\n{}\n{}", block.text, run.stderr);
        }
    }
}

#[test]
fn the_readme_has_the_two_commands() {
    for readme in ["README.md", "README.zh-CN.md"] {
        let readme = text(readme);
        for command in ["cargo run --release -- check", "./test"] {
            let shown = blocks(&readme).iter().any(|block| block.text.lines().any(|line| line == command));
            assert!(shown, "no code block has the line {command:?}");
        }
    }
}

#[test]
fn the_table_of_exit_codes_is_complete() {
    assert_eq!(first_column(&text("README.md"), "exit code"), ["0", "1", "2", "3", "75"]);
    assert_eq!(first_column(&text("README.zh-CN.md"), "退出码"), ["0", "1", "2", "3", "75"]);
}

#[test]
fn the_table_of_commands_is_what_the_program_knows() {
    let help = Command::new(binary()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(known.contains(&"check") && known.contains(&"status"), "{help}");
    for (readme, header) in [("README.md", "command"), ("README.zh-CN.md", "命令")] {
        let column = first_column(&text(readme), header);
        let mut shown: Vec<&str> = column.iter().filter_map(|cell| cell.split_whitespace().next()).collect();
        shown.dedup();
        for name in &known {
            assert!(shown.contains(name), "{readme} does not tell of {name}: {shown:?}");
        }
        for name in &shown {
            assert!(known.contains(name), "{readme} tells of {name}, which the program does not know");
        }
    }
}

/// The kinds the program knows, as it tells them itself when one is mistyped.
fn kinds(table: &str) -> Vec<String> {
    let machine = Machine::new().config(&format!("[{table}.x]\nkind = \"no-such-kind\"\n"));
    let error = machine.run(&["config", "check"]).exits(2).stderr;
    let line = error.lines().find(|line| line.contains("no-such-kind")).unwrap_or_else(|| panic!("{error}"));
    let known = line.split("no-such-kind").nth(1).unwrap();
    let name = |word: &str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    known.split([',', ' ']).map(name).filter(|word| README_KINDS.contains(&word.as_str())).collect()
}

/// Every kind there may ever be, by the table it belongs to; what a version knows of them it tells itself.
const README_KINDS: &[&str] = &[
    "interface",
    "huawei",
    "pve",
    "nodes",
    "tunnel",
    "telegram",
    "shutdown",
    "command",
    "stop-server",
    "pve-shutdown",
    "pve-stop",
    "pve-disconnect",
    "pve-rate-limit",
    "rate-limit",
];

#[test]
fn the_readme_tells_of_every_kind() {
    for (table, at_least) in [("source", "interface"), ("notifier", "telegram"), ("action", "shutdown")] {
        let kinds = kinds(table);
        assert!(kinds.iter().any(|kind| kind == at_least), "the error names the {table}s there are: {kinds:?}");
        for readme in ["README.md", "README.zh-CN.md"] {
            let readme_text = text(readme);
            for kind in &kinds {
                assert!(readme_text.contains(&format!("`{kind}`")), "{readme} does not tell of the {table} {kind}");
            }
        }
    }
}

/// All files of the repository, without what is built.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![repository().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != ".git" {
                open.push(path);
            } else if path.is_file() && name != ".git" && name != "Cargo.lock" {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn no_file_has_unfinished_marks_or_left_over_prints() {
    let marks = ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}"));
    let marks: Vec<String> = marks.chain(["dbg", "todo", "unimplemented"].map(|name| format!("{name}!("))).collect();
    let files = files();
    assert!(files.len() > 20, "the repository was found: {files:?}");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{} has {mark}", file.display());
        }
    }
}

#[test]
fn scripts_can_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    for name in ["test", ".ci/run"] {
        let mode = fs::metadata(repository().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{name}");
        assert!(text(name).starts_with("#!/usr/bin/env bash\n"), "{name}");
    }
}

#[test]
fn the_readme_tells_of_every_key_in_force() {
    let english = text("README.md");
    let mut keys = std::collections::BTreeSet::new();
    for block in blocks(&english).iter().filter(|block| block.language == "toml") {
        let machine = Machine::new().config(&block.text);
        let shown = machine.run(&["config", "show"]).exits(0).stdout;
        let key = |line: &str| line.split_once(" = ").map(|(key, _)| key.trim().to_owned());
        keys.extend(shown.lines().filter(|line| !line.starts_with('#')).filter_map(key));
    }
    assert!(keys.len() >= 25, "{keys:?}");
    for readme in ["README.md", "README.zh-CN.md"] {
        let readme_text = text(readme);
        for key in &keys {
            assert!(readme_text.contains(&format!("`{key}`")), "{readme} does not tell of the key {key}");
        }
    }
}

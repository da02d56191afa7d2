//! The shape of the source: who may import whom, and what each kind needs.

use std::path::{Path, PathBuf};

use crate::enforce::ACTIONS;
use crate::notify::NOTIFIERS;
use crate::quota::state::State;
use crate::sources::SOURCES;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[allow(clippy::disallowed_methods, reason = "a test reads the sources")]
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
    found
}

/// A folder of `src`, and the crate's modules its code must not mention.
const NOT_FOR: &[(&str, &[&str])] = &[
    ("quota", &["config", "sources", "notify", "enforce", "store", "host", "check", "error", "log"]),
    ("host", &["config", "sources", "notify", "enforce", "store", "check"]),
    ("store", &["config", "sources", "notify", "enforce", "host", "check"]),
    ("api", &["sources", "notify", "enforce", "store", "check"]),
    ("sources", &["notify", "enforce", "store", "check"]),
    ("enforce", &["sources", "notify", "store", "check"]),
    ("notify", &["sources", "enforce", "store", "check"]),
    ("config", &["store", "check"]),
    ("history", &["sources", "notify", "enforce", "check", "report"]),
    ("report", &["sources", "enforce", "check"]),
    ("serve", &["sources", "enforce", "check"]),
    ("fleet", &["config", "sources", "notify", "enforce", "store", "host", "check", "serve"]),
    ("status", &["sources", "notify", "enforce", "store", "host", "check"]),
];

#[test]
fn folders_import_only_what_they_may() {
    let mut wrong = Vec::new();
    for (folder, forbidden) in NOT_FOR {
        for file in files(&root().join("src").join(folder), "rs") {
            for name in *forbidden {
                if text(&file).contains(&format!("crate::{name}::")) {
                    wrong.push(format!("{} mentions {name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the rules must not know of, with the one module that wraps it.
#[test]
fn the_rules_are_pure() {
    let impure = ["std::fs", "std::env", "std::process", "std::net", "std::thread", "SystemTime", "ureq", "std::io"];
    for file in files(&root().join("src/quota"), "rs") {
        let text = text(&file);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in impure {
            assert!(!code.contains(word), "{} mentions {word}", file.display());
        }
        let zones = file.ends_with("zone.rs");
        assert!(zones || !code.contains("jiff::"), "{} uses jiff: only zone.rs does", file.display());
    }
}

#[test]
fn every_module_says_what_it_is() {
    for file in files(&root().join("src"), "rs") {
        assert!(text(&file).starts_with("//! "), "{} has no header", file.display());
    }
}

#[test]
fn every_kind_is_in_both_readmes() {
    let kinds = SOURCES.iter().map(|(kind, _)| *kind);
    let kinds = kinds.chain(NOTIFIERS.iter().map(|(kind, _)| *kind)).chain(ACTIONS.iter().map(|(kind, _)| *kind));
    for kind in kinds {
        for readme in ["README.md", "README.zh-CN.md"] {
            assert!(text(&root().join(readme)).contains(&format!("`{kind}`")), "{readme} lacks {kind}");
        }
    }
}

#[test]
fn an_example_of_every_state_version_is_loaded_and_comes_back_the_same() {
    for version in 1..=crate::quota::state::VERSION {
        let document = text(&root().join(format!("state/v{version}.json")));
        let state = State::read(document.as_bytes()).unwrap();
        let again = State::read(&state.write().unwrap()).unwrap();
        assert_eq!(again, state);
        if version == crate::quota::state::VERSION {
            let value = |document: &[u8]| serde_json::from_slice::<serde_json::Value>(document).unwrap();
            assert_eq!(value(&state.write().unwrap()), value(document.as_bytes()), "every field of it is known");
        }
        assert!(!state.sources.is_empty() && !state.outbox.is_empty() && !state.problems.is_empty(), "too plain");
    }
}

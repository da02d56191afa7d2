//! What nodes report to a hub, and what the hub keeps of it.
//!
//! A node speaks by [`report::Report`]; the hub keeps a [`record::Record`] for each node, in a file of its own below the
//! spool folder ([`record::file_name`]). `serve` writes them, the source `nodes` reads them.
//!
//! Why the wire format is another program's: nodes that have its client report to this hub unchanged, and `push` reports
//! to its server. What is ours alone stands under one key that others ignore.

pub mod record;
pub mod report;

use std::path::{Path, PathBuf};

/// The spool folder, unless a source of nodes names another.
pub fn spool(state_dir: &Path) -> PathBuf {
    state_dir.join("spool")
}

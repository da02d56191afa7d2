//! From documents to the state: the current one, else the one of the run before, never silently from zero.

use super::Documents;
use crate::error::{Error, Result};
use crate::quota::state::{State, Unreadable, VERSION};

/// What was found.
pub struct Loaded {
    /// The state to go on from.
    pub state: State,
    /// Whether the current one was broken.
    pub broken: Option<Broken>,
}

/// A state that could not be used.
pub struct Broken {
    /// Why.
    pub why: String,
    /// Whether the run before left one that could.
    pub from_previous: bool,
}

/// Loads the state. A newer version and a file that cannot be read end the command; a broken one does not.
pub fn load(documents: &dyn Documents) -> Result<Loaded> {
    let io = |error: std::io::Error| Error::failed(error.to_string());
    let previous = || documents.previous().map_err(io);
    let why = match documents.current().map_err(io)? {
        Some(document) => match State::read(&document) {
            Ok(state) => return Ok(Loaded { state, broken: None }),
            Err(Unreadable::Newer(version)) => return Err(newer(version)),
            Err(Unreadable::Broken(why)) => format!("state.json is broken: {why}"),
        },
        None if previous()?.is_none() => return Ok(Loaded { state: State::default(), broken: None }),
        None => "state.json is missing beside state.json.previous".into(),
    };
    let before = previous()?.map(|document| State::read(&document));
    if let Some(Err(Unreadable::Newer(version))) = before {
        return Err(newer(version));
    }
    let before = before.and_then(std::result::Result::ok);
    let broken = Some(Broken { why, from_previous: before.is_some() });
    Ok(Loaded { state: before.unwrap_or_default(), broken })
}

fn newer(version: u64) -> Error {
    Error::failed(format!(
        "state.json has version {version}, this program knows up to {VERSION}: use the newer program"
    ))
}

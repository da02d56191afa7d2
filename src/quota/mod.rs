//! The rules, pure: no clock, file, process, environment or network is mentioned below this folder.

pub mod absorb;
pub mod bytes;
pub mod change;
pub mod clock;
pub mod decide;
pub mod duration;
pub mod event;
pub mod forecast;
pub mod gaps;
pub mod glob;
pub mod guest;
pub mod health;
pub mod hold;
pub mod instant;
pub mod lift;
pub mod message;
pub mod meter;
pub mod package;
pub mod period;
pub mod policy;
pub mod records;
pub mod state;
pub mod text;
pub mod track;
mod turn;
pub mod zone;

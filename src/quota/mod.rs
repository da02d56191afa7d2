//! The rules, pure: no clock, file, process, environment or network is mentioned below this folder.

pub mod absorb;
pub mod bytes;
pub mod clock;
pub mod decide;
pub mod duration;
pub mod forecast;
pub mod glob;
pub mod health;
pub mod instant;
pub mod lift;
pub mod message;
pub mod meter;
pub mod package;
pub mod period;
pub mod policy;
pub mod state;
pub mod text;
mod turn;
pub mod zone;

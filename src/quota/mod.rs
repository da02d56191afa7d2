//! The rules, pure: no clock, file, process, environment or network is mentioned below this folder.

pub mod bytes;
pub mod duration;
pub mod instant;
pub mod period;
pub mod zone;

//! A simulated world, and what is shown in it: scenarios with their transcripts, the power cut around every effect,
//! random years, and the shape of the source itself.

pub mod archive;
mod cloud;
mod cluster;
mod cuts;
#[cfg(all(feature = "postgres", feature = "mysql"))]
pub mod database;
mod fleet;
mod guest_config;
mod history;
mod random;
mod random_cloud;
mod random_cluster;
mod scenario;
pub mod sim;
mod tidy;
mod tunnel;
pub mod vendor;

//! A simulated world, and what is shown in it: scenarios with their transcripts, the power cut around every effect,
//! random years, and the shape of the source itself.

mod cloud;
mod cluster;
mod cuts;
mod guest_config;
mod random;
mod random_cloud;
mod random_cluster;
mod scenario;
mod sim;
mod tidy;
pub mod vendor;

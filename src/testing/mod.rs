//! A simulated world, and what is shown in it: scenarios with their transcripts, the power cut around every effect,
//! random years, and the shape of the source itself.

mod cloud;
mod cuts;
mod random;
mod random_cloud;
mod scenario;
mod sim;
mod tidy;
pub mod vendor;

//! Huawei Cloud's API: how requests are signed, and what answers that are no success mean.
//!
//! All of it is pure: the caller has the clock, the keys and the connection. What a request is for (quotas, servers,
//! look-ups) is the caller's business, too.

pub mod refusal;
pub mod sign;

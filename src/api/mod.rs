//! How a vendor's API is spoken, shared by sources, actions and discovery.

pub mod huawei;

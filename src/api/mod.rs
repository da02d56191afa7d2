//! How a vendor's API is spoken, shared by sources, actions and discovery.

pub mod huawei;

use std::sync::Arc;

/// Access to a vendor's API, as a source has it and an action may need it.
#[derive(Clone)]
pub enum Account {
    /// Huawei Cloud.
    Huawei(Arc<huawei::Account>),
}

/// The accounts of the sources, by the source's name.
pub type Accounts = Vec<(String, Account)>;

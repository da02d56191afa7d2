//! How a vendor's API is spoken, shared by sources, actions and discovery.

pub mod huawei;
pub mod pve;

use std::sync::Arc;

/// Access to a vendor's API, as a source has it and an action may need it.
#[derive(Clone)]
pub enum Account {
    /// Huawei Cloud.
    Huawei(Arc<huawei::Account>),
    /// Proxmox VE.
    Pve(Arc<pve::Cluster>),
}

impl Account {
    /// The account of Huawei Cloud, if it is one.
    pub fn huawei(&self) -> Option<&Arc<huawei::Account>> {
        match self {
            Self::Huawei(account) => Some(account),
            Self::Pve(_) => None,
        }
    }

    /// The cluster, if it is one.
    pub fn pve(&self) -> Option<&Arc<pve::Cluster>> {
        match self {
            Self::Pve(cluster) => Some(cluster),
            Self::Huawei(_) => None,
        }
    }
}

/// The accounts of the sources, by the source's name.
pub type Accounts = Vec<(String, Account)>;

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong, redacted.
    pub text: String,
    /// Of which kind.
    pub cause: Cause,
}

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The key or token is refused: asking on may lock it.
    Credentials,
    /// The key or token may not do this.
    Forbidden,
    /// The account belongs to another site of the vendor.
    OtherSite,
    /// The key may ask, and what it asks for is not there.
    Absent,
    /// It is wrong as it is: no use in asking again.
    Wrong,
    /// It was not done, but may be later: nobody was there, or there was too much to do.
    Later,
    /// Nobody knows whether it was done: no answer, one of a gateway before the service, or one that cannot be read.
    Unknown,
}

impl Failure {
    /// Whether another time may go better.
    pub fn may_pass(&self) -> bool {
        self.cause.may_pass()
    }
}

impl Cause {
    /// Whether another time may go better.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Later | Self::Unknown)
    }
}

//! The services that hold an organisation's data.

use serde::{Deserialize, Serialize};

/// One of Microsoft 365's services, each with its own connection and its own accounts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Mailboxes.
    Exchange,
    /// People's drives.
    OneDrive,
    /// Sites.
    SharePoint,
    /// Groups, with Teams.
    Groups,
}

impl Service {
    /// The service's name as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exchange => "Exchange",
            Self::OneDrive => "OneDrive",
            Self::SharePoint => "SharePoint",
            Self::Groups => "Groups",
        }
    }
}

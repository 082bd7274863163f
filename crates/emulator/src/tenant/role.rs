//! Directory roles: what people may do in the tenant itself.

use uuid::{Uuid, uuid};

/// A role of Entra ID. Of the more than a hundred, those that decide who may consent, and two that may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Microsoft's and say it")]
pub enum DirectoryRole {
    GlobalAdministrator,
    PrivilegedRoleAdministrator,
    ApplicationAdministrator,
    CloudApplicationAdministrator,
    ExchangeAdministrator,
    GlobalReader,
}

impl DirectoryRole {
    /// The id of its template, the same in all tenants; tokens list it in `wids`.
    #[must_use]
    pub fn template_id(self) -> Uuid {
        match self {
            Self::GlobalAdministrator => uuid!("62e90394-69f5-4237-9190-012177145e10"),
            Self::PrivilegedRoleAdministrator => uuid!("e8611ab8-c189-46e8-94e1-60213ab1f814"),
            Self::ApplicationAdministrator => uuid!("9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"),
            Self::CloudApplicationAdministrator => uuid!("158c047a-c907-4556-b7ef-446551a6b5f7"),
            Self::ExchangeAdministrator => uuid!("29232cdf-9323-42fd-ade2-1d097af3e4de"),
            Self::GlobalReader => uuid!("f2ef992c-3afb-46b9-b7cf-a126ee74c451"),
        }
    }

    /// Whether it may grant any permission, those of applications to Graph included.
    #[must_use]
    pub fn may_grant_all(self) -> bool {
        matches!(
            self,
            Self::GlobalAdministrator | Self::PrivilegedRoleAdministrator
        )
    }

    /// Whether it may grant delegated permissions on behalf of everybody.
    #[must_use]
    pub fn may_grant_delegated(self) -> bool {
        self.may_grant_all()
            || matches!(
                self,
                Self::ApplicationAdministrator | Self::CloudApplicationAdministrator
            )
    }
}

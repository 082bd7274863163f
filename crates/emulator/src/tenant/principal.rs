//! An application at home in the tenant, and what it was granted there.

use jiff::Timestamp;
use uuid::Uuid;

/// A service principal: an application as the tenant knows it. Consent makes it, and it holds the grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePrincipal {
    /// Its id, `oid` in tokens of the application.
    pub id: Uuid,
    /// The client id of the application.
    pub client_id: Uuid,
    /// The name.
    pub display_name: String,
    /// Whether it may sign in.
    pub enabled: bool,
    /// `tags`, by which portals know it.
    pub tags: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// An application permission that was granted: an app role of a resource, assigned to a service principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Its id, opaque.
    pub id: String,
    /// The service principal that may.
    pub principal: Uuid,
    /// The service principal of the resource.
    pub resource: Uuid,
    /// The app role.
    pub role: Uuid,
    /// When it was granted.
    pub created: Timestamp,
    /// From when on it is in tokens.
    pub effective: Timestamp,
}

/// Delegated permissions that were granted to an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionGrant {
    /// Its id, opaque.
    pub id: String,
    /// The service principal of the application.
    pub client: Uuid,
    /// For whom: one user, or everybody (`None`).
    pub user: Option<Uuid>,
    /// The service principal of the resource.
    pub resource: Uuid,
    /// The scopes, in the order in which they were granted.
    pub scopes: Vec<String>,
}

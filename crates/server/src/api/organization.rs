//! The organization that the token is of.

use catalog::{OrganizationId, OrganizationRow};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Id, Json};
use crate::{Problem, Signed};

/// An organization.
#[derive(Serialize, ToSchema)]
pub(crate) struct Organization {
    #[schema(value_type = Id)]
    id: OrganizationId,
    name: String,
    /// When somebody last took the emergency kit.
    kit_taken_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl From<OrganizationRow> for Organization {
    fn from(row: OrganizationRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            kit_taken_at: row.kit_taken_at,
            created_at: row.created_at,
        }
    }
}

/// The organization
#[utoipa::path(get, path = "/api/v1/organization", tag = "organization", responses((status = 200, body = Organization)))]
pub(crate) async fn get_organization(signed: Signed) -> Result<Json<Organization>, Problem> {
    Ok(Json(signed.organization.get().await?.into()))
}

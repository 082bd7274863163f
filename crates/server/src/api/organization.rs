//! The organization that the token is of, and its users.

use catalog::{OrganizationId, OrganizationRow, UserId};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::{Id, Items, Json},
    words::Role,
};
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

/// A person who signs in to the console.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    #[schema(value_type = Id)]
    id: UserId,
    name: String,
    address: String,
    role: Role,
    /// Whether signing in is forbidden.
    disabled: bool,
    signed_in_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl From<catalog::User> for User {
    fn from(user: catalog::User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            address: user.address,
            role: Role(user.role),
            disabled: user.disabled,
            signed_in_at: user.signed_in_at,
            created_at: user.created_at,
        }
    }
}

/// The users, by address
#[utoipa::path(get, path = "/api/v1/users", tag = "organization", responses((status = 200, body = Items<User>)))]
pub(crate) async fn list_users(signed: Signed) -> Result<Json<Items<User>>, Problem> {
    let users = signed.organization.users().await?;
    Ok(Json(Items::all(
        users.into_iter().map(User::from).collect(),
    )))
}

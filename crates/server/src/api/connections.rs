//! Connections: to what, and whether they work. They are made in the console, because consent needs a person and a browser.

use catalog::ConnectionId;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::{Id, Items, Json},
    words::{CredentialKind, Health, Service},
};
use crate::{Problem, Signed, State, path::Path};

/// What lets Keepwell into a tenant, for one service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Connection {
    #[schema(value_type = Id)]
    id: ConnectionId,
    service: Service,
    /// The tenant's id.
    tenant: String,
    tenant_name: String,
    /// The app registration.
    client_id: String,
    credential: CredentialKind,
    health: Health,
    /// What is missing, or why it does not work.
    health_detail: String,
    checked_at: Option<Timestamp>,
    /// When the credential that is there was given.
    authorized_at: Timestamp,
    created_at: Timestamp,
}

impl From<catalog::Connection> for Connection {
    fn from(row: catalog::Connection) -> Self {
        Self {
            id: row.id,
            service: row.service.into(),
            tenant: row.tenant.to_string(),
            tenant_name: row.tenant_name,
            client_id: row.client_id,
            credential: CredentialKind(row.credential_kind),
            health: Health(row.health),
            health_detail: row.health_detail,
            checked_at: row.checked_at,
            authorized_at: row.authorized_at,
            created_at: row.created_at,
        }
    }
}

/// The connections, the oldest first
#[utoipa::path(get, path = "/api/v1/connections", tag = "connections", responses((status = 200, body = Items<Connection>)))]
pub(crate) async fn list_connections(signed: Signed) -> Result<Json<Items<Connection>>, Problem> {
    let rows = signed.organization.connections().await?;
    Ok(Json(Items::all(
        rows.into_iter().map(Connection::from).collect(),
    )))
}

/// One connection
#[utoipa::path(get, path = "/api/v1/connections/{connection}", tag = "connections", params(("connection" = Id, Path)),
    responses((status = 200, body = Connection)))]
pub(crate) async fn get_connection(
    signed: Signed,
    Path(id): Path<ConnectionId>,
) -> Result<Json<Connection>, Problem> {
    Ok(Json(signed.organization.connection(id).await?.into()))
}

/// Look whether a connection works, now
#[utoipa::path(post, path = "/api/v1/connections/{connection}/check", tag = "connections", params(("connection" = Id, Path)),
    responses((status = 200, body = Connection)))]
pub(crate) async fn check_connection(
    state: State,
    signed: Signed,
    Path(id): Path<ConnectionId>,
) -> Result<Json<Connection>, Problem> {
    let of = &signed.organization;
    of.connection(id).await?;
    signed.note(&state, "checked a connection", id).await?;
    state.service().check_connection(of.id(), id).await?;
    Ok(Json(of.connection(id).await?.into()))
}

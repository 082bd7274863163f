//! Connections: what lets Keepwell into a tenant, for one service.

use jiff::Timestamp;
use model::{Service, TenantId};
use secrets::Sealed;
use sqlx::{Row, any::AnyRow};

use crate::{
    ConnectionId, Error, Organization, Result,
    error::sql,
    ids,
    time::{ever, micros, timestamp},
    words::words,
};

words! {
    /// What proves to Microsoft that it is Keepwell who asks.
    CredentialKind in "credential_kind" {
        /// A private key, whose certificate is registered with the app.
        Certificate = "certificate",
        /// A text that Microsoft gave out, and that expires.
        Secret = "secret",
    }
}

words! {
    /// Whether the connection works, as of the last look.
    Health in "health" {
        /// Consent was given and the permissions are still being waited for.
        Checking = "checking",
        /// It works, with all permissions.
        Connected = "connected",
        /// It works, but permissions are missing.
        Incomplete = "incomplete",
        /// It does not work.
        Disconnected = "disconnected",
    }
}

/// A connection that is to be made.
#[derive(Clone, Debug)]
pub struct NewConnection {
    /// Chosen by the caller, because the credential is sealed for it.
    pub id: ConnectionId,
    /// The service.
    pub service: Service,
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name, for people.
    pub tenant_name: String,
    /// The app registration.
    pub client_id: String,
    /// What kind of credential it is.
    pub credential_kind: CredentialKind,
    /// The credential, sealed by the organization's key.
    pub credential: Sealed,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Which one.
    pub id: ConnectionId,
    /// The service.
    pub service: Service,
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's name, for people.
    pub tenant_name: String,
    /// The app registration.
    pub client_id: String,
    /// What kind of credential it is.
    pub credential_kind: CredentialKind,
    /// The credential, sealed by the organization's key.
    pub credential: Sealed,
    /// Whether it works.
    pub health: Health,
    /// What is missing, or why it does not work; in words.
    pub health_detail: String,
    /// When that was last looked at.
    pub checked_at: Option<Timestamp>,
    /// When the credential that is there was given.
    pub authorized_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Organization {
    /// Makes a connection, whose permissions are still to be checked.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn add_connection(&self, new: &NewConnection, now: Timestamp) -> Result<()> {
        sqlx::query(
            "INSERT INTO connections (id, organization_id, service, tenant_id, tenant_name, client_id, credential_kind, credential_sealed,
                 health, health_detail, checked_at, created_at, authorized_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'checking', '', 0, $9, $9)",
        )
        .bind(new.id.to_string())
        .bind(self.id.to_string())
        .bind(service_word(new.service))
        .bind(new.tenant.as_str())
        .bind(&new.tenant_name)
        .bind(&new.client_id)
        .bind(new.credential_kind.word())
        .bind(new.credential.as_str())
        .bind(micros(now))
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("make a connection"))?;
        Ok(())
    }

    /// Notes whether a connection works with the credential that was looked at. Says whether that was done: not when it has another one meanwhile.
    ///
    /// # Errors
    /// When there is no such connection here.
    pub async fn set_health(
        &self,
        id: ConnectionId,
        credential: &Sealed,
        health: Health,
        detail: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE connections SET health = $3, health_detail = $4, checked_at = $5 WHERE organization_id = $1 AND id = $2 AND credential_sealed = $6",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .bind(health.word())
        .bind(detail)
        .bind(micros(now))
        .bind(credential.as_str())
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("note a connection's health"))?;
        if done.rows_affected() == 0 {
            self.connection(id).await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Replaces a connection's credential, whose permissions are to be checked again.
    ///
    /// # Errors
    /// When there is no such connection here.
    pub async fn set_credential(
        &self,
        id: ConnectionId,
        client_id: &str,
        kind: CredentialKind,
        credential: &Sealed,
        now: Timestamp,
    ) -> Result<()> {
        let done = sqlx::query(
            "UPDATE connections SET client_id = $3, credential_kind = $4, credential_sealed = $5, authorized_at = $6, health = 'checking',
                 health_detail = '', checked_at = 0
             WHERE organization_id = $1 AND id = $2",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .bind(client_id)
        .bind(kind.word())
        .bind(credential.as_str())
        .bind(micros(now))
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("replace a connection's credential"))?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound("connection"));
        }
        Ok(())
    }

    /// Notes how the connection's tenant calls itself.
    ///
    /// # Errors
    /// When there is no such connection here.
    pub async fn set_tenant_name(&self, id: ConnectionId, name: &str) -> Result<()> {
        let done = sqlx::query(
            "UPDATE connections SET tenant_name = $3 WHERE organization_id = $1 AND id = $2",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .bind(name)
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("note a tenant's name"))?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound("connection"));
        }
        Ok(())
    }

    /// The connections, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn connections(&self) -> Result<Vec<Connection>> {
        let rows = sqlx::query("SELECT * FROM connections WHERE organization_id = $1 ORDER BY id")
            .bind(self.id.to_string())
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("list connections"))?;
        rows.iter().map(row).collect()
    }

    /// One of the connections.
    ///
    /// # Errors
    /// When there is no such connection here.
    pub async fn connection(&self, id: ConnectionId) -> Result<Connection> {
        let found = sqlx::query("SELECT * FROM connections WHERE organization_id = $1 AND id = $2")
            .bind(self.id.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.catalog.pool)
            .await
            .map_err(sql("read a connection"))?;
        row(&found.ok_or(Error::NotFound("connection"))?)
    }
}

fn row(row: &AnyRow) -> Result<Connection> {
    let tenant: String = row.get("tenant_id");
    Ok(Connection {
        id: ids::read(row, "id")?,
        service: service(row)?,
        tenant: TenantId::new(tenant).map_err(|_| Error::Unreadable("tenant_id"))?,
        tenant_name: row.get("tenant_name"),
        client_id: row.get("client_id"),
        credential_kind: CredentialKind::read(row)?,
        credential: Sealed::from_text(row.get("credential_sealed")),
        health: Health::read(row)?,
        health_detail: row.get("health_detail"),
        checked_at: ever(row.get("checked_at")),
        authorized_at: timestamp(row.get("authorized_at")),
        created_at: timestamp(row.get("created_at")),
    })
}

/// The word by which a column names a service.
pub(crate) fn service_word(service: Service) -> &'static str {
    match service {
        Service::Exchange => "exchange",
        Service::OneDrive => "onedrive",
        Service::SharePoint => "sharepoint",
        Service::Groups => "groups",
    }
}

/// The service that a row names.
pub(crate) fn service(row: &AnyRow) -> Result<Service> {
    let word: String = row.get("service");
    [
        Service::Exchange,
        Service::OneDrive,
        Service::SharePoint,
        Service::Groups,
    ]
    .into_iter()
    .find(|service| service_word(*service) == word)
    .ok_or(Error::Unreadable("service"))
}

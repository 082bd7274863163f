//! Organizations, the boundary of isolation, and the one way to what belongs to them.

use jiff::Timestamp;
use secrets::Sealed;
use sqlx::{Row, any::AnyRow};

use crate::{
    Catalog, Error, NewUser, OrganizationId, Result, UserId,
    database::transaction,
    error::sql,
    ids,
    time::{ever, micros, timestamp},
    users,
};

/// What belongs to one organization, and nothing else: every statement that is made through it carries the organization's id.
#[derive(Clone, Debug)]
pub struct Organization {
    pub(crate) catalog: Catalog,
    pub(crate) id: OrganizationId,
}

/// An organization that is to be made.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// Chosen by the caller, because the keys are sealed for it.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// Its key, wrapped by the server's.
    pub key: Sealed,
    /// Its recovery key, wrapped by its own key.
    pub recovery_key: Sealed,
}

/// An organization, as it is kept.
#[derive(Clone, Debug)]
pub struct OrganizationRow {
    /// Which one.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// Its key, wrapped by the server's.
    pub key: Sealed,
    /// Its recovery key, wrapped by its own key.
    pub recovery_key: Sealed,
    /// When somebody last took the emergency kit.
    pub kit_taken_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Catalog {
    /// What belongs to an organization. Whether there is such a one shows with the first question.
    #[must_use]
    pub fn organization(&self, id: OrganizationId) -> Organization {
        Organization {
            catalog: self.clone(),
            id,
        }
    }

    /// All organizations, the oldest first: for the scheduler and the operator.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn organizations(&self) -> Result<Vec<OrganizationRow>> {
        let rows = sqlx::query("SELECT * FROM organizations ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .map_err(sql("list organizations"))?;
        rows.iter().map(row).collect()
    }

    /// Makes an organization together with its first user.
    ///
    /// # Errors
    /// When somebody has the user's address already.
    pub async fn found(
        &self,
        new: &NewOrganization,
        user: &NewUser,
        now: Timestamp,
    ) -> Result<UserId> {
        let id = UserId::new();
        transaction!(self, "make an organization", |c| {
            sqlx::query(
                    "INSERT INTO organizations (id, name, key_sealed, recovery_key_sealed, kit_taken_at, created_at)
                     VALUES ($1, $2, $3, $4, 0, $5)",
                )
                .bind(new.id.to_string())
                .bind(&new.name)
                .bind(new.key.as_str())
                .bind(new.recovery_key.as_str())
                .bind(micros(now))
                .execute(&mut *c)
                .await
                .map_err(sql("make an organization"))?;
            users::insert(c, new.id, id, user, now).await
        })?;
        Ok(id)
    }
}

impl Organization {
    /// Which one.
    #[must_use]
    pub fn id(&self) -> OrganizationId {
        self.id
    }

    /// Its row.
    ///
    /// # Errors
    /// When there is no such organization.
    pub async fn get(&self) -> Result<OrganizationRow> {
        let found = sqlx::query("SELECT * FROM organizations WHERE id = $1")
            .bind(self.id.to_string())
            .fetch_optional(&self.catalog.pool)
            .await
            .map_err(sql("read an organization"))?;
        row(&found.ok_or(Error::NotFound("organization"))?)
    }

    /// Notes that somebody took the emergency kit.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn kit_taken(&self, now: Timestamp) -> Result<()> {
        sqlx::query("UPDATE organizations SET kit_taken_at = $2 WHERE id = $1")
            .bind(self.id.to_string())
            .bind(micros(now))
            .execute(&self.catalog.pool)
            .await
            .map_err(sql("note the emergency kit"))?;
        Ok(())
    }
}

fn row(row: &AnyRow) -> Result<OrganizationRow> {
    Ok(OrganizationRow {
        id: ids::read(row, "id")?,
        name: row.get("name"),
        key: Sealed::from_text(row.get("key_sealed")),
        recovery_key: Sealed::from_text(row.get("recovery_key_sealed")),
        kit_taken_at: ever(row.get("kit_taken_at")),
        created_at: timestamp(row.get("created_at")),
    })
}

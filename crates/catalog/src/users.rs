//! The people who sign in.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Catalog, Error, Organization, OrganizationId, Result, UserId,
    database::transaction,
    error::{sql, unique},
    fold::fold,
    ids,
    time::{ever, micros, timestamp},
    words::words,
};

words! {
    /// What a user may do.
    Role in "role" {
        /// Everything.
        Administrator = "administrator",
        /// Backs up and restores, and changes nothing of the organization.
        Operator = "operator",
        /// Looks at what was done, and at no content.
        Auditor = "auditor",
    }
}

impl Role {
    /// What somebody may who may only what both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        // From the one that may most to the one that may least.
        self.max(other)
    }
}

/// A user who is to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// For people.
    pub name: String,
    /// The mail address by which the user signs in; case does not matter.
    pub address: String,
    /// What the user may do.
    pub role: Role,
    /// The hash of the password, as argon2's own text.
    pub password_hash: String,
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// Which one.
    pub id: UserId,
    /// The organization.
    pub organization: OrganizationId,
    /// For people.
    pub name: String,
    /// The mail address, as it was typed.
    pub address: String,
    /// What the user may do.
    pub role: Role,
    /// The hash of the password, as argon2's own text.
    pub password_hash: String,
    /// Whether signing in is forbidden.
    pub disabled: bool,
    /// When the user last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// When the user was made.
    pub created_at: Timestamp,
}

impl Catalog {
    /// The user with an address: for signing in, before it is known which organization is meant.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn user_by_address(&self, address: &str) -> Result<Option<User>> {
        let found = sqlx::query("SELECT * FROM users WHERE address_folded = $1")
            .bind(fold(address))
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("look for a user"))?;
        found.as_ref().map(row).transpose()
    }

    /// Whether there is any user: the first one signs up with the set-up code.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn has_users(&self) -> Result<bool> {
        let found = sqlx::query("SELECT id FROM users LIMIT 1")
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("look for users"))?;
        Ok(found.is_some())
    }
}

impl Organization {
    /// Makes a user.
    ///
    /// # Errors
    /// When somebody has the address already, here or in another organization.
    pub async fn add_user(&self, new: &NewUser, now: Timestamp) -> Result<UserId> {
        let (id, organization) = (UserId::new(), self.id);
        transaction!(self.catalog, "make a user", |c| {
            insert(c, organization, id, new, now).await
        })?;
        Ok(id)
    }

    /// The users, by address.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn users(&self) -> Result<Vec<User>> {
        let rows =
            sqlx::query("SELECT * FROM users WHERE organization_id = $1 ORDER BY address_folded")
                .bind(self.id.to_string())
                .fetch_all(&self.catalog.pool)
                .await
                .map_err(sql("list users"))?;
        rows.iter().map(row).collect()
    }

    /// One of the users.
    ///
    /// # Errors
    /// When there is no such user here.
    pub async fn user(&self, id: UserId) -> Result<User> {
        let found = sqlx::query("SELECT * FROM users WHERE organization_id = $1 AND id = $2")
            .bind(self.id.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.catalog.pool)
            .await
            .map_err(sql("read a user"))?;
        row(&found.ok_or(Error::NotFound("user"))?)
    }

    /// Changes a user's password, and ends the user's sessions.
    ///
    /// # Errors
    /// When there is no such user here.
    pub async fn set_password(&self, id: UserId, password_hash: &str) -> Result<()> {
        let organization = self.id.to_string();
        transaction!(self.catalog, "change a password", |c| {
            let done = sqlx::query(
                "UPDATE users SET password_hash = $3 WHERE organization_id = $1 AND id = $2",
            )
            .bind(&organization)
            .bind(id.to_string())
            .bind(password_hash)
            .execute(&mut *c)
            .await
            .map_err(sql("change a password"))?;
            if done.rows_affected() == 0 {
                return Err(Error::NotFound("user"));
            }
            end_sessions(c, id).await
        })
    }

    /// Forbids a user to sign in, and ends the user's sessions. The last administrator who can sign in cannot be disabled.
    ///
    /// # Errors
    /// When there is no such user here, or nobody else could administer.
    pub async fn disable_user(&self, id: UserId) -> Result<()> {
        let organization = self.id.to_string();
        let lock = self.catalog.dialect.for_update();
        transaction!(self.catalog, "disable a user", |c| {
            let administrators = format!(
                "SELECT id FROM users WHERE organization_id = $1 AND role = 'administrator' AND disabled = 0 {lock}"
            );
            let able = sqlx::query(sqlx::AssertSqlSafe(administrators))
                .bind(&organization)
                .fetch_all(&mut *c)
                .await
                .map_err(sql("count administrators"))?;
            let able = able
                .iter()
                .map(|row| ids::read(row, "id"))
                .collect::<Result<Vec<UserId>>>()?;
            if able == [id] {
                return Err(Error::Invalid(
                    "this is the last administrator who can sign in: make another one first",
                ));
            }
            let done =
                sqlx::query("UPDATE users SET disabled = 1 WHERE organization_id = $1 AND id = $2")
                    .bind(&organization)
                    .bind(id.to_string())
                    .execute(&mut *c)
                    .await
                    .map_err(sql("disable a user"))?;
            if done.rows_affected() == 0 {
                return Err(Error::NotFound("user"));
            }
            end_sessions(c, id).await
        })
    }
}

pub(crate) async fn insert(
    c: &mut AnyConnection,
    organization: OrganizationId,
    id: UserId,
    new: &NewUser,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO users (id, organization_id, name, address, address_folded, role, password_hash, disabled, created_at, signed_in_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, 0)",
    )
    .bind(id.to_string())
    .bind(organization.to_string())
    .bind(&new.name)
    .bind(&new.address)
    .bind(fold(&new.address))
    .bind(new.role.word())
    .bind(&new.password_hash)
    .bind(micros(now))
    .execute(c)
    .await
    .map_err(unique("make a user", "user"))?;
    Ok(())
}

async fn end_sessions(c: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("DELETE FROM sessions WHERE user_id = $1")
        .bind(user.to_string())
        .execute(c)
        .await
        .map_err(sql("end a user's sessions"))?;
    Ok(())
}

pub(crate) fn row(row: &AnyRow) -> Result<User> {
    Ok(User {
        id: ids::read(row, "id")?,
        organization: ids::read(row, "organization_id")?,
        name: row.get("name"),
        address: row.get("address"),
        role: Role::read(row)?,
        password_hash: row.get("password_hash"),
        disabled: row.get::<i64, _>("disabled") != 0,
        signed_in_at: ever(row.get("signed_in_at")),
        created_at: timestamp(row.get("created_at")),
    })
}

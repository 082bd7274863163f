//! The people who sign in.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Catalog, Error, Organization, OrganizationId, Result, UserId, api_tokens,
    database::transaction,
    error::{sql, unique},
    fold::fold,
    ids, invitations,
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
    /// The hash of the password, as argon2's own text; empty for somebody who is invited to choose one.
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
    /// The hash of the password, as argon2's own text; empty while there is none.
    pub password_hash: String,
    /// Whether signing in is forbidden.
    pub disabled: bool,
    /// When the user last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// Until when the user may choose a password by an invitation.
    pub invited_until: Option<Timestamp>,
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

    /// Forbids a user to sign in, and ends the user's sessions, API tokens and invitation for good. The last administrator who can sign in cannot be
    /// disabled.
    ///
    /// # Errors
    /// When there is no such user here, or nobody else could administer.
    pub async fn disable_user(&self, id: UserId, now: Timestamp) -> Result<()> {
        let organization = self.id.to_string();
        let lock = self.catalog.dialect.for_update();
        transaction!(self.catalog, "disable a user", |c| {
            keep_an_administrator(c, lock, &organization, id).await?;
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
            invitations::end(c, id).await?;
            api_tokens::revoke_all(c, id, now).await?;
            end_sessions(c, id).await
        })
    }

    /// Refuses what [`Self::disable_user`] and [`Self::set_role`] would, without doing it: for whoever notes first what is about to be done.
    ///
    /// # Errors
    /// When nobody else could administer.
    pub async fn can_spare(&self, id: UserId) -> Result<()> {
        let organization = self.id.to_string();
        transaction!(self.catalog, "look for administrators", |c| {
            keep_an_administrator(c, "", &organization, id).await
        })
    }

    /// Lets a user sign in again who was disabled, with the password from before.
    ///
    /// # Errors
    /// When there is no such user here.
    pub async fn enable_user(&self, id: UserId) -> Result<()> {
        let done =
            sqlx::query("UPDATE users SET disabled = 0 WHERE organization_id = $1 AND id = $2")
                .bind(self.id.to_string())
                .bind(id.to_string())
                .execute(&self.catalog.pool)
                .await
                .map_err(sql("enable a user"))?;
        match done.rows_affected() {
            0 => Err(Error::NotFound("user")),
            _ => Ok(()),
        }
    }

    /// Changes what a user may do, from the next request on. The last administrator who can sign in stays one.
    ///
    /// # Errors
    /// When there is no such user here, or nobody else could administer.
    pub async fn set_role(&self, id: UserId, role: Role) -> Result<()> {
        let organization = self.id.to_string();
        let lock = self.catalog.dialect.for_update();
        transaction!(self.catalog, "change a role", |c| {
            if role != Role::Administrator {
                keep_an_administrator(c, lock, &organization, id).await?;
            }
            let done =
                sqlx::query("UPDATE users SET role = $3 WHERE organization_id = $1 AND id = $2")
                    .bind(&organization)
                    .bind(id.to_string())
                    .bind(role.word())
                    .execute(&mut *c)
                    .await
                    .map_err(sql("change a role"))?;
            match done.rows_affected() {
                0 => Err(Error::NotFound("user")),
                _ => Ok(()),
            }
        })
    }
}

/// Refuses when nobody could administer without this user.
async fn keep_an_administrator(
    c: &mut AnyConnection,
    lock: &str,
    organization: &str,
    id: UserId,
) -> Result<()> {
    let administrators = format!(
        "SELECT id FROM users WHERE organization_id = $1 AND role = 'administrator' AND disabled = 0 AND password_hash <> '' ORDER BY id {lock}"
    );
    let able = sqlx::query(sqlx::AssertSqlSafe(administrators))
        .bind(organization)
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
    Ok(())
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

pub(crate) async fn end_sessions(c: &mut AnyConnection, user: UserId) -> Result<()> {
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
        invited_until: ever(row.get("invitation_ends_at")),
        created_at: timestamp(row.get("created_at")),
    })
}

//! Invitations: by one of them somebody whom an administrator has added, or who has forgotten the password, chooses a password.
//!
//! A user has one at most. It is kept as a hash, is good once, and ends in time, with the next one, and when the user is disabled.

use jiff::Timestamp;
use sqlx::AnyConnection;

use crate::{
    Catalog, Error, Organization, Result, User, UserId,
    database::transaction,
    error::sql,
    time::micros,
    users::{end_sessions, row},
};

impl Organization {
    /// Gives a user an invitation, instead of the one before. `hash` is that of its secret.
    ///
    /// # Errors
    /// When there is no such user here, or the user is disabled.
    pub async fn invite(&self, id: UserId, hash: &str, ends_at: Timestamp) -> Result<()> {
        let done = sqlx::query(
            "UPDATE users SET invitation_hash = $3, invitation_ends_at = $4 WHERE organization_id = $1 AND id = $2 AND disabled = 0",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .bind(hash)
        .bind(micros(ends_at))
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("invite a user"))?;
        match done.rows_affected() {
            0 => Err(Error::NotFound("user who may sign in")),
            _ => Ok(()),
        }
    }
}

impl Catalog {
    /// Who has the invitation with this hash, while it is good.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn invited(&self, hash: &str, now: Timestamp) -> Result<Option<User>> {
        let found = sqlx::query(
            "SELECT * FROM users WHERE invitation_hash = $1 AND invitation_hash <> '' AND invitation_ends_at > $2 AND disabled = 0",
        )
        .bind(hash)
        .bind(micros(now))
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("look for an invitation"))?;
        found.as_ref().map(row).transpose()
    }

    /// Uses up an invitation: its user has this password from now on, and the user's sessions end.
    ///
    /// # Errors
    /// When it is not good, or not any more.
    pub async fn accept_invitation(
        &self,
        hash: &str,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<User> {
        transaction!(self, "accept an invitation", |c| {
            let found = sqlx::query(
                "UPDATE users SET password_hash = $3, invitation_hash = '', invitation_ends_at = 0
                 WHERE invitation_hash = $1 AND invitation_hash <> '' AND invitation_ends_at > $2 AND disabled = 0 RETURNING *",
            )
            .bind(hash)
            .bind(micros(now))
            .bind(password_hash)
            .fetch_optional(&mut *c)
            .await
            .map_err(sql("accept an invitation"))?;
            let user = row(&found.ok_or(Error::NotFound("invitation"))?)?;
            end_sessions(c, user.id).await?;
            Ok(user)
        })
    }
}

/// Ends a user's invitation, if there is one.
pub(crate) async fn end(c: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("UPDATE users SET invitation_hash = '', invitation_ends_at = 0 WHERE id = $1")
        .bind(user.to_string())
        .execute(c)
        .await
        .map_err(sql("end an invitation"))?;
    Ok(())
}

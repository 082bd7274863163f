//! Sessions of signed-in users. The database holds only hashes of their tokens: whoever reads it cannot use them.

use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use crate::{
    Catalog, Error, OrganizationId, Result, User, UserId,
    database::transaction,
    error::sql,
    time::{micros, timestamp},
    users,
};

/// How stale the time of a session's last use may be. Writing it with every request would make every look at a page a write.
const SEEN_STEP_MICROS: i64 = 60_000_000;

/// A session that begins.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// SHA-256 of the token, in hexadecimal digits.
    pub token_hash: String,
    /// Who signed in.
    pub user: UserId,
    /// The user's organization.
    pub organization: OrganizationId,
    /// The hash of the password that the user gave.
    pub password_hash: String,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
}

/// A session, and whose it is.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who signed in.
    pub user: User,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When it was last used, within a minute.
    pub seen_at: Timestamp,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
}

impl Catalog {
    /// Begins a session, notes that the user signed in, and forgets sessions that are over.
    ///
    /// # Errors
    /// When the user was disabled meanwhile, or has another password, or the database cannot be written.
    pub async fn begin_session(&self, new: &NewSession, now: Timestamp) -> Result<()> {
        transaction!(self, "begin a session", |c| {
            // First, so that whoever changes the password or disables the user waits, and then ends this session, too.
            let done = sqlx::query(
                "UPDATE users SET signed_in_at = $2 WHERE id = $1 AND password_hash = $3 AND disabled = 0",
            )
            .bind(new.user.to_string())
            .bind(micros(now))
            .bind(&new.password_hash)
            .execute(&mut *c)
            .await
            .map_err(sql("note a sign-in"))?;
            if done.rows_affected() == 0 {
                return Err(Error::NotFound("user with this password"));
            }
            sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
                .bind(micros(now))
                .execute(&mut *c)
                .await
                .map_err(sql("forget old sessions"))?;
            sqlx::query(
                    "INSERT INTO sessions (token_hash, organization_id, user_id, created_at, seen_at, expires_at)
                     VALUES ($1, $2, $3, $4, $4, $5)",
                )
                .bind(&new.token_hash)
                .bind(new.organization.to_string())
                .bind(new.user.to_string())
                .bind(micros(now))
                .bind(micros(new.expires_at))
                .execute(&mut *c)
                .await
                .map_err(sql("begin a session"))?;
            Ok(())
        })
    }

    /// The session with a token, if it is not over, was used after `idle_since`, and its user may still sign in. It is noted as used.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn session(
        &self,
        token_hash: &str,
        idle_since: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Session>> {
        let found = sqlx::query(
            "SELECT users.*, sessions.created_at AS session_created_at, sessions.seen_at, sessions.expires_at
             FROM sessions JOIN users ON users.id = sessions.user_id
             WHERE token_hash = $1 AND expires_at > $2 AND seen_at > $3 AND disabled = 0",
        )
        .bind(token_hash)
        .bind(micros(now))
        .bind(micros(idle_since))
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("look for a session"))?;
        let Some(session) = found.as_ref().map(row).transpose()? else {
            return Ok(None);
        };
        if micros(now) - micros(session.seen_at) >= SEEN_STEP_MICROS {
            let noted = sqlx::query("UPDATE sessions SET seen_at = $2 WHERE token_hash = $1")
                .bind(token_hash)
                .bind(micros(now))
                .execute(&self.pool)
                .await;
            // Nobody is refused because the database is busy with something else.
            if let Err(error) = noted {
                tracing::warn!(error = %error, "a session's use could not be noted");
            }
        }
        Ok(Some(session))
    }

    /// Forgets sessions that are over. Returns how many there were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_sessions(&self, now: Timestamp) -> Result<u64> {
        let done = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(micros(now))
            .execute(&self.pool)
            .await
            .map_err(sql("forget old sessions"))?;
        Ok(done.rows_affected())
    }

    /// Ends a session; one that is over already is no error.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_session(&self, token_hash: &str) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
            .bind(token_hash)
            .execute(&self.pool)
            .await
            .map_err(sql("end a session"))?;
        Ok(())
    }
}

fn row(row: &AnyRow) -> Result<Session> {
    Ok(Session {
        user: users::row(row)?,
        created_at: timestamp(row.get("session_created_at")),
        seen_at: timestamp(row.get("seen_at")),
        expires_at: timestamp(row.get("expires_at")),
    })
}

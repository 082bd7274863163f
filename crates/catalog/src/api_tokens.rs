//! API tokens: what lets programs in, for a user. The database holds only their hashes: whoever reads it cannot use them.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    ApiTokenId, Catalog, Error, Organization, Result, Role, User, UserId,
    error::sql,
    ids,
    time::{ever, micros, timestamp},
    users,
};

/// How stale the time of a token's last use may be: a program that asks all the time writes once a minute.
const USED_STEP_MICROS: i64 = 60_000_000;

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// For whom it acts.
    pub user: UserId,
    /// For people.
    pub name: String,
    /// What it may do at most; it never may more than its user.
    pub role: Role,
    /// SHA-256 of the token, in hexadecimal digits.
    pub token_hash: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A token.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// Which one.
    pub id: ApiTokenId,
    /// For whom it acts.
    pub user: UserId,
    /// For people.
    pub name: String,
    /// What it may do at most; it never may more than its user.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was last used, within a minute.
    pub used_at: Option<Timestamp>,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
}

impl Catalog {
    /// The token with a hash and its user, if it is neither over nor revoked and the user may still sign in. It is noted as used.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn api_token(
        &self,
        token_hash: &str,
        now: Timestamp,
    ) -> Result<Option<(ApiToken, User)>> {
        let found = sqlx::query(
            "SELECT * FROM api_tokens WHERE token_hash = $1 AND expires_at > $2 AND revoked_at = 0",
        )
        .bind(token_hash)
        .bind(micros(now))
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("look for an API token"))?;
        let Some(token) = found.as_ref().map(row).transpose()? else {
            return Ok(None);
        };
        let user = sqlx::query("SELECT * FROM users WHERE id = $1 AND disabled = 0")
            .bind(token.user.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("look for an API token's user"))?;
        let Some(user) = user.as_ref().map(users::row).transpose()? else {
            return Ok(None);
        };
        if micros(now) - token.used_at.map_or(0, micros) >= USED_STEP_MICROS {
            sqlx::query("UPDATE api_tokens SET used_at = $2 WHERE id = $1")
                .bind(token.id.to_string())
                .bind(micros(now))
                .execute(&self.pool)
                .await
                .map_err(sql("note an API token's use"))?;
        }
        Ok(Some((token, user)))
    }
}

impl Organization {
    /// Makes a token.
    ///
    /// # Errors
    /// When there is no such user here.
    pub async fn add_api_token(&self, new: &NewApiToken, now: Timestamp) -> Result<ApiTokenId> {
        self.user(new.user).await?;
        let id = ApiTokenId::new();
        sqlx::query(
            "INSERT INTO api_tokens (id, organization_id, user_id, name, role, token_hash, created_at, expires_at, used_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0)",
        )
        .bind(id.to_string())
        .bind(self.id.to_string())
        .bind(new.user.to_string())
        .bind(&new.name)
        .bind(new.role.word())
        .bind(&new.token_hash)
        .bind(micros(now))
        .bind(micros(new.expires_at))
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("make an API token"))?;
        Ok(id)
    }

    /// The tokens, the newest first, also those that are over or revoked.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn api_tokens(&self) -> Result<Vec<ApiToken>> {
        let rows =
            sqlx::query("SELECT * FROM api_tokens WHERE organization_id = $1 ORDER BY id DESC")
                .bind(self.id.to_string())
                .fetch_all(&self.catalog.pool)
                .await
                .map_err(sql("list API tokens"))?;
        rows.iter().map(row).collect()
    }

    /// Ends a token for good; one that has been revoked already stays so.
    ///
    /// # Errors
    /// When there is no such token here.
    pub async fn revoke_api_token(&self, id: ApiTokenId, now: Timestamp) -> Result<()> {
        let done = sqlx::query(
            "UPDATE api_tokens SET revoked_at = CASE WHEN revoked_at = 0 THEN $3 ELSE revoked_at END
             WHERE organization_id = $1 AND id = $2",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .bind(micros(now))
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("revoke an API token"))?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound("API token"));
        }
        Ok(())
    }
}

/// Ends all tokens of a user for good.
pub(crate) async fn revoke_all(c: &mut AnyConnection, user: UserId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE api_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at = 0")
        .bind(user.to_string())
        .bind(micros(now))
        .execute(c)
        .await
        .map_err(sql("revoke a user's API tokens"))?;
    Ok(())
}

fn row(row: &AnyRow) -> Result<ApiToken> {
    Ok(ApiToken {
        id: ids::read(row, "id")?,
        user: ids::read(row, "user_id")?,
        name: row.get("name"),
        role: Role::read(row)?,
        created_at: timestamp(row.get("created_at")),
        expires_at: timestamp(row.get("expires_at")),
        used_at: ever(row.get("used_at")),
        revoked_at: ever(row.get("revoked_at")),
    })
}

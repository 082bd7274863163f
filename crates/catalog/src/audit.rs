//! Who did what: a chain in which every entry holds the hash of the one before, so that nothing can be changed or taken out unseen.
//!
//! An entry's hash is SHA-256 over the parts below, each with its length in bytes before it as eight little-endian bytes: the previous hash, the
//! organization, the number, the time in microseconds, actor, action, object, detail. Whoever can rewrite all of the database can rewrite the chain
//! to its end; a copy of any later hash, kept elsewhere, shows that.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use crate::{
    Organization, Result,
    accounts::unsigned,
    database::transaction,
    error::sql,
    statement::Statement,
    time::{micros, timestamp},
};

/// Entries that are read at a time when the chain is checked.
const CHECK_ROWS: i64 = 1_000;

/// What is to be noted.
#[derive(Clone, Debug)]
pub struct NewAudit {
    /// Who: a user's id, an API token's, or `keepwell` itself.
    pub actor: String,
    /// What: a word such as `signed in`, `looked at a message`.
    pub action: String,
    /// To what: ids, never content.
    pub object: String,
    /// More about it: a JSON object, or nothing.
    pub detail: String,
}

/// An entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditEntry {
    /// Its number, from 1 without a gap.
    pub number: u64,
    /// When it was noted.
    pub happened_at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// More about it.
    pub detail: String,
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
}

/// Which entries.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuditFilter {
    /// Those of this actor.
    pub actor: Option<String>,
    /// Those of this action.
    pub action: Option<String>,
    /// Those about this id, or about something of it: objects begin with the id.
    pub object: Option<String>,
    /// Those from this time on.
    pub from: Option<Timestamp>,
    /// Those before this time.
    pub until: Option<Timestamp>,
}

/// What a look at the whole chain came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChainCheck {
    /// Every entry follows from the one before; so many there are, and the last has this hash.
    Unbroken {
        /// How many entries.
        entries: u64,
        /// The hash of the last; empty when there is none.
        last: String,
    },
    /// The entry with this number was changed, or one before it is missing.
    Broken {
        /// Where the chain breaks.
        number: u64,
    },
}

impl Organization {
    /// Notes what somebody did, and returns the entry's hash.
    ///
    /// # Errors
    /// When the database cannot be written. What was to be noted should then not be done.
    pub async fn note(&self, new: &NewAudit, now: Timestamp) -> Result<String> {
        let lock = self.catalog.dialect.for_update();
        transaction!(self.catalog, "note in the audit", |c| {
            let organization = self.id.to_string();
            // Entries of an organization are made one after another.
            sqlx::query(AssertSqlSafe(format!(
                "SELECT id FROM organizations WHERE id = $1 {lock}"
            )))
            .bind(&organization)
            .fetch_optional(&mut *c)
            .await
            .map_err(sql("lock the audit"))?;
            let last = sqlx::query("SELECT number, hash FROM audit WHERE organization_id = $1 ORDER BY number DESC LIMIT 1")
                        .bind(&organization)
                        .fetch_optional(&mut *c)
                        .await
                        .map_err(sql("read the audit's end"))?;
            let (number, previous): (i64, String) = last.map_or((0, String::new()), |row| {
                (row.get("number"), row.get("hash"))
            });
            let entry = hashed(&previous, &organization, number + 1, micros(now), new);
            sqlx::query(
                        "INSERT INTO audit (organization_id, number, happened_at, actor, action, object, detail, previous_hash, hash)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                    )
                    .bind(&organization)
                    .bind(number + 1)
                    .bind(micros(now))
                    .bind(&new.actor)
                    .bind(&new.action)
                    .bind(&new.object)
                    .bind(&new.detail)
                    .bind(previous)
                    .bind(&entry)
                    .execute(c)
                    .await
                    .map_err(sql("note in the audit"))?;
            Ok(entry)
        })
    }

    /// The entries, the newest first, before the one with a number.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn audit(&self, before: Option<u64>, rows: u32) -> Result<Vec<AuditEntry>> {
        self.audit_of(&AuditFilter::default(), before, rows).await
    }

    /// Those of the entries that match, the newest first, before the one with a number.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn audit_of(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        rows: u32,
    ) -> Result<Vec<AuditEntry>> {
        let mut query = Statement::new("SELECT * FROM audit WHERE organization_id = ");
        query.bind(self.id.to_string());
        if let Some(before) = before {
            query
                .push(" AND number < ")
                .bind(crate::accounts::signed(before));
        }
        let words = [
            (" AND actor = ", &filter.actor),
            (" AND action = ", &filter.action),
        ];
        for (what, word) in words {
            if let Some(word) = word {
                query.push(what).bind(word.as_str());
            }
        }
        if let Some(object) = &filter.object {
            query
                .push(" AND (object = ")
                .bind(object.as_str())
                .push(" OR substr(object, 1, length(")
                .bind(object.as_str())
                .push(") + 1) = ")
                .bind(format!("{object} "))
                .push(")");
        }
        let times = [
            (" AND happened_at >= ", filter.from),
            (" AND happened_at < ", filter.until),
        ];
        for (what, time) in times {
            if let Some(time) = time {
                query.push(what).bind(micros(time));
            }
        }
        query
            .push(" ORDER BY number DESC LIMIT ")
            .bind(i64::from(rows));
        let found = query
            .build()
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("list the audit"))?;
        Ok(found.iter().map(row).collect())
    }

    /// What was ever done here, in the order of the words.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn audit_actions(&self) -> Result<Vec<String>> {
        // From each word to the next by the index: a DISTINCT would read every entry.
        let found = sqlx::query(
            "WITH RECURSIVE words (word) AS (
                 SELECT MIN(action) FROM audit WHERE organization_id = $1
                 UNION ALL
                 SELECT (SELECT MIN(action) FROM audit WHERE organization_id = $1 AND action > word) FROM words WHERE word IS NOT NULL
             ) SELECT word FROM words WHERE word IS NOT NULL",
        )
        .bind(self.id.to_string())
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("list what the audit knows"))?;
        Ok(found.iter().map(|row| row.get("word")).collect())
    }

    /// Follows the chain from its beginning.
    ///
    /// # Errors
    /// When the database cannot be asked. A broken chain is no error.
    pub async fn check_audit(&self) -> Result<ChainCheck> {
        let (mut number, mut last) = (0_i64, String::new());
        loop {
            let found = sqlx::query("SELECT * FROM audit WHERE organization_id = $1 AND number > $2 ORDER BY number LIMIT $3")
                .bind(self.id.to_string())
                .bind(number)
                .bind(CHECK_ROWS)
                .fetch_all(&self.catalog.pool)
                .await
                .map_err(sql("read the audit"))?;
            if found.is_empty() {
                return Ok(ChainCheck::Unbroken {
                    entries: number.unsigned_abs(),
                    last,
                });
            }
            for row in &found {
                let entry = self::row(row);
                let new = NewAudit {
                    actor: entry.actor,
                    action: entry.action,
                    object: entry.object,
                    detail: entry.detail,
                };
                let expected = hashed(
                    &last,
                    &self.id.to_string(),
                    number + 1,
                    micros(entry.happened_at),
                    &new,
                );
                if entry.number != (number + 1).unsigned_abs() || entry.hash != expected {
                    return Ok(ChainCheck::Broken {
                        number: (number + 1).unsigned_abs(),
                    });
                }
                number += 1;
                last = entry.hash;
            }
        }
    }
}

fn hashed(
    previous: &str,
    organization: &str,
    number: i64,
    happened_at: i64,
    new: &NewAudit,
) -> String {
    let (number, happened_at) = (number.to_string(), happened_at.to_string());
    let parts = [
        previous,
        organization,
        &number,
        &happened_at,
        &new.actor,
        &new.action,
        &new.object,
        &new.detail,
    ];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize())
}

fn row(row: &AnyRow) -> AuditEntry {
    AuditEntry {
        number: unsigned(row, "number"),
        happened_at: timestamp(row.get("happened_at")),
        actor: row.get("actor"),
        action: row.get("action"),
        object: row.get("object"),
        detail: row.get("detail"),
        hash: row.get("hash"),
    }
}

//! The failure ledger, as people see it: a copy of what each account's newest snapshot says, which can be rebuilt from there.

use jiff::Timestamp;
use model::FailureCause;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    AccountKey, Error, FailureId, Organization, Result,
    accounts::{signed, unsigned},
    error::sql,
    ids,
    statement::Statement,
    time::{micros, timestamp},
};

/// Rows in one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// An item that is not in the backup and should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ItemReport {
    /// The item's id at the source.
    pub item: String,
    /// Why.
    pub cause: FailureCause,
    /// Runs that have tried.
    pub attempts: u64,
    /// When it failed first.
    pub first_seen_at: Timestamp,
    /// When it failed last.
    pub last_tried_at: Timestamp,
}

/// A line of the ledger.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which one.
    pub id: FailureId,
    /// The account.
    pub account: AccountKey,
    /// The item.
    pub report: ItemReport,
}

impl Organization {
    /// An account's ledger, a page at a time.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn failures(
        &self,
        account: AccountKey,
        after: Option<FailureId>,
        rows: u32,
    ) -> Result<Vec<Failure>> {
        let mut query = Statement::new("SELECT * FROM failures WHERE organization_id = ");
        query
            .bind(self.id.to_string())
            .push(" AND account_id = ")
            .bind(account.to_string());
        if let Some(after) = after {
            query.push(" AND id > ").bind(after.to_string());
        }
        query.push(" ORDER BY id LIMIT ").bind(i64::from(rows));
        let found = query
            .build()
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("list failures"))?;
        found.iter().map(row).collect()
    }

    /// How many items are in the ledger for each cause, the most frequent first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn failures_by_cause(&self) -> Result<Vec<(FailureCause, u64)>> {
        let found = sqlx::query(
            "SELECT cause, COUNT(*) AS n FROM failures WHERE organization_id = $1 GROUP BY cause ORDER BY n DESC, cause",
        )
        .bind(self.id.to_string())
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("count failures"))?;
        found
            .iter()
            .map(|row| Ok((cause(row)?, unsigned(row, "n"))))
            .collect()
    }
}

/// Makes an account's ledger what the newest snapshot says.
pub(crate) async fn replace(
    c: &mut AnyConnection,
    organization: String,
    account: &str,
    items: &[ItemReport],
) -> Result<()> {
    sqlx::query("DELETE FROM failures WHERE account_id = $1")
        .bind(account)
        .execute(&mut *c)
        .await
        .map_err(sql("clear a ledger"))?;
    for some in items.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Statement::new(
            "INSERT INTO failures (id, organization_id, account_id, item_id, cause, attempts, first_seen_at, last_tried_at) VALUES ",
        );
        for (at, item) in some.iter().enumerate() {
            insert.push(if at == 0 { "" } else { ", " }).bind_row([
                FailureId::new().to_string().into(),
                organization.as_str().into(),
                account.into(),
                item.item.as_str().into(),
                word(item.cause).into(),
                signed(item.attempts).into(),
                micros(item.first_seen_at).into(),
                micros(item.last_tried_at).into(),
            ]);
        }
        insert.push(" ON CONFLICT DO NOTHING");
        insert
            .build()
            .execute(&mut *c)
            .await
            .map_err(sql("write a ledger"))?;
    }
    sqlx::query("UPDATE accounts SET failures = (SELECT COUNT(*) FROM failures WHERE account_id = $1) WHERE id = $1")
        .bind(account)
        .execute(c)
        .await
        .map_err(sql("count an account's failures"))?;
    Ok(())
}

/// A cause as the repository's own ledger writes it.
pub(crate) fn word(cause: FailureCause) -> String {
    match serde_json::to_value(cause) {
        Ok(serde_json::Value::String(word)) => word,
        _ => unreachable!("a cause is a word"),
    }
}

pub(crate) fn cause(row: &AnyRow) -> Result<FailureCause> {
    let word: String = row.get("cause");
    serde_json::from_value(word.into()).map_err(|_| Error::Unreadable("cause"))
}

fn row(row: &AnyRow) -> Result<Failure> {
    Ok(Failure {
        id: ids::read(row, "id")?,
        account: ids::read(row, "account_id")?,
        report: ItemReport {
            item: row.get("item_id"),
            cause: cause(row)?,
            attempts: unsigned(row, "attempts"),
            first_seen_at: timestamp(row.get("first_seen_at")),
            last_tried_at: timestamp(row.get("last_tried_at")),
        },
    })
}

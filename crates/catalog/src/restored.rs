//! What became of each item of a restore: the report that stays. It has ids and causes, nothing of what is in an item.

use model::FailureCause;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    JobId, Organization, Result,
    accounts::{signed, unsigned},
    error::sql,
    failures,
    statement::Statement,
    words::words,
};

/// Rows in one statement.
const ROWS_PER_STATEMENT: usize = 500;

words! {
    /// What became of an item.
    Became in "became" {
        /// It could not be restored.
        Failed = "failed",
        /// The restore point does not have it.
        NotHeld = "not held",
        /// It is there again, without something that it had.
        RestoredInPart = "restored in part",
        /// It was there already, and stays as it is.
        LeftAlone = "left alone",
        /// It is there again.
        Restored = "restored",
    }
}

/// An item of a restore.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestoredItem {
    /// Its id at the source; empty when it could not be read.
    pub item: String,
    /// What became of it.
    pub became: Became,
    /// Why it failed.
    pub cause: Option<FailureCause>,
    /// Microsoft's code, where there was one; else empty.
    pub code: String,
    /// What it is without, in words; else empty.
    pub lost: String,
}

/// How many of a restore's items became the same for the same reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestoredCount {
    /// What became of them.
    pub became: Became,
    /// Why they failed.
    pub cause: Option<FailureCause>,
    /// Microsoft's code, where there was one; else empty.
    pub code: String,
    /// How many.
    pub items: u64,
}

impl Organization {
    /// What became of the items of a restore's job after the one with this number, which is 0 for the first; of those of which this became, all when none is
    /// named. With their numbers.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn restored_items(
        &self,
        job: JobId,
        became: &[Became],
        after: u64,
        rows: u32,
    ) -> Result<Vec<(u64, RestoredItem)>> {
        let mut query = Statement::new("SELECT * FROM restored_items WHERE organization_id = ");
        query
            .bind(self.id.to_string())
            .push(" AND job_id = ")
            .bind(job.to_string())
            .push(" AND number > ")
            .bind(signed(after));
        if !became.is_empty() {
            query.push(" AND became IN (NULL");
            for one in became {
                query.push(", ").bind(one.word());
            }
            query.push(")");
        }
        query.push(" ORDER BY number LIMIT ").bind(i64::from(rows));
        let found = query
            .build()
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("list restored items"))?;
        let rows = found.iter();
        rows.map(|one| Ok((unsigned(one, "number"), row(one)?)))
            .collect()
    }

    /// How many of a restore's items became what, and why, those first of which somebody has to know.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn restored_counts(&self, job: JobId) -> Result<Vec<RestoredCount>> {
        let found = sqlx::query(
            "SELECT became, cause, code, COUNT(*) AS n, MIN(number) AS first FROM restored_items WHERE organization_id = $1 AND job_id = $2
             GROUP BY became, cause, code ORDER BY first",
        )
        .bind(self.id.to_string())
        .bind(job.to_string())
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("count restored items"))?;
        let counts = found.iter().map(|row| {
            Ok(RestoredCount {
                became: Became::read(row)?,
                cause: cause(row)?,
                code: row.get("code"),
                items: unsigned(row, "n"),
            })
        });
        counts.collect()
    }
}

/// Notes what became of a job's items, numbered from 1.
pub(crate) async fn note(
    c: &mut AnyConnection,
    organization: &str,
    job: JobId,
    items: &[RestoredItem],
) -> Result<()> {
    for (chunk, some) in items.chunks(ROWS_PER_STATEMENT).enumerate() {
        let mut insert = Statement::new(
            "INSERT INTO restored_items (organization_id, job_id, number, item_id, became, cause, code, lost) VALUES ",
        );
        for (at, item) in some.iter().enumerate() {
            let number = chunk * ROWS_PER_STATEMENT + at + 1;
            insert.push(if at == 0 { "" } else { ", " }).bind_row([
                organization.into(),
                job.to_string().into(),
                signed(number as u64).into(),
                item.item.as_str().into(),
                item.became.word().into(),
                item.cause.map(failures::word).unwrap_or_default().into(),
                item.code.as_str().into(),
                item.lost.as_str().into(),
            ]);
        }
        insert
            .build()
            .execute(&mut *c)
            .await
            .map_err(sql("note restored items"))?;
    }
    Ok(())
}

fn row(row: &AnyRow) -> Result<RestoredItem> {
    Ok(RestoredItem {
        item: row.get("item_id"),
        became: Became::read(row)?,
        cause: cause(row)?,
        code: row.get("code"),
        lost: row.get("lost"),
    })
}

fn cause(row: &AnyRow) -> Result<Option<FailureCause>> {
    match row.get::<String, _>("cause").is_empty() {
        true => Ok(None),
        false => failures::cause(row).map(Some),
    }
}

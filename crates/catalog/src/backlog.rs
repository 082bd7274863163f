//! How much there is to do, over all organizations: counts alone, for whoever watches the server.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row;

use crate::{
    Catalog, JobKind, JobState, Result,
    accounts::unsigned,
    error::sql,
    time::{ever, micros},
};

/// What is not over.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Backlog {
    /// Runs with jobs that are not over.
    pub runs: u64,
    /// Jobs that wait for a worker, are worked on, or are paused.
    pub jobs: BTreeMap<(JobKind, JobState), u64>,
    /// Since when the job that has waited longest could have been begun.
    pub due_since: Option<Timestamp>,
    /// Items that could not be copied, of all accounts.
    pub failures: u64,
}

impl Catalog {
    /// What is not over. Every part is counted by an index or a table that is small when all is well.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn backlog(&self, now: Timestamp) -> Result<Backlog> {
        let jobs = sqlx::query(
            "SELECT kind, state, COUNT(*) AS jobs FROM jobs WHERE state IN ('queued', 'running', 'paused') GROUP BY kind, state",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(sql("count the jobs that are not over"))?;
        let others = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM runs WHERE finished_at = 0) AS runs,
                (SELECT COUNT(*) FROM failures) AS failures,
                (SELECT COALESCE(MIN(CASE WHEN not_before > created_at THEN not_before ELSE created_at END), 0)
                 FROM jobs WHERE state = 'queued' AND not_before <= $1) AS due_since",
        )
        .bind(micros(now))
        .fetch_one(&self.pool)
        .await
        .map_err(sql("count what is not over"))?;
        let mut backlog = Backlog {
            runs: unsigned(&others, "runs"),
            due_since: ever(others.get("due_since")),
            failures: unsigned(&others, "failures"),
            ..Backlog::default()
        };
        for row in &jobs {
            let which = (JobKind::read(row)?, JobState::read(row)?);
            backlog.jobs.insert(which, unsigned(row, "jobs"));
        }
        Ok(backlog)
    }
}

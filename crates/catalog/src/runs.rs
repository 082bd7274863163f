//! Runs: one execution of a task, with a job for each account.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::{Any, AnyConnection, AssertSqlSafe, Executor, Row, any::AnyRow};

use crate::{
    AccountFilter, Error, JobId, JobKind, JobResult, JobState, NewJob, Organization, Result, RunId,
    TaskId,
    accounts::{signed, unsigned},
    database::transaction,
    dialect::Dialect,
    error::sql,
    ids,
    jobs::Wanted,
    statement::Statement,
    time::{ever, micros, timestamp},
    words::words,
};

words! {
    /// Why there is a run.
    RunCause in "cause" {
        /// It was time.
        Schedule = "schedule",
        /// Somebody wanted it at once.
        BackupNow = "backup now",
        /// Somebody wants something back.
        Restore = "restore",
        /// Repositories are tidied.
        Maintenance = "maintenance",
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Which one.
    pub id: RunId,
    /// Its task.
    pub task: TaskId,
    /// Why there is one.
    pub cause: RunCause,
    /// What its workers are to do.
    pub wanted: Wanted,
    /// When it began.
    pub started_at: Timestamp,
    /// When its last job was over.
    pub finished_at: Option<Timestamp>,
}

/// What makes an order begin one run, however often it comes.
#[derive(Clone, Debug)]
pub struct Once {
    key: String,
    hash: String,
}

impl Once {
    /// `key` is what the order is known by, never empty; with the same key another `order`, whose text tells all that is ordered, is refused.
    #[must_use]
    pub fn new(key: String, order: &str) -> Self {
        Self {
            key,
            hash: HEXLOWER.encode(&Sha256::digest(order)),
        }
    }
}

/// What the jobs of a run come to so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RunTotals {
    /// Jobs in all.
    pub jobs: u64,
    /// Those that wait for a worker.
    pub queued: u64,
    /// Those that a worker is at.
    pub running: u64,
    /// Those that are paused.
    pub paused: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
    /// Those that copied everything.
    pub success: u64,
    /// Those that left some items out.
    pub partial: u64,
    /// Those that came to nothing.
    pub failed: u64,
    /// Items done.
    pub items: u64,
    /// Bytes done.
    pub bytes: u64,
}

/// What the backups of a day came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DayTotals {
    /// Those that copied everything.
    pub success: u64,
    /// Those that left some items out.
    pub partial: u64,
    /// Those that came to nothing.
    pub failed: u64,
}

impl Organization {
    /// Begins a run with a job for each of the task's accounts that match and have no active job. Returns the run and how many jobs it has; a run
    /// without a job is not begun.
    ///
    /// # Errors
    /// When there is no such task here.
    pub async fn begin_run(
        &self,
        task: TaskId,
        cause: RunCause,
        filter: &AccountFilter,
        job: &NewJob,
        now: Timestamp,
    ) -> Result<Option<(RunId, u64)>> {
        self.begin(task, cause, filter, job, None, now).await
    }

    /// The same for an order that may come again: the run that it has begun is returned then, with no jobs.
    ///
    /// # Errors
    /// [`Error::OtherOrder`] when the key was used for something else.
    pub async fn begin_run_once(
        &self,
        task: TaskId,
        cause: RunCause,
        filter: &AccountFilter,
        job: &NewJob,
        once: &Once,
        now: Timestamp,
    ) -> Result<Option<(RunId, u64)>> {
        self.begin(task, cause, filter, job, Some(once), now).await
    }

    /// The run that an order has begun.
    ///
    /// # Errors
    /// [`Error::OtherOrder`] when the key was used for something else.
    pub async fn run_of_order(&self, once: &Once) -> Result<Option<RunId>> {
        self.ordered(&self.catalog.pool, once).await
    }

    async fn begin(
        &self,
        task: TaskId,
        cause: RunCause,
        filter: &AccountFilter,
        job: &NewJob,
        once: Option<&Once>,
        now: Timestamp,
    ) -> Result<Option<(RunId, u64)>> {
        self.task(task).await?;
        let id = RunId::new();
        transaction!(self.catalog, "begin a run", |c| {
            if let Some(once) = once
                && let Some(run) = self.ordered(&mut *c, once).await?
            {
                return Ok(Some((run, 0)));
            }
            let mut select = Statement::new("SELECT id FROM accounts");
            self.narrow(&mut select, task, filter);
            if job.kind == JobKind::Restore {
                select.push(" AND deleted_at = 0");
            }
            select.push(" ORDER BY name_folded, id");
            if job.kind == JobKind::Restore {
                // From what is about to be deleted nothing is restored.
                select.push(" ").push(self.catalog.dialect.for_update());
            }
            let accounts = select
                .build()
                .fetch_all(&mut *c)
                .await
                .map_err(sql("choose accounts"))?;
            if accounts.is_empty() {
                return Ok(None);
            }
            let done = sqlx::query(
                "INSERT INTO runs (id, organization_id, task_id, cause, wanted, started_at, finished_at, order_key, order_hash)
                 VALUES ($1, $2, $3, $4, 'go', $5, 0, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(id.to_string())
            .bind(self.id.to_string())
            .bind(task.to_string())
            .bind(cause.word())
            .bind(micros(now))
            .bind(once.map_or("", |once| once.key.as_str()))
            .bind(once.map_or("", |once| once.hash.as_str()))
            .execute(&mut *c)
            .await
            .map_err(sql("begin a run"))?;
            if let (Some(once), 0) = (once, done.rows_affected()) {
                // The same order has come twice at the same moment.
                let run = self.ordered(c, once).await?;
                return Ok(Some((run.ok_or(Error::NotFound("run"))?, 0)));
            }
            let (mut jobs, turn) = (0, next_turn(c, job.priority).await?);
            for account in &accounts {
                let turn = turn.saturating_add(signed(jobs));
                jobs += self
                    .enqueue(c, id, account.get("id"), job, turn, now)
                    .await?;
            }
            if jobs == 0 {
                sqlx::query("DELETE FROM runs WHERE id = $1")
                    .bind(id.to_string())
                    .execute(c)
                    .await
                    .map_err(sql("drop an empty run"))?;
                return Ok(None);
            }
            Ok(Some((id, jobs)))
        })
    }

    async fn ordered<'c>(
        &self,
        c: impl Executor<'c, Database = Any>,
        once: &Once,
    ) -> Result<Option<RunId>> {
        let found = sqlx::query(
            "SELECT id, order_hash FROM runs WHERE organization_id = $1 AND order_key = $2",
        )
        .bind(self.id.to_string())
        .bind(&once.key)
        .fetch_optional(c)
        .await
        .map_err(sql("look for an order's run"))?;
        let Some(row) = found else { return Ok(None) };
        match row.get::<String, _>("order_hash") == once.hash {
            true => ids::read(&row, "id").map(Some),
            false => Err(Error::OtherOrder),
        }
    }

    /// Puts one job into the queue, unless its account has an active one. Returns how many it put there.
    async fn enqueue(
        &self,
        c: &mut AnyConnection,
        run: RunId,
        account: String,
        job: &NewJob,
        turn: i64,
        now: Timestamp,
    ) -> Result<u64> {
        let done = sqlx::query(
            "INSERT INTO jobs (id, organization_id, run_id, account_id, kind, state, priority, turn, not_before, owner, lease_ends_at, fencing_token,
                 attempts, input, result, outcome, items_done, items_total, bytes_done, waiting_for, created_at, started_at, finished_at)
             VALUES ($1, $2, $3, $4, $5, 'queued', $6, $9, $7, '', 0, 0, 0, $8, '', '', 0, 0, 0, '', $7, 0, 0)
             ON CONFLICT DO NOTHING",
        )
        .bind(JobId::new().to_string())
        .bind(self.id.to_string())
        .bind(run.to_string())
        .bind(&account)
        .bind(job.kind.word())
        .bind(job.priority)
        .bind(micros(now))
        .bind(&job.input)
        .bind(turn)
        .execute(&mut *c)
        .await
        .map_err(sql("queue a job"))?;
        if done.rows_affected() > 0 && job.kind == JobKind::Backup {
            sqlx::query("UPDATE accounts SET last_result = 'scheduled' WHERE id = $1")
                .bind(account)
                .execute(c)
                .await
                .map_err(sql("note a scheduled account"))?;
        }
        Ok(done.rows_affected())
    }

    /// Tells a run to go on, to pause or to stop for good. Jobs that no worker is at follow at once, the others when their worker next asks, within
    /// seconds.
    ///
    /// # Errors
    /// When there is no such run here, or it is over.
    pub async fn want(&self, run: RunId, wanted: Wanted, now: Timestamp) -> Result<()> {
        transaction!(self.catalog, "steer a run", |c| {
            let done = sqlx::query("UPDATE runs SET wanted = $3 WHERE organization_id = $1 AND id = $2 AND finished_at = 0")
                        .bind(self.id.to_string())
                        .bind(run.to_string())
                        .bind(wanted.word())
                        .execute(&mut *c)
                        .await
                        .map_err(sql("steer a run"))?;
            if done.rows_affected() == 0 {
                return Err(Error::NotFound("run that is not over"));
            }
            let statement = match wanted {
                Wanted::Go => {
                    take_turns_again(c, &run.to_string()).await?;
                    "UPDATE jobs SET state = 'queued', not_before = $2 WHERE run_id = $1 AND state = 'paused'"
                }
                Wanted::Pause => {
                    "UPDATE jobs SET state = 'paused', not_before = $2, waiting_for = '' WHERE run_id = $1 AND state = 'queued'"
                }
                Wanted::Cancel => {
                    "UPDATE jobs SET state = 'cancelled', finished_at = $2, waiting_for = '' WHERE run_id = $1 AND state IN ('queued', 'paused')"
                }
            };
            sqlx::query(statement)
                .bind(run.to_string())
                .bind(micros(now))
                .execute(&mut *c)
                .await
                .map_err(sql("steer a run's jobs"))?;
            close_if_over(c, self.catalog.dialect, &run.to_string(), now).await
        })
    }

    /// A task's runs, the newest first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn runs(&self, task: TaskId, before: Option<RunId>, rows: u32) -> Result<Vec<Run>> {
        let mut query = Statement::new("SELECT * FROM runs WHERE organization_id = ");
        query
            .bind(self.id.to_string())
            .push(" AND task_id = ")
            .bind(task.to_string());
        self.latest_runs(query, before, rows).await
    }

    /// The runs of all tasks that have one of these causes, the latest first, before the one that is named.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn runs_of_all_tasks(
        &self,
        causes: &[RunCause],
        before: Option<RunId>,
        rows: u32,
    ) -> Result<Vec<Run>> {
        let mut query = Statement::new("SELECT * FROM runs WHERE organization_id = ");
        query.bind(self.id.to_string()).push(" AND cause IN (NULL");
        for cause in causes {
            query.push(", ").bind(cause.word());
        }
        query.push(")");
        self.latest_runs(query, before, rows).await
    }

    /// The runs of all tasks that are not over, the latest first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn runs_in_progress(&self, rows: u32) -> Result<Vec<Run>> {
        let mut query = Statement::new("SELECT * FROM runs WHERE organization_id = ");
        query.bind(self.id.to_string()).push(" AND finished_at = 0");
        self.latest_runs(query, None, rows).await
    }

    /// What the backups that ended since the day of a time came to, for each task and each day of UTC, the day as its number since 1 January 1970. Days without
    /// a backup are not there.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn backups_by_day(&self, since: Timestamp) -> Result<Vec<(TaskId, i64, DayTotals)>> {
        let found = sqlx::query(
            "SELECT task_id, day, success, partial, failed FROM backup_days WHERE organization_id = $1 AND day >= $2 ORDER BY task_id, day",
        )
        .bind(self.id.to_string())
        .bind(day_of(since))
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("count the backups of some days"))?;
        let totals = |row: &AnyRow| DayTotals {
            success: unsigned(row, "success"),
            partial: unsigned(row, "partial"),
            failed: unsigned(row, "failed"),
        };
        let rows = found.iter();
        rows.map(|row| Ok((ids::read(row, "task_id")?, row.get("day"), totals(row))))
            .collect()
    }

    /// The latest of the runs that the statement selects.
    async fn latest_runs(
        &self,
        mut query: Statement,
        before: Option<RunId>,
        rows: u32,
    ) -> Result<Vec<Run>> {
        if let Some(before) = before {
            query.push(" AND id < ").bind(before.to_string());
        }
        query.push(" ORDER BY id DESC LIMIT ").bind(i64::from(rows));
        let found = query
            .build()
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("list runs"))?;
        found.iter().map(row).collect()
    }

    /// When a task last had a job of this kind queued.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn last_queued(&self, task: TaskId, kind: JobKind) -> Result<Option<Timestamp>> {
        let found = sqlx::query(
            "SELECT COALESCE(MAX(jobs.created_at), 0) AS last FROM jobs JOIN runs ON runs.id = jobs.run_id
             WHERE runs.organization_id = $1 AND runs.task_id = $2 AND jobs.kind = $3",
        )
        .bind(self.id.to_string())
        .bind(task.to_string())
        .bind(kind.word())
        .fetch_one(&self.catalog.pool)
        .await
        .map_err(sql("look for the last job"))?;
        Ok(ever(found.get("last")))
    }

    /// One run.
    ///
    /// # Errors
    /// When there is no such run here.
    pub async fn run(&self, id: RunId) -> Result<Run> {
        let found = sqlx::query("SELECT * FROM runs WHERE organization_id = $1 AND id = $2")
            .bind(self.id.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.catalog.pool)
            .await
            .map_err(sql("read a run"))?;
        row(&found.ok_or(Error::NotFound("run"))?)
    }

    /// What the jobs of a run come to so far.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn run_totals(&self, id: RunId) -> Result<RunTotals> {
        // Those of a run that is over were counted then.
        let counted = sqlx::query("SELECT jobs, success, partial, failed, cancelled, items, bytes FROM runs WHERE organization_id = $1 AND id = $2 AND finished_at > 0")
            .bind(self.id.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.catalog.pool)
            .await
            .map_err(sql("read what a run came to"))?;
        if let Some(row) = counted {
            return Ok(RunTotals {
                jobs: unsigned(&row, "jobs"),
                success: unsigned(&row, "success"),
                partial: unsigned(&row, "partial"),
                failed: unsigned(&row, "failed"),
                cancelled: unsigned(&row, "cancelled"),
                items: unsigned(&row, "items"),
                bytes: unsigned(&row, "bytes"),
                ..RunTotals::default()
            });
        }
        let found = sqlx::query(
            "SELECT state, result, COUNT(*) AS jobs, CAST(SUM(items_done) AS BIGINT) AS items, CAST(SUM(bytes_done) AS BIGINT) AS bytes
             FROM jobs WHERE organization_id = $1 AND run_id = $2 GROUP BY state, result",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("count a run's jobs"))?;
        let mut totals = RunTotals::default();
        for row in &found {
            let jobs = unsigned(row, "jobs");
            let place = match (JobState::read(row)?, JobResult::of(row)?) {
                (JobState::Queued, _) => &mut totals.queued,
                (JobState::Running, _) => &mut totals.running,
                (JobState::Paused, _) => &mut totals.paused,
                (JobState::Cancelled, _) => &mut totals.cancelled,
                (JobState::Finished, Some(JobResult::Success)) => &mut totals.success,
                (JobState::Finished, Some(JobResult::Partial)) => &mut totals.partial,
                (JobState::Finished, Some(JobResult::Failed)) => &mut totals.failed,
                (JobState::Finished, None) => return Err(Error::Unreadable("result")),
            };
            *place += jobs;
            totals.jobs += jobs;
            totals.items += unsigned(row, "items");
            totals.bytes += unsigned(row, "bytes");
        }
        Ok(totals)
    }
}

/// Counts a backup that has ended on its task's day.
pub(crate) async fn count_by_day(
    c: &mut AnyConnection,
    run: &str,
    result: JobResult,
    now: Timestamp,
) -> Result<()> {
    let is = |one| i64::from(result == one);
    sqlx::query(
        "INSERT INTO backup_days (organization_id, task_id, day, success, partial, failed)
         SELECT organization_id, task_id, $2, $3, $4, $5 FROM runs WHERE id = $1
         ON CONFLICT (organization_id, task_id, day) DO UPDATE SET success = backup_days.success + excluded.success,
             partial = backup_days.partial + excluded.partial, failed = backup_days.failed + excluded.failed",
    )
    .bind(run)
    .bind(day_of(now))
    .bind(is(JobResult::Success))
    .bind(is(JobResult::Partial))
    .bind(is(JobResult::Failed))
    .execute(c)
    .await
    .map_err(sql("count a backup"))?;
    Ok(())
}

/// The number of a time's day in UTC since 1 January 1970.
fn day_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(86_400)
}

/// Whose turn it is among the jobs that wait and are as urgent: where the turns of a new run begin.
///
/// A run's jobs have turns one after the other, and of several runs those are done first whose turn is least. So runs are served by turns, a job of each,
/// and one with ten thousand jobs neither keeps others waiting nor has to wait for those that come later (abuse 69).
async fn next_turn(c: &mut AnyConnection, priority: i64) -> Result<i64> {
    let found = sqlx::query(
        "SELECT turn FROM jobs WHERE state = 'queued' AND priority = $1 ORDER BY turn LIMIT 1",
    )
    .bind(priority)
    .fetch_optional(c)
    .await
    .map_err(sql("look whose turn it is"))?;
    Ok(found.map_or(0, |row| row.get("turn")))
}

/// Lets the paused jobs of a run begin where the turns are by now: otherwise others would wait until it has caught up.
async fn take_turns_again(c: &mut AnyConnection, run: &str) -> Result<()> {
    let first = sqlx::query(
        "SELECT priority, turn FROM jobs WHERE run_id = $1 AND state = 'paused' ORDER BY turn LIMIT 1",
    )
    .bind(run)
    .fetch_optional(&mut *c)
    .await
    .map_err(sql("look for a run's turn"))?;
    let Some(first) = first else { return Ok(()) };
    let at: i64 = first.get("turn");
    let ahead = next_turn(c, first.get("priority"))
        .await?
        .saturating_sub(at);
    sqlx::query("UPDATE jobs SET turn = turn + $2 WHERE run_id = $1 AND state = 'paused'")
        .bind(run)
        .bind(ahead.max(0))
        .execute(c)
        .await
        .map_err(sql("move a run's turns"))?;
    Ok(())
}

/// Notes that a run is over, when none of its jobs is active, and lets its accounts say what their last run came to.
///
/// Whoever ends the last jobs of a run at the same moment comes through here one after the other, so that the last of them sees all jobs ended:
/// without the lock each would see the others' still going, and the run would never be over.
pub(crate) async fn close_if_over(
    c: &mut AnyConnection,
    dialect: Dialect,
    run: &str,
    now: Timestamp,
) -> Result<()> {
    let lock = dialect.for_update();
    sqlx::query(AssertSqlSafe(format!(
        "SELECT id FROM runs WHERE id = $1 {lock}"
    )))
    .bind(run)
    .fetch_optional(&mut *c)
    .await
    .map_err(sql("look at a run"))?;
    sqlx::query(
        "UPDATE accounts SET last_result = CASE WHEN failures > 0 THEN 'partial' WHEN last_success_at > 0 THEN 'success'
             WHEN snapshot <> '' THEN 'partial' ELSE 'never run' END
         WHERE last_result IN ('scheduled', 'in progress')
           AND id IN (SELECT account_id FROM jobs WHERE run_id = $1 AND state = 'cancelled')
           AND NOT EXISTS (SELECT 1 FROM jobs WHERE account_id = accounts.id AND state IN ('queued', 'running', 'paused'))",
    )
    .bind(run)
    .execute(&mut *c)
    .await
    .map_err(sql("note cancelled accounts"))?;
    sqlx::query(
        "UPDATE runs SET finished_at = $2,
             jobs = (SELECT COUNT(*) FROM jobs WHERE run_id = $1),
             success = (SELECT COUNT(*) FROM jobs WHERE run_id = $1 AND result = 'success'),
             partial = (SELECT COUNT(*) FROM jobs WHERE run_id = $1 AND result = 'partial'),
             failed = (SELECT COUNT(*) FROM jobs WHERE run_id = $1 AND result = 'failed'),
             cancelled = (SELECT COUNT(*) FROM jobs WHERE run_id = $1 AND state = 'cancelled'),
             items = (SELECT CAST(COALESCE(SUM(items_done), 0) AS BIGINT) FROM jobs WHERE run_id = $1),
             bytes = (SELECT CAST(COALESCE(SUM(bytes_done), 0) AS BIGINT) FROM jobs WHERE run_id = $1)
         WHERE id = $1 AND finished_at = 0
           AND NOT EXISTS (SELECT 1 FROM jobs WHERE run_id = $1 AND state IN ('queued', 'running', 'paused'))",
    )
    .bind(run)
    .bind(micros(now))
    .execute(c)
    .await
    .map_err(sql("close a run"))?;
    Ok(())
}

fn row(row: &AnyRow) -> Result<Run> {
    Ok(Run {
        id: ids::read(row, "id")?,
        task: ids::read(row, "task_id")?,
        cause: RunCause::read(row)?,
        wanted: Wanted::read(row)?,
        started_at: timestamp(row.get("started_at")),
        finished_at: ever(row.get("finished_at")),
    })
}

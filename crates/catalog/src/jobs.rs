//! Jobs, and the leases by which one worker at a time has one.
//!
//! A worker claims a job for a time and renews its lease while it works. A worker that dies stops renewing; when the lease is over another one claims
//! the job. The first, should it only have been asleep, finds at its next word that the lease is lost. That is not enough for what lies outside this
//! database, so each claim has a fencing token, larger than any before it for the account, which goes into the account's snapshots.

use std::time::Duration;

use jiff::Timestamp;
use model::{AccountId, Service, TenantId};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

use crate::{
    AccountKey, Catalog, Error, ItemReport, JobId, Organization, OrganizationId, RestoredItem,
    Result, RunId, TaskId,
    accounts::{self, signed, unsigned},
    database::transaction,
    dialect::Dialect,
    error::sql,
    failures, ids, restored,
    runs::{self, close_if_over},
    statement::Statement,
    time::{ever, micros, timestamp},
    words::words,
};

words! {
    /// What a job does.
    JobKind in "kind" {
        /// Brings the account's repository up to date.
        Backup = "backup",
        /// Brings something back.
        Restore = "restore",
        /// Reads everything in the repository.
        Verify = "verify",
        /// Tidies the repository.
        Maintain = "maintain",
    }
}

words! {
    /// Where a job is.
    JobState in "state" {
        /// It waits for a worker.
        Queued = "queued",
        /// A worker has it, or had it when its lease ended.
        Running = "running",
        /// It waits for somebody to let it go on.
        Paused = "paused",
        /// It is over, and has a result.
        Finished = "finished",
        /// Somebody stopped it.
        Cancelled = "cancelled",
    }
}

words! {
    /// What a finished job came to.
    JobResult in "result" {
        /// Everything.
        Success = "success",
        /// All but some items.
        Partial = "partial",
        /// Nothing.
        Failed = "failed",
    }
}

words! {
    /// What somebody wants of a run's workers.
    Wanted in "wanted" {
        /// To go on.
        Go = "go",
        /// To stop, leaving what is done, and to go on later.
        Pause = "pause",
        /// To stop for good, leaving what is done.
        Cancel = "cancel",
    }
}

/// A job that is to be queued for each of a run's accounts.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// Smaller ones come first.
    pub priority: i64,
    /// What it is to be done with, as the engine writes it: a JSON object, or nothing.
    pub input: String,
}

/// What proves that a job is a worker's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The worker.
    pub owner: String,
    /// Larger than any that was given out for the account before.
    pub fencing_token: u64,
}

/// A job that a worker has, with what it needs to begin.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What proves it.
    pub lease: Lease,
    /// The organization.
    pub organization: OrganizationId,
    /// The run.
    pub run: RunId,
    /// The task.
    pub task: TaskId,
    /// The account here.
    pub account: AccountKey,
    /// The service.
    pub service: Service,
    /// The tenant.
    pub tenant: TenantId,
    /// The account at the source.
    pub source: AccountId,
    /// What is to be done.
    pub kind: JobKind,
    /// What it is to be done with.
    pub input: String,
    /// Workers that have had it, this one included.
    pub attempts: u64,
}

/// How far a job is, as its worker last said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Items done.
    pub items: u64,
    /// Items in all; 0 while nobody knows.
    pub items_total: u64,
    /// Bytes done.
    pub bytes: u64,
    /// What it waits for, in words; empty when for nothing. Of a job that is queued: why it is not begun before [`Job::not_before`].
    pub waiting_for: String,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What it came to.
    pub result: JobResult,
    /// The engine's report, as it writes it: a JSON object.
    pub outcome: String,
    /// How far it came.
    pub progress: Progress,
    /// For a backup: the snapshot that is accepted from now on, with its items and bytes. `None` where none was made.
    pub snapshot: Option<(String, u64, u64)>,
    /// For a backup: all items that are in the account's failure ledger now. `None` where the ledger was not read.
    pub failures: Option<Vec<ItemReport>>,
    /// For a restore: what became of its items.
    pub restored: Vec<RestoredItem>,
}

/// What a worker leaves that gives a job back unfinished.
#[derive(Clone, Debug)]
pub struct Left {
    /// The job goes on no sooner.
    pub not_before: Timestamp,
    /// What it waits for until then, in words; empty when for nothing but a worker.
    pub waiting_for: String,
    /// Whether something was wrong with it, so that this attempt counts.
    pub counts: bool,
    /// The engine's report so far, which stays when the job was stopped for good; empty when there is none.
    pub outcome: String,
    /// As in [`Finished`].
    pub snapshot: Option<(String, u64, u64)>,
    /// As in [`Finished`].
    pub failures: Option<Vec<ItemReport>>,
    /// As in [`Finished`], for a restore that was stopped for good.
    pub restored: Vec<RestoredItem>,
}

impl Left {
    /// Nothing but the time at which it goes on.
    #[must_use]
    pub fn until(not_before: Timestamp) -> Self {
        Self {
            not_before,
            waiting_for: String::new(),
            counts: false,
            outcome: String::new(),
            snapshot: None,
            failures: None,
            restored: Vec::new(),
        }
    }
}

/// A job, for people.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which one.
    pub id: JobId,
    /// The run.
    pub run: RunId,
    /// The account.
    pub account: AccountKey,
    /// What it does.
    pub kind: JobKind,
    /// Where it is.
    pub state: JobState,
    /// What it came to, when it is finished.
    pub result: Option<JobResult>,
    /// How far it is.
    pub progress: Progress,
    /// The engine's report, when it is finished.
    pub outcome: String,
    /// Workers that have had it.
    pub attempts: u64,
    /// When it is not begun before.
    pub not_before: Timestamp,
    /// When the first worker began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
}

impl JobResult {
    pub(crate) fn of(row: &AnyRow) -> Result<Option<Self>> {
        let word: String = row.get("result");
        if word.is_empty() {
            return Ok(None);
        }
        Self::read(row).map(Some)
    }
}

impl Catalog {
    /// Gives a worker a job until `now + lease`: first one whose worker has died, else the most urgent of those that wait, of which each run has one in
    /// its turn. `None` when there is none.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn claim(
        &self,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Claim>> {
        let skip = self.dialect.skip_locked();
        let (now, ends) = (micros(now), micros(now).saturating_add(duration(lease)));
        transaction!(self, "claim a job", |c| {
            let orphaned = "state = 'running' AND lease_ends_at <= $1 ORDER BY lease_ends_at, id";
            let waiting = "state = 'queued' AND not_before <= $1 ORDER BY priority, turn, id";
            let mut found = None;
            for which in [orphaned, waiting] {
                found = sqlx::query(AssertSqlSafe(format!(
                    "SELECT id, account_id, kind FROM jobs WHERE {which} LIMIT 1 {skip}"
                )))
                .bind(now)
                .fetch_optional(&mut *c)
                .await
                .map_err(sql("look for a job"))?;
                if found.is_some() {
                    break;
                }
            }
            let Some(found) = found else { return Ok(None) };
            give(c, &found, worker, ends, now).await.map(Some)
        })
    }

    /// Renews a lease until `now + lease`, notes how far the job is, and learns what is wanted of it.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when another worker has the job, or it is over.
    pub async fn renew(
        &self,
        lease: &Lease,
        progress: &Progress,
        time: Duration,
        now: Timestamp,
    ) -> Result<Wanted> {
        let done = sqlx::query(
            "UPDATE jobs SET lease_ends_at = $4, items_done = $5, items_total = $6, bytes_done = $7, waiting_for = $8
             WHERE id = $1 AND owner = $2 AND fencing_token = $3 AND state = 'running'
             RETURNING (SELECT wanted FROM runs WHERE runs.id = jobs.run_id) AS wanted",
        )
        .bind(lease.job.to_string())
        .bind(&lease.owner)
        .bind(signed(lease.fencing_token))
        .bind(micros(now).saturating_add(duration(time)))
        .bind(signed(progress.items))
        .bind(signed(progress.items_total))
        .bind(signed(progress.bytes))
        .bind(&progress.waiting_for)
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("renew a lease"))?;
        Wanted::read(&done.ok_or(Error::LeaseLost)?)
    }

    /// Whether a job is due that no worker has: all hands are full.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn is_a_job_due(&self, now: Timestamp) -> Result<bool> {
        let due =
            sqlx::query("SELECT 1 FROM jobs WHERE state = 'queued' AND not_before <= $1 LIMIT 1")
                .bind(micros(now))
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("look for a job that is due"))?;
        Ok(due.is_some())
    }

    /// Notes the snapshot that a backup has made, with its items and bytes, before the job is over: whatever happens to the worker, people see it.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when another worker has the job, or it is over. Then nothing is noted.
    pub async fn note_snapshot(&self, lease: &Lease, snapshot: &(String, u64, u64)) -> Result<()> {
        let lock = self.dialect.for_update();
        transaction!(self, "note a backup's snapshot", |c| {
            let job = sqlx::query(AssertSqlSafe(format!(
                "SELECT organization_id, account_id FROM jobs WHERE id = $1 AND owner = $2 AND fencing_token = $3 AND state = 'running' {lock}"
            )))
            .bind(lease.job.to_string())
            .bind(&lease.owner)
            .bind(signed(lease.fencing_token))
            .fetch_optional(&mut *c)
            .await
            .map_err(sql("look for a lease"))?
            .ok_or(Error::LeaseLost)?;
            accept(c, &job, Some(snapshot), None).await
        })
    }

    /// Gives a job back unfinished: to be paused or stopped as is wanted of its run, else to go on.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when another worker has the job, or it is over.
    pub async fn give_back(&self, lease: &Lease, left: &Left, now: Timestamp) -> Result<JobState> {
        let lock = self.dialect.for_update();
        transaction!(self, "give a job back", |c| {
            // Whoever wants something of the run meanwhile waits, or is heard here: otherwise a run that goes on would keep a job that is paused.
            let row = sqlx::query(AssertSqlSafe(format!(
                "SELECT id AS run_id, wanted FROM runs WHERE id = (SELECT run_id FROM jobs WHERE id = $1) {lock}"
            )))
            .bind(lease.job.to_string())
            .fetch_optional(&mut *c)
            .await
            .map_err(sql("look at a job's run"))?
            .ok_or(Error::LeaseLost)?;
            let (state, finished) = match Wanted::read(&row)? {
                Wanted::Go => (JobState::Queued, 0),
                Wanted::Pause => (JobState::Paused, 0),
                Wanted::Cancel => (JobState::Cancelled, micros(now)),
            };
            let job = sqlx::query(
                "UPDATE jobs SET state = $4, owner = '', lease_ends_at = 0, not_before = $5, finished_at = $6, waiting_for = $8, outcome = $9,
                     attempts = attempts - $7
                 WHERE id = $1 AND owner = $2 AND fencing_token = $3 AND state = 'running' RETURNING organization_id, account_id",
            )
            .bind(lease.job.to_string())
            .bind(&lease.owner)
            .bind(signed(lease.fencing_token))
            .bind(state.word())
            .bind(micros(left.not_before))
            .bind(finished)
            .bind(i64::from(!left.counts))
            .bind(if state == JobState::Queued { left.waiting_for.as_str() } else { "" })
            .bind(if state == JobState::Cancelled { left.outcome.as_str() } else { "" })
            .fetch_optional(&mut *c)
            .await
            .map_err(sql("give a job back"))?
            .ok_or(Error::LeaseLost)?;
            accept(c, &job, left.snapshot.as_ref(), left.failures.as_deref()).await?;
            if state == JobState::Cancelled {
                restored::note(c, job.get("organization_id"), lease.job, &left.restored).await?;
            }
            if state == JobState::Queued {
                sqlx::query("UPDATE accounts SET last_result = 'scheduled' WHERE id = (SELECT account_id FROM jobs WHERE id = $1 AND kind = 'backup')")
                        .bind(lease.job.to_string())
                        .execute(&mut *c)
                        .await
                        .map_err(sql("note a scheduled account"))?;
            }
            close_if_over(c, self.dialect, row.get("run_id"), now).await?;
            Ok(state)
        })
    }

    /// Ends a job with its result, and notes on its account and in the failure ledger what came of it; the run is over with its last job.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when another worker has the job, or it is over. Then nothing is noted.
    pub async fn finish(&self, lease: &Lease, finished: &Finished, now: Timestamp) -> Result<()> {
        transaction!(self, "finish a job", |c| {
            finish(c, self.dialect, lease, finished, now).await
        })
    }
}

impl Organization {
    /// The jobs of a run: those that a worker is at first, then those that wait, then those that are over, the latest first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn jobs(&self, run: RunId, rows: u32) -> Result<Vec<Job>> {
        // Each part has an index that has it in order: of a run with ten thousand jobs only those are read that are returned.
        let part = |place: u32, which: &str, order: &str| {
            format!(
                "SELECT * FROM (SELECT jobs.*, {place} AS place FROM jobs
                 WHERE organization_id = $1 AND run_id = $2 AND {which} ORDER BY {order} LIMIT $3) AS part{place}"
            )
        };
        let parts = [
            part(0, "state = 'running'", "id"),
            part(1, "state = 'paused'", "id"),
            part(2, "state = 'queued'", "id"),
            part(3, "finished_at > 0", "finished_at DESC, id"),
        ];
        let found = sqlx::query(AssertSqlSafe(format!(
            "{} ORDER BY place, finished_at DESC, id LIMIT $3",
            parts.join(" UNION ALL ")
        )))
        .bind(self.id.to_string())
        .bind(run.to_string())
        .bind(i64::from(rows))
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("list jobs"))?;
        found.iter().map(row).collect()
    }

    /// The jobs of a run after the one that is named, as they were queued.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn jobs_in_order(
        &self,
        run: RunId,
        after: Option<JobId>,
        rows: u32,
    ) -> Result<Vec<Job>> {
        let mut query = Statement::new("SELECT * FROM jobs WHERE organization_id = ");
        query
            .bind(self.id.to_string())
            .push(" AND run_id = ")
            .bind(run.to_string());
        if let Some(after) = after {
            query.push(" AND id > ").bind(after.to_string());
        }
        query.push(" ORDER BY id LIMIT ").bind(i64::from(rows));
        let found = query
            .build()
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("list jobs in order"))?;
        found.iter().map(row).collect()
    }

    /// The jobs that wait until a time although a worker would be free, of these accounts.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn waiting_jobs(&self, accounts: &[AccountKey], now: Timestamp) -> Result<Vec<Job>> {
        let mut query = Statement::new("SELECT * FROM jobs WHERE organization_id = ");
        query
            .bind(self.id.to_string())
            .push(" AND state = 'queued' AND waiting_for <> '' AND not_before > ")
            .bind(micros(now))
            .push(" AND account_id IN (NULL");
        for account in accounts {
            query.push(", ").bind(account.to_string());
        }
        query.push(") ORDER BY id");
        let found = query
            .build()
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("list jobs that wait"))?;
        found.iter().map(row).collect()
    }

    /// One job.
    ///
    /// # Errors
    /// When there is no such job here.
    pub async fn job(&self, id: JobId) -> Result<Job> {
        let found = sqlx::query("SELECT * FROM jobs WHERE organization_id = $1 AND id = $2")
            .bind(self.id.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.catalog.pool)
            .await
            .map_err(sql("read a job"))?;
        row(&found.ok_or(Error::NotFound("job"))?)
    }

    /// An account's jobs, the newest first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn account_jobs(&self, account: AccountKey, rows: u32) -> Result<Vec<Job>> {
        let found = sqlx::query(
            "SELECT * FROM jobs WHERE organization_id = $1 AND account_id = $2 ORDER BY id DESC LIMIT $3",
        )
        .bind(self.id.to_string())
        .bind(account.to_string())
        .bind(i64::from(rows))
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("list an account's jobs"))?;
        found.iter().map(row).collect()
    }

    /// The last backup that came to an end of each of these accounts; of one that has none there is nothing.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn last_backups(&self, accounts: &[AccountKey]) -> Result<Vec<Job>> {
        let mut query = Statement::new("SELECT * FROM jobs WHERE organization_id = ");
        query.bind(self.id.to_string()).push(
            " AND id IN (SELECT (SELECT id FROM jobs AS its WHERE its.account_id = accounts.id AND its.kind = 'backup' AND its.state = 'finished'
                 ORDER BY id DESC LIMIT 1) FROM accounts WHERE id IN (NULL",
        );
        for account in accounts {
            query.push(", ").bind(account.to_string());
        }
        query.push("))");
        let found = query
            .build()
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("look for the last backups"))?;
        found.iter().map(row).collect()
    }
}

/// Gives the job that a SELECT found to a worker.
async fn give(
    c: &mut AnyConnection,
    found: &AnyRow,
    worker: &str,
    ends: i64,
    now: i64,
) -> Result<Claim> {
    // What people see of the account is about its backups.
    let seen = match JobKind::read(found)? {
        JobKind::Backup => ", last_result = 'in progress', last_attempt_at = $2",
        _ => "",
    };
    let account = sqlx::query(AssertSqlSafe(format!(
        "UPDATE accounts SET fencing_token = fencing_token + 1{seen} WHERE id = $1 AND $2 = $2 RETURNING *"
    )))
    .bind(found.get::<String, _>("account_id"))
    .bind(now)
    .fetch_one(&mut *c)
    .await
    .map_err(sql("number a claim"))?;
    let token: i64 = account.get("fencing_token");
    let job = sqlx::query(
        "UPDATE jobs SET state = 'running', owner = $2, lease_ends_at = $3, fencing_token = $4, attempts = attempts + 1,
             started_at = CASE started_at WHEN 0 THEN $5 ELSE started_at END, waiting_for = ''
         WHERE id = $1 RETURNING *",
    )
    .bind(found.get::<String, _>("id"))
    .bind(worker)
    .bind(ends)
    .bind(token)
    .bind(now)
    .fetch_one(c)
    .await
    .map_err(sql("claim a job"))?;
    let organization = ids::read(&job, "organization_id")?;
    let account = accounts::row(&account)?;
    Ok(Claim {
        lease: Lease {
            job: ids::read(&job, "id")?,
            owner: worker.to_owned(),
            fencing_token: token.unsigned_abs(),
        },
        organization,
        run: ids::read(&job, "run_id")?,
        task: account.task,
        account: account.key,
        service: account.service,
        tenant: account.tenant,
        source: account.source,
        kind: JobKind::read(&job)?,
        input: job.get("input"),
        attempts: unsigned(&job, "attempts"),
    })
}

async fn finish(
    c: &mut AnyConnection,
    dialect: Dialect,
    lease: &Lease,
    finished: &Finished,
    now: Timestamp,
) -> Result<()> {
    let job = sqlx::query(
        "UPDATE jobs SET state = 'finished', owner = '', lease_ends_at = 0, result = $4, outcome = $5, items_done = $6, items_total = $7,
             bytes_done = $8, waiting_for = '', finished_at = $9
         WHERE id = $1 AND owner = $2 AND fencing_token = $3 AND state = 'running' RETURNING *",
    )
    .bind(lease.job.to_string())
    .bind(&lease.owner)
    .bind(signed(lease.fencing_token))
    .bind(finished.result.word())
    .bind(&finished.outcome)
    .bind(signed(finished.progress.items))
    .bind(signed(finished.progress.items_total))
    .bind(signed(finished.progress.bytes))
    .bind(micros(now))
    .fetch_optional(&mut *c)
    .await
    .map_err(sql("finish a job"))?
    .ok_or(Error::LeaseLost)?;
    let account: String = job.get("account_id");
    if JobKind::read(&job)? == JobKind::Backup {
        let success = if finished.result == JobResult::Failed {
            0
        } else {
            micros(now)
        };
        sqlx::query(
            "UPDATE accounts SET last_result = $2, last_success_at = CASE WHEN $3 > 0 THEN $3 ELSE last_success_at END WHERE id = $1",
        )
        .bind(&account)
        .bind(finished.result.word())
        .bind(success)
        .execute(&mut *c)
        .await
        .map_err(sql("note a result"))?;
        runs::count_by_day(c, job.get("run_id"), finished.result, now).await?;
    }
    let snapshot = finished.snapshot.as_ref();
    accept(c, &job, snapshot, finished.failures.as_deref()).await?;
    restored::note(c, job.get("organization_id"), lease.job, &finished.restored).await?;
    close_if_over(c, dialect, job.get("run_id"), now).await
}

/// Notes on a job's account the snapshot that was made, and what its ledger says.
async fn accept(
    c: &mut AnyConnection,
    job: &AnyRow,
    snapshot: Option<&(String, u64, u64)>,
    failures: Option<&[ItemReport]>,
) -> Result<()> {
    let account: String = job.get("account_id");
    if let Some((snapshot, items, bytes)) = snapshot {
        sqlx::query("UPDATE accounts SET snapshot = $2, items = $3, size_bytes = $4, deleted_at = 0 WHERE id = $1")
            .bind(&account)
            .bind(snapshot)
            .bind(signed(*items))
            .bind(signed(*bytes))
            .execute(&mut *c)
            .await
            .map_err(sql("note a snapshot"))?;
    }
    match failures {
        Some(items) => failures::replace(c, job.get("organization_id"), &account, items).await,
        None => Ok(()),
    }
}

fn row(row: &AnyRow) -> Result<Job> {
    Ok(Job {
        id: ids::read(row, "id")?,
        run: ids::read(row, "run_id")?,
        account: ids::read(row, "account_id")?,
        kind: JobKind::read(row)?,
        state: JobState::read(row)?,
        result: JobResult::of(row)?,
        progress: Progress {
            items: unsigned(row, "items_done"),
            items_total: unsigned(row, "items_total"),
            bytes: unsigned(row, "bytes_done"),
            waiting_for: row.get("waiting_for"),
        },
        outcome: row.get("outcome"),
        attempts: unsigned(row, "attempts"),
        not_before: timestamp(row.get("not_before")),
        started_at: ever(row.get("started_at")),
        finished_at: ever(row.get("finished_at")),
    })
}

/// A time to wait, in the database's unit.
fn duration(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

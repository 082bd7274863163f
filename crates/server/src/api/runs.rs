//! Runs and their jobs: what goes on, how far it is, what it came to, and steering it.

use axum::{
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use catalog::{AccountKey, JobId, RunId, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use service::JobReport;
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::{Id, Items, Json, Limit, Query},
    words::{Became, FailureCause, JobKind, JobResult, JobState, RunCause, RunResult, Wanted},
};
use crate::{
    Problem, Signed, State,
    pages::{
        progress::{HowFar, WHOLE},
        report::in_words,
    },
    path::Path,
    words::{Outcome, between},
};

/// Jobs of a run in progress that are looked at for how far it is: those at work come first.
const JOBS_MAX: u32 = 100;

/// One execution of a task.
#[derive(Serialize, ToSchema)]
pub(crate) struct Run {
    #[schema(value_type = Id)]
    id: RunId,
    #[schema(value_type = Id)]
    task: TaskId,
    cause: RunCause,
    wanted: Wanted,
    result: RunResult,
    jobs: JobTotals,
    /// Items done.
    items: u64,
    /// Bytes done.
    bytes: u64,
    /// How far it is, in percent of what is known to do; 100 only when it is over.
    percent: u64,
    /// Items done in a second, from the start until now or the end.
    items_per_second: f64,
    /// Bytes done in a second, likewise.
    bytes_per_second: f64,
    started_at: Timestamp,
    /// When the last job was over.
    finished_at: Option<Timestamp>,
}

/// How many of a run's jobs are where.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobTotals {
    all: u64,
    queued: u64,
    running: u64,
    paused: u64,
    cancelled: u64,
    success: u64,
    partial: u64,
    failed: u64,
}

impl Run {
    async fn new(state: &State, signed: &Signed, row: &catalog::Run) -> Result<Self, Problem> {
        let of = &signed.organization;
        let totals = of.run_totals(row.id).await?;
        let jobs = match row.finished_at {
            Some(_) => Vec::new(),
            None => of.jobs(row.id, JOBS_MAX).await?,
        };
        let now = state.clock().now();
        let how_far = HowFar::of_run(row, &totals, &jobs, now);
        let seconds = between(row.started_at, row.finished_at.unwrap_or(now)).as_secs_f64();
        // What took no time has no rate.
        let rate = |count: u64| {
            if seconds > 0.0 {
                count as f64 / seconds
            } else {
                0.0
            }
        };
        Ok(Self {
            id: row.id,
            task: row.task,
            cause: RunCause(row.cause),
            wanted: Wanted(row.wanted),
            result: Outcome::of_run(row, &totals).into(),
            jobs: JobTotals {
                all: totals.jobs,
                queued: totals.queued,
                running: totals.running,
                paused: totals.paused,
                cancelled: totals.cancelled,
                success: totals.success,
                partial: totals.partial,
                failed: totals.failed,
            },
            items: totals.items,
            bytes: totals.bytes,
            percent: how_far.done * 100 / WHOLE,
            items_per_second: rate(totals.items),
            bytes_per_second: rate(totals.bytes),
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }

    async fn find(state: &State, signed: &Signed, id: RunId) -> Result<Self, Problem> {
        let row = signed.organization.run(id).await?;
        Self::new(state, signed, &row).await
    }
}

/// A page of runs, of rows with one more than the page has.
pub(crate) async fn page(
    state: &State,
    signed: &Signed,
    rows: Vec<catalog::Run>,
    limit: Limit,
) -> Result<Items<Run>, Problem> {
    let mut runs = Vec::new();
    for row in rows {
        runs.push(Run::new(state, signed, &row).await?);
    }
    let cursor = |run: &Run| run.id.to_string();
    Ok(Items::page(runs, limit, cursor, |run| run))
}

/// A run that was begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct Begun {
    #[schema(value_type = Id)]
    run: RunId,
}

impl Begun {
    pub(crate) fn new(run: RunId) -> Self {
        Self { run }
    }
}

impl IntoResponse for Begun {
    fn into_response(self) -> Response {
        let location = [(LOCATION, format!("/api/v1/runs/{}", self.run))];
        (StatusCode::ACCEPTED, location, Json(self)).into_response()
    }
}

/// Which runs, and a page of them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Runs {
    /// Those with this cause.
    #[param(inline)]
    cause: Option<RunCause>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<RunId>,
}

/// Runs of all tasks, the newest first
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(Runs), responses((status = 200, body = Items<Run>)))]
pub(crate) async fn list_runs(
    state: State,
    signed: Signed,
    Query(asked): Query<Runs>,
) -> Result<Json<Items<Run>>, Problem> {
    let one = asked.cause.map(|cause| [cause.0]);
    let causes = one.as_ref().map_or(catalog::RunCause::ALL, |one| one);
    let of = &signed.organization;
    let rows = of.runs_of_all_tasks(causes, asked.cursor, asked.limit.and_one());
    page(&state, &signed, rows.await?, asked.limit)
        .await
        .map(Json)
}

/// One run
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs", params(("run" = Id, Path)), responses((status = 200, body = Run)))]
pub(crate) async fn get_run(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
) -> Result<Json<Run>, Problem> {
    Ok(Json(Run::find(&state, &signed, run).await?))
}

/// One account in one run.
#[derive(Serialize, ToSchema)]
pub(crate) struct Job {
    #[schema(value_type = Id)]
    id: JobId,
    #[schema(value_type = Id)]
    run: RunId,
    #[schema(value_type = Id)]
    account: AccountKey,
    kind: JobKind,
    state: JobState,
    /// What it came to, when it is finished.
    result: Option<JobResult>,
    progress: Progress,
    /// Workers that have had it.
    attempts: u64,
    /// Of a job that is queued: it is begun at this time at the earliest, and `progress.waiting_for` says why if it was begun before.
    not_before: Option<Timestamp>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// When it is finished.
    report: Option<Report>,
}

/// How far a job is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Progress {
    items: u64,
    /// 0 while nobody knows.
    items_total: u64,
    bytes: u64,
    /// What it waits for, in words; empty when for nothing.
    waiting_for: String,
}

/// What a job came to. Numbers that do not apply are 0.
#[derive(Serialize, ToSchema)]
pub(crate) struct Report {
    /// The restore point that was made; none when nothing had changed.
    restore_point: Option<String>,
    /// Items in it.
    items: u64,
    /// Bytes of these items.
    size_bytes: u64,
    /// Items that were not held before.
    added: u64,
    /// Items whose content changed.
    changed: u64,
    /// Items of which only the place or the marks changed.
    marked: u64,
    /// Items that the source says are gone.
    removed: u64,
    /// Bytes that were stored, before compression.
    bytes_added: u64,
    /// Items that could not be copied, or restored.
    failures: u64,
    /// Items that can never be copied.
    skips: u64,
    /// Folders that could not be read.
    unread_folders: u64,
    /// Most of the account was deleted or changed at once: somebody should look.
    anomaly: bool,
    /// Items that a restore made.
    restored: u64,
    /// The restore point that a restore was from.
    restored_from: Option<String>,
    /// The new folder that a restore put them into; none when it put them where they were.
    into: Option<String>,
    /// Items that a restore left alone, because they are there.
    already_there: u64,
    /// Objects of the repository that are damaged.
    damaged: u64,
    /// Restore points that were forgotten.
    forgotten: u64,
    /// Bytes that were deleted from the storage.
    bytes_freed: u64,
    took_ms: u64,
    /// Why it came to nothing, or ended early.
    error: Option<String>,
}

impl From<JobReport> for Report {
    fn from(report: JobReport) -> Self {
        Self {
            restore_point: report.snapshot,
            items: report.items,
            size_bytes: report.size_bytes,
            added: report.added,
            changed: report.changed,
            marked: report.marked,
            removed: report.removed,
            bytes_added: report.bytes_added,
            failures: report.failures,
            skips: report.skips,
            unread_folders: report.unread_folders,
            anomaly: report.anomaly,
            restored: report.restored,
            restored_from: report.from,
            into: report.into,
            already_there: report.already_there,
            damaged: report.damaged,
            forgotten: report.forgotten,
            bytes_freed: report.bytes_freed,
            took_ms: report.took_ms,
            error: report.error,
        }
    }
}

impl From<catalog::Job> for Job {
    fn from(row: catalog::Job) -> Self {
        Self {
            id: row.id,
            run: row.run,
            account: row.account,
            kind: JobKind(row.kind),
            state: JobState(row.state),
            result: row.result.map(JobResult),
            progress: Progress {
                items: row.progress.items,
                items_total: row.progress.items_total,
                bytes: row.progress.bytes,
                waiting_for: row.progress.waiting_for,
            },
            attempts: row.attempts,
            not_before: (row.state == catalog::JobState::Queued).then_some(row.not_before),
            started_at: row.started_at,
            finished_at: row.finished_at,
            report: JobReport::from_text(&row.outcome).map(Report::from),
        }
    }
}

/// A page of jobs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Jobs {
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<JobId>,
}

/// A run's jobs, as they were queued
#[utoipa::path(get, path = "/api/v1/runs/{run}/jobs", tag = "runs", params(("run" = Id, Path), Jobs),
    responses((status = 200, body = Items<Job>)))]
pub(crate) async fn list_jobs(
    signed: Signed,
    Path(run): Path<RunId>,
    query: Result<Query<Jobs>, Problem>,
) -> Result<Json<Items<Job>>, Problem> {
    let of = &signed.organization;
    of.run(run).await?;
    let Query(Jobs { limit, cursor }) = query?;
    let rows = of.jobs_in_order(run, cursor, limit.and_one()).await?;
    let cursor = |job: &catalog::Job| job.id.to_string();
    Ok(Json(Items::page(rows, limit, cursor, Job::from)))
}

/// An item of a restore.
#[derive(Serialize, ToSchema)]
pub(crate) struct RestoredItem {
    /// Those come first of which somebody has to know, from 1.
    number: u64,
    /// Its id at Microsoft; empty when it could not be read.
    item: String,
    became: Became,
    /// Why it failed.
    cause: Option<FailureCause>,
    /// Microsoft's code, where there was one.
    code: Option<String>,
    /// What it is without that it had, in words.
    without: Option<String>,
    /// What to do about it, in words.
    remedy: Option<String>,
}

impl From<(u64, catalog::RestoredItem)> for RestoredItem {
    fn from((number, row): (u64, catalog::RestoredItem)) -> Self {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self {
            number,
            became: Became(row.became),
            cause: row.cause.map(FailureCause::from),
            code: some(&row.code),
            without: some(&row.lost),
            remedy: some(in_words(row.became, row.cause, &row.code).1),
            item: row.item,
        }
    }
}

/// A page of a restore's items.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RestoredItems {
    /// Those that became this.
    #[param(inline)]
    became: Option<Became>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<u64>,
}

/// What became of the items of a restore
///
/// When it is over. Of each fate 10,000 items are listed at most; the report of the job has the numbers.
#[utoipa::path(get, path = "/api/v1/runs/{run}/restored-items", tag = "runs", params(("run" = Id, Path), RestoredItems),
    responses((status = 200, body = Items<RestoredItem>)))]
pub(crate) async fn list_restored_items(
    signed: Signed,
    Path(run): Path<RunId>,
    query: Result<Query<RestoredItems>, Problem>,
) -> Result<Json<Items<RestoredItem>>, Problem> {
    let of = &signed.organization;
    of.run(run).await?;
    let Query(asked) = query?;
    let Some(job) = of.jobs(run, 1).await?.into_iter().next() else {
        return Ok(Json(Items::all(Vec::new())));
    };
    let became: Vec<_> = asked.became.iter().map(|became| became.0).collect();
    let after = asked.cursor.unwrap_or(0);
    let rows = of.restored_items(job.id, &became, after, asked.limit.and_one());
    let cursor = |(number, _): &(u64, catalog::RestoredItem)| number.to_string();
    Ok(Json(Items::page(
        rows.await?,
        asked.limit,
        cursor,
        RestoredItem::from,
    )))
}

/// Stop a run's work until it is resumed
#[utoipa::path(post, path = "/api/v1/runs/{run}/pause", tag = "runs", params(("run" = Id, Path)), responses((status = 200, body = Run)))]
pub(crate) async fn pause_run(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
) -> Result<Json<Run>, Problem> {
    unfinished(&signed, run).await?;
    signed.note(&state, "paused a run", run).await?;
    let organization = signed.organization.id();
    state.service().pause(organization, run).await?;
    Ok(Json(Run::find(&state, &signed, run).await?))
}

/// Let a paused run go on
#[utoipa::path(post, path = "/api/v1/runs/{run}/resume", tag = "runs", params(("run" = Id, Path)), responses((status = 200, body = Run)))]
pub(crate) async fn resume_run(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
) -> Result<Json<Run>, Problem> {
    unfinished(&signed, run).await?;
    signed.note(&state, "resumed a run", run).await?;
    let organization = signed.organization.id();
    state.service().resume(organization, run).await?;
    Ok(Json(Run::find(&state, &signed, run).await?))
}

/// End a run for good
///
/// What is done stays.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", tag = "runs", params(("run" = Id, Path)), responses((status = 200, body = Run)))]
pub(crate) async fn cancel_run(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
) -> Result<Json<Run>, Problem> {
    unfinished(&signed, run).await?;
    signed.note(&state, "stopped a run", run).await?;
    let organization = signed.organization.id();
    state.service().cancel(organization, run).await?;
    Ok(Json(Run::find(&state, &signed, run).await?))
}

/// There is such a run, and it is not over.
async fn unfinished(signed: &Signed, run: RunId) -> Result<(), Problem> {
    match signed.organization.run(run).await?.finished_at {
        None => Ok(()),
        Some(_) => Err(Problem::Conflict("The run is over.".to_owned())),
    }
}

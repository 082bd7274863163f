//! The lists of runs and of restores, and the row of a run wherever one is listed.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::Query, response::Response};
use catalog::{AccountKey, Run, RunCause, RunId, RunTotals, TaskId};
use jiff::Timestamp;
use serde::Deserialize;
use service::JobReport;

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    words::{Outcome, Pill, When, between, count, size, took},
};

/// Rows of a page.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs {
    shell: Shell,
    runs: Vec<RunRow>,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "restores.html")]
struct Restores {
    shell: Shell,
    restores: Vec<RestoreRow>,
    pager: Pager,
}

/// A restore as a row: of one account, with what came of it.
struct RestoreRow {
    run: RunRow,
    account: Option<(AccountKey, String)>,
    into: String,
    not_restored: String,
}

/// A run as a row.
pub(crate) struct RunRow {
    pub(crate) id: String,
    pub(crate) started: When,
    pub(crate) result: Outcome,
    pub(crate) task: String,
    pub(crate) cause: &'static str,
    pub(crate) done_of: String,
    pub(crate) items: String,
    pub(crate) bytes: String,
    pub(crate) took: String,
}

/// What is below a table that has more than one page.
pub(crate) struct Pager {
    pub(crate) words: String,
    pub(crate) first: Option<String>,
    pub(crate) next: Option<String>,
}

impl RunRow {
    pub(crate) fn new(
        run: &Run,
        totals: &RunTotals,
        tasks: &HashMap<TaskId, String>,
        now: Timestamp,
    ) -> Self {
        let done = totals.success + totals.partial + totals.failed + totals.cancelled;
        let time = took(between(run.started_at, run.finished_at.unwrap_or(now)));
        Self {
            id: run.id.to_string(),
            started: When(run.started_at),
            result: Outcome::of_run(run, totals),
            task: tasks.get(&run.task).cloned().unwrap_or_default(),
            cause: match run.cause {
                RunCause::Schedule => "Schedule",
                RunCause::BackupNow => "Backup Now",
                RunCause::Restore => "Restore",
                RunCause::Maintenance => "Maintenance",
            },
            done_of: format!("{} of {}", count(done), count(totals.jobs)),
            items: count(totals.items),
            bytes: size(totals.bytes),
            took: match run.finished_at {
                Some(_) => time,
                None => format!("{time} so far"),
            },
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Before {
    before: Option<String>,
}

/// All backups.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Query(before): Query<Before>,
) -> Result<Response, Problem> {
    let causes = [
        RunCause::Schedule,
        RunCause::BackupNow,
        RunCause::Maintenance,
    ];
    let (found, pager) = list(&signed, &before, "runs", &causes).await?;
    let page = Runs {
        shell: signed.shell("runs").await?,
        runs: rows(&signed, &found, state.clock().now()).await?,
        pager,
    };
    Ok(page::html(&page))
}

/// All restores.
pub(crate) async fn restores(
    state: State,
    signed: Signed,
    Query(before): Query<Before>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let (found, pager) = list(&signed, &before, "restores", &[RunCause::Restore]).await?;
    let mut restores = Vec::new();
    for run in rows(&signed, &found, state.clock().now()).await? {
        let job = match run.id.parse() {
            Ok(id) => of.jobs(id, 1).await?.pop(),
            Err(_) => None,
        };
        let account = match &job {
            Some(job) => Some((job.account, of.account(job.account).await?.name)),
            None => None,
        };
        let report = job.and_then(|job| JobReport::from_text(&job.outcome));
        restores.push(RestoreRow {
            run,
            account,
            into: match &report {
                None => "—".to_owned(),
                Some(report) => match &report.into {
                    Some(folder) => folder.clone(),
                    None => "The folders where they were".to_owned(),
                },
            },
            not_restored: report.map_or_else(|| "—".to_owned(), |report| count(report.failures)),
        });
    }
    let page = Restores {
        shell: signed.shell("restores").await?,
        restores,
        pager,
    };
    Ok(page::html(&page))
}

/// A page of runs.
async fn list(
    signed: &Signed,
    before: &Before,
    here: &str,
    causes: &[RunCause],
) -> Result<(Vec<Run>, Pager), Problem> {
    let of = &signed.organization;
    let before = match &before.before {
        Some(text) => Some(text.parse::<RunId>().map_err(|_| Problem::NotFound)?),
        None => None,
    };
    let mut found = of.runs_of_all_tasks(causes, before, ROWS + 1).await?;
    let more = found.len() > ROWS as usize;
    found.truncate(ROWS as usize);
    let pager = Pager {
        words: format!("{} on this page", count(found.len() as u64)),
        first: before.map(|_| format!("/{here}")),
        next: found
            .last()
            .filter(|_| more)
            .map(|last| format!("/{here}?before={}", last.id)),
    };
    Ok((found, pager))
}

/// The rows of some runs.
pub(crate) async fn rows(
    signed: &Signed,
    runs: &[Run],
    now: Timestamp,
) -> Result<Vec<RunRow>, Problem> {
    let of = &signed.organization;
    let tasks = of.tasks().await?;
    let tasks: HashMap<TaskId, String> = tasks.into_iter().map(|t| (t.id, t.name)).collect();
    let mut rows = Vec::new();
    for run in runs {
        let totals = of.run_totals(run.id).await?;
        rows.push(RunRow::new(run, &totals, &tasks, now));
    }
    Ok(rows)
}

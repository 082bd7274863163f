//! The lists of runs and of restores, and the row of a run wherever one is listed.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::Query, response::Response};
use catalog::{Run, RunCause, RunId, RunTotals, TaskId};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    words::{Outcome, Pill, When, between, count, size, took},
};

/// Rows of a page.
const ROWS: u32 = 50;
/// Runs that are looked through for those in progress.
pub(crate) const TOO_MANY: u32 = 50;

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs {
    shell: Shell,
    heading: &'static str,
    sentence: &'static str,
    empty: (&'static str, &'static str, &'static str),
    runs: Vec<RunRow>,
    pager: Pager,
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
    list(&state, &signed, &before, "runs", &causes).await
}

/// All restores.
pub(crate) async fn restores(
    state: State,
    signed: Signed,
    Query(before): Query<Before>,
) -> Result<Response, Problem> {
    list(&state, &signed, &before, "restores", &[RunCause::Restore]).await
}

async fn list(
    state: &State,
    signed: &Signed,
    before: &Before,
    here: &'static str,
    causes: &[RunCause],
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let before = match &before.before {
        Some(text) => Some(text.parse::<RunId>().map_err(|_| Problem::NotFound)?),
        None => None,
    };
    let mut found = of.runs_of_all_tasks(causes, before, ROWS + 1).await?;
    let more = found.len() > ROWS as usize;
    found.truncate(ROWS as usize);
    let runs = rows(signed, &found, state.clock().now()).await?;
    let (heading, sentence, empty) = match here {
        "runs" => (
            "Runs",
            "What was backed up, by the schedule or with Backup Now.",
            (
                "run",
                "No run yet",
                "The first one begins with Backup Now, or when the schedule says so.",
            ),
        ),
        _ => (
            "Restores",
            "What was put back, and where to find it. Nothing is ever overwritten.",
            (
                "restore",
                "No restore yet",
                "Open an account, choose a restore point, and use Restore.",
            ),
        ),
    };
    let page = Runs {
        shell: signed.shell(here).await?,
        heading,
        sentence,
        empty,
        pager: Pager {
            words: format!("{} on this page", count(runs.len() as u64)),
            first: before.map(|_| format!("/{here}")),
            next: found
                .last()
                .filter(|_| more)
                .map(|last| format!("/{here}?before={}", last.id)),
        },
        runs,
    };
    Ok(page::html(&page))
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

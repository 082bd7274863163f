//! Backup tasks: the list, making one on a connection, settings, Backup Now, and a task's runs.

use std::collections::HashMap;

use axum::{
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use catalog::{AccountTotals, ConnectionId, RunId, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use service::Which;
use utoipa::{IntoParams, ToSchema};

use super::{
    accounts::Chosen,
    answer::{Id, Items, Json, Limit, Query, object},
    runs::{Begun, Run},
    settings::TaskSettings,
    words::Service,
};
use crate::{Problem, Signed, State, path::Path};

/// Names on a page.
const NAME_MAX: usize = 100;

/// A named set of accounts of one service under one connection.
#[derive(Serialize, ToSchema)]
pub(crate) struct Task {
    #[schema(value_type = Id)]
    id: TaskId,
    name: String,
    service: Service,
    #[schema(value_type = Id)]
    connection: ConnectionId,
    settings: TaskSettings,
    accounts: TaskAccounts,
    /// When its accounts were last looked for.
    discovered_at: Option<Timestamp>,
    created_at: Timestamp,
}

/// What a task's accounts come to.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct TaskAccounts {
    all: u64,
    active: u64,
    /// Those that have a restore point.
    stored: u64,
    /// Items in the newest restore points.
    items: u64,
    /// Bytes of these items.
    size_bytes: u64,
    /// Items that are not in them and should be.
    failures: u64,
}

impl From<AccountTotals> for TaskAccounts {
    fn from(totals: AccountTotals) -> Self {
        Self {
            all: totals.accounts,
            active: totals.active,
            stored: totals.stored,
            items: totals.items,
            size_bytes: totals.size_bytes,
            failures: totals.failures,
        }
    }
}

impl Task {
    fn new(row: catalog::Task, totals: Option<AccountTotals>) -> Result<Self, Problem> {
        let settings = service::TaskSettings::from_text(&row.settings);
        Ok(Self {
            id: row.id,
            name: row.name,
            service: row.service.into(),
            connection: row.connection,
            settings: settings.map_err(Problem::internal)?.into(),
            accounts: totals.map(TaskAccounts::from).unwrap_or_default(),
            discovered_at: row.discovered_at,
            created_at: row.created_at,
        })
    }

    async fn find(state: &State, signed: &Signed, id: TaskId) -> Result<Self, Problem> {
        let row = signed.organization.task(id).await?;
        let mut totals = totals(state, signed).await?;
        Self::new(row, totals.remove(&id))
    }
}

async fn totals(state: &State, signed: &Signed) -> Result<HashMap<TaskId, AccountTotals>, Problem> {
    let now = state.clock().now();
    let totals = signed.organization.account_totals(now).await?;
    Ok(totals.into_iter().collect())
}

/// The tasks, by name
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", responses((status = 200, body = Items<Task>)))]
pub(crate) async fn list_tasks(state: State, signed: Signed) -> Result<Json<Items<Task>>, Problem> {
    let mut totals = totals(&state, &signed).await?;
    let rows = signed.organization.tasks().await?.into_iter();
    let tasks = rows.map(|row| {
        let totals = totals.remove(&row.id);
        Task::new(row, totals)
    });
    Ok(Json(Items::all(tasks.collect::<Result<_, _>>()?)))
}

/// A task that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTask {
    /// Lists, runs and reports use it; no other task has it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(value_type = Id)]
    connection: ConnectionId,
    #[serde(default, deserialize_with = "object")]
    settings: TaskSettings,
}

/// Make a task on a connection
///
/// Its accounts are looked for at once; they are inactive until they are activated, unless the settings say otherwise.
#[utoipa::path(post, path = "/api/v1/tasks", tag = "tasks", request_body = NewTask, responses((status = 201, body = Task)))]
pub(crate) async fn create_task(
    state: State,
    signed: Signed,
    Json(new): Json<NewTask>,
) -> Result<impl IntoResponse, Problem> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX {
        let what = "The name has 1 to 100 characters.";
        return Err(Problem::Invalid(what.to_owned()));
    }
    let connection = signed.organization.connection(new.connection).await?;
    signed.note(&state, "made a task", connection.id).await?;
    let (service, organization) = (state.service().clone(), signed.organization.id());
    let settings = new.settings.into();
    let task = service
        .add_task(organization, connection.id, name, &settings)
        .await?;
    // The scheduler would look for accounts later, and does when this fails.
    tokio::spawn(async move {
        if let Err(error) = service.discover(organization, task).await {
            tracing::warn!(error = error.text(), "accounts could not be looked for yet");
        }
    });
    let made = Task::find(&state, &signed, task).await?;
    let location = [(LOCATION, format!("/api/v1/tasks/{task}"))];
    Ok((StatusCode::CREATED, location, Json(made)))
}

/// One task
#[utoipa::path(get, path = "/api/v1/tasks/{task}", tag = "tasks", params(("task" = Id, Path)), responses((status = 200, body = Task)))]
pub(crate) async fn get_task(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
) -> Result<Json<Task>, Problem> {
    Ok(Json(Task::find(&state, &signed, task).await?))
}

/// Replace a task's settings
///
/// What is left out gets its default.
#[utoipa::path(put, path = "/api/v1/tasks/{task}/settings", tag = "tasks", params(("task" = Id, Path)), request_body = TaskSettings,
    responses((status = 200, body = Task)))]
pub(crate) async fn set_task_settings(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
    body: Result<Json<TaskSettings>, Problem>,
) -> Result<Json<Task>, Problem> {
    let of = &signed.organization;
    of.task(task).await?;
    let settings = body?.0.into();
    signed
        .note(&state, "changed a task's settings", task)
        .await?;
    state
        .service()
        .set_settings(of.id(), task, &settings)
        .await?;
    Ok(Json(Task::find(&state, &signed, task).await?))
}

/// Back up accounts of a task, now
///
/// Those of the chosen accounts that are active and at which nothing else is at work.
#[utoipa::path(post, path = "/api/v1/tasks/{task}/backups", tag = "tasks", params(("task" = Id, Path)), request_body = Chosen,
    responses((status = 202, body = Begun)))]
pub(crate) async fn back_up(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
    body: Result<Json<Chosen>, Problem>,
) -> Result<Begun, Problem> {
    let of = &signed.organization;
    of.task(task).await?;
    let which = match body?.0 {
        Chosen::Accounts(keys) => Which::Keys(keys),
        Chosen::All(filter) if filter.is_empty() => Which::All,
        Chosen::All(filter) => {
            Which::Keys(crate::pages::task::keys(&signed, task, &filter.into()).await?)
        }
    };
    signed.note(&state, "began a backup", task).await?;
    let run = state.service().backup_now(of.id(), task, which).await?;
    Ok(Begun::new(run))
}

/// A page of a task's runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskRuns {
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<RunId>,
}

/// A task's runs, the newest first
#[utoipa::path(get, path = "/api/v1/tasks/{task}/runs", tag = "runs", params(("task" = Id, Path), TaskRuns),
    responses((status = 200, body = Items<Run>)))]
pub(crate) async fn list_task_runs(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
    query: Result<Query<TaskRuns>, Problem>,
) -> Result<Json<Items<Run>>, Problem> {
    let of = &signed.organization;
    of.task(task).await?;
    let Query(TaskRuns { limit, cursor }) = query?;
    let rows = of.runs(task, cursor, limit.and_one()).await?;
    super::runs::page(&state, &signed, rows, limit)
        .await
        .map(Json)
}

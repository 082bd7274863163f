//! A task's accounts: the table with its filter, its order and its pages, and what is done to those that are chosen.

use catalog::{AccountFilter, AccountKey, Direction, PageToken, StatusChange, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::{Id, Items, Json, Limit, Query, object},
    words::{AccountSort, AccountStatus, LastResult, Order, Service},
};
use crate::{
    Problem, Signed, State,
    pages::{
        task::{remember, way_back},
        undo::{NOTHING, TakenBack, take_back},
    },
    path::Path,
    undo::Act,
};

/// What is protected as one: a mailbox.
#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    #[schema(value_type = Id)]
    id: AccountKey,
    #[schema(value_type = Id)]
    task: TaskId,
    service: Service,
    /// The tenant's id.
    tenant: String,
    /// Which one, at Microsoft.
    source: String,
    name: String,
    address: String,
    status: AccountStatus,
    last_result: LastResult,
    last_attempt_at: Option<Timestamp>,
    /// The last run that was a success, or partial.
    last_success_at: Option<Timestamp>,
    /// The newest restore point.
    restore_point: Option<String>,
    /// Items in it.
    items: u64,
    /// Bytes of these items.
    size_bytes: u64,
    /// Items that are not in it and should be.
    failures: u64,
    /// Since when it is gone at the source.
    gone_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl From<catalog::Account> for Account {
    fn from(row: catalog::Account) -> Self {
        Self {
            id: row.key,
            task: row.task,
            service: row.service.into(),
            tenant: row.tenant.to_string(),
            source: row.source.to_string(),
            name: row.name,
            address: row.address,
            status: AccountStatus(row.status),
            last_result: LastResult(row.last_result),
            last_attempt_at: row.last_attempt_at,
            last_success_at: row.last_success_at,
            restore_point: row.snapshot,
            items: row.items,
            size_bytes: row.size_bytes,
            failures: row.failures,
            gone_at: row.gone_at,
            created_at: row.created_at,
        }
    }
}

/// Which accounts, in which order, and a page of them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Accounts {
    /// Those with this status.
    #[param(inline)]
    status: Option<AccountStatus>,
    /// Those with this last result.
    #[param(inline)]
    last_result: Option<LastResult>,
    /// Those with items that could not be copied.
    #[serde(default)]
    #[param(required = false)]
    failing: bool,
    /// Those whose name or address contains this, whatever the case.
    search: Option<String>,
    #[param(inline)]
    sort: Option<AccountSort>,
    #[serde(default)]
    #[param(inline, required = false)]
    order: Order,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before, whose order was the same.
    cursor: Option<String>,
}

/// A task's accounts
#[utoipa::path(get, path = "/api/v1/tasks/{task}/accounts", tag = "accounts", params(("task" = Id, Path), Accounts),
    responses((status = 200, body = Items<Account>)))]
pub(crate) async fn list_accounts(
    signed: Signed,
    Path(task): Path<TaskId>,
    query: Result<Query<Accounts>, Problem>,
) -> Result<Json<Items<Account>>, Problem> {
    let of = &signed.organization;
    of.task(task).await?;
    let Query(asked) = query?;
    let filter = AccountFilter {
        status: asked.status.map(|status| status.0),
        last_result: asked.last_result.map(|result| result.0),
        failing: asked.failing,
        text: asked.search.filter(|text| !text.is_empty()),
        ..AccountFilter::default()
    };
    let sort = asked.sort.map_or(catalog::AccountSort::Name, |sort| sort.0);
    let after = asked.cursor.map(PageToken::from_text);
    let direction = Direction::from(asked.order);
    let rows = asked.limit.rows();
    let page = of
        .accounts(task, &filter, sort, direction, after.as_ref(), rows)
        .await?;
    let next = page.next.map(|token| token.as_str().to_owned());
    let items = page.rows.into_iter().map(Account::from).collect();
    Ok(Json(Items::new(items, next)))
}

/// One account
#[utoipa::path(get, path = "/api/v1/accounts/{account}", tag = "accounts", params(("account" = Id, Path)),
    responses((status = 200, body = Account)))]
pub(crate) async fn get_account(
    signed: Signed,
    Path(account): Path<AccountKey>,
) -> Result<Json<Account>, Problem> {
    Ok(Json(signed.organization.account(account).await?.into()))
}

/// Which of a task's accounts.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Chosen {
    /// These.
    #[schema(value_type = Vec<Id>)]
    Accounts(Vec<AccountKey>),
    /// All that match.
    #[serde(deserialize_with = "object")]
    All(Filter),
}

/// Which accounts match: all of them, when it says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub(crate) struct Filter {
    status: Option<AccountStatus>,
    last_result: Option<LastResult>,
    /// Only those with items that could not be copied.
    failing: bool,
    /// Those whose name or address contains this, whatever the case.
    search: String,
}

impl Filter {
    /// Whether it leaves all that are active.
    pub(crate) fn is_empty(&self) -> bool {
        let status = self.status.map(|status| status.0);
        matches!(status, None | Some(catalog::Status::Active))
            && self.last_result.is_none()
            && !self.failing
            && self.search.is_empty()
    }
}

impl From<Filter> for AccountFilter {
    fn from(filter: Filter) -> Self {
        Self {
            status: filter.status.map(|status| status.0),
            last_result: filter.last_result.map(|result| result.0),
            failing: filter.failing,
            text: Some(filter.search).filter(|text| !text.is_empty()),
            ..Self::default()
        }
    }
}

impl From<Chosen> for AccountFilter {
    fn from(chosen: Chosen) -> Self {
        match chosen {
            Chosen::Accounts(keys) => Self {
                keys: Some(keys),
                ..Self::default()
            },
            Chosen::All(filter) => filter.into(),
        }
    }
}

/// What a change came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct Changed {
    /// Accounts to which the change applied.
    changed: u64,
    /// By which it can be taken back for ten minutes, as long as the token does nothing else of the kind; null when there is nothing to take back.
    undo: Option<String>,
}

/// Activate accounts
///
/// Those of the chosen accounts that are inactive or paused are backed up from now on, as the schedule says.
#[utoipa::path(post, path = "/api/v1/tasks/{task}/accounts/activate", tag = "accounts", params(("task" = Id, Path)),
    request_body = Chosen, responses((status = 200, body = Changed)))]
pub(crate) async fn activate_accounts(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
    body: Result<Json<Chosen>, Problem>,
) -> Result<Json<Changed>, Problem> {
    let (change, action) = (StatusChange::Activate, "activated accounts");
    act(&state, &signed, task, body, change, action).await
}

/// Pause accounts
///
/// Those of the chosen accounts that are active are not backed up until they are activated again.
#[utoipa::path(post, path = "/api/v1/tasks/{task}/accounts/pause", tag = "accounts", params(("task" = Id, Path)),
    request_body = Chosen, responses((status = 200, body = Changed)))]
pub(crate) async fn pause_accounts(
    state: State,
    signed: Signed,
    Path(task): Path<TaskId>,
    body: Result<Json<Chosen>, Problem>,
) -> Result<Json<Changed>, Problem> {
    let (change, action) = (StatusChange::Pause, "paused accounts");
    act(&state, &signed, task, body, change, action).await
}

async fn act(
    state: &State,
    signed: &Signed,
    task: TaskId,
    body: Result<Json<Chosen>, Problem>,
    change: StatusChange,
    action: &str,
) -> Result<Json<Changed>, Problem> {
    let of = &signed.organization;
    of.task(task).await?;
    let filter = body?.0.into();
    signed.note(state, action, task).await?;
    let back = way_back(signed, task, &filter, change).await?;
    let changed = of.change_status(task, &filter, change).await?;
    let at = format!("/tasks/{task}");
    let act = Act::Accounts { task, back, at };
    let undo = (changed > 0).then(|| remember(state, signed, act));
    Ok(Json(Changed { changed, undo }))
}

/// What is to be taken back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undo {
    /// Of the answer to what was done.
    id: String,
}

/// Take back what the token did last to accounts
///
/// Each has the status again that it had.
#[utoipa::path(post, path = "/api/v1/undo", tag = "accounts", request_body = Undo, responses((status = 200, body = Changed)))]
pub(crate) async fn undo(
    state: State,
    signed: Signed,
    Json(asked): Json<Undo>,
) -> Result<Json<Changed>, Problem> {
    match take_back(&state, &signed, &asked.id).await? {
        Some(TakenBack::Accounts(changed, _)) => Ok(Json(Changed {
            changed,
            undo: None,
        })),
        // A token is offered no other way back.
        Some(TakenBack::Settings(_)) | None => Err(Problem::Conflict(NOTHING.to_owned())),
    }
}

//! Failures: what is not in the backup, and why.

use catalog::{AccountKey, FailureId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::{Id, Items, Json, Limit, Query},
    words::FailureCause,
};
use crate::{Problem, Signed, path::Path};

/// How many items could not be copied for the same cause.
#[derive(Serialize, ToSchema)]
pub(crate) struct FailuresOfCause {
    cause: FailureCause,
    items: u64,
}

/// Items that could not be copied, by cause, the most frequent first
#[utoipa::path(get, path = "/api/v1/failures", tag = "failures", responses((status = 200, body = Items<FailuresOfCause>)))]
pub(crate) async fn list_failures(signed: Signed) -> Result<Json<Items<FailuresOfCause>>, Problem> {
    let found = signed.organization.failures_by_cause().await?.into_iter();
    let causes = found.map(|(cause, items)| FailuresOfCause {
        cause: cause.into(),
        items,
    });
    Ok(Json(Items::all(causes.collect())))
}

/// An item that is not in the backup and should be.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failure {
    #[schema(value_type = Id)]
    id: FailureId,
    /// Its id at Microsoft.
    item: String,
    cause: FailureCause,
    /// Runs that have tried.
    attempts: u64,
    first_seen_at: Timestamp,
    last_tried_at: Timestamp,
}

impl From<catalog::Failure> for Failure {
    fn from(row: catalog::Failure) -> Self {
        Self {
            id: row.id,
            item: row.report.item,
            cause: row.report.cause.into(),
            attempts: row.report.attempts,
            first_seen_at: row.report.first_seen_at,
            last_tried_at: row.report.last_tried_at,
        }
    }
}

/// A page of failures.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<FailureId>,
}

/// An account's items that could not be copied
#[utoipa::path(get, path = "/api/v1/accounts/{account}/failures", tag = "failures", params(("account" = Id, Path), Paging),
    responses((status = 200, body = Items<Failure>)))]
pub(crate) async fn list_account_failures(
    signed: Signed,
    Path(account): Path<AccountKey>,
    query: Result<Query<Paging>, Problem>,
) -> Result<Json<Items<Failure>>, Problem> {
    let of = &signed.organization;
    of.account(account).await?;
    let Query(Paging { limit, cursor }) = query?;
    let rows = of.failures(account, cursor, limit.and_one()).await?;
    let cursor = |failure: &catalog::Failure| failure.id.to_string();
    Ok(Json(Items::page(rows, limit, cursor, Failure::from)))
}

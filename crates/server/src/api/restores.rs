//! Restores: what, as of, to, how. Nothing is overwritten, and nothing is sent to anybody. The run that comes of it has the report.

use axum::http::HeaderMap;
use catalog::AccountKey;
use model::ItemId;
use serde::Deserialize;
use service::RestoreOrder;
use utoipa::ToSchema;
use workload::mail::restore::Destination;

use super::{
    answer::{Id, Json},
    runs::Begun,
};
use crate::{
    Problem, Signed, State,
    pages::restore::{order_key, order_once},
    path::Path,
};

/// As others allow.
const KEY_LENGTH_MAX: usize = 255;

/// What to restore, and where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRestore {
    /// The restore point's id.
    restore_point: String,
    what: Selection,
    /// Into which account of the same tenant; the account itself when none is named.
    #[schema(value_type = Option<Id>)]
    target: Option<AccountKey>,
    #[serde(default)]
    place: Place,
}

/// What of the restore point.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Selection {
    /// These messages, by their ids.
    #[schema(value_type = Vec<String>)]
    Messages(Vec<ItemId>),
    /// A folder with the folders inside, by its id.
    #[schema(value_type = String)]
    Folder(ItemId),
    /// Everything.
    Mailbox,
}

/// Where in the target.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// A new folder, whose name says when.
    #[default]
    NewFolder,
    /// Where it was; what is there already is left alone.
    Original,
}

/// Restore something of an account
///
/// With an `Idempotency-Key` the same order sent again, as after an answer that was lost, begins nothing and answers with the run that it has begun. The
/// same key with another order is refused.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/restores", tag = "restore points",
    params(("account" = Id, Path), ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's that no other order of the user has: 1 to 255 printable ASCII characters.", min_length = 1, max_length = 255)),
    request_body = NewRestore, responses((status = 202, body = Begun)))]
pub(crate) async fn restore(
    state: State,
    signed: Signed,
    Path(account): Path<AccountKey>,
    headers: HeaderMap,
    body: Result<Json<NewRestore>, Problem>,
) -> Result<Begun, Problem> {
    let of = &signed.organization;
    of.account(account).await?;
    let Json(new) = body?;
    let key = idempotency_key(&headers)?;
    let target = new.target.unwrap_or(account);
    of.account(target).await?;
    let points = state.service().restore_points(of.id(), account).await?;
    if !points
        .iter()
        .any(|point| point.snapshot == new.restore_point)
    {
        let what = "The account has no such restore point: see its list of them.";
        return Err(Problem::Conflict(what.to_owned()));
    }
    let order = RestoreOrder {
        snapshot: Some(new.restore_point),
        selection: match new.what {
            Selection::Messages(ids) => service::Selection::Messages(ids),
            Selection::Folder(id) => service::Selection::Folder(id),
            Selection::Mailbox => service::Selection::Mailbox,
        },
        target,
        destination: match new.place {
            Place::NewFolder => Destination::new_folder(state.clock().now()),
            Place::Original => Destination::InPlace,
        },
        key: key.map(|key| order_key(&signed, "program", key)),
    };
    let run = order_once(&state, &signed, account, order).await?;
    Ok(Begun::new(run))
}

/// By which the caller knows the order again.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    // What is not ASCII is no text of a header.
    match key.to_str() {
        Ok(key) if (1..=KEY_LENGTH_MAX).contains(&key.len()) => Ok(Some(key)),
        _ => {
            let what = "An Idempotency-Key has 1 to 255 printable ASCII characters.";
            Err(Problem::Invalid(what.to_owned()))
        }
    }
}

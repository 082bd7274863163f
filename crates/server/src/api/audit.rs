//! The audit: who did what, and whether the chain of entries is unbroken.

use catalog::{AuditEntry, AuditFilter, ChainCheck};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Items, Json, Limit, Query};
use crate::{Problem, Signed};

/// An entry.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    /// From 1 without a gap.
    number: u64,
    happened_at: Timestamp,
    /// A user's id, an API token's, or `keepwell` itself.
    actor: String,
    /// What was done.
    action: String,
    /// To what: ids.
    object: String,
    detail: String,
    /// 64 hexadecimal digits, which depend on all entries before.
    hash: String,
}

impl From<AuditEntry> for Entry {
    fn from(entry: AuditEntry) -> Self {
        Self {
            number: entry.number,
            happened_at: entry.happened_at,
            actor: entry.actor,
            action: entry.action,
            object: entry.object,
            detail: entry.detail,
            hash: entry.hash,
        }
    }
}

/// Which entries, and a page of them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Entries {
    /// Those of this user or API token, by its id.
    actor: Option<String>,
    /// Those of this action, word for word.
    action: Option<String>,
    /// Those about this id, or about something of it: an account's, for example.
    object: Option<String>,
    /// Noted at this time or later.
    from: Option<Timestamp>,
    /// Noted before this time.
    until: Option<Timestamp>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<u64>,
}

/// The audit, the newest entry first
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Entries), responses((status = 200, body = Items<Entry>)))]
pub(crate) async fn list_audit(
    signed: Signed,
    Query(asked): Query<Entries>,
) -> Result<Json<Items<Entry>>, Problem> {
    let filter = AuditFilter {
        actor: asked.actor,
        action: asked.action,
        object: asked.object,
        from: asked.from,
        until: asked.until,
    };
    let (of, limit) = (&signed.organization, asked.limit);
    let rows = of.audit_of(&filter, asked.cursor, limit.and_one()).await?;
    let cursor = |entry: &AuditEntry| entry.number.to_string();
    Ok(Json(Items::page(rows, limit, cursor, Entry::from)))
}

/// What a look at the whole chain came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditCheck {
    /// Whether every entry follows from the one before.
    unbroken: bool,
    /// How many entries there are, when it is unbroken.
    entries: Option<u64>,
    /// The hash of the last entry: a copy kept elsewhere shows later that nothing was changed.
    last_hash: Option<String>,
    /// The entry that was changed, or before which one is missing.
    broken_at: Option<u64>,
}

/// Follow the audit's chain from its beginning
#[utoipa::path(get, path = "/api/v1/audit/check", tag = "audit", responses((status = 200, body = AuditCheck)))]
pub(crate) async fn check_audit(signed: Signed) -> Result<Json<AuditCheck>, Problem> {
    Ok(Json(match signed.organization.check_audit().await? {
        ChainCheck::Unbroken { entries, last } => AuditCheck {
            unbroken: true,
            entries: Some(entries),
            last_hash: Some(last).filter(|hash| !hash.is_empty()),
            broken_at: None,
        },
        ChainCheck::Broken { number } => AuditCheck {
            unbroken: false,
            entries: None,
            last_hash: None,
            broken_at: Some(number),
        },
    }))
}

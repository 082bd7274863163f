//! Whose mailbox this is, and how far its folder hierarchy has been read.

use bytes::Bytes;
use graph::Link;
use jiff::{SignedDuration, Timestamp};
use model::{AccountId, Service, TenantId};
use repository::Draft;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const WHAT: &str = "the account";
/// The version of everything under `.keepwell/`. Another one means a full run (survival 69); 0 is written to ask for one.
const VERSION: u32 = 1;

/// The record of the account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountRecord {
    version: u32,
    pub(crate) service: Service,
    pub(crate) tenant: TenantId,
    pub(crate) account: AccountId,
    /// Where the changes of the folder hierarchy go on.
    pub(crate) hierarchy: Option<Link>,
    /// When everything at the source was last compared with what is held; null until a listing of the whole mailbox came to its end.
    #[serde(default)]
    pub(crate) reconciled: Option<Timestamp>,
}

impl AccountRecord {
    /// Where it lies.
    pub(crate) const PATH: &str = ".keepwell/account.json";

    pub(crate) fn new(tenant: TenantId, account: AccountId) -> Self {
        Self {
            version: VERSION,
            service: Service::Exchange,
            tenant,
            account,
            hierarchy: None,
            reconciled: None,
        }
    }

    /// A record of a version that no run goes on from.
    pub(crate) fn outdated(tenant: TenantId, account: AccountId) -> Self {
        Self {
            version: 0,
            ..Self::new(tenant, account)
        }
    }

    /// Reads the record; `None` when there is none or it is of another version. Errors when it is damaged, or another account's.
    pub(crate) async fn load(
        draft: &mut Draft,
        tenant: &TenantId,
        account: &AccountId,
    ) -> Result<Option<Self>> {
        let Some(bytes) = draft
            .read_path(Self::PATH)
            .await
            .map_err(Error::repository(WHAT))?
        else {
            return Ok(None);
        };
        let record: Self =
            serde_json::from_slice(&bytes).map_err(|error| Error::state(WHAT, error))?;
        if record.version != VERSION {
            return Ok(None);
        }
        if record.tenant != *tenant || record.account != *account {
            return Err(Error::OtherAccount);
        }
        Ok(Some(record))
    }

    /// Whether the last comparison is longer ago than `every`, or so far in the future: then a clock was wrong, and nobody knows (abuse 53).
    pub(crate) fn is_reconciliation_due(&self, now: Timestamp, every: SignedDuration) -> bool {
        self.reconciled
            .is_none_or(|last| now.duration_since(last).abs() >= every)
    }

    pub(crate) async fn save(&self, draft: &mut Draft) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::state(WHAT, error))?;
        super::put(draft, Self::PATH, Bytes::from(bytes)).await
    }
}

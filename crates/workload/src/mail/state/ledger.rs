//! The ledger: what could not be copied, so that the next runs try it again and nobody believes it is there.

use bytes::Bytes;
use jiff::Timestamp;
use model::{FailureCause, ItemFailure, ItemId, Skip, SkipCause};
use repository::Draft;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const PATH: &str = ".keepwell/mail/ledger.json";
const WHAT: &str = "the failure ledger";

/// Failures, to be tried again, and skips, which are final until the item changes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Ledger {
    failures: Vec<ItemFailure>,
    skips: Vec<Skip>,
    #[serde(skip)]
    changed: bool,
}

impl Ledger {
    pub(crate) async fn load(draft: &mut Draft) -> Result<Self> {
        match draft
            .read_path(PATH)
            .await
            .map_err(Error::repository(WHAT))?
        {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| Error::state(WHAT, error))
            }
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn failures(&self) -> &[ItemFailure] {
        &self.failures
    }

    pub(crate) fn skips(&self) -> &[Skip] {
        &self.skips
    }

    /// Notes that the item failed, once more.
    pub(crate) fn fail(
        &mut self,
        item: ItemId,
        container: ItemId,
        cause: FailureCause,
        code: Option<String>,
        now: Timestamp,
    ) {
        self.changed = true;
        if let Some(known) = self
            .failures
            .iter_mut()
            .find(|failure| failure.item == item)
        {
            known.attempts = known.attempts.saturating_add(1);
            known.last = now;
            (known.container, known.cause, known.code) = (container, cause, code);
            return;
        }
        self.failures.push(ItemFailure {
            item,
            container,
            cause,
            code,
            attempts: 1,
            first: now,
            last: now,
        });
    }

    /// Notes that the item, as it is, can never be copied.
    pub(crate) fn skip(&mut self, item: ItemId, container: ItemId, cause: SkipCause) {
        self.clear(&item);
        self.changed = true;
        self.skips.push(Skip {
            item,
            container,
            cause,
        });
    }

    /// The item was copied, or is gone: nothing is owed any more.
    pub(crate) fn clear(&mut self, item: &ItemId) {
        let before = self.failures.len() + self.skips.len();
        self.failures.retain(|failure| failure.item != *item);
        self.skips.retain(|skip| skip.item != *item);
        self.changed |= before != self.failures.len() + self.skips.len();
    }

    /// Writes the ledger to the draft when it changed; an empty one is no file.
    pub(crate) async fn save(&mut self, draft: &mut Draft) -> Result<()> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        if self.failures.is_empty() && self.skips.is_empty() {
            draft.remove(PATH).await.map_err(Error::repository(WHAT))?;
            return Ok(());
        }
        let bytes = serde_json::to_vec(self).map_err(|error| Error::state(WHAT, error))?;
        super::put(draft, PATH, Bytes::from(bytes)).await
    }
}

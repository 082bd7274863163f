//! The ledger: what could not be copied, so that the next runs try it again and nobody believes it is there.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use model::{FailureCause, ItemFailure, ItemId, Skip, SkipCause};
use repository::{Draft, View};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const PATH: &str = ".keepwell/mail/ledger.json";
const WHAT: &str = "the failure ledger";
/// Panics over one item before it is left alone: the same code meets the same bytes, but the moment may have been another.
const DEFECTS_MAX: u32 = 3;

/// Failures, to be tried again, and skips, which are final until the item changes; an item is in one of them at most.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    failures: BTreeMap<ItemId, ItemFailure>,
    skips: BTreeMap<ItemId, Skip>,
    changed: bool,
}

/// The ledger as a file.
#[derive(Default, Deserialize, Serialize)]
struct Stored {
    failures: Vec<ItemFailure>,
    skips: Vec<Skip>,
}

impl Ledger {
    pub(crate) async fn load(draft: &mut Draft) -> Result<Self> {
        let Some(bytes) = draft
            .read_path(PATH)
            .await
            .map_err(Error::repository(WHAT))?
        else {
            return Ok(Self::default());
        };
        Self::decode(&bytes)
    }

    /// As a snapshot has it.
    pub(crate) async fn of(view: &View) -> Result<Self> {
        let bytes = view.read_path(PATH).await;
        match bytes.map_err(Error::repository(WHAT))? {
            Some(bytes) => Self::decode(&bytes),
            None => Ok(Self::default()),
        }
    }

    /// Reads the ledger's file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let stored: Stored =
            serde_json::from_slice(bytes).map_err(|error| Error::state(WHAT, error))?;
        let failures = stored.failures.into_iter();
        let skips = stored.skips.into_iter();
        Ok(Self {
            failures: failures.map(|one| (one.item.clone(), one)).collect(),
            skips: skips.map(|one| (one.item.clone(), one)).collect(),
            changed: false,
        })
    }

    /// The failures, by the items' ids.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &ItemFailure> {
        self.failures.values()
    }

    /// The failures that are to be tried again of ourselves: all but those on which our own code panicked again and again. These are tried when
    /// they change, and when everything is listed anew (abuse 68).
    pub(crate) fn due(&self) -> impl Iterator<Item = &ItemFailure> {
        self.failures().filter(|failure| {
            failure.cause != FailureCause::Defect || failure.attempts < DEFECTS_MAX
        })
    }

    /// The skips, by the items' ids.
    pub(crate) fn skips(&self) -> impl Iterator<Item = &Skip> {
        self.skips.values()
    }

    /// Notes that the item failed, once more. A doubt does not hide what is owed already. That it failed again as it did before is counted, but is
    /// no reason to write: what always fails would otherwise make a snapshot in every run.
    pub(crate) fn fail(
        &mut self,
        item: ItemId,
        container: ItemId,
        cause: FailureCause,
        code: Option<String>,
        now: Timestamp,
    ) {
        self.changed |= self.skips.remove(&item).is_some();
        if let Some(known) = self.failures.get_mut(&item) {
            known.attempts = known.attempts.saturating_add(1);
            known.last = now;
            // Of a defect the attempts are what ends it.
            self.changed |= cause == FailureCause::Defect && known.attempts <= DEFECTS_MAX;
            let news = (container, cause, code);
            if cause != FailureCause::Doubtful
                && news != (known.container.clone(), known.cause, known.code.clone())
            {
                (known.container, known.cause, known.code) = news;
                self.changed = true;
            }
            return;
        }
        self.changed = true;
        let failure = ItemFailure {
            item: item.clone(),
            container,
            cause,
            code,
            attempts: 1,
            first: now,
            last: now,
        };
        self.failures.insert(item, failure);
    }

    /// Notes that the item, as it is, can never be copied.
    pub(crate) fn skip(&mut self, item: ItemId, container: ItemId, cause: SkipCause) {
        self.failures.remove(&item);
        self.changed = true;
        let skip = Skip {
            item: item.clone(),
            container,
            cause,
        };
        self.skips.insert(item, skip);
    }

    /// The item was copied, or is gone: nothing is owed any more.
    pub(crate) fn clear(&mut self, item: &ItemId) {
        let failed = self.failures.remove(item).is_some();
        let skipped = self.skips.remove(item).is_some();
        self.changed |= failed || skipped;
    }

    /// Whether something of the item itself is missing; a doubt whether it is still there is not that.
    pub(crate) fn owes_content(&self, item: &ItemId) -> bool {
        let failure = self.failures.get(item);
        failure.is_some_and(|failure| failure.cause != FailureCause::Doubtful)
    }

    /// The item is where it was believed to be.
    pub(crate) fn forget_doubt(&mut self, item: &ItemId) {
        if !self.owes_content(item) {
            self.changed |= self.failures.remove(item).is_some();
        }
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
        super::put(draft, PATH, self.encode()?).await
    }

    /// The ledger as a file.
    pub(crate) fn encode(&self) -> Result<Bytes> {
        let stored = Stored {
            failures: self.failures().cloned().collect(),
            skips: self.skips().cloned().collect(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(|error| Error::state(WHAT, error))?;
        Ok(Bytes::from(bytes))
    }
}

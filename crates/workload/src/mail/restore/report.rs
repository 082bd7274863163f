//! What a restore did, message by message.

use model::{FailureCause, ItemId};
use serde::Serialize;

use super::failure::Failure;
use crate::mail::{MessageRef, compose::Loss};

/// The sums of a restore, and the messages that somebody should look at. Every message was told to the progress callback.
#[derive(Debug, Default)]
pub struct Report {
    /// Messages created.
    pub restored: u64,
    /// Messages that an earlier restore had created already.
    pub already_there: u64,
    /// Messages that were still there unchanged, and were left alone.
    pub identical: u64,
    /// Messages that could not be restored.
    pub failed: u64,
    /// MIME of the messages created, in bytes.
    pub bytes: u64,
    /// Folders created.
    pub folders_created: u64,
    /// The messages that failed or lost something, in the order in which that became known.
    pub notable: Vec<ItemReport>,
}

/// What became of one message.
#[derive(Clone, Debug)]
pub struct ItemReport {
    /// Where it is in the archive. Its path has the subject in it and belongs into no log.
    pub at: MessageRef,
    /// Its id at the source; `None` when it was not read, because it was left alone or could not be.
    pub source: Option<ItemId>,
    /// What was done.
    pub outcome: Outcome,
    /// What did not come back as it was.
    pub losses: Vec<Loss>,
    /// Size of its MIME, in bytes; 0 when it was not read.
    pub bytes: u64,
}

/// What was done with a message.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was created.
    Restored {
        /// Its id in the target.
        id: ItemId,
    },
    /// An earlier restore had created it.
    AlreadyThere {
        /// Its id in the target.
        id: ItemId,
    },
    /// It is still in its folder, unchanged.
    Identical,
    /// It could not be restored.
    Failed {
        /// Why.
        cause: FailureCause,
        /// Microsoft's code, where there was one.
        code: Option<String>,
    },
}

impl ItemReport {
    pub(super) fn new(at: MessageRef) -> Self {
        Self {
            at,
            source: None,
            outcome: Outcome::Identical,
            losses: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.outcome = Outcome::Failed {
            cause: failure.cause,
            code: failure.code,
        };
    }
}

impl Report {
    pub(super) fn add(&mut self, item: ItemReport) {
        match item.outcome {
            Outcome::Restored { .. } => {
                self.restored += 1;
                self.bytes += item.bytes;
            }
            Outcome::AlreadyThere { .. } => self.already_there += 1,
            Outcome::Identical => self.identical += 1,
            Outcome::Failed { .. } => self.failed += 1,
        }
        if !item.losses.is_empty() || matches!(item.outcome, Outcome::Failed { .. }) {
            self.notable.push(item);
        }
    }
}

//! What a restore did, message by message.

use std::fmt;

use model::{FailureCause, ItemId};
use serde::Serialize;

use super::failure::Failure;
use crate::{
    Error,
    mail::{MessageRef, compose::Loss},
};

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
    /// Why it ended before its time; what was done until then stays, and the same restore again adds only what is missing.
    pub stopped: Option<Error>,
}

/// What became of one message.
#[derive(Clone, Debug)]
pub struct ItemReport {
    /// Where it is in the archive; `None` when it was not found there. Its path has the subject in it and belongs into no log.
    pub at: Option<MessageRef>,
    /// Its id at the source; `None` when it could not be read.
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
    /// The archive does not hold it.
    NotHeld,
    /// It could not be restored.
    Failed {
        /// Why.
        cause: FailureCause,
        /// Microsoft's code, where there was one.
        code: Option<String>,
    },
}

/// In plain words, for people; nothing personal is among them.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cause, code) = match self {
            Self::Restored { .. } => return f.write_str("it was restored"),
            Self::AlreadyThere { .. } => {
                return f.write_str("an earlier restore had brought it back");
            }
            Self::Identical => return f.write_str("it is still there, unchanged"),
            Self::NotHeld => return f.write_str("the restore point does not have it"),
            Self::Failed { cause, code } => (cause, code),
        };
        f.write_str(match cause {
            FailureCause::AccessDenied => "Microsoft denied access",
            FailureCause::BadAnswer => "Microsoft's answer could not be understood",
            FailureCause::Corrupt => "the copy in the repository is damaged",
            FailureCause::Unavailable => "Microsoft did not answer in time",
            FailureCause::Doubtful => "it is not known whether Microsoft created it",
            FailureCause::Refused => "Microsoft refused it",
            FailureCause::Defect => "Keepwell itself gave up on it",
        })?;
        match code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl ItemReport {
    pub(super) fn new(at: MessageRef) -> Self {
        Self {
            at: Some(at),
            source: None,
            outcome: Outcome::Identical,
            losses: Vec::new(),
            bytes: 0,
        }
    }

    /// A message that was not found in the archive, because it is not there or for the reason that is given.
    pub(super) fn missing(id: ItemId, why: Option<Failure>) -> Self {
        Self {
            at: None,
            source: Some(id),
            outcome: why.map_or(Outcome::NotHeld, |Failure { cause, code }| {
                Outcome::Failed { cause, code }
            }),
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
    /// Whether nothing of what was wanted is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.stopped.is_none()
    }

    /// Whether it has not come to any message yet.
    pub(super) fn is_empty(&self) -> bool {
        self.restored + self.already_there + self.identical + self.failed == 0
    }

    pub(super) fn add(&mut self, item: ItemReport) {
        match item.outcome {
            Outcome::Restored { .. } => {
                self.restored += 1;
                self.bytes += item.bytes;
            }
            Outcome::AlreadyThere { .. } => self.already_there += 1,
            Outcome::Identical => self.identical += 1,
            Outcome::NotHeld | Outcome::Failed { .. } => self.failed += 1,
        }
        let is_missing = matches!(item.outcome, Outcome::NotHeld | Outcome::Failed { .. });
        if !item.losses.is_empty() || is_missing {
            self.notable.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_plain_words() {
        let failed = |cause, code: Option<&str>| {
            let code = code.map(str::to_owned);
            Outcome::Failed { cause, code }.to_string()
        };
        assert_eq!(
            failed(FailureCause::Refused, Some("BadRequest")),
            "Microsoft refused it (BadRequest)"
        );
        assert_eq!(
            failed(FailureCause::Corrupt, None),
            "the copy in the repository is damaged"
        );
        assert_eq!(
            Loss::HeadersCut.to_string(),
            "some header lines were left out"
        );
    }
}

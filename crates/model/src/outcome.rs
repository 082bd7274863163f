//! What became of items that were not copied: data, not errors.
//!
//! An operation that meets a bad item goes on and reports it. A *failure* is tried again by the next runs; a *skip* can never succeed, and its
//! cause is from a closed list, so that nothing is passed over in silence. Neither carries anything personal: an item is named by its id.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ItemId;

/// An item that could not be copied, as the failure ledger keeps it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// The item.
    pub item: ItemId,
    /// The container in which it was last seen.
    pub container: ItemId,
    /// Why.
    pub cause: FailureCause,
    /// Microsoft's own code, where there was one (`ErrorCorruptData`); never a message, which may quote the item.
    pub code: Option<String>,
    /// How many runs have tried, at least 1.
    pub attempts: u32,
    /// When it failed first.
    pub first: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
}

/// Why an item could not be copied this time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCause {
    /// Microsoft refused access.
    AccessDenied,
    /// Microsoft's answer could not be understood or was incomplete, also after the retries.
    BadAnswer,
    /// Microsoft reports the item as damaged.
    Corrupt,
    /// Microsoft did not answer, or answered with errors, until the retries were used up.
    Unavailable,
    /// Whether the item still exists could not be learnt.
    Doubtful,
    /// Anything else that Microsoft refused; the code says what.
    Refused,
    /// Our own code gave up on the item: a defect to be reported to whoever makes the software (abuse 68).
    Defect,
}

/// An item, or a part of one, that can never be copied.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Skip {
    /// The item.
    pub item: ItemId,
    /// The container in which it is.
    pub container: ItemId,
    /// Why.
    pub cause: SkipCause,
}

/// The closed list of reasons for which an item is left out for good.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipCause {
    /// Microsoft itself can no longer read the item (`ErrorCorruptData`, survival 96).
    CorruptAtSource,
    /// The item's recipients are such that Microsoft cannot serve it (`ErrorInvalidRecipients`, survival 97).
    InvalidRecipients,
}

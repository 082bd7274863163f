//! Snapshots: which directory was the root at which time.
//!
//! Snapshots that restic made, tagged or rewrote are read like ours. Retention is not decided here.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{BlobId, SnapshotId};

/// A snapshot, as restic defines it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken.
    pub time: Timestamp,
    /// The one from which it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotId>,
    /// Its root directory.
    pub tree: BlobId,
    /// What was backed up, in the source's own terms; restic groups snapshots by it.
    #[serde(deserialize_with = "null_is_empty")]
    pub paths: Vec<String>,
    /// Where it was made; restic groups snapshots by it, too.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Who made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Free labels.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub tags: Vec<String>,
    /// The one of which restic made this by tagging or rewriting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<SnapshotId>,
    /// The program that made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program_version: String,
}

/// What the maker of a snapshot says about it. See [`Snapshot`] for the fields.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of Snapshot")]
pub struct SnapshotMeta {
    pub time: Timestamp,
    pub hostname: String,
    pub username: String,
    pub tags: Vec<String>,
    pub paths: Vec<String>,
}

impl SnapshotMeta {
    pub(crate) fn into_snapshot(self, parent: Option<SnapshotId>, tree: BlobId) -> Snapshot {
        Snapshot {
            time: self.time,
            parent,
            tree,
            paths: self.paths,
            hostname: self.hostname,
            username: self.username,
            tags: self.tags,
            original: None,
            program_version: concat!("keepwell ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Go writes an absent list as `null`.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

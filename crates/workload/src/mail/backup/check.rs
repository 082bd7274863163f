//! What a reconciliation finds: messages of which the snapshot knew less than the folders' own listings, although the folders' reports of changes
//! never said so.
//!
//! The listings are read first and the reports of changes after them, so that whatever changed since the last run is reported as well, and is no
//! finding. What is left was missed, by Graph or by us.

use std::collections::HashSet;

use model::ItemId;

use crate::mail::layout::IdHash;

/// The findings so far.
#[derive(Default)]
pub(super) struct Check {
    /// The folders that report changes, while they are listed.
    listed: HashSet<ItemId>,
    found: HashSet<IdHash>,
}

impl Check {
    /// The listings of these folders begin.
    pub(super) fn begin(&mut self, folders: impl IntoIterator<Item = ItemId>) {
        self.listed = folders.into_iter().collect();
    }

    /// The listings are at their end.
    pub(super) fn end(&mut self) {
        self.listed.clear();
    }

    /// What the snapshot holds of a message in this folder was not right.
    pub(super) fn note(&mut self, message: IdHash, folder: &ItemId) {
        if self.listed.contains(folder) {
            self.found.insert(message);
        }
    }

    /// A folder reported that the message changed, or left.
    pub(super) fn explain(&mut self, message: &IdHash) {
        self.found.remove(message);
    }

    /// How many messages no report explains.
    pub(super) fn missed(&self) -> u64 {
        self.found.len() as u64
    }
}

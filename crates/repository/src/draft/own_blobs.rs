//! What a draft has stored itself, and what of that is still to be listed in index files.

use std::collections::{HashMap, hash_map};

use super::open_packs::Purpose;
use crate::{
    blob::BlobKind,
    id::{BlobId, ObjectId},
    index::Location,
    index_file::{IndexFile, IndexedPack},
    pack::Entry,
};

#[derive(Default)]
pub(super) struct OwnBlobs {
    /// Each blob, with its place once its pack is stored.
    content: HashMap<BlobId, Option<Location>>,
    trees: HashMap<BlobId, Option<Location>>,
    /// Stored packs that are in no index file yet. The lists are separate, so that who looks for directories and state need not read
    /// where content is.
    unlisted_content: IndexFile,
    unlisted_state: IndexFile,
    /// Index files that are stored and not yet part of the repository's index.
    files: Vec<(ObjectId, IndexFile)>,
}

impl OwnBlobs {
    /// Nothing if the blob is not our own; nothing within if its pack is not stored yet.
    pub(super) fn get(&self, kind: BlobKind, id: BlobId) -> Option<Option<Location>> {
        match kind {
            BlobKind::Content => self.content.get(&id).copied(),
            BlobKind::Tree => self.trees.get(&id).copied(),
        }
    }

    /// Notes that the blob is about to be stored; false if it is our own already.
    pub(super) fn begin(&mut self, kind: BlobKind, id: BlobId) -> bool {
        match self.map(kind).entry(id) {
            hash_map::Entry::Occupied(_) => false,
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(None);
                true
            }
        }
    }

    /// Notes that a pack is stored.
    pub(super) fn add_pack(&mut self, purpose: Purpose, pack: ObjectId, entries: &[Entry]) {
        for entry in entries {
            let location = Location {
                pack,
                entry: *entry,
            };
            self.map(entry.kind).insert(entry.id, Some(location));
        }
        let listed = IndexedPack::new(pack, entries);
        self.unlisted(purpose).packs.push(listed);
    }

    /// How many blobs are in stored packs and in no index file.
    pub(super) fn unlisted_blobs(&self) -> usize {
        self.unlisted_content.blob_count() + self.unlisted_state.blob_count()
    }

    /// The list of packs for this purpose, if it has more than so many blobs; it is then empty.
    pub(super) fn take_unlisted(
        &mut self,
        purpose: Purpose,
        more_than: usize,
    ) -> Option<IndexFile> {
        let unlisted = self.unlisted(purpose);
        (unlisted.blob_count() > more_than).then(|| std::mem::take(unlisted))
    }

    /// Notes that an index file is stored.
    pub(super) fn add_file(&mut self, id: ObjectId, file: IndexFile) {
        self.files.push((id, file));
    }

    /// The index files stored since this was asked last.
    pub(super) fn take_files(&mut self) -> Vec<(ObjectId, IndexFile)> {
        std::mem::take(&mut self.files)
    }

    fn map(&mut self, kind: BlobKind) -> &mut HashMap<BlobId, Option<Location>> {
        match kind {
            BlobKind::Content => &mut self.content,
            BlobKind::Tree => &mut self.trees,
        }
    }

    fn unlisted(&mut self, purpose: Purpose) -> &mut IndexFile {
        match purpose {
            Purpose::Content => &mut self.unlisted_content,
            Purpose::State | Purpose::Tree => &mut self.unlisted_state,
        }
    }
}

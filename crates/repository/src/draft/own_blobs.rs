//! What a draft has stored itself, and what of that is still to be listed in index files.

use super::open_packs::Purpose;
use crate::{
    blob_map::BlobMap,
    cache::CachedIndex,
    error::Problem,
    id::ObjectId,
    index_file::{IndexFile, IndexedPack},
    pack::Entry,
};

#[derive(Default)]
pub(super) struct OwnBlobs {
    /// Each blob: announced when it is handed in, added when its pack is stored.
    pub(super) map: BlobMap,
    /// Index files that are stored, and their copies in the cache.
    pub(super) files: Vec<(ObjectId, Option<CachedIndex>)>,
    /// Stored packs that are in no index file yet. The lists are separate, so that who looks for directories and state need not read
    /// where content is.
    unlisted_content: IndexFile,
    unlisted_state: IndexFile,
}

impl OwnBlobs {
    /// Notes that a pack is stored.
    pub(super) fn add_pack(
        &mut self,
        purpose: Purpose,
        pack: ObjectId,
        entries: Vec<Entry>,
    ) -> Result<(), Problem> {
        let listed = IndexedPack::new(pack, &entries);
        self.unlisted(purpose).packs.push(listed);
        self.map.add_pack(pack, entries)
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

    fn unlisted(&mut self, purpose: Purpose) -> &mut IndexFile {
        match purpose {
            Purpose::Content => &mut self.unlisted_content,
            Purpose::State | Purpose::Tree => &mut self.unlisted_state,
        }
    }
}

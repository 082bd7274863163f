//! Index files: JSON that says which blobs are in which packs.

use serde::{Deserialize, Serialize};

use crate::{
    blob::{BlobKind, MAX_BLOB_BYTES},
    error::Problem,
    id::{BlobId, ObjectId},
    pack::Entry,
};

/// Content beside the state is in packs of at most about this size; larger ones are of content alone.
const MAX_STATE_PACK_BYTES: u64 = 5 << 20;

/// One index file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct IndexFile {
    pub(crate) packs: Vec<IndexedPack>,
}

/// A pack as an index file lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IndexedPack {
    pub(crate) id: ObjectId,
    blobs: Vec<IndexedBlob>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct IndexedBlob {
    id: BlobId,
    #[serde(rename = "type")]
    kind: KindName,
    offset: u32,
    length: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uncompressed_length: Option<u32>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    Data,
    Tree,
}

impl IndexFile {
    /// All blobs, each with the number of its pack in the list. Errors when one is larger than any that we would read.
    pub(crate) fn blobs(&self) -> Result<Vec<(u32, Entry)>, Problem> {
        let mut blobs = Vec::with_capacity(self.blob_count());
        for (number, pack) in self.packs.iter().enumerate() {
            let number = u32::try_from(number).map_err(|_| Problem::Malformed)?;
            for entry in pack.entries() {
                blobs.push((number, entry?));
            }
        }
        Ok(blobs)
    }

    pub(crate) fn blob_count(&self) -> usize {
        self.packs.iter().map(IndexedPack::blob_count).sum()
    }

    /// Whether it is one of those that are read before the lists of content.
    pub(crate) fn lists_directories(&self) -> bool {
        self.packs.iter().any(IndexedPack::lists_directories)
    }
}

impl IndexedPack {
    pub(crate) fn new(id: ObjectId, entries: &[Entry]) -> Self {
        let blobs = entries
            .iter()
            .map(|entry| IndexedBlob {
                id: entry.id,
                kind: match entry.kind {
                    BlobKind::Content => KindName::Data,
                    BlobKind::Tree => KindName::Tree,
                },
                offset: entry.offset,
                length: entry.length,
                uncompressed_length: entry.expanded,
            })
            .collect();
        Self { id, blobs }
    }

    pub(crate) fn blob_count(&self) -> usize {
        self.blobs.len()
    }

    pub(crate) fn lists_directories(&self) -> bool {
        let mut blobs = self.blobs.iter();
        blobs.any(|blob| matches!(blob.kind, KindName::Tree))
    }

    /// Whether it belongs into the lists that are read first, as far as it can be told from what is in it.
    pub(crate) fn may_be_state(&self) -> bool {
        self.lists_directories() || self.listed_bytes() <= MAX_STATE_PACK_BYTES
    }

    /// The sealed blobs together.
    fn listed_bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| u64::from(blob.length)).sum()
    }

    /// The blobs. Errors when one is larger than any that we would read.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<Entry, Problem>> {
        self.blobs.iter().map(|blob| {
            let largest = blob.length.max(blob.uncompressed_length.unwrap_or(0));
            if largest as usize > MAX_BLOB_BYTES || blob.offset.checked_add(blob.length).is_none() {
                return Err(Problem::Malformed);
            }
            Ok(Entry {
                id: blob.id,
                kind: match blob.kind {
                    KindName::Data => BlobKind::Content,
                    KindName::Tree => BlobKind::Tree,
                },
                offset: blob.offset,
                length: blob.length,
                // Go leaves a zero out.
                expanded: blob.uncompressed_length.filter(|length| *length > 0),
            })
        })
    }
}

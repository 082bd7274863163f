//! Directories and state that were read or written lately, each in a file of its own.
//!
//! ```text
//! plain length if it is compressed, else 0 (u32, little-endian) | the blob, sealed as in its pack
//! ```
//!
//! Their names are hashes of the blobs' ids and the master key, and betray nothing. When they take more than a bound, those that were not used
//! for the longest time are removed.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use rand::RngExt;

use super::{Cache, Folder};
use crate::{blob, id::BlobId};

/// Most bytes on disk: room for the directories and the state of a mailbox with 500,000 made-up messages, which measured 71 MB.
const MAX_BYTES: u64 = 128 << 20;
/// So much is added, on average over many runs, before it is looked whether it is too much: with 10,000 files that takes 30 ms.
const UNSWEPT_BYTES: u64 = 4 << 20;
/// Removing goes on until this part is free, so that it is not needed for every file.
const FREE_PART: u64 = 16;
/// What a file takes on disk at least.
const BLOCK_BYTES: u64 = 4 << 10;
/// Larger blobs are not kept: a directory that we make is smaller, and so is state.
const MAX_BLOB_BYTES: usize = 1 << 20;

/// The folder's own part of a [`Cache`].
#[derive(Default)]
pub(super) struct Unswept(AtomicU64);

impl Cache {
    /// The content of a blob, its hash checked, if it is here.
    pub(crate) fn blob(&self, id: BlobId) -> Option<Vec<u8>> {
        let (blobs, name) = (self.0.folder.within("blobs"), self.blob_name(id));
        let stored = blobs.read(&name)?;
        let opened = stored.split_first_chunk().and_then(|(expanded, sealed)| {
            let expanded = Some(u32::from_le_bytes(*expanded)).filter(|length| *length > 0);
            blob::open(&self.0.key, id, sealed, expanded).ok()
        });
        match &opened {
            Some(_) => _ = self.touch(&blobs.path(&name)),
            None => blobs.remove(&name),
        }
        opened
    }

    /// Keeps a blob as it is sealed in its pack.
    pub(crate) fn keep_blob(&self, id: BlobId, sealed: &[u8], expanded: Option<u32>) {
        if sealed.len() > MAX_BLOB_BYTES {
            return;
        }
        let mut content = Vec::with_capacity(sealed.len() + 4);
        content.extend_from_slice(&expanded.unwrap_or(0).to_le_bytes());
        content.extend_from_slice(sealed);
        let (blobs, name) = (self.0.folder.within("blobs"), self.blob_name(id));
        self.keep(&blobs, &name, &content);
    }

    /// Writes a file into the folder, and makes room when there is too much in it.
    pub(super) fn keep(&self, blobs: &Folder, name: &str, content: &[u8]) {
        if !blobs.write(name, content) {
            return;
        }
        self.touch(&blobs.path(name));
        let unswept = &self.0.unswept.0;
        let size = on_disk(content.len() as u64);
        if unswept.fetch_add(size, Ordering::Relaxed) + size > UNSWEPT_BYTES {
            self.sweep_blobs();
        }
    }

    /// Removes the blobs that were not used for the longest time, if all together take too much. Looks the more likely, the more was added.
    pub(crate) fn sweep_blobs(&self) {
        let unswept = self.0.unswept.0.swap(0, Ordering::Relaxed);
        // A run adds less than that, and nobody counts over the runs.
        if unswept > rand::rng().random_range(..UNSWEPT_BYTES) {
            self.sweep_to(MAX_BYTES);
        }
    }

    fn sweep_to(&self, max_bytes: u64) {
        let blobs = self.0.folder.within("blobs");
        blobs.remove_staging();
        let mut kept: Vec<(SystemTime, u64, fs::DirEntry)> = blobs
            .list()
            .into_iter()
            .filter_map(|entry| {
                let meta = entry.metadata().ok()?;
                Some((meta.modified().ok()?, on_disk(meta.len()), entry))
            })
            .collect();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        if total <= max_bytes {
            return;
        }
        kept.sort_by_key(|(used, _, _)| *used);
        for (_, size, entry) in kept {
            if total <= max_bytes - max_bytes / FREE_PART {
                break;
            }
            fs::remove_file(entry.path()).ok();
            total -= size;
        }
    }

    /// Notes that the file was used now; says whether there is one.
    pub(super) fn touch(&self, path: &std::path::Path) -> bool {
        let now = SystemTime::from(self.0.clock.now());
        let touched = fs::File::open(path).and_then(|file| file.set_modified(now));
        // Without it the file is removed a little early.
        touched.is_ok()
    }

    pub(super) fn blob_name(&self, id: BlobId) -> String {
        let key = self.0.key.derive("cached blob", &id.0);
        data_encoding::HEXLOWER.encode(&key.as_bytes()[..16])
    }
}

fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES)
}

#[cfg(test)]
mod tests;

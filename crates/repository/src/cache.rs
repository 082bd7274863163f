//! What a repository's user keeps on the local disk, so that the storage need not be asked again: the key and the configuration, the index, the
//! directories and state that were used lately, and what was made of directories.
//!
//! A cache is a folder that belongs to one repository and may be deleted at any time. Everything in it is sealed, and nothing in it is believed
//! that does not open: a file that is missing, cut short, changed or another repository's is as good as none, and a disk that is full or
//! read-only means that less is remembered. What could be outdated is checked against the storage before anything is written there.
//! `docs/format/cache.md` tells the layout.

use std::{path::PathBuf, sync::Arc};

use model::SharedClock;

use crate::crypto::Key;

mod blobs;
mod folder;
mod index;
mod marks;
mod note;
mod opening;
mod summaries;

pub(crate) use folder::Folder;
pub(crate) use index::CachedIndex;
pub(crate) use marks::Marks;
pub(crate) use opening::Opening;
pub use summaries::forget_summaries;

/// The cache of an open repository. Clones share it. All of its functions block.
#[derive(Clone)]
pub(crate) struct Cache(Arc<Inner>);

struct Inner {
    folder: Folder,
    /// The repository's master key.
    key: Key,
    clock: SharedClock,
    unswept: blobs::Unswept,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf, key: Key, clock: SharedClock) -> Self {
        Self(Arc::new(Inner {
            folder: Folder::new(folder),
            key,
            clock,
            unswept: blobs::Unswept::default(),
        }))
    }
}

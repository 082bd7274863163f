//! A note: a few bytes that the repository's user wants to find again without asking the storage.

use super::{Cache, Opening};
use crate::{
    crypto::Key,
    error::{Error, Result},
    repository::Repository,
};

const NOTE: &str = "note";

impl Repository {
    /// The note that was kept last, also by an earlier process; nothing if there is no cache, or if it was lost or damaged.
    pub async fn note(&self) -> Option<Vec<u8>> {
        let cache = self.0.cache.clone()?;
        let read = move || cache.note_key().open(&cache.0.folder.read(NOTE)?).ok();
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// Keeps a note in the cache, in place of the one before; an empty one removes it, and so does a draft before it writes a snapshot. Without a cache nothing happens, nor in one that was deleted
    /// since this repository was opened: whoever did that wants the storage to be asked.
    pub async fn keep_note(&self, note: Vec<u8>) -> Result<()> {
        let Some(cache) = self.0.cache.clone() else {
            return Ok(());
        };
        let write = move || {
            let folder = &cache.0.folder;
            let kept = !note.is_empty()
                && Opening::is_kept(folder)
                && folder.write(NOTE, &cache.note_key().seal(&note));
            if !kept {
                // Better none than an old one.
                folder.remove(NOTE);
            }
        };
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|_| Error::Internal("keeping a note was interrupted"))
    }
}

impl Cache {
    fn note_key(&self) -> Key {
        self.0.key.derive("cached note", b"")
    }
}

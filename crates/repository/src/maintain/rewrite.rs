//! Copying live blobs to new packs, as they are sealed, each opened before it is copied.
//!
//! Only adds: packs first, then index files that list them, the latter apart for content and for the rest as a draft keeps them. Where a blob
//! was copied from is not touched.

use std::{collections::HashMap, sync::Arc};

use crate::{
    blob::{BlobKind, Opener, SealedBlob},
    draft::{INDEX_FILE_BLOBS, Purpose},
    error::{Error, Problem, Result, Subject},
    id::ObjectId,
    index_file::{IndexFile, IndexedPack},
    lock::Lock,
    pack::{Entry, MAX_BLOBS, PackBuilder},
    repository::Inner,
    sealed_file,
    storage::ObjectKind,
};

/// Copies blobs to new packs.
pub(super) struct Rewriter<'a> {
    inner: &'a Arc<Inner>,
    lock: &'a Lock,
    open: Vec<(Purpose, PackBuilder)>,
    lists: HashMap<bool, IndexFile>,
    /// Packs that were written, with what is in them.
    pub(super) written: Vec<(ObjectId, Vec<Entry>)>,
    pub(super) written_bytes: u64,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>, lock: &'a Lock) -> Self {
        Self {
            inner,
            lock,
            open: Vec::new(),
            lists: HashMap::new(),
            written: Vec::new(),
            written_bytes: 0,
        }
    }

    /// Copies these blobs of a pack. Errors when one of them is damaged; nothing of the pack is copied then.
    pub(super) async fn copy(
        &mut self,
        pack: ObjectId,
        purpose: Purpose,
        entries: Vec<Entry>,
    ) -> Result<()> {
        let bytes = self.inner.storage.get_unchecked(ObjectKind::Pack, pack);
        let bytes = bytes.await?;
        let key = self.inner.key.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let mut opener = Opener::default();
            for entry in &entries {
                let opened = entry.open(&key, &bytes, &mut opener).map(drop);
                opened.map_err(|problem| damaged(entry, problem))?;
            }
            Ok::<_, Error>((bytes, entries))
        });
        let (bytes, entries) = checked
            .await
            .map_err(|_| Error::Internal("checking a pack was interrupted"))??;
        for entry in entries {
            let sealed = SealedBlob {
                id: entry.id,
                bytes: entry
                    .slice(&bytes)
                    .map_err(|problem| damaged(&entry, problem))?,
                expanded: entry.expanded,
            };
            let purpose = match (entry.kind, purpose) {
                (BlobKind::Tree, _) => Purpose::Tree,
                // A pack of both kinds, which only old versions of restic made.
                (BlobKind::Content, Purpose::Tree) => Purpose::State,
                (BlobKind::Content, purpose) => purpose,
            };
            self.add(purpose, sealed).await?;
        }
        Ok(())
    }

    /// Lists a pack that is stored and right, as it is.
    pub(super) async fn list(&mut self, state: bool, pack: IndexedPack) -> Result<()> {
        let list = self.lists.entry(state).or_default();
        list.packs.push(pack);
        if list.blob_count() >= INDEX_FILE_BLOBS {
            self.write_list(state).await?;
        }
        Ok(())
    }

    /// Writes what is still open, so that all that was copied is stored and listed.
    pub(super) async fn finish(&mut self) -> Result<()> {
        for (purpose, pack) in std::mem::take(&mut self.open) {
            self.write(purpose, pack).await?;
        }
        for state in [false, true] {
            self.write_list(state).await?;
        }
        Ok(())
    }

    async fn add(&mut self, purpose: Purpose, blob: SealedBlob<'_>) -> Result<()> {
        let at = self.open.iter().position(|(open, _)| *open == purpose);
        let at = at.unwrap_or_else(|| {
            self.open.push((purpose, PackBuilder::new(purpose.kind())));
            self.open.len() - 1
        });
        let pack = &mut self.open[at].1;
        pack.add(blob);
        if pack.size_bytes() >= purpose.pack_bytes() || pack.blob_count() >= MAX_BLOBS {
            let (_, full) = self.open.swap_remove(at);
            self.write(purpose, full).await?;
        }
        Ok(())
    }

    async fn write(&mut self, purpose: Purpose, pack: PackBuilder) -> Result<()> {
        let key = self.inner.key.clone();
        let finished =
            tokio::task::spawn_blocking(move || pack.finish(&key, &mut Opener::default()))
                .await
                .map_err(|_| Error::Internal("finishing a pack was interrupted"))?
                .map_err(|_| {
                    Error::Internal("a pack could not be read back before it was stored")
                })?;
        self.lock.confirm().await?;
        self.written_bytes += finished.content.len() as u64;
        let storage = &self.inner.storage;
        storage
            .put_as(ObjectKind::Pack, finished.id, finished.content)
            .await?;
        let listed = IndexedPack::new(finished.id, &finished.entries);
        self.written.push((finished.id, finished.entries));
        self.list(purpose != Purpose::Content, listed).await
    }

    async fn write_list(&mut self, state: bool) -> Result<()> {
        match self.lists.remove(&state) {
            Some(file) if !file.packs.is_empty() => {
                self.lock.confirm().await?;
                write_index_file(self.inner, &file).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}

fn damaged(entry: &Entry, problem: Problem) -> Error {
    Error::damaged(entry.kind.subject(entry.id), problem)
}

/// Stores an index file.
pub(super) async fn write_index_file(inner: &Inner, file: &IndexFile) -> Result<ObjectId> {
    let sealed = sealed_file::encode(&inner.key, &inner.compressors, file);
    let id = ObjectId::of(&sealed);
    // What every reader relies on is opened again before it is stored: memory may be broken.
    sealed_file::decode::<IndexFile>(&inner.key, &sealed)
        .map_err(|problem| Error::damaged(Subject::Object(ObjectKind::Index, id), problem))?;
    inner.storage.put_as(ObjectKind::Index, id, sealed).await?;
    Ok(id)
}

//! The write side of a draft: blobs go into open packs, full packs into storage.
//!
//! Each blob is hashed, compressed and sealed off the async threads, a few at a time. Once begun, the storing of a blob runs to its end even
//! if the caller loses interest, so that no blob is counted as stored and is not; [`Packer::idle`] waits for all of them. The lock is taken
//! before the first object is written, and not at all if none is. What is stored here is in no index file until [`Packer::flush`]: the order
//! is packs, index, and then the caller's snapshot.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore, watch};

use super::{
    open_packs::{OpenPacks, Purpose},
    own_blobs::OwnBlobs,
};
use crate::{
    blob::{self, BlobKind},
    cache::Cache,
    error::{Error, Problem, Result},
    id::{BlobId, SnapshotId},
    lock::{Lock, Mode},
    pack::{Pack, PackBuilder},
    repository::{Inner, blocking},
    sealed_file,
    storage::ObjectKind,
};

/// An index file is written when this many blobs are to be listed, as restic does. It bounds memory, too.
pub(crate) const INDEX_FILE_BLOBS: usize = 50_000;
/// When more blobs are relied on without a lock, it is taken, so that the list of them has a bound: 3.3 MB.
const MAX_RELIED_ON: usize = 100_000;
/// More operations than processors, so that these work while a pack is being written. Each may hold a pack.
const EXTRA_OPERATIONS: usize = 1;
/// A blob up to this length is sealed by the task that it came to, in 300 microseconds at most: handing it to another thread and waiting
/// for it would double the price of a small mail.
const SEAL_INLINE_BYTES: usize = 64 << 10;

pub(crate) struct Packer {
    inner: Arc<Inner>,
    parent: Option<SnapshotId>,
    /// The index's generation when the first decision was based on it.
    generation: u64,
    open: Mutex<OpenPacks>,
    own: Mutex<OwnBlobs>,
    /// Blobs that were not stored because the index has them; until there is a lock, that may become untrue.
    relied_on: Mutex<Option<Vec<(BlobKind, BlobId)>>>,
    lock: OnceCell<Lock>,
    /// How many blobs were handed in and are not in a pack yet.
    under_way: watch::Sender<usize>,
    /// Bounds how many of them are worked on.
    operations: Semaphore,
    failed: AtomicBool,
    /// Whether a directory was stored that the repository did not have.
    new_directories: AtomicBool,
}

/// Counts a blob for as long as it is on the way to its pack.
struct UnderWay(Arc<Packer>);

impl UnderWay {
    fn begin(packer: &Arc<Packer>) -> Self {
        packer.under_way.send_modify(|count| *count += 1);
        Self(Arc::clone(packer))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|count| *count -= 1);
    }
}

impl Packer {
    pub(crate) fn new(inner: Arc<Inner>, parent: Option<SnapshotId>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let operations = processors + EXTRA_OPERATIONS;
        Self {
            parent,
            generation: inner.index.generation(),
            inner,
            open: Mutex::default(),
            own: Mutex::default(),
            relied_on: Mutex::new(Some(Vec::new())),
            lock: OnceCell::new(),
            under_way: watch::Sender::new(0),
            operations: Semaphore::new(operations),
            failed: AtomicBool::new(false),
            new_directories: AtomicBool::new(false),
        }
    }

    /// Stores a blob, unless it is known to be stored already.
    pub(crate) async fn store(self: &Arc<Self>, purpose: Purpose, plain: Bytes) -> Result<BlobId> {
        let under_way = UnderWay::begin(self);
        // Its turn comes in a task of its own: a caller that has got it and is not polled, because another blob is awaited, would keep it.
        let operation = tokio::spawn(async move {
            let packer = &under_way.0;
            let _busy = packer.inner.options.clock.busy("storing a blob");
            let turn = packer.operations.acquire().await;
            let outcome = match turn {
                Ok(_turn) => packer.store_now(purpose, plain).await,
                Err(_) => Err(Error::Internal("the packer is closed")),
            };
            if outcome.is_err() {
                packer.failed.store(true, Ordering::Release);
            }
            outcome
        });
        operation.await.unwrap_or_else(|_| {
            self.failed.store(true, Ordering::Release);
            Err(Error::Internal("storing a blob was interrupted"))
        })
    }

    /// The content of a blob, of this draft or of the repository.
    pub(crate) async fn read(&self, kind: BlobKind, id: BlobId) -> Result<Vec<u8>> {
        if !self.own().map.contains(kind, id) {
            return self.inner.blob_by_cache(kind, id).await;
        }
        if let Some(plain) = self.read_own(kind, id).await? {
            return Ok(plain);
        }
        // Its pack is on the way to storage.
        self.idle().await?;
        let found = self.read_own(kind, id).await?;
        found.ok_or(Error::damaged(kind.subject(id), Problem::Missing))
    }

    /// Waits until every blob handed in is in a pack. Errors when one of them failed.
    pub(crate) async fn idle(&self) -> Result<()> {
        let mut under_way = self.under_way.subscribe();
        let none = under_way.wait_for(|count| *count == 0).await;
        drop(none.map_err(|_| Error::Internal("the packer is closed"))?);
        if self.failed.load(Ordering::Acquire) {
            return Err(Error::Incomplete);
        }
        Ok(())
    }

    /// Whether a directory was stored that the repository, by what is known of it, did not have.
    pub(crate) fn has_new_directories(&self) -> bool {
        self.new_directories.load(Ordering::Acquire)
    }

    /// Stores what is still open: packs, then index files. The lock is held from here on, also if there was nothing to store.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<()> {
        self.idle().await?;
        let open = std::mem::take(&mut *self.open());
        for (purpose, pack) in open.merged() {
            let packer = Arc::clone(self);
            let finished = blocking(move || packer.finish(pack)).await??;
            self.write(purpose, finished).await?;
        }
        self.locked().await?;
        self.write_index(0).await
    }

    /// Makes sure that the lock still holds, immediately before the snapshot is written.
    pub(crate) async fn confirm_lock(&self) -> Result<()> {
        self.locked().await.map(drop)
    }

    /// Makes sure that the lock still held when something was written that others rely on: whoever was stopped just before may have written it
    /// after everything that it needs was pruned (abuse 18).
    pub(crate) async fn held_lock(&self) -> Result<()> {
        match self.lock.get() {
            Some(lock) if lock.is_present().await? => Ok(()),
            _ => Err(Error::LockLost),
        }
    }

    /// Takes what was stored into the repository's index: to be called when the snapshot is written.
    pub(crate) async fn publish(&self) -> Result<()> {
        let (files, blobs) = {
            let mut own = self.own();
            (std::mem::take(&mut own.files), std::mem::take(&mut own.map))
        };
        self.inner
            .index
            .adopt(files, blobs)
            .map_err(|_| Error::Internal("there are too many packs"))?;
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.cache.iter().for_each(Cache::sweep_blobs)).await
    }

    /// Removes the lock, if it was taken. Nothing can be stored afterwards.
    pub(crate) async fn unlock(&self) -> Result<()> {
        match self.lock.get() {
            Some(lock) => lock.release().await,
            None => Ok(()),
        }
    }

    async fn store_now(self: &Arc<Self>, purpose: Purpose, plain: Bytes) -> Result<BlobId> {
        let quick = plain.len() <= SEAL_INLINE_BYTES && self.cache_for(purpose).is_none();
        let (id, full) = if quick {
            self.add(purpose, &plain)
        } else {
            let packer = Arc::clone(self);
            blocking(move || packer.add(purpose, &plain)).await?
        };
        if let Some(pack) = full {
            let packer = Arc::clone(self);
            let finished = blocking(move || packer.finish(pack)).await??;
            self.write(purpose, finished).await?;
        }
        let relied_on = self.relied_on().as_ref().map_or(0, Vec::len);
        if relied_on > MAX_RELIED_ON {
            self.locked().await?;
        }
        Ok(id)
    }

    /// Puts a blob into an open pack, unless it is there; gives the pack if that made it full.
    fn add(&self, purpose: Purpose, plain: &[u8]) -> (BlobId, Option<PackBuilder>) {
        let id = BlobId::of(plain);
        let kind = purpose.kind();
        let own = self.own().map.contains(kind, id);
        if own || self.is_stored(kind, id) || !self.own().map.announce(kind, id) {
            return (id, None);
        }
        if purpose == Purpose::Tree {
            self.new_directories.store(true, Ordering::Release);
        }
        let inner = &self.inner;
        let full = inner.compressors.with(|workbench| {
            let sealed = blob::seal(&inner.key, workbench, kind, id, plain);
            if let Some(cache) = self.cache_for(purpose) {
                cache.keep_blob(id, sealed.bytes, sealed.expanded);
            }
            self.open().add(purpose, sealed)
        });
        (id, full)
    }

    /// The local cache, if later runs are likely to read the blob.
    fn cache_for(&self, purpose: Purpose) -> Option<&Cache> {
        self.inner
            .cache
            .as_ref()
            .filter(|_| purpose.is_read_again())
    }

    /// Whether the repository has the blob, by what is known of it.
    fn is_stored(&self, kind: BlobKind, id: BlobId) -> bool {
        // Held while looking, so that what was seen before the lock was taken is in the list when that is checked.
        let mut relied_on = self.relied_on();
        let Some(list) = relied_on.as_mut() else {
            drop(relied_on);
            return self.inner.index.knows(kind, id);
        };
        let stored = self.inner.index.knows(kind, id);
        if stored {
            list.push((kind, id));
        }
        stored
    }

    fn finish(&self, pack: PackBuilder) -> Result<Pack> {
        let Inner {
            key, compressors, ..
        } = &*self.inner;
        compressors
            .with(|workbench| pack.finish(key, &mut workbench.opener))
            .map_err(|_| Error::Internal("a pack could not be read back before it was stored"))
    }

    async fn write(&self, purpose: Purpose, pack: Pack) -> Result<()> {
        self.locked().await?;
        let Pack {
            id,
            content,
            entries,
        } = pack;
        self.inner
            .storage
            .put_as(ObjectKind::Pack, id, content)
            .await?;
        let listed = {
            let mut own = self.own();
            own.add_pack(purpose, id, entries)
                .map_err(|_| Error::Internal("there are too many packs"))?;
            own.unlisted_blobs()
        };
        if listed >= INDEX_FILE_BLOBS {
            self.write_index(INDEX_FILE_BLOBS / 2).await?;
        }
        Ok(())
    }

    /// Writes index files for the lists that have more than `more_than` blobs.
    async fn write_index(&self, more_than: usize) -> Result<()> {
        for purpose in [Purpose::Content, Purpose::State] {
            let Some(file) = self.own().take_unlisted(purpose, more_than) else {
                continue;
            };
            let sealed = sealed_file::encode(&self.inner.key, &self.inner.compressors, &file);
            let id = self
                .inner
                .storage
                .put(ObjectKind::Index, sealed.into())
                .await?;
            if let Err(error) = self.held_lock().await {
                // The packs that it lists may have been pruned before it could be seen.
                let storage = &self.inner.storage;
                storage.delete(ObjectKind::Index, id).await?;
                return Err(error);
            }
            let inner = Arc::clone(&self.inner);
            let cached = blocking(move || inner.index.keep(id, &file)).await?;
            self.own().files.push((id, cached));
        }
        Ok(())
    }

    /// The lock, taken now if it has not been. What was decided without it is checked: that nobody has pruned since.
    async fn locked(&self) -> Result<&Lock> {
        let lock = self.lock.get_or_try_init(|| self.take_lock()).await?;
        lock.confirm().await?;
        Ok(lock)
    }

    async fn take_lock(&self) -> Result<Lock> {
        let lock = self.inner.locksmith().acquire(Mode::Shared).await?;
        match self.is_still_true().await {
            Ok(true) => Ok(lock),
            outcome => {
                lock.release().await?;
                outcome.and(Err(Error::Pruned))
            }
        }
    }

    /// Whether the parent and all blobs that were relied on are still there, now that nobody can prune.
    async fn is_still_true(&self) -> Result<bool> {
        let Inner {
            index,
            storage,
            key,
            ..
        } = &*self.inner;
        let generation = index.refresh(storage).await?;
        let relied_on = self.relied_on().take().unwrap_or_default();
        if let Some(parent) = self.parent
            && !storage.has(ObjectKind::Snapshot, parent.into()).await?
        {
            return Ok(false);
        }
        if generation != self.generation {
            for (kind, id) in relied_on {
                if index.find(storage, key, kind, id).await?.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The content of a blob of this draft, unless its pack is just being stored.
    async fn read_own(&self, kind: BlobKind, id: BlobId) -> Result<Option<Vec<u8>>> {
        let stored = self.own().map.get(kind, id);
        match stored {
            Some(location) => self.inner.blob_at(location).await.map(Some),
            None => self.read_open(kind, id),
        }
    }

    fn read_open(&self, kind: BlobKind, id: BlobId) -> Result<Option<Vec<u8>>> {
        let open = self.open();
        let found = open
            .all(kind)
            .find_map(|pack| pack.read(&self.inner.key, id));
        found
            .transpose()
            .map_err(|problem| Error::damaged(kind.subject(id), problem))
    }

    fn open(&self) -> MutexGuard<'_, OpenPacks> {
        self.open
            .lock()
            .expect("nobody panics while holding the open packs")
    }

    fn relied_on(&self) -> MutexGuard<'_, Option<Vec<(BlobKind, BlobId)>>> {
        self.relied_on
            .lock()
            .expect("nobody panics while holding the list of blobs relied on")
    }

    fn own(&self) -> MutexGuard<'_, OwnBlobs> {
        self.own
            .lock()
            .expect("nobody panics while holding the list of own blobs")
    }
}

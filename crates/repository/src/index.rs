//! Where blobs are: the repository's index files, read only as far as needed.
//!
//! Index files never change, so those that were read once are in the cache, if there is one, and are looked up there a block at a time. What
//! the cache does not know, a run that changes a few items seeks among directories and state. These are listed in index files of their own,
//! which are small beside those for content, so the files are read smallest first and only until the blob sought has been found. When an index
//! file that was relied on is gone, somebody has pruned, and what it told is forgotten.

use std::{
    collections::HashSet,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::sync::Mutex;

use crate::{
    blob::BlobKind,
    blob_map::{BlobMap, Location},
    cache::{Cache, CachedIndex},
    crypto::Key,
    error::{Error, Problem, Result, Subject},
    id::{BlobId, ObjectId},
    index_file::IndexFile,
    repository::blocking,
    sealed_file,
    storage::{Listed, ObjectKind, Storage},
};

/// After so many searches in the cache all of it is loaded: a search reads a block of many of the files, some 5 µs each, and loading a
/// million blobs takes about as long as this.
const MAX_SEARCHES: u32 = 20_000;

/// The index of a repository. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Index(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cache: Option<Cache>,
    /// The files that are listed and unknown, largest first, so that the smallest is popped. Held while listing or reading, so that no file
    /// is read twice.
    unread: Mutex<Vec<Listed>>,
    /// Whether [`Self::unread`] tells what is unknown.
    is_listed: AtomicBool,
    searches: AtomicU32,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// The files whose blobs are known.
    files: HashSet<ObjectId>,
    /// Those of them that are looked up in the cache, smallest first.
    cached: Vec<Arc<CachedIndex>>,
    /// The blobs of all others.
    blobs: BlobMap,
    /// Whether everything is to be held in memory.
    is_loaded: bool,
    /// How often something has been forgotten.
    generation: u64,
    /// How many files there are, read or not, as far as is known.
    listed: usize,
}

impl Index {
    /// The index of which the cache, if there is one, has a part.
    pub(crate) fn new(cache: Option<Cache>) -> Self {
        let mut known = Known::default();
        for file in cache.iter().flat_map(Cache::index_files) {
            known.add_cached(file);
        }
        known.listed = known.cached.len();
        Self(Arc::new(Inner {
            cache,
            known: RwLock::new(known),
            ..Inner::default()
        }))
    }

    /// Where the blob is, reading further index files if need be.
    pub(crate) async fn find(
        &self,
        storage: &Storage,
        key: &Key,
        kind: BlobKind,
        id: BlobId,
    ) -> Result<Option<Location>> {
        if self.0.searches.load(Ordering::Relaxed) > MAX_SEARCHES {
            self.load().await?;
        }
        if let Some(location) = self.0.search(kind, id) {
            return Ok(Some(location));
        }
        let mut unread = self.0.unread.lock().await;
        if !self.0.is_listed.load(Ordering::Acquire) {
            self.list(storage, &mut unread).await?;
        }
        loop {
            // Somebody else may have read the right file while we waited for our turn.
            if let Some(location) = self.0.search(kind, id) {
                return Ok(Some(location));
            }
            if !self.read_next(storage, key, &mut unread).await? {
                return Ok(None);
            }
        }
    }

    /// Loads all index files, also those that have not been read yet.
    pub(crate) async fn read_all(&self, storage: &Storage, key: &Key) -> Result<()> {
        self.load().await?;
        let mut unread = self.0.unread.lock().await;
        self.list(storage, &mut unread).await?;
        while self.read_next(storage, key, &mut unread).await? {}
        Ok(())
    }

    /// Lists the index files anew and forgets what they told if one that was read is gone. Gives the [`Self::generation`].
    pub(crate) async fn refresh(&self, storage: &Storage) -> Result<u64> {
        let mut unread = self.0.unread.lock().await;
        self.list(storage, &mut unread).await?;
        Ok(self.generation())
    }

    /// A number that changes when what was known before no longer holds.
    pub(crate) fn generation(&self) -> u64 {
        self.0.known().generation
    }

    /// Whether the blob is in one of the files read so far. Blocks.
    pub(crate) fn knows(&self, kind: BlobKind, id: BlobId) -> bool {
        if self.0.searches.load(Ordering::Relaxed) > MAX_SEARCHES {
            self.0.load();
        }
        self.0.search(kind, id).is_some()
    }

    /// How many distinct blobs are loaded, and the bytes of memory that this takes.
    pub(crate) fn size(&self) -> (u64, u64) {
        let known = self.0.known();
        let (blobs, bytes) = (known.blobs.len(), known.blobs.allocated_bytes());
        (blobs as u64, bytes as u64)
    }

    /// How many index files there are, by the last listing and what was written since.
    pub(crate) fn file_count(&self) -> usize {
        self.0.known().listed
    }

    /// Puts an index file that we have just written into the cache, if there is one. Blocks.
    pub(crate) fn keep(&self, id: ObjectId, file: &IndexFile) -> Option<CachedIndex> {
        self.0.cache.as_ref()?.keep_index_file(id, file)
    }

    /// Takes in index files that we have just written: their ids, what [`keep`](Self::keep) gave for them, and what they list together.
    pub(crate) fn adopt(
        &self,
        files: Vec<(ObjectId, Option<CachedIndex>)>,
        blobs: BlobMap,
    ) -> Result<(), Problem> {
        let mut known = self.0.known_mut();
        known.listed += files.len();
        if known.is_loaded || files.iter().any(|(_, cached)| cached.is_none()) {
            known.files.extend(files.into_iter().map(|(id, _)| id));
            return known.blobs.extend(blobs);
        }
        for cached in files.into_iter().filter_map(|(_, cached)| cached) {
            known.add_cached(cached);
        }
        Ok(())
    }

    async fn list(&self, storage: &Storage, unread: &mut Vec<Listed>) -> Result<()> {
        let mut files = storage.list(ObjectKind::Index).await?;
        let present: HashSet<ObjectId> = files.iter().map(|file| file.id).collect();
        let first = !self.0.is_listed.swap(true, Ordering::AcqRel);
        let pruned = {
            let mut known = self.0.known_mut();
            known.listed = files.len();
            let pruned = !known.files.is_subset(&present);
            if pruned {
                known.forget_all_but(&present);
            }
            files.retain(|file| !known.files.contains(&file.id));
            pruned
        };
        files.sort_by_key(|file| std::cmp::Reverse(file.size_bytes));
        *unread = files;
        if let Some(cache) = self.0.cache.clone().filter(|_| first || pruned) {
            blocking(move || cache.retain_index_files(|id| present.contains(&id))).await?;
        }
        Ok(())
    }

    /// Reads the smallest unread file; false when there is none.
    async fn read_next(
        &self,
        storage: &Storage,
        key: &Key,
        unread: &mut Vec<Listed>,
    ) -> Result<bool> {
        let Some(file) = unread.pop() else {
            return Ok(false);
        };
        let subject = Subject::Object(ObjectKind::Index, file.id);
        match storage.get(ObjectKind::Index, file.id).await {
            Ok(sealed) => {
                let (inner, key) = (Arc::clone(&self.0), key.clone());
                let added =
                    blocking(move || inner.add(file.id, &sealed_file::decode(&key, &sealed)?));
                added
                    .await?
                    .map_err(|problem| Error::damaged(subject, problem))?;
            }
            Err(Error::Damaged {
                problem: Problem::Missing,
                ..
            }) => {
                // Pruned since it was listed, unless it is listed again.
                self.list(storage, unread).await?;
                if unread.iter().any(|listed| listed.id == file.id) {
                    return Err(Error::damaged(subject, Problem::Missing));
                }
            }
            Err(error) => {
                unread.push(file);
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Loads what is in the cache.
    async fn load(&self) -> Result<()> {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.load()).await
    }
}

impl Inner {
    /// Where the blob is, by what is known.
    fn search(&self, kind: BlobKind, id: BlobId) -> Option<Location> {
        let broken = {
            let known = self.known();
            if let Some(location) = known.blobs.get(kind, id) {
                return Some(location);
            }
            if known.cached.is_empty() {
                return None;
            }
            self.searches.fetch_add(1, Ordering::Relaxed);
            let mut broken = Vec::new();
            for file in &known.cached {
                match file.find(kind, id) {
                    Ok(None) => {}
                    Ok(found) => return found,
                    Err(_) => broken.push(file.id),
                }
            }
            broken
        };
        self.drop_broken(&broken);
        None
    }

    fn add(&self, id: ObjectId, file: &IndexFile) -> Result<(), Problem> {
        let cached = self
            .cache
            .as_ref()
            .and_then(|cache| cache.keep_index_file(id, file));
        let mut known = self.known_mut();
        if let Some(cached) = cached.filter(|_| !known.is_loaded) {
            known.add_cached(cached);
            return Ok(());
        }
        let packs: Vec<ObjectId> = file.packs.iter().map(|pack| pack.id).collect();
        known.blobs.add_packs_with(&packs, file.blobs()?)?;
        known.files.insert(id);
        Ok(())
    }

    /// Loads what is in the cache, and lets everything that is read from now on be held in memory.
    fn load(&self) {
        let mut known = self.known_mut();
        known.is_loaded = true;
        self.searches.store(0, Ordering::Relaxed);
        let mut broken = Vec::new();
        for file in std::mem::take(&mut known.cached) {
            if file.load(&mut known.blobs).is_err() {
                broken.push(file.id);
            }
        }
        drop(known);
        self.drop_broken(&broken);
    }

    /// Forgets files whose copies in the cache cannot be read, so that they are read from the storage.
    fn drop_broken(&self, broken: &[ObjectId]) {
        if broken.is_empty() {
            return;
        }
        let mut known = self.known_mut();
        known.cached.retain(|file| !broken.contains(&file.id));
        for id in broken {
            known.files.remove(id);
            if let Some(cache) = &self.cache {
                cache.remove_index_file(*id);
            }
        }
        self.is_listed.store(false, Ordering::Release);
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add_cached(&mut self, file: CachedIndex) {
        if self.files.insert(file.id) {
            let at = self
                .cached
                .partition_point(|other| other.blob_count() < file.blob_count());
            self.cached.insert(at, Arc::new(file));
        }
    }

    fn forget_all_but(&mut self, present: &HashSet<ObjectId>) {
        self.cached.retain(|file| present.contains(&file.id));
        self.files = self.cached.iter().map(|file| file.id).collect();
        self.blobs = BlobMap::default();
        self.is_loaded = false;
        self.generation += 1;
    }
}

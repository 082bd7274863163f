//! Where blobs are: the repository's index files, read only as far as needed.
//!
//! A run that changes a few items looks for directories and state only. These are listed in index files of their own, which are small beside
//! those for content, so the files are read smallest first and only until the blob sought has been found. Index files never change; when one
//! that was read is gone, somebody has pruned, and everything known is forgotten.

use std::{
    collections::HashSet,
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::sync::Mutex;

use crate::{
    blob::BlobKind,
    blob_map::{BlobMap, Location},
    crypto::Key,
    error::{Error, Problem, Result, Subject},
    id::{BlobId, ObjectId},
    index_file::IndexFile,
    sealed_file,
    storage::{Listed, ObjectKind, Storage},
};

/// The index of a repository.
#[derive(Default)]
pub(crate) struct Index {
    /// Held while listing or reading, so that no file is read twice.
    unread: Mutex<Unread>,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Unread {
    listed: bool,
    /// Largest first, so that the smallest is popped.
    files: Vec<Listed>,
}

#[derive(Default)]
struct Known {
    files: HashSet<ObjectId>,
    blobs: BlobMap,
    /// How often everything has been forgotten.
    generation: u64,
    /// How many files there are, read or not, as far as is known.
    listed: usize,
}

impl Index {
    /// Where the blob is, reading further index files if need be.
    pub(crate) async fn find(
        &self,
        storage: &Storage,
        key: &Key,
        kind: BlobKind,
        id: BlobId,
    ) -> Result<Option<Location>> {
        if let Some(location) = self.known().blobs.get(kind, id) {
            return Ok(Some(location));
        }
        let mut unread = self.unread.lock().await;
        if !unread.listed {
            self.list(storage, &mut unread).await?;
        }
        loop {
            // Somebody else may have read the right file while we waited for our turn.
            if let Some(location) = self.known().blobs.get(kind, id) {
                return Ok(Some(location));
            }
            if !self.read_next(storage, key, &mut unread).await? {
                return Ok(None);
            }
        }
    }

    /// Reads all index files that have not been read yet.
    pub(crate) async fn read_all(&self, storage: &Storage, key: &Key) -> Result<()> {
        let mut unread = self.unread.lock().await;
        self.list(storage, &mut unread).await?;
        while self.read_next(storage, key, &mut unread).await? {}
        Ok(())
    }

    /// Lists the index files anew and forgets everything if one that was read is gone. Gives the [`Self::generation`].
    pub(crate) async fn refresh(&self, storage: &Storage) -> Result<u64> {
        let mut unread = self.unread.lock().await;
        self.list(storage, &mut unread).await?;
        Ok(self.generation())
    }

    /// A number that changes when what was known before no longer holds.
    pub(crate) fn generation(&self) -> u64 {
        self.known().generation
    }

    /// Whether the blob is in one of the files read so far.
    pub(crate) fn knows(&self, kind: BlobKind, id: BlobId) -> bool {
        self.known().blobs.contains(kind, id)
    }

    /// How many distinct blobs the files read so far list, and the bytes of memory that this takes.
    pub(crate) fn size(&self) -> (u64, u64) {
        let known = self.known();
        let (blobs, bytes) = (known.blobs.len(), known.blobs.allocated_bytes());
        (blobs as u64, bytes as u64)
    }

    /// How many index files there are, by the last listing and what was written since.
    pub(crate) fn file_count(&self) -> usize {
        self.known().listed
    }

    /// Takes in index files that we have just written, and what they list.
    pub(crate) fn adopt(&self, files: Vec<ObjectId>, blobs: BlobMap) -> Result<(), Problem> {
        let mut known = self.known_mut();
        known.listed += files.len();
        known.files.extend(files);
        known.blobs.extend(blobs)
    }

    fn add(&self, id: ObjectId, file: &IndexFile) -> Result<(), Problem> {
        let mut known = self.known_mut();
        for pack in &file.packs {
            let entries = pack.entries().collect::<Result<Vec<_>, _>>()?;
            known.blobs.add_pack(pack.id, entries)?;
        }
        known.files.insert(id);
        Ok(())
    }

    async fn list(&self, storage: &Storage, unread: &mut Unread) -> Result<()> {
        let mut files = storage.list(ObjectKind::Index).await?;
        let mut known = self.known_mut();
        let present = files
            .iter()
            .filter(|file| known.files.contains(&file.id))
            .count();
        if present < known.files.len() {
            *known = Known {
                generation: known.generation + 1,
                ..Known::default()
            };
        }
        known.listed = files.len();
        files.retain(|file| !known.files.contains(&file.id));
        files.sort_by_key(|file| std::cmp::Reverse(file.size_bytes));
        unread.files = files;
        unread.listed = true;
        Ok(())
    }

    /// Reads the smallest unread file; false when there is none.
    async fn read_next(&self, storage: &Storage, key: &Key, unread: &mut Unread) -> Result<bool> {
        let Some(file) = unread.files.pop() else {
            return Ok(false);
        };
        let subject = Subject::Object(ObjectKind::Index, file.id);
        match storage.get(ObjectKind::Index, file.id).await {
            Ok(sealed) => {
                let decoded = sealed_file::decode::<IndexFile>(key, &sealed);
                decoded
                    .and_then(|index| self.add(file.id, &index))
                    .map_err(|problem| Error::damaged(subject, problem))?;
            }
            Err(Error::Damaged {
                problem: Problem::Missing,
                ..
            }) => {
                // Pruned since it was listed, unless it is listed again.
                self.list(storage, unread).await?;
                if unread.files.iter().any(|listed| listed.id == file.id) {
                    return Err(Error::damaged(subject, Problem::Missing));
                }
            }
            Err(error) => {
                unread.files.push(file);
                return Err(error);
            }
        }
        Ok(true)
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known
            .read()
            .expect("nobody panics while holding the index")
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known
            .write()
            .expect("nobody panics while holding the index")
    }
}

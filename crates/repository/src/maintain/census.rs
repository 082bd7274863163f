//! What a repository holds and what of it is needed: all that a prune decides by.
//!
//! Of a blob that is stored more than once one copy counts, and it is in a pack that is not doomed if there is such a copy. Every directory is
//! read once for all snapshots. If anything that a snapshot needs cannot be read or found, nothing can be decided.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    pin::pin,
};

use futures_util::{StreamExt, TryStreamExt, stream::FuturesUnordered};

use super::doomed::Doomed;
use crate::{
    blob::BlobKind,
    blob_map::{BlobMap, Location},
    draft::Purpose,
    error::{Error, Problem, Result, Subject},
    id::{BlobId, ObjectId, SnapshotId},
    index_file::{IndexFile, IndexedPack},
    maintain::plan::PackUse,
    repository::{READS_AT_ONCE, Repository},
    storage::{Listed, ObjectKind},
    tree::Tree,
};

/// See the module's text.
#[derive(Default)]
pub(super) struct Census {
    /// Those that are needed are marked.
    pub(super) blobs: BlobMap,
    /// All packs that are stored or listed.
    pub(super) packs: BTreeMap<ObjectId, Pack>,
    pub(super) index_files: BTreeMap<ObjectId, IndexFileUse>,
    pub(super) snapshots: HashSet<SnapshotId>,
}

/// A pack, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pack {
    /// Nothing when it is not there.
    pub(super) stored_bytes: Option<u64>,
    /// Nothing when no index file lists it.
    pub(super) purpose: Option<Purpose>,
}

/// An index file, without the blobs.
#[derive(Clone, Debug)]
pub(super) struct IndexFileUse {
    pub(super) blobs: usize,
    /// Whether it lists directories, and so is one of those that are read first.
    pub(super) state: bool,
    pub(super) packs: Vec<ObjectId>,
}

/// Live bytes and blobs of a pack.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Live {
    pub(super) bytes: u64,
    pub(super) blobs: u64,
}

impl Census {
    /// Takes stock of everything. Listings are made in the order in which things are deleted, so that whatever a snapshot in the first listing
    /// needs is in the later ones, also while others write.
    pub(super) async fn take(repository: &Repository, doomed: &Doomed) -> Result<Self> {
        let mut census = Self::default();
        let snapshots = repository.0.storage.list(ObjectKind::Snapshot).await?;
        let mut with_doomed = Vec::new();
        for listed in repository.0.storage.list(ObjectKind::Index).await? {
            let file = read_index_file(repository, listed.id).await?;
            census.add_file(listed.id, &file);
            let (last, first): (Vec<_>, Vec<_>) =
                (file.packs.iter()).partition(|pack| doomed.contains(pack.id));
            for pack in first {
                census.add_blobs(listed.id, pack, false)?;
            }
            with_doomed.extend((!last.is_empty()).then_some(listed.id));
        }
        for id in with_doomed {
            let file = read_index_file(repository, id).await?;
            let packs = file.packs.iter().filter(|pack| doomed.contains(pack.id));
            for pack in packs {
                census.add_blobs(id, pack, true)?;
            }
        }
        census.add_packs(repository).await?;
        census.mark_snapshots(repository, snapshots).await?;
        Ok(census)
    }

    /// Takes in what was added since, under an exclusive lock. Errors with [`Error::Pruned`] when somebody has deleted index files.
    pub(super) async fn catch_up(&mut self, repository: &Repository) -> Result<()> {
        let listed = repository.0.storage.list(ObjectKind::Index).await?;
        let present: HashSet<ObjectId> = listed.iter().map(|listed| listed.id).collect();
        if self.index_files.keys().any(|id| !present.contains(id)) {
            return Err(Error::Pruned);
        }
        for listed in listed {
            if !self.index_files.contains_key(&listed.id) {
                let file = read_index_file(repository, listed.id).await?;
                self.add_file(listed.id, &file);
                for pack in &file.packs {
                    // The copy that counted does still.
                    self.add_blobs(listed.id, pack, true)?;
                }
            }
        }
        self.add_packs(repository).await?;
        let snapshots = repository.0.storage.list(ObjectKind::Snapshot).await?;
        self.mark_snapshots(repository, snapshots).await
    }

    /// Notes that live blobs were copied to a new pack, where they count from now on.
    pub(super) fn moved(&mut self, pack: ObjectId, entries: Vec<crate::pack::Entry>) -> Result<()> {
        let ids: Vec<_> = entries.iter().map(|entry| (entry.kind, entry.id)).collect();
        self.blobs
            .add_pack(pack, entries)
            .map_err(|_| Error::Internal("there are too many packs"))?;
        for (kind, id) in ids {
            self.blobs.mark(kind, id);
        }
        Ok(())
    }

    /// What is needed in each pack in which anything is. Errors when such a pack is not there.
    pub(super) fn live(&self) -> Result<HashMap<ObjectId, Live>> {
        let mut live: HashMap<ObjectId, Live> = HashMap::new();
        for (location, marked) in self.blobs.iter() {
            if marked {
                let pack = live.entry(location.pack).or_default();
                pack.bytes += u64::from(location.entry.length);
                pack.blobs += 1;
            }
        }
        for id in live.keys() {
            let stored = self
                .packs
                .get(id)
                .is_some_and(|pack| pack.stored_bytes.is_some());
            if !stored {
                let subject = Subject::Object(ObjectKind::Pack, *id);
                return Err(needs_repair(subject, Problem::Missing));
            }
        }
        Ok(live)
    }

    /// The stored packs that are not doomed, as the plan wants them.
    pub(super) fn uses(&self, live: &HashMap<ObjectId, Live>, doomed: &Doomed) -> Vec<PackUse> {
        let staying = self.packs.iter().filter(|(id, _)| !doomed.contains(**id));
        staying
            .filter_map(|(id, pack)| {
                let Live { bytes, blobs } = live.get(id).copied().unwrap_or_default();
                Some(PackUse {
                    id: *id,
                    purpose: pack.purpose.unwrap_or(Purpose::Content),
                    size_bytes: pack.stored_bytes?,
                    live_bytes: bytes,
                    live_blobs: blobs,
                })
            })
            .collect()
    }

    async fn add_packs(&mut self, repository: &Repository) -> Result<()> {
        for listed in repository.0.storage.list(ObjectKind::Pack).await? {
            let pack = self.packs.entry(listed.id).or_default();
            pack.stored_bytes = Some(listed.size_bytes);
        }
        Ok(())
    }

    fn add_file(&mut self, id: ObjectId, file: &IndexFile) {
        let state = file.lists_directories();
        for pack in &file.packs {
            let purpose = purpose(pack, state);
            self.packs.entry(pack.id).or_default().purpose = Some(purpose);
        }
        let known = IndexFileUse {
            blobs: file.blob_count(),
            state,
            packs: file.packs.iter().map(|pack| pack.id).collect(),
        };
        self.index_files.insert(id, known);
    }

    fn add_blobs(&mut self, file: ObjectId, pack: &IndexedPack, only_new: bool) -> Result<()> {
        let entries: Result<Vec<_>, Problem> = pack.entries().collect();
        let added = entries.and_then(|mut entries| {
            if only_new {
                entries.retain(|entry| !self.blobs.contains(entry.kind, entry.id));
            }
            self.blobs.add_pack(pack.id, entries)
        });
        let subject = Subject::Object(ObjectKind::Index, file);
        added.map_err(|problem| needs_repair(subject, problem))
    }

    /// Marks what the snapshots need that were not looked at before.
    async fn mark_snapshots(
        &mut self,
        repository: &Repository,
        mut snapshots: Vec<Listed>,
    ) -> Result<()> {
        snapshots.retain(|listed| !self.snapshots.contains(&SnapshotId::from(listed.id)));
        let mut roots = Vec::new();
        let mut read = pin!(repository.each_snapshot(snapshots));
        while let Some((id, snapshot)) = read.next().await {
            // One that was removed since it was listed needs nothing.
            if let Some(snapshot) = snapshot.map_err(into_needs_repair)? {
                roots.push(snapshot.tree);
                self.snapshots.insert(id);
            }
        }
        self.mark_directories(repository, roots).await
    }

    /// Marks directories and all below that is not marked yet.
    async fn mark_directories(
        &mut self,
        repository: &Repository,
        mut waiting: Vec<BlobId>,
    ) -> Result<()> {
        let mut reading = FuturesUnordered::new();
        loop {
            while reading.len() < READS_AT_ONCE
                && let Some(id) = waiting.pop()
            {
                if self.mark(BlobKind::Tree, id)? {
                    let location = self.blobs.get(BlobKind::Tree, id);
                    let missing = needs_repair(BlobKind::Tree.subject(id), Problem::Missing);
                    reading.push(read_tree(repository, id, location.ok_or(missing)?));
                }
            }
            let Some(tree) = reading.try_next().await? else {
                return Ok(());
            };
            for node in &tree.nodes {
                for content in node.content() {
                    self.mark(BlobKind::Content, *content)?;
                }
                waiting.extend(node.subtree());
            }
        }
    }

    fn mark(&mut self, kind: BlobKind, id: BlobId) -> Result<bool> {
        let marked = self.blobs.mark(kind, id);
        marked.ok_or(needs_repair(kind.subject(id), Problem::Missing))
    }
}

/// What a pack is for. A pack of content in a list of directories is of state, unless it is too large.
fn purpose(pack: &IndexedPack, in_state_file: bool) -> Purpose {
    if pack.lists_directories() {
        Purpose::Tree
    } else if in_state_file && pack.may_be_state() {
        Purpose::State
    } else {
        Purpose::Content
    }
}

async fn read_tree(repository: &Repository, id: BlobId, location: Location) -> Result<Tree> {
    let bytes = repository.0.blob_at(location).await;
    Tree::decode(&bytes.map_err(into_needs_repair)?)
        .map_err(|problem| needs_repair(BlobKind::Tree.subject(id), problem))
}

async fn read_index_file(repository: &Repository, id: ObjectId) -> Result<IndexFile> {
    repository
        .index_file(id)
        .await
        .map_err(|error| match error {
            Error::Damaged {
                problem: Problem::Missing,
                ..
            } => Error::Pruned,
            error => into_needs_repair(error),
        })
}

fn needs_repair(what: Subject, problem: Problem) -> Error {
    Error::NeedsRepair { what, problem }
}

/// What is damaged makes a prune impossible.
pub(super) fn into_needs_repair(error: Error) -> Error {
    match error {
        Error::Damaged { what, problem } => needs_repair(what, problem),
        error => error,
    }
}

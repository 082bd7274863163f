//! A snapshot in the making: the parent's files, and changes to them.
//!
//! Only directories that are touched are read, and only changed ones are written, so a small change costs little however much the repository
//! holds. Nothing is visible to readers before [`Draft::commit`]; a draft that is dropped or abandoned leaves at most packs that no index file
//! lists. Directories that were made only because a file was put below them disappear when they become empty; those made by
//! [`Draft::make_dir`] stay, also in later drafts.

use std::{collections::btree_map, sync::Arc};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use crate::{
    blob::BlobKind,
    chunker::Chunker,
    error::{Error, Result},
    id::{BlobId, SnapshotId},
    name::Name,
    path,
    repository::{Inner, Repository},
    sealed_file,
    snapshot::SnapshotMeta,
    storage::ObjectKind,
    tree::{Node, NodeKind},
};

mod directory;
mod open_packs;
mod own_blobs;
mod packer;
mod writer;

use directory::{Directory, Entries, Entry, Reading};
pub(crate) use open_packs::Purpose;
pub(crate) use packer::INDEX_FILE_BLOBS;
use packer::Packer;
pub use writer::{BlobWriter, Content};

/// When the open directories together have more entries, half of the directories are closed. 20,000 entries of mails measured 13 MB.
const MAX_OPEN_ENTRIES: usize = 20_000;

/// A file to be put into a draft.
#[derive(Clone, Debug)]
pub struct File {
    /// What the draft's own writer gave for it, or what an entry of the parent has as [`Node::content`] and [`Node::size`].
    pub content: Content,
    /// When it was last modified.
    pub mtime: Timestamp,
}

/// See the module's text. Paths are plain names joined by `/`; see [`is_plain`](crate::name::is_plain). A change that is begun must run to its
/// end: if its future is dropped half way, so must be the draft.
pub struct Draft {
    inner: Arc<Inner>,
    parent: Option<(SnapshotId, BlobId)>,
    root: Directory,
    reading: Reading,
    /// When the open directories have more entries than this, some are closed: [`MAX_OPEN_ENTRIES`], more for a single large directory.
    close_above: usize,
    max_open_entries: usize,
}

impl Draft {
    pub(crate) fn new(inner: Arc<Inner>, parent: Option<(SnapshotId, BlobId)>) -> Self {
        let packer = Packer::new(Arc::clone(&inner), parent.map(|(id, _)| id));
        Self {
            inner,
            parent,
            root: Directory::root(parent.map(|(_, tree)| tree)),
            reading: Reading {
                packer: Arc::new(packer),
                now: 0,
                entries: 0,
            },
            close_above: MAX_OPEN_ENTRIES,
            max_open_entries: MAX_OPEN_ENTRIES,
        }
    }

    /// What stores the content of files, from as many tasks as are useful.
    #[must_use]
    pub fn writer(&self) -> BlobWriter {
        BlobWriter::new(
            Arc::clone(&self.reading.packer),
            Chunker::new(&self.inner.key),
        )
    }

    /// Adds a file or replaces one; directories above it are made. Errors with [`Error::Taken`] when a directory is there, or a file where a
    /// directory is needed.
    pub async fn put(&mut self, path: &str, file: File) -> Result<()> {
        let (parents, name) = self.begin(path).await?;
        let entries = self.entries_for_change(&parents).await?;
        let Content { blobs, size } = file.content;
        let leaf = Entry::Leaf(Node::file(name.clone(), blobs, size, file.mtime));
        match entries.entry(name) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(leaf);
                self.reading.entries += 1;
            }
            btree_map::Entry::Occupied(mut occupied) => match occupied.get() {
                Entry::Leaf(_) => drop(occupied.insert(leaf)),
                Entry::Directory(_) => return Err(Error::Taken("a directory is there")),
            },
        }
        Ok(())
    }

    /// Makes a directory that stays when it is empty; marks one that exists so. Errors with [`Error::Taken`] when a file is there.
    pub async fn make_dir(&mut self, path: &str) -> Result<()> {
        let (parents, name) = self.begin(path).await?;
        let entries = self.entries_for_change(&parents).await?;
        match entries.entry(name) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(Entry::Directory(Directory::made(true)));
                self.reading.entries += 1;
            }
            btree_map::Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Entry::Directory(there) => there.stays = true,
                Entry::Leaf(_) => return Err(Error::Taken("a file is there")),
            },
        }
        Ok(())
    }

    /// Removes a file, or a directory with everything in it. False when nothing is there.
    pub async fn remove(&mut self, path: &str) -> Result<bool> {
        let (parents, name) = self.begin(path).await?;
        Ok(self.detach(&parents, &name).await?.is_some())
    }

    /// Moves a file, or a directory with everything in it, whatever its size. Errors with [`Error::NotFound`] when nothing is at `from`, and
    /// with [`Error::Taken`] when something is at `to` already or `to` is inside `from`.
    pub async fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let source = path::to_write(from)?;
        let target = path::to_write(to)?;
        if self.node(from).await?.is_none() {
            return Err(Error::NotFound("what is to be moved"));
        }
        if source == target {
            return Ok(());
        }
        if target.starts_with(&source) {
            return Err(Error::Taken("a directory cannot be moved into itself"));
        }
        self.check_free(&target).await?;
        let (parents, name) = self.begin(from).await?;
        let mut entry = self.detach(&parents, &name).await?;
        let (parents, name) = self.begin(to).await?;
        if let Some(Entry::Leaf(node)) = &mut entry {
            node.set_name(name.clone());
        }
        let entries = self.entries_for_change(&parents).await?;
        entries.extend(entry.map(|entry| (name, entry)));
        Ok(())
    }

    /// What is at `path`, own changes included; nothing for the root. A directory that was changed has no [`Node::subtree`] yet.
    pub async fn node(&mut self, path: &str) -> Result<Option<Node>> {
        let Some((name, parents)) = names_to_read(path).and_then(|mut names| {
            let name = names.pop()?;
            Some((name, names))
        }) else {
            return Ok(None);
        };
        let Some(entries) = self.entries(&parents).await? else {
            return Ok(None);
        };
        Ok(entries.get(&name).map(|entry| describe(&name, entry)))
    }

    /// The entries of the directory at `path`, own changes included. Errors when there is no directory.
    pub async fn list(&mut self, path: &str) -> Result<Vec<Node>> {
        let missing = Error::NotFound("the directory");
        let Some(names) = names_to_read(path) else {
            return Err(missing);
        };
        let entries = self.entries(&names).await?.ok_or(missing)?;
        let described = entries.iter().map(|(name, entry)| describe(name, entry));
        Ok(described.collect())
    }

    /// The whole content of the file at `path`, own changes included, if there is a file.
    pub async fn read_path(&mut self, path: &str) -> Result<Option<Bytes>> {
        let node = self.node(path).await?;
        let Some(file) = node.filter(|node| node.kind() == NodeKind::File) else {
            return Ok(None);
        };
        let mut whole = BytesMut::new();
        for id in file.content() {
            whole.extend_from_slice(&self.reading.packer.read(BlobKind::Content, *id).await?);
        }
        Ok(Some(whole.freeze()))
    }

    /// Makes it a snapshot, or nothing at all if no file or directory differs from the parent's. Everything handed to writers must have been
    /// stored before. Directories that the parent has lost, and that were made again as they were, are stored also without a snapshot.
    ///
    /// Errors with [`Error::Locked`] when somebody excludes us, with [`Error::Pruned`] or [`Error::LockLost`] when somebody may have removed
    /// what the snapshot needs; then, as after any error, the repository is as it was, and what was written is removed by the next prune. Only a
    /// storage that fails between the writing of the snapshot and the last look at the lock, and at taking the snapshot back, too, leaves it there.
    /// That is an error still: nobody can tell whether the lock excluded prunes until the end. The next run finds the snapshot and goes on from it.
    pub async fn commit(mut self, meta: SnapshotMeta) -> Result<Option<SnapshotId>> {
        let committed = self.try_commit(meta).await;
        let unlocked = self.reading.packer.unlock().await;
        if let Err(error) = unlocked {
            // The snapshot is what counts; a lock that stays is removed when it is stale, at the latest.
            tracing::warn!(error = %error, "a repository's lock could not be removed");
        }
        committed
    }

    /// Makes what it holds so far a snapshot, as [`commit`](Self::commit) does, and goes on from there with the lock held: for work that takes
    /// long and should not be lost. Nothing happens when no file or directory differs from the last snapshot's.
    pub async fn checkpoint(&mut self, meta: SnapshotMeta) -> Result<Option<SnapshotId>> {
        self.try_commit(meta).await
    }

    /// Gives up everything, and the lock.
    pub async fn abandon(self) -> Result<()> {
        self.reading.packer.unlock().await
    }

    async fn try_commit(&mut self, meta: SnapshotMeta) -> Result<Option<SnapshotId>> {
        let _busy = self.inner.options.clock.busy("a commit");
        let packer = Arc::clone(&self.reading.packer);
        packer.idle().await?;
        let (tree, _) = self.root.save(&packer).await?;
        let is_new = self.parent.is_none_or(|(_, parent)| parent != tree);
        if !is_new && !packer.has_new_directories() {
            return Ok(None);
        }
        packer.flush().await?;
        if !is_new {
            // The parent lacked them: they were lost, and are whole again.
            packer.publish().await?;
            return Ok(None);
        }
        let snapshot = meta.into_snapshot(self.parent.map(|(id, _)| id), tree);
        let sealed = sealed_file::encode(&self.inner.key, &self.inner.compressors, &snapshot);
        // Whoever ends between this snapshot and the next note must not leave one that speaks of an older snapshot.
        Repository(Arc::clone(&self.inner))
            .keep_note(Vec::new())
            .await?;
        packer.confirm_lock().await?;
        let storage = &self.inner.storage;
        let id = storage.put(ObjectKind::Snapshot, sealed.into()).await?;
        if let Err(error) = packer.held_lock().await {
            storage.delete(ObjectKind::Snapshot, id).await?;
            return Err(error);
        }
        packer.publish().await?;
        let id = SnapshotId::from(id);
        self.parent = Some((id, tree));
        Ok(Some(id))
    }

    /// Begins a change: the names above the last in `path`, and the last.
    async fn begin(&mut self, path: &str) -> Result<(Vec<Name>, Name)> {
        let mut names = path::to_write(path)?;
        let name = names.pop().ok_or(Error::Path("it is empty"))?;
        self.reading.now += 1;
        if self.reading.entries > self.close_above {
            self.close_half().await?;
        }
        Ok((names, name))
    }

    /// Closes the half of the open directories that was used the longest time ago.
    async fn close_half(&mut self) -> Result<()> {
        let mut uses = Vec::new();
        self.root.uses(&mut uses);
        uses.sort_unstable();
        let cutoff = uses.get(uses.len() / 2).copied().unwrap_or(0);
        let packer = Arc::clone(&self.reading.packer);
        self.reading.entries = self.root.close_unused(&packer, cutoff).await?;
        // A single directory may be larger than the bound; then it is not tried again for each file.
        self.close_above = self.max_open_entries.max(self.reading.entries * 2);
        Ok(())
    }

    /// The entries of the directory with these names, made where it is missing, and marked as changed.
    async fn entries_for_change(&mut self, names: &[Name]) -> Result<&mut Entries> {
        let mut directory = &mut self.root;
        for name in names {
            let entries = directory.entries_for_change(&mut self.reading).await?;
            let entry = entries
                .entry(name.clone())
                .or_insert_with(|| Entry::Directory(Directory::made(false)));
            match entry {
                Entry::Directory(below) => directory = below,
                Entry::Leaf(_) => {
                    return Err(Error::Taken("a file is where a directory is needed"));
                }
            }
        }
        directory.entries_for_change(&mut self.reading).await
    }

    /// The entries of the directory with these names, if there is one.
    async fn entries(&mut self, names: &[Name]) -> Result<Option<&mut Entries>> {
        let mut directory = &mut self.root;
        for name in names {
            let entries = directory.entries(&mut self.reading).await?;
            match entries.get_mut(name) {
                Some(Entry::Directory(below)) => directory = below,
                _ => return Ok(None),
            }
        }
        directory.entries(&mut self.reading).await.map(Some)
    }

    /// Takes an entry out, and with it the directories above that are then empty and need not stay.
    async fn detach(&mut self, parents: &[Name], name: &Name) -> Result<Option<Entry>> {
        let Some(entries) = self.entries(parents).await? else {
            return Ok(None);
        };
        let Some(entry) = entries.remove(name) else {
            return Ok(None);
        };
        self.entries_for_change(parents).await?;
        for depth in (0..parents.len()).rev() {
            let (above, below) = (&parents[..depth], &parents[depth]);
            let entries = self.entries_for_change(above).await?;
            match entries.get(below) {
                Some(Entry::Directory(empty)) if empty.is_known_empty() && !empty.stays => {
                    entries.remove(below);
                }
                _ => break,
            }
        }
        Ok(Some(entry))
    }

    /// Errors unless nothing is at the path and a file or directory could be put there.
    async fn check_free(&mut self, names: &[Name]) -> Result<()> {
        let mut directory = &mut self.root;
        for (at, name) in names.iter().enumerate() {
            let entries = directory.entries(&mut self.reading).await?;
            match entries.get_mut(name) {
                None => return Ok(()),
                Some(Entry::Directory(below)) if at + 1 < names.len() => directory = below,
                Some(_) => return Err(Error::Taken("something is there")),
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("parent", &self.parent)
            .finish_non_exhaustive()
    }
}

/// The names in a path, unless one of them can be in no draft's reach.
fn names_to_read(path: &str) -> Option<Vec<Name>> {
    let names = path::to_read(path).map(|name| Name::plain(name).ok());
    names.collect()
}

fn describe(name: &Name, entry: &Entry) -> Node {
    match entry {
        Entry::Leaf(node) => node.clone(),
        Entry::Directory(directory) => directory.describe(name),
    }
}

#[cfg(test)]
mod tests;

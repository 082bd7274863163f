//! A directory that can be changed, read only when it is touched.
//!
//! A directory that nobody touched is known by the entry that its parent has for it. One that was touched is open: its entries are in memory,
//! and if they were changed, so are marked all directories above it. [`Directory::save`] stores the changed ones, [`Directory::close_unused`]
//! lets go of those not used lately.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::{open_packs::Purpose, packer::Packer};
use crate::{
    blob::BlobKind,
    error::{Error, Result},
    id::BlobId,
    name::Name,
    tree::{Node, Tree},
};

/// A directory of a draft.
pub(super) struct Directory {
    /// Its listing as stored last; nothing if it was made in this draft and not stored yet.
    pub(super) base: Option<BlobId>,
    /// Its entry in its parent, as of `base`. The root has none.
    node: Option<Node>,
    /// Whether it stays when it becomes empty.
    pub(super) stays: bool,
    open: Option<Open>,
}

/// What is in a directory, in the order in which it is stored.
pub(super) type Entries = BTreeMap<Name, Entry>;

struct Open {
    entries: Entries,
    changed: bool,
    /// When it was used last, by the count of operations.
    used: u64,
}

/// What a directory contains.
pub(super) enum Entry {
    /// A file, or something that restic stored.
    Leaf(Node),
    /// A directory.
    Directory(Directory),
}

/// Where open directories come from and how many entries they have.
pub(super) struct Reading {
    pub(super) packer: Arc<Packer>,
    /// Counts operations.
    pub(super) now: u64,
    /// Entries in open directories.
    pub(super) entries: usize,
}

impl Directory {
    /// The root, with this listing or empty.
    pub(super) fn root(base: Option<BlobId>) -> Self {
        let made = Self::made(true);
        match base {
            Some(_) => Self {
                base,
                open: None,
                ..made
            },
            None => made,
        }
    }

    /// A new, empty one.
    pub(super) fn made(stays: bool) -> Self {
        Self {
            base: None,
            node: None,
            stays,
            open: Some(Open {
                entries: BTreeMap::new(),
                changed: true,
                used: 0,
            }),
        }
    }

    fn stored(node: Node) -> Self {
        Self {
            base: node.subtree(),
            stays: node.stays(),
            node: Some(node),
            open: None,
        }
    }

    /// Its entries, read if they have not been.
    pub(super) async fn entries(&mut self, reading: &mut Reading) -> Result<&mut Entries> {
        let open = match self.open.take() {
            Some(open) => open,
            None => read(self.base, reading).await?,
        };
        let open = self.open.insert(open);
        open.used = reading.now;
        Ok(&mut open.entries)
    }

    /// Its entries, of which one, or something below one, is about to be changed.
    pub(super) async fn entries_for_change(
        &mut self,
        reading: &mut Reading,
    ) -> Result<&mut Entries> {
        self.entries(reading).await?;
        let open = self.open.as_mut();
        let open = open.ok_or(Error::Internal("a directory was not opened"))?;
        open.changed = true;
        Ok(&mut open.entries)
    }

    /// Whether it is open and has no entries.
    pub(super) fn is_known_empty(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| open.entries.is_empty())
    }

    /// Its entry as it would be in its parent under this name. Until what was changed is stored it has no listing.
    pub(super) fn describe(&self, name: &Name) -> Node {
        match &self.node {
            Some(node) if !self.is_changed() => {
                let mut node = node.clone();
                node.set_name(name.clone());
                node.set_stays(self.stays);
                node
            }
            _ => Node::directory(name.clone(), None, self.stays, self.newest()),
        }
    }

    /// Stores what was changed in and below it, and gives its listing and the time of the newest thing in it.
    pub(super) fn save<'a>(
        &'a mut self,
        packer: &'a Arc<Packer>,
    ) -> BoxFuture<'a, Result<(BlobId, Timestamp)>> {
        Box::pin(async move {
            let Some(open) = self.open.as_mut().filter(|open| open.changed) else {
                let base = self
                    .base
                    .ok_or(Error::Internal("a directory has no listing"))?;
                return Ok((base, self.newest()));
            };
            for (name, entry) in &mut open.entries {
                if let Entry::Directory(directory) = entry {
                    directory.settle(name, packer).await?;
                }
            }
            let nodes: Vec<&Node> = open.entries.values().filter_map(Entry::node).collect();
            let listing = Tree::encode(&nodes);
            let id = packer.store(Purpose::Tree, listing.into()).await?;
            open.changed = false;
            self.base = Some(id);
            Ok((id, self.newest()))
        })
    }

    /// Makes [`Self::node`] what its parent is to store.
    async fn settle(&mut self, name: &Name, packer: &Arc<Packer>) -> Result<()> {
        if self.is_changed() {
            let (id, newest) = self.save(packer).await?;
            self.node = Some(Node::directory(name.clone(), Some(id), self.stays, newest));
        } else if let Some(node) = &mut self.node {
            node.set_name(name.clone());
            node.set_stays(self.stays);
        }
        Ok(())
    }

    /// Closes the directories below it that were not used since `cutoff`, after storing what was changed in them. Gives the number of entries
    /// that stay in memory.
    pub(super) fn close_unused<'a>(
        &'a mut self,
        packer: &'a Arc<Packer>,
        cutoff: u64,
    ) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let Some(open) = &mut self.open else {
                return Ok(0);
            };
            let mut total = open.entries.len();
            for (name, entry) in &mut open.entries {
                let Entry::Directory(directory) = entry else {
                    continue;
                };
                let kept = directory.close_unused(packer, cutoff).await?;
                if directory.is_idle_since(cutoff) {
                    directory.settle(name, packer).await?;
                    directory.open = None;
                } else {
                    total += kept;
                }
            }
            Ok(total)
        })
    }

    /// Whether it is open, and neither was used since `cutoff` nor has open directories in it.
    fn is_idle_since(&self, cutoff: u64) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let mut entries = open.entries.values();
            open.used <= cutoff
                && entries
                    .all(|entry| !matches!(entry, Entry::Directory(below) if below.open.is_some()))
        })
    }

    fn is_changed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.changed)
    }

    /// The time of the newest thing in it; the epoch if it is empty.
    fn newest(&self) -> Timestamp {
        let newest = match &self.open {
            Some(open) => open.entries.values().filter_map(Entry::modified).max(),
            None => self.node.as_ref().and_then(Node::modified),
        };
        newest.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The times of use of all open directories in and below it.
    pub(super) fn uses(&self, uses: &mut Vec<u64>) {
        if let Some(open) = &self.open {
            uses.push(open.used);
            for entry in open.entries.values() {
                if let Entry::Directory(directory) = entry {
                    directory.uses(uses);
                }
            }
        }
    }
}

impl Entry {
    /// The entry as it was stored last.
    fn node(&self) -> Option<&Node> {
        match self {
            Self::Leaf(node) => Some(node),
            Self::Directory(directory) => directory.node.as_ref(),
        }
    }

    fn modified(&self) -> Option<Timestamp> {
        match self {
            Self::Leaf(node) => node.modified(),
            Self::Directory(directory) => Some(directory.newest()),
        }
    }
}

async fn read(base: Option<BlobId>, reading: &mut Reading) -> Result<Open> {
    let id = base.ok_or(Error::Internal("a directory has no listing"))?;
    let listing = reading.packer.read(BlobKind::Tree, id).await?;
    let tree = Tree::decode(&listing)
        .map_err(|problem| Error::damaged(BlobKind::Tree.subject(id), problem))?;
    reading.entries += tree.nodes.len();
    let entries = tree.nodes.into_iter().map(|node| {
        let name = node.stored_name().clone();
        let entry = if node.subtree().is_some() {
            Entry::Directory(Directory::stored(node))
        } else {
            Entry::Leaf(node)
        };
        (name, entry)
    });
    Ok(Open {
        entries: entries.collect(),
        changed: false,
        used: reading.now,
    })
}

//! The packs that a draft is filling, kept apart by what their blobs are for.

use rand::RngExt;

use crate::{
    blob::{BlobKind, SealedBlob},
    pack::{MAX_BLOBS, PackBuilder},
};

/// A pack of content is stored when it has grown to this, as restic does by default.
const CONTENT_PACK_BYTES: usize = 16 << 20;
/// Packs of directories and state are smaller: a run reads parts of many of them.
const STATE_PACK_BYTES: usize = 4 << 20;
/// Content goes to one of so many open packs at random, so that neighbours in a pack tell less of the order in which it came.
const OPEN_CONTENT_PACKS: usize = 2;

/// What a blob is for, and thus which packs and index files it goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// What is backed up.
    Content,
    /// Files about the backup itself, which every run reads.
    State,
    /// Directories.
    Tree,
}

impl Purpose {
    pub(crate) fn kind(self) -> BlobKind {
        match self {
            Self::Content | Self::State => BlobKind::Content,
            Self::Tree => BlobKind::Tree,
        }
    }

    /// Whether later runs are likely to read it.
    pub(super) fn is_read_again(self) -> bool {
        self != Self::Content
    }

    /// A pack is stored when it has grown to this.
    pub(crate) fn pack_bytes(self) -> usize {
        match self {
            Self::Content => CONTENT_PACK_BYTES,
            Self::State | Self::Tree => STATE_PACK_BYTES,
        }
    }
}

pub(super) struct OpenPacks {
    content: [PackBuilder; OPEN_CONTENT_PACKS],
    state: PackBuilder,
    tree: PackBuilder,
}

impl Default for OpenPacks {
    fn default() -> Self {
        Self {
            content: std::array::from_fn(|_| PackBuilder::new(BlobKind::Content)),
            state: PackBuilder::new(BlobKind::Content),
            tree: PackBuilder::new(BlobKind::Tree),
        }
    }
}

impl OpenPacks {
    /// Puts the blob into a pack; gives the pack if that made it full.
    pub(super) fn add(&mut self, purpose: Purpose, blob: SealedBlob<'_>) -> Option<PackBuilder> {
        let pack = match purpose {
            Purpose::Content => &mut self.content[rand::rng().random_range(..OPEN_CONTENT_PACKS)],
            Purpose::State => &mut self.state,
            Purpose::Tree => &mut self.tree,
        };
        pack.add(blob);
        let full = pack.size_bytes() >= purpose.pack_bytes() || pack.blob_count() >= MAX_BLOBS;
        full.then(|| std::mem::replace(pack, PackBuilder::new(purpose.kind())))
    }

    /// The packs for blobs of this kind.
    pub(super) fn all(&self, kind: BlobKind) -> impl Iterator<Item = &PackBuilder> {
        let (content, tree): (&[PackBuilder], _) = match kind {
            BlobKind::Content => (&self.content, &self.state),
            BlobKind::Tree => (&[], &self.tree),
        };
        content.iter().chain([tree])
    }

    /// What is left at the end, in as few packs as it fits. A little content joins the state: then a small change makes one pack less, and
    /// needs no index file for content alone.
    pub(super) fn merged(self) -> Vec<(Purpose, PackBuilder)> {
        let mut packs: Vec<(Purpose, PackBuilder)> = Vec::new();
        for pack in self.content {
            match packs.last_mut() {
                Some((_, last)) if fit(last, &pack, CONTENT_PACK_BYTES) => last.append(&pack),
                _ => packs.push((Purpose::Content, pack)),
            }
        }
        match packs.as_mut_slice() {
            [(purpose, only)] if fit(only, &self.state, STATE_PACK_BYTES) => {
                only.append(&self.state);
                *purpose = Purpose::State;
            }
            _ => packs.push((Purpose::State, self.state)),
        }
        packs.push((Purpose::Tree, self.tree));
        packs.retain(|(_, pack)| !pack.is_empty());
        packs
    }
}

fn fit(a: &PackBuilder, b: &PackBuilder, bytes: usize) -> bool {
    a.size_bytes() + b.size_bytes() <= bytes && a.blob_count() + b.blob_count() <= MAX_BLOBS
}

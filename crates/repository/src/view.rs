//! The read side: the files under a root directory.
//!
//! Nothing is handed out that does not have the hash by which it is stored; what is damaged is an error, never other bytes.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};

use crate::{
    blob::BlobKind,
    cache::Cache,
    error::{Error, Result},
    id::BlobId,
    path,
    repository::{Inner, blocking},
    tree::{Node, Tree},
};

mod walk;

pub use walk::{Walk, Walked};

/// A root directory of a repository, and all below. Clones share caches.
#[derive(Clone)]
pub struct View {
    inner: Arc<Inner>,
    root: BlobId,
}

impl View {
    pub(crate) fn new(inner: Arc<Inner>, root: BlobId) -> Self {
        Self { inner, root }
    }

    /// What is at `path`; nothing for the root itself, which has no entry.
    pub async fn node(&self, path: &str) -> Result<Option<Node>> {
        let mut names: Vec<&str> = path::to_read(path).collect();
        let Some(last) = names.pop() else {
            return Ok(None);
        };
        let directory = self.directory(names.into_iter()).await?;
        Ok(directory.and_then(|tree| tree.find(last).cloned()))
    }

    /// The entries of the directory at `path`, by the bytes of their names. Errors when there is no directory.
    pub async fn list(&self, path: &str) -> Result<Vec<Node>> {
        let directory = self.directory(path::to_read(path)).await?;
        let directory = directory.ok_or(Error::NotFound("the directory"))?;
        Ok(directory.nodes.clone())
    }

    /// A file's whole content, in memory: for large files use [`View::read_range`] or [`View::blob`].
    pub async fn read(&self, file: &Node) -> Result<Bytes> {
        match file.content() {
            [] => Ok(Bytes::new()),
            [one] => self.blob(*one).await,
            many => {
                let mut whole = BytesMut::new();
                for id in many {
                    whole.extend_from_slice(&self.blob(*id).await?);
                }
                Ok(whole.freeze())
            }
        }
    }

    /// As [`read`](Self::read), by way of the local cache: for a file of state that is likely to be read again.
    pub async fn read_kept(&self, file: &Node) -> Result<Bytes> {
        match file.content() {
            [one] => {
                let kept = self.inner.blob_by_cache(BlobKind::Content, *one).await?;
                Ok(kept.into())
            }
            _ => self.read(file).await,
        }
    }

    /// A part of a file's content; less than asked for only at its end.
    pub async fn read_range(&self, file: &Node, range: Range<u64>) -> Result<Bytes> {
        let mut part = BytesMut::new();
        let mut start = 0;
        for id in file.content() {
            if start >= range.end {
                break;
            }
            let length = self.inner.content_length(*id).await?;
            let end = start + length;
            if end > range.start {
                let blob = self.blob(*id).await?;
                let from = range.start.saturating_sub(start).min(length) as usize;
                let to = (range.end - start).min(length) as usize;
                part.extend_from_slice(&blob[from..to.max(from)]);
            }
            start = end;
        }
        Ok(part.freeze())
    }

    /// One blob of a file's [`Node::content`]: at most 8 MiB if we wrote it.
    pub async fn blob(&self, id: BlobId) -> Result<Bytes> {
        self.inner
            .blob(BlobKind::Content, id)
            .await
            .map(Bytes::from)
    }

    /// The whole content of the file at `path`, if there is a file.
    pub async fn read_path(&self, path: &str) -> Result<Option<Bytes>> {
        match self.node(path).await? {
            Some(node) if !node.is_directory() => self.read(&node).await.map(Some),
            _ => Ok(None),
        }
    }

    /// What [`keep_summary`](Self::keep_summary) was given for the directory at `path`, as it is now, if the local cache still has it.
    pub async fn summary(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.cached(path).await? {
            Some((cache, id)) => blocking(move || cache.summary(id)).await,
            None => Ok(None),
        }
    }

    /// Whether [`summary`](Self::summary) has something. It counts as used.
    pub async fn has_summary(&self, path: &str) -> Result<bool> {
        match self.cached(path).await? {
            Some((cache, id)) => blocking(move || cache.has_summary(id)).await,
            None => Ok(false),
        }
    }

    /// Keeps what was made of the directory at `path` in the local cache, sealed, for whoever meets the same directory again, in whatever snapshot.
    /// It may be forgotten at any time, and is when there is no cache. At most 1 MiB, compressed, is kept.
    pub async fn keep_summary(&self, path: &str, summary: Vec<u8>) -> Result<()> {
        let Some((cache, id)) = self.cached(path).await? else {
            return Ok(());
        };
        let inner = Arc::clone(&self.inner);
        let keep = move || {
            let compressed = inner.compressors.compress(&summary);
            cache.keep_summary(id, summary.len(), &compressed);
        };
        blocking(keep).await
    }

    /// Everything in and below the directory at `path`, parents first, in the order of names. Errors when there is no directory.
    pub async fn walk(&self, path: &str) -> Result<Walk> {
        let directory = self.directory(path::to_read(path)).await?;
        let directory = directory.ok_or(Error::NotFound("the directory"))?;
        Ok(Walk::new(Arc::clone(&self.inner), path, directory))
    }

    /// The cache, if there is one, and the id of the directory at `path`, if there is one.
    async fn cached(&self, path: &str) -> Result<Option<(Cache, BlobId)>> {
        let Some(cache) = self.inner.cache.clone() else {
            return Ok(None);
        };
        let id = match self.node(path).await? {
            Some(node) => node.subtree(),
            None if path::to_read(path).next().is_none() => Some(self.root),
            None => None,
        };
        Ok(id.map(|id| (cache, id)))
    }

    async fn directory(&self, names: impl Iterator<Item = &str>) -> Result<Option<Arc<Tree>>> {
        let mut tree = self.inner.tree(self.root).await?;
        for name in names {
            let Some(subtree) = tree.find(name).and_then(Node::subtree) else {
                return Ok(None);
            };
            tree = self.inner.tree(subtree).await?;
        }
        Ok(Some(tree))
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("View").field(&self.root).finish()
    }
}

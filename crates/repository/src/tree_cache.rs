//! The directories read last, decoded, so that reading the files of one directory does not decode it for each.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    blob::BlobKind,
    error::{Error, Result},
    id::BlobId,
    repository::Inner,
    tree::Tree,
};

/// Most entries in all cached directories together: 10,000 entries of mails measured 6 MB.
const MAX_ENTRIES: usize = 10_000;

#[derive(Default)]
pub(crate) struct TreeCache(Mutex<Vec<(BlobId, Arc<Tree>)>>);

impl Inner {
    /// A directory.
    pub(crate) async fn tree(self: &Arc<Self>, id: BlobId) -> Result<Arc<Tree>> {
        if let Some(tree) = self.trees.get(id) {
            return Ok(tree);
        }
        let bytes = self.blob_by_cache(BlobKind::Tree, id).await?;
        let tree = Tree::decode(&bytes)
            .map(Arc::new)
            .map_err(|problem| Error::damaged(BlobKind::Tree.subject(id), problem))?;
        self.trees.put(id, Arc::clone(&tree));
        Ok(tree)
    }
}

impl TreeCache {
    fn get(&self, id: BlobId) -> Option<Arc<Tree>> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.iter().position(|(cached, _)| *cached == id)?;
        // The most recent is last.
        recent[at..].rotate_left(1);
        recent.last().map(|(_, tree)| Arc::clone(tree))
    }

    fn put(&self, id: BlobId, tree: Arc<Tree>) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push((id, tree));
        let mut total = recent
            .iter()
            .map(|(_, tree)| tree.nodes.len() + 1)
            .sum::<usize>();
        while total > MAX_ENTRIES && recent.len() > 1 {
            let (_, oldest) = recent.remove(0);
            total -= oldest.nodes.len() + 1;
        }
    }
}

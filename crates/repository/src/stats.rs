//! How much a repository holds.

use crate::{error::Result, repository::Repository, storage::ObjectKind, tree::NodeKind};

/// Counts of what a repository holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Snapshots.
    pub snapshots: u64,
    /// Files in the newest snapshot.
    pub files: u64,
    /// The size of these files together, in bytes.
    pub files_bytes: u64,
    /// Distinct blobs that the index lists: content and directories.
    pub blobs: u64,
    /// Packs that are stored.
    pub packs: u64,
    /// What packs, index, snapshots and keys take in storage, in bytes.
    pub stored_bytes: u64,
    /// What the index takes in memory when all of it is loaded, in bytes.
    pub index_memory_bytes: u64,
}

impl Repository {
    /// Counts everything. Reads the whole index and all directories of the newest snapshot.
    pub async fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        for kind in [
            ObjectKind::Key,
            ObjectKind::Snapshot,
            ObjectKind::Index,
            ObjectKind::Pack,
        ] {
            let listed = self.0.storage.list(kind).await?;
            stats.stored_bytes += listed.iter().map(|object| object.size_bytes).sum::<u64>();
            if kind == ObjectKind::Pack {
                stats.packs = listed.len() as u64;
            }
        }
        self.0.index.read_all(&self.0.storage, &self.0.key).await?;
        (stats.blobs, stats.index_memory_bytes) = self.0.index.size();
        let snapshots = self.snapshots().await?;
        stats.snapshots = snapshots.len() as u64;
        if let Some((_, newest)) = snapshots.last() {
            let mut walk = self.view(newest.tree).walk("").await?;
            while let Some(walked) = walk.next().await? {
                if walked.node.kind() == NodeKind::File {
                    stats.files += 1;
                    stats.files_bytes += walked.node.size();
                }
            }
        }
        Ok(stats)
    }
}

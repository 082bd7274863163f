//! Removing snapshots. What only they needed stays where it is until the next prune.

use std::collections::BTreeSet;

use crate::{
    error::{Error, Result},
    id::SnapshotId,
    lock::{Lock, Mode},
    repository::Repository,
    storage::ObjectKind,
};

/// What became of the snapshots that were to be removed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Forgotten {
    /// They are removed.
    pub removed: Vec<SnapshotId>,
    /// There were no such snapshots.
    pub absent: Vec<SnapshotId>,
    /// The storage denied their deletion, as Object Lock does: they stay.
    pub denied: Vec<SnapshotId>,
}

impl Repository {
    /// Removes these snapshots, under an exclusive lock as restic does, and the cache's note, which may be about them. Which ones, by which policy,
    /// is the caller's business.
    ///
    /// Errors with [`Error::LastSnapshot`], and removes none, when no other snapshot that can be read would be left; with [`Error::Locked`] when
    /// somebody is at work.
    pub async fn forget(&self, ids: &[SnapshotId]) -> Result<Forgotten> {
        let _busy = self.0.options.clock.busy("forgetting snapshots");
        let lock = self.0.locksmith().acquire(Mode::Exclusive).await?;
        let outcome = self.forget_locked(&lock, ids, true).await;
        lock.release().await?;
        outcome
    }

    /// Removes every snapshot, also those that cannot be read.
    pub async fn forget_all(&self) -> Result<Forgotten> {
        let _busy = self.0.options.clock.busy("forgetting snapshots");
        let lock = self.0.locksmith().acquire(Mode::Exclusive).await?;
        let listed = self.0.storage.list(ObjectKind::Snapshot).await?;
        let all: Vec<_> = listed.into_iter().map(|listed| listed.id.into()).collect();
        let outcome = self.forget_locked(&lock, &all, false).await;
        lock.release().await?;
        outcome
    }

    async fn forget_locked(
        &self,
        lock: &Lock,
        ids: &[SnapshotId],
        keep_one: bool,
    ) -> Result<Forgotten> {
        let listed = self.0.storage.list(ObjectKind::Snapshot).await?;
        let mut left: BTreeSet<SnapshotId> = listed.iter().map(|object| object.id.into()).collect();
        let mut forgotten = Forgotten::default();
        let mut removing = Vec::new();
        for id in ids {
            if left.remove(id) {
                removing.push(*id);
            } else if !removing.contains(id) {
                forgotten.absent.push(*id);
            }
        }
        if keep_one && !removing.is_empty() && !self.any_readable(&left).await? {
            return Err(Error::LastSnapshot);
        }
        if !removing.is_empty() {
            // It may be about one of them, and is the quicker way to know what there is.
            self.keep_note(Vec::new()).await?;
        }
        for id in removing {
            lock.confirm().await?;
            let storage = &self.0.storage;
            if storage.try_delete(ObjectKind::Snapshot, id.into()).await? {
                forgotten.removed.push(id);
            } else {
                forgotten.denied.push(id);
            }
        }
        // Before anybody deletes what they needed.
        self.0
            .storage
            .settle_deletions(ObjectKind::Snapshot)
            .await?;
        Ok(forgotten)
    }

    async fn any_readable(&self, ids: &BTreeSet<SnapshotId>) -> Result<bool> {
        for id in ids {
            match self.snapshot(*id).await {
                Ok(Some(_)) => return Ok(true),
                Ok(None) | Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

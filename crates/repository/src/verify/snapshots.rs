//! Checking that all that a snapshot needs is among the blobs found sound.

use std::collections::HashSet;

use super::Check;
use crate::{
    blob::BlobKind,
    error::{Error, Problem, Result},
    id::{BlobId, SnapshotId},
    path,
    repository::Repository,
    storage::ObjectKind,
    tree::{Node, NodeKind},
};

impl Repository {
    pub(super) async fn check_snapshots(&self, check: &mut Check) -> Result<()> {
        let mut seen = HashSet::new();
        for listed in self.0.storage.list(ObjectKind::Snapshot).await? {
            let id = SnapshotId::from(listed.id);
            let snapshot = check.sound_or_damaged(self.snapshot(id).await)?.flatten();
            if let Some(snapshot) = snapshot {
                check.report.snapshots += 1;
                self.check_tree(check, &mut seen, id, snapshot.tree).await?;
            }
        }
        Ok(())
    }

    /// Checks the directories of a snapshot that no earlier one has.
    async fn check_tree(
        &self,
        check: &mut Check,
        seen: &mut HashSet<BlobId>,
        snapshot: SnapshotId,
        root: BlobId,
    ) -> Result<()> {
        let mut waiting = vec![(String::new(), root)];
        while let Some((directory, id)) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            let tree = match self.0.tree(id).await {
                Ok(tree) if check.sound.contains(&(BlobKind::Tree, id)) => tree,
                Ok(_) => {
                    let subject = BlobKind::Tree.subject(id);
                    check.note_at(subject, Problem::Missing, snapshot, &directory);
                    continue;
                }
                Err(Error::Damaged { what, problem }) => {
                    check.note_at(what, problem, snapshot, &directory);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for node in &tree.nodes {
                let path = path::join(&directory, &node.name());
                match (node.kind(), node.subtree()) {
                    (NodeKind::Directory, Some(subtree)) => waiting.push((path, subtree)),
                    (NodeKind::File, _) => {
                        self.check_file(check, id, node, snapshot, &path).await?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn check_file(
        &self,
        check: &mut Check,
        directory: BlobId,
        file: &Node,
        snapshot: SnapshotId,
        path: &str,
    ) -> Result<()> {
        let mut size = 0;
        for id in file.content() {
            if !check.sound.contains(&(BlobKind::Content, *id)) {
                let subject = BlobKind::Content.subject(*id);
                check.note_at(subject, Problem::Missing, snapshot, path);
                return Ok(());
            }
            size += check
                .sound_or_damaged(self.0.content_length(*id).await)?
                .unwrap_or(0);
        }
        if size == file.size() {
            check.report.files += 1;
        } else {
            let subject = BlobKind::Tree.subject(directory);
            check.note_at(subject, Problem::Disagreement, snapshot, path);
        }
        Ok(())
    }
}

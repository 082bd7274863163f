//! Checking that all that a snapshot needs is among the blobs found sound.

use super::Check;
use crate::{
    blob::BlobKind,
    error::{Error, Problem, Result, Subject},
    id::{BlobId, SnapshotId},
    path,
    repository::Repository,
    storage::Listed,
    tree::{Node, NodeKind, Tree},
};

impl Repository {
    pub(crate) async fn check_snapshots(
        &self,
        check: &mut Check,
        snapshots: Vec<Listed>,
    ) -> Result<()> {
        for listed in snapshots {
            let id = SnapshotId::from(listed.id);
            let snapshot = check.sound_or_damaged(self.snapshot(id).await)?.flatten();
            if let Some(snapshot) = snapshot {
                check.report.snapshots += 1;
                self.check_tree(check, id, snapshot.tree).await?;
            }
        }
        Ok(())
    }

    /// Checks the directories of a snapshot that no earlier one has.
    async fn check_tree(
        &self,
        check: &mut Check,
        snapshot: SnapshotId,
        root: BlobId,
    ) -> Result<()> {
        let mut waiting = vec![(String::new(), root)];
        while let Some((directory, id)) = waiting.pop() {
            let subject = BlobKind::Tree.subject(id);
            let tree = match check.sound.mark(BlobKind::Tree, id) {
                Some(true) => self.sound_tree(check, id).await,
                // One that has its hash and still is no directory is named wherever it is needed.
                Some(false) if !check.is_damaged(subject) => continue,
                Some(false) => Err(Error::damaged(subject, Problem::Malformed)),
                None => Err(Error::damaged(subject, Problem::Missing)),
            };
            let tree = match tree {
                Ok(tree) => tree,
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
                        check.check_file(id, node, snapshot, &path);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn sound_tree(&self, check: &Check, id: BlobId) -> Result<Tree> {
        let subject = BlobKind::Tree.subject(id);
        let location = check.sound.get(BlobKind::Tree, id);
        let location = location.ok_or(Error::damaged(subject, Problem::Missing))?;
        let bytes = self.0.blob_at(location).await?;
        Tree::decode(&bytes).map_err(|problem| Error::damaged(subject, problem))
    }
}

impl Check {
    fn is_damaged(&self, subject: Subject) -> bool {
        self.damage.contains_key(&subject)
    }

    fn check_file(&mut self, directory: BlobId, file: &Node, snapshot: SnapshotId, path: &str) {
        let mut size = 0;
        for id in file.content() {
            let Some(location) = self.sound.get(BlobKind::Content, *id) else {
                let subject = BlobKind::Content.subject(*id);
                self.note_at(subject, Problem::Missing, snapshot, path);
                return;
            };
            size += location.entry.content_length();
        }
        if size == file.size() {
            self.report.files += 1;
        } else {
            let subject = BlobKind::Tree.subject(directory);
            self.note_at(subject, Problem::Disagreement, snapshot, path);
        }
    }
}

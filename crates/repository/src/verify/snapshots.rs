//! Checking that all that a snapshot needs is among the blobs found sound.

use std::pin::pin;

use futures_util::{StreamExt, stream::FuturesOrdered};

use super::Check;
use crate::{
    blob::BlobKind,
    blob_map::Location,
    error::{Error, Problem, Result, Subject},
    id::{BlobId, SnapshotId},
    path,
    repository::{READS_AT_ONCE, Repository},
    storage::Listed,
    tree::{Node, NodeKind, Tree},
};

/// A directory of a snapshot.
struct Place {
    snapshot: SnapshotId,
    path: String,
    tree: BlobId,
}

impl Repository {
    /// Checks the directories of the snapshots, each once.
    pub(crate) async fn check_snapshots(
        &self,
        check: &mut Check,
        snapshots: Vec<Listed>,
    ) -> Result<()> {
        let mut waiting = Vec::new();
        let mut read = pin!(self.each_snapshot(snapshots));
        while let Some((id, snapshot)) = read.next().await {
            if let Some(snapshot) = check.sound_or_damaged(snapshot)?.flatten() {
                check.report.snapshots += 1;
                waiting.push(Place {
                    snapshot: id,
                    path: String::new(),
                    tree: snapshot.tree,
                });
            }
        }
        // The first is taken first.
        waiting.reverse();
        let mut reading = FuturesOrdered::new();
        loop {
            while reading.len() < READS_AT_ONCE
                && let Some(place) = waiting.pop()
            {
                let is_new = check.sound.mark(BlobKind::Tree, place.tree);
                let location = check.sound.get(BlobKind::Tree, place.tree);
                reading.push_back(async move {
                    let tree = match is_new {
                        Some(true) => Some(self.tree_at(place.tree, location).await),
                        Some(false) => None,
                        None => Some(Err(missing(place.tree))),
                    };
                    (place, tree)
                });
            }
            let Some((place, tree)) = reading.next().await else {
                return Ok(());
            };
            let subject = BlobKind::Tree.subject(place.tree);
            let tree = match tree {
                Some(tree) => tree,
                // One that has its hash and still is no directory is named wherever it is needed.
                None if check.is_damaged(subject) => {
                    Err(Error::damaged(subject, Problem::Malformed))
                }
                None => continue,
            };
            match tree {
                Ok(tree) => waiting.extend(check.check_directory(&place, &tree)),
                Err(Error::Damaged { what, problem }) => {
                    check.note_at(what, problem, place.snapshot, &place.path);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn tree_at(&self, id: BlobId, location: Option<Location>) -> Result<Tree> {
        let bytes = self.0.blob_at(location.ok_or(missing(id))?).await?;
        Tree::decode(&bytes).map_err(|problem| Error::damaged(BlobKind::Tree.subject(id), problem))
    }
}

fn missing(tree: BlobId) -> Error {
    Error::damaged(BlobKind::Tree.subject(tree), Problem::Missing)
}

impl Check {
    fn is_damaged(&self, subject: Subject) -> bool {
        self.damage.contains_key(&subject)
    }

    /// Checks the files of a directory, and gives the directories in it.
    fn check_directory(&mut self, place: &Place, tree: &Tree) -> Vec<Place> {
        let mut below = Vec::new();
        for node in &tree.nodes {
            let path = path::join(&place.path, &node.name());
            match (node.kind(), node.subtree()) {
                (NodeKind::Directory, Some(tree)) => below.push(Place {
                    snapshot: place.snapshot,
                    path,
                    tree,
                }),
                (NodeKind::File, _) => self.check_file(place.tree, node, place.snapshot, &path),
                _ => {}
            }
        }
        below
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

//! Rewriting index files: without the packs that are to be deleted, and many small ones as few.
//!
//! Lists of content stay apart from lists of directories and state, which are read first. Needs an exclusive lock: a writer that relies on an
//! index file gives up when it finds that file gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{census::IndexFileUse, rewrite::write_index_file};
use crate::{
    draft::INDEX_FILE_BLOBS, error::Result, id::ObjectId, index_file::IndexFile, lock::Lock,
    repository::Repository, storage::ObjectKind,
};

/// Most index files that maintenance leaves: each costs a reader without a cache a request.
pub(crate) const MAX_INDEX_FILES: usize = 64;
/// The lists are made so long that all would fit into so many; the rest is for those that are not full.
const WANTED_INDEX_FILES: usize = 48;

/// Which index files to rewrite, so that `dropped` packs are in none and there are few; none if there is nothing to do.
pub(super) fn plan(
    files: &BTreeMap<ObjectId, IndexFileUse>,
    dropped: &BTreeSet<ObjectId>,
) -> BTreeSet<ObjectId> {
    let full = full_blobs(files);
    let mut chosen = BTreeSet::new();
    for state in [false, true] {
        let of_kind = || files.iter().filter(|(_, file)| file.state == state);
        let lists_dropped = |file: &IndexFileUse| file.packs.iter().any(|id| dropped.contains(id));
        let small: Vec<_> = of_kind()
            .filter(|(_, file)| file.blobs < full / 2)
            .collect();
        if small.len() > 1 {
            chosen.extend(small.into_iter().map(|(id, _)| *id));
        }
        chosen.extend(
            of_kind()
                .filter(|(_, file)| lists_dropped(file))
                .map(|(id, _)| *id),
        );
    }
    let rewritten: usize = chosen.iter().map(|id| files[id].blobs).sum();
    // One list of each kind is not full.
    let after = files.len() - chosen.len() + rewritten.div_ceil(full) + 2;
    if files.len() > MAX_INDEX_FILES && after > MAX_INDEX_FILES {
        return files.keys().copied().collect();
    }
    chosen
}

/// Blobs in a full list.
fn full_blobs(files: &BTreeMap<ObjectId, IndexFileUse>) -> usize {
    let blobs: usize = files.values().map(|file| file.blobs).sum();
    INDEX_FILE_BLOBS.max(blobs.div_ceil(WANTED_INDEX_FILES))
}

/// Writes new index files for what the chosen ones list, without `dropped` packs. Gives the new files.
pub(super) async fn write(
    repository: &Repository,
    lock: &Lock,
    files: &BTreeMap<ObjectId, IndexFileUse>,
    chosen: &BTreeSet<ObjectId>,
    dropped: &BTreeSet<ObjectId>,
) -> Result<Vec<ObjectId>> {
    let full = full_blobs(files);
    let mut lists: HashMap<bool, IndexFile> = HashMap::new();
    // A run that was killed here before may have listed packs twice.
    let mut listed: HashMap<ObjectId, usize> = HashMap::new();
    let mut written = Vec::new();
    for id in chosen {
        let file = repository.index_file(*id).await?;
        let state = file.lists_directories();
        for pack in file.packs {
            let known = listed.insert(pack.id, pack.blob_count());
            if dropped.contains(&pack.id) || known == Some(pack.blob_count()) {
                continue;
            }
            let list = lists.entry(state).or_default();
            list.packs.push(pack);
            if list.blob_count() >= full {
                let list = lists.remove(&state).unwrap_or_default();
                lock.confirm().await?;
                written.push(write_index_file(&repository.0, &list).await?);
            }
        }
    }
    for list in lists.into_values() {
        lock.confirm().await?;
        written.push(write_index_file(&repository.0, &list).await?);
    }
    Ok(written)
}

/// Deletes index files whose packs are listed elsewhere. Gives those that the storage does not let go.
pub(super) async fn delete(
    repository: &Repository,
    lock: &Lock,
    files: &BTreeSet<ObjectId>,
) -> Result<BTreeSet<ObjectId>> {
    let storage = &repository.0.storage;
    let mut denied = BTreeSet::new();
    for id in files {
        lock.confirm().await?;
        if !storage.try_delete(ObjectKind::Index, *id).await? {
            denied.insert(*id);
        }
    }
    storage.settle_deletions(ObjectKind::Index).await?;
    Ok(denied)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn few_files_are_left_and_no_dropped_pack_is_listed(
            sizes in prop::collection::vec((any::<bool>(), 1..60_000_usize), 0..300),
            drop in prop::collection::vec(0..300_usize, 0..5),
        ) {
            let pack = |number: usize| ObjectId::of(&number.to_le_bytes());
            let files: BTreeMap<_, _> = sizes.iter().enumerate().map(|(number, (state, blobs))| {
                let file = IndexFileUse { blobs: *blobs, state: *state, packs: vec![pack(number)] };
                (ObjectId::of(format!("{number}").as_bytes()), file)
            }).collect();
            let dropped: BTreeSet<_> = drop.into_iter().map(pack).collect();
            let chosen = plan(&files, &dropped);
            for (id, file) in &files {
                let lists_dropped = dropped.contains(&file.packs[0]);
                prop_assert!(!lists_dropped || chosen.contains(id));
            }
            let full = full_blobs(&files);
            let mut after = files.len() - chosen.len();
            for state in [false, true] {
                let of_kind = chosen.iter().filter(|id| files[*id].state == state);
                after += of_kind.map(|id| files[id].blobs).sum::<usize>().div_ceil(full);
            }
            prop_assert!(after <= MAX_INDEX_FILES, "{} files", after);
        }
    }
}

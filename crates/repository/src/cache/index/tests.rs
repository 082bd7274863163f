//! What the cache has of an index file is what the file says, or nothing.

use std::{path::Path, sync::Arc};

use model::SystemClock;
use proptest::prelude::*;

use super::*;
use crate::index_file::IndexedPack;

fn cache(folder: &Path) -> Cache {
    Cache::new(folder.to_owned(), key(), Arc::new(SystemClock::new()))
}

fn key() -> Key {
    Key::from_bytes([7; 64])
}

/// An index file with packs of so many blobs, every third a directory.
fn index_file(packs: &[u32]) -> IndexFile {
    let pack = |(number, blobs): (usize, &u32)| {
        let entries: Vec<_> = (0..*blobs).map(|at| entry(number, at)).collect();
        IndexedPack::new(ObjectId::of(&number.to_le_bytes()), &entries)
    };
    IndexFile {
        packs: packs.iter().enumerate().map(pack).collect(),
    }
}

fn entry(pack: usize, at: u32) -> Entry {
    let mut id = BlobId::of(&[&pack.to_le_bytes()[..], &at.to_le_bytes()].concat());
    if at < 300 {
        // More than a block of ids that begin alike.
        id.0[..FENCE_BYTES].fill(0x80);
    }
    Entry {
        id,
        kind: if at.is_multiple_of(3) {
            BlobKind::Tree
        } else {
            BlobKind::Content
        },
        offset: at.wrapping_mul(0x0102_0304),
        length: 32 + at,
        expanded: (at % 2 == 1).then_some(at * 5),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]
    #[test]
    fn it_finds_what_the_index_file_lists(packs in prop::collection::vec(0..700_u32, 0..5)) {
        let folder = tempfile::tempdir()?;
        let cache = cache(folder.path());
        let id = ObjectId::of(b"index");
        let kept = cache.keep_index_file(id, &index_file(&packs));
        let kept = kept.expect("the folder can be written");
        let mut loaded = BlobMap::default();
        kept.load(&mut loaded)?;
        prop_assert_eq!(loaded.len() as u32, packs.iter().sum::<u32>());
        prop_assert_eq!(kept.blob_count() as u32, packs.iter().sum::<u32>());
        for (number, blobs) in packs.iter().enumerate() {
            for entry in (0..*blobs).map(|at| entry(number, at)) {
                let location = Location { pack: ObjectId::of(&number.to_le_bytes()), entry };
                prop_assert_eq!(kept.find(entry.kind, entry.id)?, Some(location));
                prop_assert_eq!(loaded.get(entry.kind, entry.id), Some(location));
                let other = match entry.kind {
                    BlobKind::Content => BlobKind::Tree,
                    BlobKind::Tree => BlobKind::Content,
                };
                prop_assert_eq!(kept.find(other, entry.id)?, None);
            }
        }
        for absent in 0..100_u32 {
            let id = BlobId::of(&absent.to_le_bytes());
            prop_assert_eq!(kept.find(BlobKind::Content, id)?, None);
        }
    }
}

#[test]
fn a_blob_takes_at_most_48_bytes_on_disk() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let cache = cache(folder.path());
    // Mails of 4 KB in packs of 16 MiB.
    let kept = cache.keep_index_file(ObjectId::of(b"index"), &index_file(&[4_000; 12]));
    assert!(kept.is_some());
    let file = folder
        .path()
        .join("index")
        .join(ObjectId::of(b"index").to_string());
    let size = std::fs::metadata(file).expect("it was written").len();
    let bytes = size as f64 / 48_000.0;
    assert!(bytes <= 48.0, "{bytes} bytes a blob");
}

/// Blocks that changed places, and a whole file under another's name.
#[test]
fn blocks_and_files_cannot_stand_for_each_other() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let cache = cache(folder.path());
    let id = ObjectId::of(b"index");
    let kept = cache.keep_index_file(id, &index_file(&[1_000]));
    let kept = kept.expect("the folder can be written");
    let path = folder.path().join("index").join(id.to_string());
    let content = std::fs::read(&path).expect("it was written");
    let (first, second) = (kept.start as usize, (kept.start + kept.offset(1)) as usize);
    let mut swapped = content.clone();
    swapped[first..second].swap_with_slice(&mut content.clone()[second..2 * second - first]);
    std::fs::write(&path, &swapped).expect("it can be written");
    assert!(
        kept.find(BlobKind::Content, BlobId([0; 32])).is_ok(),
        "it is before all"
    );
    assert!(kept.block(0).is_err());
    assert!(kept.block(2).is_ok());

    let other = folder
        .path()
        .join("index")
        .join(ObjectId::of(b"other").to_string());
    std::fs::write(&other, &content).expect("it can be written");
    assert!(cache.index_file(ObjectId::of(b"other")).is_none());
    assert!(!other.exists(), "it is of no use");
}

//! Index files that are whole and wrong, which only who has the key can make.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use model::SystemClock;
use object_store::memory::InMemory;

use super::*;
use crate::{File, Options, SnapshotMeta, Storage, index_file::IndexFile};

async fn filled() -> Repository {
    let options = Options {
        clock: SystemClock::shared(),
        instance: "test".to_owned(),
        cache: None,
    };
    let storage = Storage::new(Arc::new(InMemory::new()));
    let ours = Repository::init(storage, "password", options).await;
    let ours = ours.expect("memory takes all");
    let mut draft = ours.draft(None).await.expect("nothing is there");
    for number in 0..10_u8 {
        let content = Bytes::from(vec![number; 1000]);
        let content = draft.writer().store(content).await.expect("memory works");
        let mtime = Timestamp::UNIX_EPOCH;
        let file = File { content, mtime };
        let put = draft.put(&format!("folder/{number}"), file).await;
        put.expect("the path is plain");
    }
    let meta = SnapshotMeta {
        time: Timestamp::UNIX_EPOCH,
        hostname: String::new(),
        username: String::new(),
        tags: Vec::new(),
        paths: Vec::new(),
    };
    draft.commit(meta).await.expect("memory works");
    ours
}

/// Replaces the index by what `falsify` makes of it.
async fn falsify(ours: &Repository, falsify: impl Fn(&mut Vec<(ObjectId, Vec<Entry>)>)) {
    let storage = &ours.0.storage;
    for listed in storage.list(ObjectKind::Index).await.expect("it lists") {
        let file = ours.index_file(listed.id).await.expect("it is whole");
        let entries = |pack: &IndexedPack| pack.entries().filter_map(Result::ok).collect();
        let mut packs = file
            .packs
            .iter()
            .map(|pack| (pack.id, entries(pack)))
            .collect();
        falsify(&mut packs);
        let packs = packs
            .iter()
            .map(|(id, entries)| IndexedPack::new(*id, entries));
        let packs = packs.collect();
        let sealed = sealed_file::encode(&ours.0.key, &ours.0.compressors, &IndexFile { packs });
        storage
            .put(ObjectKind::Index, sealed.into())
            .await
            .expect("memory takes all");
        storage
            .delete(ObjectKind::Index, listed.id)
            .await
            .expect("it is deleted");
    }
    ours.0.index.refresh(storage).await.expect("it lists");
}

/// Abuse 13.
#[tokio::test]
async fn wrong_entries_of_the_index_are_found_and_made_right() {
    type Falsify = fn(&mut Vec<(ObjectId, Vec<Entry>)>);
    let cases: [(&str, Falsify); 6] = [
        ("an offset", |packs| packs[0].1[0].offset += 1),
        ("a length", |packs| packs[0].1[1].length = u32::MAX / 2),
        ("an expanded length", |packs| {
            packs[0].1[1].expanded = Some(7)
        }),
        ("two blobs for one another", |packs| {
            let first = packs[0].1[0].id;
            packs[0].1[0].id = packs[0].1[1].id;
            packs[0].1[1].id = first;
        }),
        ("a blob left out", |packs| packs[0].1.truncate(1)),
        ("a pack that is not there", |packs| {
            packs[0].0 = ObjectId::of(b"nowhere")
        }),
    ];
    for (case, change) in cases {
        let ours = filled().await;
        falsify(&ours, change).await;
        let report = ours.verify(|_| {}).await.expect("memory works");
        assert!(!report.is_sound(), "{case}");
        let pruned = ours.prune(crate::PruneOptions::default(), |_| {}).await;
        if let Ok(pruned) = pruned {
            assert_eq!(pruned.deleted_packs, 0, "{case}");
        }
        let repaired = ours.repair(RepairOptions::default(), |_| {}).await;
        let repaired = repaired.expect("memory works");
        assert!(
            repaired.has_repaired() && repaired.lost.is_empty(),
            "{case}: {repaired:?}"
        );
        let report = ours.verify(|_| {}).await.expect("memory works");
        assert!(
            report.is_sound() && report.files == 10,
            "{case}: {report:?}"
        );
    }
}

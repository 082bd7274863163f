//! Blobs that are kept are found, up to a bound.

use std::{sync::Arc, time::Duration};

use model::SimulatedClock;

use super::*;
use crate::{blob::BlobKind, compression::Compressors, crypto::Key};

#[test]
fn the_blobs_used_last_are_kept_and_take_no_more_than_allowed() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let clock = SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH);
    let key = Key::random();
    let cache = Cache::new(
        folder.path().to_owned(),
        key.clone(),
        Arc::new(clock.clone()),
    );
    let content = |number: u32| [number; 10_000].map(|n| n as u8).to_vec();
    let id = |number| BlobId::of(&content(number));
    for number in 0..100 {
        clock.advance(Duration::from_secs(1));
        Compressors::default().with(|workbench| {
            let plain = content(number);
            let sealed = blob::seal(&key, workbench, BlobKind::Tree, id(number), &plain);
            cache.keep_blob(sealed.id, sealed.bytes, sealed.expanded);
        });
        assert_eq!(
            cache.blob(id(0)),
            Some(content(0)),
            "it is used all the time"
        );
    }
    cache.sweep_blobs();
    assert_eq!(cache.blob(id(1)), Some(content(1)), "all have room");
    cache.sweep_to(100 * BLOCK_BYTES);
    assert_eq!(
        cache.blob(id(1)),
        Some(content(1)),
        "each takes a block of the disk"
    );
    cache.sweep_to(32 * BLOCK_BYTES);
    let kept = (0..100).filter(|number| cache.blob(id(*number)).is_some());
    let expected = [0, 1].into_iter().chain(72..100);
    assert_eq!(kept.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

//! Which locks exclude which, and which are dead.

use std::{sync::Arc, time::Duration};

use model::{Clock, SimulatedClock};
use object_store::memory::InMemory;

use super::*;
use crate::error::Kind;

struct Place {
    clock: SimulatedClock,
    storage: Storage,
    key: Key,
}

impl Place {
    fn new() -> Self {
        Self {
            clock: SimulatedClock::new(Timestamp::UNIX_EPOCH),
            storage: Storage::new(Arc::new(InMemory::new())),
            key: Key::random(),
        }
    }

    fn smith(&self, instance: &str) -> Locksmith {
        Locksmith {
            storage: self.storage.clone(),
            key: self.key.clone(),
            clock: Arc::new(self.clock.clone()),
            instance: instance.to_owned(),
            marks: None,
        }
    }

    /// Puts a lock that somebody else holds or has left.
    async fn put(&self, hostname: &str, pid: u32, exclusive: bool) {
        let record = Record {
            time: self.clock.now(),
            exclusive,
            hostname: hostname.to_owned(),
            username: String::new(),
            pid,
        };
        let sealed = sealed_file::encode(&self.key, &Compressors::default(), &record);
        let put = self.storage.put(ObjectKind::Lock, sealed.into()).await;
        put.expect("memory takes all");
    }

    async fn count(&self) -> usize {
        let locks = self.storage.list(ObjectKind::Lock).await;
        locks.expect("memory can be listed").len()
    }
}

/// No process has this number: Linux gives numbers up to 2²².
const NOBODY: u32 = i32::MAX as u32;

#[tokio::test]
async fn shared_locks_bear_each_other_and_exclusive_ones_nobody() {
    let place = Place::new();
    let first = place
        .smith("a")
        .acquire(Mode::Shared)
        .await
        .expect("it is free");
    let second = place
        .smith("b")
        .acquire(Mode::Shared)
        .await
        .expect("both are shared");
    let refused = place.smith("c").acquire(Mode::Exclusive).await.err();
    assert_eq!(refused.map(|error| error.kind()), Some(Kind::Conflict));
    assert_eq!(place.count().await, 2, "the refused one was withdrawn");
    first.release().await.expect("it can be removed");
    second.release().await.expect("it can be removed");
    let only = place
        .smith("c")
        .acquire(Mode::Exclusive)
        .await
        .expect("it is free");
    let refused = place.smith("a").acquire(Mode::Shared).await.err();
    assert!(matches!(refused, Some(Error::Locked { hostname, .. }) if hostname == "c"));
    only.release().await.expect("it can be removed");
    assert_eq!(place.count().await, 0);
    assert!(matches!(only.confirm().await, Err(Error::LockLost)));
}

#[tokio::test]
async fn our_own_dead_locks_are_removed_and_nobody_elses() {
    let place = Place::new();
    place.put("us", NOBODY, true).await;
    place.put("us", std::process::id(), true).await;
    place.put("them", NOBODY, false).await;
    let held = place
        .smith("us")
        .acquire(Mode::Shared)
        .await
        .expect("both are dead");
    assert_eq!(place.count().await, 2);
    let alive = place.smith("us").remove_dead().await.expect("memory works");
    assert_eq!(alive, 2, "the held one and theirs");
    held.release().await.expect("it can be removed");
}

#[tokio::test]
async fn a_lock_of_our_instance_in_a_living_process_stays() {
    let place = Place::new();
    // Process 1 is always there.
    place.put("us", 1, true).await;
    let refused = place.smith("us").acquire(Mode::Shared).await.err();
    assert!(matches!(refused, Some(Error::Locked { pid: 1, .. })));
}

/// Abuse 18.
#[tokio::test]
async fn a_lock_that_was_not_refreshed_for_half_an_hour_is_stale() {
    let place = Place::new();
    place.put("them", NOBODY, true).await;
    place.clock.advance(Duration::from_secs(30 * 60));
    assert!(place.smith("us").acquire(Mode::Shared).await.is_err());
    place.clock.advance(Duration::from_secs(1));
    let lock = place
        .smith("us")
        .acquire(Mode::Shared)
        .await
        .expect("it is stale");
    assert_eq!(place.count().await, 1);
    lock.release().await.expect("it can be removed");
}

#[tokio::test]
async fn a_lock_is_rewritten_when_it_is_confirmed_after_five_minutes() {
    let place = Place::new();
    let lock = place
        .smith("us")
        .acquire(Mode::Shared)
        .await
        .expect("it is free");
    for _ in 0..20 {
        place.clock.advance(Duration::from_secs(5 * 60));
        lock.confirm().await.expect("nobody took it");
        assert_eq!(place.count().await, 1);
        assert_eq!(
            place
                .smith("them")
                .remove_dead()
                .await
                .expect("memory works"),
            1
        );
    }
    for listed in place
        .storage
        .list(ObjectKind::Lock)
        .await
        .expect("memory works")
    {
        place
            .storage
            .delete(ObjectKind::Lock, listed.id)
            .await
            .expect("memory works");
    }
    place.clock.advance(Duration::from_secs(5 * 60));
    assert!(matches!(lock.confirm().await, Err(Error::LockLost)));
    assert_eq!(place.count().await, 0);
}

#[tokio::test]
async fn a_lock_that_nobody_can_read_counts_until_it_is_stale() {
    let place = Place::new();
    let garbage = place.storage.put(ObjectKind::Lock, "garbage".into()).await;
    let garbage = garbage.expect("memory takes all");
    // The storage's own time is real.
    let listed = place.storage.list(ObjectKind::Lock).await;
    let stored_at = listed.expect("memory works")[0].stored_at;
    place.clock.advance(
        stored_at
            .duration_since(Timestamp::UNIX_EPOCH)
            .unsigned_abs(),
    );
    place.clock.advance(Duration::from_secs(30 * 60));
    let refused = place.smith("us").acquire(Mode::Shared).await.err();
    assert_eq!(refused.map(|error| error.kind()), Some(Kind::Conflict));
    place.clock.advance(Duration::from_secs(2));
    let lock = place.smith("us").acquire(Mode::Exclusive).await;
    lock.expect("it is stale");
    let there = place.storage.has(ObjectKind::Lock, garbage).await;
    assert!(!there.expect("memory works"), "it is removed");
}

#[tokio::test]
async fn a_lock_that_nobody_waits_for_any_more_is_removed() {
    // Abuse 67: a run that is told to end is dropped wherever it is, also while it takes its lock or gives it back.
    let folder = tempfile::tempdir().expect("a folder for the test");
    let place = Place {
        // On a disk, each step of the work takes a while.
        storage: Storage::local(folder.path()).expect("its path is plain"),
        ..Place::new()
    };
    let becomes = async |wanted: usize| {
        let reached = async {
            while place.count().await != wanted {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
        assert!(reached.is_ok(), "there are not {wanted} locks");
    };
    let smith = place.smith("a");
    let mut taking = Box::pin(smith.acquire(Mode::Shared));
    assert!(futures_util::poll!(&mut taking).is_pending());
    drop(taking);
    becomes(1).await;
    becomes(0).await;

    let lock = smith.acquire(Mode::Shared).await.expect("it is free");
    let mut giving = Box::pin(lock.release());
    assert!(futures_util::poll!(&mut giving).is_pending());
    drop(giving);
    std::mem::forget(lock);
    becomes(0).await;
}

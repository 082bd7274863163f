//! The process dies at every write: what was complete stays complete, and the next run succeeds.

use std::sync::Arc;

use anyhow::Context;
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};
use repository::{Error, Repository, Storage};
use testkit::store::{Deed, Watched};

use crate::support::{
    Fixture, PASSWORD, commit, files, in_memory, meta, noise, open, options, put, storage, text,
};

#[tokio::test]
async fn packs_come_before_the_index_and_the_index_before_the_snapshot() -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let mut draft = ours.draft(None).await?;
    for number in 0..60 {
        put(&mut draft, &format!("{number}"), noise(1_000_000, number)).await?;
    }
    draft.commit(meta(0)).await?.context("it has files")?;
    let log = store.take();
    let puts: Vec<_> = log
        .iter()
        .filter(|(deed, _)| *deed == Deed::Put)
        .map(|(_, top)| top.as_str())
        .collect();
    let (first, rest) = puts.split_first().context("something is written")?;
    assert_eq!(*first, "locks");
    let rank = |top: &&str| {
        ["data", "index", "snapshots"]
            .iter()
            .position(|part| part == top)
    };
    assert!(rest.is_sorted_by_key(rank), "{rest:?}");
    assert!(
        rest.iter().filter(|top| **top == "data").count() >= 4,
        "{rest:?}"
    );
    assert_eq!(log.last(), Some(&(Deed::Delete, "locks".to_owned())));
    Ok(())
}

/// Abuse 1, 2.
#[tokio::test]
async fn a_run_killed_at_any_write_harms_nothing() -> anyhow::Result<()> {
    for writes in 0..8 {
        let fixture = Fixture::new().await?;
        let first = commit(
            &fixture.repository,
            None,
            0,
            &[("a/b", "old"), ("a/c", "c")],
        )
        .await?;
        let disk = LocalFileSystem::new_with_prefix(fixture.path())?.with_fsync(true);
        let dying = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
        let killed = Repository::open(storage(&dying), PASSWORD, options()).await?;
        dying.die_after(writes);
        let outcome = commit(&killed, Some(first), 60, &[("a/b", "new"), ("d", "d")]).await;
        // The sixth write is the removal of the lock, after it has been seen that the lock was there when the fifth, the snapshot, was written.
        assert_eq!(outcome.is_ok(), writes >= 6, "{writes}: {outcome:?}");
        drop(killed);

        if let Some(restic) = testkit::restic::stock() {
            let args = ["check", "--read-data", "--no-lock"];
            restic.run(&fixture.path(), PASSWORD, args)?.into_result()?;
        }
        // The next start removes the lock that was left, so that restic need not be told to pass over it.
        let ours = fixture.reopen().await?;
        if let Some(restic) = testkit::restic::stock() {
            restic.check(&fixture.path(), PASSWORD)?;
        }
        assert!(ours.verify(|_| {}).await?.is_sound());
        assert_eq!(text(&ours, first, "a/b").await?.as_deref(), Some("old"));
        // The fifth is the snapshot: it is there, though its writer could not tell any more whether all that it needs is.
        let snapshots = ours.snapshots().await?;
        assert_eq!(snapshots.len(), if writes >= 5 { 2 } else { 1 }, "{writes}");
        let parent = snapshots.last().context("a snapshot")?.0;
        let next = commit(&ours, Some(parent), 90, &[("a/b", "newer")]).await?;
        assert_eq!(text(&ours, next, "a/b").await?.as_deref(), Some("newer"));
    }
    Ok(())
}

/// Survival 185.
#[tokio::test]
async fn an_interrupted_initialisation_is_repeated() -> anyhow::Result<()> {
    for writes in 0..3 {
        let folder = tempfile::tempdir()?;
        let disk = LocalFileSystem::new_with_prefix(folder.path())?.with_fsync(true);
        let dying = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
        dying.die_after(writes);
        let outcome = Repository::init(storage(&dying), PASSWORD, options()).await;
        assert_eq!(outcome.is_ok(), writes >= 2, "a key and the configuration");
        let again = Repository::init(Storage::local(folder.path())?, PASSWORD, options()).await;
        assert_eq!(again.is_err(), writes >= 2);
        open(folder.path()).await?;
        assert_eq!(files(&folder.path().join("keys"))?.len(), 1);
        for restic in testkit::restic::both() {
            restic.check(folder.path(), PASSWORD)?;
        }
    }
    Ok(())
}

/// Abuse 17: of two who make a repository, the slower one takes away only a key that opens nothing.
#[tokio::test]
async fn a_key_that_somebody_faster_has_used_stays() -> anyhow::Result<()> {
    let disk = Arc::new(InMemory::new());
    let slow = Watched::new(Arc::clone(&disk) as Arc<dyn ObjectStore>);
    let theirs = Storage::new(Arc::clone(&disk) as Arc<dyn ObjectStore>);
    // The key of the slow one is there, and its configuration not yet.
    slow.before(Deed::Put, "config", move || {
        let faster = std::thread::spawn(|| {
            let runtime = tokio::runtime::Runtime::new().expect("there are threads");
            let made = runtime.block_on(Repository::init(theirs, PASSWORD, options()));
            made.expect("nobody else has made it");
        });
        faster.join().expect("it has made the repository");
    });
    let outcome = Repository::init(storage(&slow), PASSWORD, options()).await;
    assert!(matches!(outcome, Err(Error::Exists)), "{outcome:?}");
    Repository::open(Storage::new(disk), PASSWORD, options()).await?;
    Ok(())
}

#[tokio::test]
async fn staging_files_are_cleared_away_unless_somebody_writes() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    commit(&fixture.repository, None, 0, &[("a", "a")]).await?;
    let pack = files(&fixture.path().join("data"))?
        .pop()
        .context("a pack")?;
    let staging = pack.with_extension("").to_string_lossy().into_owned() + "#1";
    let writing = fixture.repository.draft(None).await?;
    let big = writing.writer();
    // More than fits into the open packs, so that the draft holds its lock.
    for number in 0..40 {
        big.store(noise(1_000_000, number)).await?;
    }
    std::fs::write(&staging, "half a pack")?;
    open(&fixture.path()).await?;
    assert!(std::fs::exists(&staging)?, "it may be the writer's");
    writing.abandon().await?;
    open(&fixture.path()).await?;
    assert!(!std::fs::exists(&staging)?);
    assert!(fixture.repository.verify(|_| {}).await?.is_sound());
    Ok(())
}

#[tokio::test]
async fn staging_files_of_what_needs_no_lock_are_cleared_away_when_they_are_old()
-> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let id = "0123456789abcdef".repeat(4);
    let staged = ["locks/", "keys/", ""].map(|folder| match folder {
        "" => fixture.path().join("config#1"),
        folder => fixture.path().join(format!("{folder}{id}#1")),
    });
    for file in &staged {
        std::fs::create_dir_all(file.parent().context("it is in a folder")?)?;
        std::fs::write(file, "half")?;
    }
    fixture.reopen().await?;
    for file in &staged {
        assert!(std::fs::exists(file)?, "it may be somebody's");
        let two_hours = std::time::Duration::from_secs(2 * 60 * 60);
        let written = std::fs::metadata(file)?.modified()?;
        let options = std::fs::File::options().write(true).open(file)?;
        options.set_modified(written - two_hours)?;
    }
    fixture.reopen().await?;
    for file in &staged {
        assert!(!std::fs::exists(file)?, "nobody writes a key for an hour");
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_write_is_not_committed_later() -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let mut draft = ours.draft(None).await?;
    put(&mut draft, "small", "small").await?;
    store.die_after(1);
    let writer = draft.writer();
    let mut failed = false;
    for number in 0..60 {
        failed |= writer.store(noise(1_000_000, number)).await.is_err();
    }
    assert!(failed, "packs could not be written");
    assert!(draft.commit(meta(0)).await.is_err());
    Ok(())
}

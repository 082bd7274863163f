//! What is done to the store, counted.

use anyhow::Context;
use futures_util::future::BoxFuture;
use repository::{Draft, File, PruneOptions, Repository, Snapshot, SnapshotId};
use testkit::store::{Deed, Watched};

use crate::support::{
    PASSWORD, cached, commit, in_memory, meta, noise, options, put, storage, time,
};

fn count(log: &[(Deed, String)], deed: Deed) -> usize {
    log.iter().filter(|(done, _)| *done == deed).count()
}

#[tokio::test]
async fn a_small_change_costs_six_writes_and_deletions_and_three_listings() -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let mut draft = ours.draft(None).await?;
    for number in 0..400 {
        put(
            &mut draft,
            &format!("Mail/{}/{number}", number % 20),
            noise(5000, number),
        )
        .await?;
    }
    let first = draft.commit(meta(0)).await?.context("it has files")?;
    store.take();

    let ours = Repository::open(storage(&store), PASSWORD, options()).await?;
    let opening = store.take();
    assert_eq!(count(&opening, Deed::Put), 0, "{opening:?}");
    let mut draft = ours.draft(Some(first)).await?;
    put(&mut draft, "Mail/3/new", "a small mail").await?;
    let content = draft.writer().store_state("state".into()).await?;
    draft
        .put(
            ".keepwell/state",
            File {
                content,
                mtime: time(0),
            },
        )
        .await?;
    draft.commit(meta(60)).await?.context("it has changed")?;
    let log = store.take();
    let writes = count(&log, Deed::Put) + count(&log, Deed::Delete);
    assert_eq!((writes, count(&log, Deed::List)), (6, 3), "{log:?}");
    let puts: Vec<_> = log
        .iter()
        .filter(|(deed, _)| *deed == Deed::Put)
        .map(|(_, top)| top.as_str())
        .collect();
    assert_eq!(
        puts,
        ["locks", "data", "data", "index", "snapshots"],
        "in the order that every crash survives"
    );
    assert!(count(&log, Deed::Get) <= 16, "{log:?}");
    Ok(())
}

#[tokio::test]
async fn an_unchanged_draft_writes_nothing() -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let mut draft = ours.draft(None).await?;
    put(&mut draft, "a/b", "b").await?;
    put(&mut draft, "c", "c").await?;
    let first = draft.commit(meta(0)).await?.context("it has files")?;
    let ours = Repository::open(storage(&store), PASSWORD, options()).await?;
    store.take();
    let mut draft = ours.draft(Some(first)).await?;
    put(&mut draft, "a/b", "b").await?;
    put(&mut draft, "x/y", "only for a moment").await?;
    assert!(draft.remove("x/y").await?);
    draft.rename("a", "d").await?;
    draft.rename("d", "a").await?;
    assert_eq!(draft.commit(meta(60)).await?, None);
    let log = store.take();
    assert_eq!(
        count(&log, Deed::Put) + count(&log, Deed::Delete),
        0,
        "{log:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_same_content_is_stored_once() -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let mut draft = ours.draft(None).await?;
    for number in 0..50 {
        put(&mut draft, &format!("copy {number}"), noise(100_000, 1)).await?;
    }
    let first = draft.commit(meta(0)).await?.context("it has files")?;
    assert!(ours.stats().await?.stored_bytes < 130_000);
    // The index that the first draft wrote is known without being read.
    store.take();
    let mut draft = ours.draft(Some(first)).await?;
    put(&mut draft, "another copy", noise(100_000, 1)).await?;
    draft.commit(meta(60)).await?.context("it has changed")?;
    let stats = ours.stats().await?;
    assert!(stats.stored_bytes < 150_000, "{stats:?}");
    assert_eq!(
        (stats.files, stats.files_bytes, stats.snapshots),
        (51, 5_100_000, 2)
    );
    assert_eq!(stats.blobs, 3, "one of content and two directories");
    Ok(())
}

#[tokio::test]
async fn a_run_that_looks_for_directories_does_not_read_where_all_content_is() -> anyhow::Result<()>
{
    let (ours, store) = in_memory().await?;
    let mut draft = ours.draft(None).await?;
    // More than fits into the packs of small changes, so that content has an index file of its own, the larger one.
    for number in 0..2_000 {
        put(
            &mut draft,
            &format!("{}/{number}", number % 10),
            noise(3_000, number),
        )
        .await?;
    }
    let first = draft.commit(meta(0)).await?.context("it has files")?;
    let ours = Repository::open(storage(&store), PASSWORD, options()).await?;
    store.take();
    let mut draft = ours.draft(Some(first)).await?;
    put(&mut draft, "3/new", "a small mail").await?;
    draft.commit(meta(60)).await?.context("it has changed")?;
    let log = store.take();
    let read = log
        .iter()
        .filter(|done| **done == (Deed::Get, "index".to_owned()))
        .count();
    assert_eq!(read, 1, "{log:?}");
    Ok(())
}

/// What reads and writes some of a mailbox: its state and a folder.
async fn run(
    ours: &Repository,
    parent: (SnapshotId, &Snapshot),
    number: u64,
) -> anyhow::Result<Draft> {
    let mut draft = ours.draft_from(Some(parent));
    draft.read_path(".keepwell/state").await?;
    draft.list("Mail/3").await?;
    if number > 0 {
        put(&mut draft, &format!("Mail/3/new {number}"), "a small mail").await?;
        let state = format!("state {number}");
        let content = draft.writer().store_state(state.into()).await?;
        let mtime = time(0);
        draft
            .put(".keepwell/state", File { content, mtime })
            .await?;
    }
    Ok(draft)
}

#[tokio::test]
async fn with_a_cache_an_unchanged_account_costs_nothing_and_a_changed_one_little()
-> anyhow::Result<()> {
    let (_, store) = in_memory().await?;
    let folder = tempfile::tempdir()?;
    let open = || Repository::open(storage(&store), PASSWORD, cached(folder.path()));
    let ours = open().await?;
    let mut draft = ours.draft(None).await?;
    for number in 0..400 {
        let path = format!("Mail/{}/{number}", number % 20);
        put(&mut draft, &path, noise(5000, number)).await?;
    }
    let content = draft.writer().store_state("state".into()).await?;
    let mtime = time(0);
    draft
        .put(".keepwell/state", File { content, mtime })
        .await?;
    let mut last = draft.commit(meta(0)).await?.context("it has files")?;
    let mut snapshot = ours.snapshot(last).await?.context("it was made")?;
    drop(ours);
    store.take();
    for number in 1..4 {
        // Unchanged, and then changed, each in a process of its own.
        let ours = open().await?;
        let draft = run(&ours, (last, &snapshot), 0).await?;
        assert_eq!(draft.commit(meta(60)).await?, None);
        assert_eq!(ours.note().await, (number > 1).then(|| vec![1]));
        assert_eq!(store.take(), [], "an unchanged account asks nothing");

        let ours = open().await?;
        let draft = run(&ours, (last, &snapshot), number).await?;
        last = draft.commit(meta(60)).await?.context("it has changed")?;
        ours.keep_note(vec![1]).await?;
        let log = store.take();
        let writes = count(&log, Deed::Put) + count(&log, Deed::List) + count(&log, Deed::Delete);
        assert_eq!((writes, count(&log, Deed::Get)), (8, 4), "{log:?}");
        snapshot = ours.snapshot(last).await?.context("it was made")?;
        store.take();
    }
    Ok(())
}

/// Over a network, one after the other would take hours for what takes minutes.
#[tokio::test]
async fn directories_are_read_a_few_at_a_time() -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let paths: Vec<String> = (0..40).map(|n| format!("{n}/a/{n}")).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (&**path, &**path)).collect();
    commit(&ours, None, 0, &files).await?;
    let at_once = async |work: fn(Repository) -> BoxFuture<'static, anyhow::Result<()>>| {
        let watched = Watched::new(store.clone());
        let ours = Repository::open(storage(&watched), PASSWORD, options()).await?;
        work(ours).await?;
        anyhow::Ok(watched.most_reads_at_once())
    };
    let verified = at_once(|ours| {
        Box::pin(async move {
            let report = ours.verify(|_| ()).await?;
            assert!(report.is_sound(), "{report:?}");
            assert_eq!(report.files, 40);
            Ok(())
        })
    });
    assert_eq!(verified.await?, 8);
    let pruned = at_once(|ours| {
        Box::pin(async move {
            let options = PruneOptions::default();
            let report = ours.prune(options, |_| ()).await?;
            assert_eq!(report.doomed_packs, 0, "{report:?}");
            Ok(())
        })
    });
    assert_eq!(pruned.await?, 8);
    Ok(())
}

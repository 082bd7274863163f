//! Pruning: what is needed stays whole, what is not goes in time, at every crash point and beside everybody else.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use model::{SharedClock, SimulatedClock};
use object_store::{ObjectStore, local::LocalFileSystem};
use repository::{Error, Kind, Options, PruneOptions, PruneReport, Repository, Storage};
use testkit::store::{Deed, Watched};

use crate::{
    history::{history, is_whole},
    support::{
        Fixture, PASSWORD, commit, files, in_memory, meta, noise, open, options, put, storage,
        text, time, view,
    },
};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Nothing waits for a day.
pub(crate) fn at_once() -> PruneOptions {
    PruneOptions {
        grace: Duration::ZERO,
        ..PruneOptions::default()
    }
}

pub(crate) async fn prune(
    repository: &Repository,
    options: PruneOptions,
) -> anyhow::Result<PruneReport> {
    Ok(repository.prune(options, |_| {}).await?)
}

pub(crate) fn with_clock(clock: &SimulatedClock) -> Options {
    Options {
        clock: Arc::new(clock.clone()) as SharedClock,
        ..options()
    }
}

fn check_all(path: &Path) -> anyhow::Result<()> {
    for restic in testkit::restic::both() {
        restic.check(path, PASSWORD)?;
    }
    Ok(())
}

fn packs(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    files(&path.join("data"))
}

#[tokio::test]
async fn what_nothing_needs_is_recorded_and_deleted_a_day_later() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let path = &fixture.path();
    let clock = SimulatedClock::new(time(0));
    let ours = Repository::open(Storage::local(path)?, PASSWORD, with_clock(&clock)).await?;
    let versions = history(&ours, 6).await?;
    ours.forget(&versions[..4]).await?;
    let before = packs(path)?;

    let first = prune(&ours, PruneOptions::default()).await?;
    assert_eq!((first.snapshots, first.deleted_packs), (2, 0), "{first:?}");
    assert!(
        first.doomed_packs > 0 && first.rewritten_packs > 0,
        "{first:?}"
    );
    let there = packs(path)?;
    assert!(
        before.iter().all(|pack| there.contains(pack)),
        "all stay for a day"
    );
    assert!(first.next_due.is_some());
    assert_eq!(files(&path.join("keepwell"))?.len(), 1);
    check_all(path)?;

    clock.advance(DAY - Duration::from_secs(60));
    let early = prune(&ours, PruneOptions::default()).await?;
    assert_eq!(
        (early.doomed_packs, early.deleted_packs),
        (0, 0),
        "{early:?}"
    );

    clock.advance(Duration::from_secs(120));
    let second = prune(&ours, PruneOptions::default()).await?;
    assert_eq!(second.deleted_packs, first.doomed_packs, "{second:?}");
    assert!(!second.postponed && second.denied_deletions == 0);
    assert_eq!(second.next_due, None);
    assert_eq!(
        packs(path)?.len(),
        3,
        "two of content and one of directories"
    );
    assert_eq!(files(&path.join("index"))?.len() as u64, second.index_files);
    assert!(
        files(&path.join("keepwell"))?.is_empty(),
        "nothing is doomed"
    );
    assert!(files(&path.join("locks"))?.is_empty());

    // The handle that pruned, and a new one.
    for ours in [&ours, &fixture.reopen().await?] {
        is_whole(ours, versions[4], 4).await?;
        is_whole(ours, versions[5], 5).await?;
        assert!(ours.verify(|_| {}).await?.is_sound());
    }
    check_all(path)?;
    let stored: u64 = packs(path)?
        .iter()
        .map(|pack| std::fs::metadata(pack).map_or(0, |meta| meta.len()))
        .sum();
    assert!(
        stored < second.live_bytes * 21 / 20 + 20_000,
        "{stored} for {second:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_prune_that_finds_nothing_to_do_changes_nothing() -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let versions = history(&ours, 3).await?;
    ours.forget(&versions[..1]).await?;
    prune(&ours, at_once()).await?;
    store.take();
    let dry = PruneOptions {
        dry_run: true,
        ..at_once()
    };
    let nothing = prune(&ours, dry).await?;
    assert_eq!((nothing.doomed_packs, nothing.rewritten_packs), (0, 0));
    let writes = |log: &[(Deed, String)]| {
        let writes = log
            .iter()
            .filter(|(deed, _)| matches!(deed, Deed::Put | Deed::Delete));
        writes.map(|(_, top)| top.clone()).collect::<Vec<_>>()
    };
    assert!(writes(&store.take()).is_empty(), "not even a lock");
    let again = prune(&ours, at_once()).await?;
    assert_eq!(
        (
            again.doomed_packs,
            again.deleted_packs,
            again.rewritten_packs
        ),
        (0, 0, 0)
    );
    assert_eq!(
        writes(&store.take()),
        ["locks", "locks"],
        "taken and removed"
    );
    Ok(())
}

#[tokio::test]
async fn a_dry_run_tells_what_a_run_does() -> anyhow::Result<()> {
    let (ours, store) = in_memory().await?;
    let versions = history(&ours, 5).await?;
    ours.forget(&versions[..4]).await?;
    store.take();
    let dry = prune(
        &ours,
        PruneOptions {
            dry_run: true,
            ..at_once()
        },
    )
    .await?;
    assert!(
        store
            .take()
            .iter()
            .all(|(deed, _)| !matches!(deed, Deed::Put | Deed::Delete))
    );
    let run = prune(&ours, at_once()).await?;
    assert!(run.doomed_packs > 0);
    assert_eq!(
        (dry.doomed_packs, dry.rewritten_packs, dry.live_bytes),
        (run.doomed_packs, run.rewritten_packs, run.live_bytes)
    );
    is_whole(&ours, versions[4], 4).await
}

#[tokio::test]
async fn what_is_needed_again_before_it_is_deleted_stays() -> anyhow::Result<()> {
    let clock = SimulatedClock::new(time(0));
    let (_, store) = in_memory().await?;
    let ours = Repository::open(storage(&store), PASSWORD, with_clock(&clock)).await?;
    let big = noise(6 << 20, 1);
    let mut draft = ours.draft(None).await?;
    put(&mut draft, "a", big.clone()).await?;
    put(&mut draft, "b", "b").await?;
    let first = draft.commit(meta(0)).await?.context("it has files")?;
    let mut draft = ours.draft(Some(first)).await?;
    draft.remove("a").await?;
    let second = draft.commit(meta(1)).await?.context("it has changed")?;
    ours.forget(&[first]).await?;
    let doomed = prune(&ours, PruneOptions::default()).await?;
    assert!(doomed.doomed_packs > 0, "{doomed:?}");

    // It is stored again: the index still lists it, so nothing is written for it. Counting reads the whole index.
    ours.stats().await?;
    let mut draft = ours.draft(Some(second)).await?;
    put(&mut draft, "a", big.clone()).await?;
    let third = draft.commit(meta(2)).await?.context("it has changed")?;
    assert!(ours.stats().await?.stored_bytes < 7 << 20);
    clock.advance(DAY * 2);
    let later = prune(&ours, PruneOptions::default()).await?;
    assert!(later.spared_packs > 0, "{later:?}");
    for ours in [
        &ours,
        &Repository::open(storage(&store), PASSWORD, options()).await?,
    ] {
        let read = view(ours, third).await?.read_path("a").await?;
        assert_eq!(read.as_ref(), Some(&big));
        assert!(ours.verify(|_| {}).await?.is_sound());
    }
    // No longer on the record, it is safe for another day when it is forgotten again.
    ours.forget(&[third]).await?;
    let again = prune(&ours, PruneOptions::default()).await?;
    assert_eq!(again.deleted_bytes, 0, "{again:?}");
    clock.advance(DAY * 2);
    let last = prune(&ours, PruneOptions::default()).await?;
    assert!(last.deleted_bytes > 6 << 20, "{last:?}");
    assert_eq!(text(&ours, second, "b").await?.as_deref(), Some("b"));
    Ok(())
}

/// Abuse 19.
#[tokio::test]
async fn what_restic_backs_up_between_the_phases_stays() -> anyhow::Result<()> {
    for restic in testkit::restic::both() {
        let fixture = Fixture::new().await?;
        let path = &fixture.path();
        let clock = SimulatedClock::new(time(0));
        let ours = Repository::open(Storage::local(path)?, PASSWORD, with_clock(&clock)).await?;
        let mut draft = ours.draft(None).await?;
        for number in 0..20 {
            put(&mut draft, &number.to_string(), noise(300_000, number)).await?;
        }
        let first = draft.commit(meta(0)).await?.context("it has files")?;
        let second = commit(&ours, None, 1, &[("other", "other")]).await?;
        ours.forget(&[first]).await?;
        let doomed = prune(&ours, PruneOptions::default()).await?;
        assert!(doomed.doomed_packs > 0, "{doomed:?}");
        // The same content; restic finds it in the index and refers to the doomed packs.
        let source = fixture.beside("source");
        std::fs::create_dir_all(&source)?;
        for number in 0..20 {
            std::fs::write(source.join(number.to_string()), noise(300_000, number))?;
        }
        let stored = packs(path)?.len();
        let from = source.to_string_lossy();
        restic
            .run(path, PASSWORD, ["backup", "--quiet", &from])?
            .into_result()?;
        assert!(
            packs(path)?.len() <= stored + 2,
            "directories alone are new"
        );
        clock.advance(DAY * 2);
        let later = prune(&ours, PruneOptions::default()).await?;
        assert!(later.spared_packs > 0, "{later:?}");
        let target = fixture.beside("restored");
        let to = target.to_string_lossy();
        restic
            .run(path, PASSWORD, ["restore", "latest", "--target", &to])?
            .into_result()?;
        for number in 0..20 {
            let file = target
                .join(source.strip_prefix("/")?)
                .join(number.to_string());
            assert_eq!(std::fs::read(file)?, noise(300_000, number)[..]);
        }
        assert_eq!(
            text(&ours, second, "other").await?.as_deref(),
            Some("other")
        );
        check_all(path)?;
    }
    Ok(())
}

/// Abuse 3.
#[tokio::test]
async fn a_prune_killed_at_any_write_harms_nothing_and_the_next_finishes() -> anyhow::Result<()> {
    let mut writes = 0;
    loop {
        let fixture = Fixture::new().await?;
        let path = &fixture.path();
        let versions = history(&fixture.repository, 5).await?;
        fixture.repository.forget(&versions[..3]).await?;
        let disk = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        let dying = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
        let killed = Repository::open(storage(&dying), PASSWORD, options()).await?;
        dying.die_after(writes);
        let outcome = prune(&killed, at_once()).await;
        drop(killed);

        if let Some(restic) = testkit::restic::stock() {
            let args = ["check", "--read-data", "--no-lock"];
            let checked = restic.run(path, PASSWORD, args)?.into_result();
            checked.with_context(|| format!("after {writes} writes"))?;
        }
        let ours = fixture.reopen().await?;
        assert!(
            ours.verify(|_| {}).await?.is_sound(),
            "after {writes} writes"
        );
        let next = commit(&ours, Some(versions[4]), 90, &[("new", "new")]).await?;
        let finished = prune(&ours, at_once()).await?;
        assert!(!finished.postponed, "{finished:?}");
        let nothing = prune(&ours, at_once()).await?;
        assert_eq!(
            (nothing.doomed_packs, nothing.deleted_packs),
            (0, 0),
            "{nothing:?}"
        );
        assert!(packs(path)?.len() <= 5, "after {writes} writes");
        assert!(files(&path.join("keepwell"))?.is_empty());
        is_whole(&ours, versions[3], 3).await?;
        is_whole(&ours, next, 4).await?;
        if outcome.is_ok() {
            check_all(path)?;
            assert!(writes > 15, "{writes} writes were enough");
            return Ok(());
        }
        writes += 1;
    }
}

#[tokio::test]
async fn many_small_runs_leave_few_index_files_and_packs() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let ours = &fixture.repository;
    let mut last = None;
    for number in 0..80 {
        let file = format!("{}/{number}", number % 4);
        last = Some(commit(ours, last, number, &[(&file, &file)]).await?);
    }
    assert!(ours.needs_maintenance().await?);
    let before = files(&fixture.path().join("index"))?.len();
    assert!(before >= 80);
    let report = prune(ours, at_once()).await?;
    assert_eq!(report.index_files, 1, "{report:?}");
    assert_eq!(files(&fixture.path().join("index"))?.len(), 1);
    assert!(packs(&fixture.path())?.len() <= 2, "{report:?}");
    assert_eq!(ours.snapshots().await?.len(), 80);
    let reopened = fixture.reopen().await?;
    let last = last.context("some were made")?;
    assert_eq!(
        text(&reopened, last, "3/79").await?.as_deref(),
        Some("3/79")
    );
    assert!(!reopened.needs_maintenance().await?);
    assert!(reopened.verify(|_| {}).await?.is_sound());
    check_all(&fixture.path())
}

/// Abuse 24.
#[tokio::test]
async fn deletions_that_the_storage_denies_are_counted_and_tried_again() -> anyhow::Result<()> {
    for denied in [
        &["data"][..],
        &["index"],
        &["keepwell"],
        &["data", "index", "keepwell"],
    ] {
        let fixture = Fixture::new().await?;
        let path = &fixture.path();
        let versions = history(&fixture.repository, 5).await?;
        let disk = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        let locked = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
        let ours = Repository::open(storage(&locked), PASSWORD, options()).await?;
        locked.forbid(Deed::Delete, "snapshots");
        let forgotten = ours.forget(&versions[..3]).await?;
        assert_eq!((forgotten.removed.len(), forgotten.denied.len()), (0, 3));
        locked.permit_all();
        ours.forget(&versions[..3]).await?;
        for top in denied {
            locked.forbid(Deed::Delete, top);
        }
        let mut counts = Vec::new();
        for _ in 0..4 {
            let report = prune(&ours, at_once()).await?;
            assert_eq!(
                report.denied_deletions > 0,
                *denied != ["keepwell"],
                "{denied:?} {report:?}"
            );
            counts.push((files(&path.join("index"))?.len(), packs(path)?.len()));
            check_all(path)?;
        }
        assert_eq!(
            counts[1], counts[3],
            "nothing is written again and again: {counts:?}"
        );
        locked.permit_all();
        prune(&ours, at_once()).await?;
        prune(&ours, at_once()).await?;
        assert_eq!(packs(path)?.len(), 4, "{denied:?}");
        assert_eq!(files(&path.join("index"))?.len(), 2, "{denied:?}");
        assert!(files(&path.join("keepwell"))?.is_empty(), "{denied:?}");
        is_whole(&ours, versions[3], 3).await?;
        is_whole(&fixture.reopen().await?, versions[4], 4).await?;
        check_all(path)?;
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_deleted_while_anything_is_damaged() -> anyhow::Result<()> {
    for damaged in [
        "snapshots",
        "index",
        "a missing index file",
        "a pack of directories",
        "a blob of content",
        "a missing pack",
        "missing packs",
    ] {
        let fixture = Fixture::new().await?;
        let path = &fixture.path();
        let versions = history(&fixture.repository, 4).await?;
        fixture.repository.forget(&versions[..2]).await?;
        let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |meta| meta.len());
        let smallest = |files: Vec<PathBuf>| {
            let found = files.into_iter().min_by_key(size);
            found.context("there are files")
        };
        let largest = |files: Vec<PathBuf>| {
            let found = files.into_iter().max_by_key(size);
            found.context("there are files")
        };
        match damaged {
            "a pack of directories" => {
                // Those of directories are the smallest.
                let all = packs(path)?;
                for pack in all
                    .iter()
                    .filter(|pack| std::fs::metadata(pack).is_ok_and(|meta| meta.len() < 30_000))
                {
                    std::fs::write(pack, "garbage")?;
                }
            }
            "a missing index file" => {
                std::fs::remove_file(largest(files(&path.join("index"))?)?)?;
            }
            // One that is to be copied.
            "a blob of content" => {
                let pack = largest(packs(path)?)?;
                let mut bytes = std::fs::read(&pack)?;
                let content = bytes.len() - 20_000;
                bytes[..content]
                    .iter_mut()
                    .step_by(1000)
                    .for_each(|byte| *byte ^= 4);
                std::fs::write(pack, bytes)?;
            }
            "a missing pack" => std::fs::remove_file(largest(packs(path)?)?)?,
            "missing packs" => {
                for pack in packs(path)? {
                    std::fs::remove_file(pack)?;
                }
            }
            folder => std::fs::write(smallest(files(&path.join(folder))?)?, "garbage")?,
        }
        let before = files(path)?;
        let ours = fixture.reopen().await?;
        // Content is looked at when it is copied.
        let is_seen_at_once = damaged != "a blob of content";
        for dry_run in [true, false] {
            let options = PruneOptions {
                dry_run,
                ..at_once()
            };
            let refused = ours.prune(options, |_| {}).await.err();
            if dry_run && !is_seen_at_once {
                assert!(refused.is_none(), "{refused:?}");
                continue;
            }
            assert!(
                matches!(refused, Some(Error::NeedsRepair { .. })),
                "{damaged}: {refused:?}"
            );
            assert_eq!(refused.map(|error| error.kind()), Some(Kind::Corrupt));
        }
        let after = files(path)?;
        assert!(before.iter().all(|file| after.contains(file)), "{damaged}");
        assert!(!is_seen_at_once || before == after, "{damaged}");
    }
    Ok(())
}

/// Abuse 19, survival 183.
#[tokio::test]
async fn a_backup_and_a_prune_run_side_by_side() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let ours = &fixture.repository;
    let versions = history(ours, 5).await?;
    ours.forget(&versions[..4]).await?;
    // One that holds its lock, and one that has not written yet.
    let mut writing = ours.draft(Some(versions[4])).await?;
    for number in 0..40 {
        put(
            &mut writing,
            &format!("big {number}"),
            noise(1_000_000, number),
        )
        .await?;
    }
    let other = fixture.reopen().await?;
    let beside = prune(&other, at_once()).await?;
    assert!(
        beside.postponed && beside.doomed_packs > 0 && beside.deleted_packs == 0,
        "{beside:?}"
    );
    let next = writing.commit(meta(60)).await?.context("it has changed")?;
    is_whole(ours, next, 4).await?;

    let mut waiting = fixture.reopen().await?.draft(Some(next)).await?;
    put(&mut waiting, "small", "small").await?;
    let alone = prune(&other, at_once()).await?;
    assert!(!alone.postponed && alone.deleted_packs > 0, "{alone:?}");
    // Its parent is still there, and what was pruned it did not rely on.
    let small = waiting.commit(meta(90)).await?.context("it has changed")?;
    let files = [("smaller", "smaller")];
    let again = commit(&fixture.reopen().await?, Some(small), 91, &files).await?;
    for ours in [ours, &fixture.reopen().await?] {
        is_whole(ours, again, 4).await?;
        let read = view(ours, next).await?.read_path("big 39").await?;
        assert_eq!(read, Some(noise(1_000_000, 39)));
        assert!(ours.verify(|_| {}).await?.is_sound());
    }
    check_all(&fixture.path())
}

/// Abuse 18: whoever takes our lock away while we are stopped may prune everything that we have written.
#[tokio::test]
async fn a_writer_that_restic_pruned_while_it_was_stopped_leaves_no_broken_snapshot()
-> anyhow::Result<()> {
    for restic in testkit::restic::both() {
        for when in [Deed::Get, Deed::Put] {
            let fixture = Fixture::new().await?;
            let path = fixture.path();
            let first = commit(&fixture.repository, None, 0, &[("a", "a")]).await?;
            let disk = LocalFileSystem::new_with_prefix(&path)?.with_fsync(true);
            let watched = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
            let ours = Repository::open(storage(&watched), PASSWORD, options()).await?;
            let mut draft = ours.draft(Some(first)).await?;
            // More than fits into the open packs, so that it holds its lock.
            for number in 0..40 {
                put(&mut draft, &number.to_string(), noise(1_000_000, number)).await?;
            }
            let (there, program) = (path.clone(), restic.clone());
            let stopped = move || {
                let run = |args: &[&str]| {
                    program
                        .run(&there, PASSWORD, args)
                        .and_then(|output| output.into_result())
                };
                run(&["unlock", "--remove-all"]).expect("the lock is taken away");
                run(&["prune", "--max-unused", "0"]).expect("what no snapshot needs is gone");
            };
            match when {
                // Immediately before the snapshot is written, when the lock has been looked at.
                Deed::Put => watched.before(Deed::Put, "snapshots", stopped),
                // In the middle of the work.
                _ => stopped(),
            }
            let outcome = draft.commit(meta(60)).await;
            assert!(matches!(outcome, Err(Error::LockLost)), "{outcome:?}");
            let left = open(&path).await?;
            assert_eq!(left.snapshots().await?.len(), 1);
            assert!(left.verify(|_| {}).await?.is_sound());
            restic.check(&path, PASSWORD)?;
            let next = commit(&left, Some(first), 90, &[("b", "b")]).await?;
            assert_eq!(text(&left, next, "a").await?.as_deref(), Some("a"));
        }
    }
    Ok(())
}

//! What happens between two looks of a prune: within one, between its phases, and between one and the next.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use jiff::SignedDuration;
use model::SimulatedClock;
use object_store::{ObjectStore, local::LocalFileSystem};
use repository::{Error, PruneOptions, Repository, SnapshotId};
use testkit::store::{Deed, Watched};

use crate::{
    history::{history, is_whole},
    prune::{DAY, at_once, prune, with_clock},
    support::{
        Fixture, PASSWORD, files, in_memory, meta, noise, open, options, put, storage, time, view,
    },
};

/// Lets others work while somebody waits in the middle of his work.
fn meanwhile<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> T {
    let others = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(work)
    });
    let done = others.join().expect("they do not panic");
    done.expect("they succeed")
}

/// A repository in memory in which nothing needs a file `a` of 6 MB any more; it has a pack of its own, which is doomed unless said otherwise.
struct Doomed {
    store: Arc<Watched>,
    clock: SimulatedClock,
    ours: Repository,
    /// The snapshot without `a`.
    without: SnapshotId,
}

impl Doomed {
    async fn new() -> Result<Self> {
        let doomed = Self::not_yet().await?;
        let report = prune(&doomed.ours, PruneOptions::default()).await?;
        assert!(report.doomed_packs > 0 && report.deleted_packs == 0);
        Ok(doomed)
    }

    /// Before anybody found that nothing needs the file.
    async fn not_yet() -> Result<Self> {
        let clock = SimulatedClock::new(time(0));
        let (_, store) = in_memory().await?;
        let ours = Repository::open(storage(&store), PASSWORD, with_clock(&clock)).await?;
        let with = with_a(&ours, None, 0).await?;
        let mut draft = ours.draft(Some(with)).await?;
        draft.remove("a").await?;
        put(&mut draft, "b", "b").await?;
        let without = draft.commit(meta(1)).await?.context("it has changed")?;
        ours.forget(&[with]).await?;
        Ok(Self {
            store,
            clock,
            ours,
            without,
        })
    }

    async fn other(&self) -> Result<Repository> {
        let options = with_clock(&self.clock);
        Ok(Repository::open(storage(&self.store), PASSWORD, options).await?)
    }
}

/// A snapshot with `a`: where the index lists it, nothing is written for it.
async fn with_a(ours: &Repository, parent: Option<SnapshotId>, seconds: i64) -> Result<SnapshotId> {
    // Counting reads the whole index.
    ours.stats().await?;
    let mut draft = ours.draft(parent).await?;
    put(&mut draft, "a", noise(6 << 20, 1)).await?;
    let made = draft.commit(meta(seconds)).await?;
    made.context("it has changed")
}

/// Abuse 19.
#[tokio::test]
async fn what_is_needed_again_between_the_phases_of_a_prune_stays() -> Result<()> {
    let doomed = Doomed::new().await?;
    doomed.clock.advance(DAY * 2);
    let (other, without) = (doomed.other().await?, doomed.without);
    let (tell, told) = std::sync::mpsc::channel();
    doomed.store.before(Deed::Delete, "locks", move || {
        let again = meanwhile(async move { with_a(&other, Some(without), 2).await });
        tell.send(again).expect("somebody waits for it");
    });
    let report = prune(&doomed.ours, PruneOptions::default()).await?;
    assert!(report.spared_packs > 0, "{report:?}");
    let again = told.recv()?;
    for ours in [&doomed.ours, &doomed.other().await?] {
        let read = view(ours, again).await?.read_path("a").await?;
        assert_eq!(read, Some(noise(6 << 20, 1)));
        assert!(ours.verify(|_| {}).await?.is_sound());
    }
    Ok(())
}

#[tokio::test]
async fn what_was_needed_for_an_hour_is_safe_for_another_day() -> Result<()> {
    let doomed = Doomed::new().await?;
    let hour = Duration::from_secs(60 * 60);
    doomed.clock.advance(hour);
    let again = with_a(&doomed.ours, Some(doomed.without), 2).await?;
    // It is seen to be needed by a prune that ends after its first phase.
    let store = Arc::clone(&doomed.store);
    let stop = move || store.forbid(Deed::Put, "locks");
    doomed.store.before(Deed::Delete, "locks", stop);
    let stopped = prune(&doomed.ours, PruneOptions::default()).await;
    assert!(stopped.is_err(), "{stopped:?}");
    doomed.store.permit_all();
    doomed.clock.advance(hour);
    doomed.ours.forget(&[again]).await?;
    doomed.clock.advance(DAY);
    let dooms = prune(&doomed.ours, PruneOptions::default()).await?;
    assert!(dooms.deleted_bytes < 6 << 20, "{dooms:?}");
    doomed.clock.advance(DAY);
    let deletes = prune(&doomed.ours, PruneOptions::default()).await?;
    assert!(deletes.deleted_bytes > 6 << 20, "{deletes:?}");
    Ok(())
}

#[tokio::test]
async fn of_two_who_doom_a_pack_the_later_counts() -> Result<()> {
    let doomed = Doomed::not_yet().await?;
    let (ours, clock) = (&doomed.ours, &doomed.clock);
    let (other, later) = (doomed.other().await?, clock.clone());
    let (tell, told) = std::sync::mpsc::channel();
    doomed.store.before(Deed::Put, "keepwell", move || {
        later.advance(Duration::from_secs(60 * 60));
        let second = meanwhile(async move { prune(&other, PruneOptions::default()).await });
        tell.send(second).expect("somebody waits for it");
    });
    let first = prune(ours, PruneOptions::default()).await?;
    assert!(first.doomed_packs > 0, "{first:?}");
    let second = told.recv()?;
    // Where something is copied, each of two may keep another copy, and they doom different packs.
    assert_eq!((first.rewritten_packs, second.rewritten_packs), (0, 0));
    assert_eq!(first.doomed_packs, second.doomed_packs);
    clock.advance(DAY - Duration::from_secs(60));
    let early = prune(ours, PruneOptions::default()).await?;
    assert_eq!(early.deleted_packs, 0, "{early:?}");
    clock.advance(Duration::from_secs(120));
    let due = prune(ours, PruneOptions::default()).await?;
    assert_eq!(due.deleted_packs, first.doomed_packs, "{due:?}");
    assert!(due.deleted_bytes > 6 << 20, "{due:?}");
    assert_eq!(
        view(ours, doomed.without).await?.read_path("b").await?,
        Some("b".into())
    );
    Ok(())
}

/// Abuse 53.
#[tokio::test]
async fn a_day_is_a_day_also_when_the_clock_was_ahead() -> Result<()> {
    let doomed = Doomed::new().await?;
    doomed
        .clock
        .set_wall_clock(SignedDuration::from_hours(-240));
    let now_right = prune(&doomed.ours, PruneOptions::default()).await?;
    assert_eq!(now_right.deleted_packs, 0, "{now_right:?}");
    doomed.clock.advance(DAY);
    let due = prune(&doomed.ours, PruneOptions::default()).await?;
    assert!(due.deleted_bytes > 6 << 20, "{due:?}");
    Ok(())
}

/// Abuse 24.
#[tokio::test]
async fn a_record_that_was_replaced_says_nothing_any_more() -> Result<()> {
    let doomed = Doomed::new().await?;
    doomed.store.forbid(Deed::Delete, "keepwell");
    with_a(&doomed.ours, Some(doomed.without), 2).await?;
    let spares = prune(&doomed.ours, PruneOptions::default()).await?;
    assert!(spares.spared_packs > 0, "{spares:?}");
    let nothing = prune(&doomed.ours, PruneOptions::default()).await?;
    assert_eq!(nothing.spared_packs, 0, "{nothing:?}");
    Ok(())
}

#[tokio::test]
async fn a_record_that_cannot_be_read_counts_for_nothing_and_is_replaced() -> Result<()> {
    let (fixture, _, ours, versions) = forgotten().await?;
    let first = prune(&ours, PruneOptions::default()).await?;
    let records = fixture.path().join("keepwell/prune");
    let old = files(&records)?;
    std::fs::write(&old[0], "garbage")?;
    let again = prune(&fixture.reopen().await?, PruneOptions::default()).await?;
    assert!(
        first.doomed_packs > 0 && again.doomed_packs >= first.doomed_packs,
        "{again:?}"
    );
    let new = files(&records)?;
    assert_eq!((old.len(), new.len()), (1, 1));
    assert_ne!(old, new);
    let deletes = prune(&fixture.reopen().await?, at_once()).await?;
    assert!(deletes.deleted_packs >= again.doomed_packs, "{deletes:?}");
    is_whole(&fixture.reopen().await?, versions[4], 4).await
}

/// Does something when the first phase has ended and nobody holds a lock.
fn between_the_phases(store: &Arc<Watched>, act: impl FnOnce() + Send + 'static) {
    let again = Arc::clone(store);
    store.before(Deed::Put, "locks", move || {
        again.before(Deed::Put, "locks", act);
    });
}

/// A repository on disk, the store through which it is pruned, and its snapshots, of which all but the last are forgotten.
async fn forgotten() -> Result<(Fixture, Arc<Watched>, Repository, Vec<SnapshotId>)> {
    let fixture = Fixture::new().await?;
    let versions = history(&fixture.repository, 5).await?;
    fixture.repository.forget(&versions[..4]).await?;
    let disk = LocalFileSystem::new_with_prefix(fixture.path())?;
    let store = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
    let ours = Repository::open(storage(&store), PASSWORD, options()).await?;
    Ok((fixture, store, ours, versions))
}

#[tokio::test]
async fn whoever_finds_between_the_phases_that_somebody_pruned_leaves_the_rest() -> Result<()> {
    let (fixture, store, ours, versions) = forgotten().await?;
    let path = fixture.path();
    between_the_phases(&store, move || {
        meanwhile(async move { prune(&open(&path).await?, at_once()).await });
    });
    let report = prune(&ours, at_once()).await?;
    assert!(report.postponed && report.deleted_packs == 0, "{report:?}");
    prune(&ours, at_once()).await?;
    for ours in [&ours, &fixture.reopen().await?] {
        is_whole(ours, versions[4], 4).await?;
        assert!(ours.verify(|_| {}).await?.is_sound());
    }
    Ok(())
}

/// restic takes one of two copies for superfluous: the new one, perhaps.
#[tokio::test]
async fn what_was_copied_and_is_gone_before_the_second_phase_keeps_the_old_copy() -> Result<()> {
    let (fixture, store, ours, versions) = forgotten().await?;
    let path = fixture.path();
    let before = files(&path)?;
    let (there, old) = (path.clone(), before.clone());
    between_the_phases(&store, move || {
        for top in ["index", "data"] {
            for file in files(&there.join(top)).expect("they are listed") {
                if !old.contains(&file) {
                    std::fs::remove_file(file).expect("it is removed");
                }
            }
        }
    });
    let refused = ours.prune(at_once(), |_| {}).await.err();
    let needs_repair = matches!(refused, Some(Error::NeedsRepair { .. }));
    assert!(needs_repair, "{refused:?}");
    let left = files(&path)?;
    let gone: Vec<&PathBuf> = before.iter().filter(|file| !left.contains(file)).collect();
    assert!(gone.is_empty(), "{gone:?}");
    let ours = fixture.reopen().await?;
    is_whole(&ours, versions[4], 4).await?;
    // The next one looks anew.
    prune(&ours, at_once()).await?;
    is_whole(&ours, versions[4], 4).await?;
    assert!(ours.verify(|_| {}).await?.is_sound());
    Ok(())
}

/// Abuse 24: old index files stay because the storage does not let them go, and what replaced them is lost.
#[tokio::test]
async fn an_index_file_that_was_replaced_goes_only_when_others_list_its_packs() -> Result<()> {
    let (fixture, store, ours, versions) = forgotten().await?;
    let index = fixture.path().join("index");
    let before = files(&index)?;
    store.forbid(Deed::Delete, "index");
    let denied = prune(&ours, at_once()).await?;
    assert!(denied.denied_deletions > 0, "{denied:?}");
    let new = files(&index)?
        .into_iter()
        .filter(|file| !before.contains(file));
    for file in new {
        std::fs::remove_file(file)?;
    }
    store.permit_all();
    for _ in 0..2 {
        let ours = fixture.reopen().await?;
        prune(&ours, at_once()).await?;
        is_whole(&ours, versions[4], 4).await?;
        assert!(ours.verify(|_| {}).await?.is_sound());
    }
    Ok(())
}

/// What was killed after new index files were stored, and before the old ones were deleted, left every pack listed twice.
#[tokio::test]
async fn packs_that_are_listed_twice_are_listed_once_again() -> Result<()> {
    let (fixture, store, ours, versions) = forgotten().await?;
    let dying = Arc::clone(&store);
    store.before(Deed::Delete, "index", move || dying.die_after(0));
    assert!(ours.prune(at_once(), |_| {}).await.is_err());
    let listings = async || -> Result<(u64, u64)> {
        let report = fixture.reopen().await?.verify(|_| {}).await?;
        assert!(report.is_sound(), "{report:?}");
        let stored = files(&fixture.path().join("data"))?.len() as u64;
        Ok((report.packs, stored - report.unlisted_packs))
    };
    let (twice, packs) = listings().await?;
    assert!(twice > packs, "{twice} listings of {packs} packs");
    let ours = fixture.reopen().await?;
    prune(&ours, at_once()).await?;
    let (once, packs) = listings().await?;
    assert_eq!(once, packs);
    is_whole(&ours, versions[4], 4).await
}

#[tokio::test]
async fn a_pack_that_is_gone_and_that_nothing_needs_is_listed_no_more() -> Result<()> {
    let fixture = Fixture::new().await?;
    let ours = &fixture.repository;
    let with = with_a(ours, None, 0).await?;
    let mut draft = ours.draft(Some(with)).await?;
    draft.remove("a").await?;
    put(&mut draft, "b", "b").await?;
    draft.commit(meta(1)).await?;
    ours.forget(&[with]).await?;
    let packs = files(&fixture.path().join("data"))?;
    let size = |pack: &&PathBuf| std::fs::metadata(pack).map_or(0, |meta| meta.len());
    std::fs::remove_file(packs.iter().max_by_key(size).context("there are packs")?)?;
    prune(ours, PruneOptions::default()).await?;
    let reopened = fixture.reopen().await?;
    assert!(reopened.verify(|_| {}).await?.is_sound());
    for restic in testkit::restic::both() {
        restic.check(&fixture.path(), PASSWORD)?;
    }
    Ok(())
}

/// Whoever pruned knows what is gone.
#[tokio::test]
async fn what_was_deleted_is_stored_again_by_whoever_deleted_it() -> Result<()> {
    let doomed = Doomed::new().await?;
    doomed.ours.stats().await?;
    doomed.clock.advance(DAY * 2);
    let deletes = prune(&doomed.ours, PruneOptions::default()).await?;
    assert!(deletes.deleted_bytes > 6 << 20, "{deletes:?}");
    let mut draft = doomed.ours.draft(Some(doomed.without)).await?;
    put(&mut draft, "a", noise(6 << 20, 1)).await?;
    let again = draft.commit(meta(2)).await?.context("it has changed")?;
    let read = view(&doomed.other().await?, again)
        .await?
        .read_path("a")
        .await?;
    assert_eq!(read, Some(noise(6 << 20, 1)));
    Ok(())
}

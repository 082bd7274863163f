//! Abuse 12: the power is lost at any moment of two commits. What was written is replayed into new stores, in every way in which it could be there.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use repository::{Error, Repository, SnapshotId, Storage};
use testkit::store::{Fate, History, Objects, Recorded, fill};

use crate::support::{PASSWORD, commit, meta, noise, options, put, text};

const FILES: u64 = 5;
/// Random fates of what was under way or was not synchronised, for each moment at which there are more of them than can all be tried.
const FATES: usize = 8;
/// So many calls under way can have every fate.
const ALL_FATES_OF: usize = 3;

/// Two commits at the same time upon an earlier snapshot, as they were recorded.
struct Commit {
    before: Objects,
    first: SnapshotId,
    /// The new snapshots, and what their `a/b` holds.
    new: [(SnapshotId, &'static str); 2],
    history: History,
}

async fn recorded() -> Result<Commit> {
    // On a disk, where writes take long enough to overlap.
    let folder = tempfile::tempdir()?;
    let disk = LocalFileSystem::new_with_prefix(folder.path())?.with_fsync(true);
    let store = Recorded::new(Arc::new(disk));
    let storage = Storage::new(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let ours = Repository::init(storage, PASSWORD, options()).await?;
    let first = commit(&ours, None, 0, &[("a/b", "old"), ("a/c", "c")]).await?;
    let before = store.objects().await?;
    store.take();
    let (second, beside) = futures_util::join!(
        grown(&ours, first, "new", 0),
        grown(&ours, first, "beside", 100)
    );
    Ok(Commit {
        before,
        first,
        new: [(second?, "new"), (beside?, "beside")],
        history: store.take(),
    })
}

/// A snapshot upon the first one, with new files.
async fn grown(
    ours: &Repository,
    first: SnapshotId,
    content: &'static str,
    seed: u64,
) -> Result<SnapshotId> {
    let mut draft = ours.draft(Some(first)).await?;
    put(&mut draft, "a/b", content).await?;
    for n in 0..FILES {
        put(&mut draft, &format!("d/{n}"), noise(200_000, seed + n)).await?;
    }
    draft.commit(meta(60)).await?.context("it changed")
}

impl Commit {
    /// Whether the repository is as it should be after a loss of power: sound, with the first snapshot as it was, and ready for the next.
    async fn is_sound(&self, objects: &Objects) -> Result<bool> {
        match self.go_on(objects).await {
            Err(error) if matches!(error.downcast_ref(), Some(Error::Damaged { .. })) => Ok(false),
            outcome => outcome,
        }
    }

    async fn go_on(&self, objects: &Objects) -> Result<bool> {
        let store = InMemory::new();
        fill(&store, objects).await?;
        let ours = Repository::open(Storage::new(Arc::new(store)), PASSWORD, options()).await?;
        ensure!(text(&ours, self.first, "a/b").await?.as_deref() == Some("old"));
        let snapshots = ours.snapshots().await?;
        if !ours.verify(|_| {}).await?.is_sound() {
            return Ok(false);
        }
        let last = snapshots.last().context("the first is there")?.0;
        for (id, content) in self.new {
            if snapshots.iter().any(|(there, _)| *there == id) {
                ensure!(text(&ours, id, "a/b").await?.as_deref() == Some(content));
            }
        }
        let next = commit(&ours, Some(last), 90, &[("a/c", "next")]).await?;
        Ok(text(&ours, next, "a/c").await?.as_deref() == Some("next"))
    }
}

/// Each call gets a fate at random.
fn fates(calls: &[usize], random: &mut StdRng, torn: bool) -> Vec<(usize, Fate)> {
    let choices = [Fate::Done, Fate::Lost, Fate::Torn];
    let fate = |random: &mut StdRng| choices[random.random_range(..2 + usize::from(torn))];
    calls.iter().map(|call| (*call, fate(random))).collect()
}

/// Every subset of the calls that are under way, or some of them when there are many.
fn subsets(calls: &[usize], random: &mut StdRng) -> Vec<Vec<(usize, Fate)>> {
    if calls.len() > ALL_FATES_OF {
        return (0..FATES).map(|_| fates(calls, random, false)).collect();
    }
    let subset = |chosen: usize| {
        let fate = |at: usize| match chosen >> at & 1 {
            1 => Fate::Done,
            _ => Fate::Lost,
        };
        let calls = calls.iter().enumerate();
        calls.map(|(at, call)| (*call, fate(at))).collect()
    };
    (0..1 << calls.len()).map(subset).collect()
}

/// As the writer is: every write is durable when it returns, and whole or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn no_loss_of_power_harms_what_was_durable() -> Result<()> {
    let commit = recorded().await?;
    let history = &commit.history;
    assert!(history.concurrent() > 1, "writes overlap");
    let mut random = StdRng::seed_from_u64(12);
    let mut replayed = 0;
    for moment in 0..history.moments() {
        let open = history.under_way(moment);
        for fates in subsets(&open, &mut random) {
            let objects = history.at(moment, &commit.before, &fates);
            assert!(commit.is_sound(&objects).await?, "{moment}: {fates:?}");
            replayed += 1;
        }
    }
    assert!(replayed > history.moments());
    Ok(())
}

/// What durability is for: without it, some of what could be left is unsound, and always because something is there and what it refers to is not.
#[tokio::test(flavor = "multi_thread")]
async fn without_durable_writes_the_order_is_what_counts() -> Result<()> {
    let commit = recorded().await?;
    let history = &commit.history;
    let mut random = StdRng::seed_from_u64(12);
    let all = history.ended(history.moments());
    for kept in 0..=all.len() {
        // Everything up to some call and nothing after it, as a journal that keeps the order would leave it.
        let fates: Vec<_> = all[kept..].iter().map(|call| (*call, Fate::Lost)).collect();
        let objects = history.at(history.moments(), &commit.before, &fates);
        assert!(commit.is_sound(&objects).await?, "a prefix of {kept}");
    }
    let mut unsound = 0;
    for moment in 0..history.moments() {
        // What was under way may have been done before what had ended.
        let calls = [history.ended(moment), history.under_way(moment)].concat();
        for _ in 0..FATES / 2 {
            let mut fates = fates(&calls, &mut random, true);
            // Half a lock counts as somebody's until it is old.
            fates.retain(|(call, _)| !history.path(*call).as_ref().starts_with("locks/"));
            let objects = history.at(moment, &commit.before, &fates);
            if !commit.is_sound(&objects).await? {
                assert!(refers_to_nothing(history, &fates), "{moment}: {fates:?}");
                unsound += 1;
            }
        }
    }
    assert!(unsound > 0, "or this test would see no damage at all");
    Ok(())
}

/// Whether something is torn, or done though an earlier write of what it may refer to is not.
fn refers_to_nothing(history: &History, fates: &[(usize, Fate)]) -> bool {
    let rank = |call: usize| {
        let path = history.path(call).as_ref();
        let folders = ["data/", "index/", "snapshots/"];
        folders.iter().position(|folder| path.starts_with(folder))
    };
    let lost = |(_, fate): &&(usize, Fate)| *fate != Fate::Done;
    let lowest = fates
        .iter()
        .filter(lost)
        .filter_map(|(call, _)| rank(*call))
        .min();
    let there = fates.iter().filter(|(_, fate)| *fate != Fate::Lost);
    let highest = there.filter_map(|(call, _)| rank(*call)).max();
    let torn = fates.iter().any(|(_, fate)| *fate == Fate::Torn);
    torn || lowest.is_some_and(|lowest| highest.is_some_and(|highest| lowest < highest))
}

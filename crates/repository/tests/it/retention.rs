//! Any sequence of backups, forgetting, pruning, crashes and waiting leaves exactly the snapshots that were kept, each as it was made.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use model::{SharedClock, SimulatedClock};
use proptest::{prelude::*, test_runner::Config};
use repository::{Error, Options, PruneOptions, RepairOptions, Repository, SnapshotId};
use testkit::store::Watched;

use crate::support::{PASSWORD, in_memory, meta, noise, options, put, storage, time, view};

#[derive(Clone, Debug)]
enum Step {
    /// File so and so gets such content, through a handle that is kept or a new one.
    Store(u8, u8, bool),
    Remove(u8),
    /// The snapshot at this place, counted round.
    Forget(u8),
    /// With or without a day's grace; dies after so many writes.
    Prune(bool, Option<u8>),
    Repair,
    Wait(u8),
}

/// What each snapshot holds: a number of content for a number of a file.
type Plain = BTreeMap<u8, u8>;

struct World {
    store: Arc<Watched>,
    clock: SimulatedClock,
    kept: Repository,
    snapshots: Vec<(SnapshotId, Plain)>,
    made: i64,
}

impl World {
    async fn new() -> anyhow::Result<Self> {
        let (_, store) = in_memory().await?;
        let clock = SimulatedClock::new(time(0));
        let kept = open(&store, &clock).await?;
        Ok(Self {
            store,
            clock,
            kept,
            snapshots: Vec::new(),
            made: 0,
        })
    }

    async fn apply(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::Store(file, number, anew) => {
                let ours = if *anew {
                    open(&self.store, &self.clock).await?
                } else {
                    self.kept.clone()
                };
                self.commit(&ours, *file, Some(*number)).await
            }
            Step::Remove(file) => {
                let ours = self.kept.clone();
                self.commit(&ours, *file, None).await
            }
            Step::Forget(at) => self.forget(usize::from(*at)).await,
            Step::Prune(grace, dies) => self.prune(*grace, *dies).await,
            Step::Repair => {
                let report = self.kept.repair(RepairOptions::default(), |_| {}).await?;
                ensure!(report.lost.is_empty(), "{report:?}");
                Ok(())
            }
            Step::Wait(hours) => {
                self.clock
                    .advance(Duration::from_secs(u64::from(*hours) * 3600));
                Ok(())
            }
        }
    }

    /// Somebody may have pruned since the handle looked; the next attempt, with what is there now, must succeed.
    async fn commit(
        &mut self,
        ours: &Repository,
        file: u8,
        number: Option<u8>,
    ) -> anyhow::Result<()> {
        let outdated = match self.try_commit(ours, file, number).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let pruned = matches!(outdated.downcast_ref(), Some(Error::Pruned));
        ensure!(pruned, outdated);
        let ours = open(&self.store, &self.clock).await?;
        self.try_commit(&ours, file, number).await
    }

    async fn try_commit(
        &mut self,
        ours: &Repository,
        file: u8,
        number: Option<u8>,
    ) -> anyhow::Result<()> {
        let (parent, mut plain) = match self.snapshots.last() {
            Some((id, plain)) => (Some(*id), plain.clone()),
            None => (None, Plain::new()),
        };
        let before = plain.clone();
        let mut draft = ours.draft(parent).await?;
        let path = format!("{}/{file}", file % 2);
        match number {
            Some(number) => {
                put(&mut draft, &path, content(number)).await?;
                plain.insert(file, number);
            }
            None => {
                draft.remove(&path).await?;
                plain.remove(&file);
            }
        }
        self.made += 1;
        let id = draft.commit(meta(self.made)).await?;
        ensure!(id.is_none() == (plain == before && parent.is_some()));
        self.snapshots.extend(id.map(|id| (id, plain)));
        Ok(())
    }

    async fn forget(&mut self, at: usize) -> anyhow::Result<()> {
        if self.snapshots.len() < 2 {
            return Ok(());
        }
        let (id, _) = self.snapshots.remove(at % self.snapshots.len());
        let forgotten = self.kept.forget(&[id]).await?;
        ensure!(forgotten.removed == [id], "{forgotten:?}");
        Ok(())
    }

    async fn prune(&mut self, grace: bool, dies: Option<u8>) -> anyhow::Result<()> {
        let mut options = PruneOptions::default();
        if !grace {
            options.grace = Duration::ZERO;
        }
        let Some(writes) = dies else {
            self.kept.prune(options, |_| {}).await?;
            return Ok(());
        };
        let dying = Watched::new(Arc::clone(&self.store) as _);
        let killed = open(&dying, &self.clock).await?;
        dying.die_after(usize::from(writes));
        killed.prune(options, |_| {}).await.ok();
        // The next start removes the dead lock, which belongs to this very process and is not held any more.
        open(&self.store, &self.clock).await?;
        Ok(())
    }

    async fn is_right(&self) -> anyhow::Result<()> {
        let fresh = open(&self.store, &self.clock).await?;
        for ours in [&self.kept, &fresh] {
            let mut there: Vec<_> = ours
                .snapshots()
                .await?
                .into_iter()
                .map(|(id, _)| id)
                .collect();
            let mut expected: Vec<_> = self.snapshots.iter().map(|(id, _)| *id).collect();
            there.sort();
            expected.sort();
            ensure!(there == expected);
            for (id, plain) in &self.snapshots {
                let view = view(ours, *id).await?;
                for file in 0..8 {
                    let read = view.read_path(&format!("{}/{file}", file % 2)).await?;
                    let expected = plain.get(&file).map(|number| content(*number));
                    ensure!(read == expected, "file {file} of {id}");
                }
            }
        }
        let report = fresh.verify(|_| {}).await?;
        ensure!(report.is_sound(), "{report:?}");
        Ok(())
    }
}

async fn open(store: &Arc<Watched>, clock: &SimulatedClock) -> anyhow::Result<Repository> {
    let options = Options {
        clock: Arc::new(clock.clone()) as SharedClock,
        ..options()
    };
    Ok(Repository::open(storage(store), PASSWORD, options).await?)
}

fn content(number: u8) -> bytes::Bytes {
    noise(usize::from(number) * 3000, number.into())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..8_u8, 0..12_u8, any::<bool>()).prop_map(|(file, number, anew)| Step::Store(file, number, anew)),
        1 => (0..8_u8).prop_map(Step::Remove),
        3 => any::<u8>().prop_map(Step::Forget),
        3 => (any::<bool>(), prop::option::of(0..20_u8)).prop_map(|(grace, dies)| Step::Prune(grace, dies)),
        1 => Just(Step::Repair),
        2 => (1..30_u8).prop_map(Step::Wait),
    ]
}

async fn every_snapshot_stays_as_it_was(steps: &[Step]) -> anyhow::Result<()> {
    let mut world = World::new().await?;
    for step in steps {
        let applied = world.apply(step).await;
        applied.with_context(|| format!("{step:?}"))?;
        let right = world.is_right().await;
        right.with_context(|| format!("after {step:?}"))?;
    }
    // In the end all that nothing needs can go.
    world.prune(false, None).await?;
    world.prune(false, None).await?;
    world.is_right().await?;
    let packs = world.kept.stats().await?.packs;
    ensure!(packs <= 3, "{packs} packs for less than a megabyte");
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 16, ..Config::default() })]
    #[test]
    fn what_is_kept_stays_as_it_was(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        let outcome = runtime.block_on(every_snapshot_stays_as_it_was(&steps));
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
    }
}

//! Maintenance that was stopped for longer than a lock lives, and whose lock somebody took away: it deletes and records no more.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use model::{SharedClock, SimulatedClock};
use object_store::{ObjectStore, local::LocalFileSystem};
use repository::{Error, Options, PruneOptions, RepairOptions, Repository, SnapshotId};
use testkit::store::{
    Deed::{self, Delete, List, Put},
    Watched,
};

use crate::{
    history::history,
    support::{Fixture, PASSWORD, commit, files, options, storage, time},
};

/// Long enough for a lock to be looked at before the next write.
const NAP: Duration = Duration::from_secs(10 * 60);

/// An operation that needs a lock throughout.
#[derive(Clone, Copy, Debug)]
enum Work {
    Forget,
    /// That has something to copy.
    Prune,
    /// That has nothing to copy, only to record.
    Record,
    /// That deletes what an earlier one recorded.
    Delete,
    Repair,
    /// That finds a damaged pack which no index file lists, so that it has only to record.
    Doom,
}

/// Immediately before the first of these deeds, when all others have been met in their order, the lock is taken away.
#[derive(Clone, Debug)]
struct When {
    work: Work,
    deeds: Vec<(Deed, &'static str)>,
    /// Whether time passes, too: without, only what looks at the storage can notice.
    asleep: bool,
    /// What must not be written or deleted afterwards, beside the deed itself.
    never: &'static [(Deed, &'static str)],
}

fn when(
    work: Work,
    deeds: &[(Deed, &'static str)],
    never: &'static [(Deed, &'static str)],
) -> When {
    When {
        work,
        deeds: deeds.to_vec(),
        asleep: true,
        never,
    }
}

fn take_locks_away(repository: &Path) {
    for lock in files(&repository.join("locks")).expect("locks are listed") {
        std::fs::remove_file(lock).expect("a lock is removed");
    }
}

/// Does `act` before the last of these deeds, once those before it were done.
fn arm(store: &Arc<Watched>, deeds: &[(Deed, &'static str)], act: Box<dyn FnOnce() + Send>) {
    let Some((first, rest)) = deeds.split_first() else {
        return act();
    };
    let (again, rest) = (Arc::clone(store), rest.to_vec());
    store.before(first.0, first.1, move || arm(&again, &rest, act));
}

/// Abuse 18.
#[tokio::test]
async fn whoever_lost_his_lock_deletes_and_records_no_more() -> Result<()> {
    const WRITES: &[(Deed, &str)] = &[
        (Put, "index"),
        (Put, "keepwell"),
        (Put, "snapshots"),
        (Delete, "index"),
        (Delete, "data"),
        (Delete, "keepwell"),
        (Delete, "snapshots"),
    ];
    const PACKS: &[(Deed, &str)] = &[(Put, "data")];
    // The lock of the first phase is given back, then comes the second.
    const SECOND: (Deed, &str) = (Delete, "locks");
    let cases = [
        when(Work::Forget, &[(Delete, "snapshots")], WRITES),
        when(Work::Prune, &[(Put, "data")], WRITES),
        when(Work::Prune, &[(Put, "data")], PACKS),
        when(Work::Prune, &[(Put, "data"), (Put, "data")], WRITES),
        when(Work::Prune, &[(Put, "index")], WRITES),
        when(Work::Record, &[(List, "snapshots")], WRITES),
        when(Work::Delete, &[SECOND, (List, "index")], WRITES),
        when(Work::Delete, &[SECOND, (Put, "index")], &WRITES[1..]),
        when(Work::Delete, &[SECOND, (Delete, "index")], WRITES),
        when(Work::Delete, &[SECOND, (Delete, "data")], WRITES),
        when(Work::Repair, &[(List, "snapshots")], WRITES),
        when(Work::Repair, &[(Put, "data")], WRITES),
        when(Work::Repair, &[(Put, "index")], &WRITES[1..]),
        when(Work::Repair, &[(Delete, "index")], WRITES),
        when(Work::Repair, &[(Put, "keepwell")], &WRITES[2..]),
        when(Work::Repair, &[(Delete, "snapshots")], WRITES),
        when(Work::Doom, &[(List, "index")], WRITES),
        // Somebody who looks only at his watch notices nothing.
        When {
            asleep: false,
            ..when(Work::Delete, &[SECOND, (Put, "index")], &WRITES[1..])
        },
        When {
            asleep: false,
            ..when(Work::Delete, &[SECOND, (Delete, "index")], &WRITES[4..])
        },
    ];
    for case in cases {
        let checked = check(&case).await;
        checked.with_context(|| format!("{case:?}"))?;
    }
    Ok(())
}

async fn check(case: &When) -> Result<()> {
    let fixture = Fixture::new().await?;
    let path = fixture.path();
    let clock = SimulatedClock::new(time(0));
    let versions = prepare(&fixture, case.work, &clock).await?;
    let disk = LocalFileSystem::new_with_prefix(&path)?;
    let store = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
    let ours = Repository::open(storage(&store), PASSWORD, with_clock(&clock)).await?;
    let (watched, at_work) = (Arc::clone(&store), path.clone());
    let nap = if case.asleep { NAP } else { Duration::ZERO };
    let act = move || {
        take_locks_away(&at_work);
        clock.advance(nap);
        watched.take();
    };
    arm(&store, &case.deeds, Box::new(act));
    let at_once = PruneOptions {
        grace: Duration::ZERO,
        ..PruneOptions::default()
    };
    let failed = match case.work {
        Work::Forget => ours.forget(&versions[..3]).await.err(),
        Work::Prune | Work::Record => ours.prune(PruneOptions::default(), |_| {}).await.err(),
        Work::Delete => ours.prune(at_once, |_| {}).await.err(),
        Work::Repair | Work::Doom => ours.repair(RepairOptions::default(), |_| {}).await.err(),
    };
    let mut after = store.take().into_iter();
    let struck = case.deeds.last().copied();
    let first = after.next();
    ensure!(
        first == struck.map(|(deed, top)| (deed, top.to_owned())),
        "the lock was taken away before {first:?}"
    );
    ensure!(matches!(failed, Some(Error::LockLost)), "{failed:?}");
    let wrong: Vec<_> = after
        .filter(|(deed, top)| case.never.contains(&(*deed, top)))
        .collect();
    ensure!(wrong.is_empty(), "it went on: {wrong:?}");
    Ok(())
}

fn with_clock(clock: &SimulatedClock) -> Options {
    Options {
        clock: Arc::new(clock.clone()) as SharedClock,
        ..options()
    }
}

/// A repository in which there is more than one of everything that the work has to do with.
async fn prepare(fixture: &Fixture, work: Work, clock: &SimulatedClock) -> Result<Vec<SnapshotId>> {
    let ours = Repository::open(
        repository::Storage::local(fixture.path())?,
        PASSWORD,
        with_clock(clock),
    )
    .await?;
    let versions = history(&ours, 5).await?;
    match work {
        Work::Forget => {}
        Work::Prune => drop(ours.forget(&versions[..4]).await?),
        Work::Record => {
            // Nothing of the others is in these packs.
            let other = commit(&ours, None, 90, &[("a", "a")]).await?;
            ours.forget(&versions).await?;
            return Ok(vec![other]);
        }
        Work::Delete => {
            ours.forget(&versions[..4]).await?;
            ours.prune(PruneOptions::default(), |_| {}).await?;
        }
        Work::Doom => {
            let pack = fixture.path().join("data/00").join("0".repeat(64));
            std::fs::create_dir_all(pack.parent().context("it is below")?)?;
            std::fs::write(pack, "garbage")?;
        }
        Work::Repair => {
            let index = files(&fixture.path().join("index"))?;
            for file in &index[..2] {
                std::fs::write(file, "garbage")?;
            }
            let mut packs = files(&fixture.path().join("data"))?;
            packs.sort_by_key(|pack| std::fs::metadata(pack).map_or(0, |meta| meta.len()));
            let pack = packs.last().context("there are packs")?;
            let mut bytes = std::fs::read(pack)?;
            bytes[20] ^= 4;
            std::fs::write(pack, bytes)?;
            for digit in ["0", "1"] {
                let garbage = fixture.path().join("snapshots").join(digit.repeat(64));
                std::fs::write(garbage, "garbage")?;
            }
        }
    }
    Ok(versions)
}

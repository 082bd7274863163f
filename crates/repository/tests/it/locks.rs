//! Locks as restic sees them, and restic's as we see them.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use model::{SharedClock, SimulatedClock};
use repository::{Error, Options, Repository};

use crate::support::{
    Fixture, PASSWORD, commit, files, in_memory, meta, noise, options, put, storage, time,
};

#[tokio::test]
async fn restic_waits_for_a_draft_that_writes_and_not_for_one_that_does_not() -> anyhow::Result<()>
{
    let Some(restic) = testkit::restic::stock() else {
        return Ok(());
    };
    let fixture = Fixture::new().await?;
    let path = &fixture.path();
    let mut draft = fixture.repository.draft(None).await?;
    put(&mut draft, "small", "small").await?;
    restic.check(path, PASSWORD)?;
    for number in 0..40 {
        put(&mut draft, &format!("{number}"), noise(1_000_000, number)).await?;
    }
    let refused = restic.run(path, PASSWORD, ["prune"])?;
    assert!(!refused.success);
    assert!(refused.stderr.contains("locked"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("test"),
        "it names the instance: {}",
        refused.stderr
    );
    restic.run(path, PASSWORD, ["unlock"])?.into_result()?;
    assert_eq!(files(&path.join("locks"))?.len(), 1, "it is not stale");
    draft.commit(meta(0)).await?.context("it has files")?;
    restic.run(path, PASSWORD, ["prune"])?.into_result()?;
    restic.check(path, PASSWORD)?;
    Ok(())
}

fn with_clock(clock: &SimulatedClock) -> Options {
    Options {
        clock: Arc::new(clock.clone()) as SharedClock,
        ..options()
    }
}

/// Abuse 18.
#[tokio::test]
async fn a_writer_whose_lock_was_taken_away_while_it_slept_gives_up() -> anyhow::Result<()> {
    let (_, store) = in_memory().await?;
    let clock = SimulatedClock::new(time(0));
    let sleeper = Repository::open(storage(&store), PASSWORD, with_clock(&clock)).await?;
    let mut draft = sleeper.draft(None).await?;
    for number in 0..40 {
        put(&mut draft, &format!("{number}"), noise(1_000_000, number)).await?;
    }
    clock.advance(Duration::from_secs(3600));
    // Another instance takes the lock for stale and removes it.
    let other = Options {
        instance: "other".to_owned(),
        ..with_clock(&clock)
    };
    Repository::open(storage(&store), PASSWORD, other).await?;
    let outcome = draft.commit(meta(0)).await;
    assert!(matches!(outcome, Err(Error::LockLost)), "{outcome:?}");
    assert!(sleeper.snapshots().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_lock_that_nobody_took_away_is_refreshed_and_holds() -> anyhow::Result<()> {
    let (_, store) = in_memory().await?;
    let clock = SimulatedClock::new(time(0));
    let ours = Repository::open(storage(&store), PASSWORD, with_clock(&clock)).await?;
    let mut draft = ours.draft(None).await?;
    for number in 0..80 {
        clock.advance(Duration::from_secs(60));
        put(&mut draft, &format!("{number}"), noise(1_000_000, number)).await?;
    }
    clock.advance(Duration::from_secs(3600));
    assert!(draft.commit(meta(0)).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_parent_that_was_removed_meanwhile_is_noticed() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let first = commit(&fixture.repository, None, 0, &[("a", "a")]).await?;
    let mut draft = fixture.repository.draft(Some(first)).await?;
    put(&mut draft, "b", "b").await?;
    for snapshot in files(&fixture.path().join("snapshots"))? {
        std::fs::remove_file(snapshot)?;
    }
    let outcome = draft.commit(meta(60)).await;
    assert!(matches!(outcome, Err(Error::Pruned)), "{outcome:?}");
    assert!(files(&fixture.path().join("locks"))?.is_empty());
    Ok(())
}

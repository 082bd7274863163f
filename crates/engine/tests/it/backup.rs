//! Backups: first ones, quiet ones, and what happens between two.

use anyhow::{Context, Result};
use emulator::{Churn, World};

use crate::stage::{Stage, differences};

/// No differences.
const NONE: [String; 0] = [];

#[tokio::test]
async fn everything_is_held_byte_for_byte_and_restic_reads_it() -> Result<()> {
    let stage = Stage::start(World::new().users(3, 7)).await?;
    let accounts = stage.accounts().await?;
    assert_eq!(accounts.len(), 3);
    for account in &accounts {
        let outcome = stage.back_up(account).await?;
        assert!(outcome.report.is_complete(), "{:?}", outcome.report);
        let snapshot = outcome
            .snapshot
            .context("a first backup makes a snapshot")?;
        let source = stage.source(account)?;
        assert!(source.len() > 20, "the mailbox has mail");
        assert_eq!(
            differences(&stage.snapshot(account, snapshot).await?, &source),
            NONE
        );
        stage.restic_agrees(account)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_quiet_run_writes_nothing_and_asks_only_for_changes() -> Result<()> {
    let stage = Stage::start(World::new().users(1, 7)).await?;
    let account = stage.accounts().await?.remove(0);
    let first = stage.back_up(&account).await?;
    let before = stage.graph.counters();
    let second = stage.back_up(&account).await?;
    let asked = stage.graph.counters().since(&before);
    assert_eq!(second.snapshot, None);
    assert_eq!(
        asked.total(),
        first.report.folders + 1,
        "one for the hierarchy and one for each folder: {asked:?}"
    );
    assert!(
        asked.requests.keys().all(|kind| kind.contains("delta")),
        "{asked:?}"
    );
    Ok(())
}

#[tokio::test]
async fn whatever_happens_between_two_runs_the_snapshot_is_the_source() -> Result<()> {
    let stage = Stage::start(World::new().users(2, 7)).await?;
    for round in 0..6 {
        for account in stage.accounts().await? {
            let outcome = stage.back_up(&account).await?;
            assert!(outcome.report.is_complete(), "{:?}", outcome.report);
            let snapshot = match outcome.snapshot {
                Some(snapshot) => snapshot,
                None => anyhow::bail!("round {round} changed something"),
            };
            let found = differences(
                &stage.snapshot(&account, snapshot).await?,
                &stage.source(&account)?,
            );
            assert_eq!(found, NONE, "round {round}");
        }
        let churn = Churn {
            seed: round,
            events: 40,
            lost_moves: 0.5,
        };
        let _ = churn.run(stage.emulator.tenant(), stage.emulator.now());
    }
    for account in stage.accounts().await? {
        stage.restic_agrees(&account)?;
    }
    Ok(())
}

//! A seeded sample of the kill matrix.

use anyhow::{Result, ensure};
use trials::{
    kills::{self, Plan},
    strace::Disturbance,
};

use crate::support::{can_trace, worker};

/// How many workers are killed: enough that every operation and every kind of call is met, and few enough for a minute or two.
const POINTS: usize = 50;

/// How many workers fail with each error.
const FAILURES: usize = 10;

/// Abuse 1-3, 5, 6; survival 185.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_complete_survives_a_kill_at_any_boundary() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    let plan = Plan {
        points: Some(POINTS),
        seed: 3,
        ..Plan::default()
    };
    let report = kills::run(&plan, &worker()).await?;
    ensure!(report.there() >= POINTS, "{report}");
    Ok(())
}

/// Abuse 9, 10: the files that are not in a repository, too: the account's record, the note of its last snapshot, the local cache.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_complete_survives_a_failure_at_any_boundary() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    for (by, seed) in [(Disturbance::Eio, 4), (Disturbance::Enospc, 5)] {
        let plan = Plan {
            by,
            points: Some(FAILURES),
            seed,
            ..Plan::default()
        };
        let report = kills::run(&plan, &worker()).await?;
        ensure!(report.there() >= FAILURES, "{by:?}: {report}");
    }
    Ok(())
}

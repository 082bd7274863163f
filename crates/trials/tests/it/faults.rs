//! Storage that fails at the n-th call, for every n until none is hit.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use engine::Vault;
use model::RestoreId;
use testkit::store::{
    Lasting::{self, ForGood, Once},
    Trouble, Watched,
};
use trials::{
    Deed, Errand, Ground, folder, harm,
    judge::{self, Truth},
    mailbox,
};

/// What a judge is told of an errand that met trouble.
struct Struck {
    /// It said that all is done.
    succeeded: bool,
    asks_restic: bool,
}

/// More calls than any of these operations makes: whoever comes so far is caught in a loop.
const CALLS_MAX: usize = 2_000;

/// Stock restic looks at every so-manieth repository.
const RESTIC_EVERY: usize = 12;

/// Lets an errand fail at the n-th call for every n; `judge` looks at the folder after each time, when the trouble is over.
async fn at_every_call(
    ground: &Ground,
    base: &str,
    errand: Errand,
    (trouble, lasting): (Trouble, Lasting),
    judge: impl AsyncFn(&Vault, Struck) -> Result<()>,
) -> Result<usize> {
    for after in 0..CALLS_MAX {
        let data = ground.place("disturbed");
        folder::copy(&ground.place(base), &data)?;
        let store = Arc::new(std::sync::Mutex::new(Vec::<Arc<Watched>>::new()));
        let stores = Arc::clone(&store);
        let vault = Vault::open(&data)?.with_storage(move |storage| {
            storage.map(|inner| {
                let watched = Watched::new(inner);
                watched.trouble(trouble, after, lasting);
                if let Ok(mut stores) = stores.lock() {
                    stores.push(Arc::clone(&watched));
                }
                watched
            })
        });
        let outcome = errand.run_with(&vault).await;
        // A process that failed would end now; this one goes on, and removes the locks of abandoned work in its own time.
        repository::unlocked().await;
        let stores = std::mem::take(&mut *store.lock().map_err(|_| anyhow::anyhow!("poisoned"))?);
        // All of them, not only the first that was struck.
        let struck = stores.iter().filter(|store| store.relieve()).count();
        if struck == 0 {
            outcome.context("without any trouble")?;
            std::fs::remove_dir_all(&data)?;
            return Ok(after);
        }
        let succeeded = outcome.as_ref().is_ok_and(|answer| answer.complete);
        let struck = Struck {
            succeeded,
            asks_restic: after % RESTIC_EVERY == 0,
        };
        let judged = judge(&Vault::open(&data)?, struck).await;
        judged.with_context(|| format!("{trouble:?} {lasting:?} after {after}: {outcome:?}"))?;
        std::fs::remove_dir_all(&data)?;
    }
    anyhow::bail!("the operation makes more than {CALLS_MAX} calls")
}

/// A ground with an empty data folder, and one that holds a backup, after which the source has gone on.
async fn prepared() -> Result<(Ground, Truth)> {
    let ground = Ground::new().await?;
    Vault::create(&ground.place("empty"))?;
    folder::copy(&ground.place("empty"), &ground.place("filled"))?;
    let vault = Vault::open(&ground.place("filled"))?;
    ground.back_up(&vault).await?;
    let before = judge::held(&ground, &vault).await?;
    ground.go_on().await?;
    let truth = Truth {
        before,
        now: Arc::new(ground.source()?),
        kept: None,
        asks_restic: true,
    };
    Ok((ground, truth))
}

/// Lets an errand fail at every call in each of these ways; `judge` is told whether to ask restic this time.
async fn in_each_way(
    ground: &Ground,
    base: &str,
    deed: Deed,
    ways: [(Trouble, Lasting); 2],
    truth: &Truth,
    judge: impl AsyncFn(&Vault, &Truth) -> Result<()>,
) -> Result<()> {
    let errand = ground.errand(&ground.place("disturbed"), deed.clone());
    for way in ways {
        let judge = async |vault: &Vault, struck: Struck| {
            let truth = Truth {
                asks_restic: struck.asks_restic,
                ..truth.clone()
            };
            judge(vault, &truth).await
        };
        let calls = at_every_call(ground, base, errand.clone(), way, judge).await?;
        ensure!(calls > 3, "{deed:?} makes more than {calls} calls");
    }
    Ok(())
}

/// Abuse 9, 10.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_storage_fails_at_any_call_is_resumed() -> Result<()> {
    let (ground, truth) = prepared().await?;
    let ways = [(Trouble::Disk, Once), (Trouble::NoSpace, ForGood)];
    in_each_way(
        &ground,
        "filled",
        Deed::Backup,
        ways,
        &truth,
        async |vault, truth| judge::backup(&ground, vault.root(), truth).await,
    )
    .await
}

/// Abuse 9, 10.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_backup_whose_storage_fails_at_any_call_is_resumed() -> Result<()> {
    let (ground, mut truth) = prepared().await?;
    truth.before.clear();
    let ways = [(Trouble::Disk, ForGood), (Trouble::NoSpace, Once)];
    in_each_way(
        &ground,
        "empty",
        Deed::Backup,
        ways,
        &truth,
        async |vault, truth| judge::backup(&ground, vault.root(), truth).await,
    )
    .await
}

/// Abuse 9, 10.
#[tokio::test(flavor = "multi_thread")]
async fn a_prune_whose_storage_fails_at_any_call_loses_nothing() -> Result<()> {
    let (ground, mut truth) = prepared().await?;
    let vault = Vault::open(&ground.place("filled"))?;
    ground.back_up(&vault).await?;
    truth.before = judge::held(&ground, &vault).await?;
    truth.kept = Some(judge::newest(&ground, &vault).await?);
    let ways = [(Trouble::Disk, ForGood), (Trouble::NoSpace, Once)];
    in_each_way(
        &ground,
        "filled",
        Deed::Prune,
        ways,
        &truth,
        async |vault, truth| judge::backup(&ground, vault.root(), truth).await,
    )
    .await
}

/// Abuse 5, 9, 10: what a failing disk does not give is not taken for lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_whose_storage_fails_at_any_call_is_finished_by_the_next() -> Result<()> {
    let (ground, mut truth) = prepared().await?;
    let vault = Vault::open(&ground.place("filled"))?;
    ground.back_up(&vault).await?;
    truth.before = judge::held(&ground, &vault).await?;
    harm::befall(&vault.repository_path(&ground.account.id))?;
    let ways = [(Trouble::Disk, Once), (Trouble::NoSpace, ForGood)];
    in_each_way(
        &ground,
        "filled",
        Deed::Repair,
        ways,
        &truth,
        async |vault, truth| judge::repair(&ground, vault.root(), truth).await,
    )
    .await
}

/// Abuse 10: what cannot be read is reported, and never made up.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_whose_storage_fails_at_any_call_is_completed_later() -> Result<()> {
    let ground = Ground::new().await?;
    let vault = Vault::create(&ground.place("filled"))?;
    ground.back_up(&vault).await?;
    let expected = ground.at_source(&ground.account, |mailbox| mailbox::shown(mailbox, &[]))??;
    for (name, lasting) in [("once", Once), ("for good", ForGood)] {
        let deed = Deed::Restore {
            target: ground.other.id.clone(),
            folder: format!("Restored {name}"),
            restore: RestoreId::new(name)?,
        };
        let errand = ground.errand(&ground.place("disturbed"), deed.clone());
        let judge = async |vault: &Vault, struck: Struck| {
            if struck.succeeded {
                let there = ground.at_source(&ground.other, |mailbox| {
                    mailbox::shown(mailbox, &[&format!("Restored {name}")])
                })??;
                ensure!(there == expected, "it said that all is restored");
            }
            judge::restore(&ground, vault.root(), &deed, &expected).await
        };
        let trouble = (Trouble::Disk, lasting);
        at_every_call(&ground, "filled", errand, trouble, judge).await?;
    }
    Ok(())
}

//! What must hold after a worker was killed, whatever it was doing.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use engine::{
    Vault,
    snapshots::{PARTIAL_TAG, latest},
};
use repository::SnapshotId;

use crate::{
    errand::{ANY_AGE, Deed},
    folder,
    ground::Ground,
    mailbox::{self, Held, Shown},
};

/// What the source held when snapshots were taken.
#[derive(Clone, Debug)]
pub struct Truth {
    /// By snapshot, for those that there were before.
    pub before: BTreeMap<SnapshotId, Arc<Held>>,
    /// For snapshots that are new.
    pub now: Arc<Held>,
    /// When some may be forgotten: the one of those that there were before that must be there still.
    pub kept: Option<SnapshotId>,
    /// Whether stock restic is asked; our own verification is always.
    pub asks_restic: bool,
}

/// The repository that a killed worker left is sound as it is and once we have opened it, every snapshot says the truth, and the next backup takes up
/// the work by itself.
///
/// # Errors
/// When one of this does not hold.
pub async fn backup(ground: &Ground, data: &Path, truth: &Truth) -> Result<()> {
    let vault = Vault::open(data).context("the data folder cannot be opened")?;
    if has_repository(ground, &vault) {
        if truth.asks_restic {
            soundness(ground, &vault).await?;
        }
        snapshots(ground, &vault, truth).await?;
    }
    let outcome = ground.back_up(&vault).await.context("the next backup")?;
    ensure!(outcome.report.is_complete(), "{:?}", outcome.report);
    let repository = ground.repository(&vault).await?;
    let all = repository.snapshots().await?;
    let (id, last) = latest(&all).context("there is a snapshot")?;
    ensure!(
        !last.tags.iter().any(|tag| tag == PARTIAL_TAG),
        "it is partial"
    );
    let held = mailbox::snapshot(&repository, *id).await?;
    let found = mailbox::differences(&held, &truth.now);
    ensure!(found.is_empty(), "after the next backup: {found:?}");
    ensure!(
        ground.back_up(&vault).await?.snapshot.is_none(),
        "a backup without changes made a snapshot"
    );
    finish(ground, &vault).await
}

/// The repository that a killed restore read is sound, no message was restored twice, and the restore goes on until all are there once.
///
/// # Errors
/// When one of this does not hold.
pub async fn restore(ground: &Ground, data: &Path, deed: &Deed, expected: &Shown) -> Result<()> {
    let Deed::Restore { folder, .. } = deed else {
        anyhow::bail!("this is no restore");
    };
    let vault = Vault::open(data)?;
    soundness(ground, &vault).await?;
    let shown = || {
        ground.at_source(&ground.other, |mailbox| {
            mailbox::shown(mailbox, &[folder.as_str()])
        })?
    };
    let left = shown()?;
    // A message may lie there without its large attachments until the restore goes on, so that it is compared only then.
    let twice = left.iter().find(|(_, count)| **count > 1);
    ensure!(twice.is_none(), "a message was restored twice: {twice:?}");
    ensure!(left.len() <= expected.len(), "there are too many messages");
    let again = ground.errand(data, deed.clone());
    let answer = again.run().await.context("the restore goes on")?;
    ensure!(answer.complete, "a message failed when the restore went on");
    ensure!(shown()? == *expected, "the restored messages differ");
    let once_more = again.run().await?;
    ensure!(once_more.messages == 0, "a message was restored once more");
    Ok(())
}

/// A repository whose index was lost and of which a message is damaged, and whose repair was killed: the same again finds the one message lost, the
/// next backup fetches it, and then everything is as after a backup, the older snapshots included.
///
/// # Errors
/// When one of this does not hold.
pub async fn repair(ground: &Ground, data: &Path, truth: &Truth) -> Result<()> {
    let again = ground.errand(data, Deed::Repair);
    let answer = again.run().await.context("the repair goes on")?;
    ensure!(answer.messages == 1, "lost is one message: {answer:?}");
    let vault = Vault::open(data)?;
    let outcome = ground.back_up(&vault).await.context("what is lost")?;
    ensure!(outcome.report.is_complete(), "{:?}", outcome.report);
    let answer = again.run().await.context("a further repair")?;
    ensure!(answer.complete, "something is lost still: {answer:?}");
    backup(ground, data, truth).await
}

/// The last snapshot in a data folder.
///
/// # Errors
/// When there is none.
pub async fn newest(ground: &Ground, vault: &Vault) -> Result<SnapshotId> {
    let snapshots = ground.repository(vault).await?.snapshots().await?;
    let (id, _) = latest(&snapshots).context("there is no snapshot")?;
    Ok(*id)
}

/// What each snapshot in a data folder holds.
///
/// # Errors
/// When one cannot be read.
pub async fn held(ground: &Ground, vault: &Vault) -> Result<BTreeMap<SnapshotId, Arc<Held>>> {
    let mut held = BTreeMap::new();
    for (id, _) in ground.repository(vault).await?.snapshots().await? {
        held.insert(id, Arc::new(ground.snapshot(vault, id).await?));
    }
    Ok(held)
}

/// Whether the making of the repository came to its end; before that there is nothing to be sound.
fn has_repository(ground: &Ground, vault: &Vault) -> bool {
    vault
        .repository_path(&ground.account.id)
        .join("config")
        .exists()
}

/// `restic check --read-data --no-lock` finds no error in what was left, and plain `restic check` none once we have opened the repository.
async fn soundness(ground: &Ground, vault: &Vault) -> Result<()> {
    let path = vault.repository_path(&ground.account.id);
    let password = vault.password(&ground.account.id)?;
    let restic = testkit::restic::stock();
    if let Some(restic) = &restic {
        restic
            .run(&path, &password, ["check", "--read-data", "--no-lock"])?
            .into_result()
            .context("as it was left")?;
    }
    drop(ground.repository(vault).await?);
    if let Some(restic) = &restic {
        let checked = restic.run(&path, &password, ["check"])?.into_result();
        checked.context("once it was opened")?;
    }
    Ok(())
}

/// Every snapshot holds what the source held; those of checkpoints may lack messages.
async fn snapshots(ground: &Ground, vault: &Vault, truth: &Truth) -> Result<()> {
    let repository = ground.repository(vault).await?;
    let all = repository.snapshots().await?;
    for (id, snapshot) in &all {
        let held = mailbox::snapshot(&repository, *id).await?;
        let source = truth.before.get(id).unwrap_or(&truth.now);
        let partial = snapshot.tags.iter().any(|tag| tag == PARTIAL_TAG);
        let found = match partial {
            true => mailbox::falsehoods(&held, source),
            false => mailbox::differences(&held, source),
        };
        ensure!(found.is_empty(), "snapshot {id}: {found:?}");
    }
    let is_there = |id: &&SnapshotId| all.iter().any(|(other, _)| other == *id);
    let gone = match &truth.kept {
        Some(kept) => (!is_there(&kept)).then_some(kept),
        None => truth.before.keys().find(|id| !is_there(id)),
    };
    ensure!(gone.is_none(), "the snapshot {gone:?} is gone");
    Ok(())
}

/// Nothing is left over, and all that is there is sound.
async fn finish(ground: &Ground, vault: &Vault) -> Result<()> {
    let repository = ground.repository_later(vault).await?;
    let pruned = repository.prune(ANY_AGE, |_| {}).await.context("a prune")?;
    ensure!(!pruned.postponed, "the prune was postponed: {pruned:?}");
    let report = repository.verify(|_| {}).await?;
    ensure!(report.is_sound(), "{:?}", report.damage);
    ensure!(
        report.unlisted_packs == 0,
        "packs without an index are left"
    );
    let again = repository.prune(ANY_AGE, |_| {}).await?;
    ensure!(
        (again.doomed_packs, again.deleted_packs, again.next_due) == (0, 0, None),
        "what nothing needs is left: {again:?}"
    );
    let path = vault.repository_path(&ground.account.id);
    let staging: Vec<_> = folder::files(&path)?
        .into_iter()
        .filter(|file| file.to_string_lossy().contains('#'))
        // Those of locks, keys and the configuration may be in use by somebody who holds no lock yet: they stay for an hour.
        .filter(|file| {
            ["data", "index", "snapshots", "keepwell"]
                .iter()
                .any(|folder| file.starts_with(path.join(folder)))
        })
        .collect();
    ensure!(staging.is_empty(), "staging files are left: {staging:?}");
    let mut locks = folder::files(&path.join("locks"))?;
    locks.retain(|file| !file.to_string_lossy().contains('#'));
    ensure!(locks.is_empty(), "locks are left: {locks:?}");
    Ok(())
}

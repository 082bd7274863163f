//! Keeps an account's repository small: forgets restore points by a policy, and deletes what nothing needs any more.
//!
//! What is kept is decided by [`Retention`], how it is removed safely by the repository, and when small files are put together without being asked, too. Nothing is forgotten from a repository of which a snapshot
//! cannot be read: it is to be repaired first.

use jiff::{Timestamp, tz::TimeZone};
use model::{Reason, Retention};
use repository::{Forgotten, Progress, PruneOptions, PruneReport, Repository, SnapshotId};

use crate::{
    Account, Error, Result,
    open::{self, Local},
    snapshots,
};

/// What became of the restore points.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// All restore points that there were, oldest first, and why each is kept.
    pub points: Vec<RestorePoint>,
    /// What was removed; empty for a rehearsal.
    pub forgotten: Forgotten,
}

/// A restore point before a policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestorePoint {
    /// Its snapshot.
    pub id: SnapshotId,
    /// When it was made.
    pub time: Timestamp,
    /// Whether something failed when it was made.
    pub partial: bool,
    /// Why it is kept; nothing when it is forgotten.
    pub reasons: Vec<Reason>,
}

/// Forgets the restore points that the policy does not keep; only says which, for a rehearsal. Hours, days and so on are those of `zone`.
///
/// Snapshots of other hosts, which somebody made with restic, are left alone. What the next run begins with and the newest complete one always stay.
///
/// # Errors
/// When the repository or one of its snapshots cannot be read, or somebody else is at work in it.
pub async fn forget(
    local: Local<'_>,
    account: &Account,
    policy: &Retention,
    zone: &TimeZone,
    rehearsal: bool,
) -> Result<Outcome> {
    let repository = open::as_stored(local, account).await?;
    let mut snapshots = repository
        .snapshots()
        .await
        .map_err(Error::repository("the restore points could not be read"))?;
    snapshots.retain(|(_, snapshot)| snapshot.hostname == account.id.as_str());
    let reasons = policy.apply(&snapshots::points(&snapshots), zone, local.clock.now());
    let points = snapshots.iter().zip(reasons);
    let points: Vec<RestorePoint> = points
        .map(|((id, snapshot), reasons)| RestorePoint {
            id: *id,
            time: snapshot.time,
            partial: snapshots::is_partial(snapshot),
            reasons,
        })
        .collect();
    let condemned = points.iter().filter(|point| point.reasons.is_empty());
    let condemned: Vec<SnapshotId> = condemned.map(|point| point.id).collect();
    let forgotten = if rehearsal || condemned.is_empty() {
        Forgotten::default()
    } else {
        repository
            .forget(&condemned)
            .await
            .map_err(Error::repository("the restore points could not be removed"))?
    };
    Ok(Outcome { points, forgotten })
}

/// Records what nothing needs any more, deletes what was recorded long enough ago, and puts small packs and index files together. `progress` is told of
/// packs that are put together.
///
/// # Errors
/// When the repository cannot be read or written, is damaged so that what is needed cannot be told, or somebody else deletes in it.
pub async fn prune(
    local: Local<'_>,
    account: &Account,
    options: PruneOptions,
    progress: impl FnMut(Progress) + Send,
) -> Result<PruneReport> {
    let repository = open::as_stored(local, account).await?;
    repository
        .prune(options, progress)
        .await
        .map_err(Error::repository("the repository could not be pruned"))
}

/// Prunes the repository when many small runs have left many small files in it: the end of a backup. That it cannot be done now, because somebody else is at
/// work or something is damaged, is no failure of the backup, whose restore point is made; the next one tries again.
pub(crate) async fn after_backup(repository: &Repository) {
    let pruned = match repository.needs_maintenance().await {
        Ok(false) => return,
        Ok(true) => repository.prune(PruneOptions::default(), |_| ()).await,
        Err(error) => Err(error),
    };
    match pruned {
        Ok(report) => tracing::info!(
            index_files = report.index_files,
            rewritten_packs = report.rewritten_packs,
            deleted_packs = report.deleted_packs,
            postponed = report.postponed,
            "small files of a repository were put together"
        ),
        Err(error) => {
            tracing::warn!(error = %error, "small files of a repository could not be put together");
        }
    }
}

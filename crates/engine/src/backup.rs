//! Backs up one account: opens or makes its repository, lets the workload bring a draft up to date, and commits it.
//!
//! No change makes no snapshot. The parent is the accepted snapshot with the highest fencing token, never the latest clock, so that a run that
//! came late or with a wrong clock is not built upon. A run that met failures still makes a restorable snapshot, tagged `partial`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use graph::Client;
use jiff::{SignedDuration, Timestamp};
use model::SharedClock;
use repository::{Draft, Repository, SnapshotId, SnapshotMeta};
pub use workload::mail::backup::Limits;
use workload::mail::backup::{Checkpoint, CheckpointFuture, Context, Progress, Report};

use crate::{
    Account, Error, Result, Vault,
    open::{self, Local},
    snapshots::{self, latest, token},
};

/// Between the times of two snapshots at least.
const STEP: SignedDuration = SignedDuration::from_millis(1);

/// What a backup works with.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The data folder.
    pub vault: &'a Vault,
    /// The client of the account's tenant.
    pub graph: &'a Client,
    /// The time.
    pub clock: &'a SharedClock,
    /// This process, by which it knows its own locks again: short, unique, not personal.
    pub instance: &'a str,
    /// How often a run does what it need not do every time.
    pub limits: Limits,
}

impl<'a> Setting<'a> {
    /// What of it concerns repositories.
    #[must_use]
    pub fn local(self) -> Local<'a> {
        Local {
            vault: self.vault,
            clock: self.clock,
            instance: self.instance,
        }
    }
}

/// What became of a backup.
#[derive(Debug)]
pub struct Outcome {
    /// The new snapshot; `None` when nothing had changed.
    pub snapshot: Option<SnapshotId>,
    /// What the run did and could not do.
    pub report: Report,
    /// How long it took.
    pub took: Duration,
}

/// Backs up the account.
///
/// # Errors
/// When the repository cannot be opened or written, or the account cannot be read at all. What concerns items or folders is in the report.
pub async fn run(setting: Setting<'_>, account: &Account, progress: &Progress) -> Result<Outcome> {
    let started = setting.clock.elapsed();
    setting.vault.remember(account)?;
    let repository = open::or_make(setting.local(), account).await?;
    let snapshots = repository
        .snapshots()
        .await
        .map_err(Error::repository("the restore points could not be read"))?;
    let parent = latest(&snapshots);
    let token = parent.map_or(0, |(_, snapshot)| token(snapshot)) + 1;
    let last = snapshots.iter().map(|(_, snapshot)| snapshot.time).max();
    let parent = parent.map(|(id, _)| *id);
    let snapshots = Snapshots {
        setting,
        account,
        token,
        last: Mutex::new(last),
    };
    let context = Context {
        graph: setting.graph,
        tenant: &account.tenant,
        account: &account.id,
        clock: &**setting.clock,
        progress,
        checkpoint: &snapshots,
        limits: setting.limits,
    };
    let (report, draft) = match bring_up_to_date(&repository, parent, context).await {
        // State that cannot be read is no reason to back up nothing: everything is recorded anew (survival 40).
        Err(Error::Workload { source, .. }) if source.kind() == workload::Kind::Corrupt => {
            tracing::warn!(
                "a mailbox's recorded state cannot be read: everything is recorded anew"
            );
            bring_up_to_date(&repository, None, context).await
        }
        outcome => outcome,
    }?;
    let meta = snapshots.meta(!report.is_complete());
    let snapshot = draft
        .commit(meta)
        .await
        .map_err(Error::repository("the restore point could not be written"))?;
    Ok(Outcome {
        snapshot,
        report,
        took: setting.clock.elapsed().saturating_sub(started),
    })
}

async fn bring_up_to_date(
    repository: &Repository,
    parent: Option<SnapshotId>,
    context: Context<'_>,
) -> Result<(Report, Draft)> {
    let draft = repository.draft(parent).await.map_err(Error::repository(
        "the last restore point could not be read",
    ))?;
    workload::mail::backup::run(context, draft)
        .await
        .map_err(Error::workload("the mailbox could not be backed up"))
}

/// Names the snapshots of one run.
struct Snapshots<'a> {
    setting: Setting<'a>,
    account: &'a Account,
    token: u64,
    /// The time of the newest snapshot there is.
    last: Mutex<Option<Timestamp>>,
}

impl Snapshots<'_> {
    /// Later than every snapshot there is, also when the clock stands or was set back (abuse 53): restic's `latest` goes by the time.
    fn time(&self) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.setting.clock.now();
        let time = last.map_or(now, |last| now.max(last + STEP));
        *last = Some(time);
        time
    }

    fn meta(&self, partial: bool) -> SnapshotMeta {
        SnapshotMeta {
            time: self.time(),
            hostname: self.account.id.to_string(),
            username: "keepwell".to_owned(),
            tags: snapshots::tags(self.token, partial),
            paths: vec!["/".to_owned()],
        }
    }
}

impl Checkpoint for Snapshots<'_> {
    fn take<'a>(&'a self, draft: &'a mut Draft) -> CheckpointFuture<'a> {
        Box::pin(async move { draft.checkpoint(self.meta(true)).await.map(|_| ()) })
    }
}

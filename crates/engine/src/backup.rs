//! Backs up one account: opens or makes its repository, lets the workload bring a draft up to date, and commits it.
//!
//! No change makes no snapshot. The parent is the accepted snapshot with the highest fencing token, never the latest clock, so that a run that
//! came late or with a wrong clock is not built upon. A run that met failures still makes a restorable snapshot, tagged `partial`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use graph::Client;
use jiff::{SignedDuration, Timestamp};
use model::SharedClock;
use repository::{Draft, Repository, Snapshot, SnapshotId, SnapshotMeta};
pub use workload::mail::backup::Limits;
use workload::mail::backup::{Checkpoint, CheckpointFuture, Context, Progress, Report};

use crate::{
    Account, Error, Kind, Result, Vault,
    head::Head,
    maintain,
    open::{self, Local},
    repair, snapshots,
};

/// Between the times of two snapshots at least.
const STEP: SignedDuration = SignedDuration::from_millis(1);
/// How often a repair that somebody's lock is in the way of is tried.
const REPAIR_TRIES: u32 = 5;
/// Between two tries.
const REPAIR_PAUSE: Duration = Duration::from_secs(1);

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

impl<'a> From<Setting<'a>> for Local<'a> {
    fn from(setting: Setting<'a>) -> Self {
        setting.local()
    }
}

/// What became of a backup.
#[derive(Debug)]
pub struct Outcome {
    /// The new snapshot; `None` when nothing had changed.
    pub snapshot: Option<SnapshotId>,
    /// What the run did and could not do.
    pub report: Report,
    /// The number that its snapshots carry: larger than those of all runs before, as far as this run could know.
    pub token: u64,
    /// How long it took.
    pub took: Duration,
}

/// Backs up the account.
///
/// # Errors
/// When the repository cannot be opened or written, or the account cannot be read at all. What concerns items or folders is in the report.
pub async fn run(setting: Setting<'_>, account: &Account, progress: &Progress) -> Result<Outcome> {
    run_leased(setting, account, 0, progress).await
}

/// Backs up the account, for whoever holds a lease with this fencing token: the snapshots carry it, or a larger number if the repository knows larger ones.
/// A run of an earlier lease that comes late is then not built upon.
///
/// # Errors
/// As [`run`].
pub async fn run_leased(
    setting: Setting<'_>,
    account: &Account,
    fencing_token: u64,
    progress: &Progress,
) -> Result<Outcome> {
    let started = setting.clock.elapsed();
    setting.vault.remember(account)?;
    let mut outcome = attempt(setting, account, fencing_token, progress, Trust::Note).await;
    if let Err(Failure { error, noted }) = &outcome
        && (error.is_outdated() || *noted && is_damage(error))
    {
        tracing::info!(error = %error, "a backup begins again with what the repository says");
        outcome = attempt(setting, account, fencing_token, progress, Trust::Repository).await;
    }
    if let Err(Failure { error, .. }) = &outcome
        && is_damage(error)
        && (error.is_of_state() || repaired(setting.local(), account, error).await)
    {
        outcome = attempt(setting, account, fencing_token, progress, Trust::Nothing).await;
    }
    let Attempt {
        snapshot,
        report,
        token,
    } = outcome.map_err(|failure| failure.error)?;
    Ok(Outcome {
        snapshot,
        report,
        token,
        took: setting.clock.elapsed().saturating_sub(started),
    })
}

/// What a backup begins with.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Trust {
    /// The snapshot that was noted last, if one was.
    Note,
    /// The snapshot that the repository says.
    Repository,
    /// The same, and if it cannot be read, everything is recorded anew.
    Nothing,
}

/// Mends a repository that a backup found damaged, so that the next attempt is not stopped by it, and neither is every run from now on.
async fn repaired(local: Local<'_>, account: &Account, error: &Error) -> bool {
    tracing::warn!(error = %error, "a backup met damage: the repository is repaired");
    for _ in 0..REPAIR_TRIES {
        match repair::run(local, account, false, |_| ()).await {
            Ok(_) => return true,
            // The lock of the attempt that was just given up is being removed; or somebody is at work, who will be longer.
            Err(error) if error.kind() == Kind::Unavailable => {
                tracing::warn!(error = %error, "the repository cannot be repaired now");
                local.clock.sleep(REPAIR_PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(error = %error, "the repository cannot be repaired");
                return false;
            }
        }
    }
    false
}

/// What an attempt came to.
struct Attempt {
    snapshot: Option<SnapshotId>,
    report: Report,
    token: u64,
}

/// Why an attempt failed.
struct Failure {
    error: Error,
    /// Whether it began with what was noted.
    noted: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            noted: false,
        }
    }
}

/// Backs up once.
async fn attempt(
    setting: Setting<'_>,
    account: &Account,
    fencing_token: u64,
    progress: &Progress,
    trust: Trust,
) -> Result<Attempt, Failure> {
    let repository = open::or_make(setting.local(), account).await?;
    let noted = match trust == Trust::Note {
        true => Head::noted(&repository, setting.clock.now()).await,
        false => None,
    };
    let head = match noted {
        Some(head) => head,
        None => Head::read(&repository).await?,
    };
    let token = head.next_token().max(fencing_token);
    let made = make(setting, account, token, progress, &repository, &head, trust).await;
    let now = setting.clock.now();
    match &made {
        Ok((Some(id), _)) => {
            made_head(&repository, *id)
                .await
                .note(&repository, now)
                .await
        }
        Ok((None, _)) if !head.is_noted => head.note(&repository, now).await,
        _ => {}
    }
    if made.is_ok() {
        maintain::after_backup(&repository).await;
    }
    let (snapshot, report) = made.map_err(|error| Failure {
        error,
        noted: head.is_noted,
    })?;
    Ok(Attempt {
        snapshot,
        report,
        token,
    })
}

/// The snapshot that was just made, as the next run begins with it.
async fn made_head(repository: &Repository, id: SnapshotId) -> Head {
    // That it cannot be read back is no failure of this run: the next one asks.
    let snapshot = repository.snapshot(id).await.ok().flatten();
    Head {
        last: snapshot.as_ref().map(|snapshot| snapshot.time),
        parent: snapshot.map(|snapshot| (id, snapshot)),
        is_noted: false,
    }
}

async fn make(
    setting: Setting<'_>,
    account: &Account,
    token: u64,
    progress: &Progress,
    repository: &Repository,
    head: &Head,
    trust: Trust,
) -> Result<(Option<SnapshotId>, Report)> {
    let snapshots = Snapshots {
        setting,
        account,
        token,
        last: Mutex::new(head.last),
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
    let (report, draft) = match bring_up_to_date(repository, head.parent.as_ref(), context).await {
        // What cannot be read is no reason to back up nothing: everything is recorded anew (survival 40).
        Err(error) if is_damage(&error) && trust == Trust::Nothing => {
            tracing::warn!(
                error = %error,
                "what a mailbox's last restore point holds cannot be read: everything is recorded anew"
            );
            bring_up_to_date(repository, None, context).await
        }
        outcome => outcome,
    }?;
    let meta = snapshots.meta(!report.is_complete());
    let snapshot = draft
        .commit(meta)
        .await
        .map_err(Error::repository("the restore point could not be written"))?;
    Ok((snapshot, report))
}

fn is_damage(error: &Error) -> bool {
    error.kind() == Kind::Corrupt
}

async fn bring_up_to_date(
    repository: &Repository,
    parent: Option<&(SnapshotId, Snapshot)>,
    context: Context<'_>,
) -> Result<(Report, Draft)> {
    let draft = repository.draft_from(parent.map(|(id, snapshot)| (*id, snapshot)));
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
    fn meta(&self, partial: bool) -> SnapshotMeta {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.setting.clock.now();
        let meta = meta(self.account, self.token, *last, now, partial);
        *last = Some(meta.time);
        meta
    }
}

/// What is said of a snapshot. Its time is later than that of every snapshot there is, also when the clock stands or was set back (abuse 53):
/// restic's `latest` goes by the time.
pub(crate) fn meta(
    account: &Account,
    token: u64,
    last: Option<Timestamp>,
    now: Timestamp,
    partial: bool,
) -> SnapshotMeta {
    SnapshotMeta {
        time: last.map_or(now, |last| now.max(last + STEP)),
        hostname: account.id.to_string(),
        username: "keepwell".to_owned(),
        tags: snapshots::tags(token, partial),
        paths: vec!["/".to_owned()],
    }
}

impl Checkpoint for Snapshots<'_> {
    fn take<'a>(&'a self, draft: &'a mut Draft) -> CheckpointFuture<'a> {
        Box::pin(async move { draft.checkpoint(self.meta(true)).await.map(|_| ()) })
    }
}

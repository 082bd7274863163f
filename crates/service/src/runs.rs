//! Beginning and steering runs: what a person or the scheduler wants done.

use catalog::{
    AccountFilter, AccountKey, JobKind, NewJob, Once, OrganizationId, RunCause, RunId, Status,
    TaskId, Wanted,
};
use model::{ItemId, RestoreId};
use serde::{Deserialize, Serialize};
use workload::mail::restore::Destination;

use crate::{Error, Result, Service};

/// What somebody waits for comes before what the schedule wants.
const AT_ONCE: i64 = 0;
/// What the schedule wants.
pub(crate) const IN_TURN: i64 = 10;
/// What can wait.
pub(crate) const LATER: i64 = 20;

/// Which accounts of a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Which {
    /// All active ones.
    All,
    /// Those of these that are active.
    Keys(Vec<AccountKey>),
}

impl Which {
    fn keys(self) -> Option<Vec<AccountKey>> {
        match self {
            Self::All => None,
            Self::Keys(keys) => Some(keys),
        }
    }
}

/// What is to be restored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These messages, by their ids at the source.
    Messages(Vec<ItemId>),
    /// A folder with its sub-folders, by its id at the source.
    Folder(ItemId),
    /// Everything.
    Mailbox,
}

/// What to restore, and where to.
#[derive(Clone, Debug)]
pub struct RestoreOrder {
    /// The restore point, as [`crate::RestorePoint::snapshot`] has it; the newest one when none is named.
    pub snapshot: Option<String>,
    /// What of it.
    pub selection: Selection,
    /// Into which account: of the same tenant.
    pub target: AccountKey,
    /// Where in that account.
    pub destination: Destination,
    /// By which the order is known when it comes again: a text of whoever orders, unlike that of anybody else.
    pub key: Option<String>,
}

impl RestoreOrder {
    /// What makes it begin one restore. The new folder's name tells when it was ordered, and is not among what is ordered.
    fn once(&self, account: AccountKey) -> Option<Once> {
        let in_place = matches!(self.destination, Destination::InPlace);
        let ordered = (
            account,
            &self.snapshot,
            &self.selection,
            self.target,
            in_place,
        );
        let ordered = serde_json::to_string(&ordered);
        let ordered = ordered.unwrap_or_else(|_| unreachable!("an order is plain data"));
        Some(Once::new(self.key.clone()?, &ordered))
    }
}

/// A restore as a job carries it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreInput {
    /// The same for every attempt: a repetition adds only what is missing.
    pub(crate) restore: RestoreId,
    pub(crate) snapshot: Option<String>,
    pub(crate) selection: Selection,
    pub(crate) target: AccountKey,
    /// The new folder's name; in place when there is none.
    pub(crate) new_folder: Option<String>,
}

/// What a job came to, in numbers and words: the JSON object in [`catalog::Job::outcome`]. Numbers that do not apply are 0.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct JobReport {
    /// The snapshot that was made; none when nothing had changed.
    pub snapshot: Option<String>,
    /// Items in that snapshot.
    pub items: u64,
    /// Bytes of the items in that snapshot.
    pub size_bytes: u64,
    /// Items that were not held before.
    pub added: u64,
    /// Items whose content changed.
    pub changed: u64,
    /// Items of which only the place or the marks changed.
    pub marked: u64,
    /// Items that the source says are gone.
    pub removed: u64,
    /// Bytes that were stored, before compression.
    pub bytes_added: u64,
    /// Items that should be in the snapshot and are not, or that could not be restored.
    pub failures: u64,
    /// Items that can never be copied.
    pub skips: u64,
    /// Folders that could not be read.
    pub unread_folders: u64,
    /// Most of the account was deleted or changed at once: somebody should look.
    pub anomaly: bool,
    /// Items that a restore made.
    pub restored: u64,
    /// The restore point that a restore was from.
    pub from: Option<String>,
    /// The new folder that a restore put them into; none when it put them where they were.
    pub into: Option<String>,
    /// Items that a restore left alone, because they are there.
    pub already_there: u64,
    /// Objects of the repository that are damaged.
    pub damaged: u64,
    /// Restore points that were forgotten.
    pub forgotten: u64,
    /// Bytes that were deleted from the storage.
    pub bytes_freed: u64,
    /// Whether the account's backups were deleted, because it has been gone at the source for as long as they are kept.
    pub deleted: bool,
    /// How long the work took, in milliseconds.
    pub took_ms: u64,
    /// Why it came to nothing, or ended early; in words, without anything personal.
    pub error: Option<String>,
}

impl JobReport {
    /// Reads one from [`catalog::Job::outcome`]. A job that is not over has none.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As the catalog keeps it.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("a report is plain data"))
    }
}

impl Service {
    /// Backs accounts up as soon as a worker is free. Accounts at which something else is at work are left out.
    ///
    /// # Errors
    /// When there is no such task here, or none of the accounts can be backed up now.
    pub async fn backup_now(
        &self,
        organization: OrganizationId,
        task: TaskId,
        accounts: Which,
    ) -> Result<RunId> {
        let filter = AccountFilter {
            status: Some(Status::Active),
            keys: accounts.keys(),
            ..AccountFilter::default()
        };
        let run = self
            .begin(
                organization,
                task,
                RunCause::BackupNow,
                &filter,
                JobKind::Backup,
                AT_ONCE,
                String::new(),
                None,
            )
            .await?;
        run.ok_or(Error::Busy(
            "none of these accounts can be backed up now: activate them first, or wait until what is under way is over",
        ))
    }

    /// The restore that an order with this key has begun already.
    ///
    /// # Errors
    /// When the key was used for another order.
    pub async fn restore_begun(
        &self,
        organization: OrganizationId,
        account: AccountKey,
        order: &RestoreOrder,
    ) -> Result<Option<RunId>> {
        let of = self.catalog().organization(organization);
        match order.once(account) {
            Some(once) => Ok(of.run_of_order(&once).await?),
            None => Ok(None),
        }
    }

    /// Puts something back. It overwrites nothing, and sends nothing to anybody. An order with a key begins one restore, however often it comes.
    ///
    /// # Errors
    /// When one of the accounts is not here, the target is of another tenant, or the key was used for another order.
    pub async fn restore(
        &self,
        organization: OrganizationId,
        account: AccountKey,
        order: RestoreOrder,
    ) -> Result<RunId> {
        let of = self.catalog().organization(organization);
        let source = of.account(account).await?;
        let target = of.account(order.target).await?;
        if (source.service, &source.tenant) != (target.service, &target.tenant) {
            return Err(Error::Invalid(
                "the account to restore into is of another tenant or service: choose one of the same",
            ));
        }
        if let Some(snapshot) = &order.snapshot {
            crate::points::snapshot_id(snapshot)?;
        }
        let once = order.once(account);
        let input = RestoreInput {
            restore: RestoreId::new(uuid::Uuid::new_v4().to_string())
                .map_err(|_| Error::Invalid("a restore has a name"))?,
            snapshot: order.snapshot,
            selection: order.selection,
            target: order.target,
            new_folder: match order.destination {
                Destination::NewFolder { name } => Some(name),
                Destination::InPlace => None,
            },
        };
        let input = serde_json::to_string(&input)
            .map_err(|_| Error::Invalid("the restore cannot be written down"))?;
        let filter = AccountFilter {
            keys: Some(vec![account]),
            ..AccountFilter::default()
        };
        let run = self
            .begin(
                organization,
                source.task,
                RunCause::Restore,
                &filter,
                JobKind::Restore,
                AT_ONCE,
                input,
                once,
            )
            .await?;
        run.ok_or(Error::NotFound("account"))
    }

    /// Reads everything in the repositories of a task's accounts and says whether it is sound.
    ///
    /// # Errors
    /// When there is no such task here, or something else is at work at every one of the accounts.
    pub async fn verify(
        &self,
        organization: OrganizationId,
        task: TaskId,
        accounts: Which,
    ) -> Result<RunId> {
        let filter = AccountFilter {
            keys: accounts.keys(),
            ..AccountFilter::default()
        };
        let run = self
            .begin(
                organization,
                task,
                RunCause::Maintenance,
                &filter,
                JobKind::Verify,
                LATER,
                String::new(),
                None,
            )
            .await?;
        run.ok_or(Error::Busy(
            "something is at work at each of these accounts: wait until it is over",
        ))
    }

    /// Stops a run's work until it is resumed. What a worker is at stops within seconds, and leaves a restore point of what it has if it can.
    ///
    /// # Errors
    /// When there is no such run here, or it is over.
    pub async fn pause(&self, organization: OrganizationId, run: RunId) -> Result<()> {
        self.want(organization, run, Wanted::Pause).await
    }

    /// Lets a paused run go on.
    ///
    /// # Errors
    /// When there is no such run here, or it is over.
    pub async fn resume(&self, organization: OrganizationId, run: RunId) -> Result<()> {
        self.want(organization, run, Wanted::Go).await
    }

    /// Ends a run for good. What is done stays.
    ///
    /// # Errors
    /// When there is no such run here, or it is over.
    pub async fn cancel(&self, organization: OrganizationId, run: RunId) -> Result<()> {
        self.want(organization, run, Wanted::Cancel).await
    }

    async fn want(&self, organization: OrganizationId, run: RunId, wanted: Wanted) -> Result<()> {
        let of = self.catalog().organization(organization);
        of.want(run, wanted, self.clock().now()).await?;
        self.0.queued.notify_waiters();
        self.tell(organization, run);
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "they are what a run is, and all callers are here or in the scheduler"
    )]
    pub(crate) async fn begin(
        &self,
        organization: OrganizationId,
        task: TaskId,
        cause: RunCause,
        filter: &AccountFilter,
        kind: JobKind,
        priority: i64,
        input: String,
        once: Option<Once>,
    ) -> Result<Option<RunId>> {
        let of = self.catalog().organization(organization);
        let job = NewJob {
            kind,
            priority,
            input,
        };
        let now = self.clock().now();
        let begun = match &once {
            Some(once) => {
                of.begin_run_once(task, cause, filter, &job, once, now)
                    .await?
            }
            None => of.begin_run(task, cause, filter, &job, now).await?,
        };
        let Some((run, _)) = begun else {
            return Ok(None);
        };
        self.0.queued.notify_waiters();
        self.tell(organization, run);
        Ok(Some(run))
    }
}

//! The work of a job, whatever its kind, and what it comes to. Who has the job, and for how long, is the worker's affair.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use catalog::{Claim, ItemReport, JobKind, JobResult, NewAudit, Progress, RestoredItem};
use engine::{
    Vault,
    backup::{self, Limits, Setting},
    maintain, restore, verify,
};
use graph::{Client, Scope, WaitCause, Waiting};
use jiff::{SignedDuration, Timestamp};
use model::AccountId;
use repository::PruneOptions;
use workload::mail::{
    backup as mail,
    restore::{self as mail_restore, Destination},
};

use crate::{
    Error, JobReport, Result, Selection, Service, TaskSettings,
    points::{GONE, engine_account, snapshot_id},
    restoring::Restoring,
    runs::RestoreInput,
};

/// What a job counts while it works, for whoever shows its progress.
#[derive(Default)]
pub(crate) struct Meter {
    /// What a backup counts, and how it is asked to stop.
    pub(crate) mail: mail::Progress,
    items: AtomicU64,
    items_total: AtomicU64,
    bytes: AtomicU64,
    /// What a restore has done so far.
    restoring: Mutex<Option<Restoring>>,
    /// Whose waits are this job's, too.
    client: Mutex<Option<Client>>,
    /// What was told last.
    told: Mutex<Option<Progress>>,
}

impl Meter {
    fn watch(&self, client: &Client) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
    }

    fn restoring(&self) -> MutexGuard<'_, Option<Restoring>> {
        let restoring = self.restoring.lock();
        restoring.unwrap_or_else(PoisonError::into_inner)
    }

    /// The report of a restore that has begun, once.
    pub(crate) fn restored(&self) -> Option<(JobReport, Vec<RestoredItem>)> {
        self.restoring().take().map(Restoring::told)
    }

    pub(crate) fn progress(&self, claim: &Claim) -> Progress {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        Progress {
            items: self.mail.messages() + self.items.load(Ordering::Relaxed),
            items_total: self.mail.expected() + self.items_total.load(Ordering::Relaxed),
            bytes: self.mail.bytes() + self.bytes.load(Ordering::Relaxed),
            waiting_for: client
                .as_ref()
                .and_then(|client| longest_wait(client, &claim.source))
                .map(|wait| in_words(&wait))
                .unwrap_or_default(),
        }
    }

    /// How long the job has to wait yet for Microsoft.
    pub(crate) fn wait(&self, claim: &Claim) -> Duration {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client
            .as_ref()
            .and_then(|client| longest_wait(client, &claim.source))
            .map_or(Duration::ZERO, |wait| wait.left)
    }

    /// Whether this is other than what was told last.
    pub(crate) fn has_moved(&self, progress: Progress) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let has_moved = told.as_ref() != Some(&progress);
        *told = Some(progress);
        has_moved
    }
}

/// The longest wait of the account's requests.
fn longest_wait(client: &Client, account: &AccountId) -> Option<Waiting> {
    let waits = client
        .waiting()
        .into_iter()
        .filter(|wait| match &wait.scope {
            Scope::Outlook { mailbox } => mailbox == account,
            Scope::Directory => wait.cause == WaitCause::SignIn,
        });
    waits.max_by_key(|wait| wait.left)
}

fn in_words(longest: &Waiting) -> String {
    let service = match longest.scope {
        Scope::Outlook { .. } => "Outlook",
        Scope::Directory => "the directory",
    };
    let left_s = longest.left.as_secs() + u64::from(longest.left.subsec_nanos() > 0);
    format!("waiting {left_s} s for {service}: {}", longest.cause)
}

/// What a job came to.
pub(crate) struct Done {
    pub(crate) result: JobResult,
    pub(crate) report: JobReport,
    /// For a backup: the snapshot that is accepted from now on, with its items and bytes.
    pub(crate) accepted: Option<(String, u64, u64)>,
    /// For a backup: all that is in the ledger.
    pub(crate) failures: Option<Vec<ItemReport>>,
    /// For a restore: what became of its items.
    pub(crate) restored: Vec<RestoredItem>,
    /// The number of the snapshots that were made.
    pub(crate) token: u64,
    /// It ended early, because it was asked to.
    pub(crate) interrupted: bool,
    /// For a restore: what ended it when some was done already.
    pub(crate) stopped: Option<Error>,
}

impl Done {
    pub(crate) fn new(result: JobResult) -> Self {
        Self {
            result,
            report: JobReport::default(),
            accepted: None,
            failures: None,
            restored: Vec::new(),
            token: 0,
            interrupted: false,
            stopped: None,
        }
    }
}

/// Does the work.
pub(crate) async fn perform(
    service: Service,
    claim: Claim,
    meter: std::sync::Arc<Meter>,
) -> Result<Done> {
    let started = service.clock().elapsed();
    let mut done = match claim.kind {
        JobKind::Backup => back_up(&service, &claim, &meter).await,
        JobKind::Restore => put_back(&service, &claim, &meter).await,
        JobKind::Verify => read_again(&service, &claim, &meter).await,
        JobKind::Maintain => tidy(&service, &claim).await,
    }?;
    let took = service.clock().elapsed().saturating_sub(started);
    done.report.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Ok(done)
}

async fn back_up(service: &Service, claim: &Claim, meter: &Meter) -> Result<Done> {
    let of = service.catalog().organization(claim.organization);
    let mut row = of.account(claim.account).await?;
    let (vault, account) = (
        service.vault(claim.organization).await?,
        engine_account(&row),
    );
    if row.deleted_at.is_some() && !vault.knows(&account.id)? {
        // It came back while its backups were being deleted, which whoever was at it did not finish.
        vault.erase(&account.id)?;
        of.finish_deletion(row.key).await?;
        row = of.account(claim.account).await?;
    }
    if !service.knows(claim.organization, &vault, &row).await? && row.snapshot.is_some() {
        return Err(GONE);
    }
    vault.remember(&account)?;
    service
        .keep_secret(claim.organization, &vault, &row)
        .await?;
    let task = of.task(claim.task).await?;
    let client = service.client(claim.organization, task.connection).await?;
    meter.watch(&client);
    let setting = Setting {
        vault: &vault,
        graph: &client,
        clock: service.clock(),
        instance: &service.settings().instance,
        limits: Limits::default(),
    };
    let token = claim.lease.fencing_token;
    let outcome = backup::run_leased(setting, &account, token, &meter.mail).await?;
    let report = &outcome.report;
    let mut job = JobReport {
        snapshot: outcome.snapshot.map(|id| id.to_string()),
        added: report.added,
        changed: report.changed,
        marked: report.marked,
        removed: report.removed,
        bytes_added: report.bytes,
        failures: report.failures.len() as u64,
        skips: report.skips.len() as u64,
        unread_folders: report.containers.len() as u64,
        anomaly: report.anomaly().is_some(),
        ..JobReport::default()
    };
    let mut accepted = None;
    let wants_lists = wants_lists(&of, claim).await;
    if let Some(id) = outcome.snapshot {
        let archive = restore::archive(setting, &account, Some(id)).await?;
        let (items, size_bytes) = archive.totals().await.map_err(unreadable)?;
        (job.items, job.size_bytes) = (items, size_bytes);
        let made = (id.to_string(), items, size_bytes);
        // Lists take a while. Whoever dies over them leaves what the account has told.
        if let Err(error) = service.catalog().note_snapshot(&claim.lease, &made).await {
            tracing::warn!(error = %error, "a snapshot could not be noted before its job is over");
        }
        accepted = Some(made);
        if wants_lists && let Err(error) = archive.make_lists(&meter.mail).await {
            // Pages and searches do without.
            tracing::warn!(error = %error, "the lists of an account could not be made");
        }
    }
    if row.snapshot.is_none() && accepted.is_none() {
        // A run before may have made one and ended before it could say so.
        service
            .enter_restore_points(claim.organization, &vault, &row)
            .await?;
    }
    if !wants_lists && let Err(error) = vault.forget_lists(&account.id) {
        tracing::warn!(error = %error, "the lists of an account could not be removed");
    }
    let result = match &report.stopped {
        Some(error) => {
            // The restore point has what was copied until then; but whoever looks must see that copying ended.
            job.error = Some(error.to_string());
            JobResult::Failed
        }
        None if report.is_complete() => JobResult::Success,
        None => JobResult::Partial,
    };
    Ok(Done {
        result,
        accepted,
        failures: Some(report.failures.iter().map(item_report).collect()),
        token: outcome.token,
        interrupted: report.interrupted,
        stopped: None,
        restored: Vec::new(),
        report: job,
    })
}

/// Whether the task's settings, as they are now that the run is over, ask for lists of the account's messages.
async fn wants_lists(of: &catalog::Organization, claim: &Claim) -> bool {
    let settings = of.task(claim.task).await;
    let settings = settings.map(|task| TaskSettings::from_text(&task.settings));
    // What cannot be read asks for nothing to be removed.
    !matches!(settings, Ok(Ok(settings)) if !settings.index)
}

pub(crate) fn item_report(failure: &model::ItemFailure) -> ItemReport {
    ItemReport {
        item: failure.item.to_string(),
        cause: failure.cause,
        attempts: u64::from(failure.attempts),
        first_seen_at: failure.first,
        last_tried_at: failure.last,
    }
}

async fn put_back(service: &Service, claim: &Claim, meter: &Meter) -> Result<Done> {
    let input: RestoreInput = serde_json::from_str(&claim.input).map_err(|_| {
        Error::Invalid(
            "the restore was written down by another version of Keepwell: order it again",
        )
    })?;
    let of = service.catalog().organization(claim.organization);
    let row = of.account(claim.account).await?;
    let source = engine_account(&row);
    let target = of.account(input.target).await?;
    let task = of.task(target.task).await?;
    let client = service.client(claim.organization, task.connection).await?;
    meter.watch(&client);
    let vault = service.vault(claim.organization).await?;
    let setting = Setting {
        vault: &vault,
        graph: &client,
        clock: service.clock(),
        instance: &service.settings().instance,
        limits: Limits::default(),
    };
    if !service.knows(claim.organization, &vault, &row).await? && row.snapshot.is_some() {
        return Err(GONE);
    }
    let snapshot = input.snapshot.as_deref().map(snapshot_id).transpose()?;
    let archive = restore::archive(setting, &source, snapshot).await?;
    let from = match &input.snapshot {
        Some(from) => Some(from.clone()),
        None => row.snapshot.clone(),
    };
    *meter.restoring() = Some(Restoring::new(from, input.new_folder.clone()));
    let destination = match input.new_folder {
        Some(name) => Destination::NewFolder { name },
        None => Destination::InPlace,
    };
    let order = restore::Order {
        source: &source,
        target: &target.source,
        selection: match input.selection {
            Selection::Messages(ids) => mail_restore::Selection::Messages(ids),
            Selection::Folder(id) => mail_restore::Selection::Folder(id),
            Selection::Mailbox => mail_restore::Selection::Mailbox,
        },
        destination,
        restore: input.restore,
    };
    let total = order.selection.count(&archive);
    meter.items_total.store(total, Ordering::Relaxed);
    let report = restore::run(setting, &archive, &order, &|item| {
        meter.items.fetch_add(1, Ordering::Relaxed);
        meter.bytes.fetch_add(item.bytes, Ordering::Relaxed);
        if let Some(restoring) = &mut *meter.restoring() {
            restoring.note(item);
        }
    })
    .await?;
    let (mut job, restored) = meter.restored().unwrap_or_default();
    let stopped = report.stopped.map(|source| {
        Error::Engine(engine::Error::Workload {
            what: "the messages could not all be restored",
            source,
        })
    });
    job.error = stopped.as_ref().map(Error::text);
    let result = match (job.failures, job.restored + job.already_there) {
        (0, _) if stopped.is_none() => JobResult::Success,
        (_, 0) => JobResult::Failed,
        _ => JobResult::Partial,
    };
    Ok(Done {
        stopped,
        restored,
        report: job,
        ..Done::new(result)
    })
}

async fn read_again(service: &Service, claim: &Claim, meter: &Meter) -> Result<Done> {
    let of = service.catalog().organization(claim.organization);
    let row = of.account(claim.account).await?;
    let account = engine_account(&row);
    let vault = service.vault(claim.organization).await?;
    if !service.knows(claim.organization, &vault, &row).await? && row.snapshot.is_some() {
        return Err(GONE);
    }
    let report = verify::run(service.local(&vault), &account, |progress| {
        meter.items.store(progress.packs, Ordering::Relaxed);
        meter
            .items_total
            .store(progress.packs_total, Ordering::Relaxed);
        meter.bytes.store(progress.bytes, Ordering::Relaxed);
    })
    .await?;
    let result = match report.is_sound() {
        true => JobResult::Success,
        false => JobResult::Failed,
    };
    let mut done = Done::new(result);
    done.report.damaged = report.damage.len() as u64;
    if !report.is_sound() {
        done.report.error = Some(
            "the repository is damaged: the next backup repairs it and fetches again what is lost"
                .to_owned(),
        );
    }
    Ok(done)
}

async fn tidy(service: &Service, claim: &Claim) -> Result<Done> {
    let of = service.catalog().organization(claim.organization);
    let row = of.account(claim.account).await?;
    let account = engine_account(&row);
    let settings = TaskSettings::from_text(&of.task(claim.task).await?.settings)?;
    let vault = service.vault(claim.organization).await?;
    let now = service.clock().now();
    if let (Some(days), Some(gone)) = (settings.retain_archived_days, row.gone_at) {
        let since = now - SignedDuration::from_hours(24 * i64::from(days));
        if gone <= since {
            return delete(service, claim, &vault, &row, since).await;
        }
    }
    if !service.knows(claim.organization, &vault, &row).await? {
        return Err(GONE);
    }
    service
        .keep_secret(claim.organization, &vault, &row)
        .await?;
    let local = service.local(&vault);
    let mut done = Done::new(JobResult::Success);
    let policy = settings.retention.policy();
    if !policy.is_empty() {
        let zone = settings.time_zone()?;
        let outcome = maintain::forget(local, &account, &policy, &zone, false).await?;
        done.report.forgotten = outcome.forgotten.removed.len() as u64;
    }
    let pruned = maintain::prune(local, &account, PruneOptions::default(), |_| ()).await?;
    done.report.bytes_freed = pruned.deleted_bytes;
    Ok(done)
}

/// Deletes the backups of an account that has been gone at the source for as long as the task's settings keep them, and notes in the audit that it
/// begins and that it is done. As long as a restore from it is not over it is left for the next time.
async fn delete(
    service: &Service,
    claim: &Claim,
    vault: &Vault,
    row: &catalog::Account,
    since: Timestamp,
) -> Result<Done> {
    let of = service.catalog().organization(claim.organization);
    let mut done = Done::new(JobResult::Success);
    // What is only out of reach is not deleted.
    if row.deleted_at.is_none() && !vault.knows(&row.source)? {
        return Err(GONE);
    }
    if !of
        .begin_deletion(row.key, since, service.clock().now())
        .await?
    {
        return Ok(done);
    }
    let note = async |action: &str| {
        let entry = NewAudit {
            actor: "keepwell".to_owned(),
            action: action.to_owned(),
            object: row.key.to_string(),
            detail: String::new(),
        };
        of.note(&entry, service.clock().now()).await
    };
    note("began to delete the backups of an account that is gone").await?;
    vault.erase(&row.source)?;
    of.finish_deletion(row.key).await?;
    note("deleted the backups of an account that is gone").await?;
    done.report.deleted = true;
    Ok(done)
}

fn unreadable(source: workload::Error) -> Error {
    Error::Engine(engine::Error::Workload {
        what: "the restore point could not be read back",
        source,
    })
}

//! One operation of the product, told to a process of its own as a line of JSON, and what that process answers.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use engine::{
    Account, Vault,
    backup::{self, Setting},
    repair,
    restore::{self, Order},
    snapshots::latest,
};
use graph::{Client, Cloud, Credential, Options};
use model::{AccountId, RestoreId, SharedClock, TenantId};
use repository::PruneOptions;
use serde::{Deserialize, Serialize};
use workload::mail::{
    backup::Progress,
    restore::{Destination, Selection},
};

use crate::drift::DriftingClock;

/// Deletes as soon as it may be done at all.
pub const ANY_AGE: PruneOptions = PruneOptions {
    grace: Duration::ZERO,
    max_rewrite_bytes: u64::MAX,
    dry_run: false,
};

/// What to do, and everything that is needed for it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Errand {
    /// The data folder.
    pub data: PathBuf,
    /// Where the emulator listens.
    pub url: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The application's id.
    pub application: String,
    /// The application's secret; the emulator's, so no secret.
    pub secret: String,
    /// The account.
    pub account: Account,
    /// By which the process knows its own locks again.
    pub instance: String,
    /// The file that the clock obeys.
    pub drift: PathBuf,
    /// After how many fetched messages a checkpoint is made.
    pub checkpoint_every: u64,
    /// The operation.
    pub deed: Deed,
}

/// An operation.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A backup, the first or a further one.
    Backup,
    /// A restore of the whole mailbox into a new folder.
    Restore {
        /// The mailbox to restore into.
        target: AccountId,
        /// The new folder's name.
        folder: String,
        /// Names the restore.
        restore: RestoreId,
    },
    /// Forgets all restore points but the last, and deletes what nothing needs: what was recorded as such by an earlier one.
    Prune,
    /// Repairs the repository.
    Repair,
    /// Reads everything again.
    Verify,
}

/// What became of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The snapshot that a backup made.
    pub snapshot: Option<String>,
    /// Whether nothing failed, was skipped or is damaged.
    pub complete: bool,
    /// Messages added, restored, read, or found to be lost.
    pub messages: u64,
}

impl Errand {
    /// Does it.
    ///
    /// # Errors
    /// When the operation fails as a whole.
    pub async fn run(&self) -> Result<Answer> {
        self.run_with(&Vault::open(&self.data)?).await
    }

    /// Does it with a data folder that was opened already, because its storage is disturbed for instance.
    ///
    /// # Errors
    /// When the operation fails as a whole.
    pub async fn run_with(&self, vault: &Vault) -> Result<Answer> {
        let clock: SharedClock = std::sync::Arc::new(DriftingClock::new(&self.drift));
        let options = Options::new(
            Cloud::at(&self.url)?,
            self.tenant.clone(),
            self.application.clone(),
            Credential::secret(self.secret.clone()),
            SharedClock::clone(&clock),
            7,
        );
        let client = Client::new(options)?;
        let setting = Setting {
            vault,
            graph: &client,
            clock: &clock,
            instance: &self.instance,
            limits: engine::backup::Limits {
                checkpoint_every: self.checkpoint_every,
                ..Default::default()
            },
        };
        match &self.deed {
            Deed::Backup => self.back_up(setting).await,
            Deed::Restore {
                target,
                folder,
                restore,
            } => {
                let order = Order {
                    source: &self.account,
                    target,
                    selection: Selection::Mailbox,
                    destination: Destination::NewFolder {
                        name: folder.clone(),
                    },
                    restore: restore.clone(),
                };
                bring_back(setting, &order).await
            }
            Deed::Prune => self.prune(setting).await,
            Deed::Repair => self.repair(setting).await,
            Deed::Verify => self.verify(setting).await,
        }
    }

    async fn back_up(&self, setting: Setting<'_>) -> Result<Answer> {
        self.enrol(setting.vault).await?;
        let outcome = backup::run(setting, &self.account, &Progress::default()).await?;
        Ok(Answer {
            snapshot: outcome.snapshot.map(|id| id.to_string()),
            complete: outcome.report.is_complete(),
            messages: outcome.report.added,
        })
    }

    /// Takes the account in, where the repository's files are written, too: strace counts calls by thread, so that boundaries that lie in several
    /// threads would hide one another.
    async fn enrol(&self, vault: &Vault) -> Result<()> {
        let (vault, account) = (vault.clone(), self.account.clone());
        tokio::task::spawn_blocking(move || vault.remember(&account))
            .await
            .context("the worker's thread ended")??;
        Ok(())
    }

    async fn prune(&self, setting: Setting<'_>) -> Result<Answer> {
        let repository = engine::open::existing(setting.local(), &self.account).await?;
        let all = repository.snapshots().await?;
        let (last, _) = latest(&all).context("there is a restore point")?;
        let old: Vec<_> = all
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| id != last)
            .collect();
        repository.forget(&old).await?;
        let report = repository.prune(ANY_AGE, |_| {}).await?;
        Ok(Answer {
            snapshot: None,
            complete: !report.postponed && report.doomed_packs == 0,
            messages: 0,
        })
    }

    async fn repair(&self, setting: Setting<'_>) -> Result<Answer> {
        let outcome = repair::run(setting.local(), &self.account, false, |_| ()).await?;
        Ok(Answer {
            snapshot: outcome.snapshot.map(|id| id.to_string()),
            complete: outcome.repository.lost.is_empty(),
            messages: outcome.fetched_again.messages.len() as u64,
        })
    }

    async fn verify(&self, setting: Setting<'_>) -> Result<Answer> {
        let report = engine::verify::run(setting.local(), &self.account, |_| ()).await?;
        Ok(Answer {
            snapshot: None,
            complete: report.is_sound(),
            messages: report.files,
        })
    }
}

async fn bring_back(setting: Setting<'_>, order: &Order<'_>) -> Result<Answer> {
    let archive = restore::archive(setting, order.source, None).await?;
    let report = restore::run(setting, &archive, order, &|_| {}).await?;
    Ok(Answer {
        snapshot: None,
        complete: report.is_complete() && report.notable.is_empty(),
        messages: report.restored,
    })
}

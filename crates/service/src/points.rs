//! Looking into an account's repository: which restore points there are, and what is in one.

use std::collections::HashMap;

use catalog::{AccountKey, OrganizationId};
use engine::{
    open::{self, Local},
    snapshots,
};
use jiff::Timestamp;
use repository::SnapshotId;
use workload::mail::Archive;

use crate::{Error, JobReport, Result, Service};

/// Jobs of an account whose reports are looked at for numbers.
const JOBS_MAX: u32 = 1_000;

/// A snapshot as a person sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestorePoint {
    /// Its id, as restic writes it.
    pub snapshot: String,
    /// When it was made.
    pub time: Timestamp,
    /// Whether something that should be in it is not.
    pub partial: bool,
    /// Items in it, where the report of its job is known.
    pub items: Option<u64>,
    /// Bytes of these items.
    pub size_bytes: Option<u64>,
    /// Bytes that it added to the repository, before compression.
    pub bytes_added: Option<u64>,
}

impl Service {
    /// An account's restore points, the newest first; none when it was never backed up.
    ///
    /// # Errors
    /// When there is no such account here, or its repository cannot be read.
    pub async fn restore_points(
        &self,
        organization: OrganizationId,
        account: AccountKey,
    ) -> Result<Vec<RestorePoint>> {
        let of = self.catalog().organization(organization);
        let row = of.account(account).await?;
        let (vault, account) = (self.vault(organization).await?, engine_account(&row));
        if !self.knows(organization, &vault, &row).await? {
            return match row.snapshot {
                None => Ok(Vec::new()),
                Some(_) => Err(GONE),
            };
        }
        let repository = match open::existing(self.local(&vault), &account).await {
            Err(engine::Error::NoSnapshot) => return Ok(Vec::new()),
            opened => opened?,
        };
        let found = repository.snapshots().await;
        let mut found = found.map_err(|source| engine::Error::Repository {
            what: "the restore points could not be read",
            source,
        })?;
        let jobs = of.account_jobs(row.key, JOBS_MAX).await?;
        let reports: HashMap<String, JobReport> = jobs
            .iter()
            .filter_map(|job| JobReport::from_text(&job.outcome))
            .filter_map(|report| Some((report.snapshot.clone()?, report)))
            .collect();
        found.sort_by_key(|(_, snapshot)| std::cmp::Reverse(snapshot.time));
        let points = found.into_iter().map(|(id, snapshot)| {
            let id = id.to_string();
            let report = reports.get(&id);
            RestorePoint {
                time: snapshot.time,
                partial: snapshots::is_partial(&snapshot),
                items: report.map(|report| report.items),
                size_bytes: report.map(|report| report.size_bytes),
                bytes_added: report.map(|report| report.bytes_added),
                snapshot: id,
            }
        });
        Ok(points.collect())
    }

    /// An account as of a restore point; as of the newest when none is named.
    ///
    /// # Errors
    /// When there is no such account or restore point here, or the repository cannot be read.
    pub async fn archive(
        &self,
        organization: OrganizationId,
        account: AccountKey,
        snapshot: Option<&str>,
    ) -> Result<Archive> {
        let row = self
            .catalog()
            .organization(organization)
            .account(account)
            .await?;
        let snapshot = snapshot.map(snapshot_id).transpose()?;
        let (vault, account) = (self.vault(organization).await?, engine_account(&row));
        if !self.knows(organization, &vault, &row).await? {
            return match row.snapshot {
                None => Err(engine::Error::NoSnapshot.into()),
                Some(_) => Err(GONE),
            };
        }
        Ok(engine::restore::archive(self.local(&vault), &account, snapshot).await?)
    }

    pub(crate) fn local<'a>(&'a self, vault: &'a engine::Vault) -> Local<'a> {
        Local {
            vault,
            clock: self.clock(),
            instance: &self.settings().instance,
        }
    }
}

/// The catalog knows of backups that the data folder knows nothing of.
pub(crate) const GONE: Error = Error::Gone(
    "the account's backups are not in the data folder: is the disk mounted? nothing was made in their place",
);

/// The account as the engine takes it.
pub(crate) fn engine_account(row: &catalog::Account) -> engine::Account {
    engine::Account {
        id: row.source.clone(),
        tenant: row.tenant.clone(),
        service: row.service,
        address: row.address.clone(),
        name: row.name.clone(),
    }
}

pub(crate) fn snapshot_id(text: &str) -> Result<SnapshotId> {
    text.parse().map_err(|_| Error::NotFound("restore point"))
}

//! Recovery: the database is lost, the data folder and an emergency kit are not.
//!
//! Everything about the backups lies in the data folder. What people had decided (users, schedules, connections' credentials) is gone: the accounts come
//! back inactive, in a task that runs by hand, under a connection that wants to be authenticated again.

use catalog::{
    ConnectionId, CredentialKind, Discovered, Health, NewConnection, NewUser, OrganizationId, Role,
    TaskId, UserId,
};
use engine::{Vault, open, restore, snapshots};
use model::{Service as Of, TenantId};
use secrets::{EmergencyKit, Key};
use zeroize::Zeroizing;

use crate::{
    Error, NewFirstUser, Result, Schedule, Service, TaskSettings, connections::credential_place,
};

/// What was rebuilt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// The organization, under the id that it had.
    pub organization: OrganizationId,
    /// Its administrator.
    pub user: UserId,
    /// Accounts that are there again.
    pub accounts: u64,
    /// Their restore points.
    pub restore_points: u64,
    /// Accounts whose repositories cannot be read: they are there again, without restore points.
    pub unreadable: u64,
}

impl Service {
    /// Rebuilds an organization from the text of its emergency kit and its folder in the data folder, with a new first administrator. The database knows
    /// nothing of it yet.
    ///
    /// # Errors
    /// When the text is no kit, no folder in the data folder is opened by its key, or the organization is in the database already. Then nothing is changed.
    pub async fn recover(&self, kit: &str, user: NewFirstUser) -> Result<Recovered> {
        let key = EmergencyKit::recovery_key(kit)?;
        let (id, vault) = self.folder_of(&key).await?;
        let name = EmergencyKit::organization(kit);
        let user = NewUser {
            name: user.name,
            address: user.address,
            role: Role::Administrator,
            password_hash: user.password_hash,
        };
        let name = name.as_deref().unwrap_or("Recovered");
        let mut recovered = Recovered {
            organization: id,
            user: self.enter(id, name, &key, &user).await?,
            accounts: 0,
            restore_points: 0,
            unreadable: 0,
        };
        let mut accounts = vault.accounts()?;
        accounts.sort_by(|a, b| (a.service, &a.tenant).cmp(&(b.service, &b.tenant)));
        for some in accounts.chunk_by(|a, b| (a.service, &a.tenant) == (b.service, &b.tenant)) {
            let task = self.task_for(id, some[0].service, &some[0].tenant).await?;
            self.enter_accounts(&vault, &mut recovered, task, some)
                .await?;
        }
        Ok(recovered)
    }

    /// The organization's folder that the key opens. One without a repository cannot tell, and has nothing to recover.
    async fn folder_of(&self, key: &Key) -> Result<(OrganizationId, Vault)> {
        let known = self.catalog().organizations().await?;
        let folder = self.settings().data.join("organizations");
        let unusable = |source| Error::Folder {
            path: folder.clone(),
            source,
        };
        for entry in std::fs::read_dir(&folder).map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            let Some(id) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let bytes = Zeroizing::new(*key.as_bytes());
            let Ok(vault) = Vault::with_key(&entry.path(), bytes) else {
                continue;
            };
            for account in vault.accounts()? {
                if open::as_stored(self.local(&vault), &account).await.is_ok() {
                    if known.iter().any(|one| one.id == id) {
                        return Err(Error::Busy(
                            "the organization of this kit is in the database: nothing is to be recovered",
                        ));
                    }
                    return Ok((id, vault));
                }
            }
        }
        Err(Error::NotFound("folder that this kit opens"))
    }

    /// A task that runs by hand, under a connection without a credential.
    async fn task_for(
        &self,
        organization: OrganizationId,
        service: Of,
        tenant: &TenantId,
    ) -> Result<TaskId> {
        let of = self.catalog().organization(organization);
        let (id, now) = (ConnectionId::new(), self.clock().now());
        let row = id.to_string();
        let key = self.organization_key(organization).await?;
        let connection = NewConnection {
            id,
            service,
            tenant: tenant.clone(),
            tenant_name: String::new(),
            client_id: String::new(),
            credential_kind: CredentialKind::Secret,
            credential: key.seal(b"", credential_place(&row)),
        };
        of.add_connection(&connection, now).await?;
        let why = "the connection was recovered without its credential: authenticate again";
        of.set_health(id, Health::Disconnected, why, now).await?;
        let settings = TaskSettings {
            schedule: Schedule::Manual,
            ..TaskSettings::default()
        };
        let name = format!("Recovered {} {tenant}", service.name());
        self.add_task(organization, id, &name, &settings).await
    }

    /// Enters accounts of one task with what their repositories say.
    async fn enter_accounts(
        &self,
        vault: &Vault,
        recovered: &mut Recovered,
        task: TaskId,
        accounts: &[engine::Account],
    ) -> Result<()> {
        let of = self.catalog().organization(recovered.organization);
        for account in accounts {
            let discovered = Discovered {
                source: account.id.clone(),
                name: account.name.clone(),
                address: account.address.clone(),
            };
            let now = self.clock().now();
            recovered.accounts += of
                .note_accounts(task, &account.tenant, &[discovered], now)
                .await?;
        }
        for row in self.accounts(recovered.organization, task).await? {
            match self.enter_restore_points(vault, &row).await {
                Ok(points) => recovered.restore_points += points,
                Err(error) => {
                    tracing::warn!(
                        error = error.text(),
                        "an account's repository cannot be read"
                    );
                    recovered.unreadable += 1;
                }
            }
        }
        Ok(())
    }

    /// Notes an account's newest snapshot. Returns how many there are.
    async fn enter_restore_points(&self, vault: &Vault, row: &catalog::Account) -> Result<u64> {
        const WHAT: &str = "the restore points could not be read";
        let (local, account) = (self.local(vault), crate::points::engine_account(row));
        let repository = match open::as_stored(local, &account).await {
            Err(engine::Error::NoSnapshot) => return Ok(0),
            opened => opened?,
        };
        let found = repository.snapshots().await;
        let found = found.map_err(|source| engine::Error::Repository { what: WHAT, source })?;
        let Some((id, snapshot)) = snapshots::latest(&found) else {
            return Ok(0);
        };
        let archive = restore::archive(local, &account, Some(*id)).await?;
        let totals = archive.totals().await;
        let totals = totals.map_err(|source| engine::Error::Workload { what: WHAT, source })?;
        let of = self.catalog();
        of.accept_snapshot(
            row.key,
            &id.to_string(),
            totals,
            snapshots::is_partial(snapshot),
            snapshot.time,
        )
        .await?;
        of.raise_fencing_token(row.key, snapshots::token(snapshot))
            .await?;
        Ok(found.len() as u64)
    }
}

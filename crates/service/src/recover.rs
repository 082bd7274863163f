//! Recovery: the database is lost, or an older copy of it was put back; the data folder and an emergency kit are there.
//!
//! Everything about the backups lies in the data folder, and what is there counts. Of a database that is lost, what people had decided (users, schedules,
//! connections' credentials) is gone: the accounts come back inactive, in a task that runs by hand, under a connection that wants to be authenticated
//! again. An older copy keeps what people had decided until then, and learns what was backed up since. Doing it again changes nothing.

use std::collections::HashSet;

use catalog::{
    ConnectionId, CredentialKind, Discovered, Health, NewConnection, NewUser, OrganizationId, Role,
    Task, TaskId, UserId,
};
use engine::{Vault, open, restore, snapshots};
use model::{Service as Of, TenantId};
use secrets::{EmergencyKit, Key};
use zeroize::Zeroizing;

use crate::{
    Error, NewFirstUser, Result, Schedule, Service, TaskSettings, connections::credential_place,
    job::item_report,
};

/// What was rebuilt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// The organization, under the id that it had.
    pub organization: OrganizationId,
    /// Its administrator; nobody when the database knew the organization, and with it its users.
    pub user: Option<UserId>,
    /// Accounts that the database did not know.
    pub accounts: u64,
    /// Accounts, these included, of whose newest restore point the database did not know.
    pub behind: u64,
    /// Restore points that all accounts have.
    pub restore_points: u64,
    /// Accounts whose repositories cannot be read: nothing was changed of what the database says of them.
    pub unreadable: u64,
}

impl Service {
    /// Makes the database say of an organization what its folder in the data folder holds, by the text of its emergency kit. Where the database knows
    /// nothing of the organization it is entered, with `user` as its first administrator, who otherwise is not needed.
    ///
    /// # Errors
    /// When the text is no kit, no folder in the data folder is opened by its key, or the organization needs an administrator. Then nothing is changed.
    pub async fn recover(&self, kit: &str, user: Option<NewFirstUser>) -> Result<Recovered> {
        let key = EmergencyKit::recovery_key(kit)?;
        let (id, vault) = self.folder_of(&key).await?;
        let known = self.catalog().organizations().await?;
        let user = match known.iter().any(|one| one.id == id) {
            true => None,
            false => Some(self.enter_again(id, kit, &key, user).await?),
        };
        let mut recovered = Recovered {
            organization: id,
            user,
            accounts: 0,
            behind: 0,
            restore_points: 0,
            unreadable: 0,
        };
        let mut stored = vault.accounts()?;
        stored.sort_by(|a, b| (a.service, &a.tenant).cmp(&(b.service, &b.tenant)));
        for some in stored.chunk_by(|a, b| (a.service, &a.tenant) == (b.service, &b.tenant)) {
            recovered.accounts += self.enter_accounts(id, some).await?;
        }
        let of = self.catalog().organization(id);
        for task in of.tasks().await? {
            for row in self.accounts(id, task.id).await? {
                if self.knows(id, &vault, &row).await? {
                    self.reconcile(&vault, &row, &mut recovered).await;
                }
            }
        }
        Ok(recovered)
    }

    async fn enter_again(
        &self,
        id: OrganizationId,
        kit: &str,
        key: &Key,
        user: Option<NewFirstUser>,
    ) -> Result<UserId> {
        let user = user.ok_or(Error::Invalid(
            "the database does not know the organization: name who is to administer it",
        ))?;
        let user = NewUser {
            name: user.name,
            address: user.address,
            role: Role::Administrator,
            password_hash: user.password_hash,
        };
        let name = EmergencyKit::organization(kit);
        let name = name.as_deref().unwrap_or("Recovered");
        self.enter(id, name, key, &user).await
    }

    /// The organization's folder that the key opens. One without a repository cannot tell, and has nothing to recover.
    async fn folder_of(&self, key: &Key) -> Result<(OrganizationId, Vault)> {
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
                    return Ok((id, vault));
                }
            }
        }
        Err(Error::NotFound("folder that this kit opens"))
    }

    /// Enters those of one tenant's accounts that the database does not know. Returns how many.
    async fn enter_accounts(
        &self,
        organization: OrganizationId,
        accounts: &[engine::Account],
    ) -> Result<u64> {
        let Some(first) = accounts.first() else {
            return Ok(0);
        };
        let task = self
            .task_for(organization, first.service, &first.tenant)
            .await?;
        let of = self.catalog().organization(organization);
        let mut known = HashSet::new();
        for task in of.tasks().await? {
            let rows = self.accounts(organization, task.id).await?;
            known.extend(
                rows.into_iter()
                    .map(|row| (row.service, row.tenant, row.source)),
            );
        }
        let is_new = |one: &&engine::Account| {
            !known.contains(&(one.service, one.tenant.clone(), one.id.clone()))
        };
        let new: Vec<Discovered> = accounts
            .iter()
            .filter(is_new)
            .map(|one| Discovered {
                source: one.id.clone(),
                name: one.name.clone(),
                address: one.address.clone(),
            })
            .collect();
        let now = self.clock().now();
        Ok(of.note_accounts(task, &first.tenant, &new, now).await?)
    }

    /// A task of this tenant. Where there is none, one that runs by hand; where there is no connection either, one without a credential.
    async fn task_for(
        &self,
        organization: OrganizationId,
        service: Of,
        tenant: &TenantId,
    ) -> Result<TaskId> {
        let of = self.catalog().organization(organization);
        let mut connections = of.connections().await?;
        connections.retain(|one| (one.service, &one.tenant) == (service, tenant));
        let tasks = of.tasks().await?;
        let is_theirs = |task: &&Task| connections.iter().any(|one| one.id == task.connection);
        if let Some(task) = tasks.iter().find(is_theirs) {
            return Ok(task.id);
        }
        let connection = match connections.first() {
            Some(connection) => connection.id,
            None => self.empty_connection(organization, service, tenant).await?,
        };
        let settings = TaskSettings {
            schedule: Schedule::Manual,
            ..TaskSettings::default()
        };
        let name = format!("Recovered {} {tenant}", service.name());
        self.add_task(organization, connection, &name, &settings)
            .await
    }

    async fn empty_connection(
        &self,
        organization: OrganizationId,
        service: Of,
        tenant: &TenantId,
    ) -> Result<ConnectionId> {
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
        of.set_health(id, &connection.credential, Health::Disconnected, why, now)
            .await?;
        Ok(id)
    }

    /// Brings what the database says of an account up to date with its repository.
    async fn reconcile(&self, vault: &Vault, row: &catalog::Account, recovered: &mut Recovered) {
        match self
            .enter_restore_points(recovered.organization, vault, row)
            .await
        {
            Ok((points, is_news)) => {
                recovered.restore_points += points;
                recovered.behind += u64::from(is_news);
            }
            Err(error) => {
                tracing::warn!(
                    error = error.text(),
                    "an account's repository cannot be read"
                );
                recovered.unreadable += 1;
            }
        }
    }

    /// Notes an account's newest snapshot. Returns how many there are, and whether it is news.
    pub(crate) async fn enter_restore_points(
        &self,
        organization: OrganizationId,
        vault: &Vault,
        row: &catalog::Account,
    ) -> Result<(u64, bool)> {
        const WHAT: &str = "the restore points could not be read";
        let (local, account) = (self.local(vault), crate::points::engine_account(row));
        let repository = match open::as_stored(local, &account).await {
            Err(engine::Error::NoSnapshot) => return Ok((0, false)),
            opened => opened?,
        };
        let found = repository.snapshots().await;
        let found = found.map_err(|source| engine::Error::Repository { what: WHAT, source })?;
        let Some((id, snapshot)) = snapshots::latest(&found) else {
            return Ok((0, false));
        };
        let of = self.catalog();
        of.raise_fencing_token(row.key, snapshots::token(snapshot))
            .await?;
        self.keep_secret(organization, vault, row).await?;
        let (points, id_text) = (found.len() as u64, id.to_string());
        if row.snapshot.as_ref() == Some(&id_text) {
            return Ok((points, false));
        }
        let archive = restore::archive(local, &account, Some(*id)).await?;
        let totals = archive.totals().await;
        let totals = totals.map_err(|source| engine::Error::Workload { what: WHAT, source })?;
        let lacks = archive.failures().await;
        let lacks = lacks.map_err(|source| engine::Error::Workload { what: WHAT, source })?;
        let lacks: Vec<_> = lacks.iter().map(item_report).collect();
        let is_news = of
            .accept_snapshot(
                row.key,
                row.snapshot.as_deref(),
                &id_text,
                totals,
                (snapshots::is_partial(snapshot), &lacks),
                snapshot.time,
            )
            .await?;
        Ok((points, is_news))
    }
}

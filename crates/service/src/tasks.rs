//! Backup tasks, and the discovery of their accounts.

use std::collections::HashSet;

use catalog::{
    Account, AccountFilter, AccountKey, AccountSort, ConnectionId, Direction, Discovered, NewTask,
    OrganizationId, StatusChange, TaskId,
};
use model::AccountId;
use secrets::Key;

use crate::{Result, Service, TaskSettings, account_secrets::task_key_place};

/// Accounts that are read from the catalog at a time.
const ROWS: u32 = 500;

/// What a discovery found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Discovery {
    /// Accounts that the source has and the task takes.
    pub found: u64,
    /// Those of them that nobody knew before.
    pub new: u64,
    /// Accounts that the source says are gone, and that were archived now.
    pub gone: u64,
    /// Accounts that were archived because they were gone, and are there again.
    pub back: u64,
}

impl Service {
    /// Makes a task. Its accounts are looked for by [`Service::discover`], or by the scheduler with its next tick.
    ///
    /// # Errors
    /// When there is no such connection here, a task of that name is, or the settings cannot be.
    pub async fn add_task(
        &self,
        organization: OrganizationId,
        connection: ConnectionId,
        name: &str,
        settings: &TaskSettings,
    ) -> Result<TaskId> {
        settings.check()?;
        let id = TaskId::new();
        let row = id.to_string();
        let key = self.organization_key(organization).await?;
        let task = NewTask {
            id,
            connection,
            name: name.to_owned(),
            key: key.wrap(&Key::random(), task_key_place(&row)),
            settings: settings.to_text(),
        };
        let of = self.catalog().organization(organization);
        of.add_task(&task, self.clock().now()).await?;
        Ok(id)
    }

    /// Replaces a task's settings. Where accounts without a licence are wanted from now on, the scheduler looks for them with its next tick.
    ///
    /// # Errors
    /// When there is no such task here, or the settings cannot be.
    pub async fn set_settings(
        &self,
        organization: OrganizationId,
        task: TaskId,
        settings: &TaskSettings,
    ) -> Result<()> {
        settings.check()?;
        let of = self.catalog().organization(organization);
        let before = TaskSettings::from_text(&of.task(task).await?.settings)?;
        of.set_settings(task, &settings.to_text()).await?;
        if settings.unlicensed && !before.unlicensed {
            of.discover_again(task).await?;
        }
        Ok(())
    }

    /// A task's settings.
    ///
    /// # Errors
    /// When there is no such task here, or a later version wrote them.
    pub async fn task_settings(
        &self,
        organization: OrganizationId,
        task: TaskId,
    ) -> Result<TaskSettings> {
        let task = self.catalog().organization(organization).task(task).await?;
        Ok(TaskSettings::from_text(&task.settings)?)
    }

    /// Asks the source which accounts there are: new ones are entered, and activated if the task says so; names and addresses are brought up to date.
    /// What the source no longer lists is asked for by its id, and archived only if the source says that it is gone.
    ///
    /// # Errors
    /// When there is no such task here, or the source cannot be asked. Then nothing is archived.
    pub async fn discover(&self, organization: OrganizationId, task: TaskId) -> Result<Discovery> {
        let of = self.catalog().organization(organization);
        let task = of.task(task).await?;
        let settings = TaskSettings::from_text(&task.settings)?;
        let tenant = of.connection(task.connection).await?.tenant;
        let client = self.client(organization, task.connection).await?;
        let now = self.clock().now();
        let discovery = of.begin_discovery(task.id).await?;
        let found = engine::discovery::found(&client, &tenant).await?;
        // An account that lost its licence stays the task's if it was: it is not gone.
        let taken = found
            .iter()
            .filter(|one| settings.unlicensed || one.licensed);
        let discovered: Vec<Discovered> = taken
            .map(|one| Discovered {
                source: one.account.id.clone(),
                name: one.account.name.clone(),
                address: one.account.address.clone(),
            })
            .collect();
        let known: HashSet<AccountId> = self
            .accounts(organization, task.id)
            .await?
            .into_iter()
            .map(|account| account.source)
            .collect();
        let mut result = Discovery {
            found: discovered.len() as u64,
            new: of.note_accounts(task.id, &tenant, &discovered, now).await?,
            ..Discovery::default()
        };
        let present: Vec<AccountId> = found.iter().map(|one| one.account.id.clone()).collect();
        result.back = of.welcome_back(task.id, discovery, &present).await?;
        let accounts = self.accounts(organization, task.id).await?;
        if settings.activate_new && result.new > 0 {
            let new = accounts
                .iter()
                .filter(|account| !known.contains(&account.source));
            let new: Vec<AccountKey> = new.map(|account| account.key).collect();
            for some in new.chunks(ROWS as usize) {
                let filter = AccountFilter {
                    keys: Some(some.to_vec()),
                    ..AccountFilter::default()
                };
                of.change_status(task.id, &filter, StatusChange::Activate)
                    .await?;
            }
        }
        let present: HashSet<AccountId> = present.into_iter().collect();
        let unlisted = accounts
            .into_iter()
            .filter(|account| account.gone_at.is_none() && !present.contains(&account.source));
        let unlisted: Vec<Account> = unlisted.collect();
        let ids: Vec<AccountId> = unlisted.iter().map(|one| one.source.clone()).collect();
        let gone: HashSet<AccountId> = engine::discovery::gone(&client, &ids)
            .await?
            .into_iter()
            .collect();
        let gone = unlisted.iter().filter(|one| gone.contains(&one.source));
        let gone: Vec<AccountKey> = gone.map(|one| one.key).collect();
        result.gone = of.archive_gone(task.id, discovery, &gone, now).await?;
        of.discovered(task.id, discovery, now).await?;
        Ok(result)
    }

    /// All accounts of a task.
    pub(crate) async fn accounts(
        &self,
        organization: OrganizationId,
        task: TaskId,
    ) -> Result<Vec<Account>> {
        let of = self.catalog().organization(organization);
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = of
                .accounts(
                    task,
                    &AccountFilter::default(),
                    AccountSort::Name,
                    Direction::Ascending,
                    after.as_ref(),
                    ROWS,
                )
                .await?;
            all.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }
}

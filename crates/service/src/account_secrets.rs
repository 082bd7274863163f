//! The second copy of every account's secret: in the catalog, wrapped by the task's key.
//!
//! The first copy is the account's file in the data folder, beside the repository; one of the two and the organization's recovery key open it. The
//! copy is made with the first backup, and for data folders that are older than this with the next backup or maintenance. A file that is lost while its
//! repository is there is made again from the copy.

use catalog::{Account, OrganizationId, TaskId};
use engine::Vault;
use secrets::{Key, Place};

use crate::{Error, Result, Service, points::engine_account};

const WHAT: &str = "the secret of the account's repository";

impl Service {
    /// Whether the data folder knows the account.
    pub(crate) async fn knows(
        &self,
        organization: OrganizationId,
        vault: &Vault,
        row: &Account,
    ) -> Result<bool> {
        if vault.knows(&row.source)? {
            return Ok(true);
        }
        let (Some(sealed), None) = (&row.secret, row.deleted_at) else {
            return Ok(false);
        };
        if !vault.has_files(&row.source) {
            return Ok(false);
        }
        let key = self.task_key(organization, row.task).await?;
        let secret = key
            .unwrap_key(sealed, secret_place(&row.key.to_string()))
            .map_err(Error::sealed(WHAT))?;
        vault.take_back(&engine_account(row), secret.as_bytes())?;
        tracing::warn!(account = %row.key, "an account's file was lost, and is made again");
        Ok(true)
    }

    /// Sees to it that the catalog has the secret of an account that the data folder knows.
    pub(crate) async fn keep_secret(
        &self,
        organization: OrganizationId,
        vault: &Vault,
        row: &Account,
    ) -> Result<()> {
        if row.secret.is_some() {
            return Ok(());
        }
        let secret = Key::from_bytes(*vault.secret(&row.source)?);
        let key = self.task_key(organization, row.task).await?;
        let sealed = key.wrap(&secret, secret_place(&row.key.to_string()));
        let of = self.catalog().organization(organization);
        Ok(of.set_secret(row.key, &sealed).await?)
    }

    async fn task_key(&self, organization: OrganizationId, task: TaskId) -> Result<Key> {
        let task = self.catalog().organization(organization).task(task).await?;
        self.organization_key(organization)
            .await?
            .unwrap_key(&task.key, task_key_place(&task.id.to_string()))
            .map_err(Error::sealed("the task's key"))
    }
}

/// Where a task's key is kept, wrapped by the organization's.
pub(crate) fn task_key_place(task: &str) -> Place<'_> {
    Place {
        table: "tasks",
        column: "key_sealed",
        row: task,
    }
}

/// Where the secret of an account's repository is kept, wrapped by the task's key.
fn secret_place(account: &str) -> Place<'_> {
    Place {
        table: "accounts",
        column: "secret_sealed",
        row: account,
    }
}

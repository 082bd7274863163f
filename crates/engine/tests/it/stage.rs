//! An emulated tenant, a client for it, and a data folder.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use emulator::{Emulator, Running, Settings, World};
use engine::{
    Account, Vault,
    backup::{self, Outcome, Setting},
    discovery, verify,
};
use graph::{Client, Cloud, Credential, Options};
use model::{SharedClock, SystemClock, TenantId};
use repository::{Repository, SnapshotId};
use tempfile::TempDir;
use workload::mail::{Archive, backup::Progress};

pub(crate) struct Stage {
    pub(crate) emulator: Running,
    pub(crate) graph: Client,
    pub(crate) vault: Vault,
    pub(crate) clock: SharedClock,
    pub(crate) tenant: TenantId,
    _data: TempDir,
}

/// What a mailbox holds: for each message its folder's id and its MIME, by id.
pub(crate) type Held = BTreeMap<String, (String, Vec<u8>)>;

impl Stage {
    pub(crate) async fn start(world: World) -> Result<Self> {
        Self::start_with(Settings::new(world)).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Result<Self> {
        let emulator = Emulator::start(settings).await?;
        let clock = SystemClock::shared();
        let tenant = TenantId::new(emulator.tenant_id.to_string())?;
        let credential = Credential::secret(emulator.client_secret.clone());
        let cloud = Cloud::at(&emulator.base_url)?;
        let options = Options::new(
            cloud,
            tenant.clone(),
            emulator.client_id.to_string(),
            credential,
            clock.clone(),
            7,
        );
        let data = TempDir::new()?;
        Ok(Self {
            graph: Client::new(options)?,
            vault: Vault::create(data.path())?,
            clock,
            tenant,
            emulator,
            _data: data,
        })
    }

    pub(crate) fn setting(&self) -> Setting<'_> {
        Setting {
            vault: &self.vault,
            graph: &self.graph,
            clock: &self.clock,
            instance: "test",
        }
    }

    pub(crate) async fn accounts(&self) -> Result<Vec<Account>> {
        Ok(discovery::mailboxes(&self.graph, &self.tenant).await?)
    }

    pub(crate) async fn back_up(&self, account: &Account) -> Result<Outcome> {
        Ok(backup::run(self.setting(), account, &Progress::default()).await?)
    }

    /// Runs `work` on the account's mailbox at the source.
    pub(crate) fn at_source<T>(
        &self,
        account: &Account,
        work: impl FnOnce(&mut emulator::Mailbox) -> T,
    ) -> Result<T> {
        let mailbox = self
            .emulator
            .tenant()
            .mailbox(account.id.as_str().parse()?)
            .context("it has a mailbox")?;
        let mut mailbox = mailbox
            .lock()
            .map_err(|_| anyhow::anyhow!("a mailbox's lock is poisoned"))?;
        Ok(work(&mut mailbox))
    }

    /// What the source holds.
    pub(crate) fn source(&self, account: &Account) -> Result<Held> {
        self.at_source(account, |mailbox| {
            let messages = mailbox.message_views();
            messages
                .map(|message| (message.id, (message.folder_id, message.mime.to_vec())))
                .collect()
        })
    }

    pub(crate) async fn repository(&self, account: &Account) -> Result<Repository> {
        Ok(verify::open(&self.vault, account, &self.clock, "test").await?)
    }

    pub(crate) async fn archive(&self, account: &Account, snapshot: SnapshotId) -> Result<Archive> {
        let repository = self.repository(account).await?;
        let snapshot = repository
            .snapshot(snapshot)
            .await?
            .context("the snapshot is there")?;
        Ok(Archive::open(repository.view(snapshot.tree)).await?)
    }

    /// What the snapshot holds.
    pub(crate) async fn snapshot(&self, account: &Account, snapshot: SnapshotId) -> Result<Held> {
        let archive = self.archive(account, snapshot).await?;
        let mut held = Held::new();
        for folder in archive.folders() {
            for at in archive.messages(&folder.id).await? {
                let message = archive.message(&at).await?;
                ensure!(
                    archive.find(&message.id).await?.as_ref() == Some(&at),
                    "a message is found by its id"
                );
                let before = held.insert(
                    message.id.to_string(),
                    (folder.id.to_string(), message.mime.to_vec()),
                );
                ensure!(before.is_none(), "a message is in the snapshot once");
            }
        }
        Ok(held)
    }

    /// Both versions of stock restic read every byte of the account's repository.
    pub(crate) fn restic_agrees(&self, account: &Account) -> Result<()> {
        for restic in testkit::restic::both() {
            restic.check(
                &self.vault.repository_path(&account.id),
                &self.vault.password(&account.id)?,
            )?;
        }
        Ok(())
    }
}

/// In what two mailboxes differ, for people to read.
pub(crate) fn differences(snapshot: &Held, source: &Held) -> Vec<String> {
    let mut found = Vec::new();
    for (id, (folder, mime)) in source {
        match snapshot.get(id) {
            None => found.push(format!("{id} is missing, of folder {folder}")),
            Some((other, _)) if other != folder => {
                found.push(format!("{id} is in folder {other} instead of {folder}"))
            }
            Some((_, other)) if other != mime => found.push(format!("{id} has other bytes")),
            Some(_) => {}
        }
    }
    let extra = snapshot.iter().filter(|(id, _)| !source.contains_key(*id));
    found.extend(extra.map(|(id, (folder, _))| format!("{id} is too many, in folder {folder}")));
    found
}

//! `keepwell recover`: the database is deleted, or an older copy of it put back, and an emergency kit brings back what the data folder holds.

use std::{fs, num::NonZeroUsize, path::Path};

use anyhow::{Context, Result, ensure};
use catalog::{
    Account, AccountFilter, AccountSort, Direction, OrganizationId, StatusChange, TaskId,
};
use emulator::{Emulator, Running, World};
use graph::Cloud;
use model::{SystemClock, TenantId};
use secrets::ServerKey;
use service::{
    Credential, NewCredential, NewFirstUser, Pace, RestoreOrder, Selection, Service, TaskSettings,
    Which,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use workload::mail::restore::Destination;
use zeroize::Zeroizing;

use crate::run::keepwell;

/// A tenant with one mailbox, and a service that has backed it up once.
pub(crate) struct Stage {
    folder: TempDir,
    pub(crate) emulator: Running,
    pub(crate) organization: OrganizationId,
    database: String,
    kit: String,
}

impl Stage {
    async fn start() -> Result<Self> {
        Self::start_in(None).await
    }

    /// With this database, or with the one that these tests are run on.
    pub(crate) async fn start_in(database: Option<String>) -> Result<Self> {
        let folder = TempDir::new()?;
        let emulator = Emulator::start(emulator::Settings::new(World::new().users(1, 7))).await?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        keepwell(["key", "create", &path("server.key")])?.ended(0)?;
        let database = database.unwrap_or_else(|| testkit::database::address(folder.path()));
        let service = open(folder.path(), &emulator, &database).await?;
        let user = NewFirstUser {
            name: "Robin".to_owned(),
            address: "robin@fabrikam.example".to_owned(),
            password_hash: "hash".to_owned(),
        };
        let (organization, _) = service.found("Fabrikam", user).await?;
        let connection = service
            .connect(organization, credential(&emulator)?)
            .await?;
        service.check_connection(organization, connection).await?;
        let task = service
            .add_task(organization, connection, "Mail", &TaskSettings::default())
            .await?;
        service.discover(organization, task).await?;
        activate(&service, organization, task).await?;
        back_up(&service, organization, task).await?;
        let kit = service
            .emergency_kit(organization)
            .await?
            .to_text()
            .to_string();
        fs::write(folder.path().join("kit.txt"), &kit)?;
        service.catalog().clone().close().await;
        let stage = Self {
            folder,
            emulator,
            organization,
            database,
            kit,
        };
        stage.write_config()?;
        Ok(stage)
    }

    /// From now on the configuration names another database.
    fn turn_to(&mut self, database: String) -> Result<()> {
        self.database = database;
        self.write_config()
    }

    fn write_config(&self) -> Result<()> {
        let config = format!(
            "data = {:?}\ndatabase = {:?}\nkey_file = {:?}\ncloud = {{ emulator = {:?} }}\n",
            self.path("data"),
            self.database,
            self.path("server.key"),
            self.emulator.base_url
        );
        Ok(fs::write(self.path("keepwell.toml"), config)?)
    }

    /// What `keepwell recover` prints.
    fn recover(&self, more: &[&str]) -> Result<String> {
        let (kit, config) = (self.path("kit.txt"), self.path("keepwell.toml"));
        let arguments = [&["recover", "--kit", &kit, "--config", &config], more].concat();
        Ok(keepwell(arguments)?.ended(0)?.stdout)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) async fn open(&self) -> Result<Service> {
        open(self.folder.path(), &self.emulator, &self.database).await
    }

    /// So many messages arrive in the account's mailbox.
    #[cfg(unix)]
    pub(crate) fn arrive(&self, account: &Account, count: usize) -> Result<()> {
        let mailbox = self
            .emulator
            .tenant()
            .mailbox(account.source.as_str().parse()?);
        let mailbox = mailbox.context("a mailbox")?;
        let mut mailbox = mailbox.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
        let inbox = mailbox.find_folder("inbox").context("an inbox")?;
        for n in 0..count {
            let mail = format!("From: Zoe <zoe@example.com>\r\nSubject: News {n}\r\n\r\nNews.\r\n");
            mailbox.deliver(inbox, mail.into_bytes().into(), self.emulator.now())?;
        }
        Ok(())
    }
}

async fn open(folder: &Path, emulator: &Running, database: &str) -> Result<Service> {
    let settings = service::Settings {
        data: folder.join("data"),
        database: database.to_owned(),
        cloud: Cloud::at(&emulator.base_url)?,
        instance: "test".to_owned(),
        clock: SystemClock::shared(),
        at_once: NonZeroUsize::MIN,
        pace: Pace::default(),
    };
    let key = ServerKey::from_text(&fs::read_to_string(folder.join("server.key"))?)?;
    Ok(Service::open(settings, key).await?)
}

fn credential(emulator: &Running) -> Result<NewCredential> {
    Ok(NewCredential {
        service: model::Service::Exchange,
        tenant: TenantId::new(emulator.tenant_id.to_string())?,
        tenant_name: String::new(),
        client_id: emulator.client_id.to_string(),
        credential: Credential::Secret(Zeroizing::new(emulator.client_secret.clone())),
    })
}

async fn activate(service: &Service, organization: OrganizationId, task: TaskId) -> Result<()> {
    let of = service.catalog().organization(organization);
    of.change_status(task, &AccountFilter::default(), StatusChange::Activate)
        .await?;
    Ok(())
}

/// The only account of the only task.
pub(crate) async fn account(
    service: &Service,
    organization: OrganizationId,
) -> Result<(TaskId, Account)> {
    let of = service.catalog().organization(organization);
    let task = of.tasks().await?.remove(0).id;
    let all = AccountFilter::default();
    let (sort, direction) = (AccountSort::Name, Direction::Ascending);
    let page = of.accounts(task, &all, sort, direction, None, 10).await?;
    ensure!(page.rows.len() == 1);
    Ok((task, page.rows.into_iter().next().context("an account")?))
}

/// Works until the run is over, which has to be a success.
async fn work_off(
    service: &Service,
    organization: OrganizationId,
    run: catalog::RunId,
) -> Result<()> {
    let of = service.catalog().organization(organization);
    let (stop, mut changes) = (CancellationToken::new(), service.changed());
    let over = async {
        while of.run(run).await?.finished_at.is_none() {
            changes.recv().await?;
        }
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::join!(over, service.work(stop.clone())).0?;
    let totals = of.run_totals(run).await?;
    ensure!(totals.success == totals.jobs, "{totals:?}");
    Ok(())
}

async fn back_up(service: &Service, organization: OrganizationId, task: TaskId) -> Result<()> {
    let run = service.backup_now(organization, task, Which::All).await?;
    work_off(service, organization, run).await
}

/// Every restore point is there, one message can be restored, and the next backup goes on from where the last one was.
async fn all_is_there(
    service: &Service,
    organization: OrganizationId,
    points: &[String],
    items: u64,
) -> Result<()> {
    let (task, account) = account(service, organization).await?;
    ensure!(ids(service, &account, organization).await? == points);
    ensure!((account.items, account.snapshot.as_ref()) == (items, points.first()));
    let archive = service.archive(organization, account.key, None).await?;
    let inbox = archive
        .folders()
        .iter()
        .find(|one| one.messages > 0)
        .context("a folder with mail")?;
    let message = archive.messages(&inbox.id).await?.remove(0);
    let message = archive.message(&message).await?;
    let order = RestoreOrder {
        snapshot: points.first().cloned(),
        selection: Selection::Messages(vec![message.id]),
        target: account.key,
        destination: Destination::NewFolder {
            name: "Restored".to_owned(),
        },
        key: None,
    };
    let run = service.restore(organization, account.key, order).await?;
    work_off(service, organization, run).await?;
    back_up(service, organization, task).await?;
    let now = service
        .catalog()
        .organization(organization)
        .account(account.key)
        .await?;
    ensure!(now.items == items + 1, "{} and the restored one", items);
    Ok(())
}

async fn ids(
    service: &Service,
    account: &Account,
    organization: OrganizationId,
) -> Result<Vec<String>> {
    let points = service.restore_points(organization, account.key).await?;
    Ok(points.into_iter().map(|point| point.snapshot).collect())
}

/// Abuse 64: the database is deleted altogether.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_database_is_made_again_from_the_kit() -> Result<()> {
    let mut stage = Stage::start().await?;
    let service = stage.open().await?;
    let (_, before) = account(&service, stage.organization).await?;
    let points = ids(&service, &before, stage.organization).await?;
    service.catalog().clone().close().await;
    let elsewhere = TempDir::new()?;
    stage.turn_to(testkit::database::address(elsewhere.path()))?;
    let (kit, config) = (stage.path("kit.txt"), stage.path("keepwell.toml"));
    let refused = keepwell(["recover", "--kit", &kit, "--config", &config])?.refusal()?;
    ensure!(refused.contains("who is to administer"), "{refused}");
    let told = stage.recover(&["--administrator", "new@fabrikam.example"])?;
    ensure!(
        told.contains("1 account entered, 1 account brought up to date, 1 restore point in all"),
        "{told}"
    );
    ensure!(
        told.contains("new@fabrikam.example") && told.contains("password"),
        "{told}"
    );
    ensure!(!stage.recover(&[])?.contains("password"), "once is enough");

    let service = stage.open().await?;
    let of = service.catalog().organization(stage.organization);
    ensure!(
        of.audit(None, 10)
            .await?
            .iter()
            .any(|entry| entry.action == "recovered the organization")
    );
    let (task, _) = account(&service, stage.organization).await?;
    let connection = of.connections().await?.remove(0).id;
    service
        .reconnect(stage.organization, connection, credential(&stage.emulator)?)
        .await?;
    activate(&service, stage.organization, task).await?;
    ensure!(stage.kit.contains("keepwell recover --kit"));
    all_is_there(&service, stage.organization, &points, before.items).await
}

/// Abuse 64: an older copy of the database is put back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_database_is_brought_up_to_date_by_the_kit() -> Result<()> {
    let mut stage = Stage::start().await?;
    let older = testkit::database::copy(&stage.database);
    let service = stage.open().await?;
    let (task, before) = account(&service, stage.organization).await?;
    let order = RestoreOrder {
        snapshot: None,
        selection: Selection::Mailbox,
        target: before.key,
        destination: Destination::NewFolder {
            name: "Again".to_owned(),
        },
        key: None,
    };
    let run = service
        .restore(stage.organization, before.key, order)
        .await?;
    work_off(&service, stage.organization, run).await?;
    back_up(&service, stage.organization, task).await?;
    let (_, now) = account(&service, stage.organization).await?;
    ensure!(now.items == 2 * before.items);
    let points = ids(&service, &now, stage.organization).await?;
    service.catalog().clone().close().await;
    stage.turn_to(older)?;

    let told = stage.recover(&[])?;
    ensure!(
        told.contains("0 accounts entered, 1 account brought up to date, 2 restore points in all"),
        "{told}"
    );
    let service = stage.open().await?;
    all_is_there(&service, stage.organization, &points, now.items).await
}

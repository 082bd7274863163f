//! A tenant, a database, a data folder, and as many services on them as a test wants processes.

use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use catalog::{
    Account, AccountFilter, AccountSort, ConnectionId, Direction, Job, JobState, OrganizationId,
    RunId, StatusChange, TaskId,
};
use emulator::{Emulator, Running, Settings as World};
use graph::Cloud;
use model::{Clock, SharedClock, SystemClock, TenantId};
use secrets::ServerKey;
use service::{
    Credential, NewCredential, NewFirstUser, Pace, Schedule, Service, Settings, TaskSettings,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Whatever a test waits for comes sooner, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a test on both databases, with the address of a new one.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($database:ident: String) -> Result<()> $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn test($database: String) -> Result<()> $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() -> Result<()> {
                let folder = tempfile::tempdir()?;
                test(format!("sqlite:{}", folder.path().join("catalog.db").display())).await
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() -> Result<()> {
                match testkit::postgres::database() {
                    Some(database) => test(database).await,
                    None => Ok(()),
                }
            }
        }
    )*};
}
pub(crate) use on_both;

pub(crate) struct Stage {
    pub(crate) emulator: Running,
    pub(crate) service: Service,
    pub(crate) database: String,
    pub(crate) clock: SharedClock,
    key: ServerKey,
    data: TempDir,
    /// Of the services that are opened from now on.
    pub(crate) pace: Pace,
}

/// An organization with a task under a connection that works.
#[derive(Clone, Copy)]
pub(crate) struct Customer {
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) task: TaskId,
}

/// A worker that runs, as a process would.
pub(crate) struct Worker {
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Stage {
    /// A tenant in which each of these has a mailbox with so many mails.
    pub(crate) async fn start(database: String, people: &[(&str, usize)]) -> Result<Self> {
        let folder = TempDir::new()?;
        let world = world(folder.path(), people)?;
        Self::start_world(database, World::new(world), SystemClock::shared(), quick()).await
    }

    pub(crate) async fn start_world(
        database: String,
        world: World,
        clock: SharedClock,
        pace: Pace,
    ) -> Result<Self> {
        let emulator = Emulator::start(world).await?;
        let (data, key) = (TempDir::new()?, ServerKey::random());
        let service = Service::open(
            settings(&emulator, &database, data.path(), &clock, pace)?,
            key.clone(),
        )
        .await?;
        Ok(Self {
            emulator,
            service,
            database,
            clock,
            key,
            data,
            pace,
        })
    }

    /// Another process on the same database and data folder.
    pub(crate) async fn another(&self, instance: &str, at_once: usize) -> Result<Service> {
        let (data, clock) = (self.data.path(), &self.clock);
        let settings = Settings {
            instance: instance.to_owned(),
            at_once: NonZeroUsize::new(at_once).context("one job at least")?,
            ..settings(&self.emulator, &self.database, data, clock, self.pace)?
        };
        Ok(Service::open(settings, self.key.clone()).await?)
    }

    /// The address of a copy of the database as it is now. All services but the first are to be gone; that one is opened anew.
    pub(crate) async fn copy_of_the_database(&mut self) -> Result<String> {
        self.service.catalog().clone().close().await;
        let copy = match self.database.strip_prefix("sqlite:") {
            None => testkit::postgres::copy(&self.database).context("a copy")?,
            Some(path) => {
                let copy = self.data.path().join("copy.db");
                std::fs::copy(path, &copy)?;
                format!("sqlite:{}", copy.display())
            }
        };
        self.service = self.another("first", 4).await?;
        Ok(copy)
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) async fn found(&self, name: &str) -> Result<OrganizationId> {
        let user = NewFirstUser {
            name: name.to_owned(),
            address: format!("admin@{name}.example"),
            password_hash: "hash".to_owned(),
        };
        Ok(self.service.found(name, user).await?.0)
    }

    pub(crate) fn credential(&self) -> Result<NewCredential> {
        let secret = Zeroizing::new(self.emulator.client_secret.clone());
        Ok(NewCredential {
            service: model::Service::Exchange,
            tenant: TenantId::new(self.emulator.tenant_id.to_string())?,
            tenant_name: String::new(),
            client_id: self.emulator.client_id.to_string(),
            credential: Credential::Secret(secret),
        })
    }

    /// An organization whose task has all accounts, active, and is run by hand.
    pub(crate) async fn customer(&self, name: &str) -> Result<Customer> {
        let settings = TaskSettings {
            schedule: Schedule::Manual,
            ..TaskSettings::default()
        };
        let customer = self.customer_with(name, &settings).await?;
        let (organization, task) = (customer.organization, customer.task);
        self.service.discover(organization, task).await?;
        let of = self.service.catalog().organization(organization);
        of.change_status(task, &AccountFilter::default(), StatusChange::Activate)
            .await?;
        Ok(customer)
    }

    /// The same with nothing discovered yet.
    pub(crate) async fn customer_with(
        &self,
        name: &str,
        settings: &TaskSettings,
    ) -> Result<Customer> {
        let organization = self.found(name).await?;
        let connection = self
            .service
            .connect(organization, self.credential()?)
            .await?;
        self.service
            .check_connection(organization, connection)
            .await?;
        let task = self
            .service
            .add_task(organization, connection, "Mail", settings)
            .await?;
        Ok(Customer {
            organization,
            connection,
            task,
        })
    }

    /// The task's accounts, by name.
    pub(crate) async fn accounts(&self, customer: Customer) -> Result<Vec<Account>> {
        let of = self.service.catalog().organization(customer.organization);
        let page = of
            .accounts(
                customer.task,
                &AccountFilter::default(),
                AccountSort::Name,
                Direction::Ascending,
                None,
                500,
            )
            .await?;
        Ok(page.rows)
    }

    pub(crate) async fn jobs(&self, customer: Customer, run: RunId) -> Result<Vec<Job>> {
        let of = self.service.catalog().organization(customer.organization);
        Ok(of.jobs(run, 500).await?)
    }

    /// A mail comes into the account's inbox.
    pub(crate) fn arrives(&self, account: &Account) -> Result<()> {
        let mailbox = self
            .emulator
            .tenant()
            .mailbox(account.source.as_str().parse()?);
        let mailbox = mailbox.context("a mailbox")?;
        let mut mailbox = mailbox.lock().map_err(|_| anyhow!("poisoned"))?;
        let inbox = mailbox.find_folder("inbox").context("an inbox")?;
        let mail = "From: Zoe <zoe@example.com>\r\nSubject: News\r\nMessage-ID: <news@example.com>\r\n\r\nNews.\r\n";
        mailbox.deliver(inbox, mail.as_bytes().into(), self.emulator.now())?;
        Ok(())
    }

    /// Waits until the run is over.
    pub(crate) async fn over(&self, customer: Customer, run: RunId) -> Result<()> {
        let of = self.service.catalog().organization(customer.organization);
        self.until("the run is over", async || {
            Ok(of.run(run).await?.finished_at.is_some())
        })
        .await
    }

    /// Waits until the run's only job is in this state and has done at least so many items.
    pub(crate) async fn job_is(
        &self,
        customer: Customer,
        run: RunId,
        state: JobState,
        items: u64,
    ) -> Result<Job> {
        self.until("the job is as it should be", async || {
            let jobs = self.jobs(customer, run).await?;
            Ok(jobs[0].state == state && jobs[0].progress.items >= items)
        })
        .await?;
        Ok(self.jobs(customer, run).await?.remove(0))
    }

    /// Waits for a condition.
    pub(crate) async fn until(
        &self,
        what: &str,
        is_so: impl AsyncFn() -> Result<bool>,
    ) -> Result<()> {
        let clock = SystemClock::new();
        while !is_so().await? {
            ensure!(clock.elapsed() < PATIENCE, "waited in vain: {what}");
            clock.sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Runs a worker of this service until the run is over.
    pub(crate) async fn work_off(&self, customer: Customer, run: RunId) -> Result<()> {
        let worker = Worker::of(&self.service);
        self.over(customer, run).await?;
        worker.end().await
    }
}

impl Worker {
    pub(crate) fn of(service: &Service) -> Self {
        let (service, stop) = (service.clone(), CancellationToken::new());
        let told = stop.clone();
        let task = tokio::spawn(async move { service.work(told).await });
        Self { stop, task }
    }

    /// Tells it to stop, as SIGTERM does, and waits until it has.
    pub(crate) async fn end(self) -> Result<()> {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task)
            .await
            .context("a worker drains within ten seconds")??;
        Ok(())
    }

    /// It dies without a word.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn settings(
    emulator: &Running,
    database: &str,
    data: &Path,
    clock: &SharedClock,
    pace: Pace,
) -> Result<Settings> {
    Ok(Settings {
        data: data.to_owned(),
        database: database.to_owned(),
        cloud: Cloud::at(&emulator.base_url)?,
        instance: "first".to_owned(),
        clock: Arc::clone(clock),
        at_once: NonZeroUsize::new(4).context("one job at least")?,
        pace,
    })
}

/// A pace that makes tests short.
fn quick() -> Pace {
    Pace {
        lease: Duration::from_secs(3),
        progress: Duration::from_millis(50),
        look: Duration::from_millis(50),
        ..Pace::default()
    }
}

/// Mailboxes with so many mails each.
pub(crate) fn world(folder: &Path, people: &[(&str, usize)]) -> Result<emulator::World> {
    let mut world = emulator::World::new();
    for (name, mails) in people {
        let path = folder.join(name);
        write_mail(&path, name, *mails)?;
        world = world.mail(name, path);
    }
    Ok(world)
}

fn write_mail(folder: &Path, name: &str, mails: usize) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for n in 0..mails {
        let mail = format!(
            "Received: from x by y; Tue, 2 Jun 2026 10:{:02}:00 +0000\r\nFrom: Zoe <zoe@example.com>\r\nTo: {name} <{name}@example.com>\r\n\
             Subject: Mail {n} for {name}\r\nMessage-ID: <{n}.{name}@example.com>\r\nDate: Tue, 2 Jun 2026 09:59:00 +0000\r\n\r\nThis is mail {n}.\r\n",
            n % 60
        );
        std::fs::write(folder.join(format!("{n:05}")), mail)?;
    }
    Ok(())
}

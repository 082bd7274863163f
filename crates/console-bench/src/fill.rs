//! An organization as a console meets it after some weeks: a task with many accounts, a run each day whose jobs came to this and that, a long audit,
//! and one account with a large mailbox and some restore points.
//!
//! The product's own functions make it all. Only of the one account there is a repository: the others are rows, with the history of rows.

use std::{
    fs,
    num::NonZeroUsize,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use catalog::{
    AccountFilter, AccountKey, AccountSort, Catalog, ConnectionId, Direction, Discovered, Finished,
    ItemReport, JobKind, JobResult, NewAudit, NewJob, Organization, OrganizationId, Progress,
    RunCause, RunId, StatusChange, TaskId,
};
use emulator::{Churn, Emulator, Running, World};
use graph::Cloud;
use jiff::{SignedDuration, Timestamp};
use model::{AccountId, Clock, FailureCause, SystemClock, TenantId};
use secrets::ServerKey;
use server::State;
use service::{
    Credential, JobReport, NewCredential, Pace, Schedule, Service, Settings, TaskSettings, Which,
};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

/// Who signs in.
pub(crate) const ADDRESS: &str = "administrator@contoso.example";
pub(crate) const PASSWORD: &str = "a password for measurements";

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Accounts of the task.
    pub(crate) accounts: usize,
    /// Days with a run of all accounts each.
    pub(crate) days: i64,
    /// Messages of the one account, of which half are in one folder.
    pub(crate) messages: usize,
    /// Its restore points.
    pub(crate) points: u64,
    /// Entries of the audit.
    pub(crate) audit: usize,
    /// Other mailboxes, which are backed up while pages are asked for.
    pub(crate) others: usize,
    /// Messages that come into each of them between two backups.
    pub(crate) arriving: usize,
}

impl Size {
    /// What the console is to bear.
    pub(crate) const FULL: Self = Self {
        accounts: 10_000,
        days: 14,
        messages: 100_000,
        points: 28,
        audit: 20_000,
        others: 32,
        arriving: 250,
    };
    /// A twentieth.
    pub(crate) const SMOKE: Self = Self {
        accounts: 500,
        days: 2,
        messages: 5_000,
        points: 2,
        audit: 1_000,
        others: 2,
        arriving: 20,
    };
}

/// Where it is, and what is in it.
pub(crate) struct Filled {
    /// What `keepwell serve` is started with.
    pub(crate) config: PathBuf,
    pub(crate) task: TaskId,
    pub(crate) connection: ConnectionId,
    /// The run of the last day.
    pub(crate) run: RunId,
    /// The account with the mailbox.
    pub(crate) account: AccountKey,
    /// An account with failures.
    pub(crate) failing: AccountKey,
    /// The accounts that are backed up while pages are asked for, with their mailboxes' names.
    pub(crate) others: Vec<(AccountKey, String)>,
    /// Messages that come into each of them between two backups.
    pub(crate) arriving: usize,
    /// By which it is had backed up: it does no work itself.
    pub(crate) service: Service,
    pub(crate) organization: OrganizationId,
    /// What `keepwell serve` finds where Microsoft is.
    pub(crate) microsoft: Running,
}

/// Where the catalog is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// What the other mailboxes' names begin with.
const OTHER: &str = "busy";
/// Of 50 accounts one is partial, with so many failures; of 100 one fails.
const FAILURES: usize = 20;
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// A lease that nobody has to renew.
const LEASE: Duration = Duration::from_secs(3_600);

/// Fills an empty folder.
pub(crate) async fn fill(folder: &Path, size: Size, database: Database) -> anyhow::Result<Filled> {
    let nothing = tempfile::tempdir()?;
    let mut world = World::new().mail("ada", nothing.path());
    for number in 0..size.others {
        world = world.mail(&format!("{OTHER}{number}"), nothing.path());
    }
    let microsoft = Emulator::start(emulator::Settings::new(world)).await?;
    let key = ServerKey::random();
    write_key(&folder.join("server.key"), &key)?;
    let file = folder.join("keepwell.db");
    let address = match database {
        Database::Sqlite => file.display().to_string(),
        Database::Postgres => testkit::postgres::database().context("a server")?,
    };
    let settings = Settings {
        data: folder.join("data"),
        database: address.clone(),
        cloud: Cloud::at(&microsoft.base_url)?,
        instance: "bench".to_owned(),
        clock: SystemClock::shared(),
        at_once: NonZeroUsize::MIN,
        pace: Pace::default(),
    };
    // The history is many small transactions: made in memory, it does not wait for the disk.
    let memory = Path::new("/dev/shm");
    let quick = match memory.is_dir() {
        true => tempfile::tempdir_in(memory)?,
        false => tempfile::tempdir()?,
    };
    let quick_file = quick.path().join("keepwell.db");
    let quick_settings = match database {
        Database::Sqlite => Settings {
            database: quick_file.display().to_string(),
            ..settings.clone()
        },
        Database::Postgres => settings.clone(),
    };
    let service = Service::open(quick_settings, key.clone()).await?;
    let customer = Customer::new(&service, &microsoft).await?;
    let account = customer.only_account().await?;
    customer.note_others(size.accounts).await?;
    let mut last = None;
    for ago in (1..=size.days).rev() {
        let at = service.clock().now() - A_DAY * ago as i32;
        last = Some(customer.day(service.catalog(), at).await?);
    }
    customer
        .note_much(size.audit, service.clock().now())
        .await?;
    let failing = customer.some_failing().await?;
    let others = customer.others().await?;
    let Customer {
        task, connection, ..
    } = customer;
    let organization = customer.of.id();
    service.catalog().clone().close().await;
    drop(service);
    match database {
        Database::Sqlite => _ = fs::copy(&quick_file, &file)?,
        Database::Postgres => testkit::postgres::sync(),
    }
    for point in 0..size.points {
        let share = |points: u64| (size.messages as u64 * points / size.points) as usize;
        let some = share(point)..share(point + 1);
        deliver(&microsoft, "ada", size.messages, some)?;
        // A service that stays open keeps within what Microsoft allows in ten minutes, which is less than all of it.
        let service = Service::open(settings.clone(), key.clone()).await?;
        back_up(&service, organization, task, account).await?;
        service.catalog().clone().close().await;
        let churn = Churn {
            seed: point,
            events: 20,
            lost_moves: 0.0,
        };
        let happened = churn.run(microsoft.tenant(), microsoft.now());
        ensure!(!happened.is_empty(), "nothing has changed");
    }
    let config = folder.join("keepwell.toml");
    fs::write(
        &config,
        format!(
            "data = {:?}\ndatabase = {address:?}\nkey_file = {:?}\ncloud = {{ emulator = {:?} }}\n[http]\nlisten = \"127.0.0.1:0\"\n",
            folder.join("data"),
            folder.join("server.key"),
            microsoft.base_url
        ),
    )?;
    Ok(Filled {
        config,
        task,
        connection,
        run: last.context("a day at least")?,
        account,
        failing,
        others,
        arriving: size.arriving,
        service: Service::open(settings, key).await?,
        organization,
        microsoft,
    })
}

fn write_key(file: &Path, key: &ServerKey) -> anyhow::Result<()> {
    fs::write(file, key.to_text().as_bytes())?;
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}

/// Lets some of so many mails arrive, which take five years for it, half of them in the inbox.
pub(crate) fn deliver(
    microsoft: &Running,
    to: &str,
    messages: usize,
    some: Range<usize>,
) -> anyhow::Result<()> {
    const WORDS: [&str; 12] = [
        "budget", "agenda", "invoice", "meeting", "contract", "delivery", "figures", "draft",
        "deadline", "client", "costs", "answer",
    ];
    const FOLDERS: [&str; 4] = ["archive", "sentitems", "deleteditems", "junkemail"];
    const YEARS: SignedDuration = SignedDuration::from_hours(5 * 365 * 24);
    let (tenant, now) = (microsoft.tenant(), microsoft.now());
    let user = tenant.user(&format!("{to}@{}", tenant.domain));
    let mailbox = user.and_then(|user| tenant.mailbox(user.id));
    let mailbox = mailbox.context("a mailbox")?;
    let mut mailbox = mailbox.lock().map_err(|_| anyhow!("poisoned"))?;
    for number in some {
        let word = |by: usize| WORDS[number / by % WORDS.len()];
        let folder = match number % 2 {
            0 => "inbox",
            _ => FOLDERS[number / 2 % FOLDERS.len()],
        };
        let folder = mailbox.find_folder(folder).context("a folder")?;
        let lines = format!(
            "about the {} and the {} of {}\r\n",
            word(1),
            word(12),
            word(144)
        );
        let at = now - YEARS + YEARS / messages as i32 * number as i32;
        let mail = format!(
            "Date: {}\r\nFrom: {} Person <person{}@example.com>\r\nTo: ada@contoso.example\r\nSubject: {} {} number {number}\r\n\
            Message-ID: <{number}@example.com>\r\n\r\n{}",
            at.strftime("%a, %d %b %Y %H:%M:%S +0000"),
            word(7),
            number % 500,
            word(1),
            word(5),
            lines.repeat(20),
        );
        mailbox.deliver(folder, mail.into(), at)?;
    }
    Ok(())
}

/// An organization with its task.
struct Customer {
    of: Organization,
    task: TaskId,
    connection: ConnectionId,
    tenant: TenantId,
}

impl Customer {
    async fn new(service: &Service, microsoft: &Running) -> anyhow::Result<Self> {
        let settings = server::Settings {
            public_url: Url::parse("http://127.0.0.1:1")?,
            proxy: None,
            apps: std::collections::BTreeMap::new(),
        };
        let organization = State::new(service.clone(), settings)?
            .found("Contoso", "Robin Example", ADDRESS, PASSWORD)
            .await
            .map_err(|problem| anyhow!("the organization could not be made: {problem:?}"))?;
        let tenant = TenantId::new(microsoft.tenant_id.to_string())?;
        let credential = NewCredential {
            service: model::Service::Exchange,
            tenant: tenant.clone(),
            tenant_name: String::new(),
            client_id: microsoft.client_id.to_string(),
            credential: Credential::Secret(Zeroizing::new(microsoft.client_secret.clone())),
        };
        let connection = service.connect(organization, credential).await?;
        service.check_connection(organization, connection).await?;
        let settings = TaskSettings {
            schedule: Schedule::Manual,
            ..TaskSettings::default()
        };
        let name = "Head office mail";
        let task = service
            .add_task(organization, connection, name, &settings)
            .await?;
        service.discover(organization, task).await?;
        Ok(Self {
            of: service.catalog().organization(organization),
            task,
            connection,
            tenant,
        })
    }

    async fn first(&self, filter: &AccountFilter) -> anyhow::Result<AccountKey> {
        let (sort, direction) = (AccountSort::Name, Direction::Ascending);
        let page = self
            .of
            .accounts(self.task, filter, sort, direction, None, 1);
        let found = page.await?.rows.into_iter().next();
        Ok(found.context("an account")?.key)
    }

    async fn only_account(&self) -> anyhow::Result<AccountKey> {
        self.first(&AccountFilter::default()).await
    }

    async fn others(&self) -> anyhow::Result<Vec<(AccountKey, String)>> {
        let those = AccountFilter {
            text: Some(OTHER.to_owned()),
            ..AccountFilter::default()
        };
        let (sort, direction) = (AccountSort::Name, Direction::Ascending);
        let page = self
            .of
            .accounts(self.task, &those, sort, direction, None, 500);
        let found = page.await?.rows.into_iter();
        Ok(found.map(|account| (account.key, account.name)).collect())
    }

    async fn some_failing(&self) -> anyhow::Result<AccountKey> {
        let failing = AccountFilter {
            failing: true,
            ..AccountFilter::default()
        };
        self.first(&failing).await
    }

    /// More accounts, so that there are so many; of ten, nine are active.
    async fn note_others(&self, accounts: usize) -> anyhow::Result<()> {
        let others: Vec<_> = (1..accounts)
            .map(|number| {
                Ok(Discovered {
                    source: AccountId::new(format!("account-{number}"))?,
                    name: format!("Person {:05}", number * 7_919 % accounts),
                    address: format!("person{number}@contoso.example"),
                })
            })
            .collect::<anyhow::Result<_>>()?;
        let now = SystemClock::new().now();
        self.of
            .note_accounts(self.task, &self.tenant, &others, now)
            .await?;
        let all = AccountFilter::default();
        self.of
            .change_status(self.task, &all, StatusChange::Activate)
            .await?;
        let some = AccountFilter {
            text: Some("3@contoso".to_owned()),
            ..AccountFilter::default()
        };
        self.of
            .change_status(self.task, &some, StatusChange::Deactivate)
            .await?;
        Ok(())
    }

    /// A run of all accounts but the one with the mailbox.
    async fn day(&self, catalog: &Catalog, at: Timestamp) -> anyhow::Result<RunId> {
        let active = AccountFilter {
            status: Some(catalog::Status::Active),
            text: Some("person".to_owned()),
            ..AccountFilter::default()
        };
        let job = NewJob {
            kind: JobKind::Backup,
            priority: 0,
            input: String::new(),
        };
        let cause = RunCause::Schedule;
        let begun = self
            .of
            .begin_run(self.task, cause, &active, &job, at)
            .await?;
        let (run, jobs) = begun.context("accounts to back up")?;
        for number in 0..jobs as usize {
            let at = at + SignedDuration::from_millis(200 * number as i64);
            let claim = catalog.claim("bench", LEASE, at).await?;
            let claim = claim.context("a job that waits")?;
            let finished = outcome(number, at);
            catalog.finish(&claim.lease, &finished, at).await?;
        }
        Ok(run)
    }

    async fn note_much(&self, entries: usize, now: Timestamp) -> anyhow::Result<()> {
        for number in 0..entries {
            let new = NewAudit {
                actor: "keepwell".to_owned(),
                action: "looked at a message".to_owned(),
                object: format!("message-{number}"),
                detail: String::new(),
            };
            self.of.note(&new, now).await?;
        }
        Ok(())
    }
}

/// What the job with this number comes to.
fn outcome(number: usize, at: Timestamp) -> Finished {
    let result = match number {
        _ if number % 100 == 99 => JobResult::Failed,
        _ if number % 50 == 25 => JobResult::Partial,
        _ => JobResult::Success,
    };
    let failure = |item: usize| ItemReport {
        item: format!("item-{number}-{item}"),
        cause: match item % 2 {
            0 => FailureCause::Corrupt,
            _ => FailureCause::AccessDenied,
        },
        attempts: 3,
        first_seen_at: at,
        last_tried_at: at,
    };
    let (items, bytes) = (1_000 + number as u64, 50_000_000 + number as u64);
    let report = JobReport {
        items,
        size_bytes: bytes,
        added: 20,
        bytes_added: 1_000_000,
        error: (result == JobResult::Failed).then(|| "the mailbox cannot be reached".to_owned()),
        ..JobReport::default()
    };
    Finished {
        result,
        outcome: report.to_text(),
        progress: Progress {
            items: 20,
            items_total: 20,
            bytes: 1_000_000,
            waiting_for: String::new(),
        },
        snapshot: (result != JobResult::Failed).then(|| ("0".repeat(64), items, bytes)),
        restored: Vec::new(),
        failures: match result {
            JobResult::Failed => None,
            JobResult::Partial => Some((0..FAILURES).map(failure).collect()),
            JobResult::Success => Some(Vec::new()),
        },
    }
}

/// Backs up the mailbox once.
async fn back_up(
    service: &Service,
    organization: OrganizationId,
    task: TaskId,
    account: AccountKey,
) -> anyhow::Result<()> {
    let of = service.catalog().organization(organization);
    let mut changes = service.changed();
    let stop = CancellationToken::new();
    let working = {
        let (service, stop) = (service.clone(), stop.clone());
        tokio::spawn(async move { service.work(stop).await })
    };
    let run = service
        .backup_now(organization, task, Which::Keys(vec![account]))
        .await?;
    while of.run(run).await?.finished_at.is_none() {
        changes.recv().await?;
    }
    stop.cancel();
    Ok(working.await?)
}

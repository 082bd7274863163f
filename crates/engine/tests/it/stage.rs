//! An emulated tenant, a client for it, and a data folder.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use emulator::{Emulator, Running, Settings, World};
use engine::{
    Account, Vault,
    backup::{self, Limits, Outcome, Setting},
    discovery, open,
};
use graph::{Client, Cloud, Credential, Options};
use jiff::{SignedDuration, Timestamp};
use model::{Clock, SharedClock, SimulatedClock, TenantId};
use repository::{Repository, SnapshotId};
use tempfile::TempDir;
use testkit::csdl::{Observer, Verdict};
use workload::mail::{Archive, backup::Progress};

/// Answers that are compared with Microsoft's metadata; after so many of a test's, the next says nothing new.
const JUDGED_MAX: u64 = 5_000;

pub(crate) struct Stage {
    pub(crate) emulator: Running,
    pub(crate) graph: Client,
    pub(crate) vault: Vault,
    pub(crate) clock: SharedClock,
    /// The same, to set it.
    pub(crate) simulated: SimulatedClock,
    pub(crate) tenant: TenantId,
    /// Every answer is judged by Microsoft's metadata; the test fails at its end if one is wrong.
    #[expect(dead_code, reason = "it does its work when it is dropped")]
    judge: Verdict,
    /// Sees every exchange before its answer is sent: what it does to the source happens in the middle of a run.
    hook: Arc<Mutex<Option<Hook>>>,
    /// How often things are done.
    pub(crate) limits: Limits,
    _data: TempDir,
}

type Hook = Box<dyn FnMut(&emulator::Exchange) + Send>;

/// Microsoft's time: it runs as the product's does, but nobody sets it.
#[derive(Debug)]
struct Shared {
    clock: SimulatedClock,
    start: Timestamp,
}

impl emulator::Clock for Shared {
    fn now(&self) -> Timestamp {
        self.start + self.clock.elapsed()
    }

    /// Answers come at multiples of the latency, so that the clock has fewer jumps to make.
    fn answer_after(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let past = self.clock.elapsed().as_nanos() % span.as_nanos();
        let past = Duration::from_nanos(u64::try_from(past).unwrap_or(0));
        Box::pin(self.clock.sleep_on_behalf(span - past))
    }
}

/// A mail without attachments.
pub(crate) fn mail(n: usize) -> String {
    format!(
        "Received: from x by y; Tue, 2 Jun 2026 10:00:{:02} +0000\r\nFrom: Zoe <zoe@example.com>\r\nTo: Ada <ada@example.com>\r\n\
         Subject: Mail {n}\r\nMessage-ID: <{n}@example.com>\r\nDate: Tue, 2 Jun 2026 09:59:00 +0000\r\n\r\nThis is mail {n}.\r\n",
        n % 60
    )
}

/// The given mails, by folder, as files.
pub(crate) fn write_mail(mails: &[(&str, usize)]) -> Result<TempDir> {
    let folder = TempDir::new()?;
    for (name, count) in mails {
        std::fs::create_dir_all(folder.path().join(name))?;
        for n in 0..*count {
            std::fs::write(folder.path().join(name).join(format!("{n:05}")), mail(n))?;
        }
    }
    Ok(folder)
}

/// What a mailbox holds: for each message its folder's id and its MIME, by id.
pub(crate) type Held = BTreeMap<String, (String, Vec<u8>)>;

impl Stage {
    pub(crate) async fn start(world: World) -> Result<Self> {
        Self::start_with(Settings::new(world)).await
    }

    /// A tenant whose only mailbox, `ada`'s, holds the given mails, by folder.
    pub(crate) async fn with_mail(mails: &[(&str, usize)]) -> Result<(Self, Account)> {
        let folder = write_mail(mails)?;
        let stage = Self::start(World::new().mail("ada", folder.path())).await?;
        let account = stage.accounts().await?.remove(0);
        Ok((stage, account))
    }

    /// Waits cost nothing: the clock jumps, and the emulator shares it.
    pub(crate) async fn start_with(settings: Settings) -> Result<Self> {
        Self::start_apart(settings, SignedDuration::ZERO).await
    }

    /// The same with a source whose clock is ahead of the product's.
    pub(crate) async fn start_apart(mut settings: Settings, ahead: SignedDuration) -> Result<Self> {
        let start: Timestamp = "2026-11-22T14:05:00Z".parse()?;
        let clock = SimulatedClock::new(start);
        settings.clock = Arc::new(Shared {
            clock: clock.clone(),
            start: start + ahead,
        });
        let shared: SharedClock = Arc::new(clock.clone());
        let judge = Arc::new(Observer::new());
        let judging = Arc::clone(&judge);
        let judged = AtomicU64::new(0);
        let hook: Arc<Mutex<Option<Hook>>> = Arc::default();
        let hooked = Arc::clone(&hook);
        settings.observer = Some(emulator::Observer::new(move |exchange| {
            if let Some(hook) = &mut *hooked.lock().unwrap_or_else(PoisonError::into_inner) {
                hook(exchange);
            }
            if !exchange.faulty
                && !exchange.in_batch
                && judged.fetch_add(1, Ordering::Relaxed) < JUDGED_MAX
            {
                judging.observe(&testkit::csdl::Exchange {
                    method: exchange.method.as_str(),
                    path: &exchange.path,
                    request_body: &exchange.request_body,
                    status: exchange.status.as_u16(),
                    content_type: exchange
                        .headers
                        .get("content-type")
                        .and_then(|value| value.to_str().ok()),
                    body: &exchange.body,
                });
            }
        }));
        let emulator = Emulator::start(settings).await?;
        let tenant = TenantId::new(emulator.tenant_id.to_string())?;
        let options = options(&emulator, &tenant, &shared)?;
        let data = TempDir::new()?;
        Ok(Self {
            graph: Client::new(options)?,
            vault: Vault::create(data.path())?,
            clock: shared,
            simulated: clock,
            tenant,
            emulator,
            judge: Verdict(judge),
            hook,
            limits: Limits::default(),
            _data: data,
        })
    }

    /// Options of a client like `graph`.
    pub(crate) fn options(&self) -> Result<Options> {
        options(&self.emulator, &self.tenant, &self.clock)
    }

    pub(crate) fn setting(&self) -> Setting<'_> {
        Setting {
            vault: &self.vault,
            graph: &self.graph,
            clock: &self.clock,
            instance: "test",
            limits: self.limits,
        }
    }

    /// From now on `hook` sees every exchange, in place of the one before.
    pub(crate) fn on_exchange(&self, hook: impl FnMut(&emulator::Exchange) + Send + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }

    /// The account's mailbox at the source.
    pub(crate) fn mailbox(&self, account: &Account) -> Result<Arc<Mutex<emulator::Mailbox>>> {
        let tenant = self.emulator.tenant();
        tenant
            .mailbox(account.id.as_str().parse()?)
            .context("it has a mailbox")
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
        let mailbox = self.mailbox(account)?;
        let mut mailbox = mailbox
            .lock()
            .map_err(|_| anyhow::anyhow!("a mailbox's lock is poisoned"))?;
        Ok(work(&mut mailbox))
    }

    /// Changes a message through Graph.
    pub(crate) async fn patch(
        &self,
        account: &Account,
        message: &str,
        change: &serde_json::Value,
    ) -> Result<()> {
        let path = format!(
            "/users/{}/messages/{}",
            graph::segment(account.id.as_str()),
            graph::segment(message)
        );
        let scope = graph::Scope::Outlook {
            mailbox: account.id.clone(),
        };
        self.graph
            .send(&scope, graph::Request::patch(path).json(change)?)
            .await?;
        Ok(())
    }

    /// Backs up, and compares the snapshot with the source. Returns the outcome and the requests made.
    pub(crate) async fn back_up_equal(
        &self,
        account: &Account,
    ) -> Result<(Outcome, graph::Counters)> {
        let before = self.graph.counters();
        let outcome = self.back_up(account).await?;
        let asked = self.graph.counters().since(&before);
        ensure!(outcome.report.is_complete(), "{:?}", outcome.report);
        let snapshot = outcome.snapshot.context("something had changed")?;
        let found = differences(
            &self.snapshot(account, snapshot).await?,
            &self.source(account)?,
        );
        ensure!(found.is_empty(), "{found:?}");
        Ok((outcome, asked))
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
        Ok(open::existing(self.setting().local(), account).await?)
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

fn options(emulator: &Running, tenant: &TenantId, clock: &SharedClock) -> Result<Options> {
    Ok(Options::new(
        Cloud::at(&emulator.base_url)?,
        tenant.clone(),
        emulator.client_id.to_string(),
        Credential::secret(emulator.client_secret.clone()),
        Arc::clone(clock),
        7,
    ))
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

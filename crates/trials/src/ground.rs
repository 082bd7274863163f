//! What trials stand on: an emulated tenant with two small mailboxes, and a client for it. One ground serves many trials, each with a data folder of
//! its own.

use std::{
    fmt::{self, Write},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use emulator::{Emulator, Exchange, Running, Settings, World};
use engine::{
    Account, Vault,
    backup::{self, Outcome, Setting},
    discovery,
    open::{self, Local},
};
use graph::{Client, Cloud, Credential, Options};
use model::{SharedClock, TenantId};
use repository::{Repository, SnapshotId};
use tempfile::TempDir;
use workload::mail::backup::Progress;

use crate::{
    drift::{self, DriftingClock},
    errand::{Deed, Errand},
    mailbox::{self, Held},
};

/// Workers and this process are the same instance, as a worker that was restarted is.
pub const INSTANCE: &str = "trials";
/// After so many messages there is a checkpoint: some in every first backup of a ground's mailbox.
const CHECKPOINT_EVERY: u64 = 12;
/// Longer than anything that was left by a process may count as being at work.
const LATER: Duration = Duration::from_secs(2 * 60 * 60);
/// Messages in the inbox, and in a folder beside it.
const MESSAGES: [(&str, usize); 2] = [("", 24), ("Projects", 6)];
/// An attachment that fits into a request, and one that has to be uploaded in an upload session.
const ATTACHED_BYTES: [usize; 2] = [40_000, 3_300_000];

/// See the module's text.
#[derive(Debug)]
pub struct Ground {
    /// The emulator, in this process.
    pub emulator: Running,
    /// A client for it.
    pub graph: Client,
    /// The time of this process and of the workers.
    pub clock: SharedClock,
    /// The account that is backed up.
    pub account: Account,
    /// The account that is restored into.
    pub other: Account,
    tenant: TenantId,
    hook: Arc<Mutex<Hook>>,
    folder: TempDir,
}

/// Sees every exchange before its answer is sent.
type Seeing = Box<dyn FnMut(&Exchange) + Send>;

#[derive(Default)]
struct Hook(Option<Seeing>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Ground {
    /// Starts the emulator.
    ///
    /// # Errors
    /// When it does not start, or a temporary folder cannot be made.
    pub async fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let mails = folder.path().join("mails");
        write_mails(&mails)?;
        fs::create_dir_all(folder.path().join("none"))?;
        let world = World::new()
            .mail("ada", &mails)
            .mail("bob", folder.path().join("none"));
        let mut settings = Settings::new(world);
        let hook: Arc<Mutex<Hook>> = Arc::default();
        let hooked = Arc::clone(&hook);
        settings.observer = Some(emulator::Observer::new(move |exchange| {
            if let Some(see) = &mut hooked.lock().unwrap_or_else(PoisonError::into_inner).0 {
                see(exchange);
            }
        }));
        let emulator = Emulator::start(settings).await?;
        drift::set(&folder.path().join("later"), LATER)?;
        let clock: SharedClock = Arc::new(DriftingClock::new(&folder.path().join("drift")));
        let tenant = TenantId::new(emulator.tenant_id.to_string())?;
        let options = Options::new(
            Cloud::at(&emulator.base_url)?,
            tenant.clone(),
            emulator.client_id.to_string(),
            Credential::secret(emulator.client_secret.clone()),
            Arc::clone(&clock),
            7,
        );
        let graph = Client::new(options)?;
        let mut accounts = discovery::mailboxes(&graph, &tenant).await?;
        ensure!(accounts.len() == 2, "there are two mailboxes");
        Ok(Self {
            other: accounts.remove(1),
            account: accounts.remove(0),
            emulator,
            graph,
            clock,
            tenant,
            hook,
            folder,
        })
    }

    /// A path in the ground's temporary folder.
    #[must_use]
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The account's file in a data folder.
    #[must_use]
    pub fn account_file(&self, data: &Path) -> PathBuf {
        data.join("accounts")
            .join(format!("{}.json", self.account.id))
    }

    /// From now on `see` is shown every exchange before its answer is sent, so that it can do something to who waits for the answer.
    pub fn on_exchange(&self, see: impl FnMut(&Exchange) + Send + 'static) {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(Box::new(see));
    }

    /// Puts the time of this process and of all workers so far ahead.
    ///
    /// # Errors
    /// When the clock's file cannot be written.
    pub fn go_ahead(&self, span: Duration) -> Result<()> {
        Ok(drift::set(&self.place("drift"), span)?)
    }

    /// The errand of doing a deed with a data folder.
    #[must_use]
    pub fn errand(&self, data: &Path, deed: Deed) -> Errand {
        Errand {
            data: data.to_owned(),
            url: self.emulator.base_url.clone(),
            tenant: self.tenant.clone(),
            application: self.emulator.client_id.to_string(),
            secret: self.emulator.client_secret.clone(),
            account: self.account.clone(),
            instance: INSTANCE.to_owned(),
            drift: self.place("drift"),
            checkpoint_every: CHECKPOINT_EVERY,
            deed,
        }
    }

    /// How operations of this process work with a data folder.
    #[must_use]
    pub fn setting<'a>(&'a self, vault: &'a Vault) -> Setting<'a> {
        Setting {
            vault,
            graph: &self.graph,
            clock: &self.clock,
            instance: INSTANCE,
            limits: engine::backup::Limits {
                checkpoint_every: CHECKPOINT_EVERY,
                ..Default::default()
            },
        }
    }

    /// Opens the account's repository at a time when nothing that was killed can still count as being at work.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn repository_later(&self, vault: &Vault) -> Result<Repository> {
        let clock: SharedClock = Arc::new(DriftingClock::new(&self.place("later")));
        let local = Local {
            vault,
            clock: &clock,
            instance: INSTANCE,
        };
        Ok(open::existing(local, &self.account).await?)
    }

    /// Backs the account up, in this process.
    ///
    /// # Errors
    /// When the backup fails.
    pub async fn back_up(&self, vault: &Vault) -> Result<Outcome> {
        let setting = self.setting(vault);
        Ok(backup::run(setting, &self.account, &Progress::default()).await?)
    }

    /// Opens the account's repository.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn repository(&self, vault: &Vault) -> Result<Repository> {
        Ok(open::existing(self.setting(vault).local(), &self.account).await?)
    }

    /// What a snapshot of the account holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn snapshot(&self, vault: &Vault, id: SnapshotId) -> Result<Held> {
        mailbox::snapshot(&self.repository(vault).await?, id).await
    }

    /// What the account's mailbox holds.
    ///
    /// # Errors
    /// When the account has none.
    pub fn source(&self) -> Result<Held> {
        self.at_source(&self.account, |mailbox| mailbox::source(mailbox))
    }

    /// Looks into a mailbox at the source, or changes it.
    ///
    /// # Errors
    /// When the account has none.
    pub fn at_source<T>(
        &self,
        account: &Account,
        work: impl FnOnce(&mut emulator::Mailbox) -> T,
    ) -> Result<T> {
        let tenant = self.emulator.tenant();
        let mailbox = tenant.mailbox(account.id.as_str().parse()?);
        let mailbox = mailbox.context("the account has no mailbox")?;
        Ok(work(
            &mut mailbox.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// The account's mailbox goes on: mail arrives, some is gone, some is marked.
    ///
    /// # Errors
    /// When the source refuses.
    pub async fn go_on(&self) -> Result<()> {
        let marked = self.at_source(&self.account, |mailbox| -> Result<_> {
            let all: Vec<_> = mailbox.message_views().collect();
            let [gone, also_gone, marked, ..] = &all[..] else {
                anyhow::bail!("the mailbox has hardly any mail");
            };
            mailbox.purge_message(gone.key);
            mailbox.purge_message(also_gone.key);
            let inbox = mailbox
                .folder_views()
                .find(|folder| folder.well_known == Some("inbox"))
                .context("every mailbox has an inbox")?;
            for n in 0..8 {
                let mime = mail(100 + all.len() + n, 0).into_bytes();
                mailbox.deliver(inbox.key, mime.into(), "2026-11-22T15:00:00Z".parse()?)?;
            }
            Ok((marked.id.clone(), marked.json["isRead"] == true))
        })??;
        let path = format!(
            "/users/{}/messages/{}",
            graph::segment(self.account.id.as_str()),
            graph::segment(&marked.0)
        );
        let scope = graph::Scope::Outlook {
            mailbox: self.account.id.clone(),
        };
        let change = serde_json::json!({ "isRead": !marked.1 });
        let request = graph::Request::patch(path).json(&change)?;
        self.graph.send(&scope, request).await?;
        Ok(())
    }
}

fn write_mails(folder: &Path) -> Result<()> {
    for (name, count) in MESSAGES {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        for n in 0..count {
            let attached = match name {
                "Projects" => ATTACHED_BYTES.get(n).copied().unwrap_or(0),
                _ => 0,
            };
            let mail = mail(n + name.len() * 10, attached);
            fs::write(folder.join(format!("{n:03}")), mail)?;
        }
    }
    Ok(())
}

/// The n-th mail, with an attachment of so many bytes unless that is 0.
fn mail(n: usize, attached_bytes: usize) -> String {
    let head = format!(
        "Received: from x by y; Tue, 2 Jun 2026 10:00:{:02} +0000\r\nFrom: Zoe <zoe@example.com>\r\nTo: Ada <ada@example.com>\r\n\
         Subject: Mail {n}\r\nMessage-ID: <{n}@example.com>\r\nDate: Tue, 2 Jun 2026 09:59:00 +0000\r\nMIME-Version: 1.0\r\n",
        n % 60
    );
    let text = format!("Content-Type: text/plain; charset=us-ascii\r\n\r\nThis is mail {n}.\r\n");
    if attached_bytes == 0 {
        return head + &text;
    }
    let mut encoded = String::new();
    for line in 0..attached_bytes * 4 / 3 / 76 {
        // 76 digits that differ from line to line.
        let _ = write!(encoded, "{:076}\r\n", n * 1_000_000 + line);
    }
    format!(
        "{head}Content-Type: multipart/mixed; boundary=\"part\"\r\n\r\n--part\r\n{text}--part\r\n\
         Content-Type: application/octet-stream; name=\"data.bin\"\r\nContent-Disposition: attachment; filename=\"data.bin\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}--part--\r\n"
    )
}

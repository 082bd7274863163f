//! A tenant with two mailboxes in an emulator, and what tests do to them: change them, restore into them, and compare what Graph says of two
//! messages.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use emulator::{Emulator, Exchange, MessageKey, Observer, Running, Settings, World};
use graph::{Client, Cloud, Credential, Request, Scope, segment};
use jiff::Timestamp;
use model::{AccountId, Clock, ItemId, RestoreId, SharedClock, SimulatedClock, TenantId};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::csdl;
use workload::mail::{
    Archive,
    restore::{self, Destination, ItemReport, Options, Outcome, Report, Selection},
};

/// The tenant's initial domain, as every world has it.
const DOMAIN: &str = "contoso.onmicrosoft.com";
/// Fields of a message that a restore brings back, as `docs/fidelity.md` says.
const RESTORED: [&str; 19] = [
    "subject",
    "body",
    "from",
    "sender",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "replyTo",
    "importance",
    "isRead",
    "isDraft",
    "flag",
    "categories",
    "inferenceClassification",
    "internetMessageId",
    "isReadReceiptRequested",
    "isDeliveryReceiptRequested",
    "receivedDateTime",
    "sentDateTime",
];
/// Properties that a restore brings back: header lines, In-Reply-To, References.
const PROPERTIES: [&str; 3] = ["String 0x007D", "String 0x1042", "String 0x1039"];

/// The name under which header lines are shown.
const HEADERS: &str = "header lines";

/// What a request was.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
}

pub(crate) struct Stage {
    pub(crate) emulator: Running,
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    pub(crate) tenant: TenantId,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Every answer is judged by Microsoft's metadata; the test fails at its end if one is wrong.
    #[expect(dead_code, reason = "it does its work when it is dropped")]
    judge: csdl::Verdict,
    folder: TempDir,
}

/// A restore's report, and what the progress callback was told.
pub(crate) struct Restored {
    pub(crate) report: Report,
    pub(crate) items: Vec<ItemReport>,
}

/// The emulator's time, told by the clock of the product.
#[derive(Debug)]
struct Shared(SimulatedClock);

impl emulator::Clock for Shared {
    fn now(&self) -> Timestamp {
        Clock::now(&self.0)
    }
}

impl Stage {
    /// Mailboxes `ada`, filled from `mail`, and `bob`, empty.
    pub(crate) async fn with(mail: &Path) -> Result<Self> {
        let empty = tempfile::tempdir()?;
        let world = World::new().mail("ada", mail).mail("bob", empty.path());
        let clock = SimulatedClock::new("2026-11-22T14:05:00Z".parse()?);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut settings = Settings::new(world);
        settings.clock = Arc::new(Shared(clock.clone()));
        let judge = Arc::new(csdl::Observer::new());
        settings.observer = Some(observer(&seen, &judge));
        let emulator = Emulator::start(settings).await?;
        let clock: SharedClock = Arc::new(clock);
        let tenant = TenantId::new(emulator.tenant_id.to_string())?;
        let client = Client::new(graph::Options::new(
            Cloud::at(&emulator.base_url)?,
            tenant.clone(),
            emulator.client_id.to_string(),
            Credential::secret(emulator.client_secret.clone()),
            Arc::clone(&clock),
            1,
        ))?;
        Ok(Self {
            emulator,
            client,
            clock,
            tenant,
            seen,
            judge: csdl::Verdict(judge),
            folder: tempfile::tempdir()?,
        })
    }

    /// A folder that is there as long as the stage.
    pub(crate) fn new_folder(&self) -> Result<PathBuf> {
        Ok(tempfile::tempdir_in(self.folder.path())?.keep())
    }

    /// The mailbox's user, by alias.
    pub(crate) fn account(&self, alias: &str) -> Result<AccountId> {
        let user = self
            .emulator
            .tenant()
            .user(&format!("{alias}@{DOMAIN}"))
            .context("no such user")?;
        Ok(AccountId::new(user.id.to_string())?)
    }

    /// What happens directly in a mailbox, without HTTP.
    pub(crate) fn mailbox<T>(
        &self,
        alias: &str,
        act: impl FnOnce(&mut emulator::Mailbox) -> T,
    ) -> Result<T> {
        let user = self
            .emulator
            .tenant()
            .user(&format!("{alias}@{DOMAIN}"))
            .context("no such user")?;
        let mailbox = self
            .emulator
            .tenant()
            .mailbox(user.id)
            .context("no mailbox")?;
        let mut mailbox = mailbox
            .lock()
            .map_err(|_| anyhow::anyhow!("a test panicked with the mailbox"))?;
        Ok(act(&mut mailbox))
    }

    /// Ids of all messages, with the display names of their folders.
    pub(crate) fn messages(&self, alias: &str) -> Result<Vec<(Vec<String>, String, MessageKey)>> {
        self.mailbox(alias, |mailbox| {
            let folders: Vec<_> = mailbox.folder_views().collect();
            let path = |id: &str| {
                folders
                    .iter()
                    .find(|folder| folder.id == id)
                    .map(|folder| folder.path.clone())
            };
            mailbox
                .message_views()
                .map(|view| (path(&view.folder_id).unwrap_or_default(), view.id, view.key))
                .collect()
        })
    }

    /// The ids of the messages in the folder of that path.
    pub(crate) fn in_folder(&self, alias: &str, path: &[&str]) -> Result<Vec<String>> {
        let all = self.messages(alias)?;
        Ok(all
            .into_iter()
            .filter(|(folder, ..)| folder == path)
            .map(|(_, id, _)| id)
            .collect())
    }

    pub(crate) fn scope(&self, alias: &str) -> Result<Scope> {
        Ok(Scope::Outlook {
            mailbox: self.account(alias)?,
        })
    }

    pub(crate) fn path(&self, alias: &str, rest: &str) -> Result<String> {
        Ok(format!("/users/{}{rest}", self.account(alias)?))
    }

    /// Changes a message as its owner would.
    pub(crate) async fn patch(&self, alias: &str, id: &str, change: Value) -> Result<()> {
        let path = self.path(alias, &format!("/messages/{}", segment(id)))?;
        self.client
            .send(&self.scope(alias)?, Request::patch(path).json(&change)?)
            .await?;
        Ok(())
    }

    /// Saves a draft in `ada`'s drafts.
    pub(crate) async fn draft(&self, draft: Value) -> Result<String> {
        let path = self.path("ada", "/messages")?;
        let response = self
            .client
            .send(&self.scope("ada")?, Request::post(path).json(&draft)?)
            .await?;
        let saved: Value = response.json()?;
        Ok(saved["id"].as_str().context("no id")?.to_owned())
    }

    /// Restores from `ada`'s archive, under the id `r1`.
    pub(crate) async fn restore(
        &self,
        archive: &Archive,
        selection: Selection,
        to: &str,
        destination: Destination,
    ) -> Result<Restored> {
        self.restore_as("r1", archive, selection, to, destination)
            .await
    }

    pub(crate) async fn restore_as(
        &self,
        id: &str,
        archive: &Archive,
        selection: Selection,
        to: &str,
        destination: Destination,
    ) -> Result<Restored> {
        let options = Options {
            restore: RestoreId::new(id)?,
            source: self.account("ada")?,
            destination,
        };
        let items = Mutex::new(Vec::new());
        let progress = |item: &ItemReport| {
            items
                .lock()
                .expect("no test panics here")
                .push(item.clone())
        };
        let target = self.account(to)?;
        let report = restore::run(
            &self.client,
            &target,
            archive,
            &selection,
            &options,
            &*self.clock,
            &progress,
        )
        .await?;
        Ok(Restored {
            report,
            items: items.into_inner().expect("no test panics here"),
        })
    }

    /// The requests since the last time.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("no test panics here"))
    }

    /// Everything that Graph says of a message and that a restore brings back, in one value. `name` stands for a missing name of an attachment.
    pub(crate) async fn shown(&self, alias: &str, id: &str) -> Result<Value> {
        let scope = self.scope(alias)?;
        let path = self.path(alias, &format!("/messages/{}", segment(id)))?;
        let wanted = PROPERTIES.map(|id| format!("id eq '{id}'")).join(" or ");
        let expand = format!("singleValueExtendedProperties($filter={wanted})");
        let message: Value = self
            .client
            .send(&scope, Request::get(path.clone()).query("$expand", &expand))
            .await?
            .json()?;
        let mut shown: Value = RESTORED
            .iter()
            .map(|name| ((*name).to_owned(), message[name].clone()))
            .collect();
        let property = |id: &str| {
            let all = message["singleValueExtendedProperties"]
                .as_array()
                .into_iter()
                .flatten();
            let found = all.clone().find(|property| property["id"] == id);
            found
                .and_then(|property| property["value"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        for (name, id) in [
            ("In-Reply-To", "String 0x1042"),
            ("References", "String 0x1039"),
        ] {
            shown[name] = message_ids(&property(id)).into();
        }
        if message["isDraft"] == false {
            shown[HEADERS] = property("String 0x7d").into();
        }
        let request = Request::get(format!("{path}/attachments"))
            .query("$expand", "microsoft.graph.itemAttachment/item");
        let mut pages = self.client.pages(&scope, request);
        let mut attachments = Vec::new();
        while let Some(page) = pages.next().await? {
            for attachment in page.items {
                attachments.push(shown_attachment(serde_json::from_str(attachment.get())?));
            }
        }
        shown["attachments"] = attachments.into();
        Ok(shown)
    }
}

/// The message ids in a header, without what else people's programs write there.
fn message_ids(text: &str) -> Vec<&str> {
    let ids = text
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'));
    ids.map(|(id, _)| id)
        .filter(|id| !id.contains(char::is_whitespace))
        .collect()
}

/// Fails unless everything that is restored of the source is the same in the copy.
pub(crate) fn assert_same(source: &Value, copy: &Value) {
    for (name, value) in source.as_object().into_iter().flatten() {
        let is_same = match name.as_str() {
            // Exchange gives a message an id that has none.
            "internetMessageId" => value.is_null() || *value == copy[name],
            HEADERS => are_same_headers(
                value.as_str().unwrap_or_default(),
                copy[name].as_str().unwrap_or_default(),
            ),
            _ => *value == copy[name],
        };
        assert!(
            is_same,
            "{name} of {}: {value} came back as {}",
            source["subject"], copy[name]
        );
    }
}

/// Header lines that are no text come back as text, and a line of the body that looks like a header does not become one.
fn are_same_headers(source: &str, copy: &str) -> bool {
    let is_text = source
        .chars()
        .all(|c| c != char::REPLACEMENT_CHARACTER && (!c.is_control() || "\r\n\t".contains(c)));
    !is_text
        || source == copy
        || (source.starts_with(copy) && source.lines().count() <= copy.lines().count() + 2)
}

/// What of an attachment is restored; what has no name or type gets one.
fn shown_attachment(attachment: Value) -> Value {
    let or = |name: &str, fallback: &str| match attachment[name].as_str() {
        None | Some("") => json!(fallback),
        Some(text) => json!(text),
    };
    let kind = attachment["@odata.type"].clone();
    let mut shown = json!({ "kind": kind, "name": or("name", "attachment"), "isInline": attachment["isInline"] });
    if kind == "#microsoft.graph.fileAttachment" {
        shown["contentType"] = or("contentType", "application/octet-stream");
        for name in ["contentId", "contentLocation", "contentBytes"] {
            shown[name] = attachment[name].clone();
        }
    }
    for name in [
        "subject",
        "body",
        "from",
        "toRecipients",
        "ccRecipients",
        "internetMessageId",
    ] {
        if let Some(value) = attachment["item"].get(name) {
            shown["item"][name] = value.clone();
        }
    }
    shown
}

impl Restored {
    /// The id in the target of each message that was created or found, by its id at the source.
    pub(crate) fn ids(&self) -> Vec<(ItemId, ItemId)> {
        let pair = |item: &ItemReport| match &item.outcome {
            Outcome::Restored { id } | Outcome::AlreadyThere { id } => {
                Some((item.source.clone()?, id.clone()))
            }
            _ => None,
        };
        self.items.iter().filter_map(pair).collect()
    }

    /// Restored, already there, identical, failed.
    pub(crate) fn counts(&self) -> (u64, u64, u64, u64) {
        let report = &self.report;
        (
            report.restored,
            report.already_there,
            report.identical,
            report.failed,
        )
    }
}

fn observer(seen: &Arc<Mutex<Vec<Seen>>>, judge: &Arc<csdl::Observer>) -> Observer {
    let (seen, judge) = (Arc::clone(seen), Arc::clone(judge));
    Observer::new(move |exchange: &Exchange| {
        seen.lock().expect("no test panics here").push(Seen {
            method: exchange.method.to_string(),
            path: exchange.path.clone(),
        });
        if exchange.faulty || exchange.in_batch {
            return;
        }
        let content_type = exchange.headers.get("content-type");
        judge.observe(&csdl::Exchange {
            method: exchange.method.as_str(),
            path: &exchange.path,
            request_body: &exchange.request_body,
            status: exchange.status.as_u16(),
            content_type: content_type.and_then(|value| value.to_str().ok()),
            body: &exchange.body,
        });
    })
}

/// Writes mails as files of a folder, each with its name.
pub(crate) fn write(folder: &Path, mails: &[(&str, String)]) -> Result<()> {
    for (name, mail) in mails {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().context("a file has a parent")?)?;
        fs::write(path, mail)?;
    }
    Ok(())
}

/// A plain mail.
pub(crate) fn mail(number: usize) -> String {
    format!(
        "Received: from x by y; Mon, {day} Jun 2026 10:00:00 +0200\r\nFrom: Ann <ann@example.com>\r\nTo: Ada <ada@{DOMAIN}>\r\n\
         Subject: Number {number}\r\nDate: Mon, {day} Jun 2026 09:59:00 +0200\r\nMessage-ID: <{number}@example.com>\r\n\
         In-Reply-To: <0@example.com>\r\nReferences: <0@example.com>\r\n\r\nText {number}\r\n",
        day = number % 28 + 1
    )
}

/// Time passes at the source, so that change keys and times differ.
pub(crate) async fn later(stage: &Stage) {
    stage.clock.sleep(Duration::from_secs(60)).await;
}

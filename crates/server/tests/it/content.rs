//! What is in backups, by way of the console: looking, searching and downloading, on a mailbox that an emulated tenant holds and a worker has backed up.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
    net::TcpListener,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use catalog::{
    Account, AccountFilter, AccountSort, Direction, Organization, RunId, Status, StatusChange,
    TaskId,
};
use emulator::{Emulator, Running, World};
use futures_util::StreamExt;
use graph::Cloud;
use model::{Clock, SystemClock, TenantId};
use reqwest::Method;
use secrets::ServerKey;
use serde_json::Value;
use server::State;
use service::{Credential, NewCredential, Pace, Schedule, Service, TaskSettings, Which};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    browser::{Answer, Browser},
    stage::PASSWORD,
};

/// Whatever a test waits for comes sooner, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A console in which somebody is signed in, over one mailbox.
pub(crate) struct Backed {
    pub(crate) microsoft: Running,
    pub(crate) service: Service,
    pub(crate) organization: Organization,
    pub(crate) task: TaskId,
    pub(crate) account: Account,
    pub(crate) browser: Browser,
    folder: TempDir,
}

impl Backed {
    /// Ada has a mailbox with these mails, and it is backed up.
    pub(crate) async fn with(mails: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inbox = folder.path().join("mail");
        std::fs::create_dir_all(&inbox).unwrap();
        for (number, mail) in mails.iter().enumerate() {
            std::fs::write(inbox.join(format!("{number:03}")), mail).unwrap();
        }
        let world = emulator::Settings::new(World::new().mail("ada", inbox));
        let microsoft = Emulator::start(world).await.unwrap();
        let settings = service::Settings {
            data: folder.path().join("data"),
            database: testkit::database::address(folder.path()),
            cloud: Cloud::at(&microsoft.base_url).unwrap(),
            instance: "test".to_owned(),
            clock: SystemClock::shared(),
            at_once: NonZeroUsize::MIN,
            pace: Pace {
                progress: Duration::from_millis(50),
                look: Duration::from_millis(50),
                ..Pace::default()
            },
        };
        let service = Service::open(settings, ServerKey::random()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let settings = server::Settings {
            public_url: Url::parse(&url).unwrap(),
            proxy: None,
            apps: std::collections::BTreeMap::new(),
        };
        let state = State::new(service.clone(), settings).unwrap();
        let id = state
            .found("Contoso", "Ada", "ada@example.com", PASSWORD)
            .await
            .unwrap();
        let router = server::router(state);
        tokio::spawn(server::serve(
            listener,
            router,
            None,
            CancellationToken::new(),
        ));
        let organization = service.catalog().organization(id);
        let task = protect(&service, &organization, &microsoft).await;
        let browser = Browser::new(&url);
        browser.sign_in("ada@example.com").await;
        let account = only_account(&organization, task).await;
        let mut backed = Self {
            microsoft,
            service,
            organization,
            task,
            account,
            browser,
            folder,
        };
        backed.back_up().await;
        backed
    }

    /// Another backup.
    async fn back_up(&mut self) {
        let of = &self.organization;
        let begun = self.service.backup_now(of.id(), self.task, Which::All);
        let run = begun.await.unwrap();
        self.work_off(run).await;
        self.account = only_account(&self.organization, self.task).await;
        assert!(self.account.snapshot.is_some());
    }

    /// A worker works until the run is over.
    pub(crate) async fn work_off(&self, run: RunId) {
        let of = &self.organization;
        let stop = CancellationToken::new();
        let (service, told) = (self.service.clone(), stop.clone());
        let worker = tokio::spawn(async move { service.work(told).await });
        let clock = SystemClock::new();
        while of.run(run).await.unwrap().finished_at.is_none() {
            assert!(clock.elapsed() < PATIENCE, "a run does not end");
            clock.sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
        worker.await.unwrap();
    }

    /// A mail comes in.
    fn arrives(&self, mail: &str) {
        let mailbox = self.microsoft.tenant();
        let mailbox = mailbox.mailbox(self.account.source.as_str().parse().unwrap());
        let mailbox = mailbox.unwrap();
        let mut mailbox = mailbox.lock().unwrap();
        let inbox = mailbox.find_folder("inbox").unwrap();
        let now = self.microsoft.now();
        mailbox
            .deliver(inbox, mail.as_bytes().to_vec().into(), now)
            .unwrap();
    }

    pub(crate) fn path(&self, below: &str) -> String {
        format!("/accounts/{}{below}", self.account.key)
    }

    /// The account's page, with the newest restore point and the inbox.
    async fn page(&self) -> Answer {
        let page = self.browser.get(&self.path("")).await;
        assert_eq!(page.status, 200);
        page
    }

    /// The form of the page as its button would send it: all messages ticked, or the folder.
    pub(crate) async fn form(&self, what: &str) -> Vec<(String, String)> {
        let page = self.page().await;
        let csrf = page.field("csrf");
        let (_, form) = page.text.split_once("/download\"").unwrap();
        let form = Answer {
            text: form.to_owned(),
            ..page
        };
        let mut fields = vec![
            ("csrf".to_owned(), csrf),
            ("point".to_owned(), form.field("point")),
            ("folder".to_owned(), form.field("folder")),
            ("what".to_owned(), what.to_owned()),
        ];
        let ids = fields_of(&form.text, "message").into_iter();
        fields.extend(ids.map(|id| ("message".to_owned(), id)));
        fields
    }

    pub(crate) async fn download(&self, form: &[(String, String)]) -> reqwest::Response {
        let fields = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<_> = fields.collect();
        let form = self.browser.form(&self.path("/download"), &fields);
        self.browser.signed(form).send().await.unwrap()
    }

    /// What the audit says was done, with how often.
    pub(crate) async fn noted(&self) -> HashMap<String, usize> {
        let mut noted = HashMap::new();
        for entry in self.organization.audit(None, 1_000).await.unwrap() {
            *noted.entry(entry.action).or_default() += 1;
        }
        noted
    }

    /// The packs of the account's repository.
    fn packs(&self) -> Vec<PathBuf> {
        let mut packs = files(&self.folder.path().join("data"));
        packs.retain(|path| is_pack(path));
        packs
    }
}

fn is_pack(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    let folder = path
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_string_lossy();
    name.len() == 64 && folder.len() == 2 && name.starts_with(&*folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The values of all fields with a name.
fn fields_of(text: &str, name: &str) -> Vec<String> {
    let field = format!("name=\"{name}\" value=\"");
    let parts = text.split(&field).skip(1);
    parts
        .map(|part| crate::browser::unescape(part.split('"').next().unwrap()))
        .collect()
}

async fn protect(service: &Service, of: &Organization, microsoft: &Running) -> TaskId {
    let credential = NewCredential {
        service: model::Service::Exchange,
        tenant: TenantId::new(microsoft.tenant_id.to_string()).unwrap(),
        tenant_name: String::new(),
        client_id: microsoft.client_id.to_string(),
        credential: Credential::Secret(microsoft.client_secret.clone().into()),
    };
    let connection = service.connect(of.id(), credential).await.unwrap();
    service.check_connection(of.id(), connection).await.unwrap();
    let settings = TaskSettings {
        schedule: Schedule::Manual,
        ..TaskSettings::default()
    };
    let task = service
        .add_task(of.id(), connection, "Mail", &settings)
        .await
        .unwrap();
    service.discover(of.id(), task).await.unwrap();
    of.change_status(task, &AccountFilter::default(), StatusChange::Activate)
        .await
        .unwrap();
    task
}

async fn only_account(of: &Organization, task: TaskId) -> Account {
    let (sort, filter) = (AccountSort::Name, AccountFilter::default());
    let page = of
        .accounts(task, &filter, sort, Direction::Ascending, None, 2)
        .await
        .unwrap();
    assert_eq!(page.rows.len(), 1);
    page.rows.into_iter().next().unwrap()
}

pub(crate) fn mail(number: usize, subject: &str) -> String {
    format!(
        "Received: from x by y; Tue, 2 Jun 2026 10:{number:02}:00 +0000\r\nFrom: Zoe <zoe@example.com>\r\nTo: ada@example.com\r\n\
         Subject: {subject}\r\nMessage-ID: <{number}@example.com>\r\nDate: Tue, 2 Jun 2026 09:59:00 +0000\r\n\r\nThis is mail {number}.\r\n"
    )
}

/// The files of a ZIP, as another program reads them.
fn unzip(bytes: Vec<u8>) -> Vec<(String, String)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut files = Vec::new();
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        files.push((file.name().unwrap().into_owned(), text));
    }
    files.sort();
    files
}

/// abuse 71: names that strangers choose stay inside the ZIP and never meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_downloaded_as_one_zip_with_safe_names() {
    let mails = [
        mail(1, "Report"),
        mail(1, "REPORT"),
        mail(2, "../../etc/passwd"),
        mail(3, "=?utf-8?q?=E2=80=AEgpj.exe?="),
    ];
    let backed = Backed::with(&mails).await;
    for what in ["messages", "folder", "mailbox"] {
        let response = backed.download(&backed.form(what).await).await;
        assert_eq!(response.status(), 200);
        let disposition = response.headers()["content-disposition"].to_str().unwrap();
        assert!(disposition.contains(".zip\""), "{disposition}");
        assert_eq!(
            response.headers()["content-type"],
            "application/octet-stream"
        );
        let files = unzip(response.bytes().await.unwrap().to_vec());
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let stems = [
            "2026-06-02 1001 REPORT",
            "2026-06-02 1001 Report",
            "2026-06-02 1002 .._.._etc_passwd",
            "2026-06-02 1003 _gpj.exe",
        ];
        assert_eq!(names.len(), stems.len(), "{names:?}");
        for (name, text) in &files {
            let name = match what {
                "messages" => name,
                _ => name.strip_prefix("Inbox/").unwrap(),
            };
            assert!(!name.contains('/'), "{name}");
            let stem = name.strip_suffix(".eml").unwrap().trim_end_matches(" (2)");
            assert!(stems.contains(&stem), "{name}");
            assert!(text.contains("This is mail"), "{name}: {text}");
        }
        assert!(
            names.iter().any(|name| name.ends_with(" (2).eml")),
            "{names:?}"
        );
    }
    assert_eq!(backed.noted().await.get("downloaded messages"), Some(&3));
}

/// What was lost in the midst must not look like a whole file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_that_meets_damage_breaks_off() {
    let mut backed = Backed::with(&[mail(1, "First")]).await;
    let old = backed.packs();
    backed.arrives(&format!("{}{}", mail(2, "Second"), noise(200_000)));
    backed.back_up().await;
    let mut new = backed.packs();
    new.retain(|pack| !old.contains(pack));
    let form = backed.form("folder").await;
    let whole = backed.download(&form).await;
    assert_eq!(unzip(whole.bytes().await.unwrap().to_vec()).len(), 2);

    // The middle of the largest pack is the middle of the second message.
    let pack = new.iter().max_by_key(|pack| length(pack)).unwrap();
    let mut bytes = std::fs::read(pack).unwrap();
    assert!(bytes.len() > 100_000);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(pack).unwrap();
    std::fs::write(pack, bytes).unwrap();
    let response = backed.download(&form).await;
    assert_eq!(response.status(), 200);
    let mut stream = response.bytes_stream();
    let (mut had, mut broke_off) = (Vec::new(), false);
    while let Some(part) = stream.next().await {
        match part {
            Ok(part) => had.extend_from_slice(&part),
            Err(_) => broke_off = true,
        }
    }
    assert!(broke_off, "{} bytes look whole", had.len());
    assert!(zip::ZipArchive::new(Cursor::new(had)).is_err());
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// Letters that nothing compresses much.
pub(crate) fn noise(letters: usize) -> String {
    let mut state = 1_u32;
    let letters = (0..letters).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    });
    letters.collect()
}

/// It asks Microsoft, and what it finds changes what all are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_of_a_connection_is_noted() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    let connection = backed.organization.connections().await.unwrap()[0].id;
    let (path, csrf) = (
        format!("/connections/{connection}/check"),
        backed.browser.csrf().await,
    );
    let page = backed.browser.post(&path, &[("csrf", &csrf)]).await;
    assert_eq!(page.status, 303);
    backed.browser.make_token("administrator").await;
    let path = format!("/api/v1{path}");
    let program = backed.browser.program(Method::POST, &path, "").await;
    assert_eq!(program.json()["health"], "connected");
    assert_eq!(backed.noted().await.get("checked a connection"), Some(&2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_a_message_is_noted_once() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    let page = backed.page().await;
    let (_, link) = page.text.split_once("<li><input").unwrap();
    let (_, link) = link.split_once("href=\"").unwrap();
    let link = crate::browser::unescape(link.split('"').next().unwrap());
    let message = backed.browser.get(&link).await;
    assert!(message.has("Hello"));
    let (_, frame) = message.text.split_once("<iframe").unwrap();
    let (_, frame) = frame.split_once("src=\"").unwrap();
    let frame = crate::browser::unescape(frame.split('"').next().unwrap());
    let body = backed.browser.get(&frame).await;
    assert!(body.text.contains("mail&#32;1."), "{}", body.text);
    assert_eq!(backed.noted().await.get("looked at a message"), Some(&1));
    // Somebody else, who asks for the frame alone, is noted.
    let other = Browser::new(&backed.browser.url());
    other.sign_in("ada@example.com").await;
    assert_eq!(other.get(&frame).await.status, 200);
    assert_eq!(backed.noted().await.get("looked at a message"), Some(&2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_searched_as_of_a_restore_point() {
    let mails = [
        mail(1, "Budget for June"),
        mail(2, "Lunch"),
        mail(3, "The budget"),
    ];
    let mut backed = Backed::with(&mails).await;
    let first = backed.account.snapshot.clone().unwrap();
    backed.arrives(&mail(4, "Budget again"));
    backed.back_up().await;
    let search = async |query: &str| {
        let page = backed
            .browser
            .get(&backed.path(&format!("/search?{query}")))
            .await;
        assert_eq!(page.status, 200, "{query}");
        page
    };
    let empty = search("").await;
    assert!(empty.has("What are you looking for?"));
    let now = search("words=budget").await;
    assert!(now.has("3 messages found") && now.has("Everything has been looked at"));
    assert!(now.has("Budget again") && !now.has("Lunch"));
    let then = search(&format!("words=BUDGET+zoe&point={first}")).await;
    assert!(
        then.has("2 messages found") && !then.has("Budget again"),
        "{}",
        then.text
    );
    assert!(search("from=2026-06-02&to=2026-06-02").await.has("Lunch"));
    assert!(
        search("words=lunch&to=2026-06-01")
            .await
            .has("Nothing found")
    );
    assert!(
        search("from=2026-06-02&to=2026-06-01")
            .await
            .has("exchange them")
    );
    assert_eq!(backed.noted().await.get("searched an account"), Some(&4));
}

/// The review says where things will lie: only folders come back as folders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_review_of_a_restore_says_where_it_lies_afterwards() {
    let backed = Backed::with(&[mail(1, "Hello"), mail(2, "Lunch")]).await;
    let form = backed.form("messages").await;
    let review = async |what: &str, messages: usize| {
        let mut fields: Vec<_> = Vec::new();
        let mut left = messages;
        for (name, value) in &form {
            let is_wanted = match name.as_str() {
                "what" => false,
                "message" if left == 0 => false,
                "message" => {
                    left -= 1;
                    true
                }
                _ => true,
            };
            if is_wanted {
                fields.push((name.as_str(), value.as_str()));
            }
        }
        fields.extend([("what", what), ("step", "review")]);
        backed.browser.post(&backed.path("/restore"), &fields).await
    };
    let check = async |what, messages, expected: &str| {
        let page = review(what, messages).await;
        assert!(page.has(expected), "{what} {messages}: {}", page.text);
    };
    check("messages", 1, "directly in it the message.").await;
    check("messages", 2, "directly in it the messages, whichever").await;
    check("folder", 0, "in it the folders as they were.").await;
    check("mailbox", 0, "in it the folders as they were.").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_of_messages_stays_one_when_the_point_has_not_all_of_them() {
    let mut backed = Backed::with(&[mail(1, "Hello")]).await;
    let first = backed.account.snapshot.clone().unwrap();
    backed.arrives(&mail(2, "New"));
    backed.back_up().await;
    let mut fields = backed.form("messages").await;
    let ticked = fields.iter().filter(|(name, _)| name == "message").count();
    assert_eq!(ticked, 2);
    fields.retain(|(name, _)| name != "point");
    fields.push(("point".to_owned(), first));
    let what = |page: &Answer| {
        let (_, chosen) = page.text.split_once("name=\"what\"").unwrap();
        let (first, _) = chosen.split_once("</div>").unwrap();
        assert!(first.contains("value=\"messages\" checked"), "{first}");
        assert!(page.has("These 2 messages"));
    };
    for step in ["find", "review"] {
        let mut fields = fields.clone();
        fields.push(("step".to_owned(), step.to_owned()));
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let page = backed.browser.post(&backed.path("/restore"), &fields).await;
        let is_refused = page.status == 422;
        assert!(is_refused || page.status == 200, "{step}: {}", page.text);
        assert_eq!(is_refused, step == "review");
        assert_eq!(
            page.has("One of the selected messages is not in this restore point"),
            is_refused
        );
        what(&page);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_to_accounts_and_settings_can_be_taken_back() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    let (browser, task) = (&backed.browser, format!("/tasks/{}", backed.task));
    let key = backed.account.key.to_string();
    let csrf = browser.csrf().await;
    let act = [("csrf", csrf.as_str()), ("do", "pause"), ("account", &key)];
    let to = browser.post(&format!("{task}/accounts"), &act).await;
    let page = browser.get(to.location()).await;
    assert!(page.has("1 account paused."));
    let status = async || only_account(&backed.organization, backed.task).await.status;
    assert_eq!(status().await, Status::Paused);
    let undo = page.field("id");
    let fields = [("csrf", csrf.as_str()), ("id", undo.as_str())];
    let to = browser.post("/undo", &fields).await;
    assert!(
        browser
            .get(to.location())
            .await
            .has("1 account is as before.")
    );
    assert_eq!(status().await, Status::Active);
    let to = browser.post("/undo", &fields).await;
    assert!(
        browser
            .get(to.location())
            .await
            .has("Nothing was taken back")
    );

    let save = [("csrf", csrf.as_str()), ("retain", "30"), ("schedule", "4")];
    let to = browser.post(&format!("{task}/settings"), &save).await;
    let page = browser.get(to.location()).await;
    let settings = async || {
        backed
            .organization
            .task(backed.task)
            .await
            .unwrap()
            .settings
    };
    let kept = TaskSettings::from_text(&settings().await).unwrap();
    assert_eq!((kept.retain_archived_days, kept.index), (Some(30), false));
    let undo = page.field("id");
    let fields = [("csrf", csrf.as_str()), ("id", undo.as_str())];
    let to = browser.post("/undo", &fields).await;
    assert!(
        browser
            .get(to.location())
            .await
            .has("The settings are as before.")
    );
    let kept = TaskSettings::from_text(&settings().await).unwrap();
    assert_eq!((kept.retain_archived_days, kept.index), (None, true));
    assert_eq!(kept.schedule, Schedule::Manual);
}

/// abuse 79, 102: the file has every entry, with what proves it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_is_a_file_with_every_entry() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    let file = backed.browser.get("/audit.csv").await;
    assert_eq!(file.status, 200);
    assert!(file.header("content-disposition").contains(".csv\""));
    let mut reader = csv::Reader::from_reader(file.text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let entries = backed.organization.audit(None, 1_000).await.unwrap();
    assert_eq!(rows.len(), entries.len());
    for (row, entry) in rows.iter().zip(&entries) {
        assert_eq!(row[0], entry.number.to_string());
        assert_eq!(
            (&row[4], &row[7]),
            (entry.action.as_str(), entry.hash.as_str())
        );
    }
    assert_eq!(&rows[0][4], "exported the audit");
    assert_eq!(&rows[0][3], "Ada");
}

/// The page and the file have the entries that were asked for, and the page says what the last look at the chain came to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_is_narrowed_by_who_what_and_when() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    let page = backed.browser.get("/audit?what=signed+in").await;
    assert!(page.has("Unbroken"), "{}", page.text);
    assert!(page.has("<td>signed in</td>") && !page.has("<td>began a backup</td>"));
    let (_, rest) = page.text.split_once("href=\"/audit.csv?").unwrap();
    let query = rest.split('"').next().unwrap();
    let file = backed.browser.get(&format!("/audit.csv?{query}")).await;
    let mut reader = csv::Reader::from_reader(file.text.as_bytes());
    let actions: Vec<_> = reader
        .records()
        .map(|row| row.unwrap()[4].to_owned())
        .collect();
    assert!(!actions.is_empty() && actions.iter().all(|action| action == "signed in"));
    let nothing = backed.browser.get("/audit?to=1999-12-31").await;
    assert!(nothing.has("No entry matches"), "{}", nothing.text);
    let wrong = backed.browser.get("/audit?from=2026-02-30").await;
    assert!(
        wrong.has("A day is written as 2026-11-22."),
        "{}",
        wrong.text
    );
    let nobody = backed.browser.get("/audit?who=nobody&check=now").await;
    assert!(nobody.has("No entry matches") && nobody.has("Unbroken"));
}

/// Programs have the same filters, by the facts and not by words of a page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_narrows_the_audit_too() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    let browser = &backed.browser;
    backed.page().await;
    browser.make_token("auditor").await;
    let entries = async |query: &str| {
        let path = format!("/api/v1/audit?limit=500{query}");
        let list = browser.program(Method::GET, &path, "").await.json();
        list["items"].as_array().unwrap().clone()
    };
    let all = entries("").await;
    let signed_in = entries("&action=signed+in").await;
    assert!(!signed_in.is_empty() && signed_in.len() < all.len());
    assert!(signed_in.iter().all(|entry| entry["action"] == "signed in"));
    let actor = signed_in[0]["actor"].as_str().unwrap();
    let of_ada = entries(&format!("&actor={actor}")).await;
    assert!(!of_ada.is_empty() && of_ada.iter().all(|entry| entry["actor"] == actor));
    assert_eq!(entries("&actor=somebody").await, Vec::<Value>::new());
    let of_account = entries(&format!("&object={}", backed.account.key)).await;
    let actions: Vec<_> = of_account.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["looked into a folder"]);
    let at = of_account[0]["happened_at"].as_str().unwrap();
    let (from, until) = (format!("&from={at}"), format!("&until={at}"));
    let (later, earlier) = (entries(&from).await, entries(&until).await);
    assert_eq!(later.len() + earlier.len(), all.len());
    assert!(!later.is_empty() && !earlier.is_empty());
    let wrong = browser.program(Method::GET, "/api/v1/audit?from=yesterday", "");
    assert_eq!(wrong.await.status, 422);
}

/// The file that a program gets is the attachment, byte for byte, and there is none beyond the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_gets_one_attachment() {
    let with = mail(1, "Hello").replace(
        "\r\n\r\nThis is mail 1.\r\n",
        "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n\
         --b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"../a.bin\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\nAAEC/w==\r\n--b--\r\n",
    );
    let backed = Backed::with(&[with]).await;
    let browser = &backed.browser;
    browser.make_token("operator").await;
    let point = backed.account.snapshot.clone().unwrap();
    let messages = format!(
        "/api/v1{}/messages",
        backed.path(&format!("/restore-points/{point}"))
    );
    let list = browser.program(Method::GET, &messages, "").await.json();
    let id = list["items"][0]["message"]["id"].as_str().unwrap();
    let message = format!("{messages}/{id}");
    let about = browser.program(Method::GET, &message, "").await.json();
    let attached = &about["attached"];
    assert_eq!(attached.as_array().unwrap().len(), 1, "{attached}");
    assert_eq!(
        (&attached[0]["number"], &attached[0]["size_bytes"]),
        (&0.into(), &4.into())
    );
    let request = browser.of_program(Method::GET, &format!("{message}/attachments/0"), "");
    let file = request.send().await.unwrap();
    assert_eq!(file.status(), 200);
    let disposition = file.headers()["content-disposition"].to_str().unwrap();
    assert!(
        disposition.starts_with("attachment;") && !disposition.contains('/'),
        "{disposition}"
    );
    assert_eq!(file.bytes().await.unwrap()[..], [0, 1, 2, 255]);
    let beyond = browser
        .program(Method::GET, &format!("{message}/attachments/1"), "")
        .await;
    assert_eq!(beyond.status, 404);
    beyond.problem();
    assert_eq!(
        backed.noted().await.get("downloaded an attachment"),
        Some(&2)
    );
}

/// What a token did last to accounts it can take back, and nobody else can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_takes_back_what_it_did_to_accounts() {
    let backed = Backed::with(&[mail(1, "Hello")]).await;
    let browser = &backed.browser;
    browser.make_token("operator").await;
    let status = async || only_account(&backed.organization, backed.task).await.status;
    let pause = format!("/api/v1/tasks/{}/accounts/pause", backed.task);
    let send = async |path: &str, body: &str| browser.program(Method::POST, path, body).await;
    let done = send(&pause, r#"{"all": {}}"#).await.json();
    assert_eq!(
        (&done["changed"], status().await),
        (&1.into(), Status::Paused)
    );
    let undo = serde_json::json!({"id": done["undo"]}).to_string();
    // Another token of the same user.
    let first = browser.token().unwrap();
    browser.make_token("operator").await;
    assert_eq!(send("/api/v1/undo", &undo).await.status, 409);
    browser.bring(Some(&first));
    let back = send("/api/v1/undo", &undo).await;
    assert_eq!((back.status, &back.json()["changed"]), (200, &1.into()));
    assert_eq!(status().await, Status::Active);
    let again = send("/api/v1/undo", &undo).await;
    assert_eq!(again.status, 409);
    assert!(again.problem().contains("Nothing was taken back"));
    let nothing = send(&pause, r#"{"all": {"status": "paused"}}"#)
        .await
        .json();
    assert_eq!(
        (&nothing["changed"], nothing["undo"].is_null()),
        (&0.into(), true)
    );
}

//! A client for the tests of mail, on one user's mailbox. Every answer is judged by Microsoft's metadata.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use emulator::{MailBehaviour, Mailbox, Settings, World};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Site, send};

/// The user that a bench works on.
pub(crate) const USER: &str = "ada@contoso.onmicrosoft.com";

/// The emulator and a client.
pub(crate) struct Bench {
    pub(crate) site: Site,
    token: String,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask<'a> {
    pub(crate) immutable: bool,
    pub(crate) page_size: Option<usize>,
    pub(crate) text_body: bool,
    pub(crate) content_type: Option<&'a str>,
}

/// Immutable ids.
pub(crate) const IMMUTABLE: Ask<'_> = Ask {
    immutable: true,
    page_size: None,
    text_body: false,
    content_type: None,
};
/// Default ids.
pub(crate) const DEFAULT: Ask<'_> = Ask {
    immutable: false,
    ..IMMUTABLE
};

impl Bench {
    /// One user with an empty mailbox.
    pub(crate) async fn start() -> Result<Self> {
        Self::with(MailBehaviour::default(), |_| {}).await
    }

    /// One user with an empty mailbox, and other settings.
    pub(crate) async fn with(
        behaviour: MailBehaviour,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Self> {
        let empty = tempfile::tempdir()?;
        let world = World::new().mail(USER, empty.path());
        Ok(Self::on(world, |mut settings| {
            settings.behaviour.mail = behaviour;
            change(&mut settings);
            settings
        })
        .await)
    }

    /// Any world with the user in it.
    pub(crate) async fn on(world: World, adjust: impl FnOnce(Settings) -> Settings) -> Self {
        let site = Site::start_with(world, adjust).await;
        let token = site.new_token().await;
        Self { site, token }
    }

    /// Gets a new access token, since none lives as long as some tests wait.
    pub(crate) async fn sign_in(&mut self) {
        self.token = self.site.new_token().await;
    }

    /// Sends a request; a path is below the user, a URL is taken as it is.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        ask: Ask<'_>,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let path = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("/v1.0/users/{USER}/{path}")
        };
        let mut request = self.site.bare(method, &path).bearer_auth(&self.token);
        let mut prefer = Vec::new();
        if ask.immutable {
            prefer.push("IdType=\"ImmutableId\"".to_owned());
        }
        if let Some(size) = ask.page_size {
            prefer.push(format!("odata.maxpagesize={size}"));
        }
        if ask.text_body {
            prefer.push("outlook.body-content-type=\"text\"".to_owned());
        }
        if !prefer.is_empty() {
            request = request.header("prefer", prefer.join(", "));
        }
        if !body.is_empty() {
            let content_type = ask.content_type.unwrap_or("application/json");
            request = request.header("content-type", content_type).body(body);
        }
        Ok(send(request).await)
    }

    /// A request without `Authorization`, as upload URLs want it.
    pub(crate) async fn put_range(&self, url: &str, range: &str, body: Vec<u8>) -> Answer {
        let request = self.site.bare(Method::PUT, url);
        send(request.header("content-range", range).body(body)).await
    }

    pub(crate) async fn get(&self, path: &str, ask: Ask<'_>) -> Result<Answer> {
        self.ask(Method::GET, path, ask, Vec::new()).await
    }

    /// GET that must succeed, as JSON.
    pub(crate) async fn read(&self, path: &str, ask: Ask<'_>) -> Result<Value> {
        let answer = self.get(path, ask).await?;
        if answer.status != 200 {
            bail!("GET {path}: {:?}", refusal(&answer));
        }
        Ok(answer.json())
    }

    pub(crate) async fn post(&self, path: &str, ask: Ask<'_>, body: Value) -> Result<Answer> {
        self.ask(Method::POST, path, ask, body.to_string().into_bytes())
            .await
    }

    /// POST that must create something, as JSON.
    pub(crate) async fn create(&self, path: &str, ask: Ask<'_>, body: Value) -> Result<Value> {
        let answer = self.post(path, ask, body).await?;
        if answer.status != 201 {
            bail!("POST {path}: {:?}", refusal(&answer));
        }
        Ok(answer.json())
    }

    pub(crate) async fn patch(&self, path: &str, ask: Ask<'_>, body: Value) -> Result<Answer> {
        self.ask(Method::PATCH, path, ask, body.to_string().into_bytes())
            .await
    }

    pub(crate) async fn delete(&self, path: &str, ask: Ask<'_>) -> Result<Answer> {
        self.ask(Method::DELETE, path, ask, Vec::new()).await
    }

    /// Follows a collection or a delta to its end: all rows, and the last page.
    pub(crate) async fn follow(&self, path: &str, ask: Ask<'_>) -> Result<(Vec<Value>, Value)> {
        let mut rows = Vec::new();
        let mut page = self.read(path, ask).await?;
        loop {
            let more = page["value"].as_array().context("no value")?;
            rows.extend(more.iter().cloned());
            match page["@odata.nextLink"].as_str() {
                Some(next) => page = self.read(next, ask).await?,
                None => return Ok((rows, page)),
            }
        }
    }

    /// All changes since a delta link (or of a first listing), and the next delta link.
    pub(crate) async fn delta(&self, link: &str, ask: Ask<'_>) -> Result<(Vec<Value>, String)> {
        let (rows, last) = self.follow(link, ask).await?;
        let link = last["@odata.deltaLink"].as_str().context("no delta link")?;
        Ok((rows, link.to_owned()))
    }

    /// Creates a message with a subject in a folder; gives its id.
    pub(crate) async fn message(
        &self,
        folder: &str,
        subject: &str,
        ask: Ask<'_>,
    ) -> Result<String> {
        let path = format!("mailFolders/{folder}/messages");
        let created = self.create(&path, ask, json!({"subject": subject})).await?;
        text(&created, "id")
    }

    /// Creates a folder; gives its id.
    pub(crate) async fn folder(&self, path: &str, name: &str) -> Result<String> {
        let created = self
            .create(path, DEFAULT, json!({"displayName": name}))
            .await?;
        text(&created, "id")
    }

    /// Works on the mailbox in the process.
    pub(crate) fn mailbox<T>(&self, work: impl FnOnce(&mut Mailbox, Timestamp) -> T) -> T {
        let tenant = self.site.running.tenant();
        let user = tenant.user(USER).expect("the bench's user exists");
        let mailbox = tenant.mailbox(user.id).expect("and has a mailbox");
        let mut mailbox = mailbox.lock().expect("no test panicked in it");
        work(&mut mailbox, self.site.running.now())
    }

    /// Lets time pass.
    pub(crate) fn wait_s(&self, seconds: u64) {
        self.site.clock.advance(Duration::from_secs(seconds));
    }
}

/// Status and error code.
pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

/// A property that is text.
pub(crate) fn text(row: &Value, name: &str) -> Result<String> {
    let value = row[name].as_str();
    Ok(value.with_context(|| format!("no {name}"))?.to_owned())
}

/// One property of all rows.
pub(crate) fn column(rows: &[Value], name: &str) -> Vec<String> {
    rows.iter()
        .map(|row| row[name].as_str().unwrap_or_default().to_owned())
        .collect()
}

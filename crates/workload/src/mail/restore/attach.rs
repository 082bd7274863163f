//! Adds the attachments that did not travel with their message.
//!
//! One after the other, in their order. After an answer that leaves open whether an attachment was made, the message's attachments are listed
//! and counted by name before it is asked for again.

use std::{collections::HashMap, time::Duration};

use graph::{Kind, Link, Repeat, Request, segment};
use model::ItemId;
use serde::Deserialize;

use super::{
    Mailbox,
    content::{self, Archived},
};
use crate::mail::{
    MimeFile,
    compose::{Attachment, Creation, Loss},
};

/// Times that an attachment is tried. Exchange may answer 404 for a message that it has just created (survival 116).
const ATTEMPTS_MAX: u32 = 6;
/// First wait, doubled each time.
const WAIT: Duration = Duration::from_secs(1);

/// Adds what did not travel within the creating request. What Graph does not take becomes a loss; an error ends the whole restore.
pub(super) async fn add_rest(
    mailbox: &Mailbox<'_>,
    message: &ItemId,
    creation: &Creation,
    mime: &MimeFile,
    losses: &mut Vec<Loss>,
) -> Result<(), graph::Error> {
    let present = Names::of(creation.within.iter().cloned());
    add(mailbox, message, &creation.rest, present, mime, losses).await
}

/// Adds what an interrupted run left out.
pub(super) async fn complete(
    mailbox: &Mailbox<'_>,
    message: &ItemId,
    creation: &Creation,
    mime: &MimeFile,
    losses: &mut Vec<Loss>,
) -> Result<(), graph::Error> {
    if creation.rest.is_empty() {
        return Ok(());
    }
    let present = mailbox.attachments(message).await?;
    let mut unclaimed = present.clone();
    for name in &creation.within {
        unclaimed.take(name);
    }
    let mut missing = creation.rest.clone();
    missing.retain(|attachment| {
        let as_file = attachment.as_plain_file(&mut Vec::new()).name().to_owned();
        !unclaimed.take(attachment.name()) && !unclaimed.take(&as_file)
    });
    add(mailbox, message, &missing, present, mime, losses).await
}

async fn add(
    mailbox: &Mailbox<'_>,
    message: &ItemId,
    attachments: &[Attachment],
    mut present: Names,
    mime: &MimeFile,
    losses: &mut Vec<Loss>,
) -> Result<(), graph::Error> {
    for attachment in attachments {
        let mut result = add_one(mailbox, message, attachment, mime, &mut present).await;
        let is_refused = matches!(&result, Err(error) if error.kind() == Kind::Invalid);
        if is_refused && attachment.is_message() {
            result = add_one(
                mailbox,
                message,
                &attachment.as_plain_file(losses),
                mime,
                &mut present,
            )
            .await;
        }
        match result {
            Ok(()) => {}
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => losses.push(Loss::AttachmentRefused {
                code: error.code().map(str::to_owned),
            }),
        }
    }
    Ok(())
}

/// Adds one attachment, exactly once. `present` is what the message has.
async fn add_one(
    mailbox: &Mailbox<'_>,
    message: &ItemId,
    attachment: &Attachment,
    mime: &MimeFile,
    present: &mut Names,
) -> Result<(), graph::Error> {
    let mut attempt = 0;
    loop {
        let Err(error) = mailbox.attach(message, attachment, mime).await else {
            present.put(attachment.name());
            return Ok(());
        };
        attempt += 1;
        let may_pass = matches!(
            error.kind(),
            Kind::OutcomeUnknown | Kind::NotFound | Kind::BadAnswer | Kind::Unavailable
        );
        if !may_pass || attempt == ATTEMPTS_MAX {
            return Err(error);
        }
        mailbox.clock.sleep(WAIT * 2_u32.pow(attempt - 1)).await;
        if error.kind() == Kind::OutcomeUnknown {
            let now = mailbox.attachments(message).await?;
            if now.count(attachment.name()) > present.count(attachment.name()) {
                *present = now;
                return Ok(());
            }
        }
    }
}

/// The names of attachments, with how many there are of each.
#[derive(Clone, Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn of(names: impl Iterator<Item = String>) -> Self {
        let mut all = Self::default();
        names.for_each(|name| all.put(&name));
        all
    }

    fn put(&mut self, name: &str) {
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    fn take(&mut self, name: &str) -> bool {
        match self.0.get_mut(name) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    fn count(&self, name: &str) -> usize {
        self.0.get(name).copied().unwrap_or_default()
    }
}

impl Mailbox<'_> {
    /// The names of a message's attachments.
    async fn attachments(&self, message: &ItemId) -> Result<Names, graph::Error> {
        #[derive(Deserialize)]
        struct Row {
            name: Option<String>,
        }
        let request = Request::get(self.attachments_path(message)).query("$select", "id,name");
        let mut pages = self.graph.pages(&self.scope, request);
        let mut names = Names::default();
        while let Some(page) = pages.next().await? {
            let rows = page
                .items
                .iter()
                .filter_map(|row| serde_json::from_str::<Row>(row.get()).ok());
            rows.for_each(|row| names.put(&row.name.unwrap_or_default()));
        }
        Ok(names)
    }

    async fn attach(
        &self,
        message: &ItemId,
        attachment: &Attachment,
        mime: &MimeFile,
    ) -> Result<(), graph::Error> {
        if attachment.is_large() {
            if let Some(far) = attachment.far() {
                let session = self.upload_session(message, attachment).await?;
                let content = Archived { far, mime };
                self.graph.upload(&self.scope, &session, content).await?;
                return Ok(());
            }
            if let Some(file) = attachment.file() {
                let session = self.upload_session(message, attachment).await?;
                self.graph
                    .upload(&self.scope, &session, file.clone())
                    .await?;
                return Ok(());
            }
        }
        let json = match content::near(attachment, mime).await {
            Ok(near) => near.json(),
            Err(error) => return Err(graph::Error::unreadable(error)),
        };
        let request = Request::post(self.attachments_path(message))
            .repeat(Repeat::Never)
            .json(&json)?;
        self.graph.send(&self.scope, request).await?;
        Ok(())
    }

    /// A session that nobody uploads to comes to nothing, so asking for one may be repeated.
    async fn upload_session(
        &self,
        message: &ItemId,
        attachment: &Attachment,
    ) -> Result<Link, graph::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Session {
            upload_url: Link,
        }
        let path = format!("{}/createUploadSession", self.attachments_path(message));
        let request = Request::post(path)
            .repeat(Repeat::Safe)
            .json(&attachment.session_request())?;
        let session: Session = self.graph.send(&self.scope, request).await?.json()?;
        Ok(session.upload_url)
    }

    fn attachments_path(&self, message: &ItemId) -> String {
        self.path(&format!(
            "/messages/{}/attachments",
            segment(message.as_str())
        ))
    }
}

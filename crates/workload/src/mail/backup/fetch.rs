//! Fetches what a listing does not carry: a message's MIME, and the attachments that MIME lacks.
//!
//! The bytes go straight into the repository's packs; only their places are kept. Nothing here decides what is fetched or where it lies.

use bytes::Bytes;
use graph::{Kind, Request};
use model::{FailureCause, ItemId, SkipCause};
use repository::{BlobWriter, Content};
use serde_json::value::RawValue;

use super::Context;
use crate::{
    Error, Result,
    mail::json::{Fields, Headline},
};

/// A message whose content must be fetched.
pub(super) struct Job {
    pub(super) headline: Headline,
    /// The folder to record it in.
    pub(super) folder: ItemId,
    /// The message's JSON.
    pub(super) json: Box<RawValue>,
    /// Which of this run's reports of the message this is: a later one wins.
    pub(super) report: u64,
}

/// A message whose content lies in the repository.
pub(super) struct Fetched {
    pub(super) job: Job,
    pub(super) json: Content,
    pub(super) bytes: u64,
    pub(super) outcome: Outcome,
}

/// What came of it.
pub(super) enum Outcome {
    /// Everything was fetched.
    Whole {
        mime: Content,
        attachments: Option<Content>,
    },
    /// The MIME was fetched, but not which attachments it lacks (survival 98, 101).
    NoAttachments(Content, FailureCause, Option<String>),
    /// The message vanished after it was listed (survival 95, abuse 42).
    Gone,
    /// Microsoft cannot serve the message's MIME, now or ever; its JSON is all there is.
    Skipped(SkipCause),
    /// Microsoft cannot make MIME of it now (survival 110); its JSON is kept meanwhile.
    NoMime(Option<String>),
    /// It could not be fetched this time.
    Failed(FailureCause, Option<String>),
    /// Microsoft no longer lets us in: nothing else will succeed either.
    Refused(graph::Error),
}

/// Fetches and stores. Errors only when the repository fails; what Graph refuses is an [`Outcome`].
pub(super) async fn fetch(ctx: Context<'_>, writer: BlobWriter, job: Job) -> Result<Fetched> {
    const WHAT: &str = "a message";
    let raw = Bytes::copy_from_slice(job.json.get().as_bytes());
    let mut bytes = raw.len() as u64;
    let json = writer.store(raw).await.map_err(Error::repository(WHAT))?;
    let outcome = match mime(ctx, &job.headline.id).await {
        Ok(mime) => {
            bytes += mime.len() as u64;
            let mime = writer.store(mime).await.map_err(Error::repository(WHAT))?;
            match linked_files(ctx, &job.headline).await {
                Ok(None) => Outcome::Whole {
                    mime,
                    attachments: None,
                },
                Ok(Some(list)) => Outcome::Whole {
                    mime,
                    attachments: Some(writer.store(list).await.map_err(Error::repository(WHAT))?),
                },
                Err(error) if error.is_fatal() => Outcome::Refused(error),
                Err(error) if error.kind() == Kind::NotFound => Outcome::Gone,
                Err(error) => {
                    let code = error.code().map(str::to_owned);
                    Outcome::NoAttachments(mime, cause(&error), code)
                }
            }
        }
        Err(error) if error.is_fatal() => Outcome::Refused(error),
        Err(error) => refusal(&error),
    };
    Ok(Fetched {
        job,
        json,
        bytes,
        outcome,
    })
}

/// The message as MIME. An empty answer is asked for again: confirmed, it is an empty message (survival 110).
async fn mime(ctx: Context<'_>, id: &ItemId) -> graph::Result<Bytes> {
    let path = ctx.path(&format!("/messages/{}/$value", graph::segment(id.as_str())));
    let body = raw(ctx, &path).await?;
    if body.is_empty() {
        raw(ctx, &path).await
    } else {
        Ok(body)
    }
}

async fn raw(ctx: Context<'_>, path: &str) -> graph::Result<Bytes> {
    Ok(ctx
        .graph
        .send(&ctx.scope(), Request::get(path).raw())
        .await?
        .body)
}

/// The attachments that MIME has no bytes for: links to files elsewhere (survival 105). `None` when there are none; a JSON list otherwise.
async fn linked_files(ctx: Context<'_>, message: &Headline) -> graph::Result<Option<Bytes>> {
    if !message.has_attachments {
        return Ok(None);
    }
    let path = ctx.path(&format!(
        "/messages/{}/attachments",
        graph::segment(message.id.as_str())
    ));
    let request = Request::get(path).query(
        "$select",
        "id,name,contentType,size,isInline,lastModifiedDateTime",
    );
    let mut pages = ctx.graph.pages(&ctx.scope(), request);
    let mut links = Vec::new();
    while let Some(page) = pages.next().await? {
        let is_link = |item: &RawValue| {
            let kind = Fields::of(item)
                .ok()
                .and_then(|fields| fields.text("@odata.type"));
            kind.is_some_and(|kind| kind.ends_with("referenceAttachment"))
        };
        links.extend(page.items.into_iter().filter(|item| is_link(item)));
    }
    Ok(match serde_json::to_vec(&links) {
        Ok(list) if !links.is_empty() => Some(list.into()),
        _ => None,
    })
}

fn refusal(error: &graph::Error) -> Outcome {
    let code = error.code().map(str::to_owned);
    if error.has_code("ErrorCorruptData") {
        Outcome::Skipped(SkipCause::CorruptAtSource)
    } else if error.has_code("ErrorInvalidRecipients") {
        Outcome::Skipped(SkipCause::InvalidRecipients)
    } else if error.has_code("ErrorMimeContentConversionFailed") {
        Outcome::NoMime(code)
    } else if error.kind() == Kind::NotFound {
        Outcome::Gone
    } else {
        Outcome::Failed(cause(error), code)
    }
}

/// What an error means for an item.
pub(super) fn cause(error: &graph::Error) -> FailureCause {
    match error.kind() {
        Kind::AccessDenied | Kind::Unauthorized | Kind::SignIn(_) => FailureCause::AccessDenied,
        Kind::BadAnswer => FailureCause::BadAnswer,
        Kind::Throttled { .. } | Kind::Unavailable => FailureCause::Unavailable,
        _ => FailureCause::Refused,
    }
}

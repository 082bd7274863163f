//! Fetches what a listing does not carry: a message's MIME, and the attachments that MIME lacks.
//!
//! The bytes go straight into the repository's packs; only their places are kept. Nothing here decides what is fetched or where it lies.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt;
use graph::{Kind, Request};
use model::{FailureCause, ItemId, SkipCause};
use repository::{BlobWriter, Content};
use serde_json::value::RawValue;

use super::{Context, spill::Spill};
use crate::{
    Error, Result,
    mail::json::{Fields, Headline},
};

/// Attachments on a page, without their bytes; unasked, Graph gives ten (survival 43).
const ATTACHMENTS_PAGE: &str = "250";

/// A message whose content must be fetched.
pub(super) struct Job {
    pub(super) headline: Headline,
    /// The folder to record it in.
    pub(super) folder: ItemId,
    /// The message's JSON.
    pub(super) json: Box<RawValue>,
    /// Which of this run's reports of the message this is: a later one wins.
    pub(super) report: u32,
}

/// A message whose content lies in the repository.
pub(super) struct Fetched {
    pub(super) job: Job,
    pub(super) bytes: u64,
    pub(super) outcome: Outcome,
}

/// What came of it.
pub(super) enum Outcome {
    /// Everything was fetched.
    Whole(Files),
    /// The MIME was fetched, but not which attachments it lacks (survival 98, 101).
    NoAttachments(Files, FailureCause, Option<String>),
    /// The message vanished after it was listed (survival 95, abuse 42).
    Gone,
    /// Microsoft cannot serve the message's MIME, now or ever; its JSON is all there is.
    Skipped(Files, SkipCause),
    /// Microsoft cannot make MIME of it now (survival 110); its JSON is kept meanwhile.
    NoMime(Files, Option<String>),
    /// It could not be fetched this time, or our own code gave up on it.
    Failed(FailureCause, Option<String>),
    /// Microsoft no longer lets us in: nothing else will succeed either.
    Refused(graph::Error),
}

/// What was stored of a message.
pub(super) struct Files {
    pub(super) json: Content,
    pub(super) mime: Option<Content>,
    pub(super) attachments: Option<Content>,
}

/// Fetches and stores. Errors only when the repository fails; what Graph refuses is an [`Outcome`]. A message on which our own code panics fails
/// alone (abuse 68).
pub(super) async fn fetch(ctx: Context<'_>, writer: BlobWriter, job: Job) -> Result<Fetched> {
    let mut bytes = 0;
    let work = AssertUnwindSafe(content(ctx, &writer, &job, &mut bytes));
    let outcome = match work.catch_unwind().await {
        Ok(outcome) => outcome?,
        Err(_) => {
            tracing::error!("fetching a message panicked: it is left out");
            Outcome::Failed(FailureCause::Defect, None)
        }
    };
    Ok(Fetched {
        job,
        bytes,
        outcome,
    })
}

async fn content(
    ctx: Context<'_>,
    writer: &BlobWriter,
    job: &Job,
    bytes: &mut u64,
) -> Result<Outcome> {
    let raw = Bytes::copy_from_slice(job.json.get().as_bytes());
    *bytes += raw.len() as u64;
    let mut files = Files {
        json: store(writer, raw).await?,
        mime: None,
        attachments: None,
    };
    let mime = match mime(ctx, writer, &job.headline.id).await? {
        Ok(mime) => mime,
        Err(error) if error.is_fatal() => return Ok(Outcome::Refused(error)),
        Err(error) => return Ok(refusal(&error, files)),
    };
    if mime.size == 0 && has_content(&job.json) {
        return Ok(Outcome::NoMime(files, None));
    }
    *bytes += mime.size;
    files.mime = Some(mime);
    Ok(match linked_files(ctx, &job.headline).await {
        Ok(list) => {
            if let Some(list) = list {
                files.attachments = Some(store(writer, list).await?);
            }
            Outcome::Whole(files)
        }
        Err(error) if error.is_fatal() => Outcome::Refused(error),
        Err(error) if error.kind() == Kind::NotFound => Outcome::Gone,
        Err(error) => {
            let code = error.code().map(str::to_owned);
            Outcome::NoAttachments(files, cause(&error), code)
        }
    })
}

async fn store(writer: &BlobWriter, content: Bytes) -> Result<Content> {
    let stored = writer.store(content).await;
    stored.map_err(Error::repository("a message"))
}

/// Whether by its JSON the message has anything that its MIME must have, too (survival 110).
fn has_content(json: &RawValue) -> bool {
    let Ok(fields) = Fields::of(json) else {
        return true;
    };
    let has_text = |name| fields.text(name).is_some_and(|text| !text.is_empty());
    has_text("subject") || has_text("bodyPreview") || fields.flag("hasAttachments") == Some(true)
}

/// Stores the message as MIME. An empty answer is asked for again: confirmed, it is what there is of the message (survival 110).
async fn mime(
    ctx: Context<'_>,
    writer: &BlobWriter,
    id: &ItemId,
) -> Result<graph::Result<Content>> {
    let path = ctx.path(&format!("/messages/{}/$value", graph::segment(id.as_str())));
    let stored = value(ctx, writer, &path).await?;
    match stored {
        Ok(content) if content.size == 0 => value(ctx, writer, &path).await,
        stored => Ok(stored),
    }
}

/// Stores what is at the path. What is large is stored while it comes in, and is never in memory as a whole (abuse 76).
async fn value(
    ctx: Context<'_>,
    writer: &BlobWriter,
    path: &str,
) -> Result<graph::Result<Content>> {
    let mut spill = Spill::new(writer.clone());
    let request = Request::get(path).raw();
    let answer = ctx.graph.send_into(&ctx.scope(), request, &mut spill).await;
    // Of an answer that broke off, a part may be stored; what counts is whether the repository failed.
    let large = spill.finish().await;
    let large = large.map_err(Error::repository("a message"))?;
    match (answer, large) {
        (Ok(_), Some(content)) => Ok(Ok(content)),
        (Ok(answer), None) => store(writer, answer.body).await.map(Ok),
        (Err(error), _) => Ok(Err(error)),
    }
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
    let request = Request::get(path)
        .query(
            "$select",
            "id,name,contentType,size,isInline,lastModifiedDateTime",
        )
        .query("$top", ATTACHMENTS_PAGE);
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

fn refusal(error: &graph::Error, files: Files) -> Outcome {
    let code = error.code().map(str::to_owned);
    if error.has_code("ErrorCorruptData") {
        Outcome::Skipped(files, SkipCause::CorruptAtSource)
    } else if error.has_code("ErrorInvalidRecipients") {
        Outcome::Skipped(files, SkipCause::InvalidRecipients)
    } else if error.has_code("ErrorMimeContentConversionFailed") {
        Outcome::NoMime(files, code)
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

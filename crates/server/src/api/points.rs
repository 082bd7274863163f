//! An account's restore points and what is in one: folders, messages, one message and its file, what is looked for, and several messages as one ZIP.
//! Every look at content is noted in the audit first.

use axum::{
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use catalog::AccountKey;
use jiff::Timestamp;
use model::ItemId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use service::RestorePoint as Of;
use utoipa::{IntoParams, ToSchema};
use workload::mail::{Archive, Listed, MessageRef, Search};

use super::answer::{Bytes, Id, Items, Json, Limit, Query};
use crate::{
    Problem, Signed, State,
    pages::{
        download,
        message::{DOWNLOADED_ATTACHMENT, LOOKED, attached, attachments_of, file, taken_apart},
        search::{LOOKED_AT_MAX, WORDS_MAX},
    },
    path::Path,
};

/// An account at a point in time.
#[derive(Serialize, ToSchema)]
pub(crate) struct RestorePoint {
    /// Its id, as restic writes it.
    id: String,
    time: Timestamp,
    /// Whether something that should be in it is not.
    partial: bool,
    /// Items in it, where that is known.
    items: Option<u64>,
    /// Bytes of these items.
    size_bytes: Option<u64>,
    /// Bytes that it added, before compression.
    bytes_added: Option<u64>,
}

impl From<Of> for RestorePoint {
    fn from(point: Of) -> Self {
        Self {
            id: point.snapshot,
            time: point.time,
            partial: point.partial,
            items: point.items,
            size_bytes: point.size_bytes,
            bytes_added: point.bytes_added,
        }
    }
}

/// A page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before.
    cursor: Option<String>,
}

/// Of a list that goes on elsewhere.
fn no_such_page() -> Problem {
    Problem::Invalid("The cursor belongs to another list: begin at the first page.".to_owned())
}

/// An account's restore points, the newest first
#[utoipa::path(get, path = "/api/v1/accounts/{account}/restore-points", tag = "restore points", params(("account" = Id, Path), Paging),
    responses((status = 200, body = Items<RestorePoint>)))]
pub(crate) async fn list_restore_points(
    state: State,
    signed: Signed,
    Path(account): Path<AccountKey>,
    query: Result<Query<Paging>, Problem>,
) -> Result<Json<Items<RestorePoint>>, Problem> {
    let of = &signed.organization;
    of.account(account).await?;
    let Query(Paging { limit, cursor }) = query?;
    let points = state.service().restore_points(of.id(), account).await?;
    let begin = match cursor {
        None => 0,
        Some(id) => {
            let last = points.iter().position(|point| point.snapshot == id);
            last.ok_or_else(no_such_page)? + 1
        }
    };
    let rows: Vec<Of> = points.into_iter().skip(begin).collect();
    let cursor = |point: &Of| point.snapshot.clone();
    Ok(Json(Items::page(rows, limit, cursor, RestorePoint::from)))
}

/// A folder of a mailbox.
#[derive(Serialize, ToSchema)]
pub(crate) struct Folder {
    /// Its id at Microsoft.
    id: String,
    /// The folder that it was in; null for the root of the mailbox.
    parent: Option<String>,
    /// What people called it.
    name: String,
    /// Microsoft's name for it, where every mailbox has such a folder.
    well_known: Option<String>,
    /// Outlook did not show it.
    hidden: bool,
    /// Messages in it, without those of folders inside.
    messages: u64,
}

impl From<&workload::mail::Folder> for Folder {
    fn from(folder: &workload::mail::Folder) -> Self {
        Self {
            id: folder.id.to_string(),
            parent: folder.parent.as_ref().map(ToString::to_string),
            name: folder.display_name.clone(),
            well_known: folder.well_known.clone(),
            hidden: folder.hidden,
            messages: folder.messages,
        }
    }
}

/// The account as of a restore point, for somebody of whom it was noted.
async fn archive(
    state: &State,
    signed: &Signed,
    account: AccountKey,
    point: &str,
    (action, item): (&str, &str),
) -> Result<Archive, Problem> {
    let of = &signed.organization;
    of.account(account).await?;
    signed
        .note(state, action, format!("{account} {item}"))
        .await?;
    let archive = state.service().archive(of.id(), account, Some(point));
    Ok(archive.await?)
}

/// The folders of a mailbox as of a restore point
#[utoipa::path(get, path = "/api/v1/accounts/{account}/restore-points/{point}/folders", tag = "restore points",
    params(("account" = Id, Path), ("point" = String, Path)), responses((status = 200, body = Items<Folder>)))]
pub(crate) async fn list_folders(
    state: State,
    signed: Signed,
    Path((account, point)): Path<(AccountKey, String)>,
) -> Result<Json<Items<Folder>>, Problem> {
    let look = ("looked at the folders", point.as_str());
    let archive = archive(&state, &signed, account, &point, look).await?;
    let folders = archive.folders().iter();
    Ok(Json(Items::all(folders.map(Folder::from).collect())))
}

/// A message as a list shows it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageSummary {
    /// Its id at Microsoft.
    id: String,
    subject: String,
    sender_name: String,
    sender_address: String,
    received_at: Option<Timestamp>,
    has_attachments: bool,
    is_read: bool,
    /// Bytes of its file.
    size_bytes: u64,
}

impl From<Listed> for MessageSummary {
    fn from(listed: Listed) -> Self {
        Self {
            id: listed.id.to_string(),
            subject: listed.subject,
            sender_name: listed.sender_name,
            sender_address: listed.sender_address,
            received_at: listed.received,
            has_attachments: listed.has_attachments,
            is_read: listed.is_read,
            size_bytes: listed.size_bytes,
        }
    }
}

/// The message after which a page begins.
async fn after(archive: &Archive, cursor: Option<String>) -> Result<Option<MessageRef>, Problem> {
    let Some(id) = cursor else {
        return Ok(None);
    };
    let id = ItemId::new(id).map_err(|_| no_such_page())?;
    let found = archive.find(&id).await?;
    found.map(Some).ok_or_else(no_such_page)
}

/// A folder's messages as of a restore point, the newest first
///
/// Without those of folders inside.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/restore-points/{point}/folders/{folder}/messages", tag = "restore points",
    params(("account" = Id, Path), ("point" = String, Path), ("folder" = String, Path), Paging),
    responses((status = 200, body = Items<MessageSummary>)))]
pub(crate) async fn list_messages(
    state: State,
    signed: Signed,
    Path((account, point, folder)): Path<(AccountKey, String, String)>,
    query: Result<Query<Paging>, Problem>,
) -> Result<Json<Items<MessageSummary>>, Problem> {
    signed.organization.account(account).await?;
    let Query(Paging { limit, cursor }) = query?;
    let folder = item(folder)?;
    let look = ("looked into a folder", folder.as_str());
    let archive = archive(&state, &signed, account, &point, look).await?;
    let after = after(&archive, cursor).await?;
    let rows = limit.and_one() as usize;
    let found = archive.page(&folder, after.as_ref(), rows).await?;
    let cursor = |listed: &Listed| listed.id.to_string();
    Ok(Json(Items::page(
        found,
        limit,
        cursor,
        MessageSummary::from,
    )))
}

/// Which messages are looked for, and a page of them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Words which the subject, the sender's name and address hold together, each as it is or within another word, in capitals or not.
    #[serde(default)]
    #[param(required = false, max_length = 200)]
    words: String,
    /// Received at this time or later.
    from: Option<Timestamp>,
    /// Received before this time.
    until: Option<Timestamp>,
    /// In this folder, without those inside.
    folder: Option<String>,
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// Of the page before.
    cursor: Option<String>,
}

/// A message that was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundMessage {
    /// The folder's id.
    folder: String,
    message: MessageSummary,
}

/// A page of what was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundMessages {
    /// Folder by folder, in each the newest first.
    items: Vec<FoundMessage>,
    /// The `cursor` of the next page; null when everything has been looked at. A page may be empty and not the last.
    next: Option<String>,
    /// How many messages were looked at for this page.
    looked_at: u64,
}

/// Look for messages of a restore point
#[utoipa::path(get, path = "/api/v1/accounts/{account}/restore-points/{point}/messages", tag = "restore points",
    params(("account" = Id, Path), ("point" = String, Path), Wanted), responses((status = 200, body = FoundMessages)))]
pub(crate) async fn find_messages(
    state: State,
    signed: Signed,
    Path((account, point)): Path<(AccountKey, String)>,
    query: Result<Query<Wanted>, Problem>,
) -> Result<Json<FoundMessages>, Problem> {
    signed.organization.account(account).await?;
    let Query(wanted) = query?;
    if wanted.words.chars().count() > WORDS_MAX {
        let what = "The words have 200 characters at most.";
        return Err(Problem::Invalid(what.to_owned()));
    }
    let search = Search {
        words: wanted.words,
        from: wanted.from,
        until: wanted.until,
        folder: wanted.folder.map(item).transpose()?,
    };
    let look = ("searched an account", point.as_str());
    let archive = archive(&state, &signed, account, &point, look).await?;
    let is_there = |folder: &ItemId| archive.folders().iter().any(|one| one.id == *folder);
    if search
        .folder
        .as_ref()
        .is_some_and(|folder| !is_there(folder))
    {
        return Err(Problem::NotFound);
    }
    let after = after(&archive, wanted.cursor).await?;
    let rows = wanted.limit.rows() as usize;
    let found = archive
        .search(&search, after.as_ref(), rows, LOOKED_AT_MAX)
        .await?;
    let next = match &found.next {
        None => None,
        Some(at) => Some(archive.message_id(at).await?.to_string()),
    };
    let items = found.messages.into_iter().map(|(folder, listed)| {
        let message = listed.into();
        let folder = folder.to_string();
        FoundMessage { folder, message }
    });
    Ok(Json(FoundMessages {
        items: items.collect(),
        next,
        looked_at: found.looked_at,
    }))
}

/// What is wanted as files.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Files {
    /// These messages, by their ids.
    #[schema(value_type = Vec<String>)]
    Messages(Vec<ItemId>),
    /// A folder with the folders inside, by its id.
    #[schema(value_type = String)]
    Folder(ItemId),
}

/// Messages as one ZIP
///
/// It is made while it is sent; a message that cannot be read breaks it off.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/restore-points/{point}/zip", tag = "restore points",
    params(("account" = Id, Path), ("point" = String, Path)), request_body = Files,
    responses((status = 200, body = inline(Bytes), content_type = "application/zip")))]
pub(crate) async fn download_messages(
    state: State,
    signed: Signed,
    Path((account, point)): Path<(AccountKey, String)>,
    body: Result<Json<Files>, Problem>,
) -> Result<Response, Problem> {
    let row = signed.organization.account(account).await?;
    let files = match body?.0 {
        Files::Messages(ids) => download::Files::Messages(ids),
        Files::Folder(id) => download::Files::Folder(id),
    };
    let zip = download::begin(&state, &signed, &row, &point, files).await?;
    let headers = [
        (CONTENT_TYPE, "application/zip"),
        (CONTENT_DISPOSITION, "attachment; filename=\"messages.zip\""),
    ];
    Ok((headers, zip.body).into_response())
}

/// A message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    /// Its id at Microsoft.
    id: String,
    /// Whether there is a file of it: Microsoft cannot make one of every message.
    has_eml: bool,
    /// Bytes of that file.
    eml_bytes: u64,
    /// What Microsoft Graph says of it, as it came.
    #[schema(value_type = Object)]
    graph: Box<RawValue>,
    /// The attachments in that file; none of one that is too large to be taken apart, or broken.
    attached: Vec<Attached>,
    /// What Microsoft Graph says of the attachments that the file lacks, as it came.
    #[schema(value_type = Vec<Object>)]
    attachments: Vec<Box<RawValue>>,
}

/// An attachment in a message's file.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attached {
    /// By which it is asked for, from 0.
    number: u64,
    name: String,
    size_bytes: u64,
}

async fn message(
    state: &State,
    signed: &Signed,
    (account, point, message): (AccountKey, String, String),
    action: &str,
) -> Result<workload::mail::Message, Problem> {
    signed.organization.account(account).await?;
    let id = item(message)?;
    let look = (action, id.as_str());
    let archive = archive(state, signed, account, &point, look).await?;
    let at = archive.find(&id).await?.ok_or(Problem::NotFound)?;
    Ok(archive.message(&at).await?)
}

/// What is no id is not there.
fn item(text: String) -> Result<ItemId, Problem> {
    ItemId::new(text).map_err(|_| Problem::NotFound)
}

/// A message as of a restore point
#[utoipa::path(get, path = "/api/v1/accounts/{account}/restore-points/{point}/messages/{message}", tag = "restore points",
    params(("account" = Id, Path), ("point" = String, Path), ("message" = String, Path)), responses((status = 200, body = Message)))]
pub(crate) async fn get_message(
    state: State,
    signed: Signed,
    Path(which): Path<(AccountKey, String, String)>,
) -> Result<Json<Message>, Problem> {
    let message = message(&state, &signed, which, LOOKED).await?;
    let attached = taken_apart(message.mime.clone(), attachments_of).await;
    let attached = attached.unwrap_or_default().into_iter().zip(0..);
    let attached = attached.map(|((name, bytes), number)| Attached {
        number,
        name,
        size_bytes: bytes as u64,
    });
    Ok(Json(Message {
        attached: attached.collect(),
        id: message.id.to_string(),
        has_eml: message.has_mime,
        eml_bytes: message.mime.len() as u64,
        graph: message.json,
        attachments: message.attachments,
    }))
}

/// A message's file, as Microsoft served it
#[utoipa::path(get, path = "/api/v1/accounts/{account}/restore-points/{point}/messages/{message}/eml", tag = "restore points",
    params(("account" = Id, Path), ("point" = String, Path), ("message" = String, Path)),
    responses((status = 200, body = inline(Bytes), content_type = "message/rfc822")))]
pub(crate) async fn get_message_file(
    state: State,
    signed: Signed,
    Path(which): Path<(AccountKey, String, String)>,
) -> Result<Response, Problem> {
    let message = message(&state, &signed, which, "downloaded a message").await?;
    if !message.has_mime {
        return Err(Problem::Conflict(
            "Microsoft could not make a file of this message. It can be restored.".to_owned(),
        ));
    }
    let headers = [
        (CONTENT_TYPE, "message/rfc822"),
        (CONTENT_DISPOSITION, "attachment; filename=\"message.eml\""),
    ];
    Ok((headers, message.mime).into_response())
}

/// One attachment of a message's file
#[utoipa::path(get, path = "/api/v1/accounts/{account}/restore-points/{point}/messages/{message}/attachments/{number}", tag = "restore points",
    params(("account" = Id, Path), ("point" = String, Path), ("message" = String, Path), ("number" = u32, Path)),
    responses((status = 200, body = inline(Bytes), content_type = "application/octet-stream")))]
pub(crate) async fn get_attachment(
    state: State,
    signed: Signed,
    Path((account, point, id, number)): Path<(AccountKey, String, String, u32)>,
) -> Result<Response, Problem> {
    let which = (account, point, id);
    let message = message(&state, &signed, which, DOWNLOADED_ATTACHMENT).await?;
    let found = attached(message.mime, number as usize).await;
    let (name, bytes) = found.ok_or(Problem::NotFound)?;
    Ok(file(&name, bytes))
}

//! Upload sessions: a large attachment comes in ranges, to a URL that carries its own token and takes no `Authorization`.

use std::{sync::PoisonError, time::Duration};

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    access::{id_form, message, with_mailbox},
    attachment_routes,
    mailbox::Mailbox,
    message::MessageKey,
    read_json::time,
    write_json::{check_known, text},
};
use crate::{
    Call, GraphError, Reply, SharedMailbox,
    doors::{Site, sibling},
};

/// What fits into one POST must be sent that way.
const SIZE_MIN: u64 = 3 * 1024 * 1024;
/// The largest attachment.
const SIZE_MAX: u64 = 150 * 1024 * 1024;
/// The largest range.
const RANGE_MAX: u64 = 4 * 1024 * 1024;
/// How long a session lives.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Open sessions of a mailbox; the oldest is dropped first.
const SESSIONS_MAX: usize = 100;

/// An upload session.
#[derive(Debug)]
pub(crate) struct Upload {
    message: MessageKey,
    item: Item,
    content: Vec<u8>,
    expires: Timestamp,
}

/// What is to be attached.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) inline: bool,
    pub(crate) content_id: Option<String>,
    size: u64,
}

/// `POST messages/{message}/attachments/createUploadSession`.
pub(crate) fn create(call: &Call) -> Result<Reply, GraphError> {
    let item = read_item(&call.json()?)?;
    let user = call.user()?.id;
    with_mailbox(call, |mailbox| {
        let message = message(call, mailbox)?;
        let expires = call.now + LIFETIME;
        mailbox.next_upload += 1;
        let number = mailbox.next_upload;
        mailbox.uploads.insert(
            number,
            Upload {
                message,
                item,
                content: Vec::new(),
                expires,
            },
        );
        if mailbox.uploads.len() > SESSIONS_MAX {
            mailbox.uploads.pop_first();
        }
        let url = format!(
            "{}/api/gv1.0/Users('{user}@{}')/Messages('{}')/AttachmentSessions('{number}')?authtoken={}",
            sibling(&call.origin, Site::Outlook),
            call.tenant.id,
            mailbox.message_id(mailbox.existing_message(message)?, id_form(call)),
            auth_token(mailbox, number),
        );
        Ok(Reply::created(json!({
            "@odata.context": call.context("microsoft.graph.uploadSession"),
            "uploadUrl": url,
            "expirationDateTime": time(expires),
            "nextExpectedRanges": ["0-"],
        })))
    })
}

fn read_item(body: &Map<String, Value>) -> Result<Item, GraphError> {
    let invalid = |message: &'static str| GraphError::invalid_request(message);
    let item = body
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("AttachmentItem"))
        .and_then(|(_, item)| item.as_object())
        .ok_or_else(|| invalid("AttachmentItem is missing."))?;
    let names = [
        "attachmentType",
        "name",
        "size",
        "contentType",
        "isInline",
        "contentId",
    ];
    check_known(item, &names, "attachmentItem")?;
    if text(item, "attachmentType")?.as_deref() != Some("file") {
        return Err(invalid("Only files can be uploaded."));
    }
    let size = item.get("size").and_then(Value::as_u64);
    let size = size.ok_or_else(|| invalid("The size is missing."))?;
    if size < SIZE_MIN {
        return Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
            "The attachment is too small for an upload session.",
        ));
    }
    if size > SIZE_MAX {
        return Err(GraphError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "ErrorAttachmentSizeLimitExceeded",
            "The attachment is too large.",
        ));
    }
    Ok(Item {
        name: text(item, "name")?.ok_or_else(|| invalid("The name is missing."))?,
        content_type: text(item, "contentType")?
            .unwrap_or_else(|| "application/octet-stream".to_owned()),
        inline: item.get("isInline").and_then(Value::as_bool) == Some(true),
        content_id: text(item, "contentId")?,
        size,
    })
}

/// `PUT` of one range.
pub(crate) fn put(call: &Call) -> Result<Reply, GraphError> {
    with_session(call, |mailbox, number| {
        let upload = mailbox.uploads.get_mut(&number).ok_or_else(gone)?;
        take_range(upload, call)?;
        if (upload.content.len() as u64) < upload.item.size {
            return Ok(progress(upload, call));
        }
        let done = mailbox.uploads.remove(&number).ok_or_else(gone)?;
        let attachment = attachment_routes::uploaded(done.item, done.content.into());
        let attachment = attachment_routes::attach(call, mailbox, done.message, attachment)?;
        let owner = call.param("message");
        let id = mailbox.ids.attachment(owner, attachment.number);
        let location = format!(
            "{}/api/gv1.0/Users('{}')/Messages('{owner}')/Attachments('{id}')",
            call.origin,
            call.param("user"),
        );
        let location = HeaderValue::from_str(&location)
            .map_err(|_| GraphError::internal("the location is not a header value"))?;
        Ok(Reply::new(StatusCode::CREATED, crate::Body::Empty)
            .with_header(header::LOCATION, location))
    })
}

/// `GET`: how far it is.
pub(crate) fn status(call: &Call) -> Result<Reply, GraphError> {
    with_session(call, |mailbox, number| {
        let upload = mailbox.uploads.get(&number).ok_or_else(gone)?;
        Ok(progress(upload, call))
    })
}

/// `DELETE`: nothing is attached.
pub(crate) fn cancel(call: &Call) -> Result<Reply, GraphError> {
    with_session(call, |mailbox, number| {
        mailbox.uploads.remove(&number);
        Ok(Reply::no_content())
    })
}

fn take_range(upload: &mut Upload, call: &Call) -> Result<(), GraphError> {
    let size = upload.item.size;
    let range = call
        .headers
        .get(header::CONTENT_RANGE)
        .and_then(|value| parse_range(value.to_str().ok()?))
        .filter(|(first, last, total)| first <= last && last < total && *total == size)
        .ok_or_else(|| GraphError::invalid_request("The Content-Range header is not valid."))?;
    let (first, last, _) = range;
    let length = last - first + 1;
    if length != call.body.len() as u64 {
        return Err(GraphError::invalid_request(
            "The body is not as long as its range.",
        ));
    }
    if length > RANGE_MAX {
        return Err(GraphError::too_large());
    }
    if first != upload.content.len() as u64 {
        return Err(GraphError::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "invalidRange",
            format!("The expected range begins at {}.", upload.content.len()),
        ));
    }
    upload.content.extend_from_slice(&call.body);
    Ok(())
}

/// `bytes 0-9/100`.
fn parse_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((
        first.trim().parse().ok()?,
        last.trim().parse().ok()?,
        total.trim().parse().ok()?,
    ))
}

/// How far it is: 200 and Outlook's own spelling, as the page about large attachments shows them.
fn progress(upload: &Upload, call: &Call) -> Reply {
    let (user, message) = (call.param("user"), call.param("message"));
    Reply::new(
        StatusCode::OK,
        crate::Body::Json(json!({
            "@odata.context": format!("{}/api/gv1.0/$metadata#Users('{user}')/Messages('{message}')/AttachmentSessions/$entity", call.origin),
            "ExpirationDateTime": time(upload.expires),
            "nextExpectedRanges": [upload.content.len().to_string()],
        })),
    )
}

/// Finds the session by the path, and checks the token in the URL.
fn with_session(
    call: &Call,
    work: impl FnOnce(&mut Mailbox, u64) -> Result<Reply, GraphError>,
) -> Result<Reply, GraphError> {
    let shared = mailbox(call).ok_or_else(gone)?;
    let mut mailbox = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let number: u64 = call.param("session").parse().map_err(|_| gone())?;
    let token = call.query.get("authtoken").unwrap_or_default();
    if token != auth_token(&mailbox, number) {
        return Err(GraphError::invalid_token(
            "The token of the URL is invalid.",
        ));
    }
    let expired = mailbox.uploads.get(&number);
    if expired.is_none_or(|upload| upload.expires < call.now) {
        mailbox.uploads.remove(&number);
        return Err(gone());
    }
    work(&mut mailbox, number)
}

/// The user in the path is `{id}@{tenant}`.
fn mailbox(call: &Call) -> Option<SharedMailbox> {
    let (user, _) = call.param("user").split_once('@')?;
    call.tenant.mailbox(user.parse().ok()?)
}

fn gone() -> GraphError {
    GraphError::item_not_found()
}

fn auth_token(mailbox: &Mailbox, number: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(mailbox.guid().as_bytes());
    hash.update(b"upload");
    hash.update(number.to_be_bytes());
    BASE64URL_NOPAD.encode(&hash.finalize())
}

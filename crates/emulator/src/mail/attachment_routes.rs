//! Handlers for attachments.

use bytes::Bytes;
use serde_json::Value;

use super::{
    access::{id_form, message, with_mailbox},
    folder_routes::{created, user_context},
    letter::{Attachment, AttachmentKind},
    mailbox::Mailbox,
    message::{Message, MessageKey},
    read_json,
    schema::ATTACHMENT,
    write_json,
};
use crate::{
    Call, GraphError, Query, Reply,
    odata::{Options, PageSize},
};

/// Ten when the client does not say.
const PAGE: PageSize = PageSize {
    default: 10,
    max: 1000,
};

/// `GET messages/{message}/attachments`.
pub(crate) fn list(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &ATTACHMENT)?;
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        let message = mailbox.existing_message(key)?;
        let letter = message.content.letter();
        Ok(options.list(
            call,
            &context(call),
            &letter.attachments,
            PAGE,
            |attachment| render(call, mailbox, message, attachment, &options),
        ))
    })
}

/// `GET messages/{message}/attachments/{attachment}`.
pub(crate) fn get(call: &Call) -> Result<Reply, GraphError> {
    let options = Options::parse(&call.query, &ATTACHMENT)?;
    with_mailbox(call, |mailbox| {
        let (key, attachment) = find(call, mailbox)?;
        let message = mailbox.existing_message(key)?;
        let row = render(call, mailbox, message, &attachment, &options);
        Ok(options.entity(call, &context(call), row))
    })
}

/// `GET messages/{message}/attachments/{attachment}/$value`: the bytes of a file, the MIME of a message.
pub(crate) fn value(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let (_, attachment) = find(call, mailbox)?;
        match attachment.kind {
            AttachmentKind::File(bytes) => Ok(Reply::bytes(bytes, "application/octet-stream")),
            AttachmentKind::Item(mime) => Ok(Reply::bytes(mime, "text/plain")),
            AttachmentKind::Reference => Err(GraphError::method_not_allowed()),
        }
    })
}

/// `POST messages/{message}/attachments`.
pub(crate) fn create(call: &Call) -> Result<Reply, GraphError> {
    let body = call.json()?;
    with_mailbox(call, |mailbox| {
        let key = message(call, mailbox)?;
        let attachment = write_json::attachment(&body, 0, call.now)?;
        let attachment = attach(call, mailbox, key, attachment)?;
        let options = Options::parse(&Query::default(), &ATTACHMENT)?;
        let message = mailbox.existing_message(key)?;
        let row = render(call, mailbox, message, &attachment, &options);
        Ok(created(options.entity(call, &context(call), row)))
    })
}

/// Adds an attachment, with the next free number.
pub(crate) fn attach(
    call: &Call,
    mailbox: &mut Mailbox,
    key: MessageKey,
    mut attachment: Attachment,
) -> Result<Attachment, GraphError> {
    mailbox.change_message(key, call.now, |message| {
        attachment.number = free_number(message);
        message.next_attachment = attachment.number + 1;
        let letter = message.content.edit();
        letter.attachments.push(attachment.clone());
        Ok(attachment)
    })
}

/// `DELETE messages/{message}/attachments/{attachment}`.
pub(crate) fn delete(call: &Call) -> Result<Reply, GraphError> {
    with_mailbox(call, |mailbox| {
        let (key, attachment) = find(call, mailbox)?;
        mailbox.change_message(key, call.now, |message| {
            message.next_attachment = free_number(message);
            let letter = message.content.edit();
            letter.attachments.retain(|a| a.number != attachment.number);
            Ok(())
        })?;
        Ok(Reply::no_content())
    })
}

/// A number that no attachment of the message ever had.
fn free_number(message: &Message) -> u64 {
    let letter = message.content.letter();
    let numbers = letter.attachments.iter().map(|a| a.number + 1);
    numbers.max().unwrap_or(0).max(message.next_attachment)
}

fn find(call: &Call, mailbox: &Mailbox) -> Result<(MessageKey, Attachment), GraphError> {
    let key = message(call, mailbox)?;
    let message = mailbox.existing_message(key)?;
    let id = call.param("attachment");
    let letter = message.content.letter();
    let owner = mailbox.message_id(message, id_form(call));
    letter
        .attachments
        .iter()
        .find(|attachment| mailbox.ids.attachment(&owner, attachment.number) == id)
        .map(|attachment| (key, attachment.clone()))
        .ok_or_else(GraphError::item_not_found)
}

fn render(
    call: &Call,
    mailbox: &Mailbox,
    message: &Message,
    attachment: &Attachment,
    options: &Options,
) -> Value {
    let item = options.expands("item").is_some();
    read_json::attachment(mailbox, message, attachment, id_form(call), item)
}

fn context(call: &Call) -> String {
    let message = call.param("message");
    user_context(call, &format!("messages('{message}')/attachments"))
}

/// A file that was uploaded in ranges.
pub(crate) fn uploaded(item: super::upload::Item, content: Bytes) -> Attachment {
    Attachment {
        number: 0,
        name: Some(item.name),
        content_type: Some(item.content_type),
        inline: item.inline,
        content_id: item.content_id,
        content_location: None,
        kind: AttachmentKind::File(content),
    }
}

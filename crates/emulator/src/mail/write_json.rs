//! A client's JSON to messages and attachments. What Exchange ignores is ignored, what it refuses is refused, and a property that the type lacks is an error.

mod attachment;
mod values;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    extended::{self, ExtendedProperty, PropertyId, tag},
    letter::Letter,
    message::{Marks, Message},
    parse,
};
use crate::GraphError;

pub(crate) use attachment::attachment;
use values::{boolean, flag, importance, list, object, person, refused, string, strings};
pub(crate) use values::{known as check_known, text};

/// What a client cannot set, and Exchange does not mind being sent.
const READ_ONLY: [&str; 17] = [
    "id",
    "changeKey",
    "createdDateTime",
    "lastModifiedDateTime",
    "receivedDateTime",
    "sentDateTime",
    "hasAttachments",
    "bodyPreview",
    "uniqueBody",
    "parentFolderId",
    "conversationId",
    "conversationIndex",
    "webLink",
    "isDraft",
    "internetMessageHeaders",
    "extensions",
    "multiValueExtendedProperties",
];

/// A message to be made.
#[derive(Debug)]
pub(crate) struct NewMessage {
    pub(crate) letter: Letter,
    pub(crate) marks: Marks,
    pub(crate) extended: Vec<ExtendedProperty>,
}

/// Reads a message to be made. It is a draft unless `Integer 0x0E07` comes without the bit "unsent".
///
/// # Errors
/// 400 for an unknown property or a value of the wrong type.
pub(crate) fn message(body: &Map<String, Value>, now: Timestamp) -> Result<NewMessage, GraphError> {
    let mut new = NewMessage {
        letter: Letter {
            received: Some(now),
            sent: Some(now),
            ..Letter::default()
        },
        marks: Marks {
            draft: true,
            read: true,
            ..Marks::default()
        },
        extended: Vec::new(),
    };
    for (name, value) in properties(body) {
        let NewMessage { letter, marks, .. } = &mut new;
        match name {
            "attachments" => {
                for item in list(name, value)? {
                    let number = letter.attachments.len() as u64;
                    letter
                        .attachments
                        .push(attachment(object(name, item)?, number, now)?);
                }
            }
            "singleValueExtendedProperties" => {}
            _ if set_mark(marks, name, value)? || set_letter(letter, name, value)? => {}
            _ => check_read_only(name)?,
        }
    }
    // Last, because the flags overrule `isRead`.
    for property in extended_properties(body)? {
        set_at_creation(&mut new, property)?;
    }
    Ok(new)
}

/// Changes a message. What a message says can be changed only while it is a draft.
///
/// # Errors
/// 400 for an unknown property, a value of the wrong type, or `ErrorInvalidPropertySet` for a property that cannot be set any more.
pub(crate) fn update(message: &mut Message, body: &Map<String, Value>) -> Result<(), GraphError> {
    for (name, value) in properties(body) {
        if name == "singleValueExtendedProperties" || set_mark(&mut message.marks, name, value)? {
            continue;
        }
        let mut changed = message.content.letter().into_owned();
        if !set_letter(&mut changed, name, value)? {
            check_read_only(name)?;
            continue;
        }
        let receipt = name.starts_with("is");
        if !message.marks.draft && !receipt {
            return Err(refused());
        }
        *message.content.edit() = changed;
    }
    for property in extended_properties(body)? {
        if property.id.tag().is_some_and(is_interpreted) {
            return Err(refused());
        }
        store(&mut message.extended, property);
    }
    Ok(())
}

/// The properties without annotations.
fn properties(body: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    body.iter()
        .filter(|(name, _)| !name.contains('@'))
        .map(|(name, value)| (name.as_str(), value))
}

fn check_read_only(name: &str) -> Result<(), GraphError> {
    if READ_ONLY.contains(&name) {
        return Ok(());
    }
    Err(values::unknown_property(name, "message"))
}

fn set_mark(marks: &mut Marks, name: &str, value: &Value) -> Result<bool, GraphError> {
    match name {
        "isRead" => marks.read = boolean(name, value)?,
        "categories" => marks.categories = strings(name, value)?,
        "flag" => marks.flag = flag(name, value)?,
        "importance" => marks.importance = Some(importance(name, value)?),
        "inferenceClassification" => {
            marks.other = match string(name, value)?.to_ascii_lowercase().as_str() {
                "other" => true,
                "focused" => false,
                _ => return Err(values::wrong_type(name)),
            };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn set_letter(letter: &mut Letter, name: &str, value: &Value) -> Result<bool, GraphError> {
    let people = |value| -> Result<_, GraphError> {
        list(name, value)?.iter().map(|v| person(name, v)).collect()
    };
    match name {
        "subject" => letter.subject = values::optional(name, value)?,
        "body" => (letter.html, letter.content) = values::body(name, value)?,
        "from" => {
            letter.from = Some(person(name, value)?);
            if letter.sender.is_none() {
                letter.sender.clone_from(&letter.from);
            }
        }
        "sender" => letter.sender = Some(person(name, value)?),
        "toRecipients" => letter.to = people(value)?,
        "ccRecipients" => letter.cc = people(value)?,
        "bccRecipients" => letter.bcc = people(value)?,
        "replyTo" => letter.reply_to = people(value)?,
        "internetMessageId" => letter.message_id = values::optional(name, value)?,
        "isDeliveryReceiptRequested" => letter.delivery_receipt = boolean(name, value)?,
        "isReadReceiptRequested" => letter.read_receipt = boolean(name, value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn extended_properties(body: &Map<String, Value>) -> Result<Vec<ExtendedProperty>, GraphError> {
    const NAME: &str = "singleValueExtendedProperties";
    let Some(value) = body.get(NAME) else {
        return Ok(Vec::new());
    };
    let mut properties = Vec::new();
    for item in list(NAME, value)? {
        let item = object(NAME, item)?;
        let id = string("id", item.get("id").unwrap_or(&Value::Null))?;
        let id = PropertyId::parse(id).ok_or_else(|| {
            GraphError::new(
                http::StatusCode::BAD_REQUEST,
                "ErrorInvalidProperty",
                "The property identifier is malformed.",
            )
        })?;
        let value = string("value", item.get("value").unwrap_or(&Value::Null))?.to_owned();
        properties.push(ExtendedProperty { id, value });
    }
    Ok(properties)
}

fn store(all: &mut Vec<ExtendedProperty>, property: ExtendedProperty) {
    match all.iter_mut().find(|known| known.id == property.id) {
        Some(known) => known.value = property.value,
        None => all.push(property),
    }
}

/// Whether a MAPI property shows a part of the message instead of being stored beside it.
fn is_interpreted(tag: u16) -> bool {
    [
        tag::FLAGS,
        tag::DELIVERED,
        tag::SUBMITTED,
        tag::HEADERS,
        tag::MESSAGE_ID,
        tag::REFERENCES,
        tag::IN_REPLY_TO,
    ]
    .contains(&tag)
}

/// MAPI's own properties decide, at creation only, what Graph's JSON cannot: dates, headers, threading, and that it is no draft.
fn set_at_creation(new: &mut NewMessage, property: ExtendedProperty) -> Result<(), GraphError> {
    let invalid = || {
        GraphError::new(
            http::StatusCode::BAD_REQUEST,
            "ErrorInvalidPropertySet",
            "The value of an extended property is not of its type.",
        )
    };
    let value = property.value.as_str();
    let time = || time(value).ok_or_else(invalid);
    match property.id.tag() {
        Some(tag::FLAGS) => {
            let flags: i64 = value.trim().parse().map_err(|_| invalid())?;
            new.marks.draft = flags & extended::FLAG_UNSENT != 0;
            new.marks.read = flags & extended::FLAG_READ != 0;
        }
        Some(tag::DELIVERED) => new.letter.received = Some(time()?),
        Some(tag::SUBMITTED) => new.letter.sent = Some(time()?),
        Some(tag::HEADERS) => new.letter.headers = parse::header_block(value),
        Some(tag::MESSAGE_ID) => new.letter.message_id = Some(property.value),
        Some(tag::REFERENCES) => new.letter.references = Some(property.value),
        Some(tag::IN_REPLY_TO) => new.letter.in_reply_to = Some(property.value),
        _ => store(&mut new.extended, property),
    }
    Ok(())
}

/// A time that Exchange can hold: none is before 1601 or has more than four digits of a year.
fn time(text: &str) -> Option<Timestamp> {
    const EARLIEST: Timestamp = Timestamp::constant(-11_644_473_600, 0);
    let time: Timestamp = text.parse().ok()?;
    (time >= EARLIEST).then_some(time)
}

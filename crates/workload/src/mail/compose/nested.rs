//! A message attached to a message, composed from its MIME alone: Graph keeps no JSON of it that a backup gets.

use jiff::Timestamp;
use mail_parser::Address;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Loss,
    attachment::{self, Attachment},
    mime::Mime,
    properties,
};

/// The `item` of an `itemAttachment`: the message with its own attachments. `levels` is how many more levels of messages are taken apart.
pub(super) fn item(mime: &Mime<'_>, levels: usize, losses: &mut Vec<Loss>) -> Box<RawValue> {
    let mut item = message_fields(mime);
    let attachments: Vec<_> = attachment::within(mime, levels, losses)
        .iter()
        .filter_map(Attachment::json)
        .collect();
    if !attachments.is_empty() {
        item.insert("attachments".to_owned(), json!(attachments));
    }
    super::raw(&item)
}

fn message_fields(mime: &Mime<'_>) -> Map<String, Value> {
    let mut item = Map::new();
    let Some(message) = mime.message() else {
        return item;
    };
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    };
    set("@odata.type", Some(json!("#microsoft.graph.message")));
    set("subject", message.subject().map(|subject| json!(subject)));
    set("body", mime.body());
    set("from", message.from().and_then(first));
    set(
        "sender",
        message.sender().or(message.from()).and_then(first),
    );
    set("toRecipients", message.to().map(list));
    set("ccRecipients", message.cc().map(list));
    set("bccRecipients", message.bcc().map(list));
    set("replyTo", message.reply_to().map(list));
    set(
        "internetMessageId",
        message.message_id().map(|id| json!(format!("<{id}>"))),
    );
    let sent = message
        .date()
        .and_then(|date| date.to_rfc3339().parse::<Timestamp>().ok());
    for name in ["sentDateTime", "receivedDateTime"] {
        set(name, sent.map(|time| json!(time)));
    }
    set(
        "singleValueExtendedProperties",
        Some(json!(properties::of_nested(sent))),
    );
    item
}

fn first(address: &Address<'_>) -> Option<Value> {
    address
        .first()
        .map(|person| recipient(person.name(), person.address()))
}

fn list(address: &Address<'_>) -> Value {
    address
        .iter()
        .map(|person| recipient(person.name(), person.address()))
        .collect()
}

fn recipient(name: Option<&str>, address: Option<&str>) -> Value {
    json!({ "emailAddress": { "name": name.or(address).unwrap_or_default(), "address": address.unwrap_or_default() } })
}

//! Mailbox to Graph's JSON: folders, messages, attachments. Every property given here exists in Microsoft's v1.0 metadata, with its type.

use data_encoding::BASE64;
use jiff::Timestamp;
use mail_parser::decoders::html::html_to_text;
use serde_json::{Map, Value, json};

use super::{
    compose,
    extended::{self, ExtendedProperty, PropertyId, tag},
    folder::{self, Folder},
    id::IdForm,
    letter::{Attachment, AttachmentKind, Letter, Person},
    mailbox::Mailbox,
    message::{Flag, Message, ZonedText},
    parse,
};

/// Characters of `bodyPreview`.
const PREVIEW_CHARS: usize = 255;
/// What Exchange counts beside an attachment's bytes: `size` is never the length of the content.
const ATTACHMENT_OVERHEAD: usize = 146;
/// How messages are to be shown.
pub(crate) struct Manner<'a> {
    /// Which ids are given.
    pub(crate) form: IdForm,
    /// Whether HTML bodies are given as text.
    pub(crate) text_bodies: bool,
    /// Which properties are wanted.
    pub(crate) wants: &'a dyn Fn(&str) -> bool,
    /// Which extended properties are wanted; `None` gives none.
    pub(crate) extended: Option<&'a dyn Fn(&Value) -> bool>,
}

/// A time as Graph writes it: whole seconds.
pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A folder.
pub(crate) fn folder(mailbox: &Mailbox, folder: &Folder) -> Value {
    let counts = mailbox.counts(folder.key);
    let parent = (folder.key != folder::ROOT).then(|| mailbox.ids.folder(folder.parent.0));
    json!({
        "id": mailbox.ids.folder(folder.key.0),
        "displayName": folder.name,
        "parentFolderId": parent,
        "childFolderCount": counts.children,
        "unreadItemCount": counts.unread,
        "totalItemCount": counts.messages,
        "isHidden": folder.hidden,
    })
}

/// A message with the properties that are wanted.
pub(crate) fn message(mailbox: &Mailbox, message: &Message, manner: &Manner<'_>) -> Value {
    let mut row = light(mailbox, message, manner);
    let heavy = HEAVY.iter().any(|name| (manner.wants)(name));
    if heavy || manner.extended.is_some() {
        let letter = message.content.letter();
        if heavy {
            heavy_properties(mailbox, message, &letter, manner, &mut row);
        }
        if let Some(wanted) = manner.extended {
            let all = extended_properties(message, Some(&letter));
            let chosen: Vec<Value> = all.into_iter().filter(|row| wanted(row)).collect();
            if !chosen.is_empty() {
                row.insert("singleValueExtendedProperties".to_owned(), chosen.into());
            }
        }
    }
    Value::Object(row)
}

/// Whether a filter can be answered from [`light_row`], because it names nothing that is in the content. What stands in quotes is no name.
pub(crate) fn is_light(filter: &str) -> bool {
    let names: Vec<&str> = filter.split('\'').step_by(2).collect();
    let names = names.join(" ").to_ascii_lowercase();
    !HEAVY
        .iter()
        .any(|name| names.contains(&name.to_ascii_lowercase()))
}

/// What a filter sees of a message when it is light.
pub(crate) fn light_row(mailbox: &Mailbox, message: &Message, form: IdForm) -> Value {
    let manner = Manner {
        form,
        text_bodies: false,
        wants: &|_| true,
        extended: None,
    };
    let mut row = light(mailbox, message, &manner);
    let extended = extended_properties(message, None);
    row.insert("singleValueExtendedProperties".to_owned(), extended.into());
    Value::Object(row)
}

/// The properties that need the content to be read.
const HEAVY: [&str; 19] = [
    "sentDateTime",
    "hasAttachments",
    "internetMessageId",
    "subject",
    "bodyPreview",
    "importance",
    "conversationId",
    "conversationIndex",
    "isDeliveryReceiptRequested",
    "isReadReceiptRequested",
    "body",
    "uniqueBody",
    "sender",
    "from",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "replyTo",
    "internetMessageHeaders",
];

fn light(mailbox: &Mailbox, message: &Message, manner: &Manner<'_>) -> Map<String, Value> {
    let id = mailbox.message_id(message, manner.form);
    let change_key = mailbox.ids.change_key(message.change);
    let marks = &message.marks;
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("@odata.etag", json!(format!("W/\"{change_key}\"")));
    put(
        "webLink",
        json!(format!(
            "https://outlook.office365.com/owa/?ItemID={}&exvsurl=1&viewmodel=ReadMessageItem",
            id.replace('=', "%3D")
        )),
    );
    put("id", json!(id));
    put("createdDateTime", json!(time(message.created)));
    put("lastModifiedDateTime", json!(time(message.modified)));
    put("changeKey", json!(change_key));
    put("categories", json!(marks.categories));
    put("receivedDateTime", json!(time(message.received)));
    put(
        "parentFolderId",
        json!(mailbox.ids.folder(message.folder.0)),
    );
    put("isRead", json!(marks.read));
    put("isDraft", json!(marks.draft));
    let inference = if marks.other { "other" } else { "focused" };
    put("inferenceClassification", json!(inference));
    put("flag", flag(&marks.flag));
    row
}

fn heavy_properties(
    mailbox: &Mailbox,
    message: &Message,
    letter: &Letter,
    manner: &Manner<'_>,
    row: &mut Map<String, Value>,
) {
    let importance = message.marks.importance.unwrap_or(letter.importance);
    letter_properties(mailbox, letter, manner, row);
    row.insert("importance".to_owned(), json!(importance.word()));
    let sent = letter.sent.unwrap_or(message.received);
    row.insert("sentDateTime".to_owned(), json!(time(sent)));
}

/// What a letter says, whether it is a message of its own or attached to one.
fn letter_properties(
    mailbox: &Mailbox,
    letter: &Letter,
    manner: &Manner<'_>,
    row: &mut Map<String, Value>,
) {
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("hasAttachments", json!(letter.has_attachments()));
    put("internetMessageId", json!(letter.message_id));
    put("subject", json!(letter.subject));
    put("bodyPreview", json!(preview(letter)));
    let conversation = mailbox.ids.conversation(&letter.thread());
    put("conversationId", json!(conversation));
    put(
        "conversationIndex",
        json!(BASE64.encode(&letter.conversation_index())),
    );
    put("isDeliveryReceiptRequested", json!(letter.delivery_receipt));
    put("isReadReceiptRequested", json!(letter.read_receipt));
    for name in ["body", "uniqueBody"] {
        if (manner.wants)(name) {
            put(name, body(letter, manner.text_bodies));
        }
    }
    for (name, person) in [("sender", &letter.sender), ("from", &letter.from)] {
        if let Some(person) = person {
            put(name, recipient(person));
        }
    }
    put("toRecipients", recipients(&letter.to));
    put("ccRecipients", recipients(&letter.cc));
    put("bccRecipients", recipients(&letter.bcc));
    put("replyTo", recipients(&letter.reply_to));
    if (manner.wants)("internetMessageHeaders") {
        let headers = letter.headers.iter();
        let headers = headers.map(|(name, value)| json!({"name": name, "value": value}));
        put("internetMessageHeaders", headers.collect());
    }
}

fn body(letter: &Letter, as_text: bool) -> Value {
    if letter.html && as_text {
        return json!({"contentType": "text", "content": html_to_text(&letter.content)});
    }
    let kind = if letter.html { "html" } else { "text" };
    json!({"contentType": kind, "content": letter.content})
}

fn preview(letter: &Letter) -> String {
    let text = |source: &str| source.chars().take(PREVIEW_CHARS).collect::<String>();
    if letter.html {
        text(html_to_text(&letter.content).trim_start())
    } else {
        text(letter.content.trim_start())
    }
}

fn recipient(person: &Person) -> Value {
    json!({"emailAddress": {"name": person.name, "address": person.address}})
}

fn recipients(people: &[Person]) -> Value {
    people.iter().map(recipient).collect()
}

fn flag(flag: &Flag) -> Value {
    let mut row = Map::new();
    row.insert("flagStatus".to_owned(), json!(flag.status.word()));
    let times = [
        ("startDateTime", &flag.start),
        ("dueDateTime", &flag.due),
        ("completedDateTime", &flag.completed),
    ];
    for (name, zoned) in times {
        if let Some(ZonedText {
            date_time,
            time_zone,
        }) = zoned
        {
            row.insert(
                name.to_owned(),
                json!({"dateTime": date_time, "timeZone": time_zone}),
            );
        }
    }
    Value::Object(row)
}

/// Named properties that programs stored, and with a letter MAPI's own.
fn extended_properties(message: &Message, letter: Option<&Letter>) -> Vec<Value> {
    let row = |id: String, value: &str| json!({"id": id, "value": value});
    let stored = message.extended.iter();
    let mut rows: Vec<Value> = stored
        .map(|ExtendedProperty { id, value }| row(id.to_string(), value))
        .collect();
    let Some(letter) = letter else {
        return rows;
    };
    let mut flags = 0;
    if message.marks.read {
        flags |= extended::FLAG_READ;
    }
    if message.marks.draft {
        flags |= extended::FLAG_UNSENT;
    }
    let headers = compose::transport_headers(letter);
    let known = [
        ("Integer", tag::FLAGS, Some(flags.to_string())),
        ("SystemTime", tag::DELIVERED, Some(time(message.received))),
        ("SystemTime", tag::SUBMITTED, letter.sent.map(time)),
        ("String", tag::HEADERS, headers),
        ("String", tag::MESSAGE_ID, letter.message_id.clone()),
        ("String", tag::REFERENCES, letter.references.clone()),
        ("String", tag::IN_REPLY_TO, letter.in_reply_to.clone()),
    ];
    for (kind, tag, value) in known {
        if let Some(value) = value {
            rows.push(row(format!("{kind} 0x{tag:x}"), &value));
        }
    }
    rows
}

/// Writes ids of extended properties inside a filter in the one form in which they are shown, so that `0x0E07` finds `0xe07`.
pub(crate) fn canonical_filter(filter: &str) -> String {
    let parts: Vec<String> = filter
        .split('\'')
        .enumerate()
        .map(|(at, part)| match PropertyId::parse(part) {
            Some(id) if at % 2 == 1 => id.to_string(),
            _ => part.to_owned(),
        })
        .collect();
    parts.join("'")
}

/// An attachment. With `content` the bytes of files are in it, with `item` the message that is attached.
pub(crate) fn attachment(
    mailbox: &Mailbox,
    message: &Message,
    attachment: &Attachment,
    form: IdForm,
    item: bool,
) -> Value {
    let message_id = mailbox.message_id(message, form);
    let content = match &attachment.kind {
        AttachmentKind::File(bytes) | AttachmentKind::Item(bytes) => &bytes[..],
        AttachmentKind::Reference => &[],
    };
    let kind = match attachment.kind {
        AttachmentKind::File(_) => "fileAttachment",
        AttachmentKind::Item(_) => "itemAttachment",
        AttachmentKind::Reference => "referenceAttachment",
    };
    let content_type = match attachment.kind {
        AttachmentKind::Item(_) => &None,
        _ => &attachment.content_type,
    };
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("@odata.type", json!(format!("#microsoft.graph.{kind}")));
    let number = attachment.number;
    put("id", json!(mailbox.ids.attachment(&message_id, number)));
    put("lastModifiedDateTime", json!(time(message.modified)));
    put("name", json!(attachment.name));
    put("contentType", json!(content_type));
    put("size", json!(content.len() + ATTACHMENT_OVERHEAD));
    put("isInline", json!(attachment.inline));
    match &attachment.kind {
        AttachmentKind::File(bytes) => {
            put("contentId", json!(attachment.content_id));
            put("contentLocation", json!(attachment.content_location));
            put("contentBytes", json!(BASE64.encode(bytes)));
        }
        AttachmentKind::Item(mime) if item => {
            put(
                "item",
                attached_message(mailbox, message, &parse::letter(mime)),
            );
        }
        _ => {}
    }
    Value::Object(row)
}

/// The message inside an item attachment. Exchange gives it an empty id.
fn attached_message(mailbox: &Mailbox, outer: &Message, letter: &Letter) -> Value {
    let manner = Manner {
        form: IdForm::Default,
        text_bodies: false,
        wants: &|name| name != "uniqueBody",
        extended: None,
    };
    let mut row = Map::new();
    row.insert("@odata.type".to_owned(), json!("#microsoft.graph.message"));
    row.insert("id".to_owned(), json!(""));
    for name in ["createdDateTime", "lastModifiedDateTime"] {
        row.insert(name.to_owned(), json!(time(outer.created)));
    }
    let received = letter.received_at();
    row.insert("receivedDateTime".to_owned(), json!(time(received)));
    let sent = letter.sent.unwrap_or(received);
    row.insert("sentDateTime".to_owned(), json!(time(sent)));
    letter_properties(mailbox, letter, &manner, &mut row);
    row.insert("importance".to_owned(), json!(letter.importance.word()));
    row.insert("isRead".to_owned(), json!(true));
    row.insert("isDraft".to_owned(), json!(false));
    Value::Object(row)
}

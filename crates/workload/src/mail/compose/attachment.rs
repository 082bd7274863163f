//! A message's attachments: from its MIME, and from the JSON of those that MIME lacks.
//!
//! They are never asked for again: the bytes are in the MIME. Their order is kept. How many are taken and how deep messages within messages are
//! followed is bounded (abuse 74, 76).

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use bytes::Bytes;
use data_encoding::BASE64;
use mail_parser::{Encoding, Message, MessagePart, MimeHeaders, PartType};
use serde_json::{json, value::RawValue};

use super::{
    Loss,
    mime::{self, Mime},
    nested,
};
use crate::mail::{
    json::Fields,
    outline::{Far, Outline},
};

/// Graph takes a smaller attachment in one request; this and more needs an upload session.
pub const LARGE_ATTACHMENT_BYTES: u64 = 3 * 1024 * 1024;
/// Graph takes no larger attachment.
pub const ATTACHMENT_BYTES_MAX: u64 = 150 * 1024 * 1024;
/// Attachments restored for one message: twice the most that a test of abuse has.
const ATTACHMENTS_MAX: usize = 10_000;
/// Levels of messages within messages that come back as messages; what is deeper comes back as one `.eml` file.
const NESTED_LEVELS_MAX: usize = 3;
/// The name of an attachment that has none: Graph insists on one (survival 104).
const NAMELESS: &str = "attachment";
/// Length of what an attachment's JSON has beside its name and content.
const JSON_FRAME_BYTES: usize = 400;

/// One attachment, as it is to be created.
#[derive(Clone, Debug)]
pub struct Attachment {
    name: String,
    content_type: Option<String>,
    content_id: Option<String>,
    content_location: Option<String>,
    inline: bool,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    File(Bytes),
    /// A file whose bytes are still in the archive.
    Far(Far),
    /// A message, composed; `eml` is the same as a file.
    Item {
        item: Box<RawValue>,
        eml: Bytes,
    },
    /// As Graph gave it, without what Graph sets itself.
    Kept(Box<RawValue>),
}

impl Attachment {
    /// The name under which it is shown.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes of its content, for an upload session; `None` for an attached message, for a link, and for a file that is still in the archive.
    #[must_use]
    pub fn file(&self) -> Option<&Bytes> {
        match &self.content {
            Content::File(bytes) => Some(bytes),
            Content::Far(_) | Content::Item { .. } | Content::Kept(_) => None,
        }
    }

    /// Where its content is, if that is still in the archive.
    pub(crate) fn far(&self) -> Option<&Far> {
        match &self.content {
            Content::Far(far) => Some(far),
            Content::File(_) | Content::Item { .. } | Content::Kept(_) => None,
        }
    }

    /// The same with its content, which was read from the archive.
    pub(crate) fn with_file(&self, content: Bytes) -> Self {
        Self {
            content: Content::File(content),
            ..self.clone()
        }
    }

    /// The size of its content in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let length = match &self.content {
            Content::Far(far) => return far.size_bytes(),
            Content::File(bytes) => bytes.len(),
            Content::Item { item, .. } => item.get().len(),
            Content::Kept(json) => json.get().len(),
        };
        length as u64
    }

    /// Whether it must go through an upload session.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.size_bytes() >= LARGE_ATTACHMENT_BYTES
    }

    /// The JSON to POST to a message's `attachments`, content included; `None` while that is still in the archive.
    #[must_use]
    pub fn json(&self) -> Option<Box<RawValue>> {
        Some(match &self.content {
            Content::Far(_) => return None,
            Content::File(bytes) => self.object(&[
                ("@odata.type", json!("#microsoft.graph.fileAttachment")),
                ("contentBytes", json!(BASE64.encode(bytes))),
            ]),
            Content::Item { item, .. } => {
                let frame =
                    self.object(&[("@odata.type", json!("#microsoft.graph.itemAttachment"))]);
                let open = frame.get().trim_end_matches('}');
                let text = format!("{open},\"item\":{}}}", item.get());
                RawValue::from_string(text)
                    .expect("an object extended by a JSON value is an object")
            }
            Content::Kept(json) => json.clone(),
        })
    }

    /// The `AttachmentItem` with which an upload session is asked for.
    #[must_use]
    pub fn session_request(&self) -> Box<RawValue> {
        let item = self.object(&[
            ("attachmentType", json!("file")),
            ("size", json!(self.size_bytes())),
        ]);
        super::raw(&json!({ "AttachmentItem": item }))
    }

    /// The same as a file: an attached message becomes an `.eml`, which is told as a loss. Files and links stay what they are.
    #[must_use]
    pub fn as_plain_file(&self, losses: &mut Vec<Loss>) -> Cow<'_, Self> {
        let Content::Item { eml, .. } = &self.content else {
            return Cow::Borrowed(self);
        };
        losses.push(Loss::NestedAsFile);
        Cow::Owned(eml_file(&self.name, eml.clone()))
    }

    /// Whether it is an attached message that can be restored as one.
    #[must_use]
    pub fn is_message(&self) -> bool {
        matches!(self.content, Content::Item { .. })
    }

    /// Whether it is kept as Graph gave it: a link, whose refusal is the link's alone.
    #[must_use]
    pub fn is_kept_as_json(&self) -> bool {
        matches!(self.content, Content::Kept(_))
    }

    pub(super) fn with_far(self, content: Far) -> Self {
        Self {
            content: Content::Far(content),
            ..self
        }
    }

    /// How long [`Attachment::json`] is at most, roughly, without making it.
    pub(crate) fn json_bytes(&self) -> usize {
        let content = match &self.content {
            Content::Far(far) => BASE64.encode_len(far.size_bytes() as usize),
            Content::File(bytes) => BASE64.encode_len(bytes.len()),
            Content::Item { item, .. } => item.get().len(),
            Content::Kept(json) => json.get().len(),
        };
        content + 2 * self.name.len() + JSON_FRAME_BYTES
    }

    fn object(&self, more: &[(&str, serde_json::Value)]) -> Box<RawValue> {
        let mut object = serde_json::Map::new();
        object.insert("name".into(), json!(self.name));
        object.insert("isInline".into(), json!(self.inline));
        let optional = [
            ("contentType", &self.content_type),
            ("contentId", &self.content_id),
            ("contentLocation", &self.content_location),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                object.insert(name.into(), json!(value));
            }
        }
        for (name, value) in more {
            object.insert((*name).into(), value.clone());
        }
        super::raw(&object)
    }
}

/// The attachments that the MIME has whose outline was parsed; `None` when what the outline lacks is not in attachments.
pub(super) fn of_outline(
    mime: &Mime<'_>,
    outline: &Outline,
    losses: &mut Vec<Loss>,
) -> Option<Vec<Attachment>> {
    let mut found = 0;
    let attachments = each(mime, losses, |part, raw, losses| {
        let range = part.offset_body as usize..part.offset_end as usize;
        match outline.gaps_within(&range) {
            0 => Some(of_part(
                part,
                mime::attached(raw, part),
                NESTED_LEVELS_MAX,
                losses,
            )),
            gaps => {
                found += gaps;
                far(part, outline, range, losses)
            }
        }
    });
    let attachments: Option<Vec<_>> = attachments.into_iter().collect();
    attachments.filter(|_| found == outline.gap_count())
}

/// The attachments that the MIME has. `levels` is how many more levels of messages are taken apart.
pub(super) fn within(mime: &Mime<'_>, levels: usize, losses: &mut Vec<Loss>) -> Vec<Attachment> {
    each(mime, losses, |part, raw, losses| {
        of_part(part, mime::attached(raw, part), levels, losses)
    })
}

/// What `made` makes of each part that is attached, which is given with what its offsets count in.
fn each<T>(
    mime: &Mime<'_>,
    losses: &mut Vec<Loss>,
    mut made: impl FnMut(&MessagePart<'_>, &[u8], &mut Vec<Loss>) -> T,
) -> Vec<T> {
    let Some(message) = mime.message() else {
        return Vec::new();
    };
    let count = message.attachment_count();
    if count > ATTACHMENTS_MAX {
        losses.push(Loss::AttachmentsTooMany {
            count: count - ATTACHMENTS_MAX,
        });
    }
    message
        .attachments()
        .take(ATTACHMENTS_MAX)
        .map(|part| made(part, &message.raw_message, losses))
        .collect()
}

/// A file of which the outline lacks the most, or a message within which it lacks something.
fn far(
    part: &MessagePart<'_>,
    outline: &Outline,
    range: Range<usize>,
    losses: &mut Vec<Loss>,
) -> Option<Attachment> {
    match (&part.body, part.encoding) {
        (PartType::Message(inner), Encoding::None)
            if matches!(inner.raw_message, Cow::Borrowed(_)) =>
        {
            let content = outline.raw(range);
            if content.size_bytes() < LARGE_ATTACHMENT_BYTES {
                return None;
            }
            losses.push(Loss::NestedAsFile);
            let name = part.attachment_name().or(inner.subject());
            let eml = eml_file(name.unwrap_or_default(), Bytes::new());
            Some(eml.with_far(content))
        }
        (PartType::Message(_) | PartType::Multipart(_), _) => None,
        (_, Encoding::Base64) => {
            let content = outline.decoded(range, &mime::attached(outline.text(), part))?;
            Some(file(part, Bytes::new()).with_far(content))
        }
        _ => None,
    }
}

fn of_part(
    part: &MessagePart<'_>,
    bytes: Bytes,
    levels: usize,
    losses: &mut Vec<Loss>,
) -> Attachment {
    if !part.is_message() {
        return file(part, bytes);
    }
    let inner = Mime::parse(&bytes);
    let subject = inner.message().and_then(Message::subject);
    let name = part.attachment_name().or(subject).unwrap_or_default();
    if levels > 0 && inner.message().is_some() {
        let item = nested::item(&inner, levels - 1, losses);
        let attachment = Attachment {
            content: Content::Item {
                item,
                eml: bytes.clone(),
            },
            ..plain(name)
        };
        // Upload sessions are for files.
        if !attachment.is_large() {
            return attachment;
        }
    }
    losses.push(Loss::NestedAsFile);
    eml_file(name, bytes.clone())
}

fn file(part: &MessagePart<'_>, bytes: Bytes) -> Attachment {
    let content_type = part.content_type().map(|kind| {
        format!(
            "{}/{}",
            kind.ctype(),
            kind.subtype().unwrap_or("octet-stream")
        )
    });
    let content_id = part.content_id().map(str::to_owned);
    let inline = match part.content_disposition() {
        Some(disposition) => disposition.is_inline(),
        None => content_id.is_some(),
    };
    Attachment {
        content_type,
        content_id,
        content_location: part.content_location().map(str::to_owned),
        inline,
        content: Content::File(bytes),
        ..plain(part.attachment_name().unwrap_or_default())
    }
}

/// A text as a file.
pub(super) fn text_file(name: &str, content_type: &str, text: Bytes) -> Attachment {
    Attachment {
        content_type: Some(content_type.to_owned()),
        content: Content::File(text),
        ..plain(name)
    }
}

/// A mail as a file.
pub(super) fn eml_file(name: &str, eml: Bytes) -> Attachment {
    let base = named(name);
    let name = if base.ends_with(".eml") {
        base
    } else {
        format!("{base}.eml")
    };
    Attachment {
        content_type: Some("message/rfc822".to_owned()),
        content: Content::File(eml),
        ..plain(&name)
    }
}

fn named(name: &str) -> String {
    if name.is_empty() { NAMELESS } else { name }.to_owned()
}

fn plain(name: &str) -> Attachment {
    Attachment {
        name: named(name),
        content_type: None,
        content_id: None,
        content_location: None,
        inline: false,
        content: Content::File(Bytes::new()),
    }
}

/// What Graph sets itself on an attachment.
const SET_BY_GRAPH: [&str; 3] = ["id", "size", "lastModifiedDateTime"];

/// An attachment kept as JSON, ready to be created again; `None` when it is no object.
pub(super) fn of_json(kept: &RawValue) -> Option<Attachment> {
    let text = super::whole_text(kept.get());
    let name = Fields::of(serde_json::from_str(&text).ok()?)
        .ok()?
        .text("name");
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(&text).ok()?;
    fields.retain(|name, _| {
        !SET_BY_GRAPH.contains(&name.as_str()) && (!name.contains('@') || name == "@odata.type")
    });
    Some(Attachment {
        content: Content::Kept(super::raw(&fields)),
        ..plain(&name.unwrap_or_default())
    })
}

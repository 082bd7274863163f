//! From a stored message to what Microsoft Graph is asked to create.
//!
//! A message that is POSTed as MIME becomes a draft for ever, so it is composed as JSON: people, subject, body and marks from the JSON that Graph
//! gave when it was backed up; attachments and header lines from the MIME; and what JSON cannot say — that it is no draft, when it was sent and
//! received, its place in a thread, which restore made it — as extended properties, all at creation, because a sent message cannot be changed
//! later.
//!
//! It does no input or output and never fails: whatever the bytes are, something is composed, and what could not be carried over is told as
//! [`Loss`]es. A message can be rendered in several [`Manner`]s: the faithful one is tried first, and a plainer one when Graph refused it.

mod attachment;
mod body;
mod loss;
mod mime;
mod nested;
mod people;
mod properties;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

pub use attachment::{ATTACHMENT_BYTES_MAX, Attachment, LARGE_ATTACHMENT_BYTES};
pub use loss::Loss;
pub use properties::{MARK_RESTORE, MARK_SOURCE, Marks};

use super::{json::Fields, outline::Outline};
use mime::Mime;

/// What Graph takes in one request at most is 4 MB; the rest of that is left to the envelope.
pub(crate) const CREATE_BYTES_MAX: usize = 3_500_000;

/// The fields of a message that are sent back as Graph gave them. Everything else is Graph's own book-keeping or is said otherwise.
const PLAIN_FIELDS: [&str; 10] = [
    "subject",
    "body",
    "importance",
    "isRead",
    "flag",
    "categories",
    "inferenceClassification",
    "internetMessageId",
    "isReadReceiptRequested",
    "isDeliveryReceiptRequested",
];

/// A message as the archive holds it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The message's JSON as Graph gave it.
    pub json: &'a RawValue,
    /// Its MIME as Graph served it; may be empty and may be anything.
    pub mime: &'a Outline,
    /// The JSON of attachments that the MIME lacks.
    pub attachments: &'a [Box<RawValue>],
}

/// How closely to keep to the original.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// Everything that Graph may take.
    Faithful,
    /// Without addresses that are no e-mail addresses: for a message that was refused for its people.
    MailAddresses,
    /// Besides, with attached messages as files: for a message that was refused for any other reason.
    Cautious,
}

/// One request that creates a message, and what is to be added to it.
#[derive(Debug)]
pub struct Creation {
    /// The JSON to POST to a folder's `messages`.
    pub body: Box<RawValue>,
    /// The names of the attachments in it.
    pub within: Vec<String>,
    /// Attachments that did not fit, and links; to be added one by one.
    pub rest: Vec<Attachment>,
    /// What this form of the message lacks.
    pub losses: Vec<Loss>,
}

/// A message taken apart, ready to be rendered.
#[derive(Debug)]
pub struct Composed {
    fields: Vec<(&'static str, Box<RawValue>)>,
    people: people::People,
    attachments: Vec<Attachment>,
    losses: Vec<Loss>,
}

/// Takes a stored message apart. `marks` are what the restored message carries so that it can be found again.
///
/// `None` when the outline lacks something that is not in an attachment's content: the whole MIME is needed.
#[must_use]
pub fn compose(source: Source<'_>, marks: &Marks) -> Option<Composed> {
    let text = whole_text(source.json.get());
    let json: &RawValue = serde_json::from_str(&text).unwrap_or(source.json);
    let fields = Fields::of(json).unwrap_or_default();
    let mime = Mime::parse(source.mime.text());

    let mut losses = Vec::new();
    if mime.too_complex() {
        losses.push(Loss::MimeTooComplex);
    }
    if is_meeting_message(&fields) {
        losses.push(Loss::MeetingTie);
    }

    let mut plain: Vec<(&'static str, Box<RawValue>)> = PLAIN_FIELDS
        .into_iter()
        .filter_map(|name| Some((name, fields.raw(name)?.to_owned())))
        .collect();
    if fields.raw("body").is_none() {
        if source.mime.gap_count() > 0 {
            return None;
        }
        plain.extend(mime.body().map(|body| ("body", raw(&body))));
    }
    let (properties, headers_cut) = properties::of_message(&fields, &mime, marks);
    if headers_cut {
        losses.push(Loss::HeadersCut);
    }
    plain.push(("singleValueExtendedProperties", raw(&properties)));

    let mut attachments = attachment::of_outline(&mime, source.mime, &mut losses)?;
    attachments.extend(
        source
            .attachments
            .iter()
            .filter_map(|kept| attachment::of_json(kept)),
    );
    let mut composed = Composed {
        fields: plain,
        people: people::People::of(&fields),
        attachments,
        losses,
    };
    composed.cut_body(source.mime);
    Some(composed)
}

impl Composed {
    /// The attachments, whose contents may still be in the archive.
    pub(crate) fn attachments_mut(&mut self) -> &mut [Attachment] {
        &mut self.attachments
    }

    /// Cuts a body that makes the message too large for one request, and attaches the whole of it.
    fn cut_body(&mut self, mime: &Outline) {
        let (people, _) = self.people.render(Manner::Faithful);
        let others = self.fields.iter().filter(|(name, _)| *name != "body");
        let others = bytes_of(others.chain(&people).map(|(name, value)| (*name, &**value)));
        let body = self.fields.iter_mut().find(|(name, _)| *name == "body");
        let Some((name, body)) = body else { return };
        let room = CREATE_BYTES_MAX
            .saturating_sub(others + bytes_of([(*name, &**body)]) - body.get().len());
        if let Some((cut, whole)) = body::cut(body, mime, room) {
            *body = cut;
            self.attachments.push(whole);
            self.losses.push(Loss::BodyCut);
        }
    }

    /// Renders the message. Attachments go into the request as long as it stays within what Graph takes, so that most messages are complete
    /// with one request; the others are in [`Creation::rest`]. Attachments too large for Graph are in neither, and are told as losses.
    #[must_use]
    pub fn render(&self, manner: Manner) -> Creation {
        let mut losses = self.losses.clone();
        let mut object: Vec<(&str, Cow<'_, RawValue>)> = self
            .fields
            .iter()
            .map(|(name, value)| (*name, Cow::Borrowed(&**value)))
            .collect();
        let (people, left_out) = self.people.render(manner);
        object.extend(
            people
                .into_iter()
                .map(|(name, value)| (name, Cow::Owned(value))),
        );
        if left_out > 0 {
            losses.push(Loss::AddressesLeftOut { count: left_out });
        }
        let (within, rest) = self.allot(manner, &object, &mut losses);
        let (names, within): (Vec<String>, Vec<Box<RawValue>>) = within.into_iter().unzip();
        if !within.is_empty() {
            object.push(("attachments", Cow::Owned(raw(&within))));
        }
        Creation {
            body: object_of(&object),
            within: names,
            rest,
            losses,
        }
    }

    /// Shares the attachments out between the creating request and later ones.
    fn allot(
        &self,
        manner: Manner,
        object: &[(&str, Cow<'_, RawValue>)],
        losses: &mut Vec<Loss>,
    ) -> (Vec<(String, Box<RawValue>)>, Vec<Attachment>) {
        let mut bytes = bytes_of(object.iter().map(|(name, value)| (*name, &**value)));
        let (mut within, mut rest) = (Vec::new(), Vec::new());
        for attachment in &self.attachments {
            let attachment = match manner {
                Manner::Faithful | Manner::MailAddresses => Cow::Borrowed(attachment),
                Manner::Cautious => attachment.as_plain_file(losses),
            };
            if attachment.size_bytes() > ATTACHMENT_BYTES_MAX {
                losses.push(Loss::AttachmentTooLarge {
                    size_bytes: attachment.size_bytes(),
                });
            } else if !attachment.is_kept_as_json()
                && bytes + attachment.json_bytes() <= CREATE_BYTES_MAX
                && let Some(json) = attachment.json()
            {
                bytes += json.get().len() + 1;
                within.push((attachment.name().to_owned(), json));
            } else {
                rest.push(attachment.into_owned());
            }
        }
        (within, rest)
    }
}

/// Serialises what always serialises: texts, numbers, and JSON that was parsed before.
fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("texts, numbers and parsed JSON can be written as JSON")
}

/// How long the fields of an object are as JSON.
fn bytes_of<'a>(fields: impl IntoIterator<Item = (&'a str, &'a RawValue)>) -> usize {
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| name.len() + value.get().len() + 4)
        .sum()
}

/// An object from its fields, in their order, without parsing their values again.
fn object_of(fields: &[(&str, Cow<'_, RawValue>)]) -> Box<RawValue> {
    let bytes = bytes_of(fields.iter().map(|(name, value)| (*name, &**value)));
    let mut json = String::with_capacity(bytes + 2);
    for (name, value) in fields {
        json.push(if json.is_empty() { '{' } else { ',' });
        json.extend(["\"", name, "\":", value.get()]);
    }
    json.push_str(if fields.is_empty() { "{}" } else { "}" });
    RawValue::from_string(json).expect("JSON values under plain names make an object")
}

/// Whether Graph types it as a meeting request, answer or cancellation, which cannot be created.
fn is_meeting_message(fields: &Fields<'_>) -> bool {
    fields
        .text("@odata.type")
        .is_some_and(|name| name.starts_with("#microsoft.graph.eventMessage"))
}

/// The JSON with the halves of surrogate pairs that stand alone replaced by U+FFFD: they are kept in the repository, but no JSON reader that
/// works in Unicode takes them, Graph's among them, and one broken character must not fail a message (survival 107).
fn whole_text(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut whole = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let unit = code_unit(escape);
        let taken = match unit {
            Some(0xD800..=0xDBFF)
                if matches!(escape.get(6..).and_then(code_unit), Some(0xDC00..=0xDFFF)) =>
            {
                12
            }
            Some(_) => 6,
            None => escape
                .char_indices()
                .nth(2)
                .map_or(escape.len(), |(end, _)| end),
        };
        match unit {
            Some(0xD800..=0xDFFF) if taken == 6 => whole.push_str("\\ufffd"),
            _ => whole.push_str(&escape[..taken]),
        }
        rest = &escape[taken..];
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

/// The value of a `\uXXXX` at the beginning of `escape`.
fn code_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_halves_of_pairs_are_replaced_and_nothing_else_is() {
        let check = |json: &str, expected: &str| assert_eq!(whole_text(json), expected, "{json}");
        check(r#"{"a":"plain"}"#, r#"{"a":"plain"}"#);
        check(r#""\ud83d\ude00 \u0007""#, r#""\ud83d\ude00 \u0007""#);
        check(r#""\ud83d""#, r#""\ufffd""#);
        check(r#""\ud83dx\ude00""#, r#""\ufffdx\ufffd""#);
        check(r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#);
        check(r#""\\ud83d""#, r#""\\ud83d""#);
        check(r#""\\\ud83d é\n""#, r#""\\\ufffd é\n""#);
    }
}

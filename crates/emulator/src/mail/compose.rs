//! Renders a [`Letter`] as MIME. The same letter always gives the same bytes.
//!
//! Headers that the properties of a letter speak for are made from these; of the transport's headers all others are kept,
//! in their order.

use std::fmt::Write;

use data_encoding::{BASE64, HEXLOWER};
use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::letter::{Attachment, AttachmentKind, Importance, Letter, Person};

/// Headers that are made from a letter's properties, in lower case.
const MADE: [&str; 15] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "importance",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];

/// The longest line of a base64 body (RFC 2045 §6.8).
const LINE: usize = 76;

/// The message as MIME.
pub(crate) fn mime(letter: &Letter) -> Vec<u8> {
    let mut text = String::new();
    for (name, value) in &letter.headers {
        let folded = name.to_ascii_lowercase();
        if !MADE.contains(&folded.as_str()) && is_field_name(name) {
            header(&mut text, name, &encoded(value));
        }
    }
    made_headers(letter, &mut text);
    text.push_str("MIME-Version: 1.0\r\n");
    let boundary = boundary(letter);
    body(letter, &boundary, &mut text);
    text.into_bytes()
}

/// The transport's headers as one block, if there are any.
pub(crate) fn transport_headers(letter: &Letter) -> Option<String> {
    let mut text = String::new();
    for (name, value) in &letter.headers {
        header(&mut text, name, value);
    }
    (!text.is_empty()).then_some(text)
}

fn made_headers(letter: &Letter, text: &mut String) {
    let from = letter.from.iter().collect::<Vec<_>>();
    let sender: Vec<_> = letter
        .sender
        .iter()
        .filter(|sender| letter.from.as_ref() != Some(sender))
        .collect();
    let lists = [
        ("From", from),
        ("Sender", sender),
        ("To", letter.to.iter().collect()),
        ("Cc", letter.cc.iter().collect()),
        ("Bcc", letter.bcc.iter().collect()),
        ("Reply-To", letter.reply_to.iter().collect()),
    ];
    for (name, people) in lists {
        if !people.is_empty() {
            let people: Vec<String> = people.into_iter().map(mailbox).collect();
            header(text, name, &people.join(",\r\n "));
        }
    }
    if let Some(subject) = &letter.subject {
        header(text, "Subject", &encoded(subject));
    }
    if let Some(sent) = letter.sent.or(letter.received) {
        header(text, "Date", &date(sent));
    }
    let ids = [
        ("Message-ID", &letter.message_id),
        ("In-Reply-To", &letter.in_reply_to),
        ("References", &letter.references),
    ];
    for (name, value) in ids {
        if let Some(value) = value {
            header(text, name, &plain(value));
        }
    }
    if letter.importance != Importance::Normal {
        header(text, "Importance", letter.importance.word());
    }
}

fn body(letter: &Letter, boundary: &str, text: &mut String) {
    let parts: Vec<&Attachment> = letter
        .attachments
        .iter()
        .filter(|attachment| attachment.kind != AttachmentKind::Reference)
        .collect();
    if parts.is_empty() {
        return content(letter, text);
    }
    let kind = if letter.html && parts.iter().all(|part| part.inline) {
        "related"
    } else {
        "mixed"
    };
    header(
        text,
        "Content-Type",
        &format!("multipart/{kind}; boundary=\"{boundary}\""),
    );
    text.push_str("\r\n");
    let _ = write!(text, "--{boundary}\r\n");
    content(letter, text);
    for part in parts {
        let _ = write!(text, "\r\n--{boundary}\r\n");
        attachment(part, text);
    }
    let _ = write!(text, "\r\n--{boundary}--\r\n");
}

/// The body's own headers and the body.
fn content(letter: &Letter, text: &mut String) {
    let subtype = if letter.html { "html" } else { "plain" };
    header(
        text,
        "Content-Type",
        &format!("text/{subtype}; charset=\"utf-8\""),
    );
    transfer(letter.content.as_bytes(), text);
}

fn attachment(part: &Attachment, text: &mut String) {
    let content_type = part
        .content_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    match &part.kind {
        AttachmentKind::Item(mime) => {
            header(text, "Content-Type", "message/rfc822");
            header(text, "Content-Disposition", "attachment");
            text.push_str("\r\n");
            // An attached message that is not UTF-8 could only be carried as it is in bytes; RFC 2046 forbids encoding it.
            text.push_str(&String::from_utf8_lossy(mime));
        }
        AttachmentKind::File(bytes) => {
            header(text, "Content-Type", &plain(content_type));
            let disposition = if part.inline { "inline" } else { "attachment" };
            let name = part.name.as_deref().map(file_name).unwrap_or_default();
            header(text, "Content-Disposition", &format!("{disposition}{name}"));
            if let Some(id) = &part.content_id {
                header(text, "Content-ID", &format!("<{}>", plain(id)));
            }
            if let Some(location) = &part.content_location {
                header(text, "Content-Location", &plain(location));
            }
            header(text, "Content-Transfer-Encoding", "base64");
            text.push_str("\r\n");
            base64_lines(bytes, text);
        }
        AttachmentKind::Reference => {}
    }
}

/// Plain lines go as they are, everything else as base64.
fn transfer(bytes: &[u8], text: &mut String) {
    let simple = bytes.is_ascii()
        && !bytes.contains(&0)
        && !String::from_utf8_lossy(bytes)
            .replace("\r\n", "")
            .contains(['\r', '\n'])
        && bytes.split(|b| *b == b'\n').all(|line| line.len() < 990);
    if simple {
        header(text, "Content-Transfer-Encoding", "7bit");
        text.push_str("\r\n");
        text.push_str(&String::from_utf8_lossy(bytes));
    } else {
        header(text, "Content-Transfer-Encoding", "base64");
        text.push_str("\r\n");
        base64_lines(bytes, text);
    }
}

fn base64_lines(bytes: &[u8], text: &mut String) {
    for chunk in bytes.chunks(LINE / 4 * 3) {
        text.push_str(&BASE64.encode(chunk));
        text.push_str("\r\n");
    }
}

fn header(text: &mut String, name: &str, value: &str) {
    let _ = write!(text, "{name}: {value}\r\n");
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// Without characters that would begin another header.
fn plain(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// As it is if it is ASCII, else as encoded words (RFC 2047).
fn encoded(value: &str) -> String {
    let value = plain(value);
    if value.is_ascii() && !value.contains("=?") {
        return value;
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in value.chars() {
        // 45 bytes are 60 characters of base64, which keeps a word under the 75 that RFC 2047 allows.
        if word.len() + c.len_utf8() > 45 {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", BASE64.encode(word.as_bytes())))
        .collect();
    words.join("\r\n ")
}

fn mailbox(person: &Person) -> String {
    let address = plain(&person.address);
    if person.name.is_empty() || person.name == person.address {
        return format!("<{address}>");
    }
    let name = plain(&person.name);
    let simple = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b' ' || b == b'-');
    let name = match simple {
        true => name,
        false if name.is_ascii() => {
            format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
        false => encoded(&name),
    };
    format!("{name} <{address}>")
}

/// `; filename=…`, in RFC 2231's way unless it is simple.
fn file_name(name: &str) -> String {
    let simple = |b: u8| b.is_ascii_alphanumeric() || b"-_. ()".contains(&b);
    if name.bytes().all(simple) {
        return format!(";\r\n filename=\"{name}\"");
    }
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!(";\r\n filename*=utf-8''{encoded}")
}

fn date(time: Timestamp) -> String {
    let zoned = time.to_zoned(TimeZone::UTC);
    zoned.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Hashed from the letter, so that it does not occur in it.
fn boundary(letter: &Letter) -> String {
    let mut hash = Sha256::new();
    hash.update(letter.message_id.as_deref().unwrap_or_default());
    hash.update(letter.content.as_bytes());
    for attachment in &letter.attachments {
        if let AttachmentKind::Item(bytes) | AttachmentKind::File(bytes) = &attachment.kind {
            hash.update(bytes);
        }
    }
    format!("_000_{}_", HEXLOWER.encode(&hash.finalize()[..16]))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{super::parse, *};

    fn person(name: &str, address: &str) -> Person {
        Person {
            name: name.to_owned(),
            address: address.to_owned(),
        }
    }

    #[test]
    fn what_is_composed_is_read_back() {
        let mut letter = Letter {
            subject: Some(
                "Grüße an alle, auch an die, die weit weg wohnen und lange Betreffzeilen mögen ☂"
                    .to_owned(),
            ),
            html: true,
            content: "<p>é\u{1}</p>".to_owned(),
            from: Some(person("Zoë \"Z\" O'Neil", "zoe@example.com")),
            sender: Some(person("Desk", "desk@example.com")),
            to: vec![
                person("Müller, Jürgen", "j@example.com"),
                person("a@x", "a@x"),
            ],
            cc: vec![person("A, B", "ab@example.com")],
            message_id: Some("<1@example.com>".to_owned()),
            in_reply_to: Some("<0@example.com>".to_owned()),
            references: Some("<-1@example.com> <0@example.com>".to_owned()),
            headers: vec![("X-Kept".to_owned(), "yes\r\nInjected: no".to_owned())],
            sent: Some(Timestamp::constant(1_583_056_800, 0)),
            importance: Importance::High,
            ..Letter::default()
        };
        for (name, inline) in [("Übersicht 1.pdf", false), ("logo.png", true)] {
            letter.attachments.push(Attachment {
                number: letter.attachments.len() as u64,
                name: Some(name.to_owned()),
                content_type: Some("application/pdf".to_owned()),
                inline,
                content_id: Some("cid1@x".to_owned()),
                content_location: None,
                kind: AttachmentKind::File(Bytes::from_static(&[0, 255, 13, 10])),
            });
        }
        let bytes = Bytes::from(mime(&letter));
        assert_eq!(bytes, mime(&letter));
        let mut back = parse::letter(&bytes);
        assert!(back.headers.iter().any(|(name, _)| name == "X-Kept"));
        assert!(!back.headers.iter().any(|(name, _)| name == "Injected"));
        back.headers = letter.headers.clone();
        back.received = None;
        assert_eq!(back, letter);
    }
}

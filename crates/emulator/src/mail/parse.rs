//! Reads a [`Letter`] from MIME, however broken: whatever bytes come in, a letter comes out.

use bytes::Bytes;
use data_encoding::BASE64;
use jiff::Timestamp;
use mail_parser::{
    Address, ContentType, DateTime, Encoding, HeaderName, HeaderValue, Message, MessageParser,
    MessagePart, MimeHeaders, PartType,
    decoders::{base64::base64_decode, quoted_printable::quoted_printable_decode},
};

mod tame;

use super::letter::{Attachment, AttachmentKind, Importance, Letter, Person};

/// How many parts a mail may have at most to be taken apart, which bounds time and memory.
const PARTS_MAX: usize = 5_000;

/// Reads a whole message; only its headers if it has too many parts or messages within each other.
pub(crate) fn letter(mime: &Bytes) -> Letter {
    let parser = MessageParser::default();
    let bearable = (parts(mime) <= PARTS_MAX).then(|| tame::tamed(mime));
    let tamed = bearable.flatten();
    let message = match &tamed {
        Some(tamed) => parser.parse(&tamed[..]),
        None => parser.parse_headers(&mime[..]),
    };
    match message {
        Some(message) => from_message(&message, mime),
        // The parser finds no header at all: an empty file, or not a mail. Exchange shows such bytes as the body.
        None => Letter {
            content: String::from_utf8_lossy(mime).into_owned(),
            ..Letter::default()
        },
    }
}

/// At least the number of parts, since each but the simplest says what it is; 0 for a mail that is too small to have too many.
fn parts(mime: &[u8]) -> usize {
    const HEADER: &[u8] = b"content-type";
    if mime.len() / HEADER.len() <= PARTS_MAX {
        return 0;
    }
    let headers = mime.windows(HEADER.len());
    headers
        .filter(|window| window.eq_ignore_ascii_case(HEADER))
        .count()
}

/// The headers in a block of them, as PR_TRANSPORT_MESSAGE_HEADERS has it.
pub(crate) fn header_block(block: &str) -> Vec<(String, String)> {
    MessageParser::default()
        .parse_headers(block.as_bytes())
        .map(|message| headers(&message))
        .unwrap_or_default()
}

/// When a message arrived, without reading its body.
pub(crate) fn received(mime: &Bytes) -> Timestamp {
    MessageParser::default()
        .parse_headers(&mime[..])
        .and_then(|message| received_of(&message))
        .unwrap_or(Letter::UNDATED)
}

fn from_message(message: &Message<'_>, mime: &Bytes) -> Letter {
    let (html, content) = body(message);
    let from = first(message.from());
    Letter {
        subject: message.subject().map(str::to_owned),
        html,
        content,
        sender: first(message.sender()).or_else(|| from.clone()),
        from,
        to: people(message.all_to()),
        cc: people(message.all_cc()),
        bcc: people(message.all_bcc()),
        reply_to: people(message.reply_to().into_iter()),
        message_id: message.message_id().map(|id| format!("<{id}>")),
        in_reply_to: ids(message.in_reply_to()),
        references: ids(message.references()),
        headers: headers(message),
        received: received_of(message),
        sent: message.date().and_then(timestamp),
        importance: importance(message),
        delivery_receipt: has_header(message, "Return-Receipt-To"),
        read_receipt: message.header("Disposition-Notification-To").is_some(),
        thread_index: thread_index(message),
        attachments: attachments(message, mime),
    }
}

/// The HTML if there is any, else the text.
fn body(message: &Message<'_>) -> (bool, String) {
    let html = message.html_bodies().find_map(|part| match &part.body {
        PartType::Html(html) => Some(html.clone().into_owned()),
        _ => None,
    });
    if let Some(html) = html {
        return (true, html);
    }
    let text = message.text_bodies().find_map(|part| match &part.body {
        PartType::Text(text) => Some(text.clone().into_owned()),
        _ => None,
    });
    (false, text.unwrap_or_default())
}

fn people<'a>(lists: impl Iterator<Item = &'a Address<'a>>) -> Vec<Person> {
    lists
        .flat_map(Address::iter)
        .map(|addr| {
            let address = addr.address().unwrap_or_default().to_owned();
            let name = addr.name().unwrap_or(&address).to_owned();
            Person { name, address }
        })
        .collect()
}

fn first(list: Option<&Address<'_>>) -> Option<Person> {
    people(list.into_iter()).into_iter().next()
}

/// One or more message ids, with their brackets again.
fn ids(value: &HeaderValue<'_>) -> Option<String> {
    let ids: Vec<String> = match value {
        HeaderValue::Text(id) => vec![format!("<{id}>")],
        HeaderValue::TextList(ids) => ids.iter().map(|id| format!("<{id}>")).collect(),
        _ => return None,
    };
    Some(ids.join(" "))
}

fn headers(message: &Message<'_>) -> Vec<(String, String)> {
    let root = message.root_part();
    root.headers
        .iter()
        .map(|header| {
            let raw = message
                .raw_message
                .get(header.offset_start as usize..header.offset_end as usize)
                .unwrap_or_default();
            let value = String::from_utf8_lossy(raw);
            let unfolded: Vec<&str> = value.lines().map(str::trim).collect();
            (
                header.name.as_str().to_owned(),
                unfolded.join(" ").trim().to_owned(),
            )
        })
        .collect()
}

/// The date of the topmost `Received`, which is the last server's; else `Date`.
fn received_of(message: &Message<'_>) -> Option<Timestamp> {
    let headers = &message.parts.first()?.headers;
    let top = headers
        .iter()
        .find(|header| header.name == HeaderName::Received);
    let top = top
        .and_then(|header| header.value.as_received())
        .and_then(|received| received.date());
    top.as_ref()
        .and_then(timestamp)
        .or_else(|| message.date().and_then(timestamp))
}

/// Nothing if the date is impossible (the thirteenth month) or Graph could not write it.
fn timestamp(date: &DateTime) -> Option<Timestamp> {
    date.is_valid()
        .then(|| Timestamp::from_second(date.to_timestamp()).ok())
        .flatten()
}

fn importance(message: &Message<'_>) -> Importance {
    let text = |name: &'static str| message.header_raw(name).unwrap_or_default().trim();
    if let Some(importance) = Importance::from_word(text("Importance")) {
        return importance;
    }
    match text("X-Priority").chars().next() {
        Some('1' | '2') => Importance::High,
        Some('4' | '5') => Importance::Low,
        _ => Importance::Normal,
    }
}

fn has_header(message: &Message<'_>, name: &str) -> bool {
    let root = message.root_part();
    root.headers
        .iter()
        .any(|header| header.name.as_str().eq_ignore_ascii_case(name))
}

fn thread_index(message: &Message<'_>) -> Option<Vec<u8>> {
    let raw = message.header_raw("Thread-Index")?.trim();
    BASE64.decode(raw.as_bytes()).ok().filter(|b| !b.is_empty())
}

fn attachments(message: &Message<'_>, mime: &Bytes) -> Vec<Attachment> {
    (0_u64..)
        .zip(message.attachments())
        .map(|(number, part)| attachment(number, part, mime))
        .collect()
}

fn attachment(number: u64, part: &MessagePart<'_>, mime: &Bytes) -> Attachment {
    let disposition = part.content_disposition();
    let content_id = part.content_id().map(str::to_owned);
    let inline = match disposition {
        Some(disposition) => disposition.is_inline(),
        None => content_id.is_some(),
    };
    let (kind, fallback) = match &part.body {
        PartType::Message(inner) => {
            let name = inner.subject().unwrap_or_default().to_owned();
            (AttachmentKind::Item(nested(inner, part, mime)), Some(name))
        }
        PartType::Text(_) | PartType::Html(_) => {
            (AttachmentKind::File(unconverted(part, mime)), None)
        }
        _ => {
            let content = Bytes::copy_from_slice(part.contents());
            let subtype = part.content_type().and_then(ContentType::subtype);
            if subtype.is_some_and(tame::is_message) {
                let name = MessageParser::default()
                    .parse_headers(&content[..])
                    .and_then(|inner| inner.subject().map(str::to_owned));
                (AttachmentKind::Item(content), name)
            } else {
                (AttachmentKind::File(content), None)
            }
        }
    };
    Attachment {
        number,
        name: part.attachment_name().map(str::to_owned).or(fallback),
        content_type: part.content_type().map(|content_type| {
            let subtype = content_type.subtype().unwrap_or("octet-stream");
            let subtype = tame::original(subtype);
            format!("{}/{subtype}", content_type.ctype())
        }),
        inline: inline && !matches!(kind, AttachmentKind::Item(_)),
        content_id,
        content_location: part.content_location().map(str::to_owned),
        kind,
    }
}

/// The bytes of an attached text in its own character set: the parser gives texts as UTF-8, an attachment is what was attached.
fn unconverted(part: &MessagePart<'_>, mime: &Bytes) -> Bytes {
    let start = (part.offset_body as usize).min(mime.len());
    let end = (part.offset_end as usize).clamp(start, mime.len());
    let encoded = mime.slice(start..end);
    let decoded = match part.encoding {
        Encoding::None => None,
        Encoding::Base64 => base64_decode(&encoded),
        Encoding::QuotedPrintable => quoted_printable_decode(&encoded),
    };
    let bytes = decoded.map_or(encoded, Bytes::from);
    // Where nothing was converted, the parser knows better where a broken part ends.
    if bytes.starts_with(part.contents()) {
        bytes.slice(..part.contents().len())
    } else {
        bytes
    }
}

/// The bytes of an attached message. They are a slice of the outer one unless they were encoded.
fn nested(inner: &Message<'_>, part: &MessagePart<'_>, mime: &Bytes) -> Bytes {
    let raw = inner.raw_message.as_ref();
    let start = (part.offset_body as usize).min(mime.len());
    let end = (part.offset_end as usize).clamp(start, mime.len());
    if part.encoding == Encoding::None {
        mime.slice(start..end)
    } else {
        Bytes::copy_from_slice(raw)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::{super::compose, *};

    /// Pieces of mails, put together in any order: far more often nearly a mail than random bytes are.
    const PIECES: [&[u8]; 22] = [
        b"From: a@b\r\n",
        b"From: =?utf-8?B?w?= <\r\n",
        b"To: g: a@b, c;\n",
        b"Received: from x; Mon, 99 Foo 2020 25:61:00 +9999\r\n",
        b"Date: Sun, 1 Mar 2020 10:00:00 +0000\r\n",
        b"Date: 31 Feb 0000 00:00:00 -0000\r\n",
        b"Subject: =?x?Q?=FF?=\r\n \t\r\n",
        b"Message-ID: <<>>\r\nReferences: <a> b <c\r\n",
        b"Thread-Index: AQ==\r\nX-Priority: 9\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/alternative; boundary=\"\"\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/html; charset=utf-16\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Disposition: inline; filename*0*=utf-8''%FF\r\n",
        b"Content-ID: <c>\r\n",
        b"\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"AAAA=\r\n",
        b"<p>\xff\x00\xed\xa0\x80\r\n",
        b":\r\n:::\n",
    ];

    proptest! {
        #[test]
        fn whatever_comes_in_a_letter_comes_out(
            pieces in vec(select(&PIECES[..]), 0..40),
            tail in vec(any::<u8>(), 0..60),
            cut in 0..2000_usize,
        ) {
            // survival 103, 107
            let mut bytes = pieces.concat();
            bytes.truncate(cut);
            bytes.extend(tail);
            let mime = Bytes::from(bytes);
            let first = letter(&mime);
            prop_assert_eq!(first.received_at(), received(&mime));
            // What is composed of it can be read again.
            letter(&compose::mime(&first).into());
        }
    }

    fn read_text(text: &str) -> Letter {
        letter(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn received_is_the_top_received_else_the_date_else_a_fixed_day() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                read_text(text).received_at().to_string(),
                expected,
                "{text}"
            );
            let quick = received(&Bytes::copy_from_slice(text.as_bytes()));
            assert_eq!(quick.to_string(), expected, "headers only: {text}");
        };
        check(
            "Received: from a by b; Tue, 3 Mar 2020 10:00:00 +0100\r\nReceived: from c by a; Mon, 2 Mar 2020 10:00:00 +0100\r\nDate: Sun, 1 Mar 2020 10:00:00 +0000\r\n\r\nx",
            "2020-03-03T09:00:00Z",
        );
        check(
            "Date: Sun, 1 Mar 2020 10:00:00 +0000\r\n\r\nx",
            "2020-03-01T10:00:00Z",
        );
        check(
            "Received: nonsense\r\nDate: Sun, 1 Mar 2020 10:00:00 +0000\r\n\r\nx",
            "2020-03-01T10:00:00Z",
        );
        check("Subject: none\r\n\r\nx", "2000-01-01T00:00:00Z");
        check("", "2000-01-01T00:00:00Z");
    }

    #[test]
    fn body_people_and_threads_are_found() {
        let letter = read_text(concat!(
            "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\nTo: a@example.com, B <b@example.com>\r\n",
            "Subject: Hi\r\nMessage-ID: <2@x>\r\nReferences: <0@x> <1@x>\r\nIn-Reply-To: <1@x>\r\nX-Priority: 1\r\n",
            "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n",
            "--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b--\r\n",
        ));
        assert_eq!(letter.from.clone().expect("from").name, "Jürgen");
        assert_eq!(letter.to[0].name, "a@example.com");
        assert_eq!((letter.html, letter.content.trim()), (true, "<p>html</p>"));
        assert_eq!(letter.references.as_deref(), Some("<0@x> <1@x>"));
        assert_eq!(letter.importance, Importance::High);
        assert_eq!(
            letter.thread(),
            read_text("Message-ID: <0@x>\r\n\r\n").thread()
        );
    }

    #[test]
    fn messages_in_messages_without_end_do_no_harm() {
        // survival 105
        for part in [
            "Content-Type: message/rfc822\r\n\r\n",
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n",
        ] {
            let deep = read_text(&part.repeat(100_000));
            assert!(deep.attachments.len() < 10);
        }
    }

    #[test]
    fn encoded_messages_in_messages_do_no_harm() {
        // survival 105, on the stack that the threads of a server and of tests have. The parser alone overflows it at 3,000 levels, and takes the
        // square of the size in memory.
        let level = "Content-Type:message/rfc822\n\n";
        for levels in [100, 290, 400, 20_000, 390_000] {
            let inside = level.repeat(levels) + "Subject: innermost\n\nx";
            for (encoding, encoded) in [
                ("base64", BASE64.encode(inside.as_bytes())),
                ("quoted-printable", inside.replace("C", "=43")),
                ("8bit", inside.clone()),
            ] {
                for head in [
                    "Content-Type: message/rfc822",
                    "Content- Type: message/rfc822",
                ] {
                    let mail = format!(
                        "Subject: outer\n{head}\nContent-Transfer-Encoding: {encoding}\n\n{encoded}"
                    );
                    let letter = read_text(&mail);
                    assert_eq!(letter.subject.as_deref(), Some("outer"));
                    // Beyond the bounds, headers are all there is.
                    assert!(letter.attachments.len() <= 1);
                }
            }
        }
    }

    #[test]
    fn an_encoded_message_is_attached_whatever_its_size() {
        let inside = format!("Subject: inner\r\n\r\n{}\r\n", "word ".repeat(100_000));
        let encoded = BASE64.encode(inside.as_bytes());
        let letter = read_text(&format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--b--\r\n"
        ));
        assert_eq!(letter.attachments.len(), 1);
        assert_eq!(
            letter.attachments[0].kind,
            AttachmentKind::Item(Bytes::from(inside))
        );
        assert_eq!(letter.attachments[0].name.as_deref(), Some("inner"));
        let content_type = letter.attachments[0].content_type.as_deref();
        assert_eq!(content_type, Some("message/rfc822"));
    }

    #[test]
    fn an_attached_message_keeps_its_bytes() {
        let inner = "Subject: inner\r\n\r\nhello\r\n";
        let letter = read_text(&format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nouter\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--b--\r\n"
        ));
        let [attachment] = &letter.attachments[..] else {
            panic!("one attachment: {:?}", letter.attachments);
        };
        assert_eq!(attachment.name.as_deref(), Some("inner"));
        assert_eq!(
            attachment.kind,
            AttachmentKind::Item(Bytes::copy_from_slice(inner.as_bytes()))
        );
    }
}

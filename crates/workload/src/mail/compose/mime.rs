//! A message's MIME, taken apart within bounds.
//!
//! The parser reads anything, but what it builds grows with the number of parts and header lines, and its time with parts times bytes. Mail comes
//! from strangers (abuse 74), so the shape of the bytes is measured first, in one pass, and MIME beyond the bounds is not taken apart at all: its
//! header block is used and its attachments are reported as lost. It knows nothing of Graph.

mod hidden;

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use mail_parser::{Encoding, Message, MessageParser, MessagePart, MimeHeaders, PartType, decoders};
use serde_json::{Value, json};

/// Parts, counted from above, that are taken apart: the largest bombs seen in tests have 100,000, real mail has a few dozen.
const PARTS_MAX: usize = 200_000;
/// Header lines, counted from above; the parser keeps 120 bytes for each.
const HEADER_LINES_MAX: usize = 2_000_000;
/// Parts times bytes: a part whose boundary never comes makes the parser read to the end and return. It was measured at 5 thousand million a
/// second, so this is half a minute at the very worst; a real mail of 150 MB stays below with 900 parts.
const STEPS_MAX: usize = 1 << 37;
/// Length of the header block that is restored. Exchange itself accepts less from the network.
const HEADER_BLOCK_BYTES_MAX: usize = 256 * 1024;

/// MIME, as far as it could be taken apart.
pub(super) struct Mime<'a> {
    bytes: &'a Bytes,
    message: Option<Message<'a>>,
    too_complex: bool,
}

impl<'a> Mime<'a> {
    pub(super) fn parse(bytes: &'a Bytes) -> Self {
        let shape = Shape::of(bytes);
        let too_complex = !shape.is_bearable(bytes.len()) || hidden::too_many(bytes);
        // The parser promises never to panic; its arithmetic is checked in debug builds, though, and one strange mail must not end a restore.
        let message = (!too_complex && !bytes.is_empty())
            .then(|| {
                catch_unwind(AssertUnwindSafe(|| {
                    MessageParser::default().parse(&bytes[..])
                }))
            })
            .and_then(Result::ok)
            .flatten();
        Self {
            bytes,
            message,
            too_complex,
        }
    }

    /// Whether the MIME is beyond the bounds, and none of its parts is available.
    pub(super) fn too_complex(&self) -> bool {
        self.too_complex
    }

    /// The text shown first, HTML where there is any, as Graph's `body`.
    pub(super) fn body(&self) -> Option<Value> {
        let message = self.message.as_ref()?;
        let html = message.html_bodies().find(|part| part.is_text_html());
        let part = html.or_else(|| message.text_bodies().next());
        let content = part
            .and_then(MessagePart::text_contents)
            .unwrap_or_default();
        let kind = if part.is_some_and(MessagePart::is_text_html) {
            "html"
        } else {
            "text"
        };
        Some(json!({ "contentType": kind, "content": content }))
    }

    /// The header lines up to the first empty line, and whether they had to be cut; nothing when the bytes do not begin like a mail. Bytes that
    /// are no UTF-8 are taken for Latin-1; control characters other than line ends and tabs become spaces.
    pub(super) fn header_block(&self) -> (String, bool) {
        let window = &self.bytes[..self.bytes.len().min(HEADER_BLOCK_BYTES_MAX)];
        let block = match empty_line(window) {
            Some(at) => &window[..at],
            None => window,
        };
        if !begins_with_field(block) {
            return (String::new(), false);
        }
        (clean(block), block.len() == HEADER_BLOCK_BYTES_MAX)
    }

    /// The message ids in the last header of this name, separated by spaces. What else people's programs write there is left out.
    pub(super) fn ids(&self, name: &str) -> Option<String> {
        let (block, _) = self.header_block();
        let mut value = String::new();
        let mut is_it = false;
        for line in block.lines() {
            let is_continued = line.starts_with([' ', '\t']);
            if !is_continued {
                is_it = line
                    .split_once(':')
                    .is_some_and(|(field, _)| field.trim_end().eq_ignore_ascii_case(name));
                if is_it {
                    value.clear();
                }
            }
            if is_it {
                value.push_str(line);
            }
        }
        let mut ids: Vec<String> = message_ids(&value).collect();
        let bare = value.split_once(':').map_or("", |(_, bare)| bare.trim());
        if ids.is_empty() && bare.contains('@') && !bare.contains(char::is_whitespace) {
            ids.push(format!("<{bare}>"));
        }
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    /// The parsed message.
    pub(super) fn message(&self) -> Option<&Message<'a>> {
        self.message.as_ref()
    }
}

impl Drop for Mime<'_> {
    fn drop(&mut self) {
        dismantle(self.message.take());
    }
}

/// Drops a message without recursion: a thousand messages within each other would overflow the stack (abuse 74).
fn dismantle(message: Option<Message<'_>>) {
    let mut pending: Vec<_> = message.into_iter().collect();
    while let Some(mut message) = pending.pop() {
        for part in &mut message.parts {
            if let PartType::Message(inner) = std::mem::take(&mut part.body) {
                pending.push(inner);
            }
        }
    }
}

/// The bytes of a part as its sender attached them: the transfer encoding undone, the character set left alone. `raw` is what the part's offsets
/// count in.
pub(super) fn attached(raw: &[u8], part: &MessagePart<'_>) -> Bytes {
    match &part.body {
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => Bytes::copy_from_slice(bytes),
        PartType::Text(text) | PartType::Html(text) if is_unconverted(part, text) => {
            Bytes::copy_from_slice(text.as_bytes())
        }
        PartType::Message(inner) if matches!(inner.raw_message, Cow::Owned(_)) => {
            Bytes::copy_from_slice(&inner.raw_message)
        }
        _ => decoded(raw, part).into(),
    }
}

/// Whether the parser left a text's bytes as they were: it converts every text to UTF-8 and replaces what it cannot read.
fn is_unconverted(part: &MessagePart<'_>, text: &str) -> bool {
    let charset = part
        .content_type()
        .and_then(|kind| kind.attribute("charset"));
    let is_utf8 = charset.is_none_or(|name| {
        ["utf-8", "us-ascii"]
            .iter()
            .any(|same| name.eq_ignore_ascii_case(same))
    });
    is_utf8 && !text.contains(char::REPLACEMENT_CHARACTER)
}

/// Decodes a part again from the message's bytes.
fn decoded(raw: &[u8], part: &MessagePart<'_>) -> Vec<u8> {
    let encoded = raw
        .get(part.offset_body as usize..part.offset_end as usize)
        .unwrap_or_default();
    let decoded = match part.encoding {
        Encoding::Base64 => decoders::base64::base64_decode(encoded),
        Encoding::QuotedPrintable => decoders::quoted_printable::quoted_printable_decode(encoded),
        Encoding::None => None,
    };
    decoded.unwrap_or_else(|| encoded.to_vec())
}

/// What decides how much work a message makes, counted from above in one pass.
#[derive(Debug, Default)]
struct Shape {
    /// Every part begins with a header block, which ends with an empty line.
    empty_lines: usize,
    /// Every part comes after a boundary (`--`) or a type (`message/rfc822`).
    joints: usize,
    /// Every header has a colon.
    colon_lines: usize,
}

impl Shape {
    fn of(bytes: &[u8]) -> Self {
        let mut shape = Self::default();
        for line in bytes.split(|&byte| byte == b'\n') {
            let (mut joints, mut colon, mut empty, mut last) = (0, 0, 1, 0);
            for &byte in line {
                joints += usize::from(byte == b'/' || (byte == b'-' && last == b'-'));
                colon |= usize::from(byte == b':');
                empty &= usize::from(byte.is_ascii_whitespace());
                last = byte;
            }
            shape.joints += joints;
            shape.colon_lines += colon;
            shape.empty_lines += empty;
        }
        shape
    }

    fn is_bearable(&self, bytes: usize) -> bool {
        let parts = self.empty_lines.min(self.joints) + 1;
        parts <= PARTS_MAX
            && self.colon_lines <= HEADER_LINES_MAX
            && parts.saturating_mul(bytes) <= STEPS_MAX
    }
}

/// What stands between `<` and `>` without spaces in it.
fn message_ids(text: &str) -> impl Iterator<Item = String> {
    let ids = text
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'));
    ids.filter(|(id, _)| !id.is_empty() && !id.contains(char::is_whitespace))
        .map(|(id, _)| format!("<{id}>"))
}

/// Whether the bytes begin with the name of a header and a colon, or with the line that mailbox files put before a mail.
fn begins_with_field(bytes: &[u8]) -> bool {
    let name = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_graphic() && **byte != b':')
        .count();
    let after = bytes[name..]
        .iter()
        .find(|byte| !matches!(byte, b' ' | b'\t'));
    bytes.starts_with(b"From ") || (name > 0 && after == Some(&b':'))
}

/// Where the first empty line begins; the line end before it is not counted in.
fn empty_line(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// Text of bytes that may be in any character set.
fn clean(bytes: &[u8]) -> String {
    let replaced = |c: char| {
        if c.is_control() && !matches!(c, '\r' | '\n' | '\t') {
            ' '
        } else {
            c
        }
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().map(replaced).collect(),
        Err(_) => bytes
            .iter()
            .map(|&byte| replaced(char::from(byte)))
            .collect(),
    }
}

//! A message's MIME, taken apart within bounds.
//!
//! The parser reads anything, but what it builds grows with the number of parts and header lines, and its time with parts times bytes. Mail comes
//! from strangers (abuse 74), so the shape of the bytes is measured first, in one pass, and MIME beyond the bounds is not taken apart at all: its
//! header block is used and its attachments are reported as lost. It knows nothing of Graph.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use mail_parser::{Encoding, Message, MessageParser, MessagePart, PartType, decoders};
use serde_json::value::RawValue;

/// Parts, counted from above, that are taken apart: the largest bombs seen in tests have 100,000, real mail has a few dozen.
const PARTS_MAX: usize = 200_000;
/// Header lines, counted from above; the parser needs some 120 bytes for each.
const HEADER_LINES_MAX: usize = 2_000_000;
/// Parts times bytes: a part whose boundary never comes makes the parser read to the end and return. It reads about a thousand million bytes a
/// second, so this is a couple of minutes at the very worst; a real mail of 150 MB stays below with 900 parts.
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
        let too_complex = !shape.is_bearable(bytes.len());
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

    /// The text shown first, as Graph's `body`: for a message whose JSON has none.
    pub(super) fn body(&self) -> Option<Box<RawValue>> {
        self.message.as_ref().map(body_of)
    }

    /// The header lines up to the first empty line, and whether they had to be cut. Bytes that are no UTF-8 are taken for Latin-1; control
    /// characters other than line ends and tabs become spaces.
    pub(super) fn header_block(&self) -> (String, bool) {
        let end = self.bytes.len().min(HEADER_BLOCK_BYTES_MAX);
        let window = &self.bytes[..end];
        let block = match empty_line(window) {
            Some(at) => &window[..at],
            None => window,
        };
        let cut = block.len() == HEADER_BLOCK_BYTES_MAX;
        (clean(block), cut)
    }

    /// The text of the first header of this name, unfolded. `name` is written as in RFC 5322.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let (block, _) = self.header_block();
        let mut value: Option<String> = None;
        for line in block.lines() {
            match &mut value {
                Some(value) if line.starts_with([' ', '\t']) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                Some(_) => break,
                None => {
                    value = line
                        .split_once(':')
                        .filter(|(field, _)| field.trim_end().eq_ignore_ascii_case(name))
                        .map(|(_, text)| text.trim().to_owned());
                }
            }
        }
        value.filter(|value| !value.is_empty())
    }

    /// The parsed message, to be taken apart further.
    pub(super) fn into_message(mut self) -> Option<Message<'a>> {
        self.message.take()
    }
}

impl Drop for Mime<'_> {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            dismantle(message);
        }
    }
}

/// Drops a message without recursion: a thousand messages within each other would overflow the stack (abuse 74).
pub(super) fn dismantle(message: Message<'_>) {
    let mut pending = vec![message];
    while let Some(mut message) = pending.pop() {
        pending.extend(message.parts.iter_mut().filter_map(take_message));
    }
}

/// Takes the message out of a part that is one.
pub(super) fn take_message<'x>(part: &mut MessagePart<'x>) -> Option<Message<'x>> {
    match std::mem::take(&mut part.body) {
        PartType::Message(message) => Some(message),
        other => {
            part.body = other;
            None
        }
    }
}

/// The bytes of a part as its sender attached them: the transfer encoding undone, the character set left alone. `raw` is what the part's offsets
/// count in.
pub(super) fn decoded(raw: &[u8], part: &MessagePart<'_>) -> Vec<u8> {
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

/// The text shown first, HTML where there is any.
pub(super) fn body_of(message: &Message<'_>) -> Box<RawValue> {
    let html = message
        .html_bodies()
        .next()
        .filter(|part| part.is_text_html());
    let (kind, content) = match html.or_else(|| message.text_bodies().next()) {
        Some(part) if part.is_text_html() => ("html", part.text_contents().unwrap_or_default()),
        Some(part) => ("text", part.text_contents().unwrap_or_default()),
        None => ("text", ""),
    };
    super::raw(&serde_json::json!({ "contentType": kind, "content": content }))
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

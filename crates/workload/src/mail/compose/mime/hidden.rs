//! Finds messages within messages that only show once a part is decoded.
//!
//! The parser copies an encoded message with each level inside it, recursively: a mail of a hundred kilobytes can hide some thousand levels, which
//! overflow a thread's stack (abuse 74). So encoded messages are first disguised as files, which are only decoded, and what they hold is counted.

use std::borrow::Cow;

use mail_parser::{MessageParser, MimeHeaders, PartType};

use super::dismantle;

/// In so few bytes fewer levels fit than any stack bears: a level takes some 30.
const HARMLESS_BYTES: usize = 16 * 1024;
/// Types named in one encoded message: each makes at most two levels, and thousands would be too many.
const NAMED_MAX: usize = 300;
/// The subtypes under which messages are parts, as the parser knows them.
const SUBTYPES: [&[u8; 6]; 3] = [b"rfc822", b"global", b"digest"];
const ENCODING: &[u8] = b"content-transfer-encoding:";
const PLAIN: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];

/// Whether an encoded part holds more messages within each other than can be taken apart, or such an encoded part again.
pub(super) fn too_many(bytes: &[u8]) -> bool {
    let Some(disguised) = disguise(bytes) else {
        return false;
    };
    let Some(message) = MessageParser::default().parse(&disguised[..]) else {
        return false;
    };
    let mut found = false;
    let mut pending = vec![&message];
    while let Some(message) = pending.pop() {
        for part in &message.parts {
            if let PartType::Message(inner) = &part.body {
                pending.push(inner);
            }
            let subtype = part.content_type().and_then(|kind| kind.subtype());
            if subtype.is_some_and(|subtype| subtype.ends_with('-')) {
                let content = part.contents();
                found |= named(content).count() > NAMED_MAX || disguise(content).is_some();
            }
        }
    }
    dismantle(Some(message));
    found
}

/// The mail with the types of its encoded messages made unknown, at the same length; nothing when there is none that could matter.
fn disguise(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    if bytes.len() <= HARMLESS_BYTES {
        return None;
    }
    // The parts of a digest are messages without saying so, and an encoding anywhere may be theirs.
    let has_digest = named(bytes).any(|at| is(bytes, at, SUBTYPES[2]));
    let mut disguised = Cow::Borrowed(bytes);
    let mut start = 0;
    let mut encoded_somewhere = false;
    for paragraph in paragraphs(bytes) {
        let has_name = named(paragraph).next().is_some();
        if (has_name || has_digest) && is_encoded(paragraph) {
            encoded_somewhere = true;
            for at in named(paragraph) {
                disguised.to_mut()[start + at + 5] = b'-';
            }
        }
        start += paragraph.len();
    }
    if has_digest && encoded_somewhere {
        let digests: Vec<usize> = named(bytes)
            .filter(|at| is(bytes, *at, SUBTYPES[2]))
            .collect();
        for at in digests {
            disguised.to_mut()[at + 5] = b'-';
        }
    }
    matches!(disguised, Cow::Owned(_)).then_some(disguised)
}

/// Where the subtypes stand.
fn named(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let windows = bytes.windows(6).enumerate();
    let named = windows.filter(|(_, window)| {
        matches!(window[0] | 0x20, b'r' | b'g' | b'd')
            && SUBTYPES
                .iter()
                .any(|name| window.eq_ignore_ascii_case(*name))
    });
    named.map(|(at, _)| at)
}

fn is(bytes: &[u8], at: usize, name: &[u8]) -> bool {
    bytes[at..at + name.len()].eq_ignore_ascii_case(name)
}

/// The bytes in pieces that end with an empty line: each block of headers is in one of them.
fn paragraphs(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        for line in rest.split_inclusive(|&byte| byte == b'\n') {
            end += line.len();
            if line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let (paragraph, after) = rest.split_at(end);
        rest = after;
        Some(paragraph)
    })
}

/// Whether headers name an encoding that encodes something. The parser overlooks spaces in them, and so does this.
fn is_encoded(headers: &[u8]) -> bool {
    let bare: Vec<u8> = headers
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(u8::to_ascii_lowercase)
        .collect();
    let named = bare
        .windows(ENCODING.len())
        .enumerate()
        .filter(|(_, window)| *window == ENCODING);
    let mut values = named.map(|(at, window)| &bare[at + window.len()..]);
    values.any(|value| !PLAIN.iter().any(|plain| value.starts_with(plain)))
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64_MIME;

    use super::*;

    fn levels(count: usize) -> String {
        format!(
            "{}Subject: x\n\ny",
            "Content-Type:message/rfc822\n\n".repeat(count)
        )
    }

    fn check(head: &str, content: &str, expected: bool) {
        let mail = format!("Subject: deep\n{head}\n\n{content}");
        assert_eq!(too_many(mail.as_bytes()), expected, "{head}");
    }

    #[test]
    fn messages_hidden_by_an_encoding_are_found() {
        let quoted = "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable";
        let base64 = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64";
        check(quoted, &levels(20_000).replace('C', "=43"), true);
        check(base64, &BASE64_MIME.encode(levels(20_000).as_bytes()), true);
        let twice = format!(
            "{base64}\n\n{}",
            BASE64_MIME.encode(levels(20_000).as_bytes())
        );
        check(base64, &BASE64_MIME.encode(twice.as_bytes()), true);
        // An ordinary message that somebody encoded, and text about encodings, are no harm.
        let ordinary = format!("Subject: inner\n\n{}", "All is well.\n".repeat(5_000));
        check(base64, &BASE64_MIME.encode(ordinary.as_bytes()), false);
        check("Content-Type: text/plain", &ordinary, false);
    }
}

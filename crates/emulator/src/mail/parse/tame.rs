//! Keeps the parser from messages within messages that it cannot bear.
//!
//! What it makes is nested as deeply as the mail and is dropped recursively. A message that has a transfer encoding is worse: it is copied with
//! each level recursively, which overflows a thread's stack of 2 MiB below 3,000 levels and takes the square of its size in memory; and its levels
//! cannot be counted before it is decoded. So plain levels are counted, and an encoded message is disguised as a file, which is only decoded.

use std::borrow::Cow;

/// Mails up to this size are left alone: a level takes 29 bytes (`Content-Type:message/rfc822` and two line ends), so they have at most 565.
const HARMLESS_BYTES: usize = 16 * 1024;
/// How many times a mail may name one of [`NESTING`]. Each makes at most two levels.
const NESTING_MAX: usize = 300;
/// The subtypes that make messages within messages: those of `message`, and the `multipart` whose parts are messages even if they do not say so.
/// The parser knows them only as they stand here, in any case. Beside each is its disguise.
const NESTING: [(&str, &str); 3] = [
    ("rfc822", "rfc82-"),
    ("global", "globa-"),
    ("digest", "diges-"),
];
const WORD_BYTES: usize = 6;
/// The header that makes a message an encoded one; the parser overlooks spaces in it.
const ENCODING: &[u8] = b"content-transfer-encoding:";
/// The values of it that encode nothing.
const PLAIN: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];

/// The mail, of the same length and fit for the parser; nothing if it is nested too deeply.
pub(super) fn tamed(mime: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut tamed = Cow::Borrowed(mime);
    if mime.len() <= HARMLESS_BYTES {
        return Some(tamed);
    }
    let words: Vec<_> = words(mime).collect();
    if words.len() > NESTING_MAX {
        return None;
    }
    let mut end = 0;
    let mut encoded = false;
    let has_digest = words.iter().any(|(_, word)| *word == NESTING[2].0);
    let any_encoded = has_digest && is_encoded(mime);
    for (at, word) in words {
        if at >= end {
            let block = block(mime, at);
            end = block.end;
            encoded = is_encoded(&mime[block]);
        }
        // The parts of a digest need not say that they are messages, so an encoding anywhere may be theirs.
        if encoded || any_encoded && word == NESTING[2].0 {
            tamed.to_mut()[at + WORD_BYTES - 1] = b'-';
        }
    }
    Some(tamed)
}

/// Whether a subtype is that of a message in disguise.
pub(super) fn is_message(subtype: &str) -> bool {
    NESTING[..2]
        .iter()
        .any(|(_, disguise)| *disguise == subtype)
}

/// A subtype without its disguise.
pub(super) fn original(subtype: &str) -> &str {
    let disguised = NESTING.iter().find(|(_, disguise)| *disguise == subtype);
    disguised.map_or(subtype, |(word, _)| word)
}

fn words(mime: &[u8]) -> impl Iterator<Item = (usize, &'static str)> {
    mime.windows(WORD_BYTES)
        .enumerate()
        .filter(|(_, window)| matches!(window[0] | 0x20, b'r' | b'g' | b'd'))
        .filter_map(|(at, window)| {
            let found = |(word, _): &&(&str, &str)| window.eq_ignore_ascii_case(word.as_bytes());
            NESTING.iter().find(found).map(|(word, _)| (at, *word))
        })
}

/// What lies between the empty lines around a place: at least the headers of a part.
fn block(mime: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_empty = |line: &[u8]| line.iter().all(|&byte| byte == b'\r');
    let mut start = at;
    // The line that the place is in is not empty, though what stands before the place in it may be.
    let mut lines = mime[..at].rsplit(|&byte| byte == b'\n');
    start -= lines.next().map_or(0, <[u8]>::len);
    for line in lines {
        if is_empty(line) {
            break;
        }
        start -= line.len() + 1;
    }
    let mut end = at;
    for line in mime[at..].split(|&byte| byte == b'\n') {
        if is_empty(line) {
            break;
        }
        end += line.len() + 1;
    }
    start..end.min(mime.len())
}

/// Whether a block of headers names an encoding.
fn is_encoded(block: &[u8]) -> bool {
    let bare: Vec<u8> = block
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(u8::to_ascii_lowercase)
        .collect();
    bare.windows(ENCODING.len())
        .enumerate()
        .filter(|(_, window)| *window == ENCODING)
        .any(|(at, window)| {
            let value = &bare[at + window.len()..];
            !PLAIN.iter().any(|plain| value.starts_with(plain))
        })
}

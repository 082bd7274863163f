//! Names of files and directories: which we write, and how restic spells those that we do not.
//!
//! restic stores names in Go's quoted form. We only write names that this form leaves as they are, and that Windows, macOS and Linux can all
//! restore; so no escaping is ever written, and no table of printable characters has to agree with Go's. Any name that restic wrote is read.

use std::{borrow::Cow, cmp::Ordering};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Longest name, in bytes, that common file systems take.
pub const MAX_NAME_BYTES: usize = 255;

/// Letters and digits beyond ASCII that every version of Unicode since 5.0 (2006) has, so that any Go release prints them as they are.
const PLAIN_RANGES: &[(char, char)] = &[
    ('\u{c0}', '\u{d6}'),     // Latin-1
    ('\u{d8}', '\u{f6}'),     // Latin-1
    ('\u{f8}', '\u{24f}'),    // Latin-1, Latin Extended A and B
    ('\u{250}', '\u{2af}'),   // phonetic letters
    ('\u{386}', '\u{386}'),   // Greek
    ('\u{388}', '\u{38a}'),   // Greek
    ('\u{38c}', '\u{38c}'),   // Greek
    ('\u{38e}', '\u{3a1}'),   // Greek
    ('\u{3a3}', '\u{3ce}'),   // Greek
    ('\u{400}', '\u{481}'),   // Cyrillic
    ('\u{48a}', '\u{513}'),   // Cyrillic
    ('\u{531}', '\u{556}'),   // Armenian
    ('\u{561}', '\u{586}'),   // Armenian
    ('\u{5d0}', '\u{5ea}'),   // Hebrew
    ('\u{621}', '\u{63a}'),   // Arabic
    ('\u{641}', '\u{64a}'),   // Arabic
    ('\u{660}', '\u{669}'),   // Arabic digits
    ('\u{671}', '\u{6d3}'),   // Arabic of other languages
    ('\u{6f0}', '\u{6f9}'),   // their digits
    ('\u{901}', '\u{939}'),   // Devanagari
    ('\u{93c}', '\u{94d}'),   // Devanagari vowel signs
    ('\u{966}', '\u{96f}'),   // Devanagari digits
    ('\u{e01}', '\u{e3a}'),   // Thai
    ('\u{e40}', '\u{e4e}'),   // Thai
    ('\u{e50}', '\u{e59}'),   // Thai digits
    ('\u{10d0}', '\u{10fa}'), // Georgian
    ('\u{1e00}', '\u{1e9b}'), // Latin Extended Additional
    ('\u{1ea0}', '\u{1ef9}'), // Latin Extended Additional (Vietnamese)
    ('\u{3005}', '\u{3007}'), // ideographic iteration mark, zero
    ('\u{3041}', '\u{3096}'), // Hiragana
    ('\u{30a1}', '\u{30fe}'), // Katakana
    ('\u{3400}', '\u{4db5}'), // CJK extension A
    ('\u{4e00}', '\u{9fa5}'), // CJK
    ('\u{ac00}', '\u{d7a3}'), // Hangul
];

/// Names that Windows keeps for devices, whatever extension follows.
const RESERVED: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// Whether `character` may occur in a name that we write.
#[must_use]
pub fn is_plain_char(character: char) -> bool {
    match character {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '&' => false,
        ' '..='~' => true,
        _ => PLAIN_RANGES
            .iter()
            .any(|(first, last)| (first..=last).contains(&&character)),
    }
}

/// Whether a file or directory of this name can be written: only [plain characters](is_plain_char), 1 to 255 bytes, no space at either end,
/// no full stop at the end, none of the device names of Windows.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.chars().all(is_plain_char)
        && !name.starts_with(' ')
        && !name.ends_with([' ', '.'])
        && !is_reserved(name)
}

fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let numbered = |device: &str| {
        stem.len() == 4
            && stem.is_char_boundary(3)
            && stem[..3].eq_ignore_ascii_case(device)
            && stem.as_bytes()[3].is_ascii_digit()
    };
    RESERVED
        .iter()
        .any(|device| stem.eq_ignore_ascii_case(device))
        || numbered("COM")
        || numbered("LPT")
}

/// A name in restic's quoted spelling, ordered by what it spells.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Name(Box<str>);

impl Name {
    /// A name that we may write.
    pub(crate) fn plain(name: &str) -> Result<Self> {
        if is_plain(name) {
            Ok(Self(name.into()))
        } else {
            Err(Error::Path("a name is not plain"))
        }
    }

    /// The name as a person reads it; bytes that are no Unicode are shown as replacement characters.
    pub(crate) fn display(&self) -> Cow<'_, str> {
        match self.bytes() {
            Cow::Borrowed(_) => Cow::Borrowed(&self.0),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        if self.0.contains('\\') {
            unquote(&self.0).map_or(Cow::Borrowed(self.0.as_bytes()), Cow::Owned)
        } else {
            Cow::Borrowed(self.0.as_bytes())
        }
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        // Two spellings of one name stay two names, as Eq has it.
        self.bytes()
            .cmp(&other.bytes())
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What Go's `strconv.Unquote` makes of `quoted` between double quotes; nothing when it would refuse.
fn unquote(quoted: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(start) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..start]);
        let mut after = rest[start + 1..].chars();
        let escape = after.next()?;
        rest = after.as_str();
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            't' => bytes.push(9),
            'n' => bytes.push(10),
            'v' => bytes.push(11),
            'f' => bytes.push(12),
            'r' => bytes.push(13),
            '\\' | '"' => bytes.push(escape as u8),
            'x' => bytes.push(u8::try_from(digits(&mut rest, 2, 16)?).ok()?),
            'u' => push_char(&mut bytes, digits(&mut rest, 4, 16)?)?,
            'U' => push_char(&mut bytes, digits(&mut rest, 8, 16)?)?,
            '0'..='7' => {
                rest = &quoted[quoted.len() - rest.len() - 1..];
                bytes.push(u8::try_from(digits(&mut rest, 3, 8)?).ok()?);
            }
            _ => return None,
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

fn digits(rest: &mut &str, count: usize, radix: u32) -> Option<u32> {
    let text = rest.get(..count)?;
    *rest = &rest[count..];
    if text.chars().all(|digit| digit.is_digit(radix)) {
        u32::from_str_radix(text, radix).ok()
    } else {
        None
    }
}

fn push_char(bytes: &mut Vec<u8>, code: u32) -> Option<()> {
    let character = char::from_u32(code)?;
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_every_system_restores_are_plain() {
        for name in [
            "a",
            "Übersicht #7 (50%)",
            "день",
            "収件箱 1",
            ".keepwell",
            "it's",
            "CONTENT",
            "COM",
            "コンテナー",
        ] {
            assert!(is_plain(name), "{name}");
        }
        let long = "x".repeat(256);
        for name in [
            "",
            " a",
            "a ",
            "a.",
            ".",
            "..",
            "a/b",
            "a\\b",
            "a:b",
            "a&b",
            "a\u{7f}",
            "a\u{a0}",
            "a\u{200b}",
            "😀",
            "e\u{301}",
            "con",
            "Aux.txt",
            "COM1",
            "lpt9.x",
            "nul .x",
            &long,
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }

    #[test]
    fn quoted_names_are_read_as_go_reads_them() {
        let check = |quoted: &str, bytes: Option<&[u8]>| {
            assert_eq!(unquote(quoted).as_deref(), bytes, "{quoted}");
        };
        check(r"plain", Some(b"plain"));
        check(r#"a\"b\\c\td"#, Some(b"a\"b\\c\td"));
        check(
            r"\xff\x01\u200b\U0001f600\101",
            Some(b"\xff\x01\xe2\x80\x8b\xf0\x9f\x98\x80A"),
        );
        for refused in [
            r"\", r"\q", r"\x1", r"\xg1", r"\ud800", r"\u+041", r"\400", r"\xé",
        ] {
            check(refused, None);
        }
    }

    #[test]
    fn names_are_ordered_by_what_they_spell() {
        let name = |text: &str| Name(text.into());
        assert!(name(r"\x01") < name("a"));
        assert!(name(r"\xff") > name("zé"));
        assert_eq!(name(r"\xffa").display(), "\u{fffd}a");
        assert_eq!(name(r"odd\q").display(), r"odd\q");
    }
}

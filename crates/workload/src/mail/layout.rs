//! Where things lie in a mailbox's snapshot, and what they are called.
//!
//! ```text
//! Mail/Inbox~1f0c9a2e/2026-11~0/2026-11-22 0930 Quarterly report~5d41402abc4b2a76.eml     what Graph serves as MIME
//!                               …the same name….json                                      what Graph says of the message
//!                               …the same name….att.json                                  attachments that MIME lacks
//! .keepwell/…                                                                             state, see docs/format/mail.md
//! ```
//!
//! Every name that comes from the mailbox carries a hash of the id behind `~`, so two never meet whatever they are called (survival 92, 142-144,
//! abuse 71); names that Keepwell makes (months, `deep`) carry a short number there. Names are for people: the state and the JSON are what counts.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::{Timestamp, tz::TimeZone};
use model::ItemId;
use repository::name;
use sha2::{Digest, Sha256};

/// The directory of all mail.
pub(crate) const MAIL: &str = "Mail";
/// The directory of what lies deep in the mailbox; a folder's name ends in eight hexadecimal digits, so none is called like it.
const DEEP: &str = "deep~0";
/// Folders in one another, as directories, before the next lies in [`DEEP`]: twelve of the longest names are 2,300 bytes, which with a message's
/// name leaves a third of the 4,096 that Linux allows a path to whoever restores.
const LEVELS_MAX: usize = 12;
/// The directory of mail's own state.
pub(crate) const MAIL_STATE: &str = ".keepwell/mail";
/// Readable part of a name, at most so many characters: long enough to recognise, short enough for every file system and for deep trees.
const READABLE_CHARS_MAX: usize = 60;
/// Messages in one month's directory at most, each with two or three files: a directory is one blob, rewritten with each change.
pub(crate) const MESSAGES_PER_DIRECTORY_MAX: u32 = 200;

/// The first 16 bytes of SHA-256 of an id: how state names an item.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct IdHash(pub(crate) [u8; 16]);

impl IdHash {
    pub(crate) fn of(id: &ItemId) -> Self {
        let digest = Sha256::digest(id.as_str());
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self(hash)
    }

    /// The hash that begins with what a message's file name carries, and ends in zeros; `None` when it is not that.
    pub(crate) fn beginning(suffix: &str) -> Option<Self> {
        let mut hash = [0; 16];
        let bytes = HEXLOWER.decode(suffix.as_bytes()).ok()?;
        hash[..8].copy_from_slice(bytes.get(..8)?);
        Some(Self(hash))
    }

    /// The part of the hash that a message's file name carries.
    pub(crate) fn suffix(&self) -> String {
        HEXLOWER.encode(&self.0[..8])
    }

    /// The part that a folder's name carries: shorter, because the parent's other folders are few.
    fn short_suffix(&self) -> String {
        HEXLOWER.encode(&self.0[..4])
    }

    /// The hexadecimal digit at `depth`, 0 to 31: the way through the shards of the item state.
    pub(crate) fn digit(&self, depth: usize) -> u8 {
        let byte = self.0[depth / 2];
        if depth.is_multiple_of(2) {
            byte >> 4
        } else {
            byte & 15
        }
    }
}

impl fmt::Debug for IdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The name of a folder's directory.
pub(crate) fn folder_name(display_name: &str, id: &ItemId) -> String {
    format!(
        "{}~{}",
        readable(display_name, "folder"),
        IdHash::of(id).short_suffix()
    )
}

/// Where a folder lies whose directory has the last of these names, and the folders around it the others, from the root of the mailbox on.
///
/// Exchange's folders go 300 deep (survival 88), and no file system takes such a path, so every [`LEVELS_MAX`] levels the path begins anew.
pub(crate) fn folder_path(names: &[&str]) -> String {
    let (root, below) = names.split_first().unwrap_or((&MAIL, &[]));
    let from = below.len().saturating_sub(1) / LEVELS_MAX * LEVELS_MAX;
    let mut path = (*root).to_owned();
    let deep = (from > 0).then_some(DEEP);
    for name in deep.iter().chain(&below[from..]) {
        path.push('/');
        path.push_str(name);
    }
    path
}

/// The name of a message's files, without extension.
pub(crate) fn message_name(received: Option<Timestamp>, subject: &str, hash: &IdHash) -> String {
    let subject = readable(subject, "no subject");
    let suffix = hash.suffix();
    match received {
        Some(time) => format!("{} {subject}~{suffix}", utc(time, "%Y-%m-%d %H%M")),
        None => format!("undated {subject}~{suffix}"),
    }
}

/// The month that a message belongs to, as its directory is named before the number: `2026-11`, or `undated`.
pub(crate) fn month(received: Option<Timestamp>) -> String {
    received.map_or_else(|| "undated".to_owned(), |time| utc(time, "%Y-%m"))
}

/// The name of the `number`-th directory of a month.
pub(crate) fn month_directory(month: &str, number: usize) -> String {
    format!("{month}~{number}")
}

/// The hash that a message's file name carries, or `None` for a name that is not a message's.
pub(crate) fn suffix_of(file_name: &str) -> Option<&str> {
    let (_, suffix) = stem_of(file_name).rsplit_once('~')?;
    (suffix.len() == 16 && suffix.bytes().all(|b| b.is_ascii_hexdigit())).then_some(suffix)
}

/// The name of a message's file without its extension.
pub(crate) fn stem_of(file_name: &str) -> &str {
    file_name
        .split_once('.')
        .map_or(file_name, |(stem, _)| stem)
}

/// A text from a mailbox as part of a file name: safe on every system, never empty, without `.` so that extensions stay clear.
fn readable(text: &str, otherwise: &str) -> String {
    let mut name = String::new();
    for part in text.split(|c: char| c == '.' || c == '~' || !name::is_plain_char(c)) {
        let part = part.trim();
        if !part.is_empty() {
            if !name.is_empty() {
                name.push('_');
            }
            name.push_str(part);
        }
    }
    let name: String = name.chars().take(READABLE_CHARS_MAX).collect();
    let name = name.trim();
    if name.is_empty() {
        otherwise.to_owned()
    } else {
        name.to_owned()
    }
}

fn utc(time: Timestamp, format: &str) -> String {
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ItemId {
        ItemId::new(text).expect("a test's id is an identifier")
    }

    #[test]
    fn hostile_names_become_plain_ones_and_never_meet() {
        for text in [
            "../../etc",
            "CON",
            "a/b\\c:d",
            "trailing. ",
            "\u{202e}gpj.exe",
            "2026-11~0",
            "",
            "…",
            "ünïcode Привет 日本",
        ] {
            let name = folder_name(text, &id("x"));
            assert!(name::is_plain(&name), "{text:?} became {name:?}");
            assert_ne!(
                name,
                folder_name(text, &id("y")),
                "two folders called {text:?}"
            );
        }
        let long = "ж".repeat(500);
        assert!(folder_name(&long, &id("x")).len() <= 255);
        assert!(message_name(None, &long, &IdHash::of(&id("x"))).len() + ".att.json".len() <= 255);
    }

    #[test]
    fn the_deepest_path_leaves_room_on_every_file_system() {
        let id = id("x");
        let name = folder_name(&"語".repeat(500), &id);
        let names = [&[MAIL][..], &[&*name; 300]].concat();
        assert_eq!(folder_path(&names[..1]), "Mail");
        assert_eq!(folder_path(&names[..3]), format!("Mail/{name}/{name}"));
        assert_eq!(folder_path(&names[..14]), format!("Mail/deep~0/{name}"));
        let longest = names.len() - 1;
        let longest = (1..longest)
            .map(|depth| folder_path(&names[..depth]).len())
            .max();
        let message = message_name(
            Some(Timestamp::UNIX_EPOCH),
            &"語".repeat(500),
            &IdHash::of(&id),
        );
        let rest = "/2026-11~0/".len() + message.len() + ".att.json".len();
        assert!(longest.expect("there are some") + rest < 4096 * 2 / 3);
        assert_ne!(folder_name("deep", &id), DEEP);
    }

    #[test]
    fn a_users_folder_called_like_a_month_does_not_meet_one() {
        assert_ne!(
            folder_name("2026-11", &id("x")),
            month_directory("2026-11", 0)
        );
        assert!(folder_name("2026-11", &id("x")).starts_with("2026-11~"));
    }

    #[test]
    fn a_message_is_found_again_by_its_files_names() {
        let hash = IdHash::of(&id("AAMk=="));
        let time: Timestamp = "2026-11-22T09:30:00Z".parse().expect("a valid time");
        let name = message_name(Some(time), "Re: report v1.2", &hash);
        assert_eq!(
            name,
            format!("2026-11-22 0930 Re_report v1_2~{}", hash.suffix())
        );
        for extension in [".eml", ".json", ".att.json"] {
            assert_eq!(
                suffix_of(&format!("{name}{extension}")),
                Some(hash.suffix().as_str())
            );
        }
        assert_eq!(suffix_of("2026-11~0"), None);
        assert_eq!(suffix_of("Inbox~1f0c9a2e"), None);
    }
}

//! What JSON cannot say, as MAPI properties set when the message is created.
//!
//! | property | what |
//! |---|---|
//! | `Integer 0x0E07` | message flags: without bit 8 it is no draft; bit 1 is read. Left away for drafts |
//! | `SystemTime 0x0E06`, `0x0039` | received, sent |
//! | `String 0x007D` | the header lines it came with |
//! | `String 0x1042`, `0x1039` | In-Reply-To, References |
//! | `Binary 0x0071` | its place in the conversation |
//! | [`MARK_RESTORE`], [`MARK_SOURCE`] | Keepwell's own marks |

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use model::{AccountId, ItemId, RestoreId};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::mime::Mime;
use crate::mail::json::Fields;

/// Names the restore and the item: `<restore id>:<hash of the item's id>`. By it a restore that is run again finds what it has made.
pub const MARK_RESTORE: &str = "String {d23d5c0d-6cf9-4f14-b86d-72b9967d27fe} Name KeepwellRestore";
/// Names the item wherever it was restored from: a hash of the account and the item. By it a restore in place finds copies made before.
pub const MARK_SOURCE: &str = "String {d23d5c0d-6cf9-4f14-b86d-72b9967d27fe} Name KeepwellSource";

const FLAGS: &str = "Integer 0x0E07";
const RECEIVED: &str = "SystemTime 0x0E06";
const SENT: &str = "SystemTime 0x0039";
const HEADERS: &str = "String 0x007D";
const IN_REPLY_TO: &str = "String 0x1042";
const REFERENCES: &str = "String 0x1039";
const CONVERSATION_INDEX: &str = "Binary 0x0071";

/// What a restored message carries so that it is found again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Marks {
    /// The value of [`MARK_RESTORE`].
    pub restore: String,
    /// The value of [`MARK_SOURCE`].
    pub source: String,
}

impl Marks {
    /// The marks of one item. `version` distinguishes states of an item that people edit, as a draft is; what was sent is never edited.
    #[must_use]
    pub fn new(
        restore: &RestoreId,
        account: &AccountId,
        item: &ItemId,
        version: Option<&str>,
    ) -> Self {
        Self {
            restore: format!("{restore}:{}", hash([item.as_str()])),
            source: hash([account.as_str(), item.as_str(), version.unwrap_or_default()]),
        }
    }
}

/// The first 16 bytes of SHA-256 over the parts, each ended by a zero byte, in hexadecimal digits.
fn hash<const N: usize>(parts: [&str; N]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    HEXLOWER.encode(&hash.finalize()[..16])
}

/// One property, as Graph takes it.
#[derive(Debug, Serialize)]
pub(super) struct Property {
    id: &'static str,
    value: String,
}

fn property(id: &'static str, value: impl fmt::Display) -> Property {
    Property {
        id,
        value: value.to_string(),
    }
}

/// The properties of a message, and whether its header lines had to be cut.
pub(super) fn of_message(
    fields: &Fields<'_>,
    mime: &Mime<'_>,
    marks: &Marks,
) -> (Vec<Property>, bool) {
    let mut properties = vec![
        property(MARK_RESTORE, &marks.restore),
        property(MARK_SOURCE, &marks.source),
    ];
    for (id, field) in [(RECEIVED, "receivedDateTime"), (SENT, "sentDateTime")] {
        properties.extend(fields.time(field).map(|time| property(id, time)));
    }
    let index = fields
        .text("conversationIndex")
        .filter(|index| !index.is_empty());
    properties.extend(index.map(|index| property(CONVERSATION_INDEX, index)));
    for (id, header) in [(IN_REPLY_TO, "In-Reply-To"), (REFERENCES, "References")] {
        properties.extend(mime.ids(header).map(|value| property(id, value)));
    }
    let mut cut = false;
    if !fields.flag("isDraft").unwrap_or(false) {
        let read = fields.flag("isRead").unwrap_or(false);
        properties.push(property(FLAGS, u8::from(read)));
        let (headers, was_cut) = mime.header_block();
        cut = was_cut;
        properties.extend(
            Some(headers)
                .filter(|headers| !headers.is_empty())
                .map(|headers| property(HEADERS, headers)),
        );
    }
    (properties, cut)
}

/// The properties of a message within a message, whose times are all that is known of its past.
pub(super) fn of_nested(sent: Option<Timestamp>) -> Vec<Property> {
    let times = sent.map(|time| [property(RECEIVED, time), property(SENT, time)]);
    let mut properties = vec![property(FLAGS, 1)];
    properties.extend(times.into_iter().flatten());
    properties
}

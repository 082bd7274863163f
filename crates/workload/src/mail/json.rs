//! Graph's JSON, kept as it came and read leniently.
//!
//! A record is never parsed whole and written again: what is stored are Microsoft's own bytes (survival 107). What a run must know is read
//! through views in which every field may be missing and every text may be broken.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jiff::Timestamp;
use model::{FailureCause, ItemId};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The fields of a JSON object, their values unread.
#[derive(Default)]
pub(crate) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Errors when `raw` is no object.
    pub(crate) fn of(raw: &'a RawValue) -> Result<Self> {
        serde_json::from_str(raw.get())
            .map(Self)
            .map_err(|_| Error::Answer {
                what: "an item",
                detail: "it is no JSON object",
            })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A value as it stands there; `None` when it is missing or null.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .get(name)
            .copied()
            .filter(|value| value.get() != "null")
    }

    /// A text; what is no valid Unicode in it is replaced. `None` for anything that is no text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        text(self.0.get(name)?)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    /// A time; `None` when it is missing, null or outside the years 1 to 9999, which restic can read as well (survival 58).
    pub(crate) fn time(&self, name: &str) -> Option<Timestamp> {
        /// Midnight of the first day of the year 1, in seconds.
        const FIRST: i64 = -62_135_596_800;
        let time: Timestamp = self.text(name)?.parse().ok()?;
        (time.as_second() >= FIRST).then_some(time)
    }

    /// Errors when there is no usable id.
    pub(crate) fn id(&self, name: &str) -> Result<ItemId> {
        let id = self.text(name).ok_or(Error::Answer {
            what: "an item",
            detail: "it has no id",
        })?;
        Ok(ItemId::new(id)?)
    }

    /// Whether both objects say the same, the fields named in `except` and annotations left aside.
    pub(crate) fn same_except(&self, other: &Self, except: &[&str]) -> bool {
        let counts = |(name, _): &(&String, &&RawValue)| {
            !name.contains('@') && !except.contains(&name.as_str())
        };
        let mine = self
            .0
            .iter()
            .filter(counts)
            .map(|(name, value)| (name, value.get()));
        let theirs = other
            .0
            .iter()
            .filter(counts)
            .map(|(name, value)| (name, value.get()));
        mine.eq(theirs)
    }
}

/// What a record says of a message.
#[derive(Debug)]
pub(crate) enum Record {
    /// Which message it is cannot be told, for this reason.
    Nameless(FailureCause),
    /// It left.
    Removed(ItemId),
    /// What places it is lacking: the whole message must be asked for.
    Part(ItemId),
    Whole(Headline),
    /// Our own code panicked over it.
    Defect(ItemId),
}

impl Record {
    /// Which message it is about.
    pub(crate) fn id(&self) -> Option<&ItemId> {
        match self {
            Self::Nameless(_) => None,
            Self::Removed(id) | Self::Part(id) | Self::Defect(id) => Some(id),
            Self::Whole(headline) => Some(&headline.id),
        }
    }

    /// Reads what strangers wrote. A panic over it costs this record, not the run (abuse 68).
    pub(crate) fn read(json: &RawValue) -> Self {
        let json_bytes = json.get().len();
        let named = catch_unwind(|| {
            tracing::trace!(json_bytes, "a record is named");
            let fields = Fields::of(json).ok()?;
            Some((fields.id("id").ok()?, fields))
        });
        let (id, fields) = match named {
            Ok(Some(named)) => named,
            Ok(None) => return Self::Nameless(FailureCause::BadAnswer),
            Err(_) => return Self::Nameless(FailureCause::Defect),
        };
        if fields.has("@removed") {
            return Self::Removed(id);
        }
        let headline = AssertUnwindSafe(|| {
            tracing::trace!(json_bytes, "a record is read");
            Headline::of(&fields)
        });
        match catch_unwind(headline) {
            Ok(Some(headline)) => Self::Whole(headline),
            Ok(None) => Self::Part(id),
            Err(_) => Self::Defect(id),
        }
    }
}

/// What a run must know of a message.
#[derive(Debug)]
pub(crate) struct Headline {
    pub(crate) id: ItemId,
    pub(crate) parent: ItemId,
    /// The first 8 bytes of SHA-256 of the `changeKey`.
    pub(crate) version: [u8; 8],
    pub(crate) received: Option<Timestamp>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) subject: String,
    pub(crate) has_attachments: bool,
}

impl Headline {
    /// `None` when the record lacks what places it: then the whole message must be asked for.
    pub(crate) fn of(fields: &Fields<'_>) -> Option<Self> {
        Some(Self {
            id: fields.id("id").ok()?,
            parent: fields.id("parentFolderId").ok()?,
            version: version(&fields.text("changeKey")?),
            received: fields.time("receivedDateTime"),
            modified: fields.time("lastModifiedDateTime"),
            subject: fields.text("subject").unwrap_or_default(),
            has_attachments: fields.flag("hasAttachments").unwrap_or(false),
        })
    }
}

/// How state names a version of an item.
fn version(change_key: &str) -> [u8; 8] {
    let digest = Sha256::digest(change_key);
    let mut version = [0; 8];
    version.copy_from_slice(&digest[..8]);
    version
}

/// The message's fields that change without its MIME changing: marks, and Graph's own book-keeping.
const MARKS: [&str; 8] = [
    "categories",
    "changeKey",
    "flag",
    "inferenceClassification",
    "isRead",
    "lastModifiedDateTime",
    "parentFolderId",
    // It names the place of the message.
    "webLink",
];

/// Whether a message changed only in its marks or its place, so that its MIME and attachments need not be fetched again.
pub(crate) fn only_marks_differ(old: &RawValue, new: &RawValue) -> bool {
    match (Fields::of(old), Fields::of(new)) {
        (Ok(old), Ok(new)) => old.same_except(&new, &MARKS),
        _ => false,
    }
}

/// A JSON text, lone surrogates replaced (abuse 58).
fn text(raw: &RawValue) -> Option<String> {
    match serde_json::from_str::<Option<String>>(raw.get()) {
        Ok(text) => text,
        Err(_) => serde_json::from_str::<Bytes>(raw.get())
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()),
    }
}

/// A JSON text as bytes, in which serde_json lets lone surrogates stand.
struct Bytes(Vec<u8>);

impl<'de> serde::Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("a test's JSON is valid")
    }

    #[test]
    fn a_broken_text_is_read_with_replacements() {
        let json = raw(
            r#"{"id":"a","subject":"half a \ud83d pair","isRead":null,"receivedDateTime":"0001-13-01"}"#,
        );
        let fields = Fields::of(&json).expect("an object");
        assert_eq!(
            fields.text("subject").as_deref(),
            Some("half a \u{fffd}\u{fffd}\u{fffd} pair")
        );
        assert_eq!(fields.flag("isRead"), None);
        assert_eq!(fields.time("receivedDateTime"), None);
        assert!(Fields::of(&raw("[1]")).is_err());
    }

    #[test]
    fn times_that_restic_cannot_read_are_none() {
        // Survival 58.
        let json = raw(
            r#"{"zero":"0001-01-01T00:00:00Z","early":"0000-12-31T23:59:59Z","before":"-000044-03-15T12:00:00Z"}"#,
        );
        let fields = Fields::of(&json).expect("an object");
        assert!(fields.time("zero").is_some());
        assert_eq!((fields.time("early"), fields.time("before")), (None, None));
    }

    #[test]
    fn marks_alone_leave_the_mime_as_it_is() {
        let old =
            raw(r#"{"id":"a","changeKey":"1","isRead":false,"subject":"s","@odata.etag":"x"}"#);
        let read = raw(
            r#"{"@odata.etag":"y","id":"a","changeKey":"2","isRead":true,"subject":"s","categories":["red"],"webLink":"z"}"#,
        );
        let edited = raw(r#"{"id":"a","changeKey":"2","isRead":false,"subject":"t"}"#);
        assert!(only_marks_differ(&old, &read));
        assert!(!only_marks_differ(&old, &edited));
    }
}

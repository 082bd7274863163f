//! Single-value extended properties: MAPI's own, which show parts of a message, and named ones, which programs keep their notes in.
//!
//! An id is `{type} 0x{tag}` or `{type} {guid} Name {name}` or `{type} {guid} Id 0x{tag}`. Ids are compared without regard to case, except for the name.

use std::fmt;

use uuid::Uuid;

/// The MAPI properties that this emulator understands, by tag.
pub(crate) mod tag {
    /// PR_MESSAGE_FLAGS: bit 1 is "read", bit 8 is "unsent".
    pub(crate) const FLAGS: u16 = 0x0e07;
    /// PR_MESSAGE_DELIVERY_TIME.
    pub(crate) const DELIVERED: u16 = 0x0e06;
    /// PR_CLIENT_SUBMIT_TIME.
    pub(crate) const SUBMITTED: u16 = 0x0039;
    /// PR_TRANSPORT_MESSAGE_HEADERS.
    pub(crate) const HEADERS: u16 = 0x007d;
    /// PR_INTERNET_MESSAGE_ID.
    pub(crate) const MESSAGE_ID: u16 = 0x1035;
    /// PR_INTERNET_REFERENCES.
    pub(crate) const REFERENCES: u16 = 0x1039;
    /// PR_IN_REPLY_TO_ID.
    pub(crate) const IN_REPLY_TO: u16 = 0x1042;
}

/// `read` in PR_MESSAGE_FLAGS.
pub(crate) const FLAG_READ: i64 = 1;
/// `unsent` in PR_MESSAGE_FLAGS: without it, a message is not a draft.
pub(crate) const FLAG_UNSENT: i64 = 8;

/// The id of an extended property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PropertyId {
    kind: Kind,
    name: Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    String,
    Integer,
    SystemTime,
    Boolean,
    Binary,
    Double,
    Long,
    Short,
    Float,
    Currency,
    ApplicationTime,
    Clsid,
}

impl Kind {
    const ALL: [(Self, &'static str); 12] = [
        (Self::String, "String"),
        (Self::Integer, "Integer"),
        (Self::SystemTime, "SystemTime"),
        (Self::Boolean, "Boolean"),
        (Self::Binary, "Binary"),
        (Self::Double, "Double"),
        (Self::Long, "Long"),
        (Self::Short, "Short"),
        (Self::Float, "Float"),
        (Self::Currency, "Currency"),
        (Self::ApplicationTime, "ApplicationTime"),
        (Self::Clsid, "CLSID"),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Tag(u16),
    Named(Uuid, String),
    Numbered(Uuid, u32),
}

impl PropertyId {
    /// Reads an id; nothing if it is malformed.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (kind, rest) = id.trim().split_once(' ')?;
        let (kind, _) = Kind::ALL
            .into_iter()
            .find(|(_, word)| word.eq_ignore_ascii_case(kind))?;
        let rest = rest.trim();
        if let Some(tag) = hex(rest) {
            let name = Name::Tag(u16::try_from(tag).ok()?);
            return Some(Self { kind, name });
        }
        let (guid, rest) = rest.strip_prefix('{')?.split_once('}')?;
        let guid = guid.parse().ok()?;
        let (how, what) = rest.trim_start().split_once(' ')?;
        let name = match how.to_ascii_lowercase().as_str() {
            "name" => Name::Named(guid, what.to_owned()),
            "id" => Name::Numbered(guid, hex(what.trim())?),
            _ => return None,
        };
        Some(Self { kind, name })
    }

    /// The MAPI tag, if it is one of MAPI's own properties.
    pub(crate) fn tag(&self) -> Option<u16> {
        match self.name {
            Name::Tag(tag) => Some(tag),
            _ => None,
        }
    }
}

fn hex(text: &str) -> Option<u32> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    u32::from_str_radix(digits, 16).ok()
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Kind::ALL
            .into_iter()
            .find_map(|(kind, word)| (kind == self.kind).then_some(word))
            .unwrap_or_default();
        match &self.name {
            Name::Tag(tag) => write!(f, "{word} 0x{tag:x}"),
            Name::Named(guid, name) => write!(f, "{word} {{{guid}}} Name {name}"),
            Name::Numbered(guid, id) => write!(f, "{word} {{{guid}}} Id 0x{id:x}"),
        }
    }
}

/// An extended property with its value, which is always text in Graph's JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtendedProperty {
    pub(crate) id: PropertyId,
    pub(crate) value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_compared_as_exchange_does() {
        let check = |a: &str, b: &str, same: bool| {
            let (a, b) = (PropertyId::parse(a), PropertyId::parse(b));
            assert!(a.is_some() && b.is_some(), "{a:?} {b:?}");
            assert_eq!(a == b, same, "{a:?} {b:?}");
        };
        check("Integer 0x0E07", "integer 0xe07", true);
        check("Integer 0x0E07", "String 0x0E07", false);
        let named = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name A b";
        check(named, &named.replace("f5a3", "F5A3"), true);
        check(named, &named.replace("A b", "a b"), false);
        assert_eq!(PropertyId::parse(named).expect("valid").to_string(), named);
        for bad in [
            "",
            "String",
            "Strong 0x1",
            "String {x} Name a",
            "Integer 0x123456",
            "String {66f5a359-4659-4830-9070-00047ec6ac6e} Nom a",
        ] {
            assert_eq!(PropertyId::parse(bad), None, "{bad}");
        }
    }
}

//! Names of things in a repository: SHA-256 hashes, each meaning a type of its own.
//!
//! Every stored object is named by the hash of its own bytes, every blob by the hash of its content. Which hash belongs to what is for the
//! callers to check; here is only their shape.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};
use sha2::{Digest, Sha256};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(into = "String")]
        pub struct $name(pub(crate) [u8; 32]);

        impl $name {
            /// The name of `content`: its SHA-256.
            #[must_use]
            pub fn of(content: &[u8]) -> Self {
                Self(Sha256::digest(content).into())
            }

            /// The 32 bytes of the hash.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse(text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Digits).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id! {
    /// A blob: a piece of content, or a directory.
    BlobId
}
id! {
    /// A stored object: a pack, an index file, a key, a lock. It is named by the hash of its stored bytes.
    ObjectId
}
id! {
    /// A snapshot, named like any other stored object.
    SnapshotId
}
id! {
    /// A repository: 32 random bytes, in its configuration.
    RepositoryId
}

impl From<SnapshotId> for ObjectId {
    fn from(id: SnapshotId) -> Self {
        Self(id.0)
    }
}

impl From<ObjectId> for SnapshotId {
    fn from(id: ObjectId) -> Self {
        Self(id.0)
    }
}

/// Reads the digits where they are: an index file has many ids.
struct Digits;

impl Visitor<'_> for Digits {
    type Value = [u8; 32];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 hexadecimal digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<[u8; 32], E> {
        parse(text).map_err(E::custom)
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an id is not 64 hexadecimal digits")]
pub struct NotAnId;

fn parse(text: &str) -> Result<[u8; 32], NotAnId> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return Err(NotAnId);
    }
    HEXLOWER_PERMISSIVE
        .decode_mut(text.as_bytes(), &mut bytes)
        .map_err(|_| NotAnId)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = BlobId::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!("e3b0".parse::<BlobId>(), Err(NotAnId));
        assert_eq!("g".repeat(64).parse::<BlobId>(), Err(NotAnId));
    }
}

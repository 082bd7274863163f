//! Identifiers, each a type of its own, so that none is taken for another.
//!
//! Microsoft's identifiers are opaque and case-sensitive (survival 61): they are compared byte for byte and never parsed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest identifier accepted, in bytes. Graph's message ids have about 150; the bound only keeps nonsense out.
const MAX_ID_BYTES: usize = 1024;

/// Why a text is no identifier.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdError {
    /// There is nothing in it.
    #[error("an identifier is empty")]
    Empty,
    /// It is longer than any that Microsoft gives.
    #[error("an identifier has {0} bytes, more than {MAX_ID_BYTES}")]
    TooLong(usize),
    /// It contains a control character.
    #[error("an identifier contains a control character")]
    Control,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes the identifier as it is. Errors when it is empty, over-long or has control characters.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text))
            }

            /// The identifier as Microsoft gave it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id! {
    /// A Microsoft Entra tenant (a GUID).
    TenantId
}
id! {
    /// What is protected as one. For Exchange it is the object id of the mailbox's user, which survives every renaming (survival 79, 80).
    AccountId
}
id! {
    /// An item or container as its service names it; for Exchange the immutable id.
    ItemId
}
id! {
    /// One restore, so that its repetition finds what it has already made.
    RestoreId
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        Err(IdError::Empty)
    } else if text.len() > MAX_ID_BYTES {
        Err(IdError::TooLong(text.len()))
    } else if text.chars().any(char::is_control) {
        Err(IdError::Control)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_kept_as_it_came_or_refused() {
        assert_eq!(
            ItemId::new("AAMkAD=_-x").map(|id| id.to_string()),
            Ok("AAMkAD=_-x".to_owned())
        );
        assert_ne!(
            ItemId::new("AAx"),
            ItemId::new("AAX"),
            "survival 61: the case of mail ids matters"
        );
        assert_eq!(ItemId::new(""), Err(IdError::Empty));
        assert_eq!(ItemId::new("a\nb"), Err(IdError::Control));
        assert_eq!(ItemId::new("a".repeat(2000)), Err(IdError::TooLong(2000)));
    }
}

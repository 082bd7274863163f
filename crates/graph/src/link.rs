//! An address that Microsoft made: next page, delta, upload session.
//!
//! It is opaque (survival 27): kept as it came, never taken apart, and never shown, because it holds tokens and addresses of people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// See the module's text. Serialises as a plain string, for state that must be continued by a later run.
#[derive(Clone, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Link(String);

impl Link {
    /// Takes a link as Microsoft gave it (`uploadUrl`, a stored `deltaLink`). Where it leads is checked when it is used.
    #[must_use]
    pub fn new(link: impl Into<String>) -> Self {
        Self(link.into())
    }

    /// The link as it came. Secret: for storing in encrypted state only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} bytes)", self.0.len())
    }
}

//! Pages of long lists, by key: the next page begins after the last row seen, however many come and go meanwhile.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Most rows that a page has, whatever was asked for.
pub(crate) const ROWS_MAX: u32 = 500;

/// Which way a list is sorted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Least first.
    #[default]
    Ascending,
    /// Greatest first.
    Descending,
}

impl Direction {
    pub(crate) fn order(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    pub(crate) fn beyond(self) -> &'static str {
        match self {
            Self::Ascending => ">",
            Self::Descending => "<",
        }
    }
}

/// Some rows of a list, and where the next ones begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// The rows, in the order that was asked for.
    pub rows: Vec<T>,
    /// `None` when these are the last.
    pub next: Option<PageToken>,
}

/// Where a page begins: opaque, and of use only for the list and the order that gave it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageToken(String);

/// What a token says: the list and its order, the last row's value in the sorted column, and its id.
#[derive(Deserialize, Serialize)]
pub(crate) struct After {
    pub(crate) list: String,
    pub(crate) value: Value,
    pub(crate) id: String,
}

/// A value that a list is sorted by.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Number(i64),
    Text(String),
}

impl PageToken {
    /// Takes a text that was once a token; whether it is one shows when it is used.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The token as text for a URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn new(after: &After) -> Self {
        let json = serde_json::to_vec(after).expect("a token has nothing that JSON cannot say");
        Self(BASE64URL_NOPAD.encode(&json))
    }

    /// What it says, if it belongs to this list.
    pub(crate) fn read(&self, list: &str) -> Result<After> {
        let other =
            || Error::Invalid("the page's token belongs to another list: begin at the first page");
        let json = BASE64URL_NOPAD
            .decode(self.0.as_bytes())
            .map_err(|_| other())?;
        let after = serde_json::from_slice::<After>(&json).map_err(|_| other())?;
        if after.list != list {
            return Err(other());
        }
        Ok(after)
    }
}

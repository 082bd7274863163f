//! A message as a mailbox holds it: where it lies, how it is marked, and its content.
//!
//! Content that was loaded as MIME stays MIME and is read anew whenever it is asked for, so that a mailbox costs little more memory than its
//! mails. Any change to the content turns it into a [`Letter`], whose MIME is composed.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    compose,
    extended::ExtendedProperty,
    folder::FolderKey,
    letter::{Importance, Letter},
    parse,
};

/// A message's number within its mailbox; never used twice, and kept when it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(pub(crate) u64);

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) key: MessageKey,
    /// What the default id is made of: a new one after each move.
    pub(crate) instance: u64,
    pub(crate) folder: FolderKey,
    /// The mailbox's change number at the last change.
    pub(crate) change: u64,
    /// The change number when it came into its folder.
    pub(crate) entered: u64,
    /// Whether its arrival is missing from this folder's delta, for those who ask for immutable ids.
    pub(crate) lost: bool,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    /// Kept apart because lists are sorted by it.
    pub(crate) received: Timestamp,
    pub(crate) marks: Marks,
    pub(crate) extended: Vec<ExtendedProperty>,
    pub(crate) next_attachment: u64,
    pub(crate) content: Content,
}

/// What people and rules do to a message without changing what it says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Marks {
    pub(crate) read: bool,
    pub(crate) draft: bool,
    pub(crate) categories: Vec<String>,
    pub(crate) flag: Flag,
    /// Filed under "Other" instead of "Focused".
    pub(crate) other: bool,
    /// Set after the fact; otherwise the letter's own holds.
    pub(crate) importance: Option<Importance>,
}

/// `flag`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Flag {
    pub(crate) status: FlagStatus,
    pub(crate) start: Option<ZonedText>,
    pub(crate) due: Option<ZonedText>,
    pub(crate) completed: Option<ZonedText>,
}

/// `flag.flagStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FlagStatus {
    #[default]
    NotFlagged,
    Complete,
    Flagged,
}

impl FlagStatus {
    /// The word in Graph's JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NotFlagged => "notFlagged",
            Self::Complete => "complete",
            Self::Flagged => "flagged",
        }
    }

    /// From the word in Graph's JSON.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::NotFlagged, Self::Complete, Self::Flagged]
            .into_iter()
            .find(|status| status.word().eq_ignore_ascii_case(word))
    }
}

/// `dateTimeTimeZone`, as the client gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZonedText {
    pub(crate) date_time: String,
    pub(crate) time_zone: String,
}

/// What a message says.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The bytes that were loaded.
    Mime(Bytes),
    /// Properties that a client or the world gave.
    Letter(Box<Letter>),
}

impl Content {
    /// The letter, read from MIME if need be.
    pub(crate) fn letter(&self) -> Cow<'_, Letter> {
        match self {
            Self::Mime(mime) => Cow::Owned(parse::letter(mime)),
            Self::Letter(letter) => Cow::Borrowed(letter),
        }
    }

    /// The letter, to be changed: from now on MIME is composed.
    pub(crate) fn edit(&mut self) -> &mut Letter {
        if let Self::Mime(mime) = self {
            *self = Self::Letter(Box::new(parse::letter(mime)));
        }
        match self {
            Self::Letter(letter) => letter,
            Self::Mime(_) => unreachable!("it was turned into a letter just now"),
        }
    }

    /// The MIME: as loaded, or composed, or composed also if it was loaded (`regenerate`).
    pub(crate) fn mime(&self, regenerate: bool) -> Bytes {
        match self {
            Self::Mime(mime) if !regenerate => mime.clone(),
            _ => compose::mime(&self.letter()).into(),
        }
    }

    /// When the message arrived.
    pub(crate) fn received(&self) -> Timestamp {
        match self {
            Self::Mime(mime) => parse::received(mime),
            Self::Letter(letter) => letter.received_at(),
        }
    }
}

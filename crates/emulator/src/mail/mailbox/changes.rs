//! Deltas: what changed in a folder, or among the folders, since a cursor.
//!
//! Changes are given in the order of their numbers, so that a cursor is one number and what changes while a client reads its pages simply comes
//! later once more. A departure (moved away, deleted) has a number of its own.

use std::collections::HashSet;

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{FolderKey, Mailbox, Message, MessageKey, folder};

/// How many cursors a mailbox remembers; the oldest is forgotten first, which a client sees as an expired token.
const CURSORS_MAX: usize = 50_000;

/// A message that left a folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    pub(super) change: u64,
    pub(super) key: MessageKey,
    pub(super) instance: u64,
    pub(super) moved: bool,
}

/// What a delta is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The tree of folders.
    Folders,
    /// The messages of one folder.
    Messages(FolderKey),
}

/// Which changes of messages a delta reports (`changeType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeTypes {
    pub(crate) created: bool,
    pub(crate) updated: bool,
    pub(crate) deleted: bool,
}

impl ChangeTypes {
    /// All of them, which is the default.
    pub(crate) const ALL: Self = Self {
        created: true,
        updated: true,
        deleted: true,
    };
}

/// A place in a delta. All that the first request asked for is frozen in it.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub(crate) scope: Scope,
    /// The change number that the round began from; 0 for a first listing.
    pub(crate) base: u64,
    /// Everything up to this change number has been given.
    pub(crate) at: u64,
    /// The mailbox's change number when the round began.
    pub(crate) start: u64,
    pub(crate) select: Option<String>,
    pub(crate) filter: Option<String>,
    pub(crate) expand: Option<String>,
    pub(crate) page_size: Option<usize>,
    pub(crate) change_types: ChangeTypes,
    /// Whether the page before this one was empty on purpose.
    pub(crate) paused: bool,
    pub(crate) issued: Timestamp,
}

impl Cursor {
    /// The beginning of a first listing.
    pub(crate) fn first(scope: Scope, start: u64, now: Timestamp) -> Self {
        Self {
            scope,
            base: 0,
            at: 0,
            start,
            select: None,
            filter: None,
            expand: None,
            page_size: None,
            change_types: ChangeTypes::ALL,
            paused: false,
            issued: now,
        }
    }
}

/// One thing that a delta reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The message is in the folder.
    Message(MessageKey),
    /// The message left the folder.
    MessageGone {
        key: MessageKey,
        instance: u64,
        moved: bool,
    },
    /// The folder is there.
    Folder(FolderKey),
    /// The folder was deleted.
    FolderGone(FolderKey),
}

/// How the ids of the client see moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// With immutable ids a message that left and came back is one.
    pub(crate) immutable: bool,
    /// Whether such a message shows only as having left.
    pub(crate) returns_lost: bool,
    /// Whether hidden folders are reported.
    pub(crate) hidden: bool,
}

impl Mailbox {
    /// The number of the last change: where a round that begins now ends at the earliest.
    pub(crate) fn last_change(&self) -> u64 {
        self.change
    }

    /// What comes after a cursor, with each change's number, in order.
    pub(crate) fn changes_after(&self, cursor: &Cursor, view: View) -> Vec<(u64, Change)> {
        let mut changes = match cursor.scope {
            Scope::Folders => self.folder_changes(cursor, view),
            Scope::Messages(folder) => self.message_changes(folder, cursor, view),
        };
        changes.sort_by_key(|(number, _)| *number);
        changes
    }

    fn message_changes(
        &self,
        folder: FolderKey,
        cursor: &Cursor,
        view: View,
    ) -> Vec<(u64, Change)> {
        let departures = self.departures_after(folder, after(cursor));
        // Counted from the beginning of the round, because the departure may stand on an earlier page than the return.
        let left: HashSet<MessageKey> = self
            .departures_after(folder, cursor.base)
            .iter()
            .map(|gone| gone.key)
            .collect();
        // Exchange loses arrivals only from those who ask for immutable ids, and never from a first listing.
        let may_lose = view.immutable && cursor.base > 0;
        let is_lost = |message: &Message| {
            may_lose && (message.lost || (view.returns_lost && left.contains(&message.key)))
        };
        let mut changes = Vec::new();
        let types = cursor.change_types;
        let range = (folder, cursor.at + 1)..=(folder, u64::MAX);
        for ((_, number), key) in self.order.range(range) {
            let Some(message) = self.message(*key) else {
                continue;
            };
            let wanted = match message.entered > cursor.base {
                true => types.created,
                false => types.updated,
            };
            if wanted && !is_lost(message) {
                changes.push((*number, Change::Message(*key)));
            }
        }
        for gone in departures.iter().take_while(|_| types.deleted) {
            let back = self.message(gone.key).filter(|now| now.folder == folder);
            // With immutable ids it has the same id as the message that is there now.
            if view.immutable && back.is_some_and(|message| !is_lost(message)) {
                continue;
            }
            let change = Change::MessageGone {
                key: gone.key,
                instance: gone.instance,
                moved: gone.moved,
            };
            changes.push((gone.change, change));
        }
        changes
    }

    fn departures_after(&self, folder: FolderKey, change: u64) -> &[Departure] {
        let all = self.departures.get(&folder).map_or(&[][..], Vec::as_slice);
        let first = all.partition_point(|gone| gone.change <= change);
        &all[first..]
    }

    fn folder_changes(&self, cursor: &Cursor, view: View) -> Vec<(u64, Change)> {
        let mut changes: Vec<_> = self
            .folders()
            .filter(|folder| folder.change > cursor.at && self.is_reported(folder.key, view))
            .map(|folder| (folder.change, Change::Folder(folder.key)))
            .collect();
        let after = after(cursor);
        let gone = self
            .folder_departures
            .iter()
            .filter(|(number, _)| *number > after);
        changes.extend(gone.map(|(number, key)| (*number, Change::FolderGone(*key))));
        changes
    }

    /// Whether the delta of the tree knows a folder: not the roots, nor what is outside of what people see.
    fn is_reported(&self, key: FolderKey, view: View) -> bool {
        let mut at = key;
        while let Some(folder) = self.folder(at) {
            if folder.hidden && !view.hidden {
                return false;
            }
            if folder.parent == folder::TOP {
                return true;
            }
            if folder.parent == at || folder.parent == folder::ROOT {
                return false;
            }
            at = folder.parent;
        }
        false
    }

    /// Remembers a cursor and gives the token that stands for it.
    pub(crate) fn keep_cursor(&mut self, cursor: Cursor) -> String {
        self.next_token += 1;
        let number = self.next_token;
        self.tokens.insert(number, cursor);
        if self.tokens.len() > CURSORS_MAX {
            self.tokens.pop_first();
        }
        self.token(number)
    }

    /// The cursor that a token stands for, unless it is unknown or forgotten.
    pub(crate) fn cursor(&self, token: &str) -> Option<&Cursor> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let hidden: [u8; 8] = bytes.get(..8)?.try_into().ok()?;
        let number = u64::from_be_bytes(hidden) ^ self.mask();
        (self.token(number) == token)
            .then(|| self.tokens.get(&number))
            .flatten()
    }

    /// Forgets all cursors: every delta link given so far gets 410 `SyncStateNotFound`.
    pub fn expire_delta_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Clients must not find structure in a token, so the number is masked and most of it is a hash.
    fn token(&self, number: u64) -> String {
        let mut bytes = (number ^ self.mask()).to_be_bytes().to_vec();
        for part in 0..3_u8 {
            let mut hash = Sha256::new();
            hash.update(self.guid.as_bytes());
            hash.update(number.to_be_bytes());
            hash.update([part]);
            bytes.extend(hash.finalize());
        }
        BASE64URL_NOPAD.encode(&bytes)
    }

    fn mask(&self) -> u64 {
        let digest: [u8; 32] = Sha256::digest(self.guid.as_bytes()).into();
        u64::from_be_bytes(std::array::from_fn(|at| digest[at]))
    }
}

/// From where departures count: a first listing needs only those since it began.
fn after(cursor: &Cursor) -> u64 {
    if cursor.base == 0 {
        cursor.at.max(cursor.start)
    } else {
        cursor.at
    }
}

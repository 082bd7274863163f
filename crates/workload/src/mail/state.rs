//! What a run must know of the runs before it, kept in the snapshot itself, so that data and cursors can never disagree.
//!
//! Three kinds of records, all small, so that a change rewrites little: a record for each folder (`folders`), an entry for each message
//! (`items`), and the ledger of what could not be copied (`ledger`). The byte layouts are in `docs/format/mail.md`.

use bytes::Bytes;
use repository::{Draft, File};

use crate::{Error, Result};

mod account;
mod folders;
mod items;
mod ledger;

pub(crate) use account::AccountRecord;
pub(crate) use folders::{Cursor, FolderRecord, Folders, decode as decode_folder};
pub(crate) use items::{Entry, Items, find as find_entry};
#[cfg(any(fuzzing, test))]
pub(crate) use items::{decode as decode_shard, encode as encode_shard};
pub(crate) use ledger::Ledger;

/// Writes a record of state to the draft.
async fn put(draft: &mut Draft, path: &str, bytes: Bytes) -> Result<()> {
    const WHAT: &str = "the state of the mailbox";
    let content = draft
        .writer()
        .store_state(bytes)
        .await
        .map_err(Error::repository(WHAT))?;
    draft
        .put(
            path,
            File {
                content,
                mtime: jiff::Timestamp::UNIX_EPOCH,
            },
        )
        .await
        .map_err(Error::repository(WHAT))
}

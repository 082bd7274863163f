//! From a call to what it is about: the mailbox, locked, and the folder or message that an id means.

use std::sync::PoisonError;

use super::{
    folder::{self, FolderKey},
    id::IdForm,
    mailbox::Mailbox,
    message::MessageKey,
};
use crate::{Call, GraphError};

/// The largest request body that Exchange takes in one piece.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// No id of Exchange is shorter.
const ID_CHARS_MIN: usize = 24;

/// Runs `work` on the mailbox of the call, alone.
pub(crate) fn with_mailbox<T>(
    call: &Call,
    work: impl FnOnce(&mut Mailbox) -> Result<T, GraphError>,
) -> Result<T, GraphError> {
    if call.body.len() > BODY_BYTES_MAX {
        return Err(GraphError::too_large());
    }
    let shared = call.mailbox()?;
    let mut mailbox = shared.lock().unwrap_or_else(PoisonError::into_inner);
    work(&mut mailbox)
}

/// Which ids the client prefers.
pub(crate) fn id_form(call: &Call) -> IdForm {
    if call.prefer.immutable_ids {
        IdForm::Immutable
    } else {
        IdForm::Default
    }
}

/// The folder in the path.
pub(crate) fn folder(call: &Call, mailbox: &Mailbox) -> Result<FolderKey, GraphError> {
    folder_by_id(mailbox, call.param("folder"))
}

/// The folder that an id or a well-known name means.
pub(crate) fn folder_by_id(mailbox: &Mailbox, id: &str) -> Result<FolderKey, GraphError> {
    match mailbox.find_folder(id) {
        Some(key) => Ok(key),
        None => Err(not_found(id)),
    }
}

/// The message in the path; in a path with a folder it must lie there.
pub(crate) fn message(call: &Call, mailbox: &Mailbox) -> Result<MessageKey, GraphError> {
    let id = call.param("message");
    let key = mailbox.find_message(id).ok_or_else(|| not_found(id))?;
    let behaviour = &call.tenant.behaviour.mail;
    let by_immutable = mailbox.ids.read_immutable(id).is_some();
    if by_immutable && !call.prefer.immutable_ids && !behaviour.immutable_ids_always {
        return Err(GraphError::item_not_found());
    }
    let parent = mailbox.existing_message(key)?.folder;
    let wanted = match call.params.iter().any(|(name, _)| *name == "folder") {
        true => folder(call, mailbox)?,
        false if parent == folder::RECOVERABLE && !behaviour.deleted_by_id => {
            return Err(GraphError::item_not_found());
        }
        false => parent,
    };
    if wanted == parent {
        Ok(key)
    } else {
        Err(GraphError::item_not_found())
    }
}

/// 404, or 400 for what cannot be an id.
fn not_found(id: &str) -> GraphError {
    let in_alphabet = |b: u8| b.is_ascii_alphanumeric() || b"-_=".contains(&b);
    let like_an_id = id.len() >= ID_CHARS_MIN && id.bytes().all(in_alphabet);
    let possible = like_an_id || folder::well_known(id).is_some();
    if possible {
        GraphError::item_not_found()
    } else {
        GraphError::malformed_id()
    }
}

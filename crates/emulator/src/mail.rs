//! Mailboxes: folders, messages, attachments. (Being written.)

use crate::Route;

/// A mailbox.
#[derive(Debug)]
pub struct Mailbox;

/// The rows that this module serves.
pub(crate) fn routes() -> Vec<Route> {
    Vec::new()
}

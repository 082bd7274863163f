//! Mailboxes: folders, messages and attachments, and the routes that serve them.
//!
//! `mailbox` is the state and knows nothing of HTTP; `letter`, `parse` and `compose` turn MIME into what a message says and back; `read_json` and
//! `write_json` do the same for Graph's JSON; the `*_routes` modules are the handlers.

mod access;
mod attachment_routes;
mod behaviour;
pub(crate) mod compose;
mod delta_routes;
mod extended;
mod folder;
mod folder_routes;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod id;
mod inspect;
mod letter;
mod mailbox;
mod message;
mod message_routes;
mod parse;
mod read_json;
mod schema;
mod show;
mod table;
mod upload;
mod write_json;

pub use behaviour::MailBehaviour;
pub use folder::FolderKey;
pub use inspect::{FolderView, MessageView};
pub use mailbox::Mailbox;
pub use message::MessageKey;

pub(crate) use folder::{DRAFTS, INBOX, SENT, TOP, named as folder_named};
pub(crate) use letter::{Attachment, AttachmentKind, Importance, Letter, Person};
pub(crate) use message::{Content, Flag, FlagStatus, Marks, ZonedText};
pub(crate) use table::routes;

//! Mailboxes: folders, messages and attachments, and the routes that serve them.
//!
//! `mailbox` is the state and knows nothing of HTTP; `letter`, `parse` and `compose` turn MIME into what a message says and back; `read_json` and
//! `write_json` do the same for Graph's JSON; the `*_routes` modules are the handlers.

mod access;
mod attachment_routes;
mod behaviour;
mod compose;
mod delta_routes;
mod extended;
mod folder;
mod folder_routes;
mod id;
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
pub use mailbox::Mailbox;
pub use message::MessageKey;
pub(crate) use table::routes;

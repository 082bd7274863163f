//! A mailbox's mail: backed up to `.eml` files with Graph's JSON beside them, read back, and restored.
//!
//! `backup` records what changed, [`Archive`] reads a snapshot, [`restore`] puts messages back, [`repair`] notes what is to be fetched again. `layout` and `state` say what lies where; the
//! page `docs/format/mail.md` describes both for whoever reads a repository without Keepwell. Calendars, contacts and tasks are other modules.

mod archive;
pub mod backup;
pub mod compose;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod json;
mod layout;
mod outline;
pub mod repair;
pub mod restore;
mod state;

pub use archive::{Archive, Folder, Found, Listed, Message, MessageRef, Search};
pub(crate) use archive::{MimeFile, Outlined};
pub use outline::Outline;

//! A look into a mailbox without HTTP, for tests and for comparing a copy with the original.

use bytes::Bytes;
use serde_json::Value;

use super::{
    folder::{self, Folder, FolderKey},
    id::IdForm,
    mailbox::Mailbox,
    message::{Message, MessageKey},
    read_json::{self, Manner},
};

/// A folder as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderView {
    /// Its number.
    pub key: FolderKey,
    /// Its id.
    pub id: String,
    /// The display names from the top down, its own last.
    pub path: Vec<String>,
    /// The name that Microsoft knows it by, for example `inbox`.
    pub well_known: Option<&'static str>,
    /// Whether it is listed only when asked for.
    pub hidden: bool,
}

/// A message as it is now.
#[derive(Clone, Debug)]
pub struct MessageView {
    /// Its number.
    pub key: MessageKey,
    /// Its immutable id.
    pub id: String,
    /// The id of the folder that it lies in.
    pub folder_id: String,
    /// What `$value` gives.
    pub mime: Bytes,
    /// What a GET gives, with immutable ids, but for the context.
    pub json: Value,
}

impl Mailbox {
    /// All folders that people can see or ask for, hidden ones included, in the order in which they were made.
    pub fn folder_views(&self) -> impl Iterator<Item = FolderView> {
        self.folders()
            .filter(|folder| self.is_below_top(folder.key))
            .map(|folder| FolderView {
                key: folder.key,
                id: self.ids.folder(folder.key.0),
                path: self.path(folder.key),
                well_known: folder.well_known,
                hidden: folder.hidden,
            })
    }

    /// All messages but the recoverable ones, made as they are asked for, since all of them at once need not fit into memory.
    pub fn message_views(&self) -> impl Iterator<Item = MessageView> {
        self.messages_in(None)
            .into_iter()
            .map(|message| self.message_view(message))
    }

    /// The message that an id means, in either form; nothing if it is gone or recoverable.
    #[must_use]
    pub fn view_message(&self, id: &str) -> Option<MessageView> {
        let key = self.find_message(id)?;
        let mut messages = self.messages_in(None).into_iter();
        let found = messages.find(|message| message.key == key)?;
        Some(self.message_view(found))
    }

    /// How many messages there are, without the recoverable ones.
    #[must_use]
    pub fn message_count(&self) -> usize {
        self.messages_in(None).len()
    }

    /// The folder that a message lies in.
    #[must_use]
    pub fn message_home(&self, key: MessageKey) -> Option<FolderKey> {
        self.message(key).map(|message| message.folder)
    }

    /// The id that a message has until it moves.
    #[must_use]
    pub fn default_id(&self, key: MessageKey) -> Option<String> {
        let message = self.message(key)?;
        Some(self.message_id(message, IdForm::Default))
    }

    fn message_view(&self, message: &Message) -> MessageView {
        let wants = |name: &str| name != "internetMessageHeaders" && name != "uniqueBody";
        let manner = Manner {
            form: IdForm::Immutable,
            text_bodies: false,
            wants: &wants,
            extended: None,
        };
        MessageView {
            key: message.key,
            id: self.message_id(message, IdForm::Immutable),
            folder_id: self.ids.folder(message.folder.0),
            mime: message.content.mime(false),
            json: read_json::message(self, message, &manner),
        }
    }

    /// The folders that people see.
    pub(crate) fn visible_folders(&self) -> impl Iterator<Item = &Folder> {
        self.folders()
            .filter(|folder| !folder.hidden && self.is_below_top(folder.key))
    }

    fn is_below_top(&self, key: FolderKey) -> bool {
        key != folder::TOP && self.ancestors(key).any(|above| above == folder::TOP)
    }
}

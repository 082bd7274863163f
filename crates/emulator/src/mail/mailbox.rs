//! A mailbox: a tree of folders, their messages, and a log of changes that deltas are read from.
//!
//! One number counts all changes of a mailbox. It makes change keys, orders deltas, and numbers what is new. Nothing here knows of HTTP:
//! callers give the time and keys, and get errors in Exchange's words.

mod changes;
mod folders;
mod messages;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    folder::{self, Folder, FolderKey},
    id::{IdForm, Ids},
    message::{Message, MessageKey},
};

use changes::Departure;
pub(crate) use changes::{Change, ChangeTypes, Cursor, Scope, View};

/// A mailbox.
#[derive(Debug)]
pub struct Mailbox {
    pub(crate) ids: Ids,
    pub(crate) address: String,
    /// The number of the last change.
    change: u64,
    folders: BTreeMap<FolderKey, Folder>,
    /// Which folder has a name, in lower case, below a parent.
    names: BTreeMap<(FolderKey, String), FolderKey>,
    messages: BTreeMap<MessageKey, Message>,
    /// Which message lies in a folder, by the number of its last change.
    order: BTreeMap<(FolderKey, u64), MessageKey>,
    /// Which message has a default id.
    instances: HashMap<u64, MessageKey>,
    departures: BTreeMap<FolderKey, Vec<Departure>>,
    folder_departures: Vec<(u64, FolderKey)>,
    tokens: BTreeMap<u64, Cursor>,
    next_token: u64,
    pub(crate) uploads: BTreeMap<u64, super::upload::Upload>,
    pub(crate) next_upload: u64,
    guid: Uuid,
}

impl Mailbox {
    /// An empty mailbox with the usual folders. `guid` makes its ids: two mailboxes of a tenant must differ in it.
    #[must_use]
    pub fn new(guid: Uuid, address: &str) -> Self {
        Self {
            ids: Ids::new(guid),
            address: address.to_owned(),
            change: folder::FIRST_FREE,
            folders: folder::initial().map(|f| (f.key, f)).collect(),
            names: folder::initial()
                .filter(|f| f.key != folder::ROOT)
                .map(|f| ((f.parent, f.name.to_lowercase()), f.key))
                .collect(),
            messages: BTreeMap::new(),
            order: BTreeMap::new(),
            instances: HashMap::new(),
            departures: BTreeMap::new(),
            folder_departures: Vec::new(),
            tokens: BTreeMap::new(),
            next_token: 0,
            uploads: BTreeMap::new(),
            next_upload: 0,
            guid,
        }
    }

    /// The next number of change.
    fn bump(&mut self) -> u64 {
        self.change += 1;
        self.change
    }

    /// A folder.
    pub(crate) fn folder(&self, key: FolderKey) -> Option<&Folder> {
        self.folders.get(&key)
    }

    /// A message.
    pub(crate) fn message(&self, key: MessageKey) -> Option<&Message> {
        self.messages.get(&key)
    }

    /// The messages of a folder, or of all folders that people see.
    pub(crate) fn messages_in(&self, folder: Option<FolderKey>) -> Vec<&Message> {
        match folder {
            Some(folder) => {
                let range = (folder, 0)..=(folder, u64::MAX);
                self.order
                    .range(range)
                    .filter_map(|(_, key)| self.messages.get(key))
                    .collect()
            }
            None => self
                .messages
                .values()
                .filter(|message| message.folder != folder::RECOVERABLE)
                .collect(),
        }
    }

    /// A message's id in one of its forms.
    pub(crate) fn message_id(&self, message: &Message, form: IdForm) -> String {
        match form {
            IdForm::Default => self.ids.message(message.instance),
            IdForm::Immutable => self.ids.immutable(message.key.0),
        }
    }

    /// The key of the folder that an id or a well-known name means.
    #[must_use]
    pub fn find_folder(&self, id: &str) -> Option<FolderKey> {
        let key = folder::well_known(id).or_else(|| self.ids.read_folder(id).map(FolderKey))?;
        self.folders.contains_key(&key).then_some(key)
    }

    /// The message that an id means, in either form.
    #[must_use]
    pub fn find_message(&self, id: &str) -> Option<MessageKey> {
        let immutable = self.ids.read_immutable(id).map(MessageKey);
        let key = immutable.or_else(|| {
            let instance = self.ids.read_message(id)?;
            self.instances.get(&instance).copied()
        })?;
        self.messages.contains_key(&key).then_some(key)
    }

    /// What `$value` gives for a message: the bytes that were loaded, or composed ones.
    #[must_use]
    pub fn mime(&self, key: MessageKey) -> Option<Bytes> {
        self.message(key).map(|message| message.content.mime(false))
    }

    /// The mailbox's own id.
    #[must_use]
    pub fn guid(&self) -> Uuid {
        self.guid
    }

    /// Deletes all messages and all folders that are not built in, beyond recovery. Deltas report it.
    pub fn clear(&mut self, now: Timestamp) {
        let messages: Vec<_> = self.messages.keys().copied().collect();
        for key in messages {
            self.purge_message(key);
        }
        let folders: Vec<_> = self
            .folders
            .values()
            .filter(|folder| folder.parent == folder::TOP && folder.key.0 >= folder::FIRST_FREE)
            .map(|folder| folder.key)
            .chain(self.nested_in_built_in())
            .collect();
        for key in folders {
            self.remove_folder(key, now);
        }
    }
}

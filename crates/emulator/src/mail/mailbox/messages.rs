//! What is done to messages.

use bytes::Bytes;
use jiff::Timestamp;

use super::{FolderKey, Mailbox, Message, MessageKey, changes::Departure, folder};
use crate::{
    GraphError,
    mail::{
        extended::ExtendedProperty,
        message::{Content, Marks},
    },
};

impl Mailbox {
    /// Puts a message into a folder, as the world and arriving mail do.
    ///
    /// # Errors
    /// 404 if there is no such folder.
    pub(crate) fn add_message(
        &mut self,
        folder: FolderKey,
        content: Content,
        marks: Marks,
        extended: Vec<ExtendedProperty>,
        now: Timestamp,
    ) -> Result<MessageKey, GraphError> {
        self.existing(folder)?;
        let change = self.bump();
        let key = MessageKey(change);
        let next_attachment = match &content {
            Content::Letter(letter) => letter.attachments.len() as u64,
            // Numbers of attachments that are read from MIME are their positions.
            Content::Mime(_) => 0,
        };
        self.insert(Message {
            key,
            instance: change,
            folder,
            change,
            entered: change,
            lost: false,
            created: now,
            modified: now,
            received: content.received(),
            marks,
            extended,
            next_attachment,
            content,
        });
        Ok(key)
    }

    /// Lets a mail arrive, unread.
    ///
    /// # Errors
    /// 404 if there is no such folder.
    pub fn deliver(
        &mut self,
        folder: FolderKey,
        mime: Bytes,
        now: Timestamp,
    ) -> Result<MessageKey, GraphError> {
        let content = Content::Mime(mime);
        self.add_message(folder, content, Marks::default(), Vec::new(), now)
    }

    /// Changes a message in place; the change key and the time of modification follow.
    ///
    /// # Errors
    /// 404 if there is no such message; what `change` refuses leaves the message as it was.
    pub(crate) fn change_message<T>(
        &mut self,
        key: MessageKey,
        now: Timestamp,
        change: impl FnOnce(&mut Message) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let mut message = self.existing_message(key)?.clone();
        let result = change(&mut message)?;
        self.take(key);
        message.change = self.bump();
        message.modified = now;
        message.lost = false;
        message.received = message.content.received();
        self.insert(message);
        Ok(result)
    }

    /// Moves a message; its default id changes. With `lost`, the target folder's delta with immutable ids
    /// does not report it until it changes again; if it came back to a folder that it left, that delta reports only that it left.
    ///
    /// # Errors
    /// 404 if the message or the folder is missing.
    pub fn move_message(
        &mut self,
        key: MessageKey,
        target: FolderKey,
        lost: bool,
        now: Timestamp,
    ) -> Result<(), GraphError> {
        self.existing(target)?;
        let from = self.existing_message(key)?.folder;
        if from == target {
            // Exchange accepts it and gives the message a new default id.
            return self.reinsert(key, target, false, now);
        }
        self.reinsert(key, target, lost, now)
    }

    fn reinsert(
        &mut self,
        key: MessageKey,
        target: FolderKey,
        lost: bool,
        now: Timestamp,
    ) -> Result<(), GraphError> {
        let mut message = self.take(key).ok_or_else(GraphError::item_not_found)?;
        self.depart(&message, target != folder::RECOVERABLE);
        let change = self.bump();
        message.instance = change;
        message.change = change;
        message.entered = change;
        message.folder = target;
        message.modified = now;
        message.lost = lost;
        self.insert(message);
        Ok(())
    }

    /// Copies a message.
    ///
    /// # Errors
    /// 404 if the message or the folder is missing.
    pub fn copy_message(
        &mut self,
        key: MessageKey,
        target: FolderKey,
        now: Timestamp,
    ) -> Result<MessageKey, GraphError> {
        self.existing(target)?;
        let mut copy = self.existing_message(key)?.clone();
        let change = self.bump();
        copy.key = MessageKey(change);
        copy.instance = change;
        copy.change = change;
        copy.entered = change;
        copy.folder = target;
        copy.lost = false;
        copy.created = now;
        copy.modified = now;
        let key = copy.key;
        self.insert(copy);
        Ok(key)
    }

    /// Deletes a message: it goes to the recoverable items, or, from there, for good.
    ///
    /// # Errors
    /// 404 if there is no such message.
    pub fn delete_message(&mut self, key: MessageKey, now: Timestamp) -> Result<(), GraphError> {
        if self.existing_message(key)?.folder == folder::RECOVERABLE {
            self.purge_message(key);
            return Ok(());
        }
        self.reinsert(key, folder::RECOVERABLE, false, now)
    }

    /// Deletes a message beyond recovery. Nothing happens if there is none.
    pub fn purge_message(&mut self, key: MessageKey) {
        if let Some(message) = self.take(key) {
            self.depart(&message, false);
        }
    }

    pub(crate) fn existing_message(&self, key: MessageKey) -> Result<&Message, GraphError> {
        self.messages
            .get(&key)
            .ok_or_else(GraphError::item_not_found)
    }

    fn insert(&mut self, message: Message) {
        self.instances.insert(message.instance, message.key);
        self.order
            .insert((message.folder, message.change), message.key);
        self.messages.insert(message.key, message);
    }

    fn take(&mut self, key: MessageKey) -> Option<Message> {
        let message = self.messages.remove(&key)?;
        self.instances.remove(&message.instance);
        self.order.remove(&(message.folder, message.change));
        Some(message)
    }

    fn depart(&mut self, message: &Message, moved: bool) {
        let change = self.bump();
        self.departures
            .entry(message.folder)
            .or_default()
            .push(Departure {
                change,
                key: message.key,
                instance: message.instance,
                moved,
            });
    }
}

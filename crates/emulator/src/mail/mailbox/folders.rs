//! What is done to folders.

use jiff::Timestamp;

use super::{Folder, FolderKey, Mailbox, folder};
use crate::GraphError;

/// How deep folders may be nested, as in Exchange.
const DEPTH_MAX: usize = 300;

/// The numbers that a folder shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) children: usize,
    pub(crate) messages: usize,
    pub(crate) unread: usize,
}

impl Mailbox {
    /// All folders, also hidden ones, in the order in which they were made.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Folder> {
        self.folders.values()
    }

    /// The folders directly below one, by name.
    pub(crate) fn children(&self, parent: FolderKey) -> impl Iterator<Item = &Folder> {
        let first = (parent, String::new());
        let below = self
            .names
            .range(first..)
            .take_while(move |((at, _), _)| *at == parent);
        below.filter_map(|(_, key)| self.folders.get(key))
    }

    /// The folder of that name, in any case, below another.
    #[must_use]
    pub fn child(&self, parent: FolderKey, name: &str) -> Option<FolderKey> {
        self.names.get(&(parent, name.to_lowercase())).copied()
    }

    /// The numbers that a folder shows; hidden sub-folders count.
    pub(crate) fn counts(&self, key: FolderKey) -> Counts {
        let messages = self.messages_in(Some(key));
        Counts {
            children: self.children(key).count(),
            messages: messages.len(),
            unread: messages.iter().filter(|m| !m.marks.read).count(),
        }
    }

    /// The display names from the top down; empty for the top itself.
    pub(crate) fn path(&self, key: FolderKey) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = key;
        while let Some(folder) = self.folders.get(&at) {
            if at == folder::TOP || at == folder::ROOT {
                break;
            }
            names.push(folder.name.clone());
            at = folder.parent;
        }
        names.reverse();
        names
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// 409 `ErrorFolderExists` if there is one of that name, in any case, below the same parent; 403 outside of what people see.
    pub fn create_folder(
        &mut self,
        parent: FolderKey,
        name: &str,
        hidden: bool,
    ) -> Result<FolderKey, GraphError> {
        self.check_name(parent, name, None)?;
        if self.depth(parent) >= DEPTH_MAX {
            return Err(GraphError::invalid_request(
                "The maximum folder depth has been exceeded.",
            ));
        }
        let change = self.bump();
        let key = FolderKey(change);
        self.names.insert((parent, name.to_lowercase()), key);
        self.folders.insert(
            key,
            Folder {
                key,
                parent,
                name: name.to_owned(),
                well_known: None,
                hidden,
                change,
            },
        );
        Ok(key)
    }

    /// Gives a folder another name.
    ///
    /// # Errors
    /// 409 `ErrorFolderExists` if a sibling has that name; 404 if there is no such folder.
    pub fn rename_folder(&mut self, key: FolderKey, name: &str) -> Result<(), GraphError> {
        let parent = self.existing(key)?.parent;
        self.check_name(parent, name, Some(key))?;
        self.place(key, parent, name);
        Ok(())
    }

    /// Moves a folder with all in it. Its id and those of its messages stay.
    ///
    /// # Errors
    /// 409 `ErrorFolderExists` on a clash of names; 400 for a built-in folder or a move below itself; 404 if either is missing.
    pub fn move_folder(&mut self, key: FolderKey, parent: FolderKey) -> Result<(), GraphError> {
        let folder = self.existing(key)?;
        if folder.key.0 < folder::FIRST_FREE {
            return Err(GraphError::new(
                http::StatusCode::BAD_REQUEST,
                "ErrorMoveDistinguishedFolder",
                "Distinguished folders cannot be moved.",
            ));
        }
        let name = folder.name.clone();
        self.check_not_below(key, parent)?;
        self.check_name(parent, &name, Some(key))?;
        self.place(key, parent, &name);
        Ok(())
    }

    /// Gives an existing folder this parent and name.
    fn place(&mut self, key: FolderKey, parent: FolderKey, name: &str) {
        let change = self.bump();
        if let Some(folder) = self.folders.get_mut(&key) {
            self.names
                .remove(&(folder.parent, folder.name.to_lowercase()));
            self.names.insert((parent, name.to_lowercase()), key);
            folder.parent = parent;
            folder.name = name.to_owned();
            folder.change = change;
        }
    }

    /// Copies a folder with all in it.
    ///
    /// # Errors
    /// As [`Mailbox::create_folder`]; 400 for a copy below itself; 404 if either is missing.
    pub fn copy_folder(
        &mut self,
        key: FolderKey,
        parent: FolderKey,
        now: Timestamp,
    ) -> Result<FolderKey, GraphError> {
        let (name, hidden) = {
            let folder = self.existing(key)?;
            (folder.name.clone(), folder.hidden)
        };
        self.check_not_below(key, parent)?;
        let children: Vec<_> = self.children(key).map(|child| child.key).collect();
        let messages: Vec<_> = self.messages_in(Some(key)).iter().map(|m| m.key).collect();
        let copy = self.create_folder(parent, &name, hidden)?;
        for message in messages {
            self.copy_message(message, copy, now)?;
        }
        for child in children {
            self.copy_folder(child, copy, now)?;
        }
        Ok(copy)
    }

    /// Deletes a folder and those below it; their messages can be recovered.
    ///
    /// # Errors
    /// 400 `ErrorDeleteDistinguishedFolder` for a built-in folder; 404 if there is no such folder.
    pub fn delete_folder(&mut self, key: FolderKey, now: Timestamp) -> Result<(), GraphError> {
        self.existing(key)?;
        if key.0 < folder::FIRST_FREE {
            return Err(GraphError::new(
                http::StatusCode::BAD_REQUEST,
                "ErrorDeleteDistinguishedFolder",
                "Distinguished folders cannot be deleted.",
            ));
        }
        self.remove_folder(key, now);
        Ok(())
    }

    pub(super) fn remove_folder(&mut self, key: FolderKey, now: Timestamp) {
        let children: Vec<_> = self.children(key).map(|child| child.key).collect();
        for child in children {
            self.remove_folder(child, now);
        }
        let messages: Vec<_> = self.messages_in(Some(key)).iter().map(|m| m.key).collect();
        for message in messages {
            // The message exists, because it was listed just now.
            let _ = self.delete_message(message, now);
        }
        if let Some(folder) = self.folders.remove(&key) {
            self.names
                .remove(&(folder.parent, folder.name.to_lowercase()));
        }
        self.departures.remove(&key);
        let change = self.bump();
        self.folder_departures.push((change, key));
    }

    /// The topmost folders that are not built in, but lie in one that is.
    pub(super) fn nested_in_built_in(&self) -> Vec<FolderKey> {
        self.folders
            .values()
            .filter(|folder| folder.key.0 >= folder::FIRST_FREE)
            .filter(|folder| folder.parent != folder::TOP && folder.parent.0 < folder::FIRST_FREE)
            .map(|folder| folder.key)
            .collect()
    }

    pub(super) fn existing(&self, key: FolderKey) -> Result<&Folder, GraphError> {
        self.folders
            .get(&key)
            .ok_or_else(GraphError::item_not_found)
    }

    /// The folder itself and all above it.
    pub(crate) fn ancestors(&self, key: FolderKey) -> impl Iterator<Item = FolderKey> {
        std::iter::successors(Some(key), |at| {
            let parent = self.folders.get(at)?.parent;
            (parent != *at).then_some(parent)
        })
    }

    fn depth(&self, key: FolderKey) -> usize {
        self.ancestors(key).count()
    }

    /// A folder cannot get below itself.
    fn check_not_below(&self, key: FolderKey, parent: FolderKey) -> Result<(), GraphError> {
        if self.ancestors(parent).any(|above| above == key) {
            return Err(GraphError::new(
                http::StatusCode::BAD_REQUEST,
                "ErrorMoveCopyFailed",
                "The move or copy operation failed.",
            ));
        }
        Ok(())
    }

    fn check_name(
        &self,
        parent: FolderKey,
        name: &str,
        except: Option<FolderKey>,
    ) -> Result<(), GraphError> {
        self.existing(parent)?;
        if !self.ancestors(parent).any(|above| above == folder::TOP) {
            return Err(GraphError::access_denied());
        }
        if name.is_empty() {
            return Err(GraphError::invalid_request(
                "The folder's displayName must not be empty.",
            ));
        }
        let taken = self
            .child(parent, name)
            .is_some_and(|sibling| Some(sibling) != except);
        if taken {
            return Err(GraphError::folder_exists());
        }
        Ok(())
    }
}

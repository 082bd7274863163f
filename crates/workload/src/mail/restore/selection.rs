//! What is to be restored, looked up in the archive.

use std::collections::HashSet;

use model::ItemId;

use crate::{
    Error, Result,
    mail::{Archive, Folder, MessageRef},
};

/// What to restore.
#[derive(Clone, Debug)]
pub enum Selection {
    /// One message, by its id at the source.
    Message(ItemId),
    /// A folder with its sub-folders, by its id at the source.
    Folder(ItemId),
    /// Everything.
    Mailbox,
}

/// A selection, found in the archive.
pub(super) struct Selected<'a> {
    /// The folders, each after the one that it is in, with the messages wanted of each; `None` for all.
    pub(super) folders: Vec<(&'a Folder, Option<Vec<MessageRef>>)>,
    /// The folder of the archive in whose stead a new folder stands; `None` for the root of the mailbox.
    pub(super) onto: Option<ItemId>,
}

impl Selection {
    /// Errors when it is not in the archive.
    pub(super) async fn resolve<'a>(&self, archive: &'a Archive) -> Result<Selected<'a>> {
        match self {
            Self::Message(id) => {
                let at = archive
                    .find(id)
                    .await?
                    .ok_or(Error::NotFound("the message"))?;
                let folder = holder(archive, &at).ok_or(Error::NotFound("the message's folder"))?;
                Ok(Selected {
                    folders: vec![(folder, Some(vec![at]))],
                    onto: Some(folder.id.clone()),
                })
            }
            Self::Folder(id) => {
                let top = archive.folders().iter().find(|folder| folder.id == *id);
                let top = top.ok_or(Error::NotFound("the folder"))?;
                Ok(Selected {
                    folders: below(archive, top)
                        .into_iter()
                        .map(|folder| (folder, None))
                        .collect(),
                    onto: top.parent.clone(),
                })
            }
            Self::Mailbox => Ok(Selected {
                folders: archive
                    .folders()
                    .iter()
                    .filter(|folder| is_wanted(folder))
                    .map(|folder| (folder, None))
                    .collect(),
                onto: None,
            }),
        }
    }
}

/// Hidden folders that hold nothing are the mailbox's own furniture.
fn is_wanted(folder: &Folder) -> bool {
    !folder.hidden || folder.messages > 0
}

/// The folder whose directory a message lies in: its files are in a month's directory there.
fn holder<'a>(archive: &'a Archive, at: &MessageRef) -> Option<&'a Folder> {
    let (month, _) = at.path.rsplit_once('/')?;
    let (directory, _) = month.rsplit_once('/')?;
    archive
        .folders()
        .iter()
        .find(|folder| folder.directory == directory)
}

/// A folder and all below it.
fn below<'a>(archive: &'a Archive, top: &'a Folder) -> Vec<&'a Folder> {
    let mut within = HashSet::from([&top.id]);
    let mut folders = vec![top];
    for folder in archive.folders() {
        let is_below = folder
            .parent
            .as_ref()
            .is_some_and(|parent| within.contains(parent));
        if is_below && folder.id != top.id {
            within.insert(&folder.id);
            if is_wanted(folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

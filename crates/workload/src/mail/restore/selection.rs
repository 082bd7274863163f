//! What is to be restored, looked up in the archive.

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
    /// How many messages it is, by what the archive's folders count.
    #[must_use]
    pub fn count(&self, archive: &Archive) -> u64 {
        let all = archive.folders();
        match self {
            Self::Message(_) => 1,
            Self::Folder(id) => {
                let top = all.iter().find(|folder| folder.id == *id);
                let folders = top.map(|top| archive.below(top)).unwrap_or_default();
                folders.iter().map(|folder| folder.messages).sum()
            }
            Self::Mailbox => all.iter().map(|folder| folder.messages).sum(),
        }
    }

    /// Errors when it is not in the archive.
    pub(super) async fn resolve<'a>(&self, archive: &'a Archive) -> Result<Selected<'a>> {
        match self {
            Self::Message(id) => {
                let at = archive
                    .find(id)
                    .await?
                    .ok_or(Error::NotFound("the message"))?;
                let folder = archive
                    .holder(&at)
                    .ok_or(Error::NotFound("the message's folder"))?;
                Ok(Selected {
                    folders: vec![(folder, Some(vec![at]))],
                    onto: Some(folder.id.clone()),
                })
            }
            Self::Folder(id) => {
                let top = archive.folders().iter().find(|folder| folder.id == *id);
                let top = top.ok_or(Error::NotFound("the folder"))?;
                Ok(Selected {
                    folders: archive
                        .below(top)
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
                    .filter(|folder| folder.is_shown())
                    .map(|folder| (folder, None))
                    .collect(),
                onto: None,
            }),
        }
    }
}

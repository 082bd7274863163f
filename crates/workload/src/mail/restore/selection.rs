//! What is to be restored, looked up in the archive.

use std::collections::HashSet;

use model::ItemId;

use super::Failure;
use crate::{
    Error, Result,
    mail::{Archive, Folder, MessageRef},
};

/// What to restore.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These messages, by their ids at the source.
    Messages(Vec<ItemId>),
    /// A folder with its sub-folders, by its id at the source.
    Folder(ItemId),
    /// Everything.
    Mailbox,
}

/// A selection, found in the archive.
pub(super) struct Selected<'a> {
    /// The folders, each after the one that it is in, with the messages wanted of each; `None` for all.
    pub(super) folders: Vec<(&'a Folder, Option<Vec<MessageRef>>)>,
    /// The folders of the archive in whose stead a new folder stands; none for the root of the mailbox.
    pub(super) onto: HashSet<ItemId>,
    /// The messages that cannot be looked up; without a reason those that the archive does not hold.
    pub(super) missing: Vec<(ItemId, Option<Failure>)>,
}

impl Selection {
    /// How many messages it is, by what the archive's folders count.
    #[must_use]
    pub fn count(&self, archive: &Archive) -> u64 {
        let all = archive.folders();
        match self {
            Self::Messages(ids) => ids.len() as u64,
            Self::Folder(id) => {
                let top = all.iter().find(|folder| folder.id == *id);
                let folders = top.map(|top| archive.below(top)).unwrap_or_default();
                folders.iter().map(|folder| folder.messages).sum()
            }
            Self::Mailbox => all.iter().map(|folder| folder.messages).sum(),
        }
    }

    /// Errors when nothing of it is in the archive.
    pub(super) async fn resolve<'a>(&self, archive: &'a Archive) -> Result<Selected<'a>> {
        match self {
            Self::Messages(ids) => messages(archive, ids).await,
            Self::Folder(id) => {
                let top = archive.folders().iter().find(|folder| folder.id == *id);
                let top = top.ok_or(Error::NotFound("the folder"))?;
                Ok(Selected {
                    folders: archive
                        .below(top)
                        .into_iter()
                        .map(|folder| (folder, None))
                        .collect(),
                    onto: top.parent.iter().cloned().collect(),
                    missing: Vec::new(),
                })
            }
            Self::Mailbox => Ok(Selected {
                folders: archive
                    .folders()
                    .iter()
                    .filter(|folder| folder.is_shown())
                    .map(|folder| (folder, None))
                    .collect(),
                onto: HashSet::new(),
                missing: Vec::new(),
            }),
        }
    }
}

/// Messages, each once, by the folders that they are in.
async fn messages<'a>(archive: &'a Archive, ids: &[ItemId]) -> Result<Selected<'a>> {
    let mut selected = Selected {
        folders: Vec::new(),
        onto: HashSet::new(),
        missing: Vec::new(),
    };
    let mut seen = HashSet::new();
    for id in ids.iter().filter(|id| seen.insert(*id)) {
        let found = match archive.find(id).await {
            Ok(found) => found,
            Err(error) if error.is_damage() => {
                let failure = Some(Failure::unreadable());
                selected.missing.push((id.clone(), failure));
                continue;
            }
            Err(error) => return Err(error),
        };
        let Some((folder, at)) = found.and_then(|at| Some((archive.holder(&at)?, at))) else {
            selected.missing.push((id.clone(), None));
            continue;
        };
        let same = |(other, _): &&mut (&Folder, _)| other.id == folder.id;
        match selected.folders.iter_mut().find(same) {
            Some((_, Some(messages))) => messages.push(at),
            _ => selected.folders.push((folder, Some(vec![at]))),
        }
        selected.onto.insert(folder.id.clone());
    }
    match selected.folders.is_empty() {
        true => Err(Error::NotFound("none of the messages")),
        false => Ok(selected),
    }
}

//! A record for each folder: where it lies, its cursor, and the directories of its messages.
//!
//! A message's entry names its directory by a number that is unique in the mailbox and never used twice, so that moving or renaming a folder
//! touches the folder's record alone.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use graph::Link;
use model::ItemId;
use repository::Draft;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::layout::{
    IdHash, MAIL, MESSAGES_PER_DIRECTORY_MAX, folder_path, month_directory,
};
use crate::{Error, Result};

/// The path of the records.
const ROOT: &str = ".keepwell/mail/folders";
const WHAT: &str = "a mail folder";
/// Folders in one another at most: Exchange allows 300 (survival 88); more is a loop.
pub(crate) const DEPTH_MAX: usize = 320;

/// How far a folder has been read.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Cursor {
    /// Everything up to here is held; ask for what changed since.
    Delta(Link),
    /// A first listing was interrupted after this page.
    Next(Link),
    /// The folder cannot report changes, and is listed whole each time (survival 36).
    Whole,
}

/// What is kept of a folder.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FolderRecord {
    pub(crate) id: ItemId,
    /// The folder that this one is in; `None` for the root of the mailbox.
    pub(crate) parent: Option<ItemId>,
    /// The name of its directory, inside the parent's as a rule; see [`folder_path`].
    pub(crate) directory: String,
    /// Microsoft's name of the folder, where it is one that every mailbox has, `inbox` for instance (survival 91).
    pub(crate) well_known: Option<String>,
    pub(crate) hidden: bool,
    /// The folder as Graph gave it.
    pub(crate) folder: Box<RawValue>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) months: Vec<MonthDirectory>,
}

/// A directory of messages.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MonthDirectory {
    pub(crate) number: u32,
    pub(crate) name: String,
    /// Messages in it.
    pub(crate) count: u32,
}

/// The folders of a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    records: BTreeMap<ItemId, Held>,
    /// For each directory number, the folder that it is in.
    directories: HashMap<u32, ItemId>,
    next_directory: u32,
    removed: Vec<ItemId>,
}

#[derive(Debug)]
struct Held {
    record: FolderRecord,
    changed: bool,
}

impl Folders {
    /// Reads the records of the draft's parent. Errors when one cannot be understood (survival 40).
    pub(crate) async fn load(draft: &mut Draft) -> Result<Self> {
        let mut folders = Self::default();
        let records = match draft.list(ROOT).await {
            Err(error) if error.kind() == repository::Kind::NotFound => {
                return Err(Error::state(WHAT, "there is no record of any"));
            }
            listed => listed.map_err(Error::repository(WHAT))?,
        };
        for node in records {
            let path = format!("{ROOT}/{}", node.name());
            let bytes = draft
                .read_path(&path)
                .await
                .map_err(Error::repository(WHAT))?
                .unwrap_or_default();
            folders.add(decode(&bytes)?);
        }
        folders.check()?;
        Ok(folders)
    }

    /// The same from records that were read elsewhere.
    pub(crate) fn from_records(records: impl IntoIterator<Item = FolderRecord>) -> Result<Self> {
        let mut folders = Self::default();
        for record in records {
            folders.add(record);
        }
        folders.check()?;
        Ok(folders)
    }

    fn add(&mut self, record: FolderRecord) {
        for month in &record.months {
            self.directories.insert(month.number, record.id.clone());
            self.next_directory = self.next_directory.max(month.number.saturating_add(1));
        }
        self.records.insert(
            record.id.clone(),
            Held {
                record,
                changed: false,
            },
        );
    }

    /// Every parent is known and no folder is inside itself, so that every path can be told.
    fn check(&self) -> Result<()> {
        for held in self.records.values() {
            self.try_path(&held.record.id)?;
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &FolderRecord> {
        self.records.values().map(|held| &held.record)
    }

    pub(crate) fn get(&self, id: &ItemId) -> Option<&FolderRecord> {
        self.records.get(id).map(|held| &held.record)
    }

    /// Changes the record by `change`; nothing happens when the folder is not known.
    pub(crate) fn update(&mut self, id: &ItemId, change: impl FnOnce(&mut FolderRecord)) {
        if let Some(held) = self.records.get_mut(id) {
            change(&mut held.record);
            held.changed = true;
        }
    }

    pub(crate) fn insert(&mut self, record: FolderRecord) {
        let id = record.id.clone();
        self.add(record);
        self.update(&id, |_| ());
        self.removed.retain(|removed| *removed != id);
    }

    pub(crate) fn remove(&mut self, id: &ItemId) {
        if let Some(held) = self.records.remove(id) {
            for month in held.record.months {
                self.directories.remove(&month.number);
            }
            self.removed.push(id.clone());
        }
    }

    /// The folder's directory from the root of the snapshot.
    pub(crate) fn path(&self, id: &ItemId) -> String {
        self.try_path(id).unwrap_or_else(|_| MAIL.to_owned())
    }

    fn try_path(&self, id: &ItemId) -> Result<String> {
        Ok(folder_path(&self.names(id)?))
    }

    /// The names of the directories of the folders around this one, the root's first, and its own: sorted by them, folders stand behind those that
    /// they are in.
    pub(crate) fn names(&self, id: &ItemId) -> Result<Vec<&str>> {
        let mut names = Vec::new();
        let mut at = Some(id);
        while let Some(id) = at {
            let record = self
                .get(id)
                .ok_or_else(|| Error::state(WHAT, "its parent is not recorded"))?;
            if names.len() > DEPTH_MAX {
                return Err(Error::state(WHAT, "it is inside itself"));
            }
            names.push(record.directory.as_str());
            at = record.parent.as_ref();
        }
        names.reverse();
        Ok(names)
    }

    /// The folder that a numbered directory is in, and its path.
    pub(crate) fn directory(&self, number: u32) -> Option<(&FolderRecord, String)> {
        let record = self.get(self.directories.get(&number)?)?;
        let month = record.months.iter().find(|month| month.number == number)?;
        Some((record, format!("{}/{}", self.path(&record.id), month.name)))
    }

    /// A directory of the folder for one more message of `month`: its number.
    pub(crate) fn place(&mut self, id: &ItemId, month: &str) -> Option<u32> {
        let held = self.records.get_mut(id)?;
        let months = &mut held.record.months;
        held.changed = true;
        let prefix = format!("{month}~");
        if let Some(room) = months
            .iter_mut()
            .find(|m| m.name.starts_with(&prefix) && m.count < MESSAGES_PER_DIRECTORY_MAX)
        {
            room.count += 1;
            return Some(room.number);
        }
        let name = (0..)
            .map(|n| month_directory(month, n))
            .find(|name| months.iter().all(|m| m.name != *name))?;
        let number = self.next_directory;
        self.next_directory += 1;
        months.push(MonthDirectory {
            number,
            name,
            count: 1,
        });
        self.directories.insert(number, id.clone());
        Some(number)
    }

    /// One message less in the directory; an empty one is forgotten.
    pub(crate) fn leave(&mut self, number: u32) {
        let Some(held) = self
            .directories
            .get(&number)
            .and_then(|id| self.records.get_mut(id))
        else {
            return;
        };
        held.changed = true;
        held.record.months.retain_mut(|month| {
            if month.number == number {
                month.count = month.count.saturating_sub(1);
            }
            month.count > 0
        });
        if held
            .record
            .months
            .iter()
            .all(|month| month.number != number)
        {
            self.directories.remove(&number);
        }
    }

    /// Writes the records that changed to the draft.
    pub(crate) async fn save(&mut self, draft: &mut Draft) -> Result<()> {
        for id in std::mem::take(&mut self.removed) {
            draft
                .remove(&record_path(&id))
                .await
                .map_err(Error::repository(WHAT))?;
        }
        for held in self.records.values_mut().filter(|held| held.changed) {
            let bytes =
                serde_json::to_vec(&held.record).map_err(|error| Error::state(WHAT, error))?;
            super::put(draft, &record_path(&held.record.id), Bytes::from(bytes)).await?;
            held.changed = false;
        }
        Ok(())
    }
}

/// Where the folder's record lies.
fn record_path(id: &ItemId) -> String {
    format!("{ROOT}/{}.json", IdHash::of(id).suffix())
}

/// Reads a record.
pub(crate) fn decode(bytes: &[u8]) -> Result<FolderRecord> {
    serde_json::from_slice(bytes).map_err(|error| Error::state(WHAT, error))
}

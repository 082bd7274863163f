//! The record of doomed packs: what nothing needed when it was last looked, and since when.
//!
//! Nobody knows of all who write: a computer that was asleep may hold what it believes to be a lock. So what nothing needs is written down first
//! and deleted by a later run, a day after at the earliest, if nothing needs it still. The record lies in the repository as a sealed object, one
//! as a rule. Objects never change: a new record names those that it replaces, and holds whether or not these could be deleted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    id::ObjectId,
    repository::Inner,
    sealed_file,
    storage::ObjectKind,
};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    packs: Vec<DoomedPack>,
    /// Index files that others have replaced, and that the storage did not let us delete.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    replaced_index: BTreeSet<ObjectId>,
    /// Records that this one replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    replaces: Vec<ObjectId>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DoomedPack {
    id: ObjectId,
    since: Timestamp,
}

/// What the records say together.
#[derive(Debug, Default)]
pub(crate) struct Doomed {
    packs: BTreeMap<ObjectId, Timestamp>,
    replaced_index: BTreeSet<ObjectId>,
    /// The records that are stored: those that others replace come first.
    stored: Vec<ObjectId>,
    changed: bool,
}

impl Doomed {
    /// Reads the records. One that is damaged counts for nothing: its packs are doomed anew.
    pub(crate) async fn load(inner: &Inner) -> Result<Self> {
        let mut records = BTreeMap::new();
        let mut damaged = Vec::new();
        for listed in inner.storage.list(ObjectKind::Doomed).await? {
            let decoded = match inner.storage.get(ObjectKind::Doomed, listed.id).await {
                Ok(sealed) => sealed_file::decode::<Record>(&inner.key, &sealed).ok(),
                Err(Error::Damaged { .. }) => None,
                Err(error) => return Err(error),
            };
            match decoded {
                Some(record) => drop(records.insert(listed.id, record)),
                None => damaged.push(listed.id),
            }
        }
        let replaced: BTreeSet<ObjectId> = records
            .values()
            .flat_map(|record| record.replaces.iter().copied())
            .collect();
        let (old, holding): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|(id, _)| replaced.contains(id));
        let mut doomed = Self {
            changed: !old.is_empty() || !damaged.is_empty(),
            ..Self::default()
        };
        doomed.stored.extend(damaged);
        doomed.stored.extend(old.into_iter().map(|(id, _)| id));
        for (id, record) in holding {
            doomed.stored.push(id);
            doomed.add(record, inner.options.clock.now());
        }
        Ok(doomed)
    }

    fn add(&mut self, record: Record, now: Timestamp) {
        for pack in record.packs {
            // A time that has not come is of a clock that was wrong.
            self.changed |= pack.since > now;
            let since = pack.since.min(now);
            let latest = self.packs.entry(pack.id).or_insert(since);
            *latest = since.max(*latest);
        }
        self.replaced_index.extend(record.replaced_index);
    }

    pub(crate) fn contains(&self, pack: ObjectId) -> bool {
        self.packs.contains_key(&pack)
    }

    /// The packs, with the time since when they are doomed.
    pub(crate) fn packs(&self) -> impl Iterator<Item = (ObjectId, Timestamp)> {
        self.packs.iter().map(|(id, since)| (*id, *since))
    }

    /// Puts a pack on the record that is not on it.
    pub(crate) fn doom(&mut self, pack: ObjectId, now: Timestamp) {
        self.packs.insert(pack, now);
        self.changed = true;
    }

    /// Takes a pack off the record; false if it is not on it.
    pub(crate) fn spare(&mut self, pack: ObjectId) -> bool {
        let spared = self.packs.remove(&pack).is_some();
        self.changed |= spared;
        spared
    }

    pub(crate) fn is_replaced_index(&self, file: ObjectId) -> bool {
        self.replaced_index.contains(&file)
    }

    pub(crate) fn replaced_index_count(&self) -> usize {
        self.replaced_index.len()
    }

    /// Notes which index files are replaced and could not be deleted.
    pub(crate) fn set_replaced_index(&mut self, files: BTreeSet<ObjectId>) {
        self.changed |= self.replaced_index != files;
        self.replaced_index = files;
    }

    /// Writes one record instead of those that are stored, if anything has changed; none if there is nothing to record.
    pub(crate) async fn save(&mut self, inner: &Inner) -> Result<()> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let empty = self.packs.is_empty() && self.replaced_index.is_empty();
        let old = std::mem::take(&mut self.stored);
        if empty && old.is_empty() {
            return Ok(());
        }
        let packs = self.packs();
        let record = Record {
            packs: packs.map(|(id, since)| DoomedPack { id, since }).collect(),
            replaced_index: self.replaced_index.clone(),
            replaces: old.clone(),
        };
        let sealed = sealed_file::encode(&inner.key, &inner.compressors, &record);
        let new = inner.storage.put(ObjectKind::Doomed, sealed.into()).await?;
        for id in old {
            if !inner.storage.try_delete(ObjectKind::Doomed, id).await? {
                self.stored.push(id);
            }
        }
        // An empty record is of use only while there are some that it replaces.
        let needed = !empty || !self.stored.is_empty();
        if needed || !inner.storage.try_delete(ObjectKind::Doomed, new).await? {
            self.stored.push(new);
        }
        Ok(())
    }
}

//! Repair: the index is made to say what the packs hold, sound blobs are saved from damaged packs, what cannot be read is let go.
//!
//! Every pack is read. What its own table of contents says counts, not the index. Blobs that are lost are in no index file afterwards, so that the
//! next backup stores them again, which makes older snapshots whole, too: a blob is named by its content. Nothing is invented and no
//! directory is rewritten. The order is that of every other run: new packs, new index files, and only then are old ones deleted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;

use super::{doomed::Doomed, reindex, rewrite::Rewriter};
use crate::{
    blob::Opener,
    crypto::Key,
    draft::Purpose,
    error::{Error, Result, Subject},
    id::{ObjectId, SnapshotId},
    index_file::{IndexFile, IndexedPack},
    lock::{Lock, Mode},
    pack::{self, Entry},
    repository::Repository,
    sealed_file,
    snapshot::Snapshot,
    storage::{Listed, ObjectKind},
    verify::{Check, Damage, Progress, same_blobs},
};

/// How a repository is repaired.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairOptions {
    /// Only tells what would be done; nothing is written, not even a lock.
    pub dry_run: bool,
}

/// What a repair has found and done.
#[derive(Clone, Debug, Default)]
pub struct RepairReport {
    /// Packs that were read.
    pub packs: u64,
    /// Bytes read from packs.
    pub bytes: u64,
    /// Index files that could not be read or told something wrong, and were replaced.
    pub replaced_index_files: Vec<ObjectId>,
    /// Packs that no index file listed as they are, and that are listed now.
    pub listed_packs: u64,
    /// Packs that were listed and are not there; they are listed no more.
    pub missing_packs: Vec<ObjectId>,
    /// Packs that are not what they were; they are listed no more, and deleted by a prune.
    pub damaged_packs: Vec<ObjectId>,
    /// Blobs that were copied from damaged packs.
    pub saved_blobs: u64,
    /// Snapshots that could not be read and were removed.
    pub removed_snapshots: Vec<SnapshotId>,
    /// What snapshots need and is lost, with the files and directories that need it.
    pub lost: Vec<Damage>,
    /// Deletions that the storage denied.
    pub denied_deletions: u64,
}

impl RepairReport {
    /// Whether there was anything to repair.
    #[must_use]
    pub fn has_repaired(&self) -> bool {
        !(self.replaced_index_files.is_empty()
            && self.damaged_packs.is_empty()
            && self.removed_snapshots.is_empty())
            || self.listed_packs > 0
    }
}

/// What a pack turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Found {
    /// It has its hash, its table of contents is whole, and so is every blob.
    Sound,
    /// There is something wrong with it; some blobs may be sound.
    Damaged,
    Missing,
}

/// A pack that was read.
struct Examined {
    found: Found,
    /// Whether the index says what the pack's own table of contents does.
    agrees: bool,
    sound: Vec<Entry>,
}

struct Repair<'a> {
    repository: &'a Repository,
    check: Check,
    report: RepairReport,
    packs: BTreeMap<ObjectId, Found>,
    /// Sound blobs of damaged packs.
    saved: Vec<(ObjectId, Vec<Entry>)>,
    /// Index files that cannot be read.
    unreadable: BTreeSet<ObjectId>,
    /// Index files that list something that is not there or not so.
    wrong: BTreeSet<ObjectId>,
    /// Packs in index files that stay.
    listed: HashSet<ObjectId>,
}

impl Repository {
    /// Repairs what can be, under an exclusive lock, and calls `progress` after each pack. What is lost is in the report, located by snapshot
    /// and path; the configuration and the keys cannot be made anew.
    ///
    /// It may be repeated after a crash at any point. Errors with [`Error::Locked`] when somebody is at work.
    pub async fn repair(
        &self,
        options: RepairOptions,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<RepairReport> {
        let _busy = self.0.options.clock.busy("a repair");
        if options.dry_run {
            return Repair::new(self).run(None, progress).await;
        }
        let lock = self.0.locksmith().acquire(Mode::Exclusive).await?;
        let outcome = Repair::new(self).run(Some(&lock), progress).await;
        lock.release().await?;
        // What was known of the index may be gone.
        self.0.index.refresh(&self.0.storage).await?;
        outcome
    }
}

impl<'a> Repair<'a> {
    fn new(repository: &'a Repository) -> Self {
        Self {
            repository,
            check: Check::default(),
            report: RepairReport::default(),
            packs: BTreeMap::new(),
            saved: Vec::new(),
            unreadable: BTreeSet::new(),
            wrong: BTreeSet::new(),
            listed: HashSet::new(),
        }
    }

    /// Without a lock nothing is written.
    async fn run(
        mut self,
        lock: Option<&Lock>,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<RepairReport> {
        let (readable, unreadable) = self.snapshots().await?;
        let mut doomed = Doomed::load(&self.repository.0).await?;
        self.examine(&doomed, progress).await?;
        self.report.replaced_index_files = self.unreadable.union(&self.wrong).copied().collect();
        self.report.removed_snapshots = unreadable;
        let saved = std::mem::take(&mut self.saved);
        self.report.saved_blobs = saved.iter().map(|(_, blobs)| blobs.len() as u64).sum();
        if let Some(lock) = lock {
            self.write(lock, saved).await?;
            self.delete(lock, &mut doomed).await?;
        }
        self.repository
            .check_snapshots(&mut self.check, readable)
            .await?;
        self.report.lost = self.check.into_report().damage;
        Ok(self.report)
    }

    /// The snapshots that can be read, and those that cannot, not even when they are read again.
    async fn snapshots(&self) -> Result<(Vec<Listed>, Vec<SnapshotId>)> {
        let mut readable = Vec::new();
        let mut unreadable = Vec::new();
        for listed in self.repository.0.storage.list(ObjectKind::Snapshot).await? {
            match self
                .read::<Snapshot>(ObjectKind::Snapshot, listed.id)
                .await?
            {
                Some(_) => readable.push(listed),
                None => unreadable.push(listed.id.into()),
            }
        }
        Ok((readable, unreadable))
    }

    /// What a sealed object holds; nothing if it is damaged, which is found twice before it is believed.
    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        kind: ObjectKind,
        id: ObjectId,
    ) -> Result<Option<T>> {
        for _ in 0..2 {
            let sealed = self.repository.0.storage.get(kind, id).await;
            let decoded = sealed.and_then(|sealed| {
                sealed_file::decode(&self.repository.0.key, &sealed)
                    .map_err(|problem| Error::damaged(Subject::Object(kind, id), problem))
            });
            match decoded {
                Ok(value) => return Ok(Some(value)),
                Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads every pack, those first that index files list.
    async fn examine(
        &mut self,
        doomed: &Doomed,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<()> {
        let stored = self.repository.0.storage.list(ObjectKind::Pack).await?;
        let total = stored.len() as u64;
        let mut damaged = Vec::new();
        for file in self.repository.0.storage.list(ObjectKind::Index).await? {
            let Some(index) = self.read::<IndexFile>(ObjectKind::Index, file.id).await? else {
                self.unreadable.insert(file.id);
                continue;
            };
            let mut right = true;
            for pack in &index.packs {
                let known = self.packs.get(&pack.id) == Some(&Found::Missing);
                let examined = match known {
                    true => Examined::missing(),
                    false => self.examine_pack(pack.id, Some(pack)).await?,
                };
                right &= examined.found == Found::Sound && examined.agrees;
                self.note(pack.id, examined, &mut damaged)?;
                progress(self.progress(total));
            }
            if right {
                self.listed.extend(index.packs.iter().map(|pack| pack.id));
            } else {
                self.wrong.insert(file.id);
            }
        }
        for pack in stored {
            if !self.packs.contains_key(&pack.id) {
                let examined = self.examine_pack(pack.id, None).await?;
                self.note(pack.id, examined, &mut damaged)?;
                progress(self.progress(total));
            }
        }
        self.choose_saved(doomed, damaged)
    }

    /// What is to be copied from damaged packs: what is in no sound one.
    fn choose_saved(
        &mut self,
        doomed: &Doomed,
        damaged: Vec<(ObjectId, Vec<Entry>)>,
    ) -> Result<()> {
        for (pack, mut entries) in damaged {
            entries.retain(|entry| !self.check.sound.contains(entry.kind, entry.id));
            self.check.add_sound(pack, entries.clone())?;
            self.saved.push((pack, entries));
        }
        for (pack, found) in &self.packs {
            match found {
                Found::Sound => {
                    self.report.listed_packs += u64::from(!self.listed.contains(pack));
                }
                // Found by an earlier repair.
                Found::Damaged if doomed.contains(*pack) => {}
                Found::Damaged => self.report.damaged_packs.push(*pack),
                Found::Missing => self.report.missing_packs.push(*pack),
            }
        }
        Ok(())
    }

    fn note(
        &mut self,
        pack: ObjectId,
        examined: Examined,
        damaged: &mut Vec<(ObjectId, Vec<Entry>)>,
    ) -> Result<()> {
        let first = self.packs.insert(pack, examined.found).is_none();
        match examined.found {
            Found::Sound => self.check.add_sound(pack, examined.sound),
            _ if first => {
                damaged.push((pack, examined.sound));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn progress(&self, total: u64) -> Progress {
        Progress {
            packs: self.report.packs,
            packs_total: total,
            bytes: self.report.bytes,
        }
    }

    async fn examine_pack(
        &mut self,
        id: ObjectId,
        listed: Option<&IndexedPack>,
    ) -> Result<Examined> {
        let listed: Option<Vec<Entry>> =
            listed.map(|pack| pack.entries().collect::<Result<_, _>>().unwrap_or_default());
        let mut last = Examined::missing();
        // What is damaged is read once more before it is believed.
        for _ in 0..2 {
            let storage = &self.repository.0.storage;
            let bytes = match storage.get_unchecked(ObjectKind::Pack, id).await {
                Ok(bytes) => bytes,
                Err(Error::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            self.report.bytes += bytes.len() as u64;
            let (key, listed) = (self.repository.0.key.clone(), listed.clone());
            let examined =
                tokio::task::spawn_blocking(move || examine(&key, id, &bytes, listed.as_deref()));
            last = examined
                .await
                .map_err(|_| Error::Internal("examining a pack was interrupted"))?;
            if last.found == Found::Sound {
                break;
            }
        }
        self.report.packs += 1;
        Ok(last)
    }

    /// Writes new packs for what is saved, and index files for all that no file that stays lists.
    async fn write(&mut self, lock: &Lock, saved: Vec<(ObjectId, Vec<Entry>)>) -> Result<()> {
        let inner = &self.repository.0;
        let mut rewriter = Rewriter::new(inner, lock);
        for (pack, entries) in saved {
            let purpose = match IndexedPack::new(pack, &entries).may_be_state() {
                true => Purpose::State,
                false => Purpose::Content,
            };
            if !entries.is_empty() {
                rewriter.copy(pack, purpose, entries).await?;
            }
        }
        let unlisted: Vec<ObjectId> = self
            .packs
            .iter()
            .filter(|(id, found)| **found == Found::Sound && !self.listed.contains(*id))
            .map(|(id, _)| *id)
            .collect();
        for id in unlisted {
            // The pack's own table of contents is read again: to hold all of them would take as much memory as the index.
            let bytes = inner.storage.get(ObjectKind::Pack, id).await?;
            let entries = pack::read_header(&inner.key, &bytes).map_err(|problem| {
                Error::damaged(Subject::Object(ObjectKind::Pack, id), problem)
            })?;
            let listed = IndexedPack::new(id, &entries);
            let state = listed.may_be_state();
            rewriter.list(state, listed).await?;
        }
        rewriter.finish().await
    }

    /// Deletes what is replaced or cannot be read; damaged packs are left to the next prunes.
    async fn delete(&mut self, lock: &Lock, doomed: &mut Doomed) -> Result<()> {
        let old: BTreeSet<ObjectId> = self.report.replaced_index_files.iter().copied().collect();
        let denied = reindex::delete(self.repository, lock, &old).await?;
        self.report.denied_deletions += denied.len() as u64;

        let inner = &self.repository.0;
        for pack in &self.report.damaged_packs {
            doomed.doom(*pack, inner.options.clock.now());
        }
        lock.confirm().await?;
        doomed.save(inner).await?;

        for id in &self.report.removed_snapshots {
            lock.confirm().await?;
            let object = ObjectId::from(*id);
            if !inner
                .storage
                .try_delete(ObjectKind::Snapshot, object)
                .await?
            {
                self.report.denied_deletions += 1;
            }
        }
        // One that a loss of power brings back is as unreadable as it was, and stops prunes until it is removed again.
        Ok(())
    }
}

impl Examined {
    fn missing() -> Self {
        Self {
            found: Found::Missing,
            agrees: false,
            sound: Vec::new(),
        }
    }
}

fn examine(key: &Key, id: ObjectId, bytes: &Bytes, listed: Option<&[Entry]>) -> Examined {
    let header = pack::read_header(key, bytes).unwrap_or_default();
    let listed = listed.unwrap_or_default();
    let elsewhere = listed.iter().filter(|entry| !header.contains(entry));
    let mut sound: Vec<Entry> = header.iter().chain(elsewhere).copied().collect();
    let mut opener = Opener::default();
    sound.retain(|entry| entry.open(key, bytes, &mut opener).is_ok());
    let whole = ObjectId::of(bytes) == id && !header.is_empty() && sound.starts_with(&header);
    if whole {
        sound.truncate(header.len());
    }
    Examined {
        found: if whole { Found::Sound } else { Found::Damaged },
        agrees: same_blobs(&header, listed),
        sound,
    }
}

#[cfg(test)]
mod tests;

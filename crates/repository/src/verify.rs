//! The full check: every stored byte is read, and everything that a snapshot needs is looked for.
//!
//! First the packs: each must have its hash, a table of contents that the index agrees with, and blobs that open to what they are named by.
//! Then the snapshots: every directory and every piece of content that can be reached must be among the blobs found sound. Damage is
//! reported, not repaired, and it does not end the check; only a storage that fails does. Nothing is written, not even a lock: when somebody
//! deleted index files meanwhile, what seems damaged may have been pruned, and the check begins anew.

use std::collections::{BTreeMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    blob::BlobKind,
    blob_map::BlobMap,
    error::{Error, Problem, Result, Subject},
    id::{ObjectId, SnapshotId},
    index_file::IndexFile,
    maintain::Doomed,
    pack::Entry,
    repository::Repository,
    sealed_file,
    storage::{Listed, ObjectKind},
};

mod packs;
mod snapshots;

pub(crate) use packs::same_blobs;

/// Packs checked at the same time: one is read while another is checked, and memory holds no more.
const PACKS_AT_ONCE: usize = 2;
/// A check that was overtaken by prunes so often reports what it has found.
const MAX_ATTEMPTS: u32 = 3;
/// Most places named for one damaged thing; the rest are counted.
const MAX_PLACES: usize = 100;

/// How far a check has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Packs checked.
    pub packs: u64,
    /// Packs there are.
    pub packs_total: u64,
    /// Bytes read from packs.
    pub bytes: u64,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Packs read.
    pub packs: u64,
    /// Bytes read from packs.
    pub bytes: u64,
    /// Packs that no index file lists and that are not doomed: what interrupted runs left. They do no harm; prunes remove them.
    pub unlisted_packs: u64,
    /// Packs that a prune has recorded, to be deleted when nothing needs them for a day.
    pub doomed_packs: u64,
    /// Distinct blobs found sound.
    pub blobs: u64,
    /// Snapshots read.
    pub snapshots: u64,
    /// Files found complete, each counted once for all snapshots that share its directory.
    pub files: u64,
    /// What is damaged, if anything.
    pub damage: Vec<Damage>,
}

impl VerifyReport {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// A damaged thing and what it is needed for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// What is damaged.
    pub what: Subject,
    /// In which way.
    pub problem: Problem,
    /// The files and directories that need it, at most 100 of them: each in one snapshot, though others may share it.
    pub places: Vec<(SnapshotId, String)>,
    /// How many there are beyond those.
    pub more_places: u64,
}

/// A check in progress.
#[derive(Default)]
pub(crate) struct Check {
    pub(crate) report: VerifyReport,
    /// The blobs found sound; directories that were walked through are marked.
    pub(crate) sound: BlobMap,
    damage: BTreeMap<Subject, Damage>,
}

impl Repository {
    /// Checks everything that is stored, and calls `progress` after each pack. Errors when the storage fails; damage is in the report.
    pub async fn verify(&self, mut progress: impl FnMut(Progress) + Send) -> Result<VerifyReport> {
        let mut attempts = 1;
        loop {
            let index = self.0.storage.list(ObjectKind::Index).await?;
            let report = self.verify_once(&mut progress).await?;
            let overtaken = !report.is_sound() && self.index_was_pruned(&index).await?;
            if !overtaken || attempts == MAX_ATTEMPTS {
                return Ok(report);
            }
            attempts += 1;
        }
    }

    async fn verify_once(
        &self,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<VerifyReport> {
        let mut check = Check::default();
        // Before the index and the packs, which are then complete for these snapshots, also while others write.
        let snapshots = self.0.storage.list(ObjectKind::Snapshot).await?;
        self.check_keys(&mut check).await?;
        self.check_packs(&mut check, progress).await?;
        check.report.blobs = check.sound.len() as u64;
        self.check_snapshots(&mut check, snapshots).await?;
        Ok(check.into_report())
    }

    async fn index_was_pruned(&self, before: &[Listed]) -> Result<bool> {
        let after = self.0.storage.list(ObjectKind::Index).await?;
        let after: HashSet<ObjectId> = after.into_iter().map(|listed| listed.id).collect();
        Ok(before.iter().any(|listed| !after.contains(&listed.id)))
    }

    async fn check_keys(&self, check: &mut Check) -> Result<()> {
        let keys = self.0.storage.list(ObjectKind::Key).await?;
        if keys.is_empty() {
            // We can have opened it by what the cache remembers; nobody else can.
            check.sound_or_damaged::<()>(Err(Error::damaged(Subject::Keys, Problem::Missing)))?;
        }
        for listed in keys {
            let key = self.0.storage.get(ObjectKind::Key, listed.id).await;
            check.sound_or_damaged(key)?;
        }
        Ok(())
    }

    async fn check_packs(
        &self,
        check: &mut Check,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<()> {
        let doomed = Doomed::load(&self.0).await?;
        let files = self.0.storage.list(ObjectKind::Index).await?;
        let stored = self.0.storage.list(ObjectKind::Pack).await?;
        let total = stored.len() as u64;
        let mut unlisted: HashSet<ObjectId> = stored.iter().map(|pack| pack.id).collect();
        check.report.doomed_packs =
            unlisted.iter().filter(|id| doomed.contains(**id)).count() as u64;
        for file in files {
            let Some(index) = check.sound_or_damaged(self.index_file(file.id).await)? else {
                continue;
            };
            for pack in &index.packs {
                unlisted.remove(&pack.id);
            }
            let checks = index.packs.into_iter().map(|pack| self.check_pack(pack));
            let mut checked = stream::iter(checks).buffer_unordered(PACKS_AT_ONCE);
            while let Some(outcome) = checked.try_next().await? {
                check.add(outcome)?;
                progress(Progress {
                    packs: check.report.packs,
                    packs_total: total,
                    bytes: check.report.bytes,
                });
            }
        }
        unlisted.retain(|id| !doomed.contains(*id));
        check.report.unlisted_packs = unlisted.len() as u64;
        for id in unlisted {
            let pack = self.0.storage.get(ObjectKind::Pack, id).await;
            check.sound_or_damaged(pack)?;
        }
        Ok(())
    }

    pub(crate) async fn index_file(&self, id: ObjectId) -> Result<IndexFile> {
        let sealed = self.0.storage.get(ObjectKind::Index, id).await?;
        sealed_file::decode(&self.0.key, &sealed)
            .map_err(|problem| Error::damaged(Subject::Object(ObjectKind::Index, id), problem))
    }
}

impl Check {
    /// What was read, or nothing if it is damaged, which is then noted.
    fn sound_or_damaged<T>(&mut self, read: Result<T>) -> Result<Option<T>> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(Error::Damaged { what, problem }) => {
                self.note(what, problem);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn note(&mut self, what: Subject, problem: Problem) -> &mut Damage {
        self.damage.entry(what).or_insert_with(|| Damage {
            what,
            problem,
            places: Vec::new(),
            more_places: 0,
        })
    }

    /// Notes that a damaged thing is needed at a place.
    fn note_at(&mut self, what: Subject, problem: Problem, snapshot: SnapshotId, path: &str) {
        let damage = self.note(what, problem);
        if damage.places.len() < MAX_PLACES {
            damage.places.push((snapshot, path.to_owned()));
        } else {
            damage.more_places += 1;
        }
    }

    fn add(&mut self, outcome: packs::Checked) -> Result<()> {
        self.report.packs += 1;
        self.report.bytes += outcome.bytes;
        for blob in &outcome.sound {
            // Another pack may have a damaged copy of it, which harms nobody.
            self.damage.remove(&blob.kind.subject(blob.id));
        }
        self.add_sound(outcome.pack, outcome.sound)?;
        for (what, problem) in outcome.damage {
            let harmless = match what {
                Subject::Content(id) => self.sound.contains(BlobKind::Content, id),
                Subject::Tree(id) => self.sound.contains(BlobKind::Tree, id),
                _ => false,
            };
            if !harmless {
                self.note(what, problem);
            }
        }
        Ok(())
    }

    /// Notes that these blobs of a pack are sound.
    pub(crate) fn add_sound(&mut self, pack: ObjectId, mut entries: Vec<Entry>) -> Result<()> {
        entries.retain(|entry| !self.sound.contains(entry.kind, entry.id));
        self.sound
            .add_pack(pack, entries)
            .map_err(|_| Error::Internal("there are too many packs"))
    }

    pub(crate) fn into_report(mut self) -> VerifyReport {
        self.report.damage = self.damage.into_values().collect();
        self.report
    }
}

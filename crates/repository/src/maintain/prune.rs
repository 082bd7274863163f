//! Pruning: what nothing needs is recorded by one run and deleted by a later one.
//!
//! The first phase adds only, under a shared lock and beside backups: it finds what is needed, copies what is needed in sparse and small packs to
//! new ones, and records the packs that nothing needs any more as doomed. The second, under an exclusive lock, looks again, and of the packs that
//! were doomed long enough deletes those that nothing needs still: new index files without them, then the old index files, then the packs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    census::{Census, IndexFileUse, into_needs_repair},
    doomed::Doomed,
    plan, reindex,
    rewrite::Rewriter,
};
use crate::{
    error::{Error, Result},
    id::ObjectId,
    lock::{Lock, Mode},
    pack::Entry,
    repository::Repository,
    storage::ObjectKind,
    verify::Progress,
};

/// Writers that are out of sight, as on a computer that was asleep, are taken to be gone after this.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// What is copied takes its place twice until the old packs go.
const MAX_REWRITE_BYTES: u64 = 4 << 30;
/// Blobs of which the places are held in memory while they are copied: 16 MB.
const REWRITE_BLOBS: u64 = 250_000;

/// Each run adds an index file or two, and about as many small packs. Half of what maintenance may leave, so that it is no daily work.
const MAX_INDEX_FILES_BETWEEN: usize = reindex::MAX_INDEX_FILES / 2;

/// How a repository is pruned.
#[derive(Clone, Copy, Debug)]
pub struct PruneOptions {
    /// A pack is deleted when it was recorded as doomed at least so long ago: 24 hours.
    pub grace: Duration,
    /// Most bytes of live blobs that are copied in one run: 4 GiB. The rest waits for the next.
    pub max_rewrite_bytes: u64,
    /// Only counts what would be doomed and copied; nothing is written, not even a lock.
    pub dry_run: bool,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            grace: GRACE,
            max_rewrite_bytes: MAX_REWRITE_BYTES,
            dry_run: false,
        }
    }
}

/// What a prune has found and done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PruneReport {
    /// Snapshots whose needs were counted.
    pub snapshots: u64,
    /// Packs that were there.
    pub packs: u64,
    /// Bytes in them that snapshots need.
    pub live_bytes: u64,
    /// Packs of which the live blobs were copied to new ones.
    pub rewritten_packs: u64,
    /// The size of the new packs, in bytes.
    pub rewritten_bytes: u64,
    /// Packs that were recorded as doomed.
    pub doomed_packs: u64,
    /// Packs that were taken off the record because a snapshot needs them again.
    pub spared_packs: u64,
    /// Packs that were deleted.
    pub deleted_packs: u64,
    /// Their size in bytes.
    pub deleted_bytes: u64,
    /// Index files at the end.
    pub index_files: u64,
    /// Deletions that the storage denied, as Object Lock does. They are tried again by the next run.
    pub denied_deletions: u64,
    /// Somebody was at work, so what needs an exclusive lock was left for the next run.
    pub postponed: bool,
    /// When the next of the doomed packs may be deleted, if there is one.
    pub next_due: Option<Timestamp>,
}

struct Run<'a> {
    repository: &'a Repository,
    options: PruneOptions,
    census: Census,
    doomed: Doomed,
    report: PruneReport,
}

impl Repository {
    /// Whether so many small runs have added to the repository that it is time to prune it. Counts what is known from the last listing, and
    /// asks the storage nothing unless these are many: index files that a prune replaced and the storage did not let go do not count.
    pub async fn needs_maintenance(&self) -> Result<bool> {
        let known = self.0.index.file_count();
        if known <= MAX_INDEX_FILES_BETWEEN {
            return Ok(false);
        }
        let replaced = Doomed::load(&self.0).await?.replaced_index_count();
        Ok(known.saturating_sub(replaced) > MAX_INDEX_FILES_BETWEEN)
    }

    /// Finds what no snapshot needs, records it, and deletes what was recorded by a run long enough ago. Index files and small packs are put
    /// together. Calls `progress` for each pack that was rewritten.
    ///
    /// It may run beside backups; what must not is left for the next run, see [`PruneReport::postponed`]. Errors with [`Error::NeedsRepair`]
    /// when something that a snapshot needs is damaged or missing, before anything is deleted; with [`Error::Locked`] when somebody else deletes.
    pub async fn prune(
        &self,
        options: PruneOptions,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<PruneReport> {
        let _busy = self.0.options.clock.busy("a prune");
        if options.dry_run {
            let mut run = Run::begin(self, options).await?;
            let plan = run.plan()?;
            run.report.doomed_packs = (plan.dead.len() + plan.rewrite.len()) as u64;
            run.report.rewritten_packs = plan.rewrite.len() as u64;
            return Ok(run.report);
        }
        let lock = self.0.locksmith().acquire(Mode::Shared).await?;
        let outcome = Run::record(self, options, &lock, progress).await;
        lock.release().await?;
        let mut run = outcome?;
        if run.wants_to_delete() {
            match self.0.locksmith().acquire(Mode::Exclusive).await {
                Ok(lock) => {
                    let outcome = run.delete(&lock).await;
                    lock.release().await?;
                    outcome?;
                }
                Err(Error::Locked { .. }) => run.report.postponed = true,
                Err(error) => return Err(error),
            }
        }
        // What was known of the index may be gone.
        self.0.index.refresh(&self.0.storage).await?;
        Ok(run.finish())
    }
}

impl<'a> Run<'a> {
    async fn begin(repository: &'a Repository, options: PruneOptions) -> Result<Self> {
        let doomed = Doomed::load(&repository.0).await?;
        let census = Census::take(repository, &doomed).await?;
        let report = PruneReport {
            snapshots: census.snapshots.len() as u64,
            packs: census.packs.len() as u64,
            ..PruneReport::default()
        };
        Ok(Self {
            repository,
            options,
            census,
            doomed,
            report,
        })
    }

    /// The first phase.
    async fn record(
        repository: &'a Repository,
        options: PruneOptions,
        lock: &Lock,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<Self> {
        let mut run = Self::begin(repository, options).await?;
        let plan = run.plan()?;
        run.rewrite(lock, &plan.rewrite, progress).await?;
        let now = repository.0.options.clock.now();
        for pack in plan.dead.iter().chain(&plan.rewrite) {
            run.doomed.doom(*pack, now);
            run.report.doomed_packs += 1;
        }
        lock.confirm().await?;
        run.doomed.save(&repository.0).await?;
        Ok(run)
    }

    /// What is to be done with the packs that are not doomed, after those that are needed again were taken off the record.
    fn plan(&mut self) -> Result<plan::Plan> {
        let live = self.census.live()?;
        self.report.live_bytes = live.values().map(|pack| pack.bytes).sum();
        self.spare(live.keys().copied());
        let uses = self.census.uses(&live, &self.doomed);
        Ok(plan::plan(&uses, self.options.max_rewrite_bytes))
    }

    fn spare(&mut self, live: impl Iterator<Item = ObjectId>) {
        for pack in live {
            self.report.spared_packs += u64::from(self.doomed.spare(pack));
        }
    }

    /// Copies what is needed in these packs to new ones, some packs at a time.
    async fn rewrite(
        &mut self,
        lock: &Lock,
        packs: &[ObjectId],
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<()> {
        let live = self.census.live()?;
        let mut rewriter = Rewriter::new(&self.repository.0, lock);
        let mut report = Progress {
            packs_total: packs.len() as u64,
            ..Progress::default()
        };
        let mut waiting = packs;
        while !waiting.is_empty() {
            let mut blobs = 0;
            let some = waiting.iter().take_while(|pack| {
                let first = blobs == 0;
                blobs += live.get(*pack).map_or(0, |live| live.blobs);
                first || blobs <= REWRITE_BLOBS
            });
            let (now, later) = waiting.split_at(some.count());
            waiting = later;
            let mut entries = self.live_entries(now);
            for pack in now {
                let purpose = self.census.packs.get(pack).and_then(|pack| pack.purpose);
                let entries = entries.remove(pack).unwrap_or_default();
                let purpose =
                    purpose.ok_or(Error::Internal("a pack without blobs is rewritten"))?;
                let copied = rewriter.copy(*pack, purpose, entries).await;
                copied.map_err(into_needs_repair)?;
                report.packs += 1;
                report.bytes = rewriter.written_bytes;
                progress(report);
            }
        }
        rewriter.finish().await?;
        self.report.rewritten_packs = packs.len() as u64;
        self.report.rewritten_bytes = rewriter.written_bytes;
        for (pack, entries) in rewriter.written {
            self.census.moved(pack, entries)?;
        }
        Ok(())
    }

    /// The live blobs of some packs, in the order in which they lie there.
    fn live_entries(&self, packs: &[ObjectId]) -> HashMap<ObjectId, Vec<Entry>> {
        let mut entries: HashMap<_, _> = packs.iter().map(|id| (*id, Vec::new())).collect();
        for (location, marked) in self.census.blobs.iter() {
            if let Some(of_pack) = entries.get_mut(&location.pack).filter(|_| marked) {
                of_pack.push(location.entry);
            }
        }
        for of_pack in entries.values_mut() {
            of_pack.sort_unstable_by_key(|entry| entry.offset);
        }
        entries
    }

    /// Whether there is anything to do under an exclusive lock.
    fn wants_to_delete(&self) -> bool {
        let files = self.replaceable_index();
        self.due().next().is_some()
            || files.len() < self.census.index_files.len()
            || !reindex::plan(&files, &self.lost()).is_empty()
    }

    /// The packs that have been doomed long enough.
    fn due(&self) -> impl Iterator<Item = ObjectId> {
        let now = self.repository.0.options.clock.now();
        let due = self
            .doomed
            .packs()
            .filter(move |(_, since)| due_at(*since, self.options.grace) <= now);
        due.map(|(id, _)| id)
    }

    /// Packs that index files list and that are not there; nothing in them is needed, or else the plan would have failed.
    fn lost(&self) -> BTreeSet<ObjectId> {
        let packs = self.census.packs.iter();
        let lost = packs.filter(|(_, pack)| pack.stored_bytes.is_none() && pack.purpose.is_some());
        lost.map(|(id, _)| *id).collect()
    }

    /// The index files, without those that were replaced before and could not be deleted.
    fn replaceable_index(&self) -> BTreeMap<ObjectId, IndexFileUse> {
        let files = self.census.index_files.iter();
        let files = files.filter(|(id, _)| !self.doomed.is_replaced_index(**id));
        files.map(|(id, file)| (*id, file.clone())).collect()
    }

    /// The second phase.
    async fn delete(&mut self, lock: &Lock) -> Result<()> {
        match self.census.catch_up(self.repository).await {
            Ok(()) => {}
            Err(Error::Pruned) => {
                self.report.postponed = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let live = self.census.live()?;
        self.spare(live.keys().copied());
        let due: BTreeSet<ObjectId> = self.due().collect();
        let mut dropped = self.lost();
        dropped.extend(&due);

        let current = self.replaceable_index();
        let mut old = reindex::plan(&current, &dropped);
        let written = reindex::write(self.repository, lock, &current, &old, &dropped).await?;
        self.report.index_files = (current.len() - old.len() + written.len()) as u64;
        old.extend(self.replaced_index(&current, &dropped));
        if !lock.is_present().await? {
            return Err(Error::LockLost);
        }
        let denied = reindex::delete(self.repository, lock, &old).await?;
        self.report.denied_deletions += denied.len() as u64;
        let stays = |id: &ObjectId| !old.contains(id) || denied.contains(id);
        let files = self.census.index_files.iter();
        let still_listed: BTreeSet<ObjectId> = files
            .filter(|(id, _)| stays(id))
            .flat_map(|(_, file)| file.packs.iter().copied())
            .collect();
        self.doomed.set_replaced_index(denied);
        if !lock.is_present().await? {
            return Err(Error::LockLost);
        }
        self.delete_packs(lock, &due, &still_listed).await?;
        self.doomed.save(&self.repository.0).await
    }

    /// Index files that were replaced before, and of which every pack is listed elsewhere or to be dropped.
    fn replaced_index(
        &self,
        current: &BTreeMap<ObjectId, IndexFileUse>,
        dropped: &BTreeSet<ObjectId>,
    ) -> Vec<ObjectId> {
        let listed: BTreeSet<&ObjectId> = current.values().flat_map(|file| &file.packs).collect();
        let files = self.census.index_files.iter();
        let replaced = files.filter(|(id, file)| {
            let mut packs = file.packs.iter();
            self.doomed.is_replaced_index(**id)
                && packs.all(|pack| listed.contains(pack) || dropped.contains(pack))
        });
        replaced.map(|(id, _)| *id).collect()
    }

    async fn delete_packs(
        &mut self,
        lock: &Lock,
        due: &BTreeSet<ObjectId>,
        still_listed: &BTreeSet<ObjectId>,
    ) -> Result<()> {
        for id in due {
            if still_listed.contains(id) {
                // Listed and not there would be damage.
                self.report.denied_deletions += 1;
                continue;
            }
            let stored = self.census.packs.get(id).and_then(|pack| pack.stored_bytes);
            if let Some(bytes) = stored {
                lock.confirm().await?;
                let storage = &self.repository.0.storage;
                if !storage.try_delete(ObjectKind::Pack, *id).await? {
                    self.report.denied_deletions += 1;
                    continue;
                }
                self.report.deleted_packs += 1;
                self.report.deleted_bytes += bytes;
            }
            self.doomed.spare(*id);
        }
        Ok(())
    }

    fn finish(mut self) -> PruneReport {
        if self.report.index_files == 0 {
            self.report.index_files = self.census.index_files.len() as u64;
        }
        let since = self.doomed.packs().map(|(_, since)| since).min();
        self.report.next_due = since.map(|since| due_at(since, self.options.grace));
        self.report
    }
}

fn due_at(since: Timestamp, grace: Duration) -> Timestamp {
    let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    since.saturating_add(grace).unwrap_or(Timestamp::MAX)
}

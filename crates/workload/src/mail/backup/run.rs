//! The order of a run: hierarchy, listings with fetching, doubts, state.
//!
//! Listings and fetches go on at the same time; what they bring is recorded in one place, one after another. Cursors are written only together
//! with everything that they cover.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join},
    stream::FuturesUnordered,
};
use graph::Kind;
use model::{FailureCause, ItemId};
use repository::Draft;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{
    ContainerFailure, Context, Reconciliation, Report,
    fetch::{self, Fetched, Job},
    hierarchy,
    listing::{self, Container, Event},
    recorder::{Next, Recorder},
    removal,
};
use crate::{
    Error, Result,
    mail::{archive::held, json::Record, layout::IdHash, state::Cursor},
};

/// Fetches under way or waiting for their turn: enough to keep the service's four requests for a mailbox busy while results are stored.
const FETCHES_AT_ONCE: usize = 8;
/// Pages that wait to be recorded. Each can have megabytes.
const PAGES_WAITING_MAX: usize = 2;
/// Doubts asked in one go: a few calls' worth, so that their answers take little memory.
const DOUBTS_AT_ONCE: usize = 100;
/// A message that was found can vanish before its content is fetched; then it is asked for once more.
const DOUBT_ROUNDS: usize = 2;

/// Brings `draft`, the mailbox as of its last snapshot, up to date.
///
/// The draft that comes back holds everything that could be had; the report says what could not. Running it again does what is left.
///
/// # Errors
/// When the folders cannot be listed, the repository fails, or it belongs to another account. Items and folders that fail are in the report.
pub async fn run(ctx: Context<'_>, draft: Draft) -> Result<(Report, Draft)> {
    let mut run = Run::open(ctx, draft).await?;
    run.hierarchy().await?;
    run.retry_failures().await?;
    run.reconcile().await?;
    run.listings().await?;
    run.settle().await?;
    run.finish().await
}

struct Run<'a> {
    ctx: Context<'a>,
    recorder: Recorder,
    fetches: FuturesUnordered<BoxFuture<'a, Result<Fetched>>>,
    /// For each folder, the cursor up to which everything is recorded.
    reached: HashMap<ItemId, Option<Cursor>>,
    /// Folders that reported anything at all: the cursor of the others is as good as it was, and is not rewritten.
    moved: HashSet<ItemId>,
    /// Folders of which everything is listed, and whose unlisted messages are therefore in doubt.
    relisted: HashSet<ItemId>,
    /// Folders that the source says are gone.
    gone: Vec<ItemId>,
    /// Folders that could not be read to their end.
    failed: BTreeMap<ItemId, ContainerFailure>,
    /// Folders whose cursors stay where they are, because something that was reported is not recorded.
    held_back: HashSet<ItemId>,
    /// Nothing was held of the mailbox.
    is_first: bool,
    reconciling: Reconciling,
    since_checkpoint: u64,
    /// Something was left undone because somebody asked the run to stop.
    interrupted: bool,
}

/// Whether everything is compared with what is held.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Reconciling {
    No,
    /// It is to be done in this run.
    Due,
    /// The folders are being listed for it; their cursors are not touched.
    Now,
    /// It was done to its end.
    Done,
}

impl<'a> Run<'a> {
    async fn open(ctx: Context<'a>, draft: Draft) -> Result<Self> {
        let recorder = Recorder::open(draft, ctx.tenant, ctx.account).await?;
        let is_first = recorder.folders.is_empty();
        let is_due = !is_first
            && recorder
                .account
                .is_reconciliation_due(ctx.clock.now(), ctx.limits.reconcile_every);
        Ok(Self {
            ctx,
            recorder,
            is_first,
            reconciling: if is_due {
                Reconciling::Due
            } else {
                Reconciling::No
            },
            held_back: HashSet::new(),
            fetches: FuturesUnordered::new(),
            reached: HashMap::new(),
            moved: HashSet::new(),
            relisted: HashSet::new(),
            gone: Vec::new(),
            failed: BTreeMap::new(),
            since_checkpoint: 0,
            interrupted: false,
        })
    }

    /// Whether nothing more is to be read: nobody but an administrator can help, or somebody asked the run to stop.
    fn is_over(&mut self) -> bool {
        if self.recorder.stopped.is_some() {
            return true;
        }
        self.interrupted |= self.ctx.progress.is_asked_to_stop();
        self.interrupted
    }

    /// Brings the folders up to date.
    async fn hierarchy(&mut self) -> Result<()> {
        let known = self.recorder.account.hierarchy.clone();
        let known = known.filter(|_| !self.recorder.folders.is_empty());
        let (changed, mut link) = hierarchy::changes(self.ctx, known.as_ref()).await?;
        if !changed && self.reconciling == Reconciling::No {
            return Ok(());
        }
        let walk = hierarchy::walk(self.ctx, &self.recorder.folders, &mut link).await?;
        let held: u64 = self.recorder.folders.iter().map(held).sum();
        self.ctx
            .progress
            .expect(walk.messages().saturating_sub(held));
        let missing = self.recorder.take_hierarchy(walk.found).await?;
        self.gone = removal::doubt_folders(self.ctx, &mut self.recorder, missing).await?;
        // The old link is as good where nothing is reported.
        if changed && walk.unlisted.is_empty() {
            self.recorder.account.hierarchy = link;
            self.recorder.account.save(&mut self.recorder.draft).await?;
        }
        if let Some(root) = walk.in_motion {
            self.note_failure(root, FailureCause::Doubtful, None);
        }
        for (id, error) in walk.unlisted {
            self.fail_container(id, &error);
        }
        Ok(())
    }

    /// Asks again for what failed in earlier runs (survival 63), but for what is in quarantine.
    async fn retry_failures(&mut self) -> Result<()> {
        for failure in self.recorder.ledger.due() {
            let (item, container) = (failure.item.clone(), failure.container.clone());
            self.recorder.doubts.insert(item, container);
        }
        self.settle_doubts().await
    }

    /// When it is due, lists every folder whole that goes on from a cursor, and brings what is held in line with it: a check, after which the
    /// run goes on like any other, from the cursors that it began with. A folder that cannot be listed whole is checked another time.
    async fn reconcile(&mut self) -> Result<()> {
        if self.reconciling == Reconciling::No || self.is_over() {
            return Ok(());
        }
        self.reconciling = Reconciling::Now;
        let mut containers = self.containers();
        containers.retain(|one| matches!(one.cursor, Some(Cursor::Delta(_))));
        let ids = containers.iter().map(|one| one.id.clone());
        self.recorder.check.begin(ids);
        for container in &mut containers {
            container.cursor = None;
        }
        let failed = std::mem::take(&mut self.failed);
        let held_back = std::mem::take(&mut self.held_back);
        self.read(containers).await?;
        self.settle_doubts().await?;
        let unread = std::mem::replace(&mut self.failed, failed);
        self.held_back = held_back;
        self.relisted.clear();
        self.moved.clear();
        self.recorder.check.end();
        let is_whole = unread.is_empty() && self.failed.is_empty();
        self.reconciling = if is_whole && !self.is_over() {
            Reconciling::Done
        } else {
            Reconciling::Due
        };
        self.recorder.report.reconciliation = Some(Reconciliation {
            missed: 0,
            unread: unread.into_values().collect(),
        });
        Ok(())
    }

    /// Reads what all folders report and records it.
    async fn listings(&mut self) -> Result<()> {
        if self.is_over() {
            return Ok(());
        }
        self.read(self.containers()).await
    }

    /// The folders that are there, with their cursors.
    fn containers(&self) -> Vec<Container> {
        let folders = self.recorder.folders.iter();
        let there = folders.filter(|folder| !self.gone.contains(&folder.id));
        let containers = there.map(|folder| Container {
            id: folder.id.clone(),
            cursor: folder.cursor.clone(),
        });
        containers.collect()
    }

    async fn read(&mut self, containers: Vec<Container>) -> Result<()> {
        let (events, queue) = mpsc::channel(PAGES_WAITING_MAX);
        let reading = listing::read(self.ctx, containers, events);
        let recording = async {
            let mut queue = queue;
            let progress = self.ctx.progress;
            while !self.is_over() {
                tokio::select! {
                    biased;
                    Some(fetched) = self.fetches.next(), if !self.fetches.is_empty() => self.take(fetched?).await?,
                    () = progress.asked_to_stop() => {}
                    event = queue.recv() => match event {
                        Some(event) => self.event(event).await?,
                        None => break,
                    },
                }
            }
            drop(queue);
            self.drain().await
        };
        // When recording ends early it drops the queue, and reading ends at its next page.
        let ((), outcome) = join(reading, recording).await;
        outcome
    }

    async fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Page {
                container,
                items,
                next,
            } => {
                if !items.is_empty() {
                    self.moved.insert(container.clone());
                }
                for item in items {
                    // A page can take as long as a minute. What was not recorded of it is reported again, because no cursor passes it.
                    if self.ctx.progress.is_asked_to_stop() {
                        self.interrupted = true;
                        return Ok(());
                    }
                    self.item(&container, item).await?;
                }
                if let Some(next) = next
                    && self.reconciling != Reconciling::Now
                    && !self.relisted.contains(&container)
                    && !self.is_quiet(&container)
                {
                    self.reached.insert(container, Some(Cursor::Next(next)));
                }
                self.checkpoint_if_due().await?;
            }
            Event::Restart { container } => self.restart(container).await?,
            Event::Done { container, cursor } => {
                if self.relisted.contains(&container) {
                    self.drain().await?;
                    self.recorder.doubt_unlisted(&container).await?;
                }
                let as_good = match (&cursor, self.cursor(&container)) {
                    (Some(Cursor::Whole), Some(Cursor::Whole)) | (None, None) => true,
                    (Some(Cursor::Delta(_)), _) => self.is_quiet(&container),
                    _ => false,
                };
                if !as_good && self.reconciling != Reconciling::Now {
                    self.reached.insert(container, cursor);
                }
            }
            Event::Gone { container } => {
                self.drain().await?;
                let gone =
                    removal::doubt_folders(self.ctx, &mut self.recorder, vec![container.clone()])
                        .await?;
                if gone.is_empty() {
                    self.leave_container(container, FailureCause::Doubtful, None);
                }
                self.gone.extend(gone);
            }
            Event::Failed { container, error } => {
                // What was recorded before stays recorded, and the next run goes on after it (survival 54). An answer that makes no sense is no
                // place to go on from.
                if error.kind() == Kind::BadAnswer {
                    self.held_back.insert(container.clone());
                }
                let code = error.code().map(str::to_owned);
                self.note_failure(container, fetch::cause(&error), code);
                if error.is_fatal() {
                    self.recorder.stopped.get_or_insert(error);
                }
            }
        }
        Ok(())
    }

    /// A folder is listed from its beginning. What was reported before in this run, by it or by an answer to a doubt, counts no more (survival 55):
    /// the message may have left meanwhile, and no cursor will tell. What was fetched is held.
    async fn restart(&mut self, container: ItemId) -> Result<()> {
        self.reached.remove(&container);
        if self.recorder.has_claims(&container) {
            self.drain().await?;
            self.recorder.forget_claims(&container);
        }
        let record = self.recorder.folders.get(&container);
        if record.is_some_and(|folder| !folder.months.is_empty()) {
            self.relisted.insert(container);
        }
        Ok(())
    }

    fn cursor(&self, container: &ItemId) -> Option<&Cursor> {
        let record = self.recorder.folders.get(container)?;
        record.cursor.as_ref()
    }

    /// Whether the folder reported nothing, so that its cursor is as good as a newer one: also when it says so in several pages.
    fn is_quiet(&self, container: &ItemId) -> bool {
        matches!(self.cursor(container), Some(Cursor::Delta(_)))
            && !self.moved.contains(container)
            && !self.relisted.contains(container)
    }

    fn fail_container(&mut self, container: ItemId, error: &graph::Error) {
        let code = error.code().map(str::to_owned);
        self.leave_container(container, fetch::cause(error), code);
    }

    /// A folder that cannot be read stays as it was, and is asked again from where it was (survival 67).
    fn leave_container(&mut self, container: ItemId, cause: FailureCause, code: Option<String>) {
        self.held_back.insert(container.clone());
        self.note_failure(container, cause, code);
    }

    fn note_failure(&mut self, container: ItemId, cause: FailureCause, code: Option<String>) {
        let failure = ContainerFailure {
            container: container.clone(),
            cause,
            code,
        };
        self.failed.insert(container, failure);
    }

    async fn item(&mut self, container: &ItemId, json: Box<RawValue>) -> Result<()> {
        let record = Record::read(&json);
        if let Some(id) = record.id()
            && self.reconciling != Reconciling::Now
        {
            self.recorder.check.explain(&IdHash::of(id));
        }
        let now = self.ctx.clock.now();
        match record {
            // The folder must be asked again.
            Record::Nameless(cause) => self.leave_container(container.clone(), cause, None),
            Record::Removed(id) => self.recorder.unreported(container, id),
            // The whole message is asked for, together with others.
            Record::Part(id) => self.recorder.doubt(container, id),
            Record::Defect(id) => self.recorder.defect(id, container.clone(), now),
            Record::Whole(headline) => {
                let reported = self.recorder.reported(container, headline, json, now);
                if let Next::Fetch(job) = reported.await? {
                    self.fetch(*job).await?;
                }
            }
        }
        Ok(())
    }

    /// Starts to fetch, after waiting for room.
    async fn fetch(&mut self, job: Job) -> Result<()> {
        while self.fetches.len() >= FETCHES_AT_ONCE {
            if let Some(fetched) = self.fetches.next().await {
                self.take(fetched?).await?;
            }
        }
        let writer = self.recorder.draft.writer();
        self.fetches
            .push(fetch::fetch(self.ctx, writer, job).boxed());
        Ok(())
    }

    async fn take(&mut self, fetched: Fetched) -> Result<()> {
        self.since_checkpoint += 1;
        let bytes = fetched.bytes;
        if self.recorder.fetched(fetched, self.ctx.clock.now()).await? {
            self.ctx.progress.add(1, bytes);
        }
        Ok(())
    }

    /// Waits for all fetches. So must whoever sends a request from here: a fetch that nobody drives keeps its place at the service, and the
    /// request would wait for it for ever (survival 31).
    async fn drain(&mut self) -> Result<()> {
        while let Some(fetched) = self.fetches.next().await {
            self.take(fetched?).await?;
        }
        Ok(())
    }

    /// A long run makes a partial snapshot now and then: whatever happens, only the work since then is lost.
    async fn checkpoint_if_due(&mut self) -> Result<()> {
        if self.since_checkpoint < self.ctx.limits.checkpoint_every {
            return Ok(());
        }
        self.drain().await?;
        self.since_checkpoint = 0;
        self.save_cursors();
        self.recorder.save().await?;
        self.ctx
            .checkpoint
            .take(&mut self.recorder.draft)
            .await
            .map_err(Error::repository("a checkpoint"))
    }

    /// Asks for each message that is in doubt. Those that still are when the run must end stay so, and hold their folders' cursors back.
    async fn settle_doubts(&mut self) -> Result<()> {
        for _ in 0..DOUBT_ROUNDS {
            // In a fixed order, so that a run can be repeated exactly.
            let mut doubts: Vec<_> = self.recorder.doubts.drain().collect();
            doubts.sort();
            for some in doubts.chunks(DOUBTS_AT_ONCE) {
                if self.is_over() {
                    self.recorder.doubts.extend(some.iter().cloned());
                    continue;
                }
                for job in removal::ask(self.ctx, &mut self.recorder, some).await? {
                    self.fetch(job).await?;
                }
                self.drain().await?;
            }
        }
        if !self.is_over() {
            let now = self.ctx.clock.now();
            for (id, container) in std::mem::take(&mut self.recorder.doubts) {
                self.recorder.doubtful(id, container, None, now);
            }
        }
        Ok(())
    }

    /// Settles what is in doubt, and takes out the folders that are gone.
    async fn settle(&mut self) -> Result<()> {
        self.settle_doubts().await?;
        if self.is_over() {
            return Ok(());
        }
        let gone = std::mem::take(&mut self.gone);
        self.recorder.drop_folders(gone).await
    }

    /// Moves the cursors of which everything that they cover is recorded: no folder that failed, and none with a message in doubt.
    fn save_cursors(&mut self) {
        let doubts = self.recorder.doubts.values();
        let held_back: HashSet<&ItemId> = doubts.chain(&self.held_back).collect();
        let reached = std::mem::take(&mut self.reached);
        let (later, now): (HashMap<_, _>, HashMap<_, _>) = reached
            .into_iter()
            .partition(|(id, _)| held_back.contains(id));
        self.reached = later;
        for (id, cursor) in now {
            let folders = &mut self.recorder.folders;
            folders.update(&id, |folder| folder.cursor = cursor);
        }
    }

    async fn finish(mut self) -> Result<(Report, Draft)> {
        self.save_cursors();
        // A first run that read everything has nothing to be compared with.
        let is_whole = self.is_first
            && self.failed.is_empty()
            && self.recorder.stopped.is_none()
            && !self.interrupted;
        if is_whole || self.reconciling == Reconciling::Done {
            self.recorder.account.reconciled = Some(self.ctx.clock.now());
            self.recorder.account.save(&mut self.recorder.draft).await?;
        }
        self.recorder.save().await?;
        let missed = self.recorder.check.missed();
        let mut report = self.recorder.report;
        if let Some(reconciliation) = &mut report.reconciliation {
            reconciliation.missed = missed;
        }
        report.folders = self.recorder.folders.iter().count() as u64;
        report.failures = self.recorder.ledger.failures().cloned().collect();
        report.skips = self.recorder.ledger.skips().cloned().collect();
        report.containers = self.failed.into_values().collect();
        report.stopped = self.recorder.stopped;
        report.interrupted = self.interrupted;
        if let Some(anomaly) = report.anomaly() {
            tracing::warn!(
                ?anomaly,
                held_before = report.held_before,
                "more of a mailbox changed at once than people change"
            );
        }
        if missed > 0 {
            tracing::warn!(missed, "messages were found that no folder had reported");
        }
        Ok((report, self.recorder.draft))
    }
}

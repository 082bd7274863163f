//! The order of a run: hierarchy, listings with fetching, doubts, state.
//!
//! Listings and fetches go on at the same time; what they bring is recorded in one place, one after another. Cursors are written only together
//! with everything that they cover.

use std::collections::{HashMap, HashSet};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join},
    stream::FuturesUnordered,
};
use graph::Request;
use model::{FailureCause, ItemId};
use repository::Draft;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{
    ContainerFailure, Context, Report,
    fetch::{self, Fetched, Job},
    hierarchy,
    listing::{self, Container, Event},
    recorder::{Next, Recorder},
    removal,
};
use crate::{
    Error, Result,
    mail::{
        json::{Fields, Headline},
        state::Cursor,
    },
};

/// Fetches under way or waiting for their turn: enough to keep the service's four requests for a mailbox busy while results are stored.
const FETCHES_AT_ONCE: usize = 8;
/// Pages that wait to be recorded. Each can have megabytes.
const PAGES_WAITING_MAX: usize = 2;
/// Messages fetched between two checkpoints: some minutes of work at the documented limits.
const MESSAGES_PER_CHECKPOINT: u64 = 5_000;

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
    /// Folders whose cursor must not move yet, because something that it covers is still in doubt.
    unsettled: HashSet<ItemId>,
    /// Folders that the source says are gone.
    gone: Vec<ItemId>,
    containers: Vec<ContainerFailure>,
    since_checkpoint: u64,
}

impl<'a> Run<'a> {
    async fn open(ctx: Context<'a>, draft: Draft) -> Result<Self> {
        Ok(Self {
            ctx,
            recorder: Recorder::open(draft, ctx.tenant, ctx.account).await?,
            fetches: FuturesUnordered::new(),
            reached: HashMap::new(),
            moved: HashSet::new(),
            relisted: HashSet::new(),
            unsettled: HashSet::new(),
            gone: Vec::new(),
            containers: Vec::new(),
            since_checkpoint: 0,
        })
    }

    /// Brings the folders up to date.
    async fn hierarchy(&mut self) -> Result<()> {
        let known = self.recorder.account.hierarchy.clone();
        let known = known.filter(|_| !self.recorder.folders.is_empty());
        let (changed, link) = hierarchy::changes(self.ctx, known.as_ref()).await?;
        if !changed {
            return Ok(());
        }
        let found = hierarchy::walk(self.ctx).await?;
        let missing = self.recorder.take_hierarchy(found).await?;
        self.gone = removal::doubt_folders(self.ctx, &mut self.recorder, missing).await?;
        self.recorder.account.hierarchy = Some(link);
        self.recorder.account.save(&mut self.recorder.draft).await
    }

    /// Asks again for what failed in earlier runs (survival 63).
    async fn retry_failures(&mut self) -> Result<()> {
        let owed: Vec<(ItemId, ItemId)> = self
            .recorder
            .ledger
            .failures()
            .iter()
            .map(|f| (f.item.clone(), f.container.clone()))
            .collect();
        for (id, container) in owed {
            self.ask_whole(&container, id).await?;
        }
        self.drain().await
    }

    /// Asks for one message by its id, and records or doubts it.
    async fn ask_whole(&mut self, container: &ItemId, id: ItemId) -> Result<()> {
        let path = self
            .ctx
            .path(&format!("/messages/{}", graph::segment(id.as_str())));
        let answer = self
            .ctx
            .graph
            .send(&self.ctx.scope(), Request::get(path))
            .await;
        let now = self.ctx.clock.now();
        match answer {
            Ok(response) => {
                let json: Option<Box<RawValue>> = serde_json::from_slice(&response.body).ok();
                let headline = json
                    .as_ref()
                    .and_then(|json| Fields::of(json).ok().as_ref().and_then(Headline::of));
                match (json, headline) {
                    (Some(json), Some(headline)) => self.record(container, headline, json).await,
                    _ => {
                        self.recorder.ledger.fail(
                            id,
                            container.clone(),
                            FailureCause::BadAnswer,
                            None,
                            now,
                        );
                        Ok(())
                    }
                }
            }
            Err(error) if removal::is_gone(&error) => {
                self.recorder.unreported(container, id);
                Ok(())
            }
            Err(error) => {
                let code = error.code().map(str::to_owned);
                self.recorder
                    .ledger
                    .fail(id, container.clone(), fetch::cause(&error), code, now);
                Ok(())
            }
        }
    }

    /// Reads all folders and records what they report.
    async fn listings(&mut self) -> Result<()> {
        let containers = self.recorder.folders.iter().map(|folder| Container {
            id: folder.id.clone(),
            cursor: folder.cursor.clone(),
        });
        let (events, queue) = mpsc::channel(PAGES_WAITING_MAX);
        let reading = listing::read(self.ctx, containers.collect(), events);
        let recording = async {
            let mut queue = queue;
            while self.recorder.stopped.is_none() {
                tokio::select! {
                    biased;
                    Some(fetched) = self.fetches.next(), if !self.fetches.is_empty() => self.take(fetched?).await?,
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
                    self.item(&container, item).await?;
                }
                if let Some(next) = next
                    && !self.relisted.contains(&container)
                {
                    self.reached.insert(container, Some(Cursor::Next(next)));
                }
                self.checkpoint_if_due().await?;
            }
            Event::Restart { container } => {
                if self
                    .recorder
                    .folders
                    .get(&container)
                    .is_some_and(|folder| !folder.months.is_empty())
                {
                    self.relisted.insert(container);
                }
            }
            Event::Done { container, delta } => {
                if self.relisted.contains(&container) {
                    self.drain().await?;
                    self.recorder.doubt_unlisted(&container).await?;
                }
                let known = self
                    .recorder
                    .folders
                    .get(&container)
                    .and_then(|folder| folder.cursor.as_ref());
                let as_good = match (known, &delta) {
                    (Some(Cursor::Delta(_)), Some(_)) => {
                        !self.moved.contains(&container) && !self.relisted.contains(&container)
                    }
                    (None, None) => true,
                    _ => false,
                };
                if !as_good {
                    self.reached.insert(container, delta.map(Cursor::Delta));
                }
            }
            Event::Gone { container } => {
                let gone =
                    removal::doubt_folders(self.ctx, &mut self.recorder, vec![container.clone()])
                        .await?;
                if gone.is_empty() {
                    self.leave_container(container, FailureCause::Doubtful, None);
                }
                self.gone.extend(gone);
            }
            Event::Failed { container, error } => {
                self.leave_container(
                    container,
                    fetch::cause(&error),
                    error.code().map(str::to_owned),
                );
                if error.is_fatal() {
                    self.recorder.stopped.get_or_insert(error);
                }
            }
        }
        Ok(())
    }

    /// A folder that cannot be read stays as it was, and is asked again from where it was (survival 67).
    fn leave_container(&mut self, container: ItemId, cause: FailureCause, code: Option<String>) {
        self.unsettled.insert(container.clone());
        self.reached.remove(&container);
        self.containers.push(ContainerFailure {
            container,
            cause,
            code,
        });
    }

    async fn item(&mut self, container: &ItemId, json: Box<RawValue>) -> Result<()> {
        let Some((fields, id)) = Fields::of(&json)
            .ok()
            .and_then(|fields| fields.id("id").ok().map(|id| (fields, id)))
        else {
            // Nothing tells which message this is: the folder must be asked again.
            self.leave_container(container.clone(), FailureCause::BadAnswer, None);
            return Ok(());
        };
        if fields.has("@removed") {
            self.recorder.unreported(container, id);
            self.unsettled.insert(container.clone());
            return Ok(());
        }
        match Headline::of(&fields) {
            Some(headline) => self.record(container, headline, json).await,
            None => self.ask_whole(container, id).await,
        }
    }

    async fn record(
        &mut self,
        container: &ItemId,
        headline: Headline,
        json: Box<RawValue>,
    ) -> Result<()> {
        match self.recorder.reported(container, headline, json).await? {
            Next::Nothing => Ok(()),
            Next::Fetch(job) => self.fetch(*job).await,
        }
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
        self.ctx.progress.add(1, fetched.bytes);
        self.since_checkpoint += 1;
        self.recorder.fetched(fetched, self.ctx.clock.now()).await
    }

    /// Waits for all fetches.
    async fn drain(&mut self) -> Result<()> {
        while let Some(fetched) = self.fetches.next().await {
            self.take(fetched?).await?;
        }
        Ok(())
    }

    /// A long run makes a partial snapshot now and then: whatever happens, only the work since then is lost.
    async fn checkpoint_if_due(&mut self) -> Result<()> {
        if self.since_checkpoint < MESSAGES_PER_CHECKPOINT {
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

    /// Settles what is in doubt, and takes out the folders that are gone.
    async fn settle(&mut self) -> Result<()> {
        if self.recorder.stopped.is_some() {
            return Ok(());
        }
        for job in removal::settle(self.ctx, &mut self.recorder).await? {
            self.fetch(job).await?;
        }
        self.drain().await?;
        // A folder that failed keeps its old cursor; for the others everything that their new one covers is recorded now.
        let failed: HashSet<&ItemId> = self
            .containers
            .iter()
            .map(|failure| &failure.container)
            .collect();
        self.unsettled.retain(|id| failed.contains(id));
        // Inner folders before those around them.
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_by_key(|id| std::cmp::Reverse(self.recorder.folders.path(id).len()));
        for id in gone {
            self.recorder.drop_folder(&id).await?;
        }
        Ok(())
    }

    fn save_cursors(&mut self) {
        for (id, cursor) in std::mem::take(&mut self.reached) {
            if !self.unsettled.contains(&id) {
                self.recorder
                    .folders
                    .update(&id, |folder| folder.cursor = cursor);
            }
        }
    }

    async fn finish(mut self) -> Result<(Report, Draft)> {
        self.save_cursors();
        self.recorder.save().await?;
        let mut report = self.recorder.report;
        report.folders = self.recorder.folders.iter().count() as u64;
        report.failures = self.recorder.ledger.failures().to_vec();
        report.skips = self.recorder.ledger.skips().to_vec();
        report.containers = self.containers;
        report.stopped = self.recorder.stopped;
        Ok((report, self.recorder.draft))
    }
}

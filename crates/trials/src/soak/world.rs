//! One seed's world: a mailbox at the emulator, its backups in a data folder, one clock, and what is known of all of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::model::{SharedClock, SimulatedClock, TenantId};
use anyhow::{Context, Result, bail, ensure};
use emulator::{Emulator, Exchange, MessageView, Running, Settings};
use engine::{Account, Vault, backup, discovery, open, snapshots::PARTIAL_TAG};
use graph::{Client, Cloud, Credential};
use jiff::SignedDuration;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use repository::{BlobId, Repository, Snapshot, SnapshotId};
use tempfile::TempDir;
use testkit::store::Watched;
use workload::mail::Archive;

use super::{
    actions::Action,
    history::{Held, History, Place},
    model::{Model, Run},
};

/// This process, in all its lives.
const INSTANCE: &str = "soak";
/// So few that a first run of some hundred messages has several checkpoints.
const CHECKPOINT_EVERY: u64 = 10;
/// So short that most worlds, in which weeks pass, see some comparisons of everything, and most runs do without.
const RECONCILE_EVERY: SignedDuration = SignedDuration::from_hours(72);

type Hook = Box<dyn FnMut(&Exchange) + Send>;

/// See the module's text.
pub struct World {
    pub(super) emulator: Running,
    pub(super) graph: Client,
    pub(super) account: Account,
    pub(super) random: StdRng,
    pub(super) simulated: SimulatedClock,
    pub(super) history: Arc<Mutex<History>>,
    pub(super) model: Model,
    clock: SharedClock,
    /// Whether restic may have forgotten what the next run goes on from.
    pub(super) restic_forgot: bool,
    /// After how many writes storage dies when it is opened next.
    next_death: Arc<Mutex<Option<usize>>>,
    vault: Vault,
    hook: Arc<Mutex<Option<Hook>>>,
    log: Vec<String>,
    _data: TempDir,
}

/// The product's clock, as the emulator wants to see it.
#[derive(Debug)]
struct Shared(SharedClock);

impl emulator::Clock for Shared {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }
}

impl World {
    /// The world of a seed, before anything has happened in it.
    ///
    /// # Errors
    /// When the emulator does not start, or a temporary folder cannot be made.
    pub async fn new(seed: u64) -> Result<Self> {
        let mut random = StdRng::seed_from_u64(seed);
        let simulated = SimulatedClock::new("2026-11-22T14:05:00Z".parse()?);
        let clock: SharedClock = Arc::new(simulated.clone());
        let hook: Arc<Mutex<Option<Hook>>> = Arc::default();
        let emulator = Emulator::start(settings(seed, &mut random, &clock, &hook)).await?;
        let tenant = TenantId::new(emulator.tenant_id.to_string())?;
        let graph = Client::new(graph::Options::new(
            Cloud::at(&emulator.base_url)?,
            tenant.clone(),
            emulator.client_id.to_string(),
            Credential::secret(emulator.client_secret.clone()),
            clock.clone(),
            seed,
        ))?;
        let mut accounts = discovery::mailboxes(&graph, &tenant).await?;
        let account = accounts.pop().context("there is a mailbox")?;
        let data = TempDir::new()?;
        let next_death: Arc<Mutex<Option<usize>>> = Arc::default();
        let death = Arc::clone(&next_death);
        let vault = Vault::create(data.path())?.with_storage(move |storage| {
            let writes = death.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(writes) = writes else { return storage };
            storage.map(|store| {
                let mortal = Watched::new(store);
                mortal.die_after(writes);
                mortal
            })
        });
        // As the first backup does, so that a world may begin with anything else.
        vault.remember(&account)?;
        let mut world = Self {
            emulator,
            graph,
            account,
            random,
            simulated,
            history: Arc::default(),
            model: Model::default(),
            restic_forgot: false,
            next_death,
            clock,
            vault,
            hook,
            log: Vec::new(),
            _data: data,
        };
        world.note_source()?;
        Ok(world)
    }

    /// What happened so far, a line for each step.
    #[must_use]
    pub fn log(&self) -> &[String] {
        &self.log
    }

    /// One step.
    ///
    /// # Errors
    /// When something is not as it must be.
    pub async fn step(&mut self, number: u32) -> Result<()> {
        let action = Action::any(&mut self.random);
        let outcome = self.act(&action).await;
        let told = match &outcome {
            Ok(told) => told.clone(),
            Err(_) => "FAILED".to_owned(),
        };
        self.log.push(format!("{number:>4} {action:?}: {told}"));
        outcome.map(|_| ())
    }

    /// The sky clears: one run makes the newest snapshot the mailbox, and everything that was ever backed up is still there.
    ///
    /// # Errors
    /// When something is not as it must be.
    pub async fn end(&mut self) -> Result<String> {
        self.settle().await?;
        self.prune_to_the_end().await?;
        self.read_all().await?;
        self.check_by_restic()?;
        let messages = self.history().now().len();
        Ok(format!(
            "{} snapshots, {messages} messages",
            self.model.ids().len()
        ))
    }

    pub(super) fn setting(&self) -> backup::Setting<'_> {
        backup::Setting {
            vault: &self.vault,
            graph: &self.graph,
            clock: &self.clock,
            instance: INSTANCE,
            limits: backup::Limits {
                checkpoint_every: CHECKPOINT_EVERY,
                reconcile_every: RECONCILE_EVERY,
            },
        }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Storage dies after so many writes of whoever opens it next; not, when that is nothing.
    pub(super) fn die_after(&self, writes: Option<usize>) {
        *self
            .next_death
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = writes;
    }

    /// From now on `hook` sees every exchange, in place of the one before; without one nobody does.
    pub(super) fn on_exchange(&self, hook: Option<Hook>) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = hook;
    }

    /// The mailbox at the source.
    pub(super) fn mailbox(&self) -> Result<Arc<Mutex<emulator::Mailbox>>> {
        let mailbox = self
            .emulator
            .tenant()
            .mailbox(self.account.id.as_str().parse()?);
        mailbox.context("the account has a mailbox")
    }

    /// Notes what the mailbox holds now.
    pub(super) fn note_source(&mut self) -> Result<()> {
        let mailbox = self.mailbox()?;
        let held = held_by(&mailbox);
        self.history().note(held);
        Ok(())
    }

    /// The account's repository; nothing before the first backup.
    pub(super) async fn repository(&self) -> Result<Option<Repository>> {
        match open::existing(self.setting().local(), &self.account).await {
            Ok(repository) => Ok(Some(repository)),
            Err(engine::Error::NoSnapshot) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Judges the snapshots that a run made, and sees to it that the others are still there. Gives how many are new.
    pub(super) async fn judge_new(&mut self, run: Run) -> Result<usize> {
        let Some(repository) = self.repository().await? else {
            return Ok(0);
        };
        let mut listed = repository.snapshots().await?;
        listed.sort_by_key(|(_, snapshot)| snapshot.time);
        let there: BTreeMap<_, _> = listed.iter().map(|(id, _)| (*id, ())).collect();
        let lost = self
            .model
            .ids()
            .into_iter()
            .find(|id| !there.contains_key(id));
        ensure!(lost.is_none(), "the snapshot {lost:?} is gone");
        listed.retain(|(id, _)| !self.model.knows(*id));
        for (id, snapshot) in &listed {
            let held = self.read(&repository, *id, snapshot).await?;
            let parent = snapshot.parent.and_then(|id| self.model.held(id));
            let is_partial = snapshot.tags.iter().any(|tag| tag == PARTIAL_TAG);
            let wrong = Model::judge(
                &self.history(),
                run,
                parent.map(|held| &**held),
                &held,
                is_partial,
            );
            if !wrong.is_empty() {
                bail!(
                    "the snapshot {id} ({:?}) is wrong: {wrong:#?}",
                    snapshot.tags
                );
            }
            self.model.take(*id, held);
        }
        Ok(listed.len())
    }

    /// What a snapshot holds.
    pub(super) async fn read(
        &self,
        repository: &Repository,
        id: SnapshotId,
        snapshot: &Snapshot,
    ) -> Result<Held> {
        let archive = Archive::open(repository.view(snapshot.tree))
            .await
            .with_context(|| format!("snapshot {id}"))?;
        let mut held = Held::new();
        for folder in archive.folders() {
            let messages = archive.messages(&folder.id).await?;
            ensure!(
                messages.len() as u64 == folder.messages,
                "a folder's count has drifted in {id}"
            );
            for at in messages {
                let message = archive.message(&at).await?;
                let place = Place {
                    folder: folder.id.to_string(),
                    mime: message.has_mime.then(|| BlobId::of(&message.mime)),
                    json: hash_of(serde_json::from_str(message.json.get())?),
                };
                let twice = held.insert(message.id.to_string(), place);
                ensure!(twice.is_none(), "{} is in {id} twice", message.id);
            }
        }
        Ok(held)
    }
}

pub(super) fn lock(mailbox: &Mutex<emulator::Mailbox>) -> MutexGuard<'_, emulator::Mailbox> {
    mailbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a mailbox holds now.
pub(super) fn held_by(mailbox: &Mutex<emulator::Mailbox>) -> Held {
    let mailbox = lock(mailbox);
    let messages = mailbox.message_views();
    messages
        .map(|message| (message.id.clone(), place(message)))
        .collect()
}

/// Where a message lies, what it is, and what is said of it.
pub(super) fn place(message: MessageView) -> Place {
    Place {
        mime: Some(BlobId::of(&message.mime)),
        json: hash_of(message.json),
        folder: message.folder_id,
    }
}

/// The hash of what Graph says of a message.
fn hash_of(json: serde_json::Value) -> BlobId {
    let said = serde_json::to_vec(&crate::mailbox::said(json));
    BlobId::of(&said.expect("JSON can be written"))
}

fn settings(
    seed: u64,
    random: &mut StdRng,
    clock: &SharedClock,
    hook: &Arc<Mutex<Option<Hook>>>,
) -> Settings {
    let mut settings = Settings::new(emulator::World::new().users(1, seed));
    settings.seed = seed;
    settings.clock = Arc::new(Shared(clock.clone()));
    settings.behaviour.mail.empty_delta_pages = random.random();
    settings.behaviour.mail.deleted_by_id = random.random();
    settings.behaviour.mail.hidden_folders_in_delta = random.random();
    let hook = Arc::clone(hook);
    settings.observer = Some(emulator::Observer::new(move |exchange| {
        if let Some(hook) = &mut *hook.lock().unwrap_or_else(PoisonError::into_inner) {
            hook(exchange);
        }
    }));
    settings
}

//! What all parts of the service share: the catalog, the keys, the Graph clients, and word of what has changed.

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use catalog::{Catalog, ConnectionId, OrganizationId, RunId};
use engine::Vault;
use graph::{Client, Cloud, Governor, Limits};
use model::SharedClock;
use repository::KeyRing;
use secrets::{Key, ServerKey};
use tokio::sync::{Notify, broadcast};
use zeroize::Zeroizing;

use crate::{
    Error, Result, Tally,
    connections::{Clients, Kept},
    organizations::{recovery_key_place, wrapped_key_place},
};

/// Changes that a slow listener may be behind before it misses some; it is told that it did.
const CHANGES_KEPT: usize = 1_024;

/// With what a service is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder. Each organization's vault is `organizations/<id>` in it.
    pub data: PathBuf,
    /// The database: `postgres://…`, `sqlite:PATH`, or the path of a SQLite file.
    pub database: String,
    /// Where Microsoft is.
    pub cloud: Cloud,
    /// This process, by which it knows its own locks again: short, unique among processes that run at a time, not personal.
    pub instance: String,
    /// The time.
    pub clock: SharedClock,
    /// Jobs at a time in this process.
    pub at_once: NonZeroUsize,
    /// How often things are done.
    pub pace: Pace,
}

/// How often the loops do what they do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// For how long a worker has a job without saying a word. It is renewed three times as often.
    pub lease: Duration,
    /// How often a worker says how far a job is, and learns what is wanted of it.
    pub progress: Duration,
    /// How often a worker without a job looks for one that another process has queued.
    pub look: Duration,
    /// How long a job that is to stop may take to leave a restore point of what it has. Then its work is dropped.
    pub grace: Duration,
    /// How long a job that met something passing waits before it is tried again: a lock of somebody else's restic is often gone by then.
    pub pause: Duration,
    /// How long a backup may have to wait for Microsoft before it makes room for a job that is due; it goes on when the wait is over.
    pub patience: Duration,
    /// How often the scheduler compares what should be with what is.
    pub tick: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            progress: Duration::from_secs(1),
            look: Duration::from_secs(1),
            grace: Duration::from_secs(6),
            pause: Duration::from_secs(60),
            patience: Duration::from_secs(60),
            tick: Duration::from_secs(30),
        }
    }
}

/// Something about a run has changed: one of its jobs began, went on, or ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// The organization whose run it is: nobody else is told.
    pub organization: OrganizationId,
    /// The run.
    pub run: RunId,
}

/// A running service. Clones share everything. The catalog is beside the rest because [`Service::apart`] has connections of its own.
#[derive(Clone)]
pub struct Service(pub(crate) Arc<Inner>, Catalog);

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) key: ServerKey,
    pub(crate) governor: Governor,
    pub(crate) clients: Mutex<Clients>,
    pub(crate) tally: Mutex<Tally>,
    /// Of repositories that were opened lately.
    pub(crate) keys: KeyRing,
    pub(crate) changes: broadcast::Sender<Change>,
    /// Told when this process queues something.
    pub(crate) queued: Notify,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("instance", &self.0.settings.instance)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Opens the database, brings its schema up to date, and makes sure that the key is the one that the database was made with.
    ///
    /// # Errors
    /// When the database or the data folder cannot be used, or the key is another one.
    pub async fn open(settings: Settings, key: ServerKey) -> Result<Self> {
        make_folder(&settings.data)?;
        let catalog = Catalog::open(&address(&settings.database)).await?;
        if let Some(first) = catalog.organizations().await?.first() {
            organization_key(&key, first)?;
        }
        let governor = Governor::new(Limits::default(), settings.clock.clone());
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let inner = Inner {
            settings,
            key,
            governor,
            clients: Mutex::default(),
            tally: Mutex::default(),
            keys: KeyRing::default(),
            changes,
            queued: Notify::new(),
        };
        Ok(Self(Arc::new(inner), catalog))
    }

    /// The same service with connections to the database of its own, for work on another runtime: what a connection does, it does by the threads of the
    /// runtime in which it was opened.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn apart(&self) -> Result<Self> {
        let catalog = Catalog::open(&address(&self.settings().database)).await?;
        Ok(Self(Arc::clone(&self.0), catalog))
    }

    /// The control plane.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.1
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.0.settings.clock
    }

    /// Where Microsoft is.
    #[must_use]
    pub fn cloud(&self) -> &Cloud {
        &self.0.settings.cloud
    }

    /// Whether it can do its work: the database answers, and the data folder is there.
    ///
    /// # Errors
    /// What is not as it should be.
    pub async fn ready(&self) -> Result<()> {
        self.catalog().ping().await?;
        let path = &self.settings().data;
        match tokio::fs::metadata(path).await {
            Ok(about) if about.is_dir() => Ok(()),
            Ok(_) => Err(Error::Gone("the data folder is no folder")),
            Err(source) => Err(Error::Folder {
                path: path.clone(),
                source,
            }),
        }
    }

    /// Word of every change of a run that this process makes, from now on. What other processes do is seen in the catalog alone.
    #[must_use]
    pub fn changed(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn tell(&self, organization: OrganizationId, run: RunId) {
        // That nobody listens is no error.
        let _ = self.0.changes.send(Change { organization, run });
    }

    /// The organization's data folder, with the key that it is opened by.
    pub(crate) async fn vault(&self, organization: OrganizationId) -> Result<Vault> {
        let key = self.recovery_key(organization).await?;
        let key = Zeroizing::new(*key.as_bytes());
        let vault = Vault::with_key(&self.vault_path(organization), key)?;
        Ok(vault.with_keys(self.0.keys.clone()))
    }

    pub(crate) fn vault_path(&self, organization: OrganizationId) -> PathBuf {
        let folder = self.settings().data.join("organizations");
        folder.join(organization.to_string())
    }

    /// The key that seals what is the organization's.
    pub(crate) async fn organization_key(&self, organization: OrganizationId) -> Result<Key> {
        let row = self.catalog().organization(organization).get().await?;
        organization_key(&self.0.key, &row)
    }

    /// The key that opens the organization's repositories.
    pub(crate) async fn recovery_key(&self, organization: OrganizationId) -> Result<Key> {
        let row = self.catalog().organization(organization).get().await?;
        let id = organization.to_string();
        organization_key(&self.0.key, &row)?
            .unwrap_key(&row.recovery_key, recovery_key_place(&id))
            .map_err(Error::sealed("the organization's recovery key"))
    }

    /// The Graph clients.
    pub(crate) fn clients(&self) -> std::sync::MutexGuard<'_, Clients> {
        let clients = &self.0.clients;
        clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of a connection, which all its accounts share.
    pub(crate) async fn client(
        &self,
        organization: OrganizationId,
        connection: ConnectionId,
    ) -> Result<Client> {
        let connection = self
            .catalog()
            .organization(organization)
            .connection(connection)
            .await?;
        if let Some(kept) = self.clients().by_connection.get(&connection.id)
            && kept.is_of(&connection)
        {
            return Ok(kept.client.clone());
        }
        let client = self.new_client(organization, &connection).await?;
        let kept = Kept::new(&connection, client.clone());
        self.clients().keep(connection.id, kept);
        Ok(client)
    }
}

fn organization_key(key: &ServerKey, row: &catalog::OrganizationRow) -> Result<Key> {
    let id = row.id.to_string();
    key.key()
        .unwrap_key(&row.key, wrapped_key_place(&id))
        .map_err(Error::sealed("the organization's key"))
}

/// The database's address as the catalog takes it.
fn address(database: &str) -> String {
    match database.split_once(':') {
        Some(("sqlite" | "postgres" | "postgresql", _)) => database.to_owned(),
        _ => format!("sqlite:{database}"),
    }
}

fn make_folder(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| Error::Folder {
        path: path.to_owned(),
        source,
    })
}

//! A repository: made, opened, and the things that are read from it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use model::SharedClock;

use crate::{
    blob::{self, BlobKind},
    blob_map::Location,
    compression::Compressors,
    config::Config,
    crypto::Key,
    draft::Draft,
    error::{Error, Problem, Result, Subject},
    id::{BlobId, ObjectId, RepositoryId, SnapshotId},
    index::Index,
    key::KeyFile,
    lock::Locksmith,
    sealed_file,
    snapshot::Snapshot,
    storage::{ObjectKind, Storage},
    tree_cache::TreeCache,
    view::View,
};

/// Blobs longer than this are opened off the async threads: shorter ones take less time than handing them over.
const OPEN_INLINE_BYTES: u32 = 64 << 10;

/// How a repository is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tells the time for locks and keys.
    pub clock: SharedClock,
    /// Names this instance in locks, as restic's host name does. Instances that run at the same time must have different names; an instance
    /// that was restarted should have the name it had, because its dead locks are then removed.
    pub instance: String,
}

/// An open repository. Clones share its index and caches.
#[derive(Clone)]
pub struct Repository(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) storage: Storage,
    pub(crate) key: Key,
    pub(crate) options: Options,
    pub(crate) compressors: Compressors,
    pub(crate) index: Index,
    pub(crate) trees: TreeCache,
    id: RepositoryId,
}

impl Repository {
    /// Makes a repository. A run that was interrupted may be repeated with the same password (survival 185); where a configuration is,
    /// the error is [`Error::Exists`], also when another made it at the same time (abuse 17).
    pub async fn init(storage: Storage, password: &str, options: Options) -> Result<Self> {
        if storage.config().await?.is_some() {
            return Err(Error::Exists);
        }
        for kind in [ObjectKind::Snapshot, ObjectKind::Index] {
            // A repository that lost its configuration is to be repaired, not written over.
            if !storage.list(kind).await?.is_empty() {
                return Err(Error::damaged(Subject::Config, Problem::Missing));
            }
        }
        let (key, made) = match find_keys(&storage, password).await {
            Ok(keys) => (
                keys.into_iter().next().ok_or(Error::Internal("no key"))?,
                None,
            ),
            Err(Error::NoRepository | Error::WrongPassword) => {
                let key = Key::random();
                let file = seal_key(key.clone(), password.to_owned(), options.clone()).await?;
                (key, Some(storage.put(ObjectKind::Key, file).await?))
            }
            Err(error) => return Err(error),
        };
        let config = Config::random();
        let created = storage.create_config(config.seal(&key).into()).await;
        if let (Err(Error::Exists), Some(id)) = (&created, made) {
            // Somebody was faster, and our key would open nothing of theirs.
            storage.delete(ObjectKind::Key, id).await?;
        }
        created?;
        Ok(Self::new(storage, key, options, config.id))
    }

    /// Opens a repository, and removes what dead runs of this instance left in it, if it may be written to.
    ///
    /// The errors tell apart that there is none ([`Error::NoRepository`]), that the password is wrong ([`Error::WrongPassword`]), that it is
    /// damaged ([`Error::Damaged`]) and that the storage failed ([`Error::Storage`]) (survival 186).
    pub async fn open(storage: Storage, password: &str, options: Options) -> Result<Self> {
        let config = storage.config().await?;
        let keys = match (find_keys(&storage, password).await, &config) {
            // Keys without a configuration: a repository whose making was interrupted.
            (_, None) => return Err(Error::NoRepository),
            (Err(Error::NoRepository), Some(_)) => {
                return Err(Error::damaged(Subject::Keys, Problem::Missing));
            }
            (keys, Some(_)) => keys?,
        };
        let sealed = config.unwrap_or_default();
        let mut outcome = Err(Error::damaged(Subject::Config, Problem::BrokenSeal));
        for key in keys {
            outcome = Config::open(&key, &sealed).map(|config| (key, config));
            if outcome.is_ok() {
                break;
            }
        }
        let (key, config) = outcome?;
        let repository = Self::new(storage, key, options, config.id);
        repository.clear_away().await;
        Ok(repository)
    }

    /// Its identity, which never changes.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.0.id
    }

    /// All snapshots, by time and then id. Errors when one cannot be read.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>> {
        let mut snapshots = Vec::new();
        for listed in self.0.storage.list(ObjectKind::Snapshot).await? {
            let id = SnapshotId::from(listed.id);
            // One that was removed since it was listed is none.
            if let Some(snapshot) = self.snapshot(id).await? {
                snapshots.push((id, snapshot));
            }
        }
        snapshots.sort_by_key(|(id, snapshot)| (snapshot.time, *id));
        Ok(snapshots)
    }

    /// The snapshot with this id, if there is one.
    pub async fn snapshot(&self, id: SnapshotId) -> Result<Option<Snapshot>> {
        let object = ObjectId::from(id);
        match self.0.storage.get(ObjectKind::Snapshot, object).await {
            Ok(sealed) => sealed_file::decode(&self.0.key, &sealed)
                .map(Some)
                .map_err(|problem| {
                    Error::damaged(Subject::Object(ObjectKind::Snapshot, object), problem)
                }),
            Err(Error::Damaged {
                problem: Problem::Missing,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The files under a root directory, for reading.
    #[must_use]
    pub fn view(&self, tree: BlobId) -> View {
        View::new(Arc::clone(&self.0), tree)
    }

    /// A snapshot in the making, which begins as what the parent is, or empty. Errors when there is no such parent.
    pub async fn draft(&self, parent: Option<SnapshotId>) -> Result<Draft> {
        let parent = match parent {
            Some(id) => {
                let snapshot = self.snapshot(id).await?;
                let snapshot = snapshot.ok_or(Error::NotFound("the parent snapshot"))?;
                Some((id, snapshot.tree))
            }
            None => None,
        };
        // From here on it is noticed if somebody prunes.
        self.0.index.refresh(&self.0.storage).await?;
        Ok(Draft::new(Arc::clone(&self.0), parent))
    }

    fn new(storage: Storage, key: Key, options: Options, id: RepositoryId) -> Self {
        Self(Arc::new(Inner {
            storage,
            key,
            options,
            compressors: Compressors::default(),
            index: Index::default(),
            trees: TreeCache::default(),
            id,
        }))
    }

    /// Removes dead locks, and staging files if nobody writes. That it cannot be done, as on a read-only disk, hinders no reader (abuse 29).
    async fn clear_away(&self) {
        let staging = self.0.storage.staging(self.0.options.clock.now()).await;
        match self.0.locksmith().remove_dead().await {
            Ok(0) => staging.remove().await,
            Ok(_) => {}
            Err(error) => tracing::debug!(error = %error, "dead locks could not be removed"),
        }
    }
}

impl Inner {
    pub(crate) fn locksmith(&self) -> Locksmith {
        Locksmith {
            storage: self.storage.clone(),
            key: self.key.clone(),
            clock: self.options.clock.clone(),
            instance: self.options.instance.clone(),
        }
    }

    /// The content of a blob, its hash checked.
    pub(crate) async fn blob(self: &Arc<Self>, kind: BlobKind, id: BlobId) -> Result<Vec<u8>> {
        let location = self.locate(kind, id).await?;
        match self.blob_at(location).await {
            Err(Error::Damaged { .. }) => {
                // If somebody has pruned, it is in another pack now.
                self.index.refresh(&self.storage).await?;
                let location = self.locate(kind, id).await?;
                self.blob_at(location).await
            }
            outcome => outcome,
        }
    }

    /// The length of a blob of content, by the index.
    pub(crate) async fn content_length(&self, id: BlobId) -> Result<u64> {
        let location = self.locate(BlobKind::Content, id).await?;
        Ok(location.entry.content_length())
    }

    /// Where a blob is. Somebody may have added to the index since it was listed, so it is listed again before a blob counts as missing.
    async fn locate(&self, kind: BlobKind, id: BlobId) -> Result<Location> {
        let find = || self.index.find(&self.storage, &self.key, kind, id);
        let mut found = find().await?;
        if found.is_none() {
            self.index.refresh(&self.storage).await?;
            found = find().await?;
        }
        found.ok_or(Error::damaged(kind.subject(id), Problem::Missing))
    }

    /// The content of the blob at a place, its hash checked.
    pub(crate) async fn blob_at(
        self: &Arc<Self>,
        Location { pack, entry }: Location,
    ) -> Result<Vec<u8>> {
        let start = u64::from(entry.offset);
        let range = start..start + u64::from(entry.length);
        let sealed = self
            .storage
            .get_range(ObjectKind::Pack, pack, range)
            .await?;
        let open = {
            let inner = Arc::clone(self);
            move || blob::open(&inner.key, entry.id, &sealed, entry.expanded)
        };
        let opened = if entry.length > OPEN_INLINE_BYTES {
            tokio::task::spawn_blocking(open)
                .await
                .map_err(|_| Error::Internal("opening a blob was interrupted"))?
        } else {
            open()
        };
        opened.map_err(|problem| Error::damaged(entry.kind.subject(entry.id), problem))
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

/// The master keys that `password` opens. Errors with [`Error::NoRepository`] when there are no key files at all.
async fn find_keys(storage: &Storage, password: &str) -> Result<Vec<Key>> {
    let listed = storage.list(ObjectKind::Key).await?;
    if listed.is_empty() {
        return Err(Error::NoRepository);
    }
    let mut keys = Vec::new();
    let mut damage = None;
    for object in listed {
        let bytes = match storage.get(ObjectKind::Key, object.id).await {
            Ok(bytes) => bytes,
            Err(error @ Error::Damaged { .. }) => {
                damage = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        match open_key(bytes, password.to_owned()).await? {
            Ok(key) => keys.extend(key),
            Err(problem) => {
                let subject = Subject::Object(ObjectKind::Key, object.id);
                damage = Some(Error::damaged(subject, problem));
            }
        }
    }
    match damage {
        Some(error) if keys.is_empty() => Err(error),
        None if keys.is_empty() => Err(Error::WrongPassword),
        _ => Ok(keys),
    }
}

async fn open_key(bytes: Bytes, password: String) -> Result<Result<Option<Key>, Problem>> {
    tokio::task::spawn_blocking(move || KeyFile::parse(&bytes)?.open(&password))
        .await
        .map_err(|_| Error::Internal("opening a key was interrupted"))
}

async fn seal_key(key: Key, password: String, options: Options) -> Result<Bytes> {
    tokio::task::spawn_blocking(move || {
        let file = KeyFile::seal(&key, &password, &options.instance, options.clock.now());
        file.to_bytes().into()
    })
    .await
    .map_err(|_| Error::Internal("sealing a key was interrupted"))
}

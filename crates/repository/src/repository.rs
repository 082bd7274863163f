//! A repository: made, opened, and the things that are read from it.

use std::{fmt, path::PathBuf, pin::pin, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use model::SharedClock;

use crate::{
    blob::{self, BlobKind},
    blob_map::Location,
    cache::{Cache, Folder, Marks, Opening},
    compression::Compressors,
    config::Config,
    crypto::Key,
    draft::Draft,
    error::{Error, Problem, Result, Subject},
    id::{BlobId, ObjectId, RepositoryId, SnapshotId},
    index::Index,
    key::KeyFile,
    key_ring::KeyRing,
    lock::{self, Locksmith},
    sealed_file,
    snapshot::Snapshot,
    storage::{Listed, ObjectKind, Storage},
    tree_cache::TreeCache,
    view::View,
};

/// Blobs longer than this are opened off the async threads: shorter ones take less time than handing them over.
const OPEN_INLINE_BYTES: u32 = 64 << 10;

/// Directories or snapshots that are read at a time where many are: over a network each takes tens of milliseconds, and one may have megabytes.
pub(crate) const READS_AT_ONCE: usize = 8;

/// How a repository is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tells the time for locks and keys.
    pub clock: SharedClock,
    /// Names this instance in locks, as restic's host name does. Instances that run at the same time must have different names; an instance
    /// that was restarted should have the name it had, because its dead locks are then removed.
    pub instance: String,
    /// A folder of this computer for this one repository's cache, which need not exist and may be deleted at any time. Without one, each opening
    /// asks the storage for everything.
    pub cache: Option<PathBuf>,
}

/// An open repository. Clones share its index and caches.
#[derive(Clone)]
pub struct Repository(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) storage: Storage,
    pub(crate) key: Key,
    pub(crate) options: Options,
    pub(crate) compressors: Compressors,
    pub(crate) cache: Option<Cache>,
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
        let found = find_keys(&storage, password, &options, &KeyRing::default()).await;
        let ((key, file), made) = match found {
            Ok(keys) => (
                keys.into_iter().next().ok_or(Error::Internal("no key"))?,
                None,
            ),
            Err(Error::NoRepository | Error::WrongPassword) => {
                let key = Key::random();
                let file = seal_key(key.clone(), password.to_owned(), options.clone()).await?;
                let made = storage.put(ObjectKind::Key, file.clone()).await?;
                ((key, file), Some(made))
            }
            Err(error) => return Err(error),
        };
        let config = Config::random();
        let sealed = Bytes::from(config.seal(&key));
        let created = storage.create_config(sealed.clone()).await;
        if let (Err(Error::Exists), Some(id)) = (&created, made) {
            // Somebody was faster. Who found our key made the repository with it; otherwise it opens nothing of theirs.
            let theirs = storage.config().await?.unwrap_or_default();
            if Config::open(&key, &theirs).is_err() {
                storage.delete(ObjectKind::Key, id).await?;
            }
        }
        created?;
        let repository = Self::new(storage, key, options, config.id).await?;
        repository.keep_opening(file, sealed).await?;
        Ok(repository)
    }

    /// Opens a repository. If the cache has what is needed for this, the storage is not asked. Else, and if a run that used the cache has died with
    /// a lock, what dead runs of this instance left in the storage is removed, if it may be written to.
    ///
    /// The errors tell apart that there is none ([`Error::NoRepository`]), that the password is wrong ([`Error::WrongPassword`]), that it is
    /// damaged ([`Error::Damaged`]) and that the storage failed ([`Error::Storage`]) (survival 186). If the cache was outdated, an operation may
    /// find out only later, with [`Error::AnotherRepository`] or [`Error::NoRepository`]; opened anew, the repository is as the storage has it.
    pub async fn open(storage: Storage, password: &str, options: Options) -> Result<Self> {
        Self::open_with(storage, password, options, &KeyRing::default()).await
    }

    /// As [`open`](Self::open), without deriving a key that is on the ring.
    pub async fn open_with(
        storage: Storage,
        password: &str,
        options: Options,
        ring: &KeyRing,
    ) -> Result<Self> {
        if let Some((opening, key, config)) = open_from_cache(&options, password, ring).await? {
            return Self::new(storage.expecting(opening), key, options, config.id).await;
        }
        let config = storage.config().await?;
        let keys = find_keys(&storage, password, &options, ring).await;
        let keys = match (keys, &config) {
            // Keys without a configuration: a repository whose making was interrupted.
            (_, None) => return Err(Error::NoRepository),
            (Err(Error::NoRepository), Some(_)) => {
                return Err(Error::damaged(Subject::Keys, Problem::Missing));
            }
            (keys, Some(_)) => keys?,
        };
        let sealed = config.unwrap_or_default();
        let mut outcome = Err(Error::damaged(Subject::Config, Problem::BrokenSeal));
        for (key, file) in keys {
            outcome = Config::open(&key, &sealed).map(|config| (key, file, config));
            if outcome.is_ok() {
                break;
            }
        }
        let (key, file, config) = outcome?;
        let repository = Self::new(storage, key, options, config.id).await?;
        repository.keep_opening(file, sealed).await?;
        repository.clear_away().await?;
        Ok(repository)
    }

    /// Its identity, which never changes.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.0.id
    }

    /// All snapshots, by time and then id. Errors when one cannot be read.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>> {
        let (snapshots, damage) = self.read_snapshots().await?;
        match damage.into_iter().next() {
            Some(damage) => Err(damage),
            None => Ok(snapshots),
        }
    }

    /// The snapshots that can be read, by time and then id, and how many cannot.
    pub async fn readable_snapshots(&self) -> Result<(Vec<(SnapshotId, Snapshot)>, usize)> {
        let (snapshots, damage) = self.read_snapshots().await?;
        Ok((snapshots, damage.len()))
    }

    async fn read_snapshots(&self) -> Result<(Vec<(SnapshotId, Snapshot)>, Vec<Error>)> {
        let (mut snapshots, mut damage) = (Vec::new(), Vec::new());
        let listed = self.0.storage.list(ObjectKind::Snapshot).await?;
        let mut read = pin!(self.each_snapshot(listed));
        while let Some((id, snapshot)) = read.next().await {
            match snapshot {
                // One that was removed since it was listed is none.
                Ok(snapshot) => snapshots.extend(snapshot.map(|snapshot| (id, snapshot))),
                Err(error @ Error::Damaged { .. }) => damage.push(error),
                Err(error) => return Err(error),
            }
        }
        snapshots.sort_by_key(|(id, snapshot)| (snapshot.time, *id));
        Ok((snapshots, damage))
    }

    /// These snapshots, in this order, read a few at a time.
    pub(crate) fn each_snapshot(
        &self,
        listed: Vec<Listed>,
    ) -> impl Stream<Item = (SnapshotId, Result<Option<Snapshot>>)> {
        let reads = listed.into_iter().map(move |listed| async move {
            let id = SnapshotId::from(listed.id);
            (id, self.snapshot(id).await)
        });
        stream::iter(reads).buffered(READS_AT_ONCE)
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
        let Some(id) = parent else {
            return Ok(self.draft_from(None));
        };
        let snapshot = self.snapshot(id).await?;
        let snapshot = snapshot.ok_or(Error::NotFound("the parent snapshot"))?;
        Ok(self.draft_from(Some((id, &snapshot))))
    }

    /// As [`draft`](Self::draft), from a parent that is known already: the storage is asked for nothing. That the parent is still there is
    /// seen when something is written; if it is not, the error is [`Error::Pruned`].
    #[must_use]
    pub fn draft_from(&self, parent: Option<(SnapshotId, &Snapshot)>) -> Draft {
        let parent = parent.map(|(id, snapshot)| (id, snapshot.tree));
        Draft::new(Arc::clone(&self.0), parent)
    }

    async fn new(storage: Storage, key: Key, options: Options, id: RepositoryId) -> Result<Self> {
        let cache = options
            .cache
            .clone()
            .map(|folder| Cache::new(folder, key.clone(), options.clock.clone()));
        let index = {
            let cache = cache.clone();
            blocking(move || Index::new(cache)).await?
        };
        Ok(Self(Arc::new(Inner {
            storage,
            key,
            options,
            compressors: Compressors::default(),
            cache,
            index,
            trees: TreeCache::default(),
            id,
        })))
    }

    /// Lets the next opening do without the storage.
    async fn keep_opening(&self, key_file: Bytes, config: Bytes) -> Result<()> {
        let Some(folder) = self.0.options.cache.clone() else {
            return Ok(());
        };
        blocking(move || Opening::write(&Folder::new(folder), &key_file, &config)).await
    }

    /// Removes dead locks, and staging files if nobody writes. That it cannot be done, as on a read-only disk, hinders no reader (abuse 29).
    async fn clear_away(&self) -> Result<()> {
        let marks = self.0.options.marks();
        let dead = {
            let marks = marks.clone();
            blocking(move || marks.map_or(Vec::new(), |marks| marks.dead(lock::is_held))).await?
        };
        let staging = self.0.storage.staging(self.0.options.clock.now()).await;
        match self.0.locksmith().remove_dead().await {
            Ok(0) => staging.remove().await,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = %error, "dead locks could not be removed");
                return Ok(());
            }
        }
        let clear = move |marks: Marks| dead.into_iter().for_each(|lock| marks.clear(lock));
        blocking(move || marks.map(clear)).await.map(drop)
    }
}

impl Options {
    /// Where it is noted which locks are held.
    fn marks(&self) -> Option<Marks> {
        Some(Marks::new(Folder::new(self.cache.clone()?)))
    }
}

impl Inner {
    pub(crate) fn locksmith(&self) -> Locksmith {
        Locksmith {
            storage: self.storage.clone(),
            key: self.key.clone(),
            clock: self.options.clock.clone(),
            instance: self.options.instance.clone(),
            marks: self.options.marks(),
        }
    }

    /// The content of a blob that is likely to be read again, its hash checked.
    pub(crate) async fn blob_by_cache(
        self: &Arc<Self>,
        kind: BlobKind,
        id: BlobId,
    ) -> Result<Vec<u8>> {
        let Some(cache) = self.cache.clone() else {
            return self.blob(kind, id).await;
        };
        match blocking(move || cache.blob(id)).await? {
            Some(plain) => Ok(plain),
            None => self.read_blob(kind, id, true).await,
        }
    }

    /// The content of a blob, its hash checked.
    pub(crate) async fn blob(self: &Arc<Self>, kind: BlobKind, id: BlobId) -> Result<Vec<u8>> {
        self.read_blob(kind, id, false).await
    }

    async fn read_blob(
        self: &Arc<Self>,
        kind: BlobKind,
        id: BlobId,
        keep: bool,
    ) -> Result<Vec<u8>> {
        let location = self.locate(kind, id).await?;
        match self.read_at(location, keep).await {
            Err(Error::Damaged { .. }) => {
                // If somebody has pruned, it is in another pack now.
                self.index.refresh(&self.storage).await?;
                let location = self.locate(kind, id).await?;
                self.read_at(location, keep).await
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
    pub(crate) async fn blob_at(self: &Arc<Self>, location: Location) -> Result<Vec<u8>> {
        self.read_at(location, false).await
    }

    /// As [`blob_at`](Self::blob_at); `keep` puts it into the cache.
    async fn read_at(
        self: &Arc<Self>,
        Location { pack, entry }: Location,
        keep: bool,
    ) -> Result<Vec<u8>> {
        let start = u64::from(entry.offset);
        let range = start..start + u64::from(entry.length);
        let sealed = self
            .storage
            .get_range(ObjectKind::Pack, pack, range)
            .await?;
        let open = {
            let inner = Arc::clone(self);
            move || {
                let opened = blob::open(&inner.key, entry.id, &sealed, entry.expanded)?;
                if let Some(cache) = inner.cache.as_ref().filter(|_| keep) {
                    cache.keep_blob(entry.id, &sealed, entry.expanded);
                }
                Ok(opened)
            }
        };
        let opened = if entry.length > OPEN_INLINE_BYTES || keep {
            blocking(open).await?
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

/// What the cache has for opening the repository, if the password fits and no lock was left behind.
async fn open_from_cache(
    options: &Options,
    password: &str,
    ring: &KeyRing,
) -> Result<Option<(Opening, Key, Config)>> {
    let (Some(folder), Some(marks)) = (options.cache.clone(), options.marks()) else {
        return Ok(None);
    };
    let (password, ring, now) = (password.to_owned(), ring.clone(), options.clock.elapsed());
    let open = move || {
        let opening = Opening::read(&Folder::new(folder))?;
        if !marks.dead(lock::is_held).is_empty() {
            return None;
        }
        let key = ring.open(&opening.key_file, &password, now).ok()??;
        let config = Config::open(&key, &opening.config).ok()?;
        Some((opening, key, config))
    };
    blocking(open).await
}

/// The master keys that `password` opens, and the files that they are in. Errors with [`Error::NoRepository`] when there are no key files at all.
async fn find_keys(
    storage: &Storage,
    password: &str,
    options: &Options,
    ring: &KeyRing,
) -> Result<Vec<(Key, Bytes)>> {
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
        let (file, ring, now) = (bytes.clone(), ring.clone(), options.clock.elapsed());
        let password = password.to_owned();
        match blocking(move || ring.open(&file, &password, now)).await? {
            Ok(key) => keys.extend(key.map(|key| (key, bytes))),
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

async fn seal_key(key: Key, password: String, options: Options) -> Result<Bytes> {
    blocking(move || {
        let file = KeyFile::seal(&key, &password, &options.instance, options.clock.now());
        file.to_bytes().into()
    })
    .await
}

/// Does work that takes long, or that waits for the local disk, off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Internal("work off the async threads was interrupted"))
}

//! Where a repository's objects lie: a thin layer that knows restic's layout and nothing of what the objects contain.
//!
//! ```text
//! config   keys/<id>   locks/<id>   snapshots/<id>   index/<id>   data/<first two digits>/<id>   keepwell/prune/<id>
//! ```
//!
//! The last is ours alone, and restic passes over it.
//!
//! It neither seals nor retries: retries, counting and faults are decorators of the [`ObjectStore`] that it is given.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutPayload, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};

use crate::{
    cache::Opening,
    error::{Error, Problem, Result, Subject},
    id::ObjectId,
};

mod deletion;
mod staging;

const CONFIG: &str = "config";

/// The storage of one repository. Clones share it.
#[derive(Clone)]
pub struct Storage {
    /// Asked by way of [`Self::store`] only, but for the configuration itself.
    unconfirmed: Arc<dyn ObjectStore>,
    /// The folder, when it is one of this computer: only there are staging files to be cleared away.
    folder: Option<std::path::PathBuf>,
    /// What the repository was opened with instead of asking the store, to be confirmed first.
    opening: Option<Arc<Opening>>,
}

/// The kinds of objects that a repository has many of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ObjectKind {
    /// The master key, sealed with a password.
    Key,
    /// A lock.
    Lock,
    /// A snapshot.
    Snapshot,
    /// A list of packs and of the blobs in them.
    Index,
    /// A pack of blobs.
    Pack,
    /// A record of packs that are to be deleted later.
    Doomed,
}

impl ObjectKind {
    fn folder(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Lock => "locks",
            Self::Snapshot => "snapshots",
            Self::Index => "index",
            Self::Pack => "data",
            Self::Doomed => "keepwell/prune",
        }
    }

    fn path(self, id: ObjectId) -> Path {
        let name = id.to_string();
        match self {
            Self::Pack => Path::from(format!("data/{}/{name}", &name[..2])),
            _ => Path::from(format!("{}/{name}", self.folder())),
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Lock => "lock",
            Self::Snapshot => "snapshot",
            Self::Index => "index",
            Self::Pack => "pack",
            Self::Doomed => "record of doomed packs",
        })
    }
}

/// An object as a listing shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Listed {
    pub(crate) id: ObjectId,
    pub(crate) size_bytes: u64,
    /// When it was stored, by the storage's clock.
    pub(crate) stored_at: Timestamp,
}

impl Storage {
    /// The repository whose objects are at the root of `store`. The store must put objects whole or not at all, and durably.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            unconfirmed: store,
            folder: None,
            opening: None,
        }
    }

    /// The repository in a folder of this computer, which need not exist before [`Repository::init`](crate::Repository::init). What is
    /// written is synchronised with the disk, file and directory. Errors when the path is no Unicode.
    pub fn local(folder: impl AsRef<std::path::Path>) -> Result<Self> {
        let folder = std::path::absolute(folder)
            .map_err(|_| Error::Path("the folder has no absolute path"))?;
        let prefix = Path::from_absolute_path(&folder)
            .map_err(|_| Error::Path("the folder's path is not Unicode"))?;
        let disk = LocalFileSystem::new().with_fsync(true);
        Ok(Self {
            unconfirmed: Arc::new(PrefixStore::new(disk, prefix)),
            folder: Some(folder),
            opening: None,
        })
    }

    /// The same place, with its store wrapped, to count or to disturb what is done to it.
    #[must_use]
    pub fn map(self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self {
            unconfirmed: wrap(self.unconfirmed),
            folder: self.folder,
            opening: self.opening,
        }
    }

    /// The same storage, which before its first operation makes sure that it holds the repository that was opened.
    pub(crate) fn expecting(self, opening: Opening) -> Self {
        Self {
            opening: Some(Arc::new(opening)),
            ..self
        }
    }

    async fn store(&self) -> Result<&dyn ObjectStore> {
        if let Some(opening) = &self.opening {
            opening.confirm(self.config()).await?;
        }
        Ok(&*self.unconfirmed)
    }

    /// Stores `bytes` under their hash.
    pub(crate) async fn put(&self, kind: ObjectKind, bytes: Bytes) -> Result<ObjectId> {
        let id = ObjectId::of(&bytes);
        self.put_as(kind, id, bytes).await?;
        Ok(id)
    }

    /// Stores `content`, whose hash the caller has computed.
    pub(crate) async fn put_as(
        &self,
        kind: ObjectKind,
        id: ObjectId,
        content: impl Into<PutPayload>,
    ) -> Result<()> {
        let store = self.store().await?;
        store
            .put(&kind.path(id), content.into())
            .await
            .map_err(failed_to("write an object"))?;
        Ok(())
    }

    /// A whole object, its hash checked.
    pub(crate) async fn get(&self, kind: ObjectKind, id: ObjectId) -> Result<Bytes> {
        let bytes = self.get_unchecked(kind, id).await?;
        if ObjectId::of(&bytes) == id {
            Ok(bytes)
        } else {
            Err(Error::damaged(
                Subject::Object(kind, id),
                Problem::WrongHash,
            ))
        }
    }

    /// A whole object as it is stored.
    pub(crate) async fn get_unchecked(&self, kind: ObjectKind, id: ObjectId) -> Result<Bytes> {
        let store = self.store().await?;
        let read = async { store.get(&kind.path(id)).await?.bytes().await };
        read.await.map_err(|error| missing(kind, id, error))
    }

    /// A part of an object.
    pub(crate) async fn get_range(
        &self,
        kind: ObjectKind,
        id: ObjectId,
        range: Range<u64>,
    ) -> Result<Bytes> {
        let path = kind.path(id);
        let end = range.end;
        let length = end - range.start;
        let truncated = Error::damaged(Subject::Object(kind, id), Problem::Truncated);
        let store = self.store().await?;
        match store.get_range(&path, range).await {
            Ok(bytes) if bytes.len() as u64 == length => Ok(bytes),
            Ok(_) => Err(truncated),
            // Stores have no common error for a range beyond the end.
            Err(error) => match store.head(&path).await {
                Ok(meta) if meta.size < end => Err(truncated),
                _ => Err(missing(kind, id, error)),
            },
        }
    }

    /// Whether the object is there.
    pub(crate) async fn has(&self, kind: ObjectKind, id: ObjectId) -> Result<bool> {
        match self.store().await?.head(&kind.path(id)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed_to("look for an object")(error)),
        }
    }

    /// All objects of a kind, by id. Whatever is not named like one is passed over, as restic does.
    pub(crate) async fn list(&self, kind: ObjectKind) -> Result<Vec<Listed>> {
        let store = self.store().await?;
        let mut listed: Vec<Listed> = store
            .list(Some(&Path::from(kind.folder())))
            .try_filter_map(|meta| async move {
                let id = meta.location.filename().and_then(|name| name.parse().ok());
                Ok(id
                    .filter(|id| kind.path(*id) == meta.location)
                    .map(|id| Listed {
                        id,
                        size_bytes: meta.size,
                        stored_at: Timestamp::from_second(meta.last_modified.timestamp())
                            .unwrap_or_default(),
                    }))
            })
            .try_collect()
            .await
            .or_else(|error| match error {
                object_store::Error::NotFound { .. } => Ok(Vec::new()),
                error => Err(failed_to("list objects")(error)),
            })?;
        listed.sort_by_key(|object| object.id);
        Ok(listed)
    }

    /// Removes an object; one that is gone already is as good.
    pub(crate) async fn delete(&self, kind: ObjectKind, id: ObjectId) -> Result<()> {
        match self.store().await?.delete(&kind.path(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed_to("delete an object")(error)),
        }
    }

    /// The configuration as stored, if there is one.
    pub(crate) async fn config(&self) -> Result<Option<Bytes>> {
        let store = &self.unconfirmed;
        let read = async { store.get(&Path::from(CONFIG)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed_to("read the configuration")(error)),
        }
    }

    /// Stores the configuration, unless there is one: of two that try at once, one gets [`Error::Exists`] (abuse 17).
    pub(crate) async fn create_config(&self, bytes: Bytes) -> Result<()> {
        let created = self
            .unconfirmed
            .put_opts(&Path::from(CONFIG), bytes.into(), PutMode::Create.into())
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => Err(Error::Exists),
            Err(error) => Err(failed_to("write the configuration")(error)),
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Storage").field(&self.unconfirmed).finish()
    }
}

fn failed_to(doing: &'static str) -> impl Fn(object_store::Error) -> Error {
    move |source| Error::Storage { doing, source }
}

fn missing(kind: ObjectKind, id: ObjectId, error: object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => {
            Error::damaged(Subject::Object(kind, id), Problem::Missing)
        }
        error => failed_to("read an object")(error),
    }
}

//! A repository in a temporary folder or in memory, and short ways to fill it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use bytes::Bytes;
use jiff::Timestamp;
use model::SystemClock;
use object_store::{ObjectStore, memory::InMemory};
use repository::{Draft, File, Options, Repository, SnapshotId, SnapshotMeta, Storage, View};
use tempfile::TempDir;

use testkit::store::Watched;

pub(crate) const PASSWORD: &str = "a password with ünïcode";

/// A repository in a folder that disappears with it.
pub(crate) struct Fixture {
    pub(crate) repository: Repository,
    folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let storage = Storage::local(folder.path().join("repository"))?;
        let repository = Repository::init(storage, PASSWORD, options()).await?;
        Ok(Self { repository, folder })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// The same repository, opened anew.
    pub(crate) async fn reopen(&self) -> anyhow::Result<Repository> {
        open(&self.path()).await
    }

    /// A folder beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

pub(crate) async fn open(path: &Path) -> anyhow::Result<Repository> {
    Ok(Repository::open(Storage::local(path)?, PASSWORD, options()).await?)
}

/// A new repository in memory, and the store by which it can be watched and opened again.
pub(crate) async fn in_memory() -> anyhow::Result<(Repository, Arc<Watched>)> {
    let store = Watched::new(Arc::new(InMemory::new()));
    let repository = Repository::init(storage(&store), PASSWORD, options()).await?;
    store.take();
    Ok((repository, store))
}

pub(crate) fn storage(store: &Arc<Watched>) -> Storage {
    Storage::new(Arc::clone(store) as Arc<dyn ObjectStore>)
}

pub(crate) fn options() -> Options {
    Options {
        clock: Arc::new(SystemClock::new()),
        instance: "test".to_owned(),
        cache: None,
    }
}

/// With a cache in this folder.
pub(crate) fn cached(folder: impl AsRef<Path>) -> Options {
    Options {
        cache: Some(folder.as_ref().to_owned()),
        ..options()
    }
}

/// A time that is `seconds` after the first snapshot of every test.
pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_790_000_000 + seconds)
}

pub(crate) fn meta(seconds: i64) -> SnapshotMeta {
    SnapshotMeta {
        time: time(seconds),
        hostname: "tenant".to_owned(),
        username: "keepwell".to_owned(),
        tags: vec!["full".to_owned()],
        paths: vec!["/account".to_owned()],
    }
}

/// Stores content and puts it at a path.
pub(crate) async fn put(
    draft: &mut Draft,
    path: &str,
    content: impl Into<Bytes>,
) -> anyhow::Result<()> {
    let content = draft.writer().store(content.into()).await?;
    let mtime = time(-1000);
    draft.put(path, File { content, mtime }).await?;
    Ok(())
}

/// A snapshot of `parent` with these files added or replaced.
pub(crate) async fn commit(
    repository: &Repository,
    parent: Option<SnapshotId>,
    seconds: i64,
    files: &[(&str, &str)],
) -> anyhow::Result<SnapshotId> {
    let mut draft = repository.draft(parent).await?;
    for (path, content) in files {
        let content = draft.writer().store(content.to_string().into()).await?;
        let mtime = time(seconds);
        draft.put(path, File { content, mtime }).await?;
    }
    let committed = draft.commit(meta(seconds)).await?;
    committed.context("nothing was changed")
}

pub(crate) async fn view(repository: &Repository, id: SnapshotId) -> anyhow::Result<View> {
    let snapshot = repository.snapshot(id).await?.context("no such snapshot")?;
    Ok(repository.view(snapshot.tree))
}

/// The content of a text file in a snapshot; nothing if there is no such file.
pub(crate) async fn text(
    repository: &Repository,
    id: SnapshotId,
    path: &str,
) -> anyhow::Result<Option<String>> {
    let content = view(repository, id).await?.read_path(path).await?;
    Ok(content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Every file under a folder.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Content that does not compress, always the same for a seed.
pub(crate) fn noise(length: usize, seed: u64) -> Bytes {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

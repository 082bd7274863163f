//! A small history of snapshots, and what each must hold.

use anyhow::Context;
use bytes::Bytes;
use repository::{File, Kind, Repository, SnapshotId};

use crate::support::{meta, noise, put, time, view};

/// Files in each version, beside the state.
pub(crate) const FILES: u64 = 24;

const STATE: &str = ".keepwell/state";

/// A history of so many versions, in each of which a quarter of the files has changed. The first fills a pack of content.
pub(crate) async fn history(
    repository: &Repository,
    versions: u64,
) -> anyhow::Result<Vec<SnapshotId>> {
    let mut made: Vec<SnapshotId> = Vec::new();
    for version in 0..versions {
        made.push(store(repository, made.last().copied(), version).await?);
    }
    Ok(made)
}

/// Stores a version.
pub(crate) async fn store(
    repository: &Repository,
    parent: Option<SnapshotId>,
    version: u64,
) -> anyhow::Result<SnapshotId> {
    let mut draft = repository.draft(parent).await?;
    for number in 0..FILES {
        put(&mut draft, &path(number), content(number, version)).await?;
    }
    let content = draft.writer().store_state(state(version)).await?;
    let mtime = time(0);
    draft.put(STATE, File { content, mtime }).await?;
    let id = draft.commit(meta(i64::try_from(version)?)).await?;
    id.context("something has changed")
}

/// Checks that a version of the history is as it was made.
pub(crate) async fn is_whole(
    repository: &Repository,
    id: SnapshotId,
    version: u64,
) -> anyhow::Result<()> {
    let readable = readable(repository, id, version).await?;
    assert_eq!(readable, FILES + 1, "files of version {version}");
    Ok(())
}

/// How many files of a version can be read, the state included. Those that cannot are damaged, and none reads wrong.
pub(crate) async fn readable(
    repository: &Repository,
    id: SnapshotId,
    version: u64,
) -> anyhow::Result<u64> {
    let view = view(repository, id).await?;
    let files = (0..FILES).map(|number| (path(number), content(number, version)));
    let mut readable = 0;
    for (path, expected) in files.chain([(STATE.to_owned(), state(version))]) {
        match view.read_path(&path).await {
            Ok(read) => {
                assert_eq!(read, Some(expected), "{path} of version {version}");
                readable += 1;
            }
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{path}: {error}"),
        }
    }
    Ok(readable)
}

fn path(number: u64) -> String {
    format!("{}/{number}", number % 3)
}

fn content(number: u64, version: u64) -> Bytes {
    let changed = (0..=version).rev().find(|at| at % 4 == number % 4);
    noise(200_000, number * 100 + changed.unwrap_or(0))
}

fn state(version: u64) -> Bytes {
    format!("version {version}").repeat(100).into()
}

//! Very many blobs of a few bytes, and reading the index of all of them: what a repository of that size costs in memory.

use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use repository::File;

use super::{Stopwatch, Told, meta, open};

const NAME: &str = "last";
const BLOBS_AT_ONCE: usize = 64;

/// Stores so many blobs of eight bytes. The snapshot has only the last of them, because a directory of all is no part of the question.
pub(super) async fn store(repository: &Path, blobs: usize) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, None).await?;
    let opening = watch.lap();
    let mut draft = repository.draft(None).await?;
    let writer = draft.writer();
    let mut last = None;
    let mut stored = stream::iter(0..blobs)
        .map(|number| writer.store(Bytes::copy_from_slice(&number.to_le_bytes())))
        .buffered(BLOBS_AT_ONCE);
    while let Some(content) = stored.try_next().await? {
        last = Some(content);
    }
    drop(stored);
    if let Some(content) = last {
        let mtime = jiff::Timestamp::UNIX_EPOCH;
        draft.put(NAME, File { content, mtime }).await?;
    }
    draft.commit(meta()).await?;
    Ok(Told {
        opening,
        work: watch.lap(),
        items: blobs as u64,
        bytes: (blobs * size_of::<usize>()) as u64,
        ..Told::default()
    })
}

/// Reads the index, and counts the blobs in it.
pub(super) async fn read(repository: &Path) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, None).await?;
    let opening = watch.lap();
    let stats = repository.stats().await?;
    Ok(Told {
        opening,
        work: watch.lap(),
        items: stats.blobs,
        ..Told::default()
    })
}

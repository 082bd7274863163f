//! A full backup of a folder's files.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use repository::{BlobWriter, File};
use tokio::sync::Semaphore;

use super::{Stopwatch, Told, meta, open};
use crate::folder;

/// Files worked on at once, as a backup has a few downloads under way.
const FILES_AT_ONCE: usize = 8;
/// Of large ones fewer, as restic does: each has some megabytes in memory.
const LARGE_FILES_AT_ONCE: usize = 2;
/// A file that is larger is streamed.
const WHOLE_FILE_BYTES: u64 = 4 << 20;

pub(super) async fn run(repository: &Path, source: &Path) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, None).await?;
    let opening = watch.lap();
    let mut draft = repository.draft(None).await?;
    let writer = draft.writer();
    let files = folder::files(source)?;
    let mut told = Told {
        opening,
        ..Told::default()
    };
    let streams = Semaphore::new(LARGE_FILES_AT_ONCE);
    let mut stored = stream::iter(files)
        .map(|path| store(&writer, &streams, path))
        .buffer_unordered(FILES_AT_ONCE);
    while let Some((path, file)) = stored.try_next().await? {
        told.items += 1;
        told.bytes += file.content.size;
        let path = path.strip_prefix(source)?;
        draft
            .put(path.to_str().context("a path is no text")?, file)
            .await?;
    }
    drop(stored);
    draft.commit(meta()).await?;
    told.work = watch.lap();
    Ok(told)
}

async fn store(
    writer: &BlobWriter,
    streams: &Semaphore,
    path: PathBuf,
) -> anyhow::Result<(PathBuf, File)> {
    let mut file = fs::File::open(&path)?;
    let metadata = file.metadata()?;
    let content = if metadata.len() > WHOLE_FILE_BYTES {
        let _turn = streams.acquire().await?;
        writer.store_stream(tokio::fs::File::from_std(file)).await?
    } else {
        let mut whole = Vec::with_capacity(metadata.len() as usize + 1);
        file.read_to_end(&mut whole)?;
        writer.store(Bytes::from(whole)).await?
    };
    let mtime = Timestamp::try_from(metadata.modified()?)?;
    Ok((path, File { content, mtime }))
}

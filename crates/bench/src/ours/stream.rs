//! A single file that is larger than memory, as it comes from a download, and reading it again.

use std::{
    io,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use rand::Rng;
use repository::File;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Stopwatch, Told, meta, open};
use crate::corpus;

const NAME: &str = "large.vhdx";
/// The file is empty but for a piece of this length ...
const FULL_BYTES: u64 = 1 << 20;
/// ... in every stretch of this one.
const STRETCH_BYTES: u64 = 64 << 20;

/// Stores a file of so many bytes.
pub(super) async fn store(repository: &Path, bytes: u64) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, None).await?;
    let opening = watch.lap();
    let mut draft = repository.draft(None).await?;
    let content = draft.writer().store_stream(Sparse { at: 0, bytes }).await?;
    let told = Told {
        opening,
        items: 1,
        bytes: content.size,
        ..Told::default()
    };
    let mtime = jiff::Timestamp::UNIX_EPOCH;
    draft.put(NAME, File { content, mtime }).await?;
    draft.commit(meta()).await?;
    Ok(Told {
        work: watch.lap(),
        ..told
    })
}

/// Reads it again, blob by blob.
pub(super) async fn read(repository: &Path) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, None).await?;
    let opening = watch.lap();
    let snapshots = repository.snapshots().await?;
    let mut bytes = 0;
    for (_, snapshot) in snapshots {
        let view = repository.view(snapshot.tree);
        let Some(node) = view.node(NAME).await? else {
            continue;
        };
        for id in node.content() {
            bytes += view.blob(*id).await?.len() as u64;
        }
        anyhow::ensure!(
            bytes == node.size(),
            "what was read is not as long as it was"
        );
    }
    Ok(Told {
        opening,
        work: watch.lap(),
        items: 1,
        bytes,
        ..Told::default()
    })
}

/// What the file holds, made while it is read.
struct Sparse {
    at: u64,
    bytes: u64,
}

impl AsyncRead for Sparse {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A download gives some hundred kilobytes at a time.
        let length = (self.bytes - self.at)
            .min(256 << 10)
            .min(buffer.remaining() as u64);
        let part = buffer.initialize_unfilled_to(length as usize);
        if self.at % STRETCH_BYTES < FULL_BYTES {
            corpus::random(self.at as usize).fill_bytes(part);
        } else {
            part.fill(0);
        }
        buffer.advance(length as usize);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

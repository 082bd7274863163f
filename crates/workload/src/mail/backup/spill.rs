//! Stores MIME that is too large to be in memory as a whole, while it comes in.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use graph::{Sink, SinkClosed, SinkFuture};
use repository::{BlobWriter, Content};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::io::StreamReader;

/// Pieces that wait to be stored, each of some megabytes.
const PIECES_WAITING_MAX: usize = 1;

/// Stores what it takes.
pub(super) struct Spill {
    writer: BlobWriter,
    storing: Option<Storing>,
}

struct Storing {
    pieces: mpsc::Sender<Bytes>,
    done: JoinHandle<repository::Result<Content>>,
}

impl Spill {
    pub(super) fn new(writer: BlobWriter) -> Self {
        Self {
            writer,
            storing: None,
        }
    }

    /// What was stored of the last body; `None` when it was not large enough to be taken. Errors when the repository failed, also in the middle.
    pub(super) async fn finish(mut self) -> repository::Result<Option<Content>> {
        let Some(Storing { pieces, done }) = self.storing.take() else {
            return Ok(None);
        };
        drop(pieces);
        let stored = done.await.unwrap_or(Err(repository::Error::Internal(
            "storing a large content was interrupted",
        )));
        stored.map(Some)
    }
}

impl Sink for Spill {
    /// What was stored of a body that broke off is no harm: the next attempt begins with the same chunks, and they are stored once.
    fn begin(&mut self) {
        if let Some(storing) = self.storing.take() {
            storing.done.abort();
        }
    }

    fn take(&mut self, piece: Bytes) -> SinkFuture<'_> {
        Box::pin(async move {
            let storing = self.storing.get_or_insert_with(|| store(&self.writer));
            let sent = storing.pieces.send(piece).await;
            sent.map_err(|_| SinkClosed)
        })
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.begin();
    }
}

fn store(writer: &BlobWriter) -> Storing {
    let (pieces, mut queue) = mpsc::channel::<Bytes>(PIECES_WAITING_MAX);
    let writer = writer.clone();
    let done = tokio::spawn(async move {
        let pieces = stream::poll_fn(move |context| queue.poll_recv(context));
        writer
            .store_stream(StreamReader::new(pieces.map(io::Result::Ok)))
            .await
    });
    Storing { pieces, done }
}

//! Storing content, from many tasks at once.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream::FuturesOrdered};
use tokio::io::AsyncRead;

use super::{open_packs::Purpose, packer::Packer};
use crate::{
    chunker::{Chunker, MIN_CHUNK_BYTES},
    error::Result,
    id::BlobId,
};

/// Chunks of one stream that are stored at the same time, two of them while the next is read and cut.
const CHUNKS_AT_ONCE: usize = 3;

/// Content that has been stored, to be put at a path of the draft whose writer stored it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// Its blobs, in order.
    pub blobs: Vec<BlobId>,
    /// Its size in bytes.
    pub size: u64,
}

/// Stores content for a draft. Clones may be used at the same time; a few operations run at once and the others wait, so that memory is bounded.
///
/// After an error the draft cannot be committed any more.
#[derive(Clone)]
pub struct BlobWriter {
    packer: Arc<Packer>,
    chunker: Chunker,
}

impl BlobWriter {
    pub(super) fn new(packer: Arc<Packer>, chunker: Chunker) -> Self {
        Self { packer, chunker }
    }

    /// Stores content: as one blob up to 512 KiB, in chunks if it is larger.
    pub async fn store(&self, content: Bytes) -> Result<Content> {
        self.store_for(Purpose::Content, content).await
    }

    /// Stores the content of a file about the backup itself, which every run reads. It goes to packs and index files that are read before
    /// those of other content.
    pub async fn store_state(&self, content: Bytes) -> Result<Content> {
        self.store_for(Purpose::State, content).await
    }

    /// Stores what `source` gives, to its end. Errors with [`Error::Source`](crate::Error::Source) when reading fails.
    pub async fn store_stream(&self, source: impl AsyncRead + Unpin) -> Result<Content> {
        let mut stored = Content {
            blobs: Vec::new(),
            size: 0,
        };
        let mut chunks = self.chunker.stream(source);
        let mut storing = FuturesOrdered::new();
        while let Some(chunk) = chunks.next().await? {
            stored.size += chunk.len() as u64;
            storing.push_back(self.packer.store(Purpose::Content, chunk));
            // While the others are stored the next chunk is read and cut.
            if storing.len() == CHUNKS_AT_ONCE {
                stored.blobs.extend(storing.try_next().await?);
            }
        }
        while let Some(id) = storing.try_next().await? {
            stored.blobs.push(id);
        }
        Ok(stored)
    }

    async fn store_for(&self, purpose: Purpose, mut content: Bytes) -> Result<Content> {
        let mut stored = Content {
            blobs: Vec::new(),
            size: 0,
        };
        if content.len() <= MIN_CHUNK_BYTES && !content.is_empty() {
            self.append(&mut stored, purpose, content).await?;
            return Ok(stored);
        }
        while let Some(chunk) = self.chunker.split(&mut content) {
            self.append(&mut stored, purpose, chunk).await?;
        }
        Ok(stored)
    }

    async fn append(&self, stored: &mut Content, purpose: Purpose, chunk: Bytes) -> Result<()> {
        stored.size += chunk.len() as u64;
        stored.blobs.push(self.packer.store(purpose, chunk).await?);
        Ok(())
    }
}

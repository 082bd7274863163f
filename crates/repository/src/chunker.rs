//! Cutting large content into chunks whose borders depend on the content only, so that a change in the middle leaves most chunks as they were.
//!
//! FastCDC, with a seed that is derived from the master key: without the key nobody can tell from the lengths of chunks which known file
//! they are of. See `docs/format/repository.md` for how far that goes.

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::{FastCDC, Normalization};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    crypto::Key,
    error::{Error, Result},
    id::BlobId,
};

/// restic's own bounds. Content up to the smallest is one blob.
pub(crate) const MIN_CHUNK_BYTES: usize = 512 << 10;
const AVERAGE_CHUNK_BYTES: usize = 1 << 20;
pub(crate) const MAX_CHUNK_BYTES: usize = 8 << 20;
/// Of a stream so much is read before a border is looked for: most chunks are shorter.
const WINDOW_BYTES: usize = 2 << 20;
/// Twice as much is read at a time, or what is left of a window would be moved for each chunk.
const BUFFER_BYTES: usize = 2 * WINDOW_BYTES;

/// Cuts content. The same content is cut alike in every run on one repository, and differently in each repository.
#[derive(Clone, Copy)]
pub(crate) struct Chunker {
    seed: u64,
}

impl Chunker {
    pub(crate) fn new(key: &Key) -> Self {
        let secret = [b"keepwell chunker seed: ", &key.as_bytes()[..]].concat();
        let secret = zeroize::Zeroizing::new(secret);
        let hash = BlobId::of(&secret);
        let (first, _) = hash.0.split_first_chunk().expect("a hash has 32 bytes");
        Self {
            seed: u64::from_le_bytes(*first),
        }
    }

    /// The length of the first chunk of `content`: right if that is all that is left, or the longest chunk, or if a border was found.
    fn first_cut(self, content: &[u8]) -> usize {
        if content.len() <= MIN_CHUNK_BYTES {
            return content.len();
        }
        FastCDC::with_level_and_seed(
            content,
            MIN_CHUNK_BYTES,
            AVERAGE_CHUNK_BYTES,
            MAX_CHUNK_BYTES,
            Normalization::Level1,
            self.seed,
        )
        .next()
        .map_or(content.len(), |chunk| chunk.length)
    }

    /// Cuts the first chunk off `content`; nothing when it is empty.
    pub(crate) fn split(self, content: &mut Bytes) -> Option<Bytes> {
        if content.is_empty() {
            return None;
        }
        let longest = content.len().min(MAX_CHUNK_BYTES);
        let length = self.first_cut(&content[..longest]);
        Some(content.split_to(length))
    }

    /// Cuts what `source` gives, holding little more in memory than the next chunk.
    pub(crate) fn stream<S: AsyncRead + Unpin>(self, source: S) -> ChunkStream<S> {
        ChunkStream {
            chunker: self,
            source,
            buffer: BytesMut::new(),
            ended: false,
        }
    }
}

pub(crate) struct ChunkStream<S> {
    chunker: Chunker,
    source: S,
    buffer: BytesMut,
    ended: bool,
}

impl<S: AsyncRead + Unpin> ChunkStream<S> {
    /// The next chunk; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        self.fill(WINDOW_BYTES).await?;
        let length = match self.border() {
            Some(length) => length,
            None => {
                self.fill(MAX_CHUNK_BYTES).await?;
                let longest = self.buffer.len().min(MAX_CHUNK_BYTES);
                self.chunker.first_cut(&self.buffer[..longest])
            }
        };
        let chunk = self.buffer.split_to(length);
        Ok(Some(chunk.freeze()).filter(|chunk| !chunk.is_empty()))
    }

    /// A border in what has been read, if that shows one.
    fn border(&self) -> Option<usize> {
        // The chunker goes by twos: an odd end would count as the end of the content.
        let window = self.buffer.len().min(MAX_CHUNK_BYTES) & !1;
        let length = self.chunker.first_cut(&self.buffer[..window]);
        (length < window).then_some(length)
    }

    /// Reads until there are so many bytes, or all.
    async fn fill(&mut self, bytes: usize) -> Result<()> {
        while !self.ended && self.buffer.len() < bytes {
            if self.buffer.capacity() == self.buffer.len() {
                self.buffer
                    .reserve(bytes.max(BUFFER_BYTES) - self.buffer.len());
            }
            let read = self.source.read_buf(&mut self.buffer).await;
            self.ended = read.map_err(Error::Source)? == 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn noise(length: usize) -> Bytes {
        let mut rng = StdRng::seed_from_u64(7);
        (0..length)
            .map(|_| rng.random::<u8>())
            .collect::<Vec<_>>()
            .into()
    }

    fn cut(chunker: Chunker, mut content: Bytes) -> Vec<Bytes> {
        std::iter::from_fn(|| chunker.split(&mut content)).collect()
    }

    #[tokio::test]
    async fn a_stream_is_cut_like_the_whole() {
        let chunker = Chunker::new(&Key::from_bytes([3; 64]));
        for length in [0, 1, MIN_CHUNK_BYTES, MIN_CHUNK_BYTES + 1, 12_000_000] {
            let content = noise(length);
            let whole = cut(chunker, content.clone());
            assert!(whole.iter().all(|chunk| chunk.len() <= MAX_CHUNK_BYTES));
            assert_eq!(whole.concat(), content);
            let mut stream = chunker.stream(&content[..]);
            let mut streamed = Vec::new();
            while let Some(chunk) = stream.next().await.expect("memory can be read") {
                streamed.push(chunk);
            }
            assert_eq!(streamed, whole);
        }
    }

    #[test]
    fn content_without_borders_is_cut_at_the_longest_length() {
        let chunks = cut(Chunker::new(&Key::random()), vec![0; 20 << 20].into());
        assert!(chunks.iter().all(|chunk| chunk.len() <= MAX_CHUNK_BYTES));
    }

    #[test]
    fn a_change_moves_few_borders_and_another_key_moves_most() {
        let chunker = Chunker::new(&Key::from_bytes([3; 64]));
        let content = noise(12_000_000);
        let before = cut(chunker, content.clone());
        let mut changed = content.to_vec();
        changed.insert(6_000_000, 1);
        let after = cut(chunker, changed.into());
        let kept = after.iter().filter(|chunk| before.contains(chunk)).count();
        assert!(kept + 3 >= before.len(), "{kept} of {}", before.len());
        let other = cut(Chunker::new(&Key::from_bytes([4; 64])), content);
        assert!(!other.iter().any(|chunk| before.contains(chunk)));
    }
}

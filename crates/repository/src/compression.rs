//! zstd, with its contexts kept for reuse and its output bounded.
//!
//! Making a compression context costs more than compressing a small mail does, so they are pooled; and what came from storage is never
//! allowed to expand beyond what was stated or sensible (abuse 28).

use std::sync::{Mutex, PoisonError};

use crate::error::Problem;

/// The level of restic's default: beyond it, mail gains little and costs much.
const LEVEL: i32 = 3;

/// Compressors that are idle. There are never more than threads that compressed at the same time.
#[derive(Default)]
pub(crate) struct Compressors(Mutex<Vec<zstd::bulk::Compressor<'static>>>);

impl Compressors {
    /// `plain`, compressed.
    pub(crate) fn compress(&self, plain: &[u8]) -> Vec<u8> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut compressor = idle.unwrap_or_else(|| {
            zstd::bulk::Compressor::new(LEVEL).expect("the level is one that zstd has")
        });
        let compressed = compressor
            .compress(plain)
            .expect("the output buffer is as large as zstd can need");
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(compressor);
        compressed
    }
}

/// Expands `compressed` to exactly `length` bytes.
pub(crate) fn decompress_exactly(compressed: &[u8], length: usize) -> Result<Vec<u8>, Problem> {
    match zstd::bulk::decompress(compressed, length) {
        Ok(plain) if plain.len() == length => Ok(plain),
        _ => Err(Problem::Expansion),
    }
}

/// Expands `compressed` to at most `limit` bytes.
pub(crate) fn decompress_within(compressed: &[u8], limit: usize) -> Result<Vec<u8>, Problem> {
    use std::io::Read;
    let mut plain = Vec::new();
    let bounded = zstd::stream::read::Decoder::new(compressed)
        .map(|decoder| decoder.take(limit as u64 + 1))
        .and_then(|mut decoder| decoder.read_to_end(&mut plain));
    match bounded {
        Ok(length) if length <= limit => Ok(plain),
        _ => Err(Problem::Expansion),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_expands_beyond_its_bound() {
        let bomb = Compressors::default().compress(&vec![0; 50_000_000]);
        assert!(bomb.len() < 10_000, "abuse 28: it is small");
        assert_eq!(decompress_within(&bomb, 1 << 20), Err(Problem::Expansion));
        assert_eq!(decompress_exactly(&bomb, 1 << 20), Err(Problem::Expansion));
        assert_eq!(
            decompress_exactly(&bomb, 50_000_001),
            Err(Problem::Expansion)
        );
        assert_eq!(
            decompress_exactly(&bomb, 50_000_000).map(|p| p.len()),
            Ok(50_000_000)
        );
        assert_eq!(decompress_within(b"no zstd", 100), Err(Problem::Expansion));
    }
}
